/*
 * call.c - calling functions: finding what a name means, and getting its arguments into place.
 *
 * A script function's arguments are already on the stack where its first slots will be, so a call
 * copies nothing.
 */
#include <string.h>

#include "script/call.h"

/* ---- looking up ---- */

/* The code's own functions come first, then those of the main script. */
bool bvi_call_find_script(bvi_script_call *call, bvi_module *from, const bvi_string *name,
                          uint32_t argc, bvi_script_target *ret)
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

bool bvi_call_find_at_site(bvi_script_call *call, bvi_frame *frame, bvi_site *site,
                           bvi_script_target *ret)
{
    const bvi_string *name = bvi_unit_str(frame->proto->unit, site->name);
    bvi_module *home = bvi_home(frame->home);

    if (!site->own_known && site->scope == BVI_NO_SCOPE && frame->proto->unit == home->unit) {
        site->own = bvi_unit_find(home->unit, name, (int)site->argc);
        site->own_known = true;
    }
    if (site->own) {
        *ret = (bvi_script_target){ site->own, home };
        return true;
    }
    if (site->own_known && home->unit == call->unit)
        return false;
    return bvi_call_find_script(call, frame->home, name, site->argc, ret);
}

/* The types of a few arguments in one number; 0: too many. */
static uint32_t types_of(const bvi_value *args, uint32_t argc)
{
    uint32_t types = 1;

    if (argc > 6)
        return 0;
    for (uint32_t i = 0; i < argc; i++)
        types = types << 5 | args[i].type;
    return types;
}

