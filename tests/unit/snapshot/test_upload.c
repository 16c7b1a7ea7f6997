/* Snapshot uploads: what is in the store then, and what is sent when little has changed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../transfer/support.h"
#include "run_upload.h"

#define BIG (6u << 20)

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
    scribble(bvt_path("source/chain/big.mdb"), 3000000, "changed in place");
    (void)unlink(bvt_path("source/one"));
    make_text(source, "chain/new", "new");
    (void)upload_ok(store, source, &run);
    ck_assert_uint_gt(run.status.stored_done, 0);
    ck_assert_uint_lt(run.status.stored_done, 6u << 20);
    assert_is_snapshot_of(store, 2, source);
}
END_TEST

static void assert_logged(const bvt_log *log, const char *text)
{
    ck_assert_msg(strstr(log->text, text) != NULL, "'%s' is not in: %s", text, log->text);
}

START_TEST(what_did_not_change_is_not_read)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    static bvt_log log;
    upload_run run = { .log = &log, .later = true };

    (void)upload_ok(store, source, &run);
    assert_logged(&log, "of which 0 were not read");
    log.len = 0;
    (void)upload_ok(store, source, &run);
    assert_logged(&log, "9401357 bytes, of which 9401357 were not read; 0 bytes sent");
    assert_is_snapshot_of(store, 2, source);
    /* One file of a bundle: the others of it are read as well. */
    log.len = 0;
    append(bvt_path("source/small/3/file.10.sst"), "x");
    (void)upload_ok(store, source, &run);
    ck_assert_ptr_null(strstr(log.text, "of which 0 were not read"));
    assert_is_snapshot_of(store, 3, source);
    /* Unless somebody wants to be sure. */
    log.len = 0;
    run.opts.rehash = true;
    (void)upload_ok(store, source, &run);
    assert_logged(&log, "of which 0 were not read; 0 bytes sent");
}
END_TEST

/* Pages begin with files of all kinds here, large ones with a bit of data and small ones between
 * them, each in a bundle of its own. */
START_TEST(what_a_page_begins_with_is_known_too)
{
    const char *source = bvt_path("source");
    const char *store = bvt_path("store");
    static bvt_log log;
    upload_run run = { .log = &log, .later = true };
    char name[256];

    for (int i = 0; i < 2000; i++) {
        (void)snprintf(name, sizeof(name), "%05d%0230d", i, i);
        make_text(source, name, bvt_format("text %d", i));
        if (i % 2 == 0)
            ck_assert_int_eq(truncate(bvt_format("%s/%s", source, name), 300000), 0);
    }
    (void)upload_ok(store, source, &run);
    log.len = 0;
    (void)upload_ok(store, source, &run);
    ck_assert_uint_eq(run.status.stored_done, 0);
    assert_is_snapshot_of(store, 2, source);
    ck_assert_ptr_null(strstr(log.text, "of which 0 were"));
    assert_logged(&log, "300008445 bytes, of which 300008445 were not read");
}
END_TEST

/* A pack with hardly anything in it holds up more entries than may wait. */
START_TEST(a_long_wait_for_a_pack_is_cut_short)
{
    const char *source = bvt_path("source");
    upload_run run = { .cancel_at = 0 };
    char path[4096];

    make_file(source, "a", 100000, 1);
    for (int i = 0; i < 30000; i++) {
        (void)snprintf(path, sizeof(path), "%s/%05d%0200d", source, i, i);
        ck_assert_int_eq(link(bvt_path("source/a"), path), 0);
    }
    (void)upload_ok(bvt_path("store"), source, &run);
    assert_is_snapshot_of(bvt_path("store"), 1, source);
}
END_TEST

/* A file may be written to twice within a tick of the clock that stamps it. */
START_TEST(young_stamps_are_not_trusted)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    static bvt_log log;
    upload_run run = { .log = &log };

    (void)upload_ok(store, source, &run);
    log.len = 0;
    (void)upload_ok(store, source, &run);
    assert_logged(&log, "of which 0 were not read; 0 bytes sent");
}
END_TEST

START_TEST(damaged_stamps_only_cost_time)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .later = true };
    struct stat st;

    (void)upload_ok(store, source, &run);
    ck_assert_int_eq(stat(bvt_path("source.up/snapshot.stamps"), &st), 0);
    scribble(bvt_path("source.up/snapshot.stamps"), _i == 0 ? 20 : st.st_size / 2,
             "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    (void)upload_ok(store, source, &run);
    ck_assert_uint_eq(run.status.stored_done, 0);
    assert_is_snapshot_of(store, 2, source);
}
END_TEST

