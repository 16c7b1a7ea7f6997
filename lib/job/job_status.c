/*
 * job_status.c - the last known outcome of a job, as kept on disk, and how it reads.
 *
 * A job outlives the process that started it, so its status is a file rather than memory.
 */
#include <stdio.h>
#include <string.h>

#include "job/job_status.h"
#include "sys/fs.h"

void bvi_job_status_done(bvi_job_status *status)
{
    bvi_strv_done(&status->waiting_for);
    bvi_free(status->message);
    *status = (bvi_job_status)BVI_JOB_STATUS_INIT;
}

/* ---- reading ---- */

static int parse_pending(const bvi_json *value, bvi_job_status *status, bv_error **err)
{
    const bvi_json *names = bvi_json_find(value, "waiting_for"); /* older files have none */

    bvi_json_each(item, names) {
        const char *name = bvi_json_string(item);

        if (!name)
            return bvi_fail(err, BV_E_FORMAT, "'waiting_for' holds a %s", bvi_json_type_name(item));
        if (bvi_strv_add(&status->waiting_for, name) < 0)
            return bvi_fail(err, BV_E_LIMIT, "'waiting_for' has too many entries");
    }
    return 0;
}

static int parse_finished(const bvi_json *value, bvi_job_status *status, bv_error **err)
{
    const bvi_json *code = bvi_json_find(value, "exit_code");
    const char *message = "";
    int64_t number = 0;
    int r;

    if (bvi_json_type_of(value) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "'finished' is a %s, not an object",
                        bvi_json_type_name(value));
    if (bvi_json_type_of(code) != BVI_JSON_NULL) {
        if (bvi_json_int64(code, &number) < 0 || number < INT32_MIN || number > INT32_MAX)
            return bvi_fail(err, BV_E_FORMAT, "'exit_code' is not a 32-bit number");
        status->has_exit_code = true;
        status->exit_code = (int32_t)number;
    }
    r = bvi_json_opt_string(value, "message", &message, err);
    if (r < 0)
        return r;
    status->message = bvi_strdup(message);
    return status->message ? 0 : bvi_fail_nomem(err);
}

static int parse_none(const bvi_json *value, bvi_job_status *status, bv_error **err)
{
    (void)value;
    (void)status;
    (void)err;
    return 0;
}

static const struct {
    const char *key;
    bvi_job_state state;
    int (*parse)(const bvi_json *value, bvi_job_status *status, bv_error **err);
} states[] = {
    { "pending", BVI_JOB_PENDING, parse_pending },
    { "running", BVI_JOB_RUNNING, parse_none },
    { "finished", BVI_JOB_FINISHED, parse_finished },
    { "stopped", BVI_JOB_STOPPED, parse_none },
};

int bvi_job_status_parse(const bvi_json *root, bvi_job_status *status, bv_error **err)
{
    const char *plain = bvi_json_string(root);

    for (size_t i = 0; i < BVI_COUNT(states); i++) {
        const bvi_json *value = bvi_json_find(root, states[i].key);

        /* Upstream writes states without content as a bare string. */
        if (plain ? strcmp(plain, states[i].key) != 0 || states[i].parse != parse_none : !value)
            continue;
        status->state = states[i].state;
        if (!plain && bvi_json_opt_int64(root, "time", &status->time_ms, NULL) < 0)
            status->time_ms = 0;
        return states[i].parse(value, status, err);
    }
    return bvi_fail(err, BV_E_FORMAT, "not a job status");
}

int bvi_job_status_load(const char *path, bvi_job_status *status, bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    int64_t mtime_us = 0;
    int r = bvi_fs_read_json(path, BVI_JOB_STATUS_FILE_MAX, &root, err);

    if (r < 0)
        return bvi_wrap(err, r, "cannot load job status");
    r = bvi_job_status_parse(root, status, err);
    if (r < 0)
        return bvi_wrap(err, r, "job status '%s'", path);
    if (!status->time_ms && bvi_fs_mtime_us(path, &mtime_us, NULL) == 0)
        status->time_ms = mtime_us / 1000;
    return 0;
}

/* ---- writing ---- */

