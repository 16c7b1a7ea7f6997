/*
 * node_tasks.c - scheduled calls of a node's plugin (spec plugin.md 9): kept in
 * nodes/<uuid>/tasks.json, run by a timer.
 *
 * Unlike upstream's, the list is written at every change, so no crash loses a task. Occurrences
 * while the daemon was down or the node was not running are not caught up.
 */
#include <string.h>

#include "node/node.h"
#include "plugin/schedule.h"
#include "sys/fs.h"

#define TASKS_FILE_MAX (1024u * 1024u)
#define TASKS_MAX      256u
/* A wait for the wall clock is cut into pieces of this, since the clock can be set meanwhile. */
#define LOOK_US (60 * INT64_C(1000000))

static void arm(bvi_node *node);

static char *tasks_path(const bvi_node *node)
{
    return bvi_path_join(node->paths.dir, "tasks.json", NULL);
}

/* A file that is not ours any longer is set aside: a node starts without its scheduled calls rather
 * than not at all. */
static int set_aside(bvi_node *node, const char *path, const bv_error *why, bv_error **err)
{
    bvi_auto_free char *text = bvi_error_text(why);

    bvi_log_full(node->ctx, BV_LOG_ERROR, "node", node->state.id, NULL,
                 "its scheduled tasks cannot be used and are set aside: %s",
                 text ? text : "out of memory");
    bvi_events_add(node->manager->opts.events, "node_damaged", node->state.name, NULL,
                   "scheduled tasks: %s", text ? text : "out of memory");
    return bvi_fs_quarantine(path, NULL, err);
}

static int load(bvi_node *node, bv_error **err)
{
    bvi_auto_free char *path = tasks_path(node);
    bvi_auto_json bvi_json *tasks = NULL;
    bvi_auto_error bv_error *why = NULL;
    int r = 0;

    if (!path)
        return bvi_fail_nomem(err);
    if (bvi_fs_exists(path))
        r = bvi_fs_read_json(path, TASKS_FILE_MAX, &tasks, &why);
    if (r == 0 && tasks && bvi_json_type_of(tasks) != BVI_JSON_OBJECT)
        r = bvi_fail(&why, BV_E_FORMAT, "'%s' is not an object", path);
    if (r != BV_E_FORMAT && r != BV_E_LIMIT && r < 0)
        return bvi_error_move(err, bvi_take(why));
    if (r < 0 && (r = set_aside(node, path, why, err)) < 0)
        return r;
    node->tasks = tasks && !why ? bvi_take(tasks) : bvi_json_new_object();
    return node->tasks ? 0 : bvi_fail_nomem(err);
}

/* The file first: what is in memory is what is on disk. Owns tasks. */
static int store(bvi_node *node, bvi_json *tasks, bv_error **err)
{
    bvi_auto_free char *path = tasks_path(node);
    int r = path ? bvi_fs_replace_json(path, tasks, 0600, err) : bvi_fail_nomem(err);

    if (r < 0) {
        bvi_json_free(tasks);
        return r;
    }
    bvi_json_free(node->tasks);
    node->tasks = tasks;
    return 0;
}

static int need_tasks(bvi_node *node, bv_error **err)
{
    return node->tasks ? 0 : load(node, err);
}

/* A scheduled call under way. */
typedef struct task_call {
    bvi_node *node;
    char *name;
} task_call;

static void forget_call(task_call *call)
{
    bvi_node *node = call->node;

    for (size_t i = 0; i < node->running_tasks.len; i++) {
        if (strcmp(node->running_tasks.items[i], call->name) == 0) {
            bvi_free(node->running_tasks.items[i]);
            bvi_vec_remove(&node->running_tasks, i);
            break;
        }
    }
    bvi_free(call->name);
    bvi_free(call);
}

static void warn(bvi_node *node, const char *name, const bv_error *err)
{
    bvi_auto_free char *text = bvi_error_text(err);

    bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL,
                 "scheduled function of task '%s' failed: %s", name, text ? text : "out of memory");
}

static void task_done(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    task_call *call = data;
    bvi_node *node = call->node;

    if (err && !node->closing)
        warn(node, call->name, err);
    forget_call(call);
    node->users--;
    if (node->closing)
        bvi_node_release(node);
}

