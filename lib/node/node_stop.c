/*
 * node_stop.c - stopping, restarting and deleting a node (spec host.md 9.4 - 9.6).
 */
#include <string.h>

#include "io/work.h"
#include "node/node.h"
#include "sys/fs.h"

/* Entries of a node's directory; we make about ten. */
#define ENTRIES_MAX 1024u

/* After the agent has stopped the jobs, what is left of the container gets so long. */
#define CONTAINER_GRACE_MS 10000
#define FORCED_GRACE_MS    0

/* ---- steps ---- */

static int expect_stopped(bvi_node *node, bv_error **err)
{
    bvi_expected before = node->state.expected;
    int r;

    if (before == BVI_EXPECT_STOPPED)
        return BVI_STEP_DONE;
    node->state.expected = BVI_EXPECT_STOPPED;
    r = bvi_node_save(node, err);
    if (r < 0) {
        node->state.expected = before;
        return r;
    }
    return BVI_STEP_DONE;
}

static void complain(const bvi_node *node, const bv_error *err)
{
    bvi_auto_free char *text = bvi_error_text(err);

    bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL,
                 "its agent did not stop the jobs: %s", text ? text : "out of memory");
}

/* An agent that cannot be reached does not keep a node from stopping: the container's first process
 * ends all. */
static void on_shutdown(const bvi_agent_result *result, const bv_error *err, void *data)
{
    bvi_node *node = data;

    if (err && !node->closing)
        complain(node, err);
    bvi_activity_step_done(node, NULL);
}

static int shutdown_agent(bvi_node *node, bv_error **err)
{
    const bvi_agent_wait wait = { .done = on_shutdown, .data = node };
    bvi_auto_error bv_error *failure = NULL;

    if (!bvi_node_is_running(node))
        return BVI_STEP_DONE;
    if (bvi_agent_shutdown(node->agent, node->activity.forced, &wait, NULL, &failure) < 0) {
        complain(node, failure);
        return BVI_STEP_DONE;
    }
    node->activity.cancel_step = bvi_node_close_agent;
    return BVI_STEP_WAIT;
}

static int stop_container(bvi_node *node, bv_error **err)
{
    bvi_driver *driver = node->manager->opts.driver;
    int64_t grace_ms = node->activity.forced ? FORCED_GRACE_MS : CONTAINER_GRACE_MS;

    bvi_agent_client_close(node->agent);
    if (!bvi_node_is_running(node))
        return BVI_STEP_DONE;
    return bvi_activity_wait_driver(
        node,
        driver->vtable->stop(driver, &node->spec, grace_ms, bvi_activity_driver_done, node, err));
}

static int mark_stopped(bvi_node *node, bv_error **err)
{
    node->state.started_at = -1;
    bvi_node_end_metrics(node);
    bvi_node_recovered(node);
    return bvi_step_save(node, err);
}

/* ---- stop ---- */

/* Each begins with a look for the container: they may have ended the attach that would have had it.
 */
static const bvi_step stop_steps[] = {
    { "record that it should be stopped", expect_stopped },
    { "find its container", bvi_step_attach_container },
    { "stop its jobs", shutdown_agent },
    { "stop its container", stop_container },
    { "close its engine socket", bvi_step_stop_engine },
    { "record that it is stopped", mark_stopped },
    { NULL, NULL },
};

static bvi_json *stopped(bvi_node *node, const bv_error *err)
{
    bvi_events *events = node->manager->opts.events;
    bvi_auto_free char *text = err ? bvi_error_text(err) : NULL;

    if (!err) {
        bvi_log_full(node->ctx, BV_LOG_INFO, "node", node->state.id, NULL, "stopped");
        bvi_events_add(events, "node_stopped", node->state.name, NULL, "stopped");
        return bvi_node_json(node);
    }
    if (bvi_activity_is_followed(node))
        return NULL;
    bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL, "%s",
                 text ? text : "cannot stop");
    bvi_events_add(events, "node_stop_failed", node->state.name, NULL, "%s", text ? text : "");
    bvi_node_set_problem(node, err);
    bvi_node_recover_later(node, BVI_RECOVER_STOP);
    (void)bvi_node_save(node, NULL); /* the problem is also in memory */
    return NULL;
}

const bvi_sequence bvi_stop_sequence = { .name = "stop", .steps = stop_steps, .finished = stopped };

/* ---- restart: what is expected stays "running", so a crash in between ends with a running node
 * ---- */

static int begin_start(bvi_node *node, bv_error **err)
{
    bvi_expected expected = node->state.expected;
    int64_t started_at = node->state.started_at;
    int r;

    if (node->state.intent != BVI_INTENT_NONE)
        return bvi_fail(err, BV_E_STATE, "its deletion was begun; finish it with `bv node rm %s`",
                        node->state.name);
    node->state.started_at = -1;
    node->state.expected = BVI_EXPECT_RUNNING;
    r = bvi_node_save(node, err);
    if (r < 0) {
        node->state.started_at = started_at;
        node->state.expected = expected;
        return r;
    }
    return BVI_STEP_DONE;
}

