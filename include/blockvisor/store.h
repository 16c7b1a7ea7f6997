/**
 * @file blockvisor/store.h
 * Looking into a store of snapshots and archives without a host: what it holds.
 *
 * A call starts an operation, as those of blockvisor/transfer.h do, and ends by calling its @ref
 * bv_reply_fn exactly once, from dispatch and never from inside the call that started it. Answers
 * are documents (blockvisor/doc.h), the same that a host gives.
 */
#ifndef BLOCKVISOR_STORE_H
#define BLOCKVISOR_STORE_H

#include <blockvisor/host.h>
#include <blockvisor/transfer.h>

BV_BEGIN_DECLS

typedef struct bv_store_opts {
    size_t size;       /**< sizeof(bv_store_opts); lets the struct grow. All strings are copied. */
    const char *store; /**< The store's URI, as in blockvisor/transfer.h. */
    const char *key;   /**< The key in it; NULL: all keys, where a call can look at all. */
} bv_store_opts;

#define BV_STORE_OPTS_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(bv_store_opts)                                                              \
    }

/**
 * Lists the complete versions in a store: `{snapshots: [...]}`, documents as in
 * blockvisor/snapshot.h, in the order of their keys and versions.
 *
 * @param done  Errors worth handling: BV_E_NOT_FOUND (no such store or key), BV_E_DENIED,
 * BV_E_UNSUPPORTED (a web server cannot be listed), BV_E_CANCELLED.
 * @param ret_op  On success the operation; the caller releases it with bv_op_unref(). May be NULL.
 * @return 0, BV_E_INVALID, BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_store_list_start(bv_ctx *ctx, const bv_store_opts *opts, bv_reply_fn done, void *data,
                               bv_op **ret_op, bv_error **err);

BV_END_DECLS

#endif
