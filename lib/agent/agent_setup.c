/*
 * agent_setup.c - setup: RAM disks and configuration, the image's hook, then the supervision of
 * jobs.
 *
 * There is one set-up at a time. A host that gave up waiting and asks again joins the run under
 * way, so the hook is never started beside itself.
 */
#include <string.h>
#include <sys/wait.h>

#include "agent/agent_impl.h"
#include "io/child.h"
#include "io/work.h"
#include "sys/fs.h"

/* Of the hook's output only the end of standard error is shown. */
#define HOOK_OUTPUT_MAX (64u * 1024u)

typedef struct waiter {
    struct waiter *next;
    bvi_agent_setup_run *run;
    bvi_service_call *call;
} waiter;

struct bvi_agent_setup_run {
    bvi_agent_server *agent; /* NULL: the agent is gone */
    char *text;              /* the configuration as it came */
    bvi_agent_conf conf;
    char *prefix;
    char *conf_path;
    char *hook_path;
    bvi_work work;
    bool hook_exists;
    bvi_child *hook;
    bv_error *err;
    waiter *waiters;
};

static void run_free(bvi_agent_setup_run *run)
{
    bvi_agent_conf_done(&run->conf);
    bv_error_free(run->err);
    bvi_free(run->text);
    bvi_free(run->prefix);
    bvi_free(run->conf_path);
    bvi_free(run->hook_path);
    bvi_free(run);
}

/* ---- those who wait ---- */

static void waiter_cancel(void *data)
{
    waiter *w = data;
    waiter **at = &w->run->waiters;
    bv_error *err = NULL;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    (void)bvi_fail(&err, BV_E_CANCELLED,
                   "the caller is gone; the set-up goes on"); /* the error is the result */
    bvi_service_fail(w->call, err);
    bvi_free(w);
}

static int join(bvi_agent_setup_run *run, bvi_service_call *call, bv_error **err)
{
    waiter *w = bvi_new0(waiter);

    if (!w)
        return bvi_fail_nomem(err);
    w->run = run;
    w->call = call;
    w->next = run->waiters;
    run->waiters = w;
    bvi_service_on_cancel(call, waiter_cancel, w);
    return 0;
}

static void run_end(bvi_agent_setup_run *run, bv_error *err)
{
    if (run->agent) {
        run->agent->setup = NULL;
        bvi_auto_free char *text = err ? bvi_error_text(err) : NULL;

        if (err)
            bvi_log_warn(run->agent->ctx, "agent", "set-up failed: %s",
                         text ? text : "out of memory");
        else
            bvi_log_info(run->agent->ctx, "agent", "set up, jobs are supervised");
    }
    while (run->waiters) {
        waiter *w = run->waiters;

        run->waiters = w->next;
        bvi_service_end(w->call, err ? bvi_error_copy(err) : NULL);
        bvi_free(w);
    }
    bv_error_free(err);
    run_free(run);
}

/* ---- the steps ---- */

static void start_jobs(bvi_agent_setup_run *run)
{
    bvi_agent_server *agent = run->agent;
    bv_error *err = NULL;
    int r;

    bvi_agent_conf_done(&agent->conf);
    agent->conf = run->conf;
    run->conf = (bvi_agent_conf)BVI_AGENT_CONF_INIT;
    r = bvi_agent_jobs_startup(agent, &err);
    if (r < 0)
        (void)bvi_wrap(&err, r, "failed to start supervising jobs"); /* err is the result */
    run_end(run, err);
}

static void on_hook(const bvi_child_result *result, void *data)
{
    bvi_agent_setup_run *run = data;
    bv_error *err = NULL;

    run->hook = NULL;
    if (!run->agent || result->cancelled) {
        (void)bvi_fail(&err, BV_E_CANCELLED, "the agent is shutting down");
    } else if (result->timed_out) {
        (void)bvi_fail(&err, BV_E_TIMEOUT,
                       "failed to set up the node: '%s' did not end within %d s and was killed",
                       run->hook_path, (int)(run->agent->hook_timeout_ms / 1000));
    } else if (!WIFEXITED(result->wait_status) || WEXITSTATUS(result->wait_status) != 0) {
        bvi_auto_free char *what = bvi_child_describe(result);

        (void)bvi_fail(&err, BV_E_REMOTE, "failed to set up the node: '%s' %s", run->hook_path,
                       what ? what : "failed");
    }
    if (err)
        run_end(run, err);
    else
        start_jobs(run);
}

