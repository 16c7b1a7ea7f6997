/*
 * store_try.h - a store's request, repeated with growing waits while its failures may pass by
 * themselves. Embedded by its user; one request at a time; on the loop.
 */
#ifndef BVI_SNAPSHOT_STORE_TRY_H
#define BVI_SNAPSHOT_STORE_TRY_H

#include "net/backoff.h"
#include "transfer/store.h"

typedef struct bvi_store_try {
    bv_ctx *ctx;
    bvi_store *store; /* borrowed */
    bvi_store_request request;
    char *key;
    char *store_key;
    char *lease;
    char *after;
    bvi_retry retry;
    bvi_timer *timer;
    bvi_task tell;
    uint32_t *retries; /* counts repetitions; NULL: nobody does */
    bvi_store_fn done;
    void *data;
    bool busy;
    bool stopped;
    bv_error *late; /* told from dispatch */
} bvi_store_try;

int bvi_store_try_init(bvi_store_try *t, bv_ctx *ctx, bvi_store *store, uint32_t *retries,
                       bv_error **err);
void bvi_store_try_done(bvi_store_try *t); /* not busy */
/* Strings are copied. `done` comes once, from dispatch, whatever happens. */
void bvi_store_try_start(bvi_store_try *t, const bvi_store_request *request, bvi_store_fn done,
                         void *data);
/* No more repetitions; a wait ends at once. Requests under way are their store's to cancel. */
void bvi_store_try_stop(bvi_store_try *t);

#endif
