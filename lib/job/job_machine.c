/*
 * job_machine.c - one job in time: a table of states x events, and the process it watches.
 *
 * The process is a runner, or a cleaner (the same program, told only to end what an earlier runner
 * left behind). What matters is on disk before anything is done about it: the intent before a
 * signal, the absence of a status before a start. So the manager may die between any two lines
 * here, and bvi_job_restore() goes on from there.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/id.h"
#include "job/manager_impl.h"
#include "sys/fs.h"
#include "sys/proc.h"

#define US_PER_MS 1000
/* A forced stop: the runner itself gives SIGKILL ten seconds. */
#define FORCE_MS 12000
/* After SIGKILL to the runner it is gone at once, or hangs in the kernel. */
#define KILLED_MS 5000
/* A runner signs its lock within microseconds; so often, in so many steps, we look again. */
#define LOOK_MS   50
#define LOOKS_MAX 200u

static const bvi_name state_names[] = {
    { BVI_JS_STOPPED, "stopped" },   { BVI_JS_PENDING, "pending" },
    { BVI_JS_ACTIVE, "active" },     { BVI_JS_WAITING, "waiting" },
    { BVI_JS_STOPPING, "stopping" }, { BVI_JS_FINISHED, "finished" },
    { BVI_JS_RESUME, "resume" },     { 0, NULL },
};

const char *bvi_jstate_name(bvi_jstate state)
{
    return bvi_name_of(state_names, (int)state);
}

bool bvi_job_is_active(const bvi_job *job)
{
    return job->state == BVI_JS_ACTIVE || job->state == BVI_JS_WAITING ||
           job->state == BVI_JS_STOPPING;
}

/* ---- small helpers ---- */

static void set_state(bvi_job *job, bvi_jstate state)
{
    if (bvi_log_on(job->manager->ctx, BV_LOG_DEBUG))
        bvi_log_full(job->manager->ctx, BV_LOG_DEBUG, "job", NULL, job->name, "%s -> %s",
                     bvi_jstate_name(job->state), bvi_jstate_name(state));
    job->state = state;
    bvi_manager_changed(job);
}

static void event(bvi_job *job, const char *text)
{
    bvi_events_append(job->dir_fd, bvi_manager_wall_ms(job->manager), text);
}

/* An error nobody asked for: into the job's events and to whoever looks after the node. */
static void report(bvi_job *job, const char *what, bv_error *err)
{
    bvi_auto_free char *text = bvi_error_text(err);

    bvi_manager_trouble(job->manager, job->name, "job '%s': %s: %s", job->name, what,
                        text ? text : "out of memory");
    event(job, text ? text : what);
    bv_error_free(err);
}

static void set_timer(bvi_job *job, int64_t ms)
{
    bv_error *err = NULL;

    if (bvi_timer_set(job->timer, ms * US_PER_MS, &err) < 0)
        report(job, "cannot set its timer", err);
}

/* A final state, on disk if the disk lets us; in memory in any case. */
static void put_final(bvi_job *job, bvi_job_state state, bool has_code, int code,
                      const char *message)
{
    bv_error *err = NULL;

    if (bvi_job_put_status(job, state, has_code, code, message, &err) < 0) {
        report(job, "cannot keep its status", err);
        bvi_job_status_done(&job->status);
        job->status.state = state;
        job->status.has_exit_code = has_code;
        job->status.exit_code = code;
        job->status.message = bvi_strdup(message ? message : ""); /* NULL reads as no message */
        job->status.time_ms = bvi_manager_wall_ms(job->manager);
    }
    set_state(job, state == BVI_JOB_STOPPED ? BVI_JS_STOPPED : BVI_JS_FINISHED);
}

/* ---- the watched process ---- */

static void forget_process(bvi_job *job)
{
    bvi_watch_free(job->watch);
    job->watch = NULL;
    bvi_closep(&job->pidfd);
    job->runner = (bvi_proc_id){ 0 };
    job->is_child = false;
}

