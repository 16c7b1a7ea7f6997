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

/* ---- limits ---- */

/* Options of `bv host limits` and what they set. */
static const struct {
    const char *option;
    const char *key;
    bool is_rate;
} limit_options[] = {
    { "memory-mib", "memory_mib", false },
    { "connections", "connections", false },
    { "open-files", "open_files", false },
    { "download-rate", "download_bytes_per_s", true },
    { "upload-rate", "upload_bytes_per_s", true },
};

#define LIMIT_OPTIONS (sizeof(limit_options) / sizeof(limit_options[0]))

static int read_limit(const cli_args *args, size_t i, uint64_t *value)
{
    const char *text = limit_options[i].is_rate ? cli_text(args, limit_options[i].option) : NULL;

    if (!limit_options[i].is_rate)
        *value = cli_number(args, limit_options[i].option, *value);
    else if (text && !cli_size_parse(text, value))
        return cli_usage_error(args->command, "--%s: '%s' is not a number of bytes such as 20M",
                               limit_options[i].option, text);
    return EXIT_OK;
}

/* NULL without an error: nothing is to be set. */
static int limits_to_set(const cli_args *args, bv_doc **ret_doc)
{
    const char *before = "{";
    cli_json j = { 0 };

    for (size_t i = 0; i < LIMIT_OPTIONS; i++) {
        uint64_t value = UINT64_MAX;
        char number[32];
        int code = read_limit(args, i, &value);

        if (code != EXIT_OK) {
            bv_doc_free(cli_json_doc(&j));
            return code;
        }
        if (value == UINT64_MAX)
            continue;
        (void)snprintf(number, sizeof(number), ":%llu", (unsigned long long)value);
        cli_json_raw(&j, before);
        cli_json_string(&j, limit_options[i].key);
        cli_json_raw(&j, number);
        before = ",";
    }
    if (*before == ',')
        cli_json_raw(&j, "}");
    *ret_doc = *before == ',' ? cli_json_doc(&j) : NULL;
    return EXIT_OK;
}

static void print_rate(const char *label, const bv_doc *doc, const char *key)
{
    uint64_t rate = (uint64_t)bv_doc_int64(bv_doc_get(doc, key), 0);
    char size[32];

    if (rate)
        (void)printf("%-16s %s/s\n", label, cli_size_text(rate, size, sizeof(size)));
    else
        (void)printf("%-16s no limit\n", label);
}

static void print_limits(const bv_doc *l)
{
    const bv_doc *use = bv_doc_get(l, "in_use");
    char size[32];

    (void)printf("%-16s %lld MiB (%s in use)\n",
                 "Memory:", (long long)bv_doc_int64(bv_doc_get(l, "memory_mib"), 0),
                 cli_size_text((uint64_t)bv_doc_int64(bv_doc_get(use, "memory_bytes"), 0), size,
                               sizeof(size)));
    (void)printf("%-16s %lld (%lld in use)\n",
                 "Connections:", (long long)bv_doc_int64(bv_doc_get(l, "connections"), 0),
                 (long long)bv_doc_int64(bv_doc_get(use, "connections"), 0));
    (void)printf("%-16s %lld (%lld in use)\n",
                 "Open files:", (long long)bv_doc_int64(bv_doc_get(l, "open_files"), 0),
                 (long long)bv_doc_int64(bv_doc_get(use, "open_files"), 0));
    print_rate("Download rate:", l, "download_bytes_per_s");
    print_rate("Upload rate:", l, "upload_bytes_per_s");
    (void)printf("%-16s %lld\n", "Waiting:",
                 (long long)bv_doc_int64(bv_doc_get(use, "waiting"), 0) +
                     (long long)bv_doc_int64(bv_doc_get(use, "throttled"), 0));
}

int cmd_host_limits(cli *c, const cli_args *args)
{
    bv_doc *set = NULL;
    cli_call call;
    int code = limits_to_set(args, &set);

    if (code != EXIT_OK)
        return code;
    cli_call_begin(&call, c, "asking host");
    code = cli_call_wait(&call, bv_host_call(c->host, set ? "host.set_limits" : "host.limits", set,
                                             cli_call_done, &call, &call.op, &call.err));
    bv_doc_free(set);
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_limits(call.reply);
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
