/* Children run from the loop: results, bounded output, input, time-outs, cancelling, and pipes that
 * stay open. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bvt.h"
#include "io/child.h"

typedef struct seen {
    bool done;
    bool timed_out;
    bool cancelled;
    bool truncated;
    int status;
    char out[256];
    size_t out_len;
    char err[256];
    char described[512];
} seen;

static void on_done(const bvi_child_result *result, void *data)
{
    seen *s = data;
    bvi_auto_free char *text = bvi_child_describe(result);

    ck_assert(!s->done);
    s->done = true;
    s->timed_out = result->timed_out;
    s->cancelled = result->cancelled;
    s->truncated = result->truncated;
    s->status = result->wait_status;
    s->out_len = result->out_len;
    snprintf(s->out, sizeof(s->out), "%s", result->out);
    snprintf(s->err, sizeof(s->err), "%s", result->err);
    snprintf(s->described, sizeof(s->described), "%s", text ? text : "");
}

static bv_ctx *make_ctx(void)
{
    bv_ctx *ctx = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bv_ctx_new(NULL, &ctx, &err), err);
    return ctx;
}

static void wait_done(bv_ctx *ctx, const seen *s)
{
    for (int i = 0; i < 2000 && !s->done; i++)
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 10), 0);
    ck_assert_msg(s->done, "the child does not end");
}

static void run(const char *command, bvi_child_opts opts, seen *s)
{
    const char *argv[] = { "/bin/sh", "-c", command, NULL };
    bv_ctx *ctx = make_ctx();
    bv_error *err = NULL;

    memset(s, 0, sizeof(*s));
    opts.argv = argv;
    if (!opts.max_output)
        opts.max_output = 200;
    bvt_assert_ok(bvi_child_run(ctx, &opts, on_done, s, NULL, &err), err);
    ck_assert(!s->done);
    wait_done(ctx, s);
    bv_ctx_free(ctx);
}

static const struct {
    const char *command;
    const char *out;
    const char *err;
    const char *described;
} cases[] = {
    { "echo out; echo err >&2; exit 3", "out\n", "err\n", "exited with status 3: err" },
    { "true", "", "", "exited with status 0" },
    { "kill -9 $$", "", "", "was killed by SIGKILL" },
    { "printf 'first\\nlast' >&2; exit 1", "", "first\nlast", "exited with status 1: last" },
    { "cat", "", "", "exited with status 0" }, /* /dev/null */
};

START_TEST(results)
{
    seen s;

    run(cases[_i].command, (bvi_child_opts){ 0 }, &s);
    ck_assert_str_eq(s.out, cases[_i].out);
    ck_assert_str_eq(s.err, cases[_i].err);
    ck_assert_str_eq(s.described, cases[_i].described);
    ck_assert(!s.truncated);
}
END_TEST

START_TEST(output_is_bounded)
{
    seen s;

    run("head -c 1000000 /dev/zero | tr '\\0' x", (bvi_child_opts){ .max_output = 100 }, &s);
    ck_assert_uint_eq(s.out_len, 100);
    ck_assert(s.truncated);
    ck_assert_int_eq(s.status, 0); /* it was read to its end all the same */
}
END_TEST

START_TEST(input_is_fed)
{
    static char big[500000];
    seen s;

    memset(big, 'y', sizeof(big));
    run("wc -c", (bvi_child_opts){ .input = big, .input_len = sizeof(big) }, &s);
    ck_assert_str_eq(s.out, "500000\n");
    run("wc -c", (bvi_child_opts){ .input = "", .input_len = 0 }, &s);
    ck_assert_str_eq(s.out, "0\n");
    run("exit 0", (bvi_child_opts){ .input = big, .input_len = sizeof(big) },
        &s); /* not wanted: no SIGPIPE */
    ck_assert_int_eq(s.status, 0);
}
END_TEST

START_TEST(a_timeout_kills_the_group)
{
    seen s;

    run("echo $$; sleep 300 & sleep 300", (bvi_child_opts){ .timeout_us = 100000 }, &s);
    ck_assert(s.timed_out);
    ck_assert_str_eq(s.described, "timed out");
    ck_assert_int_eq(WTERMSIG(s.status), SIGKILL);
}
END_TEST

START_TEST(cancelling_ends_it)
{
    const char *argv[] = { "sleep", "300", NULL };
    bvi_child_opts opts = { .argv = argv, .use_path = true, .max_output = 10 };
    bvi_child *child = NULL;
    bv_ctx *ctx = make_ctx();
    seen s = { 0 };
    bv_error *err = NULL;

    bvt_assert_ok(bvi_child_run(ctx, &opts, on_done, &s, &child, &err), err);
    bvi_child_cancel(child);
    ck_assert(!s.done);
    wait_done(ctx, &s);
    ck_assert(s.cancelled);
    bv_ctx_free(ctx);
}
END_TEST

/* What a container runtime does: it leaves, what it started keeps the pipes. */
START_TEST(open_pipes_do_not_hold_it)
{
    seen s;

    run("sleep 20 & echo started", (bvi_child_opts){ 0 }, &s);
    ck_assert_str_eq(s.out, "started\n");
}
END_TEST

START_TEST(a_missing_program_is_known_at_once)
{
    const char *argv[] = { "/nonexistent", NULL };
    bvi_child_opts opts = { .argv = argv };
    bv_ctx *ctx = make_ctx();
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_child_run(ctx, &opts, on_done, NULL, NULL, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "/nonexistent");
    bv_error_free(err);
    bv_ctx_free(ctx);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    const char *argv[] = { "/bin/echo", "x", NULL };
    bvi_child_opts opts = {
        .argv = argv, .input = "in", .input_len = 2, .max_output = 10, .timeout_us = 20000000
    };
    bv_ctx *ctx = make_ctx();
    seen warm = { 0 };

    /* The context keeps what it allocates for its first watches. */
    bvt_assert_ok(bvi_child_run(ctx, &opts, on_done, &warm, NULL, NULL), NULL);
    wait_done(ctx, &warm);
    bvt_for_each_failed_allocation(n) {
        seen s = { 0 };
        int r = bvi_child_run(ctx, &opts, on_done, &s, NULL, NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        if (r == 0)
            wait_done(ctx, &s);
    }
    bv_ctx_free(ctx);
}
END_TEST

BVT_MAIN("io/child", bvt_loop(results, cases), bvt_test(output_is_bounded), bvt_test(input_is_fed),
         bvt_test(a_timeout_kills_the_group), bvt_test(cancelling_ends_it),
         bvt_test(open_pipes_do_not_hold_it), bvt_test(a_missing_program_is_known_at_once),
         bvt_test(survives_every_failed_allocation))
