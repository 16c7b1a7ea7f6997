/*
 * proc.h - processes: spawning, identity that survives pid reuse, pidfds, signals.
 */
#ifndef BVI_SYS_PROC_H
#define BVI_SYS_PROC_H

#include <signal.h>
#include <sys/types.h>

#include "base/error.h"

/* A process as it can be found again: the pid alone may be somebody else by now. */
typedef struct bvi_proc_id {
    pid_t pid;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat */
} bvi_proc_id;

int bvi_proc_identify(pid_t pid, bvi_proc_id *ret_id,
                      bv_error **err);         /* BV_E_NOT_FOUND: gone or a zombie */
bool bvi_proc_is_alive(const bvi_proc_id *id); /* same start time and not a zombie */
/* A pidfd of exactly this process (close-on-exec, non-blocking); BV_E_NOT_FOUND when it is gone. */
int bvi_proc_open(const bvi_proc_id *id, int *ret_pidfd, bv_error **err);
int bvi_proc_signal(const bvi_proc_id *id, int signum,
                    bv_error **err);               /* through a pidfd; gone is fine */
int bvi_pidfd_signal(int pidfd, int signum);       /* 0 or -errno; -ESRCH: gone */
int bvi_proc_parent(pid_t pid, pid_t *ret_parent); /* 0 or BV_E_NOT_FOUND */

typedef struct bvi_spawn {
    const char *const *argv; /* argv[0] is looked up as a path, not in PATH, unless use_path */
    const char *const *env;  /* NULL: inherit */
    const char *dir;         /* NULL: inherit */
    int stdin_fd;            /* -1: /dev/null */
    int stdout_fd;           /* -1: /dev/null */
    int stderr_fd;           /* -1: /dev/null */
    const int *keep_fds; /* further fds to keep open, as they are numbered; the rest is closed */
    size_t keep_count;
    bool use_path;
    bool new_session;          /* setsid() */
    bool new_group;            /* setpgid(0, 0) */
    bool cover_unified_cgroup; /* own mount namespace with a tmpfs over /sys/fs/cgroup/unified (crun
                                  on hybrid hosts) */
    const char *net_ns;        /* enter this network namespace file first; NULL: stay */
} bvi_spawn;

#define BVI_SPAWN_INIT                                                                             \
    {                                                                                              \
        .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1                                           \
    }

/* Starts a child with default signal dispositions and an empty mask. A failing exec is reported
 * here (through a close-on-exec pipe), not as an exit status. ret_pidfd may be NULL. The caller
 * reaps. */
int bvi_proc_spawn(const bvi_spawn *spawn, pid_t *ret_pid, int *ret_pidfd, bv_error **err);

/* A signal by name ("SIGINT", the list of spec babel.md 6.4); false when unknown. */
bool bvi_signal_from_name(const char *name, int *ret_signum);
const char *bvi_signal_name(int signum);

#endif
