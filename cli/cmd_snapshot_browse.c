/*
 * cmd_snapshot_browse.c - bv snapshot files, cat and diff: looking into snapshots without fetching
 * them. Output comes as it is found, so that a million files need no memory.
 */
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

/* One question and its answer. */
typedef struct look {
    cli_call call;
    cli_store store;
    cli_mirrors mirrors;
    bv_store_opts opts;
    uint64_t count;   /* of what was printed */
    uint64_t changed; /* bytes */
} look;

static int look_init(look *l, cli *c, const cli_args *args, const char *what)
{
    int code;

    *l = (look){ .opts = BV_STORE_OPTS_INIT };
    cli_call_begin(&l->call, c, what);
    l->call.while_read = true;
    code = cli_mirrors_init(&l->mirrors, args);
    if (code == EXIT_OK)
        code = cli_store_open(c, args, &l->store);
    l->opts.store = l->store.uri;
    l->opts.key = l->store.key;
    l->opts.data_version = cli_number(args, "version", 0);
    l->opts.mirrors = cli_mirrors_list(&l->mirrors);
    l->opts.verify_key_file = cli_text(args, "verify-key");
    return code;
}

static void look_done(look *l)
{
    cli_call_end(&l->call);
    cli_mirrors_done(&l->mirrors);
    cli_store_done(&l->store);
}

static void on_done(bv_op *op, const bv_error *err, void *data)
{
    look *l = data;

    (void)op;
    if (err) {
        (void)cli_call_failed(&l->call, err); /* the call keeps the code */
        return;
    }
    l->call.done = true;
    l->call.exit_code = EXIT_OK;
}

/* An element of a JSON array that is printed bit by bit. */
static void print_element(look *l, cli_json *j)
{
    bv_doc *doc = cli_json_doc(j);
    char *text = NULL;

    if (doc && bv_doc_print(doc, 0, &text, NULL) == 0)
        (void)printf("%s\n    %s", l->count ? "," : "", text);
    bv_free(text);
    bv_doc_free(doc);
}

static void add_number(cli_json *j, const char *name, int64_t value)
{
    char text[64];

    (void)snprintf(text, sizeof(text), ",\"%s\":%lld", name, (long long)value);
    cli_json_raw(j, text);
}

static void add_text(cli_json *j, const char *name, const char *value)
{
    cli_json_raw(j, ",\"");
    cli_json_raw(j, name);
    cli_json_raw(j, "\":");
    cli_json_string(j, value);
}

/* ---- files ---- */

static const char *kind_name(int32_t kind)
{
    static const char *const names[] = {
        [BV_ENTRY_DIRECTORY] = "directory",
        [BV_ENTRY_FILE] = "file",
        [BV_ENTRY_SYMLINK] = "symlink",
        [BV_ENTRY_HARDLINK] = "hardlink",
    };
    bool known = kind > 0 && (size_t)kind < sizeof(names) / sizeof(names[0]) && names[kind];

    return known ? names[kind] : "?";
}

static void print_entry_json(look *l, const bv_snapshot_entry *e)
{
    cli_json j = { 0 };

    cli_json_raw(&j, "{\"path\":");
    cli_json_string(&j, e->path);
    add_text(&j, "kind", kind_name(e->kind));
    if (e->kind == BV_ENTRY_FILE)
        add_number(&j, "bytes", (int64_t)e->bytes);
    if (e->kind != BV_ENTRY_HARDLINK) {
        add_number(&j, "mode", e->mode);
        add_number(&j, "uid", e->uid);
        add_number(&j, "gid", e->gid);
        add_number(&j, "mtime_s", e->mtime_s);
        add_number(&j, "mtime_ns", e->mtime_ns);
    }
    if (e->target)
        add_text(&j, "target", e->target);
    cli_json_raw(&j, "}");
    print_element(l, &j);
}

static void print_entry(const bv_snapshot_entry *e)
{
    char when[64];

    if (e->kind == BV_ENTRY_HARDLINK)
        (void)printf("%-9s %4s %14s  %-19s  ", kind_name(e->kind), "", "", "");
    else
        (void)printf("%-9s %04o %14llu  %-19s  ", kind_name(e->kind), (unsigned)e->mode,
                     (unsigned long long)e->bytes, cli_time_text(e->mtime_s, when, sizeof(when)));
    cli_put(stdout, *e->path ? e->path : ".");
    if (e->target) {
        (void)fputs(" -> ", stdout);
        cli_put(stdout, e->target);
    }
    (void)fputc('\n', stdout);
}

static int on_entry(bv_op *op, const bv_snapshot_entry *entry, void *data)
{
    look *l = data;

    (void)op;
    if (l->call.c->json)
        print_entry_json(l, entry);
    else
        print_entry(entry);
    l->count++;
    return 0;
}

