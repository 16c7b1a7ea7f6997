/*
 * call.c - frames and calls: finding what a name means, moving arguments into place, putting back receivers.
 *
 * A script function's arguments are already on the stack where its first slots will be, so a call copies nothing. A
 * method's receiver is copied (cheaply, it is counted) into the frame; when the method has changed it, the new value
 * goes back to where it came from as the frame ends. Built-ins that only change their receiver get it in place.
 */
#include <string.h>

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
    r = bvi_script_grow(call->engine, (void **)(void *)&items, &call->stack_cap, used + slots, sizeof(*items));
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
    bvi_frame *f;
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
    f = &call->frames[call->frames_len];
    *f = (bvi_frame){ .origin = { .path = BVI_NO_PATH } };
    return f;
}

/* Arguments lie from base on. The frame counts only when everything worked. */
int bvi_vm_push_script(bvi_script_call *call, const bvi_proto *proto, bvi_module *home, uint32_t base, uint32_t ret,
                       bvi_pos pos)
{
    bvi_frame *f;
    int r;

    if (!proto->is_top && call->depth >= call->engine->options.limits.call_depth)
        return bvi_vm_fail(call, BVI_FAILURE_STACK_OVERFLOW, "Stack overflow");
    f = new_frame(call);
    if (!f)
        return call->code;
    r = bvi_vm_reserve(call, proto->max_stack + 2);
    if (r < 0)
        return r;
    f->proto = proto;
    f->home = home;
    bvi_obj_ref(home);
    f->base = base;
    f->ret = ret;
    f->pos = pos;
    call->depth += !proto->is_top;
    call->frames_len++;
    return 0;
}

int bvi_vm_push_native(bvi_script_call *call, bvi_step_fn step, const char *name, uint32_t base, uint32_t argc,
                       uint32_t ret, bvi_pos pos)
{
    bvi_frame *f = new_frame(call);

    if (!f)
        return call->code;
    f->is_native = true;
    f->step = step;
    f->name = name;
    f->base = base;
    f->argc = argc;
    f->ret = ret;
    f->pos = pos;
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
        bvi_replace(place, bvi_dup(self));
    bvi_drop(&temp);
    return r;
}

void bvi_vm_pop_frame(bvi_script_call *call)
{
    bvi_frame *f = &call->frames[--call->frames_len];

    if (!f->is_native) /* first: the code may go with its home below */
        call->depth -= !f->proto->is_top;
    bvi_drop(&f->self);
    bvi_drop(&f->dynamic);
    bvi_drop(&f->fn);
    bvi_drop(&f->result);
    bvi_drop(&f->child);
    bvi_drop(&f->acc[0]);
    bvi_drop(&f->acc[1]);
    if (f->home)
        bvi_obj_unref(f->home);
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
    bvi_vm_pop_frame(call);
    bvi_vm_push(call, result); /* there was room for the arguments or the callee */
    return 0;
}

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

