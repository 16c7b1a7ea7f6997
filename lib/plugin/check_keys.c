/*
 * check_keys.c - keys in scripts that mean nothing: properties and environment of the node, and the
 * maps that are written out in calls of engine functions. See check_impl.h.
 */
#include <string.h>

#include "base/near.h"
#include "plugin/check_impl.h"
#include "plugin/http_request.h"
#include "plugin/jobs.h"
#include "plugin/schedule.h"
#include "sys/proc.h"

/* ---- what earlier versions of the engine had ---- */

typedef struct legacy {
    const char *name; /* NULL ends a table */
    const char *instead;
} legacy;

static const legacy legacy_variables[] = {
    { "DATA_DRIVE_MOUNT_POINT", "node_env().data_mount_point" },
    { "BLOCKCHAIN_DATA_PATH", "node_env().protocol_data_path" },
    { "NODE_PARAMS", "node_params()" },
    { NULL, NULL },
};
static const legacy legacy_env[] = {
    { "blockchain_type", "node_protocol" },
    { "node_type", "node_variant" },
    { NULL, NULL },
};
static const legacy legacy_constants[] = {
    { "METADATA", "babel.yaml" },
    { "BABEL_VERSION", "babel.yaml" },
    { "PLUGIN_CONFIG", "a function plugin_config()" },
    { "BASE_CONFIG", "functions of base.rhai, added up in plugin_config()" },
    { "DEFAULT_SERVICES", "aux_services in plugin_config()" },
    { NULL, NULL },
};
static const legacy legacy_functions[] = {
    { "job_status", "job_info(name).status" },
    { NULL, NULL },
};
static const legacy legacy_keys[] = {
    { "disable_default_services", "aux_services" },
    { NULL, NULL },
};

static const char *find_legacy(const legacy *table, const char *name)
{
    for (const legacy *l = table; l->name; l++) {
        if (strcmp(l->name, name) == 0)
            return l->instead;
    }
    return NULL;
}

bool bvi_check_is_legacy_variable(const char *name)
{
    return find_legacy(legacy_variables, name) != NULL;
}

static void deprecated(bvi_check *check, size_t variant, bvi_spot spot, const char *name,
                       const char *instead)
{
    bvi_report_add(&check->report, BVI_RULE_DEPRECATED, variant, spot,
                   "'%s' is of an earlier engine; use %s", name, instead);
}

static void check_deprecated(bvi_check *check, const bvi_check_file *file, const bvi_note *note)
{
    const char *instead = NULL;

    if (note->kind == BVI_NOTE_UNKNOWN)
        instead = find_legacy(legacy_variables, note->text);
    else if (note->kind == BVI_NOTE_DECLARE && note->is_top)
        instead = find_legacy(legacy_constants, note->text);
    else if (note->kind == BVI_NOTE_CALL && !bvi_check_function(file, note->text, note->count))
        instead = find_legacy(legacy_functions, note->text);
    if (instead)
        deprecated(check, BVI_REPORT_ALL, bvi_check_spot(file, note), note->text, instead);
}

void bvi_check_unknown_key(bvi_check *check, size_t variant, bvi_spot spot, const char *path,
                           const bvi_near *near)
{
    const char *instead = find_legacy(legacy_keys, near->wrong);
    char hint[BVI_CHECK_HINT_MAX];

    if (instead)
        deprecated(check, variant, spot, path, instead);
    else
        bvi_report_add(&check->report, near->best ? BVI_RULE_MISSPELT_KEY : BVI_RULE_UNKNOWN_KEY,
                       variant, spot, "unknown key '%s' is ignored%s", path,
                       bvi_check_hint(near->best, hint));
}

void bvi_check_former_key(bvi_check *check, size_t variant, bvi_spot spot, const char *path,
                          const bvi_field *field)
{
    deprecated(check, variant, spot, path, field->key);
}

/* ---- properties and environment ---- */

typedef enum source { OTHER, PARAMS, ENV } source;

static bool is_call_of(const bvi_note *note, const char *function)
{
    return note && note->kind == BVI_NOTE_CALL && note->count == 0 &&
           strcmp(note->text, function) == 0;
}

