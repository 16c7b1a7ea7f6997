/* Snapshots into directories: everything the format holds, what need not be fetched, damage, and
 * directories that others have prepared. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

/* ---- what need not be fetched ---- */

START_TEST(a_second_run_fetches_nothing)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 1 };

    make_mixed(store, 1, 7);
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    ck_assert_uint_eq(run.status.stored_done, 0);
    ck_assert_uint_eq(run.status.bytes_done, run.status.bytes_total);
    assert_mixed(dir, 7);
    ck_assert_int_eq(unlink(bvt_path("dir.state/installed.stamps")), 0);
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0); /* by looking at all bytes */
    ck_assert_uint_eq(run.status.stored_done, 0);
    assert_mixed(dir, 7);
}
END_TEST

START_TEST(files_of_several_names_are_left_as_they_are)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 1 };
    struct stat before;
    struct stat after;

    make_mixed(store, 1, 7);
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    ck_assert_int_eq(link(bvt_path("dir/small/003.sst"), bvt_path("elsewhere")), 0);
    for (int i = 0; i < 3; i++) {
        before = stat_of(bvt_path("dir/chain/big.mdb"));
        ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
        ck_assert_uint_eq(run.status.stored_done, 0);
        after = stat_of(bvt_path("dir/chain/big.mdb"));
        ck_assert_uint_eq(after.st_ino, before.st_ino);
        ck_assert_int_eq(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
        ck_assert_int_eq(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
        ck_assert_uint_eq(stat_of(bvt_path("dir/small/003.sst")).st_nlink, 2);
        assert_mixed(dir, 7);
        if (i == 1)
            ck_assert_int_eq(unlink(bvt_path("dir.state/installed.stamps")), 0);
    }
}
END_TEST

/* Only the wrong chunks are fetched, and not into the file that somebody else has as well. */
START_TEST(other_names_of_a_file_keep_what_they_have)
{
    static const uint8_t wrong[] = "wrong";
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 1 };
    struct stat st;
    int fd;

    make_mixed(store, 1, 7);
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    ck_assert_int_eq(link(bvt_path("dir/chain/big.mdb"), bvt_path("elsewhere")), 0);
    st = stat_of(bvt_path("elsewhere"));
    fd = open(bvt_path("elsewhere"), O_WRONLY | O_CLOEXEC);
    for (off_t at = 100000; at < st.st_size; at += 3 * st.st_size / 4)
        ck_assert_int_eq(pwrite(fd, wrong, sizeof(wrong), at), sizeof(wrong));
    ck_assert_int_eq(futimens(fd, (struct timespec[]){ st.st_mtim, st.st_mtim }), 0);
    (void)close(fd);
    ck_assert_int_eq(run_snapshot(worker_counts[_i], store, dir, &run), 0);
    ck_assert_uint_gt(run.status.reused_bytes, run.status.bytes_total / 2);
    ck_assert_uint_gt(run.status.stored_done, 0);
    assert_mixed(dir, 7);
    ck_assert_uint_eq(stat_of(bvt_path("elsewhere")).st_ino, st.st_ino);
    ck_assert_uint_eq(stat_of(bvt_path("elsewhere")).st_nlink, 1);
    ck_assert_int_eq(memcmp(bvt_read_file(bvt_path("elsewhere"), NULL) + 100000, wrong, 5), 0);
}
END_TEST

START_TEST(a_new_version_fetches_what_changed)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 1 };

    make_mixed(store, 1, 7);
    make_mixed(store, 2, 8);
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    run.opts.version = 0;
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    ck_assert_uint_eq(run.status.data_version, 2);
    ck_assert_uint_gt(run.status.stored_done, 0);
    ck_assert_uint_lt(run.status.stored_done, 800000);
    assert_mixed(dir, 8);
}
END_TEST

/* Root without the rights that make it more than an owner. */
static void drop_rights(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

    ck_assert_int_eq(syscall(SYS_capget, &head, sets), 0);
    sets[0].effective &= ~((1u << CAP_DAC_OVERRIDE) | (1u << CAP_DAC_READ_SEARCH));
    ck_assert_int_eq(syscall(SYS_capset, &head, sets), 0);
}

