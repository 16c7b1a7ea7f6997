/* Plugins read anew: from the image's copy, or from where a development node has them. */
#include "sys/fs.h"

#include "world.h"

/* A development node's plugin, and the node with it. */
static void write_plugin(const char *text)
{
    (void)bvt_write_file("dev/main.rhai", text);
}

static void open_dev(world *w, const char *text)
{
    world_open(w);
    ck_assert_int_eq(bvi_fs_mkdir(bvt_path("dev"), 0755, NULL), 0);
    write_plugin(text);
    assert_ok(world_call(
        w, "node.create",
        bvt_format("{'image':'chain/main:1','name':'n','plugin_dir':'%s'}", bvt_path("dev"))));
    assert_ok(world_do(w, "node.start"));
}

#define PLUGIN(config, answer)                                                                     \
    "fn plugin_config() { " config " }\n"                                                          \
    "fn ask() { \"" answer "\" }\n"                                                                \
    "fn slow() { run_sh(\"slow\").unwrap() }\n"
#define CONFIG(name) "#{ services: [ #{ name: \"" name "\", run_sh: \"x\" } ] }"

static void assert_says(world *w, const char *says)
{
    answer *a = world_call(w, "node.run", "{'node':'n','method':'ask'}");

    assert_ok(a);
    ck_assert_str_eq(bvi_json_string(bvi_json_find(a->result, "result")), says);
}

static const char *stored_config(world *w)
{
    return bvt_read_file(world_node(w)->paths.plugin_config, NULL);
}

START_TEST(edits_are_live)
{
    world w;

    open_dev(&w, PLUGIN(CONFIG("one"), "first"));
    assert_says(&w, "first");
    write_plugin(PLUGIN(CONFIG("two"), "second"));
    assert_says(&w, "second");
    ck_assert_ptr_nonnull(strstr(stored_config(&w), "\"two\""));
    assert_ok(world_do(&w, "node.stop"));
    write_plugin(PLUGIN(CONFIG("three"), "third"));
    assert_ok(world_do(&w, "node.start"));
    ck_assert_ptr_nonnull(strstr(stored_config(&w), "\"three\""));
    assert_says(&w, "third");
    write_plugin(PLUGIN(CONFIG("four"), "fourth"));
    world_crash(&w); /* what was evaluated last is older than its script */
    world_load(&w);
    world_settle(&w);
    ck_assert_ptr_nonnull(strstr(stored_config(&w), "\"four\""));
    write_plugin(PLUGIN("throw \"broken\"", "fifth"));
    world_crash(&w);
    world_load(&w);
    world_settle(&w);
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert_ptr_nonnull(strstr(stored_config(&w), "\"four\""));
    world_close(&w);
}
END_TEST

static const struct {
    const char *text;
    int code;
    const char *says;
} broken[] = {
    { "fn ask( {", BV_E_FORMAT, "dev/main.rhai:1:" },
    { "\n\n  let x = ;", BV_E_FORMAT, "dev/main.rhai:3:" },
    { PLUGIN("throw \"no way\"", "new"), BV_E_FORMAT, "no way" },
    { PLUGIN("#{ services: 7 }", "new"), BV_E_FORMAT, "services" },
    { PLUGIN("loop { }", "new"), BV_E_LIMIT, "" },
};

START_TEST(the_old_one_goes_on_after_a_failure)
{
    answer *a;
    world w;

    open_dev(&w, PLUGIN(CONFIG("one"), "first"));
    write_plugin(broken[_i].text);
    a = world_do(&w, "node.reload");
    ck_assert_int_ne(a->code, 0);
    ck_assert_msg(strstr(a->story, broken[_i].says) != NULL, "%s", a->story);
    ck_assert(world_has_event(&w, "plugin_reload_failed"));
    ck_assert_str_eq(world_status(&w), "running");
    ck_assert_str_eq(world_problem(&w), "");
    ck_assert_ptr_nonnull(strstr(stored_config(&w), "\"one\""));
    /* A method is refused rather than run from what its author did not write. */
    a = world_call(&w, "node.run", "{'node':'n','method':'ask'}");
    ck_assert_int_ne(a->code, 0);
    write_plugin(PLUGIN(CONFIG("one"), "mended"));
    assert_ok(world_do(&w, "node.reload"));
    assert_says(&w, "mended");
    world_close(&w);
}
END_TEST

