/* The job manager with real runners: what happens to jobs, and what is on disk meanwhile. */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job_drive.h"

#define NEVER "\"never\""
#define ALWAYS                                                                                     \
    "{\"always\":{\"backoff_timeout_ms\":60000,\"backoff_base_ms\":10,\"max_retries\":null}}"
#define TWICE                                                                                      \
    "{\"on_failure\":{\"backoff_timeout_ms\":60000,\"backoff_base_ms\":1,\"max_retries\":2}}"

/* Prints its pid into the job's directory; exec keeps it. */
static const char *sleeper(const char *job)
{
    return bvt_format("echo $$ > %s; exec sleep 300", drive_path(job, "pid"));
}

static pid_t wait_pid(drive *d, const char *job)
{
    drive_wait_text(d, drive_path(job, "pid"), "\n");
    return drive_read_pid(drive_path(job, "pid"));
}

static void assert_finished(drive *d, const char *name, bool has_code, int code,
                            const char *message)
{
    bvi_job *job = drive_job(d, name);

    ck_assert_int_eq(job->state, BVI_JS_FINISHED);
    ck_assert_int_eq(job->status.has_exit_code, has_code);
    if (has_code)
        ck_assert_int_eq(job->status.exit_code, code);
    ck_assert_msg(strstr(job->status.message, message), "'%s' not in '%s'", message,
                  job->status.message);
}

START_TEST(a_job_runs_to_its_end)
{
    drive d;

    drive_init(&d);
    drive_create_sh(&d, "a", "echo hello; echo sad >&2; exit 0", NEVER, "");
    ck_assert_int_eq(drive_job(&d, "a")->state, BVI_JS_STOPPED);
    drive_start(&d, "a");
    ck_assert(drive_file_has(drive_path("a", "status.json"), "pending"));
    drive_wait_state(&d, "a", BVI_JS_FINISHED);
    assert_finished(&d, "a", true, 0, "");
    ck_assert(drive_file_has(drive_path("a", "logs"), "hello"));
    ck_assert(drive_file_has(drive_path("a", "logs"), "sad"));
    ck_assert_uint_gt(d.changes, 0);
    drive_done(&d);
}
END_TEST

static const struct {
    const char *body;
    const char *restart;
    bool has_code;
    int code;
    const char *says;
    uint32_t restarts;
} ends[] = {
    { "exit 3", NEVER, true, 3, "exited with code 3", 0 },
    { "exit 0", TWICE, true, 0, "", 0 },
    { "exit 4", TWICE, true, 4, "exited with code 4", 2 },
    { "kill -9 $$", NEVER, false, 0, "killed by SIGKILL", 0 },
    { "exit 0",
      "{\"always\":{\"backoff_timeout_ms\":60000,\"backoff_base_ms\":1,\"max_retries\":1}}", true,
      0, "exited with code 0", 1 },
};

START_TEST(policies_decide)
{
    drive d;
    bvi_json *info = NULL;
    bv_error *err = NULL;
    uint64_t restarts = 99;

    drive_init(&d);
    drive_create_sh(&d, "a", ends[_i].body, ends[_i].restart, "");
    drive_start(&d, "a");
    drive_wait_state(&d, "a", BVI_JS_FINISHED);
    assert_finished(&d, "a", ends[_i].has_code, ends[_i].code, ends[_i].says);
    bvt_assert_ok(bvi_job_manager_info(d.manager, "a", &info, &err), err);
    bvt_assert_ok(bvi_json_get_uint64(info, "restart_count", &restarts, &err), err);
    ck_assert_uint_eq(restarts, ends[_i].restarts);
    bvi_json_free(info);
    drive_done(&d);
}
END_TEST

