/*
 * cat.c - one file of a snapshot, from its first byte to its last.
 *
 * The pages are read up to the file (they are in order, so it is known when it cannot come any
 * more), then its chunks one by one. A long hole is given in turns of the loop.
 */
#include <string.h>

#include "snapshot/browse_impl.h"
#include "snapshot/frame.h"

#define ZERO_BYTES 65536u
#define ZERO_TURN  (8u * 1024u * 1024u) /* of one turn */

typedef struct cat {
    bvi_browse base;
    bvi_snap_manifest *manifest;
    char *store_key;
    char *path;
    bool resolved; /* a hard link was followed */
    bvi_snap_bytes_fn fn;
    bvi_walk_check walk;
    uint32_t next_page;
    bvi_page page;
    bvi_layout *layout;
    bool found;
    uint64_t size;
    uint64_t at; /* bytes given so far */
    uint32_t chunk;
    bool loaded;    /* its bytes are in `plain` */
    uint64_t until; /* where the next data begins; zeros up to there */
    bvi_task turn;
    bvi_work work;
    bvi_frame_unpacker *unpacker;
    uint8_t *stored;
    uint8_t *plain;
    bv_error *work_err;
} cat;

static void cat_free(bvi_browse *b)
{
    cat *c = (cat *)b;

    bvi_task_done(&c->turn);
    bvi_snap_manifest_free(c->manifest);
    bvi_layout_free(c->layout);
    bvi_page_done(&c->page);
    bvi_walk_check_done(&c->walk);
    bvi_frame_unpacker_free(c->unpacker);
    bvi_free(c->stored);
    bvi_free(c->plain);
    bvi_free(c->store_key);
    bvi_free(c->path);
    bv_error_free(c->work_err);
    bv_error_free(b->err);
    bvi_free(c);
}

static void fail(cat *c, bv_error *err)
{
    bvi_browse_complete(&c->base, err);
}

/* ---- giving ---- */

static int give(cat *c, const void *bytes, size_t len, bv_error **err)
{
    int r = c->fn(bytes, len, c->base.data);

    c->at += len;
    return r < 0 ? bvi_fail(err, r, "reading '%s' was ended", c->path) : 0;
}

static int give_zeros(cat *c, bv_error **err)
{
    static const uint8_t zeros[ZERO_BYTES];
    uint64_t turn = 0;
    int r = 0;

    while (r == 0 && c->at < c->until && turn < ZERO_TURN) {
        size_t n = c->until - c->at < ZERO_BYTES ? (size_t)(c->until - c->at) : ZERO_BYTES;

        r = give(c, zeros, n, err);
        turn += n;
    }
    return r;
}

static const bvi_layout_chunk *chunk_of(const cat *c)
{
    return &c->layout->chunks.items[c->chunk];
}

/* The next piece of the file in this page; false: there is none. */
static bool find_piece(cat *c, bvi_layout_pieces *ret_piece)
{
    for (; c->chunk < c->layout->chunks.len; c->chunk++, c->loaded = false) {
        char path[BVI_SNAP_PATH_MAX + 1];

        bvi_layout_pieces_init(ret_piece, c->layout, c->chunk);
        while (bvi_layout_pieces_next(ret_piece)) {
            bvi_layout_path(c->layout, ret_piece->item, path);
            if (strcmp(path, c->path) == 0 && ret_piece->pos >= c->at)
                return true;
        }
    }
    return false;
}

static void go_on(void *data);

static void unpack_run(void *data)
{
    cat *c = data;

    (void)bvi_frame_unpack(c->unpacker, &chunk_of(c)->frame, c->stored, c->plain, &c->work_err);
}

static void unpack_done(void *data, bool cancelled)
{
    cat *c = data;
    bv_error *err = bvi_take(c->work_err);

    if (cancelled && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "interrupted");
    if (bvi_browse_goes_on(&c->base, err)) {
        c->loaded = true;
        go_on(c);
    }
    bv_error_free(err);
}

