/*
 * lib_node.c - what a script knows about its node and what it keeps: parameters, environment, secrets, data, log lines
 * (spec plugin.md 4.7, 4.9).
 */
#include <string.h>

#include "plugin/lib.h"

static int copy_document(bvi_script_call *call, const bvi_json *document, bvi_value *ret)
{
    int r = bvi_value_from_json(bvi_script_engine_of(call), document, ret);

    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int node_env(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_lib_env(call);

    return copy_document(call, env->node_env(env->data), ret);
}

static int node_params(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_lib_env(call);

    return copy_document(call, env->node_params(env->data), ret);
}

/* ---- secrets and data ---- */

/* Plugins compare what they catch with exactly "not_found". Otherwise the text of any failure. */
static int secret_answer(bvi_run *run, bvi_answer *answer, bv_error **err)
{
    bvi_auto_error bv_error *failure = NULL;
    bvi_auto_free char *text = NULL;
    bvi_value value = BVI_VALUE_UNIT;

    if (bv_error_code(answer->err) == BV_E_NOT_FOUND)
        return bvi_script_resume_error(run->script, "not_found");
    if (!answer->err && bvi_to_blob(run, answer, &value, &failure) >= 0)
        return bvi_script_resume(run->script, value);
    text = bvi_error_text(answer->err ? answer->err : failure);
    if (!text)
        return bvi_fail_nomem(err);
    {
        bvi_auto_free char *full = bvi_asprintf("get_secret failed: %s", text);

        return full ? bvi_script_resume_error(run->script, full) : bvi_fail_nomem(err);
    }
}

static int get_secret(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_lib_env(call);
    bvi_plugin_reply *reply;
    const char *key = NULL;
    int r;

    r = bvi_lib_text(call, &args[0], &key);
    if (r < 0)
        return r;
    reply = bvi_run_ask(bvi_lib_run(call), bvi_lib_request_ms(call), secret_answer);
    if (!reply)
        return bvi_script_throw_nomem(call);
    env->get_secret(env->data, key, reply);
    return BVI_SCRIPT_PENDING;
}

static int put_secret(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_lib_env(call);
    size_t len = 0;
    const uint8_t *bytes = bvi_value_bytes(&args[1], &len);
    bvi_plugin_reply *reply = NULL;
    const char *key = NULL;
    int r;

    r = bvi_lib_text(call, &args[0], &key);
    if (r < 0)
        return r;
    r = bvi_lib_ask(call, bvi_lib_request_ms(call), bvi_to_unit, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->put_secret(env->data, key, bytes ? bytes : (const uint8_t *)"", len, reply);
    return r;
}

static int load_data(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_lib_env(call);
    bvi_plugin_reply *reply = NULL;
    int r = bvi_lib_ask(call, bvi_lib_request_ms(call), bvi_to_text, &reply);

    if (r == BVI_SCRIPT_PENDING)
        env->load_data(env->data, reply);
    return r;
}

static int save_data(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_lib_env(call);
    bvi_plugin_reply *reply = NULL;
    const char *text = NULL;
    int r;

    r = bvi_lib_text(call, &args[0], &text);
    if (r < 0)
        return r;
    r = bvi_lib_ask(call, bvi_lib_request_ms(call), bvi_to_unit, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->save_data(env->data, text, reply);
    return r;
}

/* ---- log ---- */

static int log_text(bvi_script_call *call, const bvi_value *arg, int level)
{
    const bvi_plugin_env *env = bvi_lib_env(call);
    size_t len = 0;
    const char *text = bvi_value_text(arg, &len);
    bvi_auto_free char *cut = bvi_strndup(text, len < BVI_PLUGIN_LOG_MAX ? len : BVI_PLUGIN_LOG_MAX);

    if (!cut)
        return bvi_script_throw_nomem(call);
    env->log(env->data, level, cut);
    return 0;
}

static int log_info(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return log_text(call, &args[0], BV_LOG_INFO);
}

static int log_warn(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return log_text(call, &args[0], BV_LOG_WARN);
}

static int log_error(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return log_text(call, &args[0], BV_LOG_ERROR);
}

const bvi_script_function bvi_lib_node[] = {
    { "node_env", "", node_env },     { "node_params", "", node_params },
    { "get_secret", "s", get_secret }, { "put_secret", "sb", put_secret },
    { "load_data", "", load_data },   { "save_data", "s", save_data },
    { "info", "s", log_info },        { "warn", "s", log_warn },
    { "error", "s", log_error },      { NULL },
};
