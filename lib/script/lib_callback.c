/*
 * lib_callback.c - built-ins of arrays and maps that call a function for their items.
 *
 * Each has a step function that runs again after every callback, with the callback's result in
 * frame->result; its place in the work is in frame->reg. The container is args[0] (a copy: whatever
 * the callbacks do to the variable it came from is overwritten when a changing built-in ends). A
 * step does nothing with its frame after bvi_vm_callback().
 */
#include <string.h>

#include "script/lib.h"

/* ---- walking an array ---- */

typedef enum walk_kind {
    WALK_MAP,
    WALK_FILTER,
    WALK_SOME,
    WALK_ALL,
    WALK_FIND,
    WALK_FIND_MAP,
    WALK_INDEX_OF,
    WALK_DRAIN,
    WALK_RETAIN,
    WALK_FOR_EACH,
} walk_kind;

enum { REG_KIND, REG_AT, REG_STARTED };

static bool is_true(const bvi_value *v)
{
    return v->type == BVI_T_BOOL && v->as.b;
}

/* What a result means for the walk. 1: the walk ends with *ret. */
static int take_result(bvi_script_call *call, bvi_frame *f, bvi_value *ret)
{
    bvi_value *array = bvi_vm_arg(call, f, 0);
    const bvi_value *item = &bvi_arr(array)->items[f->reg[REG_AT]];
    bool yes = is_true(&f->result);
    int r;

    switch ((walk_kind)f->reg[REG_KIND]) {
    case WALK_MAP:
        return bvi_array_push(&f->acc[0], bvi_move(&f->result));
    case WALK_FILTER:
        return yes ? bvi_array_push(&f->acc[0], bvi_dup(item)) : 0;
    case WALK_SOME:
        *ret = bvi_value_bool(true);
        return yes;
    case WALK_ALL:
        *ret = bvi_value_bool(false);
        return !yes;
    case WALK_INDEX_OF:
        *ret = bvi_value_int(f->reg[REG_AT]);
        return yes;
    case WALK_FIND:
        if (yes)
            *ret = bvi_dup(item);
        return yes;
    case WALK_FIND_MAP:
        if (f->result.type == BVI_T_UNIT)
            return 0;
        *ret = bvi_move(&f->result);
        return 1;
    case WALK_DRAIN:
        return bvi_array_push(&f->acc[yes ? 0 : 1], bvi_dup(item));
    case WALK_RETAIN:
        return bvi_array_push(&f->acc[yes ? 1 : 0], bvi_dup(item));
    default:
        r = bvi_array_own(array);
        if (r == 0 && f->child.type != BVI_T_UNIT)
            bvi_replace(&bvi_arr(array)->items[f->reg[REG_AT]], bvi_move(&f->child));
        return r;
    }
}

/* The result when no item ended the walk. Of drain and retain: acc[0] left the array, acc[1] stays.
 */
static void end_walk(bvi_script_call *call, bvi_frame *f, bvi_value *ret)
{
    switch ((walk_kind)f->reg[REG_KIND]) {
    case WALK_MAP:
    case WALK_FILTER:
        *ret = bvi_move(&f->acc[0]);
        break;
    case WALK_SOME:
        *ret = bvi_value_bool(false);
        break;
    case WALK_ALL:
        *ret = bvi_value_bool(true);
        break;
    case WALK_INDEX_OF:
        *ret = bvi_value_int(-1);
        break;
    case WALK_DRAIN:
    case WALK_RETAIN:
        *ret = bvi_move(&f->acc[0]);
        bvi_replace(bvi_vm_arg(call, f, 0), bvi_move(&f->acc[1]));
        break;
    default:
        break;
    }
}

static int begin_walk(bvi_script_call *call, bvi_frame *f)
{
    int r = bvi_value_array(call->engine, &f->acc[0]);

    if (r == 0)
        r = bvi_value_array(call->engine, &f->acc[1]);
    f->reg[REG_STARTED] = 1;
    return bvi_lib_end(call, r);
}

