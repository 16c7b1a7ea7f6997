/*
 * check_config.c - what plugin_config() returned: its shape, its names, what it refers to. See
 * check_impl.h.
 */
#include <string.h>

#include "base/glob.h"
#include "plugin/check_impl.h"
#include "plugin/check_shape.h"
#include "plugin/config.h"
#include "plugin/jobs.h"

#define NAMES_MAX 4096u

typedef struct config_check {
    bvi_check *check;
    size_t variant;
    const bvi_json *value;
} config_check;

static bvi_spot spot_of(const config_check *c, const char *path)
{
    return bvi_check_config_spot(c->check, c->value, path);
}

/* ---- shape ---- */

static void on_unknown(void *data, const char *path, const bvi_json *node, const bvi_near *near)
{
    const config_check *c = data;

    bvi_check_unknown_key(c->check, c->variant, spot_of(c, path), path, near);
}

static void on_former(void *data, const char *path, const bvi_json *node, const bvi_field *field)
{
    const config_check *c = data;

    bvi_check_former_key(c->check, c->variant, spot_of(c, path), path, field);
}

static void on_missing(void *data, const char *path, const bvi_json *object, const char *key)
{
    const config_check *c = data;

    bvi_report_add(&c->check->report, BVI_RULE_MISSING_KEY, c->variant, spot_of(c, path),
                   "%s%skey '%s' is missing", path, *path ? ": " : "", key);
}

static void on_wrong(void *data, const char *path, const bvi_json *node, const char *why)
{
    const config_check *c = data;

    bvi_report_add(&c->check->report, BVI_RULE_WRONG_VALUE, c->variant, spot_of(c, path), "%s: %s",
                   path, why);
}

/* ---- names ---- */

/* Lists with names, in the order in which they are claimed. */
static const struct list {
    const char *key;
    const char *inner; /* the list is in an object */
} lists[] = {
    { "aux_services", NULL }, { "init", "jobs" },       { "post_download", NULL },
    { "services", NULL },     { "pre_upload", "jobs" }, { "post_upload", NULL },
};

static const bvi_json *list_of(const bvi_json *config, const struct list *list)
{
    const bvi_json *value = bvi_json_find(config, list->key);

    return list->inner ? bvi_json_find(value, list->inner) : value;
}

static bool is_reserved(const char *name)
{
    return strcmp(name, BVI_UPLOAD_JOB) == 0 || strcmp(name, BVI_DOWNLOAD_JOB) == 0;
}

/* Adds a name to those that are taken. */
static void claim(const config_check *c, bvi_strv *names, const char *name, const char *what,
                  const char *path)
{
    if (!name[strspn(name, " \t\r\n")])
        bvi_report_add(&c->check->report, BVI_RULE_WRONG_VALUE, c->variant, spot_of(c, path),
                       "%s: a name must not be empty", path);
    else if (strcmp(what, "job") == 0 && is_reserved(name))
        bvi_report_add(&c->check->report, BVI_RULE_DUPLICATE_NAME, c->variant, spot_of(c, path),
                       "job name '%s' is reserved for the engine's own; use another one", name);
    else if (bvi_strv_has(names, name))
        bvi_report_add(&c->check->report, BVI_RULE_DUPLICATE_NAME, c->variant, spot_of(c, path),
                       "%s name '%s' is used twice; use another one", what, name);
    else if (bvi_strv_add(names, name) == BV_E_NOMEM)
        c->check->report.no_memory = true;
}

static void check_list(const config_check *c, bvi_strv *names, const bvi_json *list,
                       const char *what, const char *key, const char *inner)
{
    size_t index = 0;

    bvi_json_each(item, list) {
        bvi_auto_free char *path =
            bvi_asprintf("%s%s%s[%zu].name", key, inner ? "." : "", inner ? inner : "", index);

        const char *name = bvi_json_string(bvi_json_find(item, "name"));

        index++;
        if (path && name)
            claim(c, names, name, what, path);
    }
}

