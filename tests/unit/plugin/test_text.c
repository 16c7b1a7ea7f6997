/* Quoting for the shell, hexadecimal numbers. */
#include <inttypes.h>

#include "bvt.h"
#include "plugin/text.h"

static const struct {
    const char *text;
    const char *quoted; /* NULL: refused */
    const char *says;
} sh_cases[] = {
    { "", "\"\"", "" },
    { "abc 123", "\"abc 123\"", "" },
    { "/a:{b},c-d_e.f", "\"/a:{b},c-d_e.f\"", "" },
    { "say \"hi\"", "\"say \\\"hi\\\"\"", "" },
    { "a\nb", "\"a\\nb\"", "" },
    { "Grüße日本", "\"Grüße日本\"", "" },
    { "it's", NULL, "Very unsafe subsitution >:( '" },
    { "$HOME", NULL, "Shell unsafe character detected: $" },
    { "a;b", NULL, "Shell unsafe character detected: ;" },
    { "a\\b", NULL, "Shell unsafe character detected: \\" },
    { "`id`", NULL, "Shell unsafe character detected: `" },
    { "a\tb", NULL, "Shell unsafe character detected: \t" },
    { "a→b", NULL, "Shell unsafe character detected: →" },
    { "\xc3", NULL, "Shell unsafe character" },
};

START_TEST(quotes_or_refuses)
{
    char *quoted = NULL;
    bv_error *err = NULL;
    int r = bvi_sanitize_sh_param(sh_cases[_i].text, strlen(sh_cases[_i].text), &quoted, &err);

    if (sh_cases[_i].quoted) {
        bvt_assert_ok(r, err);
        ck_assert_str_eq(quoted, sh_cases[_i].quoted);
        bv_free(quoted);
    } else {
        ck_assert_ptr_null(quoted);
        bvt_assert_error_says(err, BV_E_INVALID, sh_cases[_i].says);
        bv_error_free(err);
    }
}
END_TEST

START_TEST(a_zero_byte_is_refused)
{
    char *quoted = NULL;

    ck_assert_int_eq(bvi_sanitize_sh_param("a\0b", 3, &quoted, NULL), BV_E_INVALID);
}
END_TEST

static const struct {
    const char *text;
    int64_t value;
    const char *says; /* NULL: good */
} hex_cases[] = {
    { "0", 0, NULL },
    { "0x1a", 26, NULL },
    { "FF", 255, NULL },
    { "-ff", -255, NULL },
    { "0x-ff", -255, NULL },
    { "0x+f", 15, NULL },
    { "7fffffffffffffff", INT64_MAX, NULL },
    { "-8000000000000000", INT64_MIN, NULL },
    { "8000000000000000", 0, "number too large to fit in target type" },
    { "-8000000000000001", 0, "number too small to fit in target type" },
    { "", 0, "cannot parse integer from empty string" },
    { "0x", 0, "cannot parse integer from empty string" },
    { "-", 0, "invalid digit found in string" },
    { "-0xff", 0, "invalid digit found in string" },
    { "0Xff", 0, "invalid digit found in string" },
    { "12 ", 0, "invalid digit found in string" },
    { "xyz", 0, "invalid digit found in string" },
};

START_TEST(parses_hex)
{
    bv_error *err = NULL;
    int64_t value = 0;
    int r = bvi_parse_hex(hex_cases[_i].text, strlen(hex_cases[_i].text), &value, &err);

    if (!hex_cases[_i].says) {
        bvt_assert_ok(r, err);
        ck_assert_int_eq(value, hex_cases[_i].value);
    } else {
        bvt_assert_error_says(err, BV_E_INVALID, hex_cases[_i].says);
        bv_error_free(err);
    }
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        char *quoted = NULL;
        int r = bvi_sanitize_sh_param("abc", 3, &quoted, NULL);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        bv_free(quoted);
    }
}
END_TEST

BVT_MAIN("plugin/text", bvt_loop(quotes_or_refuses, sh_cases), bvt_test(a_zero_byte_is_refused),
         bvt_loop(parses_hex, hex_cases), bvt_test(survives_every_failed_allocation))
