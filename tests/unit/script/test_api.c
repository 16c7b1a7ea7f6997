/*
 * The public face of the language (blockvisor/script.h): engines without a context, values, host
 * functions and types, slices, interrupts from another thread, failures.
 */
#include <blockvisor/script.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bvt.h"

#define OUTPUT_MAX 4096

typedef struct session {
    bv_script_opts opts;
    bv_script_limits limits;
    bv_script_engine *engine;
    bv_script *script;
    bv_script_call *call;
    char output[OUTPUT_MAX];
    const bv_script_function *functions;
} session;

static void on_output(const bv_script_output *output, void *data)
{
    session *s = data;
    size_t len = strlen(s->output);

    ck_assert_uint_eq(output->size, sizeof(*output));
    if (output->is_debug)
        (void)snprintf(s->output + len, OUTPUT_MAX - len, "debug %u:%u %s %.*s|", output->line,
                       output->column, output->source ? output->source : "-", (int)output->len,
                       output->text);
    else
        (void)snprintf(s->output + len, OUTPUT_MAX - len, "%.*s|", (int)output->len, output->text);
}

static void open_session(session *s)
{
    *s = (session){ .opts = BV_SCRIPT_OPTS_INIT, .limits = BV_SCRIPT_LIMITS_INIT };
    s->opts.limits = &s->limits;
    s->opts.output = on_output;
    s->opts.data = s;
}

static void make_engine(session *s)
{
    bv_error *err = NULL;

    bvt_assert_ok(bv_script_engine_new(&s->opts, &s->engine, &err), err);
    if (s->functions)
        bvt_assert_ok(bv_script_engine_register(s->engine, s->functions, s, &err), err);
}

static void begin(session *s, const char *text, const char *fn, const bv_value *args, size_t argc)
{
    bv_error *err = NULL;

    if (!s->engine)
        make_engine(s);
    bv_script_call_free(s->call);
    bv_script_free(s->script);
    s->call = NULL;
    s->script = NULL;
    bvt_assert_ok(bv_script_compile(s->engine, text, strlen(text), NULL, &s->script, &err), err);
    bvt_assert_ok(bv_script_call_new(s->engine, s->script, fn, args, argc, &s->call, &err), err);
}

static void close_session(session *s)
{
    bv_script_call_free(s->call);
    bv_script_free(s->script);
    bv_script_engine_free(s->engine);
}

/* The debug form of what a finished call returned. */
static const char *result_of(session *s)
{
    bv_value v;
    char *text = NULL;
    const char *kept;

    ck_assert_int_eq(bv_script_call_result(s->call, &v), 0);
    ck_assert_int_eq(bv_value_print(&v, 1, &text, NULL), 0);
    kept = bvt_format("%s", text);
    bv_free(text);
    return kept;
}

static const char *run(session *s, const char *text)
{
    bv_error *err = NULL;

    begin(s, text, NULL, NULL, 0);
    if (bv_script_call_finish(s->call) < 0)
        (void)bv_script_call_failure(s->call, &err);
    bvt_assert_ok(bv_error_code(err), err);
    return result_of(s);
}

static void run_fails(session *s, const char *text, int code, const char *says)
{
    bv_error *err = NULL;

    begin(s, text, NULL, NULL, 0);
    ck_assert_int_eq(bv_script_call_finish(s->call), code);
    ck_assert_int_eq(bv_script_call_failure(s->call, &err), code);
    bvt_assert_error_says(err, code, says);
    bv_error_free(err);
}

/* ---- running ---- */

START_TEST(calls_a_function)
{
    session s;
    bv_value args[2];
    bv_value v;
    size_t len = 0;

    open_session(&s);
    make_engine(&s);
    args[0] = bv_value_int(40);
    ck_assert_int_eq(bv_value_string(s.engine, "x", 1, &args[1]), 0);
    begin(&s, "const K = 2; print(\"top\"); fn f(n, t) { debug(t); t + (n + global::K) }", "f",
          args, 2);
    bv_value_drop(&args[1]);
    ck_assert_int_eq(bv_script_call_result(s.call, &v), BV_E_STATE);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_SCRIPT_DONE);
    ck_assert_int_eq(bv_script_call_result(s.call, &v), 0);
    ck_assert_str_eq(bv_value_text(&v, &len), "x42");
    ck_assert_uint_eq(len, 3);
    ck_assert_str_eq(s.output, "top|debug 1:41 - \"x\"|");
    close_session(&s);
}
END_TEST

