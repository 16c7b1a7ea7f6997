/* Control groups on every kind of host: the mount table, and the files of a group in a pretended
 * tree. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"
#include "runtime/oci_cgroup.h"
#include "sys/fs.h"

static const struct {
    const char *mounts;
    const char *unified, *memory, *pids;
    bool hybrid;
    size_t all;
} hosts[] = {
    { "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\nproc /proc proc rw 0 0\n", "/sys/fs/cgroup",
      NULL, NULL, false, 1 },
    { "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
      "cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\ncgroup2 /sys/fs/cgroup/unified "
      "cgroup2 rw 0 0\n",
      "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", true, 3 },
    { "cgroup /c/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup /c/mem cgroup rw,memory 0 0\n"
      "cgroup /c/systemd cgroup rw,xattr,name=systemd 0 0\n",
      NULL, "/c/mem", NULL, false, 3 },
    { "", NULL, NULL, NULL, false, 0 },
    { "cgroup\ncgroup2 \nx y\n\n", NULL, NULL, NULL, false, 0 },
    { "cgroup /c/nomemory cgroup rw,hugememory 0 0\n", NULL, NULL, NULL, false, 1 },
};

static void assert_text(const char *is, const char *should)
{
    if (should)
        ck_assert_str_eq(is, should);
    else
        ck_assert_ptr_null(is);
}

START_TEST(reads_the_mount_table)
{
    BVI_AUTO(bvi_cgroups_done) bvi_cgroups cgroups = { 0 };

    ck_assert_int_eq(bvi_cgroups_parse(hosts[_i].mounts, &cgroups, NULL), 0);
    assert_text(cgroups.unified, hosts[_i].unified);
    assert_text(cgroups.memory, hosts[_i].memory);
    assert_text(cgroups.pids, hosts[_i].pids);
    ck_assert(bvi_cgroups_is_hybrid(&cgroups) == hosts[_i].hybrid);
    ck_assert_uint_eq(cgroups.all.len, hosts[_i].all);
    if (hosts[_i].unified)
        ck_assert_str_eq(cgroups.all.items[0], hosts[_i].unified);
}
END_TEST

static void put(const char *path, const char *text)
{
    const char *full = bvt_path("%s", path);
    const char *dir = bvt_format("%.*s", (int)(strrchr(full, '/') - full), full);

    ck_assert_int_eq(bvi_fs_mkdir(dir, 0755, NULL), 0);
    (void)bvt_write_file(path, text);
}

static void parse_tree(const char *mounts, bvi_cgroups *cgroups)
{
    ck_assert_int_eq(bvi_cgroups_parse(mounts, cgroups, NULL), 0);
}

START_TEST(measures_version_2)
{
    BVI_AUTO(bvi_cgroups_done) bvi_cgroups cgroups = { 0 };
    bvi_container_stats stats = { 0 };

    put("u/bv/n/memory.current", "4096000\n");
    put("u/bv/n/cpu.stat", "nr_periods 3\nusage_usec 123456\nuser_usec 1\n");
    put("u/bv/n/pids.current", "7\n");
    put("u/bv/n/memory.events", "low 0\noom 2\noom_kill 1\n");
    parse_tree(bvt_format("cgroup2 %s cgroup2 rw 0 0\n", bvt_path("u")), &cgroups);
    ck_assert_int_eq(bvi_cgroup_stats(&cgroups, "bv/n", &stats, NULL), 0);
    ck_assert_uint_eq(stats.memory_bytes, 4096000);
    ck_assert_uint_eq(stats.cpu_us, 123456);
    ck_assert_uint_eq(stats.pids, 7);
    ck_assert_uint_eq(bvi_cgroup_oom_kills(&cgroups, "bv/n"), 1);
    ck_assert(bvi_cgroup_exists(&cgroups, "bv/n"));
}
END_TEST

START_TEST(measures_hybrid)
{
    BVI_AUTO(bvi_cgroups_done) bvi_cgroups cgroups = { 0 };
    bvi_container_stats stats = { 0 };
    bv_error *err = NULL;

    /* The unified group is there, but its controllers are not. */
    put("u/bv/n/cgroup.procs", "");
    put("u/bv/n/cpu.stat", "usage_usec 1\n");
    put("m/bv/n/memory.usage_in_bytes", "1000\n");
    put("m/bv/n/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    put("c/bv/n/cpuacct.usage", "5000000\n");
    put("p/bv/n/pids.current", "2\n");
    parse_tree(bvt_format("cgroup %s cgroup rw,memory 0 0\ncgroup %s cgroup rw,cpuacct 0 0\n"
                          "cgroup %s cgroup rw,pids 0 0\ncgroup2 %s cgroup2 rw 0 0\n",
                          bvt_path("m"), bvt_path("c"), bvt_path("p"), bvt_path("u")),
               &cgroups);
    ck_assert_int_eq(bvi_cgroup_stats(&cgroups, "bv/n", &stats, NULL), 0);
    ck_assert_uint_eq(stats.memory_bytes, 1000);
    ck_assert_uint_eq(stats.cpu_us, 5000);
    ck_assert_uint_eq(stats.pids, 2);
    ck_assert_uint_eq(bvi_cgroup_oom_kills(&cgroups, "bv/n"), 3);
    ck_assert_int_eq(bvi_cgroup_stats(&cgroups, "bv/other", &stats, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "'bv/other'");
    bv_error_free(err);
    ck_assert(!bvi_cgroup_exists(&cgroups, "bv/other"));
}
END_TEST

START_TEST(removes_groups_depth_first)
{
    BVI_AUTO(bvi_cgroups_done) bvi_cgroups cgroups = { 0 };
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_fs_mkdir(bvt_path("u/bv/n/a/b"), 0755, NULL), 0);
    ck_assert_int_eq(bvi_fs_mkdir(bvt_path("m/bv/n/c"), 0755, NULL), 0);
    parse_tree(bvt_format("cgroup %s cgroup rw,memory 0 0\ncgroup2 %s cgroup2 rw 0 0\n",
                          bvt_path("m"), bvt_path("u")),
               &cgroups);
    bvt_assert_ok(bvi_cgroup_kill(&cgroups, "bv/n", &err), err);
    bvt_assert_ok(bvi_cgroup_remove(&cgroups, "bv/n", &err), err);
    ck_assert(!bvt_exists(bvt_path("u/bv/n")));
    ck_assert(!bvt_exists(bvt_path("m/bv/n")));
    ck_assert(bvt_exists(bvt_path("u/bv")));
    bvt_assert_ok(bvi_cgroup_remove(&cgroups, "bv/n", &err), err);
}
END_TEST

START_TEST(believes_only_the_kernel)
{
    /* This process is in some group, but in none of that name; and a listed stranger is not killed.
     */
    BVI_AUTO(bvi_cgroups_done) bvi_cgroups cgroups = { 0 };

    ck_assert(!bvi_cgroup_has("blockvisor/no-such-node", getpid()));
    put("u/bv/n/cgroup.procs", bvt_format("%d\n", (int)getpid()));
    parse_tree(bvt_format("cgroup2 %s cgroup2 rw 0 0\n", bvt_path("u")), &cgroups);
    ck_assert_int_eq(bvi_cgroup_kill(&cgroups, "bv/n", NULL), 0);
    ck_assert_int_eq(bvi_cgroup_find_init(&cgroups, "bv/n"), 0);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bvi_cgroups cgroups = { 0 };
        int r = bvi_cgroups_parse(hosts[1].mounts, &cgroups, NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_cgroups_done(&cgroups);
    }
}
END_TEST

BVT_MAIN("runtime/oci_cgroup", bvt_loop(reads_the_mount_table, hosts), bvt_test(measures_version_2),
         bvt_test(measures_hybrid), bvt_test(removes_groups_depth_first),
         bvt_test(believes_only_the_kernel), bvt_test(survives_every_failed_allocation))
