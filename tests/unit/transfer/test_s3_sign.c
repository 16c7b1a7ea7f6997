/* Signatures, against the examples of the public documentation of the algorithm and of S3. */
#include <stdlib.h>

#include "base/time.h"
#include "bvt.h"
#include "transfer/s3_sign.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST  "examplebucket.s3.amazonaws.com"

static const bvi_s3_credentials suite_keys = {
    .access_key_id = (char *)"AKIDEXAMPLE",
    .secret_access_key = (char *)"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};
static const bvi_s3_credentials s3_keys = {
    .access_key_id = (char *)"AKIAIOSFODNN7EXAMPLE",
    .secret_access_key = (char *)"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};

static const struct {
    const char *time;
    const char *service;
    const char *method;
    const char *host;
    const char *path;
    bvi_s3_pair params[3];
    bvi_s3_pair headers[5];
    const char *payload;
    const char *signed_headers;
    const char *signature;
} cases[] = {
    { "2015-08-30T12:36:00Z",
      "service",
      "GET",
      "example.amazonaws.com",
      "/",
      { { 0 } },
      { { "x-amz-date", "20150830T123600Z" } },
      EMPTY,
      "host;x-amz-date",
      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
    { "2015-08-30T12:36:00Z",
      "service",
      "GET",
      "example.amazonaws.com",
      "/",
      { { "Param2", "value2" }, { "Param1", "value1" } },
      { { "x-amz-date", "20150830T123600Z" } },
      EMPTY,
      "host;x-amz-date",
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
    { "2015-08-30T12:36:00Z",
      "service",
      "POST",
      "example.amazonaws.com",
      "/",
      { { 0 } },
      { { "x-amz-date", "20150830T123600Z" } },
      EMPTY,
      "host;x-amz-date",
      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
    { "2013-05-24T00:00:00Z",
      "s3",
      "GET",
      HOST,
      "/test.txt",
      { { 0 } },
      { { "range", "bytes=0-9" },
        { "x-amz-content-sha256", EMPTY },
        { "x-amz-date", "20130524T000000Z" } },
      EMPTY,
      "host;range;x-amz-content-sha256;x-amz-date",
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
    { "2013-05-24T00:00:00Z",
      "s3",
      "PUT",
      HOST,
      "/test%24file.text",
      { { 0 } },
      { { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
        { "date", "Fri, 24 May 2013 00:00:00 GMT" },
        { "x-amz-date", "20130524T000000Z" },
        { "x-amz-content-sha256",
          "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072" } },
      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
    { "2013-05-24T00:00:00Z",
      "s3",
      "GET",
      HOST,
      "/",
      { { "lifecycle", "" } },
      { { "x-amz-content-sha256", EMPTY }, { "x-amz-date", "20130524T000000Z" } },
      EMPTY,
      "host;x-amz-content-sha256;x-amz-date",
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
    { "2013-05-24T00:00:00Z",
      "s3",
      "GET",
      HOST,
      "/",
      { { "prefix", "J" }, { "max-keys", "2" } },
      { { "x-amz-content-sha256", EMPTY }, { "x-amz-date", "20130524T000000Z" } },
      EMPTY,
      "host;x-amz-content-sha256;x-amz-date",
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

static size_t count_pairs(const bvi_s3_pair *pairs, size_t max)
{
    size_t n = 0;

    while (n < max && pairs[n].name)
        n++;
    return n;
}

static bvi_s3_request request_of(int i)
{
    bvi_s3_request request = {
        .method = cases[i].method,
        .host = cases[i].host,
        .path = cases[i].path,
        .params = cases[i].params,
        .n_params = count_pairs(cases[i].params, 3),
        .headers = cases[i].headers,
        .n_headers = count_pairs(cases[i].headers, 5),
        .payload = cases[i].payload,
        .region = "us-east-1",
        .service = cases[i].service,
    };

    ck_assert_int_eq(bvi_time_parse(cases[i].time, &request.wall_us), 0);
    return request;
}

START_TEST(headers)
{
    const bvi_s3_credentials *keys = strcmp(cases[_i].service, "s3") == 0 ? &s3_keys : &suite_keys;
    bvi_s3_request request = request_of(_i);
    bvi_buf value = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_s3_authorization(&request, keys, &value, &err), err);
    ck_assert_str_eq(value.data,
                     bvt_format("AWS4-HMAC-SHA256 Credential=%s/%.4s%.2s%.2s/us-east-1/%s/"
                                "aws4_request, SignedHeaders=%s, Signature=%s",
                                keys->access_key_id, cases[_i].time, cases[_i].time + 5,
                                cases[_i].time + 8, cases[_i].service, cases[_i].signed_headers,
                                cases[_i].signature));
    bvi_buf_done(&value);
}
END_TEST

START_TEST(urls)
{
    bvi_s3_request request = request_of(3);
    bvi_buf query = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    bv_error *err = NULL;

    request.n_headers = 0;
    request.payload = BVI_S3_UNSIGNED;
    bvt_assert_ok(bvi_s3_presign(&request, &s3_keys, 86400, &query, &err), err);
    ck_assert_str_eq(
        query.data,
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
        "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"
        "X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    bvi_buf_done(&query);
}
END_TEST

START_TEST(a_session_token_is_signed_too)
{
    bvi_s3_credentials keys = s3_keys;
    bvi_s3_request request = request_of(3);
    bvi_buf query = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    const char *token, *signed_names;

    request.n_headers = 0;
    keys.session_token = (char *)"a/b=";
    ck_assert_int_eq(bvi_s3_presign(&request, &keys, 60, &query, NULL), 0);
    token = strstr(query.data, "X-Amz-Security-Token=a%2Fb%3D&");
    signed_names = strstr(query.data, "X-Amz-SignedHeaders=");
    ck_assert(token && signed_names && token < signed_names); /* sorted */
    bvi_buf_done(&query);
}
END_TEST

START_TEST(limits)
{
    bvi_s3_pair many[BVI_S3_PAIRS_MAX + 1] = { { 0 } };
    bvi_s3_request request = request_of(3);
    bvi_buf value = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    char *longer = malloc(3 * BVI_S3_SIGNED_MAX + 1);
    bv_error *err = NULL;

    for (size_t i = 0; i < BVI_COUNT(many); i++)
        many[i] = (bvi_s3_pair){ "a", "b" };
    request.params = many;
    request.n_params = BVI_COUNT(many);
    ck_assert_int_eq(bvi_s3_authorization(&request, &s3_keys, &value, NULL), BV_E_LIMIT);
    request.n_params = 0;
    request.headers = many;
    request.n_headers = BVI_COUNT(many);
    ck_assert_int_eq(bvi_s3_authorization(&request, &s3_keys, &value, NULL), BV_E_LIMIT);
    request.n_headers = 0;
    memset(longer, 'x', 3 * BVI_S3_SIGNED_MAX);
    longer[3 * BVI_S3_SIGNED_MAX] = '\0';
    request.path = longer;
    ck_assert_int_eq(bvi_s3_authorization(&request, &s3_keys, &value, &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "too long to be signed");
    bv_error_free(err);
    free(longer);
    bvi_buf_done(&value);
}
END_TEST

START_TEST(allocations_fail)
{
    bvi_s3_request request = request_of(3);

    bvt_for_each_failed_allocation(n) {
        bvi_buf value = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
        bv_error *err = NULL;
        int r = bvi_s3_authorization(&request, &s3_keys, &value, &err);

        if (r == 0)
            r = bvi_s3_presign(&request, &s3_keys, 60, &value, &err);
        ck_assert_int_eq(r, bv_error_code(err));
        bv_error_free(err);
        bvi_buf_done(&value);
    }
}
END_TEST

BVT_MAIN("transfer/s3_sign", bvt_loop(headers, cases), bvt_test(urls),
         bvt_test(a_session_token_is_signed_too), bvt_test(limits), bvt_test(allocations_fail))
