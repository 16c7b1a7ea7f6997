/*
 * jobs.c - job configurations: the schema, and the settings derived from entries of a plugin's
 * configuration.
 */
#include <string.h>

#include "plugin/fields.h"
#include "plugin/jobs.h"

#define MULTI_UPLOAD   "multi_client_upload"
#define MULTI_DOWNLOAD "multi_client_download"

const bvi_field bvi_restart_config_fields[] = {
    REQ_U64("backoff_timeout_ms"),
    REQ_U64("backoff_base_ms"),
    OPT_U32("max_retries"),
    END_FIELDS,
};
const bvi_field bvi_string_item = { .kind = BVI_FIELD_STRING };
const bvi_field bvi_level_field = { .kind = BVI_FIELD_INT, .max = INT32_MAX, .type_name = "i32" };

static const bvi_field restart_payload = { .kind = BVI_FIELD_OBJECT,
                                           .fields = bvi_restart_config_fields };
static const bvi_variant restart_variants[] = {
    { "never", NULL },
    { "always", &restart_payload },
    { "on_failure", &restart_payload },
    { NULL },
};

static const bvi_variant compression_variants[] = {
    { "ZSTD", &bvi_level_field },
    { NULL },
};
/* "manifest" was the list of chunks in the first months; the engine finds it by itself. */
static const bvi_field download_fields[] = {
    OPT_U64("max_connections"),
    OPT_U64("max_runners"),
    SPARSE("destination", .kind = BVI_FIELD_STRING),
    SPARSE("manifest", .kind = BVI_FIELD_ANY),
    END_FIELDS,
};
static const bvi_field upload_fields[] = {
    OPT_LIST("exclude", &bvi_string_item, NULL),
    ENUM("compression", "Compression", compression_variants, false),
    OPT_U64("max_connections"),
    OPT_U64("max_runners"),
    OPT_U32("number_of_chunks"),
    OPT_U32("url_expires_secs"),
    OPT_U64("data_version"),
    SPARSE("source", .kind = BVI_FIELD_STRING),
    SPARSE("manifest", .kind = BVI_FIELD_ANY),
    END_FIELDS,
};

/* One client of several: its directory below the protocol data, and where it is archived. */
static const bvi_field client_fields[] = {
    REQ_STRING("name"),
    REQ_STRING("data_dir"),
    REQ_STRING("store_key"),
    END_FIELDS,
};
static const bvi_field client_item = { .kind = BVI_FIELD_OBJECT, .fields = client_fields };
static const bvi_field multi_download_fields[] = {
    OPT_U64("max_connections"),
    OPT_U64("max_runners"),
    SPARSE("clients", .kind = BVI_FIELD_LIST, .item = &client_item),
    END_FIELDS,
};
static const bvi_field multi_upload_fields[] = {
    OPT_U64("max_connections"),
    OPT_U64("max_runners"),
    OPT_U32("url_expires_secs"),
    OPT_U64("data_version"),
    SPARSE("exclude", .kind = BVI_FIELD_LIST, .item = &bvi_string_item),
    SPARSE("clients", .kind = BVI_FIELD_LIST, .item = &client_item),
    END_FIELDS,
};

static const bvi_field download_payload = { .kind = BVI_FIELD_OBJECT, .fields = download_fields };
static const bvi_field upload_payload = { .kind = BVI_FIELD_OBJECT, .fields = upload_fields };
static const bvi_field multi_download_payload = { .kind = BVI_FIELD_OBJECT,
                                                  .fields = multi_download_fields };
static const bvi_field multi_upload_payload = { .kind = BVI_FIELD_OBJECT,
                                                .fields = multi_upload_fields };
static const bvi_variant type_variants[] = {
    { "run_sh", &bvi_string_item },
    { "download", &download_payload },
    { "upload", &upload_payload },
    { MULTI_UPLOAD, &multi_upload_payload },
    { MULTI_DOWNLOAD, &multi_download_payload },
    { NULL },
};

