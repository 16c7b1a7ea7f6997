/*
 * node_state.c - reading and writing a node's state file, by tables of fields.
 */
#include <stddef.h>
#include <string.h>

#include "base/id.h"
#include "base/names.h"
#include "node/node_state.h"
#include "sys/fs.h"

static const bvi_name expected_names[] = {
    { BVI_EXPECT_STOPPED, "Stopped" },
    { BVI_EXPECT_RUNNING, "Running" },
    { BVI_EXPECT_FAILED, "Failed" },
    { 0, NULL },
};

static const bvi_name intent_names[] = {
    { BVI_INTENT_NONE, "none" },
    { BVI_INTENT_CREATE, "create" },
    { BVI_INTENT_DELETE, "delete" },
    { 0, NULL },
};

/* A string field: where it stands in the document and in the struct. */
typedef struct text_field {
    const char *object; /* NULL: top level */
    const char *key;
    size_t member;
    bool required; /* upstream always writes it */
} text_field;

#define TEXT(object, key, member, required)                                                        \
    {                                                                                              \
        object, key, offsetof(bvi_node_state, member), required                                    \
    }

static const text_field text_fields[] = {
    TEXT(NULL, "id", id, true),
    TEXT(NULL, "name", name, true),
    TEXT("image_key", "protocol_key", protocol_key, true),
    TEXT("image_key", "variant_key", variant_key, true),
    TEXT(NULL, "ip", ip, true),
    TEXT(NULL, "gateway", gateway, true),
    TEXT("image", "id", image_id, true),
    TEXT("image", "version", image_version, true),
    TEXT("image", "uri", image_uri, true),
    TEXT("image", "store_key", store_key, true),
    TEXT("local", "network", network, false),
    TEXT("local", "plugin_dir", plugin_dir, false),
    TEXT("local", "problem", problem, false),
    TEXT("local", "upload_format", upload_format, false),
};

/* Keys that upstream requires and this version only carries along: written when a new node has no
 * document yet. */
static const struct {
    const char *key;
    const char *json;
} carried[] = {
    { "protocol_id", "\"\"" },
    { "firewall", "{\"default_in\":\"reject\",\"default_out\":\"allow\",\"rules\":[]}" },
    { "display_name", "\"\"" },
    { "org_id", "\"\"" },
    { "org_name", "\"\"" },
    { "protocol_name", "\"\"" },
    { "dns_name", "\"\"" },
    { "assigned_cpus", "[]" },
    { "restarting", "false" },
    { "upgrade_state",
      "{\"active\":false,\"state_backup\":null,\"need_rollback\":null,\"steps\":[],"
      "\"data_stamp\":null}" },
    { "apptainer_config", "null" },
};

static char **member_of(const bvi_node_state *state, const text_field *field)
{
    return (char **)(void *)((char *)state + field->member);
}

void bvi_node_state_init(bvi_node_state *state)
{
    *state = (bvi_node_state){ .started_at = -1 };
}

void bvi_node_state_done(bvi_node_state *state)
{
    for (size_t i = 0; i < BVI_COUNT(text_fields); i++)
        bvi_freep(member_of(state, &text_fields[i]));
    bvi_json_free(state->properties);
    bvi_json_free(state->tags);
    bvi_json_free(state->ramdisks);
    bvi_json_free(state->rest);
    bvi_node_state_init(state);
}

int bvi_node_state_set(char **field, const char *text, bv_error **err)
{
    char *copy = text ? bvi_strdup(text) : NULL;

    if (text && !copy)
        return bvi_fail_nomem(err);
    bvi_free(*field);
    *field = copy;
    return 0;
}

const char *bvi_expected_name(bvi_expected expected)
{
    return bvi_name_of(expected_names, (int)expected);
}

int bvi_node_state_check_numbers(const bvi_node_state *state, bv_error **err)
{
    if (state->memory_mb > BVI_NODE_MEMORY_MB_MAX)
        return bvi_fail(err, BV_E_INVALID, "a memory limit of more than %u MB",
                        BVI_NODE_MEMORY_MB_MAX);
    if (!(state->cpus >= 0 && state->cpus <= BVI_NODE_CPUS_MAX))
        return bvi_fail(err, BV_E_INVALID, "'cpus' must be between 0 and %d", BVI_NODE_CPUS_MAX);
    if (state->snapshot_version < 0)
        return bvi_fail(err, BV_E_INVALID, "'snapshot_version' must be zero or more");
    return 0;
}

/* ---- reading ---- */

