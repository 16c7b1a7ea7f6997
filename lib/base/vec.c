/*
 * vec.c - growable arrays with a maximum, and lists of strings on top.
 */
#include <assert.h>
#include <string.h>

#include <blockvisor/error.h>

#include "base/vec.h"

#define VEC_FIRST 8u

bool bvi_vec_grow(void **items, size_t len, size_t *cap, size_t max, size_t item_size)
{
    size_t want = *cap ? *cap * 2 : VEC_FIRST;
    size_t bytes = 0;
    void *grown;

    if (len >= max)
        return false;
    if (len >= *cap) {
        if (want > max)
            want = max;
        if (__builtin_mul_overflow(want, item_size, &bytes))
            return false;
        grown = bvi_realloc(*items, bytes);
        if (!grown)
            return false;
        *items = grown;
        *cap = want;
    }
    memset((char *)*items + len * item_size, 0, item_size);
    return true;
}

void bvi_vec_close_gap(void *items, size_t *len, size_t index, size_t item_size)
{
    char *at = (char *)items + index * item_size;

    assert(index < *len);
    memmove(at, at + item_size, (*len - index - 1) * item_size);
    (*len)--;
}

int bvi_strv_take(bvi_strv *v, char *text)
{
    char **slot;

    if (!text)
        return BV_E_NOMEM;
    if (v->len >= v->max) {
        bvi_free(text);
        return BV_E_LIMIT;
    }
    slot = bvi_vec_push(v);
    if (!slot) {
        bvi_free(text);
        return BV_E_NOMEM;
    }
    *slot = text;
    return 0;
}

int bvi_strv_add(bvi_strv *v, const char *text)
{
    return bvi_strv_take(v, bvi_strdup(text));
}

bool bvi_strv_has(const bvi_strv *v, const char *text)
{
    for (size_t i = 0; i < v->len; i++) {
        if (strcmp(v->items[i], text) == 0)
            return true;
    }
    return false;
}

void bvi_strv_done(bvi_strv *v)
{
    for (size_t i = 0; i < v->len; i++)
        bvi_free(v->items[i]);
    bvi_vec_done(v);
}
