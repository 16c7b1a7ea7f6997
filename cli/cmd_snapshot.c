/*
 * cmd_snapshot.c - bv snapshot ... on the store of a host. A command line that names a store goes
 * to cmd_snapshot_store.c.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapshot.h"

static const char *str(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "-");
}

static uint64_t number(const bv_doc *doc, const char *key)
{
    return (uint64_t)bv_doc_int64(bv_doc_get(doc, key), 0);
}

static const bv_doc *next_of_key(const bv_doc *s, const char *key)
{
    const bv_doc *next = bv_doc_next(s);

    return next && strcmp(str(next, "key"), key) == 0 ? next : NULL;
}

static void add_snapshot(cli_table *table, const bv_doc *s, unsigned versions)
{
    char version[24], size[32], stored[32], chunks[24], count[24], when[64];
    const char *const cells[] = {
        str(s, "key"),
        version,
        str(s, "format"),
        cli_size_text(number(s, "total_bytes"), size, sizeof(size)),
        cli_size_text(number(s, "stored_bytes"), stored, sizeof(stored)),
        chunks,
        cli_time_text(bv_doc_int64(bv_doc_get(s, "created_at"), 0), when, sizeof(when)),
        count,
    };

    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)number(s, "version"));
    (void)snprintf(chunks, sizeof(chunks), "%llu", (unsigned long long)number(s, "chunks"));
    (void)snprintf(count, sizeof(count), "%u", versions);
    cli_table_row(table, cells, NULL);
}

/* The list comes in the order of keys and versions. */
static void print_snapshots(const cli *c, const bv_doc *snapshots, bool all)
{
    static const char *const titles[] = { "Key",     ">Version", "Format",  ">Size",
                                          ">Stored", ">Chunks",  "Created", ">Versions" };
    cli_table *table = cli_table_new(titles, all ? 7 : 8);
    unsigned versions = 0;

    for (const bv_doc *s = bv_doc_first(snapshots); s; s = bv_doc_next(s)) {
        bool is_last = !next_of_key(s, str(s, "key"));

        versions++;
        if (all || is_last)
            add_snapshot(table, s, versions);
        if (is_last)
            versions = 0;
    }
    if (bv_doc_count(snapshots))
        cli_table_print(table, c);
    else
        (void)puts("No snapshots found.");
    cli_table_free(table);
}

void cli_snapshots_print(cli *c, const cli_args *args, const bv_doc *reply)
{
    bool of_one_key = args->count && !cli_is_store(args->items[0]);

    if (c->json)
        cli_print_json(reply);
    else
        print_snapshots(c, bv_doc_get(reply, "snapshots"),
                        of_one_key || cli_text(args, "key") || cli_flag(args, "versions"));
}

/* Options that a store is named with make no sense for the host's. */
int cli_host_form(cli *c, const cli_args *args)
{
    const char *word = args->count ? args->items[0] : "";

    if (strpbrk(word, ":/#"))
        return cli_usage_error(args->command,
                               "'%s' is neither a name nor a store: a path with a '/', dir:PATH, "
                               "s3://BUCKET/PREFIX, http://... or https://...",
                               word);
    for (const cli_option *o = args->command->options; o->name; o++) {
        if (!o->of_host && cli_text(args, o->name))
            return cli_usage_error(args->command, "--%s needs a store on the command line",
                                   o->name);
    }
    if (cli_take_progress(c, args) != EXIT_OK)
        return EXIT_USAGE;
    return cli_open_host(c);
}

