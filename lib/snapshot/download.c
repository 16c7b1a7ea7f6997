/*
 * download.c - the phases of a snapshot's download or verification:
 *
 *   open      (worker) directories, lock, state of an earlier run
 *   manifest  (store)  the root, its signature
 *   begin     (worker) which chunks are durable already, is there room
 *   transfer  pages are planned (worker) one after the other; their chunks are looked for, fetched,
 *             written (download_run.c)
 *   settle    (worker) the pages once more: what needs all data in place
 *   finish    (worker) everything durable, what was installed is written down
 *
 * A failure or a cancel stops everything under way, waits for it, makes durable what was written,
 * and only then completes the operation.
 */
#include <string.h>

#include "base/glob.h"
#include "snapshot/download_impl.h"

/* A full disk is worth going on with from so much room. */
#define ROOM_BYTES (256ull * 1024u * 1024u)

static void free_use(bvi_layout_use *use)
{
    if (use)
        bvi_layout_free(use->plan);
    bvi_free(use);
}

static void download_free(bvi_snap_download *d)
{
    bvi_snap_run_free(d);
    bvi_space_done(&d->space);
    bv_error_free(d->full);
    free_use(d->current);
    free_use(d->ahead);
    bvi_layout_free(d->plan);
    bvi_page_done(&d->page);
    bvi_snap_manifest_free(d->manifest);
    if (d->settle)
        bvi_settle_done(d->settle);
    bvi_free(d->settle);
    bvi_installed_writer_done(&d->installing);
    bvi_installed_reader_done(&d->installed);
    bvi_walk_check_done(&d->walk);
    bvi_bits_done(&d->bits);
    for (size_t i = 0; d->seeds && i < d->seed_dirs.len; i++)
        bvi_dest_done(&d->seeds[i]);
    bvi_free(d->seeds);
    bvi_dest_done(&d->dest);
    bvi_closep(&d->lock_fd);
    bvi_strv_done(&d->include);
    bvi_strv_done(&d->protect);
    bvi_strv_done(&d->seed_dirs);
    bvi_free(d->store_key);
    bvi_free((char *)d->opts.dest_dir);
    bvi_free((char *)d->opts.state_dir);
    bvi_free((char *)d->opts.verify_key_file);
    bv_error_free(d->err);
    bv_error_free(d->step_err);
    bv_error_free(d->sync_err);
    bv_error_free(d->first_bad);
    bvi_free(d);
}

/* ---- failing and completing ---- */

void bvi_snap_fail(bvi_snap_download *d, bv_error *err)
{
    bool first = !atomic_load(&d->stopping);

    if (d->err)
        bv_error_free(err);
    else
        d->err = err;
    atomic_store(&d->stopping, true);
    if (!first)
        return;
    if (d->opts.store)
        d->opts.store->vtable->cancel(d->opts.store);
    bvi_space_stop(&d->space);
    bvi_snap_run_stop(d);
}

static void on_cancel(bv_op *op, void *data)
{
    bvi_snap_download *d = data;
    bv_error *err = NULL;

    (void)op;
    if (d->completed)
        return;
    (void)bvi_fail(&err, BV_E_CANCELLED, "download interrupted");
    bvi_snap_fail(d, err);
    bvi_snap_settle_down(d);
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    bvi_snap_download *d = data;

    d->done(op, err, &d->report.now, d->data);
    download_free(d);
}

static const bvi_op_vtable download_op = { .name = "snapshot download",
                                           .cancel = on_cancel,
                                           .finish = on_finish };

void bvi_snap_found_bad(bvi_snap_download *d, const bvi_layout *plan, uint32_t chunk, bv_error *err)
{
    char path[BVI_SNAP_PATH_MAX + 1];
    bvi_layout_pieces it;

    d->bad_chunks++;
    if (d->first_bad)
        bv_error_free(err);
    else
        d->first_bad = err;
    bvi_layout_pieces_init(&it, plan, chunk);
    while (d->opts.differs && bvi_layout_pieces_next(&it)) {
        bvi_layout_path(plan, it.item, path);
        d->opts.differs(path, it.pos, it.len, d->data);
    }
}

static bv_error *verdict(bvi_snap_download *d)
{
    bv_error *err = bvi_take(d->first_bad);

    if (err && d->bad_chunks > 0)
        (void)bvi_wrap(&err, BV_E_CHECKSUM, "%llu of %llu chunks are not as they should be",
                       (unsigned long long)d->bad_chunks,
                       (unsigned long long)bvi_snap_manifest_root(d->manifest)->chunks);
    return err;
}

