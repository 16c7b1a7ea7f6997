/* run_jrpc and run_rest against a small server on loopback. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

/* ---- the server: a child that answers one request after the other, mostly with what it was sent
 * ---- */

typedef struct server {
    pid_t pid;
    unsigned port;
} server;

static size_t read_request(int fd, char *text, size_t size)
{
    size_t len = 0;

    for (;;) {
        ssize_t n = read(fd, text + len, size - 1 - len);
        const char *end, *length;

        if (n <= 0)
            return 0;
        len += (size_t)n;
        text[len] = '\0';
        end = strstr(text, "\r\n\r\n");
        length = strcasestr(text, "content-length: ");
        if (end && len >= (size_t)(end + 4 - text) + (length ? strtoul(length + 16, NULL, 10) : 0))
            return len;
    }
}

static void answer_request(int fd, const char *request, size_t len)
{
    if (strncmp(request, "GET /hang", 9) == 0) {
        sleep(60);
    } else if (strncmp(request, "GET /moved", 10) == 0) {
        dprintf(fd, "HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\nConnection: "
                    "close\r\n\r\n");
    } else if (strncmp(request, "GET /missing", 12) == 0) {
        dprintf(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnope");
    } else if (strncmp(request, "GET /binary", 11) == 0) {
        dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\na\xff"
                    "b");
    } else if (strncmp(request, "GET /big", 8) == 0) {
        static char zeros[1 << 20];

        dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", 5 << 20);
        for (int i = 0; i < 5; i++)
            (void)!write(fd, zeros, sizeof(zeros));
    } else {
        dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", len);
        (void)!write(fd, request, len);
    }
}

static void serve(int listener)
{
    static char request[1 << 16];

    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        size_t len = fd >= 0 ? read_request(fd, request, sizeof(request)) : 0;

        if (len)
            answer_request(fd, request, len);
        close(fd);
    }
}

static server start_server(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    server s;

    ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &size), 0);
    s.port = ntohs(addr.sin_port);
    s.pid = fork();
    if (s.pid == 0)
        serve(listener);
    close(listener);
    return s;
}

static void stop_server(const server *s)
{
    ck_assert_int_eq(kill(s->pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(s->pid, NULL, 0), s->pid);
}

/* ---- tests ---- */

START_TEST(sends_json_rpc)
{
    const bvi_agent_header headers[] = { { "X-Twice", "first" },
                                         { "x-twice", "second" },
                                         { "content-type", "text/x" } };
    server s = start_server();
    bvi_agent_http request = {
        .url = bvt_format("http://127.0.0.1:%u/rpc", s.port),
        .method = "get\"block",
        .params = _i ? "[1, {\"height\": 18446744073709551615}]" : NULL,
        .headers = headers,
        .header_count = _i ? 3 : 0,
    };
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_run_jrpc, &a, &request);
    assert_answer_ok(&a);
    ck_assert_int_eq(a.result.status_code, 200);
    ck_assert_ptr_nonnull(strstr(a.result.out, "POST /rpc HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(
        a.result.out, _i ? "\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"get\\\"block\","
                           "\"params\":[1,{\"height\":18446744073709551615}]}"
                         : "\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"get\\\"block\"}"));
    ck_assert_int_eq(!strstr(a.result.out, "Content-Type: application/json"), _i);
    ck_assert_int_eq(!!strstr(a.result.out, "content-type: text/x"), _i);
    ck_assert_int_eq(!!strstr(a.result.out, "x-twice: second"), _i);
    ck_assert_ptr_null(strstr(a.result.out, "first"));
    answer_done(&a);
    fixture_close(&f);
    stop_server(&s);
}
END_TEST

static const struct {
    const char *path;
    int status;
    const char *body;
} pages[] = {
    { "/echo", 200, "GET /echo HTTP/1.1" },
    { "/missing", 404, "nope" }, /* any status is a result */
    { "/moved", 200, "GET /echo HTTP/1.1" },
    { "/binary", 200,
      "a\xEF\xBF\xBD"
      "b" },
};

START_TEST(fetches_pages)
{
    server s = start_server();
    bvi_agent_http request = { .url = bvt_format("http://127.0.0.1:%u%s", s.port, pages[_i].path) };
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    ask(&f, bvi_agent_run_rest, &a, &request);
    assert_answer_ok(&a);
    ck_assert_int_eq(a.result.status_code, pages[_i].status);
    ck_assert_ptr_nonnull(strstr(a.result.out, pages[_i].body));
    answer_done(&a);
    fixture_close(&f);
    stop_server(&s);
}
END_TEST

START_TEST(failures_have_codes)
{
    server s = start_server();
    const bvi_agent_header bad_name[] = { { "a b", "x" } },
                           bad_value[] = { { "a", "x\r\nInjected: y" } };
    const struct {
        bvi_agent_http request;
        bool jrpc;
        int code;
        const char *says;
    } cases[] = {
        { { .url = "http://127.0.0.1:1/" }, false, BV_E_REMOTE, "127.0.0.1" },
        { { .url = "nonsense://x/" }, false, BV_E_INVALID, "" },
        { { .url = "" }, false, BV_E_INVALID, "" },
        { { .url = bvt_format("http://127.0.0.1:%u/big", s.port) }, false, BV_E_LIMIT, "" },
        { { .url = "http://x/", .headers = bad_name, .header_count = 1 },
          false,
          BV_E_INVALID,
          "'a b'" },
        { { .url = "http://x/", .headers = bad_value, .header_count = 1 },
          false,
          BV_E_INVALID,
          "control characters" },
        { { .url = "http://x/", .method = "m", .params = "{" }, true, BV_E_FORMAT, "params" },
        { { .url = "http://x/", .method = "\xff" }, true, BV_E_INVALID, "UTF-8" },
    };
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].jrpc)
            ask(&f, bvi_agent_run_jrpc, &a, &cases[i].request);
        else
            ask(&f, bvi_agent_run_rest, &a, &cases[i].request);
        assert_answer_says(&a, cases[i].code, cases[i].says);
        answer_done(&a);
    }
    fixture_close(&f);
    stop_server(&s);
}
END_TEST

START_TEST(a_silent_server_is_left)
{
    server s = start_server();
    bvi_agent_http request = { .url = bvt_format("http://127.0.0.1:%u/hang", s.port) };
    answer a = { 0 };
    bvi_agent_wait wait = { .timeout_ms = _i ? 50000 : 300, .done = keep_answer, .data = &a };
    fixture f;

    make_node();
    fixture_open(&f, 0, NULL);
    ck_assert_int_eq(bvi_agent_run_rest(f.client, &request, &wait, &a.call, NULL), 0);
    if (_i) {
        for (int i = 0; i < 5; i++)
            ck_assert_int_ge(bv_ctx_dispatch(f.ctx, 20), 0);
        bvi_agent_call_cancel(a.call);
    }
    dispatch_until(f.ctx, &a.done);
    ck_assert_int_eq(a.code, _i ? BV_E_CANCELLED : BV_E_TIMEOUT);
    answer_done(&a);
    fixture_close(&f);
    stop_server(&s);
}
END_TEST

static const int two[2];

BVT_MAIN("agent/http", bvt_loop(sends_json_rpc, two), bvt_loop(fetches_pages, pages),
         bvt_test(failures_have_codes), bvt_loop(a_silent_server_is_left, two))
