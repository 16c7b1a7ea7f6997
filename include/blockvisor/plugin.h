/**
 * @file blockvisor/plugin.h
 * A plugin as its author has it on disk: checking it, calling its functions and running its tests,
 * without a node, a host or a daemon.
 *
 * A plugin is opened with a node that is not there. It keeps jobs, files, secrets and data in
 * memory and answers requests as an answers file beside the plugin says; without one it answers
 * everything with success. Its time stands still but for what requests take, so results do not
 * depend on the machine. A plugin belongs to one thread at a time, but for bv_plugin_interrupt().
 */
#ifndef BLOCKVISOR_PLUGIN_H
#define BLOCKVISOR_PLUGIN_H

#include <blockvisor/ctx.h>
#include <blockvisor/doc.h>
#include <blockvisor/op.h>
#include <blockvisor/script.h>

BV_BEGIN_DECLS

/** A plugin and the node it believes to be on. */
typedef struct bv_plugin bv_plugin;

typedef struct bv_plugin_opts {
    size_t size;           /**< sizeof(bv_plugin_opts); lets the struct grow. */
    const char *variant;   /**< Of the image; NULL: the first. */
    const char *answers;   /**< Path of an answers file. NULL: plugin_test.json, .yaml or .yml
                              beside the plugin or its babel.yaml, if there is one; "": none. */
    const bv_doc *env;     /**< Object laid over what node_env() answers; NULL: nothing. */
    const bv_doc *params;  /**< Object of strings laid over node_params(); NULL: nothing. */
    const bv_doc *secrets; /**< Object of strings for get_secret(); "*" answers for all others.
                              NULL: nothing. */
    bv_ctx *ctx; /**< Your context: calls are started with bv_plugin_start() and end in its loop,
                    and take the time they say. NULL: bv_plugin_call() waits for them. */
    const bv_script_limits *limits; /**< Of one call. Zero fields: those of a plugin on a node, and
                                       60 s for wall_ms. expression_depth, array_items, map_entries
                                       and slice_operations cannot be chosen. */
} bv_plugin_opts;

#define BV_PLUGIN_OPTS_INIT                                                                        \
    {                                                                                              \
        .size = sizeof(bv_plugin_opts)                                                             \
    }

/**
 * Opens a plugin: reads and compiles it. Nothing runs yet.
 *
 * @param path        Its directory, a root file system or image directory around it, or its main
 *                    script.
 * @param opts        Copied where needed later; NULL for the defaults.
 * @param ret_plugin  Closed with bv_plugin_close().
 * @return 0, BV_E_NOT_FOUND (no plugin, no such variant), BV_E_FORMAT (a syntax error, or a damaged
 * answers file), BV_E_INVALID (an option), BV_E_IO, BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_plugin_open(const char *path, const bv_plugin_opts *opts, bv_plugin **ret_plugin,
                          bv_error **err);

/** Frees a plugin. NULL is fine. @since 0.1 */
BV_API void bv_plugin_close(bv_plugin *plugin);

/**
 * What the plugin is: `{dir, main, variant, variants, files, answers, functions: [{name, params,
 * callable}], capabilities}`. Functions are those of the main script; callable are those with at
 * most one parameter, and capabilities their names together with what is built in.
 *
 * @param ret_doc  Freed with bv_doc_free().
 * @return 0 or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_plugin_describe(const bv_plugin *plugin, bv_doc **ret_doc, bv_error **err);

/**
 * Calls a function as `bv node run` does, and waits for its end.
 *
 * The functions the daemon knows (init, upload, protocol_status, height and so on) do all that they
 * do on a node, and their results must have the type it wants. Others may return anything. The
 * outcome has `value`, unless the result has no JSON form, and `text`: what `bv node run` prints,
 * or of a function the daemon does not know the debug form, and then also `type`. A failure is
 * `error` as described at bv_eval().
 *
 * @param argument     The one parameter; NULL: "", which also fits functions without one.
 * @param ret_outcome  Freed with bv_doc_free().
 * @return 0 when there is an outcome, also of a function that failed; BV_E_STATE (it was opened
 * with a context), BV_E_NOT_FOUND (no such function), BV_E_CANCELLED (interrupted), BV_E_TIMEOUT
 * (limits.wall_ms), BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_plugin_call(bv_plugin *plugin, const char *function, const char *argument,
                          bv_doc **ret_outcome, bv_error **err);

/** How a call that was started ended: with an outcome, or with an error. Both are borrowed. */
typedef void (*bv_plugin_called_fn)(bv_op *op, const bv_doc *outcome, const bv_error *err,
                                    void *data);

/**
 * Starts a call of a plugin that was opened with a context. Several may be under way: the functions
 * the daemon reads, the plugin's own, and init with upload each wait for their like.
 *
 * upload needs the configuration that init has evaluated.
 *
 * @param called  Called once, from dispatch, also when the plugin was closed meanwhile: then with
 *                BV_E_CANCELLED.
 * @param ret_op  May be NULL. Released with bv_op_unref(); can be cancelled.
 * @return 0 when it was started, BV_E_NOT_FOUND (no such function), BV_E_BUSY (too many are
 * waiting), BV_E_STATE (the plugin has no context), BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_plugin_start(bv_plugin *plugin, const char *function, const char *argument,
                           bv_plugin_called_fn called, void *data, bv_op **ret_op, bv_error **err);

/**
 * Evaluates plugin_config() and checks the result, as init does first. The outcome's `value` is the
 * configuration with every key of the schema, null when the plugin has no such function.
 *
 * @param ret_outcome  Freed with bv_doc_free().
 * @return as bv_plugin_call().
 * @since 0.1
 */
