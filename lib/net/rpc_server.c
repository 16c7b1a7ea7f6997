/*
 * rpc_server.c - the answering end.
 *
 * A call belongs to its handler until it is ended, whatever becomes of its connection or the
 * server: then it is only detached, its on_cancel tells the handler, and ending it sends nothing.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/vec.h"
#include "net/rpc_frame.h"

/* Peers may be hostile: so many lines about them in a minute. */
#define WARNINGS_PER_MIN 20u
#define MINUTE_US        (60 * INT64_C(1000000))

typedef struct conn conn;

struct bvi_rpc_server {
    bv_ctx *ctx;
    bvi_rpc_server_opts opts; /* numbers, callbacks, methods */
    bvi_buf hello;
    bvi_listener *listener;
    conn *conns;
    uint32_t conn_count;
    uint32_t calls;
    int64_t warnings_since_us; /* when the minute began */
    uint32_t warnings;         /* in it */
};

struct conn {
    bvi_rpc_server *server; /* NULL: dead */
    conn *prev;
    conn *next;
    bvi_stream *stream;
    bvi_rpc_reader reader;
    bvi_peer peer;
    bool greeted; /* the peer's hello was good */
    char peer_version[BVI_RPC_NAME_MAX + 1];
    bvi_timer *hello_timer;
    bvi_rpc_call *calls;
    uint32_t call_count;
    bvi_task room_task; /* tells those who wait for room and find that there is some */
    unsigned busy;      /* in a loop over frames or calls */
    bool dead;          /* closed meanwhile: the outermost loop frees it */
};

struct bvi_rpc_call {
    bv_ctx *ctx;
    conn *conn; /* NULL: detached */
    bvi_rpc_call *prev;
    bvi_rpc_call *next;
    bvi_rpc_frame *frame; /* holds the request */
    bvi_peer peer;
    char peer_version[BVI_RPC_NAME_MAX + 1];
    int64_t deadline_us; /* INT64_MAX: none */
    bvi_timer *timer;
    bool gone; /* nobody waits any longer */
    bool told; /* on_cancel was called */
    void (*on_cancel)(bvi_rpc_call *call, void *data);
    void *cancel_data;
    void (*on_room)(bvi_rpc_call *call, void *data);
    void *room_data;
};

/* ---- complaints ---- */

static bool may_warn(bvi_rpc_server *server)
{
    int64_t now_us = bvi_ctx_now_us(server->ctx);

    if (server->warnings == 0 || now_us - server->warnings_since_us >= MINUTE_US) {
        server->warnings_since_us = now_us;
        server->warnings = 0;
    }
    server->warnings++;
    if (server->warnings == WARNINGS_PER_MIN)
        bvi_log_warn(server->ctx, "net", "more troubles at '%s' are not told for a minute",
                     bvi_listener_path(server->listener));
    return server->warnings < WARNINGS_PER_MIN;
}

/* ---- calls and connections going away ---- */

static void tell_gone(bvi_rpc_call *call)
{
    call->gone = true;
    call->on_room = NULL;
    if (call->timer)
        bvi_timer_clear(call->timer);
    if (call->told || !call->on_cancel)
        return;
    call->told = true;
    call->on_cancel(call, call->cancel_data); /* may end the call */
}

static void detach_call(bvi_rpc_call *call)
{
    conn *c = call->conn;

    if (!c)
        return;
    if (call->prev)
        call->prev->next = call->next;
    else
        c->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    call->prev = call->next = NULL;
    call->conn = NULL;
    c->call_count--;
    if (c->server)
        c->server->calls--;
}

static void free_call(bvi_rpc_call *call)
{
    detach_call(call);
    bvi_timer_free(call->timer);
    bvi_rpc_frame_free(call->frame);
    bvi_free(call);
}

static void free_conn(conn *c)
{
    bvi_rpc_reader_done(&c->reader);
    bvi_free(c);
}

static void unbusy(conn *c)
{
    if (--c->busy == 0 && c->dead)
        free_conn(c);
}

static void close_conn(conn *c)
{
    if (c->dead)
        return;
    c->dead = true;
    bvi_task_done(&c->room_task);
    bvi_timer_free(c->hello_timer);
    bvi_stream_free(c->stream);
    c->stream = NULL;
    if (c->prev)
        c->prev->next = c->next;
    else
        c->server->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->server->conn_count--;
    c->server->calls -= c->call_count;
    c->server = NULL; /* the callbacks may free it */
    c->busy++;
    while (c->calls) {
        bvi_rpc_call *call = c->calls;

        detach_call(call);
        tell_gone(call);
    }
    unbusy(c);
}

