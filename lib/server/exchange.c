/*
 * exchange.c - one request: its call, its progress and its answer.
 *
 * A peer that accepts application/x-ndjson gets a line for every progress report and one for the
 * result as they come; others get the result as one document. A peer that goes away cancels its
 * call.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <poll.h>
#include <string.h>

#include "server/exchange.h"

/* A peer that does not read is sent nothing further beyond so many unsent bytes. */
#define UNSENT_MAX (4u * 1024u * 1024u)

/* ---- life ---- */

static void leave_server(bvi_exchange *x)
{
    bv_server *server = x->server;

    for (size_t i = 0; server && i < server->exchanges.len; i++) {
        if (server->exchanges.items[i] == x) {
            bvi_vec_remove(&server->exchanges, i);
            break;
        }
    }
    x->server = NULL;
}

/* Only a peer that is wholly gone: one that has nothing more to say may well be listening. */
static void on_hang_up(evutil_socket_t fd, short events, void *data)
{
    bvi_exchange *x = data;
    struct pollfd pfd = { .fd = (int)fd };

    (void)events;
    if (poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR)) && x->op)
        bv_op_cancel(x->op); /* the answer goes nowhere, which ends the connection */
}

/* Without it a call goes on until its answer cannot be sent. */
static void watch_peer(bvi_exchange *x)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(x->req);
    evutil_socket_t fd = bufferevent_getfd(evhttp_connection_get_bufferevent(conn));

    x->hang_up = event_new(x->server->base, fd, EV_CLOSED, on_hang_up, x);
    if (x->hang_up)
        (void)event_add(x->hang_up, NULL); /* as said above */
}

static void unwatch_peer(bvi_exchange *x)
{
    if (x->hang_up)
        event_free(x->hang_up);
    x->hang_up = NULL;
}

static void forget_request(bvi_exchange *x)
{
    struct evhttp_connection *conn = x->req ? evhttp_request_get_connection(x->req) : NULL;

    if (conn)
        evhttp_connection_set_closecb(conn, NULL, NULL);
    unwatch_peer(x);
    x->req = NULL;
}

/* The connection is about to be freed. A request it was still reading an answer for has been cut
 * off from it before, and then it is ours; one that is still part of it goes with it. */
static void on_peer_gone(struct evhttp_connection *conn, void *data)
{
    bvi_exchange *x = data;
    struct evhttp_request *req = x->req;

    (void)conn;
    unwatch_peer(x);
    x->req = NULL;
    if (req && !evhttp_request_get_connection(req))
        evhttp_request_free(req);
    if (x->op)
        bv_op_cancel(x->op); /* its callback ends the exchange */
}

bvi_exchange *bvi_exchange_new(bv_server *server, struct evhttp_request *req, bv_error **err)
{
    bvi_exchange *x = bvi_new0(bvi_exchange);
    bvi_exchange **slot = x ? bvi_vec_push(&server->exchanges) : NULL;

    if (!slot) {
        bvi_free(x);
        (void)bvi_fail(err, BV_E_AGAIN, "%u requests are under way already; try again later",
                       BVI_SERVER_CALLS_MAX);
        return NULL;
    }
    *slot = x;
    x->server = server;
    x->req = req;
    bvi_buf_init(&x->text, BVI_SERVER_TEXT_MAX);
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_peer_gone, x);
    watch_peer(x);
    return x;
}

struct evhttp_request *bvi_exchange_end(bvi_exchange *x)
{
    struct evhttp_request *req = x->req;

    forget_request(x);
    leave_server(x);
    bv_op_unref(x->op);
    bvi_buf_done(&x->text);
    bvi_free(x);
    return req;
}

void bvi_exchange_abort(bvi_exchange *x)
{
    forget_request(x); /* it goes with the connection */
    x->server = NULL;
    if (x->op)
        bv_op_cancel(x->op);
}

int bvi_exchange_call(bvi_exchange *x, const char *method, const bvi_json *args, bv_reply_fn done,
                      bv_error **err)
{
    bv_op_unref(x->op);
    x->op = NULL;
    return bv_host_call(x->server->host, method, (const bv_doc *)args, done, x, &x->op, err);
}

