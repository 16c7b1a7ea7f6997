/*
 * download_run.c - the chunks of a download that are under way.
 *
 * A fixed number of runners, as many as fit the memory budget, take chunks in ascending order. Each
 * needs a fresh URL and a free connection, fetches, and hands the verified chunk on to be made
 * durable. URLs are asked for in batches, ahead of need. Everything here happens on the loop.
 */
#include "transfer/download_impl.h"
#include "transfer/part.h"
#include "transfer/url.h"

/* A runner's file under way, what it keeps of the chunk, and the chunk in a directory store. */
#define RUNNER_FILES 3u

static bool stopping(const bvi_download *d)
{
    return atomic_load(&d->stopping);
}

static bvi_chunk *chunk_of(const bvi_runner *r)
{
    return &r->d->manifest.chunks.items[r->index];
}

/* ---- a full disk ---- */

static void hold_runners(bvi_download *d);

/* Lets what is under way end, and starts nothing more. Takes err. */
static void note_full(bvi_download *d, bv_error *err, const char *path)
{
    if (d->full) {
        bv_error_free(err);
        return;
    }
    d->full = err;
    d->full_path = path;
    hold_runners(d);
}

/* ---- durability ---- */

static void sync_run(void *data)
{
    bvi_download *d = data;

    (void)bvi_download_sync_written(d, &d->sync_err); /* the error says it all */
}

/* What could not be made durable for want of room is written again, or only recorded again. */
static int sync_later(bvi_download *d)
{
    for (size_t i = 0; i < d->syncing.len; i++) {
        uint32_t index = d->syncing.items[i];
        uint32_t *slot = d->sync_durable ? bvi_vec_push(&d->written) : NULL;

        if (d->sync_durable && !slot)
            return BV_E_NOMEM;
        if (slot) {
            *slot = index;
            continue;
        }
        d->states[index] = BVI_CHUNK_TODO;
        d->cursor = index < d->cursor ? index : d->cursor;
        d->report.now.bytes_done -= bvi_chunk_plain_bytes(&d->manifest.chunks.items[index]);
    }
    d->syncing.len = 0;
    return 0;
}

static void sync_failed(bvi_download *d, bv_error *err)
{
    const char *path = d->sync_durable ? d->opts.meta_dir : d->opts.dest_dir;

    if (!stopping(d) && bvi_space_is_full(err) && sync_later(d) == 0) {
        d->sync_waits = true;
        note_full(d, err, path);
        return;
    }
    bvi_download_fail(d, err);
}

static void sync_done(void *data, bool cancelled)
{
    bvi_download *d = data;

    d->sync_pending = false;
    if (cancelled && !d->sync_err)
        (void)bvi_fail(&d->sync_err, BV_E_CANCELLED, "download interrupted");
    for (size_t i = 0; !d->sync_err && i < d->syncing.len; i++) {
        d->states[d->syncing.items[i]] = BVI_CHUNK_DONE;
        d->open_chunks--;
        d->report.now.chunks_done++;
    }
    if (d->sync_err)
        sync_failed(d, bvi_take(d->sync_err));
    else
        bvi_report_send(&d->report);
    d->syncing.len = 0;
    bvi_download_settle(d);
}

static void on_sync_timer(bvi_timer *timer, void *data)
{
    (void)timer;
    bvi_download_settle(data);
}

static bool more_to_come(const bvi_download *d)
{
    return !stopping(d) && !d->full && d->open_chunks > d->written.len + d->syncing.len;
}

/* Starts a sync when enough waits for one, or when nothing else is left to wait for. */
static void maybe_sync(bvi_download *d)
{
    bvi_index_list list = d->written;

    if (d->written.len == 0 || d->sync_pending || d->sync_waits)
        return;
    if (more_to_come(d) && d->written_bytes < BVI_SYNC_BYTES &&
        bvi_ctx_now_us(d->ctx) - d->written_us < BVI_SYNC_US) {
        if (!bvi_timer_is_set(d->sync_timer))
            (void)bvi_timer_set(d->sync_timer, BVI_SYNC_US,
                                NULL); /* without it the next chunk's end does it */
        return;
    }
    d->written = d->syncing;
    d->syncing = list;
    d->written_bytes = 0;
    d->sync_pending = true;
    bvi_work_submit(&d->sync);
}

