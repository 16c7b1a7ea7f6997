/*
 * page.c - reading one page of a snapshot, which anybody may have written.
 *
 * The iterators check whatever they read, and opening a page walks it once from end to end: so
 * there is one piece of code that knows the bytes, and a page that opened holds what the format
 * promises. Of a path only what it does not share with the one before is looked at, which keeps the
 * work in proportion to the page. Pure; any thread.
 */
#include <string.h>

#include "snapshot/page.h"
#include "snapshot/page_impl.h"

/* The shortest entry and chunk: what their counts are held against. */
#define ENTRY_BYTES_MIN 5u
#define CHUNK_BYTES_MIN (BVI_BLAKE3_SIZE + 5u)

/* ---- numbers and strings; false: not there or not in the right form ---- */

static bool get_varint(const bvi_page *page, size_t *at, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < BVI_PAGE_VARINT_MAX && *at < page->len; i++) {
        uint8_t byte = page->bytes[(*at)++];

        if (i == BVI_PAGE_VARINT_MAX - 1 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        if ((byte == 0 && i > 0) || value > max)
            return false; /* more bytes than needed, or beyond its limit */
        *ret_value = value;
        return true;
    }
    return false;
}

static bool get_u32(const bvi_page *page, size_t *at, uint32_t max, uint32_t *ret_value)
{
    uint64_t value = 0;

    if (!get_varint(page, at, max, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

/* So many bytes behind their length. */
static bool get_bytes(const bvi_page *page, size_t *at, size_t max, const uint8_t **ret_bytes,
                      size_t *ret_len)
{
    uint64_t len = 0;

    if (!get_varint(page, at, max, &len) || len > page->len - *at)
        return false;
    *ret_bytes = page->bytes + *at;
    *ret_len = (size_t)len;
    *at += (size_t)len;
    return true;
}

/* Bytes without a zero among them, to `text`, which has room for max + 1. */
static bool get_text(const bvi_page *page, size_t *at, size_t max, char *text, size_t *ret_len)
{
    const uint8_t *bytes = NULL;

    if (!get_bytes(page, at, max, &bytes, ret_len) || memchr(bytes, 0, *ret_len))
        return false;
    memcpy(text, bytes, *ret_len);
    text[*ret_len] = '\0';
    return true;
}

static int damaged(size_t at, const char *what, bv_error **err)
{
    return bvi_fail(err, BV_E_FORMAT, "a page of the snapshot is damaged at byte %zu: %s", at,
                    what);
}

/* ---- entries ---- */

void bvi_page_entries_init(bvi_page_entries *it, const bvi_page *page, uint64_t end_pos)
{
    it->page = page;
    it->at = page->entries_at;
    it->left = page->n_entries;
    it->first = true;
    it->entry = (bvi_snap_entry){ .path = it->path };
    it->path_len = 0;
    it->path[0] = '\0';
    it->target[0] = '\0';
    it->end_pos = end_pos;
    it->extents.items = NULL;
    it->extents.len = it->extents.cap = 0;
    it->extents.max = BVI_SNAP_PAGE_MAX;
    it->xattrs.items = NULL;
    it->xattrs.len = it->xattrs.cap = 0;
    it->xattrs.max = BVI_SNAP_XATTRS_MAX;
    bvi_buf_init(&it->names, BVI_SNAP_XATTR_BYTES + BVI_SNAP_XATTRS_MAX);
}

void bvi_page_entries_done(bvi_page_entries *it)
{
    bvi_vec_done(&it->extents);
    bvi_vec_done(&it->xattrs);
    bvi_buf_done(&it->names);
}

/*
 * The path, in place: only what differs from the one before is written and looked at, and what goes
 * away came with an entry of this page once, so all paths together cost no more than the page.
 * *ret_kept: how many bytes were kept.
 */
static int read_path(bvi_page_entries *it, size_t *ret_kept, bv_error **err)
{
    const bvi_page *page = it->page;
    const uint8_t *suffix = NULL;
    char old[BVI_SNAP_PATH_MAX + 1]; /* what lies behind the kept part */
    size_t old_len = it->path_len;
    size_t at = it->at;
    size_t len = 0;
    uint64_t shared = 0;

    if (!get_varint(page, &it->at, old_len, &shared) ||
        !get_bytes(page, &it->at, BVI_SNAP_PATH_MAX - shared, &suffix, &len) ||
        memchr(suffix, 0, len))
        return damaged(at, "an entry without a path", err);
    memcpy(old + shared, it->path + shared, old_len - shared);
    memcpy(it->path + shared, suffix, len);
    it->path_len = (size_t)shared + len;
    it->path[it->path_len] = '\0';
    *ret_kept = (size_t)shared;
    if (!it->first && !bvi_snap_path_follows_from(old, old_len, it->entry.kind, it->path,
                                                  it->path_len, (size_t)shared))
        return damaged(at, "an entry out of order", err);
    return 0;
}

static bool read_xattr(bvi_page_entries *it)
{
    bvi_snap_xattr *xattr = bvi_vec_push(&it->xattrs);
    const uint8_t *name = NULL;
    size_t len = 0;

    if (!xattr || !get_bytes(it->page, &it->at, BVI_SNAP_NAME_MAX, &name, &len) ||
        memchr(name, 0, len))
        return false;
    xattr->name = it->names.data + it->names.len;
    if (bvi_buf_append(&it->names, name, len) < 0 || bvi_buf_append_char(&it->names, '\0') < 0)
        return false; /* cannot be: there is room, see read_xattrs() */
    return get_bytes(it->page, &it->at, BVI_SNAP_XATTR_BYTES, &xattr->value, &xattr->value_len);
}

static int read_xattrs(bvi_page_entries *it, bv_error **err)
{
    size_t at = it->at;
    uint32_t n = 0;

    bvi_buf_clear(&it->names);
    it->xattrs.len = 0;
    if (!get_u32(it->page, &it->at, BVI_SNAP_XATTRS_MAX, &n))
        return damaged(at, "no count of extended attributes", err);
    /* Names must not move once they are pointed to. */
    if (n > 0 && (bvi_buf_reserve(&it->names, it->names.max) < 0 ||
                  (!it->xattrs.items &&
                   !(it->xattrs.items = bvi_new_array(bvi_snap_xattr, it->xattrs.max)))))
        return bvi_fail_nomem(err);
    if (n > 0)
        it->xattrs.cap = it->xattrs.max;
    for (uint32_t i = 0; i < n; i++) {
        if (!read_xattr(it))
            return damaged(at, "extended attributes", err);
    }
    it->entry.xattrs = it->xattrs.items;
    it->entry.n_xattrs = n;
    return 0;
}

static int read_meta(bvi_page_entries *it, bv_error **err)
{
    bvi_snap_entry *entry = &it->entry;
    const bvi_page *page = it->page;
    size_t at = it->at;
    uint64_t zigzag = 0;

    if (!get_u32(page, &it->at, UINT32_MAX, &entry->mode) ||
        !get_u32(page, &it->at, UINT32_MAX, &entry->uid) ||
        !get_u32(page, &it->at, UINT32_MAX, &entry->gid) ||
        !get_varint(page, &it->at, UINT64_MAX, &zigzag) ||
        !get_u32(page, &it->at, UINT32_MAX, &entry->mtime_ns))
        return damaged(at, "mode, owner or time of an entry", err);
    entry->mtime_s = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
    return read_xattrs(it, err);
}

static int read_target(bvi_page_entries *it, bv_error **err)
{
    size_t at = it->at;
    size_t len = 0;

    if (!get_text(it->page, &it->at, BVI_SNAP_PATH_MAX, it->target, &len))
        return damaged(at, "target of a link", err);
    it->entry.target = it->target;
    return 0;
}

static int read_extents(bvi_page_entries *it, uint32_t n, uint64_t pos, bv_error **err)
{
    uint64_t size = it->entry.size;
    uint64_t gap = 0;
    uint64_t len = 0;

    it->extents.len = 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t at = it->at;
        bvi_snap_extent *extent;

        if (pos > size || !get_varint(it->page, &it->at, size - pos, &gap) ||
            !get_varint(it->page, &it->at, size - pos - gap, &len) || len == 0)
            return damaged(at, "extents of a file", err);
        extent = bvi_vec_push(&it->extents);
        if (!extent)
            return bvi_fail_nomem(err);
        *extent = (bvi_snap_extent){ .pos = pos + gap, .len = len };
        pos += gap + len;
    }
    it->entry.extents = it->extents.items;
    it->entry.n_extents = n;
    return 0;
}

static int read_data(bvi_page_entries *it, bv_error **err)
{
    size_t at = it->at;
    uint32_t n = 0;

    if (!get_varint(it->page, &it->at, BVI_SNAP_FILE_MAX, &it->entry.size) ||
        !get_u32(it->page, &it->at, BVI_SNAP_PAGE_MAX, &n))
        return damaged(at, "size of a file", err);
    return read_extents(it, n, it->entry.kind == BVI_SNAP_CONTINUED ? it->end_pos : 0, err);
}

static int read_body(bvi_page_entries *it, bv_error **err)
{
    bvi_snap_kind kind = it->entry.kind;
    int r = 0;

    if (kind != BVI_SNAP_CONTINUED && kind != BVI_SNAP_HARDLINK)
        r = read_meta(it, err);
    if (r == 0 && (kind == BVI_SNAP_SYMLINK || kind == BVI_SNAP_HARDLINK))
        r = read_target(it, err);
    if (r == 0 && (kind == BVI_SNAP_FILE || kind == BVI_SNAP_CONTINUED))
        r = read_data(it, err);
    return r;
}

int bvi_page_entries_next(bvi_page_entries *it, bv_error **err)
{
    size_t at = it->at;
    size_t kept = 0;
    uint32_t kind = 0;
    int r;

    if (it->left == 0)
        return 0;
    if (!get_u32(it->page, &it->at, BVI_SNAP_HARDLINK, &kind) || kind < BVI_SNAP_DIR)
        return damaged(at, "an entry of unknown kind", err);
    if (kind == BVI_SNAP_CONTINUED && !it->first)
        return damaged(at, "a file that goes on behind another entry", err);
    r = read_path(it, &kept, err);
    if (r < 0)
        return r;
    it->entry = (bvi_snap_entry){ .kind = (bvi_snap_kind)kind, .path = it->path };
    r = read_body(it, err);
    if (r == 0)
        r = bvi_snap_entry_check(&it->entry, it->path_len, kept, err);
    if (r < 0)
        return r;
    it->first = false;
    it->left--;
    return 1;
}

/* ---- chunks ---- */

void bvi_page_chunks_init(bvi_page_chunks *it, const bvi_page *page)
{
    it->page = page;
    it->at = page->chunks_at;
    it->left = page->n_chunks;
}

static int read_chunk(bvi_page_chunks *it, bvi_snap_frame *chunk, bv_error **err)
{
    const bvi_page *page = it->page;
    size_t at = it->at;
    uint32_t codec = 0;
    uint32_t pack = 0;

    if (page->len - at < BVI_BLAKE3_SIZE)
        return damaged(at, "a chunk that is cut short", err);
    memcpy(chunk->hash.bytes, page->bytes + at, BVI_BLAKE3_SIZE);
    it->at += BVI_BLAKE3_SIZE;
    if (!get_u32(page, &it->at, BVI_SNAP_CHUNK_MAX, &chunk->plain) ||
        !get_u32(page, &it->at, BVI_SNAP_LZ4, &codec) ||
        !get_u32(page, &it->at, UINT32_MAX, &pack) || pack >= page->n_packs ||
        !get_varint(page, &it->at, BVI_SNAP_PACK_MAX, &chunk->offset) ||
        !get_u32(page, &it->at, BVI_SNAP_FRAME_MAX, &chunk->stored))
        return damaged(at, "a chunk's place", err);
    memcpy(chunk->pack.bytes, page->bytes + page->packs_at + (size_t)pack * BVI_BLAKE3_SIZE,
           BVI_BLAKE3_SIZE);
    chunk->codec = (bvi_snap_codec)codec;
    it->left--;
    return bvi_snap_frame_check(chunk, err);
}

bool bvi_page_chunks_next(bvi_page_chunks *it, bvi_snap_frame *ret_chunk)
{
    return it->left > 0 && read_chunk(it, ret_chunk, NULL) == 0;
}

/* ---- the whole ---- */

/* Walks over all entries; the bytes of their extents are what the chunks must have. */
static int open_entries(bvi_page *page, size_t *at, uint64_t *ret_bytes, bv_error **err)
{
    const uint64_t most = (uint64_t)(BVI_SNAP_PAGE_MAX / CHUNK_BYTES_MIN) * BVI_SNAP_CHUNK_MAX;
    BVI_AUTO(bvi_page_entries_done) bvi_page_entries it;
    uint64_t sum = 0;
    int r;

    bvi_page_entries_init(&it, page, 0);
    while ((r = bvi_page_entries_next(&it, err)) > 0) {
        for (size_t i = 0; i < it.entry.n_extents; i++) {
            if (it.entry.extents[i].len > most - sum)
                return damaged(it.at, "more data than it has chunks", err);
            sum += it.entry.extents[i].len;
        }
    }
    *at = it.at;
    *ret_bytes = sum;
    return r;
}

static int open_chunks(bvi_page *page, size_t *at, uint64_t *ret_bytes, bv_error **err)
{
    bvi_page_chunks it;
    bvi_snap_frame chunk;
    uint64_t sum = 0;

    bvi_page_chunks_init(&it, page);
    while (it.left > 0) {
        int r = read_chunk(&it, &chunk, err);

        if (r < 0)
            return r;
        sum += chunk.plain;
    }
    *at = it.at;
    *ret_bytes = sum;
    return 0;
}

static int open_lists(bvi_page *page, bv_error **err)
{
    size_t at = BVI_PAGE_MAGIC_LEN;
    uint64_t chunk_bytes = 0;
    int r;

    if (page->len < at || page->len > BVI_SNAP_PAGE_MAX ||
        memcmp(page->bytes, BVI_PAGE_MAGIC, BVI_PAGE_MAGIC_LEN) != 0)
        return bvi_fail(err, BV_E_FORMAT, "no page of a snapshot: its first bytes or length");
    if (!get_u32(page, &at, (uint32_t)(page->len / BVI_BLAKE3_SIZE), &page->n_packs) ||
        page->n_packs > (page->len - at) / BVI_BLAKE3_SIZE)
        return damaged(at, "list of packs", err);
    page->packs_at = at;
    at += (size_t)page->n_packs * BVI_BLAKE3_SIZE;
    if (!get_u32(page, &at, (uint32_t)(page->len / ENTRY_BYTES_MIN), &page->n_entries))
        return damaged(at, "count of entries", err);
    page->entries_at = at;
    r = open_entries(page, &at, &page->data_bytes, err);
    if (r < 0)
        return r;
    if (!get_u32(page, &at, (uint32_t)(page->len / CHUNK_BYTES_MIN), &page->n_chunks))
        return damaged(at, "count of chunks", err);
    page->chunks_at = at;
    r = open_chunks(page, &at, &chunk_bytes, err);
    if (r < 0)
        return r;
    if (at != page->len)
        return damaged(at, "bytes behind its end", err);
    if (chunk_bytes != page->data_bytes)
        return damaged(at, "its chunks and its files hold different numbers of bytes", err);
    return 0;
}

int bvi_page_open(bvi_page *page, uint8_t *bytes, size_t len, bv_error **err)
{
    bvi_page opened = { .bytes = bytes, .len = len };
    int r = open_lists(&opened, err);

    if (r < 0)
        return r;
    *page = opened;
    return 0;
}

void bvi_page_done(bvi_page *page)
{
    bvi_free(page->bytes);
    *page = (bvi_page){ 0 };
}
