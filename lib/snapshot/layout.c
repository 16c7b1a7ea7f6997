/*
 * layout.c - see layout.h.
 */
#include <string.h>

#include "snapshot/layout.h"

/* What a page of 1 MiB has at most: an entry takes twelve bytes, an extent two, a chunk 37. */
#define ITEMS_MAX   (BVI_SNAP_PAGE_MAX / 6)
#define EXTENTS_MAX (BVI_SNAP_PAGE_MAX / 2)
#define CHUNKS_MAX  (BVI_SNAP_PAGE_MAX / 32)

void bvi_layout_free(bvi_layout *plan)
{
    if (!plan)
        return;
    bvi_buf_done(&plan->names);
    bvi_vec_done(&plan->items);
    bvi_vec_done(&plan->extents);
    bvi_vec_done(&plan->chunks);
    bvi_free(plan);
}

void bvi_layout_path(const bvi_layout *plan, const bvi_layout_item *item, char *path)
{
    const char *dir = bvi_layout_text(plan, item->dir);
    const char *name = bvi_layout_text(plan, item->name);
    size_t dir_len = strlen(dir);

    memcpy(path, dir, dir_len);
    if (dir_len > 0)
        path[dir_len++] = '/';
    memcpy(path + dir_len, name, strlen(name) + 1);
}

/* ---- names ---- */

static int add_text(bvi_layout *plan, const char *text, size_t len, uint32_t *ret_at,
                    bv_error **err)
{
    size_t at = plan->names.len;
    int r = bvi_buf_append(&plan->names, text, len);

    if (r == 0)
        r = bvi_buf_append_char(&plan->names, '\0');
    if (r < 0)
        return bvi_fail(err, r, "the names of page %u take up too much", plan->page);
    *ret_at = (uint32_t)at;
    return 0;
}

/* The parent of the item before is mostly this one's as well. */
static int add_dir(bvi_layout *plan, const char *path, size_t len, uint32_t *ret_at, bv_error **err)
{
    if (plan->items.len > 1) {
        uint32_t before = plan->items.items[plan->items.len - 2].dir;
        const char *dir = bvi_layout_text(plan, before);

        if (strncmp(dir, path, len) == 0 && dir[len] == '\0') {
            *ret_at = before;
            return 0;
        }
    }
    return add_text(plan, path, len, ret_at, err);
}

static int add_names(bvi_layout *plan, bvi_layout_item *item, const bvi_snap_entry *e,
                     bv_error **err)
{
    const char *slash = strrchr(e->path, '/');
    const char *name = slash ? slash + 1 : e->path;
    int r = add_dir(plan, e->path, slash ? (size_t)(slash - e->path) : 0, &item->dir, err);

    if (r == 0)
        r = add_text(plan, name, strlen(name), &item->name, err);
    if (r == 0 && e->target)
        r = add_text(plan, e->target, strlen(e->target), &item->target, err);
    return r;
}

/* ---- recipes: what a file's part of this page is made of ---- */

static void hash_number(bvi_blake3 *h, uint64_t value)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    bvi_blake3_update(h, bytes, sizeof(bytes));
}

static void hash_meta(const bvi_snap_entry *e, uint8_t recipe[BVI_RECIPE_SIZE])
{
    uint8_t digest[BVI_BLAKE3_SIZE];
    bvi_blake3 h;

    bvi_blake3_init(&h);
    hash_number(&h, e->kind);
    hash_number(&h, e->mode);
    hash_number(&h, e->uid);
    hash_number(&h, e->gid);
    hash_number(&h, (uint64_t)e->mtime_s);
    hash_number(&h, e->mtime_ns);
    hash_number(&h, e->size);
    for (size_t i = 0; i < e->n_xattrs; i++) {
        bvi_blake3_update(&h, e->xattrs[i].name, strlen(e->xattrs[i].name) + 1);
        hash_number(&h, e->xattrs[i].value_len);
        bvi_blake3_update(&h, e->xattrs[i].value, e->xattrs[i].value_len);
    }
    bvi_blake3_final(&h, digest);
    memcpy(recipe, digest, BVI_RECIPE_SIZE);
}

/* Follows the pieces of all chunks, which come file by file. */
static void hash_pieces(bvi_layout *plan)
{
    bvi_layout_item *item = NULL;
    uint8_t digest[BVI_BLAKE3_SIZE];
    bvi_blake3 h;

    for (uint32_t c = 0; c < plan->chunks.len; c++) {
        bvi_layout_pieces it;

        bvi_layout_pieces_init(&it, plan, c);
        while (bvi_layout_pieces_next(&it)) {
            if (it.item != item) {
                if (item) {
                    bvi_blake3_final(&h, digest);
                    memcpy(item->recipe, digest, BVI_RECIPE_SIZE);
                }
                item = &plan->items.items[it.item - plan->items.items];
                bvi_blake3_init(&h);
                bvi_blake3_update(&h, item->recipe, BVI_RECIPE_SIZE);
            }
            bvi_blake3_update(&h, plan->chunks.items[c].frame.hash.bytes, BVI_BLAKE3_SIZE);
            hash_number(&h, it.at);
            hash_number(&h, it.pos);
            hash_number(&h, it.len);
        }
    }
    if (item) {
        bvi_blake3_final(&h, digest);
        memcpy(item->recipe, digest, BVI_RECIPE_SIZE);
    }
}

/* ---- entries and chunks ---- */

