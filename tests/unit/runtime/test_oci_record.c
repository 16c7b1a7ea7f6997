/* container.json: written, read back, unknown fields kept, damaged ones set aside; and mount points
 * inside a root. */
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"
#include "runtime/oci_record.h"
#include "sys/fs.h"

START_TEST(round_trip)
{
    BVI_AUTO(bvi_oci_record_done) bvi_oci_record record = { 0 };
    BVI_AUTO(bvi_oci_record_done) bvi_oci_record again = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_oci_record_load(bvt_dir(), &record, &err), err);
    ck_assert(!record.exists && !record.was_damaged);
    record.status = BVI_OCI_RUNNING;
    record.proc = (bvi_proc_id){ .pid = 4711, .start_ticks = UINT64_MAX };
    record.root = (bvi_root_key){ 1, 2, 3, UINT64_MAX - 1 };
    bvt_assert_ok(bvi_oci_record_set_runtime(&record, "/usr/bin/crun", &err), err);
    bvt_assert_ok(bvi_oci_record_save(bvt_dir(), "n1", &record, &err), err);

    bvt_assert_ok(bvi_oci_record_load(bvt_dir(), &again, &err), err);
    ck_assert(again.exists);
    ck_assert(again.same_boot);
    ck_assert_int_eq(again.status, BVI_OCI_RUNNING);
    ck_assert_int_eq(again.proc.pid, 4711);
    ck_assert_uint_eq(again.proc.start_ticks, UINT64_MAX);
    ck_assert_uint_eq(again.root.upper_ino, UINT64_MAX - 1);
    ck_assert_str_eq(again.runtime, "/usr/bin/crun");
}
END_TEST

START_TEST(keeps_unknown_fields_and_knows_another_boot)
{
    BVI_AUTO(bvi_oci_record_done) bvi_oci_record record = { 0 };
    const char *path = bvt_write_file("container.json",
                                      "{\"version\":1,\"status\":\"running\",\"boot_id\":\"old\","
                                      "\"pid\":1,\"start_ticks\":1,\"future\":[1,2]}");

    ck_assert_int_eq(bvi_oci_record_load(bvt_dir(), &record, NULL), 0);
    ck_assert(record.exists);
    ck_assert(!record.same_boot);
    ck_assert_int_eq(bvi_oci_record_save(bvt_dir(), "n1", &record, NULL), 0);
    ck_assert_ptr_nonnull(strstr(bvt_read_file(path, NULL), "future"));
}
END_TEST

static const char *const damaged[] = {
    "",
    "{\"version\":1",
    "[]",
    "{\"version\":2,\"status\":\"running\",\"boot_id\":\"x\"}",
    "{\"version\":1,\"status\":\"asleep\",\"boot_id\":\"x\"}",
    "{\"version\":1,\"status\":\"running\"}",
    "{\"version\":1,\"status\":\"running\",\"boot_id\":\"x\",\"pid\":-1}",
    "{\"version\":1,\"status\":\"running\",\"boot_id\":\"x\",\"pid\":99999999999}",
};

START_TEST(sets_damaged_ones_aside)
{
    BVI_AUTO(bvi_oci_record_done) bvi_oci_record record = { 0 };
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(8);
    bv_error *err = NULL;

    (void)bvt_write_file("container.json", damaged[_i]);
    bvt_assert_ok(bvi_oci_record_load(bvt_dir(), &record, &err), err);
    ck_assert(record.was_damaged);
    ck_assert(!record.exists);
    ck_assert_int_eq(bvi_fs_list(bvt_dir(), &names, NULL), 0);
    ck_assert_uint_eq(names.len, 1);
    ck_assert_ptr_nonnull(strstr(names.items[0], ".damaged-"));
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bvi_oci_record record = { 0 };
        int r = bvi_oci_record_load(bvt_dir(), &record, NULL);

        if (r == 0)
            r = bvi_oci_record_save(bvt_dir(), "n1", &record, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_oci_record_done(&record);
    }
}
END_TEST

/* ---- mount points: links in an image mean places inside the root ---- */

static const struct {
    const char *link_at, *link_to; /* in the root, before */
    const char *destination;
    bool file;
    const char *appears; /* in the root, after */
} points[] = {
    { NULL, NULL, "/blockjoy", false, "blockjoy" },
    { NULL, NULL, "/a/b/c", false, "a/b/c" },
    { NULL, NULL, "/run/agent.sock", true, "run/agent.sock" },
    { "out", "/inside", "/out/data", false, "inside/data" },
    { "out", "../../../../inside", "/out/data", false, "inside/data" },
    { "resolv.conf", "../run/deep/resolv.conf", "/resolv.conf", true, "run/deep/resolv.conf" },
    { "resolv.conf", "/run/other/resolv.conf", "/resolv.conf", true, "run/other/resolv.conf" },
};

START_TEST(makes_mount_points_inside)
{
    const char *root = bvt_path("root");
    const bvi_bind bind = {
        .source = points[_i].file ? bvt_write_file("source", "") : bvt_dir(),
        .destination = points[_i].destination,
    };
    bv_error *err = NULL;

    ck_assert_int_eq(mkdir(root, 0755), 0);
    ck_assert_int_eq(mkdir(bvt_format("%s/inside", root), 0755), 0);
    if (points[_i].link_at)
        ck_assert_int_eq(symlink(points[_i].link_to, bvt_format("%s/%s", root, points[_i].link_at)),
                         0);
    bvt_assert_ok(bvi_oci_root_make_point(root, &bind, &err), err);
    ck_assert(bvt_exists(bvt_format("%s/%s", root, points[_i].appears)));
    ck_assert(!bvt_exists("/inside"));
    bvt_assert_ok(bvi_oci_root_make_point(root, &bind, &err), err); /* again is fine */
}
END_TEST

START_TEST(refuses_a_file_in_the_way)
{
    const char *root = bvt_path("root");
    const bvi_bind bind = { .source = bvt_dir(), .destination = "/etc/data" };
    bv_error *err = NULL;

    ck_assert_int_eq(mkdir(root, 0755), 0);
    (void)bvt_write_file("root/etc", "a file");
    ck_assert_int_lt(bvi_oci_root_make_point(root, &bind, &err), 0);
    bvt_assert_error_says(err, bv_error_code(err), "'/etc'");
    bv_error_free(err);
}
END_TEST

BVT_MAIN("runtime/oci_record", bvt_test(round_trip),
         bvt_test(keeps_unknown_fields_and_knows_another_boot),
         bvt_loop(sets_damaged_ones_aside, damaged), bvt_test(survives_every_failed_allocation),
         bvt_loop(makes_mount_points_inside, points), bvt_test(refuses_a_file_in_the_way))
