/*
 * job_backoff.h - whether and when a job that ended runs again: babel.md 9.2 and 9.3. Pure: time
 * and randomness come in.
 *
 * Used by the static job runner for its payload and by the manager for runners that vanish. Better
 * than the original in three ways: a wait is never longer than BVI_BACKOFF_MAX_MS, it is spread by
 * up to BVI_BACKOFF_JITTER_PERCENT, and a job that runs just long enough to reset the counter each
 * time is seen as a crash loop, is slowed down and reported.
 */
#ifndef BVI_JOB_JOB_BACKOFF_H
#define BVI_JOB_JOB_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BVI_BACKOFF_MAX_MS         (5u * 60u * 1000u)
#define BVI_BACKOFF_JITTER_PERCENT 10u
/* So many restarts within an hour are a crash loop. */
#define BVI_BACKOFF_LOOP_RESTARTS 10u
/* The wait before each restart of a crash loop is at least this, even after a long run. */
#define BVI_BACKOFF_LOOP_WAIT_MS 1000u
/* Restarts are counted by the hour, for the last day and the hour that runs. */
#define BVI_BACKOFF_HOURS 25u

typedef enum bvi_restart {
    BVI_RESTART_NEVER,
    BVI_RESTART_ALWAYS,
    BVI_RESTART_ON_FAILURE,
} bvi_restart;

typedef struct bvi_backoff_config {
    bvi_restart policy;
    uint64_t backoff_timeout_ms; /* a run longer than this resets the counter */
    uint64_t backoff_base_ms;
    bool has_max_retries;
    uint32_t max_retries;
} bvi_backoff_config;

/* Restarts of the last 24 hours; survives in the runner's state file. */
typedef struct bvi_restarts {
    int64_t hour[BVI_BACKOFF_HOURS]; /* hours since 1970 */
    uint32_t count[BVI_BACKOFF_HOURS];
} bvi_restarts;

void bvi_restarts_add(bvi_restarts *restarts, int64_t wall_ms);
uint32_t bvi_restarts_count(const bvi_restarts *restarts, int64_t wall_ms,
                            unsigned hours); /* of the last hours */

typedef struct bvi_backoff {
    uint64_t counter;
    int64_t started_ms; /* monotonic */
} bvi_backoff;

typedef enum bvi_verdict {
    BVI_VERDICT_FINISHED, /* success, nothing to say */
    BVI_VERDICT_FAILED,  /* final, with the exit's message: policy never, or always with its retries
                            used up */
    BVI_VERDICT_RESTART, /* after the wait */
} bvi_verdict;

/* What the last end of a payload means. */
typedef struct bvi_decision {
    bvi_verdict verdict;
    uint64_t wait_ms;
    bool report;  /* the message goes to the event log */
    bool looping; /* restarts within the last hour make a crash loop */
    bool limit;   /* FAILED because max_retries was reached */
} bvi_decision;

void bvi_backoff_start(bvi_backoff *backoff, int64_t now_ms);

/* succeeded: there was an exit code and it was 0. random: any number, for the jitter. Counts
 * nothing in `restarts`: the caller does when it restarts. */
bvi_decision bvi_backoff_end(bvi_backoff *backoff, const bvi_backoff_config *config,
                             const bvi_restarts *restarts, bool succeeded, int64_t now_ms,
                             int64_t wall_ms, uint32_t random);

#endif
