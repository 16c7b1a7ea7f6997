/*
 * download_run.c - the chunks of a snapshot's download that are under way. Everything here happens
 * on the loop.
 *
 * Chunks are taken in windows, in their order. First those that may be here already are looked for;
 * what is missing is sorted by where it lies and read in runs: what is close together in one pack.
 * A fixed number of runners looks, reads and writes. The next page is planned while the windows of
 * the one before are at work.
 */
#include <stdlib.h>
#include <string.h>

#include "snapshot/download_impl.h"

static bool stopping(const bvi_snap_download *d)
{
    return atomic_load(&d->stopping);
}

/* ---- durability ---- */

static void sync_run(void *data)
{
    bvi_snap_download *d = data;

    (void)bvi_snap_sync_written(d, &d->sync_err); /* the error says it all */
}

static void sync_done(void *data, bool cancelled)
{
    bvi_snap_download *d = data;

    d->sync_pending = false;
    d->syncing.len = 0;
    if (cancelled && !d->sync_err)
        (void)bvi_fail(&d->sync_err, BV_E_CANCELLED, "download interrupted");
    if (d->sync_err)
        bvi_snap_fail(d, bvi_take(d->sync_err));
    bvi_snap_settle_down(d);
}

static void on_sync_timer(bvi_timer *timer, void *data)
{
    (void)timer;
    bvi_snap_settle_down(data);
}

/* Those that wait for room rest as well. */
static bool runners_rest(const bvi_snap_download *d)
{
    for (uint32_t i = 0; d->runners && i < d->n_runners; i++) {
        if (d->runners[i].state != BVI_SNAP_IDLE && d->runners[i].state != BVI_SNAP_FULL)
            return false;
    }
    return true;
}

/* Starts a sync when enough waits for one, or when it will take a while until there is more. When
 * all is written the end of the download makes it durable. */
static void maybe_sync(bvi_snap_download *d)
{
    bool last = runners_rest(d) && (stopping(d) || d->full);
    int64_t waited = bvi_ctx_now_us(d->ctx) - d->written_us;

    if (runners_rest(d) && !last && bvi_snap_run_done(d))
        d->written.len = 0;

    if (d->written.len == 0 || d->sync_pending)
        return;
    if (!last && d->written_bytes < BVI_SYNC_BYTES && waited < BVI_SNAP_SYNC_US) {
        if (!bvi_timer_is_set(d->sync_timer))
            (void)bvi_timer_set(d->sync_timer, BVI_SNAP_SYNC_US - waited,
                                NULL); /* without it the next chunk's end does it */
        return;
    }
    {
        __typeof__(d->written) list = d->written;

        d->written.items = d->syncing.items;
        d->written.len = d->syncing.len;
        d->written.cap = d->syncing.cap;
        d->syncing.items = list.items;
        d->syncing.len = list.len;
        d->syncing.cap = list.cap;
    }
    d->written_bytes = 0;
    d->sync_pending = true;
    bvi_work_submit(&d->sync);
}

static int note_written(bvi_snap_download *d, const bvi_layout *plan, uint32_t chunk,
                        bv_error **err)
{
    uint64_t *slot;

    if (d->opts.mode != BVI_SNAP_RESTORE)
        return 0;
    slot = bvi_vec_push(&d->written);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = plan->first_chunk + chunk;
    if (d->written.len == 1)
        d->written_us = bvi_ctx_now_us(d->ctx);
    d->written_bytes += plan->chunks.items[chunk].frame.plain;
    return 0;
}

/* ---- windows ---- */

static void free_window(bvi_window *w)
{
    if (!w)
        return;
    bvi_vec_done(&w->look);
    bvi_vec_done(&w->fetch);
    bvi_vec_done(&w->runs);
    bvi_free(w);
}

static void free_use(bvi_layout_use *use)
{
    bvi_layout_free(use->plan);
    bvi_free(use);
}

static void leave_plan(bvi_snap_download *d, bvi_layout_use *use)
{
    if (use->windows == 0 && use != d->current && use != d->ahead)
        free_use(use);
}

