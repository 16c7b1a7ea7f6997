/*
 * plugin_api.c - bv_plugin_*: a workspace, its answers and a plugin on a scripted node behind one
 * handle.
 */
#include <string.h>

#include <blockvisor/plugin.h>

#include "base/doc.h"
#include "plugin/offline.h"

struct bv_plugin {
    bvi_workspace *workspace;
    bvi_offline *offline;
    char *variant;
    char *answers_path; /* NULL: there are none */
};

BVI_DEFINE_FREEP(bv_plugin, bv_plugin_close)

/* ---- opening ---- */

static int check_opts(const bv_plugin_opts *opts, bv_error **err)
{
    if (opts->size != sizeof(*opts))
        return bvi_fail(err, BV_E_INVALID, "options have an unknown size %zu", opts->size);
    if (opts->limits && opts->limits->size != sizeof(*opts->limits))
        return bvi_fail(err, BV_E_INVALID, "limits have an unknown size %zu", opts->limits->size);
    return 0;
}

static int open_offline(bv_plugin *plugin, const bv_plugin_opts *opts, bv_error **err)
{
    bvi_plugin_limits limits = bvi_offline_limits(opts->limits);
    bvi_auto_json bvi_json *answers = NULL;
    bvi_offline_opts offline = {
        .ctx = opts->ctx,
        .workspace = plugin->workspace,
        .variant = opts->variant,
        .env = bvi_json_of(opts->env),
        .params = bvi_json_of(opts->params),
        .secrets = bvi_json_of(opts->secrets),
        .limits = &limits,
        .timeout_ms = opts->limits ? opts->limits->wall_ms : 0,
    };
    int r =
        bvi_offline_answers(plugin->workspace, opts->answers, &plugin->answers_path, &answers, err);

    offline.answers = answers;
    return r == 0 ? bvi_offline_open(&offline, &plugin->offline, err) : r;
}

int bv_plugin_open(const char *path, const bv_plugin_opts *opts, bv_plugin **ret_plugin,
                   bv_error **err)
{
    static const bv_plugin_opts defaults = BV_PLUGIN_OPTS_INIT;
    BVI_AUTO(bv_plugin_closep) bv_plugin *plugin = NULL;
    int r = opts ? check_opts(opts, err) : 0;

    if (r < 0)
        return r;
    if (!opts)
        opts = &defaults;
    plugin = bvi_new0(bv_plugin);
    if (!plugin)
        return bvi_fail_nomem(err);
    r = bvi_workspace_open(path, &plugin->workspace, NULL, err);
    if (r == 0)
        r = open_offline(plugin, opts, err);
    if (r < 0)
        return r;
    plugin->variant =
        bvi_strdup(opts->variant ? opts->variant : plugin->workspace->variants.items[0]);
    if (!plugin->variant)
        return bvi_fail_nomem(err);
    *ret_plugin = bvi_take(plugin);
    return 0;
}

void bv_plugin_close(bv_plugin *plugin)
{
    if (!plugin)
        return;
    bvi_offline_close(plugin->offline);
    bvi_workspace_free(plugin->workspace);
    bvi_free(plugin->variant);
    bvi_free(plugin->answers_path);
    bvi_free(plugin);
}

/* ---- looking ---- */

static bvi_json *names_json(const bvi_strv *names)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    for (size_t i = 0; list && i < names->len; i++) {
        if (bvi_json_add(list, bvi_json_new_string(names->items[i])) < 0)
            return NULL;
    }
    return bvi_take(list);
}

static bvi_json *files_json(const bvi_sources *sources)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    for (size_t i = 0; list && i < sources->files.len; i++) {
        if (bvi_json_add(list, bvi_json_new_string(sources->files.items[i].path)) < 0)
            return NULL;
    }
    return bvi_take(list);
}

static bvi_json *function_json(const bvi_script_fn_info *info)
{
    bvi_auto_json bvi_json *entry = bvi_json_new_object();

    if (!entry || bvi_json_put_string(entry, "name", info->name) < 0 ||
        bvi_json_put_uint64(entry, "params", info->arity) < 0 ||
        bvi_json_put_bool(entry, "callable", info->arity <= 1 && !info->is_private) < 0)
        return NULL;
    return bvi_take(entry);
}

