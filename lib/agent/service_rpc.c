/*
 * service_rpc.c - carries calls between net/rpc.h and service.h.
 */
#include "agent/service_rpc.h"

struct bvi_service_rpc {
    bv_ctx *ctx;
    const bvi_service_method *methods;
    size_t method_count;
    void *service;
    bvi_rpc_method *table; /* for the server: every method leads to on_call() */
    bvi_rpc_server *server;
};

/* One call under way. */
typedef struct carried {
    bvi_rpc_call *rpc;
    bvi_service_call *call; /* NULL while being dispatched */
    bool cancelled;
    bvi_buf waiting; /* a part there was no room for */
    bvi_task sent_task;
    void (*sent)(void *data);
    void *sent_data;
} carried;

static void carried_free(carried *c)
{
    bvi_task_done(&c->sent_task);
    bvi_buf_done(&c->waiting);
    bvi_free(c);
}

static void tell_sent(void *data)
{
    carried *c = data;
    void (*sent)(void *data) = c->sent;

    c->sent = NULL;
    if (sent)
        sent(c->sent_data);
}

static void on_room(bvi_rpc_call *rpc, void *data)
{
    carried *c = data;
    int r = bvi_rpc_call_send(rpc, bvi_buf_str(&c->waiting), c->waiting.len, NULL);

    if (r == BV_E_AGAIN) {
        bvi_rpc_call_on_room(rpc, on_room, c);
        return;
    }
    /* Whatever else happened, the handler sees it at its next step. */
    bvi_buf_clear(&c->waiting);
    bvi_task_post(&c->sent_task);
}

static int keep_waiting(carried *c, const void *bytes, size_t len, bv_error **err)
{
    if (bvi_buf_append(&c->waiting, bytes, len) < 0)
        return bvi_fail_nomem(err);
    bvi_rpc_call_on_room(c->rpc, on_room, c);
    return 0;
}

static int carry_send(void *handle, const void *bytes, size_t len, void (*sent)(void *data),
                      void *data, bv_error **err)
{
    carried *c = handle;
    bvi_auto_error bv_error *why = NULL;
    int r = bvi_rpc_call_send(c->rpc, bytes, len, &why);

    if (r < 0 && r != BV_E_AGAIN && r != BV_E_CANCELLED)
        return bvi_error_move(err, bvi_take(why));
    if (r == BV_E_AGAIN) {
        r = keep_waiting(c, bytes, len, err);
        if (r < 0)
            return r;
    } else {
        bvi_task_post(&c->sent_task); /* also for a caller that is gone: the handler looks */
    }
    c->sent = sent;
    c->sent_data = data;
    return 0;
}

static void carry_reply(void *handle, const void *bytes, size_t len)
{
    carried *c = handle;

    bvi_rpc_call_reply(c->rpc, bytes, len);
    carried_free(c);
}

static void carry_fail(void *handle, bv_error *err)
{
    carried *c = handle;

    bvi_rpc_call_fail(c->rpc, err);
    carried_free(c);
}

static const bvi_service_carrier carrier = { .send = carry_send,
                                             .reply = carry_reply,
                                             .fail = carry_fail };

static void on_cancel(bvi_rpc_call *rpc, void *data)
{
    carried *c = data;

    c->cancelled = true;
    if (c->sent)
        bvi_task_post(&c->sent_task); /* there will be no room any more */
    if (c->call)
        bvi_service_cancel(c->call);
}

static void on_call(bvi_rpc_call *rpc, void *data)
{
    bvi_service_rpc *s = data;
    carried *c = bvi_new0(carried);
    bvi_service_origin origin = { .ctx = s->ctx, .carrier = &carrier, .handle = c };
    bvi_service_call *call = NULL;
    bv_error *err = NULL;
    size_t len = 0;
    const void *bytes = bvi_rpc_call_body(rpc, &len);
    int64_t left = bvi_rpc_call_left_ms(rpc);

    if (!c) {
        (void)bvi_fail_nomem(&err);
        bvi_rpc_call_fail(rpc, err);
        return;
    }
    c->rpc = rpc;
    bvi_buf_init(&c->waiting, BVI_RPC_BODY_MAX);
    bvi_task_init(&c->sent_task, s->ctx, tell_sent, c);
    origin.timeout_ms = left < 0 ? 0 : left > 0 ? left : 1;
    bvi_service_dispatch(s->methods, s->method_count, bvi_rpc_call_method(rpc), bytes, len, &origin,
                         s->service, &call);
    if (!call)
        return; /* answered already; c is gone */
    c->call = call;
    bvi_rpc_call_on_cancel(rpc, on_cancel, c);
}

static int start(bvi_service_rpc *s, const bvi_service_rpc_opts *opts, bv_error **err)
{
    bvi_rpc_server_opts server = {
        .path = opts->socket_path,
        .self = opts->self,
        .data = s,
        .calls_max = opts->calls_max,
        .connections_max = opts->connections_max,
        .unsent_max = opts->unsent_max,
    };

    s->table = bvi_new_array(bvi_rpc_method, opts->method_count + 1);
    if (!s->table)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < opts->method_count; i++)
        s->table[i] = (bvi_rpc_method){ .name = opts->methods[i].name, .handle = on_call };
    server.methods = s->table;
    return bvi_rpc_server_new(s->ctx, &server, &s->server, err);
}

int bvi_service_rpc_new(bv_ctx *ctx, const bvi_service_rpc_opts *opts,
                        bvi_service_rpc **ret_service, bv_error **err)
{
    bvi_service_rpc *s = bvi_new0(bvi_service_rpc);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->ctx = ctx;
    s->methods = opts->methods;
    s->method_count = opts->method_count;
    s->service = opts->service;
    r = start(s, opts, err);
    if (r < 0) {
        bvi_service_rpc_free(s);
        return r;
    }
    *ret_service = s;
    return 0;
}

void bvi_service_rpc_free(bvi_service_rpc *service)
{
    if (!service)
        return;
    bvi_rpc_server_free(service->server);
    bvi_free(service->table);
    bvi_free(service);
}
