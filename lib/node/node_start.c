/*
 * node_start.c - starting a node, and attaching to one that runs already (spec host.md 9.2, 9.3).
 *
 * The first step saves what is expected; from then on recovery takes over whatever a crash interrupts, by running
 * the same sequence again. Every step therefore accepts that it has been done before.
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
    int r;

    if (node->state.expected == BVI_EXPECT_RUNNING)
        return BVI_STEP_DONE;
    node->state.expected = BVI_EXPECT_RUNNING;
    r = bvi_node_save(node, err);
    if (r < 0) {
        node->state.expected = BVI_EXPECT_STOPPED;
        return r;
    }
    return BVI_STEP_DONE;
}

static int prepare_dirs(bvi_node *node, bv_error **err)
{
    const char *const dirs[] = { node->paths.data, node->paths.run, node->store_bind, node->upload_bind };

    for (size_t i = 0; i < BVI_COUNT(dirs); i++) {
        int r = dirs[i] ? bvi_fs_mkdir(dirs[i], 0755, err) : 0;

        if (r < 0)
            return r;
    }
    return BVI_STEP_DONE;
}

static int load_plugin(bvi_node *node, bv_error **err)
{
    int r = node->plugin ? 0 : bvi_node_load_plugin(node, err);

    if (r == 0)
        r = bvi_node_begin_tasks(node, err);
    return r < 0 ? r : BVI_STEP_DONE;
}

static int serve_engine(bvi_node *node, bv_error **err)
{
    int r = bvi_node_serve_engine(node, err);

    return r < 0 ? r : BVI_STEP_DONE;
}

static void on_driver(const bv_error *err, void *data)
{
    bvi_activity_step_done(data, bvi_error_copy(err));
}

static int prepare_root(bvi_node *node, bv_error **err)
{
    bvi_driver *driver = node->manager->opts.driver;
    int r;

    if (bvi_node_is_running(node))
        return BVI_STEP_DONE;
    r = driver->vtable->prepare(driver, &node->spec, on_driver, node, err);
    return r < 0 ? r : BVI_STEP_WAIT;
}

static int write_env(bvi_node *node, bv_error **err)
{
    int r = bvi_node_write_env(node, err);

    return r < 0 ? r : BVI_STEP_DONE;
}

static int choose_runtime(bvi_node *node, bv_error **err)
{
    return bvi_node_is_running(node) ? BVI_STEP_DONE : bvi_node_choose_runtime(node, err);
}

static int start_container(bvi_node *node, bv_error **err)
{
    bvi_driver *driver = node->manager->opts.driver;
    int r;

    if (bvi_node_is_running(node))
        return BVI_STEP_DONE;
    bvi_agent_client_close(node->agent);
    r = driver->vtable->start(driver, &node->spec, on_driver, node, err);
    return r < 0 ? r : BVI_STEP_WAIT;
}

static void on_agent(const bvi_agent_result *result, const bv_error *err, void *data)
{
    bvi_activity_step_done(data, bvi_error_copy(err));
}

static void close_agent(bvi_node *node)
{
    bvi_agent_client_close(node->agent);
}

static int wait_for_agent(bvi_node *node, bv_error **err)
{
    const bvi_agent_wait wait = { .timeout_ms = AGENT_READY_MS, .done = on_agent, .data = node };
    int r = bvi_agent_version(node->agent, &wait, NULL, err);

    node->activity.cancel_step = close_agent;
    return r < 0 ? r : BVI_STEP_WAIT;
}

static int setup_agent(bvi_node *node, bv_error **err)
{
    const bvi_agent_wait wait = { .done = on_agent, .data = node };
    bvi_auto_json bvi_json *config = bvi_json_new_object();
    bvi_json *ramdisks = node->state.ramdisks ? bvi_json_copy(node->state.ramdisks) : bvi_json_new_array();
    int r = ramdisks && config ? bvi_json_put(config, "ramdisks", ramdisks) : BV_E_NOMEM;

    if (r < 0 || bvi_json_put(config, "node_env", bvi_json_copy(node->env)) < 0)
        return bvi_fail_nomem(err);
    r = bvi_agent_setup(node->agent, config, &wait, NULL, err);
    node->activity.cancel_step = close_agent;
    return r < 0 ? r : BVI_STEP_WAIT;
}

static void on_init(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    bvi_node *node = data;

    if (!err)
        node->state.initialized = true;
    bvi_activity_step_done(node, bvi_error_copy(err));
}

static int init_plugin(bvi_node *node, bv_error **err)
{
    int r;

    if (node->state.initialized)
        return BVI_STEP_DONE;
    r = bvi_plugin_call(node->plugin, "init", NULL, INIT_TIMEOUT_MS, on_init, node, NULL, err);
    node->activity.cancel_step = close_agent;
    return r < 0 ? r : BVI_STEP_WAIT;
}

static int mark_started(bvi_node *node, bv_error **err)
{
    int r;

    if (node->state.started_at < 0)
        node->state.started_at = bvi_ctx_wall_us(node->ctx) / 1000000;
    node->failed_tries = 0;
    bvi_node_set_problem(node, NULL);
    r = bvi_node_save(node, err);
    return r < 0 ? r : BVI_STEP_DONE;
}

static const bvi_step start_steps[] = {
    { "record that it should run", expect_running },
    { "make its directories", prepare_dirs },
    { "load its plugin", load_plugin },
    { "serve its engine socket", serve_engine },
    { "prepare its root", prepare_root },
    { "write its environment", write_env },
    { "choose a container runtime", choose_runtime },
    { "start its container", start_container },
    { "reach its agent", wait_for_agent },
    { "set up its agent", setup_agent },
    { "initialise its plugin", init_plugin },
    { "record that it runs", mark_started },
    { NULL, NULL },
};

static bvi_json *started(bvi_node *node, const bv_error *err)
{
    bvi_events *events = node->manager->opts.events;

    if (!err) {
        bvi_log_full(node->ctx, BV_LOG_INFO, "node", node->state.id, NULL, "started");
        bvi_events_add(events, "node_started", node->state.name, NULL, "started");
        return bvi_node_json(node);
    }
    if (bv_error_code(err) != BV_E_CANCELLED) {
        bvi_auto_free char *text = bvi_error_text(err);

        bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL, "%s", text ? text : "cannot start");
        bvi_events_add(events, "node_start_failed", node->state.name, NULL, "%s", text ? text : "");
        bvi_node_set_problem(node, err);
        bvi_node_recover_later(node);
        (void)bvi_node_save(node, NULL); /* the problem is also in memory */
    }
    return NULL;
}

