/*
 * diff.c - what differs between two versions of a snapshot.
 *
 * Both are read as streams of atoms, in one order: an entry, then the pieces of chunks that its
 * bytes are made of. The two streams are merged; what is only in one of them, or unlike, makes the
 * difference of its path. Where both are at a page's beginning and the pages are the same, neither
 * is read.
 */
#include <string.h>

#include "snapshot/browse_impl.h"

typedef struct side {
    bvi_snap_manifest *manifest;
    bvi_walk_check walk;
    uint32_t next_page;
    bvi_layout *layout;
    size_t item;    /* the atom at hand: this entry, */
    uint32_t chunk; /* or, when in_data, a piece of this chunk */
    bool in_data;
    bvi_layout_pieces piece;
    bool ended; /* no more atoms */
    char path[BVI_SNAP_PATH_MAX + 1];
} side;

/* What is known of the path at hand. */
typedef struct verdict {
    char path[BVI_SNAP_PATH_MAX + 1];
    bool open;
    bool in[2]; /* the older, the newer */
    bvi_layout_item item[2];
    char target[2][BVI_SNAP_PATH_MAX + 1];
    bool unlike;     /* content */
    uint64_t data;   /* bytes that are not where they were */
    uint64_t all[2]; /* bytes of data */
} verdict;

typedef struct diff {
    bvi_browse base;
    side sides[2];
    unsigned asked; /* the side a request is under way for */
    bvi_snap_difference_fn fn;
    verdict now;
} diff;

static void diff_free(bvi_browse *b)
{
    diff *d = (diff *)b;

    for (unsigned i = 0; i < 2; i++) {
        bvi_snap_manifest_free(d->sides[i].manifest);
        bvi_layout_free(d->sides[i].layout);
        bvi_walk_check_done(&d->sides[i].walk);
    }
    bv_error_free(b->err);
    bvi_free(d);
}

/* ---- atoms ---- */

static const bvi_snap_root *root_of(const side *s)
{
    return bvi_snap_manifest_root(s->manifest);
}

static const bvi_layout_item *item_of(const side *s)
{
    return s->in_data ? s->piece.item : &s->layout->items.items[s->item];
}

static void name_atom(side *s)
{
    bvi_layout_path(s->layout, item_of(s), s->path);
}

/* Pieces of the item at hand follow it; then the next item. False: the page is at its end. */
static bool next_atom(side *s)
{
    const bvi_layout_item *item = &s->layout->items.items[s->item];

    if (item->n_extents > 0) {
        s->in_data = true;
        while (s->chunk < s->layout->chunks.len) {
            bvi_layout_pieces ahead = s->piece;

            if (bvi_layout_pieces_next(&ahead)) {
                if (ahead.item != item)
                    break; /* belongs to a later one */
                s->piece = ahead;
                return true;
            }
            if (++s->chunk < s->layout->chunks.len)
                bvi_layout_pieces_init(&s->piece, s->layout, s->chunk);
        }
    }
    s->in_data = false;
    if (++s->item >= s->layout->items.len)
        return false;
    name_atom(s);
    return true;
}

static void leave_page(side *s)
{
    bvi_layout_free(bvi_take(s->layout));
    s->ended = s->next_page >= root_of(s)->pages.len;
}

static void advance(side *s)
{
    if (!next_atom(s))
        leave_page(s);
}

static int take_page(side *s, const bvi_page *page, bv_error **err)
{
    int r = bvi_layout_new(page, s->next_page, &s->walk, &s->layout, err);

    if (r == 0)
        r = bvi_walk_check_page(&s->walk, &root_of(s)->pages.items[s->next_page], page->n_entries,
                                page->n_chunks, page->data_bytes, err);
    if (r < 0)
        return r;
    s->next_page++;
    s->item = 0;
    s->chunk = 0;
    s->in_data = false;
    if (s->layout->items.len == 0) {
        leave_page(s);
        return 0;
    }
    if (s->layout->chunks.len > 0)
        bvi_layout_pieces_init(&s->piece, s->layout, 0);
    name_atom(s);
    return 0;
}

/* ---- one path ---- */

static bool same_meta(const bvi_layout_item *a, const bvi_layout_item *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->mtime_s == b->mtime_s &&
           a->mtime_ns == b->mtime_ns;
}

