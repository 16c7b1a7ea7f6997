/*
 * scan.h - the files below a directory that an upload takes, with what tells whether one changed
 * since.
 */
#ifndef BVI_TRANSFER_SCAN_H
#define BVI_TRANSFER_SCAN_H

#include <sys/stat.h>

#include "transfer/chunk.h"

#define BVI_SCAN_DEPTH_MAX    128u /* directories inside each other */
#define BVI_SCAN_PATTERNS_MAX 1000u

/* Two equal stamps: the file has not been written to, replaced or cut in between. */
typedef struct bvi_file_stamp {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
} bvi_file_stamp;

typedef struct bvi_scan_file {
    char *path; /* relative, owned */
    bvi_file_stamp stamp;
} bvi_scan_file;

typedef struct bvi_scan {
    BVI_VEC(bvi_scan_file) files; /* sorted by bvi_target_path_compare() */
    uint64_t total_size;
    uint64_t skipped_links;   /* symbolic links: upstream archives cannot hold them */
    uint64_t skipped_special; /* sockets, pipes, devices */
    uint64_t excluded;        /* entries that matched a pattern */
} bvi_scan;

typedef struct bvi_scan_opts {
    const char *const *exclude; /* patterns, NULL-terminated; NULL: none. A directory that matches
                                   is not entered */
    const char *skip_dir; /* a directory never entered, by identity (our own state); NULL: none */
    bool (*cancelled)(void *data); /* asked between directories; NULL: never */
    void *data;
} bvi_scan_opts;

void bvi_scan_init(bvi_scan *scan);
void bvi_scan_done(bvi_scan *scan);
/* Blocking; any thread. The scan is initialised and empty. Symbolic links are never followed. */
int bvi_scan_run(bvi_scan *scan, int dir_fd, const bvi_scan_opts *opts, bv_error **err);
const bvi_scan_file *bvi_scan_find(const bvi_scan *scan, const char *path); /* NULL: none */

bvi_file_stamp bvi_file_stamp_of(const struct stat *st);
bool bvi_file_stamp_equal(const bvi_file_stamp *a, const bvi_file_stamp *b);

#endif
