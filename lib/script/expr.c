/*
 * expr.c - expressions: literals, operators, closures. One table says for every token how it starts
 * an expression, how it continues one, and how tightly it binds (a Pratt parser).
 */
#include <stdio.h>

#include "script/compile.h"

/* Binary operators have the language's own numbers; unary ones and chains bind tighter than any of
 * them. */
#define PREC_UNARY 220
#define PREC_CHAIN 230

typedef void (*rule_fn)(bvi_compiler *c, bvi_expr *e);

typedef struct rule {
    rule_fn prefix;
    rule_fn infix;
    int precedence;
    bvi_opcode op;
} rule;

static const rule rules[BVI_TOK_COUNT];

/* ---- values ---- */

static void set_value(bvi_expr *e, bvi_literal literal, bool pure)
{
    e->is_path = false;
    e->literal = literal;
    e->pure = pure;
    e->note = 0;
}

void bvi_c_load(bvi_compiler *c, bvi_expr *e)
{
    uint32_t steps = (uint32_t)c->steps.len - e->first_step;

    if (c->failed || !e->is_path)
        return;
    e->is_path = false;
    if (steps > 0 || e->root == BVI_ROOT_GLOBAL || e->root == BVI_ROOT_NAME ||
        e->root == BVI_ROOT_MEMBER)
        e->literal = BVI_LIT_NONE;
    if (steps > 0 || e->since != BVI_NOT_HIDDEN) {
        bvi_c_emit(c, BVI_OP_GET_PATH, bvi_c_add_path(c, e), e->pos);
        return;
    }
    switch (e->root) {
    case BVI_ROOT_LOCAL:
        bvi_c_emit(c, BVI_OP_GET_LOCAL, e->slot, e->pos);
        break;
    case BVI_ROOT_UP:
        bvi_c_emit(c, BVI_OP_GET_UP, e->slot, e->pos);
        break;
    case BVI_ROOT_THIS:
        bvi_c_emit(c, BVI_OP_GET_THIS, 0, e->pos);
        break;
    case BVI_ROOT_GLOBAL:
        bvi_c_emit(c, BVI_OP_GET_GLOBAL, e->slot, e->pos);
        break;
    case BVI_ROOT_NAME:
        bvi_c_emit(c, BVI_OP_GET_NAME, e->slot, e->pos);
        break;
    case BVI_ROOT_MEMBER:
        bvi_c_emit(c, BVI_OP_GET_MEMBER, e->slot, e->pos);
        break;
    case BVI_ROOT_STACK:
        break;
    }
}

static void number(bvi_compiler *c, bvi_expr *e)
{
    if (c->tok.type == BVI_TOK_INT)
        bvi_c_number(c, c->tok.number, e->pos);
    else
        bvi_c_emit(c, BVI_OP_CONST, bvi_c_constant(c, bvi_value_float(c->tok.real)), e->pos);
    bvi_c_next(c);
    set_value(e, BVI_LIT_NUMBER, true);
}

static void character(bvi_compiler *c, bvi_expr *e)
{
    bvi_c_emit(c, BVI_OP_CONST, bvi_c_constant(c, bvi_value_char((uint32_t)c->tok.number)), e->pos);
    bvi_c_next(c);
    set_value(e, BVI_LIT_CHAR, true);
}

static void string(bvi_compiler *c, bvi_expr *e)
{
    uint32_t text = bvi_c_intern(c, c->tok.text, c->tok.len);

    bvi_c_emit(c, BVI_OP_CONST, text, e->pos);
    bvi_c_next(c);
    set_value(e, BVI_LIT_STRING, true);
    e->note = bvi_c_note(c, BVI_NOTE_STRING, text, e->pos);
}

static void truth(bvi_compiler *c, bvi_expr *e)
{
    bvi_c_emit(c, c->tok.type == BVI_TOK_TRUE ? BVI_OP_TRUE : BVI_OP_FALSE, 0, e->pos);
    bvi_c_next(c);
    set_value(e, BVI_LIT_BOOL, true);
}

