/*
 * arena.h - memory that is given back in the reverse order, or all at once.
 *
 * Everything a template makes - its tree, and the values of one rendering - comes from an arena, so
 * nothing has an owner to name and nothing leaks on the way out of an error. Values that outlive
 * the statement that made them are kept with bvi_arena_pin().
 */
#ifndef BVI_TEMPLATE_ARENA_H
#define BVI_TEMPLATE_ARENA_H

#include "base/mem.h"

typedef struct bvi_arena_chunk bvi_arena_chunk;

typedef struct bvi_arena {
    bvi_arena_chunk *last;
    size_t used;  /* bytes handed out and not given back */
    size_t max;   /* never more than this */
    size_t pin;   /* what was handed out before `used` reached this stays */
    uint64_t sum; /* bytes ever handed out: a measure of work */
    int failure;  /* of the last bvi_arena_alloc(): BV_E_NOMEM or BV_E_LIMIT */
} bvi_arena;

typedef size_t bvi_arena_mark;

void bvi_arena_init(bvi_arena *arena, size_t max_bytes);
void bvi_arena_done(bvi_arena *arena);

/* Not zeroed, aligned for anything. NULL: no memory, or the maximum is reached; failure tells. */
void *bvi_arena_alloc(bvi_arena *arena, size_t size);
void *bvi_arena_alloc0(bvi_arena *arena, size_t size);
#define bvi_arena_new0(arena, type) ((type *)bvi_arena_alloc0((arena), sizeof(type)))

/* Gives back what was handed out since the mark was taken, unless it was pinned in between. */
bvi_arena_mark bvi_arena_here(const bvi_arena *arena);
void bvi_arena_release(bvi_arena *arena, bvi_arena_mark mark);
/* What is there now stays until the end. */
void bvi_arena_pin(bvi_arena *arena);

#endif
