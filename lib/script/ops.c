/*
 * ops.c - the operators, as the language defines them for every pair of types. The machine has done
 * the quick cases itself before it comes here.
 */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "script/vm.h"

/* What comparing containers may look at: a part of a second. */
#define COMPARED_BYTES_MAX (256u * 1024u * 1024u)

static const char *op_text(bvi_opcode op)
{
    switch (op) {
    case BVI_OP_ADD:
    case BVI_OP_PLUS:
        return "+";
    case BVI_OP_SUB:
    case BVI_OP_NEG:
        return "-";
    case BVI_OP_MUL:
        return "*";
    case BVI_OP_DIV:
        return "/";
    case BVI_OP_MOD:
        return "%";
    case BVI_OP_POW:
        return "**";
    case BVI_OP_SHL:
        return "<<";
    case BVI_OP_SHR:
        return ">>";
    case BVI_OP_AND:
        return "&";
    case BVI_OP_OR:
        return "|";
    case BVI_OP_XOR:
        return "^";
    case BVI_OP_EQ:
        return "==";
    case BVI_OP_NE:
        return "!=";
    case BVI_OP_LT:
        return "<";
    case BVI_OP_LE:
        return "<=";
    case BVI_OP_GT:
        return ">";
    case BVI_OP_GE:
        return ">=";
    case BVI_OP_RANGE:
        return "..";
    case BVI_OP_RANGE_INCL:
        return "..=";
    case BVI_OP_NOT:
        return "!";
    default:
        return "?";
    }
}

static int unknown(bvi_script_call *call, bvi_opcode op, const bvi_value *a, const bvi_value *b)
{
    const bvi_value args[2] = { *a, *b };

    return bvi_vm_not_found(call, op_text(op), args, 2);
}

