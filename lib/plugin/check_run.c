/*
 * check_run.c - runs a plugin on a node that is not there, and looks at what its functions return.
 * See check_impl.h.
 *
 * Whether a function works depends on what the node answers, and nobody knows that here. So there
 * are several nodes, which answer in different ways. A function is wrong if it fails without asking
 * anything, or if it returns the same wrong type whatever it was told; a failure after an answer is
 * a note, no more.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/check_impl.h"
#include "plugin/config.h"
#include "plugin/eval.h"
#include "plugin/fake_env.h"
#include "plugin/jobs.h"

/* A plugin that needs more hangs. Time is made up: see clock_now(). */
#define OPERATIONS    5000000u
#define TIMEOUT_MS    (60 * 1000)
#define TIME_PER_TURN 1000 /* microseconds */

#define CONFIG_FUNCTION "plugin_config"

/* ---- nodes ---- */

/* What requests are answered with. */
static const struct world {
    const char *body; /* of HTTP, with status 200 */
    const char *out;  /* of the shell, with exit code 0 */
} worlds[] = {
    { "{}", "" },
    { "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"0x10\"}", "16" },
    { "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":16}", "{\"result\":16}" },
    { "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":false}", "false" },
    { "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}", "{}" },
};

/* A node, and the plugin on it. */
typedef struct node {
    bvi_check *check;
    size_t variant;
    const struct world *world;
    int64_t now_us;
    bv_ctx *ctx;
    bvi_fake_env *fake;
    bvi_plugin *plugin;
    bvi_json *jobs; /* created by the plugin: {name: config} */
    bool asked;     /* since the function began: its result depends on answers */
    bool done;
    bvi_json *outcome;
    bv_error *err;
} node;

/* Time passes with each turn of the loop, so that a script's sleep costs nothing. */
static int64_t clock_now(void *data)
{
    return ((const node *)data)->now_us;
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
    { "run_sh", answer_shell },  { "file_read", NULL },       { "get_secret", NULL },
    { "load_data", NULL },       { "job_info", NULL },        { "get_jobs", NULL },
};

static bool on_request(void *data, const bvi_json *request, bvi_plugin_reply *reply)
{
    node *n = data;
    const char *call = bvi_json_string(bvi_json_find(request, "call"));

    if (strcmp(call, "create_job") == 0 &&
        bvi_json_put(n->jobs, bvi_json_string(bvi_json_find(request, "name")),
                     bvi_json_copy(bvi_json_find(request, "config"))) < 0)
        n->check->report.no_memory = true;
    for (size_t i = 0; i < BVI_COUNT(requests); i++) {
        if (strcmp(requests[i].call, call) != 0)
            continue;
        n->asked = true;
        if (requests[i].answer)
            requests[i].answer(n->world, reply);
        return requests[i].answer != NULL;
    }
    return false;
}

static int set_documents(node *n, bv_error **err)
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

static int load(node *n, bv_error **err)
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

static void node_close(node *n)
{
    bvi_plugin_free(n->plugin);
    bvi_fake_env_free(n->fake);
    bv_ctx_free(n->ctx);
    bvi_json_free(n->jobs);
    bvi_json_free(n->outcome);
    bv_error_free(n->err);
    *n = (node){ .check = NULL };
}

static int node_open(node *n, bvi_check *check, size_t variant, const struct world *world,
                     bv_error **err)
{
    const bv_clock clock = { sizeof(clock), n, clock_now, clock_now };
    const bv_ctx_opts opts = { .size = sizeof(opts), .clock = &clock };
    int r;

    *n = (node){ .check = check, .variant = variant, .world = world, .now_us = 1700000000000000 };
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
        node_close(n);
    return r;
}

/* ---- calls ---- */

static void on_eval(bv_op *op, const bvi_json *outcome, const bv_error *err, void *data)
{
    node *n = data;

    n->done = true;
    n->outcome = outcome ? bvi_json_copy(outcome) : NULL;
    n->err = err ? bvi_error_copy(err) : NULL;
}

static void on_call(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    on_eval(op, NULL, err, data);
}

static void begin(node *n)
{
    bvi_json_free(bvi_take(n->outcome));
    bv_error_free(bvi_take(n->err));
    n->done = false;
    n->asked = false;
}

