/*
 * cmd_snapshot_store.c - bv snapshot ... on a store that the command line names: no daemon, no
 * node. cmd_snapshot.c decides which form was meant.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "snapshot.h"

/* Bytes of a snapshot's root. */
#define ROOT_MAX (64l << 20)
/* Threads, unless --workers says otherwise: one for each processor. */
#define WORKERS_LEAST 2
#define WORKERS_MOST  16

/* ---- options that several commands have ---- */

/* One more than a job in a node has: nothing else of the host is in the way of an operator. */
#define CONNECTIONS_DEFAULT 4u

typedef struct common {
    uint32_t connections;
    uint32_t runners;
    uint32_t memory_mib;
    uint64_t bytes_per_s;
    uint64_t version;
    int32_t space_wait_secs; /* as the library has it */
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

static uint32_t processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return (uint32_t)(count < WORKERS_LEAST  ? WORKERS_LEAST
                      : count > WORKERS_MOST ? WORKERS_MOST
                                             : count);
}

static int read_common(cli *c, const cli_args *args, common *o)
{
    const char *rate = cli_text(args, "limit-rate");
    int code = cli_take_progress(c, args);

    if (code == EXIT_OK)
        code = number_up_to(args, "connections", BV_TRANSFER_RUNNERS_MAX, &o->connections);
    if (!o->connections)
        o->connections = CONNECTIONS_DEFAULT;
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
        c->workers = processors();
    o->version = cli_number(args, "version", 0);
    if (cli_text(args, "space-wait")) {
        uint64_t secs = cli_number(args, "space-wait", 0);

        o->space_wait_secs = secs == 0          ? BV_TRANSFER_SPACE_WAIT_NONE
                             : secs > INT32_MAX ? BV_TRANSFER_SPACE_WAIT_FOREVER
                                                : (int32_t)secs;
    }
    return EXIT_OK;
}

/* ---- results ---- */

static const char *format_name(int32_t format)
{
    return format == BV_FORMAT_SNAPSHOT ? "snapshot" : "archive";
}

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
    cli_json_raw(&j, ",\"format\":");
    cli_json_string(&j, format_name(s->format));
    add_number(&j, "version", s->data_version);
    add_number(&j, "total_bytes", s->bytes_total);
    add_number(&j, "stored_bytes", s->stored_done);
    add_number(&j, "reused_bytes", s->reused_bytes);
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

/* To the nearest second; short ones with a tenth. */
static char *took_text(int64_t ms, char *text, size_t size)
{
    if (ms >= 10000)
        return cli_duration_text(ms - 500, text, size); /* which rounds up */
    (void)snprintf(text, size, "%.1fs", (double)ms / 1000);
    return text;
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
                 took_text(cli_now_ms() - call->began_ms, took, sizeof(took)));
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

/* A word of an option and the number that it stands for; text NULL ends a table. */
typedef struct word {
    const char *text;
    int32_t value;
} word;

static int choose(const cli_args *args, const char *name, const word *words, int32_t *ret_value)
{
    const char *given = cli_text(args, name);

    for (const word *w = words; given && w->text; w++) {
        if (strcmp(w->text, given) == 0) {
            *ret_value = w->value;
            return EXIT_OK;
        }
    }
    return given ? cli_usage_error(args->command, "--%s: there is no '%s'", name, given) : EXIT_OK;
}

static int choose_upload(const cli_args *args, bv_upload_opts *opts)
{
    static const word formats[] = { { "snapshot", BV_FORMAT_SNAPSHOT },
                                    { "archive", BV_FORMAT_ARCHIVE },
                                    { NULL, 0 } };
    static const word codecs[] = {
        { "zstd", BV_CODEC_ZSTD }, { "lz4", BV_CODEC_LZ4 }, { "none", BV_CODEC_STORED }, { NULL, 0 }
    };
    int code;

    opts->format = BV_FORMAT_SNAPSHOT;
    code = choose(args, "format", formats, &opts->format);
    if (code == EXIT_OK)
        code = choose(args, "codec", codecs, &opts->codec);
    if (code == EXIT_OK && cli_number(args, "level", 0) > 22)
        code = cli_usage_error(args->command, "--level is at most 22");
    return code;
}

