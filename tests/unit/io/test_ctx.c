/* A context: its options, its three ways of being driven, threads around it, log and clocks. */
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "drive.h"
#include "io/op.h"
#include "io/work.h"

static int no_watch(void *host, int fd, unsigned events, void **slot)
{
    return BV_E_LIMIT;
}

static int no_arm(void *host, int64_t delay_us)
{
    return 0;
}

static const bv_loop_hooks half_hooks = { .size = sizeof(half_hooks), .arm = no_arm };
static const bv_loop_hooks short_hooks = { .size = 8, .watch = no_watch, .arm = no_arm };
static const bv_loop_hooks failing_hooks = { .size = sizeof(failing_hooks),
                                             .watch = no_watch,
                                             .arm = no_arm };
static const bv_clock half_clock = { .size = sizeof(half_clock) };

static const struct {
    bv_ctx_opts opts;
    int code;
    const char *says;
} cases[] = {
    { { .size = 0 }, BV_E_INVALID, "size 0 is too small" },
    { { .size = 8 }, BV_E_INVALID, "too small" },
    { { .size = sizeof(bv_ctx_opts), .workers = 65 }, BV_E_INVALID, "65 workers" },
    { { .size = sizeof(bv_ctx_opts), .hooks = &half_hooks }, BV_E_INVALID, "bv_loop_hooks" },
    { { .size = sizeof(bv_ctx_opts), .hooks = &short_hooks }, BV_E_INVALID, "bv_loop_hooks" },
    { { .size = sizeof(bv_ctx_opts), .hooks = &failing_hooks },
      BV_E_LIMIT,
      "cannot make a context" },
    { { .size = sizeof(bv_ctx_opts), .clock = &half_clock }, BV_E_INVALID, "bv_clock" },
    { { .size = sizeof(bv_ctx_opts), .workers = 64 }, BV_OK, "" },
    { { .size = sizeof(bv_ctx_opts) + 64 }, BV_OK, "" }, /* a host newer than the library */
};

START_TEST(options)
{
    bv_ctx *ctx = NULL;
    bv_error *err = NULL;

    ck_assert_int_eq(bv_ctx_new(&cases[_i].opts, &ctx, &err), cases[_i].code);
    bvt_assert_error_says(err, cases[_i].code, cases[_i].says);
    ck_assert(ctx ? !err : err != NULL);
    bv_ctx_free(ctx);
    bv_error_free(err);
}
END_TEST

START_TEST(null_is_harmless)
{
    bv_ctx_free(NULL);
    bv_ctx_io_ready(NULL, 0, 0);
    bv_ctx_timer_due(NULL);
    ck_assert_int_eq(bv_ctx_fd(NULL), -1);
    ck_assert_int_eq(bv_ctx_dispatch(NULL, 0), BV_E_INVALID);
    ck_assert_int_eq(bv_ctx_run(NULL), BV_E_INVALID);
    bv_op_unref(NULL);
    bv_op_cancel(NULL);
    bvi_watch_free(NULL);
    bvi_timer_free(NULL);
}
END_TEST

static void on_timer_flag(bvi_timer *timer, void *data)
{
    bool *flag = data;

    *flag = true;
}

static bool readable(bv_ctx *ctx, int timeout_ms)
{
    struct pollfd p = { .fd = bv_ctx_fd(ctx), .events = POLLIN };

    return poll(&p, 1, timeout_ms) == 1;
}

static void nothing(void *data)
{
    int *count = data;

    ++*count;
}