START_TEST(files_closed_to_their_owner_are_replaced)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 1 };
    pid_t pid;
    int status = -1;

    make_mixed(store, 1, 7);
    make_mixed(store, 2, 8);
    pid = fork();
    if (pid == 0) {
        drop_rights();
        ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
        ck_assert_int_eq(chmod(bvt_path("dir/chain/seeded"), 0000), 0);
        ck_assert_int_eq(chmod(bvt_path("dir/small/050.sst"), 0400), 0);
        run.opts.version = 2;
        ck_assert_msg(run_snapshot(1, store, dir, &run) == 0, "%s", run.text);
        assert_mixed(dir, 8);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(another_directory_gives_its_bytes)
{
    const char *store = bvt_path("store");
    const char *seeds[] = { bvt_path("one"), NULL };
    snap_run run = { .opts.version = 1 };

    make_mixed(store, 1, 7);
    make_mixed(store, 2, 8);
    ck_assert_int_eq(run_snapshot(1, store, seeds[0], &run), 0);
    run.opts.version = 2;
    run.opts.seeds = seeds;
    ck_assert_int_eq(run_snapshot(2, store, bvt_path("two"), &run), 0);
    ck_assert_uint_lt(run.status.stored_done, 800000);
    assert_mixed(bvt_path("two"), 8);
    assert_mixed(seeds[0], 7);
}
END_TEST

/* ---- interrupted ---- */

static const uint64_t cancel_points[] = { 1,       300000,  900000,  1500000,
                                          2500000, 4000000, 4600000, 5000000 };

START_TEST(goes_on_after_a_cancel)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .cancel_at = cancel_points[_i] };
    uint64_t first;
    int r;

    make_mixed(store, 1, 7);
    r = run_snapshot(1, store, dir, &run);
    ck_assert_msg(r == BV_E_CANCELLED || r == 0, "%s", run.text);
    first = run.status.stored_done;
    make_mixed(store, 2, 8); /* a newer one does not matter to what is under way */
    run.cancel_at = 0;
    if (r == 0)
        run.opts.version = 1;
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    ck_assert_uint_eq(run.status.data_version, 1);
    assert_mixed(dir, 7);
    ck_assert_uint_lt(first + run.status.stored_done, 3 * 1024 * 1024 + 8 * 1024 * 1024);
}
END_TEST

START_TEST(state_that_is_lost_costs_no_bytes)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .cancel_at = 2500000, .opts.version = 1 };
    uint64_t first;
    int r;

    make_mixed(store, 1, 7);
    r = run_snapshot(0, store, dir, &run);
    ck_assert(r == BV_E_CANCELLED || r == 0);
    first = run.status.stored_done;
    (void)unlink(bvt_path("dir.state/download.bits"));
    run.cancel_at = 0;
    ck_assert_int_eq(run_snapshot(0, store, dir, &run), 0);
    assert_mixed(dir, 7);
    {
        snap_run whole = { .opts.version = 1 };

        ck_assert_int_eq(run_snapshot(0, store, bvt_path("whole"), &whole), 0);
        ck_assert_uint_le(first + run.status.stored_done, whole.status.stored_done + 70000);
    }
}
END_TEST

START_TEST(files_that_went_away_meanwhile_come_back)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .cancel_at = 4600000, .opts.version = 1 };

    make_mixed(store, 1, 7);
    (void)run_snapshot(0, store, dir, &run);
    (void)unlink(bvt_path("dir/chain/big.mdb"));
    (void)truncate(bvt_path("dir/chain/holes"), 1000);
    run.cancel_at = 0;
    ck_assert_int_eq(run_snapshot(0, store, dir, &run), 0);
    assert_mixed(dir, 7);
}
END_TEST

/* The n-th pack of the store; NULL: there are fewer. */
static const char *pack_of(const char *store, unsigned n)
{
    glob_t found = { 0 };
    const char *path = NULL;

    ck_assert_int_eq(glob(bvt_format("%s/key/packs/*/*", store), 0, NULL, &found), 0);
    if (n < found.gl_pathc)
        path = bvt_format("%s", found.gl_pathv[n]);
    globfree(&found);
    return path;
}

/* What was done in a file that went away is not done in the one that takes its place, even when
 * the run that makes it comes to nothing. */
