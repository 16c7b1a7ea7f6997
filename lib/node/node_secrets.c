/*
 * node_secrets.c - what put_secret() keeps and get_secret() finds on a host without a control
 * plane.
 *
 * A node's own secrets are in nodes/<uuid>/secrets.json, {key: bytes in hexadecimal}, written
 * whole. Those an operator gives to all nodes are in <root>/etc/blockvisor/secrets.json, {key:
 * text}. Both are read when they are asked for, so that a change needs no restart; the plugin
 * remembers them for a while. Errors name keys and never values.
 */
#include <string.h>

#include "base/hex.h"
#include "node/node.h"
#include "sys/fs.h"

#define SECRET_MAX  (64u * 1024u) /* bytes of one */
#define SECRETS_MAX 64u           /* of a node */
#define FILE_MAX    (16u * 1024u * 1024u)

/* No file: *ret_secrets stays NULL. */
static int read_secrets(const char *path, bvi_json **ret_secrets, bv_error **err)
{
    int r;

    if (!bvi_fs_exists(path))
        return 0;
    r = bvi_fs_read_json(path, FILE_MAX, ret_secrets, err);
    if (r == 0 && bvi_json_type_of(*ret_secrets) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is not an object", path);
    return r;
}

static int decode(const char *key, const char *text, char **ret_bytes, size_t *ret_len,
                  bv_error **err)
{
    size_t len = text ? strlen(text) / 2 : 0;
    bvi_auto_free char *bytes = bvi_malloc(len + 1);

    if (!bytes)
        return bvi_fail_nomem(err);
    if (!text || strlen(text) != 2 * len || !bvi_hex_decode(text, bytes, len))
        return bvi_fail(err, BV_E_FORMAT, "secret '%s' is damaged", key);
    *ret_bytes = bvi_take(bytes);
    *ret_len = len;
    return 0;
}

/* The operator's. */
static int find_common(const bvi_node *node, const char *key, char **ret_bytes, size_t *ret_len,
                       bv_error **err)
{
    bvi_auto_json bvi_json *secrets = NULL;
    const bvi_json *value;
    int r = read_secrets(node->manager->opts.paths->secrets, &secrets, err);

    if (r < 0)
        return r;
    value = bvi_json_find(secrets, key);
    if (!value)
        return bvi_fail(err, BV_E_NOT_FOUND, "not_found");
    if (!bvi_json_string(value))
        return bvi_fail(err, BV_E_FORMAT, "'%s': secret '%s' is not a text",
                        node->manager->opts.paths->secrets, key);
    *ret_bytes = bvi_strdup(bvi_json_string(value));
    if (!*ret_bytes)
        return bvi_fail_nomem(err);
    *ret_len = strlen(*ret_bytes);
    return 0;
}

int bvi_node_get_secret(const bvi_node *node, const char *key, char **ret_bytes, size_t *ret_len,
                        bv_error **err)
{
    bvi_auto_json bvi_json *secrets = NULL;
    const bvi_json *value;
    int r = read_secrets(node->paths.secrets, &secrets, err);

    if (r < 0)
        return r;
    value = bvi_json_find(secrets, key);
    return value ? decode(key, bvi_json_string(value), ret_bytes, ret_len, err)
                 : find_common(node, key, ret_bytes, ret_len, err);
}

int bvi_node_put_secret(const bvi_node *node, const char *key, const void *bytes, size_t len,
                        bv_error **err)
{
    bvi_auto_json bvi_json *secrets = NULL;
    bvi_auto_free char *text = NULL;
    int r;

    if (len > SECRET_MAX)
        return bvi_fail(err, BV_E_LIMIT, "secret '%s' is larger than %u bytes", key, SECRET_MAX);
    r = read_secrets(node->paths.secrets, &secrets, err);
    if (r < 0)
        return r;
    if (!bvi_json_find(secrets, key) && bvi_json_count(secrets) >= SECRETS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "node '%s' has %u secrets already", node->state.name,
                        SECRETS_MAX);
    text = bvi_malloc(BVI_HEX_SIZE(len));
    if (!secrets)
        secrets = bvi_json_new_object();
    if (!text || !secrets)
        return bvi_fail_nomem(err);
    bvi_hex_encode(bytes, len, text);
    if (bvi_json_put_string(secrets, key, text) < 0)
        return bvi_fail_nomem(err);
    return bvi_fs_replace_json(node->paths.secrets, secrets, 0600, err);
}
