/*
 * bv_eval(): outcomes, the node that is not there, where modules are looked for, and options that
 * are refused. tests/integration/cli/test_eval.py runs the language's own cases through it.
 */
#include <blockvisor/eval.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bvt.h"

typedef struct told {
    char text[2048];
} told;

static void on_output(const bv_script_output *output, void *data)
{
    told *t = data;
    size_t len = strlen(t->text);

    (void)snprintf(t->text + len, sizeof(t->text) - len, "%s %.*s|",
                   output->is_debug ? "debug" : "print", (int)output->len, output->text);
}

static void on_request(const bv_doc *request, void *data)
{
    told *t = data;
    size_t len = strlen(t->text);

    (void)snprintf(t->text + len, sizeof(t->text) - len, "asks %s|",
                   bv_doc_string(bv_doc_get(request, "call"), "?"));
}

static bv_eval_opts options(const char *source)
{
    bv_eval_opts opts = BV_EVAL_OPTS_INIT;

    opts.source = source;
    opts.source_bytes = strlen(source);
    return opts;
}

static bv_doc *document(const char *text)
{
    bv_doc *doc = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bv_doc_parse(text, strlen(text), &doc, &err), err);
    return doc;
}

/* The outcome as JSON, in the test's memory. */
static const char *outcome_of(const bv_eval_opts *opts)
{
    bv_doc *doc = NULL;
    bv_error *err = NULL;
    char *text = NULL;
    const char *kept;

    bvt_assert_ok(bv_eval(opts, &doc, &err), err);
    bvt_assert_ok(bv_doc_print(doc, 0, &text, &err), err);
    kept = bvt_format("%s", text);
    bv_free(text);
    bv_doc_free(doc);
    return kept;
}

static void check_text(const bv_eval_opts *opts, const char *wanted)
{
    ck_assert_str_eq(outcome_of(opts), wanted);
}

static const struct {
    const char *source;
    const char *function;
    const char *argument;
    const char *outcome;
} outcomes[] = {
    { "40 + 2", NULL, NULL, "{\"type\":\"i64\",\"text\":\"42\",\"value\":42}" },
    { "'c'", NULL, NULL, "{\"type\":\"char\",\"text\":\"'c'\",\"value\":\"c\"}" },
    { "|x| x", NULL, NULL, "{\"type\":\"Fn\",\"text\":\"Fn*(\\\"anon$0000000000000001\\\")\"}" },
    { "fn f(x) { x + 1 }", "f", "a",
      "{\"type\":\"string\",\"text\":\"\\\"a1\\\"\",\"value\":\"a1\"}" },
    { "fn f() { 1 }", "f", NULL, "{\"type\":\"i64\",\"text\":\"1\",\"value\":1}" },
    { "let x = ;", NULL, NULL,
      "{\"error\":{\"kind\":\"ErrorParsing\",\"message\":\"Unexpected ';'\",\"text\":\"Unexpected "
      "';' "
      "(line 1, position 9)\",\"source\":null,\"line\":1,\"column\":9,\"trace\":[]}}" },
    { "fn f() { throw 1 }\nf()", NULL, NULL,
      "{\"error\":{\"kind\":\"ErrorRuntime\",\"message\":\"Runtime error: 1\",\"text\":\"Runtime "
      "error: 1 (line 1, position 10)\\nin call to function 'f' (line 2, position 1)\",\"source\":"
      "null,\"line\":1,\"column\":10,\"trace\":[{\"what\":\"function\",\"name\":\"f\",\"source\":"
      "null,"
      "\"line\":2,\"column\":1}],\"value\":1}}" },
    { "", "f", NULL,
      "{\"error\":{\"kind\":\"ErrorFunctionNotFound\",\"message\":\"Function not found: "
      "f\",\"text\":"
      "\"Function not found: f\",\"source\":null,\"line\":null,\"column\":null,\"trace\":[]}}" },
};

START_TEST(tells_the_outcome)
{
    bv_eval_opts opts = options(outcomes[_i].source);

    opts.function = outcomes[_i].function;
    opts.argument = outcomes[_i].argument;
    check_text(&opts, outcomes[_i].outcome);
}
END_TEST

START_TEST(tells_what_happens)
{
    told t = { "" };
    bv_eval_opts opts = options("print(1); debug(`x`); warn(\"w\"); run_sh(\"ls\").exit_code");

    opts.output = on_output;
    opts.request = on_request;
    opts.data = &t;
    check_text(&opts, "{\"type\":\"i64\",\"text\":\"0\",\"value\":0}");
    ck_assert_str_eq(t.text, "print 1|debug \"x\"|asks log|asks run_sh|");
}
END_TEST

/* ---- the node ---- */

