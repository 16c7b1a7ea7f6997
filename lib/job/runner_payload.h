/*
 * runner_payload.h - starting a job's payload: held before its exec until the runner has written
 * down who it is.
 */
#ifndef BVI_JOB_RUNNER_PAYLOAD_H
#define BVI_JOB_RUNNER_PAYLOAD_H

#include "job/runner_files.h"

typedef struct bvi_payload {
    bvi_proc_id id;
    int out_fd;    /* its stdout, non-blocking */
    int err_fd;    /* its stderr, non-blocking */
    int hold_fd;   /* a byte lets it go on, closing it ends it */
    int report_fd; /* says why exec failed; end of file: it worked */
} bvi_payload;

#define BVI_PAYLOAD_INIT                                                                           \
    {                                                                                              \
        .out_fd = -1, .err_fd = -1, .hold_fd = -1, .report_fd = -1                                 \
    }

/* Forks. The payload waits for bvi_payload_release(). lock_fd is closed in it at once. */
int bvi_payload_start(const bvi_runner_conf *conf, int lock_fd, bvi_payload *payload,
                      bv_error **err);
int bvi_payload_release(bvi_payload *payload, bv_error **err);

/* Why it never became the payload, once it ended; false when exec worked. *ret_final: trying again
 * cannot help. */
bool bvi_payload_failure(const bvi_payload *payload, const bvi_runner_conf *conf, char *text,
                         size_t size, bool *ret_final);
void bvi_payload_done(bvi_payload *payload); /* closes what is open */

#endif
