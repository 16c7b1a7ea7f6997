/*
 * api_value.c - public values behind blockvisor/script.h.
 */
#include "base/doc.h"
#include "script/api.h"
#include "script/value.h"

#define SAME(outer, inner) _Static_assert((int)(outer) == (int)(inner), "types have one number")
SAME(BV_VALUE_UNIT, BVI_T_UNIT);
SAME(BV_VALUE_BOOL, BVI_T_BOOL);
SAME(BV_VALUE_INT, BVI_T_INT);
SAME(BV_VALUE_FLOAT, BVI_T_FLOAT);
SAME(BV_VALUE_CHAR, BVI_T_CHAR);
SAME(BV_VALUE_TIMESTAMP, BVI_T_TIMESTAMP);
SAME(BV_VALUE_STRING, BVI_T_STRING);
SAME(BV_VALUE_ARRAY, BVI_T_ARRAY);
SAME(BV_VALUE_BLOB, BVI_T_BLOB);
SAME(BV_VALUE_MAP, BVI_T_MAP);
SAME(BV_VALUE_RANGE, BVI_T_RANGE);
SAME(BV_VALUE_FUNCTION, BVI_T_FN);
SAME(BV_VALUE_ITERATOR, BVI_T_ITER);
SAME(BV_VALUE_HOST, BVI_T_HOST);

bv_value bvi_value_out(const bvi_value *value)
{
    bv_value out = { .type = value->type, .reserved = (uint32_t)value->tag };

    switch (value->type) {
    case BVI_T_UNIT:
        break;
    case BVI_T_BOOL:
        out.as.i = value->as.b;
        break;
    case BVI_T_INT:
    case BVI_T_TIMESTAMP:
        out.as.i = value->as.i;
        break;
    case BVI_T_FLOAT:
        out.as.f = value->as.f;
        break;
    case BVI_T_CHAR:
        out.as.i = value->as.c;
        break;
    default:
        out.as.object = value->as.obj;
        break;
    }
    return out;
}

bvi_value bvi_value_in(const bv_value *value)
{
    bvi_value in = { .type = (uint8_t)value->type, .tag = (int32_t)value->reserved };

    switch (value->type) {
    case BV_VALUE_UNIT:
        break;
    case BV_VALUE_BOOL:
        in.as.b = value->as.i != 0;
        break;
    case BV_VALUE_INT:
    case BV_VALUE_TIMESTAMP:
        in.as.i = value->as.i;
        break;
    case BV_VALUE_FLOAT:
        in.as.f = value->as.f;
        break;
    case BV_VALUE_CHAR:
        in.as.c = (uint32_t)value->as.i;
        break;
    default:
        in.as.obj = value->as.object;
        break;
    }
    return in;
}

/* ---- making ---- */

/* Hands out what a maker made. */
static int give(int r, const bvi_value *made, bv_value *ret_value)
{
    if (r < 0)
        return r;
    *ret_value = bvi_value_out(made);
    return 0;
}

int bv_value_string(bv_script_engine *engine, const char *text, size_t len, bv_value *ret_value)
{
    bvi_value v = BVI_VALUE_UNIT;

    return give(bvi_value_string(bvi_engine_in(engine), text, len, &v), &v, ret_value);
}

int bv_value_blob(bv_script_engine *engine, const void *bytes, size_t len, bv_value *ret_value)
{
    bvi_value v = BVI_VALUE_UNIT;

    return give(bvi_value_blob(bvi_engine_in(engine), bytes, len, &v), &v, ret_value);
}

int bv_value_array(bv_script_engine *engine, bv_value *ret_value)
{
    bvi_value v = BVI_VALUE_UNIT;

    return give(bvi_value_array(bvi_engine_in(engine), &v), &v, ret_value);
}

int bv_value_map(bv_script_engine *engine, bv_value *ret_value)
{
    bvi_value v = BVI_VALUE_UNIT;

    return give(bvi_value_map(bvi_engine_in(engine), &v), &v, ret_value);
}

