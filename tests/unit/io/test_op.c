/* Operations: exactly one completion, from dispatch, whoever cancels whenever. */
#include <pthread.h>

#include "drive.h"
#include "io/op.h"

typedef struct deed {
    bv_op *op; /* the maker's */
    bv_ctx *ctx;
    unsigned finishes;
    unsigned cancels;
    int code;
    bool finished;
    bool complete_on_cancel;
    bv_op *cancel_too; /* cancelled by the finish callback */
    bool free_on_finish;
} deed;

static void deed_cancel(bv_op *op, void *data)
{
    deed *d = data;
    bv_error *err = NULL;

    ck_assert_ptr_eq(op, d->op);
    ck_assert(bvi_op_is_cancelled(op));
    d->cancels++;
    if (d->complete_on_cancel) {
        (void)bvi_fail(&err, BV_E_CANCELLED, "stopped on request");
        bvi_op_complete(op, err);
        ck_assert_uint_eq(d->finishes, 0); /* not from inside complete */
    }
}

static void deed_finish(bv_op *op, const bv_error *err, void *data)
{
    deed *d = data;

    ck_assert_int_eq(bv_op_is_done(op), 1);
    d->finishes++;
    d->code = bv_error_code(err);
    d->finished = true;
    if (d->cancel_too)
        bv_op_cancel(d->cancel_too);
    bv_op_cancel(op); /* cancelling what is done does nothing */
}

static const bvi_op_vtable deed_vtable = { .name = "deed",
                                           .cancel = deed_cancel,
                                           .finish = deed_finish };
static const bvi_op_vtable stubborn_vtable = { .name = "stubborn", .finish = deed_finish };

static bv_op *deed_start(deed *d, bv_ctx *ctx, const bvi_op_vtable *vtable)
{
    bv_error *err = NULL;

    *d = (deed){ .ctx = ctx, .complete_on_cancel = true };
    bvt_assert_ok(bvi_op_new(ctx, vtable, d, &d->op, &err), err);
    ck_assert_ptr_eq(bvi_op_data(d->op), d);
    return bv_op_ref(d->op);
}

START_TEST(completes_once_from_dispatch)
{
    bv_error *err = NULL;
    deed a, b;
    bv_op *user_a, *user_b;
    drive d;

    drive_open(&d, _i, 0, true);
    user_a = deed_start(&a, d.ctx, &deed_vtable);
    user_b = deed_start(&b, d.ctx, &deed_vtable);
    bvi_op_complete(a.op, NULL);
    (void)bvi_fail(&err, BV_E_CHECKSUM, "damaged");
    bvi_op_complete(b.op, err);
    ck_assert_uint_eq(a.finishes, 0);
    ck_assert_int_eq(bv_op_is_done(user_a), 0);
    bv_op_unref(user_b);  /* before the completion */
    bv_op_cancel(user_a); /* after completing: too late */
    drive_settle(&d);
    ck_assert_uint_eq(a.finishes, 1);
    ck_assert_uint_eq(b.finishes, 1);
    ck_assert_int_eq(a.code, BV_OK);
    ck_assert_int_eq(b.code, BV_E_CHECKSUM);
    ck_assert_uint_eq(a.cancels, 0);
    ck_assert_int_eq(bv_op_is_done(user_a), 1);
    drive_close(&d);
    bv_op_cancel(user_a);
    ck_assert_int_eq(bv_op_is_done(user_a), 1); /* a handle outlives the context */
    bv_op_unref(user_a);
}
END_TEST

START_TEST(cancelled)
{
    deed a;
    bv_op *user;
    drive d;

    drive_open(&d, _i, 0, true);
    user = deed_start(&a, d.ctx, &deed_vtable);
    bv_op_cancel(user);
    bv_op_cancel(user);
    ck_assert_uint_eq(a.cancels, 0); /* the maker hears of it from dispatch */
    drive_settle(&d);
    ck_assert_uint_eq(a.cancels, 1);
    ck_assert_uint_eq(a.finishes, 1);
    ck_assert_int_eq(a.code, BV_E_CANCELLED);
    bv_op_unref(user);
    drive_close(&d);
}
END_TEST

START_TEST(cancelled_by_a_neighbours_callback)
{
    deed a, b;
    bv_op *user_a, *user_b;
    drive d;

    drive_open(&d, _i, 0, true);
    user_a = deed_start(&a, d.ctx, &deed_vtable);
    user_b = deed_start(&b, d.ctx, &deed_vtable);
    a.cancel_too = user_b;
    bvi_op_complete(a.op, NULL);
    drive_settle(&d);
    ck_assert_uint_eq(b.finishes, 1);
    ck_assert_int_eq(b.code, BV_E_CANCELLED);
    bv_op_unref(user_a);
    bv_op_unref(user_b);
    drive_close(&d);
}
END_TEST

START_TEST(what_cannot_be_cancelled_runs_to_its_end)
{
    deed a;
    bv_op *user;
    drive d;

    drive_open(&d, _i, 0, true);
    user = deed_start(&a, d.ctx, &stubborn_vtable);
    bv_op_cancel(user);
    drive_settle(&d);
    ck_assert_uint_eq(a.finishes, 0);
    ck_assert(bvi_op_is_cancelled(user));
    bvi_op_complete(a.op, NULL);
    drive_settle(&d);
    ck_assert_int_eq(a.code, BV_OK);
    bv_op_unref(user);
    drive_close(&d);
}
END_TEST