static int wait_for(node *n, int r)
{
    while (r >= 0 && !n->done) {
        r = bv_ctx_dispatch(n->ctx, 0);
        n->now_us += TIME_PER_TURN;
    }
    return r < 0 ? r : 0;
}

/* Runs a function without parameters, the top level for NULL; n->outcome tells how it went, n->err
 * what kept it from having one. */
static int evaluate(node *n, const char *function, bv_error **err)
{
    int r;

    begin(n);
    r = wait_for(n, bvi_plugin_eval(n->plugin, function, NULL, TIMEOUT_MS, on_eval, n, NULL, err));
    if (r < 0 || n->outcome)
        return r;
    return n->err ? bvi_error_move(err, bvi_take(n->err)) : bvi_fail_nomem(err);
}

static int reload_config(node *n, bv_error **err)
{
    begin(n);
    return wait_for(n, bvi_plugin_reload_config(n->plugin, TIMEOUT_MS, on_call, n, NULL, err));
}

/* ---- failures ---- */

/* The script a failure names: the main one by its path, modules by what was imported. */
static const char *file_of(const bvi_check *check, const char *source)
{
    const bvi_source *module = NULL;
    const char *slash = source ? strrchr(source, '/') : NULL;

    if (!source || strcmp(source, check->ws->main_file) == 0 ||
        (slash && strncmp(source, check->ws->dir, strlen(check->ws->dir)) == 0))
        return check->ws->main_file;
    if (bvi_sources_import(&check->ws->sources, source, &module, NULL) == 0)
        return module->path;
    return NULL;
}

static unsigned number_of(const bvi_json *object, const char *key)
{
    int64_t number = 0;

    return bvi_json_int64(bvi_json_find(object, key), &number) == 0 ? (unsigned)number : 0;
}

static bvi_spot spot_of_failure(const bvi_check *check, const char *function,
                                const bvi_json *failure)
{
    const char *source = bvi_json_string(bvi_json_find(failure, "source"));
    bvi_spot spot = { file_of(check, source), number_of(failure, "line"),
                      number_of(failure, "column") };
    const bvi_note *note;

    if (spot.file && spot.line)
        return spot;
    note = function && check->main ? bvi_check_function(check->main, function, 0) : NULL;
    return note ? bvi_check_spot(check->main, note) : (bvi_spot){ check->ws->main_file, 0, 0 };
}

/* An error at that line was found in the text already. */
static bool is_known(const bvi_report *report, bvi_spot spot)
{
    for (size_t i = 0; i < report->findings.len; i++) {
        const bvi_finding *f = &report->findings.items[i];

        if (spot.line && f->line == spot.line && strcmp(f->file, spot.file) == 0 &&
            bvi_rule_severity(f->rule) == BVI_SEVERITY_ERROR && f->rule != BVI_RULE_RUN_FAILED)
            return true;
    }
    return false;
}

static void report_failure(const node *n, const char *function)
{
    const bvi_json *failure = bvi_json_find(n->outcome, "error");
    const char *message = bvi_json_string(bvi_json_find(failure, "message"));
    bvi_spot spot = spot_of_failure(n->check, function, failure);
    /* Where variant or properties had to be made up, they read as () like those of a wrong node. */
    bool excused = n->asked || n->check->made_up;

    if (!failure || is_known(&n->check->report, spot))
        return;
    bvi_report_add(&n->check->report, excused ? BVI_RULE_FAKE_ANSWER : BVI_RULE_RUN_FAILED,
                   n->variant, spot, "%s%s fails%s: %s", function ? function : "the top level",
                   function ? "()" : "",
                   n->asked  ? " with made-up answers"
                   : excused ? " on a made-up node"
                             : "",
                   message ? message : "");
}

/* ---- results ---- */

static char *wrong_type(const char *wanted, const bvi_json *outcome)
{
    return bvi_asprintf("must return %s; it returned %s", wanted,
                        bvi_json_string(bvi_json_find(outcome, "type")));
}

static bool has_type(const bvi_json *outcome, const char *type)
{
    return strcmp(bvi_json_string(bvi_json_find(outcome, "type")), type) == 0;
}

