/*
 * ctx.c - a context: its life, its rounds and its three ways of being driven.
 */
#include <assert.h>

#include "io/clock.h"
#include "io/ctx_impl.h"

/* ---- when the host shall call next ---- */

static bool has_more_now(const bv_ctx *ctx)
{
    return ctx->task_head || bvi_pool_has_inline(ctx->pool);
}

int bvi_ctx_rearm(bv_ctx *ctx, bv_error **err)
{
    int64_t due_us, delay_us = -1;
    int r;

    if (ctx->depth || ctx->closing)
        return 0; /* the end of the round does it once for all */
    due_us = has_more_now(ctx) ? BVI_ARMED_NOW : bvi_timers_next_us(ctx);
    if (due_us == ctx->armed_us)
        return 0;
    if (due_us != BVI_ARMED_NONE) {
        int64_t now_us = bvi_ctx_now_us(ctx);

        delay_us = due_us > now_us ? due_us - now_us : 0;
    }
    r = ctx->hooks.arm(ctx->hooks.host, delay_us);
    if (r < 0)
        return bvi_fail(err, r, "the event loop refused to set its timer");
    ctx->armed_us = due_us;
    return 0;
}

void bvi_ctx_rearm_or_wake(bv_ctx *ctx)
{
    if (bvi_ctx_rearm(ctx, NULL) < 0)
        bvi_mailbox_ring(ctx->mail); /* comes back at once through the other door */
}

/* ---- rounds ---- */

static void leave_round(bv_ctx *ctx)
{
    assert(ctx->depth == 1);
    ctx->depth = 0;
    bvi_ctx_rearm_or_wake(ctx);
}

static int run_due(bv_ctx *ctx)
{
    int handled = bvi_timers_run(ctx);

    handled += bvi_tasks_run(ctx);
    handled += bvi_pool_run_inline(ctx->pool);
    return handled;
}

static void on_wake(bvi_watch *watch, int fd, unsigned events, void *data)
{
    bv_ctx *ctx = data;

    (void)watch;
    (void)fd;
    (void)events;
    bvi_mailbox_drain(ctx->mail);
    bvi_op_take_cancels(ctx);
    (void)bvi_pool_run_finished(ctx->pool); /* the wake-up itself is what counts */
}

void bv_ctx_io_ready(bv_ctx *ctx, int fd, unsigned events)
{
    /* Levels persist: a call from inside a callback, by a host's nested loop, comes again outside.
     */
    if (!ctx || ctx->depth)
        return;
    ctx->depth = 1;
    (void)bvi_watch_ready(ctx, fd, events); /* unknown descriptors are a host's late news */
    leave_round(ctx);
}

void bv_ctx_timer_due(bv_ctx *ctx)
{
    if (!ctx)
        return;
    ctx->armed_us = BVI_ARMED_NONE; /* it is one shot, so the end of the round sets it again */
    if (ctx->depth)
        return;
    ctx->depth = 1;
    (void)run_due(ctx); /* too early is fine */
    leave_round(ctx);
}

int bv_ctx_fd(const bv_ctx *ctx)
{
    return ctx ? ctx->epoll_fd : -1;
}

int bv_ctx_dispatch(bv_ctx *ctx, int timeout_ms)
{
    int handled;

    if (!ctx)
        return BV_E_INVALID;
    if (ctx->depth || ctx->epoll_fd < 0)
        return BV_E_STATE;
    if (has_more_now(ctx) || bvi_timers_next_us(ctx) <= bvi_ctx_now_us(ctx))
        timeout_ms = 0;
    ctx->depth = 1;
    handled = bvi_epoll_wait(ctx, timeout_ms);
    if (handled >= 0)
        handled += run_due(ctx);
    leave_round(ctx);
    return handled;
}

int bv_ctx_run(bv_ctx *ctx)
{
    int r = 0;

    if (!ctx)
        return BV_E_INVALID;
    while (r >= 0 && !atomic_exchange(&ctx->mail->stop, false))
        r = bv_ctx_dispatch(ctx, -1);
    return r < 0 ? r : 0;
}

void bv_ctx_stop(bv_ctx *ctx)
{
    atomic_store(&ctx->mail->stop, true);
    bvi_mailbox_ring(ctx->mail);
}

void bv_ctx_wake(bv_ctx *ctx)
{
    bvi_mailbox_ring(ctx->mail);
}

uint32_t bvi_ctx_workers(const bv_ctx *ctx)
{
    return ctx->workers;
}

/* ---- life ---- */

/* Fields up to this one are what the first version had; a smaller struct is not ours. */
#define HAS_FIELD(opts, type, field) ((opts)->size >= offsetof(type, field) + sizeof((opts)->field))

