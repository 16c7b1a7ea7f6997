/* Manifests: what loads, what is refused, and what the refusal says. */
#include <stdio.h>
#include <stdlib.h>

#include "bvt.h"
#include "transfer/manifest.h"
#include "transfer/path.h"

#define SUM "\"checksum\":{\"sha1\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}"
#define CHUNK(size, targets)                                                                       \
    "{\"key\":\"k\"," SUM ",\"size\":" size ",\"destinations\":[" targets "]}"
#define T(path, pos, size) "{\"path\":\"" path "\",\"pos\":" pos ",\"size\":" size "}"

/* Body, total size, compression; then what loading and checking say. */
static const struct {
    const char *chunks;
    uint64_t total;
    bool zstd;
    int code;
    const char *says;
} cases[] = {
    { "", 0, false, BV_OK, "" },
    { "", 5, false, BV_E_FORMAT, "total_size is 5" },
    { CHUNK("3", T("a", "0", "3")), 3, false, BV_OK, "" },
    { CHUNK("3", T("a", "0", "3")), 4, false, BV_E_FORMAT, "hold 3 bytes" },
    { CHUNK("9", T("a", "0", "3") "," T("b/c", "0", "6")), 9, false, BV_OK, "" },
    { CHUNK("2", T("a", "0", "2")) "," CHUNK("1", T("a", "2", "1")), 3, false, BV_OK, "" },
    { CHUNK("1", T("a", "2", "1")) "," CHUNK("2", T("a", "0", "2")), 3, false, BV_OK, "" },
    { CHUNK("0", T("a", "0", "0")), 0, false, BV_OK, "" },
    { CHUNK("0", T("a", "0", "0") "," T("b", "0", "0")), 0, true, BV_OK, "" },
    { CHUNK("7", T("a", "0", "3")), 3, true, BV_OK, "" },
    { CHUNK("7", T("a", "0", "3")), 3, false, BV_E_FORMAT,
      "chunk 0: it stores 7 bytes uncompressed" },
    { CHUNK("0", T("a", "0", "3")), 3, true, BV_E_FORMAT, "chunk 0: it stores nothing" },
    { CHUNK("3", ""), 0, true, BV_E_FORMAT, "at least one destination" },
    { CHUNK("3", T("../a", "0", "3")), 3, false, BV_E_FORMAT, "chunk 0: path '../a' leaves" },
    { CHUNK("3", T("a/../b", "0", "3")), 3, false, BV_E_FORMAT, "'..'" },
    { CHUNK("3", T("a/..", "0", "3")), 3, false, BV_E_FORMAT, "'..'" },
    { CHUNK("3", T("/a", "0", "3")), 3, false, BV_E_FORMAT, "absolute" },
    { CHUNK("3", T("", "0", "3")), 3, false, BV_E_FORMAT, "empty" },
    { CHUNK("3", T("a//b", "0", "3")), 3, false, BV_E_FORMAT, "empty component" },
    { CHUNK("3", T("a/", "0", "3")), 3, false, BV_E_FORMAT, "empty component" },
    { CHUNK("3", T("./a", "0", "3")), 3, false, BV_E_FORMAT, "'.' component" },
    { CHUNK("3", T("a/./b", "0", "3")), 3, false, BV_E_FORMAT, "'.' component" },
    { CHUNK("3", T("a\\u0000b", "0", "3")), 3, false, BV_E_FORMAT, "NUL" },
    { CHUNK("3", T("a\\u002f..\\u002fb", "0", "3")), 3, false, BV_E_FORMAT, "'..'" },
    { CHUNK("3", T("..a", "0", "3")), 3, false, BV_OK, "" },
    { CHUNK("3", T("a", "0", "3")) "," CHUNK("3", T("a", "0", "3")), 6, false, BV_E_FORMAT,
      "chunk 1: path 'a'" },
    { CHUNK("3", T("a", "0", "3")) "," CHUNK("3", T("a", "2", "3")), 6, false, BV_E_FORMAT,
      "overlaps chunk 0" },
    { CHUNK("3", T("a", "0", "3")) "," CHUNK("3", T("a", "4", "3")), 6, false, BV_E_FORMAT,
      "nothing fills bytes 3 to 4" },
    { CHUNK("3", T("a", "1", "3")), 3, false, BV_E_FORMAT, "nothing fills bytes 0 to 1" },
    { CHUNK("0", T("a", "0", "0") "," T("a", "0", "0")), 0, false, BV_E_FORMAT, "overlaps" },
    { CHUNK("6", T("a", "0", "3") "," T("a/b", "0", "3")), 6, false, BV_E_FORMAT,
      "below 'a', which is a file" },
    { CHUNK("9", T("a/b", "0", "3") "," T("a.c", "0", "3") "," T("a", "0", "3")), 9, false,
      BV_E_FORMAT, "which is a file" },
    { CHUNK("3", T("a", "18446744073709551615", "3")), 3, false, BV_E_LIMIT,
      "path 'a' ends beyond" },
    { CHUNK("3", T("a", "0", "18446744073709551615")), 3, true, BV_E_LIMIT, "ends beyond" },
    { CHUNK("1152921504606846976",
            T("a", "0", "1152921504606846976")) "," CHUNK("1152921504606846977", T("b", "0", "1")),
      1152921504606846977u, true, BV_E_LIMIT, "chunk 1" },
    { "{\"key\":\"k\",\"size\":3,\"destinations\":[" T("a", "0", "3") "]}", 3, false, BV_E_FORMAT,
      "missing checksum" },
    { "{\"checksum\":{\"sha1\":[1,2]},\"size\":3,\"destinations\":[]}", 3, false, BV_E_FORMAT,
      "expected 20 bytes checksum, but 2 bytes found" },
    { "{\"checksum\":{\"md5\":[1,2]},\"size\":3,\"destinations\":[]}", 3, false, BV_E_FORMAT,
      "missing checksum" },
    { "{\"checksum\":{\"blake3\":\"x\"},\"size\":3,\"destinations\":[]}", 3, false, BV_E_FORMAT,
      "missing checksum" },
    { "{" SUM ",\"size\":-3,\"destinations\":[]}", 3, false, BV_E_FORMAT, "size" },
    { "{" SUM ",\"size\":1.5,\"destinations\":[]}", 3, false, BV_E_FORMAT, "size" },
    { "{" SUM ",\"size\":3}", 3, false, BV_E_FORMAT, "destinations" },
    { "{" SUM ",\"size\":3,\"destinations\":[{\"path\":\"a\",\"size\":3}]}", 3, false, BV_E_FORMAT,
      "position" },
    { "7", 3, false, BV_E_FORMAT, "chunk 0" },
    { "{", 3, false, BV_E_FORMAT, "manifest body" },
    { CHUNK("3", T("a", "0", "3")) ",", 3, false, BV_E_FORMAT, "manifest body" },
};

