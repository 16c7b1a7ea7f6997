/*
 * snap_maker.h - writes snapshots entry by entry into a directory that is a store: what the upload
 * engine would not write included. Failures end the test.
 */
#ifndef SNAP_MAKER_H
#define SNAP_MAKER_H

#include "bvt.h"
#include "snapshot/frame.h"
#include "snapshot/page.h"
#include "snapshot/root.h"

typedef struct snap_maker {
    const char *store; /* directory */
    const char *key;
    size_t chunk_bytes;   /* plain; files are put together up to it */
    uint32_t page_chunks; /* a page ends after so many */
    size_t pack_bytes;
    bool stored;                             /* not compressed */
    void (*bend)(bvi_buf *page, void *data); /* changes a page's bytes before they are hashed */
    void *bend_data;
    void (*bend_root)(bvi_snap_root *root);
    /* inside */
    bvi_snap_root root;
    bvi_page_writer *page;
    bvi_frame_packer *packer;
    uint8_t *chunk;
    size_t chunk_len;
    uint8_t *pack;
    size_t pack_len;
    size_t first_unpacked;       /* chunks from here on are in the open pack */
    bvi_snap_frame chunks[4096]; /* of the page being made */
    size_t n_chunks;
    uint64_t page_bytes;
    bvi_snap_entry last; /* the file being written */
    char last_path[BVI_SNAP_PATH_MAX + 1];
} snap_maker;

void snap_maker_init(snap_maker *m, const char *store, const char *key, uint64_t version);
void snap_maker_dir(snap_maker *m, const char *path, uint32_t mode);
void snap_maker_file(snap_maker *m, const char *path, const void *bytes, size_t len);
/* Data at the given extents, in the order of bytes. */
void snap_maker_sparse(snap_maker *m, const char *path, uint64_t size,
                       const bvi_snap_extent *extents, size_t n, const void *bytes);
void snap_maker_symlink(snap_maker *m, const char *path, const char *target);
void snap_maker_hardlink(snap_maker *m, const char *path, const char *target);
void snap_maker_entry(snap_maker *m, const bvi_snap_entry *entry, const void *bytes);
/* Packs, pages, root. */
void snap_maker_end(snap_maker *m);

/* A tree of everything the format holds, `seed` decides about contents. */
void snap_maker_mixed(snap_maker *m, unsigned seed);
/* `len` bytes that depend on the seed. */
void fill_bytes(uint8_t *bytes, size_t len, unsigned seed);

#endif