/* First runs the function the host asked for, then the host's own second half, as often as it wants. */
static int step_then(bvi_script_call *call, bvi_frame *frame, bvi_value *ret)
{
    uint32_t argc;
    uint32_t ret_at;
    bvi_value fn;
    int r;

    if (call->asked_fn.type == BVI_T_UNIT) {
        r = frame->then(call, bvi_vm_arg(call, frame, 0), frame->argc, &frame->result, ret, frame->data);
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

int bvi_script_invoke(bvi_script_call *call, const bvi_value *fn, const bvi_value *args, size_t argc,
                      bvi_script_then_fn then)
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

typedef struct native_call {
    const bvi_script_function *def;
    void *data;
    uint32_t base; /* of the arguments */
    uint32_t argc;
    uint32_t ret;
    bvi_pos pos;
    bvi_origin origin;
} native_call;

/* The built-in is not finished: a frame keeps its arguments until it is. */
static int leave_frame(bvi_script_call *call, const native_call *n, int answer)
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

static int run_native(bvi_script_call *call, const native_call *n)
{
    bvi_value ret = BVI_VALUE_UNIT;
    int r;

    call->pos = n->pos;
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

/* ---- looking up ---- */

typedef struct script_target {
    const bvi_proto *proto;
    bvi_module *home;
} script_target;

/* The code's own functions come first, then those of the main script. */
static bool find_script(bvi_script_call *call, bvi_module *from, const bvi_string *name, uint32_t argc,
                        script_target *ret)
{
    bvi_module *home = bvi_home(from);

    ret->home = home;
    ret->proto = bvi_unit_find(home->unit, name, (int)argc);
    if (!ret->proto && home->unit != call->unit) {
        ret->home = call->home;
        ret->proto = bvi_unit_find(call->unit, name, (int)argc);
    }
    return ret->proto != NULL;
}

static bool find_at_site(bvi_script_call *call, bvi_frame *frame, bvi_site *site, script_target *ret)
{
    const bvi_string *name = bvi_unit_str(frame->proto->unit, site->name);
    bvi_module *home = bvi_home(frame->home);

    if (!site->own_known && frame->proto->unit == home->unit) {
        site->own = bvi_unit_find(home->unit, name, (int)site->argc);
        site->own_known = true;
    }
    if (site->own) {
        *ret = (script_target){ site->own, home };
        return true;
    }
    if (site->own_known && home->unit == call->unit)
        return false;
    return find_script(call, frame->home, name, site->argc, ret);
}

static const bvi_native *natives_at_site(bvi_script_call *call, const bvi_frame *frame, bvi_site *site)
{
    if (!site->natives_known) {
        const bvi_string *name = bvi_unit_str(frame->proto->unit, site->name);

        site->natives = bvi_native_find(call->engine, name->data, name->len);
        site->natives_known = true;
    }
    return site->natives;
}

/* ---- function values ---- */

/* Curried arguments go before the given ones. */
static int insert_curried(bvi_script_call *call, const bvi_fn *fn, uint32_t argc)
{
    uint32_t count = fn->count - fn->captured;
    bvi_value *first;
    int r = bvi_vm_reserve(call, count + 1);

    if (r < 0 || count == 0)
        return r;
    first = call->sp - argc;
    memmove(first + count, first, argc * sizeof(*first));
    for (uint32_t i = 0; i < count; i++)
        first[i] = bvi_dup(&fn->values[fn->captured + i]);
    call->sp += count;
    return 0;
}

static int call_by_name(bvi_script_call *call, bvi_module *home, const bvi_string *name, uint32_t argc, uint32_t ret,
                        bvi_pos pos)
{
    uint32_t base = (uint32_t)(call->sp - call->stack) - argc;
    const bvi_native *native;
    script_target target;
    int r;

    if (find_script(call, home, name, argc, &target))
        return bvi_vm_push_script(call, target.proto, target.home, base, ret, pos);
    native = bvi_native_match(bvi_native_find(call->engine, name->data, name->len), call->stack + base, argc);
    if (native) {
        native_call n = { native->def, native->data, base, argc, ret, pos, { BVI_NO_PATH, 0 } };

        return run_native(call, &n);
    }
    r = bvi_vm_not_found(call, name->data, call->stack + base, argc);
    return r;
}

int bvi_vm_call_value(bvi_script_call *call, const bvi_value *fn_value, uint32_t argc, uint32_t ret, bvi_pos pos)
{
    const bvi_fn *fn;
    uint32_t base;
    int r;

    if (fn_value->type == BVI_T_STRING) {
        bvi_frame *frame = bvi_vm_script_frame(call);

        return call_by_name(call, frame ? frame->home : call->home, bvi_str(fn_value), argc, ret, pos);
    }
    fn = bvi_fnp(fn_value);
    r = insert_curried(call, fn, argc);
    if (r < 0)
        return r;
    argc += fn->count - fn->captured;
    if (!fn->proto)
        return call_by_name(call, fn->home, fn->name, argc, ret, pos);
    base = (uint32_t)(call->sp - call->stack) - argc;
    if (argc != fn->proto->arity)
        return bvi_vm_not_found(call, fn->name->data, call->stack + base, argc);
    r = bvi_vm_push_script(call, fn->proto, fn->home, base, ret, pos);
    if (r == 0)
        call->frames[call->frames_len - 1].fn = bvi_dup(fn_value);
    return r;
}

/* The receiver of the call just made; only script functions have one. */
static void bind_this(bvi_script_call *call, uint32_t frames_before, const bvi_value *self, bool is_const,
                      bvi_origin origin)
{
    bvi_frame *f = &call->frames[call->frames_len - 1];

    if (call->frames_len == frames_before || f->is_native)
        return;
    f->has_this = true;
    f->self = bvi_dup(self);
    f->this_const = is_const;
    f->origin = origin;
}

/* ---- callbacks of built-ins ---- */

/* How many arguments fn wants beyond curried ones; -1: unknown, any number. */
static int wanted_args(bvi_script_call *call, const bvi_value *fn_value, uint32_t count)
{
    bvi_frame *frame = bvi_vm_script_frame(call);
    bvi_module *home = frame ? frame->home : call->home;
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
        name = bvi_str(fn_value);
    }
    for (uint32_t n = 1; n <= count + 1; n++) { /* 1, 2, ..., count, 0 */
        uint32_t args = n <= count ? n : 0;
        script_target target;

        if (find_script(call, home, name, args + curried, &target))
            return (int)args;
    }
    return -1;
}

/* A built-in given by name takes as few of the arguments as it can. */
static uint32_t native_args(bvi_script_call *call, const bvi_value *fn, const bvi_value *args, uint32_t count)
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

int bvi_vm_callback(bvi_script_call *call, bvi_frame *frame, const bvi_value *fn, const bvi_value *args,
                    uint32_t count, const bvi_value *self, bool with_this)
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
        bind_this(call, frames_before, self, false, (bvi_origin){ BVI_NO_PATH, 0 });
    bvi_drop(&held);
    return r < 0 ? r : BVI_SCRIPT_INVOKE;
}

/* ---- f(args) ---- */

static int special_call(bvi_script_call *call, const bvi_site *site, uint32_t base, bvi_pos pos)
{
    bvi_value fn;
    bvi_value made = BVI_VALUE_UNIT;
    int r;

    if (site->argc == 0)
        return bvi_vm_not_found(call, site->special == BVI_SPECIAL_CALL ? "call" : "curry", NULL, 0);
    if (call->stack[base].type != BVI_T_FN) {
        r = bvi_script_throw_type(call, &call->stack[base], "Fn");
        if (call->failure)
            call->failure->pos = site->first_arg;
        return r;
    }
    if (site->special == BVI_SPECIAL_CURRY) {
        r = bvi_fn_curry(&call->stack[base], call->stack + base + 1, site->argc - 1, &made);
        if (r < 0)
            return bvi_script_throw_code(call, r);
        bvi_vm_cut(call, base);
        bvi_vm_push(call, made);
        return 0;
    }
    fn = bvi_move(&call->stack[base]);
    r = bvi_vm_call_value(call, &fn, site->argc - 1, base, pos);
    bvi_drop(&fn);
    return r;
}

/* A built-in that changes its receiver: the receiver leaves its place for the time of the call, so that nobody else
 * holds it and it is changed without a copy. */
static int run_in_place(bvi_script_call *call, bvi_frame *frame, const native_call *n, const bvi_path *path,
                        bvi_value *indices)
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
    r = n->def->fn(call, self, n->argc, &ret, n->data);
    *place = *self;
    *self = BVI_VALUE_UNIT;
    bvi_drop(&temp);
    if (r != 0) {
        bvi_drop(&ret);
        return r < 0 ? r : bvi_script_throw(call, "function '%s' cannot suspend here", n->def->name);
    }
    bvi_vm_cut(call, n->ret);
    bvi_vm_push(call, ret);
    return 0;
}

