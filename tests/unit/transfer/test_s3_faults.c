/* The S3 store with a server that misbehaves: see fault_server.py, which does not check signatures.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"
#include "transfer/store_s3_impl.h"

typedef struct world {
    pid_t server;
    bv_ctx *ctx;
    bvi_store *store;
    bool done;
    int code;
    char text[1000];
} world;

static void start_server(world *w)
{
    static const bvi_s3_credentials keys = {
        .access_key_id = (char *)"id",
        .secret_access_key = (char *)"hidden",
        .session_token = (char *)"hidden-token",
    };
    bv_error *err = NULL;
    char line[32] = "";
    int pipes[2];

    ck_assert_int_eq(mkdir(bvt_path("www"), 0755), 0);
    ck_assert_int_eq(pipe(pipes), 0);
    w->server = fork();
    ck_assert_int_ge(w->server, 0);
    if (w->server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(pipes[1], STDOUT_FILENO);
        (void)execlp("python3", "python3", FAULT_SERVER, bvt_path("www"), (char *)NULL);
        _exit(127);
    }
    (void)close(pipes[1]);
    ck_assert_msg(read(pipes[0], line, sizeof(line) - 1) > 1, "python3 did not start the server");
    (void)close(pipes[0]);
    w->ctx = make_ctx(0);
    bvt_assert_ok(bvi_store_s3_open(
                      w->ctx, bvt_format("s3://bucket/p?endpoint=http://127.0.0.1:%d", atoi(line)),
                      &keys, &w->store, &err),
                  err);
}

static void stop_server(world *w)
{
    bvi_store_free(w->store);
    bv_ctx_free(w->ctx);
    (void)kill(w->server, SIGKILL);
    (void)waitpid(w->server, NULL, 0);
}

static const char *server_log(void)
{
    return bvt_exists(bvt_path("www/.log")) ? bvt_read_file(bvt_path("www/.log"), NULL) : "";
}

static void on_answer(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    world *w = data;

    (void)reply;
    w->done = true;
    w->code = bv_error_code(err);
    (void)bv_error_format(err, w->text, sizeof(w->text));
}

static int ask(world *w, const bvi_store_request *request)
{
    w->done = false;
    ck_assert_int_eq(bvi_store_call(w->store, request, on_answer, w, NULL), 0);
    while (!w->done)
        ck_assert_int_gt(bv_ctx_dispatch(w->ctx, 60000), 0);
    ck_assert_msg(!strstr(w->text, "hidden"), "%s", w->text);
    return w->code;
}

static double now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static const struct {
    const char *faults;
    int code;
    const char *says;
    double least_seconds;
} gets[] = {
    { "", 0, "", 0 },
    { "GET object 2 s3error 503 SlowDown\n", 0, "", 0.5 },
    { "GET object 1 retry 1\n", 0, "", 1 },
    { "GET object 1 s3error 500 InternalError\n", 0, "", 0.1 },
    { "GET object 1 s3error 400 RequestTimeout\n", 0, "", 0.1 },
    { "GET object 1 cut 3\n", 0, "", 0.1 },
    { "GET object 9 s3error 503 SlowDown\n", BV_E_AGAIN, "wants fewer requests", 3 },
    { "GET object 9 s3error 403 RequestTimeTooSkewed\n", BV_E_DENIED, "clock", 0 },
    { "GET object 9 s3error 400 ExpiredToken\n", BV_E_DENIED, "token has expired", 0 },
    { "GET object 9 s3error 403 AccessDenied\n", BV_E_DENIED, "not allowed", 0 },
    { "GET object 9 s3error 403 InvalidAccessKeyId\n", BV_E_DENIED, "know the access key", 0 },
    { "GET object 9 s3error 400 AuthorizationHeaderMalformed\n", BV_E_INVALID, "region=", 0 },
    { "GET object 9 s3error 301 PermanentRedirect\n", BV_E_INVALID, "endpoint=", 0 },
    { "GET object 9 s3error 404 NoSuchKey\n", BV_E_NOT_FOUND, "NoSuchKey: as told", 0 },
    { "GET object 9 s3error 404 NoSuchBucket\n", BV_E_INVALID, "no such bucket", 0 },
    { "GET object 9 status 410\n", BV_E_NOT_FOUND, "410", 0 },
    { "GET object 9 status 501\n", BV_E_UNSUPPORTED, "does not offer", 0 },
    { "GET object 9 status 418\n", BV_E_INVALID, "418", 0 },
};

START_TEST(gets_meet_faults)
{
    world w = { 0 };
    double started;

    start_server(&w);
    (void)mkdir(bvt_path("www/bucket"), 0755);
    (void)mkdir(bvt_path("www/bucket/p"), 0755);
    (void)bvt_write_file("www/bucket/p/object", "content");
    (void)bvt_write_file("www/.faults", gets[_i].faults);
    started = now();
    ck_assert_msg(
        ask(&w, &(bvi_store_request){ .verb = BVI_STORE_GET, .key = "object", .max = 100 }) ==
            gets[_i].code,
        "%d %s", w.code, w.text);
    ck_assert_msg(strstr(w.text, gets[_i].says) != NULL, "%s", w.text);
    ck_assert(now() - started >= gets[_i].least_seconds);
    stop_server(&w);
}
END_TEST

static const struct {
    const char *faults;
    int code;
    const char *log_has;
} parts[] = {
    { "", 0, "POST /bucket/p/big?uploadId=one - 200" },
    { "PUT partNumber=2 1 status 503\n", 0, "partNumber=2&uploadId=one - 201" },
    { "PUT partNumber=2 1 cut 100000\n", 0, "partNumber=2&uploadId=one - 201" },
    { "PUT partNumber=2 9 status 400\n", BV_E_INVALID, "DELETE /bucket/p/big?uploadId=one" },
    { "POST ?uploads 9 s3error 403 AccessDenied\n", BV_E_DENIED, "" },
    { "POST ?uploadId 9 s3error 200 InternalError\n", BV_E_REMOTE,
      "DELETE /bucket/p/big?uploadId=one" },
    { "POST ?uploadId 9 s3error 400 InvalidPart\n", BV_E_INVALID,
      "DELETE /bucket/p/big?uploadId=one" },
};

START_TEST(parts_meet_faults)
{
    size_t len = BVI_S3_PART_BYTES + 100;
    char *bytes = calloc(1, len);
    world w = { 0 };

    start_server(&w);
    (void)bvt_write_file("www/.faults", parts[_i].faults);
    ck_assert_msg(ask(&w,
                      &(bvi_store_request){
                          .verb = BVI_STORE_PUT, .key = "big", .bytes = bytes, .len = len }) ==
                      parts[_i].code,
                  "%d %s", w.code, w.text);
    ck_assert_msg(strstr(server_log(), parts[_i].log_has) != NULL, "%s", server_log());
    free(bytes);
    stop_server(&w);
}
END_TEST

/* A cancel while it waits to try again ends the request at once. */
START_TEST(cancelled_while_waiting)
{
    world w = { 0 };
    double started;

    start_server(&w);
    (void)bvt_write_file("www/.faults", "GET object 9 retry 60\n");
    ck_assert_int_eq(
        bvi_store_call(w.store,
                       &(bvi_store_request){ .verb = BVI_STORE_GET, .key = "object", .max = 100 },
                       on_answer, &w, NULL),
        0);
    while (!strstr(server_log(), "429"))
        (void)bv_ctx_dispatch(w.ctx, 10);
    for (int i = 0; i < 10; i++)
        (void)bv_ctx_dispatch(w.ctx, 10);
    started = now();
    w.store->vtable->cancel(w.store);
    while (!w.done)
        ck_assert_int_gt(bv_ctx_dispatch(w.ctx, 60000), 0);
    ck_assert_int_eq(w.code, BV_E_CANCELLED);
    ck_assert(now() - started < 5);
    stop_server(&w);
}
END_TEST

