/*
 * Checking plugins. The plugins are in tests/data/plugins: those in good/ are without fault, those
 * in bad/ say where their faults are, in comments at the end of lines: "// finding: <rule>...", or
 * "# finding: ..." in babel.yaml; "finding at all:" is about a file as a whole. Notes do not count.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <blockvisor/plugin.h>

#include "base/vec.h"
#include "bvt.h"
#include "plugin/check.h"
#include "sys/fs.h"

#define PLUGINS_MAX  100u
#define FINDINGS_MAX 1000u
#define FILE_MAX     (1024u * 1024u)

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines, sorted, as one text. */
static void join(bvi_strv *lines, bvi_buf *out)
{
    if (lines->len)
        qsort(lines->items, lines->len, sizeof(lines->items[0]), compare);
    for (size_t i = 0; i < lines->len; i++)
        ck_assert_int_eq(bvi_buf_printf(out, "%s\n", lines->items[i]), 0);
}

static void report_of(const char *dir, const bvi_check_opts *opts, bvi_json **ret_report)
{
    bv_error *err = NULL;

    bvt_assert_ok(bvi_plugin_check(dir, opts, ret_report, &err), err);
}

/* "<file>:<line> <rule>" of errors and warnings; all for a message. */
static void found(const bvi_json *report, bvi_strv *lines, bvi_buf *all)
{
    bvi_json_each(finding, bvi_json_find(report, "findings")) {
        const char *severity = bvi_json_string(bvi_json_find(finding, "severity"));
        const char *named = bvi_json_string(bvi_json_find(finding, "file"));
        const char *file = named ? named : "";
        int64_t line = 0;
        int64_t column = 0;

        (void)bvi_json_int64(bvi_json_find(finding, "line"), &line);     /* 0: of the whole file */
        (void)bvi_json_int64(bvi_json_find(finding, "column"), &column); /* the same */
        (void)bvi_buf_printf(all, "%s:%d:%d: %s: %s [%s]\n", file, (int)line, (int)column, severity,
                             bvi_json_string(bvi_json_find(finding, "message")),
                             bvi_json_string(bvi_json_find(finding, "rule")));
        if (strcmp(severity, "note") == 0)
            continue;
        ck_assert_int_eq(
            bvi_strv_take(lines, bvi_asprintf("%s:%d %s", file, (int)line,
                                              bvi_json_string(bvi_json_find(finding, "rule")))),
            0);
    }
}

/* ---- what a plugin says about its faults ---- */

static void expect_rules(const char *rules, const char *file, int line, bvi_strv *lines)
{
    char rule[64];
    int len = 0;

    while (sscanf(rules, " %63[a-z-]%n", rule, &len) == 1) {
        ck_assert_int_eq(bvi_strv_take(lines, bvi_asprintf("%s:%d %s", file, line, rule)), 0);
        rules += len;
        rules += *rules == ',';
    }
}

static void expect_file(const char *dir, const char *file, bvi_strv *lines)
{
    static const char here[] = "finding: ";
    static const char whole[] = "finding at all: ";
    char *text = bvt_read_file(bvt_format("%s/%s", dir, file), NULL);
    int line = 1;

    for (char *at = text; at; line++) {
        char *end = strchr(at, '\n');

        if (end)
            *end = '\0';
        if (strstr(at, here))
            expect_rules(strstr(at, here) + strlen(here), file, line, lines);
        if (strstr(at, whole))
            expect_rules(strstr(at, whole) + strlen(whole), file, 1, lines);
        at = end ? end + 1 : NULL;
    }
}

static void expect_dir(const char *dir, const char *below, bvi_strv *lines)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(PLUGINS_MAX);
    const char *path = bvt_format("%s/%s", dir, below);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_fs_list(path, &names, &err), err);
    for (size_t i = 0; i < names.len; i++) {
        const char *name = bvt_format("%s%s%s", below, *below ? "/" : "", names.items[i]);
        size_t len = strlen(name);

        if (bvi_fs_is_dir(bvt_format("%s/%s", dir, name)))
            expect_dir(dir, name, lines);
        else if ((len > 5 && strcmp(name + len - 5, ".rhai") == 0) ||
                 strcmp(name, "babel.yaml") == 0)
            expect_file(dir, name, lines);
    }
}

static void check_dir(const char *dir, bool good)
{
    BVI_AUTO(bvi_strv_done) bvi_strv lines = BVI_VEC_INIT(FINDINGS_MAX);
    BVI_AUTO(bvi_strv_done) bvi_strv wanted = BVI_VEC_INIT(FINDINGS_MAX);
    BVI_AUTO(bvi_buf_done) bvi_buf got_text = BVI_BUF_INIT(FILE_MAX);
    BVI_AUTO(bvi_buf_done) bvi_buf wanted_text = BVI_BUF_INIT(FILE_MAX);
    BVI_AUTO(bvi_buf_done) bvi_buf all = BVI_BUF_INIT(FILE_MAX);
    const bvi_check_opts opts = { NULL, NULL, NULL, NULL };
    bvi_auto_json bvi_json *report = NULL;

    report_of(dir, &opts, &report);
    found(report, &lines, &all);
    join(&lines, &got_text);
    if (!good)
        expect_dir(dir, "", &wanted);
    join(&wanted, &wanted_text);
    ck_assert_msg(strcmp(bvi_buf_str(&got_text), bvi_buf_str(&wanted_text)) == 0,
                  "%s: wanted\n%sfound\n%s", dir, bvi_buf_str(&wanted_text), bvi_buf_str(&all));
}

