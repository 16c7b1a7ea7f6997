/* Timers against a clock the test turns, on all three loops. */
#include <stdlib.h>

#include "drive.h"

typedef struct alarm {
    bvi_timer *timer;
    char name;
    char *log;        /* names in the order of their calls */
    int64_t again_us; /* >= 0: set again by the callback */
    struct alarm *victim;
    bool free_victim;
    bool free_self;
} alarm_t;

static void on_alarm(bvi_timer *timer, void *data)
{
    alarm_t *a = data;
    size_t len = strlen(a->log);

    ck_assert_ptr_eq(timer, a->timer);
    ck_assert(!bvi_timer_is_set(timer));
    ck_assert_uint_lt(len, 30);
    a->log[len] = a->name;
    if (a->again_us >= 0)
        ck_assert_int_eq(bvi_timer_set(timer, a->again_us, NULL), 0);
    if (a->victim && a->free_victim) {
        bvi_timer_free(a->victim->timer);
        a->victim->timer = NULL;
    } else if (a->victim && a->victim->timer) {
        bvi_timer_clear(a->victim->timer);
    }
    if (a->free_self) {
        bvi_timer_free(a->timer);
        a->timer = NULL;
    }
}

static void alarm_open(alarm_t *a, bv_ctx *ctx, char name, char *log, int64_t delay_us)
{
    bv_error *err = NULL;

    *a = (alarm_t){ .name = name, .log = log, .again_us = -1 };
    bvt_assert_ok(bvi_timer_new(ctx, on_alarm, a, &a->timer, &err), err);
    ck_assert(!bvi_timer_is_set(a->timer));
    if (delay_us >= 0) {
        bvt_assert_ok(bvi_timer_set(a->timer, delay_us, &err), err);
        ck_assert(bvi_timer_is_set(a->timer));
    }
}

static void close_all(drive *d, alarm_t *alarms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bvi_timer_free(alarms[i].timer);
    drive_close(d);
}

START_TEST(in_the_order_of_their_time)
{
    char log[32] = "";
    alarm_t a[4];
    drive d;

    drive_open(&d, _i, 0, true);
    alarm_open(&a[0], d.ctx, 'c', log, 3000);
    alarm_open(&a[1], d.ctx, 'a', log, 1000);
    alarm_open(&a[2], d.ctx, 'b', log, 2000);
    alarm_open(&a[3], d.ctx, 'B', log, 2000); /* same time: the order of setting */
    drive_settle(&d);
    ck_assert_str_eq(log, "");
    drive_advance(&d, 999);
    ck_assert_str_eq(log, "");
    drive_advance(&d, 1);
    ck_assert_str_eq(log, "a");
    drive_advance(&d, 1000000);
    ck_assert_str_eq(log, "abBc");
    drive_advance(&d, 1000000);
    ck_assert_str_eq(log, "abBc"); /* one shot */
    close_all(&d, a, 4);
}
END_TEST

START_TEST(set_again_and_cleared)
{
    char log[32] = "";
    alarm_t a[2];
    drive d;

    drive_open(&d, _i, 0, true);
    alarm_open(&a[0], d.ctx, 'a', log, 1000);
    alarm_open(&a[1], d.ctx, 'b', log, 2000);
    ck_assert_int_eq(bvi_timer_set(a[0].timer, 5000, NULL), 0); /* later */
    ck_assert_int_eq(bvi_timer_set(a[1].timer, 500, NULL), 0);  /* earlier */
    drive_advance(&d, 600);
    ck_assert_str_eq(log, "b");
    bvi_timer_clear(a[0].timer);
    bvi_timer_clear(a[0].timer);
    ck_assert(!bvi_timer_is_set(a[0].timer));
    drive_advance(&d, 10000);
    ck_assert_str_eq(log, "b");
    close_all(&d, a, 2);
}
END_TEST