static void make_odd_tree(const char *source)
{
    char deep[4096] = "";

    make_text(source, "a file", "content");
    make_text(source, "new\nline \xff\xfe \\", "bytes");
    make_text(source, "d/x", "below d");
    make_text(source, "d.a", "beside d");
    make_text(source, "d!", "before d");
    make_file(source, "big", 300000, 7);
    (void)mkdir(bvt_path("source/nothing in here"), 0700);
    ck_assert_int_eq(symlink("a file", bvt_path("source/link")), 0);
    ck_assert_int_eq(symlink("/nowhere/at all", bvt_path("source/broken")), 0);
    ck_assert_int_eq(link(bvt_path("source/big"), bvt_path("source/z big")), 0);
    ck_assert_int_eq(link(bvt_path("source/big"), bvt_path("source/d/big")), 0);
    ck_assert_int_eq(mkfifo(bvt_path("source/pipe"), 0600), 0);
    ck_assert_int_eq(chmod(bvt_path("source/d/x"), 04711), 0);
    for (unsigned i = 0; i < 60; i++)
        (void)strcat(deep, "deep/");
    make_text(source, strcat(deep, "file"), "down here");
}

static void make_holes(const char *source)
{
    char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/holes", source);
    fd = open(path, O_WRONLY | O_CREAT, 0644);
    ck_assert_int_eq(ftruncate(fd, 200 << 20), 0);
    ck_assert_int_eq(pwrite(fd, "middle", 6, 70 << 20), 6);
    ck_assert_int_eq(pwrite(fd, "end", 3, (200 << 20) - 3), 3);
    (void)close(fd);
    (void)snprintf(path, sizeof(path), "%s/only a hole", source);
    fd = open(path, O_WRONLY | O_CREAT, 0644);
    ck_assert_int_eq(ftruncate(fd, 5 << 20), 0);
    (void)close(fd);
    (void)snprintf(path, sizeof(path), "%s/small hole", source);
    fd = open(path, O_WRONLY | O_CREAT, 0644);
    ck_assert_int_eq(ftruncate(fd, 100000), 0);
    ck_assert_int_eq(pwrite(fd, "x", 1, 50000), 1);
    (void)close(fd);
}

START_TEST(everything_a_tree_may_hold_comes_back)
{
    const char *source = bvt_path("source");
    const char *store = bvt_path("store");
    upload_run run = { .later = true };
    uint64_t bytes;

    make_odd_tree(source);
    make_holes(source);
    (void)upload_ok(store, source, &run);
    bytes = run.status.bytes_done;
    ck_assert_uint_eq(run.status.skipped, 1);
    ck_assert_uint_lt(run.status.stored_done, 2u << 20);
    /* A pipe is left out, and would be an extra of the directory. */
    (void)unlink(bvt_path("source/pipe"));
    assert_is_snapshot_of(store, 1, source);
    (void)upload_ok(store, source, &run);
    ck_assert_uint_lt(run.status.stored_done, 4096); /* the root directory's time */
    ck_assert_uint_eq(run.status.bytes_done, bytes);
    ck_assert_uint_lt(run.status.reused_bytes, 2u << 20); /* holes are no data */
    assert_is_snapshot_of(store, 2, source);
}
END_TEST

START_TEST(an_empty_directory_is_a_snapshot)
{
    const char *source = bvt_path("source");
    upload_run run = { .cancel_at = 0 };

    (void)mkdir(source, 0755);
    (void)upload_ok(bvt_path("store"), source, &run);
    assert_is_snapshot_of(bvt_path("store"), 1, source);
}
END_TEST

START_TEST(patterns_leave_out)
{
    static const char *const exclude[] = { "*.log", "chain/deep", NULL };
    static const char *const protect[] = { "keys", NULL };
    const char *source = mixed_source();
    upload_run run = { .opts = { .exclude = exclude, .protect = protect } };

    make_text(source, "keys/secret", "do not tell");
    make_text(source, "chain/x.log", "log");
    (void)upload_ok(bvt_path("store"), source, &run);
    (void)unlink(bvt_path("source/keys/secret"));
    (void)rmdir(bvt_path("source/keys"));
    ck_assert_uint_eq(run.status.files, 65);
}
END_TEST

