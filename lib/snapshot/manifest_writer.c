/*
 * manifest_writer.c - see manifest_writer.h.
 *
 * What must stand in one page is a group: a bundle with its entries, or one chunk of a large file
 * with the extents it covers. A page ends before a group that would make it too long, or behind one
 * whose hash says so.
 */
#include <string.h>

#include "snapshot/manifest_writer.h"
#include "snapshot/plan.h"

/* Pages have at least this, and on average this much more. */
#define PAGE_MIN  (128u * 1024u)
#define PAGE_MORE (256u * 1024u)
/* Room kept for what is put in front of a group: a continuation, and the extent held back. */
#define PAGE_SPARE (BVI_SNAP_PATH_MAX + 256u)

int bvi_manifest_writer_init(bvi_manifest_writer *w, bv_error **err)
{
    *w = (bvi_manifest_writer){ .page = NULL };
    w->xattrs = bvi_new_array(bvi_snap_xattr, BVI_SNAP_XATTRS_MAX);
    return w->xattrs ? bvi_page_writer_new(&w->page, err) : bvi_fail_nomem(err);
}

void bvi_manifest_writer_done(bvi_manifest_writer *w)
{
    bvi_page_writer_free(bvi_take(w->page));
    bvi_free(bvi_take(w->xattrs));
}

/* ---- extents ---- */

static int put_held(bvi_manifest_writer *w, bv_error **err)
{
    const bvi_snap_extent held = w->held;
    int r;

    if (held.len == 0)
        return 0;
    w->held.len = 0;
    if (w->unopened) {
        const bvi_snap_entry entry = { .kind = BVI_SNAP_CONTINUED,
                                       .path = w->path,
                                       .size = w->size };

        r = bvi_page_writer_entry(w->page, &entry, err);
        if (r < 0)
            return r;
        w->unopened = false;
    }
    return bvi_page_writer_extent(w->page, held.pos, held.len, err);
}

static int put_extent(bvi_manifest_writer *w, uint64_t pos, uint64_t len, bv_error **err)
{
    int r = 0;

    if (w->held.len > 0 && w->held.pos + w->held.len == pos) {
        w->held.len += len;
        return 0;
    }
    r = put_held(w, err);
    w->held = (bvi_snap_extent){ .pos = pos, .len = len };
    return r;
}

static int put_chunk(bvi_manifest_writer *w, const bvi_snap_ref *ref, const bvi_chunk_table *table,
                     bv_error **err)
{
    bvi_snap_frame frame;

    if (!bvi_chunk_table_find(table, &ref->hash, &frame) || frame.plain != ref->plain)
        return bvi_fail(err, BV_E_INTERNAL, "a chunk was not stored");
    w->chunks++;
    w->plain_bytes += frame.plain;
    w->stored_bytes += frame.stored;
    return bvi_page_writer_chunk(w->page, &frame, err);
}

static int put_entry(bvi_manifest_writer *w, const bvi_unit *unit, size_t item, bv_error **err)
{
    bvi_snap_entry entry;
    int r = put_held(w, err);

    if (r < 0)
        return r;
    bvi_unit_entry(unit, item, w->xattrs, &entry);
    w->entries++;
    w->unopened = false;
    if (entry.kind == BVI_SNAP_FILE) {
        w->files++;
        w->size = entry.size;
        memcpy(w->path, entry.path, strlen(entry.path) + 1);
    }
    return bvi_page_writer_entry(w->page, &entry, err);
}

/* ---- pages ---- */

static size_t size_now(const bvi_manifest_writer *w)
{
    return bvi_page_writer_size(w->page) + (w->held.len > 0 ? BVI_PAGE_EXTENT_ROOM : 0);
}

static bool fits(const bvi_manifest_writer *w, size_t room)
{
    return bvi_page_writer_entries(w->page) == 0 ||
           size_now(w) + room + PAGE_SPARE <= BVI_SNAP_PAGE_MAX;
}

static int cut_page(bvi_manifest_writer *w, bvi_buf *page, bvi_snap_page_ref *ret_ref,
                    bv_error **err)
{
    int r = put_held(w, err);

    if (r < 0)
        return r;
    *ret_ref = (bvi_snap_page_ref){
        .entries = bvi_page_writer_entries(w->page),
        .chunks = bvi_page_writer_chunks(w->page),
        .bytes = bvi_page_writer_chunk_bytes(w->page),
    };
    r = bvi_page_writer_finish(w->page, page, err);
    if (r < 0)
        return r;
    w->unopened = true;
    return 1;
}

/* Does the content say that a page ends behind a group of so many bytes? */
static bool is_cut(const bvi_manifest_writer *w, size_t before, uint64_t hash)
{
    const size_t size = size_now(w);

    return size >= PAGE_MIN && ((hash & 0xffffffffu) * PAGE_MORE) >> 32 < size - before;
}

static uint64_t hash_of(const bvi_snap_ref *ref)
{
    uint64_t hash;

    memcpy(&hash, ref->hash.bytes + 8, sizeof(hash));
    return hash;
}