static void check_all(const char *folder, bool good)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(PLUGINS_MAX);
    const char *only = getenv("BVT_PLUGIN"); /* one of them, for a developer */
    bv_error *err = NULL;

    bvt_assert_ok(bvi_fs_list(folder, &names, &err), err);
    ck_assert_uint_gt(names.len, 0);
    for (size_t i = 0; i < names.len; i++) {
        if (bvi_fs_is_dir(bvt_format("%s/%s", folder, names.items[i])) &&
            (!only || strcmp(only, names.items[i]) == 0))
            check_dir(bvt_format("%s/%s", folder, names.items[i]), good);
    }
}

START_TEST(passes_good_plugins)
{
    check_all(PLUGINS "/good", true);
}
END_TEST

START_TEST(passes_the_examples)
{
    check_all(EXAMPLE_IMAGES, true);
    check_all(EXAMPLE_IMAGES "/../plugins", true);
}
END_TEST

START_TEST(finds_the_faults_of_bad_ones)
{
    check_all(PLUGINS "/bad", false);
}
END_TEST

/* ---- no false alarms ---- */

/* Programs of the language's own tests work, so all their names mean something. */
START_TEST(knows_the_names_of_programs)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(PLUGINS_MAX);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_fs_list(PROGRAMS, &names, &err), err);
    ck_assert_uint_gt(names.len, 0);
    for (size_t i = 0; i < names.len; i++) {
        const bvi_check_opts opts = { NULL, NULL, NULL, NULL };
        bvi_auto_json bvi_json *report = NULL;

        report_of(bvt_format("%s/%s", PROGRAMS, names.items[i]), &opts, &report);
        bvi_json_each(finding, bvi_json_find(report, "findings")) {
            const char *rule = bvi_json_string(bvi_json_find(finding, "rule"));
            const char *file = bvi_json_string(bvi_json_find(finding, "file"));

            ck_assert_msg(strncmp(rule, "unknown-", strlen("unknown-")) != 0 ||
                              strcmp(file, names.items[i]) != 0,
                          "%s: %s", file, bvi_json_string(bvi_json_find(finding, "message")));
        }
    }
}
END_TEST

/* ---- the function itself ---- */

static const bv_plugin_check_opts defaults = BV_PLUGIN_CHECK_OPTS_INIT;

START_TEST(checks_one_variant)
{
    bv_plugin_check_opts opts = defaults;
    bv_doc *report = NULL;
    bv_error *err = NULL;

    opts.variant = "x-mainnet-full";
    bvt_assert_ok(bv_plugin_check(PLUGINS "/bad/variants", &opts, &report, &err), err);
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(report, "errors"), -1), 0);
    ck_assert_uint_eq(bv_doc_count(bv_doc_get(report, "variants")), 1);
    bv_doc_free(report);
}
END_TEST

static const struct {
    const char *path;
    const char *variant;
    const char *secrets;
    size_t size;
    int code;
    const char *says;
} refused[] = {
    { PLUGINS "/none", NULL, NULL, sizeof(bv_plugin_check_opts), BV_E_NOT_FOUND, "there is no" },
    { PLUGINS "/good/utxo-full", "x", NULL, sizeof(bv_plugin_check_opts), BV_E_NOT_FOUND,
      "no variant 'x'" },
    { PLUGINS "/good/utxo-full", NULL, "{\"a\": 1}", sizeof(bv_plugin_check_opts), BV_E_INVALID,
      "'a' is not a string" },
    { PLUGINS "/good/utxo-full", NULL, NULL, 1, BV_E_INVALID, "unknown size" },
};

START_TEST(refuses)
{
    bv_plugin_check_opts opts = defaults;
    bv_doc *secrets = NULL;
    bv_doc *report = NULL;
    bv_error *err = NULL;

    if (refused[_i].secrets)
        bvt_assert_ok(
            bv_doc_parse(refused[_i].secrets, strlen(refused[_i].secrets), &secrets, &err), err);
    opts.size = refused[_i].size;
    opts.variant = refused[_i].variant;
    opts.secrets = secrets;
    ck_assert_int_eq(bv_plugin_check(refused[_i].path, &opts, &report, &err), refused[_i].code);
    bvt_assert_error_says(err, refused[_i].code, refused[_i].says);
    bv_error_free(err);
    bv_doc_free(secrets);
}
END_TEST

