/*
 * page.h - one page of a snapshot: writing and reading its bytes. No I/O, no loop; one thread at a
 * time.
 */
#ifndef BVI_SNAPSHOT_PAGE_H
#define BVI_SNAPSHOT_PAGE_H

#include "snapshot/format.h"

/* ---- writing: entries and chunks in their order; a file's extents may be added bit by bit ---- */

typedef struct bvi_page_writer bvi_page_writer;

int bvi_page_writer_new(bvi_page_writer **ret_writer, bv_error **err);
void bvi_page_writer_free(bvi_page_writer *writer);
BVI_DEFINE_FREEP(bvi_page_writer, bvi_page_writer_free)

/*
 * The entry may come with no extents; bvi_page_writer_extent() adds to the last one. A continuation
 * goes on where the last extent of the last file ended, the page before included; a writer that has
 * not written that page is told by bvi_page_writer_resume().
 */
void bvi_page_writer_resume(bvi_page_writer *writer, uint64_t end_pos);
int bvi_page_writer_entry(bvi_page_writer *writer, const bvi_snap_entry *entry, bv_error **err);
int bvi_page_writer_extent(bvi_page_writer *writer, uint64_t pos, uint64_t len, bv_error **err);
int bvi_page_writer_chunk(bvi_page_writer *writer, const bvi_snap_frame *chunk, bv_error **err);
/* Bytes the page would have now; an entry, extent or chunk adds at most what these say. */
size_t bvi_page_writer_size(const bvi_page_writer *writer);
size_t bvi_page_entry_room(const bvi_snap_entry *entry);
#define BVI_PAGE_EXTENT_ROOM 20u
#define BVI_PAGE_CHUNK_ROOM  (32u + 32u + 40u)
uint32_t bvi_page_writer_entries(const bvi_page_writer *writer);
uint32_t bvi_page_writer_chunks(const bvi_page_writer *writer);
uint64_t
bvi_page_writer_chunk_bytes(const bvi_page_writer *writer); /* plain bytes of all its chunks */
/* The finished page's bytes, appended; the two sums must agree. The writer is empty afterwards. */
int bvi_page_writer_finish(bvi_page_writer *writer, bvi_buf *page, bv_error **err);

/* ---- rules across pages ---- */

/* The order of entries: component by component, bytes within a component. */
int bvi_snap_path_compare(const char *a, const char *b);
/* May an entry at `path` come right behind one of `kind` at `prev`: is it greater, and is what it
 * lies in a directory that was there? Both are valid paths. */
bool bvi_snap_path_follows(const char *prev, bvi_snap_kind kind, const char *path);

/* ---- reading: untrusted bytes ---- */

/* A page that was checked whole: every rule of the format that one page can show. */
typedef struct bvi_page {
    uint8_t *bytes; /* owned */
    size_t len;
    uint32_t n_entries;
    uint32_t n_chunks;
    uint64_t data_bytes; /* sum of chunks == sum of extents */
    size_t packs_at;     /* where these lists begin */
    size_t entries_at;
    size_t chunks_at;
    uint32_t n_packs;
} bvi_page;

/* Takes `bytes` on success; they came from bvi_malloc(). */
int bvi_page_open(bvi_page *page, uint8_t *bytes, size_t len, bv_error **err);
void bvi_page_done(bvi_page *page);

/* Iterators; what they give stays valid until the next step (strings, extents) or the page's end
 * (chunks are values). */
typedef struct bvi_page_entries {
    const bvi_page *page;
    size_t at;
    uint32_t left;
    bool first;
    bvi_snap_entry entry;
    size_t path_len;
    char path[BVI_SNAP_PATH_MAX + 1];
    char target[BVI_SNAP_PATH_MAX + 1];
    uint64_t end_pos; /* continued files: where the last extent of the page before ended; set by the
                         caller */
    BVI_VEC(bvi_snap_extent) extents;
    BVI_VEC(bvi_snap_xattr) xattrs;
    bvi_buf names; /* of xattrs */
} bvi_page_entries;

void bvi_page_entries_init(bvi_page_entries *it, const bvi_page *page, uint64_t end_pos);
void bvi_page_entries_done(bvi_page_entries *it);
/* 1: it->entry is the next one; 0: no more; negative: no memory, or (BV_E_FORMAT) a continuation
 * that does not fit behind end_pos. */
int bvi_page_entries_next(bvi_page_entries *it, bv_error **err);

typedef struct bvi_page_chunks {
    const bvi_page *page;
    size_t at;
    uint32_t left;
} bvi_page_chunks;

void bvi_page_chunks_init(bvi_page_chunks *it, const bvi_page *page);
bool bvi_page_chunks_next(bvi_page_chunks *it, bvi_snap_frame *ret_chunk);

#endif
