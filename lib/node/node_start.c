/*
 * node_start.c - starting a node, and attaching to one that runs already (spec host.md 9.2, 9.3).
 *
 * The first step saves what is expected; from then on recovery takes over whatever a crash
 * interrupts, by running the same sequence again. Every step therefore accepts that it has been
 * done before.
 */
#include "node/node.h"
#include "sys/fs.h"

/* How long a new container may take until its agent answers. */
#define AGENT_READY_MS 30000
/* How long a plugin's init may take; it starts jobs and does not wait for them. */
#define INIT_TIMEOUT_MS (15 * 60 * 1000)

/* ---- steps ---- */

static int expect_running(bvi_node *node, bv_error **err)
{
    bvi_expected before = node->state.expected;
    int r;

    if (node->state.intent != BVI_INTENT_NONE)
        return bvi_fail(err, BV_E_STATE, "its deletion was begun; finish it with `bv node rm %s`",
                        node->state.name);
    if (before == BVI_EXPECT_RUNNING)
        return BVI_STEP_DONE;
    node->state.expected = BVI_EXPECT_RUNNING;
    r = bvi_node_save(node, err);
    if (r < 0) {
        node->state.expected = before;
        return r;
    }
    return BVI_STEP_DONE;
}

static int find_image(bvi_node *node, bv_error **err)
{
    int r = *node->image_root ? 0 : bvi_node_find_image(node, err);

    return r < 0 ? r : BVI_STEP_DONE;
}

static int begin_tasks(bvi_node *node, bv_error **err)
{
    int r = bvi_node_begin_tasks(node, err);

    return r < 0 ? r : BVI_STEP_DONE;
}

static int serve_engine(bvi_node *node, bv_error **err)
{
    int r = bvi_node_serve_engine(node, err);

    return r < 0 ? r : BVI_STEP_DONE;
}

static int choose_runtime(bvi_node *node, bv_error **err)
{
    return bvi_node_is_running(node) ? BVI_STEP_DONE : bvi_node_choose_runtime(node, err);
}

/* Without a time of starting the agent is not set up yet: whoever finds the container running after
 * a crash sees that the start is not complete. */
static int forget_start(bvi_node *node, bv_error **err)
{
    int64_t before = node->state.started_at;
    int r;

    if (bvi_node_is_running(node) || before < 0)
        return BVI_STEP_DONE;
    node->state.started_at = -1;
    r = bvi_node_save(node, err);
    if (r < 0) {
        node->state.started_at = before;
        return r;
    }
    return BVI_STEP_DONE;
}

static int start_container(bvi_node *node, bv_error **err)
{
    bvi_driver *driver = node->manager->opts.driver;

    if (bvi_node_is_running(node))
        return BVI_STEP_DONE;
    bvi_agent_client_close(node->agent);
    node->agent_ready = false;
    return bvi_activity_wait_driver(
        node, driver->vtable->start(driver, &node->spec, bvi_activity_driver_done, node, err));
}

static int reach_agent(bvi_node *node, bv_error **err)
{
    return bvi_node_reach_agent(node, AGENT_READY_MS, err);
}

static void on_setup(const bvi_agent_result *result, const bv_error *err, void *data)
{
    bvi_node *node = data;

    node->agent_ready = !err;
    bvi_activity_step_done(node, err ? bvi_error_copy(err) : NULL);
}

static bvi_json *agent_config(const bvi_node *node)
{
    bvi_auto_json bvi_json *config = bvi_json_new_object();

    if (!config ||
        bvi_json_put(config, "ramdisks",
                     node->state.ramdisks ? bvi_json_copy(node->state.ramdisks)
                                          : bvi_json_new_array()) < 0 ||
        bvi_json_put(config, "node_env", bvi_json_copy(node->env)) < 0)
        return NULL;
    return bvi_take(config);
}

static int setup_agent(bvi_node *node, bv_error **err)
{
    const bvi_agent_wait wait = { .done = on_setup, .data = node };
    bvi_auto_json bvi_json *config = agent_config(node);
    int r = config ? bvi_agent_setup(node->agent, config, &wait, NULL, err) : bvi_fail_nomem(err);

    node->activity.cancel_step = bvi_node_close_agent;
    return r < 0 ? r : BVI_STEP_WAIT;
}

static void on_init(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    bvi_node *node = data;

    bv_op_unref(bvi_take(node->init_op));
    if (!err)
        node->state.initialized = true;
    bvi_activity_step_done(node, err ? bvi_error_copy(err) : NULL);
}

static void cancel_init(bvi_node *node)
{
    bv_op_cancel(node->init_op);
}

static int init_plugin(bvi_node *node, bv_error **err)
{
    int r;

    if (node->state.initialized)
        return BVI_STEP_DONE;
    r = bvi_plugin_call(node->plugin, "init", NULL, INIT_TIMEOUT_MS, on_init, node, &node->init_op,
                        err);
    node->activity.cancel_step = cancel_init;
    return r < 0 ? r : BVI_STEP_WAIT;
}

