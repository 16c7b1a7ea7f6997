/*
 * switch.c - switch: a table of literals and ranges with the places of their bodies. The switched
 * value stays on the stack until a case's condition holds; where one fails, the search goes on
 * behind that case.
 */
#include "script/compile.h"

typedef struct switch_state {
    uint32_t table;
    uint32_t height; /* with the value on the stack */
    bool seen_range;
    bool seen_default;
    bvi_pos default_pos;
    bvi_patches ends;
} switch_state;

static bool int_bound(bvi_compiler *c, int64_t *ret)
{
    bvi_pos pos = c->tok.pos;
    bvi_value v = bvi_c_literal_value(c);
    bool ok = v.type == BVI_T_INT;

    if (ok)
        *ret = v.as.i;
    else
        bvi_c_error(c, pos, "Expecting a literal expression");
    bvi_drop(&v);
    return ok;
}

static void case_label(bvi_compiler *c, switch_state *s)
{
    bvi_pos pos = c->tok.pos;
    bvi_case entry = { .value = bvi_c_literal_value(c), .target = 0 };

    if (c->tok.type == BVI_TOK_RANGE || c->tok.type == BVI_TOK_RANGE_INCL) {
        entry.is_range = true;
        entry.inclusive = c->tok.type == BVI_TOK_RANGE_INCL;
        entry.start = entry.value.as.i;
        if (entry.value.type != BVI_T_INT)
            bvi_c_error(c, c->tok.pos, "Expecting a literal expression");
        bvi_drop(&entry.value);
        bvi_c_next(c);
        int_bound(c, &entry.end);
        s->seen_range = true;
    } else if (s->seen_range &&
               (entry.value.type == BVI_T_INT || entry.value.type == BVI_T_FLOAT)) {
        bvi_c_error(c, pos, "Numeric switch case cannot follow a range case");
    }
    bvi_c_add_case(c, s->table, entry);
}

static void case_labels(bvi_compiler *c, switch_state *s)
{
    do {
        case_label(c, s);
    } while (!c->failed && bvi_c_accept(c, BVI_TOK_OR));
    if (!c->failed && c->tok.type != BVI_TOK_ARROW && c->tok.type != BVI_TOK_IF)
        bvi_c_error(c, c->tok.pos, "Expecting a literal expression");
}

static void default_label(bvi_compiler *c, switch_state *s)
{
    s->seen_default = true;
    s->default_pos = c->tok.pos;
    bvi_c_next(c);
    if (c->tok.type == BVI_TOK_IF)
        bvi_c_error(c, c->tok.pos, "This switch case cannot have a condition");
}

/* Drops the switched value and leaves the body's. */
static void case_body(bvi_compiler *c, switch_state *s)
{
    uint32_t block;
    bvi_stmt body;

    bvi_c_expect(c, BVI_TOK_ARROW, "in this switch case");
    bvi_c_emit(c, BVI_OP_POP, 0, c->tok.pos);
    block = bvi_c_begin_block(c);
    body = bvi_c_statement(c);
    if (!body.has_value)
        bvi_c_emit(c, BVI_OP_UNIT, 0, c->tok.pos);
    bvi_c_end_block(c, block);
    bvi_c_patch_later(c, &s->ends, bvi_c_jump(c, BVI_OP_JUMP, c->tok.pos));
    if (c->failed || bvi_c_accept(c, BVI_TOK_COMMA) || body.closed || c->tok.type == BVI_TOK_RBRACE)
        return;
    if (c->tok.type != BVI_TOK_EOF)
        bvi_c_error(c, c->tok.pos, "Expecting ',' to separate the items in this switch block");
}

static void switch_case(bvi_compiler *c, switch_state *s)
{
    uint32_t first = c->failed ? 0 : c->unit->switches[s->table].len;
    bvi_switch *table;
    uint32_t next;

    if (s->seen_default) {
        bvi_c_error(c, s->default_pos, "Default switch case must be the last");
        return;
    }
    c->func->height = s->height;
    if (c->tok.type == BVI_TOK_UNDERSCORE && c->tok.len == 1) {
        default_label(c, s);
        if (c->failed)
            return;
        c->unit->switches[s->table].otherwise = bvi_c_here(c);
        case_body(c, s);
        return;
    }
    case_labels(c, s);
    if (c->failed)
        return;
    table = &c->unit->switches[s->table];
    for (uint32_t i = first; i < table->len; i++)
        table->cases[i].target = bvi_c_here(c);
    next = table->len;
    if (bvi_c_accept(c, BVI_TOK_IF)) {
        bvi_pos pos = c->tok.pos;
        uint32_t skip;

        bvi_c_condition(c);
        skip = bvi_c_jump(c, BVI_OP_JUMP_FALSE, pos);
        case_body(c, s);
        c->func->height = s->height;
        bvi_c_patch(c, skip);
        bvi_c_emit2(c, BVI_OP_SWITCH, s->table, next, pos);
    } else {
        case_body(c, s);
    }
}

void bvi_c_switch(bvi_compiler *c, bvi_expr *e)
{
    switch_state s = { .ends = BVI_VEC_INIT(BVI_PATCHES_MAX) };
    bvi_pos pos = c->tok.pos;

    bvi_c_next(c);
    bvi_c_expression(c);
    s.height = c->func->height;
    s.table = bvi_c_add_switch(c);
    bvi_c_expect(c, BVI_TOK_LBRACE, "to start a switch block");
    bvi_c_emit2(c, BVI_OP_SWITCH, s.table, 0, pos);
    while (!c->failed && c->tok.type != BVI_TOK_RBRACE && c->tok.type != BVI_TOK_EOF)
        switch_case(c, &s);
    bvi_c_expect(c, BVI_TOK_RBRACE, "to end this switch block");
    c->func->height = s.height;
    if (!s.seen_default && !c->failed) {
        c->unit->switches[s.table].otherwise = bvi_c_here(c);
        bvi_c_emit(c, BVI_OP_POP, 0, pos);
        bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    }
    bvi_c_patch_all(c, &s.ends);
    e->is_path = false;
}
