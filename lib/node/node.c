/*
 * node.c - one node: its parts, its status, its document.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/paths.h"
#include "node/node.h"
#include "node/node_doc.h"
#include "node/node_env.h"
#include "sys/fs.h"
#include "transfer/store.h"

#define ENV_STRINGS_MAX 64u
#define RAMDISKS_MAX    256u /* beyond what a container may have */

/* Processes and threads of one node: far beyond what clients use, and no fork bomb for the host. */
#define PIDS_MAX 16384u

/* First process of every node, seen from inside. */
static const char *const init_argv[] = {
    BVI_NODE_BUNDLE_DIR "/current/" BVI_BUNDLE_INIT,
    "--",
    BVI_NODE_BUNDLE_DIR "/current/" BVI_BUNDLE_LOADER,
    "--library-path",
    BVI_NODE_BUNDLE_DIR "/current/" BVI_BUNDLE_LIBRARIES,
    BVI_NODE_BUNDLE_DIR "/current/" BVI_BUNDLE_AGENT,
    NULL,
};

/* ---- making ---- */

int bvi_node_find_image(bvi_node *node, bv_error **err)
{
    const bvi_image *image = bvi_image_store_find(node->manager->opts.images, node->state.image_id);
    int r;

    if (!image || strcmp(bvi_image_id(image), node->state.image_id) != 0)
        return bvi_fail(err, BV_E_NOT_FOUND, "image '%s' is not in the store; import it again",
                        node->state.image_id);
    r = bvi_node_state_set(&node->image_root, bvi_image_root(image), err);
    node->spec.image_root = node->image_root;
    return r;
}

/* Host directories that stand for the snapshot store inside the node: one key to read, one place to
 * write. */
static int make_store_binds(bvi_node *node, bv_error **err)
{
    const char *dir = node->manager->opts.store_dir;
    bvi_auto_free char *key = NULL;
    int r;

    if (!node->state.store_key || !*node->state.store_key)
        return 0;
    r = bvi_store_key_normalise(node->state.store_key, &key,
                                err); /* a key is a path below the store */
    if (r < 0 || !dir)
        return r;
    node->store_bind = bvi_path_join(dir, key, NULL);
    node->staging_top = bvi_path_join(dir, ".staging", NULL);
    node->upload_bind = bvi_path_join(dir, ".staging", node->state.id, NULL);
    return node->store_bind && node->staging_top && node->upload_bind ? 0 : bvi_fail_nomem(err);
}

/* What may stand in a node's name but not in a host name. */
static int make_hostname(bvi_node *node, bv_error **err)
{
    node->hostname = bvi_strdup(node->state.name);
    if (!node->hostname)
        return bvi_fail_nomem(err);
    for (char *c = node->hostname; *c; c++) {
        if (*c == '_')
            *c = '-';
    }
    return 0;
}

/* The agent mounts what is missing when it is set up, but has no right to: the container comes with
 * them. What is wrong with them is told when it is started. */
static int make_ramdisks(bvi_node *node, bv_error **err)
{
    node->ramdisks.max = RAMDISKS_MAX;
    bvi_json_each(it, node->state.ramdisks) {
        const char *path = bvi_json_string(bvi_json_find(it, "ram_disk_mount_point"));
        size_t len = path ? strlen(path) : 0;
        bvi_tmpfs *disk = node->ramdisks.len < RAMDISKS_MAX ? bvi_vec_push(&node->ramdisks) : NULL;

        if (node->ramdisks.len == RAMDISKS_MAX)
            break;
        if (!disk)
            return bvi_fail_nomem(err);
        while (len > 1 && path[len - 1] == '/')
            len--;
        (void)bvi_json_uint64(bvi_json_find(it, "ram_disk_size_mb"), &disk->size_mb); /* else 0 */
        disk->destination = bvi_strndup(path ? path : "", len);
        if (!disk->destination)
            return bvi_fail_nomem(err);
    }
    return 0;
}

static void add_bind(bvi_node *node, const char *source, const char *destination, bool read_only)
{
    node->binds[node->spec.bind_count++] = (bvi_bind){ source, destination, read_only };
}

static void fill_spec(bvi_node *node)
{
    node->spec = (bvi_container_spec){
        .id = node->state.id,
        .hostname = node->hostname,
        .image_root = node->image_root,
        .node_dir = node->paths.dir,
        .root_dir = node->paths.rootfs,
        .binds = node->binds,
        .tmpfs = node->ramdisks.items,
        .tmpfs_count = node->ramdisks.len,
        .argv = init_argv,
        .env = (const char *const *)node->env_strings.items,
        .network = node->state.network && strcmp(node->state.network, "none") == 0
                       ? BVI_NETWORK_NONE
                       : BVI_NETWORK_HOST,
        .memory_bytes = node->state.memory_mb * 1000000u,
        .cpus = node->state.cpus,
        .pids = PIDS_MAX,
    };
    add_bind(node, node->manager->opts.agent_dir, BVI_NODE_BUNDLE_DIR, true);
    add_bind(node, node->paths.run, BVI_NODE_RUN_DIR, false);
    add_bind(node, node->paths.data, BVI_NODE_DATA_DIR, false);
    if (node->store_bind) {
        add_bind(node, node->store_bind, BVI_NODE_STORE_DIR, true);
        add_bind(node, node->upload_bind, BVI_NODE_UPLOAD_DIR, false);
    }
}

