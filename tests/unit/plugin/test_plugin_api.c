/* bv_plugin_*: functions of plugins on nodes that answers files describe. */
#include <stdio.h>
#include <sys/stat.h>

#include <blockvisor/plugin.h>

#include "base/doc.h"
#include "base/mem.h"
#include "bvt.h"

#define JRPC                                                                                       \
    "fn height() { run_jrpc(#{host: \"http://h/\", method: \"m\", params: "                        \
    "[1]}).expect(200).result }"

/* A script, how its node answers, a function, and the outcome: "= JSON", "! part of the failure"
 * or "# part of an error of the call". */
static const struct {
    const char *script;
    const char *answers;
    const char *function;
    const char *arg;
    const char *outcome;
} cases[] = {
    /* results */
    { "fn f() { #{a: [1, 2.5, (), true], b: \"x\"} }", NULL, "f", NULL,
      "= {\"a\":[1,2.5,null,true],\"b\":\"x\"}" },
    { "fn f(x) { x + \"!\" }", NULL, "f", "hi", "= \"hi!\"" },
    { "fn f(x) { x.len() }", NULL, "f", NULL, "= 0" },
    { "fn f() { 1 }", NULL, "f", "x", "# it takes no parameter" },
    { "fn f(a, b) { 1 }", NULL, "f", NULL, "# no matching method 'f' found" },
    { "fn f() { Fn(\"f\") }", NULL, "f", NULL, "= " },
    { "fn height() { 5 }", NULL, "height", NULL, "= 5" },
    { "fn height() { \"5\" }", NULL, "height", NULL, "! expecting i64" },
    { "fn name() { \"n\" }", NULL, "name", NULL, "= \"n\"" },
    { "fn consensus() { true }", NULL, "consensus", NULL, "= true" },
    { "fn init() { }", NULL, "init", NULL, "= null" },
    { "fn protocol_status() { #{state: \"s\", health: \"healthy\"} }", NULL, "protocol_status",
      NULL, "= {\"state\":\"s\",\"health\":\"healthy\"}" },
    { "fn f() {\n  throw \"no\"\n}", NULL, "f", NULL, "! Runtime error: no (line 2, position 3)" },
    /* rules */
    { JRPC, "jrpc: [{method: m, result: 7}]", "height", NULL, "= 7" },
    { JRPC, "jrpc: [{method: \"?\", host: \"http://*\", params: [1], result: 7}]", "height", NULL,
      "= 7" },
    { JRPC, "jrpc: [{method: n}, {method: m, params: [2]}]", "height", NULL,
      "! no answer is scripted for run_jrpc method 'm' host 'http://h/' params '[1]' (nearest is "
      "jrpc[1], with params '[2]'); add a rule to 'jrpc'" },
    { JRPC, "{}", "height", NULL, "! no answer is scripted for run_jrpc" },
    { JRPC, "unmatched: default", "height", NULL, "! Output type incorrect" },
    { JRPC, "jrpc: [{method: m, status: 500}]", "height", NULL, "! unexpected status_code: 500" },
    { JRPC, "jrpc: [{method: m, fail: refused}]", "height", NULL, "! refused" },
    { JRPC, "jrpc: [{method: m, delay_ms: 14000, result: 1}]", "height", NULL, "= 1" },
    { JRPC, "jrpc: [{method: m, delay_ms: 16000, result: 1}]", "height", NULL,
      "! request timed out after 15000 ms" },
    { "fn f() { let a = []; for i in 0..4 { a += run_sh(\" c \").unwrap() } a }",
      "sh: [{command: c, answers: [{stdout: x}, {stdout: y}]}]", "f", NULL,
      "= [\"x\",\"y\",\"y\",\"y\"]" },
    { "fn f() { let a = []; for i in 0..3 { a += run_sh(\"c\").unwrap() } a }",
      "sh: [{contains: c, times: 2, stdout: x}, {stdout: z}]", "f", NULL, "= [\"x\",\"x\",\"z\"]" },
    { "fn f() { run_sh(\"c\"); run_sh(\"c\") }", "sh: [{command: c, times: 1}]", "f", NULL,
      "! (sh[0] fits, but is used up)" },
    { "fn f() { run_rest(#{url: \"http://a/b\"}).expect(201).x }",
      "rest: [{url: \"*/b\", status: 201, body: {x: 3}}]", "f", NULL, "= 3" },
    /* the node */
    { "fn f() { get_secret(\"a\").as_string() + get_secret(\"b\").as_string() }",
      "secrets: {a: x, \"*\": y}", "f", NULL, "= \"xy\"" },
    { "fn f() { get_secret(\"b\") }", "secrets: {a: x}", "f", NULL, "! not_found" },
    { "fn f() { node_env().node_ip + node_params().net }",
      "node: {env: {node_ip: \"9\"}, params: {net: n}}", "f", NULL, "= \"9n\"" },
    { "fn f() { system_time() }", "node: {time: \"1970-01-02T00:00:00Z\"}", "f", NULL, "= 86400" },
    { "fn f() { load_data() + file_read(\"/x\").as_string() }", "{node: {data: d}, files: {/x: y}}",
      "f", NULL, "= \"dy\"" },
    { "fn f() { let j = get_jobs(); [j.a.status, j.b.status, j.c.restart_count] }",
      "jobs: {a: running, b: {finished: {exit_code: 3, message: m}}, c: {status: stopped, "
      "restart_count: 4}}",
      "f", NULL, "= [\"running\",{\"finished\":{\"exit_code\":3,\"message\":\"m\"}},4]" },
    { "fn f() { render_template(\"/t/a.template\", \"/etc/a\", #{x: [1, 2]}); "
      "file_read(\"/etc/a\").as_string() }",
      "files: {/t/a.template: \"{% include \\\"b\\\" %}{{ x | length }}\", /t/b: \"B\"}", "f", NULL,
      "= \"B2\"" },
    { "fn f() { render_template(\"/t\", \"/d\", #{}) }", "files: {/t: \"a\\n{{ x }}\"}", "f", NULL,
      "! failed to render template file with: Failed to render 'd'" },
    { "fn f() { render_template(\"/t\", \"/d\", #{}) }", NULL, "f", NULL, "= null" },
    { "fn plugin_config() { #{services: []} } fn protocol_status() { 1 }",
      "jobs: {upload: running}", "protocol_status", NULL,
      "= {\"state\":\"uploading\",\"health\":\"neutral\"}" },
    { "fn plugin_config() { #{services: []} }", "node: {protocol_data: true}", "upload", NULL,
      "= null" },
};

