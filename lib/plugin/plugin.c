/*
 * plugin.c - loading a plugin, its engines, and the calls others make on it. See plugin.h;
 * internal.h has the parts.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/config.h"
#include "plugin/internal.h"
#include "plugin/lib.h"

#define CAPABILITIES_MAX 4096u

/* ---- capabilities ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_capability(bvi_strv *names, const char *name)
{
    int r = bvi_strv_has(names, name) ? 0 : bvi_strv_add(names, name);

    return r == BV_E_LIMIT ? 0 : r; /* the list is for people: it may end somewhere */
}

int bvi_plugin_update_capabilities(bvi_plugin *plugin, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(CAPABILITIES_MAX);
    bvi_strv old = plugin->capabilities;
    bvi_script_fn_info info;
    int r = 0;

    for (size_t i = 0;
         r >= 0 && bvi_script_function_at(plugin->lanes[BVI_LANE_QUERY].script, i, &info); i++) {
        if (info.arity <= 1 && !info.is_private)
            r = add_capability(&names, info.name);
    }
    if (r >= 0 && plugin->config)
        r = add_capability(&names, "init");
    if (r >= 0 && plugin->config)
        r = add_capability(&names, "upload");
    if (r < 0)
        return bvi_fail_nomem(err);
    if (names.len)
        qsort(names.items, names.len, sizeof(names.items[0]), compare_names);
    plugin->capabilities = names;
    names = old;
    return 0;
}

void bvi_plugin_warn_unknown(const bvi_plugin *plugin, const char *what, const bvi_strv *unknown)
{
    for (size_t i = 0; i < unknown->len; i++) {
        bvi_auto_free char *text = bvi_asprintf("%s: %s", what, unknown->items[i]);

        if (text)
            plugin->env.log(plugin->env.data, BV_LOG_WARN, text);
    }
}

/* ---- lanes ---- */

static int resolve(const char *name, char **ret_source, size_t *ret_len, bv_error **err, void *data)
{
    const bvi_lane *lane = data;
    const bvi_source *source = NULL;
    int r;

    r = bvi_sources_import(&lane->plugin->sources, name, &source, err);
    if (r < 0)
        return r;
    *ret_source = bvi_strndup(source->text, source->len);
    if (!*ret_source)
        return bvi_fail_nomem(err);
    *ret_len = source->len;
    return 0;
}

static void log_output(const bvi_lane *lane, int level, const char *text, size_t len)
{
    const bvi_plugin_env *env = &lane->plugin->env;
    bvi_auto_free char *cut =
        bvi_strndup(text, len < BVI_PLUGIN_LOG_MAX ? len : BVI_PLUGIN_LOG_MAX);

    if (cut)
        env->log(env->data, level, cut);
}

static void on_print(const char *text, size_t len, void *data)
{
    log_output(data, BV_LOG_INFO, text, len);
}

static void on_debug(const char *text, size_t len, const char *source, unsigned line,
                     unsigned position, void *data)
{
    log_output(data, BV_LOG_DEBUG, text, len);
}

static int64_t now_ns(void *data)
{
    return bvi_ctx_now_us(((const bvi_lane *)data)->plugin->ctx) * 1000;
}

static bvi_script_options engine_options(bvi_lane *lane)
{
    const bvi_plugin_limits *limits = &lane->plugin->limits;

    return (bvi_script_options){
        .limits = { .memory_bytes = limits->memory_bytes,
                    .operations = limits->operations,
                    .slice_operations = limits->slice_operations,
                    .call_depth = limits->depth,
                    .string_bytes = (uint32_t)limits->string_bytes,
                    .source_bytes = (uint32_t)limits->file_bytes,
                    .modules = limits->modules },
        .resolve = resolve,
        .print = on_print,
        .debug = on_debug,
        .now_ns = now_ns,
        .debug_flags = lane->plugin->coverage ? BVI_SCRIPT_COVERAGE : 0,
        .data = lane,
    };
}

static int make_engine(bvi_lane *lane, const bvi_script_options *options, bv_error **err)
{
    int r;

    r = bvi_script_engine_new(options, &lane->engine, err);
    if (r >= 0)
        r = bvi_hostlib_register(lane->engine, lane, err);
    if (r >= 0 && lane->plugin->functions)
        r = bvi_script_register(lane->engine, lane->plugin->functions, lane->plugin->functions_data,
                                err);
    return r;
}

