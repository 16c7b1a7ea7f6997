/* Transfers that are killed at many points, or cancelled, and then started again. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define BIG (3u * 1024u * 1024u)
/* Points of the life of a transfer at which it is killed. */
#define ROUND_POINTS 20
#define TIME_POINTS  8

typedef int (*start_fn)(bv_ctx *ctx, outcome *o, bv_op **ret_op);

static int start_up(bv_ctx *ctx, outcome *o, bv_op **ret_op)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;

    opts.store = bvt_format("dir:%s", bvt_path("store"));
    opts.key = "chain-data";
    opts.source_dir = bvt_path("source");
    opts.number_of_chunks = 12;
    opts.data = o;
    return bv_upload_start(ctx, &opts, on_outcome, ret_op, NULL);
}

static int start_down(bv_ctx *ctx, outcome *o, bv_op **ret_op)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;

    opts.store = bvt_format("dir:%s", bvt_path("store"));
    opts.key = "chain-data";
    opts.dest_dir = bvt_path("dest");
    opts.format = BV_FORMAT_ARCHIVE; /* nothing is asked before it begins */
    opts.data = o;
    return bv_download_start(ctx, &opts, on_outcome, ret_op, NULL);
}

/* Runs to the end, or until it was dispatched `rounds` times; then the process dies on the spot. */
static unsigned run_rounds(start_fn start, unsigned workers, unsigned rounds, outcome *o)
{
    bv_ctx *ctx = make_ctx(workers);
    bv_op *op = NULL;
    unsigned done = 0;

    *o = (outcome){ 0 };
    ck_assert_int_eq(start(ctx, o, &op), 0);
    while (!o->done) {
        if (rounds && done == rounds)
            (void)raise(SIGKILL);
        ck_assert_int_gt(bv_ctx_dispatch(ctx, 30000), 0);
        done++;
    }
    bv_op_unref(op);
    bv_ctx_free(ctx);
    return done;
}

/* A child that is killed by itself after so many rounds (0: never) or by us after so long (0:
 * never). */
