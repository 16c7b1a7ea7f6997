/*
 * op.h - how modules make operations. See doc/dev/op.md.
 *
 * The maker creates an op, keeps it (one reference) and completes it once with bvi_op_complete(),
 * from anywhere on the context's thread: `finish` is always called from dispatch. Cancelling calls
 * `cancel` from dispatch; the maker then winds down and still completes, usually with
 * BV_E_CANCELLED.
 */
#ifndef BVI_IO_OP_H
#define BVI_IO_OP_H

#include <blockvisor/op.h>

#include "io/loop.h"

typedef struct bvi_op_vtable {
    const char *name;
    void (*cancel)(bv_op *op, void *data); /* NULL: cannot be cancelled, runs to its end */
    void (*finish)(bv_op *op, const bv_error *err,
                   void *data); /* tell the user; then free data. Once. */
} bvi_op_vtable;

/* The new op carries one reference for the maker, released by bvi_op_complete(). Take another for
 * the user. */
int bvi_op_new(bv_ctx *ctx, const bvi_op_vtable *vtable, void *data, bv_op **ret_op,
               bv_error **err);
void *bvi_op_data(const bv_op *op);
bool bvi_op_is_cancelled(const bv_op *op); /* somebody asked for it */
/* Takes over err (NULL for success) and the maker's reference. A second call is a mistake (assert).
 */
void bvi_op_complete(bv_op *op, bv_error *err);
/* Rate limited here; fill everything but size. */
void bvi_op_report(bv_op *op, const bv_progress *progress);

#endif
