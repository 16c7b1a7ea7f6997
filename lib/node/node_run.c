/*
 * node_run.c - calling functions of a node's plugin on request.
 */
#include <string.h>

#include "base/buf.h"
#include "node/node.h"

/* A list of capabilities in a message. */
#define OPTIONS_TEXT_MAX 8192u

bool bvi_node_need_plugin(const bvi_node *node, bvi_reply *reply)
{
    if (node->plugin)
        return true;
    bvi_reply_failf(reply, BV_E_STATE, "node '%s' has no plugin: %s", node->state.name,
                    node->state.problem ? node->state.problem : "it is still being loaded");
    return false;
}

/* ---- run ---- */

typedef struct run {
    bvi_reply *reply;
    bv_op *op;
    bvi_json *(*convert)(const bvi_plugin_value *value);
} run;

static bvi_json *text(const bvi_plugin_value *value)
{
    return bvi_json_new_string(value->text);
}

static bvi_json *number(const bvi_plugin_value *value)
{
    return bvi_json_new_uint64(value->number);
}

static bvi_json *flag(const bvi_plugin_value *value)
{
    return bvi_json_new_bool(value->flag);
}

static bvi_json *nothing(const bvi_plugin_value *value)
{
    return bvi_json_new_null();
}

/* What a method's result is besides its text; those that are not here give text. */
static const struct {
    const char *method;
    bvi_json *(*convert)(const bvi_plugin_value *value);
} types[] = {
    { "init", nothing },     { "upload", nothing }, { "height", number },
    { "block_age", number }, { "consensus", flag }, { "protocol_status", bvi_node_status_json },
};

static bvi_json *(*converter_of(const char *method))(const bvi_plugin_value *value)
{
    for (size_t i = 0; i < BVI_COUNT(types); i++) {
        if (strcmp(types[i].method, method) == 0)
            return types[i].convert;
    }
    return text;
}

static void on_result(bv_op *op, const bvi_plugin_value *value, const bv_error *err, void *data)
{
    run *call = data;
    bvi_auto_json bvi_json *answer = NULL;

    if (err) {
        bvi_reply_fail(call->reply, bvi_error_copy(err));
    } else {
        answer = bvi_json_new_object();
        if (answer && (bvi_json_put_string(answer, "result", value->text) < 0 ||
                       bvi_json_put(answer, "value", call->convert(value)) < 0)) {
            bvi_json_free(answer);
            answer = NULL;
        }
        bvi_reply_ok(call->reply, bvi_take(answer));
    }
    bv_op_unref(call->op);
    bvi_free(call);
}

static void cancel_run(void *data)
{
    bv_op_cancel(((run *)data)->op);
}

/* "there is no method 'x'; node 'n' has: a, b, c" */
static void fail_with_options(bvi_node *node, const char *method, bvi_reply *reply)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(OPTIONS_TEXT_MAX);
    const bvi_strv *names = bvi_plugin_capabilities(node->plugin);

    for (size_t i = 0; i < names->len; i++) {
        if (bvi_buf_printf(&text, "%s%s", i ? ", " : "", names->items[i]) < 0)
            break; /* a shorter list will do */
    }
    bvi_reply_failf(reply, BV_E_NOT_FOUND, "there is no method '%s'; node '%s' has: %s", method,
                    node->state.name, bvi_buf_str(&text));
}

/* Whether the method can be called now; the reply is failed when not. */
static bool can_run(bvi_node *node, const char *method, bvi_reply *reply)
{
    if (!bvi_node_need_plugin(node, reply))
        return false;
    if (!bvi_plugin_has(node->plugin, method)) {
        fail_with_options(node, method, reply);
        return false;
    }
    if (!bvi_node_is_running(node)) {
        bvi_reply_failf(reply, BV_E_STATE,
                        "node '%s' is not running; start it with `bv node start %s`",
                        node->state.name, node->state.name);
        return false;
    }
    if (strcmp(method, "upload") == 0 && !node->state.initialized) {
        bvi_reply_failf(reply, BV_E_STATE,
                        "node '%s' was not initialised, so it has nothing to upload",
                        node->state.name);
        return false;
    }
    return true;
}

void bvi_node_run(bvi_node *node, const bvi_json *args, bvi_reply *reply)
{
    const char *method = bvi_json_string(bvi_json_find(args, "method"));
    const char *param = bvi_json_string(bvi_json_find(args, "param"));
    int64_t timeout_ms = 0;
    bv_error *err = NULL;
    run *call;
    int r;

    if (!can_run(node, method, reply))
        return;
    call = bvi_new0(run);
    if (!call) {
        bvi_reply_ok(reply, NULL);
        return;
    }
    call->reply = reply;
    call->convert = converter_of(method);
    r = bvi_json_opt_int64(args, "timeout_ms", &timeout_ms, &err);
    if (r == 0 && timeout_ms > BVI_NODE_RUN_TIMEOUT_MAX_MS)
        r = bvi_fail(&err, BV_E_INVALID, "a method may take at most %d s",
                     BVI_NODE_RUN_TIMEOUT_MAX_MS / 1000);
    if (r == 0)
        r = bvi_plugin_call(node->plugin, method, param, timeout_ms, on_result, call, &call->op,
                            &err);
    if (r < 0) {
        bvi_free(call);
        bvi_reply_fail(reply, err);
        return;
    }
    bvi_reply_on_cancel(reply, cancel_run, call);
}

void bvi_node_capabilities(bvi_node *node, bvi_reply *reply)
{
    bvi_auto_json bvi_json *answer = NULL;
    bvi_json *list;
    const bvi_strv *names;
    int r;

    if (!bvi_node_need_plugin(node, reply))
        return;
    answer = bvi_json_new_object();
    list = answer ? bvi_json_new_array() : NULL;
    r = answer ? bvi_json_put(answer, "capabilities", list) : BV_E_NOMEM;
    names = bvi_plugin_capabilities(node->plugin);
    for (size_t i = 0; r == 0 && i < names->len; i++)
        r = bvi_json_add(list, bvi_json_new_string(names->items[i]));
    bvi_reply_ok(reply, r == 0 ? bvi_take(answer) : NULL);
}

void bvi_node_exec(bvi_node *node, bvi_reply *reply)
{
    bvi_driver *driver = node->manager->opts.driver;
    bvi_strv argv = BVI_VEC_INIT(64);
    bvi_auto_json bvi_json *answer = bvi_json_new_object();
    bvi_json *list = bvi_json_new_array();
    bv_error *err = NULL;
    int r = 0;

    if (!bvi_node_is_running(node))
        r = bvi_fail(&err, BV_E_STATE, "node '%s' is not running", node->state.name);
    if (r == 0)
        r = driver->vtable->exec_argv(driver, node->state.id, &argv, &err);
    for (size_t i = 0; r == 0 && i < argv.len; i++)
        r = list && bvi_json_add(list, bvi_json_new_string(argv.items[i])) == 0
                ? 0
                : bvi_fail_nomem(&err);
    bvi_strv_done(&argv);
    if (r == 0 && (!answer || bvi_json_put(answer, "argv", bvi_take(list)) < 0))
        r = bvi_fail_nomem(&err);
    bvi_json_free(list);
    if (r < 0)
        bvi_reply_fail(reply, err);
    else
        bvi_reply_ok(reply, bvi_take(answer));
}
