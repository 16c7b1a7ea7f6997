/*
 * offline.c - a plugin, its scripted node and the loop that drives both. See offline.h.
 */
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "base/time.h"
#include "io/clock.h"
#include "plugin/offline.h"
#include "plugin/outcome.h"

/* The world's time is no measure of a script's. */
#define NO_TIMEOUT_MS INT32_MAX

/* A call in somebody else's loop. */
typedef struct started {
    bvi_offline *offline; /* NULL: closed */
    struct started *next;
    char *function;
    bvi_eval_done_fn done;
    void *data;
} started;

struct bvi_offline {
    bv_ctx *ctx;
    bool shared; /* the context is somebody else's */
    started *started;
    bvi_fake_env *fake;
    bvi_scripted *scripted;
    bvi_plugin *plugin;
    int64_t timeout_ms;
    /* the world's clock */
    int64_t now_us;
    int64_t start_wall_us;
    int64_t due_us; /* when the context wants its turn; negative: never */
    int wake_fd;    /* of the context */
    /* the call under way */
    const char *function;
    bool done;
    bvi_json *outcome;
    bv_error *err; /* why there is none */
    atomic_bool interrupted;
};

/* ---- the world's clock, and the loop ---- */

static int64_t read_monotonic(void *data)
{
    return ((const bvi_offline *)data)->now_us;
}

static int64_t read_wall(void *data)
{
    const bvi_offline *o = data;

    return bvi_time_add(o->start_wall_us, o->now_us);
}

/* The one descriptor of a context that has no workers is the one that wakes it. */
static int on_watch(void *host, int fd, unsigned events, void **slot)
{
    ((bvi_offline *)host)->wake_fd = events ? fd : -1;
    return 0;
}

static int on_arm(void *host, int64_t delay_us)
{
    bvi_offline *o = host;

    o->due_us = delay_us < 0 ? -1 : o->now_us + delay_us;
    return 0;
}

static int make_ctx(bvi_offline *o, bv_error **err)
{
    bv_loop_hooks hooks = { .size = sizeof(hooks), .host = o, .watch = on_watch, .arm = on_arm };
    bv_clock clock = {
        .size = sizeof(clock), .data = o, .monotonic_us = read_monotonic, .wall_us = read_wall
    };
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;

    opts.hooks = &hooks;
    opts.clock = &clock;
    return bv_ctx_new(&opts, &o->ctx, err);
}

static void look_at_wake_fd(bvi_offline *o)
{
    struct pollfd fd = { .fd = o->wake_fd, .events = POLLIN };

    if (o->wake_fd >= 0 && poll(&fd, 1, 0) > 0)
        bv_ctx_io_ready(o->ctx, o->wake_fd, BV_IO_IN);
}

/* One round: time passes only when there is nothing else to do. */
static bool turn(bvi_offline *o)
{
    look_at_wake_fd(o);
    if (o->done)
        return true;
    if (o->due_us < 0)
        return false;
    if (o->due_us > o->now_us)
        o->now_us = o->due_us;
    bv_ctx_timer_due(o->ctx);
    return true;
}

/* Why the call has to end now, if it does. */
static int check_patience(bvi_offline *o, int64_t until_us, bv_error **err)
{
    if (atomic_exchange(&o->interrupted, false))
        return bvi_fail(err, BV_E_CANCELLED, "interrupted");
    if (bvi_clock_system.monotonic_us(NULL) >= until_us)
        return bvi_fail(err, BV_E_TIMEOUT, "it ran for more than %lld ms",
                        (long long)o->timeout_ms);
    return 0;
}

static int in_shared_loop(bv_error **err)
{
    return bvi_fail(err, BV_E_STATE,
                    "the plugin was opened in a context: calls are started, and end in its loop");
}

