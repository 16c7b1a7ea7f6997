/*
 * http_reader.h - takes one HTTP/1.1 response apart as its bytes come: for peers on local sockets,
 * where neither TLS nor proxies nor redirects exist and a whole HTTP client would cost more than
 * the call. Pure; used by host/conn_unix.c.
 */
#ifndef BVI_NET_HTTP_READER_H
#define BVI_NET_HTTP_READER_H

#include "base/buf.h"
#include "base/error.h"

/* Longest line of a head or of a chunk's size, and lines of a head. */
#define BVI_HTTP_LINE_MAX    (16u * 1024u)
#define BVI_HTTP_HEADERS_MAX 100u

typedef int (*bvi_http_body_fn)(const char *bytes, size_t len, void *data, bv_error **err);

typedef enum bvi_http_part {
    BVI_HTTP_STATUS,
    BVI_HTTP_HEADER,
    BVI_HTTP_BODY, /* `left` bytes, or to the end of the connection */
    BVI_HTTP_CHUNK_SIZE,
    BVI_HTTP_CHUNK, /* `left` bytes */
    BVI_HTTP_CHUNK_END,
    BVI_HTTP_TRAILER,
    BVI_HTTP_DONE,
} bvi_http_part;

typedef struct bvi_http_reader {
    bvi_http_part part;
    int status; /* 0: not known yet */
    bool chunked;
    bool has_length;
    uint64_t left;
    unsigned headers;
    bvi_buf line;
    bvi_http_body_fn on_body;
    void *data;
} bvi_http_reader;

void bvi_http_reader_init(bvi_http_reader *reader, bvi_http_body_fn on_body, void *data);
void bvi_http_reader_done(bvi_http_reader *reader);
/* What came from the connection. BV_E_FORMAT, BV_E_LIMIT, BV_E_NOMEM, or what on_body returned. */
int bvi_http_reader_feed(bvi_http_reader *reader, const char *bytes, size_t len, bv_error **err);
/* The connection ended: 0 when the response is whole, else BV_E_REMOTE. */
int bvi_http_reader_end(bvi_http_reader *reader, bv_error **err);

#endif
