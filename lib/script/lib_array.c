/*
 * lib_array.c - built-ins of arrays that need no callbacks; those are in lib_callback.c.
 */
#include <string.h>

#include "script/lib.h"

BVI_LIB(len)
{
    *ret = bvi_value_int(bvi_arr(&args[0])->len);
    return 0;
}

BVI_LIB(is_empty)
{
    *ret = bvi_value_bool(bvi_arr(&args[0])->len == 0);
    return 0;
}

BVI_LIB(get)
{
    size_t at;

    if (bvi_index(args[1].as.i, bvi_arr(&args[0])->len, &at))
        *ret = bvi_dup(&bvi_arr(&args[0])->items[at]);
    return 0;
}

BVI_LIB(set)
{
    size_t at;
    int r;

    if (!bvi_index(args[1].as.i, bvi_arr(&args[0])->len, &at))
        return 0;
    r = bvi_array_own(&args[0]);
    if (r == 0)
        bvi_replace(&bvi_arr(&args[0])->items[at], bvi_dup(&args[2]));
    return bvi_lib_end(call, r);
}

BVI_LIB(push)
{
    return bvi_lib_end(call, bvi_array_push(&args[0], bvi_move(&args[1])));
}

BVI_LIB(append)
{
    return bvi_lib_end(call, bvi_array_append(&args[0], &args[1]));
}

BVI_LIB(insert)
{
    size_t at, count;

    bvi_lib_part(args[1].as.i, 0, bvi_arr(&args[0])->len, &at, &count);
    return bvi_lib_end(call, bvi_array_insert(&args[0], at, bvi_move(&args[2])));
}

BVI_LIB(pad)
{
    int64_t len = args[1].as.i;
    uint32_t have = bvi_arr(&args[0])->len;
    int r = 0;

    if (len <= have)
        return 0;
    if (len > UINT32_MAX)
        return bvi_lib_end(call, bvi_script_too_large(call->engine, "Size of array"));
    r = bvi_array_reserve(&args[0], (size_t)len - have);
    while (r == 0 && bvi_arr(&args[0])->len < len)
        r = bvi_array_push(&args[0], bvi_dup(&args[2]));
    return bvi_lib_end(call, r);
}

BVI_LIB(truncate)
{
    uint32_t len = bvi_arr(&args[0])->len;
    int64_t keep = args[1].as.i < 0 ? 0 : args[1].as.i;

    if (keep >= len)
        return 0;
    return bvi_lib_end(call, bvi_array_remove(&args[0], (size_t)keep, len - (size_t)keep));
}

BVI_LIB(chop)
{
    uint32_t len = bvi_arr(&args[0])->len;
    int64_t keep = args[1].as.i < 0 ? 0 : args[1].as.i;

    if (keep >= len)
        return 0;
    return bvi_lib_end(call, bvi_array_remove(&args[0], 0, len - (size_t)keep));
}

BVI_LIB(clear)
{
    return bvi_lib_end(call, bvi_array_remove(&args[0], 0, bvi_arr(&args[0])->len));
}

static void reverse_items(bvi_array *a)
{
    for (uint32_t i = 0, j = a->len; i + 1 < j; i++) {
        bvi_value held = a->items[i];

        a->items[i] = a->items[--j];
        a->items[j] = held;
    }
}

BVI_LIB(reverse)
{
    int r = bvi_array_own(&args[0]);

    bvi_vm_work(call, &args[0]);
    if (r == 0)
        reverse_items(bvi_arr(&args[0]));
    return bvi_lib_end(call, r);
}

/* Removes one item and returns it; unit where there is none. */
static int take_item(bvi_script_call *call, bvi_value *array, int64_t index, bvi_value *ret)
{
    size_t at;
    int r;

    if (!bvi_index(index, bvi_arr(array)->len, &at))
        return 0;
    r = bvi_array_own(array);
    if (r == 0) {
        *ret = bvi_move(&bvi_arr(array)->items[at]);
        r = bvi_array_remove(array, at, 1);
    }
    return bvi_lib_end(call, r);
}

BVI_LIB(pop)
{
    return take_item(call, &args[0], -1, ret);
}

BVI_LIB(shift)
{
    return take_item(call, &args[0], 0, ret);
}

BVI_LIB(remove_at)
{
    return take_item(call, &args[0], args[1].as.i, ret);
}