static void on_process(bvi_watch *watch, int fd, unsigned events, void *data)
{
    bvi_job *job = data;
    int status = -1;

    (void)watch;
    (void)fd;
    (void)events;
    if (job->is_child && waitpid(job->runner.pid, &status, WNOHANG) == 0)
        return; /* not yet */
    job->exit_status = job->is_child ? status : -1;
    forget_process(job);
    (void)bvi_job_handle(job, BVI_JE_GONE, NULL); /* GONE never refuses */
}

static int watch_process(bvi_job *job, bv_error **err)
{
    return bvi_watch_new(job->manager->ctx, job->pidfd, BV_IO_IN, on_process, job, &job->watch,
                         err);
}

static int spawn(bvi_job *job, const char *option, const char *value, bv_error **err)
{
    bvi_job_manager *m = job->manager;
    const char *const argv[] = { m->runner_path, job->dir, option, value, NULL };
    bvi_spawn how = BVI_SPAWN_INIT;
    int r;

    how.argv = argv;
    how.env = m->has_env ? (const char *const *)m->env.items : NULL;
    how.new_session = true;
    forget_process(job);
    r = bvi_proc_spawn(&how, &job->runner.pid, &job->pidfd, err);
    if (r < 0)
        return r;
    job->is_child = true;
    (void)bvi_proc_identify(job->runner.pid, &job->runner,
                            NULL); /* gone already: the pidfd says so */
    r = watch_process(job, err);
    if (r < 0) {
        (void)bvi_pidfd_signal(job->pidfd, SIGKILL); /* unwatched it must not live */
        forget_process(job);
    }
    return r;
}

/* A runner that another manager started, or that was quicker than ours. False: there is none. */
static bool adopt(bvi_job *job)
{
    bvi_proc_id id = { 0 };
    bv_error *err = NULL;

    forget_process(job);
    if (!bvi_runner_is_locked(job->dir_fd, &id))
        return false;
    if (id.pid && bvi_proc_open(&id, &job->pidfd, NULL) == 0) {
        job->runner = id;
        if (watch_process(job, &err) == 0)
            return true;
        report(job, "cannot watch its runner", err);
        bvi_closep(&job->pidfd);
    }
    /* It has not signed yet, or has just gone. */
    set_timer(job, LOOK_MS);
    return true;
}

static void signal_process(bvi_job *job, int signum)
{
    if (job->pidfd >= 0)
        (void)bvi_pidfd_signal(job->pidfd, signum); /* gone: its end is about to be seen */
}

/* ---- reaching the goal of a stop ---- */

static int replace(bvi_job *job, bv_error **err)
{
    bvi_auto_json bvi_json *document = bvi_take(job->replacement);

    return bvi_job_install(job, document, err);
}

static void restore_pending(bvi_job *job, bool found);

/* After a shutdown: as it was, except that it may have become final in the last moment. */
static void resume(bvi_job *job)
{
    bool found = false;

    if (bvi_job_get_status(job, &found, NULL) == 0 && found &&
        job->status.state == BVI_JOB_FINISHED)
        set_state(job, BVI_JS_FINISHED);
    else if (job->manager->shut_down)
        set_state(job, BVI_JS_RESUME);
    else
        restore_pending(job, found); /* loaded again meanwhile */
}

/* Nothing of the job lives any more. err: why that may not be so; taken over. */
static void reach_goal(bvi_job *job, bv_error *err)
{
    bvi_goal goal = job->goal;
    int r = 0;

    bvi_timer_clear(job->timer);
    job->force = false;
    switch (goal) {
    case BVI_GOAL_RESUME:
        resume(job);
        break;
    case BVI_GOAL_FAILED:
        put_final(job, BVI_JOB_FINISHED, false, 0, job->why ? job->why : "out of memory");
        break;
    case BVI_GOAL_STOPPED:
        put_final(job, BVI_JOB_STOPPED, false, 0, NULL);
        break;
    case BVI_GOAL_SKIPPED:
        put_final(job, BVI_JOB_FINISHED, true, 0, "Skipped");
        break;
    case BVI_GOAL_REPLACED:
        put_final(job, BVI_JOB_STOPPED, false, 0, NULL);
        r = err ? 0 : replace(job, &err);
        break;
    case BVI_GOAL_DELETED:
        put_final(job, BVI_JOB_STOPPED, false, 0, NULL);
        r = err ? -1 : bvi_job_remove(job, &err);
        break;
    }
    bvi_manager_tell(job, err);
    if (goal == BVI_GOAL_DELETED && r == 0)
        bvi_job_forget(job);
}