static bvi_json *pending_to_json(const bvi_job_status *status)
{
    bvi_auto_json bvi_json *object = bvi_json_new_object();
    bvi_auto_json bvi_json *names = bvi_json_new_array();

    for (size_t i = 0; names && i < status->waiting_for.len; i++) {
        if (bvi_json_add(names, bvi_json_new_string(status->waiting_for.items[i])) < 0)
            return NULL;
    }
    if (!object || !names || bvi_json_put(object, "waiting_for", bvi_take(names)) < 0)
        return NULL;
    return bvi_take(object);
}

static bvi_json *finished_to_json(const bvi_job_status *status)
{
    bvi_auto_json bvi_json *object = bvi_json_new_object();
    bvi_json *code =
        status->has_exit_code ? bvi_json_new_int64(status->exit_code) : bvi_json_new_null();

    if (!object) {
        bvi_json_free(code);
        return NULL;
    }
    if (bvi_json_put(object, "exit_code", code) < 0 ||
        bvi_json_put_string(object, "message", status->message ? status->message : "") < 0)
        return NULL;
    return bvi_take(object);
}

/* The content of a state; null for those that have none. */
static bvi_json *content_to_json(const bvi_job_status *status)
{
    if (status->state == BVI_JOB_PENDING)
        return pending_to_json(status);
    return status->state == BVI_JOB_FINISHED ? finished_to_json(status) : bvi_json_new_null();
}

int bvi_job_status_to_json(const bvi_job_status *status, bvi_json **ret_root, bv_error **err)
{
    const char *key = states[status->state].key;
    bvi_auto_json bvi_json *root = NULL;

    if (states[status->state].parse == parse_none) {
        root = bvi_json_new_string(key);
    } else {
        root = bvi_json_new_object();
        if (root && bvi_json_put(root, key, content_to_json(status)) < 0)
            return bvi_fail_nomem(err);
    }
    if (!root)
        return bvi_fail_nomem(err);
    *ret_root = bvi_take(root);
    return 0;
}

/* What the file holds besides the state; an empty object when there is none that can be read. */
static bvi_json *load_unknown(const char *path)
{
    bvi_auto_json bvi_json *root = NULL;

    if (bvi_fs_read_json(path, BVI_JOB_STATUS_FILE_MAX, &root, NULL) < 0 ||
        bvi_json_type_of(root) != BVI_JSON_OBJECT)
        return bvi_json_new_object();
    for (size_t i = 0; i < BVI_COUNT(states); i++)
        bvi_json_remove(root, states[i].key);
    return bvi_take(root);
}

int bvi_job_status_save(const char *path, const bvi_job_status *status, bv_error **err)
{
    bvi_auto_json bvi_json *root = load_unknown(path);

    if (!root || bvi_json_put(root, states[status->state].key, content_to_json(status)) < 0 ||
        bvi_json_put_int64(root, "time", status->time_ms) < 0)
        return bvi_fail_nomem(err);
    return bvi_fs_replace_json(path, root, 0644, err);
}

/* ---- texts ---- */

bool bvi_job_status_succeeded(const bvi_job_status *status)
{
    return status->state == BVI_JOB_FINISHED && status->has_exit_code && status->exit_code == 0;
}

static char *pending_text(const bvi_job_status *status)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(BVI_JOB_STATUS_FILE_MAX);
    int r = bvi_buf_append_str(&buf, "Pending (waiting for: [");

    for (size_t i = 0; i < status->waiting_for.len && r == 0; i++)
        r = bvi_buf_printf(&buf, "%s\"%s\"", i ? ", " : "", status->waiting_for.items[i]);
    if (r == 0)
        r = bvi_buf_append_str(&buf, "])");
    return r < 0 ? NULL : bvi_buf_take(&buf);
}

static char *finished_text(const bvi_job_status *status)
{
    const char *message = status->message ? status->message : "";

    if (status->has_exit_code && *message)
        return bvi_asprintf("Finished with exit code %d and message `%s`", status->exit_code,
                            message);
    if (status->has_exit_code)
        return bvi_asprintf("Finished with exit code %d", status->exit_code);
    return *message ? bvi_asprintf("Finished with message `%s`", message) : bvi_strdup("Finished");
}