static int wait_for(bvi_offline *o, bv_op *op, bv_error **err)
{
    int64_t until_us = bvi_time_add(bvi_clock_system.monotonic_us(NULL),
                                    bvi_time_mul(o->timeout_ms, BVI_US_PER_MS));
    bv_error *impatience = NULL;

    while (!o->done) {
        if (!impatience && check_patience(o, until_us, &impatience) < 0)
            bv_op_cancel(op);
        if (!turn(o))
            return bvi_fail(err, BV_E_INTERNAL, "the plugin waits for nothing");
    }
    if (impatience && o->err) {
        bv_error_free(bvi_take(o->err));
        return bvi_error_move(err, impatience);
    }
    bv_error_free(impatience); /* it was over by then */
    return o->err ? bvi_error_move(err, bvi_take(o->err)) : 0;
}

/* ---- calls ---- */

static void on_done(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    bvi_offline *o = data;

    o->done = true;
    if (bvi_outcome_is_none(err))
        o->err = bvi_error_copy(err);
    else
        o->outcome =
            err ? bvi_outcome_failure(o->plugin, err) : bvi_outcome_value(o->function, value);
}

static void on_evaluated(bv_op *op, const bvi_json *outcome, const bv_error *err, void *data)
{
    bvi_offline *o = data;

    o->done = true;
    if (err)
        o->err = bvi_error_copy(err);
    else
        o->outcome = bvi_json_copy(outcome);
}

/* One parameter is passed even when it is empty; without one, only an empty argument fits. */
static int find_arity(const bvi_offline *o, const char *function, const char *arg,
                      unsigned *ret_arity, bv_error **err)
{
    bvi_script_fn_info info;
    bool has_plain = false;

    for (size_t i = 0; bvi_plugin_function_at(o->plugin, i, &info); i++) {
        if (strcmp(info.name, function) != 0 || info.arity > 1)
            continue;
        *ret_arity = info.arity;
        if (info.arity == 1)
            return 0;
        has_plain = true;
    }
    if (!has_plain)
        return bvi_fail(err, BV_E_NOT_FOUND,
                        "no matching method '%s' found: there is no function of that name with at "
                        "most one parameter",
                        function);
    return !arg || !arg[0]
               ? 0
               : bvi_fail(err, BV_E_NOT_FOUND,
                          "no matching method '%s' found: it takes no parameter", function);
}

/* How a call ends; typed is for functions the daemon knows. */
typedef struct ending {
    bvi_plugin_done_fn typed;
    bvi_eval_done_fn other;
    void *data;
} ending;

static int begin(bvi_offline *o, const char *function, const char *arg, int64_t timeout_ms,
                 const ending *end, bv_op **ret_op, bv_error **err)
{
    unsigned arity = 0;
    int r;

    bvi_plugin_forget_failure(o->plugin);
    if (bvi_plugin_is_typed(function))
        return bvi_plugin_call(o->plugin, function, arg, timeout_ms, end->typed, end->data, ret_op,
                               err);
    r = find_arity(o, function, arg, &arity, err);
    if (r < 0)
        return r;
    return bvi_plugin_eval(o->plugin, function, arity ? arg ? arg : "" : NULL, timeout_ms,
                           end->other, end->data, ret_op, err);
}

/* Takes the operation that was begun. */
static int finish(bvi_offline *o, bv_op *op, bvi_json **ret_outcome, bv_error **err)
{
    int r = wait_for(o, op, err);

    bv_op_unref(op);
    if (r < 0)
        return r;
    *ret_outcome = bvi_take(o->outcome);
    return *ret_outcome ? 0 : bvi_fail_nomem(err);
}

