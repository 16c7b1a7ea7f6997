/*
 * failure.c - what goes wrong in a script: making failures, letting them gather their way up,
 * showing them to catch.
 */
#include <stdio.h>
#include <string.h>

#include "script/vm.h"

#define FAILURE_TEXT_MAX   (64u * 1024u)
#define FAILURE_TEXT_FIRST 500u
/* Enough to report that the memory ceiling was reached. */
#define GRACE_BYTES 4096u

static const struct {
    const char *name;
    bool can_catch;
} kinds[] = {
#define X(kind, name, can_catch) [BVI_FAILURE_##kind] = { name, can_catch },
    BVI_FAILURES(X)
#undef X
};

void bvi_failure_clear(bvi_failure *f)
{
    bvi_drop(&f->value);
    bvi_drop(&f->fields);
    bvi_buf_done(&f->text);
    bvi_vec_done(&f->steps);
}

void bvi_vm_forget_failure(bvi_script_call *call)
{
    if (call->failure)
        bvi_obj_unref(call->failure);
    call->failure = NULL;
    call->code = 0;
}

/* Without memory for the object, the code alone says so. */
static bvi_failure *new_failure(bvi_script_call *call, bvi_failure_kind kind)
{
    bvi_failure *f = bvi_traced_new(call->engine, BVI_T_ERROR, sizeof(*f));

    if (call->failure) {
        bvi_obj_unref(call->failure);
        call->failure = NULL;
    }
    call->code = BV_E_REMOTE;
    if (!f) {
        call->code = BV_E_NOMEM;
        return NULL;
    }
    f->kind = kind;
    f->text = (bvi_buf)BVI_SCRIPT_BUF_INIT(call->engine, FAILURE_TEXT_MAX);
    (void)bvi_buf_reserve(&f->text, FAILURE_TEXT_FIRST); /* a long one is cut if this is all */
    f->steps.max = BVI_FAILURE_STEPS_MAX;
    call->failure = f;
    return f;
}

static int fail_v(bvi_script_call *call, bvi_pos pos, bvi_failure_kind kind, const char *fmt,
                  va_list args)
{
    bvi_failure *f = new_failure(call, kind);

    if (!f)
        return BV_E_NOMEM;
    f->pos = pos;
    if (bvi_buf_vprintf(&f->text, fmt, args) < 0)
        (void)bvi_buf_append_str(&f->text,
                                 "(no memory for the message)"); /* the kind still tells */
    return call->code;
}

int bvi_vm_fail(bvi_script_call *call, bvi_failure_kind kind, const char *fmt, ...)
{
    va_list args;
    int r;

    va_start(args, fmt);
    r = fail_v(call, (bvi_pos){ 0, 0 }, kind, fmt, args);
    va_end(args);
    return r;
}

int bvi_vm_fail_at(bvi_script_call *call, bvi_pos pos, bvi_failure_kind kind, const char *fmt, ...)
{
    va_list args;
    int r;

    va_start(args, fmt);
    r = fail_v(call, pos, kind, fmt, args);
    va_end(args);
    return r;
}

int bvi_vm_arithmetic(bvi_script_call *call, bool no_pos, const char *fmt, ...)
{
    va_list args;
    int r;

    va_start(args, fmt);
    r = fail_v(call, (bvi_pos){ 0, 0 }, BVI_FAILURE_ARITHMETIC, fmt, args);
    va_end(args);
    if (call->failure)
        call->failure->no_pos = no_pos;
    return r;
}

void bvi_vm_field(bvi_script_call *call, const char *name, bvi_value v)
{
    bvi_failure *f = call->failure;

    if (!f || (f->fields.type != BVI_T_MAP && bvi_value_map(call->engine, &f->fields) < 0)) {
        bvi_drop(&v);
        return;
    }
    (void)bvi_map_set_text(&f->fields, name, v); /* a missing field is better than no failure */
}

void bvi_vm_field_text(bvi_script_call *call, const char *name, const char *text)
{
    bvi_value v = BVI_VALUE_UNIT;

    if (bvi_value_cstring(call->engine, text, &v) == 0)
        bvi_vm_field(call, name, v);
}

static const char *parameter_type(const bvi_value *v)
{
    return v->type == BVI_T_STRING ? "&str | ImmutableString | String" : bvi_type_name(v);
}

int bvi_vm_not_found(bvi_script_call *call, const char *name, const bvi_value *args, size_t argc)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_SCRIPT_BUF_INIT(call->engine, FAILURE_TEXT_MAX);
    int r = bvi_buf_printf(&text, "%s (", name);

    for (size_t i = 0; r == 0 && i < argc; i++)
        r = bvi_buf_printf(&text, "%s%s", i > 0 ? ", " : "", parameter_type(&args[i]));
    if (r == 0)
        r = bvi_buf_append_char(&text, ')');
    r = bvi_vm_fail(call, BVI_FAILURE_FUNCTION_NOT_FOUND, "Function not found: %s",
                    bvi_buf_str(&text));
    bvi_vm_field_text(call, "function", bvi_buf_str(&text));
    return r;
}

