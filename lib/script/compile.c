/*
 * compile.c - the compiler's frame: tokens, errors, the way in. See compile.h for how the parts
 * work together.
 */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "script/compile.h"
#include "script/coverage.h"

#define STEPS_MAX 100000u

/* ---- errors ---- */

static void stop(bvi_compiler *c)
{
    c->failed = true;
    c->tok.type = BVI_TOK_EOF;
}

void bvi_c_error(bvi_compiler *c, bvi_pos pos, const char *fmt, ...)
{
    va_list args;

    if (c->failed)
        return;
    va_start(args, fmt);
    vsnprintf(c->error->text, sizeof(c->error->text), fmt, args);
    va_end(args);
    c->error->pos = pos;
    stop(c);
}

void bvi_c_nomem(bvi_compiler *c)
{
    c->no_memory = true;
    stop(c);
}

void bvi_c_unknown_operator(bvi_compiler *c)
{
    const bvi_token *t = &c->tok;

    if (t->hint)
        bvi_c_error(c, t->pos, "%s", t->hint);
    else
        bvi_c_error(c, t->pos, "Unknown operator: '%.*s'", (int)t->len, t->text);
}

void bvi_c_unexpected(bvi_compiler *c)
{
    const bvi_token *t = &c->tok;

    switch (t->type) {
    case BVI_TOK_EOF:
        bvi_c_error(c, t->pos, "Script is incomplete");
        break;
    case BVI_TOK_RESERVED_SYMBOL:
        if (t->hint)
            bvi_c_error(c, t->pos, "%s", t->hint);
        else
            bvi_c_error(c, t->pos, "'%.*s' is a reserved symbol", (int)t->len, t->text);
        break;
    case BVI_TOK_RESERVED_WORD:
        bvi_c_error(c, t->pos, "'%.*s' is a reserved keyword", (int)t->len, t->text);
        break;
    case BVI_TOK_STRING:
    case BVI_TOK_INTERP:
        bvi_c_error(c, t->pos, "Unexpected string");
        break;
    default:
        bvi_c_error(c, t->pos, "Unexpected '%s'", bvi_token_text(t->type));
        break;
    }
}

/* ---- tokens ---- */

void bvi_c_next(bvi_compiler *c)
{
    if (c->failed)
        return;
    if (bvi_lex_next(&c->lex, &c->tok) < 0)
        bvi_c_nomem(c);
    else if (c->tok.type == BVI_TOK_ERROR)
        bvi_c_error(c, c->tok.pos, "%s", bvi_buf_str(&c->lex.text));
}

bool bvi_c_accept(bvi_compiler *c, bvi_token_type type)
{
    if (c->failed || c->tok.type != type)
        return false;
    bvi_c_next(c);
    return true;
}

bool bvi_c_expect(bvi_compiler *c, bvi_token_type type, const char *fmt, ...)
{
    char purpose[300];
    va_list args;

    if (bvi_c_accept(c, type))
        return true;
    if (c->failed)
        return false;
    va_start(args, fmt);
    vsnprintf(purpose, sizeof(purpose), fmt, args);
    va_end(args);
    bvi_c_error(c, c->tok.pos, "Expecting '%s' %s", bvi_token_text(type), purpose);
    return false;
}

uint32_t bvi_c_variable_name(bvi_compiler *c)
{
    const bvi_token *t = &c->tok;
    uint32_t name;

    if (c->failed)
        return UINT32_MAX;
    if (t->type == BVI_TOK_IDENT) {
        name = bvi_c_intern(c, t->text, t->len);
        bvi_c_next(c);
        return name;
    }
    if (t->type == BVI_TOK_RESERVED_WORD || t->type == BVI_TOK_THIS)
        bvi_c_error(c, t->pos, "'%.*s' is a reserved keyword", (int)t->len, t->text);
    else if (t->type == BVI_TOK_UNDERSCORE && t->len > 1)
        bvi_c_error(c, t->pos, "Variable name is not proper: '%.*s'", (int)t->len, t->text);
    else
        bvi_c_error(c, t->pos, "Expecting name of a variable");
    return UINT32_MAX;
}

/* ---- nesting ---- */

bool bvi_c_enter(bvi_compiler *c)
{
    if (c->failed)
        return false;
    if (c->depth >= c->engine->options.limits.expression_depth) {
        bvi_c_error(c, c->tok.pos, "Expression exceeds maximum complexity");
        return false;
    }
    c->depth++;
    return true;
}

void bvi_c_leave(bvi_compiler *c)
{
    c->depth--;
}

