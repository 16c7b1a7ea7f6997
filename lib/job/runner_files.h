/*
 * runner_files.h - the files through which a manager and its job runners talk, all in the job's
 * directory.
 *
 *   runner.conf   manager -> runner: what to run. "key=value" records, each ended by a zero byte.
 *   lock          held by the runner (flock) as long as it lives; its content says who the runner
 * is runner.state  runner -> whoever comes next: which processes belong to it, restarts of the last
 * day intent        manager: what the operator asked for last. Outlives everybody events both:
 * notices about the job (not the payload's output), rotated to events.1 message       payload ->
 * runner: why it failed, in its own words (babel_transfer writes it)
 *
 * No JSON, no stdio: the static runner is built from this. Blocking; any thread.
 */
#ifndef BVI_JOB_RUNNER_FILES_H
#define BVI_JOB_RUNNER_FILES_H

#include "base/buf.h"
#include "base/error.h"
#include "base/vec.h"
#include "job/job_backoff.h"
#include "sys/proc.h"

#define BVI_JOB_CONFIG_FILE   "config.json"
#define BVI_JOB_STATUS_FILE   "status.json"
#define BVI_JOB_PROGRESS_FILE "progress.json"
#define BVI_JOB_LOG_FILE      "logs"
#define BVI_RUNNER_CONF_FILE  "runner.conf"
#define BVI_RUNNER_STATE_FILE "runner.state"
#define BVI_RUNNER_LOCK_FILE  "lock"
#define BVI_JOB_INTENT_FILE   "intent"
#define BVI_JOB_EVENTS_FILE   "events"
#define BVI_JOB_EVENTS_OLD    "events.1"
#define BVI_JOB_MESSAGE_FILE  "message"
#define BVI_ONE_TIME_FILE     "one_time" /* in the record directory of a one-time job */

/* The variable that marks every process of a job: "<job>:<instance>:<run>". */
#define BVI_JOB_RUN_VARIABLE "BV_JOB_RUN"

#define BVI_RUNNER_CONF_MAX  (2u * 1024u * 1024u)
#define BVI_RUNNER_STATE_MAX 4096u
#define BVI_RUNNER_ARGS_MAX  1024u
#define BVI_RUNNER_ENV_MAX   4096u
#define BVI_INSTANCE_SIZE    37u /* a uuid */
#define BVI_BOOT_SIZE        64u
#define BVI_EVENTS_FILE_MAX  (128u * 1024u)
#define BVI_EVENT_TEXT_MAX   1024u
#define BVI_EVENTS_MAX       1024u

/* How a runner ends. */
enum {
    BVI_RUNNER_EXIT_OK = 0, /* a final status is written, or it was told to stop */
    BVI_RUNNER_EXIT_USAGE = 64,
    BVI_RUNNER_EXIT_FAILED = 70, /* it could not do its work and could not say so in a status */
    BVI_RUNNER_EXIT_BUSY = 75,   /* another runner of this job lives */
};

/* ---- runner.conf ---- */

typedef BVI_VEC(const char *) bvi_ptrs;

typedef struct bvi_runner_conf {
    char *text; /* what the pointers below point into, when it was parsed; owned */
    const char *name;
    const char *instance;  /* of this job directory: leftovers of another one with the same name are
                              not ours */
    const char *run;       /* of this start of the runner */
    const char *body;      /* payload: sh -c body ... */
    bvi_ptrs args;         /* ... or these arguments */
    bvi_ptrs env;          /* "NAME=value", set for the payload on top of the runner's own */
    const char *run_as;    /* NULL: as the runner */
    const char *data_lock; /* NULL: not touched */
    const char *one_time;  /* record directory; NULL: not a one-time job */
    bool one_time_again;   /* an operator asked for another attempt */
    bool is_restart;       /* the previous runner vanished */
    bool log_timestamp;
    uint64_t log_capacity_bytes;
    uint64_t shutdown_timeout_ms;
    uint64_t shutdown_signal;
    bvi_backoff_config restart;
} bvi_runner_conf;

#define BVI_RUNNER_CONF_INIT                                                                       \
    {                                                                                              \
        .args = BVI_VEC_INIT(BVI_RUNNER_ARGS_MAX), .env = BVI_VEC_INIT(BVI_RUNNER_ENV_MAX)         \
    }

/* Takes over text, which must be followed by a zero byte as bvi_fs_read() leaves it, also on
 * failure. */
int bvi_runner_conf_parse(char *text, size_t len, bvi_runner_conf *conf, bv_error **err);
int bvi_runner_conf_load(int dir_fd, bvi_runner_conf *conf, bv_error **err);
int bvi_runner_conf_save(int dir_fd, const bvi_runner_conf *conf, bv_error **err);
void bvi_runner_conf_done(bvi_runner_conf *conf);

/* ---- runner.state ---- */

typedef struct bvi_runner_state {
    char boot[BVI_BOOT_SIZE]; /* process ids of another boot or container mean nothing */
    bvi_proc_id runner;
    bvi_proc_id payload;        /* pid 0: none */
    bool clean;                 /* the runner ended in order and left no process behind */
    int64_t payload_started_ms; /* wall clock */
    bvi_restarts restarts;
} bvi_runner_state;

int bvi_runner_state_parse(char *text, bvi_runner_state *ret_state,
                           bv_error **err); /* changes text */
int bvi_runner_state_load(int dir_fd, bvi_runner_state *ret_state, bv_error **err);
/* Whole or not at all for whoever reads it later. sync: also after a loss of power, which takes a
 * moment. */
int bvi_runner_state_save(int dir_fd, const bvi_runner_state *state, bool sync, bv_error **err);
/* This boot of the kernel and this pid namespace: "<boot id>/<inode>". */
void bvi_boot_id(char text[BVI_BOOT_SIZE]);

/* ---- lock ---- */

/* BV_E_BUSY when another runner holds it. The fd is close-on-exec. */
int bvi_runner_lock(int dir_fd, int *ret_fd, bv_error **err);
/* Whether a runner lives, and which. A runner that has only just begun may not have signed yet:
 * *ret_id is zero. */
bool bvi_runner_is_locked(int dir_fd, bvi_proc_id *ret_id);

/* ---- intent ---- */

typedef enum bvi_intent {
    BVI_INTENT_NONE, /* no file: a directory made by others */
    BVI_INTENT_RUN,
    BVI_INTENT_STOP,
    BVI_INTENT_SKIP,
} bvi_intent;

/* With "run" goes the id of the one start of a runner that is meant: a runner that a manager
 * started just before it died, and that comes to itself only after the next manager decided
 * otherwise, sees that it is not wanted. run may be NULL: none yet. In load() run takes
 * BVI_INSTANCE_SIZE bytes, or is NULL. */
bvi_intent bvi_intent_load(int dir_fd, char *run);
int bvi_intent_save(int dir_fd, bvi_intent intent, const char *run, bv_error **err);

/* ---- events ---- */

/* Adds one line: when, and a text in which line ends and other control characters become blanks.
 * Best effort. */
void bvi_events_append(int dir_fd, int64_t wall_ms, const char *text);
/* "<local time>| <text>" of the last 24 hours, newest first. */
int bvi_job_events_read(int dir_fd, int64_t wall_ms, bvi_strv *lines, bv_error **err);

#endif
