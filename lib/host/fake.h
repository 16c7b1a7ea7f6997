/*
 * fake.h - the parts of a host in memory, shared by conn_fake.c and the fake_*.c files. Nobody else
 * includes it.
 *
 * The fake host takes the whole table of calls, makes the same documents and refuses the same
 * things as the local one, and needs no privileges: tests, examples and bindings run against it.
 * Its nodes have one service, "chain", which counts blocks by the context's clock. Work that takes
 * time on a real host takes `delay_ms` here.
 */
#ifndef BVI_HOST_FAKE_H
#define BVI_HOST_FAKE_H

#include "host/conn.h"
#include "image/image_meta.h"
#include "job/job_status.h"
#include "node/manager.h"
#include "node/node_state.h"
#include "transfer/store.h"

#define BVI_FAKE_IMAGES_MAX    1024u
#define BVI_FAKE_JOBS_MAX      64u /* of one node */
#define BVI_FAKE_SNAPSHOTS_MAX 65536u
#define BVI_FAKE_WAITING_MAX   64u /* callers waiting for one piece of work */
#define BVI_FAKE_READERS_MAX   256u
#define BVI_FAKE_LOG_MAX       (256u * 1024u) /* bytes a job keeps */
#define BVI_FAKE_DELAY_MS_MAX  3600000

/* The image that is there from the start. */
#define BVI_FAKE_IMAGE "fake/fake-main:1.0.0"

typedef struct bvi_fake bvi_fake;
typedef struct bvi_fake_node bvi_fake_node;
typedef struct bvi_fake_work bvi_fake_work;
typedef struct bvi_fake_reader bvi_fake_reader;

typedef struct bvi_fake_image {
    char *id;
    char *name;
    char *source;
    int64_t created_us;
    bvi_image_meta *meta;
} bvi_fake_image;

typedef struct bvi_fake_job {
    char *name;
    bvi_job_state state;
    int32_t exit_code; /* finished */
    int64_t changed_ms;
    unsigned restarts;
    bvi_buf log;
    uint64_t log_start; /* position of the first byte that is still kept */
} bvi_fake_job;

struct bvi_fake_node {
    bvi_fake *fake;
    bvi_node_state state;
    pid_t pid;                    /* 0: not running */
    bvi_fake_work *work;          /* start, stop, restart or delete; NULL: not busy */
    BVI_VEC(bvi_fake_job *) jobs; /* ordered by name */
    uint64_t height;
    int64_t block_us; /* when the last block came, monotonic */
};

struct bvi_fake {
    bvi_conn base;
    bvi_events *events;
    int64_t delay_us;
    pid_t next_pid;
    int64_t opened_us;
    BVI_VEC(bvi_fake_image *) images; /* ordered by name, then creation */
    BVI_VEC(bvi_fake_node *) nodes;   /* ordered by name */
    BVI_VEC(bvi_snapshot_info) snapshots;
    BVI_VEC(bvi_fake_work *) works;
    BVI_VEC(bvi_fake_reader *) readers;
};

/* ---- fake_work.c: what takes time ---- */

typedef struct bvi_fake_work_kind {
    const char *name;  /* "start" */
    const char *phase; /* of its progress; NULL: none is reported */
    bool is_dropped;   /* when nobody waits for it any more; else it goes on */
    /* At the end: the answer, or NULL with *err, or NULL without (no memory). Node work has left
     * node->work already. */
    bvi_json *(*finish)(bvi_fake_work *work, bv_error **err);
} bvi_fake_work_kind;

struct bvi_fake_work {
    bvi_fake *fake;
    bvi_fake_node *node; /* whose work it is; NULL: the host's */
    const bvi_fake_work_kind *kind;
    bvi_timer *timer;
    unsigned step;     /* of BVI_FAKE_WORK_STEPS */
    char *text, *name; /* what it is about, as its kind wants */
    uint64_t number;
    uint64_t total_bytes; /* for progress */
    BVI_VEC(struct bvi_fake_waiter *) waiting;
};