static int add_item(bvi_layout *plan, const bvi_snap_entry *e, bv_error **err)
{
    bvi_layout_item *item = bvi_vec_push(&plan->items);
    int r;

    if (!item)
        return bvi_fail_nomem(err);
    item->kind = (uint8_t)e->kind;
    item->mode = e->mode;
    item->uid = e->uid;
    item->gid = e->gid;
    item->mtime_s = e->mtime_s;
    item->mtime_ns = e->mtime_ns;
    item->size = e->size;
    item->first_extent = (uint32_t)plan->extents.len;
    item->n_extents = (uint32_t)e->n_extents;
    hash_meta(e, item->recipe);
    r = add_names(plan, item, e, err);
    for (size_t i = 0; r == 0 && i < e->n_extents; i++) {
        bvi_layout_extent *extent = bvi_vec_push(&plan->extents);

        if (!extent)
            return bvi_fail_nomem(err);
        *extent = (bvi_layout_extent){ .item = (uint32_t)plan->items.len - 1,
                                       .pos = e->extents[i].pos,
                                       .len = e->extents[i].len };
    }
    return r;
}

static int add_entries(bvi_layout *plan, const bvi_page *page, bvi_walk_check *walk, bv_error **err)
{
    bvi_page_entries *it = bvi_new0(bvi_page_entries);
    int r;

    if (!it)
        return bvi_fail_nomem(err);
    bvi_page_entries_init(it, page, plan->end_pos);
    while ((r = bvi_page_entries_next(it, err)) > 0) {
        r = bvi_walk_check_entry(walk, &it->entry, err);
        if (r == 0)
            r = add_item(plan, &it->entry, err);
        if (r < 0)
            break;
    }
    bvi_page_entries_done(it);
    bvi_free(it);
    return r;
}

/* Chunks and extents are the same bytes, so each chunk begins where the one before ended. */
static int add_chunks(bvi_layout *plan, const bvi_page *page, bv_error **err)
{
    bvi_page_chunks it;
    bvi_snap_frame frame;
    uint32_t extent = 0;
    uint64_t skip = 0;

    bvi_page_chunks_init(&it, page);
    while (bvi_page_chunks_next(&it, &frame)) {
        bvi_layout_chunk *chunk = bvi_vec_push(&plan->chunks);
        uint64_t left = frame.plain;

        if (!chunk)
            return bvi_fail_nomem(err);
        *chunk = (bvi_layout_chunk){ .frame = frame, .extent = extent, .skip = skip, .wanted = 1 };
        while (left > 0 && extent < plan->extents.len) {
            uint64_t room = plan->extents.items[extent].len - skip;

            if (left < room) {
                skip += left;
                break;
            }
            left -= room;
            extent++;
            skip = 0;
        }
    }
    return 0;
}

/* Whole: nothing of it in another chunk; the last entry may go on in the next page. */
static void mark_whole(bvi_layout *plan)
{
    for (uint32_t c = 0; c < plan->chunks.len; c++) {
        const bvi_layout_chunk *chunk = &plan->chunks.items[c];
        bvi_layout_pieces it;

        bvi_layout_pieces_init(&it, plan, c);
        while (bvi_layout_pieces_next(&it)) {
            bvi_layout_item *item = &plan->items.items[it.item - plan->items.items];
            const bvi_layout_extent *last =
                &plan->extents.items[item->first_extent + item->n_extents - 1];

            /* Its first byte is in this chunk, and its last one was just seen. */
            if (item->kind == BVI_SNAP_FILE && it.pos + it.len == last->pos + last->len &&
                (chunk->extent < item->first_extent ||
                 (chunk->extent == item->first_extent && chunk->skip == 0)) &&
                item != &plan->items.items[plan->items.len - 1])
                item->flags |= BVI_LAYOUT_WHOLE;
        }
    }
}

int bvi_layout_new(const bvi_page *page, uint32_t index, bvi_walk_check *walk,
                   bvi_layout **ret_plan, bv_error **err)
{
    BVI_AUTO(bvi_layout_freep) bvi_layout *plan = bvi_new0(bvi_layout);
    int r;

    if (!plan)
        return bvi_fail_nomem(err);
    plan->page = index;
    plan->first_chunk = walk->chunks;
    plan->end_pos = walk->end_pos;
    plan->names.max = BVI_LAYOUT_NAMES_MAX;
    plan->items.max = ITEMS_MAX;
    plan->extents.max = EXTENTS_MAX;
    plan->chunks.max = CHUNKS_MAX;
    r = add_entries(plan, page, walk, err);
    if (r == 0)
        r = add_chunks(plan, page, err);
    if (r < 0)
        return r;
    mark_whole(plan);
    hash_pieces(plan);
    *ret_plan = bvi_take(plan);
    return 0;
}

/* ---- pieces ---- */

void bvi_layout_pieces_init(bvi_layout_pieces *it, const bvi_layout *plan, uint32_t chunk)
{
    const bvi_layout_chunk *c = &plan->chunks.items[chunk];

    *it = (bvi_layout_pieces){
        .plan = plan, .extent = c->extent, .skip = c->skip, .left = c->frame.plain
    };
}

bool bvi_layout_pieces_next(bvi_layout_pieces *it)
{
    const bvi_layout_extent *extent;
    uint64_t room;

    it->at += it->len;
    if (it->left == 0 || it->extent >= it->plan->extents.len)
        return false;
    extent = &it->plan->extents.items[it->extent];
    room = extent->len - it->skip;
    it->item = &it->plan->items.items[extent->item];
    it->pos = extent->pos + it->skip;
    it->len = room < it->left ? (uint32_t)room : it->left;
    it->left -= it->len;
    it->skip += it->len;
    if (it->skip == extent->len) {
        it->extent++;
        it->skip = 0;
    }
    return true;
}

void bvi_layout_chunk_path(const bvi_layout *plan, uint32_t chunk, char *path)
{
    bvi_layout_pieces it;

    bvi_layout_pieces_init(&it, plan, chunk);
    path[0] = '\0';
    if (bvi_layout_pieces_next(&it))
        bvi_layout_path(plan, it.item, path);
}