static bv_plugin *open_plugin(const char *script, const char *answers, bv_error **err)
{
    bv_plugin_opts opts = BV_PLUGIN_OPTS_INIT;
    bv_plugin *plugin = NULL;

    (void)mkdir(bvt_path("p"), 0755); /* may exist */
    (void)bvt_write_file("p/main.rhai", script);
    if (answers)
        (void)bvt_write_file("p/plugin_test.yaml", answers);
    return bv_plugin_open(bvt_path("p"), &opts, &plugin, err) < 0 ? NULL : plugin;
}

static void assert_outcome(const char *wanted, int r, const bv_doc *outcome, const bv_error *err)
{
    const char *failure = bv_doc_string(bv_doc_get(bv_doc_get(outcome, "error"), "text"), NULL);
    bvi_auto_free char *value = NULL;

    if (wanted[0] == '#') {
        ck_assert_int_lt(r, 0);
        bvt_assert_error_says(err, r, wanted + 2);
        return;
    }
    bvt_assert_ok(r, err);
    if (wanted[0] == '!') {
        ck_assert_msg(failure && strstr(failure, wanted + 2), "%s", failure ? failure : "none");
        return;
    }
    ck_assert_msg(!failure, "%s", failure);
    if (!wanted[2]) {
        ck_assert_ptr_null(bv_doc_get(outcome, "value"));
        return;
    }
    ck_assert_int_eq(bv_doc_print(bv_doc_get(outcome, "value"), 0, &value, NULL), 0);
    ck_assert_str_eq(value, wanted + 2);
}