/* ---- units ---- */

static int add_bundle(bvi_manifest_writer *w, const bvi_unit *unit, const bvi_chunk_table *table,
                      bv_error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < unit->items.len; i++) {
        const bvi_unit_item *item = &unit->items.items[i];

        r = put_entry(w, unit, i, err);
        for (uint32_t e = 0; r == 0 && e < item->n_extents; e++) {
            const bvi_snap_extent *extent = &unit->extents.items[item->first_extent + e];

            r = put_extent(w, extent->pos, extent->len, err);
        }
    }
    for (size_t i = 0; r == 0 && i < unit->chunks.len; i++)
        r = put_chunk(w, &unit->chunks.items[i], table, err);
    return r;
}

static int write_bundle(bvi_manifest_writer *w, const bvi_unit *unit, const bvi_chunk_table *table,
                        bvi_buf *page, bvi_snap_page_ref *ret_ref, bv_error **err)
{
    const size_t room = unit->room + unit->extents.len * BVI_PAGE_EXTENT_ROOM +
                        unit->chunks.len * BVI_PAGE_CHUNK_ROOM;
    size_t before;
    int r;

    if (w->entered || unit->items.len == 0)
        return 0;
    if (!fits(w, room))
        return cut_page(w, page, ret_ref, err);
    before = size_now(w);
    r = add_bundle(w, unit, table, err);
    if (r < 0)
        return r;
    w->entered = true;
    return is_cut(w, before,
                  unit->chunks.len > 0
                      ? hash_of(&unit->chunks.items[unit->chunks.len - 1])
                      : bvi_plan_path_hash(bvi_unit_path(unit, unit->items.len - 1)))
               ? cut_page(w, page, ret_ref, err)
               : 0;
}

/* How many extents the next `len` bytes of the unit lie in. */
static size_t count_extents(const bvi_manifest_writer *w, const bvi_unit *unit, uint64_t len)
{
    uint64_t passed = w->passed;
    size_t n = 0;

    for (size_t i = w->extent; len > 0 && i < unit->extents.len; i++) {
        uint64_t there = unit->extents.items[i].len - passed;

        len -= there < len ? there : len;
        passed = 0;
        n++;
    }
    return n;
}

static int put_extents_of(bvi_manifest_writer *w, const bvi_unit *unit, uint64_t len,
                          bv_error **err)
{
    while (len > 0) {
        const bvi_snap_extent *extent = &unit->extents.items[w->extent];
        uint64_t n = extent->len - w->passed;
        int r;

        if (n > len)
            n = len;
        r = put_extent(w, extent->pos + w->passed, n, err);
        if (r < 0)
            return r;
        len -= n;
        w->passed += n;
        if (w->passed == extent->len) {
            w->extent++;
            w->passed = 0;
        }
    }
    return 0;
}

static int write_large(bvi_manifest_writer *w, const bvi_unit *unit, const bvi_chunk_table *table,
                       bvi_buf *page, bvi_snap_page_ref *ret_ref, bv_error **err)
{
    int r;

    if (!w->entered && !unit->continues) {
        if (!fits(w, unit->room + BVI_PAGE_CHUNK_ROOM))
            return cut_page(w, page, ret_ref, err);
        r = put_entry(w, unit, 0, err);
        if (r < 0)
            return r;
    }
    w->entered = true;
    while (w->chunk < unit->chunks.len) {
        const bvi_snap_ref *ref = &unit->chunks.items[w->chunk];
        const size_t before = size_now(w);

        if (!fits(w,
                  count_extents(w, unit, ref->plain) * BVI_PAGE_EXTENT_ROOM + BVI_PAGE_CHUNK_ROOM))
            return cut_page(w, page, ret_ref, err);
        r = put_extents_of(w, unit, ref->plain, err);
        if (r == 0)
            r = put_chunk(w, ref, table, err);
        if (r < 0)
            return r;
        w->chunk++;
        if (is_cut(w, before, hash_of(ref)))
            return cut_page(w, page, ret_ref, err);
    }
    return 0;
}

int bvi_manifest_writer_add(bvi_manifest_writer *w, const bvi_unit *unit,
                            const bvi_chunk_table *table, bvi_buf *page, bvi_snap_page_ref *ret_ref,
                            bv_error **err)
{
    int r = unit->large ? write_large(w, unit, table, page, ret_ref, err)
                        : write_bundle(w, unit, table, page, ret_ref, err);

    if (r == 0) {
        w->entered = false;
        w->chunk = w->extent = 0;
        w->passed = 0;
    }
    return r;
}

int bvi_manifest_writer_end(bvi_manifest_writer *w, bvi_buf *page, bvi_snap_page_ref *ret_ref,
                            bv_error **err)
{
    if (bvi_page_writer_entries(w->page) == 0 && w->held.len == 0)
        return 0;
    return cut_page(w, page, ret_ref, err);
}
