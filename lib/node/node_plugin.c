/*
 * node_plugin.c - what a plugin can do to its node: the plugin's environment, carried out by the
 * node's agent.
 */
#include <string.h>

#include "node/node.h"
#include "sys/fs.h"

/* plugin.data: what a plugin may keep. */
#define PLUGIN_DATA_MAX (1024u * 1024u)

/* Lines of a plugin that become events in such a time. */
#define LOG_EVENTS_MAX 20u
#define LOG_WINDOW_US  (60 * INT64_C(1000000))

/* One request of the plugin, under way at the agent. */
typedef struct request {
    bvi_plugin_reply *reply;
    bvi_agent_call *call;
    bvi_json *(*convert)(const bvi_agent_result *result); /* NULL: the answer is () */
    bool bytes;                                           /* the answer is the result's content */
} request;

static void reply_fail(bvi_plugin_reply *reply, int code, const char *text)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, code, "%s", text); /* the error is what we want */
    bvi_plugin_reply_error(reply, err);
}

static void on_result(const bvi_agent_result *result, const bv_error *err, void *data)
{
    request *req = data;
    bvi_plugin_reply *reply = req->reply;
    bv_error *failure = NULL;
    bvi_json *value = NULL;

    if (err) {
        bvi_plugin_reply_error(reply, bvi_error_copy(err));
    } else if (result->truncated) {
        (void)bvi_fail(&failure, BV_E_LIMIT,
                       "the command wrote more than %u bytes; let it write to a file and read what "
                       "is needed",
                       BVI_AGENT_OUTPUT_MAX);
        bvi_plugin_reply_error(reply, failure);
    } else if (req->bytes) {
        bvi_plugin_reply_bytes(reply, result->out, result->out_len);
    } else {
        value = req->convert ? req->convert(result) : bvi_json_new_null();
        if (value)
            bvi_plugin_reply_json(reply, value);
        else
            reply_fail(reply, BV_E_NOMEM, "out of memory");
    }
    bvi_free(req);
}

static void on_cancel(bvi_plugin_reply *reply, void *data)
{
    request *req = data;

    bvi_agent_call_cancel(req->call);
}

/* Makes the request and what the agent client wants to know of it; NULL: the reply was answered. */
static request *begin(bvi_plugin_reply *reply, bvi_agent_wait *ret_wait)
{
    request *req = bvi_new0(request);

    if (!req) {
        reply_fail(reply, BV_E_NOMEM, "out of memory");
        return NULL;
    }
    req->reply = reply;
    *ret_wait = (bvi_agent_wait){ .timeout_ms = bvi_plugin_reply_timeout_ms(reply),
                                  .done = on_result,
                                  .data = req };
    return req;
}

static void started(request *req, int r, bv_error *err)
{
    if (r == 0) {
        bvi_plugin_reply_on_cancel(req->reply, on_cancel, req);
        return;
    }
    bvi_plugin_reply_error(req->reply, err);
    bvi_free(req);
}

/* ---- jobs ---- */

static bvi_json *copy_json(const bvi_agent_result *result)
{
    return bvi_json_copy(result->json);
}

static void create_job(bvi_node *node, const char *name, const bvi_json *config,
                       bvi_plugin_reply *reply)
{
    bvi_agent_wait wait;
    bv_error *err = NULL;
    request *req = begin(reply, &wait);

    if (req)
        started(req, bvi_agent_create_job(node->agent, name, config, &wait, &req->call, &err), err);
}

/* A download that waits for the answer whether there is anything to download. */
typedef struct download_job {
    bvi_node *node;
    bvi_plugin_reply *reply;
    char *name;
    bvi_json *config;
} download_job;

static void download_job_free(download_job *job)
{
    if (!job)
        return;
    bvi_free(job->name);
    bvi_json_free(job->config);
    bvi_free(job);
}

static void on_job_archive(bool has, const bv_error *err, void *data)
{
    download_job *job = data;
    bv_error *failure = NULL;

    if (bvi_plugin_reply_is_cancelled(job->reply)) {
        bvi_plugin_reply_json(job->reply, NULL); /* dropped; the node may be gone */
    } else if (err) {
        bvi_plugin_reply_error(job->reply, bvi_error_copy(err));
    } else if (has) {
        create_job(job->node, job->name, job->config, job->reply);
    } else {
        (void)bvi_fail(&failure, BV_E_NOT_FOUND, "manifest not available for %s",
                       job->node->state.store_key);
        bvi_plugin_reply_error(job->reply, failure);
    }
    download_job_free(job);
}

