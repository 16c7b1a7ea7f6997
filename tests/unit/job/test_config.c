/* Job configurations: what is taken, what is refused and what the refusal says. */
#include <signal.h>
#include <stdio.h>

#include "bvt.h"
#include "job/job_config.h"

static bvi_json *parse(const char *text)
{
    bvi_json *root = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_json_parse(text, strlen(text), &root, &err), err);
    return root;
}

START_TEST(a_full_service)
{
    static const char text[] =
        "{\"job_type\":{\"run_sh\":\"/usr/bin/nodectl start --home=/blockjoy/protocol_data\"},"
        "\"restart\":{\"always\":{\"backoff_timeout_ms\":60000,\"backoff_base_ms\":1000,\"max_"
        "retries\":null}},"
        "\"shutdown_timeout_secs\":120,\"shutdown_signal\":\"SIGINT\",\"needs\":[\"download\"],"
        "\"wait_for\":[],"
        "\"run_as\":\"chain\",\"log_buffer_capacity_mb\":7,\"log_timestamp\":true,\"use_protocol_"
        "data\":true,"
        "\"one_time\":null,\"unknown\":{\"x\":1}}";
    bvi_json *root = parse(text);
    bvi_job_config *c = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_job_config_parse(root, &c, &err), err);
    ck_assert_int_eq(c->type, BVI_JOB_RUN_SH);
    ck_assert_str_eq(c->body, "/usr/bin/nodectl start --home=/blockjoy/protocol_data");
    ck_assert_int_eq(c->restart.policy, BVI_RESTART_ALWAYS);
    ck_assert_uint_eq(c->restart.backoff_timeout_ms, 60000);
    ck_assert_uint_eq(c->restart.backoff_base_ms, 1000);
    ck_assert(!c->restart.has_max_retries);
    ck_assert_uint_eq(c->shutdown_timeout_secs, 120);
    ck_assert_int_eq(c->shutdown_signal, SIGINT);
    ck_assert_uint_eq(c->needs.len, 1);
    ck_assert_str_eq(c->run_as, "chain");
    ck_assert_uint_eq(c->log_buffer_capacity_mb, 7);
    ck_assert(c->log_timestamp && c->use_protocol_data && !c->one_time);
    ck_assert(!bvi_job_config_blocks_upgrade(c));
    bvi_job_config_free(c);
    bvi_json_free(root);
}
END_TEST

START_TEST(defaults)
{
    bvi_json *root =
        parse("{\"job_type\":{\"run_sh\":\"x\"},\"restart\":\"never\",\"shutdown_signal\":null}");
    bvi_job_config *c = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_job_config_parse(root, &c, &err), err);
    ck_assert_uint_eq(c->shutdown_timeout_secs, 60);
    ck_assert_int_eq(c->shutdown_signal, SIGTERM);
    ck_assert_uint_eq(c->log_buffer_capacity_mb, 128);
    ck_assert(!c->log_timestamp && !c->use_protocol_data && !c->one_time);
    ck_assert_ptr_null(c->run_as);
    ck_assert(bvi_job_config_blocks_upgrade(c));
    bvi_job_config_free(c);
    bvi_json_free(root);
}
END_TEST

