/*
 * rpc_client.c - the calling end.
 *
 * Requests are queued and leave from one task, which also connects and tells of cancels; so nothing
 * calls back from inside a call of the user. A request that has not left survives the loss of the
 * connection; one that has left does not, since nobody knows whether it was carried out.
 */
#include <string.h>

#include "base/vec.h"
#include "net/backoff.h"
#include "net/rpc_frame.h"

/* Unsent bytes in the stream: one frame and some. The rest waits in the queue. */
#define WRITE_MAX (BVI_RPC_LENGTH_BYTES + 2u * BVI_RPC_FRAME_MAX)

/* A peer that is just being started answers within a few of these; one that is away costs one dial
 * a second. */
static const bvi_retry_policy dial_retry = {
    .first_ms = 4, .factor_percent = 150, .ceiling_ms = 1000, .jitter_percent = 20
};

struct bvi_rpc_client {
    bv_ctx *ctx;
    char *path;
    bvi_rpc_client_opts opts; /* numbers and callbacks */
    bvi_buf hello;
    bvi_rpc_state state;
    bvi_stream *stream; /* NULL: waiting to try again, or closed */
    bvi_rpc_reader reader;
    char *peer_program;
    char *peer_version;
    bvi_strv peer_capabilities;
    bvi_timer *timer; /* with a stream: for the peer's hello; without: until the next attempt */
    bvi_retry retry;
    bv_error *last_error; /* why the last attempt failed */
    bvi_rpc_request *first;
    bvi_rpc_request *last;
    uint32_t count;
    size_t unsent_bytes;
    uint64_t last_id;
    bvi_task act;
    bool wanted;  /* bvi_rpc_client_connect() */
    bool closing; /* bvi_rpc_client_close() */
    unsigned depth;
    bool dying;
};

struct bvi_rpc_request {
    bvi_rpc_client *client;
    bvi_rpc_request *prev;
    bvi_rpc_request *next;
    uint64_t id;
    char *method;
    char *body; /* until it is sent */
    size_t len;
    bvi_rpc_reply_fn on_reply;
    void *data;
    bvi_timer *timer;
    int64_t deadline_us; /* INT64_MAX: none */
    int64_t reach_us;    /* until then the peer must be reached */
    bool sent;
    bool cancelled;
    bool over;
};

/* ---- life of a request ---- */

static void unlink_request(bvi_rpc_request *r)
{
    bvi_rpc_client *c = r->client;

    if (r->prev)
        r->prev->next = r->next;
    else
        c->first = r->next;
    if (r->next)
        r->next->prev = r->prev;
    else
        c->last = r->prev;
    c->count--;
    if (!r->sent)
        c->unsent_bytes -= r->len;
}

static void free_request(bvi_rpc_request *r)
{
    bvi_timer_free(r->timer);
    bvi_free(r->method);
    bvi_free(r->body);
    bvi_free(r);
}

/* The last callback of a request. Owns err. */
static void finish(bvi_rpc_request *r, const bvi_rpc_reply *reply, bv_error *err)
{
    unlink_request(r);
    r->over = true;
    bvi_timer_clear(r->timer);
    r->on_reply(r, reply, r->data);
    bv_error_free(err);
    free_request(r);
}

static void fail(bvi_rpc_request *r, bv_error *err)
{
    bvi_rpc_reply reply = { .err = err, .sent = r->sent };

    finish(r, &reply, err);
}

static void fail_cancelled(bvi_rpc_request *r)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_CANCELLED, "call '%s' was cancelled",
                   r->method); /* the error is the result */
    fail(r, err);
}

static void tell_cancel(bvi_rpc_client *c, uint64_t id)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(256);
    Bvi__Rpc__Cancel cancel = BVI__RPC__CANCEL__INIT;
    bvi_rpc_frame frame = BVI__RPC__FRAME__INIT;

    cancel.id = id;
    frame.kind_case = BVI__RPC__FRAME__KIND_CANCEL;
    frame.cancel = &cancel;
    /* A courtesy: without it the peer's answer is ignored when it comes. */
    if (c->state == BVI_RPC_OPEN && bvi_rpc_frame_pack(&frame, &out, NULL) == 0)
        (void)bvi_stream_write(c->stream, out.data, out.len, NULL);
}

