/*
 * paths.c - the table of places in a node, each behind the prefix.
 */
#include <stddef.h>

#include "agent/paths.h"
#include "base/mem.h"

typedef struct place {
    size_t field; /* offset in bvi_agent_paths */
    const char *path;
} place;

static const place places[] = {
    { offsetof(bvi_agent_paths, run_dir), BVI_NODE_RUN_DIR },
    { offsetof(bvi_agent_paths, agent_socket), BVI_NODE_RUN_DIR "/" BVI_AGENT_SOCKET_NAME },
    { offsetof(bvi_agent_paths, engine_socket), BVI_NODE_RUN_DIR "/" BVI_ENGINE_SOCKET_NAME },
    { offsetof(bvi_agent_paths, conf), "/etc/babel.conf" },
    { offsetof(bvi_agent_paths, post_setup), "/var/lib/babel/post_setup.sh" },
    { offsetof(bvi_agent_paths, jobs_dir), "/var/lib/babel/jobs" },
    { offsetof(bvi_agent_paths, data_dir), BVI_NODE_DATA_DIR },
    { offsetof(bvi_agent_paths, data_lock), BVI_NODE_DATA_DIR "/.protocol_data.lock" },
    { offsetof(bvi_agent_paths, archive_dir), BVI_NODE_DATA_DIR "/.babel_jobs" },
};

/* Relative to the bundle. */
static const place programs[] = {
    { offsetof(bvi_agent_paths, loader), BVI_BUNDLE_LOADER },
    { offsetof(bvi_agent_paths, libraries), BVI_BUNDLE_LIBRARIES },
    { offsetof(bvi_agent_paths, runner), BVI_BUNDLE_RUNNER },
    { offsetof(bvi_agent_paths, transfer), BVI_BUNDLE_TRANSFER },
    { offsetof(bvi_agent_paths, ca_file), BVI_BUNDLE_CA_FILE },
};

static char **field_of(bvi_agent_paths *paths, const place *p)
{
    return (char **)(void *)((char *)paths + p->field);
}

static bool fill(bvi_agent_paths *paths, const place *table, size_t count, const char *before,
                 const char *between)
{
    for (size_t i = 0; i < count; i++) {
        *field_of(paths, &table[i]) = bvi_asprintf("%s%s%s", before, between, table[i].path);
        if (!*field_of(paths, &table[i]))
            return false;
    }
    return true;
}

void bvi_agent_paths_done(bvi_agent_paths *paths)
{
    for (size_t i = 0; i < BVI_COUNT(places); i++)
        bvi_free(*field_of(paths, &places[i]));
    for (size_t i = 0; i < BVI_COUNT(programs); i++)
        bvi_free(*field_of(paths, &programs[i]));
    bvi_free(paths->root);
    bvi_free(paths->bundle);
    *paths = (bvi_agent_paths){ 0 };
}

int bvi_agent_paths_init(bvi_agent_paths *paths, const char *prefix, const char *bundle,
                         bv_error **err)
{
    *paths = (bvi_agent_paths){ 0 };
    paths->root = bvi_strdup(*prefix ? prefix : "/");
    paths->bundle =
        bundle ? bvi_strdup(bundle) : bvi_asprintf("%s%s/current", prefix, BVI_NODE_BUNDLE_DIR);
    if (paths->root && paths->bundle && fill(paths, places, BVI_COUNT(places), prefix, "") &&
        fill(paths, programs, BVI_COUNT(programs), paths->bundle, "/"))
        return 0;
    bvi_agent_paths_done(paths);
    return bvi_fail_nomem(err);
}
