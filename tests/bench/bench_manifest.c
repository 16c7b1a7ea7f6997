/*
 * bench_manifest.c - a snapshot of many terabytes of which only the beginning exists; for
 * tools/bench.
 *
 *     bench_manifest STORE-DIRECTORY FILES REAL
 *
 * Writes version 1 of the key "huge": so many files of 1 GiB, in chunks of 1 MiB. The data of the
 * first REAL chunks is in the store, the other chunks name packs that are not. Prints how many
 * chunks it has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/frame.h"
#include "snapshot/page.h"
#include "snapshot/root.h"
#include "sys/fs.h"

#define KEY             "huge"
#define CHUNK           (1u << 20)
#define FILE_CHUNKS     1024u
#define FILES_IN_FOLDER 100u

typedef struct maker {
    const char *store;
    bvi_frame_packer *packer;
    bvi_page_writer *writer;
    bvi_snap_root root;
    bvi_buf pack; /* being filled */
    uint64_t chunks;
    uint64_t real;
    bvi_snap_frame *known; /* frames of the real chunks */
} maker;

static void must(int r, bv_error *err)
{
    char text[1024];

    if (r >= 0)
        return;
    (void)bv_error_format(err, text, sizeof(text));
    (void)fprintf(stderr, "bench_manifest: %s\n", text);
    exit(1);
}

static void put(const maker *m, const char *key, const void *bytes, size_t len)
{
    bvi_auto_free char *path = bvi_path_join(m->store, key, NULL);
    bvi_auto_free char *dir = bvi_strdup(path);
    bv_error *err = NULL;

    *strrchr(dir, '/') = '\0';
    must(bvi_fs_mkdir(dir, 0755, &err), err);
    must(bvi_fs_replace(path, bytes, len, 0644, &err), err);
}

/* Stores the pack; every frame in it now has a place. */
static void close_pack(maker *m, bvi_hash256 *ret_id)
{
    bvi_auto_free char *key = NULL;

    bvi_blake3_hash(m->pack.data, m->pack.len, ret_id->bytes);
    key = bvi_snap_pack_key(KEY, ret_id);
    put(m, key, m->pack.data, m->pack.len);
    m->pack.len = 0;
}

static void add_frame(maker *m, const void *plain, size_t len, bvi_snap_frame *ret_frame)
{
    size_t bound = bvi_frame_bound(len);
    bvi_auto_free uint8_t *out = bvi_malloc(bound);
    size_t stored = 0;
    bv_error *err = NULL;

    *ret_frame = (bvi_snap_frame){ .offset = m->pack.len, .plain = (uint32_t)len };
    bvi_blake3_hash(plain, len, ret_frame->hash.bytes);
    must(bvi_frame_pack(m->packer, plain, len, out, bound, &stored, &ret_frame->codec, &err), err);
    ret_frame->stored = (uint32_t)stored;
    must(bvi_buf_append(&m->pack, out, stored), NULL);
}

/* Chunks with a number and noise in them, eight of them in a pack. */
static void make_real(maker *m)
{
    bvi_auto_free uint64_t *plain = bvi_malloc(CHUNK);
    uint64_t noise = 1;

    m->known = bvi_new_array(bvi_snap_frame, m->real);
    for (uint64_t first = 0; first < m->real; first += 8) {
        bvi_hash256 id;

        for (uint64_t i = first; i < first + 8 && i < m->real; i++) {
            for (size_t at = 0; at < CHUNK / 8; at++)
                plain[at] = (noise = noise * 6364136223846793005u + 1442695040888963407u) + i;
            add_frame(m, plain, CHUNK, &m->known[i]);
        }
        close_pack(m, &id);
        for (uint64_t i = first; i < first + 8 && i < m->real; i++)
            m->known[i].pack = id;
    }
}

static bvi_snap_frame chunk_of(const maker *m, uint64_t number)
{
    bvi_snap_frame f = { .offset = number % 8 * CHUNK, .stored = CHUNK, .plain = CHUNK };
    uint64_t pack = number / 8;

    if (number < m->real)
        return m->known[number];
    for (size_t i = 0; i < 4; i++) {
        uint64_t h = (number * 4 + i + 1) * 0x9E3779B97F4A7C15u;
        uint64_t p = (pack * 4 + i + 1) * 0xD1342543DE82EF95u;

        memcpy(f.hash.bytes + 8 * i, &h, 8);
        memcpy(f.pack.bytes + 8 * i, &p, 8);
    }
    return f;
}

