/*
 * testing.h - running the tests of a plugin's author: the parts of it, for testing*.c only.
 *
 *     testing.c            the run: variants, each test in a world of its own, the report
 *     testing_find.c       which test functions there are, and where a position in them really is
 *     testing_lib.c        what test functions can call besides the plugin's own functions
 *     testing_expect.c     expectations of the answers file, and golden results
 *     testing_coverage.c   which lines of the plugin ran
 *
 * A test is a function whose name begins with "test_", in the main script or in a test file. A test
 * file is compiled behind the main script, as one script with it, so that it sees all the plugin's
 * functions and constants. Nothing is kept from one test to the next.
 */
#ifndef BVI_PLUGIN_TESTING_H
#define BVI_PLUGIN_TESTING_H

#include <blockvisor/plugin.h>

#include "plugin/offline.h"

/* Of test functions, test files, files with lines. */
#define BVI_TESTING_MAX 4096u

/* ---- testing_find.c ---- */

/* Source with test functions: the main script alone, or with a test file behind it. */
typedef struct bvi_test_unit {
    const bvi_source *file; /* the test file; NULL: the main script alone */
    const char *path;       /* of what the functions are in */
    uint32_t line_offset;   /* what to take from line numbers beyond it */
    bvi_strv functions;
} bvi_test_unit;

typedef struct bvi_test_units {
    BVI_VEC(bvi_test_unit) units;
} bvi_test_units;

/* Compiles every unit. A syntax error is BV_E_FORMAT with its true place. */
int bvi_test_units_find(const bvi_workspace *workspace, const bvi_plugin_limits *limits,
                        bvi_test_units *ret_units, bv_error **err);
void bvi_test_units_done(bvi_test_units *units);
/* "*_test.rhai" and everything in tests/. */
bool bvi_is_test_file(const char *path);
/* A message with paths in the plugin's directory made relative to it, and positions behind the main
 * script told as the test file's own. NULL: no memory. unit may be NULL. */
char *bvi_test_clean(const bvi_workspace *workspace, const bvi_test_unit *unit, const char *text);

/* ---- testing_lib.c ---- */

/* assert(), assert_eq(), mock(), requests(). Their data is a bvi_test_world. */
extern const bvi_script_function bvi_testing_functions[];

typedef struct bvi_test_world {
    bvi_offline *offline;
} bvi_test_world;

/* ---- testing_expect.c ---- */

/* How one test ended. */
typedef struct bvi_test_result {
    bool passed;
    char *message;
    char *diff;   /* NULL: there is nothing to compare */
    char *source; /* where it failed; NULL: unknown */
    int64_t line;
    int64_t column;
} bvi_test_result;

void bvi_test_result_done(bvi_test_result *result);
/* Failed, for this reason; BV_E_NOMEM. */
int bvi_test_result_fail(bvi_test_result *result, const char *message);

/* "height(arg)", or what the author called it; NULL: no memory. */
char *bvi_expectation_name(const bvi_json *expectation);
/* What the node does in this one only, as a behaviour document. NULL: no memory. */
bvi_json *bvi_expectation_behaviour(const bvi_json *expectation);
/* Whether it says itself what is to come out; otherwise there is a golden result. */
bool bvi_expectation_is_plain(const bvi_json *expectation);
/* {"value": ...} or {"error": ...}, and "requests": what came out, for comparing. */
int bvi_expectation_actual(const bvi_json *outcome, const bvi_json *requests, const char *failure,
                           bvi_json **ret_actual, bv_error **err);
/* golden: what was kept last time, NULL: nothing. Only for those that are not plain. */
int bvi_expectation_compare(const bvi_json *expectation, const bvi_json *actual,
                            const bvi_json *golden, bvi_test_result *result, bv_error **err);

/* ---- testing_coverage.c ---- */

typedef struct bvi_line_file {
    const char *path; /* in the plugin's directory; borrowed */
    uint8_t *lines;   /* by number */
    uint32_t len;
} bvi_line_file;

typedef struct bvi_line_coverage {
    BVI_VEC(bvi_line_file) files;
    bool no_memory;
} bvi_line_coverage;

/* Compiles every script that is not a test, for the lines it has. A syntax error is BV_E_FORMAT. */
int bvi_line_coverage_init(bvi_line_coverage *coverage, const bvi_workspace *workspace,
                           bv_error **err);
void bvi_line_coverage_done(bvi_line_coverage *coverage);
void bvi_line_coverage_add(bvi_line_coverage *coverage, const bvi_plugin *plugin);
/* {lines, covered, percent, files: [{file, lines, covered, percent, uncovered: [[first, last]],
 * executed: [line], missed: [line]}]} */
int bvi_line_coverage_json(const bvi_line_coverage *coverage, bvi_json **ret_json, bv_error **err);

#endif
