/* Which lines of a script run: "1+ 2- 3+" for each source, + for those that did. */
#include <string.h>

#include "bvt.h"
#include "harness.h"

static const struct {
    const char *source;
    const char *lines;
} cases[] = {
    { "let x = 1;\nlet y = #{\n  a: x,\n  b: 2\n};\n\n// nothing\ny.a", "1+ 2+ 8+" },
    { "fn f() {\n  if true {\n    1\n  } else {\n    2\n  }\n}\nfn g() {\n  3\n}\nf()",
      "2+ 3+ 5- 9- 11+" },
    { "for i in 0..2 { if i == 9 {\n break;\n} }\nwhile false {\n  1;\n}", "1+ 2- 4+ 5-" },
    { "switch 2 {\n  1 => 10,\n  2 => 20,\n  _ => {\n   30\n  }\n}", "1+ 2- 3+ 4- 5-" },
    { "try {\n  throw 1;\n  let a = 2;\n} catch (e) {\n  let b = e;\n}", "1+ 2+ 3- 5+" },
    { "let f = |x| {\n  x + 1\n};\nlet g = |x| {\n  x\n};\nf.call(1)", "1+ 2+ 4+ 5- 7+" },
    { "eval(\"1;\\n2;\\n3\");", "1+" },
};

static void note(const char *name, uint32_t line, bool ran, void *data)
{
    bvi_buf *text = data;

    ck_assert_str_eq(name, "");
    ck_assert_int_eq(bvi_buf_printf(text, "%s%u%c", text->len ? " " : "", line, ran ? '+' : '-'),
                     0);
}

START_TEST(notes_lines_of_statements)
{
    bvi_buf text = BVI_BUF_INIT(4096);
    harness h;

    harness_init(&h);
    h.options.debug_flags |= BVI_SCRIPT_COVERAGE;
    harness_open(&h);
    (void)harness_run(&h, cases[_i].source, NULL); /* what comes out is not the question */
    bvi_script_coverage(h.engine, note, &text);
    ck_assert_str_eq(bvi_buf_str(&text), cases[_i].lines);
    harness_close(&h);
    bvi_buf_done(&text);
}
END_TEST

static void count(const char *name, uint32_t line, bool ran, void *data)
{
    ++*(unsigned *)data;
}

START_TEST(knows_nothing_unless_asked)
{
    unsigned lines = 0;
    harness h;

    harness_init(&h);
    harness_open(&h);
    ck_assert_str_eq(harness_run(&h, "let x = 1;\nx + 1", NULL), "i64: 2");
    bvi_script_coverage(h.engine, count, &lines);
    ck_assert_uint_eq(lines, 0);
    harness_close(&h);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvi_script_options options = { .debug_flags = BVI_SCRIPT_COVERAGE };

    bvt_for_each_failed_allocation(n) {
        bvi_script_engine *engine = NULL;
        bvi_script *script = NULL;
        int r = bvi_script_engine_new(&options, &engine, NULL);

        if (r == 0)
            r = bvi_script_compile(engine, cases[1].source, strlen(cases[1].source), "name",
                                   &script, NULL);
        ck_assert(r == BV_OK || r == BV_E_NOMEM);
        bvi_script_free(script);
        bvi_script_engine_free(engine);
    }
}
END_TEST

BVT_MAIN("script/coverage", bvt_loop(notes_lines_of_statements, cases),
         bvt_test(knows_nothing_unless_asked), bvt_test(survives_every_failed_allocation))
