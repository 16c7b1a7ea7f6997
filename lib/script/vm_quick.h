/*
 * vm_quick.h - what the machine does itself because it is frequent and short: whole numbers,
 * putting values onto the stack, turning a loop over a range. For vm.c only.
 *
 * Functions that compute leave their result alone where they answer false; the machine then takes
 * the general way, which also makes the error.
 */
#ifndef BVI_SCRIPT_VM_QUICK_H
#define BVI_SCRIPT_VM_QUICK_H

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