static int replace_part(bvi_value *array, size_t at, size_t count, const bvi_value *with)
{
    size_t more = bvi_arr(with)->len;
    bvi_value source = bvi_dup(with);
    int r = bvi_array_remove(array, at, count);
    bvi_array *a;

    if (r == 0)
        r = bvi_array_reserve(array, more);
    if (r == 0 && more > 0) {
        a = bvi_arr(array);
        memmove(&a->items[at + more], &a->items[at], (a->len - at) * sizeof(bvi_value));
        for (size_t i = 0; i < more; i++)
            a->items[at + i] = bvi_dup(&bvi_arr(&source)->items[i]);
        a->len += (uint32_t)more;
    }
    bvi_drop(&source);
    return r;
}

BVI_LIB(splice)
{
    size_t at, count;

    bvi_lib_part_args(args, argc - 1, 1, bvi_arr(&args[0])->len, &at, &count);
    return bvi_lib_end(call, replace_part(&args[0], at, count, &args[argc - 1]));
}

BVI_LIB(extract)
{
    size_t at, count;

    bvi_lib_part_args(args, argc, 1, bvi_arr(&args[0])->len, &at, &count);
    return bvi_lib_end(call, bvi_array_slice(&args[0], at, count, ret));
}

static int cut_out(bvi_script_call *call, bvi_value *array, size_t at, size_t count, bvi_value *ret)
{
    int r = bvi_array_slice(array, at, count, ret);

    if (r == 0)
        r = bvi_array_remove(array, at, count);
    return bvi_lib_end(call, r);
}

BVI_LIB(split)
{
    size_t at, count;

    bvi_lib_part(args[1].as.i, INT64_MAX, bvi_arr(&args[0])->len, &at, &count);
    return cut_out(call, &args[0], at, count, ret);
}

BVI_LIB(drain)
{
    size_t at, count;

    bvi_lib_part_args(args, argc, 1, bvi_arr(&args[0])->len, &at, &count);
    return cut_out(call, &args[0], at, count, ret);
}

/* Keeps the part, returns what was around it. */
BVI_LIB(retain)
{
    size_t len = bvi_arr(&args[0])->len;
    bvi_value kept = BVI_VALUE_UNIT;
    size_t at, count;
    int r;

    bvi_lib_part_args(args, argc, 1, len, &at, &count);
    r = bvi_array_slice(&args[0], at, count, &kept);
    if (r == 0)
        r = bvi_array_remove(&args[0], at, count);
    if (r < 0) {
        bvi_drop(&kept);
        return bvi_lib_end(call, r);
    }
    *ret = args[0];
    args[0] = kept;
    return 0;
}

static void swap_items(bvi_array *a, uint32_t i, uint32_t j)
{
    bvi_value held = a->items[i];

    a->items[i] = a->items[j];
    a->items[j] = held;
}

BVI_LIB(dedup)
{
    int r = bvi_array_own(&args[0]);
    bvi_array *a = bvi_arr(&args[0]);
    uint64_t until = bvi_op_compare_until(call);
    uint32_t kept = 0; /* the items before it stay */

    for (uint32_t i = 0; r == 0 && i < a->len; i++) {
        bool same = false;

        if (kept > 0 &&
            bvi_op_equal_item(call, &a->items[kept - 1], &a->items[i], until, &same) < 0)
            return call->code;
        if (!same)
            swap_items(a, kept++, i);
    }
    if (r == 0 && kept < a->len)
        r = bvi_array_remove(&args[0], kept, a->len - kept);
    return bvi_lib_end(call, r);
}

BVI_LIB(contains)
{
    bool yes = false;
    int r = bvi_op_contains(call, &args[0], &args[1], &yes);

    /* Functions cannot be compared; a list merely does not contain one. */
    if (r < 0 && args[1].type == BVI_T_FN) {
        bvi_vm_forget_failure(call);
        r = 0;
    }
    *ret = bvi_value_bool(yes);
    return r;
}

BVI_LIB(index_of)
{
    const bvi_array *a = bvi_arr(&args[0]);
    uint64_t until = bvi_op_compare_until(call);
    size_t at, count;

    bvi_lib_part(argc > 2 ? args[2].as.i : 0, INT64_MAX, a->len, &at, &count);
    *ret = bvi_value_int(-1);
    for (; at < a->len; at++) {
        bool same = false;
        int r = bvi_op_equal_item(call, &a->items[at], &args[1], until, &same);

        if (r < 0)
            return r;
        if (same) {
            *ret = bvi_value_int((int64_t)at);
            break;
        }
    }
    return 0;
}

/* ---- sort without a comparer: one kind of item; a merge sort, so it is stable and never quadratic
 * ---- */

static bool sortable(const bvi_array *a)
{
    for (uint32_t i = 0; i < a->len; i++) {
        uint8_t t = a->items[i].type;

        if (t != a->items[0].type)
            return false;
        if (t != BVI_T_INT && t != BVI_T_FLOAT && t != BVI_T_STRING && t != BVI_T_CHAR &&
            t != BVI_T_BOOL && t != BVI_T_TIMESTAMP && t != BVI_T_UNIT)
            return false;
    }
    return true;
}