static int note_written(bvi_download *d, uint32_t index, bv_error **err)
{
    uint32_t *slot;

    d->states[index] = BVI_CHUNK_WRITTEN;
    if (d->mode != BVI_UNPACK_WRITE) { /* nothing to make durable */
        d->states[index] = BVI_CHUNK_DONE;
        d->open_chunks--;
        d->report.now.chunks_done++;
        return 0;
    }
    slot = bvi_vec_push(&d->written);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = index;
    if (d->written.len == 1)
        d->written_us = bvi_ctx_now_us(d->ctx);
    d->written_bytes += bvi_chunk_plain_bytes(&d->manifest.chunks.items[index]);
    return 0;
}

/* ---- runners ---- */

static void count(bvi_runner *r, uint64_t plain, uint64_t stored)
{
    bv_transfer_status *now = &r->d->report.now;

    now->bytes_done += plain - r->counted_plain; /* wraps back when less */
    now->stored_done += stored - r->counted_stored;
    r->counted_plain = plain;
    r->counted_stored = stored;
}

static void drop_unpack(bvi_runner *r)
{
    count(r, 0, 0);
    bvi_unpack_free(bvi_take(r->unpack));
}

static void rest(bvi_runner *r)
{
    bvi_claim_release(&r->claim);
    r->state = BVI_RUNNER_IDLE;
}

static void give_chunk_back(bvi_runner *r)
{
    bvi_download *d = r->d;

    drop_unpack(r);
    d->states[r->index] = BVI_CHUNK_TODO;
    d->cursor = r->index < d->cursor ? r->index : d->cursor;
    rest(r);
}

static void on_moved(void *data)
{
    bvi_runner *r = data;

    count(r, bvi_unpack_plain(r->unpack), bvi_unpack_stored(r->unpack));
    bvi_report_send(&r->d->report);
}

static void succeed(bvi_runner *r)
{
    bvi_download *d = r->d;
    bv_error *err = NULL;

    count(r, bvi_unpack_plain(r->unpack), bvi_unpack_stored(r->unpack));
    r->counted_plain = r->counted_stored = 0; /* they stay in the report */
    bvi_unpack_free(bvi_take(r->unpack));
    (void)bvi_chunk_set_url(chunk_of(r), NULL, NULL); /* clearing cannot fail */
    rest(r);
    if (note_written(d, r->index, &err) < 0)
        bvi_download_fail(d, err);
}

static void wait_for(bvi_runner *r, int64_t delay_ms)
{
    r->d->report.now.retries++;
    r->state = BVI_RUNNER_WAITING;
    if (bvi_timer_set(r->timer, delay_ms * 1000, NULL) < 0)
        r->state = BVI_RUNNER_WANTS_URL; /* at once, then */
}

/* Prepares another attempt; false when there is no use in one, or when there were enough of them.
 */
static bool try_again(bvi_runner *r, bvi_attempt attempt)
{
    bvi_download *d = r->d;
    int64_t delay_ms = 0;

    if (attempt.verdict == BVI_VERDICT_FAIL)
        return false;
    if (attempt.verdict == BVI_VERDICT_NEW_URL) {
        d->url_us[r->index] = 0;
        if (r->renewals++ == BVI_URL_RENEWALS_MAX)
            return false;
        wait_for(r, 0); /* an expired URL is nothing to be cautious about */
        return true;
    }
    r->renewals = 0;
    if (attempt.verdict == BVI_VERDICT_REFETCH) {
        if (r->refetched)
            return false;
        r->refetched = true;
    } else if (bvi_unpack_stored(r->unpack) >= r->furthest + BVI_PROGRESS_BYTES) {
        r->furthest = bvi_unpack_stored(r->unpack);
        bvi_retry_reset(&r->retry); /* it got somewhere: the failures are not in a row */
    }
    if (!bvi_retry_next(&r->retry, d->ctx, attempt.retry_after_ms, &delay_ms))
        return false;
    if (attempt.verdict != BVI_VERDICT_AGAIN)
        drop_unpack(r);
    wait_for(r, delay_ms);
    return true;
}