static void drop_conn(conn *c, const bv_error *why)
{
    char text[512];

    (void)bv_error_format(why, text, sizeof(text)); /* cut when too long */
    if (may_warn(c->server))
        bvi_log_warn(c->server->ctx, "net", "a connection of process %d to '%s' is closed: %s",
                     (int)c->peer.pid, bvi_listener_path(c->server->listener), text);
    close_conn(c);
}

/* ---- sending ---- */

static void regulate(conn *c)
{
    /* A peer that does not read its answers may not ask for more. */
    bvi_stream_pause(c->stream, bvi_stream_unsent(c->stream) > c->server->opts.unsent_max / 2);
}

static int send_buf(conn *c, const bvi_buf *out, bv_error **err)
{
    int r = bvi_stream_write(c->stream, out->data, out->len, err);

    if (r == 0)
        regulate(c);
    return r;
}

static int send_part(bvi_rpc_call *call, const void *body, size_t len, bool more, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(BVI_RPC_LENGTH_BYTES + BVI_RPC_FRAME_MAX);
    Bvi__Rpc__Response response = BVI__RPC__RESPONSE__INIT;
    bvi_rpc_frame frame = BVI__RPC__FRAME__INIT;
    int r;

    if (len > BVI_RPC_BODY_MAX)
        return bvi_fail(err, BV_E_LIMIT, "an answer of %zu bytes is larger than %u", len,
                        BVI_RPC_BODY_MAX);
    response.id = call->frame->request->id;
    response.more = more;
    response.body.data = (uint8_t *)body; /* not written to */
    response.body.len = len;
    frame.kind_case = BVI__RPC__FRAME__KIND_RESPONSE;
    frame.response = &response;
    r = bvi_rpc_frame_pack(&frame, &out, err);
    return r < 0 ? r : send_buf(call->conn, &out, err);
}

static int send_failure(conn *c, uint64_t id, const bv_error *failure, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(BVI_RPC_LENGTH_BYTES + BVI_RPC_FRAME_MAX);
    int r = bvi_rpc_failure_pack(id, failure, &out, err);

    return r < 0 ? r : send_buf(c, &out, err);
}

/* An answer that cannot be told is a broken connection: the caller must not wait for ever. */
static void end_with_failure(conn *c, uint64_t id, const bv_error *failure)
{
    bvi_auto_error bv_error *err = NULL;

    if (send_failure(c, id, failure, &err) < 0)
        drop_conn(c, err);
}

static void refuse_request(conn *c, uint64_t id, int code, const char *fmt, const char *what)
{
    bvi_auto_error bv_error *failure = NULL;

    (void)bvi_fail(&failure, code, fmt, what); /* the error is what is sent */
    end_with_failure(c, id, failure);
}

static void tell_room(conn *c)
{
    bvi_rpc_call *call = c->calls;

    c->busy++;
    while (call && !c->dead && bvi_stream_unsent(c->stream) < BVI_RPC_UNSENT_SOFT) {
        void (*on_room)(bvi_rpc_call *, void *) = call->on_room;

        if (!on_room) {
            call = call->next;
            continue;
        }
        call->on_room = NULL;
        on_room(call, call->room_data); /* may end this call and others: look anew */
        call = c->dead ? NULL : c->calls;
    }
    unbusy(c);
}

static void on_room_task(void *data)
{
    tell_room(data);
}

static void on_drain(bvi_stream *stream, void *data)
{
    conn *c = data;

    (void)stream;
    regulate(c);
    tell_room(c);
}

/* ---- requests ---- */

static void on_call_late(bvi_timer *timer, void *data)
{
    (void)timer;
    tell_gone(data);
}

static const bvi_rpc_method *find_method(const bvi_rpc_server *server, const char *name)
{
    for (const bvi_rpc_method *m = server->opts.methods; m->name; m++) {
        if (strcmp(m->name, name) == 0)
            return m;
    }
    return NULL;
}

static int set_deadline(bvi_rpc_call *call, uint32_t deadline_ms)
{
    int r;

    call->deadline_us = INT64_MAX;
    if (!deadline_ms)
        return 0;
    call->deadline_us = bvi_ctx_now_us(call->ctx) + (int64_t)deadline_ms * 1000;
    r = bvi_timer_new(call->ctx, on_call_late, call, &call->timer, NULL);
    return r < 0 ? r : bvi_timer_set(call->timer, (int64_t)deadline_ms * 1000, NULL);
}

