/*
 * browse.c - the operation behind files, cat and diff; and files itself, the simplest of them.
 */
#include <string.h>

#include "snapshot/browse_impl.h"
#include "snapshot/walk_check.h"

/* ---- the operation ---- */

static void on_cancel(bv_op *op, void *data)
{
    bvi_browse *b = data;

    (void)op;
    if (b->completed || b->err)
        return;
    (void)bvi_fail(&b->err, BV_E_CANCELLED, "interrupted");
    if (b->store)
        b->store->vtable->cancel(b->store);
    if (!b->busy)
        bvi_browse_complete(b, bvi_take(b->err));
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    bvi_browse *b = data;

    b->done(op, err, b->data);
    b->free(b);
}

static const bvi_op_vtable browse_op = { .name = "snapshot browsing",
                                         .cancel = on_cancel,
                                         .finish = on_finish };

int bvi_browse_init(bvi_browse *b, bv_ctx *ctx, const bvi_snap_manifest_opts *opts,
                    bvi_snap_browse_done_fn done, void *data, void (*free_fn)(bvi_browse *b),
                    bv_error **err)
{
    b->ctx = ctx;
    b->store = opts->store;
    b->done = done;
    b->data = data;
    b->free = free_fn;
    return bvi_op_new(ctx, &browse_op, b, &b->op, err);
}

void bvi_browse_complete(bvi_browse *b, bv_error *err)
{
    b->completed = true;
    bvi_op_complete(b->op, err);
}

bool bvi_browse_goes_on(bvi_browse *b, const bv_error *err)
{
    b->busy = false;
    if (err && !b->err)
        b->err = bvi_error_copy(err);
    if (!b->err)
        return true;
    bvi_browse_complete(b, bvi_take(b->err));
    return false;
}

/* ---- files ---- */

typedef struct files {
    bvi_browse base;
    bvi_snap_manifest *manifest;
    bvi_snap_entry_fn fn;
    bvi_walk_check walk;
    uint32_t next_page;
    bvi_page_entries it;
} files;

static void files_free(bvi_browse *b)
{
    files *f = (files *)b;

    bvi_snap_manifest_free(f->manifest);
    bvi_walk_check_done(&f->walk);
    bv_error_free(b->err);
    bvi_free(f);
}

static int tell(files *f, bv_error **err)
{
    int r;

    if (f->it.entry.kind == BVI_SNAP_CONTINUED)
        return 0;
    r = f->fn(bvi_snap_manifest_root(f->manifest), &f->it.entry, f->base.data);
    return r < 0 ? bvi_fail(err, r, "listing was ended at '%s'", f->it.entry.path) : 0;
}

static int list_page(files *f, const bvi_page *page, bv_error **err)
{
    const bvi_snap_root *root = bvi_snap_manifest_root(f->manifest);
    int r;

    bvi_page_entries_init(&f->it, page, f->walk.end_pos);
    while ((r = bvi_page_entries_next(&f->it, err)) > 0) {
        r = bvi_walk_check_entry(&f->walk, &f->it.entry, err);
        if (r == 0)
            r = tell(f, err);
        if (r < 0)
            break;
    }
    bvi_page_entries_done(&f->it);
    if (r == 0)
        r = bvi_walk_check_page(&f->walk, &root->pages.items[f->next_page], page->n_entries,
                                page->n_chunks, page->data_bytes, err);
    return r;
}

static void ask_page(files *f);

static void on_page(const bv_error *err, bvi_page *page, void *data)
{
    files *f = data;

    if (!bvi_browse_goes_on(&f->base, err))
        return;
    if (list_page(f, page, &f->base.err) < 0) {
        bvi_browse_complete(&f->base, bvi_take(f->base.err));
        return;
    }
    f->next_page++;
    ask_page(f);
}

static void ask_page(files *f)
{
    if (f->next_page >= bvi_snap_manifest_root(f->manifest)->pages.len) {
        bvi_browse_complete(&f->base, NULL);
        return;
    }
    f->base.busy = true;
    bvi_snap_manifest_page(f->manifest, f->next_page, on_page, f);
}

static void on_root(const bv_error *err, void *data)
{
    files *f = data;

    if (bvi_browse_goes_on(&f->base, err))
        ask_page(f);
}

int bvi_snap_files_start(bv_ctx *ctx, const bvi_snap_manifest_opts *opts, bvi_snap_entry_fn fn,
                         bvi_snap_browse_done_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    files *f = bvi_new0(files);
    int r;

    if (!f)
        return bvi_fail_nomem(err);
    bvi_walk_check_init(&f->walk);
    f->fn = fn;
    r = bvi_snap_manifest_new(ctx, opts, &f->manifest, err);
    if (r == 0)
        r = bvi_browse_init(&f->base, ctx, opts, done, data, files_free, err);
    if (r < 0) {
        files_free(&f->base);
        return r;
    }
    *ret_op = bv_op_ref(f->base.op);
    f->base.busy = true;
    bvi_snap_manifest_load(f->manifest, on_root, f);
    return 0;
}
