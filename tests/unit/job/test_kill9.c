/*
 * SIGKILL at many moments, to runners and to managers: afterwards no job is lost, none runs twice,
 * nothing is left over.
 *
 * The payload holds a lock of its own (flock(1)), so a second copy at the same time is seen however
 * short it was.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "job/runner_kill.h"
#include "job_drive.h"

#define POINTS 24

static void pause_us(int64_t us)
{
    struct timespec t = { us / 1000000, us % 1000000 * 1000 };

    nanosleep(&t, NULL); /* the moment of the crash is what the test is about */
}

/* Says "double" when another copy lives, then does what it is told. */
static const char *guarded(const char *then)
{
    return bvt_format("exec 9>%s; flock -n 9 || echo double >> %s; echo $$ >> %s; %s",
                      bvt_path("guard"), bvt_path("double"), bvt_path("pids"), then);
}

/* `dir`: where no runner may be either, not even one that is late. */
static void assert_nothing_left(const char *dir, const char *job, const char *instance)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int lock_fd = -1;

    bvi_runner_conf conf = BVI_RUNNER_CONF_INIT;
    bvi_runner_state state = { 0 };
    bvi_proc_ids ids = BVI_VEC_INIT(BVI_KILL_MAX);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_runner_lock(dir_fd, &lock_fd, &err), err); /* waits a little for late ones */
    conf.name = job;
    conf.instance = instance;
    bvt_assert_ok(bvi_find_leftovers(&conf, &state, &ids, &err), err);
    ck_assert_uint_eq(ids.len, 0);
    bvi_vec_done(&ids);
    close(lock_fd);
    close(dir_fd);
}

/* The payload ends all the time, so kills hit launches, ends and waits. */
START_TEST(a_runner_dies_at_any_moment)
{
    bvi_runner_conf conf = BVI_RUNNER_CONF_INIT;
    const char *clean[] = { RUNNER_PATH, bvt_path("a"), "--clean", NULL };
    bvi_spawn how = BVI_SPAWN_INIT;
    runner_proc p;
    bv_error *err = NULL;

    conf.body = guarded(_i == 0 ? "sleep 0.003; exit 1" : "exec sleep 300");
    conf.restart = (bvi_backoff_config){ BVI_RESTART_ALWAYS, 60000, 1, false, 0 };
    runner_conf("a", &conf);
    for (int i = 0; i < POINTS; i++) {
        runner_start("a", &p);
        pause_us(i * 600);
        ck_assert_int_eq(kill(p.pid, SIGKILL), 0);
        (void)runner_wait(&p);
    }
    runner_start("a", &p);
    runner_wait_text(bvt_path("pids"), "\n"); /* it recovers whatever came before */
    ck_assert_int_eq(kill(p.pid, SIGKILL), 0);
    (void)runner_wait(&p);
    how.argv = clean;
    bvt_assert_ok(bvi_proc_spawn(&how, &p.pid, &p.pidfd, &err), err);
    ck_assert_int_eq(runner_wait(&p), 0);
    ck_assert_msg(!bvt_exists(bvt_path("double")), "two copies ran");
    assert_nothing_left(bvt_path("a"), "a", bvt_dir());
}
END_TEST

/* ---- managers ---- */

/* In a process of its own, until it is killed: creates, starts, stops, skips, replaces, over and
 * over. */
static void busy_manager(int round) __attribute__((noreturn));
static void busy_manager(int round)
{
    drive d;
    drive_call call = { 0 };

    memset(&d, 0, sizeof(d));

    drive_init(&d);
    for (int i = round;; i++) {
        bvi_job_manager_start(d.manager, "first", NULL);
        bvi_job_manager_start(d.manager, "svc", NULL);
        for (int n = 0; n < 1 + i % 5; n++)
            bv_ctx_dispatch(d.ctx, 2);
        call = (drive_call){ 0 };
        if (i % 3 == 0 && bvi_job_manager_stop(d.manager, "svc", drive_on_done, &call, NULL) == 0)
            drive_wait_call(&d, &call);
        if (i % 3 == 1 && bvi_job_manager_skip(d.manager, "svc", drive_on_done, &call, NULL) == 0)
            drive_wait_call(&d, &call);
        if (i % 7 == 6)
            drive_create_sh(&d, "svc", guarded("exec sleep 300"), "\"never\"",
                            ",\"needs\":[\"first\"]");
    }
}

