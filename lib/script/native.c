/*
 * native.c - running built-ins and host functions: at once, with their receiver in place, or over
 * several steps when they wait for the host or call back into the script.
 */
#include <string.h>

#include "script/call.h"

/* ---- built-ins ---- */

int bvi_vm_begin(bvi_script_call *call, bvi_step_fn step)
{
    call->asked_step = step;
    return BVI_VM_STEPS;
}

bvi_value *bvi_vm_arg(bvi_script_call *call, const bvi_frame *frame, uint32_t i)
{
    return &call->stack[frame->base + i];
}

int bvi_vm_step_pending(bvi_script_call *call, bvi_frame *frame, bvi_value *ret)
{
    if (!call->answered) {
        call->state = BVI_CALL_WAITING;
        return BVI_SCRIPT_PENDING;
    }
    call->answered = false;
    *ret = bvi_move(&frame->result);
    return 0;
}

/* First runs the function the host asked for, then the host's own second half, as often as it
 * wants. */
static int step_then(bvi_script_call *call, bvi_frame *frame, bvi_value *ret)
{
    uint32_t argc;
    uint32_t ret_at;
    bvi_value fn;
    int r;

    if (call->asked_fn.type == BVI_T_UNIT) {
        r = frame->then(call, bvi_vm_arg(call, frame, 0), frame->argc, &frame->result, ret,
                        frame->data);
        if (r == BVI_SCRIPT_PENDING)
            frame->step = bvi_vm_step_pending;
        if (r != BVI_SCRIPT_INVOKE)
            return r;
        frame->then = call->asked_then;
    }
    argc = bvi_arr(&call->asked_args)->len;
    r = bvi_vm_reserve(call, argc + 1);
    if (r < 0)
        return r;
    ret_at = (uint32_t)(call->sp - call->stack);
    for (uint32_t i = 0; i < argc; i++)
        bvi_vm_push(call, bvi_dup(&bvi_arr(&call->asked_args)->items[i]));
    bvi_drop(&call->asked_args);
    fn = bvi_move(&call->asked_fn);
    frame->waiting = true;
    r = bvi_vm_call_value(call, &fn, argc, ret_at, frame->pos);
    bvi_drop(&fn);
    return r < 0 ? r : BVI_SCRIPT_INVOKE;
}

int bvi_script_invoke(bvi_script_call *call, const bvi_value *fn, const bvi_value *args,
                      size_t argc, bvi_script_then_fn then)
{
    bvi_value list = BVI_VALUE_UNIT;
    int r = bvi_value_array(call->engine, &list);

    for (size_t i = 0; r == 0 && i < argc; i++)
        r = bvi_array_push(&list, bvi_dup(&args[i]));
    if (r < 0) {
        bvi_drop(&list);
        return bvi_script_throw_code(call, r);
    }
    if (fn->type != BVI_T_FN && fn->type != BVI_T_STRING) {
        bvi_drop(&list);
        return bvi_script_throw_type(call, fn, "Fn");
    }
    bvi_replace(&call->asked_fn, bvi_dup(fn));
    bvi_replace(&call->asked_args, list);
    call->asked_then = then;
    return BVI_SCRIPT_INVOKE;
}

/* The built-in is not finished: a frame keeps its arguments until it is. */
static int leave_frame(bvi_script_call *call, const bvi_native_call *n, int answer)
{
    bvi_step_fn step = answer == BVI_VM_STEPS        ? call->asked_step
                       : answer == BVI_SCRIPT_INVOKE ? step_then
                                                     : bvi_vm_step_pending;
    bvi_frame *f;
    int r = bvi_vm_push_native(call, step, n->def->name, n->base, n->argc, n->ret, n->pos);

    if (r < 0)
        return r;
    f = &call->frames[call->frames_len - 1];
    f->then = call->asked_then;
    f->data = n->data;
    f->origin = n->origin;
    memcpy(f->reg, call->asked_reg, sizeof(f->reg));
    memset(call->asked_reg, 0, sizeof(call->asked_reg));
    return 0;
}

int bvi_call_native(bvi_script_call *call, const bvi_native_call *n)
{
    bvi_value ret = BVI_VALUE_UNIT;
    int r;

    call->pos = n->pos;
    call->top_varies |= n->varies;
    r = n->def->fn(call, call->stack + n->base, n->argc, &ret, n->data);
    if (r > 0)
        return leave_frame(call, n, r);
    if (r < 0) {
        bvi_drop(&ret);
        return r;
    }
    bvi_vm_cut(call, n->ret);
    bvi_vm_push(call, ret);
    return 0;
}

/* ---- built-ins that change their receiver ---- */

/* A built-in that changes its receiver: the receiver leaves its place for the time of the call, so
 * that nobody else holds it and it is changed without a copy. */
static int run_in_place(bvi_script_call *call, bvi_frame *frame, const bvi_native_call *n,
                        const bvi_path *path, bvi_value *indices)
{
    bvi_value temp = BVI_VALUE_UNIT;
    bvi_value ret = BVI_VALUE_UNIT;
    bvi_value *place = NULL;
    bvi_value *self = call->stack + n->base;
    int r;

    bvi_drop(self); /* the copy that was made to find the function */
    r = bvi_path_place(call, frame, path, indices, &temp, &place);
    if (r == 0 && !place) /* unreachable: the chain was read to its end a moment ago */
        place = &temp;
    if (r < 0) {
        bvi_drop(&temp);
        return r;
    }
    *self = *place;
    *place = BVI_VALUE_UNIT;
    call->pos = n->pos;
    call->top_varies |= n->varies;
    r = n->def->fn(call, self, n->argc, &ret, n->data);
    *place = *self;
    *self = BVI_VALUE_UNIT;
    bvi_drop(&temp);
    if (r != 0) {
        bvi_drop(&ret);
        return r < 0 ? r
                     : bvi_script_throw(call, "function '%s' cannot suspend here", n->def->name);
    }
    bvi_vm_cut(call, n->ret);
    bvi_vm_push(call, ret);
    return 0;
}

static int refuse_constant(bvi_script_call *call, const char *name)
{
    int r = bvi_vm_fail(call, BVI_FAILURE_NON_PURE,
                        "Non-pure method '%s' cannot be called on constant", name);

    bvi_vm_field_text(call, "function", name);
    return r;
}

/* A built-in whose first argument came from a path. */
int bvi_call_native_on_path(bvi_script_call *call, bvi_frame *frame, bvi_native_call *n,
                            uint32_t path_index, uint32_t indices)
{
    unsigned flags = n->def->flags;
    const bvi_path *path;

    if (path_index == BVI_NO_PATH)
        return bvi_call_native(call, n);
    path = &frame->proto->unit->paths[path_index];
    if (path->root == BVI_ROOT_STACK && path->steps == 0)
        return bvi_call_native(call, n);
    if ((flags & BVI_SCRIPT_MUTATES) && bvi_path_is_const(frame, path))
        return refuse_constant(call, n->def->name);
    if (flags & BVI_SCRIPT_CALLBACK) {
        n->origin = (bvi_origin){ path_index, indices };
        return bvi_call_native(call, n);
    }
    if (flags & (BVI_SCRIPT_MUTATES | BVI_SCRIPT_BY_REF))
        return run_in_place(call, frame, n, path, call->stack + indices);
    return bvi_call_native(call, n);
}
