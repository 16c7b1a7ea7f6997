/*
 * job_config.c - job configurations: checked on the way in, complete on the way out.
 */
#include <limits.h>
#include <string.h>

#include "base/id.h"
#include "job/job_config.h"
#include "sys/proc.h"

const bvi_name bvi_job_type_names[] = {
    { BVI_JOB_RUN_SH, "run_sh" },
    { BVI_JOB_DOWNLOAD, "download" },
    { BVI_JOB_UPLOAD, "upload" },
    { BVI_JOB_MULTI_DOWNLOAD, "multi_client_download" },
    { BVI_JOB_MULTI_UPLOAD, "multi_client_upload" },
    { 0, NULL },
};

/* The variants of "restart" that carry settings; "never" is a plain string. */
static const bvi_name restart_names[] = {
    { BVI_RESTART_ALWAYS, "always" },
    { BVI_RESTART_ON_FAILURE, "on_failure" },
    { 0, NULL },
};

static const char *const optional_keys[] = {
    "shutdown_timeout_secs",
    "shutdown_signal",
    "needs",
    "wait_for",
    "run_as",
    "log_buffer_capacity_mb",
    "log_timestamp",
    "use_protocol_data",
    "one_time",
};

int bvi_job_name_check(const char *name, bv_error **err)
{
    if (!*name)
        return bvi_fail(err, BV_E_INVALID, "empty job name is not allowed");
    if (!bvi_name_valid(name, BVI_JOB_NAME_MAX))
        return bvi_fail(
            err, BV_E_INVALID,
            "invalid job name '%.64s': use letters, digits, '.', '_' and '-', at most %u of them",
            name, BVI_JOB_NAME_MAX);
    return 0;
}

/* ---- body ---- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t trim_end(char *body, size_t len)
{
    while (len && is_blank(body[len - 1]))
        len--;
    body[len] = '\0';
    return len;
}

void bvi_job_body_normalise(char *body)
{
    size_t start = 0;
    size_t len;

    while (is_blank(body[start]))
        start++;
    memmove(body, body + start, strlen(body + start) + 1);
    len = trim_end(body, strlen(body));
    while (len && body[len - 1] == '\\')
        len--;
    len = trim_end(body, len);
    while (len >= 2 && body[len - 1] == '&' && body[len - 2] == '&')
        len -= 2;
    (void)trim_end(body, len); /* the new length is in the text */
}

/* ---- reading ---- */

/* A whole number that fits 32 bits; missing and null leave the default. */
static int opt_u32(const bvi_json *object, const char *key, uint32_t max, uint32_t *value,
                   bv_error **err)
{
    uint64_t wide = *value;
    int r = bvi_json_opt_uint64(object, key, &wide, err);

    if (r < 0)
        return r;
    if (wide > max)
        return bvi_fail(err, BV_E_INVALID, "'%s' is %llu, more than %u", key,
                        (unsigned long long)wide, max);
    *value = (uint32_t)wide;
    return 0;
}

static int opt_strings(const bvi_json *object, const char *key, bvi_strv *list, bv_error **err)
{
    const bvi_json *array = bvi_json_find(object, key);

    if (bvi_json_type_of(array) == BVI_JSON_NULL)
        return 0;
    if (bvi_json_type_of(array) != BVI_JSON_ARRAY)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is a %s, not an array", key,
                        bvi_json_type_name(array));
    bvi_json_each(item, array) {
        const char *text = bvi_json_string(item);
        int r;

        if (!text)
            return bvi_fail(err, BV_E_FORMAT, "'%s' holds a %s, not only strings", key,
                            bvi_json_type_name(item));
        r = bvi_strv_add(list, text);
        if (r == BV_E_LIMIT)
            return bvi_fail(err, r, "'%s' has more than %zu entries", key, list->max);
        if (r < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}

static int parse_names(const bvi_json *root, const char *key, bvi_strv *list, bv_error **err)
{
    int r = opt_strings(root, key, list, err);

    for (size_t i = 0; i < list->len && r == 0; i++)
        r = bvi_job_name_check(list->items[i], err);
    return r < 0 ? bvi_wrap(err, r, "'%s'", key) : 0;
}

/* {"ZSTD": level} */
static int parse_compression(const bvi_json *settings, bvi_job_archive *archive, bv_error **err)
{
    const bvi_json *compression = bvi_json_find(settings, "compression");
    int64_t level = 0;
    int r;

    if (bvi_json_type_of(compression) == BVI_JSON_NULL)
        return 0;
    r = bvi_json_get_int64(compression, "ZSTD", &level, err);
    if (r < 0)
        return bvi_wrap(err, r, "'compression' is not {\"ZSTD\": level}");
    if (level < -22 || level > 22)
        return bvi_fail(err, BV_E_INVALID, "'compression' level %lld is not within -22 to 22",
                        (long long)level);
    archive->has_compression = true;
    archive->zstd_level = (int32_t)level;
    return 0;
}

/* Whether some component of a path is "..". */
static bool climbs(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
            return true;
    }
    return false;
}

