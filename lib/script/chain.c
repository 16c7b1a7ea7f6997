/*
 * chain.c - variables, calls, and chains of properties, indices and methods, up to assignment.
 *
 * A chain such as m.a[i].b is not emitted while it is read: only its indices go to the stack, the
 * rest is remembered as steps. What follows decides: nothing makes it a load, "=" a store, "(" a
 * method call. One instruction then walks the whole chain, so nothing can run between its steps and
 * changes happen in place.
 */
#include <string.h>

#include "script/compile.h"

static bool text_is(const bvi_compiler *c, uint32_t name, const char *text)
{
    return !c->failed && strcmp(bvi_unit_str(c->unit, name)->data, text) == 0;
}

static void become_value(bvi_expr *e)
{
    e->is_path = false;
    e->root = BVI_ROOT_STACK;
    e->indices = 0;
    e->since = BVI_NOT_HIDDEN;
    e->literal = BVI_LIT_NONE;
    e->pure = false;
    e->note = 0;
}

static bool is_simple_variable(const bvi_compiler *c, const bvi_expr *e)
{
    return e->is_path && c->steps.len == e->first_step &&
           (e->root == BVI_ROOT_LOCAL || e->root == BVI_ROOT_UP);
}

/* ---- calls ---- */

/* Arguments behind "(", up to and with ")". path_of_first: the first one when it is a mere
 * variable. */
static uint32_t arguments(bvi_compiler *c, uint32_t name, bvi_site *site, bool by_reference,
                          uint32_t note)
{
    const char *function = bvi_unit_str(c->unit, name)->data;
    uint32_t argc = 0;

    bvi_c_next(c);
    site->first_arg = c->tok.pos;
    while (!c->failed && c->tok.type != BVI_TOK_RPAREN && c->tok.type != BVI_TOK_EOF) {
        bvi_expr e;

        bvi_c_parse(c, BVI_PREC_LOWEST, &e);
        if (c->failed)
            break;
        if (argc == 0 && by_reference && is_simple_variable(c, &e))
            site->path = bvi_c_add_path(c, &e);
        bvi_c_load(c, &e);
        bvi_c_note_argument(c, note, e.note, e.pos);
        if (++argc > BVI_ARGS_MAX)
            bvi_c_error(c, e.pos, "Too many arguments for function '%s'", function);
        if (bvi_c_accept(c, BVI_TOK_COMMA))
            continue;
        if (c->tok.type != BVI_TOK_RPAREN && c->tok.type != BVI_TOK_EOF)
            bvi_c_error(c, c->tok.pos,
                        "Expecting ',' to separate the arguments to function call '%s'", function);
    }
    bvi_c_expect(c, BVI_TOK_RPAREN, "to close the arguments list of this function call '%s'",
                 function);
    bvi_c_note_end(c, note, argc);
    return argc;
}

static bvi_special special_of(const bvi_compiler *c, uint32_t name)
{
    if (text_is(c, name, "call"))
        return BVI_SPECIAL_CALL;
    return text_is(c, name, "curry") ? BVI_SPECIAL_CURRY : BVI_SPECIAL_NONE;
}

/* with_scope: f!(args), the function also sees the variables that can be seen here. */
static void function_call(bvi_compiler *c, bvi_expr *e, uint32_t name, bool with_scope)
{
    bvi_site site = {
        .name = name, .path = BVI_NO_PATH, .scope = BVI_NO_SCOPE, .special = special_of(c, name)
    };
    uint32_t note = bvi_c_note(c, BVI_NOTE_CALL, name, e->pos);

    if (with_scope)
        site.scope = bvi_c_snapshot_scope(c);
    if (with_scope && note)
        bvi_c_note_at(c, note)->is_open = true;
    site.argc = arguments(c, name, &site, true, note);
    if (c->failed)
        return;
    site.pos = e->pos;
    if (text_is(c, name, "eval") && site.argc == 1) {
        bvi_c_emit(c, BVI_OP_EVAL, bvi_c_snapshot_scope(c), site.first_arg);
        c->func->evals++;
    } else {
        bvi_c_emit(c, BVI_OP_CALL, bvi_c_add_site(c, &site), e->pos);
    }
    become_value(e);
    e->note = note;
}