START_TEST(extreme_delays)
{
    char log[32] = "";
    alarm_t a[3];
    drive d;

    drive_open(&d, _i, 0, true);
    alarm_open(&a[0], d.ctx, 'a', log, -1);
    alarm_open(&a[1], d.ctx, 'b', log, -1);
    alarm_open(&a[2], d.ctx, 'c', log, 0);
    ck_assert_int_eq(bvi_timer_set(a[0].timer, INT64_MAX, NULL),
                     0); /* for ever: no overflow into the past */
    ck_assert_int_eq(bvi_timer_set(a[1].timer, INT64_MIN, NULL),
                     0); /* the past: at once, but not from here */
    ck_assert_str_eq(log, "");
    drive_settle(&d);
    ck_assert_str_eq(log, "cb");
    drive_advance(&d, 1000000000);
    ck_assert_str_eq(log, "cb");
    close_all(&d, a, 3);
}
END_TEST

START_TEST(set_again_by_itself_waits_for_the_next_round)
{
    char log[32] = "";
    alarm_t a[2];
    drive d;

    drive_open(&d, _i, 0, true);
    alarm_open(&a[0], d.ctx, 'a', log, 10);
    alarm_open(&a[1], d.ctx, 'b', log, 10);
    a[0].again_us = 0;
    bvt_clock_advance(&d.clock, 20);
    drive_turn(&d);
    /* libevent's turn looks twice when the clock is ours: b came after the first a in any case. */
    ck_assert(strncmp(log, "ab", 2) == 0);
    a[0].again_us = -1;
    drive_settle(&d);
    ck_assert(strlen(log) >= 3);
    ck_assert(strchr(log, 'b') == strrchr(log, 'b'));
    close_all(&d, a, 2);
}
END_TEST

START_TEST(periodic)
{
    char log[32] = "";
    alarm_t a;
    drive d;

    drive_open(&d, _i, 0, true);
    alarm_open(&a, d.ctx, 'a', log, 100);
    a.again_us = 100;
    for (int i = 0; i < 5; i++)
        drive_advance(&d, 100);
    ck_assert_str_eq(log, "aaaaa");
    drive_advance(&d, 99);
    ck_assert_str_eq(log, "aaaaa");
    close_all(&d, &a, 1);
}
END_TEST

START_TEST(freed_by_itself_and_by_a_neighbour)
{
    char log[32] = "";
    alarm_t a[3];
    drive d;

    drive_open(&d, _i, 0, true);
    alarm_open(&a[0], d.ctx, 'a', log, 10);
    alarm_open(&a[1], d.ctx, 'b', log, 10);
    alarm_open(&a[2], d.ctx, 'c', log, 10);
    a[0].victim = &a[1];
    a[0].free_victim = true;
    a[0].free_self = true;
    drive_advance(&d, 10);
    ck_assert_str_eq(log, "ac");
    close_all(&d, a, 3);
}
END_TEST

START_TEST(cleared_by_a_neighbour)
{
    char log[32] = "";
    alarm_t a[2];
    drive d;

    drive_open(&d, _i, 0, true);
    alarm_open(&a[0], d.ctx, 'a', log, 10);
    alarm_open(&a[1], d.ctx, 'b', log, 10);
    a[0].victim = &a[1];
    drive_advance(&d, 10);
    ck_assert_str_eq(log, "a");
    close_all(&d, a, 2);
}
END_TEST

#define MANY 1000

struct heap_check {
    drive *d;
    bvi_timer *timers[MANY];
    int64_t due_us[MANY]; /* -1: cleared or gone off */
    int64_t last_us;
    unsigned calls;
};

static void on_many(bvi_timer *timer, void *data)
{
    struct heap_check *h = data;
    int i = 0;

    while (h->timers[i] != timer)
        i++;
    ck_assert_int_ge(h->due_us[i], h->last_us);
    ck_assert_int_le(h->due_us[i], h->d->clock.monotonic_us);
    h->last_us = h->due_us[i];
    h->due_us[i] = -1;
    h->calls++;
}

START_TEST(many_in_any_order)
{
    static struct heap_check h;
    unsigned expect = 0;
    drive d;

    memset(&h, 0, sizeof(h));
    srand(7);
    drive_open(&d, _i, 0, true);
    h.d = &d;
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(bvi_timer_new(d.ctx, on_many, &h, &h.timers[i], NULL), 0);
    for (int k = 0; k < 3 * MANY; k++) {
        int i = rand() % MANY;
        int64_t delay_us = rand() % 100000;

        if (rand() % 4 == 0) {
            bvi_timer_clear(h.timers[i]);
            h.due_us[i] = 0;
        } else {
            ck_assert_int_eq(bvi_timer_set(h.timers[i], delay_us, NULL), 0);
            h.due_us[i] = d.clock.monotonic_us + delay_us;
        }
    }
    for (int i = 0; i < MANY; i++)
        expect += bvi_timer_is_set(h.timers[i]);
    drive_advance(&d, 50000);
    ck_assert_uint_lt(h.calls, expect);
    drive_advance(&d, 50000);
    ck_assert_uint_eq(h.calls, expect);
    for (int i = 0; i < MANY; i++)
        bvi_timer_free(h.timers[i]);
    drive_close(&d);
}
END_TEST

