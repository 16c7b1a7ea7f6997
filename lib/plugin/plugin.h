/*
 * plugin.h - the protocol-aware part of a node: a script from the image, bound to jobs, files and
 * requests.
 *
 * A plugin is untrusted input. It runs here in the host engine, never in the node, in short slices
 * from dispatch, with limits on operations, memory, depth and time; whatever it wants from the node
 * goes through the functions of a bvi_plugin_env, which the node (or a test's fake) supplies. While
 * such a request is under way the script is suspended.
 *
 * Life: bvi_plugin_load() compiles (and reads the configuration stored last); calls are operations;
 * bvi_plugin_free() cancels what is left. All functions are for the context's own thread.
 *
 * Calls wait in three bounded lanes, each serving one call at a time: queries (status, height,
 * ...), the plugin's own functions, and work (init, upload). So a long init delays neither a status
 * nor what somebody runs by hand. A deadline counts from the submission and includes everything; a
 * call always ends by then, even when the environment never answers.
 */
#ifndef BVI_PLUGIN_PLUGIN_H
#define BVI_PLUGIN_PLUGIN_H

#include <blockvisor/op.h>

#include "base/json.h"
#include "base/vec.h"
#include "io/loop.h"
#include "script/script.h"

/* Where images keep their plugin, below the node's root. */
#define BVI_PLUGIN_DIR  "var/lib/babel/plugin"
#define BVI_PLUGIN_MAIN "main.rhai"

/* A custom function that has a say before a snapshot of the node's data is published: it throws, or
 * returns false, and it is not. Its parameter, if it takes one, is {"store_key", "version"}. */
#define BVI_PLUGIN_GATE "snapshot_gate"

/* ---- what a plugin may use up ---- */

typedef struct bvi_plugin_limits {
    uint64_t operations;        /* of one call, its top level included */
    size_t memory_bytes;        /* of the compiled script, and again of each call's values */
    uint32_t depth;             /* of calls inside the script */
    size_t string_bytes;        /* of one string or blob */
    size_t file_bytes;          /* of one script file */
    uint32_t files;             /* scripts in the directory, tests among them */
    uint32_t modules;           /* files that are imported */
    uint32_t queue;             /* calls waiting in a lane */
    int64_t query_timeout_ms;   /* status, height and the like, when the caller gives none */
    int64_t call_timeout_ms;    /* custom functions, when the caller gives none */
    int64_t work_timeout_ms;    /* init and upload, when the caller gives none */
    int64_t request_timeout_ms; /* one request to the node, when the script gives none */
    uint32_t slice_operations;  /* before the loop gets its turn: well below 5 ms */
} bvi_plugin_limits;

#define BVI_PLUGIN_LIMITS_INIT                                                                     \
    {                                                                                              \
        .operations = 50u * 1000u * 1000u, .memory_bytes = 64u << 20, .depth = 64,                 \
        .string_bytes = 16u << 20, .file_bytes = 1u << 20, .files = 512, .modules = 64,            \
        .queue = 64, .query_timeout_ms = 60 * 1000, .call_timeout_ms = 60 * 1000,                  \
        .work_timeout_ms = 600 * 1000, .request_timeout_ms = 15 * 1000, .slice_operations = 20000, \
    }

/* ---- how a plugin reaches its node ---- */

/*
 * One request under way. The environment ends it exactly once with one of the three functions
 * below, from inside the function that received it or later; each takes over its value and the
 * handle. When the plugin no longer wants the answer (deadline, cancelled, freed) the `cancel`
 * function is called, once, and the environment still ends the handle, soon or late: the answer is
 * then dropped.
 */
typedef struct bvi_plugin_reply bvi_plugin_reply;

void bvi_plugin_reply_json(bvi_plugin_reply *reply, bvi_json *value); /* NULL value: null */
void bvi_plugin_reply_bytes(bvi_plugin_reply *reply, const void *bytes, size_t len); /* copied */
void bvi_plugin_reply_error(bvi_plugin_reply *reply, bv_error *err); /* the script may catch it */
void bvi_plugin_reply_on_cancel(bvi_plugin_reply *reply,
                                void (*cancel)(bvi_plugin_reply *reply, void *data), void *data);
bool bvi_plugin_reply_is_cancelled(const bvi_plugin_reply *reply);
/* For how long the environment should try, in ms. The plugin gives up a little later by itself; 0
 * for stopping jobs: then the environment allows their shutdown timeouts, and only the call's
 * deadline applies. */
int64_t bvi_plugin_reply_timeout_ms(const bvi_plugin_reply *reply);

/*
 * Inputs are borrowed for the duration of the function, never longer. "->" names the answer; () is
 * null. Every pointer must be set.
 */
