/*
 * lib_number.c - built-ins of INT and FLOAT: conversions, rounding, mathematics, bits.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_text.h"
#include "base/utf8.h"
#include "script/lib.h"

#define NUMBER_TEXT_MAX 512u

/* ---- sign and size ---- */

BVI_LIB(int_abs)
{
    if (args[0].as.i == INT64_MIN)
        return bvi_vm_arithmetic(call, false, "Negation overflow: -%lld", (long long)args[0].as.i);
    *ret = bvi_value_int(args[0].as.i < 0 ? -args[0].as.i : args[0].as.i);
    return 0;
}

BVI_LIB(float_abs)
{
    *ret = bvi_value_float(fabs(args[0].as.f));
    return 0;
}

BVI_LIB(int_sign)
{
    *ret = bvi_value_int((args[0].as.i > 0) - (args[0].as.i < 0));
    return 0;
}

BVI_LIB(float_sign)
{
    if (isnan(args[0].as.f))
        return bvi_vm_arithmetic(call, false, "Sign of NaN is undefined");
    *ret = bvi_value_int((args[0].as.f > 0) - (args[0].as.f < 0));
    return 0;
}

BVI_LIB(is_zero)
{
    *ret = bvi_value_bool(args[0].type == BVI_T_INT ? args[0].as.i == 0 : args[0].as.f == 0);
    return 0;
}

BVI_LIB(is_odd)
{
    *ret = bvi_value_bool(args[0].as.i & 1);
    return 0;
}

BVI_LIB(is_even)
{
    *ret = bvi_value_bool(!(args[0].as.i & 1));
    return 0;
}

/* ---- conversions ---- */

BVI_LIB(to_float)
{
    *ret = bvi_value_float(args[0].type == BVI_T_INT ? (double)args[0].as.i : args[0].as.f);
    return 0;
}

static int to_int_overflow(bvi_script_call *call, double f)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_SCRIPT_BUF_INIT(call->engine, NUMBER_TEXT_MAX);
    int r = isinf(f) ? bvi_format_float(&text, f, false) : bvi_format_whole(&text, f);

    if (r < 0)
        return bvi_lib_end(call, r);
    return bvi_vm_arithmetic(call, false, "Integer overflow: to_int(%s)", bvi_buf_str(&text));
}

BVI_LIB(to_int)
{
    double f = args[0].as.f;

    if (args[0].type == BVI_T_INT) {
        *ret = bvi_value_int(args[0].as.i);
    } else if (args[0].type == BVI_T_CHAR) {
        *ret = bvi_value_int(args[0].as.c);
    } else if (isnan(f)) {
        *ret = bvi_value_int(0);
    } else if (f >= 9223372036854775808.0 || f < -9223372036854775808.0) {
        return to_int_overflow(call, f);
    } else {
        *ret = bvi_value_int((int64_t)f);
    }
    return 0;
}

static int to_radix(bvi_script_call *call, int64_t value, unsigned bits, bvi_value *ret)
{
    uint64_t v = (uint64_t)value;
    char text[72];
    size_t at = sizeof(text);

    do {
        text[--at] = "0123456789abcdef"[v & ((1u << bits) - 1)];
        v >>= bits;
    } while (v);
    return bvi_lib_end(call, bvi_value_string(call->engine, text + at, sizeof(text) - at, ret));
}

BVI_LIB(to_hex)
{
    return to_radix(call, args[0].as.i, 4, ret);
}

BVI_LIB(to_octal)
{
    return to_radix(call, args[0].as.i, 3, ret);
}

BVI_LIB(to_binary)
{
    return to_radix(call, args[0].as.i, 1, ret);
}

/* ---- parsing ---- */

/* The text without white space around it, as a C string; false: too long to be a number. */
static bool trimmed(const bvi_string *s, char out[NUMBER_TEXT_MAX])
{
    size_t from = 0;
    size_t to = 0;
    bool seen = false;

    s->obj.engine->work += s->len;
    for (size_t i = 0; i < s->len;) {
        size_t used;
        int32_t c = bvi_utf8_decode(s->data + i, s->len - i, &used);

        if (!bvi_utf8_is_space(c)) {
            if (!seen)
                from = i;
            seen = true;
            to = i + used;
        }
        i += used;
    }
    if (!seen)
        from = to = 0;
    if (to - from >= NUMBER_TEXT_MAX)
        return false;
    memcpy(out, s->data + from, to - from);
    out[to - from] = '\0';
    return strlen(out) == to - from;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return (c | 0x20) - 'a' + 10;
    return 99;
}

