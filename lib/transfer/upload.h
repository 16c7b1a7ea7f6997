/*
 * upload.h - a directory into an archive, through any chunk source. bv_upload_start() is this over
 * a store.
 *
 * meta_dir holds "upload.journal" and "upload.lock"; the journal is removed after success. An
 * interrupted upload goes on when neither the settings nor any source file changed; otherwise it
 * starts over, in the same reservation.
 */
#ifndef BVI_TRANSFER_UPLOAD_H
#define BVI_TRANSFER_UPLOAD_H

#include <blockvisor/transfer.h>

#include "transfer/chunk_source.h"

#define BVI_UPLOAD_JOURNAL "upload.journal"
#define BVI_UPLOAD_LOCK    "upload.lock"

typedef struct bvi_upload_opts {
    bvi_chunk_source *source; /* borrowed until done was called */
    const char *archive;      /* names the archive in the journal; copied */
    const char *source_dir;   /* copied */
    const char *meta_dir;     /* copied; made when missing; never archived itself */
    const char
        *data_stamp; /* any text that changes when resuming would be wrong; may be NULL; copied */
    const char *const *exclude; /* patterns, NULL-terminated; may be NULL; copied */
    uint64_t data_version;      /* 0: the source assigns it */
    uint32_t number_of_chunks;  /* 0: from the total size */
    bvi_compression compression;
    uint32_t url_expires_secs; /* 0: 3600 + 15 * max_runners */
    uint32_t max_connections;  /* 0: defaults of transfer.h */
    uint32_t max_runners;
    uint32_t memory_mib;
    uint64_t bytes_per_s;
    int32_t space_wait_secs;      /* as in blockvisor/transfer.h */
    bv_transfer_status_fn status; /* optional */
} bvi_upload_opts;

/* Cancelling keeps the journal; done then has BV_E_CANCELLED. `data` is the last argument of status
 * and done. */
int bvi_upload_start(bv_ctx *ctx, const bvi_upload_opts *opts, bv_transfer_done_fn done, void *data,
                     bv_op **ret_op, bv_error **err);

#endif