/* is_shared(x) and x.is_shared() look at the variable, not at a copy of its value. */
static void is_shared(bvi_compiler *c, bvi_expr *e, bvi_expr *variable)
{
    if (is_simple_variable(c, variable)) {
        bvi_c_emit(c, BVI_OP_IS_SHARED, bvi_c_add_path(c, variable), e->pos);
    } else {
        bvi_c_load(c, variable);
        bvi_c_pop(c);
        bvi_c_emit(c, BVI_OP_FALSE, 0, e->pos);
    }
    become_value(e);
}

static void is_shared_call(bvi_compiler *c, bvi_expr *e)
{
    bvi_expr variable;

    bvi_c_next(c);
    bvi_c_parse(c, BVI_PREC_LOWEST, &variable);
    is_shared(c, e, &variable);
    bvi_c_expect(c, BVI_TOK_RPAREN,
                 "to close the arguments list of this function call 'is_shared'");
}

/* is_def_var(name): whether the name is among the variables that can be seen here. */
static void is_def_var_call(bvi_compiler *c, bvi_expr *e)
{
    bvi_c_next(c);
    bvi_c_expression(c);
    bvi_c_emit(c, BVI_OP_IS_DEF_VAR, bvi_c_snapshot_scope(c), e->pos);
    bvi_c_expect(c, BVI_TOK_RPAREN,
                 "to close the arguments list of this function call 'is_def_var'");
    become_value(e);
}

static void reserved_word(bvi_compiler *c, bvi_pos pos, uint32_t name)
{
    if (!c->failed)
        bvi_c_error(c, pos, "'%s' is a reserved keyword", bvi_unit_str(c->unit, name)->data);
}

/* Behind a name, "!" can only be that of "f!(". */
static bool is_bang_call(const bvi_compiler *c)
{
    return c->tok.type == BVI_TOK_NOT && c->lex.at < c->lex.end && *c->lex.at == '(';
}

static bool is_callable_word(const bvi_compiler *c, uint32_t name)
{
    static const char *const words[] = {
        "print", "debug", "type_of",   "eval",       "Fn",
        "call",  "curry", "is_def_fn", "is_def_var", "is_shared",
    };

    for (size_t i = 0; i < BVI_COUNT(words); i++) {
        if (text_is(c, name, words[i]))
            return true;
    }
    return false;
}

void bvi_c_reserved_call(bvi_compiler *c, bvi_expr *e)
{
    bvi_pos pos = c->tok.pos;
    uint32_t name = bvi_c_intern(c, c->tok.text, c->tok.len);
    bool callable = is_callable_word(c, name);

    bvi_c_next(c);
    if (text_is(c, name, "call") && is_bang_call(c)) {
        bvi_c_next(c);
        function_call(c, e, name, true);
        return;
    }
    if (!callable || c->tok.type != BVI_TOK_LPAREN)
        reserved_word(c, pos, name);
    else if (text_is(c, name, "is_shared"))
        is_shared_call(c, e);
    else if (text_is(c, name, "is_def_var"))
        is_def_var_call(c, e);
    else
        function_call(c, e, name, false);
}

/* ---- names ---- */

static void global_constant(bvi_compiler *c, bvi_expr *e)
{
    e->name_pos = c->tok.pos;
    e->slot = bvi_c_variable_name(c);
    e->name = e->slot;
    e->is_path = true;
    e->is_const = true;
    e->root = BVI_ROOT_GLOBAL;
    e->pure = true;
    e->note = bvi_c_note(c, BVI_NOTE_GLOBAL, e->name, e->name_pos);
}

static uint32_t add_member(bvi_compiler *c, const bvi_member *m)
{
    bvi_script *u = c->unit;

    if (bvi_script_grow(c->engine, (void **)(void *)&u->members, &u->members_cap,
                        (size_t)u->members_len + 1, sizeof(*u->members)) < 0) {
        bvi_c_nomem(c);
        return 0;
    }
    u->members[u->members_len] = *m;
    return u->members_len++;
}

