/*
 * node_env.h - the facts about a node that its plugin, its agent and its payloads see (spec host.md
 * 11).
 */
#ifndef BVI_NODE_ENV_H
#define BVI_NODE_ENV_H

#include "base/vec.h"
#include "node/node_state.h"

#define BVI_NODE_DATA_PATH "/blockjoy/protocol_data"

/* The node-environment object. host_name: of this host. */
int bvi_node_env_json(const bvi_node_state *state, const char *host_name, bvi_json **ret_env,
                      bv_error **err);
/* The text of /var/lib/babel/node_env: KEY="value" lines. Characters that would break out of the
 * quotes are escaped. */
int bvi_node_env_text(const bvi_json *env, char **ret_text, bv_error **err);
/* The same as "KEY=value" strings, for the container's first process. */
int bvi_node_env_strings(const bvi_json *env, bvi_strv *strings, bv_error **err);

#endif
