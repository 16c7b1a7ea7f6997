/*
 * transfer_api.c - the public calls of blockvisor/transfer.h: they open the store, find out the
 * format, and run the engine that knows it.
 *
 * An archive's engine whose format is known from the beginning gives the user its own operation.
 * Otherwise one stands in front of it: what the engine reports and how it ends is passed on, and so
 * is a cancellation. A snapshot's engine that ends because a disk is full is started again when
 * there is room, and goes on where it was.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "snapshot/download.h"
#include "snapshot/pick.h"
#include "snapshot/store_impl.h"
#include "snapshot/transfer_impl.h"
#include "sys/fs.h"
#include "transfer/archive.h"
#include "transfer/download.h"

static void transfer_free(bvi_transfer *t)
{
    if (!t)
        return;
    bvi_space_done(&t->space);
    bvi_store_free(t->store);
    bvi_opts_copy_done(&t->texts);
    bvi_free(t->state_dir);
    bv_op_unref(t->engine);
    bvi_free(t);
}
BVI_DEFINE_FREEP(bvi_transfer, transfer_free)

/* ---- the operation ---- */

static void on_cancel(bv_op *op, void *data)
{
    bvi_transfer *t = data;

    (void)op;
    if (bvi_space_is_waiting(&t->space))
        bvi_space_stop(&t->space);
    else if (t->engine)
        bv_op_cancel(t->engine);
    else if (t->store)
        t->store->vtable->cancel(t->store);
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    bvi_transfer *t = data;

    if (!t->abandoned)
        t->done(op, err, &t->last, t->data);
    transfer_free(t);
}

static const bvi_op_vtable transfer_vtable = { .name = "transfer",
                                               .cancel = on_cancel,
                                               .finish = on_finish };

static uint64_t wire_bytes(const bv_ctx *ctx)
{
    bv_transfer_use use = { .size = sizeof(use) };

    bv_ctx_transfer_use(ctx, &use);
    return use.downloaded_bytes + use.uploaded_bytes;
}

static void keep(bvi_transfer *t, const bv_transfer_status *status)
{
    t->last = *status;
    (void)snprintf(t->phase, sizeof(t->phase), "%s", status->phase);
    t->last.phase = t->phase;
    t->last.format = (int32_t)t->format;
    t->last.wire_bytes = wire_bytes(t->ctx) - t->wire_before;
}

static void report(bvi_transfer *t, const bv_transfer_status *status)
{
    const bv_progress progress = {
        .phase = status->phase,
        .done = status->bytes_done,
        .total = status->bytes_total,
        .unit = "bytes",
        .bytes_per_s = status->bytes_per_s,
        .eta_ms = status->eta_ms,
    };

    bvi_op_report(t->op, &progress);
}

static void tell(bvi_transfer *t, bv_op *op)
{
    if (t->op)
        report(t, &t->last);
    if (t->status)
        t->status(t->op ? t->op : op, &t->last, t->data);
}

/* Looked, and there is still no room. */
static void on_still_full(void *data)
{
    bvi_transfer *t = data;
    bv_transfer_status now = t->last;

    now.phase = "no-space";
    now.full_path = t->space.path;
    now.missing_bytes = t->space.missing;
    now.bytes_per_s = 0;
    now.eta_ms = -1;
    keep(t, &now);
    tell(t, t->op);
}

/* Where a disk is full; the message of the error knows better. */
static const char *full_path(const bvi_transfer *t)
{
    const char *store = t->opts.upload.store;

    if (t->kind == &bvi_transfer_download)
        return t->opts.download.dest_dir;
    return store && strncmp(store, "dir:", 4) == 0 ? store + 4 : t->state_dir;
}

static bool waits_for_room(bvi_transfer *t, const bv_error *err)
{
    if (!t->op || t->kind == &bvi_transfer_verify || t->format != BV_FORMAT_SNAPSHOT ||
        bvi_op_is_cancelled(t->op) ||
        !bvi_space_pause(&t->space, err, full_path(t), BVI_SNAP_PACK_BYTES))
        return false;
    bv_op_unref(bvi_take(t->engine));
    on_still_full(t);
    return true;
}

void bvi_transfer_on_status(bv_op *op, const bv_transfer_status *status, void *data)
{
    bvi_transfer *t = data;

    keep(t, status);
    tell(t, op);
}