static void run_and_kill(start_fn start, unsigned workers, unsigned rounds, long after_us)
{
    int status = 0;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        outcome o;

        (void)run_rounds(start, workers, rounds, &o);
        _exit(0);
    }
    if (after_us) { /* the point of a kill is that it comes from outside at any time */
        const struct timespec wait = { .tv_nsec = after_us * 1000 };

        (void)nanosleep(&wait, NULL);
        (void)kill(pid, SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

static void finish(start_fn start, unsigned workers, outcome *o)
{
    (void)run_rounds(start, workers, 0, o);
    ck_assert_msg(o->code == 0, "%s", o->text);
    ck_assert_uint_eq(o->status.chunks_done, o->status.chunks_total);
    ck_assert_uint_eq(o->status.bytes_done, o->status.bytes_total);
}

static void check_store_and_fetch(uint64_t version)
{
    bv_verify_opts verify = BV_VERIFY_OPTS_INIT;
    outcome o = { 0 };

    verify.store = bvt_format("dir:%s", bvt_path("store"));
    verify.key = "chain-data";
    verify.data_version = version;
    verify.local_dir = bvt_path("source");
    ck_assert_msg(run_verify(0, &verify, &o) == 0, "%s", o.text);
}

static unsigned count_rounds(start_fn start)
{
    int pipes[2];
    unsigned rounds = 0;
    pid_t pid;

    ck_assert_int_eq(pipe(pipes), 0);
    pid = fork();
    if (pid == 0) { /* in a child, so that the parent has no threads or memory of it */
        outcome o;

        rounds = run_rounds(start, 0, 0, &o);
        (void)!write(pipes[1], &rounds, sizeof(rounds));
        _exit(0);
    }
    ck_assert_int_eq(read(pipes[0], &rounds, sizeof(rounds)), sizeof(rounds));
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    return rounds;
}

static void remove_tree(const char *path)
{
    ck_assert_int_eq(strncmp(path, bvt_dir(), strlen(bvt_dir())), 0);
    char *command = NULL;

    ck_assert_int_gt(asprintf(&command, "rm -rf -- '%s'", path), 0);
    ck_assert_int_eq(system(command), 0);
    free(command);
}

START_TEST(a_killed_download_goes_on)
{
    unsigned rounds, resumed = 0;
    outcome o = { 0 };

    make_mixed_tree(bvt_path("source"), BIG);
    finish(start_up, 0, &o);
    rounds = count_rounds(start_down);
    for (unsigned i = 1; i <= ROUND_POINTS; i++) {
        remove_tree(bvt_path("dest"));
        run_and_kill(start_down, 0, 1 + i * (rounds - 1) / (ROUND_POINTS + 1), 0);
        finish(start_down, i % 2 ? 0 : 2, &o);
        resumed += o.status.resumed_chunks;
        assert_same_tree(bvt_path("source"), bvt_path("dest"));
        ck_assert(!bvt_exists(bvt_path("dest.transfer/download.journal")));
    }
    ck_assert_uint_gt(resumed, 0); /* some of it was not fetched again */
}
END_TEST

START_TEST(a_killed_upload_goes_on)
{
    unsigned rounds, resumed = 0;
    uint64_t version = 1;
    outcome o = { 0 };

    make_mixed_tree(bvt_path("source"), BIG);
    rounds = count_rounds(start_up);
    for (unsigned i = 1; i <= ROUND_POINTS; i++) {
        run_and_kill(start_up, 0, 1 + i * (rounds - 1) / (ROUND_POINTS + 1), 0);
        finish(start_up, i % 2 ? 0 : 2, &o);
        resumed += o.status.resumed_chunks;
        version++;
        ck_assert_uint_eq(o.status.data_version, version); /* its own reservation, found again */
        check_store_and_fetch(version);
    }
    ck_assert_uint_gt(resumed, 0);
}
END_TEST

START_TEST(kills_from_outside_do_no_harm)
{
    outcome o = { 0 };

    make_mixed_tree(bvt_path("source"), BIG);
    for (unsigned i = 1; i <= TIME_POINTS; i++) {
        run_and_kill(start_up, 2, 0, 4000l * i);
        run_and_kill(start_up, 2, 0, 3000l * i);
        finish(start_up, 2, &o);
        check_store_and_fetch(o.status.data_version);
        remove_tree(bvt_path("dest"));
        run_and_kill(start_down, 2, 0, 3000l * i);
        run_and_kill(start_down, 2, 0, 2000l * i);
        finish(start_down, 2, &o);
        assert_same_tree(bvt_path("source"), bvt_path("dest"));
    }
}
END_TEST

START_TEST(a_changed_source_starts_over_in_the_same_version)
{
    outcome o = { 0 };
    unsigned rounds;

    make_mixed_tree(bvt_path("source"), BIG);
    rounds = count_rounds(start_up);
    run_and_kill(start_up, 0, rounds * 2 / 3, 0);
    make_file(bvt_path("source"), "one", 2, 77);
    finish(start_up, 0, &o);
    ck_assert_uint_eq(o.status.resumed_chunks, 0);
    ck_assert_uint_eq(o.status.data_version, 2);
    check_store_and_fetch(2);
}
END_TEST

START_TEST(a_torn_or_damaged_journal_is_no_obstacle)
{
    const char *path = bvt_path("dest.transfer/download.journal");
    outcome o = { 0 };
    unsigned rounds;
    struct stat st;

    make_mixed_tree(bvt_path("source"), BIG);
    finish(start_up, 0, &o);
    rounds = count_rounds(start_down);
    for (long cut = 1; cut < 200; cut += 37) {
        FILE *file;

        remove_tree(bvt_path("dest"));
        run_and_kill(start_down, 0, rounds - 3, 0);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_gt(st.st_size, cut);
        ck_assert_int_eq(truncate(path, st.st_size - cut), 0);
        file = fopen(path, "a");
        (void)fputs("0123456789abcdef {\"done\":3}\nrubbish", file);
        (void)fclose(file);
        finish(start_down, 0, &o);
        assert_same_tree(bvt_path("source"), bvt_path("dest"));
    }
}
END_TEST

START_TEST(lost_files_are_fetched_again)
{
    outcome o = { 0 };
    unsigned rounds;

    make_mixed_tree(bvt_path("source"), BIG);
    finish(start_up, 0, &o);
    rounds = count_rounds(start_down);
    remove_tree(bvt_path("dest"));
    run_and_kill(start_down, 0, rounds - 3, 0);
    (void)unlink(bvt_path("dest/chain/big.mdb"));
    finish(start_down, 0, &o);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}
END_TEST

/* Cancels in the middle: after so many rounds. */
static void cancel_after(bv_ctx *ctx, bv_op *op, unsigned rounds, outcome *o)
{
    bool early;

    for (unsigned i = 0; i < rounds && !o->done; i++)
        ck_assert_int_gt(bv_ctx_dispatch(ctx, 30000), 0);
    early = o->done;
    bv_op_cancel(op);
    wait_outcome(ctx, o);
    bv_op_unref(op);
    if (early || o->code == 0)
        return; /* it was faster */
    ck_assert_int_eq(o->code, BV_E_CANCELLED);
    ck_assert_ptr_nonnull(strstr(o->text, "interrupted"));
}

START_TEST(cancelling_keeps_what_there_is)
{
    unsigned workers = _i == 0 ? 0 : 2;
    bv_ctx *ctx = make_ctx(workers);
    bv_op *op = NULL;
    outcome o = { 0 };

    make_mixed_tree(bvt_path("source"), 4 * BIG);
    for (unsigned rounds = 0; rounds < 12; rounds += 3) {
        o = (outcome){ 0 };
        ck_assert_int_eq(start_up(ctx, &o, &op), 0);
        cancel_after(ctx, op, rounds, &o);
    }
    finish(start_up, workers, &o);
    for (unsigned rounds = 0; rounds < 12; rounds += 3) {
        o = (outcome){ 0 };
        ck_assert_int_eq(start_down(ctx, &o, &op), 0);
        cancel_after(ctx, op, rounds, &o);
        ck_assert(o.code == 0 || bvt_exists(bvt_path("dest.transfer/download.journal")));
    }
    finish(start_down, workers, &o);
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
    /* A context may go away under a running transfer. */
    o = (outcome){ 0 };
    ck_assert_int_eq(start_down(ctx, &o, &op), 0);
    (void)bv_ctx_dispatch(ctx, 0);
    bv_op_unref(op);
    bv_ctx_free(ctx);
    ck_assert(o.done);
    ck_assert_int_eq(o.code, BV_E_CANCELLED);
}
END_TEST

/* How an upload is set that goes on with what another one left. */
static const struct {
    int32_t stored;
    int32_t level;
    uint32_t chunks;
    bool same; /* as the one before: its chunks count */
} settings[] = {
    { 0, 0, 12, true },
    { 1, 0, 12, false },
    { 0, 7, 12, false },
    { 0, 0, 5, false },
};

START_TEST(changed_settings_are_never_mixed)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;
    bv_download_opts down = BV_DOWNLOAD_OPTS_INIT;
    bv_ctx *ctx = make_ctx(0);
    bv_op *op = NULL;
    outcome o = { 0 };

    make_mixed_tree(bvt_path("source"), 4 * BIG);
    ck_assert_int_eq(start_up(ctx, &o, &op), 0);
    cancel_after(ctx, op, 12, &o);
    bv_ctx_free(ctx);
    opts.store = down.store = bvt_format("dir:%s", bvt_path("store"));
    opts.key = down.key = "chain-data";
    opts.source_dir = bvt_path("source");
    opts.stored = settings[_i].stored;
    opts.zstd_level = settings[_i].level;
    opts.number_of_chunks = settings[_i].chunks;
    ck_assert_msg(run_upload(0, &opts, &o) == 0, "%s", o.text);
    if (settings[_i].same)
        ck_assert_uint_gt(o.status.resumed_chunks, 0);
    else
        ck_assert_uint_eq(o.status.resumed_chunks, 0);
    down.dest_dir = bvt_path("dest");
    ck_assert_msg(run_download(0, &down, &o) == 0, "%s", o.text);
    ck_assert_uint_eq(o.status.data_version, 1); /* the reservation went on */
    assert_same_tree(bvt_path("source"), bvt_path("dest"));
}
END_TEST

START_TEST(one_at_a_time)
{
    bv_ctx *ctx = make_ctx(0);
    bv_op *ops[2];
    outcome o[2] = { { 0 } };

    make_mixed_tree(bvt_path("source"), BIG);
    ck_assert_int_eq(start_up(ctx, &o[0], &ops[0]), 0);
    ck_assert_int_eq(start_up(ctx, &o[1], &ops[1]), 0);
    wait_outcome(ctx, &o[0]);
    wait_outcome(ctx, &o[1]);
    ck_assert_int_eq(o[0].code, 0);
    ck_assert_int_eq(o[1].code, BV_E_BUSY);
    bv_op_unref(ops[0]);
    bv_op_unref(ops[1]);
    bv_ctx_free(ctx);
}
END_TEST

BVT_MAIN("transfer/resume", bvt_test(a_killed_download_goes_on), bvt_test(a_killed_upload_goes_on),
         bvt_test(kills_from_outside_do_no_harm),
         bvt_test(a_changed_source_starts_over_in_the_same_version),
         bvt_test(a_torn_or_damaged_journal_is_no_obstacle), bvt_test(lost_files_are_fetched_again),
         bvt_times(cancelling_keeps_what_there_is, 2),
         bvt_loop(changed_settings_are_never_mixed, settings), bvt_test(one_at_a_time))
