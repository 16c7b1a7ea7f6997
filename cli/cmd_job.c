/*
 * cmd_job.c - bv job ...
 */
#include <string.h>

#include "cli.h"

#define FOLLOW_WAIT_MS 10000

static const char *str(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "-");
}

/* ---- ls, show ---- */

static void print_jobs(cli *c, const bv_doc *jobs)
{
    static const char *const titles[] = { "NAME", "STATUS", "PROGRESS", ">RESTARTS" };
    cli_table *table = cli_table_new(titles, 4);

    for (const bv_doc *j = bv_doc_first(jobs); j; j = bv_doc_next(j)) {
        char restarts[24];
        const char *const cells[] = { str(j, "name"), str(j, "status_text"),
                                      str(j, "progress_text"), restarts };

        (void)snprintf(restarts, sizeof(restarts), "%lld",
                       (long long)bv_doc_int64(bv_doc_get(j, "restart_count"), 0));
        cli_table_row(table, cells, NULL);
    }
    if (bv_doc_count(jobs))
        cli_table_print(table, c);
    else
        (void)puts("No jobs.");
    cli_table_free(table);
}

int cmd_job_ls(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "listing jobs");
    code = cli_call_wait(
        &call, bv_job_list(c->host, args->items[0], cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_jobs(c, bv_doc_get(call.reply, "jobs"));
    cli_call_end(&call);
    return code;
}

static void print_job(const bv_doc *j)
{
    char when[64];
    int64_t seconds = bv_doc_int64(bv_doc_get(bv_doc_get(j, "timestamp"), "secs_since_epoch"), 0);
    const bv_doc *logs = bv_doc_get(j, "logs");

    (void)printf("status:           %s| %s\n", cli_time_text(seconds, when, sizeof(when)),
                 str(j, "status_text"));
    if (bv_doc_string(bv_doc_get(j, "progress_text"), NULL))
        (void)printf("progress:         %s\n", str(j, "progress_text"));
    (void)printf("restart_count:    %lld\n",
                 (long long)bv_doc_int64(bv_doc_get(j, "restart_count"), 0));
    (void)printf("upgrade_blocking: %s\n",
                 bv_doc_is_true(bv_doc_get(j, "upgrade_blocking")) ? "true" : "false");
    (void)printf("logs:             %s\n", bv_doc_count(logs) ? "" : "<empty>");
    for (const bv_doc *entry = bv_doc_first(logs); entry; entry = bv_doc_next(entry))
        (void)printf("  %s\n", bv_doc_string(entry, ""));
}

int cmd_job_show(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "asking node");
    code = cli_call_wait(&call, bv_job_show(c->host, args->items[0], args->items[1], cli_call_done,
                                            &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_job(call.reply);
    cli_call_end(&call);
    return code;
}

/* ---- start, stop, skip, cleanup ---- */

typedef int (*job_fn)(bv_host *host, const char *node, const char *job, bv_reply_fn done,
                      void *data, bv_op **ret_op, bv_error **err);

static int act(cli *c, const char *node, const char *job, const char *what, job_fn fn)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, what);
    code = cli_call_wait(&call, fn(c->host, node, job, cli_call_done, &call, &call.op, &call.err));
    cli_call_end(&call);
    return code;
}

int cmd_job_start(cli *c, const cli_args *args)
{
    return act(c, args->items[0], args->items[1], "starting job", bv_job_start);
}

int cmd_job_skip(cli *c, const cli_args *args)
{
    return act(c, args->items[0], args->items[1], "skipping job", bv_job_skip);
}

int cmd_job_cleanup(cli *c, const cli_args *args)
{
    return act(c, args->items[0], args->items[1], "cleaning up job", bv_job_cleanup);
}

static int stop_all(cli *c, const char *node)
{
    cli_call call;
    int code, first_failure = EXIT_OK;

    cli_call_begin(&call, c, "listing jobs");
    code =
        cli_call_wait(&call, bv_job_list(c->host, node, cli_call_done, &call, &call.op, &call.err));
    for (const bv_doc *j = bv_doc_first(bv_doc_get(call.reply, "jobs")); j; j = bv_doc_next(j)) {
        const char *status = bv_doc_string(bv_doc_get(j, "status"), "");

        if (bv_doc_get(bv_doc_get(j, "status"), "finished") || strcmp(status, "stopped") == 0)
            continue;
        code = act(c, node, str(j, "name"), "stopping job", bv_job_stop);
        first_failure = first_failure == EXIT_OK ? code : first_failure;
    }
    cli_call_end(&call);
    return first_failure == EXIT_OK ? code : first_failure;
}

int cmd_job_stop(cli *c, const cli_args *args)
{
    bool all = cli_flag(args, "all");

    if (all == (args->count == 2))
        return cli_usage_error(args->command, "give a job or --all");
    return all ? stop_all(c, args->items[0])
               : act(c, args->items[0], args->items[1], "stopping job", bv_job_stop);
}

/* ---- logs ---- */

static int print_page(cli *c, const char *node, const char *job, uint32_t lines, uint32_t wait_ms,
                      char *cursor, size_t size)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "reading output");
    call.while_read = wait_ms > 0;
    code = cli_call_wait(&call, bv_job_logs(c->host, node, job, lines, *cursor ? cursor : NULL,
                                            wait_ms, cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK) {
        if (bv_doc_is_true(bv_doc_get(call.reply, "gap")) && !c->quiet)
            (void)fputs("(some output was too fast to follow and is missing here)\n", stderr);
        if (c->json)
            cli_print_json(call.reply);
        else
            (void)fputs(bv_doc_string(bv_doc_get(call.reply, "text"), ""), stdout);
        (void)fflush(stdout);
        (void)snprintf(cursor, size, "%s", bv_doc_string(bv_doc_get(call.reply, "cursor"), ""));
    }
    cli_call_end(&call);
    return code;
}

int cmd_job_logs(cli *c, const cli_args *args)
{
    uint64_t wanted = cli_number(args, "lines", 100);
    uint32_t lines = wanted < UINT32_MAX ? (uint32_t)wanted : UINT32_MAX;
    char cursor[128] = "";
    int code = print_page(c, args->items[0], args->items[1], lines, 0, cursor, sizeof(cursor));

    while (code == EXIT_OK && cli_flag(args, "follow") && !ferror(stdout) && !cli_interrupted(c))
        code = print_page(c, args->items[0], args->items[1], lines, FOLLOW_WAIT_MS, cursor,
                          sizeof(cursor));
    return code;
}
