/*
 * runner_record.c - final statuses, written without a JSON library, and one-time records.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "job/runner_record.h"
#include "sys/fs.h"

/* A message of control characters only becomes six times as long. */
#define STATUS_MAX      (8u * BVI_RUNNER_MESSAGE_MAX)
#define RECORD_FILE_MAX (64u * 1024u)
#define NOT_FINISHED    "one-time job started, but not finished"

/* ---- message ---- */

void bvi_runner_reset_reports(int dir_fd)
{
    /* Missing is usual; one that cannot go is stale and nothing worse. */
    (void)unlinkat(dir_fd, BVI_JOB_PROGRESS_FILE, 0);
    (void)unlinkat(dir_fd, BVI_JOB_MESSAGE_FILE, 0);
}

bool bvi_runner_take_message(int dir_fd, const char *name, bool succeeded, char *text, size_t size)
{
    bvi_auto_close int fd =
        openat(dir_fd, BVI_JOB_MESSAGE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    size_t used = 0;
    ssize_t n;

    if (fd < 0)
        return false;
    if (!succeeded)
        used = (size_t)snprintf(text, size, "job '%s' failed with: ", name);
    n = used + 1 < size ? read(fd, text + used, size - used - 1) : 0;
    if (n <= 0)
        return false;
    used += (size_t)n;
    while (used && (text[used - 1] == '\n' || text[used - 1] == ' '))
        used--;
    text[used] = '\0';
    return true;
}

/* ---- status.json ---- */

static int append_escaped(bvi_buf *buf, const char *text)
{
    size_t len = strlen(text);
    int r = 0;

    while (len && r == 0) {
        size_t used = 1;
        int32_t c = bvi_utf8_decode(text, len, &used);

        if (c < 0)
            r = bvi_buf_append_str(buf, "\\ufffd");
        else if (c < ' ' || c == 0x7f)
            r = bvi_buf_printf(buf, "\\u%04x", (unsigned)c);
        else if (c == '"' || c == '\\')
            r = bvi_buf_printf(buf, "\\%c", (char)c);
        else
            r = bvi_buf_append(buf, text, used);
        text += used;
        len -= used;
    }
    return r;
}

static int print_finished(bvi_buf *buf, bool has_code, int exit_code, const char *message,
                          int64_t wall_ms)
{
    int r = bvi_buf_append_str(buf, "{\"finished\":{\"exit_code\":");

    if (r == 0)
        r = has_code ? bvi_buf_printf(buf, "%d", exit_code) : bvi_buf_append_str(buf, "null");
    if (r == 0)
        r = bvi_buf_append_str(buf, ",\"message\":\"");
    if (r == 0)
        r = append_escaped(buf, message);
    return r < 0 ? r : bvi_buf_printf(buf, "\"},\"time\":%lld}\n", (long long)wall_ms);
}

static int open_record(const bvi_runner_conf *conf, int *ret_fd, bv_error **err)
{
    int fd = open(conf->one_time, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", conf->one_time);
    *ret_fd = fd;
    return 0;
}

static int save_record_state(int record_fd, const char *state, bv_error **err)
{
    return bvi_fs_replace_at(record_fd, BVI_ONE_TIME_FILE, state, strlen(state), 0644, err);
}

/* The status first: a record that says it is final has one. */
static int finish_record(const bvi_runner_conf *conf, const bvi_buf *status, bool succeeded,
                         bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = open_record(conf, &fd, err);

    if (r == 0)
        r = bvi_fs_replace_at(fd, BVI_JOB_STATUS_FILE, status->data, status->len, 0644, err);
    if (r == 0)
        r = save_record_state(fd, succeeded ? "finished\n" : "failed\n", err);
    return r < 0 ? bvi_wrap(err, r, "cannot record the result of a one-time job") : 0;
}

int bvi_runner_finish(int dir_fd, const bvi_runner_conf *conf, bool has_code, int exit_code,
                      const char *message, int64_t wall_ms, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(STATUS_MAX);
    int r = print_finished(&buf, has_code, exit_code, message, wall_ms);

    if (r < 0)
        return bvi_fail_nomem(err);
    if (conf->one_time) {
        r = finish_record(conf, &buf, has_code && exit_code == 0, err);
        if (r < 0)
            return r;
    }
    return bvi_fs_replace_at(dir_fd, BVI_JOB_STATUS_FILE, buf.data, buf.len, 0644, err);
}

/* ---- one-time jobs ---- */

typedef enum record {
    RECORD_NONE,
    RECORD_STARTED,
    RECORD_INTERRUPTED,
    RECORD_FAILED,
    RECORD_FINISHED,
    RECORD_FOREIGN
} record;

static record load_record(int record_fd)
{
    static const char *const names[] = { [RECORD_STARTED] = "started\n",
                                         [RECORD_INTERRUPTED] = "interrupted\n",
                                         [RECORD_FAILED] = "failed\n",
                                         [RECORD_FINISHED] = "finished\n" };
    bvi_auto_free char *text = NULL;
    size_t len = 0;

    if (bvi_fs_read_at(record_fd, BVI_ONE_TIME_FILE, 64, &text, &len, NULL) < 0)
        return faccessat(record_fd, BVI_JOB_STATUS_FILE, F_OK, 0) == 0 ? RECORD_FOREIGN
                                                                       : RECORD_NONE;
    for (size_t i = RECORD_STARTED; i < BVI_COUNT(names); i++) {
        if (strcmp(text, names[i]) == 0)
            return (record)i;
    }
    return RECORD_STARTED; /* not readable: be careful */
}

static bool may_run(record rec, const bvi_runner_conf *conf)
{
    switch (rec) {
    case RECORD_NONE:
    case RECORD_INTERRUPTED:
        return true;
    case RECORD_STARTED:
        return conf->one_time_again || conf->restart.policy != BVI_RESTART_NEVER;
    case RECORD_FAILED:
    case RECORD_FOREIGN:
        return conf->one_time_again;
    case RECORD_FINISHED:
        return false;
    }
    return false;
}

static int copy_status(int record_fd, int dir_fd, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    size_t len = 0;
    int r = bvi_fs_read_at(record_fd, BVI_JOB_STATUS_FILE, RECORD_FILE_MAX, &text, &len, err);

    return r < 0 ? r : bvi_fs_replace_at(dir_fd, BVI_JOB_STATUS_FILE, text, len, 0644, err);
}

/* Upstream's record of a beginning goes along, so that an older agent sees what it would have
 * written. */
static int begin_record(int record_fd, int64_t wall_ms, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(STATUS_MAX);
    int r = print_finished(&buf, false, 0, NOT_FINISHED, wall_ms);

    if (r < 0)
        return bvi_fail_nomem(err);
    r = save_record_state(record_fd, "started\n", err);
    return r < 0 ? r
                 : bvi_fs_replace_at(record_fd, BVI_JOB_STATUS_FILE, buf.data, buf.len, 0644, err);
}

int bvi_one_time_begin(int dir_fd, const bvi_runner_conf *conf, int64_t wall_ms, bool *ret_run,
                       bv_error **err)
{
    bvi_auto_close int fd = -1;
    int r = bvi_fs_mkdir(conf->one_time, 0755, err);

    if (r == 0)
        r = open_record(conf, &fd, err);
    if (r < 0)
        return bvi_wrap(err, r, "cannot look up the record of a one-time job");
    *ret_run = may_run(load_record(fd), conf);
    r = *ret_run ? begin_record(fd, wall_ms, err) : copy_status(fd, dir_fd, err);
    return r < 0
               ? bvi_wrap(err, r, "cannot use the record of a one-time job in '%s'", conf->one_time)
               : 0;
}

void bvi_one_time_interrupted(const bvi_runner_conf *conf)
{
    bvi_auto_close int fd = -1;

    /* A job that became final in the last moment stays so; a record that cannot be written says
     * "started". */
    if (open_record(conf, &fd, NULL) == 0 && load_record(fd) == RECORD_STARTED)
        (void)save_record_state(fd, "interrupted\n", NULL);
}
