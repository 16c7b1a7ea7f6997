/*
 * snapshots.h - snapshot documents from what a store says.
 */
#ifndef BVI_NODE_SNAPSHOTS_H
#define BVI_NODE_SNAPSHOTS_H

#include "io/reply.h"
#include "transfer/snapshot_doc.h"

/* The host's store. Its requests may outlive the host that made them; the store goes after the last
 * one. */
typedef struct bvi_snapshots bvi_snapshots;

int bvi_snapshots_new(bvi_store *store, bvi_snapshots **ret_snapshots,
                      bv_error **err); /* owns store, also on failure */
void bvi_snapshots_free(
    bvi_snapshots *snapshots); /* requests under way are hurried; their callbacks still come */
/* As bvi_store_call(). */
int bvi_snapshots_ask(bvi_snapshots *snapshots, const bvi_store_request *request, bvi_store_fn done,
                      void *data, bv_error **err);

/* "archive" or "snapshot"; BV_E_INVALID for others. NULL: BVI_STORE_ANY. */
int bvi_snapshot_format_parse(const char *text, bvi_store_format *ret_format, bv_error **err);
/* Answers {snapshots: [...]}. key NULL: all. Owns the reply. */
void bvi_snapshots_list(bvi_snapshots *snapshots, const char *key, bvi_reply *reply);

#endif
