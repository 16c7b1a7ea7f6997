/*
 * node_jobs.c - calls on the jobs of one node, carried out by its agent.
 */
#include <string.h>

#include "job/job_status.h"
#include "node/node.h"

/* One call under way; it outlives the node, so it refers to nothing of it. */
typedef struct job_call {
    bvi_reply *reply;
    bvi_agent_call *call;
    char *job; /* NULL: all jobs */
    bvi_json *(*convert)(const struct job_call *call, const bvi_agent_result *result);
} job_call;

static void job_call_free(job_call *call)
{
    bvi_free(call->job);
    bvi_free(call);
}

/* A job document: the agent's job info with its name and the text for people. */
bvi_json *bvi_node_job_json(const char *name, const bvi_json *info)
{
    bvi_auto_json bvi_json *job = bvi_json_copy(info);
    bvi_auto_free char *text = bvi_job_status_json_text(bvi_json_find(info, "status"));
    const bvi_json *progress = bvi_json_find(info, "progress");
    bvi_auto_free char *progress_text =
        bvi_json_type_of(progress) == BVI_JSON_OBJECT ? bvi_job_progress_json_text(progress) : NULL;

    if (!job || !text || bvi_json_put_string(job, "name", name) < 0 ||
        bvi_json_put_string(job, "status_text", text) < 0 ||
        bvi_json_put_string(job, "progress_text", progress_text) < 0)
        return NULL;
    return bvi_take(job);
}

bvi_json *bvi_node_jobs_json(const bvi_json *infos)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    bvi_json_each(it, infos) {
        if (!list || bvi_json_add(list, bvi_node_job_json(bvi_json_key(it), it)) < 0)
            return NULL;
    }
    return bvi_take(list);
}

static bvi_json *convert_list(const job_call *call, const bvi_agent_result *result)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put(root, "jobs", bvi_node_jobs_json(result->json)) < 0)
        return NULL;
    return bvi_take(root);
}

static bvi_json *convert_info(const job_call *call, const bvi_agent_result *result)
{
    return bvi_node_job_json(call->job, result->json);
}

static bvi_json *convert_nothing(const job_call *call, const bvi_agent_result *result)
{
    return bvi_json_new_object();
}

static void on_result(const bvi_agent_result *result, const bv_error *err, void *data)
{
    job_call *call = data;
    bvi_reply *reply = call->reply;

    if (err)
        bvi_reply_fail(reply, bvi_error_copy(err));
    else
        bvi_reply_ok(reply, call->convert(call, result));
    job_call_free(call);
}

static void on_cancel(void *data)
{
    job_call *call = data;

    bvi_agent_call_cancel(call->call);
}

typedef int (*named_fn)(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                        bvi_agent_call **ret_call, bv_error **err);

static const struct {
    const char *method;
    named_fn call; /* NULL: the list */
    bvi_json *(*convert)(const job_call *call, const bvi_agent_result *result);
} methods[] = {
    { "job.list", NULL, convert_list },
    { "job.show", bvi_agent_job_info, convert_info },
    { "job.start", bvi_agent_start_job, convert_nothing },
    { "job.stop", bvi_agent_stop_job, convert_nothing },
    { "job.skip", bvi_agent_skip_job, convert_nothing },
    { "job.cleanup", bvi_agent_cleanup_job, convert_nothing },
};

static int start(bvi_node *node, size_t method, const char *job, bvi_reply *reply, bv_error **err)
{
    job_call *call = bvi_new0(job_call);
    const bvi_agent_wait wait = { .done = on_result, .data = call };
    int r;

    if (!call)
        return bvi_fail_nomem(err);
    call->reply = reply;
    call->convert = methods[method].convert;
    call->job = bvi_strdup(job);
    if (job && !call->job)
        r = bvi_fail_nomem(err);
    else if (methods[method].call)
        r = methods[method].call(node->agent, job, &wait, &call->call, err);
    else
        r = bvi_agent_jobs(node->agent, &wait, &call->call, err);
    if (r < 0) {
        job_call_free(call);
        return r;
    }
    bvi_reply_on_cancel(reply, on_cancel, call);
    return 0;
}

void bvi_node_job_call(bvi_node *node, const char *method, const bvi_json *args, bvi_reply *reply)
{
    const char *job = bvi_json_string(bvi_json_find(args, "job"));
    bv_error *err = NULL;

    if (!bvi_node_is_running(node)) {
        bvi_reply_failf(reply, BV_E_STATE,
                        "node '%s' is not running; start it with `bv node start %s`",
                        node->state.name, node->state.name);
        return;
    }
    for (size_t i = 0; i < BVI_COUNT(methods); i++) {
        if (strcmp(methods[i].method, method) != 0)
            continue;
        if (start(node, i, job, reply, &err) < 0)
            bvi_reply_fail(reply, err);
        return;
    }
    bvi_reply_failf(reply, BV_E_UNSUPPORTED, "there is no call '%s'", method);
}
