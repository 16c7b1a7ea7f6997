/*
 * agent_impl.h - what the files of the agent share. Not for anybody else.
 */
#ifndef BVI_AGENT_AGENT_IMPL_H
#define BVI_AGENT_AGENT_IMPL_H

#include "agent.pb-c.h"
#include "agent/agent_server.h"
#include "agent/conf.h"
#include "agent/limits.h"
#include "agent/service.h"
#include "agent/service_rpc.h"
#include "job/job_manager.h"
#include "net/http.h"

typedef struct bvi_file_upload bvi_file_upload;
typedef struct bvi_agent_setup_run bvi_agent_setup_run;
typedef struct bvi_agent_reporter bvi_agent_reporter;

struct bvi_agent_server {
    bv_ctx *ctx;
    bvi_agent_paths paths;
    char *prefix;
    char *shell_user; /* NULL: none */
    int64_t hook_timeout_ms;
    bool has_loader;     /* the bundle has one: programs are started through it */
    bvi_agent_conf conf; /* empty before the first set-up */
    bvi_job_manager *jobs;
    char *data_dir; /* as `jobs` was made with: prefix and conf applied */
    char *data_lock;
    char *archive_dir;
    bvi_service_rpc *service;
    bvi_http *http; /* made when first needed */
    bvi_agent_reporter *reporter;
    bvi_agent_setup_run *setup; /* under way, or NULL */
    bvi_file_upload *uploads;
    unsigned upload_count;
    bvi_service_call *cleanup_call; /* during bvi_job_manager_cleanup() */
};

/* agent_server.c: the table of requests, also for tests that look at it without an agent. */
const bvi_service_method *bvi_agent_methods(size_t *ret_count);

/* agent_setup.c: after preparation, with agent->conf in place. */
int bvi_agent_jobs_startup(bvi_agent_server *agent, bv_error **err);
void bvi_agent_drop_setup(bvi_agent_server *agent);

/* agent_jobs.c */
int bvi_agent_jobs_new(bvi_agent_server *agent, bv_error **err);

/* agent_files.c: gives up all writes under way. */
void bvi_agent_drop_uploads(bvi_agent_server *agent);

/* agent_report.c: tells the host what a person should see; best effort, bounded, never waits. */
int bvi_agent_reporter_new(bv_ctx *ctx, const char *engine_socket,
                           bvi_agent_reporter **ret_reporter, bv_error **err);
void bvi_agent_reporter_free(bvi_agent_reporter *reporter);
void bvi_agent_report(bvi_agent_server *agent, const char *text);

/* Handlers, one for each method of agent_server.c's table. */
typedef void bvi_agent_handler(bvi_service_call *call, const ProtobufCMessage *message,
                               void *service);

bvi_agent_handler bvi_agent_handle_setup;
bvi_agent_handler bvi_agent_handle_shutdown;
bvi_agent_handler bvi_agent_handle_create_job;
bvi_agent_handler bvi_agent_handle_start_job;
bvi_agent_handler bvi_agent_handle_stop_job;
bvi_agent_handler bvi_agent_handle_skip_job;
bvi_agent_handler bvi_agent_handle_delete_job;
bvi_agent_handler bvi_agent_handle_stop_all_jobs;
bvi_agent_handler bvi_agent_handle_cleanup_job;
bvi_agent_handler bvi_agent_handle_job_info;
bvi_agent_handler bvi_agent_handle_jobs;
bvi_agent_handler bvi_agent_handle_job_timeout;
bvi_agent_handler bvi_agent_handle_jobs_timeout;
bvi_agent_handler bvi_agent_handle_run_sh;
bvi_agent_handler bvi_agent_handle_run_jrpc;
bvi_agent_handler bvi_agent_handle_run_rest;
bvi_agent_handler bvi_agent_handle_file_read;
bvi_agent_handler bvi_agent_handle_file_write;
bvi_agent_handler bvi_agent_handle_render_template;

#endif
