/* What becomes of a request while other work is under way, and of all of it when the host goes. */
#include "world.h"

/* How far the first request gets before the second one comes: the driver hangs in it, or the agent
 * does. */
typedef enum stage {
    AT_ONCE,
    IN_DRIVER,
    IN_AGENT,
    IN_INIT,
} stage;

static const struct {
    bool running; /* before */
    const char *first;
    stage stage;
    const char *hang; /* the operation or method that hangs */
    const char *second;
    int first_code;
    int second_code;
    const char *says;   /* in the story of the one that fails */
    const char *status; /* in the end; NULL: gone */
} meetings[] = {
    /* joined */
    { false, "node.start", AT_ONCE, NULL, "node.start", 0, 0, "", "running" },
    { true, "node.stop", AT_ONCE, NULL, "node.stop", 0, 0, "", "stopped" },
    { true, "node.restart", AT_ONCE, NULL, "node.restart", 0, 0, "", "running" },
    { true, "node.delete", AT_ONCE, NULL, "node.delete", 0, 0, "", NULL },
    /* ended early and followed */
    { false, "node.start", AT_ONCE, NULL, "node.stop", BV_E_CANCELLED, 0,
      "ended by a later request", "stopped" },
    { false, "node.start", AT_ONCE, NULL, "node.delete", BV_E_CANCELLED, 0,
      "ended by a later request", NULL },
    { false, "node.start", IN_AGENT, "version", "node.stop", BV_E_CANCELLED, 0, "", "stopped" },
    { false, "node.start", IN_AGENT, "setup", "node.stop", BV_E_CANCELLED, 0, "", "stopped" },
    { false, "node.start", IN_AGENT, "create_job", "node.stop", BV_E_CANCELLED, 0, "", "stopped" },
    { false, "node.start", IN_AGENT, "setup", "node.delete", BV_E_CANCELLED, 0, "", NULL },
    { false, "node.start", IN_INIT, NULL, "node.stop", BV_E_CANCELLED, 0, "", "stopped" },
    { true, "node.restart", AT_ONCE, NULL, "node.stop", BV_E_CANCELLED, 0, "", "stopped" },
    { true, "node.restart", IN_AGENT, "shutdown", "node.stop", BV_E_CANCELLED, 0, "", "stopped" },
    { true, "node.restart", IN_AGENT, "shutdown", "node.delete", BV_E_CANCELLED, 0, "", NULL },
    { true, "node.stop", IN_AGENT, "shutdown", "node.delete", BV_E_CANCELLED, 0, "", NULL },
    { true, "node.stop", AT_ONCE, NULL, "node.delete", BV_E_CANCELLED, 0, "", NULL },
    /* refused */
    { false, "node.start", AT_ONCE, NULL, "node.restart", 0, BV_E_BUSY, "start is under way",
      "running" },
    { true, "node.stop", AT_ONCE, NULL, "node.start", 0, BV_E_BUSY, "stop is under way",
      "stopped" },
    { true, "node.stop", AT_ONCE, NULL, "node.restart", 0, BV_E_BUSY, "stop is under way",
      "stopped" },
    { true, "node.delete", AT_ONCE, NULL, "node.stop", 0, BV_E_BUSY, "delete is under way", NULL },
    { true, "node.delete", AT_ONCE, NULL, "node.start", 0, BV_E_BUSY, "delete is under way", NULL },
    { true, "node.delete", AT_ONCE, NULL, "node.restart", 0, BV_E_BUSY, "delete is under way",
      NULL },
    { true, "node.restart", AT_ONCE, NULL, "node.start", 0, BV_E_BUSY, "restart is under way",
      "running" },
};

static void open_world(world *w, bool running, bool spins)
{
    world_open(w);
    if (spins)
        assert_ok(world_call(w, "node.create",
                             "{'image':'chain/main:1','name':'n','properties':{'mode':'spin'}}"));
    else
        world_create(w);
    if (running)
        assert_ok(world_do(w, "node.start"));
}

/* Gets the first request into its stage. */
static void advance(world *w, stage at, const char *hang)
{
    if (at == AT_ONCE)
        return;
    world_until_container(w);
    if (at == IN_AGENT) {
        fake_agent_set(world_agent(w), hang, FAKE_AGENT_HANGS, 1);
        world_settle(w);
        ck_assert_uint_eq(fake_agent_calls(world_agent(w), hang), 1);
    } else {
        for (int i = 0; i < 300; i++) /* the plugin turns in its loop: nothing settles */
            world_turn(w);
    }
}

START_TEST(requests_meet)
{
    world w;
    answer *first, *second;

    open_world(&w, meetings[_i].running, meetings[_i].stage == IN_INIT);
    first = world_begin(&w, meetings[_i].first, "{'node':'n'}");
    advance(&w, meetings[_i].stage, meetings[_i].hang);
    ck_assert(!first->done);
    second = world_begin(&w, meetings[_i].second, "{'node':'n'}");
    world_settle(&w); /* without a second passing */
    world_assert(first, meetings[_i].first_code, meetings[_i].first_code ? meetings[_i].says : "");
    world_assert(second, meetings[_i].second_code,
                 meetings[_i].second_code ? meetings[_i].says : "");
    ck_assert_int_eq(world_node(&w) == NULL, meetings[_i].status == NULL);
    if (meetings[_i].status)
        ck_assert_str_eq(world_status(&w), meetings[_i].status);
    world_close(&w);
}
END_TEST

