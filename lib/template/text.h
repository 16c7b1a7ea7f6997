/*
 * text.h - text as templates see it: white space, characters as a reader counts them, escapes.
 */
#ifndef BVI_TEMPLATE_TEXT_H
#define BVI_TEMPLATE_TEXT_H

#include "base/buf.h"

typedef struct bvi_span {
    const char *at;
    size_t len;
} bvi_span;

enum {
    BVI_TRIM_START = 1u << 0,
    BVI_TRIM_END = 1u << 1,
    BVI_TRIM_BOTH = BVI_TRIM_START | BVI_TRIM_END,
};

/* The scalar at text (len > 0) and its bytes; U+FFFD for a malformed one. */
uint32_t bvi_text_char(const char *text, size_t len, size_t *ret_used);
bool bvi_text_is_space(uint32_t c); /* Unicode's White_Space */
bool bvi_text_is_word(uint32_t c);  /* letter, digit or '_'; beyond ASCII: not a space */
bvi_span bvi_text_trim(bvi_span text, unsigned ends);
/* Bytes of the first grapheme: a character with the marks, joiners and modifiers behind it. */
size_t bvi_text_grapheme(const char *text, size_t len);
/* The next run of characters without white space; len 0: there is none. Moves *rest behind it. */
bvi_span bvi_text_word(bvi_span *rest);
/* Where needle begins in text; NULL: nowhere. An empty needle is at the start. */
const char *bvi_text_find(bvi_span text, bvi_span needle);
/* `& < > " ' /` as HTML wants them. 0, BV_E_NOMEM or BV_E_LIMIT. */
int bvi_text_escape_html(bvi_buf *out, bvi_span text);
int bvi_text_escape_xml(bvi_buf *out, bvi_span text);

#endif
