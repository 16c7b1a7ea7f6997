/*
 * oci_root.c - overlay or copy, mounted at root_dir; and the mount points in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/oci_root.h"
#include "sys/fs.h"
#include "sys/mounts.h"
#include "sys/proc.h"

/* Marks an upper directory that is a whole copy of an image rather than the changes to one. Its
 * value is "1". */
#define COPY_MARK "trusted.blockvisor.copied"

/* How often an open below a root is tried again when the kernel says so. */
#define OPEN_TRIES 128u

typedef struct places {
    char *upper;
    char *work;
    char *partial; /* a copy that is not complete yet */
} places;

static void places_done(places *p)
{
    bvi_free(p->upper);
    bvi_free(p->work);
    bvi_free(p->partial);
}

static int find_places(const bvi_container_spec *spec, places *p, bv_error **err)
{
    p->upper = bvi_path_join(spec->node_dir, "upper", NULL);
    p->work = bvi_path_join(spec->node_dir, "work", NULL);
    p->partial = bvi_path_join(spec->node_dir, "upper.partial", NULL);
    return p->upper && p->work && p->partial ? 0 : bvi_fail_nomem(err);
}

static int stat_dir(const char *path, const char *what, struct stat *ret_st, bv_error **err)
{
    if (stat(path, ret_st) < 0 && errno == ENOENT)
        return bvi_fail(err, BV_E_NOT_FOUND, "the %s '%s' is missing", what, path);
    if (stat(path, ret_st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at the %s '%s'", what, path);
    if (!S_ISDIR(ret_st->st_mode))
        return bvi_fail(err, BV_E_INVALID, "the %s '%s' is not a directory", what, path);
    return 0;
}

/* ---- a private copy, where overlays are refused ---- */

static bool is_copy(const char *upper)
{
    char value[8];

    return getxattr(upper, COPY_MARK, value, sizeof(value)) > 0;
}

static int wait_for_copy(pid_t pid, const char *from, bv_error **err)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno ==
            ECHILD) /* the host ignores SIGCHLD: the mark that follows is all we can check */
            return 0;
        if (errno != EINTR)
            return bvi_fail_sys(err, errno, "cannot wait for cp");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return bvi_fail(err, BV_E_IO, "cannot copy the image root '%s': is the disk full?", from);
}

/* cp clones extents where the file system can, and keeps owners, links, holes and attributes. */
static int copy_image(const char *image_root, const char *to, int lock_fd, bv_error **err)
{
    bvi_auto_free char *from = bvi_path_join(image_root, ".", NULL);
    const char *argv[] = {
        "cp", "-a", "--reflink=auto", "--sparse=auto", "--one-file-system", "--", from, to, NULL
    };
    bvi_spawn spawn = BVI_SPAWN_INIT;
    pid_t pid = 0;
    int r;

    if (!from)
        return bvi_fail_nomem(err);
    spawn.argv = argv;
    spawn.use_path = true;
    spawn.keep_fds = &lock_fd;
    spawn.keep_count = lock_fd >= 0;
    r = bvi_proc_spawn(&spawn, &pid, NULL, err);
    return r < 0 ? r : wait_for_copy(pid, image_root, err);
}

static int make_copy(const bvi_container_spec *spec, const places *p, int lock_fd, bv_error **err)
{
    int r = bvi_fs_remove_tree(p->partial, err);

    if (r == 0)
        r = bvi_fs_mkdir(p->partial, 0755, err);
    if (r == 0)
        r = copy_image(spec->image_root, p->partial, lock_fd, err);
    if (r < 0)
        return r;
    if (setxattr(p->partial, COPY_MARK, "1", 1, 0) < 0)
        return bvi_fail_sys(err, errno, "cannot mark the copied root '%s'", p->partial);
    /* An empty upper may be left from the overlay that was refused; one with content is never
     * thrown away. */
    if (rmdir(p->upper) < 0 && errno != ENOENT)
        return bvi_fail_sys(
            err, errno,
            "'%s' holds the changes to an overlay, but this kernel refuses overlays now", p->upper);
    return bvi_fs_rename(p->partial, p->upper, err);
}

