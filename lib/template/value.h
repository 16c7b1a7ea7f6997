/*
 * value.h - the values templates work with: JSON's, immutable, in an arena.
 *
 * Strings are UTF-8 with a length and a zero byte behind it; integers are 64 bits wide, those
 * beyond int64_t are UINT; a FLOAT that is not finite is NaN. Members of an object are sorted by
 * key, so look-ups are quick and the order of printing is fixed.
 */
#ifndef BVI_TEMPLATE_VALUE_H
#define BVI_TEMPLATE_VALUE_H

#include "base/buf.h"
#include "base/json.h"
#include "template/arena.h"

typedef enum bvi_tpl_type {
    BVI_TPL_NULL,
    BVI_TPL_BOOL,
    BVI_TPL_INT,
    BVI_TPL_UINT, /* only beyond INT64_MAX */
    BVI_TPL_FLOAT,
    BVI_TPL_STRING,
    BVI_TPL_ARRAY,
    BVI_TPL_OBJECT,
} bvi_tpl_type;

typedef struct bvi_tpl_value bvi_tpl_value;
typedef struct bvi_tpl_member bvi_tpl_member;

/* Values nest no deeper, so walking one may recurse. */
#define BVI_TPL_NESTING_MAX BVI_JSON_DEPTH_MAX

struct bvi_tpl_value {
    uint8_t type;
    uint8_t nesting; /* of an ARRAY or OBJECT: 1 and that of its deepest item; stops at 255 */
    uint32_t len;    /* bytes of a STRING, items of an ARRAY, members of an OBJECT */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double f;
        const char *text;
        const bvi_tpl_value *items;
        const bvi_tpl_member *members;
    } as;
};

struct bvi_tpl_member {
    bvi_tpl_value key; /* a STRING */
    bvi_tpl_value value;
};

#define BVI_TPL_NULL_VALUE ((bvi_tpl_value){ .type = BVI_TPL_NULL })

bvi_tpl_value bvi_tpl_bool(bool b);
bvi_tpl_value bvi_tpl_int(int64_t i);
bvi_tpl_value bvi_tpl_float(double f);
/* Borrows the text. */
bvi_tpl_value bvi_tpl_text(const char *text, size_t len);
bvi_tpl_value bvi_tpl_cstr(const char *text);
bvi_tpl_value bvi_tpl_array(const bvi_tpl_value *items, size_t count);
bvi_tpl_value bvi_tpl_object(const bvi_tpl_member *members, size_t count); /* sorted */

/* 0, or BV_E_NOMEM or BV_E_LIMIT as the arena says. */
int bvi_tpl_copy_text(bvi_arena *arena, const char *text, size_t len, bvi_tpl_value *ret);
int bvi_tpl_from_json(bvi_arena *arena, const bvi_json *json, bvi_tpl_value *ret);

bool bvi_tpl_is_number(const bvi_tpl_value *v);
bool bvi_tpl_is_true(const bvi_tpl_value *v);
double bvi_tpl_double(const bvi_tpl_value *v); /* of a number */
/* The integer a number is; false for fractions and beyond int64_t. */
bool bvi_tpl_to_int(const bvi_tpl_value *v, int64_t *ret);
/* Numbers by value, everything else by type and content. Adds the steps it took to *work. */
bool bvi_tpl_equal(const bvi_tpl_value *a, const bvi_tpl_value *b, uint64_t *work);
/* <0, 0, >0 for two strings or two numbers. */
int bvi_tpl_compare(const bvi_tpl_value *a, const bvi_tpl_value *b);

/* NULL when absent. */
const bvi_tpl_value *bvi_tpl_find(const bvi_tpl_value *object, const char *key, size_t len);
/* A path of keys and indices with points between them. */
const bvi_tpl_value *bvi_tpl_find_path(const bvi_tpl_value *v, const char *path, size_t len);

/* What `{{ v }}` prints. 0, BV_E_NOMEM or BV_E_LIMIT. */
int bvi_tpl_print(bvi_buf *out, const bvi_tpl_value *v);
int bvi_tpl_print_json(bvi_buf *out, const bvi_tpl_value *v, bool pretty);
/* How error messages show what is not as expected: JSON, cut to a line. */
#define BVI_TPL_SHOWN_MAX 200u
void bvi_tpl_show(const bvi_tpl_value *v, char text[BVI_TPL_SHOWN_MAX]);

#endif
