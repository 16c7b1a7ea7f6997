/*
 * chunk_plan.h - cuts a list of files into chunks the way existing archives are cut
 * (transfer.md 3.2).
 */
#ifndef BVI_TRANSFER_CHUNK_PLAN_H
#define BVI_TRANSFER_CHUNK_PLAN_H

#include "transfer/manifest.h"
#include "transfer/scan.h"

/* One more chunk for each so many bytes, unless the number is given. */
#define BVI_CHUNK_PLAN_BYTES_PER_CHUNK 500000000ull

/* Where the plan is; files are taken from the end of the scan. */
typedef struct bvi_chunk_plan {
    const bvi_scan *scan;
    size_t left;  /* files not used up */
    uint64_t pos; /* used bytes of the file at hand, scan->files.items[left - 1] */
} bvi_chunk_plan;

void bvi_chunk_plan_init(bvi_chunk_plan *plan, const bvi_scan *scan);
/* Adds up to `limit` bytes of destinations to the chunk; adds none when the list is used up. */
int bvi_chunk_plan_next(bvi_chunk_plan *plan, uint64_t limit, bvi_chunk *chunk, bv_error **err);

uint64_t bvi_chunk_plan_default_slots(uint64_t total_size);
/* The whole blueprint: fills chunks and total_size of an initialised, empty manifest, with
 * placeholder checksums. Fewer chunks than slots may result; more slots than bytes make one chunk
 * for each byte. */
int bvi_chunk_plan_build(const bvi_scan *scan, uint64_t slots, bvi_manifest *manifest,
                         bv_error **err);

#endif
