/*
 * main.c - `bv`: reads the command line, opens the host, runs one command.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"

#define WORKERS 2

static bool is_group(const char *word)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (cli_commands[i].group && strcmp(cli_commands[i].group, word) == 0)
            return true;
    }
    return false;
}

static const cli_option *global_option(const char *word)
{
    bool is_long = word[0] == '-' && word[1] == '-';
    size_t len = is_long ? strcspn(word + 2, "=") : 0;

    for (const cli_option *o = cli_global_options; o->name; o++) {
        if (is_long ? strlen(o->name) == len && strncmp(o->name, word + 2, len) == 0
                    : word[0] == '-' && word[1] == o->letter && (!word[2] || o->kind != CLI_FLAG))
            return o;
    }
    return NULL;
}

static bool command_owns(const cli_command *command, const cli_option *global)
{
    for (const cli_option *o = command ? command->options : NULL; o && o->name; o++) {
        if (strcmp(o->name, global->name) == 0 || (o->letter && o->letter == global->letter))
            return true;
    }
    return false;
}

/* What the command line says besides the command. */
typedef struct globals {
    const char *host;
    const char *output;
    bool quiet, version, help;
    int verbose;
} globals;

static int set_global(globals *g, const cli_option *option, const char *value)
{
    switch (option->letter) {
    case 'H':
        g->host = value;
        break;
    case 'o':
        g->output = value ? value : "";
        if (strcmp(g->output, "table") != 0 && strcmp(g->output, "json") != 0)
            return cli_usage_error(NULL, "--output: '%s' must be table or json", g->output);
        break;
    case 'q':
        g->quiet = true;
        break;
    case 'v':
        g->verbose++;
        break;
    case 'V':
        g->version = true;
        break;
    default:
        g->help = true;
    }
    return EXIT_OK;
}

/* A command line while it is read. What is not global goes to the command's own parser. */
typedef struct reading {
    int argc;
    char **argv;
    int at;
    globals *g;
    const cli_command *command;
    const char *group;
    char **rest; /* room for all words and one more */
    int count;
    int items;       /* words of rest that are arguments */
    bool only_items; /* after "--" */
} reading;

static int take_global(reading *r, const cli_option *option)
{
    const char *word = r->argv[r->at];
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    const char *value = equals ? equals + 1 : word[1] != '-' && word[2] ? word + 2 : NULL;

    if (option->kind == CLI_FLAG)
        return value ? cli_usage_error(NULL, "--%s takes no value", option->name)
                     : set_global(r->g, option, NULL);
    if (!value) {
        if (r->at + 1 >= r->argc)
            return cli_usage_error(NULL, "--%s needs a value", option->name);
        value = r->argv[++r->at];
    }
    return set_global(r->g, option, value);
}

/* Several short flags in one word, "-qv". */
static bool take_bundle(reading *r)
{
    const char *word = r->argv[r->at];
    char one[3] = "-";

    if (word[0] != '-' || word[1] == '-' || !word[1] || !word[2])
        return false;
    for (const char *c = word + 1; *c; c++) {
        const cli_option *option;

        one[1] = *c;
        option = global_option(one);
        if (!option || option->kind != CLI_FLAG || command_owns(r->command, option))
            return false;
    }
    for (const char *c = word + 1; *c; c++) {
        one[1] = *c;
        (void)set_global(r->g, global_option(one), NULL); /* flags always succeed */
    }
    return true;
}

static int find_command(reading *r)
{
    const char *word = r->argv[r->at];

    if (word[0] == '-')
        return cli_usage_error(NULL, "there is no option '%s'", word);
    if (!r->group && is_group(word)) {
        r->group = word;
        return EXIT_OK;
    }
    r->command = cli_find(r->group, word);
    if (!r->command)
        return cli_usage_error(NULL, "there is no command '%s%s%s'; see bv --help",
                               r->group ? r->group : "", r->group ? " " : "", word);
    return EXIT_OK;
}

/* A word for the command. The value of one of its options comes along, whatever it looks like; and
 * what belongs to another program is left alone. */
static void keep(reading *r)
{
    static char end_of_options[] = "--";
    char *word = r->argv[r->at];
    bool is_item = r->only_items || word[0] != '-' || !word[1];

    if (r->command->passes_on && is_item && r->items == 1 && !r->only_items) {
        r->only_items = true;
        r->rest[r->count++] = end_of_options;
    } else if (!r->only_items && strcmp(word, "--") == 0) {
        r->only_items = true;
        is_item = false;
    }
    r->items += is_item;
    r->rest[r->count++] = word;
    if (!is_item && cli_takes_value(r->command, word) && r->at + 1 < r->argc)
        r->rest[r->count++] = r->argv[++r->at];
}

