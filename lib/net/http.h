/*
 * http.h - HTTP requests over curl, driven by the context's loop. The only user of curl.
 *
 *     bvi_http_request req = BVI_HTTP_REQUEST_INIT;
 *     req.url = url;
 *     req.on_done = on_done;
 *     req.data = self;
 *     r = bvi_http_start(http, &req, &self->call, err);
 *
 * One bvi_http for each context keeps connections alive and counts them. All callbacks come from
 * dispatch. on_done comes exactly once and the call is gone when it returns; only bvi_http_drop()
 * takes that back. Everything in a request is copied except what callbacks provide. A call may be
 * cancelled or dropped inside any callback, its own included.
 *
 * An HTTP status is not an error here: err is NULL and the status is in the response;
 * bvi_http_check() makes the usual error of it. Errors: BV_E_TIMEOUT, BV_E_CANCELLED, BV_E_REMOTE
 * (cannot connect, connection broke, answer is not HTTP), BV_E_DENIED (the peer's certificate),
 * BV_E_LIMIT (response_max), BV_E_INVALID (URL, header), BV_E_IO, BV_E_UNSUPPORTED (the range was
 * ignored), BV_E_NOMEM, or what a callback of the caller returned.
 *
 * URLs may be pre-signed, so messages hold them without user, query and fragment. Headers and
 * bodies are never logged.
 */
#ifndef BVI_NET_HTTP_H
#define BVI_NET_HTTP_H

#include "io/budget.h"

/* Most bytes of a response that is collected, unless the request says otherwise. */
#define BVI_HTTP_RESPONSE_MAX (4u * 1024u * 1024u)
/* Largest request body that is copied; larger ones are borrowed or come through on_body. */
#define BVI_HTTP_BODY_MAX (16u * 1024u * 1024u)
/* Most bytes of response headers, and of the collected body of a failure when the rest goes to
 * on_data. */
#define BVI_HTTP_HEADERS_MAX (64u * 1024u)
#define BVI_HTTP_FAILURE_MAX (64u * 1024u)
#define BVI_HTTP_URL_MAX     (16u * 1024u)
/* curl's buffer for bulk calls: fewer, larger reads and writes. */
#define BVI_HTTP_BULK_BYTES  (256u * 1024u)
#define BVI_HTTP_CONNECT_MS  10000
#define BVI_HTTP_IDLE_MS     60000
#define BVI_HTTP_SLOW_MS     30000
#define BVI_HTTP_CONNECTIONS 16u /* to one host */
#define BVI_HTTP_CALLS_MAX   1024u

typedef struct bvi_http bvi_http;
typedef struct bvi_http_call bvi_http_call;

typedef struct bvi_http_opts {
    const char *user_agent;        /* NULL: libblockvisor/<version> */
    uint32_t connections_per_host; /* 0: BVI_HTTP_CONNECTIONS */
    const char *ca_file;           /* of calls that name none; copied; may be NULL */
    bool budgeted; /* calls wait for a connection and for bandwidth of the context's budget */
} bvi_http_opts;

int bvi_http_new(bv_ctx *ctx, const bvi_http_opts *opts, bvi_http **ret_http,
                 bv_error **err); /* opts may be NULL */
/* Calls under way complete with BV_E_CANCELLED, from here. Also fine inside a callback. */
void bvi_http_free(bvi_http *http);
BVI_DEFINE_FREEP(bvi_http, bvi_http_free)

/* To one host, from the next call on; 0: BVI_HTTP_CONNECTIONS. */
void bvi_http_set_connections(bvi_http *http, uint32_t per_host);

/* Valid during the callback only. */
typedef struct bvi_http_response {
    int status;             /* 0: there was none */
    int64_t content_length; /* -1: not told */
    int64_t retry_after_ms; /* -1: not told; dates are taken relative to the wall clock */
    const char *etag;       /* as sent, quotes included; NULL: none */
    const char *
        body; /* collected: everything without on_data, the text of a failure with it; never NULL */
    size_t body_len;
    uint64_t received; /* bytes of body, after decompression */
    const char *url;   /* without user, query and fragment, for messages */
    const void *impl;  /* for bvi_http_header() */
} bvi_http_response;

/* A header or trailer by name in any case, the last one when there are several; NULL: absent. */
const char *bvi_http_header(const bvi_http_response *response, const char *name);