int bvi_offline_config(bvi_offline *offline, bvi_json **ret_outcome, bv_error **err)
{
    bvi_auto_json bvi_json *outcome = NULL;
    const bvi_json *config;
    bv_op *op = NULL;
    int r;

    if (offline->shared)
        return in_shared_loop(err);
    bvi_plugin_forget_failure(offline->plugin);
    offline->done = false;
    offline->function = "init"; /* which has no value of its own either */
    r = bvi_plugin_reload_config(offline->plugin, NO_TIMEOUT_MS, on_done, offline, &op, err);
    if (r == 0)
        r = finish(offline, op, &outcome, err);
    if (r < 0)
        return r;
    config = bvi_plugin_config(offline->plugin);
    if (!bvi_json_find(outcome, "error") && config &&
        bvi_json_put(outcome, "value", bvi_json_copy(config)) < 0)
        return bvi_fail_nomem(err);
    *ret_outcome = bvi_take(outcome);
    return 0;
}

/* A node has evaluated the configuration long before it uploads or tells its status. Whatever that
 * asks for is not part of the call. */
static int prepare(bvi_offline *o, const char *function, bv_error **err)
{
    bvi_auto_json bvi_json *outcome = NULL;
    int r;

    if (bvi_plugin_config(o->plugin) ||
        (strcmp(function, "upload") != 0 && strcmp(function, "protocol_status") != 0))
        return 0;
    r = bvi_offline_config(o, &outcome, err);
    if (r == 0 && bvi_scripted_clear_journal(o->scripted) < 0)
        r = bvi_fail_nomem(err);
    return r; /* a configuration that cannot be evaluated is none, as on a node */
}

int bvi_offline_call(bvi_offline *offline, const char *function, const char *arg,
                     bvi_json **ret_outcome, bv_error **err)
{
    const ending end = { on_done, on_evaluated, offline };
    bv_op *op = NULL;
    int r = offline->shared ? in_shared_loop(err) : prepare(offline, function, err);

    if (r < 0)
        return r;
    offline->done = false;
    offline->function = function;
    r = begin(offline, function, arg, NO_TIMEOUT_MS, &end, &op, err);
    return r < 0 ? r : finish(offline, op, ret_outcome, err);
}

/* ---- calls in somebody else's loop ---- */

static void started_free(started *s)
{
    for (started **at = s->offline ? &s->offline->started : NULL; at && *at; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            break;
        }
    }
    bvi_free(s->function);
    bvi_free(s);
}

/* The plugin may have been closed meanwhile. */
static void on_started_done(bv_op *op, const bvi_plugin_value *value, const bv_error *err,
                            void *data)
{
    started *s = data;
    bvi_auto_error bv_error *no_memory = NULL;
    bvi_auto_json bvi_json *outcome = NULL;

    if (!bvi_outcome_is_none(err)) {
        outcome = err ? bvi_outcome_failure(s->offline ? s->offline->plugin : NULL, err)
                      : bvi_outcome_value(s->function, value);
        err = NULL;
        if (!outcome)
            (void)bvi_fail_nomem(&no_memory);
    }
    s->done(op, outcome, no_memory ? no_memory : err, s->data);
    started_free(s);
}

static void on_started_evaluated(bv_op *op, const bvi_json *outcome, const bv_error *err,
                                 void *data)
{
    started *s = data;

    s->done(op, outcome, err, s->data);
    started_free(s);
}

int bvi_offline_start(bvi_offline *offline, const char *function, const char *arg,
                      bvi_eval_done_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    started *s;
    ending end = { on_started_done, on_started_evaluated, NULL };
    int r;

    if (!offline->shared)
        return bvi_fail(err, BV_E_STATE, "the plugin was opened without a context");
    s = bvi_new0(started);
    if (!s)
        return bvi_fail_nomem(err);
    *s = (started){ .offline = offline, .next = offline->started, .done = done, .data = data };
    offline->started = s;
    s->function = bvi_strdup(function);
    end.data = s;
    r = s->function ? begin(offline, function, arg, offline->timeout_ms, &end, ret_op, err)
                    : bvi_fail_nomem(err);
    if (r < 0)
        started_free(s);
    return r;
}

void bvi_offline_interrupt(bvi_offline *offline)
{
    atomic_store(&offline->interrupted, true);
}

const bvi_plugin *bvi_offline_plugin(const bvi_offline *offline)
{
    return offline->plugin;
}