/* `text ${ statements } text`: the pieces stay on the stack and are joined at the end. */
static void interpolation(bvi_compiler *c, bvi_expr *e)
{
    uint32_t count = 0;
    bool pure = true;

    for (;;) {
        uint32_t block;
        bool last_pure;
        bool empty;

        if (c->tok.len > 0) {
            bvi_c_emit(c, BVI_OP_CONST, bvi_c_intern(c, c->tok.text, c->tok.len), c->tok.pos);
            count++;
        }
        if (c->failed || c->tok.type != BVI_TOK_INTERP)
            break;
        bvi_c_next(c);
        block = bvi_c_begin_block(c);
        pure &= bvi_c_statements(c, BVI_TOK_RBRACE, &last_pure, &empty);
        bvi_c_end_block(c, block);
        count++;
        if (c->tok.type != BVI_TOK_RBRACE)
            bvi_c_error(c, c->tok.pos, "Expecting '}' to terminate this block");
        else if (bvi_lex_resume_string(&c->lex, &c->tok) < 0)
            bvi_c_nomem(c);
        else if (c->tok.type == BVI_TOK_ERROR)
            bvi_c_error(c, c->tok.pos, "%s", bvi_buf_str(&c->lex.text));
    }
    bvi_c_emit(c, BVI_OP_INTERP, count, e->pos);
    bvi_c_next(c);
    set_value(e, BVI_LIT_STRING, pure);
}

static void array(bvi_compiler *c, bvi_expr *e)
{
    uint32_t count = 0;
    bool pure = true;

    bvi_c_next(c);
    while (!c->failed && c->tok.type != BVI_TOK_RBRACKET) {
        if (c->tok.type == BVI_TOK_EOF)
            break;
        pure &= bvi_c_expression(c).pure;
        count++;
        if (bvi_c_accept(c, BVI_TOK_COMMA))
            continue;
        if (c->tok.type != BVI_TOK_RBRACKET && c->tok.type != BVI_TOK_EOF)
            bvi_c_error(c, c->tok.pos, "Expecting ',' to separate the items of this array literal");
    }
    bvi_c_expect(c, BVI_TOK_RBRACKET, "to end this array literal");
    bvi_c_emit(c, BVI_OP_ARRAY, count, e->pos);
    set_value(e, BVI_LIT_ARRAY, pure);
}

/* A key of a map literal; UINT32_MAX after an error. */
static uint32_t map_key(bvi_compiler *c)
{
    uint32_t key;

    if (c->tok.type == BVI_TOK_RESERVED_WORD) {
        bvi_c_error(c, c->tok.pos, "'%.*s' is a reserved keyword", (int)c->tok.len, c->tok.text);
        return UINT32_MAX;
    }
    if (c->tok.type != BVI_TOK_IDENT && c->tok.type != BVI_TOK_STRING) {
        bvi_c_expect(c, BVI_TOK_RBRACE, "to end this object map literal");
        return UINT32_MAX;
    }
    key = bvi_c_intern(c, c->tok.text, c->tok.len);
    bvi_c_next(c);
    if (c->failed)
        return UINT32_MAX;
    bvi_c_expect(c, BVI_TOK_COLON, "to follow the property '%s' in this object map literal",
                 bvi_unit_str(c->unit, key)->data);
    return key;
}

typedef BVI_VEC(uint32_t) key_list;

static void add_key(bvi_compiler *c, key_list *keys, uint32_t key, bvi_pos pos)
{
    uint32_t *slot;

    for (size_t i = 0; !c->failed && i < keys->len; i++) {
        if (keys->items[i] == key)
            bvi_c_error(c, pos, "Duplicated property for object map literal: %s",
                        bvi_unit_str(c->unit, key)->data);
    }
    if (keys->len >= BVI_KEYS_MAX)
        bvi_c_error(c, pos, "More than %u properties in an object map literal", BVI_KEYS_MAX);
    if (c->failed)
        return;
    slot = bvi_vec_push(keys);
    if (!slot) {
        bvi_c_nomem(c);
        return;
    }
    *slot = key;
}

/* The value of the key added last; whether it was pure. */
static bool map_value(bvi_compiler *c, const key_list *keys, uint32_t map, bvi_pos pos)
{
    uint32_t key = keys->len ? keys->items[keys->len - 1] : 0;
    uint32_t note = bvi_c_note(c, BVI_NOTE_KEY, key, pos);
    bvi_expr value = bvi_c_expression(c);

    bvi_c_note_end(c, note, 0);
    if (note) {
        bvi_c_note_at(c, note)->in = map;
        bvi_c_note_at(c, note)->of = value.note;
    }
    return value.pure;
}

