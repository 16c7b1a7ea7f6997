/* Name tables. */
#include "base/names.h"
#include "bvt.h"

static const bvi_name colours[] = { { 1, "red" }, { -4, "green" }, { 0, NULL } };

START_TEST(both_ways)
{
    int value = 99;

    ck_assert_str_eq(bvi_name_of(colours, 1), "red");
    ck_assert_str_eq(bvi_name_of(colours, -4), "green");
    ck_assert_str_eq(bvi_name_of(colours, 0), "unknown");
    ck_assert(bvi_name_find(colours, "green", &value));
    ck_assert_int_eq(value, -4);
    ck_assert(!bvi_name_find(colours, "Green", &value));
    ck_assert(!bvi_name_find(colours, "unknown", &value));
    ck_assert_int_eq(value, -4);
}
END_TEST

BVT_MAIN("base/names", bvt_test(both_ways))
