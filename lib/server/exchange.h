/*
 * exchange.h - one HTTP request to the server and the calls it became; what the files of this
 * module share.
 *
 * The request belongs to evhttp until its peer goes: then its connection forgets it, and it is the
 * exchange's to free. An exchange is listed in its server until it is over; when the server closes,
 * its exchanges go on without a request and without a server, until their calls have ended.
 */
#ifndef BVI_SERVER_EXCHANGE_H
#define BVI_SERVER_EXCHANGE_H

#include <sys/types.h>

#include <blockvisor/server.h>

#include "base/buf.h"
#include "base/vec.h"
#include "host/calls.h"

/* Request bodies and URLs beyond these are refused. */
#define BVI_SERVER_BODY_MAX   (1024u * 1024u)
#define BVI_SERVER_HEADER_MAX (64u * 1024u)
/* Requests under way at once, of all peers. */
#define BVI_SERVER_CALLS_MAX 512u
/* A text that is put together for one answer. */
#define BVI_SERVER_TEXT_MAX (4u * 1024u * 1024u)

#define BVI_TYPE_JSON    "application/json"
#define BVI_TYPE_NDJSON  "application/x-ndjson"
#define BVI_TYPE_EVENTS  "text/event-stream"
#define BVI_TYPE_METRICS "text/plain; version=0.0.4"

struct evhttp_request;

typedef struct bvi_exchange {
    bv_server *server;          /* NULL: it is closed */
    struct evhttp_request *req; /* NULL: nobody to answer */
    struct event *hang_up;      /* evhttp does not look at a peer while its call is under way */
    bv_op *op;                  /* the call under way */
    bool streaming;             /* lines as they come */
    bool begun;                 /* the head of a stream has been sent */
    int64_t after;              /* followers: the last event sent */
    bvi_buf text;               /* metrics: the answer so far */
} bvi_exchange;

struct bv_server {
    bv_ctx *ctx;
    bv_host *host;
    struct event_base *base;
    struct evhttp *http;
    char *socket_path;
    bool listening; /* the socket is ours to remove */
    gid_t gid;
    BVI_VEC(bvi_exchange *) exchanges;
};

/* ---- route.c ---- */

/* The call and its arguments that a request stands for. path is percent-encoded; query may be NULL.
 * Pure; this is what the fuzzer feeds. BV_E_NOT_FOUND (no such path), BV_E_UNSUPPORTED (path
 * exists, not with this method), BV_E_INVALID. */
int bvi_route(const char *http_method, const char *path, const char *query, const char *body,
              size_t body_len, const bvi_call **ret_call, bvi_json **ret_args, bv_error **err);

/* ---- answer.c: each ends the request ---- */

/* The HTTP status that tells of an error code. */
int bvi_http_status_of(int code);
/* {"error": {code, message, chain}}; NULL: no memory. */
bvi_json *bvi_error_json(const bv_error *err);
void bvi_answer(struct evhttp_request *req, int status, const char *type, const char *text,
                size_t len);
void bvi_answer_json(struct evhttp_request *req, int status,
                     const bvi_json *json); /* json NULL: no memory */
void bvi_answer_error(struct evhttp_request *req, const bv_error *err);
/* Whether the peer says that it takes this type. */
bool bvi_accepts(struct evhttp_request *req, const char *type);

/* ---- exchange.c ---- */

/* NULL: too many are under way, or no memory; the request is unanswered. */
bvi_exchange *bvi_exchange_new(bv_server *server, struct evhttp_request *req, bv_error **err);
/* The next call; `done` gets the exchange as its data. */
int bvi_exchange_call(bvi_exchange *x, const char *method, const bvi_json *args, bv_reply_fn done,
                      bv_error **err);
/* The exchange is over. Gives the request, which is to be ended now; NULL when there is nobody to
 * answer. */
struct evhttp_request *bvi_exchange_end(bvi_exchange *x);
void bvi_exchange_abort(bvi_exchange *x); /* the server is closing */
/* Head and piece of a stream: prefix, JSON in one line, suffix. json NULL: no memory, then the
 * piece is left out. */
void bvi_exchange_begin_stream(bvi_exchange *x, const char *type);
void bvi_exchange_send(bvi_exchange *x, const char *prefix, const bvi_json *json,
                       const char *suffix);
bool bvi_exchange_peer_reads(const bvi_exchange *x); /* false: too much is waiting to be sent */

/* Begins a call for a request and answers it when it ends. */
void bvi_serve_call(bv_server *server, struct evhttp_request *req, const bvi_call *call,
                    const bvi_json *args);
/* follow.c: server-sent events, until the peer goes; args are those of host.events. */
void bvi_serve_events(bv_server *server, struct evhttp_request *req, const bvi_json *args);
/* metrics.c: Prometheus text. */
void bvi_serve_metrics(bv_server *server, struct evhttp_request *req);

/* The OpenAPI document, made part of the library at build time. */
extern const char bvi_openapi_json[];
extern const size_t bvi_openapi_json_len;

#endif
