/* Requests about jobs, with the real runner. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine_server.h"
#include "fixture.h"

#define NEVER "\"restart\":\"never\",\"shutdown_timeout_secs\":5"

static void create(fixture *f, const char *name, const char *config)
{
    bvi_json *json = parse(config);
    answer a;

    ask(f, bvi_agent_create_job, &a, name, json);
    assert_answer_ok(&a);
    answer_done(&a);
    bvi_json_free(json);
}

static void simple(fixture *f,
                   int (*fn)(bvi_agent_client *, const char *, const bvi_agent_wait *,
                             bvi_agent_call **, bv_error **),
                   const char *name)
{
    answer a;

    ask(f, fn, &a, name);
    assert_answer_ok(&a);
    answer_done(&a);
}

/* "running", "stopped", "pending" or "finished". */
static const char *status_of(fixture *f, const char *name, int64_t *ret_exit_code)
{
    const bvi_json *status;
    const char *text;
    answer a;

    ask(f, bvi_agent_job_info, &a, name);
    assert_answer_ok(&a);
    status = bvi_json_find(a.json, "status");
    text = bvi_json_string(status);
    if (!text)
        text = bvi_json_key(bvi_json_first(status));
    if (ret_exit_code)
        (void)bvi_json_int64(bvi_json_find(bvi_json_first(status), "exit_code"), ret_exit_code);
    text = bvt_format("%s", text);
    answer_done(&a);
    return text;
}

static void wait_for_status(fixture *f, const char *name, const char *wanted)
{
    for (int i = 0; i < 1000 && strcmp(status_of(f, name, NULL), wanted) != 0; i++)
        ck_assert_int_ge(bv_ctx_dispatch(f->ctx, 20), 0);
    ck_assert_str_eq(status_of(f, name, NULL), wanted);
}

