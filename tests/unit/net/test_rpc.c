/* Calls between two ends on one loop, and ends that are strange, slow, gone or of another version.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bvt.h"
#include "net/rpc.h"
#include "net/rpc_frame.h"

#define HELD_MAX 2000

static const char *const some_capabilities[] = { "fly", "swim", NULL };

typedef struct bench {
    bv_ctx *ctx;
    bvt_clock clock;
    bvt_log log;
    const char *path;
    bvi_rpc_server *server;
    bvi_rpc_client *client;
    /* the server's side */
    bvi_rpc_call *held[HELD_MAX];
    unsigned held_count;
    unsigned cancels;
    bool end_on_cancel;
    bool free_server_in_handler;
    bool allow;
    size_t stream_left;
    unsigned agains;
    /* the client's side */
    unsigned states[3];
    bvi_rpc_state last_state;
    int last_code;
    bool free_client_in_state;
} bench;

typedef struct ask {
    bench *b;
    bvi_rpc_request *request;
    unsigned parts, dones;
    bool done;
    int code;
    int errnum;
    bool sent, from_peer;
    char *says;
    bvi_buf got;
    bool free_client, close_client, drop_self, again;
} ask;

/* ---- the server's methods ---- */

static void on_echo(bvi_rpc_call *call, void *data)
{
    size_t len = 0;
    const void *body = bvi_rpc_call_body(call, &len);

    bvi_rpc_call_reply(call, body, len);
}

static void count_cancel(bvi_rpc_call *call, void *data)
{
    bench *b = data;

    ck_assert(bvi_rpc_call_is_gone(call));
    b->cancels++;
    if (b->end_on_cancel) {
        for (unsigned i = 0; i < b->held_count; i++) {
            if (b->held[i] == call)
                b->held[i] = NULL;
        }
        bvi_rpc_call_reply(call, "late", 4);
    }
}

static void on_hold(bvi_rpc_call *call, void *data)
{
    bench *b = data;

    ck_assert_uint_lt(b->held_count, HELD_MAX);
    b->held[b->held_count++] = call;
    bvi_rpc_call_on_cancel(call, count_cancel, b);
    if (b->free_server_in_handler) {
        bvi_rpc_server_free(b->server);
        b->server = NULL;
    }
}

static void on_fail(bvi_rpc_call *call, void *data)
{
    bv_error *err = NULL;

    (void)bvi_fail_sys(&err, ENOSPC, "cannot write '%s'", "/data/x");
    (void)bvi_wrap(&err, BV_E_BUSY, "job 'sync'");
    bvi_rpc_call_fail(call, err);
}

static void on_parts(bvi_rpc_call *call, void *data)
{
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(bvi_rpc_call_send(call, bvt_format("part%d ", i), 6, NULL), 0);
    bvi_rpc_call_reply(call, "end", 3);
}

static char piece[200000];

static void stream_more(bvi_rpc_call *call, void *data)
{
    bench *b = data;

    while (b->stream_left) {
        int r = bvi_rpc_call_send(call, piece, sizeof(piece), NULL);

        if (r == BV_E_AGAIN) {
            b->agains++;
            bvi_rpc_call_on_room(call, stream_more, b);
            return;
        }
        ck_assert_int_eq(r, 0);
        b->stream_left--;
    }
    bvi_rpc_call_reply(call, "", 0);
}

static void end_call(bvi_rpc_call *call, void *data)
{
    bvi_rpc_call_reply(call, "", 0);
}

static void on_stream(bvi_rpc_call *call, void *data)
{
    bvi_rpc_call_on_cancel(call, end_call, data);
    stream_more(call, data);
}

static void on_too_large(bvi_rpc_call *call, void *data)
{
    char *huge = calloc(1, BVI_RPC_BODY_MAX + 1);

    bvi_rpc_call_reply(call, huge, BVI_RPC_BODY_MAX + 1);
    free(huge);
}

static void on_left(bvi_rpc_call *call, void *data)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%lld", (long long)bvi_rpc_call_left_ms(call));

    ck_assert_str_eq(bvi_rpc_call_method(call), "left");
    ck_assert_int_eq((int)bvi_rpc_call_peer(call)->pid, (int)getpid());
    ck_assert_str_eq(bvi_rpc_call_peer_version(call), "2.5");
    bvi_rpc_call_reply(call, text, (size_t)len);
}

static const bvi_rpc_method methods[] = {
    { "echo", on_echo },     { "hold", on_hold },
    { "fail", on_fail },     { "parts", on_parts },
    { "stream", on_stream }, { "too_large", on_too_large },
    { "left", on_left },     { 0 },
};

/* ---- the bench ---- */

static void on_state(bvi_rpc_client *client, bvi_rpc_state state, const bv_error *err, void *data)
{
    bench *b = data;

    b->states[state]++;
    b->last_state = state;
    b->last_code = bv_error_code(err);
    if (b->free_client_in_state) {
        bvi_rpc_client_free(client);
        b->client = NULL;
    }
}

static bool allow(const bvi_peer *peer, void *data)
{
    return ((bench *)data)->allow;
}

static bvi_rpc_server_opts server_opts(bench *b)
{
    return (bvi_rpc_server_opts){ .path = b->path,
                                  .self = { "agent", "1.4", some_capabilities },
                                  .methods = methods,
                                  .data = b };
}

