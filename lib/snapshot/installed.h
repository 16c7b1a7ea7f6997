/*
 * installed.h - what the last successful download left in its directory: for each file's part of a
 * page its recipe (layout.h) and the file's stamp. A file whose recipe and stamp are still the same
 * need not be read again.
 *
 * A file of records in the order of the walk, written beside the old one and put in its place at
 * the end; both sides are streams, so memory does not depend on the number of files. Blocking; one
 * thread at a time.
 */
#ifndef BVI_SNAPSHOT_INSTALLED_H
#define BVI_SNAPSHOT_INSTALLED_H

#include <stdio.h>
#include <sys/stat.h>

#include "snapshot/layout.h"

#define BVI_SNAP_INSTALLED "installed.stamps"

typedef struct bvi_installed_stamp {
    uint8_t recipe[BVI_RECIPE_SIZE];
    uint64_t inode;
    uint64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
} bvi_installed_stamp;

typedef struct bvi_installed_reader {
    FILE *file; /* NULL: nothing to read, or no more */
    char path[BVI_SNAP_PATH_MAX + 1];
    bvi_installed_stamp stamp;
    bool have; /* path and stamp are the next record */
} bvi_installed_reader;

void bvi_installed_reader_open(bvi_installed_reader *reader, const char *path);
void bvi_installed_reader_done(bvi_installed_reader *reader);
/* Called in the order of the walk: is this file as it was installed, with this content? */
bool bvi_installed_is(bvi_installed_reader *reader, const char *path,
                      const uint8_t recipe[BVI_RECIPE_SIZE], const struct stat *st);

typedef struct bvi_installed_writer {
    FILE *file;
    char *path;
    char *temporary;
} bvi_installed_writer;

int bvi_installed_writer_open(bvi_installed_writer *writer, const char *path, bv_error **err);
int bvi_installed_add(bvi_installed_writer *writer, const char *path,
                      const uint8_t recipe[BVI_RECIPE_SIZE], const struct stat *st, bv_error **err);
int bvi_installed_writer_commit(bvi_installed_writer *writer, bv_error **err);
void bvi_installed_writer_done(bvi_installed_writer *writer);

#endif
