/*
 * node_logs.c - a job's output, read from the node's root on the host; it works while the node is
 * stopped.
 *
 * The root belongs to the node, so the job's directory is opened below it without following links,
 * and read through that descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/utf8.h"
#include "job/job_log.h"
#include "node/node.h"
#include "sys/fs.h"

/* One answer carries no more. */
#define LOG_PAGE_MAX  (256u * 1024u)
#define LINES_DEFAULT 100u
#define JOB_NAME_MAX  128u
/* A reader that waits for output looks so often. */
#define LOG_POLL_MS     150
#define CURSOR_TEXT_MAX 64u
/* A reader that wants to wait longer is answered after so long. */
#define WAIT_MAX_MS (10 * 60 * 1000)

struct bvi_log_reader {
    bvi_manager *manager;
    char *root;
    char *job;
    bvi_reply *reply;
    bvi_timer *timer;
    bvi_job_log_pos pos;
    int64_t until_us;
};

static int open_job_dir(const char *root, const char *job, int *ret_fd, bv_error **err)
{
    bvi_auto_free char *relative = bvi_asprintf("var/lib/babel/jobs/%s", job);
    bvi_auto_close int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (!relative)
        return bvi_fail_nomem(err);
    if (root_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", root);
    r = bvi_fs_open_beneath(root_fd, relative, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
    return r < 0 ? bvi_wrap(err, r, "no logs of job '%s'", job) : 0;
}

/* JSON carries text: bytes that are not UTF-8 become U+FFFD. */
static bvi_json *text_json(const bvi_buf *bytes)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT((size_t)LOG_PAGE_MAX * 3u);
    size_t used = 0;

    if (bvi_utf8_valid(bvi_buf_str(bytes), bytes->len) &&
        !memchr(bvi_buf_str(bytes), '\0', bytes->len))
        return bvi_json_new_string_n(bvi_buf_str(bytes), bytes->len);
    for (size_t i = 0; i < bytes->len; i += used) {
        bool good = bvi_utf8_decode(bytes->data + i, bytes->len - i, &used) > 0;

        if ((good ? bvi_buf_append(&text, bytes->data + i, used)
                  : bvi_buf_append_str(&text, "\xEF\xBF\xBD")) < 0)
            return NULL;
    }
    return bvi_json_new_string_n(bvi_buf_str(&text), text.len);
}

static bvi_json *page(const bvi_buf *bytes, const bvi_job_log_pos *pos, bool gap)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    char cursor[CURSOR_TEXT_MAX];

    (void)snprintf(cursor, sizeof(cursor), "%" PRIu64 ":%" PRIu64, pos->inode,
                   pos->offset); /* at most 41 */
    if (!root || bvi_json_put(root, "text", text_json(bytes)) < 0 ||
        bvi_json_put_string(root, "cursor", cursor) < 0 || bvi_json_put_bool(root, "gap", gap) < 0)
        return NULL;
    return bvi_take(root);
}

static void reader_free(bvi_log_reader *reader)
{
    bvi_manager *manager = reader->manager;

    for (size_t i = 0; i < manager->log_readers.len; i++) {
        if (manager->log_readers.items[i] == reader) {
            bvi_vec_remove(&manager->log_readers, i);
            break;
        }
    }
    bvi_timer_free(reader->timer);
    bvi_free(reader->root);
    bvi_free(reader->job);
    bvi_free(reader);
}

static void reader_fail(bvi_log_reader *reader, bv_error *err)
{
    bvi_reply *reply = reader->reply;

    reader_free(reader);
    bvi_reply_fail(reply, err);
}

/* Reads what came; answers when there is something or the time is over. */
static void look(bvi_timer *timer, void *data)
{
    bvi_log_reader *reader = data;
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(LOG_PAGE_MAX);
    bvi_auto_close int dir = -1;
    char path[64];
    bv_error *err = NULL;
    bool gap = false;
    int r = open_job_dir(reader->root, reader->job, &dir, &err);

    if (r == 0) {
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir); /* fits */
        r = bvi_job_log_next(path, &reader->pos, LOG_PAGE_MAX, &bytes, &gap, &err);
    }
    if (r < 0) {
        reader_fail(reader, err);
        return;
    }
    if (bytes.len || gap || bvi_ctx_now_us(reader->manager->ctx) >= reader->until_us) {
        bvi_reply *reply = reader->reply;
        bvi_json *answer = page(&bytes, &reader->pos, gap);

        reader_free(reader);
        bvi_reply_ok(reply, answer);
        return;
    }
    (void)bvi_timer_set(reader->timer, LOG_POLL_MS * 1000, NULL); /* the timer exists */
}

