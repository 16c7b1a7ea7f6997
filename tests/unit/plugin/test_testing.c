/* bv_plugin_test(): which tests run, what they can do, and what the report says. */
#include <stdio.h>
#include <sys/stat.h>

#include <blockvisor/plugin.h>

#include "base/doc.h"
#include "base/mem.h"
#include "bvt.h"

static void write_plugin(const char *name, const char *text)
{
    (void)mkdir(bvt_path("p"), 0755); /* may exist */
    (void)mkdir(bvt_path("p/tests"), 0755);
    (void)bvt_write_file(bvt_format("p/%s", name), text);
}

static const char definition[] =
    "version: 1.0.0\ncontainer_uri: docker://o/p/v:1\nprotocol_key: p\nvisibility: public\n"
    "firewall_config: {default_in: deny, default_out: allow, rules: []}\n"
    "properties: [{key: net, name: n, dynamic_value: false, default_value: d, ui_type: !text }]\n"
    "variants:\n"
    "- {key: a, sku_code: A-B-C, archive_pointers: [], min_cpu: 1, min_memory_mb: 1, "
    "min_disk_gb: 1}\n"
    "- {key: b, sku_code: A-B-C, archive_pointers: [], min_cpu: 1, min_memory_mb: 1, "
    "min_disk_gb: 1}\n";

static bv_doc *run_with(const bv_plugin_test_opts *opts)
{
    bv_doc *report = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bv_plugin_test(bvt_path("p"), opts, &report, &err), err);
    return report;
}

/* "name+" or "name-" for each test. */
static const char *summary(const bv_doc *report)
{
    static char text[4096];
    size_t len = 0;
    const bv_doc *tests = bv_doc_get(report, "tests");

    text[0] = '\0';
    for (const bv_doc *t = bv_doc_first(tests); t; t = bv_doc_next(t)) {
        const char *variant = bv_doc_string(bv_doc_get(t, "variant"), "");

        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%s%s%s", len ? " " : "",
                                bv_doc_string(bv_doc_get(t, "name"), "?"), variant[0] ? "@" : "",
                                variant, bv_doc_is_true(bv_doc_get(t, "ok")) ? "+" : "-");
    }
    return text;
}

static const bv_doc *first_test(const bv_doc *report)
{
    return bv_doc_first(bv_doc_get(report, "tests"));
}

/* ---- test functions ---- */

/* A plugin in main.rhai with one test, in a file of its own: NULL passes, otherwise a part of why
 * it does not. */
