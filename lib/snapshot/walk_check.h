/*
 * walk_check.h - the rules of a snapshot that span its pages: the order of the walk, parents before
 * their content, continuations behind their file, hard links to files that stand earlier, and sums
 * that are what the root says. Every reader feeds it each entry of each page.
 *
 * Whether a hard link's target is a file of the snapshot can only be told when the files were seen
 * twice: the first time collects targets, the second time finds them. Pure; one thread at a time.
 */
#ifndef BVI_SNAPSHOT_WALK_CHECK_H
#define BVI_SNAPSHOT_WALK_CHECK_H

#include "snapshot/root.h"

/* Different targets of hard links in one snapshot. */
#define BVI_WALK_LINKS_MAX (4u * 1024u * 1024u)

typedef struct bvi_walk_link {
    uint8_t id[16]; /* beginning of the BLAKE3 of the target's path */
    bool found;
} bvi_walk_link;

typedef struct bvi_walk_check {
    char last[BVI_SNAP_PATH_MAX + 1]; /* the entry before */
    bvi_snap_kind last_kind;
    bool any;         /* there was one */
    uint64_t size;    /* of the last file */
    uint64_t end_pos; /* where its last extent ended */
    bool second;      /* targets are known */
    bool loose;       /* pages are left out: only counted, not checked against each other */
    BVI_VEC(bvi_walk_link) links;
    uint64_t entries;
    uint64_t files;
    uint64_t chunks;
    uint64_t bytes;
} bvi_walk_check;

void bvi_walk_check_init(bvi_walk_check *walk);
void bvi_walk_check_done(bvi_walk_check *walk);
/* From the first entry again, now that all targets are known. */
void bvi_walk_check_again(bvi_walk_check *walk);
int bvi_walk_check_entry(bvi_walk_check *walk, const bvi_snap_entry *entry, bv_error **err);
/* The page's numbers are those the root has for it; all of its entries were fed. */
int bvi_walk_check_page(bvi_walk_check *walk, const bvi_snap_page_ref *ref, uint32_t n_entries,
                        uint32_t n_chunks, uint64_t bytes, bv_error **err);
/* Behind the last page. */
int bvi_walk_check_end(const bvi_walk_check *walk, const bvi_snap_root *root, bv_error **err);

#endif
