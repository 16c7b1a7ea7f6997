/* HTTP requests against a server on the same loop: good answers, bad ones, none, and callers who
 * change their mind. */
#include <stdio.h>
#include <stdlib.h>

#include "http_server.h"
#include "net/http.h"

#define BIG (3u * 1024u * 1024u)

typedef struct fetch {
    bvi_http_call *call;
    unsigned dones, heads;
    bool done;
    int code;
    int status;
    char *says;
    char *body;
    size_t body_len;
    int64_t content_length, retry_after_ms;
    uint64_t received;
    char etag[64];
    /* on_data */
    bvi_buf got;
    unsigned pieces;
    unsigned pause_every; /* pause before each n-th piece */
    bool paused;
    int data_code;
    int head_code;
    bool drop_on_data, cancel_on_data, free_on_data, free_on_done;
    struct fetch *drop_too;
    /* on_body */
    const char *source;
    size_t source_len, source_at;
    bool body_waits;
    int body_code;
    unsigned rewinds;
} fetch;

typedef struct bench {
    bv_ctx *ctx;
    bvt_clock clock;
    http_server server;
    bvi_http *http;
    http_conn *held; /* requests to /hold wait here */
    unsigned held_count;
} bench;

static char big[BIG];

/* ---- the server's answers ---- */

