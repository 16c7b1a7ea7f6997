/*
 * run.c - one call of a plugin function, from the queue to its callback. See internal.h for the
 * parts.
 *
 * step() is the only place that goes on with a run. It comes from a posted task, so a slice of
 * script, an answer of the environment and the next action of a sequence all have the same, shallow
 * stack.
 */
#include <inttypes.h>
#include <string.h>

#include "plugin/internal.h"
#include "plugin/sequence.h"

static void start_next(bvi_lane *lane)
{
    bvi_run *run = lane->first;

    if (lane->running || !run || lane->plugin->freed)
        return;
    lane->first = run->next;
    if (!lane->first)
        lane->last = NULL;
    run->next = NULL;
    lane->waiting--;
    lane->running = run;
    bvi_task_post(&run->task);
}

static void append(bvi_lane *lane, bvi_run *run)
{
    if (lane->last)
        lane->last->next = run;
    else
        lane->first = run;
    lane->last = run;
    lane->waiting++;
}

static void take_out(bvi_lane *lane, bvi_run *run)
{
    bvi_run *before = NULL;

    if (lane->running == run) {
        lane->running = NULL;
        return;
    }
    for (bvi_run *r = lane->first; r != run; r = r->next)
        before = r;
    if (before)
        before->next = run->next;
    else
        lane->first = run->next;
    if (lane->last == run)
        lane->last = before;
    lane->waiting--;
}

void bvi_run_drop_script(bvi_run *run)
{
    bvi_script_call_free(run->script);
    run->script = NULL;
}

void bvi_run_finish(bvi_run *run, bv_error *err)
{
    bvi_plugin *plugin = run->plugin;
    bvi_plugin_reply *reply = bvi_take(run->reply);

    if (!plugin) {
        bv_error_free(err); /* it has ended already */
        return;
    }
    run->plugin = NULL;
    take_out(run->lane, run);
    bvi_task_done(&run->task);
    bvi_timer_free(bvi_take(run->timer));
    bvi_save_detach(bvi_take(run->save));
    bvi_sequence_free(bvi_take(run->sequence));
    bvi_run_drop_script(run);
    bvi_op_complete(run->op, err);
    start_next(run->lane);
    bvi_plugin_reply_detach(reply); /* last: it calls the environment */
}

/* ---- going on ---- */

int bvi_run_arm(bvi_run *run, bv_error **err)
{
    int64_t until =
        run->deadline_us < run->request_until_us ? run->deadline_us : run->request_until_us;
    int64_t delay = until - bvi_ctx_now_us(run->plugin->ctx);

    return bvi_timer_set(run->timer, delay > 0 ? delay : 0, err);
}

static int take_answer(bvi_run *run, bv_error **err)
{
    bvi_answer answer = { 0 };
    int r;

    if (run->late)
        (void)bvi_fail(&answer.err, BV_E_TIMEOUT, "the node did not answer in time");
    else
        answer = bvi_plugin_reply_take(bvi_take(run->reply));
    run->late = false;
    run->request_until_us = INT64_MAX;
    r = run->on_answer(run, &answer, err);
    bvi_answer_done(&answer);
    return r;
}

static int convert_result(bvi_run *run, bv_error **err)
{
    const bvi_value *result = run->script ? bvi_script_result(run->script) : NULL;
    int r;

    r = run->entry->convert(run, result, err);
    if (r < 0 && !run->name[0])
        return r; /* a script, not a function of one */
    if (r < 0)
        return bvi_wrap(err, r, "Rhai function '%s' returned error", run->name);
    run->has_value = true;
    return BVI_PHASE_NEXT;
}

static int go_on(bvi_run *run, bv_error **err)
{
    int r;

    if (run->late || run->reply) {
        if (run->reply && !bvi_plugin_reply_is_answered(run->reply))
            return BVI_PHASE_WAIT;
        r = take_answer(run, err);
        if (r < 0)
            return r;
    }
    while (!run->has_value && run->entry->phases[run->phase]) {
        r = run->entry->phases[run->phase](run, err);
        if (r != BVI_PHASE_NEXT)
            return r;
        run->phase++;
    }
    return run->has_value ? BVI_PHASE_NEXT : convert_result(run, err);
}

