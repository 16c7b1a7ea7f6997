/* Notes on what a script says: one line for each, compared as text. */
#include <stdio.h>

#include "base/buf.h"
#include "bvt.h"
#include "script/inspect.h"

static const char *const kinds[] = {
    [BVI_NOTE_FUNCTION] = "fn",      [BVI_NOTE_DECLARE] = "declare",   [BVI_NOTE_IMPORT] = "import",
    [BVI_NOTE_EXPORT] = "export",    [BVI_NOTE_CALL] = "call",         [BVI_NOTE_METHOD] = "method",
    [BVI_NOTE_MEMBER_CALL] = "call", [BVI_NOTE_ARGUMENT] = "argument", [BVI_NOTE_VARIABLE] = "var",
    [BVI_NOTE_UNKNOWN] = "unknown",  [BVI_NOTE_GLOBAL] = "global",     [BVI_NOTE_MEMBER] = "member",
    [BVI_NOTE_STEP] = "step",        [BVI_NOTE_ASSIGN] = "assign",     [BVI_NOTE_MAP] = "map",
    [BVI_NOTE_KEY] = "key",          [BVI_NOTE_STRING] = "string",
};

/* "<column> <kind> [alias::]<text> #<count> of <of> in <in> ..<end> <flags>" */
static void print(bvi_buf *out, const bvi_note *n)
{
    (void)bvi_buf_printf(out, "%u %s", n->column, kinds[n->kind]);
    if (n->alias)
        (void)bvi_buf_printf(out, " %s::", n->alias);
    if (n->text)
        (void)bvi_buf_printf(out, " %s", n->text);
    if (n->count)
        (void)bvi_buf_printf(out, " #%u", n->count);
    if (n->of)
        (void)bvi_buf_printf(out, " of %u", n->of);
    if (n->in)
        (void)bvi_buf_printf(out, " in %u", n->in);
    if (n->end)
        (void)bvi_buf_printf(out, " ..%u", n->end);
    (void)bvi_buf_printf(out, "%s%s%s%s\n", n->is_const ? " const" : "", n->is_top ? " top" : "",
                         n->is_private ? " private" : "", n->is_nested ? " nested" : "");
}

static const struct {
    const char *script;
    const char *notes;
} cases[] = {
    { "const A = #{b: 1, \"c\": \"x\"}; let d = A.c;",
      "7 declare A of 2 const top\n11 map #2 ..6\n13 key b in 2 ..4\n19 key c of 5 in 2 ..6\n"
      "24 string x\n34 declare d of 8 top\n38 var A of 1\n40 step c of 7\n" },
    { "private fn f(x) { x + y + global::Z }",
      "9 fn f #1 ..5 private\n19 var x\n23 unknown y\n35 global Z\n" },
    { "fn f() { let p = node_params(); p[\"k\"]; p[1]; if true { p.a.b(2) } }",
      "1 fn f ..13\n14 declare p of 3\n18 call node_params ..4\n33 var p of 2\n35 string k\n"
      "35 step k of 4\n41 var p of 2\n43 step of 7\n57 var p of 2\n59 step a of 9\n"
      "61 method b #1 of 10 ..13\n63 argument in 11\n" },
    { "import \"base\" as b; b::f(1, \"s\"); b::X; b::c::Y; |z| b::V + z;",
      "8 string base\n1 import b:: base const top\n24 call b:: f #2 of 2 ..7\n26 argument in 3\n"
      "29 string s\n29 argument of 5 in 3\n38 member b:: X of 2\n47 member b:: Y of 2 nested\n"
      "57 member b:: V of 2\n61 var z\n" },
    { "export let a = 1; export a as c; a.x = 2;",
      "12 declare a top\n8 export a of 1\n26 export c of 1\n34 var a of 1\n36 step x of 4\n"
      "38 assign of 5\n" },
    { "(f(1)).g(); f(1) + 2; `${h(1)}`;",
      "2 call f #1 ..3\n4 argument in 1\n8 method g of 1 ..4\n13 call f #1 ..6\n15 argument in 4\n"
      "26 call h #1 ..8\n28 argument in 6\n" },
};

static void notes_of(const char *script, bvi_buf *out)
{
    BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = NULL;
    BVI_AUTO(bvi_notes_freep) bvi_notes *notes = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_script_engine_new(NULL, &engine, &err), err);
    bvt_assert_ok(bvi_script_inspect(engine, script, strlen(script), "x", &notes, &err), err);
    ck_assert_ptr_null(notes->error);
    for (size_t i = 1; i < notes->items.len; i++)
        print(out, &notes->items.items[i]);
}

START_TEST(notes_what_it_says)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(65536);

    notes_of(cases[_i].script, &out);
    ck_assert_str_eq(bvi_buf_str(&out), cases[_i].notes);
}
END_TEST

START_TEST(tells_where_it_does_not_compile)
{
    BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = NULL;
    BVI_AUTO(bvi_notes_freep) bvi_notes *notes = NULL;
    static const char script[] = "let a = f(1);\nlet = 2;";
    bv_error *err = NULL;

    bvt_assert_ok(bvi_script_engine_new(NULL, &engine, &err), err);
    bvt_assert_ok(bvi_script_inspect(engine, script, strlen(script), "x", &notes, &err), err);
    ck_assert_str_eq(notes->error, "Expecting name of a variable");
    ck_assert_uint_eq(notes->line, 2);
    ck_assert_uint_eq(notes->column, 5);
    ck_assert_ptr_null(notes->script);
    ck_assert_uint_eq(notes->items.len, 1);
}
END_TEST

START_TEST(knows_the_functions)
{
    BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = NULL;
    bv_error *err = NULL;
    bool found = false;

    bvt_assert_ok(bvi_script_engine_new(NULL, &engine, &err), err);
    ck_assert_uint_eq(bvi_script_native_arities(engine, "sub_string"), 1u << 2 | 1u << 3);
    ck_assert_uint_eq(bvi_script_native_arities(engine, "no_such"), 0);
    for (size_t i = 0; bvi_script_native_name(engine, i); i++)
        found |= strcmp(bvi_script_native_name(engine, i), "sub_string") == 0;
    ck_assert(found);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = NULL;
        BVI_AUTO(bvi_notes_freep) bvi_notes *notes = NULL;
        int r = bvi_script_engine_new(NULL, &engine, NULL);

        if (r == 0)
            r = bvi_script_inspect(engine, cases[0].script, strlen(cases[0].script), "x", &notes,
                                   NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
    }
}
END_TEST

BVT_MAIN("script/inspect", bvt_loop(notes_what_it_says, cases),
         bvt_test(tells_where_it_does_not_compile), bvt_test(knows_the_functions),
         bvt_test(survives_every_failed_allocation))