static void on_fetched(const bv_error *err, bvi_attempt attempt, void *data)
{
    bvi_runner *r = data;
    bvi_download *d = r->d;
    bv_error *why;
    bool full;

    r->fetch = NULL;
    d->connections--;
    if (!err) {
        succeed(r);
        bvi_download_settle(d);
        return;
    }
    on_moved(r);
    full = d->mode == BVI_UNPACK_WRITE && bvi_space_is_full(err);
    if (d->full && !full && !stopping(d) && attempt.verdict != BVI_VERDICT_FAIL) {
        give_chunk_back(r); /* for when there is room */
        bvi_download_settle(d);
        return;
    }
    if (!full && !stopping(d) && try_again(r, attempt)) {
        bvi_log_debug(d->ctx, "transfer", "chunk %u: another attempt after: %s", r->index,
                      bv_error_message(err));
        bvi_download_settle(d);
        return;
    }
    why = bvi_error_copy(err);
    (void)bvi_wrap(&why, bv_error_code(err), "chunk '%s' (%u) download failed",
                   chunk_of(r)->key ? chunk_of(r)->key : "", r->index);
    give_chunk_back(r);
    if (full && !stopping(d))
        note_full(d, why, d->opts.dest_dir);
    else
        bvi_download_fail(d, why);
    bvi_download_settle(d);
}

static void on_timer(bvi_timer *timer, void *data)
{
    bvi_runner *r = data;

    (void)timer;
    r->state = BVI_RUNNER_WANTS_URL;
    bvi_download_settle(r->d);
}

static bool keeps_part(const bvi_download *d, const bvi_chunk *chunk)
{
    return d->keeps_parts && chunk->size > BVI_PART_CHUNK_MIN;
}

static int start_fetch(bvi_runner *r, bv_error **err)
{
    bvi_download *d = r->d;
    const bvi_chunk *chunk = chunk_of(r);
    bvi_auto_free char *part = keeps_part(d, chunk) ? bvi_part_path(d->opts.meta_dir, chunk) : NULL;
    int code = 0;

    if (!r->unpack)
        code = bvi_unpack_new(
            &(bvi_unpack_opts){
                .manifest = &d->manifest,
                .chunk = chunk,
                .mode = d->mode,
                .dir_fd = d->dest_fd,
                .times_ns = d->times_ns,
            },
            &r->unpack, err);
    if (code == 0)
        code = bvi_fetch_start(
            &(bvi_fetch_opts){
                .ctx = d->ctx,
                .http = d->http,
                .url = chunk->url ? chunk->url : "",
                .size = chunk->size,
                .unpack = r->unpack,
                .part_path = part,
                .bytes_per_s = d->opts.bytes_per_s / d->opts.max_connections,
                .moved = on_moved,
                .done = on_fetched,
                .data = r,
            },
            &r->fetch, err);
    if (code < 0)
        return bvi_wrap(err, code, "chunk '%s' (%u) download failed", chunk->key ? chunk->key : "",
                        r->index);
    r->state = BVI_RUNNER_FETCHING;
    d->connections++;
    return 0;
}

/* ---- URLs ---- */

static bool has_fresh_url(const bvi_download *d, uint32_t index)
{
    const bvi_chunk *chunk = &d->manifest.chunks.items[index];

    if (chunk->size == 0)
        return true; /* needs none */
    return chunk->url && d->url_us[index] &&
           bvi_ctx_now_us(d->ctx) - d->url_us[index] < BVI_URL_FRESH_US;
}

