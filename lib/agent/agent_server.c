/*
 * agent_server.c - the agent's life, its table of requests, and the requests that take a line or
 * two.
 */
#include <string.h>

#include "agent/agent_impl.h"
#include "agent/protocol.h"
#include "sys/fs.h"

/* Requests that name one thing. */
#define SMALL_MAX (16u * 1024u)

/* ---- the short requests ---- */

static const char *const capabilities[] = { BVI_AGENT_CAN_DELETE, BVI_AGENT_CAN_TEMPLATE,
                                            BVI_AGENT_CAN_ARCHIVE, NULL };

/* Version and capabilities are known from the connection's Hello; this is the sign of life. */
static void handle_version(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    bvi_agent_server *agent = service;
    Bvi__Agent__VersionReply reply = BVI__AGENT__VERSION_REPLY__INIT;

    reply.version = (char *)(uintptr_t)BVI_AGENT_VERSION;
    reply.ready = bvi_job_manager_is_ready(agent->jobs);
    bvi_service_reply(call, &reply.base);
}

static void handle_data_stamp(bvi_service_call *call, const ProtobufCMessage *message,
                              void *service)
{
    bvi_agent_server *agent = service;
    Bvi__Agent__StampReply reply = BVI__AGENT__STAMP_REPLY__INIT;
    bv_error *err = NULL;
    int64_t us = 0;
    int r = bvi_fs_mtime_us(agent->data_lock, &us, &err);

    if (r < 0 && r != BV_E_NOT_FOUND) {
        (void)bvi_wrap(&err, r, "cannot read the protocol data stamp"); /* err is the result */
        bvi_service_fail(call, err);
        return;
    }
    bv_error_free(err);
    reply.present = r >= 0;
    reply.us = us;
    bvi_service_reply(call, &reply.base);
}

/* ---- the table ---- */

static const bvi_service_method methods[] = {
    { BVI_CALL_VERSION, &bvi__agent__empty__descriptor, SMALL_MAX, handle_version },
    { BVI_CALL_SETUP, &bvi__agent__setup_request__descriptor, BVI_AGENT_CONF_MAX + SMALL_MAX,
      bvi_agent_handle_setup },
    { BVI_CALL_SHUTDOWN, &bvi__agent__shutdown_request__descriptor, SMALL_MAX,
      bvi_agent_handle_shutdown },
    { BVI_CALL_JOBS_TIMEOUT, &bvi__agent__empty__descriptor, SMALL_MAX,
      bvi_agent_handle_jobs_timeout },
    { BVI_CALL_CREATE_JOB, &bvi__agent__create_job_request__descriptor, BVI_AGENT_JSON_MAX,
      bvi_agent_handle_create_job },
    { BVI_CALL_START_JOB, &bvi__agent__job_request__descriptor, SMALL_MAX,
      bvi_agent_handle_start_job },
    { BVI_CALL_STOP_JOB, &bvi__agent__job_request__descriptor, SMALL_MAX,
      bvi_agent_handle_stop_job },
    { BVI_CALL_SKIP_JOB, &bvi__agent__job_request__descriptor, SMALL_MAX,
      bvi_agent_handle_skip_job },
    { BVI_CALL_DELETE_JOB, &bvi__agent__job_request__descriptor, SMALL_MAX,
      bvi_agent_handle_delete_job },
    { BVI_CALL_CLEANUP_JOB, &bvi__agent__job_request__descriptor, SMALL_MAX,
      bvi_agent_handle_cleanup_job },
    { BVI_CALL_STOP_ALL_JOBS, &bvi__agent__empty__descriptor, SMALL_MAX,
      bvi_agent_handle_stop_all_jobs },
    { BVI_CALL_JOB_INFO, &bvi__agent__job_request__descriptor, SMALL_MAX,
      bvi_agent_handle_job_info },
    { BVI_CALL_JOB_TIMEOUT, &bvi__agent__job_request__descriptor, SMALL_MAX,
      bvi_agent_handle_job_timeout },
    { BVI_CALL_JOBS, &bvi__agent__empty__descriptor, SMALL_MAX, bvi_agent_handle_jobs },
    { BVI_CALL_RUN_SH, &bvi__agent__run_sh_request__descriptor, BVI_AGENT_COMMAND_MAX + SMALL_MAX,
      bvi_agent_handle_run_sh },
    { BVI_CALL_RUN_JRPC, &bvi__agent__run_jrpc_request__descriptor, BVI_AGENT_JSON_MAX,
      bvi_agent_handle_run_jrpc },
    { BVI_CALL_RUN_REST, &bvi__agent__run_rest_request__descriptor, BVI_AGENT_JSON_MAX,
      bvi_agent_handle_run_rest },
    { BVI_CALL_FILE_READ, &bvi__agent__file_read_request__descriptor, SMALL_MAX,
      bvi_agent_handle_file_read },
    { BVI_CALL_FILE_WRITE, &bvi__agent__file_write_request__descriptor,
      BVI_AGENT_PIECE_MAX + SMALL_MAX, bvi_agent_handle_file_write },
    { BVI_CALL_RENDER_TEMPLATE, &bvi__agent__render_template_request__descriptor,
      BVI_AGENT_JSON_MAX, bvi_agent_handle_render_template },
    { BVI_CALL_DATA_STAMP, &bvi__agent__empty__descriptor, SMALL_MAX, handle_data_stamp },
};

const bvi_service_method *bvi_agent_methods(size_t *ret_count)
{
    *ret_count = BVI_COUNT(methods);
    return methods;
}

/* ---- starting ---- */

