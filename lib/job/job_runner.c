/*
 * job_runner.c - one job's life: leftovers, payload, output, restart or end.
 *
 * One thread, one poll() over the signal descriptor and the payload's two pipes (pump());
 * everything else is straight code around it. An idle runner sleeps without a timeout.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <blockvisor/guest.h>

#include "base/id.h"
#include "job/job_runner.h"
#include "job/runner_kill.h"
#include "sys/fs.h"

/* A line without an end is written after so long, so that a prompt shows. */
#define FLUSH_MS 500
/* How often processes that are not our children are looked at while they end. */
#define LOOK_MS 50
/* After SIGKILL; what is left then hangs in the kernel. */
#define KILL_MS 10000
/* Output that is still taken after the last process ended; a pipe holds no more. */
#define DRAIN_READS 256u
/* A payload ended by one of the stop signals: the same signal may be on its way to us. */
#define SAME_SIGNAL_MS 100

/* ---- time ---- */

static int64_t clock_ms(clockid_t id)
{
    struct timespec now = { 0 };

    (void)clock_gettime(id, &now); /* cannot fail for these clocks */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t now_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

static int64_t wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

static void event(bvi_job_runner *rn, const char *fmt, ...) BV_PRINTF(2, 3);
static void event(bvi_job_runner *rn, const char *fmt, ...)
{
    char text[BVI_EVENT_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args); /* cut when longer */
    va_end(args);
    bvi_events_append(rn->dir_fd, wall_ms(), text);
}

static void event_error(bvi_job_runner *rn, const char *what, const bv_error *err)
{
    char text[BVI_EVENT_TEXT_MAX];

    (void)bv_error_format(err, text, sizeof(text)); /* cut when longer */
    event(rn, "%s: %s", what, text);
}

/* ---- the pump ---- */

static void reap(bvi_job_runner *rn)
{
    int status = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != rn->payload.id.pid || rn->ended)
            continue; /* an adopted grandchild */
        rn->ended = true;
        rn->wait_status = status;
    }
}

