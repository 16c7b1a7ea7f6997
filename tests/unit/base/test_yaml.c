/* YAML as JSON trees: types, tags, aliases and their limits, and messages with places. */
#include "base/buf.h"
#include "base/yaml.h"
#include "bvt.h"

static const struct {
    const char *yaml, *json;
} cases[] = {
    /* collections */
    { "a: 1\nb: [x, y]\nc:\n  - d: e\n    f: g\n",
      "{\"a\":1,\"b\":[\"x\",\"y\"],\"c\":[{\"d\":\"e\",\"f\":\"g\"}]}" },
    { "[]", "[]" },
    { "{}", "{}" },
    { "---\nplain\n...\n", "\"plain\"" },
    { "---\n", "null" },
    { "# only\nkey: # comment\n  value\n", "{\"key\":\"value\"}" },
    { "a:\nb: ~\n", "{\"a\":null,\"b\":null}" },
    { "text: |\n  one\n  two\nfold: >-\n  one\n  two\n",
      "{\"text\":\"one\\ntwo\\n\",\"fold\":\"one two\"}" },
    { "%YAML 1.2\n---\na: b\n", "{\"a\":\"b\"}" },
    /* scalars of the core schema */
    { "[null, Null, NULL, ~, true, True, TRUE, false, False, FALSE]",
      "[null,null,null,null,true,true,true,false,false,false]" },
    { "[on, off, yes, no, On, nULL, tRUE, y, n]",
      "[\"on\",\"off\",\"yes\",\"no\",\"On\",\"nULL\",\"tRUE\",\"y\",\"n\"]" },
    { "[0, -1, +5, 12345, 18446744073709551615, -9223372036854775808, 9007199254740993]",
      "[0,-1,5,12345,18446744073709551615,-9223372036854775808,9007199254740993]" },
    { "[0x1F, 0o17, 0b101, -0x10, 0xffffffffffffffff]", "[31,15,5,-16,18446744073709551615]" },
    { "[0x, 0xg, 0o8, 0b2, 0x10000000000000000]",
      "[\"0x\",\"0xg\",\"0o8\",\"0b2\",\"0x10000000000000000\"]" },
    { "[1.10, 1., .5, -.5, +1.5, 1e3, 1.5E-3, 0.0]", "[1.10,1,0.5,-0.5,1.5,1e3,1.5E-3,0.0]" },
    { "[., -, +, 1e, 1e+, 1.2.3, 1_000, 007, -01, .inf, -.inf, .nan, 1x, e5, 12:30:45]",
      "[\".\",\"-\",\"+\",\"1e\",\"1e+\",\"1.2.3\",\"1_000\",\"007\",\"-01\",\".inf\",\"-.inf\",\"."
      "nan\",\"1x\",\"e5\","
      "\"12:30:45\"]" },
    { "['1', \"true\", 'null', '']", "[\"1\",\"true\",\"null\",\"\"]" },
    { "\"\\u20ac \\x41 \\n\"", "\"\xE2\x82\xAC A \\n\"" },
    { "1: a\ntrue: b\n'': c\n", "{\"1\":\"a\",\"true\":\"b\",\"\":\"c\"}" },
    { "<<: x\n", "{\"<<\":\"x\"}" },
    /* tags */
    { "ui: !text\n", "{\"ui\":{\"!text\":null}}" },
    { "p: !store_key abc\n", "{\"p\":{\"!store_key\":\"abc\"}}" },
    { "p: !store_key 12\n", "{\"p\":{\"!store_key\":12}}" },
    { "p: !store_key '12'\n", "{\"p\":{\"!store_key\":\"12\"}}" },
    { "ui: !switch {on: {add_cpu: -1}, off: null}\n",
      "{\"ui\":{\"!switch\":{\"on\":{\"add_cpu\":-1},\"off\":null}}}" },
    { "ui: !enum\n  - value: a\n    name: A\n",
      "{\"ui\":{\"!enum\":[{\"value\":\"a\",\"name\":\"A\"}]}}" },
    { "[!!str 5, !!int 5, !!float 1.5, !!bool true, !!null '', !!seq [], !!map {}, ! 5]",
      "[\"5\",5,1.5,true,null,[],{},\"5\"]" },
    { "!outer {a: !inner [1]}", "{\"!outer\":{\"a\":{\"!inner\":[1]}}}" },
    /* aliases */
    { "a: &x {k: [1, 2]}\nb: *x\nc: [*x]\n",
      "{\"a\":{\"k\":[1,2]},\"b\":{\"k\":[1,2]},\"c\":[{\"k\":[1,2]}]}" },
    { "a: &x !t {k: 1}\nb: *x\n", "{\"a\":{\"!t\":{\"k\":1}},\"b\":{\"!t\":{\"k\":1}}}" },
    { "a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}" },
    { "a: &x\nb: *x\n", "{\"a\":null,\"b\":null}" },
};

