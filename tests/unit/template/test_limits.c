/* What a template cannot do: run for ever, fill the memory, exhaust the stack, get out of its
 * directory; and what is left after an allocation failed. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bvt.h"
#include "template/arena.h"
#include "template/template.h"

/* As small as the stacks of worker threads. */
#define STACK_BYTES (1024u * 1024u)

typedef struct attempt {
    const char *text;
    const char *params;
    bvi_template_options options;
    int code;
    bv_error *err;
    bvi_buf out;
} attempt;

static void *render(void *data)
{
    attempt *a = data;
    bvi_template *tpl = NULL;
    bvi_json *params = NULL;
    const char *text = a->params ? a->params : "{}";

    a->code = bvi_json_parse(text, strlen(text), &params, &a->err);
    if (a->code == 0)
        a->code = bvi_template_parse(a->text, strlen(a->text), "out.html", &tpl, NULL, &a->err);
    if (a->code == 0)
        a->code = bvi_template_render(tpl, &a->options, params, &a->out, NULL, &a->err);
    bvi_template_free(tpl);
    bvi_json_free(params);
    return NULL;
}

static void render_on_small_stack(attempt *a)
{
    pthread_attr_t attr;
    pthread_t thread;

    ck_assert_int_eq(pthread_attr_init(&attr), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, STACK_BYTES), 0);
    ck_assert_int_eq(pthread_create(&thread, &attr, render, a), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    (void)pthread_attr_destroy(&attr);
}

static void attempt_done(attempt *a)
{
    bv_error_free(a->err);
    bvi_buf_done(&a->out);
}

/* ---- limits ---- */

#define NINES "{% for a in range(end=99999) %}{% for b in range(end=99999) %}"
#define ENDS  "{% endfor %}{% endfor %}"

static const struct {
    const char *text;
    int code;
    const char *says;
} excesses[] = {
    { NINES ENDS, BV_E_LIMIT, "operations" },
    { NINES "x" ENDS, BV_E_LIMIT, "operations" },
    { NINES "{{ 'x' | replace(from='', to='xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') }}" ENDS, BV_E_LIMIT,
      "more than" },
    { "{% set l = range(end=9999) %}" NINES "{{ l == l }}" ENDS, BV_E_LIMIT, "operations" },
    { "{% set l = range(end=9999) %}" NINES "{{ l | sort | first }}" ENDS, BV_E_LIMIT,
      "operations" },
    { "{% set l = range(end=9999) %}" NINES "{{ -1 in l }}" ENDS, BV_E_LIMIT, "operations" },
    { "{% set l = range(end=9999) %}{{ l | unique | length }}", BV_E_LIMIT, "operations" },
    { "{% set s = 'xxxxxxxxxxxxxxxx' %}{% for i in range(end=40) %}{% set_global s = s ~ s %}"
      "{% endfor %}",
      BV_E_LIMIT, "bytes of values" },
    { "{% set s = 'xxxxxxxxxxxxxxxx' %}{% for i in range(end=20) %}{% set_global s = s ~ s %}"
      "{% endfor %}{{ s }}{{ s }}",
      BV_E_LIMIT, "bytes of output" },
    { "{% set l = [1] %}{% for i in range(end=40) %}{% set_global l = l | concat(with=l) %}"
      "{% endfor %}",
      BV_E_LIMIT, "bytes of values" },
    { NINES "{{ s is matching('(((a|b)*a(a|b){8}){4})+$') }}" ENDS, BV_E_LIMIT, "operations" },
    { "{% set s = 'abaababbabaabbababaabbabaaabbaba' %}{% for i in range(end=5) %}"
      "{% set_global s = s ~ s %}{% endfor %}{% for i in range(end=999) %}"
      "{{ s is matching('(a|b)*a(a|b){20}c') }}{% endfor %}",
      BV_E_LIMIT, "operations" },
    { "{% macro m(s) %}{{ s }}{{ self::m(s=s) }}{% endmacro %}{% set s = 'xxxxxxxxxxxxxxxx' %}"
      "{% for i in range(end=16) %}{% set_global s = s ~ s %}{% endfor %}{{ self::m(s=s) }}",
      BV_E_LIMIT, "bytes of output" },
    { "{{ range(end=99999999) | length }}", BV_E_LIMIT, "would give 99999999 numbers" },
    { "{% set l = [] %}{% for i in range(end=300) %}{% set_global l = [l] %}{% endfor %}",
      BV_E_LIMIT, "nested deeper than 200" },
    { "{% set l = [] %}{% for i in range(end=300) %}{% set k = [0] | concat(with=0) %}"
      "{% set_global l = [l] | concat(with=k) %}{% endfor %}",
      BV_E_LIMIT, "nested deeper than 200" },
    { "{% macro m(n) %}{{ self::m(n=n) }}{% endmacro %}{{ self::m(n=1) }}", BV_E_LIMIT,
      "nest deeper than 200" },
    { "{% macro m(n) %}{{ s | replace(from=self::m(n=n) | trim, to=self::m(n=n)) | trim }}"
      "{% endmacro %}{{ self::m(n=1) }}",
      BV_E_LIMIT, "nest deeper than 200" },
};

