/*
 * upload_run.c - one pass over the directory.
 *
 *   plan (worker)  ->  todo  ->  runners: read, cut, hash (worker); look up (loop); pack (worker)
 *                                  |-> active, in the snapshot's order  ->  pages (loop)
 *                                                                        -> pager: hash, pack
 * (worker)
 *
 * Units leave the active list from its front, once all their chunks are stored. So that it stays
 * short, a pack that holds up the front is put before it is full. When a directory changed
 * meanwhile there is another pass, which builds on the pages and stamps of this one as if they were
 * an earlier version's.
 */
#include <string.h>

#include "snapshot/upload_impl.h"

/* Units joined in one go, before others get their turn. */
#define JOIN_UNITS 64u

static bool ended(const bvi_snap_upload *u)
{
    return u->plan_ended && u->todo.len == 0;
}

/* ---- pages ---- */

static void page_run(void *data)
{
    bvi_snap_upload *u = data;

    if (u->page_packing) {
        (void)bvi_pack_writer_add(&u->pager.pack, &u->page_hash, u->page.data, u->page.len,
                                  &u->page_full, &u->page_err); /* it says */
        return;
    }
    bvi_blake3_hash(u->page.data, u->page.len, u->page_hash.bytes);
    (void)bvi_page_cache_write(u->pages.fd, u->page_slot, u->page.data, &u->page_err); /* it says */
}

static void submit_page(bvi_snap_upload *u, bool packing)
{
    u->page_packing = packing;
    u->page_full = false;
    u->page_pending = true;
    bvi_work_submit(&u->page_work);
}

/* The page has its name: is it in the store? */
static int page_hashed(bvi_snap_upload *u, bv_error **err)
{
    bvi_snap_frame frame;
    uint32_t owner;
    int r;

    u->refs.items[u->refs.len - 1].frame.hash = u->page_hash;
    if (bvi_chunk_table_find(u->table, &u->page_hash, &frame) ||
        bvi_pending_find(&u->pending, &u->page_hash, &owner)) {
        bvi_buf_clear(&u->page);
        return 0;
    }
    r = bvi_pending_add(&u->pending, &u->page_hash, u->pager.owner, err);
    if (r == 0)
        submit_page(u, true);
    return r;
}

static void page_done(void *data, bool cancelled)
{
    bvi_snap_upload *u = data;

    u->page_pending = false;
    if (cancelled && !u->page_err)
        (void)bvi_fail(&u->page_err, BV_E_CANCELLED, "upload interrupted");
    if (!u->page_err && !u->page_packing) {
        (void)page_hashed(u, &u->page_err); /* it says */
    } else if (!u->page_err) {
        bvi_buf_clear(&u->page);
        if (u->page_full)
            bvi_packer_flush(&u->pager);
    }
    if (u->page_err)
        bvi_snap_up_fail(u, bvi_take(u->page_err));
    bvi_snap_up_settle(u);
}

static int begin_page(bvi_snap_upload *u, const bvi_snap_page_ref *ref, bv_error **err)
{
    bvi_snap_page_ref *kept = bvi_vec_push(&u->refs);
    int r;

    if (!kept)
        return bvi_fail(err, u->refs.len >= BVI_SNAP_PAGES_MAX ? BV_E_LIMIT : BV_E_NOMEM,
                        "too many pages");
    *kept = *ref;
    kept->frame.plain = (uint32_t)u->page.len;
    r = bvi_page_cache_add(&u->pages, kept->frame.plain, &u->page_slot, err);
    if (r == 0)
        submit_page(u, false);
    return r;
}

static void flush(bvi_snap_runner *r)
{
    r->full = false;
    bvi_packer_flush(&r->packer);
}

/* ---- joining ---- */

/* Has the table all chunks of the first unit? *ret_owner: who has the one that is missing. */
static bool is_stored(bvi_snap_upload *u, const bvi_unit *unit, uint32_t *ret_owner)
{
    while (u->joined < unit->chunks.len) {
        const bvi_hash256 *hash = &unit->chunks.items[u->joined].hash;
        bvi_snap_frame frame;

        if (!bvi_chunk_table_find(u->table, hash, &frame)) {
            if (!bvi_pending_find(&u->pending, hash, ret_owner))
                *ret_owner = UINT32_MAX;
            return false;
        }
        u->joined++;
    }
    return true;
}

