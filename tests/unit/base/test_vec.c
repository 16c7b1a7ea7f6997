/* Growable arrays and lists of strings. */
#include "base/vec.h"
#include "bvt.h"

START_TEST(push_zeroes_and_stops_at_the_maximum)
{
    BVI_VEC(int) v = BVI_VEC_INIT(20);

    for (int i = 0; i < 20; i++) {
        int *slot = bvi_vec_push(&v);

        ck_assert_ptr_nonnull(slot);
        ck_assert_int_eq(*slot, 0);
        *slot = i + 1;
    }
    ck_assert_ptr_null(bvi_vec_push(&v));
    ck_assert_uint_eq(v.len, 20);
    ck_assert_uint_eq(v.cap, 20);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(v.items[i], i + 1);
    bvi_vec_done(&v);
    ck_assert_uint_eq(v.len, 0);
}
END_TEST

START_TEST(a_reused_slot_is_zeroed)
{
    BVI_VEC(int) v = BVI_VEC_INIT(5);
    int *slot = bvi_vec_push(&v);

    *slot = 7;
    bvi_vec_remove(&v, 0);
    slot = bvi_vec_push(&v);
    ck_assert_int_eq(*slot, 0);
    bvi_vec_done(&v);
}
END_TEST

static const struct {
    size_t remove;
    const char *left;
} removals[] = { { 0, "bcde" }, { 2, "abde" }, { 4, "abcd" } };

START_TEST(remove_keeps_the_order)
{
    BVI_VEC(char) v = BVI_VEC_INIT(5);

    for (char c = 'a'; c <= 'e'; c++)
        *bvi_vec_push(&v) = c;
    bvi_vec_remove(&v, removals[_i].remove);
    ck_assert_uint_eq(v.len, 4);
    ck_assert_mem_eq(v.items, removals[_i].left, 4);
    bvi_vec_done(&v);
}
END_TEST

START_TEST(a_maximum_of_zero_takes_nothing)
{
    BVI_VEC(int) v = BVI_VEC_INIT(0);

    ck_assert_ptr_null(bvi_vec_push(&v));
    bvi_vec_done(&v);
}
END_TEST

START_TEST(huge_items_do_not_wrap)
{
    void *items = NULL;
    size_t cap = 0;

    ck_assert(!bvi_vec_grow(&items, 0, &cap, SIZE_MAX, SIZE_MAX / 4));
    ck_assert_ptr_null(items);
}
END_TEST

START_TEST(strings)
{
    BVI_AUTO(bvi_strv_done) bvi_strv v = BVI_VEC_INIT(2);

    ck_assert_int_eq(bvi_strv_add(&v, "one"), 0);
    ck_assert_int_eq(bvi_strv_take(&v, bvi_strdup("two")), 0);
    ck_assert_int_eq(bvi_strv_add(&v, "three"), BV_E_LIMIT);
    ck_assert_int_eq(bvi_strv_take(&v, NULL), BV_E_NOMEM);
    ck_assert(bvi_strv_has(&v, "one"));
    ck_assert(bvi_strv_has(&v, "two"));
    ck_assert(!bvi_strv_has(&v, "three"));
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_strv_done) bvi_strv v = BVI_VEC_INIT(100);
        int r = 0;

        for (int i = 0; i < 20 && r == 0; i++)
            r = bvi_strv_add(&v, "text");
        ck_assert(r == 0 || r == BV_E_NOMEM);
    }
}
END_TEST

BVT_MAIN("base/vec", bvt_test(push_zeroes_and_stops_at_the_maximum),
         bvt_test(a_reused_slot_is_zeroed), bvt_loop(remove_keeps_the_order, removals),
         bvt_test(a_maximum_of_zero_takes_nothing), bvt_test(huge_items_do_not_wrap),
         bvt_test(strings), bvt_test(survives_every_failed_allocation))
