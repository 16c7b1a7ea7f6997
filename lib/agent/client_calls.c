/*
 * client_calls.c - the table of calls, and the functions that make them.
 */
#include <string.h>

#include "agent/client_impl.h"

static const bvi_agent_kind kind_version = { BVI_CALL_VERSION, BVI_ANSWER_VERSION,
                                             .repeatable = true };
static const bvi_agent_kind kind_setup = {
    BVI_CALL_SETUP,
    BVI_ANSWER_EMPTY,
    .repeatable = true,
    .timeout_ms = BVI_AGENT_SETUP_MS,
};
static const bvi_agent_kind kind_jobs_timeout = { BVI_CALL_JOBS_TIMEOUT, BVI_ANSWER_DURATION,
                                                  .repeatable = true };
static const bvi_agent_kind kind_shutdown = {
    BVI_CALL_SHUTDOWN,
    BVI_ANSWER_EMPTY,
    .repeatable = true,
    .ask = BVI_CALL_JOBS_TIMEOUT,
};
static const bvi_agent_kind kind_create_job = {
    BVI_CALL_CREATE_JOB,
    BVI_ANSWER_EMPTY,
    .repeatable = true,
    .ask = BVI_CALL_JOB_TIMEOUT,
};
static const bvi_agent_kind kind_start_job = { BVI_CALL_START_JOB, BVI_ANSWER_EMPTY,
                                               .repeatable = true };
static const bvi_agent_kind kind_stop_job = {
    BVI_CALL_STOP_JOB,
    BVI_ANSWER_EMPTY,
    .repeatable = true,
    .ask = BVI_CALL_JOB_TIMEOUT,
};
static const bvi_agent_kind kind_skip_job = {
    BVI_CALL_SKIP_JOB,
    BVI_ANSWER_EMPTY,
    .repeatable = true,
    .ask = BVI_CALL_JOB_TIMEOUT,
};
static const bvi_agent_kind kind_delete_job = {
    BVI_CALL_DELETE_JOB,         BVI_ANSWER_EMPTY, .repeatable = true, .gone_is_fine = true,
    .ask = BVI_CALL_JOB_TIMEOUT,
};
static const bvi_agent_kind kind_cleanup_job = { BVI_CALL_CLEANUP_JOB, BVI_ANSWER_EMPTY,
                                                 .repeatable = true };
static const bvi_agent_kind kind_stop_all_jobs = {
    BVI_CALL_STOP_ALL_JOBS,
    BVI_ANSWER_EMPTY,
    .repeatable = true,
    .ask = BVI_CALL_JOBS_TIMEOUT,
};
static const bvi_agent_kind kind_job_info = { BVI_CALL_JOB_INFO, BVI_ANSWER_JSON,
                                              .repeatable = true };
static const bvi_agent_kind kind_jobs = { BVI_CALL_JOBS, BVI_ANSWER_JSON, .repeatable = true };
static const bvi_agent_kind kind_job_timeout = { BVI_CALL_JOB_TIMEOUT, BVI_ANSWER_DURATION,
                                                 .repeatable = true };
static const bvi_agent_kind kind_run_sh = { BVI_CALL_RUN_SH, BVI_ANSWER_SHELL };
static const bvi_agent_kind kind_run_jrpc = { BVI_CALL_RUN_JRPC, BVI_ANSWER_HTTP };
static const bvi_agent_kind kind_run_rest = { BVI_CALL_RUN_REST, BVI_ANSWER_HTTP };
static const bvi_agent_kind kind_file_read = { BVI_CALL_FILE_READ, BVI_ANSWER_FILE,
                                               .repeatable = true };
static const bvi_agent_kind kind_render = { BVI_CALL_RENDER_TEMPLATE, BVI_ANSWER_EMPTY,
                                            .repeatable = true };
static const bvi_agent_kind kind_stamp = { BVI_CALL_DATA_STAMP, BVI_ANSWER_STAMP,
                                           .repeatable = true };