/* ---- literals of switch cases ---- */

static bvi_value literal_error(bvi_compiler *c)
{
    bvi_c_error(c, c->tok.pos, "Expecting a literal expression");
    return BVI_VALUE_UNIT;
}

static bvi_value literal_array(bvi_compiler *c)
{
    bvi_value v = BVI_VALUE_UNIT;

    bvi_c_next(c);
    if (bvi_value_array(c->engine, &v) < 0)
        bvi_c_nomem(c);
    while (!c->failed && c->tok.type != BVI_TOK_RBRACKET) {
        bvi_value item = bvi_c_literal_value(c);

        if (bvi_array_push(&v, item) < 0)
            bvi_c_nomem(c);
        if (!bvi_c_accept(c, BVI_TOK_COMMA))
            break;
    }
    bvi_c_expect(c, BVI_TOK_RBRACKET, "to end this array literal");
    return v;
}

static bvi_value literal_map(bvi_compiler *c)
{
    bvi_value v = BVI_VALUE_UNIT;

    bvi_c_next(c);
    if (bvi_value_map(c->engine, &v) < 0)
        bvi_c_nomem(c);
    while (!c->failed && (c->tok.type == BVI_TOK_IDENT || c->tok.type == BVI_TOK_STRING)) {
        uint32_t key = bvi_c_intern(c, c->tok.text, c->tok.len);
        bvi_value item;

        bvi_c_next(c);
        bvi_c_expect(c, BVI_TOK_COLON, "to follow the property in this object map literal");
        item = bvi_c_literal_value(c);
        if (c->failed)
            bvi_drop(&item);
        else if (bvi_map_set(&v, bvi_unit_str(c->unit, key), item) < 0)
            bvi_c_nomem(c);
        if (!bvi_c_accept(c, BVI_TOK_COMMA))
            break;
    }
    bvi_c_expect(c, BVI_TOK_RBRACE, "to end this object map literal");
    return v;
}

static bvi_value literal_string(bvi_compiler *c)
{
    uint32_t k = bvi_c_intern(c, c->tok.text, c->tok.len);

    return c->failed ? BVI_VALUE_UNIT : bvi_dup(&c->unit->consts[k]);
}

static bvi_value literal_negative(bvi_compiler *c)
{
    bvi_value v = BVI_VALUE_UNIT;

    bvi_c_next(c);
    if (c->tok.type == BVI_TOK_INT)
        v = bvi_value_int((int64_t)(0 - (uint64_t)c->tok.number));
    else if (c->tok.type == BVI_TOK_FLOAT)
        v = bvi_value_float(-c->tok.real);
    else
        return literal_error(c);
    bvi_c_next(c);
    return v;
}

static bvi_value literal_unit(bvi_compiler *c)
{
    bvi_c_next(c);
    if (c->tok.type != BVI_TOK_RPAREN)
        return literal_error(c);
    bvi_c_next(c);
    return BVI_VALUE_UNIT;
}

static bvi_value literal(bvi_compiler *c)
{
    bvi_value v = BVI_VALUE_UNIT;

    switch (c->tok.type) {
    case BVI_TOK_INT:
        v = bvi_value_int(c->tok.number);
        break;
    case BVI_TOK_FLOAT:
        v = bvi_value_float(c->tok.real);
        break;
    case BVI_TOK_CHAR:
        v = bvi_value_char((uint32_t)c->tok.number);
        break;
    case BVI_TOK_TRUE:
    case BVI_TOK_FALSE:
        v = bvi_value_bool(c->tok.type == BVI_TOK_TRUE);
        break;
    case BVI_TOK_STRING:
        v = literal_string(c);
        break;
    case BVI_TOK_MINUS:
        return literal_negative(c);
    case BVI_TOK_LPAREN:
        return literal_unit(c);
    case BVI_TOK_LBRACKET:
        return literal_array(c);
    case BVI_TOK_MAP_OPEN:
        return literal_map(c);
    default:
        return literal_error(c);
    }
    bvi_c_next(c);
    return v;
}

bvi_value bvi_c_literal_value(bvi_compiler *c)
{
    bvi_value v;

    if (!bvi_c_enter(c))
        return BVI_VALUE_UNIT;
    v = literal(c);
    bvi_c_leave(c);
    return v;
}

/* ---- the way in ---- */

