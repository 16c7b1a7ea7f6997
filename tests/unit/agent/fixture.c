/*
 * fixture.c - a node in a directory, and synchronous calls.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

/* A test that waits longer than this is stuck. */
#define PATIENCE_S 200

static void make_dir(const char *path)
{
    ck_assert_int_eq(mkdir(bvt_path("%s", path), 0755), 0);
}

void make_node(void)
{
    static const char *const dirs[] = {
        "n",          "n/etc", "n/var", "n/var/lib", "n/var/lib/babel",
        "n/blockjoy", "n/run", "n/tmp", "b",         "b/bin",
    };

    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
        make_dir(dirs[i]);
    ck_assert_int_eq(symlink(RUNNER_PATH, bvt_path("b/bin/babel_job_runner")), 0);
    ck_assert_int_eq(symlink(TRANSFER_PATH, bvt_path("b/bin/babel_transfer")), 0);
}

void fixture_open(fixture *f, uint32_t workers, const bvi_agent_server_opts *more)
{
    bv_ctx_opts ctx = BV_CTX_OPTS_INIT;
    bvi_agent_server_opts opts = more ? *more : (bvi_agent_server_opts){ 0 };
    bvi_agent_client_opts client = { .socket_path = bvt_path("n/run/blockvisor/babel.socket") };
    bv_error *err = NULL;

    ctx.workers = workers;
    opts.prefix = bvt_path("n");
    opts.bundle = bvt_path("b");
    bvt_assert_ok(bv_ctx_new(&ctx, &f->ctx, &err), err);
    bvt_assert_ok(bvi_agent_server_new(f->ctx, &opts, &f->agent, &err), err);
    bvt_assert_ok(bvi_agent_client_new(f->ctx, &client, &f->client, &err), err);
}

void fixture_close(fixture *f)
{
    bvi_agent_client_free(f->client);
    bvi_agent_server_free(f->agent);
    bv_ctx_free(f->ctx);
}

static char *keep_bytes(const char *bytes, size_t len)
{
    char *copy = malloc(len + 1);

    memcpy(copy, bytes ? bytes : "", bytes ? len : 0);
    copy[bytes ? len : 0] = '\0';
    return copy;
}

void keep_answer(const bvi_agent_result *result, const bv_error *err, void *data)
{
    answer *a = data;
    char story[8192] = "";

    ck_assert(!a->done);
    ck_assert_ptr_nonnull(result);
    (void)bv_error_format(err, story, sizeof(story));
    a->story = keep_bytes(story, strlen(story));
    a->code = bv_error_code(err);
    a->result = *result;
    a->result.out = keep_bytes(result->out, result->out_len);
    a->result.err_out = keep_bytes(result->err_out, result->err_out_len);
    a->result.version = keep_bytes(result->version, result->version ? strlen(result->version) : 0);
    a->json = result->json ? bvi_json_copy(result->json) : NULL;
    a->done = true;
}

void answer_done(answer *a)
{
    free(a->story);
    free((void *)(uintptr_t)a->result.out);
    free((void *)(uintptr_t)a->result.err_out);
    free((void *)(uintptr_t)a->result.version);
    bvi_json_free(a->json);
    *a = (answer){ 0 };
}

void dispatch_until(bv_ctx *ctx, const bool *flag)
{
    time_t end = time(NULL) + PATIENCE_S;

    while (!*flag) {
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 1000), 0);
        ck_assert_msg(time(NULL) < end, "nothing came");
    }
}

void dispatch_until_file(bv_ctx *ctx, const char *path)
{
    time_t end = time(NULL) + PATIENCE_S;

    while (!bvt_exists(path)) {
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 5), 0);
        ck_assert_msg(time(NULL) < end, "'%s' did not appear", path);
    }
}

bvi_json *parse(const char *text)
{
    bvi_json *root = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_json_parse(text, strlen(text), &root, &err), err);
    return root;
}

void setup_node(fixture *f)
{
    bvi_json *conf = parse(CONF);
    answer a;

    ask(f, bvi_agent_setup, &a, conf);
    assert_answer_ok(&a);
    answer_done(&a);
    bvi_json_free(conf);
}