static bvi_json *functions_json(const bvi_plugin *plugin)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();
    bvi_script_fn_info info;

    for (size_t i = 0; list && bvi_plugin_function_at(plugin, i, &info); i++) {
        if (bvi_json_add(list, function_json(&info)) < 0)
            return NULL;
    }
    return bvi_take(list);
}

int bv_plugin_describe(const bv_plugin *plugin, bv_doc **ret_doc, bv_error **err)
{
    bvi_auto_json bvi_json *doc = bvi_json_new_object();
    const bvi_workspace *ws = plugin->workspace;
    const bvi_plugin *loaded = bvi_offline_plugin(plugin->offline);

    if (!doc || bvi_json_put_string(doc, "dir", ws->dir) < 0 ||
        bvi_json_put_string(doc, "main", ws->main_file) < 0 ||
        bvi_json_put_string(doc, "variant", plugin->variant) < 0 ||
        bvi_json_put(doc, "variants", names_json(&ws->variants)) < 0 ||
        bvi_json_put(doc, "files", files_json(&ws->sources)) < 0 ||
        bvi_json_put_string(doc, "answers", plugin->answers_path) < 0 ||
        bvi_json_put(doc, "functions", functions_json(loaded)) < 0 ||
        bvi_json_put(doc, "capabilities", names_json(bvi_plugin_capabilities(loaded))) < 0)
        return bvi_fail_nomem(err);
    *ret_doc = bvi_doc_of(bvi_take(doc));
    return 0;
}

/* ---- calling ---- */

int bv_plugin_call(bv_plugin *plugin, const char *function, const char *argument,
                   bv_doc **ret_outcome, bv_error **err)
{
    bvi_json *outcome = NULL;
    int r = bvi_offline_call(plugin->offline, function, argument, &outcome, err);

    if (r == 0)
        *ret_outcome = bvi_doc_of(outcome);
    return r;
}

typedef struct started_call {
    bv_plugin_called_fn called;
    void *data;
} started_call;

static void on_called(bv_op *op, const bvi_json *outcome, const bv_error *err, void *data)
{
    started_call *call = data;

    call->called(op, (const bv_doc *)outcome, err, call->data);
    bvi_free(call);
}

int bv_plugin_start(bv_plugin *plugin, const char *function, const char *argument,
                    bv_plugin_called_fn called, void *data, bv_op **ret_op, bv_error **err)
{
    started_call *call = bvi_new0(started_call);
    int r;

    if (!call)
        return bvi_fail_nomem(err);
    *call = (started_call){ called, data };
    r = bvi_offline_start(plugin->offline, function, argument, on_called, call, ret_op, err);
    if (r < 0)
        bvi_free(call);
    return r;
}

int bv_plugin_config(bv_plugin *plugin, bv_doc **ret_outcome, bv_error **err)
{
    bvi_json *outcome = NULL;
    int r = bvi_offline_config(plugin->offline, &outcome, err);

    if (r == 0)
        *ret_outcome = bvi_doc_of(outcome);
    return r;
}

int bv_plugin_take_requests(bv_plugin *plugin, bv_doc **ret_doc, bv_error **err)
{
    bvi_scripted *node = bvi_offline_node(plugin->offline);
    bvi_auto_json bvi_json *doc = bvi_json_new_object();

    if (!doc || bvi_json_put(doc, "requests", bvi_json_copy(bvi_scripted_requests(node))) < 0 ||
        bvi_json_put(doc, "log", bvi_json_copy(bvi_scripted_log(node))) < 0 ||
        bvi_scripted_clear_journal(node) < 0)
        return bvi_fail_nomem(err);
    *ret_doc = bvi_doc_of(bvi_take(doc));
    return 0;
}

void bv_plugin_interrupt(bv_plugin *plugin)
{
    bvi_offline_interrupt(plugin->offline);
}
