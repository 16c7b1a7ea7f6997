/* URIs of S3 stores, and where their keys come from. */
#include <stdlib.h>

#include "bvt.h"
#include "transfer/s3_config.h"

static void clear_environment(void)
{
    static const char *const names[] = {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_CA_BUNDLE",
    };

    for (size_t i = 0; i < BVI_COUNT(names); i++)
        (void)unsetenv(names[i]);
    (void)setenv("HOME", bvt_dir(), 1);
}

static const bvi_s3_credentials some_keys = {
    .access_key_id = (char *)"id",
    .secret_access_key = (char *)"secret",
};

static const struct {
    const char *uri;
    const char *origin;
    const char *base;
    const char *prefix;
    const char *region;
} good[] = {
    { "s3://bucket", "https://bucket.s3.us-east-1.amazonaws.com", "", "", "us-east-1" },
    { "s3://bucket//a/b/?region=eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com", "", "a/b/",
      "eu-west-1" },
    { "s3://dots.in.it", "https://s3.us-east-1.amazonaws.com", "/dots.in.it", "", "us-east-1" },
    { "s3://bucket?style=path", "https://s3.us-east-1.amazonaws.com", "/bucket", "", "us-east-1" },
    { "s3://bucket/p?endpoint=http://127.0.0.1:9000/&region=here", "http://127.0.0.1:9000",
      "/bucket", "p/", "here" },
    { "s3://bucket?endpoint=https%3A%2F%2Fs3.example%3A443&style=host", "https://bucket.s3.example",
      "", "", "us-east-1" },
    { "s3://bucket?endpoint=HTTP://[::1]:80", "http://[::1]", "/bucket", "", "us-east-1" },
};

START_TEST(places)
{
    bvi_s3_config config;
    bv_error *err = NULL;

    clear_environment();
    bvt_assert_ok(bvi_s3_config_init(&config, good[_i].uri, &some_keys, &err), err);
    ck_assert_str_eq(config.origin, good[_i].origin);
    ck_assert_str_eq(config.base, good[_i].base);
    ck_assert_str_eq(config.prefix, good[_i].prefix);
    ck_assert_str_eq(config.region, good[_i].region);
    ck_assert_ptr_nonnull(strstr(config.origin, config.host));
    bvi_s3_config_done(&config);
}
END_TEST

static const struct {
    const char *uri;
    const char *says;
} bad[] = {
    { "s3://", "the bucket must have" },
    { "s3://ab", "the bucket must have" },
    { "s3://a..b", "the bucket must have" },
    { "s3://id:hidden@bucket/p", "keys do not belong into the URI" },
    { "s3://bucket/sp ace", "the prefix may have" },
    { "s3://bucket/a//b", "empty name" },
    { "s3://bucket/../other", "'..'" },
    { "s3://bucket#x", "fragment" },
    { "s3://bucket?secret=hidden", "no parameter 'secret'" },
    { "s3://bucket?region", "no parameter 'region'" },
    { "s3://bucket?region=%zz", "wrong escape" },
    { "s3://bucket?region=a/b", "not a name" },
    { "s3://bucket?style=round", "neither 'path' nor 'host'" },
    { "s3://bucket?endpoint=ftp://x", "the endpoint must be" },
    { "s3://bucket?endpoint=http://id:hidden@x", "the endpoint must be" },
    { "s3://bucket?endpoint=http://x/path", "the endpoint must be" },
    { "s3://bucket?endpoint=https://", "the endpoint must be" },
};

START_TEST(mistakes_in_uris)
{
    bvi_s3_config config;
    bv_error *err = NULL;
    char text[1000];

    clear_environment();
    ck_assert_int_eq(bvi_s3_config_init(&config, bad[_i].uri, &some_keys, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, bad[_i].says);
    (void)bv_error_format(err, text, sizeof(text));
    ck_assert_msg(!strstr(text, "hidden"), "%s", text);
    bv_error_free(err);
    bvi_s3_config_done(&config);
}
END_TEST

static void expect_keys(const char *uri, const char *id, const char *secret, const char *token)
{
    bvi_s3_config config;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_s3_config_init(&config, uri, NULL, &err), err);
    ck_assert_str_eq(config.keys.access_key_id, id);
    ck_assert_str_eq(config.keys.secret_access_key, secret);
    ck_assert_pstr_eq(config.keys.session_token, token);
    bvi_s3_config_done(&config);
}

