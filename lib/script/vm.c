/*
 * vm.c - the machine: one loop over instructions for the script frame on top.
 *
 * A call of a script function and its return stay in the loop; it goes back to run.c where a
 * built-in's step is next or the budget of the slice ends. Quick cases of operators, calls and
 * chains are done here (the smallest of them in vm_quick.h), the rest in ops.c, call.c and path.c.
 *
 * Each instruction is a label, and the end of each jumps to the next one's (a GNU extension): the
 * processor then predicts each of these jumps on its own. The stack and frame pointers are kept in
 * locals; SAVE() writes them back before anything that may look at them, LOAD() reads them after
 * anything that may have moved them, and ENTER() reads all of them when another frame is on top.
 */
#include <math.h>

#include "script/coverage.h"
#include "script/vm.h"
#include "script/vm_quick.h"

static int want_bool(bvi_script_call *call, const bvi_value *v)
{
    return v->type == BVI_T_BOOL ? 0 : bvi_script_throw_type(call, v, "bool");
}

/* ---- failures ---- */

static int rethrow(bvi_script_call *call, const bvi_value *slot)
{
    bvi_failure *old = (bvi_failure *)slot->as.obj;
    bvi_value copy = BVI_VALUE_UNIT;
    int r;

    if (old->has_value)
        return bvi_vm_throw(call, bvi_dup(&old->value));
    r = bvi_failure_caught(call, old, &copy);
    return r < 0 ? r : bvi_vm_throw(call, copy);
}

/* ---- chains ---- */

static int set_path(bvi_script_call *call, bvi_frame *f, const bvi_path *path)
{
    bvi_value *indices = call->sp - 1 - path->indices;
    int r = bvi_path_set(call, f, path, indices, call->sp - 1);

    if (r < 0)
        return r;
    bvi_vm_cut(call, (uint32_t)(indices - call->stack));
    return 0;
}

static int op_path(bvi_script_call *call, bvi_frame *f, const bvi_path *path, bvi_opcode op)
{
    bvi_value *indices = call->sp - 1 - path->indices;
    int r = bvi_path_op(call, f, path, indices, op, call->sp - 1);

    if (r < 0)
        return r;
    bvi_vm_cut(call, (uint32_t)(indices - call->stack));
    return 0;
}

static int get_this(bvi_script_call *call, const bvi_frame *f)
{
    if (!f->has_this)
        return bvi_vm_fail(call, BVI_FAILURE_THIS, "'this' not bound");
    *call->sp++ = bvi_dup(&f->self);
    return 0;
}

static bool is_shared(bvi_script_call *call, const bvi_frame *f, const bvi_path *path)
{
    const bvi_value *v = path->root == BVI_ROOT_LOCAL ? &call->stack[f->base + path->slot]
                                                      : &bvi_fnp(&f->fn)->values[path->slot];

    return v->type == BVI_T_CELL && v->as.obj->refs > 1;
}

/* ---- calls that stay in the loop ---- */

/* A frame for a function whose argc arguments are on top. NULL: the slow way must look, it finds
 * out what is missing. The home is that of the frame below, or of fn. */
static inline bvi_frame *push_plain(bvi_script_call *call, const bvi_proto *proto, bvi_module *home,
                                    const bvi_value *sp, uint32_t argc, bvi_pos pos)
{
    bvi_frame *f = &call->frames[call->frames_len];
    uint32_t used = (uint32_t)(sp - call->stack);

    if (call->frames_len >= call->frames_cap ||
        call->depth >= call->engine->options.limits.call_depth ||
        call->stack_cap - used < proto->max_stack + BVI_STACK_SPARE)
        return NULL;
    bvi_frame_begin(f, proto, home, used - argc, used - argc, pos);
    call->frames_len++;
    call->depth++;
    return f;
}

