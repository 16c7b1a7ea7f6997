/*
 * spool.c - see spool.h. Used by the runners of upload_run.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/fs.h"
#include "transfer/spool.h"

/* The disk is told to begin whenever so much was written to a target. */
#define WRITEBACK_BYTES (8u * 1024u * 1024u)

void bvi_spool_init(bvi_spool *spool)
{
    *spool = (bvi_spool){ .fd = -1 };
}

void bvi_spool_done(bvi_spool *spool)
{
    if (spool->fd >= 0 && spool->temp)
        (void)unlink(spool->temp); /* what stays is pruned with the reservation */
    bvi_closep(&spool->fd);
    bvi_free(spool->path);
    bvi_free(spool->temp);
    bvi_spool_init(spool);
}

/* File systems without O_TMPFILE: a name for a moment. */
static int open_and_unlink(bvi_spool *spool, const char *dir, bv_error **err)
{
    bvi_auto_free char *name = bvi_path_join(dir, "spool-XXXXXX", NULL);

    if (!name)
        return bvi_fail_nomem(err);
    spool->fd = mkostemp(name, O_CLOEXEC);
    if (spool->fd < 0 || unlink(name) < 0)
        return bvi_fail_sys(err, errno, "cannot make a spool file in '%s'", dir);
    return 0;
}

int bvi_spool_open_unnamed(bvi_spool *spool, const char *dir, bv_error **err)
{
    spool->fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (spool->fd >= 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)
        return open_and_unlink(spool, dir, err);
    return bvi_fail_sys(err, errno, "cannot make a spool file in '%s'", dir);
}

int bvi_spool_open_target(bvi_spool *spool, const char *path, bv_error **err)
{
    spool->path = bvi_strdup(path);
    spool->temp = bvi_asprintf("%s.part", path);
    if (!spool->path || !spool->temp)
        return bvi_fail_nomem(err);
    /* Only the holder of the reservation writes here, so a left-over is ours and may go. */
    if (unlink(spool->temp) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot remove '%s'", spool->temp);
    spool->fd = open(spool->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (spool->fd < 0)
        return bvi_fail_sys(err, errno, "cannot make '%s'", spool->temp);
    return 0;
}

int bvi_spool_write(bvi_spool *spool, const void *bytes, size_t len, bv_error **err)
{
    int r = len > 0 ? bvi_fs_write_all(spool->fd, bytes, len) : 0;

    if (r == -ENOSPC || r == -EDQUOT) {
        (void)bvi_fail_sys(err, -r, "cannot write '%s'",
                           spool->temp ? spool->temp : "a spool file");
        return bvi_wrap(err, BV_E_IO,
                        "no disk space left for packed chunks; free some and start again");
    }
    if (r < 0)
        return bvi_fail_sys(err, -r, "cannot write '%s'",
                            spool->temp ? spool->temp : "a spool file");
    spool->size += len;
    if (spool->path && spool->size - spool->started >= WRITEBACK_BYTES) {
        /* Only a hint; the sync in commit is what must succeed. */
        (void)sync_file_range(spool->fd, (off_t)spool->started,
                              (off_t)(spool->size - spool->started), SYNC_FILE_RANGE_WRITE);
        spool->started = spool->size;
    }
    return 0;
}

int bvi_spool_commit(bvi_spool *spool, bv_error **err)
{
    const char *slash;
    bvi_auto_free char *dir = NULL;

    if (fdatasync(spool->fd) < 0)
        return bvi_fail_sys(err, errno, "cannot sync '%s'", spool->temp);
    if (rename(spool->temp, spool->path) < 0)
        return bvi_fail_sys(err, errno, "cannot rename '%s'", spool->temp);
    bvi_closep(&spool->fd);
    slash = strrchr(spool->path, '/');
    dir = slash ? bvi_strndup(spool->path, slash > spool->path ? (size_t)(slash - spool->path) : 1)
                : bvi_strdup(".");
    return dir ? bvi_fs_sync_dir(dir, err) : bvi_fail_nomem(err);
}