static bvi_rpc_client_opts client_opts(bench *b)
{
    return (bvi_rpc_client_opts){
        .path = b->path, .self = { "host", "2.5", NULL }, .on_state = on_state, .data = b
    };
}

static void open_server(bench *b, const bvi_rpc_server_opts *opts)
{
    bv_error *err = NULL;

    bvt_assert_ok(bvi_rpc_server_new(b->ctx, opts, &b->server, &err), err);
}

static void open_client(bench *b, const bvi_rpc_client_opts *opts)
{
    bv_error *err = NULL;

    bvt_assert_ok(bvi_rpc_client_new(b->ctx, opts, &b->client, &err), err);
}

static void bench_init(bench *b)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;

    memset(b, 0, sizeof(*b));
    bvt_clock_init(&b->clock);
    opts.clock = &b->clock.clock;
    opts.log = bvt_log_sink;
    opts.log_data = &b->log;
    b->path = bvt_path("rpc.socket");
    b->allow = true;
    ck_assert_int_eq(bv_ctx_new(&opts, &b->ctx, NULL), 0);
}

static void bench_open(bench *b)
{
    bvi_rpc_server_opts sopts;
    bvi_rpc_client_opts copts;

    bench_init(b);
    sopts = server_opts(b);
    copts = client_opts(b);
    open_server(b, &sopts);
    open_client(b, &copts);
}

static void settle(bench *b)
{
    for (int i = 0; i < 40; i++)
        ck_assert_int_ge(bv_ctx_dispatch(b->ctx, 0), 0);
}

static void advance_ms(bench *b, int64_t ms)
{
    bvt_clock_advance(&b->clock, ms * 1000);
    settle(b);
}

static void run_until(bench *b, const bool *flag)
{
    for (int i = 0; !*flag; i++) {
        ck_assert_int_lt(i, 100000);
        ck_assert_int_ge(bv_ctx_dispatch(b->ctx, 50), 0);
    }
}

static void end_held(bench *b)
{
    for (unsigned i = 0; i < b->held_count; i++) {
        if (b->held[i])
            bvi_rpc_call_reply(b->held[i], "held", 4);
    }
    b->held_count = 0;
}

static void bench_close(bench *b)
{
    bvi_rpc_client_free(b->client);
    bvi_rpc_server_free(b->server);
    end_held(b);
    bv_ctx_free(b->ctx);
}

/* ---- the client's calls ---- */

static void ask_begin(bench *b, ask *a, const char *method, const void *body, size_t len,
                      int64_t deadline_ms);

static void on_reply(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data)
{
    ask *a = data;
    bench *b = a->b;

    ck_assert_uint_eq(a->dones, 0);
    a->parts++;
    if (reply->len)
        ck_assert_int_eq(bvi_buf_append(&a->got, reply->body, reply->len), 0);
    if (reply->more && a->drop_self) {
        bvi_rpc_request_drop(request);
        return;
    }
    if (!reply->more) {
        size_t len = bv_error_format(reply->err, NULL, 0);

        a->dones++;
        a->done = true;
        a->request = NULL;
        a->code = bv_error_code(reply->err);
        a->errnum = bv_error_errno(reply->err);
        a->sent = reply->sent;
        a->from_peer = reply->from_peer;
        a->says = malloc(len + 1);
        bv_error_format(reply->err, a->says, len + 1);
        bvi_rpc_request_cancel(request); /* over: nothing happens */
        bvi_rpc_request_drop(request);
    }
    if (a->close_client)
        bvi_rpc_client_close(b->client);
    if (a->free_client) {
        bvi_rpc_client_free(b->client);
        b->client = NULL;
    }
}

static int ask_try(bench *b, ask *a, const char *method, const void *body, size_t len,
                   int64_t deadline_ms, bv_error **err)
{
    bvi_rpc_request_opts opts = { .method = method,
                                  .body = body,
                                  .len = len,
                                  .deadline_ms = deadline_ms,
                                  .on_reply = on_reply,
                                  .data = a };

    memset(a, 0, sizeof(*a));
    a->b = b;
    bvi_buf_init(&a->got, 64u << 20);
    return bvi_rpc_request_start(b->client, &opts, &a->request, err);
}

static void ask_begin(bench *b, ask *a, const char *method, const void *body, size_t len,
                      int64_t deadline_ms)
{
    bv_error *err = NULL;

    bvt_assert_ok(ask_try(b, a, method, body, len, deadline_ms, &err), err);
    ck_assert_uint_eq(a->parts, 0);
}

static void ask_done(ask *a)
{
    free(a->says);
    bvi_buf_done(&a->got);
    memset(a, 0, sizeof(*a));
}

static void ask_and_check(bench *b, const char *method, const char *body, int code,
                          const char *expect)
{
    ask a;

    ask_begin(b, &a, method, body, strlen(body), 0);
    run_until(b, &a.done);
    ck_assert_msg(a.code == code, "%d: %s", a.code, a.says);
    ck_assert_msg(strstr(code ? a.says : bvi_buf_str(&a.got), expect), "'%s' '%s'", a.says,
                  bvi_buf_str(&a.got));
    ask_done(&a);
}

/* ---- tests ---- */

