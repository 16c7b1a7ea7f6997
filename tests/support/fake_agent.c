/*
 * fake_agent.c - the agent's methods over net/rpc.h, by a table.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.pb-c.h"
#include "agent/message.h"
#include "agent/protocol.h"
#include "base/json.h"
#include "base/vec.h"
#include "bvt.h"
#include "fake_agent.h"
#include "net/rpc.h"

#define METHODS_MAX 32

struct fake_agent {
    bv_ctx *ctx;
    char *path;
    bvi_rpc_server *server;
    bvi_task reopen; /* after a dropped connection */
    bvi_json *jobs;  /* name -> info */
    bool ready;
    struct {
        fake_agent_mood mood;
        unsigned times; /* 0: always */
        unsigned calls;
    } methods[METHODS_MAX];
};

/* ---- answers ---- */

static void answer(bvi_rpc_call *call, const ProtobufCMessage *message)
{
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(1024u * 1024u);

    if (bvi_message_encode(message, &bytes, NULL) < 0)
        bvi_rpc_call_failf(call, BV_E_NOMEM, "out of memory");
    else
        bvi_rpc_call_reply(call, bvi_buf_str(&bytes), bytes.len);
}

static void answer_empty(fake_agent *agent, bvi_rpc_call *call)
{
    Bvi__Agent__Empty reply = BVI__AGENT__EMPTY__INIT;

    answer(call, &reply.base);
}

static void answer_version(fake_agent *agent, bvi_rpc_call *call)
{
    Bvi__Agent__VersionReply reply = BVI__AGENT__VERSION_REPLY__INIT;

    reply.version = (char *)(uintptr_t) "0.0.fake";
    reply.ready = agent->ready;
    answer(call, &reply.base);
}

static void answer_duration(fake_agent *agent, bvi_rpc_call *call)
{
    Bvi__Agent__DurationReply reply = BVI__AGENT__DURATION_REPLY__INIT;

    reply.ms = 1000;
    answer(call, &reply.base);
}

static void answer_stamp(fake_agent *agent, bvi_rpc_call *call)
{
    Bvi__Agent__StampReply reply = BVI__AGENT__STAMP_REPLY__INIT;

    answer(call, &reply.base);
}

static void answer_bulk(bvi_rpc_call *call, const char *text)
{
    Bvi__Agent__BulkReply reply = BVI__AGENT__BULK_REPLY__INIT;

    reply.out = bvi_message_bytes(text, strlen(text));
    answer(call, &reply.base);
}

static void answer_shell(fake_agent *agent, bvi_rpc_call *call)
{
    answer_bulk(call, "shell\n");
}

static void answer_setup(fake_agent *agent, bvi_rpc_call *call)
{
    agent->ready = true;
    answer_empty(agent, call);
}

static void answer_shutdown(fake_agent *agent, bvi_rpc_call *call)
{
    agent->ready = false;
    answer_empty(agent, call);
}

/* ---- jobs ---- */

static bvi_json *job_info(const char *status)
{
    bvi_auto_free char *text =
        bvi_asprintf("{\"status\":%s,\"timestamp\":{\"secs_since_epoch\":1,"
                     "\"nanos_since_epoch\":0},\"progress\":null,\"restart_count\":0,"
                     "\"logs\":[],\"upgrade_blocking\":false}",
                     status);
    bvi_json *info = NULL;

    if (text)
        (void)bvi_json_parse(text, strlen(text), &info, NULL); /* NULL: no memory */
    return info;
}

static void put_job(fake_agent *agent, bvi_rpc_call *call, const char *status)
{
    bvi_auto_message ProtobufCMessage *message = NULL;
    size_t len = 0;
    const void *body = bvi_rpc_call_body(call, &len);

    /* CreateJobRequest begins as JobRequest does. */
    if (bvi_message_decode(&bvi__agent__create_job_request__descriptor, body, len, 1024u * 1024u,
                           &message, NULL) < 0 ||
        bvi_json_put(agent->jobs, ((Bvi__Agent__CreateJobRequest *)message)->name,
                     job_info(status)) < 0)
        bvi_rpc_call_failf(call, BV_E_NOMEM, "out of memory");
    else
        answer_empty(agent, call);
}

static void answer_stopped(fake_agent *agent, bvi_rpc_call *call)
{
    put_job(agent, call, "\"stopped\"");
}

static void answer_started(fake_agent *agent, bvi_rpc_call *call)
{
    put_job(agent, call, "\"running\"");
}

static void answer_jobs(fake_agent *agent, bvi_rpc_call *call)
{
    bvi_auto_free char *text = NULL;

    if (bvi_json_print(agent->jobs, false, &text, NULL) < 0)
        bvi_rpc_call_failf(call, BV_E_NOMEM, "out of memory");
    else
        answer_bulk(call, text);
}

static void answer_job(fake_agent *agent, bvi_rpc_call *call)
{
    bvi_auto_message ProtobufCMessage *message = NULL;
    bvi_auto_free char *text = NULL;
    const bvi_json *info = NULL;
    size_t len = 0;
    const void *body = bvi_rpc_call_body(call, &len);

    if (bvi_message_decode(&bvi__agent__job_request__descriptor, body, len, 1024u * 1024u, &message,
                           NULL) == 0)
        info = bvi_json_find(agent->jobs, ((Bvi__Agent__JobRequest *)message)->name);
    if (!info)
        bvi_rpc_call_failf(call, BV_E_NOT_FOUND, "there is no such job");
    else if (bvi_json_print(info, false, &text, NULL) < 0)
        bvi_rpc_call_failf(call, BV_E_NOMEM, "out of memory");
    else
        answer_bulk(call, text);
}

/* ---- methods ---- */