/* NULL, or why it is no number. */
static const char *parse_radix(const char *text, int radix, int64_t *ret)
{
    bool negative = text[0] == '-';
    const char *p = text + (text[0] == '-' || text[0] == '+');
    int64_t value = 0;

    if (text[0] == '\0')
        return "cannot parse integer from empty string";
    if (*p == '\0')
        return "invalid digit found in string";
    for (const char *q = p; *q; q++) {
        if (digit_of(*q) >= radix)
            return "invalid digit found in string";
    }
    for (; *p; p++) {
        int d = negative ? -digit_of(*p) : digit_of(*p);

        if (__builtin_mul_overflow(value, (int64_t)radix, &value) ||
            __builtin_add_overflow(value, d, &value))
            return negative ? "number too small to fit in target type"
                            : "number too large to fit in target type";
    }
    *ret = value;
    return NULL;
}

BVI_LIB(parse_int)
{
    int64_t radix = argc > 1 ? args[1].as.i : 10;
    char text[NUMBER_TEXT_MAX];
    const char *wrong;
    int64_t value = 0;

    if (radix < 2 || radix > 36)
        return bvi_vm_arithmetic(call, false, "Invalid radix: '%lld'", (long long)radix);
    if (!trimmed(bvi_str(&args[0]), text))
        return bvi_vm_arithmetic(call, false,
                                 "Error parsing integer number: invalid digit found in string");
    wrong = parse_radix(text, (int)radix, &value);
    if (wrong)
        return bvi_vm_arithmetic(call, false, "Error parsing integer number '%s': %s", text, wrong);
    *ret = bvi_value_int(value);
    return 0;
}

/* strtod also knows hexadecimal numbers, which the language does not. */
static bool looks_like_float(const char *text)
{
    const char *p = text + (text[0] == '-' || text[0] == '+');

    if (strcasecmp(p, "inf") == 0 || strcasecmp(p, "infinity") == 0 || strcasecmp(p, "nan") == 0)
        return true;
    return p[strspn(p, "0123456789.eE+-")] == '\0';
}

BVI_LIB(parse_float)
{
    char text[NUMBER_TEXT_MAX];
    double f;

    if (!trimmed(bvi_str(&args[0]), text))
        return bvi_vm_arithmetic(call, false,
                                 "Error parsing floating-point number: invalid float literal");
    if (text[0] == '\0')
        return bvi_vm_arithmetic(
            call, false,
            "Error parsing floating-point number '': cannot parse float from empty string");
    if (!looks_like_float(text) || !bvi_parse_double(text, &f))
        return bvi_vm_arithmetic(
            call, false, "Error parsing floating-point number '%s': invalid float literal", text);
    *ret = bvi_value_float(f);
    return 0;
}

/* ---- mathematics ---- */

#define MATH(name, expression)                                                                     \
    BVI_LIB(name)                                                                                  \
    {                                                                                              \
        double x = args[0].as.f;                                                                   \
                                                                                                   \
        *ret = bvi_value_float(expression);                                                        \
        return 0;                                                                                  \
    }

MATH(f_sin, sin(x))
MATH(f_cos, cos(x))
MATH(f_tan, tan(x))
MATH(f_sinh, sinh(x))
MATH(f_cosh, cosh(x))
MATH(f_tanh, tanh(x))
MATH(f_asin, asin(x))
MATH(f_acos, acos(x))
MATH(f_atan, atan(x))
MATH(f_asinh, asinh(x))
MATH(f_acosh, acosh(x))
MATH(f_atanh, atanh(x))
MATH(f_sqrt, sqrt(x))
MATH(f_exp, exp(x))
MATH(f_ln, log(x))
MATH(f_log10, log10(x))
MATH(f_log, log(x) / log(args[1].as.f))
MATH(f_atan2, atan2(x, args[1].as.f))
MATH(f_hypot, hypot(x, args[1].as.f))
MATH(f_radians, x *(M_PI / 180.0))
MATH(f_degrees, x *(180.0 / M_PI))
MATH(f_floor, floor(x))
MATH(f_ceiling, ceil(x))
MATH(f_round, round(x))
MATH(f_int, trunc(x))
MATH(f_fraction, x - trunc(x))

#define TEST(name, expression)                                                                     \
    BVI_LIB(name)                                                                                  \
    {                                                                                              \
        *ret = bvi_value_bool(expression);                                                         \
        return 0;                                                                                  \
    }

TEST(f_is_nan, isnan(args[0].as.f))
TEST(f_is_finite, isfinite(args[0].as.f))
TEST(f_is_infinite, isinf(args[0].as.f))

BVI_LIB(pi)
{
    *ret = bvi_value_float(M_PI);
    return 0;
}

BVI_LIB(e)
{
    *ret = bvi_value_float(M_E);
    return 0;
}

/* ---- bits ---- */