static int host_ls(cli *c, const cli_args *args)
{
    cli_call call;
    int code = cli_host_form(c, args);

    if (code != EXIT_OK)
        return code;
    cli_call_begin(&call, c, "listing snapshots");
    code = cli_call_wait(&call, bv_snapshot_list(c->host, args->count ? args->items[0] : NULL,
                                                 cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK)
        cli_snapshots_print(c, args, call.reply);
    cli_call_end(&call);
    return code;
}

int cmd_snapshot_ls(cli *c, const cli_args *args)
{
    return args->count && cli_is_store(args->items[0]) ? cmd_store_ls(c, args) : host_ls(c, args);
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

/* A format is said by the call's name, as there is no typed call with one. */
static int begin_upload(cli *c, const cli_args *args, cli_call *call)
{
    const char *format = cli_text(args, "format");
    cli_json j = { 0 };
    bv_doc *doc;
    int r;

    if (!format)
        return bv_snapshot_upload(c->host, args->items[0], cli_call_done, call, &call->op,
                                  &call->err);
    cli_json_raw(&j, "{\"node\":");
    cli_json_string(&j, args->items[0]);
    cli_json_raw(&j, ",\"format\":");
    cli_json_string(&j, format);
    cli_json_raw(&j, "}");
    doc = cli_json_doc(&j);
    r = doc ? bv_host_call(c->host, "snapshot.upload", doc, cli_call_done, call, &call->op,
                           &call->err)
            : BV_E_NOMEM;
    bv_doc_free(doc);
    return r;
}

static int host_upload(cli *c, const cli_args *args)
{
    cli_call call;
    int code = cli_host_form(c, args);

    if (code != EXIT_OK)
        return code;
    cli_call_begin(&call, c, "uploading");
    code = cli_call_wait(&call, begin_upload(c, args, &call));
    if (code == EXIT_OK)
        print_summary(c, "Uploaded", call.reply);
    cli_call_end(&call);
    return code;
}

int cmd_snapshot_upload(cli *c, const cli_args *args)
{
    return args->count > 1 ? cmd_store_upload(c, args) : host_upload(c, args);
}

/* The daemon has another working directory. The last part need not exist yet. */
static bool absolute(const char *path, char *text, size_t size)
{
    char here[PATH_MAX];

    if (path[0] == '/')
        return (size_t)snprintf(text, size, "%s", path) < size;
    return getcwd(here, sizeof(here)) && (size_t)snprintf(text, size, "%s/%s", here, path) < size;
}

static int host_download(cli *c, const cli_args *args)
{
    char dir[PATH_MAX * 2];
    cli_call call;
    int code = cli_host_form(c, args);

    if (code != EXIT_OK)
        return code;
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

int cmd_snapshot_download(cli *c, const cli_args *args)
{
    return cli_is_store(args->items[0]) ? cmd_store_download(c, args) : host_download(c, args);
}

static int host_verify(cli *c, const cli_args *args)
{
    cli_call call;
    int code = cli_host_form(c, args);

    if (code != EXIT_OK)
        return code;
    if (args->count > 1)
        return cli_usage_error(args->command, "a directory is compared with a store only");
    cli_call_begin(&call, c, "verifying");
    code = cli_call_wait(&call,
                         bv_snapshot_verify(c->host, args->items[0], cli_number(args, "version", 0),
                                            cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK)
        print_summary(c, "Verified", call.reply);
    cli_call_end(&call);
    return code;
}

int cmd_snapshot_verify(cli *c, const cli_args *args)
{
    return cli_is_store(args->items[0]) ? cmd_store_verify(c, args) : host_verify(c, args);
}

static void print_differences(const cli *c, const bv_doc *reply)
{
    const bv_doc *list = bv_doc_get(reply, "differences");
    char size[32];

    for (const bv_doc *d = bv_doc_first(list); d; d = bv_doc_next(d)) {
        (void)printf("%-7s %10s  ", str(d, "change"),
                     cli_size_text(number(d, "changed_bytes"), size, sizeof(size)));
        cli_put(stdout, str(d, "path"));
        (void)fputc('\n', stdout);
    }
    if (!c->quiet)
        (void)fprintf(stderr, "%llu changes, %s of data\n",
                      (unsigned long long)number(reply, "changes"),
                      cli_size_text(number(reply, "changed_bytes"), size, sizeof(size)));
}

int cli_host_diff(cli *c, const cli_args *args, uint64_t old_version, uint64_t version)
{
    cli_call call;
    int code = cli_host_form(c, args);

    if (code != EXIT_OK)
        return code;
    cli_call_begin(&call, c, "comparing");
    code = cli_call_wait(&call, bv_snapshot_diff(c->host, args->items[0], old_version, version,
                                                 cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK && c->json)
        cli_print_json(call.reply);
    else if (code == EXIT_OK)
        print_differences(c, call.reply);
    cli_call_end(&call);
    return code;
}
