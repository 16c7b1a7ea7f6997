/*
 * upload_run.c - the chunks of an upload that are under way.
 *
 * Packers, as many as fit the memory budget, take chunks in ascending order: get a slot, pack on
 * the worker slice by slice into a spool, send that (or rename it into place), and pass the result
 * on to be recorded. Slices of all packers take turns in the pool, so even a few chunks keep every
 * core busy to the end. Everything here happens on the loop but pack_run() and record_run().
 */
#include <string.h>

#include "transfer/upload_impl.h"
#include "transfer/url.h"

/* A packer's file under way, and the packed chunk. */
#define PACKER_FILES 2u
/* Chunks of at least this size are worth several threads. */
#define THREADS_BYTES_MIN (16ull * 1024 * 1024)

static bool stopping(const bvi_upload *u)
{
    return atomic_load(&u->stopping);
}

static bvi_chunk *chunk_of(const bvi_packer *p)
{
    return &p->u->manifest.chunks.items[p->index];
}

static bool is_packed(const bvi_packer *p)
{
    return p->state != BVI_PACKER_PACKING && p->packed; /* it is the worker's while it packs */
}

/* ---- a full disk ---- */

static void hold_packers(bvi_upload *u, bool packed_too);

/* Lets what is under way end, and starts nothing more; what is packed is sent, which makes room.
 * Takes err. */
static void note_full(bvi_upload *u, bv_error *err, const char *path, uint64_t needed)
{
    if (u->full) {
        bv_error_free(err);
        return;
    }
    u->full = err;
    u->full_bytes = needed;
    bvi_free(u->full_path);
    u->full_path = bvi_strdup(path); /* NULL: the state directory */
    /* Each of them alone may find the room that all together did not. */
    u->packers_most = u->packers_most > 1 ? u->packers_most / 2 : 1;
    hold_packers(u, false);
}

/* ---- records ---- */

static void record_run(void *data)
{
    bvi_upload *u = data;

    (void)bvi_upload_record_stored(u, &u->record_err); /* the error says it all */
}

/* What could not be recorded for want of room is recorded when there is some. */
static int record_later(bvi_upload *u)
{
    for (size_t i = 0; i < u->recording.len; i++) {
        uint32_t *slot = bvi_vec_push(&u->stored);

        if (!slot)
            return BV_E_NOMEM;
        *slot = u->recording.items[i];
    }
    u->record_waits = true;
    return 0;
}

static void record_done(void *data, bool cancelled)
{
    bvi_upload *u = data;

    u->record_pending = false;
    if (cancelled && !u->record_err)
        (void)bvi_fail(&u->record_err, BV_E_CANCELLED, "upload interrupted");
    for (size_t i = 0; !u->record_err && i < u->recording.len; i++) {
        u->states[u->recording.items[i]] = BVI_PART_DONE;
        u->open_chunks--;
        u->report.now.chunks_done++;
    }
    if (u->record_err && !stopping(u) && bvi_space_is_full(u->record_err) && record_later(u) == 0)
        note_full(u, bvi_take(u->record_err), u->opts.meta_dir, 0);
    else if (u->record_err)
        bvi_upload_fail(u, bvi_take(u->record_err));
    u->recording.len = 0;
    if (!u->record_err)
        bvi_report_send(&u->report);
    bvi_upload_settle(u);
}

static void maybe_record(bvi_upload *u)
{
    bvi_part_list list = u->stored;

    if (u->stored.len == 0 || u->record_pending || u->record_waits)
        return;
    u->stored = u->recording;
    u->recording = list;
    u->record_pending = true;
    bvi_work_submit(&u->record);
}

/* ---- packers ---- */

static void drop_packed(bvi_packer *p)
{
    p->u->report.now.bytes_done -= p->counted_plain;
    p->counted_plain = 0;
    bvi_pack_free(bvi_take(p->pack));
    bvi_spool_done(&p->spool);
    bvi_free(bvi_take(p->buffer));
    p->packed = p->committed = false;
}