START_TEST(calls_end_with_the_plugin_they_began_with)
{
    answer *slow;
    world w;

    open_dev(&w, PLUGIN(CONFIG("one"), "first"));
    fake_agent_set(world_agent(&w), "run_sh", FAKE_AGENT_HANGS, 0);
    slow = world_begin(&w, "node.run", "{'node':'n','method':'slow'}");
    world_settle(&w);
    write_plugin(PLUGIN(CONFIG("two"), "second"));
    assert_ok(world_do(&w, "node.reload"));
    ck_assert(!slow->done);
    ck_assert_uint_eq(world_node(&w)->retired.len, 1);
    if (_i == 0) {
        world_until(&w, slow);
        ck_assert_int_ne(slow->code, BV_E_CANCELLED);
        assert_ok(world_do(&w, "node.reload"));
        ck_assert_uint_eq(world_node(&w)->retired.len, 0);
    } else {
        world_crash(&w);
        world_settle(&w);
        world_assert(slow, BV_E_CANCELLED, "");
    }
    world_close(&w);
}
END_TEST

/* However often: memory stays bounded, and the oldest calls give way. */
START_TEST(replaced_plugins_do_not_pile_up)
{
    answer *slow[12];
    world w;

    open_dev(&w, PLUGIN(CONFIG("one"), "first"));
    fake_agent_set(world_agent(&w), "run_sh", FAKE_AGENT_HANGS, 0);
    for (size_t i = 0; i < BVI_COUNT(slow); i++) {
        slow[i] = world_begin(&w, "node.run", "{'node':'n','method':'slow'}");
        world_settle(&w);
    }
    ck_assert_uint_le(world_node(&w)->retired.len, 8);
    world_assert(slow[0], BV_E_CANCELLED, "");
    ck_assert(!slow[11]->done);
    for (size_t i = 0; i < BVI_COUNT(slow); i++)
        world_until(&w, slow[i]);
    world_close(&w);
}
END_TEST

/* The node may write what it likes below its root: the host runs the image's. */
START_TEST(a_node_cannot_change_its_plugin)
{
    answer *a;
    world w;

    world_open(&w);
    world_start(&w);
    ck_assert_int_eq(
        bvi_fs_mkdir(bvt_format("%s/var/lib/babel/plugin", world_node(&w)->paths.rootfs), 0755,
                     NULL),
        0);
    bvt_assert_ok(bvi_fs_replace(
                      bvt_format("%s/var/lib/babel/plugin/main.rhai", world_node(&w)->paths.rootfs),
                      "fn height() { 666 }", 19, 0644, NULL),
                  NULL);
    assert_ok(world_do(&w, "node.reload"));
    a = world_call(&w, "node.run", "{'node':'n','method':'height'}");
    assert_ok(a);
    ck_assert_str_eq(bvi_json_string(bvi_json_find(a->result, "result")), "42");
    world_close(&w);
}
END_TEST

START_TEST(meets_other_work)
{
    answer *start, *reload;
    world w;

    world_open(&w);
    world_create(&w);
    assert_ok(world_do(&w, "node.reload")); /* on a stopped node: only read */
    start = world_begin(&w, "node.start", "{'node':'n'}");
    reload = world_begin(&w, "node.reload", "{'node':'n'}");
    world_settle(&w);
    world_assert(reload, BV_E_BUSY, "start is under way");
    assert_ok(start);
    reload = world_begin(&w, "node.reload", "{'node':'n'}");
    start = world_begin(&w, "node.reload", "{'node':'n'}");
    assert_ok(world_do(&w, "node.stop"));
    world_assert(reload, BV_E_CANCELLED, "later request");
    world_assert(start, BV_E_CANCELLED, "later request");
    world_close(&w);
}
END_TEST

START_TEST(a_host_that_closes_meanwhile)
{
    answer *run;
    world w;

    open_dev(&w, PLUGIN(CONFIG("one"), "first"));
    run = world_begin(&w, "node.run", "{'node':'n','method':'ask'}");
    for (int i = 0; i < _i; i++)
        world_turn(&w);
    world_crash(&w);
    world_settle(&w);
    ck_assert(run->done);
    world_close(&w);
}
END_TEST

START_TEST(directories_are_checked)
{
    world w;

    world_open(&w);
    world_assert(world_call(&w, "node.create",
                            "{'image':'chain/main:1','name':'n','plugin_dir':'relative'}"),
                 BV_E_INVALID, "absolute");
    world_assert(world_call(&w, "node.create",
                            "{'image':'chain/main:1','name':'n','plugin_dir':'/nowhere'}"),
                 BV_E_NOT_FOUND, "/nowhere");
    ck_assert_uint_eq(world_node_dirs(&w), 0);
    world_close(&w);
}
END_TEST

BVT_MAIN("node/reload", bvt_test(edits_are_live),
         bvt_loop(the_old_one_goes_on_after_a_failure, broken),
         bvt_times(calls_end_with_the_plugin_they_began_with, 2),
         bvt_test(replaced_plugins_do_not_pile_up), bvt_test(a_node_cannot_change_its_plugin),
         bvt_test(meets_other_work), bvt_times(a_host_that_closes_meanwhile, 12),
         bvt_test(directories_are_checked))
