/*
 * parse_expr.c - expressions.
 *
 * From loose to tight: or, and, not, comparison and `in`, then operands: numbers joined by
 * arithmetic, texts joined by `~`, either with filters behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_text.h"
#include "template/parse.h"

/* Operands of one stretch of arithmetic. */
#define OPERANDS_MAX 64u
/* Digits of a number. */
#define NUMBER_MAX 400u

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '`';
}

static char here(const bvi_tpl_parser *p)
{
    return p->at < p->end ? *p->at : '\0';
}

/* ---- making ---- */

static bvi_tpl_expr *new_expr(bvi_tpl_parser *p, bvi_tpl_expr_kind kind, const char *at)
{
    bvi_tpl_expr *e = bvi_arena_new0(&p->tpl->arena, bvi_tpl_expr);

    if (e) {
        e->kind = (uint8_t)kind;
        e->pos = (size_t)(at - p->start);
        e->depth = 1;
    }
    return e;
}

/* Counts a child into its parent's depth. */
static int adopt(bvi_tpl_parser *p, bvi_tpl_expr *parent, const bvi_tpl_expr *child)
{
    if (!child)
        return 0;
    if (child->depth >= BVI_TPL_EXPR_DEPTH_MAX)
        return bvi_tpl_too_much(p, p->at, "an expression of at most %u levels",
                                BVI_TPL_EXPR_DEPTH_MAX);
    if (child->depth >= parent->depth)
        parent->depth = (uint16_t)(child->depth + 1);
    return 0;
}

static int make_pair(bvi_tpl_parser *p, bvi_tpl_expr_kind kind, bvi_tpl_expr *left,
                     bvi_tpl_expr *right, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e = new_expr(p, kind, p->start + left->pos);
    int r;

    if (!e)
        return bvi_tpl_no_room(p);
    e->as.pair.left = left;
    e->as.pair.right = right;
    r = adopt(p, e, left);
    if (r >= 0)
        r = adopt(p, e, right);
    *ret = e;
    return r;
}

/* ---- literals ---- */

static int parse_string(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e = new_expr(p, BVI_TPL_CONST, p->at);
    bvi_span text;
    int r;

    if (!e)
        return bvi_tpl_no_room(p);
    r = bvi_tpl_need_string(p, &text);
    if (r < 0)
        return r;
    r = bvi_tpl_copy_text(&p->tpl->arena, text.at, text.len, &e->as.value);
    *ret = e;
    return r < 0 ? bvi_tpl_no_room(p) : 0;
}

/* Bytes of the number here: an optional sign, digits without leading zeros, a fraction. */
static size_t measure_number(const bvi_tpl_parser *p, bool *ret_float)
{
    const char *at = p->at + (here(p) == '-');

    if (at < p->end && *at == '0') {
        at++;
    } else {
        while (at < p->end && is_digit(*at))
            at++;
    }
    *ret_float = at + 1 < p->end && *at == '.' && is_digit(at[1]);
    if (*ret_float) {
        for (at++; at < p->end && is_digit(*at);)
            at++;
    }
    return (size_t)(at - p->at);
}

static int parse_number(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e = new_expr(p, BVI_TPL_CONST, p->at);
    bool fraction = false;
    size_t len = measure_number(p, &fraction);
    char text[NUMBER_MAX + 1];
    double f = 0;

    if (!e)
        return bvi_tpl_no_room(p);
    if (len > NUMBER_MAX)
        return bvi_tpl_syntax(p, p->at, "a number of at most %u digits", NUMBER_MAX);
    memcpy(text, p->at, len);
    text[len] = '\0';
    errno = 0;
    if (fraction && bvi_parse_double(text, &f))
        e->as.value = bvi_tpl_float(f);
    else
        e->as.value = bvi_tpl_int(strtoll(text, NULL, 10));
    if (!fraction && errno == ERANGE)
        return bvi_tpl_syntax(p, p->at, "Integer out of bounds: `%.40s`", text);
    p->at += len;
    *ret = e;
    return 0;
}

