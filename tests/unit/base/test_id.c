/* Random identifiers and the alphabet of names. */
#include "base/id.h"
#include "bvt.h"

START_TEST(new_ids_are_valid_and_differ)
{
    char a[BVI_ID_TEXT_SIZE], b[BVI_ID_TEXT_SIZE];

    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(bvi_id_new(a, NULL), 0);
        ck_assert_int_eq(bvi_id_new(b, NULL), 0);
        ck_assert(bvi_id_valid(a));
        ck_assert_str_ne(a, b);
        ck_assert_int_eq(a[14], '4');
        ck_assert_ptr_nonnull(strchr("89ab", a[19]));
    }
}
END_TEST

static const struct {
    const char *text;
    bool valid;
} ids[] = {
    { "fd2d9a2c-3f0e-4b1a-9f5d-0123456789ab", true },
    { "00000000-0000-0000-0000-000000000000", true },
    { "", false },
    { "fd2d9a2c-3f0e-4b1a-9f5d-0123456789a", false },
    { "fd2d9a2c-3f0e-4b1a-9f5d-0123456789abc", false },
    { "fd2d9a2c-3f0e-4b1a-9f5d-0123456789aG", false },
    { "fd2d9a2c+3f0e-4b1a-9f5d-0123456789ab", false },
    { "FD2D9A2C-3F0E-4B1A-9F5D-0123456789AB", false },
    { "../../../../../../../../etc/password", false },
};

START_TEST(ids_are_checked)
{
    ck_assert_int_eq(bvi_id_valid(ids[_i].text), ids[_i].valid);
}
END_TEST

static const struct {
    const char *text;
    bool valid;
} names[] = {
    { "a", true },
    { "node-1", true },
    { "v1.2.3_rc", true },
    { "0", true },
    { "exactly-16-chars", true },
    { "", false },
    { ".hidden", false },
    { "-x", false },
    { "_x", false },
    { "a..b", false },
    { "a/b", false },
    { "a b", false },
    { "a\n", false },
    { "\xC3\xA4", false },
    { "exactly-17-charsX", false },
};

START_TEST(names_are_checked)
{
    ck_assert_int_eq(bvi_name_valid(names[_i].text, 16), names[_i].valid);
}
END_TEST

BVT_MAIN("base/id", bvt_test(new_ids_are_valid_and_differ), bvt_loop(ids_are_checked, ids),
         bvt_loop(names_are_checked, names))