const bvi_field bvi_job_fields[] = {
    ENUM("job_type", "JobType", type_variants, true),
    ENUM("restart", "RestartPolicy", restart_variants, true),
    OPT_U64("shutdown_timeout_secs"),
    OPT_SIGNAL("shutdown_signal"),
    OPT_LIST("needs", &bvi_string_item, NULL),
    OPT_LIST("wait_for", &bvi_string_item, NULL),
    OPT_STRING("run_as"),
    OPT_U64("log_buffer_capacity_mb"),
    OPT_BOOL("log_timestamp", NULL),
    OPT_USES_DATA(NULL),
    OPT_BOOL("one_time", NULL),
    END_FIELDS,
};

int bvi_plugin_job_convert(const bvi_json *map, bvi_json **ret_config, bv_error **err)
{
    return bvi_schema_convert(bvi_job_fields, map, ret_config, NULL, err);
}

int bvi_plugin_job_convert_value(const bvi_value *map, bvi_json **ret_config, bvi_strv *unknown,
                                 bv_error **err)
{
    return bvi_schema_convert_value(bvi_job_fields, map, ret_config, unknown, err);
}

/* ---- derived settings (spec plugin.md 5.3) ---- */

#define NEVER       "\"never\""
#define SERVICE_RC  "{\"backoff_timeout_ms\":60000,\"backoff_base_ms\":1000,\"max_retries\":null}"
#define TRANSFER_RC "{\"backoff_timeout_ms\":600000,\"backoff_base_ms\":500,\"max_retries\":10}"

/* Copied from an entry as they are, when it has them. */
static const char *const common_keys[] = {
    "shutdown_timeout_secs", "shutdown_signal",   "run_as",   "log_buffer_capacity_mb",
    "log_timestamp",         "use_protocol_data", "one_time",
};

static bvi_json *parse_text(const char *text)
{
    bvi_json *json = NULL;

    (void)bvi_json_parse(text, strlen(text), &json,
                         NULL); /* our own text: only memory can fail, and gives NULL */
    return json;
}

static bvi_json *one_key(const char *key, bvi_json *value)
{
    bvi_json *object = bvi_json_new_object();

    if (!object) {
        bvi_json_free(value);
        return NULL;
    }
    if (bvi_json_put(object, key, value) < 0) {
        bvi_json_free(object);
        return NULL;
    }
    return object;
}

/* {policy: entry's restart_config}, or {policy: def} when it gives none. */
static bvi_json *make_restart(const char *policy, const bvi_json *entry, const char *def)
{
    const bvi_json *rc = bvi_json_find(entry, "restart_config");

    if (bvi_json_type_of(rc) == BVI_JSON_NULL)
        return one_key(policy, parse_text(def));
    return one_key(policy, bvi_json_copy(rc));
}

/* The array under key of entry (may be absent), followed by names (may be NULL); null when both are
 * nothing. */
static bvi_json *make_names(const bvi_json *entry, const char *key, const bvi_strv *names)
{
    const bvi_json *own = bvi_json_find(entry, key);
    bvi_json *list;

    if (bvi_json_type_of(own) == BVI_JSON_NULL && !names)
        return bvi_json_new_null();
    list = bvi_json_type_of(own) == BVI_JSON_NULL ? bvi_json_new_array() : bvi_json_copy(own);
    for (size_t i = 0; list && names && i < names->len; i++) {
        if (bvi_json_add(list, bvi_json_new_string(names->items[i])) < 0) {
            bvi_json_free(list);
            return NULL;
        }
    }
    return list;
}

/* Takes type and restart over, also on failure. */
static int make_job(const bvi_json *entry, bvi_json *type, bvi_json *restart, const bvi_strv *needs,
                    const bvi_strv *wait_for, bvi_json **ret_config, bv_error **err)
{
    bvi_auto_json bvi_json *config = bvi_json_new_object();
    int r = config ? 0 : BV_E_NOMEM;

    if (r < 0) {
        bvi_json_free(type);
        bvi_json_free(restart);
        return bvi_fail_nomem(err);
    }
    /* put answers BV_E_NOMEM for a value that could not be made, so all is told by the worst of
     * them. */
    r |= bvi_json_put(config, "job_type", type);
    r |= bvi_json_put(config, "restart", restart);
    r |= bvi_json_put(config, "needs", make_names(entry, "needs", needs));
    r |= bvi_json_put(config, "wait_for", make_names(NULL, "wait_for", wait_for));
    for (size_t i = 0; i < BVI_COUNT(common_keys); i++) {
        const bvi_json *value = bvi_json_find(entry, common_keys[i]);

        r |= bvi_json_put(config, common_keys[i],
                          value ? bvi_json_copy(value) : bvi_json_new_null());
    }
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret_config = bvi_take(config);
    return 0;
}