static int refuse_constant(bvi_script_call *call, const char *name)
{
    int r = bvi_vm_fail(call, BVI_FAILURE_NON_PURE, "Non-pure method '%s' cannot be called on constant", name);

    bvi_vm_field_text(call, "function", name);
    return r;
}

/* A built-in whose first argument came from a path. */
static int run_with_path(bvi_script_call *call, bvi_frame *frame, native_call *n, uint32_t path_index,
                         uint32_t indices)
{
    unsigned flags = n->def->flags;
    const bvi_path *path;

    if (path_index == BVI_NO_PATH)
        return run_native(call, n);
    path = &frame->proto->unit->paths[path_index];
    if (path->root == BVI_ROOT_STACK && path->steps == 0)
        return run_native(call, n);
    if ((flags & BVI_SCRIPT_MUTATES) && bvi_path_is_const(frame, path))
        return refuse_constant(call, n->def->name);
    if (flags & BVI_SCRIPT_CALLBACK) {
        n->origin = (bvi_origin){ path_index, indices };
        return run_native(call, n);
    }
    if (flags & (BVI_SCRIPT_MUTATES | BVI_SCRIPT_BY_REF))
        return run_in_place(call, frame, n, path, call->stack + indices);
    return run_native(call, n);
}

int bvi_vm_call(bvi_script_call *call, bvi_site *site, bvi_pos pos)
{
    bvi_frame *frame = &call->frames[call->frames_len - 1];
    uint32_t base = (uint32_t)(call->sp - call->stack) - site->argc;
    const bvi_native *native;
    script_target target;

    if (find_at_site(call, frame, site, &target))
        return bvi_vm_push_script(call, target.proto, target.home, base, base, pos);
    if (site->special != BVI_SPECIAL_NONE)
        return special_call(call, site, base, pos);
    native = bvi_native_match(natives_at_site(call, frame, site), call->stack + base, site->argc);
    if (!native)
        return bvi_vm_not_found(call, bvi_unit_str(frame->proto->unit, site->name)->data, call->stack + base,
                                site->argc);
    return run_with_path(call, frame,
                         &(native_call){ native->def, native->data, base, site->argc, base, pos, { BVI_NO_PATH, 0 } },
                         site->path, base);
}

