/*
 * emit.c - writing code: instructions with their stack effect and position, constants, jumps,
 * tables.
 */
#include <string.h>

#include "script/compile.h"

static const struct {
    int8_t effect;
} op_info[] = {
#define X(name, words, effect) { effect },
    BVI_OPCODES(X)
#undef X
};

static bool grow(bvi_compiler *c, void *items, uint32_t *cap, size_t need, size_t item_bytes)
{
    if (bvi_script_grow(c->engine, (void **)items, cap, need, item_bytes) == 0)
        return true;
    bvi_c_nomem(c);
    return false;
}

#define GROW(c, owner, list)                                                                       \
    grow((c), (void *)&(owner)->list, &(owner)->list##_cap, (size_t)(owner)->list##_len + 1,       \
         sizeof(*(owner)->list))

/* ---- constants ---- */

uint32_t bvi_c_constant(bvi_compiler *c, bvi_value v)
{
    bvi_script *u = c->unit;

    if (!GROW(c, u, consts)) {
        bvi_drop(&v);
        return 0;
    }
    u->consts[u->consts_len] = v;
    return u->consts_len++;
}

static uint32_t hash_text(const char *text, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)text[i]) * 16777619u;
    return h;
}

static uint32_t *find_interned(bvi_compiler *c, const char *text, size_t len)
{
    uint32_t i = hash_text(text, len) & (c->interned_cap - 1);

    for (;; i = (i + 1) & (c->interned_cap - 1)) {
        const bvi_string *s;

        if (c->interned[i] == 0)
            return &c->interned[i];
        s = bvi_unit_str(c->unit, c->interned[i] - 1);
        if (s->len == len && memcmp(s->data, text, len) == 0)
            return &c->interned[i];
    }
}

static bool grow_interned(bvi_compiler *c)
{
    uint32_t *old = c->interned;
    uint32_t old_cap = c->interned_cap;
    uint32_t cap = old_cap ? old_cap * 2 : 64;
    uint32_t *fresh = bvi_script_zalloc(c->engine, cap * sizeof(*fresh));

    if (!fresh) {
        bvi_c_nomem(c);
        return false;
    }
    c->interned = fresh;
    c->interned_cap = cap;
    for (uint32_t i = 0; i < old_cap; i++) {
        if (old[i]) {
            const bvi_string *s = bvi_unit_str(c->unit, old[i] - 1);

            *find_interned(c, s->data, s->len) = old[i];
        }
    }
    bvi_script_release(c->engine, old, old_cap * sizeof(*old));
    return true;
}

uint32_t bvi_c_intern(bvi_compiler *c, const char *text, size_t len)
{
    bvi_value v = BVI_VALUE_UNIT;
    uint32_t *slot;
    uint32_t at;
    int r;

    if (c->interned_len * 2 >= c->interned_cap && !grow_interned(c))
        return 0;
    slot = find_interned(c, text, len);
    if (*slot)
        return *slot - 1;
    r = bvi_value_string(c->engine, text, len, &v);
    if (r == BV_E_LIMIT)
        bvi_c_error(c, c->tok.pos, "Length of string too large");
    else if (r < 0)
        bvi_c_nomem(c);
    if (r < 0)
        return 0;
    at = bvi_c_constant(c, v);
    if (!c->no_memory) {
        *slot = at + 1;
        c->interned_len++;
    }
    return at;
}

/* ---- instructions ---- */

static bool push_word(bvi_compiler *c, uint32_t word)
{
    bvi_proto *p = c->func->proto;

    if (!GROW(c, p, code))
        return false;
    p->code[p->code_len++] = word;
    return true;
}

static void note_place(bvi_compiler *c, bvi_pos pos)
{
    bvi_proto *p = c->func->proto;

    if (p->places_len > 0) {
        const bvi_pos *last = &p->places[p->places_len - 1].pos;

        if (last->line == pos.line && last->col == pos.col)
            return;
    }
    if (!GROW(c, p, places))
        return;
    p->places[p->places_len++] = (bvi_place){ p->code_len, pos };
}

static int path_effect(const bvi_script *u, uint32_t path)
{
    const bvi_path *p = &u->paths[path];

    return -(int)p->indices - (p->root == BVI_ROOT_STACK);
}

static int call_effect(const bvi_script *u, bvi_opcode op, uint32_t site)
{
    const bvi_site *s = &u->sites[site];
    const bvi_path *p;

    if (op != BVI_OP_METHOD)
        return 1 - (int)s->argc;
    p = &u->paths[s->path];
    if (p->root == BVI_ROOT_STACK && p->steps == 0)
        return -(int)s->argc;
    return path_effect(u, s->path) - (int)s->argc; /* the receiver's slot becomes the result */
}