static const struct {
    const char *path;
    const char *answer;
    bool close;
} canned[] = {
    { "/garbage", "this is not http at all\r\n\r\n", true },
    { "/nothing", "", true },
    { "/short", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", true },
    { "/until-close", "HTTP/1.1 200 OK\r\n\r\nno length", true },
    { "/chunked",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5\r\nhello\r\n6\r\n "
      "world\r\n0\r\n"
      "X-Sum: 42\r\n\r\n",
      false },
    { "/bad-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello", true },
    { "/continue", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      false },
    { "/loop", "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n", false },
    { "/moved",
      "HTTP/1.1 307 Moved\r\nLocation: /there?token=secret\r\nETag: \"old\"\r\nContent-Length: "
      "4\r\n\r\ngone",
      false },
    { "/to-file", "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
      false },
    { "/there?token=secret", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere", false },
    { "/huge-length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx", false },
    { "/range-ignored", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false },
    { "/range-good",
      "HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-7/100\r\nContent-Length: 3\r\n\r\nabc",
      false },
    { "/range-other",
      "HTTP/1.1 206 Partial\r\nContent-Range: bytes 50-52/100\r\nContent-Length: 3\r\n\r\nabc",
      false },
    { "/range-none", "HTTP/1.1 206 Partial\r\nContent-Length: 3\r\n\r\nabc", false },
    { "/range-416", "HTTP/1.1 416 Range\r\nContent-Length: 3\r\n\r\nabc", false },
    { "/stalls", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", false },
};

static void answer(http_conn *conn, const char *method, const char *path, const char *head,
                   const char *body, size_t body_len, void *data)
{
    bench *b = data;
    int status;

    for (size_t i = 0; i < sizeof(canned) / sizeof(canned[0]); i++) {
        if (strcmp(canned[i].path, path) == 0) {
            http_conn_send_text(conn, canned[i].answer, canned[i].close);
            return;
        }
    }
    if (strcmp(path, "/big") == 0) {
        http_conn_answer(conn, 200, NULL, big, BIG);
    } else if (strcmp(path, "/big-failure") == 0) {
        http_conn_answer(conn, 500, NULL, big, BIG);
    } else if (strcmp(path, "/swallow") == 0) {
        http_conn_answer(conn, 200, NULL, "", 0);
    } else if (strcmp(path, "/hold") == 0) {
        b->held = conn;
        b->held_count++;
    } else if (strncmp(path, "/echo", 5) == 0) {
        char *text = malloc(body_len + 4096);
        int len = snprintf(text, 4096, "%s %s\n%s\n", method, path, head);

        memcpy(text + len, body, body_len);
        http_conn_answer(conn, 200, "ETag: \"e1\"\r\n", text, (size_t)len + body_len);
        free(text);
    } else if (sscanf(path, "/status/%d", &status) == 1) {
        http_conn_answer(conn, status, "Retry-After: 7\r\n", "because\nof things", 17);
    } else if (strcmp(path, "/date") == 0) {
        http_conn_answer(conn, 503, "Retry-After: Mon, 01 Jan 2024 00:01:00 GMT\r\n", "", 0);
    } else if (strcmp(path, "/headers") == 0) {
        char *many = malloc(100000);
        size_t len = 0;

        for (int i = 0; i < 1000; i++)
            len += (size_t)snprintf(many + len, 100000 - len, "X-Header-%d: %080d\r\n", i, i);
        http_conn_answer(conn, 200, many, "x", 1);
        free(many);
    } else {
        http_conn_answer(conn, 404, NULL, "no such thing", 13);
    }
}

/* ---- driving ---- */

static void bench_open(bench *b, const char *socket, uint32_t connections)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bvi_http_opts http_opts = { .connections_per_host = connections };

    memset(b, 0, sizeof(*b));
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 31 + i / 1000);
    bvt_clock_init(&b->clock);
    opts.clock = &b->clock.clock;
    ck_assert_int_eq(bv_ctx_new(&opts, &b->ctx, NULL), 0);
    http_server_open(&b->server, b->ctx, socket, answer, b);
    ck_assert_int_eq(bvi_http_new(b->ctx, &http_opts, &b->http, NULL), 0);
}

static void bench_close(bench *b)
{
    bvi_http_free(b->http);
    http_server_close(&b->server);
    bv_ctx_free(b->ctx);
}

/* The clock stands still: only events move things on. */
static void run_until(bench *b, const bool *flag)
{
    for (int i = 0; !*flag; i++) {
        ck_assert_int_lt(i, 100000);
        ck_assert_int_ge(bv_ctx_dispatch(b->ctx, 50), 0);
    }
}

static void run_some(bench *b, int rounds)
{
    for (int i = 0; i < rounds; i++)
        ck_assert_int_ge(bv_ctx_dispatch(b->ctx, 1), 0);
}

/* ---- a request of the tests ---- */

static int on_head(bvi_http_call *call, const bvi_http_response *response, void *data)
{
    fetch *f = data;

    ck_assert_uint_eq(f->dones, 0);
    f->heads++;
    f->status = response->status;
    return f->head_code;
}

static bench *the_bench;

static int on_data(bvi_http_call *call, const void *bytes, size_t len, void *data)
{
    fetch *f = data;

    ck_assert_uint_eq(f->dones, 0);
    ck_assert_ptr_nonnull(f->call);
    f->pieces++;
    if (f->pause_every && f->pieces % f->pause_every == 0) {
        f->paused = true;
        return BVI_HTTP_PAUSE;
    }
    ck_assert_int_eq(bvi_buf_append(&f->got, bytes, len), 0);
    if (f->drop_too) {
        bvi_http_drop(f->drop_too->call);
        f->drop_too->call = NULL;
    }
    if (f->cancel_on_data)
        bvi_http_cancel(call);
    if (f->free_on_data) {
        bvi_http_free(the_bench->http);
        the_bench->http = NULL;
    }
    if (f->drop_on_data) {
        bvi_http_drop(call);
        f->call = NULL;
    }
    return f->data_code;
}

static ptrdiff_t on_body(bvi_http_call *call, void *dst, size_t room, void *data)
{
    fetch *f = data;
    size_t left = f->source_len - f->source_at;
    size_t n = left < room ? left : room;

    if (f->body_code)
        return f->body_code;
    if (f->body_waits) {
        f->paused = true;
        return 0;
    }
    if (n > 2000)
        n = 1000 + n / 2; /* less than there is room for */
    memcpy(dst, f->source + f->source_at, n);
    f->source_at += n;
    return (ptrdiff_t)n;
}

static int on_rewind(bvi_http_call *call, void *data)
{
    fetch *f = data;

    f->rewinds++;
    f->source_at = 0;
    return 0;
}

static void on_done(bvi_http_call *call, const bvi_http_response *response, const bv_error *err,
                    void *data)
{
    fetch *f = data;
    size_t len = bv_error_format(err, NULL, 0);

    f->dones++;
    f->done = true;
    f->call = NULL;
    f->code = bv_error_code(err);
    f->says = malloc(len + 1);
    bv_error_format(err, f->says, len + 1);
    f->status = response->status;
    f->content_length = response->content_length;
    f->retry_after_ms = response->retry_after_ms;
    f->received = response->received;
    f->body = malloc(response->body_len + 1);
    memcpy(f->body, response->body, response->body_len + 1);
    f->body_len = response->body_len;
    snprintf(f->etag, sizeof(f->etag), "%s", response->etag ? response->etag : "");
    ck_assert_ptr_null(strstr(response->url, "secret"));
    ck_assert_ptr_null(strstr(f->says, "secret"));
    bvi_http_drop(call); /* it is over: nothing happens */
    bvi_http_cancel(call);
    if (f->free_on_done) {
        bvi_http_free(the_bench->http);
        the_bench->http = NULL;
    }
}

static bvi_http_request request_for(fetch *f, const char *url)
{
    bvi_http_request req = BVI_HTTP_REQUEST_INIT;

    memset(f, 0, sizeof(*f));
    bvi_buf_init(&f->got, BIG + 1);
    req.url = url;
    req.on_head = on_head;
    req.on_done = on_done;
    req.data = f;
    return req;
}

static void fetch_start(bench *b, fetch *f, const bvi_http_request *req)
{
    bv_error *err = NULL;

    the_bench = b;
    bvt_assert_ok(bvi_http_start(b->http, req, &f->call, &err), err);
    ck_assert_uint_eq(f->dones, 0);
}

static void fetch_done(fetch *f)
{
    free(f->says);
    free(f->body);
    bvi_buf_done(&f->got);
    memset(f, 0, sizeof(*f));
}

/* ---- tests ---- */

static const struct {
    const char *path;
    int code;
    int status;
    const char *body;
    const char *says;
} simple[] = {
    { "/status/200", 0, 200, "because\nof things", "" },
    { "/status/404", 0, 404, "because\nof things", "" },
    { "/status/500", 0, 500, "because\nof things", "" },
    { "/until-close", 0, 200, "no length", "" },
    { "/chunked", 0, 200, "hello world", "" },
    { "/continue", 0, 200, "ok", "" },
    { "/moved", 0, 307, "gone", "" }, /* redirects are not followed unless asked */
    { "/garbage", BV_E_REMOTE, 0, "", "GET 'http://127.0.0.1:" },
    { "/nothing", BV_E_REMOTE, 0, "", "/nothing'" },
    { "/short", BV_E_REMOTE, 200, "only this", "/short'" },
    { "/bad-chunk", BV_E_REMOTE, 200, "", "/bad-chunk'" },
    { "/huge-length", BV_E_LIMIT, 200, "", "larger than allowed" },
    { "/headers", BV_E_LIMIT, 200, "", "headers are too large" },
};

START_TEST(answers)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, simple[_i].path));
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, simple[_i].code);
    ck_assert_int_eq(f.status, simple[_i].status);
    ck_assert_str_eq(f.body, simple[_i].body);
    ck_assert_msg(strstr(f.says, simple[_i].says), "%s", f.says);
    ck_assert_uint_eq(f.heads, simple[_i].status && strcmp(simple[_i].path, "/headers") != 0 &&
                                       strcmp(simple[_i].path, "/huge-length") != 0
                                   ? 1
                                   : 0);
    ck_assert_uint_eq(f.dones, 1);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

