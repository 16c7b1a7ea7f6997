/*
 * api.c - engines, scripts and calls behind blockvisor/script.h.
 */
#include "script/api.h"
#include "base/doc.h"
#include "script/vm.h"

_Static_assert((int)BV_SCRIPT_DONE == (int)BVI_SCRIPT_DONE &&
                   (int)BV_SCRIPT_YIELD == (int)BVI_SCRIPT_YIELD &&
                   (int)BV_SCRIPT_PENDING == (int)BVI_SCRIPT_PENDING &&
                   (int)BV_SCRIPT_INVOKE == (int)BVI_SCRIPT_INVOKE,
               "answers are handed on as they are");

/* ---- modules and output ---- */

struct bv_script_source {
    char *text;
    size_t len;
    bv_error **err;
};

int bv_script_source_set(bv_script_source *source, const char *text, size_t len)
{
    char *copy = bvi_strndup(text, len);

    if (!copy)
        return BV_E_NOMEM;
    bvi_free(source->text);
    source->text = copy;
    source->len = len;
    return 0;
}

int bv_script_source_fail(bv_script_source *source, const char *message)
{
    bv_error_free(*source->err);
    *source->err = NULL;
    return bvi_fail(source->err, BV_E_REMOTE, "%s", message);
}

static int resolve(const char *name, char **ret_source, size_t *ret_len, bv_error **err, void *data)
{
    const bv_script_opts *opts = &((const bvi_script_face *)data)->opts;
    bvi_auto_error bv_error *failure = NULL;
    bv_script_source source = { .err = &failure };
    int r = opts->resolve ? opts->resolve(&source, name, opts->data) : BV_E_NOT_FOUND;

    if (r >= 0 && source.text) {
        *ret_source = source.text;
        *ret_len = source.len;
        return 0;
    }
    bvi_free(source.text);
    if (failure)
        return bvi_error_move(err, bvi_take(failure));
    return bvi_fail(err, r < 0 ? r : BV_E_NOT_FOUND, "module '%s' cannot be had: %s", name,
                    bv_code_name(r < 0 ? r : BV_E_NOT_FOUND));
}

static void on_print(const char *text, size_t len, void *data)
{
    const bv_script_opts *opts = &((const bvi_script_face *)data)->opts;
    bv_script_output output = { .size = sizeof(output), .text = text, .len = len };

    if (opts->output)
        opts->output(&output, opts->data);
}

static void on_debug(const char *text, size_t len, const char *source, unsigned line,
                     unsigned position, void *data)
{
    const bv_script_opts *opts = &((const bvi_script_face *)data)->opts;
    bv_script_output output = {
        .size = sizeof(output),
        .is_debug = 1,
        .line = line,
        .column = position,
        .source = source,
        .text = text,
        .len = len,
    };

    if (opts->output)
        opts->output(&output, opts->data);
}

static int64_t now_ns(void *data)
{
    const bv_script_opts *opts = &((const bvi_script_face *)data)->opts;

    return opts->now_ns(opts->data);
}

/* ---- engines ---- */

bvi_script_limits bvi_script_limits_of(const bv_script_limits *limits)
{
    if (!limits)
        return (bvi_script_limits){ 0 };
    return (bvi_script_limits){
        .memory_bytes = limits->memory_bytes,
        .operations = limits->operations,
        .wall_ms = limits->wall_ms,
        .slice_operations = limits->slice_operations,
        .call_depth = limits->call_depth,
        .expression_depth = limits->expression_depth,
        .string_bytes = limits->string_bytes,
        .array_items = limits->array_items,
        .map_entries = limits->map_entries,
        .source_bytes = limits->source_bytes,
        .modules = limits->modules,
    };
}

static int check_opts(const bv_script_opts *opts, bv_error **err)
{
    if (opts->size != sizeof(*opts))
        return bvi_fail(err, BV_E_INVALID, "script options have an unknown size %zu", opts->size);
    if (opts->limits && opts->limits->size != sizeof(*opts->limits))
        return bvi_fail(err, BV_E_INVALID, "script limits have an unknown size %zu",
                        opts->limits->size);
    return 0;
}

int bv_script_engine_new(const bv_script_opts *opts, bv_script_engine **ret_engine, bv_error **err)
{
    static const bv_script_opts defaults = BV_SCRIPT_OPTS_INIT;
    bvi_auto_free bvi_script_face *face = bvi_new0(bvi_script_face);
    bvi_script_options inner = { .resolve = resolve, .print = on_print, .debug = on_debug };
    bvi_script_engine *engine = NULL;
    int r = check_opts(opts ? opts : &defaults, err);

    if (r < 0)
        return r;
    if (!face)
        return bvi_fail_nomem(err);
    face->opts = opts ? *opts : defaults;
    inner.limits = bvi_script_limits_of(face->opts.limits);
    face->opts.limits = NULL; /* the inner ones count from now on */
    inner.now_ns = face->opts.now_ns ? now_ns : NULL;
    inner.data = face;
    r = bvi_script_engine_new(&inner, &engine, err);
    if (r < 0)
        return r;
    (void)bvi_take(face); /* the engine's */
    *ret_engine = (bv_script_engine *)engine;
    return 0;
}

bvi_script_face *bvi_script_face_of(const bvi_script_engine *engine)
{
    return engine->options.data;
}