static void on_read(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    cat *c = data;

    (void)reply;
    if (!bvi_browse_goes_on(&c->base, err))
        return;
    c->base.busy = true;
    bvi_work_submit(&c->work);
}

static void read_chunk(cat *c)
{
    const bvi_snap_frame *frame = &chunk_of(c)->frame;
    bvi_auto_free char *key = bvi_snap_pack_key(c->store_key, &frame->pack);
    bv_error *err = NULL;

    if (!key)
        (void)bvi_fail_nomem(&err);
    else
        (void)bvi_store_call(c->base.store,
                             &(bvi_store_request){ .verb = BVI_STORE_READ,
                                                   .key = key,
                                                   .offset = frame->offset,
                                                   .into = c->stored,
                                                   .into_len = frame->stored },
                             on_read, c, &err); /* err tells */
    if (err)
        fail(c, err);
    else
        c->base.busy = true;
}

static void ask_page(cat *c);

/* Zeros, then the piece behind them; when the page has no more of the file, the next page. */
static void go_on(void *data)
{
    cat *c = data;
    bvi_layout_pieces it;

    if (c->base.completed)
        return;
    while (!c->base.err && c->layout && find_piece(c, &it)) {
        c->until = it.pos;
        (void)give_zeros(c, &c->base.err); /* err tells */
        if (!c->base.err && c->at < c->until) {
            bvi_task_post(&c->turn);
            return;
        }
        if (!c->base.err && !c->loaded) {
            read_chunk(c);
            return;
        }
        if (!c->base.err)
            (void)give(c, c->plain + it.at, it.len, &c->base.err); /* err tells */
    }
    if (c->base.err)
        fail(c, bvi_take(c->base.err));
    else
        ask_page(c);
}

static void give_end(void *data)
{
    cat *c = data;

    if (c->base.completed)
        return;
    c->until = c->size;
    c->turn.fn = give_end;
    if (give_zeros(c, &c->base.err) < 0)
        fail(c, bvi_take(c->base.err));
    else if (c->at < c->until)
        bvi_task_post(&c->turn);
    else
        bvi_browse_complete(&c->base, NULL);
}

/* ---- finding ---- */

static void not_found(cat *c)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_NOT_FOUND, "the snapshot has no '%s'", c->path);
    fail(c, err);
}

/* A target stands before its link: from the first page again. */
static int follow_link(cat *c, const char *target, bv_error **err)
{
    char *path = bvi_strdup(target);

    if (!path)
        return bvi_fail_nomem(err);
    if (c->resolved) {
        bvi_free(path);
        return bvi_fail(err, BV_E_FORMAT, "a hard link leads to a hard link");
    }
    bvi_free(c->path);
    c->path = path;
    c->resolved = true;
    return 1;
}

/* 1: begin anew; 0: it was looked at. Sets `past` when the file cannot come any more. */
static int look_at_page(cat *c, bool *past, bv_error **err)
{
    for (size_t i = 0; i < c->layout->items.len; i++) {
        const bvi_layout_item *item = &c->layout->items.items[i];
        char path[BVI_SNAP_PATH_MAX + 1];
        int order;

        bvi_layout_path(c->layout, item, path);
        order = bvi_snap_path_compare(path, c->path);
        *past = order > 0;
        if (order > 0)
            return 0;
        if (order < 0)
            continue;
        if (item->kind == BVI_SNAP_HARDLINK)
            return follow_link(c, bvi_layout_text(c->layout, item->target), err);
        if (item->kind != BVI_SNAP_FILE && item->kind != BVI_SNAP_CONTINUED)
            return bvi_fail(err, BV_E_INVALID, "'%s' is a %s, not a file", c->path,
                            item->kind == BVI_SNAP_DIR ? "directory" : "symbolic link");
        c->found = true;
        c->size = item->size;
    }
    return 0;
}