/* What a value that steps begin from is. */
static source source_of(const bvi_check_file *file, uint32_t index)
{
    const bvi_note *note = bvi_check_meaning(file, index);

    if (!note)
        return OTHER;
    if (is_call_of(note, "node_params"))
        return PARAMS;
    if (is_call_of(note, "node_env"))
        return ENV;
    if (note->kind == BVI_NOTE_STEP && note->text && strcmp(note->text, "properties") == 0 &&
        is_call_of(bvi_check_meaning(file, note->of), "node_env"))
        return PARAMS;
    return OTHER;
}

static bool is_given(const bvi_json *overlay, const char *key)
{
    return overlay && bvi_json_find(overlay, key);
}

static bool has_property(const bvi_image_variant *variant, const char *key)
{
    for (size_t i = 0; i < variant->properties.len; i++) {
        if (strcmp(variant->properties.items[i].key, key) == 0)
            return true;
    }
    return false;
}

static void check_property(bvi_check *check, const bvi_check_file *file, const bvi_note *step)
{
    const bvi_image_meta *image = check->ws->image;
    bvi_near near = BVI_NEAR_INIT(step->text);
    char hint[BVI_CHECK_HINT_MAX];
    size_t having = 0;

    if (!image || is_given(check->opts->params, step->text))
        return;
    for (size_t i = 0; i < image->variants.len; i++) {
        const bvi_image_variant *variant = &image->variants.items[i];

        having += has_property(variant, step->text);
        for (size_t p = 0; p < variant->properties.len; p++)
            bvi_near_try(&near, variant->properties.items[p].key);
    }
    if (having == 0) {
        bvi_report_add(&check->report, BVI_RULE_UNKNOWN_PROPERTY, BVI_REPORT_ALL,
                       bvi_check_spot(file, step), "property '%s' is not defined in babel.yaml%s",
                       step->text, bvi_check_hint(near.best, hint));
        return;
    }
    for (size_t i = 0; i < check->variants.len; i++) {
        const bvi_image_variant *variant = bvi_image_meta_variant(image, check->variants.items[i]);

        if (variant && !has_property(variant, step->text))
            bvi_report_add(&check->report, BVI_RULE_VARIANT_PROPERTY, i, bvi_check_spot(file, step),
                           "property '%s' is not defined for this variant: it reads as ()",
                           step->text);
    }
}

static void check_env(bvi_check *check, const bvi_check_file *file, const bvi_note *step,
                      const bvi_json *env)
{
    bvi_near near = BVI_NEAR_INIT(step->text);
    char hint[BVI_CHECK_HINT_MAX];

    if (bvi_json_find(env, step->text))
        return;
    if (find_legacy(legacy_env, step->text)) {
        deprecated(check, BVI_REPORT_ALL, bvi_check_spot(file, step), step->text,
                   find_legacy(legacy_env, step->text));
        return;
    }
    bvi_json_each(field, env)
        bvi_near_try(&near, bvi_json_key(field));
    if (strcmp(step->text, "org_id") == 0) /* as the written guide calls it */
        near.best = "node_org_id";
    bvi_report_add(&check->report, BVI_RULE_UNKNOWN_ENV, BVI_REPORT_ALL, bvi_check_spot(file, step),
                   "node_env() has no '%s'%s", step->text, bvi_check_hint(near.best, hint));
}

/* A step that is written to makes its own key. */
static bool is_written(const bvi_check_file *file, const bvi_note *step)
{
    uint32_t index = (uint32_t)(step - file->notes->items.items);

    return step + 1 < file->notes->items.items + file->notes->items.len &&
           step[1].kind == BVI_NOTE_ASSIGN && step[1].of == index;
}

static void check_step(bvi_check *check, const bvi_check_file *file, const bvi_note *step,
                       const bvi_json *env)
{
    source from = step->text ? source_of(file, step->of) : OTHER;

    if (from == OTHER || is_written(file, step))
        return;
    if (from == PARAMS)
        check_property(check, file, step);
    else
        check_env(check, file, step, env);
}

/* ---- maps written out in calls ---- */

static const struct literal_call {
    const char *function;
    uint32_t argument; /* the map, counted from 0 */
    const bvi_field *fields;
} literal_calls[] = {
    { "run_jrpc", 0, bvi_jrpc_fields },       { "run_rest", 0, bvi_rest_fields },
    { "run_graphql", 0, bvi_graphql_fields }, { "create_job", 1, bvi_job_fields },
    { "start_job", 1, bvi_job_fields },
};