static void env_create_job(void *data, const char *name, const bvi_json *config,
                           bvi_plugin_reply *reply)
{
    download_job *job;

    if (!bvi_json_find(bvi_json_find(config, "job_type"), "download")) {
        create_job(data, name, config, reply);
        return;
    }
    job = bvi_new0(download_job);
    if (job) {
        *job = (download_job){ data, reply, bvi_strdup(name), bvi_json_copy(config) };
        if (job->name && job->config) {
            bvi_node_has_archive(data, on_job_archive, job);
            return;
        }
    }
    download_job_free(job);
    reply_fail(reply, BV_E_NOMEM, "out of memory");
}

typedef int (*named_call_fn)(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                             bvi_agent_call **ret_call, bv_error **err);

static void call_named(bvi_node *node, named_call_fn call, const char *name,
                       bvi_json *(*convert)(const bvi_agent_result *result),
                       bvi_plugin_reply *reply)
{
    bvi_agent_wait wait;
    bv_error *err = NULL;
    request *req = begin(reply, &wait);

    if (!req)
        return;
    req->convert = convert;
    started(req, call(node->agent, name, &wait, &req->call, &err), err);
}

static void env_start_job(void *data, const char *name, bvi_plugin_reply *reply)
{
    call_named(data, bvi_agent_start_job, name, NULL, reply);
}

static void env_stop_job(void *data, const char *name, bvi_plugin_reply *reply)
{
    call_named(data, bvi_agent_stop_job, name, NULL, reply);
}

static void env_job_info(void *data, const char *name, bvi_plugin_reply *reply)
{
    call_named(data, bvi_agent_job_info, name, copy_json, reply);
}

typedef int (*plain_call_fn)(bvi_agent_client *client, const bvi_agent_wait *wait,
                             bvi_agent_call **ret_call, bv_error **err);

static void call_plain(bvi_node *node, plain_call_fn call,
                       bvi_json *(*convert)(const bvi_agent_result *result),
                       bvi_plugin_reply *reply)
{
    bvi_agent_wait wait;
    bv_error *err = NULL;
    request *req = begin(reply, &wait);

    if (!req)
        return;
    req->convert = convert;
    started(req, call(node->agent, &wait, &req->call, &err), err);
}

static void env_stop_all_jobs(void *data, bvi_plugin_reply *reply)
{
    call_plain(data, bvi_agent_stop_all_jobs, NULL, reply);
}

static void env_get_jobs(void *data, bvi_plugin_reply *reply)
{
    call_plain(data, bvi_agent_jobs, copy_json, reply);
}

/* ---- requests inside the node ---- */

static bvi_json *sh_json(const bvi_agent_result *result)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_int64(root, "exit_code", result->exit_code) < 0 ||
        bvi_json_put(root, "stdout", bvi_json_new_string_n(result->out, result->out_len)) < 0 ||
        bvi_json_put(root, "stderr", bvi_json_new_string_n(result->err_out, result->err_out_len)) <
            0)
        return NULL;
    return bvi_take(root);
}

static void env_run_sh(void *data, const char *body, bvi_plugin_reply *reply)
{
    call_named(data, bvi_agent_run_sh, body, sh_json, reply);
}

static bvi_json *http_json(const bvi_agent_result *result)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_int64(root, "status_code", result->status_code) < 0 ||
        bvi_json_put(root, "body", bvi_json_new_string_n(result->out, result->out_len)) < 0)
        return NULL;
    return bvi_take(root);
}

typedef int (*http_call_fn)(bvi_agent_client *client, const bvi_agent_http *request,
                            const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err);

static int collect_headers(const bvi_json *list, bvi_agent_header *headers, bvi_agent_http *http,
                           bv_error **err)
{
    bvi_json_each(it, list) {
        const bvi_json *name = bvi_json_first(it);

        if (http->header_count == BVI_AGENT_HEADERS_MAX)
            return bvi_fail(err, BV_E_LIMIT, "more than %u headers", BVI_AGENT_HEADERS_MAX);
        headers[http->header_count++] =
            (bvi_agent_header){ bvi_json_string(name), bvi_json_string(bvi_json_next(name)) };
    }
    http->headers = headers;
    return 0;
}

static int params_text(const bvi_json *params, char **ret_text, bv_error **err)
{
    return bvi_json_type_of(params) == BVI_JSON_NULL ? 0
                                                     : bvi_json_print(params, false, ret_text, err);
}

