/*
 * verify.h - reads a stored version and checks everything about it, optionally against a local
 * directory.
 */
#ifndef BVI_TRANSFER_VERIFY_H
#define BVI_TRANSFER_VERIFY_H

#include <blockvisor/transfer.h>

#include "transfer/chunk_source.h"

typedef struct bvi_verify_opts {
    bvi_chunk_source *source; /* borrowed until done was called */
    uint64_t data_version;    /* 0: the latest */
    const char *local_dir;    /* NULL: only the store */
    uint32_t max_connections; /* 0: defaults of transfer.h */
    uint32_t max_runners;
    uint32_t memory_mib;
    bv_transfer_status_fn status; /* optional */
} bvi_verify_opts;

/* Manifest, stored sizes, checksums, and that each chunk unpacks to its destinations; implemented
 * in download.c. */
int bvi_verify_start(bv_ctx *ctx, const bvi_verify_opts *opts, bv_transfer_done_fn done, void *data,
                     bv_op **ret_op, bv_error **err);

#endif
