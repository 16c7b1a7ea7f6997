/*
 * unit.c - the life of compiled code, and looking things up in it.
 */
#include <stdio.h>
#include <string.h>

#include "script/engine.h"
#include "script/unit.h"

int bvi_unit_new(bvi_script_engine *engine, const char *name, bvi_script **ret)
{
    bvi_script *unit = bvi_script_zalloc(engine, sizeof(*unit));

    if (!unit)
        return BV_E_NOMEM;
    unit->refs = 1;
    unit->engine = engine;
    if (name) {
        unit->source_name_size = (uint32_t)strlen(name) + 1;
        unit->source_name = bvi_script_zalloc(engine, unit->source_name_size);
        if (!unit->source_name) {
            bvi_script_free(unit);
            return BV_E_NOMEM;
        }
        memcpy(unit->source_name, name, unit->source_name_size);
    }
    *ret = unit;
    return 0;
}

bvi_script *bvi_unit_ref(bvi_script *unit)
{
    unit->refs++;
    return unit;
}

int bvi_proto_new(bvi_script *unit, bvi_proto **ret)
{
    int r = bvi_script_grow(unit->engine, (void **)(void *)&unit->protos, &unit->protos_cap,
                            (size_t)unit->protos_len + 1, sizeof(*unit->protos));
    bvi_proto *p;

    if (r < 0)
        return r;
    p = bvi_script_zalloc(unit->engine, sizeof(*p));
    if (!p)
        return BV_E_NOMEM;
    p->unit = unit;
    unit->protos[unit->protos_len++] = p;
    *ret = p;
    return 0;
}

#define RELEASE(owner, list)                                                                       \
    bvi_script_release(engine, (owner)->list, (owner)->list##_cap * sizeof(*(owner)->list))

static void free_proto(bvi_script_engine *engine, bvi_proto *p)
{
    RELEASE(p, code);
    RELEASE(p, places);
    RELEASE(p, handlers);
    RELEASE(p, captures);
    RELEASE(p, params);
    bvi_script_release(engine, p, sizeof(*p));
}

static void free_switch(bvi_script_engine *engine, bvi_switch *s)
{
    for (uint32_t i = 0; i < s->len; i++)
        bvi_drop(&s->cases[i].value);
    bvi_script_release(engine, s->cases, s->cap * sizeof(*s->cases));
}

void bvi_script_free(bvi_script *unit)
{
    bvi_script_engine *engine;

    if (!unit || --unit->refs > 0) {
        if (unit && unit->refs == 1)
            bvi_top_forget(unit); /* only what it keeps refers to it */
        return;
    }
    engine = unit->engine;
    for (uint32_t i = 0; i < unit->protos_len; i++)
        free_proto(engine, unit->protos[i]);
    for (uint32_t i = 0; i < unit->switches_len; i++)
        free_switch(engine, &unit->switches[i]);
    for (uint32_t i = 0; i < unit->consts_len; i++)
        bvi_drop(&unit->consts[i]);
    RELEASE(unit, protos);
    RELEASE(unit, switches);
    RELEASE(unit, consts);
    RELEASE(unit, paths);
    RELEASE(unit, steps);
    RELEASE(unit, sites);
    RELEASE(unit, members);
    RELEASE(unit, names);
    RELEASE(unit, visible);
    RELEASE(unit, scopes);
    bvi_script_release(engine, unit->source_name, unit->source_name_size);
    bvi_script_release(engine, unit, sizeof(*unit));
}

static bool is_function(const bvi_proto *p)
{
    return !p->is_top && !p->is_closure;
}

static bool is_named(const bvi_proto *p, const bvi_string *name)
{
    const bvi_string *own = bvi_unit_str(p->unit, p->name);

    return own == name || bvi_string_compare(own, name) == 0;
}

const bvi_proto *bvi_unit_find(const bvi_script *unit, const bvi_string *name, int arity)
{
    for (uint32_t i = 0; i < unit->protos_len; i++) {
        const bvi_proto *p = unit->protos[i];

        if (is_function(p) && !p->this_type && (arity < 0 || p->arity == (uint32_t)arity) &&
            is_named(p, name))
            return p;
    }
    return NULL;
}

const bvi_proto *bvi_unit_find_method(const bvi_script *unit, const char *type,
                                      const bvi_string *name, uint32_t arity)
{
    for (uint32_t i = 0; unit->has_methods && i < unit->protos_len; i++) {
        const bvi_proto *p = unit->protos[i];

        if (p->this_type && p->arity == arity && is_named(p, name) &&
            strcmp(bvi_unit_str(unit, p->this_type)->data, type) == 0)
            return p;
    }
    return NULL;
}

bool bvi_script_function_at(const bvi_script *script, size_t index, bvi_script_fn_info *ret_info)
{
    for (uint32_t i = 0; i < script->protos_len; i++) {
        const bvi_proto *p = script->protos[i];

        if (!is_function(p) || index-- > 0)
            continue;
        *ret_info =
            (bvi_script_fn_info){ bvi_unit_str(script, p->name)->data, p->arity, p->is_private };
        return true;
    }
    return false;
}

bool bvi_script_has_function(const bvi_script *script, const char *name, int arity)
{
    bvi_script_fn_info info;

    for (size_t i = 0; bvi_script_function_at(script, i, &info); i++) {
        if (strcmp(info.name, name) == 0 && (arity < 0 || info.arity == (unsigned)arity))
            return true;
    }
    return false;
}

bvi_pos bvi_proto_pos(const bvi_proto *proto, uint32_t at)
{
    bvi_pos pos = { 0, 0 };
    uint32_t lo = 0;
    uint32_t hi = proto->places_len;

    while (lo < hi) { /* the last place at or before the word */
        uint32_t mid = lo + (hi - lo) / 2;

        if (proto->places[mid].at <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo > 0)
        pos = proto->places[lo - 1].pos;
    return pos;
}

/* ---- dump ---- */

static const struct {
    const char *name;
    uint8_t words;
} op_info[] = {
#define X(name, words, effect) { #name, words },
    BVI_OPCODES(X)
#undef X
};

static void line_out(const bvi_script_engine *engine, const char *text, int len)
{
    if (engine->options.trace && len > 0)
        engine->options.trace(text, (size_t)len, engine->options.data);
}

void bvi_dump_instruction(const bvi_proto *proto, uint32_t at)
{
    bvi_pos pos = bvi_proto_pos(proto, at);
    uint32_t word = proto->code[at];
    char text[128];
    int n = snprintf(text, sizeof(text), "%5u %4u:%-3u %-12s %u", at, pos.line, pos.col,
                     op_info[BVI_OPCODE(word)].name, BVI_OPERAND(word));

    if (n > 0 && op_info[BVI_OPCODE(word)].words == 2)
        n += snprintf(text + n, sizeof(text) - (size_t)n, " %u", proto->code[at + 1]);
    line_out(proto->unit->engine, text, n);
}

void bvi_unit_dump(const bvi_script *unit)
{
    for (uint32_t i = 0; i < unit->protos_len; i++) {
        const bvi_proto *p = unit->protos[i];
        char text[160];

        line_out(unit->engine, text,
                 snprintf(text, sizeof(text), "%.100s/%u: %u words, stack %u",
                          p->is_top ? "(top level)" : bvi_unit_str(unit, p->name)->data, p->arity,
                          p->code_len, p->max_stack));
        for (uint32_t at = 0; at < p->code_len; at += op_info[BVI_OPCODE(p->code[at])].words)
            bvi_dump_instruction(p, at);
    }
}
