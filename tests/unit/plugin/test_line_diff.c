/* Differences line by line. */
#include "bvt.h"

#include "base/error.h"
#include "plugin/line_diff.h"

static const struct {
    const char *before;
    const char *after;
    const char *diff;
} cases[] = {
    { "", "", "" },
    { "a\nb", "a\nb\n", "" },
    { "", "a", "+ a\n" },
    { "a", "", "- a\n" },
    { "a", "b", "- a\n+ b\n" },
    { "a\nb\nc\n", "a\nx\nc\n", "  a\n- b\n+ x\n  c\n" },
    { "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\nx\n6\n7\n8\n9\n",
      "  3\n  4\n  5\n+ x\n  6\n  7\n  8\n" },
    { "a\nb\nc\nd\n", "b\nc\nx\n", "- a\n  b\n  c\n- d\n+ x\n" },
    { "x\nx\n", "x\n", "  x\n- x\n" },
};

START_TEST(tells_what_differs)
{
    bvi_buf out = BVI_BUF_INIT(4096);

    ck_assert_int_eq(bvi_line_diff(cases[_i].before, cases[_i].after, &out), 0);
    ck_assert_str_eq(bvi_buf_str(&out), cases[_i].diff);
    bvi_buf_done(&out);
}
END_TEST

START_TEST(long_texts_are_told_whole)
{
    bvi_buf before = BVI_BUF_INIT(65536);
    bvi_buf out = BVI_BUF_INIT(65536);

    for (unsigned i = 0; i < BVI_LINE_DIFF_LINES_MAX + 1; i++)
        ck_assert_int_eq(bvi_buf_printf(&before, "%u\n", i), 0);
    ck_assert_int_eq(bvi_line_diff(bvi_buf_str(&before), "x\n", &out), 0);
    ck_assert_ptr_nonnull(strstr(bvi_buf_str(&out), "- 0\n- 1\n"));
    ck_assert_ptr_nonnull(strstr(bvi_buf_str(&out), "- 1000\n+ x\n"));
    bvi_buf_done(&out);
    bvi_buf_done(&before);
}
END_TEST

START_TEST(ends_with_memory_and_room)
{
    bvi_buf small = BVI_BUF_INIT(4);

    ck_assert_int_eq(bvi_line_diff("a\nb\n", "c\nd\n", &small), BV_E_LIMIT);
    bvi_buf_done(&small);
    bvt_for_each_failed_allocation(n) {
        bvi_buf out = BVI_BUF_INIT(4096);
        int r = bvi_line_diff("a\nb\nc\n", "b\nx\n", &out);

        ck_assert(r == 0 || r == BV_E_NOMEM);
        bvi_buf_done(&out);
    }
}
END_TEST

BVT_MAIN("plugin/line_diff", bvt_loop(tells_what_differs, cases),
         bvt_test(long_texts_are_told_whole), bvt_test(ends_with_memory_and_room))
