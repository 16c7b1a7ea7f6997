/*
 * blake3.h - the BLAKE3 hash (plain mode, 32 bytes), as the public specification describes it.
 *
 * Streaming: init, any number of updates, final; final leaves the hasher as it was, so more may
 * follow. A hasher is plain memory of about 2 KiB: copy it to fork it, drop it to forget it. Large
 * updates use SIMD where the processor has it, so feed it tens of KiB at a time.
 */
#ifndef BVI_BASE_BLAKE3_H
#define BVI_BASE_BLAKE3_H

#include "base/mem.h"

#define BVI_BLAKE3_SIZE  32u
#define BVI_BLAKE3_CHUNK 1024u
#define BVI_BLAKE3_BLOCK 64u
/* 2^64 bytes are 2^54 chunks: no tree is higher. */
#define BVI_BLAKE3_HEIGHT_MAX 54u

typedef struct bvi_blake3 {
    uint32_t chunk_cv[8]; /* of the chunk being read */
    uint64_t chunks;      /* complete before it */
    uint8_t block[BVI_BLAKE3_BLOCK];
    uint8_t block_len; /* bytes waiting in block */
    uint8_t blocks;    /* compressed in this chunk */
    uint8_t height;    /* chaining values on the stack */
    uint8_t max_lanes; /* tests only: use no wider code; 0 is no limit */
    uint8_t stack[BVI_BLAKE3_HEIGHT_MAX][BVI_BLAKE3_SIZE];
} bvi_blake3;

void bvi_blake3_init(bvi_blake3 *h);
void bvi_blake3_update(bvi_blake3 *h, const void *data, size_t len);
void bvi_blake3_final(const bvi_blake3 *h, uint8_t digest[BVI_BLAKE3_SIZE]);
void bvi_blake3_hash(const void *data, size_t len, uint8_t digest[BVI_BLAKE3_SIZE]);

#endif
