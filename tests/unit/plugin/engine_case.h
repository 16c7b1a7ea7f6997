/*
 * engine_case.h - the cases of the files in tests/plugin: reading them and running one. See
 * the README.md there for their form.
 */
#ifndef ENGINE_CASE_H
#define ENGINE_CASE_H

#include <stddef.h>

#define CASE_LINES_MAX 256u
#define CASE_STEPS_MAX 16u

/* A call and what is expected of it. */
typedef struct case_step {
    const char *call;   /* "call f x", "query height" ...; NULL: the wrapped script */
    const char *result; /* NULL: an error is expected */
    const char *error;  /* a part of it */
    const char *journal[CASE_LINES_MAX];
    size_t journal_len;
    int checks_journal; /* also when it must be empty */
} case_step;

typedef struct engine_case {
    const char *file;
    unsigned line;
    const char *title;
    const char *setup[CASE_LINES_MAX];
    size_t setup_len;
    const char *script[CASE_LINES_MAX];
    size_t script_len;
    case_step steps[CASE_STEPS_MAX];
    size_t steps_len;
} engine_case;

/* Takes the next case off *text, which is cut into lines in place. 0 at the end. Fails the test for
 * a line that means nothing. */
int engine_case_next(const char *file, char **text, unsigned *line, engine_case *ret_case);

/* Runs it in the test's directory; NULL when all is as expected, else what is not, until the test
 * ends. */
const char *engine_case_run(const engine_case *c);

#endif