static void step(void *data)
{
    bvi_run *run = data;
    bvi_plugin *plugin = run->plugin;
    bv_error *err = NULL;
    int r;

    plugin->entered++;
    r = go_on(run, &err);
    if (r == BVI_PHASE_AGAIN)
        bvi_task_post(&run->task);
    else if (r != BVI_PHASE_WAIT)
        bvi_run_finish(run, err);
    plugin->entered--;
    bvi_plugin_leave(plugin);
}

static void on_timer(bvi_timer *timer, void *data)
{
    bvi_run *run = data;
    int64_t now = bvi_ctx_now_us(run->plugin->ctx);
    bv_error *err = NULL;

    if (now >= run->deadline_us) {
        (void)bvi_fail(&err, BV_E_TIMEOUT, "plugin function '%s' did not end within %" PRId64 " ms",
                       run->name, run->timeout_ms);
        bvi_run_finish(run, err);
        return;
    }
    if (now >= run->request_until_us && run->reply && !bvi_plugin_reply_is_answered(run->reply)) {
        bvi_plugin_reply *reply = bvi_take(run->reply);

        run->late = true;
        run->request_until_us = INT64_MAX;
        bvi_task_post(&run->task);
        (void)bvi_run_arm(run, NULL); /* cannot fail: the timer was set before */
        bvi_plugin_reply_detach(reply);
        return;
    }
    (void)bvi_run_arm(run, NULL); /* a request that ended: what is left is the deadline */
}

/* ---- the script's part ---- */

/* True when a document is not the one that was seen, which it replaces. */
static bool differs(bvi_json **seen, const bvi_json *document)
{
    if (*seen && document && bvi_json_equal(*seen, document))
        return false;
    bvi_json_free(*seen);
    *seen = document ? bvi_json_copy(document) : NULL; /* without memory it differs again */
    return true;
}

/* node_env() and node_params() are stable for the engine; this is where they may change. */
static void look_at_node(bvi_lane *lane)
{
    const bvi_plugin_env *env = &lane->plugin->env;
    bool changed = differs(&lane->seen_env, env->node_env(env->data));

    changed |= differs(&lane->seen_params, env->node_params(env->data));
    if (changed)
        bvi_script_forget_top_level(lane->engine);
}

/* What scripts of before node_env() find under two names (spec plugin.md 14.2). */
static int give_old_paths(bvi_run *run)
{
    const bvi_plugin *plugin = run->plugin;
    bvi_value mount = BVI_VALUE_UNIT;
    bvi_value data = BVI_VALUE_UNIT;
    int r;

    if (!plugin->old_paths.data)
        return 0;
    r = bvi_value_cstring(run->lane->engine, plugin->old_paths.mount, &mount);
    if (r >= 0)
        r = bvi_script_call_set_variable(run->script, "DATA_DRIVE_MOUNT_POINT", mount);
    if (r >= 0)
        r = bvi_value_cstring(run->lane->engine, plugin->old_paths.data, &data);
    return r < 0 ? r : bvi_script_call_set_variable(run->script, "BLOCKCHAIN_DATA_PATH", data);
}

/* Scripts of 2026 may have the node's properties as a constant. They got it for plugin_config()
 * alone, and failed in every other function; here it is always there. */
static int give_params(bvi_run *run)
{
    const bvi_plugin_env *env = &run->plugin->env;
    bvi_value params = BVI_VALUE_UNIT;
    int r;

    if (!run->plugin->wants_params)
        return 0;
    r = bvi_value_from_json(run->lane->engine, env->node_params(env->data), &params);
    return r < 0 ? r : bvi_script_call_set_constant(run->script, "NODE_PARAMS", params);
}

