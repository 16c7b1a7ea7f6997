/*
 * test.c - `x is test` and `x is not test(args)`.
 */
#include <math.h>
#include <string.h>

#include "template/run.h"

/* v NULL: the variable is not defined; only tests that say so are called with that. */
typedef int (*test_fn)(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret);

static int test_defined(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    *ret = v != NULL;
    return 0;
}

static int test_undefined(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    *ret = v == NULL;
    return 0;
}

static int test_string(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    *ret = v->type == BVI_TPL_STRING;
    return 0;
}

static int test_number(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    *ret = bvi_tpl_is_number(v);
    return 0;
}

static int test_object(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    *ret = v->type == BVI_TPL_OBJECT;
    return 0;
}

static int test_iterable(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    *ret = v->type == BVI_TPL_ARRAY || v->type == BVI_TPL_OBJECT;
    return 0;
}

/* ---- arguments have no names here ---- */

static int need_arg(bvi_tpl_using *use, const bvi_tpl_value **ret)
{
    if (use->count == 0)
        return bvi_tpl_use_fail(use, "Tester `%s` expected an argument", use->name);
    *ret = &use->args[0].value;
    return 0;
}

static int need_text_arg(bvi_tpl_using *use, bvi_span *ret)
{
    const bvi_tpl_value *arg = NULL;
    int r = need_arg(use, &arg);

    if (r < 0)
        return r;
    if (arg->type != BVI_TPL_STRING)
        return bvi_tpl_use_fail(use, "Tester `%s` was called with an argument that isn't a string",
                                use->name);
    *ret = (bvi_span){ arg->as.text, arg->len };
    return 0;
}

static int need_kind(bvi_tpl_using *use, bool is_it, const char *kind)
{
    return is_it ? 0
                 : bvi_tpl_use_fail(use, "Tester `%s` was called on a variable that isn't a %s",
                                    use->name, kind);
}

/* ---- numbers ---- */

static int divides(bvi_tpl_using *use, const bvi_tpl_value *v, const bvi_tpl_value *by, bool *ret)
{
    int r = need_kind(use, bvi_tpl_is_number(v), "number");

    if (r < 0)
        return r;
    if (!bvi_tpl_is_number(by) || bvi_tpl_double(by) == 0)
        return bvi_tpl_use_fail(use, "Tester `%s` needs a number that is not zero", use->name);
    if (v->type == BVI_TPL_INT && by->type == BVI_TPL_INT)
        *ret = by->as.i == -1 || v->as.i % by->as.i == 0;
    else if (v->type == BVI_TPL_UINT && by->type == BVI_TPL_INT && by->as.i > 0)
        *ret = v->as.u % (uint64_t)by->as.i == 0;
    else
        *ret = fmod(bvi_tpl_double(v), bvi_tpl_double(by)) == 0;
    return 0;
}

static int test_even(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    bvi_tpl_value two = bvi_tpl_int(2);

    return divides(use, v, &two, ret);
}

static int test_odd(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    int r = test_even(use, v, ret);

    *ret = !*ret;
    return r;
}

static int test_divisibleby(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    const bvi_tpl_value *by = NULL;
    int r = need_arg(use, &by);

    return r < 0 ? r : divides(use, v, by, ret);
}

/* ---- strings ---- */

static int test_starting_with(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    bvi_span start = { "", 0 };
    int r = need_kind(use, v->type == BVI_TPL_STRING, "string");

    if (r >= 0)
        r = need_text_arg(use, &start);
    if (r >= 0)
        *ret = v->len >= start.len && memcmp(v->as.text, start.at, start.len) == 0;
    return r;
}

static int test_ending_with(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    bvi_span end = { "", 0 };
    int r = need_kind(use, v->type == BVI_TPL_STRING, "string");

    if (r >= 0)
        r = need_text_arg(use, &end);
    if (r >= 0)
        *ret = v->len >= end.len && memcmp(v->as.text + v->len - end.len, end.at, end.len) == 0;
    return r;
}

