/* Scheduled calls: run on time, kept on disk, and never a reason for a node not to start. */
#include <stdio.h>

#include "sys/fs.h"
#include "world.h"

static const char *tasks_file(world *w)
{
    return bvt_format("%s/tasks.json", world_node(w)->paths.dir);
}

static void open_with_task(world *w)
{
    world_open(w);
    assert_ok(world_call(w, "node.create",
                         "{'image':'chain/main:1','name':'n','properties':{'mode':'task'}}"));
    assert_ok(world_do(w, "node.start")); /* init adds "t": each 10 s, tick("x") */
}

static unsigned ticks(world *w)
{
    return fake_agent_calls(world_agent(w), "run_sh");
}

START_TEST(runs_on_time)
{
    world w;

    open_with_task(&w);
    ck_assert_uint_eq(ticks(&w), 0);
    world_pass(&w, 10 * SECOND_US);
    ck_assert_uint_eq(ticks(&w), 1);
    world_pass(&w, 30 * SECOND_US);
    ck_assert_uint_eq(ticks(&w), 4);
    world_close(&w);
}
END_TEST

START_TEST(is_kept_on_disk)
{
    world w;

    open_with_task(&w);
    ck_assert_ptr_nonnull(strstr(bvt_read_file(tasks_file(&w), NULL), "tick"));
    world_crash(&w);
    world_pass(&w, 25 * SECOND_US); /* nobody there: not caught up */
    world_load(&w);
    world_settle(&w);
    ck_assert_uint_eq(ticks(&w), 0);
    world_pass(&w, 10 * SECOND_US);
    ck_assert_uint_eq(ticks(&w), 1);
    world_close(&w);
}
END_TEST

START_TEST(rests_while_the_node_does)
{
    world w;

    open_with_task(&w);
    assert_ok(world_do(&w, "node.stop"));
    world_pass(&w, 60 * SECOND_US);
    assert_ok(world_do(&w, "node.start"));
    ck_assert_uint_eq(ticks(&w), 0);
    world_pass(&w, 10 * SECOND_US);
    ck_assert_uint_eq(ticks(&w), 1);
    world_close(&w);
}
END_TEST

START_TEST(follows_a_clock_that_is_set)
{
    world w;

    open_with_task(&w);
    world_pass(&w, 10 * SECOND_US);
    ck_assert_uint_eq(ticks(&w), 1);
    w.clock.wall_us += (_i == 0 ? -1 : 1) * INT64_C(86400) * SECOND_US;
    world_pass(&w, 60 * SECOND_US);
    ck_assert_uint_ge(ticks(&w), 5);
    ck_assert_uint_le(ticks(&w), 8);
    world_close(&w);
}
END_TEST

START_TEST(failures_are_logged)
{
    world w;

    open_with_task(&w);
    fake_agent_set(world_agent(&w), "run_sh", FAKE_AGENT_FAILS, 0);
    world_pass(&w, 10 * SECOND_US);
    ck_assert_ptr_nonnull(strstr(w.log.text, "scheduled function of task 't' failed"));
    ck_assert_str_eq(world_status(&w), "running");
    world_close(&w);
}
END_TEST

START_TEST(a_call_may_outlive_its_node)
{
    world w;

    open_with_task(&w);
    fake_agent_set(world_agent(&w), "run_sh", FAKE_AGENT_HANGS, 0);
    world_pass(&w, 10 * SECOND_US);
    ck_assert_uint_eq(world_node(&w)->users, 1);
    if (_i == 0)
        assert_ok(world_do(&w, "node.delete"));
    else
        world_crash(&w);
    world_settle(&w);
    world_close(&w);
}
END_TEST