/* A small file in a chunk with others: the chunk may be another one because of those. */
static bool looks_the_same(const verdict *v)
{
    return (v->item[0].flags & v->item[1].flags & BVI_LAYOUT_WHOLE) &&
           v->item[0].size == v->item[1].size && v->item[0].mtime_s == v->item[1].mtime_s &&
           v->item[0].mtime_ns == v->item[1].mtime_ns && v->all[0] == v->all[1];
}

static bool find_change(const verdict *v, bvi_snap_change *ret_change)
{
    if (v->in[0] != v->in[1]) {
        *ret_change = v->in[1] ? BVI_SNAP_ADDED : BVI_SNAP_REMOVED;
        return true;
    }
    if (v->item[0].kind != v->item[1].kind || v->item[0].size != v->item[1].size ||
        (v->unlike && !looks_the_same(v))) {
        *ret_change = BVI_SNAP_CHANGED;
        return true;
    }
    *ret_change = BVI_SNAP_TOUCHED;
    return !same_meta(&v->item[0], &v->item[1]) || strcmp(v->target[0], v->target[1]) != 0;
}

static int end_path(diff *d, bv_error **err)
{
    verdict *v = &d->now;
    const bvi_layout_item *item = &v->item[v->in[1] ? 1 : 0];
    bvi_snap_difference difference = { .path = v->path, .kind = item->kind, .size = item->size };
    int r = 0;

    if (v->open && find_change(v, &difference.change)) {
        if (difference.change == BVI_SNAP_CHANGED)
            difference.data_bytes = v->data;
        else if (difference.change != BVI_SNAP_TOUCHED)
            difference.data_bytes = v->all[v->in[1] ? 1 : 0];
        r = d->fn(&difference, d->base.data);
    }
    v->open = false;
    return r < 0 ? bvi_fail(err, r, "comparing was ended at '%s'", v->path) : 0;
}

static void begin_path(verdict *v, const char *path)
{
    v->open = true;
    v->in[0] = v->in[1] = v->unlike = false;
    v->data = v->all[0] = v->all[1] = 0;
    v->target[0][0] = v->target[1][0] = '\0';
    memcpy(v->path, path, strlen(path) + 1);
}

static void note_entry(verdict *v, unsigned which, const side *s)
{
    const bvi_layout_item *item = item_of(s);

    if (item->kind == BVI_SNAP_CONTINUED)
        return;
    v->in[which] = true;
    v->item[which] = *item;
    if (item->kind == BVI_SNAP_SYMLINK || item->kind == BVI_SNAP_HARDLINK) {
        const char *target = bvi_layout_text(s->layout, item->target);

        memcpy(v->target[which], target, strlen(target) + 1);
    }
}

/* ---- merging ---- */

static bool same_piece(const side *a, const side *b)
{
    const bvi_snap_frame *x = &a->layout->chunks.items[a->chunk].frame;
    const bvi_snap_frame *y = &b->layout->chunks.items[b->chunk].frame;

    return a->piece.len == b->piece.len && a->piece.at == b->piece.at &&
           bvi_hash256_equal(&x->hash, &y->hash);
}

/* Below 0: only the older one's atom comes now; above: only the newer one's; 0: both. */
static int compare_atoms(const side *a, const side *b)
{
    int order;

    if (!a->layout || !b->layout) /* ended, or further on */
        return b->layout ? 1 : -1;
    order = bvi_snap_path_compare(a->path, b->path);
    if (order != 0 || (!a->in_data && !b->in_data))
        return order;
    if (a->in_data != b->in_data) /* an entry before the data */
        return a->in_data ? 1 : -1;
    return a->piece.pos < b->piece.pos ? -1 : a->piece.pos > b->piece.pos;
}

static int take_atom(diff *d, unsigned which, bv_error **err)
{
    side *s = &d->sides[which];
    int r = 0;

    if (!d->now.open || strcmp(d->now.path, s->path) != 0) {
        r = end_path(d, err);
        begin_path(&d->now, s->path);
    }
    if (!s->in_data)
        note_entry(&d->now, which, s);
    else
        d->now.all[which] += s->piece.len;
    return r;
}

