/*
 * upload.c - the phases of an upload: plan, reserve, transfer, recheck, publish.
 *
 *   plan      (worker) lock, journal, scan, blueprint; does an earlier run's journal fit it?
 *   reserve   (source) the version, and the first slots; the version goes into the journal
 *   transfer  (loop)   packers pack, send and record chunks
 *   recheck   (worker) scan again: has anything changed meanwhile?
 *   publish   (source) the manifest, which makes the version visible; then the journal goes
 *
 * An upload that died between publishing and removing its journal finds its version complete; it
 * then compares it with its own manifest and is done. A failure or a cancel stops everything under
 * way, waits for it, and records what was stored before the operation completes.
 */
#include <string.h>

#include "transfer/upload_impl.h"
#include "transfer/url.h"

static void free_chunks(bvi_upload *u)
{
    for (size_t i = 0; i < u->journal_chunks.len; i++)
        bvi_chunk_done(&u->journal_chunks.items[i]);
    bvi_vec_done(&u->journal_chunks);
}

static void upload_free(bvi_upload *u)
{
    bvi_upload_run_free(u);
    bvi_space_done(&u->space);
    bv_error_free(u->full);
    bvi_free(u->full_path);
    bvi_free(u->store_dir);
    bvi_chunk_source_free(u->own_source);
    bvi_manifest_done(&u->manifest);
    bvi_scan_done(&u->scan);
    bvi_journal_done(&u->journal);
    free_chunks(u);
    bvi_closep(&u->source_fd);
    bvi_closep(&u->lock_fd);
    bvi_free(u->states);
    bvi_free(u->url_us);
    bvi_strv_done(&u->exclude);
    bvi_free((char *)u->opts.archive);
    bvi_free((char *)u->opts.source_dir);
    bvi_free((char *)u->opts.meta_dir);
    bvi_free((char *)u->opts.data_stamp);
    bv_error_free(u->err);
    bv_error_free(u->step_err);
    bv_error_free(u->record_err);
    bvi_free(u);
}

/* ---- failing and completing ---- */

void bvi_upload_fail(bvi_upload *u, bv_error *err)
{
    bool first = !atomic_load(&u->stopping);

    if (u->err)
        bv_error_free(err);
    else
        u->err = err;
    atomic_store(&u->stopping, true);
    if (!first)
        return;
    if (u->source_busy)
        u->opts.source->vtable->cancel(u->opts.source);
    bvi_space_stop(&u->space);
    bvi_upload_run_stop(u);
}

static void on_cancel(bv_op *op, void *data)
{
    bvi_upload *u = data;
    bv_error *err = NULL;

    (void)op;
    if (u->completed)
        return;
    (void)bvi_fail(&err, BV_E_CANCELLED, "upload interrupted");
    bvi_upload_fail(u, err);
    bvi_upload_settle(u);
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    bvi_upload *u = data;

    u->done(op, err, &u->report.now, u->data);
    upload_free(u);
}

static const bvi_op_vtable upload_op = { .name = "upload",
                                         .cancel = on_cancel,
                                         .finish = on_finish };

static void complete(bvi_upload *u)
{
    u->completed = true;
    if (!u->err)
        bvi_report_phase(&u->report, "done");
    bvi_op_complete(u->op, bvi_take(u->err));
}

/* ---- a full disk ---- */

static void on_room(const bv_error *err, void *data)
{
    bvi_upload *u = data;

    bvi_report_resume(&u->report);
    if (err)
        bvi_upload_fail(u, bvi_error_copy(err));
    else if (!atomic_load(&u->stopping))
        u->again(u);
    bvi_upload_settle(u);
}

void bvi_upload_pause_or_fail(bvi_upload *u, bv_error *err, const char *path, uint64_t needed,
                              void (*again)(bvi_upload *u))
{
    if (!atomic_load(&u->stopping) && bvi_space_pause(&u->space, err, path, needed)) {
        u->again = again;
        bv_error_free(err);
        bvi_report_pause(&u->report, &u->space);
    } else {
        bvi_upload_fail(u, err);
    }
}

/* ---- steps on the worker ---- */

