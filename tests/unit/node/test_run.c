/* Methods of a plugin: typed results, deadlines, and calls beside a start that takes long. */
#include "world.h"

static const struct {
    const char *args;
    const char *result;
    const char *value; /* JSON */
} good[] = {
    { "'method':'height'", "42", "42" },
    { "'method':'protocol_status'", "{\"state\":\"broadcasting\",\"health\":\"healthy\"}",
      "{\"state\":\"broadcasting\",\"health\":\"healthy\"}" },
    { "'method':'echo','param':'hi'", "hi", "\"hi\"" },
    { "'method':'echo'", "", "\"\"" },
    { "'method':'init'", "", "null" },
    { "'method':'upload'", "null", "null" },
    { "'method':'echo','param':'7','timeout_ms':100", "7", "\"7\"" },
};

static answer *run(world *w, const char *args)
{
    return world_begin(w, "node.run", bvt_format("{'node':'n',%s}", args));
}

START_TEST(results_have_types)
{
    bvi_auto_free char *value = NULL;
    answer *a;
    world w;

    world_open(&w);
    world_start(&w);
    a = run(&w, good[_i].args);
    world_until(&w, a);
    assert_ok(a);
    ck_assert_str_eq(bvi_json_string(bvi_json_find(a->result, "result")), good[_i].result);
    ck_assert_int_eq(bvi_json_print(bvi_json_find(a->result, "value"), false, &value, NULL), 0);
    ck_assert_str_eq(value, good[_i].value);
    world_close(&w);
}
END_TEST

static const struct {
    const char *args;
    int code;
    const char *says;
} bad[] = {
    { "'method':'nothing'", BV_E_NOT_FOUND, "node 'n' has: echo, fetch, height, init, keep" },
    { "'method':'fetch'", BV_E_REMOTE, "manifest not available for" },
    { "'method':'echo','timeout_ms':86400001", BV_E_INVALID, "at most 86400 s" },
    { "'method':'tick','param':'x','timeout_ms':3000", BV_E_TIMEOUT, "within 3000 ms" },
};

START_TEST(failures_say_why)
{
    answer *a;
    world w;

    world_open(&w);
    world_start(&w);
    fake_agent_set(world_agent(&w), "run_sh", FAKE_AGENT_HANGS, 0);
    a = run(&w, bad[_i].args);
    world_until(&w, a);
    world_assert(a, bad[_i].code, bad[_i].says);
    world_close(&w);
}
END_TEST

START_TEST(a_cancelled_call_ends)
{
    answer *a;
    world w;

    world_open(&w);
    world_start(&w);
    fake_agent_set(world_agent(&w), "run_sh", FAKE_AGENT_HANGS, 0);
    a = run(&w, "'method':'tick','param':'x'");
    world_settle(&w);
    ck_assert(!a->done);
    bv_op_cancel(a->op);
    world_settle(&w);
    world_assert(a, BV_E_CANCELLED, "cancelled");
    world_close(&w);
}
END_TEST

/* init hangs: whatever is asked meanwhile is answered at once. */
START_TEST(calls_go_beside_a_long_init)
{
    answer *start, *asked, *shown;
    world w;

    world_open(&w);
    world_create(&w);
    start = world_begin(&w, "node.start", "{'node':'n'}");
    world_until_container(&w);
    fake_agent_set(world_agent(&w), "create_job", FAKE_AGENT_HANGS, 0);
    world_settle(&w);
    ck_assert_str_eq(world_status(&w), "busy");
    asked = run(&w, "'method':'echo','param':'hi'");
    shown = world_begin(&w, "node.show", "{'node':'n'}");
    world_settle(&w); /* no time passes */
    assert_ok(asked);
    assert_ok(shown);
    ck_assert_int_eq(bvi_json_type_of(bvi_json_find(shown->result, "jobs")), BVI_JSON_ARRAY);
    ck_assert_int_eq(bvi_json_type_of(bvi_json_find(shown->result, "height")), BVI_JSON_NUMBER);
    ck_assert(!start->done);
    assert_ok(world_do(&w, "node.delete"));
    world_assert(start, BV_E_CANCELLED, "");
    world_close(&w);
}
END_TEST

static unsigned log_events(world *w)
{
    answer *a = world_answer(w);
    unsigned count = 0;

    bvi_events_read(w->events, 0, 0, world_reply(w, a));
    world_until(w, a);
    bvi_json_each(it, bvi_json_find(a->result, "events"))
        count += strcmp(bvi_json_string(bvi_json_find(it, "type")), "plugin_log") == 0;
    return count;
}

/* What a plugin says goes to the log with its node's id, and to the events unless it is too much.
 */
START_TEST(lines_reach_log_and_events)
{
    answer *a;
    world w;

    world_open(&w);
    world_start(&w);
    a = run(&w, "'method':'say','param':'hello'");
    world_until(&w, a);
    assert_ok(a);
    ck_assert_ptr_nonnull(strstr(w.log.text, "hello"));
    ck_assert_uint_eq(log_events(&w), 3); /* print, info and warn, not debug */
    for (int i = 0; i < 10; i++)
        world_until(&w, run(&w, "'method':'say','param':'again'"));
    ck_assert_uint_eq(log_events(&w), 21); /* the last says that there is more */
    world_pass(&w, 61 * SECOND_US);
    world_until(&w, run(&w, "'method':'say','param':'later'"));
    ck_assert_uint_eq(log_events(&w), 24);
    world_close(&w);
}
END_TEST

BVT_MAIN("node/run", bvt_test(lines_reach_log_and_events), bvt_loop(results_have_types, good),
         bvt_loop(failures_say_why, bad), bvt_test(a_cancelled_call_ends),
         bvt_test(calls_go_beside_a_long_init))
