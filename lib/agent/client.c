/*
 * client.c - the host's connection to one agent, and the course of a call over it.
 *
 * A call is one or more requests in a row: some kinds first ask how long they may take, files go
 * piece by piece. There is always exactly one request under way, so cancelling, deadlines and lost
 * connections all arrive in on_reply().
 */
#include <string.h>

#include "agent/client_impl.h"

/* A call whose connection breaks is sent again so often. */
#define REPEATS_MAX 3u

struct bvi_agent_client {
    bv_ctx *ctx;
    bvi_rpc_client *rpc;
    char *node_id;
    bvi_agent_state state;
    void (*on_state)(bvi_agent_state state, void *data);
    void *data;
};

/* ---- calls ---- */

void bvi_agent_call_free(bvi_agent_call *call)
{
    if (!call)
        return;
    bvi_buf_done(&call->question);
    bvi_buf_done(&call->body);
    bvi_buf_done(&call->out);
    bvi_buf_done(&call->err_out);
    bvi_agent_sending_free(call->sending);
    bvi_free(call);
}

int bvi_agent_call_new(bvi_agent_client *client, const bvi_agent_kind *kind,
                       const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err)
{
    bvi_agent_call *call = bvi_new0(bvi_agent_call);

    if (!call)
        return bvi_fail_nomem(err);
    call->client = client;
    call->kind = kind;
    call->done = wait->done;
    call->data = wait->data;
    bvi_buf_init(&call->question, BVI_RPC_BODY_MAX);
    bvi_buf_init(&call->body, BVI_RPC_BODY_MAX);
    bvi_buf_init(&call->out, bvi_agent_answer_max(kind->answer));
    bvi_buf_init(&call->err_out, bvi_agent_answer_max(kind->answer));
    *ret_call = call;
    return 0;
}

static void complete(bvi_agent_call *call, const bvi_agent_result *result, const bv_error *err)
{
    static const bvi_agent_result nothing;
    bvi_agent_fn done = call->done;
    void *data = call->data;

    /* The result may borrow from the call, so that goes last. */
    if (done)
        done(err ? &nothing : result, err, data);
    bvi_agent_call_free(call);
}

static void on_reply(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data);

/* Sends what is next: the question about the timeout, or the body. */
static int send_request(bvi_agent_call *call, bv_error **err)
{
    bool asks = call->deadline_us == 0;
    const bvi_buf *body = asks ? &call->question : &call->body;
    int64_t left_us = asks ? BVI_AGENT_TIMEOUT_MS * INT64_C(1000)
                           : call->deadline_us - bvi_ctx_now_us(call->client->ctx);
    bvi_rpc_request_opts opts = {
        .method = asks ? call->kind->ask : call->kind->method,
        .body = bvi_buf_str(body),
        .len = body->len,
        .deadline_ms = left_us > 1000 ? left_us / 1000 : 1,
        .on_reply = on_reply,
        .data = call,
    };

    return bvi_rpc_request_start(call->client->rpc, &opts, &call->request, err);
}

static void send_or_complete(bvi_agent_call *call, int r, bv_error *err)
{
    if (r >= 0)
        r = send_request(call, &err);
    if (r < 0) {
        complete(call, NULL, err);
        bv_error_free(err);
    }
}

/* The connection broke under a request that may be sent twice. */
static bool may_repeat(const bvi_agent_call *call, const bvi_rpc_reply *reply)
{
    bool lost = bv_error_code(reply->err) == BV_E_REMOTE && reply->sent && !reply->from_peer;

    return lost && call->repeats < REPEATS_MAX &&
           (call->kind->repeatable || call->deadline_us == 0);
}

static void repeat(bvi_agent_call *call)
{
    bv_error *err = NULL;
    int r = 0;

    call->repeats++;
    bvi_buf_clear(&call->out);
    bvi_buf_clear(&call->err_out);
    if (call->sending)
        r = bvi_agent_sending_begin(call, &err);
    send_or_complete(call, r, err);
}

static void on_failure(bvi_agent_call *call, const bvi_rpc_reply *reply)
{
    static const bvi_agent_result nothing;

    if (may_repeat(call, reply))
        repeat(call);
    else if (call->repeats && call->kind->gone_is_fine &&
             bv_error_code(reply->err) == BV_E_NOT_FOUND)
        complete(call, &nothing, NULL);
    else
        complete(call, NULL, reply->err);
}

static void on_duration(bvi_agent_call *call, const bvi_rpc_reply *reply)
{
    int64_t ms = 0;
    bv_error *err = NULL;
    int r = bvi_agent_answer_duration(reply->body, reply->len, &ms, &err);

    if (r >= 0)
        call->deadline_us = bvi_ctx_now_us(call->client->ctx) + (ms + BVI_AGENT_MARGIN_MS) * 1000;
    send_or_complete(call, r, err);
}

static void on_last(bvi_agent_call *call, const bvi_rpc_reply *reply)
{
    bvi_agent_parsed parsed = { .text = BVI_BUF_INIT(0), .err_text = BVI_BUF_INIT(0) };
    bv_error *err = NULL;

    (void)bvi_agent_answer_last(call, reply->body, reply->len, &parsed, &err); /* err tells */
    complete(call, &parsed.result, err);
    bvi_agent_parsed_done(&parsed);
    bv_error_free(err);
}

