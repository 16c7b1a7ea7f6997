/*
 * method.c - x.f(args): a function in a map, a script function with x as this, or a built-in of x's
 * type, in that order.
 */
#include <string.h>

#include "script/call.h"

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
    return is_temporary(m) ? (bvi_origin){ BVI_NO_PATH, 0 }
                           : (bvi_origin){ m->site->path, m->indices };
}

/* Nobody can look at a variable while its method runs. So the method of the frame just made gets
 * the value itself, and can change it without a copy; it is put back when the method ends. */
static void hand_over(bvi_script_call *call, const method_call *m)
{
    bvi_frame *f = &call->frames[call->frames_len - 1];
    bvi_value *variable;

    if (m->path->root != BVI_ROOT_LOCAL || m->path->steps > 0 || m->path->since != BVI_NOT_HIDDEN ||
        f->this_const)
        return;
    variable = &call->stack[f[-1].base + m->path->slot];
    if (variable->type == BVI_T_CELL)
        return;
    bvi_drop(variable);
    bvi_drop(&call->stack[m->self]);
}

/* A closure may not have the variable that it gets as this among those it captured: it would see
 * it change under its hands. */
static int check_race(bvi_script_call *call, const method_call *m, const bvi_value *fn_value)
{
    const bvi_value *variable = NULL;
    const bvi_fn *fn = bvi_fnp(fn_value);

    if (m->path->root == BVI_ROOT_LOCAL)
        variable = &call->stack[m->frame->base + m->path->slot];
    else if (m->path->root == BVI_ROOT_UP)
        variable = &bvi_fnp(&m->frame->fn)->values[m->path->slot];
    if (!variable || variable->type != BVI_T_CELL)
        return 0;
    for (uint32_t i = 0; i < fn->captured; i++) {
        if (fn->values[i].as.obj == variable->as.obj)
            return bvi_vm_fail_at(call, m->pos, BVI_FAILURE_DATA_RACE,
                                  "Data race detected on variable '%s'",
                                  bvi_unit_str(m->frame->proto->unit, m->path->name)->data);
    }
    return 0;
}

/* Calls fn with this being the receiver; the first skip arguments are not passed. */
static int call_with_this(bvi_script_call *call, const method_call *m, const bvi_value *fn_value,
                          uint32_t skip)
{
    int r = check_race(call, m, fn_value);
    bvi_value fn, self;
    uint32_t frames_before = call->frames_len;
    bool is_const = bvi_path_is_const(m->frame, m->path);
    bvi_origin origin = origin_of(m);

    if (r < 0)
        return r;
    fn = bvi_dup(fn_value);
    self = bvi_dup(&call->stack[m->self]);
    r = bvi_vm_call_value(call, &fn, m->site->argc - skip, m->ret, m->pos);
    if (r == 0)
        bvi_call_bind_this(call, frames_before, &self, is_const, origin);
    if (r == 0 && call->frames_len > frames_before && !call->frames[call->frames_len - 1].is_native)
        hand_over(call, m);
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

static int script_method(bvi_script_call *call, const method_call *m,
                         const bvi_script_target *target)
{
    bvi_origin origin = origin_of(m);
    bool is_const = bvi_path_is_const(m->frame, m->path);
    int r = bvi_vm_push_script(call, target->proto, target->home, m->self + 1, m->ret, m->pos);

    if (r < 0)
        return r;
    bvi_call_bind_this(call, 0, &call->stack[m->self], is_const, origin);
    hand_over(call, m);
    return 0;
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
    bvi_native_call n = { .base = m->self,
                          .argc = m->site->argc + 1,
                          .ret = m->ret,
                          .pos = m->pos,
                          .origin = { BVI_NO_PATH, 0 } };
    const bvi_native *native;

    if (call->stack[m->self].type == BVI_T_HOST) {
        n.def = host_method(call, m);
        n.data = n.def && n.def->data ? n.def->data : call->engine->method_data;
        n.varies = n.def && !(n.def->flags & BVI_SCRIPT_STABLE);
        if (n.def)
            return bvi_call_native_on_path(call, m->frame, &n, m->site->path, m->indices);
    }
    native = bvi_call_native_at(call, m->frame, m->site, call->stack + m->self, n.argc);
    if (!native)
        return bvi_vm_not_found(call, m->name->data, call->stack + m->self, n.argc);
    n.def = native->def;
    n.data = native->data;
    n.varies = native->varies;
    return bvi_call_native_on_path(call, m->frame, &n, m->site->path, m->indices);
}

/* A method for the receiver's own type, in the code's unit or in the main script. */
static bool find_typed(bvi_script_call *call, const method_call *m, bvi_script_target *ret)
{
    bvi_module *home = bvi_home(m->frame->home);
    const char *type;

    if (!home->unit->has_methods && !call->unit->has_methods)
        return false;
    type = bvi_type_name(&call->stack[m->self]);
    ret->home = home;
    ret->proto = bvi_unit_find_method(home->unit, type, m->name, m->site->argc);
    if (!ret->proto) {
        ret->home = call->home;
        ret->proto = bvi_unit_find_method(call->unit, type, m->name, m->site->argc);
    }
    return ret->proto != NULL;
}

static int dispatch_method(bvi_script_call *call, const method_call *m)
{
    const bvi_value *self = &call->stack[m->self];
    const bvi_value *property = self->type == BVI_T_MAP ? bvi_map_find(self, m->name) : NULL;
    bvi_script_target target;

    if (property && property->type == BVI_T_FN)
        return call_with_this(call, m, property, 0);
    if (find_typed(call, m, &target) || bvi_call_find_at_site(call, m->frame, m->site, &target))
        return script_method(call, m, &target);
    if (m->site->special != BVI_SPECIAL_NONE) {
        m->site->calls_values = m->site->special == BVI_SPECIAL_CALL && m->site->own_known &&
                                bvi_home(m->frame->home)->unit == call->unit;
        return special_method(call, m);
    }
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

int bvi_vm_method(bvi_script_call *call, bvi_site *site)
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
        .pos = site->pos,
    };

    if (!is_temporary(&m)) {
        int r = bvi_path_get(call, frame, path, call->stack + m.indices, &call->stack[self]);

        m.ret -= path->root == BVI_ROOT_STACK;
        if (r < 0)
            return r;
    }
    if (call->stack[self].type == BVI_T_UNIT &&
        (site->safe || has_safe_step(frame->proto->unit, path))) {
        bvi_vm_cut(call, m.ret);
        bvi_vm_push(call, BVI_VALUE_UNIT);
        return 0;
    }
    return dispatch_method(call, &m);
}
