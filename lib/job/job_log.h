/*
 * job_log.h - a payload's output: written by the runner with rotation, read by `bv job logs`.
 *
 * Bytes are bytes: nothing needs to be UTF-8. Two streams (0: stdout, 1: stderr) share the file,
 * line by line. A line longer than BVI_JOB_LINE_MAX is cut into pieces that end in
 * BVI_JOB_LINE_CUT. When a file would grow beyond its capacity it becomes logs.1, the one before
 * logs.2, and what was logs.2 goes. Output comes in as fast as the disk takes it (the payload waits
 * for its pipe, as it would for a terminal); what the disk refuses is dropped and counted, so a
 * full disk stops neither job nor runner.
 */
#ifndef BVI_JOB_JOB_LOG_H
#define BVI_JOB_JOB_LOG_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

#define BVI_JOB_LINE_MAX  (16u * 1024u)
#define BVI_JOB_LINE_CUT  " [cut]"
#define BVI_JOB_LOG_FILES 3u /* logs, logs.1, logs.2 */
#define BVI_JOB_STREAMS   2u

/* ---- writing: no allocation; the struct is large, so make it static ---- */

typedef struct bvi_job_log_stream {
    size_t len; /* of the held beginning of a line */
    bool begun; /* the beginning of this line is in the file already */
    char held[BVI_JOB_LINE_MAX];
} bvi_job_log_stream;

typedef struct bvi_job_log {
    int dir_fd;
    int fd; /* -1: not open */
    uint64_t size;
    uint64_t capacity;
    bool timestamp;
    int open_stream;     /* whose line the file ends in the middle of; -1: none */
    uint64_t lost_bytes; /* not written yet said so */
    uint64_t lost_total;
    int lost_errno;
    bvi_job_log_stream streams[BVI_JOB_STREAMS];
} bvi_job_log;

/* dir_fd is borrowed. A file that cannot be opened is tried again at each write. */
void bvi_job_log_init(bvi_job_log *log, int dir_fd, uint64_t capacity_bytes, bool timestamp);
void bvi_job_log_feed(bvi_job_log *log, unsigned stream, const char *bytes, size_t len);
/* Writes lines that have no end yet as they are; they may go on later. */
void bvi_job_log_flush(bvi_job_log *log);
bool bvi_job_log_holds(const bvi_job_log *log); /* there is something to flush */
void bvi_job_log_done(bvi_job_log *log);        /* flushes, ends open lines, closes */

/* ---- reading: by name, across rotations, without threads ---- */

/* Where a reader is: a file, known by its inode, and an offset in it. */
typedef struct bvi_job_log_pos {
    uint64_t inode; /* 0: at the beginning of what comes */
    uint64_t offset;
} bvi_job_log_pos;

/* The last lines (over all files), at most max_bytes of them, and the position after them. A job
 * without output yet: empty. out grows up to its own maximum. */
int bvi_job_log_tail(const char *job_dir, size_t lines, size_t max_bytes, bvi_buf *out,
                     bvi_job_log_pos *ret_pos, bv_error **err);
/* Appends what came after pos, at most max_bytes, and moves pos. Call it again while it appended
 * something; then wait a moment (or watch the directory). *ret_gap: so much came that the file of
 * pos is gone; reading goes on with the oldest. */
int bvi_job_log_next(const char *job_dir, bvi_job_log_pos *pos, size_t max_bytes, bvi_buf *out,
                     bool *ret_gap, bv_error **err);

#endif