static const struct {
    const char *text;
    int code;
    const char *says;
} bad[] = {
    { "[]", BV_E_FORMAT, "is an object" },
    { "{\"job_type\":{\"download\":{\"destination\":\"/a/../b\"}},\"restart\":\"never\"}",
      BV_E_INVALID, "'/a/../b'" },
    { "{\"job_type\":{\"upload\":{\"source\":\"a\"}},\"restart\":\"never\"}", BV_E_INVALID,
      "not an absolute path" },
    { "{\"job_type\":{\"multi_client_download\":{\"clients\":{}}},\"restart\":\"never\"}",
      BV_E_FORMAT, "'clients' is not a list" },
    { "{\"job_type\":{\"multi_client_download\":{\"clients\":[{\"name\":\"a\",\"data_dir\":\"..\","
      "\"store_key\":\"k\"}]}},\"restart\":\"never\"}",
      BV_E_INVALID, "client 'a': 'data_dir' is not a relative path" },
    { "{\"job_type\":{\"multi_client_download\":{\"clients\":[{\"name\":\"a/b\",\"data_dir\":\"x\","
      "\"store_key\":\"k\"}]}},\"restart\":\"never\"}",
      BV_E_INVALID, "invalid job name" },
    { "{\"job_type\":{\"multi_client_download\":{\"clients\":[{\"name\":\"a\",\"data_dir\":\"x\"}]}"
      "},"
      "\"restart\":\"never\"}",
      BV_E_FORMAT, "store_key" },
    { "{}", BV_E_FORMAT, "job_type" },
    { "{\"job_type\":{},\"restart\":\"never\"}", BV_E_FORMAT, "exactly one key" },
    { "{\"job_type\":{\"run_sh\":\"a\",\"upload\":{}},\"restart\":\"never\"}", BV_E_FORMAT,
      "exactly one key" },
    { "{\"job_type\":{\"dance\":{}},\"restart\":\"never\"}", BV_E_INVALID,
      "unknown job type 'dance'" },
    { "{\"job_type\":{\"run_sh\":7},\"restart\":\"never\"}", BV_E_FORMAT,
      "'run_sh' is not a string" },
    { "{\"job_type\":{\"run_sh\":\" && \"},\"restart\":\"never\"}", BV_E_INVALID, "body is empty" },
    { "{\"job_type\":{\"run_sh\":\"a\"}}", BV_E_FORMAT, "'restart' is missing" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"sometimes\"}", BV_E_FORMAT,
      "'restart' is not" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":{\"always\":{}}}", BV_E_FORMAT,
      "backoff_timeout_ms" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":{\"always\":{\"backoff_timeout_ms\":-1,"
      "\"backoff_base_ms\":1}}}",
      BV_E_FORMAT, "backoff_timeout_ms" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\",\"shutdown_signal\":\"SIGNAL\"}",
      BV_E_INVALID, "names no signal: 'SIGNAL'" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\",\"needs\":\"b\"}", BV_E_FORMAT,
      "'needs' is a string" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\",\"needs\":[1]}", BV_E_FORMAT,
      "not only strings" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\",\"wait_for\":[\"a/b\"]}",
      BV_E_INVALID, "invalid job name 'a/b'" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\",\"run_as\":\"a:b\"}", BV_E_INVALID,
      "not a user name" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\",\"log_buffer_capacity_mb\":0}",
      BV_E_INVALID, "smallest is 1" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\",\"shutdown_timeout_secs\":99999999}",
      BV_E_INVALID, "more than" },
    { "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\",\"one_time\":\"yes\"}", BV_E_FORMAT,
      "one_time" },
    { "{\"job_type\":{\"upload\":{\"compression\":{\"LZMA\":1}}},\"restart\":\"never\"}",
      BV_E_FORMAT, "compression" },
    { "{\"job_type\":{\"upload\":{\"compression\":{\"ZSTD\":99}}},\"restart\":\"never\"}",
      BV_E_INVALID, "level 99" },
    { "{\"job_type\":{\"download\":[]},\"restart\":\"never\"}", BV_E_FORMAT,
      "job type 'download'" },
};

START_TEST(refuses_and_explains)
{
    bvi_json *root = parse(bad[_i].text);
    bvi_job_config *c = NULL;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_job_config_parse(root, &c, &err), bad[_i].code);
    bvt_assert_error_says(err, bad[_i].code, bad[_i].says);
    bv_error_free(err);
    bvi_json_free(root);
}
END_TEST

