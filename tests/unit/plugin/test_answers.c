/* Answers files: what is accepted, and which key a refusal names. */
#include <stdio.h>

#include "base/yaml.h"
#include "bvt.h"
#include "plugin/answers.h"

static const char *const good[] = {
    "{}",
    "variants: all",
    "variants: [a, b]",
    "node: {params: {net: test}, env: {node_ip: 1.1.1.1, dev_mode: false}, time: 1700000000}",
    "node: {time: \"2026-01-01T00:00:00Z\", data: text, protocol_data: true, archive: false}",
    "{secrets: {a: b, \"*\": c}, files: {/etc/x: text}}",
    "jobs: {a: running, b: {finished: {exit_code: 1, message: m}}, c: {status: stopped}}",
    "jrpc: [{method: eth_*, host: http://*, params: [1, {a: b}], result: {x: 1}, times: 2}]",
    "jrpc: [{error: {code: -1}}, {fail: refused}, {status: 500, body: text, delay_ms: 5}]",
    "jrpc: [{method: m, answers: [{result: 1}, {result: 2}]}]",
    "rest: [{url: http://*, body: {a: 1}}, {status: 404}]",
    "graphql: [{url: x, query: y, operation_name: z, variables: {a: 1}, body: {}}]",
    "sh: [{command: ls*, exit_code: 1, stdout: a, stderr: b}, {contains: x}, {fail: no}]",
    "unmatched: default",
    "expect: [{call: height, value: 1}, {call: init, arg: x, variants: [a], name: n, error: e, "
    "requests: [{call: x}], jrpc: [{result: 1}], node: {data: y}}]",
};

static const struct {
    const char *yaml;
    const char *says;
} bad[] = {
    { "[]", "the document: an object is wanted, not a array" },
    { "jrcp: []", "jrcp: there is no such key; did you mean 'jrpc'?" },
    { "zzzzzzzz: 1", "zzzzzzzz: there is no such key; there are variants expect node" },
    { "jrpc: {}", "jrpc: a list is wanted, not a object" },
    { "jrpc: [1]", "jrpc[0]: an object is wanted, not a number" },
    { "jrpc: [{}, {methode: x}]", "jrpc[1].methode: there is no such key; did you mean 'method'?" },
    { "jrpc: [{answers: [{}, {staus: 1}]}]",
      "jrpc[0].answers[1].staus: there is no such key; did you mean 'status'?" },
    { "rest: [{result: 1}]", "rest[0].result: there is no such key" },
    { "rest: [{url: 5}]", "rest[0].url: a text is wanted, not a number" },
    { "sh: [{exit_code: \"1\"}]", "sh[0].exit_code: a number is wanted, not a string" },
    { "secrets: {a: {b: c}}", "secrets.a: a text is wanted, not a object" },
    { "node: {parms: {}}", "node.parms: there is no such key; did you mean 'params'?" },
    { "node: {params: {a: 1}}", "node.params.a: a text is wanted, not a number" },
    { "node: {time: true}", "node.time: a number or a text is wanted, not a boolean" },
    { "jobs: {a: 5}", "jobs.a: a text or an object is wanted, not a number" },
    { "unmatched: maybe", "unmatched: 'error' or 'default' is wanted" },
    { "expect: [{value: 1}]", "expect[0].call: it is missing" },
    { "expect: [{call: a, requests: [x]}]", "expect[0].requests[0]: an object is wanted" },
    { "expect: [{call: a, jrpc: [{x: 1}]}]", "expect[0].jrpc[0].x: there is no such key" },
    { "variants: [1]", "variants[0]: a text is wanted" },
};

static int check(const char *yaml, bvi_answers_part part, bv_error **err)
{
    bvi_auto_json bvi_json *document = NULL;
    int r = bvi_yaml_parse(yaml, strlen(yaml), &document, err);

    return r == 0 ? bvi_answers_check(document, part, err) : r;
}

START_TEST(accepts)
{
    bv_error *err = NULL;

    bvt_assert_ok(check(good[_i], BVI_ANSWERS_FILE, &err), err);
}
END_TEST

START_TEST(refuses_with_the_path)
{
    bv_error *err = NULL;

    ck_assert_int_eq(check(bad[_i].yaml, BVI_ANSWERS_FILE, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, bad[_i].says);
    bv_error_free(err);
}
END_TEST

START_TEST(behaviour_has_no_expectations)
{
    bv_error *err = NULL;

    bvt_assert_ok(check("{jrpc: [{result: 1}]}", BVI_ANSWERS_BEHAVIOUR, &err), err);
    ck_assert_int_eq(check("{expect: []}", BVI_ANSWERS_BEHAVIOUR, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "expect: there is no such key");
    bv_error_free(err);
}
END_TEST

START_TEST(files_are_found_and_read)
{
    bvi_auto_json bvi_json *document = NULL;
    bvi_auto_free char *path = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_answers_find(bvt_dir(), &path, &err), err);
    ck_assert_ptr_null(path);
    (void)bvt_write_file("plugin_test.yml", "sh: [{contains: x}]");
    bvt_assert_ok(bvi_answers_find(bvt_dir(), &path, &err), err);
    ck_assert_str_eq(path, bvt_path("plugin_test.yml"));
    bvt_assert_ok(bvi_answers_load(path, &document, &err), err);
    ck_assert_uint_eq(bvi_json_count(bvi_json_find(document, "sh")), 1);
    bvi_free(path);
    path = NULL;
    (void)bvt_write_file("plugin_test.json", "{");
    ck_assert_int_eq(bvi_answers_find(bvt_dir(), &path, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "there are both");
    bv_error_free(err);
    err = NULL;
    bvi_json_free(document);
    document = NULL;
    ck_assert_int_eq(bvi_answers_load(bvt_path("plugin_test.json"), &document, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "plugin_test.json'");
    bv_error_free(err);
}
END_TEST

BVT_MAIN("plugin/answers", bvt_loop(accepts, good), bvt_loop(refuses_with_the_path, bad),
         bvt_test(behaviour_has_no_expectations), bvt_test(files_are_found_and_read))