/* All runners may be at rest, so that nothing else would look at it. */
/* The owner's pack goes as soon as may be: now, when it is between two units. */
static void hurry(bvi_snap_upload *u, uint32_t owner)
{
    bvi_snap_runner *r = owner < u->n_runners ? &u->runners[owner] : NULL;

    if (!r)
        return;
    r->packer.flush = true;
    if (!r->unit && !r->working && bvi_packer_idle(&r->packer) &&
        !bvi_pack_writer_empty(&r->packer.pack))
        flush(r);
}

/* Is nothing under way that would end by itself, and call us? */
static bool is_quiet(const bvi_snap_upload *u)
{
    bool quiet = !u->page_pending && !u->plan_pending;

    for (uint32_t i = 0; i < u->n_runners; i++)
        quiet = quiet && !u->runners[i].working && !u->runners[i].unit &&
                bvi_packer_idle(&u->runners[i].packer);
    return quiet && bvi_packer_idle(&u->pager);
}

static bool may_join(const bvi_snap_upload *u)
{
    return !u->page_pending && u->page.len == 0 && bvi_packer_idle(&u->pager) && !u->restart;
}

/* One unit, or a page of it. 1: there may be more to do at once; 0: something is waited for. */
static int join_one(bvi_snap_upload *u, bv_error **err)
{
    bvi_unit *unit = u->active.head;
    bvi_snap_page_ref ref = { .entries = 0 };
    uint32_t owner = 0;
    int r;

    if (!may_join(u) || (unit && !unit->done) || (!unit && (!ended(u) || u->writer_ended)))
        return 0;
    if (unit && !is_stored(u, unit, &owner)) {
        if (owner == UINT32_MAX)
            return bvi_fail(err, BV_E_INTERNAL, "a chunk of '%s' got lost", bvi_unit_path(unit, 0));
        if (u->active.memory > BVI_SNAP_ACTIVE_MEMORY || is_quiet(u))
            hurry(u, owner);
        return 0;
    }
    r = unit ? bvi_manifest_writer_add(&u->writer, unit, u->table, &u->page, &ref, err)
             : bvi_manifest_writer_end(&u->writer, &u->page, &ref, err);
    if (r < 0)
        return r;
    if (!unit)
        u->writer_ended = true;
    if (r > 0)
        return begin_page(u, &ref, err);
    if (unit) {
        u->joined = 0;
        bvi_unit_free(bvi_unit_pop(&u->active));
    }
    return unit != NULL;
}

/* Units that leave make room for others, so that everybody is asked again afterwards. */
static void join(bvi_snap_upload *u)
{
    bv_error *err = NULL;
    bool joined = false;
    int r = 1;

    for (unsigned i = 0; i < JOIN_UNITS; i++) {
        r = join_one(u, &err);
        if (r <= 0)
            break;
        joined = true;
    }
    if (r < 0)
        bvi_snap_up_fail(u, err);
    else if (joined)
        bvi_task_post(&u->join_again);
}

static void on_join_again(void *data)
{
    bvi_snap_up_settle(data);
}

/* ---- planning ---- */

static void plan_run(void *data)
{
    bvi_snap_upload *u = data;
    int r = 0;

    if (!u->plan) {
        const bool first = u->pass == 1;
        const bvi_plan_opts opts = {
            .walk = bvi_snap_up_walk_opts(u),
            .old_stamps = u->use_stamps ? first ? u->stamps_path : u->new_paths[u->pass % 2] : NULL,
            .old_has_head = first,
            .base = u->use_stamps ? &u->base_pages : NULL,
            .before_ns = first ? u->stamps.before_ns : (u->began_us - BVI_SNAP_TRUST_US) * 1000,
            .new_stamps = u->new_paths[(u->pass + 1) % 2],
        };

        r = bvi_page_cache_open(&u->pages, u->opts.state_dir, &u->plan_err);
        if (r == 0)
            r = bvi_plan_new(&opts, &u->plan, &u->plan_err);
    }
    if (r == 0)
        r = bvi_plan_step(u->plan, &u->planned, &u->plan_err);
    u->plan_last = r == 0;
}

