/*
 * value.c - making, comparing and finding values.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "template/value.h"

/* ---- making ---- */

bvi_tpl_value bvi_tpl_bool(bool b)
{
    return (bvi_tpl_value){ .type = BVI_TPL_BOOL, .as.b = b };
}

bvi_tpl_value bvi_tpl_int(int64_t i)
{
    return (bvi_tpl_value){ .type = BVI_TPL_INT, .as.i = i };
}

bvi_tpl_value bvi_tpl_float(double f)
{
    return (bvi_tpl_value){ .type = BVI_TPL_FLOAT, .as.f = isfinite(f) ? f : NAN };
}

bvi_tpl_value bvi_tpl_text(const char *text, size_t len)
{
    return (bvi_tpl_value){ .type = BVI_TPL_STRING, .len = (uint32_t)len, .as.text = text };
}

bvi_tpl_value bvi_tpl_cstr(const char *text)
{
    return bvi_tpl_text(text, strlen(text));
}

static void note_nesting(bvi_tpl_value *container, const bvi_tpl_value *item)
{
    if (item->nesting >= container->nesting)
        container->nesting = item->nesting < UINT8_MAX ? item->nesting + 1 : UINT8_MAX;
}

bvi_tpl_value bvi_tpl_array(const bvi_tpl_value *items, size_t count)
{
    bvi_tpl_value v = { .type = BVI_TPL_ARRAY, .nesting = 1 };

    v.len = (uint32_t)count;
    v.as.items = items;
    for (size_t i = 0; i < count; i++)
        note_nesting(&v, &items[i]);
    return v;
}

bvi_tpl_value bvi_tpl_object(const bvi_tpl_member *members, size_t count)
{
    bvi_tpl_value v = { .type = BVI_TPL_OBJECT, .nesting = 1 };

    v.len = (uint32_t)count;
    v.as.members = members;
    for (size_t i = 0; i < count; i++)
        note_nesting(&v, &members[i].value);
    return v;
}

int bvi_tpl_copy_text(bvi_arena *arena, const char *text, size_t len, bvi_tpl_value *ret)
{
    char *copy = bvi_arena_alloc(arena, len + 1);

    if (!copy)
        return arena->failure;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *ret = bvi_tpl_text(copy, len);
    return 0;
}

/* ---- from JSON; its parser bounds the depth ---- */

static bvi_tpl_value number_from_json(const bvi_json *json)
{
    bvi_tpl_value v = { .type = BVI_TPL_UINT };
    int64_t i = 0;
    double f = 0;

    if (bvi_json_int64(json, &i) == 0)
        return bvi_json_is_integer(json) ? bvi_tpl_int(i) : bvi_tpl_float((double)i);
    if (bvi_json_uint64(json, &v.as.u) == 0)
        return bvi_json_is_integer(json) ? v : bvi_tpl_float((double)v.as.u);
    return bvi_tpl_float(bvi_json_double(json, &f) == 0 ? f : NAN);
}

static int array_from_json(bvi_arena *arena, const bvi_json *json, bvi_tpl_value *ret)
{
    size_t count = bvi_json_count(json);
    bvi_tpl_value *items = bvi_arena_alloc(arena, count * sizeof(*items));
    size_t n = 0;

    if (!items)
        return arena->failure;
    bvi_json_each(it, json) {
        int r = bvi_tpl_from_json(arena, it, &items[n++]);

        if (r < 0)
            return r;
    }
    *ret = bvi_tpl_array(items, count);
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    return bvi_tpl_compare(&((const bvi_tpl_member *)a)->key, &((const bvi_tpl_member *)b)->key);
}

static int object_from_json(bvi_arena *arena, const bvi_json *json, bvi_tpl_value *ret)
{
    size_t count = bvi_json_count(json);
    bvi_tpl_member *members = bvi_arena_alloc(arena, count * sizeof(*members));
    size_t n = 0;

    if (!members)
        return arena->failure;
    bvi_json_each(it, json) {
        bvi_tpl_member *m = &members[n++];
        const char *key = bvi_json_key(it);
        int r = bvi_tpl_copy_text(arena, key, strlen(key), &m->key);

        if (r >= 0)
            r = bvi_tpl_from_json(arena, it, &m->value);
        if (r < 0)
            return r;
    }
    qsort(members, count, sizeof(*members), compare_keys);
    *ret = bvi_tpl_object(members, count);
    return 0;
}

int bvi_tpl_from_json(bvi_arena *arena, const bvi_json *json, bvi_tpl_value *ret)
{
    switch (bvi_json_type_of(json)) {
    case BVI_JSON_NULL:
        *ret = BVI_TPL_NULL_VALUE;
        return 0;
    case BVI_JSON_BOOL:
        *ret = bvi_tpl_bool(bvi_json_is_true(json));
        return 0;
    case BVI_JSON_NUMBER:
        *ret = number_from_json(json);
        return 0;
    case BVI_JSON_STRING:
        return bvi_tpl_copy_text(arena, bvi_json_string(json), strlen(bvi_json_string(json)), ret);
    case BVI_JSON_ARRAY:
        return array_from_json(arena, json, ret);
    case BVI_JSON_OBJECT:
        return object_from_json(arena, json, ret);
    }
    return BV_E_INTERNAL;
}

/* ---- looking ---- */

bool bvi_tpl_is_number(const bvi_tpl_value *v)
{
    return v->type == BVI_TPL_INT || v->type == BVI_TPL_UINT || v->type == BVI_TPL_FLOAT;
}

