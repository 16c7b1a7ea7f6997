/*
 * eval_api.c - bv_eval(): a script, a node that is not there, and a context for both, put together
 * and taken apart in one call.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <blockvisor/eval.h>

#include "base/doc.h"
#include "plugin/eval.h"
#include "plugin/fake_env.h"
#include "plugin/workspace.h"
#include "script/api.h"
#include "sys/fs.h"

#define SUFFIX ".rhai"
/* Scripts come by hand, so Ctrl-C ends them, not a count; and memory is the one bound on sizes. */
#define EVAL_OPERATIONS   UINT64_MAX
#define EVAL_MEMORY_BYTES (1024u * 1024u * 1024u)
#define EVAL_STRING_BYTES (512u * 1024u * 1024u)
#define EVAL_ITEMS        (64u * 1024u * 1024u)
#define EVAL_SOURCE_BYTES (16u * 1024u * 1024u)
#define EVAL_MODULES      4096u
/* The loop has nothing else to do. */
#define EVAL_SLICE_OPERATIONS 1000000u
/* The engine ends a script in time; what waits for the node beyond that is ended by the run. */
#define EVAL_GRACE_MS 100
/* No limit. */
#define EVAL_TIMEOUT_MS (10LL * 365 * 24 * 3600 * 1000)

typedef struct session {
    const bv_eval_opts *opts;
    bvi_script_limits limits;
    bv_ctx *ctx;
    bvi_fake_env *fake;
    bvi_plugin *plugin;
    int dir_fd;
    bool done;
    bvi_json *outcome;
    bv_error *err;
} session;

/* ---- what the script asks for ---- */

static int read_module(const session *s, const char *path, char **ret_source, size_t *ret_len,
                       bv_error **err)
{
    bvi_auto_close int fd = -1;
    struct stat st;
    char link[64];
    int r;

    /* Not blocking: a pipe is no module, and must not keep us. */
    r = bvi_fs_open_beneath(s->dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_NOT_FOUND, "'%s' is not a plain file", path);
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd); /* fits */
    return bvi_fs_read(link, s->limits.source_bytes, ret_source, ret_len, err);
}

static int resolve(const char *name, char **ret_source, size_t *ret_len, bv_error **err, void *data)
{
    const session *s = data;
    size_t len = strlen(name);
    bool whole = len > strlen(SUFFIX) && strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
    bvi_auto_free char *path = bvi_asprintf("%s%s", name, whole ? "" : SUFFIX);

    if (!path)
        return bvi_fail_nomem(err);
    if (s->dir_fd < 0)
        return bvi_fail(err, BV_E_NOT_FOUND, "there is no directory for modules");
    return read_module(s, path, ret_source, ret_len, err);
}

static void on_print(const char *text, size_t len, void *data)
{
    const bv_eval_opts *opts = ((const session *)data)->opts;
    bv_script_output output = { .size = sizeof(output), .text = text, .len = len };

    if (opts->output)
        opts->output(&output, opts->data);
}

static void on_debug(const char *text, size_t len, const char *source, unsigned line,
                     unsigned position, void *data)
{
    const bv_eval_opts *opts = ((const session *)data)->opts;
    bv_script_output output = {
        .size = sizeof(output),
        .is_debug = 1,
        .line = line,
        .column = position,
        .source = source,
        .text = text,
        .len = len,
    };

    if (opts->output)
        opts->output(&output, opts->data);
}

/* ---- the node that is not there ---- */

/* Only looks: the node answers as it would without. */
static bool on_request(void *data, const bvi_json *request, bvi_plugin_reply *reply)
{
    const bv_eval_opts *opts = ((const session *)data)->opts;

    opts->request((const bv_doc *)request, opts->data);
    return false;
}

static int check_opts(const bv_eval_opts *opts, bv_error **err)
{
    int r;

    if (opts->size != sizeof(*opts))
        return bvi_fail(err, BV_E_INVALID, "options have an unknown size %zu", opts->size);
    if (opts->limits && opts->limits->size != sizeof(*opts->limits))
        return bvi_fail(err, BV_E_INVALID, "limits have an unknown size %zu", opts->limits->size);
    if (!opts->source)
        return bvi_fail(err, BV_E_INVALID, "there is no script");
    if (opts->argument && !opts->function)
        return bvi_fail(err, BV_E_INVALID, "an argument needs a function");
    if (opts->env && bv_doc_type_of(opts->env) != BV_DOC_OBJECT)
        return bvi_fail(err, BV_E_INVALID, "the environment is not an object");
    r = bvi_workspace_check_texts(bvi_json_of(opts->params), "parameters", err);
    return r < 0 ? r : bvi_workspace_check_texts(bvi_json_of(opts->secrets), "secrets", err);
}

/* The documents of the plugin's image, or of one that is made up. */
static int set_documents(session *s, const bvi_workspace *workspace, bv_error **err)
{
    bvi_workspace_overlay overlay = {
        .variant = s->opts->variant,
        .env = bvi_json_of(s->opts->env),
        .params = bvi_json_of(s->opts->params),
    };
    bvi_json *params = NULL;
    bvi_json *env = NULL;
    int r = bvi_workspace_node_params(workspace, &overlay, &params, err);

    if (r < 0)
        return r;
    bvi_fake_env_set_params(s->fake, params);
    r = bvi_workspace_node_env(workspace, &overlay, &env, err);
    if (r < 0)
        return r;
    bvi_fake_env_set_env(s->fake, env);
    return 0;
}