static int call_for_item(bvi_script_call *call, bvi_frame *f)
{
    const bvi_value *item = &bvi_arr(bvi_vm_arg(call, f, 0))->items[f->reg[REG_AT]];
    bool for_each = f->reg[REG_KIND] == WALK_FOR_EACH;
    bvi_value args[2] = { bvi_dup(item), bvi_value_int(f->reg[REG_AT]) };
    int r;

    bvi_drop(&f->child);
    if (for_each) /* its function gets the index; the item is this */
        r = bvi_vm_callback(call, f, bvi_vm_arg(call, f, 1), &args[1], 1, item, true);
    else
        r = bvi_vm_callback(call, f, bvi_vm_arg(call, f, 1), args, 2, item, false);
    bvi_drop(&args[0]);
    return r;
}

/* The kind is known from the name the built-in was called by: one step serves all. */
static int step_walk(bvi_script_call *call, bvi_frame *f, bvi_value *ret)
{
    int r = 0;

    if (!f->reg[REG_STARTED]) {
        r = begin_walk(call, f);
    } else {
        r = take_result(call, f, ret);
        f->reg[REG_AT]++;
        if (r < 0)
            return bvi_script_throw_code(call, r);
    }
    if (r != 0)
        return r < 0 ? r : 0;
    if (f->reg[REG_AT] >= bvi_arr(bvi_vm_arg(call, f, 0))->len) {
        end_walk(call, f, ret);
        return 0;
    }
    return call_for_item(call, f);
}

static int begin_walk_at(bvi_script_call *call, bvi_value *args, size_t argc, walk_kind kind)
{
    size_t at, count;

    bvi_lib_part(argc > 2 ? args[2].as.i : 0, INT64_MAX, bvi_arr(&args[0])->len, &at, &count);
    call->asked_reg[REG_KIND] = kind;
    call->asked_reg[REG_AT] = (int64_t)at;
    return bvi_vm_begin(call, step_walk);
}

#define WALK(name, kind)                                                                           \
    BVI_LIB(name)                                                                                  \
    {                                                                                              \
        return begin_walk_at(call, args, argc, kind);                                              \
    }

WALK(map, WALK_MAP)
WALK(filter, WALK_FILTER)
WALK(some, WALK_SOME)
WALK(all, WALK_ALL)
WALK(find, WALK_FIND)
WALK(find_map, WALK_FIND_MAP)
WALK(index_of, WALK_INDEX_OF)
WALK(drain, WALK_DRAIN)
WALK(retain, WALK_RETAIN)
WALK(for_each, WALK_FOR_EACH)

/* ---- reduce ---- */

enum { REG_BACK = 3 };

static int step_reduce(bvi_script_call *call, bvi_frame *f, bvi_value *ret)
{
    const bvi_array *a = bvi_arr(bvi_vm_arg(call, f, 0));
    int64_t at = f->reg[REG_AT];
    bvi_value args[3];
    int r;

    if (!f->reg[REG_STARTED]) {
        f->reg[REG_STARTED] = 1;
        if (f->argc > 2)
            f->acc[0] = bvi_dup(bvi_vm_arg(call, f, 2));
        at = f->reg[REG_AT] = f->reg[REG_BACK] ? (int64_t)a->len - 1 : 0;
    } else {
        bvi_replace(&f->acc[0], bvi_move(&f->result));
        at = f->reg[REG_AT] += f->reg[REG_BACK] ? -1 : 1;
    }
    if (at < 0 || at >= a->len) {
        *ret = bvi_move(&f->acc[0]);
        return 0;
    }
    args[0] = bvi_move(&f->acc[0]); /* so that the function may change it without a copy */
    args[1] = bvi_dup(&a->items[at]);
    args[2] = bvi_value_int(at);
    r = bvi_vm_callback(call, f, bvi_vm_arg(call, f, 1), args, 3, NULL, false);
    bvi_drop(&args[0]);
    bvi_drop(&args[1]);
    return r;
}

