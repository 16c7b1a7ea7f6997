/*
 * node.h - one node, inside this module: its state, its parts, and the work under way on it.
 *
 * Life: made by the manager from a state file or for node.create; freed by the manager. At most one
 * piece of work (create, start, stop, restart, delete, attach, reconnect) is under way at a time;
 * see activity.h.
 */
#ifndef BVI_NODE_NODE_H
#define BVI_NODE_NODE_H

#include "agent/client.h"
#include "agent/engine_server.h"
#include "node/activity.h"
#include "node/manager.h"
#include "node/node_state.h"
#include "plugin/plugin.h"

/* The longest a method may be given, a day. */
#define BVI_NODE_RUN_TIMEOUT_MAX_MS (24 * 3600 * 1000)

/* What can fail again and again; node_recover.c. */
typedef enum bvi_recovery {
    BVI_RECOVER_START,
    BVI_RECOVER_STOP,
    BVI_RECOVER_AGENT,
    BVI_RECOVERIES,
} bvi_recovery;

typedef struct bvi_checkup bvi_checkup;       /* node_check.c: a check under way */
typedef struct bvi_metrics bvi_metrics;       /* node_metrics.c: a round of questions */
typedef struct bvi_log_reader bvi_log_reader; /* node_logs.c: a caller waiting for output */
typedef struct bvi_upload bvi_upload;         /* node_upload.c: a caller following the upload job */

typedef enum bvi_runtime_choice {
    BVI_RUNTIME_UNKNOWN,
    BVI_RUNTIME_PROBING,
    BVI_RUNTIME_CHOSEN,
} bvi_runtime_choice;

struct bvi_manager {
    bv_ctx *ctx;
    bvi_runtime_choice runtime; /* runtime_choice.c */
    BVI_VEC(bvi_node *) runtime_waiters;
    bvi_manager_opts opts;
    BVI_VEC(bvi_node *) nodes; /* ordered by name */
    BVI_VEC(bvi_log_reader *) log_readers;
    BVI_VEC(bvi_upload *) uploads;
};

typedef struct bvi_deferred bvi_deferred; /* deferred.c: a call that waits for an attach */

struct bvi_node {
    bvi_manager *manager;
    bv_ctx *ctx;
    bvi_node_state state;
    bvi_node_paths paths;
    bvi_json *env;    /* node environment object */
    bvi_json *params; /* properties as the plugin sees them */
    bvi_strv env_strings;
    char *image_root; /* of the image in the store; "": it is not there */
    char *hostname;
    char *store_bind; /* host directories bound for a directory store; NULL without one */
    char *upload_bind;
    char *staging_top;       /* the directory of all nodes' staging directories */
    bvi_container_spec spec; /* points into the members above */
    bvi_bind binds[5];
    BVI_VEC(bvi_tmpfs) ramdisks; /* their paths are ours */
    bvi_agent_client *agent;
    bvi_engine_server *engine;
    bvi_plugin *plugin;
    bvi_checkup *check;            /* NULL: none */
    bvi_json *wanted;              /* properties of the update under way */
    bvi_plugin *fresh;             /* being loaded anew, node_reload.c */
    BVI_VEC(bvi_plugin *) retired; /* replaced, with calls under way */
    bvi_activity activity;
    bvi_timer *retry; /* armed while recovery waits for its next try */
    bvi_recovery retry_kind;
    unsigned tries[BVI_RECOVERIES]; /* failed ones in a row */
    int64_t exited_us;              /* when the container last ended by itself; 0: never */
    int64_t reach_until_us;         /* of the step that waits for the agent */
    int64_t share_asked_us;         /* when a job last asked for its share; 0: never */
    bool looked;                    /* the driver was asked about its container */
    bool agent_ready;               /* it said that it is set up, when it was last asked */
    bv_op *init_op;                 /* the plugin's init under way */
    bvi_agent_call *jobs_call;      /* a step's question for the jobs */
    bv_op *config_op;               /* the evaluation of its configuration under way */
    bvi_json *tasks; /* scheduled calls, name -> {schedule, function, param}; NULL: not read yet */
    bvi_strv running_tasks; /* names of those whose call is under way */
    bvi_timer *task_timer;
    bvi_timer *metrics_timer;
    bvi_metrics *round;       /* of metrics, under way */
    bvi_json *metrics;        /* of the last round; NULL: none, or the node does not run */
    unsigned failing_metrics; /* bits: a failure has been told */
    int64_t tasks_checked_us; /* occurrences up to here have been run */
    unsigned users;           /* calls under way that refer to the node: its memory stays */
    BVI_VEC(struct bvi_deferred *) deferred; /* deferred.c */
    bvi_task make_deferred;
    int64_t log_window_us; /* when its plugin's lines were counted from; 0: never */
    unsigned log_events;   /* of them, which became events */
    bool closing;          /* being freed; memory goes when nothing refers to it any more */
    bool freeing;          /* inside bvi_node_free() */
};

