/*
 * timer.c - timers in a binary heap over the one timer the host gives us.
 */
#include "io/ctx_impl.h"

#define TIMER_IDLE SIZE_MAX

static bool before(const bvi_timer *a, const bvi_timer *b)
{
    if (a->deadline_us != b->deadline_us)
        return a->deadline_us < b->deadline_us;
    return a->order < b->order;
}

static void place(bv_ctx *ctx, size_t index, bvi_timer *timer)
{
    ctx->heap.items[index] = timer;
    timer->index = index;
}

static void sift_up(bv_ctx *ctx, bvi_timer *timer)
{
    size_t index = timer->index;

    while (index > 0) {
        size_t parent = (index - 1) / 2;

        if (!before(timer, ctx->heap.items[parent]))
            break;
        place(ctx, index, ctx->heap.items[parent]);
        index = parent;
    }
    place(ctx, index, timer);
}

static void sift_down(bv_ctx *ctx, bvi_timer *timer)
{
    size_t index = timer->index;

    for (;;) {
        size_t child = 2 * index + 1;

        if (child >= ctx->heap.len)
            break;
        if (child + 1 < ctx->heap.len && before(ctx->heap.items[child + 1], ctx->heap.items[child]))
            child++;
        if (!before(ctx->heap.items[child], timer))
            break;
        place(ctx, index, ctx->heap.items[child]);
        index = child;
    }
    place(ctx, index, timer);
}

static void take_out(bvi_timer *timer)
{
    bv_ctx *ctx = timer->ctx;
    bvi_timer *last = ctx->heap.items[--ctx->heap.len];

    if (last != timer) {
        place(ctx, timer->index, last);
        sift_up(ctx, last);
        sift_down(ctx, last);
    }
    timer->index = TIMER_IDLE;
}

int bvi_timer_new(bv_ctx *ctx, bvi_timer_fn fn, void *data, bvi_timer **ret_timer, bv_error **err)
{
    bvi_timer *timer;

    /* Room for every timer is made here, so that setting one cannot run out of memory. */
    if (ctx->timer_count >= ctx->heap.max)
        return bvi_fail(err, BV_E_LIMIT, "a context has at most %u timers", BVI_TIMERS_MAX);
    if (!bvi_vec_grow((void **)(void *)&ctx->heap.items, ctx->timer_count, &ctx->heap.cap,
                      ctx->heap.max, sizeof(*ctx->heap.items)))
        return bvi_fail_nomem(err);
    timer = bvi_new0(bvi_timer);
    if (!timer)
        return bvi_fail_nomem(err);
    *timer =
        (bvi_timer){ .ctx = ctx, .index = TIMER_IDLE, .next = ctx->timers, .fn = fn, .data = data };
    if (ctx->timers)
        ctx->timers->prev = timer;
    ctx->timers = timer;
    ctx->timer_count++;
    *ret_timer = timer;
    return 0;
}

int bvi_timer_set(bvi_timer *timer, int64_t delay_us, bv_error **err)
{
    bv_ctx *ctx = timer->ctx;

    if (!ctx)
        return bvi_fail(err, BV_E_STATE, "the context of this timer is gone");
    if (timer->index != TIMER_IDLE)
        take_out(timer);
    if (__builtin_add_overflow(bvi_ctx_now_us(ctx), delay_us > 0 ? delay_us : 0,
                               &timer->deadline_us) ||
        timer->deadline_us == BVI_ARMED_NONE)
        timer->deadline_us = BVI_ARMED_NONE - 1;
    timer->order = ctx->timer_order++;
    timer->index = ctx->heap.len++;
    sift_up(ctx, timer);
    return bvi_ctx_rearm(ctx, err);
}

void bvi_timer_clear(bvi_timer *timer)
{
    if (!timer->ctx || timer->index == TIMER_IDLE)
        return;
    take_out(timer);
    bvi_ctx_rearm_or_wake(timer->ctx);
}

bool bvi_timer_is_set(const bvi_timer *timer)
{
    return timer->index != TIMER_IDLE;
}

void bvi_timer_free(bvi_timer *timer)
{
    if (!timer)
        return;
    if (timer->ctx) {
        bvi_timer_clear(timer);
        if (timer->prev)
            timer->prev->next = timer->next;
        else
            timer->ctx->timers = timer->next;
        if (timer->next)
            timer->next->prev = timer->prev;
        timer->ctx->timer_count--;
    }
    bvi_free(timer);
}

int64_t bvi_timers_next_us(const bv_ctx *ctx)
{
    return ctx->heap.len ? ctx->heap.items[0]->deadline_us : BVI_ARMED_NONE;
}

int bvi_timers_run(bv_ctx *ctx)
{
    int64_t now_us = bvi_ctx_now_us(ctx);
    uint64_t limit = ctx->timer_order;
    unsigned count = 0;

    while (ctx->heap.len && count < BVI_ROUND_TIMERS) {
        bvi_timer *timer = ctx->heap.items[0];

        /* One that was set by a callback of this round waits for the next: it sorts behind all that
         * were due. */
        if (timer->deadline_us > now_us || timer->order >= limit)
            break;
        take_out(timer);
        count++;
        timer->fn(timer, timer->data); /* may free timer */
    }
    return (int)count;
}

void bvi_timer_orphan_all(bv_ctx *ctx)
{
    for (bvi_timer *timer = ctx->timers; timer; timer = timer->next) {
        timer->index = TIMER_IDLE;
        timer->ctx = NULL;
    }
    ctx->timers = NULL;
    bvi_vec_done(&ctx->heap);
}
