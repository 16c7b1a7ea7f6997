/*
 * fake_nodes.c - nodes of a fake host and their life: create, start, stop, restart, delete.
 */
#include <string.h>

#include "host/fake.h"
#include "node/node_doc.h"
#include "node/node_make.h"

/* ---- registry ---- */

bvi_fake_node *bvi_fake_node_find(bvi_fake *fake, const char *id_or_name)
{
    for (size_t i = 0; i < fake->nodes.len; i++) {
        bvi_fake_node *node = fake->nodes.items[i];

        if (strcmp(node->state.id, id_or_name) == 0 || strcmp(node->state.name, id_or_name) == 0)
            return node;
    }
    return NULL;
}

static void node_free(bvi_fake_node *node)
{
    if (node->work)
        bvi_fake_work_abort(node->work, "the host is being closed");
    bvi_fake_jobs_done(node);
    bvi_node_state_done(&node->state);
    bvi_free(node);
}

void bvi_fake_nodes_done(bvi_fake *fake)
{
    for (size_t i = 0; i < fake->nodes.len; i++)
        node_free(fake->nodes.items[i]);
    bvi_vec_done(&fake->nodes);
}

static void forget(bvi_fake_node *node)
{
    bvi_fake *fake = node->fake;

    for (size_t i = 0; i < fake->nodes.len; i++) {
        if (fake->nodes.items[i] == node) {
            bvi_vec_remove(&fake->nodes, i);
            break;
        }
    }
    node_free(node);
}

static const char *status_of(const bvi_fake_node *node)
{
    if (node->work)
        return "busy";
    return node->pid ? "running" : "stopped";
}

static bvi_json *node_json(const bvi_fake_node *node)
{
    bvi_auto_json bvi_json *metrics = bvi_fake_plugin_metrics(node);
    const bvi_node_now now = {
        .status = status_of(node),
        .work = node->work ? node->work->kind->name : NULL,
        .pid = node->pid,
        .wall_s = bvi_ctx_wall_us(node->fake->base.ctx) / 1000000,
        .metrics = metrics,
    };

    return bvi_node_state_json(&node->state, &now);
}

bvi_json *bvi_fake_node_counts(bvi_fake *fake)
{
    static const char *const names[] = { "running", "stopped", "failed", "busy" };
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_uint64(root, "total", fake->nodes.len) < 0)
        return NULL;
    for (size_t k = 0; k < BVI_COUNT(names); k++) {
        uint64_t count = 0;

        for (size_t i = 0; i < fake->nodes.len; i++)
            count += strcmp(status_of(fake->nodes.items[i]), names[k]) == 0;
        if (bvi_json_put_uint64(root, names[k], count) < 0)
            return NULL;
    }
    return bvi_take(root);
}

/* ---- list, show ---- */

