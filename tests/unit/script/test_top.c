/*
 * What a top level left serves the next calls, exactly where nobody can tell: how often host
 * functions are called, what is printed, what is thrown, what limits and interruptions do.
 */
#include <string.h>

#include "bvt.h"
#include "harness.h"

typedef struct host {
    harness h;
    bvi_script *script;
    int stable; /* calls of fixed() */
    int varies; /* calls of asked() */
} host;

static int fixed(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    ((host *)data)->stable++;
    *ret = bvi_value_int(7);
    return 0;
}

static int asked(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    *ret = bvi_value_int(++((host *)data)->varies);
    return 0;
}

static const bvi_script_function functions[] = {
    { .name = "fixed", .params = "", .fn = fixed, .flags = BVI_SCRIPT_STABLE },
    { .name = "asked", .params = "", .fn = asked },
    { .name = NULL },
};

static void open_host(host *t, const char *source)
{
    bv_error *err = NULL;

    t->script = NULL;
    t->stable = t->varies = 0;
    harness_open(&t->h);
    bvt_assert_ok(bvi_script_register(t->h.engine, functions, t, &err), err);
    bvt_assert_ok(bvi_script_compile(t->h.engine, source, strlen(source), NULL, &t->script, &err),
                  err);
}

static void close_host(host *t)
{
    bvi_script_free(t->script);
    harness_close(&t->h);
}

static const char *call_it(host *t, const char *fn)
{
    bvi_script_call *call = NULL;
    bv_error *err = NULL;
    const char *text;
    int r;

    bvi_buf_clear(&t->h.output);
    bvt_assert_ok(bvi_script_call_new(t->h.engine, t->script, fn, NULL, 0, &call, &err), err);
    do {
        r = bvi_script_run(call);
    } while (r == BVI_SCRIPT_YIELD);
    text = bvt_format("%s", harness_outcome(&t->h, call, r));
    bvi_script_call_free(call);
    return text;
}

/* ---- what is kept, and what not ---- */

static const struct {
    const char *source;
    const char *outcome; /* of each of three calls of f() */
    int stable;          /* calls of fixed() in all of them */
    int varies;
} cases[] = {
    { "const A = fixed(); fn f() { global::A }", "i64: 7", 1, 0 },
    { "const A = #{x: [fixed(), \"s\", 2.5, 'c', (), 0..3, blob(2, 1)]}; fn f() { global::A.x[0] }",
      "i64: 7", 1, 0 },
    { "const A = fixed(); fn f() { asked(); asked(); global::A }", "i64: 7", 1, 6 },
    { "const A = fixed(); const B = asked() * 0; fn f() { global::A + global::B }", "i64: 7", 3,
      3 },
    { "fixed(); print(\"here\"); fn f() { 1 }", "print: here | i64: 1", 3, 0 },
    { "fixed(); debug(1); fn f() { 1 }", "debug: 1 @1:10 None | i64: 1", 3, 0 },
    { "fixed(); const T = timestamp(); fn f() { global::T.elapsed >= 0.0 }", "bool: true", 3, 0 },
    { "const A = [1, 2].map(|x| x + fixed()); fn f() { global::A }", "array: [8, 9]", 2, 0 },
    { "const F = |x| x + 1; fixed(); fn f() { global::F.call(1) }", "i64: 2", 1, 0 },
    { "let n = 0; const F = || { n += 1; n }; fixed(); fn f() { global::F.call(); "
      "global::F.call() }",
      "i64: 2", 3, 0 },
    { "const F = [Fn(\"g\").curry(#{n: 1})]; fixed(); fn g(m) { m.n += 1; m.n } fn f() { "
      "global::F[0].call() }",
      "i64: 2", 1, 0 },
    { "const I = range(0, 3, 1); fixed(); fn f() { let n = 0; for i in global::I { n += i; } n }",
      "i64: 3", 3, 0 },
    { "const A = [1]; fixed(); fn f() { let a = global::A; a.push(2); a.len }", "i64: 2", 1, 0 },
    { "fixed(); throw \"no\"; fn f() { 1 }", "ERROR: Runtime error: no (line 1, position 10)", 3,
      0 },
    { "fixed(); exit(5); fn f() { 1 }", "i64: 5", 3, 0 },
    { "try { throw 1 } catch { fixed(); } fn f() { 1 }", "i64: 1", 1, 0 },
    { "let x = 1; eval(\"x += fixed();\"); const A = x; fn f() { global::A }", "i64: 8", 1, 0 },
    { "fixed(); fn g() { 1 }", "ERROR: Function not found: f", 1, 0 },
    { "fixed(); fn f() { global::NONE }",
      "ERROR: Variable not found: global::NONE (line 1, position 19)", 1, 0 },
};

