/*
 * lib_map.c - built-ins of maps. None of them is a property: a map's properties are its entries.
 */
#include "script/lib.h"

BVI_LIB(len)
{
    *ret = bvi_value_int(bvi_mp(&args[0])->len);
    return 0;
}

BVI_LIB(is_empty)
{
    *ret = bvi_value_bool(bvi_mp(&args[0])->len == 0);
    return 0;
}

BVI_LIB(contains)
{
    *ret = bvi_value_bool(bvi_map_find(&args[0], bvi_str(&args[1])) != NULL);
    return 0;
}

BVI_LIB(get)
{
    const bvi_value *v = bvi_map_find(&args[0], bvi_str(&args[1]));

    if (v)
        *ret = bvi_dup(v);
    return 0;
}

BVI_LIB(set)
{
    return bvi_lib_end(call, bvi_map_set(&args[0], bvi_str(&args[1]), bvi_move(&args[2])));
}

BVI_LIB(take_entry)
{
    return bvi_lib_end(call, bvi_map_take(&args[0], bvi_str(&args[1]), ret));
}

BVI_LIB(clear)
{
    bvi_value empty = BVI_VALUE_UNIT;
    int r = bvi_value_map(call->engine, &empty);

    if (r == 0)
        bvi_replace(&args[0], empty);
    return bvi_lib_end(call, r);
}

BVI_LIB(mixin)
{
    return bvi_lib_end(call, bvi_map_merge(&args[0], &args[1], false));
}

BVI_LIB(fill_with)
{
    return bvi_lib_end(call, bvi_map_merge(&args[0], &args[1], true));
}

BVI_LIB(keys)
{
    const bvi_map *m = bvi_map_in_order(&args[0]);
    int r = bvi_value_array(call->engine, ret);

    for (uint32_t i = 0; r == 0 && i < m->len; i++) {
        bvi_obj_ref(m->entries[i].key);
        r = bvi_array_push(ret, bvi_of_obj(m->entries[i].key));
    }
    return bvi_lib_end(call, r);
}

BVI_LIB(values)
{
    const bvi_map *m = bvi_map_in_order(&args[0]);
    int r = bvi_value_array(call->engine, ret);

    for (uint32_t i = 0; r == 0 && i < m->len; i++)
        r = bvi_array_push(ret, bvi_dup(&m->entries[i].value));
    return bvi_lib_end(call, r);
}

#define MUTATES BVI_SCRIPT_MUTATES

const bvi_script_function bvi_lib_map[] = {
    { "len", "m", len, 0 },
    { "is_empty", "m", is_empty, 0 },
    { "contains", "ms", contains, 0 },
    { "get", "ms", get, 0 },
    { "set", "msv", set, MUTATES },
    { "remove", "ms", take_entry, MUTATES },
    { "clear", "m", clear, MUTATES },
    { "mixin", "mm", mixin, MUTATES },
    { "fill_with", "mm", fill_with, MUTATES },
    { "keys", "m", keys, 0 },
    { "values", "m", values, 0 },
    { NULL, NULL, NULL, 0 },
};