static void take_signals(bvi_job_runner *rn)
{
    struct signalfd_siginfo info;

    while (read(rn->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue;
        rn->stop = true;
        if (info.ssi_signo == SIGQUIT)
            rn->force = true;
    }
    reap(rn);
}

/* One read; false when nothing is left (for now, or for ever: then the descriptor is closed). */
static bool take_output(bvi_job_runner *rn, unsigned stream)
{
    int *fd = stream == 0 ? &rn->payload.out_fd : &rn->payload.err_fd;
    ssize_t n;

    if (*fd < 0)
        return false;
    n = read(*fd, rn->chunk, sizeof(rn->chunk));
    if (n > 0)
        bvi_job_log_feed(&rn->log, stream, rn->chunk, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        bvi_closep(fd);
    return n > 0;
}

/* Waits for something, at most timeout_ms (-1: for ever), and deals with it. */
static void pump(bvi_job_runner *rn, int64_t timeout_ms)
{
    bool flush = bvi_job_log_holds(&rn->log) && (timeout_ms < 0 || timeout_ms > FLUSH_MS);
    struct pollfd fds[3] = {
        { .fd = rn->signal_fd, .events = POLLIN },
        { .fd = rn->payload.out_fd, .events = POLLIN }, /* poll() passes over -1 */
        { .fd = rn->payload.err_fd, .events = POLLIN },
    };
    int n = poll(fds, BVI_COUNT(fds),
                 flush                    ? FLUSH_MS
                 : timeout_ms > INT32_MAX ? INT32_MAX
                                          : (int)timeout_ms);

    if (n == 0 && flush)
        bvi_job_log_flush(&rn->log);
    if (n <= 0)
        return;
    if (fds[0].revents)
        take_signals(rn);
    for (unsigned i = 0; i < BVI_JOB_STREAMS; i++) {
        if (fds[i + 1].revents)
            (void)take_output(rn, i); /* more of it shows in the next round */
    }
}

static void drain_output(bvi_job_runner *rn)
{
    for (unsigned i = 0; i < BVI_JOB_STREAMS; i++) {
        for (unsigned n = 0; n < DRAIN_READS && take_output(rn, i); n++)
            ;
    }
    bvi_job_log_flush(&rn->log);
}

/* ---- ending processes ---- */

typedef enum target { DESCENDANTS, LEFTOVERS } target;

static void ids_done(bvi_proc_ids *ids)
{
    bvi_vec_done(ids);
}

static bool has_children(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int find(bvi_job_runner *rn, target what, bvi_proc_ids *ids, bv_error **err)
{
    return what == DESCENDANTS ? bvi_find_descendants(ids, err)
                               : bvi_find_leftovers(&rn->conf, &rn->state, ids, err);
}

/* Sends a signal to all; returns how many there are. A stopped process must go on to notice. */
static size_t signal_all(bvi_job_runner *rn, target what, int signum)
{
    BVI_AUTO(ids_done) bvi_proc_ids ids = BVI_VEC_INIT(BVI_KILL_MAX);
    bvi_auto_error bv_error *err = NULL;
    int r = find(rn, what, &ids, &err);

    if (r < 0)
        event_error(rn, "cannot look for the processes of the job", err);
    for (size_t i = 0; i < ids.len && signum; i++) {
        (void)bvi_proc_signal(&ids.items[i], signum,
                              NULL); /* gone, or not ours to signal: seen by who is left */
        if (signum != SIGKILL)
            (void)bvi_proc_signal(&ids.items[i], SIGCONT, NULL);
    }
    return ids.len;
}

static bool are_left(bvi_job_runner *rn, target what)
{
    return what == DESCENDANTS ? has_children() : signal_all(rn, what, 0) > 0;
}

static void kill_all(bvi_job_runner *rn, target what)
{
    int64_t give_up = now_ms() + KILL_MS;
    size_t left = 0;

    /* Again and again: new ones may be forked between looking and killing. */
    while (are_left(rn, what) && now_ms() < give_up) {
        left = signal_all(rn, what, SIGKILL);
        pump(rn, left ? LOOK_MS : 1);
        reap(rn);
    }
    if (are_left(rn, what))
        event(rn, "%zu processes of job '%s' could not be killed", left, rn->conf.name);
}

/* The job's signal, its time, then SIGKILL. */
static void end_processes(bvi_job_runner *rn, target what)
{
    int64_t deadline = now_ms() + (int64_t)rn->conf.shutdown_timeout_ms;

    if (!are_left(rn, what))
        return;
    if (!rn->force)
        (void)signal_all(rn, what, (int)rn->conf.shutdown_signal);
    reap(rn);
    while (!rn->force && now_ms() < deadline && are_left(rn, what)) {
        int64_t left = deadline - now_ms();

        pump(rn, what == LEFTOVERS && left > LOOK_MS ? LOOK_MS : left > 0 ? left : 0);
    }
    if (!are_left(rn, what))
        return;
    if (!rn->force)
        event(rn, "job '%s' did not end within %llu ms after %s, killing it", rn->conf.name,
              (unsigned long long)rn->conf.shutdown_timeout_ms,
              bvi_signal_name((int)rn->conf.shutdown_signal));
    kill_all(rn, what);
}

/* ---- state ---- */

/* Written before a payload may begin; on disk for good a moment later, when nobody waits for it. */
static int save_state(bvi_job_runner *rn, bool sync, bv_error **err)
{
    return bvi_runner_state_save(rn->dir_fd, &rn->state, sync, err);
}

static void begin_state(bvi_job_runner *rn)
{
    bvi_runner_state old = { 0 };

    /* Missing or damaged: as if it had never run. The marks in the environment still find
     * leftovers. */
    if (bvi_runner_state_load(rn->dir_fd, &old, NULL) == 0)
        rn->state = old;
    if (rn->conf.is_restart)
        bvi_restarts_add(&rn->state.restarts, wall_ms());
}

static void own_state(bvi_job_runner *rn)
{
    bvi_boot_id(rn->state.boot);
    (void)bvi_proc_identify(getpid(), &rn->state.runner, NULL); /* we are alive */
    rn->state.payload = (bvi_proc_id){ 0 };
    rn->state.clean = false;
}

static void end_state(bvi_job_runner *rn)
{
    rn->state.payload = (bvi_proc_id){ 0 };
    rn->state.clean = true;
    (void)save_state(rn, false, NULL); /* else the next runner looks for leftovers and finds none */
}

/* ---- one run of the payload ---- */

static int launch(bvi_job_runner *rn, bv_error **err)
{
    int r;

    rn->payload = (bvi_payload)BVI_PAYLOAD_INIT;
    rn->ended = false;
    bvi_runner_reset_reports(rn->dir_fd);
    bvi_backoff_start(&rn->backoff, now_ms());
    r = bvi_payload_start(&rn->conf, rn->lock_fd, &rn->payload, err);
    if (r < 0)
        return r;
    rn->state.payload = rn->payload.id;
    rn->state.payload_started_ms = wall_ms();
    r = save_state(rn, false, err);
    if (r == 0)
        r = bvi_payload_release(&rn->payload, err);
    if (r < 0) {
        bvi_closep(&rn->payload.hold_fd); /* the payload ends by itself */
        return r;
    }
    (void)save_state(
        rn, true,
        NULL); /* it is written already; this makes the restart counts outlive a loss of power */
    return 0;
}

static void describe_exit(bvi_job_runner *rn, bvi_job_outcome *out)
{
    int status = rn->wait_status;

    if (bvi_payload_failure(&rn->payload, &rn->conf, out->message, sizeof(out->message),
                            &out->final))
        return;
    out->has_code = WIFEXITED(status);
    out->code = out->has_code ? WEXITSTATUS(status) : 0;
    if (bvi_runner_take_message(rn->dir_fd, rn->conf.name, out->has_code && out->code == 0,
                                out->message, sizeof(out->message))) {
        out->said = true;
        out->final = rn->conf.args.len && out->code == BV_GUEST_EXIT_REFUSED;
        /* An archive job has no exit code of its own: upstream says -1. */
        out->code = out->code && rn->conf.args.len ? -1 : out->code;
        return;
    }
    if (WIFSIGNALED(status))
        (void)snprintf(out->message, sizeof(out->message), "job '%s' was killed by %s%s",
                       rn->conf.name, bvi_signal_name(WTERMSIG(status)),
                       WCOREDUMP(status) ? " (core dumped)" : "");
    else
        (void)snprintf(out->message, sizeof(out->message), "job '%s' exited with code %d",
                       rn->conf.name, out->code);
}

/* When everything in the container gets the same signal, the payload may be faster than we are. */
static void wait_for_same_signal(bvi_job_runner *rn)
{
    int signum = WIFSIGNALED(rn->wait_status) ? WTERMSIG(rn->wait_status) : 0;
    int64_t until = now_ms() + SAME_SIGNAL_MS;

    if (signum != SIGTERM && signum != SIGINT && signum != SIGHUP && signum != SIGQUIT)
        return;
    while (!rn->stop && now_ms() < until)
        pump(rn, until - now_ms());
}

static void run_payload(bvi_job_runner *rn, bvi_job_outcome *out)
{
    bvi_auto_error bv_error *err = NULL;

    *out = (bvi_job_outcome){ 0 };
    if (launch(rn, &err) < 0) {
        char text[512];

        (void)bv_error_format(err, text, sizeof(text)); /* cut when longer */
        (void)snprintf(out->message, sizeof(out->message), "failed to spawn job '%s': %s",
                       rn->conf.name, text);
    } else {
        while (!rn->ended && !rn->stop)
            pump(rn, -1);
        if (rn->ended)
            wait_for_same_signal(rn);
    }
    end_processes(rn, DESCENDANTS);
    drain_output(rn);
    if (!err && rn->ended)
        describe_exit(rn, out);
    bvi_payload_done(&rn->payload);
}

/* ---- the restart decision ---- */

static void finish(bvi_job_runner *rn, const bvi_job_outcome *out, const char *message)
{
    bvi_auto_error bv_error *err = NULL;

    if (bvi_runner_finish(rn->dir_fd, &rn->conf, out->has_code, out->code, message, wall_ms(),
                          &err) < 0)
        event_error(rn, "cannot write the status of the job", err);
}

static void wait_before_restart(bvi_job_runner *rn, const bvi_job_outcome *out,
                                const bvi_decision *d)
{
    int64_t until = now_ms() + (int64_t)d->wait_ms;

    event(rn, "restarting in %llu ms: %s%s", (unsigned long long)d->wait_ms, out->message,
          d->looping ? " (crash loop: it ends again and again)" : "");
    while (!rn->stop && now_ms() < until)
        pump(rn, until - now_ms());
    if (!rn->stop)
        bvi_restarts_add(&rn->state.restarts, wall_ms());
}

/* True: run it again. */
static bool decide(bvi_job_runner *rn, const bvi_job_outcome *out)
{
    bool succeeded = out->has_code && out->code == 0;
    uint32_t random = 0;
    bvi_decision d;

    (void)bvi_random_bytes(&random, sizeof(random), NULL); /* without it there is no jitter */
    d = bvi_backoff_end(&rn->backoff, &rn->conf.restart, &rn->state.restarts, succeeded, now_ms(),
                        wall_ms(), random);
    if (out->final)
        d = (bvi_decision){ .verdict = BVI_VERDICT_FAILED, .report = true };
    switch (d.verdict) {
    case BVI_VERDICT_FINISHED:
        /* Success has no message, except what the payload itself left. */
        finish(rn, out, out->said ? out->message : "");
        return false;
    case BVI_VERDICT_FAILED:
        event(rn, "%s%s", out->message, d.limit ? " (no more restarts)" : "");
        finish(rn, out, out->message);
        return false;
    case BVI_VERDICT_RESTART:
        wait_before_restart(rn, out, &d);
        return !rn->stop;
    }
    return false;
}

static void run_job(bvi_job_runner *rn)
{
    do {
        run_payload(rn, &rn->outcome);
    } while (!rn->stop && decide(rn, &rn->outcome));
}

/* ---- start ---- */

static int take_over_signals(bvi_job_runner *rn)
{
    static const int wanted[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD };
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < BVI_COUNT(wanted); i++)
        (void)sigaddset(&set, wanted[i]);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
        return -1;
    rn->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return rn->signal_fd;
}

/* 0 to 2 must be something, or a pipe gets one of these numbers. */
static int fill_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= 2);
    if (fd >= 0)
        (void)close(fd); /* not needed */
    return fd;
}

