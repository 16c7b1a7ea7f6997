/*
 * json.c - JSON documents over cJSON.
 *
 * cJSON is lenient about what it reads and keeps numbers as doubles, which loses integers beyond
 * 2^53 and the spelling of fractions. So a text is first checked here against the grammar, which
 * also tells where a mistake is; then cJSON builds the tree; then a walk over both turns every
 * number a double might change into a raw node that holds its text. Numbers occur in the tree in
 * the order in which they stand in the text. Printing is ours (json_text.c). cJSON's allocator is
 * process-wide and so is left alone.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_text.h"
#include "base/utf8.h"

/* Integers up to this many digits are exact in a double. */
#define EXACT_DIGITS 15u
/* The text of a longer number is not kept. */
#define NUMBER_TEXT_MAX 64u
/* Objects with more keys are searched for repeated ones by sorting. */
#define FEW_KEYS 16u

/* ---- checking a text ---- */

typedef struct scanner {
    const char *start;
    const char *at;
    const char *end;
    const char *mistake; /* what is wrong at `at` */
    bool too_deep;
    unsigned depth;
    char closers[BVI_JSON_DEPTH_MAX]; /* of the open containers */
} scanner;

static bool mistake(scanner *s, const char *what)
{
    s->mistake = what;
    return false;
}

static bool scan_char(scanner *s, char c)
{
    if (s->at >= s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static void scan_space(scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r' || *s->at == '\n'))
        s->at++;
}

static bool scan_digits(scanner *s)
{
    const char *from = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > from;
}

static bool scan_number(scanner *s)
{
    (void)scan_char(s, '-'); /* optional */
    if (!scan_char(s, '0') && !scan_digits(s))
        return mistake(s, "a digit is missing");
    if (scan_char(s, '.') && !scan_digits(s))
        return mistake(s, "a digit is missing after the point");
    if (scan_char(s, 'e') || scan_char(s, 'E')) {
        if (!scan_char(s, '+'))
            (void)scan_char(s, '-'); /* optional */
        if (!scan_digits(s))
            return mistake(s, "a digit is missing in the exponent");
    }
    return true;
}

/* The value of four hexadecimal digits, or -1. */
static int scan_hex4(scanner *s)
{
    int value = 0;

    for (int i = 0; i < 4; i++, s->at++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *found = s->at < s->end && *s->at ? strchr(digits, *s->at) : NULL;

        if (!found)
            return -1;
        value = value << 4 | (int)((found - digits) % 16);
    }
    return value;
}

static bool scan_escape(scanner *s)
{
    int value;

    if (s->at < s->end && *s->at && strchr("\"\\/bfnrt", *s->at)) {
        s->at++;
        return true;
    }
    if (!scan_char(s, 'u'))
        return mistake(s, "an unknown escape");
    value = scan_hex4(s);
    if (value < 0)
        return mistake(s, "four hexadecimal digits are missing");
    if (value == 0)
        return mistake(s, "a zero character in a text");
    if (value >= 0xDC00 && value <= 0xDFFF)
        return mistake(s, "half a surrogate pair");
    if (value >= 0xD800 && value <= 0xDBFF) {
        value = scan_char(s, '\\') && scan_char(s, 'u') ? scan_hex4(s) : -1;
        if (value < 0xDC00 || value > 0xDFFF)
            return mistake(s, "half a surrogate pair");
    }
    return true;
}

static bool scan_string(scanner *s)
{
    if (!scan_char(s, '"'))
        return mistake(s, "a '\"' is missing");
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20)
            return mistake(s, "a control character in a text");
        if (*s->at++ == '\\' && !scan_escape(s))
            return false;
    }
    return scan_char(s, '"') || mistake(s, "the text does not end");
}