START_TEST(runs_in_slices)
{
    session s;
    unsigned slices = 0;
    int r;

    open_session(&s);
    s.limits.slice_operations = 100;
    begin(&s, "let x = 0; while x < 1000 { x += 1 } x", NULL, NULL, 0);
    while ((r = bv_script_call_run(s.call)) == BV_SCRIPT_YIELD)
        slices++;
    ck_assert_int_eq(r, BV_SCRIPT_DONE);
    ck_assert_uint_ge(slices, 9);
    ck_assert_str_eq(result_of(&s), "1000");
    ck_assert_uint_gt(bv_script_engine_memory_used(s.engine), 0);
    close_session(&s);
}
END_TEST

START_TEST(lists_functions)
{
    bv_script_function_info info = { .size = sizeof(info) };
    session s;

    open_session(&s);
    begin(&s, "fn a(x) {} private fn b() {} let c = || 1;", NULL, NULL, 0);
    ck_assert_int_eq(bv_script_function_at(s.script, 0, &info), 0);
    ck_assert_str_eq(info.name, "a");
    ck_assert_uint_eq(info.arity, 1);
    ck_assert_uint_eq(info.is_private, 0);
    ck_assert_int_eq(bv_script_function_at(s.script, 1, &info), 0);
    ck_assert_str_eq(info.name, "b");
    ck_assert_uint_eq(info.is_private, 1);
    ck_assert_int_eq(bv_script_function_at(s.script, 2, &info), BV_E_NOT_FOUND);
    info.size = 1;
    ck_assert_int_eq(bv_script_function_at(s.script, 0, &info), BV_E_INVALID);
    close_session(&s);
}
END_TEST

START_TEST(constants)
{
    session s;
    bv_value map;

    open_session(&s);
    begin(&s, "fn f() { global::N + global::M.a } f() + N", NULL, NULL, 0);
    ck_assert_int_eq(bv_script_call_set_constant(s.call, "N", bv_value_int(5)), 0);
    ck_assert_int_eq(bv_value_map(s.engine, &map), 0);
    ck_assert_int_eq(bv_value_put(&map, "a", bv_value_int(1)), 0);
    ck_assert_int_eq(bv_script_call_set_constant(s.call, "M", map), 0);
    ck_assert_int_eq(bv_script_call_finish(s.call), 0);
    ck_assert_str_eq(result_of(&s), "11");
    close_session(&s);
}
END_TEST

/* ---- limits ---- */

static const struct {
    bv_script_limits limits;
    const char *script;
    int code;
    const char *says;
} limit_cases[] = {
    { { .operations = 1000 }, "loop {}", BV_E_LIMIT, "Too many operations" },
    { { .call_depth = 5 }, "fn f(x) { f(x) } f(1)", BV_E_LIMIT, "Stack overflow" },
    { { .string_bytes = 10 }, "let s = \"x\"; loop { s += s }", BV_E_LIMIT, "too large" },
    { { .array_items = 10 }, "let a = []; loop { a.push(1) }", BV_E_LIMIT, "too large" },
    { { .map_entries = 10 },
      "let m = #{}; for i in 0..99 { m[`k${i}`] = i }",
      BV_E_LIMIT,
      "too large" },
    { { .memory_bytes = 400000 },
      "let a = []; loop { a.push(\"abcdefgh\" + a.len()) }",
      BV_E_NOMEM,
      "Memory limit of 400000 bytes reached" },
    { { .wall_ms = 5 }, "loop {}", BV_E_CANCELLED, "Script terminated" },
    /* None of them can be caught. */
    { { .operations = 1000 }, "try { loop {} } catch { 1 }", BV_E_LIMIT, "Too many operations" },
    { { .wall_ms = 5 }, "try { loop {} } catch { 1 }", BV_E_CANCELLED, "Script terminated" },
};

START_TEST(breaches)
{
    session s;

    open_session(&s);
    s.limits = limit_cases[_i].limits;
    s.limits.size = sizeof(s.limits);
    run_fails(&s, limit_cases[_i].script, limit_cases[_i].code, limit_cases[_i].says);
    close_session(&s);
}
END_TEST