/* Plugins of 2024 could name where an archive goes to, or comes from. */
static int parse_dir(const bvi_json *settings, bvi_job_archive *archive, bv_error **err)
{
    const char *dir = NULL;
    int r = bvi_json_opt_string(settings, "destination", &dir, err);

    if (r == 0)
        r = bvi_json_opt_string(settings, "source", &dir, err);
    if (r < 0 || !dir)
        return r;
    if (*dir != '/' || climbs(dir))
        return bvi_fail(err, BV_E_INVALID, "'%.256s' is not an absolute path without '..'", dir);
    archive->dir = bvi_strdup(dir);
    return archive->dir ? 0 : bvi_fail_nomem(err);
}

static int check_client(const bvi_json *client, bv_error **err)
{
    const char *name = NULL;
    const char *dir = NULL;
    const char *key = NULL;
    int r = bvi_json_get_string(client, "name", &name, err);

    if (r == 0)
        r = bvi_json_get_string(client, "data_dir", &dir, err);
    if (r == 0)
        r = bvi_json_get_string(client, "store_key", &key, err);
    if (r == 0)
        r = bvi_job_name_check(name, err);
    if (r < 0)
        return r;
    if (!*dir || *dir == '/' || climbs(dir))
        return bvi_fail(err, BV_E_INVALID,
                        "client '%s': 'data_dir' is not a relative path without '..'", name);
    return *key ? 0 : bvi_fail(err, BV_E_INVALID, "client '%s': 'store_key' is empty", name);
}

static int parse_clients(const bvi_json *settings, bvi_job_archive *archive, bv_error **err)
{
    const bvi_json *clients = bvi_json_find(settings, "clients");

    if (bvi_json_type_of(clients) == BVI_JSON_NULL)
        return 0;
    if (bvi_json_type_of(clients) != BVI_JSON_ARRAY ||
        bvi_json_count(clients) > BVI_JOB_CLIENTS_MAX)
        return bvi_fail(err, BV_E_FORMAT, "'clients' is not a list of at most %u",
                        BVI_JOB_CLIENTS_MAX);
    bvi_json_each(client, clients) {
        int r = check_client(client, err);

        if (r < 0)
            return bvi_wrap(err, r, "'clients'");
    }
    archive->clients = bvi_json_copy(clients);
    return archive->clients ? 0 : bvi_fail_nomem(err);
}

static int parse_archive(const bvi_json *settings, bvi_job_archive *archive, bv_error **err)
{
    const bvi_json *version = bvi_json_find(settings, "data_version");
    int r;

    if (bvi_json_type_of(settings) == BVI_JSON_NULL)
        return 0; /* a unit value: nothing set */
    if (bvi_json_type_of(settings) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "its settings are a %s, not an object",
                        bvi_json_type_name(settings));
    r = opt_u32(settings, "max_connections", UINT32_MAX, &archive->max_connections, err);
    if (r == 0)
        r = opt_u32(settings, "max_runners", UINT32_MAX, &archive->max_runners, err);
    if (r == 0)
        r = opt_u32(settings, "number_of_chunks", UINT32_MAX, &archive->number_of_chunks, err);
    if (r == 0)
        r = opt_u32(settings, "url_expires_secs", UINT32_MAX, &archive->url_expires_secs, err);
    if (r == 0)
        r = opt_strings(settings, "exclude", &archive->exclude, err);
    if (r == 0)
        r = parse_compression(settings, archive, err);
    if (r == 0)
        r = bvi_json_opt_uint64(settings, "data_version", &archive->data_version, err);
    archive->has_data_version = bvi_json_type_of(version) != BVI_JSON_NULL;
    if (r == 0)
        r = parse_dir(settings, archive, err);
    return r < 0 ? r : parse_clients(settings, archive, err);
}

