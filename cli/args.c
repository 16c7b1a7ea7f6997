/*
 * args.c - command lines by table: finding the command, parsing its options, printing help.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define NAME_WIDTH    26
#define COMMAND_WIDTH 18
#define LINE_WIDTH    80

static int option_index(const cli_command *command, const char *name)
{
    for (int i = 0; command->options[i].name; i++) {
        if (strcmp(command->options[i].name, name) == 0)
            return i;
    }
    return -1;
}

const char *cli_text(const cli_args *args, const char *name)
{
    int i = option_index(args->command, name);

    return i < 0 ? NULL : args->values[i];
}

bool cli_flag(const cli_args *args, const char *name)
{
    return cli_text(args, name) != NULL;
}

uint64_t cli_number(const cli_args *args, const char *name, uint64_t fallback)
{
    const char *text = cli_text(args, name);

    return text ? strtoull(text, NULL, 10) : fallback;
}

const char *const *cli_list(const cli_args *args, const char *name, int *ret_count)
{
    int i = option_index(args->command, name);

    *ret_count = i < 0 ? 0 : args->list_counts[i];
    return i < 0 ? NULL : args->lists[i];
}

/* ---- finding ---- */

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

const cli_command *cli_find(const char *group, const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *command = &cli_commands[i];
        bool in_group = group ? same(command->group, group) : !command->group;

        if (in_group && (same(command->name, name) || same(command->alias, name)))
            return command;
    }
    return NULL;
}

/* ---- help ---- */

/* The rest of a line that began with `indent` characters, and further lines below it. */
static void print_wrapped(FILE *out, size_t indent, const char *text)
{
    size_t at = indent;

    while (*text) {
        size_t word = strcspn(text, " ");

        if (at > indent && at + 1 + word > LINE_WIDTH) {
            (void)fprintf(out, "\n%*s", (int)indent, "");
            at = indent;
        }
        at += (size_t)fprintf(out, "%s%.*s", at > indent ? " " : "", (int)word, text);
        text += word + strspn(text + word, " ");
    }
    (void)fputc('\n', out);
}

static void print_option(FILE *out, const cli_option *option)
{
    char left[64];
    char letter[8] = "";

    if (option->letter)
        (void)snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, option->name, option->value ? " " : "",
                   option->value ? option->value : "");
    (void)fprintf(out, "  %-*s ", NAME_WIDTH, left);
    print_wrapped(out, NAME_WIDTH + 3, option->help);
}

static void print_options(FILE *out, const char *title, const cli_option *options)
{
    if (!options[0].name)
        return;
    (void)fprintf(out, "\n%s:\n", title);
    for (; options->name; options++)
        print_option(out, options);
}

static void print_command(FILE *out, const cli_command *command)
{
    char left[64];

    (void)snprintf(left, sizeof(left), "%s%s%s", command->group ? command->group : "",
                   command->group ? " " : "", command->name);
    (void)fprintf(out, "  %-*s ", COMMAND_WIDTH, left);
    print_wrapped(out, COMMAND_WIDTH + 3, command->help);
}

void cli_help(FILE *out)
{
    const char *group = NULL;

    (void)fprintf(out, "Usage: bv [OPTION...] COMMAND [ARGUMENT...]\n\n"
                       "Manages blockchain nodes on a host.\n\nCommands:\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        if (i && !same(group, cli_commands[i].group) && (group || cli_commands[i].group))
            (void)fputc('\n', out);
        group = cli_commands[i].group;
        print_command(out, &cli_commands[i]);
    }
    print_options(out, "Options, before or after the command", cli_global_options);
    (void)fprintf(out, "\n`bv COMMAND --help` tells more. See bv(1) for exit codes and files.\n");
}

void cli_help_group(FILE *out, const char *group)
{
    (void)fprintf(out, "Usage: bv %s COMMAND [ARGUMENT...]\n\nCommands:\n", group);
    for (size_t i = 0; i < cli_command_count; i++) {
        if (same(cli_commands[i].group, group))
            print_command(out, &cli_commands[i]);
    }
}

static void print_usage(FILE *out, const cli_command *command)
{
    (void)fprintf(out, "Usage: bv %s%s%s%s%s%s\n", command->group ? command->group : "",
                  command->group ? " " : "", command->name,
                  command->options[0].name ? " [OPTION...]" : "", *command->params ? " " : "",
                  command->params);
}

