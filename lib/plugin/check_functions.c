/*
 * check_functions.c - the functions of main.rhai as the daemon sees them: which are missing, which
 * take what the daemon does not give. See check_impl.h; what they return is found by running them.
 */
#include <string.h>

#include "plugin/check_impl.h"

/* What the daemon calls, all without arguments. */
static const char *const daemon_functions[] = {
    "plugin_config", "init",          "upload",    "height",          "block_age",
    "name",          "address",       "consensus", "protocol_status", "apr",
    "jailed",        "jailed_reason", "sqd_name",
};

/* protocol_status() of the first engines. */
static const char *const status_trio[] = { "application_status", "sync_status", "staking_status" };

static bool is_daemon_function(const char *name)
{
    for (size_t i = 0; i < BVI_COUNT(daemon_functions); i++) {
        if (strcmp(daemon_functions[i], name) == 0)
            return true;
    }
    return false;
}

static bool has(const bvi_check *check, const char *name)
{
    return bvi_check_function(check->main, name, -1) != NULL;
}

/* A function that is not there, or is there under a name that is nearly right. */
static void missing(bvi_check *check, const char *name, const char *remedy)
{
    bvi_spot spot = { check->main->source->path, 0, 0 };
    bvi_near near = BVI_NEAR_INIT(name);

    bvi_check_each_listed(function, check->main, functions) {
        if (!is_daemon_function(function->text))
            bvi_near_try(&near, function->text);
    }
    if (!near.best) {
        bvi_report_add(&check->report, BVI_RULE_MISSING_FUNCTION, BVI_REPORT_ALL, spot,
                       "function '%s' is missing; %s", name, remedy);
        return;
    }
    spot = bvi_check_spot(check->main, bvi_check_function(check->main, near.best, -1));
    bvi_report_add(&check->report, BVI_RULE_MISSING_FUNCTION, BVI_REPORT_ALL, spot,
                   "function '%s' is missing; is '%s' meant to be it?", name, near.best);
}

static void deprecated(bvi_check *check, const char *what, const char *why)
{
    bvi_spot spot = { check->main->source->path, 0, 0 };

    bvi_report_add(&check->report, BVI_RULE_DEPRECATED, BVI_REPORT_ALL, spot,
                   "function '%s' is missing; %s", what, why);
}

static void check_config_function(bvi_check *check)
{
    if (has(check, "plugin_config") || bvi_check_top(check->main, "PLUGIN_CONFIG", true))
        return; /* the constant is reported where it stands */
    if (has(check, "init"))
        deprecated(check, "plugin_config",
                   "without it there is no default init, upload or status of services");
    else
        missing(check, "plugin_config", "a plugin has it, or init(), or both");
}

static void check_status_function(bvi_check *check)
{
    if (has(check, "protocol_status"))
        return;
    for (size_t i = 0; i < BVI_COUNT(status_trio); i++) {
        if (has(check, status_trio[i])) {
            deprecated(check, "protocol_status",
                       "application_status(), sync_status() and staking_status() are of an "
                       "earlier engine");
            return;
        }
    }
    missing(check, "protocol_status", "it returns #{state: \"...\", health: \"healthy\"}");
}

/* The engine called it for a while, beside plugin_config(). */
static void check_base_function(bvi_check *check)
{
    const bvi_note *base = bvi_check_function(check->main, "base_config", 0);

    if (!base || !has(check, "plugin_config"))
        return;
    bvi_check_each_note(note, check->main) {
        if (note->kind == BVI_NOTE_CALL && strcmp(note->text, base->text) == 0)
            return;
    }
    bvi_report_add(&check->report, BVI_RULE_DEPRECATED, BVI_REPORT_ALL,
                   bvi_check_spot(check->main, base),
                   "only an earlier engine called base_config(); add it up in plugin_config()");
}

static void check_arity(bvi_check *check, const bvi_note *function)
{
    bvi_spot spot = bvi_check_spot(check->main, function);

    if (!is_daemon_function(function->text)) {
        if (function->count >= 2 && !function->is_private)
            bvi_report_add(&check->report, BVI_RULE_NOT_CALLABLE, BVI_REPORT_ALL, spot,
                           "function '%s' takes %u parameters: only the plugin itself can call it",
                           function->text, function->count);
        return;
    }
    if (function->count == 0 || bvi_check_function(check->main, function->text, 0))
        return;
    if (strcmp(function->text, "init") == 0 && function->count == 1)
        bvi_report_add(&check->report, BVI_RULE_DEPRECATED, BVI_REPORT_ALL, spot,
                       "init() with a parameter is of an earlier engine; use get_secret() and "
                       "node_params()");
    else
        bvi_report_add(&check->report, BVI_RULE_FUNCTION_ARITY, BVI_REPORT_ALL, spot,
                       "the daemon calls '%s' without arguments; this one takes %u", function->text,
                       function->count);
}

void bvi_check_functions(bvi_check *check)
{
    if (!check->main)
        return;
    check_config_function(check);
    check_status_function(check);
    check_base_function(check);
    bvi_check_each_listed(function, check->main, functions)
        check_arity(check, function);
}
