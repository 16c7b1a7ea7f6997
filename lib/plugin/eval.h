/*
 * eval.h - running any function of a plugin, or its top level, and taking the value as it is: for
 * the tools of authors, who want to see everything, where the host wants a type.
 */
#ifndef BVI_PLUGIN_EVAL_H
#define BVI_PLUGIN_EVAL_H

#include "plugin/plugin.h"

/* Called once, from dispatch. The outcome is described at bv_eval(); a failed script is an outcome.
 * With an error outcome is NULL. Both are valid during the call only. */
typedef void (*bvi_eval_done_fn)(bv_op *op, const bvi_json *outcome, const bv_error *err,
                                 void *data);

/* Runs the top level, then fn (NULL: nothing more) with the text param (NULL: without). Errors and
 * the rest are those of bvi_plugin_call(). */
int bvi_plugin_eval(bvi_plugin *plugin, const char *fn, const char *param, int64_t timeout_ms,
                    bvi_eval_done_fn done, void *data, bv_op **ret_op, bv_error **err);

/* {"error": failure}; takes failure over. NULL: no memory. */
bvi_json *bvi_eval_failure(bvi_json *failure);

#endif
