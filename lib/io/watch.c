/*
 * watch.c - descriptors on the loop, found by number.
 */
#include "io/ctx_impl.h"

static int tell_host(bvi_watch *watch, unsigned events)
{
    bv_ctx *ctx = watch->ctx;

    return ctx->hooks.watch(ctx->hooks.host, watch->fd, events, &watch->slot);
}

static int make_room(bv_ctx *ctx, int fd, bv_error **err)
{
    if ((unsigned)fd >= BVI_WATCH_FD_MAX)
        return bvi_fail(err, BV_E_LIMIT, "descriptor %d is above the maximum of %u", fd,
                        BVI_WATCH_FD_MAX);
    while (ctx->watches.len <= (size_t)fd) {
        bvi_watch **slot = bvi_vec_push(&ctx->watches);

        if (!slot)
            return bvi_fail_nomem(err);
    }
    return 0;
}

int bvi_watch_new(bv_ctx *ctx, int fd, unsigned events, bvi_watch_fn fn, void *data,
                  bvi_watch **ret_watch, bv_error **err)
{
    bvi_watch *watch;
    int r;

    if (fd < 0)
        return bvi_fail(err, BV_E_INVALID, "descriptor %d cannot be watched", fd);
    r = make_room(ctx, fd, err);
    if (r < 0)
        return r;
    if (ctx->watches.items[fd])
        return bvi_fail(err, BV_E_EXISTS, "descriptor %d is watched already", fd);
    watch = bvi_new0(bvi_watch);
    if (!watch)
        return bvi_fail_nomem(err);
    *watch = (bvi_watch){ .ctx = ctx,
                          .fd = fd,
                          .events = events,
                          .generation = ++ctx->generation,
                          .fn = fn,
                          .data = data };
    ctx->watches.items[fd] = watch;
    r = events ? tell_host(watch, events) : 0;
    if (r < 0) {
        ctx->watches.items[fd] = NULL;
        bvi_free(watch);
        return bvi_fail(err, r, "descriptor %d cannot be watched", fd);
    }
    *ret_watch = watch;
    return 0;
}

int bvi_watch_set(bvi_watch *watch, unsigned events, bv_error **err)
{
    int r;

    if (!watch->ctx)
        return bvi_fail(err, BV_E_STATE, "the context of descriptor %d is gone", watch->fd);
    if (watch->events == events)
        return 0;
    r = tell_host(watch, events);
    if (r < 0)
        return bvi_fail(err, r, "descriptor %d cannot be watched", watch->fd);
    watch->events = events;
    return 0;
}

void bvi_watch_free(bvi_watch *watch)
{
    if (!watch)
        return;
    if (watch->ctx) {
        if (watch->events)
            (void)tell_host(watch, 0); /* forgetting cannot fail in a way we could help */
        watch->ctx->watches.items[watch->fd] = NULL;
    }
    bvi_free(watch);
}

bool bvi_watch_ready(bv_ctx *ctx, int fd, unsigned events)
{
    bvi_watch *watch;

    if (fd < 0 || (size_t)fd >= ctx->watches.len)
        return false;
    watch = ctx->watches.items[fd];
    if (!watch || !watch->events)
        return false;
    /* Whoever waits for anything shall notice the failure or the end when it tries, as with other
     * loops. */
    if (events & BV_IO_ERR)
        events |= watch->events;
    events &= watch->events | BV_IO_ERR;
    if (!events)
        return false;
    watch->fn(watch, fd, events, watch->data); /* may free watch */
    return true;
}

void bvi_watch_orphan_all(bv_ctx *ctx)
{
    for (size_t i = 0; i < ctx->watches.len; i++) {
        bvi_watch *watch = ctx->watches.items[i];

        if (!watch)
            continue;
        if (watch->events)
            (void)tell_host(watch, 0); /* as above */
        watch->ctx = NULL;
    }
    bvi_vec_done(&ctx->watches);
}
