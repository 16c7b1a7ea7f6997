/*
 * client.h - the host's side of one node's agent: every call asynchronous, with a deadline,
 * cancellable.
 *
 * lib/node keeps one client for each node it has attached, over the socket
 * <node_dir>/run/babel.socket. The client connects when it is first used and redials after a loss,
 * so an agent that is being replaced is a short wait and not an error. A call that was not sent
 * yet, or that may be repeated safely, is sent again on the new connection; any other call whose
 * answer got lost fails with BV_E_REMOTE and says that its outcome is unknown.
 *
 *     bvi_agent_wait wait = { .done = on_height, .data = poll };
 *     r = bvi_agent_run_jrpc(client, &request, &wait, &poll->call, err);
 *
 * `done` comes exactly once, from dispatch, also after bvi_agent_call_cancel() and
 * bvi_agent_client_free() (both: BV_E_CANCELLED). The call handle is gone when `done` returns. A
 * function that returns an error starts nothing and `done` is not called. Inputs are copied.
 */
#ifndef BVI_AGENT_CLIENT_H
#define BVI_AGENT_CLIENT_H

#include "agent/limits.h"
#include "base/json.h"
#include "io/loop.h"

typedef struct bvi_agent_client bvi_agent_client;
typedef struct bvi_agent_call bvi_agent_call;

typedef enum bvi_agent_state {
    BVI_AGENT_CLOSED = 0, /* not connected yet, or closed on purpose */
    BVI_AGENT_OPEN = 1,   /* connected, versions exchanged */
    BVI_AGENT_BROKEN = 2, /* the last connection or attempt failed; the next call dials again */
} bvi_agent_state;

const char *bvi_agent_state_name(bvi_agent_state state); /* "closed", "open", "broken" */

typedef struct bvi_agent_client_opts {
    const char *socket_path;
    const char *node_id; /* for log records; may be NULL */
    void (*on_state)(bvi_agent_state state,
                     void *data); /* optional; from dispatch, after each change */
    void *data;
} bvi_agent_client_opts;

int bvi_agent_client_new(bv_ctx *ctx, const bvi_agent_client_opts *opts,
                         bvi_agent_client **ret_client, bv_error **err);
void bvi_agent_client_free(
    bvi_agent_client *client); /* the calls under way complete with BV_E_CANCELLED, from here */
BVI_DEFINE_FREEP(bvi_agent_client, bvi_agent_client_free)

bvi_agent_state bvi_agent_client_state(const bvi_agent_client *client);
/* Calls under way complete with BV_E_CANCELLED; a later call connects again. Used before a node is
 * stopped. */
void bvi_agent_client_close(bvi_agent_client *client);
/* What the agent said on the present connection; NULL or false while there is none. Capabilities:
 * agent/limits.h. */
const char *bvi_agent_client_version(const bvi_agent_client *client);
bool bvi_agent_client_can(const bvi_agent_client *client, const char *capability);

/* ---- results: only the fields of the call that was made are set; all is valid during `done` only
 * ---- */

typedef struct bvi_agent_result {
    const char *version; /* version */
    bool ready;          /* version: set up, jobs are being supervised */
    int64_t timeout_ms;  /* shutdown_timeout, job_shutdown_timeout */
    const bvi_json
        *json; /* job_info: one JobInfo; jobs: an object of name -> JobInfo (babel.md 6.7) */
    int32_t exit_code;   /* run_sh */
    int32_t status_code; /* run_jrpc, run_rest: the HTTP status, whichever it is */
    const char
        *out; /* run_sh: stdout; run_jrpc, run_rest: body; file_read: content. Zero-terminated */
    size_t out_len;
    const char *err_out; /* run_sh: stderr. Zero-terminated */
    size_t err_out_len;
    bool truncated;   /* run_sh: output beyond BVI_AGENT_OUTPUT_MAX was dropped */
    bool has_stamp;   /* protocol_data_stamp: false when the data was never used */
    int64_t stamp_us; /* protocol_data_stamp: since 1970 */
} bvi_agent_result;

/* err is NULL on success; result is never NULL. Both belong to the client. */
typedef void (*bvi_agent_fn)(const bvi_agent_result *result, const bv_error *err, void *data);

typedef struct bvi_agent_wait {
    int64_t timeout_ms; /* from now; 0: the default of the call (BVI_AGENT_TIMEOUT_MS unless its
                           line says otherwise) */
    bvi_agent_fn done;
    void *data;
} bvi_agent_wait;

/* Asks a call to end; `done` still comes, with BV_E_CANCELLED unless its answer was there already.
 * The agent is told, and stops what it does for the call (a shell command's processes are killed).
 * NULL is fine. */
void bvi_agent_call_cancel(bvi_agent_call *call);

/* ---- the agent itself. ret_call may be NULL everywhere ---- */

