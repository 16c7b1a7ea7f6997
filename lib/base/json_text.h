/*
 * json_text.h - writing JSON as text straight into a buffer, without a tree.
 *
 * For programs that must not carry a JSON library (the job runner), for streams of small records,
 * and for bvi_json_print(). Commas come by themselves:
 *
 *     bvi_json_text w;
 *     bvi_json_text_init(&w, &buf, false);
 *     bvi_json_text_open(&w, '{');
 *     bvi_json_text_key(&w, "pid");
 *     bvi_json_text_int(&w, pid);
 *     bvi_json_text_close(&w, '}');
 *     r = bvi_json_text_end(&w);      // the first failure of all calls: BV_E_NOMEM or BV_E_LIMIT
 *
 * Calls after a failure do nothing. Text that is not UTF-8 gets U+FFFD for each bad byte, so the
 * result always is.
 */
#ifndef BVI_BASE_JSON_TEXT_H
#define BVI_BASE_JSON_TEXT_H

#include "base/buf.h"

typedef struct bvi_json_text {
    bvi_buf *buf;
    unsigned depth; /* open containers */
    bool pretty;    /* a line for each member, indented by two blanks */
    bool filled;    /* the innermost container has a member */
    bool after_key;
    int result;
} bvi_json_text;

void bvi_json_text_init(bvi_json_text *w, bvi_buf *buf, bool pretty);
void bvi_json_text_open(bvi_json_text *w, char bracket); /* '{' or '[' */
void bvi_json_text_close(bvi_json_text *w, char bracket);
void bvi_json_text_key(bvi_json_text *w, const char *key);
void bvi_json_text_str(bvi_json_text *w, const char *text); /* NULL writes null */
void bvi_json_text_strn(bvi_json_text *w, const char *text, size_t len);
void bvi_json_text_int(bvi_json_text *w, int64_t value);
void bvi_json_text_uint(bvi_json_text *w, uint64_t value);
void bvi_json_text_bool(bvi_json_text *w, bool value);
void bvi_json_text_null(bvi_json_text *w);
void bvi_json_text_raw(bvi_json_text *w, const char *json); /* a value that is JSON already */
int bvi_json_text_end(const bvi_json_text *w);

/* Only the quoted string, with its quotes. */
int bvi_json_text_quote(bvi_buf *buf, const char *text, size_t len);

#endif