BVI_LIB(reduce)
{
    call->asked_reg[REG_BACK] = 0;
    return bvi_vm_begin(call, step_reduce);
}

BVI_LIB(reduce_rev)
{
    call->asked_reg[REG_BACK] = 1;
    return bvi_vm_begin(call, step_reduce);
}

/* ---- zip ---- */

static int step_zip(bvi_script_call *call, bvi_frame *f, bvi_value *ret)
{
    const bvi_array *a = bvi_arr(bvi_vm_arg(call, f, 0));
    const bvi_array *b = bvi_arr(bvi_vm_arg(call, f, 1));
    int64_t at = f->reg[REG_AT];
    bvi_value args[3];
    int r;

    if (!f->reg[REG_STARTED]) {
        f->reg[REG_STARTED] = 1;
        r = bvi_value_array(call->engine, &f->acc[0]);
    } else {
        r = bvi_array_push(&f->acc[0], bvi_move(&f->result));
        at = ++f->reg[REG_AT];
    }
    if (r < 0)
        return bvi_script_throw_code(call, r);
    if (at >= a->len || at >= b->len) {
        *ret = bvi_move(&f->acc[0]);
        return 0;
    }
    args[0] = bvi_dup(&a->items[at]);
    args[1] = bvi_dup(&b->items[at]);
    args[2] = bvi_value_int(at);
    r = bvi_vm_callback(call, f, bvi_vm_arg(call, f, 2), args, 3, NULL, false);
    bvi_drop(&args[0]);
    bvi_drop(&args[1]);
    return r;
}

BVI_LIB(zip)
{
    return bvi_vm_begin(call, step_zip);
}

/* ---- dedup with a function: adjacent items it calls equal ---- */

static int step_dedup(bvi_script_call *call, bvi_frame *f, bvi_value *ret)
{
    bvi_value *array = bvi_vm_arg(call, f, 0);
    bvi_value args[2];
    int r = 0;

    if (!f->reg[REG_STARTED]) {
        f->reg[REG_STARTED] = 1;
        f->reg[REG_AT] = 1;
    } else if (is_true(&f->result)) {
        r = bvi_array_remove(array, (size_t)f->reg[REG_AT], 1);
    } else {
        f->reg[REG_AT]++;
    }
    if (r < 0)
        return bvi_script_throw_code(call, r);
    if (f->reg[REG_AT] >= bvi_arr(array)->len)
        return 0;
    args[0] = bvi_dup(&bvi_arr(array)->items[f->reg[REG_AT]]);
    args[1] = bvi_dup(&bvi_arr(array)->items[f->reg[REG_AT] - 1]);
    r = bvi_vm_callback(call, f, bvi_vm_arg(call, f, 1), args, 2, NULL, false);
    bvi_drop(&args[0]);
    bvi_drop(&args[1]);
    return r;
}

BVI_LIB(dedup)
{
    return bvi_vm_begin(call, step_dedup);
}

/* ---- sort with a comparer: a bottom-up merge sort that stops at every comparison ---- */

enum { SORT_WIDTH = 1, SORT_STARTED = 2, SORT_AT, SORT_LEFT, SORT_RIGHT, SORT_COPIES };

typedef struct sort_run {
    int64_t mid;
    int64_t end;
} sort_run;

static sort_run current_run(const bvi_frame *f, int64_t len)
{
    int64_t mid = f->reg[SORT_AT] + f->reg[SORT_WIDTH];
    int64_t end = mid + f->reg[SORT_WIDTH];

    return (sort_run){ mid < len ? mid : len, end < len ? end : len };
}

