/*
 * digest.c - SHA-1 and SHA-256 from OpenSSL, BLAKE3 from blake3.c, behind one interface.
 */
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/blake3.h"
#include "base/digest.h"

struct bvi_digest {
    bvi_digest_kind kind;
    EVP_MD_CTX *evp; /* NULL for BLAKE3 */
    bvi_blake3 blake3;
};

const bvi_name bvi_digest_names[] = {
    { BVI_DIGEST_SHA1, "sha1" },
    { BVI_DIGEST_SHA256, "sha256" },
    { BVI_DIGEST_BLAKE3, "blake3" },
    { 0, NULL },
};

size_t bvi_digest_size(bvi_digest_kind kind)
{
    return kind == BVI_DIGEST_SHA1 ? 20 : 32;
}

static int refused(bvi_digest_kind kind, bv_error **err)
{
    return bvi_fail(err, BV_E_UNSUPPORTED,
                    "OpenSSL cannot compute %s here; is it switched off by a policy?",
                    bvi_name_of(bvi_digest_names, kind));
}

static int start_evp(bvi_digest *digest, bv_error **err)
{
    const EVP_MD *md = digest->kind == BVI_DIGEST_SHA1 ? EVP_sha1() : EVP_sha256();

    digest->evp = EVP_MD_CTX_new();
    if (!digest->evp)
        return bvi_fail_nomem(err);
    return EVP_DigestInit_ex(digest->evp, md, NULL) == 1 ? 0 : refused(digest->kind, err);
}

int bvi_digest_new(bvi_digest_kind kind, bvi_digest **ret_digest, bv_error **err)
{
    BVI_AUTO(bvi_digest_freep) bvi_digest *digest = bvi_new0(bvi_digest);
    int r = 0;

    if (!digest)
        return bvi_fail_nomem(err);
    digest->kind = kind;
    if (kind == BVI_DIGEST_BLAKE3)
        bvi_blake3_init(&digest->blake3);
    else
        r = start_evp(digest, err);
    if (r < 0)
        return r;
    *ret_digest = bvi_take(digest);
    return 0;
}

int bvi_digest_update(bvi_digest *digest, const void *bytes, size_t len, bv_error **err)
{
    if (digest->kind == BVI_DIGEST_BLAKE3) {
        bvi_blake3_update(&digest->blake3, bytes, len);
        return 0;
    }
    return EVP_DigestUpdate(digest->evp, bytes, len) == 1 ? 0 : refused(digest->kind, err);
}

int bvi_digest_final(bvi_digest *digest, uint8_t ret_bytes[BVI_DIGEST_SIZE_MAX], bv_error **err)
{
    if (digest->kind == BVI_DIGEST_BLAKE3) {
        bvi_blake3_final(&digest->blake3, ret_bytes);
        return 0;
    }
    return EVP_DigestFinal_ex(digest->evp, ret_bytes, NULL) == 1 ? 0 : refused(digest->kind, err);
}

void bvi_digest_free(bvi_digest *digest)
{
    if (digest)
        EVP_MD_CTX_free(digest->evp);
    bvi_free(digest);
}

int bvi_digest_of(bvi_digest_kind kind, const void *bytes, size_t len,
                  uint8_t ret_bytes[BVI_DIGEST_SIZE_MAX], bv_error **err)
{
    BVI_AUTO(bvi_digest_freep) bvi_digest *digest = NULL;
    int r = bvi_digest_new(kind, &digest, err);

    if (r >= 0)
        r = bvi_digest_update(digest, bytes, len, err);
    return r < 0 ? r : bvi_digest_final(digest, ret_bytes, err);
}

int bvi_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                    uint8_t ret_bytes[32], bv_error **err)
{
    if (key_len > INT_MAX)
        return bvi_fail(err, BV_E_LIMIT, "the key of an HMAC has %zu bytes", key_len);
    if (!HMAC(EVP_sha256(), key_len ? key : "", (int)key_len, bytes, len, ret_bytes, NULL))
        return bvi_fail(err, BV_E_UNSUPPORTED, "OpenSSL cannot compute HMAC-SHA-256 here");
    return 0;
}

bool bvi_digest_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
