/*
 * main.c - `bv`: reads the command line, opens the host, runs one command.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"

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
        g->output = value;
        if (strcmp(value, "table") != 0 && strcmp(value, "json") != 0)
            return cli_usage_error(NULL, "--output: '%s' must be table or json", value);
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

static int take_global(globals *g, const cli_option *option, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    const char *value = equals ? equals + 1 : word[1] != '-' && word[2] ? word + 2 : NULL;

    if (option->kind == CLI_FLAG)
        return set_global(g, option, NULL);
    if (!value) {
        if (*i + 1 >= argc)
            return cli_usage_error(NULL, "--%s needs a value", option->name);
        value = argv[++*i];
    }
    return set_global(g, option, value);
}

/* Takes global options out of argv wherever they stand, and finds the command. What is left of argv
 * goes to the command's own parser. */
static int split(int argc, char **argv, globals *g, const cli_command **ret_command,
                 const char **ret_group, char **rest, int *ret_rest)
{
    const char *group = NULL;
    bool only_items = false;

    for (int i = 1; i < argc; i++) {
        const cli_option *option = only_items ? NULL : global_option(argv[i]);
        bool takes = option && !command_owns(*ret_command, option) &&
                     !(*ret_command && (option->letter == 'h' || option->letter == 'V'));
        int r;

        if (takes) {
            r = take_global(g, option, argc, argv, &i);
            if (r != EXIT_OK)
                return r;
            continue;
        }
        if (!*ret_command && argv[i][0] == '-')
            return cli_usage_error(NULL, "there is no option '%s'", argv[i]);
        if (*ret_command) {
            only_items = only_items || strcmp(argv[i], "--") == 0;
            rest[(*ret_rest)++] = argv[i];
        } else if (!group && is_group(argv[i])) {
            group = argv[i];
            *ret_group = group;
        } else {
            *ret_command = cli_find(group, argv[i]);
            if (!*ret_command)
                return cli_usage_error(NULL, "there is no command '%s%s%s'; see bv --help",
                                       group ? group : "", group ? " " : "", argv[i]);
        }
    }
    return EXIT_OK;
}

static void log_to_stderr(void *data, const bv_log_record *rec)
{
    (void)data;
    (void)fprintf(stderr, "%s: %s%s%s\n", rec->module, rec->node ? rec->node : "",
                  rec->node ? ": " : "", rec->message);
}

static int open_session(cli *c, const globals *g)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    const char *from_env = getenv("BV_HOST");
    bv_error *err = NULL;

    opts.workers = 2;
    if (g->verbose) {
        opts.log = log_to_stderr;
        opts.log_level = g->verbose > 1 ? BV_LOG_DEBUG : BV_LOG_INFO;
    }
    c->uri = g->host ? g->host : from_env && *from_env ? from_env : "unix:";
    if (bv_ctx_new(&opts, &c->ctx, &err) < 0 ||
        bv_host_open(c->ctx, c->uri, NULL, &c->host, &err) < 0) {
        int code = cli_report(err);

        bv_error_free(err);
        return code;
    }
    return EXIT_OK;
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

static int run(cli *c, const globals *g, const cli_command *command, const cli_args *args)
{
    int code = EXIT_OK;

    c->json = g->output && strcmp(g->output, "json") == 0;
    c->quiet = g->quiet;
    c->verbose = g->verbose;
    c->colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    c->signal_fd = catch_signals();
    if (!command->offline)
        code = open_session(c, g);
    if (code == EXIT_OK)
        code = command->run(c, args);
    bv_host_close(c->host);
    bv_ctx_free(c->ctx);
    if (c->signal_fd >= 0)
        (void)close(c->signal_fd);
    if (fflush(stdout) != 0 && code == EXIT_OK) {
        perror("Error: cannot write the output");
        code = EXIT_FAILED;
    }
    return code;
}

int main(int argc, char **argv)
{
    const cli_command *command = NULL;
    const char *group = NULL;
    globals g = { 0 };
    cli c = { .signal_fd = -1 };
    char **rest = calloc((size_t)argc + 1, sizeof(*rest));
    int count = 0;
    cli_args args;
    int code;

    if (!rest)
        return EXIT_LIMIT;
    (void)signal(SIGPIPE, SIG_IGN);
    code = split(argc, argv, &g, &command, &group, rest, &count);
    if (code == EXIT_OK && g.version) {
        (void)printf("bv %s\n", bv_version());
    } else if (code == EXIT_OK && !command) {
        if (group)
            cli_help_group(g.help ? stdout : stderr, group);
        else
            cli_help(g.help ? stdout : stderr);
        code = g.help ? EXIT_OK : EXIT_USAGE;
    } else if (code == EXIT_OK) {
        code = cli_parse(command, count, rest, &args);
        code = code < 0 ? EXIT_OK : code == EXIT_OK ? run(&c, &g, command, &args) : code;
    }
    free(rest);
    return code;
}
