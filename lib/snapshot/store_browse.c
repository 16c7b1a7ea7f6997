/*
 * store_browse.c - the public calls of blockvisor/store.h that look into snapshots.
 */
#include "snapshot/browse.h"
#include "snapshot/store_impl.h"

static void on_done(bv_op *op, const bv_error *err, void *data)
{
    bvi_question *q = data;

    q->done(op, err, q->data);
    bvi_question_free(q);
}

static bvi_snap_manifest_opts manifest_opts(const bvi_question *q)
{
    return (bvi_snap_manifest_opts){ .store = q->store,
                                     .store_key = q->opts.key,
                                     .version = q->opts.data_version,
                                     .verify_key_file = q->opts.verify_key_file };
}

static int question_new(bv_ctx *ctx, const bv_store_opts *opts, bv_store_done_fn done, void *data,
                        bvi_question **ret_question, bv_error **err)
{
    int r = bvi_question_new(ctx, opts, data, ret_question, err);

    if (r < 0)
        return r;
    (*ret_question)->done = done;
    return opts->key ? 0 : bvi_fail(err, BV_E_INVALID, "a snapshot needs a key");
}

/* The engine has begun with the question; what it wrote to q->op is the user's as well. */
static void hand_out(bvi_question *q, bv_op **ret_op)
{
    if (ret_op)
        *ret_op = bv_op_ref(q->op);
}

/* ---- files ---- */

static int on_entry(const bvi_snap_root *root, const bvi_snap_entry *e, void *data)
{
    bvi_question *q = data;
    bool has_target = e->kind == BVI_SNAP_SYMLINK || e->kind == BVI_SNAP_HARDLINK;
    const bv_snapshot_entry entry = {
        .size = sizeof(entry),
        .kind = (int32_t)e->kind, /* the same numbers */
        .path = e->path,
        .target = has_target ? e->target : NULL,
        .bytes = e->kind == BVI_SNAP_FILE ? e->size : 0,
        .mode = e->mode,
        .uid = e->uid,
        .gid = e->gid,
        .mtime_s = e->mtime_s,
        .mtime_ns = e->mtime_ns,
    };

    (void)root;
    return q->entry(q->op, &entry, q->data);
}

int bv_store_files_start(bv_ctx *ctx, const bv_store_opts *opts, bv_snapshot_entry_fn entry,
                         bv_store_done_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(bvi_question_freep) bvi_question *q = NULL;
    bvi_snap_manifest_opts manifest;
    int r = question_new(ctx, opts, done, data, &q, err);

    if (r < 0)
        return r;
    q->entry = entry;
    manifest = manifest_opts(q);
    r = bvi_snap_files_start(ctx, &manifest, on_entry, on_done, q, &q->op, err);
    if (r == 0)
        hand_out(bvi_take(q), ret_op);
    return r;
}

/* ---- cat ---- */

static int on_bytes(const void *bytes, size_t len, void *data)
{
    bvi_question *q = data;

    return q->bytes(q->op, bytes, len, q->data);
}

int bv_store_cat_start(bv_ctx *ctx, const bv_store_opts *opts, const char *path,
                       bv_snapshot_bytes_fn bytes, bv_store_done_fn done, void *data,
                       bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(bvi_question_freep) bvi_question *q = NULL;
    bvi_snap_manifest_opts manifest;
    int r = question_new(ctx, opts, done, data, &q, err);

    if (r < 0)
        return r;
    q->bytes = bytes;
    manifest = manifest_opts(q);
    r = bvi_snap_cat_start(ctx, &manifest, path, on_bytes, on_done, q, &q->op, err);
    if (r == 0)
        hand_out(bvi_take(q), ret_op);
    return r;
}

/* ---- diff ---- */

static int on_difference(const bvi_snap_difference *d, void *data)
{
    static const int32_t changes[] = {
        [BVI_SNAP_ADDED] = BV_CHANGE_ADDED,
        [BVI_SNAP_REMOVED] = BV_CHANGE_REMOVED,
        [BVI_SNAP_CHANGED] = BV_CHANGE_CHANGED,
        [BVI_SNAP_TOUCHED] = BV_CHANGE_TOUCHED,
    };
    bvi_question *q = data;
    const bv_snapshot_change change = {
        .size = sizeof(change),
        .change = changes[d->change],
        .kind = (int32_t)d->kind,
        .path = d->path,
        .bytes = d->size,
        .changed_bytes = d->data_bytes,
    };

    return q->change(q->op, &change, q->data);
}

int bv_store_diff_start(bv_ctx *ctx, const bv_store_opts *opts, uint64_t old_version,
                        bv_snapshot_change_fn change, bv_store_done_fn done, void *data,
                        bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(bvi_question_freep) bvi_question *q = NULL;
    bvi_snap_manifest_opts manifest;
    int r = question_new(ctx, opts, done, data, &q, err);

    if (r < 0)
        return r;
    q->change = change;
    manifest = manifest_opts(q);
    r = bvi_snap_diff_start(ctx, &manifest, old_version, on_difference, on_done, q, &q->op, err);
    if (r == 0)
        hand_out(bvi_take(q), ret_op);
    return r;
}