void bvi_log_reader_cancel(void *data)
{
    bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled"); /* the error is the result */
    reader_fail(data, err);
}

static int follow(bvi_node *node, const char *job, const bvi_job_log_pos *pos, int64_t wait_ms,
                  bvi_reply *reply, bv_error **err)
{
    bvi_log_reader *reader = bvi_new0(bvi_log_reader);
    bvi_log_reader **slot;
    int r;

    if (!reader)
        return bvi_fail_nomem(err);
    reader->manager = node->manager;
    reader->reply = reply;
    reader->pos = *pos;
    reader->until_us = bvi_ctx_now_us(node->ctx) + wait_ms * 1000;
    reader->root = bvi_strdup(node->paths.rootfs);
    reader->job = bvi_strdup(job);
    r = reader->root && reader->job ? 0 : bvi_fail_nomem(err);
    if (r == 0)
        r = bvi_timer_new(node->ctx, look, reader, &reader->timer, err);
    if (r == 0)
        r = bvi_timer_set(reader->timer, 0, err);
    slot = r == 0 ? bvi_vec_push(&node->manager->log_readers) : NULL;
    if (!slot) {
        if (r == 0)
            r = bvi_fail(err, BV_E_BUSY, "too many readers of logs");
        reader_free(reader);
        return r;
    }
    *slot = reader;
    bvi_reply_on_cancel(reply, bvi_log_reader_cancel, reader);
    return 0;
}

static int tail(bvi_node *node, const char *job, uint64_t lines, bvi_json **ret_answer,
                bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf bytes = BVI_BUF_INIT(LOG_PAGE_MAX);
    bvi_job_log_pos pos = { 0 };
    bvi_auto_close int dir = -1;
    char path[64];
    int r = open_job_dir(node->paths.rootfs, job, &dir, err);

    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir); /* fits */
    r = bvi_job_log_tail(path, lines, LOG_PAGE_MAX, &bytes, &pos, err);
    if (r < 0)
        return r;
    *ret_answer = page(&bytes, &pos, false);
    return *ret_answer ? 0 : bvi_fail_nomem(err);
}

static int parse_cursor(const char *text, bvi_job_log_pos *ret_pos, bv_error **err)
{
    char extra;

    /* The first test refuses what sscanf() would take besides digits: signs and blanks. */
    if (text[strspn(text, "0123456789:")] != '\0' || strlen(text) >= CURSOR_TEXT_MAX ||
        sscanf(text, "%" SCNu64 ":%" SCNu64 "%c", &ret_pos->inode, &ret_pos->offset, &extra) != 2)
        return bvi_fail(err, BV_E_INVALID, "'%s' is not a cursor of an earlier answer", text);
    return 0;
}

static int read_logs(bvi_node *node, const bvi_json *args, bvi_reply *reply, bv_error **err)
{
    uint64_t lines = LINES_DEFAULT, wait_ms = 0;
    const char *job = NULL, *cursor = NULL;
    bvi_job_log_pos pos = { 0 };
    bvi_json *answer = NULL;
    int r;

    if ((r = bvi_json_get_string(args, "job", &job, err)) < 0 ||
        (r = bvi_json_opt_string(args, "cursor", &cursor, err)) < 0 ||
        (r = bvi_json_opt_uint64(args, "lines", &lines, err)) < 0 ||
        (r = bvi_json_opt_uint64(args, "wait_ms", &wait_ms, err)) < 0)
        return r;
    if (!bvi_name_valid(job, JOB_NAME_MAX))
        return bvi_fail(err, BV_E_INVALID, "'%s' is not a job name", job);
    if (cursor) {
        r = parse_cursor(cursor, &pos, err);
        if (wait_ms > WAIT_MAX_MS)
            wait_ms = WAIT_MAX_MS;
        return r < 0 ? r : follow(node, job, &pos, (int64_t)wait_ms, reply, err);
    }
    r = tail(node, job, lines ? lines : LINES_DEFAULT, &answer, err);
    if (r == 0)
        bvi_reply_ok(reply, answer);
    return r;
}

void bvi_node_job_logs(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bv_error *err = NULL;

    if (read_logs(node, args, reply, &err) < 0)
        bvi_reply_fail(reply, err);
}
