/* bv_template_render(): what a program gives it and gets back. */
#include <blockvisor/template.h>
#include <string.h>

#include "bvt.h"

static const char *env(const char *name, void *data)
{
    ck_assert_str_eq(name, "PLACE"); /* secrets are not asked for */
    return data;
}

static void expect_text(const char *text, const char *params, const bv_template_opts *opts,
                        const char *expected)
{
    bv_error *err = NULL;
    char *out = NULL;

    bvt_assert_ok(bv_template_render(text, params, opts, &out, &err), err);
    ck_assert_str_eq(out, expected);
    bv_free(out);
}

START_TEST(renders)
{
    bv_template_opts opts = BV_TEMPLATE_OPTS_INIT;
    char here[] = "here";

    expect_text("a {{ x }}", "{\"x\":[1,2.5]}", NULL, "a [1, 2.5]");
    expect_text("nothing", NULL, NULL, "nothing");
    expect_text("", NULL, &opts, "");
    expect_text("{{ '<' }}{{ get_env(name='PLACE', default='none') }}", NULL, &opts, "<none");
    opts.name = "a.html";
    opts.env = env;
    opts.data = here;
    expect_text("{{ '<' }}{{ get_env(name='PLACE') }}{{ get_env(name='MY_TOKEN', default=1) }}",
                NULL, &opts, "&lt;here1");
}
END_TEST

START_TEST(includes_from_a_directory)
{
    bv_template_opts opts = BV_TEMPLATE_OPTS_INIT;
    bv_error *err = NULL;
    char *out = NULL;

    bvt_write_file("part", "[{{ x }}]");
    opts.include_dir = bvt_dir();
    expect_text("{% include 'part' %}", "{\"x\":1}", &opts, "[1]");
    opts.include_dir = bvt_path("none");
    ck_assert_int_eq(bv_template_render("", NULL, &opts, &out, &err), BV_E_NOT_FOUND);
    bvt_assert_error_says(err, BV_E_NOT_FOUND, "cannot open the include directory");
    bv_error_free(err);
    opts.include_dir = NULL;
    err = NULL;
    ck_assert_int_eq(bv_template_render("{% include 'part' %}", NULL, &opts, &out, &err),
                     BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "Template '[part]' not found");
    bv_error_free(err);
    ck_assert_ptr_null(out);
}
END_TEST

static const struct {
    const char *text;
    const char *params;
    int code;
    const char *file;
    uint32_t line, column;
    const char *says;
} failures[] = {
    { "a\n {{ q }}", NULL, BV_E_INVALID, "name", 2, 5, "Variable `q` not found" },
    { "\xc3\xa4 {{ q }}", NULL, BV_E_INVALID, "name", 1, 6, "line 1, column 6" },
    { "a\n\n{% if %}", NULL, BV_E_FORMAT, "name", 3, 7, "Failed to parse 'name'" },
    { "{% include 'bad' %}", NULL, BV_E_FORMAT, "bad", 2, 4, "Failed to parse 'bad'" },
    { "{% include 'wrong' %}", NULL, BV_E_INVALID, "wrong", 2, 4, "of 'wrong'" },
    { "{% include '../x' %}", NULL, BV_E_INVALID, "name", 1, 1, "leads out of its directory" },
    { "x", "[]", BV_E_INVALID, "", 0, 0, "requires it being a JSON object" },
    { "x", "{", BV_E_FORMAT, "", 0, 0, "the parameters of a template" },
    { "x", "{\"a\":1,\"a\":2}", BV_E_FORMAT, "", 0, 0, "'a' is repeated" },
    { "\xff", NULL, BV_E_FORMAT, "", 0, 0, "not UTF-8" },
    { "{{ range(end=99) }}", NULL, BV_E_LIMIT, "name", 1, 4, "would give 99 numbers" },
};

START_TEST(tells_where_it_failed)
{
    bv_template_place place = BV_TEMPLATE_PLACE_INIT;
    bv_template_opts opts = BV_TEMPLATE_OPTS_INIT;
    bv_error *err = NULL;
    char *out = NULL;

    bvt_write_file("bad", "\n{{ }}");
    bvt_write_file("wrong", "\n{{ q }}");
    opts.name = "name";
    opts.include_dir = bvt_dir();
    opts.max_memory_bytes = 1000;
    opts.place = &place;
    ck_assert_int_eq(bv_template_render(failures[_i].text, failures[_i].params, &opts, &out, &err),
                     failures[_i].code);
    bvt_assert_error_says(err, failures[_i].code, failures[_i].says);
    ck_assert_uint_eq(place.line, failures[_i].line);
    ck_assert_uint_eq(place.column, failures[_i].column);
    ck_assert_str_eq(place.file, failures[_i].file);
    ck_assert_ptr_null(out);
    bv_error_free(err);

    /* Nobody has to ask. */
    opts.place = NULL;
    ck_assert_int_eq(bv_template_render(failures[_i].text, failures[_i].params, &opts, &out, NULL),
                     failures[_i].code);
}
END_TEST

START_TEST(survives_failed_allocations)
{
    bv_template_opts opts = BV_TEMPLATE_OPTS_INIT;

    bvt_write_file("part", "{% macro m() %}{{ x }}{% endmacro %}[{{ self::m() }}]");
    opts.include_dir = bvt_dir();
    bvt_for_each_failed_allocation(n) {
        char *out = NULL;
        int r = bv_template_render("{% import 'part' as p %}{{ p::m() }}{% include 'part' %}",
                                   "{\"x\":\"y\"}", &opts, &out, NULL);

        ck_assert(r == BV_OK || r == BV_E_NOMEM);
        ck_assert(r != BV_OK || strcmp(out, "y[y]") == 0);
        bv_free(out);
    }
}
END_TEST

BVT_MAIN("template/api", bvt_test(renders), bvt_test(includes_from_a_directory),
         bvt_loop(tells_where_it_failed, failures), bvt_test(survives_failed_allocations))
