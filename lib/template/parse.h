/*
 * parse.h - the parser's state, shared by its three files: parse.c (text and tags' frames),
 * parse_tag.c and parse_expr.c. There is no separate lexer: what a character means depends on
 * whether it stands in text, in a tag or in a path.
 */
#ifndef BVI_TEMPLATE_PARSE_H
#define BVI_TEMPLATE_PARSE_H

#include "template/tree.h"

/* The words that end the body of a tag. */
enum {
    BVI_TPL_END_FILE = 0,
    BVI_TPL_END_ELIF = 1u << 0,
    BVI_TPL_END_ELSE = 1u << 1,
    BVI_TPL_END_IF = 1u << 2,
    BVI_TPL_END_FOR = 1u << 3,
    BVI_TPL_END_FILTER = 1u << 4,
    BVI_TPL_END_MACRO = 1u << 5,
    BVI_TPL_END_BLOCK = 1u << 6,
};

typedef struct bvi_tpl_parser {
    bvi_template *tpl;
    const char *start;
    const char *at;
    const char *end;
    bool trim;          /* the tag before the next text ended with '-' */
    unsigned blocks;    /* tags that are open */
    unsigned loops;     /* of them, loops that `break` can leave */
    unsigned depth;     /* of parentheses and brackets */
    const char *tag_at; /* where the tag being parsed begins */
    const char *opened; /* the innermost open tag */
    /* The first mistake; code 0: none. */
    int code;
    const char *mistake_at;
    char mistake[160];
} bvi_tpl_parser;

/* Notes what is wrong where, and returns the code to pass on. */
int bvi_tpl_syntax(bvi_tpl_parser *p, const char *at, const char *fmt, ...) BV_PRINTF(3, 4);
int bvi_tpl_too_much(bvi_tpl_parser *p, const char *at, const char *fmt, ...) BV_PRINTF(3, 4);
int bvi_tpl_no_room(bvi_tpl_parser *p); /* the template's arena gave nothing */

/* ---- parse.c: characters ---- */
void bvi_tpl_skip_space(bvi_tpl_parser *p);
bool bvi_tpl_looking_at(const bvi_tpl_parser *p, const char *text);
/* The word here, without moving; len 0: none. */
bvi_span bvi_tpl_peek_word(const bvi_tpl_parser *p);
/* After white space: takes the text or the whole word when it is there. */
bool bvi_tpl_take(bvi_tpl_parser *p, const char *text);
bool bvi_tpl_take_word(bvi_tpl_parser *p, const char *word);
int bvi_tpl_need(bvi_tpl_parser *p, const char *text);
int bvi_tpl_need_name(bvi_tpl_parser *p, bvi_span *ret); /* an identifier */
int bvi_tpl_need_string(bvi_tpl_parser *p, bvi_span *ret);
/* The end of `{{` or `{%`, with or without '-'; closer is "}}" or "%}". */
int bvi_tpl_need_end(bvi_tpl_parser *p, const char *closer);
bool bvi_tpl_at_end(const bvi_tpl_parser *p, const char *closer);

/* Parses up to a tag in `ends`, which is taken up to behind its word. */
int bvi_tpl_parse_body(bvi_tpl_parser *p, unsigned ends, bvi_tpl_node **ret_first,
                       unsigned *ret_end);

/* ---- parse_expr.c ---- */
/* An expression, or a list with filters. */
int bvi_tpl_parse_value(bvi_tpl_parser *p, bvi_tpl_expr **ret);
int bvi_tpl_parse_logic(bvi_tpl_parser *p, bvi_tpl_expr **ret);
int bvi_tpl_parse_container(bvi_tpl_parser *p, bvi_tpl_expr **ret); /* of `for` */
int bvi_tpl_parse_literal(bvi_tpl_parser *p, bvi_tpl_expr **ret);
/* `name` or `name(a=1)`; input may be NULL. */
int bvi_tpl_parse_filter(bvi_tpl_parser *p, bvi_tpl_expr *input, bvi_tpl_expr **ret);

/* ---- parse_tag.c: from behind the word to behind `%}` ---- */

/* Whether the word is a tag, and what it makes; *ret NULL: nothing to render. */
typedef int (*bvi_tpl_tag_fn)(bvi_tpl_parser *p, bvi_tpl_node **ret);
bvi_tpl_tag_fn bvi_tpl_find_tag(bvi_span word);

#endif