START_TEST(files_that_went_away_come_back_after_a_failure)
{
    const char *store = bvt_path("store");
    const char *aside = bvt_path("aside");
    const char *packs = bvt_path("store/key/packs");
    const char *pack;

    make_mixed(store, 1, 7);
    for (unsigned n = 0; (pack = pack_of(store, n)); n++) {
        const char *dir = bvt_format("%s%u", bvt_path("dir"), n);
        snap_run run = { .opts.version = 1 };

        ck_assert_int_eq(rename(pack, aside), 0);
        ck_assert_int_eq(run_snapshot(0, store, dir, &run), BV_E_NOT_FOUND);
        ck_assert_int_eq(rename(aside, pack), 0);
        (void)unlink(bvt_format("%s/chain/big.mdb", dir));
        (void)truncate(bvt_format("%s/chain/holes", dir), 1000);
        ck_assert_int_eq(rename(packs, aside), 0);
        ck_assert_int_eq(run_snapshot(0, store, dir, &run), BV_E_NOT_FOUND);
        ck_assert_int_eq(rename(aside, packs), 0);
        ck_assert_int_eq(run_snapshot(0, store, dir, &run), 0);
        assert_mixed(dir, 7);
    }
}
END_TEST

/* ---- damage ---- */

/* Flips one byte of the largest packs. */
static unsigned damage_packs(const char *store, unsigned at)
{
    const char *packs = bvt_format("%s/key/packs", store);
    DIR *all = opendir(packs);
    struct dirent *e;
    unsigned n = 0;

    while ((e = readdir(all))) {
        DIR *some = e->d_name[0] == '.' ? NULL : opendir(bvt_format("%s/%s", packs, e->d_name));
        struct dirent *f;

        while (some && (f = readdir(some))) {
            const char *path = bvt_format("%s/%s/%s", packs, e->d_name, f->d_name);
            struct stat st = { 0 };
            uint8_t byte;
            int fd;

            if (f->d_name[0] == '.' || stat(path, &st) < 0 || st.st_size < 200000)
                continue;
            fd = open(path, O_RDWR);
            ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
            byte ^= 1;
            ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
            (void)close(fd);
            n++;
        }
        if (some)
            (void)closedir(some);
    }
    (void)closedir(all);
    return n;
}

START_TEST(wrong_bytes_are_named_and_not_written)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 1 };
    snap_run check = { .opts = { .version = 1, .mode = BVI_SNAP_CHECK } };

    make_mixed(store, 1, 7);
    ck_assert_uint_gt(damage_packs(store, 1000), 0);
    ck_assert_int_eq(run_snapshot(2, store, dir, &run), BV_E_CHECKSUM);
    ck_assert_msg(strstr(run.text, "damaged in the store") && strstr(run.text, "pack "), "%s",
                  run.text);
    ck_assert_uint_gt(run.status.retries, 0);
    ck_assert_int_eq(run_snapshot(2, store, NULL, &check), BV_E_CHECKSUM);
    ck_assert_uint_gt(check.differs, 0);
    (void)damage_packs(store, 1000);
    ck_assert_int_eq(run_snapshot(2, store, dir, &run), 0);
    assert_mixed(dir, 7);
    ck_assert_int_eq(run_snapshot(2, store, NULL, &check), 0);
    ck_assert_uint_eq(check.status.chunks_done, check.status.chunks_total);
}
END_TEST

START_TEST(what_is_not_there_leaves_nothing)
{
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 2 };

    make_mixed(bvt_path("store"), 1, 7);
    ck_assert_int_eq(run_snapshot(worker_counts[_i], bvt_path("store"), dir, &run), BV_E_NOT_FOUND);
    ck_assert(!bvt_exists(dir));
    ck_assert(!bvt_exists(bvt_path("dir.state")));
    ck_assert_int_eq(mkdir(dir, 0755), 0);
    ck_assert_int_eq(run_snapshot(worker_counts[_i], bvt_path("store"), dir, &run), BV_E_NOT_FOUND);
    ck_assert(bvt_exists(dir)); /* not made by us */
}
END_TEST

