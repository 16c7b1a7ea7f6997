/*
 * loop.c - while, loop, do and for; break and continue.
 *
 * A loop is an expression: its value is what break gives, or (). The height of the stack before it
 * is remembered, so that break and continue can drop whatever variables and half-computed operands
 * lie above.
 */
#include "script/compile.h"

static void begin_loop(bvi_compiler *c, bvi_loop *loop)
{
    *loop = (bvi_loop){
        .parent = c->func->loop,
        .height = c->func->height,
        .body_height = c->func->height,
        .evals = c->func->evals,
        .breaks = BVI_VEC_INIT(BVI_PATCHES_MAX),
        .continues = BVI_VEC_INIT(BVI_PATCHES_MAX),
    };
    c->func->loop = loop;
}

static void end_loop(bvi_compiler *c, bvi_loop *loop)
{
    bvi_c_patch_all(c, &loop->breaks);
    c->func->loop = loop->parent;
    bvi_vec_done(&loop->continues);
}

static void loop_body(bvi_compiler *c, bvi_loop *loop)
{
    bvi_c_plain_block(c);
    bvi_c_pop(c);
    bvi_c_patch_all(c, &loop->continues);
}

void bvi_c_while(bvi_compiler *c, bvi_expr *e)
{
    bvi_loop loop;
    uint32_t start;
    uint32_t end;
    bvi_pos pos;

    bvi_c_next(c);
    begin_loop(c, &loop);
    start = bvi_c_here(c);
    pos = c->tok.pos;
    bvi_c_condition(c);
    end = bvi_c_jump(c, BVI_OP_JUMP_FALSE, pos);
    loop_body(c, &loop);
    bvi_c_emit(c, BVI_OP_LOOP, start, pos);
    bvi_c_patch(c, end);
    bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    end_loop(c, &loop);
    e->is_path = false;
}

void bvi_c_loop(bvi_compiler *c, bvi_expr *e)
{
    bvi_loop loop;
    uint32_t start;
    bvi_pos pos = c->tok.pos;

    bvi_c_next(c);
    begin_loop(c, &loop);
    start = bvi_c_here(c);
    loop_body(c, &loop);
    bvi_c_emit(c, BVI_OP_LOOP, start, pos);
    c->func->height++; /* only a break gets here, with its value */
    end_loop(c, &loop);
    e->is_path = false;
}

void bvi_c_do(bvi_compiler *c, bvi_expr *e)
{
    bvi_loop loop;
    uint32_t start;
    uint32_t end;
    bool until;
    bvi_pos pos;

    bvi_c_next(c);
    begin_loop(c, &loop);
    start = bvi_c_here(c);
    loop_body(c, &loop);
    until = c->tok.type == BVI_TOK_UNTIL;
    if (!until && c->tok.type != BVI_TOK_WHILE)
        bvi_c_error(c, c->tok.pos, "Expecting 'while' for the do statement");
    bvi_c_next(c);
    pos = c->tok.pos;
    bvi_c_condition(c);
    end = bvi_c_jump(c, until ? BVI_OP_JUMP_TRUE : BVI_OP_JUMP_FALSE, pos);
    bvi_c_emit(c, BVI_OP_LOOP, start, pos);
    bvi_c_patch(c, end);
    bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    end_loop(c, &loop);
    e->is_path = false;
}

typedef struct for_names {
    uint32_t item;
    uint32_t count; /* UINT32_MAX: none */
} for_names;

static for_names loop_variables(bvi_compiler *c)
{
    for_names names = { 0, UINT32_MAX };
    bvi_pos pos;

    if (!bvi_c_accept(c, BVI_TOK_LPAREN)) {
        names.item = bvi_c_variable_name(c);
        return names;
    }
    names.item = bvi_c_variable_name(c);
    bvi_c_expect(c, BVI_TOK_COMMA, "after the iteration variable name");
    pos = c->tok.pos;
    names.count = bvi_c_variable_name(c);
    if (!c->failed && names.count == names.item)
        bvi_c_error(c, pos, "Duplicated variable name: %s",
                    bvi_unit_str(c->unit, names.item)->data);
    bvi_c_expect(c, BVI_TOK_RPAREN, "to close the iteration variable");
    return names;
}