static int parse_body(const char *body, bvi_job_config *config, bv_error **err)
{
    if (!body)
        return bvi_fail(err, BV_E_FORMAT, "'run_sh' is not a string");
    if (strlen(body) > BVI_JOB_BODY_MAX)
        return bvi_fail(err, BV_E_LIMIT,
                        "the 'run_sh' body has more than %u bytes: put it into a script file",
                        BVI_JOB_BODY_MAX);
    config->body = bvi_strdup(body);
    if (!config->body)
        return bvi_fail_nomem(err);
    bvi_job_body_normalise(config->body);
    return *config->body ? 0 : bvi_fail(err, BV_E_INVALID, "the 'run_sh' body is empty");
}

/* An object with one key: the variant. */
static int parse_type(const bvi_json *root, bvi_job_config *config, bv_error **err)
{
    const bvi_json *type = NULL;
    const bvi_json *variant;
    int value = 0;
    int r = bvi_json_get_object(root, "job_type", &type, err);

    if (r < 0)
        return r;
    variant = bvi_json_first(type);
    if (!variant || bvi_json_next(variant))
        return bvi_fail(err, BV_E_FORMAT, "'job_type' must have exactly one key");
    if (!bvi_name_find(bvi_job_type_names, bvi_json_key(variant), &value))
        return bvi_fail(err, BV_E_INVALID, "unknown job type '%.64s'", bvi_json_key(variant));
    config->type = (bvi_job_type)value;
    if (config->type == BVI_JOB_RUN_SH)
        return parse_body(bvi_json_string(variant), config, err);
    r = parse_archive(variant, &config->archive, err);
    return r < 0 ? bvi_wrap(err, r, "job type '%s'", bvi_json_key(variant)) : 0;
}

static int parse_backoff(const bvi_json *settings, bvi_backoff_config *restart, bv_error **err)
{
    const bvi_json *retries = bvi_json_find(settings, "max_retries");
    int r = bvi_json_get_uint64(settings, "backoff_timeout_ms", &restart->backoff_timeout_ms, err);

    if (r == 0)
        r = bvi_json_get_uint64(settings, "backoff_base_ms", &restart->backoff_base_ms, err);
    if (r == 0)
        r = opt_u32(settings, "max_retries", UINT32_MAX, &restart->max_retries, err);
    restart->has_max_retries = bvi_json_type_of(retries) != BVI_JSON_NULL;
    return r;
}

static int parse_restart(const bvi_json *root, bvi_backoff_config *restart, bv_error **err)
{
    const bvi_json *node = bvi_json_find(root, "restart");
    const char *plain = bvi_json_string(node);
    const bvi_json *variant =
        bvi_json_type_of(node) == BVI_JSON_OBJECT ? bvi_json_first(node) : NULL;
    int value = 0;
    int r;

    if (!node)
        return bvi_fail(err, BV_E_FORMAT, "'restart' is missing");
    if (plain && strcmp(plain, "never") == 0) {
        restart->policy = BVI_RESTART_NEVER;
        return 0;
    }
    if (!variant || bvi_json_next(variant) ||
        !bvi_name_find(restart_names, bvi_json_key(variant), &value))
        return bvi_fail(
            err, BV_E_FORMAT,
            "'restart' is not \"never\", {\"always\": {...}} or {\"on_failure\": {...}}");
    restart->policy = (bvi_restart)value;
    if (bvi_json_type_of(variant) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "'restart': the settings of '%s' are missing",
                        bvi_json_key(variant));
    r = parse_backoff(variant, restart, err);
    return r < 0 ? bvi_wrap(err, r, "'restart'") : 0;
}

static int parse_signal(const bvi_json *root, int *ret_signal, bv_error **err)
{
    const char *name = "SIGTERM";
    int r = bvi_json_opt_string(root, "shutdown_signal", &name, err);

    if (r < 0)
        return r;
    if (!bvi_signal_from_name(name, ret_signal))
        return bvi_fail(err, BV_E_INVALID, "'shutdown_signal' names no signal: '%.64s'", name);
    return 0;
}

static int parse_run_as(const bvi_json *root, char **ret_user, bv_error **err)
{
    const char *user = NULL;
    int r = bvi_json_opt_string(root, "run_as", &user, err);

    if (r < 0 || !user)
        return r;
    if (!*user || strpbrk(user, ":\n") || strlen(user) > 255)
        return bvi_fail(err, BV_E_INVALID, "'run_as' is not a user name");
    *ret_user = bvi_strdup(user);
    return *ret_user ? 0 : bvi_fail_nomem(err);
}

static int parse_limits(const bvi_json *root, bvi_job_config *config, bv_error **err)
{
    int r = opt_u32(root, "shutdown_timeout_secs", BVI_JOB_SHUTDOWN_MAX_S,
                    &config->shutdown_timeout_secs, err);

    if (r == 0)
        r = opt_u32(root, "log_buffer_capacity_mb", BVI_JOB_LOG_MAX_MB,
                    &config->log_buffer_capacity_mb, err);
    if (r == 0 && config->log_buffer_capacity_mb == 0)
        r = bvi_fail(err, BV_E_INVALID, "'log_buffer_capacity_mb' is 0: the smallest is 1");
    return r;
}