/* f.call(args): the function value, when nothing but its frame is to be made. */
static inline const bvi_value *callable(const bvi_frame *f, const bvi_site *site, bvi_value *base,
                                        bvi_value *sp)
{
    const bvi_path *path = &f->proto->unit->paths[site->path];
    const bvi_value *v;
    const bvi_fn *fn;

    if (!site->calls_values || path->steps > 0 || path->since != BVI_NOT_HIDDEN)
        return NULL;
    if (path->root == BVI_ROOT_LOCAL)
        v = bvi_deref(&base[path->slot]);
    else if (path->root == BVI_ROOT_UP)
        v = bvi_deref(&bvi_fnp(&f->fn)->values[path->slot]);
    else if (path->root == BVI_ROOT_STACK)
        v = sp - site->argc - 1;
    else
        return NULL;
    if (v->type != BVI_T_FN)
        return NULL;
    fn = bvi_fnp(v);
    return fn->proto && fn->count == fn->captured && fn->proto->arity == site->argc ? v : NULL;
}

static inline bvi_frame *push_closure(bvi_script_call *call, const bvi_value *fn,
                                      const bvi_value *sp, const bvi_site *site)
{
    bvi_frame *f =
        push_plain(call, bvi_fnp(fn)->proto, bvi_fnp(fn)->home, sp, site->argc, site->pos);

    if (!f)
        return NULL;
    f->ret--; /* the receiver's place */
    f->fn = bvi_dup(fn);
    return f;
}

/* The result replaces what the function had on the stack. Returns the new top. */
static inline bvi_value *pop_plain(bvi_script_call *call, bvi_frame *f, bvi_value *sp)
{
    bvi_value *to = call->stack + f->ret;
    bvi_value result = *--sp;

    while (sp > to)
        bvi_drop(--sp);
    *to = result;
    bvi_drop(&f->fn);
    if (f->holds_home)
        bvi_obj_unref(f->home);
    call->frames_len--;
    call->depth--;
    return to + 1;
}

static bool top_is_script(const bvi_script_call *call)
{
    return call->frames_len > 0 && !call->frames[call->frames_len - 1].is_native;
}

/* ---- the loop ---- */

#define LOCAL(slot) (&base[slot])
#define NEXT(words)                                                                                \
    do {                                                                                           \
        pc += (words);                                                                             \
        word = *pc;                                                                                \
        a = BVI_OPERAND(word);                                                                     \
        goto *labels[BVI_OPCODE(word)];                                                            \
    } while (0)
#define SAVE()                                                                                     \
    do {                                                                                           \
        call->sp = sp;                                                                             \
        f->pc = (uint32_t)(pc - code);                                                             \
    } while (0)
#define LOAD()                                                                                     \
    do {                                                                                           \
        f = &call->frames[call->frames_len - 1];                                                   \
        base = call->stack + f->base;                                                              \
        sp = call->sp;                                                                             \
    } while (0)
#define ENTER()                                                                                    \
    do {                                                                                           \
        LOAD();                                                                                    \
        unit = f->proto->unit;                                                                     \
        code = f->proto->code;                                                                     \
        pc = code + f->pc;                                                                         \
    } while (0)
/* Something that may fail or move the stacks, but stays in this frame. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        SAVE();                                                                                    \
        r = (expression);                                                                          \
        if (r < 0)                                                                                 \
            return r;                                                                              \
        LOAD();                                                                                    \
    } while (0)
/* The same for what may also put another frame on top; it goes on behind this instruction. */
#define CALL(expression)                                                                           \
    do {                                                                                           \
        uint32_t frames = call->frames_len;                                                        \
                                                                                                   \
        SAVE();                                                                                    \
        r = (expression);                                                                          \
        if (r < 0)                                                                                 \
            return r;                                                                              \
        call->frames[frames - 1].pc++;                                                             \
        if (!top_is_script(call))                                                                  \
            return BVI_SCRIPT_DONE;                                                                \
        ENTER();                                                                                   \
        NEXT(0);                                                                                   \
    } while (0)
#define PUSH(value)                                                                                \
    do {                                                                                           \
        *sp++ = (value);                                                                           \
        NEXT(1);                                                                                   \
    } while (0)
