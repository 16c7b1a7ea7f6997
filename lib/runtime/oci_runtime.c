/*
 * oci_runtime.c - crun or runc: where it is, how it is called, and what it says when it fails.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "runtime/oci_runtime.h"
#include "sys/fs.h"
#include "sys/proc.h"

/* A runtime that takes longer than that hangs. */
#define COMMAND_TIMEOUT_MS 60000
#define COMMAND_ARGS_MAX   16u
/* What it said last is at the end of its log, which is new for each command. */
#define LOG_MAX       (1024u * 1024u)
#define PATH_TEXT_MAX 65536u

static const char *const usual_runtimes[] = { "crun", "runc" };
/* Tried after PATH: services often run with a short one. */
static const char *const usual_dirs[] = { "/usr/bin",        "/usr/sbin", "/usr/local/bin",
                                          "/usr/local/sbin", "/bin",      "/sbin" };

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int bvi_oci_runtime_init(bvi_oci_runtime *rt, const char *path, const char *state_dir, bool hybrid,
                         bv_error **err)
{
    rt->path = bvi_strdup(path);
    rt->root = bvi_path_join(state_dir, base_name(path), NULL);
    rt->cover_unified = hybrid && strncmp(base_name(path), "crun", 4) == 0;
    return rt->path && rt->root ? 0 : bvi_fail_nomem(err);
}

int bvi_oci_runtime_copy(bvi_oci_runtime *to, const bvi_oci_runtime *from, bv_error **err)
{
    to->path = bvi_strdup(from->path);
    to->root = bvi_strdup(from->root);
    to->cover_unified = from->cover_unified;
    return to->path && to->root ? 0 : bvi_fail_nomem(err);
}

void bvi_oci_runtime_done(bvi_oci_runtime *rt)
{
    bvi_free(rt->path);
    bvi_free(rt->root);
    *rt = (bvi_oci_runtime){ 0 };
}

const char *bvi_oci_runtime_name(const bvi_oci_runtime *rt)
{
    return rt->path ? base_name(rt->path) : "";
}

/* ---- finding ---- */

/* 1: found and added, 0: not there. */
static int try_dir(const char *dir, size_t dir_len, const char *name, bvi_strv *paths,
                   bv_error **err)
{
    bvi_auto_free char *path = bvi_asprintf("%.*s/%s", (int)dir_len, dir, name);

    if (!path)
        return bvi_fail_nomem(err);
    if (dir_len == 0 || dir[0] != '/' || access(path, X_OK) < 0 || bvi_fs_is_dir(path))
        return 0;
    return bvi_strv_take(paths, bvi_take(path)) < 0 ? bvi_fail_nomem(err) : 1;
}

static int find_by_name(const char *name, bvi_strv *paths, bv_error **err)
{
    const char *search = getenv("PATH");
    int r = 0;

    for (const char *at = search && strlen(search) <= PATH_TEXT_MAX ? search : ""; *at && r == 0;) {
        size_t len = strcspn(at, ":");

        r = try_dir(at, len, name, paths, err);
        at += len + (at[len] == ':');
    }
    for (size_t i = 0; i < BVI_COUNT(usual_dirs) && r == 0; i++)
        r = try_dir(usual_dirs[i], strlen(usual_dirs[i]), name, paths, err);
    return r < 0 ? r : 0;
}

static int find_wanted(const char *wanted, bvi_strv *paths, bv_error **err)
{
    int r;

    if (strchr(wanted, '/')) {
        if (access(wanted, X_OK) < 0)
            return bvi_fail_sys(err, errno, "cannot use the configured container runtime '%s'",
                                wanted);
        return bvi_strv_add(paths, wanted) < 0 ? bvi_fail_nomem(err) : 0;
    }
    r = find_by_name(wanted, paths, err);
    if (r == 0 && paths->len == 0)
        return bvi_fail(err, BV_E_NOT_FOUND,
                        "the configured container runtime '%s' is not installed: install it or "
                        "change the setting",
                        wanted);
    return r;
}

int bvi_oci_runtime_find(const char *wanted, bvi_strv *paths, bv_error **err)
{
    int r = 0;

    if (wanted && wanted[0])
        return find_wanted(wanted, paths, err);
    for (size_t i = 0; i < BVI_COUNT(usual_runtimes) && r == 0; i++)
        r = find_by_name(usual_runtimes[i], paths, err);
    if (r == 0 && paths->len == 0)
        return bvi_fail(err, BV_E_NOT_FOUND,
                        "no container runtime is installed: install crun or runc");
    return r;
}

/* ---- running a command ---- */

/* The last message of a JSON log (one object a line); NULL when there is none. */
static char *last_message(const char *log_file)
{
    bvi_auto_free char *text = NULL;
    char *found = NULL;
    size_t len = 0;
    char *save = NULL;

    if (bvi_fs_read(log_file, LOG_MAX, &text, &len, NULL) < 0)
        return NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        bvi_auto_json bvi_json *entry = NULL;
        const char *msg = NULL;

        if (bvi_json_parse(line, strlen(line), &entry, NULL) == 0)
            msg = bvi_json_string(bvi_json_find(entry, "msg"));
        if (msg && msg[0]) {
            bvi_free(found);
            found = bvi_strdup(msg);
        }
    }
    return found;
}

