/*
 * archive_message.c - cutting lists of chunks into messages and putting them together again. Pure.
 */
#include <string.h>

#include "agent/archive_message.h"
#include "agent/limits.h"

/* Tags, lengths and numbers of one item, rounded up. */
#define CHUNK_OVERHEAD  96u
#define TARGET_OVERHEAD 28u

/* ---- sending ---- */

static size_t chunk_cost(const bvi_chunk *chunk)
{
    return CHUNK_OVERHEAD + (chunk->key ? strlen(chunk->key) : 0) +
           (chunk->url ? strlen(chunk->url) : 0);
}

/* How many of the cursor's chunk's targets still fit into `room` bytes; at least one, so that every
 * piece moves on. */
static size_t targets_that_fit(const bvi_chunk_cursor *cursor, size_t *room)
{
    const bvi_chunk *chunk = &cursor->chunks[cursor->chunk];
    size_t n = 0;

    while (cursor->target + n < chunk->targets.len) {
        size_t cost = TARGET_OVERHEAD + strlen(chunk->targets.items[cursor->target + n].path);

        if (n && cost > *room)
            break;
        *room = cost < *room ? *room - cost : 0;
        n++;
    }
    return n;
}

typedef struct extent {
    size_t chunks;
    size_t targets;
} extent;

static void advance(bvi_chunk_cursor *cursor, size_t targets)
{
    cursor->target += targets;
    if (cursor->target >= cursor->chunks[cursor->chunk].targets.len) {
        cursor->chunk++;
        cursor->target = 0;
    }
}

/* What the next piece will hold. */
static extent measure(bvi_chunk_cursor cursor)
{
    extent e = { 0, 0 };
    size_t room = BVI_ARCHIVE_PIECE_BYTES;

    while (!bvi_chunk_cursor_at_end(&cursor)) {
        size_t cost = chunk_cost(&cursor.chunks[cursor.chunk]);
        size_t targets;

        if (e.chunks && cost > room)
            break;
        room = cost < room ? room - cost : 0;
        targets = targets_that_fit(&cursor, &room);
        e.chunks++;
        e.targets += targets;
        advance(&cursor, targets);
        if (cursor.target)
            break; /* it was cut: the piece is full */
    }
    return e;
}

static char *text_of(const char *text)
{
    return text ? (char *)(uintptr_t)text : (char *)(uintptr_t)protobuf_c_empty_string;
}

static void fill_chunk(Bvi__Agent__Chunk *to, Bvi__Agent__Checksum *sum, const bvi_chunk *from,
                       bool continues)
{
    bvi__agent__chunk__init(to);
    to->index = from->index;
    to->continues = continues;
    if (continues)
        return;
    bvi__agent__checksum__init(sum);
    sum->kind = from->checksum.kind;
    sum->digest.len = bvi_checksum_len(from->checksum.kind);
    sum->digest.data = (uint8_t *)(uintptr_t)from->checksum.bytes;
    to->checksum = sum;
    to->key = text_of(from->key);
    to->url = text_of(from->url);
    to->size = from->size;
}

static void fill_target(Bvi__Agent__ChunkTarget *to, const bvi_target *from)
{
    bvi__agent__chunk_target__init(to);
    to->path = text_of(from->path);
    to->position = from->pos;
    to->size = from->size;
}

static void fill_piece(bvi_chunk_cursor *cursor, const extent *e, bvi_chunk_piece *piece)
{
    size_t left = e->targets;
    size_t at = 0;

    for (size_t i = 0; i < e->chunks; i++) {
        const bvi_chunk *chunk = &cursor->chunks[cursor->chunk];
        size_t rest = chunk->targets.len - cursor->target;
        size_t n = rest < left ? rest : left;

        fill_chunk(&piece->chunks[i], &piece->sums[i], chunk, cursor->target > 0);
        piece->pointers[i] = &piece->chunks[i];
        piece->chunks[i].n_targets = n;
        piece->chunks[i].targets = piece->target_pointers + at;
        for (size_t k = 0; k < n; k++, at++) {
            fill_target(&piece->targets[at], &chunk->targets.items[cursor->target + k]);
            piece->target_pointers[at] = &piece->targets[at];
        }
        left -= n;
        advance(cursor, n);
    }
    piece->count = e->chunks;
}

int bvi_chunk_piece_take(bvi_chunk_cursor *cursor, bvi_chunk_piece *piece, bv_error **err)
{
    extent e = measure(*cursor);

    /* One more of each, so that nothing has the size 0. */
    piece->pointers = bvi_new_array(Bvi__Agent__Chunk *, e.chunks + 1);
    piece->chunks = bvi_new_array(Bvi__Agent__Chunk, e.chunks + 1);
    piece->sums = bvi_new_array(Bvi__Agent__Checksum, e.chunks + 1);
    piece->target_pointers = bvi_new_array(Bvi__Agent__ChunkTarget *, e.targets + 1);
    piece->targets = bvi_new_array(Bvi__Agent__ChunkTarget, e.targets + 1);
    if (!piece->pointers || !piece->chunks || !piece->sums || !piece->target_pointers ||
        !piece->targets) {
        bvi_chunk_piece_done(piece);
        return bvi_fail_nomem(err);
    }
    fill_piece(cursor, &e, piece);
    return 0;
}

