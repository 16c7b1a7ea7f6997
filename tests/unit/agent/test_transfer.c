/*
 * babel_transfer as the process it is, against the engine service over a directory store: up, down,
 * stop and resume, and what it leaves in the job's directory.
 */
#include <fcntl.h>
#include <signal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/engine_server.h"
#include "bvt.h"
#include "io/loop.h"
#include "sys/proc.h"
#include "transfer/source_store.h"

typedef struct host {
    bv_ctx *ctx;
    bvi_engine_server *server;
    pid_t pid;
    int status;
    const char *out; /* of the last process: standard error */
} host;

static int open_source(void *data, const char *store_key, bvi_chunk_source **ret_source,
                       bv_error **err)
{
    host *h = data;

    return bvi_source_open(h->ctx, bvt_format("dir:%s", bvt_path("store")),
                           store_key ? store_key : "own-key", ret_source, err);
}

static void on_report(void *data, const char *text)
{
}

static void open_host(host *h)
{
    static const char *const dirs[] = {
        "store", "job", "data", "data/sub", "meta", "back", "meta2"
    };
    bv_ctx_opts ctx = BV_CTX_OPTS_INIT;
    bvi_engine_host functions = { .data = h, .open_source = open_source, .bv_error = on_report };
    bv_error *err = NULL;

    *h = (host){ 0 };
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
        ck_assert_int_eq(mkdir(bvt_path("%s", dirs[i]), 0755), 0);
    bvt_assert_ok(bv_ctx_new(&ctx, &h->ctx, &err), err);
    bvt_assert_ok(
        bvi_engine_server_new(h->ctx, bvt_path("engine.socket"), &functions, &h->server, &err),
        err);
}

static void close_host(host *h)
{
    bvi_engine_server_free(h->server);
    bv_ctx_free(h->ctx);
}

