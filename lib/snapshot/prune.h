/*
 * prune.h - removing old versions of a store key, and the packs nobody needs any longer, while
 * uploads go on (doc/snapshot-format.md, "Publishing and removal").
 *
 * A prune that was interrupted anywhere is run again: nothing it removed was reachable, and what it
 * left is found by the next one. One prune of a key at a time. It reads the roots and pages of what
 * stays, so it takes 64 bytes of memory for each pack and one page; packs are listed page by page.
 */
#ifndef BVI_SNAPSHOT_PRUNE_H
#define BVI_SNAPSHOT_PRUNE_H

#include "io/op.h"
#include "transfer/store.h"

#define BVI_PRUNE_GRACE_SECS (24ll * 3600)
#define BVI_PRUNE_KEEP_MAX   10000u
/* The mark of a prune that did not renew it for so long counts no longer. */
#define BVI_PRUNE_MARK_SECS 3600ll
#define BVI_PRUNE_MARK_MAX  4096u

typedef struct bvi_snap_prune_opts {
    bvi_store *store;      /* borrowed until done was called */
    const char *store_key; /* copied */
    uint32_t keep_last;    /* versions, archives and snapshots together; 0: all of them */
    const uint64_t *keep;  /* versions to be kept besides; copied */
    size_t n_keep;
    int64_t grace_secs; /* younger packs stay; negative: BVI_PRUNE_GRACE_SECS */
    bool dry_run;       /* looks and counts, and changes nothing */
} bvi_snap_prune_opts;

typedef struct bvi_snap_prune_report {
    uint64_t versions;         /* there were */
    uint64_t versions_removed; /* or would be, of a dry run; likewise below */
    const uint64_t *removed;   /* these; valid during the call only */
    uint64_t packs;            /* there were */
    uint64_t pack_bytes;
    uint64_t packs_removed;
    uint64_t bytes_removed;     /* of packs, and of archives' objects */
    uint64_t objects_removed;   /* packs included */
    uint64_t packs_young;       /* not needed, but kept for the grace period */
    uint64_t packs_reserved;    /* not needed, but kept because of uploads under way */
    uint64_t versions_reserved; /* kept because uploads under way build on them */
    uint64_t uploads;           /* under way */
    uint64_t uploads_removed;   /* abandoned ones; not counted by a dry run */
} bvi_snap_prune_report;

/* Once, from dispatch; the report tells what was done until then also after a failure. */
typedef void (*bvi_snap_prune_fn)(bv_op *op, const bv_error *err,
                                  const bvi_snap_prune_report *report, void *data);

/*
 * Errors worth handling: BV_E_BUSY (another prune is under way), BV_E_UNSUPPORTED (the store cannot
 * list), BV_E_CHECKSUM, BV_E_FORMAT, BV_E_NOT_FOUND (a version that stays cannot be read; nothing
 * was removed), BV_E_CANCELLED.
 */
int bvi_snap_prune_start(bv_ctx *ctx, const bvi_snap_prune_opts *opts, bvi_snap_prune_fn done,
                         void *data, bv_op **ret_op, bv_error **err);

/* Whether a prune.json with this text counts at this time; text that is none counts. */
bool bvi_snap_prune_mark_is_alive(const char *text, size_t len, int64_t wall_us);

#endif