START_TEST(a_missing_pack_is_named)
{
    const char *store = bvt_path("store");
    snap_run run = { .opts.version = 1 };
    snap_run check = { .opts = { .version = 1, .mode = BVI_SNAP_CHECK } };

    make_mixed(store, 1, 7);
    ck_assert_int_eq(system(bvt_format("find '%s' -size +200k -path '*packs*' -delete", store)), 0);
    ck_assert_int_eq(run_snapshot(1, store, bvt_path("dir"), &run), BV_E_NOT_FOUND);
    ck_assert_msg(strstr(run.text, "missing in the store") != NULL, "%s", run.text);
    ck_assert_int_eq(run_snapshot(1, store, NULL, &check), BV_E_CHECKSUM);
}
END_TEST

START_TEST(a_directory_is_compared_and_mended)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 1 };
    snap_run compare = { .opts = { .version = 1, .mode = BVI_SNAP_COMPARE } };
    snap_run repair = { .opts = { .version = 1, .recheck = true } };
    struct stat st;
    int fd;

    make_mixed(store, 1, 7);
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    ck_assert_int_eq(run_snapshot(1, store, dir, &compare), 0);
    ck_assert_uint_eq(compare.differs, 0);
    st = stat_of(bvt_path("dir/chain/big.mdb"));
    fd = open(bvt_path("dir/chain/big.mdb"), O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "x", 1, 2000000), 1);
    ck_assert_int_eq(futimens(fd, (struct timespec[2]){ st.st_mtim, st.st_mtim }), 0);
    (void)close(fd);
    ck_assert_int_eq(run_snapshot(1, store, dir, &compare), BV_E_CHECKSUM);
    ck_assert_uint_eq(compare.differs, 1);
    ck_assert_str_eq(compare.differs_path, "chain/big.mdb");
    ck_assert_int_eq(unlink(bvt_path("dir/nothing")), 0);
    ck_assert_int_eq(run_snapshot(1, store, dir, &compare), BV_E_CHECKSUM);
    ck_assert_uint_eq(compare.differs, 3);
    ck_assert_int_eq(run_snapshot(1, store, dir, &repair), 0);
    ck_assert_uint_gt(repair.status.stored_done, 0);
    ck_assert_uint_lt(repair.status.stored_done, 100000);
    assert_mixed(dir, 7);
    ck_assert_int_eq(run_snapshot(1, store, dir, &compare), 0);
}
END_TEST

/* ---- what is in the directory already ---- */

START_TEST(what_is_in_the_way_goes_and_nothing_outside_is_touched)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    const char *outside = bvt_path("outside");
    snap_run run = { .opts.version = 1 };

    make_mixed(store, 1, 7);
    ck_assert_int_eq(mkdir(dir, 0755) | mkdir(outside, 0755), 0);
    (void)bvt_write_file("outside/victim", "precious");
    ck_assert_int_eq(symlink(outside, bvt_path("dir/chain")), 0);
    ck_assert_int_eq(symlink(bvt_path("outside/victim"), bvt_path("dir/a file")), 0);
    ck_assert_int_eq(link(bvt_path("outside/victim"), bvt_path("dir/nothing")), 0);
    ck_assert_int_eq(mkdir(bvt_path("dir/small"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("dir/small/001.sst"), 0755), 0);
    ck_assert_int_eq(mkfifo(bvt_path("dir/small/002.sst"), 0600), 0);
    ck_assert_int_eq(link(bvt_path("outside/victim"), bvt_path("dir/small/003.sst")), 0);
    (void)bvt_write_file("dir/small/001.sst/inner", "x");
    (void)bvt_write_file("dir/to chain", "a file");
    (void)bvt_write_file("dir/stays", "own");
    ck_assert_int_eq(run_snapshot(2, store, dir, &run), 0);
    assert_mixed(dir, 7);
    assert_file(bvt_path("outside/victim"), (const uint8_t *)"precious", 8);
    ck_assert_int_eq(rmdir(outside), -1);
    ck_assert(!bvt_exists(bvt_path("outside/big.mdb")));
    ck_assert(bvt_exists(bvt_path("dir/stays")));
}
END_TEST