static void count_planned(bvi_snap_upload *u)
{
    const bvi_plan_sums *sums = bvi_plan_result(u->plan);
    const bvi_tree_counts *counts = bvi_plan_counts(u->plan);

    u->report.now.files = sums->files;
    u->report.now.bytes_total = sums->bytes;
    u->report.now.skipped = counts->special;
    if (counts->special > 0 && u->pass == 1)
        bvi_log_warn(u->ctx, "snapshot", "'%s': %llu sockets, pipes and devices are left out",
                     u->opts.source_dir, (unsigned long long)counts->special);
}

static void plan_done(void *data, bool cancelled)
{
    bvi_snap_upload *u = data;
    bv_error *err = bvi_take(u->plan_err);
    bvi_unit *unit;

    u->plan_pending = false;
    u->plan_ended = u->plan_last;
    while ((unit = bvi_unit_pop(&u->planned)))
        bvi_unit_push(&u->todo, unit);
    if (cancelled && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "upload interrupted");
    if (err && bv_error_code(err) == BV_E_CHECKSUM && u->use_stamps) {
        bvi_log_warn(u->ctx, "snapshot", "every file of '%s' is read again: %s", u->opts.source_dir,
                     bv_error_message(err));
        u->restart = true;
        bv_error_free(bvi_take(err));
    }
    if (!err && u->plan_ended)
        count_planned(u);
    if (err)
        bvi_snap_up_fail(u, err);
    bvi_snap_up_settle(u);
}

static void plan_more(bvi_snap_upload *u)
{
    if (u->plan_pending || u->plan_ended || u->restart || u->todo.memory > BVI_SNAP_TODO_MEMORY)
        return;
    u->plan_pending = true;
    bvi_work_submit(&u->plan_work);
}

/* ---- runners ---- */

static void work_run(void *data)
{
    bvi_snap_runner *r = data;

    if (!r->packing) {
        int more = bvi_unit_reader_step(&r->reader, r->unit, &r->err);

        r->more = more > 0;
        return;
    }
    while (r->next < r->wanted.len && !r->full && !r->err) {
        const bvi_read_chunk *chunk = &r->reader.chunks.items[r->wanted.items[r->next]];

        if (bvi_pack_writer_add(&r->packer.pack, &chunk->hash, chunk->bytes, chunk->len, &r->full,
                                &r->err) == 0)
            r->next++;
    }
}

/* Which of the chunks that were read the store lacks; they are this runner's from now on. */
static int look_up(bvi_snap_runner *r, bv_error **err)
{
    bvi_snap_upload *u = r->packer.u;

    r->wanted.len = r->next = 0;
    for (size_t i = 0; i < r->reader.chunks.len; i++) {
        const bvi_read_chunk *chunk = &r->reader.chunks.items[i];
        bvi_snap_frame frame;
        uint32_t owner;
        uint32_t *wanted;
        int got;

        u->report.now.chunks_done++;
        u->report.now.bytes_done += chunk->len;
        if (bvi_chunk_table_find(u->table, &chunk->hash, &frame) ||
            bvi_pending_find(&u->pending, &chunk->hash, &owner)) {
            u->report.now.reused_bytes += chunk->len;
            continue;
        }
        got = bvi_pending_add(&u->pending, &chunk->hash, r->packer.owner, err);
        if (got < 0)
            return got;
        wanted = bvi_vec_push(&r->wanted);
        if (!wanted)
            return bvi_fail_nomem(err);
        *wanted = (uint32_t)i;
    }
    bvi_report_send(&u->report);
    return 0;
}

