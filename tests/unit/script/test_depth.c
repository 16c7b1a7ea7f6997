/*
 * Nothing a script nests, in its source or in its values, may use up the C stack: each recursion of
 * the compiler, of printing, comparing and JSON has a checked depth, and dropping does not recurse.
 */
#include <string.h>

#include "bvt.h"
#include "harness.h"
#include "script/engine.h"

#define MANY 20000

/* ---- sources ---- */

static const struct {
    const char *open;
    const char *middle;
    const char *close;
    const char *before;
} shapes[] = {
    { "[", "1", "]" },
    { "(", "1", ")" },
    { "#{a:", "1", "}" },
    { "{", "1", "}" },
    { "!", "true", "" },
    { "- ", "(1)", "" },
    { "1+(", "1", ")" },
    { "if true {", "1", "}" },
    { "if true {} else ", "if true {}", "" },
    { "while true {", "break;", "}" },
    { "loop {", "break;", "}" },
    { "do {", "break;", "} while true" },
    { "for x in [1] {", "1", "}" },
    { "try {", "f();", "} catch {}" },
    { "switch 1 { 1 => ", "1", "}" },
    { "|| ", "1", "" },
    { "|x| {", "1", "}" },
    { "`${", "1", "}`" },
    { "f(", "1", ")" },
    { "a[", "1", "]" },
    { "a.f(", "1", ")" },
    { "let x = {", "1", "}" },
    { "throw {", "1", "}" },
    { "return {", "1", "}" },
    { "eval(", "1", ")" },
    { "[", "1", "]", "switch 1 {" },
    { "#{a:", "1", "}", "switch 1 {" },
    { "1 ?? (", "1", ")" },
    { "1 .. (", "1", ")" },
    { "2 ** ", "1", "" },
};

static void repeat(bvi_buf *out, const char *text, unsigned count)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < count; i++)
        r = bvi_buf_append_str(out, text);
    ck_assert_int_eq(r, 0);
}

static const char *outcome_of_shape(int shape, unsigned count, uint32_t depth)
{
    BVI_AUTO(bvi_buf_done) bvi_buf source = BVI_BUF_INIT(64u << 20);
    const char *text;
    harness h;

    if (shapes[shape].before)
        repeat(&source, shapes[shape].before, 1);
    repeat(&source, shapes[shape].open, count);
    repeat(&source, shapes[shape].middle, 1);
    repeat(&source, shapes[shape].close, count);
    harness_init(&h);
    h.options.limits.expression_depth = depth;
    h.options.limits.source_bytes = 64u << 20;
    h.options.limits.memory_bytes = 1u << 30;
    h.options.limits.operations = 10000; /* nested loops may not end */
    harness_open(&h);
    text = bvt_format("%.200s", harness_run(&h, bvi_buf_str(&source), NULL));
    harness_close(&h);
    return text;
}

START_TEST(nested_sources_are_refused)
{
    const char *text = outcome_of_shape(_i, MANY, 0);

    ck_assert_msg(strstr(text, "PARSE ERROR: Expression exceeds maximum complexity") == text,
                  "'%s': %s", shapes[_i].open, text);
    text = outcome_of_shape(_i, MANY, UINT32_MAX); /* no host may ask for more than C can take */
    ck_assert_msg(strstr(text, "PARSE ERROR: Expression exceeds maximum complexity") == text,
                  "'%s': %s", shapes[_i].open, text);
}
END_TEST

START_TEST(ordinary_nesting_is_not)
{
    const char *text = outcome_of_shape(_i, 25, 0);

    ck_assert_msg(strstr(text, "complexity") == NULL, "'%s': %s", shapes[_i].open, text);
}
END_TEST

/* ---- chains are no nesting ---- */

static const char *const chains[] = { "+ 1", ".abs()", "|| true", "[0]", "?? 1", "; 1", "- 1" };

START_TEST(long_chains_compile)
{
    BVI_AUTO(bvi_buf_done) bvi_buf source = BVI_BUF_INIT(1u << 20);
    harness h;

    repeat(&source, strstr(chains[_i], "true") ? "true" : "1", 1);
    repeat(&source, chains[_i], 5000);
    harness_init(&h);
    harness_open(&h);
    ck_assert_ptr_eq(strstr(harness_run(&h, bvi_buf_str(&source), NULL), "PARSE"), NULL);
    harness_close(&h);
}
END_TEST

