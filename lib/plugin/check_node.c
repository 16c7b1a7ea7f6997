/*
 * check_node.c - a fake node with answers made up. See check_node.h.
 */
#include <string.h>

#include "plugin/check_node.h"
#include "plugin/eval.h"

/* A plugin that needs more hangs. Time is made up: see clock_now(). */
#define OPERATIONS    5000000u
#define TIMEOUT_MS    (60 * 1000)
#define TIME_PER_TURN 1000 /* microseconds */
/* Of one node; a plugin that makes jobs in a loop makes as many. */
#define WARNINGS_MAX 256u
/* Secrets that were asked for are not kept so long: each function asks anew. */
#define TIME_BETWEEN (3600 * 1000000LL)

/* ---- answers ---- */

/* What requests are answered with. */
static const struct world {
    const char *body;   /* of HTTP, with status 200 */
    const char *out;    /* of the shell, with exit code 0 */
    const char *secret; /* unless the author gave secrets */
} worlds[BVI_CHECK_NODES] = {
    { "{}", "", "secret value" },
    { "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"0x10\"}", "16", "16" },
    { "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":16}", "{\"result\":16}", "{}" },
    { "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":false}", "false", "user:password" },
    { "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}", "{}", "a,b,c" },
};

/* Time passes with each turn of the loop, so that a script's sleep costs nothing. */
static int64_t clock_now(void *data)
{
    return ((const bvi_check_node *)data)->now_us;
}

static void answer(bvi_plugin_reply *reply, bvi_json *value, int r)
{
    if (r < 0) {
        bvi_json_free(value);
        bvi_plugin_reply_error(reply, NULL); /* no memory */
        return;
    }
    bvi_plugin_reply_json(reply, value);
}

static void answer_http(const struct world *world, bvi_plugin_reply *reply)
{
    bvi_json *value = bvi_json_new_object();
    int r = bvi_json_put_int64(value, "status_code", 200);

    answer(reply, value, r < 0 ? r : bvi_json_put_string(value, "body", world->body));
}

static void answer_shell(const struct world *world, bvi_plugin_reply *reply)
{
    bvi_json *value = bvi_json_new_object();
    int r = bvi_json_put_int64(value, "exit_code", 0);

    if (r == 0)
        r = bvi_json_put_string(value, "stdout", world->out);
    answer(reply, value, r < 0 ? r : bvi_json_put_string(value, "stderr", ""));
}

/* What a request makes of a function: nothing, or one that depends on the answer. */
static const struct request {
    const char *call;
    void (*answer)(const struct world *world, bvi_plugin_reply *reply); /* NULL: as the fake does */
} requests[] = {
    { "run_jrpc", answer_http }, { "run_rest", answer_http }, { "run_graphql", answer_http },
    { "run_sh", answer_shell },  { "file_read", NULL },       { "load_data", NULL },
    { "job_info", NULL },        { "get_jobs", NULL },
};

static bool on_secret(bvi_check_node *n, bvi_plugin_reply *reply)
{
    const char *text = worlds[n->kind].secret;

    n->asked = true;
    if (n->check->opts->secrets)
        return false;
    bvi_plugin_reply_bytes(reply, text, strlen(text));
    return true;
}

static void keep_warning(bvi_check_node *n, const bvi_json *line)
{
    const char *level = bvi_json_string(bvi_json_find(line, "level"));
    const char *text = bvi_json_string(bvi_json_find(line, "text"));

    if (strcmp(level, "warn") == 0 && strncmp(text, "job '", strlen("job '")) == 0 &&
        strstr(text, "unknown key '") && bvi_strv_add(&n->warnings, text) == BV_E_NOMEM)
        n->check->report.no_memory = true;
}

static bool on_request(void *data, const bvi_json *request, bvi_plugin_reply *reply)
{
    bvi_check_node *n = data;
    const char *call = bvi_json_string(bvi_json_find(request, "call"));

    if (strcmp(call, "create_job") == 0 &&
        bvi_json_put(n->jobs, bvi_json_string(bvi_json_find(request, "name")),
                     bvi_json_copy(bvi_json_find(request, "config"))) < 0)
        n->check->report.no_memory = true;
    if (strcmp(call, "log") == 0)
        keep_warning(n, request);
    if (strcmp(call, "get_secret") == 0)
        return on_secret(n, reply);
    for (size_t i = 0; i < BVI_COUNT(requests); i++) {
        if (strcmp(requests[i].call, call) != 0)
            continue;
        n->asked = n->asked_node = true;
        if (requests[i].answer)
            requests[i].answer(&worlds[n->kind], reply);
        return requests[i].answer != NULL;
    }
    return false;
}

