/*
 * runner_payload.c - fork, hold, become the user, exec.
 *
 * The runner has one thread, so the child may allocate between fork and exec; what it allocates
 * costs the runner no memory. Users are looked up there for the same reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job/runner_payload.h"
#include "sys/user.h"

#define SHELL "/bin/sh"

enum step { STEP_NONE, STEP_SETUP, STEP_NO_USER, STEP_BECOME, STEP_EXEC };

typedef struct failure {
    int step;
    int errnum;
} failure;

extern char **environ;

/* ---- in the child ---- */

static int set_user_env(const bvi_user *user)
{
    const char *shell = *user->shell ? user->shell : SHELL;

    return setenv("HOME", user->home, 1) < 0 || setenv("USER", user->name, 1) < 0 ||
                   setenv("LOGNAME", user->name, 1) < 0 || setenv("SHELL", shell, 1) < 0
               ? -1
               : 0;
}

static int set_env(const bvi_runner_conf *conf)
{
    char mark[512];

    for (size_t i = 0; i < conf->env.len; i++) {
        /* putenv() keeps the pointer; the text lives until exec. */
        if (strchr(conf->env.items[i], '=') && putenv((char *)(uintptr_t)conf->env.items[i]) != 0)
            return -1;
    }
    (void)snprintf(mark, sizeof(mark), "%s:%s:%s", conf->name, conf->instance,
                   conf->run); /* cut when longer */
    return setenv(BVI_JOB_RUN_VARIABLE, mark, 1);
}

/* The user a payload runs as; NULL: the runner's. BV_USER is upstream's switch for a whole node. */
static const char *wanted_user(const bvi_runner_conf *conf)
{
    const char *node_user = getenv("BV_USER");

    return conf->run_as ? conf->run_as : node_user && *node_user ? node_user : NULL;
}

static enum step change_user(const char *name)
{
    bvi_user user;
    int r = bvi_user_find(name, NULL, NULL, &user, NULL);

    if (r < 0) {
        errno = r == BV_E_NOT_FOUND ? ENOENT : EIO;
        return STEP_NO_USER;
    }
    if (set_user_env(&user) < 0)
        return STEP_SETUP;
    r = bvi_user_become(&user);
    errno = -r;
    return r < 0 ? STEP_BECOME : STEP_NONE;
}

static void reset_signals(void)
{
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL); /* SIGKILL and SIGSTOP refuse, as they should */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
}

static int place_descriptors(int out_fd, int err_fd)
{
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null_fd < 0 || dup2(null_fd, 0) < 0)
        return -1;
    return dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0 ? -1 : 0;
}

static enum step child_steps(const bvi_runner_conf *conf, int out_fd, int err_fd, const char **argv)
{
    const char *user = wanted_user(conf);
    enum step step = STEP_NONE;

    if (setsid() < 0 || place_descriptors(out_fd, err_fd) < 0 || set_env(conf) < 0)
        return STEP_SETUP;
    if (user)
        step = change_user(user);
    if (step != STEP_NONE)
        return step;
    reset_signals();
    (void)execve(argv[0], (char *const *)(const void *)argv,
                 environ); /* comes back only when it failed */
    return STEP_EXEC;
}

static void fill_argv(const bvi_runner_conf *conf, const char **argv)
{
    size_t n = 0;

    if (conf->body) {
        argv[n++] = SHELL;
        argv[n++] = "-c";
        argv[n++] = conf->body;
    }
    for (size_t i = 0; i < conf->args.len; i++)
        argv[n++] = conf->args.items[i];
    argv[n] = NULL;
}

static void run_child(const bvi_runner_conf *conf, int hold_fd, int out_fd, int err_fd,
                      int report_fd) __attribute__((noreturn));
static void run_child(const bvi_runner_conf *conf, int hold_fd, int out_fd, int err_fd,
                      int report_fd)
{
    const char *argv[BVI_RUNNER_ARGS_MAX + 4];
    failure f = { 0 };
    char go = 0;
    ssize_t n;

    fill_argv(conf, argv);
    do {
        n = read(hold_fd, &go, 1);
    } while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(126); /* the runner died before it could write down who we are */
    f.step = (int)child_steps(conf, out_fd, err_fd, argv);
    f.errnum = errno;
    /* A pipe takes so few bytes at once; without a runner nobody wants to know. */
    (void)!write(report_fd, &f, sizeof(f));
    _exit(127);
}

