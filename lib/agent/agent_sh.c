/*
 * agent_sh.c - run_sh: one command in the node, its output bounded, its whole process group killed
 * when its time is up or the caller went away.
 */
#include <string.h>
#include <sys/wait.h>

#include "agent/agent_impl.h"
#include "io/child.h"
#include "job/job_config.h"

typedef struct sh_run {
    bvi_service_call *call;
    bvi_child *child;
    int64_t timeout_ms;
} sh_run;

static bv_error *explain(const sh_run *run, const bvi_child_result *result)
{
    bv_error *err = NULL;
    bvi_auto_free char *what = NULL;

    if (result->cancelled) {
        (void)bvi_fail(&err, BV_E_CANCELLED, "the command was cancelled and its processes killed");
    } else if (result->timed_out) {
        (void)bvi_fail(&err, BV_E_TIMEOUT,
                       "the command did not end within %lld ms; its processes were killed",
                       (long long)run->timeout_ms);
    } else {
        what = bvi_child_describe(result);
        (void)bvi_fail(&err, BV_E_REMOTE, "failed to run command: it %s",
                       what ? what : "ended without an exit code");
    }
    return err;
}

static void on_done(const bvi_child_result *result, void *data)
{
    sh_run *run = data;
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(BVI_AGENT_OUTPUT_MAX);
    BVI_AUTO(bvi_buf_done) bvi_buf errors = BVI_BUF_INIT(BVI_AGENT_OUTPUT_MAX);
    bv_error *err = NULL;

    if (result->cancelled || result->timed_out || !WIFEXITED(result->wait_status))
        err = explain(run, result);
    else if (bvi_buf_append(&out, result->out, result->out_len) < 0 ||
             bvi_buf_append(&errors, result->err, result->err_len) < 0)
        (void)bvi_fail_nomem(&err);
    if (err)
        bvi_service_fail(run->call, err);
    else
        bvi_service_reply_bulk(run->call, &out, &errors, WEXITSTATUS(result->wait_status),
                               result->truncated);
    bvi_free(run);
}

static void on_cancel(void *data)
{
    sh_run *run = data;

    bvi_child_cancel(run->child);
}

static int start(bvi_agent_server *agent, sh_run *run, const char *body, bv_error **err)
{
    bvi_auto_free char *command = bvi_strdup(body);
    const char *const plain[] = { "sh", "-c", command, NULL };
    const char *const as_user[] = { "su", "-", agent->shell_user, "-c", command, NULL };
    bvi_child_opts opts = {
        .argv = agent->shell_user ? as_user : plain,
        .use_path = true,
        .max_output = BVI_AGENT_OUTPUT_MAX,
        .timeout_us = run->timeout_ms * 1000,
    };
    int r;

    if (!command)
        return bvi_fail_nomem(err);
    bvi_job_body_normalise(command);
    if (strlen(command) > BVI_AGENT_COMMAND_MAX)
        return bvi_fail(
            err, BV_E_LIMIT,
            "a command of %zu bytes is over the limit of %u; write it to a file and run that",
            strlen(command), BVI_AGENT_COMMAND_MAX);
    r = bvi_child_run(agent->ctx, &opts, on_done, run, &run->child, err);
    return r < 0 ? bvi_wrap(err, r, "failed to run command") : 0;
}

void bvi_agent_handle_run_sh(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    const Bvi__Agent__RunShRequest *request = (const Bvi__Agent__RunShRequest *)message;
    bv_error *err = NULL;
    sh_run *run = bvi_new0(sh_run);

    if (!run) {
        (void)bvi_fail_nomem(&err);
        bvi_service_fail(call, err);
        return;
    }
    run->call = call;
    run->timeout_ms =
        bvi_service_timeout_ms(call, 0); /* without a deadline: unlimited, as upstream */
    if (start(service, run, request->body, &err) < 0) {
        bvi_service_fail(call, err);
        bvi_free(run);
        return;
    }
    bvi_service_on_cancel(call, on_cancel, run);
}