static void start_run(bvi_frame *f, int64_t at, int64_t len)
{
    f->reg[SORT_AT] = at;
    f->reg[SORT_LEFT] = at;
    f->reg[SORT_RIGHT] = current_run(f, len).mid;
}

/* The first argument goes before the second one. */
static bool goes_first(const bvi_value *result)
{
    return is_true(result) || (result->type == BVI_T_INT && result->as.i < 0);
}

/* Moves on to where two items must be compared. False: sorted. */
static int next_comparison(bvi_script_call *call, bvi_frame *f, bool *ret_more)
{
    bvi_value *array = bvi_vm_arg(call, f, 0);
    int64_t len = bvi_arr(array)->len;

    for (;;) {
        sort_run run = current_run(f, len);
        int64_t *left = &f->reg[SORT_LEFT];
        int64_t *right = &f->reg[SORT_RIGHT];

        if (*left < run.mid && *right < run.end) {
            *ret_more = true;
            return 0;
        }
        while (*left < run.mid || *right < run.end) {
            int64_t *from = *left < run.mid ? left : right;
            int r = bvi_array_push(&f->acc[0], bvi_dup(&bvi_arr(array)->items[(*from)++]));

            if (r < 0)
                return r;
        }
        if (run.end < len) {
            start_run(f, run.end, len);
            continue;
        }
        bvi_replace(array, bvi_move(&f->acc[0]));
        f->reg[SORT_WIDTH] *= 2;
        *ret_more = f->reg[SORT_WIDTH] < len;
        if (!*ret_more)
            return 0;
        start_run(f, 0, len);
        if (bvi_value_array(call->engine, &f->acc[0]) < 0)
            return BV_E_NOMEM;
    }
}

static int keep_smaller(bvi_script_call *call, bvi_frame *f)
{
    const bvi_array *a = bvi_arr(bvi_vm_arg(call, f, 0));
    int64_t *from = goes_first(&f->result) ? &f->reg[SORT_RIGHT] : &f->reg[SORT_LEFT];

    return bvi_array_push(&f->acc[0], bvi_dup(&a->items[(*from)++]));
}

/* The comparer is asked whether the right item goes before the left one, so equal items keep their
 * order. */
static int step_sort(bvi_script_call *call, bvi_frame *f, bvi_value *ret)
{
    const bvi_array *a = bvi_arr(bvi_vm_arg(call, f, 0));
    bool more = a->len > 1;
    bvi_value args[2];
    int r;

    if (!f->reg[SORT_STARTED]) {
        f->reg[SORT_STARTED] = 1;
        f->reg[SORT_WIDTH] = 1;
        start_run(f, 0, a->len);
        r = bvi_value_array(call->engine, &f->acc[0]);
    } else {
        r = keep_smaller(call, f);
    }
    if (r == 0 && more)
        r = next_comparison(call, f, &more);
    if (r < 0)
        return bvi_script_throw_code(call, r);
    if (!more) {
        if (f->reg[SORT_COPIES])
            *ret = bvi_move(bvi_vm_arg(call, f, 0));
        return 0;
    }
    a = bvi_arr(bvi_vm_arg(call, f, 0));
    args[0] = bvi_dup(&a->items[f->reg[SORT_RIGHT]]);
    args[1] = bvi_dup(&a->items[f->reg[SORT_LEFT]]);
    r = bvi_vm_callback(call, f, bvi_vm_arg(call, f, 1), args, 2, NULL, false);
    bvi_drop(&args[0]);
    bvi_drop(&args[1]);
    return r;
}

BVI_LIB(sort)
{
    return bvi_vm_begin(call, step_sort);
}

/* Answers a sorted copy. */
BVI_LIB(order_by)
{
    call->asked_reg[SORT_COPIES] = 1;
    return bvi_vm_begin(call, step_sort);
}

/* ---- maps ---- */