static bool is_bool(bvi_span word, bool *ret)
{
    *ret = bvi_span_is(word, "true", 4) || bvi_span_is(word, "True", 4);
    return *ret || bvi_span_is(word, "false", 5) || bvi_span_is(word, "False", 5);
}

static bool at_number(const bvi_tpl_parser *p)
{
    return is_digit(here(p)) || (here(p) == '-' && p->at + 1 < p->end && is_digit(p->at[1]));
}

int bvi_tpl_parse_literal(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e;
    bvi_span word;
    bool b = false;

    bvi_tpl_skip_space(p);
    if (is_quote(here(p)))
        return parse_string(p, ret);
    if (at_number(p))
        return parse_number(p, ret);
    word = bvi_tpl_peek_word(p);
    if (!is_bool(word, &b))
        return bvi_tpl_syntax(p, p->at, "a number, a string or a boolean");
    e = new_expr(p, BVI_TPL_CONST, p->at);
    if (!e)
        return bvi_tpl_no_room(p);
    e->as.value = bvi_tpl_bool(b);
    p->at += word.len;
    *ret = e;
    return 0;
}

static int enter(bvi_tpl_parser *p)
{
    if (p->depth >= BVI_TPL_EXPR_DEPTH_MAX)
        return bvi_tpl_too_much(p, p->at, "an expression of at most %u levels",
                                BVI_TPL_EXPR_DEPTH_MAX);
    p->depth++;
    return 0;
}

static int parse_items(bvi_tpl_parser *p, bvi_tpl_expr *list)
{
    bvi_tpl_expr **slot = &list->as.list.first;

    while (!bvi_tpl_take(p, "]")) {
        int r = bvi_tpl_parse_logic(p, slot);

        if (r >= 0)
            r = adopt(p, list, *slot);
        if (r < 0)
            return r;
        slot = &(*slot)->next;
        list->as.list.count++;
        if (!bvi_tpl_take(p, ","))
            return bvi_tpl_need(p, "]");
    }
    return 0;
}

static int parse_list(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e = new_expr(p, BVI_TPL_LIST, p->at);
    int r = enter(p);

    if (r < 0)
        return r;
    if (!e)
        return bvi_tpl_no_room(p);
    p->at++;
    r = parse_items(p, e);
    p->depth--;
    *ret = e;
    return r;
}

/* ---- paths ---- */

static int parse_path(bvi_tpl_parser *p, bvi_tpl_path *path);

static int parse_bracket(bvi_tpl_parser *p, bvi_tpl_step *step)
{
    int r;

    p->at++;
    bvi_tpl_skip_space(p);
    step->bracket = true;
    if (is_quote(here(p))) {
        step->quoted = true;
        r = bvi_tpl_need_string(p, &step->key);
    } else if (is_digit(here(p))) {
        step->key.at = p->at;
        while (is_digit(here(p)))
            p->at++;
        step->key.len = (size_t)(p->at - step->key.at);
        r = 0;
    } else {
        step->inner = bvi_arena_new0(&p->tpl->arena, bvi_tpl_path);
        r = step->inner ? parse_path(p, step->inner) : bvi_tpl_no_room(p);
    }
    return r < 0 ? r : bvi_tpl_need(p, "]");
}

static int parse_step(bvi_tpl_parser *p, bvi_tpl_step *step)
{
    if (here(p) == '[')
        return parse_bracket(p, step);
    p->at++;
    step->key = bvi_tpl_peek_word(p);
    if (step->key.len == 0)
        return bvi_tpl_syntax(p, p->at, "a name or an index behind the point");
    p->at += step->key.len;
    return 0;
}

static int parse_steps(bvi_tpl_parser *p, bvi_tpl_path *path)
{
    bvi_tpl_step **slot = &path->steps;
    unsigned count = 0;
    int r = 0;

    while (r >= 0 && (here(p) == '.' || here(p) == '[')) {
        if (++count > BVI_TPL_NESTING_MAX)
            return bvi_tpl_too_much(p, p->at, "a path of at most %u steps", BVI_TPL_NESTING_MAX);
        *slot = bvi_arena_new0(&p->tpl->arena, bvi_tpl_step);
        if (!*slot)
            return bvi_tpl_no_room(p);
        r = parse_step(p, *slot);
        slot = &(*slot)->next;
    }
    return r;
}

