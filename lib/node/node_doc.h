/*
 * node_doc.h - the node document, from a node's state and what is so at the moment; shared by the
 * local and the fake host.
 */
#ifndef BVI_NODE_NODE_DOC_H
#define BVI_NODE_NODE_DOC_H

#include <sys/types.h>

#include "node/node_state.h"

typedef struct bvi_node_now {
    const char *status; /* "running", "stopped", "failed", "busy" */
    const char *work;   /* what makes it busy; NULL */
    pid_t pid;          /* of its container; not above 0: none */
    int64_t wall_s;
    const bvi_json *metrics; /* what its plugin said last; NULL: nothing */
} bvi_node_now;

bvi_json *bvi_node_state_json(const bvi_node_state *state,
                              const bvi_node_now *now); /* NULL: no memory */

#endif
