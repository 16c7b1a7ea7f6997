/*
 * agent_files.c - file_read and file_write: pieces between the connection and worker threads.
 *
 * A read has one piece in memory: it is sent, and the next one is read when the connection wants
 * it. A write is a series of requests; what was received so far lives in a temporary file beside
 * the target and goes away with a failure, with a caller that went away during a request, or when
 * nothing came for a while.
 */
#include <string.h>

#include "agent/agent_impl.h"
#include "agent/node_file.h"
#include "io/work.h"

/* Upstream's mode of files a plugin writes; the umask applies. */
#define WRITTEN_FILE_MODE 0770
/* A writer that went silent between two requests is given up after this. */
#define UPLOAD_IDLE_US (30 * INT64_C(1000000))

/* ---- file_read ---- */

typedef struct file_read {
    bvi_service_call *call;
    bvi_work work;
    char *root;
    char *path;
    bvi_node_reader *reader; /* NULL before the first piece */
    char *piece;
    size_t len;
    bool last;
    uint8_t digest[BVI_DIGEST_SIZE_MAX];
    bv_error *err;
} file_read;

static void read_free(file_read *read)
{
    bvi_node_reader_free(read->reader);
    bv_error_free(read->err);
    bvi_free(read->piece);
    bvi_free(read->root);
    bvi_free(read->path);
    bvi_free(read);
}

static void read_end(file_read *read, bv_error *err)
{
    (void)bvi_wrap(&err, bv_error_code(err), "file_read '%s' failed",
                   read->path); /* err is the result */
    bvi_service_fail(read->call, err);
    read_free(read);
}

/* On a worker. */
static void read_run(void *data)
{
    file_read *read = data;
    int r = 0;

    if (!read->reader)
        r = bvi_node_reader_open(read->root, read->path, &read->reader, &read->err);
    if (r >= 0)
        (void)bvi_node_reader_next(read->reader, read->piece, &read->len, &read->last, read->digest,
                                   &read->err); /* err tells */
}

static void read_next(void *data)
{
    file_read *read = data;

    bvi_work_submit(&read->work);
}

static void read_done(void *data, bool cancelled)
{
    file_read *read = data;
    Bvi__Agent__BulkReply piece = BVI__AGENT__BULK_REPLY__INIT;
    bv_error *err = bvi_take(read->err);

    if (!err && (cancelled || bvi_service_is_cancelled(read->call)))
        (void)bvi_fail(&err, BV_E_CANCELLED, "the caller is gone");
    piece.out = bvi_message_bytes(read->piece, read->len);
    if (!err && read->last) {
        piece.digest = bvi_message_bytes(read->digest, BVI_NODE_DIGEST_BYTES);
        bvi_service_reply(read->call, &piece.base);
        read_free(read);
        return;
    }
    if (err || bvi_service_send(read->call, &piece.base, read_next, read, &err) < 0)
        read_end(read, err);
}

void bvi_agent_handle_file_read(bvi_service_call *call, const ProtobufCMessage *message,
                                void *service)
{
    const Bvi__Agent__FileReadRequest *request = (const Bvi__Agent__FileReadRequest *)message;
    bvi_agent_server *agent = service;
    file_read *read = bvi_new0(file_read);
    bv_error *err = NULL;

    if (read) {
        read->call = call;
        read->root = bvi_strdup(agent->paths.root);
        read->path = bvi_strdup(request->path);
        read->piece = bvi_malloc(BVI_AGENT_PIECE_MAX);
    }
    if (!read || !read->root || !read->path || !read->piece) {
        (void)bvi_fail_nomem(&err);
        bvi_service_fail(call, err);
        if (read)
            read_free(read);
        return;
    }
    bvi_work_init(&read->work, agent->ctx, read_run, read_done, read);
    bvi_work_submit(&read->work);
}

/* ---- file_write ---- */

struct bvi_file_upload {
    bvi_file_upload *next;
    bvi_agent_server *agent; /* NULL: given up while a worker has it */
    uint64_t transfer;
    char *root;
    char *path;
    bvi_node_writer *writer; /* NULL before the first piece was handled */
    bvi_timer *idle;
    /* The request being handled. */
    bvi_service_call *call; /* NULL: none */
    bvi_work work;
    char *piece;
    size_t len;
    bool last;
    uint8_t digest[BVI_DIGEST_SIZE_MAX];
    bv_error *err;
};

static void upload_free(bvi_file_upload *upload)
{
    bvi_node_writer_free(upload->writer);
    bvi_timer_free(upload->idle);
    bv_error_free(upload->err);
    bvi_free(upload->piece);
    bvi_free(upload->root);
    bvi_free(upload->path);
    bvi_free(upload);
}

static void upload_unlink(bvi_file_upload *upload)
{
    bvi_file_upload **at = upload->agent ? &upload->agent->uploads : NULL;

    while (at && *at && *at != upload)
        at = &(*at)->next;
    if (at && *at) {
        *at = upload->next;
        upload->agent->upload_count--;
    }
    upload->agent = NULL;
}

/* Gone now, or when its worker is done with it. */
static void upload_give_up(bvi_file_upload *upload)
{
    upload_unlink(upload);
    if (!upload->call)
        upload_free(upload);
}

static void on_idle(bvi_timer *timer, void *data)
{
    upload_give_up(data);
}