static void rest(bvi_packer *p)
{
    bvi_claim_release(&p->claim);
    p->state = BVI_PACKER_IDLE;
}

static void give_chunk_back(bvi_packer *p)
{
    bvi_upload *u = p->u;

    drop_packed(p);
    u->states[p->index] = BVI_PART_TODO;
    u->cursor = p->index < u->cursor ? p->index : u->cursor;
    rest(p);
}

/* The directory the packed chunk lies in; NULL: no memory, or none of a name. */
static char *spool_dir(const bvi_packer *p)
{
    const char *slash = p->spool.path ? strrchr(p->spool.path, '/') : NULL;

    return slash ? bvi_strndup(p->spool.path, (size_t)(slash - p->spool.path)) : NULL;
}

/* What it took so far was not enough; but a chunk hardly grows by packing. */
static uint64_t room_for(const bvi_packer *p)
{
    uint64_t plain = bvi_chunk_plain_bytes(chunk_of(p));
    uint64_t most = plain + plain / 128 + 4096;

    return p->spool.size + BVI_SLICE_BYTES < most ? p->spool.size + BVI_SLICE_BYTES : most;
}

static void give_up(bvi_packer *p, bv_error *err)
{
    bvi_upload *u = p->u;

    (void)bvi_wrap(&err, bv_error_code(err), "chunk '%s' (%u) upload failed",
                   chunk_of(p)->key ? chunk_of(p)->key : "", p->index);
    if (!stopping(u) && bvi_space_is_full(err)) {
        bvi_auto_free char *dir = spool_dir(p);
        uint64_t needed = room_for(p);

        give_chunk_back(p);
        note_full(u, err, dir ? dir : u->opts.meta_dir, needed);
        return;
    }
    give_chunk_back(p);
    bvi_upload_fail(u, err);
}

static void stored(bvi_packer *p)
{
    bvi_upload *u = p->u;
    bvi_chunk *chunk = chunk_of(p);
    uint32_t *slot = bvi_vec_push(&u->stored);
    bv_error *err = NULL;

    if (!slot) {
        (void)bvi_fail_nomem(&err);
        give_up(p, err);
        return;
    }
    *slot = p->index;
    chunk->size = p->size;
    chunk->checksum = p->sum;
    (void)bvi_chunk_set_url(chunk, NULL, NULL); /* clearing cannot fail */
    u->report.now.stored_done += p->size;
    u->states[p->index] = BVI_PART_STORED;
    p->counted_plain = 0; /* they stay in the report */
    drop_packed(p);
    rest(p);
}

/* ---- packing ---- */

static int open_spool(bvi_packer *p, bv_error **err)
{
    bvi_upload *u = p->u;
    const char *url = chunk_of(p)->url;
    bvi_auto_free char *path = NULL;
    int r;

    if (bvi_chunk_plain_bytes(chunk_of(p)) == 0)
        return 0; /* stored as nothing */
    if (!bvi_url_is_file(url))
        return bvi_spool_open_unnamed(&p->spool, u->opts.meta_dir, err);
    r = bvi_url_to_path(url, &path, err);
    return r < 0 ? r : bvi_spool_open_target(&p->spool, path, err);
}

static int prepare(bvi_packer *p, bv_error **err)
{
    bvi_upload *u = p->u;
    int r;

    r = bvi_pack_new(
        &(bvi_pack_opts){
            .dir_fd = u->source_fd,
            .scan = &u->scan,
            .chunk = chunk_of(p),
            .compression = u->opts.compression,
            .threads = u->packer_threads,
        },
        &p->pack, err);
    if (r < 0)
        return r;
    p->buffer = bvi_malloc(BVI_FILE_BUFFER_BYTES);
    return p->buffer ? open_spool(p, err) : bvi_fail_nomem(err);
}