const bvi_native *bvi_call_native_at(bvi_script_call *call, const bvi_frame *frame, bvi_site *site,
                                     const bvi_value *args, uint32_t argc)
{
    uint32_t types = types_of(args, argc);

    if (types != 0 && types == site->native_types)
        return site->native;
    if (!site->natives_known) {
        const bvi_string *name = bvi_unit_str(frame->proto->unit, site->name);

        site->natives = bvi_native_find(call->engine, name->data, name->len);
        site->natives_known = true;
    }
    site->native = bvi_native_match(site->natives, args, argc);
    site->native_types = site->native ? types : 0;
    return site->native;
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

static int call_by_name(bvi_script_call *call, bvi_module *home, const bvi_string *name,
                        uint32_t argc, uint32_t ret, bvi_pos pos)
{
    uint32_t base = (uint32_t)(call->sp - call->stack) - argc;
    const bvi_native *native;
    bvi_script_target target;
    int r;

    if (bvi_call_find_script(call, home, name, argc, &target))
        return bvi_vm_push_script(call, target.proto, target.home, base, ret, pos);
    native = bvi_native_match(bvi_native_find(call->engine, name->data, name->len),
                              call->stack + base, argc);
    if (native) {
        bvi_native_call n = { .def = native->def,
                              .data = native->data,
                              .base = base,
                              .argc = argc,
                              .ret = ret,
                              .pos = pos,
                              .origin = { BVI_NO_PATH, 0 },
                              .varies = native->varies };

        return bvi_call_native(call, &n);
    }
    r = bvi_vm_not_found(call, name->data, call->stack + base, argc);
    return r;
}

int bvi_vm_call_value(bvi_script_call *call, const bvi_value *fn_value, uint32_t argc, uint32_t ret,
                      bvi_pos pos)
{
    const bvi_fn *fn;
    uint32_t base;
    int r;

    if (fn_value->type == BVI_T_STRING) {
        bvi_frame *frame = bvi_vm_script_frame(call);

        return call_by_name(call, frame ? frame->home : call->home, bvi_str(fn_value), argc, ret,
                            pos);
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
void bvi_call_bind_this(bvi_script_call *call, uint32_t frames_before, const bvi_value *self,
                        bool is_const, bvi_origin origin)
{
    bvi_frame *f = &call->frames[call->frames_len - 1];

    if (call->frames_len == frames_before || f->is_native)
        return;
    f->has_this = true;
    f->is_plain = false;
    f->self = bvi_dup(self);
    f->this_const = is_const;
    f->origin = origin;
}

/* ---- f(args) ---- */

static int special_call(bvi_script_call *call, const bvi_site *site, uint32_t base, bvi_pos pos)
{
    bvi_value fn;
    bvi_value made = BVI_VALUE_UNIT;
    int r;

    if (site->argc == 0)
        return bvi_vm_not_found(call, site->special == BVI_SPECIAL_CALL ? "call" : "curry", NULL,
                                0);
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

int bvi_vm_call(bvi_script_call *call, bvi_site *site)
{
    bvi_frame *frame = &call->frames[call->frames_len - 1];
    uint32_t base = (uint32_t)(call->sp - call->stack) - site->argc;
    const bvi_native *native;
    bvi_script_target target;

    if (bvi_call_find_at_site(call, frame, site, &target)) {
        int r = bvi_vm_push_script(call, target.proto, target.home, base, base, site->pos);

        return r == 0 && site->scope != BVI_NO_SCOPE ? bvi_vm_lend_scope(call, site->scope) : r;
    }
    if (site->special != BVI_SPECIAL_NONE) {
        uint32_t frames_before = call->frames_len;
        int r = special_call(call, site, base, site->pos);

        return r == 0 && site->scope != BVI_NO_SCOPE && call->frames_len > frames_before &&
                       !call->frames[frames_before].is_native
                   ? bvi_vm_lend_scope(call, site->scope)
                   : r;
    }
    native = bvi_call_native_at(call, frame, site, call->stack + base, site->argc);
    if (!native)
        return bvi_vm_not_found(call, bvi_unit_str(frame->proto->unit, site->name)->data,
                                call->stack + base, site->argc);
    return bvi_call_native_on_path(call, frame,
                                   &(bvi_native_call){ .def = native->def,
                                                       .data = native->data,
                                                       .base = base,
                                                       .argc = site->argc,
                                                       .ret = base,
                                                       .pos = site->pos,
                                                       .origin = { BVI_NO_PATH, 0 },
                                                       .varies = native->varies },
                                   site->path, base);
}

/* ---- alias::f(args) ---- */

int bvi_vm_member_text(bvi_script_call *call, const bvi_script *unit, const bvi_member *m,
                       const char *name, bvi_buf *out)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < m->count; i++)
        r = bvi_buf_printf(out, "%s%s", i > 0 ? "::" : "",
                           bvi_unit_str(unit, unit->names[m->first + i])->data);
    if (r == 0 && name)
        r = bvi_buf_printf(out, "::%s", name);
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

static int no_module(bvi_script_call *call, const bvi_script *unit, const bvi_member *m)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_SCRIPT_BUF_INIT(call->engine, BVI_MEMBER_TEXT_MAX);
    int r = bvi_vm_member_text(call, unit, m, NULL, &text);

    return r < 0 ? r : bvi_vm_no_module(call, m->pos, bvi_buf_str(&text));
}

int bvi_vm_member(bvi_script_call *call, bvi_frame *frame, const bvi_member *m, bvi_module **ret)
{
    const bvi_script *unit = frame->proto->unit;
    const bvi_value *v;

    if (m->root == BVI_ROOT_LOCAL)
        v = bvi_deref(&call->stack[frame->base + m->slot]);
    else if (m->root == BVI_ROOT_UP)
        v = bvi_deref(&bvi_fnp(&frame->fn)->values[m->slot]);
    else
        v = bvi_map_find(&bvi_home(frame->home)->imports,
                         bvi_unit_str(unit, unit->names[m->first]));
    if (!v || v->type != BVI_T_MODULE)
        return no_module(call, unit, m);
    for (uint32_t i = 1; v && i < m->count; i++)
        v = bvi_map_find(&bvi_mod(v)->imports, bvi_unit_str(unit, unit->names[m->first + i]));
    *ret = v ? bvi_mod(v) : NULL;
    return 0;
}

int bvi_vm_call_member(bvi_script_call *call, const bvi_site *site)
{
    BVI_AUTO(bvi_buf_done) bvi_buf full = BVI_SCRIPT_BUF_INIT(call->engine, BVI_MEMBER_TEXT_MAX);
    bvi_frame *frame = &call->frames[call->frames_len - 1];
    const bvi_script *unit = frame->proto->unit;
    const bvi_member *m = &unit->members[site->member];
    const bvi_string *name = bvi_unit_str(unit, site->name);
    uint32_t base = (uint32_t)(call->sp - call->stack) - site->argc;
    bvi_module *module = NULL;
    const bvi_proto *proto;
    int r = bvi_vm_member(call, frame, m, &module);

    if (r < 0)
        return r;
    proto = module ? bvi_unit_find(module->unit, name, (int)site->argc) : NULL;
    if (proto && !proto->is_private)
        return bvi_vm_push_script(call, proto, module, base, base, site->pos);
    r = bvi_vm_member_text(call, unit, m, name->data, &full);
    return r < 0 ? r : bvi_vm_not_found(call, bvi_buf_str(&full), call->stack + base, site->argc);
}

/* ---- names that are no variables ---- */

int bvi_vm_get_name(bvi_script_call *call, bvi_frame *frame, uint32_t name, bvi_pos pos,
                    bvi_value *ret)
{
    bvi_string *text = bvi_unit_str(frame->proto->unit, name);
    bvi_module *home = bvi_home(frame->home);
    const bvi_value *v = bvi_vm_find_dynamic(call, frame, text, INT64_MIN, NULL);
    int r;

    if (!v && (frame->proto->is_top || frame->proto->is_closure))
        v = bvi_map_find(&home->consts, text); /* given by the host */
    if (!v && call->given.type == BVI_T_MAP)
        v = bvi_map_find(&call->given, text);
    if (v) {
        *ret = bvi_dup(v);
        return 0;
    }
    if (bvi_unit_find(home->unit, text, -1)) {
        r = bvi_fn_new(call->engine, text, NULL, home, 0, 0, ret);
        return r < 0 ? bvi_script_throw_code(call, r) : 0;
    }
    r = bvi_vm_fail_at(call, pos, BVI_FAILURE_VARIABLE_NOT_FOUND, "Variable not found: %s",
                       text->data);
    bvi_vm_field_text(call, "variable", text->data);
    return r;
}
