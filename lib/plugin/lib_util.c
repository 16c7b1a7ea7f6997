/*
 * lib_util.c - numbers and dates from text (spec plugin.md 4.10).
 */
#include "plugin/lib.h"
#include "plugin/text.h"
#include "plugin/time_parse.h"

static int parse_hex(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                     void *data)
{
    bv_error *err = NULL;
    size_t len = 0;
    const char *text = bvi_value_text(&args[0], &len);
    int64_t value = 0;

    if (bvi_parse_hex(text, len, &value, &err) < 0)
        return bvi_hostlib_throw(call, err);
    *ret = bvi_value_int(value);
    return 0;
}

static int system_time(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                       void *data)
{
    *ret = bvi_value_int(bvi_ctx_wall_us(bvi_hostlib_run(call)->plugin->ctx) / 1000000);
    return 0;
}

typedef int (*parse_fn)(const char *text, int64_t *ret_unix_s, bv_error **err);

static int parse_date(bvi_script_call *call, const bvi_value *arg, parse_fn parse, bvi_value *ret)
{
    bv_error *err = NULL;
    const char *text = NULL;
    int64_t seconds = 0;
    int r;

    r = bvi_hostlib_text(call, arg, &text);
    if (r < 0)
        return r;
    if (parse(text, &seconds, &err) < 0)
        return bvi_hostlib_throw(call, err);
    *ret = bvi_value_int(seconds);
    return 0;
}

static int parse_rfc3339(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                         void *data)
{
    return parse_date(call, &args[0], bvi_time_parse_rfc3339, ret);
}

static int parse_rfc2822(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                         void *data)
{
    return parse_date(call, &args[0], bvi_time_parse_rfc2822, ret);
}

static int parse_time(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    bv_error *err = NULL;
    const char *text = NULL;
    const char *format = NULL;
    int64_t seconds = 0;
    int r;

    r = bvi_hostlib_text(call, &args[0], &text);
    if (r >= 0)
        r = bvi_hostlib_text(call, &args[1], &format);
    if (r < 0)
        return r;
    if (bvi_time_parse_format(text, format, &seconds, &err) < 0)
        return bvi_hostlib_throw(call, err);
    *ret = bvi_value_int(seconds);
    return 0;
}

const bvi_script_function bvi_hostlib_util[] = {
    { "parse_hex", "s", parse_hex, BVI_SCRIPT_STABLE },
    { "system_time", "", system_time },
    { "parse_rfc3339", "s", parse_rfc3339, BVI_SCRIPT_STABLE },
    { "parse_rfc2822", "s", parse_rfc2822, BVI_SCRIPT_STABLE },
    { "parse_time", "ss", parse_time, BVI_SCRIPT_STABLE },
    { NULL },
};
