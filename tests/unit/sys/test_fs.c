/* Files: reading with a maximum, replacing, locks, paths, and never leaving a directory. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bvt.h"
#include "sys/fs.h"

START_TEST(reads_up_to_its_maximum)
{
    const char *path = bvt_write_file("f", "12345");
    char *text = NULL;
    size_t len = 0;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_fs_read(path, 5, &text, &len, &err), err);
    ck_assert_uint_eq(len, 5);
    ck_assert_str_eq(text, "12345");
    bvi_free(text);
    ck_assert_int_eq(bvi_fs_read(path, 4, &text, &len, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "larger than 4 bytes");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(bvi_fs_read(bvt_path("none"), 4, &text, &len, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "none");
    bv_error_free(err);
    bvt_assert_ok(bvi_fs_read(bvt_write_file("empty", ""), 0, &text, &len, NULL), NULL);
    ck_assert_str_eq(text, "");
    bvi_free(text);
}
END_TEST

START_TEST(reads_large_and_endless_files)
{
    static char big[300000];
    char *text = NULL;
    size_t len = 0;

    memset(big, 'x', sizeof(big));
    bvt_assert_ok(
        bvi_fs_read(bvt_write_bytes("big", big, sizeof(big)), 1u << 20, &text, &len, NULL), NULL);
    ck_assert_uint_eq(len, sizeof(big));
    bvi_free(text);
    ck_assert_int_eq(bvi_fs_read("/dev/zero", 10000, &text, &len, NULL), BV_E_LIMIT);
    ck_assert_int_lt(bvi_fs_read(bvt_dir(), 10000, &text, &len, NULL), 0);
}
END_TEST

START_TEST(replaces_whole_with_exact_mode)
{
    const char *path = bvt_write_file("f", "old and longer");
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(10);
    struct stat st;

    (void)umask(077);
    bvt_assert_ok(bvi_fs_replace(path, "new", 3, 0644, NULL), NULL);
    ck_assert_str_eq(bvt_read_file(path, NULL), "new");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0644);
    bvt_assert_ok(bvi_fs_replace_unsynced(path, "told", 4, 0640, NULL), NULL);
    ck_assert_str_eq(bvt_read_file(path, NULL), "told");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0640);
    bvt_assert_ok(bvi_fs_list(bvt_dir(), &names, NULL), NULL);
    ck_assert_uint_eq(names.len, 1); /* no temporary file stays */
}
END_TEST

START_TEST(a_failed_replacement_changes_nothing)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(10);
    bv_error *err = NULL;

    ck_assert_int_eq(mkdir(bvt_path("d"), 0755), 0);
    bvt_write_file("d/inside", "");
    ck_assert_int_lt(bvi_fs_replace(bvt_path("d"), "new", 3, 0644, &err),
                     0); /* a directory is in the way */
    ck_assert(bvi_fs_is_dir(bvt_path("d")));
    bv_error_free(err);
    err = NULL;
    bvt_assert_ok(bvi_fs_list(bvt_dir(), &names, NULL), NULL);
    ck_assert_uint_eq(names.len, 1);
    ck_assert_int_eq(bvi_fs_replace(bvt_path("no/f"), "", 0, 0644, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "no/f");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_lt(bvi_fs_replace(bvt_path("x/"), "", 0, 0644, &err), 0); /* names no file */
    bv_error_free(err);
}
END_TEST

START_TEST(json_survives_a_round)
{
    const char *path = bvt_write_file("f.json", "{\"n\":18446744073709551615,\"unknown\":[1]}");
    bvi_auto_json bvi_json *root = NULL;
    bvi_auto_json bvi_json *again = NULL;
    uint64_t n = 0;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_fs_read_json(path, 1000, &root, &err), err);
    bvt_assert_ok(bvi_fs_replace_json(path, root, 0600, &err), err);
    bvt_assert_ok(bvi_fs_read_json(path, 1000, &again, &err), err);
    bvt_assert_ok(bvi_json_get_uint64(again, "n", &n, &err), err);
    ck_assert(n == UINT64_MAX);
    ck_assert_int_eq(bvi_fs_read_json(bvt_write_file("bad", "{"), 1000, &root, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "bad");
    bv_error_free(err);
}
END_TEST

