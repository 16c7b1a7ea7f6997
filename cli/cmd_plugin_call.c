/*
 * cmd_plugin_call.c - bv plugin call: a function of a plugin, on a node that answers from a file.
 */
#include <string.h>

#include "cli.h"
#include "plugin_options.h"

/* ---- what it prints ---- */

/* "<call> <argument>...", texts as they are and the rest as JSON. */
static void print_request(const bv_doc *request)
{
    for (const bv_doc *d = bv_doc_first(request); d; d = bv_doc_next(d)) {
        const char *text = bv_doc_string(d, NULL);
        char *printed = NULL;

        (void)fputs(d == bv_doc_first(request) ? "" : " ", stderr);
        if (text)
            cli_put(stderr, text);
        else if (bv_doc_print(d, 0, &printed, NULL) == 0)
            cli_put(stderr, printed);
        bv_free(printed);
    }
    (void)fputc('\n', stderr);
}

static void print_log_line(const bv_doc *line)
{
    (void)fprintf(stderr, "%s: ", bv_doc_string(bv_doc_get(line, "level"), ""));
    cli_put(stderr, bv_doc_string(bv_doc_get(line, "text"), ""));
    (void)fputc('\n', stderr);
}

static void print_journal(const cli *c, const cli_args *args, const bv_doc *journal)
{
    const bv_doc *log = bv_doc_get(journal, "log");
    const bv_doc *requests = bv_doc_get(journal, "requests");

    for (const bv_doc *d = bv_doc_first(log); d && !c->quiet; d = bv_doc_next(d))
        print_log_line(d);
    if (!cli_flag(args, "journal"))
        return;
    for (const bv_doc *d = bv_doc_first(requests); d; d = bv_doc_next(d))
        print_request(d);
}

/* The outcome with "requests" and "log" beside it. */
static int print_json(const bv_doc *outcome, const bv_doc *journal)
{
    char *texts[2] = { NULL };
    cli_json json = { 0 };
    bv_doc *doc = NULL;

    if (bv_doc_print(outcome, 0, &texts[0], NULL) == 0 &&
        bv_doc_print(journal, 0, &texts[1], NULL) == 0) {
        cli_json_raw(&json, texts[0]);
        json.text[--json.len] = '\0'; /* both are objects: the second goes on with the first */
        cli_json_raw(&json, ",");
        cli_json_raw(&json, texts[1] + 1);
        doc = cli_json_doc(&json);
    }
    if (doc)
        cli_print_json(doc);
    bv_free(texts[0]);
    bv_free(texts[1]);
    bv_doc_free(doc);
    return doc ? EXIT_OK : EXIT_LIMIT;
}

static void print_text(const cli_args *args, const bv_doc *outcome)
{
    const char *failure = bv_doc_string(bv_doc_get(bv_doc_get(outcome, "error"), "text"), NULL);
    const char *type = bv_doc_string(bv_doc_get(outcome, "type"), NULL);

    if (failure)
        (void)fprintf(stderr, "%s\n", failure);
    else if (cli_flag(args, "json"))
        plugin_print_value(outcome);
    else if (cli_flag(args, "typed") && type)
        (void)printf("%s: %s\n", type, bv_doc_string(bv_doc_get(outcome, "text"), ""));
    else
        (void)puts(bv_doc_string(bv_doc_get(outcome, "value"),
                                 bv_doc_string(bv_doc_get(outcome, "text"), "")));
}

/* ---- what it runs ---- */

static int call(cli *c, const cli_args *args, bv_plugin *plugin)
{
    bv_doc *outcome = NULL;
    bv_doc *journal = NULL;
    bv_error *err = NULL;
    int code = EXIT_OK;

    if (bv_plugin_call(plugin, args->items[1], args->count > 2 ? args->items[2] : NULL, &outcome,
                       &err) < 0 ||
        bv_plugin_take_requests(plugin, &journal, &err) < 0)
        code = cli_report(err);
    else if (c->json)
        code = print_json(outcome, journal);
    if (code == EXIT_OK && !c->json) {
        print_journal(c, args, journal);
        print_text(args, outcome);
    }
    if (code == EXIT_OK && bv_doc_get(outcome, "error"))
        code = EXIT_FAILED;
    bv_error_free(err);
    bv_doc_free(outcome);
    bv_doc_free(journal);
    return code;
}

int cmd_plugin_call(cli *c, const cli_args *args)
{
    uint64_t seconds = cli_number(args, "timeout", 0);
    bv_script_limits limits = BV_SCRIPT_LIMITS_INIT;
    bv_plugin_opts opts = BV_PLUGIN_OPTS_INIT;
    plugin_options node = { NULL };
    bv_plugin *plugin = NULL;
    bv_error *err = NULL;
    int code = plugin_options_read(args, &node);

    cli_release_signals(); /* nothing needs an orderly end: Ctrl-C just ends us */
    limits.wall_ms = seconds < INT32_MAX ? (int64_t)seconds * 1000 : 0;
    opts.variant = node.variant;
    opts.env = node.env;
    opts.params = node.params;
    opts.secrets = node.secrets;
    opts.answers = cli_text(args, "answers");
    opts.limits = &limits;
    if (code == EXIT_OK)
        code = bv_plugin_open(args->items[0], &opts, &plugin, &err) < 0 ? cli_report(err)
                                                                        : call(c, args, plugin);
    bv_error_free(err);
    bv_plugin_close(plugin);
    plugin_options_done(&node);
    return code;
}