/* ret_strings is empty, and ends with a NULL afterwards. */
static int make_strings(const bvi_json *env, bvi_strv *ret_strings, bv_error **err)
{
    char **end;
    int r;

    ret_strings->max = ENV_STRINGS_MAX;
    r = bvi_node_env_strings(env, ret_strings, err);
    if (r < 0)
        return r;
    if (bvi_strv_add(ret_strings,
                     "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") < 0)
        return bvi_fail_nomem(err);
    end = bvi_vec_push(ret_strings); /* the closing NULL of an environment */
    return end ? 0 : bvi_fail_nomem(err);
}

int bvi_node_make_env(bvi_node *node, bv_error **err)
{
    const bvi_json *properties = node->state.properties;
    bvi_auto_json bvi_json *params = properties ? bvi_json_copy(properties) : bvi_json_new_object();
    BVI_AUTO(bvi_strv_done) bvi_strv strings = BVI_VEC_INIT(ENV_STRINGS_MAX);
    bvi_strv old = node->env_strings;
    bvi_json *env = NULL;
    int r;

    if (!params)
        return bvi_fail_nomem(err);
    r = bvi_node_env_json(&node->state, node->manager->opts.host_name, &env, err);
    if (r < 0)
        return r;
    r = make_strings(env, &strings, err);
    if (r < 0) {
        bvi_json_free(env);
        return r;
    }
    bvi_json_free(node->env);
    bvi_json_free(node->params);
    node->env = env;
    node->params = bvi_take(params);
    node->env_strings = strings;
    strings = old;
    node->spec.env = (const char *const *)node->env_strings.items;
    return 0;
}

/* A node whose image is gone can still be listed, stopped and deleted. */
static int make_image_root(bvi_node *node, bv_error **err)
{
    bvi_auto_error bv_error *missing = NULL;
    int r = bvi_node_find_image(node, &missing);

    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r == 0)
        return 0;
    bvi_node_set_problem(node, missing);
    return bvi_node_state_set(&node->image_root, "", err);
}

static int make_parts(bvi_node *node, bv_error **err)
{
    const bvi_agent_client_opts agent = { .socket_path = node->paths.agent_socket,
                                          .node_id = node->state.id,
                                          .on_state = bvi_node_agent_changed,
                                          .data = node };
    int r;

    if ((r = bvi_timer_new(node->ctx, bvi_node_retry, node, &node->retry, err)) < 0 ||
        (r = bvi_timer_new(node->ctx, bvi_node_collect_metrics, node, &node->metrics_timer, err)) <
            0 ||
        (r = bvi_node_make_env(node, err)) < 0 || (r = make_hostname(node, err)) < 0 ||
        (r = make_store_binds(node, err)) < 0 || (r = make_ramdisks(node, err)) < 0 ||
        (r = make_image_root(node, err)) < 0 ||
        (r = bvi_agent_client_new(node->ctx, &agent, &node->agent, err)) < 0)
        return r;
    fill_spec(node);
    return 0;
}

int bvi_node_new(bvi_manager *manager, bvi_node_state *state, bvi_node **ret_node, bv_error **err)
{
    bv_error *local = NULL;
    bvi_node *node = bvi_new0(bvi_node);
    int r;

    if (!node)
        return bvi_fail_nomem(err);
    node->manager = manager;
    node->ctx = manager->ctx;
    node->state = *state;
    bvi_node_state_init(state);
    bvi_activity_setup(node);
    bvi_node_deferred_setup(node);
    r = bvi_node_paths_init(&node->paths, manager->opts.paths->nodes_dir, node->state.id, &local);
    if (r == 0)
        r = make_parts(node, &local);
    if (r < 0) {
        bvi_node_free(node);
        return bvi_error_move(err, local);
    }
    *ret_node = node;
    return 0;
}

