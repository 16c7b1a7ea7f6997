/* Removing old versions and what nobody needs, also while uploads go on. Packs are made old by
 * hand, as no test waits for a day. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../transfer/support.h"
#include "run_snapshot.h"
#include "run_upload.h"
#include "snapshot/prune.h"

#define DAY 86400

typedef struct prune_run {
    bvi_snap_prune_opts opts;
    bool done;
    int code;
    char text[2048];
    bvi_snap_prune_report report;
    uint64_t removed[20];
} prune_run;

static void on_pruned(bv_op *op, const bv_error *err, const bvi_snap_prune_report *report,
                      void *data)
{
    prune_run *run = data;

    (void)op;
    ck_assert(!run->done);
    run->done = true;
    run->code = bv_error_code(err);
    (void)bv_error_format(err, run->text, sizeof(run->text));
    run->report = *report;
    ck_assert_uint_le(report->versions_removed, 20);
    for (size_t i = 0; i < report->versions_removed; i++)
        run->removed[i] = report->removed[i];
}

static bvi_store *open_store(bv_ctx *ctx)
{
    bvi_store *store = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_store_dir_open(ctx, bvt_path("store"), &store, &err), err);
    return store;
}

static int prune(prune_run *run)
{
    bv_ctx *ctx = make_ctx(0);
    bv_error *err = NULL;

    run->done = false;
    run->opts.store = open_store(ctx);
    if (!run->opts.store_key)
        run->opts.store_key = "Key";
    bvt_assert_ok(bvi_snap_prune_start(ctx, &run->opts, on_pruned, run, NULL, &err), err);
    while (!run->done)
        ck_assert_int_gt(bv_ctx_dispatch(ctx, 30000), 0);
    bvi_store_free(run->opts.store);
    bv_ctx_free(ctx);
    return run->code;
}

static int age_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    const struct timeval times[2] = { { .tv_sec = st->st_mtime - 2 * DAY },
                                      { .tv_sec = st->st_mtime - 2 * DAY } };

    (void)ftw;
    return type == FTW_F ? utimes(path, times) : 0;
}

static void make_packs_old(void)
{
    ck_assert_int_eq(nftw(bvt_path("store/key/packs"), age_one, 16, FTW_PHYS), 0);
}

static size_t packs(void)
{
    return bvt_exists(bvt_path("store/key/packs")) ? count_files(bvt_path("store/key/packs"), "")
                                                   : 0;
}

/* A directory whose content depends on the version; a part of it is the same in all but 2. */
static const char *tree(unsigned version)
{
    const char *root = bvt_path("tree%u", version);

    make_file(root, "always", 700000, version == 2 ? 1000 : 1001);
    make_file(root, "db/data", 600000, version);
    make_file(root, "small", 100 + version, version);
    return root;
}

static uint64_t upload(unsigned version)
{
    upload_run run = { .cancel_at = 0 };

    return upload_ok(bvt_path("store"), tree(version), &run);
}

/* From the store's packs alone. */
static void assert_restores(uint64_t version, const char *tree)
{
    static unsigned count;
    const char *dest = bvt_path("restored%u", count++);
    snap_run run = { .opts = { .version = version } };

    ck_assert_int_eq(mkdir(dest, 0755), 0);
    ck_assert_msg(run_snapshot(0, bvt_path("store"), dest, &run) == 0, "version %u: %s",
                  (unsigned)version, run.text);
    assert_same_tree(dest, tree);
}

static void assert_version(uint64_t version, bool there)
{
    ck_assert(bvt_exists(bvt_path("store/key/%u/snapshot.json", (unsigned)version)) == there);
    if (there)
        assert_restores(version, bvt_path("tree%u", (unsigned)version));
    else
        ck_assert(!bvt_exists(bvt_path("store/key/%u", (unsigned)version)));
}

