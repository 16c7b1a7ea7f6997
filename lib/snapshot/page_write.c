/*
 * page_write.c - one page of a snapshot as bytes; the upload engine's half of page.h.
 *
 * The three lists of a page are written side by side into buffers of their own and put together at
 * the end. The extents of the last file stay apart until the next entry comes, as their count
 * stands before them. Pure; one thread at a time.
 */
#include <string.h>

#include "snapshot/page.h"
#include "snapshot/page_impl.h"

#define PACKS_MAX (BVI_SNAP_PAGE_MAX / BVI_BLAKE3_SIZE)
/* Slots of the index of packs: a power of two, twice as many as there can be. */
#define PACK_SLOTS 65536u
/* Magic, and the three counts at their longest. */
#define FRAME_BYTES (BVI_PAGE_MAGIC_LEN + 3u * 5u)

struct bvi_page_writer {
    bvi_buf packs;   /* ids */
    bvi_buf entries; /* without the extents of the last one */
    bvi_buf extents; /* of the last entry */
    bvi_buf chunks;
    uint32_t *slots; /* pack number + 1, by the id's first bytes */
    uint32_t n_packs;
    uint32_t last_pack;
    uint32_t n_entries;
    uint32_t n_extents; /* of the last entry */
    uint32_t n_chunks;
    bool open_file;    /* the last entry takes extents */
    uint64_t file_pos; /* where its last extent ended */
    uint64_t file_size;
    uint64_t extent_bytes;
    uint64_t chunk_bytes;
    size_t path_len;
    char path[BVI_SNAP_PATH_MAX + 1]; /* of the last entry */
};

