/*
 * cmd_snapshot_prune.c - bv snapshot prune: old versions go, and the data that only they need.
 */
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

static int read_grace(const cli_args *args, int64_t *ret_secs)
{
    static const struct {
        const char *unit;
        int64_t secs;
    } units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
    const char *text = cli_text(args, "grace");
    char *end = NULL;
    long long value;

    if (!text)
        return EXIT_OK;
    value = *text >= '0' && *text <= '9' && strlen(text) < 10 ? strtoll(text, &end, 10) : -1;
    for (size_t i = 0; value >= 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *ret_secs = value ? value * units[i].secs : -1; /* the library's word for none */
            return EXIT_OK;
        }
    }
    return cli_usage_error(args->command, "--grace: '%s' is not a time such as 12h or 7d", text);
}

static int read_keep(const cli_args *args, uint64_t *versions, size_t *ret_count)
{
    int count = 0;
    const char *const *list = cli_list(args, "keep-version", &count);

    for (int i = 0; i < count; i++) {
        char *end = NULL;

        versions[i] = list[i][0] >= '1' && list[i][0] <= '9' ? strtoull(list[i], &end, 10) : 0;
        if (!versions[i] || *end)
            return cli_usage_error(args->command, "--keep-version: '%s' is not a version", list[i]);
    }
    *ret_count = (size_t)count;
    return EXIT_OK;
}

static uint64_t number(const bv_doc *doc, const char *key)
{
    return (uint64_t)bv_doc_int64(bv_doc_get(doc, key), 0);
}

static void print_removed(const bv_doc *removed)
{
    const char *before = " (";

    for (const bv_doc *v = bv_doc_first(removed); v; v = bv_doc_next(v)) {
        (void)printf("%s%lld", before, (long long)bv_doc_int64(v, 0));
        before = ", ";
    }
    if (bv_doc_first(removed))
        (void)putchar(')');
}

static void print_report(const cli *c, const bv_doc *r)
{
    bool dry_run = bv_doc_is_true(bv_doc_get(r, "dry_run"));
    char size[32];

    if (c->json) {
        cli_print_json(r);
        return;
    }
    (void)printf("%s %llu of %llu versions", dry_run ? "Would remove" : "Removed",
                 (unsigned long long)number(r, "versions_removed"),
                 (unsigned long long)number(r, "versions"));
    print_removed(bv_doc_get(r, "removed"));
    (void)printf(" and %llu of %llu packs of `%s`: %s\n",
                 (unsigned long long)number(r, "packs_removed"),
                 (unsigned long long)number(r, "packs"), bv_doc_string(bv_doc_get(r, "key"), "-"),
                 cli_size_text(number(r, "bytes_removed"), size, sizeof(size)));
    if (number(r, "packs_young") && !c->quiet)
        (void)fprintf(stderr, "Note: %llu packs are not needed, but younger than --grace\n",
                      (unsigned long long)number(r, "packs_young"));
    if (number(r, "packs_reserved") + number(r, "versions_reserved") && !c->quiet)
        (void)fprintf(stderr, "Note: %llu versions and %llu packs stay for uploads under way\n",
                      (unsigned long long)number(r, "versions_reserved"),
                      (unsigned long long)number(r, "packs_reserved"));
}

static int store_prune(cli *c, const cli_args *args, const bv_prune_opts *prune)
{
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    cli_store store = { 0 };
    cli_call call;
    int code = cli_store_open(c, args, &store);

    cli_call_begin(&call, c, "pruning");
    opts.store = store.uri;
    opts.key = store.key;
    if (code == EXIT_OK)
        code = cli_call_wait(&call, bv_store_prune_start(c->ctx, &opts, prune, cli_call_done, &call,
                                                         &call.op, &call.err));
    if (code == EXIT_OK)
        print_report(c, call.reply);
    cli_call_end(&call);
    cli_store_done(&store);
    return code;
}

static int host_prune(cli *c, const cli_args *args, const bv_prune_opts *prune)
{
    cli_call call;
    int code = cli_host_form(c, args);

    if (code != EXIT_OK)
        return code;
    cli_call_begin(&call, c, "pruning");
    code = cli_call_wait(&call, bv_snapshot_prune(c->host, args->items[0], prune, cli_call_done,
                                                  &call, &call.op, &call.err));
    if (code == EXIT_OK)
        print_report(c, call.reply);
    cli_call_end(&call);
    return code;
}

int cmd_snapshot_prune(cli *c, const cli_args *args)
{
    bv_prune_opts prune = BV_PRUNE_OPTS_INIT;
    uint64_t versions[CLI_LIST_MAX];
    int code = read_grace(args, &prune.grace_secs);

    if (code == EXIT_OK)
        code = read_keep(args, versions, &prune.keep_count);
    if (code == EXIT_OK && cli_number(args, "keep", 0) == 0)
        code = cli_usage_error(args->command, "--keep must say how many versions stay");
    if (code == EXIT_OK && cli_number(args, "keep", 0) > UINT32_MAX)
        code = cli_usage_error(args->command, "--keep is too large");
    if (code != EXIT_OK)
        return code;
    prune.keep = versions;
    prune.keep_last = (uint32_t)cli_number(args, "keep", 0);
    prune.dry_run = cli_flag(args, "dry-run");
    return cli_is_store(args->items[0]) ? store_prune(c, args, &prune)
                                        : host_prune(c, args, &prune);
}
