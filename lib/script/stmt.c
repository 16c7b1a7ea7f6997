/*
 * stmt.c - statements: blocks, if, try, declarations, functions. Loops are in loop.c, switch is in
 * switch.c.
 *
 * Every block leaves the value of its last statement on the stack. Inside a block the value of a
 * statement is dropped when the next one begins.
 */
#include <string.h>

#include "script/compile.h"
#include "script/coverage.h"

static bool ends_statement(const bvi_compiler *c)
{
    switch (c->tok.type) {
    case BVI_TOK_SEMICOLON:
    case BVI_TOK_RBRACE:
    case BVI_TOK_RPAREN:
    case BVI_TOK_RBRACKET:
    case BVI_TOK_COMMA:
    case BVI_TOK_EOF:
        return true;
    default:
        return false;
    }
}

void bvi_c_optional_value(bvi_compiler *c)
{
    if (ends_statement(c))
        bvi_c_emit(c, BVI_OP_UNIT, 0, c->tok.pos);
    else
        bvi_c_expression(c);
}

/* ---- blocks ---- */

static void function(bvi_compiler *c);

static bool is_function(const bvi_compiler *c)
{
    return c->tok.type == BVI_TOK_FN || c->tok.type == BVI_TOK_PRIVATE;
}

static void end_statement(bvi_compiler *c, bvi_stmt s, bvi_token_type end)
{
    if (c->failed || c->tok.type == end || c->tok.type == BVI_TOK_EOF)
        return;
    if (!bvi_c_accept(c, BVI_TOK_SEMICOLON) && !s.closed)
        bvi_c_error(c, c->tok.pos, "Expecting ';' to terminate this statement");
}

bool bvi_c_statements(bvi_compiler *c, bvi_token_type end, bool *ret_last_pure, bool *ret_empty)
{
    bvi_stmt s = BVI_NO_VALUE;
    bool all_pure = true;

    *ret_empty = true;
    while (!c->failed && c->tok.type != end && c->tok.type != BVI_TOK_EOF) {
        if (bvi_c_accept(c, BVI_TOK_SEMICOLON))
            continue;
        *ret_empty = false;
        if (is_function(c)) { /* a definition is no statement and has no value */
            function(c);
            continue;
        }
        if (s.has_value)
            bvi_c_pop(c);
        s = bvi_c_statement(c);
        all_pure &= s.pure;
        end_statement(c, s, end);
    }
    if (!s.has_value)
        bvi_c_emit(c, BVI_OP_UNIT, 0, c->tok.pos);
    *ret_last_pure = s.pure;
    return all_pure;
}

bool bvi_c_block(bvi_compiler *c, bool *ret_last_pure, bool *ret_empty)
{
    bool pure = false;
    uint32_t block;

    *ret_last_pure = *ret_empty = false;
    if (!bvi_c_expect(c, BVI_TOK_LBRACE, "to start a statement block") || !bvi_c_enter(c))
        return false;
    block = bvi_c_begin_block(c);
    pure = bvi_c_statements(c, BVI_TOK_RBRACE, ret_last_pure, ret_empty);
    bvi_c_expect(c, BVI_TOK_RBRACE, "to terminate this block");
    bvi_c_end_block(c, block);
    bvi_c_leave(c);
    return pure;
}

void bvi_c_plain_block(bvi_compiler *c)
{
    bool last_pure;
    bool empty;

    bvi_c_block(c, &last_pure, &empty);
}

void bvi_c_block_expr(bvi_compiler *c, bvi_expr *e)
{
    bvi_c_plain_block(c);
    e->is_path = false;
}

/* ---- if ---- */

void bvi_c_if(bvi_compiler *c, bvi_expr *e)
{
    uint32_t otherwise;
    uint32_t end;
    bvi_pos pos;

    bvi_c_next(c);
    pos = c->tok.pos;
    bvi_c_condition(c);
    otherwise = bvi_c_jump(c, BVI_OP_JUMP_FALSE, pos);
    bvi_c_plain_block(c);
    end = bvi_c_jump(c, BVI_OP_JUMP, pos);
    c->func->height--;
    bvi_c_patch(c, otherwise);
    if (!bvi_c_accept(c, BVI_TOK_ELSE)) {
        bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    } else if (c->tok.type == BVI_TOK_IF && bvi_c_enter(c)) {
        bvi_c_if(c, e);
        bvi_c_leave(c);
    } else {
        bvi_c_plain_block(c);
    }
    bvi_c_patch(c, end);
    e->is_path = false;
}

