/*
 * agent_jobs.c - the requests about jobs: thin over the registry in job/job_manager.h.
 *
 * The registry validates, persists and supervises; here messages become its calls, and archive jobs
 * get their program.
 */
#include <string.h>
#include <sys/wait.h>

#include "agent/agent_impl.h"
#include "io/child.h"
#include "job/job_manager.h"

#define CLEANUP_OUTPUT_MAX (64u * 1024u)
#define CLEANUP_ARGS_MAX   32u

/* ---- archive jobs: babel_transfer of the bundle, started through the bundle's own loader ---- */

static const char *const archive_verbs[] = {
    [BVI_JOB_DOWNLOAD] = "download",
    [BVI_JOB_UPLOAD] = "upload",
    [BVI_JOB_MULTI_DOWNLOAD] = "download-clients",
    [BVI_JOB_MULTI_UPLOAD] = "upload-clients",
};

/* The loader is not there in tests, whose programs run as they are. The library path is an
 * argument, not an environment variable, so nothing that babel_transfer starts could see it. */
static int add_program(const bvi_agent_server *agent, bvi_strv *argv, bv_error **err)
{
    const char *const through_loader[] = { agent->paths.loader, "--library-path",
                                           agent->paths.libraries };
    int r = 0;

    for (size_t i = 0; agent->has_loader && r >= 0 && i < BVI_COUNT(through_loader); i++)
        r = bvi_strv_add(argv, through_loader[i]);
    if (r >= 0)
        r = bvi_strv_add(argv, agent->paths.transfer);
    return r < 0 ? bvi_fail(err, r, "cannot build the command line of an archive job") : 0;
}

static int add_number(bvi_json *options, const char *key, uint64_t value)
{
    return value ? bvi_json_put_uint64(options, key, value) : 0;
}

static bvi_json *exclude_list(const bvi_job_archive *archive)
{
    bvi_json *list = bvi_json_new_array();

    for (size_t i = 0; list && i < archive->exclude.len; i++) {
        if (bvi_json_add(list, bvi_json_new_string(archive->exclude.items[i])) < 0) {
            bvi_json_free(list);
            return NULL;
        }
    }
    return list;
}

/* The settings that were given, under the names of the job's configuration. */
static int options_text(const bvi_job_archive *archive, char **ret_text, bv_error **err)
{
    bvi_auto_json bvi_json *options = bvi_json_new_object();
    int r = options ? 0 : BV_E_NOMEM;

    if (r >= 0)
        r = add_number(options, "max_connections", archive->max_connections);
    if (r >= 0)
        r = add_number(options, "max_runners", archive->max_runners);
    if (r >= 0)
        r = add_number(options, "number_of_chunks", archive->number_of_chunks);
    if (r >= 0)
        r = add_number(options, "url_expires_secs", archive->url_expires_secs);
    if (r >= 0 && archive->has_data_version)
        r = bvi_json_put_uint64(options, "data_version", archive->data_version);
    if (r >= 0 && archive->exclude.len)
        r = bvi_json_put(options, "exclude", exclude_list(archive));
    if (r >= 0 && archive->has_compression) {
        bvi_json *compression = bvi_json_new_object();

        r = bvi_json_put(options, "compression", compression);
        if (r >= 0)
            r = bvi_json_put_int64(compression, "ZSTD", archive->zstd_level);
    }
    if (r >= 0 && archive->clients)
        r = bvi_json_put(options, "clients", bvi_json_copy(archive->clients));
    return r < 0 ? bvi_fail_nomem(err) : bvi_json_print(options, false, ret_text, err);
}

/* Where the data is; a directory the job names must be on the data drive. */
static int find_data_dir(const bvi_agent_server *agent, const bvi_job_config *config,
                         char **ret_dir, bv_error **err)
{
    const char *mount = agent->conf.data_mount_point;
    const char *dir = config->archive.dir ? config->archive.dir : agent->conf.protocol_data_path;
    size_t len = strlen(mount);

    if (strncmp(dir, mount, len) != 0 || (dir[len] != '/' && dir[len] != '\0'))
        return bvi_fail(err, BV_E_DENIED, "directory '%s' is not below '%s'", dir, mount);
    *ret_dir = bvi_asprintf("%s%s", agent->prefix, dir);
    return *ret_dir ? 0 : bvi_fail_nomem(err);
}

