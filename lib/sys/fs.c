/*
 * fs.c - files: whole reads with a maximum, atomic durable replacement, locks, paths.
 *
 * Used everywhere, the static job runner included, so there is no JSON here (see fs_json.c). Trees
 * are in fs_tree.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "sys/fs.h"

/* Reads start with this and double; most state files fit. */
#define READ_FIRST 4096u
/* Trying again after openat2() lost a race with a rename elsewhere (it says EAGAIN then). */
#define BENEATH_TRIES 16u

/* ---- reading ---- */

static int read_fd(int fd, const char *path, size_t max, char **ret_text, size_t *ret_len,
                   bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(max);
    char *text;

    for (;;) {
        size_t room = buf.len < READ_FIRST ? READ_FIRST : buf.len;
        ssize_t n;
        char extra;

        if (room > max - buf.len)
            room = max - buf.len;
        if (bvi_buf_reserve(&buf, room) < 0)
            return bvi_fail_nomem(err);
        /* At the maximum one more byte is asked for, only to see whether there is one. */
        n = room ? read(fd, buf.data + buf.len, room) : read(fd, &extra, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s'", path);
        if (n == 0)
            break;
        if (!room)
            return bvi_fail(err, BV_E_LIMIT, "'%s' is larger than %zu bytes", path, max);
        buf.len += (size_t)n;
        buf.data[buf.len] = '\0';
    }
    *ret_len = buf.len;
    text = bvi_buf_take(&buf);
    if (!text)
        return bvi_fail_nomem(err);
    *ret_text = text;
    return 0;
}

int bvi_fs_read_at(int dir_fd, const char *name, size_t max, char **ret_text, size_t *ret_len,
                   bv_error **err)
{
    bvi_auto_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", name);
    return read_fd(fd, name, max, ret_text, ret_len, err);
}

int bvi_fs_read(const char *path, size_t max, char **ret_text, size_t *ret_len, bv_error **err)
{
    return bvi_fs_read_at(AT_FDCWD, path, max, ret_text, ret_len, err);
}

/* ---- replacing ---- */

int bvi_fs_write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int bvi_fs_pwrite_all(int fd, const void *bytes, size_t len, uint64_t at)
{
    const char *from = bytes;

    while (len) {
        ssize_t n = pwrite(fd, from, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        from += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* How a file is put in place. */
typedef enum put_how {
    PUT_REPLACE,
    PUT_CREATE,   /* only where there is none */
    PUT_UNSYNCED, /* a replacement that may get lost with the power */
} put_how;

static int write_file(int fd, const void *bytes, size_t len, mode_t mode, put_how how)
{
    int r = bvi_fs_write_all(fd, bytes, len);

    if (r < 0)
        return r;
    if (fchmod(fd, mode) < 0) /* exactly this mode, whatever the umask */
        return -errno;
    return how != PUT_UNSYNCED && fsync(fd) < 0 ? -errno : 0;
}

static int temporary_name(const char *name, char *text, size_t size, bv_error **err)
{
    uint32_t random = 0;
    int r = bvi_random_bytes(&random, sizeof(random), err);

    if (r < 0)
        return r;
    if ((size_t)snprintf(text, size, ".%s.tmp-%08x", name, random) >= size)
        return bvi_fail(err, BV_E_INVALID, "the file name '%s' is too long", name);
    return 0;
}

/* Renames only if there is nothing of the new name. 0 or -errno. */
static int rename_new(int dir_fd, const char *from, const char *to)
{
    if (renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (linkat(dir_fd, from, dir_fd, to, 0) < 0) /* the file system does not know the flag */
        return -errno;
    return unlinkat(dir_fd, from, 0) < 0 ? -errno : 0;
}

static int put_at(int dir_fd, const char *name, const void *bytes, size_t len, mode_t mode,
                  put_how how, bv_error **err)
{
    char temporary[NAME_MAX + 1];
    int r = temporary_name(name, temporary, sizeof(temporary), err);

    if (r < 0)
        return r;
    bvi_auto_close int fd =
        openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot create '%s' beside '%s'", temporary, name);
    r = write_file(fd, bytes, len, mode, how);
    if (r == 0 && how == PUT_CREATE)
        r = rename_new(dir_fd, temporary, name);
    else if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlinkat(dir_fd, temporary, 0); /* the failure that counts is already known */
        return bvi_fail_sys(err, -r, "cannot %s '%s'", how == PUT_CREATE ? "create" : "replace",
                            name);
    }
    if (how != PUT_UNSYNCED && fsync(dir_fd) < 0)
        return bvi_fail_sys(err, errno, "cannot sync the directory of '%s'", name);
    return 0;
}

int bvi_fs_replace_at(int dir_fd, const char *name, const void *bytes, size_t len, mode_t mode,
                      bv_error **err)
{
    return put_at(dir_fd, name, bytes, len, mode, PUT_REPLACE, err);
}

int bvi_fs_create_at(int dir_fd, const char *name, const void *bytes, size_t len, mode_t mode,
                     bv_error **err)
{
    return put_at(dir_fd, name, bytes, len, mode, PUT_CREATE, err);
}

/* Opens the directory a path is in; *ret_name points into path. */
static int open_parent(const char *path, int *ret_fd, const char **ret_name, bv_error **err)
{
    const char *slash = strrchr(path, '/');
    bvi_auto_free char *dir = NULL;
    int fd;

    if (!slash)
        dir = bvi_strdup(".");
    else
        dir = bvi_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!dir)
        return bvi_fail_nomem(err);
    *ret_name = slash ? slash + 1 : path;
    if (!**ret_name || strcmp(*ret_name, ".") == 0 || strcmp(*ret_name, "..") == 0)
        return bvi_fail(err, BV_E_INVALID, "'%s' does not name a file", path);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open the directory '%s'", dir);
    *ret_fd = fd;
    return 0;
}

int bvi_fs_replace(const char *path, const void *bytes, size_t len, mode_t mode, bv_error **err)
{
    bvi_auto_close int dir_fd = -1;
    const char *name = NULL;
    int r = open_parent(path, &dir_fd, &name, err);

    if (r == 0)
        r = bvi_fs_replace_at(dir_fd, name, bytes, len, mode, err);
    return r < 0 ? bvi_wrap(err, r, "cannot write '%s'", path) : 0;
}

int bvi_fs_replace_unsynced(const char *path, const void *bytes, size_t len, mode_t mode,
                            bv_error **err)
{
    bvi_auto_close int dir_fd = -1;
    const char *name = NULL;
    int r = open_parent(path, &dir_fd, &name, err);

    if (r == 0)
        r = put_at(dir_fd, name, bytes, len, mode, PUT_UNSYNCED, err);
    return r < 0 ? bvi_wrap(err, r, "cannot write '%s'", path) : 0;
}

/* ---- small things ---- */

int bvi_fs_sync_dir(const char *path, bv_error **err)
{
    bvi_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return bvi_fail_sys(err, errno, "cannot sync the directory '%s'", path);
    return 0;
}

int bvi_fs_remove(const char *path, bv_error **err)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot remove '%s'", path);
    return 0;
}

int bvi_fs_rename(const char *from, const char *to, bv_error **err)
{
    bvi_auto_close int from_dir = -1;
    bvi_auto_close int to_dir = -1;
    const char *from_name = NULL;
    const char *to_name = NULL;
    int r = open_parent(from, &from_dir, &from_name, err);

    if (r == 0)
        r = open_parent(to, &to_dir, &to_name, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot rename '%s' to '%s'", from, to);
    if (renameat(from_dir, from_name, to_dir, to_name) < 0)
        return bvi_fail_sys(err, errno, "cannot rename '%s' to '%s'", from, to);
    if (fsync(to_dir) < 0 || fsync(from_dir) < 0)
        return bvi_fail_sys(err, errno, "cannot sync the directories of '%s' and '%s'", from, to);
    return 0;
}

int bvi_fs_touch(const char *path, bv_error **err)
{
    bvi_auto_close int fd =
        open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);

    if (fd < 0 || futimens(fd, NULL) < 0)
        return bvi_fail_sys(err, errno, "cannot touch '%s'", path);
    return 0;
}

int bvi_fs_quarantine(const char *path, char **ret_new_path, bv_error **err)
{
    bvi_auto_free char *name = bvi_asprintf("%s.damaged-%lld", path, (long long)time(NULL));
    int r;

    if (!name)
        return bvi_fail_nomem(err);
    r = bvi_fs_rename(path, name, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot set the damaged file '%s' aside", path);
    if (ret_new_path)
        *ret_new_path = bvi_take(name);
    return 0;
}

bool bvi_fs_exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

bool bvi_fs_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int bvi_fs_mtime_us(const char *path, int64_t *ret_us, bv_error **err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    *ret_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    return 0;
}

int bvi_fs_space(const char *path, uint64_t *ret_total, uint64_t *ret_available, bv_error **err)
{
    struct statvfs st;

    if (statvfs(path, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot ask for the space at '%s'", path);
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    *ret_available = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

char *bvi_path_join(const char *first, ...)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(16u * PATH_MAX);
    int r = bvi_buf_append_str(&buf, first);
    const char *part;
    va_list args;

    va_start(args, first);
    while (r == 0 && (part = va_arg(args, const char *))) {
        if (buf.len && buf.data[buf.len - 1] != '/')
            r = bvi_buf_append_char(&buf, '/');
        if (r == 0)
            r = bvi_buf_append_str(&buf, part + (buf.len ? strspn(part, "/") : 0));
    }
    va_end(args);
    return r < 0 ? NULL : bvi_buf_take(&buf);
}

/* ---- locks ---- */

int bvi_fs_lock(const char *path, int *ret_fd, bv_error **err)
{
    bvi_auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open the lock '%s'", path);
    do {
        r = flock(fd, LOCK_EX | LOCK_NB);
    } while (r < 0 && errno == EINTR);
    if (r < 0 && errno == EWOULDBLOCK)
        return bvi_fail(err, BV_E_BUSY, "the lock '%s' is held by another process", path);
    if (r < 0)
        return bvi_fail_sys(err, errno, "cannot lock '%s'", path);
    *ret_fd = bvi_take_fd(&fd);
    return 0;
}

/* ---- below a directory, never out of it ---- */

int bvi_fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                        bv_error **err)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode =
            flags & (O_CREAT | O_TMPFILE) ? mode : 0, /* openat2() refuses a mode without these */
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    };
    long fd = -1;

    for (unsigned i = 0; i < BENEATH_TRIES; i++) {
        fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    if (fd < 0 && (errno == EXDEV || errno == ELOOP))
        return bvi_fail(err, BV_E_INVALID,
                        "'%s' leads out of its directory or through a symbolic link", path);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", path);
    *ret_fd = (int)fd;
    return 0;
}

int bvi_fs_read_beneath(int dir_fd, const char *path, size_t max, char **ret_text, size_t *ret_len,
                        bv_error **err)
{
    bvi_auto_close int fd = -1;
    struct stat st;
    /* O_NONBLOCK: opening a pipe must not wait for its other end. */
    int r = bvi_fs_open_beneath(dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_INVALID, "'%s' is not an ordinary file", path);
    return read_fd(fd, path, max, ret_text, ret_len, err);
}

int bvi_fs_read_plain(const char *path, size_t max, char **ret_text, size_t *ret_len,
                      bv_error **err)
{
    bvi_auto_close int found = open(path, O_PATH | O_CLOEXEC);
    char name[64];
    struct stat st;

    if (found < 0 || fstat(found, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_INVALID, "'%s' is not an ordinary file", path);
    /* Only now opened for reading: that may wait, or do something, where it is none. */
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", found); /* fits */
    return bvi_fs_read(name, max, ret_text, ret_len, err);
}

/* Makes (if missing) and opens one directory; path is only for messages. */
static int mkdir_one_beneath(int at_fd, const char *name, const char *path, mode_t mode,
                             int *ret_fd, bv_error **err)
{
    if (strcmp(name, "..") == 0)
        return bvi_fail(err, BV_E_INVALID, "'%s' leads out of its directory", path);
    if (mkdirat(at_fd, name, mode) < 0 && errno != EEXIST)
        return bvi_fail_sys(err, errno, "cannot make the directory '%s'", path);
    return bvi_fs_open_beneath(at_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, ret_fd, err);
}

int bvi_fs_mkdir_beneath(int dir_fd, const char *path, mode_t mode, bv_error **err)
{
    bvi_auto_free char *copy = bvi_strdup(path);
    bvi_auto_close int at_fd = -1;
    char *save = NULL;

    if (!copy)
        return bvi_fail_nomem(err);
    if (path[0] == '/')
        return bvi_fail(err, BV_E_INVALID, "'%s' leads out of its directory: it is absolute", path);
    for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        int next_fd = -1;
        int r;

        if (strcmp(part, ".") == 0)
            continue;
        r = mkdir_one_beneath(at_fd >= 0 ? at_fd : dir_fd, part, path, mode, &next_fd, err);
        if (r < 0)
            return bvi_wrap(err, r, "cannot make '%s'", path);
        if (at_fd >= 0)
            (void)close(at_fd); /* only a path handle */
        at_fd = next_fd;
    }
    return 0;
}
