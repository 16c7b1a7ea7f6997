/*
 * exchange.c - one request: its call, its progress and its answer.
 *
 * A peer that accepts application/x-ndjson gets a line for every progress report and one for the result as they come;
 * others get the result as one document. A peer that goes away cancels its call.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <string.h>

#include "server/exchange.h"

#define TYPE_JSON   "application/json"
#define TYPE_NDJSON "application/x-ndjson"
#define TYPE_EVENTS "text/event-stream"
/* A follower that does not read is cut off beyond so many unsent bytes. */
#define UNSENT_MAX (4u * 1024u * 1024u)
/* Followers hear something at least so often, so that a dead peer is noticed. */
#define FOLLOW_WAIT_MS 15000

struct bvi_exchange {
    bv_server *server;
    struct evhttp_request *req; /* NULL: the peer is gone */
    bv_op *op;
    bool streaming;  /* lines as they come */
    bool begun;      /* the head of a stream has been sent */
    bool done;
    int64_t after;
};

static const struct {
    int code;
    int status;
    const char *reason;
} statuses[] = {
    { BV_OK, 200, "OK" },
    { BV_E_INVALID, 400, "Bad Request" },
    { BV_E_FORMAT, 422, "Unprocessable Entity" },
    { BV_E_NOT_FOUND, 404, "Not Found" },
    { BV_E_EXISTS, 409, "Conflict" },
    { BV_E_STATE, 409, "Conflict" },
    { BV_E_BUSY, 409, "Conflict" },
    { BV_E_AGAIN, 503, "Service Unavailable" },
    { BV_E_TIMEOUT, 504, "Gateway Timeout" },
    { BV_E_CANCELLED, 499, "Cancelled" },
    { BV_E_DENIED, 403, "Forbidden" },
    { BV_E_CHECKSUM, 422, "Unprocessable Entity" },
    { BV_E_REMOTE, 502, "Bad Gateway" },
    { BV_E_UNSUPPORTED, 405, "Method Not Allowed" },
    { BV_E_LIMIT, 413, "Content Too Large" },
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < BVI_COUNT(statuses); i++) {
        if (statuses[i].status == status)
            return statuses[i].reason;
    }
    return "Internal Server Error";
}

int bvi_http_status_of(int code)
{
    for (size_t i = 0; i < BVI_COUNT(statuses); i++) {
        if (statuses[i].code == code)
            return statuses[i].status;
    }
    return 500;
}

bvi_json *bvi_error_json(const bv_error *err)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_auto_free char *whole = bvi_error_text(err);
    bvi_json *error = bvi_json_new_object();
    bvi_json *chain = NULL;

    if (!root || !whole || bvi_json_put(root, "error", error) < 0)
        return NULL;
    chain = bvi_json_new_array();
    if (bvi_json_put_string(error, "code", bv_code_name(bv_error_code(err))) < 0 ||
        bvi_json_put_string(error, "message", whole) < 0 || bvi_json_put(error, "chain", chain) < 0)
        return NULL;
    for (const bv_error *e = err; e; e = bv_error_cause(e)) {
        if (bvi_json_add(chain, bvi_json_new_string(bv_error_message(e))) < 0)
            return NULL;
    }
    return bvi_take(root);
}

/* ---- sending ---- */

void bvi_exchange_send(struct evhttp_request *req, int status, const char *type, const char *text, size_t len)
{
    struct evbuffer *body = evbuffer_new();

    if (!body || evbuffer_add(body, text, len) < 0) {
        evhttp_send_error(req, 500, NULL);
    } else {
        (void)evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", type); /* helps, not needed */
        evhttp_send_reply(req, status, reason_of(status), body);
    }
    if (body)
        evbuffer_free(body);
}

static void send_json(struct evhttp_request *req, int status, const bvi_json *json)
{
    bvi_auto_free char *text = NULL;

    if (!json || bvi_json_print(json, false, &text, NULL) < 0)
        evhttp_send_error(req, 500, NULL);
    else
        bvi_exchange_send(req, status, TYPE_JSON, text, strlen(text));
}

