/*
 * plan.h - what an upload has to read: the walk of the directory joined with what the version it
 * builds on says of it, cut into units.
 *
 * A file is not read when its stamp is that of the earlier upload, and old enough to be trusted;
 * its chunks are then those of the earlier version. Small files are bundled; where a bundle ends
 * depends on the path and size of its files alone, so that a change moves no bundle further on
 * (doc/snapshot-format.md). Blocking; for a worker; one thread at a time.
 */
#ifndef BVI_SNAPSHOT_PLAN_H
#define BVI_SNAPSHOT_PLAN_H

#include "snapshot/stamps.h"
#include "snapshot/unit.h"

/* Most bytes a bundle's entries take in a page, so that they fit in one with their chunk. */
#define BVI_PLAN_BUNDLE_ROOM (BVI_SNAP_PAGE_MAX / 2)

typedef struct bvi_plan bvi_plan;

typedef struct bvi_plan_opts {
    bvi_tree_walk_opts walk;
    const char *old_stamps;     /* path; NULL: every file is read */
    bool old_has_head;          /* false: this upload wrote them, a moment ago */
    const bvi_page_cache *base; /* what the old stamps speak of; NULL: every file is read */
    int64_t before_ns;          /* changed later: not trusted */
    const char *new_stamps;     /* path; written anew */
} bvi_plan_opts;

typedef struct bvi_plan_sums {
    uint64_t bytes; /* sizes of files */
    uint64_t files;
    uint64_t entries;
    uint64_t known_bytes; /* of files that are not read */
} bvi_plan_sums;

int bvi_plan_new(const bvi_plan_opts *opts, bvi_plan **ret_plan, bv_error **err);
void bvi_plan_free(bvi_plan *plan);
BVI_DEFINE_FREEP(bvi_plan, bvi_plan_free)
/* Appends some units. 1: there may be more; 0: that was all, and the new stamps are written but for
 * their head; BV_E_CHECKSUM: the earlier version is not what the stamps speak of. */
int bvi_plan_step(bvi_plan *plan, bvi_unit_list *units, bv_error **err);
const bvi_plan_sums *bvi_plan_result(const bvi_plan *plan);
const bvi_tree_counts *bvi_plan_counts(const bvi_plan *plan);
bvi_stamps_writer *bvi_plan_stamps(bvi_plan *plan); /* borrowed */

/* Walks the directory again and compares. BV_E_STATE: says what changed. */
int bvi_plan_recheck(const bvi_tree_walk_opts *walk, const char *stamps, bv_error **err);

/* A hash of a path that means the same everywhere: FNV-1a, 64 bits, its bits mixed. */
uint64_t bvi_plan_path_hash(const char *path);

#endif