static void work_done(void *data, bool cancelled)
{
    bvi_snap_runner *r = data;
    bvi_snap_upload *u = r->packer.u;

    r->working = false;
    if (cancelled && !r->err)
        (void)bvi_fail(&r->err, BV_E_CANCELLED, "upload interrupted");
    if (!r->err && !r->packing)
        (void)look_up(r, &r->err); /* it says */
    if (r->err)
        bvi_snap_up_fail(u, bvi_take(r->err));
    bvi_snap_up_settle(u);
}

static void submit(bvi_snap_runner *r, bool packing)
{
    r->packing = packing;
    r->working = true;
    bvi_work_submit(&r->work);
}

/* The next stretch of the large file that is first in the queue. */
static int next_stretch(bvi_snap_upload *u, bvi_unit **ret_unit, bv_error **err)
{
    bvi_unit *file = u->todo.head;
    uint64_t to = file->to - file->from > BVI_CUT_SEGMENT ? file->from + BVI_CUT_SEGMENT : file->to;
    int r = bvi_unit_stretch(file, file->from, to, ret_unit, err);

    if (r < 0)
        return r;
    file->from = to;
    if (file->from == file->to)
        bvi_unit_free(bvi_unit_pop(&u->todo));
    return 0;
}

static uint64_t data_without_holes(const bvi_unit *unit)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < unit->extents.len; i++)
        bytes += unit->extents.items[i].len;
    return bytes;
}

/* The next unit that has to be read; those that need not are active at once. */
static int next_unit(bvi_snap_upload *u, bvi_unit **ret_unit, bv_error **err)
{
    *ret_unit = NULL;
    while (!*ret_unit && u->todo.head && u->active.memory <= BVI_SNAP_ACTIVE_MEMORY) {
        bvi_unit *unit = NULL;
        int r = 0;

        if (u->todo.head->kind == BVI_UNIT_FILE)
            r = next_stretch(u, &unit, err);
        else
            unit = bvi_unit_pop(&u->todo);
        if (r < 0)
            return r;
        bvi_unit_push(&u->active, unit);
        if (!unit->done) {
            *ret_unit = unit;
        } else {
            u->report.now.bytes_done += unit->data_bytes;
            u->report.now.reused_bytes += data_without_holes(unit);
            u->report.now.chunks_done += (uint32_t)unit->chunks.len;
        }
    }
    return 0;
}

/* Between two units. */
static void begin_unit(bvi_snap_runner *r)
{
    bvi_snap_upload *u = r->packer.u;
    const bool empty = bvi_pack_writer_empty(&r->packer.pack);
    bv_error *err = NULL;

    if (r->packer.flush && !empty) {
        flush(r);
        return;
    }
    r->packer.flush = false;
    if (u->restart)
        return;
    if (next_unit(u, &r->unit, &err) < 0) {
        bvi_snap_up_fail(u, err);
    } else if (r->unit) {
        bvi_unit_reader_begin(&r->reader);
        submit(r, false);
    } else if (ended(u) && !empty) {
        flush(r);
    }
}

static void end_unit(bvi_snap_runner *r)
{
    bvi_unit *unit = bvi_take(r->unit);
    uint64_t data = 0;

    unit->done = true;
    for (size_t i = 0; i < unit->chunks.len; i++)
        data += unit->chunks.items[i].plain;
    if (unit->data_bytes > data) /* its holes are behind us as well */
        r->packer.u->report.now.bytes_done += unit->data_bytes - data;
    bvi_unit_recount(&r->packer.u->active, unit);
}

static void advance(bvi_snap_runner *r)
{
    if (r->working || !bvi_packer_idle(&r->packer))
        return;
    if (r->full)
        flush(r);
    else if (r->unit && r->next < r->wanted.len)
        submit(r, true);
    else if (r->unit && r->more)
        submit(r, false);
    else {
        if (r->unit)
            end_unit(r);
        begin_unit(r);
    }
}

/* ---- a pass ---- */

