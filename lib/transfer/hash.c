/*
 * hash.c - checksums of chunks over base/digest.h.
 */
#include "transfer/hash.h"

static const bvi_digest_kind digest_kinds[] = {
    [BVI_CHECKSUM_SHA1] = BVI_DIGEST_SHA1,
    [BVI_CHECKSUM_SHA256] = BVI_DIGEST_SHA256,
    [BVI_CHECKSUM_BLAKE3] = BVI_DIGEST_BLAKE3,
};

int bvi_hash_init(bvi_hash *hash, bvi_checksum_kind kind, bv_error **err)
{
    if (bvi_checksum_len(kind) == 0)
        return bvi_fail(err, BV_E_FORMAT, "missing checksum");
    hash->kind = kind;
    return bvi_digest_new(digest_kinds[kind], &hash->digest, err);
}

int bvi_hash_update(bvi_hash *hash, const void *bytes, size_t len, bv_error **err)
{
    return len > 0 ? bvi_digest_update(hash->digest, bytes, len, err) : 0;
}

int bvi_hash_final(bvi_hash *hash, bvi_checksum *ret_sum, bv_error **err)
{
    uint8_t bytes[BVI_DIGEST_SIZE_MAX];
    int r = bvi_digest_final(hash->digest, bytes, err);

    return r < 0 ? r
                 : bvi_checksum_set(ret_sum, hash->kind, bytes, bvi_checksum_len(hash->kind), err);
}

void bvi_hash_done(bvi_hash *hash)
{
    bvi_digest_free(hash->digest);
    hash->digest = NULL;
}
