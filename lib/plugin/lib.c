/*
 * lib.c - what the functions for scripts share: arguments, requests, answers. See lib.h.
 */
#include <inttypes.h>
#include <string.h>

#include "plugin/lib.h"

/* A script that asks for more means for ever; the call's own deadline ends it. */
#define SECONDS_MAX (7 * 24 * 3600)

bvi_run *bvi_hostlib_run(const bvi_script_call *call)
{
    return bvi_script_call_data(call);
}

const bvi_plugin_env *bvi_hostlib_env(const bvi_script_call *call)
{
    return &bvi_hostlib_run(call)->plugin->env;
}

int64_t bvi_hostlib_request_ms(const bvi_script_call *call)
{
    return bvi_hostlib_run(call)->plugin->limits.request_timeout_ms;
}

int bvi_hostlib_throw(bvi_script_call *call, bv_error *err)
{
    int r = bv_error_code(err) == BV_E_NOMEM ? bvi_script_throw_nomem(call)
                                             : bvi_script_throw_error(call, err);

    bv_error_free(err);
    return r;
}

int bvi_hostlib_text(bvi_script_call *call, const bvi_value *arg, const char **ret_text)
{
    size_t len = 0;
    const char *text = bvi_value_text(arg, &len);

    if (!text)
        return bvi_script_throw_type(call, arg, "string");
    if (strlen(text) != len)
        return bvi_script_throw(call, "a zero character is not allowed here");
    *ret_text = text;
    return 0;
}

int bvi_hostlib_seconds(bvi_script_call *call, const bvi_value *arg, int64_t *ret_ms)
{
    int64_t seconds = arg->as.i;

    if (seconds < 0)
        return bvi_script_throw(
            call, "out of range integral type conversion attempted: timeout of %" PRId64 " seconds",
            seconds);
    if (seconds > SECONDS_MAX)
        seconds = SECONDS_MAX;
    *ret_ms = seconds ? seconds * 1000 : 1; /* 0 would mean no limit */
    return 0;
}

int bvi_hostlib_json(bvi_script_call *call, const bvi_value *arg, bvi_json **ret_json)
{
    bv_error *err = NULL;

    return bvi_value_to_json(arg, ret_json, &err) < 0 ? bvi_hostlib_throw(call, err) : 0;
}

/* ---- answers ---- */

int bvi_to_unit(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err)
{
    *ret_value = BVI_VALUE_UNIT;
    return 0;
}

static int too_large(int r, bv_error **err)
{
    return r < 0 ? bvi_fail(err, r, "the node's answer is too large for the script") : 0;
}

int bvi_to_json(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err)
{
    return too_large(bvi_value_from_json(run->lane->engine, answer->json, ret_value), err);
}

int bvi_to_text(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err)
{
    const char *text = answer->bytes ? answer->bytes : "";

    return too_large(bvi_value_string(run->lane->engine, text, answer->len, ret_value), err);
}

int bvi_to_blob(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err)
{
    const char *bytes = answer->bytes ? answer->bytes : "";

    return too_large(bvi_value_blob(run->lane->engine, bytes, answer->len, ret_value), err);
}

/* ---- requests ---- */

static int resume_with_error(bvi_run *run, const bv_error *failure, bv_error **err)
{
    bvi_auto_free char *text = bvi_error_text(failure);

    if (!text)
        return bvi_fail_nomem(err);
    return bvi_script_resume_error(run->script, text);
}

static int on_answer(bvi_run *run, bvi_answer *answer, bv_error **err)
{
    bvi_auto_error bv_error *failure = NULL;
    bvi_value value = BVI_VALUE_UNIT;

    if (answer->err)
        return resume_with_error(run, answer->err, err);
    if (run->to_value(run, answer, &value, &failure) < 0)
        return resume_with_error(run, failure, err);
    return bvi_script_resume(run->script, value);
}

int bvi_hostlib_ask(bvi_script_call *call, int64_t timeout_ms, bvi_value_fn to_value,
                    bvi_plugin_reply **ret_reply)
{
    bvi_run *run = bvi_hostlib_run(call);

    *ret_reply = bvi_run_ask(run, timeout_ms, on_answer);
    if (!*ret_reply)
        return bvi_script_throw_nomem(call);
    run->to_value = to_value;
    return BVI_SCRIPT_PENDING;
}

/* ---- all of them ---- */

int bvi_hostlib_register(bvi_script_engine *engine, void *data, bv_error **err)
{
    static const bvi_script_function *const tables[] = {
        bvi_hostlib_jobs, bvi_hostlib_sh,   bvi_hostlib_http,  bvi_hostlib_files,
        bvi_hostlib_node, bvi_hostlib_util, bvi_hostlib_sleep,
    };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < BVI_COUNT(tables); i++)
        r = bvi_script_register(engine, tables[i], data, err);
    return r;
}