START_TEST(call_and_answer)
{
    bench b;

    bench_open(&b);
    ck_assert_int_eq(bvi_rpc_client_state(b.client), BVI_RPC_CLOSED);
    ck_assert_ptr_null(bvi_rpc_client_peer_version(b.client));
    ask_and_check(&b, "echo", "hello", 0, "hello");
    ask_and_check(&b, "echo", "", 0, "");
    ask_and_check(&b, "left", "", 0, "-1");
    ck_assert_int_eq(bvi_rpc_client_state(b.client), BVI_RPC_OPEN);
    ck_assert_str_eq(bvi_rpc_client_peer_program(b.client), "agent");
    ck_assert_str_eq(bvi_rpc_client_peer_version(b.client), "1.4");
    ck_assert(bvi_rpc_client_peer_can(b.client, "swim"));
    ck_assert(!bvi_rpc_client_peer_can(b.client, "sing"));
    ck_assert_uint_eq(b.states[BVI_RPC_OPEN], 1); /* one connection for all */
    ck_assert_uint_eq(bvi_rpc_server_calls(b.server), 0);
    bench_close(&b);
}
END_TEST

START_TEST(failures_come_back_as_they_were)
{
    ask a;
    bench b;

    bench_open(&b);
    ask_begin(&b, &a, "fail", "", 0, 0);
    run_until(&b, &a.done);
    ck_assert_int_eq(a.code, BV_E_BUSY);
    ck_assert_int_eq(a.errnum, ENOSPC);
    ck_assert(a.from_peer);
    ck_assert_str_eq(a.says, "job 'sync': cannot write '/data/x': No space left on device");
    ask_done(&a);
    ask_and_check(&b, "no_such", "", BV_E_UNSUPPORTED, "no call 'no_such'");
    ask_and_check(&b, "too_large", "", BV_E_LIMIT, "larger than");
    ask_and_check(&b, "echo", "still there", 0, "still there");
    bench_close(&b);
}
END_TEST

START_TEST(answers_in_parts)
{
    ask a;
    bench b;

    bench_open(&b);
    ask_begin(&b, &a, "parts", "", 0, 0);
    run_until(&b, &a.done);
    ck_assert_uint_eq(a.parts, 6);
    ck_assert_str_eq(bvi_buf_str(&a.got), "part0 part1 part2 part3 part4 end");
    ask_done(&a);

    b.stream_left = 100; /* 20 MB through a socket that holds 200 kB */
    ask_begin(&b, &a, "stream", "", 0, 0);
    run_until(&b, &a.done);
    ck_assert_uint_eq(a.parts, 101);
    ck_assert_uint_eq(a.got.len, 100 * sizeof(piece));
    ck_assert_uint_ge(b.agains, 3);
    ask_done(&a);

    ask_begin(&b, &a, "parts", "", 0, 0); /* dropped after its first part */
    a.drop_self = true;
    settle(&b);
    ck_assert_uint_eq(a.parts, 1);
    ask_done(&a);
    bench_close(&b);
}
END_TEST

