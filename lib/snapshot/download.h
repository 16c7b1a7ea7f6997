/*
 * download.h - a snapshot into a directory; verifying a store or a directory is the same without
 * writing.
 *
 * What is fetched is only what the directory lacks: chunks that an earlier run made durable, files
 * untouched since they were installed, bytes that lie where they belong already, and bytes of other
 * directories of the host are not. state_dir holds the manifest ("snapshot.json",
 * "snapshot.pages"), which chunks are durable ("download.bits", while it is not complete) and what
 * was installed ("installed.stamps"); all but the bits stay after success, for the next version.
 */
#ifndef BVI_SNAPSHOT_DOWNLOAD_H
#define BVI_SNAPSHOT_DOWNLOAD_H

#include <blockvisor/transfer.h>

#include "snapshot/prepare.h"
#include "transfer/store.h"

#define BVI_SNAP_DOWNLOAD_BITS "download.bits"
#define BVI_SNAP_DOWNLOAD_LOCK "download.lock"
#define BVI_SNAP_PATTERNS_MAX  1000u
#define BVI_SNAP_SEEDS_MAX     16u

/* What differs, as a verification finds it: a file (or other entry) as a whole when len is 0. From
 * dispatch; valid during the call only. */
typedef void (*bvi_snap_differs_fn)(const char *path, uint64_t pos, uint64_t len, void *data);

typedef struct bvi_snap_download_opts {
    bvi_store *store;      /* borrowed until done was called; NULL: COMPARE with what is cached */
    const char *store_key; /* all strings are copied */
    uint64_t version;      /* 0: the latest, or the one an interrupted download began with */
    bvi_snap_mode mode;
    const char *dest_dir;        /* RESTORE: made when missing; CHECK: NULL */
    const char *state_dir;       /* RESTORE: made when missing; else optional */
    const char *const *include;  /* patterns of what is restored, NULL-terminated; NULL: all */
    const char *const *protect;  /* patterns of what is neither written nor deleted; NULL: none */
    const char *const *seeds;    /* directories of this host to take equal bytes from; NULL: none */
    const char *verify_key_file; /* the root must be signed by this key; NULL: need not */
    bool delete_extra;           /* what the snapshot does not have goes */
    bool owners;                 /* restored when we are root */
    bool xattrs;
    bool recheck; /* believes no state: all bytes are read, and only wrong ones are fetched */
    uint32_t max_runners;         /* 0: BVI_SNAP_RUNNERS_DEFAULT */
    uint32_t memory_mib;          /* 0: BV_TRANSFER_MEMORY_MIB_DEFAULT */
    int32_t space_wait_secs;      /* as in blockvisor/transfer.h */
    bv_transfer_status_fn status; /* optional */
    bvi_snap_differs_fn differs;  /* optional; COMPARE and CHECK */
} bvi_snap_download_opts;

/* Steps under way at one time: what one fetches and unpacks is about 4 MiB, 8 at most;
 * with less memory than that for all some of them wait. Of the
 * status reused_bytes are those that were there, wire_bytes those fetched, with pages. */
#define BVI_SNAP_RUNNERS_DEFAULT 4u

/*
 * Cancelling keeps the state; done then has BV_E_CANCELLED. `data` is the last argument of all
 * callbacks. Errors worth handling: BV_E_NOT_FOUND (no such snapshot), BV_E_BUSY (the state
 * directory is in use), BV_E_CHECKSUM (the store is damaged; COMPARE: the directory differs),
 * BV_E_FORMAT (the manifest is refused), BV_E_DENIED (the signature is missing or wrong),
 * BV_E_STATE (something is in the way, or others write to the directory), errno ENOSPC.
 */
int bvi_snap_download_start(bv_ctx *ctx, const bvi_snap_download_opts *opts,
                            bv_transfer_done_fn done, void *data, bv_op **ret_op, bv_error **err);

#endif
