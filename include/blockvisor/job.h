/**
 * @file blockvisor/job.h
 * Jobs: the processes a node's agent supervises.
 *
 * A job document has `name, status` ("running", "stopped", {"pending": ...}, {"finished": ...}),
 * `status_text, timestamp, progress, restart_count, logs, upgrade_blocking`.
 */
#ifndef BLOCKVISOR_JOB_H
#define BLOCKVISOR_JOB_H

#include <blockvisor/host.h>

BV_BEGIN_DECLS

/** All jobs of a running node: `{jobs: [...]}`, ordered by name. @since 0.1 */
BV_API int bv_job_list(bv_host *host, const char *node, bv_reply_fn done, void *data,
                       bv_op **ret_op, bv_error **err);
/** One job. @since 0.1 */
BV_API int bv_job_show(bv_host *host, const char *node, const char *job, bv_reply_fn done,
                       void *data, bv_op **ret_op, bv_error **err);
/** Starts a job; running already is success. @since 0.1 */
BV_API int bv_job_start(bv_host *host, const char *node, const char *job, bv_reply_fn done,
                        void *data, bv_op **ret_op, bv_error **err);
/** Stops a job: signal, its shutdown time, then a kill of everything it started. @since 0.1 */
BV_API int bv_job_stop(bv_host *host, const char *node, const char *job, bv_reply_fn done,
                       void *data, bv_op **ret_op, bv_error **err);
/** Stops a job and counts it as finished well, so that those waiting for it go on. @since 0.1 */
BV_API int bv_job_skip(bv_host *host, const char *node, const char *job, bv_reply_fn done,
                       void *data, bv_op **ret_op, bv_error **err);
/** Removes the intermediate files of an archive job, so that its next start begins from zero.
 * @since 0.1 */
BV_API int bv_job_cleanup(bv_host *host, const char *node, const char *job, bv_reply_fn done,
                          void *data, bv_op **ret_op, bv_error **err);

/**
 * A job's output: `{text, cursor, gap}`; works on a stopped node too.
 *
 * @param lines    Without a cursor: at most so many lines from the end.
 * @param cursor   Where a former reply ended; NULL: begin with @p lines.
 * @param wait_ms  With a cursor: how long to wait for more output; 0: answer at once.
 * @since 0.1
 */
BV_API int bv_job_logs(bv_host *host, const char *node, const char *job, uint32_t lines,
                       const char *cursor, uint32_t wait_ms, bv_reply_fn done, void *data,
                       bv_op **ret_op, bv_error **err);

BV_END_DECLS

#endif
