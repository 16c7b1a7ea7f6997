/**
 * @file blockvisor/op.h
 * An operation: something that was started, can report progress, can be cancelled, and completes
 * exactly once.
 *
 * The caller that receives an operation holds one reference to it and releases it with
 * bv_op_unref(), before or after its completion. An operation belongs to its context's thread,
 * except for bv_op_cancel().
 */
#ifndef BLOCKVISOR_OP_H
#define BLOCKVISOR_OP_H

#include <stdint.h>

#include <blockvisor/error.h>

BV_BEGIN_DECLS

typedef struct bv_op bv_op;

/** How far an operation is. Valid during the call only. */
typedef struct bv_progress {
    size_t size;
    const char *phase;    /**< "scan", "transfer", "verify", "publish" ... */
    uint64_t done;        /**< In @p unit. */
    uint64_t total;       /**< 0: not known yet. */
    const char *unit;     /**< "bytes", "chunks" ... */
    uint64_t bytes_per_s; /**< Recent rate, 0 when the unit is not bytes. */
    int64_t eta_ms;       /**< Estimated time to the end, -1 when not known. */
} bv_progress;

/** Called at most ten times a second, from dispatch. */
typedef void (*bv_progress_fn)(bv_op *op, const bv_progress *progress, void *data);

/**
 * Asks for progress reports; NULL ends them.
 * @since 0.1
 */
BV_API void bv_op_on_progress(bv_op *op, bv_progress_fn progress, void *data);

/**
 * Asks a running operation to stop. Its callback still comes, with BV_E_CANCELLED unless it was
 * complete already. Any thread.
 * @since 0.1
 */
BV_API void bv_op_cancel(bv_op *op);

/**
 * @return 1 when the operation has completed, else 0.
 * @since 0.1
 */
BV_API int bv_op_is_done(const bv_op *op);

/**
 * Takes a further reference.
 * @since 0.1
 */
BV_API bv_op *bv_op_ref(bv_op *op);

/**
 * Releases a reference. Does not cancel. NULL is fine.
 * @since 0.1
 */
BV_API void bv_op_unref(bv_op *op);

BV_END_DECLS

#endif