static const struct {
    const char *script;
    const char *text;
} node_cases[] = {
    { "node_params()", "#{\"a\": \"1\"}" },
    { "const A = NODE_PARAMS; fn f() { [global::A, BLOCKCHAIN_DATA_PATH] } f()",
      "[#{\"a\": \"1\"}, \"/blockjoy/blockchain_data\"]" },
    { "let e = node_env(); [e.node_name, e.node_variant, e.node_ip, e.properties]",
      "[\"mine\", \"main\", \"1.2.3.4\", #{\"a\": \"1\"}]" },
    { "get_secret(\"k\").as_string()", "\"v\"" },
    { "fn t() { try { get_secret(\"x\") } catch (e) { return e; } } t()", "\"not_found\"" },
    { "put_secret(\"x\", blob(1, 65)); get_secret(\"x\").as_string()", "\"A\"" },
    { "load_data()", "\"\"" },
    { "file_read(\"/nothing\").len", "0" },
    { "run_jrpc(#{host: \"http://localhost\", method: \"m\"}).expect(200)", "#{}" },
    { "no_such_function()", NULL },
    { "parse_hex(\"0x1f\")", "31" },
};

START_TEST(node)
{
    bv_eval_opts opts = options(node_cases[_i].script);
    bv_doc *env = document("{\"node_name\":\"mine\"}");
    bv_doc *params = document("{\"a\":\"1\"}");
    bv_doc *secrets = document("{\"k\":\"v\"}");
    bv_doc *doc = NULL;
    bv_error *err = NULL;

    opts.variant = "main";
    opts.env = env;
    opts.params = params;
    opts.secrets = secrets;
    bvt_assert_ok(bv_eval(&opts, &doc, &err), err);
    if (node_cases[_i].text)
        ck_assert_str_eq(bv_doc_string(bv_doc_get(doc, "text"), "failed"), node_cases[_i].text);
    else
        ck_assert_ptr_nonnull(bv_doc_get(doc, "error"));
    bv_doc_free(doc);
    bv_doc_free(env);
    bv_doc_free(params);
    bv_doc_free(secrets);
}
END_TEST

