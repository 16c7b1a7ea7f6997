/*
 * container.c - arrays and blobs: copied when written while shared, bounded by the engine's limits.
 * Maps are in map.c.
 */
#include <string.h>

#include "script/engine.h"

static int check_items(bvi_script_engine *engine, size_t count, const char *what)
{
    if (count > engine->options.limits.array_items)
        return bvi_script_too_large(engine, what);
    return 0;
}

/* ---- arrays ---- */

int bvi_value_array(bvi_script_engine *engine, bvi_value *ret_value)
{
    bvi_array *a = bvi_traced_new(engine, BVI_T_ARRAY, sizeof(*a));

    if (!a)
        return BV_E_NOMEM;
    *ret_value = bvi_of_obj(a);
    return 0;
}

int bvi_array_slice(const bvi_value *array, size_t at, size_t count, bvi_value *ret)
{
    const bvi_array *from = bvi_arr(array);
    bvi_value made = BVI_VALUE_UNIT;
    int r = bvi_value_array(from->head.obj.engine, &made);

    if (r == 0)
        r = bvi_array_reserve(&made, count);
    if (r < 0) {
        bvi_drop(&made);
        return r;
    }
    for (size_t i = 0; i < count; i++)
        bvi_arr(&made)->items[i] = bvi_dup(&from->items[at + i]);
    bvi_arr(&made)->len = (uint32_t)count;
    *ret = made;
    return 0;
}

int bvi_array_open(bvi_script_engine *engine, uint32_t count, bvi_value *ret)
{
    bvi_array *a;
    int r = check_items(engine, count, "Size of array");

    if (r < 0)
        return r;
    a = bvi_traced_new(engine, BVI_T_ARRAY, sizeof(*a));
    if (!a)
        return BV_E_NOMEM;
    if (count > 0)
        a->items = bvi_script_realloc(engine, NULL, 0, count * sizeof(*a->items));
    if (count > 0 && !a->items) {
        bvi_obj_unref(a);
        return BV_E_NOMEM;
    }
    a->len = a->cap = count;
    *ret = bvi_of_obj(a);
    return 0;
}

int bvi_array_own(bvi_value *array)
{
    bvi_value copy = BVI_VALUE_UNIT;
    int r;

    if (array->as.obj->refs == 1)
        return 0;
    r = bvi_array_slice(array, 0, bvi_arr(array)->len, &copy);
    if (r < 0)
        return r;
    bvi_replace(array, copy);
    return 0;
}

int bvi_array_reserve(bvi_value *array, size_t more)
{
    bvi_script_engine *engine = array->as.obj->engine;
    bvi_array *a;
    int r = bvi_array_own(array);

    if (r < 0)
        return r;
    a = bvi_arr(array);
    r = check_items(engine, a->len + more, "Size of array");
    if (r < 0)
        return r;
    return bvi_script_grow(engine, (void **)(void *)&a->items, &a->cap, a->len + more,
                           sizeof(bvi_value));
}

int bvi_array_insert(bvi_value *array, size_t at, bvi_value item)
{
    int r = bvi_array_reserve(array, 1);
    bvi_array *a = bvi_arr(array);

    if (r < 0) {
        bvi_drop(&item);
        return r;
    }
    memmove(&a->items[at + 1], &a->items[at], (a->len - at) * sizeof(bvi_value));
    a->head.obj.engine->work += (a->len - at) * sizeof(bvi_value);
    item.tag = 0;
    a->items[at] = item;
    a->len++;
    return 0;
}

int bvi_array_push(bvi_value *array, bvi_value item)
{
    return bvi_array_insert(array, bvi_arr(array)->len, item);
}

int bvi_value_push(bvi_value *array, bvi_value item)
{
    return bvi_array_push(array, item);
}

int bvi_array_remove(bvi_value *array, size_t at, size_t count)
{
    bvi_array *a;
    int r = bvi_array_own(array);

    if (r < 0)
        return r;
    a = bvi_arr(array);
    for (size_t i = 0; i < count; i++)
        bvi_drop(&a->items[at + i]);
    if (a->len - at - count > 0)
        memmove(&a->items[at], &a->items[at + count], (a->len - at - count) * sizeof(bvi_value));
    a->len -= (uint32_t)count;
    a->head.obj.engine->work += (a->len - at) * sizeof(bvi_value);
    return 0;
}

int bvi_array_append(bvi_value *array, const bvi_value *from)
{
    size_t count = bvi_arr(from)->len;
    bvi_value source = bvi_dup(from); /* array += itself */
    int r = bvi_array_reserve(array, count);

    for (size_t i = 0; r == 0 && i < count; i++) {
        bvi_array *a = bvi_arr(array);

        a->items[a->len++] = bvi_dup(&bvi_arr(&source)->items[i]);
    }
    bvi_drop(&source);
    return r;
}

/* ---- blobs ---- */

int bvi_value_blob(bvi_script_engine *engine, const void *bytes, size_t len, bvi_value *ret_value)
{
    bvi_blob *b;

    if (len > engine->options.limits.string_bytes)
        return bvi_script_too_large(engine, "Size of BLOB");
    b = bvi_obj_new(engine, BVI_T_BLOB, sizeof(*b));
    if (!b)
        return BV_E_NOMEM;
    if (len > 0) {
        b->data = bvi_script_realloc(engine, NULL, 0, len);
        if (!b->data) {
            bvi_obj_unref(b);
            return BV_E_NOMEM;
        }
        memcpy(b->data, bytes, len);
    }
    b->len = b->cap = (uint32_t)len;
    *ret_value = bvi_of_obj(b);
    return 0;
}

int bvi_blob_own(bvi_value *blob)
{
    bvi_value copy = BVI_VALUE_UNIT;
    int r;

    if (blob->as.obj->refs == 1)
        return 0;
    r = bvi_value_blob(blob->as.obj->engine, bvi_blb(blob)->data, bvi_blb(blob)->len, &copy);
    if (r < 0)
        return r;
    bvi_replace(blob, copy);
    return 0;
}

int bvi_blob_resize(bvi_value *blob, size_t len, uint8_t fill)
{
    bvi_script_engine *engine = blob->as.obj->engine;
    bvi_blob *b;
    int r;

    if (len > engine->options.limits.string_bytes)
        return bvi_script_too_large(engine, "Size of BLOB");
    r = bvi_blob_own(blob);
    if (r < 0)
        return r;
    b = bvi_blb(blob);
    r = bvi_script_grow(engine, (void **)(void *)&b->data, &b->cap, len, 1);
    if (r < 0)
        return r;
    if (len > b->len)
        memset(b->data + b->len, fill, len - b->len);
    b->len = (uint32_t)len;
    return 0;
}

int bvi_blob_insert(bvi_value *blob, size_t at, const void *bytes, size_t len)
{
    size_t old = bvi_blb(blob)->len;
    bvi_blob *b;
    int r = bvi_blob_resize(blob, old + len, 0);

    if (r < 0 || len == 0)
        return r;
    b = bvi_blb(blob);
    memmove(b->data + at + len, b->data + at, old - at);
    memcpy(b->data + at, bytes, len);
    b->obj.engine->work += old - at;
    return 0;
}

int bvi_blob_remove(bvi_value *blob, size_t at, size_t len)
{
    bvi_blob *b;
    int r = bvi_blob_own(blob);

    if (r < 0 || len == 0)
        return r;
    b = bvi_blb(blob);
    memmove(b->data + at, b->data + at + len, b->len - at - len);
    b->len -= (uint32_t)len;
    b->obj.engine->work += b->len - at;
    return 0;
}
