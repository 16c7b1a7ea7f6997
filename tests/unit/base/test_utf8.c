/* UTF-8: all scalars there and back, and every kind of malformed sequence. */
#include "base/utf8.h"
#include "bvt.h"

/* Counted rather than asserted one by one: an assertion costs a system call. */
START_TEST(every_scalar_there_and_back)
{
    unsigned wrong = 0;

    for (uint32_t scalar = 0; scalar <= 0x110000; scalar++) {
        bool surrogate = scalar >= 0xD800 && scalar <= 0xDFFF;
        char text[4];
        size_t len = bvi_utf8_encode(scalar, text), used = 0;

        wrong += (len == 0) != (surrogate || scalar > 0x10FFFF);
        if (len == 0)
            continue;
        wrong += bvi_utf8_decode(text, len, &used) != (int32_t)scalar || used != len;
        wrong += len > 1 && bvi_utf8_decode(text, len - 1, &used) != -1;
    }
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

static const struct {
    const char *text;
    size_t len;
    bool valid;
} cases[] = {
    { "", 0, true },
    { "plain", 5, true },
    { "a\0b", 3, true },
    { "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9, true },
    { "\x80", 1, false },
    { "\xC3", 1, false },
    { "\xC3(", 2, false },
    { "\xE2\x82", 2, false },
    { "\xF0\x9F\x98", 3, false },
    { "\xC0\x80", 2, false }, /* zero, too long */
    { "\xC1\xBF", 2, false },
    { "\xE0\x80\xAF", 3, false },
    { "\xF0\x80\x80\xAF", 4, false },
    { "\xED\xA0\x80", 3, false },     /* a surrogate */
    { "\xF4\x90\x80\x80", 4, false }, /* above U+10FFFF */
    { "\xF8\x88\x80\x80\x80", 5, false },
    { "\xFE", 1, false },
    { "\xFF", 1, false },
};

START_TEST(validity)
{
    ck_assert_int_eq(bvi_utf8_valid(cases[_i].text, cases[_i].len), cases[_i].valid);
}
END_TEST

START_TEST(a_bad_byte_takes_one_byte)
{
    size_t used = 0;

    ck_assert_int_eq(bvi_utf8_decode("\xE2(\xA1", 3, &used), -1);
    ck_assert_uint_eq(used, 1);
}
END_TEST

START_TEST(knows_spaces)
{
    size_t count = 0;

    for (int32_t c = -1; c <= 0x10FFFF; c++)
        count += bvi_utf8_is_space(c);
    ck_assert_uint_eq(count, 25); /* as many as Unicode has had since 6.3 */
    ck_assert(bvi_utf8_is_space('\n') && bvi_utf8_is_space(0x3000));
    ck_assert(!bvi_utf8_is_space(0x200B) && !bvi_utf8_is_space('x'));
}
END_TEST

BVT_MAIN("base/utf8", bvt_test(every_scalar_there_and_back), bvt_loop(validity, cases),
         bvt_test(a_bad_byte_takes_one_byte), bvt_test(knows_spaces))
