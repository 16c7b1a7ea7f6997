/*
 * unit.c - see unit.h.
 */
#include <string.h>

#include "snapshot/page.h"
#include "snapshot/unit.h"

int bvi_snap_unit_new(bvi_unit_kind kind, bvi_unit **ret_unit, bv_error **err)
{
    bvi_unit *unit = bvi_new0(bvi_unit);

    if (!unit)
        return bvi_fail_nomem(err);
    unit->kind = kind;
    unit->done = kind == BVI_UNIT_READY;
    bvi_buf_init(&unit->text, BVI_UNIT_TEXT_MAX);
    unit->items.max = BVI_UNIT_ITEMS_MAX;
    unit->extents.max = BVI_SNAP_PAGE_MAX;
    unit->chunks.max = 2 * BVI_SNAP_PAGE_CHUNKS;
    *ret_unit = unit;
    return 0;
}

void bvi_unit_free(bvi_unit *unit)
{
    if (!unit)
        return;
    bvi_buf_done(&unit->text);
    bvi_vec_done(&unit->items);
    bvi_vec_done(&unit->extents);
    bvi_vec_done(&unit->chunks);
    bvi_free(unit);
}

size_t bvi_unit_memory(const bvi_unit *unit)
{
    return sizeof(*unit) + unit->text.cap + unit->items.cap * sizeof(*unit->items.items) +
           unit->extents.cap * sizeof(*unit->extents.items) +
           unit->chunks.cap * sizeof(*unit->chunks.items);
}

/* ---- strings ---- */

static int put_bytes(bvi_buf *text, const void *bytes, size_t len)
{
    const uint32_t length = (uint32_t)len;
    int r = bvi_buf_append(text, &length, sizeof(length));

    return r < 0 ? r : bvi_buf_append(text, bytes, len);
}

static int put_xattrs(bvi_unit *unit, const bvi_snap_entry *entry)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < entry->n_xattrs; i++) {
        const bvi_snap_xattr *x = &entry->xattrs[i];

        r = put_bytes(&unit->text, x->name, strlen(x->name) + 1);
        if (r == 0)
            r = put_bytes(&unit->text, x->value, x->value_len);
    }
    return r;
}

static const uint8_t *get_bytes(const uint8_t *at, const uint8_t **ret_bytes, size_t *ret_len)
{
    uint32_t length;

    memcpy(&length, at, sizeof(length));
    *ret_bytes = at + sizeof(length);
    *ret_len = length;
    return at + sizeof(length) + length;
}

/* ---- items ---- */

int bvi_unit_add(bvi_unit *unit, const bvi_tree_item *from, bv_error **err)
{
    const bvi_snap_entry *entry = &from->entry;
    bvi_unit_item *item = bvi_vec_push(&unit->items);
    int r;

    if (!item)
        return bvi_fail_nomem(err);
    *item = (bvi_unit_item){
        .kind = entry->kind,
        .mode = entry->mode,
        .uid = entry->uid,
        .gid = entry->gid,
        .mtime_s = entry->mtime_s,
        .mtime_ns = entry->mtime_ns,
        .size = entry->size,
        .allocated = from->allocated,
        .stamp = from->stamp,
        .path_at = (uint32_t)unit->text.len,
        .n_xattrs = (uint32_t)entry->n_xattrs,
        .first_extent = (uint32_t)unit->extents.len,
    };
    r = bvi_buf_append(&unit->text, entry->path, strlen(entry->path) + 1);
    item->target_at = (uint32_t)unit->text.len;
    if (r == 0 && entry->target)
        r = bvi_buf_append(&unit->text, entry->target, strlen(entry->target) + 1);
    item->xattrs_at = (uint32_t)unit->text.len;
    if (r == 0)
        r = put_xattrs(unit, entry);
    unit->data_bytes += entry->size;
    unit->room += bvi_page_entry_room(entry) + BVI_PAGE_EXTENT_ROOM;
    return r < 0 ? bvi_fail(err, r, "cannot keep what is known of '%s'", entry->path) : 0;
}

