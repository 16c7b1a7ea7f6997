/*
 * lib_files.c - files and templates of the node (spec plugin.md 4.6).
 */
#include "plugin/lib.h"

static int file_read(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                     void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    const char *path = NULL;
    bvi_plugin_reply *reply = NULL;
    int r;

    r = bvi_hostlib_text(call, &args[0], &path);
    if (r < 0)
        return r;
    r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), bvi_to_blob, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->file_read(env->data, path, reply);
    return r;
}

static int file_write(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    size_t len = 0;
    const uint8_t *bytes = bvi_value_bytes(&args[1], &len);
    const char *path = NULL;
    bvi_plugin_reply *reply = NULL;
    int r;

    r = bvi_hostlib_text(call, &args[0], &path);
    if (r < 0)
        return r;
    r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), bvi_to_unit, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->file_write(env->data, path, bytes ? bytes : (const uint8_t *)"", len, reply);
    return r;
}

static int render_template(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                           void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    bvi_auto_json bvi_json *params = NULL;
    const char *template_path = NULL;
    const char *destination = NULL;
    bvi_plugin_reply *reply = NULL;
    int r;

    r = bvi_hostlib_text(call, &args[0], &template_path);
    if (r >= 0)
        r = bvi_hostlib_text(call, &args[1], &destination);
    if (r >= 0)
        r = bvi_hostlib_json(call, &args[2], &params);
    if (r < 0)
        return r;
    r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), bvi_to_unit, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->render_template(env->data, template_path, destination, params, reply);
    return r;
}

const bvi_script_function bvi_hostlib_files[] = {
    { "file_read", "s", file_read },
    { "file_write", "sb", file_write },
    { "render_template", "ssm", render_template },
    { NULL },
};