/* Liveness and version in one. */
int bvi_agent_version(bvi_agent_client *client, const bvi_agent_wait *wait,
                      bvi_agent_call **ret_call, bv_error **err);

/* config: {"node_env": {...}, "ramdisks": [...]} as in babel.md 2.1. Idempotent. Mounts RAM disks,
 * keeps the config, runs the image's post-setup hook (its own timeout: BVI_AGENT_HOOK_MS) and
 * starts supervising jobs. A second call while the hook runs waits for the same run. Default
 * timeout: BVI_AGENT_SETUP_MS. */
int bvi_agent_setup(bvi_agent_client *client, const bvi_json *config, const bvi_agent_wait *wait,
                    bvi_agent_call **ret_call, bv_error **err);

/* How long a graceful shutdown may take: the longest of the active jobs' budgets, for they are
 * stopped together. */
int bvi_agent_shutdown_timeout(bvi_agent_client *client, const bvi_agent_wait *wait,
                               bvi_agent_call **ret_call, bv_error **err);

/* Ends supervision: stops the runners of active jobs, which run again after the next setup. Default
 * timeout: the shutdown timeout, asked for first, + BVI_AGENT_MARGIN_MS. force: processes are
 * killed at once. */
int bvi_agent_shutdown(bvi_agent_client *client, bool force, const bvi_agent_wait *wait,
                       bvi_agent_call **ret_call, bv_error **err);

/* ---- jobs ---- */

/* config: babel.md 6.1. Replaces a job of that name, which is stopped first. */
int bvi_agent_create_job(bvi_agent_client *client, const char *name, const bvi_json *config,
                         const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_start_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                        bvi_agent_call **ret_call, bv_error **err);
/* stop, skip, delete and stop_all: default timeout is the budget of the job(s), asked for first, +
 * the margin. */
int bvi_agent_stop_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                       bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_skip_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                       bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_cleanup_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                          bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_delete_job(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                         bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_stop_all_jobs(bvi_agent_client *client, const bvi_agent_wait *wait,
                            bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_job_info(bvi_agent_client *client, const char *name, const bvi_agent_wait *wait,
                       bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_jobs(bvi_agent_client *client, const bvi_agent_wait *wait, bvi_agent_call **ret_call,
                   bv_error **err);
/* 0 for an unknown or inactive job; never an error of its own. */
int bvi_agent_job_shutdown_timeout(bvi_agent_client *client, const char *name,
                                   const bvi_agent_wait *wait, bvi_agent_call **ret_call,
                                   bv_error **err);

/* ---- work inside the node. The timeout travels: the agent ends the work itself, a moment earlier
 * ---- */

/* A command ended by a signal or by its timeout is an error, another exit code is a result. */
int bvi_agent_run_sh(bvi_agent_client *client, const char *body, const bvi_agent_wait *wait,
                     bvi_agent_call **ret_call, bv_error **err);

typedef struct bvi_agent_header {
    const char *name;
    const char *value;
} bvi_agent_header;

typedef struct bvi_agent_http {
    const char *url;    /* run_jrpc calls it host; any http or https URL as the node sees it */
    const char *method; /* run_jrpc only: the JSON-RPC method */
    const char *params; /* run_jrpc only: JSON text, or NULL */
    const bvi_agent_header *headers; /* a later one replaces an earlier one of the same name */
    size_t header_count;             /* at most BVI_AGENT_HEADERS_MAX */
} bvi_agent_http;

int bvi_agent_run_jrpc(bvi_agent_client *client, const bvi_agent_http *request,
                       const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_run_rest(bvi_agent_client *client, const bvi_agent_http *request,
                       const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err);

/* Files up to BVI_AGENT_FILE_MAX; writing is atomic and checked by digest. Paths are absolute, as
 * the node sees them. */
int bvi_agent_file_read(bvi_agent_client *client, const char *path, const bvi_agent_wait *wait,
                        bvi_agent_call **ret_call, bv_error **err);
int bvi_agent_file_write(bvi_agent_client *client, const char *path, const void *bytes, size_t len,
                         const bvi_agent_wait *wait, bvi_agent_call **ret_call, bv_error **err);

/* Renders a template file of the node into a file of the node. params: an object. An agent whose
 * capabilities lack BVI_AGENT_CAN_TEMPLATE answers BV_E_UNSUPPORTED. */
int bvi_agent_render_template(bvi_agent_client *client, const char *template_path,
                              const char *destination, const bvi_json *params,
                              const bvi_agent_wait *wait, bvi_agent_call **ret_call,
                              bv_error **err);

int bvi_agent_protocol_data_stamp(bvi_agent_client *client, const bvi_agent_wait *wait,
                                  bvi_agent_call **ret_call, bv_error **err);

#endif