static int check_opts(const bv_ctx_opts *opts, bv_error **err)
{
    if (!HAS_FIELD(opts, bv_ctx_opts, workers))
        return bvi_fail(err, BV_E_INVALID,
                        "bv_ctx_opts: size %zu is too small; set it to sizeof(bv_ctx_opts)",
                        opts->size);
    if (opts->workers > BV_WORKERS_MAX)
        return bvi_fail(err, BV_E_INVALID,
                        "bv_ctx_opts: %u workers are more than the maximum of %u", opts->workers,
                        BV_WORKERS_MAX);
    if (opts->hooks &&
        (!HAS_FIELD(opts->hooks, bv_loop_hooks, arm) || !opts->hooks->watch || !opts->hooks->arm))
        return bvi_fail(err, BV_E_INVALID, "bv_loop_hooks: size, watch and arm must be set");
    if (opts->clock && (!HAS_FIELD(opts->clock, bv_clock, wall_us) || !opts->clock->monotonic_us ||
                        !opts->clock->wall_us))
        return bvi_fail(err, BV_E_INVALID, "bv_clock: size, monotonic_us and wall_us must be set");
    return 0;
}

static void take_opts(bv_ctx *ctx, const bv_ctx_opts *opts)
{
    ctx->clock = opts->clock ? *opts->clock : bvi_clock_system;
    ctx->log = opts->log;
    ctx->log_data = opts->log_data;
    ctx->log_level = opts->log_level;
    ctx->workers = opts->workers;
    if (opts->hooks)
        ctx->hooks = *opts->hooks;
}

static int open_parts(bv_ctx *ctx, const bv_ctx_opts *opts, bv_error **err)
{
    int r = bvi_mailbox_new(&ctx->mail, err);

    if (r < 0)
        return r;
    r = bvi_pool_new(ctx, opts->workers, &ctx->pool, err);
    if (r < 0)
        return r;
    if (!opts->hooks) {
        r = bvi_epoll_open(ctx, err);
        if (r < 0)
            return r;
    }
    return bvi_watch_new(ctx, ctx->mail->wake_fd, BV_IO_IN, on_wake, ctx, &ctx->wake_watch, err);
}

static void close_parts(bv_ctx *ctx)
{
    bvi_budget_close(ctx);
    bvi_watch_free(ctx->wake_watch);
    bvi_watch_orphan_all(ctx);
    bvi_timer_orphan_all(ctx);
    if (ctx->epoll_fd < 0 && ctx->armed_us != BVI_ARMED_NONE)
        (void)ctx->hooks.arm(ctx->hooks.host,
                             -1); /* the host's timer must not reach a freed context */
    bvi_epoll_close(ctx);
    bvi_pool_free(ctx->pool);
    bvi_mailbox_unref(ctx->mail);
    bvi_free(ctx);
}

int bv_ctx_new(const bv_ctx_opts *opts, bv_ctx **ret_ctx, bv_error **err)
{
    static const bv_ctx_opts defaults = BV_CTX_OPTS_INIT;
    bv_ctx *ctx;
    int r;

    if (!opts)
        opts = &defaults;
    r = check_opts(opts, err);
    if (r < 0)
        return r;
    ctx = bvi_new0(bv_ctx);
    if (!ctx)
        return bvi_fail_nomem(err);
    ctx->epoll_fd = ctx->timer_fd = -1;
    ctx->armed_us = BVI_ARMED_NONE;
    ctx->watches.max = BVI_WATCH_FD_MAX;
    ctx->heap.max = BVI_TIMERS_MAX;
    take_opts(ctx, opts);
    bvi_budget_open(ctx);
    r = open_parts(ctx, opts, err);
    if (r < 0) {
        close_parts(ctx);
        return bvi_wrap(err, r, "cannot make a context");
    }
    *ret_ctx = ctx;
    return 0;
}

void bv_ctx_free(bv_ctx *ctx)
{
    if (!ctx)
        return;
    if (ctx->depth) {
        bvi_log_error(ctx, "io",
                      "bv_ctx_free() was called from inside a callback; the context is kept");
        return;
    }
    ctx->closing = true;
    ctx->depth = 1; /* what follows is a last, long round */
    bvi_mailbox_close(ctx->mail);
    bvi_op_cancel_all(ctx);
    for (unsigned i = 0; i < BVI_CLOSING_ROUNDS_MAX; i++) {
        bvi_pool_cancel_all(ctx->pool);
        if (bvi_pool_run_finished(ctx->pool) + bvi_tasks_run(ctx) == 0)
            break;
    }
    bvi_op_finish_all(ctx);
    bvi_tasks_drop_all(ctx);
    close_parts(ctx);
}
