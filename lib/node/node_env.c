/*
 * node_env.c - the node's environment as an object, as a file and as variables.
 */
#include <stddef.h>
#include <string.h>

#include "agent/paths.h"
#include "base/buf.h"
#include "node/node_env.h"

#define ENV_TEXT_MAX (256u * 1024u)

/* Order and names of spec host.md 11; the object's key is the lower-case form, where it has one. */
static const struct {
    const char *variable;
    const char *key;
} variables[] = {
    { "NODE_ID", "node_id" },
    { "NODE_NAME", "node_name" },
    { "NODE_ORG_ID", "node_org_id" },
    { "NODE_VERSION", "node_version" },
    { "NODE_PROTOCOL", "node_protocol" },
    { "NODE_VARIANT", "node_variant" },
    { "NODE_IP", "node_ip" },
    { "NODE_GATEWAY", "node_gateway" },
    { "DEV_MODE", "dev_mode" },
    { "BV_HOST_ID", "bv_host_id" },
    { "BV_HOST_NAME", "bv_host_name" },
    { "BV_API_URL", "bv_api_url" },
    { "DATA_MOUNT_POINT", "data_mount_point" },
    { "PROTOCOL_DATA_PATH", "protocol_data_path" },
};

int bvi_node_env_json(const bvi_node_state *state, const char *host_name, bvi_json **ret_env,
                      bv_error **err)
{
    const struct {
        const char *key;
        const char *value;
    } texts[] = {
        { "node_id", state->id },
        { "node_name", state->name },
        { "node_org_id", "" },
        { "node_version", state->image_version },
        { "node_protocol", state->protocol_key },
        { "node_variant", state->variant_key },
        { "node_ip", state->ip },
        { "node_gateway", state->gateway },
        { "bv_host_id", "" },
        { "bv_host_name", host_name },
        { "bv_api_url", "" },
        { "data_mount_point", BVI_NODE_DATA_DIR },
        { "protocol_data_path", BVI_NODE_DATA_PATH },
    };
    bvi_auto_json bvi_json *env = bvi_json_new_object();

    for (size_t i = 0; i < BVI_COUNT(texts); i++) {
        if (!env ||
            bvi_json_put_string(env, texts[i].key, texts[i].value ? texts[i].value : "") < 0)
            return bvi_fail_nomem(err);
    }
    if (bvi_json_put_bool(env, "dev_mode", state->dev_mode) < 0 ||
        bvi_json_put(env, "properties",
                     state->properties ? bvi_json_copy(state->properties) : bvi_json_new_object()) <
            0)
        return bvi_fail_nomem(err);
    *ret_env = bvi_take(env);
    return 0;
}

static const char *value_of(const bvi_json *env, const char *key)
{
    const bvi_json *node = bvi_json_find(env, key);

    if (bvi_json_type_of(node) == BVI_JSON_BOOL)
        return bvi_json_is_true(node) ? "true" : "false";
    return bvi_json_string(node) ? bvi_json_string(node) : "";
}

static int append_quoted(bvi_buf *text, const char *value)
{
    int r = bvi_buf_append_char(text, '"');

    for (; r == 0 && *value; value++) {
        if (strchr("\"\\$`", *value))
            r = bvi_buf_append_char(text, '\\');
        if (r == 0)
            r = bvi_buf_append_char(text, *value == '\n' ? ' ' : *value);
    }
    return r == 0 ? bvi_buf_append_str(text, "\"\n") : r;
}

int bvi_node_env_text(const bvi_json *env, char **ret_text, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(ENV_TEXT_MAX);

    for (size_t i = 0; i < BVI_COUNT(variables); i++) {
        if (bvi_buf_printf(&text, "%s=", variables[i].variable) < 0 ||
            append_quoted(&text, value_of(env, variables[i].key)) < 0)
            return bvi_fail_nomem(err);
    }
    *ret_text = bvi_buf_take(&text);
    return *ret_text ? 0 : bvi_fail_nomem(err);
}

int bvi_node_env_strings(const bvi_json *env, bvi_strv *strings, bv_error **err)
{
    for (size_t i = 0; i < BVI_COUNT(variables); i++) {
        if (bvi_strv_take(strings, bvi_asprintf("%s=%s", variables[i].variable,
                                                value_of(env, variables[i].key))) < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}