static bool scan_word(scanner *s)
{
    static const char *const words[] = { "true", "false", "null" };

    for (size_t i = 0; i < BVI_COUNT(words); i++) {
        size_t len = strlen(words[i]);

        if ((size_t)(s->end - s->at) >= len && memcmp(s->at, words[i], len) == 0) {
            s->at += len;
            return true;
        }
    }
    return mistake(s, s->at < s->end ? "a value is missing" : "the document ends early");
}

static bool scan_key(scanner *s)
{
    scan_space(s);
    if (!scan_string(s))
        return false;
    scan_space(s);
    return scan_char(s, ':') || mistake(s, "a ':' is missing");
}

/* Steps into a container. *ret_empty: it was closed at once, so no value follows. */
static bool scan_open(scanner *s, char closer, bool *ret_empty)
{
    if (s->depth >= BVI_JSON_DEPTH_MAX) {
        s->too_deep = true;
        return mistake(s, "nested too deeply");
    }
    s->at++;
    scan_space(s);
    *ret_empty = scan_char(s, closer);
    if (*ret_empty)
        return true;
    s->closers[s->depth++] = closer;
    return closer == ']' || scan_key(s);
}

/* After a value: closes what ends here. *ret_more: another value follows. */
static bool scan_close(scanner *s, bool *ret_more)
{
    *ret_more = false;
    for (scan_space(s); s->depth; scan_space(s)) {
        char closer = s->closers[s->depth - 1];

        if (scan_char(s, ',')) {
            *ret_more = true;
            return closer == ']' || scan_key(s);
        }
        if (!scan_char(s, closer))
            return mistake(s,
                           closer == ']' ? "a ',' or ']' is missing" : "a ',' or '}' is missing");
        s->depth--;
    }
    return s->at >= s->end || mistake(s, "more text after the document");
}

static bool scan_document(scanner *s)
{
    for (bool more = true; more;) {
        char c;
        bool done = true, good;

        scan_space(s);
        c = s->at < s->end ? *s->at : '\0';
        if (c == '{' || c == '[')
            good = scan_open(s, c == '{' ? '}' : ']', &done);
        else if (c == '"')
            good = scan_string(s);
        else
            good = c == '-' || (c >= '0' && c <= '9') ? scan_number(s) : scan_word(s);
        if (!good || (done && !scan_close(s, &more)))
            return false;
    }
    return true;
}

static int check_text(const char *text, size_t len, bv_error **err)
{
    scanner s = { .start = text, .at = text, .end = text + len };
    size_t line = 1, column = 1;

    if (len > BVI_JSON_BYTES_MAX)
        return bvi_fail(err, BV_E_LIMIT, "longer than %u bytes", BVI_JSON_BYTES_MAX);
    if (!bvi_utf8_valid(text, len))
        return bvi_fail(err, BV_E_FORMAT, "not JSON: not UTF-8 text");
    if (scan_document(&s))
        return 0;
    for (const char *at = text; at < s.at; at++) {
        column = *at == '\n' ? 1 : column + 1;
        line += *at == '\n';
    }
    return bvi_fail(err, s.too_deep ? BV_E_LIMIT : BV_E_FORMAT,
                    "not JSON: line %zu, column %zu: %s", line, column, s.mistake);
}

/* ---- keeping the text of numbers ---- */

static void skip_string(scanner *s)
{
    for (s->at++; *s->at != '"'; s->at++) {
        if (*s->at == '\\')
            s->at++;
    }
    s->at++;
}

/* Finds the next number outside strings in a text that was checked. */
static const char *next_number(scanner *s, size_t *ret_len)
{
    while (s->at < s->end && *s->at != '-' && !(*s->at >= '0' && *s->at <= '9')) {
        if (*s->at == '"')
            skip_string(s);
        else
            s->at++;
    }
    *ret_len = 0;
    while (s->at + *ret_len < s->end && s->at[*ret_len] &&
           strchr("+-.eE0123456789", s->at[*ret_len]))
        (*ret_len)++;
    s->at += *ret_len;
    return s->at - *ret_len;
}

static bool is_whole(const char *text, size_t len)
{
    return !memchr(text, '.', len) && !memchr(text, 'e', len) && !memchr(text, 'E', len);
}