static const struct {
    const char *method;
    const char *body;
    const char *first_line;
} methods[] = {
    { NULL, NULL, "GET /echo?x=1" },         { "GET", NULL, "GET /echo?x=1" },
    { "POST", "payload", "POST /echo?x=1" }, { "PUT", "", "PUT /echo?x=1" },
    { "DELETE", NULL, "DELETE /echo?x=1" },  { "PATCH", "p", "PATCH /echo?x=1" },
    { "POST", NULL, "POST /echo?x=1" },
};

START_TEST(methods_headers_and_bodies)
{
    static const char *const headers[] = { "X-Mine: yes", "Authorization: Bearer secret", NULL };
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/echo?x=1"));
    req.method = methods[_i].method;
    req.headers = headers;
    req.body = methods[_i].body;
    req.body_len = methods[_i].body ? strlen(methods[_i].body) : 0;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, 0);
    ck_assert_int_eq(f.status, 200);
    ck_assert_ptr_eq(strstr(f.body, methods[_i].first_line), f.body);
    ck_assert_ptr_nonnull(strstr(f.body, "X-Mine: yes\r\n"));
    ck_assert_ptr_nonnull(strstr(f.body, "User-Agent: libblockvisor/"));
    ck_assert_ptr_null(strstr(f.body, "Expect:"));
    if (methods[_i].body) {
        ck_assert_ptr_nonnull(
            strstr(f.body, bvt_format("Content-Length: %zu\r\n", strlen(methods[_i].body))));
        ck_assert_str_eq(f.body + f.body_len - strlen(methods[_i].body), methods[_i].body);
    }
    ck_assert_str_eq(f.etag, "\"e1\"");
    ck_assert_int_eq(f.content_length, (int64_t)f.body_len);
    ck_assert_uint_eq(f.received, f.body_len);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(head_has_no_body)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/huge-length"));
    req.method = "HEAD";
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, 0);
    ck_assert_int_eq(f.content_length, 99999999999);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(over_a_socket_file)
{
    const char *path = bvt_path("web.socket");
    bvi_http_request req;
    fetch f;
    bench b;

    setenv("http_proxy", "http://127.0.0.1:1", 1); /* must not be asked */
    bench_open(&b, path, 0);
    req = request_for(&f, http_server_url(&b.server, "/echo"));
    req.unix_socket = path;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.status, 200);
    fetch_done(&f);

    req = request_for(&f, "http://localhost/");
    req.unix_socket = bvt_path("nobody.socket");
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, BV_E_REMOTE);
    ck_assert_msg(strstr(f.says, "nobody.socket'"), "%s", f.says);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(connections_are_kept_and_bounded)
{
    bvi_http_request req;
    fetch f[12];
    bench b;

    bench_open(&b, NULL, 3);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 12; i++) {
            req = request_for(&f[i], http_server_url(&b.server, "/status/200"));
            fetch_start(&b, &f[i], &req);
        }
        for (int i = 0; i < 12; i++) {
            run_until(&b, &f[i].done);
            ck_assert_int_eq(f[i].status, 200);
            fetch_done(&f[i]);
        }
    }
    ck_assert_uint_eq(b.server.requests, 24);
    ck_assert_uint_le(b.server.connections, 3);
    bench_close(&b);
}
END_TEST