static void take_url(bvi_download *d, bvi_chunk *from)
{
    bvi_chunk *chunk;

    if (from->index >= d->manifest.chunks.len || !from->url)
        return;
    chunk = &d->manifest.chunks.items[from->index];
    bvi_free(chunk->url);
    chunk->url = bvi_take(from->url);
    d->url_us[from->index] = bvi_ctx_now_us(d->ctx);
}

static void on_urls(const bv_error *err, bvi_chunk *chunks, size_t count, void *data)
{
    bvi_download *d = data;
    bv_error *why = bvi_error_copy(err);

    d->source_busy = false;
    for (size_t i = 0; i < count; i++)
        take_url(d, &chunks[i]);
    for (size_t i = 0; !why && i < d->n_asked; i++) {
        if (!has_fresh_url(d, d->asked[i]))
            (void)bvi_fail(&why, BV_E_REMOTE, "missing chunk %u url: the answer does not have it",
                           d->asked[i]);
    }
    if (why)
        bvi_download_fail(d, why);
    bvi_download_settle(d);
}

/* Adds an index to the batch being put together, which is kept in ascending order. */
static void ask_for(bvi_download *d, uint32_t index)
{
    size_t at = d->n_asked;

    if (d->n_asked == BVI_SOURCE_BATCH_MAX || has_fresh_url(d, index))
        return;
    while (at > 0 && d->asked[at - 1] > index) {
        d->asked[at] = d->asked[at - 1];
        at--;
    }
    d->asked[at] = index;
    d->n_asked++;
}

/* Asks for URLs when a runner lacks one, and then for those of the next chunks too. */
static void ask_for_urls(bvi_download *d)
{
    size_t ahead = 2 * (size_t)d->n_runners;
    bv_error *err = NULL;

    if (d->source_busy)
        return;
    d->n_asked = 0;
    for (uint32_t i = 0; i < d->n_runners; i++) {
        if (d->runners[i].state == BVI_RUNNER_WANTS_URL)
            ask_for(d, d->runners[i].index);
    }
    if (d->n_asked == 0)
        return;
    for (uint32_t i = d->cursor; i < d->manifest.chunks.len && d->n_asked < ahead; i++) {
        if (d->states[i] == BVI_CHUNK_TODO)
            ask_for(d, i);
    }
    d->source_busy = true;
    if (d->opts.source->vtable->chunks(d->opts.source, d->metadata.data_version, d->asked,
                                       d->n_asked, on_urls, d, &err) < 0) {
        d->source_busy = false;
        bvi_download_fail(d, err);
    }
}

/* ---- the pump ---- */

static void on_claim(void *data)
{
    bvi_runner *r = data;

    r->state = BVI_RUNNER_IDLE;
    bvi_download_settle(r->d); /* there may be nothing left to do for it */
}

/* False: it waits for its share, or has failed. */
static bool has_claim(bvi_runner *r)
{
    bv_error *err = NULL;
    int got;

    if (r->claim.granted)
        return true;
    got = bvi_claim_ask(&r->claim, &r->d->runner_needs, "unpacking one chunk", &err);
    if (got < 0)
        bvi_download_fail(r->d, err);
    else if (got == 0)
        r->state = BVI_RUNNER_CLAIMING;
    return got == 1;
}

static void assign(bvi_runner *r)
{
    bvi_download *d = r->d;

    while (d->cursor < d->manifest.chunks.len && d->states[d->cursor] != BVI_CHUNK_TODO)
        d->cursor++;
    if (d->cursor == d->manifest.chunks.len) {
        bvi_claim_release(&r->claim);
        return;
    }
    if (!has_claim(r))
        return;
    r->index = d->cursor;
    d->states[r->index] = BVI_CHUNK_BUSY;
    bvi_retry_init(&r->retry, &bvi_chunk_retry);
    r->renewals = 0;
    r->refetched = false;
    r->furthest = 0;
    r->state = BVI_RUNNER_WANTS_URL;
}

