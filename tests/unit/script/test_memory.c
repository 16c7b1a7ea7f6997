/*
 * Running out of memory at every single allocation: the call fails with BV_E_NOMEM and nothing is
 * left behind. And the stress switch, which checks all counts at every allocation.
 */
#include <string.h>

#include "bvt.h"
#include "harness.h"
#include "script/engine.h"

static const char *const scripts[] = {
    /* values, chains, operators */
    "let m = #{a: [1, \"two\", 'c', 2.5], b: #{c: `x${1 + 1}y`}}; m.a.push(m.b); m.a[4].c += "
    "\"z\"; m[\"k\"] = m.a[1][0..2];"
    "m.s = \"abc\" + 1 + [2] + #{}; m.s -= \"b\"; m.t = m.a + [m.s]; m.to_string() + m.to_json()",
    /* functions, closures, callbacks */
    "fn f(x) { this.n += x; g(x) } fn g(x) { [x, x] } let o = #{n: 1}; let n = 5; let c = |x| { n "
    "+= x; || n };"
    "let r = o.f(2); r.append([3, 1].map(|x| x + n)); r.sort(|a, b| b - a); "
    "r.push(c.call(1).call());"
    "r.push(Fn(\"g\").curry(1).call()); r.filter(|x, i| i > 0).reduce(|s, x| s + `${x}`, \"\")",
    /* failures */
    "fn f() { g() } fn g() { [][1] } let r = []; try { f() } catch (e) { r.push(e) } try { "
    "nope(\"x\", 1) } catch (e) {"
    "r.push(e.message) } try { throw #{a: 1} } catch (e) { r.push(e.a) } try { #{}.x.y } catch (e) "
    "{ r.push(e) }"
    "try { parse_int(\"x\") } catch (e) { r.push(e) } try { throw 1 } catch { throw; } r",
    /* control */
    "let s = []; for (x, i) in \"a\u00e9c\" { s.push(x) } for i in 0..3 { if i == 1 { continue } "
    "s.push(i) }"
    "for b in \"ab\".to_blob() { s += b } let k = switch s.len { 1 | 2 => \"few\", 3..99 => { "
    "s.len } _ => () };"
    "let i = 0; while true { i += 1; if i > 3 { break } } do { i -= 1 } until i < 0; [s, k, loop { "
    "break i }]",
    /* library */
    "let a = \"b,a,c\".split(\",\"); a.sort(); a.insert(1, \"x\"); a.splice(0..1, [1, 2]); let b = "
    "\"text\".to_blob();"
    "b.push(1); b += \"more\"; b.reverse(); let s = \" Stra\u00dfe \"; s.trim(); s.replace(\"e\", "
    "\"E\"); s.pad(12, \".\");"
    "let j = parse_json(`{\"a\": [1, null, {\"b\": \"\\u00e9\"}], \"c\": 1.5}`); j.mixin(#{d: "
    "j.keys()});"
    "[a, b, s.to_upper(), j, 255.to_hex(), s.to_chars().len, a.index_of(2), j.filter(|k, v| k != "
    "\"c\")]",
    /* large maps, in and out of order */
    "let m = #{}; for i in 0..40 { m[`k${(i * 7) % 40}`] = i; } let c = m; c.k3 = (); "
    "c.remove(\"k4\"); m.k40 = 1; let n = 0; for k in m.keys() { n += m[k]; } "
    "m.k5 += 1; if n != 781 || c.len != 39 || m == c { throw n }"
    "m.drain(|k, v| v > 9); m.mixin(c); m.to_json()",
    /* eval() that hides, f!(...), methods of a type, closures of missing names */
    "let x = 1; eval(\"let x = x + 1; const C = 2; let t = [x]\"); fn g(n) { x += n; t.push(n); x "
    "} "
    "let a = g!(5); { eval(\"let x = 'c'; let only = 1\"); x } for i in 0..2 { eval(\"let i = i * "
    "2\"); "
    "a += i } fn string.twice() { this + this } fn int.twice() { this * 2 } "
    "let s = \"a\"; let f = |k| { x; eval(\"k + x\") }; let r = [s.twice(), 4.twice(), f.call(1), "
    "is_def_var(\"t\")]; try { let h = || missing; h.call() } catch (e) { r.push(e) } "
    "r.append([3, 1, 2].order_by(|p, q| q - p)); [r, #\"raw\"#, t, a, #{k: 1}.map(|k, v| k + v)]",
    /* modules and eval */
    "import \"lib\" as l; const K = l::f(2); let x = 1; eval(\"x += 5; let y = x * 2;\"); [K, x, "
    "y, l::C]",
};

