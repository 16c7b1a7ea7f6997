/*
 * The conformance cases in tests/script: each is a script and the results it may have. See
 * tests/script/README.md.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bvt.h"
#include "harness.h"

#ifndef SCRIPT_CASES_DIR
#error "SCRIPT_CASES_DIR names tests/script"
#endif

static const char *const files[] = {
    "language.txt",        "modules.txt",       "cases/eval.txt",     "cases/methods.txt",
    "cases/numbers.txt",   "cases/strings.txt", "cases/arrays.txt",   "cases/flow.txt",
    "cases/functions.txt", "cases/maps.txt",    "cases/failures.txt", "cases/syntax.txt",
    "cases/imports.txt",
};

#define NEWLINE_MARK "\xe2\x86\xb5"
#define RESULT_MARK  "    => "
#define OURS_MARK    "[ours] "

static char *read_whole(const char *path)
{
    char *text = bvt_read_file(path, NULL);

    ck_assert_msg(text != NULL, "cannot read '%s'", path);
    return text;
}

/* Lines of a script stand on one line of the file, joined by a mark. */
static void unmark(char *text)
{
    char *mark;

    while ((mark = strstr(text, NEWLINE_MARK)) != NULL) {
        mark[0] = '\n';
        memmove(mark + 1, mark + strlen(NEWLINE_MARK), strlen(mark + strlen(NEWLINE_MARK)) + 1);
    }
}

typedef struct expectation {
    char *lines[4];
    size_t count;
    bool ours; /* the last line is what we do, deliberately */
} expectation;

static bool matches(const expectation *e, const char *got)
{
    for (size_t i = e->ours ? e->count - 1 : 0; i < e->count; i++) {
        if (strcmp(e->lines[i], got) == 0)
            return true;
    }
    return false;
}

static void add_result(expectation *e, char *line)
{
    if (strncmp(line, OURS_MARK, strlen(OURS_MARK)) == 0) {
        line += strlen(OURS_MARK);
        e->ours = true;
    } else if (line[0] == '[' && strncmp(line, "[1.26] ", 7) == 0) {
        line += 7;
    }
    ck_assert_uint_lt(e->count, 4);
    e->lines[e->count++] = line;
}

static unsigned check_case(char *script, const expectation *e, const char *modules)
{
    const char *got;
    harness h;
    unsigned wrong = 0;

    unmark(script);
    harness_init(&h);
    h.module_dir = modules;
    harness_open(&h);
    got = harness_run(&h, script, NULL);
    if (!matches(e, got)) {
        fprintf(stderr, "%s\n    => %s\n    got %s\n", script, e->lines[0], got);
        wrong = 1;
    }
    harness_close(&h);
    return wrong;
}

START_TEST(conforms)
{
    char *text = read_whole(bvt_format("%s/%s", SCRIPT_CASES_DIR, files[_i]));
    const char *modules = bvt_format("%s/modules", SCRIPT_CASES_DIR);
    unsigned wrong = 0;
    unsigned count = 0;
    char *script = NULL;
    char *rest = NULL;
    expectation e = { .count = 0 };

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, RESULT_MARK, strlen(RESULT_MARK)) == 0) {
            add_result(&e, line + strlen(RESULT_MARK));
            continue;
        }
        if (script && e.count > 0) {
            wrong += check_case(script, &e, modules);
            count++;
        }
        e = (expectation){ .count = 0 };
        script = line[0] == '#' && line[1] == ' ' ? NULL : line;
    }
    if (script && e.count > 0) {
        wrong += check_case(script, &e, modules);
        count++;
    }
    ck_assert_msg(wrong == 0, "%u of %u cases in %s are wrong", wrong, count, files[_i]);
    ck_assert_uint_gt(count, 5);
}
END_TEST

/* Functions called from outside: the top level first, then the function with that name and number
 * of arguments. */
static const char host_script[] = "import \"m\" as m;\n"
                                  "const A = m::get();\n"
                                  "fn f() { global::A }\n"
                                  "fn g() { 1/0 }\n"
                                  "fn h(x) { x }\n"
                                  "private fn p() { 9 }\n"
                                  "fn e() { exit(3); 4 }\n"
                                  "let v = 5;\n"
                                  "fn s() { v }\n"
                                  "print(\"top\");\n";

static const struct {
    const char *function;
    const char *outcome;
} host_calls[] = {
    { "f", "print: top | i64: 6" },
    { "g", "print: top | ERROR: Division by zero: 1 / 0" },
    { "h", "print: top | ERROR: Function not found: h" },
    { "p", "print: top | i64: 9" },
    { "e", "print: top | i64: 3" },
    { "s", "print: top | ERROR: Variable not found: v (line 9, position 10)" },
    { "nope", "print: top | ERROR: Function not found: nope" },
};

START_TEST(host_calls_conform)
{
    harness h;

    harness_init(&h);
    h.module_dir = bvt_format("%s/modules", SCRIPT_CASES_DIR);
    harness_open(&h);
    ck_assert_str_eq(harness_run(&h, host_script, host_calls[_i].function), host_calls[_i].outcome);
    harness_close(&h);
}
END_TEST

BVT_MAIN("script/cases", bvt_loop(conforms, files), bvt_loop(host_calls_conform, host_calls))
