/*
 * source_store.h - chunk descriptions straight from a store: what the control plane does, without
 * one.
 */
#ifndef BVI_TRANSFER_SOURCE_STORE_H
#define BVI_TRANSFER_SOURCE_STORE_H

#include "transfer/chunk_source.h"
#include "transfer/store.h"

/* Takes the store over, also on failure. `store_key` is the archive's directory in it. */
int bvi_source_store_new(bvi_store *store, const char *store_key, bvi_chunk_source **ret_source,
                         bv_error **err);
/* The source over a store URI ("dir:/path", "http://..."). */
int bvi_source_open(bv_ctx *ctx, const char *store_uri, const char *store_key,
                    bvi_chunk_source **ret_source, bv_error **err);

#endif