static const struct {
    const char *test;
    const char *why;
} functions[] = {
    { "fn test_x() { assert(true); assert(1 < 2, \"note\") }", NULL },
    { "fn test_x() { assert(false) }", "assertion failed (tests/x.rhai line 1, position 15)" },
    { "fn test_x() {\n  assert(false, \"because\")\n}",
      "assertion failed: because (tests/x.rhai line 2, position 3)" },
    { "fn test_x() { assert_eq([1, #{a: \"b\"}], [1, #{a: \"b\"}]) }", NULL },
    { "fn test_x() { assert_eq(1, 1.0) }", "assertion failed: 1 is not 1.0" },
    { "fn test_x() { assert_eq(\"a\", 'a', \"kind\") }", "kind: \"a\" is not 'a'" },
    { "fn test_x() { assert_eq(twice(2), 4) }", NULL },
    { "fn test_x() { assert_eq(global::K, 7) }", NULL },
    { "fn test_x() { twice(\"x\") }", "in call to function 'twice' @ 'main.rhai' (tests/x.rhai" },
    { "fn helper() { 1 } fn test_x(a) { assert_eq(a, \"\"); assert_eq(helper(), 1) }", NULL },
    { "fn test_x() { mock(#{sh: [#{command: \"c\", stdout: \"o\"}]}); "
      "assert_eq(run_sh(\"c\").unwrap(), \"o\"); }",
      NULL },
    { "fn test_x() { mock(#{sh: []}); run_sh(\"c\") }", NULL },
    { "fn test_x() { mock(#{sh: [#{command: \"d\"}]}); run_sh(\"c\") }",
      "no answer is scripted for run_sh body 'c'" },
    { "fn test_x() { mock(#{jrcp: []}) }", "jrcp: there is no such key; did you mean 'jrpc'?" },
    { "fn test_x() { mock(#{jrpc: [#{method: \"m\", result: 1}]}); "
      "mock(#{jrpc: [#{method: \"m\", result: 2}]}); "
      "assert_eq(run_jrpc(#{host: \"h\", method: \"m\"}).expect(200).result, 2) }",
      NULL },
    { "fn test_x() { mock(#{node: #{params: #{p: \"v\"}, env: #{node_ip: \"9\"}, data: \"d\"}}); "
      "assert_eq(node_params().p + node_env().node_ip + load_data(), \"v9d\") }",
      NULL },
    { "fn test_x() { run_sh(\"a\"); run_sh(\"b\"); info(\"l\"); "
      "assert_eq(requests().len, 2); assert_eq(requests(\"run_sh\")[1].body, \"b\"); "
      "assert_eq(requests(\"run_rest\"), []); assert_eq(requests(\"log\")[0].text, \"l\") }",
      NULL },
    { "fn test_x() { loop { } }", "Too many operations" },
    { "fn test_x() { run_graphql(#{url: \"http://u?k=1\", query: \"{a b}\", variables: #{x: 1}, "
      "operation_name: \"o\"}); let r = requests(\"run_graphql\")[0].request; "
      "assert_eq(r, #{url: \"http://u?k=1\", query: \"{a b}\", variables: #{x: 1}, "
      "operation_name: \"o\"}) }",
      NULL },
    { "fn test_x() { mock(#{graphql: [#{query: \"{a\", body: #{data: 5}}]}); "
      "assert_eq(run_graphql(#{url: \"u\", query: \"{a}\"}).expect(200).data, 5) }",
      NULL },
};

START_TEST(test_functions)
{
    bv_doc *report;
    const char *message;

    write_plugin("main.rhai", "const K = 7; fn twice(x) { x * 2 }");
    write_plugin("tests/x.rhai", functions[_i].test);
    report = run_with(NULL);
    message = bv_doc_string(bv_doc_get(first_test(report), "message"), NULL);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(report, "tests")), 1);
    if (functions[_i].why)
        ck_assert_msg(message && strstr(message, functions[_i].why), "%s",
                      message ? message : "it passed");
    else
        ck_assert_msg(!message, "%s", message);
    bv_doc_free(report);
}
END_TEST

START_TEST(places_are_true)
{
    static const char *const endings[] = { "", "\n", "\n\n", "; // more" };
    const bv_doc *test;
    bv_doc *report;

    write_plugin("a_test.rhai", "\n\nfn test_a() { assert(false) }");
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        write_plugin("main.rhai", bvt_format("fn f() {\n  throw 1\n}\n1 + 1%s", endings[i]));
        report = run_with(NULL);
        test = first_test(report);
        ck_assert_str_eq(bv_doc_string(bv_doc_get(test, "source"), ""), "a_test.rhai");
        ck_assert_int_eq(bv_doc_int64(bv_doc_get(test, "line"), 0), 3);
        ck_assert_int_eq(bv_doc_int64(bv_doc_get(test, "column"), 0), 15);
        bv_doc_free(report);
    }
    write_plugin("m.rhai", "\nfn f() { throw 1 }");
    write_plugin("main.rhai", "import \"m\" as m;");
    write_plugin("a_test.rhai", "fn test_a() { m::f() }");
    report = run_with(NULL);
    test = first_test(report);
    ck_assert_str_eq(bv_doc_string(bv_doc_get(test, "source"), ""), "m.rhai");
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(test, "line"), 0), 2);
    bv_doc_free(report);
}
END_TEST

