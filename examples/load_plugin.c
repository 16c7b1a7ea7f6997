/*
 * load_plugin.c - a plugin without a node: what it can do, how it is configured, and what it says.
 *
 *     load_plugin DIRECTORY [FUNCTION [ARGUMENT]]
 *
 * The node it believes to be on answers as the file plugin_test.yaml beside the plugin says.
 */
#include <stdio.h>

#include <blockvisor/blockvisor.h>

static int fail(bv_error *err)
{
    char text[1024];

    (void)bv_error_format(err, text, sizeof(text)); /* cut when longer */
    (void)fprintf(stderr, "%s\n", text);
    bv_error_free(err);
    return 1;
}

static void print_functions(const bv_doc *about)
{
    const bv_doc *functions = bv_doc_get(about, "functions");

    (void)printf("variant %s, functions:\n", bv_doc_string(bv_doc_get(about, "variant"), ""));
    for (const bv_doc *f = bv_doc_first(functions); f; f = bv_doc_next(f))
        (void)printf("  %s/%lld\n", bv_doc_string(bv_doc_get(f, "name"), ""),
                     (long long)bv_doc_int64(bv_doc_get(f, "params"), 0));
}

static void print_services(const bv_doc *outcome)
{
    const bv_doc *services = bv_doc_get(bv_doc_get(outcome, "value"), "services");

    for (const bv_doc *s = bv_doc_first(services); s; s = bv_doc_next(s))
        (void)printf("service %s: %s\n", bv_doc_string(bv_doc_get(s, "name"), ""),
                     bv_doc_string(bv_doc_get(s, "run_sh"), ""));
}

/* A script that failed is an outcome as well: it says why and where. */
static int print_outcome(const bv_doc *outcome)
{
    const bv_doc *error = bv_doc_get(outcome, "error");

    if (error) {
        (void)fprintf(stderr, "%s\n", bv_doc_string(bv_doc_get(error, "text"), ""));
        return 1;
    }
    (void)printf("%s\n", bv_doc_string(bv_doc_get(outcome, "text"), ""));
    return 0;
}

static int look(bv_plugin *plugin)
{
    bv_doc *about = NULL;
    bv_doc *config = NULL;
    bv_error *err = NULL;

    if (bv_plugin_describe(plugin, &about, &err) < 0 ||
        bv_plugin_config(plugin, &config, &err) < 0) {
        bv_doc_free(about);
        return fail(err);
    }
    print_functions(about);
    print_services(config);
    bv_doc_free(about);
    bv_doc_free(config);
    return 0;
}

static int call(bv_plugin *plugin, const char *function, const char *argument)
{
    bv_doc *outcome = NULL;
    bv_error *err = NULL;
    int code;

    if (bv_plugin_call(plugin, function, argument, &outcome, &err) < 0)
        return fail(err);
    code = print_outcome(outcome);
    bv_doc_free(outcome);
    return code;
}

int main(int argc, char **argv)
{
    bv_plugin *plugin = NULL;
    bv_error *err = NULL;
    int code;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s DIRECTORY [FUNCTION [ARGUMENT]]\n", argv[0]);
        return 2;
    }
    if (bv_plugin_open(argv[1], NULL, &plugin, &err) < 0)
        return fail(err);
    code = look(plugin);
    if (code == 0 && argc > 2)
        code = call(plugin, argv[2], argc > 3 ? argv[3] : NULL);
    bv_plugin_close(plugin);
    return code;
}
