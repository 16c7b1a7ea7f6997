/*
 * testing.c - bv_plugin_test(): all tests of a plugin for each variant, and the report. See
 * testing.h.
 */
#include <fnmatch.h>
#include <string.h>

#include "base/doc.h"
#include "io/clock.h"
#include "plugin/testing.h"
#include "sys/fs.h"

#define GOLDEN_FILE      "plugin_test.golden.json"
#define GOLDEN_BYTES_MAX (16u * 1024u * 1024u)

typedef struct testing {
    const bv_plugin_test_opts *opts;
    bvi_plugin_limits limits;
    bvi_workspace *workspace;
    char *answers_path; /* NULL: there is no such file */
    bvi_json *answers;
    char *golden_path;
    bvi_json *golden; /* {test: result}, as kept last time */
    bvi_json *kept;   /* the same for the next time */
    bvi_strv variants;
    bvi_test_units units;
    bvi_line_coverage coverage;
    bvi_json *tests; /* of the report */
    int64_t passed;
    int64_t failed;
} testing;

/* One test, while it runs. */
typedef struct test {
    const char *name;
    const char *variant;
    const char *kind;
    const char *file;          /* that it is in */
    const bvi_test_unit *unit; /* NULL for expectations */
    bvi_test_world world;
    bvi_test_result result;
} test;

static int64_t now_us(void)
{
    return bvi_clock_system.monotonic_us(NULL);
}

/* ---- the report ---- */

static int put_result(bvi_json *json, const test *t)
{
    const bvi_test_result *result = &t->result;
    int r = bvi_json_put_string(json, "message", result->passed ? NULL : result->message);

    if (r == 0)
        r = bvi_json_put_string(json, "source", result->passed ? NULL : result->source);
    if (r == 0)
        r = bvi_json_put(json, "line",
                         !result->passed && result->line ? bvi_json_new_int64(result->line)
                                                         : bvi_json_new_null());
    if (r == 0)
        r = bvi_json_put(json, "column",
                         !result->passed && result->line ? bvi_json_new_int64(result->column)
                                                         : bvi_json_new_null());
    return r == 0 ? bvi_json_put_string(json, "diff", result->passed ? NULL : result->diff) : r;
}

static int describe(const test *t, int64_t us, bvi_json **ret_json)
{
    bvi_auto_json bvi_json *json = bvi_json_new_object();
    const bvi_json *log =
        t->world.offline ? bvi_scripted_log(bvi_offline_node(t->world.offline)) : NULL;

    if (!json || bvi_json_put_string(json, "name", t->name) < 0 ||
        bvi_json_put_string(json, "variant", t->variant) < 0 ||
        bvi_json_put_string(json, "file", t->file) < 0 ||
        bvi_json_put_string(json, "kind", t->kind) < 0 ||
        bvi_json_put_bool(json, "ok", t->result.passed) < 0 ||
        bvi_json_put(json, "ms", bvi_json_new_double((double)us / 1000)) < 0 ||
        put_result(json, t) < 0 ||
        bvi_json_put(json, "log", log ? bvi_json_copy(log) : bvi_json_new_array()) < 0)
        return BV_E_NOMEM;
    *ret_json = bvi_take(json);
    return 0;
}

static int report(testing *run, const test *t, int64_t us, bv_error **err)
{
    bvi_json *json = NULL;

    if (t->result.passed)
        run->passed++;
    else
        run->failed++;
    if (describe(t, us, &json) < 0)
        return bvi_fail_nomem(err);
    if (run->opts->tested)
        run->opts->tested(bvi_doc_of(json), run->opts->data);
    return bvi_json_add(run->tests, json) < 0 ? bvi_fail_nomem(err) : 0;
}

/* ---- one test ---- */

