/*
 * cmd_host.c - bv host ... and bv events
 */
#include <string.h>

#include "cli.h"

#define FOLLOW_WAIT_MS 10000

static const char *str(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "-");
}

static void bytes_line(const char *label, const bv_doc *doc, const char *key)
{
    char size[32];

    (void)printf(
        "%-12s %s\n", label,
        cli_size_text((uint64_t)bv_doc_int64(bv_doc_get(doc, key), 0), size, sizeof(size)));
}

static void print_info(const bv_doc *h)
{
    (void)printf("Hostname:    %s\n", str(h, "hostname"));
    (void)printf("OS name:     %s\n", str(h, "os"));
    (void)printf("OS version:  %s\n", str(h, "os_version"));
    (void)printf("CPU count:   %lld\n", (long long)bv_doc_int64(bv_doc_get(h, "cpus"), 0));
    bytes_line("Total mem:", h, "memory_bytes");
    bytes_line("Total disk:", h, "disk_bytes");
    bytes_line("Free disk:", h, "disk_available_bytes");
    (void)printf("Version:     %s\n", str(h, "version"));
    (void)printf("Root:        %s\n", str(h, "root"));
    (void)printf("Driver:      %s\n", str(h, "driver"));
    (void)printf("Store:       %s\n", str(h, "store"));
    (void)printf("Pid:         %lld\n", (long long)bv_doc_int64(bv_doc_get(h, "pid"), 0));
}

int cmd_host_info(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    (void)args;
    cli_call_begin(&call, c, "asking host");
    code = cli_call_wait(&call, bv_host_info(c->host, cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_info(call.reply);
    cli_call_end(&call);
    return code;
}

static void print_metrics(const bv_doc *m)
{
    char uptime[32];
    double total = bv_doc_double(bv_doc_get(m, "cpu_total_us"), 0);

    for (const bv_doc *n = bv_doc_first(bv_doc_get(m, "nodes")); n; n = bv_doc_next(n))
        (void)printf("Nodes %-9s %lld\n", bv_doc_key(n), (long long)bv_doc_int64(n, 0));
    (void)printf("CPU since boot: %.1f %%\n",
                 total > 0 ? bv_doc_double(bv_doc_get(m, "cpu_busy_us"), 0) * 100 / total : 0);
    bytes_line("Free mem:", m, "memory_available_bytes");
    (void)printf("Load:           %.2f %.2f %.2f\n", bv_doc_double(bv_doc_get(m, "load1"), 0),
                 bv_doc_double(bv_doc_get(m, "load5"), 0),
                 bv_doc_double(bv_doc_get(m, "load15"), 0));
    bytes_line("Network in:", m, "net_received_bytes");
    bytes_line("Network out:", m, "net_sent_bytes");
    (void)printf(
        "Uptime:         %s\n",
        cli_uptime_text(bv_doc_int64(bv_doc_get(m, "uptime_s"), -1), uptime, sizeof(uptime)));
}

int cmd_host_metrics(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    (void)args;
    cli_call_begin(&call, c, "asking host");
    code = cli_call_wait(&call, bv_host_call(c->host, "host.metrics", NULL, cli_call_done, &call,
                                             &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_metrics(call.reply);
    cli_call_end(&call);
    return code;
}

/* ---- events ---- */

static void print_event(cli *c, const bv_doc *e)
{
    char when[64];
    char *text = NULL;

    if (c->json) {
        if (bv_doc_print(e, 0, &text, NULL) == 0)
            (void)puts(text);
        bv_free(text);
        return;
    }
    (void)printf(
        "%s  %-18s %-20s ",
        cli_time_text(bv_doc_int64(bv_doc_get(e, "time_ms"), 0) / 1000, when, sizeof(when)),
        str(e, "type"), str(e, "node"));
    cli_put(stdout, bv_doc_string(bv_doc_get(e, "message"), ""));
    (void)fputc('\n', stdout);
}

static int print_events(cli *c, int64_t *after, uint32_t wait_ms)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "reading events");
    call.while_read = wait_ms > 0;
    code = cli_call_wait(
        &call, bv_host_events(c->host, *after, wait_ms, cli_call_done, &call, &call.op, &call.err));
    for (const bv_doc *e = bv_doc_first(bv_doc_get(call.reply, "events")); e; e = bv_doc_next(e))
        print_event(c, e);
    (void)fflush(stdout);
    if (code == EXIT_OK)
        *after = bv_doc_int64(bv_doc_get(call.reply, "next"), *after);
    cli_call_end(&call);
    return code;
}

int cmd_events(cli *c, const cli_args *args)
{
    int64_t after = (int64_t)cli_number(args, "after", 0);
    int code = print_events(c, &after, 0);

    while (code == EXIT_OK && cli_flag(args, "follow") && !ferror(stdout) && !cli_interrupted(c))
        code = print_events(c, &after, FOLLOW_WAIT_MS);
    return code;
}
