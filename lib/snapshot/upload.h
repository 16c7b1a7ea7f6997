/*
 * upload.h - a directory into a store, as a new version of a snapshot (doc/snapshot-format.md).
 *
 * state_dir holds "snapshot.lock", "snapshot.packs" (what an interrupted upload has stored; removed
 * after success) and "snapshot.stamps" (what the last upload saw, so that the next need not read
 * what did not change). All of it may be removed at any time: then more is read, no more is sent.
 */
#ifndef BVI_SNAPSHOT_UPLOAD_H
#define BVI_SNAPSHOT_UPLOAD_H

#include <blockvisor/transfer.h>

#include "snapshot/format.h"
#include "transfer/store.h"

#define BVI_SNAP_JOURNAL_FILE "snapshot.packs"
#define BVI_SNAP_STAMPS_FILE  "snapshot.stamps"
#define BVI_SNAP_LOCK_FILE    "snapshot.lock"

/* A directory that something writes to is looked at so often before the upload fails. */
#define BVI_SNAP_PASSES_MAX 3u
#define BVI_SNAP_GATE_ARGS  64u

/* ---- the gate: who has the last word before a version is published ---- */

typedef struct bvi_snap_gate_info {
    const char *source_dir;
    const char *store_key;
    uint64_t version;
    uint64_t base; /* 0: none */
} bvi_snap_gate_info;

/* Once, from dispatch; err NULL: publish. */
typedef void (*bvi_snap_gate_done_fn)(void *token, const bv_error *err);
/* 0: done comes later, also after a cancel. Negative: it does not. */
typedef int (*bvi_snap_gate_fn)(const bvi_snap_gate_info *info, bvi_snap_gate_done_fn done,
                                void *token, void *data, bv_error **err);
typedef void (*bvi_snap_gate_cancel_fn)(void *data);

typedef struct bvi_snap_upload_opts {
    bvi_store *store;      /* borrowed until done was called */
    const char *store_key; /* copied, as all that follows */
    const char *source_dir;
    const char *state_dir;      /* made when missing; never uploaded itself */
    const char *const *exclude; /* patterns, NULL-terminated; NULL: none */
    const char *const *protect; /* the same: never in a snapshot */
    bvi_snap_codec codec;
    int32_t level;
    uint64_t data_version; /* 0: the next one */
    uint32_t max_runners;  /* 0: defaults of transfer.h, of all these */
    uint32_t max_connections;
    uint32_t memory_mib;
    uint64_t bytes_per_s;
    bool xattrs;
    bool no_owners;            /* all files get owner and group 0 */
    bool rehash;               /* every file is read, whatever the stamps say */
    const char *sign_key_file; /* NULL: not signed */
    /* One of them, or none. The command runs with the source directory as its last argument and
     * BV_SNAPSHOT_DIR, BV_SNAPSHOT_KEY and BV_SNAPSHOT_VERSION in its environment. */
    const char *const *gate_argv; /* NULL-terminated */
    int64_t gate_timeout_us;      /* 0: none */
    bvi_snap_gate_fn gate;
    bvi_snap_gate_cancel_fn gate_cancel; /* optional */
    void *gate_data;
    bv_transfer_status_fn status; /* optional */
} bvi_snap_upload_opts;

/*
 * Errors worth handling: BV_E_BUSY (another upload uses the state directory, or has reserved the
 * version), BV_E_EXISTS (the version is complete), BV_E_STATE (something writes to the directory,
 * or the gate refused; the message says which), BV_E_CANCELLED. After all of them another start
 * goes on with what is stored. `data` is the last argument of status and done. Of the status:
 * bytes_done counts what was looked at, stored_done what was sent, data_version is the new one.
 */
int bvi_snap_upload_start(bv_ctx *ctx, const bvi_snap_upload_opts *opts, bv_transfer_done_fn done,
                          void *data, bv_op **ret_op, bv_error **err);

#endif
