/*
 * activity.c - running a sequence of steps on a node, and telling those who wait for it.
 */
#include "node/node.h"

/* Callers waiting for one piece of work. */
#define WAITING_MAX 64u

/* What becomes of a request while other work is under way. */
typedef enum meeting {
    MEET_REFUSE,
    MEET_JOIN,    /* they wait for the same end */
    MEET_FOLLOW,  /* after the end */
    MEET_PREEMPT, /* after the end, which comes early */
} meeting;

/* The same work is joined; what is not here is refused. */
static const struct {
    const bvi_sequence *running;
    const bvi_sequence *wanted;
    meeting meeting;
} meetings[] = {
    { &bvi_create_sequence, &bvi_delete_sequence, MEET_PREEMPT },
    { &bvi_attach_sequence, &bvi_start_sequence, MEET_FOLLOW },
    { &bvi_attach_sequence, &bvi_stop_sequence, MEET_PREEMPT },
    { &bvi_attach_sequence, &bvi_restart_sequence, MEET_PREEMPT },
    { &bvi_attach_sequence, &bvi_delete_sequence, MEET_PREEMPT },
    { &bvi_reconnect_sequence, &bvi_start_sequence, MEET_FOLLOW },
    { &bvi_reconnect_sequence, &bvi_stop_sequence, MEET_PREEMPT },
    { &bvi_reconnect_sequence, &bvi_restart_sequence, MEET_PREEMPT },
    { &bvi_reconnect_sequence, &bvi_delete_sequence, MEET_PREEMPT },
    { &bvi_reload_sequence, &bvi_start_sequence, MEET_FOLLOW },
    { &bvi_reload_sequence, &bvi_stop_sequence, MEET_PREEMPT },
    { &bvi_reload_sequence, &bvi_restart_sequence, MEET_PREEMPT },
    { &bvi_reload_sequence, &bvi_delete_sequence, MEET_PREEMPT },
    { &bvi_update_sequence, &bvi_stop_sequence, MEET_PREEMPT },
    { &bvi_update_sequence, &bvi_restart_sequence, MEET_PREEMPT },
    { &bvi_update_sequence, &bvi_delete_sequence, MEET_PREEMPT },
    { &bvi_start_sequence, &bvi_stop_sequence, MEET_PREEMPT },
    { &bvi_start_sequence, &bvi_delete_sequence, MEET_PREEMPT },
    { &bvi_restart_sequence, &bvi_stop_sequence, MEET_PREEMPT },
    { &bvi_restart_sequence, &bvi_delete_sequence, MEET_PREEMPT },
    { &bvi_stop_sequence, &bvi_delete_sequence, MEET_PREEMPT },
};

static meeting meeting_of(const bvi_sequence *running, const bvi_sequence *wanted)
{
    if (running == wanted)
        return MEET_JOIN;
    for (size_t i = 0; i < BVI_COUNT(meetings); i++) {
        if (meetings[i].running == running && meetings[i].wanted == wanted)
            return meetings[i].meeting;
    }
    return MEET_REFUSE;
}

static void advance(void *data);

void bvi_activity_setup(bvi_node *node)
{
    node->activity = (bvi_activity){ .waiting = BVI_VEC_INIT(WAITING_MAX),
                                     .next_waiting = BVI_VEC_INIT(WAITING_MAX) };
    bvi_task_init(&node->activity.advance, node->ctx, advance, node);
}

const char *bvi_activity_name(const bvi_node *node)
{
    return node->activity.sequence ? node->activity.sequence->name : NULL;
}

bool bvi_activity_is_followed(const bvi_node *node)
{
    return node->activity.next != NULL;
}

static void fail_all(bvi_reply **replies, size_t count, const bv_error *err)
{
    for (size_t i = 0; i < count; i++)
        bvi_reply_fail(replies[i], bvi_error_copy(err));
}

static bv_error *cancelled(const char *why)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_CANCELLED, "%s", why); /* the error is the result */
    return err;
}

void bvi_activity_teardown(bvi_node *node)
{
    bvi_activity *activity = &node->activity;
    bvi_auto_error bv_error *err = cancelled("the host is being closed");

    bvi_task_done(&activity->advance);
    fail_all(activity->waiting.items, activity->waiting.len, err);
    fail_all(activity->next_waiting.items, activity->next_waiting.len, err);
    bvi_vec_done(&activity->waiting);
    bvi_vec_done(&activity->next_waiting);
    bv_error_free(bvi_take(activity->failure));
    bv_error_free(bvi_take(activity->broken));
}