/* Messages hold char *, but encoding only reads. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)(text ? text : protobuf_c_empty_string);
}

/* `question`: the body of the kind's `ask`, when it has one that is not empty. */
static int make_call(bvi_agent_client *client, const bvi_agent_kind *kind,
                     const ProtobufCMessage *request, const ProtobufCMessage *question,
                     const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err)
{
    bvi_agent_call *call = NULL;
    int r = bvi_agent_call_new(client, kind, wait, &call, err);

    if (r >= 0 && request)
        r = bvi_message_encode(request, &call->body, err);
    if (r >= 0 && question)
        r = bvi_message_encode(question, &call->question, err);
    if (r < 0) {
        bvi_agent_call_free(call);
        return r;
    }
    return bvi_agent_call_start(call, wait, ret_call, err);
}

static int call_about_job(bvi_agent_client *client, const bvi_agent_kind *kind, const char *name,
                          const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err)
{
    Bvi__Agent__JobRequest request = BVI__AGENT__JOB_REQUEST__INIT;

    request.name = text_of(name);
    return make_call(client, kind, &request.base, kind->ask ? &request.base : NULL, wait, ret_call,
                     err);
}

int bvi_agent_version(bvi_agent_client *client, const bvi_agent_wait *wait,
                      bvi_agent_call **ret_call, bv_error **err)
{
    return make_call(client, &kind_version, NULL, NULL, wait, ret_call, err);
}

int bvi_agent_setup(bvi_agent_client *client, const bvi_json *config, const bvi_agent_wait *wait,
                    bvi_agent_call **ret_call, bv_error **err)
{
    Bvi__Agent__SetupRequest request = BVI__AGENT__SETUP_REQUEST__INIT;
    bvi_auto_free char *text = NULL;
    int r = bvi_json_print(config, false, &text, err);

    if (r < 0)
        return r;
    request.config_json = text;
    return make_call(client, &kind_setup, &request.base, NULL, wait, ret_call, err);
}

int bvi_agent_shutdown_timeout(bvi_agent_client *client, const bvi_agent_wait *wait,
                               bvi_agent_call **ret_call, bv_error **err)
{
    return make_call(client, &kind_jobs_timeout, NULL, NULL, wait, ret_call, err);
}

int bvi_agent_shutdown(bvi_agent_client *client, bool force, const bvi_agent_wait *wait,
                       bvi_agent_call **ret_call, bv_error **err)
{
    Bvi__Agent__ShutdownRequest request = BVI__AGENT__SHUTDOWN_REQUEST__INIT;

    request.force = force;
    return make_call(client, &kind_shutdown, &request.base, NULL, wait, ret_call, err);
}

int bvi_agent_create_job(bvi_agent_client *client, const char *name, const bvi_json *config,
                         const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err)
{
    Bvi__Agent__CreateJobRequest request = BVI__AGENT__CREATE_JOB_REQUEST__INIT;
    Bvi__Agent__JobRequest question = BVI__AGENT__JOB_REQUEST__INIT;
    bvi_auto_free char *text = NULL;
    int r = bvi_json_print(config, false, &text, err);

    if (r < 0)
        return r;
    request.name = question.name = text_of(name);
    request.config_json = text;
    return make_call(client, &kind_create_job, &request.base, &question.base, wait, ret_call, err);
}

int bvi_agent_start_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                        bvi_agent_call **ret_call, bv_error **err)
{
    return call_about_job(client, &kind_start_job, name, wait, ret_call, err);
}

int bvi_agent_stop_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                       bvi_agent_call **ret_call, bv_error **err)
{
    return call_about_job(client, &kind_stop_job, name, wait, ret_call, err);
}

int bvi_agent_skip_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                       bvi_agent_call **ret_call, bv_error **err)
{
    return call_about_job(client, &kind_skip_job, name, wait, ret_call, err);
}

int bvi_agent_cleanup_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                          bvi_agent_call **ret_call, bv_error **err)
{
    return call_about_job(client, &kind_cleanup_job, name, wait, ret_call, err);
}

int bvi_agent_delete_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                         bvi_agent_call **ret_call, bv_error **err)
{
    return call_about_job(client, &kind_delete_job, name, wait, ret_call, err);
}

int bvi_agent_stop_all_jobs(bvi_agent_client *client, const bvi_agent_wait *wait,
                            bvi_agent_call **ret_call, bv_error **err)
{
    return make_call(client, &kind_stop_all_jobs, NULL, NULL, wait, ret_call, err);
}

int bvi_agent_job_info(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                       bvi_agent_call **ret_call, bv_error **err)
{
    return call_about_job(client, &kind_job_info, name, wait, ret_call, err);
}