static int take_word(reading *r)
{
    const cli_option *option = r->only_items ? NULL : global_option(r->argv[r->at]);
    bool is_late = r->command && option && (option->letter == 'h' || option->letter == 'V');

    if (option && !is_late && !command_owns(r->command, option))
        return take_global(r, option);
    if (!r->only_items && take_bundle(r))
        return EXIT_OK;
    if (!r->command)
        return find_command(r);
    keep(r);
    return EXIT_OK;
}

static void log_to_stderr(void *data, const bv_log_record *rec)
{
    (void)data;
    (void)fprintf(stderr, "%s: %s%s%s\n", rec->module, rec->node ? rec->node : "",
                  rec->node ? ": " : "", rec->message);
}

/* The host of the command line, of the environment, or the daemon of this root. */
static const char *choose_host(const char *given, char *text, size_t size)
{
    const char *host = getenv("BV_HOST");
    const char *root = getenv("BV_ROOT");

    if (given)
        return given;
    if (host && *host)
        return host;
    if (!root || !*root || strcmp(root, "/") == 0)
        return "unix:";
    (void)snprintf(text, size, "unix:%s%s", root, BV_HOST_SOCKET_DEFAULT);
    return text;
}

int cli_open_ctx(cli *c)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;
    int code = EXIT_OK;

    if (c->ctx)
        return EXIT_OK;
    opts.workers = c->workers ? c->workers : WORKERS;
    if (c->verbose) {
        opts.log = log_to_stderr;
        opts.log_level = c->verbose > 1 ? BV_LOG_DEBUG : BV_LOG_INFO;
    }
    if (bv_ctx_new(&opts, &c->ctx, &err) < 0)
        code = cli_report(err);
    bv_error_free(err);
    return code;
}

int cli_open_host(cli *c)
{
    char uri[4096];
    bv_error *err = NULL;
    int code = cli_open_ctx(c);

    if (code != EXIT_OK || c->host)
        return code;
    if (bv_host_open(c->ctx, choose_host(c->uri, uri, sizeof(uri)), NULL, &c->host, &err) < 0)
        code = cli_report(err);
    bv_error_free(err);
    return code;
}

/* Ctrl-C cancels a call instead of tearing it off, so it is read from a descriptor. */
static int catch_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Somebody who reads no further, such as head(1), is no failure worth a message. */
static int finish_output(int code)
{
    struct pollfd out = { .fd = STDOUT_FILENO };
    bool failed = ferror(stdout) != 0;

    errno = 0;
    failed = fflush(stdout) != 0 || failed;
    if (!failed)
        return code;
    if (errno == EPIPE || (poll(&out, 1, 0) == 1 && (out.revents & POLLERR)))
        return EXIT_PIPE;
    (void)fprintf(stderr, "Error: cannot write the output: %s\n",
                  errno ? strerror(errno) : "it is cut off");
    return code == EXIT_OK ? EXIT_FAILED : code;
}

static int run(cli *c, const globals *g, const cli_command *command, const cli_args *args)
{
    int code = EXIT_OK;

    c->json = g->output && strcmp(g->output, "json") == 0;
    c->uri = g->host;
    c->quiet = g->quiet;
    c->verbose = g->verbose;
    c->colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    c->signal_fd = catch_signals();
    if (!command->offline)
        code = cli_open_host(c);
    if (code == EXIT_OK)
        code = command->run(c, args);
    bv_host_close(c->host);
    bv_ctx_free(c->ctx);
    if (c->signal_fd >= 0)
        (void)close(c->signal_fd);
    return finish_output(code);
}

static int print_help(const globals *g, const char *group)
{
    if (group)
        cli_help_group(g->help ? stdout : stderr, group);
    else
        cli_help(g->help ? stdout : stderr);
    return g->help ? EXIT_OK : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    globals g = { 0 };
    cli c = { .signal_fd = -1 };
    reading r = { .argc = argc, .argv = argv, .g = &g };
    cli_args args;
    int code = EXIT_OK;

    r.rest = calloc((size_t)argc + 2, sizeof(*r.rest));
    if (!r.rest)
        return EXIT_LIMIT;
    (void)signal(SIGPIPE, SIG_IGN);
    for (r.at = 1; code == EXIT_OK && r.at < argc; r.at++)
        code = take_word(&r);
    if (code == EXIT_OK && g.version) {
        (void)printf("bv %s\n", bv_version());
        code = finish_output(code);
    } else if (code == EXIT_OK && !r.command) {
        code = finish_output(print_help(&g, r.group));
    } else if (code == EXIT_OK) {
        code = cli_parse(r.command, r.count, r.rest, &args);
        code = code < 0          ? finish_output(EXIT_OK)
               : code == EXIT_OK ? run(&c, &g, r.command, &args)
                                 : code;
    }
    free(r.rest);
    return code;
}
