/*
 * archive_message.h - chunks and manifests as messages: both ends of the engine service.
 *
 * A chunk may have a million destinations, so lists of chunks travel in pieces of bounded size, cut
 * between chunks or inside one. The receiver puts them together under maxima and believes nothing.
 */
#ifndef BVI_AGENT_ARCHIVE_MESSAGE_H
#define BVI_AGENT_ARCHIVE_MESSAGE_H

#include "agent.pb-c.h"
#include "transfer/chunk_source.h"

/* ---- sending ---- */

/* How far a list has been cut up. */
typedef struct bvi_chunk_cursor {
    const bvi_chunk *chunks;
    size_t count;
    size_t chunk;  /* the next one */
    size_t target; /* the next one of it; not 0: the chunk has begun */
} bvi_chunk_cursor;

/* The messages of one piece. They borrow from the chunks. */
typedef struct bvi_chunk_piece {
    size_t count;
    Bvi__Agent__Chunk **pointers;
    Bvi__Agent__Chunk *chunks;
    Bvi__Agent__Checksum *sums;
    Bvi__Agent__ChunkTarget **target_pointers;
    Bvi__Agent__ChunkTarget *targets;
} bvi_chunk_piece;

static inline bool bvi_chunk_cursor_at_end(const bvi_chunk_cursor *cursor)
{
    return cursor->chunk >= cursor->count;
}

/* Takes the next piece off the list, about BVI_ARCHIVE_PIECE_BYTES long. `piece` is empty before.
 */
int bvi_chunk_piece_take(bvi_chunk_cursor *cursor, bvi_chunk_piece *piece, bv_error **err);
void bvi_chunk_piece_done(bvi_chunk_piece *piece);

Bvi__Agent__Compression bvi_compression_message(const bvi_compression *compression);

/* ---- receiving ---- */

typedef BVI_VEC(bvi_chunk) bvi_chunk_list;

/* What a list from outside may grow to. */
typedef struct bvi_chunk_bounds {
    size_t chunks;
    size_t targets;      /* of all chunks */
    size_t target_count; /* so far */
} bvi_chunk_bounds;

/* Appends the chunks of one message. `chunks` is a vector of bvi_chunk (a manifest's, or a
 * bvi_chunk_list). */
int bvi_chunks_add(bvi_chunk_list *chunks, bvi_chunk_bounds *bounds,
                   Bvi__Agent__Chunk *const *messages, size_t count, bv_error **err);
void bvi_chunk_list_done(bvi_chunk_list *chunks);
int bvi_compression_from_message(const Bvi__Agent__Compression *message,
                                 bvi_compression *ret_compression, bv_error **err);

#endif