/* ---- x.f(args) ---- */

typedef struct method_call {
    bvi_frame *frame;
    bvi_site *site;
    const bvi_path *path;
    const bvi_string *name;
    uint32_t self;    /* stack index; the arguments follow */
    uint32_t indices; /* stack index of the path's first index */
    uint32_t ret;
    bvi_pos pos;
} method_call;

static bool is_temporary(const method_call *m)
{
    return m->path->root == BVI_ROOT_STACK && m->path->steps == 0;
}

static bvi_origin origin_of(const method_call *m)
{
    return is_temporary(m) ? (bvi_origin){ BVI_NO_PATH, 0 } : (bvi_origin){ m->site->path, m->indices };
}

/* Calls fn with this being the receiver; the first skip arguments are not passed. */
static int call_with_this(bvi_script_call *call, const method_call *m, const bvi_value *fn_value, uint32_t skip)
{
    bvi_value fn = bvi_dup(fn_value);
    bvi_value self = bvi_dup(&call->stack[m->self]);
    uint32_t frames_before = call->frames_len;
    bool is_const = bvi_path_is_const(m->frame, m->path);
    bvi_origin origin = origin_of(m);
    int r = bvi_vm_call_value(call, &fn, m->site->argc - skip, m->ret, m->pos);

    if (r == 0)
        bind_this(call, frames_before, &self, is_const, origin);
    bvi_drop(&self);
    bvi_drop(&fn);
    return r;
}

/* p.call(args), o.call(p, args) with o as this, p.curry(args) */
static int special_method(bvi_script_call *call, const method_call *m)
{
    bvi_value *self = &call->stack[m->self];
    bvi_value made = BVI_VALUE_UNIT;
    bvi_value fn;
    int r;

    if (self->type != BVI_T_FN) {
        if (m->site->special == BVI_SPECIAL_CURRY || m->site->argc == 0 || self[1].type != BVI_T_FN)
            return bvi_script_throw_type(call, self, "Fn");
        return call_with_this(call, m, &self[1], 1);
    }
    if (m->site->special == BVI_SPECIAL_CALL) {
        fn = bvi_dup(self);
        r = bvi_vm_call_value(call, &fn, m->site->argc, m->ret, m->pos);
        bvi_drop(&fn);
        return r;
    }
    r = bvi_fn_curry(self, self + 1, m->site->argc, &made);
    if (r < 0)
        return bvi_script_throw_code(call, r);
    bvi_vm_cut(call, m->ret);
    bvi_vm_push(call, made);
    return 0;
}