/* The call takes the frame. NULL: no memory. */
static bvi_rpc_call *new_call(conn *c, bvi_rpc_frame **frame)
{
    bvi_rpc_call *call = bvi_new0(bvi_rpc_call);

    if (!call)
        return NULL;
    call->ctx = c->server->ctx;
    call->peer = c->peer;
    memcpy(call->peer_version, c->peer_version, sizeof(call->peer_version));
    if (set_deadline(call, (*frame)->request->deadline_ms) < 0) {
        free_call(call);
        return NULL;
    }
    call->frame = bvi_take(*frame);
    call->conn = c;
    call->next = c->calls;
    if (c->calls)
        c->calls->prev = call;
    c->calls = call;
    c->call_count++;
    c->server->calls++;
    return call;
}

static bvi_rpc_call *find_call(const conn *c, uint64_t id)
{
    for (bvi_rpc_call *call = c->calls; call; call = call->next) {
        if (call->frame->request->id == id)
            return call;
    }
    return NULL;
}

static int take_request(conn *c, bvi_rpc_frame **frame, bv_error **err)
{
    const Bvi__Rpc__Request *request = (*frame)->request;
    const bvi_rpc_method *method = find_method(c->server, request->method);
    bvi_rpc_call *call;

    if (request->id == 0 || find_call(c, request->id))
        return bvi_fail(err, BV_E_FORMAT, "request number %llu is in use",
                        (unsigned long long)request->id);
    if (!method) {
        refuse_request(c, request->id, BV_E_UNSUPPORTED, "there is no call '%.64s'",
                       request->method);
        return 0;
    }
    if (c->call_count >= c->server->opts.calls_max) {
        refuse_request(c, request->id, BV_E_BUSY,
                       "too many calls are under way, '%s' was not begun", method->name);
        return 0;
    }
    call = new_call(c, frame);
    if (!call) {
        refuse_request(c, request->id, BV_E_NOMEM, "no memory for call '%s'", method->name);
        return 0;
    }
    method->handle(call, c->server->opts.data);
    return 0;
}

static void take_cancel(const conn *c, uint64_t id)
{
    bvi_rpc_call *call = find_call(c, id);

    if (call)
        tell_gone(call); /* keeps its place until its handler ends it */
}

static int take_hello(conn *c, const Bvi__Rpc__Hello *hello, bv_error **err)
{
    int r = bvi_rpc_hello_check(hello, err);

    if (r < 0)
        return r;
    c->greeted = true;
    memcpy(c->peer_version, hello->program_version,
           strlen(hello->program_version) + 1); /* checked to fit */
    bvi_timer_clear(c->hello_timer);
    return 0;
}

/* May take the frame. */
static int take_frame(conn *c, bvi_rpc_frame **frame, bv_error **err)
{
    int kind = (int)(*frame)->kind_case;

    if (!c->greeted) {
        if (kind != BVI__RPC__FRAME__KIND_HELLO)
            return bvi_fail(err, BV_E_FORMAT, "it does not begin with a hello");
        return take_hello(c, (*frame)->hello, err);
    }
    if (kind == BVI__RPC__FRAME__KIND_REQUEST)
        return take_request(c, frame, err);
    if (kind == BVI__RPC__FRAME__KIND_CANCEL)
        take_cancel(c, (*frame)->cancel->id);
    return 0; /* other kinds are of newer versions */
}

static void on_read(bvi_stream *stream, const void *bytes, size_t len, void *data)
{
    conn *c = data;
    bvi_auto_error bv_error *err = NULL;
    int r;

    (void)stream;
    c->busy++;
    r = bvi_rpc_reader_feed(&c->reader, bytes, len, &err);
    while (r >= 0 && !c->dead) {
        BVI_AUTO(bvi_rpc_frame_freep) bvi_rpc_frame *frame = NULL;

        r = bvi_rpc_reader_next(&c->reader, &frame, &err);
        if (r == 0)
            break;
        if (r > 0)
            r = take_frame(c, &frame, &err);
    }
    if (r < 0 && !c->dead)
        drop_conn(c, err);
    unbusy(c);
}