START_TEST(waiting_for_a_connection_is_not_idle)
{
    bvi_http_request req;
    fetch holder, waiter;
    bench b;

    bench_open(&b, NULL, 1);
    req = request_for(&holder, http_server_url(&b.server, "/hold"));
    req.idle_timeout_ms = -1;
    fetch_start(&b, &holder, &req);
    while (!b.held)
        run_some(&b, 1);
    req = request_for(&waiter, http_server_url(&b.server, "/status/200"));
    req.idle_timeout_ms = 1000;
    fetch_start(&b, &waiter, &req);
    run_some(&b, 5);
    bvt_clock_advance(&b.clock, 60000000);
    run_some(&b, 5);
    ck_assert_uint_eq(waiter.dones, 0);
    http_conn_answer(b.held, 200, NULL, "free", 4);
    run_until(&b, &holder.done);
    run_until(&b, &waiter.done);
    ck_assert_int_eq(waiter.code, 0);
    fetch_done(&holder);
    fetch_done(&waiter);
    bench_close(&b);
}
END_TEST

START_TEST(streams_with_backpressure)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/big"));
    req.on_data = on_data;
    req.bulk = _i & 1;
    f.pause_every = 3;
    fetch_start(&b, &f, &req);
    while (!f.done) {
        if (f.paused) {
            size_t before = f.got.len;

            run_some(&b, 5);
            bvt_clock_advance(&b.clock, 3600000000ll); /* an hour: a pause is not idleness */
            run_some(&b, 5);
            ck_assert_uint_eq(f.got.len, before); /* nothing comes while it is paused */
            f.paused = false;
            bvi_http_resume(f.call);
        }
        run_some(&b, 1);
    }
    ck_assert_int_eq(f.code, 0);
    ck_assert_uint_eq(f.got.len, BIG);
    ck_assert_int_eq(memcmp(f.got.data, big, BIG), 0);
    ck_assert_uint_eq(f.body_len, 0);
    ck_assert_uint_eq(f.received, BIG);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(uploads_from_a_callback)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/echo"));
    req.method = "PUT";
    req.on_body = on_body;
    req.body_total = BIG;
    req.bulk = _i & 1;
    f.source = big;
    f.source_len = BIG;
    f.body_waits = true;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.paused);
    bvt_clock_advance(&b.clock, 3600000000ll);
    run_some(&b, 5);
    ck_assert_uint_eq(f.dones, 0);
    f.body_waits = false;
    bvi_http_resume(f.call);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, 0);
    ck_assert_uint_gt(f.body_len, BIG);
    ck_assert_int_eq(memcmp(f.body + f.body_len - BIG, big, BIG), 0);
    ck_assert_ptr_nonnull(strstr(f.body, "Content-Length: 3145728\r\n"));
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(the_body_callback_fails)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/echo"));
    req.method = "PUT";
    req.on_body = on_body;
    req.body_total = 100;
    f.body_code = BV_E_CHECKSUM;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, BV_E_CHECKSUM);
    ck_assert_ptr_nonnull(strstr(f.says, "could not be read"));
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

enum { BODY_CALLBACK, BODY_COPIED, BODY_BORROWED };
static const int body_ways[] = { BODY_CALLBACK, BODY_COPIED, BODY_BORROWED };

/* The kept connection is dead when it is used again: curl sends the body anew, if it can be
 * rewound. */
START_TEST(a_kept_connection_turns_out_dead)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 1);
    req = request_for(&f, http_server_url(&b.server, "/status/200"));
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    fetch_done(&f);
    http_conn_close(b.server.conns);
    req = request_for(&f, http_server_url(&b.server, "/echo"));
    req.method = "PUT";
    if (body_ways[_i] == BODY_CALLBACK) {
        req.on_body = on_body;
        req.on_rewind = on_rewind;
        req.body_total = 5000;
        f.source = big;
        f.source_len = 5000;
    } else {
        req.body = big;
        req.body_len = 5000;
        req.body_borrowed = body_ways[_i] == BODY_BORROWED;
    }
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, 0);
    ck_assert_int_eq(memcmp(f.body + f.body_len - 5000, big, 5000), 0);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

static const struct {
    const char *path;
    int code;
    int status;
} ranges[] = {
    { "/range-good", 0, 206 },
    { "/range-ignored", BV_E_UNSUPPORTED, 200 },
    { "/range-other", BV_E_REMOTE, 206 },
    { "/range-none", BV_E_REMOTE, 206 },
    { "/range-416", 0, 416 },
    { "/no-such", 0, 404 },
};

START_TEST(byte_ranges)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, ranges[_i].path));
    req.has_range = true;
    req.range_first = 5;
    req.range_last = 7;
    req.on_data = on_data;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, ranges[_i].code);
    ck_assert_int_eq(f.status, ranges[_i].status);
    ck_assert_uint_eq(f.got.len, ranges[_i].code == 0 && f.status == 206
                                     ? 3
                                     : 0); /* no wrong byte gets through */
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(range_is_asked_for)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/hold"));
    req.has_range = true;
    req.range_first = 1ull << 40;
    req.range_last = (1ull << 40) + 9;
    fetch_start(&b, &f, &req);
    while (!b.held)
        run_some(&b, 1);
    http_conn_send_text(
        b.held,
        "HTTP/1.1 206 P\r\nContent-Range: bytes 1099511627776-1099511627785/*\r\nContent-Length: "
        "10\r\n\r\n0123456789",
        false);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, 0);
    ck_assert_str_eq(f.body, "0123456789");
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