/* Where data is: what the configuration says, or the default. */
static int place_data(bvi_agent_server *agent, bv_error **err)
{
    const char *mount =
        agent->conf.data_mount_point ? agent->conf.data_mount_point : BVI_NODE_DATA_DIR;
    char *dir = bvi_asprintf("%s%s", agent->prefix, mount);
    char *lock = bvi_asprintf("%s%s/.protocol_data.lock", agent->prefix, mount);
    char *archive = bvi_asprintf("%s%s/.babel_jobs", agent->prefix, mount);

    if (!dir || !lock || !archive) {
        bvi_free(dir);
        bvi_free(lock);
        bvi_free(archive);
        return bvi_fail_nomem(err);
    }
    bvi_free(agent->data_dir);
    bvi_free(agent->data_lock);
    bvi_free(agent->archive_dir);
    agent->data_dir = dir;
    agent->data_lock = lock;
    agent->archive_dir = archive;
    return 0;
}

/* The registry, at the place the configuration names; made again when that changed. */
static int place_jobs(bvi_agent_server *agent, bv_error **err)
{
    bvi_auto_free char *before = bvi_take(agent->data_dir);
    int r = place_data(agent, err);

    if (r < 0)
        return r;
    if (agent->jobs && before && strcmp(before, agent->data_dir) == 0)
        return 0;
    bvi_job_manager_free(bvi_take(agent->jobs));
    return bvi_agent_jobs_new(agent, err);
}

int bvi_agent_jobs_startup(bvi_agent_server *agent, bv_error **err)
{
    int r = place_jobs(agent, err);

    return r < 0 ? r : bvi_job_manager_load(agent->jobs, err);
}

/* What an earlier agent left: with a configuration and its RAM disks in place, jobs are supervised
 * at once; otherwise the host has to set the node up first. A damaged file is kept aside and is no
 * reason to stay away. */
static int take_over(bvi_agent_server *agent, bv_error **err)
{
    bvi_auto_error bv_error *why = NULL;
    bool mounted = false;
    int r = bvi_agent_conf_load(&agent->conf, agent->paths.conf, &why);

    if (r == BV_E_NOMEM)
        return bvi_error_move(err, bvi_take(why));
    if (r < 0 && r != BV_E_NOT_FOUND) {
        bvi_auto_free char *text = bvi_error_text(why);

        bvi_log_warn(agent->ctx, "agent", "%s; waiting to be set up",
                     text ? text : "out of memory");
        (void)bvi_fs_quarantine(agent->paths.conf, NULL,
                                NULL); /* the next set-up replaces it anyway */
    }
    if (r < 0)
        return place_jobs(agent, err);
    r = bvi_agent_ramdisks_mounted(&agent->conf, agent->prefix, &mounted, err);
    if (r < 0)
        return r;
    return mounted ? bvi_agent_jobs_startup(agent, err) : place_jobs(agent, err);
}

static int listen_for_host(bvi_agent_server *agent, bv_error **err)
{
    bvi_service_rpc_opts opts = {
        .socket_path = agent->paths.agent_socket,
        .methods = methods,
        .method_count = BVI_COUNT(methods),
        .service = agent,
        .calls_max = BVI_AGENT_CALLS_MAX,
        .self = { .program = "babel", .version = BVI_AGENT_VERSION, .capabilities = capabilities },
    };
    int r = bvi_fs_mkdir(agent->paths.run_dir, 0755, err);

    return r < 0 ? r : bvi_service_rpc_new(agent->ctx, &opts, &agent->service, err);
}

void bvi_agent_server_free(bvi_agent_server *agent)
{
    if (!agent)
        return;
    bvi_service_rpc_free(agent->service);
    bvi_agent_drop_setup(agent);
    bvi_agent_drop_uploads(agent);
    bvi_job_manager_free(agent->jobs);
    bvi_http_free(agent->http);
    bvi_agent_reporter_free(agent->reporter);
    bvi_agent_conf_done(&agent->conf);
    bvi_agent_paths_done(&agent->paths);
    bvi_free(agent->data_dir);
    bvi_free(agent->data_lock);
    bvi_free(agent->archive_dir);
    bvi_free(agent->prefix);
    bvi_free(agent->shell_user);
    bvi_free(agent);
}

static int set_up(bvi_agent_server *agent, const bvi_agent_server_opts *opts, bv_error **err)
{
    int r = bvi_agent_paths_init(&agent->paths, opts->prefix, opts->bundle, err);

    if (r < 0)
        return r;
    agent->prefix = bvi_strdup(opts->prefix);
    agent->shell_user = bvi_strdup(opts->shell_user);
    if (!agent->prefix || (opts->shell_user && !agent->shell_user))
        return bvi_fail_nomem(err);
    agent->hook_timeout_ms = opts->hook_timeout_ms ? opts->hook_timeout_ms : BVI_AGENT_HOOK_MS;
    agent->has_loader = bvi_fs_exists(agent->paths.loader);
    r = bvi_agent_reporter_new(agent->ctx, agent->paths.engine_socket, &agent->reporter, err);
    if (r >= 0)
        r = take_over(agent, err);
    return r < 0 ? r : listen_for_host(agent, err);
}

int bvi_agent_server_new(bv_ctx *ctx, const bvi_agent_server_opts *opts,
                         bvi_agent_server **ret_agent, bv_error **err)
{
    bvi_agent_server *agent = bvi_new0(bvi_agent_server);
    int r;

    if (!agent)
        return bvi_fail_nomem(err);
    agent->ctx = ctx;
    agent->conf = (bvi_agent_conf)BVI_AGENT_CONF_INIT;
    r = set_up(agent, opts, err);
    if (r < 0) {
        bvi_agent_server_free(agent);
        return bvi_wrap(err, r, "cannot start the agent");
    }
    *ret_agent = agent;
    return 0;
}
