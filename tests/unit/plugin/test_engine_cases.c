/* The cases of tests/plugin: scripts, what they give and what they ask of their node. */
#include <stdio.h>
#include <stdlib.h>

#include "bvt.h"
#include "engine_case.h"

#ifndef PLUGIN_CASES_DIR
#error "PLUGIN_CASES_DIR names tests/plugin"
#endif

static const char *const files[] = {
    "jobs", "files",  "node",   "util",   "tasks", "calls",
    "init", "upload", "config", "legacy", "shell", "http",
};

START_TEST(gives_what_is_expected)
{
    char *text = bvt_read_file(bvt_format("%s/%s.txt", PLUGIN_CASES_DIR, files[_i]), NULL);
    unsigned line = 0;
    unsigned count = 0;
    unsigned bad = 0;
    const char *wanted = getenv("ENGINE_CASE"); /* a part of titles, to run only these */
    engine_case c;

    ck_assert_ptr_nonnull(text);
    for (char *at = text; engine_case_next(files[_i], &at, &line, &c); count++) {
        const char *complaint = wanted && !strstr(c.title, wanted) ? NULL : engine_case_run(&c);

        if (complaint)
            (void)fprintf(stderr, "%s\n", complaint);
        bad += complaint != NULL;
    }
    ck_assert_msg(bad == 0 && count > 0, "%u of %u cases of %s.txt fail", bad, count, files[_i]);
}
END_TEST

BVT_MAIN("plugin/engine_cases", bvt_loop(gives_what_is_expected, files))
