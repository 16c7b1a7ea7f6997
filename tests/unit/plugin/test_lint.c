/* Checking plugins without a node. */
#include <stdio.h>
#include <sys/stat.h>

#include "bvt.h"
#include "plugin/lint.h"

typedef struct outcome {
    unsigned done;
    int code;
    char text[4096]; /* warnings, a line each, or the error's story */
} outcome;

static void on_done(bv_op *op, const bvi_strv *warnings, const bv_error *err, void *data)
{
    outcome *o = data;
    size_t len = 0;

    o->done++;
    o->code = bv_error_code(err);
    if (err)
        (void)bv_error_format(err, o->text, sizeof(o->text)); /* cut when longer */
    for (size_t i = 0; !err && i < warnings->len; i++)
        len += (size_t)snprintf(o->text + len, sizeof(o->text) - len, "%s\n", warnings->items[i]);
}

#define STATUS "fn protocol_status() { #{state: \"s\", health: \"healthy\"} }\n"

static const struct {
    const char *script;
    const char *other; /* a second file; NULL: none */
    int code;
    const char *text;
} cases[] = {
    { STATUS "fn plugin_config() {#{ services: [] }}", NULL, 0, "" },
    { STATUS "fn init() { }", NULL, 0, "Deprecated API used: missing plugin_config function\n" },
    { "fn plugin_config() {#{ services: [] }}", NULL, 0, "missing protocol_status function\n" },
    { STATUS "fn plugin_config() {#{ services: [], unknwon: 1 }}", NULL, 0,
      "plugin_config: unknown key 'unknwon' is ignored\n" },
    { STATUS "fn plugin_config() {#{ services: [], post_download: [#{name: \"a\", run_sh: \"x\", "
             "needs: [\"b\"]}] }}",
      NULL, 0, "job 'a' needs 'b', which is not a job of this plugin\n" },
    { STATUS "fn plugin_config() {#{ services: [] }} fn f() { node_params().port + "
             "node_params()[\"prt\"] }",
      NULL, 0, "main.rhai:2:85: 'prt' not defined in babel.yaml\n" },
    { STATUS "fn plugin_config() {#{ services: [] }}\n"
             "fn init() { get_secret(\"k\"); load_data(); file_read(\"/x\"); job_info(\"j\"); "
             "default_init(); }",
      NULL, 0, "" },
    { STATUS "fn plugin_config() {#{ services: [#{name: 7}] }}", NULL, BV_E_FORMAT,
      "failed to deserialize" },
    { STATUS "fn plugin_config() {#{ services: [] }}", "fn broken( {", BV_E_FORMAT,
      "script 'other.rhai'" },
    { "fn init() { throw \"no\"; }", NULL, BV_E_REMOTE, "no" },
};

START_TEST(finds_mistakes)
{
    bvi_plugin_lint_opts opts = { .root = bvt_dir(), .dir = "plugin" };
    bvi_auto_json bvi_json *properties = bvi_json_new_object();
    bv_error *err = NULL;
    bv_ctx *ctx = NULL;
    outcome o = { 0 };
    int r;

    ck_assert_int_eq(mkdir(bvt_path("plugin"), 0755), 0);
    (void)bvt_write_file("plugin/main.rhai", cases[_i].script);
    if (cases[_i].other)
        (void)bvt_write_file("plugin/other.rhai", cases[_i].other);
    ck_assert_int_eq(bvi_json_put_string(properties, "port", "1"), 0);
    opts.properties = properties;
    bvt_assert_ok(bv_ctx_new(NULL, &ctx, &err), err);
    r = bvi_plugin_lint(ctx, &opts, on_done, &o, NULL, &err);
    if (r < 0) {
        o.code = r;
        (void)bv_error_format(err, o.text, sizeof(o.text)); /* cut when longer */
        bv_error_free(err);
    }
    for (int i = 0; r == 0 && i < 10000 && !o.done; i++)
        ck_assert_int_ge(bv_ctx_dispatch(ctx, 0), 0);
    ck_assert_msg(o.code == cases[_i].code, "%d: %s", o.code, o.text);
    if (o.code)
        ck_assert_msg(strstr(o.text, cases[_i].text) != NULL, "%s", o.text);
    else
        ck_assert_str_eq(o.text, cases[_i].text);
    bv_ctx_free(ctx);
}
END_TEST

BVT_MAIN("plugin/lint", bvt_loop(finds_mistakes, cases))