static int parse_flags(const bvi_json *root, bvi_job_config *config, bv_error **err)
{
    int r = bvi_json_opt_bool(root, "log_timestamp", &config->log_timestamp, err);

    if (r == 0)
        r = bvi_json_opt_bool(root, "use_protocol_data", &config->use_protocol_data, err);
    return r < 0 ? r : bvi_json_opt_bool(root, "one_time", &config->one_time, err);
}

static int parse_into(const bvi_json *root, bvi_job_config *config, bv_error **err)
{
    int r = parse_type(root, config, err);

    if (r == 0)
        r = parse_restart(root, &config->restart, err);
    if (r == 0)
        r = parse_limits(root, config, err);
    if (r == 0)
        r = parse_signal(root, &config->shutdown_signal, err);
    if (r == 0)
        r = parse_names(root, "needs", &config->needs, err);
    if (r == 0)
        r = parse_names(root, "wait_for", &config->wait_for, err);
    if (r == 0)
        r = parse_run_as(root, &config->run_as, err);
    return r < 0 ? r : parse_flags(root, config, err);
}

int bvi_job_config_parse(const bvi_json *root, bvi_job_config **ret_config, bv_error **err)
{
    BVI_AUTO(bvi_job_config_freep) bvi_job_config *config = bvi_new0(bvi_job_config);
    int r;

    if (!config)
        return bvi_fail_nomem(err);
    config->archive.exclude.max = BVI_JOB_LIST_MAX;
    config->needs.max = config->wait_for.max = BVI_JOB_DEPS_MAX;
    config->shutdown_timeout_secs = BVI_JOB_SHUTDOWN_DEFAULT_S;
    config->log_buffer_capacity_mb = BVI_JOB_LOG_DEFAULT_MB;
    if (bvi_json_type_of(root) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "a job configuration is an object, not a %s",
                        bvi_json_type_name(root));
    r = parse_into(root, config, err);
    if (r < 0)
        return bvi_wrap(err, r, "invalid job configuration");
    *ret_config = bvi_take(config);
    return 0;
}

void bvi_job_config_free(bvi_job_config *config)
{
    if (!config)
        return;
    bvi_free(config->body);
    bvi_free(config->run_as);
    bvi_strv_done(&config->archive.exclude);
    bvi_free(config->archive.dir);
    bvi_json_free(config->archive.clients);
    bvi_strv_done(&config->needs);
    bvi_strv_done(&config->wait_for);
    bvi_free(config);
}

bool bvi_job_config_blocks_upgrade(const bvi_job_config *config)
{
    return config->restart.policy == BVI_RESTART_NEVER ||
           (config->restart.policy == BVI_RESTART_ON_FAILURE && config->restart.has_max_retries);
}

/* ---- writing ---- */

int bvi_job_config_complete(const bvi_json *root, bvi_json **ret_root, bv_error **err)
{
    bvi_auto_json bvi_json *copy = bvi_json_copy(root);
    int r = copy ? 0 : BV_E_NOMEM;

    for (size_t i = 0; i < BVI_COUNT(optional_keys) && r == 0; i++) {
        if (!bvi_json_find(copy, optional_keys[i]))
            r = bvi_json_put(copy, optional_keys[i], bvi_json_new_null());
    }
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret_root = bvi_take(copy);
    return 0;
}

static bvi_json *optional_u32(uint32_t value)
{
    return value ? bvi_json_new_uint64(value) : bvi_json_new_null();
}

static bvi_json *strings_to_json(const bvi_strv *list)
{
    bvi_auto_json bvi_json *array = bvi_json_new_array();

    for (size_t i = 0; i < list->len; i++) {
        if (!array || bvi_json_add(array, bvi_json_new_string(list->items[i])) < 0)
            return NULL;
    }
    return bvi_take(array);
}

static bvi_json *compression_to_json(const bvi_job_archive *archive)
{
    bvi_auto_json bvi_json *object = NULL;

    if (!archive->has_compression)
        return bvi_json_new_null();
    object = bvi_json_new_object();
    if (!object || bvi_json_put_int64(object, "ZSTD", archive->zstd_level) < 0)
        return NULL;
    return bvi_take(object);
}