/* How an instruction changes the height of the stack. */
static int stack_effect(const bvi_script *u, bvi_opcode op, uint32_t a, uint32_t word)
{
    if (op_info[op].effect != BVI_OP_VARIES)
        return op_info[op].effect;
    switch (op) {
    case BVI_OP_POPN:
    case BVI_OP_SLIDE:
        return -(int)a;
    case BVI_OP_GET_PATH:
        return 1 + path_effect(u, a);
    case BVI_OP_SET_PATH:
    case BVI_OP_OP_PATH:
        return path_effect(u, a) - 1;
    case BVI_OP_ARRAY:
    case BVI_OP_INTERP:
        return 1 - (int)a;
    case BVI_OP_MAP:
        return 1 - (int)word;
    default:
        return call_effect(u, op, a);
    }
}

static void emit(bvi_compiler *c, bvi_opcode op, uint32_t a, uint32_t word, bool has_word,
                 bvi_pos pos)
{
    bvi_func *f = c->func;

    if (c->failed)
        return;
    if (a > BVI_OPERAND_MAX) {
        bvi_c_error(c, pos, "Script is too large");
        return;
    }
    note_place(c, pos);
    f->prev_op = f->last_op;
    f->last_op = f->proto->code_len;
    if (!push_word(c, (uint32_t)op | a << 8) || (has_word && !push_word(c, word)))
        return;
    f->height = (uint32_t)((int)f->height + stack_effect(c->unit, op, a, word));
    if (f->height > f->proto->max_stack)
        f->proto->max_stack = f->height;
}

void bvi_c_emit(bvi_compiler *c, bvi_opcode op, uint32_t a, bvi_pos pos)
{
    emit(c, op, a, 0, false, pos);
}

void bvi_c_emit2(bvi_compiler *c, bvi_opcode op, uint32_t a, uint32_t word, bvi_pos pos)
{
    emit(c, op, a, word, true, pos);
}

/* Takes back the code from a word on. */
static void take_back(bvi_func *f, uint32_t at)
{
    bvi_proto *p = f->proto;

    p->code_len = at;
    f->last_op = f->prev_op = UINT32_MAX;
    while (p->places_len > 0 && p->places[p->places_len - 1].at >= at)
        p->places_len--;
}

/* The instruction at a word, if it is one that may be taken back; COUNT otherwise. */
static bvi_opcode recent(const bvi_func *f, uint32_t at)
{
    return at == UINT32_MAX || at < f->barrier ? BVI_OP_COUNT : BVI_OPCODE(f->proto->code[at]);
}

static uint32_t number_word(uint32_t word)
{
    return (uint32_t)((int32_t)word >> 8); /* the sign comes along */
}

static bool has_quick_form(bvi_opcode op)
{
    return op >= BVI_OP_ADD && op <= BVI_OP_GE;
}

/* An operator whose operands were just pushed takes their place; the room they needed on the stack
 * stays reserved, for the cases that are not quick. */
static void replace_operands(bvi_compiler *c, uint32_t from, bvi_opcode op, uint32_t a,
                             uint32_t word, bool has_word, bvi_pos pos)
{
    bvi_func *f = c->func;
    uint32_t height = f->height - 1;

    take_back(f, from);
    note_place(c, pos);
    f->last_op = from;
    if (push_word(c, (uint32_t)op | a << 8) && has_word)
        (void)push_word(c, word); /* a failure is remembered */
    f->height = height;
}

void bvi_c_operator(bvi_compiler *c, bvi_opcode op, bvi_pos pos)
{
    bvi_func *f = c->func;
    uint32_t nth = (uint32_t)op - BVI_OP_ADD;
    bvi_opcode right = c->failed || !has_quick_form(op) ? BVI_OP_COUNT : recent(f, f->last_op);
    bvi_opcode left = right == BVI_OP_COUNT ? BVI_OP_COUNT : recent(f, f->prev_op);
    uint32_t r, l;

    if (right != BVI_OP_INT && (right != BVI_OP_GET_LOCAL || left != BVI_OP_GET_LOCAL)) {
        bvi_c_emit(c, op, 0, pos);
        return;
    }
    r = f->proto->code[f->last_op];
    if (left != BVI_OP_GET_LOCAL) {
        replace_operands(c, f->last_op, BVI_OP_ADD_SI + nth, BVI_OPERAND(r), 0, false, pos);
        return;
    }
    l = BVI_OPERAND(f->proto->code[f->prev_op]);
    if (right == BVI_OP_INT)
        replace_operands(c, f->prev_op, BVI_OP_ADD_LI + nth, l, number_word(r), true, pos);
    else
        replace_operands(c, f->prev_op, BVI_OP_ADD_LL + nth, l, BVI_OPERAND(r), true, pos);
}

