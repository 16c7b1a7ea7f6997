/**
 * @file blockvisor/node.h
 * Nodes: one blockchain client in a container, from an image.
 *
 * A node is named by its UUID or its name. A node document has `id, name, image {id, name,
 * version}, status` (running, stopped, failed, busy), `expected_status, initialized, network, ip,
 * created_at, started_at, pid, properties, tags, plugin_dir` (null but for a development node),
 * `problem` (null or why it is failed), `metrics` (null, or what its plugin said last, asked every
 * half minute while it runs: `collected_at, protocol_status {state, health}, height, block_age,
 * consensus, apr, jailed, jailed_reason, sqd_name`, null where there is no answer). bv_node_show()
 * adds `jobs` and, from a running node's plugin, the same values of now, `reported_name` and
 * `address`.
 */
#ifndef BLOCKVISOR_NODE_H
#define BLOCKVISOR_NODE_H

#include <blockvisor/host.h>

BV_BEGIN_DECLS

typedef struct bv_node_create_opts {
    size_t size;         /**< sizeof(bv_node_create_opts); lets the struct grow. */
    const char *name;    /**< Unique on the host; NULL: made up. [A-Za-z0-9._-], at most 63. */
    const char *image;   /**< Name or id of an image in the store. */
    const char *variant; /**< Variant key; NULL: the image's only or first one. */
    const char *network; /**< "host" (NULL too) or "none". */
    const bv_doc
        *properties;       /**< Object of strings that override the image's defaults; NULL: none. */
    const bv_doc *tags;    /**< Array of strings; NULL: none. */
    const char *store_key; /**< Snapshot to restore on first start; NULL: the image's; "": none. */
    int64_t snapshot_version; /**< Version of it; 0: the latest. */
    uint64_t memory_mb;     /**< Memory limit in units of 10^6 bytes; 0: the image's minimum is not
                               enforced. */
    double cpus;            /**< CPU limit; 0: none. */
    const char *plugin_dir; /**< Makes it a development node: its plugin is read from this directory
                               of the host (absolute; main.rhai in it, or in var/lib/babel/plugin
                               below it), again before each method that is called. NULL: the
                               image's. */
} bv_node_create_opts;

#define BV_NODE_CREATE_OPTS_INIT                                                                   \
    {                                                                                              \
        .size = sizeof(bv_node_create_opts)                                                        \
    }

/**
 * Creates a node, stopped. The reply is its document.
 *
 * @return 0 when started, BV_E_INVALID, BV_E_NOMEM. The reply may bring BV_E_EXISTS (name),
 * BV_E_NOT_FOUND (image).
 * @since 0.1
 */
BV_API int bv_node_create(bv_host *host, const bv_node_create_opts *opts, bv_reply_fn done,
                          void *data, bv_op **ret_op, bv_error **err);

/** All nodes: `{nodes: [...]}`, ordered by name. @since 0.1 */
BV_API int bv_node_list(bv_host *host, bv_reply_fn done, void *data, bv_op **ret_op,
                        bv_error **err);

/** One node with its jobs and its protocol's state. @since 0.1 */
BV_API int bv_node_show(bv_host *host, const char *node, bv_reply_fn done, void *data,
                        bv_op **ret_op, bv_error **err);

/**
 * Starts a node; replies when its plugin's init has run (jobs may still be starting). Running
 * already is success.
 * @since 0.1
 */
BV_API int bv_node_start(bv_host *host, const char *node, bv_reply_fn done, void *data,
                         bv_op **ret_op, bv_error **err);

/**
 * Stops a node: its jobs get their shutdown time, then the container ends. Stopped already is
 * success.
 *
 * @param force  Not 0: do not wait for the jobs.
 * @since 0.1
 */
BV_API int bv_node_stop(bv_host *host, const char *node, int force, bv_reply_fn done, void *data,
                        bv_op **ret_op, bv_error **err);

/**
 * Changes properties of a node. A running one is initialised again at once, another at its next
 * start; the reply, its document, comes after that. Values that are what they are already change
 * nothing.
 *
 * @param properties  Object of strings: the ones to change.
 * @return 0 when started, BV_E_INVALID. The reply may bring BV_E_INVALID (unknown, or fixed at
 * creation), BV_E_STATE (a job runs that must not be interrupted), BV_E_BUSY.
 * @since 0.1
 */
BV_API int bv_node_update(bv_host *host, const char *node, const bv_doc *properties,
                          bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err);