static int test_matching(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    bvi_span pattern = { "", 0 };
    bvi_auto_error bv_error *why = NULL;
    int r = need_kind(use, v->type == BVI_TPL_STRING, "string");

    if (r >= 0)
        r = need_text_arg(use, &pattern);
    if (r >= 0)
        r = bvi_tpl_use_spend(use, bvi_tpl_match_cost(pattern.at, pattern.len, v->len));
    if (r < 0)
        return r;
    r = bvi_tpl_matches(pattern.at, pattern.len, v->as.text, v->len, ret, &why);
    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(&use->run->err);
    return r < 0 ? bvi_tpl_use_fail(use, "Tester `matching`: %s", bv_error_message(why)) : 0;
}

static bool has_item(bvi_tpl_using *use, const bvi_tpl_value *array, const bvi_tpl_value *item)
{
    for (size_t i = 0; i < array->len; i++) {
        if (bvi_tpl_equal(&array->as.items[i], item, &use->run->work))
            return true;
    }
    return false;
}

static int test_containing(bvi_tpl_using *use, const bvi_tpl_value *v, bool *ret)
{
    const bvi_tpl_value *item = NULL;
    bvi_span text = { "", 0 };
    int r;

    if (v->type == BVI_TPL_ARRAY) {
        r = need_arg(use, &item);
        *ret = r >= 0 && has_item(use, v, item);
        return r < 0 ? r : bvi_tpl_use_spend(use, 0);
    }
    if (v->type < BVI_TPL_STRING)
        return bvi_tpl_use_fail(use,
                                "Tester `containing` can only be used on string, array or map");
    r = need_text_arg(use, &text);
    if (r < 0)
        return r;
    *ret = v->type == BVI_TPL_STRING ? bvi_text_find((bvi_span){ v->as.text, v->len }, text) != NULL
                                     : bvi_tpl_find(v, text.at, text.len) != NULL;
    return bvi_tpl_use_spend(use, v->len / BVI_TPL_BYTES_PER_OPERATION);
}

/* ---- the table ---- */

typedef struct test {
    const char *name;
    test_fn fn;
    bool undefined; /* may be asked about a variable that is not there */
} test;

static const test tests[] = {
    { "containing", test_containing, false },
    { "defined", test_defined, true },
    { "divisibleby", test_divisibleby, false },
    { "ending_with", test_ending_with, false },
    { "even", test_even, false },
    { "iterable", test_iterable, false },
    { "matching", test_matching, false },
    { "number", test_number, false },
    { "object", test_object, false },
    { "odd", test_odd, false },
    { "starting_with", test_starting_with, false },
    { "string", test_string, false },
    { "undefined", test_undefined, true },
};

static const test *find_test(bvi_span name)
{
    for (size_t i = 0; i < BVI_COUNT(tests); i++) {
        if (bvi_span_is(name, tests[i].name, strlen(tests[i].name)))
            return &tests[i];
    }
    return NULL;
}

static int call_test(bvi_tpl_using *use, const test *t, const bvi_tpl_expr *input, bool *ret)
{
    const bvi_tpl_value *found = NULL;
    bvi_tpl_value v;
    int r = bvi_tpl_lookup(use->run, &input->as.path, &found);

    if (r < 0)
        return r;
    if (!found && !t->undefined)
        return bvi_tpl_use_fail(use, "Tester `%s` was called on an undefined variable", t->name);
    if (found)
        v = *found;
    return t->fn(use, found ? &v : NULL, ret);
}

int bvi_tpl_apply_test(bvi_tpl_run *run, const bvi_tpl_expr *e, bool *ret)
{
    const test *t = find_test(e->as.call.name);
    bvi_tpl_using use;
    int r;

    if (!t)
        return bvi_tpl_fail(run, e->pos, "Test '%.*s' not found", (int)e->as.call.name.len,
                            e->as.call.name.at);
    r = bvi_tpl_use(run, e, "Tester", t->name, &use);
    if (r < 0)
        return r;
    r = call_test(&use, t, e->as.call.input, ret);
    if (r < 0)
        return bvi_tpl_wrap(run, r, "Test call '%s' failed", t->name);
    if (e->as.call.negated)
        *ret = !*ret;
    return 0;
}
