/*
 * cmd_plugin_test.c - bv plugin test: the tests of a plugin's author, with the lines they reach.
 */
#include <errno.h>
#include <string.h>

#include "cli.h"
#include "plugin_options.h"

typedef struct test_printer {
    cli *c;
    bool tap;
    int count;
} test_printer;

static const char *text_of(const bv_doc *doc, const char *key)
{
    return bv_doc_string(bv_doc_get(doc, key), "");
}

/* ---- while tests run ---- */

/* Several lines, each behind the same. A script's text is data: it obeys no terminal. */
static void print_block(const char *before, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        (void)fputs(before, stdout);
        for (size_t i = 0; i < len; i++)
            (void)putchar((unsigned char)text[i] < 0x20 && text[i] != '\t' ? '?' : text[i]);
        (void)putchar('\n');
        text += len + (text[len] == '\n');
    }
}

static void print_name(const bv_doc *test)
{
    const char *variant = text_of(test, "variant");

    (void)printf("%s: ", text_of(test, "file"));
    cli_put(stdout, text_of(test, "name"));
    if (variant[0])
        (void)printf(" (%s)", variant);
}

/* All that was logged, or only requests that nothing answered, which a script may have hidden. */
static void print_log(const bv_doc *log, const char *before, bool all)
{
    for (const bv_doc *line = bv_doc_first(log); line; line = bv_doc_next(line)) {
        const char *level = text_of(line, "level");

        if (!all && strcmp(level, "unmatched") != 0)
            continue;
        (void)printf("%s%s: ", before, level);
        cli_put(stdout, text_of(line, "text"));
        (void)putchar('\n');
    }
}

static void print_why(const bv_doc *test, const char *before)
{
    if (bv_doc_string(bv_doc_get(test, "source"), NULL))
        (void)printf("%sat %s:%lld:%lld\n", before, text_of(test, "source"),
                     (long long)bv_doc_int64(bv_doc_get(test, "line"), 0),
                     (long long)bv_doc_int64(bv_doc_get(test, "column"), 0));
    print_block(before, text_of(test, "message"));
    print_block(before, text_of(test, "diff"));
    print_log(bv_doc_get(test, "log"), before, true);
}

static void print_tap(const test_printer *p, const bv_doc *test)
{
    (void)printf("%s %d - ", bv_doc_is_true(bv_doc_get(test, "ok")) ? "ok" : "not ok", p->count);
    print_name(test);
    (void)putchar('\n');
    if (!bv_doc_is_true(bv_doc_get(test, "ok")))
        print_why(test, "# ");
}

static void print_line(const test_printer *p, const bv_doc *test)
{
    bool ok = bv_doc_is_true(bv_doc_get(test, "ok"));
    const char *colour = !p->c->colour ? "" : ok ? "\033[32m" : "\033[31m";

    if (ok && p->c->quiet)
        return;
    (void)printf("%s%s%s  ", colour, ok ? "ok    " : "FAILED", p->c->colour ? "\033[0m" : "");
    print_name(test);
    (void)printf("  %.1f ms\n", bv_doc_double(bv_doc_get(test, "ms"), 0));
    if (ok)
        print_log(bv_doc_get(test, "log"), "        ", false);
    else
        print_why(test, "        ");
}

static void on_tested(const bv_doc *test, void *data)
{
    test_printer *p = data;

    p->count++;
    if (p->tap)
        print_tap(p, test);
    else if (!p->c->json)
        print_line(p, test);
}

/* ---- lines ---- */

/* "3-5,9"; "-" for none. Cut, with a sign of it, when the text is full. */
static const char *ranges_text(const bv_doc *ranges, char *text, size_t size)
{
    size_t len = 0;

    (void)snprintf(text, size, "-");
    for (const bv_doc *r = bv_doc_first(ranges); r; r = bv_doc_next(r)) {
        long long first = bv_doc_int64(bv_doc_first(r), 0);
        long long last = bv_doc_int64(bv_doc_next(bv_doc_first(r)), 0);

        if (len + 48 > size) {
            (void)snprintf(text + len, size - len, ",...");
            break;
        }
        len += (size_t)snprintf(text + len, size - len, "%s%lld", len ? "," : "", first);
        if (last != first)
            len += (size_t)snprintf(text + len, size - len, "-%lld", last);
    }
    return text;
}

static void add_lines(cli_table *table, const bv_doc *entry, const char *name,
                      const char *uncovered)
{
    char lines[32], covered[32], percent[32];
    const char *const cells[] = { name, lines, covered, percent, uncovered };

    (void)snprintf(lines, sizeof(lines), "%lld",
                   (long long)bv_doc_int64(bv_doc_get(entry, "lines"), 0));
    (void)snprintf(covered, sizeof(covered), "%lld",
                   (long long)bv_doc_int64(bv_doc_get(entry, "covered"), 0));
    (void)snprintf(percent, sizeof(percent), "%.1f%%",
                   bv_doc_double(bv_doc_get(entry, "percent"), 0));
    cli_table_row(table, cells, NULL);
}

