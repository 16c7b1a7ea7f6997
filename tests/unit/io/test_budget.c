/* What transfers share: claims in their order, bandwidth in turns. */
#include "drive.h"
#include "io/budget.h"

#define MIB (1ull << 20)

typedef struct user {
    bvi_claim claim;
    unsigned granted;
} user;

static void on_granted(void *data)
{
    user *u = data;

    ck_assert(u->claim.granted);
    u->granted++;
}

static int ask(user *u, drive *d, bvi_amounts amounts)
{
    bv_error *err = NULL;
    int r;

    *u = (user){ 0 };
    bvi_claim_init(&u->claim, d->ctx, on_granted, u);
    r = bvi_claim_ask(&u->claim, &amounts, "a test", &err);
    ck_assert_ptr_null(err);
    return r;
}

static void set_limits(drive *d, uint64_t memory_mib, uint64_t connections, uint64_t files)
{
    bv_error *err = NULL;
    bvi_limits limits = { .of = { memory_mib * MIB, connections, files } };

    bvt_assert_ok(bvi_budget_set(d->ctx, &limits, &err), err);
}

START_TEST(claims_are_granted_in_their_order)
{
    drive d;
    user a, b, c;

    drive_open(&d, _i, 0, true);
    set_limits(&d, 10, 0, 0);
    ck_assert_int_eq(ask(&a, &d, (bvi_amounts){ .memory = 6 * MIB }), 1);
    ck_assert_int_eq(ask(&b, &d, (bvi_amounts){ .memory = 6 * MIB }), 0);
    ck_assert_int_eq(ask(&c, &d, (bvi_amounts){ .memory = MIB }),
                     0); /* would fit, but b was first */
    ck_assert_uint_eq(bvi_budget_now(d.ctx).waiting, 2);
    drive_settle(&d);
    ck_assert_uint_eq(a.granted + b.granted + c.granted, 0);
    bvi_claim_release(&a.claim);
    ck_assert_uint_eq(b.granted, 0); /* never from inside a call */
    drive_settle(&d);
    ck_assert_uint_eq(b.granted, 1);
    ck_assert_uint_eq(c.granted, 1);
    ck_assert_uint_eq(bvi_budget_now(d.ctx).out[BVI_RESOURCE_MEMORY], 7 * MIB);
    bvi_claim_release(&b.claim);
    bvi_claim_release(&b.claim);
    bvi_claim_release(&c.claim);
    ck_assert_uint_eq(bvi_budget_now(d.ctx).out[BVI_RESOURCE_MEMORY], 0);
    drive_close(&d);
}
END_TEST

START_TEST(other_resources_are_not_held_back)
{
    drive d;
    user a, b, c, e;

    drive_open(&d, _i, 0, true);
    set_limits(&d, 10, 2, 4);
    ck_assert_int_eq(ask(&a, &d, (bvi_amounts){ .memory = 10 * MIB, .files = 2 }), 1);
    ck_assert_int_eq(ask(&b, &d, (bvi_amounts){ .memory = MIB, .files = 2 }), 0);
    ck_assert_int_eq(ask(&c, &d, (bvi_amounts){ .connections = 1 }), 1);
    ck_assert_int_eq(ask(&e, &d, (bvi_amounts){ .files = 1 }), 0); /* b waits for files too */
    bvi_claim_release(&b.claim);                                   /* it waits no longer */
    drive_settle(&d);
    ck_assert_uint_eq(b.granted, 0);
    ck_assert_uint_eq(e.granted, 1);
    bvi_claim_release(&a.claim);
    bvi_claim_release(&c.claim);
    bvi_claim_release(&e.claim);
    drive_close(&d);
}
END_TEST

START_TEST(more_than_the_whole_names_the_setting)
{
    drive d;
    user a = { 0 };
    bv_error *err = NULL;
    int r;

    drive_open(&d, _i, 0, true);
    set_limits(&d, 64, 0, 0);
    bvi_claim_init(&a.claim, d.ctx, on_granted, &a);
    r = bvi_claim_ask(&a.claim, &(bvi_amounts){ .memory = 65 * MIB }, "unpacking", &err);
    ck_assert_int_eq(r, BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "unpacking needs 65 MiB of memory");
    bvt_assert_error_says(err, BV_E_INVALID, "may have 64; raise memory_mib");
    bv_error_free(err);
    bvi_claim_release(&a.claim);
    drive_close(&d);
}
END_TEST