static bvi_rpc_request *find_request(const bvi_rpc_client *c, uint64_t id)
{
    for (bvi_rpc_request *r = c->first; r; r = r->next) {
        if (r->id == id && r->sent)
            return r;
    }
    return NULL;
}

/* ---- states ---- */

static void enter(bvi_rpc_client *c)
{
    c->depth++;
}

static void destroy(bvi_rpc_client *c)
{
    bvi_task_done(&c->act);
    bvi_stream_free(c->stream);
    bvi_rpc_reader_done(&c->reader);
    bvi_timer_free(c->timer);
    bv_error_free(c->last_error);
    bvi_free(c->peer_program);
    bvi_free(c->peer_version);
    bvi_strv_done(&c->peer_capabilities);
    bvi_buf_done(&c->hello);
    bvi_free(c->path);
    bvi_free(c);
}

static void leave(bvi_rpc_client *c)
{
    if (--c->depth == 0 && c->dying)
        destroy(c);
}

static void set_state(bvi_rpc_client *c, bvi_rpc_state state, const bv_error *err)
{
    bool changed = c->state != state;

    c->state = state;
    if ((changed || err) && c->opts.on_state)
        c->opts.on_state(c, state, err, c->opts.data);
}

static void forget_connection(bvi_rpc_client *c)
{
    bvi_stream_free(c->stream);
    c->stream = NULL;
    bvi_rpc_reader_done(&c->reader);
    bvi_timer_clear(c->timer);
    bvi_freep(&c->peer_program);
    bvi_freep(&c->peer_version);
    bvi_strv_done(&c->peer_capabilities);
}

static bool has_unsent(const bvi_rpc_client *c)
{
    for (const bvi_rpc_request *r = c->first; r; r = r->next) {
        if (!r->sent && !r->cancelled)
            return true;
    }
    return false;
}

/* All that were sent, or all that were not. Callbacks may start and drop requests: look anew after
 * each. */
static void fail_each(bvi_rpc_client *c, bool sent, int code, const bv_error *why)
{
    uint64_t newest = c->last_id; /* what callbacks start from here on is not meant */
    bvi_rpc_request *r = c->first;

    while (r && !c->dying) {
        bv_error *err;

        if (r->sent != sent || r->cancelled || r->id > newest) {
            r = r->next;
            continue;
        }
        err = bvi_error_copy(why);
        (void)bvi_wrap(&err, code,
                       sent ? "the outcome of call '%s' is unknown" : "call '%s' was not sent",
                       r->method);
        fail(r, err);
        r = c->first;
    }
}

static bool is_final(int code)
{
    return code == BV_E_UNSUPPORTED || code == BV_E_DENIED;
}

/* The connection is of no use any longer, or did not come about. Owns err. */
static void lose(bvi_rpc_client *c, bv_error *err)
{
    int code = bv_error_code(err);
    bool give_up = is_final(code) || c->opts.reach_ms < 0;
    int64_t delay_ms = 0;

    (void)bvi_wrap(&err, code, "connection to '%s'", c->path);
    forget_connection(c);
    bv_error_free(c->last_error);
    c->last_error = bvi_error_copy(err);
    if (give_up || (!has_unsent(c) && !c->wanted)) {
        c->wanted = false;
        set_state(c, BVI_RPC_CLOSED, err);
    } else {
        (void)bvi_retry_next(&c->retry, c->ctx, 0, &delay_ms); /* never gives up: the requests do */
        (void)bvi_timer_set(c->timer, delay_ms * 1000, NULL);  /* it stays set and is armed later */
        set_state(c, BVI_RPC_CONNECTING, err);
    }
    fail_each(c, true, BV_E_REMOTE, err);
    if (give_up)
        fail_each(c, false, is_final(code) ? code : BV_E_AGAIN, err);
    if (!c->dying)
        bvi_task_post(&c->act); /* for what was cancelled, and what callbacks started */
    bv_error_free(err);
}

