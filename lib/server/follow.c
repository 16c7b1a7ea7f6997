/*
 * follow.c - server-sent events: what happened on the host, to a peer that stays.
 *
 * Each event has an "id:" line, so that a browser that comes back says with Last-Event-ID where it
 * was.
 */
#include <event2/buffer.h>
#include <event2/http.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/exchange.h"

/* Followers hear something at least so often, so that a dead peer is noticed. */
#define FOLLOW_WAIT_MS 15000
#define ID_TEXT_MAX    48u

static void follow_on(bvi_exchange *x, int64_t wait_ms);

static void end_stream(bvi_exchange *x)
{
    struct evhttp_request *req = bvi_exchange_end(x);

    if (req)
        evhttp_send_reply_end(req);
}

static void send_comment(bvi_exchange *x)
{
    struct evbuffer *comment = evbuffer_new();

    if (comment && evbuffer_add_printf(comment, ": still here\n\n") > 0)
        evhttp_send_reply_chunk(x->req, comment);
    if (comment)
        evbuffer_free(comment);
}

static void send_event(bvi_exchange *x, const bv_doc *event)
{
    char prefix[ID_TEXT_MAX];

    (void)snprintf(prefix, sizeof(prefix),
                   "id: %" PRId64 "\ndata: ", bv_doc_int64(bv_doc_get(event, "seq"), 0));
    bvi_exchange_send(x, prefix, (const bvi_json *)event, "\n\n");
}

static void on_events(bv_op *op, const bv_doc *reply, const bv_error *err, void *data)
{
    bvi_exchange *x = data;
    const bv_doc *events = bv_doc_get(reply, "events");

    (void)op;
    if (!x->req || !x->server || err || !bvi_exchange_peer_reads(x)) {
        end_stream(x);
        return;
    }
    x->after = bv_doc_int64(bv_doc_get(reply, "next"), x->after);
    for (const bv_doc *e = bv_doc_first(events); e; e = bv_doc_next(e))
        send_event(x, e);
    if (!bv_doc_first(events))
        send_comment(x);
    follow_on(x, FOLLOW_WAIT_MS);
}

/* after < 0 asks for the present position, at once, so that nothing falls between two questions. */
static void follow_on(bvi_exchange *x, int64_t wait_ms)
{
    bvi_auto_json bvi_json *args = bvi_json_new_object();

    if (!args || (x->after >= 0 && bvi_json_put_int64(args, "after", x->after) < 0) ||
        bvi_json_put_int64(args, "wait_ms", wait_ms) < 0 ||
        bvi_exchange_call(x, "host.events", args, on_events, NULL) < 0)
        end_stream(x);
}

/* Where to begin: as the peer says, or -1. */
static int64_t position(struct evhttp_request *req, const bvi_json *args)
{
    const char *last = evhttp_find_header(evhttp_request_get_input_headers(req), "Last-Event-ID");
    int64_t after = -1;

    (void)bvi_json_opt_int64(args, "after", &after, NULL); /* checked by the route */
    if (last && sscanf(last, "%18" SCNd64, &after) != 1)
        after = -1;
    return after;
}

void bvi_serve_events(bv_server *server, struct evhttp_request *req, const bvi_json *args)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_exchange *x = bvi_exchange_new(server, req, &err);

    if (!x) {
        bvi_answer_error(req, err);
        return;
    }
    x->after = position(req, args);
    bvi_exchange_begin_stream(x, BVI_TYPE_EVENTS);
    follow_on(x, 0);
}