/* The plan at hand if it has chunks left, or NULL. One behind it takes its place. */
static bvi_layout_use *current_plan(bvi_snap_download *d)
{
    while (d->current && d->current->cursor >= d->current->plan->chunks.len) {
        bvi_layout_use *old = d->current;

        d->current = bvi_take(d->ahead);
        leave_plan(d, old);
    }
    return d->current;
}

static int add_to_window(bvi_snap_download *d, bvi_window *w, uint32_t chunk, bv_error **err)
{
    uint8_t state = w->use->plan->chunks.items[chunk].state;
    uint32_t *slot;

    if (state == BVI_LAYOUT_DONE) {
        d->report.now.chunks_done++;
        return 0;
    }
    slot = state == BVI_LAYOUT_LOOK ? bvi_vec_push(&w->look) : bvi_vec_push(&w->fetch);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = chunk;
    return 0;
}

static int make_window(bvi_snap_download *d, bvi_window **ret_window, bv_error **err)
{
    bvi_layout_use *use = d->current;
    bvi_window *w = bvi_new0(bvi_window);
    uint64_t bytes = 0;
    int r = 0;

    if (!w)
        return bvi_fail_nomem(err);
    w->use = use;
    w->look.max = w->fetch.max = w->runs.max = BVI_WINDOW_CHUNKS;
    while (r == 0 && use->cursor < use->plan->chunks.len && bytes < BVI_WINDOW_BYTES &&
           w->look.len + w->fetch.len < BVI_WINDOW_CHUNKS) {
        const bvi_layout_chunk *chunk = &use->plan->chunks.items[use->cursor];

        bytes += chunk->state == BVI_LAYOUT_DONE ? 0 : chunk->frame.plain;
        r = add_to_window(d, w, use->cursor++, err);
    }
    if (r < 0 || w->look.len + w->fetch.len == 0) {
        free_window(w);
        return r;
    }
    use->windows++;
    *ret_window = w;
    return 0;
}

/* Fills free places; what needs nothing done is passed over on the way. */
static void open_windows(bvi_snap_download *d)
{
    bv_error *err = NULL;

    for (size_t i = 0; i < BVI_WINDOWS && !stopping(d); i++) {
        while (!d->windows[i] && current_plan(d) && !stopping(d)) {
            if (make_window(d, &d->windows[i], &err) < 0)
                bvi_snap_fail(d, err);
        }
    }
}

static bool close_windows(bvi_snap_download *d)
{
    bool any = false;

    for (size_t i = 0; i < BVI_WINDOWS; i++) {
        bvi_window *w = d->windows[i];
        bvi_layout_use *use;

        if (!w || w->busy > 0)
            continue;
        if (!stopping(d) &&
            (w->next_look < w->look.len || !w->has_runs || w->next_run < w->runs.len))
            continue;
        use = w->use;
        free_window(w);
        d->windows[i] = NULL;
        use->windows--;
        leave_plan(d, use);
        any = true;
    }
    return any;
}

/* ---- runs ---- */

