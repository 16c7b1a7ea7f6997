/*
 * conn_local.c - "local:<root>": the engine in this process, on the state below a root directory.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/local.h"
#include "host/transfer_limits.h"
#include "sys/fs.h"
#include "sys/host.h"

/* Where the agent bundle is when nobody says: in a build tree, then installed, seen from the
 * running program. */
static const char *const bundle_places[] = { "../agent-bundle", "../lib/blockvisor/agent",
                                             "../libexec/blockvisor/agent" };

/* ---- opening ---- */

static char *program_dir(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash;

    if (len <= 0)
        return NULL;
    path[len] = '\0';
    slash = strrchr(path, '/');
    return slash ? bvi_strndup(path, (size_t)(slash - path)) : NULL;
}

/* A directory somebody named is looked at now: a typing mistake should not wait for the first
 * node. */
static int take_bundle(bvi_local *local, const char *given, bv_error **err)
{
    bvi_auto_free char *current = bvi_path_join(given, "current", NULL);
    char resolved[PATH_MAX];

    if (!current)
        return bvi_fail_nomem(err);
    if (!realpath(given, resolved))
        return bvi_fail_sys(err, errno, "agent bundle '%s'", given);
    if (!bvi_fs_exists(current))
        return bvi_fail(err, BV_E_NOT_FOUND, "'%s' is no agent bundle: it has no 'current'", given);
    local->agent_dir = bvi_strdup(resolved);
    return local->agent_dir ? 0 : bvi_fail_nomem(err);
}

static int find_bundle(bvi_local *local, const char *given, bv_error **err)
{
    bvi_auto_free char *dir = given ? NULL : program_dir();

    if (given)
        return take_bundle(local, given, err);
    for (size_t i = 0; dir && i < BVI_COUNT(bundle_places); i++) {
        bvi_auto_free char *place = bvi_path_join(dir, bundle_places[i], NULL);
        bvi_auto_free char *current = place ? bvi_path_join(place, "current", NULL) : NULL;
        char resolved[PATH_MAX];

        if (current && bvi_fs_exists(current) && realpath(place, resolved)) {
            local->agent_dir = bvi_strdup(resolved);
            return local->agent_dir ? 0 : bvi_fail_nomem(err);
        }
    }
    /* Looking at nodes needs none; starting one will say what is missing. */
    local->agent_dir = bvi_strdup("/usr/lib/blockvisor/agent");
    return local->agent_dir ? 0 : bvi_fail_nomem(err);
}

static int open_driver(bvi_local *local, const bv_host_opts *opts, bv_error **err)
{
    bvi_auto_free char *state_dir = bvi_path_join(local->paths.run_dir, "oci", NULL);
    bvi_auto_free char *init = bvi_path_join(local->agent_dir, "current", BVI_BUNDLE_INIT, NULL);
    const bvi_oci_opts oci = { .runtime = opts->runtime,
                               .state_dir = state_dir,
                               .init_path = init };

    if (opts->driver && strcmp(opts->driver, "fake") == 0)
        return bvi_fake_driver_new(local->base.ctx, &local->driver, err);
    if (opts->driver && strcmp(opts->driver, "oci") != 0)
        return bvi_fail(err, BV_E_INVALID, "driver '%s': must be \"oci\" or \"fake\"",
                        opts->driver);
    if (!state_dir || !init)
        return bvi_fail_nomem(err);
    return bvi_oci_driver_new(local->base.ctx, &oci, &local->driver, err);
}

static int open_store(bvi_local *local, const char *uri, bv_error **err)
{
    bvi_store *store = NULL;
    int r;

    local->store_uri = uri ? bvi_strdup(uri) : bvi_asprintf("dir:%s", local->paths.snapshots_dir);
    if (!local->store_uri)
        return bvi_fail_nomem(err);
    if (strncmp(local->store_uri, "dir:", 4) == 0)
        local->store_dir = local->store_uri + 4;
    r = bvi_store_open(local->base.ctx, local->store_uri, &store, err);
    return r < 0 ? r : bvi_snapshots_new(store, &local->snapshots, err);
}

static int take_lock(bvi_local *local, bv_error **err)
{
    int r = bvi_fs_mkdir(local->paths.var_dir, 0755, err);

    if (r == 0)
        r = bvi_fs_mkdir(local->paths.run_dir, 0755, err);
    if (r == 0)
        r = bvi_fs_lock(local->paths.lock, &local->lock_fd, err);
    if (r == BV_E_BUSY)
        return bvi_wrap(err, r,
                        "another process runs the nodes of '%s'; talk to it with --host unix:",
                        *local->paths.root ? local->paths.root : "/");
    return r;
}

