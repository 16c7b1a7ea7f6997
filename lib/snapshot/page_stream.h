/*
 * page_stream.h - the entries of a snapshot one after the other, with the data of files across
 * pages. Blocking; one thread at a time.
 */
#ifndef BVI_SNAPSHOT_PAGE_STREAM_H
#define BVI_SNAPSHOT_PAGE_STREAM_H

#include "snapshot/page_cache.h"

/* A chunk by name, wherever it lies. */
typedef struct bvi_snap_ref {
    bvi_hash256 hash;
    uint32_t plain;
} bvi_snap_ref;

/* Most chunks of one page. */
#define BVI_SNAP_PAGE_CHUNKS (BVI_SNAP_PAGE_MAX / BVI_BLAKE3_SIZE)

typedef BVI_VEC(bvi_snap_ref) bvi_snap_refs;

typedef struct bvi_page_stream {
    const bvi_page_cache *cache; /* borrowed; complete */
    size_t next_page;
    bool open;
    bvi_page page;
    bvi_page_entries entries;
    bvi_page_chunks chunks;
    bool has_entry;      /* entries.entry is the next of its page */
    size_t extent;       /* of the current file: the next of entries.entry */
    uint64_t left;       /* bytes of the chunk that the stream is in */
    uint64_t pos;        /* bytes of data behind the stream */
    bvi_snap_refs begun; /* chunks that were entered; the reader takes them out */
} bvi_page_stream;

void bvi_page_stream_init(bvi_page_stream *stream, const bvi_page_cache *cache);
void bvi_page_stream_done(bvi_page_stream *stream);
/* 1: stream->entries.entry is the next entry; what was left of the one before is passed over. */
int bvi_page_stream_next(bvi_page_stream *stream, bv_error **err);
/* Of the file that is the current entry. 1: the next extent, its data passed. */
int bvi_page_stream_extent(bvi_page_stream *stream, bvi_snap_extent *ret_extent, bv_error **err);
/* Does a chunk begin with the next byte of data? */
static inline bool bvi_page_stream_aligned(const bvi_page_stream *stream)
{
    return stream->left == 0;
}

#endif
