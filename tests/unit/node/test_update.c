/* Changed properties: init runs with them, at once or later, and never beside work that must go on.
 */
#include "world.h"

#define SET(value) "{'node':'n','properties':{'mode':'" value "'}}"

static const char *mode(world *w)
{
    return bvi_json_string(bvi_json_find(world_node(w)->state.properties, "mode"));
}

START_TEST(a_running_node_is_initialised_at_once)
{
    unsigned setups, inits;
    world w;

    world_open(&w);
    world_start(&w);
    inits = fake_agent_calls(world_agent(&w), "start_job");
    setups = fake_agent_calls(world_agent(&w), "setup");
    assert_ok(world_call(&w, "node.update", SET("task")));
    ck_assert_str_eq(mode(&w), "task");
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert_uint_eq(fake_agent_calls(world_agent(&w), "start_job"), inits + 1);
    ck_assert_uint_eq(fake_agent_calls(world_agent(&w), "setup"), setups + 1); /* its environment */
    ck_assert_uint_eq(bvi_json_count(world_node(&w)->tasks), 1); /* what init does in this mode */
    ck_assert(world_has_event(&w, "node_updated"));
    ck_assert_str_eq(
        bvi_json_string(bvi_json_find(bvi_json_find(world_node(&w)->env, "properties"), "mode")),
        "task");
    assert_ok(world_call(&w, "node.update", SET("task"))); /* nothing new, nothing done */
    ck_assert_uint_eq(fake_agent_calls(world_agent(&w), "start_job"), inits + 1);
    world_close(&w);
}
END_TEST

START_TEST(another_at_its_next_start)
{
    world w;

    world_open(&w);
    world_start(&w);
    assert_ok(world_do(&w, "node.stop"));
    assert_ok(world_call(&w, "node.update", SET("task")));
    ck_assert_str_eq(world_status(&w), "stopped");
    ck_assert_ptr_null(world_node(&w)->wanted);
    assert_ok(world_do(&w, "node.start"));
    ck_assert_uint_eq(bvi_json_count(world_node(&w)->tasks), 1);
    world_close(&w);
}
END_TEST

#define INFO(status, blocking)                                                                     \
    "{\"status\":" status ",\"timestamp\":{\"secs_since_epoch\":1,\"nanos_since_epoch\":0},"       \
    "\"progress\":null,\"restart_count\":0,\"logs\":[],\"upgrade_blocking\":" blocking "}"

static const struct {
    const char *args;
    const char *job; /* NULL: none */
    int code;
    const char *says;
} cases[] = {
    { SET("task"), INFO("\"running\"", "true"), BV_E_STATE, "job 'big' is running" },
    { SET("task"), INFO("\"running\"", "false"), 0, "" },
    { SET("task"), INFO("\"stopped\"", "true"), 0, "" },
    { "{'node':'n','properties':{'colour':'red'}}", NULL, BV_E_INVALID, "no property 'colour'" },
    { "{'node':'n','properties':{'mode':7}}", NULL, BV_E_INVALID, "must be a string" },
    { "{'node':'n','properties':{'kind':'b'}}", NULL, BV_E_INVALID,
      "fixed when a node is created" },
    { "{'node':'n','properties':{'kind':'a'}}", NULL, 0, "" },
    { "{'node':'n','properties':{}}", NULL, 0, "" },
};

START_TEST(may_be_refused)
{
    world w;

    world_open(&w);
    world_start(&w);
    if (cases[_i].job)
        fake_agent_set_job(world_agent(&w), "big", cases[_i].job);
    world_assert(world_call(&w, "node.update", cases[_i].args), cases[_i].code, cases[_i].says);
    if (cases[_i].code)
        ck_assert_str_eq(mode(&w), "good");
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert(world_node(&w)->state.initialized);
    ck_assert_ptr_null(world_node(&w)->wanted);
    world_close(&w);
}
END_TEST

START_TEST(an_init_that_fails_is_a_failed_start)
{
    world w;

    world_open(&w);
    world_start(&w);
    world_assert(world_call(&w, "node.update", SET("throw")), BV_E_REMOTE, "no luck today");
    ck_assert_ptr_nonnull(strstr(world_problem(&w), "no luck today"));
    assert_ok(world_do(&w, "node.stop"));
    assert_ok(world_call(&w, "node.update", SET("good")));
    assert_ok(world_do(&w, "node.start"));
    ck_assert_str_eq(world_problem(&w), "");
    world_close(&w);
}
END_TEST

START_TEST(meets_other_work)
{
    answer *start, *update;
    world w;

    world_open(&w);
    world_create(&w);
    start = world_begin(&w, "node.start", "{'node':'n'}");
    world_assert(world_call(&w, "node.update", SET("task")), BV_E_BUSY, "start is under way");
    world_until(&w, start);
    assert_ok(start);
    fake_agent_set(world_agent(&w), "jobs", FAKE_AGENT_HANGS, 0);
    update = world_begin(&w, "node.update", SET("task"));
    world_settle(&w);
    ck_assert_str_eq(world_status(&w), "busy");
    assert_ok(world_do(&w, "node.delete"));
    world_assert(update, BV_E_CANCELLED, "cancelled");
    world_close(&w);
}
END_TEST

BVT_MAIN("node/update", bvt_test(a_running_node_is_initialised_at_once),
         bvt_test(another_at_its_next_start), bvt_loop(may_be_refused, cases),
         bvt_test(an_init_that_fails_is_a_failed_start), bvt_test(meets_other_work))