/* A comparison looks whether a jump follows, and takes it at once. */
#define DECIDE(truth, words)                                                                       \
    do {                                                                                           \
        bool yes = (truth);                                                                        \
        uint32_t then = pc[words];                                                                 \
                                                                                                   \
        if (BVI_OPCODE(then) == BVI_OP_JUMP_FALSE) {                                               \
            pc = yes ? pc + (words) + 1 : code + BVI_OPERAND(then);                                \
            NEXT(0);                                                                               \
        }                                                                                          \
        if (BVI_OPCODE(then) == (yes ? BVI_OP_AND_THEN : BVI_OP_OR_ELSE))                          \
            NEXT((words) + 1);                                                                     \
        bvi_set_bool(sp++, yes);                                                                   \
        NEXT(words);                                                                               \
    } while (0)

/* clang-format off */

/* The four forms of an operator: see opcode.h. What is not quick gets its operands onto the stack
 * and goes the common way. */
#define ARITHMETIC(opcode, compute, compute_float)                                                 \
op_##opcode:                                                                                       \
    if (bvi_both_int(sp - 2, sp - 1) && compute(sp[-2].as.i, sp[-1].as.i, &sp[-2].as.i)) {         \
        sp--;                                                                                      \
        NEXT(1);                                                                                   \
    }                                                                                              \
    if (bvi_both_float(sp - 2, sp - 1)) {                                                          \
        sp[-2].as.f = compute_float(sp[-2].as.f, sp[-1].as.f);                                     \
        sp--;                                                                                      \
        NEXT(1);                                                                                   \
    }                                                                                              \
    goto operator;                                                                                 \
op_##opcode##_LI:                                                                                  \
    if (bvi_is_int(LOCAL(a)) && compute(LOCAL(a)->as.i, (int32_t)pc[1], &number)) {                \
        bvi_set_int(sp++, number);                                                                 \
        NEXT(2);                                                                                   \
    }                                                                                              \
    goto operator_li;                                                                              \
op_##opcode##_LL:                                                                                  \
    if (bvi_both_int(LOCAL(a), LOCAL(pc[1])) &&                                                    \
        compute(LOCAL(a)->as.i, LOCAL(pc[1])->as.i, &number)) {                                    \
        bvi_set_int(sp++, number);                                                                 \
        NEXT(2);                                                                                   \
    }                                                                                              \
    if (bvi_both_float(LOCAL(a), LOCAL(pc[1]))) {                                                  \
        bvi_set_float(sp, compute_float(LOCAL(a)->as.f, LOCAL(pc[1])->as.f));                      \
        sp++;                                                                                      \
        NEXT(2);                                                                                   \
    }                                                                                              \
    goto operator_ll;                                                                              \
op_##opcode##_SI:                                                                                  \
    if (bvi_is_int(sp - 1) && compute(sp[-1].as.i, signed_operand(word), &sp[-1].as.i))            \
        NEXT(1);                                                                                   \
    goto operator_si;

#define COMPARISON(opcode, sign)                                                                   \
op_##opcode:                                                                                       \
    if (bvi_both_int(sp - 2, sp - 1)) {                                                            \
        sp -= 2;                                                                                   \
        DECIDE(sp[0].as.i sign sp[1].as.i, 1);                                                     \
    }                                                                                              \
    if (bvi_both_float(sp - 2, sp - 1)) {                                                          \
        sp -= 2;                                                                                   \
        DECIDE(sp[0].as.f sign sp[1].as.f, 1);                                                     \
    }                                                                                              \
    goto operator;                                                                                 \
op_##opcode##_LI:                                                                                  \
    if (bvi_is_int(LOCAL(a)))                                                                      \
        DECIDE(LOCAL(a)->as.i sign (int32_t)pc[1], 2);                                             \
    goto operator_li;                                                                              \
