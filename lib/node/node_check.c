/*
 * node_check.c - is a node well? The checks an image's author runs on a node of theirs (spec cli.md
 * 3.2): its plugin, its jobs, and what its protocol says.
 *
 * One check of a node runs at a time, beside everything else. Its stages follow each other; each
 * that waits is under way until its callback comes, also when nobody wants the answer any more.
 */
#include <stdio.h>
#include <string.h>

#include "io/work.h"
#include "job/job_status.h"
#include "node/node.h"
#include "plugin/check.h"

#define START_TIMEOUT_MS 30000
/* How long jobs are given to fail on a node that was started for the check. */
#define JOBS_WAIT_MS 5000
/* No wait is longer. */
#define WAIT_MAX_MS (3600 * 1000)
#define QUERY_MS    15000

typedef enum check_id { CHECK_PLUGIN, CHECK_JOBS, CHECK_RESTARTS, CHECK_PROTOCOL, CHECKS } check_id;

static const struct {
    const char *name;
    bool usual; /* without being asked for */
    bool on_a_running_node;
} checks[CHECKS] = {
    [CHECK_PLUGIN] = { "plugin", true, false },
    [CHECK_JOBS] = { "jobs-status", true, true },
    [CHECK_RESTARTS] = { "jobs-restarts", false, true },
    [CHECK_PROTOCOL] = { "protocol-status", false, true },
};

struct bvi_checkup {
    bvi_node *node;
    bvi_reply *reply; /* NULL: answered, what is under way ends for nobody */
    size_t stage;
    unsigned under_way; /* callbacks that will come */
    bool wanted[CHECKS];
    bvi_json *problems[CHECKS]; /* arrays of texts */
    bvi_json *notes[CHECKS];
    bool no_memory;
    bool start;
    bool starting; /* the stage waits for that */
    bool was_started;
    int64_t start_timeout_ms;
    int64_t jobs_wait_ms; /* -1: the usual */
    bvi_timer *timer;
    bv_op *op;            /* the question to the plugin */
    bvi_agent_call *call; /* the question for the jobs */
    /* For the worker, and what it made. */
    bvi_work work;
    char *path;
    char *variant;
    bvi_json *env;
    bvi_json *params;
    bvi_json *report;
    bv_error *err;
};

/* ---- the answer ---- */

static void add(bvi_checkup *check, bvi_json *list, char *text)
{
    if (!text || bvi_json_add(list, bvi_json_new_string(text)) < 0)
        check->no_memory = true;
    bvi_free(text);
}

/* The same is wrong for every check that wants a running node. */
static void fail_running(bvi_checkup *check, const char *text)
{
    for (size_t i = 0; i < CHECKS; i++) {
        if (check->wanted[i] && checks[i].on_a_running_node)
            add(check, check->problems[i], bvi_strdup(text));
    }
}

static bvi_json *row_json(bvi_checkup *check, size_t i)
{
    bvi_auto_json bvi_json *row = bvi_json_new_object();

    if (!row || bvi_json_put_string(row, "name", checks[i].name) < 0 ||
        bvi_json_put_bool(row, "passed", bvi_json_count(check->problems[i]) == 0) < 0 ||
        bvi_json_put(row, "problems", bvi_take(check->problems[i])) < 0 ||
        bvi_json_put(row, "notes", bvi_take(check->notes[i])) < 0)
        return NULL;
    return bvi_take(row);
}

static bvi_json *answer_json(bvi_checkup *check)
{
    bvi_auto_json bvi_json *root = bvi_json_new_object();
    bvi_json *list = root ? bvi_json_new_array() : NULL;
    bool passed = true;
    int r = root ? bvi_json_put(root, "checks", list) : BV_E_NOMEM;

    for (size_t i = 0; i < CHECKS; i++)
        passed = passed && bvi_json_count(check->problems[i]) == 0;
    for (size_t i = 0; r == 0 && i < CHECKS; i++) {
        if (check->wanted[i])
            r = bvi_json_add(list, row_json(check, i));
    }
    if (r < 0 || check->no_memory || bvi_json_put_bool(root, "passed", passed) < 0 ||
        bvi_json_put_string(root, "node", check->node->state.name) < 0)
        return NULL;
    return bvi_take(root);
}

/* ---- life ---- */

