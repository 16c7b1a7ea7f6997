/*
 * lib_jobs.c - what scripts can do with jobs and tasks (spec plugin.md 4.1, 4.8), and the built-in
 * init and upload.
 */
#include <string.h>

#include "plugin/jobs.h"
#include "plugin/lib.h"
#include "plugin/schedule.h"
#include "plugin/sequence.h"

/* A job's name without white space around it; a copy. */
static int job_name(bvi_script_call *call, const bvi_value *arg, char **ret_name)
{
    const char *text = NULL;
    size_t len;
    int r;

    r = bvi_hostlib_text(call, arg, &text);
    if (r < 0)
        return r;
    text += strspn(text, " \t\r\n");
    len = strlen(text);
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    if (!len)
        return bvi_script_throw(call, "empty job name is not allowed");
    *ret_name = bvi_strndup(text, len);
    return *ret_name ? 0 : bvi_script_throw_nomem(call);
}

static int job_config(bvi_script_call *call, const char *name, const bvi_value *map,
                      bvi_json **ret_config)
{
    BVI_AUTO(bvi_strv_done) bvi_strv unknown = BVI_VEC_INIT(BVI_SCHEMA_UNKNOWN_MAX);
    const bvi_plugin *plugin = bvi_hostlib_run(call)->plugin;
    bvi_auto_free char *what = bvi_asprintf("job '%s'", name);
    bvi_auto_json bvi_json *config = NULL;
    bv_error *err = NULL;

    if (!what)
        return bvi_script_throw_nomem(call);
    if (bvi_plugin_job_convert_value(map, &config, &unknown, &err) < 0 ||
        bvi_plugin_job_add_clients(config, plugin->config, &err) < 0 ||
        bvi_plugin_job_add_path(config, plugin->old_paths.data, &err) < 0)
        return bvi_hostlib_throw(call, err);
    bvi_plugin_warn_unknown(plugin, what, &unknown);
    *ret_config = bvi_take(config);
    return 0;
}

static int ask_create(bvi_script_call *call, bvi_value *args, bvi_value_fn to_value)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    bvi_auto_free char *name = NULL;
    bvi_auto_json bvi_json *config = NULL;
    bvi_plugin_reply *reply = NULL;
    int r;

    r = job_name(call, &args[0], &name);
    if (r < 0)
        return r;
    r = job_config(call, name, &args[1], &config);
    if (r < 0)
        return r;
    r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), to_value, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->create_job(env->data, name, config, reply);
    return r;
}

static int create_job(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    return ask_create(call, args, bvi_to_unit);
}

/* Requests that need a job's name only. */
static int ask_about(bvi_script_call *call, const bvi_value *arg, int64_t timeout_ms,
                     bvi_value_fn to_value,
                     void (*fn)(void *data, const char *name, bvi_plugin_reply *reply))
{
    bvi_auto_free char *name = NULL;
    bvi_plugin_reply *reply = NULL;
    int r;

    r = job_name(call, arg, &name);
    if (r < 0)
        return r;
    r = bvi_hostlib_ask(call, timeout_ms, to_value, &reply);
    if (r == BVI_SCRIPT_PENDING)
        fn(bvi_hostlib_env(call)->data, name, reply);
    return r;
}

static int start_job(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                     void *data)
{
    return ask_about(call, &args[0], bvi_hostlib_request_ms(call), bvi_to_unit,
                     bvi_hostlib_env(call)->start_job);
}

static int stop_job(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return ask_about(call, &args[0], 0, bvi_to_unit, bvi_hostlib_env(call)->stop_job);
}

static int job_info(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return ask_about(call, &args[0], bvi_hostlib_request_ms(call), bvi_to_json,
                     bvi_hostlib_env(call)->job_info);
}

