/* Directory trees: made, listed, and removed whole without ever leaving them. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"
#include "sys/fs.h"

START_TEST(mkdir_makes_parents)
{
    bv_error *err = NULL;

    bvt_assert_ok(bvi_fs_mkdir(bvt_path("a/b//c/"), 0755, &err), err);
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("a/b/c"), 0755, &err), err);
    ck_assert(bvi_fs_is_dir(bvt_path("a/b/c")));
    bvt_write_file("a/f", "");
    ck_assert_int_lt(bvi_fs_mkdir(bvt_path("a/f/x"), 0755, &err), 0);
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(bvi_fs_mkdir(bvt_path("a/f"), 0755, &err), BV_E_EXISTS);
    bvt_assert_error_says(err, BV_E_EXISTS, "not a directory");
    bv_error_free(err);
}
END_TEST

START_TEST(listing_is_sorted_and_bounded)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(3);
    BVI_AUTO(bvi_strv_done) bvi_strv few = BVI_VEC_INIT(2);
    bv_error *err = NULL;

    bvt_write_file("b", "");
    bvt_write_file("a", "");
    bvt_write_file(".c", "");
    bvt_assert_ok(bvi_fs_list(bvt_dir(), &names, &err), err);
    ck_assert_uint_eq(names.len, 3);
    ck_assert_str_eq(names.items[0], ".c");
    ck_assert_str_eq(names.items[2], "b");
    ck_assert_int_eq(bvi_fs_list(bvt_dir(), &few, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "more than 2 entries");
    bv_error_free(err);
    ck_assert_int_eq(bvi_fs_list(bvt_path("none"), &names, NULL), BV_E_NOT_FOUND);
}
END_TEST

START_TEST(removal_does_not_follow_links)
{
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("keep"), 0755, NULL), NULL);
    bvt_write_file("keep/f", "");
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("t/d"), 0755, NULL), NULL);
    ck_assert_int_eq(symlink("../keep", bvt_path("t/link")), 0);
    ck_assert_int_eq(symlink("/", bvt_path("t/d/root")), 0);
    ck_assert_int_eq(symlink("keep", bvt_path("top")), 0);
    bvt_assert_ok(bvi_fs_remove_tree(bvt_path("t/"), NULL), NULL);
    bvt_assert_ok(bvi_fs_remove_tree(bvt_path("top"), NULL), NULL); /* the link itself */
    bvt_assert_ok(bvi_fs_remove_tree(bvt_path("t"), NULL), NULL);   /* missing is fine */
    ck_assert(!bvi_fs_exists(bvt_path("t")) && !bvi_fs_exists(bvt_path("top")));
    ck_assert(bvi_fs_exists(bvt_path("keep/f")));
    ck_assert_int_eq(bvi_fs_remove_tree("/", NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_fs_remove_tree("..", NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_fs_remove_tree(bvt_path("keep/."), NULL), BV_E_INVALID);
}
END_TEST

/* Deeper than there may be open files, and than a path may be long. */
START_TEST(deep_trees_go)
{
    int fd;

    ck_assert_int_eq(mkdir(bvt_path("deep"), 0755), 0);
    fd = open(bvt_path("deep"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 3000; i++) {
        int next;

        ck_assert_int_eq(mkdirat(fd, "directory", 0755), 0);
        next = openat(fd, "directory", O_PATH | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(next, 0);
        close(fd);
        fd = next;
    }
    close(fd);
    bvt_assert_ok(bvi_fs_remove_tree(bvt_path("deep"), NULL), NULL);
    ck_assert(!bvi_fs_exists(bvt_path("deep")));
}
END_TEST

START_TEST(wide_trees_go)
{
    ck_assert_int_eq(mkdir(bvt_path("wide"), 0755), 0);
    for (int i = 0; i < 3000; i++)
        close(open(bvt_path("wide/%d", i), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    bvt_assert_ok(bvi_fs_remove_tree(bvt_path("wide"), NULL), NULL);
    ck_assert(!bvi_fs_exists(bvt_path("wide")));
}
END_TEST

/* A node's data is bound into its root: removing the root must never reach it. */
START_TEST(removal_stops_at_mounts)
{
    bv_error *err = NULL;

    if (geteuid() != 0)
        bvt_skip("needs root to mount");
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("data"), 0755, NULL), NULL);
    bvt_write_file("data/precious", "");
    bvt_assert_ok(bvi_fs_mkdir(bvt_path("root/blockjoy"), 0755, NULL), NULL);
    if (mount(bvt_path("data"), bvt_path("root/blockjoy"), NULL, MS_BIND, NULL) < 0)
        bvt_skip("cannot mount here");
    ck_assert_int_eq(bvi_fs_remove_tree(bvt_path("root"), &err), BV_E_BUSY);
    bvt_assert_error_says(err, BV_E_BUSY, "mount point");
    bv_error_free(err);
    ck_assert_int_eq(bvi_fs_remove_tree(bvt_path("root/blockjoy"), NULL), BV_E_BUSY);
    ck_assert(bvi_fs_exists(bvt_path("data/precious")));
    ck_assert_int_eq(umount(bvt_path("root/blockjoy")), 0);
    bvt_assert_ok(bvi_fs_remove_tree(bvt_path("root"), NULL), NULL);
    ck_assert(bvi_fs_exists(bvt_path("data/precious")));
}
END_TEST

BVT_MAIN("sys/tree", bvt_test(mkdir_makes_parents), bvt_test(listing_is_sorted_and_bounded),
         bvt_test(removal_does_not_follow_links), bvt_test(deep_trees_go), bvt_test(wide_trees_go),
         bvt_test(removal_stops_at_mounts))