static void start_step(bvi_upload *u, int (*run)(bvi_upload *u, bv_error **err),
                       void (*next)(bvi_upload *u))
{
    u->step_run = run;
    u->step_next = next;
    u->step_pending = true;
    bvi_work_submit(&u->step);
}

static void step_again(bvi_upload *u)
{
    start_step(u, u->step_run, u->step_next);
}

static void step_run(void *data)
{
    bvi_upload *u = data;

    (void)u->step_run(u, &u->step_err); /* the error says it all */
}

static void step_done(void *data, bool cancelled)
{
    bvi_upload *u = data;

    u->step_pending = false;
    if (cancelled && !u->step_err)
        (void)bvi_fail(&u->step_err, BV_E_CANCELLED, "upload interrupted");
    if (!u->step_err && u->step_run == bvi_upload_step_finish) {
        bv_error_free(bvi_take(u->err)); /* complete, also when somebody asked to stop meanwhile */
        complete(u);
        return;
    }
    if (u->step_err)
        bvi_upload_pause_or_fail(u, bvi_take(u->step_err), u->opts.meta_dir, 0, step_again);
    else if (u->step_next && !atomic_load(&u->stopping))
        u->step_next(u);
    bvi_upload_settle(u);
}

/* ---- phases, last first ---- */

static void remove_journal(bvi_upload *u)
{
    start_step(u, bvi_upload_step_finish, NULL);
}

static void publish(bvi_upload *u);

static void on_published(const bv_error *err, void *data)
{
    bvi_upload *u = data;
    bv_error *why = bvi_error_copy(err);

    u->source_busy = false;
    if (!why) {
        remove_journal(u);
        return;
    }
    /* The store lost chunks, or the version is somebody else's: what is recorded is worthless. */
    u->forget = bv_error_code(why) == BV_E_STATE || bv_error_code(why) == BV_E_EXISTS;
    (void)bvi_wrap(&why, bv_error_code(why), "failed to publish the manifest");
    bvi_upload_pause_or_fail(u, why, u->store_dir ? u->store_dir : u->opts.meta_dir, 0, publish);
    bvi_upload_settle(u);
}

static void publish(bvi_upload *u)
{
    bv_error *err = NULL;

    for (size_t i = 0; i < u->manifest.chunks.len; i++)
        (void)bvi_chunk_set_url(&u->manifest.chunks.items[i], NULL,
                                NULL); /* clearing cannot fail */
    bvi_report_phase(&u->report, "publish");
    u->source_busy = true;
    if (bvi_manifest_check(&u->manifest, &err) < 0 ||
        u->opts.source->vtable->put_manifest(u->opts.source, u->version, &u->manifest, on_published,
                                             u, &err) < 0) {
        u->source_busy = false;
        bvi_upload_fail(u, err);
    }
}

static void go_on(bvi_upload *u)
{
    u->record_waits = false;
    u->running = true; /* the settle that follows starts the next chunks */
}

/* The chunks under way have ended for want of room. */
static void wait_for_room(bvi_upload *u)
{
    u->running = false;
    bvi_upload_pause_or_fail(u, bvi_take(u->full), u->full_path ? u->full_path : u->opts.meta_dir,
                             u->full_bytes, go_on);
}

void bvi_upload_settle(bvi_upload *u)
{
    if (u->completed)
        return;
    if (u->running)
        bvi_upload_pump(u);
    if (u->running && u->full && bvi_upload_run_idle(u) && !u->source_busy)
        wait_for_room(u);
    if (u->step_pending || u->source_busy || bvi_space_is_waiting(&u->space) ||
        !bvi_upload_run_idle(u))
        return;
    if (atomic_load(&u->stopping)) {
        if (u->forget) {
            u->forget = false;
            if (!u->opts.data_version)
                u->version = 0;
            start_step(u, bvi_upload_step_forget, NULL);
            return;
        }
        complete(u);
    } else if (u->running && u->open_chunks == 0) {
        u->running = false;
        bvi_report_phase(&u->report, "verify");
        start_step(u, bvi_upload_step_recheck, publish);
    }
}

/* ---- was it published before? ---- */