START_TEST(quarantine_keeps_the_file)
{
    const char *path = bvt_write_file("f", "bad");
    char *now = NULL;

    bvt_assert_ok(bvi_fs_quarantine(path, &now, NULL), NULL);
    ck_assert(!bvt_exists(path));
    ck_assert_str_eq(bvt_read_file(now, NULL), "bad");
    ck_assert(strstr(now, "f.damaged-") != NULL);
    bvi_free(now);
    ck_assert_int_eq(bvi_fs_quarantine(path, NULL, NULL), BV_E_NOT_FOUND);
}
END_TEST

START_TEST(small_things)
{
    const char *path = bvt_path("t");
    int64_t us = 0;
    uint64_t total = 0, available = 0;

    bvt_assert_ok(bvi_fs_touch(path, NULL), NULL);
    bvt_assert_ok(bvi_fs_mtime_us(path, &us, NULL), NULL);
    ck_assert_int_gt(us, INT64_C(1000000000000000));
    bvt_assert_ok(bvi_fs_rename(path, bvt_path("u"), NULL), NULL);
    ck_assert(!bvi_fs_exists(path) && bvi_fs_exists(bvt_path("u")));
    bvt_assert_ok(bvi_fs_remove(bvt_path("u"), NULL), NULL);
    bvt_assert_ok(bvi_fs_remove(bvt_path("u"), NULL), NULL);
    ck_assert_int_eq(bvi_fs_rename(path, bvt_path("u"), NULL), BV_E_NOT_FOUND);
    bvt_assert_ok(bvi_fs_space(bvt_dir(), &total, &available, NULL), NULL);
    ck_assert_uint_ge(total, available);
    bvt_assert_ok(bvi_fs_sync_dir(bvt_dir(), NULL), NULL);
    ck_assert_int_eq(bvi_fs_sync_dir(path, NULL), BV_E_NOT_FOUND);
}
END_TEST

static const struct {
    const char *a, *b, *c;
    const char *joined;
} joins[] = {
    { "a", "b", "c", "a/b/c" }, { "/a/", "b", NULL, "/a/b" }, { "/", "b", NULL, "/b" },
    { "a", "/b", NULL, "a/b" }, { "", "b", NULL, "b" },       { "a", NULL, NULL, "a" },
};

START_TEST(paths_join)
{
    bvi_auto_free char *path = bvi_path_join(joins[_i].a, joins[_i].b, joins[_i].c, NULL);

    ck_assert_str_eq(path, joins[_i].joined);
}
END_TEST

START_TEST(locks_exclude)
{
    const char *path = bvt_path("lock");
    int fd = -1, other = -1;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_fs_lock(path, &fd, &err), err);
    ck_assert_int_eq(bvi_fs_lock(path, &other, &err), BV_E_BUSY);
    bvt_assert_error_says(err, BV_E_BUSY, "held by another process");
    bv_error_free(err);
    close(fd);
    bvt_assert_ok(bvi_fs_lock(path, &fd, NULL), NULL);
    close(fd);
}
END_TEST

static const struct {
    const char *path;
    int code;
} escapes[] = {
    { "in/f", 0 },
    { "./in/../in/f", 0 },
    { "../out", BV_E_INVALID },
    { "in/../../out", BV_E_INVALID },
    { "/etc/passwd", BV_E_INVALID },
    { "link/f", BV_E_INVALID },
    { "flink", BV_E_INVALID },
    { "in/none", BV_E_NOT_FOUND },
};

