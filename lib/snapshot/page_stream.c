/*
 * page_stream.c - see page_stream.h.
 */
#include "snapshot/page_stream.h"

void bvi_page_stream_init(bvi_page_stream *s, const bvi_page_cache *cache)
{
    *s = (bvi_page_stream){ .cache = cache, .begun = BVI_VEC_INIT(2 * BVI_SNAP_PAGE_CHUNKS) };
}

static void close_page(bvi_page_stream *s)
{
    if (!s->open)
        return;
    bvi_page_entries_done(&s->entries);
    bvi_page_done(&s->page);
    s->open = false;
}

void bvi_page_stream_done(bvi_page_stream *s)
{
    close_page(s);
    bvi_vec_done(&s->begun);
}

/* Where the last extent of the page's last entry ended. */
static uint64_t end_of_last(const bvi_page_stream *s)
{
    const bvi_snap_entry *last = &s->entries.entry;
    const bvi_snap_extent *extent;

    if (!s->open)
        return 0;
    if (last->n_extents == 0)
        return last->kind == BVI_SNAP_CONTINUED ? s->entries.end_pos : 0;
    extent = &last->extents[last->n_extents - 1];
    return extent->pos + extent->len;
}

/* 1: the next page is open, before its first entry. */
static int open_next(bvi_page_stream *s, bv_error **err)
{
    const uint64_t end_pos = end_of_last(s);
    int r;

    close_page(s);
    if (s->next_page >= s->cache->slots.len)
        return 0;
    r = bvi_page_cache_read(s->cache, s->next_page++, &s->page, err);
    if (r < 0)
        return r;
    s->open = true;
    s->left = 0;
    bvi_page_entries_init(&s->entries, &s->page, end_pos);
    bvi_page_chunks_init(&s->chunks, &s->page);
    return 1;
}

/* The next entry of this page or a later one into entries.entry. */
static int step(bvi_page_stream *s, bv_error **err)
{
    for (;;) {
        int r = s->open ? bvi_page_entries_next(&s->entries, err) : 0;

        if (r != 0) {
            s->extent = 0;
            return r;
        }
        r = open_next(s, err);
        if (r <= 0)
            return r;
    }
}

static int pass(bvi_page_stream *s, uint64_t len, bv_error **err)
{
    s->pos += len;
    while (len > 0) {
        uint64_t n;

        if (s->left == 0) {
            bvi_snap_frame frame;
            bvi_snap_ref *ref;

            if (!bvi_page_chunks_next(&s->chunks, &frame))
                return bvi_fail(err, BV_E_FORMAT, "a page has fewer chunks than data");
            ref = bvi_vec_push(&s->begun);
            if (!ref)
                return bvi_fail_nomem(err);
            *ref = (bvi_snap_ref){ .hash = frame.hash, .plain = frame.plain };
            s->left = frame.plain;
        }
        n = s->left < len ? s->left : len;
        s->left -= n;
        len -= n;
    }
    return 0;
}

int bvi_page_stream_extent(bvi_page_stream *s, bvi_snap_extent *ret_extent, bv_error **err)
{
    int r;

    if (!s->open || s->has_entry)
        return 0;
    while (s->extent >= s->entries.entry.n_extents) {
        if (s->entries.left > 0)
            return 0;
        r = step(s, err);
        if (r <= 0)
            return r;
        if (s->entries.entry.kind != BVI_SNAP_CONTINUED) {
            s->has_entry = true;
            return 0;
        }
    }
    *ret_extent = s->entries.entry.extents[s->extent++];
    r = pass(s, ret_extent->len, err);
    return r < 0 ? r : 1;
}

int bvi_page_stream_next(bvi_page_stream *s, bv_error **err)
{
    bvi_snap_extent extent;
    int r;

    do {
        /* A page may have as many chunks as `begun` holds: what is passed over is not of interest.
         */
        s->begun.len = 0;
        r = s->open ? bvi_page_stream_extent(s, &extent, err) : 0;
    } while (r > 0);
    if (r < 0)
        return r;
    if (s->has_entry) {
        s->has_entry = false;
        return 1;
    }
    return step(s, err);
}
