/*
 * module.c - import: code of another source that enters a running call.
 *
 * A module's top level runs once per engine; the finished module is kept by the name it was asked
 * for, without the extension. While it runs it is known to the importing call only, so that two
 * calls do not wait for each other.
 */
#include <string.h>

#include "script/vm.h"

#define EXTENSION ".rhai"

static size_t key_length(const bvi_string *name)
{
    size_t ext = strlen(EXTENSION);

    if (name->len > ext && memcmp(name->data + name->len - ext, EXTENSION, ext) == 0)
        return name->len - ext;
    return name->len;
}

int bvi_vm_no_module(bvi_script_call *call, bvi_pos pos, const char *name)
{
    int r = bvi_vm_fail_at(call, pos, BVI_FAILURE_MODULE_NOT_FOUND, "Module not found: %s", name);

    bvi_vm_field_text(call, "module", name);
    return r;
}

/* Whether this call is running that module's top level already. */
static bool is_loading(const bvi_script_call *call, const bvi_string *key)
{
    for (uint32_t i = 0; i < call->frames_len; i++) {
        const bvi_frame *f = &call->frames[i];

        if (f->is_native && f->step == bvi_vm_step_import &&
            bvi_string_compare(bvi_str(&f->acc[1]), key) == 0)
            return true;
    }
    return false;
}

static int compile_module(bvi_script_call *call, bvi_pos pos, const bvi_string *name,
                          const bvi_string *key, bvi_script **ret)
{
    bvi_script_engine *engine = call->engine;
    bvi_auto_error bv_error *error = NULL;
    bvi_auto_free char *source = NULL;
    bvi_compile_error where;
    size_t len = 0;
    int r;

    if (!engine->options.resolve)
        return bvi_vm_no_module(call, pos, name->data);
    call->top_varies = true; /* the next time it is there already */
    r = engine->options.resolve(name->data, &source, &len, &error, engine->options.data);
    if (r == BV_E_NOT_FOUND)
        return bvi_vm_no_module(call, pos, name->data);
    if (r == BV_E_NOMEM)
        return bvi_script_throw_nomem(call);
    if (r < 0)
        return bvi_script_throw_error(call, error);
    r = bvi_compile(engine, source, len, key->data, ret, &where);
    if (r == BV_E_NOMEM)
        return bvi_script_throw_nomem(call);
    if (r < 0) {
        r = bvi_vm_fail_at(call, where.pos, BVI_FAILURE_IN_MODULE, "Syntax error: %s", where.text);
        if (call->failure)
            bvi_failure_leave(call->failure, BVI_LEAVING_MODULE, key->data, NULL, pos);
    }
    return r;
}

int bvi_vm_step_import(bvi_script_call *call, bvi_frame *frame, bvi_value *ret)
{
    bvi_module *module = bvi_mod(&frame->acc[0]);
    bvi_script_engine *engine = call->engine;
    uint32_t at = (uint32_t)(call->sp - call->stack);
    int r;

    if (frame->reg[0]++ == 0) {
        frame->waiting = true;
        r = bvi_vm_push_script(call, module->unit->protos[0], module, at, at, frame->pos);
        return r < 0 ? r : BVI_SCRIPT_INVOKE;
    }
    r = bvi_map_set(&engine->modules, bvi_str(&frame->acc[1]), bvi_dup(&frame->acc[0]));
    if (r < 0)
        return bvi_script_throw_code(call, r);
    *ret = bvi_dup(&frame->acc[0]);
    return 0;
}

static int begin_import(bvi_script_call *call, bvi_script *unit, bvi_value *key, bvi_pos pos)
{
    uint32_t base = (uint32_t)(call->sp - call->stack) - 1;
    bvi_module *module;
    bvi_frame *f;
    int r = bvi_module_new(unit, NULL, &module);

    if (r < 0)
        return bvi_script_throw_code(call, r);
    r = bvi_vm_push_native(call, bvi_vm_step_import, NULL, base, 1, base, pos);
    if (r < 0) {
        bvi_obj_unref(module);
        return r;
    }
    f = &call->frames[call->frames_len - 1];
    f->acc[0] = bvi_of_obj(module);
    f->acc[1] = bvi_dup(key);
    return 0;
}

static int import_by_key(bvi_script_call *call, const bvi_string *name, bvi_value *key, bvi_pos pos)
{
    bvi_script_engine *engine = call->engine;
    const bvi_value *known = bvi_map_find(&engine->modules, bvi_str(key));
    bvi_script *unit = NULL;
    int r;

    if (known) {
        bvi_replace(call->sp - 1, bvi_dup(known));
        return 0;
    }
    if (is_loading(call, bvi_str(key)))
        return bvi_script_throw(call, "module '%s' imports itself", name->data);
    if (bvi_mp(&engine->modules)->len >= engine->options.limits.modules)
        return bvi_vm_fail_at(call, pos, BVI_FAILURE_MODULES, "Too many modules imported");
    r = compile_module(call, pos, name, bvi_str(key), &unit);
    if (r < 0)
        return r;
    r = begin_import(call, unit, key, pos);
    bvi_script_free(unit);
    return r;
}

int bvi_vm_import(bvi_script_call *call, bvi_pos pos)
{
    bvi_value *path = call->sp - 1;
    bvi_value name;
    bvi_value key = BVI_VALUE_UNIT;
    int r;

    if (path->type != BVI_T_STRING)
        return bvi_script_throw_type(call, path, "string");
    name = bvi_dup(path);
    r = bvi_value_string(call->engine, bvi_str(&name)->data, key_length(bvi_str(&name)), &key);
    r = r < 0 ? bvi_script_throw_code(call, r) : import_by_key(call, bvi_str(&name), &key, pos);
    bvi_drop(&key);
    bvi_drop(&name);
    return r;
}