static const struct {
    const char *path;
    uint32_t max;
    int code;
    int status;
    const char *body;
} redirects[] = {
    { "/moved", 1, 0, 200, "there" },
    { "/loop", 5, BV_E_REMOTE, 302, "" },
    { "/to-file", 5, BV_E_REMOTE, 302, "" },
};

START_TEST(redirects_up_to_a_limit)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, redirects[_i].path));
    req.redirects_max = redirects[_i].max;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, redirects[_i].code);
    ck_assert_int_eq(f.status, redirects[_i].status);
    ck_assert_str_eq(f.body, redirects[_i].body);
    if (f.code == 0) {
        ck_assert_str_eq(f.etag, ""); /* the headers of the last answer only */
        ck_assert_uint_eq(f.heads, 1);
    }
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(limits_of_an_answer)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(
        &f, http_server_url(&b.server, "/until-close")); /* no length told: found out on the way */
    req.response_max = 5;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, BV_E_LIMIT);
    fetch_done(&f);

    req = request_for(&f, http_server_url(&b.server, "/chunked"));
    req.on_data = on_data;
    req.response_max = 7;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, BV_E_LIMIT);
    ck_assert_uint_le(f.got.len, 7);
    fetch_done(&f);

    req = request_for(&f, http_server_url(&b.server, "/big-failure")); /* its beginning is enough */
    req.on_data = on_data;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, 0);
    ck_assert_int_eq(f.status, 500);
    ck_assert_uint_eq(f.got.len, 0);
    ck_assert_uint_eq(f.body_len, BVI_HTTP_FAILURE_MAX);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(idle_too_long)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/stalls"));
    req.on_data = on_data;
    req.idle_timeout_ms = 5000;
    fetch_start(&b, &f, &req);
    while (f.got.len < 4)
        run_some(&b, 1);
    bvt_clock_advance(&b.clock, 4900000);
    run_some(&b, 3);
    ck_assert_uint_eq(f.dones, 0);
    bvt_clock_advance(&b.clock, 200000);
    run_some(&b, 3);
    ck_assert_uint_eq(f.dones, 1);
    ck_assert_int_eq(f.code, BV_E_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(f.says, "nothing moved"));
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(deadline)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/hold"));
    req.deadline_ms = 2000;
    fetch_start(&b, &f, &req);
    while (!b.held)
        run_some(&b, 1);
    bvt_clock_advance(&b.clock, 2000000);
    run_some(&b, 3);
    ck_assert_int_eq(f.code, BV_E_TIMEOUT);
    ck_assert_int_eq(f.status, 0);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(nobody_listens)
{
    bvi_http_request req;
    fetch f;
    bench b;
    const char *url;

    bench_open(&b, NULL, 0);
    url = http_server_url(&b.server, "/x?X-Signature=secret#secret");
    http_server_close(&b.server);
    req = request_for(&f, url);
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, BV_E_REMOTE);
    ck_assert_ptr_nonnull(strstr(f.says, "/x': "));
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

START_TEST(requests_that_cannot_be)
{
    static const char *const bad_headers[] = { "X: a\r\nInjected: yes", NULL };
    char *long_url = malloc(20000);
    bvi_http_request req;
    bv_error *err = NULL;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, "http://127.0.0.1/");
    req.headers = bad_headers;
    ck_assert_int_eq(bvi_http_start(b.http, &req, &f.call, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "Name: value");
    bv_error_free(err);
    memset(long_url, 'u', 19999);
    long_url[19999] = '\0';
    req = request_for(&f, long_url);
    ck_assert_int_eq(bvi_http_start(b.http, &req, &f.call, NULL), BV_E_INVALID);
    free(long_url);

    req = request_for(&f, "file:///etc/passwd");
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, BV_E_INVALID);
    fetch_done(&f);
    req = request_for(&f, "http://[bad");
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.code, BV_E_INVALID);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

enum {
    CANCEL_AT_ONCE,
    CANCEL_HELD,
    CANCEL_IN_DATA,
    DROP_AT_ONCE,
    DROP_HELD,
    DROP_IN_DATA,
    DATA_FAILS,
    HEAD_FAILS,
    ENDS
};