/* ---- streams ---- */

void bvi_exchange_begin_stream(bvi_exchange *x, const char *type)
{
    if (x->begun)
        return;
    x->begun = true;
    (void)evhttp_add_header(evhttp_request_get_output_headers(x->req), "Content-Type",
                            type); /* helps, not needed */
    evhttp_send_reply_start(x->req, 200, "OK");
}

void bvi_exchange_send(bvi_exchange *x, const char *prefix, const bvi_json *json,
                       const char *suffix)
{
    bvi_auto_free char *text = NULL;
    struct evbuffer *piece = evbuffer_new();

    if (piece && json && bvi_json_print(json, false, &text, NULL) == 0 &&
        evbuffer_add(piece, prefix, strlen(prefix)) == 0 &&
        evbuffer_add(piece, text, strlen(text)) == 0 &&
        evbuffer_add(piece, suffix, strlen(suffix)) == 0)
        evhttp_send_reply_chunk(x->req, piece);
    if (piece)
        evbuffer_free(piece);
}

bool bvi_exchange_peer_reads(const bvi_exchange *x)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(x->req);
    struct bufferevent *bev = conn ? evhttp_connection_get_bufferevent(conn) : NULL;

    return bev && evbuffer_get_length(bufferevent_get_output(bev)) < UNSENT_MAX;
}

/* ---- one call ---- */

static bvi_json *progress_json(const bv_progress *p)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "phase", p->phase) < 0 ||
        bvi_json_put_uint64(root, "done", p->done) < 0 ||
        bvi_json_put_uint64(root, "total", p->total) < 0 ||
        bvi_json_put_string(root, "unit", p->unit) < 0 ||
        bvi_json_put_uint64(root, "bytes_per_s", p->bytes_per_s) < 0 ||
        bvi_json_put_int64(root, "eta_ms", p->eta_ms) < 0)
        return NULL;
    return bvi_take(root);
}

static void on_progress(bv_op *op, const bv_progress *progress, void *data)
{
    bvi_exchange *x = data;
    bvi_auto_json bvi_json *line = NULL;

    (void)op;
    if (!x->req || !bvi_exchange_peer_reads(x))
        return;
    line = progress_json(progress);
    bvi_exchange_begin_stream(x, BVI_TYPE_NDJSON);
    bvi_exchange_send(x, "{\"progress\":", line, "}\n");
}

static void answer_line(bvi_exchange *x, const bv_doc *reply, const bv_error *err)
{
    bvi_auto_json bvi_json *failure = err ? bvi_error_json(err) : NULL;
    struct evhttp_request *req;

    bvi_exchange_begin_stream(x, BVI_TYPE_NDJSON);
    if (err)
        bvi_exchange_send(x, "", failure, "\n");
    else
        bvi_exchange_send(x, "{\"result\":", (const bvi_json *)reply, "}\n");
    req = bvi_exchange_end(x);
    if (req)
        evhttp_send_reply_end(req);
}

static void on_reply(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    bvi_exchange *x = data;
    struct evhttp_request *req;

    (void)op;
    if (x->req && x->streaming) {
        answer_line(x, reply, err);
        return;
    }
    req = bvi_exchange_end(x);
    if (req && err)
        bvi_answer_error(req, err);
    else if (req)
        bvi_answer_json(req, 200, (const bvi_json *)reply);
}

void bvi_serve_call(bv_server *server, struct evhttp_request *req, const bvi_call *call,
                    const bvi_json *args)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_exchange *x = bvi_exchange_new(server, req, &err);

    if (x && bvi_exchange_call(x, call->name, args, on_reply, &err) < 0) {
        (void)bvi_exchange_end(x); /* the request is answered below */
        x = NULL;
    }
    if (!x) {
        bvi_answer_error(req, err);
        return;
    }
    x->streaming = bvi_accepts(req, BVI_TYPE_NDJSON);
    if (x->streaming)
        bv_op_on_progress(x->op, on_progress, x);
}
