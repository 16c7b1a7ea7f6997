/*
 * fake_work.c - what takes time on a fake host: a few steps of a timer, progress, and callers who
 * wait for the end.
 */
#include "host/fake.h"

typedef struct bvi_fake_waiter {
    bvi_fake_work *work;
    bvi_reply *reply;
} waiter;

static void forget(bvi_fake_work *work)
{
    bvi_fake *fake = work->fake;

    for (size_t i = 0; i < fake->works.len; i++) {
        if (fake->works.items[i] == work) {
            bvi_vec_remove(&fake->works, i);
            break;
        }
    }
    if (work->node && work->node->work == work)
        work->node->work = NULL;
}

static void work_free(bvi_fake_work *work)
{
    bvi_timer_free(work->timer);
    bvi_vec_done(&work->waiting);
    bvi_free(work->text);
    bvi_free(work->name);
    bvi_free(work);
}

/* Everybody hears the same; both may be NULL, which is no memory. */
static void answer_all(bvi_fake_work *work, const bvi_json *answer, const bv_error *err)
{
    for (size_t i = 0; i < work->waiting.len; i++) {
        waiter *w = work->waiting.items[i];

        if (err)
            bvi_reply_fail(w->reply, bvi_error_copy(err));
        else
            bvi_reply_ok(w->reply, answer ? bvi_json_copy(answer) : NULL);
        bvi_free(w);
    }
    work->waiting.len = 0;
}

static void report(bvi_fake_work *work)
{
    const bv_progress progress = { .size = sizeof(progress),
                                   .phase = work->kind->phase,
                                   .done = work->total_bytes * work->step / BVI_FAKE_WORK_STEPS,
                                   .total = work->total_bytes,
                                   .unit = "bytes",
                                   .eta_ms = work->fake->delay_us / 1000 *
                                             (BVI_FAKE_WORK_STEPS - work->step) /
                                             BVI_FAKE_WORK_STEPS };

    for (size_t i = 0; i < work->waiting.len; i++)
        bvi_reply_progress(work->waiting.items[i]->reply, &progress);
}

static int arm(bvi_fake_work *work, bv_error **err)
{
    return bvi_timer_set(work->timer, work->fake->delay_us / BVI_FAKE_WORK_STEPS, err);
}

static void on_step(bvi_timer *timer, void *data)
{
    bvi_fake_work *work = data;
    bvi_auto_json bvi_json *answer = NULL;
    bvi_auto_error bv_error *err = NULL;

    if (++work->step < BVI_FAKE_WORK_STEPS) {
        if (work->kind->phase)
            report(work);
        (void)arm(work, NULL); /* it was set before, so there is room */
        return;
    }
    forget(work);
    answer = work->kind->finish(work, &err);
    answer_all(work, answer, err);
    work_free(work);
}

void bvi_fake_work_abort(bvi_fake_work *work, const char *why)
{
    bvi_auto_error bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_CANCELLED, "%s", why); /* the error is what we want */
    if (work->node)
        (void)bvi_wrap(&err, BV_E_CANCELLED, "cannot %s node '%s'", work->kind->name,
                       work->node->state.name);
    forget(work);
    answer_all(work, NULL, err);
    work_free(work);
}

/* The caller waits no longer. */
static void on_cancel(void *data)
{
    waiter *w = data;
    bvi_fake_work *work = w->work;
    bvi_reply *reply = w->reply;

    for (size_t i = 0; i < work->waiting.len; i++) {
        if (work->waiting.items[i] == w) {
            bvi_vec_remove(&work->waiting, i);
            break;
        }
    }
    bvi_free(w);
    if (work->kind->is_dropped && work->waiting.len == 0) {
        forget(work);
        work_free(work);
        bvi_reply_failf(reply, BV_E_CANCELLED, "cancelled");
    } else {
        bvi_reply_failf(reply, BV_E_CANCELLED, "no longer waited for; it goes on");
    }
}

void bvi_fake_work_join(bvi_fake_work *work, bvi_reply *reply)
{
    waiter *w = bvi_new0(waiter);
    waiter **slot = w ? bvi_vec_push(&work->waiting) : NULL;

    if (!slot) {
        bvi_free(w);
        bvi_reply_failf(reply, BV_E_BUSY, "too many callers wait for the same work");
        return;
    }
    *w = (waiter){ work, reply };
    *slot = w;
    bvi_reply_on_cancel(reply, on_cancel, w);
}

bvi_fake_work *bvi_fake_work_begin(bvi_fake *fake, bvi_fake_node *node,
                                   const bvi_fake_work_kind *kind, bvi_reply *reply)
{
    bvi_fake_work *work = bvi_new0(bvi_fake_work);
    bvi_fake_work **slot = NULL;
    bv_error *err = NULL;
    int r = work ? 0 : bvi_fail_nomem(&err);

    if (r == 0) {
        work->fake = fake;
        work->node = node;
        work->kind = kind;
        work->waiting.max = BVI_FAKE_WAITING_MAX;
        r = bvi_timer_new(fake->base.ctx, on_step, work, &work->timer, &err);
    }
    if (r == 0)
        r = arm(work, &err);
    if (r == 0) {
        slot = bvi_vec_push(&fake->works);
        r = slot ? 0 : bvi_fail_nomem(&err);
    }
    if (r < 0) {
        if (work)
            work_free(work);
        bvi_reply_fail(reply, err);
        return NULL;
    }
    *slot = work;
    return work;
}
