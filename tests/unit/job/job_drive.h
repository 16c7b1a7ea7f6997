/*
 * job_drive.h - a job manager, or a runner alone, in the test's own directory, and waiting for what
 * they do.
 *
 * Processes are real. Everything waits on events with a generous limit; nothing sleeps for a fixed
 * time to be sure.
 */
#ifndef JOB_DRIVE_H
#define JOB_DRIVE_H

#include <sys/types.h>

#include "bvt.h"
#include "job/job_manager.h"
#include "job/manager_impl.h"
#include "job/runner_files.h"
#include "sys/proc.h"

#define DRIVE_LIMIT_MS 20000

typedef struct drive {
    bv_ctx *ctx;
    bvi_job_manager *manager;
    bvt_log log;
    unsigned changes;
    unsigned troubles;
    char last_trouble[512];
} drive;

/* A manager over <test dir>/jobs, loaded. */
void drive_init(drive *d);
void drive_load(drive *d, uint32_t limit, bool archive);
void drive_done(drive *d); /* frees the manager; jobs go on */
void drive_end(drive *d);  /* ends all jobs by force first */

/* A call's completion. */
typedef struct drive_call {
    bool done;
    int code;
    char text[1024];
} drive_call;

void drive_on_done(const bv_error *err, void *data);
void drive_wait_call(drive *d, drive_call *call);

void drive_create(drive *d, const char *name, const char *config_json);
/* A run_sh job: restart is a JSON text, more is further members with a leading comma, or "". */
void drive_create_sh(drive *d, const char *name, const char *body, const char *restart,
                     const char *more);
void drive_start(drive *d, const char *name);
void drive_stop(drive *d, const char *name);
bvi_job *drive_job(drive *d, const char *name);
void drive_wait_state(drive *d, const char *name, bvi_jstate state);
/* Dispatches until the file has this text in it. */
void drive_wait_text(drive *d, const char *path, const char *text);
bool drive_file_has(const char *path, const char *text);
const char *drive_path(const char *job, const char *file);

pid_t drive_read_pid(const char *path);   /* a decimal number; 0: not there */
void drive_wait_gone(pid_t pid);          /* the process ended (a zombie counts) */
void drive_see_gone(drive *d, pid_t pid); /* the same, dispatching meanwhile */
bool drive_is_alive(pid_t pid);
int64_t drive_now_us(void);

/* ---- a runner alone ---- */

typedef struct runner_proc {
    pid_t pid;
    int pidfd;
} runner_proc;

/* runner.conf in <test dir>/<job>; conf is completed with names, times and defaults. */
void runner_conf(const char *job, bvi_runner_conf *conf);
void runner_start(const char *job, runner_proc *proc);
int runner_wait(runner_proc *proc); /* its wait status */
const char *runner_path(const char *job, const char *file);
void runner_wait_text(const char *path, const char *text);

#endif