START_TEST(large_bodies)
{
    char *large = malloc(BVI_RPC_BODY_MAX + 1);
    bv_error *err = NULL;
    ask a[20];
    bench b;

    for (size_t i = 0; i <= BVI_RPC_BODY_MAX; i++)
        large[i] = (char)(i * 13 + i / 777);
    bench_open(&b);
    for (int i = 0; i < 10; i++) /* more than the connection keeps unsent: queued */
        ask_begin(&b, &a[i], "echo", large, BVI_RPC_BODY_MAX, 0);
    for (int i = 0; i < 10; i++) {
        run_until(&b, &a[i].done);
        ck_assert_msg(a[i].code == 0, "%s", a[i].says);
        ck_assert_uint_eq(a[i].got.len, BVI_RPC_BODY_MAX);
        ck_assert_int_eq(memcmp(a[i].got.data, large, BVI_RPC_BODY_MAX), 0);
        ask_done(&a[i]);
    }
    ck_assert_int_eq(ask_try(&b, &a[0], "echo", large, BVI_RPC_BODY_MAX + 1, 0, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "echo");
    bv_error_free(err);
    for (int i = 0; i < 20; i++) {
        int r = ask_try(&b, &a[i], "echo", large, BVI_RPC_BODY_MAX, 0, NULL);

        ck_assert_int_eq(r, i < 16 ? 0 : BV_E_LIMIT); /* 64 MiB wait at most */
    }
    bvi_rpc_client_free(b.client);
    b.client = NULL;
    for (int i = 0; i < 20; i++)
        ask_done(&a[i]);
    free(large);
    bench_close(&b);
}
END_TEST

#define CALLS 1000

START_TEST(a_thousand_calls_at_once)
{
    static ask a[CALLS];
    bvi_rpc_client_opts copts;
    bvi_rpc_server_opts sopts;
    bench b;

    bench_init(&b);
    copts = client_opts(&b);
    sopts = server_opts(&b);
    copts.calls_max = sopts.calls_max = CALLS;
    open_server(&b, &sopts);
    open_client(&b, &copts);
    for (int i = 0; i < CALLS; i++)
        ask_begin(&b, &a[i], i % 10 ? "hold" : "echo", &i, sizeof(i), 0);
    while (b.held_count < CALLS - CALLS / 10)
        settle(&b);
    ck_assert_uint_eq(bvi_rpc_server_calls(b.server), CALLS - CALLS / 10);
    for (unsigned i = 0; i < b.held_count; i++) { /* answered in another order */
        unsigned k = (i * 7919) % b.held_count;
        size_t len = 0;
        const void *body = bvi_rpc_call_body(b.held[k], &len);

        bvi_rpc_call_reply(b.held[k], body, len);
        b.held[k] = NULL;
    }
    b.held_count = 0;
    for (int i = 0; i < CALLS; i++) {
        run_until(&b, &a[i].done);
        ck_assert_int_eq(a[i].code, 0);
        ck_assert_uint_eq(a[i].got.len, sizeof(i));
        ck_assert_int_eq(memcmp(a[i].got.data, &i, sizeof(i)), 0);
        ask_done(&a[i]);
    }
    bench_close(&b);
}
END_TEST

START_TEST(limits_on_calls)
{
    bvi_rpc_client_opts copts;
    bvi_rpc_server_opts sopts;
    bv_error *err = NULL;
    ask a[6];
    bench b;

    bench_init(&b);
    copts = client_opts(&b);
    sopts = server_opts(&b);
    copts.calls_max = 5;
    sopts.calls_max = 3;
    open_server(&b, &sopts);
    open_client(&b, &copts);
    for (int i = 0; i < 5; i++)
        ask_begin(&b, &a[i], "hold", "", 0, 0);
    ck_assert_int_eq(ask_try(&b, &a[5], "hold", "", 0, 0, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "5 calls");
    bv_error_free(err);
    settle(&b);
    for (int i = 0; i < 5; i++) {
        ck_assert(a[i].done == (i >= 3));
        ck_assert_int_eq(a[i].code, i < 3 ? 0 : BV_E_BUSY);
    }
    end_held(&b);
    settle(&b);
    for (int i = 0; i < 5; i++) {
        ck_assert(a[i].done);
        ask_done(&a[i]);
    }
    bench_close(&b);
}
END_TEST

START_TEST(cancelled_and_dropped)
{
    ask a, dropped, early;
    bench b;

    bench_open(&b);
    b.end_on_cancel = _i;
    ask_begin(&b, &early, "hold", "", 0, 0);
    bvi_rpc_request_cancel(early.request); /* before it left */
    ck_assert_uint_eq(early.dones, 0);
    settle(&b);
    ck_assert_int_eq(early.code, BV_E_CANCELLED);
    ck_assert(!early.sent);
    ck_assert_uint_eq(b.held_count, 0);

    ask_begin(&b, &a, "hold", "", 0, 0);
    ask_begin(&b, &dropped, "hold", "", 0, 0);
    settle(&b);
    ck_assert_uint_eq(b.held_count, 2);
    bvi_rpc_request_cancel(a.request);
    bvi_rpc_request_cancel(a.request);
    bvi_rpc_request_drop(dropped.request);
    ck_assert_uint_eq(a.dones, 0);
    settle(&b);
    ck_assert_uint_eq(a.dones, 1);
    ck_assert_int_eq(a.code, BV_E_CANCELLED);
    ck_assert(a.sent);
    ck_assert_uint_eq(dropped.parts, 0);
    ck_assert_uint_eq(b.cancels, 2); /* the handlers were told */
    end_held(&b);                    /* and their late answers bother nobody */
    ask_and_check(&b, "echo", "fine", 0, "fine");
    ck_assert_uint_eq(bvi_rpc_server_calls(b.server), 0);
    ask_done(&a);
    ask_done(&early);
    ask_done(&dropped);
    bench_close(&b);
}
END_TEST

START_TEST(deadlines)
{
    ask a, left;
    bench b;

    bench_open(&b);
    ask_begin(&b, &a, "hold", "", 0, 2000);
    ask_begin(&b, &left, "left", "", 0, 500);
    settle(&b);
    ck_assert_str_eq(bvi_buf_str(&left.got), "500");
    ck_assert_uint_eq(b.held_count, 1);
    advance_ms(&b, 1500);
    ck_assert_int_eq(bvi_rpc_call_left_ms(b.held[0]), 500);
    ck_assert(!a.done);
    advance_ms(&b, 501);
    ck_assert_int_eq(a.code, BV_E_TIMEOUT);
    ck_assert(a.sent);
    ck_assert_uint_eq(b.cancels, 1);
    ck_assert_int_eq(bvi_rpc_call_left_ms(b.held[0]), 0);
    ck_assert_int_eq(bvi_rpc_call_send(b.held[0], "x", 1, NULL), BV_E_CANCELLED);
    ask_done(&a);
    ask_done(&left);
    bench_close(&b);
}
END_TEST

START_TEST(waits_for_a_peer_that_is_being_replaced)
{
    bvi_rpc_server_opts sopts;
    bvi_rpc_client_opts copts;
    ask a, late;
    bench b;

    bench_init(&b);
    copts = client_opts(&b);
    open_client(&b, &copts);
    ask_begin(&b, &a, "echo", "patience", 8, 0);
    settle(&b);
    advance_ms(&b, 1000);
    ck_assert(!a.done);
    ck_assert_int_eq(b.last_state, BVI_RPC_CONNECTING);
    ck_assert_int_eq(b.last_code, BV_E_NOT_FOUND);
    sopts = server_opts(&b);
    open_server(&b, &sopts);
    advance_ms(&b, 1300);
    run_until(&b, &a.done);
    ck_assert_int_eq(a.code, 0);
    ask_done(&a);

    bvi_rpc_server_free(b.server);
    b.server = NULL;
    settle(&b);
    ck_assert_int_eq(b.last_state, BVI_RPC_CLOSED); /* nobody needs it: no redialling */
    ask_begin(&b, &late, "echo", "", 0, 0);
    settle(&b);
    for (int i = 0; i < 30; i++)
        advance_ms(&b, 100);
    ck_assert(late.done);
    ck_assert_int_eq(late.code, BV_E_AGAIN); /* safe to repeat */
    ck_assert(!late.sent);
    ck_assert_msg(strstr(late.says, "was not sent: connection to '"), "%s", late.says);
    ask_done(&late);
    bench_close(&b);
}
END_TEST

START_TEST(a_single_attempt)
{
    bvi_rpc_client_opts copts;
    ask a;
    bench b;

    bench_init(&b);
    copts = client_opts(&b);
    copts.reach_ms = -1;
    open_client(&b, &copts);
    ask_begin(&b, &a, "echo", "", 0, 0);
    settle(&b);
    ck_assert_int_eq(a.code, BV_E_AGAIN);
    ck_assert_int_eq(b.last_state, BVI_RPC_CLOSED);
    ask_done(&a);
    bench_close(&b);
}
END_TEST

START_TEST(the_server_goes_away)
{
    bvi_rpc_server_opts sopts;
    ask a[3], next;
    bench b;

    bench_open(&b);
    b.end_on_cancel = _i;
    for (int i = 0; i < 3; i++)
        ask_begin(&b, &a[i], "hold", "", 0, 0);
    settle(&b);
    bvi_rpc_server_free(b.server);
    b.server = NULL;
    ck_assert_uint_eq(b.cancels, 3);             /* from the freeing */
    ask_begin(&b, &next, "echo", "after", 5, 0); /* waits for the next server */
    settle(&b);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(a[i].code, BV_E_REMOTE);
        ck_assert(a[i].sent);
        ck_assert(!a[i].from_peer);
        ck_assert_msg(strstr(a[i].says, "outcome of call 'hold' is unknown"), "%s", a[i].says);
        ask_done(&a[i]);
    }
    end_held(&b); /* of a server that is gone */
    sopts = server_opts(&b);
    open_server(&b, &sopts);
    advance_ms(&b, 100);
    advance_ms(&b, 100);
    run_until(&b, &next.done);
    ck_assert_int_eq(next.code, 0);
    ask_done(&next);
    bench_close(&b);
}
END_TEST

START_TEST(the_client_goes_away)
{
    ask a;
    bench b;

    bench_open(&b);
    ask_begin(&b, &a, "hold", "", 0, 0);
    settle(&b);
    bvi_rpc_client_free(b.client);
    b.client = NULL;
    ck_assert_int_eq(a.code, BV_E_CANCELLED); /* from the freeing */
    settle(&b);
    ck_assert_uint_eq(b.cancels, 1);
    ck_assert(bvi_rpc_call_is_gone(b.held[0]));
    ck_assert_uint_eq(bvi_rpc_server_calls(b.server), 0);
    ask_done(&a);
    bench_close(&b);
}
END_TEST

START_TEST(closed_and_used_again)
{
    ask a, next;
    bench b;

    bench_open(&b);
    bvi_rpc_client_connect(b.client);
    settle(&b);
    ck_assert_int_eq(bvi_rpc_client_state(b.client), BVI_RPC_OPEN);
    ask_begin(&b, &a, "hold", "", 0, 0);
    settle(&b);
    bvi_rpc_client_close(b.client);
    ask_begin(&b, &next, "echo", "again", 5, 0);
    ck_assert(!a.done);
    settle(&b);
    ck_assert_int_eq(a.code, BV_E_CANCELLED);
    ck_assert_int_eq(next.code, 0);
    ck_assert_str_eq(bvi_buf_str(&next.got), "again");
    ck_assert_uint_eq(b.states[BVI_RPC_OPEN], 2);
    ask_done(&a);
    ask_done(&next);
    bench_close(&b);
}
END_TEST

START_TEST(a_wanted_connection_comes_back)
{
    bvi_rpc_server_opts sopts;
    bench b;

    bench_open(&b);
    bvi_rpc_client_connect(b.client);
    settle(&b);
    bvi_rpc_server_free(b.server);
    settle(&b);
    ck_assert_int_eq(b.last_state, BVI_RPC_CONNECTING);
    sopts = server_opts(&b);
    open_server(&b, &sopts);
    advance_ms(&b, 2000);
    ck_assert_int_eq(b.last_state, BVI_RPC_OPEN);
    bvi_rpc_client_close(b.client);
    settle(&b);
    ck_assert_int_eq(b.last_state, BVI_RPC_CLOSED);
    advance_ms(&b, 5000);
    ck_assert_int_eq(b.last_state, BVI_RPC_CLOSED);
    bench_close(&b);
}
END_TEST

START_TEST(freed_inside_callbacks)
{
    ask a, other;
    bench b;

    bench_open(&b);
    if (_i == 4)
        b.free_client_in_state = true;
    ask_begin(&b, &a, _i == 0 ? "parts" : _i == 3 ? "hold" : "echo", "x", 1, 0);
    ask_begin(&b, &other, "hold", "", 0, 0);
    a.free_client = _i < 2;
    a.close_client = _i == 2;
    b.free_server_in_handler = _i == 3;
    settle(&b);
    ck_assert_uint_eq(other.dones, 1);
    ck_assert_int_eq(other.code, _i == 3 ? BV_E_REMOTE : BV_E_CANCELLED);
    ck_assert_int_eq(a.code, _i == 0 || _i == 4 ? BV_E_CANCELLED : _i == 3 ? BV_E_REMOTE : 0);
    if (_i == 3)
        ck_assert_uint_ge(b.cancels, 1);
    b.free_server_in_handler = false;
    bench_close(&b);
    ask_done(&a);
    ask_done(&other);
}
END_TEST

START_TEST(strangers_are_turned_away)
{
    bvi_rpc_server_opts sopts;
    bvi_rpc_client_opts copts;
    ask a;
    bench b;

    bench_init(&b);
    sopts = server_opts(&b);
    sopts.allow = allow;
    copts = client_opts(&b);
    open_server(&b, &sopts);
    open_client(&b, &copts);
    b.allow = false;
    ask_begin(&b, &a, "echo", "", 0, 0);
    settle(&b);
    ck_assert_int_eq(a.code, BV_E_DENIED); /* at once: waiting would not help */
    ck_assert_msg(strstr(a.says, "may not use this socket"), "%s", a.says);
    ck_assert_int_eq(b.last_state, BVI_RPC_CLOSED);
    ask_done(&a);
    b.allow = true;
    ask_and_check(&b, "echo", "welcome", 0, "welcome");
    ck_assert_ptr_nonnull(strstr(b.log.text, "turned away"));
    bench_close(&b);
}
END_TEST

START_TEST(too_many_connections)
{
    bvi_rpc_server_opts sopts;
    bvi_rpc_client_opts copts;
    bvi_rpc_client *first;
    ask a;
    bench b;

    bench_init(&b);
    sopts = server_opts(&b);
    sopts.connections_max = 1;
    copts = client_opts(&b);
    open_server(&b, &sopts);
    open_client(&b, &copts);
    ask_and_check(&b, "echo", "first", 0, "first");
    first = b.client;
    open_client(&b, &copts);
    ask_begin(&b, &a, "echo", "second", 6, 0);
    settle(&b);
    ck_assert(!a.done);
    ck_assert_int_eq(b.last_code, BV_E_BUSY);
    bvi_rpc_client_free(first); /* makes room */
    settle(&b);
    advance_ms(&b, 1000);
    ck_assert(a.done);
    ck_assert_int_eq(a.code, 0);
    ask_done(&a);
    bench_close(&b);
}
END_TEST

/* ---- raw peers ---- */

static void pack_hello(bvi_buf *out, uint32_t least, uint32_t most)
{
    Bvi__Rpc__Hello hello = BVI__RPC__HELLO__INIT;
    bvi_rpc_frame frame = BVI__RPC__FRAME__INIT;

    hello.version_min = least;
    hello.version_max = most;
    hello.program = (char *)"future";
    hello.program_version = (char *)"9.0";
    frame.kind_case = BVI__RPC__FRAME__KIND_HELLO;
    frame.hello = &hello;
    ck_assert_int_eq(bvi_rpc_frame_pack(&frame, out, NULL), 0);
}

static void pack_request(bvi_buf *out, uint64_t id, const char *method)
{
    Bvi__Rpc__Request request = BVI__RPC__REQUEST__INIT;
    bvi_rpc_frame frame = BVI__RPC__FRAME__INIT;

    request.id = id;
    request.method = (char *)method;
    frame.kind_case = BVI__RPC__FRAME__KIND_REQUEST;
    frame.request = &request;
    ck_assert_int_eq(bvi_rpc_frame_pack(&frame, out, NULL), 0);
}

static int raw_connect(const bench *b)
{
    int fd = -1;

    ck_assert_int_eq(bvi_socket_connect(b->path, &fd, NULL), 0);
    return fd;
}

/* 1: the other end is open, 0: closed (what it said before is skipped). */
static int raw_is_open(int fd)
{
    char bytes[65536];
    ssize_t n;

    do
        n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    while (n > 0);
    return n < 0 && errno == EAGAIN;
}

static const struct {
    const char *what;
    const char *bytes;
    size_t len;
    bool greeted;
    bool open;
    const char *logged;
} raws[] = {
    { "half a length", "\0\0", 2, true, true, "" },
    { "half a frame", "\0\0\0\10abc", 7, true, true, "" },
    { "an empty frame", "\0\0\0\0", 4, true, true, "" },
    { "an unknown kind", "\0\0\0\4\xa2\6\1x", 8, true, true, "" },
    { "too large a frame", "\0\x40\0\1", 4, true, false, "larger than" },
    { "the largest length", "\xff\xff\xff\xff", 4, true, false, "larger than" },
    { "garbage", "\0\0\0\4\xff\xff\xff\xff", 8, true, false, "cannot be decoded" },
    { "text", "GET / HTTP/1.1\r\n\r\n", 18, false, false, "larger than" },
    { "no hello", "\0\0\0\4\x12\2\b\1", 8, false, false, "does not begin with a hello" },
    { "request 0", "\0\0\0\6\x12\4\x12\2hi", 10, true, false, "in use" },
};

START_TEST(peers_that_make_no_sense)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(100000);
    bench b;
    int fd;

    bench_open(&b);
    fd = raw_connect(&b);
    if (raws[_i].greeted)
        pack_hello(&out, 1, 1);
    ck_assert_int_eq(bvi_buf_append(&out, raws[_i].bytes, raws[_i].len), 0);
    for (size_t at = 0; at < out.len; at++) { /* byte by byte */
        (void)!send(fd, out.data + at, 1, MSG_NOSIGNAL);
        ck_assert_int_ge(bv_ctx_dispatch(b.ctx, 0), 0);
    }
    settle(&b);
    ck_assert_msg(raw_is_open(fd) == raws[_i].open, "%s", raws[_i].what);
    ck_assert_msg(strstr(b.log.text, raws[_i].logged), "%s: %s", raws[_i].what, b.log.text);
    ask_and_check(&b, "echo", "others are fine", 0, "others are fine");
    close(fd);
    bench_close(&b);
}
END_TEST

