/*
 * vm_quick.h - what the machine does itself because it is frequent and short: whole numbers,
 * putting values onto the stack, turning a loop over a range. For vm.c only.
 *
 * Functions that compute leave their result alone where they answer false; the machine then takes
 * the general way, which also makes the error.
 */
#ifndef BVI_SCRIPT_VM_QUICK_H
#define BVI_SCRIPT_VM_QUICK_H

#include <string.h>

#include "script/vm.h"

/* ---- values; type and tag are one store, the rest is another ---- */

static inline void bvi_set_int(bvi_value *v, int64_t i)
{
    v->type = BVI_T_INT;
    v->tag = 0;
    v->as.i = i;
}

static inline void bvi_set_bool(bvi_value *v, bool b)
{
    v->type = BVI_T_BOOL;
    v->tag = 0;
    v->as.i = b;
}

static inline void bvi_set_dup(bvi_value *v, const bvi_value *from)
{
    uint32_t type = from->type;
    int64_t bits = from->as.i;

    v->type = type;
    v->tag = 0;
    v->as.i = bits;
    if (type >= BVI_T_STRING)
        v->as.obj->refs++;
}

static inline bool bvi_is_int(const bvi_value *v)
{
    return v->type == BVI_T_INT;
}

static inline bool bvi_both_int(const bvi_value *a, const bvi_value *b)
{
    return a->type == BVI_T_INT && b->type == BVI_T_INT;
}

/* ---- arithmetic ---- */

static inline bool bvi_add_int(int64_t a, int64_t b, int64_t *ret)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *ret = sum;
    return true;
}

static inline bool bvi_sub_int(int64_t a, int64_t b, int64_t *ret)
{
    int64_t difference;

    if (__builtin_sub_overflow(a, b, &difference))
        return false;
    *ret = difference;
    return true;
}

static inline bool bvi_mul_int(int64_t a, int64_t b, int64_t *ret)
{
    int64_t product;

    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *ret = product;
    return true;
}

static inline bool bvi_mod_int(int64_t a, int64_t b, int64_t *ret)
{
    if (b <= 0) /* zero, and -1 where it overflows */
        return false;
    if (((uint64_t)a | (uint64_t)b) >> 32 == 0) /* dividing small numbers is much quicker */
        *ret = (uint32_t)a % (uint32_t)b;
    else
        *ret = a % b;
    return true;
}

static inline bool bvi_both_float(const bvi_value *a, const bvi_value *b)
{
    return a->type == BVI_T_FLOAT && b->type == BVI_T_FLOAT;
}

static inline void bvi_set_float(bvi_value *v, double f)
{
    v->type = BVI_T_FLOAT;
    v->tag = 0;
    v->as.f = f;
}

static inline double bvi_add_float(double a, double b)
{
    return a + b;
}

static inline double bvi_sub_float(double a, double b)
{
    return a - b;
}

static inline double bvi_mul_float(double a, double b)
{
    return a * b;
}

/* ---- text ---- */

static inline bool bvi_both_string(const bvi_value *a, const bvi_value *b)
{
    return a->type == BVI_T_STRING && b->type == BVI_T_STRING;
}

static inline bool bvi_same_text(const bvi_value *a, const bvi_value *b)
{
    const bvi_string *x = bvi_str(a);
    const bvi_string *y = bvi_str(b);

    if (x == y || x->len != y->len)
        return x == y;
    x->obj.engine->work += x->len;
    return memcmp(x->data, y->data, x->len) == 0;
}

/* ---- chains of one step ---- */

/* The item of an array, or the property of a map, of a variable or this, that a path names; NULL:
 * the general way must look. Nobody else may hold a container that is changed. */
static inline bvi_value *bvi_quick_place(bvi_frame *f, const bvi_path *path, bvi_value *base,
                                         const bvi_value *index, bool change)
{
    const bvi_script *unit = f->proto->unit;
    const bvi_step *step = &unit->steps[path->first];
    const bvi_value *at;

    if (path->steps != 1)
        return NULL;
    if (path->root == BVI_ROOT_LOCAL && path->since == BVI_NOT_HIDDEN)
        at = bvi_deref(&base[path->slot]);
    else if (path->root == BVI_ROOT_THIS && f->has_this)
        at = &f->self;
    else
        return NULL;
    if (change && (bvi_path_is_const(f, path) || !bvi_is_obj(at) || at->as.obj->refs > 1))
        return NULL;
    if (step->is_index)
        return at->type == BVI_T_ARRAY && index->type == BVI_T_INT &&
                       (uint64_t)index->as.i < bvi_arr(at)->len
                   ? &bvi_arr(at)->items[index->as.i]
                   : NULL;
    if (at->type != BVI_T_MAP || step->hint >= bvi_mp(at)->len ||
        bvi_mp(at)->entries[step->hint].key != bvi_unit_str(unit, step->key))
        return NULL;
    return &bvi_mp(at)->entries[step->hint].value;
}

/* ---- loops ---- */

/* The next number of start..end into the loop's variable; the iterator is in the slot before it. */
static inline bool bvi_advance_int(bvi_value *slot)
{
    bvi_iter *it = (bvi_iter *)slot->as.obj;

    if (slot->type != BVI_T_ITER || it->kind != BVI_ITER_INT || it->step != 1 || it->inclusive ||
        it->at >= it->end || bvi_is_obj(&slot[1]))
        return false;
    bvi_set_int(&slot[1], it->at++);
    return true;
}

#endif