static void lose_with(bvi_rpc_client *c, int code, const char *what)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, code, "%s", what); /* the error is the result */
    lose(c, err);
}

/* ---- sending ---- */

static int pack_request(const bvi_rpc_request *r, bvi_buf *out, bv_error **err)
{
    Bvi__Rpc__Request request = BVI__RPC__REQUEST__INIT;
    bvi_rpc_frame frame = BVI__RPC__FRAME__INIT;

    request.id = r->id;
    request.method = r->method;
    request.body.data = (uint8_t *)r->body;
    request.body.len = r->len;
    if (r->deadline_us != INT64_MAX) {
        int64_t left_ms = (r->deadline_us - bvi_ctx_now_us(r->client->ctx)) / 1000;

        request.deadline_ms = left_ms < 1            ? 1
                              : left_ms > UINT32_MAX ? UINT32_MAX
                                                     : (uint32_t)left_ms;
    }
    frame.kind_case = BVI__RPC__FRAME__KIND_REQUEST;
    frame.request = &request;
    return bvi_rpc_frame_pack(&frame, out, err);
}

static void set_request_timer(bvi_rpc_request *r)
{
    int64_t until_us = r->sent || r->reach_us > r->deadline_us ? r->deadline_us : r->reach_us;

    if (until_us == INT64_MAX)
        bvi_timer_clear(r->timer);
    else
        (void)bvi_timer_set(r->timer, until_us - bvi_ctx_now_us(r->client->ctx),
                            NULL); /* armed later if not now */
}

static void note_sent(bvi_rpc_request *r)
{
    r->client->unsent_bytes -= r->len;
    r->sent = true;
    bvi_freep(&r->body);
    set_request_timer(r);
}

static void send_queued(bvi_rpc_client *c)
{
    bvi_rpc_request *r = c->first;

    while (r && c->state == BVI_RPC_OPEN && !c->dying) {
        BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(BVI_RPC_LENGTH_BYTES + BVI_RPC_FRAME_MAX);
        bvi_rpc_request *next = r->next;
        bv_error *err = NULL;
        int code;

        if (r->sent || r->cancelled) {
            r = next;
            continue;
        }
        if (bvi_stream_unsent(c->stream) > BVI_RPC_FRAME_MAX)
            return; /* on_drain comes back here */
        code = pack_request(r, &out, &err);
        if (code == 0)
            code = bvi_stream_write(c->stream, out.data, out.len, &err);
        if (code == 0) {
            note_sent(r);
            r = next;
        } else {
            fail(r, err);
            r = c->first;
        }
    }
}

/* ---- receiving ---- */

static int take_hello(bvi_rpc_client *c, const Bvi__Rpc__Hello *hello, bv_error **err)
{
    int r = bvi_rpc_hello_check(hello, err);

    if (r < 0)
        return r;
    c->peer_program = bvi_strdup(hello->program);
    c->peer_version = bvi_strdup(hello->program_version);
    if (!c->peer_program || !c->peer_version)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < hello->n_capabilities; i++) {
        if (bvi_strv_add(&c->peer_capabilities, hello->capabilities[i]) < 0)
            return bvi_fail_nomem(err);
    }
    bvi_timer_clear(c->timer);
    bvi_retry_reset(&c->retry);
    set_state(c, BVI_RPC_OPEN, NULL);
    if (!c->dying)
        send_queued(c);
    return 0;
}

static void take_response(bvi_rpc_client *c, const Bvi__Rpc__Response *response)
{
    bvi_rpc_request *r = find_request(c, response->id);
    bvi_rpc_reply reply = { .body = response->body.len ? (const void *)response->body.data : "",
                            .len = response->body.len,
                            .more = response->more,
                            .sent = true };

    if (!r || r->cancelled)
        return; /* nobody waits any longer */
    if (response->code != 0) {
        bv_error *err = bvi_rpc_failure_unpack(response);

        reply = (bvi_rpc_reply){ .err = err, .sent = true, .from_peer = true };
        finish(r, &reply, err);
    } else if (response->more) {
        r->on_reply(r, &reply, r->data); /* may drop r */
    } else {
        finish(r, &reply, NULL);
    }
}