START_TEST(lowered_limits_wait_and_raised_ones_grant)
{
    drive d;
    user a, b, c;

    drive_open(&d, _i, 0, true);
    set_limits(&d, 0, 3, 0);
    ck_assert_int_eq(ask(&a, &d, (bvi_amounts){ .connections = 2 }), 1);
    ck_assert_int_eq(ask(&b, &d, (bvi_amounts){ .connections = 2 }), 0);
    set_limits(&d, 0, 1, 0);
    ck_assert_int_eq(ask(&c, &d, (bvi_amounts){ .connections = 1 }), 0);
    drive_settle(&d);
    ck_assert_uint_eq(b.granted, 0);
    bvi_claim_release(&a.claim); /* b is larger than the whole now, but it was asked before */
    drive_settle(&d);
    ck_assert_uint_eq(b.granted, 1);
    ck_assert_uint_eq(c.granted, 0);
    set_limits(&d, 0, 3, 0);
    drive_settle(&d);
    ck_assert_uint_eq(c.granted, 1);
    bvi_claim_release(&b.claim);
    bvi_claim_release(&c.claim);
    drive_close(&d);
}
END_TEST

START_TEST(a_claim_may_shrink_or_be_tried)
{
    drive d;
    user a, b;
    bvi_claim extra = { 0 };

    drive_open(&d, _i, 0, true);
    set_limits(&d, 10, 0, 0);
    bvi_claim_release(&extra); /* nothing yet */
    bvi_claim_init(&extra, d.ctx, NULL, NULL);
    ck_assert_int_eq(ask(&a, &d, (bvi_amounts){ .memory = 8 * MIB }), 1);
    ck_assert(!bvi_claim_try(&extra, &(bvi_amounts){ .memory = 3 * MIB }));
    ck_assert(bvi_claim_try(&extra, &(bvi_amounts){ .memory = 2 * MIB }));
    ck_assert_int_eq(ask(&b, &d, (bvi_amounts){ .memory = 4 * MIB }), 0);
    bvi_claim_shrink(&a.claim, BVI_RESOURCE_MEMORY, 2 * MIB);
    drive_settle(&d);
    ck_assert_uint_eq(b.granted, 1);
    bvi_claim_release(&extra);
    ck_assert_int_eq(ask(&a, &d, (bvi_amounts){ .memory = MIB }), 1);
    bvi_claim_release(&a.claim);
    bvi_claim_release(&b.claim);
    drive_close(&d);
}
END_TEST

START_TEST(a_grant_may_be_given_back_before_it_is_told)
{
    drive d;
    user a, b;

    drive_open(&d, _i, 0, true);
    set_limits(&d, 1, 0, 0);
    ck_assert_int_eq(ask(&a, &d, (bvi_amounts){ .memory = MIB }), 1);
    ck_assert_int_eq(ask(&b, &d, (bvi_amounts){ .memory = MIB }), 0);
    bvi_claim_release(&a.claim);
    bvi_claim_release(&b.claim);
    drive_settle(&d);
    ck_assert_uint_eq(b.granted, 0);
    ck_assert_uint_eq(bvi_budget_now(d.ctx).out[BVI_RESOURCE_MEMORY], 0);
    drive_close(&d);
}
END_TEST

/* ---- bandwidth ---- */

/* Moves slices as often as it may. */
typedef struct mover {
    bvi_turn turn;
    uint64_t moved;
    uint64_t slice;
} mover;

static void move(void *data)
{
    mover *m = data;

    for (unsigned i = 0; i < 1000 && bvi_turn_ready(&m->turn); i++) {
        bvi_turn_used(&m->turn, m->slice);
        m->moved += m->slice;
    }
}

static void set_rate(drive *d, uint64_t down, uint64_t up)
{
    bv_error *err = NULL;
    bvi_limits limits = { .bytes_per_s = { down, up } };

    bvt_assert_ok(bvi_budget_set(d->ctx, &limits, &err), err);
}

static uint64_t run_movers(drive *d, mover *movers, size_t count, unsigned seconds)
{
    uint64_t before = bvi_budget_now(d->ctx).moved[BVI_DOWN];

    for (unsigned ms = 0; ms < seconds * 1000; ms++)
        drive_advance(d, 1000);
    for (size_t i = 0; i < count; i++)
        ck_assert(!bvi_turn_ready(&movers[i].turn));
    return (bvi_budget_now(d->ctx).moved[BVI_DOWN] - before) / seconds;
}

