/*
 * cmd_node.c - bv node ...
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char *str(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "-");
}

/* A number, or "-" when there is none. */
static const char *num(const bv_doc *doc, const char *key, char *text, size_t size)
{
    const bv_doc *value = bv_doc_get(doc, key);

    if (bv_doc_type_of(value) != BV_DOC_NUMBER)
        return "-";
    (void)snprintf(text, size, "%lld", (long long)bv_doc_int64(value, 0));
    return text;
}

/* ---- ls ---- */

static bool has_tag(const bv_doc *node, const cli_args *args)
{
    int count = 0;
    const char *const *tags = cli_list(args, "tag", &count);

    for (int i = 0; i < count; i++) {
        for (const bv_doc *t = bv_doc_first(bv_doc_get(node, "tags")); t; t = bv_doc_next(t)) {
            if (strcmp(bv_doc_string(t, ""), tags[i]) == 0)
                return true;
        }
    }
    return count == 0;
}

static bool is_wanted(const bv_doc *node, const cli_args *args)
{
    return has_tag(node, args) &&
           (!cli_flag(args, "running") || strcmp(str(node, "status"), "running") == 0);
}

static void add_node_row(cli_table *table, const bv_doc *node)
{
    const char *status = str(node, "status");
    const char *problem = bv_doc_string(bv_doc_get(node, "problem"), "");
    const char *ip = str(node, "ip");
    char uptime[32];
    const char *const cells[] = { str(node, "id"),
                                  str(node, "name"),
                                  str(bv_doc_get(node, "image"), "name"),
                                  status,
                                  *ip ? ip : "-",
                                  cli_uptime_text(bv_doc_int64(bv_doc_get(node, "uptime_s"), -1),
                                                  uptime, sizeof(uptime)),
                                  problem };
    const char *const colours[] = { NULL,       "\033[36m", "\033[34m", cli_status_colour(status),
                                    "\033[33m", NULL,       "\033[31m" };

    cli_table_row(table, cells, colours);
}

static bool has_problem(const bv_doc *reply, const cli_args *args)
{
    for (const bv_doc *n = bv_doc_first(bv_doc_get(reply, "nodes")); n; n = bv_doc_next(n)) {
        if (is_wanted(n, args) && bv_doc_string(bv_doc_get(n, "problem"), NULL))
            return true;
    }
    return false;
}

static void print_nodes(cli *c, const cli_args *args, const bv_doc *reply)
{
    static const char *const titles[] = { "ID",         "Name",    "Image",  "State",
                                          "IP Address", ">Uptime", "Problem" };
    cli_table *table = cli_table_new(titles, has_problem(reply, args) ? 7 : 6);
    int shown = 0;

    for (const bv_doc *n = bv_doc_first(bv_doc_get(reply, "nodes")); n; n = bv_doc_next(n)) {
        if (is_wanted(n, args)) {
            add_node_row(table, n);
            shown++;
        }
    }
    if (shown)
        cli_table_print(table, c);
    else
        (void)puts("No nodes found.");
    cli_table_free(table);
}

static void print_nodes_json(const cli_args *args, const bv_doc *reply)
{
    bool first = true;

    (void)fputs("{\"nodes\":[", stdout);
    for (const bv_doc *n = bv_doc_first(bv_doc_get(reply, "nodes")); n; n = bv_doc_next(n)) {
        char *text = NULL;

        if (is_wanted(n, args) && bv_doc_print(n, 0, &text, NULL) == 0) {
            (void)printf("%s\n%s", first ? "" : ",", text);
            first = false;
        }
        bv_free(text);
    }
    (void)fputs("]}\n", stdout);
}

