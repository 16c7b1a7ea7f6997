/*
 * eval.c - eval(): source that runs in the scope of the function that calls it.
 *
 * The source is compiled as a closure that captures what it names of that function. Variables it
 * makes outlive it: they are kept in a list of the function's frame and found by name. Since they
 * may hide variables the compiler knows, calls of eval() are numbered in source order within a
 * function; a variable made by number n hides those declared before it. The end of a block forgets
 * what was made in it. The same list holds what f!(...) lends a function of its caller.
 */
#include "script/vm.h"

/* An item of the list: name, value or CELL, and number << 1 | is_const as an INT. */
enum { DYN_NAME, DYN_VALUE, DYN_NUMBER, DYN_WORDS };

/* Compiling a byte takes as long as touching so many. */
#define COMPILING_COST 64u

/* Lent variables are older than all others. */
#define NUMBER_LENT (-1)

static bvi_frame *real_frame(bvi_script_call *call, bvi_frame *f)
{
    while (f->is_eval && f > call->frames)
        f--;
    return f;
}

static int64_t number_of(const bvi_value *item)
{
    return item[DYN_NUMBER].as.i >> 1;
}

static bvi_value *find_item(bvi_script_call *call, bvi_frame *frame, const bvi_string *name,
                            int64_t since)
{
    bvi_frame *f = real_frame(call, frame);
    bvi_array *list;

    if (f->dynamic.type != BVI_T_ARRAY)
        return NULL;
    list = bvi_arr(&f->dynamic);
    for (uint32_t i = list->len; i > 0; i -= DYN_WORDS) {
        bvi_value *item = &list->items[i - DYN_WORDS];

        if (number_of(item) < since)
            return NULL;
        if (bvi_string_compare(bvi_str(&item[DYN_NAME]), name) == 0)
            return item;
    }
    return NULL;
}

static bool is_const_item(const bvi_value *item)
{
    return item[DYN_NUMBER].as.i & 1;
}

bvi_value *bvi_vm_find_dynamic(bvi_script_call *call, bvi_frame *frame, const bvi_string *name,
                               int64_t since, bool *ret_const)
{
    bvi_value *item = find_item(call, frame, name, since);

    if (!item)
        return NULL;
    if (ret_const)
        *ret_const = is_const_item(item);
    return bvi_deref(&item[DYN_VALUE]);
}

/* Takes value, also on failure. */
static int add_dynamic(bvi_script_call *call, bvi_frame *f, bvi_string *name, bvi_value value,
                       int64_t number, bool is_const)
{
    bvi_value key = bvi_of_obj(name);
    int r;

    f->is_plain = false;
    r = f->dynamic.type == BVI_T_ARRAY ? 0 : bvi_value_array(call->engine, &f->dynamic);

    if (r == 0)
        r = bvi_array_reserve(&f->dynamic, DYN_WORDS);
    if (r < 0) {
        bvi_drop(&value);
        return bvi_script_throw_code(call, r);
    }
    (void)bvi_array_push(&f->dynamic, bvi_dup(&key)); /* there is room */
    (void)bvi_array_push(&f->dynamic, value);
    return bvi_array_push(&f->dynamic, bvi_value_int(number * 2 + is_const));
}

static uint32_t number_of_eval(const bvi_frame *eval)
{
    return eval[-1].proto->unit->scopes[eval->eval_scope].evals;
}

int bvi_vm_define_dynamic(bvi_script_call *call, bvi_string *name, bool is_const)
{
    bvi_frame *f = &call->frames[call->frames_len - 1];
    bvi_value v = bvi_move(--call->sp);

    return add_dynamic(call, real_frame(call, f), name, v, number_of_eval(f), is_const);
}

void bvi_vm_forget(bvi_script_call *call, uint32_t evals)
{
    bvi_frame *f = real_frame(call, &call->frames[call->frames_len - 1]);
    bvi_array *list;

    if (f->dynamic.type != BVI_T_ARRAY)
        return;
    list = bvi_arr(&f->dynamic);
    while (list->len > 0 && number_of(&list->items[list->len - DYN_WORDS]) >= evals) {
        for (uint32_t i = 0; i < DYN_WORDS; i++)
            bvi_drop(&list->items[--list->len]);
    }
}

