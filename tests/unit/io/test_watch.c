/* Descriptors on the loop: who is called, when, and who is not after being freed. Each test runs on
 * all three loops. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drive.h"

typedef struct end {
    int fd[2]; /* a socket pair; fd[0] is watched */
    bvi_watch *watch;
    bv_ctx *ctx;
    unsigned calls;
    unsigned last;
    struct end *victim; /* freed by the callback */
    bool free_self;
    bool read;
    int *order;
} end;

static void end_free_watch(end *e)
{
    bvi_watch_free(e->watch);
    e->watch = NULL;
}

static void on_ready(bvi_watch *watch, int fd, unsigned events, void *data)
{
    end *e = data;
    char byte;

    ck_assert_ptr_eq(watch, e->watch);
    ck_assert_int_eq(fd, e->fd[0]);
    e->calls++;
    e->last = events;
    if (e->read)
        ck_assert_int_ge((int)read(fd, &byte, 1), 0);
    if (e->victim)
        end_free_watch(e->victim);
    if (e->free_self)
        end_free_watch(e);
}

static void end_open(end *e, bv_ctx *ctx, unsigned events)
{
    bv_error *err = NULL;

    memset(e, 0, sizeof(*e));
    e->ctx = ctx;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, e->fd), 0);
    bvt_assert_ok(bvi_watch_new(ctx, e->fd[0], events, on_ready, e, &e->watch, &err), err);
}

static void end_poke(const end *e)
{
    ck_assert_int_eq((int)write(e->fd[1], "x", 1), 1);
}

static void end_close(end *e)
{
    end_free_watch(e);
    close(e->fd[0]);
    close(e->fd[1]);
}

START_TEST(level_triggered_until_read)
{
    drive d;
    end e;

    drive_open(&d, _i, 0, false);
    end_open(&e, d.ctx, BV_IO_IN);
    drive_turn(&d);
    ck_assert_uint_eq(e.calls, 0);

    end_poke(&e);
    ck_assert_uint_eq(e.calls, 0); /* only from dispatch */
    drive_turn(&d);
    drive_turn(&d);
    ck_assert_uint_ge(e.calls, 2);
    ck_assert_uint_eq(e.last, BV_IO_IN);

    e.read = true;
    drive_turn(&d);
    e.calls = 0;
    drive_turn(&d);
    ck_assert_uint_eq(e.calls, 0);
    end_close(&e);
    drive_close(&d);
}
END_TEST

START_TEST(changes_what_it_waits_for)
{
    drive d;
    end e;

    drive_open(&d, _i, 0, false);
    end_open(&e, d.ctx, 0);
    end_poke(&e);
    drive_turn(&d);
    ck_assert_uint_eq(e.calls, 0); /* paused from the start */

    ck_assert_int_eq(bvi_watch_set(e.watch, BV_IO_OUT, NULL), 0);
    drive_turn(&d);
    ck_assert_uint_eq(e.last, BV_IO_OUT);
    ck_assert_int_eq(bvi_watch_set(e.watch, BV_IO_IN | BV_IO_OUT, NULL), 0);
    drive_turn(&d);
    ck_assert_uint_eq(e.last, BV_IO_IN | BV_IO_OUT);

    ck_assert_int_eq(bvi_watch_set(e.watch, 0, NULL), 0);
    e.calls = 0;
    drive_turn(&d);
    ck_assert_uint_eq(e.calls, 0);
    ck_assert_int_eq(bvi_watch_set(e.watch, BV_IO_IN, NULL), 0);
    drive_turn(&d);
    ck_assert_uint_eq(e.last, BV_IO_IN);
    end_close(&e);
    drive_close(&d);
}
END_TEST

START_TEST(hears_of_the_end)
{
    drive d;
    end e;

    drive_open(&d, _i, 0, false);
    end_open(&e, d.ctx, BV_IO_IN);
    close(e.fd[1]);
    e.fd[1] = -1;
    drive_turn(&d);
    ck_assert_uint_ge(e.calls, 1);
    ck_assert(e.last & BV_IO_IN);
    end_close(&e);
    drive_close(&d);
}
END_TEST

