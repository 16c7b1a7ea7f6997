/*
 * page_cache.h - pages of a snapshot, plain, in a file without a name.
 *
 * An upload reads those of the version it builds on once from the store, and keeps those it makes,
 * since a second look at the directory builds on them. Slots are given out on the loop and filled
 * on workers.
 */
#ifndef BVI_SNAPSHOT_PAGE_CACHE_H
#define BVI_SNAPSHOT_PAGE_CACHE_H

#include "snapshot/page.h"

typedef struct bvi_page_slot {
    uint64_t offset;
    uint32_t len;
} bvi_page_slot;

typedef struct bvi_page_cache {
    int fd; /* -1: not made */
    uint64_t end;
    BVI_VEC(bvi_page_slot) slots;
} bvi_page_cache;

void bvi_page_cache_init(bvi_page_cache *cache);
void bvi_page_cache_done(bvi_page_cache *cache);
int bvi_page_cache_open(bvi_page_cache *cache, const char *dir, bv_error **err);
/* Room for one more page behind the others. */
int bvi_page_cache_add(bvi_page_cache *cache, uint32_t len, bvi_page_slot *ret_slot,
                       bv_error **err);
int bvi_page_cache_write(int fd, bvi_page_slot slot, const void *bytes, bv_error **err);
int bvi_page_cache_read(const bvi_page_cache *cache, size_t index, bvi_page *ret_page,
                        bv_error **err);

#endif
