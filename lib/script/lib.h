/*
 * lib.h - for the files with built-in functions, lib_*.c. Each holds small functions and one table
 * of name, parameters and function; see bvi_script_function for the letters.
 */
#ifndef BVI_SCRIPT_LIB_H
#define BVI_SCRIPT_LIB_H

#include "script/vm.h"

#define BVI_LIB(name)                                                                              \
    static int name(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)

/* The end of a built-in that used something answering NOMEM or LIMIT. */
static inline int bvi_lib_end(bvi_script_call *call, int r)
{
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

/* The part of len items that (start) or (start, count) mean: negative starts count from the end,
 * all is clamped. */
static inline void bvi_lib_part(int64_t start, int64_t count, size_t len, size_t *ret_start,
                                size_t *ret_count)
{
    int64_t n = (int64_t)len;

    if (start < 0)
        start = start < -n ? 0 : start + n;
    if (start > n)
        start = n;
    if (count < 0)
        count = 0;
    if (count > n - start)
        count = n - start;
    *ret_start = (size_t)start;
    *ret_count = (size_t)count;
}

/* The range of an argument as built-ins take it: unlike in x[range] negative bounds are the
 * beginning. */
static inline bvi_range bvi_lib_range(const bvi_value *v)
{
    bvi_range range = *bvi_rng(v);

    if (range.start < 0)
        range.start = 0;
    if (range.end < 0) {
        range.end = 0;
        range.inclusive = false;
    }
    return range;
}

/* The same from arguments i: a range, or start and perhaps a count. */
void bvi_lib_part_args(const bvi_value *args, size_t argc, size_t i, size_t len, size_t *ret_start,
                       size_t *ret_count);

#endif
