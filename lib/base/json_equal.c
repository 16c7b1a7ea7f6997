/*
 * json_equal.c - whether two documents say the same.
 */
#include <string.h>

#include "base/json.h"

static bool equal(const bvi_json *a, const bvi_json *b, unsigned depth);

static bool equal_numbers(const bvi_json *a, const bvi_json *b)
{
    uint64_t u[2];
    int64_t i[2];
    double d[2];

    if (bvi_json_int64(a, &i[0]) == 0 && bvi_json_int64(b, &i[1]) == 0)
        return i[0] == i[1];
    if (bvi_json_uint64(a, &u[0]) == 0 && bvi_json_uint64(b, &u[1]) == 0)
        return u[0] == u[1];
    return bvi_json_double(a, &d[0]) == 0 && bvi_json_double(b, &d[1]) == 0 && d[0] == d[1];
}

static bool equal_arrays(const bvi_json *a, const bvi_json *b, unsigned depth)
{
    const bvi_json *other = bvi_json_first(b);

    bvi_json_each(item, a) {
        if (!other || !equal(item, other, depth))
            return false;
        other = bvi_json_next(other);
    }
    return !other;
}

static bool equal_objects(const bvi_json *a, const bvi_json *b, unsigned depth)
{
    if (bvi_json_count(a) != bvi_json_count(b))
        return false;
    bvi_json_each(value, a) {
        const bvi_json *other = bvi_json_find(b, bvi_json_key(value));

        if (!other || !equal(value, other, depth))
            return false;
    }
    return true;
}

static bool equal(const bvi_json *a, const bvi_json *b, unsigned depth)
{
    if (bvi_json_type_of(a) != bvi_json_type_of(b) || depth >= BVI_JSON_DEPTH_MAX)
        return false;
    switch (bvi_json_type_of(a)) {
    case BVI_JSON_NULL:
        return true;
    case BVI_JSON_BOOL:
        return bvi_json_is_true(a) == bvi_json_is_true(b);
    case BVI_JSON_NUMBER:
        return equal_numbers(a, b);
    case BVI_JSON_STRING:
        return strcmp(bvi_json_string(a), bvi_json_string(b)) == 0;
    case BVI_JSON_ARRAY:
        return equal_arrays(a, b, depth + 1);
    case BVI_JSON_OBJECT:
        return equal_objects(a, b, depth + 1);
    }
    return false;
}

bool bvi_json_equal(const bvi_json *a, const bvi_json *b)
{
    return equal(a, b, 0);
}
