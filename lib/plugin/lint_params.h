/*
 * lint_params.h - finding the node properties a script asks for by name. Used by lint.c. Pure.
 */
#ifndef BVI_PLUGIN_LINT_PARAMS_H
#define BVI_PLUGIN_LINT_PARAMS_H

#include "base/json.h"
#include "base/vec.h"

/* Adds "<file>:<line>:<column>: '<key>' not defined in babel.yaml" for each node_params()["key"] or
 * node_params().key of a script whose key is not in properties. 0 or BV_E_NOMEM; warnings beyond
 * warnings->max are left out. */
int bvi_lint_params(const char *file, const char *text, size_t len, const bvi_json *properties,
                    bvi_strv *warnings);

#endif
