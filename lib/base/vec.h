/*
 * vec.h - a growable array with a maximum count. See doc/dev/vec.md.
 *
 *     BVI_VEC(bvi_chunk) chunks = BVI_VEC_INIT(CHUNKS_MAX);
 *     bvi_chunk *slot = bvi_vec_push(&chunks);      // zeroed; NULL: no memory or full
 *     for (size_t i = 0; i < chunks.len; i++) use(&chunks.items[i]);
 *     bvi_vec_done(&chunks);
 */
#ifndef BVI_BASE_VEC_H
#define BVI_BASE_VEC_H

#include "base/mem.h"

#define BVI_VEC(type)                                                                              \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t len;                                                                                \
        size_t cap;                                                                                \
        size_t max;                                                                                \
    }

#define BVI_VEC_INIT(max_count)                                                                    \
    {                                                                                              \
        .max = (max_count)                                                                         \
    }

/* Appends one zeroed item and points to it; NULL when memory or the maximum is exhausted. */
#define bvi_vec_push(v)                                                                            \
    (bvi_vec_grow((void **)(void *)&(v)->items, (v)->len, &(v)->cap, (v)->max,                     \
                  sizeof(*(v)->items))                                                             \
         ? &(v)->items[(v)->len++]                                                                 \
         : NULL)

/* Removes item i, keeping the order. */
#define bvi_vec_remove(v, i) bvi_vec_close_gap((v)->items, &(v)->len, (i), sizeof(*(v)->items))

#define bvi_vec_done(v)                                                                            \
    do {                                                                                           \
        bvi_free((v)->items);                                                                      \
        (v)->items = NULL;                                                                         \
        (v)->len = (v)->cap = 0;                                                                   \
    } while (0)

bool bvi_vec_grow(void **items, size_t len, size_t *cap, size_t max, size_t item_size);
void bvi_vec_close_gap(void *items, size_t *len, size_t index, size_t item_size);

/* A list of owned strings. */
typedef BVI_VEC(char *) bvi_strv;

int bvi_strv_add(bvi_strv *v, const char *text); /* copies; 0 or BV_E_NOMEM / BV_E_LIMIT */
int bvi_strv_take(bvi_strv *v, char *text); /* owns text, also on failure; NULL is BV_E_NOMEM */
bool bvi_strv_has(const bvi_strv *v, const char *text);
void bvi_strv_done(bvi_strv *v);

#endif
