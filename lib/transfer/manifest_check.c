/*
 * manifest_check.c - decides whether a manifest may be acted on.
 *
 * Every chunk is looked at alone first; then all ranges are sorted by file and position, so that
 * overlaps, gaps and files that are also directories are neighbours. The same walk makes the table
 * of files with their final sizes. Called once for each manifest, before the first byte is written.
 * Pure; any thread.
 */
#include <stdlib.h>

#include "transfer/manifest.h"
#include "transfer/path.h"

typedef struct range {
    const bvi_target *target;
    uint32_t chunk;
} range;

typedef BVI_VEC(range) range_list;

static int compare_ranges(const void *left, const void *right)
{
    const range *a = left;
    const range *b = right;
    int order = bvi_target_path_compare(a->target->path, b->target->path);

    if (order != 0)
        return order;
    if (a->target->pos != b->target->pos)
        return a->target->pos < b->target->pos ? -1 : 1;
    return (a->target->size > b->target->size) - (a->target->size < b->target->size);
}

static int check_target(const bvi_target *target, bv_error **err)
{
    uint64_t end = 0;
    int r;

    r = bvi_target_path_check(target->path, err);
    if (r < 0)
        return r;
    if (__builtin_add_overflow(target->pos, target->size, &end) || end > BVI_FILE_BYTES_MAX)
        return bvi_fail(err, BV_E_LIMIT, "path '%s' ends beyond %llu bytes", target->path,
                        BVI_FILE_BYTES_MAX);
    return 0;
}

static int check_stored_size(const bvi_manifest *manifest, const bvi_chunk *chunk, bv_error **err)
{
    uint64_t plain = bvi_chunk_plain_bytes(chunk);

    if (chunk->size > BVI_FILE_BYTES_MAX || plain > BVI_FILE_BYTES_MAX)
        return bvi_fail(err, BV_E_LIMIT, "it is larger than %llu bytes", BVI_FILE_BYTES_MAX);
    if (chunk->size == 0 && plain > 0)
        return bvi_fail(err, BV_E_FORMAT, "it stores nothing but has destinations for %llu bytes",
                        (unsigned long long)plain);
    if (manifest->compression.kind == BVI_CODEC_STORED && chunk->size != plain)
        return bvi_fail(err, BV_E_FORMAT,
                        "it stores %llu bytes uncompressed but has destinations for %llu",
                        (unsigned long long)chunk->size, (unsigned long long)plain);
    return 0;
}

static int check_chunk(const bvi_manifest *manifest, const bvi_chunk *chunk, size_t position,
                       bv_error **err)
{
    int r;

    if (chunk->index != position)
        return bvi_fail(err, BV_E_FORMAT, "its index is %u", chunk->index);
    if (chunk->targets.len == 0)
        return bvi_fail(err, BV_E_FORMAT,
                        "corrupted manifest - expected at least one destination file in chunk");
    if (bvi_checksum_len(chunk->checksum.kind) == 0)
        return bvi_fail(err, BV_E_FORMAT, "missing checksum");
    for (size_t i = 0; i < chunk->targets.len; i++) {
        r = check_target(&chunk->targets.items[i], err);
        if (r < 0)
            return r;
    }
    return check_stored_size(manifest, chunk, err);
}

static int collect(const bvi_manifest *manifest, range_list *ranges, uint64_t *ret_sum,
                   bv_error **err)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < manifest->chunks.len; i++) {
        const bvi_chunk *chunk = &manifest->chunks.items[i];
        int r = check_chunk(manifest, chunk, i, err);

        if (r < 0)
            return bvi_wrap(err, r, "chunk %zu", i);
        if (__builtin_add_overflow(sum, bvi_chunk_plain_bytes(chunk), &sum))
            return bvi_fail(err, BV_E_LIMIT, "chunk %zu: the sum of all sizes overflows", i);
        for (size_t t = 0; t < chunk->targets.len; t++) {
            range *entry;

            if (ranges->len >= ranges->max)
                return bvi_fail(err, BV_E_LIMIT, "more than %u destinations", BVI_TARGETS_MAX);
            entry = bvi_vec_push(ranges);
            if (!entry)
                return bvi_fail_nomem(err);
            *entry = (range){ .target = &chunk->targets.items[t], .chunk = (uint32_t)i };
        }
    }
    *ret_sum = sum;
    return 0;
}

/* A range that does not begin where its file ends so far. */
static int misfit(const range *entry, const range *before, uint64_t end, bv_error **err)
{
    const bvi_target *t = entry->target;

    if (t->pos > end)
        return bvi_fail(err, BV_E_FORMAT,
                        "chunk %u: path '%s' has a gap: nothing fills bytes %llu to %llu",
                        entry->chunk, t->path, (unsigned long long)end, (unsigned long long)t->pos);
    return bvi_fail(err, BV_E_FORMAT, "chunk %u: path '%s' at %llu overlaps chunk %u", entry->chunk,
                    t->path, (unsigned long long)t->pos, before ? before->chunk : entry->chunk);
}

static int new_file(bvi_manifest *manifest, const range *entry, bv_error **err)
{
    const bvi_target *t = entry->target;
    bvi_manifest_file *file;

    if (manifest->files.len > 0) {
        const char *before = manifest->files.items[manifest->files.len - 1].path;

        if (bvi_target_path_is_below(t->path, before))
            return bvi_fail(err, BV_E_FORMAT, "chunk %u: path '%s' is below '%s', which is a file",
                            entry->chunk, t->path, before);
    }
    if (t->pos != 0)
        return misfit(entry, NULL, 0, err);
    file = bvi_vec_push(&manifest->files);
    if (!file)
        return bvi_fail_nomem(err);
    *file = (bvi_manifest_file){ .path = t->path, .size = t->size };
    return 0;
}

static int add_range(bvi_manifest *manifest, const range *entry, const range *before,
                     bv_error **err)
{
    const bvi_target *t = entry->target;
    bvi_manifest_file *file;

    if (!before || bvi_target_path_compare(before->target->path, t->path) != 0)
        return new_file(manifest, entry, err);
    file = &manifest->files.items[manifest->files.len - 1];
    if (t->pos != file->size || (t->size == 0 && before->target->size == 0))
        return misfit(entry, before, file->size, err);
    file->size += t->size;
    return 0;
}

int bvi_manifest_check(bvi_manifest *manifest, bv_error **err)
{
    range_list ranges = BVI_VEC_INIT(BVI_TARGETS_MAX);
    uint64_t sum = 0;
    int r;

    bvi_vec_done(&manifest->files);
    r = collect(manifest, &ranges, &sum, err);
    if (r == 0 && ranges.len > 0)
        qsort(ranges.items, ranges.len, sizeof(*ranges.items), compare_ranges);
    for (size_t i = 0; r == 0 && i < ranges.len; i++)
        r = add_range(manifest, &ranges.items[i], i > 0 ? &ranges.items[i - 1] : NULL, err);
    if (r == 0 && sum != manifest->total_size)
        r = bvi_fail(err, BV_E_FORMAT, "destinations hold %llu bytes, but total_size is %llu",
                     (unsigned long long)sum, (unsigned long long)manifest->total_size);
    bvi_vec_done(&ranges);
    if (r < 0)
        bvi_vec_done(&manifest->files);
    return r < 0 ? bvi_wrap(err, r, "invalid manifest") : 0;
}
