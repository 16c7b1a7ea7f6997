/*
 * cmd_host.c - bv host ..., bv events and bv completion
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
        "%s  %-18s %-20s %s\n",
        cli_time_text(bv_doc_int64(bv_doc_get(e, "time_ms"), 0) / 1000, when, sizeof(when)),
        str(e, "type"), str(e, "node"), bv_doc_string(bv_doc_get(e, "message"), ""));
}

static int print_events(cli *c, int64_t *after, uint32_t wait_ms)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "reading events");
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

/* ---- completion: written from the same table as everything else ---- */

static void print_words(const char *group)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *command = &cli_commands[i];

        if (group ? command->group && strcmp(command->group, group) == 0 : !command->group)
            (void)printf(" %s", command->name);
    }
}

static void print_groups(const char *separator)
{
    const char *last = NULL;

    for (size_t i = 0; i < cli_command_count; i++) {
        const char *group = cli_commands[i].group;

        if (group && (!last || strcmp(group, last) != 0)) {
            (void)printf("%s%s", last ? separator : "", group);
            last = group;
        }
    }
}

static void print_group_cases(void)
{
    const char *last = "";

    for (size_t i = 0; i < cli_command_count; i++) {
        if (cli_commands[i].group && strcmp(cli_commands[i].group, last) != 0) {
            last = cli_commands[i].group;
            (void)printf("        %s) words='", last);
            print_words(last);
            (void)printf("' ;;\n");
        }
    }
}

static void print_option_case(const cli_command *command)
{
    (void)printf("        '%s%s%s') options='--help", command->group ? command->group : "",
                 command->group ? " " : "", command->name);
    for (const cli_option *o = command->options; o->name; o++)
        (void)printf(" --%s", o->name);
    (void)printf("' ;;\n");
}

static void print_names_of_things(void)
{
    (void)printf("    case \"$group $name\" in\n"
                 "    'node create') words=$(bv -q -o json image ls 2>/dev/null | sed -n "
                 "'s/^.*\"name\":[[:space:]]*\"\\(.*\\)\".*/\\1/p') ;;\n"
                 "    'image rm') words=$(bv -q -o json image ls 2>/dev/null | sed -n "
                 "'s/^.*\"name\":[[:space:]]*\"\\(.*\\)\".*/\\1/p') ;;\n"
                 "    'image import') COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
                 "    'node '?*|'job '?*|'snapshot upload') words=$(bv -q node ls 2>/dev/null | "
                 "sed 1,2d | awk '{print $2}') ;;\n"
                 "    esac\n");
}

int cmd_completion(cli *c, const cli_args *args)
{
    (void)c;
    if (strcmp(args->items[0], "bash") != 0)
        return cli_usage_error(args->command, "there is no completion for '%s'", args->items[0]);
    (void)printf(
        "# bash completion for bv; load it with: source <(bv completion bash)\n"
        "_bv() {\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} group='' name='' words='' options='' item i\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        item=${COMP_WORDS[i]}\n"
        "        if [[ $item == -* ]]; then continue; fi\n"
        "        if [[ -n $name ]]; then break; fi\n"
        "        case $item in\n        ");
    print_groups("|");
    (void)printf(") if [[ -z $group ]]; then group=$item; else name=$item; fi ;;\n"
                 "        *) name=$item ;;\n"
                 "        esac\n"
                 "    done\n"
                 "    if [[ $word == -* ]]; then\n"
                 "        case \"${group:+$group }$name\" in\n");
    for (size_t i = 0; i < cli_command_count; i++)
        print_option_case(&cli_commands[i]);
    (void)printf("        *) options='");
    for (const cli_option *o = cli_global_options; o->name; o++)
        (void)printf("--%s ", o->name);
    (void)printf("' ;;\n        esac\n"
                 "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
                 "        return\n"
                 "    fi\n"
                 "    if [[ -z $name ]]; then\n"
                 "        case $group in\n"
                 "        '') words='");
    print_groups(" ");
    print_words(NULL);
    (void)printf("' ;;\n");
    print_group_cases();
    (void)printf("        esac\n"
                 "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                 "        return\n"
                 "    fi\n");
    print_names_of_things();
    (void)printf("    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                 "}\n"
                 "complete -F _bv bv\n");
    return EXIT_OK;
}
