/* Job configurations: what create_job() accepts, and what entries of a plugin's configuration
 * become. */
#include "bvt.h"
#include "plugin/jobs.h"

static bvi_json *parse(const char *text)
{
    bvi_json *json = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_json_parse(text, strlen(text), &json, &err), err);
    return json;
}

static const struct {
    const char *text;
    const char *says; /* NULL: good */
} cases[] = {
    { "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":\"never\"}", NULL },
    { "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":{\"never\":null},\"more\":1}", NULL },
    { "{\"job_type\":{\"download\":{}},\"restart\":{\"always\":{\"backoff_timeout_ms\":1,\"backoff_"
      "base_ms\":2}}}",
      NULL },
    { "{\"job_type\":{\"upload\":{\"compression\":{\"ZSTD\":3}}},\"restart\":\"never\"}", NULL },
    { "{\"job_type\":{\"run_sh\":\"x\"}}", "Syntax error: missing field `restart`" },
    { "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":\"bad\"}",
      "unknown variant `bad`, expected one of `never`, `always`, `on_failure`" },
    { "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":\"always\"}",
      "Syntax error: invalid type: unit variant, expected newtype variant" },
    { "{\"job_type\":{\"run_sh\":7},\"restart\":\"never\"}",
      "Output type incorrect: i64 (expecting String)" },
    { "{\"job_type\":{\"run_sh\":\"x\",\"upload\":{}},\"restart\":\"never\"}",
      "Output type incorrect: map (expecting JobType)" },
    { "{\"job_type\":{},\"restart\":\"never\"}", "Output type incorrect: map (expecting JobType)" },
    { "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":\"never\",\"needs\":\"a\"}",
      "needs: Output type incorrect: string (expecting Array)" },
};

START_TEST(accepts_or_explains)
{
    bvi_auto_json bvi_json *map = parse(cases[_i].text);
    bvi_auto_json bvi_json *config = NULL;
    bv_error *err = NULL;
    int r = bvi_plugin_job_convert(map, &config, &err);

    if (cases[_i].says) {
        bvt_assert_error_says(err, BV_E_FORMAT, cases[_i].says);
        bv_error_free(err);
        return;
    }
    bvt_assert_ok(r, err);
    ck_assert_uint_eq(bvi_json_count(config), 11);
}
END_TEST

typedef enum origin { SERVICE, AUX, JOB, DOWNLOAD, UPLOAD, SCRIPT } origin;

#define REST                                                                                       \
    "\"shutdown_timeout_secs\":null,\"shutdown_signal\":null,\"run_as\":null,"                     \
    "\"log_buffer_capacity_mb\":null,\"log_timestamp\":null"

static const struct {
    origin from;
    const char *entry;
    const char *config;
} derived[] = {
    { SERVICE, "{\"name\":\"s\",\"run_sh\":\"x\",\"use_protocol_data\":true}",
      "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":{\"always\":{\"backoff_timeout_ms\":60000,"
      "\"backoff_base_ms\":1000,\"max_retries\":null}},\"needs\":[\"n\"],\"wait_for\":[\"w\"]," REST
      ",\"use_protocol_data\":true,\"one_time\":null}" },
    { AUX, "{\"name\":\"s\",\"run_sh\":\"x\",\"restart_config\":{\"backoff_timeout_ms\":1}}",
      "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":{\"always\":{\"backoff_timeout_ms\":1}},"
      "\"needs\":null,"
      "\"wait_for\":null," REST ",\"use_protocol_data\":null,\"one_time\":null}" },
    { JOB,
      "{\"name\":\"s\",\"run_sh\":\"x\",\"needs\":[\"own\"],\"one_time\":true,\"use_protocol_"
      "data\":false}",
      "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":\"never\",\"needs\":[\"own\",\"n\"],\"wait_"
      "for\":null," REST ",\"use_protocol_data\":false,\"one_time\":true}" },
    { DOWNLOAD, "{\"max_connections\":5,\"max_runners\":null}",
      "{\"job_type\":{\"download\":{\"max_connections\":5,\"max_runners\":null}},\"restart\":{\"on_"
      "failure\":"
      "{\"backoff_timeout_ms\":600000,\"backoff_base_ms\":500,\"max_retries\":10}},\"needs\":["
      "\"n\"],"
      "\"wait_for\":null," REST ",\"use_protocol_data\":null,\"one_time\":null}" },
    { UPLOAD, "null",
      "{\"job_type\":{\"upload\":{\"exclude\":null,\"compression\":{\"ZSTD\":3},\"max_"
      "connections\":null,"
      "\"max_runners\":null,\"number_of_chunks\":null,\"url_expires_secs\":null,\"data_version\":"
      "null}},"
      "\"restart\":{\"on_failure\":{\"backoff_timeout_ms\":600000,\"backoff_base_ms\":500,\"max_"
      "retries\":10}},"
      "\"needs\":[\"n\"],\"wait_for\":null," REST
      ",\"use_protocol_data\":null,\"one_time\":null}" },
    { UPLOAD, "{\"compression\":\"NONE\",\"exclude\":[\"x\"]}",
      "{\"job_type\":{\"upload\":{\"exclude\":[\"x\"],\"compression\":null,\"max_connections\":"
      "null,"
      "\"max_runners\":null,\"number_of_chunks\":null,\"url_expires_secs\":null,\"data_version\":"
      "null}},"
      "\"restart\":{\"on_failure\":{\"backoff_timeout_ms\":600000,\"backoff_base_ms\":500,\"max_"
      "retries\":10}},"
      "\"needs\":[\"n\"],\"wait_for\":null," REST
      ",\"use_protocol_data\":null,\"one_time\":null}" },
    { SCRIPT, "{\"run_sh\":\"x\",\"restart_config\":{\"backoff_timeout_ms\":1}}",
      "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":{\"on_failure\":{\"backoff_timeout_ms\":1}},"
      "\"needs\":[\"n\"],"
      "\"wait_for\":null," REST ",\"use_protocol_data\":null,\"one_time\":null}" },
    { SCRIPT, "{\"run_sh\":\"x\",\"restart_config\":null}",
      "{\"job_type\":{\"run_sh\":\"x\"},\"restart\":\"never\",\"needs\":[\"n\"],\"wait_for\":"
      "null," REST ",\"use_protocol_data\":null,\"one_time\":null}" },
};

static int derive(origin from, const bvi_json *entry, bvi_json **ret_config, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv needs = BVI_VEC_INIT(4);
    BVI_AUTO(bvi_strv_done) bvi_strv wait_for = BVI_VEC_INIT(4);

    if (bvi_strv_add(&needs, "n") < 0 || bvi_strv_add(&wait_for, "w") < 0)
        return BV_E_NOMEM;
    switch (from) {
    case SERVICE:
        return bvi_plugin_job_from_service(entry, &needs, &wait_for, ret_config, err);
    case AUX:
        return bvi_plugin_job_from_aux_service(entry, ret_config, err);
    case JOB:
        return bvi_plugin_job_from_job(entry, &needs, ret_config, err);
    case DOWNLOAD:
        return bvi_plugin_job_from_download(entry, &needs, ret_config, err);
    case UPLOAD:
        return bvi_plugin_job_from_upload(entry, &needs, ret_config, err);
    case SCRIPT:
        return bvi_plugin_job_from_download_script(entry, &needs, ret_config, err);
    }
    return BV_E_INTERNAL;
}

START_TEST(derives)
{
    bvi_auto_json bvi_json *entry = parse(derived[_i].entry);
    bvi_auto_json bvi_json *config = NULL;
    bvi_auto_free char *text = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(derive(derived[_i].from, entry, &config, &err), err);
    bvt_assert_ok(bvi_json_print(config, false, &text, &err), err);
    ck_assert_str_eq(text, derived[_i].config);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvi_auto_json bvi_json *entry = parse(derived[_i].entry);

    bvt_for_each_failed_allocation(n) {
        bvi_auto_json bvi_json *config = NULL;
        int r = derive(derived[_i].from, entry, &config, NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        ck_assert((r == 0) == (config != NULL));
    }
}
END_TEST

BVT_MAIN("plugin/jobs", bvt_loop(accepts_or_explains, cases), bvt_loop(derives, derived),
         bvt_loop(survives_every_failed_allocation, derived))