static void print_coverage(const cli *c, const bv_doc *coverage)
{
    static const char *const titles[] = { "File", ">Lines", ">Ran", ">Percent", "Not reached" };
    cli_table *table = cli_table_new(titles, 5);
    const bv_doc *files = bv_doc_get(coverage, "files");

    for (const bv_doc *f = bv_doc_first(files); f; f = bv_doc_next(f)) {
        char ranges[512];

        add_lines(table, f, text_of(f, "file"),
                  ranges_text(bv_doc_get(f, "uncovered"), ranges, sizeof(ranges)));
    }
    if (bv_doc_count(files) > 1)
        add_lines(table, coverage, "all", "");
    cli_table_print(table, c);
    cli_table_free(table);
}

static void write_lines(FILE *out, const bv_doc *lines, int ran)
{
    for (const bv_doc *line = bv_doc_first(lines); line; line = bv_doc_next(line))
        (void)fprintf(out, "DA:%lld,%d\n", (long long)bv_doc_int64(line, 0), ran);
}

static int write_lcov(const char *path, const char *dir, const bv_doc *coverage)
{
    const bv_doc *files = bv_doc_get(coverage, "files");
    FILE *out = fopen(path, "w");
    bool failed = !out;

    for (const bv_doc *f = bv_doc_first(files); out && f; f = bv_doc_next(f)) {
        (void)fprintf(out, "TN:\nSF:%s/%s\n", dir, text_of(f, "file"));
        write_lines(out, bv_doc_get(f, "executed"), 1);
        write_lines(out, bv_doc_get(f, "missed"), 0);
        (void)fprintf(out, "LF:%lld\nLH:%lld\nend_of_record\n",
                      (long long)bv_doc_int64(bv_doc_get(f, "lines"), 0),
                      (long long)bv_doc_int64(bv_doc_get(f, "covered"), 0));
    }
    if (out)
        failed = ferror(out) | (fclose(out) != 0);
    if (failed)
        (void)fprintf(stderr, "Error: cannot write '%s': %s\n", path, strerror(errno));
    return failed ? EXIT_FAILED : EXIT_OK;
}

/* ---- the end ---- */

static void print_summary(const bv_doc *report)
{
    long long passed = bv_doc_int64(bv_doc_get(report, "passed"), 0);
    long long failed = bv_doc_int64(bv_doc_get(report, "failed"), 0);
    const bv_doc *golden = bv_doc_get(report, "golden");

    if (passed + failed == 0)
        (void)puts("There are no tests: no function is named test_..., and nothing is expected.");
    else
        (void)printf("%lld passed, %lld failed, %.0f ms\n", passed, failed,
                     bv_doc_double(bv_doc_get(report, "ms"), 0));
    if (bv_doc_is_true(bv_doc_get(golden, "updated")))
        (void)printf("Kept golden results in '%s'\n", text_of(golden, "path"));
}

static void print_report(const test_printer *p, const bv_doc *report)
{
    if (p->c->json) {
        cli_print_json(report);
    } else if (p->tap) {
        (void)printf("1..%d\n", p->count);
    } else {
        print_summary(report);
        (void)putchar('\n');
        print_coverage(p->c, bv_doc_get(report, "coverage"));
    }
}

static int judge(const cli_args *args, const bv_doc *report)
{
    double percent = bv_doc_double(bv_doc_get(bv_doc_get(report, "coverage"), "percent"), 0);
    uint64_t least = cli_number(args, "coverage-min", 0);

    if (percent < (double)least) {
        (void)fprintf(stderr, "Error: %.1f%% of the lines ran, fewer than the %llu%% wanted\n",
                      percent, (unsigned long long)least);
        return EXIT_FAILED;
    }
    return bv_doc_int64(bv_doc_get(report, "failed"), 0) ? EXIT_FAILED : EXIT_OK;
}

static int finish(const test_printer *p, const cli_args *args, const bv_doc *report)
{
    const char *lcov = cli_text(args, "lcov");
    int code;

    print_report(p, report);
    code = judge(args, report);
    if (lcov && write_lcov(lcov, text_of(report, "dir"), bv_doc_get(report, "coverage")) != EXIT_OK)
        return EXIT_FAILED;
    return code;
}

int cmd_plugin_test(cli *c, const cli_args *args)
{
    uint64_t seconds = cli_number(args, "timeout", 0);
    bv_script_limits limits = BV_SCRIPT_LIMITS_INIT;
    bv_plugin_test_opts opts = BV_PLUGIN_TEST_OPTS_INIT;
    test_printer printer = { .c = c, .tap = cli_flag(args, "tap") && !c->json };
    plugin_options node = { NULL };
    bv_doc *report = NULL;
    bv_error *err = NULL;
    int code = plugin_options_read(args, &node);

    cli_release_signals(); /* nothing needs an orderly end: Ctrl-C just ends us */
    limits.wall_ms = seconds < INT32_MAX ? (int64_t)seconds * 1000 : 0;
    opts.variant = node.variant;
    opts.env = node.env;
    opts.params = node.params;
    opts.secrets = node.secrets;
    opts.answers = cli_text(args, "answers");
    opts.filter = cli_text(args, "filter");
    opts.update = cli_flag(args, "update");
    opts.limits = &limits;
    opts.tested = on_tested;
    opts.data = &printer;
    if (code == EXIT_OK)
        code = bv_plugin_test(args->items[0], &opts, &report, &err) < 0
                   ? cli_report(err)
                   : finish(&printer, args, report);
    bv_error_free(err);
    bv_doc_free(report);
    plugin_options_done(&node);
    return code;
}