START_TEST(limits_hold)
{
    attempt a = { .text = excesses[_i].text,
                  .params = "{\"s\":\"x\"}",
                  .out = { .max = SIZE_MAX } };

    if (_i > 0) /* the first one meets the defaults */
        a.options.limits =
            (bvi_template_limits){ 2000000, 16u * 1024u * 1024u, 4u * 1024u * 1024u };
    bvt_reset_peak();
    render_on_small_stack(&a);
    bvt_assert_error_says(a.err, excesses[_i].code, excesses[_i].says);
    ck_assert_uint_lt(bvt_peak_bytes(), 64u * 1024u * 1024u);
    attempt_done(&a);
}
END_TEST

START_TEST(limits_can_be_set)
{
    static const char text[] = "{% for i in range(end=100) %}{{ i }},{% endfor %}";
    static const struct {
        bvi_template_limits limits;
        int code;
    } cases[] = {
        { { .operations = 100 }, BV_E_LIMIT },    { { .operations = 5000 }, BV_OK },
        { { .memory_bytes = 1000 }, BV_E_LIMIT }, { { .memory_bytes = 100000 }, BV_OK },
        { { .output_bytes = 289 }, BV_E_LIMIT },  { { .output_bytes = 290 }, BV_OK },
    };

    for (size_t i = 0; i < BVI_COUNT(cases); i++) {
        attempt a = { .text = text, .options.limits = cases[i].limits, .out = { .max = 1000 } };

        (void)render(&a);
        ck_assert_msg(a.code == cases[i].code, "case %zu: %d", i, a.code);
        attempt_done(&a);
    }
}
END_TEST

/* ---- depth ---- */

static const struct {
    const char *open;
    const char *middle;
    const char *close;
    size_t most; /* works */
} nestings[] = {
    { "{% if t %}", "x", "{% endif %}", 64 },
    { "{% for i in l %}", "x", "{% endfor %}", 64 },
    { "{% filter trim %}", "x", "{% endfilter %}", 64 },
    { "(", "t", ")", 99 },
    { "not (", "t", ")", 49 },
    { "1 + (", "1", ")", 99 },
    { "l[", "z", "]", 98 },
    { "s | replace(from=s, to=", "s", ")", 98 },
};

static char *nested(size_t i, size_t count)
{
    bvi_buf text = BVI_BUF_INIT(SIZE_MAX);
    bool tag = *nestings[i].open == '{';

    ck_assert_int_eq(bvi_buf_append_str(&text, tag ? "" : "{{ "), 0);
    for (size_t n = 0; n < count; n++)
        ck_assert_int_eq(bvi_buf_append_str(&text, nestings[i].open), 0);
    ck_assert_int_eq(bvi_buf_append_str(&text, nestings[i].middle), 0);
    for (size_t n = 0; n < count; n++)
        ck_assert_int_eq(bvi_buf_append_str(&text, nestings[i].close), 0);
    ck_assert_int_eq(bvi_buf_append_str(&text, tag ? "" : " }}"), 0);
    return bvi_buf_take(&text);
}

