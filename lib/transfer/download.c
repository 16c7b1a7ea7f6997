/*
 * download.c - the phases of a download: open, describe, check, transfer, finish.
 *
 *   open      (worker) directories, lock, journal of an earlier run
 *   metadata  (source) which version, how many chunks; describe: what each chunk is, in batches
 *   check     (worker) is the manifest sound, what does the journal still spare us, is there room
 *   transfer  (loop)   runners fetch, verify and write chunks; durable ones go into the journal
 *   finish    (worker) every file has its size; the journal goes
 *
 * A verification is the same without files of its own. A failure or a cancel stops everything under
 * way, waits for it, makes durable what was verified, and only then completes the operation.
 */
#include <string.h>
#include <unistd.h>

#include "transfer/download_impl.h"
#include "transfer/verify.h"

static void download_free(bvi_download *d)
{
    bvi_download_run_free(d);
    bvi_space_done(&d->space);
    bv_error_free(d->full);
    bvi_chunk_source_free(d->own_source);
    bvi_manifest_done(&d->manifest);
    bvi_journal_done(&d->journal);
    bvi_vec_done(&d->journal_done);
    bvi_closep(&d->dest_fd);
    bvi_closep(&d->lock_fd);
    bvi_free(d->states);
    bvi_free(d->url_us);
    bvi_free((char *)d->opts.archive);
    bvi_free((char *)d->opts.dest_dir);
    bvi_free((char *)d->opts.meta_dir);
    bv_error_free(d->err);
    bv_error_free(d->step_err);
    bv_error_free(d->sync_err);
    bvi_free(d);
}

/* ---- failing and completing ---- */

void bvi_download_fail(bvi_download *d, bv_error *err)
{
    bool first = !atomic_load(&d->stopping);

    if (d->err)
        bv_error_free(err);
    else
        d->err = err;
    atomic_store(&d->stopping, true);
    if (!first)
        return;
    if (d->source_busy)
        d->opts.source->vtable->cancel(d->opts.source);
    bvi_space_stop(&d->space);
    bvi_download_run_stop(d);
}

static void on_cancel(bv_op *op, void *data)
{
    bvi_download *d = data;
    bv_error *err = NULL;

    (void)op;
    if (d->completed)
        return;
    (void)bvi_fail(&err, BV_E_CANCELLED, "download interrupted");
    bvi_download_fail(d, err);
    bvi_download_settle(d);
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    bvi_download *d = data;

    d->done(op, err, &d->report.now, d->data);
    download_free(d);
}

static const bvi_op_vtable download_op = { .name = "download",
                                           .cancel = on_cancel,
                                           .finish = on_finish };

static void complete(bvi_download *d)
{
    d->completed = true;
    if (!d->err)
        bvi_report_phase(&d->report, "done");
    bvi_op_complete(d->op, bvi_take(d->err));
}

/* ---- steps on the worker ---- */

static void start_step(bvi_download *d, int (*run)(bvi_download *d, bv_error **err),
                       void (*next)(bvi_download *d))
{
    d->step_run = run;
    d->step_next = next;
    d->step_pending = true;
    bvi_work_submit(&d->step);
}

static void on_room(const bv_error *err, void *data)
{
    bvi_download *d = data;

    bvi_report_resume(&d->report);
    if (err)
        bvi_download_fail(d, bvi_error_copy(err));
    else if (!atomic_load(&d->stopping))
        start_step(d, d->step_run, d->step_next);
    bvi_download_settle(d);
}

/* Takes err: it failed, or waits for room to run the step again. */
static void pause_or_fail(bvi_download *d, bv_error *err)
{
    if (!atomic_load(&d->stopping) &&
        bvi_space_pause(&d->space, err, d->full_path ? d->full_path : d->opts.meta_dir,
                        d->full_bytes)) {
        bv_error_free(err);
        bvi_report_pause(&d->report, &d->space);
    } else {
        bvi_download_fail(d, err);
    }
}

static void step_run(void *data)
{
    bvi_download *d = data;

    (void)d->step_run(d, &d->step_err); /* the error says it all */
}

static void step_done(void *data, bool cancelled)
{
    bvi_download *d = data;

    d->step_pending = false;
    if (cancelled && !d->step_err)
        (void)bvi_fail(&d->step_err, BV_E_CANCELLED, "download interrupted");
    if (!d->step_err && d->step_run == bvi_download_step_finish) {
        bv_error_free(bvi_take(d->err)); /* complete, also when somebody asked to stop meanwhile */
        complete(d);
        return;
    }
    if (d->step_err)
        pause_or_fail(d, bvi_take(d->step_err));
    else if (!atomic_load(&d->stopping))
        d->step_next(d);
    bvi_download_settle(d);
}

