/*
 * format.c - the text forms of values.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_text.h"
#include "base/utf8.h"
#include "script/engine.h"

/* ---- numbers ---- */

/* Text form: exponents outside 10^-13 .. 10^13, both as single precision; debug form: outside 1e-4
 * .. 1e16. */
static bool wants_exponent(double f, bool debug)
{
    double a = fabs(f);

    if (debug)
        return a < 1e-4 || a >= 1e16;
    return a > 9999999827968.0 || a < (double)1e-13f;
}

int bvi_format_float(bvi_buf *out, double f, bool debug)
{
    char digits[32];
    char text[BVI_FLOAT_TEXT_MAX];
    int exponent;
    int n;
    int r;

    if (isnan(f))
        return bvi_buf_append_str(out, "NaN");
    if (isinf(f))
        return bvi_buf_append_str(out, f < 0 ? "-inf" : "inf");
    if (f == 0)
        return bvi_buf_append_str(out, debug && signbit(f) ? "-0.0" : "0.0");
    n = bvi_float_digits(f, digits, &exponent);
    if (wants_exponent(f, debug))
        bvi_float_exponent(text, digits, n, exponent);
    else
        bvi_float_positional(text, digits, n, exponent);
    r = f < 0 ? bvi_buf_append_char(out, '-') : 0;
    return r < 0 ? r : bvi_buf_append_str(out, text);
}

int bvi_format_whole(bvi_buf *out, double f)
{
    char digits[32];
    char text[BVI_FLOAT_TEXT_MAX];
    int exponent;
    int n = bvi_float_digits(f, digits, &exponent);
    int r = f < 0 ? bvi_buf_append_char(out, '-') : 0;

    bvi_float_positional(text, digits, n, exponent);
    return r < 0 ? r : bvi_buf_append(out, text, strcspn(text, "."));
}

/* ---- characters and strings ---- */

static int append_char(bvi_buf *out, uint32_t c)
{
    char utf8[4];
    size_t n = bvi_utf8_encode(c, utf8);

    return bvi_buf_append(out, utf8, n);
}

static int append_escaped(bvi_buf *out, uint32_t c, char quote)
{
    switch (c) {
    case '\n':
        return bvi_buf_append_str(out, "\\n");
    case '\r':
        return bvi_buf_append_str(out, "\\r");
    case '\t':
        return bvi_buf_append_str(out, "\\t");
    case '\\':
        return bvi_buf_append_str(out, "\\\\");
    default:
        break;
    }
    if (c == (uint32_t)quote)
        return bvi_buf_printf(out, "\\%c", quote);
    if (c < 0x20 || c == 0x7f)
        return bvi_buf_printf(out, "\\u{%x}", (unsigned)c);
    return append_char(out, c);
}

int bvi_format_quoted(bvi_buf *out, const char *text, size_t len)
{
    int r = bvi_buf_append_char(out, '"');

    for (size_t i = 0; r == 0 && i < len;) {
        size_t used;
        int32_t c = bvi_utf8_decode(text + i, len - i, &used);

        r = append_escaped(out, c < 0 ? 0xfffdu : (uint32_t)c, '"');
        i += used;
    }
    return r < 0 ? r : bvi_buf_append_char(out, '"');
}

static int format_char(bvi_buf *out, uint32_t c, bool quoted)
{
    int r;

    if (!quoted)
        return append_char(out, c);
    r = bvi_buf_append_char(out, '\'');
    if (r == 0)
        r = append_escaped(out, c, '\'');
    return r < 0 ? r : bvi_buf_append_char(out, '\'');
}

/* ---- values ---- */

static int format_at(bvi_buf *out, const bvi_value *v, bvi_form form, unsigned depth);

static bvi_form inner(bvi_form form)
{
    return form == BVI_FORM_TEXT ? BVI_FORM_DEBUG : form == BVI_FORM_INTERP ? BVI_FORM_DUMP : form;
}

static int format_array(bvi_buf *out, const bvi_array *a, bvi_form form, unsigned depth)
{
    int r = bvi_buf_append_char(out, '[');

    for (uint32_t i = 0; r == 0 && i < a->len; i++) {
        if (i > 0)
            r = bvi_buf_append_str(out, ", ");
        if (r == 0)
            r = format_at(out, &a->items[i], inner(form), depth + 1);
    }
    return r < 0 ? r : bvi_buf_append_char(out, ']');
}

