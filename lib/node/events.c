/*
 * events.c - the ring of events and its waiting readers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "node/events.h"
#include "sys/fs.h"

/* A longer message is cut; what a node reports about itself comes in here. */
#define MESSAGE_MAX 2048u
/* Numbers are reserved on disk in steps of this. */
#define SEQ_STEP     1024
#define SEQ_FILE_MAX 64u
/* Exact as a double too, for readers whose JSON has no other numbers. */
#define SEQ_MAX (INT64_C(1) << 52)

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
    int64_t next_seq; /* of the next event */
    int64_t reserved; /* the file has numbers up to here; with a path only */
    char *seq_path;   /* NULL: none */
    BVI_VEC(waiter *) waiters;
};

/* ---- numbers ---- */

static void complain(const bvi_events *events, const bv_error *err)
{
    bvi_auto_free char *text = bvi_error_text(err);

    bvi_log_full(events->ctx, BV_LOG_WARN, "events", NULL, NULL,
                 "numbers of events may begin anew: %s", text ? text : "out of memory");
}

/* The file says which numbers may have been given out; it is ahead of what is, so that it is seldom
 * written. */
static void reserve(bvi_events *events, int64_t up_to)
{
    bvi_auto_error bv_error *err = NULL;
    char text[32];
    int len;

    events->reserved = up_to;
    if (!events->seq_path)
        return;
    len = snprintf(text, sizeof(text), "%" PRId64 "\n", up_to);
    if (bvi_fs_replace(events->seq_path, text, (size_t)len, 0644, &err) < 0)
        complain(events, err);
}

static int read_numbers(bvi_events *events, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    char *end = NULL;
    long long used;
    size_t len = 0;
    int r = bvi_fs_read(events->seq_path, SEQ_FILE_MAX, &text, &len, err);

    if (r < 0)
        return r;
    errno = 0;
    used = strtoll(text, &end, 10);
    if (errno || end == text || *end != '\n' || used < 0 || used > SEQ_MAX)
        return bvi_fail(err, BV_E_FORMAT, "'%s' does not hold a number", events->seq_path);
    events->next_seq = used + 1;
    return 0;
}

static int begin_numbers(bvi_events *events, const char *seq_path, bv_error **err)
{
    bvi_auto_error bv_error *why = NULL;
    int r;

    events->next_seq = 1;
    if (!seq_path)
        return 0;
    events->seq_path = bvi_strdup(seq_path);
    if (!events->seq_path)
        return bvi_fail_nomem(err);
    r = read_numbers(events, &why);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0 && r != BV_E_NOT_FOUND)
        complain(events, why);
    reserve(events, events->next_seq - 1 + SEQ_STEP);
    return 0;
}

int bvi_events_new(bv_ctx *ctx, const char *seq_path, bvi_events **ret_events, bv_error **err)
{
    bvi_events *events = bvi_new0(bvi_events);
    int r;

    if (!events)
        return bvi_fail_nomem(err);
    events->ctx = ctx;
    events->waiters.max = BVI_EVENTS_WAITERS_MAX;
    r = begin_numbers(events, seq_path, err);
    if (r < 0) {
        bvi_free(events);
        return r;
    }
    *ret_events = events;
    return 0;
}

/* ---- reading ---- */

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
    if (events->seq_path && events->next_seq > events->reserved)
        reserve(events, events->next_seq - 1 + SEQ_STEP);
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
        after = 0; /* not ours: everything here is new to this reader */
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
    reserve(events, events->next_seq - 1); /* what was not used is not missing */
    bvi_free(events->seq_path);
    bvi_free(events);
}