/* ---- changes meanwhile ---- */

static void change_once(upload_run *run, const bv_transfer_status *status)
{
    if (strcmp(status->phase, "verify") == 0 && run->meddled++ == 0) {
        append(bvt_path("source/one"), "more");
        scribble(bvt_path("source/chain/big.mdb"), 1000, "late");
    }
}

START_TEST(what_changes_meanwhile_is_read_again)
{
    const char *source = mixed_source();
    upload_run run = { .meddle = change_once, .later = _i == 1 };

    (void)upload_ok(bvt_path("store"), source, &run);
    ck_assert_uint_gt(run.meddled, 0);
    assert_is_snapshot_of(bvt_path("store"), 1, source);
}
END_TEST

static void change_always(upload_run *run, const bv_transfer_status *status)
{
    if (strcmp(status->phase, "verify") == 0) {
        run->meddled++;
        append(bvt_path("source/chain/blk 0001.dat"), "more");
    }
}

START_TEST(what_never_rests_is_refused)
{
    const char *source = mixed_source();
    upload_run run = { .meddle = change_always };

    ck_assert_int_eq(run_upload_snapshot(2, bvt_path("store"), source, &run), BV_E_STATE);
    ck_assert_ptr_nonnull(strstr(run.text, "chain/blk 0001.dat"));
    ck_assert_uint_eq(run.meddled, BVI_SNAP_PASSES_MAX);
    ck_assert(!bvt_exists(bvt_path("store/key/1/snapshot.json")));
    /* What was stored counts for the next attempt. */
    run.meddle = NULL;
    (void)upload_ok(bvt_path("store"), source, &run);
    ck_assert_uint_lt(run.status.stored_done, 1u << 20);
    assert_is_snapshot_of(bvt_path("store"), 1, source);
}
END_TEST

/* ---- the gate ---- */

START_TEST(a_gate_has_the_last_word)
{
    static const char *const no[] = { "sh", "-c", "echo the index is broken >&2; exit 3", "gate",
                                      NULL };
    static const char *const yes[] = {
        "sh", "-c",
        "test -e \"$1/one\" -a \"$BV_SNAPSHOT_VERSION\" = 1 -a \"$BV_SNAPSHOT_DIR\" = \"$1\"",
        "gate", NULL
    };
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .opts = { .gate_argv = no } };

    ck_assert_int_eq(run_upload_snapshot(2, store, source, &run), BV_E_STATE);
    ck_assert_msg(strstr(run.text, "the index is broken") != NULL, "%s", run.text);
    ck_assert(!bvt_exists(bvt_path("store/key/1/snapshot.json")));
    ck_assert(!bvt_exists(bvt_path("store/key/1/.lock")));
    run.opts.gate_argv = yes;
    ck_assert_uint_eq(upload_ok(store, source, &run), 1);
    ck_assert_uint_eq(run.status.stored_done, 0); /* it was there */
    assert_is_snapshot_of(store, 1, source);
}
END_TEST

static void change_in_gate(upload_run *run, const bv_transfer_status *status)
{
    (void)run;
    if (strcmp(status->phase, "gate") == 0)
        append(bvt_path("source/one"), "by the gate");
}

START_TEST(a_gate_that_writes_is_refused)
{
    static const char *const yes[] = { "true", NULL };
    upload_run run = { .opts = { .gate_argv = yes }, .meddle = change_in_gate };

    ck_assert_int_eq(run_upload_snapshot(2, bvt_path("store"), mixed_source(), &run), BV_E_STATE);
    ck_assert_ptr_nonnull(strstr(run.text, "'one' changed"));
}
END_TEST

/* ---- going on ---- */

START_TEST(an_interrupted_upload_goes_on)
{
    const char *source = bvt_path("source");
    const char *store = bvt_path("store");
    upload_run run = { .opts = { .max_runners = 2 }, .cancel_sent = (uint64_t)(_i + 1) << 23 };
    uint64_t sent;
    uint64_t again;

    make_file(source, "large", 60u << 20, 3);
    ck_assert_int_eq(run_upload_snapshot(2, store, source, &run), BV_E_CANCELLED);
    sent = run.status.stored_done;
    ck_assert(bvt_exists(bvt_path("source.up/snapshot.packs")));
    run.cancel_sent = 0;
    run.opts.level = 5; /* frames of either level are good */
    ck_assert_uint_eq(upload_ok(store, source, &run), 1);
    again = run.status.stored_done;
    ck_assert_uint_gt(run.status.resumed_chunks, 0);
    assert_is_snapshot_of(store, 1, source);
    /* As much as without the interruption, but for what was under way. */
    (void)bvt_write_file("other.up.x", "");
    ck_assert_uint_lt(sent + again, (50u << 20) + 2 * (8u << 20));
}
END_TEST