START_TEST(stop_reaches_everything)
{
    drive d;
    pid_t main_pid, far_pid;

    drive_init(&d);
    drive_create_sh(&d, "a",
                    bvt_format("echo $$ > %s; setsid sh -c 'echo $$ > %s; trap \"\" TERM; while :; "
                               "do sleep 300; done' & "
                               "sleep 301",
                               drive_path("a", "pid"), drive_path("a", "far")),
                    ALWAYS, ",\"shutdown_timeout_secs\":1");
    drive_start(&d, "a");
    main_pid = wait_pid(&d, "a");
    drive_wait_text(&d, drive_path("a", "far"), "\n");
    far_pid = drive_read_pid(drive_path("a", "far"));
    drive_stop(&d, "a");
    ck_assert(!drive_is_alive(main_pid));
    ck_assert(!drive_is_alive(far_pid));
    ck_assert_int_eq(drive_job(&d, "a")->state, BVI_JS_STOPPED);
    ck_assert(drive_file_has(drive_path("a", "status.json"), "stopped"));
    ck_assert(drive_file_has(drive_path("a", "events"), "did not end within"));
    drive_done(&d);
}
END_TEST

START_TEST(stops_go_on_side_by_side)
{
    drive d;
    drive_call call = { 0 };
    bv_error *err = NULL;
    int64_t began;

    drive_init(&d);
    for (int i = 0; i < 4; i++) {
        const char *name = bvt_format("j%d", i);

        drive_create_sh(&d, name,
                        bvt_format("trap '' TERM; echo $$ > %s; while :; do sleep 1; done",
                                   drive_path(name, "pid")),
                        ALWAYS, ",\"shutdown_timeout_secs\":1");
        drive_start(&d, name);
    }
    for (int i = 0; i < 4; i++)
        (void)wait_pid(&d, bvt_format("j%d", i));
    ck_assert_int_eq(bvi_job_manager_active_timeout_ms(d.manager), 1000);
    ck_assert_int_eq(bvi_job_manager_timeout_ms(d.manager, "none"), 0);
    began = drive_now_us();
    bvt_assert_ok(bvi_job_manager_stop_all(d.manager, drive_on_done, &call, &err), err);
    drive_wait_call(&d, &call);
    ck_assert_int_lt(drive_now_us() - began, 3900000);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(drive_job(&d, bvt_format("j%d", i))->state, BVI_JS_STOPPED);
    drive_done(&d);
}
END_TEST

START_TEST(needs_and_wait_for)
{
    drive d;

    drive_init(&d);
    drive_create_sh(&d, "ok", "exit 0", NEVER, "");
    drive_create_sh(&d, "bad", "exit 2", NEVER, "");
    drive_create_sh(&d, "idle", "exit 0", NEVER, "");
    drive_create_sh(&d, "a", "exit 0", NEVER, ",\"needs\":[\"ok\"],\"wait_for\":[\"bad\"]");
    drive_create_sh(&d, "b", "exit 0", NEVER, ",\"needs\":[\"ok\",\"bad\"]");
    drive_create_sh(&d, "c", "exit 0", NEVER, ",\"needs\":[\"b\"]");
    drive_create_sh(&d, "e", "exit 0", NEVER, ",\"needs\":[\"idle\"]");
    drive_create_sh(&d, "f", "exit 0", NEVER, ",\"needs\":[\"nobody\"]");
    drive_create_sh(&d, "g", "exit 0", NEVER, ",\"wait_for\":[\"nobody\"]");
    for (size_t i = 0; i < 5; i++)
        drive_start(&d, (const char *[]){ "a", "b", "c", "e", "f" }[i]);
    drive_start(&d, "g");
    ck_assert_int_eq(drive_job(&d, "a")->state, BVI_JS_PENDING);
    drive_start(&d, "ok");
    drive_start(&d, "bad");
    drive_wait_state(&d, "a", BVI_JS_FINISHED);
    drive_wait_state(&d, "c", BVI_JS_FINISHED);
    assert_finished(&d, "a", true, 0, "");
    assert_finished(&d, "b", false, 0,
                    "job 'b' needs 'bad', but it failed with Some(2) - job 'bad' exited");
    assert_finished(&d, "c", false, 0,
                    "job 'c' needs 'b', but it failed with None - job 'b' needs");
    drive_wait_state(&d, "e", BVI_JS_FINISHED);
    drive_wait_state(&d, "g", BVI_JS_FINISHED);
    assert_finished(&d, "e", false, 0, "job 'e' needs 'idle', but it was stopped");
    assert_finished(&d, "f", false, 0, "job 'f' needs 'nobody', but it is not defined");
    assert_finished(&d, "g", false, 0, "job 'g' waits for 'nobody', but it is not defined");
    drive_done(&d);
}
END_TEST

