/*
 * manager.h - all nodes of one host: their registry, and the calls of the one door that concern
 * them.
 *
 * One manager runs one root at a time (host.lock). It loads every node at start, attaches to those
 * that run, finishes what a crash interrupted, and from then on brings each node to its expected
 * status. Freeing it stops nothing.
 */
#ifndef BVI_NODE_MANAGER_H
#define BVI_NODE_MANAGER_H

#include "image/image_store.h"
#include "io/reply.h"
#include "node/events.h"
#include "node/node_paths.h"
#include "node/snapshots.h"
#include "runtime/driver.h"

/* More nodes are refused. */
#define BVI_NODES_MAX 4096u

typedef struct bvi_manager bvi_manager;
typedef struct bvi_node bvi_node;

/* What is not owned is borrowed and outlives the manager. */
typedef struct bvi_manager_opts {
    const bvi_host_paths *paths;
    bvi_driver *driver; /* owned by the manager once there is one, freed before its nodes */
    bvi_image_store *images;
    bvi_snapshots *snapshots;
    const char *store_uri; /* the same store, for sources of their own */
    const char *store_dir; /* host directory of a directory store; NULL for others */
    bvi_events *events;
    bvi_store_format upload_format; /* of what nodes upload, unless they say; ANY: archives */
    const char *agent_dir;          /* the bundle; mounted into every node */
    const char *host_name;
} bvi_manager_opts;

/* Loads all nodes and begins to attach to them. A damaged state file is quarantined and reported,
 * its node's data is left alone, and the others load. */
int bvi_manager_new(bv_ctx *ctx, const bvi_manager_opts *opts, bvi_manager **ret_manager,
                    bv_error **err);
void bvi_manager_free(bvi_manager *manager);

/* Calls node.*, job.* and snapshot.upload. Owns the reply. BV_E_UNSUPPORTED for others. */
void bvi_manager_call(bvi_manager *manager, const char *method, const bvi_json *args,
                      bvi_reply *reply);

bool bvi_manager_uses_image(const bvi_manager *manager, const char *image_id);
/* Counts by reported status for metrics: {total, running, stopped, failed, busy}. */
bvi_json *bvi_manager_counts(const bvi_manager *manager);

#endif
