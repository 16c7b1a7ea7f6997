/*
 * cmd_plugin_check.c - bv plugin check: what is wrong with a plugin, in the manner of a compiler.
 */
#include <string.h>

#include "cli.h"
#include "plugin_options.h"

static const char *str(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "");
}

static int number(const bv_doc *doc, const char *key)
{
    return (int)bv_doc_int64(bv_doc_get(doc, key), 0);
}

static const char *colour_of(const cli *c, const char *severity)
{
    if (!c->colour)
        return "";
    return strcmp(severity, "error") == 0     ? "\033[31m"
           : strcmp(severity, "warning") == 0 ? "\033[33m"
                                              : "\033[34m";
}

/* Not when it is about all of them. */
static void print_variants(const bv_doc *finding, size_t all)
{
    const bv_doc *variants = bv_doc_get(finding, "variants");

    if (bv_doc_count(variants) == all)
        return;
    for (const bv_doc *d = bv_doc_first(variants); d; d = bv_doc_next(d)) {
        (void)fputs(d == bv_doc_first(variants) ? " (" : ", ", stdout);
        cli_put(stdout, bv_doc_string(d, ""));
    }
    (void)putchar(')');
}

/* "<path>:<line>:<column>: <severity>: <message> [<rule>]" */
static void print_finding(const cli *c, const bv_doc *finding, size_t variants)
{
    const char *severity = str(finding, "severity");

    cli_put(stdout, str(finding, "path"));
    (void)printf(":%d:%d: %s%s:%s ", number(finding, "line"), number(finding, "column"),
                 colour_of(c, severity), severity, c->colour ? "\033[0m" : "");
    cli_put(stdout, str(finding, "message"));
    print_variants(finding, variants);
    (void)printf(" [%s]\n", str(finding, "rule"));
}

static void print_summary(const bv_doc *report)
{
    int errors = number(report, "errors");
    int warnings = number(report, "warnings");
    size_t variants = bv_doc_count(bv_doc_get(report, "variants"));

    (void)printf("%d error%s, %d warning%s in %zu variant%s of ", errors, errors == 1 ? "" : "s",
                 warnings, warnings == 1 ? "" : "s", variants, variants == 1 ? "" : "s");
    cli_put(stdout, str(report, "plugin"));
    (void)putchar('\n');
}

static void print_report(const cli *c, const cli_args *args, const bv_doc *report)
{
    const bv_doc *findings = bv_doc_get(report, "findings");
    size_t variants = bv_doc_count(bv_doc_get(report, "variants"));

    for (const bv_doc *d = bv_doc_first(findings); d; d = bv_doc_next(d)) {
        if (strcmp(str(d, "severity"), "note") != 0 || cli_flag(args, "notes"))
            print_finding(c, d, variants);
    }
    if (!c->quiet)
        print_summary(report);
}

int cmd_plugin_check(cli *c, const cli_args *args)
{
    plugin_options node = { NULL };
    bv_doc *report = NULL;
    bv_error *err = NULL;
    int code = plugin_options_read(args, &node);
    const bv_plugin_check_opts opts = {
        .size = sizeof(opts),
        .variant = node.variant,
        .env = node.env,
        .params = node.params,
        .secrets = node.secrets,
    };

    cli_release_signals(); /* nothing needs an orderly end: Ctrl-C just ends us */
    if (code == EXIT_OK && bv_plugin_check(args->items[0], &opts, &report, &err) < 0)
        code = cli_report(err);
    if (report && c->json)
        cli_print_json(report);
    else if (report)
        print_report(c, args, report);
    if (report &&
        (number(report, "errors") || (cli_flag(args, "strict") && number(report, "warnings"))))
        code = EXIT_FAILED;
    bv_error_free(err);
    bv_doc_free(report);
    plugin_options_done(&node);
    return code;
}
