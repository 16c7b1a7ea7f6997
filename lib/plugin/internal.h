/*
 * internal.h - the parts of a plugin, for the files of this folder only.
 *
 *     plugin ─┬─ lane "query" ─ engine, compiled script, one run at a time, the rest waiting
 *             ├─ lane "call"  ─ the same, separately: none can starve the others
 *             └─ lane "work"
 *
 * A run is one call of a plugin function. It goes through a few phases (run_table.c), each of which
 * may run a slice of script, ask the environment something (reply.c) or go through a list of
 * actions (sequence.c). It is driven by step() in run.c, from a posted task, and by nothing else.
 */
#ifndef BVI_PLUGIN_INTERNAL_H
#define BVI_PLUGIN_INTERNAL_H

#include "io/op.h"
#include "plugin/plugin.h"
#include "plugin/secrets.h"
#include "plugin/sources.h"

/* How long beyond its own timeout a request may take before the plugin stops waiting. */
#define BVI_REQUEST_GRACE_MS 2000
/* A longer log line of a script is cut. */
#define BVI_PLUGIN_LOG_MAX 8192u

typedef struct bvi_run bvi_run;
typedef struct bvi_sequence bvi_sequence;

/* ---- answers of the environment ---- */

typedef struct bvi_answer {
    bvi_json *json; /* NULL: null, or bytes were given */
    char *bytes;    /* NULL: no bytes were given; zero-terminated */
    size_t len;
    bv_error *err; /* NULL: success */
} bvi_answer;

void bvi_answer_done(bvi_answer *answer);

/* Receives the answer to a run's request, from step(). A negative result ends the run with *err. */
typedef int (*bvi_answer_fn)(bvi_run *run, bvi_answer *answer, bv_error **err);
/* Turns a good answer into what the script's function returns. */
typedef int (*bvi_value_fn)(bvi_run *run, const bvi_answer *answer, bvi_value *ret_value,
                            bv_error **err);

/* Starts a request: the run waits for it. NULL: no memory. timeout_ms 0: no limit besides the
 * deadline. */
bvi_plugin_reply *bvi_run_ask(bvi_run *run, int64_t timeout_ms, bvi_answer_fn on_answer);
/* The run no longer wants it: the environment is told. */
void bvi_plugin_reply_detach(bvi_plugin_reply *reply);
bool bvi_plugin_reply_is_answered(const bvi_plugin_reply *reply);
/* The answer, moved out; the reply is gone. */
bvi_answer bvi_plugin_reply_take(bvi_plugin_reply *reply);

/* ---- runs ---- */

typedef enum bvi_lane_id {
    BVI_LANE_QUERY, /* status, height and the like */
    BVI_LANE_CALL,  /* the plugin's own functions */
    BVI_LANE_WORK,  /* init, upload, the configuration */
    BVI_LANES,
} bvi_lane_id;

/* What a phase answers when it did not fail. */
enum {
    BVI_PHASE_NEXT = 0, /* it is complete */
    BVI_PHASE_WAIT = 1, /* something will post the run's task */
    BVI_PHASE_AGAIN = 2 /* call it again after the loop had its turn */
};
typedef int (*bvi_phase_fn)(bvi_run *run, bv_error **err);

/* A function as the host sees it. */
typedef struct bvi_entry {
    const char *name; /* NULL: custom functions */
    bvi_lane_id lane;
    bool query_only;            /* `bv node run` takes it for a custom function */
    const bvi_phase_fn *phases; /* ends with NULL */
    /* Fills run->value from what the function returned; result is NULL when no script function ran.
     */
    int (*convert)(bvi_run *run, const bvi_value *result, bv_error **err);
} bvi_entry;

typedef struct bvi_lane {
    bvi_plugin *plugin;
    bvi_script_engine *engine; /* NULL: nothing has run here yet, see bvi_lane_open() */
    bvi_script *script;
    bvi_json *seen_env; /* what node_env() and node_params() answered when the top level ran */
    bvi_json *seen_params;
    bvi_run *running;
    bvi_run *first; /* waiting */
    bvi_run *last;
    size_t waiting;
} bvi_lane;