/* Weakness 34: nothing else is active, the dependant must start all the same. */
START_TEST(skipping_starts_dependants)
{
    drive d;
    drive_call call = { 0 };
    bv_error *err = NULL;

    drive_init(&d);
    drive_create_sh(&d, "first", sleeper("first"), ALWAYS, "");
    drive_create_sh(&d, "held", "exit 0", NEVER, ",\"needs\":[\"first\"]");
    drive_create_sh(&d, "next", "exit 0", NEVER, ",\"needs\":[\"held\"]");
    drive_start(&d, "first");
    drive_start(&d, "held");
    drive_start(&d, "next");
    (void)wait_pid(&d, "first");
    bvt_assert_ok(bvi_job_manager_skip(d.manager, "held", drive_on_done, &call, &err), err);
    drive_wait_call(&d, &call);
    drive_wait_state(&d, "next", BVI_JS_FINISHED);
    assert_finished(&d, "held", true, 0, "Skipped");
    call = (drive_call){ 0 };
    bvt_assert_ok(bvi_job_manager_skip(d.manager, "first", drive_on_done, &call, &err), err);
    drive_wait_call(&d, &call);
    assert_finished(&d, "first", true, 0, "Skipped");
    drive_done(&d);
}
END_TEST

START_TEST(circles_are_refused)
{
    static const char config[] =
        "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":\"never\",\"needs\":[\"c\"]}";
    drive d;
    bvi_json *root = NULL;
    bv_error *err = NULL;

    drive_init(&d);
    drive_create_sh(&d, "b", "x", NEVER, ",\"needs\":[\"a\"]");
    drive_create_sh(&d, "c", "x", NEVER, ",\"wait_for\":[\"b\"]");
    bvt_assert_ok(bvi_json_parse(config, strlen(config), &root, &err), err);
    ck_assert_int_eq(bvi_job_manager_create(d.manager, "a", root, drive_on_done, NULL, &err),
                     BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "job 'a' waits for itself through 'b'");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(bvi_job_manager_create(d.manager, "c", root, drive_on_done, NULL, &err),
                     BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "job 'c' waits for itself");
    bv_error_free(err);
    bvi_json_free(root);
    drive_done(&d);
}
END_TEST

START_TEST(the_limit_counts_names)
{
    drive d;
    bvi_json *root = NULL;
    bv_error *err = NULL;
    drive_call call = { 0 };
    static const char config[] = "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":\"never\"}";

    drive_init(&d);
    bvi_job_manager_free(d.manager);
    drive_load(&d, 3, false);
    for (int i = 0; i < 3; i++)
        drive_create_sh(&d, bvt_format("j%d", i), "x", NEVER, "");
    bvt_assert_ok(bvi_json_parse(config, strlen(config), &root, &err), err);
    ck_assert_int_eq(bvi_job_manager_create(d.manager, "j3", root, drive_on_done, NULL, &err),
                     BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "Exceeded max number of supported jobs: 3");
    bv_error_free(err);
    err = NULL;
    drive_create_sh(&d, "j2", "x", NEVER, ""); /* replacing is no new one */
    bvt_assert_ok(bvi_job_manager_delete(d.manager, "j2", drive_on_done, &call, &err), err);
    drive_wait_call(&d, &call);
    ck_assert(!bvt_exists(bvt_path("jobs/j2")));
    drive_create_sh(&d, "j3", "x", NEVER, "");
    bvi_json_free(root);
    drive_done(&d);
}
END_TEST