static void iterable(bvi_compiler *c)
{
    bvi_expr e = bvi_c_expression(c);

    if (e.literal == BVI_LIT_NUMBER)
        bvi_c_error(c, e.pos, "Expecting an iterable value, not a number");
    else if (e.literal == BVI_LIT_MAP)
        bvi_c_error(c, e.pos, "Expecting an iterable value, not an object map");
    else if (e.literal == BVI_LIT_UNIT)
        bvi_c_error(c, e.pos, "Expecting an iterable value, not ()");
    bvi_c_iterate(c, e.pos);
}

/* On the stack: the iterator, the item, and the count where it is wanted. */
void bvi_c_for(bvi_compiler *c, bvi_expr *e)
{
    bvi_loop loop;
    for_names names;
    uint32_t iter_at;
    uint32_t block;
    uint32_t slot;
    uint32_t start;
    uint32_t end;
    bool counts;
    bool last_pure;
    bool empty;
    bvi_pos pos = c->tok.pos;

    bvi_c_next(c);
    names = loop_variables(c);
    if (!c->failed && c->tok.type != BVI_TOK_IN)
        bvi_c_error(c, c->tok.pos, "Expecting 'in' after the iteration variable");
    bvi_c_next(c);
    begin_loop(c, &loop);
    block = bvi_c_begin_block(c);
    iterable(c);
    iter_at = c->func->last_op;
    slot = c->func->height - 1;
    bvi_c_declare(c, bvi_c_intern(c, "", 0), true);
    bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    bvi_c_declare(c, names.item, false);
    if (names.count != UINT32_MAX) {
        bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
        bvi_c_declare(c, names.count, false);
    }
    loop.body_height = c->func->height;
    counts = names.count != UINT32_MAX;
    start = bvi_c_here(c);
    bvi_c_emit2(c, counts ? BVI_OP_NEXT_COUNT : BVI_OP_NEXT, slot, 0, pos);
    end = c->func->last_op;
    if (!counts)
        start = bvi_c_here(c);
    bvi_c_block(c, &last_pure, &empty);
    if (empty && !c->failed && c->func->proto->code[iter_at] == BVI_OP_ITER)
        c->func->proto->code[iter_at] |= 1u << 8;
    bvi_c_pop(c);
    bvi_c_patch_all(c, &loop.continues);
    if (counts)
        bvi_c_emit(c, BVI_OP_LOOP, start, pos);
    else
        bvi_c_emit2(c, BVI_OP_LOOP_NEXT, slot, start, pos);
    bvi_c_patch(c, end);
    bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    bvi_c_end_block(c, block);
    end_loop(c, &loop);
    e->is_path = false;
}

bvi_stmt bvi_c_break_statement(bvi_compiler *c)
{
    bvi_loop *loop = c->func->loop;
    bvi_pos pos = c->tok.pos;
    uint32_t height = c->func->height;

    bvi_c_next(c);
    if (!loop) {
        bvi_c_error(c, pos, "Break statement should only be used inside a loop");
        return BVI_NO_VALUE;
    }
    bvi_c_optional_value(c);
    bvi_c_forget(c, loop->evals);
    if (height > loop->height)
        bvi_c_emit(c, BVI_OP_SLIDE, height - loop->height, pos);
    bvi_c_patch_later(c, &loop->breaks, bvi_c_jump(c, BVI_OP_JUMP, pos));
    c->func->height = height;
    return BVI_NO_VALUE;
}

bvi_stmt bvi_c_continue_statement(bvi_compiler *c)
{
    bvi_loop *loop = c->func->loop;
    bvi_pos pos = c->tok.pos;
    uint32_t height = c->func->height;

    bvi_c_next(c);
    if (!loop) {
        bvi_c_error(c, pos, "Break statement should only be used inside a loop");
        return BVI_NO_VALUE;
    }
    bvi_c_forget(c, loop->evals);
    if (height > loop->body_height)
        bvi_c_emit(c, BVI_OP_POPN, height - loop->body_height, pos);
    bvi_c_patch_later(c, &loop->continues, bvi_c_jump(c, BVI_OP_JUMP, pos));
    c->func->height = height;
    return BVI_NO_VALUE;
}