void bv_script_engine_free(bv_script_engine *engine)
{
    bvi_script_face *face;

    if (!engine)
        return;
    face = bvi_script_face_of(bvi_engine_in(engine));
    bvi_script_engine_free(bvi_engine_in(engine));
    bvi_bridges_free(face->bridges); /* after the objects that use them */
    bvi_free(face);
}

void bv_script_engine_forget_modules(bv_script_engine *engine)
{
    bvi_script_forget_modules(bvi_engine_in(engine));
}

void bv_script_engine_forget_top_level(bv_script_engine *engine)
{
    bvi_script_forget_top_level(bvi_engine_in(engine));
}

uint64_t bv_script_engine_memory_used(const bv_script_engine *engine)
{
    return bvi_script_memory_used((const bvi_script_engine *)engine);
}

/* ---- scripts ---- */

int bv_script_compile(bv_script_engine *engine, const char *text, size_t len, const char *name,
                      bv_script **ret_script, bv_error **err)
{
    bvi_script *script = NULL;
    int r = bvi_script_compile(bvi_engine_in(engine), text, len, name, &script, err);

    if (r < 0)
        return r;
    *ret_script = (bv_script *)script;
    return 0;
}

void bv_script_free(bv_script *script)
{
    bvi_script_free((bvi_script *)script);
}

int bv_script_function_at(const bv_script *script, size_t index, bv_script_function_info *ret_info)
{
    bvi_script_fn_info info;

    if (ret_info->size != sizeof(*ret_info))
        return BV_E_INVALID;
    if (!bvi_script_function_at((const bvi_script *)script, index, &info))
        return BV_E_NOT_FOUND;
    ret_info->name = info.name;
    ret_info->arity = info.arity;
    ret_info->is_private = info.is_private;
    return 0;
}

/* ---- calls ---- */

int bv_script_call_new(bv_script_engine *engine, bv_script *script, const char *fn,
                       const bv_value *args, size_t argc, bv_script_call **ret_call, bv_error **err)
{
    bvi_value inner[BV_SCRIPT_PARAMS_MAX];
    bvi_script_call *call = NULL;
    int r;

    if (argc > BV_SCRIPT_PARAMS_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u arguments", BV_SCRIPT_PARAMS_MAX);
    for (size_t i = 0; i < argc; i++)
        inner[i] = bvi_value_in(&args[i]);
    r = bvi_script_call_new(bvi_engine_in(engine), (bvi_script *)script, fn, inner, argc, &call,
                            err);
    if (r < 0)
        return r;
    *ret_call = (bv_script_call *)call;
    return 0;
}

void bv_script_call_free(bv_script_call *call)
{
    bvi_script_call_free(bvi_call_in(call));
}

int bv_script_call_set_constant(bv_script_call *call, const char *name, bv_value value)
{
    return bvi_script_call_set_constant(bvi_call_in(call), name, bvi_value_in(&value));
}

int bv_script_call_run(bv_script_call *call)
{
    return bvi_script_run(bvi_call_in(call));
}

int bv_script_call_finish(bv_script_call *call)
{
    int r;

    do
        r = bvi_script_run(bvi_call_in(call));
    while (r == BVI_SCRIPT_YIELD);
    return r;
}

int bv_script_call_resume(bv_script_call *call, bv_value value)
{
    return bvi_script_resume(bvi_call_in(call), bvi_value_in(&value));
}

int bv_script_call_resume_error(bv_script_call *call, const char *message)
{
    return bvi_script_resume_error(bvi_call_in(call), message);
}

void bv_script_interrupt(bv_script_call *call)
{
    bvi_script_cancel(bvi_call_in(call));
}

int bv_script_call_result(const bv_script_call *call, bv_value *ret_value)
{
    const bvi_script_call *inner = bvi_call_in_const(call);

    if (inner->state != BVI_CALL_DONE)
        return BV_E_STATE;
    *ret_value = bvi_value_out(bvi_script_result(inner));
    return 0;
}

int bv_script_call_thrown(const bv_script_call *call, bv_value *ret_value)
{
    const bvi_value *thrown = bvi_script_thrown(bvi_call_in_const(call));

    if (!thrown)
        return BV_E_NOT_FOUND;
    *ret_value = bvi_value_out(thrown);
    return 0;
}

int bv_script_call_failure(const bv_script_call *call, bv_error **err)
{
    return bvi_script_failure(bvi_call_in_const(call), err);
}

int bv_script_call_failure_doc(const bv_script_call *call, bv_doc **ret_doc, bv_error **err)
{
    bvi_json *json = NULL;
    int r = bvi_script_failure_json(bvi_call_in_const(call), &json, err);

    if (r < 0)
        return r;
    *ret_doc = bvi_doc_of(json);
    return 0;
}

void bv_script_call_set_data(bv_script_call *call, void *data)
{
    bvi_script_call_set_data(bvi_call_in(call), data);
}

void *bv_script_call_data(const bv_script_call *call)
{
    return bvi_script_call_data(bvi_call_in_const(call));
}

bv_script_engine *bv_script_call_engine(const bv_script_call *call)
{
    return (bv_script_engine *)bvi_script_engine_of(bvi_call_in_const(call));
}

uint32_t bv_script_call_line(const bv_script_call *call)
{
    return bvi_script_line(bvi_call_in_const(call));
}
