/*
 * harness.h - running scripts in tests: what a script printed and returned, or how it failed, as
 * one line of text in the format of the case files in tests/script (see tests/script/README.md).
 */
#ifndef SCRIPT_HARNESS_H
#define SCRIPT_HARNESS_H

#include "base/buf.h"
#include "script/script.h"

#define HARNESS_TEXT_MAX (1024u * 1024u)

typedef struct harness {
    bvi_script_options options;
    bvi_script_engine *engine;
    bvi_buf output;         /* "print: x | " of the run */
    const char *module_dir; /* where imports are found; NULL: nowhere */
} harness;

/* options are set to defaults; change them before harness_open(). */
void harness_init(harness *h);
void harness_open(harness *h);
void harness_close(harness *h);

/* Runs to the end, slice by slice. fn NULL: the top level. The text lives until the next run. */
const char *harness_run(harness *h, const char *source, const char *fn);
/* The text of a finished call. */
const char *harness_outcome(harness *h, bvi_script_call *call, int r);

/* A run with a fresh engine of default limits. */
const char *run_script(const char *source);

#endif
