/*
 * plugin_options.c - see plugin_options.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin_options.h"

#define FILE_BYTES_MAX (16u * 1024u * 1024u)
#define READ_BYTES     65536u

/* ---- files ---- */

static int cannot_read(const char *path, int error)
{
    (void)fprintf(stderr, "Error: cannot read '%s': %s\n", path, strerror(error));
    return error == ENOENT   ? EXIT_NOT_FOUND
           : error == EACCES ? EXIT_DENIED
           : error == ENOMEM ? EXIT_LIMIT
                             : EXIT_FAILED;
}

/* Reads to the end; the text is zero-terminated. NULL: errno tells. */
static char *read_all(FILE *file, size_t *ret_len)
{
    char *text = NULL;
    size_t len = 0;
    size_t room = 0;
    size_t n;

    do {
        if (room - len < READ_BYTES + 1) {
            char *grown = room < FILE_BYTES_MAX ? realloc(text, room * 2 + READ_BYTES + 1) : NULL;

            if (!grown) {
                errno = room < FILE_BYTES_MAX ? ENOMEM : EFBIG;
                free(text);
                return NULL;
            }
            text = grown;
            room = room * 2 + READ_BYTES + 1;
        }
        n = fread(text + len, 1, READ_BYTES, file);
        len += n;
    } while (n == READ_BYTES);
    if (ferror(file)) {
        free(text);
        return NULL;
    }
    text[len] = '\0';
    *ret_len = len;
    return text;
}

char *plugin_read_file(const char *path, size_t *ret_len, int *ret_code)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *text = file ? read_all(file, ret_len) : NULL;
    int error = errno;

    if (file && file != stdin)
        (void)fclose(file); /* only read from */
    *ret_code = text ? EXIT_OK : cannot_read(path, error);
    return text;
}

/* ---- documents ---- */

int plugin_read_document(const cli_args *args, const char *option, bv_doc **ret_doc)
{
    const char *path = cli_text(args, option);
    bv_error *err = NULL;
    size_t len = 0;
    int code = EXIT_OK;
    char *text = path ? plugin_read_file(path, &len, &code) : NULL;

    if (text && bv_doc_parse(text, len, ret_doc, &err) < 0) {
        (void)fprintf(stderr, "Error: --%s: '%s' is not JSON: %s\n", option, path,
                      bv_error_message(err));
        code = EXIT_DAMAGED;
    } else if (text && bv_doc_type_of(*ret_doc) != BV_DOC_OBJECT) {
        (void)fprintf(stderr, "Error: --%s: '%s' holds no JSON object\n", option, path);
        code = EXIT_DAMAGED;
    }
    bv_error_free(err);
    free(text);
    return code;
}

int plugin_read_params(const cli_args *args, bv_doc **ret_doc)
{
    cli_json json = { 0 };
    int count = 0;
    const char *const *items = cli_list(args, "param", &count);

    if (!count)
        return EXIT_OK;
    cli_json_raw(&json, "{");
    for (int i = 0; i < count; i++) {
        const char *equals = strchr(items[i], '=');
        char *key = equals ? strndup(items[i], (size_t)(equals - items[i])) : NULL;
        bool again = false;

        if (!equals || equals == items[i]) {
            free(key);
            free(json.text);
            return cli_usage_error(args->command, "--param: '%s' is not KEY=VALUE", items[i]);
        }
        for (int later = i + 1; key && later < count; later++)
            again = again || strncmp(items[later], items[i], (size_t)(equals - items[i]) + 1) == 0;
        if (key && !again) {
            cli_json_raw(&json, json.len > 1 ? "," : "");
            cli_json_string(&json, key);
            cli_json_raw(&json, ":");
            cli_json_string(&json, equals + 1);
        }
        json.failed = json.failed || !key;
        free(key);
    }
    cli_json_raw(&json, "}");
    *ret_doc = cli_json_doc(&json);
    return *ret_doc ? EXIT_OK : EXIT_LIMIT;
}

int plugin_options_read(const cli_args *args, plugin_options *ret_options)
{
    int code;

    *ret_options = (plugin_options){ .variant = cli_text(args, "variant") };
    code = plugin_read_params(args, &ret_options->params);
    if (code == EXIT_OK)
        code = plugin_read_document(args, "env", &ret_options->env);
    if (code == EXIT_OK)
        code = plugin_read_document(args, "secrets", &ret_options->secrets);
    return code;
}

void plugin_options_done(plugin_options *options)
{
    bv_doc_free(options->params);
    bv_doc_free(options->env);
    bv_doc_free(options->secrets);
}

void plugin_print_value(const bv_doc *outcome)
{
    const bv_doc *value = bv_doc_get(outcome, "value");

    cli_print_json(value ? value : bv_doc_get(outcome, "text"));
}