/* Parsed, written and parsed again: the same document. */
static const char *const round_trips[] = {
    "{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\"}",
    "{\"job_type\":{\"download\":{\"max_connections\":5,\"max_runners\":2}},\"restart\":{\"on_"
    "failure\":"
    "{\"backoff_timeout_ms\":600000,\"backoff_base_ms\":500,\"max_retries\":10}}}",
    "{\"job_type\":{\"upload\":{\"exclude\":[\"**/"
    "x\",\"y\"],\"compression\":{\"ZSTD\":3},\"number_of_chunks\":9,"
    "\"url_expires_secs\":60,\"data_version\":18446744073709551615}},\"restart\":\"never\"}",
    "{\"job_type\":{\"upload\":null},\"restart\":\"never\"}",
    "{\"job_type\":{\"multi_client_upload\":{\"data_version\":0}},\"restart\":\"never\"}",
    "{\"job_type\":{\"multi_client_upload\":{\"exclude\":[\"a\"],\"clients\":[{\"name\":\"el\","
    "\"data_dir\":\"a/b\",\"store_key\":\"k\"}]}},\"restart\":\"never\"}",
    "{\"job_type\":{\"download\":{\"destination\":\"/blockjoy/blockchain_data\"}},\"restart\":"
    "\"never\"}",
    "{\"job_type\":{\"upload\":{\"source\":\"/blockjoy/x\"}},\"restart\":\"never\"}",
    "{\"job_type\":{\"multi_client_download\":{}},\"restart\":\"never\",\"needs\":[\"a\",\"b\"],"
    "\"wait_for\":[\"c\"]}",
};

START_TEST(goes_round)
{
    bvi_json *root = parse(round_trips[_i]);
    bvi_json *once = NULL;
    bvi_json *twice = NULL;
    bvi_job_config *c = NULL;
    char *a = NULL;
    char *b = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_job_config_parse(root, &c, &err), err);
    bvt_assert_ok(bvi_job_config_to_json(c, &once, &err), err);
    bvi_job_config_free(c);
    bvt_assert_ok(bvi_job_config_parse(once, &c, &err), err);
    bvt_assert_ok(bvi_job_config_to_json(c, &twice, &err), err);
    bvt_assert_ok(bvi_json_print(once, false, &a, &err), err);
    bvt_assert_ok(bvi_json_print(twice, false, &b, &err), err);
    ck_assert_str_eq(a, b);
    if (_i == 2)
        ck_assert(strstr(a, "18446744073709551615") != NULL);
    bvi_job_config_free(c);
    bvi_json_free(root);
    bvi_json_free(once);
    bvi_json_free(twice);
    bvi_free(a);
    bvi_free(b);
}
END_TEST

START_TEST(completing_keeps_what_is_unknown)
{
    bvi_json *root = parse("{\"job_type\":{\"run_sh\":\"a\"},\"restart\":\"never\",\"future\":[1,2]"
                           ",\"run_as\":\"u\"}");
    bvi_json *full = NULL;
    char *text = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_job_config_complete(root, &full, &err), err);
    bvt_assert_ok(bvi_json_print(full, false, &text, &err), err);
    ck_assert(strstr(text, "\"future\":[1,2]") != NULL);
    ck_assert(strstr(text, "\"run_as\":\"u\"") != NULL);
    ck_assert(strstr(text, "\"one_time\":null") != NULL);
    bvi_json_free(root);
    bvi_json_free(full);
    bvi_free(text);
}
END_TEST

static const struct {
    const char *body;
    const char *normal;
} bodies[] = {
    { "  echo a  ", "echo a" },
    { "echo a \\\n", "echo a" },
    { "echo a && \n", "echo a" },
    { "echo a &&&& ", "echo a" },
    { "echo a && \\", "echo a" },
    { "echo a &", "echo a &" },
    { "a &&& ", "a &" },
    { "\\", "" },
    { "", "" },
    { "\n\t x\\\\\\", "x" },
};

START_TEST(bodies_are_normalised)
{
    char text[64];

    snprintf(text, sizeof(text), "%s", bodies[_i].body);
    bvi_job_body_normalise(text);
    ck_assert_str_eq(text, bodies[_i].normal);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvi_json *root = parse(round_trips[2]);

    bvt_for_each_failed_allocation(n) {
        bvi_job_config *c = NULL;
        bvi_json *out = NULL;
        int r = bvi_job_config_parse(root, &c, NULL);

        if (r == 0)
            r = bvi_job_config_to_json(c, &out, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_json_free(out);
        bvi_job_config_free(c);
    }
    bvi_json_free(root);
}
END_TEST

BVT_MAIN("job/config", bvt_test(a_full_service), bvt_test(defaults),
         bvt_loop(refuses_and_explains, bad), bvt_loop(goes_round, round_trips),
         bvt_test(completing_keeps_what_is_unknown), bvt_loop(bodies_are_normalised, bodies),
         bvt_test(survives_every_failed_allocation))