/* A handler that takes longer than its interval is not called again meanwhile. */
START_TEST(slow_calls_do_not_pile_up)
{
    const bvi_json *task;
    answer *a;
    world w;

    open_with_task(&w);
    a = world_do(&w, "node.tasks");
    task = bvi_json_first(bvi_json_find(a->result, "tasks"));
    ck_assert_str_eq(bvi_json_string(bvi_json_find(task, "name")), "t");
    ck_assert_int_eq(bvi_json_type_of(bvi_json_find(task, "next_at")), BVI_JSON_NUMBER);
    ck_assert(!bvi_json_is_true(bvi_json_find(task, "running")));
    fake_agent_set(world_agent(&w), "run_sh", FAKE_AGENT_HANGS, 1);
    world_pass(&w, 14 * SECOND_US);
    ck_assert_uint_eq(ticks(&w), 1);
    a = world_do(&w, "node.tasks");
    task = bvi_json_first(bvi_json_find(a->result, "tasks"));
    ck_assert(bvi_json_is_true(bvi_json_find(task, "running")));
    world_pass(&w, 6 * SECOND_US); /* due at 20, its request gives up at 25 and later */
    ck_assert_uint_eq(ticks(&w), 1);
    world_pass(&w, 20 * SECOND_US);
    ck_assert_uint_ge(ticks(&w), 2);
    world_close(&w);
}
END_TEST

static const char *const damages[] = { "{\"t\":", "[1,2]", "7" };

START_TEST(damage_is_set_aside)
{
    world w;
    FILE *f;
    bvi_strv names = BVI_VEC_INIT(100);
    bool kept = false;

    open_with_task(&w);
    assert_ok(world_do(&w, "node.stop"));
    f = fopen(tasks_file(&w), "w");
    ck_assert_ptr_nonnull(f);
    (void)fputs(damages[_i], f);
    ck_assert_int_eq(fclose(f), 0);
    world_crash(&w);
    world_load(&w);
    world_settle(&w);
    assert_ok(world_do(&w, "node.start"));
    ck_assert(world_has_event(&w, "node_damaged"));
    ck_assert_int_eq(bvi_fs_list(world_node(&w)->paths.dir, &names, NULL), 0);
    for (size_t i = 0; i < names.len; i++)
        kept = kept || strncmp(names.items[i], "tasks.json.damaged-", 19) == 0;
    ck_assert(kept);
    bvi_strv_done(&names);
    world_close(&w);
}
END_TEST

START_TEST(adds_and_removes)
{
    world w;
    bv_error *err = NULL;
    char name[32];

    world_open(&w);
    world_create(&w);
    bvt_assert_ok(bvi_node_add_task(world_node(&w), "a", "@hourly", "tick", "", &err), err);
    ck_assert_int_eq(bvi_node_add_task(world_node(&w), "b", "whenever", "tick", "", &err),
                     BV_E_INVALID);
    bv_error_free(bvi_take(err));
    bvt_assert_ok(bvi_node_delete_task(world_node(&w), "zzz", &err), err);
    bvt_assert_ok(bvi_node_delete_task(world_node(&w), "a", &err), err);
    ck_assert_ptr_null(strstr(bvt_read_file(tasks_file(&w), NULL), "tick"));
    for (int i = 0; i < 256; i++) {
        (void)snprintf(name, sizeof(name), "t%d", i);
        bvt_assert_ok(bvi_node_add_task(world_node(&w), name, "@daily", "tick", "", &err), err);
    }
    ck_assert_int_eq(bvi_node_add_task(world_node(&w), "more", "@daily", "tick", "", &err),
                     BV_E_LIMIT);
    bv_error_free(bvi_take(err));
    bvt_assert_ok(bvi_node_add_task(world_node(&w), "t7", "@weekly", "tick", "", &err),
                  err); /* replaced */
    world_close(&w);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    world w;
    bv_error *err = NULL;

    world_open(&w);
    world_create(&w);
    bvt_assert_ok(bvi_node_add_task(world_node(&w), "a", "@hourly", "tick", "first", &err), err);
    bvt_for_each_failed_allocation(n) {
        int r = bvi_node_add_task(world_node(&w), "a", "@hourly", "tick", "first", &err);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        bv_error_free(bvi_take(err));
        ck_assert_uint_eq(bvi_json_count(world_node(&w)->tasks), 1);
    }
    world_close(&w);
}
END_TEST

BVT_MAIN("node/tasks", bvt_test(runs_on_time), bvt_test(is_kept_on_disk),
         bvt_test(rests_while_the_node_does), bvt_times(follows_a_clock_that_is_set, 2),
         bvt_test(failures_are_logged), bvt_test(slow_calls_do_not_pile_up),
         bvt_times(a_call_may_outlive_its_node, 2), bvt_loop(damage_is_set_aside, damages),
         bvt_test(adds_and_removes), bvt_test(survives_every_failed_allocation))
