/*
 * manager_impl.h - what is inside a job manager; for job_manager.c, job_machine.c and job_store.c
 * only.
 *
 *   job_store.c     one job on disk: directory, configuration, status, runner.conf
 *   job_machine.c   one job in time: states x events -> action; its runner's process
 *   job_manager.c   all of them: the public calls, needs and wait_for, loading
 */
#ifndef BVI_JOB_MANAGER_IMPL_H
#define BVI_JOB_MANAGER_IMPL_H

#include "job/job_manager.h"
#include "job/runner_files.h"

typedef enum bvi_jstate {
    BVI_JS_STOPPED,
    BVI_JS_PENDING,  /* waits for other jobs */
    BVI_JS_ACTIVE,   /* a runner lives */
    BVI_JS_WAITING,  /* its runner vanished; another one starts when the back-off is over */
    BVI_JS_STOPPING, /* a runner, or a cleaner, is on its way out; `goal` says what then */
    BVI_JS_FINISHED,
    BVI_JS_RESUME, /* ended by a shutdown; runs again after the next load */
    BVI_JS_COUNT,
} bvi_jstate;

typedef enum bvi_jevent {
    BVI_JE_START,    /* an operator's wish */
    BVI_JE_STOP,     /* likewise: goal STOPPED, SKIPPED, REPLACED or DELETED */
    BVI_JE_SHUTDOWN, /* likewise: goal RESUME */
    BVI_JE_READY,    /* all it needs is done */
    BVI_JE_UNMET,    /* what it needs will never be done */
    BVI_JE_GONE,     /* the watched process ended */
    BVI_JE_DUE,      /* its timer */
    BVI_JE_COUNT,
} bvi_jevent;

typedef enum bvi_goal {
    BVI_GOAL_RESUME, /* weakest first: a stronger wish replaces a weaker one */
    BVI_GOAL_FAILED, /* Finished(null, why) */
    BVI_GOAL_STOPPED,
    BVI_GOAL_SKIPPED,
    BVI_GOAL_REPLACED, /* by `replacement` */
    BVI_GOAL_DELETED,
} bvi_goal;

/* How far a stop is. */
typedef enum bvi_stop_step {
    BVI_STEP_ASKED,
    BVI_STEP_KILLED,
    BVI_STEP_CLEANING,
} bvi_stop_step;

/* Someone to tell. Allocated when the call begins, so telling cannot fail. */
typedef struct bvi_waiter {
    struct bvi_waiter *next;
    bvi_job_done_fn done;
    void *data;
    bv_error *err;
} bvi_waiter;

typedef struct bvi_job {
    bvi_job_manager *manager;
    char *name;
    char *dir;
    int dir_fd;
    char instance[BVI_INSTANCE_SIZE];
    bvi_job_config *config;
    bvi_jstate state;
    bvi_job_status status; /* of an inactive job; time_ms is right for active ones too */
    bvi_goal goal;
    bvi_stop_step step;
    bool force;
    bool again;            /* one-time job: the operator wants another attempt */
    char *why;             /* goal FAILED */
    bvi_json *replacement; /* goal REPLACED: the complete document */
    bvi_proc_id runner;
    bool is_child;   /* ours to reap */
    int exit_status; /* of our child, as from waitpid(); -1: not known */
    int pidfd;
    bvi_watch *watch;
    bvi_timer *timer;
    unsigned looks;      /* for the signature of a runner */
    bool changed;        /* to be reported */
    bool seen;           /* while circles are looked for */
    bvi_backoff backoff; /* of vanishing runners */
    bvi_waiter *waiters;
} bvi_job;

struct bvi_job_manager {
    bv_ctx *ctx;
    bvi_job_manager_opts opts;
    char *jobs_dir;
    char *runner_path;
    char *data_dir;
    char *data_lock;
    bvi_strv env;
    bool has_env;
    bool ready;
    bool shut_down;          /* jobs that ended meanwhile run again after the next load */
    BVI_VEC(bvi_job *) jobs; /* by name */
    bvi_task pass;           /* looks at pending jobs */
    bvi_task tell;           /* calls waiters that are due */
    bvi_waiter *due;
    bvi_waiter **due_end;
};

/* ---- job_store.c ---- */

int bvi_job_new(bvi_job_manager *manager, const char *name, bvi_job **ret_job, bv_error **err);
void bvi_job_free(bvi_job *job); /* not its files; its waiters must be gone */
BVI_DEFINE_FREEP(bvi_job, bvi_job_free)
char *bvi_job_path(const bvi_job *job, const char *name);
/* Makes the directory if need be and puts a stopped job there; the configuration last, for it makes
 * a job of it. */
int bvi_job_install(bvi_job *job, const bvi_json *document, bv_error **err);
int bvi_job_open_dir(bvi_job *job, bv_error **err);
int bvi_job_remove(bvi_job *job, bv_error **err);
/* A status with everything in it, on disk and in memory. On failure memory keeps the old one. */
int bvi_job_put_status(bvi_job *job, bvi_job_state state, bool has_code, int code,
                       const char *message, bv_error **err);
/* *ret_found false: there is none (a damaged one was set aside). */
int bvi_job_get_status(bvi_job *job, bool *ret_found, bv_error **err);
int bvi_job_drop_status(bvi_job *job, bv_error **err);
/* run receives the id of the start it is for. */
int bvi_job_write_conf(bvi_job *job, bool is_restart, char run[BVI_INSTANCE_SIZE], bv_error **err);
/* An earlier runner did not end in order and may have left processes. */
bool bvi_job_is_dirty(const bvi_job *job);
int bvi_job_info(bvi_job *job, bvi_json **ret_info, bv_error **err);

/* ---- job_machine.c ---- */

/* The one way a job changes. err: for the wishes of operators; others report by themselves. */
int bvi_job_handle(bvi_job *job, bvi_jevent event, bv_error **err);
/* STOP with its goal. waiter: taken over on success; told when the goal is reached. */
int bvi_job_want(bvi_job *job, bvi_goal goal, bool force, bvi_waiter *waiter, bv_error **err);
/* UNMET with its reason, which is taken over. */
void bvi_job_fail(bvi_job *job, char *why);
/* What was going on when the last manager ended. */
void bvi_job_restore(bvi_job *job);
bool bvi_job_is_active(const bvi_job *job);
int bvi_job_make_timer(bvi_job *job, bv_error **err); /* before anything else here */
const char *bvi_jstate_name(bvi_jstate state);
/* For the test of the table: 0 ignored, 1 acts, 2 refuses. */
int bvi_job_table(bvi_jstate state, bvi_jevent event);

/* ---- job_manager.c ---- */

void bvi_manager_trouble(bvi_job_manager *manager, const char *job, const char *fmt, ...)
    BV_PRINTF(3, 4);
void bvi_manager_changed(bvi_job *job); /* reports, and looks at pending jobs */
void bvi_manager_tell(bvi_job *job,
                      bv_error *err); /* all its waiters; err is taken over, may be NULL */
void bvi_job_forget(bvi_job *job);    /* out of the registry and freed */
int64_t bvi_manager_wall_ms(const bvi_job_manager *manager);

#endif
