/*
 * chunk_plan.c - the blueprint algorithm. Called by upload.c after a scan; pure, any thread.
 */
#include "transfer/chunk_plan.h"

void bvi_chunk_plan_init(bvi_chunk_plan *plan, const bvi_scan *scan)
{
    *plan = (bvi_chunk_plan){ .scan = scan, .left = scan->files.len };
}

int bvi_chunk_plan_next(bvi_chunk_plan *plan, uint64_t limit, bvi_chunk *chunk, bv_error **err)
{
    uint64_t used = 0;

    while (plan->left > 0) {
        const bvi_scan_file *file = &plan->scan->files.items[plan->left - 1];
        uint64_t remaining = file->stamp.size - plan->pos;
        uint64_t room = limit - used;
        uint64_t n = remaining < room ? remaining : room;
        int r;

        if (room == 0 && remaining > 0)
            break; /* full: only empty files may still be added */
        r = bvi_chunk_add_target(chunk, file->path, plan->pos, n, err);
        if (r < 0)
            return r;
        used += n;
        plan->pos += n;
        if (n == remaining) {
            plan->left--;
            plan->pos = 0;
        }
    }
    return 0;
}

uint64_t bvi_chunk_plan_default_slots(uint64_t total_size)
{
    return 1 + total_size / BVI_CHUNK_PLAN_BYTES_PER_CHUNK;
}

static int add_chunk(bvi_chunk_plan *plan, uint64_t bytes, bvi_manifest *manifest, bv_error **err)
{
    bvi_chunk *chunk = bvi_manifest_add_chunk(manifest);

    if (!chunk)
        return bvi_fail_nomem(err);
    chunk->checksum.kind = BVI_CHECKSUM_SHA1; /* twenty zero bytes: not known yet */
    return bvi_chunk_plan_next(plan, bytes, chunk, err);
}

int bvi_chunk_plan_build(const bvi_scan *scan, uint64_t slots, bvi_manifest *manifest,
                         bv_error **err)
{
    uint64_t total = scan->total_size;
    bvi_chunk_plan plan;

    if (slots == 0)
        return bvi_fail(err, BV_E_INVALID, "invalid number of chunks - need at least one");
    if (slots > total) /* a chunk of no bytes could never take a file */
        slots = total ? total : 1;
    if (slots > BVI_CHUNKS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "%llu chunks are more than %u; ask for fewer",
                        (unsigned long long)slots, BVI_CHUNKS_MAX);
    bvi_chunk_plan_init(&plan, scan);
    for (uint64_t i = 0; i < slots && plan.left > 0; i++) {
        uint64_t bytes = total / slots + (i == slots - 1 ? total % slots : 0);
        int r = add_chunk(&plan, bytes, manifest, err);

        if (r < 0)
            return r;
    }
    manifest->total_size = total;
    return 0;
}
