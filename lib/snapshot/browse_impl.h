/*
 * browse_impl.h - what the three ways of looking into snapshots share: an operation, and pages that
 * come one after the other.
 */
#ifndef BVI_SNAPSHOT_BROWSE_IMPL_H
#define BVI_SNAPSHOT_BROWSE_IMPL_H

#include "io/op.h"
#include "snapshot/browse.h"
#include "snapshot/layout.h"

typedef struct bvi_browse bvi_browse;

/* Embedded at the beginning of whoever browses. */
struct bvi_browse {
    bv_ctx *ctx;
    bv_op *op;
    bvi_store *store;
    bvi_snap_browse_done_fn done;
    void *data;
    void (*free)(bvi_browse *b);
    bool busy; /* a request is under way */
    bool completed;
    bv_error *err;
};

int bvi_browse_init(bvi_browse *b, bv_ctx *ctx, const bvi_snap_manifest_opts *opts,
                    bvi_snap_browse_done_fn done, void *data, void (*free_fn)(bvi_browse *b),
                    bv_error **err);
/* Takes err; NULL is success. Once nothing is under way. */
void bvi_browse_complete(bvi_browse *b, bv_error *err);
/* At the beginning of every callback of a request: true if there is more to do. */
bool bvi_browse_goes_on(bvi_browse *b, const bv_error *err);

#endif
