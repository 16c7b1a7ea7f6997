/*
 * status.c - protocol_status: what the jobs tell, else what the script says (spec plugin.md 2.2).
 */
#include <string.h>

#include "plugin/internal.h"
#include "plugin/jobs.h"
#include "plugin/legacy.h"

static const char *const health_names[] = {
    [BVI_HEALTH_HEALTHY] = "healthy",
    [BVI_HEALTH_NEUTRAL] = "neutral",
    [BVI_HEALTH_UNHEALTHY] = "unhealthy",
};

const char *bvi_plugin_health_name(bvi_plugin_health health)
{
    return health_names[health];
}

static int set_status(bvi_run *run, const char *state, bvi_plugin_health health, bv_error **err)
{
    bvi_auto_json bvi_json *json = bvi_json_new_object();

    run->state = bvi_strdup(state);
    if (!json || !run->state || bvi_json_put_string(json, "state", state) < 0 ||
        bvi_json_put_string(json, "health", health_names[health]) < 0)
        return bvi_fail_nomem(err);
    run->value.health = health;
    return bvi_json_print(json, false, &run->text, err);
}

/* ---- from jobs ---- */

static bool is_running(const bvi_json *jobs, const char *name)
{
    const char *status = bvi_json_string(bvi_json_find(bvi_json_find(jobs, name), "status"));

    return status && strcmp(status, "running") == 0;
}

static bool is_pending(const bvi_json *jobs, const char *name)
{
    const bvi_json *status = bvi_json_find(bvi_json_find(jobs, name), "status");

    return bvi_json_type_of(status) == BVI_JSON_OBJECT && bvi_json_find(status, "pending");
}

/* NULL: the script has to say. */
static const char *derive(const bvi_json *jobs, const bvi_json *config)
{
    if (is_running(jobs, BVI_UPLOAD_JOB))
        return "uploading";
    if (is_running(jobs, BVI_DOWNLOAD_JOB))
        return "downloading";
    bvi_json_each(service, bvi_json_find(config, "services")) {
        if (is_pending(jobs, bvi_json_string(bvi_json_find(service, "name"))))
            return "starting";
    }
    return NULL;
}

static int on_jobs(bvi_run *run, bvi_answer *answer, bv_error **err)
{
    const char *state;

    if (answer->err) {
        int r = bvi_error_move(err, bvi_take(answer->err));

        return bvi_wrap(err, r, "cannot list the jobs");
    }
    run->phase++; /* asking was this phase's whole work */
    state = derive(answer->json, run->plugin->config);
    if (!state)
        return 0;
    run->has_value = true;
    return set_status(run, state, BVI_HEALTH_NEUTRAL, err);
}

int bvi_phase_job_status(bvi_run *run, bv_error **err)
{
    const bvi_plugin_env *env = &run->plugin->env;
    bvi_plugin_reply *reply = bvi_run_ask(run, run->plugin->limits.request_timeout_ms, on_jobs);

    if (!reply)
        return bvi_fail_nomem(err);
    env->get_jobs(env->data, reply);
    return BVI_PHASE_WAIT;
}

/* ---- from the script ---- */

static int find_health(const char *name, bvi_plugin_health *ret_health, bv_error **err)
{
    for (size_t i = 0; i < BVI_COUNT(health_names); i++) {
        if (strcmp(health_names[i], name) == 0) {
            *ret_health = (bvi_plugin_health)i;
            return 0;
        }
    }
    return bvi_fail(
        err, BV_E_FORMAT,
        "Syntax error: unknown variant `%s`, expected one of `healthy`, `neutral`, `unhealthy`",
        name);
}

static int get_text(const bvi_value *map, const char *key, const char **ret_text, bv_error **err)
{
    const bvi_value *value = bvi_value_get(map, key);

    if (!value)
        return bvi_fail(err, BV_E_FORMAT, "Syntax error: missing field `%s`", key);
    *ret_text = bvi_value_text(value, NULL);
    if (!*ret_text)
        return bvi_fail(err, BV_E_FORMAT, "%s: Output type incorrect: %s (expecting String)", key,
                        bvi_value_type_name(value));
    return 0;
}

/* The function that tells: E1 and E2 had three, of which the first that exists is the one that says
 * most. */
static const char *status_function(const bvi_run *run)
{
    static const char *const old[] = { "application_status", "sync_status", "staking_status" };

    for (size_t i = 0; i < BVI_COUNT(old); i++) {
        if (bvi_script_has_function(run->lane->script, run->name, 0))
            break;
        if (bvi_script_has_function(run->lane->script, old[i], 0))
            return old[i];
    }
    return run->name;
}

int bvi_phase_status(bvi_run *run, bv_error **err)
{
    return bvi_run_script(run, status_function(run), NULL, err);
}

int bvi_convert_status(bvi_run *run, const bvi_value *result, bv_error **err)
{
    bvi_plugin_health health = BVI_HEALTH_NEUTRAL;
    const char *state = NULL;
    const char *name = NULL;
    int r;

    if (status_function(run) != run->name && (state = bvi_value_text(result, NULL))) {
        r = find_health(bvi_legacy_health(state), &health, err);
        return r < 0 ? r : set_status(run, state, health, err);
    }
    if (result->type != BVI_T_MAP)
        return bvi_fail(err, BV_E_FORMAT, "Output type incorrect: %s (expecting Map)",
                        bvi_value_type_name(result));
    r = get_text(result, "state", &state, err);
    if (r >= 0)
        r = get_text(result, "health", &name, err);
    if (r >= 0)
        r = find_health(name, &health, err);
    return r < 0 ? r : set_status(run, state, health, err);
}
