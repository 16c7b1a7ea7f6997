/*
 * node_run.c - calling functions of a node's plugin on request, and snapshots made through them.
 */
#include <string.h>

#include "base/buf.h"
#include "job/job_status.h"
#include "node/node.h"

/* A list of capabilities in a message. */
#define OPTIONS_TEXT_MAX 8192u
/* The upload job is looked at so often. */
#define UPLOAD_POLL_MS 300
#define UPLOAD_JOB     "upload"

static bool need_plugin(bvi_node *node, bvi_reply *reply)
{
    if (node->plugin)
        return true;
    bvi_reply_failf(reply, BV_E_STATE, "node '%s' has no plugin: %s", node->state.name,
                    node->state.problem ? node->state.problem : "it is still being loaded");
    return false;
}

/* ---- run ---- */

typedef struct run {
    bvi_reply *reply;
    bv_op *op;
} run;

static void on_result(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    run *call = data;
    bvi_auto_json bvi_json *answer = NULL;

    if (err) {
        bvi_reply_fail(call->reply, bvi_error_copy(err));
    } else {
        answer = bvi_json_new_object();
        if (answer && bvi_json_put_string(answer, "result", value->text) < 0) {
            bvi_json_free(answer);
            answer = NULL;
        }
        bvi_reply_ok(call->reply, bvi_take(answer));
    }
    bv_op_unref(call->op);
    bvi_free(call);
}

static void cancel_run(void *data)
{
    bv_op_cancel(((run *)data)->op);
}

/* "there is no method 'x'; node 'n' has: a, b, c" */
static void fail_with_options(bvi_node *node, const char *method, bvi_reply *reply)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(OPTIONS_TEXT_MAX);
    const bvi_strv *names = bvi_plugin_capabilities(node->plugin);

    for (size_t i = 0; i < names->len; i++) {
        if (bvi_buf_printf(&text, "%s%s", i ? ", " : "", names->items[i]) < 0)
            break; /* a shorter list will do */
    }
    bvi_reply_failf(reply, BV_E_NOT_FOUND, "there is no method '%s'; node '%s' has: %s", method, node->state.name,
                    bvi_buf_str(&text));
}

void bvi_node_run(bvi_node *node, const char *method, const char *param, bvi_reply *reply)
{
    bv_error *err = NULL;
    run *call;
    int r;

    if (!need_plugin(node, reply))
        return;
    if (!bvi_plugin_has(node->plugin, method)) {
        fail_with_options(node, method, reply);
        return;
    }
    call = bvi_new0(run);
    if (!call) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    call->reply = reply;
    r = bvi_plugin_call(node->plugin, method, param, 0, on_result, call, &call->op, &err);
    if (r < 0) {
        bvi_free(call);
        bvi_reply_fail(reply, err);
        return;
    }
    bvi_reply_on_cancel(reply, cancel_run, call);
}

void bvi_node_capabilities(bvi_node *node, bvi_reply *reply)
{
    bvi_auto_json bvi_json *answer = bvi_json_new_object();
    bvi_json *list = bvi_json_new_array();
    const bvi_strv *names;

    if (!need_plugin(node, reply)) {
        bvi_json_free(list);
        return;
    }
    names = bvi_plugin_capabilities(node->plugin);
    for (size_t i = 0; list && i < names->len; i++) {
        if (bvi_json_add(list, bvi_json_new_string(names->items[i])) < 0) {
            bvi_json_free(list);
            list = NULL;
        }
    }
    if (!answer || bvi_json_put(answer, "capabilities", list) < 0) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    bvi_reply_ok(reply, bvi_take(answer));
}

void bvi_node_exec(bvi_node *node, bvi_reply *reply)
{
    bvi_driver *driver = node->manager->opts.driver;
    bvi_strv argv = BVI_VEC_INIT(64);
    bvi_auto_json bvi_json *answer = bvi_json_new_object();
    bvi_json *list = bvi_json_new_array();
    bv_error *err = NULL;
    int r = 0;

    if (!bvi_node_is_running(node))
        r = bvi_fail(&err, BV_E_STATE, "node '%s' is not running", node->state.name);
    if (r == 0)
        r = driver->vtable->exec_argv(driver, node->state.id, &argv, &err);
    for (size_t i = 0; r == 0 && i < argv.len; i++)
        r = list && bvi_json_add(list, bvi_json_new_string(argv.items[i])) == 0 ? 0 : bvi_fail_nomem(&err);
    bvi_strv_done(&argv);
    if (r == 0 && (!answer || bvi_json_put(answer, "argv", bvi_take(list)) < 0))
        r = bvi_fail_nomem(&err);
    bvi_json_free(list);
    if (r < 0)
        bvi_reply_fail(reply, err);
    else
        bvi_reply_ok(reply, bvi_take(answer));
}

/* ---- snapshot.upload: the plugin starts the job, we follow it ---- */

typedef struct upload {
    bvi_manager *manager;
    char *node_id; /* the node may be deleted meanwhile */
    char *key;
    bvi_reply *reply;
    bv_op *op; /* the plugin call */
    bvi_timer *timer;
    bool calling;     /* an answer is on its way */
    bool cancelled;
} upload;

static void upload_end(upload *u, bvi_json *answer, bv_error *err)
{
    bvi_reply *reply = u->reply;

    bvi_timer_free(u->timer);
    bv_op_unref(u->op);
    bvi_free(u->node_id);
    bvi_free(u->key);
    bvi_free(u);
    if (err)
        bvi_reply_fail(reply, err);
    else
        bvi_reply_ok(reply, answer);
}