static int resolve(const char *name, char **ret_source, size_t *ret_len, bv_error **err, void *data)
{
    char *text = bvi_strdup(
        "export const C = [1, 2]; const D = 3; fn f(x) { g(x) * global::D } fn g(x) { x + 1 }");

    if (!text)
        return bvi_fail_nomem(err);
    *ret_source = text;
    *ret_len = strlen(text);
    return 0;
}

static int drive(bvi_script_engine *engine, const char *source, bv_error **err)
{
    BVI_AUTO(bvi_script_freep) bvi_script *script = NULL;
    BVI_AUTO(bvi_script_call_freep) bvi_script_call *call = NULL;
    int r = bvi_script_compile(engine, source, strlen(source), "main.rhai", &script, err);

    if (r == 0)
        r = bvi_script_call_new(engine, script, NULL, NULL, 0, &call, err);
    if (r < 0)
        return r;
    do {
        r = bvi_script_run(call);
    } while (r == BVI_SCRIPT_YIELD);
    return r < 0 ? bvi_script_failure(call, err) : r;
}

static int run_all(const bvi_script_options *options, const char *source, bv_error **err)
{
    BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = NULL;
    int r = bvi_script_engine_new(options, &engine, err);

    return r < 0 ? r : drive(engine, source, err);
}

/* Scripts that end in a rethrown failure are fine too; what matters is that nothing else goes
 * wrong. */
static bool is_expected(int r)
{
    return r == BVI_SCRIPT_DONE || r == BV_E_REMOTE;
}

START_TEST(survives_every_failed_allocation)
{
    bvi_script_options options = { .resolve = resolve };
    bv_error *err = NULL;
    int r = run_all(&options, scripts[_i], &err);

    ck_assert_msg(is_expected(r), "%s", bv_error_message(err));
    bv_error_free(err);
    bvt_for_each_failed_allocation(n) {
        err = NULL;
        r = run_all(&options, scripts[_i], &err);
        ck_assert_msg(is_expected(r) || r == BV_E_NOMEM, "allocation %zu: %d %s", n, r,
                      bv_error_message(err));
        ck_assert((r < 0) == (err != NULL));
        bv_error_free(err);
    }
}
END_TEST

START_TEST(survives_any_ceiling)
{
    bvi_script_options options = { .resolve = resolve };
    bvi_script_engine *engine = NULL;

    ck_assert_int_eq(bvi_script_engine_new(&options, &engine, NULL), 0);
    options.limits.memory_bytes = bvi_script_memory_used(engine);
    bvi_script_engine_free(engine);
    for (int i = 0; i < 200; i++, options.limits.memory_bytes += 97) {
        bv_error *err = NULL;
        int r = run_all(&options, scripts[_i], &err);

        ck_assert_msg(is_expected(r) || r == BV_E_NOMEM, "%d %s", r, bv_error_message(err));
        bv_error_free(err);
    }
}
END_TEST

START_TEST(counts_are_right_at_every_allocation)
{
    bvi_script_options options = { .resolve = resolve, .debug_flags = BVI_SCRIPT_DEBUG_STRESS };
    bv_error *err = NULL;
    int r = run_all(&options, scripts[_i], &err);

    ck_assert_msg(is_expected(r), "%s", bv_error_message(err));
    bv_error_free(err);
}
END_TEST

START_TEST(slices_of_one_give_the_same)
{
    bvi_script_options options = { .resolve = resolve, .limits = { .slice_operations = 1 } };
    bv_error *err = NULL;
    int r = run_all(&options, scripts[_i], &err);

    ck_assert_msg(is_expected(r), "%s", bv_error_message(err));
    bv_error_free(err);
}
END_TEST

static void on_trace(const char *text, size_t len, void *data)
{
    *(size_t *)data += len + 1;
}

START_TEST(dump_and_trace_speak)
{
    size_t written = 0;
    bvi_script_options options = {
        .resolve = resolve,
        .trace = on_trace,
        .debug_flags = BVI_SCRIPT_DEBUG_DUMP | BVI_SCRIPT_DEBUG_TRACE,
        .data = &written,
    };
    bv_error *err = NULL;

    ck_assert(is_expected(run_all(&options, scripts[_i], &err)));
    ck_assert_uint_gt(written, 1000);
    bv_error_free(err);
}
END_TEST

BVT_MAIN("script/memory", bvt_loop(survives_every_failed_allocation, scripts),
         bvt_loop(survives_any_ceiling, scripts),
         bvt_loop(counts_are_right_at_every_allocation, scripts),
         bvt_loop(slices_of_one_give_the_same, scripts), bvt_loop(dump_and_trace_speak, scripts))
