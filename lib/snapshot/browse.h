/*
 * browse.h - looking into snapshots without restoring them: what is in a version, one file of it,
 * and what differs between two.
 *
 * Each is an operation; pages come one after the other, so memory does not depend on the size of
 * the snapshot. Callbacks come from dispatch, and what they are given is valid during the call
 * only; a negative return ends the operation with that code. Which versions there are is a question
 * to the store (BVI_STORE_LIST).
 */
#ifndef BVI_SNAPSHOT_BROWSE_H
#define BVI_SNAPSHOT_BROWSE_H

#include <blockvisor/op.h>

#include "snapshot/manifest.h"

typedef void (*bvi_snap_browse_done_fn)(bv_op *op, const bv_error *err, void *data);

/* ---- what is in a version ---- */

/* Every entry in the order of the walk. A file of several pages comes once, with the extents of its
 * first one. */
typedef int (*bvi_snap_entry_fn)(const bvi_snap_root *root, const bvi_snap_entry *entry,
                                 void *data);

int bvi_snap_files_start(bv_ctx *ctx, const bvi_snap_manifest_opts *opts, bvi_snap_entry_fn fn,
                         bvi_snap_browse_done_fn done, void *data, bv_op **ret_op, bv_error **err);

/* ---- one file ---- */

/* The file's bytes from its first to its last, holes as zeros. */
typedef int (*bvi_snap_bytes_fn)(const void *bytes, size_t len, void *data);

/* A hard link is as good as its file. BV_E_NOT_FOUND; BV_E_INVALID for what has no bytes. */
int bvi_snap_cat_start(bv_ctx *ctx, const bvi_snap_manifest_opts *opts, const char *path,
                       bvi_snap_bytes_fn fn, bvi_snap_browse_done_fn done, void *data,
                       bv_op **ret_op, bv_error **err);

/* ---- what differs ---- */

typedef enum bvi_snap_change {
    BVI_SNAP_ADDED,
    BVI_SNAP_REMOVED,
    BVI_SNAP_CHANGED, /* content, or what it is */
    BVI_SNAP_TOUCHED, /* mode, owner, time or target only */
} bvi_snap_change;

typedef struct bvi_snap_difference {
    bvi_snap_change change;
    const char *path;
    bvi_snap_kind kind;  /* in the newer one; REMOVED: in the older one */
    uint64_t size;       /* of the same */
    uint64_t data_bytes; /* ADDED, REMOVED: of data; CHANGED: of pieces of chunks that are not
                           where they were */
} bvi_snap_difference;

typedef int (*bvi_snap_difference_fn)(const bvi_snap_difference *difference, void *data);

/*
 * From `old_version` to opts->version, of one store and key, in the order of the walk. Small files
 * share chunks with their neighbours; such a file counts as unchanged when its size and time are.
 */
int bvi_snap_diff_start(bv_ctx *ctx, const bvi_snap_manifest_opts *opts, uint64_t old_version,
                        bvi_snap_difference_fn fn, bvi_snap_browse_done_fn done, void *data,
                        bv_op **ret_op, bv_error **err);

#endif
