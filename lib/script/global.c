/*
 * global.c - instructions of the global level: constants, exports and imports.
 */
#include "script/vm.h"

static int nomem(bvi_script_call *call, int r)
{
    return r < 0 ? bvi_script_throw_code(call, r) : 0;
}

int bvi_vm_define_const(bvi_script_call *call, bvi_frame *f, uint32_t name)
{
    bvi_module *home = bvi_home(f->home);

    return nomem(call, bvi_map_set(&home->consts, bvi_unit_str(f->proto->unit, name),
                                   bvi_dup(call->sp - 1)));
}

int bvi_vm_define_import(bvi_script_call *call, bvi_frame *f, uint32_t alias)
{
    bvi_module *home = bvi_home(f->home);

    return nomem(call, bvi_map_set(&home->imports, bvi_unit_str(f->proto->unit, alias),
                                   bvi_dup(call->sp - 1)));
}

/* An exported variable is shared, so that what the module's top level does to it later is seen. */
int bvi_vm_export(bvi_script_call *call, bvi_frame *f, uint32_t slot, uint32_t name)
{
    bvi_value *v = &call->stack[f->base + slot];
    int r = v->type == BVI_T_CELL ? 0 : bvi_cell_new(call->engine, v);

    if (r == 0)
        r = bvi_map_set(&bvi_home(f->home)->exports, bvi_unit_str(f->proto->unit, name),
                        bvi_dup(v));
    return nomem(call, r);
}

int bvi_vm_get_global(bvi_script_call *call, bvi_frame *f, uint32_t name)
{
    const bvi_string *text = bvi_unit_str(f->proto->unit, name);
    const bvi_value *v = bvi_map_find(&bvi_home(f->home)->consts, text);
    int r;

    if (v) {
        *call->sp++ = bvi_dup(v);
        return 0;
    }
    r = bvi_vm_fail_at(call, bvi_proto_pos(f->proto, f->pc), BVI_FAILURE_VARIABLE_NOT_FOUND,
                       "Variable not found: global::%s", text->data);
    bvi_vm_field_text(call, "variable", text->data);
    return r;
}

int bvi_vm_get_member(bvi_script_call *call, bvi_frame *f, uint32_t member)
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