op_##opcode##_LL:                                                                                  \
    if (bvi_both_int(LOCAL(a), LOCAL(pc[1])))                                                      \
        DECIDE(LOCAL(a)->as.i sign LOCAL(pc[1])->as.i, 2);                                         \
    goto operator_ll;                                                                              \
op_##opcode##_SI:                                                                                  \
    if (bvi_is_int(sp - 1)) {                                                                      \
        sp--;                                                                                      \
        DECIDE(sp->as.i sign signed_operand(word), 1);                                             \
    }                                                                                              \
    goto operator_si;

/* clang-format on */

static int32_t signed_operand(uint32_t word)
{
    return (int32_t)word >> 8;
}

/* The operator of an instruction that has its operands built in; forms are in the same order. */
static bvi_opcode plain_operator(bvi_opcode op)
{
    if (op < BVI_OP_ADD_LI)
        return op;
    return (bvi_opcode)(BVI_OP_ADD + (op - BVI_OP_ADD_LI) % (BVI_OP_ADD_LL - BVI_OP_ADD_LI));
}

/* A turn of a loop counts. False: the slice ends. */
static inline bool spend(bvi_script_call *call)
{
    if (call->engine->work > BVI_WORK_PER_OPERATION)
        bvi_vm_charge(call);
    return --call->budget > 0;
}

/* A call counts too, and the last bit of a slice is not spent on it. */
static inline bool may_call(bvi_script_call *call)
{
    if (call->engine->work > BVI_WORK_PER_OPERATION)
        bvi_vm_charge(call);
    if (call->budget <= 1)
        return false;
    call->budget--;
    return true;
}

