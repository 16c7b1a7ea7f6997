/*
 * config_eval.c - a phase of init and reload: evaluate the plugin's configuration. config_store.c
 * keeps it.
 *
 * It is what plugin_config() returns. Plugins of before that function have constants (legacy.h).
 */
#include <string.h>

#include "plugin/config.h"
#include "plugin/internal.h"
#include "plugin/legacy.h"
#include "plugin/schema.h"

#define CONFIG_FUNCTION "plugin_config"
#define CONFIG_CONSTANT "PLUGIN_CONFIG"
#define BASE_FUNCTION   "base_config"

/* What is called for the sake of the configuration; NULL: the top level is enough. */
static const char *entry_function(const bvi_run *run)
{
    const bvi_script *script = run->lane->script;

    if (bvi_script_has_function(script, CONFIG_FUNCTION, 0))
        return CONFIG_FUNCTION;
    if (bvi_script_has_function(script, BASE_FUNCTION, 0) &&
        bvi_sources_mention(&run->plugin->sources, CONFIG_CONSTANT))
        return BASE_FUNCTION;
    return NULL;
}

static int converted(const bvi_plugin *plugin, const char *name, int r, const bvi_strv *unknown,
                     bv_error **err)
{
    if (r == BV_E_INVALID)
        return r; /* the names clash: its own message says all */
    if (r < 0)
        return bvi_wrap(err, r, "Invalid Rhai script - failed to deserialize %s", name);
    bvi_plugin_warn_unknown(plugin, name, unknown);
    return 0;
}

static int from_function(const bvi_run *run, bvi_json **ret_config, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv unknown = BVI_VEC_INIT(BVI_SCHEMA_UNKNOWN_MAX);
    int r =
        bvi_plugin_config_convert_value(bvi_script_result(run->script), ret_config, &unknown, err);

    return converted(run->plugin, CONFIG_FUNCTION, r, &unknown, err);
}

static void warn_about_metadata(const bvi_run *run)
{
    const bvi_plugin_env *env = &run->plugin->env;
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_free char *text = NULL;

    if (bvi_legacy_check_metadata(run->script, &err) >= 0)
        return;
    text = bvi_error_text(err);
    if (text)
        env->log(env->data, BV_LOG_WARN, text);
}

static int from_constants(const bvi_run *run, const bvi_value *base, bvi_json **ret_config,
                          bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv unknown = BVI_VEC_INIT(BVI_SCHEMA_UNKNOWN_MAX);
    bvi_auto_json bvi_json *map = NULL;
    int r;

    warn_about_metadata(run);
    r = bvi_legacy_config(run->script, base, &map, err);
    if (r >= 0 && !map)
        return 0;
    if (r >= 0)
        r = bvi_plugin_config_convert(map, ret_config, &unknown, err);
    return converted(run->plugin, CONFIG_CONSTANT, r, &unknown, err);
}

int bvi_phase_eval_config(bvi_run *run, bv_error **err)
{
    bvi_plugin *plugin = run->plugin;
    const char *fn = entry_function(run);
    bvi_json *config = NULL;
    int r;

    if (!run->script) {
        r = bvi_run_prepare(run, fn, NULL, err);
        if (r < 0)
            return r;
    }
    r = bvi_run_drive(run, fn, err);
    if (r != BVI_PHASE_NEXT)
        return r;
    if (fn && strcmp(fn, CONFIG_FUNCTION) == 0)
        r = from_function(run, &config, err);
    else
        r = from_constants(run, fn ? bvi_script_result(run->script) : NULL, &config, err);
    if (r < 0)
        return r;
    bvi_run_drop_script(run);
    bvi_json_free(plugin->config);
    plugin->config = config;
    plugin->config_stale = false;
    run->evaluated = true;
    return bvi_plugin_update_capabilities(plugin, err);
}

int bvi_phase_refresh_config(bvi_run *run, bv_error **err)
{
    return run->plugin->config_stale ? bvi_phase_eval_config(run, err) : BVI_PHASE_NEXT;
}
