/* Snapshot uploads: what is in the store then, and what is sent when little has changed. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../transfer/support.h"
#include "run_upload.h"

#define BIG (9u << 20)

static void append(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_APPEND);

    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

/* Some bytes of a file, in place. */
static void scribble(const char *path, off_t pos, const char *text)
{
    int fd = open(path, O_WRONLY);

    ck_assert_int_eq(pwrite(fd, text, strlen(text), pos), (ssize_t)strlen(text));
    (void)close(fd);
}

static const char *mixed_source(void)
{
    const char *source = bvt_path("source");

    make_mixed_tree(source, BIG);
    return source;
}

START_TEST(a_tree_is_there_as_it_is)
{
    static const unsigned workers[] = { 0, 1, 4 };
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .cancel_at = 0 };

    ck_assert_msg(run_upload_snapshot(workers[_i], store, source, &run) == 0, "%s", run.text);
    ck_assert_uint_eq(run.status.data_version, 1);
    ck_assert_uint_eq(run.status.bytes_done, run.status.bytes_total);
    ck_assert(bvt_exists(bvt_path("store/key/1/snapshot.json")));
    ck_assert(bvt_exists(bvt_path("store/key/latest.json")));
    ck_assert(!bvt_exists(bvt_path("store/key/1/.lock")));
    ck_assert(!bvt_exists(bvt_path("source.up/snapshot.packs")));
    ck_assert(bvt_exists(bvt_path("source.up/snapshot.stamps")));
    assert_is_snapshot_of(store, 1, source);
}
END_TEST

START_TEST(nothing_changed_sends_nothing)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .cancel_at = 0 };
    size_t packs;

    ck_assert_uint_eq(upload_ok(store, source, &run), 1);
    ck_assert_uint_gt(run.status.stored_done, BIG / 4);
    packs = count_files(bvt_path("store/key/packs"), "");
    ck_assert_uint_eq(upload_ok(store, source, &run), 2);
    ck_assert_uint_eq(run.status.stored_done, 0);
    ck_assert_uint_eq(count_files(bvt_path("store/key/packs"), ""), packs);
    assert_is_snapshot_of(store, 2, source);
}
END_TEST

START_TEST(only_changes_are_sent)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .cancel_at = 0 };

    (void)upload_ok(store, source, &run);
    append(bvt_path("source/small/3/file.10.sst"), "x");
    scribble(bvt_path("source/chain/big.mdb"), 5000000, "changed in place");
    (void)unlink(bvt_path("source/one"));
    make_text(source, "chain/new", "new");
    (void)upload_ok(store, source, &run);
    ck_assert_uint_gt(run.status.stored_done, 0);
    ck_assert_uint_lt(run.status.stored_done, 6u << 20);
    assert_is_snapshot_of(store, 2, source);
}
END_TEST

BVT_MAIN("snapshot/upload", bvt_times(a_tree_is_there_as_it_is, 3),
         bvt_test(nothing_changed_sends_nothing), bvt_test(only_changes_are_sent))