/* After the runner: what it may have left behind. */
static void clean(bvi_job *job)
{
    bool hard = job->force || job->step == BVI_STEP_KILLED;
    bool cleaned = job->step == BVI_STEP_CLEANING;
    bv_error *err = NULL;

    if (!bvi_job_is_dirty(job)) {
        reach_goal(job, NULL);
        return;
    }
    job->step = BVI_STEP_CLEANING;
    if (!cleaned && spawn(job, hard ? "--kill" : "--clean", NULL, &err) == 0) {
        set_timer(job, hard ? FORCE_MS
                            : job->config->shutdown_timeout_secs * 1000LL + BVI_JOB_STOP_MARGIN_MS);
        return;
    }
    if (cleaned)
        (void)bvi_fail(&err, BV_E_IO, "the cleaner failed");
    (void)bvi_wrap(&err, bv_error_code(err),
                   "the runner of job '%s' ended unexpectedly, its processes may live on",
                   job->name);
    reach_goal(job, err);
}

/* ---- actions: what an event does in a state. 0, or a refusal for the operator ---- */

typedef int (*action)(bvi_job *job, bv_error **err);

static int none(bvi_job *job, bv_error **err)
{
    (void)job;
    (void)err;
    return 0;
}

static int refuse(bvi_job *job, bv_error **err)
{
    return bvi_fail(err, BV_E_BUSY, "job '%s' is being stopped: try again when that is done",
                    job->name);
}