static void check_names(const config_check *c)
{
    BVI_AUTO(bvi_strv_done) bvi_strv jobs = BVI_VEC_INIT(NAMES_MAX);
    BVI_AUTO(bvi_strv_done) bvi_strv tasks = BVI_VEC_INIT(NAMES_MAX);

    for (size_t i = 0; i < BVI_COUNT(lists); i++)
        check_list(c, &jobs, list_of(c->value, &lists[i]), "job", lists[i].key, lists[i].inner);
    check_list(c, &tasks, bvi_json_find(c->value, "scheduled"), "scheduled task", "scheduled",
               NULL);
}

/* ---- what it refers to ---- */

static void check_tasks(const config_check *c)
{
    size_t index = 0;

    bvi_json_each(task, bvi_json_find(c->value, "scheduled")) {
        const char *schedule = bvi_json_string(bvi_json_find(task, "schedule"));
        const char *function = bvi_json_string(bvi_json_find(task, "function"));
        bvi_auto_free char *schedule_path = bvi_asprintf("scheduled[%zu].schedule", index);
        bvi_auto_free char *function_path = bvi_asprintf("scheduled[%zu].function", index);

        index++;
        if (schedule && schedule_path)
            bvi_check_schedule(c->check, c->variant, spot_of(c, schedule_path), schedule);
        if (function && function_path)
            bvi_check_scheduled(c->check, c->variant, spot_of(c, function_path), function);
    }
}

static void check_globs(const config_check *c)
{
    const bvi_json *upload = bvi_json_find(c->value, "upload");

    bvi_json_each(item, bvi_json_find(upload, "exclude")) {
        const char *pattern = bvi_json_string(item);
        bvi_auto_error bv_error *err = NULL;
        bvi_auto_free char *why = NULL;

        if (!pattern || bvi_glob_check(pattern, &err) == 0)
            continue;
        why = bvi_error_text(err);
        bvi_report_add(&c->check->report, BVI_RULE_GLOB, c->variant, spot_of(c, "upload.exclude"),
                       "upload.exclude: %s", why ? why : pattern);
    }
}

/* Rendering takes anything, and fails when it is no map. */
static void check_params(const config_check *c)
{
    size_t index = 0;

    bvi_json_each(file, bvi_json_find(c->value, "config_files")) {
        const bvi_json *params = bvi_json_find(file, "params");
        bvi_auto_free char *path = bvi_asprintf("config_files[%zu].params", index++);

        if (path && params && bvi_json_type_of(params) != BVI_JSON_OBJECT)
            bvi_report_add(&c->check->report, BVI_RULE_WRONG_VALUE, c->variant, spot_of(c, path),
                           "%s: Output type incorrect: %s (expecting Map)", path,
                           bvi_schema_type_of(params));
    }
}

/* Secrets are bytes, which ${...} shows as numbers. Those nobody told us have known bytes. */
static void check_secrets(const config_check *c)
{
    static const char bytes[] = "[7365637265742076 616c7565]"; /* "secret value" */

    bvi_json_each(part, c->value) {
        const char *key = bvi_json_key(part);
        bvi_auto_free char *text = NULL;

        if (bvi_json_print(part, false, &text, NULL) < 0)
            c->check->report.no_memory = true;
        else if (strstr(text, bytes))
            bvi_report_add(&c->check->report, BVI_RULE_WRONG_VALUE, c->variant, spot_of(c, key),
                           "%s: there is a secret in the form of its bytes; write "
                           "get_secret(...).as_string()",
                           key);
    }
}

void bvi_check_config(bvi_check *check, size_t variant, const bvi_json *value)
{
    config_check c = { check, variant, value };
    const bvi_shape_sink sink = { on_unknown, on_former, on_missing, on_wrong, &c };

    if (bvi_json_type_of(value) != BVI_JSON_OBJECT) {
        bvi_report_add(&check->report, BVI_RULE_RESULT_TYPE, variant, spot_of(&c, ""),
                       "plugin_config() must return a map; it returned %s",
                       bvi_schema_type_of(value));
        return;
    }
    if (bvi_shape_check(bvi_plugin_config_fields, value, &sink) < 0)
        check->report.no_memory = true;
    check_names(&c);
    check_tasks(&c);
    check_globs(&c);
    check_params(&c);
    check_secrets(&c);
    bvi_check_templates(check, variant, value);
}
