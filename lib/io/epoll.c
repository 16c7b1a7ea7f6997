/*
 * epoll.c - hooks for contexts whose host gave none: an epoll descriptor that also holds a timerfd.
 */
#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "io/ctx_impl.h"

/* Marks the timerfd among the events; watches carry generation and descriptor, which is never
 * negative. */
#define TIMER_KEY UINT64_MAX

static uint64_t key_of(const bvi_watch *watch)
{
    return (uint64_t)watch->generation << 32 | (uint32_t)watch->fd;
}

static int epoll_watch(void *host, int fd, unsigned events, void **slot)
{
    bv_ctx *ctx = host;
    struct epoll_event ev = {
        .events = ((events & BV_IO_IN) ? EPOLLIN : 0u) | ((events & BV_IO_OUT) ? EPOLLOUT : 0u),
        .data.u64 = key_of(ctx->watches.items[fd]),
    };
    int how = *slot ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (!events) {
        if (*slot)
            (void)epoll_ctl(ctx->epoll_fd, EPOLL_CTL_DEL, fd,
                            NULL); /* closed already: gone already */
        *slot = NULL;
        return 0;
    }
    if (epoll_ctl(ctx->epoll_fd, how, fd, &ev) < 0) {
        if (errno == EPERM)
            return BV_E_UNSUPPORTED; /* regular files and folders are always ready */
        return bvi_code_from_errno(errno);
    }
    *slot = ctx;
    return 0;
}

static int epoll_arm(void *host, int64_t delay_us)
{
    bv_ctx *ctx = host;
    struct itimerspec when = { 0 };

    if (delay_us >= 0) {
        when.it_value.tv_sec = delay_us / 1000000;
        when.it_value.tv_nsec = delay_us % 1000000 * 1000;
        if (delay_us == 0)
            when.it_value.tv_nsec = 1; /* zero would disarm */
    }
    if (timerfd_settime(ctx->timer_fd, 0, &when, NULL) < 0)
        return bvi_code_from_errno(errno);
    return 0;
}

int bvi_epoll_open(bv_ctx *ctx, bv_error **err)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.u64 = TIMER_KEY };

    ctx->hooks = (bv_loop_hooks){
        .size = sizeof(ctx->hooks), .host = ctx, .watch = epoll_watch, .arm = epoll_arm
    };
    ctx->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (ctx->epoll_fd < 0)
        return bvi_fail_sys(err, errno, "cannot make an epoll descriptor");
    ctx->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (ctx->timer_fd < 0)
        return bvi_fail_sys(err, errno, "cannot make a timerfd");
    if (epoll_ctl(ctx->epoll_fd, EPOLL_CTL_ADD, ctx->timer_fd, &ev) < 0)
        return bvi_fail_sys(err, errno, "cannot watch the timerfd");
    return 0;
}

void bvi_epoll_close(bv_ctx *ctx)
{
    bvi_closep(&ctx->timer_fd);
    bvi_closep(&ctx->epoll_fd);
}

static void timer_fired(bv_ctx *ctx)
{
    uint64_t count;

    (void)!read(ctx->timer_fd, &count,
                sizeof(count)); /* set anew meanwhile: empty, which is fine */
    ctx->armed_us = BVI_ARMED_NONE;
}

static unsigned events_of(uint32_t ready)
{
    return ((ready & EPOLLIN) ? BV_IO_IN : 0u) | ((ready & EPOLLOUT) ? BV_IO_OUT : 0u) |
           ((ready & (EPOLLERR | EPOLLHUP)) ? BV_IO_ERR : 0u);
}

int bvi_epoll_wait(bv_ctx *ctx, int timeout_ms)
{
    struct epoll_event ready[BVI_ROUND_FDS];
    int n = epoll_wait(ctx->epoll_fd, ready, BVI_ROUND_FDS, timeout_ms);
    int handled = 0;

    if (n < 0)
        return errno == EINTR ? 0 : bvi_code_from_errno(errno);
    for (int i = 0; i < n; i++) {
        int fd = (int)(ready[i].data.u64 & UINT32_MAX);
        const bvi_watch *watch;

        if (ready[i].data.u64 == TIMER_KEY) {
            timer_fired(ctx);
            continue;
        }
        assert((size_t)fd < ctx->watches.len);
        /* An earlier callback of this round may have freed the watch, and its number may be in use
         * again. */
        watch = ctx->watches.items[fd];
        if (watch && key_of(watch) == ready[i].data.u64)
            handled += bvi_watch_ready(ctx, fd, events_of(ready[i].events));
    }
    return handled;
}