static int parse_path(bvi_tpl_parser *p, bvi_tpl_path *path)
{
    const char *from = p->at;
    int r = enter(p);

    path->pos = (size_t)(from - p->start);
    if (r >= 0)
        r = bvi_tpl_need_name(p, &path->name);
    if (r >= 0)
        r = parse_steps(p, path);
    p->depth--;
    path->text = (bvi_span){ from, (size_t)(p->at - from) };
    return r;
}

/* ---- calls ---- */

static int new_arg(bvi_tpl_parser *p, bvi_tpl_expr *call, bvi_tpl_arg ***slot, unsigned *count)
{
    if (++*count > BVI_TPL_ARGS_MAX)
        return bvi_tpl_too_much(p, p->at, "at most %u arguments", BVI_TPL_ARGS_MAX);
    **slot = bvi_arena_new0(&p->tpl->arena, bvi_tpl_arg);
    return **slot ? 0 : bvi_tpl_no_room(p);
}

static int parse_arg(bvi_tpl_parser *p, bvi_tpl_expr *call, bvi_tpl_arg *arg, bool named)
{
    int r = 0;

    if (named) {
        bvi_tpl_skip_space(p);
        r = bvi_tpl_need_name(p, &arg->name);
        if (r >= 0)
            r = bvi_tpl_need(p, "=");
    }
    if (r >= 0)
        r = bvi_tpl_parse_value(p, &arg->value);
    return r < 0 ? r : adopt(p, call, arg->value);
}

/* From the parenthesis on. */
static int parse_args(bvi_tpl_parser *p, bvi_tpl_expr *call, bool named)
{
    bvi_tpl_arg **slot = &call->as.call.args;
    unsigned count = 0;
    int r = enter(p);

    if (r < 0)
        return r;
    p->at++;
    while (!bvi_tpl_take(p, ")")) {
        r = new_arg(p, call, &slot, &count);
        if (r >= 0)
            r = parse_arg(p, call, *slot, named);
        if (r < 0)
            return r;
        slot = &(*slot)->next;
        if (bvi_tpl_take(p, ","))
            continue;
        r = bvi_tpl_need(p, ")");
        if (r < 0)
            return r;
        break;
    }
    p->depth--;
    return 0;
}

int bvi_tpl_parse_filter(bvi_tpl_parser *p, bvi_tpl_expr *input, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e;
    int r;

    bvi_tpl_skip_space(p);
    e = new_expr(p, BVI_TPL_FILTER, p->at);
    if (!e)
        return bvi_tpl_no_room(p);
    e->as.call.input = input;
    r = adopt(p, e, input);
    if (r >= 0)
        r = bvi_tpl_need_name(p, &e->as.call.name);
    if (r >= 0 && here(p) == '(')
        r = parse_args(p, e, true);
    *ret = e;
    return r;
}

static int parse_filters(bvi_tpl_parser *p, bvi_tpl_expr **e)
{
    int r = 0;

    while (r >= 0 && bvi_tpl_take(p, "|"))
        r = bvi_tpl_parse_filter(p, *e, e);
    return r;
}

/* `path is [not] name(args)`, from behind `is`. */
static int parse_test(bvi_tpl_parser *p, bvi_tpl_expr *path, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e = new_expr(p, BVI_TPL_TEST, p->start + path->pos);
    int r;

    if (!e)
        return bvi_tpl_no_room(p);
    e->as.call.input = path;
    e->as.call.negated = bvi_tpl_take_word(p, "not");
    bvi_tpl_skip_space(p);
    r = adopt(p, e, path);
    if (r >= 0)
        r = bvi_tpl_need_name(p, &e->as.call.name);
    if (r >= 0 && here(p) == '(')
        r = parse_args(p, e, false);
    *ret = e;
    return r;
}

