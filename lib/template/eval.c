/*
 * eval.c - expressions.
 */
#include <math.h>
#include <string.h>

#include "template/run.h"

/* ---- what messages call an expression ---- */

static const bvi_tpl_expr *unfiltered(const bvi_tpl_expr *e)
{
    while (e->kind == BVI_TPL_FILTER && e->as.call.input)
        e = e->as.call.input;
    return e;
}

bvi_span bvi_tpl_expr_name(const bvi_tpl_expr *e)
{
    e = unfiltered(e);
    if (e->kind == BVI_TPL_PATH)
        return e->as.path.text;
    if (e->kind == BVI_TPL_FUNCTION || e->kind == BVI_TPL_MACRO_CALL)
        return e->as.call.name;
    return e->kind == BVI_TPL_LIST ? (bvi_span){ "an array literal", 16 }
                                   : (bvi_span){ "an expression", 13 };
}

static bool is_filter(const bvi_tpl_expr *e, const char *name)
{
    return e->kind == BVI_TPL_FILTER && bvi_span_is(e->as.call.name, name, strlen(name));
}

bool bvi_tpl_wants_escape(const bvi_tpl_expr *e)
{
    if (is_filter(e, "safe"))
        return false;
    e = unfiltered(e);
    return e->kind != BVI_TPL_CONCAT && e->kind != BVI_TPL_MACRO_CALL;
}

/* ---- arithmetic ---- */

static int fail_not_number(bvi_tpl_run *run, const bvi_tpl_expr *e, const bvi_tpl_value *v)
{
    const bvi_tpl_expr *base = unfiltered(e);
    char shown[BVI_TPL_SHOWN_MAX];

    if (base->kind == BVI_TPL_PATH)
        return bvi_tpl_fail(run, e->pos,
                            "Variable `%.*s` was used in a math operation but is not a number",
                            (int)base->as.path.text.len, base->as.path.text.at);
    if (base->kind == BVI_TPL_FUNCTION)
        return bvi_tpl_fail(
            run, e->pos,
            "Function `%.*s` was used in a math operation but is not returning a number",
            (int)base->as.call.name.len, base->as.call.name.at);
    if (v->type == BVI_TPL_STRING)
        return bvi_tpl_fail(run, e->pos, "Tried to do math with a string: `%.*s`",
                            (int)(v->len < 80 ? v->len : 80), v->as.text);
    bvi_tpl_show(v, shown);
    return bvi_tpl_fail(run, e->pos, "Tried to do math with something that is not a number: `%s`",
                        shown);
}

static int eval_number(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    int r = bvi_tpl_eval(run, e, ret);

    return r < 0 || bvi_tpl_is_number(ret) ? r : fail_not_number(run, e, ret);
}

static int fail_overflow(bvi_tpl_run *run, size_t pos, int64_t a, char sign, int64_t b)
{
    return bvi_tpl_fail(run, pos, "%lld %c %lld results in an out of bounds i64", (long long)a,
                        sign, (long long)b);
}

static int int_math(bvi_tpl_run *run, const bvi_tpl_expr *e, int64_t a, int64_t b,
                    bvi_tpl_value *ret)
{
    int64_t result = 0;
    bool overflow = false;

    switch ((bvi_tpl_op)e->op) {
    case BVI_TPL_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case BVI_TPL_SUB:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case BVI_TPL_MUL:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    default: /* MOD; by -1 it is 0, which the processor may refuse to compute */
        result = b == -1 ? 0 : a % b;
        break;
    }
    *ret = bvi_tpl_int(result);
    return overflow ? fail_overflow(run, e->pos, a, "+-*/%"[e->op], b) : 0;
}

static double float_math(bvi_tpl_op op, double a, double b)
{
    switch (op) {
    case BVI_TPL_ADD:
        return a + b;
    case BVI_TPL_SUB:
        return a - b;
    case BVI_TPL_MUL:
        return a * b;
    case BVI_TPL_DIV:
        return b != 0 ? a / b : NAN;
    default:
        return fmod(a, b);
    }
}

