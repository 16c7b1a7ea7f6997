/*
 * offline.h - a plugin on a scripted node in a world of its own: no host, no node, no daemon.
 *
 * The context is private and its clock is turned by hand: when nothing but waiting is left, the
 * time jumps to what is due next. So a delay of a minute takes no time, and results do not depend
 * on the machine. Only the limit on the real time of a call looks at the system's clock. Used by
 * the public bv_plugin_* and by the test runner. Blocking; one thread at a time, but for interrupt.
 */
#ifndef BVI_PLUGIN_OFFLINE_H
#define BVI_PLUGIN_OFFLINE_H

#include <blockvisor/script.h>

#include "plugin/eval.h"
#include "plugin/scripted.h"
#include "plugin/workspace.h"

/* Of one call, in real time, when the caller gives no limit. */
#define BVI_OFFLINE_TIMEOUT_MS (60 * 1000)

typedef struct bvi_offline bvi_offline;

typedef struct bvi_offline_opts {
    bv_ctx *ctx; /* somebody's, who drives it: calls are started in it, and take real time. NULL: a
                    world of its own */
    const bvi_workspace *workspace;  /* borrowed until close */
    const char *variant;             /* NULL: the first */
    const bvi_json *answers;         /* a checked file; NULL: the node answers in its own way */
    const bvi_json *more_answers;    /* a checked behaviour laid over it; NULL: none */
    const bvi_json *env;             /* laid over node_env(); NULL: nothing */
    const bvi_json *params;          /* laid over node_params() */
    const bvi_json *secrets;         /* further ones */
    const bvi_plugin_limits *limits; /* NULL: the defaults */
    int64_t timeout_ms;              /* of a call, in real time; 0: the default */
    const char *tests;               /* these as in bvi_plugin_opts */
    const bvi_script_function *functions;
    void *functions_data;
    bool coverage;
} bvi_offline_opts;

/* Nothing runs yet. BV_E_FORMAT for a syntax error, BV_E_NOT_FOUND for a variant there is not. */
int bvi_offline_open(const bvi_offline_opts *opts, bvi_offline **ret_offline, bv_error **err);
void bvi_offline_close(bvi_offline *offline);
BVI_DEFINE_FREEP(bvi_offline, bvi_offline_close)

/*
 * Functions the daemon knows go their own way (init, upload, protocol_status, height ...) with
 * their types; others take arg (NULL: "") as `bv node run` passes it, and may return anything. The
 * outcome is as bvi_plugin_eval() describes it, for values and for failures; "text" of what a typed
 * function answers is what `bv node run` prints. BV_E_NOT_FOUND when there is no such function,
 * BV_E_CANCELLED, BV_E_TIMEOUT.
 */
int bvi_offline_call(bvi_offline *offline, const char *function, const char *arg,
                     bvi_json **ret_outcome, bv_error **err);
/* The same in the context that was given, which ends it. The configuration is not evaluated
 * beforehand. */
int bvi_offline_start(bvi_offline *offline, const char *function, const char *arg,
                      bvi_eval_done_fn done, void *data, bv_op **ret_op, bv_error **err);
/* Evaluates and checks plugin_config(), as init does first: the value is the configuration with
 * every key of the schema, null when there is no such function. */
int bvi_offline_config(bvi_offline *offline, bvi_json **ret_outcome, bv_error **err);
/* Ends the call under way, or the next one, with BV_E_CANCELLED. Any thread, and signal handlers.
 */
void bvi_offline_interrupt(bvi_offline *offline);

/* What the public functions are given: limits as a plugin has them, and an answers file by its path
 * (NULL: the one beside the plugin, if any; "": none). Both results may be NULL. */
bvi_plugin_limits bvi_offline_limits(const bv_script_limits *limits);
int bvi_offline_answers(const bvi_workspace *workspace, const char *path, char **ret_path,
                        bvi_json **ret_answers, bv_error **err);

const bvi_plugin *bvi_offline_plugin(const bvi_offline *offline);
bvi_scripted *bvi_offline_node(const bvi_offline *offline);

#endif