static int reset_pass(bvi_snap_upload *u, bv_error **err)
{
    bvi_plan_free(bvi_take(u->plan));
    bvi_unit_list_done(&u->planned);
    bvi_unit_list_done(&u->todo);
    bvi_unit_list_done(&u->active);
    bvi_manifest_writer_done(&u->writer);
    bvi_page_cache_done(&u->pages);
    bvi_buf_clear(&u->page);
    u->refs.len = 0;
    u->joined = 0;
    u->plan_ended = u->writer_ended = u->restart = false;
    u->report.now.bytes_done = u->report.now.reused_bytes = 0;
    u->report.now.chunks_done = 0;
    return bvi_manifest_writer_init(&u->writer, err);
}

static void begin_pass(bvi_snap_upload *u)
{
    bv_error *err = NULL;

    u->pass++;
    if (reset_pass(u, &err) < 0) {
        bvi_snap_up_fail(u, err);
        return;
    }
    u->running = true;
    bvi_report_phase(&u->report, "transfer");
}

static void free_runner(bvi_snap_runner *r)
{
    bvi_packer_done(&r->packer);
    bvi_unit_reader_done(&r->reader);
    bvi_vec_done(&r->wanted);
    bv_error_free(r->err);
}

static int make_runner(bvi_snap_upload *u, bvi_snap_runner *r, uint32_t owner, bv_error **err)
{
    bvi_unit_reader_init(&r->reader, u->source_fd);
    r->wanted.max = BVI_SNAP_CHUNK_MAX;
    bvi_work_init(&r->work, u->ctx, work_run, work_done, r);
    return bvi_packer_init(&r->packer, u, owner, err);
}

static int make_runners(bvi_snap_upload *u, bv_error **err)
{
    u->runners = bvi_new_array(bvi_snap_runner, u->max_runners);
    if (!u->runners)
        return bvi_fail_nomem(err);
    for (uint32_t i = 0; i < u->max_runners; i++) {
        int r = make_runner(u, &u->runners[i], i, err);

        u->n_runners = i + 1; /* freed in any case */
        if (r < 0)
            return r;
    }
    return bvi_packer_init(&u->pager, u, u->n_runners, err);
}

static void on_put_timer(bvi_timer *timer, void *data)
{
    (void)timer;
    bvi_snap_up_settle(data);
}

static void on_claim(void *data)
{
    bvi_snap_upload *u = data;
    bv_error *err = NULL;

    if (bvi_snap_up_stopping(u)) {
        bvi_snap_up_settle(u);
        return;
    }
    bvi_task_init(&u->join_again, u->ctx, on_join_again, u);
    bvi_work_init(&u->plan_work, u->ctx, plan_run, plan_done, u);
    bvi_work_init(&u->page_work, u->ctx, page_run, page_done, u);
    bvi_buf_init(&u->page, BVI_SNAP_PAGE_MAX);
    u->refs.max = BVI_SNAP_PAGES_MAX;
    u->use_stamps = !u->opts.rehash && u->stamps.version && !u->base_bad && u->base_version &&
                    u->stamps.version == u->base_version &&
                    bvi_hash256_equal(&u->stamps.root, &u->base_hash);
    if (bvi_timer_new(u->ctx, on_put_timer, u, &u->put_timer, &err) < 0 ||
        make_runners(u, &err) < 0)
        bvi_snap_up_fail(u, err);
    else
        begin_pass(u);
    bvi_snap_up_settle(u);
}

void bvi_snap_up_run(bvi_snap_upload *u)
{
    const uint64_t each = BVI_PACK_WRITER_MEMORY + BVI_UNIT_READER_MEMORY +
                          bvi_frame_packer_memory(u->opts.codec, u->opts.level);
    const uint64_t limit = bvi_budget_limits(u->ctx).of[BVI_RESOURCE_MEMORY];
    uint64_t budget =
        (uint64_t)(u->opts.memory_mib ? u->opts.memory_mib : BV_TRANSFER_MEMORY_MIB_DEFAULT) << 20;
    bvi_amounts amounts;
    bv_error *err = NULL;
    int r;

    if (budget > limit)
        budget = limit;
    budget = budget > BVI_SNAP_UPLOAD_MEMORY + each ? budget - BVI_SNAP_UPLOAD_MEMORY : each;
    r = bvi_admit(u->opts.max_runners, (uint32_t)((budget + (1u << 20) - 1) >> 20), each, "packing",
                  &u->max_runners, &err);
    amounts = (bvi_amounts){ .memory = BVI_SNAP_UPLOAD_MEMORY + u->max_runners * each };
    if (amounts.memory > limit)
        amounts.memory = limit;
    if (r == 0) {
        bvi_claim_init(&u->claim, u->ctx, on_claim, u);
        r = bvi_claim_ask(&u->claim, &amounts, "a snapshot upload", &err);
    }
    if (r < 0)
        bvi_snap_up_fail(u, err);
    else if (r > 0)
        on_claim(u);
}