void bvi_node_release(bvi_node *node)
{
    if (node->freeing || node->activity.in_step || node->users)
        return;
    bvi_strv_done(&node->env_strings);
    bvi_strv_done(&node->running_tasks);
    bvi_json_free(node->env);
    bvi_json_free(node->params);
    bvi_json_free(node->wanted);
    bvi_json_free(node->tasks);
    bvi_json_free(node->metrics);
    for (size_t i = 0; i < node->ramdisks.len; i++)
        bvi_free((void *)node->ramdisks.items[i].destination);
    bvi_vec_done(&node->ramdisks);
    bvi_free(node->image_root);
    bvi_free(node->hostname);
    bvi_free(node->store_bind);
    bvi_free(node->upload_bind);
    bvi_free(node->staging_top);
    bvi_node_paths_done(&node->paths);
    bvi_node_state_done(&node->state);
    bvi_free(node);
}

void bvi_node_free(bvi_node *node)
{
    if (!node)
        return;
    node->closing = node->freeing = true;
    if (node->check)
        bvi_checkup_cancel(node->check);
    bvi_node_deferred_teardown(node);
    bvi_activity_teardown(node);
    bvi_timer_free(node->retry);
    bvi_timer_free(node->task_timer);
    bvi_timer_free(node->metrics_timer);
    bvi_plugin_free(node->plugin);
    bvi_plugin_free(node->fresh);
    bvi_node_drop_retired(node, true);
    bvi_vec_done(&node->retired);
    bvi_agent_client_free(node->agent);
    bvi_engine_server_free(node->engine);
    node->freeing = false;
    bvi_node_release(node);
}

/* ---- parts ---- */

int bvi_node_save(bvi_node *node, bv_error **err)
{
    return bvi_node_state_save(node->paths.state, &node->state, err);
}

/* The root belongs to the node, which may have planted links: every step stays below it. */
int bvi_node_write_env(bvi_node *node, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    bvi_auto_close int root = -1;
    bvi_auto_close int dir = -1;
    int r = bvi_node_env_text(node->env, &text, err);

    if (r < 0)
        return r;
    root = open(node->paths.rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", node->paths.rootfs);
    if ((r = bvi_fs_mkdir_beneath(root, "var/lib/babel", 0755, err)) < 0 ||
        (r = bvi_fs_open_beneath(root, "var/lib/babel", O_RDONLY | O_DIRECTORY, 0, &dir, err)) < 0)
        return r;
    return bvi_fs_replace_at(dir, "node_env", text, strlen(text), 0644, err);
}

static void on_node_error(void *data, const char *text)
{
    bvi_node *node = data;

    bvi_log_full(node->ctx, BV_LOG_ERROR, "node", node->state.id, NULL, "babel: %s", text);
    bvi_events_add(node->manager->opts.events, "node_error", node->state.name, NULL, "%s", text);
}

int bvi_node_serve_engine(bvi_node *node, bv_error **err)
{
    const bvi_engine_host host = { .data = node,
                                   .open_source = bvi_node_open_source,
                                   .store = { .data = node,
                                              .open = bvi_node_open_store,
                                              .url = bvi_node_object_url,
                                              .info = bvi_node_store_info,
                                              .share = bvi_node_share },
                                   .gate = bvi_node_gate,
                                   .bv_error = on_node_error };

    if (node->engine)
        return 0;
    return bvi_engine_server_new(node->ctx, node->paths.engine_socket, &host, &node->engine, err);
}

/* ---- status ---- */

bool bvi_node_is_running(const bvi_node *node)
{
    bvi_driver *driver = node->manager->opts.driver;

    return driver->vtable->state(driver, node->state.id) == BVI_CONTAINER_RUNNING;
}

bool bvi_node_answers(const bvi_node *node)
{
    const bvi_sequence *work = node->activity.sequence;

    return node->agent_ready && bvi_node_is_running(node) &&
           bvi_agent_client_state(node->agent) != BVI_AGENT_BROKEN && work != &bvi_stop_sequence &&
           work != &bvi_restart_sequence && work != &bvi_delete_sequence;
}

const char *bvi_node_status(const bvi_node *node)
{
    bool running = bvi_node_is_running(node);

    if (node->activity.sequence)
        return "busy";
    if (node->state.expected == BVI_EXPECT_FAILED ||
        running != (node->state.expected == BVI_EXPECT_RUNNING))
        return "failed";
    if (running &&
        (!node->state.initialized || bvi_agent_client_state(node->agent) == BVI_AGENT_BROKEN))
        return "failed";
    return running ? "running" : "stopped";
}

void bvi_node_set_problem(bvi_node *node, const bv_error *err)
{
    bvi_free(node->state.problem);
    node->state.problem = err ? bvi_error_text(err) : NULL;
}

bvi_json *bvi_node_json(const bvi_node *node)
{
    bvi_driver *driver = node->manager->opts.driver;
    const bvi_node_now now = {
        .status = bvi_node_status(node),
        .work = bvi_activity_name(node),
        .pid = driver->vtable->pid(driver, node->state.id),
        .wall_s = bvi_ctx_wall_us(node->ctx) / 1000000,
        .metrics = node->metrics,
    };

    return bvi_node_state_json(&node->state, &now);
}