static void start(host *h, const char *verb, const char *data_dir, const char *meta_dir,
                  const char *options)
{
    const char *const argv[] = {
        TRANSFER_PATH,
        verb,
        "--job-dir",
        bvt_path("job"),
        "--engine-socket",
        bvt_path("engine.socket"),
        "--data-dir",
        bvt_path("%s", data_dir),
        "--meta-dir",
        bvt_path("%s", meta_dir),
        "--data-lock",
        bvt_path("lock"),
        "--options",
        options,
        NULL,
    };
    int errors = open(bvt_path("stderr"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bvi_spawn spawn = BVI_SPAWN_INIT;
    bv_error *err = NULL;

    spawn.argv = argv;
    spawn.stderr_fd = errors;
    (void)unlink(bvt_path("job/message"));
    bvt_assert_ok(bvi_proc_spawn(&spawn, &h->pid, NULL, &err), err);
    close(errors);
}

static bool has_ended(host *h)
{
    if (h->pid && waitpid(h->pid, &h->status, WNOHANG) == h->pid)
        h->pid = 0;
    return !h->pid;
}

static int finish(host *h)
{
    while (!has_ended(h))
        ck_assert_int_ge(bv_ctx_dispatch(h->ctx, 10), 0);
    h->out = bvt_read_file(bvt_path("stderr"), NULL);
    ck_assert_msg(WIFEXITED(h->status), "status %d: %s", h->status, h->out);
    return WEXITSTATUS(h->status);
}

static int run(host *h, const char *verb, const char *data_dir, const char *meta_dir,
               const char *options)
{
    start(h, verb, data_dir, meta_dir, options);
    return finish(h);
}

static void fill_data(size_t bytes)
{
    char *block = malloc(bytes);

    srand(7);
    for (size_t i = 0; i < bytes; i++)
        block[i] = (char)rand();
    bvt_write_bytes("data/big", block, bytes);
    bvt_write_file("data/sub/small", "small");
    bvt_write_file("data/empty", "");
    bvt_write_file("data/left.tmp", "not archived");
    free(block);
}

static void assert_same(void)
{
    ck_assert_int_eq(system(bvt_format("cmp %s %s && cmp %s %s && test -e %s && test ! -e %s",
                                       bvt_path("data/big"), bvt_path("back/big"),
                                       bvt_path("data/sub/small"), bvt_path("back/sub/small"),
                                       bvt_path("back/empty"), bvt_path("back/left.tmp"))),
                     0);
}

static const char *const option_sets[] = {
    "{\"exclude\":[\"*.tmp\"],\"compression\":{\"ZSTD\":3},\"number_of_chunks\":5,\"data_version\":"
    "3}",
    "{\"exclude\":[\"*.tmp\"],\"number_of_chunks\":1,\"store_key\":\"other-key\",\"max_"
    "connections\":1}",
};

START_TEST(up_and_down)
{
    const char *down = _i ? "{\"store_key\":\"other-key\"}" : "{}";
    host h;

    open_host(&h);
    fill_data(3000000);
    ck_assert_msg(run(&h, "upload", "data", "meta", option_sets[_i]) == 0, "%s", h.out);
    ck_assert(!bvt_exists(bvt_path("job/message")));
    ck_assert_ptr_nonnull(strstr(bvt_read_file(bvt_path("job/progress.json"), NULL),
                                 _i ? "{\"total\":1,\"current\":1,\"message\":\"chunks\","
                                    : "{\"total\":5,\"current\":5,\"message\":\"chunks\","));
    ck_assert_msg(run(&h, "download", "back", "meta2", down) == 0, "%s", h.out);
    assert_same();
    ck_assert_int_eq(run(&h, "cleanup", "back", "meta2", down), 0);
    ck_assert(!bvt_exists(bvt_path("job/progress.json")));
    ck_assert_int_eq(rmdir(bvt_path("meta2")), 0); /* nothing of ours is left */
    close_host(&h);
}
END_TEST

START_TEST(used_data_is_not_overwritten)
{
    host h;

    open_host(&h);
    bvt_write_file("lock", "");
    ck_assert_int_eq(run(&h, "download", "back", "meta2", "{}"), 0);
    ck_assert_str_eq(bvt_read_file(bvt_path("job/message"), NULL), "job 'job' finished");
    close_host(&h);
}
END_TEST

#define CLIENT(name, dir, key)                                                                     \
    "{\"name\":\"" name "\",\"data_dir\":\"" dir "\",\"store_key\":\"" key "\"}"
#define CLIENTS(...) "{\"clients\":[" __VA_ARGS__ "]}"

START_TEST(clients_have_archives_of_their_own)
{
    const char *both = CLIENTS(CLIENT("el", "exec/db", "el-key") "," CLIENT("cl", "cl", "cl-key"));
    host h;

    open_host(&h);
    ck_assert_int_eq(mkdir(bvt_path("data/exec"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("data/exec/db"), 0755), 0);
    ck_assert_int_eq(mkdir(bvt_path("data/cl"), 0755), 0);
    bvt_write_file("data/exec/db/a", "execution");
    bvt_write_file("data/cl/b", "consensus");
    ck_assert_msg(run(&h, "upload-clients", "data", "meta", both) == 0, "%s", h.out);
    ck_assert(bvt_exists(bvt_path("store/el-key")));
    ck_assert(bvt_exists(bvt_path("store/cl-key")));
    ck_assert_msg(run(&h, "download-clients", "back", "meta2", both) == 0, "%s", h.out);
    ck_assert_str_eq(bvt_read_file(bvt_path("back/exec/db/a"), NULL), "execution");
    ck_assert_str_eq(bvt_read_file(bvt_path("back/cl/b"), NULL), "consensus");
    ck_assert(!bvt_exists(bvt_path("job/message")));
    ck_assert_ptr_nonnull(
        strstr(bvt_read_file(bvt_path("job/progress.json"), NULL), "chunks (client 2 of 2)"));
    ck_assert_int_eq(run(&h, "cleanup", "back", "meta2", both), 0);
    ck_assert_int_eq(rmdir(bvt_path("meta2")), 0);
    close_host(&h);
}
END_TEST

/* A client that runs already keeps what it has; one without an archive starts without. */
START_TEST(clients_that_need_nothing_are_passed_over)
{
    const char *up = CLIENTS(CLIENT("cl", "cl", "cl-key"));
    const char *down =
        CLIENTS(CLIENT("gone", "gone", "none-such") "," CLIENT("cl", "used", "cl-key"));
    host h;

    open_host(&h);
    ck_assert_int_eq(mkdir(bvt_path("data/cl"), 0755), 0);
    bvt_write_file("data/cl/b", "archived");
    ck_assert_msg(run(&h, "upload-clients", "data", "meta", up) == 0, "%s", h.out);
    ck_assert_int_eq(mkdir(bvt_path("back/used"), 0755), 0);
    bvt_write_file("back/used/b", "mine");
    bvt_write_file("lock", "");
    ck_assert_msg(run(&h, "download-clients", "back", "meta2", down) == 0, "%s", h.out);
    ck_assert_str_eq(bvt_read_file(bvt_path("back/used/b"), NULL), "mine");
    ck_assert_int_eq(run(&h, "download-clients", "back", "meta2", "{}"), 0);
    ck_assert_str_eq(bvt_read_file(bvt_path("job/message"), NULL),
                     "No downloadable clients found with store_key configured");
    close_host(&h);
}
END_TEST

static const struct {
    const char *verb;
    const char *options;
    int status;
    const char *says;
} failures[] = {
    { "download", "{\"store_key\":\"none-such\"}", 1, "none-such" },
    { "download", "{\"max_runners\":\"x\"}", 1, "max_runners" },
    { "download", "{\"max_runners\":100000}", 1, "max_runners" },
    { "download", "{", 1, "options of the archive job" },
    { "upload", "{\"exclude\":[1]}", 1, "exclude" },
    { "upload", "{\"compression\":{}}", 1, "ZSTD" },
    { "sideload", "{}", 1, "'sideload'" },
    { "download-clients", "{\"clients\":[{}]}", 1, "Some client downloads failed" },
    { "upload-clients", CLIENTS(CLIENT("a", "no-such-dir", "k")), 1, "client 'a'" },
};

START_TEST(failures_are_explained)
{
    host h;

    open_host(&h);
    fill_data(1000);
    ck_assert_int_eq(run(&h, failures[_i].verb, "data", "meta", failures[_i].options),
                     failures[_i].status);
    ck_assert_msg(strstr(bvt_read_file(bvt_path("job/message"), NULL), failures[_i].says) != NULL,
                  "%s", bvt_read_file(bvt_path("job/message"), NULL));
    ck_assert_ptr_nonnull(strstr(h.out, failures[_i].says));
    close_host(&h);
}
END_TEST

START_TEST(stopped_and_resumed)
{
    host h;

    open_host(&h);
    fill_data(60000000);
    start(&h, "upload", "data", "meta", option_sets[0]);
    for (int i = 0; i < 2000 && !has_ended(&h) && !bvt_exists(bvt_path("job/progress.json")); i++)
        ck_assert_int_ge(bv_ctx_dispatch(h.ctx, 5), 0);
    if (h.pid)
        ck_assert_int_eq(kill(h.pid, SIGTERM), 0);
    if (finish(&h) != 0) { /* else it was faster than the signal */
        ck_assert_int_eq(WEXITSTATUS(h.status), 3);
        ck_assert_msg(run(&h, "upload", "data", "meta", option_sets[0]) == 0, "%s", h.out);
    }
    ck_assert_msg(run(&h, "download", "back", "meta2", "{}") == 0, "%s", h.out);
    assert_same();
    close_host(&h);
}
END_TEST

static bool mount_small(const char *path)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", path, "tmpfs", 0, "size=1m") == 0;
}

static bool says_no_space(void)
{
    return bvt_exists(bvt_path("job/progress.json")) &&
           strstr(bvt_read_file(bvt_path("job/progress.json"), NULL), ", no space: ");
}

START_TEST(a_full_disk_is_waited_for)
{
    host h;

    open_host(&h);
    if (!mount_small(bvt_path("back"))) {
        close_host(&h);
        bvt_skip("mounting a tmpfs is not allowed here");
    }
    fill_data(3000000);
    ck_assert_msg(run(&h, "upload", "data", "meta", option_sets[0]) == 0, "%s", h.out);
    (void)unlink(bvt_path("job/progress.json"));
    start(&h, "download", "back", "meta2", "{}");
    for (int i = 0; i < 10000 && !has_ended(&h) && !says_no_space(); i++)
        ck_assert_int_ge(bv_ctx_dispatch(h.ctx, 5), 0);
    ck_assert(says_no_space());
    ck_assert_int_eq(mount(NULL, bvt_path("back"), NULL, MS_REMOUNT, "size=20m"), 0);
    ck_assert_msg(finish(&h) == 0, "%s", h.out);
    assert_same();
    close_host(&h);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
    ck_assert_int_eq(WEXITSTATUS(system(TRANSFER_PATH " 2>/dev/null")), 2);
    ck_assert_int_eq(WEXITSTATUS(system(TRANSFER_PATH " download 2>/dev/null")), 2);
    ck_assert_int_eq(
        WEXITSTATUS(system(TRANSFER_PATH " download --job-dir /x --nonsense y 2>/dev/null")), 2);
}
END_TEST

BVT_MAIN("agent/transfer", bvt_loop(up_and_down, option_sets),
         bvt_test(used_data_is_not_overwritten), bvt_test(clients_have_archives_of_their_own),
         bvt_test(clients_that_need_nothing_are_passed_over),
         bvt_loop(failures_are_explained, failures), bvt_test(stopped_and_resumed),
         bvt_test(a_full_disk_is_waited_for), bvt_test(wrong_arguments_are_refused))
