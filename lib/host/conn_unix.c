/*
 * conn_unix.c - "unix:<socket>": a daemon on this machine, over HTTP and JSON.
 *
 * Every call is one request that accepts a stream of lines: progress as it comes, then the result or the error.
 */
#include <string.h>

#include "host/conn.h"
#include "net/http.h"

/* One line of an answer; lists of many nodes are one line. */
#define LINE_MAX_BYTES (64u * 1024u * 1024u)
#define PATH_MAX_BYTES (16u * 1024u)
#define CONNECT_MS     5000

typedef struct unix_call unix_call;

typedef struct unix_conn {
    bvi_conn base;
    char *socket_path;
    bvi_http *http;
} unix_conn;

struct unix_call {
    unix_conn *conn;
    bvi_reply *reply;
    bvi_http_call *http_call;
    bvi_buf line;
    bvi_json *result;
    bv_error *error; /* what the daemon failed with */
};

static void call_free(unix_call *call)
{
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
    bv_progress p = { .size = sizeof(p), .phase = phase ? phase : "", .unit = unit ? unit : "", .eta_ms = -1 };

    /* A field of another type is left at nothing. */
    (void)bvi_json_uint64(bvi_json_find(node, "done"), &p.done);
    (void)bvi_json_uint64(bvi_json_find(node, "total"), &p.total);
    (void)bvi_json_uint64(bvi_json_find(node, "bytes_per_s"), &p.bytes_per_s);
    (void)bvi_json_int64(bvi_json_find(node, "eta_ms"), &p.eta_ms);
    bvi_reply_progress(call->reply, &p);
}

static int take_line(unix_call *call, const char *text, size_t len)
{
    bvi_auto_json bvi_json *line = NULL;
    const bvi_json *result, *error, *progress;

    if (len == 0)
        return 0;
    if (bvi_json_parse(text, len, &line, NULL) < 0)
        return BV_E_FORMAT;
    result = bvi_json_find(line, "result");
    error = bvi_json_find(line, "error");
    progress = bvi_json_find(line, "progress");
    if (progress)
        report(call, progress);
    if (error && !call->error)
        call->error = read_error(error);
    if (result && !call->result) {
        call->result = bvi_json_copy(result);
        if (!call->result)
            return BV_E_NOMEM;
    }
    return 0;
}

static int on_data(bvi_http_call *http_call, const void *bytes, size_t len, void *data)
{
    unix_call *call = data;
    int r = bvi_buf_append(&call->line, bytes, len);

    while (r == 0) {
        const char *text = bvi_buf_str(&call->line);
        const char *end = memchr(text, '\n', call->line.len);

        if (!end)
            break;
        r = take_line(call, text, (size_t)(end - text));
        bvi_buf_consume(&call->line, (size_t)(end - text) + 1);
    }
    return r;
}

/* A failure before the stream began is one document. */
static void read_failure(unix_call *call, const bvi_http_response *response, bv_error **err)
{
    bvi_auto_json bvi_json *body = NULL;

    if (bvi_json_parse(response->body, response->body_len, &body, NULL) == 0 && bvi_json_find(body, "error"))
        *err = read_error(bvi_json_find(body, "error"));
    else
        (void)bvi_http_check(response, err); /* the error is what we want */
}

static void on_done(bvi_http_call *http_call, const bvi_http_response *response, const bv_error *err, void *data)
{
    unix_call *call = data;
    bvi_reply *reply = call->reply;
    bv_error *failure = NULL;

    if (call->error)
        failure = bvi_take(call->error);
    else if (err && bv_error_code(err) == BV_E_CANCELLED)
        failure = bvi_error_copy(err);
    else if (err) {
        failure = bvi_error_copy(err);
        (void)bvi_wrap(&failure, bv_error_code(err),
                       response->status ? "the connection to the daemon on '%s' broke"
                                        : "cannot reach the daemon on '%s'; is blockvisord running?",
                       call->conn->socket_path);
    } else if (response->status >= 300) {
        read_failure(call, response, &failure);
    } else if (!call->result) {
        (void)bvi_fail(&failure, BV_E_REMOTE, "the daemon ended its answer without a result"); /* told below */
    }
    if (failure)
        bvi_reply_fail(reply, failure);
    else
        bvi_reply_ok(reply, bvi_take(call->result));
    call_free(call);
}

/* ---- the request ---- */

static int append_encoded(bvi_buf *out, const char *text)
{
    int r = 0;

    for (; r == 0 && *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);

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

/* http://blockvisor/v1/nodes/<node>/start, with what a template names filled in. */
static int append_path(bvi_buf *out, const char *template_path, const bvi_json *args)
{
    int r = bvi_buf_append_str(out, "http://blockvisor");

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

static int send(unix_conn *conn, const bvi_call *spec, const bvi_json *args, unix_call *call, bv_error **err)
{
    static const char *const headers[] = { "Accept: application/x-ndjson", "Content-Type: application/json", "Expect:",
                                           NULL };
    BVI_AUTO(bvi_buf_done) bvi_buf url = BVI_BUF_INIT(PATH_MAX_BYTES);
    bvi_auto_json bvi_json *body = bvi_json_new_object();
    bvi_auto_free char *text = NULL;
    bvi_http_request request = BVI_HTTP_REQUEST_INIT;

    if (!body || append_path(&url, spec->path, args) < 0 || put_rest(spec, args, &url, body) < 0)
        return bvi_fail_nomem(err);
    if (!is_query(spec) && bvi_json_print(body, false, &text, err) < 0)
        return BV_E_NOMEM;
    request.method = spec->http_method;
    request.url = bvi_buf_str(&url);
    request.headers = headers;
    request.unix_socket = conn->socket_path;
    request.body = text;
    request.body_len = text ? strlen(text) : 0;
    request.connect_timeout_ms = CONNECT_MS;
    request.idle_timeout_ms = -1; /* a call takes as long as it takes */
    request.on_data = on_data;
    request.on_done = on_done;
    request.data = call;
    return bvi_http_start(conn->http, &request, &call->http_call, err);
}

static void on_cancel(void *data)
{
    unix_call *call = data;

    bvi_http_cancel(call->http_call);
}

static void unix_call_begin(bvi_conn *base, const bvi_call *spec, const bvi_json *args, bvi_reply *reply)
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
    if (send(conn, spec, args, call, &err) < 0) {
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

    bvi_http_free(conn->http);
    bvi_free(conn->socket_path);
    bvi_free(conn);
}

static int unix_open(bv_ctx *ctx, const char *rest, const bv_host_opts *opts, bvi_conn **ret_conn, bv_error **err)
{
    unix_conn *conn = bvi_new0(unix_conn);
    int r;

    if (!conn)
        return bvi_fail_nomem(err);
    conn->base = (bvi_conn){ &bvi_conn_unix, ctx };
    conn->socket_path = bvi_strdup(*rest ? rest : BV_HOST_SOCKET_DEFAULT);
    r = conn->socket_path ? bvi_http_new(ctx, NULL, &conn->http, err) : bvi_fail_nomem(err);
    if (r < 0) {
        unix_close(&conn->base);
        return r;
    }
    *ret_conn = &conn->base;
    return 0;
}

const bvi_conn_vtable bvi_conn_unix = {
    .scheme = "unix", .open = unix_open, .close = unix_close, .call = unix_call_begin
};
