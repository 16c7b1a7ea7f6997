/*
 * json.c - JSON documents over cJSON.
 *
 * cJSON keeps numbers as doubles, which loses integers beyond 2^53. Numbers occur in the tree in the order in which
 * they stand in the text, so after parsing we walk both together and turn every integer that a double might have
 * changed into a raw node that holds its text. cJSON's allocator is process-wide and so is left alone.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

/* Integers up to this many digits are exact in a double. */
#define EXACT_DIGITS 15u
/* A longer number is not one. */
#define NUMBER_TEXT_MAX 64u

/* ---- parsing ---- */

typedef struct scanner {
    const char *at;
    const char *end;
} scanner;

static void skip_string(scanner *s)
{
    for (s->at++; s->at < s->end && *s->at != '"'; s->at++) {
        if (*s->at == '\\')
            s->at++;
    }
    if (s->at < s->end)
        s->at++;
}

/* Finds the next number outside strings; its text is [*ret_start, s->at). */
static bool next_number(scanner *s, const char **ret_start)
{
    while (s->at < s->end) {
        char c = *s->at;

        if (c == '"') {
            skip_string(s);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            *ret_start = s->at;
            while (s->at < s->end && *s->at && strchr("+-.eE0123456789", *s->at))
                s->at++;
            return true;
        } else {
            s->at++;
        }
    }
    return false;
}

static bool needs_text(const char *text, size_t len)
{
    size_t digits = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.' || text[i] == 'e' || text[i] == 'E')
            return false;
        digits += text[i] != '-';
    }
    return digits > EXACT_DIGITS && len <= NUMBER_TEXT_MAX;
}

static int keep_number_text(cJSON *node, const char *text, size_t len)
{
    cJSON *raw;
    char copy[NUMBER_TEXT_MAX + 1];

    memcpy(copy, text, len);
    copy[len] = '\0';
    raw = cJSON_CreateRaw(copy);
    if (!raw)
        return BV_E_NOMEM;
    node->type = (node->type & ~0xFF) | cJSON_Raw;
    node->valuestring = raw->valuestring;
    raw->valuestring = NULL;
    cJSON_Delete(raw);
    return 0;
}