int cmd_node_ls(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "listing nodes");
    code = cli_call_wait(&call, bv_node_list(c->host, cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        print_nodes_json(args, call.reply);
    else if (code == EXIT_OK)
        print_nodes(c, args, call.reply);
    cli_call_end(&call);
    return code;
}

/* ---- create ---- */

/* A document out of an option, or a usage error. */
static bv_doc *made(const cli_args *args, const char *what, bv_doc *doc, bool *ret_bad)
{
    if (!doc) {
        (void)cli_usage_error(args->command, "%s: a key is there twice, or a value is not UTF-8",
                              what);
        *ret_bad = true;
    }
    return doc;
}

/* "KEY=VALUE" as a member of an object, or a usage error. */
static bool add_pair(cli_json *j, const cli_args *args, const char *what, const char *pair)
{
    const char *equals = strchr(pair, '=');
    char key[256];

    if (!equals || equals == pair || (size_t)(equals - pair) >= sizeof(key)) {
        (void)cli_usage_error(args->command, "%s: '%s' is not KEY=VALUE", what, pair);
        return false;
    }
    memcpy(key, pair, (size_t)(equals - pair));
    key[equals - pair] = '\0';
    cli_json_string(j, key);
    cli_json_raw(j, ":");
    cli_json_string(j, equals + 1);
    return true;
}

static bv_doc *pairs_doc(const cli_args *args, const char *what, const char *const *pairs,
                         int count, bool *ret_bad)
{
    cli_json j = { 0 };

    for (int i = 0; i < count; i++) {
        cli_json_raw(&j, i ? "," : "{");
        if (!add_pair(&j, args, what, pairs[i])) {
            *ret_bad = true;
            free(j.text);
            return NULL;
        }
    }
    if (count == 0)
        return NULL;
    cli_json_raw(&j, "}");
    return made(args, what, cli_json_doc(&j), ret_bad);
}

static bv_doc *properties_doc(const cli_args *args, bool *ret_bad)
{
    int count = 0;
    const char *const *pairs = cli_list(args, "prop", &count);

    return pairs_doc(args, "--prop", pairs, count, ret_bad);
}

static bv_doc *tags_doc(const cli_args *args, bool *ret_bad)
{
    int count = 0;
    const char *const *tags = cli_list(args, "tag", &count);
    cli_json j = { 0 };

    for (int i = 0; i < count; i++) {
        cli_json_raw(&j, i ? "," : "[");
        cli_json_string(&j, tags[i]);
    }
    if (count == 0)
        return NULL;
    cli_json_raw(&j, "]");
    return made(args, "--tag", cli_json_doc(&j), ret_bad);
}

static int parse_cpus(const cli_args *args, double *ret_cpus)
{
    const char *text = cli_text(args, "cpus");
    char *end = NULL;

    if (!text)
        return EXIT_OK;
    *ret_cpus = strtod(text, &end);
    if (end == text || *end || !(*ret_cpus > 0) || *ret_cpus > 4096)
        return cli_usage_error(args->command, "--cpus: '%s' is not a number above zero", text);
    return EXIT_OK;
}

/* The daemon has another working directory. */
static int absolute(const char *given, char **ret_path)
{
    *ret_path = given ? realpath(given, NULL) : NULL;
    if (*ret_path || !given)
        return EXIT_OK;
    (void)fprintf(stderr, "Error: cannot use '%s': %s\n", given, strerror(errno));
    return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED;
}

int cmd_node_create(cli *c, const cli_args *args)
{
    bv_node_create_opts opts = BV_NODE_CREATE_OPTS_INIT;
    char *plugin_dir = NULL;
    bool bad = false;
    bv_doc *properties = properties_doc(args, &bad);
    bv_doc *tags = tags_doc(args, &bad);
    cli_call call;
    int code = bad ? EXIT_USAGE : parse_cpus(args, &opts.cpus);

    if (code == EXIT_OK)
        code = absolute(cli_text(args, "dev"), &plugin_dir);
    if (code == EXIT_OK) {
        opts.image = args->items[0];
        opts.plugin_dir = plugin_dir;
        opts.name = cli_text(args, "name");
        opts.variant = cli_text(args, "variant");
        opts.network = cli_text(args, "network");
        opts.store_key = cli_text(args, "store-key");
        opts.snapshot_version = (int64_t)cli_number(args, "snapshot-version", 0);
        opts.memory_mb = cli_number(args, "memory-mb", 0);
        opts.properties = properties;
        opts.tags = tags;
        cli_call_begin(&call, c, "creating node");
        code = cli_call_wait(
            &call, bv_node_create(c->host, &opts, cli_call_done, &call, &call.op, &call.err));
        if (code == EXIT_OK && c->json)
            cli_print_json(call.reply);
        else if (code == EXIT_OK)
            (void)printf("Created node `%s` with ID `%s`\n", str(call.reply, "name"),
                         str(call.reply, "id"));
        cli_call_end(&call);
    }
    bv_doc_free(properties);
    bv_doc_free(tags);
    free(plugin_dir);
    return code;
}

int cmd_node_set(cli *c, const cli_args *args)
{
    bool bad = false;
    bv_doc *properties =
        pairs_doc(args, "property", (const char *const *)args->items + 1, args->count - 1, &bad);
    cli_call call;
    int code;

    if (bad)
        return EXIT_USAGE;
    cli_call_begin(&call, c, "updating node");
    code = cli_call_wait(&call, bv_node_update(c->host, args->items[0], properties, cli_call_done,
                                               &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        (void)printf("Updated node `%s`\n", args->items[0]);
    cli_call_end(&call);
    bv_doc_free(properties);
    return code;
}

/* ---- start, stop, restart, rm: one call for each node, all tried, the first failure is the exit
 * code ---- */

typedef int (*node_call_fn)(cli *c, const cli_args *args, const char *node, cli_call *call);

static int for_each_node(cli *c, const cli_args *args, const char *what, const char *done,
                         node_call_fn start)
{
    int first_failure = EXIT_OK;

    for (int i = 0; i < args->count; i++) {
        cli_call call;
        int code;

        cli_call_begin(&call, c, what);
        code = cli_call_wait(&call, start(c, args, args->items[i], &call));
        if (code == EXIT_OK && c->json)
            cli_print_json(call.reply);
        else if (code == EXIT_OK)
            (void)printf("%s node `%s`\n", done, args->items[i]);
        else if (first_failure == EXIT_OK)
            first_failure = code;
        cli_call_end(&call);
        if (code == EXIT_INTERRUPTED)
            break;
    }
    return first_failure;
}

static int start_one(cli *c, const cli_args *args, const char *node, cli_call *call)
{
    (void)args;
    return bv_node_start(c->host, node, cli_call_done, call, &call->op, &call->err);
}

static int stop_one(cli *c, const cli_args *args, const char *node, cli_call *call)
{
    return bv_node_stop(c->host, node, cli_flag(args, "force"), cli_call_done, call, &call->op,
                        &call->err);
}

static int restart_one(cli *c, const cli_args *args, const char *node, cli_call *call)
{
    return bv_node_restart(c->host, node, cli_flag(args, "force"), cli_call_done, call, &call->op,
                           &call->err);
}

static int reload_one(cli *c, const cli_args *args, const char *node, cli_call *call)
{
    (void)args;
    return bv_node_reload(c->host, node, cli_call_done, call, &call->op, &call->err);
}

static int delete_one(cli *c, const cli_args *args, const char *node, cli_call *call)
{
    (void)args;
    return bv_node_delete(c->host, node, cli_call_done, call, &call->op, &call->err);
}

int cmd_node_start(cli *c, const cli_args *args)
{
    return for_each_node(c, args, "starting node", "Started", start_one);
}

int cmd_node_stop(cli *c, const cli_args *args)
{
    return for_each_node(c, args, "stopping node", "Stopped", stop_one);
}

int cmd_node_restart(cli *c, const cli_args *args)
{
    return for_each_node(c, args, "restarting node", "Restarted", restart_one);
}

int cmd_node_reload(cli *c, const cli_args *args)
{
    return for_each_node(c, args, "reloading plugin", "Reloaded the plugin of", reload_one);
}

int cmd_node_rm(cli *c, const cli_args *args)
{
    if (!cli_flag(args, "yes")) {
        (void)fputs("These nodes and their data will be deleted:\n", stderr);
        for (int i = 0; i < args->count; i++)
            (void)fprintf(stderr, "  %s\n", args->items[i]);
        if (!cli_confirm(c, "Are you sure?"))
            return EXIT_OK;
    }
    return for_each_node(c, args, "deleting node", "Deleted", delete_one);
}

/* ---- show, status ---- */

static void line(const char *label, const char *value)
{
    (void)printf("%-16s ", label);
    cli_put(stdout, value && *value ? value : "-");
    (void)fputc('\n', stdout);
}

static void print_jobs(const bv_doc *jobs)
{
    if (!bv_doc_count(jobs))
        return;
    (void)puts("Jobs:");
    for (const bv_doc *j = bv_doc_first(jobs); j; j = bv_doc_next(j)) {
        const char *progress = bv_doc_string(bv_doc_get(j, "progress_text"), NULL);

        (void)printf("  %-18s %s", str(j, "name"), str(j, "status_text"));
        if (progress)
            (void)printf(", %s", progress);
        (void)printf(", %lld restarts\n",
                     (long long)bv_doc_int64(bv_doc_get(j, "restart_count"), 0));
    }
}

static void print_properties(const bv_doc *properties)
{
    for (const bv_doc *p = bv_doc_first(properties); p; p = bv_doc_next(p))
        (void)printf("%-16s %s = %s\n", p == bv_doc_first(properties) ? "Properties:" : "",
                     bv_doc_key(p), bv_doc_string(p, ""));
}

/* What only some protocols have. */
static void print_reported(const bv_doc *n)
{
    static const struct {
        const char *key;
        const char *label;
    } rows[] = {
        { "consensus", "In consensus:" },      { "apr", "APR:" },           { "jailed", "Jailed:" },
        { "jailed_reason", "Jailed reason:" }, { "sqd_name", "SQD name:" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const bv_doc *value = bv_doc_get(n, rows[i].key);
        char text[64];

        (void)snprintf(text, sizeof(text), "%.15g", bv_doc_double(value, 0));
        if (bv_doc_type_of(value) == BV_DOC_BOOL)
            line(rows[i].label, bv_doc_is_true(value) ? "true" : "false");
        else if (bv_doc_type_of(value) != BV_DOC_NULL)
            line(rows[i].label, bv_doc_string(value, text));
    }
}

static void print_node(const bv_doc *n)
{
    const bv_doc *status = bv_doc_get(n, "protocol_status");
    char text[64], state[160];

    line("Name:", str(n, "name"));
    line("Id:", str(n, "id"));
    line("Image:", str(bv_doc_get(n, "image"), "name"));
    if (bv_doc_string(bv_doc_get(n, "plugin_dir"), NULL))
        line("Plugin:", str(n, "plugin_dir"));
    line("Status:", str(n, "status"));
    line("Expected:", str(n, "expected_status"));
    line("Problem:", bv_doc_string(bv_doc_get(n, "problem"), NULL));
    line("Network:", str(n, "network"));
    line("Ip:", str(n, "ip"));
    line("Pid:", num(n, "pid", text, sizeof(text)));
    line("Uptime:",
         cli_uptime_text(bv_doc_int64(bv_doc_get(n, "uptime_s"), -1), text, sizeof(text)));
    line("Block height:", num(n, "height", text, sizeof(text)));
    line("Block age:", num(n, "block_age", text, sizeof(text)));
    (void)snprintf(state, sizeof(state), "%s (%s)", str(status, "state"), str(status, "health"));
    line("Protocol:", bv_doc_type_of(status) == BV_DOC_OBJECT ? state : NULL);
    line("Reported name:", bv_doc_string(bv_doc_get(n, "reported_name"), NULL));
    line("Address:", bv_doc_string(bv_doc_get(n, "address"), NULL));
    print_reported(n);
    line("Store key:", bv_doc_string(bv_doc_get(n, "store_key"), NULL));
    print_properties(bv_doc_get(n, "properties"));
    print_jobs(bv_doc_get(n, "jobs"));
}

int cmd_node_show(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "asking node");
    code = cli_call_wait(
        &call, bv_node_show(c->host, args->items[0], cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_node(call.reply);
    cli_call_end(&call);
    return code;
}

static const bv_doc *find_node(const bv_doc *reply, const char *name)
{
    for (const bv_doc *n = bv_doc_first(bv_doc_get(reply, "nodes")); n; n = bv_doc_next(n)) {
        if (strcmp(str(n, "name"), name) == 0 || strcmp(str(n, "id"), name) == 0)
            return n;
    }
    return NULL;
}

static void print_status(const cli *c, const bv_doc *n, bool first)
{
    if (c->json)
        (void)printf("%s\"%s\":\"%s\"", first ? "" : ",", str(n, "name"), str(n, "status"));
    else
        (void)puts(str(n, "status"));
}

int cmd_node_status(cli *c, const cli_args *args)
{
    cli_call call;
    int code, shown = 0;

    cli_call_begin(&call, c, "listing nodes");
    code = cli_call_wait(&call, bv_node_list(c->host, cli_call_done, &call, &call.op, &call.err));
    if (call.reply && c->json)
        (void)fputs("{", stdout);
    for (int i = 0; call.reply && i < args->count; i++) {
        const bv_doc *n = find_node(call.reply, args->items[i]);

        if (n) {
            print_status(c, n, shown++ == 0);
        } else {
            (void)fprintf(stderr, "Error: there is no node '%s'\n", args->items[i]);
            code = EXIT_NOT_FOUND;
        }
    }
    if (call.reply && c->json)
        (void)fputs("}\n", stdout);
    cli_call_end(&call);
    return code;
}

/* ---- shell: the runtime's own exec, with our terminal ---- */

static int exec_in(const bv_doc *argv, const cli_args *args)
{
    size_t count = bv_doc_count(argv) + (size_t)args->count + 1;
    const char **words = calloc(count + 1, sizeof(*words));
    size_t at = 0;

    if (!words || !bv_doc_first(argv)) {
        (void)fputs("Error: the host does not say how to run a command in the node\n", stderr);
        free(words);
        return EXIT_UNSUPPORTED;
    }
    for (const bv_doc *word = bv_doc_first(argv); word; word = bv_doc_next(word))
        words[at++] = bv_doc_string(word, "");
    for (int i = 1; i < args->count; i++)
        words[at++] = args->items[i];
    if (args->count < 2)
        words[at++] = "/bin/sh";
    (void)fflush(stdout);
    cli_release_signals();
    (void)execvp(words[0], (char *const *)words);
    (void)fprintf(stderr, "Error: cannot run '%s': %s\n", words[0], strerror(errno));
    free(words);
    return EXIT_FAILED;
}

int cmd_node_shell(cli *c, const cli_args *args)
{
    cli_json j = { 0 };
    bv_doc *call_args;
    cli_call call;
    int code;

    cli_json_raw(&j, "{\"node\":");
    cli_json_string(&j, args->items[0]);
    cli_json_raw(&j, "}");
    call_args = cli_json_doc(&j);
    cli_call_begin(&call, c, "asking node");
    code = cli_call_wait(&call, bv_host_call(c->host, "node.exec", call_args, cli_call_done, &call,
                                             &call.op, &call.err));
    bv_doc_free(call_args);
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        code = exec_in(bv_doc_get(call.reply, "argv"), args);
    cli_call_end(&call);
    return code;
}