static int compare_places(const void *a, const void *b, void *data)
{
    const bvi_layout *plan = data;
    const bvi_snap_frame *x = &plan->chunks.items[*(const uint32_t *)a].frame;
    const bvi_snap_frame *y = &plan->chunks.items[*(const uint32_t *)b].frame;
    int order = memcmp(x->pack.bytes, y->pack.bytes, sizeof(x->pack.bytes));

    if (order != 0)
        return order;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

static int compare_starts(const void *a, const void *b, void *data)
{
    const bvi_window *w = data;
    uint32_t x = w->fetch.items[((const bvi_run *)a)->first];
    uint32_t y = w->fetch.items[((const bvi_run *)b)->first];

    return x < y ? -1 : x > y;
}

static const bvi_snap_frame *fetched_frame(const bvi_window *w, uint32_t i)
{
    return &w->use->plan->chunks.items[w->fetch.items[i]].frame;
}

/* May the next frame be read together with those from `first` on, which end at `end`? */
static bool joins(const bvi_window *w, const bvi_run *run, uint64_t end, const bvi_snap_frame *next)
{
    const bvi_snap_frame *first = fetched_frame(w, run->first);

    return run->n < BVI_CARRY_CHUNKS_MAX && bvi_hash256_equal(&first->pack, &next->pack) &&
           next->offset <= end + BVI_RUN_GAP &&
           next->offset + next->stored - first->offset <= BVI_RUN_BYTES;
}

/* What was missing in look joined `fetch`; now that all is known it is put in order. */
static int make_runs(bvi_window *w, bv_error **err)
{
    uint64_t end = 0;

    w->has_runs = true;
    if (w->fetch.len == 0)
        return 0;
    qsort_r(w->fetch.items, w->fetch.len, sizeof(*w->fetch.items), compare_places, w->use->plan);
    for (uint32_t i = 0; i < w->fetch.len; i++) {
        const bvi_snap_frame *frame = fetched_frame(w, i);
        bvi_run *run = w->runs.len > 0 ? &w->runs.items[w->runs.len - 1] : NULL;

        if (!run || !joins(w, run, end, frame)) {
            run = bvi_vec_push(&w->runs);
            if (!run)
                return bvi_fail_nomem(err);
            run->first = i;
            end = 0;
        }
        run->n++;
        if (frame->offset + frame->stored > end)
            end = frame->offset + frame->stored;
    }
    qsort_r(w->runs.items, w->runs.len, sizeof(*w->runs.items), compare_starts, w);
    return 0;
}

/* ---- runners ---- */

static void rest(bvi_snap_runner *r)
{
    if (r->window)
        r->window->busy--;
    r->window = NULL;
    r->state = BVI_SNAP_IDLE;
    r->again = 0;
    bvi_free(bvi_take(r->buffer));
    r->d->memory_out -= r->buffer_len;
    r->buffer_len = 0;
    bvi_claim_release(&r->claim);
}

static void fail_runner(bvi_snap_runner *r, bv_error *err)
{
    rest(r);
    bvi_snap_fail(r->d, err);
}

static void work_run(void *data)
{
    bvi_snap_runner *r = data;

    /* Errors are kept in r; both calls return nothing else. */
    if (r->looks)
        (void)bvi_carry_look(&r->carry, &r->err);
    else
        (void)bvi_carry_write(&r->carry, r->unpacker, r->stored, r->offset, &r->bad, &r->err);
}

static void submit(bvi_snap_runner *r)
{
    bvi_snap_download *d = r->d;

    memset(r->results, BVI_CARRY_NOTHING, sizeof(r->results));
    r->state = BVI_SNAP_WORKING;
    r->carry = (bvi_carry){
        .plan = r->window->use->plan,
        .dest = d->opts.mode == BVI_SNAP_CHECK ? NULL : &d->dest,
        .seeds = d->seeds,
        .n_seeds = d->opts.mode == BVI_SNAP_RESTORE ? d->seed_dirs.len : 0,
        .stopping = &d->stopping,
        .chunks = r->chunks,
        .results = r->results,
        .n = r->carry.n,
        .room = r->stored + r->stored_len,
    };
    bvi_work_submit(&r->work);
}

/* ---- reading runs ---- */

static const bvi_snap_frame *frame_at(const bvi_snap_runner *r, uint32_t i)
{
    return &r->window->use->plan->chunks.items[r->chunks[i]].frame;
}

/* Where the last of its frames ends in the pack. */
static uint64_t end_of(const bvi_snap_runner *r)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < r->carry.n; i++) {
        if (frame_at(r, i)->offset + frame_at(r, i)->stored > end)
            end = frame_at(r, i)->offset + frame_at(r, i)->stored;
    }
    return end;
}