static void close_page(maker *m)
{
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(BVI_SNAP_PAGE_MAX);
    bvi_snap_page_ref *ref = bvi_vec_push(&m->root.pages);
    bv_error *err = NULL;

    if (!ref)
        must(BV_E_NOMEM, NULL);
    *ref = (bvi_snap_page_ref){ .entries = bvi_page_writer_entries(m->writer),
                                .chunks = bvi_page_writer_chunks(m->writer),
                                .bytes = bvi_page_writer_chunk_bytes(m->writer) };
    must(bvi_page_writer_finish(m->writer, &bytes, &err), err);
    add_frame(m, bytes.data, bytes.len, &ref->frame);
    close_pack(m, &ref->frame.pack); /* a pack for each page is as good here */
}

static void add_entry(maker *m, const bvi_snap_entry *entry)
{
    bv_error *err = NULL;

    must(bvi_page_writer_entry(m->writer, entry, &err), err);
    m->root.entries++;
}

static void add_file(maker *m, uint64_t number)
{
    const bvi_snap_extent extent = { 0, (uint64_t)FILE_CHUNKS * CHUNK };
    bv_error *err = NULL;
    char path[64];

    (void)snprintf(path, sizeof(path), "d%06llu", (unsigned long long)(number / FILES_IN_FOLDER));
    if (number % FILES_IN_FOLDER == 0)
        add_entry(m, &(bvi_snap_entry){ .kind = BVI_SNAP_DIR, .path = path, .mode = 0755 });
    (void)snprintf(path, sizeof(path), "d%06llu/f%08llu",
                   (unsigned long long)(number / FILES_IN_FOLDER), (unsigned long long)number);
    add_entry(m, &(bvi_snap_entry){ .kind = BVI_SNAP_FILE,
                                    .path = path,
                                    .mode = 0644,
                                    .size = extent.len,
                                    .extents = &extent,
                                    .n_extents = 1 });
    m->root.files++;
    for (uint64_t i = 0; i < FILE_CHUNKS; i++) {
        bvi_snap_frame f = chunk_of(m, m->chunks++);

        must(bvi_page_writer_chunk(m->writer, &f, &err), err);
        m->root.stored_bytes += f.stored;
    }
    if (bvi_page_writer_size(m->writer) + FILE_CHUNKS * (uint64_t)BVI_PAGE_CHUNK_ROOM + 8192 >
        BVI_SNAP_PAGE_MAX)
        close_page(m);
}

static void make_root(maker *m)
{
    static const char latest[] = "{\"format\":\"blockvisor-snapshot\",\"version\":1}";
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_SNAP_ROOT_MAX);
    bvi_auto_free char *key = bvi_snap_root_key(KEY, 1);
    bvi_auto_free char *hint = bvi_snap_latest_key(KEY);
    bv_error *err = NULL;

    m->root.version = 1;
    m->root.created_us = 1;
    m->root.codec = BVI_SNAP_ZSTD;
    m->root.level = 1;
    m->root.chunks = m->chunks;
    m->root.plain_bytes = m->chunks * CHUNK;
    m->root.sent_bytes = m->root.stored_bytes;
    must(bvi_snap_root_print(&m->root, &text, &err), err);
    put(m, key, text.data, text.len);
    put(m, hint, latest, sizeof(latest) - 1);
}

int main(int argc, char **argv)
{
    maker m = { .store = argv[1], .pack = BVI_BUF_INIT(BVI_SNAP_PACK_MAX) };
    bv_error *err = NULL;
    uint64_t files;

    if (argc != 4) {
        (void)fputs("usage: bench_manifest STORE-DIRECTORY FILES REAL\n", stderr);
        return 2;
    }
    files = strtoull(argv[2], NULL, 10);
    m.real = strtoull(argv[3], NULL, 10);
    bvi_snap_root_init(&m.root);
    m.root.key = bvi_strdup(KEY);
    must(bvi_frame_packer_new(BVI_SNAP_ZSTD, 1, &m.packer, &err), err);
    must(bvi_page_writer_new(&m.writer, &err), err);
    make_real(&m);
    add_entry(&m, &(bvi_snap_entry){ .kind = BVI_SNAP_DIR, .path = "", .mode = 0755 });
    for (uint64_t i = 0; i < files; i++)
        add_file(&m, i);
    if (bvi_page_writer_entries(m.writer) > 0)
        close_page(&m);
    make_root(&m);
    (void)printf("%llu\n", (unsigned long long)m.chunks);
    bvi_snap_root_done(&m.root);
    bvi_page_writer_free(m.writer);
    bvi_frame_packer_free(m.packer);
    bvi_buf_done(&m.pack);
    bvi_free(m.known);
    return 0;
}
