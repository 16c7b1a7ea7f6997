/*
 * tree_walk.h - the entries of a directory tree in the order of a snapshot: a directory before what
 * is in it, the names of one directory ascending by bytes.
 *
 * Only the names of the directories on the way to the current entry are in memory. Symbolic links
 * are never followed, also not when a directory is swapped for one meanwhile. Blocking; for a
 * worker; one thread at a time.
 */
#ifndef BVI_SNAPSHOT_TREE_WALK_H
#define BVI_SNAPSHOT_TREE_WALK_H

#include <stdatomic.h>

#include "snapshot/format.h"
#include "transfer/scan.h"

#define BVI_TREE_PATTERNS_MAX 1000u
/* Bytes of names of one directory, and of all first names of hard links. */
#define BVI_TREE_NAMES_MAX (1u << 30)
#define BVI_TREE_LINKS_MAX (1u << 20)

typedef struct bvi_tree_walk bvi_tree_walk;

typedef struct bvi_tree_walk_opts {
    int dir_fd;                 /* borrowed */
    const char *const *exclude; /* patterns, NULL-terminated, borrowed; NULL: none. What matches is
                                   not entered */
    const char *const *protect; /* the same; counted apart */
    const char *skip_dir;       /* never entered, by identity (our own state); NULL: none */
    bool xattrs;
    bool no_owners;              /* owner and group are 0 */
    const atomic_bool *stopping; /* asked at each directory; NULL: never */
} bvi_tree_walk_opts;

typedef struct bvi_tree_counts {
    uint64_t special; /* sockets, pipes, devices: left out */
    uint64_t excluded;
    uint64_t protected;
} bvi_tree_counts;

/* Valid until the next call. */
typedef struct bvi_tree_item {
    bvi_snap_entry entry; /* without extents; a file's size is of the moment */
    bvi_file_stamp stamp; /* bvi_tree_stamp_of() */
    uint64_t allocated;   /* bytes on the disk: fewer than the size may mean holes */
} bvi_tree_item;

int bvi_tree_walk_new(const bvi_tree_walk_opts *opts, bvi_tree_walk **ret_walk, bv_error **err);
void bvi_tree_walk_free(bvi_tree_walk *walk);
BVI_DEFINE_FREEP(bvi_tree_walk, bvi_tree_walk_free)
/* 1: *ret_item is the next; 0: no more. What vanishes meanwhile is not there. */
int bvi_tree_walk_next(bvi_tree_walk *walk, bvi_tree_item *ret_item, bv_error **err);
const bvi_tree_counts *bvi_tree_walk_counts(const bvi_tree_walk *walk);

/* What tells whether an entry changed. Of a directory only what a snapshot keeps besides its time,
 * since files that are left out may come and go in it. */
bvi_file_stamp bvi_tree_stamp_of(const struct stat *st);

#endif
