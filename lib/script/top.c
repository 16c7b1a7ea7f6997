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
/* Nor are more values: constants that share their parts can be far larger than their memory. */
#define VALUES_MAX 65536u

typedef struct look {
    uint32_t left; /* values */
    uint32_t depth;
} look;

static bool is_unchanging(look *l, const bvi_value *v);

static bool are_unchanging(look *l, const bvi_value *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!is_unchanging(l, &items[i]))
            return false;
    }
    return true;
}

static bool is_unchanging_map(look *l, const bvi_map *m)
{
    for (uint32_t i = 0; i < m->len; i++) {
        if (!is_unchanging(l, &m->entries[i].value))
            return false;
    }
    return true;
}

static bool parts_are_unchanging(look *l, const bvi_value *v)
{
    switch (v->type) {
    case BVI_T_ARRAY:
        return are_unchanging(l, bvi_arr(v)->items, bvi_arr(v)->len);
    case BVI_T_MAP:
        return is_unchanging_map(l, bvi_mp(v));
    case BVI_T_FN:
        return are_unchanging(l, bvi_fnp(v)->values, bvi_fnp(v)->count);
    default:
        return v->type != BVI_T_ITER && v->type != BVI_T_HOST && v->type != BVI_T_CELL;
    }
}

/* Data, and functions that hold nothing else. */
static bool is_unchanging(look *l, const bvi_value *v)
{
    bool yes;

    if (l->left == 0 || l->depth > DEPTH_MAX)
        return false;
    l->left--;
    l->depth++;
    yes = parts_are_unchanging(l, v);
    l->depth--;
    return yes;
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
    look l = { .left = VALUES_MAX };

    if (operations + BVI_SLICE_MIN > call->engine->options.limits.operations || call->top_varies ||
        call->home == unit->top || unit->coverage || !is_unchanging(&l, &call->home->consts))
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
