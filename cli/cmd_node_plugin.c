/*
 * cmd_node_plugin.c - bv node ...: what concerns a node's plugin. Methods, checks, tasks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define PARAM_FILE_MAX (1024 * 1024)

static const char *str(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "-");
}

/* ---- run, caps ---- */

static char *read_file(const char *path, int *ret_code)
{
    FILE *file = fopen(path, "rb");
    char *text = file ? calloc(1, PARAM_FILE_MAX + 2) : NULL;
    size_t len = text ? fread(text, 1, PARAM_FILE_MAX + 1, file) : 0;

    if (!file || (text && ferror(file))) {
        (void)fprintf(stderr, "Error: cannot read '%s': %s\n", path, strerror(errno));
        *ret_code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED;
    } else if (!text || len > PARAM_FILE_MAX) {
        (void)fprintf(stderr, "Error: '%s' is larger than %d bytes\n", path, PARAM_FILE_MAX);
        *ret_code = EXIT_LIMIT;
    }
    if (file)
        (void)fclose(file);
    if (*ret_code == EXIT_OK)
        return text;
    free(text);
    return NULL;
}

/* --param wins. */
static char *read_param(const cli_args *args, int *ret_code)
{
    if (cli_text(args, "param"))
        return strdup(cli_text(args, "param"));
    return cli_text(args, "param-file") ? read_file(cli_text(args, "param-file"), ret_code) : NULL;
}

int cmd_node_run(cli *c, const cli_args *args)
{
    bv_node_run_opts opts = BV_NODE_RUN_OPTS_INIT;
    int code = EXIT_OK;
    char *param = read_param(args, &code);
    cli_call call;

    if (code != EXIT_OK)
        return code;
    opts.param = param;
    opts.timeout_ms = cli_number(args, "timeout", 0) * 1000;
    cli_call_begin(&call, c, "running method");
    code = cli_call_wait(&call, bv_node_run(c->host, args->items[1], args->items[0], &opts,
                                            cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        (void)puts(bv_doc_string(bv_doc_get(call.reply, "result"), ""));
    cli_call_end(&call);
    free(param);
    return code;
}

int cmd_node_caps(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "asking node");
    code = cli_call_wait(&call, bv_node_capabilities(c->host, args->items[0], cli_call_done, &call,
                                                     &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    for (const bv_doc *name = c->json ? NULL : bv_doc_first(bv_doc_get(call.reply, "capabilities"));
         name; name = bv_doc_next(name))
        (void)puts(bv_doc_string(name, ""));
    cli_call_end(&call);
    return code;
}

/* ---- check ---- */

static void add_check_rows(cli_table *table, const bv_doc *check)
{
    static const struct {
        const char *key;
        const char *colour;
    } lists[] = { { "problems", "\033[31m" }, { "notes", NULL } };
    bool passed = bv_doc_is_true(bv_doc_get(check, "passed"));
    const char *name = str(check, "name");
    const char *result = passed ? "passed" : "FAILED";
    bool first = true;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const bv_doc *texts = bv_doc_get(check, lists[i].key);

        for (const bv_doc *t = bv_doc_first(texts); t; t = bv_doc_next(t)) {
            const char *const cells[] = { first ? name : "", first ? result : "",
                                          bv_doc_string(t, "") };
            const char *const colours[] = { NULL, passed ? "\033[32m" : "\033[31m",
                                            lists[i].colour };

            cli_table_row(table, cells, colours);
            first = false;
        }
    }
    if (first) {
        const char *const cells[] = { name, result, "" };
        const char *const colours[] = { NULL, passed ? "\033[32m" : "\033[31m", NULL };

        cli_table_row(table, cells, colours);
    }
}

static void print_checks(const cli *c, const bv_doc *reply)
{
    static const char *const titles[] = { "Check", "Result", "Reason" };
    cli_table *table = cli_table_new(titles, 3);

    for (const bv_doc *i = bv_doc_first(bv_doc_get(reply, "checks")); i; i = bv_doc_next(i))
        add_check_rows(table, i);
    cli_table_print(table, c);
    cli_table_free(table);
    (void)puts(bv_doc_is_true(bv_doc_get(reply, "passed")) ? "All checks passed!"
                                                           : "Some checks failed.");
}

static bv_doc *checks_doc(const cli_args *args)
{
    cli_json j = { 0 };

    for (int i = 1; i < args->count; i++) {
        cli_json_raw(&j, i > 1 ? "," : "[");
        cli_json_string(&j, args->items[i]);
    }
    if (args->count < 2)
        return NULL;
    cli_json_raw(&j, "]");
    return cli_json_doc(&j);
}

int cmd_node_check(cli *c, const cli_args *args)
{
    bv_node_check_opts opts = BV_NODE_CHECK_OPTS_INIT;
    bv_doc *names = checks_doc(args);
    cli_call call;
    int code;

    opts.checks = names;
    opts.start = cli_flag(args, "start");
    opts.start_timeout_ms = cli_number(args, "start-timeout", 0) * 1000;
    if (cli_text(args, "jobs-wait"))
        opts.jobs_wait_ms = (int64_t)cli_number(args, "jobs-wait", 0) * 1000;
    cli_call_begin(&call, c, "checking node");
    code = cli_call_wait(&call, bv_node_check(c->host, args->items[0], &opts, cli_call_done, &call,
                                              &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_checks(c, call.reply);
    if (code == EXIT_OK && !bv_doc_is_true(bv_doc_get(call.reply, "passed")))
        code = EXIT_FAILED;
    cli_call_end(&call);
    bv_doc_free(names);
    return code;
}

/* ---- tasks ---- */

static void print_tasks(const cli *c, const bv_doc *reply)
{
    static const char *const titles[] = { "Name", "Schedule", "Call", "Next" };
    const bv_doc *tasks = bv_doc_get(reply, "tasks");
    cli_table *table;

    if (!bv_doc_count(tasks)) {
        (void)puts("No tasks found.");
        return;
    }
    table = cli_table_new(titles, 4);
    for (const bv_doc *t = bv_doc_first(tasks); t; t = bv_doc_next(t)) {
        char next[64], call[256];
        const char *cells[] = { str(t, "name"), str(t, "schedule"), call, "never" };

        (void)snprintf(call, sizeof(call), "%s(%s)", str(t, "function"), str(t, "param"));
        if (bv_doc_is_true(bv_doc_get(t, "running")))
            cells[3] = "now";
        else if (bv_doc_type_of(bv_doc_get(t, "next_at")) == BV_DOC_NUMBER)
            cells[3] = cli_time_text(bv_doc_int64(bv_doc_get(t, "next_at"), 0), next, sizeof(next));
        cli_table_row(table, cells, NULL);
    }
    cli_table_print(table, c);
    cli_table_free(table);
}

int cmd_node_tasks(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "asking node");
    code = cli_call_wait(
        &call, bv_node_tasks(c->host, args->items[0], cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_tasks(c, call.reply);
    cli_call_end(&call);
    return code;
}
