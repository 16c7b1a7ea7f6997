/* What plugin_config() may return: the shape, the messages, the rules, and the file. */
#include "base/json.h"
#include "bvt.h"
#include "plugin/config.h"

static const char full[] =
    "{\"config_files\":[{\"template\":\"/t\",\"destination\":\"/"
    "d\",\"params\":{\"a\":[1,2.5,null]}}],"
    "\"aux_services\":[{\"name\":\"aux\",\"run_sh\":\"caddy\",\"log_timestamp\":true}],"
    "\"init\":{\"commands\":[\"mkdir -p /x\"],\"jobs\":[{\"name\":\"prepare\",\"run_sh\":\"true\","
    "\"restart\":{\"on_failure\":{\"backoff_timeout_ms\":1,\"backoff_base_ms\":2}},\"needs\":["
    "\"aux\"]}]},"
    "\"download\":{\"max_connections\":5},"
    "\"alternative_download\":{\"run_sh\":\"wget\"},"
    "\"post_download\":[{\"name\":\"unpack\",\"run_sh\":\"tar\",\"restart\":\"never\"}],"
    "\"cold_init\":{\"run_sh\":\"init\",\"one_time\":true},"
    "\"services\":[{\"name\":\"chain\",\"run_sh\":\"chaind\",\"shutdown_timeout_secs\":120,"
    "\"shutdown_signal\":\"SIGINT\",\"restart_config\":{\"backoff_timeout_ms\":60000,\"backoff_"
    "base_ms\":1000,"
    "\"max_retries\":7}}],"
    "\"pre_upload\":{\"jobs\":[]},"
    "\"upload\":{\"exclude\":[\"**/*.log\"],\"compression\":{\"ZSTD\":-5},\"data_version\":3},"
    "\"post_upload\":[{\"name\":\"after\",\"run_sh\":\"true\"}],"
    "\"scheduled\":[{\"name\":\"t\",\"schedule\":\"0 0 * * * *\",\"function\":\"check\"}]}";

static int convert_text(const char *text, bvi_json **ret_config, bvi_strv *unknown, bv_error **err)
{
    bvi_auto_json bvi_json *json = NULL;

    if (bvi_json_parse(text, strlen(text), &json, err) < 0)
        return BV_E_NOMEM;
    return bvi_plugin_config_convert(json, ret_config, unknown, err);
}

START_TEST(converts_everything)
{
    bvi_auto_json bvi_json *config = NULL;
    bvi_auto_json bvi_json *again = NULL;
    bvi_auto_free char *first = NULL;
    bvi_auto_free char *second = NULL;
    const bvi_json *service;
    bv_error *err = NULL;

    bvt_assert_ok(convert_text(full, &config, NULL, &err), err);
    service = bvi_json_first(bvi_json_find(config, "services"));
    ck_assert(bvi_json_is_true(bvi_json_find(service, "use_protocol_data"))); /* the default */
    ck_assert_ptr_nonnull(bvi_json_find(service, "run_as"));
    ck_assert_int_eq(bvi_json_type_of(bvi_json_find(service, "run_as")), BVI_JSON_NULL);
    ck_assert_int_eq(
        bvi_json_type_of(bvi_json_find(bvi_json_find(config, "pre_upload"), "commands")),
        BVI_JSON_ARRAY);

    /* What was converted converts to itself: so it is read back from its file. */
    bvt_assert_ok(bvi_plugin_config_convert(config, &again, NULL, &err), err);
    bvt_assert_ok(bvi_json_print(config, false, &first, &err), err);
    bvt_assert_ok(bvi_json_print(again, false, &second, &err), err);
    ck_assert_str_eq(first, second);
}
END_TEST

#define SERVICE(more) "{\"services\":[{\"name\":\"a\",\"run_sh\":\"x\"" more "}]}"
#define WITH(more)    "{\"services\":[]," more "}"