static int open_parts(bvi_local *local, const char *root, const bv_host_opts *opts, bv_error **err)
{
    bv_ctx *ctx = local->base.ctx;
    bvi_store_format upload_format = BVI_STORE_ANY;
    bvi_host_facts facts;
    int r;

    if ((r = bvi_snapshot_format_parse(opts->upload_format, &upload_format, err)) < 0 ||
        (r = bvi_host_paths_init(&local->paths, *root ? root : "/", err)) < 0 ||
        (r = take_lock(local, err)) < 0 ||
        (r = bvi_host_limits_load(ctx, local->paths.limits, err)) < 0 ||
        (r = bvi_host_facts_get(&facts, err)) < 0 ||
        (r = find_bundle(local, opts->agent_dir, err)) < 0 ||
        (r = open_driver(local, opts, err)) < 0 || (r = open_store(local, opts->store, err)) < 0 ||
        (r = bvi_image_store_open(ctx, local->paths.images_dir, &local->images, err)) < 0 ||
        (r = bvi_events_new(ctx, local->paths.events_seq, &local->events, err)) < 0)
        return r;
    local->host_name = bvi_strdup(facts.hostname);
    if (!local->host_name)
        return bvi_fail_nomem(err);
    local->manager_opts = (bvi_manager_opts){
        .paths = &local->paths,
        .driver = local->driver,
        .images = local->images,
        .snapshots = local->snapshots,
        .store_uri = local->store_uri,
        .store_dir = local->store_dir,
        .upload_format = upload_format,
        .events = local->events,
        .agent_dir = local->agent_dir,
        .host_name = local->host_name,
    };
    return bvi_manager_new(ctx, &local->manager_opts, &local->manager, err);
}

static void local_close(bvi_conn *conn)
{
    bvi_local *local = (bvi_local *)conn;

    bvi_local_end_transfers(local);
    if (local->manager)
        bvi_manager_free(local->manager);
    else
        bvi_driver_free(local->driver);
    bvi_image_store_free(local->images);
    bvi_events_free(local->events);
    bvi_snapshots_free(local->snapshots);
    bvi_closep(&local->lock_fd);
    bvi_host_paths_done(&local->paths);
    bvi_free(local->agent_dir);
    bvi_free(local->store_uri);
    bvi_free(local->host_name);
    bvi_free(local);
}

static int local_open(bv_ctx *ctx, const char *rest, const bv_host_opts *opts, bvi_conn **ret_conn,
                      bv_error **err)
{
    bvi_local *local = bvi_new0(bvi_local);
    int r;

    if (!local)
        return bvi_fail_nomem(err);
    local->base = (bvi_conn){ &bvi_conn_local, ctx };
    local->lock_fd = -1;
    r = open_parts(local, rest, opts, err);
    if (r < 0) {
        local_close(&local->base);
        return r;
    }
    *ret_conn = &local->base;
    return 0;
}

/* ---- host.* ---- */

static void host_info(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_host_facts facts;
    bv_error *err = NULL;
    uint64_t total = 0, available = 0;

    if (bvi_host_facts_get(&facts, &err) < 0 ||
        bvi_fs_space(local->paths.var_dir, &total, &available, &err) < 0) {
        bvi_reply_fail(reply, err);
        return;
    }
    if (!root || bvi_json_put_string(root, "version", bv_version()) < 0 ||
        bvi_json_put_string(root, "status", "ok") < 0 ||
        bvi_json_put_string(root, "root", *local->paths.root ? local->paths.root : "/") < 0 ||
        bvi_json_put_string(root, "driver", local->driver->vtable->name) < 0 ||
        bvi_json_put_string(root, "agent_dir", local->agent_dir) < 0 ||
        bvi_json_put_string(root, "store", local->store_uri) < 0 ||
        bvi_json_put_int64(root, "pid", getpid()) < 0 ||
        bvi_json_put_string(root, "hostname", facts.hostname) < 0 ||
        bvi_json_put_string(root, "os", facts.os) < 0 ||
        bvi_json_put_string(root, "os_version", facts.os_version) < 0 ||
        bvi_json_put_string(root, "kernel", facts.kernel) < 0 ||
        bvi_json_put_uint64(root, "cpus", facts.cpus) < 0 ||
        bvi_json_put_uint64(root, "memory_bytes", facts.memory_bytes) < 0 ||
        bvi_json_put_uint64(root, "disk_bytes", total) < 0 ||
        bvi_json_put_uint64(root, "disk_available_bytes", available) < 0) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    bvi_reply_ok(reply, bvi_take(root));
}