static bvi_json *archive_to_json(const bvi_job_config *config)
{
    const bvi_job_archive *a = &config->archive;
    bool upload = config->type == BVI_JOB_UPLOAD;
    bool sends = upload || config->type == BVI_JOB_MULTI_UPLOAD;
    bvi_auto_json bvi_json *object = bvi_json_new_object();
    int r = object ? 0 : BV_E_NOMEM;

    if (r == 0 && (upload || a->exclude.len))
        r = bvi_json_put(object, "exclude",
                         a->exclude.len ? strings_to_json(&a->exclude) : bvi_json_new_null());
    if (r == 0 && upload)
        r = bvi_json_put(object, "compression", compression_to_json(a));
    if (r == 0)
        r = bvi_json_put(object, "max_connections", optional_u32(a->max_connections));
    if (r == 0)
        r = bvi_json_put(object, "max_runners", optional_u32(a->max_runners));
    if (r == 0 && upload)
        r = bvi_json_put(object, "number_of_chunks", optional_u32(a->number_of_chunks));
    if (r == 0 && sends)
        r = bvi_json_put(object, "url_expires_secs", optional_u32(a->url_expires_secs));
    if (r == 0 && sends)
        r = bvi_json_put(object, "data_version",
                         a->has_data_version ? bvi_json_new_uint64(a->data_version)
                                             : bvi_json_new_null());
    if (r == 0 && a->dir)
        r = bvi_json_put_string(object, upload ? "source" : "destination", a->dir);
    if (r == 0 && a->clients)
        r = bvi_json_put(object, "clients", bvi_json_copy(a->clients));
    return r < 0 ? NULL : bvi_take(object);
}

static bvi_json *type_to_json(const bvi_job_config *config)
{
    bvi_auto_json bvi_json *type = bvi_json_new_object();
    bvi_json *value = config->type == BVI_JOB_RUN_SH ? bvi_json_new_string(config->body)
                                                     : archive_to_json(config);

    if (!type) {
        bvi_json_free(value);
        return NULL;
    }
    if (bvi_json_put(type, bvi_name_of(bvi_job_type_names, (int)config->type), value) < 0)
        return NULL;
    return bvi_take(type);
}

static bvi_json *restart_to_json(const bvi_backoff_config *restart)
{
    bvi_auto_json bvi_json *outer = NULL;
    bvi_auto_json bvi_json *inner = NULL;

    if (restart->policy == BVI_RESTART_NEVER)
        return bvi_json_new_string("never");
    outer = bvi_json_new_object();
    inner = bvi_json_new_object();
    if (!outer || !inner ||
        bvi_json_put_uint64(inner, "backoff_timeout_ms", restart->backoff_timeout_ms) < 0 ||
        bvi_json_put_uint64(inner, "backoff_base_ms", restart->backoff_base_ms) < 0 ||
        bvi_json_put(inner, "max_retries",
                     restart->has_max_retries ? bvi_json_new_uint64(restart->max_retries)
                                              : bvi_json_new_null()) < 0)
        return NULL;
    if (bvi_json_put(outer, bvi_name_of(restart_names, (int)restart->policy), bvi_take(inner)) < 0)
        return NULL;
    return bvi_take(outer);
}

int bvi_job_config_to_json(const bvi_job_config *config, bvi_json **ret_root, bv_error **err)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    int r = root ? 0 : BV_E_NOMEM;

    if (r == 0)
        r = bvi_json_put(root, "job_type", type_to_json(config));
    if (r == 0)
        r = bvi_json_put(root, "restart", restart_to_json(&config->restart));
    if (r == 0)
        r = bvi_json_put_uint64(root, "shutdown_timeout_secs", config->shutdown_timeout_secs);
    if (r == 0)
        r = bvi_json_put_string(root, "shutdown_signal", bvi_signal_name(config->shutdown_signal));
    if (r == 0)
        r = bvi_json_put(root, "needs", strings_to_json(&config->needs));
    if (r == 0)
        r = bvi_json_put(root, "wait_for", strings_to_json(&config->wait_for));
    if (r == 0)
        r = bvi_json_put_string(root, "run_as", config->run_as);
    if (r == 0)
        r = bvi_json_put_uint64(root, "log_buffer_capacity_mb", config->log_buffer_capacity_mb);
    if (r == 0)
        r = bvi_json_put_bool(root, "log_timestamp", config->log_timestamp);
    if (r == 0)
        r = bvi_json_put_bool(root, "use_protocol_data", config->use_protocol_data);
    if (r == 0)
        r = bvi_json_put_bool(root, "one_time", config->one_time);
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret_root = bvi_take(root);
    return 0;
}
