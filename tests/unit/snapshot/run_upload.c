/*
 * run_upload.c - see run_upload.h.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "run_snapshot.h"
#include "run_upload.h"

static void on_done(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    upload_run *run = data;
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
    upload_run *run = data;

    run->status = *status;
    if (run->meddle)
        run->meddle(run, status);
    if ((run->cancel_at && status->bytes_done >= run->cancel_at) ||
        (run->cancel_sent && status->stored_done >= run->cancel_sent))
        bv_op_cancel(op);
}

static int64_t real_us(void *data)
{
    struct timespec now;

    (void)data;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t later_us(void *data)
{
    return ((int64_t)time(NULL) + 3600 + ((const upload_run *)data)->clock_ahead) * 1000000;
}

int run_upload_snapshot(unsigned workers, const char *store, const char *dir, upload_run *run)
{
    const bv_clock later = { sizeof(bv_clock), run, real_us, later_us };
    bv_ctx_opts ctx_opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;
    bvi_store *s = NULL;
    bv_ctx *ctx = NULL;
    bv_op *op = NULL;
    int r;

    ctx_opts.workers = workers;
    if (run->log) {
        ctx_opts.log = bvt_log_sink;
        ctx_opts.log_data = run->log;
    }
    if (run->later)
        ctx_opts.clock = &later;
    run->done = false;
    run->code = 0;
    run->text[0] = '\0';
    r = bv_ctx_new(&ctx_opts, &ctx, NULL);
    if (r < 0)
        return run->code = r;
    r = bvi_store_dir_open(ctx, store, &s, &err);
    if (!run->opts.store_key)
        run->opts.store_key = "key";
    if (!run->opts.level) {
        run->opts.codec = BVI_SNAP_ZSTD;
        run->opts.level = 3;
    }
    run->opts.store = s;
    run->opts.source_dir = dir;
    run->opts.state_dir = bvt_format("%s.up", dir);
    run->opts.status = on_status;
    if (r == 0)
        r = bvi_snap_upload_start(ctx, &run->opts, on_done, run, &op, &err);
    while (r == 0 && !run->done)
        ck_assert_msg(bv_ctx_dispatch(ctx, 30000) > 0, "the upload hangs");
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

uint64_t upload_ok(const char *store, const char *dir, upload_run *run)
{
    int r = run_upload_snapshot(2, store, dir, run);

    ck_assert_msg(r == 0, "%d: %s", r, run->text);
    ck_assert_str_eq(run->status.phase, "done");
    ck_assert_uint_gt(run->status.data_version, 0);
    return run->status.data_version;
}

void assert_is_snapshot_of(const char *store, uint64_t version, const char *dir)
{
    snap_run run = { .opts = { .mode = BVI_SNAP_COMPARE, .version = version, .recheck = true } };

    (void)run_snapshot(2, store, dir, &run);
    ck_assert_msg(run.code == 0, "%s ('%s' differs)", run.text, run.differs_path);
}

static struct {
    const char *end;
    size_t count;
} counting;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t len = strlen(path);
    size_t end = strlen(counting.end);

    (void)st;
    (void)ftw;
    if (type == FTW_F && len >= end && strcmp(path + len - end, counting.end) == 0)
        counting.count++;
    return 0;
}

size_t count_files(const char *dir, const char *end)
{
    counting.end = end;
    counting.count = 0;
    (void)nftw(dir, count_one, 16, FTW_PHYS);
    return counting.count;
}
