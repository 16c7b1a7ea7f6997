/*
 * node_upload.c - snapshot.upload: the plugin starts the upload job, we follow it and answer with
 * the new snapshot.
 *
 * The job goes on whatever happens here. A caller that follows it is known to the manager, since it
 * waits on timers of its own while nothing is under way.
 */
#include <string.h>

#include "node/node.h"

/* The upload job is looked at so often. */
#define UPLOAD_POLL_MS 300
#define UPLOAD_JOB     "upload"

struct bvi_upload {
    bvi_manager *manager; /* NULL: the host is gone; what is under way still ends */
    char *node_id;        /* the node may be deleted meanwhile */
    char *key;
    bvi_reply *reply;
    bv_op *op; /* the plugin call */
    bvi_timer *timer;
    bool calling; /* an answer is on its way, and ends this when it is cancelled */
    bool cancelled;
};

static void forget(bvi_upload *u)
{
    bvi_manager *manager = u->manager;

    for (size_t i = 0; manager && i < manager->uploads.len; i++) {
        if (manager->uploads.items[i] == u) {
            bvi_vec_remove(&manager->uploads, i);
            break;
        }
    }
    u->manager = NULL;
}

static void upload_end(bvi_upload *u, bvi_json *answer, bv_error *err)
{
    bvi_reply *reply = u->reply;

    forget(u);
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

static void upload_fail(bvi_upload *u, int code, const char *reason)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, code, "upload of '%s': %s", u->key, reason); /* the error is the result */
    upload_end(u, NULL, err);
}

static void report(bvi_upload *u, const bvi_json *info)
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
    bvi_upload *u = data;

    u->calling = false;
    upload_end(u, err ? NULL : snapshot, err ? bvi_error_copy(err) : NULL);
}

static void upload_finished(bvi_upload *u, const bvi_json *finished)
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
    upload_fail(u, BV_E_REMOTE,
                message && *message ? message : "the job failed; see `bv job logs`");
}

static void on_info(const bvi_agent_result *result, const bv_error *err, void *data)
{
    bvi_upload *u = data;
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
    (void)bvi_timer_set(u->timer, UPLOAD_POLL_MS * 1000, NULL); /* the timer exists */
    if (!err)
        report(u, result->json); /* last: whoever hears of it may close the host */
}

static void poll_job(bvi_timer *timer, void *data)
{
    bvi_upload *u = data;
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

static void on_upload_started(bv_op *op, const bvi_plugin_value *value, const bv_error *err,
                              void *data)
{
    bvi_upload *u = data;

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
    bvi_upload *u = data;

    u->cancelled = true;
    if (!u->calling)
        upload_fail(u, BV_E_CANCELLED, "no longer followed; it goes on in the node");
}

/* The manager ends it when it goes. */
static int remember(bvi_manager *manager, bvi_upload *u, bv_error **err)
{
    bvi_upload **slot = bvi_vec_push(&manager->uploads);

    if (!slot)
        return bvi_fail(err, BV_E_BUSY, "too many callers follow uploads");
    *slot = u;
    u->manager = manager;
    return 0;
}

static int upload_start(bvi_node *node, bvi_upload *u, bv_error **err)
{
    int r = remember(node->manager, u, err);

    if (r < 0)
        return r;
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

void bvi_upload_end(bvi_upload *u)
{
    forget(u);
    cancel_upload(u);
}

/* Why there cannot be an upload. */
static int check_upload(const bvi_node *node, bv_error **err)
{
    if (!*node->state.store_key)
        return bvi_fail(err, BV_E_STATE, "node '%s' has no store key; create it with --store-key",
                        node->state.name);
    if (!bvi_node_is_running(node))
        return bvi_fail(err, BV_E_STATE, "node '%s' is not running; start it first",
                        node->state.name);
    if (!node->state.initialized)
        return bvi_fail(err, BV_E_STATE,
                        "node '%s' was not initialised, so it has nothing to upload: %s",
                        node->state.name, node->state.problem ? node->state.problem : "try again");
    return 0;
}

/* It outlives this daemon, as the job does that will ask for it. */
static int keep_format(bvi_node *node, const char *format, bv_error **err)
{
    const char *before = node->state.upload_format;
    bvi_store_format parsed = BVI_STORE_ANY;
    int r = bvi_snapshot_format_parse(format, &parsed, err);

    if (r < 0 || (before ? format && strcmp(before, format) == 0 : !format))
        return r;
    r = bvi_node_state_set(&node->state.upload_format, format, err);
    return r < 0 ? r : bvi_node_save(node, err);
}

void bvi_node_upload(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bv_error *err = NULL;
    bvi_upload *u;
    int r;

    if (!bvi_node_need_plugin(node, reply))
        return;
    r = check_upload(node, &err);
    if (r == 0)
        r = keep_format(node, bvi_json_string(bvi_json_find(args, "format")), &err);
    if (r < 0) {
        bvi_reply_fail(reply, err);
        return;
    }
    u = bvi_new0(bvi_upload);
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