START_TEST(refuses_unknown_sizes)
{
    bv_script_opts opts = BV_SCRIPT_OPTS_INIT;
    bv_script_limits limits = { .size = 3 };
    bv_script_engine *engine = NULL;
    bv_error *err = NULL;

    opts.limits = &limits;
    ck_assert_int_eq(bv_script_engine_new(&opts, &engine, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "script limits have an unknown size 3");
    bv_error_free(err);
    err = NULL;
    opts.size = 1;
    ck_assert_int_eq(bv_script_engine_new(&opts, &engine, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "script options have an unknown size 1");
    bv_error_free(err);
    ck_assert_ptr_null(engine);
}
END_TEST

/* ---- interrupts ---- */

typedef struct started {
    session *s;
    pthread_barrier_t barrier;
} started;

static void *interrupt_it(void *data)
{
    started *st = data;

    (void)pthread_barrier_wait(&st->barrier);
    bv_script_interrupt(st->s->call);
    return NULL;
}

START_TEST(interrupted_by_another_thread)
{
    session s;
    started st = { .s = &s };
    pthread_t thread;
    bv_error *err = NULL;

    open_session(&s);
    begin(&s, "let x = 0; try { loop { x += 1 } } catch { x }", NULL, NULL, 0);
    ck_assert_int_eq(pthread_barrier_init(&st.barrier, NULL, 2), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_it, &st), 0);
    (void)pthread_barrier_wait(&st.barrier);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_E_CANCELLED);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    (void)pthread_barrier_destroy(&st.barrier);
    ck_assert_int_eq(bv_script_call_failure(s.call, &err), BV_E_CANCELLED);
    bvt_assert_error_says(err, BV_E_CANCELLED, "Script terminated (line 1, position ");
    bv_error_free(err);
    close_session(&s);
}
END_TEST

static bv_script_call *signalled;

static void on_signal(int number)
{
    bv_script_interrupt(signalled);
}

static int raise_it(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    ck_assert_int_eq(raise(SIGUSR1), 0);
    return 0;
}

START_TEST(interrupted_by_a_signal_handler)
{
    static const bv_script_function functions[] = { { "raise", "", raise_it }, { NULL } };
    session s;

    open_session(&s);
    s.functions = functions;
    s.limits.slice_operations = 50;
    begin(&s, "raise(); loop {}", NULL, NULL, 0);
    signalled = s.call;
    ck_assert_ptr_ne(signal(SIGUSR1, on_signal), SIG_ERR);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_E_CANCELLED);
    close_session(&s);
}
END_TEST

START_TEST(interrupted_before_it_runs_and_while_it_waits)
{
    session s;

    open_session(&s);
    begin(&s, "1", NULL, NULL, 0);
    bv_script_interrupt(s.call);
    ck_assert_int_eq(bv_script_call_run(s.call), BV_E_CANCELLED);
    ck_assert_int_eq(bv_script_call_run(s.call), BV_E_CANCELLED); /* and stays so */
    ck_assert_str_eq(run(&s, "2"), "2");
    close_session(&s);
}
END_TEST

/* ---- values ---- */

