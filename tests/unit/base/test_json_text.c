/* JSON text without a tree: commas, quoting, indentation, and failures that stick. */
#include <blockvisor/error.h>

#include "base/json_text.h"
#include "bvt.h"

static void write_sample(bvi_json_text *w)
{
    bvi_json_text_open(w, '{');
    bvi_json_text_key(w, "name");
    bvi_json_text_str(w, "a\"b");
    bvi_json_text_key(w, "list");
    bvi_json_text_open(w, '[');
    bvi_json_text_int(w, INT64_MIN);
    bvi_json_text_uint(w, UINT64_MAX);
    bvi_json_text_bool(w, true);
    bvi_json_text_null(w);
    bvi_json_text_open(w, '{');
    bvi_json_text_close(w, '}');
    bvi_json_text_close(w, ']');
    bvi_json_text_key(w, "empty");
    bvi_json_text_open(w, '[');
    bvi_json_text_close(w, ']');
    bvi_json_text_key(w, "none");
    bvi_json_text_str(w, NULL);
    bvi_json_text_key(w, "raw");
    bvi_json_text_raw(w, "1.50");
    bvi_json_text_close(w, '}');
}

static const char compact[] =
    "{\"name\":\"a\\\"b\",\"list\":[-9223372036854775808,18446744073709551615,true,null,{}],"
    "\"empty\":[],\"none\":null,\"raw\":1.50}";
static const char pretty[] = "{\n"
                             "  \"name\": \"a\\\"b\",\n"
                             "  \"list\": [\n"
                             "    -9223372036854775808,\n"
                             "    18446744073709551615,\n"
                             "    true,\n"
                             "    null,\n"
                             "    {}\n"
                             "  ],\n"
                             "  \"empty\": [],\n"
                             "  \"none\": null,\n"
                             "  \"raw\": 1.50\n"
                             "}";

START_TEST(both_shapes)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(1000);
    bvi_json_text w;

    bvi_json_text_init(&w, &buf, _i == 1);
    write_sample(&w);
    ck_assert_int_eq(bvi_json_text_end(&w), 0);
    ck_assert_str_eq(bvi_buf_str(&buf), _i == 1 ? pretty : compact);
}
END_TEST

static const struct {
    const char *text;
    size_t len;
    const char *quoted;
} quotes[] = {
    { "", 0, "\"\"" },
    { "plain text/with slash", 21, "\"plain text/with slash\"" },
    { "\"\\\b\f\n\r\t", 7, "\"\\\"\\\\\\b\\f\\n\\r\\t\"" },
    { "\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\"" },
    { "\xC3\xA4\xF0\x9F\x98\x80", 6, "\"\xC3\xA4\xF0\x9F\x98\x80\"" },
    { "a\xFF\xC3", 3, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"" },
};

START_TEST(quoting)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(1000);

    ck_assert_int_eq(bvi_json_text_quote(&buf, quotes[_i].text, quotes[_i].len), 0);
    ck_assert_str_eq(bvi_buf_str(&buf), quotes[_i].quoted);
}
END_TEST

START_TEST(a_full_buffer_is_reported_once_at_the_end)
{
    for (size_t max = 0; max < sizeof(pretty) - 1; max++) {
        BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(max);
        bvi_json_text w;

        bvi_json_text_init(&w, &buf, true);
        write_sample(&w);
        ck_assert_int_eq(bvi_json_text_end(&w), BV_E_LIMIT);
        ck_assert(strncmp(bvi_buf_str(&buf), pretty, buf.len) == 0);
    }
}
END_TEST

START_TEST(deep_indentation)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(100000);
    bvi_json_text w;

    bvi_json_text_init(&w, &buf, true);
    for (int i = 0; i < 100; i++)
        bvi_json_text_open(&w, '[');
    for (int i = 0; i < 100; i++)
        bvi_json_text_close(&w, ']');
    ck_assert_int_eq(bvi_json_text_end(&w), 0);
    ck_assert_ptr_nonnull(strstr(bvi_buf_str(&buf), "[]"));
    ck_assert_uint_eq(buf.len, 100 * 2 + 99 * 2 + 2 * 99 * 98 + 2 * 99);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(1000);
        bvi_json_text w;

        bvi_json_text_init(&w, &buf, true);
        write_sample(&w);
        ck_assert(bvi_json_text_end(&w) == 0 || bvi_json_text_end(&w) == BV_E_NOMEM);
    }
}
END_TEST

BVT_MAIN("base/json_text", bvt_times(both_shapes, 2), bvt_loop(quoting, quotes),
         bvt_test(a_full_buffer_is_reported_once_at_the_end), bvt_test(deep_indentation),
         bvt_test(survives_every_failed_allocation))