static int make_node(session *s, bv_error **err)
{
    static const bvi_workspace none;
    BVI_AUTO(bvi_workspace_freep) bvi_workspace *workspace = NULL;
    bvi_auto_error bv_error *broken = NULL; /* babel.yaml: then the made-up documents do */
    bvi_json *secrets = NULL;
    int r = bvi_fake_env_new(&s->fake, err);

    if (r >= 0 && s->opts->plugin)
        r = bvi_workspace_open(s->opts->plugin, &workspace, s->opts->variant ? NULL : &broken, err);
    if (r >= 0)
        r = set_documents(s, workspace ? workspace : &none, err);
    if (r < 0)
        return r;
    if (s->opts->request)
        bvi_fake_env_set_handler(s->fake, on_request, s);
    bvi_fake_env_set_lenient(s->fake);
    bvi_fake_env_set_data(s->fake, false, true);
    if (!s->opts->secrets)
        return 0;
    secrets = bvi_json_copy(bvi_json_of(s->opts->secrets));
    if (!secrets)
        return bvi_fail_nomem(err);
    bvi_fake_env_set_secrets(s->fake, secrets);
    return 0;
}

/* ---- running ---- */

static void set_limits(session *s)
{
    bvi_script_limits *l = &s->limits;

    *l = bvi_script_limits_of(s->opts->limits);
    l->operations = l->operations ? l->operations : EVAL_OPERATIONS;
    l->memory_bytes = l->memory_bytes ? l->memory_bytes : EVAL_MEMORY_BYTES;
    l->string_bytes = l->string_bytes ? l->string_bytes : EVAL_STRING_BYTES;
    l->array_items = l->array_items ? l->array_items : EVAL_ITEMS;
    l->map_entries = l->map_entries ? l->map_entries : EVAL_ITEMS;
    l->source_bytes = l->source_bytes ? l->source_bytes : EVAL_SOURCE_BYTES;
    l->modules = l->modules ? l->modules : EVAL_MODULES;
    l->slice_operations = l->slice_operations ? l->slice_operations : EVAL_SLICE_OPERATIONS;
}

static int open_dir(session *s, bv_error **err)
{
    if (!s->opts->dir)
        return 0;
    s->dir_fd = open(s->opts->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return s->dir_fd < 0 ? bvi_fail_sys(err, errno, "cannot open directory '%s'", s->opts->dir) : 0;
}

/* A script that does not compile is an outcome like one that fails later. */
static int load(session *s, bv_error **err)
{
    bvi_plugin_env env = bvi_fake_env_functions(s->fake);
    bvi_plugin_script script = {
        .text = s->opts->source,
        .len = s->opts->source_bytes,
        .name = s->opts->name,
        .limits = &s->limits,
        .resolve = resolve,
        .print = on_print,
        .debug = on_debug,
        .data = s,
    };
    bvi_plugin_opts opts = { .env = &env, .script = &script };
    bvi_auto_error bv_error *failure = NULL;
    bvi_json *json = NULL;
    int r = bvi_plugin_load(s->ctx, &opts, &s->plugin, &failure);

    if (r != BV_E_FORMAT)
        return r < 0 ? bvi_error_move(err, bvi_take(failure)) : 0;
    r = bvi_script_syntax_json(failure, s->opts->name, &json, err);
    if (r < 0)
        return r;
    s->outcome = bvi_eval_failure(json);
    return s->outcome ? 0 : bvi_fail_nomem(err);
}

static void on_done(bv_op *op, const bvi_json *outcome, const bv_error *err, void *data)
{
    session *s = data;

    s->done = true;
    s->outcome = bvi_json_copy(outcome);
    if (err)
        s->err = bvi_error_copy(err);
}

static int run(session *s, bv_error **err)
{
    int64_t wall_ms = s->limits.wall_ms;
    int64_t timeout_ms =
        wall_ms > 0 && wall_ms < EVAL_TIMEOUT_MS ? wall_ms + EVAL_GRACE_MS : EVAL_TIMEOUT_MS;
    int r = bvi_plugin_eval(s->plugin, s->opts->function, s->opts->argument, timeout_ms, on_done, s,
                            NULL, err);

    while (r >= 0 && !s->done)
        r = bv_ctx_dispatch(s->ctx, -1);
    if (r < 0)
        return r;
    if (s->err)
        return bvi_error_move(err, bvi_take(s->err));
    return s->outcome ? 0 : bvi_fail_nomem(err);
}

static int evaluate(session *s, bv_error **err)
{
    int r = check_opts(s->opts, err);

    if (r < 0)
        return r;
    set_limits(s);
    r = open_dir(s, err);
    if (r >= 0)
        r = bv_ctx_new(NULL, &s->ctx, err);
    if (r >= 0)
        r = make_node(s, err);
    if (r >= 0)
        r = load(s, err);
    if (r >= 0 && !s->outcome)
        r = run(s, err);
    return r < 0 ? r : 0;
}

int bv_eval(const bv_eval_opts *opts, bv_doc **ret_outcome, bv_error **err)
{
    session s = { .opts = opts, .dir_fd = -1 };
    int r = evaluate(&s, err);

    bvi_plugin_free(s.plugin);
    bvi_fake_env_free(s.fake);
    bv_ctx_free(s.ctx);
    bvi_closep(&s.dir_fd);
    bv_error_free(s.err);
    if (r < 0)
        bvi_json_free(s.outcome);
    else
        *ret_outcome = bvi_doc_of(s.outcome);
    return r;
}