static void on_close(bvi_stream *stream, const bv_error *err, void *data)
{
    (void)stream;
    (void)err; /* peers come and go */
    close_conn(data);
}

static void on_no_hello(bvi_timer *timer, void *data)
{
    conn *c = data;
    bvi_auto_error bv_error *err = NULL;

    (void)timer;
    (void)bvi_fail(&err, BV_E_TIMEOUT, "it said no hello"); /* logged there */
    drop_conn(c, err);
}

/* ---- connections ---- */

static bool is_allowed(const bvi_rpc_server *server, const bvi_peer *peer)
{
    if (server->opts.allow)
        return server->opts.allow(peer, server->opts.data);
    return peer->uid == 0 || peer->uid == geteuid();
}

/* Says why and closes; a fresh socket has room for so little. */
static void turn_away(bvi_rpc_server *server, int fd, const bvi_peer *peer, int code,
                      const char *why)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(4096);
    bvi_auto_error bv_error *failure = NULL;
    bvi_auto_close int owned = fd;

    (void)bvi_fail(&failure, code, why, (unsigned)peer->uid); /* the error is what is sent */
    if (may_warn(server))
        bvi_log_warn(server->ctx, "net", "process %d of user %u was turned away from '%s'",
                     (int)peer->pid, (unsigned)peer->uid, server->opts.path);
    if (bvi_rpc_failure_pack(0, failure, &out, NULL) == 0)
        (void)send(owned, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT); /* a courtesy */
}

static int open_conn(bvi_rpc_server *server, int fd, const bvi_peer *peer, bv_error **err)
{
    bvi_stream_opts opts = { .write_max = server->opts.unsent_max,
                             .on_read = on_read,
                             .on_drain = on_drain,
                             .on_close = on_close };
    bvi_auto_close int owned = fd;
    conn *c = bvi_new0(conn);
    int r;

    if (!c)
        return bvi_fail_nomem(err);
    c->server = server;
    c->peer = *peer;
    opts.data = c;
    bvi_rpc_reader_init(&c->reader);
    bvi_task_init(&c->room_task, server->ctx, on_room_task, c);
    c->next = server->conns;
    if (server->conns)
        server->conns->prev = c;
    server->conns = c;
    server->conn_count++;
    r = bvi_timer_new(server->ctx, on_no_hello, c, &c->hello_timer, err);
    if (r == 0)
        r = bvi_timer_set(c->hello_timer, (int64_t)BVI_RPC_HELLO_MS * 1000, err);
    if (r == 0)
        r = bvi_stream_new(server->ctx, bvi_take_fd(&owned), &opts, &c->stream, err);
    if (r == 0)
        r = bvi_stream_write(c->stream, server->hello.data, server->hello.len, err);
    if (r < 0)
        close_conn(c);
    return r;
}

static void on_accept(bvi_listener *listener, int fd, const bvi_peer *peer, void *data)
{
    bvi_rpc_server *server = data;
    bvi_auto_error bv_error *err = NULL;

    (void)listener;
    if (!is_allowed(server, peer))
        turn_away(server, fd, peer, BV_E_DENIED, "user %u may not use this socket");
    else if (server->conn_count >= server->opts.connections_max)
        turn_away(server, fd, peer, BV_E_BUSY, "too many connections; user %u has to try later");
    else if (open_conn(server, fd, peer, &err) < 0)
        bvi_log_warn(server->ctx, "net", "a connection of process %d could not be taken: %s",
                     (int)peer->pid, bv_error_message(err));
}

/* ---- the handler's side ---- */

const char *bvi_rpc_call_method(const bvi_rpc_call *call)
{
    return call->frame->request->method;
}

const void *bvi_rpc_call_body(const bvi_rpc_call *call, size_t *ret_len)
{
    const ProtobufCBinaryData *body = &call->frame->request->body;

    *ret_len = body->len;
    return body->len ? (const void *)body->data : "";
}

const bvi_peer *bvi_rpc_call_peer(const bvi_rpc_call *call)
{
    return &call->peer;
}

const char *bvi_rpc_call_peer_version(const bvi_rpc_call *call)
{
    return call->peer_version;
}

int64_t bvi_rpc_call_left_ms(const bvi_rpc_call *call)
{
    int64_t left_us;

    if (call->deadline_us == INT64_MAX)
        return -1;
    left_us = call->deadline_us - bvi_ctx_now_us(call->ctx);
    return left_us > 0 ? left_us / 1000 : 0;
}