static size_t put_varint(uint8_t *at, uint64_t value)
{
    size_t n = 0;

    while (value >= 0x80) {
        at[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    at[n++] = (uint8_t)value;
    return n;
}

static int add_varint(bvi_buf *buf, uint64_t value)
{
    uint8_t bytes[BVI_PAGE_VARINT_MAX];

    return bvi_buf_append(buf, bytes, put_varint(bytes, value));
}

static int add_string(bvi_buf *buf, const void *bytes, size_t len)
{
    int r = add_varint(buf, len);

    return r < 0 ? r : bvi_buf_append(buf, bytes, len);
}

static int full(int code, bv_error **err)
{
    if (code == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    return bvi_fail(err, code, "a page of a snapshot is longer than %u bytes", BVI_SNAP_PAGE_MAX);
}

int bvi_page_writer_new(bvi_page_writer **ret_writer, bv_error **err)
{
    bvi_page_writer *writer = bvi_new0(bvi_page_writer);

    if (writer)
        writer->slots = bvi_new_array(uint32_t, PACK_SLOTS);
    if (!writer || !writer->slots) {
        bvi_free(writer);
        return bvi_fail_nomem(err);
    }
    bvi_buf_init(&writer->packs, BVI_SNAP_PAGE_MAX);
    bvi_buf_init(&writer->entries, BVI_SNAP_PAGE_MAX);
    bvi_buf_init(&writer->extents, BVI_SNAP_PAGE_MAX);
    bvi_buf_init(&writer->chunks, BVI_SNAP_PAGE_MAX);
    *ret_writer = writer;
    return 0;
}

void bvi_page_writer_free(bvi_page_writer *writer)
{
    if (!writer)
        return;
    bvi_buf_done(&writer->packs);
    bvi_buf_done(&writer->entries);
    bvi_buf_done(&writer->extents);
    bvi_buf_done(&writer->chunks);
    bvi_free(writer->slots);
    bvi_free(writer);
}

void bvi_page_writer_resume(bvi_page_writer *writer, uint64_t end_pos)
{
    writer->file_pos = end_pos;
}

/* ---- entries ---- */

/* Ends the last entry: its extents follow their count. */
static int close_file(bvi_page_writer *w)
{
    int r;

    if (!w->open_file)
        return 0;
    r = add_varint(&w->entries, w->n_extents);
    if (r == 0)
        r = bvi_buf_append(&w->entries, w->extents.data, w->extents.len);
    if (r < 0)
        return r;
    bvi_buf_clear(&w->extents);
    w->n_extents = 0;
    w->open_file = false;
    return 0;
}

static int add_path(bvi_page_writer *w, const char *path)
{
    size_t len = strlen(path);
    size_t shared = 0;
    int r;

    while (w->n_entries > 0 && shared < len && shared < w->path_len &&
           path[shared] == w->path[shared])
        shared++;
    r = add_varint(&w->entries, shared);
    if (r == 0)
        r = add_string(&w->entries, path + shared, len - shared);
    if (r < 0)
        return r;
    memcpy(w->path, path, len + 1);
    w->path_len = len;
    return 0;
}

static int add_meta(bvi_buf *buf, const bvi_snap_entry *entry)
{
    uint64_t zigzag = ((uint64_t)entry->mtime_s << 1) ^ (uint64_t)(entry->mtime_s >> 63);
    int r = add_varint(buf, entry->mode);

    if (r == 0)
        r = add_varint(buf, entry->uid);
    if (r == 0)
        r = add_varint(buf, entry->gid);
    if (r == 0)
        r = add_varint(buf, zigzag);
    if (r == 0)
        r = add_varint(buf, entry->mtime_ns);
    if (r == 0)
        r = add_varint(buf, entry->n_xattrs);
    for (size_t i = 0; r == 0 && i < entry->n_xattrs; i++) {
        const bvi_snap_xattr *xattr = &entry->xattrs[i];

        r = add_string(buf, xattr->name, strlen(xattr->name));
        if (r == 0)
            r = add_string(buf, xattr->value, xattr->value_len);
    }
    return r;
}

static int add_body(bvi_page_writer *w, const bvi_snap_entry *entry)
{
    int r = 0;

    if (entry->kind != BVI_SNAP_CONTINUED && entry->kind != BVI_SNAP_HARDLINK)
        r = add_meta(&w->entries, entry);
    if (r == 0 && entry->target)
        r = add_string(&w->entries, entry->target, strlen(entry->target));
    if (r == 0 && (entry->kind == BVI_SNAP_FILE || entry->kind == BVI_SNAP_CONTINUED))
        r = add_varint(&w->entries, entry->size);
    return r;
}

static int entry_check(const bvi_page_writer *w, const bvi_snap_entry *entry, bv_error **err)
{
    int r = bvi_snap_entry_check(entry, strlen(entry->path), 0, err);

    if (r < 0)
        return r;
    if (entry->kind == BVI_SNAP_CONTINUED && w->n_entries > 0)
        return bvi_fail(err, BV_E_INVALID, "'%s' is continued in the middle of a page",
                        entry->path);
    if (w->n_entries > 0 && bvi_snap_path_compare(w->path, entry->path) >= 0)
        return bvi_fail(err, BV_E_INVALID, "'%s' does not come behind '%s'", entry->path, w->path);
    return 0;
}

int bvi_page_writer_entry(bvi_page_writer *w, const bvi_snap_entry *entry, bv_error **err)
{
    char kind = (char)entry->kind;
    int r = entry_check(w, entry, err);

    if (r < 0)
        return r;
    r = close_file(w);
    if (r == 0)
        r = bvi_buf_append(&w->entries, &kind, 1);
    if (r == 0)
        r = add_path(w, entry->path);
    if (r == 0)
        r = add_body(w, entry);
    if (r < 0)
        return full(r, err);
    w->n_entries++;
    w->open_file = entry->kind == BVI_SNAP_FILE || entry->kind == BVI_SNAP_CONTINUED;
    w->file_size = entry->size;
    if (entry->kind != BVI_SNAP_CONTINUED)
        w->file_pos = 0;
    for (size_t i = 0; i < entry->n_extents; i++) {
        r = bvi_page_writer_extent(w, entry->extents[i].pos, entry->extents[i].len, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int bvi_page_writer_extent(bvi_page_writer *w, uint64_t pos, uint64_t len, bv_error **err)
{
    int r;

    if (!w->open_file || len == 0 || pos < w->file_pos || pos > w->file_size ||
        len > w->file_size - pos)
        return bvi_fail(err, BV_E_INVALID,
                        "an extent of '%s' is empty, out of order or beyond its size", w->path);
    r = add_varint(&w->extents, pos - w->file_pos);
    if (r == 0)
        r = add_varint(&w->extents, len);
    if (r < 0)
        return full(r, err);
    w->n_extents++;
    w->file_pos = pos + len;
    w->extent_bytes += len;
    return 0;
}

/* ---- chunks ---- */

static const char *pack_at(const bvi_page_writer *w, uint32_t number)
{
    return w->packs.data + (size_t)number * BVI_BLAKE3_SIZE;
}

/* The number of a pack in this page, which gets one if it has none. */
static int number_of_pack(bvi_page_writer *w, const bvi_hash256 *pack, uint32_t *ret_number)
{
    uint32_t slot = 0;
    int r;

    if (w->n_packs > 0 && memcmp(pack_at(w, w->last_pack), pack->bytes, BVI_BLAKE3_SIZE) == 0) {
        *ret_number = w->last_pack;
        return 0;
    }
    memcpy(&slot, pack->bytes, sizeof(slot));
    slot %= PACK_SLOTS;
    while (w->slots[slot] > 0 &&
           memcmp(pack_at(w, w->slots[slot] - 1), pack->bytes, BVI_BLAKE3_SIZE) != 0)
        slot = (slot + 1) % PACK_SLOTS;
    if (w->slots[slot] == 0) {
        r = w->n_packs < PACKS_MAX ? bvi_buf_append(&w->packs, pack->bytes, BVI_BLAKE3_SIZE)
                                   : BV_E_LIMIT;
        if (r < 0)
            return r;
        w->slots[slot] = ++w->n_packs;
    }
    *ret_number = w->last_pack = w->slots[slot] - 1;
    return 0;
}

int bvi_page_writer_chunk(bvi_page_writer *w, const bvi_snap_frame *chunk, bv_error **err)
{
    uint8_t bytes[BVI_BLAKE3_SIZE + 5u * BVI_PAGE_VARINT_MAX];
    size_t len = BVI_BLAKE3_SIZE;
    uint32_t pack = 0;
    int r = bvi_snap_frame_check(chunk, err);

    if (r < 0)
        return r;
    r = number_of_pack(w, &chunk->pack, &pack);
    if (r < 0)
        return full(r, err);
    memcpy(bytes, chunk->hash.bytes, BVI_BLAKE3_SIZE);
    len += put_varint(bytes + len, chunk->plain);
    len += put_varint(bytes + len, (uint64_t)chunk->codec);
    len += put_varint(bytes + len, pack);
    len += put_varint(bytes + len, chunk->offset);
    len += put_varint(bytes + len, chunk->stored);
    r = bvi_buf_append(&w->chunks, bytes, len);
    if (r < 0)
        return full(r, err);
    w->n_chunks++;
    w->chunk_bytes += chunk->plain;
    return 0;
}

/* ---- the whole ---- */

size_t bvi_page_writer_size(const bvi_page_writer *w)
{
    /* Five bytes for the count of the extents that are not counted yet. */
    return FRAME_BYTES + 5 + w->packs.len + w->entries.len + w->extents.len + w->chunks.len;
}

size_t bvi_page_entry_room(const bvi_snap_entry *entry)
{
    size_t room = 1 + 2 * 3 + strlen(entry->path); /* kind, shared, suffix */

    room += 6 * BVI_PAGE_VARINT_MAX + 5;                     /* meta or size */
    room += BVI_PAGE_EXTENT_ROOM * entry->n_extents + 5 + 5; /* and the counts of this and before */
    if (entry->target)
        room += 5 + strlen(entry->target);
    for (size_t i = 0; i < entry->n_xattrs; i++)
        room += 5 + strlen(entry->xattrs[i].name) + 5 + entry->xattrs[i].value_len;
    return room;
}

uint32_t bvi_page_writer_entries(const bvi_page_writer *w)
{
    return w->n_entries;
}

uint32_t bvi_page_writer_chunks(const bvi_page_writer *w)
{
    return w->n_chunks;
}

uint64_t bvi_page_writer_chunk_bytes(const bvi_page_writer *w)
{
    return w->chunk_bytes;
}

/* Empty again, but for where the last file ended. */
static void clear(bvi_page_writer *w)
{
    bvi_buf_clear(&w->packs);
    bvi_buf_clear(&w->entries);
    bvi_buf_clear(&w->extents);
    bvi_buf_clear(&w->chunks);
    memset(w->slots, 0, PACK_SLOTS * sizeof(*w->slots));
    w->n_packs = w->last_pack = w->n_entries = w->n_extents = w->n_chunks = 0;
    w->open_file = false;
    w->extent_bytes = w->chunk_bytes = 0;
    w->path_len = 0;
}

static int join(bvi_page_writer *w, bvi_buf *page)
{
    int r = bvi_buf_append(page, BVI_PAGE_MAGIC, BVI_PAGE_MAGIC_LEN);

    if (r == 0)
        r = add_varint(page, w->n_packs);
    if (r == 0)
        r = bvi_buf_append(page, w->packs.data, w->packs.len);
    if (r == 0)
        r = add_varint(page, w->n_entries);
    if (r == 0)
        r = bvi_buf_append(page, w->entries.data, w->entries.len);
    if (r == 0)
        r = add_varint(page, w->n_chunks);
    return r < 0 ? r : bvi_buf_append(page, w->chunks.data, w->chunks.len);
}

int bvi_page_writer_finish(bvi_page_writer *w, bvi_buf *page, bv_error **err)
{
    size_t before = page->len;
    int r;

    if (w->extent_bytes != w->chunk_bytes)
        return bvi_fail(err, BV_E_INTERNAL, "a page has %llu bytes of extents, but %llu of chunks",
                        (unsigned long long)w->extent_bytes, (unsigned long long)w->chunk_bytes);
    r = close_file(w);
    if (r == 0)
        r = bvi_buf_reserve(page, bvi_page_writer_size(w));
    if (r == 0)
        r = join(w, page);
    if (r == 0 && page->len - before > BVI_SNAP_PAGE_MAX)
        r = BV_E_LIMIT;
    if (r < 0)
        return full(r, err);
    clear(w);
    return 0;
}