typedef struct bvi_plugin_env {
    void *data; /* first argument of all */

    /* Jobs. config is a job's config.json (spec babel.md 6.1) with every key present. */
    void (*create_job)(void *data, const char *name, const bvi_json *config,
                       bvi_plugin_reply *reply);                              /* -> () */
    void (*start_job)(void *data, const char *name, bvi_plugin_reply *reply); /* -> () */
    void (*stop_job)(void *data, const char *name, bvi_plugin_reply *reply);  /* -> () */
    void (*stop_all_jobs)(void *data, bvi_plugin_reply *reply);               /* -> () */
    /* -> {status, timestamp: {secs_since_epoch, nanos_since_epoch}, progress, restart_count, logs,
     * upgrade_blocking} */
    void (*job_info)(void *data, const char *name, bvi_plugin_reply *reply);
    void (*get_jobs)(void *data, bvi_plugin_reply *reply); /* -> {name: job info} */

    /* Requests executed inside the node. headers is an array of [name, value] pairs, each name
     * once. */
    void (*run_sh)(void *data, const char *body,
                   bvi_plugin_reply *reply);              /* -> {exit_code, stdout, stderr} */
    void (*run_jrpc)(void *data, const bvi_json *request, /* {host, method, params?, headers} */
                     bvi_plugin_reply *reply);            /* -> {status_code, body} */
    void (*run_rest)(void *data, const bvi_json *request, /* {url, headers} */
                     bvi_plugin_reply *reply);            /* -> {status_code, body} */

    /* Files of the node, paths as the node sees them. */
    void (*file_read)(void *data, const char *path, bvi_plugin_reply *reply); /* -> bytes */
    void (*file_write)(void *data, const char *path, const void *bytes, size_t len,
                       bvi_plugin_reply *reply); /* -> () */
    void (*render_template)(void *data, const char *template_path, const char *destination,
                            const bvi_json *params, bvi_plugin_reply *reply); /* -> () */

    /* Protocol data. */
    void (*protocol_data_stamp)(
        void *data, bvi_plugin_reply *reply); /* -> null: never touched; else anything */
    void (*has_protocol_archive)(void *data, bvi_plugin_reply *reply); /* -> bool */

    /* What the plugin keeps. A secret or data never stored is the error BV_E_NOT_FOUND. */
    void (*get_secret)(void *data, const char *key, bvi_plugin_reply *reply); /* -> bytes */
    void (*put_secret)(void *data, const char *key, const void *bytes, size_t len,
                       bvi_plugin_reply *reply);                              /* -> () */
    void (*load_data)(void *data, bvi_plugin_reply *reply);                   /* -> bytes: text */
    void (*save_data)(void *data, const char *text, bvi_plugin_reply *reply); /* -> () */

    /* Scheduled calls of this node; the schedule has been checked (see plugin/schedule.h). */
    void (*add_task)(void *data, const char *name, const char *schedule, const char *function,
                     const char *param, bvi_plugin_reply *reply); /* -> () */
    void (*delete_task)(void *data, const char *name,
                        bvi_plugin_reply *reply); /* -> (); an unknown name is fine */

    /* At once. The documents are borrowed until the next dispatch. */
    void (*log)(void *data, int level, const char *text); /* level: bv_log_level */
    const bvi_json *(*node_env)(void *data);              /* spec plugin.md 4.7 */
    const bvi_json *(*node_params)(void *data);           /* {property: text} */
} bvi_plugin_env;

/* ---- loading ---- */

/* A script that stands alone instead of a directory of files, for tools. All is copied but what
 * the pointers in data refer to. */
typedef struct bvi_plugin_script {
    const char *text;
    size_t len;
    const char *name;                /* its source name; NULL: none */
    const bvi_script_limits *limits; /* in place of those of the plugin; zero: the default */
    bvi_script_resolve_fn resolve;   /* finds modules; NULL: there are none */
    bvi_script_output_fn print;      /* in place of the log; NULL: dropped */
    bvi_script_debug_fn debug;       /* the same */
    void *data;                      /* last argument of these */
} bvi_plugin_script;

typedef struct bvi_plugin bvi_plugin;

typedef struct bvi_plugin_opts {
    const char *root; /* host path of the node's root file system, or of the directory itself with
                         dir "." */
    const char
        *dir; /* below root, opened without following links out of it; NULL: BVI_PLUGIN_DIR */
    const char *main_file;   /* NULL: BVI_PLUGIN_MAIN */
    const char *config_path; /* plugin_config.json on the host: read now, replaced by init; NULL:
                                kept in memory only */
    const bvi_plugin_limits *limits; /* copied; NULL: the defaults */
    const bvi_plugin_env *env;       /* copied */
    const bvi_plugin_script *script; /* NULL: the files below root; otherwise root, dir, main_file
                                        and config_path are not used, only bvi_plugin_eval() may be
                                        called, and a syntax error is as the compiler told it */
    /* For tools that run a plugin's own tests: */
    const char *tests; /* source that is compiled behind the main file, as one script with it: its
                          first line is two lines below the main file's last line end; NULL: none */
    const bvi_script_function *functions; /* further ones for the script; NULL: none */
    void *functions_data;                 /* last argument of these */
    bool keep_failure;                    /* for bvi_plugin_failure() */
    bool coverage;                        /* note which lines run, for bvi_plugin_coverage() */
} bvi_plugin_opts;