char *bvi_job_status_text(const bvi_job_status *status)
{
    switch (status->state) {
    case BVI_JOB_PENDING:
        return pending_text(status);
    case BVI_JOB_RUNNING:
        return bvi_strdup("Running");
    case BVI_JOB_FINISHED:
        return finished_text(status);
    case BVI_JOB_STOPPED:
        return bvi_strdup("Stopped");
    }
    return NULL;
}

char *bvi_job_status_json_text(const bvi_json *root)
{
    BVI_AUTO(bvi_job_status_done) bvi_job_status status = BVI_JOB_STATUS_INIT;

    return bvi_job_status_parse(root, &status, NULL) < 0 ? bvi_strdup("-")
                                                         : bvi_job_status_text(&status);
}

/* ---- progress ---- */

void bvi_job_progress_done(bvi_job_progress *progress)
{
    bvi_free(progress->message);
    *progress = (bvi_job_progress){ 0 };
}

static int get_u32(const bvi_json *root, const char *key, uint32_t *ret_value, bv_error **err)
{
    uint64_t wide = 0;
    int r = bvi_json_get_uint64(root, key, &wide, err);

    if (r < 0)
        return r;
    if (wide > UINT32_MAX)
        return bvi_fail(err, BV_E_FORMAT, "'%s' does not fit 32 bits", key);
    *ret_value = (uint32_t)wide;
    return 0;
}

int bvi_job_progress_parse(const bvi_json *root, bvi_job_progress *ret_progress, bv_error **err)
{
    bvi_job_progress progress = { 0 };
    const char *message = "";
    int r = get_u32(root, "total", &progress.total, err);

    if (r == 0)
        r = get_u32(root, "current", &progress.current, err);
    if (r == 0)
        r = bvi_json_opt_string(root, "message", &message, err);
    if (r == 0)
        r = bvi_json_opt_uint64(root, "bytes_total", &progress.bytes_total, err);
    if (r == 0)
        r = bvi_json_opt_uint64(root, "bytes_done", &progress.bytes_done, err);
    if (r == 0)
        r = bvi_json_opt_uint64(root, "rate", &progress.rate, err);
    if (r == 0)
        r = bvi_json_opt_int64(root, "eta_ms", &progress.eta_ms, err);
    if (r < 0)
        return bvi_wrap(err, r, "job progress");
    progress.message = bvi_strdup(message);
    if (!progress.message)
        return bvi_fail_nomem(err);
    *ret_progress = progress;
    return 0;
}

int bvi_job_progress_load(const char *path, bvi_job_progress *ret_progress, bv_error **err)
{
    bvi_auto_json bvi_json *root = NULL;
    int r = bvi_fs_read_json(path, BVI_JOB_PROGRESS_FILE_MAX, &root, err);

    return r < 0 ? r : bvi_job_progress_parse(root, ret_progress, err);
}

int bvi_job_progress_to_json(const bvi_job_progress *progress, bvi_json **ret_root, bv_error **err)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_uint64(root, "total", progress->total) < 0 ||
        bvi_json_put_uint64(root, "current", progress->current) < 0 ||
        bvi_json_put_string(root, "message", progress->message ? progress->message : "") < 0)
        return bvi_fail_nomem(err);
    if (progress->bytes_total &&
        (bvi_json_put_uint64(root, "bytes_total", progress->bytes_total) < 0 ||
         bvi_json_put_uint64(root, "bytes_done", progress->bytes_done) < 0 ||
         bvi_json_put_uint64(root, "rate", progress->rate) < 0 ||
         bvi_json_put_int64(root, "eta_ms", progress->eta_ms) < 0))
        return bvi_fail_nomem(err);
    *ret_root = bvi_take(root);
    return 0;
}

char *bvi_job_progress_text(const bvi_job_progress *progress)
{
    double percent = progress->total ? (double)progress->current * 100.0 / progress->total : 0.0;
    const char *message = progress->message ? progress->message : "";

    return bvi_asprintf("%.2f%% (%u/%u%s%s)", percent, progress->current, progress->total,
                        *message ? " " : "", message);
}

char *bvi_job_progress_json_text(const bvi_json *root)
{
    BVI_AUTO(bvi_job_progress_done) bvi_job_progress progress = { 0 };

    return bvi_job_progress_parse(root, &progress, NULL) < 0 ? bvi_strdup("-")
                                                             : bvi_job_progress_text(&progress);
}