bool bvi_tpl_is_true(const bvi_tpl_value *v)
{
    switch ((bvi_tpl_type)v->type) {
    case BVI_TPL_NULL:
        return false;
    case BVI_TPL_BOOL:
        return v->as.b;
    case BVI_TPL_INT:
        return v->as.i != 0;
    case BVI_TPL_UINT:
        return true;
    case BVI_TPL_FLOAT:
        return v->as.f != 0 && !isnan(v->as.f);
    case BVI_TPL_STRING:
    case BVI_TPL_ARRAY:
    case BVI_TPL_OBJECT:
        return v->len > 0;
    }
    return false;
}

double bvi_tpl_double(const bvi_tpl_value *v)
{
    if (v->type == BVI_TPL_INT)
        return (double)v->as.i;
    return v->type == BVI_TPL_UINT ? (double)v->as.u : v->as.f;
}

bool bvi_tpl_to_int(const bvi_tpl_value *v, int64_t *ret)
{
    if (v->type == BVI_TPL_INT) {
        *ret = v->as.i;
        return true;
    }
    /* Both bounds are exact doubles; INT64_MAX is not. */
    if (v->type != BVI_TPL_FLOAT || !(v->as.f >= -0x1p63 && v->as.f < 0x1p63) ||
        v->as.f != trunc(v->as.f))
        return false;
    *ret = (int64_t)v->as.f;
    return true;
}

static bool equal_items(const bvi_tpl_value *a, const bvi_tpl_value *b, uint64_t *work)
{
    for (size_t i = 0; i < a->len; i++) {
        if (!bvi_tpl_equal(&a->as.items[i], &b->as.items[i], work))
            return false;
    }
    return true;
}

static bool equal_members(const bvi_tpl_value *a, const bvi_tpl_value *b, uint64_t *work)
{
    for (size_t i = 0; i < a->len; i++) {
        const bvi_tpl_member *x = &a->as.members[i];
        const bvi_tpl_member *y = &b->as.members[i];

        if (!bvi_tpl_equal(&x->key, &y->key, work) || !bvi_tpl_equal(&x->value, &y->value, work))
            return false;
    }
    return true;
}

/* As deep as the values are, which the JSON parser and the renderer bound. */
bool bvi_tpl_equal(const bvi_tpl_value *a, const bvi_tpl_value *b, uint64_t *work)
{
    *work += 1;
    if (a->type != b->type)
        return bvi_tpl_is_number(a) && bvi_tpl_is_number(b) && bvi_tpl_compare(a, b) == 0;
    switch ((bvi_tpl_type)a->type) {
    case BVI_TPL_NULL:
        return true;
    case BVI_TPL_BOOL:
        return a->as.b == b->as.b;
    case BVI_TPL_INT:
        return a->as.i == b->as.i;
    case BVI_TPL_UINT:
        return a->as.u == b->as.u;
    case BVI_TPL_FLOAT:
        return a->as.f == b->as.f;
    case BVI_TPL_STRING:
        *work += a->len / 32;
        return a->len == b->len && memcmp(a->as.text, b->as.text, a->len) == 0;
    case BVI_TPL_ARRAY:
        return a->len == b->len && equal_items(a, b, work);
    case BVI_TPL_OBJECT:
        return a->len == b->len && equal_members(a, b, work);
    }
    return false;
}

static int compare_texts(const bvi_tpl_value *a, const bvi_tpl_value *b)
{
    int order = memcmp(a->as.text, b->as.text, a->len < b->len ? a->len : b->len);

    return order ? order : (a->len > b->len) - (a->len < b->len);
}

int bvi_tpl_compare(const bvi_tpl_value *a, const bvi_tpl_value *b)
{
    double x, y;

    if (a->type == BVI_TPL_STRING)
        return compare_texts(a, b);
    if (a->type == BVI_TPL_INT && b->type == BVI_TPL_INT)
        return (a->as.i > b->as.i) - (a->as.i < b->as.i);
    if (a->type == BVI_TPL_UINT && b->type == BVI_TPL_UINT)
        return (a->as.u > b->as.u) - (a->as.u < b->as.u);
    if (a->type != BVI_TPL_FLOAT && b->type != BVI_TPL_FLOAT)
        return a->type == BVI_TPL_UINT ? 1 : -1;
    x = bvi_tpl_double(a);
    y = bvi_tpl_double(b);
    return x == y ? 0 : x < y ? -1 : 1; /* NaN counts as the largest */
}

const bvi_tpl_value *bvi_tpl_find(const bvi_tpl_value *object, const char *key, size_t len)
{
    bvi_tpl_value wanted = bvi_tpl_text(key, len);
    size_t from = 0, to = object->len;

    if (object->type != BVI_TPL_OBJECT)
        return NULL;
    while (from < to) {
        size_t middle = (from + to) / 2;
        const bvi_tpl_member *m = &object->as.members[middle];
        int order = compare_texts(&m->key, &wanted);

        if (order == 0)
            return &m->value;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static const bvi_tpl_value *find_index(const bvi_tpl_value *array, const char *text, size_t len)
{
    size_t index = 0;

    if (len == 0 || len > 9)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(text[i] - '0');
    }
    return index < array->len ? &array->as.items[index] : NULL;
}

static const bvi_tpl_value *find_step(const bvi_tpl_value *v, const char *step, size_t len)
{
    return v->type == BVI_TPL_ARRAY ? find_index(v, step, len) : bvi_tpl_find(v, step, len);
}

const bvi_tpl_value *bvi_tpl_find_path(const bvi_tpl_value *v, const char *path, size_t len)
{
    const char *end = path + len;

    for (;;) {
        const char *point = memchr(path, '.', (size_t)(end - path));
        const char *stop = point ? point : end;

        v = find_step(v, path, (size_t)(stop - path));
        if (!v || !point)
            return v;
        path = point + 1;
    }
}