START_TEST(values_of_every_kind)
{
    session s;
    bv_value v, item;
    char *text = NULL;
    size_t len = 0;

    open_session(&s);
    make_engine(&s);
    v = bv_value_bool(3);
    ck_assert_int_eq(v.as.i, 1);
    ck_assert_str_eq(bv_value_type_name(&v), "bool");
    v = bv_value_float(0.5);
    ck_assert_str_eq(bv_value_type_name(&v), "f64");
    ck_assert_int_eq(bv_value_print(&v, 0, &text, &len), 0);
    ck_assert_str_eq(text, "0.5");
    ck_assert_uint_eq(len, 3);
    bv_free(text);

    ck_assert_int_eq(bv_value_blob(s.engine, "\x01\x02", 2, &v), 0);
    ck_assert_uint_eq(bv_value_bytes(&v, &len)[1], 2);
    ck_assert_uint_eq(len, 2);
    ck_assert_ptr_null(bv_value_text(&v, NULL));
    bv_value_drop(&v);
    ck_assert_uint_eq(v.type, BV_VALUE_UNIT);
    ck_assert_str_eq(bv_value_type_name(&v), "()");

    ck_assert_int_eq(bv_value_array(s.engine, &v), 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(bv_value_push(&v, bv_value_int(i)), 0);
    ck_assert_uint_eq(bv_value_count(&v), 20);
    ck_assert_int_eq(bv_value_at(&v, 19, &item), 0);
    ck_assert_int_eq(item.as.i, 19);
    ck_assert_int_eq(bv_value_at(&v, 20, &item), BV_E_NOT_FOUND);
    ck_assert_int_eq(bv_value_put(&v, "a", bv_value_int(1)), BV_E_INVALID);
    bv_value_drop(&v);
    ck_assert_int_eq(bv_value_push(&v, bv_value_int(1)), BV_E_INVALID);
    close_session(&s);
}
END_TEST

START_TEST(a_copy_is_no_alias)
{
    session s;
    bv_value a, b, item;
    const char *key = NULL;
    size_t key_len = 0;

    open_session(&s);
    make_engine(&s);
    ck_assert_int_eq(bv_value_map(s.engine, &a), 0);
    ck_assert_int_eq(bv_value_put(&a, "z", bv_value_int(1)), 0);
    b = bv_value_copy(&a);
    ck_assert_int_eq(bv_value_put(&b, "b", bv_value_int(2)), 0);
    ck_assert_uint_eq(bv_value_count(&a), 1);
    ck_assert_uint_eq(bv_value_count(&b), 2);
    ck_assert_int_eq(bv_value_get(&a, "b", &item), BV_E_NOT_FOUND);
    ck_assert_int_eq(bv_value_get(&b, "b", &item), 0);
    ck_assert_int_eq(item.as.i, 2);
    ck_assert_int_eq(bv_value_entry(&b, 0, &key, &key_len, &item), 0);
    ck_assert_str_eq(key, "b");
    ck_assert_uint_eq(key_len, 1);
    ck_assert_int_eq(bv_value_entry(&b, 2, &key, &key_len, &item), BV_E_NOT_FOUND);
    bv_value_drop(&a);
    bv_value_drop(&b);
    close_session(&s);
}
END_TEST

/* A value that passes through a host function is the same in the script. */
static int echo(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    *ret = bv_value_copy(&args[0]);
    return 0;
}

static const char *const echoed[] = {
    "()",       "true",        "-9223372036854775808", "1.5",  "'\u00e9'", "\"t\\x00x\"",
    "[1, [2]]", "#{a: ()}",    "blob(3, 7)",           "0..5", "0..=5",    "Fn(\"abs\")",
    "|x| x",    "range(0, 3)", "timestamp()",
};

START_TEST(values_pass_through)
{
    static const bv_script_function functions[] = { { "echo", "v", echo }, { NULL } };
    session s;

    open_session(&s);
    s.functions = functions;
    ck_assert_str_eq(run(&s, bvt_format("let v = %s; let e = echo(v); type_of(e) == type_of(v) && "
                                        "to_debug(e) == to_debug(v)",
                                        echoed[_i])),
                     "true");
    close_session(&s);
}
END_TEST

START_TEST(documents)
{
    static const char text[] = "{\"a\":[1,2.5,null,true,\"x\"],\"b\":{\"c\":-9223372036854775808}}";
    session s;
    bv_doc *doc = NULL;
    bv_value v;
    char *out = NULL;
    bv_error *err = NULL;

    open_session(&s);
    make_engine(&s);
    bvt_assert_ok(bv_doc_parse(text, strlen(text), &doc, &err), err);
    ck_assert_int_eq(bv_value_from_doc(s.engine, doc, &v), 0);
    bv_doc_free(doc);
    bvt_assert_ok(bv_value_to_doc(&v, &doc, &err), err);
    bvt_assert_ok(bv_doc_print(doc, 0, &out, &err), err);
    ck_assert_str_eq(out, text);
    bv_free(out);
    bv_doc_free(doc);
    bv_value_drop(&v);
    v = bv_value_float(NAN);
    bvt_assert_ok(bv_value_to_doc(&v, &doc, &err), err);
    ck_assert_int_eq(bv_doc_type_of(doc), BV_DOC_NULL);
    bv_doc_free(doc);
    begin(&s, "|x| x", NULL, NULL, 0);
    ck_assert_int_eq(bv_script_call_finish(s.call), 0);
    ck_assert_int_eq(bv_script_call_result(s.call, &v), 0);
    doc = NULL;
    ck_assert_int_eq(bv_value_to_doc(&v, &doc, &err), BV_E_INVALID);
    ck_assert_ptr_null(doc);
    bv_error_free(err);
    close_session(&s);
}
END_TEST

/* ---- host functions ---- */

static int add(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    *ret = bv_value_int(args[0].as.i + args[1].as.i);
    return 0;
}

static int join(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "%s+%s", bv_value_text(&args[0], NULL),
                       bv_value_text(&args[1], NULL));
    int r = bv_value_string(bv_script_call_engine(call), text, (size_t)len, ret);

    return r < 0 ? bv_script_throw_code(call, r) : 0;
}

static int grow(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    int r = bv_value_push(&args[0], bv_value_int(7));

    return r < 0 ? bv_script_throw_code(call, r) : 0;
}

