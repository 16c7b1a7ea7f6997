/*
 * plan.h - one page laid out for work: its entries, where each chunk's bytes go, and a name for the
 * content of each file by which an unchanged one is known again.
 *
 * Made from a checked page, without I/O; then only read, so any number of workers may look at it.
 * Its memory is bounded by what a page of 1 MiB can say.
 */
#ifndef BVI_SNAPSHOT_PLAN_H
#define BVI_SNAPSHOT_PLAN_H

#include "snapshot/page.h"
#include "snapshot/walk_check.h"

#define BVI_PLAN_NAMES_MAX (32u * 1024u * 1024u) /* bytes of all names and directories of a page   \
                                                  */
#define BVI_RECIPE_SIZE 16u

enum {
    BVI_PLAN_UNWANTED = 1u << 0, /* not included, or protected */
    BVI_PLAN_EXISTS = 1u << 1,   /* something of it was there before */
    BVI_PLAN_WHOLE = 1u << 2,    /* all its bytes are in one chunk of this page */
    BVI_PLAN_STAMPED = 1u << 3,  /* untouched since it was installed with this content */
    BVI_PLAN_OTHER = 1u << 4,    /* comparing: what is there is something else */
};

typedef struct bvi_plan_item {
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
} bvi_plan_item;

typedef struct bvi_plan_extent {
    uint32_t item;
    uint64_t pos;
    uint64_t len;
} bvi_plan_extent;

typedef enum bvi_plan_state {
    BVI_PLAN_FETCH, /* its bytes are needed from the store */
    BVI_PLAN_LOOK,  /* they may be here already */
    BVI_PLAN_DONE,
} bvi_plan_state;

typedef struct bvi_plan_chunk {
    bvi_snap_frame frame;
    uint32_t extent; /* its first byte goes there, */
    uint64_t skip;   /* so far behind the extent's beginning */
    uint8_t state;   /* bvi_plan_state; the loop's alone */
    uint8_t local;   /* LOOK: all its files exist and are long enough */
    uint8_t wanted;
    uint8_t partly; /* some of its files are unwanted */
} bvi_plan_chunk;

typedef struct bvi_plan {
    uint32_t page;
    uint64_t first_chunk; /* of the snapshot: the number of this page's first one */
    uint64_t end_pos;     /* of the file that the page before ended with */
    bvi_buf names;
    BVI_VEC(bvi_plan_item) items;
    BVI_VEC(bvi_plan_extent) extents;
    BVI_VEC(bvi_plan_chunk) chunks;
} bvi_plan;

/* The entries are fed to `walk` on the way. */
int bvi_plan_new(const bvi_page *page, uint32_t index, bvi_walk_check *walk, bvi_plan **ret_plan,
                 bv_error **err);
void bvi_plan_free(bvi_plan *plan);
BVI_DEFINE_FREEP(bvi_plan, bvi_plan_free)

static inline const char *bvi_plan_text(const bvi_plan *plan, uint32_t at)
{
    return plan->names.data + at;
}
/* Writes the item's whole path; `path` has BVI_SNAP_PATH_MAX + 1 bytes. */
void bvi_plan_path(const bvi_plan *plan, const bvi_plan_item *item, char *path);
/* The first file a chunk belongs to, for messages. */
void bvi_plan_chunk_path(const bvi_plan *plan, uint32_t chunk, char *path);

/* The pieces of a chunk, in its order: where its bytes go. */
typedef struct bvi_plan_pieces {
    const bvi_plan *plan;
    uint32_t extent;
    uint64_t skip;
    uint32_t left; /* bytes of the chunk */
    /* the piece: */
    const bvi_plan_item *item;
    uint64_t pos; /* in the file */
    uint32_t len;
    uint32_t at; /* in the chunk */
} bvi_plan_pieces;

void bvi_plan_pieces_init(bvi_plan_pieces *it, const bvi_plan *plan, uint32_t chunk);
bool bvi_plan_pieces_next(bvi_plan_pieces *it);

#endif