static const struct {
    const char *name;
    void (*answer)(fake_agent *agent, bvi_rpc_call *call);
} answers[] = {
    { BVI_CALL_VERSION, answer_version },
    { BVI_CALL_SETUP, answer_setup },
    { BVI_CALL_SHUTDOWN, answer_shutdown },
    { BVI_CALL_JOBS_TIMEOUT, answer_duration },
    { BVI_CALL_JOB_TIMEOUT, answer_duration },
    { BVI_CALL_CREATE_JOB, answer_stopped },
    { BVI_CALL_START_JOB, answer_started },
    { BVI_CALL_STOP_JOB, answer_stopped },
    { BVI_CALL_SKIP_JOB, answer_empty },
    { BVI_CALL_CLEANUP_JOB, answer_empty },
    { BVI_CALL_STOP_ALL_JOBS, answer_empty },
    { BVI_CALL_JOB_INFO, answer_job },
    { BVI_CALL_JOBS, answer_jobs },
    { BVI_CALL_RUN_SH, answer_shell },
    { BVI_CALL_DATA_STAMP, answer_stamp },
};

static void handle(bvi_rpc_call *call, void *data);

static const bvi_rpc_method rpc_methods[] = {
    { BVI_CALL_VERSION, handle },       { BVI_CALL_SETUP, handle },
    { BVI_CALL_SHUTDOWN, handle },      { BVI_CALL_JOBS_TIMEOUT, handle },
    { BVI_CALL_JOB_TIMEOUT, handle },   { BVI_CALL_CREATE_JOB, handle },
    { BVI_CALL_START_JOB, handle },     { BVI_CALL_STOP_JOB, handle },
    { BVI_CALL_SKIP_JOB, handle },      { BVI_CALL_CLEANUP_JOB, handle },
    { BVI_CALL_STOP_ALL_JOBS, handle }, { BVI_CALL_JOB_INFO, handle },
    { BVI_CALL_JOBS, handle },          { BVI_CALL_RUN_SH, handle },
    { BVI_CALL_DATA_STAMP, handle },    { NULL, NULL },
};

static size_t index_of(const char *name)
{
    for (size_t i = 0; i < BVI_COUNT(answers); i++) {
        if (strcmp(answers[i].name, name) == 0)
            return i;
    }
    ck_abort_msg("the fake agent has no method '%s'", name);
    return 0;
}

/* Nobody waits for a hanging call any longer. */
static void end_hanging(bvi_rpc_call *call, void *data)
{
    bvi_rpc_call_failf(call, BV_E_CANCELLED, "cancelled");
}

static void handle(bvi_rpc_call *call, void *data)
{
    fake_agent *agent = data;
    size_t i = index_of(bvi_rpc_call_method(call));
    fake_agent_mood mood = agent->methods[i].mood;

    agent->methods[i].calls++;
    if (agent->methods[i].times && --agent->methods[i].times == 0)
        agent->methods[i].mood = FAKE_AGENT_WORKS;
    switch (mood) {
    case FAKE_AGENT_FAILS:
        bvi_rpc_call_failf(call, BV_E_INTERNAL, "the fake fails");
        break;
    case FAKE_AGENT_DROPS:
        bvi_task_post(&agent->reopen);
        bvi_rpc_call_on_cancel(call, end_hanging, agent);
        break;
    case FAKE_AGENT_HANGS:
        bvi_rpc_call_on_cancel(call, end_hanging, agent);
        break;
    default:
        answers[i].answer(agent, call);
    }
}

/* ---- life ---- */

static void listen_now(fake_agent *agent)
{
    const bvi_rpc_server_opts opts = { .path = agent->path,
                                       .self = { .program = "babel", .version = "0.0.fake" },
                                       .methods = rpc_methods,
                                       .data = agent };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_rpc_server_new(agent->ctx, &opts, &agent->server, &err), err);
}

static void reopen(void *data)
{
    fake_agent *agent = data;

    bvi_rpc_server_free(agent->server);
    listen_now(agent);
}

fake_agent *fake_agent_new(bv_ctx *ctx, const char *socket_path)
{
    fake_agent *agent = calloc(1, sizeof(*agent));

    ck_assert_ptr_nonnull(agent);
    agent->ctx = ctx;
    agent->path = bvi_strdup(socket_path);
    agent->jobs = bvi_json_new_object();
    bvi_task_init(&agent->reopen, ctx, reopen, agent);
    listen_now(agent);
    return agent;
}

void fake_agent_free(fake_agent *agent)
{
    if (!agent)
        return;
    bvi_task_done(&agent->reopen);
    bvi_rpc_server_free(agent->server);
    bvi_json_free(agent->jobs);
    bvi_free(agent->path);
    free(agent);
}

void fake_agent_set(fake_agent *agent, const char *name, fake_agent_mood mood, unsigned times)
{
    size_t i = index_of(name);

    agent->methods[i].mood = mood;
    agent->methods[i].times = times;
}

unsigned fake_agent_calls(const fake_agent *agent, const char *name)
{
    unsigned calls = 0;

    for (size_t i = 0; i < BVI_COUNT(answers); i++)
        calls += !name || i == index_of(name) ? agent->methods[i].calls : 0;
    return calls;
}

bool fake_agent_is_ready(const fake_agent *agent)
{
    return agent->ready;
}

void fake_agent_set_ready(fake_agent *agent, bool ready)
{
    agent->ready = ready;
}

void fake_agent_set_job(fake_agent *agent, const char *name, const char *info_json)
{
    bvi_json *info = NULL;

    ck_assert_int_eq(bvi_json_parse(info_json, strlen(info_json), &info, NULL), 0);
    ck_assert_int_eq(bvi_json_put(agent->jobs, name, info), 0);
}