static bvi_json *shell_type(const bvi_json *entry)
{
    return one_key("run_sh", bvi_json_new_string(bvi_json_string(bvi_json_find(entry, "run_sh"))));
}

int bvi_plugin_job_from_service(const bvi_json *service, const bvi_strv *needs,
                                const bvi_strv *wait_for, bvi_json **ret_config, bv_error **err)
{
    return make_job(service, shell_type(service), make_restart("always", service, SERVICE_RC),
                    needs, wait_for, ret_config, err);
}

int bvi_plugin_job_from_aux_service(const bvi_json *service, bvi_json **ret_config, bv_error **err)
{
    return bvi_plugin_job_from_service(service, NULL, NULL, ret_config, err);
}

int bvi_plugin_job_from_job(const bvi_json *job, const bvi_strv *needs, bvi_json **ret_config,
                            bv_error **err)
{
    const bvi_json *restart = bvi_json_find(job, "restart");

    return make_job(job, shell_type(job),
                    bvi_json_type_of(restart) == BVI_JSON_NULL ? parse_text(NEVER)
                                                               : bvi_json_copy(restart),
                    needs, NULL, ret_config, err);
}

/* The keys of an archive job's own settings, taken from an entry that may be null. */
static bvi_json *transfer_type(const char *type, const bvi_field *fields, const bvi_json *entry)
{
    bvi_json *settings = bvi_json_new_object();

    for (const bvi_field *f = fields; settings && f->key; f++) {
        const bvi_json *value = bvi_json_find(entry, f->key);

        if (f->sparse && bvi_json_type_of(value) == BVI_JSON_NULL)
            continue;
        if (bvi_json_put(settings, f->key, value ? bvi_json_copy(value) : bvi_json_new_null()) <
            0) {
            bvi_json_free(settings);
            settings = NULL;
        }
    }
    return one_key(type, settings);
}

int bvi_plugin_job_from_download(const bvi_json *download, const bvi_strv *needs,
                                 bvi_json **ret_config, bv_error **err)
{
    return make_job(NULL, transfer_type("download", download_fields, download),
                    make_restart("on_failure", download, TRANSFER_RC), needs, NULL, ret_config,
                    err);
}

/* The upload section says "NONE" where a job says nothing, and takes ZSTD 3 where it says nothing
 * itself. */
static bvi_json *upload_type(const bvi_json *upload)
{
    const bvi_json *given = bvi_json_find(upload, "compression");
    bvi_json *type = transfer_type("upload", upload_fields, upload);
    bvi_json *settings;
    int r = 0;

    if (!type)
        return NULL;
    settings = (bvi_json *)bvi_json_find(type, "upload"); /* our own document */
    if (bvi_json_type_of(given) == BVI_JSON_NULL)
        r = bvi_json_put(settings, "compression", one_key("ZSTD", bvi_json_new_int64(3)));
    else if (bvi_json_string(given))
        r = bvi_json_put(settings, "compression", bvi_json_new_null());
    if (r < 0) {
        bvi_json_free(type);
        return NULL;
    }
    return type;
}

int bvi_plugin_job_from_upload(const bvi_json *upload, const bvi_strv *needs, bvi_json **ret_config,
                               bv_error **err)
{
    return make_job(NULL, upload_type(upload), make_restart("on_failure", upload, TRANSFER_RC),
                    needs, NULL, ret_config, err);
}

/* ---- several clients, each with an archive of its own ---- */

static bool is_set(const bvi_json *object, const char *key)
{
    return bvi_json_type_of(bvi_json_find(object, key)) != BVI_JSON_NULL;
}

/* Downloads do not ask for "archive": what is not archived from here may come from elsewhere. */
static bool is_client(const bvi_json *service, bool upload)
{
    return is_set(service, "store_key") &&
           bvi_json_is_true(bvi_json_find(service, "use_protocol_data")) &&
           (!upload || bvi_json_is_true(bvi_json_find(service, "archive")));
}

