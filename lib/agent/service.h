/*
 * service.h - a service as a table of methods with typed requests; under the agent's and the
 * engine's servers.
 *
 * A request's bytes are checked against the method's maximum, decoded and validated before its
 * handler sees them. A handler owns its call and ends it exactly once, with bvi_service_reply() or
 * bvi_service_fail(), from inside the handler or later. Where calls come from is a small table of
 * functions, so that handlers run under a fuzzer or a test without sockets; service_rpc.c is the
 * real one.
 */
#ifndef BVI_AGENT_SERVICE_H
#define BVI_AGENT_SERVICE_H

#include "agent/message.h"
#include "io/loop.h"

typedef struct bvi_service_call bvi_service_call;

typedef struct bvi_service_method {
    const char *name;
    const ProtobufCMessageDescriptor *request;
    size_t max; /* bytes of an encoded request */
    /* The request is borrowed for the duration of the handler. */
    void (*handle)(bvi_service_call *call, const ProtobufCMessage *request, void *service);
} bvi_service_method;

/* Where one call's answers go. Each function takes the carrier's own handle. */
typedef struct bvi_service_carrier {
    /* One of several answers. `sent` is called once, from dispatch, when there is room for the next
     * one or the caller is gone. */
    int (*send)(void *handle, const void *bytes, size_t len, void (*sent)(void *data), void *data,
                bv_error **err);
    /* Each of these is the last; the handle is gone. */
    void (*reply)(void *handle, const void *bytes, size_t len);
    void (*fail)(void *handle, bv_error *err); /* owns err */
} bvi_service_carrier;

typedef struct bvi_service_origin {
    bv_ctx *ctx;
    const bvi_service_carrier *carrier;
    void *handle;
    int64_t timeout_ms; /* what is left for the caller, 0: no deadline */
} bvi_service_origin;

/* Finds the method, decodes the request and runs its handler, or fails the call. *ret_call, when
 * given, is the call if it is still under way afterwards, else NULL. */
void bvi_service_dispatch(const bvi_service_method *methods, size_t count, const char *method,
                          const void *bytes, size_t len, const bvi_service_origin *origin,
                          void *service, bvi_service_call **ret_call);
/* The caller does not want the answer any more, or cannot have it. The handler still ends the call,
 * soon. */
void bvi_service_cancel(bvi_service_call *call);

/* ---- for handlers ---- */

/* The caller's time limit in ms, or what the handler prefers when there is none. */
int64_t bvi_service_timeout_ms(const bvi_service_call *call, int64_t preferred_ms);
bool bvi_service_is_cancelled(const bvi_service_call *call);
/* `cancel` is called once, when the call is cancelled; at once when it is cancelled already. */
void bvi_service_on_cancel(bvi_service_call *call, void (*cancel)(void *data), void *data);

void bvi_service_reply(bvi_service_call *call, const ProtobufCMessage *answer);
void bvi_service_reply_empty(bvi_service_call *call);
/* One of several answers; the last one is given to bvi_service_reply(). `sent` comes from dispatch
 * when it is time for the next one; then look at bvi_service_is_cancelled(). A failure does not end
 * the call. */
int bvi_service_send(bvi_service_call *call, const ProtobufCMessage *answer,
                     void (*sent)(void *data), void *data, bv_error **err);
void bvi_service_fail(bvi_service_call *call, bv_error *err); /* owns err, which is not NULL */

/* An answer of any length (proto: BulkReply), ended in pieces at the caller's pace. Owns the
 * contents of out and err, which may be NULL, and leaves them empty. */
void bvi_service_reply_bulk(bvi_service_call *call, bvi_buf *out, bvi_buf *errors, int32_t code,
                            bool truncated);

/* Reply empty for NULL, else fail: the tail of most handlers. Owns err. */
void bvi_service_end(bvi_service_call *call, bv_error *err);

#endif
