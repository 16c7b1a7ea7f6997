/*
 * float_text.c - doubles to and from text without help from the process's locale.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_text.h"

#define NUMBER_TEXT_MAX 512u

bool bvi_parse_double(const char *text, double *ret)
{
    const struct lconv *locale = localeconv();
    char copy[NUMBER_TEXT_MAX];
    size_t len = strlen(text);
    char *end;

    if (len == 0 || len >= sizeof(copy) || strlen(locale->decimal_point) != 1)
        return false;
    for (size_t i = 0; i <= len; i++)
        copy[i] = text[i] == '.' ? locale->decimal_point[0] : text[i];
    *ret = strtod(copy, &end);
    return *end == '\0' && end != copy;
}

int bvi_float_digits(double f, char digits[BVI_FLOAT_DIGITS_MAX], int *ret_exponent)
{
    int first = fabs(f) < 2.3e-308 ? 1 : 15; /* denormals have fewer digits */
    char text[64];
    int n = 0;
    char *e;

    for (int precision = first; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision - 1, fabs(f));
        if (strtod(text, NULL) == fabs(f))
            break;
    }
    e = strchr(text, 'e');
    *ret_exponent = (int)strtol(e + 1, NULL, 10);
    for (char *p = text; p < e; p++) {
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    }
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return n;
}

void bvi_float_exponent(char *out, const char *digits, int n, int exponent)
{
    char *p = out;

    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)n - 1);
        p += n - 1;
    }
    snprintf(p, 8, "e%d", exponent);
}

void bvi_float_positional(char *out, const char *digits, int n, int exponent)
{
    char *p = out;

    if (exponent < 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = -1; i > exponent; i--)
            *p++ = '0';
        memcpy(p, digits, (size_t)n);
        p[n] = '\0';
        return;
    }
    for (int i = 0; i <= exponent; i++)
        *p++ = i < n ? digits[i] : '0';
    *p++ = '.';
    if (n > exponent + 1) {
        memcpy(p, digits + exponent + 1, (size_t)(n - exponent - 1));
        p += n - exponent - 1;
    } else {
        *p++ = '0';
    }
    *p = '\0';
}
