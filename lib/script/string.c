/*
 * string.c - string objects: UTF-8 with a remembered number of characters, so plain ASCII is
 * indexed directly.
 */
#include <string.h>

#include "base/utf8.h"
#include "script/engine.h"

/* What is appended to has room for this at least: more will follow. */
#define ROOM_MIN 31u

static bvi_string *allocate(bvi_script_engine *engine, size_t cap)
{
    bvi_string *s = bvi_script_realloc(engine, NULL, 0, sizeof(*s) + cap + 1);

    if (!s)
        return NULL;
    *s = (bvi_string){ .obj = { .refs = 1, .type = BVI_T_STRING, .engine = engine },
                       .cap = (uint32_t)cap };
    s->data[0] = '\0';
    return s;
}

static int check_size(bvi_script_engine *engine, size_t len)
{
    if (len > engine->options.limits.string_bytes)
        return bvi_script_too_large(engine, "Length of string");
    return 0;
}

int bvi_string_open(bvi_script_engine *engine, size_t len, bvi_string **ret)
{
    int r = check_size(engine, len);

    if (r < 0)
        return r;
    *ret = allocate(engine, len);
    if (!*ret)
        return BV_E_NOMEM;
    (*ret)->len = (uint32_t)len;
    (*ret)->data[len] = '\0';
    return 0;
}

size_t bvi_utf8_chars(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((uint8_t)text[i] & 0xc0u) != 0x80u;
    return n;
}

void bvi_string_close(bvi_string *s)
{
    s->chars = (uint32_t)bvi_utf8_chars(s->data, s->len);
}

int bvi_value_string(bvi_script_engine *engine, const char *text, size_t len, bvi_value *ret_value)
{
    bvi_string *s = NULL;
    int r = bvi_string_open(engine, len, &s);

    if (r < 0)
        return r;
    if (len > 0)
        memcpy(s->data, text, len);
    bvi_string_close(s);
    *ret_value = bvi_of_obj(s);
    return 0;
}

int bvi_value_cstring(bvi_script_engine *engine, const char *text, bvi_value *ret_value)
{
    if (!text) {
        *ret_value = BVI_VALUE_UNIT;
        return 0;
    }
    return bvi_value_string(engine, text, strlen(text), ret_value);
}

int bvi_string_from_buf(bvi_script_engine *engine, const bvi_buf *buf, bvi_value *ret)
{
    return bvi_value_string(engine, bvi_buf_str(buf), buf->len, ret);
}

int bvi_string_with_room(bvi_script_engine *engine, size_t room, bvi_value *ret)
{
    size_t most = engine->options.limits.string_bytes;
    bvi_string *s = allocate(engine, room < ROOM_MIN ? ROOM_MIN : room < most ? room : most);

    if (!s)
        return BV_E_NOMEM;
    *ret = bvi_of_obj(s);
    return 0;
}

/* Appending in a loop must not be quadratic, so an unshared string grows by half. */
static int grow(bvi_value *string, size_t need)
{
    bvi_string *s = bvi_str(string);
    bvi_script_engine *engine = s->obj.engine;
    size_t cap = need < ROOM_MIN ? ROOM_MIN : need + need / 2;
    bvi_string *grown;

    if (s->obj.refs == 1) {
        if (s->cap >= need)
            return 0;
        grown = bvi_script_realloc(engine, s, sizeof(*s) + s->cap + 1, sizeof(*s) + cap + 1);
        if (!grown)
            return BV_E_NOMEM;
    } else {
        grown = allocate(engine, cap);
        if (!grown)
            return BV_E_NOMEM;
        memcpy(grown->data, s->data, s->len);
        grown->len = s->len;
        grown->chars = s->chars;
        bvi_obj_unref(s);
    }
    grown->cap = (uint32_t)cap;
    string->as.obj = &grown->obj;
    return 0;
}

static int append(bvi_value *string, const char *text, size_t len, size_t chars)
{
    bvi_string *s = bvi_str(string);
    int r = check_size(s->obj.engine, (size_t)s->len + len);

    if (r < 0)
        return r;
    r = grow(string, (size_t)s->len + len);
    if (r < 0)
        return r;
    s = bvi_str(string);
    if (len > 0)
        memcpy(s->data + s->len, text, len);
    s->len += (uint32_t)len;
    s->hash = 0;
    s->data[s->len] = '\0';
    s->chars += (uint32_t)chars;
    return 0;
}

int bvi_string_append(bvi_value *string, const char *text, size_t len)
{
    return append(string, text, len, bvi_utf8_chars(text, len));
}

int bvi_string_append_ascii(bvi_value *string, const char *text, size_t len)
{
    return append(string, text, len, len);
}

int bvi_string_append_string(bvi_value *string, const bvi_value *more)
{
    bvi_value held = bvi_dup(more); /* s += s */
    int r = append(string, bvi_str(more)->data, bvi_str(more)->len, bvi_str(more)->chars);

    bvi_drop(&held);
    return r;
}

size_t bvi_string_offset(const bvi_string *s, size_t chars)
{
    size_t at = 0;

    if (s->chars == s->len)
        return chars;
    while (chars > 0 && at < s->len) {
        at++;
        while (at < s->len && ((uint8_t)s->data[at] & 0xc0u) == 0x80u)
            at++;
        chars--;
    }
    s->obj.engine->work += at;
    return at;
}

uint32_t bvi_string_char(const bvi_string *s, size_t index)
{
    size_t at = bvi_string_offset(s, index);
    size_t used;
    int32_t c = bvi_utf8_decode(s->data + at, s->len - at, &used);

    return c < 0 ? 0xfffdu : (uint32_t)c;
}

int bvi_string_compare(const bvi_string *a, const bvi_string *b)
{
    size_t shorter = a->len < b->len ? a->len : b->len;
    int d = memcmp(a->data, b->data, shorter);

    if (d != 0)
        return d;
    return a->len < b->len ? -1 : a->len > b->len;
}

int bvi_string_slice(const bvi_value *string, int64_t start, int64_t count, bvi_value *ret)
{
    const bvi_string *s = bvi_str(string);
    size_t from = bvi_string_offset(s, (size_t)start);
    size_t to = bvi_string_offset(s, (size_t)(start + count));

    if (from == 0 && to == s->len) {
        *ret = bvi_dup(string);
        return 0;
    }
    return bvi_value_string(s->obj.engine, s->data + from, to - from, ret);
}
