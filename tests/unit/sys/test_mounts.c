/* Mounts: the kernel's table understood, and real mounts where we are allowed to. */
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"
#include "sys/fs.h"
#include "sys/mounts.h"

static const struct {
    const char *line;
    const char *point;
} lines[] = {
    { "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw", "/mnt2" },
    { "36 35 98:0 / /a\\040b\\011c\\134d rw - tmpfs none rw", "/a b\tc\\d" },
    { "36 35 98:0 / /back\\slash\\04 rw - x y z", "/back\\slash\\04" },
    { "36 35 98:0 /", NULL },
    { "36 35 98:0 / relative rw", NULL },
    { "", NULL },
};

START_TEST(lines_are_understood)
{
    char text[256];
    const char *point;

    snprintf(text, sizeof(text), "%s", lines[_i].line);
    point = bvi_mountinfo_point(text);
    if (lines[_i].point)
        ck_assert_str_eq(point, lines[_i].point);
    else
        ck_assert_ptr_null(point);
}
END_TEST

START_TEST(known_mounts_are_seen)
{
    bool mounted = false;

    bvt_assert_ok(bvi_mount_is_mounted("/proc", &mounted, NULL), NULL);
    ck_assert(mounted);
    bvt_assert_ok(bvi_mount_is_mounted("/proc/self", &mounted, NULL), NULL);
    ck_assert(!mounted);
    bvt_assert_ok(bvi_mount_is_mounted(bvt_path("none"), &mounted, NULL), NULL);
    ck_assert(!mounted);
}
END_TEST

/* Weakness 23: /mnt/a is not mounted because /mnt/abc is. */
START_TEST(names_are_compared_whole)
{
    BVI_AUTO(bvi_strv_done) bvi_strv points = BVI_VEC_INIT(BVI_MOUNTS_MAX);
    bool mounted = true;
    bv_error *err = NULL;

    if (geteuid() != 0)
        bvt_skip("needs root to mount");
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("a b"), 0755, NULL), NULL);
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("a bc"), 0755, NULL), NULL);
    if (bvi_mount_tmpfs(bvt_path("a bc"), 1, &err) < 0) {
        bv_error_free(err);
        bvt_skip("cannot mount here");
    }
    bvt_assert_ok(bvi_mount_is_mounted(bvt_path("a b"), &mounted, NULL), NULL);
    ck_assert(!mounted);
    bvt_assert_ok(bvi_mount_is_mounted(bvt_path("a bc/"), &mounted, NULL), NULL);
    ck_assert(mounted);
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("a bc/in"), 0755, NULL), NULL);
    bvt_assert_ok(bvi_mount_bind(bvt_path("a b"), bvt_path("a bc/in"), true, NULL), NULL);
    ck_assert_int_eq(bvi_fs_touch(bvt_path("a bc/in/f"), NULL), BV_E_DENIED);
    bvt_assert_ok(bvi_mount_list(bvt_path("a bc"), &points, NULL), NULL);
    ck_assert_uint_eq(points.len, 2);
    bvt_assert_ok(bvi_umount_tree(bvt_path("a bc"), NULL), NULL);
    bvt_assert_ok(bvi_umount(bvt_path("a bc"), NULL), NULL); /* nothing there is fine */
    bvt_assert_ok(bvi_mount_is_mounted(bvt_path("a bc"), &mounted, NULL), NULL);
    ck_assert(!mounted);
}
END_TEST

START_TEST(overlays)
{
    const char *lowers[2];
    bv_error *err = NULL;

    if (geteuid() != 0)
        bvt_skip("needs root to mount");
    lowers[0] = bvt_path("top,x:y"); /* what overlayfs splits at */
    lowers[1] = bvt_path("low");
    bvt_assert_ok(bvi_fs_mkdir(lowers[0], 0755, NULL), NULL);
    bvt_assert_ok(bvi_fs_mkdir(lowers[1], 0755, NULL), NULL);
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("up"), 0755, NULL), NULL);
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("work"), 0755, NULL), NULL);
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("root"), 0755, NULL), NULL);
    bvt_write_file("top,x:y/f", "top");
    bvt_write_file("low/f", "low");
    bvt_write_file("low/g", "low");
    if (bvi_mount_overlay(lowers, 2, bvt_path("up"), bvt_path("work"), bvt_path("root"), &err) <
        0) {
        char text[512];

        bv_error_format(err, text, sizeof(text));
        bv_error_free(err);
        bvt_skip("cannot mount an overlay here: %s", text);
    }
    ck_assert_str_eq(bvt_read_file(bvt_path("root/f"), NULL), "top");
    ck_assert_str_eq(bvt_read_file(bvt_path("root/g"), NULL), "low");
    bvt_write_file("root/new", "");
    ck_assert(bvi_fs_exists(bvt_path("up/new")));
    bvt_assert_ok(bvi_umount(bvt_path("root"), &err), err);
    ck_assert(!bvi_fs_exists(bvt_path("root/f")));
    bvt_assert_ok(bvi_fs_remove_tree(bvt_path("work"), NULL), NULL);
}
END_TEST

START_TEST(refusals_are_explained)
{
    const char *lowers[] = { "/nonexistent" };
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_mount_overlay(lowers, 0, "u", "w", "t", &err), BV_E_INVALID);
    bv_error_free(err);
    err = NULL;
    ck_assert_int_lt(bvi_mount_bind(bvt_path("x"), bvt_path("y"), false, &err), 0);
    bvt_assert_error_says(err, bv_error_code(err), "cannot bind");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_lt(bvi_mount_overlay(lowers, 1, "u", "w", bvt_path("none"), &err), 0);
    bv_error_free(err);
}
END_TEST

BVT_MAIN("sys/mounts", bvt_loop(lines_are_understood, lines), bvt_test(known_mounts_are_seen),
         bvt_test(names_are_compared_whole), bvt_test(overlays), bvt_test(refusals_are_explained))