/* A module's source is the name it was imported as, the main script's its path. */
static char *source_name(const testing *run, const test *t, const char *source)
{
    size_t dir_len = strlen(run->workspace->dir);

    if (t->unit && t->unit->file && t->result.line > t->unit->line_offset)
        return bvi_strdup(t->unit->path);
    if (!source)
        return bvi_strdup(run->workspace->main_file);
    if (strncmp(source, run->workspace->dir, dir_len) == 0 && source[dir_len] == '/')
        return bvi_strdup(source + dir_len + 1);
    return bvi_asprintf("%s.rhai", source);
}

/* Where the script failed, as far as that is known. */
static int find_place(const testing *run, test *t, const bvi_json *failure, bv_error **err)
{
    const char *source = bvi_json_string(bvi_json_find(failure, "source"));
    bvi_test_result *result = &t->result;

    if (bvi_json_int64(bvi_json_find(failure, "line"), &result->line) < 0)
        return 0;
    (void)bvi_json_int64(bvi_json_find(failure, "column"), &result->column); /* or 0 */
    result->source = source_name(run, t, source);
    if (t->unit && t->unit->file && result->line > t->unit->line_offset)
        result->line -= t->unit->line_offset;
    return result->source ? 0 : bvi_fail_nomem(err);
}

/* The failure of a script as a text; NULL: there is none. */
static int failure_text(const testing *run, const test *t, const bvi_json *outcome, char **ret_text,
                        bv_error **err)
{
    const bvi_json *failure = bvi_json_find(outcome, "error");
    const char *text = bvi_json_string(bvi_json_find(failure, "text"));

    *ret_text = NULL;
    if (!failure)
        return 0;
    *ret_text = bvi_test_clean(run->workspace, t->unit, text ? text : "it failed");
    return *ret_text ? 0 : bvi_fail_nomem(err);
}

static int open_world(testing *run, test *t, const bvi_json *more_answers, bv_error **err)
{
    bvi_offline_opts opts = {
        .workspace = run->workspace,
        .variant = t->variant[0] ? t->variant : NULL,
        .answers = run->answers,
        .more_answers = more_answers,
        .env = bvi_json_of(run->opts->env),
        .params = bvi_json_of(run->opts->params),
        .secrets = bvi_json_of(run->opts->secrets),
        .limits = &run->limits,
        .timeout_ms = run->opts->limits ? run->opts->limits->wall_ms : 0,
        .tests = t->unit && t->unit->file ? t->unit->file->text : NULL,
        .functions = t->unit ? bvi_testing_functions : NULL,
        .functions_data = &t->world,
        .coverage = true,
    };

    return bvi_offline_open(&opts, &t->world.offline, err);
}

/* A call that was given up is a failed test; without memory nothing goes on. */
static int call(testing *run, test *t, const char *function, const char *arg,
                bvi_json **ret_outcome, bv_error **err)
{
    bvi_auto_error bv_error *failure = NULL;
    bvi_auto_free char *text = NULL;
    int r = bvi_offline_call(t->world.offline, function, arg, ret_outcome, &failure);

    bvi_line_coverage_add(&run->coverage, bvi_offline_plugin(t->world.offline));
    if (r == 0)
        return 0;
    text = bvi_error_text(failure);
    if (r == BV_E_NOMEM || !text)
        return bvi_fail_nomem(err);
    return bvi_test_result_fail(&t->result, text) < 0 ? bvi_fail_nomem(err) : 0;
}

static int run_function(testing *run, test *t, bv_error **err)
{
    bvi_auto_json bvi_json *outcome = NULL;
    bvi_auto_free char *text = NULL;
    int r = open_world(run, t, NULL, err);

    if (r == 0)
        r = call(run, t, t->name, NULL, &outcome, err);
    if (r < 0 || !outcome)
        return r;
    r = failure_text(run, t, outcome, &text, err);
    if (r < 0)
        return r;
    t->result.passed = !text;
    if (!text)
        return 0;
    if (bvi_test_result_fail(&t->result, text) < 0)
        return bvi_fail_nomem(err);
    return find_place(run, t, bvi_json_find(outcome, "error"), err);
}