START_TEST(tests_are_found_and_chosen)
{
    bv_plugin_test_opts opts = BV_PLUGIN_TEST_OPTS_INIT;
    bv_doc *report;

    write_plugin("main.rhai",
                 "fn test_m() {} fn test_two(a, b) {} private fn test_p() {} fn x() {}");
    write_plugin("b_test.rhai", "fn test_b1() { test_m() } fn test_b2() { throw 1 }");
    write_plugin("tests/c.rhai", "fn test_c() {}");
    write_plugin("other.rhai", "fn test_no() {}");
    report = run_with(NULL);
    ck_assert_str_eq(summary(report), "test_m+ test_b1+ test_b2- test_c+");
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(report, "passed"), 0), 3);
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(report, "failed"), 0), 1);
    bv_doc_free(report);
    opts.filter = "*b?";
    report = run_with(&opts);
    ck_assert_str_eq(summary(report), "test_b1+ test_b2-");
    bv_doc_free(report);
}
END_TEST

START_TEST(tests_know_nothing_of_each_other)
{
    bv_doc *report;

    write_plugin("main.rhai", "fn test_1() { save_data(\"x\"); mock(#{node: #{data: \"y\"}}) }\n"
                              "fn test_2() { assert_eq(load_data(), \"\"); "
                              "assert_eq(requests().len, 1) }");
    report = run_with(NULL);
    ck_assert_str_eq(summary(report), "test_1+ test_2+");
    bv_doc_free(report);
}
END_TEST

START_TEST(variants)
{
    bv_plugin_test_opts opts = BV_PLUGIN_TEST_OPTS_INIT;
    bv_doc *report;

    write_plugin("main.rhai", "fn name() { node_env().node_variant + node_params().net }\n"
                              "fn test_v() { assert_eq(name(), \"ad\") }");
    write_plugin("babel.yaml", definition);
    report = run_with(NULL);
    ck_assert_str_eq(summary(report), "test_v@a+");
    bv_doc_free(report);
    write_plugin("plugin_test.yaml", "{variants: all, expect: [{call: name, variants: [b], value: "
                                     "bd}, {call: name, name: both, value: ad}]}");
    report = run_with(NULL);
    ck_assert_str_eq(summary(report), "test_v@a+ both@a+ test_v@b- name()@b+ both@b-");
    bv_doc_free(report);
    write_plugin("plugin_test.yaml", "{variants: [b]}");
    report = run_with(NULL);
    ck_assert_str_eq(summary(report), "test_v@b-");
    bv_doc_free(report);
    opts.variant = "a";
    report = run_with(&opts);
    ck_assert_str_eq(summary(report), "test_v@a+");
    bv_doc_free(report);
}
END_TEST

/* ---- expectations ---- */

#define PLUGIN                                                                                     \
    "fn height() { run_jrpc(#{host: \"h\", method: \"m\"}).expect(200).result }\n"                 \
    "fn f(x) { #{a: x, b: [1]} }\nfn bad() { throw \"no\" }\n"

/* An expectation: NULL passes; otherwise a part of message and diff. */
static const struct {
    const char *expectation;
    const char *why;
} expectations[] = {
    { "{call: height, value: 5}", NULL },
    { "{call: height, value: 6}",
      "the value differs (- what is expected, + what came)|- 6\n+ 5\n" },
    { "{call: height, value: 5.0}", NULL },
    { "{call: height, jrpc: [{method: m, result: 9}], value: 9}", NULL },
    { "{call: f, arg: t, value: {b: [1], a: t}}", NULL },
    { "{call: f, arg: t, value: {b: [2], a: t}}", "  \"b\": [\n-     2\n+     1\n" },
    { "{call: bad, error: \"no (line 3\"}", NULL },
    { "{call: bad, error: \"yes\"}", "the error is another one than 'yes': Runtime error: no" },
    { "{call: f, error: \"no\"}", "there was no error with 'no'" },
    { "{call: bad, value: 1}", "Runtime error: no (line 3, position 12)" },
    { "{call: nowhere, value: 1}", "no matching method 'nowhere' found" },
    { "{call: height, requests: [{call: run_jrpc, request: {host: h, method: m, headers: []}}]}",
      NULL },
    { "{call: height, value: 5, requests: []}", "the list of requests differs" },
    { "{call: height}", "there is no golden result yet" },
};