/* Fills everything that follows from state; the agent client is made, nothing is started. */
int bvi_node_new(bvi_manager *manager, bvi_node_state *state, bvi_node **ret_node,
                 bv_error **err); /* moves state */
/* Ends what is under way; callers hear BV_E_CANCELLED. Memory that a step in the background still
 * uses goes with it. */
void bvi_node_free(bvi_node *node);
void bvi_node_release(bvi_node *node); /* for activity.c: the last step of a closing node is over */
BVI_DEFINE_FREEP(bvi_node, bvi_node_free)

int bvi_node_find_image(bvi_node *node, bv_error **err); /* fills image_root */
int bvi_node_make_env(bvi_node *node, bv_error **err);   /* from the state; unchanged on failure */
int bvi_node_save(bvi_node *node, bv_error **err);
int bvi_node_write_env(bvi_node *node, bv_error **err);
bool bvi_node_is_running(const bvi_node *node); /* the container lives */
/* Its agent is set up and nothing is about to end it: jobs and plugin can be asked, also while init
 * runs. */
bool bvi_node_answers(const bvi_node *node);
const char *bvi_node_status(const bvi_node *node); /* "running", "stopped", "failed", "busy" */
bvi_json *bvi_node_json(const bvi_node *node);     /* the node document; NULL: no memory */
/* Remembers why the node is failed (NULL: it is not). Not saved here. */
void bvi_node_set_problem(bvi_node *node, const bv_error *err);
/* The plugin, node_reload.c. Replacing it lets calls under way end. */
int bvi_node_load_plugin(bvi_node *node, bv_error **err);
void bvi_node_drop_retired(bvi_node *node, bool all); /* those without calls, or all */
/* The same as bvi_node_run(); a development node reads its plugin first. */
void bvi_node_run_fresh(bvi_node *node, const bvi_json *args, bvi_reply *reply);
int bvi_node_serve_engine(bvi_node *node, bv_error **err); /* idempotent */
/* What an environment for plugins and an engine service need, see node_plugin.c and node_engine.c.
 */
/* Secrets without a control plane, node_secrets.c. BV_E_NOT_FOUND "not_found". The caller owns the
 * bytes, which end with a zero. */
int bvi_node_get_secret(const bvi_node *node, const char *key, char **ret_bytes, size_t *ret_len,
                        bv_error **err);
int bvi_node_put_secret(const bvi_node *node, const char *key, const void *bytes, size_t len,
                        bv_error **err);
void bvi_node_plugin_env(bvi_node *node, bvi_plugin_env *env);
int bvi_node_open_source(void *data, const char *store_key, bvi_chunk_source **ret_source,
                         bv_error **err);
/* What snapshot jobs ask, node_snapshot.c; data is the node. */
int bvi_node_check_key(const bvi_node *node, const char *store_key, const char **ret_key,
                       bv_error **err); /* NULL: the node's own; may it use that one? */
int bvi_node_open_store(void *data, const char *store_key, bvi_store **ret_store, bv_error **err);
int bvi_node_object_url(void *data, bvi_store *store, const char *key, bool put, char **ret_url,
                        bv_error **err);
/* Of the host's limits of transfers: what a job of this node may use for now. */
void bvi_node_share(void *data, bv_transfer_limits *ret_share);
int bvi_node_store_info(void *data, const char *store_key, uint64_t data_version, bool upload,
                        bvi_store_info_fn done, void *done_data, bv_error **err);
int bvi_node_gate(void *data, const char *store_key, uint64_t version, bvi_gate_done_fn done,
                  void *done_data, bv_error **err);
/* Calls that wait until the node has been attached to, deferred.c. Owns the reply. */
void bvi_node_defer(bvi_node *node, const char *method, const bvi_json *args, bvi_reply *reply);
void bvi_node_make_deferred(bvi_node *node); /* from the next dispatch */
void bvi_node_deferred_setup(bvi_node *node);
void bvi_node_deferred_teardown(bvi_node *node);
/* A step: waits until a container runtime has been found to work. */
int bvi_node_choose_runtime(bvi_node *node, bv_error **err);
/* Scheduled calls, node_tasks.c. */
int bvi_node_begin_tasks(bvi_node *node, bv_error **err);
int bvi_node_add_task(bvi_node *node, const char *name, const char *schedule, const char *function,
                      const char *param, bv_error **err);
