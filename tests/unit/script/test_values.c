/*
 * Values from the embedder's side: making, looking, copying, text and JSON; and engines that share
 * nothing.
 */
#include <math.h>
#include <string.h>

#include "base/vec.h"
#include "bvt.h"
#include "harness.h"
#include "script/value.h"

static bvi_script_engine *engine;

static void open_engine(const bvi_script_options *options)
{
    ck_assert_int_eq(bvi_script_engine_new(options, &engine, NULL), 0);
}

static void close_engine(void)
{
    bvi_script_engine_free(engine);
    engine = NULL;
}

START_TEST(containers)
{
    bvi_value map = BVI_VALUE_UNIT;
    bvi_value list = BVI_VALUE_UNIT;
    bvi_value copy;
    const char *key;

    open_engine(NULL);
    ck_assert_int_eq(bvi_value_map(engine, &map), 0);
    ck_assert_int_eq(bvi_value_array(engine, &list), 0);
    ck_assert_int_eq(bvi_value_push(&list, bvi_value_int(1)), 0);
    copy = bvi_value_copy(&list);
    ck_assert_int_eq(bvi_value_push(&list, bvi_value_bool(true)), 0);
    ck_assert_uint_eq(bvi_value_count(&copy), 1);
    ck_assert_uint_eq(bvi_value_count(&list), 2);
    ck_assert_int_eq(bvi_value_put(&map, "z", copy), 0);
    ck_assert_int_eq(bvi_value_put(&map, "a", list), 0);
    ck_assert_int_eq(bvi_value_put_string(&map, "s", "text"), 0);
    ck_assert_int_eq(bvi_value_put_string(&map, "none", NULL), 0);
    ck_assert_ptr_nonnull(bvi_value_entry(&map, 0, &key, NULL));
    ck_assert_str_eq(key, "a");
    ck_assert_ptr_null(bvi_value_entry(&map, 4, &key, NULL));
    ck_assert_str_eq(bvi_value_text(bvi_value_get(&map, "s"), NULL), "text");
    ck_assert_int_eq(bvi_value_get(&map, "none")->type, BVI_T_UNIT);
    ck_assert_ptr_null(bvi_value_get(&map, "nope"));
    ck_assert_ptr_null(bvi_value_at(bvi_value_get(&map, "a"), 2));
    ck_assert_ptr_null(bvi_value_text(&map, NULL));
    bvi_value_drop(&map);
    ck_assert_int_eq(map.type, BVI_T_UNIT);
    close_engine();
}
END_TEST

START_TEST(sizes_are_limited)
{
    bvi_script_options options = { .limits = {
                                       .string_bytes = 10, .array_items = 2, .map_entries = 2 } };
    bvi_value v = BVI_VALUE_UNIT;

    open_engine(&options);
    ck_assert_int_eq(bvi_value_string(engine, "12345678901", 11, &v), BV_E_LIMIT);
    ck_assert_int_eq(bvi_value_blob(engine, "12345678901", 11, &v), BV_E_LIMIT);
    ck_assert_int_eq(bvi_value_array(engine, &v), 0);
    ck_assert_int_eq(bvi_value_push(&v, bvi_value_int(1)), 0);
    ck_assert_int_eq(bvi_value_push(&v, bvi_value_int(2)), 0);
    ck_assert_int_eq(bvi_value_push(&v, bvi_value_int(3)), BV_E_LIMIT);
    ck_assert_uint_eq(bvi_value_count(&v), 2);
    bvi_value_drop(&v);
    close_engine();
}
END_TEST

/* ---- JSON ---- */