static int add_arguments(const bvi_agent_server *agent, const char *verb, const char *name,
                         const bvi_job_config *config, bvi_strv *argv, bv_error **err)
{
    bvi_auto_free char *job_dir = bvi_asprintf("%s/%s", agent->paths.jobs_dir, name);
    bvi_auto_free char *data_dir = NULL;
    bvi_auto_free char *options = NULL;
    int r = options_text(&config->archive, &options, err);

    if (r >= 0)
        r = find_data_dir(agent, config, &data_dir, err);
    if (r < 0)
        return r;
    if (!job_dir)
        return bvi_fail_nomem(err);
    const char *const pairs[][2] = {
        { "--job-dir", job_dir },
        { "--engine-socket", agent->paths.engine_socket },
        { "--data-dir", data_dir },
        { "--meta-dir", agent->archive_dir },
        { "--data-lock", agent->data_lock },
        { "--options", options },
    };

    r = bvi_strv_add(argv, verb);
    for (size_t i = 0; r >= 0 && i < BVI_COUNT(pairs); i++) {
        r = bvi_strv_add(argv, pairs[i][0]);
        if (r >= 0)
            r = bvi_strv_add(argv, pairs[i][1]);
    }
    return r < 0 ? bvi_fail(err, r, "cannot build the command line of an archive job") : 0;
}

static int archive_argv(const char *name, const bvi_job_config *config, bvi_strv *argv, void *data,
                        bv_error **err)
{
    bvi_agent_server *agent = data;
    const char *verb = config->type < BVI_COUNT(archive_verbs) ? archive_verbs[config->type] : NULL;
    int r;

    if (!verb)
        return bvi_fail(err, BV_E_UNSUPPORTED, "job '%s' of type '%s' is not an archive job", name,
                        bvi_name_of(bvi_job_type_names, config->type));
    r = add_program(agent, argv, err);
    return r < 0 ? r : add_arguments(agent, verb, name, config, argv, err);
}

/* ---- cleanup: the registry says whether and for what, babel_transfer removes its files ---- */

typedef struct cleanup_run {
    bvi_service_call *call; /* NULL: nobody waits, for example when a job was deleted */
    bvi_child *child;
} cleanup_run;

static void on_cleaned(const bvi_child_result *result, void *data)
{
    cleanup_run *run = data;
    bv_error *err = NULL;

    if (result->cancelled || result->timed_out || !WIFEXITED(result->wait_status) ||
        WEXITSTATUS(result->wait_status) != 0) {
        bvi_auto_free char *what = bvi_child_describe(result);

        (void)bvi_fail(&err,
                       result->cancelled   ? BV_E_CANCELLED
                       : result->timed_out ? BV_E_TIMEOUT
                                           : BV_E_REMOTE,
                       "cleanup of the archive job's files %s", what ? what : "failed");
    }
    if (run->call)
        bvi_service_end(run->call, err);
    else
        bv_error_free(err);
    bvi_free(run);
}

static void cleanup_cancel(void *data)
{
    cleanup_run *run = data;

    bvi_child_cancel(run->child);
}

static int run_cleanup(bvi_agent_server *agent, const bvi_strv *argv, bv_error **err)
{
    bvi_service_call *call = agent->cleanup_call;
    bvi_auto_free const char **array = bvi_new_array(const char *, argv->len + 1);
    cleanup_run *run = array ? bvi_new0(cleanup_run) : NULL;
    bvi_child_opts opts = {
        .argv = array,
        .max_output = CLEANUP_OUTPUT_MAX,
        .timeout_us =
            (call ? bvi_service_timeout_ms(call, BVI_AGENT_TIMEOUT_MS) : BVI_AGENT_TIMEOUT_MS) *
            1000,
    };
    int r;

    if (!run)
        return bvi_fail_nomem(err);
    memcpy(array, argv->items, argv->len * sizeof(*array));
    r = bvi_child_run(agent->ctx, &opts, on_cleaned, run, &run->child, err);
    if (r < 0) {
        bvi_free(run);
        return r;
    }
    run->call = bvi_take(agent->cleanup_call);
    if (run->call)
        bvi_service_on_cancel(run->call, cleanup_cancel, run);
    return 0;
}