/* What was passed, as it is written; NULL: not plainly. */
static const bvi_note *argument_of(const bvi_check_file *file, const bvi_note *call, uint32_t at)
{
    uint32_t index = (uint32_t)(call - file->notes->items.items);

    for (uint32_t i = index + 1; i < call->end; i++) {
        const bvi_note *note = bvi_check_note(file, i);

        if (note->kind == BVI_NOTE_ARGUMENT && note->in == index && at-- == 0)
            return bvi_check_meaning(file, note->of);
    }
    return NULL;
}

static void check_map(bvi_check *check, const bvi_check_file *file, const bvi_note *map,
                      const bvi_field *fields);

static void check_text(bvi_check *check, const bvi_check_file *file, const bvi_note *value,
                       const bvi_field *field)
{
    bvi_near near = BVI_NEAR_INIT(value->text);
    char hint[BVI_CHECK_HINT_MAX];
    int signum;

    if (field->kind == BVI_FIELD_SIGNAL && !bvi_signal_from_name(value->text, &signum))
        bvi_report_add(&check->report, BVI_RULE_WRONG_VALUE, BVI_REPORT_ALL,
                       bvi_check_spot(file, value),
                       "'%s' is not the name of a signal, such as SIGTERM or SIGINT", value->text);
    for (const bvi_variant *v = field->variants; field->kind == BVI_FIELD_ENUM; v++) {
        if (!v->name) {
            bvi_report_add(&check->report, BVI_RULE_WRONG_VALUE, BVI_REPORT_ALL,
                           bvi_check_spot(file, value), "'%s' cannot be '%s'%s", field->key,
                           value->text, bvi_check_hint(near.best, hint));
            return;
        }
        if (strcmp(v->name, value->text) == 0)
            return;
        bvi_near_try(&near, v->name);
    }
}

/* The one key of an enumeration's map. */
static void check_alternative(bvi_check *check, const bvi_check_file *file, const bvi_note *map,
                              const bvi_field *field)
{
    const bvi_note *key = map + 1;

    if (map->count != 1 || key->kind != BVI_NOTE_KEY)
        return;
    for (const bvi_variant *v = field->variants; v->name; v++) {
        const bvi_note *value = bvi_check_meaning(file, key->of);

        if (strcmp(v->name, key->text) == 0) {
            if (value && value->kind == BVI_NOTE_MAP && v->payload && v->payload->fields)
                check_map(check, file, value, v->payload->fields);
            return;
        }
    }
    check_text(check, file, key, field); /* says what it can be */
}

static void check_value(bvi_check *check, const bvi_check_file *file, const bvi_note *key,
                        const bvi_field *field)
{
    const bvi_note *value = bvi_check_meaning(file, key->of);

    if (!value)
        return;
    if (value->kind == BVI_NOTE_STRING)
        check_text(check, file, value, field);
    else if (value->kind == BVI_NOTE_MAP && field->kind == BVI_FIELD_OBJECT)
        check_map(check, file, value, field->fields);
    else if (value->kind == BVI_NOTE_MAP && field->kind == BVI_FIELD_ENUM)
        check_alternative(check, file, value, field);
}

static void check_key(bvi_check *check, const bvi_check_file *file, const bvi_note *key,
                      const bvi_field *fields)
{
    const bvi_field *field = bvi_field_find(fields, key->text, strlen(key->text));
    bvi_spot spot = bvi_check_spot(file, key);
    bvi_near near = BVI_NEAR_INIT(key->text);

    for (const bvi_field *f = fields; f->key; f++)
        bvi_near_try(&near, f->key);
    if (!field)
        bvi_check_unknown_key(check, BVI_REPORT_ALL, spot, key->text, &near);
    else if (strcmp(field->key, key->text) != 0)
        bvi_check_former_key(check, BVI_REPORT_ALL, spot, key->text, field);
    if (field)
        check_value(check, file, key, field);
}

static bool has_key(const bvi_check_file *file, const bvi_note *map, const char *key)
{
    uint32_t index = (uint32_t)(map - file->notes->items.items);

    for (uint32_t i = index + 1; i < map->end; i++) {
        const bvi_note *note = bvi_check_note(file, i);

        if (note->kind == BVI_NOTE_KEY && note->in == index && strcmp(note->text, key) == 0)
            return true;
    }
    return false;
}