static void complete(bvi_snap_download *d)
{
    d->completed = true;
    if (!d->err)
        d->err = verdict(d);
    if (!d->err)
        bvi_report_phase(&d->report, "done");
    bvi_op_complete(d->op, bvi_take(d->err));
}

/* ---- steps on the worker ---- */

static void start_step(bvi_snap_download *d, int (*run)(bvi_snap_download *d, bv_error **err),
                       void (*next)(bvi_snap_download *d))
{
    d->step_run = run;
    d->step_next = next;
    d->step_pending = true;
    bvi_work_submit(&d->step);
}

/* The rest of the snapshot, as far as it is of use to wait for room for it. */
static uint64_t room_wanted(const bvi_snap_download *d)
{
    uint64_t left = d->report.now.bytes_total - d->report.now.bytes_done;

    return left < ROOM_BYTES ? left : ROOM_BYTES;
}

static void on_room(const bv_error *err, void *data)
{
    bvi_snap_download *d = data;

    bvi_report_resume(&d->report);
    if (err)
        bvi_snap_fail(d, bvi_error_copy(err));
    else if (d->step_full && !atomic_load(&d->stopping))
        start_step(d, d->step_run, d->step_next);
    d->step_full = false;
    if (!atomic_load(&d->stopping))
        bvi_snap_run_resume(d);
    bvi_snap_settle_down(d);
}

/* Takes err: it failed, or waits for room. */
static bool pause_or_fail(bvi_snap_download *d, bv_error *err)
{
    bool waits = !atomic_load(&d->stopping) &&
                 bvi_space_pause(&d->space, err, d->opts.dest_dir, room_wanted(d));

    if (waits) {
        bv_error_free(err);
        bvi_report_pause(&d->report, &d->space);
    } else {
        bvi_snap_fail(d, err);
    }
    return waits;
}

static void step_run(void *data)
{
    bvi_snap_download *d = data;

    (void)d->step_run(d, &d->step_err); /* the error says it all */
}

static bool may_run_again(const bvi_snap_download *d)
{
    return bvi_space_is_full(d->step_err) &&
           (d->step_run == bvi_snap_step_space || d->step_run == bvi_snap_step_plan);
}

static void step_done(void *data, bool cancelled)
{
    bvi_snap_download *d = data;

    d->step_pending = false;
    if (cancelled && !d->step_err)
        (void)bvi_fail(&d->step_err, BV_E_CANCELLED, "download interrupted");
    if (!d->step_err && d->step_run == bvi_snap_step_finish) {
        bv_error_free(bvi_take(d->err)); /* complete, also when somebody asked to stop meanwhile */
        complete(d);
        return;
    }
    if (d->step_err && may_run_again(d))
        d->step_full = pause_or_fail(d, bvi_take(d->step_err));
    else if (d->step_err)
        bvi_snap_fail(d, bvi_take(d->step_err));
    else if (!atomic_load(&d->stopping))
        d->step_next(d);
    bvi_snap_settle_down(d);
}

/* ---- pages ---- */

static size_t n_pages(const bvi_snap_download *d)
{
    return bvi_snap_manifest_root(d->manifest)->pages.len;
}

static void finish(bvi_snap_download *d)
{
    d->phase = BVI_SNAP_FINISH;
    start_step(d, bvi_snap_step_finish, NULL);
}

/* What a look at the disk found besides chunks: entries that are missing or of another kind. */
static void report_others(bvi_snap_download *d, const bvi_layout *plan)
{
    char path[BVI_SNAP_PATH_MAX + 1];

    for (size_t i = 0; i < plan->items.len; i++) {
        if (!(plan->items.items[i].flags & BVI_LAYOUT_OTHER))
            continue;
        bvi_layout_path(plan, &plan->items.items[i], path);
        if (d->opts.differs)
            d->opts.differs(path, 0, 0, d->data);
        if (!d->first_bad)
            (void)bvi_fail(&d->first_bad, BV_E_CHECKSUM,
                           "'%s' is missing, of another kind or of another size", path);
    }
}

