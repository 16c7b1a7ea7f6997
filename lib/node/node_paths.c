/*
 * node_paths.c - where things are on the host.
 */
#include <stddef.h>
#include <string.h>

#include "agent/paths.h"
#include "node/node_paths.h"

/* Each path is its base directory and a name; the base is a member that stands before it. */
typedef struct path_rule {
    size_t member;
    size_t base;
    const char *name;
} path_rule;

#define HOST(member, base, name)                                                                   \
    {                                                                                              \
        offsetof(bvi_host_paths, member), offsetof(bvi_host_paths, base), name                     \
    }

static const path_rule host_rules[] = {
    HOST(var_dir, root, "/var/lib/blockvisor"),
    HOST(nodes_dir, var_dir, "/nodes"),
    HOST(images_dir, var_dir, "/images"),
    HOST(snapshots_dir, var_dir, "/snapshots"),
    HOST(run_dir, root, "/run/blockvisor"),
    HOST(lock, var_dir, "/host.lock"),
    HOST(secrets, root, "/etc/blockvisor/secrets.json"),
    HOST(limits, var_dir, "/transfer-limits.json"),
    HOST(events_seq, var_dir, "/events.seq"),
};

#define NODE(member, base, name)                                                                   \
    {                                                                                              \
        offsetof(bvi_node_paths, member), offsetof(bvi_node_paths, base), name                     \
    }

static const path_rule node_rules[] = {
    NODE(state, dir, "/state.json"),
    NODE(plugin_data, dir, "/plugin.data"),
    NODE(plugin_config, dir, "/plugin_config.json"),
    NODE(secrets, dir, "/secrets.json"),
    NODE(rootfs, dir, "/rootfs"),
    NODE(data, dir, "/data"),
    NODE(run, dir, "/run"),
    NODE(agent_socket, run, "/" BVI_AGENT_SOCKET_NAME),
    NODE(engine_socket, run, "/" BVI_ENGINE_SOCKET_NAME),
    NODE(env_file, rootfs, "/var/lib/babel/node_env"),
    NODE(jobs_dir, rootfs, "/var/lib/babel/jobs"),
    NODE(data_lock, data, "/.protocol_data.lock"),
};

static char **member_at(void *paths, size_t offset)
{
    return (char **)(void *)((char *)paths + offset);
}

static int apply(void *paths, const path_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *path = bvi_asprintf("%s%s", *member_at(paths, rules[i].base), rules[i].name);

        if (!path)
            return BV_E_NOMEM;
        *member_at(paths, rules[i].member) = path;
    }
    return 0;
}

static void release(void *paths, const path_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bvi_freep(member_at(paths, rules[i].member));
}

int bvi_host_paths_init(bvi_host_paths *paths, const char *root, bv_error **err)
{
    size_t len = strlen(root);

    memset(paths, 0, sizeof(*paths));
    if (root[0] != '/')
        return bvi_fail(err, BV_E_INVALID, "root '%s' must be an absolute path", root);
    while (len && root[len - 1] == '/')
        len--;
    paths->root = bvi_strndup(root, len);
    if (!paths->root || apply(paths, host_rules, BVI_COUNT(host_rules)) < 0) {
        bvi_host_paths_done(paths);
        return bvi_fail_nomem(err);
    }
    return 0;
}

void bvi_host_paths_done(bvi_host_paths *paths)
{
    release(paths, host_rules, BVI_COUNT(host_rules));
    bvi_freep(&paths->root);
}

int bvi_node_paths_init(bvi_node_paths *paths, const char *nodes_dir, const char *id,
                        bv_error **err)
{
    memset(paths, 0, sizeof(*paths));
    paths->dir = bvi_asprintf("%s/%s", nodes_dir, id);
    if (!paths->dir || apply(paths, node_rules, BVI_COUNT(node_rules)) < 0) {
        bvi_node_paths_done(paths);
        return bvi_fail_nomem(err);
    }
    return 0;
}

void bvi_node_paths_done(bvi_node_paths *paths)
{
    release(paths, node_rules, BVI_COUNT(node_rules));
    bvi_freep(&paths->dir);
}