START_TEST(deletes_what_is_being_made)
{
    world w;
    answer *made, *gone;

    world_open(&w);
    made = world_begin(&w, "node.create", "{'image':'chain/main:1','name':'n'}");
    for (int i = 0; i < _i; i++)
        world_turn(&w);
    gone = world_begin(&w, "node.delete", "{'node':'n'}");
    world_settle(&w);
    ck_assert(made->done);
    ck_assert(made->code == 0 || made->code == BV_E_CANCELLED);
    assert_ok(gone);
    ck_assert_ptr_null(world_node(&w));
    ck_assert_uint_eq(world_node_dirs(&w), 0);
    world_close(&w);
}
END_TEST

START_TEST(refuses_others_while_it_is_made)
{
    static const char *const others[] = { "node.start", "node.stop", "node.restart" };
    world w;
    answer *made, *other;

    world_open(&w);
    made = world_begin(&w, "node.create", "{'image':'chain/main:1','name':'n'}");
    other = world_begin(&w, others[_i], "{'node':'n'}");
    world_assert(world_call(&w, "node.create", "{'image':'chain/main:1','name':'n'}"), BV_E_EXISTS,
                 "'n' exists");
    world_settle(&w);
    assert_ok(made);
    world_assert(other, BV_E_BUSY, "create is under way");
    world_close(&w);
}
END_TEST

START_TEST(a_later_delete_replaces_a_waiting_stop)
{
    world w;
    answer *start, *stop, *gone;

    open_world(&w, false, false);
    start = world_begin(&w, "node.start", "{'node':'n'}");
    stop = world_begin(&w, "node.stop", "{'node':'n'}");
    gone = world_begin(&w, "node.delete", "{'node':'n'}");
    world_settle(&w);
    world_assert(start, BV_E_CANCELLED, "");
    world_assert(stop, BV_E_CANCELLED, "ended by a later request");
    assert_ok(gone);
    world_close(&w);
}
END_TEST

START_TEST(a_start_follows_the_attaching)
{
    world w;
    answer *a;

    open_world(&w, true, false);
    world_crash(&w);
    world_load(&w);
    ck_assert_str_eq(world_status(&w), "busy");
    a = world_begin(&w, _i == 0 ? "node.start" : "node.stop", "{'node':'n'}");
    world_settle(&w);
    assert_ok(a);
    ck_assert_str_eq(world_status(&w), _i == 0 ? "running" : "stopped");
    world_close(&w);
}
END_TEST

START_TEST(limits_who_waits)
{
    world w;
    answer *last = NULL;

    open_world(&w, true, false);
    for (int i = 0; i < 65; i++)
        last = world_begin(&w, "node.stop", "{'node':'n'}");
    world_settle(&w);
    world_assert(last, BV_E_BUSY, "too many callers");
    world_close(&w);
}
END_TEST

/* ---- the host goes with everything under way ---- */

static const struct {
    bool running;
    const char *method;
    const char *driver; /* hangs */
    const char *agent;  /* method that hangs */
    int turns;
} endings[] = {
    { false, "node.start", NULL, NULL, 0 },          { false, "node.start", "probe", NULL, 50 },
    { false, "node.start", "prepare", NULL, 50 },    { false, "node.start", "start", NULL, 50 },
    { false, "node.start", NULL, "version", 50 },    { false, "node.start", NULL, "setup", 50 },
    { false, "node.start", NULL, "create_job", 50 }, { true, "node.stop", "stop", NULL, 50 },
    { true, "node.stop", NULL, "shutdown", 50 },     { true, "node.restart", NULL, "shutdown", 50 },
    { true, "node.restart", "stop", NULL, 50 },      { true, "node.delete", "remove", NULL, 50 },
    { true, "node.delete", NULL, "shutdown", 50 },   { true, "node.show", NULL, "jobs", 50 },
    { true, "job.list", NULL, "jobs", 50 },          { true, "node.capabilities", NULL, NULL, 0 },
};

START_TEST(closes_with_everything_under_way)
{
    world w;
    answer *a, *made;

    open_world(&w, endings[_i].running, false);
    w.hang = endings[_i].driver;
    if (endings[_i].running && endings[_i].agent)
        fake_agent_set(world_agent(&w), endings[_i].agent, FAKE_AGENT_HANGS, 0);
    a = world_begin(&w, endings[_i].method, "{'node':'n'}");
    if (!endings[_i].running && endings[_i].agent)
        advance(&w, IN_AGENT, endings[_i].agent);
    for (int i = 0; i < endings[_i].turns; i++)
        world_turn(&w);
    made = world_begin(&w, "node.create", "{'image':'chain/main:1','name':'m'}");
    if (endings[_i].running)
        (void)world_begin(&w, "node.run", "{'node':'n','method':'echo','param':'x'}");
    (void)world_begin(&w, "job.logs", "{'node':'n','job':'svc','cursor':'0:0','wait_ms':100000}");
    world_crash(&w);
    w.hang = NULL;
    world_settle(&w);
    ck_assert(a->done);
    ck_assert(made->done);
    ck_assert_int_eq(made->code, BV_E_CANCELLED);
    world_close(&w); /* which sees that nobody waits and nothing leaks */
}
END_TEST

/* Freed between any two turns, and the context at once after it. */
START_TEST(closes_at_any_moment)
{
    world w;

    open_world(&w, false, false);
    (void)world_begin(&w, "node.start", "{'node':'n'}");
    for (int i = 0; i < _i; i++)
        world_turn(&w);
    world_crash(&w);
    if (_i % 2)
        world_settle(&w);
    world_close(&w);
}
END_TEST

BVT_MAIN("node/activity", bvt_loop(requests_meet, meetings),
         bvt_times(deletes_what_is_being_made, 8), bvt_times(refuses_others_while_it_is_made, 3),
         bvt_test(a_later_delete_replaces_a_waiting_stop),
         bvt_times(a_start_follows_the_attaching, 2), bvt_test(limits_who_waits),
         bvt_loop(closes_with_everything_under_way, endings), bvt_times(closes_at_any_moment, 40))