static int fail_text(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    return bv_script_throw(call, "100% wrong");
}

static int fail_value(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    bv_value map;
    int r = bv_value_map(bv_script_call_engine(call), &map);

    if (r < 0)
        return bv_script_throw_code(call, r);
    r = bv_value_put(&map, "line", bv_value_int(bv_script_call_line(call)));
    if (r < 0) {
        bv_value_drop(&map);
        return bv_script_throw_code(call, r);
    }
    return bv_script_throw_value(call, map);
}

static int fail_code(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    return (int)args[0].as.i; /* without throwing anything */
}

static int twice_then(bv_script_call *call, bv_value *args, size_t argc, const bv_value *result,
                      bv_value *ret, void *data)
{
    int *turns = bv_script_call_data(call);

    if (--*turns > 0)
        return bv_script_invoke(call, &args[0], result, 1);
    *ret = bv_value_copy(result);
    return 0;
}

/* twice(f, x) is f(f(x)); both turns go through the script. */
static int twice(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    int *turns = bv_script_call_data(call);

    *turns = 2;
    return bv_script_invoke(call, &args[0], &args[1], 1);
}

static int wait_for_it(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    return BV_SCRIPT_PENDING;
}

static int forgetful(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    return BV_SCRIPT_INVOKE; /* but invoked nothing */
}

static const bv_script_function all_functions[] = {
    { "add", "ii", add },
    { "add", "ss", join },
    { "grow", "a", grow, NULL, BV_SCRIPT_MUTATES },
    { "fail_text", "", fail_text },
    { "fail_value", "", fail_value },
    { "fail_code", "i", fail_code },
    { "twice", "pv", twice, twice_then },
    { "wait", "", wait_for_it },
    { "forgetful", "", forgetful, twice_then },
    { "double", "i", echo, NULL, BV_SCRIPT_PROPERTY },
    { NULL },
};

static const struct {
    const char *script;
    const char *result;
} function_cases[] = {
    { "add(1, 2)", "3" },
    { "1.add(2)", "3" },
    { "add(\"a\", \"b\")", "\"a+b\"" },
    { "fn t() { try { add(1, \"b\") } catch (e) { return e.message; } } t()",
      "\"Function not found: add (i64, &str | ImmutableString | String)\"" },
    { "let a = [1]; let b = a; a.grow(); [a, b]", "[[1, 7], [1]]" },
    { "let m = #{a: [1]}; m.a.grow(); m", "#{\"a\": [1, 7]}" },
    { "let a = [[1]]; a[0].grow(); grow(a[0]); a", "[[1, 7]]" },
    { "fn t() { try { const A = [1]; A.grow(); } catch (e) { return e.error; } } t()",
      "\"ErrorNonPureMethodCallOnConstant\"" },
    { "fn t() { try { fail_text() } catch (e) { return e; } } t()", "\"100% wrong\"" },
    { "\n\nfn t() { try { fail_value() } catch (e) { return e; } } t()", "#{\"line\": 3}" },
    { "fn t() { try { fail_code(-2) } catch (e) { return e; } } t()", "\"not_found\"" },
    { "fn t() { try { fail_code(77) } catch (e) { return e; } } t()",
      "\"a host function gave the unknown answer 77\"" },
    { "fn t() { try { fail_code(100) } catch (e) { return e; } } t()",
      "\"a host function gave the unknown answer 100\"" },
    { "fn t() { try { fail_code(3) } catch (e) { return e; } } t()",
      "\"a host function gave the unknown answer 3\"" },
    { "fn t() { try { forgetful() } catch (e) { return e; } } t()",
      "\"a host function gave the unknown answer 3\"" },
    { "let n = 3; twice(|x| x * n, 5)", "45" },
    { "fn inc(x) { x + 1 } twice(\"inc\", 5)", "7" },
    { "fn t() { try { twice(|x| throw x, 5) } catch (e) { return e; } } t()", "5" },
    { "5.double", "5" },
};

START_TEST(answers)
{
    session s;
    int turns = 0;
    bv_error *err = NULL;
    int r;

    open_session(&s);
    s.functions = all_functions;
    begin(&s, function_cases[_i].script, NULL, NULL, 0);
    bv_script_call_set_data(s.call, &turns);
    r = bv_script_call_finish(s.call);
    if (r < 0)
        (void)bv_script_call_failure(s.call, &err);
    bvt_assert_ok(r, err);
    ck_assert_str_eq(result_of(&s), function_cases[_i].result);
    close_session(&s);
}
END_TEST

