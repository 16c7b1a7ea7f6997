/*
 * text.c - text as templates see it.
 *
 * Grapheme segmentation covers what occurs in names and messages: combining marks, variation
 * selectors, emoji with modifiers and joiners, flags, and "\r\n". It does not compose Hangul
 * syllables out of parts or Indic conjuncts.
 */
#include <string.h>

#include "base/utf8.h"
#include "template/text.h"

typedef struct range {
    uint32_t first, last;
} range;

/* Belong to the character before them. */
static const range extenders[] = {
    { 0x0300, 0x036F }, { 0x0483, 0x0489 }, { 0x0591, 0x05BD },   { 0x0610, 0x061A },
    { 0x064B, 0x065F }, { 0x093A, 0x093C }, { 0x093E, 0x094F },   { 0x0E31, 0x0E31 },
    { 0x0E34, 0x0E3A }, { 0x0E47, 0x0E4E }, { 0x1AB0, 0x1ACE },   { 0x1DC0, 0x1DFF },
    { 0x200C, 0x200D }, { 0x20D0, 0x20F0 }, { 0x3099, 0x309A },   { 0xFE00, 0xFE0F },
    { 0xFE20, 0xFE2F }, { 0xFF9E, 0xFF9F }, { 0x1F3FB, 0x1F3FF }, { 0xE0020, 0xE007F },
};

#define JOINER   0x200Du
#define FLAG_A   0x1F1E6u /* regional indicators pair up to flags */
#define FLAG_Z   0x1F1FFu
#define REPLACED 0xFFFDu

static bool is_in(const range *ranges, size_t count, uint32_t c)
{
    for (size_t i = 0; i < count; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    }
    return false;
}

uint32_t bvi_text_char(const char *text, size_t len, size_t *ret_used)
{
    int32_t c = bvi_utf8_decode(text, len, ret_used);

    return c < 0 ? REPLACED : (uint32_t)c;
}

bool bvi_text_is_space(uint32_t c)
{
    return bvi_utf8_is_space((int32_t)c);
}

bool bvi_text_is_word(uint32_t c)
{
    if (c >= 0x80)
        return !bvi_text_is_space(c);
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bvi_span trim_start(bvi_span text)
{
    size_t used = 0;

    while (text.len && bvi_text_is_space(bvi_text_char(text.at, text.len, &used))) {
        text.at += used;
        text.len -= used;
    }
    return text;
}

static bvi_span trim_end(bvi_span text)
{
    while (text.len) {
        size_t back = 1;
        size_t used = 0;

        while (back < 4 && back < text.len &&
               ((unsigned char)text.at[text.len - back] & 0xC0) == 0x80)
            back++;
        if (!bvi_text_is_space(bvi_text_char(text.at + text.len - back, back, &used)))
            break;
        text.len -= back;
    }
    return text;
}

bvi_span bvi_text_trim(bvi_span text, unsigned ends)
{
    if (ends & BVI_TRIM_START)
        text = trim_start(text);
    return ends & BVI_TRIM_END ? trim_end(text) : text;
}

size_t bvi_text_grapheme(const char *text, size_t len)
{
    size_t used = 0;
    uint32_t first = bvi_text_char(text, len, &used);
    uint32_t before = first;
    size_t at = used;

    if (first == '\r' && len > 1 && text[1] == '\n')
        return 2;
    while (at < len) {
        uint32_t c = bvi_text_char(text + at, len - at, &used);
        bool pair = first >= FLAG_A && first <= FLAG_Z && at == 4 && c >= FLAG_A && c <= FLAG_Z;

        if (!pair && before != JOINER && !is_in(extenders, BVI_COUNT(extenders), c))
            break;
        before = c;
        at += used;
    }
    return at;
}

bvi_span bvi_text_word(bvi_span *rest)
{
    bvi_span word = trim_start(*rest);
    size_t used = 0;
    size_t n = 0;

    while (n < word.len && !bvi_text_is_space(bvi_text_char(word.at + n, word.len - n, &used)))
        n += used;
    *rest = (bvi_span){ word.at + n, word.len - n };
    word.len = n;
    return word;
}

const char *bvi_text_find(bvi_span text, bvi_span needle)
{
    return needle.len ? memmem(text.at, text.len, needle.at, needle.len) : text.at;
}

typedef struct escape {
    char c;
    const char *text;
} escape;

static const escape html[] = {
    { '&', "&amp;" },  { '<', "&lt;" },    { '>', "&gt;" },
    { '"', "&quot;" }, { '\'', "&#x27;" }, { '/', "&#x2F;" },
};

static const escape xml[] = {
    { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&apos;" },
};

static const char *find_escape(const escape *table, size_t count, char c)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].c == c)
            return table[i].text;
    }
    return NULL;
}

static int escape_with(bvi_buf *out, bvi_span text, const escape *table, size_t count)
{
    size_t plain = 0; /* from here on nothing had to be escaped */
    int r = 0;

    for (size_t i = 0; r >= 0 && i < text.len; i++) {
        const char *instead = find_escape(table, count, text.at[i]);

        if (!instead)
            continue;
        r = bvi_buf_append(out, text.at + plain, i - plain);
        if (r >= 0)
            r = bvi_buf_append_str(out, instead);
        plain = i + 1;
    }
    return r < 0 ? r : bvi_buf_append(out, text.at + plain, text.len - plain);
}

int bvi_text_escape_html(bvi_buf *out, bvi_span text)
{
    return escape_with(out, text, html, BVI_COUNT(html));
}

int bvi_text_escape_xml(bvi_buf *out, bvi_span text)
{
    return escape_with(out, text, xml, BVI_COUNT(xml));
}
