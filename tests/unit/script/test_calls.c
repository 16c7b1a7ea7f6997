/*
 * Calls from the embedder's side: functions and arguments, suspension, slices, cancelling, limits,
 * host objects.
 */
#include <string.h>

#include "bvt.h"
#include "harness.h"

/* ---- a small embedder ---- */

typedef struct host {
    bvi_script_engine *engine;
    bvi_script *script;
    bvi_script_call *call;
    int asked; /* how often ask() was called */
} host;

static int ask(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    host *h = data;

    h->asked++;
    return BVI_SCRIPT_PENDING;
}

static int refuse(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return bvi_script_throw(call, "refused: %s", bvi_value_text(&args[0], NULL));
}

static int twice_result(bvi_script_call *call, bvi_value *args, size_t argc,
                        const bvi_value *result, bvi_value *ret, void *data)
{
    if (result->type != BVI_T_INT)
        return bvi_script_throw_output(call, result, "i64");
    *ret = bvi_value_int(result->as.i * 2);
    return 0;
}

/* twice(f, x): what f(x) gives, doubled. */
static int twice(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return bvi_script_invoke(call, &args[0], &args[1], 1, twice_result);
}

static const bvi_script_function functions[] = {
    { "ask", "", ask, 0 },
    { "ask", "s", ask, 0 },
    { "refuse", "s", refuse, 0 },
    { "twice", "pv", twice, 0 },
    { "asked", "i", ask, BVI_SCRIPT_PROPERTY },
    { NULL, NULL, NULL, 0 },
};

static void open_host_with(host *h, const bvi_script_options *options, const char *source)
{
    bv_error *err = NULL;

    *h = (host){ NULL };
    bvt_assert_ok(bvi_script_engine_new(options, &h->engine, &err), err);
    bvt_assert_ok(bvi_script_register(h->engine, functions, h, &err), err);
    bvt_assert_ok(
        bvi_script_compile(h->engine, source, strlen(source), "main.rhai", &h->script, &err), err);
}

static void open_host(host *h, const char *source)
{
    open_host_with(h, NULL, source);
}

static void start(host *h, const char *fn, const bvi_value *args, size_t argc)
{
    bv_error *err = NULL;

    bvt_assert_ok(bvi_script_call_new(h->engine, h->script, fn, args, argc, &h->call, &err), err);
}

static int run(host *h)
{
    int r;

    do {
        r = bvi_script_run(h->call);
    } while (r == BVI_SCRIPT_YIELD);
    return r;
}

static void end_call(host *h)
{
    bvi_script_call_free(h->call);
    h->call = NULL;
}

static void close_host(host *h)
{
    bvi_script_call_free(h->call);
    bvi_script_free(h->script);
    bvi_script_engine_free(h->engine);
}

static void assert_int(const host *h, int64_t wanted)
{
    const bvi_value *v = bvi_script_result(h->call);

    ck_assert_str_eq(bvi_value_type_name(v), "i64");
    ck_assert_int_eq(v->as.i, wanted);
}

static void assert_fails(host *h, int code, const char *text)
{
    bv_error *err = NULL;

    ck_assert_int_eq(run(h), code);
    ck_assert_int_eq(bvi_script_failure(h->call, &err), code);
    bvt_assert_error_says(err, code, text);
    bv_error_free(err);
}

/* ---- functions ---- */

START_TEST(top_level_runs_before_the_function)
{
    bvi_value arg = bvi_value_int(5);
    host h;

    open_host(&h, "const A = 2; fn f(x) { x * global::A } private fn p() { 9 }");
    start(&h, "f", &arg, 1);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_DONE);
    assert_int(&h, 10);
    end_call(&h);
    start(&h, "p", NULL, 0);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_DONE);
    assert_int(&h, 9);
    close_host(&h);
}
END_TEST

START_TEST(state_does_not_survive_calls)
{
    host h;

    open_host(&h, "let n = 0; n += 1; const N = n; fn f() { global::N }");
    for (int i = 0; i < 3; i++) {
        start(&h, "f", NULL, 0);
        ck_assert_int_eq(run(&h), BVI_SCRIPT_DONE);
        assert_int(&h, 1);
        end_call(&h);
    }
    close_host(&h);
}
END_TEST