/* Depth-first in document order, without recursion on siblings; depth was checked before. */
static int keep_numbers(cJSON *node, scanner *s)
{
    for (; node; node = node->next) {
        const char *start = NULL;
        int r;

        if (cJSON_IsNumber(node)) {
            if (!next_number(s, &start))
                return BV_E_FORMAT;
            if (needs_text(start, (size_t)(s->at - start))) {
                r = keep_number_text(node, start, (size_t)(s->at - start));
                if (r < 0)
                    return r;
            }
        }
        if (node->child) {
            r = keep_numbers(node->child, s);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int check_depth(const char *text, size_t len, bv_error **err)
{
    scanner s = { text, text + len };
    unsigned depth = 0;

    while (s.at < s.end) {
        char c = *s.at;

        if (c == '"') {
            skip_string(&s);
            continue;
        }
        if ((c == '[' || c == '{') && ++depth > BVI_JSON_DEPTH_MAX)
            return bvi_fail(err, BV_E_LIMIT, "nested deeper than %u levels", BVI_JSON_DEPTH_MAX);
        if ((c == ']' || c == '}') && depth > 0)
            depth--;
        s.at++;
    }
    return 0;
}

static bool only_space(const char *at, const char *end)
{
    while (at < end && strchr(" \t\r\n", *at) && *at)
        at++;
    return at >= end;
}

int bvi_json_parse(const char *text, size_t len, bvi_json **ret_root, bv_error **err)
{
    scanner s = { text, text + len };
    const char *end = NULL;
    cJSON *root;
    int r;

    if (!bvi_utf8_valid(text, len) || memchr(text, '\0', len))
        return bvi_fail(err, BV_E_FORMAT, "not JSON: not UTF-8 text");
    r = check_depth(text, len, err);
    if (r < 0)
        return r;
    root = cJSON_ParseWithLengthOpts(text, len, &end, 0);
    if (!root)
        return bvi_fail(err, BV_E_FORMAT, "not JSON: mistake at byte %zu",
                        end && end >= text && end <= text + len ? (size_t)(end - text) : 0);
    if (!only_space(end, text + len)) {
        cJSON_Delete(root);
        return bvi_fail(err, BV_E_FORMAT, "not JSON: more text after the document");
    }
    r = keep_numbers(root, &s);
    if (r < 0) {
        cJSON_Delete(root);
        return r == BV_E_NOMEM ? bvi_fail_nomem(err)
                               : bvi_fail(err, r, "not JSON: a number is not understood");
    }
    *ret_root = root;
    return 0;
}

int bvi_json_print(const bvi_json *node, bool pretty, char **ret_text, bv_error **err)
{
    char *printed = pretty ? cJSON_Print(node) : cJSON_PrintUnformatted(node);
    char *text;

    if (!printed)
        return bvi_fail_nomem(err);
    text = bvi_strdup(printed);
    cJSON_free(printed);
    if (!text)
        return bvi_fail_nomem(err);
    *ret_text = text;
    return 0;
}

void bvi_json_free(bvi_json *root)
{
    cJSON_Delete(root);
}

bvi_json *bvi_json_copy(const bvi_json *node)
{
    return cJSON_Duplicate(node, 1);
}

/* ---- looking ---- */

bvi_json_type bvi_json_type_of(const bvi_json *node)
{
    switch (node ? node->type & 0xFF : cJSON_NULL) {
    case cJSON_False:
    case cJSON_True:
        return BVI_JSON_BOOL;
    case cJSON_Number:
    case cJSON_Raw:
        return BVI_JSON_NUMBER;
    case cJSON_String:
        return BVI_JSON_STRING;
    case cJSON_Array:
        return BVI_JSON_ARRAY;
    case cJSON_Object:
        return BVI_JSON_OBJECT;
    default:
        return BVI_JSON_NULL;
    }
}

const char *bvi_json_type_name(const bvi_json *node)
{
    static const char *const names[] = {
        [BVI_JSON_NULL] = "null",     [BVI_JSON_BOOL] = "boolean", [BVI_JSON_NUMBER] = "number",
        [BVI_JSON_STRING] = "string", [BVI_JSON_ARRAY] = "array",  [BVI_JSON_OBJECT] = "object",
    };

    return names[bvi_json_type_of(node)];
}

const bvi_json *bvi_json_find(const bvi_json *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const bvi_json *bvi_json_first(const bvi_json *container)
{
    return container ? container->child : NULL;
}

const bvi_json *bvi_json_next(const bvi_json *node)
{
    return node ? node->next : NULL;
}

const char *bvi_json_key(const bvi_json *node)
{
    return node ? node->string : NULL;
}

size_t bvi_json_count(const bvi_json *container)
{
    size_t n = 0;

    bvi_json_each(it, container)
        n++;
    return n;
}

const char *bvi_json_string(const bvi_json *node)
{
    return cJSON_IsString(node) ? node->valuestring : NULL;
}

bool bvi_json_is_true(const bvi_json *node)
{
    return cJSON_IsTrue(node);
}

int bvi_json_int64(const bvi_json *node, int64_t *ret_value)
{
    if (cJSON_IsRaw(node)) {
        char *end = NULL;
        long long value;

        errno = 0;
        value = strtoll(node->valuestring, &end, 10);
        if (errno || *end)
            return BV_E_FORMAT;
        *ret_value = value;
        return 0;
    }
    if (!cJSON_IsNumber(node) || node->valuedouble != floor(node->valuedouble) ||
        fabs(node->valuedouble) > 9007199254740992.0)
        return BV_E_FORMAT;
    *ret_value = (int64_t)node->valuedouble;
    return 0;
}

int bvi_json_uint64(const bvi_json *node, uint64_t *ret_value)
{
    int64_t value = 0;
    int r;

    if (cJSON_IsRaw(node) && node->valuestring[0] != '-') {
        char *end = NULL;
        unsigned long long wide;

        errno = 0;
        wide = strtoull(node->valuestring, &end, 10);
        if (errno || *end)
            return BV_E_FORMAT;
        *ret_value = wide;
        return 0;
    }
    r = bvi_json_int64(node, &value);
    if (r < 0 || value < 0)
        return BV_E_FORMAT;
    *ret_value = (uint64_t)value;
    return 0;
}

int bvi_json_double(const bvi_json *node, double *ret_value)
{
    if (cJSON_IsRaw(node)) {
        *ret_value = strtod(node->valuestring, NULL);
        return 0;
    }
    if (!cJSON_IsNumber(node))
        return BV_E_FORMAT;
    *ret_value = node->valuedouble;
    return 0;
}

/* ---- reading keys ---- */

static bool is_absent(const bvi_json *object, const char *key)
{
    return bvi_json_type_of(bvi_json_find(object, key)) == BVI_JSON_NULL;
}

static int wrong_type(const bvi_json *object, const char *key, const char *wanted, bv_error **err)
{
    const bvi_json *node = bvi_json_find(object, key);

    if (!node)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is missing", key);
    return bvi_fail(err, BV_E_FORMAT, "'%s' must be %s, not %s", key, wanted, bvi_json_type_name(node));
}

int bvi_json_get_string(const bvi_json *object, const char *key, const char **ret_value, bv_error **err)
{
    const char *value = bvi_json_string(bvi_json_find(object, key));

    if (!value)
        return wrong_type(object, key, "a string", err);
    *ret_value = value;
    return 0;
}

int bvi_json_get_int64(const bvi_json *object, const char *key, int64_t *ret_value, bv_error **err)
{
    if (bvi_json_int64(bvi_json_find(object, key), ret_value) < 0)
        return wrong_type(object, key, "an integer in range", err);
    return 0;
}

int bvi_json_get_uint64(const bvi_json *object, const char *key, uint64_t *ret_value, bv_error **err)
{
    if (bvi_json_uint64(bvi_json_find(object, key), ret_value) < 0)
        return wrong_type(object, key, "a whole number of zero or more", err);
    return 0;
}

int bvi_json_get_bool(const bvi_json *object, const char *key, bool *ret_value, bv_error **err)
{
    const bvi_json *node = bvi_json_find(object, key);

    if (bvi_json_type_of(node) != BVI_JSON_BOOL)
        return wrong_type(object, key, "true or false", err);
    *ret_value = bvi_json_is_true(node);
    return 0;
}

int bvi_json_get_array(const bvi_json *object, const char *key, const bvi_json **ret_value, bv_error **err)
{
    const bvi_json *node = bvi_json_find(object, key);

    if (bvi_json_type_of(node) != BVI_JSON_ARRAY)
        return wrong_type(object, key, "an array", err);
    *ret_value = node;
    return 0;
}

int bvi_json_get_object(const bvi_json *object, const char *key, const bvi_json **ret_value, bv_error **err)
{
    const bvi_json *node = bvi_json_find(object, key);

    if (bvi_json_type_of(node) != BVI_JSON_OBJECT)
        return wrong_type(object, key, "an object", err);
    *ret_value = node;
    return 0;
}

int bvi_json_opt_string(const bvi_json *object, const char *key, const char **value, bv_error **err)
{
    return is_absent(object, key) ? 0 : bvi_json_get_string(object, key, value, err);
}

int bvi_json_opt_int64(const bvi_json *object, const char *key, int64_t *value, bv_error **err)
{
    return is_absent(object, key) ? 0 : bvi_json_get_int64(object, key, value, err);
}

int bvi_json_opt_uint64(const bvi_json *object, const char *key, uint64_t *value, bv_error **err)
{
    return is_absent(object, key) ? 0 : bvi_json_get_uint64(object, key, value, err);
}

int bvi_json_opt_bool(const bvi_json *object, const char *key, bool *value, bv_error **err)
{
    return is_absent(object, key) ? 0 : bvi_json_get_bool(object, key, value, err);
}

/* ---- building ---- */

bvi_json *bvi_json_new_object(void)
{
    return cJSON_CreateObject();
}

bvi_json *bvi_json_new_array(void)
{
    return cJSON_CreateArray();
}

bvi_json *bvi_json_new_string(const char *text)
{
    return text ? cJSON_CreateString(text) : cJSON_CreateNull();
}

bvi_json *bvi_json_new_string_n(const char *text, size_t len)
{
    bvi_auto_free char *copy = bvi_strndup(text, len);

    return copy ? cJSON_CreateString(copy) : NULL;
}

static bvi_json *new_integer(const char *text)
{
    return needs_text(text, strlen(text)) ? cJSON_CreateRaw(text) : cJSON_CreateNumber(strtod(text, NULL));
}

bvi_json *bvi_json_new_int64(int64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRId64, value); /* at most 20 characters */
    return new_integer(text);
}

bvi_json *bvi_json_new_uint64(uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value); /* at most 20 characters */
    return new_integer(text);
}

bvi_json *bvi_json_new_double(double value)
{
    return isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull();
}

bvi_json *bvi_json_new_bool(bool value)
{
    return cJSON_CreateBool(value);
}

bvi_json *bvi_json_new_null(void)
{
    return cJSON_CreateNull();
}

int bvi_json_put(bvi_json *object, const char *key, bvi_json *value)
{
    cJSON_bool done;

    if (!value)
        return BV_E_NOMEM;
    done = cJSON_HasObjectItem(object, key) && bvi_json_find(object, key)
               ? cJSON_ReplaceItemInObjectCaseSensitive(object, key, value)
               : cJSON_AddItemToObject(object, key, value);
    if (!done) {
        cJSON_Delete(value);
        return BV_E_NOMEM;
    }
    return 0;
}

int bvi_json_add(bvi_json *array, bvi_json *value)
{
    if (!value)
        return BV_E_NOMEM;
    if (!cJSON_AddItemToArray(array, value)) {
        cJSON_Delete(value);
        return BV_E_NOMEM;
    }
    return 0;
}

int bvi_json_put_string(bvi_json *object, const char *key, const char *text)
{
    return bvi_json_put(object, key, bvi_json_new_string(text));
}

int bvi_json_put_int64(bvi_json *object, const char *key, int64_t value)
{
    return bvi_json_put(object, key, bvi_json_new_int64(value));
}

int bvi_json_put_uint64(bvi_json *object, const char *key, uint64_t value)
{
    return bvi_json_put(object, key, bvi_json_new_uint64(value));
}

int bvi_json_put_bool(bvi_json *object, const char *key, bool value)
{
    return bvi_json_put(object, key, bvi_json_new_bool(value));
}

void bvi_json_remove(bvi_json *object, const char *key)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
}