static int format_map(bvi_buf *out, const bvi_map *m, bvi_form form, unsigned depth)
{
    int r = bvi_buf_append_str(out, "#{");

    for (uint32_t i = 0; r == 0 && i < m->len; i++) {
        const bvi_map_entry *e = &m->entries[i];

        if (i > 0)
            r = bvi_buf_append_str(out, ", ");
        if (r == 0)
            r = bvi_format_quoted(out, e->key->data, e->key->len);
        if (r == 0)
            r = bvi_buf_append_str(out, ": ");
        if (r == 0)
            r = format_at(out, &e->value, inner(form), depth + 1);
    }
    return r < 0 ? r : bvi_buf_append_char(out, '}');
}

static int format_blob(bvi_buf *out, const bvi_blob *b)
{
    int r = bvi_buf_append_char(out, '[');

    for (uint32_t i = 0; r == 0 && i < b->len; i++)
        r = bvi_buf_printf(out, i > 0 && i % 8 == 0 ? " %02x" : "%02x", b->data[i]);
    return r < 0 ? r : bvi_buf_append_char(out, ']');
}

/* An end left open prints as nothing; the language has no other way to write it. */
static int format_range(bvi_buf *out, const bvi_range *range)
{
    const char *dots = range->inclusive ? "..=" : "..";

    if (!range->inclusive && range->end == INT64_MAX)
        return bvi_buf_printf(out, "%lld..", (long long)range->start);
    return bvi_buf_printf(out, "%lld%s%lld", (long long)range->start, dots, (long long)range->end);
}

static int format_fn(bvi_buf *out, const bvi_fn *fn, bvi_form form)
{
    int r;

    if (form == BVI_FORM_TEXT || form == BVI_FORM_INTERP || !fn->proto)
        return bvi_buf_printf(out, "Fn(%s)", fn->name->data);
    r = bvi_buf_append_str(out, "Fn*(");
    if (r == 0)
        r = bvi_format_quoted(out, fn->name->data, fn->name->len);
    return r < 0 ? r : bvi_buf_append_char(out, ')');
}

/* Iterators have no text form; scripts see the names the reference has for them. */
static const char *iterator_name(const bvi_iter *it)
{
    switch (it->kind) {
    case BVI_ITER_STRING:
        return "rhai::packages::iter_basic::CharsStream";
    case BVI_ITER_BITS:
        return "rhai::packages::iter_basic::BitRange";
    case BVI_ITER_FLOAT:
        return "rhai::packages::iter_basic::StepRange<f64>";
    default:
        return "rhai::packages::iter_basic::StepRange<i64>";
    }
}

static int format_at(bvi_buf *out, const bvi_value *v, bvi_form form, unsigned depth)
{
    bool bare = form == BVI_FORM_TEXT || form == BVI_FORM_INTERP;

    if (depth > BVI_VALUE_DEPTH_MAX)
        return BV_E_LIMIT;
    switch (v->type) {
    case BVI_T_UNIT:
        return bvi_buf_append_str(out, bare ? "" : "()");
    case BVI_T_BOOL:
        return bvi_buf_append_str(out, v->as.b ? "true" : "false");
    case BVI_T_INT:
        return bvi_buf_printf(out, "%lld", (long long)v->as.i);
    case BVI_T_FLOAT:
        return bvi_format_float(out, v->as.f, !bare);
    case BVI_T_CHAR:
        return format_char(out, v->as.c, form == BVI_FORM_DUMP);
    case BVI_T_TIMESTAMP:
        return bvi_buf_append_str(out, "<timestamp>");
    case BVI_T_STRING:
        return bare ? bvi_buf_append(out, bvi_str(v)->data, bvi_str(v)->len)
                    : bvi_format_quoted(out, bvi_str(v)->data, bvi_str(v)->len);
    case BVI_T_ARRAY:
        return format_array(out, bvi_arr(v), form, depth);
    case BVI_T_MAP:
        return format_map(out, bvi_map_in_order(v), form, depth);
    case BVI_T_BLOB:
        return format_blob(out, bvi_blb(v));
    case BVI_T_RANGE:
        return format_range(out, bvi_rng(v));
    case BVI_T_FN:
        return format_fn(out, bvi_fnp(v), form);
    case BVI_T_CELL:
        return format_at(out, &((bvi_cell *)v->as.obj)->value, form, depth);
    case BVI_T_ITER:
        return bvi_buf_append_str(out, iterator_name((const bvi_iter *)v->as.obj));
    default:
        return bvi_buf_append_str(out, bvi_type_name(v));
    }
}

int bvi_format(bvi_buf *out, const bvi_value *v, bvi_form form)
{
    return format_at(out, v, form, 0);
}