START_TEST(unknown_function)
{
    host h;

    open_host(&h, "fn f(x) { x }");
    start(&h, "f", NULL, 0);
    assert_fails(&h, BV_E_NOT_FOUND, "Function not found: f");
    close_host(&h);
}
END_TEST

START_TEST(lists_functions)
{
    bvi_script_fn_info info;
    host h;

    open_host(&h, "fn a() { || 1 } private fn b(x, y) {} fn a(x) {}");
    ck_assert(bvi_script_function_at(h.script, 0, &info));
    ck_assert_str_eq(info.name, "a");
    ck_assert_uint_eq(info.arity, 0);
    ck_assert(bvi_script_function_at(h.script, 1, &info));
    ck_assert_str_eq(info.name, "b");
    ck_assert(info.is_private);
    ck_assert(!bvi_script_function_at(h.script, 3, &info));
    ck_assert(bvi_script_has_function(h.script, "a", 1));
    ck_assert(bvi_script_has_function(h.script, "a", -1));
    ck_assert(!bvi_script_has_function(h.script, "b", 1));
    close_host(&h);
}
END_TEST

START_TEST(constants_from_outside)
{
    host h;

    open_host(&h, "const TWICE = LIMIT * 2; fn f() { global::TWICE + global::LIMIT }");
    start(&h, "f", NULL, 0);
    ck_assert_int_eq(bvi_script_call_set_constant(h.call, "LIMIT", bvi_value_int(7)), 0);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_DONE);
    assert_int(&h, 21);
    close_host(&h);
}
END_TEST

START_TEST(error_text_names_source_and_calls)
{
    host h;

    open_host(&h, "fn f() { g() }\nfn g() { refuse(\"no\") }");
    start(&h, "f", NULL, 0);
    assert_fails(&h, BV_E_REMOTE,
                 "Runtime error: refused: no (line 2, position 10)\n"
                 "in call to function 'g' @ 'main.rhai' (line 1, position 10)");
    ck_assert_str_eq(bvi_value_text(bvi_script_thrown(h.call), NULL), "refused: no");
    close_host(&h);
}
END_TEST

START_TEST(thrown_values_come_out)
{
    const bvi_value *thrown;
    host h;

    open_host(&h, "throw #{code: 7};");
    start(&h, NULL, NULL, 0);
    ck_assert_int_eq(run(&h), BV_E_REMOTE);
    thrown = bvi_script_thrown(h.call);
    ck_assert_ptr_nonnull(thrown);
    ck_assert_int_eq(bvi_value_get(thrown, "code")->as.i, 7);
    close_host(&h);
}
END_TEST

/* ---- suspension ---- */

static const struct {
    const char *source;
    int asks;
    const char *result;
} suspensions[] = {
    { "ask() + 1", 1, "8" },
    { "let m = #{a: [ask()]}; m.a.push(ask()); m.a", 2, "[7, 7]" },
    { "[1, 2, 3].map(|x| x + ask())", 3, "[8, 9, 10]" },
    { "let a = [3, 1, 2]; a.sort(|x, y| { ask(); x - y }); a", 3, "[1, 2, 3]" },
    { "[1, 2].reduce(|s, x| s + x + ask(), 0)", 2, "17" },
    { "#{a: 1, b: 2}.filter(|k, v| ask() == 7 && v > 1)", 2, "#{\"b\": 2}" },
    { "let s = 0; for i in 0..3 { s += ask(); } s", 3, "21" },
    { "twice(|x| x + ask(), 1)", 1, "16" },
    { "`a${ask()}b`", 1, "a7b" },
    { "[\"ask\"].map(|n| call(Fn(n)))", 1, "[7]" },
    { "[Fn(\"ask\")].map(|f| f.call())", 1, "[7]" },
    { "fn f() { this += ask(); } let x = 1; x.f(); x", 1, "8" },
    { "let m = #{v: 1, f: |n| { this.v += ask() + n; }}; m.f(1); m.v", 1, "9" },
    { "eval(\"ask() * 2\")", 1, "14" },
    { "let x = 1; x.asked + 1", 1, "8" },
    { "1.asked.asked + 2.asked", 3, "14" },
    { "let m = #{a: [1, 2]}; m.a[1].asked + (m.a[0].asked.is_odd).to_string()", 2, "7true" },
    { "let m = #{a: [[3], [4]]}; `${m.a[1][0].asked}`", 1, "7" },
    { "let f = |x| x.asked; [1, 2].map(f)", 2, "[7, 7]" },
    { "let r = []; try { r.push(1.asked); throw 5.asked } catch (e) { r.push(e) } r", 2, "[7, 7]" },
    { "let x = 5; 1.asked[0]", 1, "true" },
    { "let r = 0; try { r = ask(); throw 1 } catch { r += ask(); } r", 2, "14" },
};

