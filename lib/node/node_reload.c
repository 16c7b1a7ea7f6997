/*
 * node_reload.c - the plugin of a node: reading it, reading it anew, and what becomes of calls that
 * the old one still has.
 *
 * The scripts come from the image's copy in the store, which the node cannot write; what it puts
 * into its own root changes nothing here. A development node reads them from a directory of the
 * host instead (state "plugin_dir"), again before each method that is called.
 *
 * A reload changes nothing until the new plugin has compiled and, on a node that runs, its
 * configuration has been evaluated: until then, and after a failure, the old one serves all calls.
 */
#include "node/node.h"
#include "sys/fs.h"

/* Plugins that were replaced and still have calls; beyond it the oldest one's are cancelled. */
#define RETIRED_MAX 8u
/* How long evaluating the configuration may take. */
#define CONFIG_TIMEOUT_MS 60000

/* ---- the plugin in use ---- */

/* The directory itself, or what looks like a root file system. */
static const char *dir_below(const char *plugin_dir)
{
    bvi_auto_free char *path = bvi_path_join(plugin_dir, BVI_PLUGIN_MAIN, NULL);

    return path && bvi_fs_exists(path) ? "." : BVI_PLUGIN_DIR;
}

static int make_plugin(bvi_node *node, bvi_plugin **ret_plugin, bv_error **err)
{
    const char *dev = node->state.plugin_dir;
    bvi_plugin_env env = { 0 };
    bvi_plugin_opts opts = { .root = dev ? dev : node->image_root,
                             .dir = dev ? dir_below(dev) : BVI_PLUGIN_DIR,
                             .config_path = node->paths.plugin_config,
                             .env = &env };
    int r;

    bvi_node_plugin_env(node, &env);
    r = bvi_plugin_load(node->ctx, &opts, ret_plugin, err);
    if (r < 0)
        return dev ? r : bvi_wrap(err, r, "plugin of image '%s'", node->state.image_uri);
    return 0;
}

void bvi_node_drop_retired(bvi_node *node, bool all)
{
    for (size_t i = node->retired.len; i-- > 0;) {
        if (!all && !bvi_plugin_is_idle(node->retired.items[i]))
            continue;
        bvi_plugin_free(node->retired.items[i]);
        bvi_vec_remove(&node->retired, i);
    }
}

/* Calls under way go on with the plugin they began with. */
static void use_plugin(bvi_node *node, bvi_plugin *plugin)
{
    bvi_plugin *old = node->plugin;
    bvi_plugin **slot = NULL;

    node->plugin = plugin;
    bvi_node_drop_retired(node, false);
    if (!old)
        return;
    node->retired.max = RETIRED_MAX + 1;
    slot = bvi_plugin_is_idle(old) ? NULL : bvi_vec_push(&node->retired);
    if (!slot) {
        bvi_plugin_free(old);
        return;
    }
    *slot = old;
    if (node->retired.len > RETIRED_MAX) {
        bvi_plugin_free(node->retired.items[0]);
        bvi_vec_remove(&node->retired, 0);
    }
}

int bvi_node_load_plugin(bvi_node *node, bv_error **err)
{
    bvi_plugin *plugin = NULL;
    int r = make_plugin(node, &plugin, err);

    if (r == 0)
        use_plugin(node, plugin);
    return r;
}

/* ---- reload ---- */

int bvi_step_read_plugin(bvi_node *node, bv_error **err)
{
    int r = *node->image_root || node->state.plugin_dir ? 0 : bvi_node_find_image(node, err);

    if (r == 0)
        r = make_plugin(node, &node->fresh, err);
    return r < 0 ? r : BVI_STEP_DONE;
}

static void on_config(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    bvi_node *node = data;

    bv_op_unref(bvi_take(node->config_op));
    bvi_activity_step_done(node, err ? bvi_error_copy(err) : NULL);
}

static void cancel_config(bvi_node *node)
{
    bv_op_cancel(node->config_op);
}

/* A plugin's top level may ask things of its node; on one that does not run its configuration is
 * evaluated by the next init. */
static int eval_config(bvi_node *node, bv_error **err)
{
    int r;

    if (!bvi_node_answers(node) || !node->state.initialized)
        return BVI_STEP_DONE;
    r = bvi_plugin_reload_config(node->fresh, CONFIG_TIMEOUT_MS, on_config, node, &node->config_op,
                                 err);
    node->activity.cancel_step = cancel_config;
    return r < 0 ? r : BVI_STEP_WAIT;
}