/* ---- phases ---- */

static void transfer(bvi_download *d)
{
    bv_error *err = NULL;

    if (!d->http && bvi_download_run_start(d, &err) < 0) {
        bvi_download_fail(d, err);
        return;
    }
    bvi_report_phase(&d->report, "transfer");
    d->sync_waits = false;
    d->running = true; /* the settle that follows starts the first chunks */
}

static void checked(bvi_download *d)
{
    start_step(d, bvi_download_step_space, transfer);
}

/* The chunks under way have ended for want of room: there must be some for all the rest. */
static void wait_for_room(bvi_download *d)
{
    d->running = false;
    d->full_bytes = 0; /* the step finds out */
    d->step_run = bvi_download_step_space;
    d->step_next = transfer;
    pause_or_fail(d, bvi_take(d->full));
}

void bvi_download_settle(bvi_download *d)
{
    if (d->completed)
        return;
    if (d->running)
        bvi_download_pump(d);
    if (d->running && d->full && bvi_download_run_idle(d))
        wait_for_room(d);
    if (d->step_pending || d->source_busy || bvi_space_is_waiting(&d->space) ||
        !bvi_download_run_idle(d))
        return;
    if (atomic_load(&d->stopping)) {
        complete(d);
    } else if (d->running && d->open_chunks == 0) {
        d->running = false;
        bvi_report_phase(&d->report, "verify");
        start_step(d, bvi_download_step_finish, NULL);
    }
}

static void ask_descriptions(bvi_download *d);

static int take_description(bvi_download *d, bvi_chunk *from, bv_error **err)
{
    bvi_chunk *to;

    if (from->index >= d->manifest.chunks.len || from->index < d->described ||
        from->index >= d->described + d->n_asked)
        return bvi_fail(err, BV_E_REMOTE, "the answer has chunk %u, which was not asked for",
                        from->index);
    to = &d->manifest.chunks.items[from->index];
    if (to->targets.len > 0)
        return bvi_fail(err, BV_E_REMOTE, "the answer has chunk %u twice", from->index);
    *to = *from;
    bvi_chunk_init(from);
    d->url_us[to->index] = to->url ? bvi_ctx_now_us(d->ctx) : 0;
    return 0;
}

static void on_descriptions(const bv_error *err, bvi_chunk *chunks, size_t count, void *data)
{
    bvi_download *d = data;
    bv_error *why = bvi_error_copy(err);

    d->source_busy = false;
    for (size_t i = 0; !why && i < count; i++)
        (void)take_description(d, &chunks[i], &why); /* why tells */
    if (!why && count != d->n_asked)
        (void)bvi_fail(&why, BV_E_REMOTE, "the answer has %zu chunks instead of %zu", count,
                       d->n_asked);
    if (why) {
        (void)bvi_wrap(&why, bv_error_code(why), "cannot get the chunks' descriptions");
        bvi_download_fail(d, why);
    } else if (!atomic_load(&d->stopping)) {
        d->described += (uint32_t)count;
        ask_descriptions(d);
    }
    bvi_download_settle(d);
}

static void ask_descriptions(bvi_download *d)
{
    uint32_t left = d->metadata.chunks - d->described;
    bv_error *err = NULL;

    if (left == 0) {
        start_step(d, bvi_download_step_check, checked);
        return;
    }
    d->n_asked = left < BVI_SOURCE_BATCH_MAX ? left : BVI_SOURCE_BATCH_MAX;
    for (size_t i = 0; i < d->n_asked; i++)
        d->asked[i] = d->described + (uint32_t)i;
    d->source_busy = true;
    if (d->opts.source->vtable->chunks(d->opts.source, d->metadata.data_version, d->asked,
                                       d->n_asked, on_descriptions, d, &err) < 0) {
        d->source_busy = false;
        bvi_download_fail(d, err);
    }
}

static int make_chunks(bvi_download *d, bv_error **err)
{
    uint32_t n = d->metadata.chunks;

    if (n > BVI_CHUNKS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "%u chunks are more than %u", n, BVI_CHUNKS_MAX);
    d->manifest.total_size = d->metadata.total_size;
    d->manifest.compression = d->metadata.compression;
    d->states = bvi_calloc(n ? n : 1, sizeof(*d->states));
    d->url_us = bvi_calloc(n ? n : 1, sizeof(*d->url_us));
    if (!d->states || !d->url_us)
        return bvi_fail_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        if (!bvi_manifest_add_chunk(&d->manifest))
            return bvi_fail_nomem(err);
    }
    return 0;
}

