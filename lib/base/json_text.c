/*
 * json_text.c - writing JSON as text straight into a buffer.
 */
#include <inttypes.h>
#include <string.h>

#include <blockvisor/error.h>

#include "base/json_text.h"
#include "base/utf8.h"

#define INDENT "                                                                " /* 64 blanks */

static int append_char(bvi_buf *buf, unsigned char c)
{
    static const char shorts[] =
        "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: character, letter after the backslash */

    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if (c == (unsigned char)shorts[i])
            return bvi_buf_append(buf, (char[]){ '\\', shorts[i + 1] }, 2);
    }
    return bvi_buf_printf(buf, "\\u%04x", c);
}

/* How many bytes from text on stand for themselves. */
static size_t plain_run(const char *text, size_t len)
{
    size_t used = 0, i = 0;

    for (; i < len; i += used) {
        unsigned char c = (unsigned char)text[i];

        used = 1;
        if (c < 0x20 || c == '"' || c == '\\')
            break;
        if (c >= 0x80 && bvi_utf8_decode(text + i, len - i, &used) < 0)
            break;
    }
    return i;
}

int bvi_json_text_quote(bvi_buf *buf, const char *text, size_t len)
{
    int r = bvi_buf_append_char(buf, '"');

    for (size_t i = 0; i < len && r >= 0;) {
        size_t run = plain_run(text + i, len - i);

        r = bvi_buf_append(buf, text + i, run);
        i += run;
        if (i >= len || r < 0)
            break;
        r = (unsigned char)text[i] >= 0x80 ? bvi_buf_append_str(buf, "\xEF\xBF\xBD")
                                           : append_char(buf, (unsigned char)text[i]);
        i++;
    }
    return r < 0 ? r : bvi_buf_append_char(buf, '"');
}

void bvi_json_text_init(bvi_json_text *w, bvi_buf *buf, bool pretty)
{
    *w = (bvi_json_text){ .buf = buf, .pretty = pretty };
}

static void put(bvi_json_text *w, const char *bytes, size_t len)
{
    if (w->result >= 0)
        w->result = bvi_buf_append(w->buf, bytes, len);
}

static void new_line(bvi_json_text *w)
{
    size_t blanks = (size_t)w->depth * 2;

    if (!w->pretty)
        return;
    put(w, "\n", 1);
    for (; blanks; blanks -= blanks < sizeof(INDENT) - 1 ? blanks : sizeof(INDENT) - 1)
        put(w, INDENT, blanks < sizeof(INDENT) - 1 ? blanks : sizeof(INDENT) - 1);
}

/* What stands between the previous member and the next value or key. */
static void separate(bvi_json_text *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->filled)
        put(w, ",", 1);
    if (w->depth)
        new_line(w);
    w->filled = true;
}

void bvi_json_text_open(bvi_json_text *w, char bracket)
{
    separate(w);
    put(w, &bracket, 1);
    w->depth++;
    w->filled = false;
}

void bvi_json_text_close(bvi_json_text *w, char bracket)
{
    w->depth--;
    if (w->filled)
        new_line(w);
    put(w, &bracket, 1);
    w->filled = true;
}

void bvi_json_text_strn(bvi_json_text *w, const char *text, size_t len)
{
    separate(w);
    if (w->result >= 0)
        w->result = bvi_json_text_quote(w->buf, text, len);
}

void bvi_json_text_str(bvi_json_text *w, const char *text)
{
    if (text)
        bvi_json_text_strn(w, text, strlen(text));
    else
        bvi_json_text_null(w);
}

void bvi_json_text_key(bvi_json_text *w, const char *key)
{
    bvi_json_text_str(w, key);
    put(w, ": ", w->pretty ? 2 : 1);
    w->after_key = true;
}

void bvi_json_text_raw(bvi_json_text *w, const char *json)
{
    separate(w);
    put(w, json, strlen(json));
}

void bvi_json_text_int(bvi_json_text *w, int64_t value)
{
    separate(w);
    if (w->result >= 0)
        w->result = bvi_buf_printf(w->buf, "%" PRId64, value);
}

void bvi_json_text_uint(bvi_json_text *w, uint64_t value)
{
    separate(w);
    if (w->result >= 0)
        w->result = bvi_buf_printf(w->buf, "%" PRIu64, value);
}

void bvi_json_text_bool(bvi_json_text *w, bool value)
{
    bvi_json_text_raw(w, value ? "true" : "false");
}

void bvi_json_text_null(bvi_json_text *w)
{
    bvi_json_text_raw(w, "null");
}

int bvi_json_text_end(const bvi_json_text *w)
{
    return w->result;
}
