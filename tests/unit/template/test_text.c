/* White space, graphemes and words of texts. */
#include <string.h>

#include "bvt.h"
#include "template/text.h"

static bvi_span span(const char *text)
{
    return (bvi_span){ text, strlen(text) };
}

static const struct {
    const char *text;
    const char *graphemes; /* separated by '|' */
} cases[] = {
    { "abc", "a|b|c" },
    { "\r\n\r", "\r\n|\r" },
    { "e\xcc\x81x", "e\xcc\x81|x" },
    { "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xab\xf0\x9f\x87\xb7",
      "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa|\xf0\x9f\x87\xab\xf0\x9f\x87\xb7" },
    { "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd!", "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd|!" },
    { "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"
      "a",
      "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb|a" },
    { "\xff\xfe", "\xff|\xfe" },
    { "\xc3", "\xc3" },
};

START_TEST(counts_as_a_reader_does)
{
    bvi_span rest = span(cases[_i].text);
    BVI_AUTO(bvi_buf_done) bvi_buf found = BVI_BUF_INIT(1000);

    while (rest.len) {
        size_t len = bvi_text_grapheme(rest.at, rest.len);

        ck_assert_uint_gt(len, 0);
        ck_assert_uint_le(len, rest.len);
        ck_assert_int_eq(bvi_buf_append_str(&found, found.len ? "|" : ""), 0);
        ck_assert_int_eq(bvi_buf_append(&found, rest.at, len), 0);
        rest = (bvi_span){ rest.at + len, rest.len - len };
    }
    ck_assert_str_eq(bvi_buf_str(&found), cases[_i].graphemes);
}
END_TEST

static const struct {
    const char *text;
    unsigned ends;
    const char *trimmed;
} trims[] = {
    { "  a b \n", BVI_TRIM_BOTH, "a b" },
    { " a ", BVI_TRIM_START, "a " },
    { " a ", BVI_TRIM_END, " a" },
    { " a ", 0, " a " },
    { " \t\r\n", BVI_TRIM_BOTH, "" },
    { "", BVI_TRIM_BOTH, "" },
    { "\xc2\xa0\xe3\x80\x80x\xe2\x80\xa9", BVI_TRIM_BOTH, "x" },
    { "\xc3\xa0 ", BVI_TRIM_END, "\xc3\xa0" },
    { "\x85", BVI_TRIM_BOTH, "\x85" }, /* a broken character, not U+0085 */
    { "\x80\x80\x80\x80\x80 ", BVI_TRIM_BOTH, "\x80\x80\x80\x80\x80" },
};

START_TEST(trims_every_white_space)
{
    bvi_span got = bvi_text_trim(span(trims[_i].text), trims[_i].ends);

    ck_assert_uint_eq(got.len, strlen(trims[_i].trimmed));
    ck_assert_mem_eq(got.at, trims[_i].trimmed, got.len);
}
END_TEST

START_TEST(finds_words_and_texts)
{
    bvi_span rest = span(" one\t\xc3\xa4\xc3\xb6  ");
    bvi_span word = bvi_text_word(&rest);

    ck_assert_uint_eq(word.len, 3);
    word = bvi_text_word(&rest);
    ck_assert_uint_eq(word.len, 4);
    ck_assert_uint_eq(bvi_text_word(&rest).len, 0);
    ck_assert_ptr_null(bvi_text_find(span("abc"), span("d")));
    ck_assert_str_eq(bvi_text_find(span("abcb"), span("b")), "bcb");
    ck_assert_str_eq(bvi_text_find(span("abc"), span("")), "abc");
    ck_assert(bvi_text_is_word('_') && bvi_text_is_word('7') && bvi_text_is_word(0xE4));
    ck_assert(!bvi_text_is_word('-') && !bvi_text_is_word(0xA0));
}
END_TEST

BVT_MAIN("template/text", bvt_loop(counts_as_a_reader_does, cases),
         bvt_loop(trims_every_white_space, trims), bvt_test(finds_words_and_texts))
