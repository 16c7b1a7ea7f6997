/*
 * runtime_choice.c - finding out once which container runtime works, for all nodes that wait to
 * start.
 *
 * The driver's probe may run a self-test; nodes that start meanwhile wait for the one answer. A
 * failure is told to all who wait, and the next start asks again: somebody may have installed a
 * runtime.
 */
#include "node/node.h"

static void on_probed(const bv_error *err, void *data)
{
    bvi_manager *manager = data;

    manager->runtime = err ? BVI_RUNTIME_UNKNOWN : BVI_RUNTIME_CHOSEN;
    while (manager->runtime_waiters.len) {
        bvi_node *node = manager->runtime_waiters.items[0];

        bvi_vec_remove(&manager->runtime_waiters, 0);
        bvi_activity_driver_done(err, node);
    }
}

int bvi_node_choose_runtime(bvi_node *node, bv_error **err)
{
    bvi_manager *manager = node->manager;
    bvi_driver *driver = manager->opts.driver;
    bvi_node **slot;
    int r = 0;

    if (manager->runtime == BVI_RUNTIME_CHOSEN)
        return BVI_STEP_DONE;
    slot = bvi_vec_push(&manager->runtime_waiters);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = node;
    if (manager->runtime == BVI_RUNTIME_UNKNOWN)
        r = driver->vtable->probe(driver, on_probed, manager, err);
    if (r < 0) {
        manager->runtime_waiters.len--;
        return r;
    }
    manager->runtime = BVI_RUNTIME_PROBING;
    return bvi_activity_wait_driver(node, 0);
}
