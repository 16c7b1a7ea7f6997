/*
 * node.h - one node, inside this module: its state, its parts, and the work under way on it.
 *
 * Life: made by the manager from a state file or for node.create; freed by the manager. At most one piece of work
 * (create, start, stop, restart, delete, attach) is under way at a time; see activity.h.
 */
#ifndef BVI_NODE_NODE_H
#define BVI_NODE_NODE_H

#include "agent/client.h"
#include "agent/engine_server.h"
#include "node/manager.h"
#include "node/node_state.h"
#include "node/activity.h"
#include "plugin/plugin.h"

/* Before a node counts as failed for good, and the pause before the second try; it doubles (spec host.md 16). */
#define BVI_NODE_TRIES_MAX      3u
#define BVI_NODE_RETRY_FIRST_MS 15000

typedef struct bvi_log_reader bvi_log_reader; /* node_logs.c: a caller waiting for output */

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
};

struct bvi_node {
    bvi_manager *manager;
    bv_ctx *ctx;
    bvi_node_state state;
    bvi_node_paths paths;
    bvi_json *env;            /* node environment object */
    bvi_json *params;         /* properties as the plugin sees them */
    bvi_strv env_strings;
    char *image_root;         /* of the image in the store */
    char *store_bind;         /* host directories bound for a directory store; NULL without one */
    char *upload_bind;
    bvi_container_spec spec;  /* points into the members above */
    bvi_bind binds[5];
    bvi_agent_client *agent;
    bvi_engine_server *engine;
    bvi_plugin *plugin;
    bvi_activity activity;
    bvi_timer *retry;         /* armed while recovery waits for its next try */
    unsigned failed_tries;
    bvi_json *tasks;          /* scheduled calls, name -> {schedule, function, param}; NULL: not read yet */
    bvi_timer *task_timer;
    int64_t tasks_checked_us; /* occurrences up to here have been run */
    bool closing;             /* being freed; memory goes when nothing refers to it any more */
    bool freeing;             /* inside bvi_node_free() */
};

/* Fills everything that follows from state; the agent client is made, nothing is started. */
int bvi_node_new(bvi_manager *manager, bvi_node_state *state, bvi_node **ret_node, bv_error **err); /* moves state */
/* Ends what is under way; callers hear BV_E_CANCELLED. Memory that a step in the background still uses goes with it. */
void bvi_node_free(bvi_node *node);
void bvi_node_release(bvi_node *node); /* for activity.c: the last step of a closing node is over */
BVI_DEFINE_FREEP(bvi_node, bvi_node_free)

int bvi_node_save(bvi_node *node, bv_error **err);
int bvi_node_write_env(bvi_node *node, bv_error **err);
bool bvi_node_is_running(const bvi_node *node); /* the container lives */
const char *bvi_node_status(const bvi_node *node); /* "running", "stopped", "failed", "busy" */
bvi_json *bvi_node_json(const bvi_node *node);     /* the node document; NULL: no memory */
/* Remembers why the node is failed (NULL: it is not). Not saved here. */
void bvi_node_set_problem(bvi_node *node, const bv_error *err);
int bvi_node_load_plugin(bvi_node *node, bv_error **err);
int bvi_node_serve_engine(bvi_node *node, bv_error **err); /* idempotent */
/* What an environment for plugins and an engine service need, see node_plugin.c and node_engine.c. */
void bvi_node_plugin_env(bvi_node *node, bvi_plugin_env *env);
int bvi_node_open_source(void *data, const char *store_key, bvi_chunk_source **ret_source, bv_error **err);
/* A step: waits until a container runtime has been found to work. */
int bvi_node_choose_runtime(bvi_node *node, bv_error **err);
/* Scheduled calls, node_tasks.c. */
int bvi_node_begin_tasks(bvi_node *node, bv_error **err);
int bvi_node_add_task(bvi_node *node, const char *name, const char *schedule, const char *function, const char *param,
                      bv_error **err);
int bvi_node_delete_task(bvi_node *node, const char *name, bv_error **err);
/* Is there a complete version of the node's snapshot? */
void bvi_node_has_archive(bvi_node *node, void (*done)(bool has, const bv_error *err, void *data), void *data);

/* The sequences of work, each a table of steps (node_create.c, node_start.c, ...). */
extern const bvi_sequence bvi_create_sequence;
extern const bvi_sequence bvi_attach_sequence;
extern const bvi_sequence bvi_start_sequence;
extern const bvi_sequence bvi_stop_sequence;
extern const bvi_sequence bvi_restart_sequence;
extern const bvi_sequence bvi_delete_sequence;

/* Removes a deleted node from the registry and frees it. */
void bvi_manager_forget(bvi_manager *manager, bvi_node *node);
bvi_node *bvi_manager_find(bvi_manager *manager, const char *id_or_name);
int bvi_manager_register(bvi_manager *manager, bvi_node *node, bv_error **err);
/* Brings a node to its expected status after a pause that grows with its failures; called when something went wrong. */
void bvi_node_recover_later(bvi_node *node);

/* Calls on one node; each owns its reply. */
void bvi_node_show(bvi_node *node, bvi_reply *reply);
void bvi_node_run(bvi_node *node, const char *method, const char *param, bvi_reply *reply);
void bvi_node_capabilities(bvi_node *node, bvi_reply *reply);
void bvi_node_exec(bvi_node *node, bvi_reply *reply);
void bvi_node_upload(bvi_node *node, bvi_reply *reply);
void bvi_node_job_call(bvi_node *node, const char *method, const bvi_json *args, bvi_reply *reply);
void bvi_node_job_logs(bvi_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_log_reader_cancel(void *reader);
/* Job documents from the agent's job infos; NULL: no memory. */
bvi_json *bvi_node_job_json(const char *name, const bvi_json *info);
bvi_json *bvi_node_jobs_json(const bvi_json *infos);
/* The document of the latest version of a key; `done` owns the snapshot. */
int bvi_manager_latest_snapshot(bvi_manager *manager, const char *key,
                                void (*done)(const bv_error *err, bvi_json *snapshot, void *data), void *data,
                                bv_error **err);
void bvi_manager_create(bvi_manager *manager, const bvi_json *args, bvi_reply *reply);

#endif