/* Takes what making the argument gave, and the argument. */
static int prepare(bvi_run *run, const char *fn, int made, bvi_value arg, size_t argc,
                   bv_error **err)
{
    int r = made;

    if (r < 0)
        return bvi_fail(err, r, "the parameter is too large");
    look_at_node(run->lane);
    r = bvi_script_call_new(run->lane->engine, run->lane->script, fn, argc ? &arg : NULL, argc,
                            &run->script, err);
    bvi_value_drop(&arg);
    if (r < 0)
        return r;
    bvi_script_call_set_data(run->script, run);
    r = give_old_paths(run);
    if (r >= 0)
        r = give_params(run);
    return r < 0 ? bvi_fail(err, r, "cannot start a call of the script") : 0;
}

int bvi_run_prepare(bvi_run *run, const char *fn, const char *param, bv_error **err)
{
    bvi_value arg = BVI_VALUE_UNIT;
    int r = param ? bvi_value_cstring(run->lane->engine, param, &arg) : 0;

    return prepare(run, fn, r, arg, param ? 1 : 0, err);
}

int bvi_run_prepare_document(bvi_run *run, const char *fn, const bvi_json *document, bv_error **err)
{
    bvi_value arg = BVI_VALUE_UNIT;
    int r = bvi_value_from_json(run->lane->engine, document, &arg);

    return prepare(run, fn, r, arg, 1, err);
}

/* A built-in init or upload that the script called: its end answers the script. */
static int drive_for_script(bvi_run *run, bv_error **err)
{
    bv_error *failure = NULL;
    bvi_auto_free char *text = NULL;
    int r;

    r = bvi_sequence_drive(run, &failure);
    if (r == BVI_PHASE_WAIT)
        return r;
    bvi_sequence_free(bvi_take(run->sequence));
    if (r == BVI_PHASE_NEXT)
        return bvi_script_resume(run->script, BVI_VALUE_UNIT);
    text = bvi_error_text(failure);
    bv_error_free(failure);
    if (!text)
        return bvi_fail_nomem(err);
    return bvi_script_resume_error(run->script, text);
}

/* "<file>:<line>:<column>: ", which the language's own texts leave out; "" where it is not known.
 */
static char *place_of(const bvi_json *failure)
{
    const char *source = NULL;
    int64_t line = 0, column = 0;

    if (!failure || bvi_json_get_string(failure, "source", &source, NULL) < 0 || !source ||
        bvi_json_get_int64(failure, "line", &line, NULL) < 0 || line == 0 ||
        bvi_json_get_int64(failure, "column", &column, NULL) < 0)
        return bvi_strdup("");
    return bvi_asprintf("%s:%lld:%lld: ", source, (long long)line, (long long)column);
}

static int script_failed(bvi_run *run, const char *fn, bv_error **err)
{
    int r = bvi_script_failure(run->script, err);
    bvi_plugin *plugin = run->plugin;
    bvi_auto_json bvi_json *failure = NULL;
    bvi_auto_free char *place = NULL;

    (void)bvi_script_failure_json(run->script, &failure, NULL); /* NULL: no memory */
    place = place_of(failure);
    if (plugin->keep_failure) {
        bvi_json_free(bvi_take(plugin->failure));
        plugin->failure = bvi_take(failure);
    }
    if (!fn)
        return bvi_wrap(err, r, "%sthe plugin's top level failed", place ? place : "");
    return bvi_wrap(err, r, "%sRhai function '%s' returned error", place ? place : "", fn);
}

int bvi_run_drive(bvi_run *run, const char *fn, bv_error **err)
{
    int r;

    for (;;) {
        if (run->sequence) {
            r = drive_for_script(run, err);
            if (r != BVI_PHASE_NEXT)
                return r;
        }
        r = bvi_script_run(run->script);
        if (r == BVI_SCRIPT_DONE)
            return BVI_PHASE_NEXT;
        if (r == BVI_SCRIPT_YIELD)
            return BVI_PHASE_AGAIN;
        if (r < 0)
            return script_failed(run, fn, err);
        if (run->reply)
            return BVI_PHASE_WAIT;
        if (!run->sequence)
            return bvi_fail(err, BV_E_INTERNAL, "the script waits for nothing");
    }
}