/* "x (line 3, position 5)" tells where; editors want "<file>:3:5". */
static int wrap_syntax_error(int r, const char *path, bv_error **err)
{
    bvi_auto_free char *text = NULL;
    const char *at = NULL;
    unsigned line = 0;
    unsigned column = 0;

    if (r != BV_E_FORMAT || !err)
        return bvi_wrap(err, r, "plugin '%s'", path);
    text = bvi_error_text(*err);
    for (const char *next = text; next && (next = strstr(next, "(line ")) != NULL; next++)
        at = next;
    if (!at || sscanf(at, "(line %u, position %u)", &line, &column) != 2)
        return bvi_wrap(err, r, "%s: Rhai syntax error", path);
    return bvi_wrap(err, r, "%s:%u:%u: Rhai syntax error", path, line, column);
}

int bvi_lane_open(bvi_lane *lane, bv_error **err)
{
    bvi_plugin *plugin = lane->plugin;
    const bvi_source *source = plugin->main_source;
    bvi_auto_free char *path = NULL;
    bvi_script_options options;
    int r;

    if (lane->script)
        return 0;
    if (!source)
        return bvi_fail(err, BV_E_STATE, "a script that stands alone can only be evaluated");
    path = bvi_asprintf("%s/%s", plugin->sources.dir, source->path);
    if (!path)
        return bvi_fail_nomem(err);
    bvi_script_engine_free(bvi_take(lane->engine)); /* of a try that ran out of memory */
    options = engine_options(lane);
    r = make_engine(lane, &options, err);
    if (r < 0)
        return r;
    r = bvi_script_compile(lane->engine, source->text, source->len, path, &lane->script, err);
    return r < 0 ? wrap_syntax_error(r, path, err) : 0;
}

/* One engine is enough for one script, and starting fast is what its users want. */
static int make_script_lane(bvi_plugin *plugin, const bvi_plugin_script *script, bv_error **err)
{
    bvi_lane *lane = &plugin->lanes[BVI_LANE_QUERY];
    bvi_script_options options = {
        .resolve = script->resolve,
        .print = script->print,
        .debug = script->debug,
        .data = script->data,
    };
    int r;

    if (script->limits)
        options.limits = *script->limits;
    r = make_engine(lane, &options, err);
    if (r < 0)
        return r;
    return bvi_script_compile(lane->engine, script->text, script->len, script->name, &lane->script,
                              err);
}

/* ---- life ---- */

static void cancel_all(bvi_lane *lane)
{
    while (lane->running || lane->first) {
        bv_error *err = NULL;

        (void)bvi_fail(&err, BV_E_CANCELLED, "the plugin is being unloaded");
        bvi_run_finish(lane->running ? lane->running : lane->first, err);
    }
}

static void destroy(bvi_plugin *plugin)
{
    for (size_t i = 0; i < BVI_LANES; i++)
        cancel_all(&plugin->lanes[i]);
    for (size_t i = 0; i < BVI_LANES; i++) {
        bvi_script_free(plugin->lanes[i].script);
        bvi_script_engine_free(plugin->lanes[i].engine);
        bvi_json_free(plugin->lanes[i].seen_env);
        bvi_json_free(plugin->lanes[i].seen_params);
    }
    bvi_sources_done(&plugin->sources);
    bvi_free(plugin->tested.text);
    bvi_json_free(plugin->failure);
    bvi_strv_done(&plugin->capabilities);
    bvi_secrets_done(&plugin->secrets);
    bvi_json_free(plugin->config);
    bvi_free(plugin->config_path);
    bvi_free(plugin->old_paths.mount);
    bvi_free(plugin->old_paths.data);
    bvi_free(plugin);
}

void bvi_plugin_free(bvi_plugin *plugin)
{
    if (!plugin || plugin->freed)
        return;
    plugin->freed = true;
    if (!plugin->entered)
        destroy(plugin);
}

bool bvi_plugin_is_idle(const bvi_plugin *plugin)
{
    for (size_t i = 0; i < BVI_LANES; i++) {
        if (plugin->lanes[i].running || plugin->lanes[i].first)
            return false;
    }
    return true;
}

void bvi_plugin_leave(bvi_plugin *plugin)
{
    if (plugin->freed && !plugin->entered)
        destroy(plugin);
}

/* script: what is run instead of files, or NULL; its modules are not known yet. */
static bool mentions(const bvi_plugin *plugin, const bvi_plugin_script *script, const char *word)
{
    return script ? memmem(script->text, script->len, word, strlen(word)) != NULL
                  : bvi_sources_mention(&plugin->sources, word);
}