static int script_method(bvi_script_call *call, const method_call *m, const script_target *target)
{
    bvi_origin origin = origin_of(m);
    bool is_const = bvi_path_is_const(m->frame, m->path);
    int r = bvi_vm_push_script(call, target->proto, target->home, m->self + 1, m->ret, m->pos);

    if (r == 0)
        bind_this(call, 0, &call->stack[m->self], is_const, origin);
    return r;
}

static const bvi_script_function *host_method(bvi_script_call *call, const method_call *m)
{
    const bvi_value *self = &call->stack[m->self];
    const bvi_script_function *f = ((const bvi_hostobj *)self->as.obj)->type->methods;

    for (; f && f->name; f++) {
        if (!(f->flags & BVI_SCRIPT_PROPERTY_ONLY) && strcmp(f->name, m->name->data) == 0 &&
            bvi_params_match(f->params, self + 1, m->site->argc))
            return f;
    }
    return NULL;
}

static int native_method(bvi_script_call *call, const method_call *m)
{
    native_call n = { .base = m->self, .argc = m->site->argc + 1, .ret = m->ret, .pos = m->pos,
                      .origin = { BVI_NO_PATH, 0 } };
    const bvi_native *native;

    if (call->stack[m->self].type == BVI_T_HOST) {
        n.def = host_method(call, m);
        n.data = call->engine->method_data;
        if (n.def)
            return run_with_path(call, m->frame, &n, m->site->path, m->indices);
    }
    native = bvi_native_match(natives_at_site(call, m->frame, m->site), call->stack + m->self, n.argc);
    if (!native)
        return bvi_vm_not_found(call, m->name->data, call->stack + m->self, n.argc);
    n.def = native->def;
    n.data = native->data;
    return run_with_path(call, m->frame, &n, m->site->path, m->indices);
}

static int dispatch_method(bvi_script_call *call, const method_call *m)
{
    const bvi_value *self = &call->stack[m->self];
    const bvi_value *property = self->type == BVI_T_MAP ? bvi_map_find(self, m->name) : NULL;
    script_target target;

    if (property && property->type == BVI_T_FN)
        return call_with_this(call, m, property, 0);
    if (find_at_site(call, m->frame, m->site, &target))
        return script_method(call, m, &target);
    if (m->site->special != BVI_SPECIAL_NONE)
        return special_method(call, m);
    return native_method(call, m);
}

/* A chain that may have ended at ?. before its end; the rest, the call too, is then skipped. */
static bool has_safe_step(const bvi_script *unit, const bvi_path *path)
{
    for (uint32_t i = 0; i < path->steps; i++) {
        if (unit->steps[path->first + i].safe)
            return true;
    }
    return false;
}

int bvi_vm_method(bvi_script_call *call, bvi_site *site, bvi_pos pos)
{
    bvi_frame *frame = &call->frames[call->frames_len - 1];
    const bvi_path *path = &frame->proto->unit->paths[site->path];
    uint32_t self = (uint32_t)(call->sp - call->stack) - site->argc - 1;
    method_call m = {
        .frame = frame,
        .site = site,
        .path = path,
        .name = bvi_unit_str(frame->proto->unit, site->name),
        .self = self,
        .indices = self - path->indices,
        .ret = self - path->indices,
        .pos = pos,
    };

    if (!is_temporary(&m)) {
        int r = bvi_path_get(call, frame, path, call->stack + m.indices, &call->stack[self]);

        m.ret -= path->root == BVI_ROOT_STACK;
        if (r < 0)
            return r;
    }
    if (call->stack[self].type == BVI_T_UNIT && (site->safe || has_safe_step(frame->proto->unit, path))) {
        bvi_vm_cut(call, m.ret);
        bvi_vm_push(call, BVI_VALUE_UNIT);
        return 0;
    }
    return dispatch_method(call, &m);
}

