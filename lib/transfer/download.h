/*
 * download.h - an archive into a directory, from any chunk source. bv_download_start() is this over
 * a store.
 *
 * Inside a node (lib/agent) it is called with the engine's source:
 *     bvi_download_opts opts = { .source = source, .archive = "<archive id or store key>",
 * .dest_dir = data_dir, .meta_dir = meta_dir, ... }; r = bvi_download_start(ctx, &opts, done, data,
 * &op, err); meta_dir holds "download.journal", "download.lock" and the stored bytes of
 * large chunks under way (part.h); only the lock stays after success.
 */
#ifndef BVI_TRANSFER_DOWNLOAD_H
#define BVI_TRANSFER_DOWNLOAD_H

#include <blockvisor/transfer.h>

#include "base/protect.h"
#include "transfer/chunk_source.h"

#define BVI_DOWNLOAD_JOURNAL "download.journal"
#define BVI_DOWNLOAD_LOCK    "download.lock"

typedef struct bvi_download_opts {
    bvi_chunk_source *source; /* borrowed until done was called */
    const char
        *archive; /* names the archive in the journal, so that another one is not resumed; copied */
    const char *dest_dir;     /* copied; made when missing */
    const char *meta_dir;     /* copied; made when missing */
    uint64_t data_version;    /* 0: latest, or the one the journal has */
    uint32_t max_connections; /* 0: defaults of transfer.h */
    uint32_t max_runners;
    uint32_t memory_mib;
    uint64_t bytes_per_s;
    int32_t space_wait_secs;      /* as in blockvisor/transfer.h */
    bv_transfer_status_fn status; /* optional */
    const bvi_strv *protect; /* patterns of files that are neither written nor touched; borrowed
                                until done was called; NULL: none */
} bvi_download_opts;

/* Cancelling keeps the journal; done then has BV_E_CANCELLED. `data` is the last argument of status
 * and done. */
int bvi_download_start(bv_ctx *ctx, const bvi_download_opts *opts, bv_transfer_done_fn done,
                       void *data, bv_op **ret_op, bv_error **err);

#endif