void bvi_node_tasks(bvi_node *node, bvi_reply *reply); /* {tasks: [...]}; owns the reply */
int bvi_node_delete_task(bvi_node *node, const char *name, bv_error **err);
/* What the plugin says about its protocol, node_metrics.c: from a start or an attach to a stop. */
void bvi_node_begin_metrics(bvi_node *node);
void bvi_node_end_metrics(bvi_node *node);
void bvi_node_collect_metrics(bvi_timer *timer, void *data); /* the timer's function */
/* Is there a complete version of the node's snapshot? */
void bvi_node_has_archive(bvi_node *node, void (*done)(bool has, const bv_error *err, void *data),
                          void *data);

/* The sequences of work, each a table of steps (node_create.c, node_start.c, ...). */
extern const bvi_sequence bvi_create_sequence;
extern const bvi_sequence bvi_attach_sequence;
extern const bvi_sequence bvi_reconnect_sequence;
extern const bvi_sequence bvi_start_sequence;
extern const bvi_sequence bvi_stop_sequence;
extern const bvi_sequence bvi_restart_sequence;
extern const bvi_sequence bvi_reload_sequence;
extern const bvi_sequence bvi_update_sequence;
extern const bvi_sequence bvi_delete_sequence;

/* Removes a deleted node from the registry and frees it. */
void bvi_manager_forget(bvi_manager *manager, bvi_node *node);
bvi_node *bvi_manager_find(bvi_manager *manager, const char *id_or_name);
int bvi_manager_register(bvi_manager *manager, bvi_node *node, bv_error **err);
/* Recovery, node_recover.c. later: a try failed; the next comes after a pause that grows, or it is
 * given up. */
void bvi_node_recover_later(bvi_node *node, bvi_recovery kind);
void bvi_node_recovered(
    bvi_node *node); /* it is as it should be: failures are forgotten. Not saved here */
void bvi_node_look_after(bvi_node *node); /* work is over: does the node need anything? */
void bvi_node_exited(bvi_node *node);     /* its container ended by itself */
void bvi_node_retry(bvi_timer *timer, void *data);
void bvi_node_agent_changed(bvi_agent_state state, void *data);

/* Steps that more than one sequence has, node_steps.c. */
int bvi_step_save(bvi_node *node, bv_error **err);
int bvi_step_make_dirs(bvi_node *node, bv_error **err);
int bvi_step_load_plugin(bvi_node *node, bv_error **err);
/* The plugin made anew, and put in place of the one in use. */
int bvi_step_read_plugin(bvi_node *node, bv_error **err);
int bvi_step_use_plugin(bvi_node *node, bv_error **err);
/* Evaluates a configuration that is older than its script; a failure is only logged. */
int bvi_step_renew_config(bvi_node *node, bv_error **err);
int bvi_step_write_env(bvi_node *node, bv_error **err);
int bvi_step_stop_engine(bvi_node *node, bv_error **err);
int bvi_step_attach_container(bvi_node *node, bv_error **err);
int bvi_step_prepare_root(bvi_node *node, bv_error **err);
int bvi_step_remove_container(bvi_node *node, bv_error **err);
/* The step is over when the agent has answered, which a new container's may take a while to do. */
int bvi_node_reach_agent(bvi_node *node, int64_t timeout_ms, bv_error **err);
void bvi_node_close_agent(bvi_node *node);

/* Fails the reply when there is no plugin. */
bool bvi_node_need_plugin(const bvi_node *node, bvi_reply *reply);

/* Calls on one node; each owns its reply. */
void bvi_node_show(bvi_node *node, bvi_reply *reply);
void bvi_node_run(bvi_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_node_check(bvi_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_checkup_cancel(void *check);
void bvi_node_update(bvi_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_node_capabilities(bvi_node *node, bvi_reply *reply);
void bvi_node_exec(bvi_node *node, bvi_reply *reply);
void bvi_node_upload(bvi_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_node_job_call(bvi_node *node, const char *method, const bvi_json *args, bvi_reply *reply);
void bvi_node_job_logs(bvi_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_log_reader_cancel(void *reader);
void bvi_upload_end(bvi_upload *upload); /* the manager goes; the caller hears BV_E_CANCELLED */
/* {state, health}; NULL: no memory. */
bvi_json *bvi_node_status_json(const bvi_plugin_value *value);
/* Job documents from the agent's job infos; NULL: no memory. */
bvi_json *bvi_node_job_json(const char *name, const bvi_json *info);
bvi_json *bvi_node_jobs_json(const bvi_json *infos);
/* The document of the latest version of a key; `done` owns the snapshot. */
int bvi_manager_latest_snapshot(bvi_manager *manager, const char *key,
                                void (*done)(const bv_error *err, bvi_json *snapshot, void *data),
                                void *data, bv_error **err);
void bvi_manager_create(bvi_manager *manager, const bvi_json *args, bvi_reply *reply);

#endif
