/* Doubles and their texts: the shortest digits, both ways to write them, and reading them back. */
#include <float.h>
#include <math.h>

#include "base/float_text.h"
#include "bvt.h"

static const struct {
    double f;
    const char *positional;
    const char *exponent;
} cases[] = {
    { 1.5, "1.5", "1.5e0" },
    { 2, "2.0", "2e0" },
    { 1e20, "100000000000000000000.0", "1e20" },
    { 0.00001, "0.00001", "1e-5" },
    { 1.0 / 3, "0.3333333333333333", "3.333333333333333e-1" },
    { 5e-324, NULL, "5e-324" },
    { DBL_MAX, NULL, "1.7976931348623157e308" },
};

START_TEST(writes_and_reads_back)
{
    char digits[BVI_FLOAT_DIGITS_MAX];
    char text[BVI_FLOAT_TEXT_MAX];
    int exponent = 0;
    int n = bvi_float_digits(cases[_i].f, digits, &exponent);
    double back = 0;

    bvi_float_exponent(text, digits, n, exponent);
    ck_assert_str_eq(text, cases[_i].exponent);
    ck_assert(bvi_parse_double(text, &back) && back == cases[_i].f);
    bvi_float_positional(text, digits, n, exponent);
    if (cases[_i].positional)
        ck_assert_str_eq(text, cases[_i].positional);
    ck_assert(bvi_parse_double(text, &back) && back == cases[_i].f);
}
END_TEST

START_TEST(reads_whole_texts_only)
{
    static const char *const bad[] = { "", "x", "1x", "1,5", "1.5 " };
    double f = 0;

    for (size_t i = 0; i < BVI_COUNT(bad); i++)
        ck_assert_msg(!bvi_parse_double(bad[i], &f), "'%s'", bad[i]);
}
END_TEST

BVT_MAIN("base/float_text", bvt_loop(writes_and_reads_back, cases),
         bvt_test(reads_whole_texts_only))