/* Keys are gathered while values may bring maps of their own, so they go to the unit's list only at
 * the end. */
static void map(bvi_compiler *c, bvi_expr *e)
{
    key_list keys = BVI_VEC_INIT(BVI_KEYS_MAX);
    bool pure = true;
    uint32_t note = bvi_c_note(c, BVI_NOTE_MAP, BVI_NO_NAME, e->pos);
    uint32_t first;

    bvi_c_next(c);
    while (!c->failed && c->tok.type != BVI_TOK_RBRACE && c->tok.type != BVI_TOK_EOF) {
        bvi_pos pos = c->tok.pos;

        add_key(c, &keys, map_key(c), pos);
        pure &= map_value(c, &keys, note, pos);
        if (bvi_c_accept(c, BVI_TOK_COMMA))
            continue;
        if (c->tok.type != BVI_TOK_RBRACE && c->tok.type != BVI_TOK_EOF)
            bvi_c_error(c, c->tok.pos,
                        "Expecting ',' to separate the items of this object map literal");
    }
    bvi_c_expect(c, BVI_TOK_RBRACE, "to end this object map literal");
    first = bvi_c_add_keys(c, keys.items, (uint32_t)keys.len);
    bvi_c_emit2(c, BVI_OP_MAP, first, (uint32_t)keys.len, e->pos);
    bvi_c_note_end(c, note, (uint32_t)keys.len);
    bvi_vec_done(&keys);
    set_value(e, BVI_LIT_MAP, pure);
    e->note = note;
}

static void parenthesis(bvi_compiler *c, bvi_expr *e)
{
    bvi_expr inner;

    bvi_c_next(c);
    if (bvi_c_accept(c, BVI_TOK_RPAREN)) {
        bvi_c_emit(c, BVI_OP_UNIT, 0, e->pos);
        set_value(e, BVI_LIT_UNIT, true);
        return;
    }
    inner = bvi_c_expression(c);
    bvi_c_expect(c, BVI_TOK_RPAREN, "for a matching ( in this expression");
    set_value(e, inner.literal, inner.pure);
    e->note = inner.note;
}

/* ---- closures ---- */

static bool may_be_name(bvi_token_type type)
{
    return type == BVI_TOK_IDENT || type == BVI_TOK_RESERVED_WORD || type == BVI_TOK_THIS ||
           type == BVI_TOK_UNDERSCORE;
}

static void params_not_closed(bvi_compiler *c, bvi_token_type end, const char *function)
{
    if (function)
        bvi_c_expect(c, end, "to close the parameters list of function '%s'", function);
    else
        bvi_c_expect(c, end, "to close the parameters list of anonymous function");
}

uint32_t bvi_c_params(bvi_compiler *c, bvi_token_type end, const char *function)
{
    bvi_proto *p = c->func->proto;

    while (!c->failed && c->tok.type != end) {
        bvi_pos pos = c->tok.pos;
        uint32_t name;

        if (!may_be_name(c->tok.type)) {
            params_not_closed(c, end, function);
            break;
        }
        name = bvi_c_variable_name(c);
        for (uint32_t i = 0; !c->failed && i < p->params_len; i++) {
            if (p->params[i] == name)
                bvi_c_error(c, pos, "Duplicated parameter %s for function %s",
                            bvi_unit_str(c->unit, name)->data, function ? function : "anonymous");
        }
        if (c->failed)
            break;
        if (bvi_script_grow(c->engine, (void **)(void *)&p->params, &p->params_cap,
                            (size_t)p->params_len + 1, sizeof(*p->params)) < 0) {
            bvi_c_nomem(c);
            break;
        }
        p->params[p->params_len++] = name;
        c->func->height++;
        bvi_c_declare(c, name, false);
        if (bvi_c_accept(c, BVI_TOK_COMMA) || c->tok.type == end)
            continue;
        if (function)
            bvi_c_error(c, c->tok.pos, "Expecting ',' to separate the parameters of function '%s'",
                        function);
        else
            bvi_c_error(c, c->tok.pos,
                        "Expecting ',' to separate the parameters of anonymous function");
    }
    if (!c->failed)
        bvi_c_next(c);
    p->arity = p->params_len;
    p->max_stack = p->arity;
    return p->arity;
}