static void call_http(bvi_node *node, http_call_fn call, const char *url_key,
                      const bvi_json *request_json, bvi_plugin_reply *reply)
{
    bvi_agent_header headers[BVI_AGENT_HEADERS_MAX];
    bvi_agent_http http = { .url = bvi_json_string(bvi_json_find(request_json, url_key)),
                            .method = bvi_json_string(bvi_json_find(request_json, "method")) };
    bvi_auto_free char *params = NULL;
    bvi_agent_wait wait;
    bv_error *err = NULL;
    request *req = begin(reply, &wait);
    int r;

    if (!req)
        return;
    req->convert = http_json;
    r = collect_headers(bvi_json_find(request_json, "headers"), headers, &http, &err);
    if (r == 0)
        r = params_text(bvi_json_find(request_json, "params"), &params, &err);
    http.params = params;
    if (r == 0)
        r = call(node->agent, &http, &wait, &req->call, &err);
    started(req, r, err);
}

static void env_run_jrpc(void *data, const bvi_json *request_json, bvi_plugin_reply *reply)
{
    call_http(data, bvi_agent_run_jrpc, "host", request_json, reply);
}

static void env_run_rest(void *data, const bvi_json *request_json, bvi_plugin_reply *reply)
{
    call_http(data, bvi_agent_run_rest, "url", request_json, reply);
}

/* ---- files ---- */

static void env_file_read(void *data, const char *path, bvi_plugin_reply *reply)
{
    bvi_node *node = data;
    bvi_agent_wait wait;
    bv_error *err = NULL;
    request *req = begin(reply, &wait);

    if (!req)
        return;
    req->bytes = true;
    started(req, bvi_agent_file_read(node->agent, path, &wait, &req->call, &err), err);
}

static void env_file_write(void *data, const char *path, const void *bytes, size_t len,
                           bvi_plugin_reply *reply)
{
    bvi_node *node = data;
    bvi_agent_wait wait;
    bv_error *err = NULL;
    request *req = begin(reply, &wait);

    if (req)
        started(req, bvi_agent_file_write(node->agent, path, bytes, len, &wait, &req->call, &err),
                err);
}

static void env_render_template(void *data, const char *template_path, const char *destination,
                                const bvi_json *params, bvi_plugin_reply *reply)
{
    bvi_node *node = data;
    bvi_agent_wait wait;
    bv_error *err = NULL;
    request *req = begin(reply, &wait);

    if (req)
        started(req,
                bvi_agent_render_template(node->agent, template_path, destination, params, &wait,
                                          &req->call, &err),
                err);
}

/* ---- protocol data ---- */

static bvi_json *stamp_json(const bvi_agent_result *result)
{
    return result->has_stamp ? bvi_json_new_int64(result->stamp_us) : bvi_json_new_null();
}

/* The data of a development node is its owner's: it counts as used, so nothing fills it. */
static void env_protocol_data_stamp(void *data, bvi_plugin_reply *reply)
{
    const bvi_node *node = data;

    if (node->state.dev_mode) {
        bvi_plugin_reply_json(reply, bvi_json_new_int64(0));
        return;
    }
    call_plain(data, bvi_agent_protocol_data_stamp, stamp_json, reply);
}

static void on_archive(bool has, const bv_error *err, void *data)
{
    if (err)
        bvi_plugin_reply_error(data, bvi_error_copy(err));
    else
        bvi_plugin_reply_json(data, bvi_json_new_bool(has));
}

static void env_has_protocol_archive(void *data, bvi_plugin_reply *reply)
{
    bvi_node_has_archive(data, on_archive, reply);
}

/* ---- what a plugin keeps ---- */

/* A development node needs none: whatever it asks for is there. */
static void env_get_secret(void *data, const char *key, bvi_plugin_reply *reply)
{
    bvi_node *node = data;
    bvi_auto_free char *bytes = NULL;
    bv_error *err = NULL;
    size_t len = 0;

    if (node->state.dev_mode)
        bvi_plugin_reply_bytes(reply, "dev-secret", strlen("dev-secret"));
    else if (bvi_node_get_secret(node, key, &bytes, &len, &err) < 0)
        bvi_plugin_reply_error(reply, err);
    else
        bvi_plugin_reply_bytes(reply, bytes, len);
}

