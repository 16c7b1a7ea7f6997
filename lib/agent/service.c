/*
 * service.c - from a method's name and bytes to a handler, and from its answer to bytes.
 */
#include <string.h>

#include "agent.pb-c.h"
#include "agent/limits.h"
#include "agent/service.h"

/* No message is longer; what may be longer is sent in pieces. */
#define ANSWER_MAX (2u * 1024u * 1024u)

struct bvi_service_call {
    bvi_service_origin origin;
    const char *method; /* of the table */
    void (*cancel)(void *data);
    void *cancel_data;
    bool cancelled;
    bvi_service_call **watcher; /* while dispatch wants to know whether the call is still there */
};

/* The call is over for its handler; where its answer goes. */
static bvi_service_origin leave(bvi_service_call *call)
{
    bvi_service_origin origin = call->origin;

    if (call->watcher)
        *call->watcher = NULL;
    bvi_free(call);
    return origin;
}

static const bvi_service_method *find(const bvi_service_method *methods, size_t count,
                                      const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}

static int begin(const bvi_service_method *m, const void *bytes, size_t len,
                 const bvi_service_origin *origin, ProtobufCMessage **ret_request,
                 bvi_service_call **ret_call, bv_error **err)
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

void bvi_service_dispatch(const bvi_service_method *methods, size_t count, const char *method,
                          const void *bytes, size_t len, const bvi_service_origin *origin,
                          void *service, bvi_service_call **ret_call)
{
    const bvi_service_method *m = find(methods, count, method);
    bvi_auto_message ProtobufCMessage *request = NULL;
    bvi_service_call *call = NULL;
    bv_error *err = NULL;
    int r;

    if (ret_call)
        *ret_call = NULL;
    if (!m)
        r = bvi_fail(&err, BV_E_UNSUPPORTED, "this version does not know the request '%.64s'",
                     method);
    else
        r = begin(m, bytes, len, origin, &request, &call, &err);
    if (r < 0) {
        origin->carrier->fail(origin->handle, err);
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

static int encode(const bvi_service_call *call, const ProtobufCMessage *answer, bvi_buf *bytes,
                  bv_error **err)
{
    int r = bvi_message_encode(answer, bytes, err);

    return r < 0 ? bvi_wrap(err, r, "answer to '%s'", call->method) : 0;
}

int bvi_service_send(bvi_service_call *call, const ProtobufCMessage *answer,
                     void (*sent)(void *data), void *data, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(ANSWER_MAX);
    int r = encode(call, answer, &bytes, err);

    return r < 0 ? r
                 : call->origin.carrier->send(call->origin.handle, bvi_buf_str(&bytes), bytes.len,
                                              sent, data, err);
}

void bvi_service_reply(bvi_service_call *call, const ProtobufCMessage *answer)
{
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(ANSWER_MAX);
    bvi_service_origin origin;
    bv_error *err = NULL;

    if (encode(call, answer, &bytes, &err) < 0) {
        bvi_service_fail(call, err);
        return;
    }
    origin = leave(call);
    origin.carrier->reply(origin.handle, bvi_buf_str(&bytes), bytes.len);
}

void bvi_service_reply_empty(bvi_service_call *call)
{
    /* A message without fields, or with all of them at their defaults, is no bytes. */
    bvi_service_origin origin = leave(call);

    origin.carrier->reply(origin.handle, "", 0);
}

void bvi_service_fail(bvi_service_call *call, bv_error *err)
{
    bvi_service_origin origin = leave(call);

    origin.carrier->fail(origin.handle, err);
}

void bvi_service_end(bvi_service_call *call, bv_error *err)
{
    if (err)
        bvi_service_fail(call, err);
    else
        bvi_service_reply_empty(call);
}

/* ---- long answers ---- */

typedef struct bulk {
    bvi_service_call *call;
    bvi_buf out;
    bvi_buf errors;
    size_t out_at;
    size_t errors_at;
    int32_t code;
    bool truncated;
} bulk;

static void bulk_free(bulk *b)
{
    bvi_buf_done(&b->out);
    bvi_buf_done(&b->errors);
    bvi_free(b);
}

static ProtobufCBinaryData bulk_take(const bvi_buf *from, size_t *at, size_t *room)
{
    size_t left = from->len - *at;
    size_t n = left < *room ? left : *room;
    ProtobufCBinaryData bytes = bvi_message_bytes(n ? from->data + *at : NULL, n);

    *at += n;
    *room -= n;
    return bytes;
}

/* Sends the next piece; `sent` comes back here. */
static void bulk_next(void *data)
{
    bulk *b = data;
    Bvi__Agent__BulkReply piece = BVI__AGENT__BULK_REPLY__INIT;
    size_t room = BVI_AGENT_PIECE_MAX;
    bv_error *err = NULL;

    if (bvi_service_is_cancelled(b->call)) {
        (void)bvi_fail(&err, BV_E_CANCELLED, "the caller is gone"); /* the error is the result */
        bvi_service_fail(b->call, err);
        bulk_free(b);
        return;
    }
    piece.out = bulk_take(&b->out, &b->out_at, &room);
    piece.err = bulk_take(&b->errors, &b->errors_at, &room);
    if (b->out_at == b->out.len && b->errors_at == b->errors.len) {
        piece.code = b->code;
        piece.truncated = b->truncated;
        bvi_service_reply(b->call, &piece.base);
        bulk_free(b);
        return;
    }
    if (bvi_service_send(b->call, &piece.base, bulk_next, b, &err) < 0) {
        bvi_service_fail(b->call, err);
        bulk_free(b);
    }
}

void bvi_service_reply_bulk(bvi_service_call *call, bvi_buf *out, bvi_buf *errors, int32_t code,
                            bool truncated)
{
    bulk *b = bvi_new0(bulk);
    bv_error *err = NULL;

    call->cancel = NULL; /* from here on cancelling is noticed between pieces */
    if (!b) {
        (void)bvi_fail_nomem(&err);
        bvi_service_fail(call, err);
        return;
    }
    *b = (bulk){ .call = call, .code = code, .truncated = truncated };
    if (out) {
        b->out = *out;
        *out = (bvi_buf)BVI_BUF_INIT(out->max);
    }
    if (errors) {
        b->errors = *errors;
        *errors = (bvi_buf)BVI_BUF_INIT(errors->max);
    }
    bulk_next(b);
}