void bvi_chunk_piece_done(bvi_chunk_piece *piece)
{
    bvi_free(piece->pointers);
    bvi_free(piece->chunks);
    bvi_free(piece->sums);
    bvi_free(piece->target_pointers);
    bvi_free(piece->targets);
    *piece = (bvi_chunk_piece){ 0 };
}

Bvi__Agent__Compression bvi_compression_message(const bvi_compression *compression)
{
    Bvi__Agent__Compression message = BVI__AGENT__COMPRESSION__INIT;

    message.kind = compression->kind;
    message.level = compression->level;
    return message;
}

/* ---- receiving ---- */

static int read_checksum(const Bvi__Agent__Checksum *message, bvi_checksum *sum, bv_error **err)
{
    static const bvi_checksum_kind kinds[] = {
        BVI_CHECKSUM_NONE,
        BVI_CHECKSUM_SHA1,
        BVI_CHECKSUM_SHA256,
        BVI_CHECKSUM_BLAKE3,
    };

    if (!message || message->kind == BVI_CHECKSUM_NONE)
        return 0; /* a chunk that has none yet; whoever needs one checks */
    if (message->kind >= BVI_COUNT(kinds))
        return bvi_fail(err, BV_E_FORMAT, "unknown kind of checksum %u", message->kind);
    return bvi_checksum_set(sum, kinds[message->kind], message->digest.data, message->digest.len,
                            err);
}

static int read_head(bvi_chunk *chunk, const Bvi__Agent__Chunk *message, bv_error **err)
{
    int r;

    chunk->index = message->index;
    chunk->size = message->size;
    r = bvi_chunk_set_key(chunk, message->key, err);
    if (r >= 0)
        r = bvi_chunk_set_url(chunk, *message->url ? message->url : NULL, err);
    return r < 0 ? r : read_checksum(message->checksum, &chunk->checksum, err);
}

static int read_targets(bvi_chunk *chunk, bvi_chunk_bounds *bounds,
                        const Bvi__Agent__Chunk *message, bv_error **err)
{
    int r = 0;

    if (message->n_targets > bounds->targets - bounds->target_count)
        return bvi_fail(err, BV_E_LIMIT, "more than %zu destinations", bounds->targets);
    bounds->target_count += message->n_targets;
    for (size_t i = 0; r >= 0 && i < message->n_targets; i++) {
        const Bvi__Agent__ChunkTarget *t = message->targets[i];

        r = bvi_chunk_add_target(chunk, t->path, t->position, t->size, err);
    }
    return r;
}

static int add_one(bvi_chunk_list *chunks, bvi_chunk_bounds *bounds,
                   const Bvi__Agent__Chunk *message, bv_error **err)
{
    bvi_chunk *chunk = chunks->len ? &chunks->items[chunks->len - 1] : NULL;
    int r = 0;

    if (message->continues && (!chunk || chunk->index != message->index))
        return bvi_fail(err, BV_E_FORMAT, "a continuation of chunk %u without its beginning",
                        message->index);
    if (!message->continues) {
        if (chunks->len >= bounds->chunks)
            return bvi_fail(err, BV_E_LIMIT, "more than %zu chunks", bounds->chunks);
        chunk = bvi_vec_push(chunks);
        if (!chunk)
            return bvi_fail_nomem(err);
        bvi_chunk_init(chunk);
        r = read_head(chunk, message, err);
    }
    if (r >= 0)
        r = read_targets(chunk, bounds, message, err);
    return r < 0 ? bvi_wrap(err, r, "description of chunk %u", message->index) : 0;
}

int bvi_chunks_add(bvi_chunk_list *chunks, bvi_chunk_bounds *bounds,
                   Bvi__Agent__Chunk *const *messages, size_t count, bv_error **err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < count; i++)
        r = add_one(chunks, bounds, messages[i], err);
    return r;
}

void bvi_chunk_list_done(bvi_chunk_list *chunks)
{
    for (size_t i = 0; i < chunks->len; i++)
        bvi_chunk_done(&chunks->items[i]);
    bvi_vec_done(chunks);
}

int bvi_compression_from_message(const Bvi__Agent__Compression *message,
                                 bvi_compression *ret_compression, bv_error **err)
{
    static const bvi_codec_kind kinds[] = { BVI_CODEC_STORED, BVI_CODEC_ZSTD };

    *ret_compression = (bvi_compression){ BVI_CODEC_STORED, 0 };
    if (!message)
        return 0;
    if (message->kind >= BVI_COUNT(kinds))
        return bvi_fail(err, BV_E_UNSUPPORTED, "unknown compression %u", message->kind);
    *ret_compression = (bvi_compression){ kinds[message->kind], message->level };
    return 0;
}
