/*
 * settle.h - the second pass over a restored tree, when all data is in place: sizes, owners, modes
 * and times of what was not finished while it was written, hard links, directories' own times when
 * nothing in them changes any more, and what the snapshot does not have. Blocking; pages in their
 * order, one at a time.
 */
#ifndef BVI_SNAPSHOT_SETTLE_H
#define BVI_SNAPSHOT_SETTLE_H

#include "snapshot/dest.h"
#include "snapshot/installed.h"
#include "snapshot/layout.h"

/* Names of directories the walk is in at one time, when others are deleted. */
#define BVI_SETTLE_NAMES_MAX (64u * 1024u * 1024u)

/* A directory the walk is in. */
typedef struct bvi_settle_level {
    size_t path_len;
    size_t first_name; /* of those in it, in names */
    bvi_layout_item meta;
    bool wanted;  /* itself */
    bool touched; /* something wanted lies below */
} bvi_settle_level;

typedef struct bvi_settle {
    const bvi_dest *dest;
    bool xattrs;
    bool delete_extra;
    bvi_installed_writer *installed; /* borrowed; NULL: none */
    char path[BVI_SNAP_PATH_MAX + 1];
    bvi_dest_dir dir;
    bvi_dest_dir other; /* where the target of a hard link lies */
    BVI_VEC(bvi_settle_level) levels;
    BVI_VEC(uint64_t) names; /* hashes */
    uint64_t removed;        /* entries the snapshot does not have */
    uint64_t skipped;        /* hard links to what is not wanted here */
} bvi_settle;

void bvi_settle_init(bvi_settle *settle);
void bvi_settle_done(bvi_settle *settle);
/* `page` is the one the plan was made from. */
int bvi_settle_page(bvi_settle *settle, const bvi_layout *plan, const bvi_page *page,
                    bv_error **err);
int bvi_settle_end(bvi_settle *settle, bv_error **err); /* leaves the directories */

#endif