START_TEST(host_functions_suspend_anywhere)
{
    char *text = NULL;
    host h;
    int r;

    open_host(&h, suspensions[_i].source);
    start(&h, NULL, NULL, 0);
    while ((r = run(&h)) == BVI_SCRIPT_PENDING) {
        ck_assert_int_eq(bvi_script_run(h.call),
                         BVI_SCRIPT_PENDING); /* nothing moves without an answer */
        ck_assert_int_eq(bvi_script_resume(h.call, bvi_value_int(7)), 0);
        ck_assert_int_eq(bvi_script_resume(h.call, bvi_value_int(8)), BV_E_STATE);
    }
    ck_assert_msg(r == BVI_SCRIPT_DONE, "%s", bvi_script_failure_text(h.call));
    ck_assert_int_eq(h.asked, suspensions[_i].asks);
    ck_assert_int_eq(bvi_value_to_text(bvi_script_result(h.call), false, &text, NULL), 0);
    ck_assert_str_eq(text, suspensions[_i].result);
    bv_free(text);
    close_host(&h);
}
END_TEST

START_TEST(answers_can_be_errors)
{
    host h;

    open_host(&h, "let r; try { ask(); } catch (e) { r = e; } r");
    start(&h, NULL, NULL, 0);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_PENDING);
    ck_assert_int_eq(bvi_script_resume_error(h.call, "node is gone"), 0);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_DONE);
    ck_assert_str_eq(bvi_value_text(bvi_script_result(h.call), NULL), "node is gone");
    end_call(&h);
    bvi_script_free(h.script);

    ck_assert_int_eq(bvi_script_compile(h.engine, "fn f() {\n ask() }", 17, NULL, &h.script, NULL),
                     0);
    start(&h, "f", NULL, 0);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_PENDING);
    ck_assert_uint_eq(bvi_script_line(h.call), 2);
    bvi_script_resume_error(h.call, "gone");
    assert_fails(&h, BV_E_REMOTE, "Runtime error: gone (line 2, position 2)");
    close_host(&h);
}
END_TEST

START_TEST(a_waiting_call_can_be_freed_or_cancelled)
{
    host h;

    open_host(&h, "let a = [1, 2]; try { a.map(|x| ask()) } catch { 5 }");
    start(&h, NULL, NULL, 0);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_PENDING);
    end_call(&h);
    start(&h, NULL, NULL, 0);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_PENDING);
    bvi_script_cancel(h.call);
    assert_fails(&h, BV_E_CANCELLED, "Script terminated");
    ck_assert_int_eq(bvi_script_resume(h.call, bvi_value_int(1)), BV_E_STATE);
    close_host(&h);
}
END_TEST

/* ---- slices and limits ---- */

static const char *const endless[] = {
    "loop {}",
    "while true { let x = 1; }",
    "let i = 0; do { i += 1; } while i >= 0",
    "for i in (0..) {}",
    "fn f() { 1 } loop { f(); }",
    "let a = [1]; for x in (0..) { a.map(|y| y); }",
    "try { loop {} } catch { loop {} }",
};

START_TEST(endless_scripts_yield_and_can_be_cancelled)
{
    bvi_script_options options = { .limits = { .slice_operations = 100 } };
    host h;

    open_host_with(&h, &options, endless[_i]);
    start(&h, NULL, NULL, 0);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(bvi_script_run(h.call), BVI_SCRIPT_YIELD);
    bvi_script_cancel(h.call);
    assert_fails(&h, BV_E_CANCELLED, "Script terminated");
    close_host(&h);
}
END_TEST

/* One operation may touch megabytes: such ones fill a slice alone, so the caller still gets the
 * loop back. */