static int load(const char *chunks, uint64_t total, bool zstd, bvi_manifest *manifest,
                bv_error **err)
{
    const char *text = bvt_format("{\"other\":[1,{\"x\":\"]}\\\"\"}],\"chunks\":[%s]}", chunks);
    int r;

    manifest->total_size = total;
    manifest->compression.kind = zstd ? BVI_CODEC_ZSTD : BVI_CODEC_STORED;
    r = bvi_manifest_body_parse(text, strlen(text), manifest, err);
    return r < 0 ? r : bvi_manifest_check(manifest, err);
}

START_TEST(loads_or_explains)
{
    bvi_manifest manifest;
    bv_error *err = NULL;
    int r;

    bvi_manifest_init(&manifest);
    r = load(cases[_i].chunks, cases[_i].total, cases[_i].zstd, &manifest, &err);
    ck_assert_int_eq(r, cases[_i].code);
    bvt_assert_error_says(err, cases[_i].code, cases[_i].says);
    bvi_manifest_done(&manifest);
    bv_error_free(err);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bvi_manifest manifest, copy;
        BVI_AUTO(bvi_buf_done) bvi_buf body = BVI_BUF_INIT(100000);
        bvi_auto_free char *header = NULL;
        bv_error *err = NULL;
        size_t len = 0;
        int r;

        bvi_manifest_init(&manifest);
        bvi_manifest_init(&copy);
        manifest.total_size = 10;
        r = bvi_manifest_body_parse("{\"chunks\":[]}", 13, &manifest, &err);
        if (r == 0) {
            static const char text[] = "{\"chunks\":[" CHUNK(
                "9", T("a", "0", "3") "," T("b/c", "0", "6")) "," CHUNK("1", T("d", "0", "1")) "]}";

            r = bvi_manifest_body_parse(text, sizeof(text) - 1, &manifest, &err);
        }
        if (r == 0)
            r = bvi_manifest_check(&manifest, &err);
        if (r == 0)
            r = bvi_manifest_header_print(&manifest, &header, &len, &err);
        if (r == 0)
            r = bvi_manifest_body_print(&manifest, &body, &err);
        if (r == 0)
            r = bvi_manifest_body_parse(body.data, body.len, &copy, &err);
        ck_assert_msg(r == BV_OK || r == BV_E_NOMEM, "%d", r);
        bvi_manifest_done(&manifest);
        bvi_manifest_done(&copy);
        bv_error_free(err);
    }
}
END_TEST

