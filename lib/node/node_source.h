/*
 * node_source.h - a chunk source for use inside a node whose snapshots are in a directory store on the host.
 *
 * The node sees the versions of its own store key, read-only, at BVI_NODE_STORE_DIR, and an empty staging directory of its
 * own at BVI_NODE_UPLOAD_DIR. This source wraps the store's: it names chunks by their paths inside the node, and when
 * a manifest comes it moves the staged chunks into the store first. So a node can never touch a stored chunk.
 */
#ifndef BVI_NODE_SOURCE_H
#define BVI_NODE_SOURCE_H

#include "transfer/chunk_source.h"

/* inner: the store's own source, owned from here on, also on failure. staging_dir: host path of the node's staging;
 * store_dir: host path of the store. Both copied. */
int bvi_node_source_new(bv_ctx *ctx, bvi_chunk_source *inner, const char *staging_dir, const char *store_dir,
                        bvi_chunk_source **ret_source, bv_error **err);

#endif
