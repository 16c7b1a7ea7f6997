/*
 * manager.c - the registry of nodes, loading it at start, and handing calls to nodes.
 */
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "node/node.h"
#include "sys/fs.h"

#define LOG_READERS_MAX 256u
#define UPLOADS_MAX     256u
/* Entries of the nodes directory, nodes and stray files together. */
#define ENTRIES_MAX (BVI_NODES_MAX * 2u)

/* ---- registry ---- */

bvi_node *bvi_manager_find(bvi_manager *manager, const char *id_or_name)
{
    for (size_t i = 0; i < manager->nodes.len; i++) {
        bvi_node *node = manager->nodes.items[i];

        if (strcmp(node->state.id, id_or_name) == 0 || strcmp(node->state.name, id_or_name) == 0)
            return node;
    }
    return NULL;
}

int bvi_manager_register(bvi_manager *manager, bvi_node *node, bv_error **err)
{
    size_t at = 0;

    bvi_node **slot = bvi_vec_push(&manager->nodes);

    if (!slot)
        return manager->nodes.len >= BVI_NODES_MAX
                   ? bvi_fail(err, BV_E_LIMIT, "this host has %u nodes already", BVI_NODES_MAX)
                   : bvi_fail_nomem(err);
    while (at + 1 < manager->nodes.len &&
           strcmp(manager->nodes.items[at]->state.name, node->state.name) < 0)
        at++;
    memmove(&manager->nodes.items[at + 1], &manager->nodes.items[at],
            (manager->nodes.len - at - 1) * sizeof(manager->nodes.items[0]));
    manager->nodes.items[at] = node;
    return 0;
}

void bvi_manager_forget(bvi_manager *manager, bvi_node *node)
{
    for (size_t i = 0; i < manager->nodes.len; i++) {
        if (manager->nodes.items[i] == node) {
            bvi_vec_remove(&manager->nodes, i);
            break;
        }
    }
    bvi_node_free(node);
}

bool bvi_manager_uses_image(const bvi_manager *manager, const char *image_id)
{
    for (size_t i = 0; i < manager->nodes.len; i++) {
        if (strcmp(manager->nodes.items[i]->state.image_id, image_id) == 0)
            return true;
    }
    return false;
}

bvi_json *bvi_manager_counts(const bvi_manager *manager)
{
    static const char *const names[] = { "running", "stopped", "failed", "busy" };
    uint64_t counts[BVI_COUNT(names)] = { 0 };
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    for (size_t i = 0; i < manager->nodes.len; i++) {
        const char *status = bvi_node_status(manager->nodes.items[i]);

        for (size_t k = 0; k < BVI_COUNT(names); k++)
            counts[k] += strcmp(status, names[k]) == 0;
    }
    if (!root || bvi_json_put_uint64(root, "total", manager->nodes.len) < 0)
        return NULL;
    for (size_t k = 0; k < BVI_COUNT(names); k++) {
        if (bvi_json_put_uint64(root, names[k], counts[k]) < 0)
            return NULL;
    }
    return bvi_take(root);
}

/* ---- loading ---- */

static void complain(bvi_manager *manager, const char *id, const bv_error *err, const char *what)
{
    bvi_auto_free char *text = bvi_error_text(err);

    bvi_log_full(manager->ctx, BV_LOG_ERROR, "node", id, NULL, "%s: %s", what,
                 text ? text : "out of memory");
    bvi_events_add(manager->opts.events, "node_damaged", id, NULL, "%s: %s", what,
                   text ? text : "out of memory");
}

/* The state file is set aside; the node's data stays for a person to look at. */
static void set_aside(bvi_manager *manager, const char *id, const char *path, const bv_error *why)
{
    bvi_auto_free char *kept = NULL;
    bvi_auto_error bv_error *err = NULL;

    complain(manager, id, why, "its state cannot be used and is set aside, its data is left alone");
    if (bvi_fs_quarantine(path, &kept, &err) < 0)
        complain(manager, id, err, "cannot set its state aside");
}

