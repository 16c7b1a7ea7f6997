/**
 * @file blockvisor/adapters/libevent.h
 * Driving a context from a libevent loop. Header only: the library itself does not depend on
 * libevent.
 *
 *     bv_libevent loop;
 *     bv_ctx_opts opts = BV_CTX_OPTS_INIT;
 *
 *     bv_libevent_ctx_new(&loop, base, &opts, &ctx, &err);
 *     event_base_dispatch(base);
 *     bv_ctx_free(ctx);
 *     bv_libevent_done(&loop);
 *
 * The adapter belongs to the caller, stays at its address and outlives the context. Context, base
 * and adapter belong to one thread.
 */
#ifndef BLOCKVISOR_ADAPTERS_LIBEVENT_H
#define BLOCKVISOR_ADAPTERS_LIBEVENT_H

#include <string.h>

#include <event2/event.h>

#include <blockvisor/ctx.h>

BV_BEGIN_DECLS

/** One context on one event base. */
typedef struct bv_libevent {
    struct event_base *base; /**< The host's. */
    bv_ctx *ctx;             /**< Whom to tell. */
    struct event *timer;     /**< The context's one timer, made when it is first armed. */
    bv_loop_hooks hooks;     /**< What the context was given. */
} bv_libevent;

static inline void bv_libevent_on_io(evutil_socket_t fd, short what, void *host)
{
    bv_libevent *a = (bv_libevent *)host;
    unsigned events = ((what & EV_READ) ? (unsigned)BV_IO_IN : 0u) |
                      ((what & EV_WRITE) ? (unsigned)BV_IO_OUT : 0u);

    bv_ctx_io_ready(a->ctx, (int)fd, events);
}

static inline void bv_libevent_on_timer(evutil_socket_t fd, short what, void *host)
{
    bv_libevent *a = (bv_libevent *)host;

    (void)fd;
    (void)what;
    bv_ctx_timer_due(a->ctx);
}

static inline int bv_libevent_watch(void *host, int fd, unsigned events, void **slot)
{
    bv_libevent *a = (bv_libevent *)host;
    short what = (short)(EV_PERSIST | ((events & BV_IO_IN) ? EV_READ : 0) |
                         ((events & BV_IO_OUT) ? EV_WRITE : 0));
    struct event *ev = NULL;

    if (*slot)
        event_free((struct event *)*slot);
    *slot = NULL;
    if (!events)
        return BV_OK;
    ev = event_new(a->base, fd, what, bv_libevent_on_io, a);
    if (!ev)
        return BV_E_NOMEM;
    if (event_add(ev, NULL) < 0) {
        event_free(ev);
        return BV_E_UNSUPPORTED;
    }
    *slot = ev;
    return BV_OK;
}

static inline int bv_libevent_arm(void *host, int64_t delay_us)
{
    bv_libevent *a = (bv_libevent *)host;
    struct timeval delay;

    if (!a->timer)
        a->timer = event_new(a->base, -1, 0, bv_libevent_on_timer, a);
    if (!a->timer)
        return BV_E_NOMEM;
    if (delay_us < 0)
        return event_del(a->timer) < 0 ? BV_E_INTERNAL : BV_OK;
    delay.tv_sec = (time_t)(delay_us / 1000000);
    delay.tv_usec = (suseconds_t)(delay_us % 1000000);
    return event_add(a->timer, &delay) < 0 ? BV_E_NOMEM : BV_OK;
}

/** Releases what the adapter holds, after its context was freed. */
static inline void bv_libevent_done(bv_libevent *a)
{
    if (a->timer)
        event_free(a->timer);
    memset(a, 0, sizeof(*a));
}

/**
 * Makes a context on an event base.
 *
 * @param a     Filled in; must stay where it is until bv_libevent_done().
 * @param base  Borrowed; must outlive the context.
 * @param opts  As for bv_ctx_new(); its hooks are ignored.
 * @return as bv_ctx_new(); after a failure there is nothing to release.
 */
static inline int bv_libevent_ctx_new(bv_libevent *a, struct event_base *base,
                                      const bv_ctx_opts *opts, bv_ctx **ret_ctx, bv_error **err)
{
    bv_ctx_opts mine = *opts;
    int r;

    memset(a, 0, sizeof(*a));
    a->base = base;
    a->hooks.size = sizeof(a->hooks);
    a->hooks.host = a;
    a->hooks.watch = bv_libevent_watch;
    a->hooks.arm = bv_libevent_arm;
    mine.size = sizeof(mine) < opts->size ? sizeof(mine) : opts->size;
    mine.hooks = &a->hooks;
    r = bv_ctx_new(&mine, &a->ctx, err);
    if (r < 0) {
        bv_libevent_done(a);
        return r;
    }
    *ret_ctx = a->ctx;
    return BV_OK;
}

BV_END_DECLS

#endif