static bv_error *explain_read(const bvi_snap_runner *r, const bv_error *err)
{
    bv_error *why = bvi_error_copy(err);
    char path[BVI_SNAP_PATH_MAX + 1];

    bvi_layout_chunk_path(r->window->use->plan, r->chunks[0], path);
    (void)bvi_wrap(&why, bv_error_code(err),
                   bv_error_code(err) == BV_E_NOT_FOUND
                       ? "a pack that holds bytes of '%s' is missing in the store"
                       : "cannot read bytes of '%s' from the store",
                   path);
    return why;
}

static void on_read(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_snap_runner *r = data;
    bvi_snap_download *d = r->d;

    (void)reply;
    if (stopping(d)) {
        rest(r);
    } else if (!err) {
        submit(r);
        return;
    } else if (d->opts.mode == BVI_SNAP_CHECK && bv_error_code(err) == BV_E_NOT_FOUND) {
        for (uint32_t i = 0; i < r->carry.n; i++)
            bvi_snap_found_bad(d, r->window->use->plan, r->chunks[i], explain_read(r, err));
        rest(r);
    } else {
        fail_runner(r, explain_read(r, err));
    }
    bvi_snap_settle_down(d);
}

static int ask_store(bvi_snap_runner *r, bv_error **err)
{
    bvi_snap_download *d = r->d;
    bvi_auto_free char *key = bvi_snap_pack_key(d->store_key, &frame_at(r, 0)->pack);
    size_t len = (size_t)(end_of(r) - frame_at(r, 0)->offset);

    if (!key)
        return bvi_fail_nomem(err);
    r->offset = frame_at(r, 0)->offset;
    d->report.now.stored_done += len;
    d->report.now.wire_bytes += len;
    r->state = BVI_SNAP_READING;
    return bvi_store_call(d->opts.store,
                          &(bvi_store_request){ .verb = BVI_STORE_READ,
                                                .key = key,
                                                .offset = r->offset,
                                                .into = r->stored,
                                                .into_len = len },
                          on_read, r, err);
}

static void start_read(bvi_snap_runner *r)
{
    bv_error *err = NULL;

    if (ask_store(r, &err) < 0)
        fail_runner(r, err);
}

/* ---- what came of it ---- */

/* The store's other places, if it has some, are better asked. */
static bool is_elsewhere(bvi_snap_runner *r)
{
    bvi_auto_free char *key = bvi_snap_pack_key(r->d->store_key, &frame_at(r, 0)->pack);

    return key && bvi_store_blame(r->d->opts.store, key);
}

/* Wrong bytes may have been wrong only on their way: once more, and no more often, unless they can
 * be had from somewhere else. */
static bool has_chance(bvi_snap_runner *r)
{
    bool elsewhere = is_elsewhere(r);

    return r->again == 0 || (elsewhere && r->again < BVI_SNAP_REREADS_MAX);
}

static bool read_again(bvi_snap_runner *r)
{
    uint32_t n = 0;

    if (stopping(r->d))
        return false;
    for (uint32_t i = 0; i < r->carry.n; i++) {
        if (r->results[i] == BVI_CARRY_BAD)
            r->chunks[n++] = r->chunks[i];
    }
    if (n == 0)
        return false;
    r->carry.n = n;
    r->again++;
    r->d->report.now.retries++;
    bvi_log_warn(r->d->ctx, "snapshot",
                 "bytes read from the store were wrong: they are read again");
    bv_error_free(bvi_take(r->bad));
    return true;
}

static int take_absent(bvi_snap_runner *r, uint32_t chunk, bv_error **err)
{
    char path[BVI_SNAP_PATH_MAX + 1];
    uint32_t *slot;
    bv_error *why = NULL;

    if (r->d->opts.mode == BVI_SNAP_COMPARE) {
        bvi_layout_chunk_path(r->window->use->plan, chunk, path);
        (void)bvi_fail(&why, BV_E_CHECKSUM, "file '%s' differs from the snapshot", path);
        bvi_snap_found_bad(r->d, r->window->use->plan, chunk, why);
        return 0;
    }
    slot = bvi_vec_push(&r->window->fetch);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = chunk;
    return 0;
}