void bvi_fake_node_list(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    int r = root ? bvi_json_put(root, "nodes", list) : BV_E_NOMEM;

    for (size_t i = 0; r == 0 && i < fake->nodes.len; i++)
        r = bvi_json_add(list, node_json(fake->nodes.items[i]));
    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

void bvi_fake_node_show(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = node_json(node);
    bool running = node->pid && !node->work;

    if (!root ||
        bvi_json_put(root, "jobs", running ? bvi_fake_jobs_json(node) : bvi_json_new_null()) < 0 ||
        bvi_fake_plugin_put(node, root) < 0) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    bvi_reply_ok(reply, bvi_take(root));
}

void bvi_fake_node_exec(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *argv = root ? bvi_json_new_array() : NULL;
    int r = argv ? bvi_json_put(root, "argv", argv) : BV_E_NOMEM;

    if (!node->pid) {
        bvi_reply_failf(reply, BV_E_STATE, "node '%s' is not running", node->state.name);
        return;
    }
    /* There is nothing to run in: the command that would be run is printed instead. */
    if (r == 0)
        r = bvi_json_add(argv, bvi_json_new_string("/bin/echo"));
    if (r == 0)
        r = bvi_json_add(argv, bvi_json_new_string(node->state.id));
    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

/* ---- create ---- */

static bool name_taken(const char *name, void *data)
{
    return bvi_fake_node_find(data, name) != NULL;
}

static int register_node(bvi_fake *fake, bvi_fake_node *node, bv_error **err)
{
    bvi_fake_node **slot = bvi_vec_push(&fake->nodes);
    size_t at;

    if (!slot)
        return fake->nodes.len >= BVI_NODES_MAX
                   ? bvi_fail(err, BV_E_LIMIT, "this host has %u nodes already", BVI_NODES_MAX)
                   : bvi_fail_nomem(err);
    for (at = fake->nodes.len - 1;
         at > 0 && strcmp(fake->nodes.items[at - 1]->state.name, node->state.name) > 0; at--)
        fake->nodes.items[at] = fake->nodes.items[at - 1];
    fake->nodes.items[at] = node;
    return 0;
}

static int node_new(bvi_fake *fake, const bvi_json *args, bvi_fake_node **ret_node, bv_error **err)
{
    const char *key = bvi_json_string(bvi_json_find(args, "image"));
    const bvi_fake_image *image = bvi_fake_image_find(fake, key);
    bvi_fake_node *node = NULL;
    bvi_node_make from = { .name_taken = name_taken, .data = fake };
    int r;

    if (!image)
        return bvi_fail(err, BV_E_NOT_FOUND, "image '%s' is not in the store; see `bv image ls`",
                        key);
    node = bvi_new0(bvi_fake_node);
    if (!node)
        return bvi_fail_nomem(err);
    node->fake = fake;
    node->jobs.max = BVI_FAKE_JOBS_MAX;
    bvi_node_state_init(&node->state);
    from.image_id = image->id;
    from.image_name = image->name;
    from.meta = image->meta;
    from.created_at = bvi_ctx_wall_us(fake->base.ctx) / 1000000;
    r = bvi_node_make_state(&from, args, &node->state, err);
    node->state.intent = BVI_INTENT_NONE;
    if (r == 0)
        r = register_node(fake, node, err);
    if (r < 0) {
        node_free(node);
        return r;
    }
    *ret_node = node;
    return 0;
}

void bvi_fake_node_create(bvi_fake *fake, const bvi_json *args, bvi_reply *reply)
{
    bvi_fake_node *node = NULL;
    bv_error *err = NULL;
    int r = node_new(fake, args, &node, &err);

    if (r < 0) {
        (void)bvi_wrap(&err, r, "cannot create node"); /* the code stays */
        bvi_reply_fail(reply, err);
        return;
    }
    bvi_events_add(fake->events, "node_created", node->state.name, NULL, "created from image %s",
                   node->state.image_uri);
    bvi_reply_ok(reply, node_json(node));
}

/* ---- start, stop, restart, delete ---- */

static int start_now(bvi_fake_node *node, bv_error **err)
{
    bvi_fake *fake = node->fake;

    if (bvi_fake_jobs_start(node) < 0)
        return bvi_fail_nomem(err);
    node->pid = fake->next_pid++;
    node->state.started_at = bvi_ctx_wall_us(fake->base.ctx) / 1000000;
    node->state.expected = BVI_EXPECT_RUNNING;
    node->state.initialized = true;
    return 0;
}

static void stop_now(bvi_fake_node *node)
{
    bvi_fake_jobs_stop(node);
    node->pid = 0;
    node->state.started_at = -1;
    node->state.expected = BVI_EXPECT_STOPPED;
}

static bvi_json *start_finish(bvi_fake_work *work, bv_error **err)
{
    bvi_fake_node *node = work->node;

    if (start_now(node, err) < 0)
        return NULL;
    bvi_events_add(work->fake->events, "node_started", node->state.name, NULL, "started");
    return node_json(node);
}

static bvi_json *stop_finish(bvi_fake_work *work, bv_error **err)
{
    bvi_fake_node *node = work->node;

    stop_now(node);
    bvi_events_add(work->fake->events, "node_stopped", node->state.name, NULL, "stopped");
    return node_json(node);
}

static bvi_json *restart_finish(bvi_fake_work *work, bv_error **err)
{
    stop_now(work->node);
    return start_finish(work, err);
}

static bvi_json *delete_finish(bvi_fake_work *work, bv_error **err)
{
    bvi_fake_node *node = work->node;
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_string(root, "id", node->state.id) < 0 ||
        bvi_json_put_string(root, "name", node->state.name) < 0)
        return NULL;
    bvi_events_add(work->fake->events, "node_deleted", node->state.name, NULL, "deleted");
    work->node = NULL;
    forget(node);
    return bvi_take(root);
}

static const bvi_fake_work_kind start_kind = { .name = "start", .finish = start_finish };
static const bvi_fake_work_kind stop_kind = { .name = "stop", .finish = stop_finish };
static const bvi_fake_work_kind restart_kind = { .name = "restart", .finish = restart_finish };
static const bvi_fake_work_kind delete_kind = { .name = "delete", .finish = delete_finish };

/* Joins the same work, ends other work when stopping or deleting, or refuses; as activity.h says.
 */
static void begin(bvi_fake_node *node, const bvi_fake_work_kind *kind, bvi_reply *reply)
{
    bool interrupts = kind == &stop_kind || kind == &delete_kind;

    if (node->work && node->work->kind == kind) {
        bvi_fake_work_join(node->work, reply);
        return;
    }
    if (node->work && !interrupts) {
        bvi_reply_failf(reply, BV_E_BUSY,
                        "cannot %s node '%s': %s is under way; try again when it is done",
                        kind->name, node->state.name, node->work->kind->name);
        return;
    }
    if (node->work)
        bvi_fake_work_abort(node->work, "ended by a later request");
    node->work = bvi_fake_work_begin(node->fake, node, kind, reply);
    if (node->work)
        bvi_fake_work_join(node->work, reply);
}

void bvi_fake_node_start(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    if (node->pid && !node->work)
        bvi_reply_ok(reply, node_json(node));
    else
        begin(node, &start_kind, reply);
}

static int change(bvi_fake_node *node, const bvi_json *given, bool *ret_changed, bv_error **err)
{
    const bvi_fake_image *image = bvi_fake_image_find(node->fake, node->state.image_uri);
    bvi_json *merged = NULL;
    int r;

    if (!image)
        return bvi_fail(err, BV_E_NOT_FOUND, "image '%s' is not in the store",
                        node->state.image_uri);
    r = bvi_node_change_properties(image->meta, &node->state, given, &merged, err);
    *ret_changed = merged != NULL;
    if (!merged)
        return r;
    bvi_json_free(node->state.properties);
    node->state.properties = merged;
    return 0;
}

void bvi_fake_node_update(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    bv_error *err = NULL;
    bool changed = false;
    int r = node->work ? bvi_fail(&err, BV_E_BUSY, "%s is under way; try again when it is done",
                                  node->work->kind->name)
                       : change(node, bvi_json_find(args, "properties"), &changed, &err);

    if (r < 0) {
        (void)bvi_wrap(&err, r, "cannot update node '%s'", node->state.name); /* the code stays */
        bvi_reply_fail(reply, err);
        return;
    }
    if (changed)
        bvi_events_add(node->fake->events, "node_updated", node->state.name, NULL,
                       "properties changed");
    node->state.initialized = node->state.initialized && (!changed || node->pid);
    bvi_reply_ok(reply, node_json(node));
}

void bvi_fake_node_reload(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_events_add(node->fake->events, "plugin_reloaded", node->state.name, NULL,
                   "plugin reloaded");
    bvi_reply_ok(reply, node_json(node));
}

void bvi_fake_node_stop(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    begin(node, &stop_kind, reply);
}

void bvi_fake_node_restart(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    begin(node, &restart_kind, reply);
}

void bvi_fake_node_delete(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    begin(node, &delete_kind, reply);
}

/* ---- a host that has nodes from the start: "node-0001" and so on, every fourth of them stopped
 * ---- */

static int populate_one(bvi_fake *fake, uint64_t number, bv_error **err)
{
    bvi_auto_json bvi_json *args = bvi_json_new_object();
    bvi_auto_free char *name = bvi_asprintf("node-%04u", (unsigned)number);
    bvi_fake_node *node = NULL;
    int r;

    if (!args || !name || bvi_json_put_string(args, "image", BVI_FAKE_IMAGE) < 0 ||
        bvi_json_put_string(args, "name", name) < 0)
        return bvi_fail_nomem(err);
    r = node_new(fake, args, &node, err);
    if (r < 0 || number % 4 == 0)
        return r;
    return start_now(node, err);
}

int bvi_fake_nodes_populate(bvi_fake *fake, uint64_t count, bv_error **err)
{
    int r = 0;

    for (uint64_t i = 1; r == 0 && i <= count; i++)
        r = populate_one(fake, i, err);
    return r;
}
