/*
 * run_table.c - the functions the host knows: which lane they run in, their phases, and the type of
 * their result (spec plugin.md 2 and 3).
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/internal.h"
#include "plugin/sequence.h"

/* ---- results ---- */

static int keep_text(bvi_run *run, const char *text, bv_error **err)
{
    run->text = bvi_strdup(text);
    return run->text ? 0 : bvi_fail_nomem(err);
}

static int wrong_type(const bvi_value *result, const char *wanted, bv_error **err)
{
    return bvi_fail(err, BV_E_FORMAT, "Output type incorrect: %s (expecting %s)",
                    bvi_value_type_name(result), wanted);
}

/* What init and upload return does not matter: many end with an expression by accident. */
static int convert_nothing(bvi_run *run, const bvi_value *result, bv_error **err)
{
    return keep_text(run, "", err);
}

static int convert_null(bvi_run *run, const bvi_value *result, bv_error **err)
{
    return keep_text(run, "null", err);
}

static int convert_number(bvi_run *run, const bvi_value *result, bv_error **err)
{
    if (result->type != BVI_T_INT)
        return wrong_type(result, "i64", err);
    if (result->as.i < 0)
        return bvi_fail(err, BV_E_FORMAT,
                        "out of range integral type conversion attempted: %" PRId64, result->as.i);
    run->value.number = (uint64_t)result->as.i;
    run->text = bvi_asprintf("%" PRIu64, run->value.number);
    return run->text ? 0 : bvi_fail_nomem(err);
}

static int convert_text(bvi_run *run, const bvi_value *result, bv_error **err)
{
    const char *text = bvi_value_text(result, NULL);

    return text ? keep_text(run, text, err) : wrong_type(result, "string", err);
}

static int convert_bool(bvi_run *run, const bvi_value *result, bv_error **err)
{
    if (result->type != BVI_T_BOOL)
        return wrong_type(result, "bool", err);
    run->value.flag = result->as.b;
    return keep_text(run, result->as.b ? "true" : "false", err);
}

/* "0.05" as text is how plugins report it; a number is as good. */
static int convert_real_text(bvi_run *run, const bvi_value *result, bv_error **err)
{
    bvi_auto_free char *made = NULL;
    const char *text = bvi_value_text(result, NULL);
    char *end = NULL;

    if (result->type == BVI_T_FLOAT || result->type == BVI_T_INT) {
        if (bvi_value_to_text(result, false, &made, NULL) < 0)
            return bvi_fail_nomem(err);
        text = made;
    }
    if (!text)
        return wrong_type(result, "string", err);
    errno = 0;
    run->value.real = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(run->value.real))
        return bvi_fail(err, BV_E_FORMAT, "'%s' is not a number", text);
    return keep_text(run, text, err);
}

/* "true" as text is how plugins report it. */
static int convert_bool_text(bvi_run *run, const bvi_value *result, bv_error **err)
{
    const char *text = bvi_value_text(result, NULL);

    if (result->type == BVI_T_BOOL)
        return convert_bool(run, result, err);
    if (!text)
        return wrong_type(result, "string", err);
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is neither 'true' nor 'false'", text);
    run->value.flag = text[0] == 't';
    return keep_text(run, text, err);
}

/* A gate lets pass by coming to its end, or says true or false. */
static int convert_verdict(bvi_run *run, const bvi_value *result, bv_error **err)
{
    if (result->type == BVI_T_BOOL)
        return convert_bool(run, result, err);
    return result->type == BVI_T_UNIT ? keep_text(run, "true", err)
                                      : convert_text(run, result, err);
}

/* ---- phases ---- */

static int phase_call(bvi_run *run, bv_error **err)
{
    return bvi_run_script(run, run->name, run->param, err);
}

/* The script's own function, else the built-in sequence. */
static int call_or_sequence(bvi_run *run, bvi_plan_fn plan, bv_error **err)
{
    int r;

    if (bvi_script_has_function(run->lane->script, run->name, -1))
        return bvi_run_script(run, run->name, NULL, err);
    if (!run->sequence) {
        r = bvi_sequence_new(run->plugin->config, plan, &run->sequence, err);
        if (r < 0)
            return r;
    }
    return bvi_sequence_drive(run, err);
}

/* E1's init took a map of the node's keys. */
static bool wants_keys(const bvi_run *run)
{
    return !bvi_script_has_function(run->lane->script, run->name, 0) &&
           bvi_script_has_function(run->lane->script, run->name, 1);
}

static int phase_init(bvi_run *run, bv_error **err)
{
    const bvi_plugin_env *env = &run->plugin->env;
    int r;

    if (!run->script && wants_keys(run)) {
        r = bvi_run_prepare_document(run, run->name, env->node_params(env->data), err);
        if (r < 0)
            return r;
    }
    return call_or_sequence(run, bvi_plan_init, err);
}

static int phase_upload(bvi_run *run, bv_error **err)
{
    return call_or_sequence(run, bvi_plan_upload, err);
}

static const bvi_phase_fn call_phases[] = { phase_call, NULL };
static const bvi_phase_fn status_phases[] = { bvi_phase_job_status, bvi_phase_status, NULL };
static const bvi_phase_fn init_phases[] = { bvi_phase_eval_config, bvi_phase_save_config,
                                            phase_init, NULL };
static const bvi_phase_fn upload_phases[] = { bvi_phase_refresh_config, bvi_phase_save_config,
                                              phase_upload, NULL };
static const bvi_phase_fn reload_phases[] = { bvi_phase_eval_config, bvi_phase_save_config, NULL };

/* ---- the table ---- */

static const bvi_entry entries[] = {
    { "init", BVI_LANE_WORK, false, init_phases, convert_nothing },
    { "upload", BVI_LANE_WORK, false, upload_phases, convert_null },
    { "height", BVI_LANE_QUERY, false, call_phases, convert_number },
    { "block_age", BVI_LANE_QUERY, false, call_phases, convert_number },
    { "name", BVI_LANE_QUERY, false, call_phases, convert_text },
    { "address", BVI_LANE_QUERY, false, call_phases, convert_text },
    { "consensus", BVI_LANE_QUERY, false, call_phases, convert_bool },
    { "protocol_status", BVI_LANE_QUERY, false, status_phases, bvi_convert_status },
    { "apr", BVI_LANE_QUERY, true, call_phases, convert_real_text },
    { "jailed", BVI_LANE_QUERY, true, call_phases, convert_bool_text },
    { "jailed_reason", BVI_LANE_QUERY, true, call_phases, convert_text },
    { "sqd_name", BVI_LANE_QUERY, true, call_phases, convert_text },
};
static const bvi_entry custom = { NULL, BVI_LANE_CALL, false, call_phases, convert_text };
static const bvi_entry gate = { NULL, BVI_LANE_CALL, false, call_phases, convert_verdict };
static const bvi_entry reload = { "plugin_config", BVI_LANE_WORK, true, reload_phases,
                                  convert_nothing };

const bvi_entry *bvi_entry_find(const char *name, bool query)
{
    for (size_t i = 0; i < BVI_COUNT(entries); i++) {
        if (strcmp(entries[i].name, name) == 0 && (query || !entries[i].query_only))
            return &entries[i];
    }
    if (query)
        return NULL;
    return strcmp(name, BVI_PLUGIN_GATE) == 0 ? &gate : &custom;
}

const bvi_entry *bvi_entry_reload(void)
{
    return &reload;
}
