/*
 * lib_json.c - JSON and values: to_json(), parse_json(), and documents of base/json.h for
 * embedders.
 *
 * parse_json() reads text straight into values, so that a large answer is counted against the
 * engine's ceiling and its depth is bounded. It takes proper JSON, and of the language's own
 * notation what costs nothing: trailing commas, comments, hexadecimal numbers, character literals.
 * Positions and texts are those of a syntax error in a script.
 */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "script/lex.h"
#include "script/lib.h"

BVI_LIB(to_json)
{
    BVI_AUTO(bvi_buf_done)
    bvi_buf text = BVI_SCRIPT_BUF_INIT(call->engine, call->engine->options.limits.string_bytes);
    int r = bvi_format_json(&text, &args[0]);

    if (r == BV_E_LIMIT)
        r = bvi_script_too_large(call->engine, "Length of string");
    if (r == 0)
        r = bvi_string_from_buf(call->engine, &text, ret);
    return bvi_lib_end(call, r);
}

/* ---- parsing ---- */

typedef struct parser {
    bvi_script_call *call;
    bvi_lexer lex;
    bvi_token tok;
    unsigned depth;
} parser;

static int syntax_error(parser *p, bvi_pos pos, const char *fmt, ...)
{
    char text[400];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return bvi_vm_fail_at(p->call, pos, BVI_FAILURE_PARSING, "Syntax error: %s", text);
}

static int next(parser *p)
{
    if (bvi_lex_next(&p->lex, &p->tok) < 0)
        return bvi_script_throw_nomem(p->call);
    if (p->tok.type == BVI_TOK_ERROR)
        return syntax_error(p, p->tok.pos, "%s", bvi_buf_str(&p->lex.text));
    p->lex.after_operand = false; /* a minus here is always a sign */
    return 0;
}

static int unexpected(parser *p)
{
    const bvi_token *t = &p->tok;

    if (t->type == BVI_TOK_EOF)
        return syntax_error(p, t->pos, "Script is incomplete");
    if (t->type == BVI_TOK_RESERVED_WORD || t->type == BVI_TOK_RESERVED_SYMBOL)
        return syntax_error(p, t->pos, "'%.*s' is a reserved %s", (int)t->len, t->text,
                            t->type == BVI_TOK_RESERVED_WORD ? "keyword" : "symbol");
    if (t->type == BVI_TOK_IDENT)
        return syntax_error(p, t->pos, "Unexpected '%.*s'", (int)t->len, t->text);
    return syntax_error(p, t->pos, "Unexpected '%s'", bvi_token_text(t->type));
}

static int value(parser *p, bvi_value *ret);

static int separator(parser *p, bvi_token_type end, const char *what)
{
    if (p->tok.type == BVI_TOK_COMMA)
        return next(p);
    if (p->tok.type == end)
        return 0;
    if (p->tok.type == BVI_TOK_EOF)
        return syntax_error(p, p->tok.pos, "Expecting '%s' to end this %s literal",
                            bvi_token_text(end), what);
    return syntax_error(p, p->tok.pos, "Expecting ',' to separate the items of this %s literal",
                        what);
}

static int array(parser *p, bvi_value *ret)
{
    int r = bvi_value_array(p->call->engine, ret);

    if (r < 0)
        return bvi_script_throw_code(p->call, r);
    r = next(p);
    while (r == 0 && p->tok.type != BVI_TOK_RBRACKET) {
        bvi_value item = BVI_VALUE_UNIT;

        if (p->tok.type == BVI_TOK_EOF)
            return separator(p, BVI_TOK_RBRACKET, "array");
        r = value(p, &item);
        if (r < 0) {
            bvi_drop(&item);
            return r;
        }
        r = bvi_array_push(ret, item);
        if (r < 0)
            return bvi_script_throw_code(p->call, r);
        r = separator(p, BVI_TOK_RBRACKET, "array");
    }
    return r < 0 ? r : next(p);
}

static int member_value(parser *p, bvi_value *map, bvi_value *key)
{
    bvi_value *slot = NULL;
    bvi_value item = BVI_VALUE_UNIT;
    int r;

    if (p->tok.type != BVI_TOK_COLON)
        return syntax_error(p, p->tok.pos,
                            "Expecting ':' to follow the property '%s' in this object map literal",
                            bvi_str(key)->data);
    r = next(p);
    if (r == 0)
        r = value(p, &item);
    if (r < 0) {
        bvi_drop(&item);
        return r;
    }
    r = bvi_map_slot(map, bvi_str(key), &slot);
    if (r < 0) {
        bvi_drop(&item);
        return bvi_script_throw_code(p->call, r);
    }
    bvi_replace(slot, item);
    return separator(p, BVI_TOK_RBRACE, "object map");
}