START_TEST(holes_are_made_where_an_older_file_has_data)
{
    static uint8_t old[6000000];
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    snap_run run = { .opts.version = 1 };

    make_mixed(store, 1, 7);
    ck_assert_int_eq(mkdir(dir, 0755) | mkdir(bvt_path("dir/chain"), 0755), 0);
    memset(old, 'o', sizeof(old));
    (void)bvt_write_bytes("dir/chain/holes", old, sizeof(old));
    (void)bvt_write_bytes("dir/chain/only hole", old, sizeof(old));
    (void)bvt_write_bytes("dir/nothing", old, 100);
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    assert_mixed(dir, 7);
    {
        size_t len = 0;
        char *text = bvt_read_file(bvt_path("dir/chain/holes"), &len);

        ck_assert_ptr_null(memchr(text, 'o', 65536));
        ck_assert_int_eq(text[4999999], 0);
    }
}
END_TEST

START_TEST(extra_files_go_when_asked_but_protected_ones_never)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    const char *protect[] = { "keys", "**/LOCK", "a file", NULL };
    snap_run run = { .opts = { .version = 1, .delete_extra = true, .protect = protect } };

    make_mixed(store, 1, 7);
    ck_assert_int_eq(mkdir(dir, 0755) | mkdir(bvt_path("dir/keys"), 0700) |
                         mkdir(bvt_path("dir/old"), 0700) | mkdir(bvt_path("dir/gone"), 0700) |
                         mkdir(bvt_path("dir/gone/sub"), 0700),
                     0);
    (void)bvt_write_file("dir/keys/secret", "k");
    (void)bvt_write_file("dir/old/LOCK", "l");
    (void)bvt_write_file("dir/old/data", "d");
    (void)bvt_write_file("dir/gone/sub/x", "x");
    (void)bvt_write_file("dir/extra", "x");
    (void)bvt_write_file("dir/a file", "mine");
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    ck_assert(bvt_exists(bvt_path("dir/keys/secret")));
    ck_assert(bvt_exists(bvt_path("dir/old/LOCK")));
    ck_assert(!bvt_exists(bvt_path("dir/old/data")));
    ck_assert(!bvt_exists(bvt_path("dir/gone")));
    ck_assert(!bvt_exists(bvt_path("dir/extra")));
    assert_file(bvt_path("dir/a file"), (const uint8_t *)"mine", 4);
    ck_assert_int_eq(stat_of(dir).st_mtim.tv_sec, 1500000000);
    (void)bvt_write_file("dir/a file", "");
    {
        static uint8_t bytes[1000];

        fill_bytes(bytes, sizeof(bytes), 1);
        (void)bvt_write_bytes("dir/a file", bytes, sizeof(bytes));
        assert_mixed(dir, 7);
    }
}
END_TEST

START_TEST(a_directory_with_protected_files_is_not_replaced)
{
    const char *store = bvt_path("store");
    const char *protect[] = { "**/secret", NULL };
    snap_run run = { .opts = { .version = 1, .protect = protect } };

    make_mixed(store, 1, 7);
    ck_assert_int_eq(mkdir(bvt_path("dir"), 0755) | mkdir(bvt_path("dir/a file"), 0755), 0);
    (void)bvt_write_file("dir/a file/secret", "k");
    ck_assert_int_eq(run_snapshot(1, store, bvt_path("dir"), &run), BV_E_STATE);
    ck_assert_msg(strstr(run.text, "protected") != NULL, "%s", run.text);
    ck_assert(bvt_exists(bvt_path("dir/a file/secret")));
}
END_TEST

START_TEST(a_part_is_restored)
{
    const char *store = bvt_path("store");
    const char *dir = bvt_path("dir");
    const char *include[] = { "chain/seeded", "small/01*", NULL };
    static uint8_t bytes[300000];
    snap_run run = { .opts = { .version = 1, .include = include } };

    make_mixed(store, 1, 7);
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    fill_bytes(bytes, sizeof(bytes), 7);
    assert_file(bvt_path("dir/chain/seeded"), bytes, sizeof(bytes));
    ck_assert(bvt_exists(bvt_path("dir/small/012.sst")));
    ck_assert(!bvt_exists(bvt_path("dir/small/022.sst")));
    ck_assert(!bvt_exists(bvt_path("dir/a file")));
    ck_assert(!bvt_exists(bvt_path("dir/empty")));
    ck_assert_int_eq(stat_of(bvt_path("dir/chain")).st_mode & 07777, 0750);
    run.opts.include = NULL; /* other settings: nothing of the first run is believed */
    ck_assert_int_eq(run_snapshot(1, store, dir, &run), 0);
    assert_mixed(dir, 7);
}
END_TEST

