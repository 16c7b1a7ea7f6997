/*
 * node_tasks.c - scheduled calls of a node's plugin (spec plugin.md 9): kept in nodes/<uuid>/tasks.json, run by a timer.
 *
 * Unlike upstream's, the list is written at every change, so no crash loses a task. Occurrences while the daemon was
 * down or the node was not running are not caught up.
 */
#include <string.h>

#include "node/node.h"
#include "plugin/schedule.h"
#include "sys/fs.h"

#define TASKS_FILE_MAX (1024u * 1024u)
#define TASKS_MAX      256u

static void arm(bvi_node *node);

static char *tasks_path(const bvi_node *node)
{
    return bvi_path_join(node->paths.dir, "tasks.json", NULL);
}

static int load(bvi_node *node, bv_error **err)
{
    bvi_auto_free char *path = tasks_path(node);
    int r;

    if (!path)
        return bvi_fail_nomem(err);
    if (!bvi_fs_exists(path)) {
        node->tasks = bvi_json_new_object();
        return node->tasks ? 0 : bvi_fail_nomem(err);
    }
    r = bvi_fs_read_json(path, TASKS_FILE_MAX, &node->tasks, err);
    if (r == 0 && bvi_json_type_of(node->tasks) == BVI_JSON_OBJECT)
        return 0;
    bvi_json_free(node->tasks);
    node->tasks = NULL;
    return r < 0 ? r : bvi_fail(err, BV_E_FORMAT, "'%s' is not an object", path);
}

static int store(bvi_node *node, bv_error **err)
{
    bvi_auto_free char *path = tasks_path(node);

    if (!path)
        return bvi_fail_nomem(err);
    return bvi_fs_replace_json(path, node->tasks, 0600, err);
}

static int need_tasks(bvi_node *node, bv_error **err)
{
    return node->tasks ? 0 : load(node, err);
}

static void task_done(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    bvi_node *node = data;

    /* The plugin's calls end before their node does; a cancelled one may end after it. */
    if (err && bv_error_code(err) != BV_E_CANCELLED) {
        bvi_auto_free char *text = bvi_error_text(err);

        bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL, "scheduled function failed: %s",
                     text ? text : "out of memory");
    }
}

static void run_task(bvi_node *node, const bvi_json *task)
{
    const char *function = bvi_json_string(bvi_json_find(task, "function"));
    bv_error *err = NULL;

    if (!function || !node->plugin || strcmp(bvi_node_status(node), "running") != 0)
        return;
    if (bvi_plugin_call(node->plugin, function, bvi_json_string(bvi_json_find(task, "param")), 0, task_done, node,
                        NULL, &err) < 0) {
        bvi_auto_free char *text = bvi_error_text(err);

        bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL, "scheduled function '%s': %s", function,
                     text ? text : "out of memory");
        bv_error_free(err);
    }
}

/* When a task is due after a moment; INT64_MAX: never. */
static int64_t next_of(const bvi_json *task, int64_t after_us)
{
    const char *schedule = bvi_json_string(bvi_json_find(task, "schedule"));
    int64_t next = INT64_MAX;

    if (!schedule || bvi_schedule_next(schedule, after_us, &next, NULL) < 0)
        return INT64_MAX;
    return next;
}

static void on_timer(bvi_timer *timer, void *data)
{
    bvi_node *node = data;
    int64_t now = bvi_ctx_wall_us(node->ctx);

    bvi_json_each(task, node->tasks) {
        if (next_of(task, node->tasks_checked_us) <= now)
            run_task(node, task);
    }
    node->tasks_checked_us = now;
    arm(node);
}

static void arm(bvi_node *node)
{
    int64_t now = bvi_ctx_wall_us(node->ctx);
    int64_t first = INT64_MAX;

    if (node->tasks_checked_us == 0)
        node->tasks_checked_us = now;
    bvi_json_each(task, node->tasks) {
        int64_t next = next_of(task, node->tasks_checked_us);

        first = next < first ? next : first;
    }
    if (first == INT64_MAX)
        bvi_timer_clear(node->task_timer);
    else
        (void)bvi_timer_set(node->task_timer, first > now ? first - now : 0, NULL); /* armed anew at the next change */
}

int bvi_node_begin_tasks(bvi_node *node, bv_error **err)
{
    int r = need_tasks(node, err);

    if (r == 0 && !node->task_timer)
        r = bvi_timer_new(node->ctx, on_timer, node, &node->task_timer, err);
    if (r == 0)
        arm(node);
    return r;
}

int bvi_node_add_task(bvi_node *node, const char *name, const char *schedule, const char *function, const char *param,
                      bv_error **err)
{
    bvi_auto_json bvi_json *task = bvi_json_new_object();
    int r = bvi_node_begin_tasks(node, err);

    if (r < 0)
        return r;
    if (!bvi_json_find(node->tasks, name) && bvi_json_count(node->tasks) >= TASKS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "node '%s' has %u scheduled tasks already", node->state.name, TASKS_MAX);
    if (!task || bvi_json_put_string(task, "schedule", schedule) < 0 ||
        bvi_json_put_string(task, "function", function) < 0 || bvi_json_put_string(task, "param", param) < 0 ||
        bvi_json_put(node->tasks, name, bvi_take(task)) < 0)
        return bvi_fail_nomem(err);
    r = store(node, err);
    arm(node);
    return r;
}

int bvi_node_delete_task(bvi_node *node, const char *name, bv_error **err)
{
    int r = bvi_node_begin_tasks(node, err);

    if (r < 0 || !bvi_json_find(node->tasks, name))
        return r;
    bvi_json_remove(node->tasks, name);
    r = store(node, err);
    arm(node);
    return r;
}