void cli_help_command(FILE *out, const cli_command *command)
{
    print_usage(out, command);
    (void)fprintf(out, "\n%c%s.\n", toupper((unsigned char)command->help[0]), command->help + 1);
    if (command->alias)
        (void)fprintf(out, "Also: bv %s%s%s\n", command->group ? command->group : "",
                      command->group ? " " : "", command->alias);
    print_options(out, "Options", command->options);
    print_options(out, "Options of every command", cli_global_options);
}

int cli_usage_error(const cli_command *command, const char *fmt, ...)
{
    va_list args;

    (void)fputs("Error: ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
    if (command)
        print_usage(stderr, command);
    else
        (void)fputs("Usage: bv [OPTION...] COMMAND [ARGUMENT...]\n", stderr);
    return EXIT_USAGE;
}

/* ---- parsing ---- */

static const cli_option *find_option(const cli_command *command, const char *word, size_t len,
                                     int *ret_index)
{
    for (int i = 0; command->options[i].name; i++) {
        const cli_option *option = &command->options[i];
        bool is_long = strlen(option->name) == len && strncmp(option->name, word, len) == 0;

        if (is_long || (len == 1 && option->letter == word[0])) {
            *ret_index = i;
            return option;
        }
    }
    return NULL;
}

bool cli_takes_value(const cli_command *command, const char *word)
{
    bool is_long = word[0] == '-' && word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    const cli_option *option;
    int index = 0;

    if (word[0] != '-' || (is_long ? strchr(name, '=') != NULL : !name[0] || name[1]))
        return false;
    option = find_option(command, name, is_long ? strlen(name) : 1, &index);
    return option && option->kind != CLI_FLAG;
}

static bool is_number(const char *text)
{
    return *text && strlen(text) <= 18 && strspn(text, "0123456789") == strlen(text);
}

static int store(const cli_command *command, const cli_option *option, int index, const char *value,
                 cli_args *args)
{
    if (option->kind == CLI_NUMBER && !is_number(value))
        return cli_usage_error(command, "--%s: '%s' is not a whole number", option->name, value);
    if (option->kind == CLI_LIST) {
        if (args->list_counts[index] == CLI_LIST_MAX)
            return cli_usage_error(command, "--%s is given more than %d times", option->name,
                                   CLI_LIST_MAX);
        args->lists[index][args->list_counts[index]++] = value;
    }
    args->values[index] = value;
    return EXIT_OK;
}

/* One word that begins with a dash; *i moves on when it takes the next word as its value. */
static int parse_option(const cli_command *command, int argc, char **argv, int *i, cli_args *args)
{
    const char *word = argv[*i];
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    const char *equals = is_long ? strchr(name, '=') : NULL;
    size_t len = equals ? (size_t)(equals - name) : is_long ? strlen(name) : 1;
    const char *value = equals ? equals + 1 : !is_long && name[1] ? name + 1 : NULL;
    int index = 0;
    const cli_option *option = find_option(command, name, len, &index);

    if (!option)
        return cli_usage_error(command, "there is no option '%s'", word);
    if (option->kind == CLI_FLAG) {
        if (value)
            return cli_usage_error(command, "--%s takes no value", option->name);
        args->values[index] = "";
        return EXIT_OK;
    }
    if (!value) {
        if (*i + 1 >= argc)
            return cli_usage_error(command, "--%s needs a value", option->name);
        value = argv[++*i];
    }
    return store(command, option, index, value, args);
}

static int check_count(const cli_command *command, const cli_args *args)
{
    if (args->count < command->least)
        return cli_usage_error(command, "an argument is missing");
    if (command->most >= 0 && args->count > command->most)
        return cli_usage_error(command, "'%s' is one argument too many",
                               args->items[command->most]);
    return EXIT_OK;
}

int cli_parse(const cli_command *command, int argc, char **argv, cli_args *args)
{
    bool only_items = false;

    memset(args, 0, sizeof(*args));
    args->command = command;
    args->items = argv; /* moved down in place, behind the words already read */
    for (int i = 0; i < argc; i++) {
        int r;

        if (!only_items && strcmp(argv[i], "--") == 0) {
            only_items = true;
            continue;
        }
        if (only_items || argv[i][0] != '-' || !argv[i][1]) {
            args->items[args->count++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_help_command(stdout, command);
            return -1;
        }
        r = parse_option(command, argc, argv, &i, args);
        if (r != EXIT_OK)
            return r;
    }
    return check_count(command, args);
}
