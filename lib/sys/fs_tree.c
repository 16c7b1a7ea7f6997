/*
 * fs_tree.c - directories: making, listing, and removing whole trees that somebody hostile may have
 * filled.
 *
 * Removal works on descriptors, never on paths, refuses to enter a mount (bind mounts included: a
 * node's data is bound into its root) and needs a bounded number of descriptors whatever the depth:
 * directories that lie too deep are first moved up to the top.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/fs.h"

/* So many directories are open at once while a tree goes; what lies deeper is moved up. */
#define OPEN_DEPTH_MAX 32u
/* Each round over the top takes away that many levels; a path deeper than the product is refused.
 */
#define ROUNDS_MAX 100000u

int bvi_fs_mkdir(const char *path, mode_t mode, bv_error **err)
{
    bvi_auto_free char *copy = bvi_strdup(path);

    if (!copy)
        return bvi_fail_nomem(err);
    for (char *at = copy + strspn(copy, "/"); at;) {
        char *slash = strchr(at, '/');

        if (slash)
            *slash = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return bvi_fail_sys(err, errno, "cannot make the directory '%s'", copy);
        if (slash)
            *slash = '/';
        at = slash && slash[strspn(slash, "/")] ? slash + strspn(slash, "/") : NULL;
    }
    if (!bvi_fs_is_dir(path))
        return bvi_fail(err, BV_E_EXISTS, "'%s' exists and is not a directory", path);
    return 0;
}

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); /* only read from */
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int bvi_fs_list(const char *path, bvi_strv *names, bv_error **err)
{
    BVI_AUTO(close_dir) DIR *dir = opendir(path);
    size_t first = names->len;

    if (!dir)
        return bvi_fail_sys(err, errno, "cannot open the directory '%s'", path);
    for (;;) {
        struct dirent *entry;
        int r;

        errno = 0;
        entry = readdir(dir);
        if (!entry && errno)
            return bvi_fail_sys(err, errno, "cannot read the directory '%s'", path);
        if (!entry)
            break;
        if (is_dots(entry->d_name))
            continue;
        r = bvi_strv_add(names, entry->d_name);
        if (r == BV_E_LIMIT)
            return bvi_fail(err, r, "the directory '%s' has more than %zu entries", path,
                            names->max);
        if (r < 0)
            return bvi_fail_nomem(err);
    }
    if (names->len > first)
        qsort(names->items + first, names->len - first, sizeof(*names->items), compare_names);
    return 0;
}

/* ---- removal ---- */

typedef struct removal {
    const char *path; /* for messages */
    int top_fd;       /* where directories that lie too deep are moved to */
    unsigned moved;
    bool again; /* something was moved to the top */
} removal;

static int open_dir_here(int dir_fd, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
    };

    return (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
}

static int remove_children(removal *rm, int dir_fd, unsigned depth, bv_error **err);

static int move_to_top(removal *rm, int dir_fd, const char *name, bv_error **err)
{
    char unique[64];

    do {
        (void)snprintf(unique, sizeof(unique), ".removed-%d-%u", (int)getpid(),
                       rm->moved++); /* fits */
        if (syscall(SYS_renameat2, dir_fd, name, rm->top_fd, unique, 1 /* RENAME_NOREPLACE */) ==
            0) {
            rm->again = true;
            return 0;
        }
    } while (errno == EEXIST);
    return bvi_fail_sys(err, errno, "cannot move '%s' up in '%s'", name, rm->path);
}

static int remove_dir(removal *rm, int dir_fd, const char *name, unsigned depth, bv_error **err)
{
    bvi_auto_close int fd = open_dir_here(dir_fd, name);
    int r;

    if (fd < 0 && errno == EXDEV)
        return bvi_fail(err, BV_E_BUSY, "'%s' in '%s' is a mount point: unmount it first", name,
                        rm->path);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s' in '%s'", name, rm->path);
    if (depth >= OPEN_DEPTH_MAX && rm->top_fd >= 0)
        return move_to_top(rm, dir_fd, name, err);
    if (rm->top_fd < 0)
        rm->top_fd = fd;
    r = remove_children(rm, fd, depth + 1, err);
    if (rm->top_fd == fd)
        rm->top_fd = -1;
    if (r < 0)
        return r;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot remove '%s' in '%s'", name, rm->path);
    return 0;
}

static int remove_entry(removal *rm, int dir_fd, const struct dirent *entry, unsigned depth,
                        bv_error **err)
{
    if (entry->d_type != DT_DIR && unlinkat(dir_fd, entry->d_name, 0) == 0)
        return 0;
    if (entry->d_type != DT_DIR && errno == ENOENT)
        return 0;
    /* DT_UNKNOWN may still be a directory; unlink says EISDIR then. */
    if (entry->d_type != DT_DIR && errno != EISDIR)
        return bvi_fail_sys(err, errno, "cannot remove '%s' in '%s'", entry->d_name, rm->path);
    return remove_dir(rm, dir_fd, entry->d_name, depth, err);
}

/* One pass over a directory; entries may appear or vanish meanwhile. */
static int remove_pass(removal *rm, int dir_fd, unsigned depth, bv_error **err)
{
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BVI_AUTO(close_dir) DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;

    if (!dir) {
        int saved = errno;

        if (copy >= 0)
            (void)close(copy); /* nothing was read from it */
        return bvi_fail_sys(err, saved, "cannot read a directory in '%s'", rm->path);
    }
    while ((entry = readdir(dir))) {
        int r;

        if (is_dots(entry->d_name))
            continue;
        r = remove_entry(rm, dir_fd, entry, depth, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int remove_children(removal *rm, int dir_fd, unsigned depth, bv_error **err)
{
    bool is_top = rm->top_fd == dir_fd;

    /* Only the top can have got new entries through us; elsewhere one pass is enough. */
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        int r;

        rm->again = is_top ? false : rm->again;
        r = remove_pass(rm, dir_fd, depth, err);
        if (r < 0 || !is_top || !rm->again)
            return r;
    }
    return bvi_fail(err, BV_E_LIMIT, "'%s' is nested too deeply", rm->path);
}

int bvi_fs_remove_tree(const char *path, bv_error **err)
{
    removal rm = { .path = path, .top_fd = -1 };
    bvi_auto_free char *parent = bvi_strdup(path);
    bvi_auto_close int parent_fd = -1;
    struct stat st;
    char *slash;

    if (!parent)
        return bvi_fail_nomem(err);
    for (size_t len = strlen(parent); len > 1 && parent[len - 1] == '/'; len--)
        parent[len - 1] = '\0';
    slash = strrchr(parent, '/');
    if (is_dots(slash ? slash + 1 : parent) || !*(slash ? slash + 1 : parent))
        return bvi_fail(err, BV_E_INVALID, "refusing to remove the tree '%s'", path);
    if (lstat(parent, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return bvi_fs_remove(parent, err);
    if (slash)
        *slash = '\0';
    parent_fd = open(!slash ? "." : *parent ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open the directory of '%s'", path);
    return remove_dir(&rm, parent_fd, slash ? slash + 1 : parent, 0, err);
}