void bvi_snap_up_run_again(bvi_snap_upload *u)
{
    bvi_page_cache_done(&u->base_pages);
    u->base_pages = u->pages;
    bvi_page_cache_init(&u->pages);
    u->use_stamps = true;
    begin_pass(u);
}

static void begin_without_stamps(bvi_snap_upload *u)
{
    bvi_page_cache_done(&u->base_pages);
    u->use_stamps = false;
    u->pass--;
    begin_pass(u);
}

/* Everything was joined: the pages' pack, then the end. */
static void maybe_end(bvi_snap_upload *u)
{
    if (!u->writer_ended || u->page_pending || u->page.len > 0 || !bvi_packer_idle(&u->pager))
        return;
    if (!bvi_pack_writer_empty(&u->pager.pack)) {
        bvi_packer_flush(&u->pager);
        bvi_snap_up_pump_packs(u);
        return;
    }
    u->running = false;
    bvi_snap_up_end(u);
}

void bvi_snap_up_pump(bvi_snap_upload *u)
{
    if (!u->running || bvi_snap_up_stopping(u)) {
        bvi_snap_up_pump_packs(u);
        return;
    }
    if (u->restart && is_quiet(u))
        begin_without_stamps(u);
    plan_more(u);
    for (uint32_t i = 0; i < u->n_runners && !bvi_snap_up_stopping(u); i++)
        advance(&u->runners[i]);
    plan_more(u); /* they may have taken all there was */
    if (!bvi_snap_up_stopping(u))
        join(u);
    bvi_snap_up_pump_packs(u);
    if (!bvi_snap_up_stopping(u))
        maybe_end(u);
}

bool bvi_snap_up_run_idle(const bvi_snap_upload *u)
{
    bool idle = !u->plan_pending && !u->page_pending && !u->record_pending && !u->claim.waiting;

    for (uint32_t i = 0; i < u->n_runners; i++)
        idle = idle && !u->runners[i].working && bvi_packer_idle(&u->runners[i].packer);
    return idle && bvi_packer_idle(&u->pager);
}

void bvi_snap_up_run_stop(bvi_snap_upload *u)
{
    bvi_claim_release(&u->claim);
    for (uint32_t i = 0; i < u->n_runners; i++)
        bvi_store_try_stop(&u->runners[i].packer.put);
    if (u->n_runners > 0)
        bvi_store_try_stop(&u->pager.put);
}

void bvi_snap_up_run_free(bvi_snap_upload *u)
{
    for (uint32_t i = 0; i < u->n_runners; i++)
        free_runner(&u->runners[i]);
    bvi_free(u->runners);
    bvi_packer_done(&u->pager);
    bvi_task_done(&u->join_again);
    bvi_timer_free(u->put_timer);
    bvi_claim_release(&u->claim);
    bvi_plan_free(u->plan);
    bvi_unit_list_done(&u->planned);
    bvi_unit_list_done(&u->todo);
    bvi_unit_list_done(&u->active);
    bvi_manifest_writer_done(&u->writer);
    bvi_page_cache_done(&u->pages);
    bvi_buf_done(&u->page);
    bvi_vec_done(&u->refs);
    bvi_pending_done(&u->pending);
    bv_error_free(u->plan_err);
    bv_error_free(u->page_err);
    bv_error_free(u->record_err);
}