#define assert_near(value, goal)                                                                   \
    do {                                                                                           \
        ck_assert_uint_ge((value)*100, (goal)*95);                                                 \
        ck_assert_uint_le((value)*100, (goal)*105);                                                \
    } while (0)

static const uint64_t rates[] = { 100000, 3 * MIB + 1, 200 * MIB };

START_TEST(movers_together_keep_the_rate_and_share_it_evenly)
{
    mover movers[7];
    uint64_t rate = rates[_i];
    drive d;

    drive_open(&d, DRIVE_OWN, 0, true);
    set_rate(&d, rate, 0);
    for (size_t i = 0; i < 7; i++) {
        movers[i] = (mover){ .slice = 1000 + 2500 * i }; /* uneven slices get even shares */
        bvi_turn_init(&movers[i].turn, d.ctx, BVI_DOWN, move, &movers[i]);
        move(&movers[i]);
    }
    assert_near(run_movers(&d, movers, 7, 20), rate);
    for (size_t i = 0; i < 7; i++)
        ck_assert_uint_ge(movers[i].moved * 100, movers[0].moved * 80);
    set_rate(&d, rate / 4, 0);
    drive_advance(&d, 1000000);
    assert_near(run_movers(&d, movers, 7, 20), rate / 4);
    for (size_t i = 0; i < 7; i++)
        bvi_turn_done(&movers[i].turn);
    ck_assert_uint_eq(bvi_budget_now(d.ctx).waiting_for[BVI_DOWN], 0);
    drive_close(&d);
}
END_TEST

static void count_call(void *data)
{
    ++*(unsigned *)data;
}

START_TEST(without_a_limit_nobody_waits)
{
    unsigned calls = 0;
    bvi_turn turn;
    drive d;

    drive_open(&d, _i, 0, true);
    bvi_turn_init(&turn, d.ctx, BVI_UP, count_call, &calls);
    for (unsigned i = 0; i < 100; i++) {
        ck_assert(bvi_turn_ready(&turn));
        bvi_turn_used(&turn, 100 * MIB);
    }
    set_rate(&d, 0, 1000); /* from now on: the bucket is empty, one quantum may go ahead */
    bvi_turn_used(&turn, 100 * MIB);
    ck_assert(!bvi_turn_ready(&turn));
    drive_advance(&d, 1000000);
    ck_assert_uint_eq(calls, 0);
    ck_assert_uint_eq(bvi_budget_now(d.ctx).waiting_for[BVI_UP], 1);
    set_rate(&d, 0, 0); /* whoever waits may go on */
    drive_settle(&d);
    ck_assert_uint_eq(calls, 1);
    ck_assert(bvi_turn_ready(&turn));
    bvi_turn_done(&turn);
    drive_close(&d);
}
END_TEST

START_TEST(without_memory_nothing_changes)
{
    const bvi_limits limits = { .of[BVI_RESOURCE_FILES] = 5, .bytes_per_s = { 10, 20 } };

    bvt_for_each_failed_allocation(n) {
        bv_ctx_opts opts = BV_CTX_OPTS_INIT;
        bv_ctx *ctx = NULL;

        if (bv_ctx_new(&opts, &ctx, NULL) == 0) {
            int r = bvi_budget_set(ctx, &limits, NULL);
            bvi_limits now = bvi_budget_limits(ctx);

            ck_assert(r == 0 || r == BV_E_NOMEM);
            ck_assert_uint_eq(now.of[BVI_RESOURCE_FILES], r == 0 ? 5 : BVI_BUDGET_FILES_DEFAULT);
            ck_assert_uint_eq(now.bytes_per_s[BVI_UP], r == 0 ? 20 : 0);
        }
        bv_ctx_free(ctx);
    }
}
END_TEST

BVT_MAIN("io/budget", bvt_times(claims_are_granted_in_their_order, DRIVE_COUNT),
         bvt_times(other_resources_are_not_held_back, DRIVE_COUNT),
         bvt_times(more_than_the_whole_names_the_setting, DRIVE_COUNT),
         bvt_times(lowered_limits_wait_and_raised_ones_grant, DRIVE_COUNT),
         bvt_times(a_claim_may_shrink_or_be_tried, DRIVE_COUNT),
         bvt_times(a_grant_may_be_given_back_before_it_is_told, DRIVE_COUNT),
         bvt_loop(movers_together_keep_the_rate_and_share_it_evenly, rates),
         bvt_times(without_a_limit_nobody_waits, DRIVE_COUNT),
         bvt_test(without_memory_nothing_changes))
