/*
 * scope.c - which variable a name means. Blocks nest; a later declaration hides an earlier one; a
 * closure that uses a variable of its surroundings captures it, through every closure in between.
 */
#include "script/compile.h"

static void declare(bvi_compiler *c, uint32_t name, bool is_const, bool is_import)
{
    bvi_func *f = c->func;
    bvi_local *local;

    if (c->failed)
        return;
    local = bvi_vec_push(&f->locals);
    if (!local) {
        bvi_c_nomem(c);
        return;
    }
    *local = (bvi_local){ .name = name,
                          .depth = f->depth,
                          .slot = f->height - 1,
                          .since = f->evals,
                          .is_const = is_const,
                          .is_import = is_import };
}

void bvi_c_declare(bvi_compiler *c, uint32_t name, bool is_const)
{
    declare(c, name, is_const, false);
}

void bvi_c_declare_import(bvi_compiler *c, uint32_t name)
{
    declare(c, name, true, true);
}

static const bvi_local *find_local(const bvi_func *f, uint32_t name, bool import)
{
    for (size_t i = f->locals.len; i > 0; i--) {
        const bvi_local *l = &f->locals.items[i - 1];

        if (l->name == name && l->is_import == import)
            return l;
    }
    return NULL;
}

static uint32_t add_capture(bvi_compiler *c, bvi_func *f, bvi_capture capture)
{
    bvi_proto *p = f->proto;

    for (uint32_t i = 0; i < p->captures_len; i++) {
        const bvi_capture *known = &p->captures[i];

        if (known->from_local == capture.from_local && known->slot == capture.slot &&
            known->by_name == capture.by_name)
            return i;
    }
    if (bvi_script_grow(c->engine, (void **)(void *)&p->captures, &p->captures_cap,
                        (size_t)p->captures_len + 1, sizeof(*p->captures)) < 0) {
        bvi_c_nomem(c);
        return 0;
    }
    p->captures[p->captures_len] = capture;
    return p->captures_len++;
}

/* A variable of the code around eval(): the closure made from it captures that entry of the scope,
 * or what the function around it captured. */
static bool find_outer(bvi_compiler *c, bvi_func *f, uint32_t name, bvi_found *ret)
{
    const bvi_string *wanted = bvi_unit_str(c->unit, name);
    const bvi_proto *outer = c->outer;
    const bvi_scope *scope;
    bvi_capture capture = { .from_local = true, .name = name };

    if (!outer || f->enclosing)
        return false;
    scope = &outer->unit->scopes[c->outer_scope];
    for (uint32_t i = scope->count; i > 0; i--) {
        const bvi_visible *v = &outer->unit->visible[scope->first + i - 1];

        if (bvi_string_compare(bvi_unit_str(outer->unit, v->name), wanted) != 0)
            continue;
        capture.slot = i - 1;
        *ret = (bvi_found){ BVI_ROOT_UP, add_capture(c, f, capture), v->is_const, 0, v->since };
        return true;
    }
    for (uint32_t i = 0; i < outer->captures_len; i++) {
        if (bvi_string_compare(bvi_unit_str(outer->unit, outer->captures[i].name), wanted) != 0)
            continue;
        capture.slot = scope->count + i;
        *ret = (bvi_found){ BVI_ROOT_UP, add_capture(c, f, capture), false, 0, 0 };
        return true;
    }
    return false;
}

/* What no variable around a closure has may still be one that eval() made, or a function: that is
 * found, or not, when the closure is made. */
static bool capture_by_name(bvi_compiler *c, bvi_func *f, uint32_t name, bvi_pos pos,
                            bvi_found *ret)
{
    bvi_capture capture = { .by_name = true, .name = name, .slot = name, .pos = pos };

    *ret = (bvi_found){ .root = BVI_ROOT_UP,
                        .slot = add_capture(c, f, capture),
                        .since = f->evals > 0 ? 0 : BVI_NOT_HIDDEN,
                        .by_name = true };
    return true;
}