START_TEST(context_freed_with_operations_left)
{
    deed willing, unwilling, stubborn, complete;
    bv_op *users[4];
    drive d;

    drive_open(&d, _i, 0, true);
    users[0] = deed_start(&willing, d.ctx, &deed_vtable);
    users[1] = deed_start(&unwilling, d.ctx, &deed_vtable);
    unwilling.complete_on_cancel = false;
    users[2] = deed_start(&stubborn, d.ctx, &stubborn_vtable);
    users[3] = deed_start(&complete, d.ctx, &deed_vtable);
    bvi_op_complete(complete.op, NULL);
    drive_close(&d);
    ck_assert_int_eq(willing.code, BV_E_CANCELLED);
    ck_assert_int_eq(unwilling.code, BV_E_CANCELLED);
    ck_assert_int_eq(stubborn.code, BV_E_CANCELLED);
    ck_assert_int_eq(complete.code, BV_OK);
    ck_assert_uint_eq(willing.finishes + unwilling.finishes + stubborn.finishes + complete.finishes,
                      4);
    for (int i = 0; i < 4; i++) {
        bv_op_cancel(users[i]);
        bv_op_unref(users[i]);
    }
}
END_TEST

static void *cancel_in_thread(void *data)
{
    bv_op *op = data;

    bv_op_cancel(op);
    bv_op_unref(op);
    return NULL;
}

START_TEST(cancelled_by_another_thread)
{
    deed a;
    bv_op *user;
    pthread_t thread;
    drive d;

    drive_open(&d, _i, 0, false);
    user = deed_start(&a, d.ctx, &deed_vtable);
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_in_thread, user), 0);
    drive_until(&d, &a.finished);
    pthread_join(thread, NULL);
    ck_assert_int_eq(a.code, BV_E_CANCELLED);
    ck_assert_uint_eq(a.finishes, 1);
    drive_close(&d);
}
END_TEST

START_TEST(cancelled_by_another_thread_while_the_context_goes)
{
    deed a;
    pthread_t thread;
    drive d;

    drive_open(&d, DRIVE_OWN, 0, false);
    ck_assert_int_eq(
        pthread_create(&thread, NULL, cancel_in_thread, deed_start(&a, d.ctx, &deed_vtable)), 0);
    drive_close(&d);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(a.finishes, 1);
}
END_TEST

static void on_progress(bv_op *op, const bv_progress *progress, void *data)
{
    unsigned *reports = data;

    ck_assert_uint_eq(progress->size, sizeof(*progress));
    ck_assert_str_eq(progress->phase, "transfer");
    (*reports)++;
}

struct reporter {
    bv_op *op;
    uint64_t done;
};

static void report_ten(void *data)
{
    struct reporter *r = data;
    bv_progress p = { .phase = "transfer", .total = 1000, .unit = "chunks", .eta_ms = -1 };

    for (int i = 0; i < 10; i++) {
        p.done = r->done++;
        bvi_op_report(r->op, &p);
    }
}

START_TEST(progress_ten_times_a_second)
{
    unsigned reports = 0;
    struct reporter r = { 0 };
    bvi_task task;
    deed a;
    bv_op *user;
    drive d;

    drive_open(&d, DRIVE_OWN, 0, true);
    user = deed_start(&a, d.ctx, &deed_vtable);
    r.op = a.op;
    bv_op_on_progress(user, on_progress, &reports);
    report_ten(&r); /* outside dispatch: dropped */
    ck_assert_uint_eq(reports, 0);
    bvi_task_init(&task, d.ctx, report_ten, &r);
    for (int i = 0; i < 20; i++) { /* 200 reports in 1 s */
        bvi_task_post(&task);
        drive_advance(&d, 50000);
    }
    ck_assert_uint_ge(reports, 9);
    ck_assert_uint_le(reports, 11);
    bv_op_on_progress(user, NULL, NULL);
    bvi_task_post(&task);
    drive_advance(&d, 1000000);
    ck_assert_uint_le(reports, 11);
    bvi_op_complete(a.op, NULL);
    drive_settle(&d);
    bv_op_unref(user);
    drive_close(&d);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    deed a;

    bvt_for_each_failed_allocation(n) {
        bv_ctx *ctx = NULL;
        bv_op *op = NULL;
        int r = bv_ctx_new(NULL, &ctx, NULL);

        memset(&a, 0, sizeof(a));
        if (r == 0)
            r = bvi_op_new(ctx, &deed_vtable, &a, &op, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        if (op) {
            bvi_op_complete(op, NULL); /* never needs memory */
            ck_assert_int_gt(bv_ctx_dispatch(ctx, 0), 0);
            ck_assert_uint_eq(a.finishes, 1);
        }
        bv_ctx_free(ctx);
    }
}
END_TEST

BVT_MAIN("io/op", bvt_times(completes_once_from_dispatch, DRIVE_COUNT),
         bvt_times(cancelled, DRIVE_COUNT),
         bvt_times(cancelled_by_a_neighbours_callback, DRIVE_COUNT),
         bvt_times(what_cannot_be_cancelled_runs_to_its_end, DRIVE_COUNT),
         bvt_times(context_freed_with_operations_left, DRIVE_COUNT),
         bvt_times(cancelled_by_another_thread, DRIVE_COUNT),
         bvt_times(cancelled_by_another_thread_while_the_context_goes, 20),
         bvt_test(progress_ten_times_a_second), bvt_test(survives_every_failed_allocation))