static const struct {
    const char *json;
    const char *debug; /* of the value; NULL: as the JSON */
} documents[] = {
    { "{\"a\":1,\"b\":[true,null,\"x\"],\"c\":1.5}",
      "#{\"a\": 1, \"b\": [true, (), \"x\"], \"c\": 1.5}" },
    { "9223372036854775807", NULL },
    { "-9223372036854775808", NULL },
    { "18446744073709551615", "1.8446744073709552e19" },
    { "\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
    { "[]", NULL },
};

START_TEST(json_to_value)
{
    bvi_json *json = NULL;
    bvi_value v = BVI_VALUE_UNIT;
    char *text = NULL;

    open_engine(NULL);
    ck_assert_int_eq(bvi_json_parse(documents[_i].json, strlen(documents[_i].json), &json, NULL),
                     0);
    ck_assert_int_eq(bvi_value_from_json(engine, json, &v), 0);
    ck_assert_int_eq(bvi_value_to_text(&v, true, &text, NULL), 0);
    ck_assert_str_eq(text, documents[_i].debug ? documents[_i].debug : documents[_i].json);
    bv_free(text);
    bvi_json_free(json);
    bvi_value_drop(&v);
    close_engine();
}
END_TEST

static const struct {
    const char *source;
    const char *json; /* or the failure */
} values[] = {
    { "#{b: [1, 2.5, ()], a: 'c', t: \"\\n\\\"\"}",
      "{\"a\":\"c\",\"b\":[1,2.5,null],\"t\":\"\\n\\\"\"}" },
    { "\"ab\".to_blob()", "[97,98]" },
    { "[0.0 / 0.0, 1.0 / 0.0, 1e300]", "[null,null,1e300]" },
    { "#{a: [|x| x]}", "a value of type 'Fn' has no JSON form" },
    { "[0..3]", "a value of type 'range' has no JSON form" },
    { "let a = []; for i in 0..1100 { a = [a]; } a", "nested deeper than 1000 levels" },
};

START_TEST(value_to_json)
{
    bvi_script *script = NULL;
    bvi_script_call *call = NULL;
    bvi_json *json = NULL;
    bv_error *err = NULL;
    char *text = NULL;

    open_engine(NULL);
    ck_assert_int_eq(bvi_script_compile(engine, values[_i].source, strlen(values[_i].source), NULL,
                                        &script, NULL),
                     0);
    ck_assert_int_eq(bvi_script_call_new(engine, script, NULL, NULL, 0, &call, NULL), 0);
    ck_assert_int_eq(bvi_script_run(call), BVI_SCRIPT_DONE);
    if (bvi_value_to_json(bvi_script_result(call), &json, &err) < 0) {
        bvt_assert_error_says(err, bv_error_code(err), values[_i].json);
        bv_error_free(err);
    } else {
        ck_assert_int_eq(bvi_json_print(json, false, &text, NULL), 0);
        ck_assert_str_eq(text, values[_i].json);
        bv_free(text);
        bvi_json_free(json);
    }
    bvi_script_call_free(call);
    bvi_script_free(script);
    close_engine();
}
END_TEST

/* ---- engines ---- */

START_TEST(engines_are_independent)
{
    harness a, b;

    harness_init(&a);
    harness_init(&b);
    a.options.limits.string_bytes = 10;
    harness_open(&a);
    harness_open(&b);
    ck_assert_ptr_nonnull(strstr(harness_run(&a, "\"123456\" + \"123456\"", NULL), "too large"));
    ck_assert_str_eq(harness_run(&b, "\"123456\" + \"123456\"", NULL), "string: \"123456123456\"");
    harness_close(&a);
    ck_assert_str_eq(harness_run(&b, "1 + 1", NULL), "i64: 2");
    harness_close(&b);
}
END_TEST

START_TEST(modules_run_once_for_each_engine)
{
    harness h;

    harness_init(&h);
    h.module_dir = bvt_dir();
    bvt_write_file("m.rhai", "print(\"loaded\"); fn f() { 1 }");
    harness_open(&h);
    ck_assert_str_eq(harness_run(&h, "import \"m\" as m; m::f()", NULL), "print: loaded | i64: 1");
    bvt_write_file("m.rhai", "print(\"again\"); fn f() { 2 }");
    ck_assert_str_eq(harness_run(&h, "import \"m.rhai\" as m; m::f()", NULL), "i64: 1");
    bvi_script_forget_modules(h.engine);
    ck_assert_str_eq(harness_run(&h, "import \"m\" as m; m::f()", NULL), "print: again | i64: 2");
    harness_close(&h);
}
END_TEST

START_TEST(modules_that_import_each_other_are_refused)
{
    harness h;

    harness_init(&h);
    h.module_dir = bvt_dir();
    bvt_write_file("a.rhai", "import \"b\" as b; fn f() { b::f() }");
    bvt_write_file("b.rhai", "import \"a\" as a; fn f() { a::f() }");
    harness_open(&h);
    ck_assert_ptr_nonnull(
        strstr(harness_run(&h, "import \"a\" as a;", NULL), "module 'a' imports itself"));
    harness_close(&h);
}
END_TEST

static int64_t now(void *data)
{
    harness *h = data;

    (void)h;
    return 5000000000;
}

START_TEST(the_clock_can_be_given)
{
    harness h;

    harness_init(&h);
    h.options.now_ns = now;
    harness_open(&h);
    ck_assert_str_eq(harness_run(&h, "timestamp().elapsed", NULL), "f64: 0.0");
    harness_close(&h);
}
END_TEST

START_TEST(source_limits)
{
    bvi_script_options options = { .limits = { .source_bytes = 20, .expression_depth = 10 } };
    bvi_script *script = NULL;
    bv_error *err = NULL;

    open_engine(&options);
    ck_assert_int_eq(bvi_script_compile(engine, "1 + 1 + 1 + 1 + 1 + 1", 21, NULL, &script, &err),
                     BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "too large");
    bv_error_free(err);
    ck_assert_int_eq(bvi_script_compile(engine, "((((((((((1))))))))))", 20, NULL, &script, &err),
                     BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "Expression exceeds maximum complexity");
    bv_error_free(err);
    ck_assert_int_eq(bvi_script_compile(engine, "\"\xff\"", 3, NULL, &script, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "not valid UTF-8");
    bv_error_free(err);
    close_engine();
}
END_TEST

BVT_MAIN("script/values", bvt_test(containers), bvt_test(sizes_are_limited),
         bvt_loop(json_to_value, documents), bvt_loop(value_to_json, values),
         bvt_test(engines_are_independent), bvt_test(modules_run_once_for_each_engine),
         bvt_test(modules_that_import_each_other_are_refused), bvt_test(the_clock_can_be_given),
         bvt_test(source_limits))
