/*
 * check_result.h - the functions the daemon calls and what it can use of their results (spec
 * plugin.md 2). For check_run.c. Pure.
 */
#ifndef BVI_PLUGIN_CHECK_RESULT_H
#define BVI_PLUGIN_CHECK_RESULT_H

#include "base/json.h"

/* What is wrong with an outcome that is no failure (see bv_eval()), allocated; NULL: nothing, or no
 * memory. asked: it may depend on answers of the node. */
typedef char *(*bvi_judge_fn)(const bvi_json *outcome, bool asked);

typedef struct bvi_wanted {
    const char *function; /* NULL ends the table */
    bvi_judge_fn judge;
    bool takes_unit; /* () is as good as anything */
} bvi_wanted;

/* In the order in which they are run; init is the first. */
extern const bvi_wanted bvi_check_wanted[];

bool bvi_outcome_has_type(const bvi_json *outcome, const char *type);

#endif
