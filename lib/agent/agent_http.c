/*
 * agent_http.c - run_jrpc and run_rest: one HTTP request from inside the node, so that localhost is
 * the node.
 *
 * Any HTTP status is a result. Proxy variables of the node are honoured and ten redirects followed,
 * as upstream does.
 */
#include <string.h>
#include <strings.h>

#include "agent/agent_impl.h"
#include "base/utf8.h"
#include "sys/fs.h"

#define REDIRECTS_MAX 10u
/* Where our libcurl looks by itself. */
#define SYSTEM_CA_FILE "/etc/ssl/certs/ca-certificates.crt"

typedef struct http_run {
    bvi_service_call *call;
    bvi_http_call *http;
} http_run;

/* What both requests come down to. */
typedef struct wanted {
    const char *url;
    bvi_buf body;     /* empty: GET */
    bvi_strv headers; /* "Name: value", ending with a NULL */
} wanted;

#define WANTED_INIT                                                                                \
    {                                                                                              \
        .body = BVI_BUF_INIT(2 * BVI_AGENT_JSON_MAX),                                              \
        .headers = BVI_VEC_INIT(BVI_AGENT_HEADERS_MAX + 3)                                         \
    }

static void wanted_done(wanted *w)
{
    bvi_buf_done(&w->body);
    bvi_strv_done(&w->headers);
}

/* ---- headers ---- */

