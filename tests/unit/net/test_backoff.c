/* Retries: the waits of a policy, giving up, what a peer asked for, and extremes. */
#include "bvt.h"
#include "net/backoff.h"

static const struct {
    bvi_retry_policy policy;
    int64_t at_least_ms;
    int64_t waits[8]; /* -1: gives up */
} cases[] = {
    { { .first_ms = 500, .factor_percent = 200, .ceiling_ms = 3000, .give_up = 6 },
      0,
      { 500, 1000, 2000, 3000, 3000, -1 } },
    { { .first_ms = 100, .factor_percent = 150 }, 0, { 100, 150, 225, 337, 505, 757, 1135, 1702 } },
    { { .first_ms = 100, .factor_percent = 0 },
      0,
      { 100, 100, 100, 100, 100, 100, 100, 100 } }, /* never shrinks */
    { { .first_ms = 100, .factor_percent = 200, .ceiling_ms = 50 },
      0,
      { 50, 50, 50, 50, 50, 50, 50, 50 } },
    { { .first_ms = 100, .factor_percent = 200, .ceiling_ms = 400 },
      250,
      { 250, 250, 400, 400, 400, 400, 400, 400 } },
    { { .first_ms = 100, .factor_percent = 200, .ceiling_ms = 400 },
      9000,
      { 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000 } },
    { { .first_ms = 1, .factor_percent = 200, .give_up = 1 }, 0, { -1 } },
    { { 0 }, 0, { 0, 0, 0, 0, 0, 0, 0, 0 } },
};

START_TEST(waits)
{
    bvi_retry retry;

    for (int again = 0; again < 2; again++) {
        if (again)
            bvi_retry_reset(&retry);
        else
            bvi_retry_init(&retry, &cases[_i].policy);
        for (size_t i = 0; i < 8; i++) {
            int64_t delay_ms = -1;
            bool go_on = bvi_retry_next(&retry, NULL, cases[_i].at_least_ms, &delay_ms);

            ck_assert_int_eq(delay_ms, cases[_i].waits[i]);
            ck_assert(go_on == (delay_ms >= 0));
            if (!go_on)
                break;
        }
    }
}
END_TEST

START_TEST(saturates)
{
    static const bvi_retry_policy steep = { .first_ms = UINT32_MAX, .factor_percent = UINT32_MAX };
    int64_t delay_ms = 0, before = 0;
    bvi_retry retry;

    bvi_retry_init(&retry, &steep);
    for (int i = 0; i < 100; i++) {
        ck_assert(bvi_retry_next(&retry, NULL, 0, &delay_ms));
        ck_assert_int_ge(delay_ms, before);
        before = delay_ms;
    }
    retry.failures = UINT32_MAX;
    ck_assert(bvi_retry_next(&retry, NULL, INT64_MAX, &delay_ms));
    ck_assert_int_eq(delay_ms, INT64_MAX);
}
END_TEST

static void count_retry(bvi_timer *timer, void *data)
{
    ++*(unsigned *)data;
}

/* As its users do it: the wait on a timer, under a clock the test turns. */
START_TEST(jitter_on_a_timer)
{
    static const bvi_retry_policy policy = {
        .first_ms = 1000, .factor_percent = 200, .ceiling_ms = 8000, .jitter_percent = 25
    };
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bvi_timer *timer = NULL;
    bvt_clock clock;
    bv_ctx *ctx = NULL;
    bvi_retry retry;
    unsigned retries = 0;
    int64_t base_ms = 1000;

    bvt_clock_init(&clock);
    opts.clock = &clock.clock;
    ck_assert_int_eq(bv_ctx_new(&opts, &ctx, NULL), 0);
    ck_assert_int_eq(bvi_timer_new(ctx, count_retry, &retries, &timer, NULL), 0);
    bvi_retry_init(&retry, &policy);
    for (unsigned i = 0; i < 6; i++) {
        int64_t delay_ms = 0;

        ck_assert(bvi_retry_next(&retry, ctx, 0, &delay_ms));
        ck_assert_int_ge(delay_ms, base_ms);
        ck_assert_int_le(delay_ms, base_ms + base_ms / 4);
        ck_assert_int_eq(bvi_timer_set(timer, delay_ms * 1000, NULL), 0);
        bvt_clock_advance(&clock, delay_ms * 1000 - 1);
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 0), 0);
        ck_assert_uint_eq(retries, i);
        bvt_clock_advance(&clock, 1);
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 0), 0);
        ck_assert_uint_eq(retries, i + 1);
        base_ms = base_ms * 2 > 8000 ? 8000 : base_ms * 2;
    }
    bvi_timer_free(timer);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(what_is_worth_repeating)
{
    static const int codes[] = { BV_E_AGAIN, BV_E_BUSY, BV_E_TIMEOUT, BV_E_REMOTE };

    for (int code = BV_E_LIMIT; code <= BV_OK; code++) {
        bool worth = false;

        for (size_t i = 0; i < 4; i++)
            worth = worth || codes[i] == code;
        ck_assert(bvi_retry_is_worth(code) == worth);
    }
}
END_TEST

BVT_MAIN("net/backoff", bvt_loop(waits, cases), bvt_test(saturates), bvt_test(jitter_on_a_timer),
         bvt_test(what_is_worth_repeating))