/* What size 1 promises: the descriptor alone tells when to dispatch. */
START_TEST(descriptor_tells_when_to_dispatch)
{
    bv_ctx *ctx = NULL;
    bvi_timer *timer = NULL;
    bvi_task task;
    bool flag = false;
    int count = 0;

    ck_assert_int_eq(bv_ctx_new(NULL, &ctx, NULL), 0);
    ck_assert(!readable(ctx, 0));

    bvi_task_init(&task, ctx, nothing, &count);
    bvi_task_post(&task);
    ck_assert(readable(ctx, 1000));
    ck_assert_int_eq(bv_ctx_dispatch(ctx, 0), 1);
    ck_assert(!readable(ctx, 0));

    ck_assert_int_eq(bvi_timer_new(ctx, on_timer_flag, &flag, &timer, NULL), 0);
    ck_assert_int_eq(bvi_timer_set(timer, 3000, NULL), 0);
    ck_assert(readable(ctx, 10000)); /* without a timeout of ours */
    ck_assert_int_eq(bv_ctx_dispatch(ctx, 0), 1);
    ck_assert(flag);
    ck_assert(!readable(ctx, 0));

    bv_ctx_wake(ctx);
    bv_ctx_wake(ctx);
    ck_assert(readable(ctx, 0));
    ck_assert_int_eq(bv_ctx_dispatch(ctx, 0), 1);
    ck_assert(!readable(ctx, 0));
    bvi_timer_free(timer);
    bv_ctx_free(ctx);
}
END_TEST

struct inside {
    bv_ctx *ctx;
    int dispatch;
    int run;
};

static void call_from_inside(void *data)
{
    struct inside *in = data;

    in->dispatch = bv_ctx_dispatch(in->ctx, 0);
    in->run = bv_ctx_run(in->ctx);
    bv_ctx_free(in->ctx); /* refused and logged */
}

START_TEST(no_dispatch_inside_a_callback)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    struct inside in = { 0 };
    bvt_log log = { 0 };
    bvi_task task;

    opts.log = bvt_log_sink;
    opts.log_data = &log;
    ck_assert_int_eq(bv_ctx_new(&opts, &in.ctx, NULL), 0);
    bvi_task_init(&task, in.ctx, call_from_inside, &in);
    bvi_task_post(&task);
    ck_assert_int_eq(bv_ctx_dispatch(in.ctx, 0), 1);
    ck_assert_int_eq(in.dispatch, BV_E_STATE);
    ck_assert_int_eq(in.run, BV_E_STATE);
    ck_assert_uint_eq(log.counts[BV_LOG_ERROR], 1);
    bv_ctx_free(in.ctx);
}
END_TEST

START_TEST(hooks_leave_no_other_door)
{
    drive d;

    drive_open(&d, DRIVE_POLL, 0, true);
    ck_assert_int_eq(bv_ctx_fd(d.ctx), -1);
    ck_assert_int_eq(bv_ctx_dispatch(d.ctx, 0), BV_E_STATE);
    ck_assert_int_eq(bv_ctx_run(d.ctx), BV_E_STATE);
    bv_ctx_io_ready(d.ctx, 9999, BV_IO_IN); /* late news of nobody */
    bv_ctx_io_ready(d.ctx, -1, BV_IO_IN);
    bv_ctx_timer_due(d.ctx);
    drive_close(&d);
}
END_TEST

static void on_timer_stop(bvi_timer *timer, void *data)
{
    bv_ctx_stop(data);
}

START_TEST(run_until_stopped)
{
    bv_ctx *ctx = NULL;
    bvi_timer *timer = NULL;

    ck_assert_int_eq(bv_ctx_new(NULL, &ctx, NULL), 0);
    ck_assert_int_eq(bvi_timer_new(ctx, on_timer_stop, ctx, &timer, NULL), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(bvi_timer_set(timer, 1000, NULL), 0);
        ck_assert_int_eq(bv_ctx_run(ctx), 0);
        ck_assert(!bvi_timer_is_set(timer));
    }
    bvi_timer_free(timer);
    bv_ctx_free(ctx);
}
END_TEST

static void *stop_in_thread(void *data)
{
    bv_ctx_wake(data);
    bv_ctx_stop(data);
    return NULL;
}

START_TEST(stopped_by_another_thread)
{
    bv_ctx *ctx = NULL;
    pthread_t thread;

    ck_assert_int_eq(bv_ctx_new(NULL, &ctx, NULL), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, stop_in_thread, ctx), 0);
    ck_assert_int_eq(bv_ctx_run(ctx), 0);
    pthread_join(thread, NULL);
    bv_ctx_free(ctx);
}
END_TEST