void bvi_c_operator_local(bvi_compiler *c, uint32_t slot, bvi_opcode op, bvi_pos pos)
{
    bvi_func *f = c->func;

    if (c->failed)
        return;
    if (recent(f, f->last_op) == BVI_OP_INT && (op == BVI_OP_ADD || op == BVI_OP_SUB))
        replace_operands(c, f->last_op, op == BVI_OP_ADD ? BVI_OP_ADD_LOCAL_I : BVI_OP_SUB_LOCAL_I,
                         slot, number_word(f->proto->code[f->last_op]), true, pos);
    else if (op == BVI_OP_ADD)
        bvi_c_emit(c, BVI_OP_ADD_LOCAL, slot, pos);
    else
        bvi_c_emit2(c, BVI_OP_OP_LOCAL, slot, op, pos);
}

void bvi_c_iterate(bvi_compiler *c, bvi_pos pos)
{
    bvi_func *f = c->func;
    bvi_opcode op = c->failed ? BVI_OP_COUNT : recent(f, f->last_op);

    if (op == BVI_OP_RANGE || op == BVI_OP_RANGE_INCL) {
        bvi_pos range_pos = bvi_proto_pos(f->proto, f->last_op);

        take_back(f, f->last_op);
        f->height++;
        bvi_c_emit(c, BVI_OP_ITER_RANGE, op == BVI_OP_RANGE_INCL, range_pos);
    } else {
        bvi_c_emit(c, BVI_OP_ITER, 0, pos);
    }
}

bool bvi_c_ends_with_truth(const bvi_compiler *c)
{
    bvi_opcode op = c->failed ? BVI_OP_COUNT : recent(c->func, c->func->last_op);

    return (op >= BVI_OP_EQ && op <= BVI_OP_NOT_IN) || (op >= BVI_OP_EQ_LI && op <= BVI_OP_GE_LI) ||
           (op >= BVI_OP_EQ_LL && op <= BVI_OP_GE_LL) ||
           (op >= BVI_OP_EQ_SI && op <= BVI_OP_GE_SI) || op == BVI_OP_TRUE || op == BVI_OP_FALSE;
}

static bool has_no_effect(bvi_opcode op)
{
    return op == BVI_OP_UNIT || op == BVI_OP_TRUE || op == BVI_OP_FALSE || op == BVI_OP_INT ||
           op == BVI_OP_CONST || op == BVI_OP_GET_LOCAL || op == BVI_OP_GET_UP ||
           op == BVI_OP_GET_NAME;
}

void bvi_c_pop(bvi_compiler *c)
{
    bvi_func *f = c->func;
    bvi_proto *p = f->proto;

    if (c->failed)
        return;
    if (has_no_effect(recent(f, f->last_op))) {
        take_back(f, f->last_op);
        f->height--;
        return;
    }
    if (recent(f, f->last_op) == BVI_OP_SLIDE && has_no_effect(recent(f, f->prev_op))) {
        uint32_t gone = BVI_OPERAND(p->code[f->last_op]);

        take_back(f, f->prev_op);
        f->height += gone - 1;
        bvi_c_emit(c, BVI_OP_POPN, gone, c->tok.pos);
        return;
    }
    bvi_c_emit(c, BVI_OP_POP, 0, c->tok.pos);
}

void bvi_c_number(bvi_compiler *c, int64_t i, bvi_pos pos)
{
    if (i >= -(1 << 23) && i < 1 << 23)
        bvi_c_emit(c, BVI_OP_INT, (uint32_t)i & BVI_OPERAND_MAX, pos);
    else
        bvi_c_emit(c, BVI_OP_CONST, bvi_c_constant(c, bvi_value_int(i)), pos);
}

/* ---- jumps ---- */

/* The target is the operand, or the second word of instructions that have one. */
uint32_t bvi_c_jump(bvi_compiler *c, bvi_opcode op, bvi_pos pos)
{
    bvi_c_emit(c, op, 0, pos);
    return c->func->last_op;
}

uint32_t bvi_c_here(bvi_compiler *c)
{
    c->func->barrier = c->func->proto->code_len;
    return c->func->barrier;
}

void bvi_c_patch(bvi_compiler *c, uint32_t jump)
{
    bvi_proto *p = c->func->proto;
    uint32_t here = bvi_c_here(c);

    if (c->failed)
        return;
    if (BVI_OPCODE(p->code[jump]) == BVI_OP_NEXT || BVI_OPCODE(p->code[jump]) == BVI_OP_NEXT_COUNT)
        p->code[jump + 1] = here;
    else
        p->code[jump] = BVI_OPCODE(p->code[jump]) | here << 8;
    if (here > BVI_OPERAND_MAX)
        bvi_c_error(c, c->tok.pos, "Script is too large");
}

void bvi_c_patch_later(bvi_compiler *c, bvi_patches *list, uint32_t jump)
{
    uint32_t *slot;

    if (c->failed)
        return;
    slot = bvi_vec_push(list);
    if (!slot) {
        bvi_c_nomem(c);
        return;
    }
    *slot = jump;
}