static bool find_captured(bvi_compiler *c, bvi_func *f, uint32_t name, bool import, bvi_pos pos,
                          bvi_found *ret)
{
    bvi_capture capture = { .from_local = true, .name = name };
    const bvi_local *local;
    bvi_found up = { .by_name = false };

    if (!f->parent)
        return !import && find_outer(c, f, name, ret);
    local = find_local(f->parent, name, import);
    if (local) { /* a constant can be written inside the closure, as in the reference: it is the
                    closure's own */
        capture.copied = local->is_const;
        capture.slot = local->slot;
        up.note = local->note;
    } else {
        if (!find_captured(c, f->parent, name, import, pos, &up))
            return !import && capture_by_name(c, f, name, pos, ret);
        capture.from_local = false;
        capture.slot = up.slot;
    }
    *ret = (bvi_found){ .root = BVI_ROOT_UP,
                        .slot = add_capture(c, f, capture),
                        .is_const = import,
                        .note = up.note,
                        .since = f->evals > 0 ? 0 : BVI_NOT_HIDDEN,
                        .by_name = up.by_name };
    return true;
}

bvi_found bvi_c_resolve(bvi_compiler *c, uint32_t name, bool import, bvi_pos pos)
{
    bvi_found found = { .root = BVI_ROOT_NAME, .slot = name, .since = BVI_NOT_HIDDEN };
    const bvi_local *local;

    if (c->failed)
        return found;
    local = find_local(c->func, name, import);
    if (local)
        return (bvi_found){ BVI_ROOT_LOCAL, local->slot, local->is_const, local->note,
                            c->func->evals > local->since ? local->since : BVI_NOT_HIDDEN };
    (void)find_captured(c, c->func, name, import, pos, &found); /* otherwise it stays a mere name */
    return found;
}

uint32_t bvi_c_begin_block(bvi_compiler *c)
{
    c->func->depth++;
    return c->func->evals;
}

void bvi_c_forget(bvi_compiler *c, uint32_t evals)
{
    if (c->func->evals > evals)
        bvi_c_emit(c, BVI_OP_FORGET, evals, c->tok.pos);
}

void bvi_c_end_block(bvi_compiler *c, uint32_t block)
{
    bvi_func *f = c->func;
    uint32_t gone = 0;

    bvi_c_forget(c, block);
    f->depth--;
    while (f->locals.len > 0 && f->locals.items[f->locals.len - 1].depth > f->depth) {
        f->locals.len--;
        gone++;
    }
    if (gone > 0)
        bvi_c_emit(c, BVI_OP_SLIDE, gone, c->tok.pos);
}

static bool add_visible(bvi_compiler *c, bvi_visible v)
{
    bvi_script *u = c->unit;

    if (bvi_script_grow(c->engine, (void **)(void *)&u->visible, &u->visible_cap,
                        (size_t)u->visible_len + 1, sizeof(*u->visible)) < 0) {
        bvi_c_nomem(c);
        return false;
    }
    u->visible[u->visible_len++] = v;
    return true;
}

bool bvi_c_at_global_level(const bvi_compiler *c)
{
    return c->func->proto->is_top && c->func->depth == 0 && !c->func->loop && !c->outer;
}

uint32_t bvi_c_snapshot_scope(bvi_compiler *c)
{
    bvi_script *u = c->unit;
    bvi_func *f = c->func;
    uint32_t first = u->visible_len;

    for (size_t i = 0; !c->failed && i < f->locals.len; i++) {
        const bvi_local *l = &f->locals.items[i];

        if (!l->is_import)
            add_visible(c, (bvi_visible){ l->name, l->is_const, l->slot, l->since });
    }
    if (bvi_script_grow(c->engine, (void **)(void *)&u->scopes, &u->scopes_cap,
                        (size_t)u->scopes_len + 1, sizeof(*u->scopes)) < 0) {
        bvi_c_nomem(c);
        return 0;
    }
    u->scopes[u->scopes_len] =
        (bvi_scope){ first, u->visible_len - first, f->evals, bvi_c_at_global_level(c) };
    return u->scopes_len++;
}