#define BVI_FAKE_WORK_STEPS 4u

/* Begins work and lets a caller wait for it; owns reply, which is failed when it cannot begin (NULL
 * is returned). */
bvi_fake_work *bvi_fake_work_begin(bvi_fake *fake, bvi_fake_node *node,
                                   const bvi_fake_work_kind *kind, bvi_reply *reply);
void bvi_fake_work_join(bvi_fake_work *work, bvi_reply *reply); /* owns reply */
/* Ends it early: those waiting hear of it. The work is gone. */
void bvi_fake_work_abort(bvi_fake_work *work, const char *why);

/* ---- fake_images.c ---- */

int bvi_fake_images_init(bvi_fake *fake, bv_error **err);
void bvi_fake_images_done(bvi_fake *fake);
const bvi_fake_image *bvi_fake_image_find(const bvi_fake *fake, const char *key);
void bvi_fake_image_list(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
void bvi_fake_image_import(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
void bvi_fake_image_remove(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);

/* ---- fake_nodes.c ---- */

int bvi_fake_nodes_populate(bvi_fake *fake, uint64_t count, bv_error **err);
void bvi_fake_nodes_done(bvi_fake *fake);
bvi_fake_node *bvi_fake_node_find(bvi_fake *fake, const char *id_or_name);
bvi_json *bvi_fake_node_counts(bvi_fake *fake);
void bvi_fake_node_list(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_create(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_show(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_start(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_update(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_reload(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_stop(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_restart(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_delete(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_exec(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);

/* ---- fake_jobs.c ---- */

/* Brings the chain up to the present; before every look at a node. */
void bvi_fake_node_catch_up(bvi_fake_node *node);
/* The jobs of a node that has just started; 0 or BV_E_NOMEM. */
int bvi_fake_jobs_start(bvi_fake_node *node);
void bvi_fake_jobs_stop(bvi_fake_node *node);
void bvi_fake_jobs_done(bvi_fake_node *node);
/* A job that ran once, or runs; made when it is new. NULL: no memory. */
bvi_fake_job *bvi_fake_job_make(bvi_fake_node *node, const char *name);
void bvi_fake_job_set(bvi_fake_node *node, bvi_fake_job *job, bvi_job_state state);
void bvi_fake_job_print(bvi_fake_job *job, const char *fmt, ...) BV_PRINTF(2, 3);
bvi_json *bvi_fake_jobs_json(bvi_fake_node *node); /* the list; NULL: no memory */
void bvi_fake_job_call(bvi_fake_node *node, bvi_call_id id, const bvi_json *args, bvi_reply *reply);
void bvi_fake_job_logs(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
/* All readers (node NULL), or those of a node. */
void bvi_fake_readers_end(bvi_fake *fake, const bvi_fake_node *node);

/* ---- fake_plugin.c ---- */

/* Answers of the plugin that a node document shows; 0 or BV_E_NOMEM. */
int bvi_fake_plugin_put(bvi_fake_node *node, bvi_json *document);
/* What was collected from it; NULL: nothing, as it does not run. */
bvi_json *bvi_fake_plugin_metrics(const bvi_fake_node *node);
void bvi_fake_node_run(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_check(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_tasks(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
void bvi_fake_node_capabilities(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);

/* ---- fake_snapshots.c ---- */

void bvi_fake_snapshot_list(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
void bvi_fake_snapshot_download(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
void bvi_fake_snapshot_verify(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
void bvi_fake_snapshot_diff(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
void bvi_fake_snapshot_prune(bvi_fake *fake, const bvi_json *args, bvi_reply *reply);
void bvi_fake_snapshot_upload(bvi_fake_node *node, const bvi_json *args, bvi_reply *reply);
/* The method of that name: begins the upload and answers. */
void bvi_fake_snapshot_run_upload(bvi_fake_node *node, bvi_reply *reply);

#endif