static void on_compared(const bv_error *err, bvi_chunk *chunks, size_t count, void *data)
{
    bvi_upload *u = data;
    bv_error *why = bvi_error_copy(err);

    u->source_busy = false;
    for (size_t i = 0; !why && i < count; i++) {
        if (chunks[i].index >= u->manifest.chunks.len ||
            !bvi_checksum_equal(&chunks[i].checksum,
                                &u->manifest.chunks.items[chunks[i].index].checksum))
            (void)bvi_fail(&why, BV_E_EXISTS, "version %llu exists already, with other content",
                           (unsigned long long)u->version);
    }
    if (!why) {
        remove_journal(u);
        return;
    }
    u->forget = bv_error_code(why) == BV_E_EXISTS;
    bvi_upload_fail(u, why);
    bvi_upload_settle(u);
}

static void compare_published(bvi_upload *u)
{
    bv_error *err = NULL;

    u->n_asked = 0;
    while (u->n_asked < BVI_SOURCE_BATCH_MAX && u->n_asked < u->manifest.chunks.len) {
        u->asked[u->n_asked] = (uint32_t)u->n_asked;
        u->n_asked++;
    }
    u->source_busy = true;
    if (u->opts.source->vtable->chunks(u->opts.source, u->version, u->asked, u->n_asked,
                                       on_compared, u, &err) < 0) {
        u->source_busy = false;
        bvi_upload_fail(u, err);
    }
}

/* ---- reserve ---- */

static void run(bvi_upload *u)
{
    bvi_report_phase(&u->report, "transfer");
    u->running = true; /* the settle that follows starts the first chunks */
}

static void reserve(bvi_upload *u);

/* A version we thought ours is complete: either we completed it ourselves, or there is a next one.
 */
static bool got_over_existing(bvi_upload *u)
{
    if (u->journal_publishing && u->open_chunks == 0) {
        compare_published(u);
        return true;
    }
    if (u->opts.data_version || !u->version)
        return false;
    u->version = 0;
    reserve(u);
    return true;
}

static void note_store_dir(bvi_upload *u, const bvi_upload_slot *slots, size_t count)
{
    const char *slash;

    if (u->store_dir || count == 0 || !slots[0].url || !bvi_url_is_file(slots[0].url) ||
        bvi_url_to_path(slots[0].url, &u->store_dir, NULL) < 0)
        return;
    slash = strrchr(u->store_dir, '/');
    u->store_dir[slash ? slash - u->store_dir : 0] = '\0';
}

static void on_reserved(const bv_error *err, uint64_t data_version, const bvi_upload_slot *slots,
                        size_t count, void *data)
{
    bvi_upload *u = data;
    bv_error *why = bvi_error_copy(err);
    bool known = u->version == data_version && u->journal_ours;

    u->source_busy = false;
    if (bv_error_code(why) == BV_E_EXISTS && !atomic_load(&u->stopping) && got_over_existing(u)) {
        bv_error_free(why);
        bvi_upload_settle(u);
        return;
    }
    if (!why && data_version == 0)
        (void)bvi_fail(&why, BV_E_REMOTE, "the answer names no version");
    note_store_dir(u, slots, count);
    if (!why)
        (void)bvi_upload_take_slots(u, slots, count, &why); /* why tells */
    if (why) {
        (void)bvi_wrap(&why, bv_error_code(why), "cannot reserve a version");
        bvi_upload_pause_or_fail(u, why, u->opts.meta_dir, 0, reserve);
    } else if (!atomic_load(&u->stopping)) {
        u->version = u->report.now.data_version = data_version;
        if (known)
            run(u);
        else
            start_step(u, bvi_upload_step_version, run);
    }
    bvi_upload_settle(u);
}

int bvi_upload_ask_slots(bvi_upload *u, bvi_source_slots_fn done, bv_error **err)
{
    const bvi_slots_request request = {
        .data_version = u->version,
        .url_expires_secs = u->opts.url_expires_secs,
        .lease = u->lease,
        .indexes = u->asked,
        .count = u->n_asked,
    };
    int r;

    u->source_busy = true;
    r = u->opts.source->vtable->slots(u->opts.source, &request, done, u, err);
    if (r < 0)
        u->source_busy = false;
    return r;
}