static int bit_of(bvi_script_call *call, int64_t index, size_t *ret)
{
    if (bvi_index(index, 64, ret))
        return 0;
    return bvi_vm_bounds(call, (bvi_pos){ 0, 0 }, BVI_FAILURE_BIT_BOUNDS, index, 64);
}

BVI_LIB(get_bit)
{
    size_t at;
    int r = bit_of(call, args[1].as.i, &at);

    if (r == 0)
        *ret = bvi_value_bool(((uint64_t)args[0].as.i >> at) & 1u);
    return r;
}

BVI_LIB(set_bit)
{
    size_t at;
    int r = bit_of(call, args[1].as.i, &at);

    if (r == 0)
        args[0].as.i = (int64_t)(((uint64_t)args[0].as.i & ~((uint64_t)1 << at)) |
                                 (uint64_t)args[2].as.b << at);
    return r;
}

/* A start and a length are the range they cover. */
static bvi_range bits_of(const bvi_value *args)
{
    bvi_range range = { .start = args[1].as.i };
    int64_t start;

    if (args[1].type == BVI_T_RANGE)
        return bvi_lib_range(&args[1]);
    start = range.start < 0 ? range.start + 64 : range.start;
    range.end = args[2].as.i <= 0 ? start : args[2].as.i > 64 ? 64 : start + args[2].as.i;
    range.start = start;
    return range;
}

BVI_LIB(get_bits)
{
    bvi_range range = bits_of(args);
    int64_t bits = 0;
    int r = bvi_get_bits(call, args[0].as.i, &range, &bits);

    *ret = bvi_value_int(bits);
    return r;
}

BVI_LIB(set_bits)
{
    bvi_range range = bits_of(args);

    return bvi_set_bits(call, &args[0].as.i, &range, args[argc - 1].as.i);
}

#define PROPERTY BVI_SCRIPT_PROPERTY
#define MUTATES  BVI_SCRIPT_MUTATES

const bvi_script_function bvi_lib_number[] = {
    { "abs", "i", int_abs, 0 },
    { "abs", "f", float_abs, 0 },
    { "sign", "i", int_sign, 0 },
    { "sign", "f", float_sign, 0 },
    { "is_zero", "n", is_zero, PROPERTY },
    { "is_odd", "i", is_odd, PROPERTY },
    { "is_even", "i", is_even, PROPERTY },
    { "to_float", "n", to_float, 0 },
    { "to_int", "n", to_int, 0 },
    { "to_int", "c", to_int, 0 },
    { "to_hex", "i", to_hex, 0 },
    { "to_octal", "i", to_octal, 0 },
    { "to_binary", "i", to_binary, 0 },
    { "parse_int", "s", parse_int, 0 },
    { "parse_int", "si", parse_int, 0 },
    { "parse_float", "s", parse_float, 0 },
    { "sin", "f", f_sin, 0 },
    { "cos", "f", f_cos, 0 },
    { "tan", "f", f_tan, 0 },
    { "sinh", "f", f_sinh, 0 },
    { "cosh", "f", f_cosh, 0 },
    { "tanh", "f", f_tanh, 0 },
    { "asin", "f", f_asin, 0 },
    { "acos", "f", f_acos, 0 },
    { "atan", "f", f_atan, 0 },
    { "atan", "ff", f_atan2, 0 },
    { "asinh", "f", f_asinh, 0 },
    { "acosh", "f", f_acosh, 0 },
    { "atanh", "f", f_atanh, 0 },
    { "sqrt", "f", f_sqrt, 0 },
    { "exp", "f", f_exp, 0 },
    { "ln", "f", f_ln, 0 },
    { "log", "f", f_log10, 0 },
    { "log", "ff", f_log, 0 },
    { "hypot", "ff", f_hypot, 0 },
    { "to_radians", "f", f_radians, 0 },
    { "to_degrees", "f", f_degrees, 0 },
    { "floor", "f", f_floor, PROPERTY },
    { "ceiling", "f", f_ceiling, PROPERTY },
    { "round", "f", f_round, PROPERTY },
    { "int", "f", f_int, PROPERTY },
    { "fraction", "f", f_fraction, PROPERTY },
    { "is_nan", "f", f_is_nan, PROPERTY },
    { "is_finite", "f", f_is_finite, PROPERTY },
    { "is_infinite", "f", f_is_infinite, PROPERTY },
    { "PI", "", pi, 0 },
    { "E", "", e, 0 },
    { "get_bit", "ii", get_bit, 0 },
    { "set_bit", "iit", set_bit, MUTATES },
    { "get_bits", "ir", get_bits, 0 },
    { "get_bits", "iii", get_bits, 0 },
    { "set_bits", "iri", set_bits, MUTATES },
    { "set_bits", "iiii", set_bits, MUTATES },
    { NULL, NULL, NULL, 0 },
};
