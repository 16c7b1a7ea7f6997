/*
 * activity.h - the work under way on one node: a sequence of steps, one after the other, with
 * replies waiting for its end.
 *
 * A step returns BVI_STEP_DONE to go on, BVI_STEP_WAIT when it continues later (then
 * bvi_activity_step_done() is called exactly once, never from inside the step), or a negative code.
 * A failure ends the sequence; its undo steps run, and then everybody waiting hears of the failure.
 * Steps are written so that running them again is harmless, because after a crash the same sequence
 * begins anew.
 *
 * What becomes of a request while other work is under way is a table in activity.c: it joins,
 * follows, ends the other early and follows, or is refused.
 */
#ifndef BVI_NODE_ACTIVITY_H
#define BVI_NODE_ACTIVITY_H

#include "base/vec.h"
#include "io/reply.h"

struct bvi_node;

enum {
    BVI_STEP_WAIT = 0,
    BVI_STEP_DONE = 1,
};

typedef int (*bvi_step_fn)(struct bvi_node *node, bv_error **err);

typedef struct bvi_step {
    const char *name; /* for progress and messages: "start container" */
    bvi_step_fn run;
} bvi_step;

typedef struct bvi_sequence {
    const char *name;      /* "start" */
    const bvi_step *steps; /* ends with a NULL name */
    const bvi_step *undo;  /* after a failure that nothing follows; may be NULL. Their own failures
                              are logged only */
    /* Called at the very end; err is NULL on success. Returns what waiting callers are answered
     * with on success. When bvi_activity_is_followed() it leaves the node as it is: other work
     * comes next. */
    bvi_json *(*finished)(struct bvi_node *node, const bv_error *err);
    const struct bvi_sequence
        *then; /* after success: the same callers wait on for this one, `finished` is not called */
    bool then_when_expected; /* `then` only for a node that is expected to run */
    bool needs_container;    /* a step that can be hurried fails when the container ends */
    bool frees;              /* on success `finished` has freed the node */
    bool frees_on_failure;   /* on failure it has, unless other work follows */
} bvi_sequence;

typedef struct bvi_activity {
    const bvi_sequence *sequence; /* NULL: none under way */
    size_t index;
    bool undoing;
    bool in_step;   /* a step continues later and will call bvi_activity_step_done() */
    bool in_driver; /* it is the driver who will; a freed driver does not */
    bool forced;
    bool abort;       /* somebody wants it to end early */
    bv_error *broken; /* why the step under way cannot succeed any more; NULL: it can */
    bv_error *failure;
    BVI_VEC(bvi_reply *) waiting;
    /* What to do next, and who waits for that. */
    const bvi_sequence *next;
    bool next_forced;
    BVI_VEC(bvi_reply *) next_waiting;
    void (*cancel_step)(struct bvi_node *node); /* hurries the waiting step */
    bvi_task advance;
} bvi_activity;

void bvi_activity_setup(struct bvi_node *node);
/* Callers hear BV_E_CANCELLED. A step in the background still ends, see bvi_node_free(). */
void bvi_activity_teardown(struct bvi_node *node);
/* The driver was freed: a step that waits for it will never hear. */
void bvi_activity_abandon_driver(struct bvi_node *node);
/* Begins a sequence, or does what the table says when there is one. Owns the reply, which may be
 * NULL. A reply that is refused fails with BV_E_BUSY, naming what is under way. */
void bvi_activity_begin(struct bvi_node *node, const bvi_sequence *sequence, bool forced,
                        bvi_reply *reply);
/* A waiting step is over; owns err. */
void bvi_activity_step_done(struct bvi_node *node, bv_error *err);
/* The container ended: a step that waits for something in it fails with this error, which is owned.
 */
void bvi_activity_break(struct bvi_node *node, bv_error *err);
const char *bvi_activity_name(const struct bvi_node *node); /* NULL: nothing under way */
bool bvi_activity_is_followed(const struct bvi_node *node);

/* For steps: the driver was called, with bvi_activity_driver_done() and the node; r is what it
 * returned. */
int bvi_activity_wait_driver(struct bvi_node *node, int r);
void bvi_activity_driver_done(const bv_error *err, void *node);

#endif