/* Scripts of some ages expect what later ones do not (spec plugin.md 14). */
static int note_age(bvi_plugin *plugin, const bvi_plugin_script *script, bv_error **err)
{
    const bvi_plugin_env *env = &plugin->env;
    const char *mount =
        bvi_json_string(bvi_json_find(env->node_env(env->data), "data_mount_point"));

    plugin->is_old = mentions(plugin, script, "METADATA");
    plugin->wants_params = mentions(plugin, script, "NODE_PARAMS");
    if (!mount || (!mentions(plugin, script, "BLOCKCHAIN_DATA_PATH") &&
                   !mentions(plugin, script, "DATA_DRIVE_MOUNT_POINT")))
        return 0;
    plugin->old_paths.mount = bvi_asprintf("%s/", mount);
    plugin->old_paths.data = bvi_asprintf("%s/blockchain_data", mount);
    return plugin->old_paths.mount && plugin->old_paths.data ? 0 : bvi_fail_nomem(err);
}

/* Tests become part of the main script, so that its functions and constants are theirs. The
 * semicolon ends a last statement that has none. */
static int add_tests(bvi_plugin *plugin, const char *tests, bv_error **err)
{
    const bvi_source *source = plugin->main_source;
    char *text = bvi_asprintf("%s\n;\n%s", source->text, tests);

    if (!text)
        return bvi_fail_nomem(err);
    plugin->tested = (bvi_source){ .path = source->path, .text = text, .len = strlen(text) };
    plugin->main_source = &plugin->tested;
    return 0;
}

static int load(bvi_plugin *plugin, const bvi_plugin_opts *opts, bv_error **err)
{
    const char *main_file = opts->main_file ? opts->main_file : BVI_PLUGIN_MAIN;
    int r;

    r = bvi_sources_read(opts->root, opts->dir ? opts->dir : BVI_PLUGIN_DIR,
                         plugin->limits.file_bytes, plugin->limits.files, &plugin->sources, err);
    if (r < 0)
        return r;
    plugin->main_source = bvi_sources_find(&plugin->sources, main_file);
    if (!plugin->main_source)
        return bvi_fail(err, BV_E_NOT_FOUND, "there is no plain file '%s' in '%s'", main_file,
                        plugin->sources.dir);
    r = opts->tests ? add_tests(plugin, opts->tests, err) : 0;
    if (r < 0)
        return r;
    r = bvi_lane_open(&plugin->lanes[BVI_LANE_QUERY], err);
    if (r < 0)
        return r;
    plugin->config_path = bvi_strdup(opts->config_path);
    if (opts->config_path && !plugin->config_path)
        return bvi_fail_nomem(err);
    r = note_age(plugin, NULL, err);
    if (r < 0)
        return r;
    if (bvi_plugin_load_config(plugin) < 0)
        return bvi_fail_nomem(err);
    return bvi_plugin_update_capabilities(plugin, err);
}

int bvi_plugin_load(bv_ctx *ctx, const bvi_plugin_opts *opts, bvi_plugin **ret_plugin,
                    bv_error **err)
{
    BVI_AUTO(bvi_plugin_freep) bvi_plugin *plugin = bvi_new0(bvi_plugin);
    int r;

    if (!plugin)
        return bvi_fail_nomem(err);
    plugin->ctx = ctx;
    plugin->env = *opts->env;
    plugin->secrets = (bvi_secrets)BVI_SECRETS_INIT;
    plugin->limits = opts->limits ? *opts->limits : (bvi_plugin_limits)BVI_PLUGIN_LIMITS_INIT;
    plugin->functions = opts->functions;
    plugin->functions_data = opts->functions_data;
    plugin->coverage = opts->coverage;
    plugin->keep_failure = opts->keep_failure;
    for (size_t i = 0; i < BVI_LANES; i++)
        plugin->lanes[i].plugin = plugin;
    r = opts->script ? make_script_lane(plugin, opts->script, err) : load(plugin, opts, err);
    if (r >= 0 && opts->script)
        r = note_age(plugin, opts->script, err);
    if (r < 0)
        return opts->script ? r : bvi_wrap(err, r, "cannot load the plugin");
    *ret_plugin = bvi_take(plugin);
    return 0;
}

/* ---- looking ---- */

const bvi_strv *bvi_plugin_capabilities(const bvi_plugin *plugin)
{
    return &plugin->capabilities;
}

bool bvi_plugin_has(const bvi_plugin *plugin, const char *capability)
{
    const bvi_script *script = plugin->lanes[BVI_LANE_QUERY].script;

    return bvi_strv_has(&plugin->capabilities, capability) ||
           bvi_script_has_function(script, capability, 0) ||
           bvi_script_has_function(script, capability, 1);
}

