/*
 * lib_http.c - run_jrpc(), run_rest(), run_graphql() and their response (spec plugin.md 4.5).
 *
 * Requests are checked and normalised here, so the environment gets one form only: headers is
 * always an array of [name, value] pairs in which each name occurs once.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "plugin/lib.h"

#define HEADERS_MAX 256u
/* Of a GraphQL request with its encoded query. */
#define URL_MAX (256u * 1024u)

/* ---- the response ---- */

typedef struct response {
    int64_t status_code;
    char *body;
} response;

static const bvi_script_type type; /* below its methods */

static void response_free(void *object)
{
    response *r = object;

    if (!r)
        return;
    bvi_free(r->body);
    bvi_free(r);
}

static int get_status_code(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                           void *data)
{
    *ret = bvi_value_int(((const response *)bvi_value_object(&args[0], &type))->status_code);
    return 0;
}

static int get_body(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const response *r = bvi_value_object(&args[0], &type);
    int code = bvi_value_cstring(bvi_script_engine_of(call), r->body, ret);

    return code < 0 ? bvi_script_throw_code(call, code) : 0;
}

static int take_body(bvi_script_call *call, const response *r, bool expected, bvi_value *ret)
{
    if (!expected)
        return bvi_script_throw(call, "unexpected status_code: %" PRId64, r->status_code);
    return bvi_script_parse_json(call, r->body, strlen(r->body), ret);
}

static int expect_code(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                       void *data)
{
    const response *r = bvi_value_object(&args[0], &type);

    return take_body(call, r, r->status_code == args[1].as.i, ret);
}

static int checked(bvi_script_call *call, bvi_value *args, size_t argc, const bvi_value *result,
                   bvi_value *ret, void *data)
{
    if (result->type != BVI_T_BOOL)
        return bvi_script_throw_output(call, result, "bool");
    return take_body(call, bvi_value_object(&args[0], &type), result->as.b, ret);
}

static int expect_check(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                        void *data)
{
    const response *r = bvi_value_object(&args[0], &type);
    bvi_value status = bvi_value_int(r->status_code);

    return bvi_script_invoke(call, &args[1], &status, 1, checked);
}

static const bvi_script_function methods[] = {
    { "status_code", "", get_status_code, BVI_SCRIPT_PROPERTY_ONLY },
    { "body", "", get_body, BVI_SCRIPT_PROPERTY_ONLY },
    { "expect", "i", expect_code },
    { "expect", "p", expect_check },
    { NULL },
};
static const bvi_script_type type = { "DressedHttpResponse", methods, response_free };

static int to_response(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err)
{
    const char *body = "";
    response *made = bvi_new0(response);
    int r;

    if (!made)
        return bvi_fail_nomem(err);
    r = bvi_json_get_int64(answer->json, "status_code", &made->status_code, err);
    if (r >= 0)
        r = bvi_json_opt_string(answer->json, "body", &body, err);
    made->body = bvi_strdup(body);
    if (r < 0 || !made->body) {
        response_free(made);
        return r < 0 ? bvi_wrap(err, r, "answer to a request") : bvi_fail_nomem(err);
    }
    r = bvi_value_host(run->lane->engine, &type, made, ret_value);
    return r < 0 ? bvi_fail(err, r, "the response is too large for the script") : 0;
}

/* ---- requests ---- */

static bool is_null(const bvi_json *value)
{
    return bvi_json_type_of(value) == BVI_JSON_NULL;
}

static int need_string(const bvi_json *map, const char *key, const char **ret_text, bv_error **err)
{
    const bvi_json *value = bvi_json_find(map, key);

    if (!value)
        return bvi_fail(err, BV_E_FORMAT, "Syntax error: missing field `%s`", key);
    *ret_text = bvi_json_string(value);
    if (!*ret_text)
        return bvi_fail(err, BV_E_FORMAT,
                        "Output type incorrect: '%s' is not a string (expecting String)", key);
    return 0;
}

typedef struct header {
    const char *name;
    const char *value;
} header;

typedef struct headers {
    header items[HEADERS_MAX];
    size_t len;
} headers;