/* Nested as deep as the tables of fields are, which is not deep. */
static void check_map(bvi_check *check, const bvi_check_file *file, const bvi_note *map,
                      const bvi_field *fields)
{
    uint32_t index = (uint32_t)(map - file->notes->items.items);

    for (uint32_t i = index + 1; i < map->end; i++) {
        const bvi_note *key = bvi_check_note(file, i);

        if (key->kind == BVI_NOTE_KEY && key->in == index)
            check_key(check, file, key, fields);
    }
    for (const bvi_field *f = fields; f->key; f++) {
        if (f->required && !has_key(file, map, f->key) &&
            !(f->alias && has_key(file, map, f->alias)))
            bvi_report_add(&check->report, BVI_RULE_MISSING_KEY, BVI_REPORT_ALL,
                           bvi_check_spot(file, map), "key '%s' is missing", f->key);
    }
}

static void check_literals(bvi_check *check, const bvi_check_file *file, const bvi_note *call)
{
    for (size_t i = 0; i < BVI_COUNT(literal_calls); i++) {
        const struct literal_call *wanted = &literal_calls[i];
        const bvi_note *map;

        if (call->count <= wanted->argument || strcmp(call->text, wanted->function) != 0 ||
            bvi_check_function(file, call->text, call->count))
            continue;
        map = argument_of(file, call, wanted->argument);
        if (map && map->kind == BVI_NOTE_MAP)
            check_map(check, file, map, wanted->fields);
    }
}

/* add_task(name, schedule, function, ...) */
static void check_task(bvi_check *check, const bvi_check_file *file, const bvi_note *call)
{
    const bvi_note *schedule;
    const bvi_note *function;

    if (strcmp(call->text, "add_task") != 0 || call->count < 3)
        return;
    schedule = argument_of(file, call, 1);
    if (schedule && schedule->kind == BVI_NOTE_STRING)
        bvi_check_schedule(check, BVI_REPORT_ALL, bvi_check_spot(file, schedule), schedule->text);
    function = argument_of(file, call, 2);
    if (function && function->kind == BVI_NOTE_STRING)
        bvi_check_scheduled(check, BVI_REPORT_ALL, bvi_check_spot(file, function), function->text);
}

/* ---- all of it ---- */

void bvi_check_schedule(bvi_check *check, size_t variant, bvi_spot spot, const char *text)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_free char *why = NULL;
    bvi_schedule schedule;

    if (bvi_schedule_parse(text, &schedule, &err) == 0)
        return;
    why = bvi_error_text(err);
    bvi_report_add(&check->report, BVI_RULE_SCHEDULE, variant, spot, "%s", why ? why : text);
}

void bvi_check_scheduled(bvi_check *check, size_t variant, bvi_spot spot, const char *name)
{
    bvi_near near = BVI_NEAR_INIT(name);
    char hint[BVI_CHECK_HINT_MAX];

    if (!check->main || bvi_check_function(check->main, name, 0) ||
        bvi_check_function(check->main, name, 1) || strcmp(name, "init") == 0 ||
        strcmp(name, "upload") == 0)
        return;
    bvi_check_each_listed(function, check->main, functions) {
        if (function->count <= 1)
            bvi_near_try(&near, function->text);
    }
    bvi_report_add(&check->report, BVI_RULE_SCHEDULED_FUNCTION, variant, spot,
                   "%s has no function '%s' with at most one parameter%s", check->ws->main_file,
                   name, bvi_check_hint(near.best, hint));
}

void bvi_check_keys(bvi_check *check)
{
    const bvi_workspace_overlay overlay = { .env = check->opts->env,
                                            .params = check->opts->params };
    bvi_auto_json bvi_json *env = NULL;

    if (bvi_workspace_node_env(check->ws, &overlay, &env, NULL) < 0) {
        check->report.no_memory = true;
        return;
    }
    bvi_check_each(file, check) {
        bvi_check_each_note(note, file) {
            check_deprecated(check, file, note);
            if (note->kind == BVI_NOTE_STEP) {
                check_step(check, file, note, env);
            } else if (note->kind == BVI_NOTE_CALL) {
                check_literals(check, file, note);
                check_task(check, file, note);
            }
        }
    }
}