/* What evals inside this one made now counts as made by it. */
void bvi_vm_end_eval(bvi_script_call *call)
{
    bvi_frame *eval = &call->frames[call->frames_len - 1];
    bvi_frame *f = real_frame(call, eval);
    int64_t number = number_of_eval(eval);
    bvi_array *list;

    if (f->dynamic.type != BVI_T_ARRAY)
        return;
    list = bvi_arr(&f->dynamic);
    for (uint32_t i = list->len; i > 0; i -= DYN_WORDS) {
        bvi_value *item = &list->items[i - DYN_WORDS];

        if (number_of(item) <= number)
            return;
        item[DYN_NUMBER].as.i = number * 2 + (is_const_item(item));
    }
}

/* ---- eval ---- */

static int eval_failure(bvi_script_call *call, const bvi_compile_error *where, bvi_pos pos)
{
    int r = bvi_vm_fail_at(call, where->pos, BVI_FAILURE_PARSING, "Syntax error: %s", where->text);

    if (call->failure)
        bvi_failure_leave(call->failure, BVI_LEAVING_FUNCTION, "eval", NULL, pos);
    return r;
}

static int share(bvi_script_call *call, bvi_value *from, bvi_value *to)
{
    int r = from->type == BVI_T_CELL ? 0 : bvi_cell_new(call->engine, from);

    if (r == 0)
        *to = bvi_dup(from);
    return r;
}