static void planned(bvi_snap_download *d)
{
    bvi_layout_use *use = bvi_new0(bvi_layout_use);
    bv_error *err = NULL;

    if (!use) {
        (void)bvi_fail_nomem(&err);
        bvi_snap_fail(d, err);
        return;
    }
    d->report.now.bytes_done += d->prepare.kept_bytes;
    d->report.now.reused_bytes += d->prepare.kept_bytes;
    d->report.now.resumed_chunks += (uint32_t)d->prepare.resumed_chunks;
    report_others(d, d->plan);
    use->plan = bvi_take(d->plan);
    d->next_page++;
    if (d->current)
        d->ahead = use;
    else
        d->current = use;
}

static void settled(bvi_snap_download *d)
{
    d->next_page++;
    if (d->next_page < n_pages(d))
        bvi_snap_ask_page(d);
    else
        finish(d);
}

static void on_page(const bv_error *err, bvi_page *page, void *data)
{
    bvi_snap_download *d = data;

    d->page_busy = false;
    d->report.now.wire_bytes += bvi_snap_manifest_fetched(d->manifest);
    if (err) {
        bvi_snap_fail(d, bvi_error_copy(err));
    } else if (!atomic_load(&d->stopping)) {
        bvi_page_done(&d->page);
        d->page = *page;
        *page = (bvi_page){ 0 };
        if (d->phase == BVI_SNAP_TRANSFER)
            start_step(d, bvi_snap_step_plan, planned);
        else
            start_step(d, bvi_snap_step_settle, settled);
    }
    bvi_snap_settle_down(d);
}

void bvi_snap_ask_page(bvi_snap_download *d)
{
    d->page_busy = true;
    bvi_snap_manifest_page(d->manifest, d->next_page, on_page, d);
}

/* ---- phases ---- */

static void turned(bvi_snap_download *d)
{
    d->next_page = 0;
    if (d->opts.mode != BVI_SNAP_RESTORE && d->walk.links.len == 0)
        finish(d);
    else
        bvi_snap_ask_page(d);
}

void bvi_snap_settle_down(bvi_snap_download *d)
{
    if (d->completed)
        return;
    if (d->phase == BVI_SNAP_TRANSFER)
        bvi_snap_pump(d);
    if (d->full && bvi_snap_run_idle(d) && !d->step_pending && !d->page_busy && !d->step_full)
        (void)pause_or_fail(d, bvi_take(d->full)); /* all that could be done without room is */
    if (d->step_pending || d->page_busy || bvi_space_is_waiting(&d->space) || !bvi_snap_run_idle(d))
        return;
    if (atomic_load(&d->stopping) && d->phase == BVI_SNAP_OPENING && !d->undone) {
        d->undone = true;
        start_step(d, bvi_snap_step_undo, NULL); /* nothing was begun: leaves nothing behind */
    } else if (atomic_load(&d->stopping)) {
        complete(d);
    } else if (d->phase == BVI_SNAP_TRANSFER && bvi_snap_run_done(d)) {
        d->phase = BVI_SNAP_SETTLE;
        bvi_report_phase(&d->report, "verify");
        start_step(d, bvi_snap_step_turn, turned);
    }
}

static void begun(bvi_snap_download *d)
{
    bv_error *err = NULL;

    if (bvi_snap_run_start(d, &err) < 0) {
        bvi_snap_fail(d, err);
        return;
    }
    bvi_report_phase(&d->report, "transfer");
    d->phase = BVI_SNAP_TRANSFER; /* the call that follows starts the first page */
}

static void has_room(bvi_snap_download *d)
{
    start_step(d, bvi_snap_step_begin, begun);
}

static void on_manifest(const bv_error *err, void *data)
{
    bvi_snap_download *d = data;
    const bvi_snap_root *root = bvi_snap_manifest_root(d->manifest);
    bv_error *why = bvi_error_copy(err);

    d->page_busy = false;
    if (bv_error_code(why) == BV_E_NOT_FOUND && d->opts.state_dir && d->opts.version)
        (void)bvi_wrap(&why, BV_E_NOT_FOUND,
                       "an interrupted download is only resumed with its version; to take another "
                       "one name it or remove '%s/%s'",
                       d->opts.state_dir, BVI_SNAP_DOWNLOAD_BITS);
    if (why) {
        bvi_snap_fail(d, why);
    } else if (!atomic_load(&d->stopping)) {
        d->report.now.format = BV_FORMAT_SNAPSHOT;
        d->report.now.data_version = root->version;
        d->report.now.bytes_total = root->plain_bytes;
        d->report.now.chunks_total = (uint32_t)root->chunks;
        d->report.now.files = root->files;
        start_step(d, bvi_snap_step_space, has_room);
    }
    bvi_snap_settle_down(d);
}

