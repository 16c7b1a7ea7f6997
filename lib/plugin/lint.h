/*
 * lint.h - checking a plugin without a node (spec plugin.md 10), for `image check` commands and
 * authors' tests.
 *
 * The plugin is loaded on a fake node that says yes to everything, every script file is compiled,
 * init is run, and what is probably a mistake is collected. A plugin that cannot be loaded, or
 * whose init fails, is an error.
 */
#ifndef BVI_PLUGIN_LINT_H
#define BVI_PLUGIN_LINT_H

#include "plugin/plugin.h"

#define BVI_LINT_WARNINGS_MAX 1000u

typedef struct bvi_plugin_lint_opts {
    const char *root; /* as in bvi_plugin_opts */
    const char *dir;
    const char *main_file;
    const bvi_json *properties; /* {key: value}: the image's defaults; copied. NULL: none, and keys
                                   are not checked */
    const bvi_json *node_env;   /* copied; NULL: a made-up one */
} bvi_plugin_lint_opts;

/* Called once from dispatch. warnings is empty for a plugin without fault, and NULL with an error;
 * both are borrowed. */
typedef void (*bvi_plugin_lint_fn)(bv_op *op, const bvi_strv *warnings, const bv_error *err,
                                   void *data);

int bvi_plugin_lint(bv_ctx *ctx, const bvi_plugin_lint_opts *opts, bvi_plugin_lint_fn done,
                    void *data, bv_op **ret_op, bv_error **err);

#endif