START_TEST(same_number_twice)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(100000);
    bench b;
    int fd;

    bench_open(&b);
    fd = raw_connect(&b);
    pack_hello(&out, 1, 1);
    pack_request(&out, 5, "hold");
    pack_request(&out, 5, "hold");
    ck_assert_int_eq((int)send(fd, out.data, out.len, 0), (int)out.len);
    settle(&b);
    ck_assert(!raw_is_open(fd));
    ck_assert_uint_eq(b.cancels, 1);
    close(fd);
    bench_close(&b);
}
END_TEST

/* Asks a lot and never reads: what piles up has a bound. */
START_TEST(a_peer_that_does_not_read)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(1000000);
    bvi_rpc_server_opts sopts;
    size_t before;
    bench b;
    int fd;

    bench_init(&b);
    sopts = server_opts(&b);
    sopts.unsent_max = 2u << 20;
    open_server(&b, &sopts);
    fd = raw_connect(&b);
    pack_hello(&out, 1, 1);
    for (uint64_t id = 1; id < 50; id++)
        pack_request(&out, id, "stream");
    b.stream_left = 1000;
    before = bvt_live_bytes();
    ck_assert_int_eq((int)send(fd, out.data, out.len, 0), (int)out.len);
    settle(&b);
    ck_assert_uint_lt(bvt_live_bytes() - before, 8u << 20);
    ck_assert_uint_gt(b.stream_left, 900);
    close(fd);
    settle(&b);
    b.stream_left = 0;
    bvi_rpc_server_free(b.server);
    b.server = NULL;
    bench_close(&b);
}
END_TEST

