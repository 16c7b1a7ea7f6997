/* Archives on a web server that misbehaves: see fault_server.py. Also full disks and the bound on
 * memory. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define BIG (5u * 1024u * 1024u)

static struct {
    pid_t pid;
    const char *url;
} server;

static void stop_server(void)
{
    if (server.pid > 0) {
        (void)kill(server.pid, SIGKILL);
        (void)waitpid(server.pid, NULL, 0);
        server.pid = 0;
    }
}

static void start_server(void)
{
    int pipes[2];
    char line[32] = "";

    ck_assert_int_eq(mkdir(bvt_path("www"), 0755), 0);
    ck_assert_int_eq(pipe(pipes), 0);
    server.pid = fork();
    ck_assert_int_ge(server.pid, 0);
    if (server.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(pipes[1], STDOUT_FILENO);
        (void)execlp("python3", "python3", FAULT_SERVER, bvt_path("www"), (char *)NULL);
        _exit(127);
    }
    (void)close(pipes[1]);
    ck_assert_msg(read(pipes[0], line, sizeof(line) - 1) > 1, "python3 did not start the server");
    (void)close(pipes[0]);
    server.url = bvt_format("http://127.0.0.1:%d", atoi(line));
}

static void set_faults(const char *text)
{
    (void)bvt_write_file("www/.faults", text);
    (void)unlink(bvt_path("www/.log"));
}

static const char *server_log(void)
{
    return bvt_exists(bvt_path("www/.log")) ? bvt_read_file(bvt_path("www/.log"), NULL) : "";
}

static bv_upload_opts upload_opts(void)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;

    opts.store = server.url;
    opts.key = "chain-data";
    opts.source_dir = bvt_path("source");
    opts.number_of_chunks = 4;
    return opts;
}

static bv_download_opts download_opts(void)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;

    opts.store = server.url;
    opts.key = "chain-data";
    opts.dest_dir = bvt_path("dest");
    return opts;
}

static void upload_something(void)
{
    bv_upload_opts up = upload_opts();
    outcome o = { 0 };

    make_mixed_tree(bvt_path("source"), BIG);
    ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.chunks_done, 4);
}

static double now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

START_TEST(round_trip)
{
    bv_upload_opts up;
    bv_download_opts down;
    bv_verify_opts verify = BV_VERIFY_OPTS_INIT;
    unsigned workers = _i == 0 ? 0 : 2;
    outcome o = { 0 };

    start_server();
    up = upload_opts();
    down = download_opts();
    make_mixed_tree(bvt_path("source"), BIG);
    ck_assert_msg(run_upload(workers, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 1);
    make_text(bvt_path("source"), "more", "more");
    up.stored = 1;
    ck_assert_msg(run_upload(workers, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 2);
    ck_assert_msg(run_download(workers, &down, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 2);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    verify.store = up.store;
    verify.key = up.key;
    verify.data_version = 1;
    ck_assert_msg(run_verify(workers, &verify, &o) == 0, "%s", o.text);
    up.data_version = 1;
    ck_assert_int_eq(run_upload(workers, &up, &o), BV_E_EXISTS);
    stop_server();
}
END_TEST

static const struct {
    const char *faults;
    int code;
    unsigned retries_min;
    const char *says;    /* of the error */
    const char *log_has; /* of the server's log */
    double least_seconds;
} downloads[] = {
    { "GET part_1 2 status 503\n", 0, 2, "", "", 0 },
    { "GET part_1 1 retry 2\n", 0, 1, "", "", 2 },
    { "GET part_1 1 cut 700000\n", 0, 1, "", "bytes=", 0 },
    { "GET part_1 1 short 700000\n", 0, 1, "", "bytes=", 0 },
    { "GET part_1 1 cut 1200000\nGET part_1 1 norange\n", 0, 2, "", "bytes=", 0 },
    { "GET part_1 1 status 403\n", 0, 1, "", "", 0 },
    { "GET part_1 9 status 403\n", BV_E_DENIED, 0, "data.part_1", "", 0 },
    { "GET part_1 1 status 404\n", BV_E_NOT_FOUND, 0, "data.part_1", "", 0 },
    { "GET part_1 1 status 501\n", BV_E_REMOTE, 0, "data.part_1", "", 0 },
    { "GET part_1 2 long 10\n", BV_E_CHECKSUM, 0, "more bytes than requested", "", 0 },
    { "GET manifest-body 1 status 404\n", BV_E_NOT_FOUND, 0, "chain-data", "", 0 },
    { "GET manifest-header 1 short 10\n", BV_E_FORMAT, 0, "manifest header", "", 0 },
};

START_TEST(downloads_meet_faults)
{
    bv_download_opts down;
    outcome o = { 0 };
    double started;

    start_server();
    down = download_opts();
    upload_something();
    set_faults(downloads[_i].faults);
    started = now();
    ck_assert_msg(run_download(2, &down, &o) == downloads[_i].code, "%d %s", o.code, o.text);
    ck_assert_uint_ge(o.status.retries, downloads[_i].retries_min);
    ck_assert_msg(strstr(o.text, downloads[_i].says) != NULL, "%s", o.text);
    ck_assert_msg(strstr(server_log(), downloads[_i].log_has) != NULL, "%s", server_log());
    ck_assert(now() - started >= downloads[_i].least_seconds);
    if (o.code != 0) { /* once the fault is gone, it goes on */
        set_faults("");
        ck_assert_msg(run_download(2, &down, &o) == 0, "%s", o.text);
    }
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    stop_server();
}
END_TEST