static const struct {
    const char *name;
    const char *config;
    int code;
    const char *says;
} bad_creates[] = {
    { "", "{}", BV_E_INVALID, "empty job name" },
    { "../x", "{}", BV_E_INVALID, "invalid job name" },
    { "a", "{}", BV_E_FORMAT, "job_type" },
    { "a", "{\"job_type\":{\"run_sh\":\"x\"}}", BV_E_FORMAT, "restart" },
    { "a", "{\"job_type\":{\"download\":{}},\"restart\":\"never\"}", BV_E_UNSUPPORTED,
      "archive jobs" },
};

START_TEST(bad_jobs_are_refused)
{
    drive d;
    bvi_json *root = NULL;
    bv_error *err = NULL;

    drive_init(&d);
    bvi_job_manager_free(d.manager);
    drive_load(&d, 0, false);
    bvt_assert_ok(
        bvi_json_parse(bad_creates[_i].config, strlen(bad_creates[_i].config), &root, &err), err);
    ck_assert_int_eq(
        bvi_job_manager_create(d.manager, bad_creates[_i].name, root, drive_on_done, NULL, &err),
        bad_creates[_i].code);
    bvt_assert_error_says(err, bad_creates[_i].code, bad_creates[_i].says);
    bv_error_free(err);
    bvi_json_free(root);
    drive_done(&d);
}
END_TEST

START_TEST(unknown_jobs_are_not_found)
{
    drive d;
    bvi_json *info = NULL;

    drive_init(&d);
    ck_assert_int_eq(bvi_job_manager_start(d.manager, "x", NULL), BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_job_manager_stop(d.manager, "x", drive_on_done, NULL, NULL),
                     BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_job_manager_skip(d.manager, "x", drive_on_done, NULL, NULL),
                     BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_job_manager_delete(d.manager, "x", drive_on_done, NULL, NULL),
                     BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_job_manager_cleanup(d.manager, "x", NULL), BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_job_manager_info(d.manager, "x", &info, NULL), BV_E_NOT_FOUND);
    drive_done(&d);
}
END_TEST

START_TEST(a_replaced_job_is_stopped_first)
{
    drive d;
    pid_t pid;

    drive_init(&d);
    drive_create_sh(&d, "a", sleeper("a"), ALWAYS, "");
    drive_start(&d, "a");
    pid = wait_pid(&d, "a");
    drive_create_sh(&d, "a", "exit 7", NEVER, "");
    ck_assert(!drive_is_alive(pid));
    ck_assert_int_eq(drive_job(&d, "a")->state, BVI_JS_STOPPED);
    drive_start(&d, "a");
    drive_wait_state(&d, "a", BVI_JS_FINISHED);
    assert_finished(&d, "a", true, 7, "");
    drive_done(&d);
}
END_TEST

START_TEST(a_new_manager_finds_the_runner)
{
    drive d;
    pid_t pid, runner;

    drive_init(&d);
    drive_create_sh(&d, "a", sleeper("a"), ALWAYS, "");
    drive_start(&d, "a");
    pid = wait_pid(&d, "a");
    runner = drive_job(&d, "a")->runner.pid;
    drive_done(&d);

    drive_init(&d);
    ck_assert_int_eq(drive_job(&d, "a")->state, BVI_JS_ACTIVE);
    ck_assert_int_eq(drive_job(&d, "a")->runner.pid, runner);
    ck_assert(drive_is_alive(pid));
    drive_stop(&d, "a");
    ck_assert(!drive_is_alive(pid));
    drive_done(&d);

    drive_init(&d);
    ck_assert_int_eq(drive_job(&d, "a")->state, BVI_JS_STOPPED);
    drive_done(&d);
}
END_TEST

START_TEST(a_job_that_finished_alone_is_finished)
{
    drive d;

    drive_init(&d);
    drive_create_sh(&d, "a",
                    bvt_format("while [ ! -e %s ]; do sleep 0.05; done; exit 5", bvt_path("go")),
                    NEVER, "");
    drive_start(&d, "a");
    drive_wait_state(&d, "a", BVI_JS_ACTIVE);
    drive_done(&d);
    bvt_write_file("go", "");
    runner_wait_text(drive_path("a", "status.json"), "finished");
    drive_init(&d);
    drive_wait_state(&d, "a", BVI_JS_FINISHED);
    assert_finished(&d, "a", true, 5, "");
    drive_done(&d);
}
END_TEST

