/*
 * mounts.h - overlay, bind and memory mounts, and the kernel's own table of what is mounted.
 * Blocking; any thread.
 *
 * Not called mount.h: lib/ is searched for headers first, so that name would hide the system's
 * <sys/mount.h>.
 */
#ifndef BVI_SYS_MOUNTS_H
#define BVI_SYS_MOUNTS_H

#include "base/error.h"
#include "base/vec.h"

/* Mount points of this namespace, in the order of /proc/self/mountinfo; there are never more on a
 * sane host. */
#define BVI_MOUNTS_MAX 65536u

/* Most lower directories of one overlay. */
#define BVI_OVERLAY_LOWERS_MAX 64u

/* An overlay at target: the first of lowers is the topmost. upper and work are on one file system.
 * The target must exist. BV_E_UNSUPPORTED: no overlayfs here. Device nodes do not work in what is
 * mounted, neither here nor in a bind. */
int bvi_mount_overlay(const char *const *lowers, size_t lower_count, const char *upper,
                      const char *work, const char *target, bv_error **err);
int bvi_mount_bind(const char *source, const char *target, bool read_only, bv_error **err);
int bvi_mount_tmpfs(const char *target, uint64_t size_mb, bv_error **err);

/* Unmounts everything mounted at exactly this path; nothing mounted is fine. Busy: detached lazily.
 */
int bvi_umount(const char *path, bv_error **err);
/* The same for the path and everything below it, innermost first. */
int bvi_umount_tree(const char *path, bv_error **err);

/* Whether something is mounted at exactly this path (symbolic links followed). A missing path is
 * not mounted. */
int bvi_mount_is_mounted(const char *path, bool *ret_mounted, bv_error **err);
/* The mount points at or below a path. */
int bvi_mount_list(const char *path, bvi_strv *points, bv_error **err);

/* For tests: the mount point of one mountinfo line, unescaped in place; NULL when the line is not
 * one. */
char *bvi_mountinfo_point(char *line);

#endif
