/*
 * spawn.c - starting a child with exactly the descriptors, session and signal state that were asked
 * for.
 *
 * Between clone and exec the child calls only what is safe after a fork of a process with threads.
 * A failing step is reported through a close-on-exec pipe, so the parent knows it before the call
 * returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/proc.h"

#ifndef CLONE_NEWNET
#define CLONE_NEWNET 0x40000000
#endif
#ifndef CLONE_NEWNS
#define CLONE_NEWNS 0x00020000
#endif

#define UNIFIED_CGROUP "/sys/fs/cgroup/unified"

extern char **environ;

enum step { STEP_STDIO, STEP_SESSION, STEP_NETWORK, STEP_COVER, STEP_DIR, STEP_EXEC };

static const char *const step_names[] = {
    [STEP_STDIO] = "cannot set up the descriptors of",
    [STEP_SESSION] = "cannot make a session for",
    [STEP_NETWORK] = "cannot enter the network namespace for",
    [STEP_COVER] = "cannot cover " UNIFIED_CGROUP " for",
    [STEP_DIR] = "cannot enter the directory for",
    [STEP_EXEC] = "cannot start",
};

/* What the child sends when a step fails. */
typedef struct failure {
    int step;
    int errnum;
} failure;

/* ---- in the child ---- */

static void default_signals(void)
{
    struct sigaction act = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, &act, NULL); /* SIGKILL, SIGSTOP and libc's own refuse, as they should */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
}

/* First copies above everything in use, then into place: the sources may themselves be 0, 1 or 2.
 */
static int place_stdio(const bvi_spawn *spawn)
{
    const int wanted[3] = { spawn->stdin_fd, spawn->stdout_fd, spawn->stderr_fd };
    int copies[3];

    for (int i = 0; i < 3; i++) {
        int fd =
            wanted[i] >= 0 ? wanted[i] : open("/dev/null", (i ? O_WRONLY : O_RDONLY) | O_CLOEXEC);

        copies[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copies[i] < 0)
            return -1;
    }
    for (int i = 0; i < 3; i++) {
        if (dup2(copies[i], i) < 0)
            return -1;
    }
    return 0;
}

/* Everything above the standard three closes on exec, except what is kept. */
static int mark_descriptors(const bvi_spawn *spawn)
{
    if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
        /* A kernel before 5.11: one by one. */
        long most = sysconf(_SC_OPEN_MAX);

        for (int fd = 3; fd < most; fd++)
            (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* most are not open */
    }
    for (size_t i = 0; i < spawn->keep_count; i++) {
        if (fcntl(spawn->keep_fds[i], F_SETFD, 0) < 0)
            return -1;
    }
    return 0;
}

/* crun refuses a hybrid cgroup tree; without the unified part it takes the host for a plain version
 * 1 one. */
static int cover_unified(void)
{
    if (access(UNIFIED_CGROUP, F_OK) < 0)
        return 0;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return -1;
    return mount("none", UNIFIED_CGROUP, "tmpfs", 0, "size=64k");
}

static enum step child_steps(const bvi_spawn *spawn, int net_fd)
{
    default_signals();
    if ((spawn->new_session && setsid() < 0) || (spawn->new_group && setpgid(0, 0) < 0))
        return STEP_SESSION;
    /* Before the standard descriptors: net_fd may be one of these numbers. */
    if (net_fd >= 0 && setns(net_fd, CLONE_NEWNET) < 0)
        return STEP_NETWORK;
    if (place_stdio(spawn) < 0 || mark_descriptors(spawn) < 0)
        return STEP_STDIO;
    if (spawn->cover_unified_cgroup && cover_unified() < 0)
        return STEP_COVER;
    if (spawn->dir && chdir(spawn->dir) < 0)
        return STEP_DIR;
    /* exec takes its strings as writable for history's sake. */
    char *const *argv = (char *const *)(const void *)spawn->argv;
    char *const *env = spawn->env ? (char *const *)(const void *)spawn->env : environ;

    if (spawn->use_path)
        (void)execvpe(argv[0], argv, env); /* comes back only when it failed */
    else
        (void)execve(argv[0], argv, env);
    return STEP_EXEC;
}

static void run_child(const bvi_spawn *spawn, int net_fd, int report_fd) __attribute__((noreturn));
static void run_child(const bvi_spawn *spawn, int net_fd, int report_fd)
{
    failure f = { 0 };

    f.step = (int)child_steps(spawn, net_fd);
    f.errnum = errno;
    /* A pipe takes so few bytes at once; if the parent is gone nobody wants to know. */
    (void)!write(report_fd, &f, sizeof(f));
    _exit(127);
}

/* ---- in the parent ---- */

static pid_t clone_child(int *ret_pidfd)
{
    struct clone_args args = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

    if (pid >= 0 || (errno != ENOSYS && errno != EPERM))
        return pid;
    /* Some sandboxes know no clone3. */
    pid = fork();
    if (pid > 0)
        *ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return pid;
}

/* Waits until exec closed the pipe, or the child says what went wrong. */
static bool read_failure(int fd, failure *ret_failure)
{
    ssize_t n;

    do {
        n = read(fd, ret_failure, sizeof(*ret_failure));
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*ret_failure);
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static int clone_with_signals_blocked(const bvi_spawn *spawn, int net_fd, int report_fd,
                                      pid_t *ret_pid, int *ret_pidfd)
{
    sigset_t all, old;
    int saved;

    /* So that no handler of the parent ever runs in the child. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old); /* cannot fail with these arguments */
    *ret_pid = clone_child(ret_pidfd);
    if (*ret_pid == 0)
        run_child(spawn, net_fd, report_fd);
    saved = errno;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return *ret_pid < 0 ? -saved : 0;
}

int bvi_proc_spawn(const bvi_spawn *spawn, pid_t *ret_pid, int *ret_pidfd, bv_error **err)
{
    bvi_auto_close int read_end = -1;
    bvi_auto_close int write_end = -1;
    bvi_auto_close int net_fd = -1;
    bvi_auto_close int pidfd = -1;
    failure f = { 0 };
    int ends[2];
    pid_t pid = -1;
    int r;

    if (spawn->net_ns) {
        net_fd = open(spawn->net_ns, O_RDONLY | O_CLOEXEC);
        if (net_fd < 0)
            return bvi_fail_sys(err, errno, "cannot open the network namespace '%s'",
                                spawn->net_ns);
    }
    if (pipe2(ends, O_CLOEXEC) < 0)
        return bvi_fail_sys(err, errno, "cannot make a pipe");
    read_end = ends[0];
    write_end = ends[1];
    /* The report pipe must not be hit when descriptors 0 to 2 are put into place. */
    if (write_end < 3) {
        int moved = fcntl(write_end, F_DUPFD_CLOEXEC, 3);

        if (moved < 0)
            return bvi_fail_sys(err, errno, "cannot make a pipe");
        (void)close(write_end); /* a copy stays */
        write_end = moved;
    }
    r = clone_with_signals_blocked(spawn, net_fd, write_end, &pid, &pidfd);
    if (r < 0)
        return bvi_fail_sys(err, -r, "cannot start '%s'", spawn->argv[0]);
    bvi_closep(&write_end);
    if (read_failure(read_end, &f)) {
        reap(pid);
        return bvi_fail_sys(err, f.errnum, "%s '%s'", step_names[f.step], spawn->argv[0]);
    }
    *ret_pid = pid;
    if (ret_pidfd)
        *ret_pidfd = bvi_take_fd(&pidfd);
    return 0;
}