static int take_result(bvi_snap_runner *r, uint32_t i, bv_error **err)
{
    bvi_snap_download *d = r->d;
    const bvi_layout *plan = r->window->use->plan;

    switch (r->results[i]) {
    case BVI_CARRY_ABSENT:
        return take_absent(r, r->chunks[i], err);
    case BVI_CARRY_BAD:
        bvi_snap_found_bad(d, plan, r->chunks[i], bvi_error_copy(r->bad));
        return 0;
    case BVI_CARRY_NOTHING:
        return 0;
    default:
        d->report.now.chunks_done++;
        d->report.now.bytes_done += plan->chunks.items[r->chunks[i]].frame.plain;
        if (r->results[i] != BVI_CARRY_WRITTEN)
            d->report.now.reused_bytes += plan->chunks.items[r->chunks[i]].frame.plain;
        return note_written(d, plan, r->chunks[i], err);
    }
}

/* Keeps the chunks that are not done for when there is room. */
static void wait_for_room(bvi_snap_runner *r, bv_error *why)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->carry.n; i++) {
        if (r->results[i] == BVI_CARRY_NOTHING || r->results[i] == BVI_CARRY_BAD ||
            (r->looks && r->results[i] == BVI_CARRY_ABSENT))
            r->chunks[n++] = r->chunks[i];
    }
    r->carry.n = n;
    r->state = BVI_SNAP_FULL;
    bv_error_free(bvi_take(r->bad));
    if (r->d->full)
        bv_error_free(why);
    else
        r->d->full = why;
}

void bvi_snap_run_resume(bvi_snap_download *d)
{
    for (uint32_t i = 0; d->runners && i < d->n_runners; i++) {
        bvi_snap_runner *r = &d->runners[i];

        if (r->state != BVI_SNAP_FULL || stopping(d))
            continue;
        if (r->looks)
            submit(r);
        else
            start_read(r);
    }
}

/* Some of the chunks may have been dealt with before the disk was full. */
static bool note_full(bvi_snap_runner *r, bv_error **err)
{
    bv_error *full = *err;

    if (!bvi_space_is_full(full) || stopping(r->d))
        return false;
    *err = NULL;
    for (uint32_t i = 0; !*err && i < r->carry.n; i++) {
        if (r->results[i] == BVI_CARRY_WRITTEN || r->results[i] == BVI_CARRY_PRESENT ||
            r->results[i] == BVI_CARRY_SEEDED)
            (void)take_result(r, i, err); /* err tells */
    }
    if (*err) {
        bv_error_free(full);
        return false;
    }
    wait_for_room(r, full);
    return true;
}

static void work_done(void *data, bool cancelled)
{
    bvi_snap_runner *r = data;
    bvi_snap_download *d = r->d;
    bv_error *err = bvi_take(r->err);
    bool bad = r->bad != NULL;
    bool chance;

    if (note_full(r, &err)) {
        bvi_snap_settle_down(d);
        return;
    }
    chance = bad && has_chance(r);
    if (cancelled && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "download interrupted");
    for (uint32_t i = 0; !err && i < r->carry.n; i++) {
        if (chance && r->results[i] == BVI_CARRY_BAD)
            continue;                  /* gets another chance */
        (void)take_result(r, i, &err); /* err tells */
    }
    if (!err && bad && !chance && d->opts.mode == BVI_SNAP_RESTORE)
        err = bvi_take(r->bad);
    if (!err && chance && read_again(r)) {
        start_read(r);
    } else {
        bv_error_free(bvi_take(r->bad));
        rest(r);
        if (err)
            bvi_snap_fail(d, err);
    }
    bvi_report_send(&d->report);
    bvi_snap_settle_down(d);
}

/* ---- giving out work ---- */

