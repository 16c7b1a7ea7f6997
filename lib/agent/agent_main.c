/*
 * agent_main.c - bv_guest_agent_main(): the agent as a program.
 */
#include <blockvisor/guest.h>

#include "agent/agent_server.h"
#include "agent/guest_run.h"

/* File requests and set-up; everything else is on the loop. */
#define WORKERS       2u
#define LAST_ROUNDS   16
#define LAST_ROUND_MS 20

static int run_agent(bvi_guest_run *run, const bvi_agent_server_opts *agent_opts, bv_error **err)
{
    bvi_agent_server *agent = NULL;
    int r = bvi_agent_server_new(run->ctx, agent_opts, &agent, err);

    if (r < 0)
        return r;
    bvi_log_info(run->ctx, "agent", "babel %s is ready", BVI_AGENT_VERSION);
    r = bv_ctx_run(run->ctx);
    bvi_log_info(run->ctx, "agent", "ending; jobs go on");
    bvi_agent_server_free(agent);
    /* Commands that were killed just now are reaped, those that hold out are left to the node's
     * first process. */
    for (int i = 0; i < LAST_ROUNDS && bv_ctx_dispatch(run->ctx, LAST_ROUND_MS) > 0; i++)
        continue;
    return r < 0 ? bvi_fail(err, r, "the agent's loop failed") : 0;
}

int bv_guest_agent_main(int argc, char **argv, const bv_guest_opts *opts)
{
    bvi_agent_server_opts agent = { .prefix = "", .shell_user = opts->user };
    const bvi_guest_arg args[] = { { "--prefix", &agent.prefix }, { "--bundle", &agent.bundle } };
    bvi_guest_run run = { 0 };
    bvi_auto_error bv_error *err = NULL;
    int r = bvi_guest_parse(argc, argv, 1, args, BVI_COUNT(args), &err);

    if (r < 0) {
        bvi_guest_log_error(opts, "agent", err);
        return BV_GUEST_EXIT_USAGE;
    }
    r = bvi_guest_run_init(&run, opts, WORKERS, &err);
    if (r >= 0)
        r = run_agent(&run, &agent, &err);
    if (r < 0)
        bvi_guest_log_error(opts, "agent", err);
    bvi_guest_run_done(&run);
    return r < 0 ? BV_GUEST_EXIT_FAILED : BV_GUEST_EXIT_OK;
}
