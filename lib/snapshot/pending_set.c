/*
 * pending_set.c - see pending_set.h. Open addressing; removal moves those behind forward, so that
 * there are no graves.
 */
#include <string.h>

#include "snapshot/pending_set.h"

void bvi_pending_done(bvi_pending_set *set)
{
    bvi_free(set->slots);
    *set = (bvi_pending_set){ .slots = NULL };
}

static size_t home_of(const bvi_pending_set *set, const bvi_hash256 *hash)
{
    uint64_t first;

    memcpy(&first, hash->bytes, sizeof(first));
    return (size_t)first & (set->cap - 1);
}

/* Where the hash is, or the free slot where it would go. */
static size_t place_of(const bvi_pending_set *set, const bvi_hash256 *hash)
{
    size_t at = home_of(set, hash);

    while (set->slots[at].owner && !bvi_hash256_equal(&set->slots[at].hash, hash))
        at = (at + 1) & (set->cap - 1);
    return at;
}

static int grow(bvi_pending_set *set, bv_error **err)
{
    const bvi_pending_set old = *set;

    if (set->len < set->cap / 2)
        return 0;
    if (set->len >= BVI_PENDING_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u chunks are under way", BVI_PENDING_MAX);
    set->cap = old.cap ? 2 * old.cap : 1024;
    set->slots = bvi_new_array(bvi_pending_slot, set->cap);
    if (!set->slots) {
        *set = old;
        return bvi_fail_nomem(err);
    }
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].owner)
            set->slots[place_of(set, &old.slots[i].hash)] = old.slots[i];
    }
    bvi_free(old.slots);
    return 0;
}

int bvi_pending_add(bvi_pending_set *set, const bvi_hash256 *hash, uint32_t owner, bv_error **err)
{
    int r = grow(set, err);

    if (r < 0)
        return r;
    set->slots[place_of(set, hash)] = (bvi_pending_slot){ .hash = *hash, .owner = owner + 1 };
    set->len++;
    return 0;
}

bool bvi_pending_find(const bvi_pending_set *set, const bvi_hash256 *hash, uint32_t *ret_owner)
{
    size_t at;

    if (set->len == 0)
        return false;
    at = place_of(set, hash);
    if (!set->slots[at].owner)
        return false;
    *ret_owner = set->slots[at].owner - 1;
    return true;
}

void bvi_pending_remove(bvi_pending_set *set, const bvi_hash256 *hash)
{
    size_t hole;

    if (set->len == 0)
        return;
    hole = place_of(set, hash);
    if (!set->slots[hole].owner)
        return;
    set->len--;
    for (size_t at = (hole + 1) & (set->cap - 1); set->slots[at].owner;
         at = (at + 1) & (set->cap - 1)) {
        const size_t home = home_of(set, &set->slots[at].hash);

        /* It may stand in the hole unless its home lies behind that. */
        if (((at - home) & (set->cap - 1)) >= ((at - hole) & (set->cap - 1))) {
            set->slots[hole] = set->slots[at];
            hole = at;
        }
    }
    set->slots[hole].owner = 0;
}