static void check_free(bvi_checkup *check)
{
    bvi_node *node = check->node;

    for (size_t i = 0; i < CHECKS; i++) {
        bvi_json_free(check->problems[i]);
        bvi_json_free(check->notes[i]);
    }
    bvi_timer_free(check->timer);
    bv_op_unref(check->op);
    bvi_free(check->path);
    bvi_free(check->variant);
    bvi_json_free(check->env);
    bvi_json_free(check->params);
    bvi_json_free(check->report);
    bv_error_free(check->err);
    bvi_free(check);
    node->users--;
    if (node->closing)
        bvi_node_release(node);
}

/* Whoever waits has been answered. */
static void retire(bvi_checkup *check)
{
    check->reply = NULL;
    check->node->check = NULL;
    bvi_timer_clear(check->timer);
    if (!check->under_way)
        check_free(check);
}

static void finish(bvi_checkup *check)
{
    bvi_reply_ok(check->reply, answer_json(check));
    retire(check);
}

void bvi_checkup_cancel(void *data)
{
    bvi_checkup *check = data;

    bvi_reply_failf(check->reply, BV_E_CANCELLED, "cancelled");
    if (check->op)
        bv_op_cancel(check->op);
    bvi_agent_call_cancel(check->call);
    retire(check);
}

static void go_on(bvi_checkup *check);

/* A callback has come. False: nobody waits for what it brought; the check may be gone. */
static bool arrived(bvi_checkup *check)
{
    check->under_way--;
    if (check->reply)
        return true;
    if (!check->under_way)
        check_free(check);
    return false;
}

/* ---- its plugin ---- */

/* On a worker. */
static void run_plugin_check(void *data)
{
    bvi_checkup *check = data;
    const bvi_check_opts opts = { .variant = check->variant,
                                  .env = check->env,
                                  .params = check->params };

    (void)bvi_plugin_check(check->path, &opts, &check->report, &check->err); /* the error is kept */
}

/* "main.rhai:3:7: error: ... [rule]" */
static char *finding_text(const bvi_json *finding)
{
    const char *file = bvi_json_string(bvi_json_find(finding, "file"));
    int64_t line = 0, column = 0;
    char place[64] = "";

    if (bvi_json_int64(bvi_json_find(finding, "line"), &line) == 0 &&
        bvi_json_int64(bvi_json_find(finding, "column"), &column) == 0)
        (void)snprintf(place, sizeof(place), "%lld:%lld: ", (long long)line, (long long)column);
    return bvi_asprintf("%s%s%s%s: %s [%s]", file ? file : "", file ? ":" : "",
                        file && !*place ? " " : place,
                        bvi_json_string(bvi_json_find(finding, "severity")),
                        bvi_json_string(bvi_json_find(finding, "message")),
                        bvi_json_string(bvi_json_find(finding, "rule")));
}

static void plugin_checked(void *data, bool cancelled)
{
    bvi_checkup *check = data;

    if (!arrived(check))
        return;
    if (cancelled || check->err)
        add(check, check->problems[CHECK_PLUGIN],
            check->err ? bvi_error_text(check->err) : bvi_strdup("the host is being closed"));
    bvi_json_each(it, bvi_json_find(check->report, "findings")) {
        const char *severity = bvi_json_string(bvi_json_find(it, "severity"));
        bool is_error = severity && strcmp(severity, "error") == 0;

        if (severity && strcmp(severity, "note") == 0)
            continue; /* for authors: `bv plugin check` has them */
        add(check, is_error ? check->problems[CHECK_PLUGIN] : check->notes[CHECK_PLUGIN],
            finding_text(it));
    }
    go_on(check);
}

static void check_plugin(bvi_checkup *check)
{
    const bvi_node *node = check->node;
    const char *path = node->state.plugin_dir ? node->state.plugin_dir : node->image_root;

    if (!check->wanted[CHECK_PLUGIN]) {
        go_on(check);
        return;
    }
    check->path = bvi_strdup(path);
    check->variant = bvi_strdup(node->state.variant_key);
    check->env = bvi_json_copy(node->env);
    check->params = bvi_json_copy(node->params);
    if (!check->path || !check->variant || !check->env || !check->params) {
        check->no_memory = true;
        go_on(check);
        return;
    }
    check->under_way++;
    bvi_work_init(&check->work, node->ctx, run_plugin_check, plugin_checked, check);
    bvi_work_submit(&check->work);
}

/* ---- starting it ---- */

