/*
 * callback.c - functions that built-ins call for their items: how many arguments they get, and what
 * their this is.
 */
#include "script/call.h"

/* How many arguments fn wants beyond curried ones; -1: unknown, any number. */
static int wanted_args(bvi_script_call *call, const bvi_value *fn_value, uint32_t count)
{
    bvi_module *home;
    const bvi_string *name;
    uint32_t curried = 0;

    if (fn_value->type == BVI_T_FN) {
        const bvi_fn *fn = bvi_fnp(fn_value);

        curried = fn->count - fn->captured;
        if (fn->proto)
            return (int)fn->proto->arity - (int)curried;
        name = fn->name;
        home = fn->home;
    } else {
        bvi_frame *frame = bvi_vm_script_frame(call);

        name = bvi_str(fn_value);
        home = frame ? frame->home : call->home;
    }
    for (uint32_t n = 1; n <= count + 1; n++) { /* 1, 2, ..., count, 0 */
        uint32_t args = n <= count ? n : 0;
        bvi_script_target target;

        if (bvi_call_find_script(call, home, name, args + curried, &target))
            return (int)args;
    }
    return -1;
}

/* A built-in given by name takes as few of the arguments as it can. */
static uint32_t native_args(bvi_script_call *call, const bvi_value *fn, const bvi_value *args,
                            uint32_t count)
{
    const bvi_string *name = fn->type == BVI_T_FN ? bvi_fnp(fn)->name : bvi_str(fn);
    const bvi_native *first = bvi_native_find(call->engine, name->data, name->len);

    if (fn->type == BVI_T_FN && bvi_fnp(fn)->count > 0)
        return 1;
    for (uint32_t n = 1; n < count; n++) {
        if (bvi_native_match(first, args, n))
            return n;
    }
    return count;
}

static int call_generally(bvi_script_call *call, bvi_frame *frame, const bvi_value *fn,
                          const bvi_value *args, uint32_t count, const bvi_value *self,
                          bool with_this)
{
    int wanted = wanted_args(call, fn, count);
    uint32_t argc = wanted < 0 ? native_args(call, fn, args, count) : (uint32_t)wanted;
    uint32_t ret = (uint32_t)(call->sp - call->stack);
    uint32_t frames_before = call->frames_len;
    bvi_value held = bvi_dup(fn);
    int r;

    if (argc > count)
        argc = count;
    r = bvi_vm_reserve(call, argc + 1);
    for (uint32_t i = 0; r == 0 && i < argc; i++)
        bvi_vm_push(call, bvi_dup(&args[i]));
    if (r == 0) {
        frame->waiting = true;
        r = bvi_vm_call_value(call, &held, argc, ret, (bvi_pos){ 0, 0 });
    }
    if (r == 0 && self && (argc == 0 || with_this))
        bvi_call_bind_this(call, frames_before, self, false, (bvi_origin){ BVI_NO_PATH, 0 });
    bvi_drop(&held);
    return r < 0 ? r : BVI_SCRIPT_INVOKE;
}

/* A closure that takes as many arguments as it gets, or fewer, and nothing else. */
static bool takes_plainly(const bvi_value *fn, uint32_t count)
{
    const bvi_fn *f = bvi_fnp(fn);

    return fn->type == BVI_T_FN && f->proto && f->captured == f->count && f->proto->arity > 0 &&
           f->proto->arity <= count;
}

static int call_plainly(bvi_script_call *call, bvi_frame *frame, const bvi_value *fn,
                        const bvi_value *args)
{
    const bvi_proto *proto = bvi_fnp(fn)->proto;
    uint32_t base = (uint32_t)(call->sp - call->stack);
    bvi_value held = bvi_dup(fn);
    int r = bvi_vm_reserve(call, proto->arity);

    for (uint32_t i = 0; r == 0 && i < proto->arity; i++)
        bvi_vm_push(call, bvi_dup(&args[i]));
    if (r == 0) {
        frame->waiting = true;
        r = bvi_vm_push_script(call, proto, bvi_fnp(&held)->home, base, base, (bvi_pos){ 0, 0 });
    }
    if (r < 0) {
        bvi_drop(&held);
        return r;
    }
    call->frames[call->frames_len - 1].fn = held;
    return BVI_SCRIPT_INVOKE;
}

int bvi_vm_callback(bvi_script_call *call, bvi_frame *frame, const bvi_value *fn,
                    const bvi_value *args, uint32_t count, const bvi_value *self, bool with_this)
{
    if (!with_this && takes_plainly(fn, count))
        return call_plainly(call, frame, fn, args);
    return call_generally(call, frame, fn, args, count, self, with_this);
}
