/*
 * drive.c - the three loops of the io tests.
 */
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "drive.h"

/* A test that needs more turns than this hangs. */
#define TURNS_MAX 100000

static int64_t now_us(const drive *d)
{
    return bvi_ctx_now_us(d->ctx);
}

/* ---- the poll(2) host ---- */

static int poll_watch(void *host, int fd, unsigned events, void **slot)
{
    drive *d = host;
    drive_fd *entry = *slot;

    for (int i = 0; !entry && i < DRIVE_FDS_MAX; i++) {
        if (!d->fds[i].events)
            entry = &d->fds[i];
    }
    ck_assert_ptr_nonnull(entry);
    if (!*slot)
        entry->serial = ++d->serial;
    entry->fd = fd;
    entry->events = events;
    *slot = events ? entry : NULL;
    return 0;
}

static int poll_arm(void *host, int64_t delay_us)
{
    drive *d = host;

    if (d->refuse_arm)
        return BV_E_NOMEM;
    d->due_us = delay_us < 0 ? -1 : now_us(d) + delay_us;
    return 0;
}

static int poll_wait_ms(const drive *d, bool wait)
{
    int64_t left_us = d->due_us < 0 ? INT64_MAX : d->due_us - now_us(d);

    if (!wait || left_us <= 0)
        return 0;
    return left_us > 1000000 ? 1000 : (int)(left_us / 1000) + 1;
}

static void poll_turn(drive *d, bool wait)
{
    struct pollfd fds[DRIVE_FDS_MAX];
    drive_fd *entries[DRIVE_FDS_MAX];
    unsigned serials[DRIVE_FDS_MAX];
    nfds_t n = 0;

    for (int i = 0; i < DRIVE_FDS_MAX; i++) {
        drive_fd *e = &d->fds[i];

        if (!e->events)
            continue;
        fds[n] = (struct pollfd){ .fd = e->fd };
        fds[n].events = (short)(((e->events & BV_IO_IN) ? POLLIN : 0) |
                                ((e->events & BV_IO_OUT) ? POLLOUT : 0));
        entries[n] = e;
        serials[n++] = e->serial;
    }
    ck_assert_int_ge(poll(fds, n, poll_wait_ms(d, wait)), 0);
    for (nfds_t i = 0; i < n; i++) {
        short got = fds[i].revents;

        if (!got || !entries[i]->events || entries[i]->serial != serials[i])
            continue;
        bv_ctx_io_ready(d->ctx, fds[i].fd,
                        ((got & POLLIN) ? BV_IO_IN : 0u) | ((got & POLLOUT) ? BV_IO_OUT : 0u) |
                            ((got & (POLLERR | POLLHUP)) ? BV_IO_ERR : 0u));
    }
    if (d->due_us >= 0 && d->due_us <= now_us(d)) {
        d->due_us = -1;
        bv_ctx_timer_due(d->ctx);
    }
}

/* ---- all three ---- */

static void turn(drive *d, bool wait)
{
    switch (d->mode) {
    case DRIVE_OWN:
        ck_assert_int_ge(bv_ctx_dispatch(d->ctx, wait ? 1000 : 0), 0);
        break;
    case DRIVE_POLL:
        poll_turn(d, wait);
        break;
    default:
        /* Real time drives libevent, so with a clock of our own the timer is looked at in every
         * turn. */
        if (d->fake_time)
            bv_ctx_timer_due(d->ctx);
        (void)event_base_loop(d->base, EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK));
        break;
    }
}

void drive_turn(drive *d)
{
    turn(d, false);
}

static bool is_idle(drive *d)
{
    struct pollfd p = { .fd = bv_ctx_fd(d->ctx), .events = POLLIN };

    if (d->mode == DRIVE_OWN)
        return poll(&p, 1, 0) == 0;
    if (d->mode == DRIVE_POLL)
        return d->due_us < 0 || d->due_us > now_us(d);
    return true;
}

void drive_settle(drive *d)
{
    /* More turns than needed: rounds are bounded, and we cannot ask every host whether a descriptor
     * is ready. */
    for (int i = 0, quiet = 0; quiet < (d->mode == DRIVE_OWN ? 4 : 64); i++) {
        ck_assert_int_lt(i, TURNS_MAX);
        turn(d, false);
        quiet = is_idle(d) || i > 256 ? quiet + 1 : 0;
    }
}

void drive_until(drive *d, const bool *flag)
{
    for (int i = 0; !*flag; i++) {
        ck_assert_int_lt(i, TURNS_MAX);
        turn(d, true);
    }
}

void drive_advance(drive *d, int64_t us)
{
    bvt_clock_advance(&d->clock, us);
    drive_settle(d);
}

void drive_open_opts(drive *d, int mode, bv_ctx_opts *opts, bool fake_time)
{
    bv_loop_hooks hooks = {
        .size = sizeof(hooks), .host = d, .watch = poll_watch, .arm = poll_arm
    };
    bv_error *err = NULL;

    memset(d, 0, sizeof(*d));
    d->mode = mode;
    d->due_us = -1;
    d->fake_time = fake_time;
    bvt_clock_init(&d->clock);
    if (fake_time)
        opts->clock = &d->clock.clock;
    if (mode == DRIVE_POLL)
        opts->hooks = &hooks;
    if (mode == DRIVE_LIBEVENT) {
        d->base = event_base_new();
        ck_assert_ptr_nonnull(d->base);
        bvt_assert_ok(bv_libevent_ctx_new(&d->adapter, d->base, opts, &d->ctx, &err), err);
    } else {
        bvt_assert_ok(bv_ctx_new(opts, &d->ctx, &err), err);
    }
}

void drive_open(drive *d, int mode, uint32_t workers, bool fake_time)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;

    opts.workers = workers;
    drive_open_opts(d, mode, &opts, fake_time);
}

void drive_close(drive *d)
{
    bv_ctx_free(d->ctx);
    d->ctx = NULL;
    for (int i = 0; i < DRIVE_FDS_MAX; i++)
        ck_assert_uint_eq(d->fds[i].events, 0); /* every descriptor was forgotten */
    ck_assert_int_eq((int)d->due_us, -1);
    if (d->base) {
        bv_libevent_done(&d->adapter);
        event_base_free(d->base);
    }
}