#define WAKES 5000

static void *wake_often(void *data)
{
    for (int i = 0; i < WAKES; i++)
        bv_ctx_wake(data);
    bv_ctx_stop(data);
    return NULL;
}

START_TEST(no_wake_is_lost)
{
    bv_ctx *ctx = NULL;
    pthread_t thread;

    ck_assert_int_eq(bv_ctx_new(NULL, &ctx, NULL), 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(pthread_create(&thread, NULL, wake_often, ctx), 0);
        ck_assert_int_eq(bv_ctx_run(ctx), 0); /* hangs when the last ring is lost */
        pthread_join(thread, NULL);
    }
    bv_ctx_free(ctx);
}
END_TEST

/* Two contexts in two threads know nothing of each other. */
struct citizen {
    bv_ctx *ctx;
    bvi_timer *timer;
    bvi_work work;
    unsigned ticks;
    unsigned works;
};

static void citizen_run(void *data)
{
    struct citizen *c = data;

    c->works++;
}

static void citizen_done(void *data, bool cancelled)
{
    struct citizen *c = data;

    if (c->works < 200)
        bvi_work_submit(&c->work);
    else if (c->ticks >= 20)
        bv_ctx_stop(c->ctx);
}

static void citizen_tick(bvi_timer *timer, void *data)
{
    struct citizen *c = data;

    if (++c->ticks < 20)
        ck_assert_int_eq(bvi_timer_set(timer, 100, NULL), 0);
    else if (c->works >= 200)
        bv_ctx_stop(c->ctx);
}

static void *citizen_live(void *data)
{
    struct citizen *c = data;
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;

    opts.workers = 2;
    ck_assert_int_eq(bv_ctx_new(&opts, &c->ctx, NULL), 0);
    ck_assert_int_eq(bvi_timer_new(c->ctx, citizen_tick, c, &c->timer, NULL), 0);
    bvi_work_init(&c->work, c->ctx, citizen_run, citizen_done, c);
    bvi_work_submit(&c->work);
    ck_assert_int_eq(bvi_timer_set(c->timer, 0, NULL), 0);
    ck_assert_int_eq(bv_ctx_run(c->ctx), 0);
    bvi_timer_free(c->timer);
    bv_ctx_free(c->ctx);
    return NULL;
}

START_TEST(two_contexts_in_two_threads)
{
    struct citizen c[2] = { { 0 }, { 0 } };
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, citizen_live, &c[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_ge(c[i].ticks, 20);
        ck_assert_uint_ge(c[i].works, 200);
    }
}
END_TEST

/* A descriptor that is always ready, a timer that is always due and a task that always comes back
 * share the loop. */
struct market {
    unsigned fd_calls, timer_calls, users, work_calls;
    bvi_task task;
    bvi_work work;
};

static void market_fd(bvi_watch *watch, int fd, unsigned events, void *data)
{
    ((struct market *)data)->fd_calls++;
}

static void market_timer(bvi_timer *timer, void *data)
{
    ((struct market *)data)->timer_calls++;
    ck_assert_int_eq(bvi_timer_set(timer, 0, NULL), 0);
}

static void market_task(void *data)
{
    struct market *m = data;

    m->users++;
    bvi_task_post(&m->task);
}

static void market_run(void *data)
{
    ((struct market *)data)->work_calls++;
}

static void market_done(void *data, bool cancelled)
{
    if (!cancelled)
        bvi_work_submit(&((struct market *)data)->work);
}

