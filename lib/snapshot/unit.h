/*
 * unit.h - a stretch of a snapshot that is worked on as one: some entries, and the chunks that hold
 * their data. The planner makes units in the order of the walk, runners fill in the data of those
 * that have to be read, and the manifest is written from them in their order.
 */
#ifndef BVI_SNAPSHOT_UNIT_H
#define BVI_SNAPSHOT_UNIT_H

#include "snapshot/page_stream.h"
#include "snapshot/tree_walk.h"

typedef enum bvi_unit_kind {
    BVI_UNIT_READY,  /* all is known */
    BVI_UNIT_BUNDLE, /* small files, read into one chunk */
    BVI_UNIT_FILE,   /* one large file, or a stretch of it */
} bvi_unit_kind;

/* An entry; its strings are in the unit's text. */
typedef struct bvi_unit_item {
    bvi_snap_kind kind;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint32_t mtime_ns;
    int64_t mtime_s;
    uint64_t size;
    uint64_t allocated;
    bvi_file_stamp stamp;
    uint32_t path_at;
    uint32_t target_at; /* links */
    uint32_t xattrs_at; /* names and values, each behind its length */
    uint32_t n_xattrs;
    uint32_t first_extent;
    uint32_t n_extents;
} bvi_unit_item;

/* Text of one unit: a bundle's entries fit in a page, a single entry may be larger than most. */
#define BVI_UNIT_TEXT_MAX  (4u * BVI_SNAP_PAGE_MAX)
#define BVI_UNIT_ITEMS_MAX 65536u

typedef struct bvi_unit bvi_unit;

struct bvi_unit {
    bvi_unit *next;
    bvi_unit_kind kind;
    bool large;     /* its only item is a file with chunks of its own */
    bool continues; /* and the unit before is part of that, too */
    bool done;      /* its chunks are all named */
    uint64_t from;  /* FILE: the stretch */
    uint64_t to;
    uint64_t data_bytes; /* of the files, holes included: for bundles and progress */
    size_t room;         /* bytes its entries may take in a page */
    size_t counted;      /* its memory, as the list it is in has it */
    bvi_buf text;
    BVI_VEC(bvi_unit_item) items;
    BVI_VEC(bvi_snap_extent) extents;
    bvi_snap_refs chunks;
};

int bvi_snap_unit_new(bvi_unit_kind kind, bvi_unit **ret_unit, bv_error **err);
void bvi_unit_free(bvi_unit *unit);
BVI_DEFINE_FREEP(bvi_unit, bvi_unit_free)
size_t bvi_unit_memory(const bvi_unit *unit);

int bvi_unit_add(bvi_unit *unit, const bvi_tree_item *item, bv_error **err);
/* To an item, none behind which has any. What touches the extent before becomes part of it. */
int bvi_unit_add_extent(bvi_unit *unit, size_t item, uint64_t pos, uint64_t len, bv_error **err);
int bvi_unit_add_chunk(bvi_unit *unit, const bvi_hash256 *hash, uint32_t plain, bv_error **err);
/* A unit for the stretch of this one's file. */
int bvi_unit_stretch(const bvi_unit *unit, uint64_t from, uint64_t to, bvi_unit **ret_stretch,
                     bv_error **err);

static inline const char *bvi_unit_path(const bvi_unit *unit, size_t item)
{
    return unit->text.data + unit->items.items[item].path_at;
}
/* The item as an entry without extents; xattrs has room for BVI_SNAP_XATTRS_MAX. Borrowed. */
void bvi_unit_entry(const bvi_unit *unit, size_t item, bvi_snap_xattr *xattrs,
                    bvi_snap_entry *ret_entry);

/* A queue of units. */
typedef struct bvi_unit_list {
    bvi_unit *head;
    bvi_unit *tail;
    size_t len;
    size_t memory;
} bvi_unit_list;

void bvi_unit_push(bvi_unit_list *list, bvi_unit *unit);
bvi_unit *bvi_unit_pop(bvi_unit_list *list);
void bvi_unit_recount(bvi_unit_list *list, bvi_unit *unit); /* it is in the list, and has grown */
void bvi_unit_list_done(bvi_unit_list *list);

#endif