static int set_documents(bvi_check_node *n, bv_error **err)
{
    const bvi_check_opts *opts = n->check->opts;
    const bvi_workspace_overlay overlay = { n->check->variants.items[n->variant], opts->env,
                                            opts->params };
    bvi_json *env = NULL;
    bvi_json *params = NULL;
    int r = bvi_workspace_node_env(n->check->ws, &overlay, &env, err);

    if (r < 0)
        return r;
    bvi_fake_env_set_env(n->fake, env);
    r = bvi_workspace_node_params(n->check->ws, &overlay, &params, err);
    if (r < 0)
        return r;
    bvi_fake_env_set_params(n->fake, params);
    if (opts->secrets) {
        bvi_json *secrets = bvi_json_copy(opts->secrets);

        if (!secrets)
            return bvi_fail_nomem(err);
        bvi_fake_env_set_secrets(n->fake, secrets);
    }
    return 0;
}

static int load(bvi_check_node *n, bv_error **err)
{
    const bvi_workspace *ws = n->check->ws;
    bvi_plugin_limits limits = BVI_PLUGIN_LIMITS_INIT;
    bvi_plugin_env env = bvi_fake_env_functions(n->fake);
    bvi_plugin_opts opts = {
        .root = ws->dir, .dir = ".", .main_file = ws->main_file, .limits = &limits, .env = &env
    };

    limits.operations = OPERATIONS;
    limits.query_timeout_ms = limits.call_timeout_ms = limits.work_timeout_ms = TIMEOUT_MS;
    return bvi_plugin_load(n->ctx, &opts, &n->plugin, err);
}

void bvi_check_node_close(bvi_check_node *n)
{
    bvi_plugin_free(n->plugin);
    bvi_fake_env_free(n->fake);
    bv_ctx_free(n->ctx);
    bvi_json_free(n->jobs);
    bvi_strv_done(&n->warnings);
    bvi_json_free(n->outcome);
    bv_error_free(n->err);
    *n = (bvi_check_node){ .check = NULL };
}

int bvi_check_node_open(bvi_check_node *n, bvi_check *check, size_t variant, size_t kind,
                        bv_error **err)
{
    const bv_clock clock = { sizeof(clock), n, clock_now, clock_now };
    const bv_ctx_opts opts = { .size = sizeof(opts), .clock = &clock };
    int r;

    *n = (bvi_check_node){
        .check = check, .variant = variant, .kind = kind, .now_us = 1700000000000000
    };
    n->warnings.max = WARNINGS_MAX;
    n->jobs = bvi_json_new_object();
    r = n->jobs ? bv_ctx_new(&opts, &n->ctx, err) : bvi_fail_nomem(err);
    if (r == 0)
        r = bvi_fake_env_new(&n->fake, err);
    if (r == 0) {
        bvi_fake_env_set_lenient(n->fake);
        bvi_fake_env_set_data(n->fake, false, true);
        bvi_fake_env_set_handler(n->fake, on_request, n);
        r = set_documents(n, err);
    }
    if (r == 0)
        r = load(n, err);
    if (r < 0)
        bvi_check_node_close(n);
    return r;
}

/* ---- calls ---- */

static void on_eval(bv_op *op, const bvi_json *outcome, const bv_error *err, void *data)
{
    bvi_check_node *n = data;

    n->done = true;
    n->outcome = outcome ? bvi_json_copy(outcome) : NULL;
    n->err = err ? bvi_error_copy(err) : NULL;
}

static void on_call(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    on_eval(op, NULL, err, data);
}

static void begin(bvi_check_node *n)
{
    bvi_json_free(bvi_take(n->outcome));
    bv_error_free(bvi_take(n->err));
    n->done = n->asked = n->asked_node = false;
    n->now_us += TIME_BETWEEN;
}

static int wait_for(bvi_check_node *n, int r)
{
    while (r >= 0 && !n->done) {
        r = bv_ctx_dispatch(n->ctx, 0);
        n->now_us += TIME_PER_TURN;
    }
    return r < 0 ? r : 0;
}

int bvi_check_node_eval(bvi_check_node *n, const char *function, bv_error **err)
{
    int r;

    begin(n);
    r = wait_for(n, bvi_plugin_eval(n->plugin, function, NULL, TIMEOUT_MS, on_eval, n, NULL, err));
    if (r < 0 || n->outcome)
        return r;
    return n->err ? bvi_error_move(err, bvi_take(n->err)) : bvi_fail_nomem(err);
}

int bvi_check_node_reload(bvi_check_node *n, bv_error **err)
{
    begin(n);
    return wait_for(n, bvi_plugin_reload_config(n->plugin, TIMEOUT_MS, on_call, n, NULL, err));
}