void bvi_activity_abandon_driver(bvi_node *node)
{
    if (node->activity.in_driver)
        node->activity.in_step = node->activity.in_driver = false;
}

/* ---- running ---- */

static void begin(bvi_activity *activity, const bvi_sequence *sequence)
{
    activity->sequence = sequence;
    activity->index = 0;
    activity->undoing = false;
    activity->abort = false;
    bv_error_free(bvi_take(activity->broken));
    bvi_task_post(&activity->advance);
}

static void begin_next(bvi_node *node)
{
    bvi_activity *activity = &node->activity;
    const bvi_sequence *next = bvi_take(activity->next);

    activity->waiting.items = bvi_take(activity->next_waiting.items);
    activity->waiting.len = activity->next_waiting.len;
    activity->waiting.cap = activity->next_waiting.cap;
    activity->next_waiting.len = activity->next_waiting.cap = 0;
    bvi_activity_begin(node, next, activity->next_forced, NULL);
}

static void finish(bvi_node *node)
{
    bvi_activity *activity = &node->activity;
    const bvi_sequence *sequence = activity->sequence;
    bvi_auto_error bv_error *failure = bvi_take(activity->failure);
    bvi_auto_json bvi_json *answer = NULL;
    bvi_reply **replies = bvi_take(activity->waiting.items);
    size_t count = activity->waiting.len;
    bool followed = activity->next != NULL;
    bool freed = failure ? sequence->frees_on_failure && !followed : sequence->frees;

    activity->waiting.len = activity->waiting.cap = 0;
    activity->sequence = NULL;
    activity->cancel_step = NULL;
    answer = sequence->finished(node, failure);
    if (failure)
        fail_all(replies, count, failure);
    for (size_t i = 0; !failure && i < count; i++)
        bvi_reply_ok(replies[i], answer ? bvi_json_copy(answer) : NULL);
    bvi_free(replies);
    if (freed)
        return;
    if (followed)
        begin_next(node);
    else
        bvi_node_look_after(node);
}

static const bvi_step *current(const bvi_activity *activity)
{
    const bvi_step *steps =
        activity->undoing ? activity->sequence->undo : activity->sequence->steps;

    return &steps[activity->index];
}

/* Ends the sequence, or begins to undo it; returns whether there is more to run. Owns err. */
static bool fail(bvi_node *node, bv_error *err)
{
    bvi_activity *activity = &node->activity;

    if (activity->undoing) {
        bvi_auto_free char *text = bvi_error_text(err);

        bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL, "undoing %s: %s",
                     activity->sequence->name, text ? text : "out of memory");
        bv_error_free(err);
        activity->index++;
        return true;
    }
    (void)bvi_wrap(&err, bv_error_code(err), "cannot %s node '%s': %s", activity->sequence->name,
                   node->state.name, current(activity)->name); /* the code stays */
    activity->failure = err;
    activity->undoing = activity->sequence->undo && !activity->next;
    activity->index = 0;
    return activity->undoing;
}

static void end(bvi_node *node)
{
    bvi_activity *activity = &node->activity;
    const bvi_sequence *then = activity->failure ? NULL : activity->sequence->then;

    if (then && activity->sequence->then_when_expected &&
        node->state.expected != BVI_EXPECT_RUNNING)
        then = NULL;
    if (then && !activity->abort) {
        begin(activity, then);
        return;
    }
    if (then)
        activity->failure = cancelled("ended by a later request");
    finish(node);
}

/* A reason not to begin the next step; NULL: none. */
static bv_error *obstacle(bvi_activity *activity)
{
    if (activity->undoing)
        return NULL;
    return activity->abort ? cancelled("ended by a later request") : bvi_take(activity->broken);
}

