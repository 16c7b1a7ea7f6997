/*
 * lib_node.c - what a script knows about its node and what it keeps: parameters, environment,
 * secrets, data, log lines (spec plugin.md 4.7, 4.9).
 */
#include <string.h>

#include "plugin/lib.h"

static int copy_document(bvi_script_call *call, const bvi_json *document, bvi_value *ret)
{
    int r = bvi_value_from_json(bvi_script_engine_of(call), document, ret);

    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

/* E2 had other names: blockchain_type, and node_type for the last part of the variant. */
static int add_old_names(bvi_script_call *call, const bvi_json *document, bvi_value *env)
{
    const char *protocol = bvi_json_string(bvi_json_find(document, "node_protocol"));
    const char *variant = bvi_json_string(bvi_json_find(document, "node_variant"));
    const char *dash = variant ? strrchr(variant, '-') : NULL;
    int r = bvi_value_put_string(env, "blockchain_type", protocol ? protocol : "");

    if (r >= 0)
        r = bvi_value_put_string(env, "node_type", dash ? dash + 1 : variant ? variant : "");
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int node_env(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    const bvi_json *document = env->node_env(env->data);
    int r = copy_document(call, document, ret);

    if (r < 0 || !bvi_hostlib_run(call)->plugin->is_old)
        return r;
    return add_old_names(call, document, ret);
}

static int node_params(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                       void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);

    return copy_document(call, env->node_params(env->data), ret);
}

/* ---- secrets and data ---- */

/* Plugins compare what they catch with exactly "not_found". Otherwise the text of any failure. */
static int secret_failed(bvi_run *run, const bv_error *failure, bv_error **err)
{
    bvi_auto_free char *text = bvi_error_text(failure);
    bvi_auto_free char *full = NULL;

    if (bv_error_code(failure) == BV_E_NOT_FOUND)
        return bvi_script_resume_error(run->script, "not_found");
    full = text ? bvi_asprintf("get_secret failed: %s", text) : NULL;
    return full ? bvi_script_resume_error(run->script, full) : bvi_fail_nomem(err);
}

static int secret_answer(bvi_run *run, bvi_answer *answer, bv_error **err)
{
    bvi_auto_error bv_error *failure = NULL;
    bvi_value value = BVI_VALUE_UNIT;

    if (answer->err)
        return secret_failed(run, answer->err, err);
    bvi_secrets_keep(&run->plugin->secrets, run->secret_key, answer->bytes, answer->len,
                     bvi_ctx_now_us(run->plugin->ctx));
    if (bvi_to_blob(run, answer, &value, &failure) < 0)
        return secret_failed(run, failure, err);
    return bvi_script_resume(run->script, value);
}

static int kept_secret(bvi_script_call *call, const bvi_secret *secret, bvi_value *ret)
{
    int r = bvi_value_blob(bvi_script_engine_of(call), secret->bytes, secret->len, ret);

    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int get_secret(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    bvi_run *run = bvi_hostlib_run(call);
    const bvi_secret *kept = NULL;
    bvi_plugin_reply *reply;
    const char *key = NULL;
    int r;

    r = bvi_hostlib_text(call, &args[0], &key);
    if (r < 0)
        return r;
    if (run->entry->lane == BVI_LANE_QUERY)
        kept = bvi_secrets_find(&run->plugin->secrets, key, bvi_ctx_now_us(run->plugin->ctx));
    if (kept)
        return kept_secret(call, kept, ret);
    bvi_free(run->secret_key);
    run->secret_key = bvi_strdup(key);
    reply = run->secret_key ? bvi_run_ask(run, bvi_hostlib_request_ms(call), secret_answer) : NULL;
    if (!reply)
        return bvi_script_throw_nomem(call);
    env->get_secret(env->data, key, reply);
    return BVI_SCRIPT_PENDING;
}

static int put_secret(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    size_t len = 0;
    const uint8_t *bytes = bvi_value_bytes(&args[1], &len);
    bvi_plugin_reply *reply = NULL;
    const char *key = NULL;
    int r;

    r = bvi_hostlib_text(call, &args[0], &key);
    if (r < 0)
        return r;
    bvi_secrets_forget(&bvi_hostlib_run(call)->plugin->secrets, key);
    r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), bvi_to_unit, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->put_secret(env->data, key, bytes ? bytes : (const uint8_t *)"", len, reply);
    return r;
}

static int load_data(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                     void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    bvi_plugin_reply *reply = NULL;
    int r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), bvi_to_text, &reply);

    if (r == BVI_SCRIPT_PENDING)
        env->load_data(env->data, reply);
    return r;
}

static int save_data(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                     void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    bvi_plugin_reply *reply = NULL;
    const char *text = NULL;
    int r;

    r = bvi_hostlib_text(call, &args[0], &text);
    if (r < 0)
        return r;
    r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), bvi_to_unit, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->save_data(env->data, text, reply);
    return r;
}

/* ---- log ---- */

static int log_text(bvi_script_call *call, const bvi_value *arg, int level)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    size_t len = 0;
    const char *text = bvi_value_text(arg, &len);
    bvi_auto_free char *cut =
        bvi_strndup(text, len < BVI_PLUGIN_LOG_MAX ? len : BVI_PLUGIN_LOG_MAX);

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

static int log_error(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                     void *data)
{
    return log_text(call, &args[0], BV_LOG_ERROR);
}

const bvi_script_function bvi_hostlib_node[] = {
    { "node_env", "", node_env, BVI_SCRIPT_STABLE },
    { "node_params", "", node_params, BVI_SCRIPT_STABLE },
    { "get_secret", "s", get_secret },
    { "put_secret", "sb", put_secret },
    { "load_data", "", load_data },
    { "save_data", "s", save_data },
    { "info", "s", log_info },
    { "warn", "s", log_warn },
    { "error", "s", log_error },
    { NULL },
};