int bvi_run_script(bvi_run *run, const char *fn, const char *param, bv_error **err)
{
    int r = run->script ? 0 : bvi_run_prepare(run, fn, param, err);

    return r < 0 ? r : bvi_run_drive(run, fn, err);
}

/* ---- making ---- */

static void run_free(bvi_run *run)
{
    if (!run)
        return;
    bvi_timer_free(run->timer);
    bvi_free(run->name);
    bvi_free(run->param);
    bvi_free(run->secret_key);
    bvi_free(run->text);
    bvi_free(run->state);
    bvi_free(run);
}
BVI_DEFINE_FREEP(bvi_run, run_free)

static void on_cancel(bv_op *op, void *data)
{
    bvi_run *run = data;
    bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_CANCELLED, "plugin function '%s' was cancelled", run->name);
    bvi_run_finish(run, err);
}

static void on_finish(bv_op *op, const bv_error *err, void *data)
{
    bvi_run *run = data;

    run->value.text = run->text ? run->text : "";
    run->value.state = run->state;
    run->done(op, err ? NULL : &run->value, err, run->data);
    run_free(run);
}

static const bvi_op_vtable vtable = { "plugin call", on_cancel, on_finish };

static int64_t default_timeout(const bvi_plugin *plugin, const bvi_entry *entry)
{
    if (entry->lane == BVI_LANE_QUERY)
        return plugin->limits.query_timeout_ms;
    return entry->name ? plugin->limits.work_timeout_ms : plugin->limits.call_timeout_ms;
}

static int run_make(bvi_plugin *plugin, const bvi_entry *entry, const char *name, const char *param,
                    bvi_run **ret_run, bv_error **err)
{
    BVI_AUTO(run_freep) bvi_run *run = bvi_new0(bvi_run);
    int r;

    if (!run)
        return bvi_fail_nomem(err);
    run->plugin = plugin;
    run->lane = &plugin->lanes[entry->lane];
    run->entry = entry;
    run->request_until_us = INT64_MAX;
    run->name = bvi_strdup(name);
    run->param = bvi_strdup(param);
    if (!run->name || (param && !run->param))
        return bvi_fail_nomem(err);
    bvi_task_init(&run->task, plugin->ctx, step, run);
    r = bvi_timer_new(plugin->ctx, on_timer, run, &run->timer, err);
    if (r < 0)
        return r;
    *ret_run = bvi_take(run);
    return 0;
}

int bvi_run_new(bvi_plugin *plugin, const bvi_entry *entry, const char *name, const char *param,
                int64_t timeout_ms, bvi_plugin_done_fn done, void *data, bv_op **ret_op,
                bv_error **err)
{
    bvi_lane *lane = &plugin->lanes[entry->lane];
    BVI_AUTO(run_freep) bvi_run *run = NULL;
    int r;

    if (plugin->freed)
        return bvi_fail(err, BV_E_STATE, "the plugin is being freed");
    if (lane->waiting >= plugin->limits.queue)
        return bvi_fail(err, BV_E_BUSY, "%zu calls of the plugin are waiting already",
                        lane->waiting);
    r = bvi_lane_open(lane, err);
    if (r < 0)
        return r;
    r = run_make(plugin, entry, name, param, &run, err);
    if (r < 0)
        return r;
    run->done = done;
    run->data = data;
    run->timeout_ms = timeout_ms > 0 ? timeout_ms : default_timeout(plugin, entry);
    run->deadline_us = bvi_ctx_now_us(plugin->ctx) + run->timeout_ms * 1000;
    r = bvi_run_arm(run, err);
    if (r < 0)
        return r;
    r = bvi_op_new(plugin->ctx, &vtable, run, &run->op, err);
    if (r < 0)
        return r;
    if (ret_op)
        *ret_op = bv_op_ref(run->op);
    append(lane, bvi_take(run));
    start_next(lane);
    return 0;
}
