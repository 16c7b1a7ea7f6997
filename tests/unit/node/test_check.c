/* Checks of a node: what passes, what fails and why, and what becomes of one that is interrupted.
 */
#include "sys/fs.h"
#include "world.h"

static const bvi_json *row(const answer *a, const char *name)
{
    bvi_json_each(it, bvi_json_find(a->result, "checks")) {
        if (strcmp(bvi_json_string(bvi_json_find(it, "name")), name) == 0)
            return it;
    }
    return NULL;
}

static bool passed(const answer *a)
{
    return bvi_json_is_true(bvi_json_find(a->result, "passed"));
}

/* The first problem of a check; "" when it passed. */
static const char *problem(const answer *a, const char *name)
{
    const bvi_json *found = row(a, name);
    const char *text = bvi_json_string(bvi_json_first(bvi_json_find(found, "problems")));

    ck_assert_msg(found != NULL, "'%s' was not checked", name);
    ck_assert_int_eq(bvi_json_is_true(bvi_json_find(found, "passed")), !text);
    return text ? text : "";
}

static answer *check(world *w, const char *more)
{
    answer *a = world_call(w, "node.check", bvt_format("{'node':'n'%s}", more));

    assert_ok(a);
    return a;
}

#define JOB(status, restarts)                                                                      \
    "{\"status\":" status ",\"timestamp\":{\"secs_since_epoch\":1,\"nanos_since_epoch\":0},"       \
    "\"progress\":null,\"restart_count\":" restarts ",\"logs\":[],\"upgrade_blocking\":false}"
#define FINISHED(code) "{\"finished\":{\"exit_code\":" code ",\"message\":\"\"}}"

static const struct {
    const char *job;
    const char *check;
    const char *says; /* "": it passes */
} jobs[] = {
    { JOB("\"running\"", "0"), "jobs-status", "" },
    { JOB("\"stopped\"", "0"), "jobs-status", "" },
    { JOB(FINISHED("0"), "0"), "jobs-status", "" },
    { JOB(FINISHED("3"), "0"), "jobs-status", "job 'x': Finished with exit code 3" },
    { JOB(FINISHED("null"), "0"), "jobs-status", "job 'x': Finished" },
    { JOB("\"running\"", "0"), "jobs-restarts", "" },
    { JOB("\"running\"", "2"), "jobs-restarts", "job 'x' was restarted 2 times" },
};

START_TEST(looks_at_jobs)
{
    answer *a;
    world w;

    world_open(&w);
    world_start(&w);
    fake_agent_set_job(world_agent(&w), "x", jobs[_i].job);
    a = check(&w, bvt_format(",'checks':['%s']", jobs[_i].check));
    ck_assert_str_eq(problem(a, jobs[_i].check), jobs[_i].says);
    ck_assert_int_eq(passed(a), jobs[_i].says[0] == '\0');
    ck_assert_uint_eq(bvi_json_count(bvi_json_find(a->result, "checks")), 1);
    world_close(&w);
}
END_TEST

START_TEST(the_usual)
{
    answer *a;
    world w;

    world_open(&w);
    world_start(&w);
    a = check(&w, "");
    ck_assert_uint_eq(bvi_json_count(bvi_json_find(a->result, "checks")), 2);
    ck_assert_str_eq(problem(a, "plugin"), "");
    ck_assert_str_eq(problem(a, "jobs-status"), "");
    ck_assert(passed(a));
    a = check(&w, ",'checks':['protocol-status']");
    ck_assert_str_eq(problem(a, "protocol-status"), "");
    world_assert(world_call(&w, "node.check", "{'node':'n','checks':['colour']}"), BV_E_INVALID,
                 "no check 'colour'");
    world_assert(world_call(&w, "node.check", "{'node':'n','jobs_wait_ms':9999999999}"),
                 BV_E_INVALID, "at most 3600 s");
    world_close(&w);
}
END_TEST

START_TEST(finds_mistakes_in_scripts)
{
    answer *a;
    world w;

    world_open(&w);
    ck_assert_int_eq(bvi_fs_mkdir(bvt_path("dev"), 0755, NULL), 0);
    (void)bvt_write_file("dev/main.rhai",
                         "fn init() { start_jib(\"x\"); }\n"
                         "fn protocol_status() { #{ state: \"s\", health: \"unhealthy\" } }\n");
    assert_ok(world_call(
        &w, "node.create",
        bvt_format("{'image':'chain/main:1','name':'n','plugin_dir':'%s'}", bvt_path("dev"))));
    a = check(&w, ",'checks':['plugin']"); /* needs no running node */
    ck_assert(!passed(a));
    ck_assert_ptr_nonnull(strstr(problem(a, "plugin"), "main.rhai:1:13: error: "));
    (void)bvt_write_file("dev/main.rhai",
                         "fn init() {}\n"
                         "fn protocol_status() { #{ state: \"s\", health: \"unhealthy\" } }\n");
    assert_ok(world_do(&w, "node.start"));
    a = check(&w, ",'checks':['protocol-status']");
    ck_assert_str_eq(problem(a, "protocol-status"), "s (unhealthy)");
    world_close(&w);
}
END_TEST

