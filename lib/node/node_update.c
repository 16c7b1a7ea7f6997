/*
 * node_update.c - changing a node's properties (spec plugin.md 1.2).
 *
 * The new values and "not initialised" are saved together before anything else happens: whatever a
 * crash interrupts, the next start runs init with them. A running node has it run at once. Its
 * plugin is made anew, so that nothing it read of the old values is left. While a job runs that
 * must not be interrupted the change is refused.
 */
#include <string.h>

#include "base/buf.h"
#include "node/node.h"
#include "node/node_make.h"

/* For the list of jobs. */
#define JOBS_TIMEOUT_MS 15000
/* Names of properties in an event. */
#define NAMES_MAX 1024u

/* ---- steps ---- */

/* The name of a job that must go on; NULL: none. */
static const char *blocking_job(const bvi_json *infos)
{
    bvi_json_each(info, infos) {
        const char *status = bvi_json_string(bvi_json_find(info, "status"));

        if (status && strcmp(status, "running") == 0 &&
            bvi_json_is_true(bvi_json_find(info, "upgrade_blocking")))
            return bvi_json_key(info);
    }
    return NULL;
}

static void on_jobs(const bvi_agent_result *result, const bv_error *err, void *data)
{
    bvi_node *node = data;
    bv_error *failure = err ? bvi_error_copy(err) : NULL;
    const char *job = err ? NULL : blocking_job(result->json);

    node->jobs_call = NULL;
    if (job)
        (void)bvi_fail(&failure, BV_E_STATE,
                       "job '%s' is running and must not be interrupted; try again when it is done",
                       job); /* the error is the result */
    bvi_activity_step_done(node, failure);
}

static void cancel_jobs(bvi_node *node)
{
    bvi_agent_call_cancel(node->jobs_call);
}

static int look_at_jobs(bvi_node *node, bv_error **err)
{
    const bvi_agent_wait wait = { .timeout_ms = JOBS_TIMEOUT_MS, .done = on_jobs, .data = node };
    int r;

    if (!bvi_node_is_running(node))
        return BVI_STEP_DONE;
    r = bvi_agent_jobs(node->agent, &wait, &node->jobs_call, err);
    node->activity.cancel_step = cancel_jobs;
    return r < 0 ? r : BVI_STEP_WAIT;
}

static int record(bvi_node *node, bv_error **err)
{
    bvi_json *before = node->state.properties;
    bool initialized = node->state.initialized;
    int r;

    node->state.properties = node->wanted;
    node->state.initialized = false;
    r = bvi_node_save(node, err);
    if (r < 0) {
        node->state.properties = before;
        node->state.initialized = initialized;
        return r;
    }
    node->wanted = before;
    return BVI_STEP_DONE;
}

static void tell(bvi_node *node)
{
    BVI_AUTO(bvi_buf_done) bvi_buf names = BVI_BUF_INIT(NAMES_MAX);

    bvi_json_each(it, node->state.properties) {
        const char *old = bvi_json_string(bvi_json_find(node->wanted, bvi_json_key(it)));

        if (!old || strcmp(old, bvi_json_string(it)) != 0)
            (void)bvi_buf_printf(&names, "%s%s", names.len ? ", " : "",
                                 bvi_json_key(it)); /* a shorter list will do */
    }
    bvi_log_full(node->ctx, BV_LOG_INFO, "node", node->state.id, NULL, "properties changed: %s",
                 bvi_buf_str(&names));
    bvi_events_add(node->manager->opts.events, "node_updated", node->state.name, NULL,
                   "properties changed: %s", bvi_buf_str(&names));
}

static int use_them(bvi_node *node, bv_error **err)
{
    int r = bvi_node_make_env(node, err);

    if (r < 0)
        return r;
    tell(node);
    bvi_json_free(bvi_take(node->wanted));
    return BVI_STEP_DONE;
}

static const bvi_step update_steps[] = {
    { "look for jobs that must go on", look_at_jobs },
    { "read its plugin", bvi_step_read_plugin },
    { "record the properties", record },
    { "use them", use_them },
    { "make its plugin anew", bvi_step_use_plugin },
    { NULL, NULL },
};

static bvi_json *updated(bvi_node *node, const bv_error *err)
{
    bvi_plugin_free(bvi_take(node->fresh));
    bvi_json_free(bvi_take(node->wanted));
    return err ? NULL : bvi_node_json(node);
}

const bvi_sequence bvi_update_sequence = { .name = "update",
                                           .steps = update_steps,
                                           .finished = updated,
                                           .then = &bvi_start_sequence,
                                           .then_when_expected = true };

/* ---- the call ---- */

static int merge(const bvi_node *node, const bvi_json *given, bvi_json **ret_merged, bv_error **err)
{
    const bvi_image *image = bvi_image_store_find(node->manager->opts.images, node->state.image_id);

    if (!image || strcmp(bvi_image_id(image), node->state.image_id) != 0)
        return bvi_fail(err, BV_E_NOT_FOUND, "image '%s' is not in the store; import it again",
                        node->state.image_id);
    return bvi_node_change_properties(bvi_image_meta_of(image), &node->state, given, ret_merged,
                                      err);
}

void bvi_node_update(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_auto_json bvi_json *merged = NULL;
    bv_error *err = NULL;
    int r = 0;

    if (node->activity.sequence)
        r = bvi_fail(&err, BV_E_BUSY, "%s is under way; try again when it is done",
                     node->activity.sequence->name);
    if (r == 0)
        r = merge(node, bvi_json_find(args, "properties"), &merged, &err);
    if (r < 0) {
        (void)bvi_wrap(&err, r, "cannot update node '%s'", node->state.name); /* the code stays */
        bvi_reply_fail(reply, err);
        return;
    }
    if (!merged) {
        bvi_reply_ok(reply, bvi_node_json(node));
        return;
    }
    bvi_json_free(node->wanted);
    node->wanted = bvi_take(merged);
    bvi_activity_begin(node, &bvi_update_sequence, false, reply);
}
