/*
 * lint.c - loading a plugin on a fake node, running its init, and looking at what it asked for. See
 * lint.h.
 */
#include <string.h>

#include "io/op.h"
#include "plugin/fake_env.h"
#include "plugin/lint.h"
#include "plugin/lint_params.h"
#include "plugin/sources.h"
#include "script/script.h"

#define NAMES_MAX 8192u

typedef struct lint {
    bv_op *op;
    bv_op *init; /* our reference to the plugin's operation; NULL once it ended */
    bvi_fake_env *fake;
    bvi_plugin *plugin;
    bvi_plugin_lint_fn done;
    void *data;
    bvi_strv warnings;
} lint;

static void lint_free(lint *l)
{
    if (!l)
        return;
    bvi_plugin_free(l->plugin);
    bvi_fake_env_free(l->fake);
    bv_op_unref(l->init);
    bvi_strv_done(&l->warnings);
    bvi_free(l);
}
BVI_DEFINE_FREEP(lint, lint_free)

/* More warnings than the maximum help nobody. */
static int add(lint *l, const char *text)
{
    int r = bvi_strv_add(&l->warnings, text);

    return r == BV_E_LIMIT ? 0 : r;
}

/* ---- the files ---- */

static int compile_all(const bvi_sources *sources, bv_error **err)
{
    bvi_script_options options = { .limits = { .memory_bytes = 0 } };
    BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = NULL;
    int r;

    r = bvi_script_engine_new(&options, &engine, err);
    for (size_t i = 0; r >= 0 && i < sources->files.len; i++) {
        const bvi_source *file = &sources->files.items[i];
        bvi_script *script = NULL;

        r = bvi_script_compile(engine, file->text, file->len, file->path, &script, err);
        bvi_script_free(script);
        if (r < 0)
            return bvi_wrap(err, r, "script '%s'", file->path);
    }
    return r;
}

static int check_files(lint *l, const bvi_plugin_lint_opts *opts, bv_error **err)
{
    bvi_plugin_limits limits = BVI_PLUGIN_LIMITS_INIT;
    BVI_AUTO(bvi_sources_done) bvi_sources sources = { .dir = NULL };
    int r;

    r = bvi_sources_read(opts->root, opts->dir ? opts->dir : BVI_PLUGIN_DIR, limits.file_bytes,
                         limits.modules + 1, &sources, err);
    if (r >= 0)
        r = compile_all(&sources, err);
    for (size_t i = 0; r >= 0 && opts->properties && i < sources.files.len; i++) {
        const bvi_source *file = &sources.files.items[i];

        if (bvi_lint_params(file->path, file->text, file->len, opts->properties, &l->warnings) < 0)
            r = bvi_fail_nomem(err);
    }
    return r;
}

/* ---- the configuration ---- */

static const struct list {
    const char *key;
    const char *inner;
} lists[] = {
    { "aux_services", NULL }, { "init", "jobs" },       { "post_download", NULL },
    { "services", NULL },     { "pre_upload", "jobs" }, { "post_upload", NULL },
};

static const bvi_json *list_at(const bvi_json *config, size_t i)
{
    const bvi_json *list = bvi_json_find(config, lists[i].key);

    return lists[i].inner ? bvi_json_find(list, lists[i].inner) : list;
}

static int collect_names(const bvi_json *config, bvi_strv *names)
{
    int r = bvi_strv_add(names, "download");

    if (r >= 0)
        r = bvi_strv_add(names, "upload");
    for (size_t i = 0; i < BVI_COUNT(lists); i++) {
        bvi_json_each(job, list_at(config, i)) {
            if (r >= 0)
                r = bvi_strv_add(names, bvi_json_string(bvi_json_find(job, "name")));
        }
    }
    return r;
}

static int check_job_needs(lint *l, const bvi_json *job, const bvi_strv *names)
{
    const char *name = bvi_json_string(bvi_json_find(job, "name"));

    bvi_json_each(need, bvi_json_find(job, "needs")) {
        bvi_auto_free char *text = NULL;

        if (bvi_strv_has(names, bvi_json_string(need)))
            continue;
        text = bvi_asprintf("job '%s' needs '%s', which is not a job of this plugin", name,
                            bvi_json_string(need));
        if (!text || add(l, text) < 0)
            return BV_E_NOMEM;
    }
    return 0;
}

