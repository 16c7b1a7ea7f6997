/*
 * store_web.h - what stores behind HTTP share: requests to the server, repeated when what went
 * wrong may pass by itself, and the list of calls under way. store_http.c and store_s3.c stand on
 * it.
 *
 * A call of the store takes several requests one after the other. Each ends in a step, which sends
 * the next one or finishes the call.
 */
#ifndef BVI_TRANSFER_STORE_WEB_H
#define BVI_TRANSFER_STORE_WEB_H

#include "net/backoff.h"
#include "net/http.h"
#include "transfer/store.h"

/* A connection that is so many times slower than others were is given up for a new one, so many
 * times in one READ. */
#define BVI_WEB_SLOWER        8u
#define BVI_WEB_EVICTIONS_MAX 2u
#define BVI_WEB_EVICT_US      5000000
/* A READ's connection without a byte is given up after so long. */
#define BVI_WEB_READ_IDLE_MS  30000
#define BVI_WEB_HASTY_IDLE_MS 10000
/* Credit for so long is given at once. */
#define BVI_WEB_CREDIT_US 200000
/* Most headers of a request. */
#define BVI_WEB_HEADERS_MAX 10u

typedef struct bvi_store_web bvi_store_web;
typedef struct bvi_web_call bvi_web_call;

/* What comes after a request. Owns err; the response is valid when err is NULL, and may be NULL
 * otherwise. */
typedef void (*bvi_web_step_fn)(bvi_web_call *call, const bvi_http_response *response,
                                bv_error *err);

typedef struct bvi_web_ask {
    const char *method;
    const char *key; /* below the store's prefix; NULL: the store itself; copied */
    const char *body;
    size_t body_len;
    uint64_t response_max; /* 0: the usual */
    void *into;            /* these bytes of the object come here, as often as it takes */
    size_t into_len;
    uint64_t offset;
    bool only_new; /* fails with BV_E_EXISTS if the object is there and the server knows of this */
    bool clean_up; /* is sent even after a cancel */
    bvi_web_step_fn step;
} bvi_web_ask;

typedef struct bvi_web_ops {
    const bvi_retry_policy *retry;
    /* URL and headers for the call's ask; made anew for each attempt. */
    int (*prepare)(bvi_web_call *call, bvi_buf *url, bvi_strv *headers, bv_error **err);
    /* 0 for 2xx; else what the server said. */
    int (*check)(const bvi_store_web *web, const bvi_http_response *response, bv_error **err);
    bool redirects; /* are followed, except for uploads */
    /* Refused for its keys: true if there are others now, to try once more with. May be NULL. */
    bool (*renew)(bvi_web_call *call, const bv_error *err);
    void (*free)(bvi_web_call *call); /* what a call has besides; then the call */
} bvi_web_ops;

struct bvi_store_web {
    bvi_store store;
    const bvi_web_ops *ops;
    const char *name; /* for messages */
    const char *ca_file;
    bvi_http *http;
    bvi_web_call *calls;  /* under way */
    uint64_t bytes_per_s; /* 0: no limit */
    int64_t credit;       /* bytes that may come now; below 0: more came already */
    int64_t credit_us;    /* when it was reckoned */
    bvi_timer *gate;      /* set while calls wait for credit */
    uint32_t connections;
    uint64_t pace; /* bytes per second a connection has had of late; 0: not known */
};

struct bvi_web_call {
    bvi_store_web *web;
    bvi_web_call *next;
    bvi_store_fn done;
    void *data;
    bvi_store_request req; /* owns its texts */
    bool cancelled;
    /* the request under way */
    bvi_web_ask ask;
    char *ask_key;
    bvi_http_call *http; /* NULL: none, or waiting for the timer */
    bvi_timer *timer;
    bvi_retry retry;
    unsigned attempts;
    bool renewed;
    size_t got; /* of what is read */
    size_t got_before;
    bool paused; /* for want of credit */
    int64_t begun_us;
    unsigned evictions;
    bv_error *refused; /* what is wrong with the answer that came */
};

int bvi_web_init(bvi_store_web *web, bv_ctx *ctx, const bvi_store_vtable *vtable,
                 const bvi_web_ops *ops, bv_error **err);
void bvi_web_done(bvi_store_web *web);
void bvi_web_cancel(bvi_store *store);
void bvi_web_set_limits(bvi_store *store, uint32_t connections, uint64_t bytes_per_s);

/* Begins a call, which is zeroed and owned from here; ended by `run`, bvi_web_finish(), or at once
 * when this fails. */
int bvi_web_begin(bvi_store_web *web, bvi_web_call *call, const bvi_store_request *request,
                  bvi_store_fn done, void *data, int (*run)(bvi_web_call *call, bv_error **err),
                  bv_error **err);
/* Sends a request; its step comes once, after repetitions if need be. Not when this fails. */
int bvi_web_send(bvi_web_call *call, const bvi_web_ask *ask, bv_error **err);
/* Ends the call. Owns err; without one the reply is told. */
void bvi_web_finish(bvi_web_call *call, const bvi_store_reply *reply, bv_error *err);
void bvi_web_drop_error(bv_error **err); /* it was expected */
/* A step that ends the call, with the response as its reply. */
void bvi_web_last_step(bvi_web_call *call, const bvi_http_response *response, bv_error *err);
/* The step of a PUT with only_new: an object that is there because an answer got lost is ours. */
void bvi_web_put_step(bvi_web_call *call, const bvi_http_response *response, bv_error *err);
/* Reads what the request asks for, exactly. */
int bvi_web_run_read(bvi_web_call *call, bv_error **err);

#endif
