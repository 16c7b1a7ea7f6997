/* The restart decision: pure, so time is a number. */
#include "bvt.h"
#include "job/job_backoff.h"

#define HOUR_MS INT64_C(3600000)

static const bvi_restarts no_restarts;

static bvi_backoff_config config(bvi_restart policy, uint64_t timeout_ms, uint64_t base_ms,
                                 int retries)
{
    return (bvi_backoff_config){ .policy = policy,
                                 .backoff_timeout_ms = timeout_ms,
                                 .backoff_base_ms = base_ms,
                                 .has_max_retries = retries >= 0,
                                 .max_retries = retries >= 0 ? (uint32_t)retries : 0 };
}

/* What babel.md 9.2 says for each policy and each kind of end. */
static const struct {
    bvi_restart policy;
    bool succeeded;
    bvi_verdict verdict;
    bool report;
} table[] = {
    { BVI_RESTART_NEVER, true, BVI_VERDICT_FINISHED, false },
    { BVI_RESTART_NEVER, false, BVI_VERDICT_FAILED, true },
    { BVI_RESTART_ALWAYS, true, BVI_VERDICT_RESTART, true },
    { BVI_RESTART_ALWAYS, false, BVI_VERDICT_RESTART, true },
    { BVI_RESTART_ON_FAILURE, true, BVI_VERDICT_FINISHED, false },
    { BVI_RESTART_ON_FAILURE, false, BVI_VERDICT_RESTART, true },
};

START_TEST(policies)
{
    bvi_backoff b = { 0 };
    bvi_backoff_config c = config(table[_i].policy, 1000, 100, -1);
    bvi_decision d;

    bvi_backoff_start(&b, 0);
    d = bvi_backoff_end(&b, &c, &no_restarts, table[_i].succeeded, 10, 0, 0);
    ck_assert_int_eq(d.verdict, table[_i].verdict);
    ck_assert_int_eq(d.report, table[_i].report);
}
END_TEST

/* The trace of babel.md 15: run, 100, run, 200, run, 400, run, Finished. */
START_TEST(waits_double_until_the_limit)
{
    static const uint64_t waits[] = { 100, 200, 400 };
    bvi_backoff b = { 0 };
    bvi_backoff_config c = config(BVI_RESTART_ON_FAILURE, 1000, 100, 3);
    int64_t now = 5;
    bvi_decision d;

    for (size_t i = 0; i < 3; i++) {
        bvi_backoff_start(&b, now);
        d = bvi_backoff_end(&b, &c, &no_restarts, false, now, 0, 0);
        ck_assert_int_eq(d.verdict, BVI_VERDICT_RESTART);
        ck_assert_uint_eq(d.wait_ms, waits[i]);
        now += (int64_t)d.wait_ms;
    }
    bvi_backoff_start(&b, now);
    d = bvi_backoff_end(&b, &c, &no_restarts, false, now, 0, 0);
    ck_assert_int_eq(d.verdict, BVI_VERDICT_FAILED);
    ck_assert(d.limit);
}
END_TEST

START_TEST(a_long_run_starts_over)
{
    bvi_backoff b = { .counter = 3 };
    bvi_backoff_config c = config(BVI_RESTART_ON_FAILURE, 1000, 100, 3);
    bvi_decision d;

    bvi_backoff_start(&b, 0);
    d = bvi_backoff_end(&b, &c, &no_restarts, false, 1000, 0, 0); /* not longer: the limit counts */
    ck_assert_int_eq(d.verdict, BVI_VERDICT_FAILED);
    bvi_backoff_start(&b, 0);
    d = bvi_backoff_end(&b, &c, &no_restarts, false, 1001, 0, 0);
    ck_assert_int_eq(d.verdict, BVI_VERDICT_RESTART);
    ck_assert_uint_eq(d.wait_ms, 0);
    ck_assert_uint_eq(b.counter, 0);
}
END_TEST