static const struct {
    const char *faults;
    int code;
    unsigned retries_min;
    const char *says;
} uploads[] = {
    { "PUT part_1 2 status 500\n", 0, 2, "" },
    { "PUT part_1 1 retry 1\n", 0, 1, "" },
    /* curl itself repeats what it began on a connection that had served before. */
    { "PUT part_1 1 cut 300000\n", 0, 0, "" },
    { "PUT part_1 1 status 403\n", 0, 1, "" },
    { "PUT part_1 9 status 403\n", BV_E_DENIED, 0, "data.part_1" },
    { "PUT part_1 1 status 400\n", BV_E_INVALID, 0, "data.part_1" },
    { "PUT manifest-header 9 status 501\n", BV_E_UNSUPPORTED, 0, "does not offer" },
    { "PUT .lock 1 status 412\n", 0, 0, "" },
};

START_TEST(uploads_meet_faults)
{
    bv_upload_opts up;
    bv_download_opts down;
    outcome o = { 0 };

    start_server();
    up = upload_opts();
    down = download_opts();
    make_mixed_tree(bvt_path("source"), BIG);
    set_faults(uploads[_i].faults);
    ck_assert_msg(run_upload(2, &up, &o) == uploads[_i].code, "%d %s", o.code, o.text);
    ck_assert_uint_ge(o.status.retries, uploads[_i].retries_min);
    ck_assert_msg(strstr(o.text, uploads[_i].says) != NULL, "%s", o.text);
    if (o.code != 0) {
        ck_assert(!bvt_exists(bvt_path("www/chain-data/1/manifest-header.json"))); /* invisible */
        set_faults("");
        ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
        ck_assert_uint_eq(o.status.data_version, 1);
    }
    ck_assert_msg(run_download(2, &down, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    stop_server();
}
END_TEST

/* ---- full disks ---- */

static bool mount_small(const char *path, const char *options)
{
    (void)mkdir(path, 0755);
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", path, "tmpfs", 0, options) == 0;
}

START_TEST(a_full_disk_is_named)
{
    bv_upload_opts up;
    bv_download_opts down;
    outcome o = { 0 };

    if (!mount_small(bvt_path("small"), "size=2m"))
        bvt_skip("mounting a tmpfs is not allowed here");
    start_server();
    up = upload_opts();
    down = download_opts();
    up.space_wait_secs = down.space_wait_secs = BV_TRANSFER_SPACE_WAIT_NONE;
    make_file(bvt_path("source"), "big", 8u << 20, 1);
    up.state_dir = bvt_path("small/state"); /* packed chunks lie here */
    ck_assert_int_eq(run_upload(2, &up, &o), BV_E_IO);
    ck_assert_int_eq(o.errnum, ENOSPC);
    ck_assert_ptr_nonnull(strstr(o.text, "no disk space left"));
    up.state_dir = NULL;
    ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
    down.dest_dir = bvt_path("small/dest");
    down.state_dir = bvt_path("state");
    ck_assert_int_eq(run_download(2, &down, &o), BV_E_IO);
    ck_assert_int_eq(o.errnum, ENOSPC);
    ck_assert_ptr_nonnull(strstr(o.text, "can't download 8388608 bytes of data while only"));
    ck_assert_int_eq(mount(NULL, bvt_path("small"), NULL, MS_REMOUNT, "size=20m"), 0);
    ck_assert_msg(run_download(2, &down, &o) == 0, "%s", o.text);
    assert_same_tree(bvt_path("source"), bvt_path("small/dest"));
    stop_server();
}
END_TEST

/* ---- memory ---- */

START_TEST(memory_does_not_grow_with_chunks)
{
    bv_upload_opts up;
    bv_download_opts down;
    outcome o = { 0 };
    size_t before;

    start_server();
    up = upload_opts();
    down = download_opts();
    make_file(bvt_path("source"), "big", 96u << 20, 1);
    up.number_of_chunks = 3;
    up.max_runners = down.max_runners = 8;
    up.memory_mib = down.memory_mib = 24;
    before = bvt_live_bytes();
    bvt_reset_peak();
    ck_assert_msg(run_upload(2, &up, &o) == 0, "%s", o.text);
    ck_assert_uint_lt(bvt_peak_bytes() - before, 24u << 20);
    bvt_reset_peak();
    ck_assert_msg(run_download(2, &down, &o) == 0, "%s", o.text);
    ck_assert_uint_lt(bvt_peak_bytes() - before, 24u << 20);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    up.memory_mib = 1;
    make_text(bvt_path("source"), "more", "more");
    ck_assert_int_eq(run_upload(2, &up, &o), BV_E_INVALID);
    ck_assert_ptr_nonnull(strstr(o.text, "raise the limit"));
    stop_server();
}
END_TEST

BVT_MAIN("transfer/http", bvt_times(round_trip, 2), bvt_loop(downloads_meet_faults, downloads),
         bvt_loop(uploads_meet_faults, uploads), bvt_test(a_full_disk_is_named),
         bvt_test(memory_does_not_grow_with_chunks))