static void expect_refusal(const char *uri, const char *says)
{
    bvi_s3_config config;
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_s3_config_init(&config, uri, NULL, &err), BV_E_DENIED);
    bvt_assert_error_says(err, BV_E_DENIED, says);
    bv_error_free(err);
    bvi_s3_config_done(&config);
}

START_TEST(keys_are_found)
{
    const char *file;

    clear_environment();
    expect_refusal("s3://bucket", "set AWS_ACCESS_KEY_ID");
    file = bvt_write_file("keys", "# comment\n"
                                  "[default]\naws_access_key_id = d-id\r\n"
                                  "aws_secret_access_key=d+secret/=\n\n"
                                  "; [other] comment\n"
                                  "[ other ]\n  AWS_ACCESS_KEY_ID=o-id\n"
                                  "aws_secret_access_key = o-secret\n"
                                  "aws_session_token = o-token\nregion = x\nnonsense\n"
                                  "[half]\naws_access_key_id = h\n");
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
    expect_keys("s3://bucket", "d-id", "d+secret/=", NULL);
    expect_keys("s3://bucket?profile=other", "o-id", "o-secret", "o-token");
    expect_refusal("s3://bucket?profile=none", "has no profile 'none'");
    expect_refusal("s3://bucket?profile=half", "no access key");
    (void)setenv("AWS_PROFILE", "other", 1);
    expect_keys("s3://bucket", "o-id", "o-secret", "o-token");
    (void)setenv("AWS_ACCESS_KEY_ID", "e-id", 1);
    expect_refusal("s3://bucket", "no access key");
    (void)setenv("AWS_SECRET_ACCESS_KEY", "e-secret", 1);
    expect_keys("s3://bucket", "e-id", "e-secret", NULL);
    expect_keys(bvt_format("s3://bucket?credentials=%s", file), "o-id", "o-secret", "o-token");
    expect_refusal("s3://bucket?credentials=/nowhere", "/nowhere");
}
END_TEST

START_TEST(the_environment_stands_in)
{
    bvi_s3_config config;
    bvi_s3_credentials wrong = some_keys;

    clear_environment();
    (void)setenv("AWS_DEFAULT_REGION", "there", 1);
    (void)setenv("AWS_ENDPOINT_URL", "http://s3.example:8080", 1);
    (void)setenv("AWS_CA_BUNDLE", "/ca.pem", 1);
    ck_assert_int_eq(bvi_s3_config_init(&config, "s3://bucket", &some_keys, NULL), 0);
    ck_assert_str_eq(config.region, "there");
    ck_assert_str_eq(config.origin, "http://s3.example:8080");
    ck_assert_str_eq(config.ca_file, "/ca.pem");
    bvi_s3_config_done(&config);
    wrong.session_token = (char *)"a\r\nX: y";
    ck_assert_int_eq(bvi_s3_config_init(&config, "s3://bucket", &wrong, NULL), BV_E_INVALID);
    bvi_s3_config_done(&config);
}
END_TEST

START_TEST(allocations_fail)
{
    clear_environment();
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE",
                 bvt_write_file("keys", "[default]\naws_access_key_id = a\n"
                                        "aws_secret_access_key = b\naws_session_token = c\n"),
                 1);
    bvt_for_each_failed_allocation(n) {
        bvi_s3_config config;
        bv_error *err = NULL;
        int r =
            bvi_s3_config_init(&config, "s3://bucket/p?region=r&ca=%2Fca&style=host", NULL, &err);

        ck_assert_int_eq(r, bv_error_code(err));
        bv_error_free(err);
        bvi_s3_config_done(&config);
    }
}
END_TEST

BVT_MAIN("transfer/s3_config", bvt_loop(places, good), bvt_loop(mistakes_in_uris, bad),
         bvt_test(keys_are_found), bvt_test(the_environment_stands_in), bvt_test(allocations_fail))
