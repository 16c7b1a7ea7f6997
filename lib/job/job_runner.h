/*
 * job_runner.h - the process that looks after one job: babel.md chapter 9 with the weaknesses of
 * chapter 13 repaired.
 *
 *     babel_job_runner <job directory> --run ID   runs the job of its runner.conf until it is final
 * or stopped, if the intent file still asks for this very run babel_job_runner <job directory>
 * --clean    only ends what an earlier runner left behind babel_job_runner <job directory> --kill
 * the same without giving it time
 *
 * One per active job, detached, statically linked and small, because there are many. All it knows
 * comes from files and all it knows goes into files (runner_files.h), so manager and agent may be
 * replaced or killed at any moment.
 *
 * Signals: SIGTERM, SIGINT, SIGHUP stop the job (its signal, its time, then SIGKILL for every
 * process) and end the runner without a status: what "stopped" means is the manager's business.
 * SIGQUIT does the same without waiting.
 */
#ifndef BVI_JOB_JOB_RUNNER_H
#define BVI_JOB_JOB_RUNNER_H

#include "job/job_log.h"
#include "job/runner_files.h"
#include "job/runner_payload.h"
#include "job/runner_record.h"

/* One read from a pipe; not more than a line may have, so that lines of one read need no cutting.
 */
#define BVI_RUNNER_CHUNK BVI_JOB_LINE_MAX

/* What one run of the payload came to. */
typedef struct bvi_job_outcome {
    bool has_code;
    int code;
    bool final; /* trying again cannot help */
    bool said;  /* the message is the payload's own */
    char message[BVI_RUNNER_MESSAGE_MAX];
} bvi_job_outcome;

typedef struct bvi_job_runner {
    int dir_fd;
    int lock_fd;
    int signal_fd;
    bool stop;       /* somebody wants the job to stop */
    bool force;      /* at once */
    const char *run; /* the run we are; NULL: nobody asks */
    bool ended;      /* the payload was reaped ... */
    int wait_status; /* ... and this is what it said */
    bvi_runner_conf conf;
    bvi_runner_state state;
    bvi_backoff backoff;
    bvi_payload payload;
    bvi_job_outcome outcome;
    bool one_time_begun;
    bvi_job_log log;
    char chunk[BVI_RUNNER_CHUNK];
} bvi_job_runner;

/* The runner's memory is the caller's, zeroed, and best static. Returns the exit status. */
int bvi_job_runner_main(bvi_job_runner *runner, int argc, char **argv);

#endif