START_TEST(silent_peers)
{
    bvi_rpc_client_opts copts;
    bvi_rpc_server_opts sopts;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    ask a;
    bench b;
    int fd;

    bench_init(&b);
    sopts = server_opts(&b);
    open_server(&b, &sopts);
    fd = raw_connect(&b); /* a client that says nothing */
    settle(&b);
    ck_assert(raw_is_open(fd));
    advance_ms(&b, BVI_RPC_HELLO_MS + 1);
    ck_assert(!raw_is_open(fd));
    ck_assert_ptr_nonnull(strstr(b.log.text, "said no hello"));
    close(fd);
    bvi_rpc_server_free(b.server);
    b.server = NULL;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* a server that never accepts */
    ck_assert_uint_lt(strlen(b.path), sizeof(addr.sun_path));
    memcpy(addr.sun_path, b.path, strlen(b.path) + 1);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    copts = client_opts(&b);
    copts.reach_ms = 12000;
    open_client(&b, &copts);
    ask_begin(&b, &a, "echo", "", 0, 0);
    settle(&b);
    advance_ms(&b, BVI_RPC_HELLO_MS);
    ck_assert(!a.done);
    ck_assert_int_eq(b.last_code, BV_E_TIMEOUT);
    advance_ms(&b, 12000);
    ck_assert_int_eq(a.code, BV_E_AGAIN);
    ck_assert_msg(strstr(a.says, "did not say hello"), "%s", a.says);
    close(fd);
    ask_done(&a);
    bench_close(&b);
}
END_TEST

