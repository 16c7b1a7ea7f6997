/*
 * engine_source.h - the node's end of the engine service: a chunk source (transfer/chunk_source.h)
 * over the socket that the host listens on. Used by babel_transfer.
 */
#ifndef BVI_AGENT_ENGINE_SOURCE_H
#define BVI_AGENT_ENGINE_SOURCE_H

#include "transfer/chunk_source.h"

typedef struct bvi_engine_source_opts {
    const char *socket_path;
    const char *store_key; /* NULL: the node's own archive */
    int64_t
        reach_ms; /* how long a call waits for a host daemon that is away; 0: BVI_ENGINE_REACH_MS */
} bvi_engine_source_opts;

/* An update of the host daemon should not fail a transfer. */
#define BVI_ENGINE_REACH_MS 120000

int bvi_engine_source_new(bv_ctx *ctx, const bvi_engine_source_opts *opts,
                          bvi_chunk_source **ret_source, bv_error **err);

/* A line for a person's attention; best effort. */
int bvi_engine_source_report(bvi_chunk_source *source, const char *text, bv_error **err);

#endif
