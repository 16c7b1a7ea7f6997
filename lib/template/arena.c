/*
 * arena.c - memory that is given back in the reverse order, or all at once.
 */
#include <string.h>

#include <blockvisor/error.h>

#include "template/arena.h"

#define ALIGNMENT   16u
#define CHUNK_BYTES (16u * 1024u)

struct bvi_arena_chunk {
    bvi_arena_chunk *before;
    size_t start; /* of this chunk, counted through all of them */
    size_t used;
    size_t cap;
    _Alignas(ALIGNMENT) char bytes[];
};

void bvi_arena_init(bvi_arena *arena, size_t max_bytes)
{
    *arena = (bvi_arena){ .max = max_bytes };
}

static void drop_last(bvi_arena *arena)
{
    bvi_arena_chunk *chunk = arena->last;

    arena->last = chunk->before;
    bvi_free(chunk);
}

void bvi_arena_done(bvi_arena *arena)
{
    while (arena->last)
        drop_last(arena);
}

static bvi_arena_chunk *add_chunk(bvi_arena *arena, size_t size)
{
    size_t cap = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    bvi_arena_chunk *chunk = bvi_malloc(sizeof(*chunk) + cap);

    if (!chunk)
        return NULL;
    *chunk = (bvi_arena_chunk){ .before = arena->last, .start = arena->used, .cap = cap };
    arena->last = chunk;
    return chunk;
}

void *bvi_arena_alloc(bvi_arena *arena, size_t size)
{
    bvi_arena_chunk *chunk = arena->last;
    char *at;

    if (size > arena->max || arena->used > arena->max - size) {
        arena->failure = BV_E_LIMIT;
        return NULL;
    }
    size = size ? (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    if (!chunk || size > chunk->cap - chunk->used)
        chunk = add_chunk(arena, size);
    if (!chunk) {
        arena->failure = BV_E_NOMEM;
        return NULL;
    }
    at = chunk->bytes + chunk->used;
    chunk->used += size;
    arena->used += size;
    arena->sum += size;
    return at;
}

void *bvi_arena_alloc0(bvi_arena *arena, size_t size)
{
    void *at = bvi_arena_alloc(arena, size);

    return at ? memset(at, 0, size) : NULL;
}

bvi_arena_mark bvi_arena_here(const bvi_arena *arena)
{
    return arena->used;
}

void bvi_arena_release(bvi_arena *arena, bvi_arena_mark mark)
{
    if (mark < arena->pin)
        return;
    while (arena->last && arena->last->start >= mark && arena->last->before)
        drop_last(arena);
    if (arena->last)
        arena->last->used = mark > arena->last->start ? mark - arena->last->start : 0;
    arena->used = arena->last ? arena->last->start + arena->last->used : 0;
}

void bvi_arena_pin(bvi_arena *arena)
{
    arena->pin = arena->used;
}