static uint32_t note_member(bvi_compiler *c, const bvi_member *m, uint32_t import, uint32_t alias,
                            bvi_pos pos)
{
    bool is_call = c->tok.type == BVI_TOK_LPAREN;
    uint32_t index =
        bvi_c_note_of(c, is_call ? BVI_NOTE_MEMBER_CALL : BVI_NOTE_MEMBER, m->name, pos, import);

    if (index) {
        bvi_c_note_at(c, index)->alias = bvi_unit_str(c->unit, alias)->data;
        bvi_c_note_at(c, index)->is_nested = m->count > 1;
    }
    return index;
}

/* alias::name, alias::inner::name, or a call of it; the token is the "::" behind the first alias.
 */
static void member(bvi_compiler *c, bvi_expr *e, uint32_t alias)
{
    bvi_found found = bvi_c_resolve(c, alias, true, e->pos);
    bvi_member m = {
        .first = c->unit->names_len, .root = found.root, .slot = found.slot, .pos = e->pos
    };
    uint32_t name = alias;
    bvi_pos pos = e->pos;
    uint32_t note;

    while (!c->failed && bvi_c_accept(c, BVI_TOK_NAMESPACE)) {
        bvi_c_add_name(c, name);
        m.count++;
        pos = c->tok.pos;
        name = bvi_c_variable_name(c);
    }
    m.name = name;
    if (c->failed)
        return;
    note = note_member(c, &m, found.note, alias, pos);
    if (c->tok.type == BVI_TOK_LPAREN) {
        bvi_site site = { .name = name, .path = BVI_NO_PATH, .scope = BVI_NO_SCOPE };

        site.argc = arguments(c, name, &site, false, note);
        site.member = add_member(c, &m);
        site.pos = pos;
        bvi_c_emit(c, BVI_OP_CALL_MEMBER, bvi_c_add_site(c, &site), pos);
        become_value(e);
        e->note = note;
        return;
    }
    e->is_path = true;
    e->is_const = true;
    e->root = BVI_ROOT_MEMBER;
    e->slot = add_member(c, &m);
    e->name = name;
    e->name_pos = pos;
    e->pure = true;
    e->note = note;
}

void bvi_c_variable(bvi_compiler *c, bvi_expr *e)
{
    uint32_t name = bvi_c_intern(c, c->tok.text, c->tok.len);
    bvi_found found;

    bvi_c_next(c);
    if (c->tok.type == BVI_TOK_NAMESPACE && text_is(c, name, "global")) {
        bvi_c_next(c);
        global_constant(c, e);
        return;
    }
    if (c->tok.type == BVI_TOK_NAMESPACE) {
        member(c, e, name);
        return;
    }
    if (c->tok.type == BVI_TOK_LPAREN || is_bang_call(c)) {
        bool with_scope = bvi_c_accept(c, BVI_TOK_NOT);

        function_call(c, e, name, with_scope);
        return;
    }
    found = bvi_c_resolve(c, name, false, e->pos);
    e->is_path = true;
    e->root = found.root;
    e->slot = found.slot;
    e->is_const = found.is_const;
    e->since = found.since;
    e->name = name;
    e->pure = true;
    e->note = bvi_c_note_of(
        c, found.root == BVI_ROOT_NAME || found.by_name ? BVI_NOTE_UNKNOWN : BVI_NOTE_VARIABLE,
        name, e->pos, found.note);
}

void bvi_c_this(bvi_compiler *c, bvi_expr *e)
{
    if (c->func->proto->is_top) {
        bvi_c_error(c, c->tok.pos, "'this' can only be used in functions");
        return;
    }
    bvi_c_next(c);
    e->is_path = true;
    e->root = BVI_ROOT_THIS;
    e->pure = true;
}

/* ---- steps ---- */

/* A value on the stack becomes the root of a chain. */
static void become_path(bvi_expr *e)
{
    if (e->is_path)
        return;
    e->is_path = true;
    e->root = BVI_ROOT_STACK;
    e->indices = 0;
    e->since = BVI_NOT_HIDDEN;
    e->is_const = false;
    e->name = 0;
}

static void add_step(bvi_compiler *c, bvi_expr *e, bvi_step step)
{
    bvi_step *slot;

    if (c->failed)
        return;
    slot = bvi_vec_push(&c->steps);
    if (!slot) {
        bvi_c_nomem(c);
        return;
    }
    *slot = step;
    e->literal = BVI_LIT_NONE;
    e->pure = false;
}