static void begin_loaded(bvi_node *node)
{
    bool interrupted =
        node->state.intent == BVI_INTENT_CREATE || node->state.intent == BVI_INTENT_DELETE;

    bvi_activity_begin(node, interrupted ? &bvi_delete_sequence : &bvi_attach_sequence, true, NULL);
}

/* A creation that was interrupted before its first state file left empty directories. Only such go:
 * whatever else is there may be somebody's data. */
static void remove_shell(bvi_manager *manager, const bvi_node_paths *paths, const bv_error *why)
{
    static const char temporary[] = ".state.json.tmp-";
    bvi_strv names = BVI_VEC_INIT(ENTRIES_MAX);

    if (bvi_fs_list(paths->dir, &names, NULL) < 0)
        return;
    for (size_t i = 0; i < names.len; i++) {
        bvi_auto_free char *path = bvi_path_join(paths->dir, names.items[i], NULL);

        if (path && strncmp(names.items[i], temporary, sizeof(temporary) - 1) == 0)
            (void)unlink(path); /* what stays keeps the directory */
    }
    bvi_strv_done(&names);
    (void)rmdir(paths->data); /* these fail when something is in them */
    (void)rmdir(paths->run);
    if (rmdir(paths->dir) < 0)
        complain(manager, strrchr(paths->dir, '/') + 1, why,
                 "its directory has no state and is left alone");
}

/* Reads the state file and says whether it fits. */
static int read_state(bvi_manager *manager, const char *id, const bvi_node_paths *paths,
                      bvi_node_state *state, bv_error **err)
{
    int r = bvi_node_state_load(paths->state, state, err);

    if (r < 0)
        return r;
    if (strcmp(state->id, id) != 0)
        return bvi_fail(err, BV_E_FORMAT, "it says it is node '%s'", state->id);
    if (bvi_manager_find(manager, state->name))
        return bvi_fail(err, BV_E_EXISTS, "its name '%s' is taken by another node", state->name);
    return 0;
}

static int add_loaded(bvi_manager *manager, bvi_node_state *state, bv_error **err)
{
    bvi_node *node = NULL;
    int r = bvi_node_new(manager, state, &node, err);

    if (r == 0)
        r = bvi_manager_register(manager, node, err);
    if (r < 0) {
        bvi_node_free(node);
        return r;
    }
    begin_loaded(node);
    return 0;
}

static bool is_damage(int code)
{
    return code == BV_E_FORMAT || code == BV_E_LIMIT || code == BV_E_EXISTS || code == BV_E_INVALID;
}

/* Only running out of memory stops the loading; anything wrong with one node concerns that node. */
static int load_node(bvi_manager *manager, const char *id, bv_error **err)
{
    bvi_node_state state;
    bvi_node_paths paths;
    bvi_auto_error bv_error *local = NULL;
    int r = bvi_node_paths_init(&paths, manager->opts.paths->nodes_dir, id, err);

    if (r < 0)
        return r;
    bvi_node_state_init(&state);
    r = read_state(manager, id, &paths, &state, &local);
    if (r == BV_E_NOT_FOUND)
        remove_shell(manager, &paths, local);
    else if (is_damage(r))
        set_aside(manager, id, paths.state, local);
    else if (r == 0)
        r = add_loaded(manager, &state, &local);
    if (r < 0 && r != BV_E_NOT_FOUND && r != BV_E_NOMEM && bvi_fs_exists(paths.state))
        complain(manager, id, local, "it cannot be managed; its files are left alone");
    bvi_node_state_done(&state);
    bvi_node_paths_done(&paths);
    return r == BV_E_NOMEM ? bvi_error_move(err, bvi_take(local)) : 0;
}

