/*
 * prepare.h - makes a directory ready for one page of a snapshot, or only looks: directories are
 * made, what is in the way goes, files that have several chunks are set up, and each chunk's state
 * is decided. Blocking; pages in their order, one at a time.
 */
#ifndef BVI_SNAPSHOT_PREPARE_H
#define BVI_SNAPSHOT_PREPARE_H

#include "snapshot/bits.h"
#include "snapshot/dest.h"
#include "snapshot/installed.h"
#include "snapshot/layout.h"

typedef enum bvi_snap_mode {
    BVI_SNAP_RESTORE, /* write what is missing */
    BVI_SNAP_COMPARE, /* a directory with the snapshot; writes nothing */
    BVI_SNAP_CHECK,   /* the store alone */
} bvi_snap_mode;

typedef struct bvi_prepare {
    bvi_snap_mode mode;
    bool recheck;                    /* believe neither bits nor stamps */
    bool seeds;                      /* there are other directories to look into */
    const bvi_dest *dest;            /* borrowed; NULL: CHECK */
    const atomic_bool *stopping;     /* borrowed; a long copy asks; NULL: never */
    bvi_bits *bits;                  /* borrowed; NULL: none */
    bvi_installed_reader *installed; /* borrowed; NULL: none */
    /* A directory that was empty or not there: nothing below it needs to be looked for. */
    bool in_new_dir;
    char new_dir[BVI_SNAP_PATH_MAX + 1];
    bool new_file; /* the last file was not there before, so neither is what goes on in the next
                      page */
    /* of the last page */
    uint64_t resumed_chunks; /* done by an earlier run */
    uint64_t kept_bytes;     /* of chunks that need not be looked at */
} bvi_prepare;

/* `last`: no page follows. */
int bvi_prepare_page(bvi_prepare *p, bvi_layout *plan, bool last, bv_error **err);

#endif