int bvi_step_use_plugin(bvi_node *node, bv_error **err)
{
    use_plugin(node, bvi_take(node->fresh));
    return BVI_STEP_DONE;
}

static const bvi_step reload_steps[] = {
    { "read its plugin", bvi_step_read_plugin },
    { "evaluate its configuration", eval_config },
    { "use it", bvi_step_use_plugin },
    { NULL, NULL },
};

static bvi_json *reloaded(bvi_node *node, const bv_error *err)
{
    bvi_events *events = node->manager->opts.events;
    bvi_auto_free char *text = err ? bvi_error_text(err) : NULL;

    bvi_plugin_free(bvi_take(node->fresh));
    bvi_log_full(node->ctx, err ? BV_LOG_WARN : BV_LOG_INFO, "node", node->state.id, NULL, "%s",
                 !err   ? "plugin reloaded"
                 : text ? text
                        : "cannot reload its plugin");
    if (!err) {
        bvi_events_add(events, "plugin_reloaded", node->state.name, NULL, "plugin reloaded");
        return bvi_node_json(node);
    }
    if (!bvi_activity_is_followed(node))
        bvi_events_add(events, "plugin_reload_failed", node->state.name, NULL, "%s",
                       text ? text : "");
    return NULL;
}

const bvi_sequence bvi_reload_sequence = {
    .name = "reload", .steps = reload_steps, .finished = reloaded, .needs_container = false
};

/* ---- a configuration that is older than its script ---- */

static void on_renewed(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    bvi_node *node = data;
    bvi_auto_free char *text = err ? bvi_error_text(err) : NULL;

    bv_op_unref(bvi_take(node->config_op));
    if (err && !node->closing)
        bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL,
                     "its configuration stays as it was evaluated from an earlier plugin: %s",
                     text ? text : "out of memory");
    bvi_activity_step_done(node, NULL); /* the node can do with the one it has */
}

int bvi_step_renew_config(bvi_node *node, bv_error **err)
{
    bvi_auto_error bv_error *why = NULL;

    if (!node->plugin || !node->state.initialized || !bvi_node_answers(node) ||
        !bvi_plugin_config_is_stale(node->plugin) ||
        bvi_plugin_reload_config(node->plugin, CONFIG_TIMEOUT_MS, on_renewed, node,
                                 &node->config_op, &why) < 0)
        return BVI_STEP_DONE;
    node->activity.cancel_step = cancel_config;
    return BVI_STEP_WAIT;
}

/* ---- a development node, before a method ---- */

typedef struct refresh {
    bvi_node *node;
    bvi_json *args;
    bvi_reply *reply; /* of the method */
    bv_op *op;
} refresh;

static void refresh_free(refresh *wait)
{
    bv_op_unref(wait->op);
    bvi_json_free(wait->args);
    bvi_free(wait);
}

static void on_refreshed(bv_op *op, const bvi_json *result, const bv_error *err, void *data)
{
    refresh *wait = data;
    bvi_node *node = wait->node;
    bvi_reply *reply = wait->reply;

    node->users--;
    if (err)
        bvi_reply_fail(reply, bvi_error_copy(err));
    else if (node->closing || bvi_reply_is_cancelled(reply))
        bvi_reply_failf(reply, BV_E_CANCELLED, "cancelled");
    else
        bvi_node_run(node, wait->args, reply);
    refresh_free(wait);
    if (node->closing)
        bvi_node_release(node);
}

void bvi_node_run_fresh(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    refresh *wait;
    bvi_reply *reloading = NULL;

    if (!node->state.plugin_dir ||
        (node->activity.sequence && node->activity.sequence != &bvi_reload_sequence)) {
        bvi_node_run(node, args, reply);
        return;
    }
    wait = bvi_new0(refresh);
    if (wait)
        *wait = (refresh){ node, bvi_json_copy(args), reply, NULL };
    if (!wait || !wait->args ||
        bvi_reply_new(node->ctx, on_refreshed, wait, &reloading, &wait->op, NULL) < 0) {
        if (wait)
            refresh_free(wait);
        bvi_reply_ok(reply, NULL);
        return;
    }
    node->users++;
    bvi_activity_begin(node, &bvi_reload_sequence, false, reloading);
}