/* The receiver goes below the arguments: a value that is there already, or room for what the chain
 * leads to. */
static void method_call(bvi_compiler *c, bvi_expr *e, uint32_t name, bvi_pos pos, bool safe)
{
    bvi_site site = {
        .name = name, .safe = safe, .scope = BVI_NO_SCOPE, .special = special_of(c, name)
    };
    bool on_stack = e->root == BVI_ROOT_STACK && c->steps.len == e->first_step;
    uint32_t note = bvi_c_note_of(c, BVI_NOTE_METHOD, name, pos, e->note);

    site.path = bvi_c_add_path(c, e);
    if (!on_stack)
        bvi_c_emit(c, BVI_OP_UNIT, 0, pos);
    site.argc = arguments(c, name, &site, false, note);
    if (c->failed)
        return;
    site.pos = pos;
    bvi_c_emit(c, BVI_OP_METHOD, bvi_c_add_site(c, &site), pos);
    become_value(e);
    e->pos = pos;
    e->note = note;
}

/* The token as the name behind a dot. */
static uint32_t property_name(bvi_compiler *c)
{
    bvi_pos pos = c->tok.pos;
    bool reserved = c->tok.type == BVI_TOK_RESERVED_WORD;
    uint32_t name;

    if (c->tok.type != BVI_TOK_IDENT && !reserved) {
        bvi_c_error(c, pos, "Expecting name of a property");
        return UINT32_MAX;
    }
    name = bvi_c_intern(c, c->tok.text, c->tok.len);
    if (reserved && special_of(c, name) == BVI_SPECIAL_NONE && !text_is(c, name, "type_of") &&
        !text_is(c, name, "is_shared"))
        reserved_word(c, pos, name);
    bvi_c_next(c);
    if (reserved && c->tok.type != BVI_TOK_LPAREN)
        reserved_word(c, pos, name);
    return name;
}

void bvi_c_property(bvi_compiler *c, bvi_expr *e)
{
    bvi_pos dot = c->tok.pos;
    bool safe = c->tok.type == BVI_TOK_SAFE_DOT;
    bvi_pos pos;
    uint32_t name;

    become_path(e);
    bvi_c_next(c);
    pos = c->tok.pos;
    name = property_name(c);
    if (c->failed)
        return;
    if (c->tok.type == BVI_TOK_NAMESPACE) {
        bvi_c_error(c, c->tok.pos, "Invalid symbol encountered: '::'");
    } else if (c->tok.type == BVI_TOK_LPAREN && text_is(c, name, "is_shared")) {
        e->pos = pos;
        bvi_c_next(c);
        bvi_c_expect(c, BVI_TOK_RPAREN,
                     "to close the arguments list of this function call 'is_shared'");
        is_shared(c, e,
                  &(bvi_expr){ .is_path = e->is_path,
                               .root = e->root,
                               .slot = e->slot,
                               .indices = e->indices,
                               .since = e->since,
                               .first_step = e->first_step,
                               .pos = e->pos });
    } else if (c->tok.type == BVI_TOK_LPAREN) {
        method_call(c, e, name, pos, safe);
    } else {
        add_step(c, e, (bvi_step){ .safe = safe, .key = name, .pos = dot, .item = pos });
        if (!c->failed)
            bvi_c_note_step(c, e, bvi_unit_str(c->unit, name)->data, 0, pos);
    }
}

/* A literal item of a literal that can never be one. */
static void check_literal_index(bvi_compiler *c, bvi_literal of, const bvi_expr *index)
{
    const char *name =
        index->literal == BVI_LIT_BOOL ? "a boolean" : bvi_c_literal_name(index->literal);

    if (!name || index->is_path)
        return;
    if (of == BVI_LIT_MAP && index->literal != BVI_LIT_STRING)
        bvi_c_error(c, index->pos, "Object map expects string index, not %s", name);
    else if ((of == BVI_LIT_ARRAY || of == BVI_LIT_STRING) && index->literal != BVI_LIT_NUMBER)
        bvi_c_error(c, index->pos, "Array, string or bit-field expects numeric index, not %s",
                    name);
}