START_TEST(becomes_json)
{
    bvi_auto_json bvi_json *root = NULL;
    bvi_auto_error bv_error *err = NULL;
    bvi_auto_free char *text = NULL;

    bvt_assert_ok(bvi_yaml_parse(cases[_i].yaml, strlen(cases[_i].yaml), &root, &err), err);
    ck_assert_int_eq(bvi_json_print(root, false, &text, NULL), 0);
    ck_assert_str_eq(text, cases[_i].json);
}
END_TEST

static const struct {
    const char *yaml;
    int code;
    const char *says;
} refused[] = {
    { "", BV_E_FORMAT, "the document is empty" },
    { "# nothing\n", BV_E_FORMAT, "the document is empty" },
    { "a: b\n---\nc: d\n", BV_E_FORMAT, "line 2, column 1: more than one document" },
    { "a: [1, 2\n", BV_E_FORMAT, "not YAML: line 2" },
    { "a: b: c\n", BV_E_FORMAT, "not YAML: line 1, column 5" },
    { "a:\n\t- b\n", BV_E_FORMAT, "not YAML: line 2" },
    { "a: 'b\n", BV_E_FORMAT, "not YAML" },
    { "]", BV_E_FORMAT, "not YAML" },
    { "a: \xFF\n", BV_E_FORMAT, "not YAML: byte 3" },
    { "a: \x01\n", BV_E_FORMAT, "not YAML: byte 3" },
    { "a: \"x\\0y\"\n", BV_E_FORMAT, "line 1, column 4: a zero byte" },
    { "\"x\\0y\": a\n", BV_E_FORMAT, "line 1, column 1: a zero byte in a key" },
    { "a: 1\nb: 2\na: 3\n", BV_E_FORMAT, "mapping at line 1: the key 'a' is repeated" },
    { "? [a]\n: b\n", BV_E_UNSUPPORTED, "line 1, column 3: a key must be plain text" },
    { "? {a: b}\n: c\n", BV_E_UNSUPPORTED, "a key must be plain text" },
    { "a: &x k\n*x : v\n", BV_E_UNSUPPORTED, "line 2, column 1: a key must be plain text" },
    { "a: *nowhere\n", BV_E_FORMAT, "line 1, column 4: no anchor of the name 'nowhere'" },
    { "a: &x [*x]\n", BV_E_FORMAT, "an alias inside its own anchor 'x'" },
    { "a: &x !t {b: {c: *x}}\n", BV_E_FORMAT, "an alias inside its own anchor 'x'" },
    { "a: !!binary aGk=\n", BV_E_UNSUPPORTED,
      "line 1, column 4: unknown tag 'tag:yaml.org,2002:binary'" },
    { "a: !<tag:example.com,2024:x> 1\n", BV_E_UNSUPPORTED,
      "unknown tag 'tag:example.com,2024:x'" },
    { "a: !!int abc\n", BV_E_FORMAT, "the value does not fit its tag" },
    { "a: !!bool 1\n", BV_E_FORMAT, "the value does not fit its tag" },
    { "a: !!map []\n", BV_E_FORMAT, "the value does not fit its tag" },
    { "a: !!seq {}\n", BV_E_FORMAT, "the value does not fit its tag" },
    { "a: !e!x 1\n", BV_E_FORMAT, "not YAML" },
};

START_TEST(refused_with_a_place)
{
    bvi_json *root = NULL;
    bvi_auto_error bv_error *err = NULL;

    ck_assert_int_eq(bvi_yaml_parse(refused[_i].yaml, strlen(refused[_i].yaml), &root, &err),
                     refused[_i].code);
    bvt_assert_error_says(err, refused[_i].code, refused[_i].says);
    ck_assert_ptr_null(root);
}
END_TEST

static int parse_code(const bvi_buf *buf)
{
    bvi_auto_json bvi_json *root = NULL;

    return bvi_yaml_parse(bvi_buf_str(buf), buf->len, &root, NULL);
}

static void brackets(bvi_buf *buf, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        ck_assert_int_eq(bvi_buf_append_char(buf, '['), 0);
    for (size_t i = 0; i < depth; i++)
        ck_assert_int_eq(bvi_buf_append_char(buf, ']'), 0);
}

