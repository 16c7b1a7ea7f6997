/*
 * node_store.h - a store as one node may use it: its own key, objects of the snapshot format, and
 * nothing that would change what is published.
 *
 * Packs move by URL. In a directory store the node reads them where they lie, puts them into its
 * staging directory, and the host copies them into the store under the name that is their digest;
 * from other stores it gets pre-signed URLs, for putting only of packs that are not there. A root
 * is published after the host has checked it, and after the gate had its say.
 *
 * Made for agent/store_server.h by snapshots.c.
 */
#ifndef BVI_NODE_STORE_H
#define BVI_NODE_STORE_H

#include "agent/store_server.h"

typedef struct bvi_node_store_opts {
    const char *store_key;
    const char *staging_dir;     /* host path of the node's staging; NULL: the store has URLs */
    const char *store_dir;       /* host path of the store, on the same file system */
    const char *node_store_dir;  /* as the node sees its key's tree and its staging; NULL: */
    const char *node_upload_dir; /* BVI_NODE_STORE_DIR and BVI_NODE_UPLOAD_DIR */
    /* Optional: asked before a root is published. Not any more when the store was cancelled. */
    int (*gate)(void *data, const char *store_key, uint64_t version, bvi_gate_done_fn done,
                void *done_data, bv_error **err);
    void *data;
} bvi_node_store_opts;

/* inner: owned from here on, also on failure. opts: copied. */
int bvi_node_store_new(bvi_store *inner, const bvi_node_store_opts *opts, bvi_store **ret_store,
                       bv_error **err);
/* Where the node itself gets or puts a pack. BV_E_DENIED for what is not a pack of its key. */
int bvi_node_store_url(bvi_store *store, const char *key, bool put, char **ret_url, bv_error **err);

#endif