START_TEST(waiting)
{
    session s;

    open_session(&s);
    s.functions = all_functions;
    begin(&s,
          "let a = wait(); let b = try_it(); fn try_it() { try { wait() } catch (e) { return e; } "
          "} a + b",
          NULL, NULL, 0);
    ck_assert_int_eq(bv_script_call_resume(s.call, bv_value_int(1)), BV_E_STATE);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_SCRIPT_PENDING);
    ck_assert_int_eq(bv_script_call_run(s.call), BV_SCRIPT_PENDING);
    ck_assert_int_eq(bv_script_call_resume(s.call, bv_value_int(1)), 0);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_SCRIPT_PENDING);
    ck_assert_int_eq(bv_script_call_resume_error(s.call, "late"), 0);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_SCRIPT_DONE);
    ck_assert_str_eq(result_of(&s), "\"1late\"");
    /* Freed and interrupted while it waits. */
    begin(&s, "wait()", NULL, NULL, 0);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_SCRIPT_PENDING);
    bv_script_interrupt(s.call);
    ck_assert_int_eq(bv_script_call_run(s.call), BV_E_CANCELLED);
    begin(&s, "wait()", NULL, NULL, 0);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_SCRIPT_PENDING);
    close_session(&s);
}
END_TEST

static int count_calls(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    *ret = bv_value_int(++*(int *)data);
    return 0;
}

/* How often a function is asked by the top level in three calls of the script. */
static int times_asked(uint32_t flags, bool forget)
{
    const bv_script_function functions[] = { { "count", "", count_calls, NULL, flags }, { NULL } };
    session s;
    int count = 0;

    open_session(&s);
    make_engine(&s);
    ck_assert_int_eq(bv_script_engine_register(s.engine, functions, &count, NULL), 0);
    begin(&s, "const N = count(); fn f() { global::N }", "f", NULL, 0);
    for (int i = 0; i < 3; i++) {
        bv_script_call_free(s.call);
        s.call = NULL;
        ck_assert_int_eq(bv_script_call_new(s.engine, s.script, "f", NULL, 0, &s.call, NULL), 0);
        ck_assert_int_eq(bv_script_call_finish(s.call), 0);
        ck_assert_str_eq(result_of(&s), bvt_format("%d", count));
        if (forget)
            bv_script_engine_forget_top_level(s.engine);
    }
    close_session(&s);
    return count;
}

START_TEST(stable_answers_are_kept)
{
    ck_assert_int_eq(times_asked(0, false), 3);
    ck_assert_int_eq(times_asked(BV_SCRIPT_STABLE, false), 1);
    ck_assert_int_eq(times_asked(BV_SCRIPT_STABLE, true), 3);
}
END_TEST

static const struct {
    bv_script_function function;
    const char *says;
} wrong_functions[] = {
    { { "f", "iX", add }, "unknown parameter letter 'X'" },
    { { "f", NULL, add }, "is not complete" },
    { { "f", "i", NULL }, "is not complete" },
    { { "f", "iiiiiiiiiiiiiiiii", add }, "more than 16 parameters" },
    { { "f", "i", add, NULL, 1u << 20 }, "unknown flags" },
};

