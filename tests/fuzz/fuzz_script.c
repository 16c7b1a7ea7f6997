/*
 * Any bytes are a script or refused with a place; a script ends within its limits, whatever it
 * does, and leaves no memory behind. Short inputs also run with all reference counts checked at
 * every allocation.
 */
#include <stdlib.h>
#include <string.h>

#include "script/inspect.h"

#define STRESS_BYTES 200u
#define RUNS_MAX     2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int pending(bvi_script_call *call, bvi_value *args, size_t argc, bvi_value *ret, void *data)
{
    return BVI_SCRIPT_PENDING;
}

static const bvi_script_function functions[] = {
    { "ask", "", pending, 0 },
    { "ask", "v", pending, 0 },
    { NULL, NULL, NULL, 0 },
};

static int resolve(const char *name, char **ret_source, size_t *ret_len, bv_error **err, void *data)
{
    static const char source[] =
        "import \"n\" as n; export const C = [1]; fn f(x) { [x, C_()] } fn C_() { global::C }";
    bvi_auto_free char *text = NULL;

    if (strlen(name) > 1)
        return BV_E_NOT_FOUND;
    text = bvi_strdup(strcmp(name, "n") == 0 ? "fn g() { 1 }" : source);
    if (!text)
        return bvi_fail_nomem(err);
    *ret_len = strlen(text);
    *ret_source = bvi_take(text);
    return 0;
}

static void drain_output(const char *text, size_t len, void *data)
{
    if (text[len] != '\0')
        abort();
}

static void drain_debug(const char *text, size_t len, const char *source, unsigned line,
                        unsigned position, void *data)
{
    drain_output(text, len, data);
}

/* A call that does not end is as good as one that does: it can be freed at any point. */
static void run(bvi_script_engine *engine, bvi_script *script)
{
    BVI_AUTO(bvi_script_call_freep) bvi_script_call *call = NULL;
    bvi_auto_error bv_error *err = NULL;
    int r = BVI_SCRIPT_YIELD;

    if (bvi_script_call_new(engine, script, NULL, NULL, 0, &call, NULL) < 0)
        return;
    for (int i = 0; i < RUNS_MAX && r > 0; i++) {
        r = bvi_script_run(call);
        if (r == BVI_SCRIPT_PENDING && i % 3 == 2)
            bvi_script_resume_error(call, "refused");
        else if (r == BVI_SCRIPT_PENDING)
            bvi_script_resume(call, bvi_value_int(i));
    }
    if (r == BVI_SCRIPT_DONE) {
        bvi_auto_free char *text = NULL;

        (void)bvi_value_to_text(bvi_script_result(call), true, &text, NULL);
    } else if (r < 0 && (bvi_script_failure(call, &err) != r || !err)) {
        abort();
    }
}

/* Whoever reads notes relies on what they refer to. */
static void inspect(bvi_script_engine *engine, const uint8_t *data, size_t size)
{
    BVI_AUTO(bvi_notes_freep) bvi_notes *notes = NULL;

    if (bvi_script_inspect(engine, (const char *)data, size, "fuzz", &notes, NULL) < 0)
        return;
    for (size_t i = 1; i < notes->items.len; i++) {
        const bvi_note *n = &notes->items.items[i];

        if (n->of >= notes->items.len || n->in >= notes->items.len || n->end > notes->items.len ||
            (n->end && n->end <= i))
            abort();
    }
}

static void run_with(const uint8_t *data, size_t size, unsigned debug_flags)
{
    bvi_script_options options = {
        .limits = {
            .memory_bytes = 2 * 1024 * 1024,
            .operations = 5000,
            .slice_operations = 100,
            .string_bytes = 20000,
            .array_items = 2000,
            .map_entries = 2000,
        },
        .resolve = resolve,
        .print = drain_output,
        .debug = drain_debug,
        .debug_flags = debug_flags,
    };
    BVI_AUTO(bvi_script_engine_freep) bvi_script_engine *engine = NULL;
    BVI_AUTO(bvi_script_freep) bvi_script *script = NULL;
    bvi_auto_error bv_error *err = NULL;
    uint64_t used;

    if (bvi_script_engine_new(&options, &engine, NULL) < 0 ||
        bvi_script_register(engine, functions, NULL, NULL) < 0)
        return;
    used = bvi_script_memory_used(engine);
    inspect(engine, data, size);
    if (bvi_script_compile(engine, (const char *)data, size, "fuzz", &script, &err) < 0) {
        if (!err)
            abort();
    } else {
        run(engine, script);
        bvi_script_free(bvi_take(script));
        bvi_script_forget_modules(engine);
    }
    if (bvi_script_memory_used(engine) != used)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run_with(data, size, 0);
    if (size <= STRESS_BYTES)
        run_with(data, size, BVI_SCRIPT_DEBUG_STRESS);
    return 0;
}