/**
 * Reads the node's plugin anew and, on a running node, evaluates its configuration. Until that has
 * succeeded, and after a failure, the old plugin serves all calls; calls under way end with the one
 * they began with. The reply is the node's document.
 *
 * @return 0 when started. The reply may bring BV_E_FORMAT "<file>:<line>:<column>: ...", BV_E_BUSY
 * (the node is being started), BV_E_NOT_FOUND (image or script), or the plugin's error.
 * @since 0.1
 */
BV_API int bv_node_reload(bv_host *host, const char *node, bv_reply_fn done, void *data,
                          bv_op **ret_op, bv_error **err);

/** Stops and starts a node. @since 0.1 */
BV_API int bv_node_restart(bv_host *host, const char *node, int force, bv_reply_fn done, void *data,
                           bv_op **ret_op, bv_error **err);

/** Deletes a node with its data, stopping it first. @since 0.1 */
BV_API int bv_node_delete(bv_host *host, const char *node, bv_reply_fn done, void *data,
                          bv_op **ret_op, bv_error **err);

/** How a method is called. */
typedef struct bv_node_run_opts {
    size_t size;         /**< sizeof(bv_node_run_opts); lets the struct grow. */
    const char *param;   /**< Its parameter; NULL or "": none. */
    uint64_t timeout_ms; /**< At most a day; 0: a minute, ten for init and upload. */
} bv_node_run_opts;

#define BV_NODE_RUN_OPTS_INIT                                                                      \
    {                                                                                              \
        .size = sizeof(bv_node_run_opts)                                                           \
    }

/**
 * Calls a function of the node's plugin: `{result, value}`. The result is text; the value is a
 * number for height and block_age, true or false for consensus, an object for protocol_status, null
 * for init and upload, else the text again.
 *
 * The call runs beside the node's init and beside what asks for its status. Cancelling the
 * operation ends it, and so does a client of the daemon that goes away.
 *
 * @param method  A built-in name (height, protocol_status, upload ...) or one of the plugin's own
 * functions.
 * @param opts    Copied; NULL: no parameter and the usual time.
 * @return 0 when started, BV_E_INVALID. The reply may bring BV_E_NOT_FOUND, whose message lists
 * what there is, BV_E_TIMEOUT, or the error of the plugin.
 * @since 0.1
 */
BV_API int bv_node_run(bv_host *host, const char *node, const char *method,
                       const bv_node_run_opts *opts, bv_reply_fn done, void *data, bv_op **ret_op,
                       bv_error **err);

/** What bv_node_run() can call: `{capabilities: [...]}`. @since 0.1 */
BV_API int bv_node_capabilities(bv_host *host, const char *node, bv_reply_fn done, void *data,
                                bv_op **ret_op, bv_error **err);

/** What is checked, and how. */
typedef struct bv_node_check_opts {
    size_t size;          /**< sizeof(bv_node_check_opts); lets the struct grow. */
    const bv_doc *checks; /**< Array of names: plugin, jobs-status, jobs-restarts, protocol-status;
                             NULL: the first two. */
    int start;            /**< Not 0: start the node if it does not run. It is left running. */
    uint64_t start_timeout_ms; /**< 0: 30 seconds. */
    int64_t jobs_wait_ms;      /**< Before jobs are looked at; -1: five seconds on a node that was
                                  started for the check, else none. */
} bv_node_check_opts;

#define BV_NODE_CHECK_OPTS_INIT                                                                    \
    {                                                                                              \
        .size = sizeof(bv_node_check_opts), .jobs_wait_ms = -1                                     \
    }

/**
 * Checks whether a node is well: `{node, passed, checks: [{name, passed, problems, notes}]}`, the
 * last two arrays of texts. A check that fails is an answer, not an error.
 *
 * plugin: its scripts have no mistakes that can be found without a node. jobs-status: no job ended
 * badly. jobs-restarts: none was restarted. protocol-status: not unhealthy.
 *
 * @param opts  Copied; NULL: the usual.
 * @return 0 when started, BV_E_INVALID. The reply may bring BV_E_BUSY: it is being checked already.
 * @since 0.1
 */
BV_API int bv_node_check(bv_host *host, const char *node, const bv_node_check_opts *opts,
                         bv_reply_fn done, void *data, bv_op **ret_op, bv_error **err);

/**
 * The scheduled calls of its plugin: `{tasks: [{name, schedule, function, param, next_at,
 * running}]}`; next_at is in Unix seconds, null for one that is never due again.
 * @since 0.1
 */
BV_API int bv_node_tasks(bv_host *host, const char *node, bv_reply_fn done, void *data,
                         bv_op **ret_op, bv_error **err);

BV_END_DECLS

#endif