static bool needs_text(const char *text, size_t len)
{
    size_t digits = len - (text[0] == '-');

    return len <= NUMBER_TEXT_MAX && (digits > EXACT_DIGITS || !is_whole(text, len));
}

/* The node keeps its double beside the text. */
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

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int repeated_key(const char *key, bv_error **err)
{
    return bvi_fail(err, BV_E_FORMAT, "the key '%s' is repeated", key);
}

static int check_many_keys(const bvi_json *object, size_t count, bv_error **err)
{
    bvi_auto_free const char **keys = bvi_new_array(const char *, count);
    size_t n = 0;

    if (!keys)
        return bvi_fail_nomem(err);
    bvi_json_each(it, object)
        keys[n++] = it->string;
    qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0)
            return repeated_key(keys[i], err);
    }
    return 0;
}

int bvi_json_check_keys(const bvi_json *object, bv_error **err)
{
    size_t count = cJSON_IsObject(object) ? bvi_json_count(object) : 0;

    if (count > FEW_KEYS)
        return check_many_keys(object, count, err);
    if (count < 2)
        return 0;
    bvi_json_each(it, object) {
        for (const bvi_json *other = it->next; other; other = other->next) {
            if (strcmp(it->string, other->string) == 0)
                return repeated_key(it->string, err);
        }
    }
    return 0;
}

