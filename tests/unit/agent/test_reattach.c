/*
 * The agent as a process of its own, killed at every step of a job's life: no job is lost, none
 * runs twice, and the payload never notices.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "sys/proc.h"

typedef struct process_agent {
    fixture f;
    pid_t pid;
    int victim; /* the step at which it is killed */
    int step;
    int kills;
} process_agent;

static void spawn_agent(process_agent *p)
{
    const char *const argv[] = { AGENT_PATH, "--prefix",    bvt_path("n"),
                                 "--bundle", bvt_path("b"), NULL };
    bvi_spawn spawn = BVI_SPAWN_INIT;
    bv_error *err = NULL;

    spawn.argv = argv;
    bvt_assert_ok(bvi_proc_spawn(&spawn, &p->pid, NULL, &err), err);
}

static void kill_agent(process_agent *p)
{
    ck_assert_int_eq(kill(p->pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(p->pid, NULL, 0), p->pid);
    p->kills++;
}

/* One more step begins, or its request is on its way: die here when this is the one. */
static void point(process_agent *p)
{
    if (p->step++ != p->victim)
        return;
    kill_agent(p);
    spawn_agent(p);
}

/* A request with two points: just sent, and answered. */
#define step(p, fn, ...)                                                                           \
    do {                                                                                           \
        answer a_ = { 0 };                                                                         \
        bvi_agent_wait wait_ = { .timeout_ms = 20000, .done = keep_answer, .data = &a_ };          \
        bv_error *err_ = NULL;                                                                     \
                                                                                                   \
        bvt_assert_ok(fn((p)->f.client, ##__VA_ARGS__, &wait_, NULL, &err_), err_);                \
        (void)bv_ctx_dispatch((p)->f.ctx, 0);                                                      \
        point(p);                                                                                  \
        dispatch_until((p)->f.ctx, &a_.done);                                                      \
        assert_answer_ok(&a_);                                                                     \
        answer_done(&a_);                                                                          \
        point(p);                                                                                  \
    } while (0)

static int count_starts(pid_t *ret_last)
{
    char *at = bvt_exists(bvt_path("starts")) ? bvt_read_file(bvt_path("starts"), NULL) : NULL;
    int n = 0;

    for (char *end; at && *at; at = end + 1, n++) {
        *ret_last = (pid_t)strtol(at, &end, 10);
        ck_assert_int_eq(*end, '\n');
    }
    return n;
}

/* Waits for the n-th start of the payload and returns its pid. */
static pid_t wait_for_start(process_agent *p, int n)
{
    pid_t pid = 0;

    for (int i = 0; i < 1000 && count_starts(&pid) < n; i++)
        ck_assert_int_ge(bv_ctx_dispatch(p->f.ctx, 10), 0);
    ck_assert_int_eq(count_starts(&pid), n);
    return pid;
}

static bool is_alive(pid_t pid)
{
    bvi_proc_id id;

    return bvi_proc_identify(pid, &id, NULL) == 0;
}

static void must_be_running(process_agent *p, const char *job)
{
    answer a;

    for (int i = 0; i < 500; i++) {
        const char *status;
        bool running;

        ask(&p->f, bvi_agent_job_info, &a, job);
        assert_answer_ok(&a);
        status = bvi_json_string(bvi_json_find(a.json, "status"));
        running = status && strcmp(status, "running") == 0;
        answer_done(&a);
        if (running)
            return;
        ck_assert_int_ge(bv_ctx_dispatch(p->f.ctx, 20), 0);
    }
    ck_abort_msg("job '%s' is not running", job);
}

static void open_process(process_agent *p, int victim)
{
    bv_ctx_opts ctx = BV_CTX_OPTS_INIT;
    bvi_agent_client_opts client = { .socket_path = bvt_path("n/run/blockvisor/babel.socket") };
    bv_error *err = NULL;

    *p = (process_agent){ .victim = victim };
    make_node();
    spawn_agent(p);
    bvt_assert_ok(bv_ctx_new(&ctx, &p->f.ctx, &err), err);
    bvt_assert_ok(bvi_agent_client_new(p->f.ctx, &client, &p->f.client, &err), err);
}

static void close_process(process_agent *p)
{
    answer a;

    ask(&p->f, bvi_agent_shutdown, &a, true);
    assert_answer_ok(&a);
    answer_done(&a);
    kill_agent(p);
    fixture_close(&p->f);
}

/* 18 points, and one round without a death. */
static const int victims[19];

START_TEST(dies_anywhere)
{
    bvi_json *conf = parse(CONF);
    bvi_json *job = parse(bvt_format(
        "{\"job_type\":{\"run_sh\":\"echo $$ >>%s; exec sleep 1000\"},\"restart\":{\"always\":"
        "{\"backoff_timeout_ms\":1000,\"backoff_base_ms\":10,\"max_retries\":null}},"
        "\"shutdown_timeout_secs\":5}",
        bvt_path("starts")));
    process_agent p;
    pid_t first, second, now = 0;

    open_process(&p, _i);
    point(&p);
    step(&p, bvi_agent_setup, conf);
    step(&p, bvi_agent_create_job, "svc", job);
    step(&p, bvi_agent_start_job, "svc");
    first = wait_for_start(&p, 1);
    point(&p);
    must_be_running(&p, "svc");
    step(&p, bvi_agent_start_job, "svc"); /* it runs: nothing happens */
    point(&p);
    must_be_running(&p, "svc");
    ck_assert_int_eq(count_starts(&now), 1);
    ck_assert_int_eq(now, first);
    ck_assert(is_alive(first));

    step(&p, bvi_agent_stop_job, "svc");
    ck_assert(!is_alive(first));
    step(&p, bvi_agent_start_job, "svc");
    second = wait_for_start(&p, 2);
    point(&p);
    must_be_running(&p, "svc");
    ck_assert_int_eq(count_starts(&now), 2);
    ck_assert_int_eq(now, second);
    ck_assert(is_alive(second));
    step(&p, bvi_agent_stop_all_jobs);
    ck_assert(!is_alive(second));
    ck_assert_int_eq(p.step, 18);
    ck_assert_int_eq(p.kills, _i < 18);
    close_process(&p);
    bvi_json_free(conf);
    bvi_json_free(job);
}
END_TEST

START_TEST(dies_again_and_again)
{
    bvi_json *conf = parse(CONF);
    bvi_json *job = parse(bvt_format(
        "{\"job_type\":{\"run_sh\":\"echo $$ >>%s; exec sleep 1000\"},\"restart\":\"never\","
        "\"shutdown_timeout_secs\":5}",
        bvt_path("starts")));
    process_agent p;
    pid_t first, now = 0;

    open_process(&p, -1);
    step(&p, bvi_agent_setup, conf);
    step(&p, bvi_agent_create_job, "svc", job);
    step(&p, bvi_agent_start_job, "svc");
    first = wait_for_start(&p, 1);
    for (int i = 0; i < 10; i++) {
        kill_agent(&p);
        spawn_agent(&p);
        usleep((unsigned)i * 700); /* a different moment of its start each time */
    }
    must_be_running(&p, "svc");
    ck_assert_int_eq(count_starts(&now), 1);
    ck_assert(is_alive(first));
    close_process(&p);
    bvi_json_free(conf);
    bvi_json_free(job);
}
END_TEST

START_TEST(an_unrepeatable_call_says_that_it_does_not_know)
{
    answer a = { 0 };
    bvi_agent_wait wait = { .timeout_ms = 20000, .done = keep_answer, .data = &a };
    process_agent p;

    open_process(&p, -1);
    ck_assert_int_eq(bvi_agent_run_sh(p.f.client,
                                      bvt_format("echo x >>%s; sleep 5", bvt_path("ran")), &wait,
                                      NULL, NULL),
                     0);
    dispatch_until_file(p.f.ctx, bvt_path("ran"));
    kill_agent(&p);
    spawn_agent(&p);
    dispatch_until(p.f.ctx, &a.done);
    ck_assert_int_eq(a.code, BV_E_REMOTE);
    answer_done(&a);
    ck_assert_str_eq(bvt_read_file(bvt_path("ran"), NULL), "x\n"); /* not run again */
    close_process(&p);
}
END_TEST

START_TEST(a_file_is_whole_or_not_there)
{
    size_t len = 20u << 20;
    char *bytes = malloc(len);
    answer a = { 0 };
    bvi_agent_wait wait = { .timeout_ms = 40000, .done = keep_answer, .data = &a };
    process_agent p;
    size_t found = 0;

    memset(bytes, 'x', len);
    open_process(&p, -1);
    ck_assert_int_eq(bvi_agent_file_write(p.f.client, "/tmp/f", bytes, len, &wait, NULL, NULL), 0);
    for (int i = 0; i < 60 && !a.done; i++)
        ck_assert_int_ge(bv_ctx_dispatch(p.f.ctx, 100), 0);
    kill_agent(&p);
    ck_assert(a.done || !bvt_exists(bvt_path("n/tmp/f")));
    spawn_agent(&p);
    dispatch_until(p.f.ctx, &a.done);
    assert_answer_ok(&a);
    ck_assert_mem_eq(bvt_read_file(bvt_path("n/tmp/f"), &found), bytes, len);
    ck_assert_uint_eq(found, len);
    answer_done(&a);
    free(bytes);
    close_process(&p);
}
END_TEST

START_TEST(stops_when_told)
{
    process_agent p;
    int status = -1;

    open_process(&p, -1);
    dispatch_until_file(p.f.ctx, bvt_path("n/run/blockvisor/babel.socket"));
    ck_assert_int_eq(kill(p.pid, SIGTERM), 0);
    ck_assert_int_eq(waitpid(p.pid, &status, 0), p.pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert(!bvt_exists(bvt_path("n/run/blockvisor/babel.socket")));
    fixture_close(&p.f);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
    ck_assert_int_eq(WEXITSTATUS(system(AGENT_PATH " --nonsense 2>/dev/null")), 2);
    ck_assert_int_eq(WEXITSTATUS(system(AGENT_PATH " --prefix 2>/dev/null")), 2);
    ck_assert_int_eq(WEXITSTATUS(system(AGENT_PATH " --version >/dev/null")), 0);
}
END_TEST

BVT_MAIN("agent/reattach", bvt_loop(dies_anywhere, victims), bvt_test(dies_again_and_again),
         bvt_test(an_unrepeatable_call_says_that_it_does_not_know),
         bvt_test(a_file_is_whole_or_not_there), bvt_test(stops_when_told),
         bvt_test(wrong_arguments_are_refused))