void bvi_download_pump(bvi_download *d)
{
    for (uint32_t i = 0; i < d->n_runners && !stopping(d) && !d->full; i++) {
        bvi_runner *r = &d->runners[i];
        bv_error *err = NULL;

        if (r->state == BVI_RUNNER_IDLE)
            assign(r);
        if (r->state != BVI_RUNNER_WANTS_URL || !has_fresh_url(d, r->index) ||
            d->connections >= d->opts.max_connections)
            continue;
        if (start_fetch(r, &err) < 0) {
            give_chunk_back(r);
            bvi_download_fail(d, err);
        }
    }
    if (!stopping(d) && !d->full)
        ask_for_urls(d);
    maybe_sync(d);
}

bool bvi_download_run_idle(const bvi_download *d)
{
    for (uint32_t i = 0; i < d->n_runners; i++) {
        if (d->runners[i].state != BVI_RUNNER_IDLE)
            return false;
    }
    return !d->sync_pending && (d->written.len == 0 || d->sync_waits);
}

/* Those that are not at it go no further. */
static void hold_runners(bvi_download *d)
{
    for (uint32_t i = 0; i < d->n_runners; i++) {
        bvi_runner *r = &d->runners[i];

        bvi_timer_clear(r->timer);
        if (r->fetch) {
            continue;
        } else if (r->state == BVI_RUNNER_IDLE || r->state == BVI_RUNNER_CLAIMING) {
            rest(r);
        } else {
            give_chunk_back(r);
        }
    }
}

void bvi_download_run_stop(bvi_download *d)
{
    hold_runners(d);
    for (uint32_t i = 0; i < d->n_runners; i++) {
        if (d->runners[i].fetch)
            bvi_fetch_cancel(d->runners[i].fetch);
    }
}

static int make_runners(bvi_download *d, bv_error **err)
{
    uint64_t each = bvi_unpack_memory(&d->manifest.compression) + BVI_FETCH_MEMORY;
    int r;

    r = bvi_admit(d->opts.max_runners, d->opts.memory_mib, each, "unpacking one chunk",
                  &d->n_runners, err);
    if (r < 0)
        return r;
    if (d->n_runners > d->manifest.chunks.len)
        d->n_runners = (uint32_t)d->manifest.chunks.len;
    if (d->n_runners == 0)
        return 0;
    d->runners = bvi_new_array(bvi_runner, d->n_runners);
    if (!d->runners)
        return bvi_fail_nomem(err);
    d->runner_needs = (bvi_amounts){ .memory = each, .files = RUNNER_FILES };
    for (uint32_t i = 0; r == 0 && i < d->n_runners; i++) {
        d->runners[i].d = d;
        bvi_claim_init(&d->runners[i].claim, d->ctx, on_claim, &d->runners[i]);
        r = bvi_timer_new(d->ctx, on_timer, &d->runners[i], &d->runners[i].timer, err);
    }
    return r;
}

int bvi_download_run_start(bvi_download *d, bv_error **err)
{
    int r;

    bvi_work_init(&d->sync, d->ctx, sync_run, sync_done, d);
    d->written.max = d->syncing.max = BVI_CHUNKS_MAX;
    r = bvi_timer_new(d->ctx, on_sync_timer, d, &d->sync_timer, err);
    if (r == 0)
        r = bvi_http_new(d->ctx,
                         &(bvi_http_opts){ .connections_per_host = d->opts.max_connections,
                                           .ca_file = d->opts.source->ca_file,
                                           .budgeted = true },
                         &d->http, err);
    return r < 0 ? r : make_runners(d, err);
}

void bvi_download_run_free(bvi_download *d)
{
    for (uint32_t i = 0; d->runners && i < d->n_runners; i++) {
        bvi_unpack_free(d->runners[i].unpack);
        bvi_claim_release(&d->runners[i].claim);
        bvi_timer_free(d->runners[i].timer);
    }
    bvi_free(d->runners);
    bvi_timer_free(d->sync_timer);
    bvi_http_free(d->http);
    bvi_vec_done(&d->written);
    bvi_vec_done(&d->syncing);
}