START_TEST(nesting_is_bounded)
{
    static const char params[] = "{\"t\":true,\"l\":[0],\"z\":0,\"s\":\"x\"}";
    static const size_t counts[] = { 1, 0, 101, 5000, 20000 };

    for (size_t i = 0; i < BVI_COUNT(counts); i++) {
        size_t count = counts[i] ? counts[i] : nestings[_i].most;
        char *text = nested((size_t)_i, count);
        attempt a = { .text = text, .params = params, .out = { .max = 1000 } };

        render_on_small_stack(&a);
        if (count <= nestings[_i].most)
            ck_assert_msg(a.code == 0, "%zu: %s", count, bv_error_message(a.err));
        else
            bvt_assert_error_says(a.err, BV_E_LIMIT, "at most");
        attempt_done(&a);
        bvi_free(text);
    }
}
END_TEST

START_TEST(long_chains_are_bounded)
{
    static const char *const links[] = {
        " + 1", " | trim", " and t", " or t", ".x", "[0]", " ~ s"
    };

    for (size_t i = 0; i < BVI_COUNT(links); i++) {
        bvi_buf text = BVI_BUF_INIT(SIZE_MAX);
        attempt a = { .params = "{\"s\":\"x\",\"t\":true}", .out = { .max = 1000000 } };

        ck_assert_int_eq(bvi_buf_append_str(&text, "{{ s"), 0);
        for (size_t n = 0; n < 20000; n++)
            ck_assert_int_eq(bvi_buf_append_str(&text, links[i]), 0);
        ck_assert_int_eq(bvi_buf_append_str(&text, " }}"), 0);
        a.text = bvi_buf_str(&text);
        render_on_small_stack(&a);
        /* Joining has no depth. */
        ck_assert_int_eq(a.code, strcmp(links[i], " ~ s") == 0 ? 0 : BV_E_LIMIT);
        attempt_done(&a);
        bvi_buf_done(&text);
    }
}
END_TEST

static int load_next(const char *name, char **ret_text, size_t *ret_len, bv_error **err, void *data)
{
    *ret_text = bvi_asprintf("{%% include '%ld' %%}", strtol(name, NULL, 10) + 1);
    *ret_len = *ret_text ? strlen(*ret_text) : 0;
    return *ret_text ? 0 : BV_E_NOMEM;
}

START_TEST(includes_are_bounded)
{
    attempt deep = { .text = "{% include '1' %}", .options.load = load_next };
    bvi_buf text = BVI_BUF_INIT(SIZE_MAX);
    attempt wide = { .options.load = load_next };

    render_on_small_stack(&deep);
    bvt_assert_error_says(deep.err, BV_E_LIMIT, "include each other 16 deep");
    attempt_done(&deep);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(bvi_buf_printf(&text, "{%% import '%d' as n%d %%}", i * 7, i), 0);
    wide.text = bvi_buf_str(&text);
    render_on_small_stack(&wide);
    bvt_assert_error_says(wide.err, BV_E_LIMIT, "more than 64 other templates");
    attempt_done(&wide);
    bvi_buf_done(&text);
}
END_TEST

/* ---- everything else ---- */

START_TEST(refuses_what_is_no_text)
{
    bvi_template *tpl = NULL;
    bv_error *err = NULL;
    char *large = calloc(1, BVI_TEMPLATE_BYTES_MAX + 1);

    memset(large, 'x', BVI_TEMPLATE_BYTES_MAX + 1);
    ck_assert_int_eq(bvi_template_parse(large, BVI_TEMPLATE_BYTES_MAX + 1, "n", &tpl, NULL, &err),
                     BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "the template 'n' has 4194305 bytes");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(bvi_template_parse(large, BVI_TEMPLATE_BYTES_MAX, "n", &tpl, NULL, &err), 0);
    bvi_template_free(tpl);
    ck_assert_int_eq(bvi_template_parse("a\xff", 2, "n", &tpl, NULL, &err), BV_E_FORMAT);
    bvt_assert_error_says(err, BV_E_FORMAT, "not UTF-8");
    bv_error_free(err);
    free(large);
}
END_TEST