static int read_texts(const bvi_json *root, bvi_node_state *state, bv_error **err)
{
    for (size_t i = 0; i < BVI_COUNT(text_fields); i++) {
        const text_field *field = &text_fields[i];
        const bvi_json *object = field->object ? bvi_json_find(root, field->object) : root;
        const char *text = NULL;
        int r = field->required ? bvi_json_get_string(object, field->key, &text, err)
                                : bvi_json_opt_string(object, field->key, &text, err);

        if (r < 0)
            return field->object ? bvi_wrap(err, r, "'%s'", field->object) : r;
        r = bvi_node_state_set(member_of(state, field), text, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_copy(const bvi_json *object, const char *key, bvi_json_type type,
                     bvi_json **ret_copy, bv_error **err)
{
    const bvi_json *node = bvi_json_find(object, key);

    if (bvi_json_type_of(node) != type)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is missing or of the wrong type", key);
    bvi_json_each(it, node) {
        if (type == BVI_JSON_OBJECT && !bvi_json_string(it))
            return bvi_fail(err, BV_E_FORMAT, "'%s': '%s' must be a string", key, bvi_json_key(it));
    }
    *ret_copy = bvi_json_copy(node);
    return *ret_copy ? 0 : bvi_fail_nomem(err);
}

static int read_enum(const bvi_json *object, const char *key, const bvi_name *names, int *value,
                     bv_error **err)
{
    const char *text = NULL;
    int r = bvi_json_opt_string(object, key, &text, err);

    if (r < 0)
        return r;
    if (text && !bvi_name_find(names, text, value))
        return bvi_fail(err, BV_E_FORMAT, "'%s' has the unknown value '%s'", key, text);
    return 0;
}

static int read_numbers(const bvi_json *root, bvi_node_state *state, bv_error **err)
{
    const bvi_json *local = bvi_json_find(root, "local");
    const bvi_json *vm = bvi_json_find(root, "vm_config");
    int expected = BVI_EXPECT_STOPPED, intent = BVI_INTENT_NONE;
    const bvi_json *cpus = bvi_json_find(local, "cpus");
    int r = bvi_json_get_uint64(vm, "mem_size_mb", &state->memory_mb, err);

    if (r < 0)
        return bvi_wrap(err, r, "'vm_config'");
    if (!bvi_json_find(root, "expected_status"))
        return bvi_fail(err, BV_E_FORMAT, "'expected_status' is missing");
    if ((r = read_enum(root, "expected_status", expected_names, &expected, err)) < 0 ||
        (r = read_enum(local, "intent", intent_names, &intent, err)) < 0 ||
        (r = bvi_json_opt_int64(root, "started_at", &state->started_at, err)) < 0 ||
        (r = bvi_json_opt_int64(local, "created_at", &state->created_at, err)) < 0 ||
        (r = bvi_json_opt_int64(local, "snapshot_version", &state->snapshot_version, err)) < 0 ||
        (r = bvi_json_get_bool(root, "initialized", &state->initialized, err)) < 0 ||
        (r = bvi_json_get_bool(root, "dev_mode", &state->dev_mode, err)) < 0)
        return r;
    if (cpus && bvi_json_double(cpus, &state->cpus) < 0)
        return bvi_fail(err, BV_E_FORMAT, "'cpus' must be a number");
    state->expected = (bvi_expected)expected;
    state->intent = (bvi_intent)intent;
    r = bvi_node_state_check_numbers(state, err);
    return r < 0 ? bvi_wrap(err, BV_E_FORMAT, "limits") : 0;
}

static int read_state(const bvi_json *root, bvi_node_state *state, bv_error **err)
{
    int r;

    if (bvi_json_type_of(root) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "not an object");
    if ((r = read_texts(root, state, err)) < 0 || (r = read_numbers(root, state, err)) < 0 ||
        (r = read_copy(root, "properties", BVI_JSON_OBJECT, &state->properties, err)) < 0)
        return r;
    if (!bvi_id_valid(state->id))
        return bvi_fail(err, BV_E_FORMAT, "'id' is not a UUID");
    if (!bvi_name_valid(state->name, BVI_NODE_NAME_MAX))
        return bvi_fail(err, BV_E_FORMAT, "'name' is not a node name");
    if (bvi_json_find(root, "tags") &&
        (r = read_copy(root, "tags", BVI_JSON_ARRAY, &state->tags, err)) < 0)
        return r;
    r = read_copy(bvi_json_find(root, "vm_config"), "ramdisks", BVI_JSON_ARRAY, &state->ramdisks,
                  err);
    if (r < 0)
        return r;
    state->rest = bvi_json_copy(root);
    return state->rest ? 0 : bvi_fail_nomem(err);
}

int bvi_node_state_parse(const char *text, size_t len, bvi_node_state *state, bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    int r = bvi_json_parse(text, len, &root, err);

    if (r == 0)
        r = read_state(root, state, err);
    if (r < 0)
        bvi_node_state_done(state);
    return r;
}

int bvi_node_state_load(const char *path, bvi_node_state *state, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read(path, BVI_NODE_STATE_MAX, &text, &len, err);

    if (r == 0)
        r = bvi_node_state_parse(text, len, state, err);
    return r < 0 ? bvi_wrap(err, r, "node state '%s'", path) : 0;
}

/* ---- writing ---- */

/* The object under a key of root, made when it is missing; NULL: no memory. */
static bvi_json *object_of(bvi_json *root, const char *key)
{
    if (!key)
        return root;
    if (bvi_json_type_of(bvi_json_find(root, key)) != BVI_JSON_OBJECT &&
        bvi_json_put(root, key, bvi_json_new_object()) < 0)
        return NULL;
    return (bvi_json *)bvi_json_find(root, key);
}

static int write_texts(bvi_json *root, const bvi_node_state *state)
{
    for (size_t i = 0; i < BVI_COUNT(text_fields); i++) {
        const text_field *field = &text_fields[i];
        bvi_json *object = object_of(root, field->object);

        if (!object || bvi_json_put_string(object, field->key, *member_of(state, field)) < 0)
            return BV_E_NOMEM;
    }
    return 0;
}

static int write_carried(bvi_json *root)
{
    for (size_t i = 0; i < BVI_COUNT(carried); i++) {
        bvi_json *value = NULL;

        if (bvi_json_find(root, carried[i].key))
            continue;
        if (bvi_json_parse(carried[i].json, strlen(carried[i].json), &value, NULL) < 0 ||
            bvi_json_put(root, carried[i].key, value) < 0)
            return BV_E_NOMEM;
    }
    return 0;
}

static bvi_json *copy_or(const bvi_json *node, bvi_json *(*make)(void))
{
    return node ? bvi_json_copy(node) : make();
}

static int write_vm(bvi_json *root, const bvi_node_state *state)
{
    bvi_json *vm = object_of(root, "vm_config");

    if (!vm || bvi_json_put_uint64(vm, "mem_size_mb", state->memory_mb) < 0 ||
        bvi_json_put(vm, "ramdisks", copy_or(state->ramdisks, bvi_json_new_array)) < 0)
        return BV_E_NOMEM;
    if (!bvi_json_find(vm, "vcpu_count") && bvi_json_put_int64(vm, "vcpu_count", 0) < 0)
        return BV_E_NOMEM;
    if (!bvi_json_find(vm, "disk_size_gb") && bvi_json_put_int64(vm, "disk_size_gb", 0) < 0)
        return BV_E_NOMEM;
    return 0;
}

static int write_image(bvi_json *root)
{
    static const char *const keys[] = { "config_id", "archive_id", "min_babel_version" };
    bvi_json *image = object_of(root, "image");

    for (size_t i = 0; image && i < BVI_COUNT(keys); i++) {
        if (!bvi_json_find(image, keys[i]) && bvi_json_put_string(image, keys[i], "") < 0)
            return BV_E_NOMEM;
    }
    return image ? 0 : BV_E_NOMEM;
}

static int write_rest(bvi_json *root, const bvi_node_state *state)
{
    bvi_json *local = object_of(root, "local");
    bvi_json *started =
        state->started_at < 0 ? bvi_json_new_null() : bvi_json_new_int64(state->started_at);

    if (bvi_json_put(root, "started_at", started) < 0 || !local ||
        bvi_json_put(root, "properties", copy_or(state->properties, bvi_json_new_object)) < 0 ||
        bvi_json_put(root, "tags", copy_or(state->tags, bvi_json_new_array)) < 0 ||
        bvi_json_put_string(root, "expected_status", bvi_expected_name(state->expected)) < 0 ||
        bvi_json_put_bool(root, "initialized", state->initialized) < 0 ||
        bvi_json_put_bool(root, "dev_mode", state->dev_mode) < 0 ||
        bvi_json_put_string(local, "intent", bvi_name_of(intent_names, (int)state->intent)) < 0 ||
        bvi_json_put_int64(local, "created_at", state->created_at) < 0 ||
        bvi_json_put_int64(local, "snapshot_version", state->snapshot_version) < 0 ||
        bvi_json_put(local, "cpus", bvi_json_new_double(state->cpus)) < 0)
        return BV_E_NOMEM;
    return 0;
}

int bvi_node_state_print(const bvi_node_state *state, char **ret_text, bv_error **err)
{
    bvi_auto_json bvi_json *root = copy_or(state->rest, bvi_json_new_object);

    if (!root || write_texts(root, state) < 0 || write_image(root) < 0 ||
        write_vm(root, state) < 0 || write_carried(root) < 0 || write_rest(root, state) < 0)
        return bvi_fail_nomem(err);
    return bvi_json_print(root, true, ret_text, err);
}

int bvi_node_state_save(const char *path, const bvi_node_state *state, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    int r = bvi_node_state_print(state, &text, err);

    if (r == 0)
        r = bvi_fs_replace(path, text, strlen(text), 0600, err);
    return r < 0 ? bvi_wrap(err, r, "cannot save node state '%s'", path) : 0;
}
