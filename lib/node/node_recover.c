/*
 * node_recover.c - bringing a node back to what is expected of it (spec host.md 16).
 *
 * Three things can go wrong again and again: starting, stopping, and reaching the agent of a
 * container that runs. Each has its own count and pauses; any success clears them all. Starting and
 * stopping are given up after three failures in a row; an agent that cannot be reached has the node
 * started anew.
 */
#include "node/node.h"

/* Tries before giving up; the pause doubles after each. */
#define TRIES_MAX 3u
/* An agent that went away is usually being replaced: the first look comes after this. */
#define LOOK_MS 1000
/* How long a look may take. */
#define REACH_MS 10000
/* A container that ends so soon after it was brought back waits for its next start as after a
 * failure. */
#define STABLE_US (60 * INT64_C(1000000))

static const struct {
    const char *name;
    int64_t first_ms;
} rules[] = {
    [BVI_RECOVER_START] = { "start", 15000 },
    [BVI_RECOVER_STOP] = { "stop", 45000 },
    [BVI_RECOVER_AGENT] = { "reach its agent", 5000 },
};

static void retry_in(bvi_node *node, bvi_recovery kind, int64_t pause_ms)
{
    node->retry_kind = kind;
    /* When it cannot be set, the next attach or a person comes instead. */
    (void)bvi_timer_set(node->retry, bvi_ctx_jitter_ms(node->ctx, pause_ms, 10) * 1000, NULL);
}

static void give_up(bvi_node *node, bvi_recovery kind)
{
    const char *problem = node->state.problem ? node->state.problem : "unknown problem";
    bvi_auto_error bv_error *err = NULL;

    node->state.expected = BVI_EXPECT_FAILED;
    bvi_log_full(node->ctx, BV_LOG_ERROR, "node", node->state.id, NULL,
                 "giving up after %u tries to %s: %s", TRIES_MAX, rules[kind].name, problem);
    bvi_events_add(node->manager->opts.events, "node_failed", node->state.name, NULL, "%s",
                   problem);
    if (bvi_node_save(node, &err) < 0) {
        bvi_auto_free char *text = bvi_error_text(err);

        bvi_log_full(node->ctx, BV_LOG_ERROR, "node", node->state.id, NULL, "%s",
                     text ? text : "out of memory");
    }
}

void bvi_node_recover_later(bvi_node *node, bvi_recovery kind)
{
    unsigned failures;

    if (node->state.expected == BVI_EXPECT_FAILED)
        return;
    failures = ++node->tries[kind];
    if (failures < TRIES_MAX) {
        retry_in(node, kind, rules[kind].first_ms << (failures - 1));
    } else if (kind == BVI_RECOVER_AGENT) {
        node->tries[kind] = 0;
        bvi_activity_begin(node, &bvi_restart_sequence, true, NULL);
    } else {
        give_up(node, kind);
    }
}

void bvi_node_recovered(bvi_node *node)
{
    for (size_t i = 0; i < BVI_COUNT(node->tries); i++)
        node->tries[i] = 0;
    bvi_node_set_problem(node, NULL);
}

static bool should_run(const bvi_node *node)
{
    return node->state.expected == BVI_EXPECT_RUNNING;
}

void bvi_node_retry(bvi_timer *timer, void *data)
{
    bvi_node *node = data;
    bool running = bvi_node_is_running(node);

    if (should_run(node) && node->retry_kind == BVI_RECOVER_STOP)
        bvi_activity_begin(node, &bvi_restart_sequence, true,
                           NULL); /* one that did not get as far as starting */
    else if (should_run(node) && node->retry_kind == BVI_RECOVER_AGENT && running)
        bvi_activity_begin(node, &bvi_reconnect_sequence, false, NULL);
    else if (should_run(node))
        bvi_activity_begin(node, &bvi_start_sequence, false, NULL);
    else if (node->state.expected == BVI_EXPECT_STOPPED && running)
        bvi_activity_begin(node, &bvi_stop_sequence,
                           bvi_agent_client_state(node->agent) != BVI_AGENT_OPEN, NULL);
}

/* ---- what happens by itself ---- */

void bvi_node_look_after(bvi_node *node)
{
    if (node->closing || node->activity.sequence || bvi_timer_is_set(node->retry) ||
        !should_run(node))
        return;
    if (bvi_agent_client_state(node->agent) == BVI_AGENT_BROKEN && bvi_node_is_running(node))
        retry_in(node, BVI_RECOVER_AGENT, LOOK_MS);
}

void bvi_node_agent_changed(bvi_agent_state state, void *data)
{
    if (state == BVI_AGENT_BROKEN)
        bvi_node_look_after(data);
}

void bvi_node_exited(bvi_node *node)
{
    int64_t now = bvi_ctx_now_us(node->ctx);
    bool again = node->exited_us && now - node->exited_us < STABLE_US;
    bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_STATE, "its container ended"); /* the error is the news */
    if (node->activity.sequence || !should_run(node)) {
        bvi_activity_break(node, err);
        return;
    }
    node->exited_us = now;
    bvi_node_set_problem(node, err);
    bv_error_free(err);
    bvi_log_full(node->ctx, BV_LOG_WARN, "node", node->state.id, NULL,
                 "its container ended; it is started again%s", again ? " after a pause" : "");
    bvi_events_add(node->manager->opts.events, "node_exited", node->state.name, NULL,
                   "container ended");
    bvi_agent_client_close(node->agent);
    if (again)
        retry_in(node, BVI_RECOVER_START, rules[BVI_RECOVER_START].first_ms);
    else
        bvi_activity_begin(node, &bvi_start_sequence, false, NULL);
}

/* ---- looking whether the agent is there again ---- */

static int look(bvi_node *node, bv_error **err)
{
    if (!bvi_node_is_running(node))
        return BVI_STEP_DONE;
    return bvi_node_reach_agent(node, REACH_MS, err);
}

static const bvi_step reconnect_steps[] = {
    { "reach its agent", look },
    { "renew its configuration", bvi_step_renew_config },
    { NULL, NULL },
};

static bvi_json *reconnected(bvi_node *node, const bv_error *err)
{
    bool running = bvi_node_is_running(node);

    if (bvi_activity_is_followed(node) || !should_run(node))
        return NULL;
    if (err && running) {
        bvi_node_set_problem(node, err);
        bvi_node_recover_later(node, BVI_RECOVER_AGENT);
    } else if (!running || !node->agent_ready || !node->state.initialized) {
        bvi_activity_begin(node, &bvi_start_sequence, false, NULL);
    } else {
        bvi_node_recovered(node);
    }
    return NULL;
}

const bvi_sequence bvi_reconnect_sequence = {
    .name = "reconnect", .steps = reconnect_steps, .finished = reconnected, .needs_container = true
};
