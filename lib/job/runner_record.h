/*
 * runner_record.h - what a runner leaves as a result: status.json, the payload's message, records
 * of one-time jobs.
 */
#ifndef BVI_JOB_RUNNER_RECORD_H
#define BVI_JOB_RUNNER_RECORD_H

#include "job/runner_files.h"

#define BVI_RUNNER_MESSAGE_MAX 4096u

/* Before each run: progress and message of the last one go. */
void bvi_runner_reset_reports(int dir_fd);

/* What the payload left in its message file, as "job 'x' failed with: ..." or, after success, as it
 * is. False: nothing. */
bool bvi_runner_take_message(int dir_fd, const char *name, bool succeeded, char *text, size_t size);

/* Writes the final status, and the record of a one-time job. exit_code counts only with has_code.
 */
int bvi_runner_finish(int dir_fd, const bvi_runner_conf *conf, bool has_code, int exit_code,
                      const char *message, int64_t wall_ms, bv_error **err);

/*
 * One-time jobs. The record directory, on the data drive, holds status.json as upstream has it and
 * our one_time file:
 *
 *   (none)        status.json present: upstream's, final. Absent: never ran
 *   started       is running, or was when everything ended: not run again without being asked, for
 * it may have done half its work; a job with a restart policy says that it may be repeated, so that
 * one is interrupted   was stopped in order: runs again failed        final; runs again when asked
 *   finished      final
 *
 * *ret_run false: the recorded status is now the job's.
 */
int bvi_one_time_begin(int dir_fd, const bvi_runner_conf *conf, int64_t wall_ms, bool *ret_run,
                       bv_error **err);
void bvi_one_time_interrupted(const bvi_runner_conf *conf);

#endif