START_TEST(calls)
{
    bv_error *err = NULL;
    bv_doc *outcome = NULL;
    bv_plugin *plugin = open_plugin(cases[_i].script, cases[_i].answers, &err);
    int r;

    ck_assert_msg(plugin, "%s", bv_error_message(err));
    r = bv_plugin_call(plugin, cases[_i].function, cases[_i].arg, &outcome, &err);
    assert_outcome(cases[_i].outcome, r, outcome, err);
    bv_doc_free(outcome);
    bv_error_free(err);
    bv_plugin_close(plugin);
}
END_TEST

START_TEST(requests_are_told)
{
    static const char script[] =
        "fn plugin_config() { #{services: [#{name: \"s\", run_sh: \"sleep\"}]} }\n"
        "fn init() { info(\"begun\"); default_init(); add_task(\"t\", \"* * * * * *\", \"f\"); }";
    bv_error *err = NULL;
    bv_doc *doc = NULL;
    bv_plugin *plugin = open_plugin(script, NULL, &err);
    bvi_auto_free char *text = NULL;

    bvt_assert_ok(bv_plugin_call(plugin, "init", NULL, &doc, &err), err);
    ck_assert_ptr_null(bv_doc_get(doc, "error"));
    bv_doc_free(doc);
    bvt_assert_ok(bv_plugin_take_requests(plugin, &doc, &err), err);
    ck_assert_int_eq(bv_doc_print(doc, 0, &text, NULL), 0);
    ck_assert_ptr_nonnull(strstr(text, "{\"call\":\"stop_all_jobs\"}"));
    ck_assert_ptr_nonnull(strstr(text, "{\"call\":\"create_job\",\"name\":\"s\",\"config\":{"));
    ck_assert_ptr_nonnull(strstr(text, "{\"call\":\"start_job\",\"name\":\"s\"}"));
    ck_assert_ptr_nonnull(strstr(text, "\"log\":[{\"call\":\"log\",\"level\":\"info\","
                                       "\"text\":\"begun\"}]"));
    ck_assert_ptr_null(strstr(text, "null"));
    bv_doc_free(doc);
    bvt_assert_ok(bv_plugin_take_requests(plugin, &doc, &err), err);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(doc, "requests")), 0);
    bv_doc_free(doc);
    bv_plugin_close(plugin);
}
END_TEST

START_TEST(is_described)
{
    bv_error *err = NULL;
    bv_doc *doc = NULL;
    bv_plugin *plugin = open_plugin("fn a() {} private fn b(x) {} fn c(x, y) {}", "{}", &err);
    bvi_auto_free char *text = NULL;

    bvt_assert_ok(bv_plugin_describe(plugin, &doc, &err), err);
    ck_assert_str_eq(bv_doc_string(bv_doc_get(doc, "answers"), ""), bvt_path("p/plugin_test.yaml"));
    ck_assert_int_eq(bv_doc_print(bv_doc_get(doc, "functions"), 0, &text, NULL), 0);
    ck_assert_str_eq(text, "[{\"name\":\"a\",\"params\":0,\"callable\":true},"
                           "{\"name\":\"b\",\"params\":1,\"callable\":false},"
                           "{\"name\":\"c\",\"params\":2,\"callable\":false}]");
    bv_doc_free(doc);
    bv_plugin_close(plugin);
}
END_TEST

START_TEST(configuration_is_checked)
{
    bv_error *err = NULL;
    bv_doc *doc = NULL;
    bv_plugin *plugin = open_plugin("fn plugin_config() { #{services: 1} }", NULL, &err);

    bvt_assert_ok(bv_plugin_config(plugin, &doc, &err), err);
    ck_assert_ptr_nonnull(
        strstr(bv_doc_string(bv_doc_get(bv_doc_get(doc, "error"), "text"), ""), "plugin_config"));
    bv_doc_free(doc);
    bv_plugin_close(plugin);
    plugin = open_plugin("fn plugin_config() { #{services: []} }", NULL, &err);
    bvt_assert_ok(bv_plugin_config(plugin, &doc, &err), err);
    ck_assert_ptr_nonnull(bv_doc_get(bv_doc_get(doc, "value"), "aux_services"));
    bv_doc_free(doc);
    bv_plugin_close(plugin);
}
END_TEST

