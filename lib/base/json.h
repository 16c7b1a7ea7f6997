/*
 * json.h - JSON documents; the only user of cJSON. See doc/dev/json.md.
 *
 * Numbers keep their text: every 64-bit integer, signed or unsigned, survives parsing and printing,
 * and so does the spelling of fractions. Objects keep their key order and their unknown keys; a
 * repeated key is refused. A node belongs to its root; bvi_json_free() on the root frees all.
 * Getters named _get_ fail with BV_E_FORMAT and a message naming the key when it is missing or of
 * another type; those named _opt_ leave the default for a missing or null key and still fail for a
 * wrong type.
 */
#ifndef BVI_BASE_JSON_H
#define BVI_BASE_JSON_H

#include "base/buf.h"
#include "base/error.h"

typedef struct cJSON bvi_json;

typedef enum bvi_json_type {
    BVI_JSON_NULL,
    BVI_JSON_BOOL,
    BVI_JSON_NUMBER,
    BVI_JSON_STRING,
    BVI_JSON_ARRAY,
    BVI_JSON_OBJECT,
} bvi_json_type;

/* Deeper and longer documents are refused, in parsing and in printing. Parsers of files set lower
 * bounds of their own. */
#define BVI_JSON_DEPTH_MAX 200u
#define BVI_JSON_BYTES_MAX (256u * 1024u * 1024u)

/* Strict; messages name line and column. */
int bvi_json_parse(const char *text, size_t len, bvi_json **ret_root, bv_error **err);
/* Zero-terminated text. Pretty: a line for each member, two blanks deep. */
int bvi_json_print(const bvi_json *node, bool pretty, char **ret_text, bv_error **err);
void bvi_json_free(bvi_json *root);
BVI_DEFINE_FREEP(bvi_json, bvi_json_free)
#define bvi_auto_json BVI_AUTO(bvi_json_freep)
bvi_json *bvi_json_copy(const bvi_json *node); /* deep; NULL: no memory */
/* The same values, whatever the order of keys and the spelling of numbers (json_equal.c). */
bool bvi_json_equal(const bvi_json *a, const bvi_json *b);

/* Looking. A NULL node answers like null. */
bvi_json_type bvi_json_type_of(const bvi_json *node);
const char *bvi_json_type_name(const bvi_json *node); /* "string", "number" ... for messages */
const bvi_json *bvi_json_find(const bvi_json *object, const char *key); /* NULL when absent */
const bvi_json *bvi_json_first(const bvi_json *container);              /* first child, or NULL */
const bvi_json *bvi_json_next(const bvi_json *node);                    /* next sibling, or NULL */
const char *bvi_json_key(const bvi_json *node);   /* the key inside its object, or NULL */
size_t bvi_json_count(const bvi_json *container); /* O(n) */
#define bvi_json_each(it, container)                                                               \
    for (const bvi_json *it = bvi_json_first(container); it; it = bvi_json_next(it))

/* Reading a node itself. */
const char *bvi_json_string(const bvi_json *node); /* NULL unless a string */
bool bvi_json_is_true(const bvi_json *node);
int bvi_json_int64(const bvi_json *node,
                   int64_t *ret_value); /* 0, or BV_E_FORMAT: not an integer in range */
int bvi_json_uint64(const bvi_json *node, uint64_t *ret_value);
int bvi_json_double(const bvi_json *node, double *ret_value);
bool bvi_json_is_integer(const bvi_json *node); /* a number without fraction and exponent */
/* A string, or a number or boolean as it was written: what YAML means by `version: 1.10` where text
 * is expected. */
int bvi_json_scalar_text(const bvi_json *node, char **ret_text, bv_error **err);

/* Reading a key of an object. Strings are borrowed from the document. */
int bvi_json_get_string(const bvi_json *object, const char *key, const char **ret_value,
                        bv_error **err);
int bvi_json_get_int64(const bvi_json *object, const char *key, int64_t *ret_value, bv_error **err);
int bvi_json_get_uint64(const bvi_json *object, const char *key, uint64_t *ret_value,
                        bv_error **err);
int bvi_json_get_bool(const bvi_json *object, const char *key, bool *ret_value, bv_error **err);
int bvi_json_get_array(const bvi_json *object, const char *key, const bvi_json **ret_value,
                       bv_error **err);
int bvi_json_get_object(const bvi_json *object, const char *key, const bvi_json **ret_value,
                        bv_error **err);
int bvi_json_opt_string(const bvi_json *object, const char *key, const char **value,
                        bv_error **err);
int bvi_json_opt_int64(const bvi_json *object, const char *key, int64_t *value, bv_error **err);
int bvi_json_opt_uint64(const bvi_json *object, const char *key, uint64_t *value, bv_error **err);
int bvi_json_opt_bool(const bvi_json *object, const char *key, bool *value, bv_error **err);

/* Building. Makers return NULL for no memory. Setters replace an existing key; put and add own
 * their value, also on failure, and answer BV_E_NOMEM for a NULL one, so makers nest without
 * checks: r = bvi_json_put(root, "name", bvi_json_new_string(name));
 */
bvi_json *bvi_json_new_object(void);
bvi_json *bvi_json_new_array(void);
bvi_json *
bvi_json_new_string(const char *text); /* NULL makes null; bytes that are not UTF-8 become U+FFFD */
bvi_json *bvi_json_new_string_n(const char *text, size_t len);
bvi_json *bvi_json_new_int64(int64_t value);
bvi_json *bvi_json_new_uint64(uint64_t value);
bvi_json *bvi_json_new_double(double value); /* null when not finite; a whole value prints as 5.0 */
bvi_json *
bvi_json_new_number(const char *text); /* text: a number in JSON's spelling, kept as it is */
bvi_json *bvi_json_new_bool(bool value);
bvi_json *bvi_json_new_null(void);
int bvi_json_put(bvi_json *object, const char *key, bvi_json *value);
int bvi_json_append(bvi_json *object, const char *key,
                    bvi_json *value); /* put for a key known to be new; O(1) */
int bvi_json_check_keys(const bvi_json *object,
                        bv_error **err); /* BV_E_FORMAT when a key is repeated */
int bvi_json_add(bvi_json *array, bvi_json *value);
int bvi_json_put_string(bvi_json *object, const char *key, const char *text);
int bvi_json_put_int64(bvi_json *object, const char *key, int64_t value);
int bvi_json_put_uint64(bvi_json *object, const char *key, uint64_t value);
int bvi_json_put_bool(bvi_json *object, const char *key, bool value);
void bvi_json_remove(bvi_json *object, const char *key);
bvi_json *bvi_json_detach(bvi_json *object,
                          const char *key); /* now the caller's; NULL when absent */

#endif
