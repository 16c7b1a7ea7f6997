/*
 * hash_set.h - a set of BLAKE3 values: 32 bytes each and as much again at most. One thread at a
 * time.
 */
#ifndef BVI_SNAPSHOT_HASH_SET_H
#define BVI_SNAPSHOT_HASH_SET_H

#include "snapshot/format.h"

#define BVI_HASH_SET_MAX (1u << 26)

/* All zero is an empty set. */
typedef struct bvi_hash_set {
    bvi_hash256 *slots; /* all zero: free */
    size_t cap;         /* 0 or a power of two */
    size_t len;
    bool has_zero;
} bvi_hash_set;

void bvi_hash_set_done(bvi_hash_set *set);
/* 1: it is new; 0: it was there; BV_E_NOMEM, BV_E_LIMIT. */
int bvi_hash_set_add(bvi_hash_set *set, const bvi_hash256 *hash, bv_error **err);
bool bvi_hash_set_has(const bvi_hash_set *set, const bvi_hash256 *hash);

#endif
