/* Byte buffers: content, the zero behind it, and the maximum. */
#include "base/buf.h"
#include "bvt.h"

START_TEST(grows_and_stays_text)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(100000);

    ck_assert_str_eq(bvi_buf_str(&buf), "");
    for (int i = 0; i < 10000; i++) {
        ck_assert_int_eq(bvi_buf_append_char(&buf, (char)('a' + i % 26)), 0);
        ck_assert_int_eq(buf.data[buf.len], '\0');
    }
    ck_assert_uint_eq(buf.len, 10000);
    ck_assert_int_eq(buf.data[9999], 'a' + 9999 % 26);
}
END_TEST

START_TEST(appends_of_all_kinds)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(1000);

    ck_assert_int_eq(bvi_buf_append_str(&buf, "job "), 0);
    ck_assert_int_eq(bvi_buf_printf(&buf, "%d:%s", 7, "x"), 0);
    ck_assert_int_eq(bvi_buf_append(&buf, "\0y", 2), 0);
    ck_assert_int_eq(bvi_buf_append(&buf, NULL, 0), 0);
    ck_assert_int_eq(bvi_buf_append_str(&buf, ""), 0);
    ck_assert_uint_eq(buf.len, 9);
    ck_assert_mem_eq(buf.data, "job 7:x\0y", 10);
}
END_TEST

START_TEST(an_empty_printf_gives_text)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(0);

    ck_assert_int_eq(bvi_buf_printf(&buf, "%s", ""), 0);
    ck_assert_str_eq(bvi_buf_str(&buf), "");
    ck_assert_int_eq(bvi_buf_append_char(&buf, 'x'), BV_E_LIMIT);
}
END_TEST

START_TEST(the_maximum_holds_and_nothing_changes)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(10);

    ck_assert_int_eq(bvi_buf_append_str(&buf, "12345678"), 0);
    ck_assert_int_eq(bvi_buf_append_str(&buf, "abc"), BV_E_LIMIT);
    ck_assert_int_eq(bvi_buf_printf(&buf, "%d", 123), BV_E_LIMIT);
    ck_assert_int_eq(bvi_buf_reserve(&buf, 3), BV_E_LIMIT);
    ck_assert_int_eq(bvi_buf_reserve(&buf, SIZE_MAX), BV_E_LIMIT);
    ck_assert_str_eq(bvi_buf_str(&buf), "12345678");
    ck_assert_int_eq(bvi_buf_append_str(&buf, "90"), 0);
    ck_assert_str_eq(bvi_buf_str(&buf), "1234567890");
    ck_assert_uint_le(buf.cap, 11);
}
END_TEST

START_TEST(without_a_maximum_sizes_do_not_wrap)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(SIZE_MAX);

    ck_assert_int_eq(bvi_buf_append_str(&buf, "x"), 0);
    ck_assert_int_eq(bvi_buf_reserve(&buf, SIZE_MAX - 1), BV_E_NOMEM);
    ck_assert_int_eq(bvi_buf_reserve(&buf, SIZE_MAX - 2), BV_E_NOMEM);
    ck_assert_int_eq(bvi_buf_reserve(&buf, SIZE_MAX / 2), BV_E_NOMEM);
    ck_assert_str_eq(bvi_buf_str(&buf), "x");
}
END_TEST

START_TEST(consume_drops_the_front)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(100);

    bvi_buf_consume(&buf, 5);
    ck_assert_uint_eq(buf.len, 0);
    ck_assert_int_eq(bvi_buf_append_str(&buf, "line one\nline two"), 0);
    bvi_buf_consume(&buf, 9);
    ck_assert_str_eq(bvi_buf_str(&buf), "line two");
    bvi_buf_consume(&buf, 0);
    ck_assert_str_eq(bvi_buf_str(&buf), "line two");
    bvi_buf_consume(&buf, 1000);
    ck_assert_str_eq(bvi_buf_str(&buf), "");
    ck_assert_uint_gt(buf.cap, 0);
}
END_TEST

START_TEST(take_leaves_an_empty_buffer)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(100);
    bvi_auto_free char *nothing = bvi_buf_take(&buf);
    bvi_auto_free char *text = NULL;

    ck_assert_str_eq(nothing, "");
    ck_assert_int_eq(bvi_buf_append_str(&buf, "mine"), 0);
    text = bvi_buf_take(&buf);
    ck_assert_str_eq(text, "mine");
    ck_assert_uint_eq(buf.len, 0);
    ck_assert_int_eq(bvi_buf_append_str(&buf, "again"), 0);
    ck_assert_str_eq(bvi_buf_str(&buf), "again");
    bvi_buf_clear(&buf);
    ck_assert_str_eq(bvi_buf_str(&buf), "");
}
END_TEST

/* An account with a ceiling. */
static int pay(void *owner, size_t old_bytes, size_t new_bytes)
{
    size_t *used = owner;

    if (new_bytes > old_bytes && *used + (new_bytes - old_bytes) > 1000)
        return BV_E_NOMEM;
    *used += new_bytes;
    *used -= old_bytes;
    return 0;
}

START_TEST(storage_can_be_charged_to_an_account)
{
    bvi_buf buf = BVI_BUF_INIT(100000);
    size_t used = 0;
    int r = 0;

    bvi_buf_charge_to(&buf, pay, &used);
    while (r == 0)
        r = bvi_buf_append_str(&buf, "12345678");
    ck_assert_int_eq(r, BV_E_NOMEM);
    ck_assert_uint_eq(used, buf.cap);
    ck_assert_uint_le(used, 1000);
    bvi_free(bvi_buf_take(&buf));
    ck_assert_uint_eq(used, 0); /* the taker's now */
    ck_assert_int_eq(bvi_buf_append_str(&buf, "again"), 0);
    ck_assert_uint_gt(used, 0);
    bvi_buf_done(&buf);
    ck_assert_uint_eq(used, 0);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(10000);
        bvi_auto_free char *text = NULL;
        int r = 0;

        for (int i = 0; i < 50 && r == 0; i++)
            r = i % 2 ? bvi_buf_printf(&buf, "%s-%d;", "entry", i)
                      : bvi_buf_append_str(&buf, "more text;");
        ck_assert(r == 0 || r == BV_E_NOMEM);
        ck_assert_uint_eq(strlen(bvi_buf_str(&buf)), buf.len);
        text = bvi_buf_take(&buf);
    }
}
END_TEST

BVT_MAIN("base/buf", bvt_test(grows_and_stays_text), bvt_test(appends_of_all_kinds),
         bvt_test(an_empty_printf_gives_text), bvt_test(the_maximum_holds_and_nothing_changes),
         bvt_test(without_a_maximum_sizes_do_not_wrap), bvt_test(consume_drops_the_front),
         bvt_test(take_leaves_an_empty_buffer), bvt_test(storage_can_be_charged_to_an_account),
         bvt_test(survives_every_failed_allocation))
