/* Roots: what loads, what is refused, and what the refusal says; the keys of objects. */
#include "bvt.h"
#include "snapshot/root.h"

#define HEX  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HEAD "{\"format\":\"blockvisor-snapshot\",\"format_version\":1,"
#define NAME "\"key\":\"ltc\",\"version\":3,\"base\":2,\"created_us\":5,"
#define SUMS                                                                                       \
    "\"plain_bytes\":10,\"stored_bytes\":9,\"sent_bytes\":8,\"entries\":2,\"files\":1,"            \
    "\"chunks\":1,"
#define ZSTD "\"compression\":{\"codec\":\"zstd\",\"level\":-3},"
#define PAGE(offset, stored, plain)                                                                \
    "{\"hash\":\"" HEX "\",\"pack\":\"" HEX "\",\"offset\":" offset ",\"stored\":" stored          \
    ",\"plain\":" plain ",\"codec\":\"zstd\",\"entries\":2,\"chunks\":1,\"bytes\":10}"
#define WHOLE HEAD NAME SUMS ZSTD "\"pages\":[" PAGE("7", "20", "30") "]}"

static const struct {
    const char *text;
    int code;
    const char *says;
} cases[] = {
    { WHOLE, BV_OK, "" },
    { HEAD NAME SUMS ZSTD "\"new\":[1],\"pages\":[" PAGE("7", "20", "30") "]}", BV_OK, "" },
    { "{}", BV_E_FORMAT, "'format'" },
    { "{\"format\":\"tar\"}", BV_E_FORMAT, "its format is 'tar'" },
    { "{\"format\":\"blockvisor-snapshot\",\"format_version\":2}", BV_E_UNSUPPORTED, "version 2" },
    { HEAD "\"key\":\"../a\"}", BV_E_INVALID, "'../a'" },
    { HEAD "\"key\":\"a\",\"version\":0,\"created_us\":5}", BV_E_FORMAT, "version 0" },
    { HEAD "\"key\":\"a\",\"version\":2,\"base\":2,\"created_us\":5}", BV_E_FORMAT,
      "from version 2" },
    { HEAD NAME SUMS "\"compression\":{\"codec\":\"rar\"}}", BV_E_UNSUPPORTED,
      "unknown codec 'rar'" },
    { HEAD NAME SUMS ZSTD "\"pages\":[]}", BV_E_FORMAT, "promises 10 bytes in 1 chunks" },
    { HEAD NAME SUMS ZSTD "\"pages\":[7]}", BV_E_FORMAT, "page 0" },
    { HEAD NAME SUMS ZSTD "\"pages\":[" PAGE("7", "20", "1048577") "]}", BV_E_FORMAT,
      "page of 1048577 bytes" },
    { HEAD NAME SUMS ZSTD "\"pages\":[" PAGE("67108864", "20", "30") "]}", BV_E_FORMAT, "page 0" },
    { HEAD NAME SUMS ZSTD "\"pages\":[" PAGE("7", "4294967296", "30") "]}", BV_E_FORMAT,
      "too large" },
};

START_TEST(loads_or_explains)
{
    BVI_AUTO(bvi_snap_root_done) bvi_snap_root root;
    bv_error *err = NULL;

    bvi_snap_root_init(&root);
    ck_assert_int_eq(bvi_snap_root_parse(cases[_i].text, strlen(cases[_i].text), &root, &err),
                     cases[_i].code);
    bvt_assert_error_says(err, cases[_i].code, cases[_i].says);
    bv_error_free(err);
}
END_TEST

START_TEST(costs_no_more_than_its_length)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_SNAP_ROOT_MAX);
    BVI_AUTO(bvi_snap_root_done) bvi_snap_root root;
    bv_error *err = NULL;
    size_t before;

    bvi_snap_root_init(&root);
    ck_assert_int_eq(bvi_buf_append_char(&text, '['), 0);
    while (text.len < 4000000)
        ck_assert_int_eq(bvi_buf_append(&text, "0,0,0,0,", 8), 0);
    ck_assert_int_eq(bvi_buf_append(&text, "0]", 2), 0);
    bvt_reset_peak();
    before = bvt_live_bytes();
    ck_assert_int_eq(bvi_snap_root_parse(text.data, text.len, &root, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "more values");
    ck_assert_uint_le(bvt_peak_bytes() - before, 65536);
    bv_error_free(err);
}
END_TEST

START_TEST(prints_what_it_read)
{
    BVI_AUTO(bvi_snap_root_done) bvi_snap_root root;
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_SNAP_ROOT_MAX);
    bv_error *err = NULL;

    bvi_snap_root_init(&root);
    bvt_assert_ok(bvi_snap_root_parse(WHOLE, strlen(WHOLE), &root, &err), err);
    ck_assert_str_eq(root.key, "ltc");
    ck_assert_uint_eq(root.version, 3);
    ck_assert_uint_eq(root.base, 2);
    ck_assert_int_eq(root.level, -3);
    ck_assert_uint_eq(root.pages.len, 1);
    ck_assert_uint_eq(root.pages.items[0].frame.offset, 7);
    ck_assert_uint_eq(root.pages.items[0].frame.hash.bytes[1], 0x11);
    bvt_assert_ok(bvi_snap_root_print(&root, &text, &err), err);
    ck_assert_str_eq(bvi_buf_str(&text), WHOLE);
}
END_TEST

START_TEST(names_its_objects)
{
    bvi_hash256 pack = { { 0xab, 0xcd } };
    bvi_auto_free char *pack_key = bvi_snap_pack_key("k", &pack);
    bvi_auto_free char *root = bvi_snap_root_key("k", 17);
    bvi_auto_free char *sig = bvi_snap_sig_key("k", 17);
    bvi_auto_free char *latest = bvi_snap_latest_key("k");
    bvi_auto_free char *prune = bvi_snap_prune_key("k");

    ck_assert_str_eq(pack_key,
                     "k/packs/ab/abcd000000000000000000000000000000000000000000000000000000000000");
    ck_assert_str_eq(root, "k/17/snapshot.json");
    ck_assert_str_eq(sig, "k/17/snapshot.json.sig");
    ck_assert_str_eq(latest, "k/latest.json");
    ck_assert_str_eq(prune, "k/prune.json");
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_snap_root_done) bvi_snap_root root;
        BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_SNAP_ROOT_MAX);
        int r;

        bvi_snap_root_init(&root);
        r = bvi_snap_root_parse(WHOLE, strlen(WHOLE), &root, NULL);
        if (r == 0)
            r = bvi_snap_root_print(&root, &text, NULL);
        ck_assert(r == 0 || r == BV_E_NOMEM);
    }
}
END_TEST

BVT_MAIN("snapshot/root", bvt_loop(loads_or_explains, cases),
         bvt_test(costs_no_more_than_its_length), bvt_test(prints_what_it_read),
         bvt_test(names_its_objects), bvt_test(survives_every_failed_allocation))