/* Each gives what is wrong with a result, allocated, or NULL. asked: it may depend on answers. */
typedef char *(*judge_fn)(const bvi_json *outcome, bool asked);

static char *judge_nothing(const bvi_json *outcome, bool asked)
{
    return NULL;
}

static char *judge_number(const bvi_json *outcome, bool asked)
{
    int64_t number = 0;

    if (!has_type(outcome, "i64"))
        return wrong_type("an integer", outcome);
    if (!asked && bvi_json_int64(bvi_json_find(outcome, "value"), &number) == 0 && number < 0)
        return bvi_asprintf("must not return a negative number");
    return NULL;
}

static char *judge_text(const bvi_json *outcome, bool asked)
{
    return has_type(outcome, "string") ? NULL : wrong_type("a string", outcome);
}

static char *judge_bool(const bvi_json *outcome, bool asked)
{
    return has_type(outcome, "bool") ? NULL : wrong_type("a bool", outcome);
}

static char *judge_bool_text(const bvi_json *outcome, bool asked)
{
    const char *text = bvi_json_string(bvi_json_find(outcome, "value"));

    if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return bvi_asprintf("must return \"true\" or \"false\"; it returned another text");
    return text || has_type(outcome, "bool") ? NULL : wrong_type("\"true\" or \"false\"", outcome);
}

static char *judge_real_text(const bvi_json *outcome, bool asked)
{
    const char *text = bvi_json_string(bvi_json_find(outcome, "value"));
    char *end = NULL;

    if (text && (strtod(text, &end), end == text || *end))
        return bvi_asprintf("must return a number as text; it returned another text");
    return text || has_type(outcome, "f64") || has_type(outcome, "i64")
               ? NULL
               : wrong_type("a number as text", outcome);
}

static char *judge_status(const bvi_json *outcome, bool asked)
{
    static const char *const health_names[] = { "healthy", "neutral", "unhealthy" };
    const bvi_json *value = bvi_json_find(outcome, "value");
    const char *health;

    if (!has_type(outcome, "map"))
        return wrong_type("a map with state and health", outcome);
    if (!bvi_json_string(bvi_json_find(value, "state")))
        return bvi_asprintf("must return a map with a text 'state'");
    health = bvi_json_string(bvi_json_find(value, "health"));
    if (!health)
        return bvi_asprintf("must return a map with a text 'health'");
    for (size_t i = 0; i < BVI_COUNT(health_names); i++) {
        if (strcmp(health, health_names[i]) == 0)
            return NULL;
    }
    return bvi_asprintf("returned health '%s'; it can be healthy, neutral or unhealthy", health);
}

static const struct wanted {
    const char *function;
    judge_fn judge;
} wanted[] = {
    { "init", judge_nothing },           { "upload", judge_nothing },
    { "protocol_status", judge_status }, { "height", judge_number },
    { "block_age", judge_number },       { "name", judge_text },
    { "address", judge_text },           { "consensus", judge_bool },
    { "apr", judge_real_text },          { "jailed", judge_bool_text },
    { "jailed_reason", judge_text },     { "sqd_name", judge_text },
};

/* ---- one function on all nodes ---- */

typedef struct verdict {
    unsigned ran;  /* nodes on which it returned something that is not () */
    bool good;     /* on one of them what it has to */
    bool depends;  /* on answers */
    bool mixed;    /* it was wrong in different ways */
    char *mistake; /* the first one */
} verdict;

static void judge(verdict *v, const node *n, judge_fn fn)
{
    bvi_auto_free char *mistake = NULL;

    if (bvi_json_find(n->outcome, "error"))
        return;
    /* () may come from an answer without the expected keys. */
    if (n->asked && has_type(n->outcome, "()") && fn != judge_nothing)
        return;
    v->ran++;
    mistake = fn(n->outcome, n->asked);
    v->good |= !mistake;
    if (mistake && v->mistake && strcmp(mistake, v->mistake) != 0)
        v->mixed = true;
    if (!v->mistake)
        v->mistake = bvi_take(mistake);
}