struct fake_server {
    bvi_buf out;
    int fd;
};

static void on_fake_accept(bvi_listener *listener, int fd, const bvi_peer *peer, void *data)
{
    struct fake_server *f = data;

    if (f->fd >= 0)
        close(f->fd);
    f->fd = fd;
    (void)!send(fd, f->out.data, f->out.len, MSG_NOSIGNAL);
}

static const struct {
    uint32_t least, most;
    const char *extra;
    size_t extra_len;
    int code;
    const char *says;
} servers[] = {
    { 2, 5, "", 0, BV_E_UNSUPPORTED,
      "'future' 9.0 speaks protocol versions 2 to 5, this program 1 to 1; update" },
    { 0, 0, "", 0, BV_E_UNSUPPORTED, "update the older one" },
    { 3, 2, "", 0, BV_E_AGAIN, "makes no sense" },
    { 1, 9, "\xff\xff\xff\xff", 4, BV_E_REMOTE, "larger than" },
    { 1, 1, "\0\0\0\2\xff\xff", 6, BV_E_REMOTE, "cannot be decoded" },
};

START_TEST(servers_of_another_kind)
{
    struct fake_server f = { .out = BVI_BUF_INIT(10000), .fd = -1 };
    bvi_listener_opts lopts = { .on_accept = on_fake_accept, .data = &f };
    bvi_listener *listener = NULL;
    bvi_rpc_client_opts copts;
    ask a;
    bench b;

    bench_init(&b);
    lopts.path = b.path;
    pack_hello(&f.out, servers[_i].least, servers[_i].most);
    ck_assert_int_eq(bvi_buf_append(&f.out, servers[_i].extra, servers[_i].extra_len), 0);
    ck_assert_int_eq(bvi_listener_new(b.ctx, &lopts, &listener, NULL), 0);
    copts = client_opts(&b);
    copts.reach_ms = -1;
    open_client(&b, &copts);
    ask_begin(&b, &a, "echo", "", 0, 0);
    settle(&b);
    ck_assert(a.done);
    ck_assert_msg(a.code == servers[_i].code, "%d %s", a.code, a.says);
    ck_assert_msg(strstr(a.says, servers[_i].says), "%s", a.says);
    ask_done(&a);
    bvi_listener_free(listener);
    bvi_buf_done(&f.out);
    close(f.fd);
    bench_close(&b);
}
END_TEST