static int parse_macro_call(bvi_tpl_parser *p, bvi_span space, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e = new_expr(p, BVI_TPL_MACRO_CALL, space.at);
    int r;

    if (!e)
        return bvi_tpl_no_room(p);
    e->as.call.space = space;
    r = bvi_tpl_need_name(p, &e->as.call.name);
    bvi_tpl_skip_space(p);
    if (r >= 0 && here(p) != '(')
        r = bvi_tpl_syntax(p, p->at, "`(`");
    if (r >= 0)
        r = parse_args(p, e, true);
    *ret = e;
    return r;
}

static int parse_function(bvi_tpl_parser *p, bvi_span name, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e = new_expr(p, BVI_TPL_FUNCTION, name.at);

    if (!e)
        return bvi_tpl_no_room(p);
    e->as.call.name = name;
    *ret = e;
    return parse_args(p, e, true);
}

static int parse_variable(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e = new_expr(p, BVI_TPL_PATH, p->at);
    int r;

    if (!e)
        return bvi_tpl_no_room(p);
    r = parse_path(p, &e->as.path);
    *ret = e;
    if (r >= 0 && bvi_tpl_take_word(p, "is"))
        r = parse_test(p, e, ret);
    return r;
}

/* A name: a call, or a variable. */
static int parse_named(bvi_tpl_parser *p, bvi_span word, bvi_tpl_expr **ret)
{
    const char *from = p->at;

    p->at += word.len;
    if (bvi_tpl_looking_at(p, "::")) {
        p->at += 2;
        return parse_macro_call(p, word, ret);
    }
    bvi_tpl_skip_space(p);
    if (here(p) == '(')
        return parse_function(p, word, ret);
    p->at = from;
    return parse_variable(p, ret);
}

/* ---- operands ---- */

static bool is_reserved(bvi_span word)
{
    static const char *const reserved[] = { "and", "or", "not", "in", "is" };

    for (size_t i = 0; i < BVI_COUNT(reserved); i++) {
        if (bvi_span_is(word, reserved[i], strlen(reserved[i])))
            return true;
    }
    return false;
}

static int parse_group(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    int r = enter(p);

    if (r < 0)
        return r;
    p->at++;
    r = bvi_tpl_parse_logic(p, ret);
    p->depth--;
    if (r < 0)
        return r;
    (*ret)->grouped = true;
    return bvi_tpl_need(p, ")");
}

static int parse_primary(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    bvi_span word;
    bool b = false;

    bvi_tpl_skip_space(p);
    if (here(p) == '(')
        return parse_group(p, ret);
    word = bvi_tpl_peek_word(p);
    if (is_quote(here(p)) || at_number(p) || is_bool(word, &b))
        return bvi_tpl_parse_literal(p, ret);
    if (word.len == 0 || is_reserved(word))
        return bvi_tpl_syntax(p, p->at, "a value");
    return parse_named(p, word, ret);
}

static bool is_string(const bvi_tpl_expr *e)
{
    return e->kind == BVI_TPL_CONCAT ||
           (e->kind == BVI_TPL_CONST && e->as.value.type == BVI_TPL_STRING);
}

/* What `~` joins. */
static bool is_joinable(const bvi_tpl_expr *e)
{
    return e->kind == BVI_TPL_PATH || e->kind == BVI_TPL_FUNCTION ||
           (e->kind == BVI_TPL_CONST && e->as.value.type != BVI_TPL_BOOL);
}

/* Comparisons and logic give booleans, which are no part of arithmetic. */
static bool is_logic(const bvi_tpl_expr *e)
{
    return e->kind >= BVI_TPL_COMPARE;
}

static int parse_concat(bvi_tpl_parser *p, bvi_tpl_expr *first, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *e = new_expr(p, BVI_TPL_CONCAT, p->start + first->pos);
    bvi_tpl_expr **slot;
    int r;

    if (!e)
        return bvi_tpl_no_room(p);
    e->as.list.first = first;
    e->as.list.count = 1;
    slot = &first->next;
    r = adopt(p, e, first);
    while (r >= 0 && bvi_tpl_take(p, "~")) {
        r = parse_primary(p, slot);
        if (r >= 0 && !is_joinable(*slot))
            r = bvi_tpl_syntax(p, p->start + (*slot)->pos,
                               "a string, a number, a variable or a function call");
        if (r >= 0)
            r = adopt(p, e, *slot);
        if (r < 0)
            break;
        slot = &(*slot)->next;
        e->as.list.count++;
    }
    *ret = e;
    return r;
}