void bvi_exchange_fail(struct evhttp_request *req, const bv_error *err)
{
    bvi_auto_json bvi_json *json = bvi_error_json(err);

    send_json(req, bvi_http_status_of(bv_error_code(err)), json);
}

static void begin_stream(bvi_exchange *x, const char *type)
{
    if (x->begun)
        return;
    x->begun = true;
    (void)evhttp_add_header(evhttp_request_get_output_headers(x->req), "Content-Type", type); /* helps, not needed */
    evhttp_send_reply_start(x->req, 200, "OK");
}

/* One line: prefix, JSON, suffix. */
static void send_line(bvi_exchange *x, const char *prefix, const bvi_json *json, const char *suffix)
{
    bvi_auto_free char *text = NULL;
    struct evbuffer *line = evbuffer_new();

    if (line && json && bvi_json_print(json, false, &text, NULL) == 0 &&
        evbuffer_add_printf(line, "%s%s%s", prefix, text, suffix) >= 0)
        evhttp_send_reply_chunk(x->req, line);
    if (line)
        evbuffer_free(line);
}

/* {"<key>": value}; owns value */
static bvi_json *wrap(const char *key, bvi_json *value)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root) {
        bvi_json_free(value);
        return NULL;
    }
    return bvi_json_put(root, key, value) < 0 ? NULL : bvi_take(root);
}

/* ---- life ---- */

static void exchange_free(bvi_exchange *x)
{
    bv_server *server = x->server;

    for (size_t i = 0; server && i < server->exchanges.len; i++) {
        if (server->exchanges.items[i] == x) {
            bvi_vec_remove(&server->exchanges, i);
            break;
        }
    }
    if (x->req) {
        struct evhttp_connection *conn = evhttp_request_get_connection(x->req);

        if (conn)
            evhttp_connection_set_closecb(conn, NULL, NULL);
    }
    bv_op_unref(x->op);
    bvi_free(x);
}

static void on_peer_gone(struct evhttp_connection *conn, void *data)
{
    bvi_exchange *x = data;

    x->req = NULL;
    bv_op_cancel(x->op); /* the callback frees the exchange */
}

static bool accepts(struct evhttp_request *req, const char *type)
{
    const char *accept = evhttp_find_header(evhttp_request_get_input_headers(req), "Accept");

    return accept && strstr(accept, type);
}

static bvi_exchange *exchange_new(bv_server *server, struct evhttp_request *req, bv_error **err)
{
    bvi_exchange *x = bvi_new0(bvi_exchange);
    bvi_exchange **slot = x ? bvi_vec_push(&server->exchanges) : NULL;

    if (!slot) {
        bvi_free(x);
        (void)bvi_fail(err, BV_E_AGAIN, "more than %u requests are under way", BVI_SERVER_CALLS_MAX); /* told below */
        return NULL;
    }
    *slot = x;
    x->server = server;
    x->req = req;
    x->streaming = accepts(req, TYPE_NDJSON);
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_peer_gone, x);
    return x;
}

/* ---- one call ---- */

static bvi_json *progress_json(const bv_progress *p)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "phase", p->phase) < 0 || bvi_json_put_uint64(root, "done", p->done) < 0 ||
        bvi_json_put_uint64(root, "total", p->total) < 0 || bvi_json_put_string(root, "unit", p->unit) < 0 ||
        bvi_json_put_uint64(root, "bytes_per_s", p->bytes_per_s) < 0 ||
        bvi_json_put_int64(root, "eta_ms", p->eta_ms) < 0)
        return NULL;
    return bvi_take(root);
}

static void on_progress(bv_op *op, const bv_progress *progress, void *data)
{
    bvi_exchange *x = data;
    bvi_auto_json bvi_json *line = NULL;

    if (!x->req || x->done)
        return;
    line = wrap("progress", progress_json(progress));
    begin_stream(x, TYPE_NDJSON);
    send_line(x, "", line, "\n");
}