bvi_scripted *bvi_offline_node(const bvi_offline *offline)
{
    return offline->scripted;
}

/* ---- options ---- */

bvi_plugin_limits bvi_offline_limits(const bv_script_limits *limits)
{
    bvi_plugin_limits result = BVI_PLUGIN_LIMITS_INIT;

    if (!limits)
        return result;
    if (limits->operations)
        result.operations = limits->operations;
    if (limits->memory_bytes)
        result.memory_bytes = limits->memory_bytes;
    if (limits->call_depth)
        result.depth = limits->call_depth;
    if (limits->string_bytes)
        result.string_bytes = limits->string_bytes;
    if (limits->source_bytes)
        result.file_bytes = limits->source_bytes;
    if (limits->modules)
        result.modules = limits->modules;
    return result;
}

/* Beside the scripts, or else beside babel.yaml, which need not be in the image. */
static int find_answers(const bvi_workspace *ws, char **ret_path, bv_error **err)
{
    const char *slash = ws->image_path ? strrchr(ws->image_path, '/') : NULL;
    bvi_auto_free char *dir = NULL;
    int r = bvi_answers_find(ws->dir, ret_path, err);

    if (r < 0 || *ret_path || !slash)
        return r;
    dir = bvi_strndup(ws->image_path, (size_t)(slash - ws->image_path) + 1);
    return dir ? bvi_answers_find(dir, ret_path, err) : bvi_fail_nomem(err);
}

int bvi_offline_answers(const bvi_workspace *workspace, const char *path, char **ret_path,
                        bvi_json **ret_answers, bv_error **err)
{
    bvi_auto_free char *found = NULL;
    int r = 0;

    if (!path) {
        r = find_answers(workspace, &found, err);
    } else if (path[0]) {
        found = bvi_strdup(path);
        r = found ? 0 : bvi_fail_nomem(err);
    }
    if (r == 0 && found)
        r = bvi_answers_load(found, ret_answers, err);
    if (r == 0)
        *ret_path = bvi_take(found);
    return r;
}

/* ---- life ---- */

/* The node before any answers: what the image says about it. */
static int set_node(bvi_offline *o, const bvi_offline_opts *opts, bv_error **err)
{
    bvi_workspace_overlay overlay = { .variant = opts->variant };
    bvi_json *env = NULL;
    bvi_json *params = NULL;
    int r = bvi_workspace_node_env(opts->workspace, &overlay, &env, err);

    if (r < 0)
        return r;
    bvi_fake_env_set_env(o->fake, env);
    r = bvi_workspace_node_params(opts->workspace, &overlay, &params, err);
    if (r == 0)
        bvi_fake_env_set_params(o->fake, params);
    return r;
}

/* A variant that was asked for stays, whatever the caller's environment is of. */
static int put_env(bvi_json *node, const bvi_offline_opts *opts)
{
    bvi_json *env = bvi_json_copy(opts->env);
    int r = bvi_json_put(node, "env", env); /* frees it when it fails */

    if (r == 0 && opts->variant && opts->variant[0])
        r = bvi_json_put_string(env, "node_variant", opts->variant);
    return r;
}

/* What the caller gave beside the answers, as a document of answers. */
static int overlay_document(const bvi_offline_opts *opts, bvi_json **ret_document, bv_error **err)
{
    bvi_auto_json bvi_json *document = bvi_json_new_object();
    bvi_json *node = bvi_json_new_object();
    int r = 0;

    if (opts->env)
        r = put_env(node, opts);
    if (r == 0 && opts->params)
        r = bvi_json_put(node, "params", bvi_json_copy(opts->params));
    if (!document || r < 0) {
        bvi_json_free(node);
        return bvi_fail_nomem(err);
    }
    r = bvi_json_put(document, "node", node);
    if (r == 0 && opts->secrets)
        r = bvi_json_put(document, "secrets", bvi_json_copy(opts->secrets));
    if (r < 0)
        return bvi_fail_nomem(err);
    *ret_document = bvi_take(document);
    return 0;
}