/* On a worker. */
static void upload_run(void *data)
{
    bvi_file_upload *upload = data;
    int r = 0;

    if (!upload->writer)
        r = bvi_node_writer_open(upload->root, upload->path, WRITTEN_FILE_MODE, &upload->writer,
                                 &upload->err);
    if (r >= 0)
        r = bvi_node_writer_add(upload->writer, upload->piece, upload->len, &upload->err);
    if (r >= 0 && upload->last)
        (void)bvi_node_writer_commit(upload->writer, upload->digest, &upload->err); /* err tells */
}

static void upload_done(void *data, bool cancelled)
{
    bvi_file_upload *upload = data;
    bvi_service_call *call = bvi_take(upload->call);
    bv_error *err = bvi_take(upload->err);
    bool goes_on;

    bvi_free(bvi_take(upload->piece));
    if (cancelled && !err)
        (void)bvi_fail(&err, BV_E_CANCELLED, "the agent is shutting down");
    goes_on = !err && !upload->last && upload->agent && !bvi_service_is_cancelled(call) &&
              bvi_timer_set(upload->idle, UPLOAD_IDLE_US, &err) >= 0;
    if (err)
        (void)bvi_wrap(&err, bv_error_code(err), "file_write '%s' failed",
                       upload->path); /* err is the result */
    if (!goes_on) {
        upload_unlink(upload);
        upload_free(upload);
    }
    bvi_service_end(call, err);
}

static bvi_file_upload *upload_find(const bvi_agent_server *agent, uint64_t transfer)
{
    for (bvi_file_upload *u = agent->uploads; u; u = u->next) {
        if (u->transfer == transfer)
            return u;
    }
    return NULL;
}

static int upload_new(bvi_agent_server *agent, const Bvi__Agent__FileWriteRequest *request,
                      bvi_file_upload **ret_upload, bv_error **err)
{
    bvi_file_upload *upload;
    int r = bvi_node_path_check(request->path, err);

    if (r < 0)
        return r;
    if (agent->upload_count >= BVI_AGENT_UPLOADS_MAX)
        return bvi_fail(err, BV_E_BUSY, "%u files are being written already; try again",
                        BVI_AGENT_UPLOADS_MAX);
    upload = bvi_new0(bvi_file_upload);
    if (!upload)
        return bvi_fail_nomem(err);
    upload->transfer = request->transfer;
    upload->root = bvi_strdup(agent->paths.root);
    upload->path = bvi_strdup(request->path);
    r = upload->root && upload->path
            ? bvi_timer_new(agent->ctx, on_idle, upload, &upload->idle, err)
            : bvi_fail_nomem(err);
    if (r < 0) {
        upload_free(upload);
        return r;
    }
    bvi_work_init(&upload->work, agent->ctx, upload_run, upload_done, upload);
    upload->agent = agent;
    upload->next = agent->uploads;
    agent->uploads = upload;
    agent->upload_count++;
    *ret_upload = upload;
    return 0;
}

static int check_request(const bvi_file_upload *upload, const Bvi__Agent__FileWriteRequest *request,
                         bv_error **err)
{
    uint64_t have = upload && upload->writer ? bvi_node_writer_size(upload->writer) : 0;

    if (request->digest.len != 0 && request->digest.len != BVI_NODE_DIGEST_BYTES)
        return bvi_fail(err, BV_E_FORMAT, "a digest of %zu bytes, expected %u", request->digest.len,
                        BVI_NODE_DIGEST_BYTES);
    if (upload && upload->call)
        return bvi_fail(err, BV_E_BUSY, "the piece of '%s' before this one is being written",
                        upload->path);
    if (request->offset != have)
        return bvi_fail(
            err, BV_E_STATE, "a piece of '%.256s' for offset %llu, but %llu bytes are there",
            request->path, (unsigned long long)request->offset, (unsigned long long)have);
    return 0;
}

static int upload_accept(bvi_file_upload *upload, bvi_service_call *call,
                         const Bvi__Agent__FileWriteRequest *request, bv_error **err)
{
    upload->piece = bvi_strndup((const char *)request->bytes.data, request->bytes.len);
    if (!upload->piece)
        return bvi_fail_nomem(err);
    upload->len = request->bytes.len;
    upload->last = request->digest.len != 0;
    if (upload->last)
        memcpy(upload->digest, request->digest.data, BVI_NODE_DIGEST_BYTES);
    upload->call = call;
    bvi_timer_clear(upload->idle);
    bvi_work_submit(&upload->work);
    return 0;
}

void bvi_agent_handle_file_write(bvi_service_call *call, const ProtobufCMessage *message,
                                 void *service)
{
    const Bvi__Agent__FileWriteRequest *request = (const Bvi__Agent__FileWriteRequest *)message;
    bvi_agent_server *agent = service;
    bvi_file_upload *upload = upload_find(agent, request->transfer);
    bv_error *err = NULL;
    int r = check_request(upload, request, &err);

    if (r >= 0 && !upload)
        r = upload_new(agent, request, &upload, &err);
    if (r >= 0)
        r = upload_accept(upload, call, request, &err);
    if (r >= 0)
        return;
    if (upload && !upload->call)
        upload_give_up(upload);
    bvi_service_fail(call, err);
}

void bvi_agent_drop_uploads(bvi_agent_server *agent)
{
    while (agent->uploads)
        upload_give_up(agent->uploads);
}
