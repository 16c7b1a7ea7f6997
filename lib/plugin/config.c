/*
 * config.c - the schema of plugin_config(). config_eval.c and config_store.c use it.
 */
#include <string.h>

#include "plugin/config.h"
#include "plugin/config_check.h"
#include "plugin/fields.h"
#include "plugin/jobs.h"

#define OPT_RESTART OPT_OBJECT("restart_config", bvi_restart_config_fields)
#define OPT_LOGS    OPT_U64("log_buffer_capacity_mb"), OPT_BOOL("log_timestamp", NULL)

static const bvi_field config_file_fields[] = {
    REQ_STRING("template"),
    REQ_STRING("destination"),
    { .key = "params", .kind = BVI_FIELD_ANY, .required = true },
    END_FIELDS,
};

static const bvi_field aux_service_fields[] = {
    REQ_STRING("name"),
    REQ_STRING("run_sh"),
    OPT_RESTART,
    OPT_U64("shutdown_timeout_secs"),
    OPT_SIGNAL("shutdown_signal"),
    OPT_STRING("run_as"),
    OPT_LOGS,
    END_FIELDS,
};

static const bvi_field service_fields[] = {
    REQ_STRING("name"),
    REQ_STRING("run_sh"),
    OPT_RESTART,
    OPT_U64("shutdown_timeout_secs"),
    OPT_SIGNAL("shutdown_signal"),
    OPT_STRING("run_as"),
    OPT_USES_DATA("true"),
    OPT_LOGS,
    OPT_STRING("data_dir"),
    OPT_STRING("store_key"),
    OPT_BOOL("archive", "true"),
    END_FIELDS,
};

/* "always" would never let the next stage begin. */
static const bvi_field on_failure_payload = { .kind = BVI_FIELD_OBJECT,
                                              .fields = bvi_restart_config_fields };
static const bvi_variant job_restart_variants[] = {
    { "never", NULL },
    { "on_failure", &on_failure_payload },
    { NULL },
};

static const bvi_field job_fields[] = {
    REQ_STRING("name"),
    REQ_STRING("run_sh"),
    ENUM("restart", "JobRestart", job_restart_variants, false),
    OPT_U64("shutdown_timeout_secs"),
    OPT_SIGNAL("shutdown_signal"),
    OPT_LIST("needs", &bvi_string_item, NULL),
    OPT_STRING("run_as"),
    OPT_LOGS,
    OPT_USES_DATA("false"),
    OPT_BOOL("one_time", "false"),
    END_FIELDS,
};
static const bvi_field job_item = { .kind = BVI_FIELD_OBJECT, .fields = job_fields };

/* Upstream demands both keys of Actions; real plugins leave one out. */
static const bvi_field actions_fields[] = {
    OPT_LIST("commands", &bvi_string_item, "[]"),
    OPT_LIST("jobs", &job_item, "[]"),
    END_FIELDS,
};

static const bvi_field download_fields[] = {
    OPT_RESTART,
    OPT_U64("max_connections"),
    OPT_U64("max_runners"),
    END_FIELDS,
};

static const bvi_field alternative_download_fields[] = {
    REQ_STRING("run_sh"), OPT_RESTART, OPT_STRING("run_as"), OPT_LOGS, END_FIELDS,
};

static const bvi_field cold_init_fields[] = {
    REQ_STRING("run_sh"),       OPT_RESTART, OPT_STRING("run_as"), OPT_LOGS,
    OPT_BOOL("one_time", NULL), END_FIELDS,
};

static const bvi_variant compression_variants[] = {
    { "NONE", NULL },
    { "ZSTD", &bvi_level_field },
    { NULL },
};
/* Ours: other engines ignore it. Read by the host when an upload asks (lib/node). */
static const bvi_variant format_variants[] = {
    { "archive", NULL },
    { "snapshot", NULL },
    { NULL },
};
static const bvi_field upload_fields[] = {
    OPT_RESTART,
    OPT_LIST("exclude", &bvi_string_item, NULL),
    ENUM("compression", "Compression", compression_variants, false),
    OPT_U64("max_connections"),
    OPT_U64("max_runners"),
    OPT_U32("number_of_chunks"),
    OPT_U32("url_expires_secs"),
    OPT_U64("data_version"),
    SPARSE("format", .kind = BVI_FIELD_ENUM, .type_name = "Format", .variants = format_variants),
    END_FIELDS,
};

static const bvi_field task_fields[] = {
    REQ_STRING("name"), REQ_STRING("schedule"), REQ_STRING("function"), OPT_STRING("param"),
    END_FIELDS,
};

static const bvi_field config_file_item = { .kind = BVI_FIELD_OBJECT,
                                            .fields = config_file_fields };
static const bvi_field aux_service_item = { .kind = BVI_FIELD_OBJECT,
                                            .fields = aux_service_fields };
static const bvi_field service_item = { .kind = BVI_FIELD_OBJECT, .fields = service_fields };
static const bvi_field task_item = { .kind = BVI_FIELD_OBJECT, .fields = task_fields };

const bvi_field bvi_plugin_config_fields[] = {
    OPT_LIST("config_files", &config_file_item, NULL),
    OPT_LIST("aux_services", &aux_service_item, NULL),
    OPT_OBJECT("init", actions_fields),
    OPT_OBJECT("download", download_fields),
    OPT_OBJECT("alternative_download", alternative_download_fields),
    OPT_LIST("post_download", &job_item, NULL),
    OPT_OBJECT("cold_init", cold_init_fields),
    REQ_LIST("services", &service_item),
    OPT_OBJECT("pre_upload", actions_fields),
    OPT_OBJECT("upload", upload_fields),
    OPT_LIST("post_upload", &job_item, NULL),
    OPT_LIST("scheduled", &task_item, NULL),
    SPARSE("disable_default_services", .kind = BVI_FIELD_BOOL), /* of E2; see legacy.h */
    END_FIELDS,
};

/* Takes over a config that has the right shape. */
static int checked(bvi_json *config, bvi_json **ret_config, bv_error **err)
{
    int r = bvi_plugin_config_check(config, err);

    if (r < 0)
        bvi_json_free(config);
    else
        *ret_config = config;
    return r;
}

int bvi_plugin_config_convert(const bvi_json *value, bvi_json **ret_config, bvi_strv *unknown,
                              bv_error **err)
{
    bvi_json *config = NULL;
    int r = bvi_schema_convert(bvi_plugin_config_fields, value, &config, unknown, err);

    return r < 0 ? r : checked(config, ret_config, err);
}

int bvi_plugin_config_convert_value(const bvi_value *value, bvi_json **ret_config,
                                    bvi_strv *unknown, bv_error **err)
{
    bvi_json *config = NULL;
    int r = bvi_schema_convert_value(bvi_plugin_config_fields, value, &config, unknown, err);

    return r < 0 ? r : checked(config, ret_config, err);
}