static bool take_looks(bvi_snap_runner *r, bvi_window *w)
{
    uint64_t bytes = 0;

    r->carry.n = 0;
    while (w->next_look < w->look.len && r->carry.n < BVI_CARRY_CHUNKS_MAX &&
           bytes < BVI_LOOK_BYTES) {
        uint32_t chunk = w->look.items[w->next_look++];

        r->chunks[r->carry.n++] = chunk;
        bytes += w->use->plan->chunks.items[chunk].frame.plain;
    }
    r->looks = true;
    return r->carry.n > 0;
}

static bool take_run(bvi_snap_runner *r, bvi_window *w)
{
    const bvi_run *run;

    if (w->next_run >= w->runs.len)
        return false;
    run = &w->runs.items[w->next_run++];
    r->carry.n = run->n;
    memcpy(r->chunks, &w->fetch.items[run->first], run->n * sizeof(*r->chunks));
    r->looks = false;
    return true;
}

/* Work for a runner from one window: looking first, then reading. */
static bool take_from(bvi_snap_runner *r, bvi_window *w)
{
    bv_error *err = NULL;

    if (take_looks(r, w))
        return true;
    if (w->has_runs)
        return take_run(r, w);
    if (w->busy > 0) /* still looking */
        return false;
    if (make_runs(w, &err) < 0) {
        bvi_snap_fail(r->d, err);
        return false;
    }
    return take_run(r, w);
}

/* What is read, and behind it room for the largest chunk that needs some. */
static void measure(bvi_snap_runner *r)
{
    uint32_t room = 0;

    for (uint32_t i = 0; i < r->carry.n; i++) {
        const bvi_snap_frame *frame = frame_at(r, i);

        if ((r->looks || bvi_carry_needs_room(frame)) && frame->plain > room)
            room = frame->plain;
    }
    r->stored_len = r->looks ? 0 : (size_t)(end_of(r) - frame_at(r, 0)->offset);
    r->buffer_len = BVI_DIRECT_ALIGN + r->stored_len + room + BVI_DIRECT_ALIGN;
    r->d->memory_out += r->buffer_len;
}

static void begin(bvi_snap_runner *r)
{
    bv_error *err = NULL;

    r->buffer = bvi_malloc(r->buffer_len);
    if (!r->buffer) {
        (void)bvi_fail_nomem(&err);
        fail_runner(r, err);
        return;
    }
    r->stored = r->buffer + BVI_DIRECT_ALIGN;
    if (r->looks)
        submit(r);
    else
        start_read(r);
}

static void on_claim(void *data)
{
    bvi_snap_runner *r = data;

    if (stopping(r->d))
        rest(r);
    else
        begin(r);
    bvi_snap_settle_down(r->d);
}

/* It did not fit: for whoever comes next. */
static void give_back(bvi_snap_runner *r)
{
    if (r->looks)
        r->window->next_look -= r->carry.n;
    else
        r->window->next_run--;
    r->d->memory_out -= r->buffer_len;
    r->buffer_len = 0;
    r->window = NULL;
}

/* What a runner needs is only known when it has its work. The first one gets it in any case. */
static void assign(bvi_snap_runner *r)
{
    bvi_snap_download *d = r->d;
    bool first = d->memory_out == 0;
    bv_error *err = NULL;
    int got;

    for (size_t i = 0; i < BVI_WINDOWS && !r->window && !stopping(d); i++) {
        if (d->windows[i] && take_from(r, d->windows[i]))
            r->window = d->windows[i];
    }
    if (!r->window || stopping(d)) {
        r->window = NULL;
        return;
    }
    measure(r);
    if (!first && d->memory_out > d->memory) {
        give_back(r);
        return;
    }
    r->window->busy++;
    r->state = BVI_SNAP_CLAIMING;
    got = bvi_claim_ask(&r->claim, &(bvi_amounts){ .memory = r->buffer_len, .files = 4 },
                        "restoring chunks", &err);
    if (got < 0)
        fail_runner(r, err);
    else if (got > 0)
        begin(r);
}

/* No more work is given out until there is room. */
static bool waits(const bvi_snap_download *d)
{
    return d->full || d->step_full || bvi_space_is_waiting(&d->space);
}