/* START of an inactive job. */
static int begin(bvi_job *job, bv_error **err)
{
    bool failed = job->state == BVI_JS_FINISHED && !bvi_job_status_succeeded(&job->status);
    int r = bvi_job_put_status(job, BVI_JOB_PENDING, false, 0, NULL, err);

    if (r == 0)
        r = bvi_intent_save(job->dir_fd, BVI_INTENT_RUN, NULL, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot start job '%s'", job->name);
    job->again = job->config->one_time && failed;
    job->backoff.counter = 0;
    set_state(job, BVI_JS_PENDING);
    return 0;
}

static void launch_failed(bvi_job *job, bv_error *err)
{
    bvi_auto_free char *text = bvi_error_text(err);
    bvi_auto_free char *message =
        bvi_asprintf("failed to start job '%s': %s", job->name, text ? text : "");

    event(job, message ? message : "failed to start");
    put_final(job, BVI_JOB_FINISHED, false, 0, message ? message : "failed to start");
    bv_error_free(err);
}

/* From here on the job must run: no status says so to whoever comes after us. */
static void start_runner(bvi_job *job, bool is_restart)
{
    char run[BVI_INSTANCE_SIZE];
    bv_error *err = NULL;
    int r = bvi_job_write_conf(job, is_restart, run, &err);

    if (r == 0)
        r = bvi_intent_save(job->dir_fd, BVI_INTENT_RUN, run, &err);
    if (r == 0)
        r = bvi_job_drop_status(job, &err);
    if (r == 0) {
        bvi_backoff_start(&job->backoff, bvi_ctx_now_us(job->manager->ctx) / US_PER_MS);
        r = spawn(job, "--run", run, &err);
    }
    if (r < 0) {
        launch_failed(job, err);
        return;
    }
    job->again = false;
    job->looks = 0;
    job->status.time_ms = bvi_manager_wall_ms(job->manager);
    set_state(job, BVI_JS_ACTIVE);
}

/* READY of a pending job. */
static int launch(bvi_job *job, bv_error **err)
{
    (void)err;
    start_runner(job, false);
    return 0;
}

/* DUE of a job whose runner vanished. */
static int relaunch(bvi_job *job, bv_error **err)
{
    (void)err;
    start_runner(job, true);
    return 0;
}

/* UNMET of a pending job. */
static int fail_pending(bvi_job *job, bv_error **err)
{
    (void)err;
    event(job, job->why ? job->why : "out of memory");
    put_final(job, BVI_JOB_FINISHED, false, 0, job->why ? job->why : "out of memory");
    return 0;
}

static int64_t stop_budget_ms(const bvi_job *job)
{
    return job->force ? FORCE_MS
                      : job->config->shutdown_timeout_secs * 1000LL + BVI_JOB_STOP_MARGIN_MS;
}

/* STOP or SHUTDOWN of an active job. */
static int halt(bvi_job *job, bv_error **err)
{
    (void)err;
    job->step = BVI_STEP_ASKED;
    job->looks = 0;
    set_state(job, BVI_JS_STOPPING);
    if (job->pidfd < 0 && !adopt(job)) {
        clean(job); /* no runner: it vanished and none came yet */
        return 0;
    }
    signal_process(job, job->force ? SIGQUIT : SIGTERM);
    if (job->pidfd >= 0)
        set_timer(job, stop_budget_ms(job));
    return 0;
}

/* STOP of an inactive job. A runner may have come to itself only now, after its manager died: it
 * saw the old intent. */
static int settle(bvi_job *job, bv_error **err)
{
    bvi_proc_id id;

    if (bvi_runner_is_locked(job->dir_fd, &id))
        return halt(job, err);
    reach_goal(job, NULL);
    return 0;
}

/* STOP or SHUTDOWN while stopping: the goal is set already; more force is passed on. */
static int hasten(bvi_job *job, bv_error **err)
{
    (void)err;
    if (job->force && job->step != BVI_STEP_KILLED) {
        signal_process(job, SIGQUIT);
        set_timer(job, FORCE_MS);
    }
    return 0;
}

/* DUE while stopping: a runner that had not signed is looked for again; one that takes too long is
 * killed. */
static int escalate(bvi_job *job, bv_error **err)
{
    (void)err;
    if (job->pidfd < 0) {
        if (job->looks++ >= LOOKS_MAX || !adopt(job))
            clean(job);
        else if (job->pidfd >= 0) {
            signal_process(job, job->force ? SIGQUIT : SIGTERM);
            set_timer(job, stop_budget_ms(job));
        }
        return 0;
    }
    if (job->step == BVI_STEP_KILLED) {
        bv_error *stuck = NULL;

        (void)bvi_fail(&stuck, BV_E_TIMEOUT, "the runner of job '%s' (pid %d) cannot be killed",
                       job->name, (int)job->runner.pid);
        forget_process(job);
        reach_goal(job, stuck);
        return 0;
    }
    event(job, "the runner did not end in time and is killed");
    job->step = job->step == BVI_STEP_CLEANING ? BVI_STEP_CLEANING : BVI_STEP_KILLED;
    signal_process(job, SIGKILL);
    set_timer(job, KILLED_MS);
    return 0;
}

/* GONE while stopping. */
static int stopped(bvi_job *job, bv_error **err)
{
    (void)err;
    if (job->step != BVI_STEP_CLEANING &&
        adopt(job)) { /* another runner took its place in that moment */
        signal_process(job, job->force ? SIGQUIT : SIGTERM);
        return 0;
    }
    clean(job);
    return 0;
}

static char *describe_runner_end(const bvi_job *job)
{
    int status = job->exit_status;

    if (status < 0)
        return bvi_asprintf("babel_job_runner process of job '%s' ended unexpectedly", job->name);
    if (WIFSIGNALED(status))
        return bvi_asprintf("babel_job_runner process of job '%s' ended unexpectedly: killed by %s",
                            job->name, bvi_signal_name(WTERMSIG(status)));
    return bvi_asprintf(
        "babel_job_runner process of job '%s' ended unexpectedly: exited with status %d", job->name,
        WEXITSTATUS(status));
}

/* A runner ended without a status: the job's own policy decides, with its back-off. */
static void vanished(bvi_job *job)
{
    bvi_job_manager *m = job->manager;
    bvi_runner_state state = { 0 };
    uint32_t random = 0;
    bvi_decision d;

    bvi_free(job->why);
    job->why = describe_runner_end(job);
    event(job, job->why ? job->why : "out of memory");
    bvi_manager_trouble(m, job->name, "%s", job->why ? job->why : "out of memory");
    (void)bvi_runner_state_load(job->dir_fd, &state, NULL); /* none: no restarts so far */
    (void)bvi_random_bytes(&random, sizeof(random), NULL);  /* without it there is no jitter */
    d = bvi_backoff_end(&job->backoff, &job->config->restart, &state.restarts, false,
                        bvi_ctx_now_us(m->ctx) / US_PER_MS, bvi_manager_wall_ms(m), random);
    if (d.verdict == BVI_VERDICT_RESTART) {
        set_state(job, BVI_JS_WAITING);
        set_timer(job, (int64_t)d.wait_ms);
        return;
    }
    job->goal = BVI_GOAL_FAILED;
    job->step = BVI_STEP_ASKED;
    set_state(job, BVI_JS_STOPPING);
    clean(job);
}

/* GONE of an active job. */
static int ended(bvi_job *job, bv_error **err)
{
    bv_error *why = NULL;
    bool found = false;

    (void)err;
    if (job->looks < LOOKS_MAX && adopt(job))
        return 0; /* ours found the place taken */
    if (bvi_job_get_status(job, &found, &why) < 0)
        report(job, "cannot read its status", why);
    if (found && job->status.state == BVI_JOB_FINISHED) {
        set_state(job, BVI_JS_FINISHED);
        return 0;
    }
    vanished(job);
    return 0;
}

/* DUE of an active job: its runner had not signed when we looked. */
static int look_again(bvi_job *job, bv_error **err)
{
    if (job->pidfd >= 0)
        return 0;
    if (job->looks++ < LOOKS_MAX && adopt(job))
        return 0;
    job->exit_status = -1;
    return ended(job, err);
}

static const action actions[BVI_JS_COUNT][BVI_JE_COUNT] = {
    /*                     START   STOP    SHUTDOWN  READY   UNMET         GONE     DUE */
    [BVI_JS_STOPPED] = { begin, settle, none, none, none, none, none },
    [BVI_JS_PENDING] = { none, settle, none, launch, fail_pending, none, none },
    [BVI_JS_ACTIVE] = { none, halt, halt, none, none, ended, look_again },
    [BVI_JS_WAITING] = { none, halt, halt, none, none, none, relaunch },
    [BVI_JS_STOPPING] = { refuse, hasten, hasten, none, none, stopped, escalate },
    [BVI_JS_FINISHED] = { begin, settle, none, none, none, none, none },
    [BVI_JS_RESUME] = { begin, settle, none, none, none, none, none },
};

int bvi_job_table(bvi_jstate state, bvi_jevent event)
{
    action a = actions[state][event];

    return a == none ? 0 : a == refuse ? 2 : 1;
}

int bvi_job_handle(bvi_job *job, bvi_jevent event, bv_error **err)
{
    return actions[job->state][event](job, err);
}

/* ---- wishes ---- */

static bvi_intent intent_of(bvi_goal goal)
{
    return goal == BVI_GOAL_SKIPPED ? BVI_INTENT_SKIP : BVI_INTENT_STOP;
}

int bvi_job_want(bvi_job *job, bvi_goal goal, bool force, bvi_waiter *waiter, bv_error **err)
{
    bool stopping = job->state == BVI_JS_STOPPING;
    int r = 0;

    /* Between stop and skip the last word counts; otherwise a weaker wish is part of a stronger
     * one. */
    if (stopping && goal < job->goal &&
        !(goal == BVI_GOAL_STOPPED && job->goal == BVI_GOAL_SKIPPED))
        goal = job->goal;
    if (goal > BVI_GOAL_FAILED)
        r = bvi_intent_save(job->dir_fd, intent_of(goal), NULL, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot stop job '%s'", job->name);
    job->goal = goal;
    job->force = force || (stopping && job->force);
    if (waiter) {
        waiter->next = job->waiters;
        job->waiters = waiter;
    }
    return bvi_job_handle(job, goal == BVI_GOAL_RESUME ? BVI_JE_SHUTDOWN : BVI_JE_STOP, err);
}

void bvi_job_fail(bvi_job *job, char *why)
{
    bvi_free(job->why);
    job->why = why;
    (void)bvi_job_handle(job, BVI_JE_UNMET, NULL); /* UNMET never refuses */
}

/* ---- coming back ---- */

static void on_timer(bvi_timer *timer, void *data)
{
    (void)timer;
    (void)bvi_job_handle(data, BVI_JE_DUE, NULL); /* DUE never refuses */
}

/* A runner lives: it is watched again, and a stop that was under way goes on. */
static void restore_active(bvi_job *job, bvi_intent intent)
{
    bvi_runner_state state = { 0 };

    job->status.time_ms = bvi_manager_wall_ms(job->manager);
    if (bvi_runner_state_load(job->dir_fd, &state, NULL) == 0 && state.payload_started_ms)
        job->status.time_ms = state.payload_started_ms;
    bvi_backoff_start(&job->backoff, bvi_ctx_now_us(job->manager->ctx) / US_PER_MS);
    job->looks = 0;
    set_state(job, BVI_JS_ACTIVE);
    if (intent != BVI_INTENT_STOP && intent != BVI_INTENT_SKIP)
        return;
    job->goal = intent == BVI_INTENT_SKIP ? BVI_GOAL_SKIPPED : BVI_GOAL_STOPPED;
    (void)halt(job, NULL); /* never refuses */
}

/* The operator's last wish was an end. Leftovers of a runner that died meanwhile are ended first.
 */
static void restore_ended(bvi_job *job, bvi_intent intent, bool found)
{
    bool skipped = intent == BVI_INTENT_SKIP;

    job->goal = skipped ? BVI_GOAL_SKIPPED : BVI_GOAL_STOPPED;
    if (bvi_job_is_dirty(job)) {
        job->step = BVI_STEP_ASKED;
        set_state(job, BVI_JS_STOPPING);
        clean(job);
    } else if (found && job->status.state == (skipped ? BVI_JOB_FINISHED : BVI_JOB_STOPPED)) {
        set_state(job, skipped ? BVI_JS_FINISHED : BVI_JS_STOPPED);
    } else {
        reach_goal(job, NULL);
    }
}

static void restore_pending(bvi_job *job, bool found)
{
    bv_error *err = NULL;

    /* Kept, so that its time is that of the request. */
    if (!(found && job->status.state == BVI_JOB_PENDING) &&
        bvi_job_put_status(job, BVI_JOB_PENDING, false, 0, NULL, &err) < 0)
        report(job, "cannot keep its status", err);
    set_state(job, BVI_JS_PENDING);
}

/* No runner holds the lock, but one may be on its way, started by a manager that then died. From
 * now on it is not the one that is meant. True: it was quicker. */
static bool call_off(bvi_job *job)
{
    bv_error *err = NULL;

    if (bvi_intent_save(job->dir_fd, BVI_INTENT_RUN, NULL, &err) < 0)
        report(job, "cannot keep what it is meant to do", err);
    return adopt(job);
}

static void restore_running(bvi_job *job, bool found)
{
    if (call_off(job)) {
        restore_active(job, BVI_INTENT_RUN);
    } else if (!found && bvi_job_is_dirty(job)) {
        job->exit_status = -1;
        vanished(job); /* while nobody looked */
    } else {
        restore_pending(job, found);
    }
}

static void restore_inactive(bvi_job *job, bvi_intent intent)
{
    bv_error *err = NULL;
    bool found = false;

    if (bvi_job_get_status(job, &found, &err) < 0)
        report(job, "cannot read its status", err);
    if (intent == BVI_INTENT_STOP || intent == BVI_INTENT_SKIP)
        restore_ended(job, intent, found);
    else if (found && job->status.state == BVI_JOB_FINISHED)
        set_state(job, BVI_JS_FINISHED);
    else if (found && job->status.state == BVI_JOB_STOPPED)
        set_state(job, BVI_JS_STOPPED);
    else
        restore_running(job, found);
}

void bvi_job_restore(bvi_job *job)
{
    bvi_intent intent = bvi_intent_load(job->dir_fd, NULL);

    if (adopt(job))
        restore_active(job, intent);
    else
        restore_inactive(job, intent);
}

int bvi_job_make_timer(bvi_job *job, bv_error **err)
{
    return job->timer ? 0 : bvi_timer_new(job->manager->ctx, on_timer, job, &job->timer, err);
}
