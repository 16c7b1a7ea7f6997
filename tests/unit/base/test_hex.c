/* Hexadecimal text. */
#include "base/hex.h"
#include "bvt.h"

START_TEST(there_and_back)
{
    unsigned char all[256], back[256];
    char text[BVI_HEX_SIZE(256)];

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (unsigned char)i;
    bvi_hex_encode(all, sizeof(all), text);
    ck_assert_uint_eq(strlen(text), 512);
    ck_assert(strncmp(text, "000102030405060708090a", 22) == 0);
    ck_assert(bvi_hex_decode(text, back, sizeof(back)));
    ck_assert_mem_eq(all, back, sizeof(all));
    ck_assert(bvi_hex_decode("aBfF", back, 2));
    ck_assert_mem_eq(back, "\xAB\xFF", 2);
    bvi_hex_encode(all, 0, text);
    ck_assert_str_eq(text, "");
    ck_assert(bvi_hex_decode("", back, 0));
}
END_TEST

static const char *const refused[] = { "",     "a",    "abc",  "abcde", "abcg", "ab c",
                                       "/bcd", ":bcd", "@bcd", "`bcd",  "0x12" };

START_TEST(refuses)
{
    unsigned char back[2];

    ck_assert(!bvi_hex_decode(refused[_i], back, sizeof(back)));
}
END_TEST

BVT_MAIN("base/hex", bvt_test(there_and_back), bvt_loop(refuses, refused))