static int add_answers(bvi_offline *o, const bvi_offline_opts *opts, bv_error **err)
{
    bvi_auto_json bvi_json *overlay = NULL;
    int r = 0;

    if (opts->answers)
        r = bvi_scripted_add(o->scripted, opts->answers, BVI_ANSWERS_FILE, err);
    if (r == 0 && opts->more_answers)
        r = bvi_scripted_add(o->scripted, opts->more_answers, BVI_ANSWERS_BEHAVIOUR, err);
    if (r == 0)
        r = overlay_document(opts, &overlay, err);
    if (r == 0)
        r = bvi_answers_check(overlay, BVI_ANSWERS_BEHAVIOUR, err);
    return r == 0 ? bvi_scripted_add(o->scripted, overlay, BVI_ANSWERS_BEHAVIOUR, err) : r;
}

static void set_time(bvi_offline *o, const bvi_offline_opts *opts)
{
    o->start_wall_us = bvi_clock_system.wall_us(NULL);
    (void)bvi_scripted_time(opts->answers, &o->start_wall_us); /* false: as it is */
    (void)bvi_scripted_time(opts->more_answers, &o->start_wall_us);
}

static bool is_lenient(const bvi_json *answers)
{
    const char *word = bvi_json_string(bvi_json_find(answers, "unmatched"));

    return !answers || (word && strcmp(word, "default") == 0);
}

static int load(bvi_offline *o, const bvi_offline_opts *opts, bv_error **err)
{
    bvi_plugin_env env = bvi_fake_env_functions(o->fake);
    bvi_plugin_opts plugin_opts = {
        .root = opts->workspace->dir,
        .dir = ".",
        .main_file = opts->workspace->main_file,
        .limits = opts->limits,
        .env = &env,
        .tests = opts->tests,
        .functions = opts->functions,
        .functions_data = opts->functions_data,
        .keep_failure = true,
        .coverage = opts->coverage,
    };

    return bvi_plugin_load(o->ctx, &plugin_opts, &o->plugin, err);
}

int bvi_offline_open(const bvi_offline_opts *opts, bvi_offline **ret_offline, bv_error **err)
{
    BVI_AUTO(bvi_offline_closep) bvi_offline *o = bvi_new0(bvi_offline);
    int r;

    if (!o)
        return bvi_fail_nomem(err);
    o->timeout_ms = opts->timeout_ms > 0 ? opts->timeout_ms : BVI_OFFLINE_TIMEOUT_MS;
    o->due_us = -1;
    o->wake_fd = -1;
    set_time(o, opts);
    o->ctx = opts->ctx;
    o->shared = opts->ctx != NULL;
    r = o->shared ? 0 : make_ctx(o, err);
    if (r == 0)
        r = bvi_fake_env_new(&o->fake, err);
    if (r == 0)
        r = bvi_scripted_new(o->ctx, o->fake, opts->workspace->rootfs, &o->scripted, err);
    if (r < 0)
        return r;
    if (is_lenient(opts->answers))
        bvi_fake_env_set_lenient(o->fake);
    bvi_fake_env_set_data(o->fake, false, true);
    r = set_node(o, opts, err);
    if (r == 0)
        r = add_answers(o, opts, err);
    if (r == 0)
        r = load(o, opts, err);
    if (r < 0)
        return r;
    *ret_offline = bvi_take(o);
    return 0;
}

void bvi_offline_close(bvi_offline *offline)
{
    if (!offline)
        return;
    for (started *s = offline->started; s; s = s->next)
        s->offline = NULL;
    bvi_plugin_free(offline->plugin);
    bvi_scripted_free(offline->scripted);
    if (!offline->shared)
        bv_ctx_free(offline->ctx);
    bvi_fake_env_free(offline->fake);
    bvi_json_free(offline->outcome);
    bv_error_free(offline->err);
    bvi_free(offline);
}
