/* Node state files: what loads, what is refused and what the refusal says, what survives a round
 * trip. */
#include "base/json.h"
#include "bvt.h"
#include "node/node_state.h"

/* The example of the host specification, chapter 4, with one key that nobody knows. */
static const char upstream[] =
    "{\"id\":\"4931bafa-92d9-4521-9fc6-a77eee047530\",\"name\":\"quiet-red-fox\",\"protocol_id\":"
    "\"p-1\","
    "\"image_key\":{\"protocol_key\":\"ethereum\",\"variant_key\":\"reth-mainnet-full\"},\"dev_"
    "mode\":false,"
    "\"ip\":\"10.0.0.5\",\"gateway\":\"10.0.0.1\",\"properties\":{\"rpc\":\"on\"},"
    "\"firewall\":{\"default_in\":\"deny\",\"default_out\":\"allow\",\"rules\":[]},"
    "\"display_name\":\"\",\"org_id\":\"o-1\",\"org_name\":\"Acme\",\"protocol_name\":\"Ethereum\","
    "\"dns_name\":\"a.example\",\"tags\":[\"x\"],\"future\":{\"kept\":18446744073709551615},"
    "\"vm_config\":{\"vcpu_count\":2,\"mem_size_mb\":4000,\"disk_size_gb\":100,"
    "\"ramdisks\":[{\"ram_disk_mount_point\":\"/mnt/ramdisk\",\"ram_disk_size_mb\":100}]},"
    "\"image\":{\"id\":\"i-1\",\"version\":\"1.2.3\",\"config_id\":\"c-1\",\"archive_id\":\"a-1\","
    "\"store_key\":\"s-1\",\"uri\":\"docker://example/"
    "eth:1.2.3\",\"min_babel_version\":\"2.20.0\"},"
    "\"assigned_cpus\":[7,6],\"expected_status\":\"Running\",\"started_at\":1700000000,"
    "\"initialized\":true,"
    "\"restarting\":false,\"upgrade_state\":{\"active\":false,\"state_backup\":null,\"need_"
    "rollback\":null,"
    "\"steps\":[],\"data_stamp\":null},\"apptainer_config\":null}";

START_TEST(reads_upstreams_file)
{
    bvi_node_state state;
    bv_error *err = NULL;

    bvi_node_state_init(&state);
    bvt_assert_ok(bvi_node_state_parse(upstream, strlen(upstream), &state, &err), err);
    ck_assert_str_eq(state.name, "quiet-red-fox");
    ck_assert_str_eq(state.variant_key, "reth-mainnet-full");
    ck_assert_str_eq(state.store_key, "s-1");
    ck_assert_int_eq(state.expected, BVI_EXPECT_RUNNING);
    ck_assert_int_eq(state.intent, BVI_INTENT_NONE);
    ck_assert_int_eq(state.started_at, 1700000000);
    ck_assert_uint_eq(state.memory_mb, 4000);
    ck_assert(state.initialized);
    ck_assert_ptr_null(state.network);
    bvi_node_state_done(&state);
}
END_TEST

START_TEST(keeps_what_it_does_not_know)
{
    bvi_node_state state;
    bvi_json *root = NULL;
    char *text = NULL;
    const char *path = bvt_path("state.json");
    uint64_t kept = 0;

    bvi_node_state_init(&state);
    ck_assert_int_eq(bvi_node_state_parse(upstream, strlen(upstream), &state, NULL), 0);
    ck_assert_int_eq(bvi_node_state_set(&state.problem, "it \"broke\"", NULL), 0);
    ck_assert_int_eq(bvi_node_state_save(path, &state, NULL), 0);
    bvi_node_state_done(&state);

    text = bvt_read_file(path, NULL);
    ck_assert_int_eq(bvi_json_parse(text, strlen(text), &root, NULL), 0);
    ck_assert_int_eq(bvi_json_uint64(bvi_json_find(bvi_json_find(root, "future"), "kept"), &kept),
                     0);
    ck_assert(kept == UINT64_MAX);
    ck_assert_str_eq(bvi_json_string(bvi_json_find(root, "org_name")), "Acme");
    ck_assert_uint_eq(bvi_json_count(bvi_json_find(root, "assigned_cpus")), 2);
    bvi_json_free(root);

    ck_assert_int_eq(bvi_node_state_load(path, &state, NULL), 0);
    ck_assert_str_eq(state.problem, "it \"broke\"");
    bvi_node_state_done(&state);
}
END_TEST

