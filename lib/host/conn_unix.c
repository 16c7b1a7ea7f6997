/*
 * conn_unix.c - "unix:<socket>": a daemon on this machine, over HTTP and JSON.
 *
 * Every call is one connection and one request that accepts a stream of lines: progress as it
 * comes, then the result or the error. Closing the connection is what cancels a call at the daemon.
 */
#include <string.h>

#include "base/vec.h"
#include "host/conn.h"
#include "io/stream.h"
#include "net/http_reader.h"

/* One line of an answer; lists of many nodes are one line. */
#define LINE_MAX_BYTES (64u * 1024u * 1024u)
#define PATH_MAX_BYTES (16u * 1024u)
/* A head and a body; daemons take no larger ones. */
#define REQUEST_MAX_BYTES (2u * 1024u * 1024u)
#define CALLS_MAX         4096u

typedef struct unix_call unix_call;

typedef struct unix_conn {
    bvi_conn base;
    char *socket_path;
    BVI_VEC(unix_call *) calls;
} unix_conn;

struct unix_call {
    unix_conn *conn;
    bvi_reply *reply;
    bvi_stream *stream;
    bvi_http_reader http;
    bvi_buf line; /* what is not a whole line yet */
    bvi_json *result;
    bv_error *error; /* what the daemon failed with */
};

static void call_free(unix_call *call)
{
    unix_conn *conn = call->conn;

    for (size_t i = 0; i < conn->calls.len; i++) {
        if (conn->calls.items[i] == call) {
            bvi_vec_remove(&conn->calls, i);
            break;
        }
    }
    bvi_stream_free(call->stream);
    bvi_http_reader_done(&call->http);
    bvi_buf_done(&call->line);
    bvi_json_free(call->result);
    bv_error_free(call->error);
    bvi_free(call);
}

/* ---- the answer ---- */

/* The daemon's error as the same object: code and chain. */
static bv_error *read_error(const bvi_json *node)
{
    const char *code_name = bvi_json_string(bvi_json_find(node, "code"));
    const bvi_json *chain = bvi_json_find(node, "chain");
    int code = code_name ? bvi_code_from_name(code_name) : BV_E_REMOTE;
    const char *messages[32];
    size_t count = 0;
    bv_error *err = NULL;

    bvi_json_each(it, chain) {
        if (count < BVI_COUNT(messages) && bvi_json_string(it))
            messages[count++] = bvi_json_string(it);
    }
    if (count == 0) {
        (void)bvi_fail(&err, code, "the daemon gave no reason"); /* the error is what we want */
        return err;
    }
    (void)bvi_fail(&err, code, "%s", messages[--count]); /* the error is what we want */
    while (count > 0) {
        count--;
        (void)bvi_wrap(&err, code, "%s", messages[count]);
    }
    return err;
}

static void report(unix_call *call, const bvi_json *node)
{
    const char *phase = bvi_json_string(bvi_json_find(node, "phase"));
    const char *unit = bvi_json_string(bvi_json_find(node, "unit"));
    bv_progress p = {
        .size = sizeof(p), .phase = phase ? phase : "", .unit = unit ? unit : "", .eta_ms = -1
    };

    /* A field of another type is left at nothing. */
    (void)bvi_json_uint64(bvi_json_find(node, "done"), &p.done);
    (void)bvi_json_uint64(bvi_json_find(node, "total"), &p.total);
    (void)bvi_json_uint64(bvi_json_find(node, "bytes_per_s"), &p.bytes_per_s);
    (void)bvi_json_int64(bvi_json_find(node, "eta_ms"), &p.eta_ms);
    bvi_reply_progress(call->reply, &p);
}

static int take_line(unix_call *call, const char *text, size_t len, bv_error **err)
{
    bvi_auto_json bvi_json *line = NULL;
    const bvi_json *error, *progress;
    int r = len ? bvi_json_parse(text, len, &line, err) : 0;

    if (r < 0)
        return bvi_wrap(err, r, "the daemon's answer");
    error = bvi_json_find(line, "error");
    progress = bvi_json_find(line, "progress");
    if (progress)
        report(call, progress);
    if (error && !call->error)
        call->error = read_error(error);
    if (line && !call->result)
        call->result = bvi_json_detach(line, "result");
    return 0;
}

/* Body of the answer: whole lines are taken, the rest is kept. */
static int on_body(const char *bytes, size_t len, void *data, bv_error **err)
{
    unix_call *call = data;
    int r = 0;

    while (r == 0 && len > 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end ? (size_t)(end - bytes) : len;

        r = bvi_buf_append(&call->line, bytes, part);
        if (r < 0)
            return bvi_fail(err, r, "the daemon's answer has a line of more than %u bytes",
                            LINE_MAX_BYTES);
        if (end) {
            r = take_line(call, bvi_buf_str(&call->line), call->line.len, err);
            bvi_buf_clear(&call->line);
        }
        bytes += part + (end ? 1 : 0);
        len -= part + (end ? 1 : 0);
    }
    return r;
}

