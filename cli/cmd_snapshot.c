/*
 * cmd_snapshot.c - bv snapshot ...
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char *str(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "-");
}

static uint64_t number(const bv_doc *doc, const char *key)
{
    return (uint64_t)bv_doc_int64(bv_doc_get(doc, key), 0);
}

static void print_snapshots(cli *c, const bv_doc *snapshots)
{
    static const char *const titles[] = { "Key",     ">Version", ">Size",
                                          ">Stored", ">Chunks",  "Created" };
    cli_table *table = cli_table_new(titles, 6);

    for (const bv_doc *s = bv_doc_first(snapshots); s; s = bv_doc_next(s)) {
        char version[24], size[32], stored[32], chunks[24], when[64];
        const char *const cells[] = {
            str(s, "key"),
            version,
            cli_size_text(number(s, "total_bytes"), size, sizeof(size)),
            cli_size_text(number(s, "stored_bytes"), stored, sizeof(stored)),
            chunks,
            cli_time_text(bv_doc_int64(bv_doc_get(s, "created_at"), 0), when, sizeof(when))
        };

        (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)number(s, "version"));
        (void)snprintf(chunks, sizeof(chunks), "%llu", (unsigned long long)number(s, "chunks"));
        cli_table_row(table, cells, NULL);
    }
    if (bv_doc_count(snapshots))
        cli_table_print(table, c);
    else
        (void)puts("No snapshots found.");
    cli_table_free(table);
}

int cmd_snapshot_ls(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "listing snapshots");
    code = cli_call_wait(&call, bv_snapshot_list(c->host, args->count ? args->items[0] : NULL,
                                                 cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_snapshots(c, bv_doc_get(call.reply, "snapshots"));
    cli_call_end(&call);
    return code;
}

static void print_summary(cli *c, const char *done, const bv_doc *s)
{
    char size[32];

    if (c->json)
        cli_print_json(s);
    else
        (void)printf("%s snapshot `%s` version %llu: %s in %llu chunks\n", done, str(s, "key"),
                     (unsigned long long)number(s, "version"),
                     cli_size_text(number(s, "total_bytes"), size, sizeof(size)),
                     (unsigned long long)number(s, "chunks"));
}

int cmd_snapshot_upload(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "uploading");
    code = cli_call_wait(&call, bv_snapshot_upload(c->host, args->items[0], cli_call_done, &call,
                                                   &call.op, &call.err));
    if (code == EXIT_OK)
        print_summary(c, "Uploaded", call.reply);
    cli_call_end(&call);
    return code;
}

/* The daemon has another working directory. The last part need not exist yet. */
static bool absolute(const char *path, char *text, size_t size)
{
    char here[PATH_MAX];

    if (path[0] == '/')
        return (size_t)snprintf(text, size, "%s", path) < size;
    return getcwd(here, sizeof(here)) && (size_t)snprintf(text, size, "%s/%s", here, path) < size;
}

int cmd_snapshot_download(cli *c, const cli_args *args)
{
    char dir[PATH_MAX * 2];
    cli_call call;
    int code;

    if (!absolute(args->items[1], dir, sizeof(dir)))
        return cli_usage_error(args->command, "'%s' is not a usable path", args->items[1]);
    cli_call_begin(&call, c, "downloading");
    code = cli_call_wait(&call, bv_snapshot_download(c->host, args->items[0],
                                                     cli_number(args, "version", 0), dir,
                                                     cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK)
        print_summary(c, "Downloaded", call.reply);
    cli_call_end(&call);
    return code;
}

int cmd_snapshot_verify(cli *c, const cli_args *args)
{
    cli_call call;
    int code;

    cli_call_begin(&call, c, "verifying");
    code = cli_call_wait(&call,
                         bv_snapshot_verify(c->host, args->items[0], cli_number(args, "version", 0),
                                            cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK)
        print_summary(c, "Verified", call.reply);
    cli_call_end(&call);
    return code;
}
