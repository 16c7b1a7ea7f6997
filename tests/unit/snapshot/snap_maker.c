/*
 * snap_maker.c - see snap_maker.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/hex.h"
#include "snap_maker.h"

#define PACK_ROOM (64u * 1024u * 1024u)

void fill_bytes(uint8_t *bytes, size_t len, unsigned seed)
{
    uint64_t x = 88172645463325252ull + seed * 7919ull;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (x >> 60) & 1 ? (uint8_t)x : (uint8_t)('a' + i % 7);
    }
}

/* ---- objects ---- */

static void make_parents(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        ck_assert(mkdir(path, 0755) == 0 || errno == EEXIST);
        *at = '/';
    }
}

static void put(const snap_maker *m, const char *key, const void *bytes, size_t len)
{
    char path[4096];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", m->store, key);
    make_parents(path);
    f = fopen(path, "wb");
    ck_assert_msg(f != NULL, "cannot make %s", path);
    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
}

static bvi_hash256 put_pack(const snap_maker *m, const void *bytes, size_t len)
{
    bvi_hash256 hash;
    char *key;

    bvi_blake3_hash(bytes, len, hash.bytes);
    key = bvi_snap_pack_key(m->key, &hash);
    put(m, key, bytes, len);
    bvi_free(key);
    return hash;
}

static void close_pack(snap_maker *m)
{
    bvi_hash256 hash;

    if (m->pack_len == 0)
        return;
    hash = put_pack(m, m->pack, m->pack_len);
    for (size_t i = m->first_unpacked; i < m->n_chunks; i++)
        m->chunks[i].pack = hash;
    m->first_unpacked = m->n_chunks;
    m->root.sent_bytes += m->pack_len;
    m->pack_len = 0;
}

static bvi_snap_frame pack_frame(snap_maker *m, const void *plain, size_t len)
{
    bvi_snap_frame frame = { .offset = m->pack_len, .plain = (uint32_t)len };
    size_t stored = 0;
    bv_error *err = NULL;

    bvi_blake3_hash(plain, len, frame.hash.bytes);
    bvt_assert_ok(bvi_frame_pack(m->packer, plain, len, m->pack + m->pack_len,
                                 PACK_ROOM - m->pack_len, &stored, &frame.codec, &err),
                  err);
    frame.stored = (uint32_t)stored;
    m->pack_len += stored;
    m->root.stored_bytes += stored;
    return frame;
}

/* ---- chunks and pages ---- */

static void end_page(snap_maker *m)
{
    bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);
    bvi_snap_page_ref *ref;
    bvi_snap_frame frame;
    bv_error *err = NULL;
    bvi_page page;

    close_pack(m);
    for (size_t i = 0; i < m->n_chunks; i++)
        bvt_assert_ok(bvi_page_writer_chunk(m->page, &m->chunks[i], &err), err);
    bvt_assert_ok(bvi_page_writer_finish(m->page, &bytes, &err), err);
    if (m->bend)
        m->bend(&bytes, m->bend_data);
    frame = pack_frame(m, bytes.data, bytes.len);
    frame.pack = put_pack(m, m->pack, m->pack_len);
    m->pack_len = 0;
    ref = bvi_vec_push(&m->root.pages);
    ck_assert_ptr_nonnull(ref);
    ref->frame = frame;
    ref->chunks = (uint32_t)m->n_chunks;
    ref->bytes = m->page_bytes;
    {
        uint8_t *copy = bvi_malloc(bytes.len);

        memcpy(copy, bytes.data, bytes.len);
        if (bvi_page_open(&page, copy, bytes.len, NULL) == 0) {
            ref->entries = page.n_entries;
            bvi_page_done(&page);
        } else {
            bvi_free(copy);
        }
    }
    m->root.chunks += m->n_chunks;
    m->root.plain_bytes += m->page_bytes;
    m->n_chunks = m->first_unpacked = 0;
    m->page_bytes = 0;
    bvi_buf_done(&bytes);
}

static void end_chunk(snap_maker *m)
{
    if (m->chunk_len == 0)
        return;
    ck_assert_uint_lt(m->n_chunks, BVI_COUNT(m->chunks));
    m->chunks[m->n_chunks++] = pack_frame(m, m->chunk, m->chunk_len);
    m->chunk_len = 0;
    if (m->pack_len >= m->pack_bytes)
        close_pack(m);
}

/* Takes data of the last file; a page that is full goes on in another with the same file. */
static void take(snap_maker *m, uint64_t pos, const uint8_t *bytes, size_t len)
{
    bv_error *err = NULL;

    while (len > 0) {
        size_t n = m->chunk_bytes - m->chunk_len;

        if (m->n_chunks >= m->page_chunks && m->chunk_len == 0) {
            bvi_snap_entry more = { .kind = BVI_SNAP_CONTINUED,
                                    .path = m->last_path,
                                    .size = m->last.size };

            end_page(m);
            bvt_assert_ok(bvi_page_writer_entry(m->page, &more, &err), err);
        }
        n = n < len ? n : len;
        bvt_assert_ok(bvi_page_writer_extent(m->page, pos, n, &err), err);
        memcpy(m->chunk + m->chunk_len, bytes, n);
        m->chunk_len += n;
        m->page_bytes += n;
        bytes += n;
        pos += n;
        len -= n;
        if (m->chunk_len == m->chunk_bytes)
            end_chunk(m);
    }
}

/* ---- entries ---- */