int bvi_vm_bounds(bvi_script_call *call, bvi_pos pos, bvi_failure_kind kind, int64_t index,
                  size_t len)
{
    bool is_string = kind == BVI_FAILURE_STRING_BOUNDS;
    const char *what = is_string ? "String" : "Array";
    const char *in = is_string ? "string" : "array";
    const char *items = is_string ? "character" : "element";
    int r;

    if (kind == BVI_FAILURE_BIT_BOUNDS)
        r = bvi_vm_fail_at(call, pos, kind,
                           "Bit-field index %lld out of bounds: only 64 bits in bit-field",
                           (long long)index);
    else if (len == 0)
        r = bvi_vm_fail_at(call, pos, kind, "%s index %lld out of bounds: %s is empty", what,
                           (long long)index, in);
    else
        r = bvi_vm_fail_at(call, pos, kind, "%s index %lld out of bounds: only %zu %s%s in %s",
                           what, (long long)index, len, items, len == 1 ? "" : "s", in);
    bvi_vm_field(call, "index", bvi_value_int(index));
    bvi_vm_field(call, "length", bvi_value_int((int64_t)len));
    return r;
}

int bvi_vm_throw(bvi_script_call *call, bvi_value value)
{
    bvi_failure *f = new_failure(call, BVI_FAILURE_RUNTIME);
    int r;

    if (!f) {
        bvi_drop(&value);
        return BV_E_NOMEM;
    }
    f->has_value = true;
    f->value = value;
    r = bvi_buf_append_str(&f->text, "Runtime error: ");
    if (r == 0)
        r = bvi_format(&f->text, &value, BVI_FORM_TEXT);
    if (r == 0 && f->text.len == strlen("Runtime error: ")) {
        bvi_buf_clear(&f->text);
        (void)bvi_buf_append_str(&f->text, "Runtime error"); /* fits where the longer text did */
    }
    return call->code;
}

int bvi_vm_exit(bvi_script_call *call, bvi_value value)
{
    bvi_failure *f = new_failure(call, BVI_FAILURE_EXIT);

    if (!f) {
        bvi_drop(&value);
        return BV_E_NOMEM;
    }
    f->value = value;
    return call->code;
}

/* ---- the way up ---- */

static void append_pos(bvi_buf *out, bvi_pos pos)
{
    if (pos.line > 0)
        (void)bvi_buf_printf(out, " (line %u, position %u)", pos.line, pos.col); /* cut when full */
}

/* Appends "<before><part><after>"; tells where the part stands. */
static void append_part(bvi_buf *out, const char *before, const char *part, const char *after,
                        uint32_t *ret_at, uint32_t *ret_len)
{
    *ret_at = (uint32_t)(out->len + strlen(before));
    *ret_len = (uint32_t)strlen(part);
    (void)bvi_buf_printf(out, "%s%s%s", before, part, after); /* cut when full */
}

void bvi_failure_leave(bvi_failure *f, bvi_failure_leaving leaving, const char *name,
                       const char *source, bvi_pos pos)
{
    static const struct {
        const char *what;
        const char *text;
    } ways[] = {
        [BVI_LEAVING_FUNCTION] = { "function", "\nin call to function" },
        [BVI_LEAVING_CLOSURE] = { "closure", "\nin closure call" },
        [BVI_LEAVING_MODULE] = { "module", "\nin module" },
    };
    bvi_failure_step here = { .what = ways[leaving].what, .pos = pos };
    bvi_failure_step *step;

    if (f->steps.len == 0) {
        f->message_len = f->text.len;
        if (f->origin.line == 0)
            f->origin = f->pos;
    }
    append_pos(&f->text, f->pos);
    (void)bvi_buf_append_str(&f->text, ways[leaving].text);
    if (name)
        append_part(&f->text, " '", name, "'", &here.name_at, &here.name_len);
    if (name && source && source[0])
        append_part(&f->text, " @ '", source, "'", &here.source_at, &here.source_len);
    step = bvi_vec_push(&f->steps);
    if (step) /* without memory the text still tells */
        *step = here;
    f->pos = pos;
    f->no_pos = false;
    f->wrapped = true;
    snprintf(f->function, sizeof(f->function), "%s", name ? name : "");
    snprintf(f->source, sizeof(f->source), "%s", source ? source : "");
}

bool bvi_failure_can_catch(const bvi_failure *f)
{
    return kinds[f->kind].can_catch;
}

const char *bvi_failure_kind_name(const bvi_failure *f)
{
    return kinds[f->kind].name;
}

int bvi_failure_format(const bvi_failure *f, bvi_buf *out)
{
    int r = bvi_buf_append(out, f->text.data, f->text.len);

    if (r == 0 && f->pos.line > 0)
        r = bvi_buf_printf(out, " (line %u, position %u)", f->pos.line, f->pos.col);
    return r;
}

/* ---- what catch sees ---- */

static int put(bvi_value *map, const char *key, bvi_value v, int r)
{
    if (r < 0) {
        bvi_drop(&v);
        return r;
    }
    return bvi_map_set_text(map, key, v);
}