static int member(parser *p, bvi_value *map)
{
    bvi_value key = BVI_VALUE_UNIT;
    bvi_pos pos = p->tok.pos;
    int r;

    if (p->tok.type == BVI_TOK_EOF)
        return separator(p, BVI_TOK_RBRACE, "object map");
    if (p->tok.type != BVI_TOK_STRING)
        return syntax_error(p, pos, "Expecting name of a property");
    r = bvi_value_string(p->call->engine, p->tok.text, p->tok.len, &key);
    if (r < 0)
        return bvi_script_throw_code(p->call, r);
    if (bvi_map_find(map, bvi_str(&key)))
        r = syntax_error(p, pos, "Duplicated property for object map literal: %s",
                         bvi_str(&key)->data);
    if (r == 0)
        r = next(p);
    if (r == 0)
        r = member_value(p, map, &key);
    bvi_drop(&key);
    return r;
}

static int object(parser *p, bvi_value *ret)
{
    int r = bvi_value_map(p->call->engine, ret);

    if (r < 0)
        return bvi_script_throw_code(p->call, r);
    r = next(p);
    while (r == 0 && p->tok.type != BVI_TOK_RBRACE)
        r = member(p, ret);
    return r < 0 ? r : next(p);
}

static bool is_null(const bvi_token *t)
{
    return t->type == BVI_TOK_RESERVED_WORD && t->len == 4 && memcmp(t->text, "null", 4) == 0;
}

static int scalar(parser *p, bvi_value *ret)
{
    int r = 0;

    switch (p->tok.type) {
    case BVI_TOK_INT:
        *ret = bvi_value_int(p->tok.number);
        break;
    case BVI_TOK_FLOAT:
        *ret = bvi_value_float(p->tok.real);
        break;
    case BVI_TOK_CHAR:
        *ret = bvi_value_char((uint32_t)p->tok.number);
        break;
    case BVI_TOK_TRUE:
    case BVI_TOK_FALSE:
        *ret = bvi_value_bool(p->tok.type == BVI_TOK_TRUE);
        break;
    case BVI_TOK_STRING:
        r = bvi_value_string(p->call->engine, p->tok.text, p->tok.len, ret);
        if (r < 0)
            return bvi_script_throw_code(p->call, r);
        break;
    default:
        if (!is_null(&p->tok))
            return unexpected(p);
        break;
    }
    return next(p);
}

static int value(parser *p, bvi_value *ret)
{
    int r;

    if (p->depth >= BVI_VALUE_DEPTH_MAX)
        return syntax_error(p, p->tok.pos, "Expression exceeds maximum complexity");
    p->depth++;
    if (p->tok.type == BVI_TOK_LBRACE)
        r = object(p, ret);
    else if (p->tok.type == BVI_TOK_LBRACKET)
        r = array(p, ret);
    else
        r = scalar(p, ret);
    p->depth--;
    return r;
}

static int document(parser *p, bvi_value *ret)
{
    int r = next(p);

    if (r == 0)
        r = value(p, ret);
    if (r == 0 && p->tok.type != BVI_TOK_EOF)
        r = unexpected(p);
    if (r == 0 && ret->type != BVI_T_MAP)
        r = bvi_script_throw_output(p->call, ret, "map");
    return r;
}

int bvi_script_parse_json(bvi_script_call *call, const char *text, size_t len, bvi_value *ret_value)
{
    parser p = { .call = call };
    bvi_value v = BVI_VALUE_UNIT;
    int r;

    call->engine->work += len;
    if (!bvi_utf8_valid(text, len))
        return bvi_vm_fail(call, BVI_FAILURE_PARSING, "Syntax error: text is not valid UTF-8");
    bvi_lex_init(&p.lex, call->engine, text, len);
    p.lex.json = true;
    r = document(&p, &v);
    bvi_lex_done(&p.lex);
    if (r < 0) {
        bvi_drop(&v);
        return r;
    }
    *ret_value = v;
    return 0;
}

BVI_LIB(parse_json)
{
    return bvi_script_parse_json(call, bvi_str(&args[0])->data, bvi_str(&args[0])->len, ret);
}

/* ---- documents of base/json.h ---- */