/* ---- the end ---- */

/* Owns err. */
static void finish(unix_call *call, bv_error *err)
{
    bvi_reply *reply = call->reply;
    bvi_json *result = bvi_take(call->result);

    if (call->error) {
        bv_error_free(err);
        err = bvi_take(call->error);
    }
    if (!err && !result)
        (void)bvi_fail(&err, BV_E_REMOTE,
                       "the daemon ended its answer without a result"); /* told below */
    call_free(call);
    if (!err) {
        bvi_reply_ok(reply, result);
        return;
    }
    bvi_json_free(result);
    bvi_reply_fail(reply, err);
}

static void fail_broken(unix_call *call, bv_error *err)
{
    (void)bvi_wrap(&err, BV_E_REMOTE, "the connection to the daemon on '%s' broke",
                   call->conn->socket_path);
    finish(call, err);
}

/* All of the answer is there: a document without a line end is a failure before the stream began,
 * or it is nothing. */
static void answered(unix_call *call)
{
    bv_error *err = NULL;

    if (call->line.len && take_line(call, bvi_buf_str(&call->line), call->line.len, &err) < 0) {
        bv_error_free(err);
        err = NULL;
    }
    if (call->http.status >= 300 && !call->error)
        (void)bvi_fail(&err, BV_E_REMOTE, "the daemon on '%s' answered with HTTP status %d",
                       call->conn->socket_path, call->http.status); /* told by finish() */
    finish(call, err);
}

static void on_read(bvi_stream *stream, const void *bytes, size_t len, void *data)
{
    unix_call *call = data;
    bv_error *err = NULL;

    if (bvi_http_reader_feed(&call->http, bytes, len, &err) < 0)
        fail_broken(call, err);
    else if (call->http.part == BVI_HTTP_DONE)
        answered(call);
}

static void on_close(bvi_stream *stream, const bv_error *why, void *data)
{
    unix_call *call = data;
    bv_error *err = NULL;

    if (why)
        err = bvi_error_copy(why);
    else
        (void)bvi_http_reader_end(&call->http, &err); /* told below */
    if (err)
        fail_broken(call, err);
    else
        answered(call);
}

static void on_cancel(void *data)
{
    unix_call *call = data;
    bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled"); /* the error is what we want */
    bv_error_free(call->error);
    call->error = NULL;
    finish(call, err);
}

/* ---- the request ---- */

static int append_encoded(bvi_buf *out, const char *text)
{
    int r = 0;

    for (; r == 0 && *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~", c);

        r = plain ? bvi_buf_append_char(out, (char)c) : bvi_buf_printf(out, "%%%02X", c);
    }
    return r;
}

static int append_value(bvi_buf *out, const bvi_json *value)
{
    bvi_auto_free char *text = NULL;

    if (bvi_json_string(value))
        return append_encoded(out, bvi_json_string(value));
    return bvi_json_print(value, false, &text, NULL) < 0 ? BV_E_NOMEM : append_encoded(out, text);
}

/* /v1/nodes/<node>/start, with what a template names filled in. */
static int append_path(bvi_buf *out, const char *template_path, const bvi_json *args)
{
    int r = 0;

    while (r == 0 && *template_path) {
        size_t plain = strcspn(template_path, "{");

        r = bvi_buf_append(out, template_path, plain);
        template_path += plain;
        if (r == 0 && *template_path == '{') {
            size_t len = strcspn(++template_path, "}");
            bvi_auto_free char *name = bvi_strndup(template_path, len);

            r = name ? append_value(out, bvi_json_find(args, name)) : BV_E_NOMEM;
            template_path += len + 1;
        }
    }
    return r;
}

static bool is_query(const bvi_call *call)
{
    return strcmp(call->http_method, "GET") == 0 || strcmp(call->http_method, "DELETE") == 0;
}

/* What is not in the path goes into the query or the body. */
static int put_rest(const bvi_call *call, const bvi_json *args, bvi_buf *url, bvi_json *body)
{
    const char *cursor = call->args;
    const char *joint = "?";
    bvi_call_arg arg;

    while (bvi_call_next_arg(&cursor, &arg)) {
        const bvi_json *value = bvi_json_find(args, arg.name);

        if (bvi_json_type_of(value) == BVI_JSON_NULL || bvi_call_arg_in_path(call, &arg))
            continue;
        if (!is_query(call)) {
            if (bvi_json_put(body, arg.name, bvi_json_copy(value)) < 0)
                return BV_E_NOMEM;
            continue;
        }
        if (bvi_buf_printf(url, "%s%s=", joint, arg.name) < 0 || append_value(url, value) < 0)
            return BV_E_NOMEM;
        joint = "&";
    }
    return 0;
}