bool bvi_plugin_has_clients(const bvi_json *config)
{
    bvi_json_each(service, bvi_json_find(config, "services")) {
        if (is_client(service, true))
            return true;
    }
    return false;
}

static int add_client(bvi_json *list, const bvi_json *service)
{
    bvi_json *client = bvi_json_new_object();
    const char *key = is_set(service, "data_dir") ? "data_dir" : "name";

    if (bvi_json_add(list, client) < 0)
        return BV_E_NOMEM;
    if (bvi_json_put(client, "name", bvi_json_copy(bvi_json_find(service, "name"))) < 0 ||
        bvi_json_put(client, "data_dir", bvi_json_copy(bvi_json_find(service, key))) < 0 ||
        bvi_json_put(client, "store_key", bvi_json_copy(bvi_json_find(service, "store_key"))) < 0)
        return BV_E_NOMEM;
    return 0;
}

/* NULL: no memory. */
static bvi_json *clients_of(const bvi_json *config, bool upload)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    bvi_json_each(service, bvi_json_find(config, "services")) {
        if (!list || (is_client(service, upload) && add_client(list, service) < 0))
            return NULL;
    }
    return bvi_take(list);
}

int bvi_plugin_job_add_clients(bvi_json *job, const bvi_json *config, bv_error **err)
{
    /* our own document */
    bvi_json *settings = (bvi_json *)bvi_json_first(bvi_json_find(job, "job_type"));
    const char *type = bvi_json_key(settings);
    bool upload = type && strcmp(type, MULTI_UPLOAD) == 0;

    if (!upload && (!type || strcmp(type, MULTI_DOWNLOAD) != 0))
        return 0;
    if (is_set(settings, "clients"))
        return 0;
    if (!config)
        return bvi_fail(err, BV_E_STATE,
                        "a job of type '%s' needs a plugin configuration, whose services are its "
                        "clients",
                        type);
    return bvi_json_put(settings, "clients", clients_of(config, upload)) < 0 ? bvi_fail_nomem(err)
                                                                             : 0;
}

int bvi_plugin_job_add_path(bvi_json *job, const char *path, bv_error **err)
{
    /* our own document */
    bvi_json *settings = (bvi_json *)bvi_json_first(bvi_json_find(job, "job_type"));
    const char *type = bvi_json_key(settings);
    const char *key = type && strcmp(type, "download") == 0 ? "destination"
                      : type && strcmp(type, "upload") == 0 ? "source"
                                                            : NULL;

    if (!path || !key || is_set(settings, key))
        return 0;
    return bvi_json_put_string(settings, key, path) < 0 ? bvi_fail_nomem(err) : 0;
}

static int multi_job(const bvi_json *config, const char *section, const char *type,
                     const bvi_field *fields, const bvi_strv *needs, bvi_json **ret_config,
                     bv_error **err)
{
    const bvi_json *entry = bvi_json_find(config, section);
    bvi_auto_json bvi_json *job = NULL;
    int r;

    r = make_job(NULL, transfer_type(type, fields, entry),
                 make_restart("on_failure", entry, TRANSFER_RC), needs, NULL, &job, err);
    if (r >= 0)
        r = bvi_plugin_job_add_clients(job, config, err);
    if (r >= 0)
        *ret_config = bvi_take(job);
    return r;
}

int bvi_plugin_job_from_multi_download(const bvi_json *config, const bvi_strv *needs,
                                       bvi_json **ret_config, bv_error **err)
{
    return multi_job(config, "download", MULTI_DOWNLOAD, multi_download_fields, needs, ret_config,
                     err);
}

int bvi_plugin_job_from_multi_upload(const bvi_json *config, const bvi_strv *needs,
                                     bvi_json **ret_config, bv_error **err)
{
    return multi_job(config, "upload", MULTI_UPLOAD, multi_upload_fields, needs, ret_config, err);
}

int bvi_plugin_job_from_download_script(const bvi_json *entry, const bvi_strv *needs,
                                        bvi_json **ret_config, bv_error **err)
{
    bool restarts = bvi_json_type_of(bvi_json_find(entry, "restart_config")) != BVI_JSON_NULL;

    return make_job(entry, shell_type(entry),
                    restarts ? make_restart("on_failure", entry, TRANSFER_RC) : parse_text(NEVER),
                    needs, NULL, ret_config, err);
}
