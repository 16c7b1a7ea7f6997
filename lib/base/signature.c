/*
 * signature.c - Ed25519 through OpenSSL. Snapshots are signed and checked with it.
 */
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/signature.h"

struct bvi_ed25519_key {
    EVP_PKEY *key;
    uint8_t bytes[BVI_ED25519_KEY_SIZE]; /* public */
};

/* Instead of OpenSSL's own, which asks at the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *data)
{
    return -1;
}

/* Failures are told by our own messages; OpenSSL's queue belongs to the thread, not to us. */
static int failed(bv_error **err, int code, const char *what)
{
    ERR_clear_error();
    return bvi_fail(err, code, "%s", what);
}

static int read_key(const char *pem, size_t len, bool secret, EVP_PKEY **ret_key, bv_error **err)
{
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;

    if (!bio)
        return bvi_fail_nomem(err);
    *ret_key = secret ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
                      : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    (void)BIO_free(bio); /* memory only */
    if (!*ret_key)
        return failed(err, BV_E_FORMAT,
                      secret ? "no secret key in PEM without a passphrase (openssl genpkey "
                               "-algorithm ed25519)"
                             : "no public key in PEM (openssl pkey -pubout)");
    return 0;
}

static int new_key(const char *pem, size_t len, bool secret, bvi_ed25519_key **ret_key,
                   bv_error **err)
{
    BVI_AUTO(bvi_ed25519_freep) bvi_ed25519_key *key = bvi_new0(bvi_ed25519_key);
    size_t size = BVI_ED25519_KEY_SIZE;
    int r;

    if (!key)
        return bvi_fail_nomem(err);
    r = read_key(pem, len, secret, &key->key, err);
    if (r < 0)
        return r;
    if (EVP_PKEY_get_base_id(key->key) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(key->key, key->bytes, &size) != 1)
        return failed(err, BV_E_FORMAT, "the key is not an Ed25519 key");
    *ret_key = bvi_take(key);
    return 0;
}

int bvi_ed25519_secret(const char *pem, size_t len, bvi_ed25519_key **ret_key, bv_error **err)
{
    return new_key(pem, len, true, ret_key, err);
}

int bvi_ed25519_public(const char *pem, size_t len, bvi_ed25519_key **ret_key, bv_error **err)
{
    return new_key(pem, len, false, ret_key, err);
}

void bvi_ed25519_free(bvi_ed25519_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->key);
    bvi_free(key);
}

void bvi_ed25519_bytes(const bvi_ed25519_key *key, uint8_t ret_bytes[BVI_ED25519_KEY_SIZE])
{
    memcpy(ret_bytes, key->bytes, BVI_ED25519_KEY_SIZE);
}

int bvi_ed25519_sign(const bvi_ed25519_key *secret, const void *bytes, size_t len,
                     uint8_t ret_signature[BVI_ED25519_SIZE], bv_error **err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t size = BVI_ED25519_SIZE;
    bool made;

    if (!ctx)
        return bvi_fail_nomem(err);
    made = EVP_DigestSignInit(ctx, NULL, NULL, NULL, secret->key) == 1 &&
           EVP_DigestSign(ctx, ret_signature, &size, bytes, len) == 1;
    EVP_MD_CTX_free(ctx);
    return made ? 0 : failed(err, BV_E_UNSUPPORTED, "OpenSSL cannot sign with this key");
}

int bvi_ed25519_verify(const bvi_ed25519_key *key, const void *bytes, size_t len,
                       const uint8_t signature[BVI_ED25519_SIZE], bv_error **err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool right;

    if (!ctx)
        return bvi_fail_nomem(err);
    right = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->key) == 1 &&
            EVP_DigestVerify(ctx, signature, BVI_ED25519_SIZE, bytes, len) == 1;
    EVP_MD_CTX_free(ctx);
    return right ? 0 : failed(err, BV_E_DENIED, "the signature is not right");
}
