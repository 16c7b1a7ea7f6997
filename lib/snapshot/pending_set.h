/*
 * pending_set.h - which chunks are on their way to the store, and who has them: hash -> number.
 * Small: a chunk leaves it when its pack is stored. No I/O; one thread at a time.
 */
#ifndef BVI_SNAPSHOT_PENDING_SET_H
#define BVI_SNAPSHOT_PENDING_SET_H

#include "snapshot/format.h"

typedef struct bvi_pending_slot {
    bvi_hash256 hash;
    uint32_t owner; /* 0: free; callers' numbers plus one */
} bvi_pending_slot;

typedef struct bvi_pending_set {
    bvi_pending_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t len;
} bvi_pending_set;

#define BVI_PENDING_MAX (1u << 22)

void bvi_pending_done(bvi_pending_set *set);
/* The hash is not in the set. */
int bvi_pending_add(bvi_pending_set *set, const bvi_hash256 *hash, uint32_t owner, bv_error **err);
bool bvi_pending_find(const bvi_pending_set *set, const bvi_hash256 *hash, uint32_t *ret_owner);
void bvi_pending_remove(bvi_pending_set *set, const bvi_hash256 *hash);

#endif
