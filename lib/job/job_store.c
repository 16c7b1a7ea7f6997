/*
 * job_store.c - one job on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "job/manager_impl.h"
#include "sys/fs.h"

int64_t bvi_manager_wall_ms(const bvi_job_manager *manager)
{
    return bvi_ctx_wall_us(manager->ctx) / 1000;
}

char *bvi_job_path(const bvi_job *job, const char *name)
{
    return bvi_path_join(job->dir, name, NULL);
}

int bvi_job_new(bvi_job_manager *manager, const char *name, bvi_job **ret_job, bv_error **err)
{
    BVI_AUTO(bvi_job_freep) bvi_job *job = bvi_new0(bvi_job);

    if (!job)
        return bvi_fail_nomem(err);
    job->manager = manager;
    job->dir_fd = job->pidfd = job->exit_status = -1;
    job->status = (bvi_job_status)BVI_JOB_STATUS_INIT;
    job->name = bvi_strdup(name);
    job->dir = bvi_path_join(manager->jobs_dir, name, NULL);
    if (!job->name || !job->dir)
        return bvi_fail_nomem(err);
    *ret_job = bvi_take(job);
    return 0;
}

void bvi_job_free(bvi_job *job)
{
    if (!job)
        return;
    bvi_watch_free(job->watch);
    bvi_timer_free(job->timer);
    bvi_closep(&job->pidfd);
    bvi_closep(&job->dir_fd);
    bvi_job_status_done(&job->status);
    bvi_job_config_free(job->config);
    bvi_json_free(job->replacement);
    bvi_free(job->why);
    bvi_free(job->name);
    bvi_free(job->dir);
    bvi_free(job);
}

/* The instance marks this job's processes; it lives as long as the directory. */
static int find_instance(bvi_job *job, bv_error **err)
{
    bvi_runner_conf conf = BVI_RUNNER_CONF_INIT;
    int r = bvi_runner_conf_load(job->dir_fd, &conf, NULL);

    if (r == 0 && strlen(conf.instance) < sizeof(job->instance)) {
        memcpy(job->instance, conf.instance, strlen(conf.instance) + 1);
    } else {
        r = bvi_id_new(job->instance, err);
    }
    bvi_runner_conf_done(&conf);
    return r;
}

