/*
 * check.h - looking for mistakes in a plugin without a node; for its author (spec plugin.md 10).
 *
 * Two ways: the text of every script is read (check_names.c, check_keys.c, check_functions.c), and
 * the plugin is run for each variant on a node that is not there (check_run.c), after which its
 * configuration is looked at (check_config.c, check_jobs.c). Blocking; any thread, one at a time.
 */
#ifndef BVI_PLUGIN_CHECK_H
#define BVI_PLUGIN_CHECK_H

#include "plugin/workspace.h"

typedef struct bvi_check_opts {
    const char *variant;     /* NULL: all of them */
    const bvi_json *env;     /* laid over node_env(); NULL: none */
    const bvi_json *params;  /* laid over node_params(); NULL: none */
    const bvi_json *secrets; /* {key: text}, "*" for all others; NULL: every secret has a text */
} bvi_check_opts;

/* path as in bvi_workspace_open(). The report is described at bv_plugin_check(). Fails only when
 * the plugin cannot be read at all. */
int bvi_plugin_check(const char *path, const bvi_check_opts *opts, bvi_json **ret_report,
                     bv_error **err);

#endif
