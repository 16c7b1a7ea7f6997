/*
 * job_manager.h - the jobs of one node: a registry over the jobs directory, and the runners'
 * supervisor.
 *
 * The agent has one. It can be killed at any moment: each change of state is on disk before it is
 * acted upon, runners are processes of their own, and bvi_job_manager_load() finds everything again
 * (runners by the lock they hold, by pid and start time; never by a command line). Nothing here
 * needs a container: tests run it on plain directories.
 *
 *     bvi_job_manager_new(ctx, &opts, &manager, &err);   nothing runs yet
 *     bvi_job_manager_load(manager, &err);               reads the directory, re-attaches, starts
 * what is due bvi_job_manager_start(manager, "svc", &err); bvi_job_manager_stop(manager, "svc",
 * on_stopped, data, &err); bvi_job_manager_free(manager);                     runners go on
 *
 * Functions with a bvi_job_done_fn return 0 when they began, and then call `done` exactly once from
 * dispatch (with BV_E_CANCELLED when the manager is freed before). When they return an error,
 * `done` is not called. All jobs are handled at the same time: a slow stop of one delays no other.
 * Asking again for what is already under way is fine.
 *
 * Files of a job, in <jobs_dir>/<name>/: config.json, status.json, progress.json, logs, logs.1,
 * logs.2 as upstream has them; runner.conf, runner.state, lock, intent, events, events.1, message
 * are ours (see runner_files.h).
 */
#ifndef BVI_JOB_JOB_MANAGER_H
#define BVI_JOB_JOB_MANAGER_H

#include "base/json.h"
#include "base/vec.h"
#include "io/loop.h"
#include "job/job_config.h"
#include "job/job_status.h"

#define BVI_JOB_LIMIT_DEFAULT 128u
#define BVI_JOB_LIMIT_MAX     4096u
/* Added to a job's own shutdown timeout before its runner is killed. */
#define BVI_JOB_STOP_MARGIN_MS 10000

typedef struct bvi_job_manager bvi_job_manager;

/* err: NULL on success; valid during the call. */
typedef void (*bvi_job_done_fn)(const bv_error *err, void *data);

typedef struct bvi_job_manager_opts {
    const char *jobs_dir;    /* made when missing */
    const char *runner_path; /* babel_job_runner */
    const char
        *data_dir; /* the data mount point: one-time records go to <data_dir>/.babel_jobs/<job> */
    const char *data_lock;  /* touched when a use_protocol_data job starts */
    const char *const *env; /* of runners and payloads; NULL: ours */
    uint32_t job_limit;     /* 0: BVI_JOB_LIMIT_DEFAULT */
    /* The program of an archive job. Adds its arguments to argv. NULL: archive jobs are refused. */
    int (*archive_argv)(const char *name, const bvi_job_config *config, bvi_strv *argv, void *data,
                        bv_error **err);
    /* Removes what an archive job keeps besides its data (babel.md 8.4, cleanup). NULL: nothing to
     * do. */
    int (*archive_cleanup)(const char *name, const bvi_job_config *config, void *data,
                           bv_error **err);
    /* A job changed its state. From dispatch. Optional. */
    void (*on_change)(const char *name, const bvi_job_status *status, void *data);
    /* Something a person should look at (upstream: bv_error). One line. Optional. From anywhere, so
     * it may not call the manager. */
    void (*on_trouble)(const char *text, void *data);
    void *data;
} bvi_job_manager_opts;

int bvi_job_manager_new(bv_ctx *ctx, const bvi_job_manager_opts *opts,
                        bvi_job_manager **ret_manager, bv_error **err);
/* Outstanding calls complete with BV_E_CANCELLED, from here. Runners and payloads go on. */
void bvi_job_manager_free(bvi_job_manager *manager);
BVI_DEFINE_FREEP(bvi_job_manager, bvi_job_manager_free)

/* Becomes ready: reads the directory (a damaged config is set aside and reported, the others are
 * loaded), re-attaches to living runners, goes on with what was under way, starts what should run.
 * Called again while ready it does nothing; after a shutdown it starts the jobs again. */
int bvi_job_manager_load(bvi_job_manager *manager, bv_error **err);
bool bvi_job_manager_is_ready(const bvi_job_manager *manager);
/* New environment for runners started from now on; NULL: ours. */
int bvi_job_manager_set_env(bvi_job_manager *manager, const char *const *env, bv_error **err);

/* config: babel.md 6.1, copied. Replaces a job of that name, which is stopped first. A new job is
 * Stopped. BV_E_INVALID (name, config, or a circle of needs and wait_for), BV_E_LIMIT (too many
 * jobs), BV_E_BUSY. */
int bvi_job_manager_create(bvi_job_manager *manager, const char *name, const bvi_json *config,
                           bvi_job_done_fn done, void *data, bv_error **err);
/* On disk when it returns; the job starts when what it needs is done. An active job: success.
 * BV_E_NOT_FOUND, BV_E_STATE (not ready), BV_E_BUSY (it is being stopped). */
int bvi_job_manager_start(bvi_job_manager *manager, const char *name, bv_error **err);
int bvi_job_manager_stop(bvi_job_manager *manager, const char *name, bvi_job_done_fn done,
                         void *data, bv_error **err);
/* Stopped if need be, then Finished(0, "Skipped"), so jobs that need it start. */
int bvi_job_manager_skip(bvi_job_manager *manager, const char *name, bvi_job_done_fn done,
                         void *data, bv_error **err);
/* Stopped if need be, then gone with its directory. */
int bvi_job_manager_delete(bvi_job_manager *manager, const char *name, bvi_job_done_fn done,
                           void *data, bv_error **err);
/* Inactive jobs only: BV_E_STATE otherwise. */
int bvi_job_manager_cleanup(bvi_job_manager *manager, const char *name, bv_error **err);
/* All at the same time; `done` comes when all ended, with the first error. */
int bvi_job_manager_stop_all(bvi_job_manager *manager, bvi_job_done_fn done, void *data,
                             bv_error **err);
/* The node stops: active jobs are stopped without changing what they should do, so they run again
 * after the next load. No job starts until then. force: processes are killed at once. */
int bvi_job_manager_shutdown(bvi_job_manager *manager, bool force, bvi_job_done_fn done, void *data,
                             bv_error **err);

/* One JobInfo (babel.md 6.7); the timestamp as {"secs_since_epoch", "nanos_since_epoch"}.
 * BV_E_NOT_FOUND. */
int bvi_job_manager_info(bvi_job_manager *manager, const char *name, bvi_json **ret_info,
                         bv_error **err);
/* An object of name -> JobInfo. */
int bvi_job_manager_list(bvi_job_manager *manager, bvi_json **ret_infos, bv_error **err);

/* How long a stop may take, margin not included: 0 for an unknown or inactive job; for all, the
 * longest, because they are stopped together. */
int64_t bvi_job_manager_timeout_ms(const bvi_job_manager *manager, const char *name);
int64_t bvi_job_manager_active_timeout_ms(const bvi_job_manager *manager);

#endif
