/*
 * dest.c - see dest.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/glob.h"
#include "snapshot/dest.h"
#include "sys/fs.h"

/* Bytes copied between two looks at whether to stop. */
#define COPY_STEP (64u * 1024u * 1024u)
#define COPY_NAME ".bv-copy-%llx"
#define NAME_SIZE 64u

void bvi_dest_init(bvi_dest *dest)
{
    *dest = (bvi_dest){ .fd = -1 };
}

void bvi_dest_done(bvi_dest *dest)
{
    bvi_closep(&dest->fd);
}

int bvi_dest_open(bvi_dest *dest, const char *path, bool writing, bv_error **err)
{
    int r = writing ? bvi_fs_mkdir(path, 0755, err) : 0;
    struct stat st;

    if (r < 0)
        return r;
    dest->path = path;
    dest->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dest->fd < 0 || fstat(dest->fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", path);
    dest->dev = st.st_dev;
    return 0;
}

int bvi_dest_fail(int errnum, const char *verb, const char *dir, const char *name, bv_error **err)
{
    (void)bvi_fail_sys(err, errnum, "cannot %s '%s%s%s'", verb, dir, *dir ? "/" : "", name);
    if (errnum == ENOSPC || errnum == EDQUOT)
        return bvi_wrap(err, BV_E_IO,
                        "no disk space left; free some and start again, what is there is kept");
    return bvi_code_from_errno(errnum);
}

/* ---- patterns ---- */

static bool matches_any(char *const *patterns, const char *path)
{
    for (; patterns && *patterns; patterns++) {
        if (bvi_glob_match(*patterns, path))
            return true;
    }
    return false;
}

static bool matches_around(char *const *patterns, const char *path)
{
    char part[BVI_SNAP_PATH_MAX + 1];
    size_t len = strlen(path);

    if (!patterns || !*patterns || len > BVI_SNAP_PATH_MAX)
        return false;
    memcpy(part, path, len + 1);
    for (;;) {
        char *slash;

        if (matches_any(patterns, part))
            return true;
        slash = strrchr(part, '/');
        if (!slash)
            return false;
        *slash = '\0';
    }
}

bool bvi_dest_is_protected(const bvi_dest *dest, const char *path)
{
    return matches_around(dest->protect, path);
}

bool bvi_dest_is_wanted(const bvi_dest *dest, const char *path)
{
    if (dest->include && *dest->include && !matches_around(dest->include, path))
        return false;
    return !bvi_dest_is_protected(dest, path);
}

/* ---- directories ---- */

void bvi_dest_dir_init(bvi_dest_dir *dir)
{
    dir->fd = -1;
    dir->path[0] = '\0';
}

void bvi_dest_dir_done(bvi_dest_dir *dir)
{
    bvi_closep(&dir->fd);
}

int bvi_dest_enter(const bvi_dest *dest, bvi_dest_dir *dir, const char *path, bv_error **err)
{
    int r;

    if (dir->fd >= 0 && strcmp(dir->path, path) == 0)
        return 0;
    bvi_closep(&dir->fd);
    r = bvi_fs_open_beneath(dest->fd, *path ? path : ".", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0,
                            &dir->fd, err);
    if (r == 0)
        memcpy(dir->path, path, strlen(path) + 1);
    return r;
}

int bvi_dest_make(const bvi_dest *dest, bvi_dest_dir *dir, const char *path, bv_error **err)
{
    bv_error *first = NULL;
    int r = bvi_dest_enter(dest, dir, path, &first);

    if (r != BV_E_NOT_FOUND)
        return r < 0 ? bvi_error_move(err, first) : 0;
    bv_error_free(first);
    r = bvi_fs_mkdir_beneath(dest->fd, path, 0755, err);
    return r < 0 ? r : bvi_dest_enter(dest, dir, path, err);
}

/* ---- removing ---- */

typedef struct removal {
    const bvi_dest *dest;
    uint64_t removed;
    bool kept; /* something protected is left */
} removal;

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); /* only read from */
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int join(char *path, size_t len, const char *name, size_t *ret_len)
{
    size_t name_len = strlen(name);
    size_t at = len > 0 ? len + 1 : 0;

    if (at + name_len > BVI_SNAP_PATH_MAX)
        return BV_E_LIMIT;
    if (len > 0)
        path[len] = '/';
    memcpy(path + at, name, name_len + 1);
    *ret_len = at + name_len;
    return 0;
}