/* ---- a full disk ---- */

static struct {
    size_t leave; /* of the disk, when it is filled */
    const char *fill_in;
    unsigned pauses;
} disk;

static void fill_disk(void)
{
    static const char zeros[4096];
    int fd = open(bvt_path("small/filler"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct stat st;

    ck_assert_int_ge(fd, 0);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        ;
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_eq(ftruncate(fd, st.st_size - (off_t)disk.leave), 0);
    (void)close(fd);
}

static void on_disk(const bv_transfer_status *status)
{
    if (disk.fill_in && strcmp(status->phase, disk.fill_in) == 0) {
        disk.fill_in = NULL;
        fill_disk();
    }
    if (strcmp(status->phase, "no-space") == 0) {
        disk.pauses++;
        (void)unlink(bvt_path("small/filler"));
    }
}

static const struct {
    const char *fill_in;
    size_t leave;
} full_disks[] = {
    { NULL, 1000000 },
    { "transfer", 100000 },
    { "transfer", 4500000 },
};

START_TEST(a_full_disk_is_waited_for)
{
    snap_run run = { .opts.version = 1, .hook = on_disk };
    const char *dir = bvt_path("small/dir");

    make_mixed(bvt_path("store"), 1, 7);
    ck_assert_int_eq(mkdir(bvt_path("small"), 0755), 0);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", bvt_path("small"), "tmpfs", 0, "size=12m") < 0)
        bvt_skip("mounting a tmpfs is not allowed here");
    disk.leave = full_disks[_i].leave;
    disk.fill_in = full_disks[_i].fill_in;
    if (!disk.fill_in)
        fill_disk();
    ck_assert_int_eq(run_snapshot(_i % 3, bvt_path("store"), dir, &run), 0);
    ck_assert_uint_gt(disk.pauses, 0);
    assert_mixed(dir, 7);
    ck_assert_uint_eq(run.status.chunks_done, run.status.chunks_total);
}
END_TEST

START_TEST(a_full_disk_is_an_error_if_it_shall_be)
{
    snap_run run = { .opts = { .version = 1, .space_wait_secs = BV_TRANSFER_SPACE_WAIT_NONE } };

    make_mixed(bvt_path("store"), 1, 7);
    ck_assert_int_eq(mkdir(bvt_path("small"), 0755), 0);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", bvt_path("small"), "tmpfs", 0, "size=3m") < 0)
        bvt_skip("mounting a tmpfs is not allowed here");
    ck_assert_int_eq(run_snapshot(1, bvt_path("store"), bvt_path("small/dir"), &run), BV_E_IO);
    ck_assert_int_eq(run.errnum, ENOSPC);
    ck_assert_msg(strstr(run.text, "available") != NULL, "%s", run.text);
}
END_TEST

/* ---- manifests that lie ---- */

static void lie_link_nowhere(snap_maker *m)
{
    snap_maker_dir(m, "", 0755);
    snap_maker_file(m, "a", "x", 1);
    snap_maker_hardlink(m, "c", "b");
}

static void lie_link_to_dir(snap_maker *m)
{
    snap_maker_dir(m, "", 0755);
    snap_maker_dir(m, "a", 0755);
    snap_maker_hardlink(m, "c", "a");
}

static void lie_entries(bvi_snap_root *root)
{
    root->files++;
    root->entries++;
}

static void lie_page_entries(bvi_snap_root *root)
{
    root->pages.items[0].entries++;
}

static void lie_files(snap_maker *m)
{
    snap_maker_dir(m, "", 0755);
    snap_maker_file(m, "a", "x", 1);
    snap_maker_dir(m, "b", 0755);
    m->bend_root = lie_entries;
}

static void lie_page(snap_maker *m)
{
    snap_maker_dir(m, "", 0755);
    snap_maker_file(m, "a", "x", 1);
    m->bend_root = lie_page_entries;
}

static void no_root_dir(snap_maker *m)
{
    snap_maker_file(m, "a", "x", 1);
}

static const struct {
    void (*make)(snap_maker *m);
    const char *says;
} lies[] = {
    { lie_link_nowhere, "no file of the snapshot" },
    { lie_link_to_dir, "no file of the snapshot" },
    { lie_files, "files" },
    { lie_page, "entries" },
    { no_root_dir, "not with its directory" },
};

START_TEST(lies_are_refused)
{
    static snap_maker m;
    snap_run run = { .opts.version = 1 };
    snap_run check = { .opts = { .version = 1, .mode = BVI_SNAP_CHECK } };

    snap_maker_init(&m, bvt_path("store"), "key", 1);
    lies[_i].make(&m);
    snap_maker_end(&m);
    ck_assert_int_eq(run_snapshot(1, bvt_path("store"), bvt_path("dir"), &run), BV_E_FORMAT);
    ck_assert_msg(strstr(run.text, lies[_i].says) != NULL, "%s", run.text);
    ck_assert_int_eq(run_snapshot(1, bvt_path("store"), NULL, &check), BV_E_FORMAT);
}
END_TEST

START_TEST(errors_of_the_caller_are_told)
{
    snap_run none = { .opts.version = 0 };
    snap_run wrong = { .opts = { .version = 9, .store_key = "key" } };
    snap_run unsigned_root = { .opts = { .version = 1, .verify_key_file = "/nowhere.pem" } };
    snap_run bad_key = { .opts = { .store_key = "../x" } };

    ck_assert_int_eq(run_snapshot(1, bvt_path("store"), bvt_path("dir"), &none), BV_E_NOT_FOUND);
    make_mixed(bvt_path("store"), 1, 7);
    ck_assert_int_eq(run_snapshot(1, bvt_path("store"), bvt_path("dir"), &wrong), BV_E_NOT_FOUND);
    ck_assert_int_eq(run_snapshot(1, bvt_path("store"), bvt_path("dir"), &unsigned_root),
                     BV_E_DENIED);
    ck_assert_int_eq(run_snapshot(1, bvt_path("store"), bvt_path("dir"), &bad_key), BV_E_INVALID);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    static snap_maker m;
    const char *store = bvt_path("store");

    snap_maker_init(&m, store, "key", 1);
    snap_maker_dir(&m, "", 0755);
    snap_maker_file(&m, "a", "some bytes", 10);
    snap_maker_dir(&m, "d", 0755);
    snap_maker_file(&m, "d/b", "more", 4);
    snap_maker_hardlink(&m, "e", "a");
    snap_maker_end(&m);
    bvt_for_each_failed_allocation(n) {
        snap_run run = { .opts = { .version = 1, .delete_extra = true } };
        int r = run_snapshot(0, store, bvt_path("dir"), &run);

        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%d %s", r, run.text);
    }
    ck_assert(bvt_exists(bvt_path("dir/e")));
}
END_TEST

BVT_MAIN("snapshot/download", bvt_loop(restores_everything, worker_counts),
         bvt_test(a_second_run_fetches_nothing),
         bvt_test(files_of_several_names_are_left_as_they_are),
         bvt_loop(other_names_of_a_file_keep_what_they_have, worker_counts),
         bvt_test(a_new_version_fetches_what_changed),
         bvt_test(files_closed_to_their_owner_are_replaced),
         bvt_test(another_directory_gives_its_bytes),
         bvt_loop(goes_on_after_a_cancel, cancel_points),
         bvt_test(state_that_is_lost_costs_no_bytes),
         bvt_test(files_that_went_away_meanwhile_come_back),
         bvt_test(files_that_went_away_come_back_after_a_failure),
         bvt_test(wrong_bytes_are_named_and_not_written),
         bvt_loop(what_is_not_there_leaves_nothing, worker_counts),
         bvt_test(a_missing_pack_is_named), bvt_test(a_directory_is_compared_and_mended),
         bvt_test(what_is_in_the_way_goes_and_nothing_outside_is_touched),
         bvt_test(holes_are_made_where_an_older_file_has_data),
         bvt_test(extra_files_go_when_asked_but_protected_ones_never),
         bvt_test(a_directory_with_protected_files_is_not_replaced), bvt_test(a_part_is_restored),
         bvt_loop(a_full_disk_is_waited_for, full_disks),
         bvt_test(a_full_disk_is_an_error_if_it_shall_be), bvt_loop(lies_are_refused, lies),
         bvt_test(errors_of_the_caller_are_told), bvt_test(survives_every_failed_allocation))