START_TEST(refuses_wrong_functions)
{
    bv_script_function table[] = { wrong_functions[_i].function, { NULL } };
    const bv_script_type *type = NULL;
    session s;
    bv_error *err = NULL;

    open_session(&s);
    make_engine(&s);
    ck_assert_int_eq(bv_script_engine_register(s.engine, table, NULL, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, wrong_functions[_i].says);
    bv_error_free(err);
    ck_assert_int_eq(bv_script_engine_add_type(s.engine, "T", table, NULL, NULL, &type, NULL),
                     BV_E_INVALID);
    close_session(&s);
}
END_TEST

/* ---- host types ---- */

typedef struct counter {
    int value;
    int *freed;
} counter;

static const bv_script_type *counter_type;
static counter the_counter;

static int counter_add(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    counter *c = bv_value_object(&args[0], counter_type);

    ck_assert_ptr_nonnull(c);
    c->value += (int)args[1].as.i;
    *ret = bv_value_int(c->value);
    return 0;
}

static int counter_get(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    counter *c = bv_value_object(&args[0], counter_type);

    *ret = bv_value_int(c->value + *(const int *)data);
    return 0;
}

static int counter_set(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret, void *data)
{
    counter *c = bv_value_object(&args[0], counter_type);

    c->value = (int)args[1].as.i - *(const int *)data;
    return 0;
}

static int make_counter(bv_script_call *call, bv_value *args, size_t argc, bv_value *ret,
                        void *data)
{
    int r = bv_value_host(bv_script_call_engine(call), counter_type, &the_counter, ret);

    return r < 0 ? bv_script_throw_code(call, r) : 0;
}

static void release_counter(void *object)
{
    counter *c = object;

    ++*c->freed;
}

START_TEST(host_types)
{
    static const bv_script_function methods[] = {
        { "add", "i", counter_add },
        { "value", "", counter_get, NULL, BV_SCRIPT_PROPERTY_ONLY },
        { "value", "i", counter_set, NULL, BV_SCRIPT_PROPERTY_ONLY },
        { NULL },
    };
    static const bv_script_function functions[] = { { "counter", "", make_counter }, { NULL } };
    session s;
    int freed = 0;
    int offset = 100;
    bv_error *err = NULL;

    open_session(&s);
    s.functions = functions;
    make_engine(&s);
    bvt_assert_ok(bv_script_engine_add_type(s.engine, "Counter", methods, release_counter, &offset,
                                            &counter_type, &err),
                  err);
    the_counter = (counter){ 1, &freed };
    ck_assert_str_eq(run(&s, "let c = counter(); c.add(4); c.add(5); [c.value, type_of(c)]"),
                     "[110, \"Counter\"]");
    ck_assert_int_eq(freed, 1);
    run_fails(&s, "counter().value()", BV_E_REMOTE, "Function not found: value (Counter)");
    ck_assert_int_eq(freed, 2);
    ck_assert_str_eq(run(&s, "let c = counter(); let f = || c; 1"), "1");
    ck_assert_str_eq(run(&s, "let c = counter(); c.value = 150; c.value += 1; c.value"), "151");
    run_fails(&s, "let c = counter(); c.value = \"x\"", BV_E_REMOTE,
              "No writable property 'value'");
    close_session(&s);
    ck_assert_int_eq(freed, 5);
}
END_TEST

/* ---- modules ---- */

static int find_module(bv_script_source *source, const char *name, void *data)
{
    static const char text[] = "fn f() { 6 } fn boom() { throw \"b\" }";

    if (strcmp(name, "m") == 0)
        return bv_script_source_set(source, text, strlen(text));
    if (strcmp(name, "locked") == 0)
        return bv_script_source_fail(source, "the key is lost");
    return strcmp(name, "odd") == 0 ? 0 : BV_E_NOT_FOUND; /* 0 without a source */
}

START_TEST(modules)
{
    session s;

    open_session(&s);
    s.opts.resolve = find_module;
    ck_assert_str_eq(run(&s, "import \"m\" as m; m::f()"), "6");
    run_fails(&s, "import \"x\" as m; 1", BV_E_REMOTE, "Module not found: x");
    run_fails(&s, "import \"odd\" as m; 1", BV_E_REMOTE, "Module not found: odd");
    run_fails(&s, "import \"locked\" as m; 1", BV_E_REMOTE, "the key is lost");
    bv_script_engine_forget_modules(s.engine);
    ck_assert_str_eq(run(&s, "import \"m\" as m; m::f()"), "6");
    close_session(&s);
    open_session(&s);
    run_fails(&s, "import \"m\" as m; 1", BV_E_REMOTE, "Module not found: m");
    close_session(&s);
}
END_TEST

/* ---- failures ---- */

static const bv_doc *at(const bv_doc *array, size_t index)
{
    const bv_doc *item = bv_doc_first(array);

    while (item && index-- > 0)
        item = bv_doc_next(item);
    return item;
}

START_TEST(failures_as_documents)
{
    session s;
    bv_doc *doc = NULL;
    bv_value v;
    const bv_doc *step;
    bv_error *err = NULL;

    open_session(&s);
    s.opts.resolve = find_module;
    begin(&s, "import \"m\" as m;\nfn f(x) { m::boom() }\nlet g = || f(1);\n  g.call()", NULL, NULL,
          0);
    ck_assert_int_eq(bv_script_call_failure_doc(s.call, &doc, &err), BV_E_STATE);
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(bv_script_call_thrown(s.call, &v), BV_E_NOT_FOUND);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_E_REMOTE);
    ck_assert_int_eq(bv_script_call_thrown(s.call, &v), 0);
    ck_assert_str_eq(bv_value_text(&v, NULL), "b");
    bvt_assert_ok(bv_script_call_failure_doc(s.call, &doc, &err), err);
    ck_assert_str_eq(bv_doc_string(bv_doc_get(doc, "kind"), ""), "ErrorRuntime");
    ck_assert_str_eq(bv_doc_string(bv_doc_get(doc, "message"), ""), "Runtime error: b");
    ck_assert_str_eq(bv_doc_string(bv_doc_get(doc, "source"), ""), "m");
    ck_assert_str_eq(bv_doc_string(bv_doc_get(doc, "value"), ""), "b");
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(doc, "line"), 0), 1);
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(doc, "column"), 0), 26);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(doc, "trace")), 3);
    step = at(bv_doc_get(doc, "trace"), 0);
    ck_assert_str_eq(bv_doc_string(bv_doc_get(step, "name"), ""), "boom");
    ck_assert_str_eq(bv_doc_string(bv_doc_get(step, "source"), ""), "m");
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(step, "line"), 0), 2);
    step = at(bv_doc_get(doc, "trace"), 1);
    ck_assert_str_eq(bv_doc_string(bv_doc_get(step, "name"), ""), "f");
    ck_assert_int_eq(bv_doc_type_of(bv_doc_get(step, "source")), BV_DOC_NULL);
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(step, "line"), 0), 3);
    step = at(bv_doc_get(doc, "trace"), 2);
    ck_assert_str_eq(bv_doc_string(bv_doc_get(step, "what"), ""), "closure");
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(step, "line"), 0), 4);
    bv_doc_free(doc);
    close_session(&s);
}
END_TEST