static bool comes_after(const bvi_value *a, const bvi_value *b)
{
    switch (a->type) {
    case BVI_T_FLOAT:
        return a->as.f > b->as.f;
    case BVI_T_STRING:
        return bvi_string_compare(bvi_str(a), bvi_str(b)) > 0;
    case BVI_T_CHAR:
        return a->as.c > b->as.c;
    case BVI_T_BOOL:
        return a->as.b && !b->as.b;
    case BVI_T_UNIT:
        return false;
    default:
        return a->as.i > b->as.i;
    }
}

static void merge(const bvi_value *from, bvi_value *to, size_t at, size_t mid, size_t end)
{
    size_t i = at;
    size_t j = mid;

    for (size_t k = at; k < end; k++) {
        bool left = i < mid && (j >= end || !comes_after(&from[i], &from[j]));

        to[k] = left ? from[i++] : from[j++];
    }
}

static int sort_items(bvi_script_call *call, bvi_value *array, bool descending)
{
    bvi_array *a = bvi_arr(array);
    bvi_value *scratch;
    size_t bytes;
    int r;

    if (!sortable(a))
        return bvi_vm_fail(
            call, BVI_FAILURE_FUNCTION_NOT_FOUND,
            "Function not found: sort() cannot be called with elements of different types");
    r = bvi_array_own(array);
    a = bvi_arr(array);
    if (r < 0 || a->len < 2)
        return bvi_lib_end(call, r);
    bytes = a->len * sizeof(*scratch);
    scratch = bvi_script_realloc(call->engine, NULL, 0, bytes);
    if (!scratch)
        return bvi_script_throw_nomem(call);
    for (size_t width = 1; width < a->len; width *= 2) {
        call->engine->work += bytes;
        for (size_t at = 0; at < a->len; at += 2 * width) {
            size_t mid = at + width < a->len ? at + width : a->len;
            size_t end = at + 2 * width < a->len ? at + 2 * width : a->len;

            merge(a->items, scratch, at, mid, end);
        }
        memcpy(a->items, scratch, bytes);
    }
    bvi_script_release(call->engine, scratch, bytes);
    if (descending)
        reverse_items(a);
    return 0;
}

BVI_LIB(sort)
{
    return sort_items(call, &args[0], false);
}

BVI_LIB(sort_desc)
{
    return sort_items(call, &args[0], true);
}

/* order and order_desc answer a sorted copy. */
BVI_LIB(order)
{
    *ret = bvi_dup(&args[0]);
    return sort_items(call, ret, false);
}

BVI_LIB(order_desc)
{
    *ret = bvi_dup(&args[0]);
    return sort_items(call, ret, true);
}

#define PROPERTY BVI_SCRIPT_PROPERTY
#define MUTATES  BVI_SCRIPT_MUTATES

const bvi_script_function bvi_lib_array[] = {
    { "len", "a", len, PROPERTY },
    { "is_empty", "a", is_empty, PROPERTY },
    { "get", "ai", get, 0 },
    { "set", "aiv", set, MUTATES },
    { "push", "av", push, MUTATES },
    { "append", "aa", append, MUTATES },
    { "insert", "aiv", insert, MUTATES },
    { "pad", "aiv", pad, MUTATES },
    { "truncate", "ai", truncate, MUTATES },
    { "chop", "ai", chop, MUTATES },
    { "clear", "a", clear, MUTATES },
    { "reverse", "a", reverse, MUTATES },
    { "pop", "a", pop, MUTATES },
    { "shift", "a", shift, MUTATES },
    { "remove", "ai", remove_at, MUTATES },
    { "splice", "ara", splice, MUTATES },
    { "splice", "aiia", splice, MUTATES },
    { "extract", "ar", extract, 0 },
    { "extract", "ai", extract, 0 },
    { "extract", "aii", extract, 0 },
    { "split", "ai", split, MUTATES },
    { "drain", "ar", drain, MUTATES },
    { "drain", "aii", drain, MUTATES },
    { "retain", "ar", retain, MUTATES },
    { "retain", "aii", retain, MUTATES },
    { "dedup", "a", dedup, MUTATES },
    { "contains", "av", contains, 0 },
    { "index_of", "av", index_of, 0 },
    { "index_of", "avi", index_of, 0 },
    { "sort", "a", sort, MUTATES },
    { "sort_desc", "a", sort_desc, MUTATES },
    { "order", "a", order, 0 },
    { "order_desc", "a", order_desc, 0 },
    { NULL, NULL, NULL, 0 },
};