/* Takes one atom of either side, or a like one of both. */
static int step(diff *d, bv_error **err)
{
    side *a = &d->sides[0];
    side *b = &d->sides[1];
    int order = compare_atoms(a, b);
    int r = 0;

    if (order <= 0)
        r = take_atom(d, 0, err);
    if (r == 0 && order >= 0)
        r = take_atom(d, 1, err);
    if (r < 0)
        return r;
    if (order != 0 && (order < 0 ? a : b)->in_data)
        d->now.unlike = true;
    if (order > 0 && b->in_data)
        d->now.data += b->piece.len;
    if (order == 0 && b->in_data && !same_piece(a, b)) {
        d->now.unlike = true;
        d->now.data += b->piece.len;
    }
    if (order <= 0)
        advance(a);
    if (order >= 0)
        advance(b);
    return 0;
}

/* ---- pages ---- */

static void go_on(diff *d);

static bool waits(const side *s)
{
    return !s->layout && !s->ended;
}

/* Both go on with the same page. */
static bool meet(const diff *d)
{
    const side *a = &d->sides[0];
    const side *b = &d->sides[1];

    return a->next_page < root_of(a)->pages.len && b->next_page < root_of(b)->pages.len &&
           bvi_hash256_equal(&root_of(a)->pages.items[a->next_page].frame.hash,
                             &root_of(b)->pages.items[b->next_page].frame.hash);
}

/* A page that both have says nothing new. Where its last file ended is not known then, on both
 * sides alike. */
static void skip_page(diff *d)
{
    for (unsigned i = 0; i < 2; i++) {
        d->sides[i].next_page++;
        leave_page(&d->sides[i]);
    }
}

static void on_page(const bv_error *err, bvi_page *page, void *data)
{
    diff *d = data;

    if (!bvi_browse_goes_on(&d->base, err))
        return;
    if (take_page(&d->sides[d->asked], page, &d->base.err) < 0)
        bvi_browse_complete(&d->base, bvi_take(d->base.err));
    else
        go_on(d);
}

static void ask_page(diff *d)
{
    side *s;

    d->asked = waits(&d->sides[0]) ? 0 : 1;
    s = &d->sides[d->asked];
    d->base.busy = true;
    bvi_snap_manifest_page(s->manifest, s->next_page, on_page, d);
}

/* A side that is at the end of a page waits for the other one when both meet behind it. */
static void go_on(diff *d)
{
    const side *a = &d->sides[0];
    const side *b = &d->sides[1];
    bv_error *err = NULL;
    int r = 0;

    while (r == 0 && !(a->ended && b->ended)) {
        if (waits(a) && waits(b) && meet(d)) {
            skip_page(d);
        } else if ((waits(a) || waits(b)) && !meet(d)) {
            ask_page(d);
            return;
        } else {
            r = step(d, &err);
        }
    }
    if (r == 0)
        r = end_path(d, &err);
    bvi_browse_complete(&d->base, err);
}

static void on_root(const bv_error *err, void *data)
{
    diff *d = data;

    if (!bvi_browse_goes_on(&d->base, err))
        return;
    d->sides[d->asked].ended = root_of(&d->sides[d->asked])->pages.len == 0;
    if (d->asked++ == 0) {
        d->base.busy = true;
        bvi_snap_manifest_load(d->sides[1].manifest, on_root, d);
    } else {
        go_on(d);
    }
}

int bvi_snap_diff_start(bv_ctx *ctx, const bvi_snap_manifest_opts *opts, uint64_t old_version,
                        bvi_snap_difference_fn fn, bvi_snap_browse_done_fn done, void *data,
                        bv_op **ret_op, bv_error **err)
{
    diff *d = bvi_new0(diff);
    bvi_snap_manifest_opts old = *opts;
    bvi_snap_manifest_opts newer = *opts;
    int r;

    if (!d)
        return bvi_fail_nomem(err);
    old.version = old_version;
    old.cache_dir = newer.cache_dir = NULL; /* holds one version only */
    d->fn = fn;
    for (unsigned i = 0; i < 2; i++) {
        bvi_walk_check_init(&d->sides[i].walk);
        d->sides[i].walk.loose = true;
    }
    r = bvi_snap_manifest_new(ctx, &old, &d->sides[0].manifest, err);
    if (r == 0)
        r = bvi_snap_manifest_new(ctx, &newer, &d->sides[1].manifest, err);
    if (r == 0)
        r = bvi_browse_init(&d->base, ctx, opts, done, data, diff_free, err);
    if (r < 0) {
        diff_free(&d->base);
        return r;
    }
    *ret_op = bv_op_ref(d->base.op);
    d->base.busy = true;
    bvi_snap_manifest_load(d->sides[0].manifest, on_root, d);
    return 0;
}