/* What babel.yaml says, and what lies over it. */
START_TEST(image)
{
    bv_eval_opts opts = options("let e = node_env(); [node_params().len(), "
                                "node_params()[\"block-ms\"], e.node_version, e.node_variant]");
    bv_doc *params = document("{\"block-ms\":\"7\"}");
    bv_doc *doc = NULL;
    bv_error *err = NULL;

    opts.plugin = EXAMPLE_IMAGES "/tiny";
    bvt_assert_ok(bv_eval(&opts, &doc, &err), err);
    ck_assert_str_eq(bv_doc_string(bv_doc_get(doc, "text"), ""),
                     "[1, \"200\", \"0.1.0\", \"tiny-local-full\"]");
    bv_doc_free(doc);
    opts.params = params;
    bvt_assert_ok(bv_eval(&opts, &doc, &err), err);
    ck_assert_str_eq(bv_doc_string(bv_doc_get(doc, "text"), ""),
                     "[1, \"7\", \"0.1.0\", \"tiny-local-full\"]");
    bv_doc_free(doc);
    bv_doc_free(params);
    opts.params = NULL;
    opts.variant = "none";
    ck_assert_int_eq(bv_eval(&opts, &doc, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "it has 'tiny-local-full'");
    bv_error_free(err);
}
END_TEST

START_TEST(a_broken_image_is_in_the_way_of_variants_only)
{
    bv_eval_opts opts = options("node_env().node_version");
    bv_doc *doc = NULL;
    bv_error *err = NULL;

    (void)bvt_write_file("main.rhai", "");
    (void)bvt_write_file("babel.yaml", "version: [");
    opts.plugin = bvt_dir();
    check_text(&opts, "{\"type\":\"string\",\"text\":\"\\\"0.0.0\\\"\",\"value\":\"0.0.0\"}");
    opts.variant = "main";
    ck_assert_int_eq(bv_eval(&opts, &doc, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "babel.yaml");
    bv_error_free(err);
}
END_TEST

/* ---- modules ---- */

static const struct {
    const char *name;
    const char *says; /* NULL: it is found */
} module_cases[] = {
    { "m", NULL },        { "m.rhai", NULL },
    { "./m", NULL },      { "sub/n", NULL },
    { "sub/../m", NULL }, { "none", "Module not found: none" },
    { "../m", "../m" },   { "/etc/passwd", "/etc/passwd" },
    { "link", "link" },   { "pipe", "pipe" },
    { "sub", "sub" },     { "", "Module not found" },
};

START_TEST(modules)
{
    bv_eval_opts opts = options(bvt_format("import \"%s\" as m; m::f()", module_cases[_i].name));
    const char *outcome;

    (void)bvt_write_file("outside.rhai", "fn f() { 2 }");
    ck_assert_int_eq(mkdir(bvt_path("d"), 0700), 0);
    ck_assert_int_eq(mkdir(bvt_path("d/sub"), 0700), 0);
    (void)bvt_write_file("d/m.rhai", "fn f() { 1 }");
    (void)bvt_write_file("d/sub/n.rhai", "fn f() { 1 }");
    ck_assert_int_eq(symlink("../outside.rhai", bvt_path("d/link.rhai")), 0);
    ck_assert_int_eq(mkfifo(bvt_path("d/pipe.rhai"), 0600), 0);
    opts.dir = bvt_path("d");
    outcome = outcome_of(&opts);
    if (module_cases[_i].says)
        ck_assert_msg(strstr(outcome, module_cases[_i].says) && strstr(outcome, "\"error\""), "%s",
                      outcome);
    else
        ck_assert_str_eq(outcome, "{\"type\":\"i64\",\"text\":\"1\",\"value\":1}");
}
END_TEST

/* ---- options ---- */

START_TEST(refuses_wrong_options)
{
    bv_doc *list = document("[]");
    bv_doc *number = document("{\"a\":1}");
    bv_script_limits limits = { .size = 1 };
    const struct {
        bv_eval_opts opts;
        int code;
        const char *says;
    } cases[] = {
        { { .size = 1, .source = "1" }, BV_E_INVALID, "options have an unknown size 1" },
        { { .size = sizeof(bv_eval_opts) }, BV_E_INVALID, "there is no script" },
        { { .size = sizeof(bv_eval_opts), .source = "1", .limits = &limits },
          BV_E_INVALID,
          "limits have an unknown size 1" },
        { { .size = sizeof(bv_eval_opts), .source = "1", .argument = "x" },
          BV_E_INVALID,
          "an argument needs a function" },
        { { .size = sizeof(bv_eval_opts), .source = "1", .env = list },
          BV_E_INVALID,
          "the environment is not an object" },
        { { .size = sizeof(bv_eval_opts), .source = "1", .params = number },
          BV_E_INVALID,
          "parameters: 'a' is not a string" },
        { { .size = sizeof(bv_eval_opts), .source = "1", .secrets = list },
          BV_E_INVALID,
          "secrets are not an object" },
        { { .size = sizeof(bv_eval_opts), .source = "1", .dir = "/no/such" },
          BV_E_NOT_FOUND,
          "cannot open directory '/no/such'" },
        { { .size = sizeof(bv_eval_opts), .source = "1", .plugin = "/no/such" },
          BV_E_NOT_FOUND,
          "/no/such" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bv_doc *doc = NULL;
        bv_error *err = NULL;

        ck_assert_int_eq(bv_eval(&cases[i].opts, &doc, &err), cases[i].code);
        bvt_assert_error_says(err, cases[i].code, cases[i].says);
        ck_assert_ptr_null(doc);
        bv_error_free(err);
    }
    bv_doc_free(list);
    bv_doc_free(number);
}
END_TEST

START_TEST(ends_in_time)
{
    bv_script_limits limits = BV_SCRIPT_LIMITS_INIT;
    bv_eval_opts opts = options("sleep(100); 1");
    const char *outcome;

    limits.wall_ms = 20;
    limits.slice_operations = 100;
    opts.limits = &limits;
    outcome = outcome_of(&opts);
    ck_assert_msg(strstr(outcome, "\"text\":\"Script terminated") != NULL, "%s", outcome);
    opts = options("loop {}");
    opts.limits = &limits;
    outcome = outcome_of(&opts);
    ck_assert_msg(strstr(outcome, "\"text\":\"Script terminated (line 1, position ") != NULL, "%s",
                  outcome);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bv_eval_opts opts = options("import \"m\" as m; let s = get_secret(\"k\").as_string();\n"
                                "fn f(x) { m::f(#{a: [x, run_sh(\"ls\").stdout]}) }");
    bv_doc *secrets = document("{\"k\":\"v\"}");
    told t = { "" };

    (void)bvt_write_file("m.rhai", "fn f(x) { debug(x); throw x }");
    opts.dir = bvt_dir();
    opts.function = "f";
    opts.argument = "x";
    opts.secrets = secrets;
    opts.output = on_output;
    opts.data = &t;
    bvt_for_each_failed_allocation(n) {
        bv_doc *doc = NULL;
        int r = bv_eval(&opts, &doc, NULL);

        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "round %zu: %d", n, r);
        bv_doc_free(doc);
        t.text[0] = '\0';
    }
    bv_doc_free(secrets);
}
END_TEST

BVT_MAIN("plugin/eval", bvt_loop(tells_the_outcome, outcomes), bvt_test(tells_what_happens),
         bvt_loop(node, node_cases), bvt_test(image),
         bvt_test(a_broken_image_is_in_the_way_of_variants_only), bvt_loop(modules, module_cases),
         bvt_test(refuses_wrong_options), bvt_test(ends_in_time),
         bvt_test(survives_every_failed_allocation))