START_TEST(a_journal_may_end_anywhere)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .cancel_sent = 1 };
    struct stat st;

    ck_assert_int_eq(run_upload_snapshot(2, store, source, &run), BV_E_CANCELLED);
    ck_assert_int_eq(stat(bvt_path("source.up/snapshot.packs"), &st), 0);
    ck_assert_int_eq(truncate(bvt_path("source.up/snapshot.packs"), st.st_size * _i / 5), 0);
    run.cancel_sent = 0;
    (void)upload_ok(store, source, &run);
    assert_is_snapshot_of(store, 0, source);
}
END_TEST

/* A journal may speak of packs that are gone, or of another store. */
START_TEST(what_the_store_lost_is_sent_again)
{
    const char *source = mixed_source();
    upload_run run = { .cancel_sent = 1 };

    ck_assert_int_eq(run_upload_snapshot(2, bvt_path("store"), source, &run), BV_E_CANCELLED);
    run.cancel_sent = 0;
    (void)upload_ok(bvt_path("another"), source, &run);
    ck_assert_uint_eq(run.status.resumed_chunks, 0);
    assert_is_snapshot_of(bvt_path("another"), 0, source);
}
END_TEST

static int harm_pack(const char *path, bool cut)
{
    struct stat st;

    if (!cut)
        return unlink(path);
    ck_assert_int_eq(stat(path, &st), 0);
    return truncate(path, st.st_size / 2);
}

static void harm_all_packs(const char *store, bool cut)
{
    FILE *list = popen(bvt_format("find %s/key/packs -type f", store), "r");
    char path[4096];

    while (fgets(path, sizeof(path), list)) {
        path[strcspn(path, "\n")] = '\0';
        ck_assert_int_eq(harm_pack(path, cut), 0);
    }
    (void)pclose(list);
}

START_TEST(a_base_without_its_packs_is_not_built_on)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    static bvt_log log;
    upload_run run = { .log = &log, .later = true };

    (void)upload_ok(store, source, &run);
    harm_all_packs(store, _i == 1);
    (void)upload_ok(store, source, &run);
    ck_assert_uint_gt(log.counts[BV_LOG_WARN], 0);
    assert_logged(&log, "cannot be read whole");
    ck_assert_uint_gt(run.status.stored_done, BIG / 4);
    assert_is_snapshot_of(store, 2, source);
}
END_TEST

START_TEST(a_prune_under_way_is_kept_out_of)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .later = true };
    FILE *mark;

    (void)upload_ok(store, source, &run);
    mark = fopen(bvt_path("store/key/prune.json"), "w");
    (void)fputs(_i == 0 ? "{\"format\":\"blockvisor-prune\",\"expires_us\":99999999999999999}"
                        : "{\"format\":\"blockvisor-prune\",\"expires_us\":5}",
                mark);
    (void)fclose(mark);
    (void)upload_ok(store, source, &run);
    if (_i == 0)
        ck_assert_uint_gt(run.status.stored_done, BIG / 4);
    else
        ck_assert_uint_eq(run.status.stored_done, 0);
    assert_is_snapshot_of(store, 2, source);
}
END_TEST

/* ---- versions ---- */

START_TEST(versions_are_immutable)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .opts = { .data_version = 7 } };

    ck_assert_uint_eq(upload_ok(store, source, &run), 7);
    ck_assert_int_eq(run_upload_snapshot(2, store, source, &run), BV_E_EXISTS);
    run.opts.data_version = 0;
    ck_assert_uint_eq(upload_ok(store, source, &run), 8);
}
END_TEST

/* An interrupted upload's version is not that of one which asks for another. */
START_TEST(a_version_asked_for_is_the_one_made)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .cancel_sent = 1 };

    ck_assert_int_eq(run_upload_snapshot(2, store, source, &run), BV_E_CANCELLED);
    run.cancel_sent = 0;
    run.opts.data_version = 9;
    ck_assert_uint_eq(upload_ok(store, source, &run), 9);
    ck_assert_uint_gt(run.status.resumed_chunks, 0);
}
END_TEST

