/*
 * node_source.h - a chunk source for use inside a node whose snapshots are in a directory store on
 * the host.
 *
 * The node sees the versions of its own store key, read-only, at BVI_NODE_STORE_DIR, and an empty
 * staging directory of its own at BVI_NODE_UPLOAD_DIR. This source wraps the store's: it names
 * chunks by their paths inside the node, and when a manifest comes it moves the staged chunks into
 * the store first. So a node can write no chunk of another version or key: a manifest that names
 * one is refused. The staging directory is the node's to fill, hence never trusted: below it
 * everything is reached through descriptors, and links are not followed.
 */
#ifndef BVI_NODE_SOURCE_H
#define BVI_NODE_SOURCE_H

#include "transfer/chunk_source.h"

typedef struct bvi_node_source_opts {
    const char *staging_dir; /* host path of the node's staging */
    const char *store_dir;   /* host path of the store, on the same file system */
    const char *store_key;   /* the node's own; every chunk it publishes is of this key */
} bvi_node_source_opts;

/* inner: the store's own source for the key, owned from here on, also on failure. opts: copied. */
int bvi_node_source_new(bv_ctx *ctx, bvi_chunk_source *inner, const bvi_node_source_opts *opts,
                        bvi_chunk_source **ret_source, bv_error **err);

#endif