void bvi_c_index(bvi_compiler *c, bvi_expr *e)
{
    bvi_step step = { .is_index = true,
                      .safe = c->tok.type == BVI_TOK_SAFE_BRACKET,
                      .pos = c->tok.pos };

    bvi_literal of = e->is_path ? BVI_LIT_NONE : e->literal;
    bvi_expr index;

    become_path(e);
    bvi_c_next(c);
    index = bvi_c_expression(c);
    check_literal_index(c, of, &index);
    step.item = index.pos;
    bvi_c_expect(c, BVI_TOK_RBRACKET, "for a matching [ in this index expression");
    e->indices++;
    add_step(c, e, step);
    bvi_c_note_step(c, e, bvi_c_note_string(c, index.note), index.note, step.item);
}

/* ---- assignment ---- */

bool bvi_c_assignment_op(bvi_token_type type, bvi_opcode *ret)
{
    switch (type) {
    case BVI_TOK_SET:
        *ret = BVI_OP_COUNT;
        return true;
    case BVI_TOK_ADD_SET:
        *ret = BVI_OP_ADD;
        return true;
    case BVI_TOK_SUB_SET:
        *ret = BVI_OP_SUB;
        return true;
    case BVI_TOK_MUL_SET:
        *ret = BVI_OP_MUL;
        return true;
    case BVI_TOK_DIV_SET:
        *ret = BVI_OP_DIV;
        return true;
    case BVI_TOK_MOD_SET:
        *ret = BVI_OP_MOD;
        return true;
    case BVI_TOK_POW_SET:
        *ret = BVI_OP_POW;
        return true;
    case BVI_TOK_SHL_SET:
        *ret = BVI_OP_SHL;
        return true;
    case BVI_TOK_SHR_SET:
        *ret = BVI_OP_SHR;
        return true;
    case BVI_TOK_AND_SET:
        *ret = BVI_OP_AND;
        return true;
    case BVI_TOK_OR_SET:
        *ret = BVI_OP_OR;
        return true;
    case BVI_TOK_XOR_SET:
        *ret = BVI_OP_XOR;
        return true;
    default:
        return false;
    }
}

static bool can_assign(bvi_compiler *c, const bvi_expr *e)
{
    if (!e->is_path || e->root == BVI_ROOT_STACK) {
        if (e->literal != BVI_LIT_NONE && !e->is_path)
            bvi_c_error(c, e->pos, "Cannot assign to a constant value");
        else
            bvi_c_error(c, e->pos, "Expression cannot be assigned to");
        return false;
    }
    if (e->root == BVI_ROOT_LOCAL && e->is_const && e->since == BVI_NOT_HIDDEN &&
        c->steps.len == e->first_step) {
        bvi_c_error(c, e->pos, "Cannot assign to constant %s",
                    bvi_unit_str(c->unit, e->name)->data);
        return false;
    }
    return true;
}

static void store(bvi_compiler *c, bvi_expr *e, bvi_opcode op, bvi_pos pos)
{
    bool simple = is_simple_variable(c, e) && e->since == BVI_NOT_HIDDEN;

    if (c->failed)
        return;
    if (simple && op == BVI_OP_COUNT) {
        bvi_c_emit(c, e->root == BVI_ROOT_LOCAL ? BVI_OP_SET_LOCAL : BVI_OP_SET_UP, e->slot, pos);
    } else if (simple && e->root == BVI_ROOT_LOCAL) {
        bvi_c_operator_local(c, e->slot, op, pos);
    } else if (op == BVI_OP_COUNT) {
        bvi_c_emit(c, BVI_OP_SET_PATH, bvi_c_add_path(c, e), pos);
    } else {
        bvi_c_emit2(c, BVI_OP_OP_PATH, bvi_c_add_path(c, e), op, pos);
    }
    e->is_path = false;
}

void bvi_c_assign(bvi_compiler *c, bvi_expr *e)
{
    bvi_opcode op = BVI_OP_COUNT;
    bvi_pos pos = c->tok.pos;

    (void)bvi_c_assignment_op(c->tok.type, &op); /* the caller has looked */
    if (!can_assign(c, e))
        return;
    bvi_c_note_of(c, BVI_NOTE_ASSIGN, BVI_NO_NAME, pos, e->note);
    bvi_c_next(c);
    bvi_c_expression(c);
    store(c, e, op, pos);
}
