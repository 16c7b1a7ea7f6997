/* Spawning: descriptors, sessions, signals, and failures that are known at once. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bvt.h"
#include "sys/proc.h"

/* Runs a shell command with its output in a file, and returns that. */
static const char *run(bvi_spawn *how, const char *command)
{
    const char *argv[] = { "/bin/sh", "-c", command, NULL };
    const char *path = bvt_path("out");
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
    pid_t pid = -1;
    int pidfd = -1;
    bv_error *err = NULL;

    how->argv = argv;
    how->stdout_fd = how->stderr_fd = fd;
    bvt_assert_ok(bvi_proc_spawn(how, &pid, &pidfd, &err), err);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_int_ge(pidfd, 0);
    close(pidfd);
    close(fd);
    return bvt_read_file(path, NULL);
}

START_TEST(only_what_is_wanted_is_open)
{
    bvi_spawn how = BVI_SPAWN_INIT;
    int extra = open("/dev/null", O_RDONLY); /* not even close-on-exec */
    int kept = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    const char *text;

    how.keep_fds = &kept;
    how.keep_count = 1;
    text = run(&how, "readlink /proc/self/fd/0; ls /proc/self/fd | tr '\\n' ' '");
    ck_assert(strstr(text, "/dev/null\n") != NULL);
    ck_assert_msg(strstr(text, bvt_format(" %d ", kept)) != NULL, "%s", text);
    ck_assert_msg(strstr(text, bvt_format(" %d ", extra)) == NULL || extra == kept, "%s", text);
    close(extra);
    close(kept);
}
END_TEST

/* The parent's standard descriptors are themselves the sources, crosswise. */
START_TEST(standard_descriptors_may_be_swapped)
{
    bvi_spawn how = BVI_SPAWN_INIT;
    const char *argv[] = { "/bin/sh", "-c", "echo out; echo err >&2", NULL };
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        pid_t child;

        close(0);
        close(1);
        close(2);
        if (open(bvt_path("zero"), O_CREAT | O_RDWR, 0644) != 0 ||
            open(bvt_path("one"), O_CREAT | O_RDWR, 0644) != 1)
            _exit(1);
        how.argv = argv;
        how.stdout_fd = 0; /* 2 is closed: the report pipe must cope */
        how.stderr_fd = 1;
        if (bvi_proc_spawn(&how, &child, NULL, NULL) < 0)
            _exit(2);
        waitpid(child, &status, 0);
        _exit(status ? 3 : 0);
    }
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(bvt_read_file(bvt_path("zero"), NULL), "out\n");
    ck_assert_str_eq(bvt_read_file(bvt_path("one"), NULL), "err\n");
}
END_TEST

START_TEST(signals_are_as_at_birth)
{
    bvi_spawn how = BVI_SPAWN_INIT;
    sigset_t set, old;
    const char *text;

    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, &old);
    text = run(&how, "grep -E 'Sig(Blk|Ign)' /proc/self/status");
    sigprocmask(SIG_SETMASK, &old, NULL);
    ck_assert_msg(strstr(text, "SigBlk:\t0000000000000000") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "SigIgn:\t0000000000000000") != NULL, "%s", text);
}
END_TEST

START_TEST(environment_directory_session)
{
    const char *env[] = { "ONLY=this", NULL };
    bvi_spawn how = BVI_SPAWN_INIT;

    how.env = env;
    how.dir = bvt_dir();
    how.new_session = true;
    ck_assert_str_eq(
        run(&how,
            "echo $ONLY $HOME; pwd; set -- $(cat /proc/$$/stat); test $1 = $6 && echo leader"),
        bvt_format("this\n%s\nleader\n", bvt_dir()));
    how = (bvi_spawn)BVI_SPAWN_INIT;
    how.new_group = true;
    ck_assert_str_eq(
        run(&how, "set -- $(cat /proc/$$/stat); test $1 = $5 && test $1 != $6 && echo group"),
        "group\n");
}
END_TEST

static const struct {
    const char *program;
    bool use_path;
    const char *dir;
    const char *net_ns;
    int code;
    const char *says;
} failures[] = {
    { "/nonexistent", false, NULL, NULL, BV_E_NOT_FOUND, "cannot start '/nonexistent'" },
    { "sh", false, NULL, NULL, BV_E_NOT_FOUND, "cannot start 'sh'" },
    { "no-such-program-anywhere", true, NULL, NULL, BV_E_NOT_FOUND, "cannot start" },
    { "/etc/passwd", false, NULL, NULL, BV_E_DENIED, "cannot start '/etc/passwd'" },
    { "/bin/true", false, "/nonexistent", NULL, BV_E_NOT_FOUND, "cannot enter the directory" },
    { "/bin/true", false, NULL, "/nonexistent", BV_E_NOT_FOUND, "network namespace" },
};

START_TEST(failures_are_known_at_once)
{
    const char *argv[] = { failures[_i].program, NULL };
    bvi_spawn how = BVI_SPAWN_INIT;
    pid_t pid = -1;
    int pidfd = -1;
    bv_error *err = NULL;

    how.argv = argv;
    how.use_path = failures[_i].use_path;
    how.dir = failures[_i].dir;
    how.net_ns = failures[_i].net_ns;
    ck_assert_int_eq(bvi_proc_spawn(&how, &pid, &pidfd, &err), failures[_i].code);
    bvt_assert_error_says(err, failures[_i].code, failures[_i].says);
    bv_error_free(err);
    ck_assert_int_eq(pidfd, -1);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left to reap */
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(the_path_is_searched_when_asked)
{
    const char *argv[] = { "true", NULL };
    bvi_spawn how = BVI_SPAWN_INIT;
    pid_t pid = -1;
    int status = -1;

    how.argv = argv;
    how.use_path = true;
    bvt_assert_ok(bvi_proc_spawn(&how, &pid, NULL, NULL), NULL);
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(the_unified_cgroup_can_be_covered)
{
    bvi_spawn how = BVI_SPAWN_INIT;

    if (geteuid() != 0 || access("/sys/fs/cgroup/unified", F_OK) < 0)
        bvt_skip("needs root and a hybrid cgroup tree");
    how.cover_unified_cgroup = true;
    ck_assert_str_eq(run(&how, "ls /sys/fs/cgroup/unified | wc -l; grep -c 'cgroup/unified .*- "
                               "tmpfs' /proc/self/mountinfo"),
                     "0\n1\n");
    ck_assert_int_eq(access("/sys/fs/cgroup/unified/cgroup.controllers", F_OK),
                     0); /* here it is still there */
}
END_TEST

BVT_MAIN("sys/spawn", bvt_test(only_what_is_wanted_is_open),
         bvt_test(standard_descriptors_may_be_swapped), bvt_test(signals_are_as_at_birth),
         bvt_test(environment_directory_session), bvt_loop(failures_are_known_at_once, failures),
         bvt_test(the_path_is_searched_when_asked), bvt_test(the_unified_cgroup_can_be_covered))
