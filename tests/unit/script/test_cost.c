/*
 * What one operation can be made to do is bounded or counted: values that share their parts and are
 * far larger than their memory, keys that meet, work that grows with the square of its input.
 * Without that these scripts run for minutes between two looks at the clock.
 */
#include <string.h>

#include "bvt.h"
#include "harness.h"

#define SHARED                                                                                     \
    "let a = [1]; let b = [1]; for i in 0..40 { a = [a, a]; b = [b, b]; } let c = #{x: a};"
#define LONG  "let s = \"x\"; while s.len < 1000000 { s += s; }"
#define MANY  "let a = []; a.pad(300000, 7);"
#define ITEMS "let m = #{}; for i in 0..10000 { m[`k${i}`] = i; }"

static const struct {
    const char *source;
    const char *outcome; /* begins with it */
} cases[] = {
    /* bounded */
    { SHARED "a == b", "ERROR: Size of compared value too large" },
    { SHARED "a != b", "ERROR: Size of compared value too large" },
    { SHARED "c == #{x: b}", "ERROR: Size of compared value too large" },
    { SHARED "[0, a].contains(b)", "ERROR: Size of compared value too large" },
    { SHARED "b in [0, a]", "ERROR: Size of compared value too large" },
    { SHARED "[a].index_of(b)", "ERROR: Size of compared value too large" },
    { SHARED "let d = [a, b]; d.dedup(); 1", "ERROR: Size of compared value too large" },
    { LONG "let t = s; t += \"y\"; s += \"z\"; let l = []; l.pad(10000, s); l.contains(t)",
      "ERROR: Size of compared value too large" },
    { "\"x\".pad(1000000000000, \"y\")", "ERROR: Length of string too large" },
    /* quick */
    { MANY "a.dedup(); a", "array: [7]" },
    { "let a = [1, 1, 2, 2, 2, 1, 3, 3]; a.dedup(); a", "array: [1, 2, 1, 3]" },
    { "let a = [|x| x, |x| x]; a.dedup(); a", "ERROR: Function not found: ==" },
    /* counted */
    { ITEMS "for i in 0..3000 { m.fill_with(m); }", "ERROR: Too many operations" },
    { LONG "for i in 0..3000 { try { parse_float(s) } catch {} }", "ERROR: Too many operations" },
    { LONG "let t = s.sub_string(0, 500000); for i in 0..100 { try { eval(t); } catch {} }",
      "ERROR: Too many operations" },
    { LONG "let k = #{}; k[s + \"y\"] = 1; let t = s + \"z\"; for i in 0..3000 { k[t] }",
      "ERROR: Too many operations" },
};

START_TEST(is_bounded_or_counted)
{
    const char *outcome = cases[_i].outcome;
    const char *text;
    harness h;

    harness_init(&h);
    h.options.limits.operations = 200000;
    harness_open(&h);
    text = harness_run(&h, cases[_i].source, NULL);
    ck_assert_msg(strncmp(text, outcome, strlen(outcome)) == 0, "%s: %.300s", cases[_i].source,
                  text);
    harness_close(&h);
}
END_TEST

/* Constants that share their parts are not looked through to their end. */
START_TEST(constants_are_not_looked_through_for_ever)
{
    BVI_AUTO(bvi_buf_done) bvi_buf source = BVI_BUF_INIT(4096);
    harness h;
    int r = bvi_buf_append_str(&source, "const A0 = [1];");

    for (int i = 1; r == 0 && i < 50; i++)
        r = bvi_buf_printf(&source, "const A%d = [A%d, A%d];", i, i - 1, i - 1);
    if (r == 0)
        r = bvi_buf_append_str(&source, "fn f() { global::A49.len }");
    ck_assert_int_eq(r, 0);
    harness_init(&h);
    harness_open(&h);
    ck_assert_str_eq(harness_run(&h, bvi_buf_str(&source), "f"), "i64: 2");
    harness_close(&h);
}
END_TEST

/* A result that shares its parts may have a text without end; its size is refused instead. */
START_TEST(texts_of_results_end)
{
    static const char source[] = "let s = []; for i in 0..200 { s.push(i); s.push(s); } s";
    bvi_script_engine *engine = NULL;
    bvi_script_call *call = NULL;
    bvi_script *script = NULL;
    char *text = NULL;
    int r;

    ck_assert_int_eq(bvi_script_engine_new(NULL, &engine, NULL), 0);
    ck_assert_int_eq(bvi_script_compile(engine, source, sizeof(source) - 1, NULL, &script, NULL),
                     0);
    ck_assert_int_eq(bvi_script_call_new(engine, script, NULL, NULL, 0, &call, NULL), 0);
    do {
        r = bvi_script_run(call);
    } while (r == BVI_SCRIPT_YIELD);
    ck_assert_int_eq(r, BVI_SCRIPT_DONE);
    ck_assert_int_eq(bvi_value_to_text(bvi_script_result(call), true, &text, NULL), BV_E_LIMIT);
    bvi_script_call_free(call);
    bvi_script_free(script);
    bvi_script_engine_free(engine);
}
END_TEST

/* ---- sources ---- */

static const char *compile_many(const char *before, const char *item, int count, const char *after)
{
    BVI_AUTO(bvi_buf_done) bvi_buf source = BVI_BUF_INIT(1024u * 1024u);
    int r = bvi_buf_append_str(&source, before);

    for (int i = 0; r == 0 && i < count; i++)
        r = bvi_buf_printf(&source, "%s%d%s", item, i, after);
    ck_assert_int_eq(r, 0);
    return bvt_format("%s", run_script(bvi_buf_str(&source)));
}

START_TEST(large_sources_compile_in_time)
{
    ck_assert_str_eq(compile_many("", "fn f", 4096, "() {}"), "(): ()");
    ck_assert_ptr_nonnull(
        strstr(compile_many("", "fn f", 40000, "() {}"), "More than 4096 functions"));
    ck_assert_ptr_nonnull(strstr(compile_many("let m = #{", "k", 70000, ": 1,"),
                                 "More than 16384 properties in an object map literal"));
}
END_TEST

BVT_MAIN("script/cost", bvt_test(large_sources_compile_in_time),
         bvt_loop(is_bounded_or_counted, cases),
         bvt_test(constants_are_not_looked_through_for_ever), bvt_test(texts_of_results_end))
