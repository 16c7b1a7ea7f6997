/*
 * send.h - puts one stored chunk, which lies in a file, to an HTTP URL.
 *
 * The worker reads ahead into two buffers while the loop sends; the length is known, so
 * Content-Length is sent. The file stays as it is, so another attempt needs no new compression.
 */
#ifndef BVI_TRANSFER_SEND_H
#define BVI_TRANSFER_SEND_H

#include "transfer/limits.h"

typedef struct bvi_send bvi_send;

/* Once, from dispatch. err NULL: the server has it. The send is gone afterwards. */
typedef void (*bvi_send_fn)(const bv_error *err, bvi_attempt attempt, void *data);

typedef struct bvi_send_opts {
    bv_ctx *ctx;
    bvi_http *http;       /* borrowed */
    const char *url;      /* copied */
    int fd;               /* borrowed */
    uint64_t size;        /* from its start */
    uint64_t bytes_per_s; /* 0: no limit */
    bvi_send_fn done;
    void *data;
} bvi_send_opts;

#define BVI_SEND_MEMORY (2ull * BVI_NET_BUFFER_BYTES)

int bvi_send_start(const bvi_send_opts *opts, bvi_send **ret_send, bv_error **err);
void bvi_send_cancel(bvi_send *send); /* done still comes */

#endif
