/* What running nodes' plugins say, asked again and again: order, absence, and who waits for whom.
 */
#include "sys/fs.h"
#include "world.h"

static void open_dev(world *w, const char *text)
{
    world_open(w);
    ck_assert_int_eq(bvi_fs_mkdir(bvt_path("dev"), 0755, NULL), 0);
    (void)bvt_write_file("dev/main.rhai", text);
    assert_ok(world_call(
        w, "node.create",
        bvt_format("{'image':'chain/main:1','name':'n','plugin_dir':'%s'}", bvt_path("dev"))));
    assert_ok(world_do(w, "node.start"));
}

static const bvi_json *metric(world *w, const char *key)
{
    return bvi_json_find(world_node(w)->metrics, key);
}

static int64_t height(world *w)
{
    int64_t value = -1;

    (void)bvi_json_int64(metric(w, "height"), &value);
    return value;
}

#define STATUS(state) "fn protocol_status() { #{ state: \"" state "\", health: \"healthy\" } }\n"

START_TEST(all_of_them)
{
    double apr = 0;
    world w;

    open_dev(&w, STATUS("earning") "fn init() {}\n"
                                   "fn height() { 7 }\n"
                                   "fn block_age() { 3 }\n"
                                   "fn consensus() { true }\n"
                                   "fn apr() { \"0.25\" }\n"
                                   "fn jailed() { \"false\" }\n"
                                   "fn jailed_reason() { \"none\" }\n"
                                   "fn sqd_name() { \"sq\" }\n");
    ck_assert_ptr_null(world_node(&w)->metrics);
    world_pass(&w, 4 * SECOND_US);
    ck_assert_int_eq(height(&w), 7);
    ck_assert(bvi_json_is_true(metric(&w, "consensus")));
    ck_assert_int_eq(bvi_json_double(metric(&w, "apr"), &apr), 0);
    ck_assert(apr > 0.2 && apr < 0.3);
    ck_assert_int_eq(bvi_json_type_of(metric(&w, "jailed")), BVI_JSON_BOOL);
    ck_assert_str_eq(bvi_json_string(metric(&w, "jailed_reason")), "none");
    ck_assert_str_eq(bvi_json_string(metric(&w, "sqd_name")), "sq");
    ck_assert_str_eq(bvi_json_string(bvi_json_find(metric(&w, "protocol_status"), "state")),
                     "earning");
    ck_assert(world_has_event(&w, "protocol_status"));
    assert_ok(world_do(&w, "node.stop"));
    ck_assert_ptr_null(world_node(&w)->metrics);
    world_close(&w);
}
END_TEST

/* Asked again and again, also after a restart of the daemon. */
START_TEST(every_half_minute)
{
    world w;

    open_dev(&w, STATUS("up") "fn init() {}\nfn height() { 1 + run_sh(\"x\").stdout.len() }\n");
    for (int i = 0; i < 2; i++) {
        unsigned before = fake_agent_calls(world_agent(&w), "run_sh");

        world_pass(&w, 120 * SECOND_US);
        ck_assert_uint_ge(fake_agent_calls(world_agent(&w), "run_sh") - before, 3);
        ck_assert_uint_le(fake_agent_calls(world_agent(&w), "run_sh") - before, 5);
        world_crash(&w);
        world_load(&w);
        world_settle(&w);
    }
    world_close(&w);
}
END_TEST

static const struct {
    const char *plugin;
    bool has_status;
} absent[] = {
    { STATUS("up") "fn height() { throw \"no\" }\n", true },
    { STATUS("up") "fn height() { -1 }\n", true },
    { STATUS("up") "fn height() { \"7\" }\n", true },
    { STATUS("up") "fn height() { loop { } }\n", true },
    { STATUS("up") "fn height() { run_sh(\"never\"); 7 }\n", true },
    { STATUS("downloading") "fn height() { 7 }\n", true },
    { "fn protocol_status() { throw 1 }\nfn height() { 7 }\n", false },
    { "fn height() { 7 }\n", false },
};

START_TEST(what_has_no_answer_is_absent)
{
    world w;

    open_dev(&w, bvt_format("fn init() {}\nfn sqd_name() { \"s\" }\n%s", absent[_i].plugin));
    fake_agent_set(world_agent(&w), "run_sh", FAKE_AGENT_HANGS, 0);
    world_pass(&w, 90 * SECOND_US);
    ck_assert_ptr_nonnull(world_node(&w)->metrics);
    ck_assert_int_eq(height(&w), -1);
    ck_assert_int_eq(bvi_json_type_of(metric(&w, "protocol_status")) == BVI_JSON_OBJECT,
                     absent[_i].has_status);
    ck_assert_str_eq(world_status(&w), "running");
    world_close(&w);
}
END_TEST

/* A failing question is told once. */
START_TEST(complains_once)
{
    char *first;
    world w;

    open_dev(&w, STATUS("up") "fn init() {}\nfn height() { throw \"alas\" }\n");
    world_pass(&w, 150 * SECOND_US);
    first = strstr(w.log.text, "'height' is not known");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(strstr(first + 1, "'height' is not known"));
    world_close(&w);
}
END_TEST

/* Neither init nor another node is waited for. */
START_TEST(go_beside_init)
{
    answer *start;
    world w;

    world_open(&w);
    world_create(&w);
    start = world_begin(&w, "node.start", "{'node':'n'}");
    world_until_container(&w);
    world_settle(&w);
    assert_ok(start);
    fake_agent_set(world_agent(&w), "create_job", FAKE_AGENT_HANGS, 0);
    start = world_begin(&w, "node.run", "{'node':'n','method':'init'}");
    world_pass(&w, 4 * SECOND_US);
    ck_assert(!start->done);
    ck_assert_int_eq(height(&w), 42);
    bv_op_cancel(start->op);
    world_settle(&w);
    world_close(&w);
}
END_TEST

START_TEST(a_round_may_outlive_its_node)
{
    world w;

    open_dev(&w, STATUS("up") "fn init() {}\nfn height() { run_sh(\"never\"); 7 }\n");
    fake_agent_set(world_agent(&w), "run_sh", FAKE_AGENT_HANGS, 0);
    world_pass(&w, 3 * SECOND_US);
    ck_assert_ptr_nonnull(world_node(&w)->round);
    if (_i == 0)
        assert_ok(world_do(&w, "node.delete"));
    else
        world_crash(&w);
    world_settle(&w);
    world_close(&w);
}
END_TEST

BVT_MAIN("node/metrics", bvt_test(all_of_them), bvt_test(every_half_minute),
         bvt_loop(what_has_no_answer_is_absent, absent), bvt_test(complains_once),
         bvt_test(go_beside_init), bvt_times(a_round_may_outlive_its_node, 2))