/* ---- try, throw, return ---- */

static void catch_block(bvi_compiler *c, uint32_t height, uint32_t evals)
{
    uint32_t outer = c->func->catch_slot;
    uint32_t slot = height;
    uint32_t block;
    bvi_pos pos = c->tok.pos;

    c->func->height = height + 1; /* the machine leaves the failure here */
    bvi_c_forget(c, evals);
    block = bvi_c_begin_block(c);
    bvi_c_declare(c, bvi_c_intern(c, "", 0), true);
    c->func->catch_slot = slot;
    if (bvi_c_accept(c, BVI_TOK_LPAREN)) {
        uint32_t name = bvi_c_variable_name(c);

        bvi_c_expect(c, BVI_TOK_RPAREN, "to enclose the catch variable");
        bvi_c_emit(c, BVI_OP_CAUGHT, slot, pos);
        bvi_c_declare(c, name, false);
    }
    bvi_c_plain_block(c);
    bvi_c_pop(c);
    bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    bvi_c_end_block(c, block);
    c->func->catch_slot = outer;
}

typedef struct code_mark {
    uint32_t code, places, handlers, height;
} code_mark;

/* Takes back what was emitted since the mark. */
static void rewind_code(bvi_compiler *c, const code_mark *m)
{
    bvi_func *f = c->func;

    if (c->failed)
        return;
    f->proto->code_len = m->code;
    f->proto->places_len = m->places;
    f->proto->handlers_len = m->handlers;
    f->height = m->height;
    f->last_op = f->prev_op = UINT32_MAX;
    f->barrier = m->code;
}

static bvi_stmt try_statement(bvi_compiler *c)
{
    bvi_proto *p = c->func->proto;
    code_mark mark = { p->code_len, p->places_len, p->handlers_len, c->func->height };
    bvi_handler handler = { .depth = c->func->height };
    bvi_pos pos = c->tok.pos;
    bool all_pure;
    bool last_pure;
    bool empty;
    uint32_t evals = c->func->evals;
    uint32_t end;

    bvi_c_next(c);
    handler.start = bvi_c_here(c);
    all_pure = bvi_c_block(c, &last_pure, &empty);
    handler.end = bvi_c_here(c);
    if (last_pure) { /* the reference's optimizer has dropped it by then */
        bvi_c_emit(c, BVI_OP_POP, 0, pos);
        bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    }
    end = bvi_c_jump(c, BVI_OP_JUMP, pos);
    bvi_c_expect(c, BVI_TOK_CATCH, "for the 'try' statement");
    handler.handler = bvi_c_here(c);
    catch_block(c, handler.depth, evals);
    bvi_c_patch(c, end);
    bvi_c_add_handler(c, handler);
    if (all_pure) {
        rewind_code(c, &mark);
        bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    }
    return (bvi_stmt){ .has_value = true, .closed = true };
}

static bvi_stmt throw_statement(bvi_compiler *c)
{
    bvi_pos pos = c->tok.pos;

    bvi_c_next(c);
    if (ends_statement(c) && c->func->catch_slot != UINT32_MAX) {
        bvi_c_emit(c, BVI_OP_RETHROW, c->func->catch_slot, pos);
        return BVI_NO_VALUE;
    }
    bvi_c_optional_value(c);
    bvi_c_emit(c, BVI_OP_THROW, 0, pos);
    return BVI_NO_VALUE;
}

static bvi_stmt return_statement(bvi_compiler *c)
{
    bvi_pos pos = c->tok.pos;

    bvi_c_next(c);
    bvi_c_optional_value(c);
    bvi_c_emit(c, BVI_OP_RETURN, 0, pos);
    return BVI_NO_VALUE;
}

/* ---- declarations ---- */

static bool at_top_of_eval(const bvi_compiler *c)
{
    return c->outer && !c->func->enclosing && c->func->depth == 0 && !c->func->loop;
}

static bool at_top_of_global_eval(const bvi_compiler *c)
{
    return at_top_of_eval(c) && c->outer->unit->scopes[c->outer_scope].is_global;
}