static void conclude(bvi_check *check, size_t variant, const char *function, const verdict *v)
{
    const bvi_note *note = bvi_check_function(check->main, function, 0);

    if (v->good || v->mixed || !v->mistake || (v->depends && v->ran < 2))
        return;
    bvi_report_add(&check->report, BVI_RULE_RESULT_TYPE, variant, bvi_check_spot(check->main, note),
                   "%s() %s", function, v->mistake);
}

/* The nodes of one variant, made when they are wanted. */
typedef struct nodes {
    bvi_check *check;
    size_t variant;
    node all[BVI_COUNT(worlds)];
} nodes;

static int get_node(nodes *ns, size_t i, node **ret_node, bv_error **err)
{
    node *n = &ns->all[i];
    int r = 0;

    if (!n->check) {
        r = node_open(n, ns->check, ns->variant, &worlds[i], err);
        if (r == 0)
            r = reload_config(n, err); /* what is wrong with it was seen on the first */
    }
    *ret_node = n;
    return r;
}

static int run_function(nodes *ns, const struct wanted *w, bv_error **err)
{
    verdict v = { .mistake = NULL };
    int r = 0;

    for (size_t i = 0; i < BVI_COUNT(worlds) && r == 0; i++) {
        node *n = NULL;

        r = get_node(ns, i, &n, err);
        if (r == 0)
            r = evaluate(n, w->function, err);
        if (r < 0)
            break;
        v.depends |= n->asked;
        judge(&v, n, w->judge);
        if (!v.ran && (!n->asked || i + 1 == BVI_COUNT(worlds)))
            report_failure(n, w->function);
        if (v.good || !n->asked)
            break;
    }
    if (r == 0)
        conclude(ns->check, ns->variant, w->function, &v);
    bvi_free(v.mistake);
    return r;
}

/* ---- jobs the plugin makes itself ---- */

/* Where a job of that name is made. */
static bvi_spot spot_of_job(const bvi_check *check, const char *name)
{
    bvi_check_each(file, check) {
        bvi_check_each_note(note, file) {
            const bvi_note *call =
                note->kind == BVI_NOTE_ARGUMENT ? bvi_check_note(file, note->in) : NULL;
            const bvi_note *text = call ? bvi_check_meaning(file, note->of) : NULL;

            if (call && call->kind == BVI_NOTE_CALL && text && text->kind == BVI_NOTE_STRING &&
                strcmp(text->text, name) == 0 &&
                (strcmp(call->text, "create_job") == 0 || strcmp(call->text, "start_job") == 0))
                return bvi_check_spot(file, call);
        }
    }
    return spot_of_failure(check, "init", NULL);
}

static bool is_service(const bvi_json *job)
{
    return bvi_json_find(bvi_json_find(job, "restart"), "always") != NULL;
}

static void check_made_need(const node *n, const bvi_json *job, const bvi_json *need)
{
    const char *name = bvi_json_string(need);
    const bvi_json *needed = name ? bvi_json_find(n->jobs, name) : NULL;

    if (!name || (needed && !is_service(needed)))
        return;
    if (needed)
        bvi_report_add(&n->check->report, BVI_RULE_UNREACHABLE_JOB, n->variant,
                       spot_of_job(n->check, bvi_json_key(job)),
                       "job '%s' waits for '%s', which is a service and never finishes",
                       bvi_json_key(job), name);
    else
        bvi_report_add(&n->check->report, BVI_RULE_UNKNOWN_JOB, n->variant,
                       spot_of_job(n->check, bvi_json_key(job)),
                       "job '%s' waits for '%s', which init() does not create", bvi_json_key(job),
                       name);
}

/* After init() of the plugin's own: everything it started must be able to start. */
static void check_made_jobs(const node *n)
{
    bvi_json_each(job, n->jobs) {
        bvi_json_each(need, bvi_json_find(job, "needs"))
            check_made_need(n, job, need);
        bvi_json_each(need, bvi_json_find(job, "wait_for"))
            check_made_need(n, job, need);
    }
}

/* ---- the configuration ---- */