static void on_started(bv_op *op, const bvi_json *result, const bv_error *err, void *data)
{
    bvi_checkup *check = data;
    bool awaited = check->starting;
    bvi_auto_free char *text = NULL;

    if (!arrived(check) || !awaited)
        return;
    check->starting = false;
    bvi_timer_clear(check->timer);
    text = err ? bvi_error_text(err) : NULL;
    if (err)
        fail_running(check, text ? text : "out of memory");
    check->was_started = !err;
    go_on(check);
}

static void on_timer(bvi_timer *timer, void *data)
{
    bvi_checkup *check = data;
    bvi_auto_free char *text = NULL;

    if (check->starting) {
        check->starting = false;
        text = bvi_asprintf("it did not start within %lld s",
                            (long long)(check->start_timeout_ms / 1000));
        fail_running(check, text ? text : "out of memory");
    }
    go_on(check);
}

static bool wants_running(const bvi_checkup *check)
{
    bool wants = false;

    for (size_t i = 0; i < CHECKS; i++)
        wants = wants || (check->wanted[i] && checks[i].on_a_running_node);
    return wants;
}

static void wait_ms(bvi_checkup *check, int64_t ms)
{
    if (bvi_timer_set(check->timer, ms * 1000, NULL) == 0)
        return;
    check->no_memory = true;
    finish(check);
}

static void start_node(bvi_checkup *check)
{
    bvi_node *node = check->node;
    bvi_reply *reply = NULL;

    if (!wants_running(check) || bvi_node_answers(node)) {
        go_on(check);
    } else if (!check->start) {
        fail_running(check, bvi_node_is_running(node) ? "it does not answer"
                                                      : "it is not running; --start starts it");
        go_on(check);
    } else if (bvi_reply_new(node->ctx, on_started, check, &reply, NULL, NULL) < 0) {
        check->no_memory = true;
        finish(check);
    } else {
        check->under_way++;
        check->starting = true;
        bvi_activity_begin(node, &bvi_start_sequence, false, reply);
        wait_ms(check, check->start_timeout_ms);
    }
}

static void wait_for_jobs(bvi_checkup *check)
{
    int64_t ms = check->jobs_wait_ms;

    if (ms < 0)
        ms = check->was_started ? JOBS_WAIT_MS : 0;
    if (ms > 0 && bvi_node_answers(check->node))
        wait_ms(check, ms);
    else
        go_on(check);
}

/* Whether there is something to ask; a node that has gone meanwhile has not passed. */
static bool can_ask(bvi_checkup *check, check_id id)
{
    if (!check->wanted[id] || bvi_node_answers(check->node))
        return check->wanted[id];
    if (bvi_json_count(check->problems[id]) == 0)
        add(check, check->problems[id], bvi_strdup("the node does not answer"));
    return false;
}

/* ---- its jobs ---- */

static void check_job(bvi_checkup *check, const bvi_json *info)
{
    BVI_AUTO(bvi_job_status_done) bvi_job_status status = BVI_JOB_STATUS_INIT;
    const char *name = bvi_json_key(info);
    bvi_auto_free char *text = bvi_job_status_json_text(bvi_json_find(info, "status"));
    int64_t restarts = 0;

    if (check->wanted[CHECK_JOBS] &&
        bvi_job_status_parse(bvi_json_find(info, "status"), &status, NULL) == 0 &&
        status.state == BVI_JOB_FINISHED && !bvi_job_status_succeeded(&status))
        add(check, check->problems[CHECK_JOBS],
            bvi_asprintf("job '%s': %s", name, text ? text : "failed"));
    if (check->wanted[CHECK_RESTARTS] &&
        bvi_json_int64(bvi_json_find(info, "restart_count"), &restarts) == 0 && restarts > 0)
        add(check, check->problems[CHECK_RESTARTS],
            bvi_asprintf("job '%s' was restarted %lld times", name, (long long)restarts));
}

static void on_jobs(const bvi_agent_result *result, const bv_error *err, void *data)
{
    static const check_id both[] = { CHECK_JOBS, CHECK_RESTARTS };
    bvi_checkup *check = data;

    check->call = NULL;
    if (!arrived(check))
        return;
    for (size_t i = 0; err && i < BVI_COUNT(both); i++) {
        if (check->wanted[both[i]])
            add(check, check->problems[both[i]], bvi_error_text(err));
    }
    bvi_json_each(it, err ? NULL : result->json)
        check_job(check, it);
    go_on(check);
}

