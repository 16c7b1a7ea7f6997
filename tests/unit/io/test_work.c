/* Blocking work: with no, one and several threads; cancelled, repeated, and left over at the end.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "drive.h"
#include "io/work.h"

static const uint32_t worker_counts[] = { 0, 1, 4 };

typedef struct chore {
    bvi_work work;
    int input;
    int output;
    unsigned runs; /* written by the worker, read after done */
    unsigned dones;
    unsigned cancels;
    unsigned repeat;
    bool finished;
    sem_t *begun; /* the worker says it is running ... */
    sem_t *gate;  /* ... and waits here */
    unsigned *left;
    bool *all_done;
} chore;

static void run_chore(void *data)
{
    chore *c = data;

    if (c->begun)
        sem_post(c->begun);
    if (c->gate)
        sem_wait(c->gate);
    c->output = c->input * c->input;
    c->runs++;
}

static void chore_done(void *data, bool cancelled)
{
    chore *c = data;

    ck_assert(!bvi_work_is_pending(&c->work));
    c->dones++;
    c->cancels += cancelled;
    if (c->repeat) {
        c->repeat--;
        bvi_work_submit(&c->work);
        return;
    }
    c->finished = true;
    if (c->left && --*c->left == 0)
        *c->all_done = true;
}

static void chore_init(chore *c, bv_ctx *ctx, int input)
{
    memset(c, 0, sizeof(*c));
    c->input = input;
    bvi_work_init(&c->work, ctx, run_chore, chore_done, c);
}

START_TEST(runs_and_reports)
{
    chore c;
    drive d;

    for (int mode = 0; mode < DRIVE_COUNT; mode++) {
        drive_open(&d, mode, worker_counts[_i], false);
        ck_assert_uint_eq(bvi_ctx_workers(d.ctx), worker_counts[_i]);
        chore_init(&c, d.ctx, 7);
        ck_assert(!bvi_work_is_pending(&c.work));
        bvi_work_submit(&c.work);
        ck_assert(bvi_work_is_pending(&c.work));
        ck_assert_uint_eq(c.dones, 0); /* never from inside submit */
        drive_until(&d, &c.finished);
        ck_assert_int_eq(c.output, 49);
        ck_assert_uint_eq(c.dones, 1);
        ck_assert_uint_eq(c.cancels, 0);
        drive_close(&d);
    }
}
END_TEST

START_TEST(inline_work_waits_for_dispatch)
{
    chore c;
    drive d;

    drive_open(&d, _i, 0, true);
    chore_init(&c, d.ctx, 3);
    bvi_work_submit(&c.work);
    ck_assert_uint_eq(c.runs, 0);
    drive_settle(&d);
    ck_assert_uint_eq(c.runs, 1);
    ck_assert_uint_eq(c.dones, 1);
    drive_close(&d);
}
END_TEST

#define MANY 2000

START_TEST(many_items)
{
    static chore many[MANY];
    unsigned left = MANY;
    bool all_done = false;
    drive d;

    drive_open(&d, DRIVE_OWN, worker_counts[_i], false);
    for (int i = 0; i < MANY; i++) {
        chore_init(&many[i], d.ctx, i);
        many[i].left = &left;
        many[i].all_done = &all_done;
        many[i].repeat = i % 3 == 0 ? 2 : 0;
        bvi_work_submit(&many[i].work);
    }
    drive_until(&d, &all_done);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(many[i].output, i * i);
        ck_assert_uint_eq(many[i].dones, i % 3 == 0 ? 3 : 1);
    }
    drive_close(&d);
}
END_TEST

START_TEST(cancel_before_and_after_the_begin)
{
    sem_t begun, gate;
    chore first, second;
    drive d;

    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    drive_open(&d, DRIVE_OWN, 1, false);
    chore_init(&first, d.ctx, 5);
    first.begun = &begun;
    first.gate = &gate;
    chore_init(&second, d.ctx, 6);
    bvi_work_submit(&first.work);
    bvi_work_submit(&second.work); /* waits: the only thread is busy */
    sem_wait(&begun);
    bvi_work_cancel(&first.work); /* too late */
    bvi_work_cancel(&second.work);
    bvi_work_cancel(&second.work);
    ck_assert_uint_eq(second.dones, 0);
    drive_until(&d, &second.finished);
    ck_assert_uint_eq(second.runs, 0);
    ck_assert_uint_eq(second.cancels, 1);
    ck_assert_uint_eq(first.dones, 0);
    sem_post(&gate);
    drive_until(&d, &first.finished);
    ck_assert_uint_eq(first.runs, 1);
    ck_assert_uint_eq(first.cancels, 0);
    bvi_work_cancel(&first.work); /* nothing to cancel */
    drive_close(&d);
    sem_destroy(&begun);
    sem_destroy(&gate);
}
END_TEST