START_TEST(the_last_ones_stay)
{
    prune_run run = { .opts = { .keep_last = 2 } };
    const uint64_t keep[] = { 1, 77 };
    size_t before, planned;

    for (unsigned v = 1; v <= 5; v++)
        ck_assert_uint_eq(upload(v), v);
    make_packs_old();
    before = packs();
    run.opts.keep = keep;
    run.opts.n_keep = BVI_COUNT(keep);
    run.opts.dry_run = true;
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    ck_assert_uint_eq(run.report.versions_removed, 2);
    ck_assert_uint_gt(run.report.packs_removed, 0);
    planned = run.report.packs_removed;
    ck_assert_uint_eq(packs(), before);
    ck_assert(!bvt_exists(bvt_path("store/key/prune.json")));
    run.opts.dry_run = false;
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    ck_assert_uint_eq(run.report.versions, 5);
    ck_assert_uint_eq(run.report.versions_removed, 2);
    ck_assert_uint_eq(run.removed[0], 2);
    ck_assert_uint_eq(run.removed[1], 3);
    ck_assert_uint_eq(run.report.packs_removed, planned);
    ck_assert_uint_eq(packs(), before - planned);
    ck_assert_uint_gt(run.report.bytes_removed, 0);
    for (unsigned v = 1; v <= 5; v++)
        assert_version(v, v != 2 && v != 3);
    ck_assert(!bvt_exists(bvt_path("store/key/prune.json")));
    ck_assert_msg(prune(&run) == 0, "%s", run.text); /* there is nothing left to do */
    ck_assert_uint_eq(run.report.objects_removed, 0);
    ck_assert_uint_eq(upload(6), 6);
    assert_version(6, true);
}
END_TEST

START_TEST(young_packs_stay)
{
    prune_run run = { .opts = { .keep_last = 1, .grace_secs = -1 } };
    size_t before;

    for (unsigned v = 1; v <= 3; v++)
        (void)upload(v);
    before = packs();
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    ck_assert_uint_eq(run.report.versions_removed, 2);
    ck_assert_uint_eq(run.report.packs_removed, 0);
    ck_assert_uint_gt(run.report.packs_young, 0);
    ck_assert_uint_eq(packs(), before);
    make_packs_old();
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    ck_assert_uint_gt(run.report.packs_removed, 0);
    assert_version(3, true);
    run.opts.keep_last = 0; /* all of them: only rubbish goes */
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    ck_assert_uint_eq(run.report.versions_removed, 0);
}
END_TEST

static void reserve_on(bvi_store *store, uint64_t base);

START_TEST(reservations_keep_their_base)
{
    prune_run run = { .opts = { .keep_last = 1 } };
    bv_ctx *ctx = make_ctx(0);
    bvi_store *store;

    for (unsigned v = 1; v <= 3; v++)
        (void)upload(v);
    make_packs_old();
    store = open_store(ctx);
    reserve_on(store, 2);
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    ck_assert_uint_eq(run.report.uploads, 1);
    ck_assert_uint_eq(run.report.versions_reserved, 1);
    assert_version(1, false);
    assert_version(2, true);
    assert_version(3, true);
    bvi_store_free(store);
    bv_ctx_free(ctx);
}
END_TEST

static void on_reserved(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    (void)reply;
    ck_assert_ptr_null(err);
    *(bool *)data = true;
}

static void reserve_on(bvi_store *store, uint64_t base)
{
    bool done = false;

    ck_assert_int_eq(bvi_store_call(store,
                                    &(bvi_store_request){ .verb = BVI_STORE_RESERVE,
                                                          .store_key = "key",
                                                          .base = base,
                                                          .lease = "lease" },
                                    on_reserved, &done, NULL),
                     0);
    while (!done)
        ck_assert_int_gt(bv_ctx_dispatch(store->ctx, 30000), 0);
}