static void compile_top(bvi_compiler *c)
{
    bool last_pure;
    bool empty;
    bvi_func func;

    bvi_c_push_func(c, &func, bvi_c_intern(c, "", 0), false);
    if (!c->failed) {
        func.proto->is_top = !c->outer;
        func.proto->is_closure = c->outer != NULL;
        func.evals = c->outer ? c->outer->unit->scopes[c->outer_scope].evals + 1 : 0;
    }
    bvi_c_next(c);
    bvi_c_statements(c, BVI_TOK_EOF, &last_pure, &empty);
    bvi_c_emit(c, BVI_OP_RETURN, 0, c->tok.pos);
    bvi_c_pop_func(c);
}

static int finish(bvi_compiler *c, bvi_script **ret)
{
    bvi_lex_done(&c->lex);
    bvi_vec_done(&c->steps);
    bvi_script_release(c->engine, c->interned, c->interned_cap * sizeof(*c->interned));
    if (c->failed) {
        bvi_script_free(c->unit);
        return c->no_memory ? BV_E_NOMEM : BV_E_FORMAT;
    }
    if (c->engine->options.debug_flags & BVI_SCRIPT_DEBUG_DUMP)
        bvi_unit_dump(c->unit);
    *ret = c->unit;
    return 0;
}

static int check_source(bvi_script_engine *engine, const char *source, size_t len,
                        bvi_compile_error *error)
{
    *error = (bvi_compile_error){ .text = "" };
    if (len > engine->options.limits.source_bytes)
        snprintf(error->text, sizeof(error->text), "Script is too large");
    else if (!bvi_utf8_valid(source, len))
        snprintf(error->text, sizeof(error->text), "Script is not valid UTF-8");
    return error->text[0] ? BV_E_FORMAT : 0;
}

/* A loaded file may start with a #! line. */
static void skip_shebang(const char **source, size_t *len)
{
    const char *end;

    if (*len < 2 || memcmp(*source, "#!", 2) != 0)
        return;
    end = memchr(*source, '\n', *len);
    if (!end)
        end = *source + *len;
    *len -= (size_t)(end - *source);
    *source = end;
}

int bvi_compile_noting(bvi_script_engine *engine, const char *source, size_t len, const char *name,
                       bvi_notes *notes, bvi_script **ret, bvi_compile_error *error)
{
    bvi_compiler c = {
        .engine = engine, .error = error, .steps = BVI_VEC_INIT(STEPS_MAX), .notes = notes
    };
    int r = check_source(engine, source, len, error);

    if (r == 0)
        r = bvi_unit_new(engine, name, &c.unit);
    if (r < 0)
        return r;
    if ((engine->options.debug_flags & BVI_SCRIPT_COVERAGE) &&
        bvi_coverage_new(engine, name, &c.unit->coverage) < 0)
        bvi_c_nomem(&c);
    if (name)
        skip_shebang(&source, &len);
    bvi_lex_init(&c.lex, engine, source, len);
    compile_top(&c);
    return finish(&c, ret);
}

int bvi_compile(bvi_script_engine *engine, const char *source, size_t len, const char *name,
                bvi_script **ret, bvi_compile_error *error)
{
    return bvi_compile_noting(engine, source, len, name, NULL, ret, error);
}

int bvi_compile_eval(bvi_script_engine *engine, const char *source, size_t len,
                     const bvi_proto *outer, uint32_t scope, bvi_script **ret,
                     bvi_compile_error *error)
{
    bvi_compiler c = {
        .engine = engine,
        .error = error,
        .steps = BVI_VEC_INIT(STEPS_MAX),
        .outer = outer,
        .outer_scope = scope,
    };
    int r = check_source(engine, source, len, error);

    if (r == 0)
        r = bvi_unit_new(engine, outer->unit->source_name, &c.unit);
    if (r < 0)
        return r;
    bvi_lex_init(&c.lex, engine, source, len);
    compile_top(&c);
    return finish(&c, ret);
}

int bvi_script_compile(bvi_script_engine *engine, const char *source, size_t len, const char *name,
                       bvi_script **ret_script, bv_error **err)
{
    bvi_compile_error error;
    int r = bvi_compile(engine, source, len, name, ret_script, &error);

    if (r == BV_E_NOMEM)
        return engine->over_ceiling
                   ? bvi_fail(err, r, "script memory ceiling of %llu bytes reached",
                              (unsigned long long)engine->options.limits.memory_bytes)
                   : bvi_fail_nomem(err);
    if (r < 0 && error.pos.line > 0)
        return bvi_fail(err, r, "%s (line %u, position %u)", error.text, error.pos.line,
                        error.pos.col);
    return r < 0 ? bvi_fail(err, r, "%s", error.text) : 0;
}
