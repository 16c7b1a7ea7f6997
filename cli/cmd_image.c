/*
 * cmd_image.c - bv image ...
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char *str(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "-");
}

static void print_images(cli *c, const bv_doc *images)
{
    static const char *const titles[] = { "ID", "Name", "Version", ">Size", "Created" };
    cli_table *table = cli_table_new(titles, 5);

    for (const bv_doc *i = bv_doc_first(images); i; i = bv_doc_next(i)) {
        char size[32], when[64], id[16];
        const char *const cells[] = {
            id, str(i, "name"), str(i, "version"),
            cli_size_text((uint64_t)bv_doc_int64(bv_doc_get(i, "size_bytes"), 0), size,
                          sizeof(size)),
            cli_time_text(bv_doc_int64(bv_doc_get(i, "created_at"), 0), when, sizeof(when))
        };
        const char *const colours[] = { NULL, "\033[34m", NULL, NULL, NULL };

        (void)snprintf(id, sizeof(id), "%.12s", str(i, "id"));
        cli_table_row(table, cells, colours);
    }
    if (bv_doc_count(images))
        cli_table_print(table, c);
    else
        (void)puts("No images found.");
    cli_table_free(table);
}

int cmd_image_ls(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    (void)args;
    cli_call_begin(&call, c, "listing images");
    code = cli_call_wait(&call, bv_image_list(c->host, cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_images(c, bv_doc_get(call.reply, "images"));
    cli_call_end(&call);
    return code;
}

int cmd_image_import(cli *c, const cli_args *args)
{
    char path[PATH_MAX];
    cli_call call;
    int code;

    /* The daemon has another working directory. */
    if (!realpath(args->items[0], path)) {
        (void)fprintf(stderr, "Error: cannot look at '%s': %s\n", args->items[0], strerror(errno));
        return errno == EACCES ? EXIT_DENIED : EXIT_NOT_FOUND;
    }
    cli_call_begin(&call, c, "importing image");
    code = cli_call_wait(&call, bv_image_import(c->host, path, cli_text(args, "name"),
                                                cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        (void)printf("Imported image `%s` with ID `%.12s`\n", str(call.reply, "name"),
                     str(call.reply, "id"));
    cli_call_end(&call);
    return code;
}

int cmd_image_rm(cli *c, const cli_args *args)
{
    int first_failure = EXIT_OK;

    for (int i = 0; i < args->count; i++) {
        cli_call call;
        int code;

        cli_call_begin(&call, c, "removing image");
        code = cli_call_wait(&call, bv_image_remove(c->host, args->items[i], cli_call_done, &call,
                                                    &call.op, &call.err));
        if (code == EXIT_OK && !c->json)
            (void)printf("Removed image `%s`\n", args->items[i]);
        else if (code != EXIT_OK && first_failure == EXIT_OK)
            first_failure = code;
        cli_call_end(&call);
    }
    return first_failure;
}