START_TEST(runs_again_only_where_it_can_be_noticed)
{
    host t;

    harness_init(&t.h);
    open_host(&t, cases[_i].source);
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(call_it(&t, "f"), cases[_i].outcome);
    ck_assert_int_eq(t.stable, cases[_i].stable);
    ck_assert_int_eq(t.varies, cases[_i].varies);
    close_host(&t);
}
END_TEST

START_TEST(runs_again_when_told)
{
    host t;

    harness_init(&t.h);
    open_host(&t, "const A = fixed(); fn f() { global::A } fn g() { 2 }");
    for (int i = 1; i < 4; i++) {
        ck_assert_str_eq(call_it(&t, "f"), "i64: 7");
        ck_assert_str_eq(call_it(&t, "g"), "i64: 2");
        ck_assert_int_eq(t.stable, i);
        bvi_script_forget_top_level(t.h.engine);
    }
    ck_assert_str_eq(call_it(&t, NULL), "(): ()"); /* the top level alone always runs */
    ck_assert_str_eq(call_it(&t, NULL), "(): ()");
    ck_assert_int_eq(t.stable, 5);
    close_host(&t);
}
END_TEST

/* ---- limits ---- */

/* Whatever the limit, the second call meets it where the first one did. */
START_TEST(operations_count_all_the_same)
{
    int kept = 0;

    for (uint32_t limit = 2; limit < 80; limit++) {
        host t;
        const char *first;

        harness_init(&t.h);
        t.h.options.limits.operations = limit;
        open_host(&t, "let n = 0; while n < 20 { n += 1; } const N = n; fixed();\n"
                      "fn f() { let s = \"\"; for i in 0..global::N { s += `${i}`; } s.len }");
        first = call_it(&t, "f");
        ck_assert_str_eq(call_it(&t, "f"), first);
        ck_assert_str_eq(call_it(&t, "f"), first);
        kept += t.stable == 1;
        close_host(&t);
    }
    ck_assert_int_gt(kept, 30);
}
END_TEST

/* ---- calls that end early ---- */

static bvi_script_call *begin(host *t)
{
    bvi_script_call *call = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_script_call_new(t->h.engine, t->script, "f", NULL, 0, &call, &err), err);
    return call;
}

START_TEST(an_interrupted_top_level_leaves_nothing)
{
    bvi_script_call *call;
    host t;

    harness_init(&t.h);
    t.h.options.limits.slice_operations = 10;
    open_host(
        &t, "const A = fixed(); for i in 0..100 {} const B = 2; fn f() { global::A + global::B }");
    call = begin(&t);
    ck_assert_int_eq(bvi_script_run(call), BVI_SCRIPT_YIELD);
    bvi_script_cancel(call);
    ck_assert_int_eq(bvi_script_run(call), BV_E_CANCELLED);
    bvi_script_call_free(call);
    call = begin(&t);
    ck_assert_int_eq(bvi_script_run(call), BVI_SCRIPT_YIELD);
    bvi_script_call_free(call);
    ck_assert_int_eq(t.stable, 2);
    ck_assert_str_eq(call_it(&t, "f"), "i64: 9");
    ck_assert_str_eq(call_it(&t, "f"), "i64: 9");
    ck_assert_int_eq(t.stable, 3);
    close_host(&t);
}
END_TEST

START_TEST(a_change_during_the_top_level_counts)
{
    bvi_script_call *call;
    host t;

    harness_init(&t.h);
    t.h.options.limits.slice_operations = 10;
    open_host(&t, "const A = fixed(); for i in 0..20 {} fn f() { global::A }");
    call = begin(&t);
    ck_assert_int_eq(bvi_script_run(call), BVI_SCRIPT_YIELD);
    bvi_script_forget_top_level(t.h.engine);
    while (bvi_script_run(call) == BVI_SCRIPT_YIELD)
        ;
    bvi_script_call_free(call);
    ck_assert_str_eq(call_it(&t, "f"), "i64: 7");
    ck_assert_int_eq(t.stable, 2);
    close_host(&t);
}
END_TEST

/* ---- names from the host ---- */

