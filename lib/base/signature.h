/*
 * signature.h - Ed25519 signatures with keys in PEM text; the only user of OpenSSL's keys.
 *
 * Keys as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write them. A key that is
 * encrypted is refused: nobody could be asked for its passphrase. Pure; any thread.
 */
#ifndef BVI_BASE_SIGNATURE_H
#define BVI_BASE_SIGNATURE_H

#include "base/error.h"

#define BVI_ED25519_KEY_SIZE 32u
#define BVI_ED25519_SIZE     64u

typedef struct bvi_ed25519_key bvi_ed25519_key;

/* BV_E_FORMAT: no Ed25519 key of that kind. */
int bvi_ed25519_secret(const char *pem, size_t len, bvi_ed25519_key **ret_key, bv_error **err);
int bvi_ed25519_public(const char *pem, size_t len, bvi_ed25519_key **ret_key, bv_error **err);
void bvi_ed25519_free(bvi_ed25519_key *key);
BVI_DEFINE_FREEP(bvi_ed25519_key, bvi_ed25519_free)
/* The public half of either. */
void bvi_ed25519_bytes(const bvi_ed25519_key *key, uint8_t ret_bytes[BVI_ED25519_KEY_SIZE]);

int bvi_ed25519_sign(const bvi_ed25519_key *secret, const void *bytes, size_t len,
                     uint8_t ret_signature[BVI_ED25519_SIZE], bv_error **err);
/* BV_E_DENIED when it is wrong. */
int bvi_ed25519_verify(const bvi_ed25519_key *key, const void *bytes, size_t len,
                       const uint8_t signature[BVI_ED25519_SIZE], bv_error **err);

#endif