/* For on_data: nothing was taken, hold the rest back until bvi_http_resume(). */
#define BVI_HTTP_PAUSE 1

typedef void (*bvi_http_done_fn)(bvi_http_call *call, const bvi_http_response *response,
                                 const bv_error *err, void *data);

typedef struct bvi_http_request {
    const char *method; /* NULL: GET */
    const char *url;
    const char *const *headers; /* "Name: value", up to a NULL; may be NULL */
    const char *unix_socket;    /* connect here instead; never through a proxy */

    const void *body; /* the whole body; NULL with on_body or without a body */
    size_t body_len;
    bool body_borrowed;  /* not copied: the bytes stay until on_done or bvi_http_drop() */
    uint64_t body_total; /* of what on_body delivers */
    /* Fills dst and returns how much; 0: nothing yet, until bvi_http_resume(); negative: a bv_code
     * to fail with. */
    ptrdiff_t (*on_body)(bvi_http_call *call, void *dst, size_t room, void *data);
    /* Start the body anew: a kept connection turned out dead, or a redirect. NULL: the call fails
     * then. 0 or a code. */
    int (*on_rewind)(bvi_http_call *call, void *data);

    bool has_range; /* bytes range_first..range_last; an answer that is not 206 for it is an error,
                     */
    uint64_t range_first; /* except that failures (status >= 300) stay what they are */
    uint64_t range_last;

    /* Optional: status and headers are known, for every answer that will be reported. 0, or a code
     * to fail with. */
    int (*on_head)(bvi_http_call *call, const bvi_http_response *response, void *data);
    /* Optional: bytes of a 2xx body as they come. 0: taken; BVI_HTTP_PAUSE; negative: a code to
     * fail with. */
    int (*on_data)(bvi_http_call *call, const void *bytes, size_t len, void *data);
    bvi_http_done_fn on_done;
    void *data;

    uint64_t response_max;      /* 0: BVI_HTTP_RESPONSE_MAX, or no maximum with on_data */
    int64_t connect_timeout_ms; /* 0: BVI_HTTP_CONNECT_MS */
    int64_t idle_timeout_ms;   /* without a byte either way, pauses excepted; 0: BVI_HTTP_IDLE_MS; <
                                  0: none */
    uint64_t slow_bytes_per_s; /* with fewer for BVI_HTTP_SLOW_MS, but some, it is BV_E_TIMEOUT; 0:
                                  however slow */
    int64_t deadline_ms;       /* for everything, waiting for a connection included; 0: none */
    uint32_t redirects_max;    /* 0: redirects are not followed */
    uint64_t recv_bytes_per_s; /* 0: no limit */
    uint64_t send_bytes_per_s;
    bool bulk;       /* large buffers */
    bool compressed; /* accept gzip and the like */
    bool no_proxy;   /* ignore http_proxy and friends */
    bool http2;      /* HTTP/2: by ALPN with https, by prior knowledge with http. Else HTTP/1.1 */

    const char *ca_file;   /* trust these instead of the system's; NULL: those of SSL_CERT_FILE, if
                              that is set */
    const char *cert_file; /* our own certificate and key, PEM */
    const char *key_file;
} bvi_http_request;

#define BVI_HTTP_REQUEST_INIT                                                                      \
    {                                                                                              \
        0                                                                                          \
    }

int bvi_http_start(bvi_http *http, const bvi_http_request *request, bvi_http_call **ret_call,
                   bv_error **err);
void bvi_http_cancel(
    bvi_http_call *call); /* on_done comes with BV_E_CANCELLED, unless it is over already */
void bvi_http_drop(bvi_http_call *call); /* no further callback; the handle is gone. NULL is fine */
void bvi_http_resume(bvi_http_call *call); /* go on after BVI_HTTP_PAUSE or an on_body of 0 */

/*
 * 0 for 2xx, else the error an operator expects: 404, 410 BV_E_NOT_FOUND; 401, 403 BV_E_DENIED;
 * 409, 412 BV_E_EXISTS; 408, 425, 429, 503 BV_E_AGAIN; other 4xx BV_E_INVALID; the rest
 * BV_E_REMOTE. The message names the URL without its secrets and quotes the beginning of the body;
 * of XML only the error's code.
 */
int bvi_http_check(const bvi_http_response *response, bv_error **err);
/* A URL without user, query and fragment; NULL: no memory. */
char *bvi_http_redact(const char *url);

#endif
