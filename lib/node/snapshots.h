/*
 * snapshots.h - snapshot documents from what a store says.
 */
#ifndef BVI_NODE_SNAPSHOTS_H
#define BVI_NODE_SNAPSHOTS_H

#include "io/reply.h"
#include "transfer/store.h"

/* The snapshot document of blockvisor/snapshot.h; NULL: no memory. */
bvi_json *bvi_snapshot_json(const bvi_snapshot_info *info);
/* Answers {snapshots: [...]}. key NULL: all. Owns the reply. */
void bvi_snapshots_list(bvi_store *store, const char *key, bvi_reply *reply);

#endif
