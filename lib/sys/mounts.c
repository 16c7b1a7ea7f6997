/*
 * mounts.c - mounting and unmounting, and reading /proc/self/mountinfo.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "sys/fs.h"
#include "sys/mounts.h"

/* The kernel takes one page of options. */
#define OPTIONS_MAX 4095u
/* Thousands of mounts are still far below it. */
#define MOUNTINFO_MAX (64u * 1024u * 1024u)
/* Mounts stacked on one point. */
#define STACKED_MAX 64u

/* ---- the table ---- */

/* Blanks, tabs, line ends and backslashes come as \ooo. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *at = text; *at;) {
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
            at[3] >= '0' && at[3] <= '7') {
            *to++ = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            at += 4;
        } else {
            *to++ = *at++;
        }
    }
    *to = '\0';
}

char *bvi_mountinfo_point(char *line)
{
    char *save = NULL;
    char *field = strtok_r(line, " ", &save);

    for (unsigned i = 0; i < 4 && field; i++) /* id, parent, device, root, mount point */
        field = strtok_r(NULL, " ", &save);
    if (!field || field[0] != '/')
        return NULL;
    unescape(field);
    return field;
}

static bool is_at_or_below(const char *point, const char *path)
{
    size_t len = strlen(path);

    if (strcmp(path, "/") == 0)
        return true;
    return strncmp(point, path, len) == 0 && (point[len] == '\0' || point[len] == '/');
}

static int list_real(const char *real, bvi_strv *points, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    char *save = NULL;
    size_t len = 0;
    int r = bvi_fs_read("/proc/self/mountinfo", MOUNTINFO_MAX, &text, &len, err);

    if (r < 0)
        return r;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        const char *point = bvi_mountinfo_point(line);

        if (!point || !is_at_or_below(point, real))
            continue;
        r = bvi_strv_add(points, point);
        if (r == BV_E_LIMIT)
            return bvi_fail(err, r, "more than %zu mounts at '%s'", points->max, real);
        if (r < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}

/* realpath() allocates from the system: copied over to the library's allocator. *ret_real is NULL
 * when missing. */
static int resolve(const char *path, char **ret_real, bv_error **err)
{
    char real[PATH_MAX];

    *ret_real = NULL;
    if (!realpath(path, real))
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    *ret_real = bvi_strdup(real);
    return *ret_real ? 0 : bvi_fail_nomem(err);
}

int bvi_mount_list(const char *path, bvi_strv *points, bv_error **err)
{
    bvi_auto_free char *real = NULL;
    int r = resolve(path, &real, err);

    return r < 0 || !real ? r : list_real(real, points, err);
}

int bvi_mount_is_mounted(const char *path, bool *ret_mounted, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv points = BVI_VEC_INIT(BVI_MOUNTS_MAX);
    bvi_auto_free char *real = NULL;
    int r = resolve(path, &real, err);

    if (r == 0 && real)
        r = list_real(real, &points, err);
    if (r < 0)
        return r;
    *ret_mounted = real && bvi_strv_has(&points, real);
    return 0;
}

/* ---- mounting ---- */

/* overlayfs splits its options at commas and its lowers at colons. */
static int append_path(bvi_buf *buf, const char *path)
{
    int r = 0;

    for (const char *at = path; *at && r == 0; at++) {
        if (strchr("\\,:", *at))
            r = bvi_buf_append_char(buf, '\\');
        if (r == 0)
            r = bvi_buf_append_char(buf, *at);
    }
    return r;
}

static int overlay_options(const char *const *lowers, size_t lower_count, const char *upper,
                           const char *work, bvi_buf *buf)
{
    int r = bvi_buf_append_str(buf, "lowerdir=");

    for (size_t i = 0; i < lower_count && r == 0; i++) {
        if (i)
            r = bvi_buf_append_char(buf, ':');
        if (r == 0)
            r = append_path(buf, lowers[i]);
    }
    if (r == 0)
        r = bvi_buf_append_str(buf, ",upperdir=");
    if (r == 0)
        r = append_path(buf, upper);
    if (r == 0)
        r = bvi_buf_append_str(buf, ",workdir=");
    return r < 0 ? r : append_path(buf, work);
}

int bvi_mount_overlay(const char *const *lowers, size_t lower_count, const char *upper,
                      const char *work, const char *target, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf options = BVI_BUF_INIT(OPTIONS_MAX);
    int r;

    if (lower_count == 0 || lower_count > BVI_OVERLAY_LOWERS_MAX)
        return bvi_fail(err, BV_E_INVALID, "an overlay has 1 to %u lower directories, not %zu",
                        BVI_OVERLAY_LOWERS_MAX, lower_count);
    r = overlay_options(lowers, lower_count, upper, work, &options);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0)
        return bvi_fail(
            err, r, "the paths of the overlay at '%s' are too long: use a shorter root directory",
            target);
    /* Device nodes in a layer are whatever its author wrote: they are of no use, here or in the
     * node, whose own /dev is another mount. */
    if (mount("overlay", target, "overlay", MS_NODEV, options.data) == 0)
        return 0;
    if (errno == ENODEV)
        return bvi_fail(err, BV_E_UNSUPPORTED, "this kernel has no overlayfs");
    return bvi_fail_sys(err, errno, "cannot mount an overlay of '%s' at '%s'", lowers[0], target);
}