static uint32_t anonymous_name(bvi_compiler *c)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "anon$%016llx", (unsigned long long)++c->engine->next_id);

    return bvi_c_intern(c, text, (size_t)n);
}

static void closure(bvi_compiler *c, bvi_expr *e)
{
    bool no_params = c->tok.type == BVI_TOK_OR_OR;
    uint32_t index = c->unit->protos_len;
    bvi_func func;
    bvi_stmt body = { 0 };

    bvi_c_next(c);
    bvi_c_push_func(c, &func, anonymous_name(c), true);
    if (!no_params && !c->failed)
        bvi_c_params(c, BVI_TOK_OR, NULL);
    if (!c->failed && c->tok.type != BVI_TOK_EOF)
        body = bvi_c_statement(c);
    if (!body.has_value)
        bvi_c_emit(c, BVI_OP_UNIT, 0, e->pos);
    bvi_c_emit(c, BVI_OP_RETURN, 0, e->pos);
    bvi_c_pop_func(c);
    bvi_c_emit(c, BVI_OP_CLOSURE, index, e->pos);
    set_value(e, BVI_LIT_FN, false);
}

/* ---- unary operators ---- */

static void unary(bvi_compiler *c, bvi_expr *e)
{
    bvi_token_type type = c->tok.type;
    bvi_pos pos = c->tok.pos;
    bvi_expr operand;

    bvi_c_next(c);
    bvi_c_parse(c, PREC_UNARY, &operand);
    bvi_c_load(c, &operand);
    bvi_c_emit(c,
               type == BVI_TOK_NOT     ? BVI_OP_NOT
               : type == BVI_TOK_MINUS ? BVI_OP_NEG
                                       : BVI_OP_PLUS,
               0, pos);
    set_value(e, type == BVI_TOK_NOT ? BVI_LIT_BOOL : BVI_LIT_NONE,
              type == BVI_TOK_NOT && operand.pure);
    if (type != BVI_TOK_NOT || operand.literal != BVI_LIT_BOOL)
        e->literal = BVI_LIT_NONE;
}

/* ---- binary operators ---- */

static void binary(bvi_compiler *c, bvi_expr *e)
{
    const rule *r = &rules[c->tok.type];
    bvi_pos pos = c->tok.pos;
    bool right_first = c->tok.type == BVI_TOK_POW;
    bvi_expr right;

    bvi_c_load(c, e);
    bvi_c_next(c);
    bvi_c_parse(c, right_first ? r->precedence : r->precedence + 1, &right);
    bvi_c_load(c, &right);
    bvi_c_operator(c, r->op, pos);
    set_value(e, BVI_LIT_NONE, false);
    e->pos = pos; /* messages about the result point at the operator */
}

const char *bvi_c_literal_name(bvi_literal literal)
{
    static const char *const names[] = {
        [BVI_LIT_NUMBER] = "a number",   [BVI_LIT_STRING] = "a string",
        [BVI_LIT_CHAR] = "a character",  [BVI_LIT_ARRAY] = "an array",
        [BVI_LIT_MAP] = "an object map", [BVI_LIT_UNIT] = "()",
        [BVI_LIT_FN] = "a function",
    };

    return literal == BVI_LIT_NONE || literal == BVI_LIT_BOOL ? NULL : names[literal];
}

void bvi_c_want_bool(bvi_compiler *c, const bvi_expr *e)
{
    const char *name = bvi_c_literal_name(e->literal);

    if (name && e->literal != BVI_LIT_FN)
        bvi_c_error(c, e->pos, "Expecting a boolean expression, not %s", name);
}

static void logical(bvi_compiler *c, bvi_expr *e)
{
    const rule *r = &rules[c->tok.type];
    bvi_expr right;
    uint32_t jump;

    bvi_c_load(c, e);
    bvi_c_want_bool(c, e);
    bvi_c_next(c);
    jump = bvi_c_jump(c, r->op, e->pos);
    bvi_c_parse(c, r->precedence + 1, &right);
    bvi_c_load(c, &right);
    bvi_c_want_bool(c, &right);
    if (!bvi_c_ends_with_truth(c))
        bvi_c_emit(c, BVI_OP_WANT_BOOL, 0, right.pos);
    bvi_c_patch(c, jump);
    set_value(e, BVI_LIT_NONE, e->pure && right.pure);
}