START_TEST(callers_who_change_their_mind)
{
    bool in_data =
        _i == CANCEL_IN_DATA || _i == DROP_IN_DATA || _i == DATA_FAILS || _i == HEAD_FAILS;
    bool dropped = _i == DROP_AT_ONCE || _i == DROP_HELD || _i == DROP_IN_DATA;
    int expect = _i == DATA_FAILS ? BV_E_CHECKSUM : _i == HEAD_FAILS ? BV_E_BUSY : BV_E_CANCELLED;
    bvi_http_request req;
    fetch f, other;
    bench b;

    bench_open(&b, NULL, 2);
    req = request_for(&f, http_server_url(&b.server, in_data ? "/big" : "/hold"));
    req.on_data = on_data;
    f.cancel_on_data = _i == CANCEL_IN_DATA;
    f.drop_on_data = _i == DROP_IN_DATA;
    f.data_code = _i == DATA_FAILS ? BV_E_CHECKSUM : 0;
    f.head_code = _i == HEAD_FAILS ? BV_E_BUSY : 0;
    fetch_start(&b, &f, &req);
    while ((_i == CANCEL_HELD || _i == DROP_HELD) && !b.held)
        run_some(&b, 1);
    if (_i == CANCEL_AT_ONCE || _i == CANCEL_HELD) {
        bvi_http_cancel(f.call);
        bvi_http_cancel(f.call);
        ck_assert_uint_eq(f.dones, 0);
    }
    if (_i == DROP_AT_ONCE || _i == DROP_HELD)
        bvi_http_drop(f.call);
    if (!dropped)
        run_until(&b, &f.done);
    /* the client is as good as new */
    req = request_for(&other, http_server_url(&b.server, "/status/200"));
    fetch_start(&b, &other, &req);
    run_until(&b, &other.done);
    ck_assert_int_eq(other.status, 200);
    ck_assert_uint_eq(f.dones, dropped ? 0 : 1);
    if (!dropped)
        ck_assert_int_eq(f.code, expect);
    fetch_done(&f);
    fetch_done(&other);
    bench_close(&b);
}
END_TEST

START_TEST(one_callback_drops_its_neighbour)
{
    bvi_http_request req;
    fetch a, held;
    bench b;

    bench_open(&b, NULL, 4);
    req = request_for(&held, http_server_url(&b.server, "/hold"));
    fetch_start(&b, &held, &req);
    while (!b.held)
        run_some(&b, 1);
    req = request_for(&a, http_server_url(&b.server, "/big"));
    req.on_data = on_data;
    a.drop_too = &held;
    fetch_start(&b, &a, &req);
    while (held.call)
        run_some(&b, 1);
    a.drop_too = NULL;
    run_until(&b, &a.done);
    ck_assert_int_eq(a.code, 0);
    ck_assert_uint_eq(held.dones, 0);
    fetch_done(&a);
    fetch_done(&held);
    bench_close(&b);
}
END_TEST

START_TEST(client_freed_with_calls_under_way)
{
    bvi_http_request req;
    fetch a, held;
    bench b;

    bench_open(&b, NULL, 4);
    req = request_for(&held, http_server_url(&b.server, "/hold"));
    fetch_start(&b, &held, &req);
    while (!b.held)
        run_some(&b, 1);
    req = request_for(&a, http_server_url(&b.server, _i == 1 ? "/big" : "/status/200"));
    req.on_data = on_data;
    a.free_on_data = _i == 1;
    a.free_on_done = _i == 2;
    fetch_start(&b, &a, &req);
    if (_i == 0) {
        bvi_http_free(b.http); /* before the task of `a` ran */
        b.http = NULL;
    }
    run_until(&b, &a.done);
    ck_assert_uint_eq(a.dones, 1);
    ck_assert_uint_eq(held.dones, 1);
    ck_assert_int_eq(held.code, BV_E_CANCELLED);
    ck_assert_int_eq(a.code, _i == 2 ? 0 : BV_E_CANCELLED);
    run_some(&b, 3);
    fetch_done(&a);
    fetch_done(&held);
    bench_close(&b);
}
END_TEST

static const struct {
    int status;
    int code;
} checks[] = {
    { 200, 0 },
    { 204, 0 },
    { 301, BV_E_REMOTE },
    { 400, BV_E_INVALID },
    { 401, BV_E_DENIED },
    { 403, BV_E_DENIED },
    { 404, BV_E_NOT_FOUND },
    { 409, BV_E_EXISTS },
    { 410, BV_E_NOT_FOUND },
    { 416, BV_E_INVALID },
    { 429, BV_E_AGAIN },
    { 500, BV_E_REMOTE },
    { 503, BV_E_AGAIN },
};

START_TEST(statuses_as_errors)
{
    bvi_http_response response = {
        .status = checks[_i].status, .body = "why\nnot\x01", .body_len = 8, .url = "http://h/p"
    };
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_http_check(&response, &err), checks[_i].code);
    if (checks[_i].code)
        bvt_assert_error_says(
            err, checks[_i].code,
            bvt_format("'http://h/p' answered with status %d: 'why not '", checks[_i].status));
    bv_error_free(err);
}
END_TEST