START_TEST(inline_expectations)
{
    const char *wanted = expectations[_i].why;
    const bv_doc *test;
    bvi_auto_free char *said = NULL;
    bv_doc *report;

    write_plugin("main.rhai", PLUGIN);
    write_plugin("plugin_test.yaml", bvt_format("jrpc: [{method: m, result: 5}]\nexpect:\n- %s\n",
                                                expectations[_i].expectation));
    report = run_with(NULL);
    test = first_test(report);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(report, "tests")), 1);
    said = bvi_asprintf("%s|%s", bv_doc_string(bv_doc_get(test, "message"), ""),
                        bv_doc_string(bv_doc_get(test, "diff"), ""));
    ck_assert_int_eq(bv_doc_is_true(bv_doc_get(test, "ok")), !wanted);
    ck_assert_msg(strstr(said, wanted ? wanted : "|"), "%s", said);
    bv_doc_free(report);
}
END_TEST

START_TEST(golden_results_are_kept_and_compared)
{
    bv_plugin_test_opts opts = BV_PLUGIN_TEST_OPTS_INIT;
    bv_doc *report;

    write_plugin("main.rhai", PLUGIN);
    write_plugin("plugin_test.yaml", "jrpc: [{method: m, result: 5}]\n"
                                     "expect: [{call: height}, {call: bad}, {call: f, arg: x}]");
    opts.update = 1;
    report = run_with(&opts);
    ck_assert_str_eq(summary(report), "height()+ bad()+ f(x)+");
    ck_assert(bv_doc_is_true(bv_doc_get(bv_doc_get(report, "golden"), "updated")));
    bv_doc_free(report);
    report = run_with(NULL);
    ck_assert_str_eq(summary(report), "height()+ bad()+ f(x)+");
    bv_doc_free(report);
    /* what comes out changes; only one of them is kept anew */
    write_plugin("plugin_test.yaml", "jrpc: [{method: m, result: 6}]\n"
                                     "expect: [{call: height}, {call: bad}, {call: f, arg: x}]");
    write_plugin("main.rhai", "fn height() { 7 } fn bad() { 1 } fn f(x) { x }");
    opts.filter = "f*";
    report = run_with(&opts);
    ck_assert_str_eq(summary(report), "f(x)+");
    bv_doc_free(report);
    report = run_with(NULL);
    ck_assert_str_eq(summary(report), "height()- bad()- f(x)+");
    ck_assert_ptr_nonnull(
        strstr(bv_doc_string(bv_doc_get(first_test(report), "diff"), ""), "-   \"value\": 5\n"));
    bv_doc_free(report);
}
END_TEST

/* ---- lines ---- */

START_TEST(lines_are_counted)
{
    bv_doc *report;
    const bv_doc *coverage;
    const bv_doc *file;
    bvi_auto_free char *text = NULL;

    write_plugin("main.rhai", "import \"sub/m\" as m;\n"
                              "fn f(x) {\n"
                              "  if x {\n"
                              "    return m::one();\n"
                              "  }\n"
                              "  2\n"
                              "}\n"
                              "fn g() { 3 }\n");
    (void)mkdir(bvt_path("p/sub"), 0755);
    write_plugin("sub/m.rhai", "fn one() { 1 }\nfn two() { 2 }");
    write_plugin("idle.rhai", "fn x() {\n  1\n}");
    write_plugin("tests/t.rhai", "fn test_f() { f(true) }\nfn test_no() { if false { 1 } }");
    report = run_with(NULL);
    coverage = bv_doc_get(report, "coverage");
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(coverage, "lines"), 0), 8);
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(coverage, "covered"), 0), 4);
    ck_assert(bv_doc_double(bv_doc_get(coverage, "percent"), 0) == 50);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(coverage, "files")), 3);
    for (file = bv_doc_first(bv_doc_get(coverage, "files")); file; file = bv_doc_next(file)) {
        if (strcmp(bv_doc_string(bv_doc_get(file, "file"), ""), "main.rhai") == 0)
            break;
    }
    ck_assert_int_eq(bv_doc_print(file, 0, &text, NULL), 0);
    ck_assert_str_eq(text, "{\"file\":\"main.rhai\",\"lines\":5,\"covered\":3,\"percent\":60.0,"
                           "\"uncovered\":[[6,8]],\"executed\":[1,3,4],\"missed\":[6,8]}");
    bv_doc_free(report);
}
END_TEST