START_TEST(freed_inside_its_own_callback)
{
    drive d;
    end e;

    drive_open(&d, _i, 0, false);
    end_open(&e, d.ctx, BV_IO_IN);
    e.free_self = true;
    end_poke(&e);
    drive_turn(&d);
    drive_turn(&d);
    ck_assert_uint_eq(e.calls, 1);
    end_close(&e);
    drive_close(&d);
}
END_TEST

START_TEST(neighbour_freed_is_not_called)
{
    drive d;
    end a, b;

    drive_open(&d, _i, 0, false);
    end_open(&a, d.ctx, BV_IO_IN);
    end_open(&b, d.ctx, BV_IO_IN);
    a.victim = &b;
    b.victim = &a;
    end_poke(&a);
    end_poke(&b);
    drive_turn(&d);
    ck_assert_uint_eq(a.calls + b.calls, 1);
    drive_turn(&d);
    ck_assert_uint_eq(a.calls + b.calls, 2); /* the survivor, again */
    ck_assert(a.calls == 0 || b.calls == 0);
    end_close(&a);
    end_close(&b);
    drive_close(&d);
}
END_TEST

/* The freed neighbour's number is in use again before its stale event would have been handled. */
struct reuse {
    end *a, *b;
    bv_ctx *ctx;
    bvi_watch *fresh;
    int peer;
    unsigned stale_calls;
    bool swapped;
};

static void on_fresh(bvi_watch *watch, int fd, unsigned events, void *data)
{
    struct reuse *u = data;

    u->stale_calls++;
}

static void on_swap(bvi_watch *watch, int fd, unsigned events, void *data)
{
    struct reuse *u = data;
    end *other = watch == u->a->watch ? u->b : u->a;
    int pair[2];

    if (u->swapped)
        return;
    u->swapped = true;
    end_free_watch(other);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    ck_assert_int_eq(dup2(pair[0], other->fd[0]),
                     other->fd[0]); /* same number, another socket, nothing to read */
    close(pair[0]);
    u->peer = pair[1];
    ck_assert_int_eq(bvi_watch_new(u->ctx, other->fd[0], BV_IO_IN, on_fresh, u, &u->fresh, NULL),
                     0);
}

START_TEST(stale_event_does_not_reach_a_reused_number)
{
    struct reuse u = { 0 };
    drive d;
    end a, b;

    drive_open(&d, _i, 0, false);
    end_open(&a, d.ctx, 0);
    end_open(&b, d.ctx, 0);
    end_free_watch(&a);
    end_free_watch(&b);
    u = (struct reuse){ .a = &a, .b = &b, .ctx = d.ctx };
    ck_assert_int_eq(bvi_watch_new(d.ctx, a.fd[0], BV_IO_IN, on_swap, &u, &a.watch, NULL), 0);
    ck_assert_int_eq(bvi_watch_new(d.ctx, b.fd[0], BV_IO_IN, on_swap, &u, &b.watch, NULL), 0);
    end_poke(&a);
    end_poke(&b);
    drive_turn(&d);
    ck_assert(u.swapped);
    drive_turn(&d);
    ck_assert_uint_eq(u.stale_calls, 0);
    bvi_watch_free(u.fresh);
    close(u.peer);
    end_close(&a);
    end_close(&b);
    drive_close(&d);
}
END_TEST

START_TEST(same_descriptor_twice)
{
    bv_error *err = NULL;
    bvi_watch *second = NULL;
    drive d;
    end e;

    drive_open(&d, _i, 0, false);
    end_open(&e, d.ctx, BV_IO_IN);
    ck_assert_int_eq(bvi_watch_new(d.ctx, e.fd[0], BV_IO_OUT, on_ready, &e, &second, &err),
                     BV_E_EXISTS);
    bvt_assert_error_says(err, BV_E_EXISTS, "watched already");
    bv_error_free(err);
    ck_assert_ptr_null(second);
    end_poke(&e);
    drive_turn(&d);
    ck_assert_uint_ge(e.calls, 1); /* the first is as before */

    end_free_watch(&e);
    ck_assert_int_eq(bvi_watch_new(d.ctx, e.fd[0], BV_IO_OUT, on_ready, &e, &e.watch, NULL), 0);
    drive_turn(&d);
    ck_assert_uint_eq(e.last, BV_IO_OUT);
    end_close(&e);
    drive_close(&d);
}
END_TEST