/* ---- mounting ---- */

/* What mount(2) answers when the kernel or the file system cannot do overlays, as against a mistake
 * of ours. */
static bool is_refused(const bv_error *err)
{
    int errnum = bv_error_errno(err);

    return bv_error_code(err) == BV_E_UNSUPPORTED || errnum == EINVAL || errnum == EOPNOTSUPP ||
           errnum == EPERM;
}

static int mount_root(const bvi_container_spec *spec, const places *p, int lock_fd, bv_error **err)
{
    bvi_auto_error bv_error *refusal = NULL;
    int r = 0;

    if (!is_copy(p->upper)) {
        r = bvi_fs_mkdir(p->upper, 0755, err);
        if (r == 0)
            r = bvi_fs_mkdir(p->work, 0755, err);
        if (r < 0)
            return r;
        if (bvi_mount_overlay(&spec->image_root, 1, p->upper, p->work, spec->root_dir, &refusal) ==
            0)
            return 0;
        if (!is_refused(refusal))
            return bvi_error_move(err, bvi_take(refusal));
        r = make_copy(spec, p, lock_fd, err);
        if (r < 0)
            return bvi_wrap(err, r, "an overlay was refused (%s), and copying failed",
                            bv_error_message(refusal));
    }
    return bvi_mount_bind(p->upper, spec->root_dir, false, err);
}

