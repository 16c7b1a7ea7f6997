/*
 * node_make.c - what node.create is given, turned into the state of a new node. Pure but for its
 * random id and name.
 */
#include <string.h>

#include "base/id.h"
#include "node/node_make.h"
#include "transfer/store.h"

/* Tries to make up a name that is free. */
#define NAME_TRIES 32u

static const char *const adjectives[] = { "quiet",  "brave", "calm",  "swift", "bright", "proud",
                                          "gentle", "lucky", "eager", "noble", "sunny",  "merry",
                                          "bold",   "keen",  "wise",  "clever" };
static const char *const colours[] = { "red",    "blue",   "green", "amber", "violet", "silver",
                                       "golden", "teal",   "coral", "ivory", "olive",  "ruby",
                                       "indigo", "copper", "jade",  "azure" };
static const char *const animals[] = { "fox",    "otter",  "heron",  "lynx",  "raven", "badger",
                                       "falcon", "marten", "beaver", "crane", "ibex",  "owl",
                                       "puffin", "seal",   "stoat",  "wren" };

static int make_up_name(const bvi_node_make *from, char **ret_name, bv_error **err)
{
    for (unsigned i = 0; i < NAME_TRIES; i++) {
        unsigned char dice[3] = { 0 };
        char *name;
        int r = bvi_random_bytes(dice, sizeof(dice), err);

        if (r < 0)
            return r;
        name = bvi_asprintf("%s-%s-%s", adjectives[dice[0] % BVI_COUNT(adjectives)],
                            colours[dice[1] % BVI_COUNT(colours)],
                            animals[dice[2] % BVI_COUNT(animals)]);
        if (!name)
            return bvi_fail_nomem(err);
        if (!from->name_taken(name, from->data)) {
            *ret_name = name;
            return 0;
        }
        bvi_free(name);
    }
    return bvi_fail(err, BV_E_EXISTS, "no free name was found; give one");
}

static int choose_name(const bvi_node_make *from, const char *wanted, char **ret_name,
                       bv_error **err)
{
    if (!wanted)
        return make_up_name(from, ret_name, err);
    if (!bvi_name_valid(wanted, BVI_NODE_NAME_MAX))
        return bvi_fail(
            err, BV_E_INVALID,
            "'%s' is not a node name: use letters, digits, '.', '_' and '-', at most %u", wanted,
            BVI_NODE_NAME_MAX);
    if (from->name_taken(wanted, from->data))
        return bvi_fail(err, BV_E_EXISTS, "a node with the name '%s' exists", wanted);
    *ret_name = bvi_strdup(wanted);
    return *ret_name ? 0 : bvi_fail_nomem(err);
}

/* The image's defaults, overridden by what the caller gave; unknown names are refused. */
static int merge_properties(const bvi_image_variant *variant, const bvi_json *given,
                            bvi_json **ret_properties, bv_error **err)
{
    bvi_auto_json bvi_json *merged = bvi_json_new_object();

    if (!merged)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < variant->properties.len; i++) {
        const bvi_image_property *property = &variant->properties.items[i];

        if (bvi_json_put_string(merged, property->key, property->default_value) < 0)
            return bvi_fail_nomem(err);
    }
    bvi_json_each(it, given) {
        const char *key = bvi_json_key(it);

        if (!bvi_json_find(merged, key))
            return bvi_fail(err, BV_E_INVALID, "the image has no property '%s'", key);
        if (!bvi_json_string(it))
            return bvi_fail(err, BV_E_INVALID, "property '%s' must be a string", key);
        if (bvi_json_put_string(merged, key, bvi_json_string(it)) < 0)
            return bvi_fail_nomem(err);
    }
    *ret_properties = bvi_take(merged);
    return 0;
}

static int check_network(const char *network, bv_error **err)
{
    if (strcmp(network, "host") == 0 || strcmp(network, "none") == 0)
        return 0;
    return bvi_fail(err, BV_E_INVALID, "network '%s': must be \"host\" or \"none\"", network);
}

static int check_tags(const bvi_json *tags, bv_error **err)
{
    bvi_json_each(it, tags) {
        if (!bvi_json_string(it))
            return bvi_fail(err, BV_E_INVALID, "tags must be strings");
    }
    return 0;
}

static int set_numbers(bvi_node_state *state, const bvi_json *args, bv_error **err)
{
    const bvi_json *cpus = bvi_json_find(args, "cpus");
    int r;

    if ((r = bvi_json_opt_uint64(args, "memory_mb", &state->memory_mb, err)) < 0 ||
        (r = bvi_json_opt_int64(args, "snapshot_version", &state->snapshot_version, err)) < 0)
        return r;
    if (bvi_json_type_of(cpus) != BVI_JSON_NULL && bvi_json_double(cpus, &state->cpus) < 0)
        return bvi_fail(err, BV_E_INVALID, "'cpus' must be a number");
    return bvi_node_state_check_numbers(state, err);
}

static int check_plugin_dir(const char *dir, bv_error **err)
{
    if (!dir || dir[0] == '/')
        return 0;
    return bvi_fail(err, BV_E_INVALID, "plugin directory '%s': must be an absolute path", dir);
}