static void advance(void *data)
{
    bvi_node *node = data;
    bvi_activity *activity = &node->activity;

    while (current(activity)->name) {
        bv_error *err = obstacle(activity);
        int r = err ? bv_error_code(err) : 0;

        activity->cancel_step = NULL;
        if (!err)
            r = current(activity)->run(node, &err);
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
    bvi_activity *activity = &node->activity;

    activity->in_step = activity->in_driver = false;
    if (node->closing) {
        bv_error_free(err);
        bvi_node_release(node);
        return;
    }
    activity->cancel_step = NULL;
    if (err && activity->broken) {
        bv_error_free(err);
        err = bvi_take(activity->broken);
    }
    if (!err)
        activity->index++;
    else if (!fail(node, err)) {
        finish(node);
        return;
    }
    bvi_task_post(&activity->advance);
}

int bvi_activity_wait_driver(bvi_node *node, int r)
{
    if (r < 0)
        return r;
    node->activity.in_driver = true;
    return BVI_STEP_WAIT;
}

void bvi_activity_driver_done(const bv_error *err, void *node)
{
    bvi_activity_step_done(node, err ? bvi_error_copy(err) : NULL);
}

/* ---- asking for work ---- */

static void hurry(bvi_node *node)
{
    bvi_activity *activity = &node->activity;

    if (activity->in_step && activity->cancel_step && !activity->undoing)
        activity->cancel_step(node);
}

void bvi_activity_break(bvi_node *node, bv_error *err)
{
    bvi_activity *activity = &node->activity;

    if (activity->sequence && activity->sequence->needs_container && activity->in_step &&
        activity->cancel_step && !activity->broken) {
        activity->broken = err;
        hurry(node);
    } else {
        bv_error_free(err);
    }
}

static bool add_waiting(bvi_node *node, bool behind, bvi_reply *reply)
{
    bvi_reply **slot;

    if (!reply)
        return true;
    slot =
        behind ? bvi_vec_push(&node->activity.next_waiting) : bvi_vec_push(&node->activity.waiting);
    if (!slot) {
        bvi_reply_failf(reply, BV_E_BUSY, "too many callers wait for node '%s'", node->state.name);
        return false;
    }
    *slot = reply;
    return true;
}

static void refuse(bvi_node *node, const bvi_sequence *sequence, bvi_reply *reply)
{
    const bvi_activity *activity = &node->activity;

    if (reply)
        bvi_reply_failf(reply, BV_E_BUSY,
                        "cannot %s node '%s': %s is under way; try again when it is done",
                        sequence->name, node->state.name,
                        activity->next ? activity->next->name : activity->sequence->name);
}

static void join(bvi_node *node, bool forced, bvi_reply *reply)
{
    bvi_activity *activity = &node->activity;

    if (activity->next) {
        activity->next_forced = activity->next_forced || forced;
        (void)add_waiting(node, true, reply); /* it has answered on failure */
        return;
    }
    (void)add_waiting(node, false, reply);
    if (forced && !activity->forced) {
        activity->forced = true;
        hurry(node);
    }
}

/* Returns whether the request was taken. */
static bool follow(bvi_node *node, const bvi_sequence *sequence, bool forced, bvi_reply *reply)
{
    bvi_activity *activity = &node->activity;
    bvi_auto_error bv_error *err = NULL;
    size_t others = activity->next_waiting.len;

    if (!add_waiting(node, true, reply))
        return false;
    if (activity->next) { /* it is preempted before it began */
        err = cancelled("ended by a later request");
        fail_all(activity->next_waiting.items, others, err);
        for (; others; others--)
            bvi_vec_remove(&activity->next_waiting, 0);
    }
    activity->next = sequence;
    activity->next_forced = forced;
    return true;
}

static void meet(bvi_node *node, const bvi_sequence *sequence, bool forced, bvi_reply *reply)
{
    bvi_activity *activity = &node->activity;
    meeting now = meeting_of(activity->next ? activity->next : activity->sequence, sequence);

    if (now == MEET_JOIN) {
        join(node, forced, reply);
    } else if (now == MEET_REFUSE || (now == MEET_FOLLOW && activity->next)) {
        refuse(node, sequence, reply);
    } else if (follow(node, sequence, forced, reply) && now == MEET_PREEMPT) {
        activity->abort = true;
        hurry(node);
    }
}

void bvi_activity_begin(bvi_node *node, const bvi_sequence *sequence, bool forced, bvi_reply *reply)
{
    bvi_activity *activity = &node->activity;

    if (activity->sequence) {
        meet(node, sequence, forced, reply);
        return;
    }
    if (!add_waiting(node, false, reply))
        return;
    activity->forced = forced;
    bvi_timer_clear(node->retry);
    begin(activity, sequence);
}