static bool has_state(const char *nodes_dir, const char *id)
{
    bvi_auto_free char *dir = bvi_path_join(nodes_dir, id, NULL);
    bvi_strv names = BVI_VEC_INIT(ENTRIES_MAX);
    bool known = false;

    /* A quarantined state file also says: this is a node, leave it alone. */
    if (!dir || bvi_fs_list(dir, &names, NULL) < 0)
        known = true;
    for (size_t i = 0; i < names.len; i++)
        known = known || strncmp(names.items[i], "state.json", strlen("state.json")) == 0;
    bvi_strv_done(&names);
    return known;
}

static int load_all(bvi_manager *manager, bv_error **err)
{
    const char *nodes_dir = manager->opts.paths->nodes_dir;
    bvi_strv names = BVI_VEC_INIT(ENTRIES_MAX);
    int r = bvi_fs_mkdir(nodes_dir, 0711, err);

    if (r == 0)
        r = bvi_fs_list(nodes_dir, &names, err);
    for (size_t i = 0; r == 0 && i < names.len; i++) {
        bvi_auto_free char *state = bvi_path_join(nodes_dir, names.items[i], "state.json", NULL);

        if (!bvi_id_valid(names.items[i]))
            continue;
        if (!state)
            r = bvi_fail_nomem(err);
        else if (bvi_fs_exists(state) || !has_state(nodes_dir, names.items[i]))
            r = load_node(manager, names.items[i], err);
    }
    bvi_strv_done(&names);
    return r;
}

/* ---- a container that ended by itself ---- */

static void on_exit_of(bvi_driver *driver, const char *id, void *data)
{
    bvi_node *node = bvi_manager_find(data, id);

    if (node)
        bvi_node_exited(node);
}

/* For both ends of a manager's life. */
static void free_nodes(bvi_manager *manager)
{
    while (manager->uploads.len)
        bvi_upload_end(manager->uploads.items[0]);
    while (manager->log_readers.len)
        bvi_log_reader_cancel(manager->log_readers.items[0]);
    while (manager->nodes.len) {
        bvi_node *node = manager->nodes.items[manager->nodes.len - 1];

        bvi_activity_abandon_driver(node);
        bvi_manager_forget(manager, node);
    }
    bvi_vec_done(&manager->nodes);
    bvi_vec_done(&manager->log_readers);
    bvi_vec_done(&manager->uploads);
    bvi_vec_done(&manager->runtime_waiters);
    bvi_free(manager);
}

int bvi_manager_new(bv_ctx *ctx, const bvi_manager_opts *opts, bvi_manager **ret_manager,
                    bv_error **err)
{
    bvi_manager *manager = bvi_new0(bvi_manager);
    int r;

    if (!manager)
        return bvi_fail_nomem(err);
    manager->ctx = ctx;
    manager->opts = *opts;
    manager->runtime_waiters.max = BVI_NODES_MAX;
    manager->nodes.max = BVI_NODES_MAX;
    manager->log_readers.max = LOG_READERS_MAX;
    manager->uploads.max = UPLOADS_MAX;
    opts->driver->on_exit = on_exit_of;
    opts->driver->on_exit_data = manager;
    r = load_all(manager, err);
    if (r < 0) {
        opts->driver->on_exit = NULL;
        free_nodes(manager); /* nothing has begun: the driver has no calls */
        return bvi_wrap(err, r, "cannot load the nodes of '%s'", opts->paths->nodes_dir);
    }
    *ret_manager = manager;
    return 0;
}

void bvi_manager_free(bvi_manager *manager)
{
    if (!manager)
        return;
    /* First, so that no answer of it comes for a node that is gone. */
    bvi_driver_free(manager->opts.driver);
    free_nodes(manager);
}

/* ---- calls ---- */