static const struct {
    const char *restart;
    bvi_jstate then;
} crashes[] = {
    { NEVER, BVI_JS_FINISHED },
    { ALWAYS, BVI_JS_ACTIVE },
};

START_TEST(a_killed_runner_leaves_no_second_copy)
{
    drive d;
    pid_t pid, runner;

    drive_init(&d);
    drive_create_sh(&d, "a", bvt_format("echo $$ >> %s; exec sleep 300", drive_path("a", "pid")),
                    crashes[_i].restart, "");
    drive_start(&d, "a");
    pid = wait_pid(&d, "a");
    runner = drive_job(&d, "a")->runner.pid;
    ck_assert_int_eq(kill(runner, SIGKILL), 0);
    drive_see_gone(&d, pid); /* ended by the cleaner, or by the next runner */
    if (crashes[_i].then == BVI_JS_FINISHED) {
        drive_wait_state(&d, "a", BVI_JS_FINISHED);
        assert_finished(&d, "a", false, 0, "ended unexpectedly: killed by SIGKILL");
        ck_assert(drive_file_has(drive_path("a", "status.json"), "unexpectedly"));
    } else {
        drive_wait_text(&d, drive_path("a", "pid"), "\n");
        drive_wait_state(&d, "a", BVI_JS_ACTIVE);
        ck_assert_int_ne(drive_job(&d, "a")->runner.pid, runner);
    }
    ck_assert(!drive_is_alive(pid));
    ck_assert_uint_ge(d.troubles, 1);
    drive_end(&d);
}
END_TEST

START_TEST(a_missing_runner_program_is_a_result)
{
    drive d;

    drive_init(&d);
    bvi_free(d.manager->runner_path);
    d.manager->runner_path = bvi_strdup("/nonexistent/runner");
    drive_create_sh(&d, "a", "exit 0", ALWAYS, "");
    drive_start(&d, "a");
    drive_wait_state(&d, "a", BVI_JS_FINISHED);
    assert_finished(&d, "a", false, 0,
                    "failed to start job 'a': cannot start '/nonexistent/runner'");
    drive_done(&d);
}
END_TEST

static const bool forces[] = { false, true };

START_TEST(a_shutdown_is_not_a_stop)
{
    drive d;
    drive_call call = { 0 };
    bv_error *err = NULL;
    pid_t pid;

    drive_init(&d);
    drive_create_sh(&d, "run", sleeper("run"), NEVER, "");
    drive_create_sh(&d, "done", "exit 1", NEVER, "");
    drive_create_sh(&d, "off", "exit 0", NEVER, "");
    drive_create_sh(&d, "held", "exit 0", NEVER, ",\"needs\":[\"run\"]");
    drive_start(&d, "run");
    drive_start(&d, "done");
    drive_start(&d, "held");
    pid = wait_pid(&d, "run");
    drive_wait_state(&d, "done", BVI_JS_FINISHED);
    bvt_assert_ok(bvi_job_manager_shutdown(d.manager, forces[_i], drive_on_done, &call, &err), err);
    ck_assert_int_eq(bvi_job_manager_start(d.manager, "off", NULL), BV_E_STATE);
    drive_wait_call(&d, &call);
    ck_assert_int_eq(call.code, 0);
    ck_assert(!drive_is_alive(pid));
    ck_assert_int_eq(drive_job(&d, "run")->state, BVI_JS_RESUME);
    ck_assert(!bvt_exists(drive_path("run", "status.json")));
    (void)unlink(drive_path("run", "pid"));
    if (_i == 0) { /* the same manager, or another one */
        bvt_assert_ok(bvi_job_manager_load(d.manager, &err), err);
    } else {
        drive_done(&d);
        drive_init(&d);
    }
    (void)wait_pid(&d, "run");
    ck_assert_int_eq(drive_job(&d, "done")->state, BVI_JS_FINISHED);
    ck_assert_int_eq(drive_job(&d, "off")->state, BVI_JS_STOPPED);
    ck_assert_int_eq(drive_job(&d, "held")->state, BVI_JS_PENDING);
    drive_end(&d);
}
END_TEST

