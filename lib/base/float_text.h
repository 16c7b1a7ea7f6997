/*
 * float_text.h - doubles to and from text without help from the process's locale.
 */
#ifndef BVI_BASE_FLOAT_TEXT_H
#define BVI_BASE_FLOAT_TEXT_H

#include "base/mem.h"

#define BVI_FLOAT_DIGITS_MAX 32u
/* The longest text of a double in positional form: 309 digits, a sign, a point. */
#define BVI_FLOAT_TEXT_MAX 400u

/* The whole text is one number with a '.' for its point. */
bool bvi_parse_double(const char *text, double *ret);

/* The shortest digits that read back as |f|, a finite number: the first stands before the point of
 * "d.ddde<exponent>". Returns how many there are. */
int bvi_float_digits(double f, char digits[BVI_FLOAT_DIGITS_MAX], int *ret_exponent);
/* Such digits as "1.5e7", "1e-7", and as "15000000.0", "0.0000001"; out has BVI_FLOAT_TEXT_MAX
 * bytes. */
void bvi_float_exponent(char *out, const char *digits, int n, int exponent);
void bvi_float_positional(char *out, const char *digits, int n, int exponent);

#endif
