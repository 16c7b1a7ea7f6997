/*
 * fake_jobs.c - jobs of a fake node and their output.
 *
 * A running node has one service, "chain". It finds a block every so often and prints a line about
 * it; the blocks are counted when somebody looks, so a thousand nodes cost nothing between two
 * calls.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "host/fake.h"
#include "node/node.h"

#define CHAIN            "chain"
#define BLOCK_MS_DEFAULT 200
#define BLOCK_MS_MAX     3600000
/* Blocks that are printed at most for one look: older lines would be dropped anyway. */
#define LINES_AT_ONCE   1000u
#define LINES_DEFAULT   100u
#define JOB_NAME_MAX    128u
#define CURSOR_TEXT_MAX 64u
/* A reader that waits for output looks so often. */
#define LOG_POLL_MS 20

/* ---- jobs ---- */

static bvi_fake_job *find_job(const bvi_fake_node *node, const char *name)
{
    for (size_t i = 0; i < node->jobs.len; i++) {
        if (strcmp(node->jobs.items[i]->name, name) == 0)
            return node->jobs.items[i];
    }
    return NULL;
}

static void job_free(bvi_fake_job *job)
{
    bvi_buf_done(&job->log);
    bvi_free(job->name);
    bvi_free(job);
}

bvi_fake_job *bvi_fake_job_make(bvi_fake_node *node, const char *name)
{
    bvi_fake_job *job = find_job(node, name);
    bvi_fake_job **slot;
    size_t at;

    if (job)
        return job;
    job = bvi_new0(bvi_fake_job);
    if (!job)
        return NULL;
    bvi_buf_init(&job->log, BVI_FAKE_LOG_MAX);
    job->state = BVI_JOB_STOPPED;
    job->name = bvi_strdup(name);
    slot = job->name ? bvi_vec_push(&node->jobs) : NULL;
    if (!slot) {
        job_free(job);
        return NULL;
    }
    for (at = node->jobs.len - 1; at > 0 && strcmp(node->jobs.items[at - 1]->name, name) > 0; at--)
        node->jobs.items[at] = node->jobs.items[at - 1];
    node->jobs.items[at] = job;
    return job;
}

void bvi_fake_job_set(bvi_fake_node *node, bvi_fake_job *job, bvi_job_state state)
{
    if (job->state == state)
        return;
    if (state == BVI_JOB_RUNNING && strcmp(job->name, CHAIN) == 0)
        node->block_us = bvi_ctx_now_us(node->fake->base.ctx);
    job->state = state;
    job->exit_code = 0;
    job->changed_ms = bvi_ctx_wall_us(node->fake->base.ctx) / 1000;
}

/* The oldest half goes when there is no room; a line that cannot be kept for lack of memory is
 * lost. */
void bvi_fake_job_print(bvi_fake_job *job, const char *fmt, ...)
{
    char line[256];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(line))
        return;
    if (job->log.len + (size_t)len > job->log.max) {
        size_t half = job->log.len / 2;
        const char *end = memchr(bvi_buf_str(&job->log) + half, '\n', job->log.len - half);
        size_t drop = end ? (size_t)(end - bvi_buf_str(&job->log)) + 1 : job->log.len;

        bvi_buf_consume(&job->log, drop);
        job->log_start += drop;
    }
    (void)bvi_buf_append(&job->log, line, (size_t)len); /* lost, as said above */
}

int bvi_fake_jobs_start(bvi_fake_node *node)
{
    bvi_fake_job *chain = bvi_fake_job_make(node, CHAIN);

    if (!chain)
        return BV_E_NOMEM;
    bvi_fake_job_set(node, chain, BVI_JOB_RUNNING);
    bvi_fake_job_print(chain, "chain of %s starts at block %" PRIu64 "\n", node->state.name,
                       node->height);
    return 0;
}

void bvi_fake_jobs_stop(bvi_fake_node *node)
{
    bvi_fake_node_catch_up(node);
    for (size_t i = 0; i < node->jobs.len; i++) {
        if (node->jobs.items[i]->state == BVI_JOB_RUNNING)
            bvi_fake_job_set(node, node->jobs.items[i], BVI_JOB_STOPPED);
    }
}