START_TEST(damaged_files_harm_nobody_else)
{
    drive d;

    drive_init(&d);
    drive_create_sh(&d, "a", "exit 0", NEVER, "");
    drive_create_sh(&d, "b", "exit 0", NEVER, "");
    drive_create_sh(&d, "c", "exit 0", NEVER, "");
    drive_done(&d);
    bvt_write_file("jobs/a/config.json", "{\"job_type\":");
    bvt_write_file("jobs/b/status.json", "no json");
    bvt_write_file("jobs/b/intent", "run\n");
    bvt_write_file("jobs/c/intent", "nonsense");
    (void)mkdir(bvt_path("jobs/.deleted-x"), 0755);
    (void)mkdir(bvt_path("jobs/empty"), 0755);
    bvt_write_file("jobs/file", "");
    drive_init(&d);
    ck_assert_ptr_null(drive_job(&d, "a"));
    ck_assert(!bvt_exists(drive_path("a", "config.json")));
    ck_assert(strstr(d.last_trouble, "set aside") != NULL);
    drive_wait_state(&d, "b", BVI_JS_FINISHED); /* no status: must run */
    ck_assert_int_eq(drive_job(&d, "c")->state, BVI_JS_STOPPED);
    ck_assert(!bvt_exists(bvt_path("jobs/.deleted-x")));
    drive_done(&d);
}
END_TEST

START_TEST(an_upstream_directory_is_understood)
{
    static const char config[] =
        "{\"job_type\":{\"run_sh\":\"exit 0\"},\"restart\":\"never\",\"later\":[1]}";
    drive d;
    static const char *const statuses[] = { "\"stopped\"",
                                            "{\"finished\":{\"exit_code\":4,\"message\":\"m\"}}",
                                            "{\"pending\":{\"waiting_for\":[]}}" };

    (void)mkdir(bvt_path("jobs"), 0755);
    for (int i = 0; i < 3; i++) {
        (void)mkdir(bvt_path("jobs/j%d", i), 0755);
        bvt_write_file(bvt_format("jobs/j%d/config.json", i), config);
        bvt_write_file(bvt_format("jobs/j%d/status.json", i), statuses[i]);
    }
    drive_init(&d);
    ck_assert_int_eq(drive_job(&d, "j0")->state, BVI_JS_STOPPED);
    assert_finished(&d, "j1", true, 4, "m");
    drive_wait_state(&d, "j2", BVI_JS_FINISHED);
    assert_finished(&d, "j2", true, 0, "");
    ck_assert(drive_file_has(drive_path("j2", "config.json"), "later"));
    drive_done(&d);
}
END_TEST

START_TEST(info_says_it_all)
{
    drive d;
    bvi_json *info = NULL;
    bvi_json *all = NULL;
    char *text = NULL;
    bv_error *err = NULL;

    drive_init(&d);
    drive_create_sh(&d, "a", "exit 1", TWICE, ",\"use_protocol_data\":true");
    drive_start(&d, "a");
    drive_wait_state(&d, "a", BVI_JS_FINISHED);
    bvt_write_file("jobs/a/progress.json", "{\"total\":3,\"current\":1,\"message\":\"chunks\"}");
    bvt_assert_ok(bvi_job_manager_info(d.manager, "a", &info, &err), err);
    bvt_assert_ok(bvi_json_print(info, false, &text, &err), err);
    ck_assert_msg(strstr(text, "\"finished\":{\"exit_code\":1") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "\"secs_since_epoch\":") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "\"progress\":{\"total\":3,\"current\":1,\"message\":\"chunks\"}") !=
                      NULL,
                  "%s", text);
    ck_assert_msg(strstr(text, "| restarting in") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "\"upgrade_blocking\":true") != NULL, "%s", text);
    ck_assert(bvt_exists(bvt_path("data/.protocol_data.lock")));
    bvt_assert_ok(bvi_job_manager_list(d.manager, &all, &err), err);
    ck_assert_ptr_nonnull(bvi_json_find(all, "a"));
    bvi_json_free(info);
    bvi_json_free(all);
    bvi_free(text);
    drive_done(&d);
}
END_TEST