static void ask_for_page(bvi_snap_download *d)
{
    if (d->page_busy || d->step_pending || d->ahead || stopping(d) || waits(d) ||
        d->next_page >= bvi_snap_manifest_root(d->manifest)->pages.len)
        return;
    bvi_snap_ask_page(d);
}

void bvi_snap_pump(bvi_snap_download *d)
{
    do { /* a window of which nothing was missing makes place for another */
        open_windows(d);
        for (uint32_t i = 0; i < d->n_runners && !stopping(d) && !waits(d); i++) {
            if (d->runners[i].state == BVI_SNAP_IDLE)
                assign(&d->runners[i]);
        }
    } while (close_windows(d));
    ask_for_page(d);
    maybe_sync(d);
}

bool bvi_snap_run_done(const bvi_snap_download *d)
{
    for (size_t i = 0; i < BVI_WINDOWS; i++) {
        if (d->windows[i])
            return false;
    }
    return !d->ahead && (!d->current || d->current->cursor >= d->current->plan->chunks.len) &&
           !d->page_busy && !d->step_pending &&
           d->next_page >= bvi_snap_manifest_root(d->manifest)->pages.len;
}

bool bvi_snap_run_idle(const bvi_snap_download *d)
{
    return runners_rest(d) && !d->sync_pending && d->written.len == 0;
}

void bvi_snap_run_stop(bvi_snap_download *d)
{
    for (uint32_t i = 0; d->runners && i < d->n_runners; i++) {
        if (d->runners[i].state == BVI_SNAP_CLAIMING || d->runners[i].state == BVI_SNAP_FULL)
            rest(&d->runners[i]);
    }
}

/* ---- life ---- */

int bvi_snap_run_start(bvi_snap_download *d, bv_error **err)
{
    uint32_t wanted = d->opts.max_runners ? d->opts.max_runners : BVI_SNAP_RUNNERS_DEFAULT;
    int r;

    bvi_work_init(&d->sync, d->ctx, sync_run, sync_done, d);
    d->written.max = d->syncing.max = (size_t)1 << 26;
    r = bvi_timer_new(d->ctx, on_sync_timer, d, &d->sync_timer, err);
    if (r < 0)
        return r;
    d->n_runners = wanted < BV_TRANSFER_RUNNERS_MAX ? wanted : BV_TRANSFER_RUNNERS_MAX;
    d->memory = d->opts.memory_mib ? (uint64_t)d->opts.memory_mib << 20
                                   : (uint64_t)d->n_runners * BVI_RUNNER_MEMORY;
    d->runners = bvi_new_array(bvi_snap_runner, d->n_runners);
    if (!d->runners)
        return bvi_fail_nomem(err);
    for (uint32_t i = 0; r == 0 && i < d->n_runners; i++) {
        bvi_snap_runner *runner = &d->runners[i];

        runner->d = d;
        bvi_claim_init(&runner->claim, d->ctx, on_claim, runner);
        bvi_work_init(&runner->work, d->ctx, work_run, work_done, runner);
        r = bvi_frame_unpacker_new(&runner->unpacker, err);
    }
    return r;
}

void bvi_snap_run_free(bvi_snap_download *d)
{
    for (uint32_t i = 0; d->runners && i < d->n_runners; i++) {
        bvi_claim_release(&d->runners[i].claim);
        bvi_frame_unpacker_free(d->runners[i].unpacker);
        bvi_free(d->runners[i].buffer);
        bv_error_free(d->runners[i].bad);
        bv_error_free(d->runners[i].err);
    }
    for (size_t i = 0; i < BVI_WINDOWS; i++) {
        bvi_layout_use *use = d->windows[i] ? d->windows[i]->use : NULL;

        free_window(d->windows[i]);
        d->windows[i] = NULL;
        if (use) {
            use->windows--;
            leave_plan(d, use);
        }
    }
    bvi_free(d->runners);
    bvi_timer_free(d->sync_timer);
    bvi_vec_done(&d->written);
    bvi_vec_done(&d->syncing);
}
