/*
 * manifest_writer.h - units, in their order, become pages.
 *
 * A page ends behind a chunk, where the content says so, so that a change leaves the pages further
 * on as they were. Every chunk of a unit must be in the table. No I/O; one thread at a time.
 */
#ifndef BVI_SNAPSHOT_MANIFEST_WRITER_H
#define BVI_SNAPSHOT_MANIFEST_WRITER_H

#include "snapshot/chunk_table.h"
#include "snapshot/page.h"
#include "snapshot/root.h"
#include "snapshot/unit.h"

typedef struct bvi_manifest_writer {
    bvi_page_writer *page;
    bvi_snap_xattr *xattrs;
    /* of the unit at hand */
    bool entered;
    size_t chunk;
    size_t extent;
    uint64_t passed; /* bytes of that extent */
    /* the file that was written last */
    char path[BVI_SNAP_PATH_MAX + 1];
    uint64_t size;
    bool unopened;        /* a new page began since: it needs a continuation */
    bvi_snap_extent held; /* its last extent, which may grow; len 0: none */
    /* of all so far */
    uint64_t plain_bytes;
    uint64_t stored_bytes; /* of chunks, as they are named: equal ones count again */
    uint64_t entries;
    uint64_t files;
    uint64_t chunks;
} bvi_manifest_writer;

int bvi_manifest_writer_init(bvi_manifest_writer *writer, bv_error **err);
void bvi_manifest_writer_done(bvi_manifest_writer *writer);
/* 0: the unit is written. 1: a page is complete, its bytes appended to `page` and *ret_ref filled
 * but for its frame; call again with the same unit. */
int bvi_manifest_writer_add(bvi_manifest_writer *writer, const bvi_unit *unit,
                            const bvi_chunk_table *table, bvi_buf *page, bvi_snap_page_ref *ret_ref,
                            bv_error **err);
/* What is left as the last page. 0: nothing was. */
int bvi_manifest_writer_end(bvi_manifest_writer *writer, bvi_buf *page, bvi_snap_page_ref *ret_ref,
                            bv_error **err);

#endif