static int begin_call(bvi_node *node, const char *name, const char *function, const char *param,
                      bv_error **err)
{
    task_call *call = bvi_new0(task_call);
    int r;

    if (!call)
        return bvi_fail_nomem(err);
    *call = (task_call){ node, bvi_strdup(name) };
    node->running_tasks.max = TASKS_MAX;
    if (!call->name || bvi_strv_add(&node->running_tasks, name) < 0) {
        bvi_free(call->name);
        bvi_free(call);
        return bvi_fail_nomem(err);
    }
    r = bvi_plugin_call(node->plugin, function, param, 0, task_done, call, NULL, err);
    if (r < 0)
        forget_call(call);
    else
        node->users++;
    return r;
}

/* However many occurrences have passed, it is one call, and none while the last one goes on. */
static void run_task(bvi_node *node, const bvi_json *task)
{
    const char *name = bvi_json_key(task);
    const char *function = bvi_json_string(bvi_json_find(task, "function"));
    bvi_auto_error bv_error *err = NULL;

    if (!function || !node->plugin || strcmp(bvi_node_status(node), "running") != 0)
        return;
    if (bvi_strv_has(&node->running_tasks, name)) {
        bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL,
                     "task '%s' is due and still runs: this time is left out", name);
        return;
    }
    if (begin_call(node, name, function, bvi_json_string(bvi_json_find(task, "param")), &err) < 0)
        warn(node, name, err);
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

    if (node->tasks_checked_us == 0 || node->tasks_checked_us > now) /* the clock was set back */
        node->tasks_checked_us = now;
    bvi_json_each(task, node->tasks) {
        int64_t next = next_of(task, node->tasks_checked_us);

        first = next < first ? next : first;
    }
    if (first == INT64_MAX)
        bvi_timer_clear(node->task_timer);
    else if (first - now > LOOK_US)
        (void)bvi_timer_set(node->task_timer, LOOK_US, NULL); /* armed anew at the next change */
    else
        (void)bvi_timer_set(node->task_timer, first > now ? first - now : 0, NULL); /* the same */
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

int bvi_node_add_task(bvi_node *node, const char *name, const char *schedule, const char *function,
                      const char *param, bv_error **err)
{
    bvi_auto_json bvi_json *task = bvi_json_new_object();
    bvi_auto_json bvi_json *tasks = NULL;
    bvi_schedule parsed;
    int r = bvi_schedule_parse(schedule, &parsed, err);

    if (r == 0)
        r = bvi_node_begin_tasks(node, err);
    if (r < 0)
        return r;
    if (!bvi_json_find(node->tasks, name) && bvi_json_count(node->tasks) >= TASKS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "node '%s' has %u scheduled tasks already",
                        node->state.name, TASKS_MAX);
    tasks = bvi_json_copy(node->tasks);
    if (!task || !tasks || bvi_json_put_string(task, "schedule", schedule) < 0 ||
        bvi_json_put_string(task, "function", function) < 0 ||
        bvi_json_put_string(task, "param", param) < 0 ||
        bvi_json_put(tasks, name, bvi_take(task)) < 0)
        return bvi_fail_nomem(err);
    r = store(node, bvi_take(tasks), err);
    if (r == 0)
        arm(node);
    return r;
}

int bvi_node_delete_task(bvi_node *node, const char *name, bv_error **err)
{
    bvi_json *tasks = NULL;
    int r = bvi_node_begin_tasks(node, err);

    if (r < 0 || !bvi_json_find(node->tasks, name))
        return r;
    tasks = bvi_json_copy(node->tasks);
    if (!tasks)
        return bvi_fail_nomem(err);
    bvi_json_remove(tasks, name);
    r = store(node, tasks, err);
    if (r == 0)
        arm(node);
    return r;
}

/* ---- looking ---- */

static bvi_json *task_json(const bvi_node *node, const bvi_json *task)
{
    bvi_auto_json bvi_json *root = bvi_json_copy(task);
    int64_t next = next_of(task, bvi_ctx_wall_us(node->ctx));

    if (!root || bvi_json_put_string(root, "name", bvi_json_key(task)) < 0 ||
        bvi_json_put(root, "next_at",
                     next == INT64_MAX ? bvi_json_new_null() : bvi_json_new_int64(next / 1000000)) <
            0 ||
        bvi_json_put_bool(root, "running", bvi_strv_has(&node->running_tasks, bvi_json_key(task))) <
            0)
        return NULL;
    return bvi_take(root);
}

void bvi_node_tasks(bvi_node *node, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    bv_error *err = NULL;
    int r = root ? bvi_json_put(root, "tasks", list) : BV_E_NOMEM;

    if (need_tasks(node, &err) < 0) {
        bvi_reply_fail(reply, err);
        return;
    }
    bvi_json_each(task, node->tasks) {
        if (r == 0)
            r = bvi_json_add(list, task_json(node, task));
    }
    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}