static void host_metrics(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_host_usage usage;
    bv_error *err = NULL;

    if (bvi_host_usage_get(&usage, &err) < 0) {
        bvi_reply_fail(reply, err);
        return;
    }
    if (!root || bvi_json_put(root, "nodes", bvi_manager_counts(local->manager)) < 0 ||
        bvi_json_put_uint64(root, "images", bvi_image_store_count(local->images)) < 0 ||
        bvi_json_put_uint64(root, "memory_available_bytes", usage.memory_available_bytes) < 0 ||
        bvi_json_put(root, "load1", bvi_json_new_double(usage.load1)) < 0 ||
        bvi_json_put(root, "load5", bvi_json_new_double(usage.load5)) < 0 ||
        bvi_json_put(root, "load15", bvi_json_new_double(usage.load15)) < 0 ||
        bvi_json_put_uint64(root, "uptime_s", usage.uptime_s) < 0 ||
        bvi_json_put_uint64(root, "cpu_busy_us", usage.cpu_busy_us) < 0 ||
        bvi_json_put_uint64(root, "cpu_total_us", usage.cpu_total_us) < 0 ||
        bvi_json_put_uint64(root, "net_received_bytes", usage.net_received_bytes) < 0 ||
        bvi_json_put_uint64(root, "net_sent_bytes", usage.net_sent_bytes) < 0 ||
        bvi_json_put_uint64(root, "transfers_running", local->transfers.len) < 0 ||
        bvi_json_put_uint64(root, "transfer_retries", local->transfer_retries) < 0 ||
        bvi_host_limits_metrics(local->base.ctx, root) < 0) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    bvi_reply_ok(reply, bvi_take(root));
}

static void host_limits(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    (void)args;
    bvi_reply_ok(reply, bvi_host_limits_json(local->base.ctx));
}

static void host_set_limits(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    bv_error *err = NULL;

    if (bvi_host_limits_take(local->base.ctx, args, &err) < 0 ||
        bvi_host_limits_save(local->base.ctx, local->paths.limits, &err) < 0)
        bvi_reply_fail(reply, err);
    else
        bvi_reply_ok(reply, bvi_host_limits_json(local->base.ctx));
}

static void host_events(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    int64_t after = -1, wait_ms = 0;
    bv_error *err = NULL;

    if (bvi_json_opt_int64(args, "after", &after, &err) < 0 ||
        bvi_json_opt_int64(args, "wait_ms", &wait_ms, &err) < 0) {
        bvi_reply_fail(reply, err);
        return;
    }
    bvi_events_read(local->events, after, wait_ms, reply);
}

/* ---- image.* ---- */

static void image_list(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    int r = root ? bvi_json_put(root, "images", list) : BV_E_NOMEM;

    for (size_t i = 0; r == 0 && i < bvi_image_store_count(local->images); i++)
        r = bvi_json_add(list, bvi_image_json(bvi_image_store_at(local->images, i)));
    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

static void image_import(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    bvi_image_store_import(local->images, bvi_json_string(bvi_json_find(args, "path")),
                           bvi_json_string(bvi_json_find(args, "name")), reply);
}

static bool image_in_use(const char *id, void *data)
{
    return bvi_manager_uses_image(data, id);
}

static void image_remove(bvi_local *local, const bvi_json *args, bvi_reply *reply)
{
    bvi_image_store_remove(local->images, bvi_json_string(bvi_json_find(args, "image")),
                           image_in_use, local->manager, reply);
}

/* ---- calls ---- */

static const struct {
    bvi_call_id id;
    void (*call)(bvi_local *local, const bvi_json *args, bvi_reply *reply);
} own_calls[] = {
    { BVI_CALL_HOST_INFO, host_info },
    { BVI_CALL_HOST_METRICS, host_metrics },
    { BVI_CALL_HOST_LIMITS, host_limits },
    { BVI_CALL_HOST_SET_LIMITS, host_set_limits },
    { BVI_CALL_HOST_EVENTS, host_events },
    { BVI_CALL_IMAGE_LIST, image_list },
    { BVI_CALL_IMAGE_IMPORT, image_import },
    { BVI_CALL_IMAGE_REMOVE, image_remove },
    { BVI_CALL_SNAPSHOT_LIST, bvi_local_snapshot_list },
    { BVI_CALL_SNAPSHOT_DOWNLOAD, bvi_local_snapshot_download },
    { BVI_CALL_SNAPSHOT_VERIFY, bvi_local_snapshot_verify },
    { BVI_CALL_SNAPSHOT_DIFF, bvi_local_snapshot_diff },
    { BVI_CALL_SNAPSHOT_PRUNE, bvi_local_snapshot_prune },
};

static void local_call(bvi_conn *conn, const bvi_call *call, const bvi_json *args, bvi_reply *reply)
{
    bvi_local *local = (bvi_local *)conn;

    for (size_t i = 0; i < BVI_COUNT(own_calls); i++) {
        if (own_calls[i].id == call->id) {
            own_calls[i].call(local, args, reply);
            return;
        }
    }
    bvi_manager_call(local->manager, call->name, args, reply);
}

const bvi_conn_vtable bvi_conn_local = {
    .scheme = "local", .open = local_open, .close = local_close, .call = local_call
};