/* Reads and compiles; runs nothing. A syntax error is BV_E_FORMAT "<file>:<line>:<column>: ...". A
 * stored configuration that cannot be read means "none" and is logged. */
int bvi_plugin_load(bv_ctx *ctx, const bvi_plugin_opts *opts, bvi_plugin **ret_plugin,
                    bv_error **err);

/* Cancels all calls; their callbacks still come, from dispatch, with BV_E_CANCELLED. The
 * environment is not used any more, except for ending the replies it holds. May be called inside a
 * callback. */
void bvi_plugin_free(bvi_plugin *plugin);
BVI_DEFINE_FREEP(bvi_plugin, bvi_plugin_free)
/* No call runs or waits: freeing it now cancels nothing. */
bool bvi_plugin_is_idle(const bvi_plugin *plugin);

/* ---- looking ---- */

/* What `bv node run` can call: the script's functions with at most one parameter, and "init" and
 * "upload" when there is a configuration. Borrowed until the next call completes; sorted, each name
 * once. */
const bvi_strv *bvi_plugin_capabilities(const bvi_plugin *plugin);
bool bvi_plugin_has(const bvi_plugin *plugin, const char *capability);
/* The functions of the main script in source order; false past the end. */
bool bvi_plugin_function_at(const bvi_plugin *plugin, size_t index, bvi_script_fn_info *ret_info);
/* The configuration evaluated last, with every key of the schema present (plugin/config.h); NULL:
 * none. Borrowed until the next call completes. */
const bvi_json *bvi_plugin_config(const bvi_plugin *plugin);
/* The stored configuration was evaluated from other scripts or parameters than the present ones.
 * init and upload evaluate it anew; bvi_plugin_reload_config() does so at once. */
bool bvi_plugin_config_is_stale(const bvi_plugin *plugin);

/* ---- calling ---- */

typedef enum bvi_plugin_health {
    BVI_HEALTH_HEALTHY,
    BVI_HEALTH_NEUTRAL,
    BVI_HEALTH_UNHEALTHY,
} bvi_plugin_health;

/* The answer of a call; what is set besides text depends on the function called. */
typedef struct bvi_plugin_value {
    const char *text;         /* always: what `bv node run` prints */
    uint64_t number;          /* height, block_age */
    double real;              /* apr */
    bool flag;                /* consensus, jailed */
    const char *state;        /* protocol_status */
    bvi_plugin_health health; /* protocol_status */
} bvi_plugin_value;

/* Called once, from dispatch. With an error value is NULL. Both are valid during the call only. */
typedef void (*bvi_plugin_done_fn)(bv_op *op, const bvi_plugin_value *value, const bv_error *err,
                                   void *data);

/*
 * Runs a function by name, as `bv node run` and scheduled tasks do (spec plugin.md 3): init,
 * upload, height, block_age, name, address, consensus and protocol_status are typed; others are
 * custom functions taking the text param or nothing. BV_E_NOT_FOUND "no matching method" comes at
 * once, BV_E_BUSY when the lane is full.
 *
 * timeout_ms 0 takes the limit for its kind. ret_op may be NULL; else the caller releases it, and
 * may cancel it.
 */
int bvi_plugin_call(bvi_plugin *plugin, const char *name, const char *param, int64_t timeout_ms,
                    bvi_plugin_done_fn done, void *data, bv_op **ret_op, bv_error **err);

/* The same for the functions the daemon reads: also apr, jailed, jailed_reason and sqd_name, with
 * their types. */
int bvi_plugin_query(bvi_plugin *plugin, const char *name, int64_t timeout_ms,
                     bvi_plugin_done_fn done, void *data, bv_op **ret_op, bv_error **err);

/* Whether bvi_plugin_call() gives it a type: init, height and so on. */
bool bvi_plugin_is_typed(const char *name);

/* Evaluates plugin_config(), checks and stores it. (init does so by itself.) Not having the
 * function is fine: then there is no configuration. */
int bvi_plugin_reload_config(bvi_plugin *plugin, int64_t timeout_ms, bvi_plugin_done_fn done,
                             void *data, bv_op **ret_op, bv_error **err);

/* How the script failed last, as bvi_script_failure_json() describes it; NULL: it did not, or that
 * was forgotten. Borrowed until the next call completes. */
const bvi_json *bvi_plugin_failure(const bvi_plugin *plugin);
void bvi_plugin_forget_failure(bvi_plugin *plugin);

/* Which lines ran so far; a line may be told more than once, and ran if one of them says so. The
 * source is a path in the plugin's directory. */
void bvi_plugin_coverage(const bvi_plugin *plugin, bvi_script_coverage_fn fn, void *data);

const char *bvi_plugin_health_name(bvi_plugin_health health);

#endif
