/*
 * near.h - which of some names was meant by one that is wrong. Pure; any thread.
 *
 *     bvi_near near = BVI_NEAR_INIT(wrong);
 *     for (each name) bvi_near_try(&near, name);
 *     if (near.best) ... "did you mean '%s'?"
 */
#ifndef BVI_BASE_NEAR_H
#define BVI_BASE_NEAR_H

#include <stddef.h>

/* Longer names are near nothing. */
#define BVI_NEAR_LEN_MAX 64u

typedef struct bvi_near {
    const char *wrong;
    const char *best;  /* borrowed from the names tried; NULL: none is near enough */
    unsigned distance; /* of the best; a further one is no improvement */
} bvi_near;

#define BVI_NEAR_INIT(name)                                                                        \
    {                                                                                              \
        .wrong = (name), .best = NULL                                                              \
    }

void bvi_near_try(bvi_near *near, const char *name);

/* Letters to add, drop, change or swap with their neighbour; upper and lower case are the same.
 * BVI_NEAR_LEN_MAX for a name that is too long. */
unsigned bvi_edit_distance(const char *a, const char *b);

#endif