/* A configuration that cannot be read is a result, or the manager would start us again and again.
 */
static int load_conf(bvi_job_runner *rn, bool clean_only)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_job_outcome *out = &rn->outcome;
    int r = bvi_runner_conf_load(rn->dir_fd, &rn->conf, &err);

    if (r == 0)
        return 0;
    event_error(rn, "cannot read the runner's configuration", err);
    if (clean_only)
        return r;
    (void)bv_error_format(err, out->message, sizeof(out->message)); /* cut when longer */
    finish(rn, out, out->message);
    return r;
}

static bool begin_one_time(bvi_job_runner *rn)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_job_outcome *out = &rn->outcome;
    bool run = false;
    int r;

    if (!rn->conf.one_time)
        return true;
    r = bvi_one_time_begin(rn->dir_fd, &rn->conf, wall_ms(), &run, &err);
    rn->one_time_begun = r == 0 && run;
    if (r == 0)
        return run;
    (void)bv_error_format(err, out->message, sizeof(out->message)); /* cut when longer */
    event(rn, "%s", out->message);
    finish(rn, out, out->message);
    return false;
}

static bool touch_data_lock(bvi_job_runner *rn)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_job_outcome *out = &rn->outcome;

    if (!rn->conf.data_lock || bvi_fs_touch(rn->conf.data_lock, &err) == 0)
        return true;
    (void)bv_error_format(err, out->message, sizeof(out->message)); /* cut when longer */
    event(rn, "%s", out->message);
    finish(rn, out, out->message);
    return false;
}

