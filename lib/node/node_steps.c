/*
 * node_steps.c - steps that more than one sequence has (node_create.c, node_start.c, node_stop.c,
 * node_recover.c).
 */
#include "node/node.h"
#include "sys/fs.h"

static int done_or(int r)
{
    return r < 0 ? r : BVI_STEP_DONE;
}

int bvi_step_save(bvi_node *node, bv_error **err)
{
    return done_or(bvi_node_save(node, err));
}

int bvi_step_make_dirs(bvi_node *node, bv_error **err)
{
    const char *const dirs[] = { node->paths.data, node->paths.run, node->store_bind,
                                 node->upload_bind };
    /* What a node leaves in its directories, setuid programs among it, is no business of the
     * host's users. Inside the node data and run are mounts, where their own modes count. */
    int r = bvi_fs_mkdir(node->paths.dir, 0700, err);

    if (r == 0 && node->staging_top)
        r = bvi_fs_mkdir(node->staging_top, 0700, err);
    for (size_t i = 0; r == 0 && i < BVI_COUNT(dirs); i++)
        r = dirs[i] ? bvi_fs_mkdir(dirs[i], 0755, err) : 0;
    return done_or(r);
}

/* A development node that is started has what its author wrote last. */
int bvi_step_load_plugin(bvi_node *node, bv_error **err)
{
    bool again = node->state.plugin_dir && !bvi_node_is_running(node);

    return done_or(node->plugin && !again ? 0 : bvi_node_load_plugin(node, err));
}

int bvi_step_write_env(bvi_node *node, bv_error **err)
{
    return done_or(bvi_node_write_env(node, err));
}

int bvi_step_stop_engine(bvi_node *node, bv_error **err)
{
    bvi_engine_server_free(node->engine);
    node->engine = NULL;
    return BVI_STEP_DONE;
}

/* ---- the container ---- */

int bvi_step_attach_container(bvi_node *node, bv_error **err)
{
    bvi_driver *driver = node->manager->opts.driver;
    bvi_container_state state = BVI_CONTAINER_ABSENT;
    int r = node->looked ? 0 : driver->vtable->attach(driver, &node->spec, &state, err);

    node->looked = r == 0;
    return done_or(r);
}

int bvi_step_prepare_root(bvi_node *node, bv_error **err)
{
    bvi_driver *driver = node->manager->opts.driver;

    if (bvi_node_is_running(node))
        return BVI_STEP_DONE;
    return bvi_activity_wait_driver(
        node, driver->vtable->prepare(driver, &node->spec, bvi_activity_driver_done, node, err));
}

int bvi_step_remove_container(bvi_node *node, bv_error **err)
{
    bvi_driver *driver = node->manager->opts.driver;

    bvi_agent_client_close(node->agent);
    return bvi_activity_wait_driver(
        node, driver->vtable->remove(driver, &node->spec, bvi_activity_driver_done, node, err));
}

/* ---- the agent ---- */

void bvi_node_close_agent(bvi_node *node)
{
    bvi_agent_client_close(node->agent);
}

static int ask_version(bvi_node *node, bv_error **err);

static int check_container(const bvi_node *node, bv_error **err)
{
    return bvi_node_is_running(node) ? 0 : bvi_fail(err, BV_E_STATE, "its container ended");
}

/* A client gives up on an agent that does not listen yet after a short while; a new container's may
 * take longer. */
static void on_version(const bvi_agent_result *result, const bv_error *err, void *data)
{
    bvi_node *node = data;
    bv_error *failure = err ? bvi_error_copy(err) : NULL;

    node->agent_ready = !err && result->ready;
    if (bv_error_code(err) == BV_E_AGAIN && !node->closing && !node->activity.abort &&
        !node->activity.broken && bvi_ctx_now_us(node->ctx) < node->reach_until_us) {
        bv_error_free(bvi_take(failure));
        if (check_container(node, &failure) == 0 && ask_version(node, &failure) == 0)
            return;
    }
    bvi_activity_step_done(node, failure);
}

static int ask_version(bvi_node *node, bv_error **err)
{
    int64_t left_ms = (node->reach_until_us - bvi_ctx_now_us(node->ctx)) / 1000;
    const bvi_agent_wait wait = { .timeout_ms = left_ms < 1 ? 1 : left_ms,
                                  .done = on_version,
                                  .data = node };

    return bvi_agent_version(node->agent, &wait, NULL, err);
}

int bvi_node_reach_agent(bvi_node *node, int64_t timeout_ms, bv_error **err)
{
    int r = check_container(node, err);

    node->reach_until_us = bvi_ctx_now_us(node->ctx) + timeout_ms * 1000;
    if (r == 0)
        r = ask_version(node, err);
    node->activity.cancel_step = bvi_node_close_agent;
    return r < 0 ? r : BVI_STEP_WAIT;
}