static int eval_math(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    bvi_tpl_value a = BVI_TPL_NULL_VALUE, b = BVI_TPL_NULL_VALUE;
    int r = eval_number(run, e->as.pair.left, &a);

    if (r >= 0)
        r = eval_number(run, e->as.pair.right, &b);
    if (r < 0)
        return r;
    if (e->op == BVI_TPL_MOD && bvi_tpl_double(&b) == 0)
        return bvi_tpl_fail(run, e->pos, "Tried to do a modulo by zero");
    if (e->op != BVI_TPL_DIV && a.type == BVI_TPL_INT && b.type == BVI_TPL_INT)
        return int_math(run, e, a.as.i, b.as.i, ret);
    *ret = bvi_tpl_float(float_math((bvi_tpl_op)e->op, bvi_tpl_double(&a), bvi_tpl_double(&b)));
    return 0;
}

/* ---- text ---- */

static int check_joinable(bvi_tpl_run *run, const bvi_tpl_expr *e, const bvi_tpl_value *v)
{
    bvi_span name = bvi_tpl_expr_name(e);

    if (v->type == BVI_TPL_STRING || bvi_tpl_is_number(v))
        return 0;
    return bvi_tpl_fail(run, e->pos,
                        "Tried to concat a value that is not a string or a number from %s %.*s",
                        e->kind == BVI_TPL_PATH ? "ident" : "function", (int)name.len, name.at);
}

/* All of them come before the text, so that texts being made do not pile up. */
static int eval_items(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value **ret_items)
{
    bvi_tpl_value *items = bvi_arena_alloc(&run->arena, e->as.list.count * sizeof(*items));
    size_t n = 0;

    if (!items)
        return bvi_tpl_fail_room(run, e->pos, run->arena.failure);
    for (const bvi_tpl_expr *it = e->as.list.first; it; it = it->next) {
        int r = bvi_tpl_eval(run, it, &items[n]);

        if (r >= 0 && e->kind == BVI_TPL_CONCAT)
            r = check_joinable(run, it, &items[n]);
        if (r < 0)
            return r;
        n++;
    }
    *ret_items = items;
    return 0;
}

static int eval_concat(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    bvi_tpl_value *items = NULL;
    BVI_AUTO(bvi_buf_done) bvi_buf text = { .data = NULL };
    int r = eval_items(run, e, &items);

    if (r < 0)
        return r;
    bvi_buf_init(&text, bvi_tpl_room(run));
    for (size_t i = 0; r >= 0 && i < e->as.list.count; i++)
        r = bvi_tpl_print(&text, &items[i]);
    return r < 0 ? bvi_tpl_fail_room(run, e->pos, r) : bvi_tpl_keep(run, e->pos, &text, ret);
}

static int eval_list(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    bvi_tpl_value *items = NULL;
    int r = eval_items(run, e, &items);

    if (r < 0)
        return r;
    *ret = bvi_tpl_array(items, e->as.list.count);
    return bvi_tpl_checked(run, e->pos, ret);
}

/* ---- comparisons ---- */

static int eval_order(bvi_tpl_run *run, const bvi_tpl_expr *e, bool *ret)
{
    bvi_tpl_value a = BVI_TPL_NULL_VALUE, b = BVI_TPL_NULL_VALUE;
    int r = eval_number(run, e->as.pair.left, &a);
    int order;

    if (r >= 0)
        r = eval_number(run, e->as.pair.right, &b);
    if (r < 0)
        return r;
    order = bvi_tpl_compare(&a, &b);
    switch ((bvi_tpl_op)e->op) {
    case BVI_TPL_LE:
        *ret = order <= 0;
        break;
    case BVI_TPL_GE:
        *ret = order >= 0;
        break;
    case BVI_TPL_LT:
        *ret = order < 0;
        break;
    default:
        *ret = order > 0;
        break;
    }
    if (isnan(bvi_tpl_double(&a)) || isnan(bvi_tpl_double(&b)))
        *ret = false;
    return 0;
}

static int eval_compare(bvi_tpl_run *run, const bvi_tpl_expr *e, bool *ret)
{
    bvi_tpl_value a = BVI_TPL_NULL_VALUE, b = BVI_TPL_NULL_VALUE;
    int r;

    if (e->op != BVI_TPL_EQ && e->op != BVI_TPL_NE)
        return eval_order(run, e, ret);
    r = bvi_tpl_eval(run, e->as.pair.left, &a);
    if (r >= 0)
        r = bvi_tpl_eval(run, e->as.pair.right, &b);
    if (r >= 0)
        *ret = bvi_tpl_equal(&a, &b, &run->work) == (e->op == BVI_TPL_EQ);
    return r;
}

