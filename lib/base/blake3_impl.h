/*
 * blake3_impl.h - what blake3.c and its SIMD variants in blake3_simd.c share. Not for anybody else,
 * tests aside.
 */
#ifndef BVI_BASE_BLAKE3_IMPL_H
#define BVI_BASE_BLAKE3_IMPL_H

#include "base/blake3.h"

enum {
    BLAKE3_CHUNK_START = 1,
    BLAKE3_CHUNK_END = 2,
    BLAKE3_PARENT = 4,
    BLAKE3_ROOT = 8,
};

/* Several inputs of the same length, all chunks or all parents, that stand one after the other in
 * memory. */
typedef struct bvi_blake3_batch {
    const uint8_t *data;
    size_t stride;         /* bytes of one input, a multiple of the block */
    uint64_t counter;      /* of the first input */
    uint32_t counter_step; /* 1 for chunks, 0 for parents */
    uint8_t flags;         /* of every block */
    uint8_t first_flags;   /* further ones of an input's first block */
    uint8_t last_flags;    /* and of its last */
} bvi_blake3_batch;

/* Hashes exactly `lanes` inputs side by side; writes lanes * 32 bytes of chaining values. */
typedef struct bvi_blake3_variant {
    const char *name;
    size_t lanes;
    void (*hash)(const bvi_blake3_batch *batch, uint8_t *ret_cvs);
} bvi_blake3_variant;

/* The variant at index i, widest first, that this processor can run; NULL when it cannot run that
 * one. */
#define BVI_BLAKE3_VARIANTS 3u
const bvi_blake3_variant *bvi_blake3_variant_at(size_t i);

extern const uint32_t bvi_blake3_iv[8];

#endif