static int take_frame(bvi_rpc_client *c, const bvi_rpc_frame *frame, bv_error **err)
{
    if (frame->kind_case == BVI__RPC__FRAME__KIND_RESPONSE && frame->response->id == 0) {
        /* Not to a request: why the peer does not want to talk to us. */
        bv_error *failure = bvi_rpc_failure_unpack(frame->response);

        return bvi_error_move(err, failure);
    }
    if (c->state != BVI_RPC_OPEN) {
        if (frame->kind_case != BVI__RPC__FRAME__KIND_HELLO)
            return bvi_fail(err, BV_E_FORMAT, "the other end does not begin with a hello");
        return take_hello(c, frame->hello, err);
    }
    if (frame->kind_case == BVI__RPC__FRAME__KIND_RESPONSE)
        take_response(c, frame->response);
    return 0; /* other kinds are of newer versions */
}

static void on_read(bvi_stream *stream, const void *bytes, size_t len, void *data)
{
    bvi_rpc_client *c = data;
    bv_error *err = NULL;
    int r;

    enter(c);
    r = bvi_rpc_reader_feed(&c->reader, bytes, len, &err);
    while (r >= 0 && !c->dying && c->stream == stream) {
        BVI_AUTO(bvi_rpc_frame_freep) bvi_rpc_frame *frame = NULL;

        r = bvi_rpc_reader_next(&c->reader, &frame, &err);
        if (r == 0)
            break;
        if (r > 0)
            r = take_frame(c, frame, &err);
    }
    if (r < 0 && !c->dying && c->stream == stream)
        lose(c, bvi_take(err));
    bv_error_free(err);
    leave(c);
}

static void on_drain(bvi_stream *stream, void *data)
{
    bvi_rpc_client *c = data;

    (void)stream;
    enter(c);
    send_queued(c);
    leave(c);
}

static void on_close(bvi_stream *stream, const bv_error *err, void *data)
{
    bvi_rpc_client *c = data;

    (void)stream;
    enter(c);
    if (err)
        lose(c, bvi_error_copy(err));
    else
        lose_with(c, BV_E_REMOTE, "the other end closed it");
    leave(c);
}

/* ---- connecting ---- */

static void dial(bvi_rpc_client *c)
{
    bvi_stream_opts opts = { .write_max = WRITE_MAX,
                             .on_read = on_read,
                             .on_drain = on_drain,
                             .on_close = on_close,
                             .data = c };
    bv_error *err = NULL;
    int r = bvi_stream_connect(c->ctx, c->path, &opts, &c->stream, &err);

    if (r == 0) {
        bvi_rpc_reader_init(&c->reader);
        r = bvi_stream_write(c->stream, c->hello.data, c->hello.len, &err);
    }
    if (r < 0) {
        lose(c, err);
        return;
    }
    (void)bvi_timer_set(c->timer, (int64_t)BVI_RPC_HELLO_MS * 1000,
                        NULL); /* armed later if not now */
    set_state(c, BVI_RPC_CONNECTING, NULL);
}

static void on_timer(bvi_timer *timer, void *data)
{
    bvi_rpc_client *c = data;

    (void)timer;
    enter(c);
    if (c->stream)
        lose_with(c, BV_E_TIMEOUT, "the other end did not say hello");
    else
        dial(c);
    leave(c);
}

static void finish_cancelled(bvi_rpc_client *c)
{
    bvi_rpc_request *r = c->first;

    while (r && !c->dying) {
        if (!r->cancelled) {
            r = r->next;
            continue;
        }
        if (r->sent)
            tell_cancel(c, r->id);
        fail_cancelled(r);
        r = c->first;
    }
}