static const char *const heavy[] = {
    "let s = \"x\"; s.pad(4000000, \"x\"); let i = 0; while i < 2000 { s.contains(\"y\"); i += 1; "
    "}",
    "let s = \"x\"; s.pad(4000000, \"x\"); let t = s + \"\"; let i = 0; while i < 2000 { s == t; i "
    "+= 1; }",
    "let a = []; a.pad(200000, 1); let i = 0; while i < 2000 { a.insert(0, 1); a.shift(); i += 1; "
    "}",
    "let a = []; a.pad(200000, 1); let i = 0; while i < 2000 { let b = a; b.push(1); i += 1; }",
    "let s = \"\u00e9\"; s.pad(2000000, \"\u00e9\"); let i = 0; while i < 2000 { s[-1]; i += 1; }",
    "let a = []; a.pad(200000, 1); let i = 0; while i < 2000 { a.sort(); i += 1; }",
};

START_TEST(heavy_operations_share_the_loop_too)
{
    host h;
    int slices = 0;

    open_host(&h, heavy[_i]);
    start(&h, NULL, NULL, 0);
    while (slices < 100 && bvi_script_run(h.call) == BVI_SCRIPT_YIELD)
        slices++;
    ck_assert_int_ge(slices, 100);
    close_host(&h);
}
END_TEST

static const struct {
    const char *source;
    bvi_script_limits limits;
    int code;
    const char *says;
} limits[] = {
    { "loop {}", { .operations = 1000 }, BV_E_LIMIT, "Too many operations" },
    { "try { loop {} } catch { }", { .operations = 1000 }, BV_E_LIMIT, "Too many operations" },
    { "fn f(n) { f(n + 1) } f(0)",
      { .operations = 0 },
      BV_E_LIMIT,
      "Stack overflow (line 1, position 22)" },
    { "fn f(n) { try { f(n + 1) } catch { } } f(0)",
      { .operations = 0 },
      BV_E_LIMIT,
      "Stack overflow" },
    { "let s = \"x\"; loop { s += s; }",
      { .string_bytes = 1000 },
      BV_E_LIMIT,
      "Length of string too large" },
    { "let s = \"x\"; s.pad(2000, 'y');",
      { .string_bytes = 1000 },
      BV_E_LIMIT,
      "Length of string too large" },
    { "let a = [1]; loop { a.push(1); }",
      { .array_items = 100, .map_entries = 100 },
      BV_E_LIMIT,
      "Size of array too large" },
    { "let a = []; a.pad(1000000000000, 1);",
      { .array_items = 100, .map_entries = 100 },
      BV_E_LIMIT,
      "Size of array too large" },
    { "let m = #{}; for i in (0..) { m[`k${i}`] = 1; }",
      { .array_items = 100, .map_entries = 100 },
      BV_E_LIMIT,
      "Size of object map too large" },
    { "blob(1000000000000)", { .string_bytes = 1000 }, BV_E_LIMIT, "Size of BLOB too large" },
    { "let a = []; loop { a.push(`text ${a.len}`); }",
      { .memory_bytes = 400000 },
      BV_E_NOMEM,
      "Memory limit" },
    { "try { let a = []; loop { a = [a, a]; } } catch { 1 }",
      { .memory_bytes = 400000 },
      BV_E_NOMEM,
      "Memory" },
    { "let a = []; loop { a = [a]; }", { .memory_bytes = 4000000 }, BV_E_NOMEM, "Memory limit" },
    { "let a = []; for i in 0..1100 { a = [a]; } a.to_string()",
      { .operations = 0 },
      BV_E_LIMIT,
      "too large" },
    { "let a = []; for i in 0..1100 { a = [a]; } a == a",
      { .operations = 0 },
      BV_E_LIMIT,
      "too large" },
};

START_TEST(limits_cannot_be_caught)
{
    bvi_script_options options = { .limits = limits[_i].limits };
    host h;

    open_host_with(&h, &options, limits[_i].source);
    start(&h, NULL, NULL, 0);
    assert_fails(&h, limits[_i].code, limits[_i].says);
    ck_assert_int_eq(bvi_script_run(h.call), limits[_i].code); /* and it stays failed */
    close_host(&h);
}
END_TEST