static int run(bvi_job_runner *rn, bool clean_only)
{
    if (load_conf(rn, clean_only) < 0)
        return clean_only ? BVI_RUNNER_EXIT_FAILED : BVI_RUNNER_EXIT_OK;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        event(rn, "cannot become a child subreaper: %s", strerror(errno));
    begin_state(rn);
    if (!rn->state.clean)
        end_processes(rn, LEFTOVERS);
    own_state(rn);
    bvi_job_log_init(&rn->log, rn->dir_fd, rn->conf.log_capacity_bytes, rn->conf.log_timestamp);
    if (!clean_only && !rn->stop && begin_one_time(rn) && touch_data_lock(rn))
        run_job(rn);
    if (rn->stop && rn->one_time_begun)
        bvi_one_time_interrupted(&rn->conf);
    bvi_job_log_done(&rn->log);
    end_state(rn);
    return BVI_RUNNER_EXIT_OK;
}

static bool parse_args(bvi_job_runner *rn, int argc, char **argv, bool *ret_clean_only)
{
    bool has_run = argc == 4 && strcmp(argv[2], "--run") == 0;
    bool has_kill = argc == 3 && strcmp(argv[2], "--kill") == 0;
    bool has_clean = argc == 3 && strcmp(argv[2], "--clean") == 0;

    rn->force = has_kill;
    rn->run = has_run ? argv[3] : NULL;
    *ret_clean_only = has_kill || has_clean;
    return argc == 2 || has_run || has_kill || has_clean;
}