/* ---- alias::f(args) ---- */

static int module_error(bvi_script_call *call, bvi_pos pos, const char *name)
{
    int r = bvi_vm_fail_at(call, pos, BVI_FAILURE_MODULE_NOT_FOUND, "Module not found: %s", name);

    bvi_vm_field_text(call, "module", name);
    return r;
}

int bvi_vm_member(bvi_script_call *call, bvi_frame *frame, const bvi_member *m, bvi_module **ret)
{
    const bvi_script *unit = frame->proto->unit;
    const bvi_string *alias = bvi_unit_str(unit, unit->names[m->first]);
    const bvi_value *v;

    if (m->root == BVI_ROOT_LOCAL)
        v = bvi_deref(&call->stack[frame->base + m->slot]);
    else if (m->root == BVI_ROOT_UP)
        v = bvi_deref(&bvi_fnp(&frame->fn)->values[m->slot]);
    else
        v = bvi_map_find(&bvi_home(frame->home)->imports, alias);
    for (uint32_t i = 1; v && v->type == BVI_T_MODULE && i < m->count; i++) {
        alias = bvi_unit_str(unit, unit->names[m->first + i]);
        v = bvi_map_find(&bvi_mod(v)->imports, alias);
    }
    if (!v || v->type != BVI_T_MODULE)
        return module_error(call, m->pos, alias->data);
    *ret = bvi_mod(v);
    return 0;
}

int bvi_vm_call_member(bvi_script_call *call, const bvi_site *site, bvi_pos pos)
{
    bvi_frame *frame = &call->frames[call->frames_len - 1];
    const bvi_script *unit = frame->proto->unit;
    const bvi_member *m = &unit->members[site->member];
    const bvi_string *name = bvi_unit_str(unit, site->name);
    uint32_t base = (uint32_t)(call->sp - call->stack) - site->argc;
    bvi_module *module = NULL;
    const bvi_proto *proto;
    bvi_auto_free char *full = NULL;
    int r = bvi_vm_member(call, frame, m, &module);

    if (r < 0)
        return r;
    proto = bvi_unit_find(module->unit, name, (int)site->argc);
    if (proto && !proto->is_private)
        return bvi_vm_push_script(call, proto, module, base, base, pos);
    full = bvi_asprintf("%s::%s", bvi_unit_str(unit, unit->names[m->first + m->count - 1])->data, name->data);
    if (!full)
        return bvi_script_throw_nomem(call);
    return bvi_vm_not_found(call, full, call->stack + base, site->argc);
}

/* ---- names that are no variables ---- */

bvi_value *bvi_vm_find_dynamic(bvi_script_call *call, bvi_frame *frame, const bvi_string *name)
{
    while (frame->is_eval && frame > call->frames)
        frame--;
    if (frame->dynamic.type != BVI_T_MAP)
        return NULL;
    return bvi_map_find(&frame->dynamic, name);
}

int bvi_vm_get_name(bvi_script_call *call, bvi_frame *frame, uint32_t name, bvi_pos pos, bvi_value *ret)
{
    bvi_string *text = bvi_unit_str(frame->proto->unit, name);
    bvi_module *home = bvi_home(frame->home);
    const bvi_value *v = bvi_vm_find_dynamic(call, frame, text);
    int r;

    if (!v && frame->proto->is_top)
        v = bvi_map_find(&home->consts, text); /* given by the host */
    if (v) {
        *ret = bvi_dup(v);
        return 0;
    }
    if (bvi_unit_find(home->unit, text, -1)) {
        r = bvi_fn_new(call->engine, text, NULL, home, 0, 0, ret);
        return r < 0 ? bvi_script_throw_code(call, r) : 0;
    }
    r = bvi_vm_fail_at(call, pos, BVI_FAILURE_VARIABLE_NOT_FOUND, "Variable not found: %s", text->data);
    bvi_vm_field_text(call, "variable", text->data);
    return r;
}