static int current_key(const bvi_container_spec *spec, const places *p, bvi_root_key *key,
                       bv_error **err)
{
    struct stat image = { 0 };
    struct stat upper = { 0 };
    int r = stat_dir(spec->image_root, "image root", &image, err);

    if (r < 0)
        return r;
    if (stat(p->upper, &upper) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", p->upper);
    *key = (bvi_root_key){
        .image_dev = image.st_dev,
        .image_ino = image.st_ino,
        .upper_dev = upper.st_dev,
        .upper_ino = upper.st_ino,
    };
    return 0;
}

static bool same_key(const bvi_root_key *a, const bvi_root_key *b)
{
    return a->image_dev == b->image_dev && a->image_ino == b->image_ino &&
           a->upper_dev == b->upper_dev && a->upper_ino == b->upper_ino;
}

int bvi_oci_root_prepare(const bvi_container_spec *spec, const bvi_root_key *mounted, int lock_fd,
                         bvi_root_key *ret_key, bv_error **err)
{
    BVI_AUTO(places_done) places p = { 0 };
    bvi_root_key key = { 0 };
    bool is_mounted = false;
    int r = find_places(spec, &p, err);

    if (r == 0)
        r = bvi_fs_mkdir(spec->root_dir, 0755, err);
    if (r == 0)
        r = current_key(spec, &p, &key, err);
    if (r == 0)
        r = bvi_mount_is_mounted(spec->root_dir, &is_mounted, err);
    if (r < 0)
        return r;
    if (is_mounted && mounted && same_key(mounted, &key)) {
        *ret_key = key;
        return 0;
    }
    /* From another image, another upper, or from before a crash that left no record of it. */
    if (is_mounted)
        r = bvi_umount_tree(spec->root_dir, err);
    if (r == 0)
        r = mount_root(spec, &p, lock_fd, err);
    if (r == 0)
        r = current_key(spec, &p, ret_key, err);
    return r < 0 ? bvi_wrap(err, r, "cannot make the root '%s'", spec->root_dir) : 0;
}

int bvi_oci_root_unmount(const bvi_container_spec *spec, bv_error **err)
{
    return bvi_umount_tree(spec->root_dir, err);
}

int bvi_oci_root_remove(const bvi_container_spec *spec, bv_error **err)
{
    BVI_AUTO(places_done) places p = { 0 };
    int r = find_places(spec, &p, err);

    if (r == 0)
        r = bvi_umount_tree(spec->root_dir, err);
    /* The removal refuses to cross a mount, so a bind that stayed costs an error and never
     * somebody's data. */
    if (r == 0)
        r = bvi_fs_remove_tree(spec->root_dir, err);
    if (r == 0)
        r = bvi_fs_remove_tree(p.partial, err);
    if (r == 0)
        r = bvi_fs_remove_tree(p.work, err);
    return r < 0 ? r : bvi_fs_remove_tree(p.upper, err);
}

/* ---- mount points ---- */

/* Symbolic links are the image's: "/run" inside it means the root's /run, whatever tricks they try.
 */
static int open_in_root(int root_fd, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .mode = mode,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int fd = -1;

    /* The kernel gives up on ".." while anything on the host is being renamed. */
    for (unsigned i = 0; i < OPEN_TRIES; i++) {
        fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd;
}

static int make_dir_in_root(int root_fd, const char *path, bv_error **err)
{
    bvi_auto_free char *part = bvi_strdup(path);
    bvi_auto_close int parent = -1;

    if (!part)
        return bvi_fail_nomem(err);
    parent = open_in_root(root_fd, "/", O_PATH | O_DIRECTORY, 0);
    for (char *name = part + 1; parent >= 0; name++) {
        char *slash = strchr(name, '/');
        int next;

        if (slash)
            *slash = '\0';
        next = open_in_root(root_fd, part, O_PATH | O_DIRECTORY, 0);
        if (next < 0 && errno == ENOENT && mkdirat(parent, name, 0755) == 0)
            next = open_in_root(root_fd, part, O_PATH | O_DIRECTORY, 0);
        if (next < 0)
            return bvi_fail_sys(err, errno, "cannot make the directory '%s' in the root", part);
        bvi_closep(&parent);
        parent = next;
        if (!slash)
            return 0;
        *slash = '/';
        name = slash;
    }
    return bvi_fail_sys(err, errno, "cannot open the root");
}

static int make_parent_in_root(int root_fd, const char *path, bv_error **err)
{
    bvi_auto_free char *dir = bvi_strdup(path);
    char *slash = dir ? strrchr(dir, '/') : NULL;

    if (!slash)
        return bvi_fail_nomem(err);
    *slash = '\0';
    return dir[0] ? make_dir_in_root(root_fd, dir, err) : 0;
}

/* A link to nowhere is usual for /etc/resolv.conf: the directory it points into is made, as a boot
 * would. */
static int make_link_target_parent(int root_fd, const char *path, bv_error **err)
{
    bvi_auto_close int link = open_in_root(root_fd, path, O_PATH | O_NOFOLLOW, 0);
    bvi_auto_free char *joined = NULL;
    char target[PATH_MAX];
    ssize_t len = link < 0 ? -1 : readlinkat(link, "", target, sizeof(target) - 1);
    const char *slash = strrchr(path, '/');

    if (len <= 0)
        return 0; /* not a link: the next open tells what is wrong */
    target[len] = '\0';
    joined = target[0] == '/' ? bvi_strdup(target)
                              : bvi_asprintf("%.*s/%s", (int)(slash - path), path, target);
    if (!joined)
        return bvi_fail_nomem(err);
    return make_parent_in_root(root_fd, joined, err);
}

static int make_file_in_root(int root_fd, const char *path, bv_error **err)
{
    bvi_auto_close int fd = open_in_root(root_fd, path, O_PATH, 0);
    int r;

    if (fd >= 0)
        return 0;
    r = make_parent_in_root(root_fd, path, err);
    if (r == 0)
        r = make_link_target_parent(root_fd, path, err);
    if (r < 0)
        return r;
    fd = open_in_root(root_fd, path, O_WRONLY | O_CREAT | O_NONBLOCK, 0644);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot make the file '%s' in the root", path);
    return 0;
}

int bvi_oci_root_make_point(const char *root_dir, const bvi_bind *bind, bv_error **err)
{
    bvi_auto_close int root_fd = open(root_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (root_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open the root '%s'", root_dir);
    if (stat(bind->source, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot bind '%s' to '%s' in the node", bind->source,
                            bind->destination);
    return S_ISDIR(st.st_mode) ? make_dir_in_root(root_fd, bind->destination, err)
                               : make_file_in_root(root_fd, bind->destination, err);
}