/* Looked at under the lock: whoever changes the intent looks at the lock afterwards, so one of us
 * sees the other. */
static bool is_wanted(bvi_job_runner *rn)
{
    char wanted[BVI_INSTANCE_SIZE];

    if (!rn->run)
        return true;
    return bvi_intent_load(rn->dir_fd, wanted) == BVI_INTENT_RUN && strcmp(wanted, rn->run) == 0;
}

int bvi_job_runner_main(bvi_job_runner *runner, int argc, char **argv)
{
    static const char usage[] =
        "Usage: babel_job_runner JOB_DIRECTORY [--run ID | --clean | --kill]\n";
    bool clean_only = false;
    int r;

    runner->lock_fd = runner->signal_fd = -1;
    runner->conf = (bvi_runner_conf)BVI_RUNNER_CONF_INIT;
    runner->payload = (bvi_payload)BVI_PAYLOAD_INIT;
    runner->log.fd = -1;
    if (!parse_args(runner, argc, argv, &clean_only)) {
        (void)bvi_fs_write_all(STDERR_FILENO, usage,
                               sizeof(usage) - 1); /* nothing to do about a failure */
        return BVI_RUNNER_EXIT_USAGE;
    }
    (void)setsid(); /* fails when we lead a session already, which is what we want */
    if (fill_standard_descriptors() < 0 || take_over_signals(runner) < 0)
        return BVI_RUNNER_EXIT_FAILED;
    runner->dir_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (runner->dir_fd < 0)
        return BVI_RUNNER_EXIT_FAILED;
    r = bvi_runner_lock(runner->dir_fd, &runner->lock_fd, NULL);
    if (r < 0)
        return r == BV_E_BUSY ? BVI_RUNNER_EXIT_BUSY : BVI_RUNNER_EXIT_FAILED;
    if (!clean_only && !is_wanted(runner))
        return BVI_RUNNER_EXIT_OK;
    return run(runner, clean_only);
}