START_TEST(refuses_what_cannot_be_watched)
{
    bv_error *err = NULL;
    bvi_watch *watch = NULL;
    int file = open(bvt_write_file("plain", "text"), O_RDONLY | O_CLOEXEC);
    drive d;

    drive_open(&d, _i, 0, false);
    ck_assert_int_eq(bvi_watch_new(d.ctx, -1, BV_IO_IN, on_ready, NULL, &watch, &err),
                     BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "-1");
    bv_error_free(err);
    ck_assert_int_eq(bvi_watch_new(d.ctx, 1 << 20, BV_IO_IN, on_ready, NULL, &watch, NULL),
                     BV_E_LIMIT);
    if (_i != DRIVE_POLL) { /* poll(2) calls a file ready, epoll refuses it */
        ck_assert_int_eq(bvi_watch_new(d.ctx, file, BV_IO_IN, on_ready, NULL, &watch, NULL),
                         BV_E_UNSUPPORTED);
        ck_assert_ptr_null(watch);
    }
    close(file);
    drive_close(&d);
}
END_TEST

#define MANY 200

static void count_call(bvi_watch *watch, int fd, unsigned events, void *data)
{
    unsigned *calls = data;

    (*calls)++;
}

START_TEST(everybody_gets_a_turn)
{
    static end many[MANY];
    unsigned calls[MANY] = { 0 };
    drive d;

    drive_open(&d, _i, 0, false);
    for (int i = 0; i < MANY; i++) {
        end_open(&many[i], d.ctx, 0);
        end_free_watch(&many[i]);
        ck_assert_int_eq(bvi_watch_new(d.ctx, many[i].fd[0], BV_IO_IN, count_call, &calls[i],
                                       &many[i].watch, NULL),
                         0);
        end_poke(&many[i]);
    }
    for (int i = 0; i < 8; i++)
        drive_turn(&d);
    for (int i = 0; i < MANY; i++)
        ck_assert_uint_ge(calls[i], 1); /* though all stay readable for ever */
    for (int i = 0; i < MANY; i++)
        end_close(&many[i]);
    drive_close(&d);
}
END_TEST

START_TEST(outlives_its_context)
{
    drive d;
    end e;

    drive_open(&d, _i, 0, false);
    end_open(&e, d.ctx, BV_IO_IN);
    end_poke(&e);
    drive_close(&d);
    ck_assert_int_eq(bvi_watch_set(e.watch, BV_IO_OUT, NULL), BV_E_STATE);
    end_close(&e); /* frees the watch */
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    bvt_for_each_failed_allocation(n) {
        bv_ctx *ctx = NULL;
        bvi_watch *watch = NULL;
        int r = bv_ctx_new(NULL, &ctx, NULL);

        if (r == 0)
            r = bvi_watch_new(ctx, pair[0], BV_IO_IN, on_ready, NULL, &watch, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_watch_free(watch);
        bv_ctx_free(ctx);
    }
    close(pair[0]);
    close(pair[1]);
}
END_TEST

BVT_MAIN("io/watch", bvt_times(level_triggered_until_read, DRIVE_COUNT),
         bvt_times(changes_what_it_waits_for, DRIVE_COUNT),
         bvt_times(hears_of_the_end, DRIVE_COUNT),
         bvt_times(freed_inside_its_own_callback, DRIVE_COUNT),
         bvt_times(neighbour_freed_is_not_called, DRIVE_COUNT),
         bvt_times(stale_event_does_not_reach_a_reused_number, DRIVE_COUNT),
         bvt_times(same_descriptor_twice, DRIVE_COUNT),
         bvt_times(refuses_what_cannot_be_watched, DRIVE_COUNT),
         bvt_times(everybody_gets_a_turn, DRIVE_COUNT),
         bvt_times(outlives_its_context, DRIVE_COUNT), bvt_test(survives_every_failed_allocation))