static void opened(bvi_snap_download *d)
{
    const bvi_snap_manifest_opts opts = {
        .store = d->opts.store,
        .store_key = d->store_key,
        .version = d->opts.version,
        .verify_key_file = d->opts.verify_key_file,
        .cache_dir = d->opts.state_dir,
        .prefer_cache = d->opts.mode == BVI_SNAP_COMPARE || d->opts.version != 0,
    };
    bv_error *err = NULL;

    bvi_report_phase(&d->report, "describe");
    if (bvi_snap_manifest_new(d->ctx, &opts, &d->manifest, &err) < 0) {
        bvi_snap_fail(d, err);
        return;
    }
    d->page_busy = true;
    bvi_snap_manifest_load(d->manifest, on_manifest, d);
}

/* ---- start ---- */

static int copy_list(bvi_strv *to, const char *const *from, bool patterns, bv_error **err)
{
    for (; from && *from; from++) {
        int r = patterns ? bvi_glob_check(*from, err) : 0;

        if (r < 0)
            return r;
        r = bvi_strv_add(to, *from);
        if (r < 0)
            return bvi_fail(err, r, "there are too many patterns or directories");
    }
    return 0;
}

/* The list with a NULL behind it, as patterns are handed on. */
static int end_list(bvi_strv *list, bv_error **err)
{
    char **end;

    if (list->len == 0)
        return 0;
    end = bvi_vec_push(list);
    if (!end)
        return bvi_fail_nomem(err);
    *end = NULL;
    list->len--;
    return 0;
}

static int copy_opts(bvi_snap_download *d, const bvi_snap_download_opts *opts, bv_error **err)
{
    int r;

    d->include.max = d->protect.max = BVI_SNAP_PATTERNS_MAX + 1;
    d->seed_dirs.max = BVI_SNAP_SEEDS_MAX;
    d->opts.dest_dir = bvi_strdup(opts->dest_dir);
    d->opts.state_dir = bvi_strdup(opts->state_dir);
    d->opts.verify_key_file = bvi_strdup(opts->verify_key_file);
    if ((opts->dest_dir && !d->opts.dest_dir) || (opts->state_dir && !d->opts.state_dir) ||
        (opts->verify_key_file && !d->opts.verify_key_file))
        return bvi_fail_nomem(err);
    r = bvi_store_key_normalise(opts->store_key, &d->store_key, err);
    if (r == 0)
        r = copy_list(&d->include, opts->include, true, err);
    if (r == 0)
        r = copy_list(&d->protect, opts->protect, true, err);
    if (r == 0)
        r = copy_list(&d->seed_dirs, opts->seeds, false, err);
    if (r == 0)
        r = end_list(&d->include, err);
    if (r == 0)
        r = end_list(&d->protect, err);
    return r;
}

static int check_opts(const bvi_snap_download_opts *opts, bv_error **err)
{
    if (!opts->store_key)
        return bvi_fail(err, BV_E_INVALID, "a snapshot needs a key");
    if (opts->mode == BVI_SNAP_RESTORE && (!opts->store || !opts->dest_dir || !opts->state_dir))
        return bvi_fail(err, BV_E_INVALID,
                        "a download needs a store, a destination and a state directory");
    if (opts->mode == BVI_SNAP_COMPARE && (!opts->dest_dir || (!opts->store && !opts->state_dir)))
        return bvi_fail(err, BV_E_INVALID,
                        "a comparison needs a directory, and a store or a state directory");
    if (opts->mode == BVI_SNAP_CHECK && !opts->store)
        return bvi_fail(err, BV_E_INVALID, "checking a snapshot needs a store");
    return 0;
}

int bvi_snap_download_start(bv_ctx *ctx, const bvi_snap_download_opts *opts,
                            bv_transfer_done_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    bvi_snap_download *d;
    int r = check_opts(opts, err);

    if (r < 0)
        return r;
    d = bvi_new0(bvi_snap_download);
    if (!d)
        return bvi_fail_nomem(err);
    d->ctx = ctx;
    d->done = done;
    d->data = data;
    d->opts = *opts;
    d->lock_fd = -1;
    bvi_dest_init(&d->dest);
    bvi_bits_init(&d->bits);
    bvi_walk_check_init(&d->walk);
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
    start_step(d, bvi_snap_step_open, opened);
    return 0;
}