static const bvi_step restart_steps[] = {
    { "record that it should run", begin_start },
    { "find its container", bvi_step_attach_container },
    { "stop its jobs", shutdown_agent },
    { "stop its container", stop_container },
    { NULL, NULL },
};

const bvi_sequence bvi_restart_sequence = {
    .name = "restart", .steps = restart_steps, .finished = stopped, .then = &bvi_start_sequence
};

/* ---- delete ---- */

static int intend_delete(bvi_node *node, bv_error **err)
{
    bvi_expected expected = node->state.expected;
    bvi_intent intent = node->state.intent;
    int r;

    node->state.expected = BVI_EXPECT_STOPPED;
    node->state.intent = BVI_INTENT_DELETE;
    r = bvi_fs_exists(node->paths.dir) ? bvi_node_save(node, err)
                                       : 0; /* gone already: nothing to find again */
    if (r < 0) {
        node->state.expected = expected;
        node->state.intent = intent;
        return r;
    }
    return BVI_STEP_DONE;
}

/* Blocking removal in the worker pool. The state file goes last, so that a crash before then still
 * finds the intent. */
typedef struct removal {
    bvi_work work;
    bvi_node *node;
    char *dir;
    char *state;
    char *staging; /* NULL: no directory store */
    bv_error *err;
} removal;

static void removal_free(removal *job)
{
    bvi_free(job->dir);
    bvi_free(job->state);
    bvi_free(job->staging);
    bvi_free(job);
}

/* Durably, so that the state file is the last thing to go also when the power fails. */
static int remove_all_but(const char *dir, const char *state, bv_error **err)
{
    bvi_strv names = BVI_VEC_INIT(ENTRIES_MAX);
    int r;

    if (!bvi_fs_exists(dir))
        return 0;
    r = bvi_fs_list(dir, &names, err);
    for (size_t i = 0; r == 0 && i < names.len; i++) {
        bvi_auto_free char *path = bvi_path_join(dir, names.items[i], NULL);

        if (!path)
            r = bvi_fail_nomem(err);
        else if (strcmp(path, state) != 0)
            r = bvi_fs_remove_tree(path, err);
    }
    bvi_strv_done(&names);
    return r < 0 ? r : bvi_fs_sync_dir(dir, err);
}

static void run_removal(void *data)
{
    removal *job = data;

    if ((job->staging && bvi_fs_remove_tree(job->staging, &job->err) < 0) ||
        remove_all_but(job->dir, job->state, &job->err) < 0)
        return;
    (void)bvi_fs_remove_tree(job->dir, &job->err); /* the error is kept */
}

static void removal_done(void *data, bool cancelled)
{
    removal *job = data;
    bvi_node *node = job->node;
    bv_error *err = job->err;

    if (cancelled && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled"); /* the error is what we want */
    removal_free(job);
    if (node)
        bvi_activity_step_done(node, err);
    else
        bv_error_free(err);
}

static int remove_files(bvi_node *node, bv_error **err)
{
    removal *job = bvi_new0(removal);

    if (!job)
        return bvi_fail_nomem(err);
    job->dir = bvi_strdup(node->paths.dir);
    job->state = bvi_strdup(node->paths.state);
    job->staging = bvi_strdup(node->upload_bind);
    if (!job->dir || !job->state || (node->upload_bind && !job->staging)) {
        removal_free(job);
        return bvi_fail_nomem(err);
    }
    job->node = node;
    bvi_work_init(&job->work, node->ctx, run_removal, removal_done, job);
    bvi_work_submit(&job->work);
    return BVI_STEP_WAIT;
}

static const bvi_step delete_steps[] = {
    { "record that it goes", intend_delete },
    { "find its container", bvi_step_attach_container },
    { "stop its jobs", shutdown_agent },
    { "close its engine socket", bvi_step_stop_engine },
    { "remove its container", bvi_step_remove_container },
    { "remove its files", remove_files },
    { NULL, NULL },
};

static bvi_json *deleted(bvi_node *node, const bv_error *err)
{
    bvi_json *answer = NULL;

    if (err) {
        bvi_auto_free char *text = bvi_error_text(err);

        bvi_log_full(node->ctx, BV_LOG_ERROR, "node", node->state.id, NULL, "%s",
                     text ? text : "cannot delete");
        bvi_events_add(node->manager->opts.events, "node_delete_failed", node->state.name, NULL,
                       "%s", text ? text : "");
        bvi_node_set_problem(node, err);
        return NULL;
    }
    answer = bvi_json_new_object();
    if (answer && (bvi_json_put_string(answer, "id", node->state.id) < 0 ||
                   bvi_json_put_string(answer, "name", node->state.name) < 0)) {
        bvi_json_free(answer);
        answer = NULL;
    }
    bvi_log_full(node->ctx, BV_LOG_INFO, "node", node->state.id, NULL, "deleted");
    bvi_events_add(node->manager->opts.events, "node_deleted", node->state.name, NULL, "deleted");
    bvi_manager_forget(node->manager, node);
    return answer;
}

const bvi_sequence bvi_delete_sequence = {
    .name = "delete", .steps = delete_steps, .finished = deleted, .frees = true
};
