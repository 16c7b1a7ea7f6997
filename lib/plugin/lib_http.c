/*
 * lib_http.c - run_jrpc(), run_rest(), run_graphql() and their response (spec plugin.md 4.5).
 */
#include <inttypes.h>
#include <string.h>

#include "plugin/http_request.h"
#include "plugin/lib.h"

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
const bvi_script_function *const bvi_hostlib_http_methods = methods;

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

/* ---- the functions ---- */

typedef int (*build_fn)(const bvi_value *map, bvi_json **ret_request, bv_error **err);
typedef void (*send_fn)(void *data, const bvi_json *request, bvi_plugin_reply *reply);

static int request(bvi_script_call *call, const bvi_value *args, size_t argc, build_fn build,
                   send_fn send)
{
    int64_t timeout_ms = bvi_hostlib_request_ms(call);
    bvi_auto_json bvi_json *made = NULL;
    bvi_plugin_reply *reply = NULL;
    bv_error *err = NULL;
    int r;

    r = argc > 1 ? bvi_hostlib_seconds(call, &args[1], &timeout_ms) : 0;
    if (r < 0)
        return r;
    if (build(&args[0], &made, &err) < 0)
        return bvi_hostlib_throw(call, err);
    r = bvi_hostlib_ask(call, timeout_ms, to_response, &reply);
    if (r == BVI_SCRIPT_PENDING)
        send(bvi_hostlib_env(call)->data, made, reply);
    return r;
}

static int run_jrpc(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return request(call, args, argc, bvi_http_request_jrpc, bvi_hostlib_env(call)->run_jrpc);
}

static int run_rest(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return request(call, args, argc, bvi_http_request_rest, bvi_hostlib_env(call)->run_rest);
}

static int run_graphql(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                       void *data)
{
    return request(call, args, argc, bvi_http_request_graphql, bvi_hostlib_env(call)->run_rest);
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
