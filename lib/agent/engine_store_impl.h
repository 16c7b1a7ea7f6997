/*
 * engine_store_impl.h - the inside of a node's store: engine_store.c has requests and what is asked
 * of the host, engine_store_move.c moves objects to and from URLs and through the host.
 */
#ifndef BVI_AGENT_ENGINE_STORE_IMPL_H
#define BVI_AGENT_ENGINE_STORE_IMPL_H

#include "agent.pb-c.h"
#include "agent/engine_store.h"
#include "agent/limits.h"
#include "agent/protocol.h"
#include "io/work.h"
#include "net/backoff.h"
#include "net/http.h"
#include "net/rpc.h"

#define BVI_ENGINE_CALL_MS  90000
#define BVI_ENGINE_URLS_MAX 64u /* remembered */

typedef struct bvi_known_url {
    char *key; /* NULL: free */
    char *url;
    int64_t until_us;
} bvi_known_url;

typedef struct bvi_engine_request bvi_engine_request;

typedef struct bvi_engine_store {
    bvi_store base;
    bvi_rpc_client *rpc;
    bvi_http *http; /* NULL: not needed yet */
    char *store_key;
    bvi_known_url urls[BVI_ENGINE_URLS_MAX];
    unsigned next_url; /* to be replaced */
    bvi_engine_request *requests;
} bvi_engine_store;

struct bvi_engine_request {
    bvi_engine_request *next;
    bvi_engine_store *store;
    bvi_store_fn done; /* NULL: a question for information */
    bvi_store_info_fn info_done;
    void *data;
    bvi_store_request what; /* its texts are the three below */
    char *key;
    char *lease;
    char *after;
    char *url;
    bool upload;
    bool share_only;
    size_t moved; /* READ, PUT: bytes so far */
    uint64_t transfer;
    unsigned renewals;
    bvi_retry retry;
    bvi_timer *timer;
    bvi_rpc_request *rpc;
    bvi_http_call *http;
    bvi_work work;
    bv_error *work_err;
    bvi_buf body;  /* of the message under way */
    bvi_buf bytes; /* GET: the answer */
    bool cancelled;
};

static inline char *bvi_engine_text(const char *text)
{
    return (char *)(uintptr_t)(text ? text : protobuf_c_empty_string);
}

/* ---- engine_store.c: how a request goes on; after done and fail it is gone ---- */

void bvi_engine_request_done(bvi_engine_request *q); /* with nothing to tell but its length */
void bvi_engine_request_fail(bvi_engine_request *q, bv_error *err); /* owns err */
/* Tries again after a pause when that may help, else fails. Owns err. */
void bvi_engine_request_again(bvi_engine_request *q, bool worth, int64_t at_least_ms,
                              bv_error *err);
int bvi_engine_request_send(bvi_engine_request *q, const char *method,
                            const ProtobufCMessage *message, int64_t deadline_ms,
                            bvi_rpc_reply_fn on_reply, bv_error **err);
/* Whether there is an answer; if not, the request goes on or ends by itself. */
bool bvi_engine_request_answered(bvi_engine_request *q, const bvi_rpc_reply *reply);

/* ---- engine_store_move.c: the first steps of READ and PUT ---- */

int bvi_engine_read(bvi_engine_request *q, bv_error **err);
int bvi_engine_put(bvi_engine_request *q, bv_error **err);
void bvi_engine_work_run(void *data); /* of a request's work */
void bvi_engine_work_done(void *data, bool cancelled);
void bvi_engine_forget_urls(bvi_engine_store *store);

#endif