START_TEST(names_that_are_too_long)
{
    char name[100];
    bvi_rpc_client_opts copts;
    bv_error *err = NULL;
    ask a;
    bench b;

    memset(name, 'n', 99);
    name[99] = '\0';
    bench_open(&b);
    ck_assert_int_eq(ask_try(&b, &a, name, "", 0, 0, &err), BV_E_INVALID);
    bv_error_free(err);
    bvi_rpc_client_free(b.client);
    copts = client_opts(&b);
    copts.self.version = name;
    ck_assert_int_eq(bvi_rpc_client_new(b.ctx, &copts, &b.client, NULL), BV_E_INVALID);
    b.client = NULL;
    bench_close(&b);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bv_ctx *ctx = NULL;

    bvt_for_each_failed_allocation(n) {
        bench b;
        ask a;
        int r;

        memset(&b, 0, sizeof(b));
        memset(&a, 0, sizeof(a));
        b.path = bvt_path("f.socket");
        b.ctx = NULL;
        r = bv_ctx_new(NULL, &ctx, NULL);
        b.ctx = ctx;
        if (r == 0) {
            bvi_rpc_server_opts sopts = server_opts(&b);

            r = bvi_rpc_server_new(ctx, &sopts, &b.server, NULL);
        }
        if (r == 0) {
            bvi_rpc_client_opts copts = client_opts(&b);

            copts.on_state = NULL;
            copts.reach_ms = 1;
            r = bvi_rpc_client_new(ctx, &copts, &b.client, NULL);
        }
        if (r == 0) {
            bvi_rpc_request_opts opts = { .method = "fail",
                                          .body = "x",
                                          .len = 1,
                                          .deadline_ms = 10000,
                                          .on_reply = on_reply,
                                          .data = &a };

            a.b = &b;
            bvi_buf_init(&a.got, 1000);
            r = bvi_rpc_request_start(b.client, &opts, &a.request, NULL);
            for (int i = 0; r == 0 && !a.done; i++) {
                ck_assert_int_lt(i, 5000);
                ck_assert_int_ge(bv_ctx_dispatch(ctx, 20), 0);
            }
            if (r == 0)
                ck_assert_msg(a.code == BV_E_BUSY || a.code == BV_E_IO || a.code == BV_E_NOMEM ||
                                  a.code == BV_E_AGAIN || a.code == BV_E_REMOTE,
                              "%d %s", a.code, a.says);
        }
        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%d", r);
        ask_done(&a);
        bvi_rpc_client_free(b.client);
        bvi_rpc_server_free(b.server);
        bv_ctx_free(ctx);
        ctx = NULL;
    }
}
END_TEST

BVT_MAIN("net/rpc", bvt_test(call_and_answer), bvt_test(failures_come_back_as_they_were),
         bvt_test(answers_in_parts), bvt_test(large_bodies), bvt_test(a_thousand_calls_at_once),
         bvt_test(limits_on_calls), bvt_times(cancelled_and_dropped, 2), bvt_test(deadlines),
         bvt_test(waits_for_a_peer_that_is_being_replaced), bvt_test(a_single_attempt),
         bvt_times(the_server_goes_away, 2), bvt_test(the_client_goes_away),
         bvt_test(closed_and_used_again), bvt_test(a_wanted_connection_comes_back),
         bvt_times(freed_inside_callbacks, 5), bvt_test(strangers_are_turned_away),
         bvt_test(too_many_connections), bvt_loop(peers_that_make_no_sense, raws),
         bvt_test(same_number_twice), bvt_test(a_peer_that_does_not_read), bvt_test(silent_peers),
         bvt_loop(servers_of_another_kind, servers), bvt_test(names_that_are_too_long),
         bvt_test(survives_every_failed_allocation))