static void run_hook(bvi_agent_setup_run *run)
{
    const char *const argv[] = { run->hook_path, NULL };
    bvi_child_opts opts = {
        .argv = argv,
        .max_output = HOOK_OUTPUT_MAX,
        .timeout_us = run->agent->hook_timeout_ms * 1000,
    };
    bv_error *err = NULL;
    int r = bvi_child_run(run->agent->ctx, &opts, on_hook, run, &run->hook, &err);

    if (r < 0) {
        (void)bvi_wrap(&err, r, "failed to set up the node"); /* err is the result */
        run_end(run, err);
    }
}

/* On a worker. */
static void prepare(void *data)
{
    bvi_agent_setup_run *run = data;
    int r = bvi_agent_ramdisks_mount(&run->conf, run->prefix, &run->err);

    if (r >= 0)
        r = bvi_agent_conf_save(&run->conf, run->conf_path, &run->err);
    run->hook_exists = r >= 0 && bvi_fs_exists(run->hook_path);
}

static void prepared(void *data, bool cancelled)
{
    bvi_agent_setup_run *run = data;
    bv_error *err = bvi_take(run->err);

    if (!err && (cancelled || !run->agent))
        (void)bvi_fail(&err, BV_E_CANCELLED, "the agent is shutting down");
    if (err)
        run_end(run, err);
    else if (run->hook_exists)
        run_hook(run);
    else
        start_jobs(run);
}

/* ---- beginning and ending ---- */

static int run_new(bvi_agent_server *agent, const char *text, bvi_agent_setup_run **ret_run,
                   bv_error **err)
{
    bvi_agent_setup_run *run = bvi_new0(bvi_agent_setup_run);
    int r;

    if (!run)
        return bvi_fail_nomem(err);
    run->conf = (bvi_agent_conf)BVI_AGENT_CONF_INIT;
    r = bvi_agent_conf_parse(&run->conf, text, strlen(text), err);
    if (r < 0) {
        run_free(run);
        return bvi_wrap(err, r, "set-up configuration");
    }
    run->agent = agent;
    run->text = bvi_strdup(text);
    run->prefix = bvi_strdup(agent->prefix);
    run->conf_path = bvi_strdup(agent->paths.conf);
    run->hook_path = bvi_strdup(agent->paths.post_setup);
    if (!run->text || !run->prefix || !run->conf_path || !run->hook_path) {
        run_free(run);
        return bvi_fail_nomem(err);
    }
    bvi_work_init(&run->work, agent->ctx, prepare, prepared, run);
    *ret_run = run;
    return 0;
}

void bvi_agent_handle_setup(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    const Bvi__Agent__SetupRequest *request = (const Bvi__Agent__SetupRequest *)message;
    bvi_agent_server *agent = service;
    bvi_agent_setup_run *run = agent->setup;
    bv_error *err = NULL;
    int r = 0;

    if (run && strcmp(run->text, request->config_json) != 0)
        r = bvi_fail(&err, BV_E_BUSY, "a set-up with another configuration is under way");
    else if (!run)
        r = run_new(agent, request->config_json, &run, &err);
    if (r >= 0)
        r = join(run, call, &err);
    if (r < 0) {
        bvi_service_fail(call, err);
        if (run && !agent->setup)
            run_free(run);
        return;
    }
    if (!agent->setup) {
        agent->setup = run;
        bvi_work_submit(&run->work);
    }
}

void bvi_agent_drop_setup(bvi_agent_server *agent)
{
    bvi_agent_setup_run *run = bvi_take(agent->setup);

    if (!run)
        return;
    run->agent = NULL;
    if (run->hook)
        bvi_child_cancel(
            run->hook); /* ends the run from its callback; else its worker's end does */
}