void bvi_transfer_on_done(bv_op *op, const bv_error *err, const bv_transfer_status *status,
                          void *data)
{
    bvi_transfer *t = data;

    keep(t, status);
    if (err && waits_for_room(t, err))
        return;
    if (!err && !t->last.chunks_total) { /* an upload knows only now how many there are */
        t->last.chunks_total = t->last.chunks_done;
        t->last.bytes_total = t->last.bytes_done;
    }
    if (t->op)
        bvi_op_complete(t->op, bvi_error_copy(err));
    else
        on_finish(op, err, t);
}

/* ---- starting ---- */

static int start_engine(bvi_transfer *t, bv_error **err)
{
    return t->format == BV_FORMAT_SNAPSHOT ? t->kind->snapshot(t, err) : t->kind->archive(t, err);
}

static void on_room(const bv_error *err, void *data)
{
    bvi_transfer *t = data;
    bv_error *failure = bvi_error_copy(err);

    t->last.full_path = NULL;
    t->last.missing_bytes = 0;
    if (err || start_engine(t, &failure) < 0)
        bvi_op_complete(t->op, failure);
}

static void on_picked(const bv_error *err, bv_format format, uint64_t version, void *data)
{
    bvi_transfer *t = data;
    bv_error *failure = NULL;
    int r = 0;

    t->format = format;
    t->version = version;
    if (err)
        failure = bvi_error_copy(err);
    else if (bvi_op_is_cancelled(t->op))
        r = bvi_fail(&failure, BV_E_CANCELLED, "%s interrupted", t->kind->name);
    else
        r = start_engine(t, &failure);
    if (err || r < 0)
        bvi_op_complete(t->op, failure);
}

/* A download that was begun in a format goes on in it. */
static int begun_format(const bvi_transfer *t, bv_format *ret_format, bv_error **err)
{
    bvi_auto_free char *journal = bvi_asprintf("%s/%s", t->state_dir, BVI_DOWNLOAD_JOURNAL);
    bvi_auto_free char *bits = bvi_asprintf("%s/%s", t->state_dir, BVI_SNAP_DOWNLOAD_BITS);

    if (!journal || !bits)
        return bvi_fail_nomem(err);
    *ret_format = bvi_fs_exists(journal) ? BV_FORMAT_ARCHIVE
                  : bvi_fs_exists(bits)  ? BV_FORMAT_SNAPSHOT
                                         : BV_FORMAT_ANY;
    return 0;
}

/* The user's own operation until the format is known. */
static int begin_pick(bvi_transfer *t, const char *key, bv_op **ret_op, bv_error **err)
{
    bv_error *failure = NULL;
    int r = bvi_op_new(t->ctx, &transfer_vtable, t, &t->op, err);

    if (r < 0)
        return r;
    *ret_op = bv_op_ref(t->op);
    if (bvi_pick_format(t->store, key, t->version, on_picked, t, &failure) < 0)
        bvi_op_complete(t->op, failure);
    return 0;
}

/* A snapshot's engine may be started more than once, so it is never the user's operation. */
static int begin_snapshot(bvi_transfer *t, bv_op **ret_op, bv_error **err)
{
    bv_error *failure = NULL;
    int r = bvi_op_new(t->ctx, &transfer_vtable, t, &t->op, err);

    if (r < 0) {
        transfer_free(t);
        return r;
    }
    r = start_engine(t, &failure);
    if (r < 0) {
        t->abandoned = true;
        bvi_op_complete(t->op, bvi_error_copy(failure));
        return bvi_error_move(err, failure);
    }
    *ret_op = bv_op_ref(t->op);
    return 0;
}

/* Owns t. */
static int run(bvi_transfer *t, const char *key, bv_op **ret_op, bv_error **err)
{
    int r;

    t->last = (bv_transfer_status){ .size = sizeof(t->last), .phase = "open", .eta_ms = -1 };
    r = bvi_space_init(&t->space, t->ctx, t->space_wait_secs, on_room, t, err);
    if (r < 0) {
        transfer_free(t);
        return r;
    }
    t->space.still = on_still_full;
    t->space.still_data = t;
    if (t->format == BV_FORMAT_SNAPSHOT)
        return begin_snapshot(t, ret_op, err);
    r = t->format == BV_FORMAT_ANY ? begin_pick(t, key, ret_op, err) : start_engine(t, err);
    if (r < 0)
        transfer_free(t);
    else if (!t->op)
        *ret_op = bv_op_ref(t->engine);
    return r;
}