START_TEST(depth_is_limited)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(BVI_YAML_BYTES_MAX);

    brackets(&buf, BVI_YAML_DEPTH_MAX);
    ck_assert_int_eq(parse_code(&buf), 0);
    bvi_buf_clear(&buf);
    brackets(&buf, BVI_YAML_DEPTH_MAX + 1);
    ck_assert_int_eq(parse_code(&buf), BV_E_LIMIT);
    bvi_buf_clear(&buf);
    for (size_t i = 0; i < BVI_YAML_DEPTH_MAX / 2 + 1; i++)
        ck_assert_int_eq(bvi_buf_append_str(&buf, "!t [ "), 0);
    ck_assert_int_eq(parse_code(&buf), BV_E_LIMIT);
}
END_TEST

START_TEST(aliases_cannot_dig_deeper)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(BVI_YAML_BYTES_MAX);

    ck_assert_int_eq(bvi_buf_append_str(&buf, "k0: &a0 [1]\n"), 0);
    for (int i = 1; i < 62; i++)
        ck_assert_int_eq(bvi_buf_printf(&buf, "k%d: &a%d [*a%d]\n", i, i, i - 1), 0);
    ck_assert_int_eq(parse_code(&buf), 0);
    for (int i = 62; i < 66; i++)
        ck_assert_int_eq(bvi_buf_printf(&buf, "k%d: &a%d [*a%d]\n", i, i, i - 1), 0);
    ck_assert_int_eq(parse_code(&buf), BV_E_LIMIT);
}
END_TEST

START_TEST(an_alias_bomb_stays_small)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(BVI_YAML_BYTES_MAX);
    bvi_auto_json bvi_json *root = NULL;
    bvi_auto_error bv_error *err = NULL;

    ck_assert_int_eq(bvi_buf_append_str(&buf, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"), 0);
    for (int i = 1; i < 10; i++) {
        ck_assert_int_eq(bvi_buf_printf(&buf, "a%d: &a%d [*a%d", i, i, i - 1), 0);
        for (int k = 0; k < 9; k++)
            ck_assert_int_eq(bvi_buf_printf(&buf, ",*a%d", i - 1), 0);
        ck_assert_int_eq(bvi_buf_append_str(&buf, "]\n"), 0);
    }
    bvt_reset_peak();
    ck_assert_int_eq(bvi_yaml_parse(buf.data, buf.len, &root, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "too many values after following the alias 'a");
    ck_assert_uint_lt(bvt_peak_bytes(), 32u * 1024u * 1024u);
}
END_TEST

START_TEST(size_and_numbers_are_limited)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(4u * BVI_YAML_BYTES_MAX);

    while (buf.len <= BVI_YAML_BYTES_MAX)
        ck_assert_int_eq(bvi_buf_append_str(&buf, "# comment\n"), 0);
    ck_assert_int_eq(parse_code(&buf), BV_E_LIMIT);
    bvi_buf_clear(&buf);
    for (size_t i = 0; i <= BVI_YAML_NODES_MAX; i++)
        ck_assert_int_eq(bvi_buf_append_str(&buf, "- 1\n"), 0);
    ck_assert_int_eq(parse_code(&buf), BV_E_LIMIT);
    bvi_buf_clear(&buf);
    for (int i = 0; i < 1001; i++)
        ck_assert_int_eq(bvi_buf_printf(&buf, "- &a%d 1\n", i), 0);
    ck_assert_int_eq(parse_code(&buf), BV_E_LIMIT);
}
END_TEST

START_TEST(many_keys_are_quick)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(BVI_YAML_BYTES_MAX);

    for (int i = 0; i < 80000; i++)
        ck_assert_int_eq(bvi_buf_printf(&buf, "k%d: 1\n", i), 0);
    ck_assert_int_eq(parse_code(&buf), 0);
}
END_TEST

/* libyaml's own memory is not ours to fail, everything else is. */
START_TEST(survives_every_failed_allocation)
{
    static const char text[] =
        "a: &x !t {k: [1.5, 0x10, text, null]}\nb: *x\nc: &y [true, *x]\n'd e': *y\n";

    bvt_for_each_failed_allocation(n) {
        bvi_auto_json bvi_json *root = NULL;
        bvi_auto_error bv_error *err = NULL;
        int r = bvi_yaml_parse(text, sizeof(text) - 1, &root, &err);

        ck_assert(r == 0 ? !err : r == BV_E_NOMEM && bv_error_code(err) == BV_E_NOMEM);
    }
}
END_TEST

BVT_MAIN("base/yaml", bvt_loop(becomes_json, cases), bvt_loop(refused_with_a_place, refused),
         bvt_test(depth_is_limited), bvt_test(aliases_cannot_dig_deeper),
         bvt_test(an_alias_bomb_stays_small), bvt_test(size_and_numbers_are_limited),
         bvt_test(many_keys_are_quick), bvt_test(survives_every_failed_allocation))