static int exit_failure(const bvi_oci_runtime *rt, const char *command, int status,
                        const char *log_file, bv_error **err)
{
    bvi_auto_free char *said = last_message(log_file);

    if (said)
        return bvi_fail(err, BV_E_IO, "%s %s: %s", bvi_oci_runtime_name(rt), command, said);
    if (WIFSIGNALED(status))
        return bvi_fail(err, BV_E_IO, "%s %s was killed by %s", bvi_oci_runtime_name(rt), command,
                        bvi_signal_name(WTERMSIG(status)));
    return bvi_fail(err, BV_E_IO, "%s %s ended with status %d and no message",
                    bvi_oci_runtime_name(rt), command, WEXITSTATUS(status));
}

/* Waits for the runtime itself, not for the container. */
static int wait_for(const bvi_oci_runtime *rt, const char *command, pid_t pid, int pidfd,
                    int *ret_status, bv_error **err)
{
    struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
    bool late = false;
    int r;

    do {
        r = poll(&pfd, 1, COMMAND_TIMEOUT_MS);
    } while (r < 0 && errno == EINTR);
    if (r == 0) {
        late = true;
        (void)kill(pid, SIGKILL); /* our own child, not reaped yet: the pid is still its */
    }
    *ret_status = 0;
    while (waitpid(pid, ret_status, 0) < 0) {
        if (errno == ECHILD) /* the host ignores SIGCHLD; callers check what the runtime did */
            break;
        if (errno != EINTR)
            return bvi_fail_sys(err, errno, "cannot wait for '%s'", rt->path);
    }
    return late ? bvi_fail(err, BV_E_TIMEOUT, "%s %s did not finish in %d s",
                           bvi_oci_runtime_name(rt), command, COMMAND_TIMEOUT_MS / 1000)
                : 0;
}

/* args: the command and what follows, ended by NULL. */
static int run_command(const bvi_oci_runtime *rt, const char *const *args, const char *log_file,
                       int console_fd, int lock_fd, bv_error **err)
{
    /* crun takes what stands before a colon for the kind of log. */
    bool is_crun = strncmp(bvi_oci_runtime_name(rt), "crun", 4) == 0;
    bvi_auto_free char *log = bvi_asprintf("%s%s", is_crun ? "file:" : "", log_file);
    const char *argv[8 + COMMAND_ARGS_MAX] = { rt->path, "--root",       rt->root, "--log",
                                               log,      "--log-format", "json" };
    bvi_spawn spawn = BVI_SPAWN_INIT;
    bvi_auto_close int pidfd = -1;
    pid_t pid = 0;
    int status = 0;
    int r;

    if (!log)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < COMMAND_ARGS_MAX && args[i]; i++)
        argv[7 + i] = args[i];
    spawn.argv = argv;
    spawn.stdout_fd = console_fd;
    spawn.stderr_fd = console_fd;
    spawn.keep_fds = &lock_fd;
    spawn.keep_count = lock_fd >= 0;
    spawn.new_session = true; /* the terminal of whoever started the host is not the node's */
    spawn.cover_unified_cgroup = rt->cover_unified;
    (void)unlink(log_file); /* an old message must not be taken for a new one; missing is usual */
    r = bvi_proc_spawn(&spawn, &pid, &pidfd, err);
    if (r == 0)
        r = wait_for(rt, args[0], pid, pidfd, &status, err);
    if (r < 0)
        return r;
    return status ? exit_failure(rt, args[0], status, log_file, err) : 0;
}

int bvi_oci_runtime_run(const bvi_oci_runtime *rt, const bvi_oci_run *run, bv_error **err)
{
    const char *detached[] = { "run",        "-d",          "--bundle", run->bundle,
                               "--pid-file", run->pid_file, run->id,    NULL };
    const char *waiting[] = { "run",         "--bundle", run->bundle, "--pid-file",
                              run->pid_file, run->id,    NULL };

    return run_command(rt, run->detach ? detached : waiting, run->log_file, run->console_fd,
                       run->lock_fd, err);
}

int bvi_oci_runtime_delete(const bvi_oci_runtime *rt, const char *id, const char *log_file,
                           int lock_fd, bv_error **err)
{
    bvi_auto_free char *record = bvi_path_join(rt->root, id, NULL);
    const char *args[] = { "delete", "--force", id, NULL };
    bvi_auto_error bv_error *why = NULL;
    int r;

    if (!record)
        return bvi_fail_nomem(err);
    if (!bvi_fs_is_dir(record))
        return 0;
    r = run_command(rt, args, log_file, -1, lock_fd, &why);
    /* A record without its status file, from a runtime killed at a bad moment, is one that runtimes
     * cannot read. By now nothing of the container lives, so it may go. */
    if (r == 0 || bvi_fs_remove_tree(record, NULL) == 0)
        return 0;
    return bvi_error_move(err, bvi_take(why));
}

int bvi_oci_runtime_exec_argv(const bvi_oci_runtime *rt, const char *id, bvi_strv *argv,
                              bv_error **err)
{
    static const char *const covered[] = {
        "unshare",
        "--mount",
        "--propagation",
        "slave",
        "sh",
        "-c",
        "mount -t tmpfs none /sys/fs/cgroup/unified && exec \"$0\" \"$@\"",
    };
    const char *plain[] = { rt->path, "--root", rt->root, "exec", id };
    int r = 0;

    for (size_t i = 0; rt->cover_unified && i < BVI_COUNT(covered) && r == 0; i++)
        r = bvi_strv_add(argv, covered[i]);
    for (size_t i = 0; i < BVI_COUNT(plain) && r == 0; i++)
        r = bvi_strv_add(argv, plain[i]);
    return r == 0            ? 0
           : r == BV_E_NOMEM ? bvi_fail_nomem(err)
                             : bvi_fail(err, r, "the argument list is full");
}