/* A name given twice: the last one wins. */
static int set_header(headers *h, const char *name, const char *value, bv_error **err)
{
    size_t i = 0;

    if (!name || !value)
        return bvi_fail(err, BV_E_FORMAT,
                        "Output type incorrect: a header's name and value must be strings "
                        "(expecting String)");
    while (i < h->len && strcasecmp(h->items[i].name, name) != 0)
        i++;
    if (i == HEADERS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u headers", HEADERS_MAX);
    if (i == h->len)
        h->len++;
    h->items[i] = (header){ name, value };
    return 0;
}

static int set_pair(headers *h, const bvi_json *pair, bv_error **err)
{
    const bvi_json *name = bvi_json_first(pair);
    const bvi_json *value = name ? bvi_json_next(name) : NULL;

    if (bvi_json_type_of(pair) != BVI_JSON_ARRAY)
        return bvi_fail(err, BV_E_FORMAT, "Output type incorrect: %s (expecting Array)",
                        bvi_json_type_name(pair));
    if (!value)
        return bvi_fail(err, BV_E_FORMAT,
                        "Syntax error: invalid length %d, expected a tuple of size 2",
                        name ? 1 : 0);
    return set_header(h, bvi_json_string(name), bvi_json_string(value), err);
}

static int read_headers(const bvi_json *map, headers *h, bv_error **err)
{
    const bvi_json *given = bvi_json_find(map, "headers");
    bvi_json_type kind = bvi_json_type_of(given);
    int r = 0;

    if (kind == BVI_JSON_NULL)
        return 0;
    if (kind != BVI_JSON_ARRAY && kind != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "unsupported jrpc headers type");
    bvi_json_each(item, given) {
        r = kind == BVI_JSON_ARRAY ? set_pair(h, item, err)
                                   : set_header(h, bvi_json_key(item), bvi_json_string(item), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* NULL: no memory. */
static bvi_json *headers_json(const headers *h)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    for (size_t i = 0; list && i < h->len; i++) {
        bvi_auto_json bvi_json *pair = bvi_json_new_array();

        if (!pair || bvi_json_add(pair, bvi_json_new_string(h->items[i].name)) < 0 ||
            bvi_json_add(pair, bvi_json_new_string(h->items[i].value)) < 0 ||
            bvi_json_add(list, bvi_take(pair)) < 0)
            return NULL;
    }
    return bvi_take(list);
}

static int put_headers(bvi_json *request, const headers *h, bv_error **err)
{
    return bvi_json_put(request, "headers", headers_json(h)) < 0 ? bvi_fail_nomem(err) : 0;
}

typedef int (*build_fn)(const bvi_json *map, bvi_json *request, bv_error **err);

static int build_jrpc(const bvi_json *map, bvi_json *request, bv_error **err)
{
    const bvi_json *params = bvi_json_find(map, "params");
    headers h = { .len = 0 };
    const char *host = NULL;
    const char *method = NULL;
    int r;

    r = need_string(map, "host", &host, err);
    if (r >= 0)
        r = need_string(map, "method", &method, err);
    if (r >= 0)
        r = read_headers(map, &h, err);
    if (r < 0)
        return r;
    if (!is_null(params) && bvi_json_type_of(params) != BVI_JSON_ARRAY &&
        bvi_json_type_of(params) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "unsupported jrpc params type");
    if (bvi_json_put_string(request, "host", host) < 0 ||
        bvi_json_put_string(request, "method", method) < 0 ||
        (!is_null(params) && bvi_json_put(request, "params", bvi_json_copy(params)) < 0))
        return bvi_fail_nomem(err);
    return put_headers(request, &h, err);
}

static int build_rest(const bvi_json *map, bvi_json *request, bv_error **err)
{
    headers h = { .len = 0 };
    const char *url = NULL;
    int r;

    r = need_string(map, "url", &url, err);
    if (r >= 0)
        r = read_headers(map, &h, err);
    if (r < 0)
        return r;
    if (bvi_json_put_string(request, "url", url) < 0)
        return bvi_fail_nomem(err);
    return put_headers(request, &h, err);
}

/* ---- GraphQL is a GET with everything in the URL ---- */

static int append_encoded(bvi_buf *url, const char *key, const char *text)
{
    int r = bvi_buf_append_str(url, key);

    for (; r >= 0 && *text; text++) {
        unsigned char c = (unsigned char)*text;

        r = isalnum(c) || strchr("-_.~", c) ? bvi_buf_append_char(url, (char)c)
                                            : bvi_buf_printf(url, "%%%02X", c);
    }
    return r;
}

static int graphql_url(const bvi_json *map, bvi_buf *url, bv_error **err)
{
    const bvi_json *variables = bvi_json_find(map, "variables");
    const char *operation = NULL;
    bvi_auto_free char *json = NULL;
    const char *base = NULL;
    const char *query = NULL;
    int r;

    r = need_string(map, "url", &base, err);
    if (r >= 0)
        r = need_string(map, "query", &query, err);
    if (r >= 0 && !is_null(bvi_json_find(map, "operation_name")))
        r = need_string(map, "operation_name", &operation, err);
    if (r >= 0 && !is_null(variables))
        r = bvi_json_print(variables, false, &json, err);
    if (r < 0)
        return r;
    r = bvi_buf_printf(url, "%s%c", base, strchr(base, '?') ? '&' : '?');
    if (r >= 0)
        r = append_encoded(url, "query=", query);
    if (r >= 0 && json)
        r = append_encoded(url, "&variables=", json);
    if (r >= 0 && operation)
        r = append_encoded(url, "&operationName=", operation);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "the request is longer than %u bytes", URL_MAX);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

static int build_graphql(const bvi_json *map, bvi_json *request, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf url = BVI_BUF_INIT(URL_MAX);
    headers h = { .len = 0 };
    int r;

    r = graphql_url(map, &url, err);
    if (r >= 0)
        r = read_headers(map, &h, err);
    if (r >= 0)
        r = set_header(&h, "Content-Type", "application/json", err);
    if (r >= 0)
        r = set_header(&h, "Accept", "application/json", err);
    if (r < 0)
        return bvi_wrap(err, r, "Failed to parse GraphQL request");
    if (bvi_json_put_string(request, "url", bvi_buf_str(&url)) < 0)
        return bvi_fail_nomem(err);
    return put_headers(request, &h, err);
}

/* ---- the functions ---- */

typedef void (*send_fn)(void *data, const bvi_json *request, bvi_plugin_reply *reply);

static int request(bvi_script_call *call, const bvi_value *args, size_t argc, build_fn build,
                   send_fn send)
{
    int64_t timeout_ms = bvi_hostlib_request_ms(call);
    bvi_auto_json bvi_json *made = bvi_json_new_object();
    bvi_auto_json bvi_json *map = NULL;
    bvi_plugin_reply *reply = NULL;
    bv_error *err = NULL;
    int r;

    if (!made)
        return bvi_script_throw_nomem(call);
    r = bvi_hostlib_json(call, &args[0], &map);
    if (r < 0)
        return r;
    r = argc > 1 ? bvi_hostlib_seconds(call, &args[1], &timeout_ms) : 0;
    if (r < 0)
        return r;
    if (build(map, made, &err) < 0)
        return bvi_hostlib_throw(call, err);
    r = bvi_hostlib_ask(call, timeout_ms, to_response, &reply);
    if (r == BVI_SCRIPT_PENDING)
        send(bvi_hostlib_env(call)->data, made, reply);
    return r;
}

static int run_jrpc(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return request(call, args, argc, build_jrpc, bvi_hostlib_env(call)->run_jrpc);
}

static int run_rest(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return request(call, args, argc, build_rest, bvi_hostlib_env(call)->run_rest);
}

static int run_graphql(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                       void *data)
{
    return request(call, args, argc, build_graphql, bvi_hostlib_env(call)->run_rest);
}

const bvi_script_function bvi_hostlib_http[] = {
    { "run_jrpc", "m", run_jrpc },
    { "run_jrpc", "mi", run_jrpc },
    { "run_rest", "m", run_rest },
    { "run_rest", "mi", run_rest },
    { "run_graphql", "m", run_graphql },
    { "run_graphql", "mi", run_graphql },
    { NULL },
};
