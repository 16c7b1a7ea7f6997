/*
 * exchange.h - one HTTP request to the server and the call it became.
 */
#ifndef BVI_SERVER_EXCHANGE_H
#define BVI_SERVER_EXCHANGE_H

#include <blockvisor/server.h>

#include "base/vec.h"
#include "host/calls.h"

/* Request bodies and URLs beyond these are refused. */
#define BVI_SERVER_BODY_MAX   (1024u * 1024u)
#define BVI_SERVER_HEADER_MAX (64u * 1024u)
/* Requests under way at once, of all peers. */
#define BVI_SERVER_CALLS_MAX 512u

struct evhttp_request;
typedef struct bvi_exchange bvi_exchange;

struct bv_server {
    bv_ctx *ctx;
    bv_host *host;
    struct evhttp *http;
    char *socket_path;
    gid_t gid;
    BVI_VEC(bvi_exchange *) exchanges;
};

/* The call and its arguments that a request stands for. path is percent-encoded; query may be NULL. Pure; this is what
 * the fuzzer feeds. BV_E_NOT_FOUND (no such path), BV_E_UNSUPPORTED (path exists, not with this method), BV_E_INVALID. */
int bvi_route(const char *http_method, const char *path, const char *query, const char *body, size_t body_len,
              const bvi_call **ret_call, bvi_json **ret_args, bv_error **err);

/* The HTTP status that tells of an error code. */
int bvi_http_status_of(int code);
/* {"error": {code, message, chain}}; NULL: no memory. */
bvi_json *bvi_error_json(const bv_error *err);

/* Begins a call for a request and answers it when it ends. */
void bvi_exchange_begin(bv_server *server, struct evhttp_request *req, const bvi_call *call, const bvi_json *args);
/* A stream of server-sent events, until the peer goes. */
void bvi_exchange_follow(bv_server *server, struct evhttp_request *req, int64_t after);
/* Prometheus text. */
void bvi_exchange_metrics(bv_server *server, struct evhttp_request *req);
/* Answers at once. */
void bvi_exchange_fail(struct evhttp_request *req, const bv_error *err);
void bvi_exchange_send(struct evhttp_request *req, int status, const char *type, const char *text, size_t len);
void bvi_exchange_abort(bvi_exchange *exchange); /* the server is closing */

/* The OpenAPI document, made part of the library at build time. */
extern const char bvi_openapi_json[];
extern const size_t bvi_openapi_json_len;

#endif