static const bvi_jstate settled[] = { BVI_JS_STOPPED, BVI_JS_ACTIVE, BVI_JS_FINISHED };

static bool is_settled(drive *d, const char *name)
{
    for (size_t i = 0; i < BVI_COUNT(settled); i++) {
        if (drive_job(d, name)->state == settled[i])
            return true;
    }
    return false;
}

START_TEST(a_manager_dies_at_any_moment)
{
    char instance[BVI_INSTANCE_SIZE] = "";
    drive d;

    drive_init(&d);
    drive_create_sh(&d, "first", "exit 0", "\"never\"", "");
    drive_create_sh(&d, "svc", guarded("exec sleep 300"),
                    "{\"always\":{\"backoff_timeout_ms\":60000,\"backoff_base_ms\":1}}",
                    ",\"needs\":[\"first\"]");
    drive_done(&d);
    for (int i = 0; i < POINTS; i++) {
        int64_t until = drive_now_us() + DRIVE_LIMIT_MS * 1000LL;
        pid_t pid = fork();

        if (pid == 0)
            busy_manager(i);
        pause_us(1000 + i * 4100);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        waitpid(pid, NULL, 0);
        drive_init(&d);
        for (size_t j = 0; j < d.manager->jobs.len; j++) {
            while (!is_settled(&d, d.manager->jobs.items[j]->name) && drive_now_us() < until)
                bv_ctx_dispatch(d.ctx, 10);
            ck_assert_msg(is_settled(&d, d.manager->jobs.items[j]->name),
                          "job %s is %s after round %d", d.manager->jobs.items[j]->name,
                          bvi_jstate_name(d.manager->jobs.items[j]->state), i);
        }
        ck_assert_uint_eq(d.manager->jobs.len, 2);
        if (*instance)
            ck_assert_str_eq(instance, drive_job(&d, "svc")->instance);
        if (bvt_exists(
                drive_path("svc", "runner.conf"))) /* from its first start on the mark stays */
            memcpy(instance, drive_job(&d, "svc")->instance, sizeof(instance));
        drive_done(&d);
    }
    ck_assert_msg(!bvt_exists(bvt_path("double")), "two copies ran");
    drive_init(&d);
    drive_create_sh(&d, "first", "exit 0", "\"never\"", "");
    drive_start(&d, "first");
    drive_wait_state(&d, "first", BVI_JS_FINISHED);
    drive_stop(&d, "svc");
    assert_nothing_left(drive_path("svc", ""), "svc", instance);
    drive_start(&d, "svc");
    drive_wait_state(&d, "svc", BVI_JS_ACTIVE);
    drive_end(&d);
    assert_nothing_left(drive_path("svc", ""), "svc", instance);
}
END_TEST

/* Both at once: the manager is gone when the runner dies, and the next one picks up the pieces. */
START_TEST(everybody_dies)
{
    char instance[BVI_INSTANCE_SIZE] = "";

    for (int i = 0; i < 8; i++) {
        pid_t runner;
        drive d;

        drive_init(&d);
        if (i == 0)
            drive_create_sh(&d, "svc", guarded("exec sleep 300"),
                            "{\"always\":{\"backoff_timeout_ms\":60000,\"backoff_base_ms\":1}}",
                            "");
        if (i == 0)
            drive_start(&d, "svc");
        drive_wait_state(&d, "svc", BVI_JS_ACTIVE);
        while (!drive_job(&d, "svc")->runner.pid)
            bv_ctx_dispatch(d.ctx, 10);
        runner = drive_job(&d, "svc")->runner.pid;
        pause_us(i * 1500);
        memcpy(instance, drive_job(&d, "svc")->instance, sizeof(instance));
        drive_done(&d);
        ck_assert_int_eq(kill(runner, SIGKILL), 0);
        drive_wait_gone(runner);
    }
    drive d;
    drive_init(&d);
    drive_wait_state(&d, "svc", BVI_JS_ACTIVE);
    drive_stop(&d, "svc");
    ck_assert_msg(!bvt_exists(bvt_path("double")), "two copies ran");
    assert_nothing_left(drive_path("svc", ""), "svc", instance);
    drive_done(&d);
}
END_TEST

BVT_MAIN("job/kill9", bvt_times(a_runner_dies_at_any_moment, 2),
         bvt_test(a_manager_dies_at_any_moment), bvt_test(everybody_dies))