void bvi_fake_jobs_done(bvi_fake_node *node)
{
    bvi_fake_readers_end(node->fake, node);
    for (size_t i = 0; i < node->jobs.len; i++)
        job_free(node->jobs.items[i]);
    bvi_vec_done(&node->jobs);
}

/* ---- the chain ---- */

/* The property "block-ms", as the built-in image has it. */
static int64_t block_time_us(const bvi_fake_node *node)
{
    const char *text = bvi_json_string(bvi_json_find(node->state.properties, "block-ms"));
    int ms = 0;

    if (!text || sscanf(text, "%9d", &ms) != 1 || ms < 1 || ms > BLOCK_MS_MAX)
        ms = BLOCK_MS_DEFAULT;
    return (int64_t)ms * 1000;
}

void bvi_fake_node_catch_up(bvi_fake_node *node)
{
    bvi_fake_job *chain = find_job(node, CHAIN);
    int64_t each = block_time_us(node);
    uint64_t found;

    if (!chain || chain->state != BVI_JOB_RUNNING)
        return;
    found = (uint64_t)((bvi_ctx_now_us(node->fake->base.ctx) - node->block_us) / each);
    node->block_us += (int64_t)found * each;
    for (uint64_t i = found > LINES_AT_ONCE ? found - LINES_AT_ONCE : 0; i < found; i++)
        bvi_fake_job_print(chain, "block %" PRIu64 "\n", node->height + i + 1);
    node->height += found;
}

/* ---- documents ---- */

static bvi_json *timestamp(int64_t ms)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();

    if (!root || bvi_json_put_int64(root, "secs_since_epoch", ms / 1000) < 0 ||
        bvi_json_put_int64(root, "nanos_since_epoch", ms % 1000 * 1000000) < 0)
        return NULL;
    return bvi_take(root);
}

/* What a node's agent says of a job. */
static bvi_json *job_info(const bvi_fake_job *job)
{
    const bvi_job_status status = { .state = job->state,
                                    .has_exit_code = true,
                                    .exit_code = job->exit_code };
    bvi_auto_json bvi_json *info = bvi_json_new_object();
    bvi_json *status_json = NULL;

    if (!info || bvi_job_status_to_json(&status, &status_json, NULL) < 0)
        return NULL;
    if (bvi_json_put(info, "status", status_json) < 0 ||
        bvi_json_put(info, "timestamp", timestamp(job->changed_ms)) < 0 ||
        bvi_json_put(info, "progress", bvi_json_new_null()) < 0 ||
        bvi_json_put_uint64(info, "restart_count", job->restarts) < 0 ||
        bvi_json_put(info, "logs", bvi_json_new_array()) < 0 ||
        bvi_json_put_bool(info, "upgrade_blocking", false) < 0)
        return NULL;
    return bvi_take(info);
}

static bvi_json *job_json(const bvi_fake_job *job)
{
    bvi_auto_json bvi_json *info = job_info(job);

    return info ? bvi_node_job_json(job->name, info) : NULL;
}

bvi_json *bvi_fake_jobs_json(bvi_fake_node *node)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    for (size_t i = 0; list && i < node->jobs.len; i++) {
        if (bvi_json_add(list, job_json(node->jobs.items[i])) < 0)
            return NULL;
    }
    return bvi_take(list);
}

/* ---- calls on jobs ---- */

static void list_jobs(bvi_fake_node *node, bvi_reply *reply)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    int r = root ? bvi_json_put(root, "jobs", bvi_fake_jobs_json(node)) : BV_E_NOMEM;

    bvi_reply_ok(reply, r == 0 ? bvi_take(root) : NULL);
}

static int show(bvi_fake_node *node, bvi_fake_job *job, bv_error **err)
{
    return 0;
}

static int start(bvi_fake_node *node, bvi_fake_job *job, bv_error **err)
{
    if (job->state != BVI_JOB_RUNNING)
        bvi_fake_job_print(job, "%s starts\n", job->name);
    bvi_fake_job_set(node, job, BVI_JOB_RUNNING);
    return 0;
}

static int stop(bvi_fake_node *node, bvi_fake_job *job, bv_error **err)
{
    if (job->state == BVI_JOB_RUNNING)
        bvi_fake_job_set(node, job, BVI_JOB_STOPPED);
    return 0;
}

