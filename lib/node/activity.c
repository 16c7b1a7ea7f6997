/*
 * activity.c - running a sequence of steps on a node, and telling those who wait for it.
 */
#include "node/node.h"

/* Callers waiting for one piece of work. */
#define WAITING_MAX 64u

static void advance(void *data);

void bvi_activity_setup(bvi_node *node)
{
    node->activity = (bvi_activity){ .waiting = BVI_VEC_INIT(WAITING_MAX), .next_waiting = BVI_VEC_INIT(WAITING_MAX) };
    bvi_task_init(&node->activity.advance, node->ctx, advance, node);
}

const char *bvi_activity_name(const bvi_node *node)
{
    return node->activity.sequence ? node->activity.sequence->name : NULL;
}

static void fail_all(bvi_reply **replies, size_t count, const bv_error *err)
{
    for (size_t i = 0; i < count; i++)
        bvi_reply_fail(replies[i], bvi_error_copy(err));
}

void bvi_activity_teardown(bvi_node *node)
{
    bvi_auto_error bv_error *err = NULL;

    bvi_task_done(&node->activity.advance);
    (void)bvi_fail(&err, BV_E_CANCELLED, "the host is being closed"); /* the error is what we want */
    fail_all(node->activity.waiting.items, node->activity.waiting.len, err);
    fail_all(node->activity.next_waiting.items, node->activity.next_waiting.len, err);
    bvi_vec_done(&node->activity.waiting);
    bvi_vec_done(&node->activity.next_waiting);
    bv_error_free(node->activity.failure);
}

static void begin(bvi_activity *activity, const bvi_sequence *sequence)
{
    activity->sequence = sequence;
    activity->index = 0;
    activity->undoing = false;
    activity->abort = false;
    bvi_task_post(&activity->advance);
}

static void finish(bvi_node *node)
{
    bvi_activity *activity = &node->activity;
    const bvi_sequence *sequence = activity->sequence;
    const bvi_sequence *next = activity->next;
    bvi_auto_error bv_error *failure = bvi_take(activity->failure);
    bvi_auto_json bvi_json *answer = NULL;
    bvi_reply **replies = bvi_take(activity->waiting.items);
    size_t count = activity->waiting.len;
    bool freed = failure ? sequence->frees_on_failure : sequence->frees;

    activity->waiting.len = activity->waiting.cap = 0;
    activity->sequence = NULL;
    activity->cancel_step = NULL;
    answer = sequence->finished(node, failure);
    if (failure)
        fail_all(replies, count, failure);
    for (size_t i = 0; !failure && i < count; i++)
        bvi_reply_ok(replies[i], answer ? bvi_json_copy(answer) : NULL);
    bvi_free(replies);
    if (!freed && next && !activity->sequence) {
        activity->next = NULL;
        activity->waiting.items = bvi_take(activity->next_waiting.items);
        activity->waiting.len = activity->next_waiting.len;
        activity->waiting.cap = activity->next_waiting.cap;
        activity->next_waiting.len = activity->next_waiting.cap = 0;
        bvi_activity_begin(node, next, activity->next_forced, NULL);
    }
}

static const bvi_step *current(const bvi_activity *activity)
{
    const bvi_step *steps = activity->undoing ? activity->sequence->undo : activity->sequence->steps;

    return &steps[activity->index];
}

/* Ends the sequence, or begins to undo it; returns whether there is more to run. */
static bool fail(bvi_node *node, bv_error *err)
{
    bvi_activity *activity = &node->activity;

    if (activity->undoing) {
        bvi_auto_free char *text = bvi_error_text(err);

        bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL, "undoing %s: %s", activity->sequence->name,
                     text ? text : "out of memory");
        bv_error_free(err);
        activity->index++;
        return true;
    }
    (void)bvi_wrap(&err, bv_error_code(err), "cannot %s node '%s': %s", activity->sequence->name, node->state.name,
                   current(activity)->name); /* the code stays */
    activity->failure = err;
    activity->undoing = activity->sequence->undo != NULL;
    activity->index = 0;
    return activity->undoing;
}

static void end(bvi_node *node)
{
    bvi_activity *activity = &node->activity;

    if (!activity->failure && activity->sequence->then)
        begin(activity, activity->sequence->then);
    else
        finish(node);
}

static void advance(void *data)
{
    bvi_node *node = data;
    bvi_activity *activity = &node->activity;

    while (current(activity)->name) {
        bv_error *err = NULL;
        int r;

        activity->cancel_step = NULL;
        if (activity->abort && !activity->undoing) {
            (void)bvi_fail(&err, BV_E_CANCELLED, "ended by a later request"); /* the error is what we want */
            r = BV_E_CANCELLED;
        } else {
            r = current(activity)->run(node, &err);
        }
        if (r == BVI_STEP_WAIT) {
            activity->in_step = true;
            return;
        }
        if (r == BVI_STEP_DONE)
            activity->index++;
        else if (!fail(node, err))
            break;
    }
    end(node);
}

void bvi_activity_step_done(bvi_node *node, bv_error *err)
{
    node->activity.in_step = false;
    if (node->closing) {
        bv_error_free(err);
        bvi_node_release(node);
        return;
    }
    if (!err)
        node->activity.index++;
    else if (!fail(node, err)) {
        finish(node);
        return;
    }
    bvi_task_post(&node->activity.advance);
}

static bool add_waiting(bvi_node *node, bool behind, bvi_reply *reply)
{
    bvi_reply **slot;

    if (!reply)
        return true;
    slot = behind ? bvi_vec_push(&node->activity.next_waiting) : bvi_vec_push(&node->activity.waiting);
    if (!slot) {
        bvi_reply_failf(reply, BV_E_BUSY, "too many callers wait for node '%s'", node->state.name);
        return false;
    }
    *slot = reply;
    return true;
}

static void refuse(bvi_node *node, const bvi_sequence *sequence, bvi_reply *reply)
{
    if (reply)
        bvi_reply_failf(reply, BV_E_BUSY, "cannot %s node '%s': %s is under way; try again when it is done",
                        sequence->name, node->state.name, node->activity.sequence->name);
}

static void begin_behind(bvi_node *node, const bvi_sequence *sequence, bool forced, bvi_reply *reply)
{
    bvi_activity *activity = &node->activity;

    if (activity->next && activity->next != sequence) {
        refuse(node, sequence, reply);
        return;
    }
    if (!add_waiting(node, true, reply))
        return;
    activity->next = sequence;
    activity->next_forced = forced;
    activity->abort = true;
    if (activity->cancel_step)
        activity->cancel_step(node);
}

void bvi_activity_begin(bvi_node *node, const bvi_sequence *sequence, bool forced, bvi_reply *reply)
{
    bvi_activity *activity = &node->activity;

    if (activity->sequence) {
        if (activity->sequence == sequence && !activity->next)
            (void)add_waiting(node, false, reply); /* it has answered on failure */
        else if (sequence->interrupts)
            begin_behind(node, sequence, forced, reply);
        else
            refuse(node, sequence, reply);
        return;
    }
    if (!add_waiting(node, false, reply))
        return;
    activity->forced = forced;
    bvi_timer_clear(node->retry);
    begin(activity, sequence);
}
