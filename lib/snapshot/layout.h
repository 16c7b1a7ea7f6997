/*
 * layout.h - one page laid out for work: its entries, where each chunk's bytes go, and a name for
 * the content of each file by which an unchanged one is known again.
 *
 * Made from a checked page, without I/O; then only read, so any number of workers may look at it.
 * Its memory is bounded by what a page of 1 MiB can say.
 */
#ifndef BVI_SNAPSHOT_LAYOUT_H
#define BVI_SNAPSHOT_LAYOUT_H

#include "snapshot/page.h"
#include "snapshot/walk_check.h"

#define BVI_LAYOUT_NAMES_MAX                                                                       \
    (32u * 1024u * 1024u) /* bytes of all names and directories of a page                          \
                           */
#define BVI_RECIPE_SIZE 16u

enum {
    BVI_LAYOUT_UNWANTED = 1u << 0, /* not included, or protected */
    BVI_LAYOUT_EXISTS = 1u << 1,   /* something of it was there before */
    BVI_LAYOUT_WHOLE = 1u << 2,    /* all its bytes are in one chunk of this page */
    BVI_LAYOUT_STAMPED = 1u << 3,  /* untouched since it was installed with this content */
    BVI_LAYOUT_OTHER = 1u << 4,    /* comparing: what is there is something else */
};

typedef struct bvi_layout_item {
    uint8_t kind; /* bvi_snap_kind */
    uint8_t flags;
    uint32_t dir;    /* its parent's path, in names */
    uint32_t name;   /* its own, in names; "" for the snapshot's directory */
    uint32_t target; /* links: in names */
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint32_t mtime_ns;
    int64_t mtime_s;
    uint64_t size;
    uint64_t local_size; /* of what exists */
    uint32_t first_extent;
    uint32_t n_extents;
    uint8_t recipe[BVI_RECIPE_SIZE];
} bvi_layout_item;

typedef struct bvi_layout_extent {
    uint32_t item;
    uint64_t pos;
    uint64_t len;
} bvi_layout_extent;

typedef enum bvi_layout_state {
    BVI_LAYOUT_FETCH, /* its bytes are needed from the store */
    BVI_LAYOUT_LOOK,  /* they may be here already */
    BVI_LAYOUT_DONE,
} bvi_layout_state;

typedef struct bvi_layout_chunk {
    bvi_snap_frame frame;
    uint32_t extent; /* its first byte goes there, */
    uint64_t skip;   /* so far behind the extent's beginning */
    uint8_t state;   /* bvi_layout_state; the loop's alone */
    uint8_t local;   /* LOOK: all its files exist and are long enough */
    uint8_t wanted;
    uint8_t partly; /* some of its files are unwanted */
} bvi_layout_chunk;

typedef struct bvi_layout {
    uint32_t page;
    uint64_t first_chunk; /* of the snapshot: the number of this page's first one */
    uint64_t end_pos;     /* of the file that the page before ended with */
    bvi_buf names;
    BVI_VEC(bvi_layout_item) items;
    BVI_VEC(bvi_layout_extent) extents;
    BVI_VEC(bvi_layout_chunk) chunks;
} bvi_layout;

/* The entries are fed to `walk` on the way. */
int bvi_layout_new(const bvi_page *page, uint32_t index, bvi_walk_check *walk,
                   bvi_layout **ret_plan, bv_error **err);
void bvi_layout_free(bvi_layout *plan);
BVI_DEFINE_FREEP(bvi_layout, bvi_layout_free)

static inline const char *bvi_layout_text(const bvi_layout *plan, uint32_t at)
{
    return plan->names.data + at;
}
/* Writes the item's whole path; `path` has BVI_SNAP_PATH_MAX + 1 bytes. */
void bvi_layout_path(const bvi_layout *plan, const bvi_layout_item *item, char *path);
/* The first file a chunk belongs to, for messages. */
void bvi_layout_chunk_path(const bvi_layout *plan, uint32_t chunk, char *path);

/* The pieces of a chunk, in its order: where its bytes go. */
typedef struct bvi_layout_pieces {
    const bvi_layout *plan;
    uint32_t extent;
    uint64_t skip;
    uint32_t left; /* bytes of the chunk */
    /* the piece: */
    const bvi_layout_item *item;
    uint64_t pos; /* in the file */
    uint32_t len;
    uint32_t at; /* in the chunk */
} bvi_layout_pieces;

void bvi_layout_pieces_init(bvi_layout_pieces *it, const bvi_layout *plan, uint32_t chunk);
bool bvi_layout_pieces_next(bvi_layout_pieces *it);

#endif