static int set_texts(bvi_node_state *state, const bvi_node_make *from,
                     const bvi_image_variant *variant, const bvi_json *args, bv_error **err)
{
    const char *network = "host";
    const char *store_key = variant->store_key;
    const char *plugin_dir = NULL;
    bvi_auto_free char *normal = NULL; /* only whether it can be made */
    int r;

    if ((r = bvi_json_opt_string(args, "network", &network, err)) < 0 ||
        (r = check_network(network, err)) < 0 ||
        (r = bvi_json_opt_string(args, "store_key", &store_key, err)) < 0 ||
        (r = bvi_json_opt_string(args, "plugin_dir", &plugin_dir, err)) < 0 ||
        (r = check_plugin_dir(plugin_dir, err)) < 0)
        return r;
    state->dev_mode = plugin_dir != NULL;
    if (store_key && *store_key && (r = bvi_store_key_normalise(store_key, &normal, err)) < 0)
        return r;
    if ((r = bvi_node_state_set(&state->network, network, err)) < 0 ||
        (r = bvi_node_state_set(&state->plugin_dir, plugin_dir, err)) < 0 ||
        (r = bvi_node_state_set(&state->store_key, store_key ? store_key : "", err)) < 0 ||
        (r = bvi_node_state_set(&state->protocol_key, from->meta->protocol_key, err)) < 0 ||
        (r = bvi_node_state_set(&state->variant_key, variant->key, err)) < 0 ||
        (r = bvi_node_state_set(&state->image_id, from->image_id, err)) < 0 ||
        (r = bvi_node_state_set(&state->image_uri, from->image_name, err)) < 0 ||
        (r = bvi_node_state_set(&state->image_version, from->meta->version, err)) < 0 ||
        (r = bvi_node_state_set(&state->ip, strcmp(network, "host") == 0 ? "127.0.0.1" : "", err)) <
            0)
        return r;
    return bvi_node_state_set(&state->gateway, "", err);
}

static int set_documents(bvi_node_state *state, const bvi_image_variant *variant,
                         const bvi_json *args, bv_error **err)
{
    const bvi_json *tags = bvi_json_find(args, "tags");
    int r = check_tags(tags, err);

    if (r == 0)
        r = merge_properties(variant, bvi_json_find(args, "properties"), &state->properties, err);
    if (r < 0)
        return r;
    state->tags =
        bvi_json_type_of(tags) == BVI_JSON_ARRAY ? bvi_json_copy(tags) : bvi_json_new_array();
    state->ramdisks = bvi_json_copy(variant->ramdisks);
    return state->tags && state->ramdisks ? 0 : bvi_fail_nomem(err);
}

int bvi_node_make_state(const bvi_node_make *from, const bvi_json *args, bvi_node_state *state,
                        bv_error **err)
{
    const bvi_image_variant *variant;
    const char *variant_key = NULL, *name = NULL;
    int r;

    if ((r = bvi_json_opt_string(args, "variant", &variant_key, err)) < 0 ||
        (r = bvi_json_opt_string(args, "name", &name, err)) < 0)
        return r;
    variant = bvi_image_meta_variant(from->meta, variant_key);
    if (!variant)
        return bvi_fail(err, BV_E_NOT_FOUND, "image '%s' has no variant '%s'", from->image_name,
                        variant_key ? variant_key : "");
    state->id = bvi_malloc(BVI_ID_TEXT_SIZE);
    if (!state->id)
        return bvi_fail_nomem(err);
    if ((r = bvi_id_new(state->id, err)) < 0 ||
        (r = choose_name(from, name, &state->name, err)) < 0 ||
        (r = set_texts(state, from, variant, args, err)) < 0 ||
        (r = set_numbers(state, args, err)) < 0)
        return r;
    state->created_at = from->created_at;
    state->intent = BVI_INTENT_CREATE;
    return set_documents(state, variant, args, err);
}

/* ---- change ---- */

static const bvi_image_property *find_property(const bvi_image_variant *variant, const char *key)
{
    for (size_t i = 0; variant && i < variant->properties.len; i++) {
        if (strcmp(variant->properties.items[i].key, key) == 0)
            return &variant->properties.items[i];
    }
    return NULL;
}

/* Whether the value is another one than before. */
static int check_change(const bvi_image_variant *variant, const bvi_json *before,
                        const bvi_json *given, bool *ret_new, bv_error **err)
{
    const char *key = bvi_json_key(given);
    const char *value = bvi_json_string(given);
    const char *old = bvi_json_string(bvi_json_find(before, key));
    const bvi_image_property *property = find_property(variant, key);

    if (!property)
        return bvi_fail(err, BV_E_INVALID, "the image has no property '%s'", key);
    if (!value)
        return bvi_fail(err, BV_E_INVALID, "property '%s' must be a string", key);
    *ret_new = !old || strcmp(old, value) != 0;
    if (*ret_new && !property->dynamic_value)
        return bvi_fail(err, BV_E_INVALID,
                        "property '%s' is fixed when a node is created (dynamic_value in "
                        "babel.yaml); create a new node",
                        key);
    return 0;
}

int bvi_node_change_properties(const bvi_image_meta *meta, const bvi_node_state *state,
                               const bvi_json *given, bvi_json **ret_merged, bv_error **err)
{
    const bvi_image_variant *variant = bvi_image_meta_variant(meta, state->variant_key);
    bvi_auto_json bvi_json *merged =
        state->properties ? bvi_json_copy(state->properties) : bvi_json_new_object();
    bool changed = false;

    if (!merged)
        return bvi_fail_nomem(err);
    bvi_json_each(it, given) {
        bool is_new = false;
        int r = check_change(variant, state->properties, it, &is_new, err);

        if (r < 0)
            return r;
        if (is_new && bvi_json_put_string(merged, bvi_json_key(it), bvi_json_string(it)) < 0)
            return bvi_fail_nomem(err);
        changed = changed || is_new;
    }
    *ret_merged = changed ? bvi_take(merged) : NULL;
    return 0;
}
