/*
 * value_text.c - values as text: printed, as JSON, and for error messages.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/float_text.h"
#include "base/json_text.h"
#include "base/utf8.h"
#include "template/value.h"

/* ---- printing ---- */

/* The shortest text that reads back, never with an exponent, a whole number without a point. */
static int print_float(bvi_buf *out, double f)
{
    char digits[BVI_FLOAT_DIGITS_MAX];
    char text[BVI_FLOAT_TEXT_MAX];
    int exponent = 0;
    int n;
    size_t len;

    if (isnan(f))
        return bvi_buf_append_str(out, "NaN");
    n = bvi_float_digits(f, digits, &exponent);
    bvi_float_positional(text, digits, n, exponent);
    len = strlen(text);
    if (strcmp(text + len - 2, ".0") == 0)
        text[len - 2] = '\0';
    return bvi_buf_printf(out, "%s%s", f < 0 ? "-" : "", text);
}

static int print_array(bvi_buf *out, const bvi_tpl_value *v)
{
    int r = bvi_buf_append_char(out, '[');

    for (size_t i = 0; r >= 0 && i < v->len; i++) {
        r = i ? bvi_buf_append(out, ", ", 2) : 0;
        if (r >= 0)
            r = bvi_tpl_print(out, &v->as.items[i]);
    }
    return r < 0 ? r : bvi_buf_append_char(out, ']');
}

int bvi_tpl_print(bvi_buf *out, const bvi_tpl_value *v)
{
    switch ((bvi_tpl_type)v->type) {
    case BVI_TPL_NULL:
        return 0;
    case BVI_TPL_BOOL:
        return bvi_buf_append_str(out, v->as.b ? "true" : "false");
    case BVI_TPL_INT:
        return bvi_buf_printf(out, "%" PRId64, v->as.i);
    case BVI_TPL_UINT:
        return bvi_buf_printf(out, "%" PRIu64, v->as.u);
    case BVI_TPL_FLOAT:
        return print_float(out, v->as.f);
    case BVI_TPL_STRING:
        return bvi_buf_append(out, v->as.text, v->len);
    case BVI_TPL_ARRAY:
        return print_array(out, v);
    case BVI_TPL_OBJECT:
        return bvi_buf_append_str(out, "[object]");
    }
    return BV_E_INTERNAL;
}

/* ---- JSON ---- */

/* Whole numbers keep a ".0"; very large and very small ones have an exponent. */
static void json_float(bvi_json_text *w, double f)
{
    char digits[BVI_FLOAT_DIGITS_MAX];
    char text[BVI_FLOAT_TEXT_MAX + 1] = "-";
    char *at = text + (f < 0 ? 1 : 0);
    int exponent = 0;
    int n;

    if (isnan(f)) {
        bvi_json_text_null(w);
        return;
    }
    n = bvi_float_digits(f, digits, &exponent);
    if (exponent < -5 || exponent >= 16)
        bvi_float_exponent(at, digits, n, exponent);
    else
        bvi_float_positional(at, digits, n, exponent);
    bvi_json_text_raw(w, text);
}

static void write_json(bvi_json_text *w, const bvi_tpl_value *v)
{
    switch ((bvi_tpl_type)v->type) {
    case BVI_TPL_NULL:
        bvi_json_text_null(w);
        break;
    case BVI_TPL_BOOL:
        bvi_json_text_bool(w, v->as.b);
        break;
    case BVI_TPL_INT:
        bvi_json_text_int(w, v->as.i);
        break;
    case BVI_TPL_UINT:
        bvi_json_text_uint(w, v->as.u);
        break;
    case BVI_TPL_FLOAT:
        json_float(w, v->as.f);
        break;
    case BVI_TPL_STRING:
        bvi_json_text_strn(w, v->as.text, v->len);
        break;
    case BVI_TPL_ARRAY:
        bvi_json_text_open(w, '[');
        for (size_t i = 0; i < v->len; i++)
            write_json(w, &v->as.items[i]);
        bvi_json_text_close(w, ']');
        break;
    case BVI_TPL_OBJECT:
        bvi_json_text_open(w, '{');
        for (size_t i = 0; i < v->len; i++) {
            bvi_json_text_key(w, v->as.members[i].key.as.text);
            write_json(w, &v->as.members[i].value);
        }
        bvi_json_text_close(w, '}');
        break;
    }
}

int bvi_tpl_print_json(bvi_buf *out, const bvi_tpl_value *v, bool pretty)
{
    bvi_json_text w;

    bvi_json_text_init(&w, out, pretty);
    write_json(&w, v);
    return bvi_json_text_end(&w);
}

void bvi_tpl_show(const bvi_tpl_value *v, char text[BVI_TPL_SHOWN_MAX])
{
    BVI_AUTO(bvi_buf_done) bvi_buf out = BVI_BUF_INIT(64u * 1024u * 1024u);
    size_t len;

    if (bvi_tpl_print_json(&out, v, false) < 0) {
        memcpy(text, "...", 4);
        return;
    }
    len = out.len < BVI_TPL_SHOWN_MAX - 4 ? out.len : BVI_TPL_SHOWN_MAX - 4;
    while (len < out.len && len && ((unsigned char)out.data[len] & 0xC0) == 0x80)
        len--; /* not in the middle of a character */
    memcpy(text, bvi_buf_str(&out), len);
    memcpy(text + len, len < out.len ? "..." : "", len < out.len ? 4 : 1);
}