static int take_page(cat *c, const bvi_page *page, bool *past, bv_error **err)
{
    const bvi_snap_page_ref *ref = &bvi_snap_manifest_root(c->manifest)->pages.items[c->next_page];
    int r;

    bvi_layout_free(bvi_take(c->layout));
    c->chunk = 0;
    c->loaded = false;
    r = bvi_layout_new(page, c->next_page, &c->walk, &c->layout, err);
    if (r == 0)
        r = bvi_walk_check_page(&c->walk, ref, page->n_entries, page->n_chunks, page->data_bytes,
                                err);
    if (r == 0)
        r = look_at_page(c, past, err);
    c->next_page++;
    return r;
}

static void begin_anew(cat *c)
{
    bvi_walk_check_done(&c->walk);
    bvi_walk_check_init(&c->walk);
    bvi_layout_free(bvi_take(c->layout));
    c->next_page = 0;
    ask_page(c);
}

static void on_page(const bv_error *err, bvi_page *page, void *data)
{
    cat *c = data;
    bool past = false;
    int r;

    if (!bvi_browse_goes_on(&c->base, err))
        return;
    r = take_page(c, page, &past, &c->base.err);
    if (r < 0) {
        fail(c, bvi_take(c->base.err));
    } else if (r > 0) {
        begin_anew(c);
    } else if (c->found) {
        if (past) /* no page behind this one is of interest */
            c->next_page = (uint32_t)bvi_snap_manifest_root(c->manifest)->pages.len;
        go_on(c);
    } else if (past) {
        not_found(c);
    } else {
        ask_page(c);
    }
}

static void ask_page(cat *c)
{
    if (c->next_page < bvi_snap_manifest_root(c->manifest)->pages.len) {
        c->base.busy = true;
        bvi_snap_manifest_page(c->manifest, c->next_page, on_page, c);
    } else if (c->found) {
        give_end(c);
    } else {
        not_found(c);
    }
}

static void on_root(const bv_error *err, void *data)
{
    cat *c = data;

    if (bvi_browse_goes_on(&c->base, err))
        ask_page(c);
}

static int set_up(cat *c, bv_ctx *ctx, const bvi_snap_manifest_opts *opts, const char *path,
                  bv_error **err)
{
    int r = bvi_store_key_normalise(opts->store_key, &c->store_key, err);

    if (r < 0)
        return r;
    c->path = bvi_strdup(path);
    c->stored = bvi_malloc(BVI_SNAP_FRAME_MAX);
    c->plain = bvi_malloc(BVI_SNAP_CHUNK_MAX);
    if (!c->path || !c->stored || !c->plain)
        return bvi_fail_nomem(err);
    r = bvi_frame_unpacker_new(&c->unpacker, err);
    return r < 0 ? r : bvi_snap_manifest_new(ctx, opts, &c->manifest, err);
}

int bvi_snap_cat_start(bv_ctx *ctx, const bvi_snap_manifest_opts *opts, const char *path,
                       bvi_snap_bytes_fn fn, bvi_snap_browse_done_fn done, void *data,
                       bv_op **ret_op, bv_error **err)
{
    cat *c = bvi_new0(cat);
    int r;

    if (!c)
        return bvi_fail_nomem(err);
    bvi_walk_check_init(&c->walk);
    bvi_task_init(&c->turn, ctx, go_on, c);
    bvi_work_init(&c->work, ctx, unpack_run, unpack_done, c);
    c->fn = fn;
    r = set_up(c, ctx, opts, path, err);
    if (r == 0)
        r = bvi_browse_init(&c->base, ctx, opts, done, data, cat_free, err);
    if (r < 0) {
        cat_free(&c->base);
        return r;
    }
    *ret_op = bv_op_ref(c->base.op);
    c->base.busy = true;
    bvi_snap_manifest_load(c->manifest, on_root, c);
    return 0;
}