static int fail_not_text(bvi_tpl_run *run, size_t pos, const bvi_tpl_value *v, const char *where)
{
    static const char *const kinds[] = {
        [BVI_TPL_NULL] = "Null",   [BVI_TPL_BOOL] = "Bool",     [BVI_TPL_INT] = "Number",
        [BVI_TPL_UINT] = "Number", [BVI_TPL_FLOAT] = "Number",  [BVI_TPL_STRING] = "String",
        [BVI_TPL_ARRAY] = "Array", [BVI_TPL_OBJECT] = "Object",
    };
    char shown[BVI_TPL_SHOWN_MAX];

    bvi_tpl_show(v, shown);
    if (v->type == BVI_TPL_NULL)
        return bvi_tpl_fail(run, pos, "Tried to check if Null is in %s, but it isn't a string",
                            where);
    return bvi_tpl_fail(run, pos, "Tried to check if %s(%s) is in %s, but it isn't a string",
                        kinds[v->type], shown, where);
}

static bool is_among(bvi_tpl_run *run, const bvi_tpl_value *item, const bvi_tpl_value *array)
{
    for (size_t i = 0; i < array->len; i++) {
        if (bvi_tpl_equal(item, &array->as.items[i], &run->work))
            return true;
    }
    return false;
}

static int is_in(bvi_tpl_run *run, size_t pos, const bvi_tpl_value *item,
                 const bvi_tpl_value *container, bool *ret)
{
    bool is_text = item->type == BVI_TPL_STRING;

    switch ((bvi_tpl_type)container->type) {
    case BVI_TPL_ARRAY:
        *ret = is_among(run, item, container);
        return bvi_tpl_spend(run, pos, 0);
    case BVI_TPL_STRING:
        if (!is_text)
            return fail_not_text(run, pos, item, "a string");
        *ret = bvi_text_find((bvi_span){ container->as.text, container->len },
                             (bvi_span){ item->as.text, item->len }) != NULL;
        return bvi_tpl_spend(run, pos, container->len / BVI_TPL_BYTES_PER_OPERATION);
    case BVI_TPL_OBJECT:
        if (!is_text)
            return fail_not_text(run, pos, item, "an object");
        *ret = bvi_tpl_find(container, item->as.text, item->len) != NULL;
        return 0;
    default:
        return bvi_tpl_fail(run, pos,
                            "The `in` operator only supports strings, arrays and objects.");
    }
}

static int eval_in(bvi_tpl_run *run, const bvi_tpl_expr *e, bool *ret)
{
    bvi_tpl_value item = BVI_TPL_NULL_VALUE, container = BVI_TPL_NULL_VALUE;
    int r = bvi_tpl_eval(run, e->as.pair.left, &item);

    if (r >= 0)
        r = bvi_tpl_eval(run, e->as.pair.right, &container);
    if (r >= 0)
        r = is_in(run, e->pos, &item, &container, ret);
    if (e->negated)
        *ret = !*ret;
    return r;
}

/* ---- truth ---- */

/* The left side decides unless it is `undecided`. */
static int eval_either(bvi_tpl_run *run, const bvi_tpl_expr *e, bool undecided, bool *ret)
{
    int r = bvi_tpl_eval_truth(run, e->as.pair.left, ret);

    return r < 0 || *ret != undecided ? r : bvi_tpl_eval_truth(run, e->as.pair.right, ret);
}

/* A bare variable that is not there is false. */
static int eval_path_truth(bvi_tpl_run *run, const bvi_tpl_expr *e, bool *ret)
{
    const bvi_tpl_value *found = NULL;
    int r = bvi_tpl_lookup(run, &e->as.path, &found);

    *ret = found && bvi_tpl_is_true(found);
    return r;
}

static int eval_truth(bvi_tpl_run *run, const bvi_tpl_expr *e, bool *ret)
{
    bvi_tpl_value v = BVI_TPL_NULL_VALUE;
    int r;

    switch ((bvi_tpl_expr_kind)e->kind) {
    case BVI_TPL_PATH:
        return eval_path_truth(run, e, ret);
    case BVI_TPL_TEST:
        return bvi_tpl_apply_test(run, e, ret);
    case BVI_TPL_COMPARE:
        return eval_compare(run, e, ret);
    case BVI_TPL_IN:
        return eval_in(run, e, ret);
    case BVI_TPL_NOT:
        r = bvi_tpl_eval_truth(run, e->as.pair.left, ret);
        *ret = !*ret;
        return r;
    case BVI_TPL_AND:
        return eval_either(run, e, true, ret);
    case BVI_TPL_OR:
        return eval_either(run, e, false, ret);
    default:
        r = bvi_tpl_eval(run, e, &v);
        *ret = bvi_tpl_is_true(&v);
        return r;
    }
}