static void call_list(bvi_manager *manager, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    int r = root ? bvi_json_put(root, "nodes", list) : BV_E_NOMEM;

    for (size_t i = 0; r == 0 && i < manager->nodes.len; i++)
        r = bvi_json_add(list, bvi_node_json(manager->nodes.items[i]));
    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

static bool forced(const bvi_json *args)
{
    return bvi_json_is_true(bvi_json_find(args, "force"));
}

static void node_show(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_node_show(node, reply);
}

/* A person takes over from recovery, which counts anew afterwards. */
static void forget_failures(bvi_node *node)
{
    for (size_t i = 0; !node->activity.sequence && i < BVI_COUNT(node->tries); i++)
        node->tries[i] = 0;
}

static void node_start(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    if (strcmp(bvi_node_status(node), "running") == 0) {
        bvi_reply_ok(reply, bvi_node_json(node));
        return;
    }
    forget_failures(node);
    bvi_activity_begin(node, &bvi_start_sequence, false, reply);
}

static void node_stop(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    forget_failures(node);
    bvi_activity_begin(node, &bvi_stop_sequence, forced(args), reply);
}

static void node_restart(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    forget_failures(node);
    bvi_activity_begin(node, &bvi_restart_sequence, forced(args), reply);
}

static void node_delete(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_activity_begin(node, &bvi_delete_sequence, true, reply);
}

static void node_run(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_node_run_fresh(node, args, reply);
}

static void node_check(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_node_check(node, args, reply);
}

static void node_tasks(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_node_tasks(node, reply);
}

static void node_update(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_node_update(node, args, reply);
}

static void node_reload(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_activity_begin(node, &bvi_reload_sequence, false, reply);
}

static void node_capabilities(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_node_capabilities(node, reply);
}

static void node_exec(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_node_exec(node, reply);
}

static void node_upload(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_node_upload(node, args, reply);
}

static const struct {
    const char *method;
    void (*call)(bvi_node *node, const bvi_json *args, bvi_reply *reply);
} node_calls[] = {
    { "node.show", node_show },        { "node.start", node_start },
    { "node.stop", node_stop },        { "node.restart", node_restart },
    { "node.delete", node_delete },    { "node.run", node_run },
    { "node.check", node_check },      { "node.tasks", node_tasks },
    { "node.reload", node_reload },    { "node.update", node_update },
    { "node.exec", node_exec },        { "node.capabilities", node_capabilities },
    { "job.logs", bvi_node_job_logs }, { "snapshot.upload", node_upload },
};

static bvi_node *node_of(bvi_manager *manager, const bvi_json *args, bvi_reply *reply)
{
    const char *name = bvi_json_string(bvi_json_find(args, "node"));
    bvi_node *node = name ? bvi_manager_find(manager, name) : NULL;

    if (!node)
        bvi_reply_failf(reply, BV_E_NOT_FOUND, "there is no node '%s'; see `bv node ls`",
                        name ? name : "");
    return node;
}

/* These begin an activity of their own, which knows how it meets the one under way. */
static bool is_activity(const char *method)
{
    static const char *const methods[] = { "node.start", "node.stop", "node.restart",
                                           "node.delete" };

    for (size_t i = 0; i < BVI_COUNT(methods); i++) {
        if (strcmp(methods[i], method) == 0)
            return true;
    }
    return false;
}

void bvi_manager_call(bvi_manager *manager, const char *method, const bvi_json *args,
                      bvi_reply *reply)
{
    bvi_node *node;

    if (strcmp(method, "node.list") == 0) {
        call_list(manager, reply);
        return;
    }
    if (strcmp(method, "node.create") == 0) {
        bvi_manager_create(manager, args, reply);
        return;
    }
    node = node_of(manager, args, reply);
    if (!node)
        return;
    if (node->activity.sequence == &bvi_attach_sequence && !is_activity(method)) {
        bvi_node_defer(node, method, args, reply);
        return;
    }
    for (size_t i = 0; i < BVI_COUNT(node_calls); i++) {
        if (strcmp(node_calls[i].method, method) == 0) {
            node_calls[i].call(node, args, reply);
            return;
        }
    }
    bvi_node_job_call(node, method, args, reply);
}