int bvi_value_to_text(const bvi_value *value, bool debug, char **ret_text, size_t *ret_len)
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(BVI_VALUE_TEXT_MAX);
    char *text;
    int r = bvi_format(&out, value, debug ? BVI_FORM_DEBUG : BVI_FORM_TEXT);

    if (r < 0)
        return r;
    if (ret_len)
        *ret_len = out.len;
    text = bvi_buf_take(&out);
    if (!text)
        return BV_E_NOMEM;
    *ret_text = text;
    return 0;
}

/* ---- JSON ---- */

static int json_at(bvi_buf *out, const bvi_value *v, unsigned depth);

static int json_string(bvi_buf *out, const char *text, size_t len)
{
    int r = bvi_buf_append_char(out, '"');

    for (size_t i = 0; r == 0 && i < len; i++) {
        char c = text[i];

        if (c == '"' || c == '\\')
            r = bvi_buf_printf(out, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            r = bvi_buf_append_str(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        else if ((uint8_t)c < 0x20)
            r = bvi_buf_printf(out, "\\u%04x", (unsigned)(uint8_t)c);
        else
            r = bvi_buf_append_char(out, c);
    }
    return r < 0 ? r : bvi_buf_append_char(out, '"');
}

static int json_char(bvi_buf *out, uint32_t c)
{
    char utf8[4];
    size_t n = bvi_utf8_encode(c, utf8);

    return json_string(out, utf8, n);
}

static int json_array(bvi_buf *out, const bvi_array *a, unsigned depth)
{
    int r = bvi_buf_append_char(out, '[');

    for (uint32_t i = 0; r == 0 && i < a->len; i++) {
        if (i > 0)
            r = bvi_buf_append_char(out, ',');
        if (r == 0)
            r = json_at(out, &a->items[i], depth + 1);
    }
    return r < 0 ? r : bvi_buf_append_char(out, ']');
}

static int json_map(bvi_buf *out, const bvi_map *m, unsigned depth)
{
    int r = bvi_buf_append_char(out, '{');

    for (uint32_t i = 0; r == 0 && i < m->len; i++) {
        if (i > 0)
            r = bvi_buf_append_char(out, ',');
        if (r == 0)
            r = json_string(out, m->entries[i].key->data, m->entries[i].key->len);
        if (r == 0)
            r = bvi_buf_append_char(out, ':');
        if (r == 0)
            r = json_at(out, &m->entries[i].value, depth + 1);
    }
    return r < 0 ? r : bvi_buf_append_char(out, '}');
}

static int json_blob(bvi_buf *out, const bvi_blob *b)
{
    int r = bvi_buf_append_char(out, '[');

    for (uint32_t i = 0; r == 0 && i < b->len; i++)
        r = bvi_buf_printf(out, i > 0 ? ",%u" : "%u", b->data[i]);
    return r < 0 ? r : bvi_buf_append_char(out, ']');
}

/* Whatever JSON has no word for becomes its text, quoted; numbers that are none become null. */
static int json_other(bvi_buf *out, const bvi_value *v)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(out->max);
    int r;

    bvi_buf_charge_to(&text, out->charge, out->owner);
    if (v->type == BVI_T_FN)
        return json_string(out, bvi_fnp(v)->name->data, bvi_fnp(v)->name->len);
    r = bvi_format(&text, v, BVI_FORM_TEXT);
    return r < 0 ? r : json_string(out, bvi_buf_str(&text), text.len);
}

static int json_at(bvi_buf *out, const bvi_value *v, unsigned depth)
{
    if (depth > BVI_VALUE_DEPTH_MAX)
        return BV_E_LIMIT;
    switch (v->type) {
    case BVI_T_UNIT:
        return bvi_buf_append_str(out, "null");
    case BVI_T_BOOL:
    case BVI_T_INT:
        return bvi_format(out, v, BVI_FORM_TEXT);
    case BVI_T_FLOAT:
        return isfinite(v->as.f) ? bvi_format_float(out, v->as.f, true)
                                 : bvi_buf_append_str(out, "null");
    case BVI_T_CHAR:
        return json_char(out, v->as.c);
    case BVI_T_STRING:
        return json_string(out, bvi_str(v)->data, bvi_str(v)->len);
    case BVI_T_ARRAY:
        return json_array(out, bvi_arr(v), depth);
    case BVI_T_MAP:
        return json_map(out, bvi_map_in_order(v), depth);
    case BVI_T_BLOB:
        return json_blob(out, bvi_blb(v));
    default:
        return json_other(out, v);
    }
}

int bvi_format_json(bvi_buf *out, const bvi_value *v)
{
    return json_at(out, v, 0);
}
