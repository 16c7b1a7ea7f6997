/*
 * frame.c - the value stack and the frame stack: pushing, leaving, and putting a method's receiver
 * back.
 */
#include "script/vm.h"

/* ---- the stack ---- */

int bvi_vm_reserve(bvi_script_call *call, size_t slots)
{
    size_t used = (size_t)(call->sp - call->stack);
    bvi_value *items = call->stack;
    int r;

    if (used + slots <= call->stack_cap)
        return 0;
    if (used + slots > BVI_STACK_MAX)
        return bvi_vm_fail(call, BVI_FAILURE_STACK_OVERFLOW, "Stack overflow");
    r = bvi_script_grow(call->engine, (void **)(void *)&items, &call->stack_cap, used + slots,
                        sizeof(*items));
    if (r < 0)
        return bvi_script_throw_code(call, r);
    call->stack = items;
    call->sp = items + used;
    return 0;
}

void bvi_vm_push(bvi_script_call *call, bvi_value v)
{
    *call->sp++ = v;
}

void bvi_vm_cut(bvi_script_call *call, uint32_t to)
{
    while (call->sp > call->stack + to)
        bvi_drop(--call->sp);
}

bvi_frame *bvi_vm_script_frame(bvi_script_call *call)
{
    for (uint32_t i = call->frames_len; i > 0; i--) {
        if (!call->frames[i - 1].is_native)
            return &call->frames[i - 1];
    }
    return NULL;
}

/* ---- frames ---- */

static bvi_frame *new_frame(bvi_script_call *call)
{
    int r;

    if (call->frames_len >= BVI_FRAMES_MAX) {
        bvi_vm_fail(call, BVI_FAILURE_STACK_OVERFLOW, "Stack overflow");
        return NULL;
    }
    r = bvi_script_grow(call->engine, (void **)(void *)&call->frames, &call->frames_cap,
                        (size_t)call->frames_len + 1, sizeof(*call->frames));
    if (r < 0) {
        bvi_script_throw_code(call, r);
        return NULL;
    }
    return &call->frames[call->frames_len];
}

/* Arguments lie from base on. The frame counts only when everything worked. */
int bvi_vm_push_script(bvi_script_call *call, const bvi_proto *proto, bvi_module *home,
                       uint32_t base, uint32_t ret, bvi_pos pos)
{
    bvi_frame *f;
    int r;

    if (!proto->is_top && call->depth >= call->engine->options.limits.call_depth)
        return bvi_vm_fail(call, BVI_FAILURE_STACK_OVERFLOW, "Stack overflow");
    f = new_frame(call);
    if (!f)
        return call->code;
    r = bvi_vm_reserve(call, (size_t)proto->max_stack + BVI_STACK_SPARE);
    if (r < 0)
        return r;
    bvi_frame_begin(f, proto, home, base, ret, pos);
    f->is_plain = !proto->is_top;
    f->holds_home = true;
    bvi_obj_ref(home);
    call->depth += !proto->is_top;
    call->frames_len++;
    return 0;
}

int bvi_vm_push_native(bvi_script_call *call, bvi_step_fn step, const char *name, uint32_t base,
                       uint32_t argc, uint32_t ret, bvi_pos pos)
{
    bvi_frame *f = new_frame(call);

    if (!f)
        return call->code;
    *f = (bvi_frame){
        .is_native = true,
        .base = base,
        .ret = ret,
        .pos = pos,
        .origin = { .path = BVI_NO_PATH },
        .step = step,
        .name = name,
        .argc = argc,
    };
    call->frames_len++;
    return 0;
}

static bool same_value(const bvi_value *a, const bvi_value *b)
{
    return a->type == b->type && a->as.i == b->as.i;
}

/* What a method made of its receiver goes back to where that came from. */
int bvi_vm_put_back(bvi_script_call *call)
{
    bvi_frame *f = &call->frames[call->frames_len - 1];
    bvi_value *self = f->is_native ? bvi_vm_arg(call, f, 0) : &f->self;
    bvi_frame *caller = f - 1;
    const bvi_path *path;
    bvi_value temp = BVI_VALUE_UNIT;
    bvi_value *place = NULL;
    int r;

    if (f->origin.path == BVI_NO_PATH)
        return 0;
    path = &caller->proto->unit->paths[f->origin.path];
    if (bvi_path_is_const(caller, path))
        return 0;
    r = bvi_path_place(call, caller, path, call->stack + f->origin.indices, &temp, &place);
    if (r == 0 && place && !same_value(place, self))
        bvi_replace(place, bvi_move(self));
    bvi_drop(&temp);
    return r;
}

static void end_script(bvi_script_call *call, bvi_frame *f)
{
    call->depth -= !f->proto->is_top; /* first: the code may go with its home below */
    bvi_drop(&f->self);
    bvi_drop(&f->dynamic);
    bvi_drop(&f->fn);
    if (f->holds_home)
        bvi_obj_unref(f->home);
}

static void end_native(bvi_frame *f)
{
    bvi_drop(&f->result);
    bvi_drop(&f->child);
    bvi_drop(&f->acc[0]);
    bvi_drop(&f->acc[1]);
}

void bvi_vm_pop_frame(bvi_script_call *call)
{
    bvi_frame *f = &call->frames[--call->frames_len];

    if (f->is_native)
        end_native(f);
    else
        end_script(call, f);
    bvi_vm_cut(call, f->ret);
}

/* A built-in that waits for a callback also gets what became of the callback's this. */
static void hand_this_to_caller(bvi_script_call *call, bvi_frame *f)
{
    bvi_frame *caller = f - 1;

    if (call->frames_len < 2 || !caller->is_native || !f->has_this || f->is_native)
        return;
    bvi_replace(&caller->child, bvi_move(&f->self));
}

int bvi_vm_return(bvi_script_call *call, bvi_value result)
{
    bvi_frame *f = &call->frames[call->frames_len - 1];
    int r = bvi_vm_put_back(call);

    if (r < 0) {
        bvi_drop(&result);
        return r;
    }
    hand_this_to_caller(call, f);
    if (f->is_eval)
        bvi_vm_end_eval(call);
    bvi_vm_pop_frame(call);
    bvi_vm_push(call, result); /* there was room for the arguments or the callee */
    return 0;
}
