/*
 * hash.h - a streaming checksum of any kind a chunk may have.
 */
#ifndef BVI_TRANSFER_HASH_H
#define BVI_TRANSFER_HASH_H

#include "base/digest.h"
#include "transfer/chunk.h"

typedef struct bvi_hash {
    bvi_checksum_kind kind;
    bvi_digest *digest;
} bvi_hash;

int bvi_hash_init(bvi_hash *hash, bvi_checksum_kind kind, bv_error **err);
int bvi_hash_update(bvi_hash *hash, const void *bytes, size_t len, bv_error **err);
int bvi_hash_final(bvi_hash *hash, bvi_checksum *ret_sum,
                   bv_error **err); /* once; only done may follow */
void bvi_hash_done(bvi_hash *hash);

#endif
