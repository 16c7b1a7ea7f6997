/* Deferred calls: order, rounds, and being taken back. */
#include "drive.h"

typedef struct job {
    bvi_task task;
    char name;
    char *log;
    struct job *post;
    struct job *take_back;
} job;

static void on_task(void *data)
{
    job *j = data;
    size_t len = strlen(j->log);

    ck_assert(!j->task.posted);
    ck_assert_uint_lt(len, 30);
    j->log[len] = j->name;
    if (j->post)
        bvi_task_post(&j->post->task);
    if (j->take_back)
        bvi_task_done(&j->take_back->task);
}

static void job_init(job *j, bv_ctx *ctx, char name, char *log)
{
    *j = (job){ .name = name, .log = log };
    bvi_task_init(&j->task, ctx, on_task, j);
}

START_TEST(in_order_and_once)
{
    char log[32] = "";
    job j[3];
    drive d;

    drive_open(&d, _i, 0, true);
    for (int i = 0; i < 3; i++) {
        job_init(&j[i], d.ctx, (char)('a' + i), log);
        bvi_task_post(&j[i].task);
        bvi_task_post(&j[i].task);
    }
    ck_assert_str_eq(log, "");
    drive_settle(&d);
    ck_assert_str_eq(log, "abc");
    bvi_task_post(&j[1].task);
    drive_settle(&d);
    ck_assert_str_eq(log, "abcb");
    drive_close(&d);
}
END_TEST

START_TEST(taken_back)
{
    char log[32] = "";
    job j[5];
    drive d;

    drive_open(&d, _i, 0, true);
    for (int i = 0; i < 5; i++) {
        job_init(&j[i], d.ctx, (char)('a' + i), log);
        bvi_task_post(&j[i].task);
    }
    bvi_task_done(&j[0].task); /* head */
    bvi_task_done(&j[2].task); /* middle */
    bvi_task_done(&j[4].task); /* tail */
    bvi_task_done(&j[4].task);
    j[1].take_back = &j[3];    /* from inside a callback of the same round */
    bvi_task_post(&j[0].task); /* now last */
    drive_settle(&d);
    ck_assert_str_eq(log, "ba");
    drive_close(&d);
}
END_TEST

static void count_and_repost(void *data)
{
    job *j = data;

    j->name++;
    bvi_task_post(&j->task);
}

START_TEST(one_that_posts_itself_starves_nobody)
{
    char log[32] = "";
    job busy, other;
    drive d;

    drive_open(&d, _i, 0, true);
    job_init(&busy, d.ctx, 0, log);
    busy.task.fn = count_and_repost;
    job_init(&other, d.ctx, 'o', log);
    bvi_task_post(&busy.task);
    bvi_task_post(&other.task);
    for (int i = 0; i < 4; i++)
        drive_turn(&d);
    ck_assert_str_eq(log, "o");
    ck_assert_int_ge(busy.name, 2);
    ck_assert_int_le(busy.name, 10); /* about once a turn */
    bvi_task_done(&busy.task);
    drive_close(&d);
}
END_TEST

START_TEST(a_host_that_refuses_to_arm_is_woken_instead)
{
    char log[32] = "";
    job j;
    drive d;

    drive_open(&d, DRIVE_POLL, 0, true);
    job_init(&j, d.ctx, 'a', log);
    d.refuse_arm = true;
    bvi_task_post(&j.task);
    d.refuse_arm = false;
    drive_settle(&d);
    ck_assert_str_eq(log, "a");
    drive_close(&d);
}
END_TEST

START_TEST(outlives_its_context)
{
    char log[32] = "";
    job j;
    drive d;

    drive_open(&d, _i, 0, true);
    job_init(&j, d.ctx, 'a', log);
    j.post = &j; /* for ever, until freeing gives up */
    bvi_task_post(&j.task);
    j.task.fn = count_and_repost;
    drive_close(&d);
    bvi_task_done(&j.task);
    ck_assert(!j.task.posted);
}
END_TEST

BVT_MAIN("io/task", bvt_times(outlives_its_context, DRIVE_COUNT),
         bvt_times(in_order_and_once, DRIVE_COUNT), bvt_times(taken_back, DRIVE_COUNT),
         bvt_times(one_that_posts_itself_starves_nobody, DRIVE_COUNT),
         bvt_test(a_host_that_refuses_to_arm_is_woken_instead))
