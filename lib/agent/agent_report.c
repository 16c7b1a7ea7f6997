/*
 * agent_report.c - bv_error: lines for a person's attention, sent to the host.
 *
 * The host daemon may be away for a while (an update); reports made meanwhile are tried for as long
 * as the connection's own patience lasts and then only stay in the agent's log.
 */
#include "agent/agent_impl.h"
#include "agent/protocol.h"
#include "net/rpc.h"

#define REPORT_TEXT_MAX 4096u
#define REPORTS_MAX     32u /* under way at once; more are dropped */
#define REPORT_REACH_MS 30000
#define REPORT_MS       60000

struct bvi_agent_reporter {
    bvi_rpc_client *client;
};

int bvi_agent_reporter_new(bv_ctx *ctx, const char *engine_socket,
                           bvi_agent_reporter **ret_reporter, bv_error **err)
{
    bvi_rpc_client_opts opts = {
        .path = engine_socket,
        .self = { .program = "babel", .version = BVI_AGENT_VERSION },
        .calls_max = REPORTS_MAX,
        .reach_ms = REPORT_REACH_MS,
    };
    bvi_agent_reporter *reporter = bvi_new0(bvi_agent_reporter);
    int r;

    if (!reporter)
        return bvi_fail_nomem(err);
    r = bvi_rpc_client_new(ctx, &opts, &reporter->client, err);
    if (r < 0) {
        bvi_free(reporter);
        return r;
    }
    *ret_reporter = reporter;
    return 0;
}

void bvi_agent_reporter_free(bvi_agent_reporter *reporter)
{
    if (!reporter)
        return;
    bvi_rpc_client_free(reporter->client);
    bvi_free(reporter);
}

static void on_reply(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data)
{
    /* Best effort: the line is in the agent's log already. */
}

void bvi_agent_report(bvi_agent_server *agent, const char *text)
{
    BVI_AUTO(bvi_buf_done) bvi_buf body = BVI_BUF_INIT(REPORT_TEXT_MAX + 64);
    bvi_auto_free char *cut = bvi_asprintf("%.*s", (int)REPORT_TEXT_MAX, text);
    Bvi__Agent__BvErrorRequest message = BVI__AGENT__BV_ERROR_REQUEST__INIT;
    bvi_rpc_request_opts opts = { .method = BVI_CALL_BV_ERROR,
                                  .deadline_ms = REPORT_MS,
                                  .on_reply = on_reply };

    message.text = cut;
    if (!cut || bvi_message_encode(&message.base, &body, NULL) < 0)
        return;
    opts.body = bvi_buf_str(&body);
    opts.len = body.len;
    (void)bvi_rpc_request_start(agent->reporter->client, &opts, NULL,
                                NULL); /* best effort, as above */
}