static void on_act(void *data)
{
    bvi_rpc_client *c = data;

    enter(c);
    if (c->closing) {
        c->closing = c->wanted = false;
        forget_connection(c);
        bvi_retry_reset(&c->retry);
        set_state(c, BVI_RPC_CLOSED, NULL);
    }
    finish_cancelled(c);
    if (!c->dying && c->state == BVI_RPC_CLOSED && (c->wanted || has_unsent(c)))
        dial(c);
    else if (!c->dying)
        send_queued(c);
    leave(c);
}

/* ---- requests ---- */

static void end_too_late(bvi_rpc_request *r)
{
    bvi_rpc_client *c = r->client;
    bv_error *err = NULL;

    if (bvi_ctx_now_us(c->ctx) >= r->deadline_us) {
        if (r->sent)
            tell_cancel(c, r->id);
        (void)bvi_fail(&err, BV_E_TIMEOUT, "call '%s' had no answer in time",
                       r->method); /* the result */
    } else {
        err = c->last_error ? bvi_error_copy(c->last_error) : NULL;
        if (err)
            (void)bvi_wrap(&err, BV_E_AGAIN, "call '%s' was not sent", r->method);
        else
            (void)bvi_fail(&err, BV_E_AGAIN, "call '%s' was not sent: '%s' does not answer",
                           r->method, c->path);
    }
    fail(r, err);
}

static void on_request_timer(bvi_timer *timer, void *data)
{
    bvi_rpc_request *r = data;
    bvi_rpc_client *c = r->client;

    (void)timer;
    enter(c);
    if (!r->sent && c->state == BVI_RPC_OPEN && bvi_ctx_now_us(c->ctx) < r->deadline_us) {
        r->reach_us = INT64_MAX; /* reached: it only waits for its turn */
        set_request_timer(r);
    } else {
        end_too_late(r);
    }
    leave(c);
}

static int64_t after_ms(int64_t now_us, int64_t ms)
{
    int64_t at;

    if (__builtin_mul_overflow(ms, (int64_t)1000, &at) || __builtin_add_overflow(at, now_us, &at))
        return INT64_MAX;
    return at;
}

static int fill_request(bvi_rpc_request *r, const bvi_rpc_request_opts *opts, bv_error **err)
{
    int64_t now_us = bvi_ctx_now_us(r->client->ctx);
    int64_t reach_ms = r->client->opts.reach_ms;

    r->on_reply = opts->on_reply;
    r->data = opts->data;
    r->method = bvi_strdup(opts->method);
    r->len = opts->len;
    r->body = opts->len ? bvi_strndup(opts->body, opts->len) : NULL;
    r->deadline_us = opts->deadline_ms > 0 ? after_ms(now_us, opts->deadline_ms) : INT64_MAX;
    /* With a single attempt its failure is what ends the wait. */
    r->reach_us =
        reach_ms < 0 ? INT64_MAX : after_ms(now_us, reach_ms ? reach_ms : BVI_RPC_REACH_MS);
    if (!r->method || (opts->len && !r->body))
        return bvi_fail_nomem(err);
    return bvi_timer_new(r->client->ctx, on_request_timer, r, &r->timer, err);
}

static int check_request(const bvi_rpc_client *c, const bvi_rpc_request_opts *opts, bv_error **err)
{
    if (c->dying)
        return bvi_fail(err, BV_E_STATE, "the client is being freed");
    if (strlen(opts->method) > BVI_RPC_NAME_MAX)
        return bvi_fail(err, BV_E_INVALID, "the method's name is longer than %u bytes",
                        BVI_RPC_NAME_MAX);
    if (opts->len > BVI_RPC_BODY_MAX)
        return bvi_fail(err, BV_E_LIMIT, "call '%s': %zu bytes are more than %u", opts->method,
                        opts->len, BVI_RPC_BODY_MAX);
    if (c->count >= c->opts.calls_max)
        return bvi_fail(err, BV_E_LIMIT, "call '%s': %u calls to '%s' are under way already",
                        opts->method, c->count, c->path);
    if (opts->len > BVI_RPC_UNSENT_MAX - c->unsent_bytes)
        return bvi_fail(err, BV_E_LIMIT, "call '%s': too much waits to be sent to '%s'",
                        opts->method, c->path);
    return 0;
}