/* Our own state, or another file system that is mounted there. */
static bool is_foreign(const bvi_dest *dest, const struct stat *st)
{
    return st->st_dev != dest->dev ||
           (dest->state_ino && st->st_dev == dest->state_dev && st->st_ino == dest->state_ino);
}

static int remove_at(removal *rm, int dir_fd, const char *name, char *path, size_t path_len,
                     unsigned depth, bv_error **err);

static int remove_content(removal *rm, int fd, char *path, size_t len, unsigned depth,
                          bv_error **err)
{
    BVI_AUTO(close_dir) DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (!dir) {
        (void)close(fd); /* only read from */
        return bvi_fail_nomem(err);
    }
    while (r == 0 && (errno = 0, entry = readdir(dir))) {
        size_t child = 0;

        if (is_dots(entry->d_name))
            continue;
        r = join(path, len, entry->d_name, &child);
        if (r < 0)
            return bvi_fail(err, r, "the path below '%s' is too long to be removed", path);
        r = remove_at(rm, dirfd(dir), entry->d_name, path, child, depth + 1, err);
        path[len] = '\0';
    }
    return r < 0 || !errno ? r : bvi_fail_sys(err, errno, "cannot list '%s'", path);
}

static int remove_at(removal *rm, int dir_fd, const char *name, char *path, size_t path_len,
                     unsigned depth, bv_error **err)
{
    bool kept_before = rm->kept;
    struct stat st;
    int fd;
    int r;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    if (bvi_dest_is_protected(rm->dest, path) || is_foreign(rm->dest, &st)) {
        rm->kept = true;
        return 0;
    }
    if (S_ISDIR(st.st_mode)) {
        if (depth >= BVI_DEST_DEPTH_MAX)
            return bvi_fail(err, BV_E_LIMIT, "'%s' is too deep to be removed; remove it by hand",
                            path);
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return bvi_fail_sys(err, errno, "cannot open '%s'", path);
        rm->kept = false;
        r = remove_content(rm, fd, path, path_len, depth, err);
        if (r < 0 || rm->kept)
            return r;
        rm->kept = kept_before;
    }
    if (unlinkat(dir_fd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
        return bvi_fail_sys(err, errno, "cannot remove '%s'", path);
    rm->removed++;
    return 0;
}

static int remove_name(removal *rm, const bvi_dest_dir *dir, const char *name, bv_error **err)
{
    char path[BVI_SNAP_PATH_MAX + 1];
    size_t len = strlen(dir->path);

    memcpy(path, dir->path, len + 1);
    if (join(path, len, name, &len) < 0)
        return bvi_fail(err, BV_E_LIMIT, "the path of '%s' is too long", name);
    return remove_at(rm, dir->fd, name, path, len, 0, err);
}

int bvi_dest_clear(const bvi_dest *dest, const bvi_dest_dir *dir, const char *name, bv_error **err)
{
    removal rm = { .dest = dest };
    int r = remove_name(&rm, dir, name, err);

    if (r == 0 && rm.kept)
        return bvi_fail(err, BV_E_STATE, "'%s%s%s' is in the way and holds protected files",
                        dir->path, *dir->path ? "/" : "", name);
    return r;
}

int bvi_dest_remove_extra(const bvi_dest *dest, const bvi_dest_dir *dir, const char *name,
                          uint64_t *removed, bv_error **err)
{
    removal rm = { .dest = dest };
    int r = remove_name(&rm, dir, name, err);

    *removed += rm.removed;
    return r;
}

/* ---- several names ---- */

static int copy_extent(int from, int to, off_t at, off_t end, const atomic_bool *stopping)
{
    off_t out = at;

    while (at < end) {
        size_t step = end - at < (off_t)COPY_STEP ? (size_t)(end - at) : COPY_STEP;
        ssize_t n;

        if (stopping && atomic_load(stopping))
            return -ECANCELED;
        n = copy_file_range(from, &at, to, &out, step, 0);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break; /* it became shorter; what is missing is seen as wrong later */
    }
    return 0;
}

/* Holes stay holes. */
static int copy_data(int from, int to, off_t size, const atomic_bool *stopping)
{
    off_t at = 0;
    int r = 0;

    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    if (ftruncate(to, size) < 0)
        return -errno;
    while (r == 0 && at < size && (at = lseek(from, at, SEEK_DATA)) >= 0) {
        off_t end = lseek(from, at, SEEK_HOLE);

        if (end < 0 || end > size)
            end = size;
        r = copy_extent(from, to, at, end, stopping);
        at = end;
    }
    return r == 0 && at < 0 && errno != ENXIO ? -errno : r;
}

/* The copy is complete before it takes the place of the name. */
static int replace_by_copy(const bvi_dest_dir *dir, const char *name, int from,
                           const struct stat *st, const atomic_bool *stopping)
{
    bvi_auto_close int to = -1;
    char copy[NAME_SIZE];
    int r;

    (void)snprintf(copy, sizeof(copy), COPY_NAME, (unsigned long long)st->st_ino); /* fits */
    (void)unlinkat(dir->fd, copy, 0); /* of a run that was killed */
    to = openat(dir->fd, copy, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    r = copy_data(from, to, st->st_size, stopping);
    if (r == 0 && renameat(dir->fd, copy, dir->fd, name) < 0)
        r = -errno;
    if (r < 0)
        (void)unlinkat(dir->fd, copy, 0); /* nothing is lost with it */
    return r;
}

static int unshare(const bvi_dest_dir *dir, const char *name, const atomic_bool *stopping)
{
    bvi_auto_close int fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    struct stat now;

    /* Whoever waited for the lock finds the name with the file that was made meanwhile. */
    if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0 ||
        fstatat(dir->fd, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (now.st_ino != st.st_ino || !S_ISREG(now.st_mode) || now.st_nlink < 2)
        return 0;
    return replace_by_copy(dir, name, fd, &st, stopping);
}

int bvi_dest_unshare(const bvi_dest_dir *dir, const char *name, const atomic_bool *stopping,
                     bv_error **err)
{
    int r = unshare(dir, name, stopping);

    if (r == -ECANCELED)
        return bvi_fail(err, BV_E_CANCELLED, "the copy of '%s' was interrupted", name);
    return r < 0 ? bvi_dest_fail(-r, "copy", dir->path, name, err) : 0;
}

/* ---- what is there ---- */

bool bvi_dest_is_empty(const bvi_dest *dest)
{
    int fd = openat(dest->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BVI_AUTO(close_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir) {
        bvi_closep(&fd);
        return false;
    }
    while ((entry = readdir(dir))) {
        if (!is_dots(entry->d_name))
            return false;
    }
    return true;
}

static int add_usage(int fd, unsigned depth, uint64_t *bytes, uint64_t *entries, bv_error **err)
{
    BVI_AUTO(close_dir) DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (!dir) {
        (void)close(fd); /* only read from */
        return bvi_fail_nomem(err);
    }
    while (r == 0 && (entry = readdir(dir))) {
        struct stat st;
        int child;

        if (is_dots(entry->d_name) ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        ++*entries;
        if (S_ISREG(st.st_mode))
            *bytes += (uint64_t)st.st_blocks * 512;
        if (!S_ISDIR(st.st_mode) || depth >= BVI_DEST_DEPTH_MAX)
            continue;
        child = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0)
            r = add_usage(child, depth + 1, bytes, entries, err);
    }
    return r;
}

int bvi_dest_usage(const bvi_dest *dest, uint64_t *ret_bytes, uint64_t *ret_entries, bv_error **err)
{
    int fd = openat(dest->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *ret_bytes = *ret_entries = 0;
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", dest->path);
    return add_usage(fd, 0, ret_bytes, ret_entries, err);
}