START_TEST(cycles_end_with_the_call)
{
    bvi_script_options options = { .limits = { .memory_bytes = 2000000 } };
    uint64_t used;
    host h;

    open_host_with(&h, &options,
                   "const F = |x| x; let m = #{}; let f = || m; m.f = f;"
                   "for i in 0..20 { let a = []; let g = || a; a.push(g); } 1");
    used = bvi_script_memory_used(h.engine);
    for (int i = 0; i < 50; i++) {
        start(&h, NULL, NULL, 0);
        ck_assert_int_eq(run(&h), BVI_SCRIPT_DONE);
        end_call(&h);
        ck_assert_uint_eq(bvi_script_memory_used(h.engine), used);
    }
    close_host(&h);
}
END_TEST

START_TEST(cycles_are_collected_at_the_ceiling)
{
    bvi_script_options options = { .limits = { .memory_bytes = 600000 } };
    host h;

    open_host_with(&h, &options, "for i in 0..20000 { let a = []; let f = || a; a.push(f); } 1");
    start(&h, NULL, NULL, 0);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_DONE);
    close_host(&h);
}
END_TEST

START_TEST(results_outlive_their_call)
{
    bvi_value kept;
    char *text = NULL;
    host h;

    open_host(&h, "let n = 1; #{f: || n, a: [1, \"x\"]}");
    start(&h, NULL, NULL, 0);
    ck_assert_int_eq(run(&h), BVI_SCRIPT_DONE);
    kept = bvi_value_copy(bvi_script_result(h.call));
    end_call(&h);
    ck_assert_int_eq(bvi_value_to_text(bvi_value_get(&kept, "a"), true, &text, NULL), 0);
    ck_assert_str_eq(text, "[1, \"x\"]");
    bv_free(text);
    bvi_value_drop(&kept);
    close_host(&h);
}
END_TEST

/* ---- host objects ---- */

static int freed;

static void free_reply(void *object)
{
    freed++;
}

static const bvi_script_type reply_type;

static int reply_code(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    ck_assert_ptr_nonnull(bvi_value_object(&args[0], &reply_type));
    *ret = bvi_value_int(200);
    return 0;
}

static int checked(bvi_script_call *call, bvi_value *args, size_t argc, const bvi_value *result,
                   bvi_value *ret, void *data)
{
    if (result->type != BVI_T_BOOL)
        return bvi_script_throw_output(call, result, "bool");
    if (!result->as.b)
        return bvi_script_throw(call, "unexpected status_code: 200");
    return bvi_script_parse_json(call, "{\"ok\": true}", 12, ret);
}

static int reply_expect(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                        void *data)
{
    bvi_value code = bvi_value_int(200);

    return bvi_script_invoke(call, &args[1], &code, 1, checked);
}

static int reply_expect_code(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                             void *data)
{
    if (args[1].as.i != 200)
        return bvi_script_throw(call, "unexpected status_code: 200");
    return bvi_script_parse_json(call, "{\"ok\": true}", 12, ret);
}

static int get_note(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    *ret = bvi_value_int(*(int *)bvi_value_object(&args[0], &reply_type));
    return 0;
}

static int set_note(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    if (args[1].as.i < 0)
        return bvi_script_throw(call, "notes are not negative");
    *(int *)bvi_value_object(&args[0], &reply_type) = (int)args[1].as.i;
    return 0;
}

static const bvi_script_function reply_methods[] = {
    { "note", "", get_note, BVI_SCRIPT_PROPERTY_ONLY },
    { "note", "i", set_note, BVI_SCRIPT_PROPERTY_ONLY },
    { "status_code", "", reply_code, BVI_SCRIPT_PROPERTY_ONLY },
    { "expect", "i", reply_expect_code, 0 },
    { "expect", "p", reply_expect, 0 },
    { NULL, NULL, NULL, 0 },
};

static const bvi_script_type reply_type = { "DressedHttpResponse", reply_methods, free_reply };