/* Takes an arithmetic operator; not the '-' or '%' of a delimiter. */
static bool take_math(bvi_tpl_parser *p, bvi_tpl_op *ret)
{
    static const char signs[] = "+-*/%"; /* in the order of bvi_tpl_op */
    const char *found;

    bvi_tpl_skip_space(p);
    found = here(p) ? strchr(signs, here(p)) : NULL;
    if (!found || bvi_tpl_at_end(p, "}}") || bvi_tpl_at_end(p, "%}"))
        return false;
    *ret = (bvi_tpl_op)(found - signs);
    p->at++;
    return true;
}

/* Operands and the operators between them, before precedence is applied. */
typedef struct stretch {
    bvi_tpl_expr *items[OPERANDS_MAX];
    uint8_t ops[OPERANDS_MAX]; /* ops[i] stands behind items[i] */
    size_t len;
} stretch;

static bool is_product(uint8_t op)
{
    return op != BVI_TPL_ADD && op != BVI_TPL_SUB;
}

static int join(bvi_tpl_parser *p, stretch *s, size_t i)
{
    bvi_tpl_expr *e = NULL;
    int r = make_pair(p, BVI_TPL_MATH, s->items[i], s->items[i + 1], &e);

    if (r < 0)
        return r;
    e->op = s->ops[i];
    s->items[i] = e;
    s->ops[i] = s->ops[i + 1];
    s->len--;
    memmove(&s->items[i + 1], &s->items[i + 2], (s->len - i - 1) * sizeof(s->items[0]));
    memmove(&s->ops[i + 1], &s->ops[i + 2], (s->len - i - 1) * sizeof(s->ops[0]));
    return 0;
}

