/* Signatures: keys are those of RFC 8032, 7.1, tests 1 and 2. */
#include "base/hex.h"
#include "base/signature.h"
#include "bvt.h"
#include "snapshot/root.h"

#define SECRET                                                                                     \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"                           \
    "-----END PRIVATE KEY-----\n"
#define X25519                                                                                     \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MC4CAQAwBQYDK2VuBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"                           \
    "-----END PRIVATE KEY-----\n"
#define PUBLIC                                                                                     \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"                               \
    "-----END PUBLIC KEY-----\n"
#define OTHER                                                                                      \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"                               \
    "-----END PUBLIC KEY-----\n"
#define KEY_HEX "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

static const char root_text[] = "{\"format\":\"blockvisor-snapshot\"}";

static const char *sign_sample(void)
{
    const char *key = bvt_write_file("secret.pem", SECRET);
    BVI_AUTO(bvi_buf_done) bvi_buf sig = BVI_BUF_INIT(4096);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_snap_sign(root_text, strlen(root_text), key, &sig, &err), err);
    return bvt_format("%s", bvi_buf_str(&sig));
}

static int check(const char *text, const char *sig, const char *pem, bv_error **err)
{
    const char *key = bvt_write_file("public.pem", pem);

    return bvi_snap_check_signature(text, strlen(text), sig, strlen(sig), key, err);
}

/* The empty message of the RFC has this signature. */
START_TEST(signs_like_everybody)
{
    BVI_AUTO(bvi_ed25519_freep) bvi_ed25519_key *key = NULL;
    uint8_t signature[BVI_ED25519_SIZE];
    char hex[BVI_HEX_SIZE(BVI_ED25519_SIZE)];
    bv_error *err = NULL;

    bvt_assert_ok(bvi_ed25519_secret(SECRET, strlen(SECRET), &key, &err), err);
    bvt_assert_ok(bvi_ed25519_sign(key, "", 0, signature, &err), err);
    bvi_hex_encode(signature, sizeof(signature), hex);
    ck_assert_str_eq(hex, "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                          "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
}
END_TEST

START_TEST(what_is_signed_is_right)
{
    const char *sig = sign_sample();
    bv_error *err = NULL;

    ck_assert_msg(strstr(sig, "{\"signatures\":[{\"key\":\"" KEY_HEX "\",") == sig, "%s", sig);
    bvt_assert_ok(check(root_text, sig, PUBLIC, &err), err);
}
END_TEST

START_TEST(others_are_denied)
{
    const char *sig = sign_sample();
    bv_error *err = NULL;

    ck_assert_int_eq(check("{\"format\":\"blockvisor-snapshoT\"}", sig, PUBLIC, &err), BV_E_DENIED);
    bvt_assert_error_says(err, BV_E_DENIED, "public.pem'");
    bvt_assert_error_says(err, BV_E_DENIED, "is not right");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(check(root_text, sig, OTHER, &err), BV_E_DENIED);
    bvt_assert_error_says(err, BV_E_DENIED, "none of its 1 signatures");
    bv_error_free(err);
    ck_assert_int_eq(check(root_text, "{", PUBLIC, NULL), BV_E_DENIED);
    ck_assert_int_eq(check(root_text, "{\"signatures\":[]}", PUBLIC, NULL), BV_E_DENIED);
    ck_assert_int_eq(check(root_text,
                           "{\"signatures\":[{\"key\":\"" KEY_HEX "\",\"signature\":\"00\"}]}",
                           PUBLIC, NULL),
                     BV_E_DENIED);
}
END_TEST

/* Signed by somebody unknown and by us: ours counts. */
START_TEST(one_of_several_is_enough)
{
    const char *sig = sign_sample();
    const char *both = bvt_format("{\"signatures\":[{\"key\":\"00\",\"signature\":\"00\"},%s",
                                  sig + strlen("{\"signatures\":["));
    bv_error *err = NULL;

    bvt_assert_ok(check(root_text, both, PUBLIC, &err), err);
}
END_TEST

static const struct {
    const char *pem; /* NULL: no such file */
    int code;
    const char *says;
} keys[] = {
    { NULL, BV_E_NOT_FOUND, "secret.pem'" },
    { "", BV_E_FORMAT, "openssl genpkey" },
    { PUBLIC, BV_E_FORMAT, "no secret key" },
    { X25519, BV_E_FORMAT, "not an Ed25519 key" },
    { "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
      "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhtnr5DiS2SAQICCAAw\n"
      "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEELZNfkskumBRdANccNw0iSkEQJvj\n"
      "2wLYBKjNtMK+Bp+4/yjN+YlBpBWU3q8kzQc/cdhCpRqrhVanPaS0g4LDPf7y1Xx4\n"
      "KLAjJAfGexvah0kOb+I=\n"
      "-----END ENCRYPTED PRIVATE KEY-----\n",
      BV_E_FORMAT, "without a passphrase" },
};

START_TEST(bad_keys_are_named)
{
    BVI_AUTO(bvi_buf_done) bvi_buf sig = BVI_BUF_INIT(4096);
    const char *path =
        keys[_i].pem ? bvt_write_file("secret.pem", keys[_i].pem) : bvt_path("secret.pem");
    bv_error *err = NULL;

    ck_assert_int_eq(bvi_snap_sign("x", 1, path, &sig, &err), keys[_i].code);
    bvt_assert_error_says(err, keys[_i].code, keys[_i].says);
    bvt_assert_error_says(err, keys[_i].code, "secret.pem'");
    bv_error_free(err);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    const char *sig = sign_sample();
    const char *secret = bvt_path("secret.pem");
    const char *public = bvt_write_file("public.pem", PUBLIC);

    bvt_for_each_failed_allocation(n) {
        BVI_AUTO(bvi_buf_done) bvi_buf again = BVI_BUF_INIT(4096);
        int r = bvi_snap_sign(root_text, strlen(root_text), secret, &again, NULL);

        if (r == 0)
            r = bvi_snap_check_signature(root_text, strlen(root_text), sig, strlen(sig), public,
                                         NULL);
        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%d", r);
    }
}
END_TEST

BVT_MAIN("snapshot/sign", bvt_test(signs_like_everybody), bvt_test(what_is_signed_is_right),
         bvt_test(others_are_denied), bvt_test(one_of_several_is_enough),
         bvt_loop(bad_keys_are_named, keys), bvt_test(survives_every_failed_allocation))
