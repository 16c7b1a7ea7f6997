/*
 * installed.c - see installed.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "snapshot/installed.h"
#include "sys/fs.h"

#define MAGIC "BVSI\1\0\0\0"
/* File systems' clocks tick in milliseconds, and two changes within one tick look like one: the
 * last record must be older than that when the download ends and others may write. */
#define TICK_NS 20000000

static int64_t ns_of(const struct timespec *t)
{
    /* Times beyond 2262 wrap around: still different from others. */
    return (int64_t)((uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec);
}

static bvi_installed_stamp stamp_of(const struct stat *st, const uint8_t *recipe)
{
    bvi_installed_stamp stamp = {
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = ns_of(&st->st_mtim),
        .ctime_ns = ns_of(&st->st_ctim),
    };

    memcpy(stamp.recipe, recipe, BVI_RECIPE_SIZE);
    return stamp;
}

/* ---- reading ---- */

void bvi_installed_reader_done(bvi_installed_reader *reader)
{
    if (reader->file)
        (void)fclose(reader->file); /* only read from */
    reader->file = NULL;
    reader->have = false;
}

static void next_record(bvi_installed_reader *reader)
{
    uint16_t len = 0;

    reader->have = reader->file && fread(&len, sizeof(len), 1, reader->file) == 1 &&
                   len <= BVI_SNAP_PATH_MAX && fread(reader->path, 1, len, reader->file) == len &&
                   fread(&reader->stamp, sizeof(reader->stamp), 1, reader->file) == 1;
    if (reader->have)
        reader->path[len] = '\0';
    else
        bvi_installed_reader_done(reader);
}

void bvi_installed_reader_open(bvi_installed_reader *reader, const char *path)
{
    char magic[sizeof(MAGIC)] = "";

    *reader = (bvi_installed_reader){ .file = fopen(path, "re") };
    if (reader->file && (fread(magic, 1, sizeof(magic) - 1, reader->file) != sizeof(magic) - 1 ||
                         memcmp(magic, MAGIC, sizeof(magic) - 1) != 0))
        bvi_installed_reader_done(reader);
    next_record(reader);
}

bool bvi_installed_is(bvi_installed_reader *reader, const char *path,
                      const uint8_t recipe[BVI_RECIPE_SIZE], const struct stat *st)
{
    bvi_installed_stamp now = stamp_of(st, recipe);
    int order = -1;

    /* A file of several pages has a record for each, in their order. */
    while (reader->have && (order = bvi_snap_path_compare(reader->path, path)) <= 0) {
        bool equal = order == 0 && memcmp(&reader->stamp, &now, sizeof(now)) == 0;

        if (order == 0 && !equal && memcmp(reader->stamp.recipe, recipe, BVI_RECIPE_SIZE) == 0)
            return false;
        next_record(reader);
        if (equal)
            return true;
    }
    return false;
}

/* ---- writing ---- */

int bvi_installed_writer_open(bvi_installed_writer *writer, const char *path, bv_error **err)
{
    writer->path = bvi_strdup(path);
    writer->temporary = bvi_asprintf("%s.new", path);
    if (!writer->path || !writer->temporary)
        return bvi_fail_nomem(err);
    writer->file = fopen(writer->temporary, "we");
    if (!writer->file || fwrite(MAGIC, 1, sizeof(MAGIC) - 1, writer->file) != sizeof(MAGIC) - 1)
        return bvi_fail_sys(err, errno, "cannot write '%s'", writer->temporary);
    return 0;
}

int bvi_installed_add(bvi_installed_writer *writer, const char *path,
                      const uint8_t recipe[BVI_RECIPE_SIZE], const struct stat *st, bv_error **err)
{
    bvi_installed_stamp stamp = stamp_of(st, recipe);
    uint16_t len = (uint16_t)strlen(path);

    if (fwrite(&len, sizeof(len), 1, writer->file) != 1 ||
        fwrite(path, 1, len, writer->file) != len ||
        fwrite(&stamp, sizeof(stamp), 1, writer->file) != 1)
        return bvi_fail_sys(err, errno, "cannot write '%s'", writer->temporary);
    return 0;
}

int bvi_installed_writer_commit(bvi_installed_writer *writer, bv_error **err)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = TICK_NS }, NULL);
    if (fflush(writer->file) != 0 || fdatasync(fileno(writer->file)) < 0)
        return bvi_fail_sys(err, errno, "cannot write '%s'", writer->temporary);
    return bvi_fs_rename(writer->temporary, writer->path, err);
}

void bvi_installed_writer_done(bvi_installed_writer *writer)
{
    if (writer->file)
        (void)fclose(writer->file); /* committed, or not wanted */
    bvi_free(writer->path);
    bvi_free(writer->temporary);
    *writer = (bvi_installed_writer){ 0 };
}
