/*
 * events.c - the ring of events and its waiting readers.
 */
#include <string.h>

#include "base/vec.h"
#include "node/events.h"

/* A longer message is cut; what a node reports about itself comes in here. */
#define MESSAGE_MAX 2048u

typedef struct event {
    int64_t seq;
    int64_t wall_us;
    char *type;
    char *node;
    char *job;
    char *message;
} event;

typedef struct waiter {
    bvi_events *events;
    int64_t after;
    bvi_reply *reply;
    bvi_timer *timer;
} waiter;

struct bvi_events {
    bv_ctx *ctx;
    event ring[BVI_EVENTS_KEPT];
    int64_t next_seq; /* of the next event; the first is 1 */
    BVI_VEC(waiter *) waiters;
};

int bvi_events_new(bv_ctx *ctx, bvi_events **ret_events, bv_error **err)
{
    bvi_events *events = bvi_new0(bvi_events);

    if (!events)
        return bvi_fail_nomem(err);
    events->ctx = ctx;
    events->next_seq = 1;
    events->waiters.max = BVI_EVENTS_WAITERS_MAX;
    *ret_events = events;
    return 0;
}

static void event_done(event *e)
{
    bvi_free(e->type);
    bvi_free(e->node);
    bvi_free(e->job);
    bvi_free(e->message);
    memset(e, 0, sizeof(*e));
}

static bvi_json *event_json(const event *e)
{
    bvi_auto_json bvi_json *node = bvi_json_new_object();

    if (!node || bvi_json_put_int64(node, "seq", e->seq) < 0 ||
        bvi_json_put_int64(node, "time_ms", e->wall_us / 1000) < 0 ||
        bvi_json_put_string(node, "type", e->type) < 0 ||
        bvi_json_put_string(node, "node", e->node) < 0 ||
        bvi_json_put_string(node, "job", e->job) < 0 ||
        bvi_json_put_string(node, "message", e->message) < 0)
        return NULL;
    return bvi_take(node);
}

static bvi_json *page(const bvi_events *events, int64_t after)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    int64_t first = events->next_seq - (int64_t)BVI_EVENTS_KEPT;

    if (!root || bvi_json_put(root, "events", list) < 0)
        return NULL;
    if (first < 1)
        first = 1;
    for (int64_t seq = after < first ? first : after + 1; seq < events->next_seq; seq++) {
        const event *e = &events->ring[seq % (int64_t)BVI_EVENTS_KEPT];

        if (e->seq == seq && bvi_json_add(list, event_json(e)) < 0)
            return NULL;
    }
    if (bvi_json_put_int64(root, "next", events->next_seq - 1) < 0)
        return NULL;
    return bvi_take(root);
}

static void waiter_free(waiter *w)
{
    bvi_events *events = w->events;

    for (size_t i = 0; i < events->waiters.len; i++) {
        if (events->waiters.items[i] == w) {
            bvi_vec_remove(&events->waiters, i);
            break;
        }
    }
    bvi_timer_free(w->timer);
    bvi_free(w);
}

static void waiter_answer(waiter *w)
{
    bvi_reply *reply = w->reply;
    bvi_json *answer = page(w->events, w->after);

    waiter_free(w);
    bvi_reply_ok(reply, answer);
}

static void on_timeout(bvi_timer *timer, void *data)
{
    waiter_answer(data);
}

static void on_cancel(void *data)
{
    waiter *w = data;
    bvi_reply *reply = w->reply;

    waiter_free(w);
    bvi_reply_failf(reply, BV_E_CANCELLED, "cancelled");
}

void bvi_events_add(bvi_events *events, const char *type, const char *node, const char *job,
                    const char *fmt, ...)
{
    event *e = &events->ring[events->next_seq % (int64_t)BVI_EVENTS_KEPT];
    va_list args;

    event_done(e);
    va_start(args, fmt);
    e->message = bvi_vasprintf(fmt, args);
    va_end(args);
    if (e->message && strlen(e->message) > MESSAGE_MAX)
        e->message[MESSAGE_MAX] = '\0'; /* JSON repairs a character cut in two */
    e->type = bvi_strdup(type);
    e->node = bvi_strdup(node);
    e->job = bvi_strdup(job);
    e->wall_us = bvi_ctx_wall_us(events->ctx);
    e->seq = e->type ? events->next_seq : 0;
    events->next_seq++;
    while (events->waiters.len)
        waiter_answer(events->waiters.items[0]);
}

static int wait(bvi_events *events, int64_t after, int64_t wait_ms, bvi_reply *reply,
                bv_error **err)
{
    waiter *w = bvi_new0(waiter);
    waiter **slot;
    int r;

    if (!w)
        return bvi_fail_nomem(err);
    *w = (waiter){ .events = events, .after = after, .reply = reply };
    r = bvi_timer_new(events->ctx, on_timeout, w, &w->timer, err);
    if (r == 0)
        r = bvi_timer_set(w->timer, wait_ms * 1000, err);
    if (r < 0) {
        waiter_free(w);
        return r;
    }
    slot = bvi_vec_push(&events->waiters);
    if (!slot) {
        waiter_free(w);
        return bvi_fail(err, BV_E_BUSY, "more than %u readers wait for events",
                        BVI_EVENTS_WAITERS_MAX);
    }
    *slot = w;
    bvi_reply_on_cancel(reply, on_cancel, w);
    return 0;
}

void bvi_events_read(bvi_events *events, int64_t after, int64_t wait_ms, bvi_reply *reply)
{
    bv_error *err = NULL;

    if (after < 0)
        after = events->next_seq - 1;
    else if (after >= events->next_seq)
        after =
            0; /* counted by an earlier run of the daemon: everything here is new to this reader */
    if (wait_ms > BVI_EVENTS_WAIT_MAX_MS)
        wait_ms = BVI_EVENTS_WAIT_MAX_MS;
    if (after < events->next_seq - 1 || wait_ms <= 0) {
        bvi_reply_ok(reply, page(events, after));
        return;
    }
    if (wait(events, after, wait_ms, reply, &err) < 0)
        bvi_reply_fail(reply, err);
}

void bvi_events_free(bvi_events *events)
{
    if (!events)
        return;
    while (events->waiters.len)
        on_cancel(events->waiters.items[0]);
    for (size_t i = 0; i < BVI_EVENTS_KEPT; i++)
        event_done(&events->ring[i]);
    bvi_vec_done(&events->waiters);
    bvi_free(events);
}