static void upload_fail(upload *u, int code, const char *reason)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, code, "upload of '%s': %s", u->key, reason); /* the error is the result */
    upload_end(u, NULL, err);
}

static void report(upload *u, const bvi_json *info)
{
    const bvi_json *progress = bvi_json_find(info, "progress");
    uint64_t done = 0, total = 0, rate = 0;
    int64_t eta_ms = -1;
    bool bytes = bvi_json_uint64(bvi_json_find(progress, "bytes_total"), &total) == 0;
    bv_progress p = { .size = sizeof(p), .phase = "upload", .unit = bytes ? "bytes" : "chunks" };

    if (bytes) {
        (void)bvi_json_uint64(bvi_json_find(progress, "bytes_done"), &done); /* absent is 0 */
        (void)bvi_json_uint64(bvi_json_find(progress, "rate"), &rate);
        (void)bvi_json_int64(bvi_json_find(progress, "eta_ms"), &eta_ms);
    } else {
        (void)bvi_json_uint64(bvi_json_find(progress, "current"), &done);
        (void)bvi_json_uint64(bvi_json_find(progress, "total"), &total);
    }
    p.done = done;
    p.total = total;
    p.bytes_per_s = rate;
    p.eta_ms = eta_ms;
    bvi_reply_progress(u->reply, &p);
}

static void on_latest(const bv_error *err, bvi_json *snapshot, void *data)
{
    upload *u = data;

    u->calling = false;
    upload_end(u, err ? NULL : snapshot, err ? bvi_error_copy(err) : NULL);
}

static void upload_finished(upload *u, const bvi_json *finished)
{
    int64_t exit_code = -1;
    const char *message = bvi_json_string(bvi_json_find(finished, "message"));
    bv_error *err = NULL;

    if (bvi_json_int64(bvi_json_find(finished, "exit_code"), &exit_code) == 0 && exit_code == 0) {
        u->calling = true;
        if (bvi_manager_latest_snapshot(u->manager, u->key, on_latest, u, &err) < 0)
            upload_end(u, NULL, err);
        return;
    }
    upload_fail(u, BV_E_REMOTE, message && *message ? message : "the job failed; see `bv job logs`");
}

static void on_info(const bvi_agent_result *result, const bv_error *err, void *data)
{
    upload *u = data;
    const bvi_json *status = err ? NULL : bvi_json_find(result->json, "status");
    const bvi_json *finished = bvi_json_find(status, "finished");

    u->calling = false;
    if (u->cancelled) {
        upload_fail(u, BV_E_CANCELLED, "no longer followed; it goes on in the node");
        return;
    }
    if (err && bv_error_code(err) == BV_E_CANCELLED) {
        upload_end(u, NULL, bvi_error_copy(err));
        return;
    }
    if (finished) {
        upload_finished(u, finished);
        return;
    }
    if (bvi_json_string(status) && strcmp(bvi_json_string(status), "stopped") == 0) {
        upload_fail(u, BV_E_CANCELLED, "its job was stopped");
        return;
    }
    if (!err)
        report(u, result->json);
    (void)bvi_timer_set(u->timer, UPLOAD_POLL_MS * 1000, NULL); /* the timer exists */
}

static void poll_job(bvi_timer *timer, void *data)
{
    upload *u = data;
    bvi_node *node = bvi_manager_find(u->manager, u->node_id);
    const bvi_agent_wait wait = { .done = on_info, .data = u };
    bv_error *err = NULL;

    if (!node || !bvi_node_is_running(node)) {
        upload_fail(u, BV_E_STATE, "its node has stopped");
        return;
    }
    u->calling = true;
    if (bvi_agent_job_info(node->agent, UPLOAD_JOB, &wait, NULL, &err) < 0)
        upload_end(u, NULL, err);
}

static void on_upload_started(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    upload *u = data;

    u->calling = false;
    if (err)
        upload_end(u, NULL, bvi_error_copy(err));
    else if (u->cancelled)
        upload_fail(u, BV_E_CANCELLED, "no longer followed; it goes on in the node");
    else
        (void)bvi_timer_set(u->timer, UPLOAD_POLL_MS * 1000, NULL); /* the timer exists */
}

static void cancel_upload(void *data)
{
    upload *u = data;

    u->cancelled = true;
    if (!u->calling)
        upload_fail(u, BV_E_CANCELLED, "no longer followed; it goes on in the node");
}

static int upload_start(bvi_node *node, upload *u, bv_error **err)
{
    int r;

    u->manager = node->manager;
    u->node_id = bvi_strdup(node->state.id);
    u->key = bvi_strdup(node->state.store_key);
    if (!u->node_id || !u->key)
        return bvi_fail_nomem(err);
    r = bvi_timer_new(node->ctx, poll_job, u, &u->timer, err);
    if (r < 0)
        return r;
    u->calling = true;
    return bvi_plugin_call(node->plugin, "upload", NULL, 0, on_upload_started, u, &u->op, err);
}

void bvi_node_upload(bvi_node *node, bvi_reply *reply)
{
    bv_error *err = NULL;
    upload *u;

    if (!need_plugin(node, reply))
        return;
    if (!*node->state.store_key) {
        bvi_reply_failf(reply, BV_E_STATE, "node '%s' has no store key; create it with --store-key", node->state.name);
        return;
    }
    if (!bvi_node_is_running(node)) {
        bvi_reply_failf(reply, BV_E_STATE, "node '%s' is not running; start it first", node->state.name);
        return;
    }
    u = bvi_new0(upload);
    if (!u) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    u->reply = reply;
    if (upload_start(node, u, &err) < 0) {
        upload_end(u, NULL, err);
        return;
    }
    bvi_reply_on_cancel(reply, cancel_upload, u);
}