START_TEST(a_job_from_beginning_to_end)
{
    int64_t code = -1;
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    setup_node(&f);
    create(&f, "svc", "{\"job_type\":{\"run_sh\":\"sleep 1000\"}," NEVER "}");
    create(&f, "one",
           bvt_format("{\"job_type\":{\"run_sh\":\"echo $BV_JOB_RUN; exit 3\"}," NEVER "}"));
    ck_assert_str_eq(status_of(&f, "svc", NULL), "stopped");
    simple(&f, bvi_agent_start_job, "svc");
    simple(&f, bvi_agent_start_job, "one");
    wait_for_status(&f, "svc", "running");
    wait_for_status(&f, "one", "finished");
    (void)status_of(&f, "one", &code);
    ck_assert_int_eq(code, 3);

    ask(&f, bvi_agent_jobs, &a);
    assert_answer_ok(&a);
    ck_assert_uint_eq(bvi_json_count(a.json), 2);
    ck_assert_ptr_nonnull(bvi_json_find(bvi_json_find(a.json, "svc"), "restart_count"));
    answer_done(&a);

    ask(&f, bvi_agent_job_shutdown_timeout, &a, "svc");
    ck_assert_int_ge(a.result.timeout_ms, 5000);
    answer_done(&a);
    ask(&f, bvi_agent_shutdown_timeout, &a);
    ck_assert_int_ge(a.result.timeout_ms, 5000);
    answer_done(&a);
    ask(&f, bvi_agent_job_shutdown_timeout, &a, "nothing");
    ck_assert_int_eq(a.result.timeout_ms, 0);
    answer_done(&a);

    simple(&f, bvi_agent_stop_job, "svc");
    ck_assert_str_eq(status_of(&f, "svc", NULL), "stopped");
    simple(&f, bvi_agent_skip_job, "svc");
    (void)status_of(&f, "svc", &code);
    ck_assert_int_eq(code, 0);
    simple(&f, bvi_agent_delete_job, "svc");
    ask(&f, bvi_agent_job_info, &a, "svc");
    assert_answer_says(&a, BV_E_NOT_FOUND, "svc");
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

START_TEST(errors_have_codes)
{
    bvi_json *bad = parse("{\"job_type\":{\"run_sh\":\"x\"}}"),
             *good = parse("{\"job_type\":{\"run_sh\":\"x\"}," NEVER "}");
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    setup_node(&f);
    ask(&f, bvi_agent_create_job, &a, "j", bad);
    ck_assert(a.code == BV_E_FORMAT || a.code == BV_E_INVALID);
    answer_done(&a);
    ask(&f, bvi_agent_create_job, &a, "../j", good);
    assert_answer_says(&a, BV_E_INVALID, "../j");
    answer_done(&a);
    ask(&f, bvi_agent_start_job, &a, "none");
    assert_answer_says(&a, BV_E_NOT_FOUND, "none");
    answer_done(&a);
    ask(&f, bvi_agent_stop_job, &a, "none");
    assert_answer_says(&a, BV_E_NOT_FOUND, "none");
    answer_done(&a);
    ask(&f, bvi_agent_cleanup_job, &a, "none");
    assert_answer_says(&a, BV_E_NOT_FOUND, "none");
    answer_done(&a);
    ask(&f, bvi_agent_delete_job, &a, "none");
    assert_answer_says(&a, BV_E_NOT_FOUND, "none");
    answer_done(&a);
    bvi_json_free(bad);
    bvi_json_free(good);
    fixture_close(&f);
}
END_TEST

START_TEST(shutdown_and_startup)
{
    fixture f;
    answer a;

    make_node();
    fixture_open(&f, 0, NULL);
    setup_node(&f);
    create(&f, "a", "{\"job_type\":{\"run_sh\":\"sleep 1000\"}," NEVER "}");
    create(&f, "b", "{\"job_type\":{\"run_sh\":\"sleep 1000\"}," NEVER "}");
    create(&f, "c", "{\"job_type\":{\"run_sh\":\"sleep 1000\"}," NEVER "}");
    simple(&f, bvi_agent_start_job, "a");
    simple(&f, bvi_agent_start_job, "b");
    wait_for_status(&f, "a", "running");
    wait_for_status(&f, "b", "running");
    {
        bvi_agent_wait wait = { .done = keep_answer, .data = &a }; /* no timeout: it is asked for */

        a = (answer){ 0 };
        ck_assert_int_eq(bvi_agent_shutdown(f.client, _i == 1, &wait, NULL, NULL), 0);
        dispatch_until(f.ctx, &a.done);
        assert_answer_ok(&a);
        answer_done(&a);
    }
    ask(&f, bvi_agent_version, &a);
    ck_assert(!a.result.ready);
    answer_done(&a);
    setup_node(&f);
    wait_for_status(&f, "a", "running");
    wait_for_status(&f, "b", "running");
    ck_assert_str_eq(status_of(&f, "c", NULL), "stopped");
    {
        bvi_agent_wait wait = { .done = keep_answer, .data = &a };

        a = (answer){ 0 };
        ck_assert_int_eq(bvi_agent_stop_all_jobs(f.client, &wait, NULL, NULL), 0);
        dispatch_until(f.ctx, &a.done);
        assert_answer_ok(&a);
        answer_done(&a);
    }
    ck_assert_str_eq(status_of(&f, "a", NULL), "stopped");
    ck_assert_str_eq(status_of(&f, "b", NULL), "stopped");
    fixture_close(&f);
}
END_TEST

START_TEST(archive_jobs_get_their_program)
{
    fixture f;
    const char *script = bvt_path("b/bin/babel_transfer");
    const char *seen;

    make_node();
    ck_assert_int_eq(unlink(script), 0);
    bvt_write_file("b/bin/babel_transfer",
                   bvt_format("#!/bin/sh\nprintf '%%s\\n' \"$@\" >%s.new\nmv %s.new %s\n",
                              bvt_path("args"), bvt_path("args"), bvt_path("args")));
    ck_assert_int_eq(system(bvt_format("chmod 755 %s", script)), 0);
    fixture_open(&f, 0, NULL);
    setup_node(&f);
    create(
        &f, "up",
        "{\"job_type\":{\"upload\":{\"exclude\":[\"*.tmp\",\"a b\"],\"compression\":{\"ZSTD\":5},"
        "\"max_runners\":2,\"data_version\":7}}," NEVER "}");
    simple(&f, bvi_agent_start_job, "up");
    wait_for_status(&f, "up", "finished");
    seen = bvt_read_file(bvt_path("args"), NULL);
    ck_assert_str_eq(
        seen,
        bvt_format("upload\n--job-dir\n%s\n--engine-socket\n%s\n--data-dir\n%s\n--meta-dir\n%s\n"
                   "--data-lock\n%s\n--options\n%s\n",
                   bvt_path("n/var/lib/babel/jobs/up"), bvt_path("n/run/blockvisor/engine.socket"),
                   bvt_path("n/blockjoy/protocol_data"), bvt_path("n/blockjoy/.babel_jobs"),
                   bvt_path("n/blockjoy/.protocol_data.lock"),
                   "{\"max_runners\":2,\"data_version\":7,\"exclude\":[\"*.tmp\",\"a b\"],"
                   "\"compression\":{\"ZSTD\":5}}"));
    ck_assert_int_eq(unlink(bvt_path("args")), 0);
    simple(&f, bvi_agent_cleanup_job, "up");
    ck_assert_ptr_nonnull(strstr(bvt_read_file(bvt_path("args"), NULL), "cleanup\n--job-dir\n"));
    fixture_close(&f);
}
END_TEST

START_TEST(cleanup_reports_a_failure)
{
    fixture f;
    answer a;

    make_node();
    ck_assert_int_eq(unlink(bvt_path("b/bin/babel_transfer")), 0);
    bvt_write_file("b/bin/babel_transfer", "#!/bin/sh\necho no luck >&2\nexit 1\n");
    ck_assert_int_eq(system(bvt_format("chmod 755 %s", bvt_path("b/bin/babel_transfer"))), 0);
    fixture_open(&f, 0, NULL);
    setup_node(&f);
    create(&f, "down", "{\"job_type\":{\"download\":{}}," NEVER "}");
    ask(&f, bvi_agent_cleanup_job, &a, "down");
    assert_answer_says(&a, BV_E_REMOTE, "no luck");
    answer_done(&a);
    fixture_close(&f);
}
END_TEST

static const int two[2];

/* What the host hears of troubles in the node. */
static int no_source(void *data, const char *store_key, bvi_chunk_source **ret_source,
                     bv_error **err)
{
    return bvi_fail(err, BV_E_NOT_FOUND, "no archives here");
}

static void on_report(void *data, const char *text)
{
    (void)snprintf(data, 1000, "%s", text);
}

START_TEST(troubles_reach_the_host)
{
    char report[1000] = "";
    bvi_engine_host functions = { .data = report, .open_source = no_source, .bv_error = on_report };
    bvi_engine_server *server = NULL;
    fixture f;
    answer a;

    make_node();
    ck_assert_int_eq(system(bvt_format("mkdir -p %s %s", bvt_path("n/run/blockvisor"),
                                       bvt_path("n/var/lib/babel/jobs/broken"))),
                     0);
    bvt_write_file("n/var/lib/babel/jobs/broken/config.json", "{");
    fixture_open(&f, 0, NULL);
    ck_assert_int_eq(bvi_engine_server_new(f.ctx, bvt_path("n/run/blockvisor/engine.socket"),
                                           &functions, &server, NULL),
                     0);
    setup_node(&f);
    for (int i = 0; i < 100 && !*report; i++)
        ck_assert_int_ge(bv_ctx_dispatch(f.ctx, 20), 0);
    ck_assert_ptr_nonnull(strstr(report, "broken"));
    ask(&f, bvi_agent_jobs, &a); /* the others are not affected */
    assert_answer_ok(&a);
    answer_done(&a);
    bvi_engine_server_free(server);
    fixture_close(&f);
}
END_TEST

BVT_MAIN("agent/jobs", bvt_test(troubles_reach_the_host), bvt_test(a_job_from_beginning_to_end),
         bvt_test(errors_have_codes), bvt_loop(shutdown_and_startup, two),
         bvt_test(archive_jobs_get_their_program), bvt_test(cleanup_reports_a_failure))