/* ---- in the runner ---- */

static int make_pipe(int *read_end, int *write_end, int read_flags, bv_error **err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return bvi_fail_sys(err, errno, "cannot make a pipe");
    *read_end = ends[0];
    *write_end = ends[1];
    if (read_flags && fcntl(ends[0], F_SETFL, read_flags) < 0)
        return bvi_fail_sys(err, errno, "cannot set up a pipe");
    return 0;
}

static void drop_child(pid_t pid)
{
    (void)kill(pid, SIGKILL); /* ours and not reaped, so it is this process */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int bvi_payload_start(const bvi_runner_conf *conf, int lock_fd, bvi_payload *payload,
                      bv_error **err)
{
    bvi_auto_close int out_end = -1;
    bvi_auto_close int err_end = -1;
    bvi_auto_close int hold_end = -1;
    bvi_auto_close int report_end = -1;
    pid_t pid;
    int r = make_pipe(&payload->out_fd, &out_end, O_NONBLOCK, err);

    if (r == 0)
        r = make_pipe(&payload->err_fd, &err_end, O_NONBLOCK, err);
    if (r == 0)
        r = make_pipe(&hold_end, &payload->hold_fd, 0, err);
    if (r == 0)
        r = make_pipe(&payload->report_fd, &report_end, O_NONBLOCK, err);
    if (r < 0)
        return r;
    pid = fork();
    if (pid < 0)
        return bvi_fail_sys(err, errno, "cannot start a process");
    if (pid == 0) {
        (void)close(lock_fd);          /* so that the lock ends with the runner */
        (void)close(payload->hold_fd); /* so that its end is seen */
        run_child(conf, hold_end, out_end, err_end, report_end);
    }
    r = bvi_proc_identify(pid, &payload->id, err);
    if (r < 0)
        drop_child(pid);
    return r;
}

int bvi_payload_release(bvi_payload *payload, bv_error **err)
{
    char go = 1;
    ssize_t n;

    do {
        n = write(payload->hold_fd, &go, 1);
    } while (n < 0 && errno == EINTR);
    if (n != 1)
        return bvi_fail_sys(err, errno, "cannot let the process go on");
    bvi_closep(&payload->hold_fd);
    return 0;
}

static bool is_final(const failure *f)
{
    static const int final[] = { ENOENT, EACCES, ENOEXEC, ENOTDIR, ELOOP,
                                 E2BIG,  EISDIR, ELIBBAD, EPERM,   ENAMETOOLONG };

    for (size_t i = 0; i < BVI_COUNT(final); i++) {
        if (f->errnum == final[i])
            return true;
    }
    return f->step == STEP_NO_USER;
}

bool bvi_payload_failure(const bvi_payload *payload, const bvi_runner_conf *conf, char *text,
                         size_t size, bool *ret_final)
{
    const char *program = conf->body ? SHELL : conf->args.items[0];
    const char *user = wanted_user(conf);
    failure f;

    if (read(payload->report_fd, &f, sizeof(f)) != (ssize_t)sizeof(f))
        return false;
    *ret_final = is_final(&f);
    switch (f.step) {
    case STEP_NO_USER:
        (void)snprintf(text, size, "cant run as a '%s': user not found", user ? user : "");
        break;
    case STEP_BECOME:
        (void)snprintf(text, size, "cannot run as '%s': %s", user ? user : "", strerror(f.errnum));
        break;
    case STEP_EXEC:
        (void)snprintf(text, size, "cannot start '%s': %s", program, strerror(f.errnum));
        break;
    default:
        (void)snprintf(text, size, "cannot set up the process of the job: %s", strerror(f.errnum));
        break;
    }
    return true;
}

void bvi_payload_done(bvi_payload *payload)
{
    bvi_closep(&payload->out_fd);
    bvi_closep(&payload->err_fd);
    bvi_closep(&payload->hold_fd);
    bvi_closep(&payload->report_fd);
    payload->id = (bvi_proc_id){ 0 };
}