static int mark_started(bvi_node *node, bv_error **err)
{
    if (node->state.started_at < 0)
        node->state.started_at = bvi_ctx_wall_us(node->ctx) / 1000000;
    bvi_node_recovered(node);
    return bvi_step_save(node, err);
}

static const bvi_step start_steps[] = {
    { "record that it should run", expect_running },
    { "find its image", find_image },
    { "make its directories", bvi_step_make_dirs },
    { "load its plugin", bvi_step_load_plugin },
    { "read its scheduled tasks", begin_tasks },
    { "serve its engine socket", serve_engine },
    { "prepare its root", bvi_step_prepare_root },
    { "write its environment", bvi_step_write_env },
    { "choose a container runtime", choose_runtime },
    { "record that it is not started yet", forget_start },
    { "start its container", start_container },
    { "reach its agent", reach_agent },
    { "set up its agent", setup_agent },
    { "initialise its plugin", init_plugin },
    { "renew its configuration", bvi_step_renew_config },
    { "record that it runs", mark_started },
    { NULL, NULL },
};

static bvi_json *started(bvi_node *node, const bv_error *err)
{
    bvi_events *events = node->manager->opts.events;
    bvi_auto_free char *text = err ? bvi_error_text(err) : NULL;

    if (!err) {
        bvi_log_full(node->ctx, BV_LOG_INFO, "node", node->state.id, NULL, "started");
        bvi_events_add(events, "node_started", node->state.name, NULL, "started");
        bvi_node_begin_metrics(node);
        return bvi_node_json(node);
    }
    if (bvi_activity_is_followed(node))
        return NULL;
    bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL, "%s",
                 text ? text : "cannot start");
    bvi_events_add(events, "node_start_failed", node->state.name, NULL, "%s", text ? text : "");
    bvi_node_set_problem(node, err);
    if (node->state.expected == BVI_EXPECT_RUNNING)
        bvi_node_recover_later(node, BVI_RECOVER_START);
    (void)bvi_node_save(node, NULL); /* the problem is also in memory */
    return NULL;
}

const bvi_sequence bvi_start_sequence = {
    .name = "start", .steps = start_steps, .finished = started, .needs_container = true
};

/* ---- attach ---- */

/* A node whose image is gone can still be listed, stopped and deleted; starting it says what is
 * wrong. */
static int attach_plugin(bvi_node *node, bv_error **err)
{
    if (*node->image_root == '\0')
        return BVI_STEP_DONE;
    return bvi_step_load_plugin(node, err);
}

static int attach_tasks(bvi_node *node, bv_error **err)
{
    return node->plugin ? begin_tasks(node, err) : BVI_STEP_DONE;
}

/* From here on only for nodes whose container is as expected. */
static int attach_engine(bvi_node *node, bv_error **err)
{
    return bvi_node_is_running(node) ? serve_engine(node, err) : BVI_STEP_DONE;
}

static int attach_agent(bvi_node *node, bv_error **err)
{
    return bvi_node_is_running(node) ? reach_agent(node, err) : BVI_STEP_DONE;
}

static const bvi_step attach_steps[] = {
    { "find its container", bvi_step_attach_container },
    { "load its plugin", attach_plugin },
    { "read its scheduled tasks", attach_tasks },
    { "serve its engine socket", attach_engine },
    { "reach its agent", attach_agent },
    { "renew its configuration", bvi_step_renew_config },
    { NULL, NULL },
};

/* Does the node need anything to be as it should? Running with everything in place needs nothing.
 */
static bool needs_start(const bvi_node *node, const bv_error *err)
{
    if (node->state.expected != BVI_EXPECT_RUNNING)
        return false;
    return !bvi_node_is_running(node) || !node->state.initialized || node->state.started_at < 0 ||
           (!err && !node->agent_ready);
}

static bvi_json *attached(bvi_node *node, const bv_error *err)
{
    bvi_auto_free char *text = err ? bvi_error_text(err) : NULL;

    bvi_node_make_deferred(node);
    if (bvi_activity_is_followed(node))
        return NULL;
    bvi_log_full(node->ctx, err ? BV_LOG_WARN : BV_LOG_INFO, "node", node->state.id, NULL, "%s",
                 err ? (text ? text : "cannot attach") : "attached");
    if (err)
        bvi_node_set_problem(node, err);
    if (node->state.expected == BVI_EXPECT_STOPPED && bvi_node_is_running(node))
        bvi_activity_begin(node, &bvi_stop_sequence, true, NULL);
    else if (needs_start(node, err))
        bvi_activity_begin(node, &bvi_start_sequence, false, NULL);
    else if (err && node->state.expected == BVI_EXPECT_RUNNING)
        bvi_node_recover_later(node, BVI_RECOVER_AGENT);
    else if (!err && node->state.expected == BVI_EXPECT_RUNNING)
        bvi_node_recovered(node);
    if (node->state.expected == BVI_EXPECT_RUNNING)
        bvi_node_begin_metrics(node);
    return NULL;
}

const bvi_sequence bvi_attach_sequence = {
    .name = "attach", .steps = attach_steps, .finished = attached, .needs_container = true
};
