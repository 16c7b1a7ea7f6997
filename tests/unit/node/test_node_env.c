/* The node's environment: order, quoting, and that nothing in a value can break out of its quotes.
 */
#include "bvt.h"
#include "node/node_env.h"
#include "node/node_paths.h"

static void fill(bvi_node_state *state, const char *name)
{
    bvi_node_state_init(state);
    ck_assert_int_eq(bvi_node_state_set(&state->id, "4931bafa-92d9-4521-9fc6-a77eee047530", NULL),
                     0);
    ck_assert_int_eq(bvi_node_state_set(&state->name, name, NULL), 0);
    ck_assert_int_eq(bvi_node_state_set(&state->image_version, "1.2.3", NULL), 0);
    ck_assert_int_eq(bvi_node_state_set(&state->variant_key, "v", NULL), 0);
}

START_TEST(writes_upstreams_file)
{
    bvi_node_state state;
    bvi_json *env = NULL;
    char *text = NULL;

    fill(&state, "n1");
    ck_assert_int_eq(bvi_node_env_json(&state, "host-1", &env, NULL), 0);
    ck_assert_int_eq(bvi_node_env_text(env, &text, NULL), 0);
    ck_assert_str_eq(
        text, "NODE_ID=\"4931bafa-92d9-4521-9fc6-a77eee047530\"\n"
              "NODE_NAME=\"n1\"\nNODE_ORG_ID=\"\"\nNODE_VERSION=\"1.2.3\"\nNODE_PROTOCOL=\"\"\n"
              "NODE_VARIANT=\"v\"\nNODE_IP=\"\"\nNODE_GATEWAY=\"\"\nDEV_MODE=\"false\"\n"
              "BV_HOST_ID=\"\"\nBV_HOST_NAME=\"host-1\"\nBV_API_URL=\"\"\n"
              "DATA_MOUNT_POINT=\"/blockjoy\"\nPROTOCOL_DATA_PATH=\"/blockjoy/protocol_data\"\n");
    bvi_free(text);
    bvi_json_free(env);
    bvi_node_state_done(&state);
}
END_TEST

START_TEST(quotes_what_could_break_out)
{
    bvi_node_state state;
    bvi_json *env = NULL;
    char *text = NULL;

    fill(&state, "a\"b\\c$d`e\nf");
    ck_assert_int_eq(bvi_node_env_json(&state, "", &env, NULL), 0);
    ck_assert_int_eq(bvi_node_env_text(env, &text, NULL), 0);
    ck_assert_ptr_nonnull(strstr(text, "NODE_NAME=\"a\\\"b\\\\c\\$d\\`e f\"\n"));
    bvi_free(text);
    bvi_json_free(env);
    bvi_node_state_done(&state);
}
END_TEST

START_TEST(joins_paths)
{
    bvi_host_paths host;
    bvi_node_paths node;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_host_paths_init(&host, "/", NULL), 0);
    ck_assert_str_eq(host.nodes_dir, "/var/lib/blockvisor/nodes");
    bvi_host_paths_done(&host);
    ck_assert_int_eq(bvi_host_paths_init(&host, "/tmp/x//", NULL), 0);
    ck_assert_str_eq(host.run_dir, "/tmp/x/run/blockvisor");
    ck_assert_int_eq(bvi_node_paths_init(&node, host.nodes_dir, "id", NULL), 0);
    ck_assert_str_eq(node.jobs_dir, "/tmp/x/var/lib/blockvisor/nodes/id/rootfs/var/lib/babel/jobs");
    ck_assert_str_eq(node.agent_socket, "/tmp/x/var/lib/blockvisor/nodes/id/run/babel.socket");
    bvi_node_paths_done(&node);
    bvi_host_paths_done(&host);
    ck_assert_int_eq(bvi_host_paths_init(&host, "relative", &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "absolute");
    bv_error_free(err);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvi_node_state state;

    fill(&state, "n1");
    bvt_for_each_failed_allocation(n) {
        bvi_strv strings = BVI_VEC_INIT(64);
        bvi_json *env = NULL;
        char *text = NULL;
        bvi_host_paths host;
        int r = bvi_node_env_json(&state, "h", &env, NULL);

        if (r == 0)
            r = bvi_node_env_text(env, &text, NULL);
        if (r == 0)
            r = bvi_node_env_strings(env, &strings, NULL);
        ck_assert(r == BV_OK || r == BV_E_NOMEM);
        r = bvi_host_paths_init(&host, "/r", NULL);
        ck_assert(r == BV_OK || r == BV_E_NOMEM);
        bvi_host_paths_done(&host);
        bvi_strv_done(&strings);
        bvi_free(text);
        bvi_json_free(env);
    }
    bvi_node_state_done(&state);
}
END_TEST

BVT_MAIN("node/node_env", bvt_test(writes_upstreams_file), bvt_test(quotes_what_could_break_out),
         bvt_test(joins_paths), bvt_test(survives_every_failed_allocation))