START_TEST(prints_what_it_read)
{
    static const char chunks[] = "{\"index\":9,\"key\":\"key/1/data.part_0\",\"url\":\"http://"
                                 "secret\",\"checksum\":{\"blake3\":[0,1,2,3,4,5,6,7,8,9,10,"
                                 "11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,255]}"
                                 ",\"size\":12,\"destinations\":[{\"path\":\"x "
                                 "y\",\"position\":0,\"size\":9007199254740993}]}";
    BVI_AUTO(bvi_buf_done) bvi_buf body = BVI_BUF_INIT(100000);
    bvi_auto_free char *header = NULL;
    bvi_manifest_header again;
    bvi_manifest manifest;
    bv_error *err = NULL;
    size_t len = 0;

    bvi_manifest_init(&manifest);
    bvt_assert_ok(load(chunks, 9007199254740993u, true, &manifest, &err), err);
    manifest.compression.level = 3;
    ck_assert_uint_eq(manifest.chunks.items[0].index, 0); /* by position */
    bvt_assert_ok(bvi_manifest_body_print(&manifest, &body, &err), err);
    ck_assert_str_eq(body.data,
                     "{\"chunks\":[{\"index\":0,\"key\":\"key/1/"
                     "data.part_0\",\"checksum\":{\"blake3\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,"
                     "15,16,17,18,19,20,21,22,23,24,"
                     "25,26,27,28,29,30,255]},\"size\":12,\"destinations\":[{\"path\":\"x "
                     "y\",\"position\":0,\"size\":9007199254740993}],\"url\":\"\"}]}");
    bvt_assert_ok(bvi_manifest_header_print(&manifest, &header, &len, &err), err);
    ck_assert_str_eq(header,
                     "{\"total_size\":9007199254740993,\"compression\":{\"ZSTD\":3},\"chunks\":1}");
    bvt_assert_ok(bvi_manifest_header_parse(header, len, &again, &err), err);
    ck_assert_uint_eq(again.total_size, 9007199254740993u);
    ck_assert_int_eq(again.compression.level, 3);
    ck_assert_uint_eq(again.chunks, 1);
    bvi_manifest_done(&manifest);
}
END_TEST

static const struct {
    const char *text;
    int code;
    const char *says;
} headers[] = {
    { "{\"total_size\":1,\"compression\":null,\"chunks\":2}", BV_OK, "" },
    { "{\"total_size\":1,\"chunks\":2}", BV_OK, "" },
    { "{\"total_size\":1,\"compression\":{\"LZ4\":1},\"chunks\":2}", BV_E_UNSUPPORTED,
      "unknown compression" },
    { "{\"total_size\":1,\"compression\":{\"ZSTD\":\"x\"},\"chunks\":2}", BV_E_FORMAT, "level" },
    { "{\"compression\":null,\"chunks\":2}", BV_E_FORMAT, "total_size" },
    { "{\"total_size\":1,\"compression\":null,\"chunks\":99999999}", BV_E_LIMIT, "chunks" },
    { "[]", BV_E_FORMAT, "manifest header" },
};

START_TEST(headers_load_or_explain)
{
    bvi_manifest_header header;
    bv_error *err = NULL;

    ck_assert_int_eq(
        bvi_manifest_header_parse(headers[_i].text, strlen(headers[_i].text), &header, &err),
        headers[_i].code);
    bvt_assert_error_says(err, headers[_i].code, headers[_i].says);
    bv_error_free(err);
}
END_TEST

START_TEST(paths_sort_by_component)
{
    ck_assert_int_lt(bvi_target_path_compare("d/x", "d.a"), 0);
    ck_assert_int_lt(bvi_target_path_compare("d", "d/x"), 0);
    ck_assert_int_lt(bvi_target_path_compare("a", "b"), 0);
    ck_assert_int_eq(bvi_target_path_compare("a/b", "a/b"), 0);
    ck_assert_int_gt(bvi_target_path_compare("\xc3\xa9", "z"), 0);
}
END_TEST

START_TEST(long_paths_are_refused)
{
    char path[5000];
    bv_error *err = NULL;

    memset(path, 'a', sizeof(path));
    path[255] = '\0';
    ck_assert_int_eq(bvi_target_path_check(path, NULL), 0);
    path[255] = 'a';
    path[256] = '\0';
    ck_assert_int_eq(bvi_target_path_check(path, NULL), BV_E_LIMIT);
    for (size_t i = 0; i < sizeof(path) - 1; i++)
        path[i] = i % 2 ? '/' : 'a';
    path[4097] = '\0';
    ck_assert_int_eq(bvi_target_path_check(path, &err), BV_E_LIMIT);
    bv_error_free(err);
}
END_TEST

BVT_MAIN("transfer/manifest", bvt_loop(loads_or_explains, cases),
         bvt_test(survives_every_failed_allocation), bvt_test(prints_what_it_read),
         bvt_loop(headers_load_or_explain, headers), bvt_test(paths_sort_by_component),
         bvt_test(long_paths_are_refused))