static const struct {
    const char *text;
    int code;
    const char *says;
} cases[] = {
    { "{\"services\":[]}", 0, "" },
    { WITH("\"services2\":7"), 0, "" },
    { WITH("\"init\":{\"commands\":[\"a\"]}"), 0, "" },
    { WITH("\"init\":null"), 0, "" },
    { WITH("\"upload\":{\"compression\":\"NONE\"}"), 0, "" },
    { WITH("\"upload\":{\"format\":\"snapshot\"}"), 0, "" },
    { WITH("\"upload\":{\"format\":\"tar\"}"), BV_E_FORMAT, "format" },
    { WITH("\"alternative_download\":{\"run_sh\":\"x\",\"restart\":\"never\"}"), 0,
      "" }, /* real plugins do it */
    { SERVICE(",\"use_protocol_data\":null"), 0, "" },
    { "[]", BV_E_FORMAT, "Output type incorrect: array (expecting Map)" },
    { "null", BV_E_FORMAT, "Output type incorrect: () (expecting Map)" },
    { "{}", BV_E_FORMAT, "Syntax error: missing field `services`" },
    { "{\"services\":{}}", BV_E_FORMAT, "services: Output type incorrect: map (expecting Array)" },
    { "{\"services\":[{\"name\":\"a\"}]}", BV_E_FORMAT,
      "services[0]: Syntax error: missing field `run_sh`" },
    { SERVICE(",\"run_as\":7"), BV_E_FORMAT,
      "run_as: Output type incorrect: i64 (expecting String)" },
    { SERVICE(",\"shutdown_timeout_secs\":-1"), BV_E_FORMAT,
      "invalid value: integer `-1`, expected u64" },
    { SERVICE(",\"shutdown_timeout_secs\":1.5"), BV_E_FORMAT,
      "Output type incorrect: f64 (expecting u64)" },
    { SERVICE(",\"shutdown_timeout_secs\":18446744073709551615"), BV_E_FORMAT,
      "invalid value: integer `18446744073709551615`, expected u64" },
    { SERVICE(",\"shutdown_signal\":\"sigint\""), BV_E_FORMAT, "unknown variant `sigint`" },
    { SERVICE(",\"use_protocol_data\":1"), BV_E_FORMAT,
      "Output type incorrect: i64 (expecting bool)" },
    { SERVICE(",\"restart_config\":{\"backoff_timeout_ms\":1}"), BV_E_FORMAT,
      "missing field `backoff_base_ms`" },
    { SERVICE(",\"restart_config\":{\"backoff_timeout_ms\":1,\"backoff_base_ms\":1,\"max_retries\":"
              "4294967296}"),
      BV_E_FORMAT, "invalid value: integer `4294967296`, expected u32" },
    { WITH("\"upload\":{\"compression\":\"ZSTD\"}"), BV_E_FORMAT, "expected newtype variant" },
    { WITH("\"upload\":{\"compression\":{\"NONE\":1}}"), BV_E_FORMAT, "expected unit" },
    { WITH("\"upload\":{\"compression\":{\"LZ4\":1}}"), BV_E_FORMAT,
      "unknown variant `LZ4`, expected `NONE` or `ZSTD`" },
    { WITH("\"upload\":{\"compression\":{\"ZSTD\":1,\"NONE\":null}}"), BV_E_FORMAT,
      "Output type incorrect: map (expecting Compression)" },
    { WITH("\"upload\":{\"exclude\":[7]}"), BV_E_FORMAT,
      "upload.exclude[0]: Output type incorrect: i64" },
    { WITH("\"post_upload\":[{\"name\":\"a\",\"run_sh\":\"x\",\"restart\":{\"always\":{}}}]"),
      BV_E_FORMAT, "unknown variant `always`, expected `never` or `on_failure`" },
    { WITH("\"config_files\":[{\"template\":\"a\",\"destination\":\"b\"}]"), BV_E_FORMAT,
      "missing field `params`" },
    { WITH("\"scheduled\":[{\"name\":\"a\",\"schedule\":\"* * * * *\",\"function\":\"f\"}]"),
      BV_E_INVALID, "scheduled task 'a': schedule '* * * * *'" },
    { WITH("\"scheduled\":[{\"name\":\"a\",\"schedule\":\"@daily\",\"function\":\"f\"},"
           "{\"name\":\"a\",\"schedule\":\"@daily\",\"function\":\"f\"}]"),
      BV_E_INVALID, "Scheduled tasks names are not unique" },
    { "{\"services\":[{\"name\":\"upload\",\"run_sh\":\"x\"}]}", BV_E_INVALID,
      "Services names are not unique" },
    { "{\"services\":[{\"name\":\" \",\"run_sh\":\"x\"}]}", BV_E_INVALID, "empty name" },
    { WITH("\"aux_services\":[{\"name\":\"download\",\"run_sh\":\"x\"}]"), BV_E_INVALID,
      "Auxiliary services names are not unique" },
    { WITH("\"init\":{\"jobs\":[{\"name\":\"a\",\"run_sh\":\"x\"},{\"name\":\"a\",\"run_sh\":\"x\"}"
           "]}"),
      BV_E_INVALID, "Init jobs names are not unique" },
    { WITH("\"init\":{\"jobs\":[{\"name\":\"a\",\"run_sh\":\"x\"}]},"
           "\"post_download\":[{\"name\":\"a\",\"run_sh\":\"x\"}]"),
      BV_E_INVALID, "Post-download jobs names are not unique" },
    { "{\"services\":[{\"name\":\"a\",\"run_sh\":\"x\"}],"
      "\"pre_upload\":{\"jobs\":[{\"name\":\"a\",\"run_sh\":\"x\"}]}}",
      BV_E_INVALID, "Pre-upload jobs names are not unique" },
    { "{\"services\":[{\"name\":\"a\",\"run_sh\":\"x\"}],\"post_upload\":[{\"name\":\"a\",\"run_"
      "sh\":\"x\"}]}",
      BV_E_INVALID, "Post-upload jobs names are not unique" },
};

