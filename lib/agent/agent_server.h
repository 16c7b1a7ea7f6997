/*
 * agent_server.h - the agent: what runs inside every node and does there what the host asks
 * (babel.md 2 and 3).
 *
 * It serves one socket, supervises jobs through job/job_manager.h, and can be killed and started
 * again at any moment: jobs are processes of their own and all state is on disk. Everything runs
 * side by side on one loop.
 */
#ifndef BVI_AGENT_AGENT_SERVER_H
#define BVI_AGENT_AGENT_SERVER_H

#include "agent/paths.h"
#include "io/loop.h"

typedef struct bvi_agent_server bvi_agent_server;

typedef struct bvi_agent_server_opts {
    const char *prefix;      /* "" in a node; see paths.h */
    const char *bundle;      /* NULL: the default place */
    const char *shell_user;  /* run_sh goes through `su - <user>` (BV_USER); NULL: as ourselves */
    int64_t hook_timeout_ms; /* 0: BVI_AGENT_HOOK_MS */
} bvi_agent_server_opts;

/* Loads what an earlier agent left, re-attaches to running jobs, and listens. Blocking for a few
 * milliseconds. */
int bvi_agent_server_new(bv_ctx *ctx, const bvi_agent_server_opts *opts,
                         bvi_agent_server **ret_agent, bv_error **err);
/* Calls under way are cancelled; jobs go on. */
void bvi_agent_server_free(bvi_agent_server *agent);
BVI_DEFINE_FREEP(bvi_agent_server, bvi_agent_server_free)

#endif