/* let and const; the value stays on the stack as the variable. Returns the name. */
static uint32_t declaration(bvi_compiler *c)
{
    bool is_const = c->tok.type == BVI_TOK_CONST;
    bool is_top = bvi_c_at_global_level(c);
    bvi_pos pos = c->tok.pos;
    bvi_expr value = { 0 };
    bvi_pos name_pos;
    uint32_t name;
    uint32_t note;

    bvi_c_next(c);
    name_pos = c->tok.pos;
    name = bvi_c_variable_name(c);
    note = bvi_c_note(c, BVI_NOTE_DECLARE, name, name_pos);
    if (bvi_c_accept(c, BVI_TOK_SET))
        value = bvi_c_expression(c);
    else
        bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    if (c->failed)
        return name;
    if (is_const && (is_top || at_top_of_global_eval(c)))
        bvi_c_emit(c, BVI_OP_DEF_CONST, name, pos);
    if (at_top_of_eval(c))
        bvi_c_emit2(c, BVI_OP_DEF_DYNAMIC, name, is_const, pos); /* they stay */
    else
        bvi_c_declare(c, name, is_const);
    bvi_c_note_declaration(c, note, value.note, is_const, is_top);
    return name;
}

static uint32_t note_import(bvi_compiler *c, uint32_t path, bool is_top, bvi_pos pos)
{
    const char *name = bvi_c_note_string(c, path);
    uint32_t index = bvi_c_note(c, BVI_NOTE_IMPORT, BVI_NO_NAME, pos);

    if (index) {
        bvi_c_note_at(c, index)->text = name;
        bvi_c_note_at(c, index)->is_top = is_top;
    }
    return index;
}

static bvi_stmt import_statement(bvi_compiler *c)
{
    bvi_expr path;
    bool is_top = bvi_c_at_global_level(c);
    bvi_pos pos = c->tok.pos;
    uint32_t alias;
    uint32_t note;

    bvi_c_next(c);
    path = bvi_c_expression(c);
    note = note_import(c, path.note, is_top, pos);
    bvi_c_emit(c, BVI_OP_IMPORT, 0, path.pos);
    if (!bvi_c_accept(c, BVI_TOK_AS)) {
        bvi_c_emit(c, BVI_OP_POP, 0, path.pos);
        return (bvi_stmt){ .pure = true };
    }
    alias = bvi_c_variable_name(c);
    if (c->failed)
        return BVI_NO_VALUE;
    if (is_top)
        bvi_c_emit(c, BVI_OP_DEF_IMPORT, alias, path.pos);
    bvi_c_declare_import(c, alias);
    if (note)
        bvi_c_note_at(c, note)->alias = bvi_unit_str(c->unit, alias)->data;
    bvi_c_note_declaration(c, note, 0, true, is_top);
    return (bvi_stmt){ .pure = true };
}

static void export_slot(bvi_compiler *c, uint32_t name, uint32_t exported, bvi_pos pos)
{
    bvi_found found = bvi_c_resolve(c, name, false, pos);

    bvi_c_note_of(c, BVI_NOTE_EXPORT, exported, pos, found.note);
    if (found.root == BVI_ROOT_LOCAL) {
        bvi_c_emit2(c, BVI_OP_EXPORT, found.slot, exported, pos);
        return;
    }
    bvi_c_emit(c, BVI_OP_GET_NAME, name, pos); /* fails: there is no such variable */
    bvi_c_emit(c, BVI_OP_POP, 0, pos);
}

static bvi_stmt export_statement(bvi_compiler *c)
{
    bvi_pos pos = c->tok.pos;
    uint32_t name;
    uint32_t exported;

    if (!bvi_c_at_global_level(c)) {
        bvi_c_error(c, pos, "Export statement can only appear at global level");
        return BVI_NO_VALUE;
    }
    bvi_c_next(c);
    pos = c->tok.pos;
    if (c->tok.type == BVI_TOK_LET || c->tok.type == BVI_TOK_CONST) {
        name = declaration(c);
        export_slot(c, name, name, pos);
        return BVI_NO_VALUE;
    }
    name = exported = bvi_c_variable_name(c);
    if (bvi_c_accept(c, BVI_TOK_AS))
        exported = bvi_c_variable_name(c);
    export_slot(c, name, exported, pos);
    return BVI_NO_VALUE;
}

