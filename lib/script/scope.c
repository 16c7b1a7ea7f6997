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
    *local = (bvi_local){ name, f->depth, f->height - 1, is_const, is_import, 0 };
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

static uint32_t add_capture(bvi_compiler *c, bvi_func *f, bool from_local, uint32_t slot,
                            bool copied)
{
    bvi_proto *p = f->proto;

    for (uint32_t i = 0; i < p->captures_len; i++) {
        if (p->captures[i].from_local == from_local && p->captures[i].slot == slot)
            return i;
    }
    if (bvi_script_grow(c->engine, (void **)(void *)&p->captures, &p->captures_cap,
                        (size_t)p->captures_len + 1, sizeof(*p->captures)) < 0) {
        bvi_c_nomem(c);
        return 0;
    }
    p->captures[p->captures_len] = (bvi_capture){ from_local, copied, slot };
    return p->captures_len++;
}

/* A variable of the code around eval(): the closure made from it captures that entry of the scope.
 */
static bool find_outer(bvi_compiler *c, bvi_func *f, uint32_t name, bvi_found *ret)
{
    const bvi_string *wanted = bvi_unit_str(c->unit, name);
    const bvi_scope *scope;

    if (!c->outer || f->enclosing)
        return false;
    scope = &c->outer->scopes[c->outer_scope];
    for (uint32_t i = scope->count; i > 0; i--) {
        const bvi_visible *v = &c->outer->visible[scope->first + i - 1];

        if (bvi_string_compare(bvi_unit_str(c->outer, v->name), wanted) == 0) {
            *ret =
                (bvi_found){ BVI_ROOT_UP, add_capture(c, f, true, i - 1, false), v->is_const, 0 };
            return true;
        }
    }
    return false;
}

static bool find_captured(bvi_compiler *c, bvi_func *f, uint32_t name, bool import, bvi_found *ret)
{
    const bvi_local *local;
    bvi_found up;

    if (!f->parent)
        return !import && find_outer(c, f, name, ret);
    local = find_local(f->parent, name, import);
    if (local) { /* a constant can be written inside the closure, as in the reference: it is the
                    closure's own */
        *ret = (bvi_found){ BVI_ROOT_UP, add_capture(c, f, true, local->slot, local->is_const),
                            import, local->note };
        return true;
    }
    if (!find_captured(c, f->parent, name, import, &up))
        return false;
    *ret = (bvi_found){ BVI_ROOT_UP, add_capture(c, f, false, up.slot, false), import, up.note };
    return true;
}

bvi_found bvi_c_resolve(bvi_compiler *c, uint32_t name, bool import)
{
    bvi_found found = { BVI_ROOT_NAME, name, false, 0 };
    const bvi_local *local;

    if (c->failed)
        return found;
    local = find_local(c->func, name, import);
    if (local)
        return (bvi_found){ BVI_ROOT_LOCAL, local->slot, local->is_const, local->note };
    (void)find_captured(c, c->func, name, import, &found); /* otherwise it stays a mere name */
    return found;
}

void bvi_c_note_missing(bvi_compiler *c, uint32_t name, bvi_pos pos)
{
    bvi_missing *m;

    if (c->failed || !c->func->parent)
        return;
    for (size_t i = 0; i < c->func->missing.len; i++) {
        if (c->func->missing.items[i].name == name)
            return;
    }
    m = bvi_vec_push(&c->func->missing);
    if (!m) {
        bvi_c_nomem(c);
        return;
    }
    *m = (bvi_missing){ name, pos };
}

/* Capturing fails where the closure is made, not where it is called: each name that it would have
 * captured is looked up there. */
void bvi_c_look_up_missing(bvi_compiler *c, const bvi_func *closure)
{
    for (size_t i = 0; i < closure->missing.len; i++) {
        const bvi_missing *m = &closure->missing.items[i];

        if (c->func->parent) {
            bvi_c_note_missing(c, m->name, m->pos);
            continue;
        }
        bvi_c_emit(c, BVI_OP_GET_NAME, m->name, m->pos);
        bvi_c_emit(c, BVI_OP_POP, 0, m->pos);
    }
}

void bvi_c_begin_block(bvi_compiler *c)
{
    c->func->depth++;
}

void bvi_c_end_block(bvi_compiler *c)
{
    bvi_func *f = c->func;
    uint32_t gone = 0;

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

/* Captured variables come first, the function's own ones after them, so that the last of a name
 * wins. */
uint32_t bvi_c_snapshot_scope(bvi_compiler *c)
{
    bvi_script *u = c->unit;
    bvi_func *f = c->func;
    uint32_t first = u->visible_len;

    for (size_t i = 0; !c->failed && i < f->locals.len; i++) {
        const bvi_local *l = &f->locals.items[i];

        if (!l->is_import)
            add_visible(c, (bvi_visible){ l->name, false, l->is_const, l->slot });
    }
    if (bvi_script_grow(c->engine, (void **)(void *)&u->scopes, &u->scopes_cap,
                        (size_t)u->scopes_len + 1, sizeof(*u->scopes)) < 0) {
        bvi_c_nomem(c);
        return 0;
    }
    u->scopes[u->scopes_len] = (bvi_scope){ first, u->visible_len - first };
    return u->scopes_len++;
}

void bvi_c_visible_names(bvi_compiler *c, bvi_pos pos)
{
    uint32_t count = 0;

    for (size_t i = 0; i < c->func->locals.len; i++) {
        const bvi_local *l = &c->func->locals.items[i];

        if (l->is_import)
            continue;
        bvi_c_emit(c, BVI_OP_CONST, l->name, pos);
        count++;
    }
    bvi_c_emit(c, BVI_OP_ARRAY, count, pos);
}