/* Called by the registry, from inside bvi_job_manager_cleanup() among others. Takes the call that
 * asked, if any. */
static int archive_cleanup(const char *name, const bvi_job_config *config, void *data,
                           bv_error **err)
{
    bvi_agent_server *agent = data;
    bvi_strv argv = BVI_VEC_INIT(CLEANUP_ARGS_MAX);
    int r = add_program(agent, &argv, err);

    if (r >= 0)
        r = add_arguments(agent, "cleanup", name, config, &argv, err);
    if (r >= 0)
        r = run_cleanup(agent, &argv, err);
    bvi_strv_done(&argv);
    return r;
}

void bvi_agent_handle_cleanup_job(bvi_service_call *call, const ProtobufCMessage *message,
                                  void *service)
{
    const Bvi__Agent__JobRequest *request = (const Bvi__Agent__JobRequest *)message;
    bvi_agent_server *agent = service;
    bv_error *err = NULL;

    agent->cleanup_call = call;
    (void)bvi_job_manager_cleanup(agent->jobs, request->name, &err); /* err tells */
    if (agent->cleanup_call)
        bvi_service_end(bvi_take(agent->cleanup_call), err);
    else
        bv_error_free(err); /* babel_transfer is at it and will answer */
}

/* ---- the registry's life ---- */

static void on_trouble(const char *text, void *data)
{
    bvi_agent_server *agent = data;

    bvi_log_error(agent->ctx, "agent", "%s", text);
    bvi_agent_report(agent, text);
}

int bvi_agent_jobs_new(bvi_agent_server *agent, bv_error **err)
{
    bvi_job_manager_opts opts = {
        .jobs_dir = agent->paths.jobs_dir,
        .runner_path = agent->paths.runner,
        .data_dir = agent->data_dir,
        .data_lock = agent->data_lock,
        .archive_argv = archive_argv,
        .archive_cleanup = archive_cleanup,
        .on_trouble = on_trouble,
        .data = agent,
    };

    return bvi_job_manager_new(agent->ctx, &opts, &agent->jobs, err);
}

/* ---- requests ---- */

static void on_job_done(const bv_error *err, void *data)
{
    bvi_service_end(data, err ? bvi_error_copy(err) : NULL);
}

/* What the registry answered at once, if it refused; else on_job_done() answers. A caller that goes
 * away does not stop what it asked for: these calls are about the job, not about the caller. */
static void began(bvi_service_call *call, int r, bv_error *err)
{
    if (r < 0)
        bvi_service_fail(call, err);
}

static int create(bvi_agent_server *agent, bvi_service_call *call,
                  const Bvi__Agent__CreateJobRequest *request, bv_error **err)
{
    bvi_auto_json bvi_json *config = NULL;
    int r = bvi_json_parse(request->config_json, strlen(request->config_json), &config, err);

    if (r < 0)
        return bvi_wrap(err, r, "configuration of job '%.128s'", request->name);
    return bvi_job_manager_create(agent->jobs, request->name, config, on_job_done, call, err);
}

void bvi_agent_handle_create_job(bvi_service_call *call, const ProtobufCMessage *message,
                                 void *service)
{
    bv_error *err = NULL;
    int r = create(service, call, (const Bvi__Agent__CreateJobRequest *)message, &err);

    began(call, r, err);
}

void bvi_agent_handle_start_job(bvi_service_call *call, const ProtobufCMessage *message,
                                void *service)
{
    const Bvi__Agent__JobRequest *request = (const Bvi__Agent__JobRequest *)message;
    bvi_agent_server *agent = service;
    bv_error *err = NULL;

    (void)bvi_job_manager_start(agent->jobs, request->name, &err); /* err tells */
    bvi_service_end(call, err);
}

void bvi_agent_handle_stop_job(bvi_service_call *call, const ProtobufCMessage *message,
                               void *service)
{
    const Bvi__Agent__JobRequest *request = (const Bvi__Agent__JobRequest *)message;
    bvi_agent_server *agent = service;
    bv_error *err = NULL;
    int r = bvi_job_manager_stop(agent->jobs, request->name, on_job_done, call, &err);

    began(call, r, err);
}

