/*
 * top.c - keeping what a script's top level left, so that the next call need not run it again.
 *
 * The language runs the top level before each call. What a function can see of that run are its
 * constants and imports, which nothing changes afterwards; so where the run could not be noticed
 * from outside, the module it filled serves the next calls too. It can be noticed when a function
 * was called that does something or may answer differently the next time (BVI_SCRIPT_STABLE), when
 * a constant holds something with a state of its own, when the host gave names, or when it failed.
 * Its operations count for every call, so a limit is met at the same place with or without it.
 */
#include "script/vm.h"

/* Deeper constants are not looked through; such a top level runs each time. */
#define DEPTH_MAX 64u

static bool is_unchanging(const bvi_value *v, unsigned depth);

static bool are_unchanging(const bvi_value *items, uint32_t count, unsigned depth)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!is_unchanging(&items[i], depth))
            return false;
    }
    return true;
}

static bool is_unchanging_map(const bvi_map *m, unsigned depth)
{
    for (uint32_t i = 0; i < m->len; i++) {
        if (!is_unchanging(&m->entries[i].value, depth))
            return false;
    }
    return true;
}

/* Data, and functions that hold nothing else. */
static bool is_unchanging(const bvi_value *v, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return false;
    switch (v->type) {
    case BVI_T_ITER:
    case BVI_T_HOST:
    case BVI_T_CELL:
        return false;
    case BVI_T_ARRAY:
        return are_unchanging(bvi_arr(v)->items, bvi_arr(v)->len, depth + 1);
    case BVI_T_MAP:
        return is_unchanging_map(bvi_mp(v), depth + 1);
    case BVI_T_FN:
        return are_unchanging(bvi_fnp(v)->values, bvi_fnp(v)->count, depth + 1);
    default:
        return true;
    }
}

void bvi_top_forget(bvi_script *unit)
{
    bvi_module *kept = unit->top;

    unit->top = NULL;
    if (!kept)
        return;
    unit->engine->may_have_cycles = true; /* a function among its constants refers to it */
    bvi_obj_unref(kept);
}

bvi_module *bvi_top_kept(bvi_script *unit)
{
    if (unit->top && unit->top_generation != unit->engine->top_generation)
        bvi_top_forget(unit);
    return unit->top;
}

void bvi_top_keep(bvi_script_call *call)
{
    bvi_script *unit = call->unit;
    uint64_t operations = call->operations + (call->slice - call->budget);

    if (operations + BVI_SLICE_MIN > call->engine->options.limits.operations || call->top_varies ||
        call->home == unit->top || unit->coverage || !is_unchanging(&call->home->consts, 0))
        return;
    bvi_top_forget(unit);
    bvi_obj_ref(call->home);
    unit->top = call->home;
    unit->top_operations = operations;
    unit->top_generation = call->top_generation;
}

void bvi_script_forget_top_level(bvi_script_engine *engine)
{
    engine->top_generation++;
}