static int finish_packing(bvi_packer *p, bv_error **err)
{
    int r = bvi_pack_result(p->pack, &p->size, &p->sum, err);

    if (r == 0 && p->spool.path) {
        r = bvi_spool_commit(&p->spool, err);
        p->committed = r == 0;
    }
    p->packed = r == 0;
    return r;
}

static int pack_slice(bvi_packer *p, bv_error **err)
{
    uint64_t stop;
    bool end = false;
    int r = p->pack ? 0 : prepare(p, err);

    if (r < 0)
        return r;
    stop = bvi_pack_plain(p->pack) + BVI_SLICE_BYTES;
    while (r == 0 && !end && bvi_pack_plain(p->pack) < stop && !stopping(p->u)) {
        size_t made = 0;

        r = bvi_pack_read(p->pack, p->buffer, BVI_FILE_BUFFER_BYTES, &made, &end, err);
        if (r == 0)
            r = bvi_spool_write(&p->spool, p->buffer, made, err);
    }
    return r < 0 || !end ? r : finish_packing(p, err);
}

static void pack_run(void *data)
{
    bvi_packer *p = data;

    (void)pack_slice(p, &p->err); /* the error says it all */
}

static void pack_done(void *data, bool cancelled)
{
    bvi_packer *p = data;
    bvi_upload *u = p->u;
    uint64_t plain = p->pack ? bvi_pack_plain(p->pack) : 0;

    u->report.now.bytes_done += plain - p->counted_plain;
    p->counted_plain = plain;
    if (!p->err && !p->packed && (cancelled || stopping(u)))
        (void)bvi_fail(&p->err, BV_E_CANCELLED, "upload interrupted");
    if (p->err) {
        give_up(p, bvi_take(p->err));
    } else if (!p->packed) {
        bvi_work_submit(&p->work); /* at the end of the queue: others get their turn */
        bvi_report_send(&u->report);
        return;
    } else if (p->committed || p->size == 0) {
        stored(p);
    } else {
        bvi_pack_free(bvi_take(p->pack)); /* the codec's memory is free for others */
        bvi_free(bvi_take(p->buffer));
        bvi_claim_shrink(&p->claim, BVI_RESOURCE_MEMORY, BVI_SEND_MEMORY);
        p->state = BVI_PACKER_WANTS_URL;
        if (stopping(u)) {
            bv_error *err = NULL;

            (void)bvi_fail(&err, BV_E_CANCELLED, "upload interrupted");
            give_up(p, err);
        }
    }
    bvi_report_send(&u->report);
    bvi_upload_settle(u);
}

/* ---- sending ---- */

static void wait_for(bvi_packer *p, int64_t delay_ms)
{
    p->u->report.now.retries++;
    p->state = BVI_PACKER_WAITING;
    if (bvi_timer_set(p->timer, delay_ms * 1000, NULL) < 0)
        p->state = BVI_PACKER_WANTS_URL; /* at once, then */
}

/* Prepares another attempt; false when there is no use in one, or when there were enough of them.
 */
static bool try_again(bvi_packer *p, bvi_attempt attempt)
{
    int64_t delay_ms = 0;

    if (attempt.verdict == BVI_VERDICT_FAIL)
        return false;
    if (attempt.verdict == BVI_VERDICT_NEW_URL) {
        p->u->url_us[p->index] = 0;
        if (p->renewals++ == BVI_URL_RENEWALS_MAX)
            return false;
        wait_for(p, 0); /* an expired URL is nothing to be cautious about */
        return true;
    }
    p->renewals = 0;
    if (!bvi_retry_next(&p->retry, p->u->ctx, attempt.retry_after_ms, &delay_ms))
        return false;
    wait_for(p, delay_ms);
    return true;
}

static void on_sent(const bv_error *err, bvi_attempt attempt, void *data)
{
    bvi_packer *p = data;
    bvi_upload *u = p->u;

    p->send = NULL;
    u->connections--;
    if (!err) {
        stored(p);
    } else if (!stopping(u) && try_again(p, attempt)) {
        bvi_log_debug(u->ctx, "transfer", "chunk %u: another attempt after: %s", p->index,
                      bv_error_message(err));
    } else {
        give_up(p, bvi_error_copy(err));
    }
    bvi_upload_settle(u);
}

