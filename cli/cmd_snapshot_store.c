/*
 * cmd_snapshot_store.c - bv snapshot ... on a store that the command line names: no daemon, no
 * node. cmd_snapshot.c decides which form was meant.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "snapshot.h"

#define WORKERS_DEFAULT 4u

/* ---- options that several commands have ---- */

typedef struct common {
    uint32_t connections;
    uint32_t runners;
    uint32_t memory_mib;
    uint64_t bytes_per_s;
    uint64_t version;
} common;

static int number_up_to(const cli_args *args, const char *name, uint64_t most, uint32_t *ret)
{
    uint64_t value = cli_number(args, name, 0);

    if (value > most)
        return cli_usage_error(args->command, "--%s is at most %llu", name,
                               (unsigned long long)most);
    *ret = (uint32_t)value;
    return EXIT_OK;
}

static int read_common(cli *c, const cli_args *args, common *o)
{
    const char *rate = cli_text(args, "limit-rate");
    int code = cli_take_progress(c, args);

    if (code == EXIT_OK)
        code = number_up_to(args, "connections", BV_TRANSFER_RUNNERS_MAX, &o->connections);
    if (code == EXIT_OK)
        code = number_up_to(args, "workers", BV_WORKERS_MAX, &c->workers);
    if (code == EXIT_OK)
        code = number_up_to(args, "memory-mib", UINT32_MAX, &o->memory_mib);
    if (code != EXIT_OK)
        return code;
    if (rate && !cli_size_parse(rate, &o->bytes_per_s))
        return cli_usage_error(args->command, "--limit-rate: '%s' is not a size such as 10M", rate);
    o->runners = c->workers;
    if (!c->workers)
        c->workers = WORKERS_DEFAULT;
    o->version = cli_number(args, "version", 0);
    return EXIT_OK;
}

/* ---- results ---- */

static void add_number(cli_json *j, const char *name, uint64_t value)
{
    char text[64];

    (void)snprintf(text, sizeof(text), ",\"%s\":%llu", name, (unsigned long long)value);
    cli_json_raw(j, text);
}

static void print_json(const cli_call *call, const char *key)
{
    const bv_transfer_status *s = &call->last;
    cli_json j = { 0 };
    bv_doc *doc;

    cli_json_raw(&j, "{\"key\":");
    cli_json_string(&j, key);
    add_number(&j, "version", s->data_version);
    add_number(&j, "total_bytes", s->bytes_total);
    add_number(&j, "stored_bytes", s->stored_done);
    add_number(&j, "chunks", s->chunks_total);
    add_number(&j, "resumed_chunks", s->resumed_chunks);
    add_number(&j, "files", s->files);
    add_number(&j, "skipped", s->skipped);
    add_number(&j, "retries", s->retries);
    add_number(&j, "elapsed_ms", (uint64_t)(cli_now_ms() - call->began_ms));
    cli_json_raw(&j, ",\"ok\":true}");
    doc = cli_json_doc(&j);
    cli_print_json(doc);
    bv_doc_free(doc);
}

static void print_result(const cli_call *call, const char *done, const char *key)
{
    const bv_transfer_status *s = &call->last;
    char size[32], moved[32], took[32];

    if (call->c->json) {
        print_json(call, key);
        return;
    }
    (void)printf("%s snapshot `%s` version %llu: %s in %u chunks, %s moved in %s\n", done, key,
                 (unsigned long long)s->data_version,
                 cli_size_text(s->bytes_total, size, sizeof(size)), (unsigned)s->chunks_total,
                 cli_size_text(s->stored_done, moved, sizeof(moved)),
                 cli_duration_text(cli_now_ms() - call->began_ms, took, sizeof(took)));
    if (s->skipped && !call->c->quiet)
        (void)fprintf(stderr, "Note: %llu links or special files were left out\n",
                      (unsigned long long)s->skipped);
}

/* ---- the commands ---- */

static int check_source(const char *dir)
{
    struct stat st;

    if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
        return EXIT_OK;
    (void)fputs("Error: there is no directory ", stderr);
    cli_put(stderr, dir);
    (void)fputc('\n', stderr);
    return EXIT_NOT_FOUND;
}

/* A list of an option as the library wants it; freed by the caller. */
static const char **terminated(const cli_args *args, const char *name)
{
    int count = 0;
    const char *const *items = cli_list(args, name, &count);
    const char **list = calloc((size_t)count + 1, sizeof(*list));

    for (int i = 0; list && i < count; i++)
        list[i] = items[i];
    return list;
}

