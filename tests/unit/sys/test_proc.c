/* Who a process is, whether it lives, and signals to exactly it. */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bvt.h"
#include "sys/proc.h"

static pid_t make_sleeper(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }
    return pid;
}

START_TEST(identity_outlives_the_number)
{
    pid_t pid = make_sleeper();
    bvi_proc_id id = { 0 };
    bvi_proc_id wrong;
    int fd = -1;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_proc_identify(pid, &id, &err), err);
    ck_assert(bvi_proc_is_alive(&id));
    wrong = id;
    wrong.start_ticks++;
    ck_assert(!bvi_proc_is_alive(&wrong));
    ck_assert_int_eq(bvi_proc_open(&wrong, &fd, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "is gone");
    bv_error_free(err);
    bvt_assert_ok(bvi_proc_signal(&wrong, SIGKILL, NULL), NULL); /* somebody else: not touched */
    ck_assert(bvi_proc_is_alive(&id));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(pidfds_tell_the_end)
{
    pid_t pid = make_sleeper();
    bvi_proc_id id = { 0 };
    struct pollfd p = { .events = POLLIN };
    pid_t parent = 0;

    bvt_assert_ok(bvi_proc_identify(pid, &id, NULL), NULL);
    bvt_assert_ok(bvi_proc_parent(pid, &parent), NULL);
    ck_assert_int_eq(parent, getpid());
    bvt_assert_ok(bvi_proc_open(&id, &p.fd, NULL), NULL);
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    bvt_assert_ok(bvi_proc_signal(&id, SIGKILL, NULL), NULL);
    ck_assert_int_eq(poll(&p, 1, 10000), 1);
    ck_assert(!bvi_proc_is_alive(&id)); /* a zombie is no process */
    ck_assert_int_eq(bvi_proc_identify(pid, &id, NULL), BV_E_NOT_FOUND);
    waitpid(pid, NULL, 0);
    ck_assert_int_eq(bvi_pidfd_signal(p.fd, SIGTERM), -3 /* ESRCH */);
    bvt_assert_ok(bvi_proc_signal(&id, SIGTERM, NULL), NULL);
    close(p.fd);
}
END_TEST

START_TEST(nonsense_is_not_found)
{
    bvi_proc_id id = { 0 };
    int fd = -1;

    ck_assert_int_eq(bvi_proc_identify(0, &id, NULL), BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_proc_identify(-1, &id, NULL), BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_proc_identify(0x7fffffff, &id, NULL), BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_proc_open(&id, &fd, NULL), BV_E_NOT_FOUND);
}
END_TEST

static const struct {
    const char *name;
    int signum;
} names[] = {
    { "SIGINT", SIGINT },
    { "SIGTERM", SIGTERM },
    { "SIGCLD", SIGCHLD },
    { "SIGEMT", SIGTRAP },
    { "SIGINFO", SIGPWR },
    { "SIGUNUSED", SIGSYS },
    { "SIGIOT", SIGABRT },
    { "SIGPOLL", SIGIO },
    { "SIGWINCH", SIGWINCH },
    { "SIGKILL", SIGKILL },
    { "sigint", 0 },
    { "INT", 0 },
    { "", 0 },
};

START_TEST(signals_have_names)
{
    int signum = 0;

    ck_assert_int_eq(bvi_signal_from_name(names[_i].name, &signum), names[_i].signum != 0);
    ck_assert_int_eq(signum, names[_i].signum);
    if (signum) {
        int again = 0;

        ck_assert(bvi_signal_from_name(bvi_signal_name(signum), &again));
        ck_assert_int_eq(again, signum);
    }
}
END_TEST

BVT_MAIN("sys/proc", bvt_test(identity_outlives_the_number), bvt_test(pidfds_tell_the_end),
         bvt_test(nonsense_is_not_found), bvt_loop(signals_have_names, names))
