/*
 * Any bytes are a plugin's script that is evaluated on a node that is not there, or refused:
 * through the public interface, with every function of the engine, within its limits.
 */
#include <blockvisor/eval.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_output(const bv_script_output *output, void *data)
{
    if (output->text[output->len] != '\0')
        abort();
}

static void on_request(const bv_doc *request, void *data)
{
    if (!bv_doc_string(bv_doc_get(request, "call"), NULL))
        abort();
}

/* Either a value with its type and text, or a failure with its text and kind. */
static void check(const bv_doc *outcome)
{
    const bv_doc *error = bv_doc_get(outcome, "error");
    const bv_doc *told = error ? error : outcome;

    if (!bv_doc_string(bv_doc_get(told, "text"), NULL) ||
        !bv_doc_string(bv_doc_get(told, error ? "kind" : "type"), NULL))
        abort();
}

static void evaluate(const char *source, size_t len, const char *function, const char *argument)
{
    bv_script_limits limits = {
        .size = sizeof(limits),
        .memory_bytes = 2 * 1024 * 1024,
        .operations = 5000,
        .slice_operations = 100,
        .string_bytes = 20000,
        .array_items = 2000,
        .map_entries = 2000,
        .wall_ms = 20,
    };
    bv_eval_opts opts = {
        .size = sizeof(opts),
        .source = source,
        .source_bytes = len,
        .name = "fuzz",
        .function = function,
        .argument = argument,
        .limits = &limits,
        .output = on_output,
        .request = on_request,
    };
    bv_doc *outcome = NULL;
    bv_error *err = NULL;
    int r = bv_eval(&opts, &outcome, &err);

    if (r == 0)
        check(outcome);
    else if (!err)
        abort();
    bv_doc_free(outcome);
    bv_error_free(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *source = malloc(size ? size : 1);

    if (!source)
        return 0;
    memcpy(source, data, size); /* in a block of its own, so that reading past its end is seen */
    evaluate(source, size, NULL, NULL);
    evaluate(source, size, "f", "x");
    free(source);
    return 0;
}