static void on_part(bvi_agent_call *call, const bvi_rpc_reply *reply)
{
    bv_error *err = NULL;

    if (bvi_agent_answer_part(call, reply->body, reply->len, &err) >= 0)
        return;
    bvi_rpc_request_drop(call->request); /* the rest of a bad answer is of no use */
    complete(call, NULL, err);
    bv_error_free(err);
}

static void on_reply(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data)
{
    bvi_agent_call *call = data;
    bv_error *err = NULL;

    if (reply->err) {
        on_failure(call, reply);
    } else if (reply->more) {
        on_part(call, reply);
    } else if (call->deadline_us == 0) {
        on_duration(call, reply);
    } else if (call->sending && !bvi_agent_sending_is_done(call->sending)) {
        int r = bvi_agent_sending_piece(call, &err);

        send_or_complete(call, r, err);
    } else {
        on_last(call, reply);
    }
}

int bvi_agent_call_start(bvi_agent_call *call, const bvi_agent_wait *wait,
                         bvi_agent_call **ret_call, bv_error **err)
{
    int64_t fixed_ms = call->kind->timeout_ms ? call->kind->timeout_ms : BVI_AGENT_TIMEOUT_MS;
    int64_t ms = wait->timeout_ms > 0 ? wait->timeout_ms : fixed_ms;
    int r;

    if (ms > BVI_AGENT_TIMEOUT_MAX_MS)
        ms = BVI_AGENT_TIMEOUT_MAX_MS;
    if (wait->timeout_ms > 0 || !call->kind->ask)
        call->deadline_us = bvi_ctx_now_us(call->client->ctx) + ms * 1000;
    r = send_request(call, err);
    if (r < 0) {
        bvi_agent_call_free(call);
        return bvi_wrap(err, r, "cannot send '%s' to the agent", call->kind->method);
    }
    if (ret_call)
        *ret_call = call;
    return 0;
}

void bvi_agent_call_cancel(bvi_agent_call *call)
{
    if (call)
        bvi_rpc_request_cancel(call->request);
}

/* ---- the connection ---- */

const char *bvi_agent_state_name(bvi_agent_state state)
{
    static const char *const names[] = {
        [BVI_AGENT_CLOSED] = "closed",
        [BVI_AGENT_OPEN] = "open",
        [BVI_AGENT_BROKEN] = "broken",
    };

    return (size_t)state < BVI_COUNT(names) ? names[state] : "unknown";
}

static void on_rpc_state(bvi_rpc_client *rpc, bvi_rpc_state state, const bv_error *err, void *data)
{
    bvi_agent_client *client = data;
    bvi_agent_state now = client->state;

    if (state == BVI_RPC_OPEN)
        now = BVI_AGENT_OPEN;
    else if (err)
        now = BVI_AGENT_BROKEN;
    else if (state == BVI_RPC_CLOSED)
        now = BVI_AGENT_CLOSED;
    if (now == client->state)
        return;
    client->state = now;
    bvi_log_full(client->ctx, BV_LOG_DEBUG, "agent", client->node_id, NULL,
                 "connection to the agent is %s%s%s", bvi_agent_state_name(now), err ? ": " : "",
                 err ? bv_error_message(err) : "");
    if (client->on_state)
        client->on_state(now, client->data);
}

int bvi_agent_client_new(bv_ctx *ctx, const bvi_agent_client_opts *opts,
                         bvi_agent_client **ret_client, bv_error **err)
{
    bvi_agent_client *client = bvi_new0(bvi_agent_client);
    bvi_rpc_client_opts rpc = {
        .path = opts->socket_path,
        .self = { .program = "blockvisor", .version = BVI_AGENT_VERSION },
        .calls_max = BVI_AGENT_CALLS_MAX,
        .reach_ms = BVI_AGENT_CONNECT_MS,
        .on_state = on_rpc_state,
        .data = client,
    };
    int r;

    if (!client)
        return bvi_fail_nomem(err);
    client->ctx = ctx;
    client->node_id = bvi_strdup(opts->node_id);
    client->on_state = opts->on_state;
    client->data = opts->data;
    r = opts->node_id && !client->node_id ? bvi_fail_nomem(err)
                                          : bvi_rpc_client_new(ctx, &rpc, &client->rpc, err);
    if (r < 0) {
        bvi_agent_client_free(client);
        return r;
    }
    *ret_client = client;
    return 0;
}

void bvi_agent_client_free(bvi_agent_client *client)
{
    if (!client)
        return;
    client->on_state = NULL;
    bvi_rpc_client_free(client->rpc); /* completes the calls under way */
    bvi_free(client->node_id);
    bvi_free(client);
}

bvi_agent_state bvi_agent_client_state(const bvi_agent_client *client)
{
    return client->state;
}

void bvi_agent_client_close(bvi_agent_client *client)
{
    bvi_rpc_client_close(client->rpc);
}

const char *bvi_agent_client_version(const bvi_agent_client *client)
{
    return bvi_rpc_client_peer_version(client->rpc);
}

bool bvi_agent_client_can(const bvi_agent_client *client, const char *capability)
{
    return bvi_rpc_client_peer_can(client->rpc, capability);
}