static int append_request(const bvi_call *spec, const bvi_json *args, bvi_buf *out, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf path = BVI_BUF_INIT(PATH_MAX_BYTES);
    bvi_auto_json bvi_json *body = bvi_json_new_object();
    bvi_auto_free char *text = NULL;
    int r = body ? append_path(&path, spec->path, args) : BV_E_NOMEM;

    if (r == 0)
        r = put_rest(spec, args, &path, body);
    if (r == 0 && !is_query(spec))
        r = bvi_json_print(body, false, &text, NULL);
    if (r == 0)
        r = bvi_buf_printf(out,
                           "%s %s HTTP/1.1\r\nHost: blockvisor\r\nConnection: close\r\n"
                           "Accept: application/x-ndjson\r\n",
                           spec->http_method, bvi_buf_str(&path));
    if (r == 0 && text)
        r = bvi_buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                           strlen(text));
    if (r == 0)
        r = bvi_buf_append_str(out, "\r\n");
    if (r == 0 && text)
        r = bvi_buf_append_str(out, text);
    return r < 0
               ? bvi_fail(err, r, r == BV_E_LIMIT ? "the arguments are too large" : "out of memory")
               : 0;
}

static int connect_to(unix_conn *conn, unix_call *call, bv_error **err)
{
    const bvi_stream_opts opts = {
        .write_max = REQUEST_MAX_BYTES, .on_read = on_read, .on_close = on_close, .data = call
    };
    int r = bvi_stream_connect(conn->base.ctx, conn->socket_path, &opts, &call->stream, err);

    if (r == BV_E_DENIED)
        return bvi_wrap(err, r, "you may not use the daemon on '%s'; be root or join its group",
                        conn->socket_path);
    if (r < 0 && r != BV_E_NOMEM)
        return bvi_wrap(err, BV_E_REMOTE,
                        "cannot reach the daemon on '%s'; is blockvisord running?",
                        conn->socket_path);
    return r;
}

static int begin(unix_conn *conn, const bvi_call *spec, const bvi_json *args, unix_call *call,
                 bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf request = BVI_BUF_INIT(REQUEST_MAX_BYTES);
    unix_call **slot = bvi_vec_push(&conn->calls);
    int r;

    if (!slot)
        return bvi_fail(err, BV_E_BUSY, "%u calls are under way", CALLS_MAX);
    *slot = call;
    if ((r = append_request(spec, args, &request, err)) < 0 ||
        (r = connect_to(conn, call, err)) < 0)
        return r;
    return bvi_stream_write(call->stream, bvi_buf_str(&request), request.len, err);
}

static void unix_call_begin(bvi_conn *base, const bvi_call *spec, const bvi_json *args,
                            bvi_reply *reply)
{
    unix_conn *conn = (unix_conn *)base;
    unix_call *call = bvi_new0(unix_call);
    bv_error *err = NULL;

    if (!call) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    call->conn = conn;
    call->reply = reply;
    bvi_buf_init(&call->line, LINE_MAX_BYTES);
    bvi_http_reader_init(&call->http, on_body, call);
    if (begin(conn, spec, args, call, &err) < 0) {
        call_free(call);
        bvi_reply_fail(reply, err);
        return;
    }
    bvi_reply_on_cancel(reply, on_cancel, call);
}

/* ---- opening ---- */

static void unix_close(bvi_conn *base)
{
    unix_conn *conn = (unix_conn *)base;

    while (conn->calls.len)
        on_cancel(conn->calls.items[0]);
    bvi_vec_done(&conn->calls);
    bvi_free(conn->socket_path);
    bvi_free(conn);
}

static int unix_open(bv_ctx *ctx, const char *rest, const bv_host_opts *opts, bvi_conn **ret_conn,
                     bv_error **err)
{
    unix_conn *conn = bvi_new0(unix_conn);

    if (!conn)
        return bvi_fail_nomem(err);
    conn->base = (bvi_conn){ &bvi_conn_unix, ctx };
    conn->calls.max = CALLS_MAX;
    conn->socket_path = bvi_strdup(*rest ? rest : BV_HOST_SOCKET_DEFAULT);
    if (!conn->socket_path) {
        bvi_free(conn);
        return bvi_fail_nomem(err);
    }
    *ret_conn = &conn->base;
    return 0;
}

const bvi_conn_vtable bvi_conn_unix = {
    .scheme = "unix", .open = unix_open, .close = unix_close, .call = unix_call_begin
};
