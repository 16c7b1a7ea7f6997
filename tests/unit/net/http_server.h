/*
 * http_server.h - a small HTTP server on the test's own loop, which answers exactly what a test
 * tells it to, good or bad.
 */
#ifndef BVT_NET_HTTP_SERVER_H
#define BVT_NET_HTTP_SERVER_H

#include "base/buf.h"
#include "bvt.h"
#include "io/stream.h"

typedef struct http_server http_server;
typedef struct http_conn http_conn;

/* One request has come in. The body is complete and zero-terminated. */
typedef void (*http_handler_fn)(http_conn *conn, const char *method, const char *path,
                                const char *head, const char *body, size_t body_len, void *data);

struct http_conn {
    http_server *server;
    http_conn *next;
    bvi_stream *stream; /* NULL: closed */
    bvi_buf in;
    bvi_buf out; /* what is still to be sent */
    bool close_after;
    unsigned requests;
};

struct http_server {
    bv_ctx *ctx;
    http_handler_fn handle;
    void *data;
    int fd;
    unsigned port;
    bvi_watch *watch;
    bvi_listener *listener;
    http_conn *conns;
    unsigned connections; /* ever */
    unsigned open;
    unsigned open_most;
    unsigned requests;
};

/* On a free port of the loopback, or on a socket file when path is not NULL. */
void http_server_open(http_server *s, bv_ctx *ctx, const char *path, http_handler_fn handle,
                      void *data);
void http_server_close(http_server *s);
const char *http_server_url(const http_server *s, const char *path);

/* Sends in pieces as the client reads; closes when all is sent if asked to. */
void http_conn_send(http_conn *conn, const void *bytes, size_t len, bool then_close);
void http_conn_send_text(http_conn *conn, const char *text, bool then_close);
/* A whole answer with Content-Length; extra_head lines end with \r\n. */
void http_conn_answer(http_conn *conn, int status, const char *extra_head, const void *body,
                      size_t len);
void http_conn_close(http_conn *conn);

#endif
