/*
 * walk_check.c - see walk_check.h.
 */
#include <stdlib.h>
#include <string.h>

#include "snapshot/page.h"
#include "snapshot/walk_check.h"

void bvi_walk_check_init(bvi_walk_check *walk)
{
    *walk = (bvi_walk_check){ .links = BVI_VEC_INIT(BVI_WALK_LINKS_MAX) };
}

void bvi_walk_check_done(bvi_walk_check *walk)
{
    bvi_vec_done(&walk->links);
}

/* ---- hard links ---- */

static int compare_links(const void *a, const void *b)
{
    return memcmp(((const bvi_walk_link *)a)->id, ((const bvi_walk_link *)b)->id,
                  sizeof(((const bvi_walk_link *)a)->id));
}

static bvi_walk_link link_of(const char *path)
{
    uint8_t digest[BVI_BLAKE3_SIZE];
    bvi_walk_link link = { .found = false };

    bvi_blake3_hash(path, strlen(path), digest);
    memcpy(link.id, digest, sizeof(link.id));
    return link;
}

static bvi_walk_link *find_link(bvi_walk_check *walk, const char *path)
{
    const bvi_walk_link link = link_of(path);

    if (walk->links.len == 0)
        return NULL;
    return bsearch(&link, walk->links.items, walk->links.len, sizeof(link), compare_links);
}

void bvi_walk_check_again(bvi_walk_check *walk)
{
    size_t kept = 0;

    if (walk->links.len > 0)
        qsort(walk->links.items, walk->links.len, sizeof(*walk->links.items), compare_links);
    for (size_t i = 0; i < walk->links.len; i++) {
        if (kept == 0 || compare_links(&walk->links.items[i], &walk->links.items[kept - 1]) != 0)
            walk->links.items[kept++] = walk->links.items[i];
    }
    walk->links.len = kept;
    walk->second = true;
    walk->any = false;
    walk->entries = walk->files = walk->chunks = walk->bytes = 0;
}

static int check_link(bvi_walk_check *walk, const bvi_snap_entry *entry, bv_error **err)
{
    bvi_walk_link *link;

    if (bvi_snap_path_compare(entry->target, entry->path) >= 0)
        return bvi_fail(err, BV_E_FORMAT, "the hard link '%s' leads to '%s', which is not earlier",
                        entry->path, entry->target);
    if (walk->second) {
        link = find_link(walk, entry->target);
        return link && link->found
                   ? 0
                   : bvi_fail(err, BV_E_FORMAT,
                              "the hard link '%s' leads to '%s', which is no file of the snapshot",
                              entry->path, entry->target);
    }
    link = bvi_vec_push(&walk->links);
    if (!link)
        return bvi_fail(err, walk->links.len < walk->links.max ? BV_E_NOMEM : BV_E_LIMIT,
                        "cannot remember the hard link '%s'", entry->path);
    *link = link_of(entry->target);
    return 0;
}

/* ---- order ---- */

static bool is_file(bvi_snap_kind kind)
{
    return kind == BVI_SNAP_FILE || kind == BVI_SNAP_CONTINUED;
}

static int check_continued(bvi_walk_check *walk, const bvi_snap_entry *entry, bv_error **err)
{
    if (!walk->any || !is_file(walk->last_kind) || strcmp(walk->last, entry->path) != 0)
        return bvi_fail(err, BV_E_FORMAT, "'%s' goes on where it did not begin", entry->path);
    if (entry->size != walk->size)
        return bvi_fail(err, BV_E_FORMAT, "'%s' changes its size from page to page", entry->path);
    return 0;
}

static int check_first(const bvi_snap_entry *entry, bv_error **err)
{
    if (entry->kind != BVI_SNAP_DIR || entry->path[0])
        return bvi_fail(err, BV_E_FORMAT, "the snapshot begins with '%s', not with its directory",
                        entry->path);
    return 0;
}

static int check_order(bvi_walk_check *walk, const bvi_snap_entry *entry, bv_error **err)
{
    if (!walk->any)
        return check_first(entry, err);
    if (bvi_snap_path_compare(walk->last, entry->path) >= 0)
        return bvi_fail(err, BV_E_FORMAT, "'%s' does not stand where it belongs, behind '%s'",
                        entry->path, walk->last);
    if (!bvi_snap_path_follows(walk->last, walk->last_kind, entry->path))
        return bvi_fail(err, BV_E_FORMAT, "'%s' is in a directory that the snapshot does not have",
                        entry->path);
    return 0;
}

static void take_file(bvi_walk_check *walk, const bvi_snap_entry *entry)
{
    bvi_walk_link *link = walk->second ? find_link(walk, entry->path) : NULL;

    if (link)
        link->found = true;
    walk->files++;
    walk->size = entry->size;
    walk->end_pos = 0;
}

int bvi_walk_check_entry(bvi_walk_check *walk, const bvi_snap_entry *entry, bv_error **err)
{
    int r = 0;

    if (!walk->loose)
        r = entry->kind == BVI_SNAP_CONTINUED ? check_continued(walk, entry, err)
                                              : check_order(walk, entry, err);
    if (r == 0 && !walk->loose && entry->kind == BVI_SNAP_HARDLINK)
        r = check_link(walk, entry, err);
    if (r < 0)
        return r;
    if (entry->kind == BVI_SNAP_FILE)
        take_file(walk, entry);
    walk->any = true;
    walk->last_kind = entry->kind;
    if (entry->n_extents > 0)
        walk->end_pos =
            entry->extents[entry->n_extents - 1].pos + entry->extents[entry->n_extents - 1].len;
    walk->entries += entry->kind != BVI_SNAP_CONTINUED;
    (void)memcpy(walk->last, entry->path, strlen(entry->path) + 1);
    return 0;
}

int bvi_walk_check_page(bvi_walk_check *walk, const bvi_snap_page_ref *ref, uint32_t n_entries,
                        uint32_t n_chunks, uint64_t bytes, bv_error **err)
{
    if (ref->entries != n_entries || ref->chunks != n_chunks || ref->bytes != bytes)
        return bvi_fail(
            err, BV_E_FORMAT,
            "a page has %u entries, %u chunks and %llu bytes instead of %u, %u and %llu", n_entries,
            n_chunks, (unsigned long long)bytes, ref->entries, ref->chunks,
            (unsigned long long)ref->bytes);
    walk->chunks += n_chunks;
    walk->bytes += bytes;
    return 0;
}

int bvi_walk_check_end(const bvi_walk_check *walk, const bvi_snap_root *root, bv_error **err)
{
    if (!walk->any)
        return bvi_fail(err, BV_E_FORMAT, "the snapshot has no entries");
    if (walk->files != root->files || walk->chunks != root->chunks ||
        walk->bytes != root->plain_bytes)
        return bvi_fail(
            err, BV_E_FORMAT,
            "the pages have %llu files, %llu chunks and %llu bytes, the root says %llu, "
            "%llu and %llu",
            (unsigned long long)walk->files, (unsigned long long)walk->chunks,
            (unsigned long long)walk->bytes, (unsigned long long)root->files,
            (unsigned long long)root->chunks, (unsigned long long)root->plain_bytes);
    return 0;
}