void snap_maker_entry(snap_maker *m, const bvi_snap_entry *entry, const void *bytes)
{
    bvi_snap_entry bare = *entry;
    const uint8_t *at = bytes;
    bv_error *err = NULL;

    bare.extents = NULL;
    bare.n_extents = 0;
    bvt_assert_ok(bvi_page_writer_entry(m->page, &bare, &err), err);
    m->root.entries++;
    m->root.files += entry->kind == BVI_SNAP_FILE;
    m->last = bare;
    (void)snprintf(m->last_path, sizeof(m->last_path), "%s", entry->path);
    for (size_t i = 0; i < entry->n_extents; i++) {
        take(m, entry->extents[i].pos, at, (size_t)entry->extents[i].len);
        at += entry->extents[i].len;
    }
}

void snap_maker_dir(snap_maker *m, const char *path, uint32_t mode)
{
    snap_maker_entry(m,
                     &(bvi_snap_entry){ .kind = BVI_SNAP_DIR,
                                        .path = path,
                                        .mode = mode,
                                        .mtime_s = 1500000000,
                                        .mtime_ns = 123 },
                     NULL);
}

void snap_maker_sparse(snap_maker *m, const char *path, uint64_t size,
                       const bvi_snap_extent *extents, size_t n, const void *bytes)
{
    snap_maker_entry(m,
                     &(bvi_snap_entry){ .kind = BVI_SNAP_FILE,
                                        .path = path,
                                        .mode = 0640,
                                        .size = size,
                                        .mtime_s = 1600000000,
                                        .mtime_ns = 456,
                                        .extents = extents,
                                        .n_extents = n },
                     bytes);
}

void snap_maker_file(snap_maker *m, const char *path, const void *bytes, size_t len)
{
    bvi_snap_extent all = { .pos = 0, .len = len };

    snap_maker_sparse(m, path, len, &all, len > 0 ? 1 : 0, bytes);
}

void snap_maker_symlink(snap_maker *m, const char *path, const char *target)
{
    snap_maker_entry(m,
                     &(bvi_snap_entry){ .kind = BVI_SNAP_SYMLINK,
                                        .path = path,
                                        .mode = 0777,
                                        .mtime_s = 1400000000,
                                        .target = target },
                     NULL);
}

void snap_maker_hardlink(snap_maker *m, const char *path, const char *target)
{
    snap_maker_entry(
        m, &(bvi_snap_entry){ .kind = BVI_SNAP_HARDLINK, .path = path, .target = target }, NULL);
}

/* ---- whole snapshots ---- */

void snap_maker_init(snap_maker *m, const char *store, const char *key, uint64_t version)
{
    bv_error *err = NULL;

    memset(m, 0, sizeof(*m));
    m->store = store;
    m->key = key;
    m->chunk_bytes = 65536;
    m->page_chunks = 64;
    m->pack_bytes = 512 * 1024;
    m->chunk = malloc(BVI_SNAP_CHUNK_MAX);
    m->pack = malloc(PACK_ROOM);
    bvi_snap_root_init(&m->root);
    m->root.key = bvi_strdup(key);
    m->root.version = version;
    m->root.created_us = 1700000000000000 + (int64_t)version;
    m->root.codec = BVI_SNAP_ZSTD;
    m->root.level = 1;
    bvt_assert_ok(bvi_page_writer_new(&m->page, &err), err);
    bvt_assert_ok(bvi_frame_packer_new(BVI_SNAP_ZSTD, 1, &m->packer, &err), err);
}

void snap_maker_end(snap_maker *m)
{
    bvi_buf text = BVI_BUF_INIT(BVI_SNAP_ROOT_MAX);
    bv_error *err = NULL;
    char *key;

    end_chunk(m);
    end_page(m);
    if (m->bend_root)
        m->bend_root(&m->root);
    bvt_assert_ok(bvi_snap_root_print(&m->root, &text, &err), err);
    key = bvi_snap_root_key(m->key, m->root.version);
    put(m, key, text.data, text.len);
    bvi_free(key);
    bvi_buf_done(&text);
    bvi_snap_root_done(&m->root);
    bvi_page_writer_free(m->page);
    bvi_frame_packer_free(m->packer);
    free(m->chunk);
    free(m->pack);
}

void snap_maker_mixed(snap_maker *m, unsigned seed)
{
    static uint8_t bytes[4 * 1024 * 1024];
    const bvi_snap_extent holes[] = { { 65536, 70000 }, { 1048576, 4096 }, { 3000000, 100 } };
    char name[64];

    fill_bytes(bytes, sizeof(bytes), 1);
    snap_maker_dir(m, "", 0755);
    snap_maker_file(m, "a file", bytes, 1000);
    snap_maker_dir(m, "chain", 0750);
    snap_maker_file(m, "chain/big.mdb", bytes, sizeof(bytes));
    snap_maker_sparse(m, "chain/holes", 5000000, holes, BVI_COUNT(holes), bytes + 777);
    snap_maker_sparse(m, "chain/only hole", 123456, NULL, 0, NULL);
    fill_bytes(bytes, sizeof(bytes), seed);
    snap_maker_file(m, "chain/seeded", bytes, 300000);
    snap_maker_dir(m, "empty", 0700);
    snap_maker_file(m, "nothing", NULL, 0);
    snap_maker_hardlink(m, "other name", "chain/big.mdb");
    snap_maker_dir(m, "small", 0755);
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "small/%03u.sst", i);
        fill_bytes(bytes, 13 * i, i == 50 ? seed : i);
        snap_maker_file(m, name, bytes, 13 * i);
    }
    snap_maker_dir(m, "small.d", 0555);
    snap_maker_file(m, "small.d/odd\nname \xff\x01", bytes, 5);
    snap_maker_symlink(m, "to chain", "chain/../chain");
    snap_maker_symlink(m, "to nowhere", "/does/not/exist");
}