/* ---- functions ---- */

static uint32_t function_name(bvi_compiler *c)
{
    uint32_t name;

    if (c->tok.type == BVI_TOK_RESERVED_WORD) {
        bvi_c_error(c, c->tok.pos, "'%.*s' is a reserved keyword", (int)c->tok.len, c->tok.text);
        return 0;
    }
    if (c->tok.type != BVI_TOK_IDENT) {
        bvi_c_error(c, c->tok.pos, "Expecting function name in function declaration");
        return 0;
    }
    name = bvi_c_intern(c, c->tok.text, c->tok.len);
    bvi_c_next(c);
    return name;
}

static uint32_t intern_type(bvi_compiler *c, const char *name)
{
    const char *type = bvi_type_of_name(name);

    return bvi_c_intern(c, type, strlen(type));
}

/* The one type whose name is reserved. */
static bool is_fn_type(const bvi_token *t)
{
    return t->type == BVI_TOK_RESERVED_WORD && t->len == 2 && memcmp(t->text, "Fn", 2) == 0;
}

/* "type." or "\"type\"." before the name: a method of that type only. Returns the type's constant,
 * 0 when there is none, and leaves the name to *ret_name. */
static uint32_t receiver_type(bvi_compiler *c, uint32_t *ret_name)
{
    bool quoted = c->tok.type == BVI_TOK_STRING;
    bool is_fn = is_fn_type(&c->tok);
    bvi_pos pos = c->tok.pos;
    uint32_t type;

    if (!quoted && !is_fn) {
        *ret_name = function_name(c);
        if (c->failed || c->tok.type != BVI_TOK_DOT)
            return 0;
        type = *ret_name;
    } else {
        type = bvi_c_intern(c, c->tok.text, c->tok.len);
        bvi_c_next(c);
    }
    if (is_fn && c->tok.type != BVI_TOK_DOT)
        bvi_c_error(c, pos, "'Fn' is a reserved keyword");
    bvi_c_expect(c, BVI_TOK_DOT, "after the type name for 'this'");
    *ret_name = function_name(c);
    if (c->failed)
        return 0;
    return intern_type(c, bvi_unit_str(c->unit, type)->data);
}

/* Functions found by name are those finished before, so a twin is seen before this one counts. */
static void check_twin(bvi_compiler *c, const bvi_proto *p, bvi_pos pos)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < c->unit->protos_len; i++) {
        const bvi_proto *other = c->unit->protos[i];

        if (other == p || other->is_top || other->is_closure)
            continue;
        count++;
        if (other->name == p->name && other->arity == p->arity &&
            other->this_type == p->this_type) {
            bvi_c_error(c, pos, "Function %s with %u parameter%s already exists",
                        bvi_unit_str(c->unit, p->name)->data, p->arity, p->arity == 1 ? "" : "s");
            return;
        }
    }
    if (count >= BVI_FUNCTIONS_MAX)
        bvi_c_error(c, pos, "More than %u functions", BVI_FUNCTIONS_MAX);
}

static void function_body(bvi_compiler *c, uint32_t name, uint32_t this_type, bool is_private,
                          bvi_pos pos)
{
    const char *text = bvi_unit_str(c->unit, name)->data;
    uint32_t note = bvi_c_note(c, BVI_NOTE_FUNCTION, name, pos);
    uint32_t arity = 0;
    bvi_func func;

    bvi_c_push_func(c, &func, name, false);
    if (!c->failed) {
        func.proto->is_private = is_private;
        func.proto->this_type = this_type;
        c->unit->has_methods |= this_type != 0;
        arity = bvi_c_params(c, BVI_TOK_RPAREN, text);
        check_twin(c, func.proto, pos);
    }
    if (!c->failed && c->tok.type != BVI_TOK_LBRACE)
        bvi_c_error(c, c->tok.pos, "Expecting body statement block for function %s", text);
    bvi_c_plain_block(c);
    bvi_c_emit(c, BVI_OP_RETURN, 0, pos);
    bvi_c_pop_func(c);
    bvi_c_note_end(c, note, arity);
    if (note)
        bvi_c_note_at(c, note)->is_private = is_private;
}