struct bvi_plugin {
    bv_ctx *ctx;
    bvi_plugin_env env;
    bvi_plugin_limits limits;
    bool coverage;
    bool keep_failure;
    bvi_json *failure;                    /* the last one, if it is kept */
    const bvi_script_function *functions; /* of bvi_plugin_opts */
    void *functions_data;
    char *config_path; /* may be NULL */
    bvi_sources sources;
    const bvi_source *main_source;
    bvi_source tested; /* the main source with tests behind it, when there are any */
    bvi_json *config;  /* converted; NULL: none */
    bool config_stale; /* it was evaluated from other scripts or parameters */
    struct {
        char *mount;   /* "/blockjoy/" */
        char *data;    /* "/blockjoy/blockchain_data" */
    } old_paths;       /* NULL unless a script uses their names of before node_env() */
    bool is_old;       /* of before plugin_config(): it has METADATA */
    bool wants_params; /* as a constant: it has NODE_PARAMS */
    bvi_strv capabilities;
    bvi_secrets secrets;
    bvi_lane lanes[BVI_LANES];
    unsigned entered; /* inside step(): freeing waits */
    bool freed;
};

typedef struct bvi_save bvi_save;

struct bvi_run {
    bvi_plugin *plugin; /* NULL once it ended */
    bvi_lane *lane;
    bvi_run *next; /* in the lane's queue */
    bv_op *op;
    bvi_plugin_done_fn done;
    void *data;

    const bvi_entry *entry;
    char *name;
    char *param; /* NULL: the function takes none */
    int64_t timeout_ms;
    int64_t deadline_us;
    int64_t request_until_us; /* INT64_MAX: no limit */
    bvi_timer *timer;
    bvi_task task;

    size_t phase;
    bvi_script_call *script;
    char *secret_key;      /* of the get_secret() under way */
    bvi_value_fn to_value; /* what the waiting host function makes of its answer */
    bvi_sequence *sequence;
    bvi_plugin_reply *reply;
    bvi_answer_fn on_answer;
    bool late; /* the request took too long: an error is its answer */
    bvi_save *save;
    bool evaluated; /* the configuration is new and must be kept */

    bool has_value;         /* the rest of the phases is not needed */
    bvi_plugin_value value; /* text and state are allocated: */
    char *text;
    char *state;
};

/* Makes a run and puts it in its lane. param may be NULL. */
int bvi_run_new(bvi_plugin *plugin, const bvi_entry *entry, const char *name, const char *param,
                int64_t timeout_ms, bvi_plugin_done_fn done, void *data, bv_op **ret_op,
                bv_error **err);
/* Ends a run, wherever it is; takes err (NULL: success). Its callback follows from dispatch. */
void bvi_run_finish(bvi_run *run, bv_error *err);
/* Arms the timer for whatever is due first. */
int bvi_run_arm(bvi_run *run, bv_error **err);

/* The script's part of a phase, in two steps: a call of fn is made, with the text param (NULL: no
 * parameter), with a document, or of the top level alone (fn NULL); then it is driven until
 * BVI_PHASE_NEXT, and the result is bvi_script_result(run->script) until it is dropped. */
int bvi_run_prepare(bvi_run *run, const char *fn, const char *param, bv_error **err);
int bvi_run_prepare_document(bvi_run *run, const char *fn, const bvi_json *document,
                             bv_error **err);
int bvi_run_drive(bvi_run *run, const char *fn, bv_error **err);
/* Both in one: prepares when nothing is under way. */
int bvi_run_script(bvi_run *run, const char *fn, const char *param, bv_error **err);
/* Ends the script that bvi_run_script() left, for the next phase. */
void bvi_run_drop_script(bvi_run *run);

const bvi_entry *bvi_entry_find(const char *name, bool query);
const bvi_entry *bvi_entry_reload(void);

/* config_eval.c */
int bvi_phase_eval_config(bvi_run *run, bv_error **err);
int bvi_phase_refresh_config(bvi_run *run, bv_error **err); /* only when it is stale */
/* config_store.c */
int bvi_phase_save_config(bvi_run *run, bv_error **err); /* what a phase before evaluated, if any */
void bvi_save_detach(bvi_save *save);
/* What was evaluated last, unless the file is missing or wrong (which is logged). BV_E_NOMEM only.
 */
int bvi_plugin_load_config(bvi_plugin *plugin);
/* status.c */
int bvi_phase_job_status(bvi_run *run, bv_error **err);
int bvi_phase_status(bvi_run *run, bv_error **err);
int bvi_convert_status(bvi_run *run, const bvi_value *result, bv_error **err);
/* plugin.c */
int bvi_lane_open(bvi_lane *lane, bv_error **err); /* makes its engine, the first time */
int bvi_plugin_update_capabilities(bvi_plugin *plugin, bv_error **err);
/* A warning for each key of a script's map that means nothing; what: "plugin_config", a job. */
void bvi_plugin_warn_unknown(const bvi_plugin *plugin, const char *what, const bvi_strv *unknown);
void bvi_plugin_leave(bvi_plugin *plugin); /* the end of step() */

#endif
