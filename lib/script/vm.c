/*
 * vm.c - the machine: one loop over instructions for the script frame on top.
 *
 * It returns to run.c whenever the frame on top is another one, so calls and returns do not nest in
 * C. Quick cases of operators are done here, the rest in ops.c. The stack and frame pointers are
 * kept in locals; SAVE() writes them back before anything that may look at them, LOAD() reads them
 * after anything that may have moved them.
 */
#include "script/coverage.h"
#include "script/vm.h"

static int nomem(bvi_script_call *call, int r)
{
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int want_bool(bvi_script_call *call, const bvi_value *v)
{
    return v->type == BVI_T_BOOL ? 0 : bvi_script_throw_type(call, v, "bool");
}

/* ---- the global level ---- */

static int define_const(bvi_script_call *call, bvi_frame *f, uint32_t name)
{
    bvi_module *home = bvi_home(f->home);

    return nomem(call, bvi_map_set(&home->consts, bvi_unit_str(f->proto->unit, name),
                                   bvi_dup(call->sp - 1)));
}

static int define_import(bvi_script_call *call, bvi_frame *f, uint32_t alias)
{
    bvi_module *home = bvi_home(f->home);

    return nomem(call, bvi_map_set(&home->imports, bvi_unit_str(f->proto->unit, alias),
                                   bvi_dup(call->sp - 1)));
}

/* An exported variable is shared, so that what the module's top level does to it later is seen. */
static int export_variable(bvi_script_call *call, bvi_frame *f, uint32_t slot, uint32_t name)
{
    bvi_value *v = &call->stack[f->base + slot];
    int r = v->type == BVI_T_CELL ? 0 : bvi_cell_new(call->engine, v);

    if (r == 0)
        r = bvi_map_set(&bvi_home(f->home)->exports, bvi_unit_str(f->proto->unit, name),
                        bvi_dup(v));
    return nomem(call, r);
}

static int define_dynamic(bvi_script_call *call, bvi_frame *f, uint32_t name)
{
    bvi_string *text = bvi_unit_str(f->proto->unit, name);
    int r = 0;

    while (f->is_eval && f > call->frames)
        f--;
    if (f->dynamic.type != BVI_T_MAP)
        r = bvi_value_map(call->engine, &f->dynamic);
    if (r == 0)
        r = bvi_map_set(&f->dynamic, text, bvi_move(call->sp - 1));
    call->sp--;
    return nomem(call, r);
}

static int get_global(bvi_script_call *call, bvi_frame *f, uint32_t name, bvi_pos pos)
{
    const bvi_string *text = bvi_unit_str(f->proto->unit, name);
    const bvi_value *v = bvi_map_find(&bvi_home(f->home)->consts, text);
    int r;

    if (v) {
        *call->sp++ = bvi_dup(v);
        return 0;
    }
    r = bvi_vm_fail_at(call, pos, BVI_FAILURE_VARIABLE_NOT_FOUND, "Variable not found: global::%s",
                       text->data);
    bvi_vm_field_text(call, "variable", text->data);
    return r;
}

static int get_member(bvi_script_call *call, bvi_frame *f, uint32_t member)
{
    bvi_path path = { .root = BVI_ROOT_MEMBER, .slot = member };
    int r;

    path.name = f->proto->unit->members[member].name;
    path.pos = bvi_proto_pos(f->proto, f->pc);
    r = bvi_path_get(call, f, &path, NULL, call->sp);
    if (r == 0)
        call->sp++;
    return r;
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

static int get_path(bvi_script_call *call, bvi_frame *f, const bvi_path *path)
{
    bvi_value *indices = call->sp - path->indices;
    uint32_t to = (uint32_t)(indices - call->stack) - (path->root == BVI_ROOT_STACK);
    bvi_value v = BVI_VALUE_UNIT;
    int r = bvi_path_get(call, f, path, indices, &v);

    if (r < 0)
        return r;
    bvi_vm_cut(call, to);
    *call->sp++ = v;
    return 0;
}

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

/* ---- the loop ---- */

#define LOCAL(slot) (&base[slot])
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
/* Something that may fail or move the stacks, but stays in this frame. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        SAVE();                                                                                    \
        r = (expression);                                                                          \
        if (r < 0)                                                                                 \
            return r;                                                                              \
        LOAD();                                                                                    \
    } while (0)
#define BINARY_INT(opcode, builtin)                                                                \
    case BVI_OP_##opcode:                                                                          \
        if (sp[-2].type == BVI_T_INT && sp[-1].type == BVI_T_INT &&                                \
            !builtin(sp[-2].as.i, sp[-1].as.i, &sp[-2].as.i)) {                                    \
            sp--;                                                                                  \
            pc++;                                                                                  \
            break;                                                                                 \
        }                                                                                          \
        goto binary
#define COMPARE_INT(opcode, operator)                                                              \
    case BVI_OP_##opcode:                                                                          \
        if (sp[-2].type == BVI_T_INT && sp[-1].type == BVI_T_INT) {                                \
            sp[-2] = bvi_value_bool(sp[-2].as.i operator sp[-1].as.i);                             \
            sp--;                                                                                  \
            pc++;                                                                                  \
            break;                                                                                 \
        }                                                                                          \
        goto binary

/* The builtins write their result even on overflow, so they get a scratch first. */
static inline bool add_int(int64_t a, int64_t b, int64_t *ret)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return true;
    *ret = sum;
    return false;
}

static inline bool sub_int(int64_t a, int64_t b, int64_t *ret)
{
    int64_t difference;

    if (__builtin_sub_overflow(a, b, &difference))
        return true;
    *ret = difference;
    return false;
}

static inline bool mul_int(int64_t a, int64_t b, int64_t *ret)
{
    int64_t product;

    if (__builtin_mul_overflow(a, b, &product))
        return true;
    *ret = product;
    return false;
}

static int32_t signed_operand(uint32_t word)
{
    return (int32_t)word >> 8;
}

int bvi_vm_execute(bvi_script_call *call)
{
    bvi_frame *f = &call->frames[call->frames_len - 1];
    const bvi_proto *proto = f->proto;
    bvi_script *unit = proto->unit;
    const uint32_t *code = proto->code;
    const uint32_t *pc = code + f->pc;
    bvi_value *base = call->stack + f->base;
    bvi_value *sp = call->sp;
    bool trace = (call->engine->options.debug_flags & BVI_SCRIPT_DEBUG_TRACE) != 0;
    int r;

    for (;;) {
        uint32_t word = *pc;
        uint32_t a = BVI_OPERAND(word);

        if (trace)
            bvi_dump_instruction(proto, (uint32_t)(pc - code));
        switch (BVI_OPCODE(word)) {
        case BVI_OP_UNIT:
            *sp++ = BVI_VALUE_UNIT;
            pc++;
            break;
        case BVI_OP_TRUE:
            *sp++ = bvi_value_bool(true);
            pc++;
            break;
        case BVI_OP_FALSE:
            *sp++ = bvi_value_bool(false);
            pc++;
            break;
        case BVI_OP_INT:
            *sp++ = bvi_value_int(signed_operand(word));
            pc++;
            break;
        case BVI_OP_CONST:
            *sp++ = bvi_dup(&unit->consts[a]);
            pc++;
            break;
        case BVI_OP_POP:
            bvi_drop(--sp);
            pc++;
            break;
        case BVI_OP_POPN:
            while (a-- > 0)
                bvi_drop(--sp);
            pc++;
            break;
        case BVI_OP_SLIDE: {
            bvi_value top = *--sp;

            while (a-- > 0)
                bvi_drop(--sp);
            *sp++ = top;
            pc++;
            break;
        }
        case BVI_OP_GET_LOCAL: {
            bvi_value v = bvi_dup(bvi_deref(LOCAL(a)));

            *sp++ = v;
            pc++;
            break;
        }
        case BVI_OP_SET_LOCAL:
            sp--;
            bvi_replace(bvi_deref(LOCAL(a)), *sp);
            pc++;
            break;
        case BVI_OP_GET_UP: {
            bvi_value v = bvi_dup(bvi_deref(&bvi_fnp(&f->fn)->values[a]));

            *sp++ = v;
            pc++;
            break;
        }
        case BVI_OP_SET_UP:
            sp--;
            bvi_replace(bvi_deref(&bvi_fnp(&f->fn)->values[a]), *sp);
            pc++;
            break;
        case BVI_OP_GET_THIS:
            TRY(get_this(call, f));
            pc++;
            break;
        case BVI_OP_GET_GLOBAL:
            TRY(get_global(call, f, a, bvi_proto_pos(proto, f->pc)));
            pc++;
            break;
        case BVI_OP_GET_NAME:
            TRY(bvi_vm_get_name(call, f, a, bvi_proto_pos(proto, f->pc), call->sp));
            sp++;
            pc++;
            break;
        case BVI_OP_GET_MEMBER:
            TRY(get_member(call, f, a));
            pc++;
            break;
        case BVI_OP_OP_LOCAL: {
            bvi_value *local = bvi_deref(LOCAL(a));

            if (pc[1] == BVI_OP_ADD && local->type == BVI_T_INT && sp[-1].type == BVI_T_INT &&
                !add_int(local->as.i, sp[-1].as.i, &local->as.i)) {
                sp--;
            } else {
                TRY(bvi_op_binary(call, (bvi_opcode)pc[1], local, sp - 1, true));
                bvi_drop(--sp);
            }
            pc += 2;
            break;
        }
        case BVI_OP_IS_SHARED:
            *sp++ = bvi_value_bool(is_shared(call, f, &unit->paths[a]));
            pc++;
            break;
        case BVI_OP_GET_PATH:
            TRY(get_path(call, f, &unit->paths[a]));
            pc++;
            break;
        case BVI_OP_SET_PATH:
            TRY(set_path(call, f, &unit->paths[a]));
            pc++;
            break;
        case BVI_OP_OP_PATH:
            TRY(op_path(call, f, &unit->paths[a], (bvi_opcode)pc[1]));
            pc += 2;
            break;
            BINARY_INT(ADD, add_int);
            BINARY_INT(SUB, sub_int);
            BINARY_INT(MUL, mul_int);
            COMPARE_INT(EQ, ==);
            COMPARE_INT(NE, !=);
            COMPARE_INT(LT, <);
            COMPARE_INT(LE, <=);
            COMPARE_INT(GT, >);
            COMPARE_INT(GE, >=);
        case BVI_OP_DIV:
        case BVI_OP_MOD:
        case BVI_OP_POW:
        case BVI_OP_SHL:
        case BVI_OP_SHR:
        case BVI_OP_AND:
        case BVI_OP_OR:
        case BVI_OP_XOR:
        case BVI_OP_IN:
        case BVI_OP_NOT_IN:
        case BVI_OP_RANGE:
        case BVI_OP_RANGE_INCL:
        binary:
            TRY(bvi_op_binary(call, BVI_OPCODE(word), sp - 2, sp - 1, false));
            bvi_drop(--sp);
            pc++;
            break;
        case BVI_OP_NEG:
        case BVI_OP_PLUS:
        case BVI_OP_NOT:
            TRY(bvi_op_unary(call, BVI_OPCODE(word), sp - 1));
            pc++;
            break;
        case BVI_OP_JUMP:
            pc = code + a;
            break;
        case BVI_OP_LOOP:
            pc = code + a;
            if (call->engine->work > BVI_WORK_PER_OPERATION)
                bvi_vm_charge(call);
            if (--call->budget == 0) {
                SAVE();
                return BVI_SCRIPT_YIELD;
            }
            break;
        case BVI_OP_JUMP_FALSE:
        case BVI_OP_JUMP_TRUE:
            if (sp[-1].type != BVI_T_BOOL)
                TRY(want_bool(call, sp - 1));
            sp--;
            pc = sp->as.b == (BVI_OPCODE(word) == BVI_OP_JUMP_TRUE) ? code + a : pc + 1;
            break;
        case BVI_OP_AND_THEN:
        case BVI_OP_OR_ELSE:
            TRY(want_bool(call, sp - 1));
            if (sp[-1].as.b == (BVI_OPCODE(word) == BVI_OP_OR_ELSE)) {
                pc = code + a;
            } else {
                sp--;
                pc++;
            }
            break;
        case BVI_OP_WANT_BOOL:
            TRY(want_bool(call, sp - 1));
            pc++;
            break;
        case BVI_OP_COALESCE:
            if (sp[-1].type != BVI_T_UNIT) {
                pc = code + a;
            } else {
                sp--;
                pc++;
            }
            break;
        case BVI_OP_SWITCH:
            SAVE();
            pc = code + bvi_vm_switch_target(call, &unit->switches[a], pc[1], sp - 1);
            break;
        case BVI_OP_ITER:
            TRY(bvi_vm_make_iterator(call, sp - 1, a != 0));
            TRY(bvi_vm_own_iterator(call, sp - 1));
            pc++;
            break;
        case BVI_OP_NEXT:
        case BVI_OP_NEXT_COUNT:
            pc = bvi_vm_advance(LOCAL(a), BVI_OPCODE(word) == BVI_OP_NEXT_COUNT) ? pc + 2
                                                                                 : code + pc[1];
            break;
        case BVI_OP_ARRAY:
            TRY(bvi_vm_make_array(call, a));
            pc++;
            break;
        case BVI_OP_MAP:
            TRY(bvi_vm_make_map(call, unit, a, pc[1]));
            pc += 2;
            break;
        case BVI_OP_INTERP:
            TRY(bvi_vm_interpolate(call, a));
            pc++;
            break;
        case BVI_OP_CLOSURE:
            TRY(bvi_vm_make_closure(call, f, unit->protos[a]));
            pc++;
            break;
        case BVI_OP_CALL:
        case BVI_OP_METHOD:
        case BVI_OP_CALL_MEMBER: {
            uint32_t frames = call->frames_len;
            bvi_pos pos;

            if (call->engine->work > BVI_WORK_PER_OPERATION)
                bvi_vm_charge(call);
            if (call->budget <= 1) {
                SAVE();
                return BVI_SCRIPT_YIELD;
            }
            call->budget--;
            SAVE();
            pos = bvi_proto_pos(proto, f->pc);
            if (BVI_OPCODE(word) == BVI_OP_CALL)
                r = bvi_vm_call(call, &unit->sites[a], pos);
            else if (BVI_OPCODE(word) == BVI_OP_METHOD)
                r = bvi_vm_method(call, &unit->sites[a], pos);
            else
                r = bvi_vm_call_member(call, &unit->sites[a], pos);
            if (r < 0)
                return r;
            if (call->frames_len != frames) {
                call->frames[frames - 1].pc++;
                return BVI_SCRIPT_DONE;
            }
            LOAD();
            pc++;
            break;
        }
        case BVI_OP_EVAL:
            SAVE();
            r = bvi_vm_eval(call, a, bvi_proto_pos(proto, f->pc));
            if (r < 0)
                return r;
            call->frames[call->frames_len - 2].pc++;
            return BVI_SCRIPT_DONE;
        case BVI_OP_LINE:
            bvi_coverage_ran(unit->coverage, a);
            pc++;
            break;
        case BVI_OP_RETURN: {
            bvi_value result = *--sp;

            SAVE();
            return bvi_vm_return(call, result);
        }
        case BVI_OP_THROW: {
            bvi_value thrown = *--sp;

            SAVE();
            return bvi_vm_throw(call, thrown);
        }
        case BVI_OP_RETHROW:
            SAVE();
            return rethrow(call, LOCAL(a));
        case BVI_OP_CAUGHT:
            TRY(bvi_failure_caught(call, (bvi_failure *)LOCAL(a)->as.obj, call->sp));
            sp++;
            pc++;
            break;
        case BVI_OP_DEF_CONST:
            TRY(define_const(call, f, a));
            pc++;
            break;
        case BVI_OP_DEF_DYNAMIC:
            TRY(define_dynamic(call, f, a));
            pc++;
            break;
        case BVI_OP_EXPORT:
            TRY(export_variable(call, f, a, pc[1]));
            pc += 2;
            break;
        case BVI_OP_IMPORT: {
            uint32_t frames = call->frames_len;

            SAVE();
            r = bvi_vm_import(call, bvi_proto_pos(proto, f->pc));
            if (r < 0)
                return r;
            if (call->frames_len != frames) {
                call->frames[frames - 1].pc++;
                return BVI_SCRIPT_DONE;
            }
            LOAD();
            pc++;
            break;
        }
        case BVI_OP_DEF_IMPORT:
            TRY(define_import(call, f, a));
            pc++;
            break;
        case BVI_OP_COUNT:
            return bvi_vm_fail(call, BVI_FAILURE_TERMINATED, "Script terminated");
        }
    }
}
