/*
 * digest.h - SHA-1, SHA-256 and BLAKE3 behind one streaming interface, and HMAC-SHA-256; the only
 * user of OpenSSL's digests.
 *
 * A program that needs BLAKE3 alone uses blake3.h, which brings no library along.
 */
#ifndef BVI_BASE_DIGEST_H
#define BVI_BASE_DIGEST_H

#include "base/error.h"
#include "base/names.h"

typedef enum bvi_digest_kind {
    BVI_DIGEST_SHA1,
    BVI_DIGEST_SHA256,
    BVI_DIGEST_BLAKE3,
} bvi_digest_kind;

#define BVI_DIGEST_SIZE_MAX 32u

extern const bvi_name bvi_digest_names[]; /* "sha1", "sha256", "blake3" */
size_t bvi_digest_size(bvi_digest_kind kind);

typedef struct bvi_digest bvi_digest;

int bvi_digest_new(bvi_digest_kind kind, bvi_digest **ret_digest, bv_error **err);
int bvi_digest_update(bvi_digest *digest, const void *bytes, size_t len, bv_error **err);
/* Ends it: only free may follow. Writes bvi_digest_size() bytes. */
int bvi_digest_final(bvi_digest *digest, uint8_t ret_bytes[BVI_DIGEST_SIZE_MAX], bv_error **err);
void bvi_digest_free(bvi_digest *digest);
BVI_DEFINE_FREEP(bvi_digest, bvi_digest_free)

/* All at once. */
int bvi_digest_of(bvi_digest_kind kind, const void *bytes, size_t len,
                  uint8_t ret_bytes[BVI_DIGEST_SIZE_MAX], bv_error **err);
int bvi_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                    uint8_t ret_bytes[32], bv_error **err);
/* Whether two digests are the same, in a time that does not depend on where they differ. */
bool bvi_digest_equal(const void *a, const void *b, size_t len);

#endif
