/*
 * lib_sh.c - run_sh() and its response (spec plugin.md 4.4).
 */
#include <inttypes.h>
#include <string.h>

#include "plugin/lib.h"
#include "plugin/text.h"

/* What run_sh() returns. */
typedef struct response {
    int64_t exit_code;
    char *out;
    char *err_out;
} response;

static void response_free(void *object)
{
    response *r = object;

    if (!r)
        return;
    bvi_free(r->out);
    bvi_free(r->err_out);
    bvi_free(r);
}

static const bvi_script_type type; /* below its methods */

static int text_value(bvi_script_call *call, const char *text, bvi_value *ret)
{
    int r = bvi_value_cstring(bvi_script_engine_of(call), text, ret);

    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int get_exit_code(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                         void *data)
{
    *ret = bvi_value_int(((const response *)bvi_value_object(&args[0], &type))->exit_code);
    return 0;
}

static int get_stdout(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    return text_value(call, ((const response *)bvi_value_object(&args[0], &type))->out, ret);
}

static int get_stderr(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    return text_value(call, ((const response *)bvi_value_object(&args[0], &type))->err_out, ret);
}

static int unwrap(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const response *r = bvi_value_object(&args[0], &type);

    if (r->exit_code != 0)
        return bvi_script_throw(call, "unexpected exit_code: %" PRId64, r->exit_code);
    return text_value(call, r->out, ret);
}

static const bvi_script_function methods[] = {
    { "exit_code", "", get_exit_code, BVI_SCRIPT_PROPERTY_ONLY },
    { "stdout", "", get_stdout, BVI_SCRIPT_PROPERTY_ONLY },
    { "stderr", "", get_stderr, BVI_SCRIPT_PROPERTY_ONLY },
    { "unwrap", "", unwrap },
    { NULL },
};
static const bvi_script_type type = { "DressedShResponse", methods, response_free };
const bvi_script_function *const bvi_hostlib_sh_methods = methods;

static int to_response(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err)
{
    const char *out = "";
    const char *err_out = "";
    response *made = bvi_new0(response);
    int r;

    if (!made)
        return bvi_fail_nomem(err);
    r = bvi_json_get_int64(answer->json, "exit_code", &made->exit_code, err);
    if (r >= 0)
        r = bvi_json_opt_string(answer->json, "stdout", &out, err);
    if (r >= 0)
        r = bvi_json_opt_string(answer->json, "stderr", &err_out, err);
    if (r < 0) {
        response_free(made);
        return bvi_wrap(err, r, "answer of run_sh");
    }
    made->out = bvi_strdup(out);
    made->err_out = bvi_strdup(err_out);
    if (!made->out || !made->err_out) {
        response_free(made);
        return bvi_fail_nomem(err);
    }
    r = bvi_value_host(run->lane->engine, &type, made, ret_value);
    return r < 0 ? bvi_fail(err, r, "the response of the shell is too large") : 0;
}

static int run_sh(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    int64_t timeout_ms = bvi_hostlib_request_ms(call);
    const char *body = NULL;
    bvi_plugin_reply *reply = NULL;
    int r;

    r = bvi_hostlib_text(call, &args[0], &body);
    if (r < 0)
        return r;
    r = argc > 1 ? bvi_hostlib_seconds(call, &args[1], &timeout_ms) : 0;
    if (r < 0)
        return r;
    r = bvi_hostlib_ask(call, timeout_ms, to_response, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->run_sh(env->data, body, reply);
    return r;
}

static int sanitize_sh_param(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                             void *data)
{
    bvi_auto_free char *quoted = NULL;
    bv_error *err = NULL;
    size_t len = 0;
    const char *text = bvi_value_text(&args[0], &len);

    if (bvi_sanitize_sh_param(text, len, &quoted, &err) < 0)
        return bvi_hostlib_throw(call, err);
    return text_value(call, quoted, ret);
}

const bvi_script_function bvi_hostlib_sh[] = {
    { "run_sh", "s", run_sh },
    { "run_sh", "si", run_sh },
    { "sanitize_sh_param", "s", sanitize_sh_param, BVI_SCRIPT_STABLE },
    { NULL },
};