START_TEST(cancel_inline)
{
    chore c;
    drive d;

    drive_open(&d, _i, 0, true);
    chore_init(&c, d.ctx, 5);
    bvi_work_submit(&c.work);
    bvi_work_cancel(&c.work);
    ck_assert_uint_eq(c.dones, 0);
    drive_settle(&d);
    ck_assert_uint_eq(c.runs, 0);
    ck_assert_uint_eq(c.cancels, 1);
    drive_close(&d);
}
END_TEST

/* done frees the struct the work is embedded in */
static void done_frees(void *data, bool cancelled)
{
    chore *c = data;
    bool *flag = c->all_done;

    free(c);
    *flag = true;
}

START_TEST(freed_inside_done)
{
    chore *c = malloc(sizeof(*c));
    bool flag = false;
    drive d;

    drive_open(&d, DRIVE_OWN, worker_counts[_i], false);
    chore_init(c, d.ctx, 1);
    c->work.done = done_frees;
    c->all_done = &flag;
    bvi_work_submit(&c->work);
    drive_until(&d, &flag);
    drive_close(&d);
}
END_TEST

START_TEST(context_freed_with_work_left)
{
    chore c[20];
    unsigned ran = 0;
    drive d;

    drive_open(&d, DRIVE_OWN, worker_counts[_i], false);
    for (int i = 0; i < 20; i++) {
        chore_init(&c[i], d.ctx, i);
        c[i].repeat = i == 0 ? 3 : 0; /* submits again while the context goes: cancelled at once */
        bvi_work_submit(&c[i].work);
    }
    drive_close(&d);
    for (int i = 0; i < 20; i++) {
        ck_assert_uint_eq(c[i].dones, i == 0 ? 4 : 1);
        ck_assert_uint_eq(c[i].runs + c[i].cancels, c[i].dones);
        ran += c[i].runs;
    }
    if (worker_counts[_i] == 0)
        ck_assert_uint_eq(ran, 0);
}
END_TEST

static atomic_uint caught;

static void on_signal(int sig)
{
    atomic_fetch_add(&caught, 1);
}

static void run_mask(void *data)
{
    chore *c = data;
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    c->output = sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGTERM);
}

START_TEST(signals_stay_with_the_host)
{
    struct sigaction act = { .sa_handler = on_signal };
    sigset_t mask;
    chore c;
    drive d;

    sigaction(SIGUSR1, &act, NULL);
    drive_open(&d, DRIVE_OWN, 1, false);
    chore_init(&c, d.ctx, 0);
    c.work.run = run_mask;
    bvi_work_submit(&c.work);
    drive_until(&d, &c.finished);
    ck_assert_int_eq(c.output, 1);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    ck_assert(!sigismember(&mask, SIGUSR1)); /* ours is as it was */
    drive_close(&d);
}
END_TEST

START_TEST(inline_work_starves_nobody)
{
    static chore many[200];
    bvi_timer *timer = NULL;
    unsigned left = 200;
    bool all_done = false;
    drive d;

    drive_open(&d, DRIVE_OWN, 0, true);
    for (int i = 0; i < 200; i++) {
        chore_init(&many[i], d.ctx, i);
        many[i].left = &left;
        many[i].all_done = &all_done;
        bvi_work_submit(&many[i].work);
    }
    drive_turn(&d);
    ck_assert_uint_gt(left, 190); /* a few a round */
    drive_until(&d, &all_done);
    bvi_timer_free(timer);
    drive_close(&d);
}
END_TEST

BVT_MAIN("io/work", bvt_loop(runs_and_reports, worker_counts),
         bvt_times(inline_work_waits_for_dispatch, DRIVE_COUNT),
         bvt_loop(many_items, worker_counts), bvt_test(cancel_before_and_after_the_begin),
         bvt_times(cancel_inline, DRIVE_COUNT), bvt_loop(freed_inside_done, worker_counts),
         bvt_loop(context_freed_with_work_left, worker_counts),
         bvt_test(signals_stay_with_the_host), bvt_test(inline_work_starves_nobody))