static void set_flag(bvi_timer *timer, void *data)
{
    bool *flag = data;

    *flag = true;
}

START_TEST(real_time)
{
    bvi_timer *timer = NULL;
    bool flag = false;
    int64_t begin_us;
    drive d;

    drive_open(&d, _i, 0, false);
    begin_us = bvi_ctx_now_us(d.ctx);
    ck_assert_int_eq(bvi_timer_new(d.ctx, set_flag, &flag, &timer, NULL), 0);
    ck_assert_int_eq(bvi_timer_set(timer, 5000, NULL), 0);
    drive_until(&d, &flag);
    ck_assert_int_ge(bvi_ctx_now_us(d.ctx) - begin_us, 5000);
    bvi_timer_free(timer);
    drive_close(&d);
}
END_TEST

START_TEST(outlives_its_context)
{
    char log[32] = "";
    alarm_t a;
    drive d;

    drive_open(&d, _i, 0, true);
    alarm_open(&a, d.ctx, 'a', log, 10);
    drive_close(&d);
    ck_assert(!bvi_timer_is_set(a.timer));
    bvi_timer_clear(a.timer);
    ck_assert_int_eq(bvi_timer_set(a.timer, 1, NULL), BV_E_STATE);
    bvi_timer_free(a.timer);
}
END_TEST

START_TEST(a_host_that_refuses_to_arm)
{
    char log[32] = "";
    bv_error *err = NULL;
    bvi_timer *timer = NULL;
    alarm_t a;
    drive d;

    drive_open(&d, DRIVE_POLL, 0, true);
    alarm_open(&a, d.ctx, 'a', log, 5);
    ck_assert_int_eq(bvi_timer_new(d.ctx, on_alarm, &a, &timer, NULL), 0);
    d.refuse_arm = true;
    ck_assert_int_eq(bvi_timer_set(timer, 1, &err), BV_E_NOMEM);
    bvt_assert_error_says(err, BV_E_NOMEM, "timer");
    bv_error_free(err);
    bvi_timer_free(timer);
    drive_advance(&d, 5); /* what was armed before still comes */
    ck_assert_str_eq(log, "a");
    d.refuse_arm = false;
    close_all(&d, &a, 1);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bvi_timer *timers[20] = { NULL };
        bv_ctx *ctx = NULL;
        int r = bv_ctx_new(NULL, &ctx, NULL);

        for (int i = 0; r == 0 && i < 20; i++) {
            r = bvi_timer_new(ctx, on_alarm, NULL, &timers[i], NULL);
            if (r == 0)
                ck_assert_int_eq(bvi_timer_set(timers[i], 1000000, NULL),
                                 0); /* never needs memory */
        }
        ck_assert(r == 0 || r == BV_E_NOMEM);
        for (int i = 0; i < 20; i++)
            bvi_timer_free(timers[i]);
        bv_ctx_free(ctx);
    }
}
END_TEST

BVT_MAIN("io/timer", bvt_times(in_the_order_of_their_time, DRIVE_COUNT),
         bvt_times(set_again_and_cleared, DRIVE_COUNT), bvt_times(extreme_delays, DRIVE_COUNT),
         bvt_times(set_again_by_itself_waits_for_the_next_round, DRIVE_COUNT),
         bvt_times(periodic, DRIVE_COUNT),
         bvt_times(freed_by_itself_and_by_a_neighbour, DRIVE_COUNT),
         bvt_times(cleared_by_a_neighbour, DRIVE_COUNT), bvt_times(many_in_any_order, DRIVE_COUNT),
         bvt_times(real_time, DRIVE_COUNT), bvt_times(outlives_its_context, DRIVE_COUNT),
         bvt_test(a_host_that_refuses_to_arm), bvt_test(survives_every_failed_allocation))