START_TEST(waits_have_a_ceiling_and_never_wrap)
{
    bvi_backoff b = { 0 };
    bvi_backoff_config c = config(BVI_RESTART_ALWAYS, UINT64_MAX, 1000, -1);
    uint64_t last = 0;

    for (int i = 0; i < 200; i++) {
        bvi_decision d = bvi_backoff_end(&b, &c, &no_restarts, false, 10, 0, 0);

        ck_assert_uint_ge(d.wait_ms, last);
        ck_assert_uint_le(d.wait_ms, BVI_BACKOFF_MAX_MS);
        last = d.wait_ms;
    }
    ck_assert_uint_eq(last, BVI_BACKOFF_MAX_MS);
    b.counter = UINT64_MAX;
    ck_assert_uint_eq(bvi_backoff_end(&b, &c, &no_restarts, false, 10, 0, 0).wait_ms,
                      BVI_BACKOFF_MAX_MS);
    ck_assert_uint_eq(b.counter, UINT64_MAX);
    c.backoff_base_ms = UINT64_MAX;
    ck_assert_uint_eq(bvi_backoff_end(&b, &c, &no_restarts, false, 10, 0, 0).wait_ms,
                      BVI_BACKOFF_MAX_MS);
    c.backoff_base_ms = 0;
    ck_assert_uint_eq(bvi_backoff_end(&b, &c, &no_restarts, false, 10, 0, 0).wait_ms, 0);
}
END_TEST

START_TEST(jitter_stays_within_its_share)
{
    bvi_backoff_config c = config(BVI_RESTART_ALWAYS, UINT64_MAX, 1000, -1);
    bool spread = false;

    for (uint32_t random = 0; random < 1000; random++) {
        bvi_backoff b = { 0 };
        uint64_t wait = bvi_backoff_end(&b, &c, &no_restarts, false, 10, 0, random).wait_ms;

        ck_assert_uint_ge(wait, 1000);
        ck_assert_uint_le(wait, 1000 + 1000 * BVI_BACKOFF_JITTER_PERCENT / 100);
        spread = spread || wait != 1000;
    }
    ck_assert(spread);
}
END_TEST

/* Weakness 3: a service that dies every 61 s. */
START_TEST(a_crash_loop_is_seen_and_slowed)
{
    bvi_backoff b = { 0 };
    bvi_backoff_config c = config(BVI_RESTART_ALWAYS, 60000, 1000, -1);
    bvi_restarts restarts = { 0 };
    int64_t now = 0;
    bvi_decision d = { 0 };
    unsigned n = 0;

    do {
        bvi_backoff_start(&b, now);
        now += 61000;
        d = bvi_backoff_end(&b, &c, &restarts, false, now, 20 * HOUR_MS + now, 0);
        bvi_restarts_add(&restarts, 20 * HOUR_MS + now);
    } while (!d.looping && ++n < 100);
    ck_assert_uint_eq(n, BVI_BACKOFF_LOOP_RESTARTS);
    ck_assert_uint_ge(d.wait_ms, BVI_BACKOFF_LOOP_WAIT_MS);
}
END_TEST

START_TEST(restarts_of_a_day_are_counted)
{
    bvi_restarts r = { 0 };
    int64_t start = 500000 * HOUR_MS;

    for (int hour = 0; hour < 100; hour++)
        bvi_restarts_add(&r, start + hour * HOUR_MS);
    ck_assert_uint_eq(bvi_restarts_count(&r, start + 99 * HOUR_MS, 24), 24);
    ck_assert_uint_eq(bvi_restarts_count(&r, start + 99 * HOUR_MS, 1), 1);
    ck_assert_uint_eq(bvi_restarts_count(&r, start + 130 * HOUR_MS, 24), 0);
    bvi_restarts_add(&r, -5);
    ck_assert_uint_eq(bvi_restarts_count(&r, start, 24), 0); /* the clock went back */
}
END_TEST

BVT_MAIN("job/backoff", bvt_loop(policies, table), bvt_test(waits_double_until_the_limit),
         bvt_test(a_long_run_starts_over), bvt_test(waits_have_a_ceiling_and_never_wrap),
         bvt_test(jitter_stays_within_its_share), bvt_test(a_crash_loop_is_seen_and_slowed),
         bvt_test(restarts_of_a_day_are_counted))