static int put_text(bvi_value *map, const char *key, const char *text, size_t len, int r)
{
    bvi_value v = BVI_VALUE_UNIT;

    if (r == 0)
        r = bvi_value_string(map->as.obj->engine, text, len, &v);
    return r < 0 ? r : bvi_map_set_text(map, key, v);
}

static int describe(bvi_script_engine *engine, const bvi_failure *f, bvi_value *ret)
{
    const char *kind = f->wrapped && f->kind != BVI_FAILURE_IN_MODULE ? "ErrorInFunctionCall"
                                                                      : kinds[f->kind].name;
    int r = bvi_value_map(engine, ret);

    if (r == 0 && f->fields.type == BVI_T_MAP && !f->wrapped)
        r = bvi_map_merge(ret, &f->fields, false);
    r = put_text(ret, "error", kind, strlen(kind), r);
    r = put_text(ret, "message", bvi_buf_str(&f->text), f->text.len, r);
    if (f->pos.line > 0) {
        r = put(ret, "line", bvi_value_int(f->pos.line), r);
        r = put(ret, "position", bvi_value_int(f->pos.col), r);
    }
    if (f->wrapped)
        r = put_text(ret, "function", f->function, strlen(f->function), r);
    if (f->wrapped || f->source[0])
        r = put_text(ret, "source", f->source, strlen(f->source), r);
    return r;
}

int bvi_failure_caught(bvi_script_call *call, bvi_failure *f, bvi_value *ret)
{
    int r;

    if (f->has_value) {
        *ret = bvi_dup(&f->value);
        return 0;
    }
    r = describe(call->engine, f, ret);
    if (r < 0) {
        bvi_drop(ret);
        return bvi_script_throw_code(call, r);
    }
    return 0;
}

/* ---- for host functions ---- */

int bvi_script_throw_nomem(bvi_script_call *call)
{
    bvi_script_engine *engine = call->engine;
    int r;

    engine->grace_bytes = GRACE_BYTES;
    if (engine->over_ceiling)
        r = bvi_vm_fail(call, BVI_FAILURE_MEMORY, "Memory limit of %llu bytes reached",
                        (unsigned long long)engine->options.limits.memory_bytes);
    else
        r = bvi_vm_fail(call, BVI_FAILURE_MEMORY, "Out of memory");
    engine->grace_bytes = 0;
    call->code = BV_E_NOMEM;
    return r < 0 ? BV_E_NOMEM : r;
}

int bvi_script_throw_code(bvi_script_call *call, int code)
{
    const char *what = call->engine->too_large ? call->engine->too_large : "Value";

    if (code == BV_E_NOMEM)
        return bvi_script_throw_nomem(call);
    if (code == BV_E_LIMIT) {
        (void)bvi_vm_fail(call, BVI_FAILURE_TOO_LARGE, "%s too large", what);
        if (call->failure)
            call->code = BV_E_LIMIT;
        return call->code;
    }
    return bvi_script_throw(call, "%s", bv_code_name(code));
}

int bvi_script_throw_value(bvi_script_call *call, bvi_value value)
{
    return bvi_vm_throw(call, value);
}

static int throw_text(bvi_script_call *call, const char *text, size_t len)
{
    bvi_value v = BVI_VALUE_UNIT;
    int r = bvi_value_string(call->engine, text, len, &v);

    return r < 0 ? bvi_script_throw_code(call, r) : bvi_vm_throw(call, v);
}

int bvi_script_throw(bvi_script_call *call, const char *fmt, ...)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_SCRIPT_BUF_INIT(call->engine, FAILURE_TEXT_MAX);
    va_list args;
    int r;

    va_start(args, fmt);
    r = bvi_buf_vprintf(&text, fmt, args);
    va_end(args);
    if (r < 0)
        return bvi_script_throw_code(call, r);
    return throw_text(call, bvi_buf_str(&text), text.len);
}

int bvi_script_throw_error(bvi_script_call *call, const bv_error *error)
{
    bvi_auto_free char *text = bvi_error_text(error);

    if (!text)
        return bvi_script_throw_nomem(call);
    return throw_text(call, text, strlen(text));
}

static int throw_mismatch(bvi_script_call *call, bvi_failure_kind kind, const char *what,
                          const char *actual, const char *wanted)
{
    int r = bvi_vm_fail(call, kind, "%s incorrect: %s (expecting %s)", what, actual, wanted);

    bvi_vm_field_text(call, "actual", actual);
    bvi_vm_field_text(call, "requested", wanted);
    return r;
}

int bvi_script_throw_type(bvi_script_call *call, const bvi_value *actual, const char *wanted)
{
    return throw_mismatch(call, BVI_FAILURE_DATA_TYPE, "Data type", bvi_type_name(actual), wanted);
}

int bvi_script_throw_output(bvi_script_call *call, const bvi_value *actual, const char *wanted)
{
    return throw_mismatch(call, BVI_FAILURE_OUTPUT_TYPE, "Output type", bvi_type_name(actual),
                          wanted);
}