START_TEST(archive_jobs_run_the_given_program)
{
    drive d;

    drive_init(&d);
    drive_create(&d, "download", "{\"job_type\":{\"download\":{}},\"restart\":\"never\"}");
    drive_start(&d, "download");
    drive_wait_state(&d, "download", BVI_JS_FINISHED);
    ck_assert(drive_file_has(drive_path("download", "logs"), "moved"));
    drive_done(&d);
}
END_TEST

START_TEST(calls_are_answered_when_the_manager_goes)
{
    drive d;
    drive_call stop = { 0 };
    drive_call all = { 0 };
    bv_error *err = NULL;
    pid_t runner;

    drive_init(&d);
    drive_create_sh(&d, "a", sleeper("a"), ALWAYS, "");
    drive_start(&d, "a");
    (void)wait_pid(&d, "a");
    runner = drive_job(&d, "a")->runner.pid;
    bvt_assert_ok(bvi_job_manager_stop(d.manager, "a", drive_on_done, &stop, &err), err);
    bvt_assert_ok(bvi_job_manager_stop_all(d.manager, drive_on_done, &all, &err), err);
    drive_done(&d);
    ck_assert_int_eq(stop.code, BV_E_CANCELLED);
    ck_assert_int_eq(all.code, BV_E_CANCELLED);
    drive_wait_gone(runner);
    drive_init(&d); /* the wish was on disk */
    drive_wait_state(&d, "a", BVI_JS_STOPPED);
    drive_done(&d);
}
END_TEST

/* Every state has an answer to every event, and refusals are few and known. */
START_TEST(the_table_is_complete)
{
    for (int s = 0; s < BVI_JS_COUNT; s++) {
        for (int e = 0; e < BVI_JE_COUNT; e++) {
            int kind = bvi_job_table((bvi_jstate)s, (bvi_jevent)e);

            ck_assert_int_eq(kind == 2, s == BVI_JS_STOPPING && e == BVI_JE_START);
            if (e == BVI_JE_STOP)
                ck_assert_int_eq(kind, 1);
            if (e == BVI_JE_GONE)
                ck_assert_int_eq(kind, s == BVI_JS_ACTIVE || s == BVI_JS_STOPPING);
        }
        ck_assert_str_ne(bvi_jstate_name((bvi_jstate)s), "unknown");
    }
}
END_TEST

BVT_MAIN("job/manager", bvt_test(a_job_runs_to_its_end), bvt_loop(policies_decide, ends),
         bvt_test(stop_reaches_everything), bvt_test(stops_go_on_side_by_side),
         bvt_test(needs_and_wait_for), bvt_test(skipping_starts_dependants),
         bvt_test(circles_are_refused), bvt_test(the_limit_counts_names),
         bvt_loop(bad_jobs_are_refused, bad_creates), bvt_test(unknown_jobs_are_not_found),
         bvt_test(a_replaced_job_is_stopped_first), bvt_test(a_new_manager_finds_the_runner),
         bvt_test(a_job_that_finished_alone_is_finished),
         bvt_loop(a_killed_runner_leaves_no_second_copy, crashes),
         bvt_test(a_missing_runner_program_is_a_result), bvt_loop(a_shutdown_is_not_a_stop, forces),
         bvt_test(damaged_files_harm_nobody_else), bvt_test(an_upstream_directory_is_understood),
         bvt_test(info_says_it_all), bvt_test(archive_jobs_run_the_given_program),
         bvt_test(calls_are_answered_when_the_manager_goes), bvt_test(the_table_is_complete))