/* Depth-first in document order, without recursion on siblings; depth was checked before. */
static int finish(cJSON *node, scanner *s, bv_error **err)
{
    for (; node; node = node->next) {
        int r = bvi_json_check_keys(node, err);

        if (r < 0)
            return r;
        if (cJSON_IsNumber(node)) {
            size_t len = 0;
            const char *text = next_number(s, &len);

            if (needs_text(text, len) && keep_number_text(node, text, len) < 0)
                return bvi_fail_nomem(err);
        }
        r = finish(node->child, s, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int bvi_json_parse(const char *text, size_t len, bvi_json **ret_root, bv_error **err)
{
    scanner s = { .start = text, .at = text, .end = text + len };
    cJSON *root;
    int r;

    r = check_text(text, len, err);
    if (r < 0)
        return r;
    root = cJSON_ParseWithLength(text, len);
    if (!root)
        return bvi_fail_nomem(err); /* the text was checked, so nothing else can be wrong */
    r = finish(root, &s, err);
    if (r < 0) {
        cJSON_Delete(root);
        return bvi_wrap(err, r, "not JSON");
    }
    *ret_root = root;
    return 0;
}

/* ---- printing ---- */

/* The shortest text that reads back as the same double; always with a point or an exponent,
 * whatever the locale. */
static void format_double(double value, char text[32])
{
    char digits[32];
    size_t n = 0;

    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof(digits), "%.*g", precision,
                       value); /* at most 24 characters */
        if (strtod(digits, NULL) == value)
            break;
    }
    for (size_t i = 0; digits[i]; i++) {
        if (strchr("+-e0123456789", digits[i]))
            text[n++] = digits[i];
        else if (n && text[n - 1] != '.')
            text[n++] = '.'; /* the locale's point may have several bytes */
    }
    text[n] = '\0';
    if (is_whole(text, n))
        memcpy(text + n, ".0", 3);
}

static void print_number(bvi_json_text *w, const bvi_json *node)
{
    int64_t whole = 0;
    char text[32];

    if (cJSON_IsRaw(node)) {
        bvi_json_text_raw(w, node->valuestring);
    } else if (bvi_json_int64(node, &whole) == 0) {
        bvi_json_text_int(w, whole);
    } else if (isfinite(node->valuedouble)) {
        format_double(node->valuedouble, text);
        bvi_json_text_raw(w, text);
    } else {
        bvi_json_text_null(w);
    }
}

static void print_node(bvi_json_text *w, const bvi_json *node)
{
    bvi_json_type type = bvi_json_type_of(node);

    if (type == BVI_JSON_ARRAY || type == BVI_JSON_OBJECT) {
        if (w->depth >= BVI_JSON_DEPTH_MAX) {
            w->result = BV_E_LIMIT;
            return;
        }
        bvi_json_text_open(w, type == BVI_JSON_ARRAY ? '[' : '{');
        for (const bvi_json *child = node->child; child && w->result >= 0; child = child->next) {
            if (type == BVI_JSON_OBJECT)
                bvi_json_text_key(w, child->string);
            print_node(w, child);
        }
        bvi_json_text_close(w, type == BVI_JSON_ARRAY ? ']' : '}');
    } else if (type == BVI_JSON_STRING) {
        bvi_json_text_str(w, node->valuestring);
    } else if (type == BVI_JSON_NUMBER) {
        print_number(w, node);
    } else if (type == BVI_JSON_BOOL) {
        bvi_json_text_bool(w, cJSON_IsTrue(node));
    } else {
        bvi_json_text_null(w);
    }
}

int bvi_json_print(const bvi_json *node, bool pretty, char **ret_text, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(BVI_JSON_BYTES_MAX);
    bvi_json_text w;
    char *text;
    int r;

    bvi_json_text_init(&w, &buf, pretty);
    print_node(&w, node);
    r = bvi_json_text_end(&w);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r,
                        "JSON document is longer than %u bytes or nested deeper than %u levels",
                        BVI_JSON_BYTES_MAX, BVI_JSON_DEPTH_MAX);
    text = r < 0 ? NULL : bvi_buf_take(&buf);
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

bool bvi_json_is_integer(const bvi_json *node)
{
    if (cJSON_IsRaw(node))
        return is_whole(node->valuestring, strlen(node->valuestring));
    return cJSON_IsNumber(node) && node->valuedouble == floor(node->valuedouble);
}

int bvi_json_int64(const bvi_json *node, int64_t *ret_value)
{
    if (cJSON_IsRaw(node) && bvi_json_is_integer(node)) {
        long long value;

        errno = 0;
        value = strtoll(node->valuestring, NULL, 10);
        if (errno)
            return BV_E_FORMAT;
        *ret_value = value;
        return 0;
    }
    if (bvi_json_type_of(node) != BVI_JSON_NUMBER ||
        node->valuedouble != floor(node->valuedouble) ||
        fabs(node->valuedouble) > 9007199254740992.0)
        return BV_E_FORMAT;
    *ret_value = (int64_t)node->valuedouble;
    return 0;
}

int bvi_json_uint64(const bvi_json *node, uint64_t *ret_value)
{
    int64_t value = 0;
    int r;

    if (cJSON_IsRaw(node) && bvi_json_is_integer(node) && node->valuestring[0] != '-') {
        unsigned long long wide;

        errno = 0;
        wide = strtoull(node->valuestring, NULL, 10);
        if (errno)
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
    if (bvi_json_type_of(node) != BVI_JSON_NUMBER || !isfinite(node->valuedouble))
        return BV_E_FORMAT;
    *ret_value = node->valuedouble;
    return 0;
}

int bvi_json_scalar_text(const bvi_json *node, char **ret_text, bv_error **err)
{
    bvi_json_type type = bvi_json_type_of(node);
    char *text;

    if (type == BVI_JSON_NUMBER || type == BVI_JSON_BOOL)
        return bvi_json_print(node, false, ret_text, err);
    if (type != BVI_JSON_STRING)
        return bvi_fail(err, BV_E_FORMAT, "must be text, not %s", bvi_json_type_name(node));
    text = bvi_strdup(node->valuestring);
    if (!text)
        return bvi_fail_nomem(err);
    *ret_text = text;
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
    return bvi_fail(err, BV_E_FORMAT, "'%s' must be %s, not %s", key, wanted,
                    bvi_json_type_name(node));
}

int bvi_json_get_string(const bvi_json *object, const char *key, const char **ret_value,
                        bv_error **err)
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

int bvi_json_get_uint64(const bvi_json *object, const char *key, uint64_t *ret_value,
                        bv_error **err)
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

int bvi_json_get_array(const bvi_json *object, const char *key, const bvi_json **ret_value,
                       bv_error **err)
{
    const bvi_json *node = bvi_json_find(object, key);

    if (bvi_json_type_of(node) != BVI_JSON_ARRAY)
        return wrong_type(object, key, "an array", err);
    *ret_value = node;
    return 0;
}

int bvi_json_get_object(const bvi_json *object, const char *key, const bvi_json **ret_value,
                        bv_error **err)
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

/* Bad bytes become U+FFFD, as they would in the printed text. */
static bvi_json *new_repaired_string(const char *text, size_t len)
{
    BVI_AUTO(bvi_buf_done) bvi_buf buf = BVI_BUF_INIT(BVI_JSON_BYTES_MAX);
    size_t used = 0;

    for (size_t i = 0; i < len; i += used) {
        bool good = bvi_utf8_decode(text + i, len - i, &used) >= 0;

        if (bvi_buf_append(&buf, good ? text + i : "\xEF\xBF\xBD", good ? used : 3) < 0)
            return NULL;
    }
    return cJSON_CreateString(bvi_buf_str(&buf));
}

bvi_json *bvi_json_new_string(const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (!text)
        return cJSON_CreateNull();
    return bvi_utf8_valid(text, len) ? cJSON_CreateString(text) : new_repaired_string(text, len);
}

bvi_json *bvi_json_new_string_n(const char *text, size_t len)
{
    bvi_auto_free char *copy = bvi_strndup(text, len);

    return copy ? bvi_json_new_string(copy) : NULL;
}

bvi_json *bvi_json_new_number(const char *text)
{
    cJSON *node = cJSON_Parse(text);
    size_t len = strlen(text);

    if (node && needs_text(text, len) && keep_number_text(node, text, len) < 0) {
        cJSON_Delete(node);
        return NULL;
    }
    return node;
}

bvi_json *bvi_json_new_int64(int64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRId64, value); /* at most 20 characters */
    return bvi_json_new_number(text);
}

bvi_json *bvi_json_new_uint64(uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value); /* at most 20 characters */
    return bvi_json_new_number(text);
}