START_TEST(nothing_leads_out)
{
    int dir = -1, fd = -1;

    ck_assert_int_eq(mkdir(bvt_path("root"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("root/in"), 0755), 0);
    bvt_write_file("root/in/f", "x");
    bvt_write_file("out", "x");
    ck_assert_int_eq(symlink("in", bvt_path("root/link")), 0);
    ck_assert_int_eq(symlink("in/f", bvt_path("root/flink")), 0);
    dir = open(bvt_path("root"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(bvi_fs_open_beneath(dir, escapes[_i].path, O_RDONLY, 0, &fd, NULL),
                     escapes[_i].code);
    if (escapes[_i].code == 0)
        close(fd);
    close(dir);
}
END_TEST

START_TEST(directories_are_made_beneath)
{
    int dir, fd = -1;

    ck_assert_int_eq(mkdir(bvt_path("root"), 0755), 0);
    ck_assert_int_eq(symlink("/tmp", bvt_path("root/link")), 0);
    dir = open(bvt_path("root"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bvt_assert_ok(bvi_fs_mkdir_beneath(dir, "a/b//c/.", 0755, NULL), NULL);
    bvt_assert_ok(bvi_fs_mkdir_beneath(dir, "a/b/c", 0755, NULL), NULL);
    ck_assert(bvi_fs_is_dir(bvt_path("root/a/b/c")));
    ck_assert_int_eq(bvi_fs_mkdir_beneath(dir, "../x", 0755, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_fs_mkdir_beneath(dir, "/x", 0755, NULL), BV_E_INVALID);
    ck_assert_int_lt(bvi_fs_mkdir_beneath(dir, "link/x", 0755, NULL), 0);
    bvt_assert_ok(bvi_fs_open_beneath(dir, "a/b/f", O_WRONLY | O_CREAT, 0640, &fd, NULL), NULL);
    close(fd);
    close(dir);
}
END_TEST

START_TEST(reads_ordinary_files_beneath)
{
    static const struct {
        const char *path;
        size_t max;
        int code;
    } reads[] = {
        { "d/f", 4, BV_OK },
        { "d/f", 3, BV_E_LIMIT },
        { "d/none", 4, BV_E_NOT_FOUND },
        { "d", 4, BV_E_INVALID },
        { "d/link", 4, BV_E_INVALID },
        { "../root/d/f", 4, BV_E_INVALID },
        { "d/pipe", 4, BV_E_INVALID },
    };
    int dir;

    ck_assert_int_eq(mkdir(bvt_path("root"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("root/d"), 0755), 0);
    bvt_write_file("root/d/f", "text");
    ck_assert_int_eq(symlink("f", bvt_path("root/d/link")), 0);
    ck_assert_int_eq(mkfifo(bvt_path("root/d/pipe"), 0600), 0);
    dir = open(bvt_path("root"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < BVI_COUNT(reads); i++) {
        char *text = NULL;
        size_t len = 0;
        int r = bvi_fs_read_beneath(dir, reads[i].path, reads[i].max, &text, &len, NULL);

        ck_assert_msg(r == reads[i].code, "'%s': %s", reads[i].path, bv_code_name(r));
        ck_assert(r < 0 || (len == 4 && strcmp(text, "text") == 0));
        bv_free(text);
    }
    close(dir);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    const char *path = bvt_write_file("f.json", "{\"a\":[1,2,3]}");

    bvt_for_each_failed_allocation(n) {
        bvi_json *root = NULL;
        int r = bvi_fs_read_json(path, 1000, &root, NULL);

        if (r == 0)
            r = bvi_fs_replace_json(path, root, 0644, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_json_free(root);
    }
}
END_TEST

BVT_MAIN("sys/fs", bvt_test(reads_up_to_its_maximum), bvt_test(reads_large_and_endless_files),
         bvt_test(replaces_whole_with_exact_mode), bvt_test(a_failed_replacement_changes_nothing),
         bvt_test(json_survives_a_round), bvt_test(quarantine_keeps_the_file),
         bvt_test(small_things), bvt_loop(paths_join, joins), bvt_test(locks_exclude),
         bvt_loop(nothing_leads_out, escapes), bvt_test(directories_are_made_beneath),
         bvt_test(reads_ordinary_files_beneath), bvt_test(survives_every_failed_allocation))
