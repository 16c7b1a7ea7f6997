/*
 * fetch.h - brings the stored bytes of one chunk from its URL into an unpack, and verifies them.
 *
 * From a file URL the worker reads by itself; from HTTP the loop fills one of two buffers while the
 * worker empties the other, and the connection is paused while both are full. A fetch goes on where
 * the unpack is, so after a broken connection another fetch with the same unpack asks only for the
 * rest.
 */
#ifndef BVI_TRANSFER_FETCH_H
#define BVI_TRANSFER_FETCH_H

#include "transfer/limits.h"
#include "transfer/unpack.h"

typedef struct bvi_fetch bvi_fetch;

/* Once, from dispatch. err NULL: every byte came and the chunk is verified. The fetch is gone
 * afterwards. */
typedef void (*bvi_fetch_fn)(const bv_error *err, bvi_attempt attempt, void *data);

typedef struct bvi_fetch_opts {
    bv_ctx *ctx;
    bvi_http *http;            /* borrowed; may be NULL for file URLs */
    const char *url;           /* copied */
    uint64_t size;             /* stored bytes of the whole chunk */
    bvi_unpack *unpack;        /* borrowed */
    const char *part_path;     /* where to keep what came; copied; NULL: nowhere */
    uint64_t bytes_per_s;      /* 0: no limit */
    void (*moved)(void *data); /* from dispatch: the unpack has got on */
    bvi_fetch_fn done;
    void *data;
} bvi_fetch_opts;

/* Memory of a fetch itself, the unpack not counted. */
#define BVI_FETCH_MEMORY (2ull * BVI_NET_BUFFER_BYTES)

int bvi_fetch_start(const bvi_fetch_opts *opts, bvi_fetch **ret_fetch, bv_error **err);
void bvi_fetch_cancel(bvi_fetch *fetch); /* done still comes */

#endif