static void on_timer(bvi_timer *timer, void *data)
{
    bvi_packer *p = data;

    (void)timer;
    p->state = BVI_PACKER_WANTS_URL;
    bvi_upload_settle(p->u);
}

static int start_send(bvi_packer *p, bv_error **err)
{
    bvi_upload *u = p->u;
    int r = bvi_send_start(
        &(bvi_send_opts){
            .ctx = u->ctx,
            .http = u->http,
            .url = chunk_of(p)->url,
            .fd = p->spool.fd,
            .size = p->size,
            .bytes_per_s = u->opts.bytes_per_s / u->opts.max_connections,
            .done = on_sent,
            .data = p,
        },
        &p->send, err);

    if (r < 0)
        return r;
    p->state = BVI_PACKER_SENDING;
    u->connections++;
    return 0;
}

/* ---- slots ---- */

static bool has_fresh_url(const bvi_upload *u, uint32_t index)
{
    const bvi_chunk *chunk = &u->manifest.chunks.items[index];

    return chunk->url && u->url_us[index] &&
           bvi_ctx_now_us(u->ctx) - u->url_us[index] < BVI_URL_FRESH_US;
}

int bvi_upload_take_slots(bvi_upload *u, const bvi_upload_slot *slots, size_t count, bv_error **err)
{
    for (size_t i = 0; i < count; i++) {
        bvi_chunk *chunk;
        int r;

        if (slots[i].index >= u->manifest.chunks.len || !slots[i].url)
            continue;
        chunk = &u->manifest.chunks.items[slots[i].index];
        r = bvi_chunk_set_url(chunk, slots[i].url, err);
        if (r == 0)
            r = bvi_chunk_set_key(chunk, slots[i].key, err);
        if (r < 0)
            return r;
        u->url_us[chunk->index] = bvi_ctx_now_us(u->ctx);
    }
    for (size_t i = 0; i < u->n_asked; i++) {
        if (!has_fresh_url(u, u->asked[i]))
            return bvi_fail(err, BV_E_REMOTE,
                            "missing chunk %u url: the answer does not have its slot", u->asked[i]);
    }
    return 0;
}

/* Adds an index to the batch being put together, which is kept in ascending order. */
static void ask_for(bvi_upload *u, uint32_t index)
{
    size_t at = u->n_asked;

    if (u->n_asked == BVI_SOURCE_BATCH_MAX || has_fresh_url(u, index))
        return;
    while (at > 0 && u->asked[at - 1] > index) {
        u->asked[at] = u->asked[at - 1];
        at--;
    }
    u->asked[at] = index;
    u->n_asked++;
}

void bvi_upload_choose_slots(bvi_upload *u)
{
    size_t ahead = 2 * (size_t)(u->n_packers ? u->n_packers : 1);

    u->n_asked = 0;
    for (uint32_t i = 0; i < u->n_packers; i++) {
        if (u->packers[i].state == BVI_PACKER_WANTS_URL)
            ask_for(u, u->packers[i].index);
    }
    for (uint32_t i = u->cursor; i < u->manifest.chunks.len && u->n_asked < ahead; i++) {
        if (u->states[i] == BVI_PART_TODO)
            ask_for(u, i);
    }
}

static bool someone_lacks_url(const bvi_upload *u)
{
    for (uint32_t i = 0; i < u->n_packers; i++) {
        if (u->packers[i].state == BVI_PACKER_WANTS_URL && !has_fresh_url(u, u->packers[i].index))
            return true;
    }
    return false;
}

