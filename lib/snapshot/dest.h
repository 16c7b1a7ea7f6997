/*
 * dest.h - the directory a snapshot is restored into: what may be touched below it, and how,
 * without ever leaving it.
 *
 * Directories are opened with openat2() below its descriptor, names in them without following
 * links. Blocking; the struct is only read, so any number of workers may use it, each with a
 * bvi_dest_dir of its own.
 */
#ifndef BVI_SNAPSHOT_DEST_H
#define BVI_SNAPSHOT_DEST_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "snapshot/format.h"

#define BVI_DEST_DEPTH_MAX 256u /* directories inside each other that are removed or counted */

typedef struct bvi_dest {
    const char *path; /* borrowed; for messages */
    int fd;
    dev_t dev;            /* other file systems mounted below are left alone */
    bool owners;          /* may give files to others: wanted, and we are root */
    dev_t state_dev;      /* our own state, wherever it lies, is not touched */
    ino_t state_ino;      /* 0: none */
    char *const *include; /* patterns, NULL-terminated; NULL: all. Borrowed */
    char *const *protect; /* NULL: none */
} bvi_dest;

void bvi_dest_init(bvi_dest *dest);
int bvi_dest_open(bvi_dest *dest, const char *path, bool writing, bv_error **err);
void bvi_dest_done(bvi_dest *dest);
bool bvi_dest_is_empty(const bvi_dest *dest);

/* A path or one of the directories around it matches. */
bool bvi_dest_is_protected(const bvi_dest *dest, const char *path);
bool bvi_dest_is_wanted(const bvi_dest *dest, const char *path); /* included and not protected */

/* One directory below it, kept open for neighbours. */
typedef struct bvi_dest_dir {
    int fd; /* O_PATH; -1: none */
    char path[BVI_SNAP_PATH_MAX + 1];
} bvi_dest_dir;

void bvi_dest_dir_init(bvi_dest_dir *dir);
void bvi_dest_dir_done(bvi_dest_dir *dir);
/* BV_E_NOT_FOUND when there is no such directory, or not below dest. */
int bvi_dest_enter(const bvi_dest *dest, bvi_dest_dir *dir, const char *path, bv_error **err);
/* Makes what is missing of it. */
int bvi_dest_make(const bvi_dest *dest, bvi_dest_dir *dir, const char *path, bv_error **err);

/* Removes what is in the way; a tree that holds protected paths is refused with BV_E_STATE. */
int bvi_dest_clear(const bvi_dest *dest, const bvi_dest_dir *dir, const char *name, bv_error **err);
/* The same without the refusal: protected paths stay, and so do the directories around them.
 * Counts what was removed. */
int bvi_dest_remove_extra(const bvi_dest *dest, const bvi_dest_dir *dir, const char *name,
                          uint64_t *removed, bv_error **err);

/* Gives the name a file of its own, a copy, if its file has others: those are left with what they
 * have. Several may try at a time, also while others read from it; BV_E_CANCELLED when `stopping`
 * (NULL: never). */
int bvi_dest_unshare(const bvi_dest_dir *dir, const char *name, const atomic_bool *stopping,
                     bv_error **err);

/* Bytes that regular files take up on the disk, and how many entries there are. */
int bvi_dest_usage(const bvi_dest *dest, uint64_t *ret_bytes, uint64_t *ret_entries,
                   bv_error **err);

/* A message with what to do about it for ENOSPC and EDQUOT. */
int bvi_dest_fail(int errnum, const char *verb, const char *dir, const char *name, bv_error **err);

#endif