START_TEST(names_from_the_host_are_for_one_call)
{
    bvi_script_call *call;
    host t;

    harness_init(&t.h);
    open_host(&t, "const A = fixed(); fn f() { global::A + global::GIVEN }");
    ck_assert_ptr_nonnull(strstr(call_it(&t, "f"), "Variable not found: global::GIVEN"));
    call = begin(&t);
    ck_assert_int_eq(bvi_script_call_set_constant(call, "GIVEN", bvi_value_int(1)), 0);
    ck_assert_int_eq(bvi_script_run(call), BVI_SCRIPT_DONE);
    ck_assert_int_eq(bvi_script_result(call)->as.i, 8);
    bvi_script_call_free(call);
    ck_assert_ptr_nonnull(strstr(call_it(&t, "f"), "Variable not found: global::GIVEN"));
    ck_assert_int_eq(t.stable, 2);
    close_host(&t);
}
END_TEST

/* It would start the top level again below the function that runs. */
START_TEST(names_come_before_the_first_run)
{
    bvi_script_call *call;
    host t;

    harness_init(&t.h);
    t.h.options.limits.slice_operations = 10;
    open_host(&t, "const A = 1; fn f() { let n = [0]; for i in 0..100 { n[0] += 1; } n }");
    call = begin(&t);
    ck_assert_int_eq(bvi_script_run(call), BVI_SCRIPT_YIELD);
    ck_assert_int_eq(bvi_script_call_set_constant(call, "B", BVI_VALUE_UNIT), BV_E_STATE);
    ck_assert_int_eq(bvi_script_call_set_variable(call, "C", BVI_VALUE_UNIT), BV_E_STATE);
    while (bvi_script_run(call) == BVI_SCRIPT_YIELD)
        ;
    ck_assert_str_eq(harness_outcome(&t.h, call, BVI_SCRIPT_DONE), "array: [100]");
    ck_assert_int_eq(bvi_script_call_set_constant(call, "B", BVI_VALUE_UNIT), BV_E_STATE);
    bvi_script_call_free(call);
    close_host(&t);
}
END_TEST

/* ---- memory ---- */

static int three_calls(void)
{
    static const char source[] = "const A = [1, #{b: \"text\"}]; const F = |x| x + global::A[0]; "
                                 "fn f() { global::F.call(2) }";
    BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = NULL;
    BVI_AUTO(bvi_script_freep) bvi_script *script = NULL;
    int r = bvi_script_engine_new(NULL, &engine, NULL);

    if (r == 0)
        r = bvi_script_compile(engine, source, strlen(source), NULL, &script, NULL);
    for (int i = 0; r == 0 && i < 3; i++) {
        BVI_AUTO(bvi_script_call_freep) bvi_script_call *call = NULL;

        r = bvi_script_call_new(engine, script, "f", NULL, 0, &call, NULL);
        if (r == 0 && i == 1)
            r = bvi_script_call_set_constant(call, "GIVEN", BVI_VALUE_UNIT);
        if (r == 0)
            r = bvi_script_run(call);
    }
    return r;
}

START_TEST(survives_every_failed_allocation)
{
    ck_assert_int_eq(three_calls(), 0);
    bvt_for_each_failed_allocation(n) {
        int r = three_calls();

        ck_assert(r == 0 || r == BV_E_NOMEM);
    }
}
END_TEST

/* A function among the constants refers to the module that holds it. */
START_TEST(nothing_stays_of_scripts_that_are_gone)
{
    uint64_t before = 0;
    host t;

    harness_init(&t.h);
    harness_open(&t.h);
    for (int i = 0; i < 3; i++) {
        const char *source = "const F = |x| x; const G = [F]; fn f() { global::F.call(1) }";
        bv_error *err = NULL;

        bvt_assert_ok(bvi_script_compile(t.h.engine, source, strlen(source), NULL, &t.script, &err),
                      err);
        ck_assert_str_eq(call_it(&t, "f"), "i64: 1");
        ck_assert_str_eq(call_it(&t, "f"), "i64: 1");
        bvi_script_free(t.script);
        if (i == 1)
            before = bvi_script_memory_used(t.h.engine);
    }
    ck_assert_uint_le(bvi_script_memory_used(t.h.engine), before);
    harness_close(&t.h);
}
END_TEST

BVT_MAIN("script/top", bvt_loop(runs_again_only_where_it_can_be_noticed, cases),
         bvt_test(runs_again_when_told), bvt_test(operations_count_all_the_same),
         bvt_test(an_interrupted_top_level_leaves_nothing),
         bvt_test(a_change_during_the_top_level_counts),
         bvt_test(names_from_the_host_are_for_one_call), bvt_test(names_come_before_the_first_run),
         bvt_test(survives_every_failed_allocation),
         bvt_test(nothing_stays_of_scripts_that_are_gone))