int bvi_unit_add_extent(bvi_unit *unit, size_t index, uint64_t pos, uint64_t len, bv_error **err)
{
    bvi_unit_item *item = &unit->items.items[index];
    bvi_snap_extent *last =
        item->n_extents > 0 ? &unit->extents.items[unit->extents.len - 1] : NULL;

    if (last && last->pos + last->len == pos) {
        last->len += len;
        return 0;
    }
    if (item->n_extents == 0)
        item->first_extent = (uint32_t)unit->extents.len;
    last = bvi_vec_push(&unit->extents);
    if (!last)
        return bvi_fail_nomem(err);
    *last = (bvi_snap_extent){ .pos = pos, .len = len };
    item->n_extents++;
    return 0;
}

int bvi_unit_add_chunk(bvi_unit *unit, const bvi_hash256 *hash, uint32_t plain, bv_error **err)
{
    bvi_snap_ref *ref = bvi_vec_push(&unit->chunks);

    if (!ref)
        return bvi_fail_nomem(err);
    *ref = (bvi_snap_ref){ .hash = *hash, .plain = plain };
    return 0;
}

int bvi_unit_stretch(const bvi_unit *unit, uint64_t from, uint64_t to, bvi_unit **ret_stretch,
                     bv_error **err)
{
    BVI_AUTO(bvi_unit_freep) bvi_unit *stretch = NULL;
    bvi_unit_item *item;
    int r = bvi_snap_unit_new(BVI_UNIT_FILE, &stretch, err);

    if (r < 0)
        return r;
    item = bvi_vec_push(&stretch->items);
    if (!item || bvi_buf_append(&stretch->text, unit->text.data, unit->text.len) < 0)
        return bvi_fail_nomem(err);
    *item = unit->items.items[0];
    stretch->room = unit->room;
    stretch->large = true;
    stretch->continues = from > 0;
    stretch->from = from;
    stretch->to = to;
    stretch->data_bytes = to - from;
    *ret_stretch = bvi_take(stretch);
    return 0;
}

void bvi_unit_entry(const bvi_unit *unit, size_t index, bvi_snap_xattr *xattrs,
                    bvi_snap_entry *ret_entry)
{
    const bvi_unit_item *item = &unit->items.items[index];
    const uint8_t *at = (const uint8_t *)unit->text.data + item->xattrs_at;
    const bool is_link = item->kind == BVI_SNAP_SYMLINK || item->kind == BVI_SNAP_HARDLINK;

    for (uint32_t i = 0; i < item->n_xattrs; i++) {
        const uint8_t *name;
        size_t len;

        at = get_bytes(at, &name, &len);
        xattrs[i].name = (const char *)name;
        at = get_bytes(at, &xattrs[i].value, &xattrs[i].value_len);
    }
    *ret_entry = (bvi_snap_entry){
        .kind = item->kind,
        .path = unit->text.data + item->path_at,
        .mode = item->mode,
        .uid = item->uid,
        .gid = item->gid,
        .mtime_s = item->mtime_s,
        .mtime_ns = item->mtime_ns,
        .size = item->size,
        .target = is_link ? unit->text.data + item->target_at : NULL,
        .xattrs = xattrs,
        .n_xattrs = item->n_xattrs,
    };
}

/* ---- lists ---- */

void bvi_unit_push(bvi_unit_list *list, bvi_unit *unit)
{
    unit->next = NULL;
    if (list->tail)
        list->tail->next = unit;
    else
        list->head = unit;
    list->tail = unit;
    list->len++;
    unit->counted = bvi_unit_memory(unit);
    list->memory += unit->counted;
}

bvi_unit *bvi_unit_pop(bvi_unit_list *list)
{
    bvi_unit *unit = list->head;

    if (!unit)
        return NULL;
    list->head = unit->next;
    if (!list->head)
        list->tail = NULL;
    list->len--;
    list->memory -= unit->counted;
    unit->next = NULL;
    return unit;
}

void bvi_unit_recount(bvi_unit_list *list, bvi_unit *unit)
{
    list->memory -= unit->counted;
    unit->counted = bvi_unit_memory(unit);
    list->memory += unit->counted;
}

void bvi_unit_list_done(bvi_unit_list *list)
{
    bvi_unit *unit;

    while ((unit = bvi_unit_pop(list)))
        bvi_unit_free(unit);
}