/* Results are kept for the name, and the variant if there are several. */
static char *golden_key(const testing *run, const test *t)
{
    bool has_name = run->workspace->variants.len > 1 && t->variant[0];

    return bvi_asprintf("%s%s%s", t->name, has_name ? " @ " : "", has_name ? t->variant : "");
}

static int judge(testing *run, test *t, const bvi_json *expectation, const bvi_json *outcome,
                 bv_error **err)
{
    const bvi_json *requests = bvi_scripted_requests(bvi_offline_node(t->world.offline));
    bvi_auto_free char *key = golden_key(run, t);
    bvi_auto_json bvi_json *actual = NULL;
    bvi_auto_free char *text = NULL;
    int r = key ? failure_text(run, t, outcome, &text, err) : bvi_fail_nomem(err);

    if (r == 0)
        r = bvi_expectation_actual(outcome, requests, text, &actual, err);
    if (r == 0 && text)
        r = find_place(run, t, bvi_json_find(outcome, "error"), err);
    if (r < 0)
        return r;
    if (!run->opts->update || bvi_expectation_is_plain(expectation))
        return bvi_expectation_compare(expectation, actual, bvi_json_find(run->golden, key),
                                       &t->result, err);
    t->result.passed = true;
    return bvi_json_put(run->kept, key, bvi_take(actual)) < 0 ? bvi_fail_nomem(err) : 0;
}

static int run_expectation(testing *run, test *t, const bvi_json *expectation, bv_error **err)
{
    bvi_auto_json bvi_json *behaviour = bvi_expectation_behaviour(expectation);
    bvi_auto_json bvi_json *outcome = NULL;
    int r = behaviour ? open_world(run, t, behaviour, err) : bvi_fail_nomem(err);

    if (r == 0)
        r = call(run, t, bvi_json_string(bvi_json_find(expectation, "call")),
                 bvi_json_string(bvi_json_find(expectation, "arg")), &outcome, err);
    return r < 0 || !outcome ? r : judge(run, t, expectation, outcome, err);
}

/* expectation NULL: a function. */
static int run_test(testing *run, test *t, const bvi_json *expectation, bv_error **err)
{
    int64_t start_us = now_us();
    int r;

    if (run->opts->filter && fnmatch(run->opts->filter, t->name, 0) != 0)
        return 0;
    r = expectation ? run_expectation(run, t, expectation, err) : run_function(run, t, err);
    if (r == 0)
        r = report(run, t, now_us() - start_us, err);
    bvi_offline_close(t->world.offline);
    bvi_test_result_done(&t->result);
    return r;
}

/* ---- all tests ---- */

static int run_unit(testing *run, const bvi_test_unit *unit, const char *variant, bv_error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < unit->functions.len; i++) {
        test t = {
            .name = unit->functions.items[i],
            .variant = variant,
            .kind = "function",
            .file = unit->path,
            .unit = unit,
        };

        r = run_test(run, &t, NULL, err);
    }
    return r;
}

static bool lists(const bvi_json *list, const char *text)
{
    bvi_json_each(item, list) {
        if (strcmp(bvi_json_string(item), text) == 0)
            return true;
    }
    return false;
}

