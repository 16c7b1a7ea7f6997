/*
 * hash_set.c - see hash_set.h. Open addressing; the values are evenly spread by themselves, unless
 * somebody makes them up, who then slows down his own listing only.
 */
#include "snapshot/hash_set.h"

#define FIRST_CAP 1024u

static const bvi_hash256 zero;

void bvi_hash_set_done(bvi_hash_set *set)
{
    bvi_free(set->slots);
    *set = (bvi_hash_set){ 0 };
}

/* The slot that has the value, or the free one where it belongs. */
static bvi_hash256 *find(bvi_hash256 *slots, size_t cap, const bvi_hash256 *hash)
{
    uint64_t from;

    memcpy(&from, hash->bytes, sizeof(from));
    for (size_t i = (size_t)from & (cap - 1);; i = (i + 1) & (cap - 1)) {
        if (bvi_hash256_equal(&slots[i], hash) || bvi_hash256_equal(&slots[i], &zero))
            return &slots[i];
    }
}

static int grow(bvi_hash_set *set, bv_error **err)
{
    size_t cap = set->cap ? set->cap * 2 : FIRST_CAP;
    bvi_hash256 *slots;

    if (cap > BVI_HASH_SET_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u packs", BVI_HASH_SET_MAX / 4 * 3);
    slots = bvi_calloc(cap, sizeof(*slots));
    if (!slots)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < set->cap; i++) {
        if (!bvi_hash256_equal(&set->slots[i], &zero))
            *find(slots, cap, &set->slots[i]) = set->slots[i];
    }
    bvi_free(set->slots);
    set->slots = slots;
    set->cap = cap;
    return 0;
}

int bvi_hash_set_add(bvi_hash_set *set, const bvi_hash256 *hash, bv_error **err)
{
    bvi_hash256 *slot;
    int r = 0;

    if (bvi_hash256_equal(hash, &zero)) {
        r = set->has_zero ? 0 : 1;
        set->has_zero = true;
        return r;
    }
    if (set->len + 1 > set->cap / 4 * 3)
        r = grow(set, err);
    if (r < 0)
        return r;
    slot = find(set->slots, set->cap, hash);
    if (bvi_hash256_equal(slot, hash))
        return 0;
    *slot = *hash;
    set->len++;
    return 1;
}

bool bvi_hash_set_has(const bvi_hash_set *set, const bvi_hash256 *hash)
{
    if (bvi_hash256_equal(hash, &zero))
        return set->has_zero;
    return set->cap > 0 && bvi_hash256_equal(find(set->slots, set->cap, hash), hash);
}