int bvi_rpc_request_start(bvi_rpc_client *c, const bvi_rpc_request_opts *opts,
                          bvi_rpc_request **ret_request, bv_error **err)
{
    bvi_rpc_request *r;
    int code = check_request(c, opts, err);

    if (code < 0)
        return code;
    r = bvi_new0(bvi_rpc_request);
    if (!r)
        return bvi_fail_nomem(err);
    r->client = c;
    code = fill_request(r, opts, err);
    if (code < 0) {
        free_request(r);
        return code;
    }
    r->id = ++c->last_id;
    r->prev = c->last;
    if (c->last)
        c->last->next = r;
    else
        c->first = r;
    c->last = r;
    c->count++;
    c->unsent_bytes += r->len;
    set_request_timer(r);
    bvi_task_post(&c->act);
    if (ret_request)
        *ret_request = r;
    return 0;
}

void bvi_rpc_request_cancel(bvi_rpc_request *r)
{
    if (r->over)
        return;
    r->cancelled = true;
    bvi_task_post(&r->client->act);
}

void bvi_rpc_request_drop(bvi_rpc_request *r)
{
    if (!r || r->over)
        return;
    if (r->sent)
        tell_cancel(r->client, r->id);
    unlink_request(r);
    free_request(r);
}

/* ---- the client ---- */

int bvi_rpc_client_new(bv_ctx *ctx, const bvi_rpc_client_opts *opts, bvi_rpc_client **ret_client,
                       bv_error **err)
{
    bvi_rpc_client *c = bvi_new0(bvi_rpc_client);
    int r;

    if (!c)
        return bvi_fail_nomem(err);
    c->ctx = ctx;
    c->opts = *opts;
    if (!c->opts.calls_max)
        c->opts.calls_max = BVI_RPC_CALLS_MAX;
    c->peer_capabilities.max = BVI_RPC_CAPABILITIES_MAX;
    bvi_buf_init(&c->hello, BVI_RPC_HELLO_BYTES_MAX);
    bvi_task_init(&c->act, ctx, on_act, c);
    bvi_retry_init(&c->retry, &dial_retry);
    c->path = bvi_strdup(opts->path);
    r = c->path ? bvi_rpc_hello_pack(&opts->self, &c->hello, err) : bvi_fail_nomem(err);
    if (r == 0)
        r = bvi_timer_new(ctx, on_timer, c, &c->timer, err);
    if (r < 0) {
        destroy(c);
        return r;
    }
    *ret_client = c;
    return 0;
}

void bvi_rpc_client_free(bvi_rpc_client *c)
{
    if (!c || c->dying)
        return;
    enter(c);
    c->dying = true;
    forget_connection(c);
    while (c->first)
        fail_cancelled(c->first);
    leave(c);
}

void bvi_rpc_client_connect(bvi_rpc_client *c)
{
    c->wanted = true;
    bvi_task_post(&c->act);
}

void bvi_rpc_client_close(bvi_rpc_client *c)
{
    c->closing = true;
    for (bvi_rpc_request *r = c->first; r; r = r->next)
        r->cancelled = true;
    bvi_task_post(&c->act);
}

bvi_rpc_state bvi_rpc_client_state(const bvi_rpc_client *c)
{
    return c->state;
}

const char *bvi_rpc_client_peer_program(const bvi_rpc_client *c)
{
    return c->peer_program;
}

const char *bvi_rpc_client_peer_version(const bvi_rpc_client *c)
{
    return c->peer_version;
}

bool bvi_rpc_client_peer_can(const bvi_rpc_client *c, const char *capability)
{
    return bvi_strv_has(&c->peer_capabilities, capability);
}