START_TEST(endless_calls_end)
{
    bv_script_limits limits = BV_SCRIPT_LIMITS_INIT;
    bv_plugin_opts opts = BV_PLUGIN_OPTS_INIT;
    bv_plugin *plugin = open_plugin("fn f() { loop { } }", NULL, NULL);
    bv_error *err = NULL;
    bv_doc *doc = NULL;

    bv_plugin_interrupt(plugin);
    ck_assert_int_eq(bv_plugin_call(plugin, "f", NULL, &doc, &err), BV_E_CANCELLED);
    bvt_assert_error_says(err, BV_E_CANCELLED, "interrupted");
    bv_error_free(err);
    err = NULL;
    bv_plugin_close(plugin);
    limits.operations = UINT64_MAX / 2;
    limits.wall_ms = 1;
    opts.limits = &limits;
    bvt_assert_ok(bv_plugin_open(bvt_path("p/main.rhai"), &opts, &plugin, &err), err);
    ck_assert_int_eq(bv_plugin_call(plugin, "f", NULL, &doc, &err), BV_E_TIMEOUT);
    bvt_assert_error_says(err, BV_E_TIMEOUT, "more than 1 ms");
    bv_error_free(err);
    bv_plugin_close(plugin);
}
END_TEST

/* ---- in a loop of our own ---- */

typedef struct calls_seen {
    unsigned count;
    int code;
    char text[256];
} calls_seen;

static void on_called(bv_op *op, const bv_doc *outcome, const bv_error *err, void *data)
{
    calls_seen *seen = data;
    const bv_doc *failure = bv_doc_get(outcome, "error");

    seen->count++;
    seen->code = bv_error_code(err);
    (void)snprintf(seen->text, sizeof(seen->text), "%s",
                   bv_doc_string(bv_doc_get(failure ? failure : outcome, "text"), "none"));
}

START_TEST(calls_in_our_loop)
{
    static const struct {
        const char *function;
        const char *text;
    } wanted[] = {
        { "height", "3" },
        { "f", "[\"x\"]" },
        { "name", "main.rhai:2:13: Rhai function 'name' returned error: Runtime error: no (line 2, "
                  "position 13)" },
    };
    bv_plugin_opts opts = BV_PLUGIN_OPTS_INIT;
    bv_plugin *plugin = NULL;
    bv_error *err = NULL;
    bv_doc *doc = NULL;
    calls_seen seen = { 0 };

    bv_plugin_close(open_plugin("fn height() { 3 } fn f(x) { [run_sh(x).unwrap()] }\n"
                                "fn name() { throw \"no\" }",
                                "sh: [{delay_ms: 1, stdout: x}]", &err));
    bvt_assert_ok(bv_ctx_new(NULL, &opts.ctx, &err), err);
    bvt_assert_ok(bv_plugin_open(bvt_path("p"), &opts, &plugin, &err), err);
    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        bvt_assert_ok(
            bv_plugin_start(plugin, wanted[i].function, "x", on_called, &seen, NULL, &err), err);
        ck_assert_uint_eq(seen.count, i);
        while (seen.count == i)
            ck_assert_int_ge(bv_ctx_dispatch(opts.ctx, -1), 0);
        ck_assert_msg(strstr(seen.text, wanted[i].text) != NULL, "%s", seen.text);
    }
    ck_assert_int_eq(bv_plugin_call(plugin, "f", NULL, &doc, NULL), BV_E_STATE);
    ck_assert_int_eq(bv_plugin_config(plugin, &doc, NULL), BV_E_STATE);
    ck_assert_int_eq(bv_plugin_start(plugin, "nothing", NULL, on_called, &seen, NULL, &err),
                     BV_E_NOT_FOUND);
    bv_error_free(err);
    /* closing cancels; the callbacks still come */
    seen.count = 0;
    ck_assert_int_eq(bv_plugin_start(plugin, "f", "c", on_called, &seen, NULL, NULL), 0);
    ck_assert_int_eq(bv_plugin_start(plugin, "name", NULL, on_called, &seen, NULL, NULL), 0);
    bv_plugin_close(plugin);
    while (seen.count < 2)
        ck_assert_int_ge(bv_ctx_dispatch(opts.ctx, -1), 0);
    ck_assert_int_eq(seen.code, BV_E_CANCELLED);
    bv_ctx_free(opts.ctx);
}
END_TEST

