/*
 * plugin_options.h - the options that commands for plugin authors share: what the node that is not
 * there is like.
 */
#ifndef BV_CLI_PLUGIN_OPTIONS_H
#define BV_CLI_PLUGIN_OPTIONS_H

#include "cli.h"

/* For the tables in commands.c. */
/* clang-format off */
#define PLUGIN_NODE_OPTIONS                                                                        \
    { "variant", 0, CLI_TEXT, "KEY", "variant of the image (default: the first)" },                \
    { "param", 'p', CLI_LIST, "KEY=VALUE", "property for node_params(); may be repeated" },        \
    { "env", 0, CLI_TEXT, "FILE", "JSON object laid over node_env()" },                            \
    { "secrets", 0, CLI_TEXT, "FILE",                                                              \
      "JSON object for get_secret(); \"*\" answers for all others" }
/* clang-format on */

/* Documents are NULL where an option was not given. */
typedef struct plugin_options {
    const char *variant;
    bv_doc *params;
    bv_doc *env;
    bv_doc *secrets;
} plugin_options;

/* An exit code; failures have been told. Ended by plugin_options_done() in any case. */
int plugin_options_read(const cli_args *args, plugin_options *ret_options);
void plugin_options_done(plugin_options *options);

/* The JSON object in the file an option names; NULL when it was not given. */
int plugin_read_document(const cli_args *args, const char *option, bv_doc **ret_doc);
/* --param KEY=VALUE..., where the last one of a key wins, as an object; NULL when there is none. */
int plugin_read_params(const cli_args *args, bv_doc **ret_doc);

/* A whole file, "-" is standard input; freed with free(). NULL with an exit code other than
 * EXIT_OK: told already. */
char *plugin_read_file(const char *path, size_t *ret_len, int *ret_code);

/* For --json: the value in an outcome. What JSON has no form for is its debug form, as text. */
void plugin_print_value(const bv_doc *outcome);

#endif