START_TEST(archives_go_too)
{
    prune_run run = { .opts = { .keep_last = 1 } };

    ck_assert_int_eq(mkdir(bvt_path("store"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("store/key"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("store/key/1"), 0755), 0);
    (void)bvt_write_file("store/key/1/manifest-header.json", "{}");
    (void)bvt_write_file("store/key/1/manifest-body.json", "{}");
    (void)bvt_write_file("store/key/1/data.part_0", "12345");
    ck_assert_uint_eq(upload(2), 2);
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    ck_assert_uint_eq(run.report.versions_removed, 1);
    ck_assert_uint_eq(run.report.bytes_removed, 7);
    ck_assert(!bvt_exists(bvt_path("store/key/1")));
    assert_version(2, true);
}
END_TEST

static const struct {
    const char *mark;
    int code;
} marks[] = {
    { "{\"format\": \"blockvisor-prune\", \"id\": \"x\", \"expires_us\": 1}", 0 },
    { "{\"format\": \"blockvisor-prune\", \"id\": \"x\", \"expires_us\": 99999999999999999}",
      BV_E_BUSY },
    { "half a ma", BV_E_BUSY },
};

START_TEST(one_at_a_time)
{
    prune_run run = { .opts = { .keep_last = 1 } };

    (void)upload(1);
    (void)upload(2);
    (void)bvt_write_file("store/key/prune.json", marks[_i].mark);
    ck_assert_msg(prune(&run) == marks[_i].code, "%d: %s", run.code, run.text);
    assert_version(1, marks[_i].code != 0);
    assert_version(2, true);
    ck_assert(bvt_exists(bvt_path("store/key/prune.json")) == (marks[_i].code != 0));
}
END_TEST

static char newest_page_pack[4096];

static int note_pack(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_F && st->st_size > 0)
        (void)snprintf(newest_page_pack, sizeof(newest_page_pack), "%s", path);
    return 0;
}

START_TEST(what_cannot_be_read_is_not_pruned)
{
    prune_run run = { .opts = { .keep_last = 1 } };
    size_t before;

    (void)upload(1);
    make_packs_old();
    (void)upload(2);
    make_packs_old();
    if (_i == 0) {
        (void)bvt_write_file("store/key/2/snapshot.json", "{\"format\": \"blockvisor-snapshot\"}");
    } else { /* all packs: its pages are in one of them */
        ck_assert_int_eq(nftw(bvt_path("store/key/packs"), note_pack, 16, FTW_PHYS), 0);
        ck_assert_int_eq(system(bvt_format("find %s -type f -exec truncate -s 20 {} +",
                                           bvt_path("store/key/packs"))),
                         0);
    }
    before = packs();
    ck_assert_int_lt(prune(&run), 0);
    ck_assert_ptr_nonnull(strstr(run.text, "nothing is removed"));
    ck_assert_uint_eq(packs(), before);
    ck_assert(bvt_exists(bvt_path("store/key/1/snapshot.json")));
    ck_assert(!bvt_exists(bvt_path("store/key/prune.json")));
}
END_TEST

/* What unfinished puts left, days ago and just now. */
START_TEST(half_written_packs_go)
{
    prune_run run = { .opts = { .keep_last = 1 } };
    const char *old = bvt_path("store/key/packs/.one.tmp-1");
    const char *young = bvt_path("store/key/packs/.two.tmp-2");

    (void)upload(1);
    (void)bvt_write_file("store/key/packs/.one.tmp-1", "half");
    make_packs_old();
    (void)bvt_write_file("store/key/packs/.two.tmp-2", "half");
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    ck_assert(!bvt_exists(old));
    ck_assert(bvt_exists(young));
    assert_version(1, true);
}
END_TEST

START_TEST(a_misspelt_key_is_none)
{
    prune_run run = { .opts = { .keep_last = 1, .store_key = "kye" } };

    (void)upload(1);
    ck_assert_int_eq(prune(&run), BV_E_NOT_FOUND);
    ck_assert(!bvt_exists(bvt_path("store/kye")));
}
END_TEST

/* ---- while uploads go on ---- */

typedef struct race {
    bv_ctx *ctx;
    bvi_store *for_upload;
    bvi_store *for_prune;
    upload_run up;
    prune_run pruned;
} race;

static void on_uploaded(bv_op *op, const bv_error *err, const bv_transfer_status *status,
                        void *data)
{
    upload_run *run = data;

    (void)op;
    run->done = true;
    run->code = bv_error_code(err);
    (void)bv_error_format(err, run->text, sizeof(run->text));
    run->status = *status;
}

static void start_upload(race *r, const char *dir)
{
    bv_error *err = NULL;
    bv_op *op = NULL;

    r->up.opts = (bvi_snap_upload_opts){ .store = r->for_upload,
                                         .store_key = "key",
                                         .source_dir = dir,
                                         .state_dir = bvt_path("race.up"),
                                         .codec = BVI_SNAP_ZSTD,
                                         .level = 1 };
    bvt_assert_ok(bvi_snap_upload_start(r->ctx, &r->up.opts, on_uploaded, &r->up, &op, &err), err);
    bv_op_unref(op);
}

static void start_prune(race *r)
{
    bv_error *err = NULL;

    r->pruned.opts =
        (bvi_snap_prune_opts){ .store = r->for_prune, .store_key = "key", .keep_last = 1 };
    bvt_assert_ok(bvi_snap_prune_start(r->ctx, &r->pruned.opts, on_pruned, &r->pruned, NULL, &err),
                  err);
}

static void turn(race *r, unsigned steps)
{
    while (steps-- > 0 && !(r->up.done && r->pruned.done))
        (void)bv_ctx_dispatch(r->ctx, 0);
}

static bool is_there(uint64_t version)
{
    return bvt_exists(bvt_path("store/key/%u/snapshot.json", (unsigned)version));
}

/* Version 1 is the base of an upload that comes as 3 while 2 is published by another and all but
 * the last is pruned: at each moment of the upload, and each moment of the prune. */
static void run_race(unsigned upload_first, unsigned prune_first, bool published_between,
                     bool whole)
{
    race r = { .ctx = make_ctx(0) };
    uint64_t mine, other;

    (void)upload(1);
    make_packs_old();
    r.for_upload = open_store(r.ctx);
    r.for_prune = open_store(r.ctx);
    (void)tree(3);
    if (prune_first > 0)
        start_prune(&r);
    turn(&r, prune_first);
    start_upload(&r, bvt_path("tree3"));
    turn(&r, upload_first);
    if (published_between)
        (void)upload(2);
    if (whole) { /* while the upload stands still */
        r.pruned.opts.keep_last = 1;
        (void)prune(&r.pruned);
    } else if (prune_first == 0) {
        start_prune(&r);
    }
    while (!r.up.done || !r.pruned.done)
        ck_assert_int_gt(bv_ctx_dispatch(r.ctx, 30000), 0);
    ck_assert_msg(r.up.code == 0, "after %u, %u: %s", upload_first, prune_first, r.up.text);
    ck_assert_msg(r.pruned.code == 0, "after %u, %u: %s", upload_first, prune_first, r.pruned.text);
    mine = r.up.status.data_version;
    other = mine == 2 ? 3 : 2;
    /* The older of the two may have come early enough to be pruned. */
    if (!published_between || mine > other || is_there(mine))
        assert_restores(mine, bvt_path("tree3"));
    if (published_between && (other > mine || is_there(other)))
        assert_restores(other, bvt_path("tree2"));
    bvi_store_free(r.for_upload);
    bvi_store_free(r.for_prune);
    bv_ctx_free(r.ctx);
}

/* Of three steps each. */
#define RACES 15

START_TEST(uploads_go_on)
{
    run_race(3 * (unsigned)_i, 0, false, false);
}
END_TEST

START_TEST(uploads_go_on_and_others_publish)
{
    run_race(3 * (unsigned)_i, 0, true, false);
}
END_TEST

START_TEST(uploads_stand_still_while_all_is_pruned)
{
    run_race(3 * (unsigned)_i, 0, true, true);
}
END_TEST

START_TEST(uploads_begin_during_a_prune)
{
    run_race(0, 3 * (unsigned)_i + 1, false, false);
}
END_TEST

static void prune_at_its_end(upload_run *run, const bv_transfer_status *status)
{
    prune_run pruned = { .opts = { .keep_last = 1 } }; /* nothing is too young */

    if (strcmp(status->phase, "verify") != 0 || run->meddled++ > 0)
        return;
    ck_assert_msg(prune(&pruned) == 0, "%s", pruned.text);
    ck_assert_uint_eq(pruned.report.packs_removed, 0);
    ck_assert_uint_gt(pruned.report.packs_reserved, 0);
}

/* It has another reservation than the upload whose packs it goes on with, which is an hour old. */
START_TEST(packs_that_an_upload_goes_on_with_stay)
{
    static const char *const no[] = { "false", NULL };
    const char *dir = tree(1);
    upload_run run = { .opts = { .gate_argv = no } };

    ck_assert_int_eq(run_upload_snapshot(0, bvt_path("store"), dir, &run), BV_E_STATE);
    ck_assert_uint_gt(packs(), 0);
    run = (upload_run){ .later = true, .meddle = prune_at_its_end };
    assert_restores(upload_ok(bvt_path("store"), dir, &run), dir);
    ck_assert_uint_gt(run.meddled, 0);
    ck_assert_uint_gt(run.status.resumed_chunks, 0);
}
END_TEST

/* ---- interrupted ---- */

static void expire_mark(void)
{
    if (bvt_exists(bvt_path("store/key/prune.json")))
        (void)bvt_write_file("store/key/prune.json", marks[0].mark);
}

START_TEST(killed_anywhere_and_run_again)
{
    prune_run run = { .opts = { .keep_last = 2 } };
    pid_t child;

    for (unsigned v = 1; v <= 4; v++)
        (void)upload(v);
    make_packs_old();
    child = fork();
    if (child == 0) {
        bv_ctx *ctx = make_ctx(0);

        run.opts.store = open_store(ctx);
        run.opts.store_key = "key";
        (void)bvi_snap_prune_start(ctx, &run.opts, on_pruned, &run, NULL, NULL);
        for (int i = 0; i < _i * 3 && !run.done; i++)
            (void)bv_ctx_dispatch(ctx, 1000);
        _exit(0); /* like a kill */
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    assert_version(3, true);
    assert_version(4, true);
    expire_mark();
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    assert_version(3, true);
    assert_version(4, true);
    ck_assert(!bvt_exists(bvt_path("store/key/1/snapshot.json")));
    ck_assert(!bvt_exists(bvt_path("store/key/2/snapshot.json")));
    run.opts.dry_run = true; /* nothing is left over, but what lies where versions were */
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    ck_assert_uint_eq(run.report.packs_removed, 0);
}
END_TEST

START_TEST(cancelled_anywhere_and_run_again)
{
    prune_run run = { .opts = { .keep_last = 1, .store_key = "key" } };
    bv_ctx *ctx = make_ctx(0);
    bv_error *err = NULL;
    bv_op *op = NULL;

    for (unsigned v = 1; v <= 3; v++)
        (void)upload(v);
    make_packs_old();
    run.opts.store = open_store(ctx);
    bvt_assert_ok(bvi_snap_prune_start(ctx, &run.opts, on_pruned, &run, &op, &err), err);
    for (int i = 0; i < _i * 4 && !run.done; i++)
        (void)bv_ctx_dispatch(ctx, 1000);
    bv_op_cancel(op);
    while (!run.done)
        ck_assert_int_gt(bv_ctx_dispatch(ctx, 30000), 0);
    ck_assert(run.code == 0 || run.code == BV_E_CANCELLED);
    ck_assert(!bvt_exists(bvt_path("store/key/prune.json")));
    bv_op_unref(op);
    bvi_store_free(run.opts.store);
    bv_ctx_free(ctx);
    ck_assert_msg(prune(&run) == 0, "%s", run.text);
    assert_version(3, true);
    ck_assert(!bvt_exists(bvt_path("store/key/2/snapshot.json")));
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bv_ctx *ctx = make_ctx(0);
    prune_run run = { .opts = { .keep_last = 1, .store_key = "key", .dry_run = _i == 0 } };

    (void)upload(1);
    (void)upload(2);
    make_packs_old();
    run.opts.store = open_store(ctx);
    bvt_for_each_failed_allocation(n) {
        run.done = false;
        if (bvi_snap_prune_start(ctx, &run.opts, on_pruned, &run, NULL, NULL) < 0)
            continue;
        while (!run.done)
            ck_assert_int_ge(bv_ctx_dispatch(ctx, 30000), 0);
        expire_mark(); /* taking it back may have failed */
    }
    assert_version(2, true);
    bvi_store_free(run.opts.store);
    bv_ctx_free(ctx);
}
END_TEST

BVT_MAIN("snapshot/prune", bvt_test(the_last_ones_stay), bvt_test(young_packs_stay),
         bvt_test(reservations_keep_their_base), bvt_test(archives_go_too),
         bvt_loop(one_at_a_time, marks), bvt_times(what_cannot_be_read_is_not_pruned, 2),
         bvt_test(half_written_packs_go), bvt_test(a_misspelt_key_is_none),
         bvt_times(uploads_go_on, RACES), bvt_times(uploads_go_on_and_others_publish, RACES),
         bvt_times(uploads_stand_still_while_all_is_pruned, RACES),
         bvt_times(uploads_begin_during_a_prune, RACES),
         bvt_test(packs_that_an_upload_goes_on_with_stay),
         bvt_times(killed_anywhere_and_run_again, 14),
         bvt_times(cancelled_anywhere_and_run_again, 9),
         bvt_times(survives_every_failed_allocation, 2))