static void check_jobs(bvi_checkup *check)
{
    const bvi_agent_wait wait = { .timeout_ms = QUERY_MS, .done = on_jobs, .data = check };
    bvi_node *node = check->node;

    if (!can_ask(check, CHECK_JOBS) && !can_ask(check, CHECK_RESTARTS)) {
        go_on(check);
    } else if (bvi_agent_jobs(node->agent, &wait, &check->call, NULL) < 0) {
        check->no_memory = true;
        finish(check);
    } else {
        check->under_way++;
    }
}

/* ---- its protocol ---- */

static void on_status(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    bvi_checkup *check = data;

    if (!arrived(check))
        return;
    if (err)
        add(check, check->problems[CHECK_PROTOCOL], bvi_error_text(err));
    else
        add(check,
            value->health == BVI_HEALTH_UNHEALTHY ? check->problems[CHECK_PROTOCOL]
                                                  : check->notes[CHECK_PROTOCOL],
            bvi_asprintf("%s (%s)", value->state, bvi_plugin_health_name(value->health)));
    go_on(check);
}

static void check_protocol(bvi_checkup *check)
{
    bvi_auto_error bv_error *err = NULL;
    bvi_node *node = check->node;

    if (!can_ask(check, CHECK_PROTOCOL)) {
        go_on(check);
        return;
    }
    if (bvi_plugin_query(node->plugin, "protocol_status", QUERY_MS, on_status, check, &check->op,
                         &err) == 0) {
        check->under_way++;
        return;
    }
    add(check, check->problems[CHECK_PROTOCOL], bvi_error_text(err));
    go_on(check);
}

/* ---- the call ---- */

static void (*const stages[])(bvi_checkup *check) = { check_plugin, start_node,     wait_for_jobs,
                                                      check_jobs,   check_protocol, finish };

static void go_on(bvi_checkup *check)
{
    stages[check->stage++](check);
}

static int want(bvi_checkup *check, const bvi_json *names, bv_error **err)
{
    for (size_t i = 0; i < CHECKS; i++)
        check->wanted[i] = bvi_json_count(names) == 0 && checks[i].usual;
    bvi_json_each(it, names) {
        const char *name = bvi_json_string(it);
        size_t i = 0;

        while (i < CHECKS && (!name || strcmp(checks[i].name, name) != 0))
            i++;
        if (i == CHECKS)
            return bvi_fail(err, BV_E_INVALID,
                            "there is no check '%s'; there are plugin, jobs-status, jobs-restarts "
                            "and protocol-status",
                            name ? name : "");
        check->wanted[i] = true;
    }
    return 0;
}

static int read_args(bvi_checkup *check, const bvi_json *args, bv_error **err)
{
    int r;

    check->start = bvi_json_is_true(bvi_json_find(args, "start"));
    check->start_timeout_ms = START_TIMEOUT_MS;
    check->jobs_wait_ms = -1;
    if ((r = want(check, bvi_json_find(args, "checks"), err)) < 0 ||
        (r = bvi_json_opt_int64(args, "start_timeout_ms", &check->start_timeout_ms, err)) < 0 ||
        (r = bvi_json_opt_int64(args, "jobs_wait_ms", &check->jobs_wait_ms, err)) < 0)
        return r;
    if (check->start_timeout_ms > WAIT_MAX_MS || check->jobs_wait_ms > WAIT_MAX_MS)
        return bvi_fail(err, BV_E_INVALID, "a check waits at most %d s", WAIT_MAX_MS / 1000);
    for (size_t i = 0; i < CHECKS; i++) {
        check->problems[i] = bvi_json_new_array();
        check->notes[i] = bvi_json_new_array();
        if (!check->problems[i] || !check->notes[i])
            return bvi_fail_nomem(err);
    }
    return bvi_timer_new(check->node->ctx, on_timer, check, &check->timer, err);
}

void bvi_node_check(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    bvi_checkup *check = NULL;
    bv_error *err = NULL;
    int r = 0;

    if (node->check)
        r = bvi_fail(&err, BV_E_BUSY, "node '%s' is being checked already", node->state.name);
    if (r == 0) {
        check = bvi_new0(bvi_checkup);
        r = check ? 0 : bvi_fail_nomem(&err);
    }
    if (check) {
        node->users++;
        check->node = node;
        r = read_args(check, args, &err);
    }
    if (r < 0) {
        if (check)
            check_free(check);
        bvi_reply_fail(reply, err);
        return;
    }
    check->reply = reply;
    node->check = check;
    bvi_reply_on_cancel(reply, bvi_checkup_cancel, check);
    if (node->check) /* else it was cancelled before */
        go_on(check);
}