START_TEST(accepts_or_explains)
{
    bvi_auto_json bvi_json *config = NULL;
    bv_error *err = NULL;
    int r = convert_text(cases[_i].text, &config, NULL, &err);

    ck_assert_int_eq(r, cases[_i].code);
    bvt_assert_error_says(err, cases[_i].code, cases[_i].says);
    ck_assert((r == 0) == (config != NULL));
    bv_error_free(err);
}
END_TEST

START_TEST(names_unknown_keys)
{
    BVI_AUTO(bvi_strv_done) bvi_strv unknown = BVI_VEC_INIT(8);
    bvi_auto_json bvi_json *config = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(
        convert_text("{\"service\":1,\"services\":[{\"name\":\"a\",\"run_sh\":\"x\",\"foo\":1}],"
                     "\"upload\":{\"compression\":{\"ZSTD\":1},\"excludes\":[]}}",
                     &config, &unknown, &err),
        err);
    ck_assert_uint_eq(unknown.len, 3);
    ck_assert_str_eq(unknown.items[0],
                     "unknown key 'service' is ignored; did you mean 'services'?");
    ck_assert_str_eq(unknown.items[1], "unknown key 'services[0].foo' is ignored");
    ck_assert_str_eq(unknown.items[2],
                     "unknown key 'upload.excludes' is ignored; did you mean 'exclude'?");
    ck_assert_ptr_null(bvi_json_find(config, "service"));
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_strv_done) bvi_strv unknown = BVI_VEC_INIT(8);
        bvi_auto_json bvi_json *config = NULL;
        int r = convert_text(full, &config, &unknown, NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM || r == BV_E_FORMAT);
        ck_assert((r == 0) == (config != NULL));
    }
}
END_TEST

BVT_MAIN("plugin/config", bvt_test(converts_everything), bvt_loop(accepts_or_explains, cases),
         bvt_test(names_unknown_keys), bvt_test(survives_every_failed_allocation))