START_TEST(allocations_fail)
{
    const bvi_store_request request = { .verb = BVI_STORE_GET, .key = "object", .max = 100 };
    world w = { 0 };

    start_server(&w);
    (void)mkdir(bvt_path("www/bucket"), 0755);
    (void)mkdir(bvt_path("www/bucket/p"), 0755);
    (void)bvt_write_file("www/bucket/p/object", "content");
    (void)ask(&w, &request); /* what is kept between requests is there */
    bvt_for_each_failed_allocation(n) {
        bv_error *err = NULL;

        w.done = false;
        if (bvi_store_call(w.store, &request, on_answer, &w, &err) == 0) {
            while (!w.done)
                ck_assert_int_ge(bv_ctx_dispatch(w.ctx, 60000), 0);
        } else {
            ck_assert_int_eq(bv_error_code(err), BV_E_NOMEM);
        }
        bv_error_free(err);
    }
    stop_server(&w);
}
END_TEST

static void write_keys(const char *id)
{
    (void)bvt_write_file("keys", bvt_format("[default]\naws_access_key_id = %s\n"
                                            "aws_secret_access_key = hidden\n",
                                            id));
}

/* Keys of a file that were replaced meanwhile are taken when the old ones are refused. */
START_TEST(keys_are_read_again)
{
    const bvi_store_request request = { .verb = BVI_STORE_GET, .key = "object", .max = 100 };
    world w = { 0 };
    bvi_store *with_file = NULL;
    bvi_store *given;
    bv_error *err = NULL;

    start_server(&w);
    (void)mkdir(bvt_path("www/bucket"), 0755);
    (void)mkdir(bvt_path("www/bucket/p"), 0755);
    (void)bvt_write_file("www/bucket/p/object", "content");
    (void)bvt_write_file("www/.faults", "GET object 3 s3error 403 ExpiredToken\n");
    write_keys("old");
    bvt_assert_ok(
        bvi_store_open(w.ctx,
                       bvt_format("s3://bucket/p?endpoint=%s&credentials=%s",
                                  ((bvi_store_s3 *)w.store)->config.origin, bvt_path("keys")),
                       &with_file, &err),
        err);
    given = w.store;
    ck_assert_int_eq(ask(&w, &request), BV_E_DENIED); /* there is nowhere to look */
    w.store = with_file;
    ck_assert_int_eq(ask(&w, &request), BV_E_DENIED); /* and nothing new there */
    write_keys("new");
    ck_assert_msg(ask(&w, &request) == 0, "%s", w.text);
    w.store = given;
    bvi_store_free(with_file);
    stop_server(&w);
}
END_TEST

START_TEST(urls_are_signed)
{
    world w = { 0 };
    char *get, *put;

    start_server(&w);
    get = w.store->vtable->url(w.store, "k/1/data.part_0", false);
    put = w.store->vtable->url(w.store, "k/1/data.part_0", true);
    ck_assert(strstr(get, "/bucket/p/k/1/data.part_0?X-Amz-Algorithm=") != NULL);
    ck_assert(strstr(get, "X-Amz-Security-Token=hidden-token") != NULL);
    ck_assert_str_ne(get, put);
    bvi_free(get);
    bvi_free(put);
    stop_server(&w);
}
END_TEST

BVT_MAIN("transfer/s3_faults", bvt_loop(gets_meet_faults, gets), bvt_loop(parts_meet_faults, parts),
         bvt_test(cancelled_while_waiting), bvt_test(allocations_fail), bvt_test(urls_are_signed),
         bvt_test(keys_are_read_again))