static int check_needs(lint *l, const bvi_json *config)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(NAMES_MAX);
    int r = collect_names(config, &names);

    for (size_t i = 0; i < BVI_COUNT(lists); i++) {
        bvi_json_each(job, list_at(config, i)) {
            if (r >= 0)
                r = check_job_needs(l, job, &names);
        }
    }
    return r;
}

/* What plugin_config() had too much of was logged as a warning. */
static int take_log_warnings(lint *l)
{
    static const char prefix[] = "log warn plugin_config: ";
    const char *line = bvi_fake_env_journal(l->fake);
    int r = 0;

    while (*line && r >= 0) {
        const char *end = strchr(line, '\n');
        bvi_auto_free char *text = NULL;

        if (!end)
            break;
        if (strncmp(line, prefix, strlen(prefix)) == 0) {
            text =
                bvi_strndup(line + strlen("log warn "), (size_t)(end - line) - strlen("log warn "));
            r = text ? add(l, text) : BV_E_NOMEM;
        }
        line = end + 1;
    }
    return r;
}

static int collect(lint *l)
{
    const bvi_json *config = bvi_plugin_config(l->plugin);
    int r = 0;

    if (!config)
        r = add(l, "Deprecated API used: missing plugin_config function");
    if (r >= 0 && !bvi_plugin_has(l->plugin, "protocol_status"))
        r = add(l, "missing protocol_status function");
    if (r >= 0)
        r = take_log_warnings(l);
    return r >= 0 ? check_needs(l, config) : r;
}

/* ---- the operation ---- */

static void on_init(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    lint *l = data;
    bv_error *failure = NULL;

    bv_op_unref(bvi_take(l->init));
    if (err)
        failure = bvi_error_copy(err);
    else if (collect(l) < 0)
        (void)bvi_fail_nomem(&failure); /* stores the static error */
    bvi_op_complete(l->op, failure);
}

static void on_cancel(bv_op *op, void *data)
{
    lint *l = data;

    if (l->init)
        bv_op_cancel(l->init); /* on_init() ends ours */
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    lint *l = data;

    l->done(op, err ? NULL : &l->warnings, err, l->data);
    lint_free(l);
}

static const bvi_op_vtable vtable = { "plugin check", on_cancel, on_finish };

static int set_documents(bvi_fake_env *fake, const bvi_plugin_lint_opts *opts)
{
    bvi_json *params = opts->properties ? bvi_json_copy(opts->properties) : NULL;
    bvi_json *env = opts->node_env ? bvi_json_copy(opts->node_env) : NULL;

    if (params)
        bvi_fake_env_set_params(fake, params);
    if (env)
        bvi_fake_env_set_env(fake, env);
    return (opts->properties && !params) || (opts->node_env && !env) ? BV_E_NOMEM : 0;
}

static int prepare(lint *l, bv_ctx *ctx, const bvi_plugin_lint_opts *opts, bv_error **err)
{
    bvi_plugin_opts plugin = { .root = opts->root, .dir = opts->dir, .main_file = opts->main_file };
    bvi_plugin_env env;
    int r;

    r = check_files(l, opts, err);
    if (r >= 0)
        r = bvi_fake_env_new(&l->fake, err);
    if (r < 0)
        return r;
    bvi_fake_env_set_lenient(l->fake);
    bvi_fake_env_set_data(l->fake, false, true);
    if (set_documents(l->fake, opts) < 0)
        return bvi_fail_nomem(err);
    env = bvi_fake_env_functions(l->fake);
    plugin.env = &env;
    return bvi_plugin_load(ctx, &plugin, &l->plugin, err);
}

int bvi_plugin_lint(bv_ctx *ctx, const bvi_plugin_lint_opts *opts, bvi_plugin_lint_fn done,
                    void *data, bv_op **ret_op, bv_error **err)
{
    BVI_AUTO(lint_freep) lint *l = bvi_new0(lint);
    bv_error *failure = NULL;
    int r;

    if (!l)
        return bvi_fail_nomem(err);
    l->warnings.max = BVI_LINT_WARNINGS_MAX;
    l->done = done;
    l->data = data;
    r = prepare(l, ctx, opts, err);
    if (r >= 0)
        r = bvi_op_new(ctx, &vtable, l, &l->op, err);
    if (r < 0)
        return r;
    if (bvi_plugin_call(l->plugin, "init", NULL, 0, on_init, l, &l->init, &failure) < 0)
        bvi_op_complete(l->op, failure); /* from here on everything is told by the callback */
    if (ret_op)
        *ret_op = bv_op_ref(l->op);
    (void)bvi_take(l); /* on_finish() frees it */
    return 0;
}