static int check(bvi_script_call *call, int r)
{
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

/* ---- whole numbers ---- */

static int power(bvi_script_call *call, int64_t base, int64_t exponent, int64_t *ret)
{
    int64_t result = 1;
    int64_t n = exponent;
    int64_t b = base;

    if (exponent < 0)
        return bvi_vm_arithmetic(call, false, "Integer raised to a negative power: %lld ** %lld",
                                 (long long)base, (long long)exponent);
    while (n > 0) {
        if ((n & 1) && __builtin_mul_overflow(result, b, &result))
            break;
        n >>= 1;
        if (n > 0 && __builtin_mul_overflow(b, b, &b))
            break;
    }
    if (n > 0)
        return bvi_vm_arithmetic(call, false, "Exponential overflow: %lld ** %lld", (long long)base,
                                 (long long)exponent);
    *ret = result;
    return 0;
}

static int64_t shift(int64_t v, int64_t by, bool left)
{
    if (by < 0) {
        left = !left;
        by = by == INT64_MIN ? INT64_MAX : -by;
    }
    if (by >= 64)
        return left ? 0 : v < 0 ? -1 : 0;
    return left ? (int64_t)((uint64_t)v << by) : v >> by;
}

static int divide(bvi_script_call *call, bvi_opcode op, int64_t a, int64_t b, bool assign,
                  int64_t *ret)
{
    bool overflow = a == INT64_MIN && b == -1;

    if (op == BVI_OP_MOD) {
        if (b == 0 || overflow)
            return bvi_vm_arithmetic(call, !assign,
                                     "Modulo division by zero or overflow: %lld %% %lld",
                                     (long long)a, (long long)b);
        *ret = a % b;
        return 0;
    }
    if (b == 0 || overflow)
        return bvi_vm_arithmetic(call, !assign, "Division %s: %lld / %lld",
                                 b == 0 ? "by zero" : "overflow", (long long)a, (long long)b);
    *ret = a / b;
    return 0;
}

static int overflow(bvi_script_call *call, const char *what, bvi_opcode op, int64_t a, int64_t b,
                    bool assign)
{
    return bvi_vm_arithmetic(call, !assign, "%s overflow: %lld %s %lld", what, (long long)a,
                             op_text(op), (long long)b);
}

static int int_op(bvi_script_call *call, bvi_opcode op, bvi_value *left, int64_t b, bool assign)
{
    int64_t a = left->as.i;
    int64_t out = 0;
    int r = 0;

    switch (op) {
    case BVI_OP_ADD:
        if (__builtin_add_overflow(a, b, &out))
            r = overflow(call, "Addition", op, a, b, assign);
        break;
    case BVI_OP_SUB:
        if (__builtin_sub_overflow(a, b, &out))
            r = overflow(call, "Subtraction", op, a, b, assign);
        break;
    case BVI_OP_MUL:
        if (__builtin_mul_overflow(a, b, &out))
            r = overflow(call, "Multiplication", op, a, b, assign);
        break;
    case BVI_OP_DIV:
    case BVI_OP_MOD:
        r = divide(call, op, a, b, assign, &out);
        break;
    case BVI_OP_POW:
        r = power(call, a, b, &out);
        break;
    case BVI_OP_SHL:
        out = shift(a, b, true);
        break;
    case BVI_OP_SHR:
        out = shift(a, b, false);
        break;
    case BVI_OP_AND:
        out = a & b;
        break;
    case BVI_OP_OR:
        out = a | b;
        break;
    default:
        out = a ^ b;
        break;
    }
    if (r == 0)
        *left = bvi_value_int(out);
    return r;
}

/* ---- numbers with a FLOAT among them ---- */

static bool is_number(const bvi_value *v)
{
    return v->type == BVI_T_INT || v->type == BVI_T_FLOAT;
}

static double as_double(const bvi_value *v)
{
    return v->type == BVI_T_INT ? (double)v->as.i : v->as.f;
}

static bool float_op(bvi_opcode op, bvi_value *left, double b)
{
    double a = as_double(left);

    switch (op) {
    case BVI_OP_ADD:
        a += b;
        break;
    case BVI_OP_SUB:
        a -= b;
        break;
    case BVI_OP_MUL:
        a *= b;
        break;
    case BVI_OP_DIV:
        a /= b;
        break;
    case BVI_OP_MOD:
        a = fmod(a, b);
        break;
    case BVI_OP_POW:
        a = pow(a, b);
        break;
    default:
        return false;
    }
    *left = bvi_value_float(a);
    return true;
}

static bool bool_op(bvi_opcode op, bvi_value *left, bool b)
{
    switch (op) {
    case BVI_OP_AND:
        left->as.b = left->as.b && b;
        return true;
    case BVI_OP_OR:
        left->as.b = left->as.b || b;
        return true;
    case BVI_OP_XOR:
        left->as.b = left->as.b != b;
        return true;
    default:
        return false;
    }
}

/* ---- time ---- */

static bool time_op(bvi_opcode op, bvi_value *left, const bvi_value *right)
{
    double seconds;

    if (op != BVI_OP_ADD && op != BVI_OP_SUB)
        return false;
    if (right->type == BVI_T_TIMESTAMP) {
        if (op == BVI_OP_SUB)
            *left = bvi_value_float((double)(left->as.i - right->as.i) / 1e9);
        return op == BVI_OP_SUB;
    }
    if (!is_number(right))
        return false;
    seconds = as_double(right) * 1e9;
    if (!(fabs(seconds) < 4e18))
        return false;
    left->as.i += op == BVI_OP_ADD ? (int64_t)seconds : -(int64_t)seconds;
    return true;
}

/* ---- text ---- */

/* Bytes as text, broken sequences replaced. */
static int append_bytes(bvi_value *string, const bvi_blob *b)
{
    const char *text = (const char *)b->data;
    size_t i = 0;
    int r = 0;

    if (b->len == 0 || bvi_utf8_valid(text, b->len))
        return bvi_string_append(string, text ? text : "", b->len);
    while (r == 0 && i < b->len) {
        size_t used;
        int32_t c = bvi_utf8_decode(text + i, b->len - i, &used);

        r = c < 0 ? bvi_string_append(string, "\xef\xbf\xbd", 3)
                  : bvi_string_append(string, text + i, used);
        i += used;
    }
    return r;
}

static int append_int(bvi_value *string, int64_t i)
{
    char text[24];
    char *p = text + sizeof(text);
    uint64_t n = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;

    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    if (i < 0)
        *--p = '-';
    return bvi_string_append_ascii(string, p, (size_t)(text + sizeof(text) - p));
}

int bvi_op_append_text(bvi_script_call *call, bvi_value *string, const bvi_value *v, bvi_form form)
{
    BVI_AUTO(bvi_buf_done)
    bvi_buf out = BVI_SCRIPT_BUF_INIT(call->engine, call->engine->options.limits.string_bytes);
    int r;

    if (v->type == BVI_T_STRING)
        return bvi_string_append_string(string, v);
    if (v->type == BVI_T_INT)
        return append_int(string, v->as.i);
    if (v->type == BVI_T_BLOB && form == BVI_FORM_TEXT)
        return append_bytes(string, bvi_blb(v));
    r = bvi_format(&out, v, form);
    if (r == BV_E_LIMIT)
        return bvi_script_too_large(call->engine, "Length of string");
    return r < 0 ? r : bvi_string_append(string, bvi_buf_str(&out), out.len);
}

/* left + right where the result is text: left becomes a string, unless it is one. */
static int concatenate(bvi_script_call *call, bvi_value *left, const bvi_value *right)
{
    bvi_value text = BVI_VALUE_UNIT;
    int r;

    if (left->type == BVI_T_STRING)
        return bvi_op_append_text(call, left, right, BVI_FORM_TEXT);
    r = bvi_string_with_room(call->engine, 0, &text);
    if (r == 0)
        r = bvi_op_append_text(call, &text, left, BVI_FORM_TEXT);
    if (r == 0)
        r = bvi_op_append_text(call, &text, right, BVI_FORM_TEXT);
    if (r < 0) {
        bvi_drop(&text);
        return r;
    }
    bvi_replace(left, text);
    return 0;
}

static size_t text_of(const bvi_value *v, char utf8[4], const char **ret)
{
    if (v->type == BVI_T_CHAR) {
        *ret = utf8;
        return bvi_utf8_encode(v->as.c, utf8);
    }
    *ret = bvi_str(v)->data;
    return bvi_str(v)->len;
}

static bool is_text(const bvi_value *v)
{
    return v->type == BVI_T_STRING || v->type == BVI_T_CHAR;
}

/* string - text: without all its occurrences. */
static int remove_text(bvi_script_call *call, bvi_value *left, const bvi_value *right)
{
    const bvi_string *s = bvi_str(left);
    bvi_value out = BVI_VALUE_UNIT;
    char utf8[4];
    const char *needle;
    size_t len = text_of(right, utf8, &needle);
    size_t from = 0;
    int r = bvi_value_string(call->engine, "", 0, &out);

    while (r == 0 && len > 0) {
        const char *hit = memmem(s->data + from, s->len - from, needle, len);

        if (!hit)
            break;
        r = bvi_string_append(&out, s->data + from, (size_t)(hit - s->data) - from);
        from = (size_t)(hit - s->data) + len;
    }
    if (r == 0)
        r = bvi_string_append(&out, s->data + from, s->len - from);
    if (r < 0) {
        bvi_drop(&out);
        return r;
    }
    bvi_replace(left, out);
    return 0;
}

/* ---- containers ---- */

static int append_blob(bvi_value *left, const bvi_value *right)
{
    bvi_value held = bvi_dup(right);
    int r = bvi_blob_insert(left, bvi_blb(left)->len, bvi_blb(&held)->data, bvi_blb(&held)->len);

    bvi_drop(&held);
    return r;
}

static int append_to_blob(bvi_value *left, const bvi_value *right)
{
    uint8_t byte = (uint8_t)right->as.i;
    char utf8[4];
    const char *text;
    size_t len;

    if (right->type == BVI_T_BLOB)
        return append_blob(left, right);
    if (right->type == BVI_T_INT)
        return bvi_blob_insert(left, bvi_blb(left)->len, &byte, 1);
    len = text_of(right, utf8, &text);
    return bvi_blob_insert(left, bvi_blb(left)->len, text, len);
}

/* a += b, where that differs from a = a + b. 1: it does not. */
static int assign_add(bvi_value *left, const bvi_value *right)
{
    if (left->type == BVI_T_ARRAY)
        return right->type == BVI_T_ARRAY ? bvi_array_append(left, right)
                                          : bvi_array_push(left, bvi_dup(right));
    if (left->type == BVI_T_BLOB && (right->type == BVI_T_INT || is_text(right)))
        return append_to_blob(left, right);
    return 1;
}

static int add(bvi_script_call *call, bvi_value *left, const bvi_value *right, bool assign)
{
    int r = assign ? assign_add(left, right) : 1;

    if (r <= 0)
        return check(call, r);
    if (left->type == BVI_T_STRING || right->type == BVI_T_STRING)
        return check(call, concatenate(call, left, right));
    if (left->type == BVI_T_CHAR && right->type == BVI_T_CHAR)
        return check(call, concatenate(call, left, right));
    if (left->type == BVI_T_ARRAY && right->type == BVI_T_ARRAY)
        return check(call, bvi_array_append(left, right));
    if (left->type == BVI_T_MAP && right->type == BVI_T_MAP)
        return check(call, bvi_map_merge(left, right, false));
    if (left->type == BVI_T_BLOB && right->type == BVI_T_BLOB)
        return check(call, append_blob(left, right));
    return unknown(call, BVI_OP_ADD, left, right);
}

/* ---- equality and order ---- */

typedef struct comparison {
    bvi_script_call *call;
    uint64_t until; /* of the engine's work */
    unsigned depth;
} comparison;

static int equal_at(comparison *c, const bvi_value *a, const bvi_value *b, bool *ret);

/* Values that share their parts can be far larger than the memory they take, so what one operation
 * looks at is bounded. */
static int equal_items(comparison *c, const bvi_value *a, const bvi_value *b, bool *ret)
{
    int r;

    if (c->call->engine->work > c->until)
        return check(c->call, bvi_script_too_large(c->call->engine, "Size of compared value"));
    if (c->depth >= BVI_VALUE_DEPTH_MAX)
        return check(c->call, bvi_script_too_large(c->call->engine, "Nesting of value"));
    c->depth++;
    c->call->engine->work += sizeof(bvi_map_entry);
    r = equal_at(c, a, b, ret);
    c->depth--;
    return r;
}

static int equal_arrays(comparison *c, const bvi_array *a, const bvi_array *b, bool *ret)
{
    *ret = a->len == b->len;
    for (uint32_t i = 0; *ret && i < a->len; i++) {
        int r = equal_items(c, &a->items[i], &b->items[i], ret);

        if (r < 0)
            return r;
    }
    return 0;
}

static int equal_maps(comparison *c, const bvi_map *a, const bvi_map *b, bool *ret)
{
    *ret = a->len == b->len;
    for (uint32_t i = 0; *ret && i < a->len; i++) {
        int r;

        *ret = bvi_string_compare(a->entries[i].key, b->entries[i].key) == 0;
        if (!*ret)
            break;
        c->call->engine->work += a->entries[i].key->len;
        r = equal_items(c, &a->entries[i].value, &b->entries[i].value, ret);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compare_text(bvi_script_call *call, const bvi_value *a, const bvi_value *b)
{
    char ua[4], ub[4];
    const char *ta, *tb;
    size_t la = text_of(a, ua, &ta);
    size_t lb = text_of(b, ub, &tb);
    size_t shorter = la < lb ? la : lb;
    int d = memcmp(ta, tb, shorter);

    call->engine->work += shorter;

    return d != 0 ? d : la < lb ? -1 : la > lb;
}

static int equal_ranges(bvi_script_call *call, const bvi_value *a, const bvi_value *b, bool *ret)
{
    const bvi_range *x = bvi_rng(a);
    const bvi_range *y = bvi_rng(b);

    if (x->inclusive != y->inclusive)
        return unknown(call, BVI_OP_EQ, a, b);
    *ret = x->start == y->start && x->end == y->end;
    return 0;
}

static int equal_objects(comparison *c, const bvi_value *a, const bvi_value *b, bool *ret)
{
    switch (a->type) {
    case BVI_T_ARRAY:
        return equal_arrays(c, bvi_arr(a), bvi_arr(b), ret);
    case BVI_T_MAP:
        return equal_maps(c, bvi_map_in_order(a), bvi_map_in_order(b), ret);
    case BVI_T_RANGE:
        return equal_ranges(c->call, a, b, ret);
    case BVI_T_BLOB:
        bvi_vm_work(c->call, a);
        *ret = bvi_blb(a)->len == bvi_blb(b)->len &&
               (bvi_blb(a)->len == 0 ||
                memcmp(bvi_blb(a)->data, bvi_blb(b)->data, bvi_blb(a)->len) == 0);
        return 0;
    default:
        return unknown(c->call, BVI_OP_EQ, a, b);
    }
}

static int equal_at(comparison *c, const bvi_value *a, const bvi_value *b, bool *ret)
{
    if (a->type == BVI_T_STRING && b->type == BVI_T_STRING && bvi_str(a)->len != bvi_str(b)->len) {
        *ret = false;
        return 0;
    }
    if (is_text(a) && is_text(b)) {
        *ret = compare_text(c->call, a, b) == 0;
        return 0;
    }
    if (is_number(a) && is_number(b)) {
        *ret = a->type == b->type && a->type == BVI_T_INT ? a->as.i == b->as.i
                                                          : as_double(a) == as_double(b);
        return 0;
    }
    if (a->type != b->type) {
        *ret = false;
        return 0;
    }
    switch (a->type) {
    case BVI_T_UNIT:
        *ret = true;
        return 0;
    case BVI_T_BOOL:
        *ret = a->as.b == b->as.b;
        return 0;
    case BVI_T_TIMESTAMP:
        *ret = a->as.i == b->as.i;
        return 0;
    default:
        return equal_objects(c, a, b, ret);
    }
}

uint64_t bvi_op_compare_until(const bvi_script_call *call)
{
    return call->engine->work + COMPARED_BYTES_MAX;
}

int bvi_op_equal_item(bvi_script_call *call, const bvi_value *a, const bvi_value *b, uint64_t until,
                      bool *ret)
{
    comparison c = { .call = call, .until = until };

    return equal_items(&c, a, b, ret);
}

int bvi_op_equal(bvi_script_call *call, const bvi_value *a, const bvi_value *b, bool *ret)
{
    comparison c = { .call = call, .until = bvi_op_compare_until(call) };

    return equal_at(&c, a, b, ret);
}

bool bvi_op_same_literal(const bvi_value *a, const bvi_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case BVI_T_UNIT:
        return true;
    case BVI_T_BOOL:
        return a->as.b == b->as.b;
    case BVI_T_INT:
        return a->as.i == b->as.i;
    case BVI_T_FLOAT:
        return a->as.f == b->as.f;
    case BVI_T_CHAR:
        return a->as.c == b->as.c;
    case BVI_T_STRING:
        return bvi_string_compare(bvi_str(a), bvi_str(b)) == 0;
    default:
        return false;
    }
}

static bool decide(bvi_opcode op, bool less, bool equal)
{
    switch (op) {
    case BVI_OP_LT:
        return less;
    case BVI_OP_LE:
        return less || equal;
    case BVI_OP_GT:
        return !less && !equal;
    default:
        return !less;
    }
}

static bool order_numbers(bvi_opcode op, const bvi_value *a, const bvi_value *b)
{
    double x, y;

    if (a->type == BVI_T_INT && b->type == BVI_T_INT)
        return decide(op, a->as.i < b->as.i, a->as.i == b->as.i);
    x = as_double(a);
    y = as_double(b);
    if (isnan(x) || isnan(y))
        return false;
    return decide(op, x < y, x == y);
}

static int order(bvi_script_call *call, bvi_opcode op, const bvi_value *a, const bvi_value *b,
                 bool *ret)
{
    *ret = false;
    if (is_number(a) && is_number(b)) {
        *ret = order_numbers(op, a, b);
    } else if (is_text(a) && is_text(b)) {
        int d = compare_text(call, a, b);

        *ret = decide(op, d < 0, d == 0);
    } else if (a->type != b->type || a->type == BVI_T_UNIT) {
        return 0; /* no order between types: false, not an error */
    } else if (a->type == BVI_T_BOOL) {
        *ret = decide(op, !a->as.b && b->as.b, a->as.b == b->as.b);
    } else if (a->type == BVI_T_TIMESTAMP) {
        *ret = decide(op, a->as.i < b->as.i, a->as.i == b->as.i);
    } else {
        return unknown(call, op, a, b);
    }
    return 0;
}

/* ---- in ---- */

static int contains_item(bvi_script_call *call, const bvi_array *a, const bvi_value *item,
                         bool *ret)
{
    uint64_t until = bvi_op_compare_until(call);

    *ret = false;
    for (uint32_t i = 0; !*ret && i < a->len; i++) {
        int r = bvi_op_equal_item(call, &a->items[i], item, until, ret);

        if (r < 0)
            return r;
    }
    return 0;
}

static bool contains_text(const bvi_string *s, const bvi_value *item)
{
    char utf8[4];
    const char *needle;
    size_t len = text_of(item, utf8, &needle);

    return memmem(s->data, s->len, needle, len) != NULL;
}

static bool in_range(const bvi_range *range, int64_t i)
{
    return i >= range->start && (range->inclusive ? i <= range->end : i < range->end);
}

int bvi_op_contains(bvi_script_call *call, const bvi_value *container, const bvi_value *item,
                    bool *ret)
{
    const bvi_value args[2] = { *container, *item };

    if (container->type == BVI_T_STRING || container->type == BVI_T_BLOB)
        bvi_vm_work(call, container);
    if (container->type == BVI_T_ARRAY)
        return contains_item(call, bvi_arr(container), item, ret);
    if (container->type == BVI_T_STRING && is_text(item))
        *ret = contains_text(bvi_str(container), item);
    else if (container->type == BVI_T_MAP && item->type == BVI_T_STRING)
        *ret = bvi_map_find(container, bvi_str(item)) != NULL;
    else if (container->type == BVI_T_RANGE && item->type == BVI_T_INT)
        *ret = in_range(bvi_rng(container), item->as.i);
    else if (container->type == BVI_T_BLOB && item->type == BVI_T_INT)
        *ret = bvi_blb(container)->len > 0 && memchr(bvi_blb(container)->data, (uint8_t)item->as.i,
                                                     bvi_blb(container)->len) != NULL;
    else
        return bvi_vm_not_found(call, "contains", args, 2);
    return 0;
}

/* ---- all of them ---- */

static int make_range(bvi_script_call *call, bvi_opcode op, bvi_value *left, const bvi_value *right)
{
    if (left->type != BVI_T_INT || right->type != BVI_T_INT)
        return unknown(call, op, left, right);
    return check(
        call, bvi_range_new(call->engine, left->as.i, right->as.i, op == BVI_OP_RANGE_INCL, left));
}

static int truth_op(bvi_script_call *call, bvi_opcode op, bvi_value *left, const bvi_value *right)
{
    bool yes = false;
    int r;

    switch (op) {
    case BVI_OP_EQ:
    case BVI_OP_NE:
        r = bvi_op_equal(call, left, right, &yes);
        break;
    case BVI_OP_IN:
    case BVI_OP_NOT_IN:
        r = bvi_op_contains(call, right, left, &yes);
        break;
    default:
        r = order(call, op, left, right, &yes);
        break;
    }
    if (r < 0)
        return r;
    if (op == BVI_OP_NE || op == BVI_OP_NOT_IN)
        yes = !yes;
    bvi_replace(left, bvi_value_bool(yes));
    return 0;
}

int bvi_op_binary(bvi_script_call *call, bvi_opcode op, bvi_value *left, const bvi_value *right,
                  bool assign)
{
    if (op == BVI_OP_ADD && left->type == BVI_T_STRING)
        return check(call, bvi_op_append_text(call, left, right, BVI_FORM_TEXT));
    if (op >= BVI_OP_EQ && op <= BVI_OP_NOT_IN)
        return truth_op(call, op, left, right);
    if (op == BVI_OP_RANGE || op == BVI_OP_RANGE_INCL)
        return make_range(call, op, left, right);
    if (left->type == BVI_T_INT && right->type == BVI_T_INT)
        return int_op(call, op, left, right->as.i, assign);
    if (is_number(left) && is_number(right) && float_op(op, left, as_double(right)))
        return 0;
    if (left->type == BVI_T_BOOL && right->type == BVI_T_BOOL && bool_op(op, left, right->as.b))
        return 0;
    if (left->type == BVI_T_TIMESTAMP && time_op(op, left, right))
        return 0;
    if (op == BVI_OP_ADD)
        return add(call, left, right, assign);
    if (op == BVI_OP_SUB && left->type == BVI_T_STRING && is_text(right))
        return check(call, remove_text(call, left, right));
    return unknown(call, op, left, right);
}

int bvi_op_unary(bvi_script_call *call, bvi_opcode op, bvi_value *v)
{
    if (op == BVI_OP_NOT && v->type == BVI_T_BOOL) {
        v->as.b = !v->as.b;
        return 0;
    }
    if (op != BVI_OP_NOT && v->type == BVI_T_FLOAT) {
        v->as.f = op == BVI_OP_NEG ? -v->as.f : v->as.f;
        return 0;
    }
    if (op != BVI_OP_NOT && v->type == BVI_T_INT) {
        if (op == BVI_OP_NEG && v->as.i == INT64_MIN)
            return bvi_vm_arithmetic(call, false, "Negation overflow: -%lld", (long long)v->as.i);
        v->as.i = op == BVI_OP_NEG ? -v->as.i : v->as.i;
        return 0;
    }
    return bvi_vm_not_found(call, op_text(op), v, 1);
}