static int run_upload(cli *c, const cli_args *args, const common *o, const cli_store *store)
{
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;
    const char **exclude = terminated(args, "exclude");
    cli_call call;
    int code;

    if (!exclude)
        return EXIT_LIMIT;
    opts.store = store->uri;
    opts.key = store->key;
    opts.source_dir = args->items[0];
    opts.state_dir = cli_text(args, "state-dir");
    opts.exclude = exclude;
    opts.zstd_level = (int32_t)cli_number(args, "level", 0);
    opts.max_connections = o->connections;
    opts.max_runners = o->runners;
    opts.memory_mib = o->memory_mib;
    opts.bytes_per_s = o->bytes_per_s;
    opts.status = cli_transfer_status;
    cli_call_begin(&call, c, "uploading");
    opts.data = &call;
    code = cli_transfer_wait(
        &call, bv_upload_start(c->ctx, &opts, cli_transfer_done, &call.op, &call.err));
    if (code == EXIT_OK)
        print_result(&call, "Uploaded", store->key);
    cli_call_end(&call);
    free(exclude);
    return code;
}

int cmd_store_upload(cli *c, const cli_args *args)
{
    const char *dir = args->items[0];
    common o = { 0 };
    cli_store store = { 0 };
    int code = read_common(c, args, &o);

    if (code == EXIT_OK)
        code = cli_store_init(&store, args, args->items[1]);
    if (code == EXIT_OK)
        code = check_source(dir);
    if (code == EXIT_OK)
        code = cli_store_name_key(args, &store, dir);
    if (code == EXIT_OK)
        code = cli_open_ctx(c);
    if (code == EXIT_OK)
        code = run_upload(c, args, &o, &store);
    cli_store_done(&store);
    return code;
}

/* A store that must be there, with its key. */
static int open_store(cli *c, const cli_args *args, common *o, cli_store *store)
{
    int code = read_common(c, args, o);

    if (code == EXIT_OK)
        code = cli_store_init(store, args, args->items[0]);
    if (code == EXIT_OK)
        code = cli_store_must_exist(store);
    if (code == EXIT_OK)
        code = cli_open_ctx(c);
    return code == EXIT_OK ? cli_store_find_key(c, args, store) : code;
}

static int run_download(cli *c, const cli_args *args, const common *o, const cli_store *store)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;
    cli_call call;
    int code;

    opts.store = store->uri;
    opts.key = store->key;
    opts.data_version = o->version;
    opts.dest_dir = args->items[1];
    opts.state_dir = cli_text(args, "state-dir");
    opts.max_connections = o->connections;
    opts.max_runners = o->runners;
    opts.memory_mib = o->memory_mib;
    opts.bytes_per_s = o->bytes_per_s;
    opts.status = cli_transfer_status;
    cli_call_begin(&call, c, "downloading");
    opts.data = &call;
    code = cli_transfer_wait(
        &call, bv_download_start(c->ctx, &opts, cli_transfer_done, &call.op, &call.err));
    if (code == EXIT_OK)
        print_result(&call, "Downloaded", store->key);
    cli_call_end(&call);
    return code;
}

int cmd_store_download(cli *c, const cli_args *args)
{
    common o = { 0 };
    cli_store store = { 0 };
    int code = open_store(c, args, &o, &store);

    if (code == EXIT_OK)
        code = run_download(c, args, &o, &store);
    cli_store_done(&store);
    return code;
}

static int run_verify(cli *c, const cli_args *args, const common *o, const cli_store *store)
{
    bv_verify_opts opts = BV_VERIFY_OPTS_INIT;
    cli_call call;
    int code;

    opts.store = store->uri;
    opts.key = store->key;
    opts.data_version = o->version;
    opts.local_dir = args->count > 1 ? args->items[1] : NULL;
    opts.max_connections = o->connections;
    opts.max_runners = o->runners;
    opts.memory_mib = o->memory_mib;
    opts.status = cli_transfer_status;
    cli_call_begin(&call, c, "verifying");
    opts.data = &call;
    code = cli_transfer_wait(
        &call, bv_snapshot_verify_start(c->ctx, &opts, cli_transfer_done, &call.op, &call.err));
    if (code == EXIT_OK)
        print_result(&call, "Verified", store->key);
    cli_call_end(&call);
    return code;
}

int cmd_store_verify(cli *c, const cli_args *args)
{
    common o = { 0 };
    cli_store store = { 0 };
    int code = args->count > 1 ? check_source(args->items[1]) : EXIT_OK;

    if (code == EXIT_OK)
        code = open_store(c, args, &o, &store);
    if (code == EXIT_OK)
        code = run_verify(c, args, &o, &store);
    cli_store_done(&store);
    return code;
}

int cmd_store_ls(cli *c, const cli_args *args)
{
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    cli_store store = { 0 };
    cli_call call;
    int code = cli_store_init(&store, args, args->items[0]);

    if (code == EXIT_OK)
        code = cli_store_must_exist(&store);
    if (code == EXIT_OK)
        code = cli_open_ctx(c);
    opts.store = store.uri;
    opts.key = store.key;
    cli_call_begin(&call, c, "listing snapshots");
    if (code == EXIT_OK)
        code = cli_call_wait(
            &call, bv_store_list_start(c->ctx, &opts, cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK)
        cli_snapshots_print(c, args, call.reply);
    cli_call_end(&call);
    cli_store_done(&store);
    return code;
}