static bvi_transfer *transfer_new(bv_ctx *ctx, const bvi_transfer_kind *kind,
                                  bv_transfer_done_fn done)
{
    bvi_transfer *t = bvi_new0(bvi_transfer);

    if (!t)
        return NULL;
    t->kind = kind;
    t->ctx = ctx;
    t->wire_before = wire_bytes(ctx);
    t->done = done;
    bvi_opts_copy_init(&t->texts);
    return t;
}

static int check_names(const char *store, const char *key, int32_t format, bv_error **err)
{
    if (!store || !key)
        return bvi_fail(err, BV_E_INVALID, "a transfer needs a store and a key");
    return format < BV_FORMAT_ANY || format > BV_FORMAT_SNAPSHOT
               ? bvi_fail(err, BV_E_INVALID, "%d is not a format", (int)format)
               : 0;
}

/* ---- downloads ---- */

static int copy_download(bvi_transfer *t, const bv_download_opts *opts, bv_error **err)
{
    bv_download_opts *o = &t->opts.download;
    int r = bvi_opts_take(o, sizeof(*o), opts, offsetof(bv_download_opts, s3_keys), err);
    const char **const texts[] = { &o->store, &o->key, &o->dest_dir, &o->state_dir,
                                   &o->verify_key_file };
    const char *const **const lists[] = { &o->mirrors, &o->include, &o->protect, &o->seeds };

    for (size_t i = 0; r == 0 && i < BVI_COUNT(texts); i++)
        r = bvi_opts_copy_text(&t->texts, texts[i], err);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(lists); i++)
        r = bvi_opts_copy_list(&t->texts, lists[i], err);
    return r;
}

static int prepare_download(bvi_transfer *t, const bv_download_opts *opts, bv_error **err)
{
    bv_download_opts *o = &t->opts.download;
    int r = copy_download(t, opts, err);

    if (r == 0)
        r = check_names(o->store, o->key, o->format, err);
    if (r == 0 && !o->dest_dir)
        r = bvi_fail(err, BV_E_INVALID, "a download needs a destination");
    if (r < 0)
        return r;
    t->state_dir = bvi_transfer_state_dir(o->dest_dir, o->state_dir);
    if (!t->state_dir)
        return bvi_fail_nomem(err);
    t->format = (bv_format)o->format;
    t->version = o->data_version;
    t->space_wait_secs = o->space_wait_secs;
    r = o->format == BV_FORMAT_ANY && o->data_version == 0 ? begun_format(t, &t->format, err) : 0;
    if (r < 0)
        return r;
    t->status = o->status;
    t->data = o->data;
    return bvi_store_open_public(t->ctx, o->store, o->s3_keys,
                                 (bvi_store_opts){ .connections = o->max_connections,
                                                   .bytes_per_s = o->bytes_per_s,
                                                   .mirrors = o->mirrors },
                                 &t->store, err);
}

int bv_download_start(bv_ctx *ctx, const bv_download_opts *opts, bv_transfer_done_fn done,
                      bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(transfer_freep) bvi_transfer *t = transfer_new(ctx, &bvi_transfer_download, done);
    int r = t ? prepare_download(t, opts, err) : bvi_fail_nomem(err);

    return r < 0 ? r : run(bvi_take(t), opts->key, ret_op, err);
}

/* ---- uploads ---- */

static int copy_upload(bvi_transfer *t, const bv_upload_opts *opts, bv_error **err)
{
    bv_upload_opts *o = &t->opts.upload;
    int r = bvi_opts_take(o, sizeof(*o), opts, offsetof(bv_upload_opts, s3_keys), err);
    const char **const texts[] = { &o->store, &o->key, &o->source_dir, &o->state_dir,
                                   &o->sign_key_file };
    const char *const **const lists[] = { &o->exclude, &o->protect, &o->gate };

    for (size_t i = 0; r == 0 && i < BVI_COUNT(texts); i++)
        r = bvi_opts_copy_text(&t->texts, texts[i], err);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(lists); i++)
        r = bvi_opts_copy_list(&t->texts, lists[i], err);
    return r;
}

