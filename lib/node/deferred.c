/*
 * deferred.c - calls that came while their node was still being attached to, at the start of a
 * host.
 *
 * They wait for the end of that and are then made, so that a program that opens a host and asks
 * something of it at once gets an answer rather than "busy". Starting, stopping and deleting are
 * not kept here: activity.c knows how they meet an attach.
 */
#include "node/node.h"

/* More waiting calls of one node are refused. */
#define DEFERRED_MAX 64u

struct bvi_deferred {
    bvi_node *node;
    char *method;
    bvi_json *args;
    bvi_reply *reply;
};

static bvi_reply *take_reply(bvi_deferred *call)
{
    bvi_node *node = call->node;
    bvi_reply *reply = call->reply;

    for (size_t i = 0; i < node->deferred.len; i++) {
        if (node->deferred.items[i] == call) {
            bvi_vec_remove(&node->deferred, i);
            break;
        }
    }
    bvi_reply_on_cancel(reply, NULL, NULL);
    bvi_free(call->method);
    bvi_json_free(call->args);
    bvi_free(call);
    return reply;
}

static void on_cancel(void *data)
{
    bvi_reply_failf(take_reply(data), BV_E_CANCELLED, "cancelled");
}

void bvi_node_defer(bvi_node *node, const char *method, const bvi_json *args, bvi_reply *reply)
{
    bvi_deferred *call = bvi_new0(bvi_deferred);
    bvi_deferred **slot = NULL;

    node->deferred.max = DEFERRED_MAX;
    if (call) {
        *call = (bvi_deferred){ node, bvi_strdup(method), bvi_json_copy(args), reply };
        slot = call->method && call->args ? bvi_vec_push(&node->deferred) : NULL;
    }
    if (!slot) {
        if (call) {
            bvi_free(call->method);
            bvi_json_free(call->args);
        }
        bvi_free(call);
        bvi_reply_failf(reply, BV_E_BUSY, "node '%s' is still being attached to; try again",
                        node->state.name);
        return;
    }
    *slot = call;
    bvi_reply_on_cancel(reply, on_cancel, call);
}

static void make_calls(void *data)
{
    bvi_node *node = data;
    size_t count = node->deferred.len; /* those that come meanwhile are made at once */

    while (count-- > 0 && node->deferred.len) {
        bvi_deferred *call = node->deferred.items[0];
        bvi_auto_free char *method = bvi_take(call->method);
        bvi_auto_json bvi_json *args = bvi_take(call->args);
        bvi_reply *reply = take_reply(call);

        bvi_manager_call(node->manager, method, args, reply);
    }
}

void bvi_node_deferred_setup(bvi_node *node)
{
    bvi_task_init(&node->make_deferred, node->ctx, make_calls, node);
}

void bvi_node_make_deferred(bvi_node *node)
{
    if (node->deferred.len)
        bvi_task_post(&node->make_deferred);
}

void bvi_node_deferred_teardown(bvi_node *node)
{
    bvi_task_done(&node->make_deferred);
    while (node->deferred.len)
        on_cancel(node->deferred.items[0]);
    bvi_vec_done(&node->deferred);
}