/* "Service 'x' ...": where it is; otherwise the configuration as a whole. */
static bvi_spot spot_of_service(const bvi_check *check, const bvi_json *value, const char *message)
{
    static const char prefix[] = "Service '";
    const char *named = strstr(message, prefix);
    size_t index = 0;

    named = named ? named + strlen(prefix) : NULL;

    bvi_json_each(service, bvi_json_find(value, "services")) {
        const char *name = bvi_json_string(bvi_json_find(service, "name"));
        bvi_auto_free char *path = bvi_asprintf("services[%zu].name", index++);

        if (named && path && name && strncmp(named, name, strlen(name)) == 0 &&
            named[strlen(name)] == '\'')
            return bvi_check_config_spot(check, value, path);
    }
    return bvi_check_config_spot(check, value, "");
}

/* Conversion sees more than a document shows: characters, functions, numbers that are none. */
static void check_conversion(node *n, const bvi_json *value, size_t errors_before)
{
    bvi_auto_free char *why = n->err ? bvi_error_text(n->err) : NULL;

    if (!why || bvi_report_count(&n->check->report, BVI_SEVERITY_ERROR) > errors_before)
        return;
    bvi_report_add(&n->check->report, BVI_RULE_WRONG_VALUE, n->variant,
                   spot_of_service(n->check, value, why), "%s", why);
}

/* The first node on which a function succeeds, or the last one tried: its outcome tells. */
static int find_node(nodes *ns, const char *function, node **ret_node, bv_error **err)
{
    node *n = NULL;
    int r = 0;

    for (size_t i = 0; i < BVI_COUNT(worlds) && r == 0; i++) {
        r = get_node(ns, i, &n, err);
        if (r == 0)
            r = evaluate(n, function, err);
        if (r < 0 || !n->asked || !bvi_json_find(n->outcome, "error"))
            break;
    }
    *ret_node = n;
    return r;
}

/* The configuration as the daemon would have it. value: what plugin_config() returned, or NULL. */
static int convert_config(node *n, const bvi_json *value, size_t errors_before, bv_error **err)
{
    int r = reload_config(n, err);

    if (r < 0)
        return r;
    check_conversion(n, value, errors_before);
    if (bvi_plugin_config(n->plugin))
        bvi_check_jobs(n->check, n->variant, bvi_plugin_config(n->plugin));
    return 0;
}

static int run_config(nodes *ns, bv_error **err)
{
    size_t errors = bvi_report_count(&ns->check->report, BVI_SEVERITY_ERROR);
    bvi_auto_json bvi_json *value = NULL;
    node *n = NULL;
    int r = find_node(ns, CONFIG_FUNCTION, &n, err);

    if (r < 0)
        return r;
    report_failure(n, CONFIG_FUNCTION);
    if (bvi_json_find(n->outcome, "error"))
        return 0;
    value = bvi_json_detach(n->outcome, "value");
    if (value)
        bvi_check_config(ns->check, ns->variant, value);
    return convert_config(n, value, errors, err);
}

/* ---- one variant ---- */

static int run_all(nodes *ns, bv_error **err)
{
    const bvi_check_file *main = ns->check->main;
    node *n = NULL;
    int r = find_node(ns, NULL, &n, err);

    if (r < 0)
        return r;
    report_failure(n, NULL);
    if (bvi_json_find(n->outcome, "error"))
        return 0; /* every function fails in the same way */
    if (bvi_check_function(main, CONFIG_FUNCTION, 0))
        r = run_config(ns, err);
    else if (bvi_check_top(main, "PLUGIN_CONFIG", true))
        r = convert_config(n, NULL, bvi_report_count(&ns->check->report, BVI_SEVERITY_ERROR), err);
    for (size_t i = 0; i < BVI_COUNT(wanted) && r == 0; i++) {
        if (!bvi_check_function(main, wanted[i].function, 0))
            continue;
        r = run_function(ns, &wanted[i], err);
        if (r == 0 && i == 0)
            check_made_jobs(&ns->all[0]);
    }
    return r;
}

int bvi_check_run(bvi_check *check, size_t variant, bv_error **err)
{
    nodes ns = { .check = check, .variant = variant };
    int r = run_all(&ns, err);

    for (size_t i = 0; i < BVI_COUNT(worlds); i++) {
        if (ns.all[i].check)
            node_close(&ns.all[i]);
    }
    return r;
}