static int make_reply(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret,
                      void *data)
{
    int r = bvi_value_host(bvi_script_engine_of(call), &reply_type, data, ret);

    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static const bvi_script_function reply_functions[] = {
    { "fetch", "", make_reply, 0 },
    { NULL, NULL, NULL, 0 },
};

static const struct {
    const char *source;
    const char *outcome;
} objects[] = {
    { "fetch().status_code", "i64: 200" },
    { "type_of(fetch())", "string: \"DressedHttpResponse\"" },
    { "let r = fetch(); let q = r; q.expect(200).ok", "bool: true" },
    { "fetch().expect(|c| c > 100)", "map: #{\"ok\": true}" },
    { "let limit = 150; fetch().expect(|c| c > limit).ok", "bool: true" },
    { "fn good(c) { c == 200 } fetch().expect(good).ok", "bool: true" },
    { "fetch().expect(|c| c > 300)",
      "ERROR: Runtime error: unexpected status_code: 200 (line 1, position 9)" },
    { "let r; try { fetch().expect(404) } catch (e) { r = e; } r",
      "string: \"unexpected status_code: 200\"" },
    { "let r; try { fetch().expect(|c| { throw #{x: c} }) } catch (e) { r = e; } r",
      "map: #{\"x\": 200}" },
    { "fetch().expect(|c| \"no\")", "ERROR: Output type incorrect: string (expecting bool)" },
    { "fetch().status_code = 5",
      "PARSE ERROR: Expression cannot be assigned to (line 1, position 1)" },
    { "let r = fetch(); r.status_code = 5",
      "ERROR: No writable property 'status_code' - a setter is not registered "
      "for type 'DressedHttpResponse' to handle 'i64' (line 1, position 20)" },
    { "let r = fetch(); r.note = 7; r.note += 3; r.note", "i64: 10" },
    { "let r = fetch(); let q = r; q.note = 9; r.note", "i64: 9" },
    { "let m = #{a: [fetch()]}; m.a[0].note = 4; m.a[0].note", "i64: 4" },
    { "fn f(r) { r.note = 6; } let r = fetch(); f(r); r.note", "i64: 6" },
    { "let r = fetch(); r.note = -1",
      "ERROR: Runtime error: notes are not negative (line 1, position 20)" },
    { "let r = fetch(); r.note = \"x\"",
      "ERROR: No writable property 'note' - a setter is not registered for type "
      "'DressedHttpResponse' to handle 'string' (line 1, position 20)" },
    { "const R = fetch(); R.note = 1", "ERROR: Cannot modify constant R (line 1, position 20)" },
    { "let r = fetch(); r.note(1)",
      "ERROR: Function not found: note (DressedHttpResponse, i64) (line 1, position 20)" },
    { "fetch().nope",
      "ERROR: Unknown property 'nope' - a getter is not registered for type 'DressedHttpResponse'"
      " (line 1, position 9)" },
    { "fetch().nope(1)",
      "ERROR: Function not found: nope (DressedHttpResponse, i64) (line 1, position 9)" },
    { "fetch() == fetch()",
      "ERROR: Function not found: == (DressedHttpResponse, DressedHttpResponse)"
      " (line 1, position 9)" },
};

START_TEST(host_objects)
{
    static int token = 1;
    const char *got;
    harness h;

    freed = 0;
    harness_init(&h);
    harness_open(&h);
    ck_assert_int_eq(bvi_script_register(h.engine, reply_functions, &token, NULL), 0);
    got = harness_run(&h, objects[_i].source, NULL);
    ck_assert_msg(strncmp(got, objects[_i].outcome, strlen(objects[_i].outcome)) == 0, "%s: %s",
                  objects[_i].source, got);
    ck_assert(freed > 0 || strstr(got, "PARSE"));
    harness_close(&h);
}
END_TEST

BVT_MAIN("script/calls", bvt_test(top_level_runs_before_the_function),
         bvt_test(state_does_not_survive_calls), bvt_test(unknown_function),
         bvt_test(lists_functions), bvt_test(constants_from_outside),
         bvt_test(error_text_names_source_and_calls), bvt_test(thrown_values_come_out),
         bvt_loop(host_functions_suspend_anywhere, suspensions), bvt_test(answers_can_be_errors),
         bvt_test(a_waiting_call_can_be_freed_or_cancelled),
         bvt_loop(endless_scripts_yield_and_can_be_cancelled, endless),
         bvt_loop(limits_cannot_be_caught, limits),
         bvt_loop(heavy_operations_share_the_loop_too, heavy), bvt_test(cycles_end_with_the_call),
         bvt_test(cycles_are_collected_at_the_ceiling), bvt_test(results_outlive_their_call),
         bvt_loop(host_objects, objects))