/* acc[0] collects chosen entries, acc[1] the others. */
static int step_map(bvi_script_call *call, bvi_frame *f, bvi_value *ret)
{
    bvi_value *m = bvi_vm_arg(call, f, 0);
    bvi_map_entry *e;
    bvi_value args[2];
    int r = 0;

    if (!f->reg[REG_STARTED]) {
        f->reg[REG_STARTED] = 1;
        r = bvi_value_map(call->engine, &f->acc[0]);
        if (r == 0)
            r = bvi_value_map(call->engine, &f->acc[1]);
    } else {
        bool yes = is_true(&f->result);

        e = &bvi_map_in_order(m)->entries[f->reg[REG_AT]++];
        if (f->reg[REG_KIND] == WALK_MAP)
            r = bvi_map_set(&f->acc[0], e->key, bvi_move(&f->result));
        else
            r = bvi_map_set(&f->acc[yes ? 0 : 1], e->key, bvi_dup(&e->value));
    }
    if (r < 0)
        return bvi_script_throw_code(call, r);
    if (f->reg[REG_AT] < bvi_mp(m)->len) {
        e = &bvi_map_in_order(m)->entries[f->reg[REG_AT]];
        args[0] = bvi_of_obj(e->key);
        args[1] = e->value;
        return bvi_vm_callback(call, f, bvi_vm_arg(call, f, 1), args, 2, &e->value, true);
    }
    if (f->reg[REG_KIND] == WALK_FILTER || f->reg[REG_KIND] == WALK_MAP) {
        *ret = bvi_move(&f->acc[0]);
        return 0;
    }
    *ret = bvi_move(&f->acc[f->reg[REG_KIND] == WALK_DRAIN ? 0 : 1]);
    bvi_replace(m, bvi_move(&f->acc[f->reg[REG_KIND] == WALK_DRAIN ? 1 : 0]));
    return 0;
}

static int begin_map(bvi_script_call *call, walk_kind kind)
{
    call->asked_reg[REG_KIND] = kind;
    return bvi_vm_begin(call, step_map);
}

BVI_LIB(map_filter)
{
    return begin_map(call, WALK_FILTER);
}

BVI_LIB(map_map)
{
    return begin_map(call, WALK_MAP);
}

BVI_LIB(map_drain)
{
    return begin_map(call, WALK_DRAIN);
}

BVI_LIB(map_retain)
{
    return begin_map(call, WALK_RETAIN);
}

#define CHANGES (BVI_SCRIPT_MUTATES | BVI_SCRIPT_CALLBACK)

/* index_of and contains with a string look for that string, not for a function of that name. */
const bvi_script_function bvi_lib_callback[] = {
    { "map", "ap", map, 0 },
    { "filter", "ap", filter, 0 },
    { "some", "ap", some, 0 },
    { "all", "ap", all, 0 },
    { "find", "ap", find, 0 },
    { "find", "api", find, 0 },
    { "find_map", "ap", find_map, 0 },
    { "find_map", "api", find_map, 0 },
    { "index_of", "ak", index_of, 0 },
    { "index_of", "aki", index_of, 0 },
    { "drain", "ap", drain, CHANGES },
    { "retain", "ap", retain, CHANGES },
    { "for_each", "ap", for_each, CHANGES },
    { "reduce", "ap", reduce, 0 },
    { "reduce", "apv", reduce, 0 },
    { "reduce_rev", "ap", reduce_rev, 0 },
    { "reduce_rev", "apv", reduce_rev, 0 },
    { "zip", "aap", zip, 0 },
    { "dedup", "ap", dedup, CHANGES },
    { "sort", "ap", sort, CHANGES },
    { "sort_by", "ap", sort, CHANGES },
    { "order_by", "ap", order_by, 0 },
    { "filter", "mp", map_filter, 0 },
    { "map", "mp", map_map, 0 },
    { "drain", "mp", map_drain, CHANGES },
    { "retain", "mp", map_retain, CHANGES },
    { NULL, NULL, NULL, 0 },
};
