/* Digests: published vectors of each kind, in one piece and in many. */
#include "base/digest.h"
#include "base/hex.h"
#include "bvt.h"

#define ABC_LONG "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"

static const struct {
    bvi_digest_kind kind;
    const char *text;
    const char *expected;
} vectors[] = {
    { BVI_DIGEST_SHA1, "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
    { BVI_DIGEST_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
    { BVI_DIGEST_SHA1, ABC_LONG, "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
    { BVI_DIGEST_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { BVI_DIGEST_SHA256, "abc",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { BVI_DIGEST_SHA256, ABC_LONG,
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    { BVI_DIGEST_BLAKE3, "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" },
    { BVI_DIGEST_BLAKE3, "abc",
      "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85" },
};

static void assert_hex(const uint8_t *bytes, size_t len, const char *expected)
{
    char text[BVI_HEX_SIZE(BVI_DIGEST_SIZE_MAX)];

    bvi_hex_encode(bytes, len, text);
    ck_assert_str_eq(text, expected);
}

START_TEST(published_vectors)
{
    size_t size = bvi_digest_size(vectors[_i].kind);
    BVI_AUTO(bvi_digest_freep) bvi_digest *digest = NULL;
    uint8_t bytes[BVI_DIGEST_SIZE_MAX];

    ck_assert_int_eq(
        bvi_digest_of(vectors[_i].kind, vectors[_i].text, strlen(vectors[_i].text), bytes, NULL),
        0);
    assert_hex(bytes, size, vectors[_i].expected);

    ck_assert_int_eq(bvi_digest_new(vectors[_i].kind, &digest, NULL), 0);
    for (const char *at = vectors[_i].text; *at; at++)
        ck_assert_int_eq(bvi_digest_update(digest, at, 1, NULL), 0);
    ck_assert_int_eq(bvi_digest_final(digest, bytes, NULL), 0);
    assert_hex(bytes, size, vectors[_i].expected);
}
END_TEST

START_TEST(hmac)
{
    uint8_t bytes[32];
    uint8_t key[20];

    memset(key, 0x0b, sizeof(key)); /* RFC 4231, cases 1 and 2 */
    ck_assert_int_eq(bvi_hmac_sha256(key, sizeof(key), "Hi There", 8, bytes, NULL), 0);
    assert_hex(bytes, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    ck_assert_int_eq(bvi_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, bytes, NULL),
                     0);
    assert_hex(bytes, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    ck_assert_int_eq(bvi_hmac_sha256(NULL, 0, "", 0, bytes, NULL), 0);
    assert_hex(bytes, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
END_TEST

START_TEST(comparing)
{
    ck_assert(bvi_digest_equal("abc", "abc", 3));
    ck_assert(!bvi_digest_equal("abc", "abd", 3));
    ck_assert(!bvi_digest_equal("xbc", "abc", 3));
    ck_assert_str_eq(bvi_name_of(bvi_digest_names, BVI_DIGEST_BLAKE3), "blake3");
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    bvt_for_each_failed_allocation(n) {
        bv_error *err = NULL;
        uint8_t bytes[BVI_DIGEST_SIZE_MAX];
        int r = bvi_digest_of(BVI_DIGEST_SHA256, "abc", 3, bytes, &err);

        ck_assert(r == 0 ? !err : r == BV_E_NOMEM && err);
        bv_error_free(err);
    }
}
END_TEST

BVT_MAIN("base/digest", bvt_loop(published_vectors, vectors), bvt_test(hmac), bvt_test(comparing),
         bvt_test(survives_every_failed_allocation))