static void reserve(bvi_upload *u)
{
    bv_error *err = NULL;

    bvi_upload_choose_slots(u);
    if (bvi_upload_ask_slots(u, on_reserved, &err) < 0)
        bvi_upload_fail(u, err);
}

static void planned(bvi_upload *u)
{
    bv_error *err = NULL;

    free_chunks(u);
    u->report.now.data_version = u->version;
    if (bvi_upload_run_start(u, &err) < 0)
        bvi_upload_fail(u, err);
    else
        reserve(u);
}

/* ---- start ---- */

static int copy_text(const char **field, bv_error **err)
{
    const char *text = *field;

    *field = bvi_strdup(text);
    return text && !*field ? bvi_fail_nomem(err) : 0;
}

static int copy_exclude(bvi_upload *u, const char *const *exclude, bv_error **err)
{
    char **end;

    for (; exclude && *exclude; exclude++) {
        if (bvi_strv_add(&u->exclude, *exclude) < 0)
            return bvi_fail(err, BV_E_LIMIT, "more than %zu exclude patterns", u->exclude.max - 1);
    }
    /* The list ends with a NULL, as its reader expects. */
    end = bvi_vec_push(&u->exclude);
    return end ? 0 : bvi_fail_nomem(err);
}

static int copy_opts(bvi_upload *u, const bvi_upload_opts *opts, bv_error **err)
{
    int r;

    u->opts = *opts;
    u->opts.exclude = NULL;
    if (!u->opts.archive)
        u->opts.archive = "";
    if (!u->opts.max_connections)
        u->opts.max_connections = BV_TRANSFER_CONNECTIONS_DEFAULT;
    if (!u->opts.url_expires_secs)
        u->opts.url_expires_secs =
            3600 + 15 * (u->opts.max_runners ? u->opts.max_runners : BV_TRANSFER_RUNNERS_DEFAULT);
    r = copy_text(&u->opts.archive, err);
    /* Each of them is replaced by its copy or NULL, so that upload_free() is right in any case. */
    if (copy_text(&u->opts.source_dir, r == 0 ? err : NULL) < 0 && r == 0)
        r = BV_E_NOMEM;
    if (copy_text(&u->opts.meta_dir, r == 0 ? err : NULL) < 0 && r == 0)
        r = BV_E_NOMEM;
    if (copy_text(&u->opts.data_stamp, r == 0 ? err : NULL) < 0 && r == 0)
        r = BV_E_NOMEM;
    if (r == 0)
        r = copy_exclude(u, opts->exclude, err);
    u->opts.exclude = (const char *const *)u->exclude.items;
    return r;
}

int bvi_upload_start(bv_ctx *ctx, const bvi_upload_opts *opts, bv_transfer_done_fn done, void *data,
                     bv_op **ret_op, bv_error **err)
{
    bvi_upload *u;
    int r;

    if (!opts->source || !opts->source_dir || !opts->meta_dir)
        return bvi_fail(
            err, BV_E_INVALID,
            "an upload needs a source directory, a state directory and where to put it");
    u = bvi_new0(bvi_upload);
    if (!u)
        return bvi_fail_nomem(err);
    u->ctx = ctx;
    u->done = done;
    u->data = data;
    u->source_fd = u->lock_fd = -1;
    u->exclude.max = BVI_SCAN_PATTERNS_MAX + 1;
    u->journal_chunks.max = 4 * BVI_CHUNKS_MAX;
    bvi_journal_init(&u->journal);
    bvi_manifest_init(&u->manifest);
    bvi_scan_init(&u->scan);
    atomic_init(&u->stopping, false);
    bvi_work_init(&u->step, ctx, step_run, step_done, u);
    r = copy_opts(u, opts, err);
    if (r == 0)
        r = bvi_space_init(&u->space, ctx, opts->space_wait_secs, on_room, u, err);
    if (r == 0)
        r = bvi_op_new(ctx, &upload_op, u, &u->op, err);
    if (r < 0) {
        upload_free(u);
        return r;
    }
    bvi_report_init(&u->report, ctx, u->op, opts->status, data);
    u->report.now.phase = "scan";
    *ret_op = bv_op_ref(u->op);
    start_step(u, bvi_upload_step_plan, planned);
    return 0;
}