static void on_reply(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    bvi_exchange *x = data;
    bvi_auto_json bvi_json *json = NULL;
    struct evhttp_request *req = x->req;
    bool streaming = x->streaming;

    if (!req) {
        exchange_free(x);
        return;
    }
    json = err ? bvi_error_json(err) : bvi_json_copy((const bvi_json *)reply);
    if (streaming) {
        bvi_auto_json bvi_json *line = err ? bvi_take(json) : wrap("result", bvi_take(json));

        begin_stream(x, TYPE_NDJSON);
        send_line(x, "", line, "\n");
        exchange_free(x);
        evhttp_send_reply_end(req);
        return;
    }
    exchange_free(x);
    send_json(req, bvi_http_status_of(bv_error_code(err)), json);
}

void bvi_exchange_begin(bv_server *server, struct evhttp_request *req, const bvi_call *call, const bvi_json *args)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_exchange *x = exchange_new(server, req, &err);

    if (x && bv_host_call(server->host, call->name, (const bv_doc *)args, on_reply, x, &x->op, &err) < 0) {
        exchange_free(x);
        x = NULL;
    }
    if (!x)
        bvi_exchange_fail(req, err);
    else if (x->streaming)
        bv_op_on_progress(x->op, on_progress, x);
}

/* ---- server-sent events ---- */

static void follow_on(bvi_exchange *x);

static bool peer_reads(const bvi_exchange *x)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(x->req));

    return evbuffer_get_length(bufferevent_get_output(bev)) < UNSENT_MAX;
}

static void on_events(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    bvi_exchange *x = data;
    struct evhttp_request *req = x->req;

    if (!req || err || !peer_reads(x)) {
        exchange_free(x);
        if (req)
            evhttp_send_reply_end(req);
        return;
    }
    x->after = bv_doc_int64(bv_doc_get(reply, "next"), x->after);
    for (const bv_doc *e = bv_doc_first(bv_doc_get(reply, "events")); e; e = bv_doc_next(e))
        send_line(x, "data: ", (const bvi_json *)e, "\n\n");
    if (bv_doc_count(bv_doc_get(reply, "events")) == 0) {
        struct evbuffer *comment = evbuffer_new();

        if (comment && evbuffer_add_printf(comment, ": still here\n\n") > 0)
            evhttp_send_reply_chunk(req, comment);
        if (comment)
            evbuffer_free(comment);
    }
    follow_on(x);
}

static void follow_on(bvi_exchange *x)
{
    bv_op_unref(x->op);
    x->op = NULL;
    if (bv_host_events(x->server->host, x->after, FOLLOW_WAIT_MS, on_events, x, &x->op, NULL) < 0) {
        struct evhttp_request *req = x->req;

        exchange_free(x);
        evhttp_send_reply_end(req);
    }
}

/* The position "now" has to be asked for once, so that nothing falls between two questions. */
static void on_first_events(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    bvi_exchange *x = data;

    if (!x->req || err) {
        on_events(op, reply, err, data);
        return;
    }
    x->after = bv_doc_int64(bv_doc_get(reply, "next"), 0);
    follow_on(x);
}

void bvi_exchange_follow(bv_server *server, struct evhttp_request *req, int64_t after)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_exchange *x = exchange_new(server, req, &err);

    if (!x) {
        bvi_exchange_fail(req, err);
        return;
    }
    x->after = after;
    begin_stream(x, TYPE_EVENTS);
    if (after >= 0) {
        follow_on(x);
    } else if (bv_host_events(server->host, -1, 0, on_first_events, x, &x->op, NULL) < 0) {
        exchange_free(x);
        evhttp_send_reply_end(req);
    }
}

void bvi_exchange_abort(bvi_exchange *x)
{
    struct evhttp_connection *conn = x->req ? evhttp_request_get_connection(x->req) : NULL;

    if (conn)
        evhttp_connection_set_closecb(conn, NULL, NULL);
    x->req = NULL;
    x->server = NULL; /* its end comes after the server's */
    bv_op_cancel(x->op);
}