int bvi_job_open_dir(bvi_job *job, bv_error **err)
{
    if (job->dir_fd >= 0)
        return 0;
    job->dir_fd = open(job->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (job->dir_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open the job directory '%s'", job->dir);
    return find_instance(job, err);
}

int bvi_job_install(bvi_job *job, const bvi_json *document, bv_error **err)
{
    BVI_AUTO(bvi_job_config_freep) bvi_job_config *config = NULL;
    bvi_auto_free char *path = bvi_job_path(job, BVI_JOB_CONFIG_FILE);
    int r = path ? bvi_job_config_parse(document, &config, err) : bvi_fail_nomem(err);

    if (r == 0)
        r = bvi_fs_mkdir(job->dir, 0755, err);
    if (r == 0)
        r = bvi_job_open_dir(job, err);
    if (r == 0)
        r = bvi_intent_save(job->dir_fd, BVI_INTENT_STOP, NULL, err);
    if (r == 0)
        r = bvi_job_put_status(job, BVI_JOB_STOPPED, false, 0, NULL, err);
    if (r == 0)
        r = bvi_fs_replace_json(path, document, 0644, err);
    if (r == 0)
        r = bvi_fs_sync_dir(job->manager->jobs_dir, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot keep job '%s'", job->name);
    bvi_job_config_free(job->config);
    job->config = bvi_take(config);
    return 0;
}

int bvi_job_remove(bvi_job *job, bv_error **err)
{
    char id[BVI_ID_TEXT_SIZE];
    bvi_auto_free char *name = NULL;
    bvi_auto_free char *path = NULL;
    int r = bvi_id_new(id, err);

    if (r < 0)
        return r;
    /* A name no job can have: what is left of it after a crash goes at the next load. */
    name = bvi_asprintf(".deleted-%s", id);
    path = name ? bvi_path_join(job->manager->jobs_dir, name, NULL) : NULL;
    if (!path)
        return bvi_fail_nomem(err);
    r = bvi_fs_rename(job->dir, path, err);
    if (r == 0)
        r = bvi_fs_remove_tree(path, err);
    return r < 0 ? bvi_wrap(err, r, "cannot delete job '%s'", job->name) : 0;
}

/* ---- status ---- */

static int add_names(bvi_strv *to, const bvi_strv *from)
{
    int r = 0;

    for (size_t i = 0; i < from->len && r == 0; i++)
        r = bvi_strv_add(to, from->items[i]);
    return r;
}

int bvi_job_put_status(bvi_job *job, bvi_job_state state, bool has_code, int code,
                       const char *message, bv_error **err)
{
    BVI_AUTO(bvi_job_status_done) bvi_job_status status = BVI_JOB_STATUS_INIT;
    bvi_auto_free char *path = bvi_job_path(job, BVI_JOB_STATUS_FILE);
    int r = 0;

    status.state = state;
    status.has_exit_code = has_code;
    status.exit_code = code;
    status.time_ms = bvi_manager_wall_ms(job->manager);
    if (message)
        status.message = bvi_strdup(message);
    if (state == BVI_JOB_PENDING) {
        r = add_names(&status.waiting_for, &job->config->needs);
        if (r == 0)
            r = add_names(&status.waiting_for, &job->config->wait_for);
    }
    if (r < 0 || !path || (message && !status.message))
        return bvi_fail_nomem(err);
    r = bvi_job_status_save(path, &status, err);
    if (r < 0)
        return r;
    bvi_job_status_done(&job->status);
    job->status = status;
    status = (bvi_job_status)BVI_JOB_STATUS_INIT;
    return 0;
}

int bvi_job_get_status(bvi_job *job, bool *ret_found, bv_error **err)
{
    BVI_AUTO(bvi_job_status_done) bvi_job_status status = BVI_JOB_STATUS_INIT;
    bvi_auto_free char *path = bvi_job_path(job, BVI_JOB_STATUS_FILE);
    bvi_auto_error bv_error *why = NULL;
    int r = path ? bvi_job_status_load(path, &status, &why) : bvi_fail_nomem(err);

    if (!path)
        return r;
    *ret_found = r == 0;
    if (r == BV_E_NOT_FOUND)
        return 0;
    if (r == BV_E_FORMAT || r == BV_E_LIMIT) {
        bvi_auto_free char *text = bvi_error_text(why);

        bvi_manager_trouble(job->manager, job->name,
                            "the status of job '%s' is damaged and was set aside: %s", job->name,
                            text ? text : "");
        return bvi_fs_quarantine(path, NULL, err);
    }
    if (r < 0)
        return bvi_error_move(err, bvi_take(why));
    bvi_job_status_done(&job->status);
    job->status = status;
    status = (bvi_job_status)BVI_JOB_STATUS_INIT;
    return 0;
}

int bvi_job_drop_status(bvi_job *job, bv_error **err)
{
    if (unlinkat(job->dir_fd, BVI_JOB_STATUS_FILE, 0) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot remove the status of job '%s'", job->name);
    if (fsync(job->dir_fd) < 0)
        return bvi_fail_sys(err, errno, "cannot sync the directory of job '%s'", job->name);
    return 0;
}

bool bvi_job_is_dirty(const bvi_job *job)
{
    bvi_runner_state state = { 0 };
    char boot[BVI_BOOT_SIZE];
    int r = bvi_runner_state_load(job->dir_fd, &state, NULL);

    bvi_boot_id(boot);
    if (r == BV_E_NOT_FOUND)
        return false; /* it is written before a payload may begin */
    return r < 0 || (!state.clean && strcmp(state.boot, boot) == 0);
}

/* ---- runner.conf ---- */

static int add_pointers(bvi_ptrs *to, const bvi_strv *from)
{
    for (size_t i = 0; i < from->len; i++) {
        const char **slot = bvi_vec_push(to);

        if (!slot)
            return BV_E_NOMEM;
        *slot = from->items[i];
    }
    return 0;
}

static int find_payload(bvi_job *job, bvi_strv *argv, bvi_runner_conf *conf, bv_error **err)
{
    bvi_job_manager *m = job->manager;
    int r;

    if (job->config->type == BVI_JOB_RUN_SH) {
        conf->body = job->config->body;
        return 0;
    }
    if (!m->opts.archive_argv)
        return bvi_fail(err, BV_E_UNSUPPORTED, "archive jobs are not available here");
    r = m->opts.archive_argv(job->name, job->config, argv, m->opts.data, err);
    if (r < 0)
        return r;
    return add_pointers(&conf->args, argv) < 0 ? bvi_fail_nomem(err) : 0;
}

static int fill_conf(bvi_job *job, bvi_strv *argv, char **ret_record, bvi_runner_conf *conf,
                     bv_error **err)
{
    const bvi_job_config *c = job->config;
    bvi_job_manager *m = job->manager;

    conf->name = job->name;
    conf->instance = job->instance;
    conf->run_as = c->run_as;
    conf->restart = c->restart;
    conf->shutdown_signal = (uint64_t)c->shutdown_signal;
    conf->shutdown_timeout_ms = (uint64_t)c->shutdown_timeout_secs * 1000;
    conf->log_capacity_bytes = (uint64_t)c->log_buffer_capacity_mb * 1000000;
    conf->log_timestamp = c->log_timestamp;
    conf->data_lock = c->use_protocol_data ? m->data_lock : NULL;
    if (c->one_time) {
        *ret_record = bvi_path_join(m->data_dir, ".babel_jobs", job->name, NULL);
        if (!*ret_record)
            return bvi_fail_nomem(err);
        conf->one_time = *ret_record;
        conf->one_time_again = job->again;
    }
    return find_payload(job, argv, conf, err);
}

int bvi_job_write_conf(bvi_job *job, bool is_restart, char run[BVI_INSTANCE_SIZE], bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv argv = BVI_VEC_INIT(BVI_RUNNER_ARGS_MAX);
    BVI_AUTO(bvi_runner_conf_done) bvi_runner_conf conf = BVI_RUNNER_CONF_INIT;
    bvi_auto_free char *record = NULL;
    int r = bvi_id_new(run, err);

    conf.run = run;
    conf.is_restart = is_restart;
    if (r == 0)
        r = fill_conf(job, &argv, &record, &conf, err);
    return r < 0 ? r : bvi_runner_conf_save(job->dir_fd, &conf, err);
}

/* ---- job info ---- */

static bvi_json *timestamp_to_json(int64_t ms)
{
    bvi_auto_json bvi_json *object = bvi_json_new_object();

    if (!object || bvi_json_put_int64(object, "secs_since_epoch", ms / 1000) < 0 ||
        bvi_json_put_int64(object, "nanos_since_epoch", ms % 1000 * 1000000) < 0)
        return NULL;
    return bvi_take(object);
}

static bvi_json *status_to_json(const bvi_job *job)
{
    bvi_job_status running = { .state = BVI_JOB_RUNNING };
    bvi_json *node = NULL;

    if (bvi_job_status_to_json(bvi_job_is_active(job) ? &running : &job->status, &node, NULL) < 0)
        return NULL;
    return node;
}

/* null on any error, as upstream. */
static bvi_json *progress_to_json(const bvi_job *job)
{
    BVI_AUTO(bvi_job_progress_done) bvi_job_progress progress = { 0 };
    bvi_auto_free char *path = bvi_job_path(job, BVI_JOB_PROGRESS_FILE);
    bvi_json *node = NULL;

    if (!path || bvi_job_progress_load(path, &progress, NULL) < 0 ||
        bvi_job_progress_to_json(&progress, &node, NULL) < 0)
        return bvi_json_new_null();
    return node;
}

static bvi_json *logs_to_json(const bvi_job *job, int64_t now_ms)
{
    BVI_AUTO(bvi_strv_done) bvi_strv lines = BVI_VEC_INIT(BVI_EVENTS_MAX);
    bvi_auto_json bvi_json *array = bvi_json_new_array();

    /* Without events an info is still worth having. */
    (void)bvi_job_events_read(job->dir_fd, now_ms, &lines, NULL);
    for (size_t i = 0; i < lines.len; i++) {
        if (!array || bvi_json_add(array, bvi_json_new_string(lines.items[i])) < 0)
            return NULL;
    }
    return bvi_take(array);
}

int bvi_job_info(bvi_job *job, bvi_json **ret_info, bv_error **err)
{
    int64_t now_ms = bvi_manager_wall_ms(job->manager);
    bvi_auto_json bvi_json *info = bvi_json_new_object();
    bvi_runner_state state = { 0 };
    int r = info ? 0 : BV_E_NOMEM;

    (void)bvi_runner_state_load(job->dir_fd, &state, NULL); /* none: no restarts */
    if (r == 0)
        r = bvi_json_put(info, "status", status_to_json(job));
    if (r == 0)
        r = bvi_json_put(info, "timestamp", timestamp_to_json(job->status.time_ms));
    if (r == 0)
        r = bvi_json_put(info, "progress", progress_to_json(job));
    if (r == 0)
        r = bvi_json_put_uint64(info, "restart_count",
                                bvi_restarts_count(&state.restarts, now_ms, 24));
    if (r == 0)
        r = bvi_json_put(info, "logs", logs_to_json(job, now_ms));
    if (r == 0)
        r = bvi_json_put_bool(info, "upgrade_blocking", bvi_job_config_blocks_upgrade(job->config));
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret_info = bvi_take(info);
    return 0;
}