int cmd_snapshot_files(cli *c, const cli_args *args)
{
    look l;
    int code = look_init(&l, c, args, "listing files");

    if (code == EXIT_OK && c->json)
        (void)fputs("{\"files\": [", stdout);
    if (code == EXIT_OK) {
        code = cli_call_wait(&l.call, bv_store_files_start(c->ctx, &l.opts, on_entry, on_done, &l,
                                                           &l.call.op, &l.call.err));
        if (c->json)
            (void)puts("]}");
    }
    look_done(&l);
    return code;
}

/* ---- cat ---- */

static int on_bytes(bv_op *op, const void *bytes, size_t len, void *data)
{
    (void)op;
    (void)data;
    return fwrite(bytes, 1, len, stdout) == len ? 0 : BV_E_IO;
}

int cmd_snapshot_cat(cli *c, const cli_args *args)
{
    look l;
    int code = look_init(&l, c, args, "reading");

    if (code == EXIT_OK)
        code = cli_call_wait(&l.call, bv_store_cat_start(c->ctx, &l.opts, args->items[1], on_bytes,
                                                         on_done, &l, &l.call.op, &l.call.err));
    look_done(&l);
    return code;
}

/* ---- diff ---- */

static const char *const changes[] = {
    [BV_CHANGE_ADDED] = "added",
    [BV_CHANGE_REMOVED] = "removed",
    [BV_CHANGE_CHANGED] = "changed",
    [BV_CHANGE_TOUCHED] = "touched",
};

static int on_change(bv_op *op, const bv_snapshot_change *d, void *data)
{
    look *l = data;
    char size[32];
    cli_json j = { 0 };

    (void)op;
    l->changed += d->change == BV_CHANGE_REMOVED ? 0 : d->changed_bytes;
    if (l->call.c->json) {
        cli_json_raw(&j, "{\"path\":");
        cli_json_string(&j, d->path);
        add_text(&j, "change", changes[d->change]);
        add_text(&j, "kind", kind_name(d->kind));
        add_number(&j, "bytes", (int64_t)d->bytes);
        add_number(&j, "changed_bytes", (int64_t)d->changed_bytes);
        cli_json_raw(&j, "}");
        print_element(l, &j);
    } else {
        (void)printf("%-7s %10s  ", changes[d->change],
                     cli_size_text(d->changed_bytes, size, sizeof(size)));
        cli_put(stdout, *d->path ? d->path : ".");
        (void)fputc('\n', stdout);
    }
    l->count++;
    return 0;
}

static bool read_version(const char *text, uint64_t *ret_version)
{
    char *end = NULL;

    *ret_version = *text >= '1' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    return *ret_version && !*end;
}

/* A is the older version, B the newer one; without B it is the latest. */
static int read_versions(const cli_args *args, uint64_t *ret_a, uint64_t *ret_b)
{
    if (!read_version(args->items[1], ret_a))
        return cli_usage_error(args->command, "'%s' is not a version", args->items[1]);
    if (args->count > 2 && !read_version(args->items[2], ret_b))
        return cli_usage_error(args->command, "'%s' is not a version", args->items[2]);
    return EXIT_OK;
}

static void end_diff(const look *l)
{
    char size[32];

    if (l->call.c->json)
        (void)printf("], \"changes\": %llu, \"changed_bytes\": %llu}\n",
                     (unsigned long long)l->count, (unsigned long long)l->changed);
    else if (!l->call.c->quiet)
        (void)fprintf(stderr, "%llu changes, %s of data\n", (unsigned long long)l->count,
                      cli_size_text(l->changed, size, sizeof(size)));
}

static int store_diff(cli *c, const cli_args *args, uint64_t a, uint64_t b)
{
    look l;
    int code = look_init(&l, c, args, "comparing");

    l.opts.data_version = b;
    if (code == EXIT_OK && c->json)
        (void)fputs("{\"differences\": [", stdout);
    if (code == EXIT_OK) {
        code = cli_call_wait(&l.call, bv_store_diff_start(c->ctx, &l.opts, a, on_change, on_done,
                                                          &l, &l.call.op, &l.call.err));
        if (code == EXIT_OK || c->json)
            end_diff(&l);
    }
    look_done(&l);
    return code;
}

int cmd_snapshot_diff(cli *c, const cli_args *args)
{
    uint64_t a = 0, b = 0;
    int code = read_versions(args, &a, &b);

    if (code != EXIT_OK)
        return code;
    return cli_is_store(args->items[0]) ? store_diff(c, args, a, b) : cli_host_diff(c, args, a, b);
}