/* XML repeats what must not be seen, so only the error's name is told. */
START_TEST(xml_is_not_quoted)
{
    static const char text[] = "<?xml version='1.0'?><Error><Code>ExpiredToken</Code>"
                               "<Token-0>secret</Token-0></Error>";
    bvi_http_response response = {
        .status = 400, .body = text, .body_len = sizeof(text) - 1, .url = "http://h/p"
    };
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_http_check(&response, &err), BV_E_INVALID);
    ck_assert_str_eq(bv_error_message(err),
                     "'http://h/p' answered with status 400: 'ExpiredToken'");
    bv_error_free(err);
    err = NULL;
    response.body_len = 30; /* cut before the name */
    ck_assert_int_eq(bvi_http_check(&response, &err), BV_E_INVALID);
    ck_assert_str_eq(bv_error_message(err), "'http://h/p' answered with status 400");
    bv_error_free(err);
}
END_TEST

START_TEST(retry_after)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/status/429"));
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.retry_after_ms, 7000);
    fetch_done(&f);
    req = request_for(
        &f, http_server_url(&b.server, "/date")); /* a minute after the clock's beginning */
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.retry_after_ms, 60000);
    fetch_done(&f);
    req = request_for(&f, http_server_url(&b.server, "/echo"));
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_int_eq(f.retry_after_ms, -1);
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

static const struct {
    const char *url;
    const char *shown;
} urls[] = {
    { "http://host/path", "http://host/path" },
    { "https://host:1/p?X-Amz-Signature=secret", "https://host:1/p" },
    { "https://user:secret@host/p#secret", "https://host/p" },
    { "https://user:s@cret@host", "https://host" },
    { "http://host?secret@x", "http://host" },
    { "http://host/a@b", "http://host/a@b" },
    { "no-scheme/x?secret", "no-scheme/x" },
    { "", "" },
    { "?secret", "" },
    { "://", "://" },
};

START_TEST(secrets_of_urls)
{
    char *shown = bvi_http_redact(urls[_i].url);

    ck_assert_str_eq(shown, urls[_i].shown);
    bvi_free(shown);
}
END_TEST

static int count_trailer(bvi_http_call *call, const bvi_http_response *response, void *data)
{
    ck_assert_ptr_null(bvi_http_header(response, "X-Sum"));
    ck_assert_str_eq(bvi_http_header(response, "transfer-encoding"), "chunked");
    return 0;
}

static void done_with_trailer(bvi_http_call *call, const bvi_http_response *response,
                              const bv_error *err, void *data)
{
    ck_assert_str_eq(bvi_http_header(response, "x-sum"), "42");
    ck_assert_ptr_null(bvi_http_header(response, "x-su"));
    on_done(call, response, err, data);
}

START_TEST(headers_and_trailers)
{
    bvi_http_request req;
    fetch f;
    bench b;

    bench_open(&b, NULL, 0);
    req = request_for(&f, http_server_url(&b.server, "/chunked"));
    req.on_head = count_trailer;
    req.on_done = done_with_trailer;
    fetch_start(&b, &f, &req);
    run_until(&b, &f.done);
    ck_assert_str_eq(f.body, "hello world");
    fetch_done(&f);
    bench_close(&b);
}
END_TEST

/* ---- the context's budget ---- */

static bvi_http *budgeted_client(bench *b)
{
    bvi_http *http = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_http_new(b->ctx, &(bvi_http_opts){ .budgeted = true }, &http, &err), err);
    return http;
}

START_TEST(budgeted_clients_share_connections)
{
    const bvi_limits limits = { .of[BVI_RESOURCE_CONNECTIONS] = 1 };
    bvi_http *other;
    fetch f[4];
    bench b;

    bench_open(&b, NULL, 0);
    bvi_http_free(b.http);
    b.http = budgeted_client(&b);
    other = budgeted_client(&b);
    ck_assert_int_eq(bvi_budget_set(b.ctx, &limits, NULL), 0);
    for (int i = 0; i < 4; i++) {
        bvi_http_request req = request_for(&f[i], http_server_url(&b.server, "/hold"));

        ck_assert_int_eq(bvi_http_start(i & 1 ? other : b.http, &req, &f[i].call, NULL), 0);
    }
    run_some(&b, 20);
    ck_assert_uint_eq(b.held_count, 1);
    ck_assert_uint_eq(bvi_budget_now(b.ctx).waiting, 3);
    http_conn_answer(b.held, 200, NULL, "", 0);
    run_until(&b, &f[0].done);
    run_some(&b, 20);
    ck_assert_uint_eq(b.held_count, 2); /* the other client's */
    bvi_http_cancel(f[2].call);         /* waits, and stops waiting */
    run_until(&b, &f[2].done);
    ck_assert_int_eq(f[2].code, BV_E_CANCELLED);
    bvi_http_drop(f[1].call);
    run_some(&b, 20);
    ck_assert_uint_eq(b.held_count, 3);
    http_conn_answer(b.held, 200, NULL, "", 0);
    run_until(&b, &f[3].done);
    ck_assert_uint_eq(bvi_budget_now(b.ctx).out[BVI_RESOURCE_CONNECTIONS], 0);
    for (int i = 0; i < 4; i++)
        fetch_done(&f[i]);
    bvi_http_free(other);
    bench_close(&b);
}
END_TEST

