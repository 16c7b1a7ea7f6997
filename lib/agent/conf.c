/*
 * conf.c - reading and keeping the agent's configuration. Any thread; a conf belongs to one at a
 * time.
 */
#include <string.h>

#include "agent/conf.h"
#include "agent/paths.h"
#include "sys/fs.h"

static bool is_clean_path(const char *path)
{
    return path[0] == '/' && path[1] != '\0' && strlen(path) < BVI_AGENT_PATH_MAX &&
           !strstr(path, "/../") && !strstr(path, "//") &&
           !(strlen(path) >= 3 && strcmp(path + strlen(path) - 3, "/..") == 0);
}

static int read_path(const bvi_json *env, const char *key, const char **path, bv_error **err)
{
    int r = env ? bvi_json_opt_string(env, key, path, err) : 0;

    if (r < 0)
        return r;
    if (!is_clean_path(*path))
        return bvi_fail(err, BV_E_FORMAT,
                        "'%s' is '%s', which is not an absolute path without '..'", key, *path);
    return 0;
}

static int read_node_env(bvi_agent_conf *conf, bv_error **err)
{
    const bvi_json *env = bvi_json_find(conf->root, "node_env");
    int r;

    if (env && bvi_json_type_of(env) != BVI_JSON_OBJECT && bvi_json_type_of(env) != BVI_JSON_NULL)
        return bvi_fail(err, BV_E_FORMAT, "'node_env' is a %s, not an object",
                        bvi_json_type_name(env));
    if (bvi_json_type_of(env) == BVI_JSON_NULL)
        env = NULL;
    conf->data_mount_point = BVI_NODE_DATA_DIR;
    conf->protocol_data_path = BVI_NODE_DATA_DIR "/protocol_data";
    r = read_path(env, "data_mount_point", &conf->data_mount_point, err);
    return r < 0 ? r : read_path(env, "protocol_data_path", &conf->protocol_data_path, err);
}

static int read_ramdisk(bvi_agent_conf *conf, const bvi_json *item, bv_error **err)
{
    bvi_agent_ramdisk *disk;
    const char *path = NULL;
    uint64_t size_mb = 0;
    size_t len;
    int r;

    r = bvi_json_get_string(item, "ram_disk_mount_point", &path, err);
    if (r < 0)
        return r;
    r = bvi_json_get_uint64(item, "ram_disk_size_mb", &size_mb, err);
    if (r < 0)
        return r;
    if (!is_clean_path(path) || size_mb == 0 || size_mb > UINT32_MAX)
        return bvi_fail(
            err, BV_E_FORMAT,
            "RAM disk '%s' of %llu MB: wanted is an absolute path without '..' and a size", path,
            (unsigned long long)size_mb);
    disk = bvi_vec_push(&conf->ramdisks);
    if (!disk)
        return conf->ramdisks.len < conf->ramdisks.max
                   ? bvi_fail_nomem(err)
                   : bvi_fail(err, BV_E_LIMIT, "more than %u RAM disks", BVI_AGENT_RAMDISKS_MAX);
    for (len = strlen(path); len > 1 && path[len - 1] == '/';)
        len--;
    disk->mount_point = bvi_strndup(path, len);
    disk->size_mb = size_mb;
    return disk->mount_point ? 0 : bvi_fail_nomem(err);
}

static int read_ramdisks(bvi_agent_conf *conf, bv_error **err)
{
    const bvi_json *list = bvi_json_find(conf->root, "ramdisks");

    if (bvi_json_type_of(list) == BVI_JSON_NULL)
        return 0;
    if (bvi_json_type_of(list) != BVI_JSON_ARRAY)
        return bvi_fail(err, BV_E_FORMAT, "'ramdisks' is a %s, not an array",
                        bvi_json_type_name(list));
    bvi_json_each(item, list) {
        int r = read_ramdisk(conf, item, err);

        if (r < 0)
            return r;
    }
    return 0;
}

void bvi_agent_conf_done(bvi_agent_conf *conf)
{
    for (size_t i = 0; i < conf->ramdisks.len; i++)
        bvi_free(conf->ramdisks.items[i].mount_point);
    bvi_vec_done(&conf->ramdisks);
    bvi_json_free(conf->root);
    *conf = (bvi_agent_conf)BVI_AGENT_CONF_INIT;
}

int bvi_agent_conf_parse(bvi_agent_conf *conf, const char *text, size_t len, bv_error **err)
{
    BVI_AUTO(bvi_agent_conf_done) bvi_agent_conf fresh = BVI_AGENT_CONF_INIT;
    int r = bvi_json_parse(text, len, &fresh.root, err);

    if (r < 0)
        return r;
    if (bvi_json_type_of(fresh.root) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "the configuration is a %s, not an object",
                        bvi_json_type_name(fresh.root));
    r = read_node_env(&fresh, err);
    if (r < 0)
        return r;
    r = read_ramdisks(&fresh, err);
    if (r < 0)
        return r;
    *conf = fresh;
    fresh = (bvi_agent_conf)BVI_AGENT_CONF_INIT;
    return 0;
}

int bvi_agent_conf_load(bvi_agent_conf *conf, const char *path, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read(path, BVI_AGENT_CONF_MAX, &text, &len, err);

    if (r < 0)
        return r;
    r = bvi_agent_conf_parse(conf, text, len, err);
    return r < 0 ? bvi_wrap(err, r, "agent configuration '%s'", path) : 0;
}

int bvi_agent_conf_save(const bvi_agent_conf *conf, const char *path, bv_error **err)
{
    /* Node ids and the API's address are no secrets, but nobody else needs them. */
    int r = bvi_fs_replace_json(path, conf->root, 0600, err);

    return r < 0 ? bvi_wrap(err, r, "cannot keep the agent's configuration") : 0;
}