static void coalesce(bvi_compiler *c, bvi_expr *e)
{
    const rule *r = &rules[c->tok.type];
    bvi_pos pos = c->tok.pos;
    bvi_expr right;
    uint32_t jump;

    bvi_c_load(c, e);
    bvi_c_next(c);
    jump = bvi_c_jump(c, BVI_OP_COALESCE, pos);
    bvi_c_parse(c, r->precedence + 1, &right);
    bvi_c_load(c, &right);
    bvi_c_patch(c, jump);
    set_value(e, BVI_LIT_NONE, e->pure && right.pure);
}

/* Behind .. the end may be left out where nothing else can follow. */
static bool range_is_open(const bvi_compiler *c)
{
    switch (c->tok.type) {
    case BVI_TOK_RPAREN:
    case BVI_TOK_RBRACKET:
    case BVI_TOK_RBRACE:
    case BVI_TOK_SEMICOLON:
    case BVI_TOK_COMMA:
        return true;
    default:
        return false;
    }
}

static void range_end(bvi_compiler *c, bvi_expr *e)
{
    const rule *r = &rules[BVI_TOK_RANGE];
    bvi_opcode op = c->tok.type == BVI_TOK_RANGE ? BVI_OP_RANGE : BVI_OP_RANGE_INCL;
    bvi_pos pos = c->tok.pos;

    bvi_c_next(c);
    if (range_is_open(c)) {
        bvi_c_number(c, INT64_MAX, pos);
    } else {
        bvi_expr right;

        bvi_c_parse(c, r->precedence + 1, &right);
        bvi_c_load(c, &right);
    }
    bvi_c_emit(c, op, 0, pos);
    set_value(e, BVI_LIT_NONE, false);
    e->pos = pos;
}

static void range(bvi_compiler *c, bvi_expr *e)
{
    bvi_c_load(c, e);
    range_end(c, e);
}

static void range_prefix(bvi_compiler *c, bvi_expr *e)
{
    bvi_c_number(c, 0, e->pos);
    range_end(c, e);
}

/* ---- the table ---- */