START_TEST(a_stopped_node)
{
    answer *a;
    world w;

    world_open(&w);
    world_create(&w);
    a = check(&w, "");
    ck_assert(!passed(a));
    ck_assert_ptr_nonnull(strstr(problem(a, "jobs-status"), "not running"));
    ck_assert_str_eq(world_status(&w), "stopped");
    a = check(&w, ",'start':true,'checks':['jobs-status','protocol-status']");
    ck_assert(passed(a));
    ck_assert_str_eq(world_status(&w), "running");
    assert_ok(world_do(&w, "node.stop"));
    w.agents_mute = true;
    a = check(&w, ",'start':true,'start_timeout_ms':3000,'checks':['jobs-status']");
    ck_assert_str_eq(problem(a, "jobs-status"), "it did not start within 3 s");
    ck_assert_str_eq(world_status(&w), "busy"); /* the start goes on, unheard */
    world_close(&w);
}
END_TEST

START_TEST(a_start_that_fails)
{
    answer *a;
    world w;

    world_open(&w);
    assert_ok(world_call(&w, "node.create",
                         "{'image':'chain/main:1','name':'n','properties':{'mode':'throw'}}"));
    a = check(&w, ",'start':true,'checks':['jobs-status']");
    ck_assert_ptr_nonnull(strstr(problem(a, "jobs-status"), "no luck today"));
    world_close(&w);
}
END_TEST

/* Wherever it is: cancelled, its node deleted, the host closed. */
START_TEST(may_be_interrupted)
{
    static const char *const hangs[] = { "version", "jobs", NULL };
    const char *hang = hangs[_i % 3];
    answer *a;
    world w;

    world_open(&w);
    world_start(&w);
    if (hang && strcmp(hang, "version") == 0) {
        assert_ok(world_do(&w, "node.stop"));
        w.agents_mute = true;
    } else if (hang) {
        fake_agent_set(world_agent(&w), hang, FAKE_AGENT_HANGS, 0);
    }
    a = world_begin(&w, "node.check",
                    "{'node':'n','start':true,'jobs_wait_ms':100,'checks':['plugin',"
                    "'jobs-status','protocol-status']}");
    for (int i = 0; i < _i / 9 * 4; i++)
        world_turn(&w);
    if (_i / 3 % 3 == 0) {
        bv_op_cancel(a->op);
    } else if (_i / 3 % 3 == 1) {
        world_assert(world_call(&w, "node.check", "{'node':'n'}"), BV_E_BUSY, "checked already");
        assert_ok(world_do(&w, "node.delete"));
    } else {
        world_crash(&w);
    }
    world_settle(&w);
    if (a->done && a->code == 0) /* the deletion ended the start, which is an answer */
        ck_assert(_i / 3 % 3 == 1 && !passed(a));
    else
        world_assert(a, BV_E_CANCELLED, "");
    world_close(&w);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    static const char text[] = "{\"checks\":[\"jobs-status\",\"protocol-status\"]}";
    bvi_json *args = NULL;
    answer a;
    world w;

    world_open(&w);
    world_create(&w); /* a connection that breaks for lack of memory would be made anew meanwhile */
    ck_assert_int_eq(bvi_json_parse(text, sizeof(text) - 1, &args, NULL), 0);
    (void)check(&w, ",'checks':['jobs-status','protocol-status']");
    bvt_for_each_failed_allocation(n) {
        bvi_reply *reply;

        memset(&a, 0, sizeof(a));
        reply = world_reply(&w, &a);
        if (reply)
            bvi_node_check(world_node(&w), args, reply);
        world_settle(&w);
        ck_assert(!reply || a.done);
        bv_op_unref(a.op);
        bvi_json_free(a.result);
    }
    bvi_json_free(args);
    world_close(&w);
}
END_TEST

BVT_MAIN("node/check", bvt_loop(looks_at_jobs, jobs), bvt_test(the_usual),
         bvt_test(finds_mistakes_in_scripts), bvt_test(a_stopped_node),
         bvt_test(a_start_that_fails), bvt_times(may_be_interrupted, 36),
         bvt_test(survives_every_failed_allocation))