const bvi_sequence bvi_start_sequence = { .name = "start", .steps = start_steps, .finished = started };

/* ---- attach ---- */

static int attach_container(bvi_node *node, bv_error **err)
{
    bvi_driver *driver = node->manager->opts.driver;
    bvi_container_state state = BVI_CONTAINER_ABSENT;
    int r = driver->vtable->attach(driver, &node->spec, &state, err);

    return r < 0 ? r : BVI_STEP_DONE;
}

static int attach_plugin(bvi_node *node, bv_error **err)
{
    if (*node->image_root == '\0')
        return BVI_STEP_DONE; /* its image is gone, which is its problem already */
    return load_plugin(node, err);
}

/* From here on only for nodes whose container is as expected. */
static int attach_engine(bvi_node *node, bv_error **err)
{
    return bvi_node_is_running(node) ? serve_engine(node, err) : BVI_STEP_DONE;
}

static int attach_agent(bvi_node *node, bv_error **err)
{
    return bvi_node_is_running(node) ? wait_for_agent(node, err) : BVI_STEP_DONE;
}

static const bvi_step attach_steps[] = {
    { "find its container", attach_container },
    { "load its plugin", attach_plugin },
    { "serve its engine socket", attach_engine },
    { "reach its agent", attach_agent },
    { NULL, NULL },
};

/* Does the node need anything to be as it should? Running with everything in place needs nothing. */
static bool needs_start(const bvi_node *node)
{
    return node->state.expected == BVI_EXPECT_RUNNING &&
           (!bvi_node_is_running(node) || !node->state.initialized || node->state.started_at < 0);
}

static bvi_json *attached(bvi_node *node, const bv_error *err)
{
    bvi_auto_free char *text = err ? bvi_error_text(err) : NULL;

    if (err && bv_error_code(err) == BV_E_CANCELLED)
        return NULL;
    bvi_log_full(node->ctx, err ? BV_LOG_WARN : BV_LOG_INFO, "node", node->state.id, NULL, "%s",
                 err ? (text ? text : "cannot attach") : "attached");
    if (err)
        bvi_node_set_problem(node, err);
    if (node->state.expected == BVI_EXPECT_STOPPED && bvi_node_is_running(node))
        bvi_activity_begin(node, &bvi_stop_sequence, true, NULL);
    else if (needs_start(node))
        bvi_activity_begin(node, &bvi_start_sequence, false, NULL);
    else if (err && node->state.expected == BVI_EXPECT_RUNNING)
        bvi_node_recover_later(node);
    return NULL;
}

const bvi_sequence bvi_attach_sequence = { .name = "attach", .steps = attach_steps, .finished = attached };