static void on_more_slots(const bv_error *err, uint64_t data_version, const bvi_upload_slot *slots,
                          size_t count, void *data)
{
    bvi_upload *u = data;
    bv_error *why = bvi_error_copy(err);

    u->source_busy = false;
    if (!why && data_version != u->version)
        (void)bvi_fail(&why, BV_E_REMOTE, "the answer is for version %llu instead of %llu",
                       (unsigned long long)data_version, (unsigned long long)u->version);
    if (!why)
        (void)bvi_upload_take_slots(u, slots, count, &why); /* why tells */
    if (why)
        bvi_upload_fail(u, why);
    bvi_upload_settle(u);
}

static void ask_for_slots(bvi_upload *u)
{
    bv_error *err = NULL;

    if (u->source_busy || !someone_lacks_url(u))
        return;
    bvi_upload_choose_slots(u);
    if (bvi_upload_ask_slots(u, on_more_slots, &err) < 0)
        bvi_upload_fail(u, err);
}

/* ---- the pump ---- */

static void on_claim(void *data)
{
    bvi_packer *p = data;

    p->state = BVI_PACKER_IDLE;
    bvi_upload_settle(p->u); /* there may be nothing left to do for it */
}

/* False: it waits for its share, or has failed. */
static bool has_claim(bvi_packer *p)
{
    bv_error *err = NULL;
    int got;

    if (p->claim.granted)
        return true;
    got = bvi_claim_ask(&p->claim, &p->u->packer_needs, "packing one chunk", &err);
    if (got < 0)
        bvi_upload_fail(p->u, err);
    else if (got == 0)
        p->state = BVI_PACKER_CLAIMING;
    return got == 1;
}

static void assign(bvi_packer *p)
{
    bvi_upload *u = p->u;

    while (u->cursor < u->manifest.chunks.len && u->states[u->cursor] != BVI_PART_TODO)
        u->cursor++;
    if (u->cursor == u->manifest.chunks.len) {
        bvi_claim_release(&p->claim);
        return;
    }
    if (!has_claim(p))
        return;
    p->index = u->cursor;
    p->renewals = 0;
    u->states[p->index] = BVI_PART_BUSY;
    bvi_retry_init(&p->retry, &bvi_chunk_retry);
    p->state = BVI_PACKER_WANTS_URL;
}

static void advance(bvi_packer *p)
{
    bvi_upload *u = p->u;
    bv_error *err = NULL;

    if (p->state == BVI_PACKER_IDLE)
        assign(p);
    if (p->state != BVI_PACKER_WANTS_URL || !has_fresh_url(u, p->index))
        return;
    if (!p->packed) {
        p->state = BVI_PACKER_PACKING;
        bvi_work_submit(&p->work);
    } else if (u->connections < u->opts.max_connections && start_send(p, &err) < 0) {
        give_up(p, err);
    }
}

void bvi_upload_pump(bvi_upload *u)
{
    for (uint32_t i = 0; i < u->n_packers && !stopping(u); i++) {
        bvi_packer *p = &u->packers[i];

        if (is_packed(p) || (!u->full && (i < u->packers_most || p->state != BVI_PACKER_IDLE)))
            advance(p);
    }
    if (!stopping(u))
        ask_for_slots(u);
    maybe_record(u);
}

bool bvi_upload_run_idle(const bvi_upload *u)
{
    for (uint32_t i = 0; i < u->n_packers; i++) {
        if (u->packers[i].state != BVI_PACKER_IDLE)
            return false;
    }
    return !u->record_pending && (u->stored.len == 0 || u->record_waits);
}

/* Those that are not at it go no further. */
static void hold_packers(bvi_upload *u, bool packed_too)
{
    for (uint32_t i = 0; i < u->n_packers; i++) {
        bvi_packer *p = &u->packers[i];

        if (p->send || (is_packed(p) && !packed_too))
            continue;
        bvi_timer_clear(p->timer);
        if (p->state == BVI_PACKER_WANTS_URL || p->state == BVI_PACKER_WAITING) {
            give_chunk_back(p);
        } else if (p->state != BVI_PACKER_PACKING) {
            rest(p);
        } /* a packing one sees `stopping` at its next slice */
    }
}

