/*
 * lib_iter.c - ranges and the iterators that are values: range() with a step, chars(), bits().
 */
#include "script/lib.h"

/* ---- ranges ---- */

BVI_LIB(start)
{
    *ret = bvi_value_int(bvi_rng(&args[0])->start);
    return 0;
}

BVI_LIB(end)
{
    *ret = bvi_value_int(bvi_rng(&args[0])->end);
    return 0;
}

BVI_LIB(is_inclusive)
{
    *ret = bvi_value_bool(bvi_rng(&args[0])->inclusive);
    return 0;
}

BVI_LIB(is_exclusive)
{
    *ret = bvi_value_bool(!bvi_rng(&args[0])->inclusive);
    return 0;
}

BVI_LIB(is_empty)
{
    const bvi_range *r = bvi_rng(&args[0]);

    *ret = bvi_value_bool(r->inclusive ? r->start > r->end : r->start >= r->end);
    return 0;
}

BVI_LIB(contains)
{
    bool yes = false;
    int r = bvi_op_contains(call, &args[0], &args[1], &yes);

    *ret = bvi_value_bool(yes);
    return r;
}

/* ---- steps ---- */

static int zero_step(bvi_script_call *call)
{
    int r = bvi_vm_fail(call, BVI_FAILURE_RUNTIME, "step value cannot be zero");

    if (call->failure)
        bvi_failure_leave(call->failure, BVI_LEAVING_FUNCTION, "range", NULL, call->pos);
    return r;
}

static int int_steps(bvi_script_call *call, int64_t from, int64_t to, int64_t step, bvi_value *ret)
{
    bvi_iter *it;
    int r;

    if (step == 0)
        return zero_step(call);
    r = bvi_iter_new(call->engine, BVI_ITER_INT, &it);
    if (r < 0)
        return bvi_lib_end(call, r);
    it->at = from;
    it->end = to;
    it->step = step;
    *ret = bvi_of_obj(it);
    return 0;
}

BVI_LIB(range)
{
    return bvi_lib_end(call, bvi_range_new(call->engine, args[0].as.i, args[1].as.i, false, ret));
}

BVI_LIB(range_step)
{
    return int_steps(call, args[0].as.i, args[1].as.i, args[2].as.i, ret);
}

BVI_LIB(range_of_range)
{
    if (bvi_rng(&args[0])->inclusive)
        return bvi_vm_not_found(call, "range", args, argc);
    return int_steps(call, bvi_rng(&args[0])->start, bvi_rng(&args[0])->end, args[1].as.i, ret);
}

BVI_LIB(range_float)
{
    bvi_iter *it;
    int r;

    if (args[2].as.f == 0)
        return zero_step(call);
    r = bvi_iter_new(call->engine, BVI_ITER_FLOAT, &it);
    if (r < 0)
        return bvi_lib_end(call, r);
    it->f_at = args[0].as.f;
    it->f_end = args[1].as.f;
    it->f_step = args[2].as.f;
    *ret = bvi_of_obj(it);
    return 0;
}

/* ---- characters and bits ---- */

BVI_LIB(chars)
{
    const bvi_string *s = bvi_str(&args[0]);
    size_t at = 0;
    size_t count = s->chars;
    bvi_iter *it;
    int r;

    if (argc > 1)
        bvi_lib_part_args(args, argc, 1, s->chars, &at, &count);
    r = bvi_iter_new(call->engine, BVI_ITER_STRING, &it);
    if (r < 0)
        return bvi_lib_end(call, r);
    it->source = bvi_dup(&args[0]);
    it->at = (int64_t)at;
    it->end = (int64_t)(at + count);
    it->step = (int64_t)bvi_string_offset(s, at); /* where the next character starts */
    *ret = bvi_of_obj(it);
    return 0;
}

BVI_LIB(bits)
{
    size_t at = 0;
    size_t count = 64;
    bvi_iter *it;
    int r;

    if (argc > 1)
        bvi_lib_part_args(args, argc, 1, 64, &at, &count);
    r = bvi_iter_new(call->engine, BVI_ITER_BITS, &it);
    if (r < 0)
        return bvi_lib_end(call, r);
    it->source = args[0];
    it->at = (int64_t)at;
    it->end = (int64_t)(at + count);
    *ret = bvi_of_obj(it);
    return 0;
}

#define PROPERTY BVI_SCRIPT_PROPERTY

const bvi_script_function bvi_lib_iter[] = {
    { "start", "r", start, PROPERTY },
    { "end", "r", end, PROPERTY },
    { "is_inclusive", "r", is_inclusive, PROPERTY },
    { "is_exclusive", "r", is_exclusive, PROPERTY },
    { "is_empty", "r", is_empty, PROPERTY },
    { "contains", "ri", contains, 0 },
    { "range", "ii", range, 0 },
    { "range", "iii", range_step, 0 },
    { "range", "ri", range_of_range, 0 },
    { "range", "fff", range_float, 0 },
    { "chars", "s", chars, PROPERTY },
    { "chars", "si", chars, 0 },
    { "chars", "sii", chars, 0 },
    { "chars", "sr", chars, 0 },
    { "bits", "i", bits, PROPERTY },
    { "bits", "ii", bits, 0 },
    { "bits", "iii", bits, 0 },
    { "bits", "ir", bits, 0 },
    { NULL, NULL, NULL, 0 },
};