START_TEST(nobody_starves)
{
    struct market m = { 0 };
    bvi_watch *watch = NULL;
    bvi_timer *timer = NULL;
    int fds[2];
    drive d;

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq((int)write(fds[1], "x", 1), 1);
    drive_open(&d, _i, 0, true);
    ck_assert_int_eq(bvi_watch_new(d.ctx, fds[0], BV_IO_IN, market_fd, &m, &watch, NULL), 0);
    ck_assert_int_eq(bvi_timer_new(d.ctx, market_timer, &m, &timer, NULL), 0);
    ck_assert_int_eq(bvi_timer_set(timer, 0, NULL), 0);
    bvi_task_init(&m.task, d.ctx, market_task, &m);
    bvi_task_post(&m.task);
    bvi_work_init(&m.work, d.ctx, market_run, market_done, &m);
    bvi_work_submit(&m.work);
    for (int i = 0; i < 20; i++)
        drive_turn(&d);
    ck_assert_uint_ge(m.fd_calls, 10);
    ck_assert_uint_ge(m.timer_calls, 10);
    ck_assert_uint_ge(m.users, 10);
    ck_assert_uint_ge(m.work_calls, 10);
    ck_assert_uint_le(m.users, 60);
    bvi_watch_free(watch);
    bvi_timer_free(timer);
    bvi_task_done(&m.task);
    drive_close(&d);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(log_by_level_and_in_one_line)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bvt_log log = { 0 };
    char long_text[4000];
    drive d;

    opts.log = bvt_log_sink;
    opts.log_data = &log;
    opts.log_level = BV_LOG_WARN;
    drive_open_opts(&d, DRIVE_OWN, &opts, true);
    ck_assert(bvi_log_on(d.ctx, BV_LOG_ERROR));
    ck_assert(!bvi_log_on(d.ctx, BV_LOG_INFO));
    bvi_log_info(d.ctx, "io", "not %s", "seen");
    bvi_log_warn(d.ctx, "io", "odd\nbut %d", 7);
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    bvi_log_error(d.ctx, "io", "%s", long_text);
    ck_assert_ptr_nonnull(strstr(log.text, "warn io: odd but 7\n"));
    ck_assert_ptr_null(strstr(log.text, "seen"));
    ck_assert_uint_eq(log.counts[BV_LOG_ERROR], 1);
    ck_assert_uint_lt(log.len, 3000);
    drive_close(&d);

    drive_open(&d, DRIVE_OWN, 0, true);
    ck_assert(!bvi_log_on(d.ctx, BV_LOG_ERROR)); /* no sink, no output */
    bvi_log_error(d.ctx, "io", "nobody listens");
    drive_close(&d);
}
END_TEST

START_TEST(clocks_and_jitter)
{
    int64_t least = INT64_MAX, most = 0;
    drive d;

    drive_open(&d, DRIVE_OWN, 0, true);
    ck_assert_int_eq(bvi_ctx_now_us(d.ctx), d.clock.monotonic_us);
    ck_assert_int_eq(bvi_ctx_wall_us(d.ctx), d.clock.wall_us);
    for (int i = 0; i < 2000; i++) {
        int64_t ms = bvi_ctx_jitter_ms(d.ctx, 1000, 50);

        ck_assert_int_ge(ms, 1000);
        ck_assert_int_le(ms, 1500);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    ck_assert_int_lt(least, 1050);
    ck_assert_int_gt(most, 1450);
    ck_assert_int_eq(bvi_ctx_jitter_ms(d.ctx, 1000, 0), 1000);
    ck_assert_int_eq(bvi_ctx_jitter_ms(d.ctx, -5, 50), 0);
    ck_assert_int_gt(bvi_ctx_jitter_ms(d.ctx, INT64_MAX - 1, 100), 0);
    ck_assert_int_gt(bvi_ctx_jitter_ms(d.ctx, INT64_MAX, 4000000000u), 0);
    drive_close(&d);
}
END_TEST

BVT_MAIN("io/ctx", bvt_loop(options, cases), bvt_test(null_is_harmless),
         bvt_test(descriptor_tells_when_to_dispatch), bvt_test(no_dispatch_inside_a_callback),
         bvt_test(hooks_leave_no_other_door), bvt_test(run_until_stopped),
         bvt_test(stopped_by_another_thread), bvt_test(no_wake_is_lost),
         bvt_test(two_contexts_in_two_threads), bvt_times(nobody_starves, DRIVE_COUNT),
         bvt_test(log_by_level_and_in_one_line), bvt_test(clocks_and_jitter))