/* clang-format off */
static const rule rules[BVI_TOK_COUNT] = {
    [BVI_TOK_INT]           = { number, NULL, 0, 0 },
    [BVI_TOK_FLOAT]         = { number, NULL, 0, 0 },
    [BVI_TOK_CHAR]          = { character, NULL, 0, 0 },
    [BVI_TOK_STRING]        = { string, NULL, 0, 0 },
    [BVI_TOK_INTERP]        = { interpolation, NULL, 0, 0 },
    [BVI_TOK_TRUE]          = { truth, NULL, 0, 0 },
    [BVI_TOK_FALSE]         = { truth, NULL, 0, 0 },
    [BVI_TOK_IDENT]         = { bvi_c_variable, NULL, 0, 0 },
    [BVI_TOK_RESERVED_WORD] = { bvi_c_reserved_call, NULL, 0, 0 },
    [BVI_TOK_THIS]          = { bvi_c_this, NULL, 0, 0 },
    [BVI_TOK_MAP_OPEN]      = { map, NULL, 0, 0 },
    [BVI_TOK_LPAREN]        = { parenthesis, NULL, 0, 0 },
    [BVI_TOK_LBRACKET]      = { array, bvi_c_index, PREC_CHAIN, 0 },
    [BVI_TOK_SAFE_BRACKET]  = { NULL, bvi_c_index, PREC_CHAIN, 0 },
    [BVI_TOK_DOT]           = { NULL, bvi_c_property, PREC_CHAIN, 0 },
    [BVI_TOK_SAFE_DOT]      = { NULL, bvi_c_property, PREC_CHAIN, 0 },
    [BVI_TOK_LBRACE]        = { bvi_c_block_expr, NULL, 0, 0 },
    [BVI_TOK_IF]            = { bvi_c_if, NULL, 0, 0 },
    [BVI_TOK_SWITCH]        = { bvi_c_switch, NULL, 0, 0 },
    [BVI_TOK_WHILE]         = { bvi_c_while, NULL, 0, 0 },
    [BVI_TOK_LOOP]          = { bvi_c_loop, NULL, 0, 0 },
    [BVI_TOK_DO]            = { bvi_c_do, NULL, 0, 0 },
    [BVI_TOK_FOR]           = { bvi_c_for, NULL, 0, 0 },
    [BVI_TOK_OR]            = { closure, binary, 30, BVI_OP_OR },
    [BVI_TOK_OR_OR]         = { closure, logical, 30, BVI_OP_OR_ELSE },
    [BVI_TOK_XOR]           = { NULL, binary, 30, BVI_OP_XOR },
    [BVI_TOK_AND]           = { NULL, binary, 60, BVI_OP_AND },
    [BVI_TOK_AND_AND]       = { NULL, logical, 60, BVI_OP_AND_THEN },
    [BVI_TOK_EQ]            = { NULL, binary, 90, BVI_OP_EQ },
    [BVI_TOK_NE]            = { NULL, binary, 90, BVI_OP_NE },
    [BVI_TOK_IN]            = { NULL, binary, 110, BVI_OP_IN },
    [BVI_TOK_NOT_IN]        = { NULL, binary, 110, BVI_OP_NOT_IN },
    [BVI_TOK_LT]            = { NULL, binary, 130, BVI_OP_LT },
    [BVI_TOK_LE]            = { NULL, binary, 130, BVI_OP_LE },
    [BVI_TOK_GT]            = { NULL, binary, 130, BVI_OP_GT },
    [BVI_TOK_GE]            = { NULL, binary, 130, BVI_OP_GE },
    [BVI_TOK_COALESCE]      = { NULL, coalesce, 135, 0 },
    [BVI_TOK_RANGE]         = { range_prefix, range, 140, 0 },
    [BVI_TOK_RANGE_INCL]    = { range_prefix, range, 140, 0 },
    [BVI_TOK_PLUS]          = { unary, binary, 150, BVI_OP_ADD },
    [BVI_TOK_MINUS]         = { unary, binary, 150, BVI_OP_SUB },
    [BVI_TOK_NOT]           = { unary, NULL, 0, 0 },
    [BVI_TOK_STAR]          = { NULL, binary, 180, BVI_OP_MUL },
    [BVI_TOK_SLASH]         = { NULL, binary, 180, BVI_OP_DIV },
    [BVI_TOK_PERCENT]       = { NULL, binary, 180, BVI_OP_MOD },
    [BVI_TOK_POW]           = { NULL, binary, 190, BVI_OP_POW },
    [BVI_TOK_SHL]           = { NULL, binary, 210, BVI_OP_SHL },
    [BVI_TOK_SHR]           = { NULL, binary, 210, BVI_OP_SHR },
};
/* clang-format on */

void bvi_c_parse(bvi_compiler *c, int precedence, bvi_expr *e)
{
    const rule *r = &rules[c->tok.type];

    *e = (bvi_expr){ .pos = c->tok.pos,
                     .first_step = (uint32_t)c->steps.len,
                     .since = BVI_NOT_HIDDEN };
    if (!bvi_c_enter(c))
        return;
    if (!r->prefix) {
        bvi_c_unexpected(c);
    } else {
        r->prefix(c, e);
        while (!c->failed && rules[c->tok.type].infix &&
               rules[c->tok.type].precedence >= precedence)
            rules[c->tok.type].infix(c, e);
    }
    if (c->tok.type == BVI_TOK_RESERVED_SYMBOL && c->tok.is_operator)
        bvi_c_unknown_operator(c);
    bvi_c_leave(c);
}

bvi_expr bvi_c_expression(bvi_compiler *c)
{
    bvi_expr e;

    bvi_c_parse(c, BVI_PREC_LOWEST, &e);
    bvi_c_load(c, &e);
    return e;
}

void bvi_c_condition(bvi_compiler *c)
{
    bvi_expr e = bvi_c_expression(c);

    bvi_c_want_bool(c, &e);
    if (c->tok.type == BVI_TOK_SET)
        bvi_c_error(c, c->tok.pos, "Possibly a typo of '=='?");
}