/* Joins items from `from` on into one, products first. */
static int reduce(bvi_tpl_parser *p, stretch *s, size_t from)
{
    for (int products = 1; products >= 0; products--) {
        for (size_t i = from; i + 1 < s->len;) {
            int r;

            if (products && !is_product(s->ops[i])) {
                i++;
                continue;
            }
            r = join(p, s, i);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int add_operand(bvi_tpl_parser *p, stretch *s)
{
    const char *from;
    bvi_tpl_expr *e = NULL;
    int r;

    bvi_tpl_skip_space(p);
    from = p->at;
    if (s->len >= OPERANDS_MAX - 1)
        return bvi_tpl_too_much(p, p->at, "at most %u operands", OPERANDS_MAX - 1);
    r = parse_primary(p, &e);
    if (r < 0)
        return r;
    if (is_string(e) || is_logic(e))
        return bvi_tpl_syntax(p, from, "a number");
    s->items[s->len++] = e;
    return 0;
}

/* A filter applies to all of the arithmetic before it, back to the filter before. */
static int parse_math(bvi_tpl_parser *p, bvi_tpl_expr *first, bvi_tpl_expr **ret)
{
    stretch s = { .items = { first }, .len = 1 };
    bvi_tpl_op op = BVI_TPL_ADD;
    size_t from = 0;
    int r = 0;

    for (;;) {
        bvi_tpl_skip_space(p);
        if (here(p) == '|') {
            r = reduce(p, &s, from);
            if (r >= 0)
                r = parse_filters(p, &s.items[from]);
            from = s.len;
        }
        if (r < 0 || !take_math(p, &op))
            break;
        s.ops[s.len - 1] = (uint8_t)op;
        r = add_operand(p, &s);
        if (r < 0)
            break;
    }
    if (r >= 0)
        r = reduce(p, &s, 0);
    *ret = s.items[0];
    return r;
}

static int parse_operand(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    int r = parse_primary(p, ret);

    if (r < 0)
        return r;
    if (is_joinable(*ret)) {
        bvi_tpl_skip_space(p);
        if (here(p) == '~')
            r = parse_concat(p, *ret, ret);
    }
    if (r < 0 || is_logic(*ret))
        return r;
    return is_string(*ret) ? parse_filters(p, ret) : parse_math(p, *ret, ret);
}

/* ---- comparisons and logic ---- */

static bool take_comparison(bvi_tpl_parser *p, bvi_tpl_op *ret)
{
    static const char *const signs[] = { "==", "!=", "<=", ">=", "<", ">" };

    for (size_t i = 0; i < BVI_COUNT(signs); i++) {
        if (bvi_tpl_take(p, signs[i])) {
            *ret = (bvi_tpl_op)(BVI_TPL_EQ + i);
            return true;
        }
    }
    return false;
}

/* `in` or `not in`. */
static bool take_in(bvi_tpl_parser *p, bool *ret_negated)
{
    const char *from = p->at;

    *ret_negated = bvi_tpl_take_word(p, "not");
    if (bvi_tpl_take_word(p, "in"))
        return true;
    p->at = from;
    return false;
}

static int parse_list_or_operand(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    int r;

    bvi_tpl_skip_space(p);
    if (here(p) != '[')
        return parse_operand(p, ret);
    r = parse_list(p, ret);
    return r < 0 ? r : parse_filters(p, ret);
}

static int parse_comparison(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    bvi_tpl_expr *left = NULL;
    bvi_tpl_expr *right = NULL;
    bvi_tpl_op op = BVI_TPL_EQ;
    bool negated = false;
    int r = parse_operand(p, &left);

    *ret = left;
    if (r < 0)
        return r;
    if (take_comparison(p, &op)) {
        r = parse_operand(p, &right);
        if (r >= 0)
            r = make_pair(p, BVI_TPL_COMPARE, left, right, ret);
        if (r >= 0)
            (*ret)->op = (uint8_t)op;
    } else if (take_in(p, &negated)) {
        r = parse_list_or_operand(p, &right);
        if (r >= 0)
            r = make_pair(p, BVI_TPL_IN, left, right, ret);
        if (r >= 0)
            (*ret)->negated = negated;
    }
    return r;
}

static int parse_not(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    const char *from;
    bvi_tpl_expr *inner = NULL;
    int r;

    bvi_tpl_skip_space(p);
    from = p->at;
    if (!bvi_tpl_take_word(p, "not"))
        return parse_comparison(p, ret);
    r = enter(p);
    if (r >= 0)
        r = parse_not(p, &inner);
    if (r >= 0)
        r = make_pair(p, BVI_TPL_NOT, inner, NULL, ret);
    if (r >= 0)
        (*ret)->pos = (size_t)(from - p->start);
    p->depth--;
    return r;
}

static int parse_and(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    int r = parse_not(p, ret);

    while (r >= 0 && bvi_tpl_take_word(p, "and")) {
        bvi_tpl_expr *right = NULL;

        r = parse_not(p, &right);
        if (r >= 0)
            r = make_pair(p, BVI_TPL_AND, *ret, right, ret);
    }
    return r;
}

int bvi_tpl_parse_logic(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    int r = parse_and(p, ret);

    while (r >= 0 && bvi_tpl_take_word(p, "or")) {
        bvi_tpl_expr *right = NULL;

        r = parse_and(p, &right);
        if (r >= 0)
            r = make_pair(p, BVI_TPL_OR, *ret, right, ret);
    }
    return r;
}

int bvi_tpl_parse_value(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    bvi_tpl_skip_space(p);
    return here(p) == '[' ? parse_list_or_operand(p, ret) : bvi_tpl_parse_logic(p, ret);
}

int bvi_tpl_parse_container(bvi_tpl_parser *p, bvi_tpl_expr **ret)
{
    bvi_tpl_skip_space(p);
    if (is_quote(here(p)))
        return bvi_tpl_syntax(p, p->at, "a variable, a function call or a list");
    return parse_list_or_operand(p, ret);
}