int bvi_agent_jobs(bvi_agent_client *client, const bvi_agent_wait *wait, bvi_agent_call **ret_call,
                   bv_error **err)
{
    return make_call(client, &kind_jobs, NULL, NULL, wait, ret_call, err);
}

int bvi_agent_job_shutdown_timeout(bvi_agent_client *client, const char *name,
                                   const bvi_agent_wait *wait, bvi_agent_call **ret_call,
                                   bv_error **err)
{
    return call_about_job(client, &kind_job_timeout, name, wait, ret_call, err);
}

int bvi_agent_run_sh(bvi_agent_client *client, const char *body, const bvi_agent_wait *wait,
                     bvi_agent_call **ret_call, bv_error **err)
{
    Bvi__Agent__RunShRequest request = BVI__AGENT__RUN_SH_REQUEST__INIT;

    request.body = text_of(body);
    return make_call(client, &kind_run_sh, &request.base, NULL, wait, ret_call, err);
}

/* ---- HTTP ---- */

typedef struct header_list {
    Bvi__Agent__Header items[BVI_AGENT_HEADERS_MAX];
    Bvi__Agent__Header *pointers[BVI_AGENT_HEADERS_MAX];
} header_list;

static int fill_headers(header_list *list, const bvi_agent_http *http, bv_error **err)
{
    if (http->header_count > BVI_AGENT_HEADERS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "%zu headers are more than the limit of %u",
                        http->header_count, BVI_AGENT_HEADERS_MAX);
    for (size_t i = 0; i < http->header_count; i++) {
        bvi__agent__header__init(&list->items[i]);
        list->items[i].name = text_of(http->headers[i].name);
        list->items[i].value = text_of(http->headers[i].value);
        list->pointers[i] = &list->items[i];
    }
    return 0;
}

int bvi_agent_run_jrpc(bvi_agent_client *client, const bvi_agent_http *http,
                       const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err)
{
    Bvi__Agent__RunJrpcRequest request = BVI__AGENT__RUN_JRPC_REQUEST__INIT;
    header_list list;
    int r = fill_headers(&list, http, err);

    if (r < 0)
        return r;
    request.host = text_of(http->url);
    request.method = text_of(http->method);
    request.params_json = text_of(http->params);
    request.n_headers = http->header_count;
    request.headers = list.pointers;
    return make_call(client, &kind_run_jrpc, &request.base, NULL, wait, ret_call, err);
}

int bvi_agent_run_rest(bvi_agent_client *client, const bvi_agent_http *http,
                       const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err)
{
    Bvi__Agent__RunRestRequest request = BVI__AGENT__RUN_REST_REQUEST__INIT;
    header_list list;
    int r = fill_headers(&list, http, err);

    if (r < 0)
        return r;
    request.url = text_of(http->url);
    request.n_headers = http->header_count;
    request.headers = list.pointers;
    return make_call(client, &kind_run_rest, &request.base, NULL, wait, ret_call, err);
}

/* ---- files and templates ---- */

int bvi_agent_file_read(bvi_agent_client *client, const char *path, const bvi_agent_wait *wait,
                        bvi_agent_call **ret_call, bv_error **err)
{
    Bvi__Agent__FileReadRequest request = BVI__AGENT__FILE_READ_REQUEST__INIT;

    request.path = text_of(path);
    return make_call(client, &kind_file_read, &request.base, NULL, wait, ret_call, err);
}

int bvi_agent_render_template(bvi_agent_client *client, const char *template_path,
                              const char *destination, const bvi_json *params,
                              const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err)
{
    Bvi__Agent__RenderTemplateRequest request = BVI__AGENT__RENDER_TEMPLATE_REQUEST__INIT;
    bvi_auto_free char *text = NULL;
    int r = bvi_json_print(params, false, &text, err);

    if (r < 0)
        return r;
    request.template_path = text_of(template_path);
    request.destination = text_of(destination);
    request.params_json = text;
    return make_call(client, &kind_render, &request.base, NULL, wait, ret_call, err);
}

int bvi_agent_protocol_data_stamp(bvi_agent_client *client, const bvi_agent_wait *wait,
                                  bvi_agent_call **ret_call, bv_error **err)
{
    return make_call(client, &kind_stamp, NULL, NULL, wait, ret_call, err);
}
