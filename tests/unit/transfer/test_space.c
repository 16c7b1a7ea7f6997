/* Full disks: transfers wait for room, tell so, and go on by themselves. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault_http.h"
#include "transfer/space.h"

#define BIG (1024u * 1024u)

/* A transfer, and what fills the disk under it. */
typedef struct story {
    bv_format format;
    outcome o;
    fault_http *server;
    unsigned fill_at; /* rounds of the loop after which the disk fills up; 0: never */
    bvi_task round;
    unsigned rounds;
    size_t leave; /* bytes that are still free then */
    bool filled;
    unsigned stay; /* reports of no room before there is some; UINT32_MAX: never */
    bool cancel;   /* instead */
    unsigned pauses;
    char full_path[256];
    uint64_t missing;
} story;

static bool mount_small(const char *options)
{
    (void)mkdir(bvt_path("small"), 0755);
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", bvt_path("small"), "tmpfs", 0, options) == 0;
}

#define NEEDS_SMALL(options)                                                                       \
    do {                                                                                           \
        if (!mount_small(options))                                                                 \
            bvt_skip("mounting a tmpfs is not allowed here");                                      \
    } while (0)

static void fill(story *s)
{
    static const char zeros[4096];
    int fd = open(bvt_path("small/filler"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct stat st;

    ck_assert_int_ge(fd, 0);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        ;
    ck_assert_int_eq(fstat(fd, &st), 0);
    if (s->leave)
        ck_assert_int_eq(ftruncate(fd, st.st_size - (off_t)s->leave), 0);
    (void)close(fd);
    s->filled = true;
}

static void on_round(void *data)
{
    story *s = data;

    if (++s->rounds < s->fill_at)
        bvi_task_post(&s->round);
    else
        fill(s);
}

static void wait_end(story *s, bv_op *op)
{
    bvi_task_init(&s->round, fault_http_ctx(s->server), on_round, s);
    if (s->fill_at && !s->filled)
        bvi_task_post(&s->round);
    fault_http_wait(s->server, &s->o);
    bvi_task_done(&s->round);
    bv_op_unref(op);
}

static void on_status(bv_op *op, const bv_transfer_status *status, void *data)
{
    story *s = data;

    on_report(op, status, &s->o);
    if (strcmp(status->phase, "no-space") != 0) {
        ck_assert_ptr_null(status->full_path);
        return;
    }
    s->pauses++;
    (void)snprintf(s->full_path, sizeof(s->full_path), "%s", status->full_path);
    s->missing = status->missing_bytes;
    if (s->cancel)
        bv_op_cancel(op);
    else if (s->pauses > s->stay)
        (void)unlink(bvt_path("small/filler"));
}

static void on_end(bv_op *op, const bv_error *err, const bv_transfer_status *status, void *data)
{
    story *s = data;

    on_outcome(op, err, status, &s->o);
}

static int upload(story *s, const char *store, const char *state, int32_t wait_secs)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;
    bv_error *err = NULL;
    bv_op *op = NULL;

    opts.store = store;
    opts.key = "chain-data";
    opts.source_dir = bvt_path("source");
    opts.state_dir = state;
    opts.format = s->format;
    if (s->format != BV_FORMAT_SNAPSHOT)
        opts.number_of_chunks = 16;
    opts.space_wait_secs = wait_secs;
    opts.status = on_status;
    opts.data = s;
    s->o = (outcome){ 0 };
    bvt_assert_ok(bv_upload_start(fault_http_ctx(s->server), &opts, on_end, &op, &err), err);
    wait_end(s, op);
    return s->o.code;
}

static int download(story *s, const char *store, const char *dest, const char *state,
                    int32_t wait_secs)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;
    bv_error *err = NULL;
    bv_op *op = NULL;

    opts.store = store;
    opts.key = "chain-data";
    opts.dest_dir = dest;
    opts.state_dir = state;
    opts.space_wait_secs = wait_secs;
    opts.status = on_status;
    opts.data = s;
    s->o = (outcome){ 0 };
    bvt_assert_ok(bv_download_start(fault_http_ctx(s->server), &opts, on_end, &op, &err), err);
    wait_end(s, op);
    return s->o.code;
}

/* Eight files of a MiB, and some small ones. */
static void open_story(story *s)
{
    *s = (story){ .server = fault_http_new(bvt_path("store"), 0) };
    for (unsigned i = 0; i < 8; i++)
        make_file(bvt_path("source"), bvt_format("data/%u.sst", i), BIG, i + 1);
    for (unsigned i = 0; i < 40; i++)
        make_file(bvt_path("source"), bvt_format("small/%u", i), 3000 + i, i + 1);
}

static const char *http_store(const story *s)
{
    return fault_http_url(s->server, "http");
}

static void assert_good(const story *s)
{
    ck_assert_msg(s->o.code == 0, "%s", s->o.text);
    ck_assert_uint_gt(s->pauses, 0);
    ck_assert_str_eq(s->o.phase, "done");
}