BV_API int bv_plugin_config(bv_plugin *plugin, bv_doc **ret_outcome, bv_error **err);

/**
 * What the plugin asked of its node since it was opened, or since the last call of this:
 * `{requests: [{call, ...}], log: [{level, text}]}`. The `call` is the request's name, such as
 * "run_sh" or "create_job", its arguments stand beside it; the values of secrets do not. Lines with
 * the level "unmatched" are about requests nothing answered.
 *
 * @param ret_doc  Freed with bv_doc_free().
 * @return 0 or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_plugin_take_requests(bv_plugin *plugin, bv_doc **ret_doc, bv_error **err);

/**
 * Ends the call under way, or the next one, with BV_E_CANCELLED. Any thread, and signal handlers.
 * @since 0.1
 */
BV_API void bv_plugin_interrupt(bv_plugin *plugin);

/** Called when a test has ended. The document is as in bv_plugin_test()'s report. */
typedef void (*bv_plugin_tested_fn)(const bv_doc *test, void *data);

typedef struct bv_plugin_test_opts {
    size_t size;          /**< sizeof(bv_plugin_test_opts); lets the struct grow. */
    const char *variant;  /**< Only this one. NULL: those the answers file names, else the first. */
    const char *filter;   /**< Glob that names of tests have to match; NULL: all. */
    const char *answers;  /**< As in bv_plugin_opts; also these three. */
    const bv_doc *env;    /**< Laid over node_env(). */
    const bv_doc *params; /**< Laid over node_params(). */
    const bv_doc *secrets;          /**< Further secrets. */
    const bv_script_limits *limits; /**< Of each test, as in bv_plugin_opts. */
    int32_t update;                 /**< Not 0: keep what comes out as golden results. */
    bv_plugin_tested_fn tested;     /**< NULL: nobody wants to know before the end. */
    void *data;                     /**< Last argument of @p tested. */
} bv_plugin_test_opts;

#define BV_PLUGIN_TEST_OPTS_INIT                                                                   \
    {                                                                                              \
        .size = sizeof(bv_plugin_test_opts)                                                        \
    }

/**
 * Runs a plugin's tests, each with a fresh script and a fresh node: functions named "test_*" of the
 * main script, of files named "*_test.rhai" and of those in "tests/", and expectations of the
 * answers file.
 *
 * The report is `{dir, passed, failed, ms, variants, tests: [{name, variant, file, kind, ok, ms,
 * message, source, line, column, diff, log}], coverage: {lines, covered, percent, files: [{file,
 * lines, covered, percent, uncovered, executed, missed}]}, golden: {path, updated}}`. `kind` is
 * "function" or "expectation"; those from message to diff are of failed tests and null where
 * unknown; `uncovered` has pairs of first and last line, `executed` and `missed` numbers of lines.
 *
 * @param path        As for bv_plugin_open().
 * @param opts        NULL for the defaults.
 * @param ret_report  Freed with bv_doc_free().
 * @return 0 when the tests ran, also when some failed; BV_E_FORMAT (a syntax error, or a damaged
 * answers or golden file), BV_E_NOT_FOUND, BV_E_INVALID, BV_E_IO, BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_plugin_test(const char *path, const bv_plugin_test_opts *opts, bv_doc **ret_report,
                          bv_error **err);

typedef struct bv_plugin_check_opts {
    size_t size;           /**< sizeof(bv_plugin_check_opts); lets the struct grow. */
    const char *variant;   /**< Of the image; NULL: all of them. */
    const bv_doc *env;     /**< Object laid over what node_env() answers; NULL: nothing. */
    const bv_doc *params;  /**< Object of strings laid over node_params(); NULL: nothing. */
    const bv_doc *secrets; /**< Object of strings for get_secret(). "*" answers for all others,
                              which otherwise do not exist. NULL: every secret is "secret value". */
} bv_plugin_check_opts;

#define BV_PLUGIN_CHECK_OPTS_INIT                                                                  \
    {                                                                                              \
        .size = sizeof(bv_plugin_check_opts)                                                       \
    }

/**
 * Looks for mistakes in a plugin: reads all its scripts and babel.yaml, and runs what the daemon
 * would call as each variant, on nodes that are not there. Blocks.
 *
 * The report is `{plugin, variants, findings, errors, warnings, notes}`, the last three are counts.
 * A finding is `{severity, rule, file, path, line, column, message, variants}`: severity is
 * "error", "warning" or "note"; rule one of the names that doc/dev/plugin-check.md explains; file
 * is below the plugin's directory, path the same from here; line and column are 1 where it is
 * about a file as a whole; variants are those it was seen with. Findings are in the order of their
 * places.
 *
 * @param path        As for bv_plugin_open().
 * @param opts        NULL for the defaults.
 * @param ret_report  Freed with bv_doc_free().
 * @return 0 when the plugin was checked, whatever was found, a syntax error included;
 * BV_E_NOT_FOUND (no plugin, no such variant), BV_E_INVALID (an option), BV_E_LIMIT, BV_E_IO,
 * BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_plugin_check(const char *path, const bv_plugin_check_opts *opts, bv_doc **ret_report,
                           bv_error **err);

BV_END_DECLS

#endif
