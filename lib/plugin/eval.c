/*
 * eval.c - a plugin's functions for the tools of authors. See eval.h.
 */
#include "plugin/eval.h"
#include "plugin/internal.h"
#include "script/value.h"

/* The text form of a result is cut off here with an error. */
#define TEXT_MAX (256u * 1024u * 1024u)

typedef struct eval {
    bvi_eval_done_fn done;
    void *data;
    bvi_json *outcome;
} eval;

bvi_json *bvi_eval_failure(bvi_json *failure)
{
    bvi_auto_json bvi_json *outcome = bvi_json_new_object();

    if (!outcome) {
        bvi_json_free(failure);
        return NULL;
    }
    return bvi_json_put(outcome, "error", failure) < 0 ? NULL : bvi_take(outcome);
}

/* A run that was too long is told like everything else that the script did. */
static bvi_json *timed_out(void)
{
    static const char failure[] =
        "{\"kind\":\"ErrorTerminated\",\"message\":\"Script terminated\",\"text\":\"Script "
        "terminated\",\"source\":null,\"line\":null,\"column\":null,\"trace\":[]}";
    bvi_json *json = NULL;

    (void)bvi_json_parse(failure, sizeof(failure) - 1, &json, NULL); /* NULL: no memory */
    return bvi_eval_failure(json);
}

static int describe(const bvi_value *value, bvi_json *outcome, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(TEXT_MAX);
    bvi_json *json = NULL;
    int r = bvi_format(&text, value, BVI_FORM_DUMP);

    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "the result is too long, or nested too deep, to be shown");
    if (r < 0 || bvi_json_put_string(outcome, "type", bvi_value_type_name(value)) < 0 ||
        bvi_json_put(outcome, "text", bvi_json_new_string_n(bvi_buf_str(&text), text.len)) < 0)
        return bvi_fail_nomem(err);
    if (bvi_value_to_json(value, &json, NULL) == 0 && bvi_json_put(outcome, "value", json) < 0)
        return bvi_fail_nomem(err);
    return 0;
}

static int phase_eval(bvi_run *run, bv_error **err)
{
    eval *e = run->data;
    bvi_auto_error bv_error *failure = NULL;
    bvi_json *json = NULL;
    int r = bvi_run_script(run, run->name[0] ? run->name : NULL, run->param, &failure);

    if (r >= 0)
        return r;
    r = run->script ? bvi_script_failure_json(run->script, &json, NULL) : BV_E_STATE;
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0) /* it is not the script that failed */
        return bvi_error_move(err, bvi_take(failure));
    e->outcome = bvi_eval_failure(json);
    return e->outcome ? BVI_PHASE_NEXT : bvi_fail_nomem(err);
}

static int convert_eval(bvi_run *run, const bvi_value *result, bv_error **err)
{
    eval *e = run->data;

    if (e->outcome)
        return 0;
    e->outcome = bvi_json_new_object();
    return e->outcome ? describe(result, e->outcome, err) : bvi_fail_nomem(err);
}

static const bvi_phase_fn phases[] = { phase_eval, NULL };
static const bvi_entry entry = { NULL, BVI_LANE_QUERY, false, phases, convert_eval };

static void on_done(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    eval *e = data;

    if (bv_error_code(err) == BV_E_TIMEOUT) {
        bvi_json_free(e->outcome);
        e->outcome = timed_out();
        err = e->outcome ? NULL : err;
    }
    e->done(op, err ? NULL : e->outcome, err, e->data);
    bvi_json_free(e->outcome);
    bvi_free(e);
}

int bvi_plugin_eval(bvi_plugin *plugin, const char *fn, const char *param, int64_t timeout_ms,
                    bvi_eval_done_fn done, void *data, bv_op **ret_op, bv_error **err)
{
    eval *e = bvi_new0(eval);
    int r;

    if (!e)
        return bvi_fail_nomem(err);
    *e = (eval){ .done = done, .data = data };
    r = bvi_run_new(plugin, &entry, fn ? fn : "", param, timeout_ms, on_done, e, ret_op, err);
    if (r < 0)
        bvi_free(e);
    return r;
}