/* ---- values ---- */

#define DEEP(make) "let v = 1; for i in 0..30000 { v = " make "; } "

static const struct {
    const char *source;
    const char *says;
} values[] = {
    { DEEP("[v]") "v.len", "i64: 1" },
    { DEEP("#{a: v}") "v.len()", "i64: 1" },
    { DEEP("[#{a: v}, 1]") "let w = v; v = 0; w.len", "i64: 2" },
    { DEEP("{ let held = v; || held }") "type_of(v)", "string: \"Fn\"" },
    { DEEP("Fn(\"f\").curry(v)") "type_of(v)", "string: \"Fn\"" },
    { DEEP("[v]") "v[0][0][0].push(2); v[0][0][0].len", "i64: 2" },
    { DEEP("[v]") "print(v)", "ERROR: Length of string too large" },
    { DEEP("[v]") "`${v}`", "ERROR: Length of string too large" },
    { DEEP("[v]") "\"\" + v", "ERROR: Length of string too large" },
    { DEEP("#{a: v}") "v.to_json()", "ERROR: Length of string too large" },
    { DEEP("[v]") "throw v", "ERROR: Runtime error" },
    { DEEP("[v]") "let w = [v[0]]; v == w", "ERROR: " },
    { DEEP("[v]") "v in [v]", "ERROR: " },
    { DEEP("[v]") "let w = v; w[0] = 5; [v].dedup(); w", "array: [5]" },
    { "let m = #{}; let f = || m; m.f = f; m.self = m; m = 0; 5", "i64: 5" },
    { "let a = []; let f = || a; for i in 0..10 { a.push(f); a = [a]; } a = (); 6", "i64: 6" },
};

START_TEST(nested_values_neither_crash_nor_leak)
{
    const char *text;
    harness h;

    harness_init(&h);
    h.options.limits.memory_bytes = 512u << 20;
    harness_open(&h);
    text = harness_run(&h, values[_i].source, NULL);
    ck_assert_msg(strncmp(text, values[_i].says, strlen(values[_i].says)) == 0, "%s: %s",
                  values[_i].source, text);
    harness_close(&h);
}
END_TEST

START_TEST(values_within_the_depth_are_printed)
{
    const char *text = run_script("let v = 1; for i in 0..900 { v = [v]; } "
                                  "let w = 1; for i in 0..900 { w = [w]; } "
                                  "[v == w, `${v}`.len, #{a: v}.to_json().len]");

    ck_assert_str_eq(text, "array: [true, 1801, 1807]");
}
END_TEST

/* ---- JSON and eval() ---- */

static const struct {
    const char *source;
    const char *says;
} texts[] = {
    { "let s = \"\"; s.pad(200000, \"[\"); parse_json(`{\"a\":${s}`)", "ERROR: " },
    { "let s = \"\"; s.pad(200000, `{\"a\":`); parse_json(s)", "ERROR: " },
    { "let s = \"\"; s.pad(200000, \"[\"); eval(s)",
      "ERROR: Syntax error: Expression exceeds maximum complexity" },
    { "let s = \"eval(s)\"; eval(s)", "ERROR: Stack overflow" },
    { "fn f() { g!() } fn g() { f!() } f!()", "ERROR: Stack overflow" },
    { "fn f(x) { [x].map(|y| f(y)) } f(1)", "ERROR: Stack overflow" },
    { "let m = #{}; m.f = || this.f(); m.f()", "ERROR: Stack overflow" },
    { "let f = |f| f.call(f); f.call(f)", "ERROR: Stack overflow" },
};

START_TEST(texts_and_calls_are_bounded_too)
{
    const char *text = run_script(texts[_i].source);

    ck_assert_msg(strncmp(text, texts[_i].says, strlen(texts[_i].says)) == 0, "%s: %.300s",
                  texts[_i].source, text);
}
END_TEST

BVT_MAIN("script/depth", bvt_loop(nested_sources_are_refused, shapes),
         bvt_loop(ordinary_nesting_is_not, shapes), bvt_loop(long_chains_compile, chains),
         bvt_loop(nested_values_neither_crash_nor_leak, values),
         bvt_test(values_within_the_depth_are_printed),
         bvt_loop(texts_and_calls_are_bounded_too, texts))