void bvi_upload_run_stop(bvi_upload *u)
{
    hold_packers(u, true);
    for (uint32_t i = 0; i < u->n_packers; i++) {
        if (u->packers[i].send)
            bvi_send_cancel(u->packers[i].send);
    }
}

static uint64_t packer_memory(const bvi_upload *u, uint32_t threads)
{
    uint64_t packing = bvi_pack_memory(&u->opts.compression, threads) + BVI_FILE_BUFFER_BYTES;

    return packing > BVI_SEND_MEMORY ? packing : BVI_SEND_MEMORY;
}

/* Fewer packers than workers share those that would be idle, if there is memory for it. */
static uint32_t threads_for(const bvi_upload *u)
{
    uint64_t mib = u->opts.memory_mib ? u->opts.memory_mib : BV_TRANSFER_MEMORY_MIB_DEFAULT;
    uint64_t all = bvi_budget_limits(u->ctx).of[BVI_RESOURCE_MEMORY];
    uint64_t budget = mib << 20 < all ? mib << 20 : all;
    uint32_t threads = bvi_ctx_workers(u->ctx) / u->n_packers;

    if (u->opts.compression.kind != BVI_CODEC_ZSTD ||
        u->manifest.total_size / u->n_packers < THREADS_BYTES_MIN)
        return 1;
    while (threads > 1 && u->n_packers * packer_memory(u, threads) > budget)
        threads--;
    return threads > 1 ? threads : 1;
}

static int make_packers(bvi_upload *u, bv_error **err)
{
    uint64_t each = packer_memory(u, 1);
    int r = bvi_admit(u->opts.max_runners, u->opts.memory_mib, each, "packing one chunk",
                      &u->n_packers, err);

    if (r < 0)
        return r;
    if (u->n_packers > u->manifest.chunks.len)
        u->n_packers = (uint32_t)u->manifest.chunks.len;
    if (u->n_packers == 0)
        return 0;
    u->packers = bvi_new_array(bvi_packer, u->n_packers);
    if (!u->packers)
        return bvi_fail_nomem(err);
    u->packers_most = u->n_packers;
    u->packer_threads = threads_for(u);
    u->packer_needs =
        (bvi_amounts){ .memory = packer_memory(u, u->packer_threads), .files = PACKER_FILES };
    for (uint32_t i = 0; i < u->n_packers; i++) {
        bvi_packer *p = &u->packers[i];

        p->u = u;
        bvi_claim_init(&p->claim, u->ctx, on_claim, p);
        bvi_spool_init(&p->spool);
        bvi_work_init(&p->work, u->ctx, pack_run, pack_done, p);
    }
    for (uint32_t i = 0; r == 0 && i < u->n_packers; i++)
        r = bvi_timer_new(u->ctx, on_timer, &u->packers[i], &u->packers[i].timer, err);
    return r;
}

int bvi_upload_run_start(bvi_upload *u, bv_error **err)
{
    int r;

    bvi_work_init(&u->record, u->ctx, record_run, record_done, u);
    u->stored.max = u->recording.max = BVI_CHUNKS_MAX;
    r = bvi_http_new(u->ctx,
                     &(bvi_http_opts){ .connections_per_host = u->opts.max_connections,
                                       .ca_file = u->opts.source->ca_file,
                                       .budgeted = true },
                     &u->http, err);
    return r < 0 ? r : make_packers(u, err);
}

void bvi_upload_run_free(bvi_upload *u)
{
    for (uint32_t i = 0; u->packers && i < u->n_packers; i++) {
        bvi_packer *p = &u->packers[i];

        bvi_claim_release(&p->claim);
        bvi_pack_free(p->pack);
        bvi_spool_done(&p->spool);
        bvi_free(p->buffer);
        bv_error_free(p->err);
        bvi_timer_free(p->timer);
    }
    bvi_free(u->packers);
    bvi_http_free(u->http);
    bvi_vec_done(&u->stored);
    bvi_vec_done(&u->recording);
}