static void put_archive(story *s)
{
    ck_assert_msg(upload(s, http_store(s), bvt_path("up"), 0) == 0, "%s", s->o.text);
}

START_TEST(a_download_waits_for_room_before_it_begins)
{
    story s;

    NEEDS_SMALL("size=20m");
    open_story(&s);
    put_archive(&s);
    fill(&s);
    s.stay = 2;
    download(&s, http_store(&s), bvt_path("small/dest"), bvt_path("state"), 0);
    assert_good(&s);
    ck_assert_ptr_nonnull(strstr(s.full_path, "small/dest"));
    ck_assert_uint_gt(s.missing, 8 * BIG);
    assert_same_tree(bvt_path("source"), bvt_path("small/dest"));
    fault_http_free(s.server);
}
END_TEST

static const size_t left_over[] = { 0, 4096, 100000, 2u * BIG };

/* How many rounds a good run takes, so that points can be chosen. */
static unsigned rounds_of(story *s, int (*run)(story *s))
{
    unsigned rounds;

    s->fill_at = UINT32_MAX;
    ck_assert_msg(run(s) == 0, "%s", s->o.text);
    rounds = s->rounds;
    s->rounds = s->fill_at = 0;
    return rounds;
}

static int download_once(story *s)
{
    return download(s, http_store(s), bvt_path("once"), NULL, 0);
}

START_TEST(a_download_gets_over_a_disk_that_fills_up)
{
    story s;

    NEEDS_SMALL("size=20m");
    open_story(&s);
    put_archive(&s);
    s.fill_at = rounds_of(&s, download_once) * 3 / 10;
    s.leave = left_over[_i];
    download(&s, http_store(&s), bvt_path("small/dest"), bvt_path("state"), 0);
    assert_good(&s);
    assert_same_tree(bvt_path("source"), bvt_path("small/dest"));
    fault_http_free(s.server);
}
END_TEST

START_TEST(a_download_waits_for_room_for_its_state)
{
    story s;

    NEEDS_SMALL("size=1m");
    open_story(&s);
    put_archive(&s);
    fill(&s);
    download(&s, http_store(&s), bvt_path("dest"), bvt_path("small/state"), 0);
    assert_good(&s);
    ck_assert_ptr_nonnull(strstr(s.full_path, "small/state"));
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    fault_http_free(s.server);
}
END_TEST

START_TEST(a_download_waits_for_inodes)
{
    story s;

    NEEDS_SMALL("size=20m,nr_inodes=30");
    open_story(&s);
    put_archive(&s);
    download(&s, http_store(&s), bvt_path("small/dest"), bvt_path("state"), 10);
    ck_assert_int_eq(s.o.code, BV_E_IO);
    ck_assert_int_eq(s.o.errnum, ENOSPC);
    ck_assert_ptr_nonnull(strstr(s.o.text, "more files: 48 are needed"));
    ck_assert_int_eq(mount(NULL, bvt_path("small"), NULL, MS_REMOUNT, "size=20m,nr_inodes=100"), 0);
    ck_assert_int_eq(download(&s, http_store(&s), bvt_path("small/dest"), bvt_path("state"), 0), 0);
    assert_same_tree(bvt_path("source"), bvt_path("small/dest"));
    fault_http_free(s.server);
}
END_TEST

static int upload_once(story *s)
{
    return upload(s, bvt_format("dir:%s", bvt_path("once")), bvt_path("up"), 0);
}

/* Uploads: the store, or the directory of packed chunks, fills up. */
START_TEST(an_upload_waits_for_room)
{
    bool store_is_small = _i & 1;
    unsigned percent = (unsigned)_i / 2 * 25;
    story s;

    NEEDS_SMALL("size=20m");
    open_story(&s);
    if (percent == 0)
        fill(&s);
    else
        s.fill_at = rounds_of(&s, upload_once) * percent / 100;
    if (store_is_small)
        upload(&s, bvt_format("dir:%s", bvt_path("small/store")), bvt_path("up"), 0);
    else
        upload(&s, http_store(&s), bvt_path("small/up"), 0);
    ck_assert_msg(s.o.code == 0, "%s", s.o.text);
    ck_assert_str_eq(s.o.phase, "done");
    ck_assert_uint_gt(s.pauses, 0);
    (void)unlink(bvt_path("small/filler"));
    download(&s, store_is_small ? bvt_format("dir:%s", bvt_path("small/store")) : http_store(&s),
             bvt_path("dest"), NULL, 0);
    ck_assert_int_eq(s.o.code, 0);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    fault_http_free(s.server);
}
END_TEST