static void function(bvi_compiler *c)
{
    bool is_private = c->tok.type == BVI_TOK_PRIVATE;
    bvi_pos pos;
    uint32_t name;
    uint32_t type;

    if (is_private)
        bvi_c_next(c);
    pos = c->tok.pos;
    if (c->tok.type != BVI_TOK_FN) {
        bvi_c_unexpected(c);
        return;
    }
    if (!bvi_c_at_global_level(c)) {
        bvi_c_error(c, c->outer ? (bvi_pos){ 0, 0 } : pos,
                    "Function definitions must be at global level and cannot be inside a block or "
                    "another function");
        return;
    }
    bvi_c_next(c);
    type = receiver_type(c, &name);
    if (c->failed)
        return;
    if (c->tok.type != BVI_TOK_LPAREN) {
        bvi_c_error(c, c->tok.pos, "Expecting parameters for function %s",
                    bvi_unit_str(c->unit, name)->data);
        return;
    }
    bvi_c_next(c);
    function_body(c, name, type, is_private, pos);
}

/* ---- statements ---- */

static bvi_stmt expression_statement(bvi_compiler *c)
{
    bvi_expr e;
    bvi_opcode op;

    bvi_c_parse(c, BVI_PREC_LOWEST, &e);
    if (!c->failed && bvi_c_assignment_op(c->tok.type, &op)) {
        bvi_c_assign(c, &e);
        return BVI_NO_VALUE;
    }
    bvi_c_load(c, &e);
    return (bvi_stmt){ .has_value = true, .pure = e.pure };
}

/* if, loops and blocks at the start of a statement are the statement: what follows } is the next
 * one. */
static bvi_stmt closed_statement(bvi_compiler *c, void (*compile)(bvi_compiler *c, bvi_expr *e))
{
    bvi_expr e = { .pos = c->tok.pos };

    compile(c, &e);
    return (bvi_stmt){ .has_value = true, .closed = true };
}

static bvi_stmt statement(bvi_compiler *c)
{
    switch (c->tok.type) {
    case BVI_TOK_LET:
    case BVI_TOK_CONST:
        declaration(c);
        return BVI_NO_VALUE;
    case BVI_TOK_IF:
        return closed_statement(c, bvi_c_if);
    case BVI_TOK_SWITCH:
        return closed_statement(c, bvi_c_switch);
    case BVI_TOK_WHILE:
        return closed_statement(c, bvi_c_while);
    case BVI_TOK_LOOP:
        return closed_statement(c, bvi_c_loop);
    case BVI_TOK_FOR:
        return closed_statement(c, bvi_c_for);
    case BVI_TOK_LBRACE:
        return closed_statement(c, bvi_c_block_expr);
    case BVI_TOK_DO: {
        bvi_stmt s = closed_statement(c, bvi_c_do);

        s.closed = false;
        return s;
    }
    case BVI_TOK_TRY:
        return try_statement(c);
    case BVI_TOK_THROW:
        return throw_statement(c);
    case BVI_TOK_RETURN:
        return return_statement(c);
    case BVI_TOK_BREAK:
        return bvi_c_break_statement(c);
    case BVI_TOK_CONTINUE:
        return bvi_c_continue_statement(c);
    case BVI_TOK_IMPORT:
        return import_statement(c);
    case BVI_TOK_EXPORT:
        return export_statement(c);
    case BVI_TOK_FN:
    case BVI_TOK_PRIVATE:
        function(c);
        return BVI_NO_VALUE;
    default:
        return expression_statement(c);
    }
}

/* Tells the machine that a line is reached, if anybody wants to know. */
static void note_line(bvi_compiler *c)
{
    if (c->failed || !c->unit->coverage)
        return;
    if (bvi_coverage_expect(c->engine, c->unit->coverage, c->tok.pos.line) < 0)
        bvi_c_nomem(c);
    else
        bvi_c_emit(c, BVI_OP_LINE, c->tok.pos.line, c->tok.pos);
}

bvi_stmt bvi_c_statement(bvi_compiler *c)
{
    bvi_stmt s;

    if (!bvi_c_enter(c))
        return BVI_NO_VALUE;
    note_line(c);
    s = statement(c);
    bvi_c_leave(c);
    return s;
}