bvi_json *bvi_json_new_double(double value)
{
    char text[32];

    if (!isfinite(value))
        return cJSON_CreateNull();
    format_double(value, text);
    return bvi_json_new_number(text);
}

bvi_json *bvi_json_new_bool(bool value)
{
    return cJSON_CreateBool(value);
}

bvi_json *bvi_json_new_null(void)
{
    return cJSON_CreateNull();
}

int bvi_json_append(bvi_json *object, const char *key, bvi_json *value)
{
    if (!value)
        return BV_E_NOMEM;
    if (!cJSON_AddItemToObject(object, key, value)) {
        cJSON_Delete(value);
        return BV_E_NOMEM;
    }
    return 0;
}

/* Not cJSON's own replacing by key: when out of memory that leaves a value without a key behind. */
static int replace(bvi_json *object, bvi_json *old, bvi_json *value)
{
    size_t size = strlen(old->string) + 1;
    char *key = cJSON_malloc(size);

    if (!key) {
        cJSON_Delete(value);
        return BV_E_NOMEM;
    }
    memcpy(key, old->string, size);
    cJSON_free(value->string);
    value->string = key;
    (void)cJSON_ReplaceItemViaPointer(object, old, value); /* old was found in object */
    return 0;
}

int bvi_json_put(bvi_json *object, const char *key, bvi_json *value)
{
    cJSON *old = value ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;

    return old ? replace(object, old, value) : bvi_json_append(object, key, value);
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

bvi_json *bvi_json_detach(bvi_json *object, const char *key)
{
    return cJSON_DetachItemFromObjectCaseSensitive(object, key);
}
