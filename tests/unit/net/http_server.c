/*
 * http_server.c - the HTTP server of the net tests.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_server.h"

#define IN_MAX    (64u * 1024u * 1024u)
#define PIECE_MAX (256u * 1024u)

void http_conn_close(http_conn *conn)
{
    if (conn->stream)
        conn->server->open--;
    bvi_stream_free(conn->stream);
    conn->stream = NULL;
}

static void push(http_conn *conn)
{
    size_t n = conn->out.len < PIECE_MAX ? conn->out.len : PIECE_MAX;

    if (n && bvi_stream_unsent(conn->stream) == 0) {
        ck_assert_int_eq(bvi_stream_write(conn->stream, conn->out.data, n, NULL), 0);
        bvi_buf_consume(&conn->out, n);
    } else if (n == 0 && conn->close_after && bvi_stream_unsent(conn->stream) == 0) {
        http_conn_close(conn);
    }
}

static void on_drain(bvi_stream *stream, void *data)
{
    push(data);
}

void http_conn_send(http_conn *conn, const void *bytes, size_t len, bool then_close)
{
    if (!conn->stream)
        return;
    ck_assert_int_eq(bvi_buf_append(&conn->out, bytes, len), 0);
    conn->close_after = then_close;
    push(conn);
}

void http_conn_send_text(http_conn *conn, const char *text, bool then_close)
{
    http_conn_send(conn, text, strlen(text), then_close);
}

void http_conn_answer(http_conn *conn, int status, const char *extra_head, const void *body,
                      size_t len)
{
    http_conn_send_text(conn,
                        bvt_format("HTTP/1.1 %d Because\r\nContent-Length: %zu\r\n%s\r\n", status,
                                   len, extra_head ? extra_head : ""),
                        false);
    http_conn_send(conn, body, len, false);
}

/* Handles one complete request; false: there is none. */
static bool take_request(http_conn *conn)
{
    const char *end = conn->in.data ? strstr(conn->in.data, "\r\n\r\n") : NULL;
    char method[16], path[2048];
    char *head, *body;
    const char *length;
    size_t head_len, body_len = 0;

    if (!end)
        return false;
    head_len = (size_t)(end - conn->in.data) + 4;
    head = strndup(conn->in.data, head_len);
    length = strcasestr(head, "\r\nContent-Length:");
    if (length)
        body_len = strtoul(length + 17, NULL, 10);
    if (conn->in.len < head_len + body_len) {
        free(head);
        return false;
    }
    ck_assert_int_eq(sscanf(head, "%15s %2047s", method, path), 2);
    body = malloc(body_len + 1);
    memcpy(body, conn->in.data + head_len, body_len);
    body[body_len] = '\0';
    bvi_buf_consume(&conn->in, head_len + body_len);
    conn->requests++;
    conn->server->requests++;
    conn->server->handle(conn, method, path, head, body, body_len, conn->server->data);
    free(head);
    free(body);
    return conn->stream != NULL;
}

static void on_read(bvi_stream *stream, const void *bytes, size_t len, void *data)
{
    http_conn *conn = data;

    ck_assert_int_eq(bvi_buf_append(&conn->in, bytes, len), 0);
    while (take_request(conn)) {
    }
}

static void on_close(bvi_stream *stream, const bv_error *err, void *data)
{
    http_conn_close(data);
}

static void add_conn(http_server *s, int fd)
{
    http_conn *conn = calloc(1, sizeof(*conn));
    bvi_stream_opts opts = {
        .on_read = on_read, .on_drain = on_drain, .on_close = on_close, .data = conn
    };

    conn->server = s;
    bvi_buf_init(&conn->in, IN_MAX);
    bvi_buf_init(&conn->out, IN_MAX);
    ck_assert_int_eq(bvi_stream_new(s->ctx, fd, &opts, &conn->stream, NULL), 0);
    conn->next = s->conns;
    s->conns = conn;
    s->connections++;
    if (++s->open > s->open_most)
        s->open_most = s->open;
}

static void on_tcp(bvi_watch *watch, int fd, unsigned events, void *data)
{
    int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (conn >= 0)
        add_conn(data, conn);
}

static void on_unix(bvi_listener *listener, int fd, const bvi_peer *peer, void *data)
{
    add_conn(data, fd);
}

void http_server_open(http_server *s, bv_ctx *ctx, const char *path, http_handler_fn handle,
                      void *data)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    bvi_listener_opts opts = { .path = path, .on_accept = on_unix, .data = s };
    socklen_t len = sizeof(addr);

    *s = (http_server){ .ctx = ctx, .handle = handle, .data = data, .fd = -1 };
    if (path) {
        ck_assert_int_eq(bvi_listener_new(ctx, &opts, &s->listener, NULL), 0);
        return;
    }
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(s->fd, 64), 0);
    ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&addr, &len), 0);
    s->port = ntohs(addr.sin_port);
    ck_assert_int_eq(bvi_watch_new(ctx, s->fd, BV_IO_IN, on_tcp, s, &s->watch, NULL), 0);
}

void http_server_close(http_server *s)
{
    while (s->conns) {
        http_conn *conn = s->conns;

        s->conns = conn->next;
        http_conn_close(conn);
        bvi_buf_done(&conn->in);
        bvi_buf_done(&conn->out);
        free(conn);
    }
    bvi_watch_free(s->watch);
    s->watch = NULL;
    bvi_listener_free(s->listener);
    s->listener = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

const char *http_server_url(const http_server *s, const char *path)
{
    return s->listener ? bvt_format("http://localhost%s", path)
                       : bvt_format("http://127.0.0.1:%u%s", s->port, path);
}