START_TEST(a_snapshots_upload_waits_for_room)
{
    bool store_is_small = _i & 1;
    unsigned percent = (unsigned)_i / 2 * 30;
    story s;

    NEEDS_SMALL("size=24m");
    open_story(&s);
    s.format = BV_FORMAT_SNAPSHOT;
    if (percent == 0)
        fill(&s);
    else
        s.fill_at = rounds_of(&s, upload_once) * percent / 100;
    if (store_is_small)
        upload(&s, bvt_format("dir:%s", bvt_path("small/store")), bvt_path("up2"), 0);
    else
        upload(&s, http_store(&s), bvt_path("small/up"), 0);
    ck_assert_msg(s.o.code == 0, "%s", s.o.text);
    ck_assert_uint_gt(s.pauses + !store_is_small, 0); /* its state may have fitted */
    (void)unlink(bvt_path("small/filler"));
    download(&s, store_is_small ? bvt_format("dir:%s", bvt_path("small/store")) : http_store(&s),
             bvt_path("dest"), NULL, 0);
    ck_assert_msg(s.o.code == 0, "%s", s.o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    fault_http_free(s.server);
}
END_TEST

START_TEST(a_snapshots_download_waits_for_room)
{
    story s;

    NEEDS_SMALL("size=24m");
    open_story(&s);
    s.format = BV_FORMAT_SNAPSHOT;
    put_archive(&s);
    if (_i == 0)
        fill(&s);
    else
        s.fill_at = rounds_of(&s, download_once) * (unsigned)_i * 2 / 10;
    s.leave = left_over[_i];
    s.stay = 1;
    download(&s, http_store(&s), bvt_path("small/dest"), bvt_path("state"), 0);
    assert_good(&s);
    ck_assert_ptr_nonnull(strstr(s.full_path, "small/dest"));
    assert_same_tree(bvt_path("source"), bvt_path("small/dest"));
    s.cancel = true;
    s.filled = false;
    fill(&s);
    download(&s, http_store(&s), bvt_path("small/other"), bvt_path("state2"), 0);
    ck_assert_int_eq(s.o.code, BV_E_CANCELLED);
    fault_http_free(s.server);
}
END_TEST

START_TEST(room_for_one_is_enough)
{
    story s;

    NEEDS_SMALL("size=1200k"); /* eight packers at a time want more than that */
    open_story(&s);
    upload(&s, http_store(&s), bvt_path("small/up"), 0);
    ck_assert_msg(s.o.code == 0, "%s", s.o.text);
    download(&s, http_store(&s), bvt_path("dest"), NULL, 0);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    fault_http_free(s.server);
}
END_TEST

START_TEST(waiting_ends_after_its_time_or_a_cancel)
{
    const int32_t waits[] = { 60, BV_TRANSFER_SPACE_WAIT_NONE, BV_TRANSFER_SPACE_WAIT_FOREVER };
    int64_t before_ms;
    story s;

    NEEDS_SMALL("size=20m");
    open_story(&s);
    put_archive(&s);
    fill(&s);
    s.stay = UINT32_MAX;
    s.cancel = waits[_i] == BV_TRANSFER_SPACE_WAIT_FOREVER;
    before_ms = fault_http_elapsed_ms(s.server);
    download(&s, http_store(&s), bvt_path("small/dest"), bvt_path("state"), waits[_i]);
    ck_assert_int_eq(s.o.code, s.cancel ? BV_E_CANCELLED : BV_E_IO);
    ck_assert_int_eq(s.o.errnum, s.cancel ? 0 : ENOSPC);
    if (waits[_i] == 60) {
        ck_assert_ptr_nonnull(strstr(s.o.text, "there was no room at"));
        ck_assert_int_ge(fault_http_elapsed_ms(s.server) - before_ms, 60000);
        ck_assert_int_lt(fault_http_elapsed_ms(s.server) - before_ms, 70000);
    }
    s.cancel = false;
    s.stay = 0;
    ck_assert_int_eq(upload(&s, bvt_format("dir:%s", bvt_path("small/store")), bvt_path("up2"),
                            waits[_i] == 60 ? 0 : waits[_i]),
                     waits[_i] == BV_TRANSFER_SPACE_WAIT_NONE ? BV_E_IO : 0);
    (void)unlink(bvt_path("small/filler"));
    download(&s, http_store(&s), bvt_path("small/dest"), bvt_path("state"), 0);
    ck_assert_int_eq(s.o.code, 0);
    assert_same_tree(bvt_path("source"), bvt_path("small/dest"));
    fault_http_free(s.server);
}
END_TEST

BVT_MAIN("transfer/space", bvt_test(a_download_waits_for_room_before_it_begins),
         bvt_loop(a_download_gets_over_a_disk_that_fills_up, left_over),
         bvt_test(a_download_waits_for_room_for_its_state), bvt_test(a_download_waits_for_inodes),
         bvt_times(an_upload_waits_for_room, 8), bvt_times(a_snapshots_upload_waits_for_room, 6),
         bvt_loop(a_snapshots_download_waits_for_room, left_over), bvt_test(room_for_one_is_enough),
         bvt_times(waiting_ends_after_its_time_or_a_cancel, 3))
