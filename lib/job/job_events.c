/*
 * job_events.c - the event log of a job: restarts, failures, what the runner noticed. Two bounded
 * files.
 *
 * A line is "<milliseconds since 1970> <text>". Written by the runner and by the manager, each line
 * with one write to a file opened for appending, so lines never mix. (Weakness 5 of babel.md 13:
 * the bounds are real here.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"
#include "job/runner_files.h"
#include "sys/fs.h"

#define DAY_MS INT64_C(86400000)

void bvi_events_append(int dir_fd, int64_t wall_ms, const char *text)
{
    bvi_auto_close int fd =
        openat(dir_fd, BVI_JOB_EVENTS_FILE, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    char line[BVI_EVENT_TEXT_MAX + 64];
    struct stat st;
    bool valid;
    int n;

    if (fd < 0)
        return;
    n = snprintf(line, sizeof(line) - 1, "%lld %.*s", (long long)wall_ms, (int)BVI_EVENT_TEXT_MAX,
                 text);
    if (n < 0)
        return;
    valid = bvi_utf8_valid(line, (size_t)n);
    for (int i = 0; i < n; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
        if ((unsigned char)line[i] > 0x7f && !valid)
            line[i] = '?'; /* the lines become JSON strings */
    }
    line[n++] = '\n';
    (void)bvi_fs_write_all(fd, line,
                           (size_t)n); /* best effort: a full disk must not stop the job */
    if (fstat(fd, &st) == 0 && st.st_size > (off_t)BVI_EVENTS_FILE_MAX)
        (void)renameat(dir_fd, BVI_JOB_EVENTS_FILE, dir_fd,
                       BVI_JOB_EVENTS_OLD); /* tried again next time */
}

/* "2024-01-31 10:20:30.123 +00:00| text" */
static char *format_event(int64_t ms, const char *text)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = { 0 };
    char when[32];
    char zone[8];

    if (!localtime_r(&seconds, &tm) ||
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm) == 0 ||
        strftime(zone, sizeof(zone), "%z", &tm) != 5)
        return bvi_asprintf("%lld| %s", (long long)ms, text);
    return bvi_asprintf("%s.%03d %.3s:%.2s| %s", when, (int)(ms % 1000), zone, zone + 3, text);
}

/* Adds the lines of one file, last one first. */
static int read_file(int dir_fd, const char *name, int64_t since_ms, bvi_strv *lines,
                     bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read_at(dir_fd, name, 2 * BVI_EVENTS_FILE_MAX, &text, &len, err);

    if (r == BV_E_NOT_FOUND && err) {
        bv_error_free(*err);
        *err = NULL;
    }
    if (r < 0)
        return r == BV_E_NOT_FOUND ? 0 : r;
    while (len > 0 && lines->len < lines->max) {
        char *line, *blank = NULL;
        int64_t ms;

        if (text[len - 1] == '\n')
            len--;
        text[len] = '\0';
        while (len > 0 && text[len - 1] != '\n')
            len--;
        line = text + len;
        ms = strtoll(line, &blank, 10);
        if (*blank != ' ' || ms < since_ms)
            continue;
        r = bvi_strv_take(lines, format_event(ms, blank + 1));
        if (r < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}

int bvi_job_events_read(int dir_fd, int64_t wall_ms, bvi_strv *lines, bv_error **err)
{
    int r = read_file(dir_fd, BVI_JOB_EVENTS_FILE, wall_ms - DAY_MS, lines, err);

    return r < 0 ? r : read_file(dir_fd, BVI_JOB_EVENTS_OLD, wall_ms - DAY_MS, lines, err);
}