static const char everything[] =
    "{# c #}{% macro m(a, b='x') %}{{ a }}{{ b | upper }}{% endmacro %}"
    "{% set l = users | sort(attribute='n') | map(attribute='n') %}{{ self::m(a=l) }}"
    "{% for k, v in users | group_by(attribute='a') %}{{ k }}{{ v | length }}{% endfor %}"
    "{% for c in s %}{% if loop.first %}{{ c ~ loop.index }}{% else %}{% break %}{% endif %}{% "
    "endfor %}"
    "{% filter replace(from='a', to='b') %}{{ s }}{% endfilter %}{{ __tera_context | length }}"
    "{{ s | split(pat='-') | join(sep='+') | truncate(length=3) | escape }}{{ users | json_encode "
    "}}"
    "{{ s is matching('^a') }}{{ range(end=3) | concat(with=[4]) | unique | reverse }}"
    "{{ q | default(value=[1,2]) }}{{ s | int + 2.5 | round }}{{ html }}"
    "{% set_global g = s ~ s %}{{ multi | indent | title | addslashes | striptags | trim }}";

START_TEST(survives_failed_allocations)
{
    bvt_for_each_failed_allocation(n) {
        attempt a = { .text = everything, .out = { .max = 100000 } };

        a.params =
            "{\"s\":\"a-b\",\"html\":\"<\",\"multi\":\"a\\nb\",\"users\":[{\"n\":\"b\",\"a\":1},"
            "{\"n\":\"a\",\"a\":2}]}";
        (void)render(&a);
        if (a.code != BV_E_NOMEM)
            bvt_assert_ok(a.code, a.err);
        attempt_done(&a);
    }
}
END_TEST

static const char *const wrong[] = {
    "{{ q }}",
    "{{ l[9] }}",
    "{{ 1 + s }}",
    "{{ s | nope }}",
    "{{ s | replace(from='x') }}",
    "{% include ['a', 'b'] %}",
    "{% if %}",
    "{{ 99999999999999999999 }}",
    "{{ l is matching('(') }}",
    "{% extends 'x' %}",
    "{% macro m(a) %}{{ q }}{% endmacro %}{{ self::m(a=1) }}",
};

START_TEST(failing_survives_failed_allocations)
{
    bvt_for_each_failed_allocation(n) {
        attempt a = { .text = wrong[_i],
                      .params = "{\"s\":\"x\",\"l\":[1]}",
                      .out = { .max = 100 } };

        (void)render(&a);
        ck_assert_int_lt(a.code, 0);
        ck_assert_int_eq(bv_error_code(a.err), a.code);
        attempt_done(&a);
    }
}
END_TEST

START_TEST(an_arena_gives_back)
{
    bvi_arena arena;
    bvi_arena_mark mark;
    char *first;

    bvi_arena_init(&arena, 100000);
    first = bvi_arena_alloc(&arena, 10);
    memset(first, 'a', 10);
    mark = bvi_arena_here(&arena);
    for (int i = 0; i < 1000; i++) {
        ck_assert_ptr_nonnull(bvi_arena_alloc(&arena, 50000));
        ck_assert_ptr_nonnull(bvi_arena_alloc(&arena, 1));
        bvi_arena_release(&arena, mark);
    }
    ck_assert_uint_lt(bvt_live_bytes(), 200000);
    ck_assert_int_eq(first[9], 'a');
    ck_assert_ptr_null(bvi_arena_alloc(&arena, 100001));
    ck_assert_int_eq(arena.failure, BV_E_LIMIT);
    ck_assert_ptr_nonnull(bvi_arena_alloc(&arena, 70000));
    bvi_arena_pin(&arena);
    bvi_arena_release(&arena, mark);
    ck_assert_ptr_null(bvi_arena_alloc(&arena, 70000));
    bvi_arena_done(&arena);
}
END_TEST

BVT_MAIN("template/limits", bvt_loop(limits_hold, excesses), bvt_test(limits_can_be_set),
         bvt_loop(nesting_is_bounded, nestings), bvt_test(long_chains_are_bounded),
         bvt_test(includes_are_bounded), bvt_test(refuses_what_is_no_text),
         bvt_test(survives_failed_allocations),
         bvt_loop(failing_survives_failed_allocations, wrong), bvt_test(an_arena_gives_back))