static int prepare_upload(bvi_transfer *t, const bv_upload_opts *opts, bv_error **err)
{
    bv_upload_opts *o = &t->opts.upload;
    int r = copy_upload(t, opts, err);

    if (r == 0)
        r = check_names(o->store, o->key, o->format, err);
    if (r == 0 && !o->source_dir)
        r = bvi_fail(err, BV_E_INVALID, "an upload needs a source directory");
    if (r < 0)
        return r;
    t->state_dir = bvi_transfer_state_dir(o->source_dir, o->state_dir);
    if (!t->state_dir)
        return bvi_fail_nomem(err);
    t->format = o->format == BV_FORMAT_ANY ? BV_FORMAT_ARCHIVE : (bv_format)o->format;
    t->space_wait_secs = o->space_wait_secs;
    t->version = o->data_version;
    t->status = o->status;
    t->data = o->data;
    return bvi_store_open_public(
        t->ctx, o->store, o->s3_keys,
        (bvi_store_opts){ .connections = o->max_connections, .bytes_per_s = o->bytes_per_s },
        &t->store, err);
}

int bv_upload_start(bv_ctx *ctx, const bv_upload_opts *opts, bv_transfer_done_fn done,
                    bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(transfer_freep) bvi_transfer *t = transfer_new(ctx, &bvi_transfer_upload, done);
    int r = t ? prepare_upload(t, opts, err) : bvi_fail_nomem(err);

    return r < 0 ? r : run(bvi_take(t), opts->key, ret_op, err);
}

/* ---- verifications ---- */

static int copy_verify(bvi_transfer *t, const bv_verify_opts *opts, bv_error **err)
{
    bv_verify_opts *o = &t->opts.verify;
    int r = bvi_opts_take(o, sizeof(*o), opts, offsetof(bv_verify_opts, s3_keys), err);
    const char **const texts[] = { &o->store, &o->key, &o->local_dir, &o->verify_key_file,
                                   &o->state_dir };

    for (size_t i = 0; r == 0 && i < BVI_COUNT(texts); i++)
        r = bvi_opts_copy_text(&t->texts, texts[i], err);
    if (r == 0)
        r = bvi_opts_copy_list(&t->texts, &o->mirrors, err);
    return r < 0 ? r : bvi_opts_copy_list(&t->texts, &o->protect, err);
}

/* No store: what the last download left in its state directory. */
static int prepare_offline(bvi_transfer *t, bv_error **err)
{
    const bv_verify_opts *o = &t->opts.verify;

    if (!o->local_dir || !o->key)
        return bvi_fail(err, BV_E_INVALID, "without a store a directory and its key are needed");
    if (o->format == BV_FORMAT_ARCHIVE)
        return bvi_fail(err, BV_E_UNSUPPORTED, "an archive is verified with its store only");
    t->state_dir = bvi_transfer_state_dir(o->local_dir, o->state_dir);
    t->format = BV_FORMAT_SNAPSHOT;
    t->space_wait_secs = BV_TRANSFER_SPACE_WAIT_NONE;
    return t->state_dir ? 0 : bvi_fail_nomem(err);
}

static int prepare_verify(bvi_transfer *t, const bv_verify_opts *opts, bv_error **err)
{
    bv_verify_opts *o = &t->opts.verify;
    int r = copy_verify(t, opts, err);

    t->status = o->status;
    t->data = o->data;
    t->version = o->data_version;
    if (r == 0 && !o->store)
        return prepare_offline(t, err);
    if (r == 0)
        r = check_names(o->store, o->key, o->format, err);
    if (r < 0)
        return r;
    t->format = (bv_format)o->format;
    t->space_wait_secs = BV_TRANSFER_SPACE_WAIT_NONE; /* it writes nothing */
    return bvi_store_open_public(
        t->ctx, o->store, o->s3_keys,
        (bvi_store_opts){ .connections = o->max_connections, .mirrors = o->mirrors }, &t->store,
        err);
}

int bv_snapshot_verify_start(bv_ctx *ctx, const bv_verify_opts *opts, bv_transfer_done_fn done,
                             bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(transfer_freep) bvi_transfer *t = transfer_new(ctx, &bvi_transfer_verify, done);
    int r = t ? prepare_verify(t, opts, err) : bvi_fail_nomem(err);

    return r < 0 ? r : run(bvi_take(t), opts->key, ret_op, err);
}
