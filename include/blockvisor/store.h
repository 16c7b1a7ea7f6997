/**
 * @file blockvisor/store.h
 * Looking into a store of snapshots and archives without a host: what it holds, what is in a
 * version, what differs between two; and removing old versions.
 *
 * A call starts an operation, as those of blockvisor/transfer.h do, and ends by calling its last
 * callback exactly once, from dispatch and never from inside the call that started it. Memory does
 * not depend on the size of a snapshot: what is in it comes entry by entry.
 */
#ifndef BLOCKVISOR_STORE_H
#define BLOCKVISOR_STORE_H

#include <blockvisor/host.h>
#include <blockvisor/transfer.h>

BV_BEGIN_DECLS

/** How long bv_store_prune_start() spares what seems unused, unless options say otherwise. */
#define BV_PRUNE_GRACE_SECS_DEFAULT 86400

typedef struct bv_store_opts {
    size_t size;       /**< sizeof(bv_store_opts); lets the struct grow. All strings are copied. */
    const char *store; /**< The store's URI, as in blockvisor/transfer.h. */
    const char *key;   /**< The key in it; NULL: all keys, where a call can look at all. */
    uint64_t data_version;       /**< 0: the latest. */
    const bv_s3_keys *s3_keys;   /**< NULL: as the store's URI says. */
    const char *const *mirrors;  /**< Further stores with the same content to read from,
                                    NULL-terminated; NULL: none. */
    const char *verify_key_file; /**< PEM: refuse what this Ed25519 key did not sign. */
} bv_store_opts;

#define BV_STORE_OPTS_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(bv_store_opts)                                                              \
    }

/** Called once. @p err is NULL on success; valid during the call only. */
typedef void (*bv_store_done_fn)(bv_op *op, const bv_error *err, void *data);

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

/* ---- what is in a snapshot ---- */

/** What an entry of a snapshot is. Values are never reused. */
typedef enum bv_entry_kind {
    BV_ENTRY_DIRECTORY = 1,
    BV_ENTRY_FILE = 2,
    BV_ENTRY_SYMLINK = 4,
    BV_ENTRY_HARDLINK = 5 /**< A further name of a file that came before. */
} bv_entry_kind;

/** One entry of a snapshot. Valid during the call only. */
typedef struct bv_snapshot_entry {
    size_t size;
    int32_t kind;       /**< A bv_entry_kind. */
    const char *path;   /**< Below the snapshot's directory, which itself is "". */
    const char *target; /**< Where a link points; NULL for others. */
    uint64_t bytes;     /**< Size of a file, holes included. */
    uint32_t mode;      /**< Permissions, 07777. */
    uint32_t uid;
    uint32_t gid;
    int64_t mtime_s; /**< Since 1970-01-01 UTC. */
    uint32_t mtime_ns;
} bv_snapshot_entry;

/** Called for each entry, from dispatch; a negative bv_code ends the operation with it. */
typedef int (*bv_snapshot_entry_fn)(bv_op *op, const bv_snapshot_entry *entry, void *data);

/**
 * Tells every entry of a snapshot: a directory before what is in it, names ascending by bytes.
 *
 * @param done  Errors worth handling: BV_E_NOT_FOUND (no such snapshot; archives do not say what is
 * in them), BV_E_FORMAT, BV_E_CHECKSUM (its pages are damaged), BV_E_DENIED (its signature).
 * @param data  Last argument of both callbacks.
 * @return 0, BV_E_INVALID, BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_store_files_start(bv_ctx *ctx, const bv_store_opts *opts, bv_snapshot_entry_fn entry,
                                bv_store_done_fn done, void *data, bv_op **ret_op, bv_error **err);

/** Called for bytes of a file in their order, from dispatch; a negative bv_code ends it. */
typedef int (*bv_snapshot_bytes_fn)(bv_op *op, const void *bytes, size_t len, void *data);

/**
 * Reads one file of a snapshot; holes come as zeros.
 *
 * @param path  Of the file in the snapshot; copied.
 * @param done  BV_E_NOT_FOUND (no such snapshot or path), BV_E_INVALID (it is not a file), and as
 * bv_store_files_start().
 * @return 0, BV_E_INVALID, BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_store_cat_start(bv_ctx *ctx, const bv_store_opts *opts, const char *path,
                              bv_snapshot_bytes_fn bytes, bv_store_done_fn done, void *data,
                              bv_op **ret_op, bv_error **err);

/** What happened to a path from one version to another. Values are never reused. */
typedef enum bv_change {
    BV_CHANGE_ADDED = 1,
    BV_CHANGE_REMOVED = 2,
    BV_CHANGE_CHANGED = 3, /**< Its content, or what it is. */
    BV_CHANGE_TOUCHED = 4  /**< Mode, owner, time or target only. */
} bv_change;

/** One difference. Valid during the call only. */
typedef struct bv_snapshot_change {
    size_t size;
    int32_t change;   /**< A bv_change. */
    int32_t kind;     /**< A bv_entry_kind, in the newer version unless it was removed. */
    const char *path; /**< Below the snapshot's directory. */
    uint64_t bytes;   /**< Size of the file. */
    uint64_t
        changed_bytes; /**< Added or removed: of its data. Changed: of the pieces that differ. */
} bv_snapshot_change;

/** Called for each difference, from dispatch; a negative bv_code ends the operation with it. */
typedef int (*bv_snapshot_change_fn)(bv_op *op, const bv_snapshot_change *change, void *data);

/**
 * Compares two snapshots of a key without reading their data.
 *
 * @param opts         data_version is the newer one.
 * @param old_version  The other one.
 * @param done         As bv_store_files_start().
 * @return 0, BV_E_INVALID, BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_store_diff_start(bv_ctx *ctx, const bv_store_opts *opts, uint64_t old_version,
                               bv_snapshot_change_fn change, bv_store_done_fn done, void *data,
                               bv_op **ret_op, bv_error **err);

/* ---- removing ---- */

typedef struct bv_prune_opts {
    size_t size;          /**< sizeof(bv_prune_opts); lets the struct grow. */
    uint32_t keep_last;   /**< How many versions stay, both formats together; 0: all. */
    const uint64_t *keep; /**< Versions that stay besides; copied. */
    size_t keep_count;
    int64_t grace_secs; /**< What seems unused but is younger stays, as an upload may be about
                           to use it. 0: BV_PRUNE_GRACE_SECS_DEFAULT; negative: none. */
    int32_t dry_run;    /**< Not 0: only tells what would be done. */
} bv_prune_opts;

#define BV_PRUNE_OPTS_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(bv_prune_opts)                                                              \
    }

/**
 * Removes old versions of a key, and data that no version needs any longer, while uploads go on.
 * Interrupted, it is simply run again.
 *
 * @param opts   Names the key. Its version is not looked at.
 * @param done   `{key, dry_run, versions, versions_removed, removed: [N...], packs, pack_bytes,
 * packs_removed, bytes_removed, objects_removed, packs_young, packs_reserved, versions_reserved,
 * uploads, uploads_removed}`. Errors worth handling: BV_E_BUSY (another one is at work),
 * BV_E_UNSUPPORTED (the store cannot list or remove), BV_E_CHECKSUM and BV_E_FORMAT (a version that
 * stays cannot be read: nothing was removed), BV_E_CANCELLED.
 * @return 0, BV_E_INVALID, BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_store_prune_start(bv_ctx *ctx, const bv_store_opts *opts, const bv_prune_opts *prune,
                                bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err);

BV_END_DECLS

#endif
