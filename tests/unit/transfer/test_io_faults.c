/*
 * A disk that fails at every point of an upload and of a download, once or from there on, in both
 * formats: the failure says what it was, nothing half is published, no byte is wrong, and the next
 * run comes to a good end. BV_FAULTS_FULL=1 leaves out no point.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io_faults.h"
#include "support.h"
#include "sys/fs.h"

/* About so many points of each kind are tried. */
#define POINTS 25u

static const struct {
    const char *name;
    unsigned calls;
    int errnum;
    bool on;
} kinds[] = {
    { "one write fails", IO_CHANGES, EIO, false },
    { "the disk is gone", IO_CHANGES, EIO, true },
    { "the disk is full for a moment", IO_CHANGES, ENOSPC, false },
    { "the disk is full", IO_CHANGES, ENOSPC, true },
    { "the disk becomes read-only", IO_CHANGES, EROFS, true },
    { "one file too many", IO_OPEN, EMFILE, false },
    { "all files too many", IO_OPEN, EMFILE, true },
    { "an opening fails", IO_OPEN, EIO, false },
    { "a directory is closed to us", IO_OPEN, EACCES, true },
    { "a write takes half", IO_WRITE, IO_SHORT, true },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const int32_t formats[] = { BV_FORMAT_ARCHIVE, BV_FORMAT_SNAPSHOT };

static const char *store(void)
{
    return bvt_format("dir:%s", bvt_path("store"));
}

static void remove_all(const char *const *names)
{
    for (; *names; names++) {
        bv_error *err = NULL;

        bvt_assert_ok(bvi_fs_remove_tree(bvt_path("%s", *names), &err), err);
    }
}

static int upload(int32_t format, outcome *o)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;

    opts.store = store();
    opts.key = "chain-data";
    opts.source_dir = bvt_path("source");
    opts.state_dir = bvt_path("up");
    if (format == BV_FORMAT_ARCHIVE)
        opts.number_of_chunks = 4;
    opts.format = format;
    opts.space_wait_secs = BV_TRANSFER_SPACE_WAIT_NONE;
    return run_upload(0, &opts, o);
}

static int download(const char *dest, const char *state, outcome *o)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;

    opts.store = store();
    opts.key = "chain-data";
    opts.dest_dir = bvt_path("%s", dest);
    opts.state_dir = bvt_path("%s", state);
    opts.space_wait_secs = BV_TRANSFER_SPACE_WAIT_NONE;
    return run_download(0, &opts, o);
}

/* Syncing costs nothing in memory, and there are thousands of syncs. */
static void use_memory(void)
{
    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        (void)mount("none", bvt_dir(), "tmpfs", 0, NULL); /* if not, it takes longer */
}

static void make_source(void)
{
    make_file(bvt_path("source"), "chain/big.mdb", 700000, 1);
    make_file(bvt_path("source"), "chain/deep/er/x", 20000, 2);
    make_text(bvt_path("source"), "empty", "");
    make_text(bvt_path("source"), "one", "1");
}

/* A failed run says what failed. */
static void check_failure(const outcome *o, size_t kind, unsigned at)
{
    int errnum = kinds[kind].errnum;

    if (o->code == 0)
        return;
    ck_assert_msg(errnum != IO_SHORT && o->errnum == errnum,
                  "%s at call %u: code %d, errno %d (%s): %s", kinds[kind].name, at, o->code,
                  o->errnum, strerror(o->errnum), o->text);
}

typedef void (*prepare_fn)(int32_t format);
typedef int (*run_fn)(int32_t format, outcome *o);
typedef void (*check_fn)(int32_t format, const outcome *failed, const char *where);

static void each_point(int i, prepare_fn prepare, run_fn run, check_fn check)
{
    int32_t format = formats[(size_t)i / KINDS];
    size_t kind = (size_t)i % KINDS;
    io_plan plan = { .calls = kinds[kind].calls,
                     .errnum = kinds[kind].errnum,
                     .on = kinds[kind].on };
    unsigned total, step;
    outcome o = { 0 };

    use_memory();
    prepare(format);
    io_faults_arm(&plan);
    ck_assert_msg(run(format, &o) == 0, "%s", o.text);
    total = io_faults_disarm(NULL);
    ck_assert_uint_gt(total, 5);
    step = getenv("BV_FAULTS_FULL") || total <= POINTS ? 1 : total / POINTS;
    for (plan.at = 1; plan.at <= total; plan.at += step) {
        unsigned failed = 0;

        prepare(format);
        o = (outcome){ 0 };
        io_faults_arm(&plan);
        (void)run(format, &o); /* whatever comes of it */
        (void)io_faults_disarm(&failed);
        check_failure(&o, kind, plan.at);
        check(format, &o, bvt_format("%s at call %u of %u", kinds[kind].name, plan.at, total));
    }
}

static bool has_engine(int i)
{
    const char *const names[] = { "store", "up", NULL };
    outcome o = { 0 };
    int code;

    make_source();
    code = upload(formats[(size_t)i / KINDS], &o);
    remove_all(names);
    return code != BV_E_UNSUPPORTED;
}

/* ---- downloads ---- */

static void prepare_download(int32_t format)
{
    const char *const names[] = { "dest", "state", NULL };
    outcome o = { 0 };

    if (!bvt_exists(bvt_path("store"))) {
        make_source();
        ck_assert_msg(upload(format, &o) == 0, "%s", o.text);
    }
    remove_all(names);
}

static int run_a_download(int32_t format, outcome *o)
{
    (void)format;
    return download("dest", "state", o);
}

static void check_download(int32_t format, const outcome *failed, const char *where)
{
    outcome o = { 0 };

    (void)format;
    if (failed->code < 0)
        ck_assert_msg(download("dest", "state", &o) == 0, "%s: %s", where, o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}

START_TEST(downloads_from_a_disk_that_fails)
{
    if (!has_engine(_i))
        bvt_skip("there is no engine of this format");
    each_point(_i, prepare_download, run_a_download, check_download);
}
END_TEST

/* ---- uploads ---- */

static void prepare_upload(int32_t format)
{
    const char *const names[] = { "store", "up", NULL };

    (void)format;
    if (!bvt_exists(bvt_path("source")))
        make_source(); /* in memory */
    remove_all(names);
}

static int run_an_upload(int32_t format, outcome *o)
{
    return upload(format, o);
}

/* What can be seen is whole. */
static int fetch_it(const char *where)
{
    const char *const names[] = { "dest", "state", NULL };
    outcome o = { 0 };
    int code;

    remove_all(names);
    code = download("dest", "state", &o);
    ck_assert_msg(code == 0 || code == BV_E_NOT_FOUND, "%s: %s", where, o.text);
    if (code == 0)
        assert_same_tree(bvt_path("source"), bvt_path("dest"));
    return code;
}

static void check_upload(int32_t format, const outcome *failed, const char *where)
{
    outcome o = { 0 };

    if (failed->code < 0) {
        (void)fetch_it(where);
        ck_assert_msg(upload(format, &o) == 0, "%s: %s", where, o.text);
    }
    ck_assert_msg(fetch_it(where) == 0, "%s", where);
}

START_TEST(uploads_to_a_disk_that_fails)
{
    if (!has_engine(_i))
        bvt_skip("there is no engine of this format");
    each_point(_i, prepare_upload, run_an_upload, check_upload);
}
END_TEST

BVT_MAIN("transfer/io_faults", bvt_times(downloads_from_a_disk_that_fails, (int)(2 * KINDS)),
         bvt_times(uploads_to_a_disk_that_fails, (int)(2 * KINDS)))