int bvi_vm_capture_name(bvi_script_call *call, bvi_frame *frame, const bvi_capture *capture,
                        bvi_value *ret)
{
    bvi_string *name = bvi_unit_str(frame->proto->unit, capture->name);
    bvi_value *item = find_item(call, frame, name, INT64_MIN);
    int r = 0;

    if (item && !is_const_item(item))
        r = share(call, &item[DYN_VALUE], ret);
    else if (item)
        *ret = bvi_dup(bvi_deref(&item[DYN_VALUE])); /* of a constant it has its own */
    else
        r = bvi_vm_get_name(call, frame, capture->name, capture->pos, ret);
    if (r < 0 && !item)
        return r;
    if (r == 0 && ret->type != BVI_T_CELL)
        r = bvi_cell_new(call->engine, ret);
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

/* The code becomes a closure over the variables it names. */
static int eval_closure(bvi_script_call *call, bvi_script *unit, uint32_t scope, bvi_frame *f,
                        bvi_value *ret)
{
    const bvi_proto *proto = unit->protos[0];
    const bvi_script *outer = f->proto->unit;
    const bvi_scope *seen = &outer->scopes[scope];
    bvi_module *module = NULL;
    bvi_value fn = BVI_VALUE_UNIT;
    int r = bvi_module_new(unit, f->home, &module);

    if (r < 0)
        return bvi_script_throw_code(call, r);
    r = bvi_fn_new(call->engine, bvi_unit_str(unit, proto->name), proto, module,
                   proto->captures_len, proto->captures_len, &fn);
    bvi_obj_unref(module);
    for (uint32_t i = 0; r == 0 && i < proto->captures_len; i++) {
        uint32_t slot = proto->captures[i].slot;

        r = share(call,
                  slot < seen->count
                      ? &call->stack[f->base + outer->visible[seen->first + slot].slot]
                      : &bvi_fnp(&f->fn)->values[slot - seen->count],
                  &bvi_fnp(&fn)->values[i]);
    }
    if (r < 0) {
        bvi_drop(&fn);
        return bvi_script_throw_code(call, r);
    }
    *ret = fn;
    return 0;
}

static int enter_eval(bvi_script_call *call, bvi_script *unit, uint32_t scope, bvi_pos pos)
{
    uint32_t at = (uint32_t)(call->sp - call->stack) - 1;
    bvi_frame *f = &call->frames[call->frames_len - 1];
    bvi_value fn = BVI_VALUE_UNIT;
    int r = eval_closure(call, unit, scope, f, &fn);

    if (r == 0)
        r = bvi_vm_push_script(call, unit->protos[0], bvi_fnp(&fn)->home, at + 1, at, pos);
    if (r < 0) {
        bvi_drop(&fn);
        return r;
    }
    f = &call->frames[call->frames_len - 1];
    f->fn = fn;
    f->is_eval = true;
    f->is_plain = false;
    f->eval_scope = scope;
    f->has_this = f[-1].has_this;
    f->this_const = f[-1].this_const;
    if (f->has_this)
        f->self = bvi_dup(&f[-1].self);
    return 0;
}

int bvi_vm_eval(bvi_script_call *call, uint32_t scope, bvi_pos pos)
{
    bvi_frame *f = &call->frames[call->frames_len - 1];
    bvi_value *source = call->sp - 1;
    bvi_compile_error where;
    bvi_script *unit = NULL;
    int r;

    if (source->type != BVI_T_STRING)
        return bvi_script_throw_type(call, source, "string");
    call->engine->work += bvi_str(source)->len * COMPILING_COST;
    r = bvi_compile_eval(call->engine, bvi_str(source)->data, bvi_str(source)->len, f->proto, scope,
                         &unit, &where);
    if (r == BV_E_NOMEM)
        return bvi_script_throw_nomem(call);
    if (r < 0)
        return eval_failure(call, &where, pos);
    r = enter_eval(call, unit, scope, pos);
    bvi_script_free(unit);
    return r;
}

/* ---- is_def_var ---- */

static bool is_visible(const bvi_frame *f, uint32_t scope, const bvi_string *name)
{
    const bvi_script *unit = f->proto->unit;
    const bvi_scope *seen = &unit->scopes[scope];

    for (uint32_t i = 0; i < seen->count; i++) {
        if (bvi_string_compare(bvi_unit_str(unit, unit->visible[seen->first + i].name), name) == 0)
            return true;
    }
    for (uint32_t i = 0; i < f->proto->captures_len; i++) {
        if (bvi_string_compare(bvi_unit_str(unit, f->proto->captures[i].name), name) == 0)
            return true;
    }
    return f->proto->is_top && bvi_map_find(&bvi_home(f->home)->consts, name); /* the host's */
}

int bvi_vm_is_def_var(bvi_script_call *call, uint32_t scope)
{
    bvi_frame *f = &call->frames[call->frames_len - 1];
    bvi_value *v = call->sp - 1;
    bool yes;

    if (v->type != BVI_T_STRING)
        return bvi_vm_not_found(call, "is_def_var", v, 1);
    yes = is_visible(f, scope, bvi_str(v));
    for (; !yes && f->is_eval && f > call->frames; f--)
        yes = is_visible(f - 1, f->eval_scope, bvi_str(v));
    if (!yes)
        yes = bvi_vm_find_dynamic(call, f, bvi_str(v), INT64_MIN, NULL) != NULL;
    bvi_replace(v, bvi_value_bool(yes));
    return 0;
}

/* ---- f!(...) ---- */

static int lend(bvi_script_call *call, bvi_frame *to, bvi_string *name, bvi_value *from,
                bool is_const)
{
    bvi_value shared = BVI_VALUE_UNIT;
    int r = share(call, from, &shared);

    if (r < 0)
        return bvi_script_throw_code(call, r);
    return add_dynamic(call, to, name, shared, NUMBER_LENT, is_const);
}

/* Later ones hide earlier ones of the same name. */
int bvi_vm_lend_scope(bvi_script_call *call, uint32_t scope)
{
    bvi_frame *to = &call->frames[call->frames_len - 1];
    bvi_frame *from = to - 1;
    const bvi_proto *p = from->proto;
    const bvi_script *unit = p->unit;
    const bvi_scope *seen = &unit->scopes[scope];
    bvi_frame *real = real_frame(call, from);
    uint32_t made = real->dynamic.type == BVI_T_ARRAY ? bvi_arr(&real->dynamic)->len : 0;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < p->captures_len; i++)
        r = lend(call, to, bvi_unit_str(unit, p->captures[i].name), &bvi_fnp(&from->fn)->values[i],
                 false);
    for (uint32_t i = 0; r == 0 && i < seen->count; i++) {
        const bvi_visible *v = &unit->visible[seen->first + i];

        r = lend(call, to, bvi_unit_str(unit, v->name), &call->stack[from->base + v->slot],
                 v->is_const);
    }
    for (uint32_t i = 0; r == 0 && i < made; i += DYN_WORDS) {
        bvi_value *item = &bvi_arr(&real->dynamic)->items[i];

        r = lend(call, to, bvi_str(&item[DYN_NAME]), &item[DYN_VALUE], is_const_item(item));
    }
    return r;
}
