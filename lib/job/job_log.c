/*
 * job_log.c - the writing side: lines of two streams into one rotated file. Part of the static
 * runner.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "job/job_log.h"
#include "job/runner_files.h"
#include "sys/fs.h"

#define NO_STREAM (-1)

void bvi_job_log_init(bvi_job_log *log, int dir_fd, uint64_t capacity_bytes, bool timestamp)
{
    log->dir_fd = dir_fd;
    log->fd = -1;
    log->size = 0;
    log->capacity = capacity_bytes;
    log->timestamp = timestamp;
    log->open_stream = NO_STREAM;
    log->lost_bytes = log->lost_total = 0;
    log->lost_errno = 0;
    for (unsigned i = 0; i < BVI_JOB_STREAMS; i++) {
        log->streams[i].len = 0;
        log->streams[i].begun = false;
    }
}

/* ---- the file ---- */

static int open_file(bvi_job_log *log)
{
    struct stat st;

    if (log->fd >= 0)
        return 0;
    log->fd = openat(log->dir_fd, BVI_JOB_LOG_FILE,
                     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (log->fd < 0)
        return -errno;
    log->size = fstat(log->fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    return 0;
}

static void rotate(bvi_job_log *log)
{
    /* Each may be missing; a rename that fails otherwise means that the file grows on, which is
     * better than a loss. */
    (void)renameat(log->dir_fd, BVI_JOB_LOG_FILE ".1", log->dir_fd, BVI_JOB_LOG_FILE ".2");
    (void)renameat(log->dir_fd, BVI_JOB_LOG_FILE, log->dir_fd, BVI_JOB_LOG_FILE ".1");
    bvi_closep(&log->fd);
}

static void lose(bvi_job_log *log, size_t len, int errnum)
{
    log->lost_bytes += len;
    log->lost_total += len;
    log->lost_errno = errnum;
}

/* Appends as much as goes; the rest is counted as lost. */
static void write_bytes(bvi_job_log *log, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(log->fd, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            lose(log, len, errno);
            return;
        }
        log->size += (uint64_t)n;
        bytes += n;
        len -= (size_t)n;
    }
}

static void tell_loss(bvi_job_log *log)
{
    char text[160];
    int n = snprintf(text, sizeof(text), "[%llu bytes of output could not be written: %s]\n",
                     (unsigned long long)log->lost_bytes, strerror(log->lost_errno));

    if (write(log->fd, text, (size_t)n) == n) {
        log->size += (uint64_t)n;
        log->lost_bytes = 0;
    }
}

/* Bytes that may be split over two files only behind a line end. */
static void append(bvi_job_log *log, const char *bytes, size_t len)
{
    while (len) {
        uint64_t room;
        size_t part = len;
        int r = open_file(log);

        if (r < 0) {
            lose(log, len, -r);
            return;
        }
        if (log->lost_bytes)
            tell_loss(log);
        room = log->size < log->capacity ? log->capacity - log->size : 0;
        if (len > room) {
            const char *end = memrchr(bytes, '\n', (size_t)room);

            if (!end && log->size > 0) {
                rotate(log);
                continue;
            }
            part =
                end ? (size_t)(end - bytes) + 1 : len; /* a line longer than a file goes in whole */
        }
        write_bytes(log, bytes, part);
        bytes += part;
        len -= part;
    }
}

/* ---- lines ---- */

/* "2024-01-31 10:20:30.123456789 +00:00|", the form of babel.md 8.5. */
static size_t format_time(char *text, size_t size)
{
    struct timespec now = { 0 };
    struct tm tm = { 0 };
    char zone[8] = "+0000";
    char when[32] = "";

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    if (localtime_r(&now.tv_sec, &tm)) {
        (void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm); /* fits */
        (void)strftime(zone, sizeof(zone), "%z", &tm);
    }
    return (size_t)snprintf(text, size, "%s.%09ld %.3s:%.2s|", when, now.tv_nsec, zone, zone + 3);
}

/* The file must not go on in the middle of the other stream's line. */
static void begin_piece(bvi_job_log *log, unsigned stream)
{
    char text[80];

    if (log->open_stream != NO_STREAM && log->open_stream != (int)stream) {
        append(log, "\n", 1);
        log->streams[log->open_stream].begun = false; /* its rest is a line of its own */
        log->open_stream = NO_STREAM;
    }
    if (log->timestamp && !log->streams[stream].begun)
        append(log, text, format_time(text, sizeof(text)));
}

/* Writes what is held, then the given bytes. `ends`: they end the line. */
static void write_piece(bvi_job_log *log, unsigned stream, const char *bytes, size_t len, bool ends)
{
    bvi_job_log_stream *s = &log->streams[stream];

    begin_piece(log, stream);
    append(log, s->held, s->len);
    append(log, bytes, len);
    s->len = 0;
    s->begun = !ends;
    log->open_stream = ends ? NO_STREAM : (int)stream;
}

/* Keeps bytes without a line end until there is one, or until it is enough for a piece. */
static void hold(bvi_job_log *log, unsigned stream, const char *bytes, size_t len)
{
    bvi_job_log_stream *s = &log->streams[stream];

    while (len) {
        size_t room = sizeof(s->held) - s->len;
        size_t part = len < room ? len : room;

        memcpy(s->held + s->len, bytes, part);
        s->len += part;
        bytes += part;
        len -= part;
        if (s->len == sizeof(s->held))
            write_piece(log, stream, BVI_JOB_LINE_CUT "\n", sizeof(BVI_JOB_LINE_CUT), true);
    }
}

/* Whole lines none of which needs cutting or marking go to the file in one piece. */
static size_t feed_whole(bvi_job_log *log, unsigned stream, const char *bytes, size_t len)
{
    const char *end = log->timestamp || len > BVI_JOB_LINE_MAX ? NULL : memrchr(bytes, '\n', len);

    if (!end || log->streams[stream].len || log->streams[stream].begun)
        return 0;
    write_piece(log, stream, bytes, (size_t)(end - bytes) + 1, true);
    return (size_t)(end - bytes) + 1;
}

void bvi_job_log_feed(bvi_job_log *log, unsigned stream, const char *bytes, size_t len)
{
    while (len) {
        size_t used = feed_whole(log, stream, bytes, len);
        const char *end = used ? NULL : memchr(bytes, '\n', len);

        if (!used && end && (size_t)(end - bytes) + log->streams[stream].len <= BVI_JOB_LINE_MAX) {
            used = (size_t)(end - bytes) + 1;
            write_piece(log, stream, bytes, used, true);
        } else if (!used) {
            used = end ? (size_t)(end - bytes) : len;
            hold(log, stream, bytes, used);
        }
        bytes += used;
        len -= used;
    }
}

bool bvi_job_log_holds(const bvi_job_log *log)
{
    for (unsigned i = 0; i < BVI_JOB_STREAMS; i++) {
        if (log->streams[i].len)
            return true;
    }
    return false;
}

void bvi_job_log_flush(bvi_job_log *log)
{
    for (unsigned i = 0; i < BVI_JOB_STREAMS; i++) {
        if (log->streams[i].len)
            write_piece(log, i, NULL, 0, false);
    }
}

void bvi_job_log_done(bvi_job_log *log)
{
    bvi_job_log_flush(log);
    if (log->open_stream != NO_STREAM)
        append(log, "\n", 1);
    log->open_stream = NO_STREAM;
    bvi_closep(&log->fd);
}
