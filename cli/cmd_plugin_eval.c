/*
 * cmd_plugin_eval.c - bv plugin eval: runs a script, or a function of it, on a node that is not
 * there.
 */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plugin_options.h"

/* ---- what it prints ---- */

/* Text is the script's own: it goes out as it is. */
static void print_output(const bv_script_output *output, void *data)
{
    FILE *out = data;

    (void)fputs(output->is_debug ? "debug: " : "print: ", out);
    (void)fwrite(output->text, 1, output->len, out);
    if (output->is_debug && output->source)
        (void)fprintf(out, " @%u:%u Some(\"%s\")", output->line, output->column, output->source);
    else if (output->is_debug)
        (void)fprintf(out, " @%u:%u None", output->line, output->column);
    (void)fputc('\n', out);
}

/* With --verbose: what it asks of its node, and what it logs. */
static void print_request(const bv_doc *request, void *data)
{
    const char *call = bv_doc_string(bv_doc_get(request, "call"), "");
    char *text = NULL;

    (void)data;
    if (strcmp(call, "log") == 0) {
        (void)fprintf(stderr, "%s: ", bv_doc_string(bv_doc_get(request, "level"), ""));
        cli_put(stderr, bv_doc_string(bv_doc_get(request, "text"), ""));
        (void)fputc('\n', stderr);
    } else if (bv_doc_print(request, 0, &text, NULL) == 0) {
        (void)fprintf(stderr, "request: %s\n", text);
    }
    bv_free(text);
}

static int print_outcome(const cli *c, const cli_args *args, const bv_doc *outcome)
{
    const bv_doc *error = bv_doc_get(outcome, "error");

    if (c->json) {
        cli_print_json(outcome);
    } else if (error) {
        (void)fflush(stdout); /* what it printed comes first */
        (void)fprintf(stderr, "%s\n", bv_doc_string(bv_doc_get(error, "text"), ""));
    } else if (cli_flag(args, "json")) {
        plugin_print_value(outcome);
    } else {
        if (cli_flag(args, "typed"))
            (void)printf("%s: ", bv_doc_string(bv_doc_get(outcome, "type"), ""));
        (void)puts(bv_doc_string(bv_doc_get(outcome, "text"), ""));
    }
    return error ? EXIT_FAILED : EXIT_OK;
}

/* ---- what it runs ---- */

/* A script and the places that follow from where it comes. */
typedef struct script {
    char *text;
    size_t len;
    const char *name;
    const char *dir;    /* for its imports */
    const char *plugin; /* whose main file it is; or NULL */
    char *path;         /* dir may point into it */
} script;

/* FILE unless -e is given, then ARG if there is a function to take it. */
static int check_words(const cli_args *args)
{
    bool has_file = !cli_text(args, "expression");
    int most = (has_file ? 1 : 0) + (cli_text(args, "call") ? 1 : 0);

    if (has_file && args->count == 0)
        return cli_usage_error(args->command, "FILE or -e SCRIPT is missing");
    if (args->count > most)
        return cli_usage_error(args->command, "'%s' is one argument too many", args->items[most]);
    return EXIT_OK;
}

/* A file named main.rhai is a plugin's: its image gives variants and properties. */
static bool is_main_file(const char *file)
{
    const char *slash = strrchr(file, '/');

    return strcmp(slash ? slash + 1 : file, "main.rhai") == 0;
}

/* Sources with a name may begin with one; standard input has none. The line itself stays. */
static void skip_shebang(script *s)
{
    if (s->len >= 2 && memcmp(s->text, "#!", 2) == 0)
        memset(s->text, ' ', strcspn(s->text, "\n"));
}

static int open_file(const char *file, script *s)
{
    int code = EXIT_OK;

    s->text = plugin_read_file(file, &s->len, &code);
    if (code != EXIT_OK)
        return code;
    if (strcmp(file, "-") == 0) {
        skip_shebang(s);
        return EXIT_OK;
    }
    s->path = strdup(file);
    if (!s->path)
        return EXIT_LIMIT;
    s->name = file;
    s->dir = dirname(s->path);
    s->plugin = is_main_file(file) ? file : NULL;
    return EXIT_OK;
}

static int open_expression(const char *expression, script *s)
{
    s->text = strdup(expression);
    s->len = strlen(expression);
    return s->text ? EXIT_OK : EXIT_LIMIT;
}

static int open_script(const cli_args *args, script *ret_script)
{
    const char *expression = cli_text(args, "expression");
    int code = check_words(args);

    *ret_script = (script){ .dir = "." };
    if (code == EXIT_OK)
        code = expression ? open_expression(expression, ret_script)
                          : open_file(args->items[0], ret_script);
    if (cli_text(args, "dir"))
        ret_script->dir = cli_text(args, "dir");
    return code;
}

static void close_script(script *s)
{
    free(s->text);
    free(s->path);
}

/* The word behind the script, if there is one. */
static const char *argument_of(const cli_args *args)
{
    int at = cli_text(args, "expression") ? 0 : 1;

    return args->count > at ? args->items[at] : NULL;
}

/* ---- how far it may go ---- */

static uint32_t small(const cli_args *args, const char *option)
{
    uint64_t number = cli_number(args, option, 0);

    return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

static bv_script_limits read_limits(const cli_args *args)
{
    uint64_t seconds = cli_number(args, "timeout", 0);
    uint64_t megabytes = cli_number(args, "max-memory-mb", 0);

    return (bv_script_limits){
        .size = sizeof(bv_script_limits),
        .operations = cli_number(args, "max-operations", 0),
        .memory_bytes = megabytes < UINT64_MAX / 1000000 ? megabytes * 1000000 : UINT64_MAX,
        .wall_ms = seconds < INT32_MAX ? (int64_t)seconds * 1000 : 0,
        .call_depth = small(args, "max-call-depth"),
        .expression_depth = small(args, "max-expression-depth"),
        .string_bytes = small(args, "max-string-bytes"),
        .array_items = small(args, "max-array-items"),
        .map_entries = small(args, "max-map-entries"),
        .modules = small(args, "max-modules"),
    };
}

static int evaluate(cli *c, const cli_args *args, const script *s, const plugin_options *node)
{
    bool json = c->json || cli_flag(args, "json");
    bv_script_limits limits = read_limits(args);
    bv_eval_opts opts = {
        .size = sizeof(opts),
        .source = s->text,
        .source_bytes = s->len,
        .name = s->name,
        .dir = s->dir,
        .plugin = s->plugin,
        .function = cli_text(args, "call"),
        .argument = argument_of(args),
        .variant = node->variant,
        .env = node->env,
        .params = node->params,
        .secrets = node->secrets,
        .limits = &limits,
        .output = print_output,
        .request = c->verbose ? print_request : NULL,
        .data = json ? stderr : stdout,
    };
    bv_doc *outcome = NULL;
    bv_error *err = NULL;
    int code;

    if (bv_eval(&opts, &outcome, &err) < 0)
        code = cli_report(err);
    else
        code = print_outcome(c, args, outcome);
    bv_error_free(err);
    bv_doc_free(outcome);
    return code;
}

int cmd_plugin_eval(cli *c, const cli_args *args)
{
    plugin_options node = { NULL };
    script s = { NULL };
    int code;

    cli_release_signals(); /* nothing needs an orderly end: Ctrl-C just ends us */
    code = open_script(args, &s);
    if (code == EXIT_OK)
        code = plugin_options_read(args, &node);
    if (code == EXIT_OK)
        code = evaluate(c, args, &s, &node);
    plugin_options_done(&node);
    close_script(&s);
    return code;
}