/* Three downloads and three uploads of BIG bytes each, over two clients. */
static bvi_http_request bulk_request(bench *b, fetch *f, bool up)
{
    bvi_http_request req = request_for(f, http_server_url(&b->server, up ? "/swallow" : "/big"));

    req.bulk = true;
    if (up) {
        req.method = "PUT";
        req.on_body = on_body;
        req.body_total = BIG;
        f->source = big;
        f->source_len = BIG;
    } else {
        req.on_data = on_data;
    }
    return req;
}

START_TEST(budgeted_clients_share_bandwidth)
{
    const uint64_t rate = 4u << 20;
    const bvi_limits limits = { .bytes_per_s = { rate, rate } };
    const uint64_t ideal_ms = 3ull * BIG * 1000 / rate;
    uint64_t ms[BVI_DIRECTIONS] = { 0, 0 };
    bvi_http *other;
    fetch f[6];
    bench b;

    bench_open(&b, NULL, 0);
    bvi_http_free(b.http);
    b.http = budgeted_client(&b);
    other = budgeted_client(&b);
    ck_assert_int_eq(bvi_budget_set(b.ctx, &limits, NULL), 0);
    for (int i = 0; i < 6; i++) {
        bvi_http_request req = bulk_request(&b, &f[i], i >= 3);

        ck_assert_int_eq(bvi_http_start(i & 1 ? other : b.http, &req, &f[i].call, NULL), 0);
    }
    for (uint64_t now_ms = 0; !ms[BVI_DOWN] || !ms[BVI_UP]; now_ms += 5) {
        ck_assert_uint_lt(now_ms, 4 * ideal_ms);
        for (int i = 0; i < 50 && bv_ctx_dispatch(b.ctx, 0) > 0; i++)
            ;
        bvt_clock_advance(&b.clock, 5000);
        for (unsigned d = 0; d < BVI_DIRECTIONS; d++) {
            if (!ms[d] && f[3 * d].done && f[3 * d + 1].done && f[3 * d + 2].done)
                ms[d] = now_ms + 5;
        }
    }
    for (unsigned d = 0; d < BVI_DIRECTIONS; d++) {
        ck_assert_msg(ms[d] * 100 > ideal_ms * 95 && ms[d] * 100 < ideal_ms * 105,
                      "direction %u took %llu ms instead of %llu", d, (unsigned long long)ms[d],
                      (unsigned long long)ideal_ms);
        ck_assert_uint_eq(bvi_budget_now(b.ctx).moved[d], 3ull * BIG);
    }
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(f[i].code, 0);
        ck_assert_uint_eq(f[i].got.len, i < 3 ? BIG : 0);
        fetch_done(&f[i]);
    }
    bvi_http_free(other);
    bench_close(&b);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvi_http_request req;
    bench b;

    bench_open(&b, NULL, 0);
    bvt_for_each_failed_allocation(n) {
        bvi_http *http = NULL;
        fetch f;
        int r;

        req = request_for(&f, "http://127.0.0.1:9/x?secret");
        req.method = "POST";
        req.body = "body";
        req.body_len = 4;
        req.unix_socket = "/nonexistent/x.socket";
        r = bvi_http_new(b.ctx, NULL, &http, NULL);
        if (r == 0)
            r = bvi_http_start(http, &req, &f.call, NULL);
        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%d", r);
        if (r == 0) {
            for (int i = 0; !f.done; i++) {
                ck_assert_int_lt(i, 1000);
                ck_assert_int_ge(bv_ctx_dispatch(b.ctx, 1), 0);
            }
            ck_assert_int_lt(f.code, 0);
        }
        fetch_done(&f);
        bvi_http_free(http);
    }
    bench_close(&b);
}
END_TEST

BVT_MAIN("net/http", bvt_loop(answers, simple), bvt_loop(methods_headers_and_bodies, methods),
         bvt_test(head_has_no_body), bvt_test(over_a_socket_file),
         bvt_test(connections_are_kept_and_bounded), bvt_test(waiting_for_a_connection_is_not_idle),
         bvt_times(streams_with_backpressure, 2), bvt_times(uploads_from_a_callback, 2),
         bvt_test(the_body_callback_fails), bvt_loop(a_kept_connection_turns_out_dead, body_ways),
         bvt_loop(byte_ranges, ranges), bvt_test(range_is_asked_for),
         bvt_loop(redirects_up_to_a_limit, redirects), bvt_test(limits_of_an_answer),
         bvt_test(idle_too_long), bvt_test(deadline), bvt_test(nobody_listens),
         bvt_test(requests_that_cannot_be), bvt_times(callers_who_change_their_mind, ENDS),
         bvt_test(one_callback_drops_its_neighbour),
         bvt_times(client_freed_with_calls_under_way, 3), bvt_loop(statuses_as_errors, checks),
         bvt_test(xml_is_not_quoted), bvt_test(retry_after), bvt_loop(secrets_of_urls, urls),
         bvt_test(headers_and_trailers), bvt_test(budgeted_clients_share_connections),
         bvt_test(budgeted_clients_share_bandwidth), bvt_test(survives_every_failed_allocation))
