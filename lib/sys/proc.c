/*
 * proc.c - who a process is (pid and start time), pidfds, signals and their names.
 *
 * Used by everything that supervises, the static job runner included. Starting processes is in
 * spawn.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/proc.h"

/* /proc/PID/stat: a name of at most 64 bytes and about fifty numbers. */
#define STAT_MAX 2048u
/* Fields counted after the name: state is the first, start time the twentieth. */
#define FIELD_PPID  1u
#define FIELD_START 19u

#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK O_NONBLOCK
#endif

typedef struct stat_line {
    char state;
    pid_t ppid;
    uint64_t start_ticks;
} stat_line;

/* The name may hold anything, blanks and parentheses too: fields are counted from the last ")". */
static bool parse_stat(char *text, stat_line *ret_line)
{
    char *at = strrchr(text, ')');
    char *save = NULL;
    unsigned n = 0;

    if (!at)
        return false;
    for (char *field = strtok_r(at + 1, " ", &save); field;
         field = strtok_r(NULL, " ", &save), n++) {
        if (n == 0)
            ret_line->state = field[0];
        if (n == FIELD_PPID)
            ret_line->ppid = (pid_t)strtol(field, NULL, 10);
        if (n == FIELD_START) {
            ret_line->start_ticks = strtoull(field, NULL, 10);
            return true;
        }
    }
    return false;
}

static bool is_gone(int errnum)
{
    return errnum == ENOENT || errnum == ESRCH || errnum == ENOTDIR;
}

static int read_stat(pid_t pid, stat_line *ret_line, bv_error **err)
{
    char path[64];
    char text[STAT_MAX];
    ssize_t n = -1;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid); /* fits */
    bvi_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        n = read(fd, text, sizeof(text) - 1);
    if (n < 0 && is_gone(errno))
        return bvi_fail(err, BV_E_NOT_FOUND, "there is no process %d", (int)pid);
    if (n < 0)
        return bvi_fail_sys(err, errno, "cannot read '%s'", path);
    text[n] = '\0';
    if (!parse_stat(text, ret_line))
        return bvi_fail(err, BV_E_FORMAT, "cannot understand '%s'", path);
    return 0;
}

int bvi_proc_identify(pid_t pid, bvi_proc_id *ret_id, bv_error **err)
{
    stat_line line = { 0 };
    int r;

    if (pid <= 0)
        return bvi_fail(err, BV_E_NOT_FOUND, "%d is not a process id", (int)pid);
    r = read_stat(pid, &line, err);
    if (r < 0)
        return r;
    if (line.state == 'Z' || line.state == 'X')
        return bvi_fail(err, BV_E_NOT_FOUND, "process %d has ended", (int)pid);
    *ret_id = (bvi_proc_id){ .pid = pid, .start_ticks = line.start_ticks };
    return 0;
}

int bvi_proc_parent(pid_t pid, pid_t *ret_parent)
{
    stat_line line = { 0 };
    int r = read_stat(pid, &line, NULL);

    if (r == 0)
        *ret_parent = line.ppid;
    return r;
}

bool bvi_proc_is_alive(const bvi_proc_id *id)
{
    bvi_proc_id now = { 0 };

    return bvi_proc_identify(id->pid, &now, NULL) == 0 && now.start_ticks == id->start_ticks;
}

static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, PIDFD_NONBLOCK);

    if (fd < 0 &&
        errno == EINVAL) /* before 5.10 there was no such flag; readiness works all the same */
        fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd;
}

int bvi_proc_open(const bvi_proc_id *id, int *ret_pidfd, bv_error **err)
{
    bvi_auto_close int fd = id->pid > 0 ? open_pidfd(id->pid) : -1;

    if (id->pid <= 0 || (fd < 0 && errno == ESRCH))
        return bvi_fail(err, BV_E_NOT_FOUND, "process %d is gone", (int)id->pid);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open process %d", (int)id->pid);
    /* Looked at after opening: if it is the right one now, it was then. */
    if (!bvi_proc_is_alive(id))
        return bvi_fail(err, BV_E_NOT_FOUND, "process %d is gone", (int)id->pid);
    *ret_pidfd = bvi_take_fd(&fd);
    return 0;
}

int bvi_pidfd_signal(int pidfd, int signum)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, 0) < 0 ? -errno : 0;
}

int bvi_proc_signal(const bvi_proc_id *id, int signum, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = bvi_proc_open(id, &fd, err);

    if (r == BV_E_NOT_FOUND) {
        if (err) {
            bv_error_free(*err);
            *err = NULL;
        }
        return 0;
    }
    if (r < 0)
        return r;
    r = bvi_pidfd_signal(fd, signum);
    if (r < 0 && r != -ESRCH)
        return bvi_fail_sys(err, -r, "cannot send %s to process %d", bvi_signal_name(signum),
                            (int)id->pid);
    return 0;
}

/* ---- signal names: those of the job configuration, aliases after the name that is printed ---- */

static const struct {
    const char *name;
    int signum;
} signals[] = {
    { "SIGABRT", SIGABRT }, { "SIGALRM", SIGALRM },  { "SIGBUS", SIGBUS },
    { "SIGCHLD", SIGCHLD }, { "SIGCLD", SIGCHLD },   { "SIGCONT", SIGCONT },
    { "SIGTRAP", SIGTRAP }, { "SIGEMT", SIGTRAP },   { "SIGFPE", SIGFPE },
    { "SIGHUP", SIGHUP },   { "SIGILL", SIGILL },    { "SIGPWR", SIGPWR },
    { "SIGINFO", SIGPWR },  { "SIGINT", SIGINT },    { "SIGIO", SIGIO },
    { "SIGPOLL", SIGIO },   { "SIGIOT", SIGABRT },   { "SIGKILL", SIGKILL },
    { "SIGPIPE", SIGPIPE }, { "SIGPROF", SIGPROF },  { "SIGQUIT", SIGQUIT },
    { "SIGSEGV", SIGSEGV }, { "SIGSTOP", SIGSTOP },  { "SIGTSTP", SIGTSTP },
    { "SIGSYS", SIGSYS },   { "SIGUNUSED", SIGSYS }, { "SIGTERM", SIGTERM },
    { "SIGTTIN", SIGTTIN }, { "SIGTTOU", SIGTTOU },  { "SIGURG", SIGURG },
    { "SIGUSR1", SIGUSR1 }, { "SIGUSR2", SIGUSR2 },  { "SIGVTALRM", SIGVTALRM },
    { "SIGXCPU", SIGXCPU }, { "SIGXFSZ", SIGXFSZ },  { "SIGWINCH", SIGWINCH },
};

bool bvi_signal_from_name(const char *name, int *ret_signum)
{
    for (size_t i = 0; i < BVI_COUNT(signals); i++) {
        if (strcmp(signals[i].name, name) == 0) {
            *ret_signum = signals[i].signum;
            return true;
        }
    }
    return false;
}

const char *bvi_signal_name(int signum)
{
    for (size_t i = 0; i < BVI_COUNT(signals); i++) {
        if (signals[i].signum == signum)
            return signals[i].name;
    }
    return "an unnamed signal";
}