/* The first value in it that JSON cannot hold, or NULL. */
static const bvi_value *find_foreign(const bvi_value *v, unsigned depth)
{
    const bvi_value *found = NULL;

    if (v->type >= BVI_T_FN || v->type == BVI_T_RANGE || v->type == BVI_T_TIMESTAMP)
        return v;
    if (depth > BVI_VALUE_DEPTH_MAX) /* refused when it is written */
        return NULL;
    if (v->type == BVI_T_ARRAY) {
        for (uint32_t i = 0; !found && i < bvi_arr(v)->len; i++)
            found = find_foreign(&bvi_arr(v)->items[i], depth + 1);
    } else if (v->type == BVI_T_MAP) {
        for (uint32_t i = 0; !found && i < bvi_mp(v)->len; i++)
            found = find_foreign(&bvi_mp(v)->entries[i].value, depth + 1);
    }
    return found;
}

/* Written first: its size bounds the search too, and values that share their parts can be far
 * larger as text than in memory. */
int bvi_value_to_json(const bvi_value *value_in, bvi_json **ret_json, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(BVI_VALUE_JSON_MAX);
    const bvi_value *foreign;
    int r = bvi_format_json(&text, value_in);

    if (r == BV_E_NOMEM)
        return bvi_fail_nomem(err);
    if (r < 0)
        return bvi_fail(err, BV_E_LIMIT,
                        "the value is nested deeper than %u levels or larger than %u bytes as JSON",
                        BVI_VALUE_DEPTH_MAX, BVI_VALUE_JSON_MAX);
    foreign = find_foreign(value_in, 0);
    if (foreign)
        return bvi_fail(err, BV_E_INVALID, "a value of type '%s' has no JSON form",
                        bvi_type_name(foreign));
    return bvi_json_parse(bvi_buf_str(&text), text.len, ret_json, err);
}

static int from_json(bvi_script_engine *engine, const bvi_json *json, bvi_value *ret);

static int array_from_json(bvi_script_engine *engine, const bvi_json *json, bvi_value *ret)
{
    int r = bvi_value_array(engine, ret);

    if (r < 0)
        return r;
    bvi_json_each(item, json) {
        bvi_value v = BVI_VALUE_UNIT;

        r = from_json(engine, item, &v);
        if (r < 0) {
            bvi_drop(&v);
            return r;
        }
        r = bvi_array_push(ret, v);
        if (r < 0)
            return r;
    }
    return 0;
}

static int object_from_json(bvi_script_engine *engine, const bvi_json *json, bvi_value *ret)
{
    int r = bvi_value_map(engine, ret);

    if (r < 0)
        return r;
    bvi_json_each(item, json) {
        bvi_value v = BVI_VALUE_UNIT;

        r = from_json(engine, item, &v);
        if (r < 0) {
            bvi_drop(&v);
            return r;
        }
        r = bvi_map_set_text(ret, bvi_json_key(item), v);
        if (r < 0)
            return r;
    }
    return 0;
}

static int number_from_json(const bvi_json *json, bvi_value *ret)
{
    int64_t i;
    double f = 0;

    if (bvi_json_int64(json, &i) == 0) {
        *ret = bvi_value_int(i);
        return 0;
    }
    if (bvi_json_double(json, &f) < 0)
        return BV_E_LIMIT;
    *ret = bvi_value_float(f);
    return 0;
}

/* The document's depth is bounded by its parser. */
static int from_json(bvi_script_engine *engine, const bvi_json *json, bvi_value *ret)
{
    switch (bvi_json_type_of(json)) {
    case BVI_JSON_NULL:
        return 0;
    case BVI_JSON_BOOL:
        *ret = bvi_value_bool(bvi_json_is_true(json));
        return 0;
    case BVI_JSON_NUMBER:
        return number_from_json(json, ret);
    case BVI_JSON_STRING:
        return bvi_value_cstring(engine, bvi_json_string(json), ret);
    case BVI_JSON_ARRAY:
        return array_from_json(engine, json, ret);
    case BVI_JSON_OBJECT:
        return object_from_json(engine, json, ret);
    }
    return BV_E_INTERNAL;
}

int bvi_value_from_json(bvi_script_engine *engine, const bvi_json *json, bvi_value *ret_value)
{
    bvi_value v = BVI_VALUE_UNIT;
    int r = from_json(engine, json, &v);

    if (r < 0) {
        bvi_drop(&v);
        return r;
    }
    *ret_value = v;
    return 0;
}

const bvi_script_function bvi_lib_json[] = {
    { "to_json", "m", to_json, 0 },
    { "parse_json", "s", parse_json, 0 },
    { NULL, NULL, NULL, 0 },
};
