/*
 * check_report.h - what a check of a plugin found, gathered over all its variants.
 *
 * The same finding in several variants is one entry that names them. Pure; any thread.
 */
#ifndef BVI_PLUGIN_CHECK_REPORT_H
#define BVI_PLUGIN_CHECK_REPORT_H

#include "base/json.h"
#include "base/vec.h"

/* Findings beyond this many are not kept; there is enough to do already. */
#define BVI_REPORT_FINDINGS_MAX 1000u
#define BVI_REPORT_VARIANTS_MAX 128u
/* The file of findings about the image. */
#define BVI_REPORT_IMAGE "babel.yaml"
/* A variant number that stands for all. */
#define BVI_REPORT_ALL SIZE_MAX

typedef enum bvi_severity {
    BVI_SEVERITY_ERROR,   /* it does not work, or not as it reads */
    BVI_SEVERITY_WARNING, /* it works, but is probably not what was meant */
    BVI_SEVERITY_NOTE,    /* good to know */
} bvi_severity;

/* X(name, severity, id): the rules; doc/dev/plugin-check.md explains each. */
/* clang-format off */
#define BVI_RULES(X)                                    \
    X(SYNTAX, ERROR, "syntax")                          \
    X(UNKNOWN_FUNCTION, ERROR, "unknown-function")      \
    X(UNKNOWN_METHOD, ERROR, "unknown-method")          \
    X(ARGUMENT_COUNT, ERROR, "argument-count")          \
    X(LOST_EFFECT, WARNING, "lost-effect")              \
    X(UNKNOWN_VARIABLE, ERROR, "unknown-variable")      \
    X(UNKNOWN_GLOBAL, ERROR, "unknown-global")          \
    X(UNKNOWN_MEMBER, ERROR, "unknown-member")          \
    X(MISSING_MODULE, ERROR, "missing-module")          \
    X(CYCLIC_IMPORT, ERROR, "cyclic-import")            \
    X(UNUSED_IMPORT, WARNING, "unused-import")          \
    X(DUPLICATE_CONSTANT, WARNING, "duplicate-constant")\
    X(UNKNOWN_PROPERTY, ERROR, "unknown-property")      \
    X(VARIANT_PROPERTY, WARNING, "variant-property")    \
    X(UNKNOWN_ENV, ERROR, "unknown-env")                \
    X(MISSING_FUNCTION, ERROR, "missing-function")      \
    X(FUNCTION_ARITY, ERROR, "function-arity")          \
    X(RESULT_TYPE, ERROR, "result-type")                \
    X(NOT_CALLABLE, NOTE, "not-callable")               \
    X(DEPRECATED, WARNING, "deprecated")                \
    X(MISSPELT_KEY, ERROR, "misspelt-key")              \
    X(UNKNOWN_KEY, WARNING, "unknown-key")              \
    X(WRONG_VALUE, ERROR, "wrong-value")                \
    X(MISSING_KEY, ERROR, "missing-key")                \
    X(DUPLICATE_NAME, ERROR, "duplicate-name")          \
    X(UNKNOWN_JOB, ERROR, "unknown-job")                \
    X(UNREACHABLE_JOB, ERROR, "unreachable-job")        \
    X(SCHEDULE, ERROR, "schedule")                      \
    X(SCHEDULED_FUNCTION, ERROR, "scheduled-function")  \
    X(GLOB, ERROR, "glob")                              \
    X(TEMPLATE, ERROR, "template")                          \
    X(MISSING_TEMPLATE, WARNING, "missing-template")      \
    X(RUN_FAILED, ERROR, "run-failed")                  \
    X(FAKE_ANSWER, NOTE, "fake-answer")                 \
    X(IMAGE, ERROR, "image")                            \
    X(IMAGE_KEY, WARNING, "image-key")                  \
    X(OPEN_PORTS, NOTE, "open-ports")
/* clang-format on */

typedef enum bvi_rule {
#define X(name, severity, id) BVI_RULE_##name,
    BVI_RULES(X)
#undef X
        BVI_RULE_COUNT
} bvi_rule;

/* Where something is; line 0: the file as a whole. */
typedef struct bvi_spot {
    const char *file;
    unsigned line, column;
} bvi_spot;

typedef struct bvi_finding {
    bvi_rule rule;
    char *file; /* "" for none */
    unsigned line, column;
    char *message;
    uint64_t variants[BVI_REPORT_VARIANTS_MAX / 64]; /* a bit for each */
} bvi_finding;

typedef struct bvi_report {
    const bvi_strv *variants; /* borrowed: their names */
    BVI_VEC(bvi_finding) findings;
    bool no_memory; /* something is missing: the report is worth nothing */
} bvi_report;

#define BVI_REPORT_INIT(variant_names)                                                             \
    {                                                                                              \
        .variants = (variant_names), .findings.max = BVI_REPORT_FINDINGS_MAX                       \
    }

void bvi_report_done(bvi_report *report);
/* Lack of memory is remembered. variant: its number, or BVI_REPORT_ALL. */
void bvi_report_add(bvi_report *report, bvi_rule rule, size_t variant, bvi_spot spot,
                    const char *fmt, ...) BV_PRINTF(5, 6);
bvi_severity bvi_rule_severity(bvi_rule rule);
size_t bvi_report_count(const bvi_report *report, bvi_severity severity);
/* Errors of one variant, shared with others or not. */
size_t bvi_report_errors_of(const bvi_report *report, size_t variant);
/* {findings, errors, warnings, notes} as described at bv_plugin_check(). dir: where the files are;
 * image_path: where the one named BVI_REPORT_IMAGE is. */
int bvi_report_json(bvi_report *report, const char *dir, const char *image_path,
                    bvi_json **ret_json, bv_error **err);

#endif