int bvi_vm_execute(bvi_script_call *call)
{
    static const void *const instructions[] = {
#define X(name, words, effect) &&op_##name,
        BVI_OPCODES(X)
#undef X
    };
    static const void *const traced[] = {
#define X(name, words, effect) &&trace,
        BVI_OPCODES(X)
#undef X
    };
    bool trace_on = (call->engine->options.debug_flags & BVI_SCRIPT_DEBUG_TRACE) != 0;
    const void *const *labels = trace_on ? traced : instructions;
    bvi_frame *f;
    bvi_frame *callee;
    bvi_script *unit;
    const uint32_t *code;
    const uint32_t *pc;
    bvi_value *base;
    bvi_value *sp;
    uint32_t word;
    uint32_t a;
    int64_t number;
    int r;

    ENTER();
    NEXT(0);

trace:
    bvi_dump_instruction(f->proto, (uint32_t)(pc - code));
    goto *instructions[BVI_OPCODE(word)];

    /* ---- constants and the stack ---- */
op_UNIT:
    PUSH(BVI_VALUE_UNIT);
op_TRUE:
    PUSH(bvi_value_bool(true));
op_FALSE:
    PUSH(bvi_value_bool(false));
op_INT:
    bvi_set_int(sp++, signed_operand(word));
    NEXT(1);
op_CONST:
    bvi_set_dup(sp++, &unit->consts[a]);
    NEXT(1);
op_POP:
    bvi_drop(--sp);
    NEXT(1);
op_POPN:
    while (a-- > 0)
        bvi_drop(--sp);
    NEXT(1);
op_SLIDE : {
    bvi_value top = *--sp;

    while (a-- > 0)
        bvi_drop(--sp);
    PUSH(top);
}

    /* ---- variables ---- */
op_GET_LOCAL:
    bvi_set_dup(sp++, bvi_deref(LOCAL(a)));
    NEXT(1);
op_SET_LOCAL:
    sp--;
    bvi_replace(bvi_deref(LOCAL(a)), *sp);
    NEXT(1);
op_GET_UP:
    bvi_set_dup(sp++, bvi_deref(&bvi_fnp(&f->fn)->values[a]));
    NEXT(1);
op_SET_UP:
    sp--;
    bvi_replace(bvi_deref(&bvi_fnp(&f->fn)->values[a]), *sp);
    NEXT(1);
op_GET_THIS:
    TRY(get_this(call, f));
    NEXT(1);
op_GET_GLOBAL:
    TRY(bvi_vm_get_global(call, f, a));
    NEXT(1);
op_GET_NAME:
    TRY(bvi_vm_get_name(call, f, a, bvi_proto_pos(f->proto, f->pc), call->sp));
    sp++;
    NEXT(1);
op_GET_MEMBER:
    TRY(bvi_vm_get_member(call, f, a));
    NEXT(1);
op_ADD_LOCAL:
    if (bvi_both_int(LOCAL(a), sp - 1) &&
        bvi_add_int(LOCAL(a)->as.i, sp[-1].as.i, &LOCAL(a)->as.i)) {
        sp--;
        NEXT(1);
    }
    if (bvi_both_float(LOCAL(a), sp - 1)) {
        LOCAL(a)->as.f += sp[-1].as.f;
        sp--;
        NEXT(1);
    }
    TRY(bvi_op_binary(call, BVI_OP_ADD, bvi_deref(LOCAL(a)), sp - 1, true));
    bvi_drop(--sp);
    NEXT(1);
op_ADD_LOCAL_I:
    if (bvi_is_int(LOCAL(a)) && bvi_add_int(LOCAL(a)->as.i, (int32_t)pc[1], &LOCAL(a)->as.i))
        NEXT(2);
    bvi_set_int(sp++, (int32_t)pc[1]);
    TRY(bvi_op_binary(call, BVI_OP_ADD, bvi_deref(LOCAL(a)), sp - 1, true));
    sp--;
    NEXT(2);
op_SUB_LOCAL_I:
    if (bvi_is_int(LOCAL(a)) && bvi_sub_int(LOCAL(a)->as.i, (int32_t)pc[1], &LOCAL(a)->as.i))
        NEXT(2);
    bvi_set_int(sp++, (int32_t)pc[1]);
    TRY(bvi_op_binary(call, BVI_OP_SUB, bvi_deref(LOCAL(a)), sp - 1, true));
    sp--;
    NEXT(2);
op_OP_LOCAL:
    TRY(bvi_op_binary(call, (bvi_opcode)pc[1], bvi_deref(LOCAL(a)), sp - 1, true));
    bvi_drop(--sp);
    NEXT(2);
op_IS_SHARED:
    PUSH(bvi_value_bool(is_shared(call, f, &unit->paths[a])));

    /* ---- chains ---- */
op_GET_PATH : {
    const bvi_path *path = &unit->paths[a];
    const bvi_value *place = bvi_quick_place(f, path, base, sp - 1, false);

    if (place) {
        bvi_value item = bvi_dup(place);

        sp -= path->indices;
        if (path->indices > 0)
            bvi_drop(sp);
        *sp++ = item;
        NEXT(1);
    }
    CALL(bvi_path_load(call, f, path));
}
op_SET_PATH : {
    bvi_value *place = bvi_quick_place(f, &unit->paths[a], base, sp - 2, true);

    if (place) {
        sp--;
        sp->tag = 0;
        bvi_replace(place, *sp);
        if (unit->paths[a].indices > 0)
            bvi_drop(--sp);
        NEXT(1);
    }
    TRY(set_path(call, f, &unit->paths[a]));
    NEXT(1);
}
op_OP_PATH : {
    bvi_value *place = bvi_quick_place(f, &unit->paths[a], base, sp - 2, true);

    if (place && pc[1] == BVI_OP_ADD && bvi_both_int(place, sp - 1) &&
        bvi_add_int(place->as.i, sp[-1].as.i, &place->as.i)) {
        sp--;
        if (unit->paths[a].indices > 0)
            bvi_drop(--sp);
        NEXT(2);
    }
    TRY(op_path(call, f, &unit->paths[a], (bvi_opcode)pc[1]));
    NEXT(2);
}

    /* ---- operators ---- */
    ARITHMETIC(ADD, bvi_add_int, bvi_add_float)
    ARITHMETIC(SUB, bvi_sub_int, bvi_sub_float)
    ARITHMETIC(MUL, bvi_mul_int, bvi_mul_float)
    ARITHMETIC(MOD, bvi_mod_int, fmod)
    COMPARISON(EQ, ==)
    COMPARISON(NE, !=)
    COMPARISON(LT, <)
    COMPARISON(LE, <=)
    COMPARISON(GT, >)
    COMPARISON(GE, >=)
op_DIV:
    if (bvi_both_float(sp - 2, sp - 1)) {
        sp[-2].as.f /= sp[-1].as.f;
        sp--;
        NEXT(1);
    }
    goto operator;
op_POW:
op_SHL:
op_SHR:
op_AND:
op_OR:
op_XOR:
op_IN:
op_NOT_IN:
op_RANGE:
op_RANGE_INCL:
    operator: TRY(bvi_op_binary(call, plain_operator(BVI_OPCODE(word)), sp - 2, sp - 1, false));
    bvi_drop(--sp);
    NEXT(1);
operator_si:
    bvi_set_int(sp++, signed_operand(word));
    goto operator;
operator_li:
    bvi_set_dup(sp++, bvi_deref(LOCAL(a)));
    bvi_set_int(sp++, (int32_t)pc[1]);
    goto operator_two_words;
operator_ll:
    bvi_set_dup(sp++, bvi_deref(LOCAL(a)));
    bvi_set_dup(sp++, bvi_deref(LOCAL(pc[1])));
operator_two_words:
    TRY(bvi_op_binary(call, plain_operator(BVI_OPCODE(word)), sp - 2, sp - 1, false));
    bvi_drop(--sp);
    NEXT(2);
op_NEG:
op_PLUS:
op_NOT:
    TRY(bvi_op_unary(call, BVI_OPCODE(word), sp - 1));
    NEXT(1);

    /* ---- control ---- */
op_JUMP:
    pc = code + a;
    NEXT(0);
op_LOOP:
    pc = code + a;
    if (!spend(call))
        goto yield;
    NEXT(0);
op_JUMP_FALSE:
op_JUMP_TRUE:
    if (sp[-1].type != BVI_T_BOOL)
        TRY(want_bool(call, sp - 1));
    sp--;
    pc = sp->as.b == (BVI_OPCODE(word) == BVI_OP_JUMP_TRUE) ? code + a : pc + 1;
    NEXT(0);
op_AND_THEN:
op_OR_ELSE:
    if (sp[-1].type != BVI_T_BOOL)
        TRY(want_bool(call, sp - 1));
    if (sp[-1].as.b == (BVI_OPCODE(word) == BVI_OP_OR_ELSE)) {
        pc = code + a;
        NEXT(0);
    }
    sp--;
    NEXT(1);
op_WANT_BOOL:
    if (sp[-1].type != BVI_T_BOOL)
        TRY(want_bool(call, sp - 1));
    NEXT(1);
op_COALESCE:
    if (sp[-1].type != BVI_T_UNIT) {
        pc = code + a;
        NEXT(0);
    }
    sp--;
    NEXT(1);
op_SWITCH:
    SAVE();
    pc = code + bvi_vm_switch_target(call, &unit->switches[a], pc[1], sp - 1);
    NEXT(0);
op_ITER:
    TRY(bvi_vm_make_iterator(call, sp - 1, a != 0));
    TRY(bvi_vm_own_iterator(call, sp - 1));
    NEXT(1);
op_ITER_RANGE:
    TRY(bvi_vm_make_range_iterator(call, a != 0));
    NEXT(1);
op_NEXT:
    if (bvi_advance_int(LOCAL(a)) || bvi_vm_advance(LOCAL(a), false))
        NEXT(2);
    pc = code + pc[1];
    NEXT(0);
op_NEXT_COUNT:
    if (bvi_vm_advance(LOCAL(a), true))
        NEXT(2);
    pc = code + pc[1];
    NEXT(0);
op_LOOP_NEXT:
    if (bvi_advance_int(LOCAL(a)) || bvi_vm_advance(LOCAL(a), false))
        pc = code + pc[1];
    else
        pc += 2;
    if (!spend(call))
        goto yield;
    NEXT(0);

    /* ---- making ---- */
op_ARRAY:
    TRY(bvi_vm_make_array(call, a));
    NEXT(1);
op_MAP:
    TRY(bvi_vm_make_map(call, unit, a, pc[1]));
    NEXT(2);
op_INTERP:
    TRY(bvi_vm_interpolate(call, a));
    NEXT(1);
op_CLOSURE:
    TRY(bvi_vm_make_closure(call, f, unit->protos[a]));
    NEXT(1);

    /* ---- calls ---- */
op_CALL : {
    bvi_site *site = &unit->sites[a];

    if (!may_call(call))
        goto yield;
    callee = site->own ? push_plain(call, site->own, bvi_home(f->home), sp, site->argc, site->pos)
                       : NULL;
    if (callee)
        goto enter_callee;
    CALL(bvi_vm_call(call, site));
}
op_METHOD : {
    bvi_site *site = &unit->sites[a];
    const bvi_value *fn = callable(f, site, base, sp);

    if (!may_call(call))
        goto yield;
    callee = fn ? push_closure(call, fn, sp, site) : NULL;
    if (callee)
        goto enter_callee;
    CALL(bvi_vm_method(call, site));
}
enter_callee:
    f->pc = (uint32_t)(pc - code) + 1;
    f = callee;
    unit = f->proto->unit;
    code = pc = f->proto->code;
    base = call->stack + f->base;
    NEXT(0);
op_CALL_MEMBER:
    if (!may_call(call))
        goto yield;
    CALL(bvi_vm_call_member(call, &unit->sites[a]));
op_EVAL:
    CALL(bvi_vm_eval(call, a, bvi_proto_pos(f->proto, f->pc)));
op_LINE:
    bvi_coverage_ran(unit->coverage, a);
    NEXT(1);
op_RETURN:
    if (f->is_plain && call->frames_len > 1) {
        sp = pop_plain(call, f--, sp);
        if (f->is_native) {
            call->sp = sp;
            return BVI_SCRIPT_DONE;
        }
        unit = f->proto->unit;
        code = f->proto->code;
        pc = code + f->pc;
        base = call->stack + f->base;
        NEXT(0);
    }
    SAVE();
    call->sp--;
    r = bvi_vm_return(call, *call->sp);
    if (r < 0 || !top_is_script(call))
        return r;
    ENTER();
    NEXT(0);

    /* ---- failures ---- */
op_THROW:
    sp--;
    SAVE();
    return bvi_vm_throw(call, *sp);
op_RETHROW:
    SAVE();
    return rethrow(call, LOCAL(a));
op_CAUGHT:
    TRY(bvi_failure_caught(call, (bvi_failure *)LOCAL(a)->as.obj, call->sp));
    sp++;
    NEXT(1);

    /* ---- the global level ---- */
op_DEF_CONST:
    TRY(bvi_vm_define_const(call, f, a));
    NEXT(1);
op_DEF_DYNAMIC:
    TRY(bvi_vm_define_dynamic(call, bvi_unit_str(unit, a), pc[1] != 0));
    NEXT(2);
op_FORGET:
    bvi_vm_forget(call, a);
    NEXT(1);
op_IS_DEF_VAR:
    TRY(bvi_vm_is_def_var(call, a));
    NEXT(1);
op_EXPORT:
    TRY(bvi_vm_export(call, f, a, pc[1]));
    NEXT(2);
op_IMPORT:
    CALL(bvi_vm_import(call, bvi_proto_pos(f->proto, f->pc)));
op_DEF_IMPORT:
    TRY(bvi_vm_define_import(call, f, a));
    NEXT(1);

yield:
    SAVE();
    return BVI_SCRIPT_YIELD;
}