START_TEST(hands_out_secrets)
{
    bv_plugin_check_opts opts = defaults;
    bv_doc *secrets = NULL;
    bv_doc *report = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bv_doc_parse("{}", 2, &secrets, &err), err);
    opts.secrets = secrets;
    bvt_assert_ok(bv_plugin_check(PLUGINS "/good/utxo-full", &opts, &report, &err), err);
    ck_assert_int_gt(bv_doc_int64(bv_doc_get(report, "notes"), 0), 0); /* not_found is thrown */
    bv_doc_free(report);
    bv_doc_free(secrets);
}
END_TEST

/* A plugin that never ends is one that fails. */
START_TEST(ends_what_does_not_end)
{
    bv_doc *report = NULL;
    bv_error *err = NULL;

    (void)bvt_write_file("main.rhai",
                         "fn plugin_config() { loop {} }\n"
                         "fn protocol_status() { sleep(3600); #{state: 1, health: 2} }\n");
    bvt_assert_ok(bv_plugin_check(bvt_dir(), NULL, &report, &err), err);
    ck_assert_int_eq(bv_doc_int64(bv_doc_get(report, "errors"), 0), 2);
    bv_doc_free(report);
}
END_TEST

/* ---- back-tick strings ---- */

static const struct {
    const char *script;
    const char *says; /* "<line>:<column>: <end of the message>" */
} backticks[] = {
    { "fn f() { `echo ${name}` }", "1:18: unknown variable 'name'; if it is the shell's, "
                                   "write $name" },
    { "fn f() { `é \\${name}` }", "1:16: unknown variable 'name'; if it is the shell's, "
                                  "write $name" },
    { "fn f() { let names = 1; `${name}` }", "1:28: unknown variable 'name'; did you mean "
                                             "'names'?" },
    { "fn f() { `${f()}` + name }", "1:21: unknown variable 'name'" },
    { "fn f() { `a ${ `${ \"}`\" + { name } }` }` }", "1:29: unknown variable 'name'; if it is "
                                                      "the shell's, write $name" },
    { "/* ` /* ` */ */ // `\nfn f() { '`'; `a``${name}` }", "2:21: unknown variable 'name'; if it "
                                                            "is the shell's, write $name" },
    { "fn f() { `${a:-b}` }", "1:14: Expecting ';' to terminate this statement; ${...} in a "
                              "back-tick string is code of the script, write ${\"$\"}{...} for one "
                              "of the shell" },
    { "const A = `a;\nconst B = `b c`;", "2:12: Expecting ';' to terminate this statement; the "
                                         "back-tick string that ends in this line began in "
                                         "line 1" },
    { "const A = `a`;\nconst B = `b` c;", "2:15: Expecting ';' to terminate this statement" },
};

START_TEST(explains_back_tick_strings)
{
    const bvi_check_opts opts = { NULL, NULL, NULL, NULL };
    bvi_auto_json bvi_json *report = NULL;
    bool told = false;

    (void)bvt_write_file("main.rhai", backticks[_i].script);
    report_of(bvt_dir(), &opts, &report);
    bvi_json_each(finding, bvi_json_find(report, "findings")) {
        int64_t line = 0;
        int64_t column = 0;

        (void)bvi_json_int64(bvi_json_find(finding, "line"), &line);     /* 0: of the whole file */
        (void)bvi_json_int64(bvi_json_find(finding, "column"), &column); /* the same */
        told = told || strcmp(bvt_format("%d:%d: %s", (int)line, (int)column,
                                         bvi_json_string(bvi_json_find(finding, "message"))),
                              backticks[_i].says) == 0;
    }
    if (!told) {
        bvi_auto_free char *text = NULL;

        ck_assert_int_eq(bvi_json_print(report, false, &text, NULL), 0);

        ck_abort_msg("not said: %s\n%s", backticks[_i].says, text);
    }
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    (void)bvt_write_file("main.rhai", "import \"m\" as m;\n"
                                      "fn plugin_config() {#{ services: [#{name: 1}] }}\n"
                                      "fn height() { hight() + m::f() + `${n}` }\n");
    (void)bvt_write_file("m.rhai", "fn f() { run_sh(\"x\").stdout }\n");
    bvt_for_each_failed_allocation(n) {
        bv_doc *report = NULL;
        bv_error *err = NULL;
        int r = bv_plugin_check(bvt_dir(), NULL, &report, &err);

        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%s", bv_error_message(err));
        bv_error_free(err);
        bv_doc_free(report);
    }
}
END_TEST

BVT_MAIN("plugin/check", bvt_test(passes_good_plugins), bvt_test(passes_the_examples),
         bvt_test(finds_the_faults_of_bad_ones), bvt_test(knows_the_names_of_programs),
         bvt_test(checks_one_variant), bvt_loop(refuses, refused), bvt_test(hands_out_secrets),
         bvt_test(ends_what_does_not_end), bvt_loop(explains_back_tick_strings, backticks),
         bvt_test(survives_every_failed_allocation))
