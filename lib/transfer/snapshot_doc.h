/*
 * snapshot_doc.h - what a store says of its versions, as the documents that hosts and
 * blockvisor/store.h answer.
 */
#ifndef BVI_TRANSFER_SNAPSHOT_DOC_H
#define BVI_TRANSFER_SNAPSHOT_DOC_H

#include "base/json.h"
#include "transfer/store.h"

/* The snapshot document of blockvisor/snapshot.h; NULL: no memory. */
bvi_json *bvi_snapshot_json(const bvi_snapshot_info *info);
/* {snapshots: [...]} from the reply to BVI_STORE_LIST, in the order of keys and versions; NULL: no
 * memory. */
bvi_json *bvi_snapshot_list_json(const bvi_store_reply *listed);

#endif
