/*
 * completion.c - bv completion: the bash completion script, written from the same table as help and
 * parsing.
 */
#include <string.h>

#include "cli.h"

/* Whether a command begins a new group in the table. */
static bool begins_group(size_t i)
{
    const char *group = cli_commands[i].group;

    return group &&
           (i == 0 || !cli_commands[i - 1].group || strcmp(cli_commands[i - 1].group, group) != 0);
}

static void print_groups(const char *separator)
{
    bool first = true;

    for (size_t i = 0; i < cli_command_count; i++) {
        if (begins_group(i)) {
            (void)printf("%s%s", first ? "" : separator, cli_commands[i].group);
            first = false;
        }
    }
}

/* Names of a group's commands, each after a blank; group NULL: those without one. */
static void print_commands(const char *group)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *command = &cli_commands[i];

        if (group ? command->group && strcmp(command->group, group) == 0 : !command->group)
            (void)printf(" %s", command->name);
    }
}

static void print_options(const cli_option *options)
{
    for (const cli_option *o = options; o->name; o++)
        (void)printf(" --%s", o->name);
}

/* "-H|--host|-o|--output": words whose next word is their value. */
static void print_value_options(void)
{
    bool first = true;

    for (const cli_option *o = cli_global_options; o->name; o++) {
        if (o->kind != CLI_FLAG) {
            (void)printf("%s-%c|--%s", first ? "" : "|", o->letter, o->name);
            first = false;
        }
    }
}

static void print_option_cases(void)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *command = &cli_commands[i];

        (void)printf("        '%s%s%s') words='--help", command->group ? command->group : "",
                     command->group ? " " : "", command->name);
        print_options(command->options);
        (void)printf("' ;;\n");
    }
    (void)printf("        *) words='");
    print_options(cli_global_options);
    (void)printf("' ;;\n");
}

static void print_command_cases(void)
{
    (void)printf("        '') words='");
    print_groups(" ");
    print_commands(NULL);
    (void)printf("' ;;\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        if (begins_group(i)) {
            (void)printf("        %s) words='", cli_commands[i].group);
            print_commands(cli_commands[i].group);
            (void)printf("' ;;\n");
        }
    }
}

static const char head[] =
    "# bash completion for bv; load it with: source <(bv completion bash)\n"
    "_bv_column() {\n"
    "    # A column of a table, without its title and the line below it.\n"
    "    local column=$1\n"
    "    shift\n"
    "    bv -q \"$@\" 2>/dev/null | awk -v column=\"$column\" 'NR > 2 { print $column }'\n"
    "}\n"
    "_bv() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} group='' name='' node='' words='' item i\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        item=${COMP_WORDS[i]}\n"
    "        case $item in\n"
    "        ";

static const char names[] =
    "    else\n"
    "        case \"$group $name\" in\n"
    "        'snapshot upload')\n"
    "            mapfile -t COMPREPLY < <(compgen -W \"$(_bv_column 2 node ls)\" -- \"$word\"\n"
    "                compgen -f -- \"$word\")\n"
    "            return ;;\n"
    "        'image import' | 'snapshot '* | 'plugin '*)\n"
    "            mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
    "            return ;;\n"
    "        'node create' | 'image rm') words=$(_bv_column 2 image ls) ;;\n"
    "        'node ls' | 'image ls' | 'host '* | ' '*) ;;\n"
    "        'job '*)\n"
    "            if [[ -z $node || $name == ls ]]; then words=$(_bv_column 2 node ls)\n"
    "            else words=$(_bv_column 1 job ls \"$node\"); fi ;;\n"
    "        'node '*) words=$(_bv_column 2 node ls) ;;\n"
    "        esac\n"
    "    fi\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
    "}\n"
    "complete -F _bv bv\n";

int cmd_completion(cli *c, const cli_args *args)
{
    (void)c;
    if (strcmp(args->items[0], "bash") != 0)
        return cli_usage_error(args->command, "there is no completion for '%s'", args->items[0]);
    (void)fputs(head, stdout);
    print_value_options();
    (void)printf(") ((i++)) ;;\n"
                 "        -*) ;;\n"
                 "        ");
    print_groups("|");
    (void)printf(
        ") if [[ -z $group && -z $name ]]; then group=$item; elif [[ -z $name ]]; then name=$item\n"
        "            elif [[ -z $node ]]; then node=$item; fi ;;\n"
        "        *) if [[ -z $name ]]; then name=$item; elif [[ -z $node ]]; then node=$item; fi "
        ";;\n"
        "        esac\n"
        "    done\n"
        "    if [[ $word == -* ]]; then\n"
        "        case \"${group:+$group }$name\" in\n");
    print_option_cases();
    (void)printf("        esac\n"
                 "    elif [[ -z $name ]]; then\n"
                 "        case $group in\n");
    print_command_cases();
    (void)printf("        esac\n");
    (void)fputs(names, stdout);
    return EXIT_OK;
}