static int skip(bvi_fake_node *node, bvi_fake_job *job, bv_error **err)
{
    bvi_fake_job_set(node, job, BVI_JOB_FINISHED);
    return 0;
}

static int cleanup(bvi_fake_node *node, bvi_fake_job *job, bv_error **err)
{
    if (job->state == BVI_JOB_RUNNING)
        return bvi_fail(err, BV_E_STATE, "can't cleanup active job '%s': stop it first", job->name);
    return 0;
}

static const struct {
    bvi_call_id id;
    const char *verb;
    int (*act)(bvi_fake_node *node, bvi_fake_job *job, bv_error **err);
} acts[] = {
    { BVI_CALL_JOB_SHOW, "can't show", show },
    { BVI_CALL_JOB_START, "can't start", start },
    { BVI_CALL_JOB_STOP, "can't stop", stop },
    { BVI_CALL_JOB_SKIP, "can't skip", skip },
    { BVI_CALL_JOB_CLEANUP, "can't cleanup", cleanup },
};

static void act_on_job(bvi_fake_node *node, size_t act, const char *name, bvi_reply *reply)
{
    bvi_fake_job *job = find_job(node, name);
    bv_error *err = NULL;

    if (!job)
        bvi_reply_failf(reply, BV_E_NOT_FOUND, "%s, job '%s' not found", acts[act].verb, name);
    else if (acts[act].act(node, job, &err) < 0)
        bvi_reply_fail(reply, err);
    else
        bvi_reply_ok(reply,
                     acts[act].id == BVI_CALL_JOB_SHOW ? job_json(job) : bvi_json_new_object());
}

void bvi_fake_job_call(bvi_fake_node *node, bvi_call_id id, const bvi_json *args, bvi_reply *reply)
{
    const char *name = bvi_json_string(bvi_json_find(args, "job"));

    if (!node->pid) {
        bvi_reply_failf(reply, BV_E_STATE,
                        "node '%s' is not running; start it with `bv node start %s`",
                        node->state.name, node->state.name);
        return;
    }
    if (id == BVI_CALL_JOB_LIST) {
        list_jobs(node, reply);
        return;
    }
    for (size_t i = 0; i < BVI_COUNT(acts); i++) {
        if (acts[i].id == id) {
            act_on_job(node, i, name, reply);
            return;
        }
    }
    bvi_reply_failf(reply, BV_E_UNSUPPORTED, "there is no such call on jobs");
}

/* ---- output ---- */

struct bvi_fake_reader {
    bvi_fake_node *node;
    char *job;
    bvi_reply *reply;
    bvi_timer *timer;
    uint64_t at;
    int64_t until_us;
};

static void reader_free(bvi_fake_reader *reader)
{
    bvi_fake *fake = reader->node->fake;

    for (size_t i = 0; i < fake->readers.len; i++) {
        if (fake->readers.items[i] == reader) {
            bvi_vec_remove(&fake->readers, i);
            break;
        }
    }
    bvi_timer_free(reader->timer);
    bvi_free(reader->job);
    bvi_free(reader);
}

static void cancel_reader(void *data)
{
    bvi_fake_reader *reader = data;
    bvi_reply *reply = reader->reply;

    reader_free(reader);
    bvi_reply_failf(reply, BV_E_CANCELLED, "cancelled");
}

void bvi_fake_readers_end(bvi_fake *fake, const bvi_fake_node *node)
{
    for (size_t i = fake->readers.len; i > 0; i--) {
        if (!node || fake->readers.items[i - 1]->node == node)
            cancel_reader(fake->readers.items[i - 1]);
    }
}

/* What a job printed from a position on. */
static bvi_json *page(const bvi_fake_job *job, uint64_t from)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bool gap = from < job->log_start;
    uint64_t skip_bytes = gap ? 0 : from - job->log_start;
    char cursor[CURSOR_TEXT_MAX];

    if (skip_bytes > job->log.len)
        skip_bytes = job->log.len;
    (void)snprintf(cursor, sizeof(cursor), "1:%" PRIu64,
                   job->log_start + job->log.len); /* at most 22 */
    if (!root ||
        bvi_json_put(root, "text",
                     bvi_json_new_string_n(bvi_buf_str(&job->log) + skip_bytes,
                                           job->log.len - skip_bytes)) < 0 ||
        bvi_json_put_string(root, "cursor", cursor) < 0 || bvi_json_put_bool(root, "gap", gap) < 0)
        return NULL;
    return bvi_take(root);
}

