/*
 * staged.c - see staged.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blake3.h"
#include "node/staged.h"
#include "sys/fs.h"

/* One step of a copy. */
#define COPY_PIECE (64u << 20)
/* One step of a digest. */
#define READ_PIECE (256u << 10)

int bvi_staged_open_dir(const char *top, const char *relative, bool make, int *ret_fd,
                        bv_error **err)
{
    bvi_auto_close int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", top);
    r = make ? bvi_fs_mkdir_beneath(fd, relative, 0755, err) : 0;
    if (r == 0)
        r = bvi_fs_open_beneath(fd, relative, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
    return r < 0 ? bvi_wrap(err, r, "'%s'", top) : 0;
}

static int check_plain(int fd, const char *name, uint64_t size, bv_error **err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at staged chunk '%s'", name);
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return bvi_fail(err, BV_E_FORMAT, "staged chunk '%s' is not a plain file of its own", name);
    if ((uint64_t)st.st_size != size)
        return bvi_fail(err, BV_E_FORMAT,
                        "staged chunk '%s' has %" PRId64 " bytes, its manifest says %" PRIu64, name,
                        (int64_t)st.st_size, size);
    return 0;
}

int bvi_staged_open(int dir, const char *name, uint64_t size, int *ret_fd, bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = bvi_fs_open_beneath(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, err);

    if (r == 0)
        r = check_plain(fd, name, size, err);
    if (r == 0)
        *ret_fd = bvi_take_fd(&fd);
    return r;
}

/* All bytes of one file into another: shared where the file system can, else copied. */
static int copy_bytes(int from, int to, uint64_t size, const char *name, bv_error **err)
{
    uint64_t left = size;

    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    while (left > 0) {
        size_t piece = left > COPY_PIECE ? COPY_PIECE : (size_t)left;
        ssize_t n = copy_file_range(from, NULL, to, NULL, piece, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot copy staged chunk '%s' into the store", name);
        if (n == 0)
            return bvi_fail(err, BV_E_FORMAT, "staged chunk '%s' became shorter", name);
        left -= (uint64_t)n;
    }
    return 0;
}

/* Of the file as it is in the store: nobody can change it any more. */
static int check_digest(int fd, const char *name, const uint8_t *digest, bv_error **err)
{
    bvi_auto_free uint8_t *piece = bvi_malloc(READ_PIECE);
    uint8_t found[BVI_BLAKE3_SIZE];
    bvi_blake3 hash;
    ssize_t n;

    if (!piece)
        return bvi_fail_nomem(err);
    bvi_blake3_init(&hash);
    for (off_t at = 0; (n = pread(fd, piece, READ_PIECE, at)) != 0; at += n) {
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s' back", name);
        bvi_blake3_update(&hash, piece, (size_t)n);
    }
    bvi_blake3_final(&hash, found);
    return memcmp(found, digest, sizeof(found)) == 0
               ? 0
               : bvi_fail(err, BV_E_CHECKSUM, "staged file '%s' is not what its name says", name);
}

static int fill(int to, int from, const char *name, uint64_t size, const uint8_t *digest,
                bv_error **err)
{
    int r = copy_bytes(from, to, size, name, err);

    if (r == 0)
        r = check_plain(to, name, size, err);
    if (r == 0 && digest)
        r = check_digest(to, name, digest, err);
    if (r == 0 && fdatasync(to) < 0)
        r = bvi_fail_sys(err, errno, "cannot sync '%s'", name);
    return r;
}

int bvi_staged_copy(int store, int from, const char *name, uint64_t size, const uint8_t *digest,
                    bv_error **err)
{
    bvi_auto_free char *temporary = NULL;
    bvi_auto_close int to = -1;
    struct stat st;
    int r;

    /* Of each staged file its own: two nodes may stage the same content at once. */
    if (fstat(from, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at staged file '%s'", name);
    temporary = bvi_asprintf(".%s.%" PRIu64 ".part", name, (uint64_t)st.st_ino);
    if (!temporary)
        return bvi_fail_nomem(err);
    (void)unlinkat(store, temporary, 0); /* of a try that was cut off; openat() tells the rest */
    to = openat(store, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (to < 0)
        return bvi_fail_sys(err, errno, "cannot make '%s' in the store", name);
    r = fill(to, from, name, size, digest, err);
    if (r == 0 && renameat(store, temporary, store, name) < 0)
        r = bvi_fail_sys(err, errno, "cannot put '%s' in its place", name);
    if (r < 0)
        (void)unlinkat(store, temporary, 0); /* the version stays incomplete in any case */
    return r;
}