static int run_upload(cli *c, const cli_args *args, const common *o, const cli_store *store)
{
    const char *gate[] = { "/bin/sh", "-c", NULL, "gate", NULL }; /* DIR comes behind it, as $1 */
    const char **exclude = terminated(args, "exclude");
    const char **protect = terminated(args, "protect");
    bv_upload_opts opts = BV_UPLOAD_OPTS_INIT;
    cli_call call;
    int code = exclude && protect ? choose_upload(args, &opts) : EXIT_LIMIT;

    cli_call_begin(&call, c, "uploading");
    opts.store = store->uri;
    opts.key = store->key;
    opts.source_dir = args->items[0];
    opts.state_dir = cli_text(args, "state-dir");
    opts.exclude = exclude;
    opts.protect = protect && *protect ? protect : NULL;
    opts.zstd_level = (int32_t)cli_number(args, "level", 0);
    opts.sign_key_file = cli_text(args, "sign");
    gate[2] = cli_text(args, "gate");
    opts.gate = gate[2] ? gate : NULL;
    opts.rehash = cli_flag(args, "rehash");
    opts.no_owner = cli_flag(args, "no-owner");
    opts.xattrs = cli_flag(args, "xattrs");
    opts.max_connections = o->connections;
    opts.max_runners = o->runners;
    opts.memory_mib = o->memory_mib;
    opts.bytes_per_s = o->bytes_per_s;
    opts.space_wait_secs = o->space_wait_secs;
    opts.status = cli_transfer_status;
    opts.data = &call;
    if (code == EXIT_OK)
        code = cli_transfer_wait(
            &call, bv_upload_start(c->ctx, &opts, cli_transfer_done, &call.op, &call.err));
    if (code == EXIT_OK)
        print_result(&call, "Uploaded", store->key);
    cli_call_end(&call);
    free(exclude);
    free(protect);
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

static int open_store(cli *c, const cli_args *args, common *o, cli_store *store)
{
    int code = read_common(c, args, o);

    return code == EXIT_OK ? cli_store_open(c, args, store) : code;
}

/* ---- downloads ---- */

/* The lists of a download's options. */
typedef struct lists {
    const char **include;
    const char **protect;
    const char **seeds;
    cli_mirrors mirrors;
} lists;

static void lists_done(lists *l)
{
    free(l->include);
    free(l->protect);
    free(l->seeds);
    cli_mirrors_done(&l->mirrors);
}

static int lists_init(const cli_args *args, lists *l)
{
    *l = (lists){ 0 };
    l->include = terminated(args, "include");
    l->protect = terminated(args, "protect");
    l->seeds = terminated(args, "seed");
    return l->include && l->protect && l->seeds ? cli_mirrors_init(&l->mirrors, args) : EXIT_LIMIT;
}

/* An empty list is none. */
static const char *const *some(const char *const *list)
{
    return list && *list ? list : NULL;
}

static int run_download(cli *c, const cli_args *args, const common *o, const cli_store *store,
                        const char *did)
{
    bv_download_opts opts = BV_DOWNLOAD_OPTS_INIT;
    cli_call call;
    lists l;
    int code = lists_init(args, &l);

    cli_call_begin(&call, c, "downloading");
    opts.store = store->uri;
    opts.key = store->key;
    opts.data_version = o->version;
    opts.dest_dir = args->items[1];
    opts.state_dir = cli_text(args, "state-dir");
    opts.include = some(l.include);
    opts.protect = some(l.protect);
    opts.seeds = some(l.seeds);
    opts.mirrors = cli_mirrors_list(&l.mirrors);
    opts.verify_key_file = cli_text(args, "verify-key");
    opts.delete_extra = cli_flag(args, "delete");
    opts.recheck = cli_flag(args, "recheck") || cli_flag(args, "repair");
    opts.no_owner = cli_flag(args, "no-owner");
    opts.xattrs = cli_flag(args, "xattrs");
    opts.max_connections = o->connections;
    opts.max_runners = o->runners;
    opts.memory_mib = o->memory_mib;
    opts.bytes_per_s = o->bytes_per_s;
    opts.space_wait_secs = o->space_wait_secs;
    opts.status = cli_transfer_status;
    opts.data = &call;
    if (code == EXIT_OK)
        code = cli_transfer_wait(
            &call, bv_download_start(c->ctx, &opts, cli_transfer_done, &call.op, &call.err));
    if (code == EXIT_OK)
        print_result(&call, did, store->key);
    cli_call_end(&call);
    lists_done(&l);
    return code;
}

int cmd_store_download(cli *c, const cli_args *args)
{
    common o = { 0 };
    cli_store store = { 0 };
    int code = open_store(c, args, &o, &store);

    if (code == EXIT_OK)
        code = run_download(c, args, &o, &store, "Downloaded");
    cli_store_done(&store);
    return code;
}

int cmd_snapshot_restore(cli *c, const cli_args *args)
{
    common o = { 0 };
    cli_store store = { 0 };
    int count = 0;
    int code = EXIT_OK;

    (void)cli_list(args, "include", &count);
    if (!count)
        code = cli_usage_error(args->command, "what to restore must be said with --include");
    if (code == EXIT_OK)
        code = open_store(c, args, &o, &store);
    if (code == EXIT_OK)
        code = run_download(c, args, &o, &store, "Restored");
    cli_store_done(&store);
    return code;
}

/* ---- verifications ---- */

static void on_differs(bv_op *op, const char *path, uint64_t pos, uint64_t len, void *data)
{
    const cli_call *call = data;

    (void)op;
    if (call->c->progress == CLI_PROGRESS_JSON)
        cli_differs_event(path, pos, len);
    if (call->c->json || call->c->progress == CLI_PROGRESS_JSON)
        return;
    if (call->drawn)
        (void)fputs("\r\033[K", stderr);
    (void)fputs("differs: ", stdout);
    cli_put(stdout, path);
    if (len)
        (void)printf(" (%llu bytes at %llu)", (unsigned long long)len, (unsigned long long)pos);
    (void)fputc('\n', stdout);
}

/* Store NULL: a directory against what was downloaded into it. */
static int run_verify(cli *c, const cli_args *args, const common *o, const cli_store *store,
                      const char *dir)
{
    bv_verify_opts opts = BV_VERIFY_OPTS_INIT;
    cli_call call;
    lists l;
    int code = lists_init(args, &l);

    cli_call_begin(&call, c, "verifying");
    opts.store = store->uri;
    opts.key = store->key;
    opts.data_version = o->version;
    opts.local_dir = dir;
    opts.state_dir = cli_text(args, "state-dir");
    opts.protect = some(l.protect);
    opts.mirrors = cli_mirrors_list(&l.mirrors);
    opts.verify_key_file = cli_text(args, "verify-key");
    opts.differs = on_differs;
    opts.max_connections = o->connections;
    opts.max_runners = o->runners;
    opts.memory_mib = o->memory_mib;
    opts.status = cli_transfer_status;
    opts.data = &call;
    if (code == EXIT_OK)
        code = cli_transfer_wait(
            &call, bv_snapshot_verify_start(c->ctx, &opts, cli_transfer_done, &call.op, &call.err));
    if (code == EXIT_OK)
        print_result(&call, "Verified", store->key);
    cli_call_end(&call);
    lists_done(&l);
    return code;
}

/* ---- a directory by itself ---- */

/* What a download of a snapshot leaves beside its directory; NULL: there is none. */
static FILE *open_root(const cli_args *args)
{
    const char *dir = args->items[0];
    const char *state = cli_text(args, "state-dir");
    size_t len = strlen(dir);
    char path[PATH_MAX];

    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (state)
        (void)snprintf(path, sizeof(path), "%s/snapshot.json", state);
    else
        (void)snprintf(path, sizeof(path), "%.*s.transfer/snapshot.json", (int)len, dir);
    return args->count == 1 && !cli_text(args, "key") ? fopen(path, "rbe") : NULL;
}

/* The key in it, freed by the caller; NULL: it is none. */
static char *root_key(FILE *f)
{
    char *text = NULL;
    char *key = NULL;
    bv_doc *doc = NULL;
    long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;

    if (size > 0 && size <= ROOT_MAX)
        text = malloc((size_t)size);
    rewind(f);
    if (text && fread(text, 1, (size_t)size, f) == (size_t)size &&
        bv_doc_parse(text, (size_t)size, &doc, NULL) == 0)
        key = strdup(bv_doc_string(bv_doc_get(doc, "key"), ""));
    bv_doc_free(doc);
    free(text);
    return key;
}

/* -1: it is no such directory. */
static int verify_offline(cli *c, const cli_args *args)
{
    FILE *f = open_root(args);
    cli_store store = { 0 };
    common o = { 0 };
    int code;

    if (!f)
        return -1;
    store.key = root_key(f);
    (void)fclose(f);
    if (!store.key)
        return -1;
    code = read_common(c, args, &o);
    if (code == EXIT_OK && cli_flag(args, "repair"))
        code = cli_usage_error(args->command, "--repair needs a store and a directory");
    if (code == EXIT_OK)
        code = cli_open_ctx(c);
    if (code == EXIT_OK)
        code = run_verify(c, args, &o, &store, args->items[0]);
    cli_store_done(&store);
    return code;
}

int cmd_store_verify(cli *c, const cli_args *args)
{
    common o = { 0 };
    cli_store store = { 0 };
    bool repair = cli_flag(args, "repair");
    int code = verify_offline(c, args);

    if (code >= 0)
        return code;
    code = args->count > 1 ? check_source(args->items[1]) : EXIT_OK;
    if (repair && args->count < 2)
        code = cli_usage_error(args->command, "--repair needs a directory");
    if (code == EXIT_OK)
        code = open_store(c, args, &o, &store);
    if (code == EXIT_OK)
        code = repair ? run_download(c, args, &o, &store, "Repaired")
                      : run_verify(c, args, &o, &store, args->count > 1 ? args->items[1] : NULL);
    cli_store_done(&store);
    return code;
}

/* ---- lists ---- */

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
