/*
 * filter_number.c - filters that take or make numbers.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_text.h"
#include "template/run.h"

/* ---- int, float ---- */

#define NUMBER_TEXT_MAX 400u

/* The text without white space around it, zero-terminated; false: too long for a number. */
static bool trimmed(const bvi_tpl_value *v, char text[NUMBER_TEXT_MAX + 1])
{
    bvi_span span = bvi_text_trim((bvi_span){ v->as.text, v->len }, BVI_TRIM_BOTH);

    if (span.len > NUMBER_TEXT_MAX)
        return false;
    memcpy(text, span.at, span.len);
    text[span.len] = '\0';
    return true;
}

static bool looks_like_float(const char *text)
{
    return *text && text[strspn(text, "0123456789.+-eE")] == '\0';
}

static const char *skip_prefix(const char *text, int64_t base)
{
    if (text[0] != '0' || !text[1])
        return text;
    if ((base == 2 && text[1] == 'b') || (base == 8 && text[1] == 'o') ||
        (base == 16 && text[1] == 'x'))
        return text + 2;
    return text;
}

static bool parse_int(const char *text, int64_t base, int64_t *ret)
{
    bool negative = *text == '-';
    const char *digits = skip_prefix(text + (negative || *text == '+'), base);
    unsigned long long value;
    char *end;

    if (!*digits || strchr("+- \t\n\v\f\r", *digits) ||
        (base == 16 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')))
        return false;
    errno = 0;
    value = strtoull(digits, &end, (int)base);
    if (*end || errno || value > (unsigned long long)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static bool int_of_float(double f, int64_t *ret)
{
    bvi_tpl_value whole = bvi_tpl_float(trunc(f));

    return bvi_tpl_to_int(&whole, ret);
}

static bool int_of_text(const bvi_tpl_value *v, int64_t base, int64_t *ret)
{
    char text[NUMBER_TEXT_MAX + 1];
    double f = 0;

    if (!trimmed(v, text))
        return false;
    if (parse_int(text, base, ret))
        return true;
    return base == 10 && strchr(text, '.') && looks_like_float(text) &&
           bvi_parse_double(text, &f) && int_of_float(f, ret);
}

static int fail_unexpected(bvi_tpl_using *use, const bvi_tpl_value *input)
{
    char shown[BVI_TPL_SHOWN_MAX];

    bvi_tpl_show(input, shown);
    return bvi_tpl_use_fail(use,
                            "Filter `%s` received an unexpected type: `%s` is neither a string "
                            "nor a number",
                            use->name, shown);
}

static int filter_int(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    int64_t value = 0;
    int64_t base = 10;
    int r = bvi_tpl_arg_int(use, "default", false, &value);

    if (r >= 0)
        r = bvi_tpl_arg_int(use, "base", false, &base);
    if (r < 0)
        return r;
    if (base < 2 || base > 36)
        return bvi_tpl_use_fail(use, "Filter `int` takes a base from 2 to 36, not %lld",
                                (long long)base);
    if (input->type == BVI_TPL_INT || input->type == BVI_TPL_UINT) {
        *ret = *input;
        return 0;
    }
    if (input->type == BVI_TPL_STRING)
        (void)int_of_text(input, base, &value); /* or the default */
    else if (input->type == BVI_TPL_FLOAT)
        (void)int_of_float(input->as.f, &value); /* or the default */
    else
        return fail_unexpected(use, input);
    *ret = bvi_tpl_int(value);
    return 0;
}

static int filter_float(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    const bvi_tpl_value *otherwise = bvi_tpl_arg_find(use, "default");
    char text[NUMBER_TEXT_MAX + 1];
    double f = otherwise && bvi_tpl_is_number(otherwise) ? bvi_tpl_double(otherwise) : 0;
    double parsed = 0;

    if (bvi_tpl_is_number(input))
        f = bvi_tpl_double(input);
    else if (input->type != BVI_TPL_STRING)
        return fail_unexpected(use, input);
    else if (trimmed(input, text) && looks_like_float(text) && bvi_parse_double(text, &parsed))
        f = parsed;
    *ret = bvi_tpl_float(f);
    return 0;
}

/* ---- numbers to numbers ---- */

static int filter_abs(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    *ret = *input;
    if (input->type == BVI_TPL_FLOAT)
        ret->as.f = fabs(input->as.f);
    else if (input->type == BVI_TPL_INT && input->as.i == INT64_MIN)
        *ret = (bvi_tpl_value){ .type = BVI_TPL_UINT, .as.u = (uint64_t)INT64_MAX + 1 };
    else if (input->type == BVI_TPL_INT && input->as.i < 0)
        ret->as.i = -input->as.i;
    return 0;
}

static int filter_round(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    bvi_span method = { "common", 6 };
    int64_t precision = 0;
    double scale, f;
    int r = bvi_tpl_arg_string(use, "method", false, &method);

    if (r >= 0)
        r = bvi_tpl_arg_int(use, "precision", false, &precision);
    if (r < 0)
        return r;
    if (precision < -308 || precision > 308)
        return bvi_tpl_use_fail(use, "Filter `round` takes a precision from -308 to 308, not %lld",
                                (long long)precision);
    scale = pow(10, (double)precision);
    f = bvi_tpl_double(input) * scale;
    if (bvi_span_is(method, "common", 6))
        f = round(f);
    else if (bvi_span_is(method, "ceil", 4))
        f = ceil(f);
    else if (bvi_span_is(method, "floor", 5))
        f = floor(f);
    else
        return bvi_tpl_use_fail(use,
                                "Filter `round` received an incorrect value for arg `method`: got "
                                "`%.*s`, only common, ceil and floor are allowed",
                                (int)method.len, method.at);
    *ret = bvi_tpl_float(f / scale);
    return 0;
}

static int filter_pluralize(bvi_tpl_using *use, const bvi_tpl_value *input, bvi_tpl_value *ret)
{
    bvi_span singular = { "", 0 };
    bvi_span plural = { "s", 1 };
    double f = bvi_tpl_double(input);
    int r = bvi_tpl_arg_string(use, "singular", false, &singular);

    if (r >= 0)
        r = bvi_tpl_arg_string(use, "plural", false, &plural);
    *ret = fabs(f) == 1 ? bvi_tpl_text(singular.at, singular.len)
                        : bvi_tpl_text(plural.at, plural.len);
    return r;
}

const bvi_tpl_filter bvi_tpl_number_filters[] = {
    { "abs", BVI_TPL_TAKES_NUMBER, filter_abs },
    { "float", BVI_TPL_TAKES_ANY, filter_float },
    { "int", BVI_TPL_TAKES_ANY, filter_int },
    { "pluralize", BVI_TPL_TAKES_NUMBER, filter_pluralize },
    { "round", BVI_TPL_TAKES_NUMBER, filter_round },
    { NULL, BVI_TPL_TAKES_ANY, NULL },
};
