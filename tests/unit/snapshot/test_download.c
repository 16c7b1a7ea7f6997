/* Snapshots into directories: everything the format holds, what need not be fetched, damage, and
 * directories that others have prepared. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run_snapshot.h"
#include "snap_maker.h"

static void make_mixed(const char *store, uint64_t version, unsigned seed)
{
    static snap_maker m;

    snap_maker_init(&m, store, "key", version);
    snap_maker_mixed(&m, seed);
    snap_maker_end(&m);
}

static void assert_file(const char *path, const uint8_t *bytes, size_t len)
{
    size_t there = 0;
    char *text = bvt_read_file(path, &there);

    ck_assert_uint_eq(there, len);
    ck_assert_msg(memcmp(text, bytes, len) == 0, "%s has other bytes", path);
}

static struct stat stat_of(const char *path)
{
    struct stat st;

    ck_assert_msg(lstat(path, &st) == 0, "%s is not there", path);
    return st;
}

static void assert_mixed(const char *dir, unsigned seed)
{
    static uint8_t bytes[4 * 1024 * 1024];
    struct stat st;
    char target[64] = "";

    fill_bytes(bytes, sizeof(bytes), 1);
    assert_file(bvt_format("%s/a file", dir), bytes, 1000);
    assert_file(bvt_format("%s/chain/big.mdb", dir), bytes, sizeof(bytes));
    fill_bytes(bytes, sizeof(bytes), seed);
    assert_file(bvt_format("%s/chain/seeded", dir), bytes, 300000);
    fill_bytes(bytes, 13 * 50, seed);
    assert_file(bvt_format("%s/small/050.sst", dir), bytes, 650);
    fill_bytes(bytes, 13 * 99, 99);
    assert_file(bvt_format("%s/small/099.sst", dir), bytes, 99 * 13);
    ck_assert_int_eq(stat_of(bvt_format("%s/nothing", dir)).st_size, 0);
    st = stat_of(bvt_format("%s/chain/holes", dir));
    ck_assert_int_eq(st.st_size, 5000000);
    ck_assert_int_lt(st.st_blocks * 512, 200000);
    ck_assert_int_eq(st.st_mode & 07777, 0640);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1600000000);
    ck_assert_int_eq(st.st_mtim.tv_nsec, 456);
    st = stat_of(bvt_format("%s/small/050.sst", dir));
    ck_assert_int_eq(st.st_mode & 07777, 0640);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1600000000);
    ck_assert_int_eq(stat_of(bvt_format("%s/chain/only hole", dir)).st_size, 123456);
    ck_assert_int_eq(stat_of(bvt_format("%s/chain/only hole", dir)).st_blocks, 0);
    st = stat_of(bvt_format("%s/chain", dir));
    ck_assert_int_eq(st.st_mode & 07777, 0750);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1500000000);
    ck_assert_int_eq(st.st_mtim.tv_nsec, 123);
    ck_assert_int_eq(stat_of(bvt_format("%s/empty", dir)).st_mode & 07777, 0700);
    ck_assert_int_eq(stat_of(bvt_format("%s/small.d", dir)).st_mode & 07777, 0555);
    ck_assert_int_eq(stat_of(dir).st_mtim.tv_sec, 1500000000);
    ck_assert_uint_eq(stat_of(bvt_format("%s/other name", dir)).st_ino,
                      stat_of(bvt_format("%s/chain/big.mdb", dir)).st_ino);
    ck_assert_int_eq(readlink(bvt_format("%s/to chain", dir), target, sizeof(target)), 14);
    ck_assert_int_eq(stat_of(bvt_format("%s/to nowhere", dir)).st_mtim.tv_sec, 1400000000);
    ck_assert_int_eq(stat_of(bvt_format("%s/small.d/odd\nname \xff\x01", dir)).st_size, 5);
}

static const unsigned worker_counts[] = { 0, 1, 3 };

START_TEST(restores_everything)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 1 };

    make_mixed(store, 1, 7);
    ck_assert_int_eq(run_snapshot(worker_counts[_i], store, dir, &run), 0);
    assert_mixed(dir, 7);
    ck_assert_uint_eq(run.status.chunks_done, run.status.chunks_total);
    ck_assert_uint_eq(run.status.bytes_done, run.status.bytes_total);
    ck_assert(!bvt_exists(bvt_path("dir.state/download.bits")));
    ck_assert(bvt_exists(bvt_path("dir.state/installed.stamps")));
}
END_TEST

BVT_MAIN("snapshot/download", bvt_loop(restores_everything, worker_counts))