void bvi_agent_handle_skip_job(bvi_service_call *call, const ProtobufCMessage *message,
                               void *service)
{
    const Bvi__Agent__JobRequest *request = (const Bvi__Agent__JobRequest *)message;
    bvi_agent_server *agent = service;
    bv_error *err = NULL;
    int r = bvi_job_manager_skip(agent->jobs, request->name, on_job_done, call, &err);

    began(call, r, err);
}

void bvi_agent_handle_delete_job(bvi_service_call *call, const ProtobufCMessage *message,
                                 void *service)
{
    const Bvi__Agent__JobRequest *request = (const Bvi__Agent__JobRequest *)message;
    bvi_agent_server *agent = service;
    bv_error *err = NULL;
    int r = bvi_job_manager_delete(agent->jobs, request->name, on_job_done, call, &err);

    began(call, r, err);
}

void bvi_agent_handle_stop_all_jobs(bvi_service_call *call, const ProtobufCMessage *message,
                                    void *service)
{
    bvi_agent_server *agent = service;
    bv_error *err = NULL;
    int r = bvi_job_manager_stop_all(agent->jobs, on_job_done, call, &err);

    began(call, r, err);
}

void bvi_agent_handle_shutdown(bvi_service_call *call, const ProtobufCMessage *message,
                               void *service)
{
    const Bvi__Agent__ShutdownRequest *request = (const Bvi__Agent__ShutdownRequest *)message;
    bvi_agent_server *agent = service;
    bv_error *err = NULL;
    int r = bvi_job_manager_shutdown(agent->jobs, request->force, on_job_done, call, &err);

    began(call, r, err);
}

static void reply_json(bvi_service_call *call, bvi_json *json, bv_error *err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(BVI_AGENT_INFOS_MAX);
    bvi_auto_free char *text = NULL;
    int r = err ? bv_error_code(err) : bvi_json_print(json, false, &text, &err);

    if (r >= 0) {
        r = bvi_buf_append_str(&out, text);
        if (r < 0)
            (void)bvi_fail(&err, r, "the job infos of this node do not fit into %u bytes",
                           BVI_AGENT_INFOS_MAX);
    }
    bvi_json_free(json);
    if (err)
        bvi_service_fail(call, err);
    else
        bvi_service_reply_bulk(call, &out, NULL, 0, false);
}

void bvi_agent_handle_job_info(bvi_service_call *call, const ProtobufCMessage *message,
                               void *service)
{
    const Bvi__Agent__JobRequest *request = (const Bvi__Agent__JobRequest *)message;
    bvi_agent_server *agent = service;
    bvi_json *info = NULL;
    bv_error *err = NULL;

    (void)bvi_job_manager_info(agent->jobs, request->name, &info, &err); /* err tells */
    reply_json(call, info, err);
}

void bvi_agent_handle_jobs(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    bvi_agent_server *agent = service;
    bvi_json *infos = NULL;
    bv_error *err = NULL;

    (void)bvi_job_manager_list(agent->jobs, &infos, &err); /* err tells */
    reply_json(call, infos, err);
}

static void reply_ms(bvi_service_call *call, int64_t ms)
{
    Bvi__Agent__DurationReply reply = BVI__AGENT__DURATION_REPLY__INIT;

    reply.ms = ms > 0 ? (uint64_t)ms : 0;
    bvi_service_reply(call, &reply.base);
}

void bvi_agent_handle_job_timeout(bvi_service_call *call, const ProtobufCMessage *message,
                                  void *service)
{
    const Bvi__Agent__JobRequest *request = (const Bvi__Agent__JobRequest *)message;
    bvi_agent_server *agent = service;

    reply_ms(call, bvi_job_manager_timeout_ms(agent->jobs, request->name));
}

void bvi_agent_handle_jobs_timeout(bvi_service_call *call, const ProtobufCMessage *message,
                                   void *service)
{
    bvi_agent_server *agent = service;

    reply_ms(call, bvi_job_manager_active_timeout_ms(agent->jobs));
}