int bvi_mount_bind(const char *source, const char *target, bool read_only, bv_error **err)
{
    unsigned long flags = MS_BIND | MS_REMOUNT | MS_NODEV | (read_only ? MS_RDONLY : 0);
    struct statvfs st;

    if (mount(source, target, NULL, MS_BIND, NULL) < 0)
        return bvi_fail_sys(err, errno, "cannot bind '%s' to '%s'", source, target);
    /* What the file system behind it forbids stays forbidden; device nodes always are, as above. */
    if (statvfs(target, &st) == 0)
        flags |= (st.f_flag & ST_RDONLY ? MS_RDONLY : 0) | (st.f_flag & ST_NOSUID ? MS_NOSUID : 0) |
                 (st.f_flag & ST_NOEXEC ? MS_NOEXEC : 0);
    if (mount(NULL, target, NULL, flags, NULL) < 0) {
        int saved = errno;

        (void)umount2(target, MNT_DETACH); /* the failure that counts is already known */
        return bvi_fail_sys(err, saved, "cannot restrict the bind at '%s'", target);
    }
    return 0;
}

int bvi_mount_tmpfs(const char *target, uint64_t size_mb, bv_error **err)
{
    char options[64];

    (void)snprintf(options, sizeof(options), "rw,size=%lluM",
                   (unsigned long long)size_mb); /* fits */
    if (mount("tmpfs", target, "tmpfs", 0, options) < 0)
        return bvi_fail_sys(err, errno, "cannot mount a memory disk of %llu MB at '%s'",
                            (unsigned long long)size_mb, target);
    return 0;
}

static int umount_point(const char *point, bv_error **err)
{
    if (umount2(point, UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT)
        return 0;
    if (errno == EBUSY && umount2(point, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
        return 0;
    return bvi_fail_sys(err, errno, "cannot unmount '%s'", point);
}

int bvi_umount_tree(const char *path, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv points = BVI_VEC_INIT(BVI_MOUNTS_MAX);
    int r = bvi_mount_list(path, &points, err);

    /* Later mounts lie on or in earlier ones. */
    for (size_t i = points.len; i > 0 && r == 0; i--)
        r = umount_point(points.items[i - 1], err);
    return r;
}

int bvi_umount(const char *path, bv_error **err)
{
    for (unsigned i = 0; i < STACKED_MAX; i++) {
        bool mounted = false;
        int r = bvi_mount_is_mounted(path, &mounted, err);

        if (r < 0 || !mounted)
            return r;
        r = umount_point(path, err);
        if (r < 0)
            return r;
    }
    return bvi_fail(err, BV_E_LIMIT, "more than %u mounts on '%s'", STACKED_MAX, path);
}