/* The document above with one thing replaced. */
static const struct {
    const char *from;
    const char *to;
    const char *says;
} damaged[] = {
    { "\"name\":\"quiet-red-fox\"", "\"name\":7", "'name' must be a string" },
    { "\"name\":\"quiet-red-fox\"", "\"name\":\"../etc\"", "'name' is not a node name" },
    { "\"id\":\"4931bafa", "\"id\":\"XXXXbafa", "'id' is not a UUID" },
    { "\"protocol_key\":\"ethereum\",", "", "'protocol_key' is missing" },
    { "\"expected_status\":\"Running\"", "\"expected_status\":\"Asleep\"",
      "unknown value 'Asleep'" },
    { "\"expected_status\":\"Running\",", "", "'expected_status' is missing" },
    { "\"properties\":{\"rpc\":\"on\"}", "\"properties\":{\"rpc\":1}", "'rpc' must be a string" },
    { "\"properties\":{\"rpc\":\"on\"}", "\"properties\":[]", "'properties'" },
    { "\"mem_size_mb\":4000", "\"mem_size_mb\":-1", "'mem_size_mb'" },
    { "\"initialized\":true", "\"initialized\":\"yes\"", "'initialized' must be true or false" },
    { "\"started_at\":1700000000", "\"started_at\":\"now\"", "'started_at'" },
    { "\"image\":{", "\"image\":[{", "JSON" },
};

static char *replaced(const char *from, const char *to)
{
    const char *at = strstr(upstream, from);

    ck_assert_ptr_nonnull(at);
    return bvi_asprintf("%.*s%s%s", (int)(at - upstream), upstream, to, at + strlen(from));
}

START_TEST(refuses_damage)
{
    char *text = replaced(damaged[_i].from, damaged[_i].to);
    bvi_node_state state;
    bv_error *err = NULL;

    bvi_node_state_init(&state);
    ck_assert_int_eq(bvi_node_state_parse(text, strlen(text), &state, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, damaged[_i].says);
    ck_assert_ptr_null(state.id);
    bv_error_free(err);
    bvi_free(text);
}
END_TEST

START_TEST(refuses_a_file_that_is_too_large)
{
    char *text = bvi_malloc(BVI_NODE_STATE_MAX + 2u);
    bvi_node_state state;
    bv_error *err = NULL;
    const char *path;

    memset(text, ' ', BVI_NODE_STATE_MAX + 1u);
    text[BVI_NODE_STATE_MAX + 1u] = '\0';
    path = bvt_write_file("state.json", text);
    bvi_node_state_init(&state);
    ck_assert_int_eq(bvi_node_state_load(path, &state, &err), BV_E_LIMIT);
    bv_error_free(err);
    bvi_free(text);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    const char *path = bvt_write_file("state.json", upstream);
    const char *out = bvt_path("out.json");

    bvt_for_each_failed_allocation(n) {
        bvi_node_state state;
        int r;

        bvi_node_state_init(&state);
        r = bvi_node_state_load(path, &state, NULL);
        if (r == 0)
            r = bvi_node_state_save(out, &state, NULL);
        ck_assert(r == BV_OK || r == BV_E_NOMEM);
        bvi_node_state_done(&state);
    }
}
END_TEST

BVT_MAIN("node/node_state", bvt_test(reads_upstreams_file), bvt_test(keeps_what_it_does_not_know),
         bvt_loop(refuses_damage, damaged), bvt_test(refuses_a_file_that_is_too_large),
         bvt_test(survives_every_failed_allocation))