static void env_put_secret(void *data, const char *key, const void *bytes, size_t len,
                           bvi_plugin_reply *reply)
{
    bvi_node *node = data;
    bv_error *err = NULL;

    if (node->state.dev_mode || bvi_node_put_secret(node, key, bytes, len, &err) == 0)
        bvi_plugin_reply_json(reply, bvi_json_new_null());
    else
        bvi_plugin_reply_error(reply, err);
}

static void env_load_data(void *data, bvi_plugin_reply *reply)
{
    bvi_node *node = data;
    bvi_auto_free char *text = NULL;
    bv_error *err = NULL;
    size_t len = 0;

    if (bvi_fs_read(node->paths.plugin_data, PLUGIN_DATA_MAX, &text, &len, &err) < 0)
        bvi_plugin_reply_error(reply, err);
    else
        bvi_plugin_reply_bytes(reply, text, len);
}

static void env_save_data(void *data, const char *text, bvi_plugin_reply *reply)
{
    bvi_node *node = data;
    bv_error *err = NULL;
    size_t len = strlen(text);
    int r =
        len > PLUGIN_DATA_MAX
            ? bvi_fail(&err, BV_E_LIMIT, "data to save is larger than %u bytes", PLUGIN_DATA_MAX)
            : bvi_fs_replace(node->paths.plugin_data, text, len, 0600, &err);

    if (r < 0)
        bvi_plugin_reply_error(reply, err);
    else
        bvi_plugin_reply_json(reply, bvi_json_new_null());
}

/* ---- scheduled tasks ---- */

static void env_add_task(void *data, const char *name, const char *schedule, const char *function,
                         const char *param, bvi_plugin_reply *reply)
{
    bv_error *err = NULL;

    if (bvi_node_add_task(data, name, schedule, function, param, &err) < 0)
        bvi_plugin_reply_error(reply, err);
    else
        bvi_plugin_reply_json(reply, bvi_json_new_null());
}

static void env_delete_task(void *data, const char *name, bvi_plugin_reply *reply)
{
    bv_error *err = NULL;

    if (bvi_node_delete_task(data, name, &err) < 0)
        bvi_plugin_reply_error(reply, err);
    else
        bvi_plugin_reply_json(reply, bvi_json_new_null());
}

/* ---- at once ---- */

/* What a plugin prints or logs is an event too, as long as it is not much: events are few and kept
 * for everybody. */
static void add_log_event(bvi_node *node, const char *text)
{
    int64_t now = bvi_ctx_now_us(node->ctx);

    if (now - node->log_window_us >= LOG_WINDOW_US || node->log_window_us == 0) {
        node->log_window_us = now;
        node->log_events = 0;
    }
    if (node->log_events > LOG_EVENTS_MAX)
        return;
    if (++node->log_events > LOG_EVENTS_MAX)
        text = "it says more than is kept here: see the daemon's log";
    bvi_events_add(node->manager->opts.events, "plugin_log", node->state.name, NULL, "%s", text);
}

static void env_log(void *data, int level, const char *text)
{
    bvi_node *node = data;

    bvi_log_full(node->ctx, level, "plugin", node->state.id, NULL, "%s", text);
    if (level <= BV_LOG_INFO)
        add_log_event(node, text);
}

static const bvi_json *env_node_env(void *data)
{
    return ((bvi_node *)data)->env;
}

static const bvi_json *env_node_params(void *data)
{
    return ((bvi_node *)data)->params;
}

void bvi_node_plugin_env(bvi_node *node, bvi_plugin_env *env)
{
    *env = (bvi_plugin_env){
        .data = node,
        .create_job = env_create_job,
        .start_job = env_start_job,
        .stop_job = env_stop_job,
        .stop_all_jobs = env_stop_all_jobs,
        .job_info = env_job_info,
        .get_jobs = env_get_jobs,
        .run_sh = env_run_sh,
        .run_jrpc = env_run_jrpc,
        .run_rest = env_run_rest,
        .file_read = env_file_read,
        .file_write = env_file_write,
        .render_template = env_render_template,
        .protocol_data_stamp = env_protocol_data_stamp,
        .has_protocol_archive = env_has_protocol_archive,
        .get_secret = env_get_secret,
        .put_secret = env_put_secret,
        .load_data = env_load_data,
        .save_data = env_save_data,
        .add_task = env_add_task,
        .delete_task = env_delete_task,
        .log = env_log,
        .node_env = env_node_env,
        .node_params = env_node_params,
    };
}