START_TEST(an_old_failure_is_forgotten)
{
    bv_plugin *plugin = open_plugin("fn name() { throw 1 }", NULL, NULL);
    bv_error *err = NULL;
    bv_doc *doc = NULL;

    bvt_assert_ok(bv_plugin_call(plugin, "name", NULL, &doc, &err), err);
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(bv_doc_get(doc, "error"), "line"), 0), 1);
    bv_doc_free(doc);
    bvt_assert_ok(bv_plugin_call(plugin, "upload", NULL, &doc, &err), err);
    ck_assert_str_eq(bv_doc_string(bv_doc_get(bv_doc_get(doc, "error"), "message"), ""),
                     "Missing plugin_config function");
    ck_assert_ptr_null(bv_doc_get(bv_doc_get(doc, "error"), "line"));
    bv_doc_free(doc);
    bv_plugin_close(plugin);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
    bv_plugin_opts opts = { .size = 1 };
    bv_plugin *plugin = NULL;
    bv_error *err = NULL;

    ck_assert_ptr_null(open_plugin("fn (", NULL, &err));
    bvt_assert_error_says(err, BV_E_FORMAT, "main.rhai:1:");
    bv_error_free(err);
    err = NULL;
    ck_assert_ptr_null(open_plugin("fn f() {}", "bad: 1", &err));
    bvt_assert_error_says(err, BV_E_FORMAT, "plugin_test.yaml': bad: there is no such key");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(bv_plugin_open(bvt_path("nowhere"), NULL, &plugin, &err), BV_E_NOT_FOUND);
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(bv_plugin_open(bvt_path("p"), &opts, &plugin, &err), BV_E_INVALID);
    bv_error_free(err);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    static const char answers[] =
        "{sh: [{command: c, delay_ms: 5, stdout: x}], jobs: {a: running}, "
        "node: {params: {a: b}, data: d}, secrets: {s: t}}";
    bv_plugin_opts opts = BV_PLUGIN_OPTS_INIT;

    (void)mkdir(bvt_path("p"), 0755);
    (void)bvt_write_file("p/main.rhai", "fn f() { run_sh(\"c\").unwrap() + load_data() }");
    (void)bvt_write_file("p/plugin_test.yaml", answers);
    bvt_for_each_failed_allocation(n) {
        bv_plugin *plugin = NULL;
        bv_doc *outcome = NULL;
        int r = bv_plugin_open(bvt_path("p"), &opts, &plugin, NULL);

        if (r == 0)
            r = bv_plugin_call(plugin, "f", NULL, &outcome, NULL);
        bv_doc_free(outcome);
        if (r == 0)
            r = bv_plugin_take_requests(plugin, &outcome, NULL);
        if (r == 0)
            bv_doc_free(outcome);
        bv_plugin_close(plugin);
    }
}
END_TEST

BVT_MAIN("plugin/plugin_api", bvt_loop(calls, cases), bvt_test(requests_are_told),
         bvt_test(is_described), bvt_test(configuration_is_checked), bvt_test(endless_calls_end),
         bvt_test(calls_in_our_loop), bvt_test(an_old_failure_is_forgotten),
         bvt_test(what_cannot_be_opened), bvt_test(survives_every_failed_allocation))