/* ---- what is refused ---- */

static const struct {
    const char *name;
    const char *text;
    int code;
    const char *says;
} broken[] = {
    { "main.rhai", "fn (", BV_E_FORMAT, "main.rhai:1:4: Rhai syntax error" },
    { "tests/t.rhai", "fn a() {}\nfn (", BV_E_FORMAT, "tests/t.rhai:2:4: Rhai syntax error" },
    { "tests/t.rhai", "fn f() {}", BV_E_FORMAT, "already exists" },
    { "m.rhai", "let x = ;", BV_E_FORMAT, "m.rhai: Unexpected ';' (line 1, position 9)" },
    { "plugin_test.yaml", "expect: [{call: f}, {call: f}]", BV_E_FORMAT,
      "expect[1]: there is another one named 'f()'; give it a 'name'" },
    { "plugin_test.golden.json", "[]", BV_E_FORMAT, "is not an object" },
};

START_TEST(broken_files)
{
    bv_doc *report = NULL;
    bv_error *err = NULL;

    write_plugin("main.rhai", "fn f() {}");
    write_plugin(broken[_i].name, broken[_i].text);
    ck_assert_int_eq(bv_plugin_test(bvt_path("p"), NULL, &report, &err), broken[_i].code);
    bvt_assert_error_says(err, broken[_i].code, broken[_i].says);
    bv_error_free(err);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bv_plugin_test_opts opts = BV_PLUGIN_TEST_OPTS_INIT;

    write_plugin("main.rhai",
                 "fn height() { run_sh(\"c\"); 1 }\nfn f() { run_graphql(#{url: \"u\", "
                 "query: \"q\"}); render_template(\"/t\", \"/d\", #{a: 1}); #{x: [1]} }");
    write_plugin("t_test.rhai", "fn test_a() { mock(#{sh: [#{stdout: \"x\"}]}); height(); "
                                "assert_eq(requests().len, 2) }");
    write_plugin("plugin_test.yaml",
                 "{sh: [{command: c}], files: {/t: \"{{ a }}\"}, graphql: [{}], "
                 "expect: [{call: height, value: 2}, {call: f}]}");
    for (opts.update = 1; opts.update >= 0; opts.update--) {
        bvt_for_each_failed_allocation(n) {
            bv_doc *report = NULL;
            int r = bv_plugin_test(bvt_path("p"), &opts, &report, NULL);

            if (r == 0)
                bv_doc_free(report);
        }
    }
}
END_TEST

START_TEST(many_mocks)
{
    bv_doc *report;

    write_plugin("main.rhai",
                 "fn test_m() { for i in 0..900 { mock(#{sh: [#{command: `a${i}`, stdout: "
                 "`${i}`}]}) } assert_eq(run_sh(\"a7\").stdout, \"7\"); "
                 "mock(#{sh: [#{command: \"a7\", stdout: \"new\"}]}); "
                 "assert_eq(run_sh(\"a7\").stdout, \"new\") }");
    report = run_with(NULL);
    ck_assert_str_eq(summary(report), "test_m+");
    bv_doc_free(report);
}
END_TEST

BVT_MAIN("plugin/testing", bvt_loop(test_functions, functions), bvt_test(places_are_true),
         bvt_test(tests_are_found_and_chosen), bvt_test(tests_know_nothing_of_each_other),
         bvt_test(variants), bvt_loop(inline_expectations, expectations),
         bvt_test(golden_results_are_kept_and_compared), bvt_test(lines_are_counted),
         bvt_loop(broken_files, broken), bvt_test(survives_every_failed_allocation),
         bvt_test(many_mocks))
