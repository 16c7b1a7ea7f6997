/*
 * events.h - what happened on this host, for those who follow it: a ring in memory with sequence
 * numbers.
 */
#ifndef BVI_NODE_EVENTS_H
#define BVI_NODE_EVENTS_H

#include "io/reply.h"

/* The ring keeps so many; a reader that falls behind is told how many it missed by the gap in seq.
 */
#define BVI_EVENTS_KEPT 1024u
/* More readers waiting at once are refused. */
#define BVI_EVENTS_WAITERS_MAX 256u
/* A reader that wants to wait longer is answered after so long. */
#define BVI_EVENTS_WAIT_MAX_MS (10 * 60 * 1000)

typedef struct bvi_events bvi_events;

/* seq_path: where numbers that were given out are remembered, so that they go on after a restart,
 * or a little further on after a crash; NULL: they begin with 1. A file that cannot be used begins
 * anew and is logged. */
int bvi_events_new(bv_ctx *ctx, const char *seq_path, bvi_events **ret_events, bv_error **err);
void bvi_events_free(bvi_events *events); /* waiting readers end with BV_E_CANCELLED */
/* type: "node_started" and so on. node, job and message may be NULL. Losing an event to lack of
 * memory is allowed. */
void bvi_events_add(bvi_events *events, const char *type, const char *node, const char *job,
                    const char *fmt, ...) BV_PRINTF(5, 6);
/* Answers {events, next}: those after `after` (-1: only new ones), at once when there are any, else
 * within wait_ms. A number that was not given out yet is of an earlier run: then all that is kept
 * is answered. */
void bvi_events_read(bvi_events *events, int64_t after, int64_t wait_ms, bvi_reply *reply);

#endif