int bv_value_push(bv_value *array, bv_value item)
{
    bvi_value inner = bvi_value_in(array);
    int r;

    if (array->type != BV_VALUE_ARRAY) {
        bv_value_drop(&item);
        return BV_E_INVALID;
    }
    r = bvi_value_push(&inner, bvi_value_in(&item));
    *array = bvi_value_out(&inner); /* another object when it was shared */
    return r;
}

int bv_value_put(bv_value *map, const char *key, bv_value item)
{
    bvi_value inner = bvi_value_in(map);
    int r;

    if (map->type != BV_VALUE_MAP) {
        bv_value_drop(&item);
        return BV_E_INVALID;
    }
    r = bvi_value_put(&inner, key, bvi_value_in(&item));
    *map = bvi_value_out(&inner);
    return r;
}

bv_value bv_value_copy(const bv_value *value)
{
    bvi_value inner = bvi_value_in(value);
    bvi_value copy = bvi_value_copy(&inner);

    return bvi_value_out(&copy);
}

void bv_value_drop(bv_value *value)
{
    bvi_value inner = bvi_value_in(value);

    bvi_value_drop(&inner);
    *value = (bv_value){ .type = BV_VALUE_UNIT };
}

/* ---- looking ---- */

const char *bv_value_text(const bv_value *value, size_t *ret_len)
{
    bvi_value inner = bvi_value_in(value);

    return bvi_value_text(&inner, ret_len);
}

const uint8_t *bv_value_bytes(const bv_value *value, size_t *ret_len)
{
    bvi_value inner = bvi_value_in(value);

    return bvi_value_bytes(&inner, ret_len);
}

size_t bv_value_count(const bv_value *value)
{
    bvi_value inner = bvi_value_in(value);

    return bvi_value_count(&inner);
}

static int lend(const bvi_value *found, bv_value *ret_item)
{
    if (!found)
        return BV_E_NOT_FOUND;
    *ret_item = bvi_value_out(found);
    return 0;
}

int bv_value_at(const bv_value *array, size_t index, bv_value *ret_item)
{
    bvi_value inner = bvi_value_in(array);

    return lend(bvi_value_at(&inner, index), ret_item);
}

int bv_value_get(const bv_value *map, const char *key, bv_value *ret_item)
{
    bvi_value inner = bvi_value_in(map);

    return lend(bvi_value_get(&inner, key), ret_item);
}

int bv_value_entry(const bv_value *map, size_t index, const char **ret_key, size_t *ret_key_len,
                   bv_value *ret_item)
{
    bvi_value inner = bvi_value_in(map);

    return lend(bvi_value_entry(&inner, index, ret_key, ret_key_len), ret_item);
}

const char *bv_value_type_name(const bv_value *value)
{
    bvi_value inner = bvi_value_in(value);

    return bvi_value_type_name(&inner);
}

int bv_value_print(const bv_value *value, int debug, char **ret_text, size_t *ret_len)
{
    bvi_value inner = bvi_value_in(value);
    size_t len = 0;
    int r = bvi_value_to_text(&inner, debug != 0, ret_text, &len);

    if (r == 0 && ret_len)
        *ret_len = len;
    return r;
}

/* ---- documents ---- */

int bv_value_to_doc(const bv_value *value, bv_doc **ret_doc, bv_error **err)
{
    bvi_value inner = bvi_value_in(value);
    bvi_json *json = NULL;
    int r = bvi_value_to_json(&inner, &json, err);

    if (r < 0)
        return r;
    *ret_doc = bvi_doc_of(json);
    return 0;
}

int bv_value_from_doc(bv_script_engine *engine, const bv_doc *doc, bv_value *ret_value)
{
    bvi_value v = BVI_VALUE_UNIT;

    return give(bvi_value_from_json(bvi_engine_in(engine), bvi_json_of(doc), &v), &v, ret_value);
}
