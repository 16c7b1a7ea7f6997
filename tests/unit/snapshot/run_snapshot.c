/*
 * run_snapshot.c - see run_snapshot.h.
 */
#include <stdio.h>

#include "base/error.h"
#include "run_snapshot.h"

static void on_done(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    snap_run *run = data;
    char *text = err ? bvi_error_text(err) : NULL;

    (void)op;
    ck_assert(!run->done);
    run->done = true;
    run->code = bv_error_code(err);
    run->errnum = bv_error_errno(err);
    run->status = *status;
    (void)snprintf(run->text, sizeof(run->text), "%s", text ? text : "");
    bvi_free(text);
}

static void on_status(bv_op *op, const bv_transfer_status *status, void *data)
{
    snap_run *run = data;

    run->status = *status;
    if (run->hook)
        run->hook(status);
    if (run->cancel_at && status->bytes_done >= run->cancel_at)
        bv_op_cancel(op);
}

static void on_differs(const char *path, uint64_t pos, uint64_t len, void *data)
{
    snap_run *run = data;

    (void)pos;
    (void)len;
    run->differs++;
    (void)snprintf(run->differs_path, sizeof(run->differs_path), "%s", path);
}

int run_snapshot(unsigned workers, const char *store, const char *dir, snap_run *run)
{
    bv_ctx_opts ctx_opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;
    bvi_store *s = NULL;
    bv_ctx *ctx = NULL;
    bv_op *op = NULL;
    int r;

    ctx_opts.workers = workers;
    run->done = false;
    run->code = 0;
    r = bv_ctx_new(&ctx_opts, &ctx, NULL);
    if (r < 0)
        return run->code = r;
    r = bvi_store_dir_open(ctx, store, &s, &err);
    if (!run->opts.store_key)
        run->opts.store_key = "key";
    run->opts.store = s;
    run->opts.dest_dir = run->opts.mode == BVI_SNAP_CHECK ? NULL : dir;
    run->opts.state_dir = dir ? bvt_format("%s.state", dir) : NULL;
    run->opts.status = on_status;
    run->opts.differs = on_differs;
    if (r == 0)
        r = bvi_snap_download_start(ctx, &run->opts, on_done, run, &op, &err);
    while (r == 0 && !run->done)
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 10000), 0);
    if (r < 0) {
        run->code = r;
        (void)snprintf(run->text, sizeof(run->text), "%s", bv_error_message(err));
        bv_error_free(err);
    }
    bv_op_unref(op);
    bvi_store_free(s);
    bv_ctx_free(ctx);
    return run->code;
}
