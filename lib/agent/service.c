/*
 * service.c - from a method's name and bytes to a handler, and from its answer to bytes.
 */
#include <string.h>

#include "agent/limits.h"
#include "agent/service.h"

/* No answer is longer: two outputs of a command, or all job infos. */
#define ANSWER_MAX (16u * 1024u * 1024u)

struct bvi_service_call {
    bvi_service_origin origin;
    const char *method; /* of the table */
    void (*cancel)(void *data);
    void *cancel_data;
    bool cancelled;
    bvi_service_call **watcher; /* while dispatch wants to know whether the call is still there */
};

static void end(bvi_service_call *call)
{
    if (call->watcher)
        *call->watcher = NULL;
    call->origin.carrier->release(call->origin.handle);
    bvi_free(call);
}

static void fail_origin(const bvi_service_origin *origin, bv_error *err)
{
    origin->carrier->fail(origin->handle, err);
    origin->carrier->release(origin->handle);
    bv_error_free(err);
}

static const bvi_service_method *find(const bvi_service_method *methods, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}

static int begin(const bvi_service_method *m, const void *bytes, size_t len, const bvi_service_origin *origin,
                 ProtobufCMessage **ret_request, bvi_service_call **ret_call, bv_error **err)
{
    bvi_service_call *call;
    int r = bvi_message_decode(m->request, bytes, len, m->max, ret_request, err);

    if (r < 0)
        return bvi_wrap(err, r, "request '%s'", m->name);
    call = bvi_new0(bvi_service_call);
    if (!call)
        return bvi_fail_nomem(err);
    call->origin = *origin;
    call->method = m->name;
    *ret_call = call;
    return 0;
}

void bvi_service_dispatch(const bvi_service_method *methods, size_t count, const char *method, const void *bytes,
                          size_t len, const bvi_service_origin *origin, void *service, bvi_service_call **ret_call)
{
    const bvi_service_method *m = find(methods, count, method);
    bvi_auto_message ProtobufCMessage *request = NULL;
    bvi_service_call *call = NULL;
    bv_error *err = NULL;
    int r;

    if (ret_call)
        *ret_call = NULL;
    if (!m)
        r = bvi_fail(&err, BV_E_UNSUPPORTED, "this version does not know the request '%.64s'", method);
    else
        r = begin(m, bytes, len, origin, &request, &call, &err);
    if (r < 0) {
        fail_origin(origin, err);
        return;
    }
    call->watcher = &call;
    m->handle(call, request, service);
    if (call)
        call->watcher = NULL;
    if (ret_call)
        *ret_call = call;
}

void bvi_service_cancel(bvi_service_call *call)
{
    void (*cancel)(void *data) = call->cancel;

    call->cancelled = true;
    call->cancel = NULL;
    if (cancel)
        cancel(call->cancel_data);
}

bv_ctx *bvi_service_ctx(const bvi_service_call *call)
{
    return call->origin.ctx;
}

uint64_t bvi_service_peer(const bvi_service_call *call)
{
    return call->origin.peer;
}

int64_t bvi_service_timeout_ms(const bvi_service_call *call, int64_t preferred_ms)
{
    int64_t ms = call->origin.timeout_ms > 0 ? call->origin.timeout_ms : preferred_ms;

    return ms < BVI_AGENT_TIMEOUT_MAX_MS ? ms : BVI_AGENT_TIMEOUT_MAX_MS;
}

bool bvi_service_is_cancelled(const bvi_service_call *call)
{
    return call->cancelled;
}

void bvi_service_on_cancel(bvi_service_call *call, void (*cancel)(void *data), void *data)
{
    call->cancel = call->cancelled ? NULL : cancel;
    call->cancel_data = data;
    if (call->cancelled && cancel)
        cancel(data);
}

static int send(bvi_service_call *call, const ProtobufCMessage *answer, bool more, void (*sent)(void *data),
                void *data, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(ANSWER_MAX);
    int r = bvi_message_encode(answer, &bytes, err);

    if (r >= 0)
        r = call->origin.carrier->send(call->origin.handle, bvi_buf_str(&bytes), bytes.len, more, sent, data, err);
    return r < 0 ? bvi_wrap(err, r, "answer to '%s'", call->method) : 0;
}

int bvi_service_send(bvi_service_call *call, const ProtobufCMessage *answer, void (*sent)(void *data), void *data,
                     bv_error **err)
{
    return send(call, answer, true, sent, data, err);
}

void bvi_service_reply(bvi_service_call *call, const ProtobufCMessage *answer)
{
    bv_error *err = NULL;

    call->cancel = NULL;
    if (send(call, answer, false, NULL, NULL, &err) < 0) {
        bvi_service_fail(call, err);
        return;
    }
    end(call);
}

void bvi_service_reply_empty(bvi_service_call *call)
{
    /* Every message type without fields encodes to nothing, and so does each one with all defaults. */
    bv_error *err = NULL;

    call->cancel = NULL;
    if (call->origin.carrier->send(call->origin.handle, "", 0, false, NULL, NULL, &err) < 0) {
        bvi_service_fail(call, err);
        return;
    }
    end(call);
}

void bvi_service_fail(bvi_service_call *call, bv_error *err)
{
    call->cancel = NULL;
    call->origin.carrier->fail(call->origin.handle, err);
    bv_error_free(err);
    end(call);
}

void bvi_service_end(bvi_service_call *call, bv_error *err)
{
    if (err)
        bvi_service_fail(call, err);
    else
        bvi_service_reply_empty(call);
}