static void on_metadata(const bv_error *err, const bvi_archive_metadata *metadata, void *data)
{
    bvi_download *d = data;
    bv_error *why = bvi_error_copy(err);

    d->source_busy = false;
    if (bv_error_code(why) == BV_E_NOT_FOUND && d->journal_ours)
        (void)bvi_wrap(&why, BV_E_NOT_FOUND,
                       "cannot resume; to start over with another version remove '%s' or name one",
                       d->journal.path);
    if (!why) {
        d->metadata = *metadata;
        d->report.now.data_version = metadata->data_version;
        d->report.now.bytes_total = metadata->total_size;
        d->report.now.chunks_total = metadata->chunks;
        (void)make_chunks(d, &why); /* why tells */
    }
    if (why)
        bvi_download_fail(d, why);
    else if (!atomic_load(&d->stopping))
        ask_descriptions(d);
    bvi_download_settle(d);
}

static void opened(bvi_download *d)
{
    bv_error *err = NULL;

    bvi_report_phase(&d->report, "describe");
    d->source_busy = true;
    if (d->opts.source->vtable->metadata(d->opts.source, d->opts.data_version, on_metadata, d,
                                         &err) < 0) {
        d->source_busy = false;
        bvi_download_fail(d, err);
    }
}

/* ---- start ---- */

static int copy_opts(bvi_download *d, const bvi_download_opts *opts, bv_error **err)
{
    d->opts = *opts;
    d->opts.archive = bvi_strdup(opts->archive ? opts->archive : "");
    d->opts.dest_dir = bvi_strdup(opts->dest_dir);
    d->opts.meta_dir = bvi_strdup(opts->meta_dir);
    if (!d->opts.max_connections)
        d->opts.max_connections = BV_TRANSFER_CONNECTIONS_DEFAULT;
    if (!d->opts.archive || (opts->dest_dir && !d->opts.dest_dir) ||
        (opts->meta_dir && !d->opts.meta_dir))
        return bvi_fail_nomem(err);
    return 0;
}

static int start(bv_ctx *ctx, const bvi_download_opts *opts, bvi_unpack_mode mode,
                 bv_transfer_done_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    bvi_download *d = bvi_new0(bvi_download);
    int r;

    if (!d)
        return bvi_fail_nomem(err);
    d->ctx = ctx;
    d->mode = mode;
    d->done = done;
    d->data = data;
    d->dest_fd = d->lock_fd = -1;
    d->journal_done.max = 4 * BVI_CHUNKS_MAX;
    bvi_journal_init(&d->journal);
    bvi_manifest_init(&d->manifest);
    atomic_init(&d->stopping, false);
    bvi_work_init(&d->step, ctx, step_run, step_done, d);
    r = copy_opts(d, opts, err);
    if (r == 0)
        r = bvi_space_init(&d->space, ctx, opts->space_wait_secs, on_room, d, err);
    if (r == 0)
        r = bvi_op_new(ctx, &download_op, d, &d->op, err);
    if (r < 0) {
        download_free(d);
        return r;
    }
    bvi_report_init(&d->report, ctx, d->op, opts->status, data);
    *ret_op = bv_op_ref(d->op);
    start_step(d, bvi_download_step_open, opened);
    return 0;
}

int bvi_download_start(bv_ctx *ctx, const bvi_download_opts *opts, bv_transfer_done_fn done,
                       void *data, bv_op **ret_op, bv_error **err)
{
    if (!opts->source || !opts->dest_dir || !opts->meta_dir)
        return bvi_fail(err, BV_E_INVALID,
                        "a download needs a source, a destination and a state directory");
    return start(ctx, opts, BVI_UNPACK_WRITE, done, data, ret_op, err);
}

int bvi_verify_start(bv_ctx *ctx, const bvi_verify_opts *opts, bv_transfer_done_fn done, void *data,
                     bv_op **ret_op, bv_error **err)
{
    const bvi_download_opts as_download = {
        .source = opts->source,
        .dest_dir = opts->local_dir,
        .data_version = opts->data_version,
        .max_connections = opts->max_connections,
        .max_runners = opts->max_runners,
        .memory_mib = opts->memory_mib,
        .status = opts->status,
    };

    if (!opts->source)
        return bvi_fail(err, BV_E_INVALID, "a verification needs a source");
    return start(ctx, &as_download, opts->local_dir ? BVI_UNPACK_COMPARE : BVI_UNPACK_CHECK, done,
                 data, ret_op, err);
}