static int run_expectations(testing *run, const char *variant, bv_error **err)
{
    const char *slash = run->answers_path ? strrchr(run->answers_path, '/') : NULL;
    int r = 0;

    bvi_json_each(expectation, bvi_json_find(run->answers, "expect")) {
        const bvi_json *only = bvi_json_find(expectation, "variants");
        bvi_auto_free char *name = bvi_expectation_name(expectation);
        test t = {
            .name = name,
            .variant = variant,
            .kind = "expectation",
            .file = slash ? slash + 1 : run->answers_path,
        };

        if (!name)
            return bvi_fail_nomem(err);
        if (!only || lists(only, variant))
            r = run_test(run, &t, expectation, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run_all(testing *run, bv_error **err)
{
    int r = 0;

    for (size_t v = 0; r == 0 && v < run->variants.len; v++) {
        const char *variant = run->variants.items[v];

        for (size_t i = 0; r == 0 && i < run->units.units.len; i++)
            r = run_unit(run, &run->units.units.items[i], variant, err);
        if (r == 0)
            r = run_expectations(run, variant, err);
    }
    return r;
}

/* ---- before ---- */

static int check_names(const testing *run, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv names = BVI_VEC_INIT(BVI_ANSWERS_ENTRIES_MAX);
    size_t i = 0;

    bvi_json_each(expectation, bvi_json_find(run->answers, "expect")) {
        bvi_auto_free char *name = bvi_expectation_name(expectation);

        if (!name)
            return bvi_fail_nomem(err);
        if (bvi_strv_has(&names, name))
            return bvi_fail(err, BV_E_FORMAT,
                            "'%s': expect[%zu]: there is another one named '%s'; give it a 'name'",
                            run->answers_path, i, name);
        if (bvi_strv_add(&names, name) < 0)
            return bvi_fail_nomem(err);
        i++;
    }
    return 0;
}

/* Those asked for, those the file names, or the first. */
static int choose_variants(testing *run, bv_error **err)
{
    const bvi_strv *all = &run->workspace->variants;
    const bvi_json *wanted = bvi_json_find(run->answers, "variants");
    const char *word = bvi_json_string(wanted);
    int r = 0;

    if (run->opts->variant)
        return bvi_strv_add(&run->variants, run->opts->variant) < 0 ? bvi_fail_nomem(err) : 0;
    if (word && strcmp(word, "all") != 0)
        return bvi_strv_add(&run->variants, word) < 0 ? bvi_fail_nomem(err) : 0;
    bvi_json_each(item, word ? NULL : wanted) {
        if (r == 0)
            r = bvi_strv_add(&run->variants, bvi_json_string(item));
    }
    for (size_t i = 0; r == 0 && i < all->len && (word || (!wanted && i == 0)); i++)
        r = bvi_strv_add(&run->variants, all->items[i]);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

/* Beside the answers file, or else beside the scripts. NULL: no memory. */
static char *golden_path(const testing *run)
{
    const char *slash = run->answers_path ? strrchr(run->answers_path, '/') : NULL;

    if (!run->answers_path)
        return bvi_path_join(run->workspace->dir, GOLDEN_FILE, NULL);
    return bvi_asprintf("%.*s%s", slash ? (int)(slash - run->answers_path) + 1 : 0,
                        run->answers_path, GOLDEN_FILE);
}

/* Results of tests that do not run this time stay as they are. */
static int load_golden(testing *run, bv_error **err)
{
    bool is_partial = run->opts->filter || run->opts->variant;
    int r;

    run->golden_path = golden_path(run);
    if (!run->golden_path)
        return bvi_fail_nomem(err);
    r = bvi_fs_exists(run->golden_path)
            ? bvi_fs_read_json(run->golden_path, GOLDEN_BYTES_MAX, &run->golden, err)
            : 0;
    if (r < 0)
        return r;
    if (run->golden && bvi_json_type_of(run->golden) != BVI_JSON_OBJECT)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is not an object", run->golden_path);
    run->kept = run->golden && is_partial ? bvi_json_copy(run->golden) : bvi_json_new_object();
    return run->kept ? 0 : bvi_fail_nomem(err);
}

static int prepare(testing *run, const char *path, bv_error **err)
{
    int r = bvi_workspace_open(path, &run->workspace, NULL, err);

    if (r == 0)
        r = bvi_offline_answers(run->workspace, run->opts->answers, &run->answers_path,
                                &run->answers, err);
    if (r == 0)
        r = check_names(run, err);
    if (r == 0)
        r = choose_variants(run, err);
    if (r == 0)
        r = load_golden(run, err);
    if (r == 0)
        r = bvi_test_units_find(run->workspace, &run->limits, &run->units, err);
    return r == 0 ? bvi_line_coverage_init(&run->coverage, run->workspace, err) : r;
}

/* ---- after ---- */

static int save_golden(const testing *run, bool *ret_updated, bv_error **err)
{
    bool is_same =
        bvi_json_equal(run->kept, run->golden) || (!run->golden && bvi_json_count(run->kept) == 0);

    *ret_updated = run->opts->update && !is_same;
    return *ret_updated ? bvi_fs_replace_json(run->golden_path, run->kept, 0644, err) : 0;
}

static bvi_json *golden_json(const testing *run, bool updated)
{
    bvi_auto_json bvi_json *json = bvi_json_new_object();

    if (!json || bvi_json_put_string(json, "path", run->golden_path) < 0 ||
        bvi_json_put_bool(json, "updated", updated) < 0)
        return NULL;
    return bvi_take(json);
}

static bvi_json *variants_json(const testing *run)
{
    bvi_auto_json bvi_json *list = bvi_json_new_array();

    for (size_t i = 0; list && i < run->variants.len; i++) {
        if (bvi_json_add(list, bvi_json_new_string(run->variants.items[i])) < 0)
            return NULL;
    }
    return bvi_take(list);
}

static int make_report(testing *run, int64_t us, bool updated, bv_doc **ret_report, bv_error **err)
{
    bvi_auto_json bvi_json *json = bvi_json_new_object();
    bvi_json *coverage = NULL;
    int r = bvi_line_coverage_json(&run->coverage, &coverage, err);

    if (r < 0)
        return r;
    r = json ? bvi_json_put(json, "coverage", coverage) : BV_E_NOMEM;
    if (!json)
        bvi_json_free(coverage);
    if (r < 0 || bvi_json_put_string(json, "dir", run->workspace->dir) < 0 ||
        bvi_json_put_int64(json, "passed", run->passed) < 0 ||
        bvi_json_put_int64(json, "failed", run->failed) < 0 ||
        bvi_json_put(json, "ms", bvi_json_new_double((double)us / 1000)) < 0 ||
        bvi_json_put(json, "variants", variants_json(run)) < 0 ||
        bvi_json_put(json, "tests", bvi_take(run->tests)) < 0 ||
        bvi_json_put(json, "golden", golden_json(run, updated)) < 0)
        return bvi_fail_nomem(err);
    *ret_report = bvi_doc_of(bvi_take(json));
    return 0;
}

static void done(testing *run)
{
    bvi_line_coverage_done(&run->coverage);
    bvi_test_units_done(&run->units);
    bvi_workspace_free(run->workspace);
    bvi_free(run->answers_path);
    bvi_json_free(run->answers);
    bvi_free(run->golden_path);
    bvi_json_free(run->golden);
    bvi_json_free(run->kept);
    bvi_strv_done(&run->variants);
    bvi_json_free(run->tests);
}

static int check_opts(const bv_plugin_test_opts *opts, bv_error **err)
{
    if (opts->size != sizeof(*opts))
        return bvi_fail(err, BV_E_INVALID, "options have an unknown size %zu", opts->size);
    if (opts->limits && opts->limits->size != sizeof(*opts->limits))
        return bvi_fail(err, BV_E_INVALID, "limits have an unknown size %zu", opts->limits->size);
    return 0;
}

int bv_plugin_test(const char *path, const bv_plugin_test_opts *opts, bv_doc **ret_report,
                   bv_error **err)
{
    static const bv_plugin_test_opts defaults = BV_PLUGIN_TEST_OPTS_INIT;
    testing run = { .opts = opts ? opts : &defaults, .variants = BVI_VEC_INIT(BVI_TESTING_MAX) };
    int64_t start_us = now_us();
    bool updated = false;
    int r = check_opts(run.opts, err);

    if (r < 0)
        return r;
    run.limits = bvi_offline_limits(run.opts->limits);
    run.tests = bvi_json_new_array();
    r = run.tests ? prepare(&run, path, err) : bvi_fail_nomem(err);
    if (r == 0)
        r = run_all(&run, err);
    if (r == 0)
        r = save_golden(&run, &updated, err);
    if (r == 0)
        r = make_report(&run, now_us() - start_us, updated, ret_report, err);
    done(&run);
    return r;
}