static void sleep_long(upload_run *run, const bv_transfer_status *status)
{
    if (strcmp(status->phase, "verify") == 0)
        run->clock_ahead = 2 * 3600;
}

START_TEST(a_reservation_that_ran_out_is_not_used)
{
    const char *source = mixed_source();
    upload_run run = { .later = true, .meddle = sleep_long };

    ck_assert_int_eq(run_upload_snapshot(2, bvt_path("store"), source, &run), BV_E_AGAIN);
    ck_assert(!bvt_exists(bvt_path("store/key/1/snapshot.json")));
    run = (upload_run){ .later = true };
    ck_assert_uint_eq(upload_ok(bvt_path("store"), source, &run), 1);
    ck_assert_uint_eq(run.status.stored_done, 0);
}
END_TEST

static void start_another(upload_run *run, const bv_transfer_status *status)
{
    static upload_run other;

    if (strcmp(status->phase, "verify") != 0 || run->meddled++ > 0)
        return;
    other = (upload_run){ .cancel_at = 0 };
    ck_assert_int_eq(run_upload_snapshot(0, bvt_path("store"), bvt_path("source"), &other),
                     BV_E_BUSY);
    /* Another directory may go on at the same time, as the version after this one. */
    other = (upload_run){ .cancel_at = 0 };
    ck_assert_uint_eq(upload_ok(bvt_path("store"), bvt_path("source2"), &other), 2);
}

START_TEST(two_uploads_keep_apart)
{
    const char *source = mixed_source();
    upload_run run = { .meddle = start_another };

    make_text(bvt_path("source2"), "file", "other");
    ck_assert_uint_eq(upload_ok(bvt_path("store"), source, &run), 1);
    ck_assert_uint_gt(run.meddled, 0);
    assert_is_snapshot_of(bvt_path("store"), 1, source);
    assert_is_snapshot_of(bvt_path("store"), 2, bvt_path("source2"));
}
END_TEST

/* ---- dying after the root was put ---- */

/* Puts the store and the state directory back to where they were right after the root was put. */
static void keep_state(upload_run *run, const bv_transfer_status *status)
{
    if (strcmp(status->phase, "publish") == 0 && run->meddled++ == 0)
        ck_assert_int_eq(system(bvt_format("cp -a %s %s", bvt_path("source.up"), bvt_path("kept"))),
                         0);
}

static void upload_and_die_published(const char *store, const char *source, uint64_t version)
{
    upload_run run = { .opts = { .data_version = version }, .meddle = keep_state };

    ck_assert_uint_eq(upload_ok(store, source, &run), 1);
    ck_assert_uint_eq(run.meddled, 1);
    ck_assert_int_eq(system(bvt_format("rm -r %s && mv %s %s", bvt_path("source.up"),
                                       bvt_path("kept"), bvt_path("source.up"))),
                     0);
    ck_assert(bvt_exists(bvt_path("source.up/snapshot.packs")));
}

START_TEST(a_published_version_is_found_to_be_ours)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .opts = { .data_version = _i == 0 ? 0 : 1 } };

    upload_and_die_published(store, source, run.opts.data_version);
    ck_assert_uint_eq(upload_ok(store, source, &run), 1);
    ck_assert(!bvt_exists(bvt_path("source.up/snapshot.packs")));
    ck_assert(!bvt_exists(bvt_path("store/key/2/snapshot.json")));
    /* And that it is: the next one builds on it. */
    run.opts.data_version = 0;
    run.later = true;
    ck_assert_uint_eq(upload_ok(store, source, &run), 2);
    ck_assert_uint_eq(run.status.stored_done, 0);
}
END_TEST

START_TEST(a_published_version_of_other_data_is_not)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .opts = { .data_version = _i == 0 ? 0 : 1 } };

    upload_and_die_published(store, source, run.opts.data_version);
    append(bvt_path("source/one"), "more");
    if (_i == 0) {
        ck_assert_uint_eq(upload_ok(store, source, &run), 2);
        assert_is_snapshot_of(store, 2, source);
    } else {
        ck_assert_int_eq(run_upload_snapshot(2, store, source, &run), BV_E_EXISTS);
    }
}
END_TEST