START_TEST(syntax_errors)
{
    session s;
    bv_script *script = NULL;
    bv_error *err = NULL;

    open_session(&s);
    make_engine(&s);
    ck_assert_int_eq(bv_script_compile(s.engine, "let x = ;", 9, NULL, &script, &err), BV_E_FORMAT);
    ck_assert_str_eq(bv_error_message(err), "Unexpected ';' (line 1, position 9)");
    bv_error_free(err);
    ck_assert_ptr_null(script);
    run_fails(&s, "fn g() {} f()", BV_E_REMOTE, "Function not found: f ()");
    begin(&s, "fn g() {}", "f", NULL, 0);
    ck_assert_int_eq(bv_script_call_finish(s.call), BV_E_NOT_FOUND);
    close_session(&s);
}
END_TEST

/* ---- memory ---- */

static int try_all(void)
{
    static const char text[] =
        "let m = #{a: add(1, 2)}; print(m); try { fail_value() } catch (e) { "
        "m.e = e } m.grown = [1]; m.grown.grow(); fn f() { throw `x${1}` } f()";
    session s;
    int turns = 0;
    bv_doc *doc = NULL;
    int r;

    open_session(&s);
    r = bv_script_engine_new(&s.opts, &s.engine, NULL);
    if (r == 0)
        r = bv_script_engine_register(s.engine, all_functions, &s, NULL);
    if (r == 0)
        r = bv_script_compile(s.engine, text, strlen(text), "name", &s.script, NULL);
    if (r == 0)
        r = bv_script_call_new(s.engine, s.script, NULL, NULL, 0, &s.call, NULL);
    if (r == 0) {
        bv_script_call_set_data(s.call, &turns);
        r = bv_script_call_finish(s.call);
    }
    if (r == BV_E_REMOTE) {
        r = bv_script_call_failure_doc(s.call, &doc, NULL);
        bv_doc_free(doc);
    }
    close_session(&s);
    return r;
}

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        int r = try_all();

        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "round %zu: %d", n, r);
    }
}
END_TEST

BVT_MAIN("script/api", bvt_test(calls_a_function), bvt_test(runs_in_slices),
         bvt_test(lists_functions), bvt_test(constants), bvt_loop(breaches, limit_cases),
         bvt_test(refuses_unknown_sizes), bvt_test(interrupted_by_another_thread),
         bvt_test(interrupted_by_a_signal_handler),
         bvt_test(interrupted_before_it_runs_and_while_it_waits), bvt_test(values_of_every_kind),
         bvt_test(a_copy_is_no_alias), bvt_loop(values_pass_through, echoed), bvt_test(documents),
         bvt_loop(answers, function_cases), bvt_test(waiting), bvt_test(stable_answers_are_kept),
         bvt_loop(refuses_wrong_functions, wrong_functions), bvt_test(host_types),
         bvt_test(modules), bvt_test(failures_as_documents), bvt_test(syntax_errors),
         bvt_test(survives_every_failed_allocation))
