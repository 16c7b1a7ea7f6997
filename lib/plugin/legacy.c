/*
 * legacy.c - constants of old plugins. See legacy.h.
 */
#include <string.h>

#include "plugin/fields.h"
#include "plugin/legacy.h"

/* ---- the configuration ---- */

static int constant_json(const bvi_script_call *call, const char *name, bvi_json **ret_json,
                         bv_error **err)
{
    const bvi_value *value = bvi_script_constant(call, name);
    int r = value ? bvi_value_to_json(value, ret_json, err) : 0;

    return r < 0 ? bvi_wrap(err, r, "constant %s", name) : 0;
}

/* Puts items in front of the list under key; anything but a list is left to the schema. */
static int prepend(bvi_json *config, const char *key, const bvi_json *items, bv_error **err)
{
    bvi_auto_json bvi_json *list = NULL;
    const bvi_json *own = bvi_json_find(config, key);

    if (bvi_json_type_of(items) == BVI_JSON_NULL)
        return 0;
    if (bvi_json_type_of(own) != BVI_JSON_NULL && bvi_json_type_of(own) != BVI_JSON_ARRAY)
        return 0;
    list = bvi_json_copy(items);
    if (!list)
        return bvi_fail_nomem(err);
    bvi_json_each(item, own) {
        if (bvi_json_add(list, bvi_json_copy(item)) < 0)
            return bvi_fail_nomem(err);
    }
    return bvi_json_put(config, key, bvi_take(list)) < 0 ? bvi_fail_nomem(err) : 0;
}

static int merge_base(const bvi_script_call *call, const bvi_value *base, bvi_json *config,
                      bv_error **err)
{
    bvi_auto_json bvi_json *map = NULL;
    int r;

    r = base ? bvi_value_to_json(base, &map, err) : constant_json(call, "BASE_CONFIG", &map, err);
    if (r >= 0)
        r = prepend(config, "config_files", bvi_json_find(map, "config_files"), err);
    return r < 0 ? r : prepend(config, "services", bvi_json_find(map, "services"), err);
}

static int merge_default_services(const bvi_script_call *call, bvi_json *config, bv_error **err)
{
    bvi_auto_json bvi_json *services = NULL;
    int r;

    if (bvi_json_is_true(bvi_json_find(config, "disable_default_services")))
        return 0;
    r = constant_json(call, "DEFAULT_SERVICES", &services, err);
    return r < 0 ? r : prepend(config, "aux_services", services, err);
}

int bvi_legacy_config(const bvi_script_call *call, const bvi_value *base, bvi_json **ret_map,
                      bv_error **err)
{
    bvi_auto_json bvi_json *config = NULL;
    int r;

    r = constant_json(call, "PLUGIN_CONFIG", &config, err);
    if (r >= 0 && bvi_json_type_of(config) == BVI_JSON_OBJECT)
        r = merge_base(call, base, config, err);
    if (r >= 0 && bvi_json_type_of(config) == BVI_JSON_OBJECT)
        r = merge_default_services(call, config, err);
    if (r >= 0)
        *ret_map = bvi_take(config);
    return r;
}

/* ---- METADATA ---- */

static const bvi_field requirements_fields[] = {
    REQ_U64("vcpu_count"),
    REQ_U64("mem_size_mb"),
    REQ_U64("disk_size_gb"),
    END_FIELDS,
};
/* Only what every age of it had in common; the rest is for the orchestrator of its time. */
static const bvi_field metadata_fields[] = {
    OPT_STRING("min_babel_version"),
    OPT_STRING("kernel"),
    REQ_STRING("node_version"),
    REQ_STRING("protocol"),
    REQ_STRING("node_type"),
    OPT_STRING("description"),
    OPT_OBJECT("requirements", requirements_fields),
    OPT_ANY("nets"),
    OPT_ANY("babel_config"),
    OPT_ANY("firewall"),
    OPT_ANY("keys"),
    END_FIELDS,
};

int bvi_legacy_check_metadata(const bvi_script_call *call, bv_error **err)
{
    const bvi_value *metadata = bvi_script_constant(call, "METADATA");
    bvi_auto_json bvi_json *converted = NULL;
    int r = 0;

    if (metadata)
        r = bvi_schema_convert_value(metadata_fields, metadata, &converted, NULL, err);
    return r < 0 ? bvi_wrap(err, r, "Invalid Rhai script - failed to deserialize METADATA") : 0;
}

/* ---- the status trio ---- */

static const char *const healthy[] = {
    "broadcasting", "delegating", "earning",    "electing", "elected", "exported",   "ingesting",
    "mining",       "minting",    "processing", "relaying", "synced",  "validating",
};
static const char *const unhealthy[] = { "delinquent", "disabled" };

const char *bvi_legacy_health(const char *state)
{
    for (size_t i = 0; i < BVI_COUNT(healthy); i++) {
        if (strcmp(healthy[i], state) == 0)
            return "healthy";
    }
    for (size_t i = 0; i < BVI_COUNT(unhealthy); i++) {
        if (strcmp(unhealthy[i], state) == 0)
            return "unhealthy";
    }
    return "neutral";
}