/* ---- what the system refuses ---- */

START_TEST(survives_every_failed_allocation)
{
    const char *source = bvt_path("source");
    upload_run first = { .later = true };

    make_text(source, "a/file", "content");
    make_file(source, "a/large", 300000, 5);
    make_text(source, "b", "");
    ck_assert_int_eq(symlink("b", bvt_path("source/link")), 0);
    ck_assert_int_eq(link(bvt_path("source/b"), bvt_path("source/hard")), 0);
    (void)upload_ok(bvt_path("store"), source, &first);
    bvt_for_each_failed_allocation(n) {
        upload_run run = { .later = true, .opts = { .rehash = n % 2 == 0 } };

        /* Each round leaves a pack that the next ones list, so not all of them in one store. */
        if (n >= 60)
            n += n == 60 ? (size_t)_i : 4;
        if (n % 7 == 0)
            append(bvt_path("source/a/file"), "more");
        (void)run_upload_snapshot(0, bvt_path("store"), source, &run);
        ck_assert_msg(run.code == 0 || run.code == BV_E_NOMEM || run.code == BV_E_LIMIT, "%d: %s",
                      run.code, run.text);
    }
    (void)upload_ok(bvt_path("store"), source, &first);
    assert_is_snapshot_of(bvt_path("store"), 0, source);
}
END_TEST

START_TEST(what_cannot_be_is_said)
{
    upload_run run = { .cancel_at = 0 };
    const char *source = mixed_source();

    ck_assert_int_eq(run_upload_snapshot(1, bvt_path("store"), bvt_path("nothing here"), &run),
                     BV_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(run.text, "nothing here"));
    (void)bvt_write_file("source.up", "in the way");
    ck_assert_int_lt(run_upload_snapshot(1, bvt_path("store"), source, &run), 0);
    ck_assert_ptr_nonnull(strstr(run.text, "source.up"));
    run.opts.store_key = "no such/key";
    ck_assert_int_eq(run_upload_snapshot(1, bvt_path("store"), source, &run), BV_E_INVALID);
}
END_TEST

START_TEST(a_cancel_is_heard_anywhere)
{
    const char *source = mixed_source();
    const char *store = bvt_path("store");
    upload_run run = { .cancel_at = (uint64_t)_i << 20 };
    int r = run_upload_snapshot(2, store, source, &run);

    ck_assert_msg(r == BV_E_CANCELLED || r == 0, "%d: %s", r, run.text);
    run.cancel_at = 0;
    (void)upload_ok(store, source, &run);
    assert_is_snapshot_of(store, 0, source);
}
END_TEST

BVT_MAIN("snapshot/upload", bvt_times(a_tree_is_there_as_it_is, 3),
         bvt_test(nothing_changed_sends_nothing), bvt_test(only_changes_are_sent),
         bvt_test(what_did_not_change_is_not_read), bvt_test(young_stamps_are_not_trusted),
         bvt_test(what_a_page_begins_with_is_known_too),
         bvt_test(a_long_wait_for_a_pack_is_cut_short), bvt_times(damaged_stamps_only_cost_time, 2),
         bvt_test(everything_a_tree_may_hold_comes_back),
         bvt_test(an_empty_directory_is_a_snapshot), bvt_test(patterns_leave_out),
         bvt_times(what_changes_meanwhile_is_read_again, 2), bvt_test(what_never_rests_is_refused),
         bvt_test(a_gate_has_the_last_word), bvt_test(a_gate_that_writes_is_refused),
         bvt_times(an_interrupted_upload_goes_on, 3), bvt_times(a_journal_may_end_anywhere, 6),
         bvt_test(what_the_store_lost_is_sent_again),
         bvt_times(a_base_without_its_packs_is_not_built_on, 2),
         bvt_times(a_prune_under_way_is_kept_out_of, 2), bvt_test(versions_are_immutable),
         bvt_test(two_uploads_keep_apart), bvt_test(a_version_asked_for_is_the_one_made),
         bvt_test(a_reservation_that_ran_out_is_not_used),
         bvt_times(a_published_version_is_found_to_be_ours, 2),
         bvt_times(a_published_version_of_other_data_is_not, 2),
         bvt_times(survives_every_failed_allocation, 5), bvt_test(what_cannot_be_is_said),
         bvt_times(a_cancel_is_heard_anywhere, 4))
