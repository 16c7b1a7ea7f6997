/*
 * tree.h - what the parser makes of a template and the renderer walks.
 *
 * Nodes, names and texts belong to the template: they lie in its arena or in its source. Lists are
 * linked through `next`. Positions are offsets into the source.
 */
#ifndef BVI_TEMPLATE_TREE_H
#define BVI_TEMPLATE_TREE_H

#include <string.h>

#include "template/template.h"
#include "template/text.h"
#include "template/value.h"

/* No expression is nested deeper; a chain such as `1 + 1 + 1` nests at each operator. */
#define BVI_TPL_EXPR_DEPTH_MAX 100u
/* Tags within tags. */
#define BVI_TPL_BLOCK_DEPTH_MAX 64u
/* Arguments of one call, parameters of one macro. */
#define BVI_TPL_ARGS_MAX 32u

typedef struct bvi_tpl_expr bvi_tpl_expr;
typedef struct bvi_tpl_node bvi_tpl_node;

/* ---- expressions ---- */

typedef enum bvi_tpl_expr_kind {
    BVI_TPL_CONST,
    BVI_TPL_LIST,
    BVI_TPL_PATH,
    BVI_TPL_FUNCTION,
    BVI_TPL_MACRO_CALL,
    BVI_TPL_FILTER,
    BVI_TPL_TEST,
    BVI_TPL_MATH,
    BVI_TPL_CONCAT,
    BVI_TPL_COMPARE,
    BVI_TPL_IN,
    BVI_TPL_NOT,
    BVI_TPL_AND,
    BVI_TPL_OR,
} bvi_tpl_expr_kind;

typedef enum bvi_tpl_op {
    BVI_TPL_ADD,
    BVI_TPL_SUB,
    BVI_TPL_MUL,
    BVI_TPL_DIV,
    BVI_TPL_MOD,
    BVI_TPL_EQ,
    BVI_TPL_NE,
    BVI_TPL_LE,
    BVI_TPL_GE,
    BVI_TPL_LT,
    BVI_TPL_GT,
} bvi_tpl_op;

/* One step of a path: `.name` and `[0]` have a key, `[variable]` an inner path. */
typedef struct bvi_tpl_step {
    bvi_span key;
    struct bvi_tpl_path *inner; /* NULL: key */
    bool bracket;
    bool quoted;
    struct bvi_tpl_step *next;
} bvi_tpl_step;

typedef struct bvi_tpl_path {
    bvi_span text; /* as written */
    bvi_span name; /* the variable */
    bvi_tpl_step *steps;
    size_t pos;
} bvi_tpl_path;

typedef struct bvi_tpl_arg {
    bvi_span name; /* empty in tests, whose arguments have none */
    bvi_tpl_expr *value;
    struct bvi_tpl_arg *next;
} bvi_tpl_arg;

typedef struct bvi_tpl_call {
    bvi_span space;      /* of a macro: `self` or what it was imported as */
    bvi_span name;       /* of the function, macro, filter or test */
    bvi_tpl_expr *input; /* of a filter or test */
    bvi_tpl_arg *args;
    bool negated; /* `is not` */
} bvi_tpl_call;

struct bvi_tpl_expr {
    uint8_t kind;
    uint8_t op;   /* of MATH and COMPARE */
    bool negated; /* `not in` */
    bool grouped; /* in parentheses */
    uint16_t depth;
    size_t pos;
    bvi_tpl_expr *next; /* in a LIST or CONCAT */
    union {
        bvi_tpl_value value;
        bvi_tpl_path path;
        bvi_tpl_call call;
        struct {
            bvi_tpl_expr *first;
            size_t count;
        } list;
        struct {
            bvi_tpl_expr *left, *right; /* NOT has only left */
        } pair;
    } as;
};

/* ---- what a template consists of ---- */

typedef enum bvi_tpl_node_kind {
    BVI_TPL_TEXT,
    BVI_TPL_PRINT,
    BVI_TPL_IF,
    BVI_TPL_FOR,
    BVI_TPL_SET,
    BVI_TPL_FILTERED,
    BVI_TPL_BLOCK,
    BVI_TPL_INCLUDE,
    BVI_TPL_BREAK,
    BVI_TPL_CONTINUE,
} bvi_tpl_node_kind;

typedef struct bvi_tpl_branch {
    bvi_tpl_expr *when; /* NULL: else */
    bvi_tpl_node *body;
    struct bvi_tpl_branch *next;
} bvi_tpl_branch;

typedef struct bvi_tpl_name {
    bvi_span name;
    struct bvi_tpl_name *next;
} bvi_tpl_name;

struct bvi_tpl_node {
    uint8_t kind;
    size_t pos;
    bvi_tpl_node *next;
    union {
        bvi_span text;
        bvi_tpl_expr *print;
        bvi_tpl_branch *branches;
        struct {
            bvi_span key; /* empty: only values */
            bvi_span value;
            bvi_tpl_expr *container;
            bvi_tpl_node *body;
            bvi_tpl_node *otherwise;
        } loop;
        struct {
            bvi_span name;
            bvi_tpl_expr *value;
            bool global;
        } set;
        struct {
            bvi_tpl_expr *filter; /* a FILTER without input */
            bvi_tpl_node *body;
        } filtered;
        bvi_tpl_node *block;
        struct {
            bvi_tpl_name *names;
            bool ignore_missing;
        } include;
    } as;
};

typedef struct bvi_tpl_macro {
    bvi_span name;
    bvi_tpl_arg *params; /* value: the default, or NULL */
    bvi_tpl_node *body;
    struct bvi_tpl_macro *next;
} bvi_tpl_macro;

typedef struct bvi_tpl_import {
    bvi_span file;
    bvi_span space;
    size_t pos;
    struct bvi_tpl_import *next;
} bvi_tpl_import;

struct bvi_template {
    char *name;
    char *source;
    size_t len;
    bvi_arena arena;
    bvi_tpl_node *body;
    bvi_tpl_macro *macros;
    bvi_tpl_import *imports;
    bvi_span extends; /* empty: nothing */
    size_t extends_pos;
    bvi_template *next; /* of those a rendering has loaded */
};

/* parse.c: line and column of an offset. */
void bvi_tpl_place(const bvi_template *tpl, size_t pos, bvi_template_place *place);

static inline bool bvi_span_is(bvi_span span, const char *text, size_t len)
{
    return span.len == len && memcmp(span.at, text, len) == 0;
}

#endif
