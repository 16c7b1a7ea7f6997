/*
 * node_make.h - the state of a new node from the arguments of node.create; shared by the local and
 * the fake host.
 */
#ifndef BVI_NODE_NODE_MAKE_H
#define BVI_NODE_NODE_MAKE_H

#include "image/image_meta.h"
#include "node/node_state.h"

/* Everything is borrowed for the call. */
typedef struct bvi_node_make {
    const char *image_id;
    const char *image_name;
    const bvi_image_meta *meta;
    bool (*name_taken)(const char *name, void *data);
    void *data;
    int64_t created_at; /* Unix seconds */
} bvi_node_make;

/* The state must be initialised and empty; on failure it is half filled. BV_E_EXISTS (name),
 * BV_E_NOT_FOUND (variant), BV_E_INVALID. */
int bvi_node_make_state(const bvi_node_make *from, const bvi_json *args, bvi_node_state *state,
                        bv_error **err);

/* The properties of a node after a change; NULL: all given values are what they are already.
 * BV_E_INVALID: unknown, not text, or fixed at creation (dynamic_value). */
int bvi_node_change_properties(const bvi_image_meta *meta, const bvi_node_state *state,
                               const bvi_json *given, bvi_json **ret_merged, bv_error **err);

#endif
