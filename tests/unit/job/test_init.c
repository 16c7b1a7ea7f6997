/* babel_init: the first process of a container, here as an ordinary process, and in a pid namespace
 * where root may. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job_drive.h"

static void start(runner_proc *p, const char *const *argv)
{
    bvi_spawn how = BVI_SPAWN_INIT;
    bv_error *err = NULL;

    how.argv = argv;
    bvt_assert_ok(bvi_proc_spawn(&how, &p->pid, &p->pidfd, &err), err);
}

static int run(const char *const *argv)
{
    runner_proc p;

    start(&p, argv);
    return runner_wait(&p);
}

/* "start", or the n-th of them, one line for each agent that was started. */
static void wait_starts(unsigned n)
{
    int64_t until = drive_now_us() + DRIVE_LIMIT_MS * 1000LL;
    unsigned seen;

    do {
        const char *at =
            bvt_exists(bvt_path("starts")) ? bvt_read_file(bvt_path("starts"), NULL) : "";

        for (seen = 0; (at = strchr(at, '\n')); at++)
            seen++;
        ck_assert_msg(drive_now_us() < until, "%u starts, not %u", seen, n);
        if (seen < n)
            (void)poll(NULL, 0, 5); /* a file has no event worth the trouble */
    } while (seen < n);
}

static const struct {
    const char *argv[6];
    int exit_code;
} calls[] = {
    { { INIT_PATH, "--self-test" }, 0 },
    { { INIT_PATH }, 2 },
    { { INIT_PATH, "--" }, 2 },
    { { INIT_PATH, "/bin/true" }, 2 },
    { { INIT_PATH, "--grace-ms", "x", "--", "/bin/true" }, 2 },
    { { INIT_PATH, "--grace-ms", "-1", "--", "/bin/true" }, 2 },
};

START_TEST(calls_are_checked)
{
    ck_assert_int_eq(WEXITSTATUS(run(calls[_i].argv)), calls[_i].exit_code);
}
END_TEST

START_TEST(the_agent_comes_back)
{
    const char *argv[] = {
        INIT_PATH, "--", "/bin/sh", "-c", bvt_format("echo $$ >> %s; exit 1", bvt_path("starts")),
        NULL
    };
    int64_t began = drive_now_us();
    runner_proc p;

    start(&p, argv);
    wait_starts(4); /* at 0, 100, 300 and 700 ms */
    ck_assert_int_ge(drive_now_us() - began, 690000);
    kill(p.pid, SIGTERM);
    ck_assert_int_eq(runner_wait(&p), 0);
}
END_TEST

START_TEST(a_missing_agent_does_not_end_it)
{
    const char *argv[] = { INIT_PATH, "--", "/nonexistent", NULL };
    runner_proc p;
    struct pollfd poll_fd = { .events = POLLIN };

    start(&p, argv);
    poll_fd.fd = p.pidfd;
    ck_assert_int_eq(poll(&poll_fd, 1, 300), 0);
    kill(p.pid, SIGINT);
    ck_assert_int_eq(runner_wait(&p), 0);
}
END_TEST

START_TEST(hangup_replaces_the_agent)
{
    const char *argv[] = { INIT_PATH,
                           "--",
                           "/bin/sh",
                           "-c",
                           bvt_format("echo $$ >> %s; exec sleep 300", bvt_path("starts")),
                           NULL };
    runner_proc p;
    pid_t first;

    start(&p, argv);
    wait_starts(1);
    first = drive_read_pid(bvt_path("starts"));
    kill(p.pid, SIGHUP);
    wait_starts(2);
    ck_assert(!drive_is_alive(first));
    kill(p.pid, SIGTERM);
    ck_assert_int_eq(runner_wait(&p), 0);
}
END_TEST

START_TEST(a_stubborn_agent_is_killed_at_the_end)
{
    const char *argv[] = { INIT_PATH,
                           "--grace-ms",
                           "200",
                           "--",
                           "/bin/sh",
                           "-c",
                           bvt_format("trap '' TERM; echo $$ >> %s; while :; do sleep 1; done",
                                      bvt_path("starts")),
                           NULL };
    runner_proc p;

    start(&p, argv);
    wait_starts(1);
    kill(p.pid, SIGTERM);
    ck_assert_int_eq(runner_wait(&p), 0);
    ck_assert(!drive_is_alive(drive_read_pid(bvt_path("starts"))));
}
END_TEST

/* As process 1: orphans are reaped, and the end reaches sessions of their own. */
START_TEST(as_the_first_process)
{
    const char *body = bvt_format(
        "(setsid sh -c 'trap \"echo bye >> %s; exit\" TERM; echo up >> %s; "
        "while :; do sleep 0.05; done' &) ; (sleep 0.01 &) ; sleep 0.1; "
        /* A child between its end and its parent's wait is a zombie too, so look more than once. */
        "for i in 1 2 3 4 5 6 7 8 9; do "
        "n=$(grep -c 'State:.Z' /proc/[0-9]*/status 2>/dev/null | grep -c ':1'); "
        "[ \"$n\" = 0 ] && break; sleep 0.02; done; "
        "echo $n >> %s; echo x >> %s; exec sleep 300",
        bvt_path("bye"), bvt_path("up"), bvt_path("zombies"), bvt_path("starts"));
    const char *argv[] = { "unshare", "--pid", "--fork",  "--mount-proc", INIT_PATH, "--grace-ms",
                           "5000",    "--",    "/bin/sh", "-c",           body,      NULL };
    bvi_spawn how = BVI_SPAWN_INIT;
    bvi_proc_id init = { 0 };
    runner_proc p;
    char line[64] = "";
    FILE *f;

    if (geteuid() != 0)
        bvt_skip("needs root for a pid namespace");
    how.argv = argv;
    how.use_path = true;
    bvt_assert_ok(bvi_proc_spawn(&how, &p.pid, &p.pidfd, NULL), NULL);
    wait_starts(1);
    runner_wait_text(bvt_path("up"), "up");
    ck_assert_str_eq(bvt_read_file(bvt_path("zombies"), NULL), "0\n");
    f = fopen(bvt_format("/proc/%d/task/%d/children", (int)p.pid, (int)p.pid), "r");
    if (!f || !fgets(line, sizeof(line), f))
        bvt_skip("this kernel does not list children");
    fclose(f);
    bvt_assert_ok(bvi_proc_identify((pid_t)atoi(line), &init, NULL), NULL);
    bvt_assert_ok(bvi_proc_signal(&init, SIGTERM, NULL), NULL);
    ck_assert_int_eq(runner_wait(&p), 0);
    ck_assert_str_eq(bvt_read_file(bvt_path("bye"), NULL), "bye\n");
}
END_TEST

BVT_MAIN("job/init", bvt_loop(calls_are_checked, calls), bvt_test(the_agent_comes_back),
         bvt_test(a_missing_agent_does_not_end_it), bvt_test(hangup_replaces_the_agent),
         bvt_test(a_stubborn_agent_is_killed_at_the_end), bvt_test(as_the_first_process))