static uint64_t last_lines(const bvi_fake_job *job, uint64_t lines)
{
    const char *text = bvi_buf_str(&job->log);
    size_t at = job->log.len;

    while (at > 0 && lines > 0) {
        const char *before = memrchr(text, '\n', at - 1);

        at = before ? (size_t)(before - text) + 1 : 0;
        lines--;
    }
    return job->log_start + at;
}

static void look(bvi_timer *timer, void *data)
{
    bvi_fake_reader *reader = data;
    bvi_reply *reply = reader->reply;
    bvi_fake_job *job = find_job(reader->node, reader->job);
    bool over = bvi_ctx_now_us(reader->node->fake->base.ctx) >= reader->until_us;

    bvi_fake_node_catch_up(reader->node);
    if (over || job->log_start + job->log.len > reader->at) {
        bvi_json *answer = page(job, reader->at);

        reader_free(reader);
        bvi_reply_ok(reply, answer);
        return;
    }
    (void)bvi_timer_set(reader->timer, LOG_POLL_MS * 1000,
                        NULL); /* it was set before, so there is room */
}

static int follow(bvi_fake_node *node, const char *job, uint64_t at, uint64_t wait_ms,
                  bvi_reply *reply, bv_error **err)
{
    bvi_fake_reader *reader = bvi_new0(bvi_fake_reader);
    bvi_fake_reader **slot;
    int r;

    if (!reader)
        return bvi_fail_nomem(err);
    reader->node = node;
    reader->reply = reply;
    reader->at = at;
    reader->until_us = bvi_ctx_now_us(node->fake->base.ctx) + (int64_t)wait_ms * 1000;
    reader->job = bvi_strdup(job);
    r = reader->job ? bvi_timer_new(node->fake->base.ctx, look, reader, &reader->timer, err)
                    : bvi_fail_nomem(err);
    if (r == 0)
        r = bvi_timer_set(reader->timer, 0, err);
    slot = r == 0 ? bvi_vec_push(&node->fake->readers) : NULL;
    if (!slot) {
        if (r == 0)
            r = bvi_fail(err, BV_E_BUSY, "too many readers of logs");
        reader_free(reader);
        return r;
    }
    *slot = reader;
    bvi_reply_on_cancel(reply, cancel_reader, reader);
    return 0;
}

static int parse_cursor(const char *text, uint64_t *ret_at, bv_error **err)
{
    char extra;

    if (sscanf(text, "1:%" SCNu64 "%c", ret_at, &extra) != 1)
        return bvi_fail(err, BV_E_INVALID, "'%s' is not a cursor of an earlier answer", text);
    return 0;
}

static int read_logs(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply, bv_error **err)
{
    uint64_t lines = LINES_DEFAULT, wait_ms = 0, at = 0;
    const char *name = NULL, *cursor = NULL;
    const bvi_fake_job *job;
    int r;

    if ((r = bvi_json_get_string(args, "job", &name, err)) < 0 ||
        (r = bvi_json_opt_string(args, "cursor", &cursor, err)) < 0 ||
        (r = bvi_json_opt_uint64(args, "lines", &lines, err)) < 0 ||
        (r = bvi_json_opt_uint64(args, "wait_ms", &wait_ms, err)) < 0)
        return r;
    if (!bvi_name_valid(name, JOB_NAME_MAX))
        return bvi_fail(err, BV_E_INVALID, "'%s' is not a job name", name);
    if (wait_ms > UINT32_MAX)
        return bvi_fail(err, BV_E_INVALID, "'wait_ms' is too large");
    job = find_job(node, name);
    if (!job)
        return bvi_fail(err, BV_E_NOT_FOUND, "no logs of job '%s'", name);
    if (cursor) {
        r = parse_cursor(cursor, &at, err);
        return r < 0 ? r : follow(node, name, at, wait_ms, reply, err);
    }
    bvi_reply_ok(reply, page(job, last_lines(job, lines ? lines : LINES_DEFAULT)));
    return 0;
}

void bvi_fake_job_logs(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply)
{
    bv_error *err = NULL;

    if (read_logs(node, args, reply, &err) < 0)
        bvi_reply_fail(reply, err);
}