int bvi_tpl_eval_truth(bvi_tpl_run *run, const bvi_tpl_expr *e, bool *ret)
{
    int r = bvi_tpl_enter(run, e->pos);

    *ret = false;
    if (r >= 0)
        r = bvi_tpl_spend(run, e->pos, 1);
    if (r >= 0)
        r = eval_truth(run, e, ret);
    run->depth--;
    return r;
}

/* ---- values ---- */

static int eval_path(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    const bvi_tpl_value *found = NULL;
    int r = bvi_tpl_lookup(run, &e->as.path, &found);

    if (r < 0)
        return r;
    if (!found && bvi_span_is(e->as.path.text, "__tera_context", 14))
        return bvi_tpl_context_text(run, e->pos, ret);
    if (!found)
        return bvi_tpl_fail_undefined(run, &e->as.path);
    *ret = *found;
    return 0;
}

/* `x | default(value=y)`: for a variable that is missing or null. */
static int eval_default(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    const bvi_tpl_expr *input = e->as.call.input;
    const bvi_tpl_arg *arg = e->as.call.args;
    const bvi_tpl_value *found = NULL;
    int r;

    while (arg && !bvi_span_is(arg->name, "value", 5))
        arg = arg->next;
    if (!arg)
        return bvi_tpl_fail(run, e->pos, "The `default` filter requires a `value` argument.");
    if (input->kind != BVI_TPL_PATH)
        return bvi_tpl_eval(run, input, ret);
    r = bvi_tpl_lookup(run, &input->as.path, &found);
    if (r < 0)
        return r;
    if (!found || found->type == BVI_TPL_NULL)
        return bvi_tpl_eval(run, arg->value, ret);
    *ret = *found;
    return 0;
}

static int eval_filter(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    bvi_tpl_value input = BVI_TPL_NULL_VALUE;
    int r;

    if (is_filter(e, "default"))
        return eval_default(run, e, ret);
    r = bvi_tpl_eval(run, e->as.call.input, &input);
    return r < 0 ? r : bvi_tpl_apply_filter(run, e, input, ret);
}

/* The reference negates `not a == b` twice where its value is wanted (printed, set, an argument),
 * but not in conditions; templates are written against what it gives. */
static bool is_negated_twice(const bvi_tpl_expr *e)
{
    const bvi_tpl_expr *inner = e->kind == BVI_TPL_NOT ? e->as.pair.left : NULL;

    return inner && inner->kind == BVI_TPL_COMPARE && !inner->grouped;
}

static int eval(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    bool b = false;
    int r;

    switch ((bvi_tpl_expr_kind)e->kind) {
    case BVI_TPL_CONST:
        *ret = e->as.value;
        return 0;
    case BVI_TPL_LIST:
        return eval_list(run, e, ret);
    case BVI_TPL_PATH:
        return eval_path(run, e, ret);
    case BVI_TPL_FUNCTION:
        return bvi_tpl_apply_function(run, e, ret);
    case BVI_TPL_MACRO_CALL:
        return bvi_tpl_call_macro(run, e, ret);
    case BVI_TPL_FILTER:
        return eval_filter(run, e, ret);
    case BVI_TPL_MATH:
        return eval_math(run, e, ret);
    case BVI_TPL_CONCAT:
        return eval_concat(run, e, ret);
    case BVI_TPL_TEST:
    case BVI_TPL_COMPARE:
    case BVI_TPL_IN:
    case BVI_TPL_NOT:
    case BVI_TPL_AND:
    case BVI_TPL_OR:
        break;
    }
    r = eval_truth(run, is_negated_twice(e) ? e->as.pair.left : e, &b);
    *ret = bvi_tpl_bool(b);
    return r;
}

int bvi_tpl_eval(bvi_tpl_run *run, const bvi_tpl_expr *e, bvi_tpl_value *ret)
{
    int r = bvi_tpl_enter(run, e->pos);

    if (r >= 0)
        r = bvi_tpl_spend(run, e->pos, 1);
    if (r >= 0)
        r = eval(run, e, ret);
    run->depth--;
    return r;
}
