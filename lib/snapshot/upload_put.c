/*
 * upload_put.c - packs on their way into the store.
 *
 * A sealed pack waits for a connection, is put from memory, and recorded in the journal; only then
 * are its frames in the table, so that nothing names what is not stored. One record is written at a
 * time. A repeated request sends the same bytes under the same name.
 */
#include "snapshot/upload_impl.h"

static uint32_t count_packers(const bvi_snap_upload *u)
{
    return u->n_runners + 1;
}

static bvi_packer *packer_at(bvi_snap_upload *u, uint32_t index)
{
    return index < u->n_runners ? &u->runners[index].packer : &u->pager;
}

/* ---- recording ---- */

static void record_run(void *data)
{
    bvi_snap_upload *u = data;
    const bvi_snap_frames *frames = &u->recording->pack.frames;

    (void)bvi_pack_journal_add(u->journal, frames->items, frames->len,
                               &u->record_err); /* it says */
}

/* Its frames can be named from now on. */
static int publish_frames(bvi_packer *p, bv_error **err)
{
    bvi_snap_upload *u = p->u;

    for (size_t i = 0; i < p->pack.frames.len; i++) {
        int r = bvi_chunk_table_add(u->table, &p->pack.frames.items[i], err);

        if (r < 0)
            return r;
        bvi_pending_remove(&u->pending, &p->pack.frames.items[i].hash);
    }
    return bvi_pack_writer_next(&p->pack, err);
}

static void record_done(void *data, bool cancelled)
{
    bvi_snap_upload *u = data;
    bvi_packer *p = bvi_take(u->recording);

    u->record_pending = false;
    if (cancelled && !u->record_err)
        (void)bvi_fail(&u->record_err, BV_E_CANCELLED, "upload interrupted");
    if (!u->record_err)
        (void)publish_frames(p, &u->record_err); /* it says */
    p->phase = BVI_PACKING;
    p->flush = false;
    if (u->record_err)
        bvi_snap_up_fail(u, bvi_take(u->record_err));
    bvi_snap_up_settle(u);
}

static void record_next(bvi_snap_upload *u)
{
    for (uint32_t i = 0; !u->record_pending && i < count_packers(u); i++) {
        bvi_packer *p = packer_at(u, i);

        if (p->phase != BVI_PACK_STORED)
            continue;
        u->recording = p;
        u->record_pending = true;
        bvi_work_init(&u->record, u->ctx, record_run, record_done, u);
        bvi_work_submit(&u->record);
    }
}

/* ---- putting ---- */

static void on_put(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    bvi_packer *p = data;
    bvi_snap_upload *u = p->u;

    (void)reply;
    u->sending--;
    if (err) {
        p->phase = BVI_PACKING;
        bvi_snap_up_fail_copy(u, err, "a pack was not stored");
    } else {
        p->phase =
            BVI_PACK_STORED; /* recorded also when the upload stops: it need not come again */
        u->sent_bytes += p->pack.len;
        u->report.now.stored_done += p->pack.len;
        bvi_report_send(&u->report);
    }
    bvi_snap_up_settle(u);
}

static void put(bvi_packer *p)
{
    bvi_snap_upload *u = p->u;
    bvi_auto_free char *key = bvi_snap_pack_key(u->opts.store_key, &p->pack.id);
    bv_error *err = NULL;

    if (!key) {
        (void)bvi_fail_nomem(&err);
        p->phase = BVI_PACKING;
        bvi_snap_up_fail(u, err);
        return;
    }
    p->phase = BVI_PACK_SENT;
    u->sending++;
    bvi_store_try_start(&p->put,
                        &(bvi_store_request){ .verb = BVI_STORE_PUT,
                                              .key = key,
                                              .bytes = (const char *)p->pack.bytes,
                                              .len = p->pack.len },
                        on_put, p);
}

/* With a limit of rate each pack is followed by a pause. False: not yet; the timer comes. */
static bool may_put(bvi_snap_upload *u, size_t len)
{
    const int64_t now_us = bvi_ctx_now_us(u->ctx);

    if (!u->opts.bytes_per_s)
        return true;
    if (now_us < u->next_put_us) /* without memory for a timer: rather too fast than never */
        return !bvi_timer_is_set(u->put_timer) &&
               bvi_timer_set(u->put_timer, u->next_put_us - now_us, NULL) < 0;
    u->next_put_us = now_us + (int64_t)((double)len * 1e6 / (double)u->opts.bytes_per_s);
    return true;
}

void bvi_snap_up_pump_packs(bvi_snap_upload *u)
{
    for (uint32_t i = 0; i < count_packers(u); i++) {
        bvi_packer *p = packer_at(u, i);

        if (p->phase == BVI_PACK_WAITS && bvi_snap_up_stopping(u))
            p->phase = BVI_PACKING; /* it is dropped */
        if (p->phase == BVI_PACK_WAITS && u->sending < u->opts.max_connections &&
            may_put(u, p->pack.len))
            put(p);
    }
    record_next(u);
}

void bvi_packer_flush(bvi_packer *packer)
{
    bvi_pack_writer_seal(&packer->pack);
    packer->phase = BVI_PACK_WAITS;
}

bool bvi_packer_idle(const bvi_packer *packer)
{
    return packer->phase == BVI_PACKING;
}

int bvi_packer_init(bvi_packer *packer, bvi_snap_upload *u, uint32_t owner, bv_error **err)
{
    packer->u = u;
    packer->owner = owner;
    packer->phase = BVI_PACKING;
    bvi_pack_writer_init(&packer->pack, u->opts.codec, u->opts.level);
    return bvi_store_try_init(&packer->put, u->ctx, u->opts.store, &u->report.now.retries, err);
}

void bvi_packer_done(bvi_packer *packer)
{
    bvi_store_try_done(&packer->put);
    bvi_pack_writer_done(&packer->pack);
}