void bvi_c_patch_all(bvi_compiler *c, bvi_patches *list)
{
    for (size_t i = 0; i < list->len; i++)
        bvi_c_patch(c, list->items[i]);
    bvi_vec_done(list);
}

/* ---- tables of the unit ---- */

static bvi_path to_path(bvi_compiler *c, const bvi_expr *e)
{
    return (bvi_path){
        .root = e->root,
        .slot = e->slot,
        .is_const = e->is_const,
        .name = e->name,
        .first = c->unit->steps_len,
        .steps = (uint32_t)c->steps.len - e->first_step,
        .indices = e->indices,
        .since = e->since,
        .pos = e->pos,
        .name_pos = e->name_pos.line ? e->name_pos : e->pos,
    };
}

uint32_t bvi_c_add_path(bvi_compiler *c, const bvi_expr *e)
{
    bvi_script *u = c->unit;
    bvi_path path = to_path(c, e);

    for (uint32_t i = 0; i < path.steps; i++) {
        if (!GROW(c, u, steps))
            return 0;
        u->steps[u->steps_len++] = c->steps.items[e->first_step + i];
    }
    c->steps.len = e->first_step;
    if (!GROW(c, u, paths))
        return 0;
    u->paths[u->paths_len] = path;
    return u->paths_len++;
}

uint32_t bvi_c_add_site(bvi_compiler *c, const bvi_site *site)
{
    bvi_script *u = c->unit;

    if (!GROW(c, u, sites))
        return 0;
    u->sites[u->sites_len] = *site;
    return u->sites_len++;
}

uint32_t bvi_c_add_name(bvi_compiler *c, uint32_t name)
{
    bvi_script *u = c->unit;

    if (!GROW(c, u, names))
        return 0;
    u->names[u->names_len] = name;
    return u->names_len++;
}

static uint32_t rank_of(const bvi_compiler *c, const uint32_t *keys, uint32_t count, uint32_t key)
{
    const bvi_string *text = bvi_unit_str(c->unit, key);
    uint32_t rank = 0;

    for (uint32_t i = 0; i < count; i++)
        rank += bvi_string_compare(bvi_unit_str(c->unit, keys[i]), text) < 0;
    return rank;
}

uint32_t bvi_c_add_keys(bvi_compiler *c, const uint32_t *keys, uint32_t count)
{
    uint32_t first = c->unit->names_len;

    for (uint32_t i = 0; !c->failed && i < count; i++)
        bvi_c_add_name(c, keys[i]);
    for (uint32_t i = 0; !c->failed && count <= BVI_RANKED_KEYS_MAX && i < count; i++)
        bvi_c_add_name(c, rank_of(c, keys, count, keys[i]));
    return first;
}

void bvi_c_add_handler(bvi_compiler *c, bvi_handler h)
{
    bvi_proto *p = c->func->proto;

    if (c->failed || !GROW(c, p, handlers))
        return;
    p->handlers[p->handlers_len++] = h;
}

uint32_t bvi_c_add_switch(bvi_compiler *c)
{
    bvi_script *u = c->unit;

    if (!GROW(c, u, switches))
        return 0;
    u->switches[u->switches_len] = (bvi_switch){ 0 };
    return u->switches_len++;
}

void bvi_c_add_case(bvi_compiler *c, uint32_t table, bvi_case entry)
{
    bvi_switch *s;

    if (c->failed || table >= c->unit->switches_len) {
        bvi_drop(&entry.value);
        return;
    }
    s = &c->unit->switches[table];
    if (!grow(c, (void *)&s->cases, &s->cap, (size_t)s->len + 1, sizeof(*s->cases))) {
        bvi_drop(&entry.value);
        return;
    }
    s->cases[s->len++] = entry;
}

/* ---- functions ---- */

void bvi_c_push_func(bvi_compiler *c, bvi_func *f, uint32_t name, bool closure)
{
    *f = (bvi_func){
        .enclosing = c->func,
        .parent = closure ? c->func : NULL,
        .locals = BVI_VEC_INIT(BVI_LOCALS_MAX),
        .last_op = UINT32_MAX,
        .prev_op = UINT32_MAX,
        .catch_slot = UINT32_MAX,
    };
    if (bvi_proto_new(c->unit, &f->proto) < 0) {
        bvi_c_nomem(c);
        f->proto = c->func ? c->func->proto : NULL; /* nothing is emitted any more */
    } else {
        f->proto->name = name;
        f->proto->is_closure = closure;
    }
    c->func = f;
}

void bvi_c_pop_func(bvi_compiler *c)
{
    bvi_vec_done(&c->func->locals);
    c->func = c->func->enclosing;
}