bool bvi_rpc_call_is_gone(const bvi_rpc_call *call)
{
    return call->gone;
}

void bvi_rpc_call_on_cancel(bvi_rpc_call *call, void (*on_cancel)(bvi_rpc_call *call, void *data),
                            void *data)
{
    call->on_cancel = on_cancel;
    call->cancel_data = data;
    if (call->gone)
        tell_gone(call);
}

int bvi_rpc_call_send(bvi_rpc_call *call, const void *body, size_t len, bv_error **err)
{
    if (call->gone)
        return bvi_fail(err, BV_E_CANCELLED, "nobody waits for '%s' any longer",
                        bvi_rpc_call_method(call));
    if (bvi_stream_unsent(call->conn->stream) >= BVI_RPC_UNSENT_SOFT)
        return bvi_fail(err, BV_E_AGAIN, "the caller of '%s' reads too slowly",
                        bvi_rpc_call_method(call));
    return send_part(call, body, len, true, err);
}

void bvi_rpc_call_on_room(bvi_rpc_call *call, void (*on_room)(bvi_rpc_call *call, void *data),
                          void *data)
{
    if (call->gone)
        return;
    call->on_room = on_room;
    call->room_data = data;
    if (bvi_stream_unsent(call->conn->stream) < BVI_RPC_UNSENT_SOFT)
        bvi_task_post(&call->conn->room_task);
}

void bvi_rpc_call_reply(bvi_rpc_call *call, const void *body, size_t len)
{
    bvi_auto_error bv_error *err = NULL;
    conn *c = call->conn;
    uint64_t id = call->frame->request->id;
    int r = 0;

    if (!call->gone)
        r = send_part(call, body, len, false, &err);
    if (call->gone)
        c = NULL;
    free_call(call);
    if (r < 0 && c)
        end_with_failure(c, id, err);
}

void bvi_rpc_call_fail(bvi_rpc_call *call, bv_error *err)
{
    bvi_auto_error bv_error *failure = err;
    conn *c = call->gone ? NULL : call->conn;
    uint64_t id = call->frame->request->id;

    free_call(call);
    if (c)
        end_with_failure(c, id, failure);
}

void bvi_rpc_call_failf(bvi_rpc_call *call, int code, const char *fmt, ...)
{
    bv_error *err = NULL;
    char *text;
    va_list args;

    va_start(args, fmt);
    text = bvi_vasprintf(fmt, args);
    va_end(args);
    (void)bvi_fail(&err, code, "%s", text ? text : "out of memory"); /* the error is what is sent */
    bvi_free(text);
    bvi_rpc_call_fail(call, err);
}

/* ---- the server ---- */

int bvi_rpc_server_new(bv_ctx *ctx, const bvi_rpc_server_opts *opts, bvi_rpc_server **ret_server,
                       bv_error **err)
{
    bvi_listener_opts listen_opts = { .path = opts->path,
                                      .mode = opts->mode,
                                      .on_accept = on_accept };
    bvi_rpc_server *server = bvi_new0(bvi_rpc_server);
    int r;

    if (!server)
        return bvi_fail_nomem(err);
    server->ctx = ctx;
    server->opts = *opts;
    if (!opts->calls_max)
        server->opts.calls_max = BVI_RPC_CALLS_MAX;
    if (!opts->connections_max)
        server->opts.connections_max = BVI_RPC_CONNECTIONS_MAX;
    if (!opts->unsent_max)
        server->opts.unsent_max = BVI_RPC_UNSENT_MAX;
    bvi_buf_init(&server->hello, BVI_RPC_HELLO_BYTES_MAX);
    listen_opts.data = server;
    r = bvi_rpc_hello_pack(&opts->self, &server->hello, err);
    if (r == 0)
        r = bvi_listener_new(ctx, &listen_opts, &server->listener, err);
    if (r < 0) {
        bvi_rpc_server_free(server);
        return r;
    }
    server->opts.path = bvi_listener_path(server->listener);
    *ret_server = server;
    return 0;
}

void bvi_rpc_server_free(bvi_rpc_server *server)
{
    if (!server)
        return;
    bvi_listener_free(server->listener);
    server->listener = NULL;
    while (server->conns)
        close_conn(server->conns);
    bvi_buf_done(&server->hello);
    bvi_free(server);
}

uint32_t bvi_rpc_server_calls(const bvi_rpc_server *server)
{
    return server->calls;
}