bool bvi_plugin_function_at(const bvi_plugin *plugin, size_t index, bvi_script_fn_info *ret_info)
{
    return bvi_script_function_at(plugin->lanes[BVI_LANE_QUERY].script, index, ret_info);
}

const bvi_json *bvi_plugin_failure(const bvi_plugin *plugin)
{
    return plugin->failure;
}

void bvi_plugin_forget_failure(bvi_plugin *plugin)
{
    bvi_json_free(bvi_take(plugin->failure));
}

const bvi_json *bvi_plugin_config(const bvi_plugin *plugin)
{
    return plugin->config;
}

bool bvi_plugin_config_is_stale(const bvi_plugin *plugin)
{
    return plugin->config_stale;
}

/* ---- calling ---- */

static int no_method(const char *name, bv_error **err)
{
    return bvi_fail(err, BV_E_NOT_FOUND, "no matching method '%s' found", name);
}

/* One parameter is passed even when it is empty; without one, only an empty parameter fits. */
static int call_custom(bvi_plugin *plugin, const bvi_entry *entry, const char *name,
                       const char *param, int64_t timeout_ms, bvi_plugin_done_fn done, void *data,
                       bv_op **ret_op, bv_error **err)
{
    const bvi_script *script = plugin->lanes[BVI_LANE_QUERY].script;
    const char *text = param ? param : "";

    if (bvi_script_has_function(script, name, 1))
        return bvi_run_new(plugin, entry, name, text, timeout_ms, done, data, ret_op, err);
    if (!*text && bvi_script_has_function(script, name, 0))
        return bvi_run_new(plugin, entry, name, NULL, timeout_ms, done, data, ret_op, err);
    return no_method(name, err);
}

bool bvi_plugin_is_typed(const char *name)
{
    return bvi_entry_find(name, false)->name != NULL;
}

int bvi_plugin_call(bvi_plugin *plugin, const char *name, const char *param, int64_t timeout_ms,
                    bvi_plugin_done_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    const bvi_entry *entry = bvi_entry_find(name, false);

    if (!entry->name)
        return call_custom(plugin, entry, name, param, timeout_ms, done, data, ret_op, err);
    return bvi_plugin_query(plugin, name, timeout_ms, done, data, ret_op, err);
}

/* init finds out by itself whether there is a configuration; a status may come from the jobs alone.
 */
static bool is_callable(const bvi_plugin *plugin, const char *name)
{
    return bvi_plugin_has(plugin, name) || strcmp(name, "init") == 0 ||
           strcmp(name, "upload") == 0 || strcmp(name, "protocol_status") == 0;
}

int bvi_plugin_query(bvi_plugin *plugin, const char *name, int64_t timeout_ms,
                     bvi_plugin_done_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    const bvi_entry *entry = bvi_entry_find(name, true);

    if (!entry || !is_callable(plugin, name))
        return no_method(name, err);
    return bvi_run_new(plugin, entry, name, NULL, timeout_ms, done, data, ret_op, err);
}

int bvi_plugin_reload_config(bvi_plugin *plugin, int64_t timeout_ms, bvi_plugin_done_fn done,
                             void *data, bv_op **ret_op, bv_error **err)
{
    const bvi_entry *entry = bvi_entry_reload();

    return bvi_run_new(plugin, entry, entry->name, NULL, timeout_ms, done, data, ret_op, err);
}

/* ---- coverage ---- */

typedef struct coverage_reader {
    const bvi_plugin *plugin;
    bvi_script_coverage_fn fn;
    void *data;
} coverage_reader;

/* The main script was compiled with its whole path, a module with the name it was imported as. */
static void on_line(const char *name, uint32_t line, bool ran, void *data)
{
    const coverage_reader *reader = data;
    const char *dir = reader->plugin->sources.dir;
    size_t dir_len = strlen(dir);
    char path[PATH_MAX];

    if (strncmp(name, dir, dir_len) == 0 && name[dir_len] == '/')
        (void)snprintf(path, sizeof(path), "%s", name + dir_len + 1); /* cut: no such file */
    else
        (void)snprintf(path, sizeof(path), "%s.rhai", name); /* the same */
    reader->fn(path, line, ran, reader->data);
}

void bvi_plugin_coverage(const bvi_plugin *plugin, bvi_script_coverage_fn fn, void *data)
{
    coverage_reader reader = { plugin, fn, data };

    for (size_t i = 0; i < BVI_LANES; i++) {
        if (plugin->lanes[i].engine)
            bvi_script_coverage(plugin->lanes[i].engine, on_line, &reader);
    }
}