/* The status as text, for plugins of before job_info(). */
static int to_status(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value, bv_error **err)
{
    const bvi_json *status = bvi_json_find(answer->json, "status");
    const char *text = bvi_json_string(status);

    if (!text)
        text = bvi_json_key(bvi_json_first(status));
    return bvi_value_cstring(run->lane->engine, text ? text : "", ret_value);
}

static int job_status(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    return ask_about(call, &args[0], bvi_hostlib_request_ms(call), to_status,
                     bvi_hostlib_env(call)->job_info);
}

static int get_jobs(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    bvi_plugin_reply *reply = NULL;
    int r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), bvi_to_json, &reply);

    if (r == BVI_SCRIPT_PENDING)
        env->get_jobs(env->data, reply);
    return r;
}

/* ---- sequences: run.c goes on with them and answers the script ---- */

static int start_sequence(bvi_script_call *call, bvi_plan_fn plan)
{
    bvi_run *run = bvi_hostlib_run(call);
    bv_error *err = NULL;

    if (bvi_sequence_new(run->plugin->config, plan, &run->sequence, &err) < 0)
        return bvi_hostlib_throw(call, err);
    return BVI_SCRIPT_PENDING;
}

/* create_job and start_job in one: a sequence of these two. */
static int create_and_start(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                            void *data)
{
    bvi_run *run = bvi_hostlib_run(call);
    bvi_auto_free char *name = NULL;
    bvi_auto_json bvi_json *config = NULL;
    BVI_AUTO(bvi_sequence_freep) bvi_sequence *seq = NULL;
    bv_error *err = NULL;
    int r;

    r = job_name(call, &args[0], &name);
    if (r < 0)
        return r;
    r = job_config(call, name, &args[1], &config);
    if (r < 0)
        return r;
    if (bvi_sequence_new(config, NULL, &seq, &err) < 0 ||
        bvi_sequence_add_job(seq, name, bvi_take(config), &err) < 0)
        return bvi_hostlib_throw(call, err);
    run->sequence = bvi_take(seq);
    return BVI_SCRIPT_PENDING;
}

static int default_init(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                        void *data)
{
    return start_sequence(call, bvi_plan_init);
}

static int default_upload(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                          void *data)
{
    return start_sequence(call, bvi_plan_upload);
}

/* ---- tasks ---- */

static int add_task(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    const char *text[4] = { "", "", "", "" };
    bvi_plugin_reply *reply = NULL;
    bv_error *err = NULL;
    bvi_schedule schedule;
    int r;

    for (size_t i = 0; i < argc; i++) {
        r = bvi_hostlib_text(call, &args[i], &text[i]);
        if (r < 0)
            return r;
    }
    if (bvi_schedule_parse(text[1], &schedule, &err) < 0)
        return bvi_hostlib_throw(call, err);
    r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), bvi_to_unit, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->add_task(env->data, text[0], text[1], text[2], text[3], reply);
    return r;
}

static int delete_task(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                       void *data)
{
    const bvi_plugin_env *env = bvi_hostlib_env(call);
    const char *name = NULL;
    bvi_plugin_reply *reply = NULL;
    int r;

    r = bvi_hostlib_text(call, &args[0], &name);
    if (r < 0)
        return r;
    r = bvi_hostlib_ask(call, bvi_hostlib_request_ms(call), bvi_to_unit, &reply);
    if (r == BVI_SCRIPT_PENDING)
        env->delete_task(env->data, name, reply);
    return r;
}

const bvi_script_function bvi_hostlib_jobs[] = {
    { "create_job", "sm", create_job },
    { "start_job", "s", start_job },
    { "start_job", "sm", create_and_start },
    { "stop_job", "s", stop_job },
    { "job_info", "s", job_info },
    { "job_status", "s", job_status },
    { "get_jobs", "", get_jobs },
    { "default_init", "", default_init },
    { "default_upload", "", default_upload },
    { "add_task", "sss", add_task },
    { "add_task", "ssss", add_task },
    { "delete_task", "s", delete_task },
    { NULL },
};
