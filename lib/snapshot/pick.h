/*
 * pick.h - which format a version has: asked before a download or a verification, as both formats
 * may lie under one key.
 */
#ifndef BVI_SNAPSHOT_PICK_H
#define BVI_SNAPSHOT_PICK_H

#include <blockvisor/transfer.h>

#include "transfer/store.h"

/* version: the one that was asked for, or the latest. BV_E_NOT_FOUND when there is none at all; one
 * that was asked for and is no snapshot counts as an archive, whose engine looks for it. */
typedef void (*bvi_pick_fn)(const bv_error *err, bv_format format, uint64_t version, void *data);

/* version 0: the latest of both formats. `store_key` is copied. */
int bvi_pick_format(bvi_store *store, const char *store_key, uint64_t version, bvi_pick_fn done,
                    void *data, bv_error **err);

#endif