static bool is_token(const char *name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (const char *c = name; *c; c++) {
        bool alnum = (*c >= '0' && *c <= '9') || ((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z');

        if (!alnum && !strchr(others, *c))
            return false;
    }
    return *name != '\0';
}

static bool is_value(const char *value)
{
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if ((*c < 0x20 && *c != '\t') || *c == 0x7F)
            return false;
    }
    return true;
}

static bool names(const char *line, const char *name)
{
    size_t len = strlen(name);

    return strncasecmp(line, name, len) == 0 && line[len] == ':';
}

/* A later header replaces an earlier one of its name. */
static int set_header(bvi_strv *headers, const char *name, const char *value, bv_error **err)
{
    char *line;
    int r;

    if (!is_token(name) || strlen(name) > BVI_AGENT_HEADER_MAX)
        return bvi_fail(err, BV_E_INVALID, "'%.64s' is not the name of a header", name);
    if (!is_value(value) || strlen(value) > BVI_AGENT_HEADER_MAX)
        return bvi_fail(err, BV_E_INVALID,
                        "the value of header '%s' has control characters or is too long", name);
    for (size_t i = headers->len; i > 0; i--) {
        if (names(headers->items[i - 1], name)) {
            bvi_free(headers->items[i - 1]);
            bvi_vec_remove(headers, i - 1);
        }
    }
    line = bvi_asprintf("%s: %s", name, value);
    r = bvi_strv_take(headers, line);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "more than %u headers", BVI_AGENT_HEADERS_MAX);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

/* A connection kept alive would be the client's to wait for when it shuts down: Bitcoin's family
 * takes half a minute. */
static int set_headers(bvi_strv *headers, Bvi__Agent__Header *const *given, size_t count,
                       bv_error **err)
{
    int r = set_header(headers, "Connection", "close", err);

    for (size_t i = 0; r >= 0 && i < count; i++)
        r = set_header(headers, given[i]->name, given[i]->value, err);
    return r;
}

/* ---- one request ---- */

static void on_done(bvi_http_call *http, const bvi_http_response *response, const bv_error *err,
                    void *data)
{
    http_run *run = data;
    BVI_AUTO(bvi_buf_done) bvi_buf body = BVI_BUF_INIT(BVI_AGENT_BODY_MAX);
    bv_error *failure = err ? bvi_error_copy(err) : NULL;

    if (!failure && bvi_buf_append(&body, response->body, response->body_len) < 0)
        (void)bvi_fail_nomem(&failure);
    if (failure)
        bvi_service_fail(run->call, failure);
    else
        bvi_service_reply_bulk(run->call, &body, NULL, response->status, false);
    bvi_free(run);
}

static void on_cancel(void *data)
{
    http_run *run = data;

    bvi_http_cancel(run->http);
}

/* Whom to trust: the node's own certificates, else those of the bundle. */
static const char *ca_file(const bvi_agent_server *agent)
{
    return !bvi_fs_exists(SYSTEM_CA_FILE) && bvi_fs_exists(agent->paths.ca_file)
               ? agent->paths.ca_file
               : NULL;
}

static int start(bvi_agent_server *agent, http_run *run, wanted *w, bv_error **err)
{
    bvi_http_request request = BVI_HTTP_REQUEST_INIT;
    bvi_auto_free const char **headers = bvi_new_array(const char *, w->headers.len + 1);
    int r = 0;

    if (!headers)
        return bvi_fail_nomem(err);
    if (strlen(w->url) > BVI_AGENT_URL_MAX)
        return bvi_fail(err, BV_E_LIMIT, "a URL of more than %u bytes", BVI_AGENT_URL_MAX);
    for (size_t i = 0; i < w->headers.len; i++)
        headers[i] = w->headers.items[i];
    if (!agent->http)
        r = bvi_http_new(agent->ctx, NULL, &agent->http, err);
    if (r < 0)
        return r;
    request.ca_file = ca_file(agent);
    request.url = w->url;
    request.method = w->body.len ? "POST" : "GET";
    request.body = w->body.len ? w->body.data : NULL;
    request.body_len = w->body.len;
    request.headers = headers;
    request.redirects_max = REDIRECTS_MAX;
    request.response_max = BVI_AGENT_BODY_MAX;
    request.deadline_ms = bvi_service_timeout_ms(run->call, BVI_AGENT_HTTP_MS);
    request.idle_timeout_ms = -1; /* the deadline is enough */
    request.on_done = on_done;
    request.data = run;
    return bvi_http_start(agent->http, &request, &run->http, err);
}

static void begin(bvi_agent_server *agent, bvi_service_call *call, wanted *w, int r, bv_error *err)
{
    http_run *run = r < 0 ? NULL : bvi_new0(http_run);

    if (run) {
        run->call = call;
        r = start(agent, run, w, &err);
    } else if (r >= 0) {
        r = bvi_fail_nomem(&err);
    }
    if (r < 0) {
        bvi_free(run);
        bvi_service_fail(call, err);
        return;
    }
    bvi_service_on_cancel(call, on_cancel, run);
}

/* ---- the two forms ---- */

static int add_params(bvi_buf *body, const char *params, bv_error **err)
{
    bvi_auto_json bvi_json *checked = NULL;
    bvi_auto_free char *text = NULL;
    int r;

    if (!*params)
        return 0;
    r = bvi_json_parse(params, strlen(params), &checked, err);
    if (r < 0)
        return bvi_wrap(err, r, "the params of a JSON-RPC request");
    r = bvi_json_print(checked, false, &text, err);
    if (r < 0)
        return r;
    r = bvi_buf_printf(body, ",\"params\":%s", text);
    return r < 0 ? bvi_fail(err, r, "the params of a JSON-RPC request are too long") : 0;
}

static int jrpc_body(bvi_buf *body, const Bvi__Agent__RunJrpcRequest *request, bv_error **err)
{
    bvi_auto_json bvi_json *name = bvi_json_new_string(request->method);
    bvi_auto_free char *method = NULL;
    int r;

    if (!bvi_utf8_valid(request->method, strlen(request->method)))
        return bvi_fail(err, BV_E_INVALID, "the JSON-RPC method is not valid UTF-8");
    r = name ? bvi_json_print(name, false, &method, err) : bvi_fail_nomem(err);
    if (r < 0)
        return r;
    r = bvi_buf_printf(body, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":%s", method);
    if (r < 0)
        return bvi_fail(err, r, "the JSON-RPC method is too long");
    r = add_params(body, request->params_json, err);
    if (r < 0)
        return r;
    r = bvi_buf_append_char(body, '}');
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

void bvi_agent_handle_run_jrpc(bvi_service_call *call, const ProtobufCMessage *message,
                               void *service)
{
    const Bvi__Agent__RunJrpcRequest *request = (const Bvi__Agent__RunJrpcRequest *)message;
    BVI_AUTO(wanted_done) wanted w = WANTED_INIT;
    bv_error *err = NULL;
    int r = jrpc_body(&w.body, request, &err);

    w.url = request->host;
    if (r >= 0)
        r = set_header(&w.headers, "Content-Type", "application/json", &err);
    if (r >= 0)
        r = set_headers(&w.headers, request->headers, request->n_headers, &err);
    begin(service, call, &w, r, err);
}

void bvi_agent_handle_run_rest(bvi_service_call *call, const ProtobufCMessage *message,
                               void *service)
{
    const Bvi__Agent__RunRestRequest *request = (const Bvi__Agent__RunRestRequest *)message;
    BVI_AUTO(wanted_done) wanted w = WANTED_INIT;
    bv_error *err = NULL;
    int r;

    w.url = request->url;
    r = set_headers(&w.headers, request->headers, request->n_headers, &err);
    begin(service, call, &w, r, err);
}
