/**
 * @file blockvisor/eval.h
 * Running a script as if it belonged to a plugin, without a node: for authors and their tools.
 *
 * The script sees the functions of the plugin engine. Behind them is a node that is not there: it
 * keeps jobs, files and data in memory, and answers every request with success.
 */
#ifndef BLOCKVISOR_EVAL_H
#define BLOCKVISOR_EVAL_H

#include <blockvisor/doc.h>
#include <blockvisor/script.h>

BV_BEGIN_DECLS

/**
 * Told of what a script asks of its node: `{call, ...}` with the request's name, such as "run_sh",
 * and its arguments; a line for the log is `{call: "log", level, text}`. Borrowed for the call.
 */
typedef void (*bv_eval_request_fn)(const bv_doc *request, void *data);

typedef struct bv_eval_opts {
    size_t size;           /**< sizeof(bv_eval_opts); lets the struct grow. */
    const char *source;    /**< The script, UTF-8. */
    size_t source_bytes;   /**< Its length. */
    const char *name;      /**< Its name in error texts; NULL: none. A first line that begins with
                              "#!" is skipped in scripts with a name. */
    const char *dir;       /**< Where import finds modules; nothing outside of it is read. NULL:
                              every import fails. */
    const char *plugin;    /**< Path of a plugin's main script or directory, whose babel.yaml gives
                              version, variants and properties; NULL: made-up ones, as for a broken
                              babel.yaml unless a variant is asked for. */
    const char *function;  /**< Called after the top level; NULL: the top level alone. */
    const char *argument;  /**< Its argument, a string; NULL: it has none. */
    const char *variant;   /**< Of the image; NULL: the first. */
    const bv_doc *env;     /**< Object laid over what node_env() answers; NULL: nothing. */
    const bv_doc *params;  /**< Object of strings laid over node_params(); NULL: nothing. */
    const bv_doc *secrets; /**< Object of strings for get_secret(). "*" answers for all others,
                              which otherwise do not exist. NULL: every secret is "secret value". */
    const bv_script_limits *limits; /**< NULL, or zero fields: 1 GiB of memory, and of the rest
                                       more than that has room for; no limit on operations. */
    bv_script_output_fn output;     /**< Receives what is printed, while it runs; NULL: dropped. */
    bv_eval_request_fn request;     /**< Told of what it asks of the node; NULL: nobody is. */
    void *data;                     /**< Last argument of @p output and @p request. */
} bv_eval_opts;

#define BV_EVAL_OPTS_INIT                                                                          \
    {                                                                                              \
        .size = sizeof(bv_eval_opts)                                                               \
    }

/**
 * Compiles and runs a script to its end. Blocks; needs no context; any thread.
 *
 * The outcome is a document. Of a value: `type` as type_of() names it, `text`, its debug form, and
 * `value`, unless it has no JSON form. Of a failure: `error`, with `text`, all of it as the
 * language words it; `kind`, as scripts see it in `catch`, "ErrorParsing" before anything ran;
 * `message` without places; `line`, `column` and `source` of the place, null where unknown;
 * `trace`, the calls it came up through, innermost first, each with `what` ("function", "closure"
 * or "module"), `name`, `source` and the `line` and `column` of the call; and `value`, what the
 * script threw, if it has a JSON form.
 *
 * @param ret_outcome  Freed with bv_doc_free().
 * @return 0 when there is an outcome, also of a script that failed; BV_E_INVALID (an option),
 * BV_E_NOT_FOUND (directory, variant), BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_eval(const bv_eval_opts *opts, bv_doc **ret_outcome, bv_error **err);

BV_END_DECLS

#endif
