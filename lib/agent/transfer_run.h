/*
 * transfer_run.h - one run of babel_transfer, shared by its files: transfer_main.c has options,
 * verbs and archives, transfer_snapshot.c what is new with snapshots.
 */
#ifndef BVI_AGENT_TRANSFER_RUN_H
#define BVI_AGENT_TRANSFER_RUN_H

#include <blockvisor/transfer.h>

#include "agent/engine_store.h"
#include "agent/guest_run.h"
#include "base/json.h"
#include "base/protect.h"
#include "transfer/chunk_source.h"
#include "transfer/space.h"

typedef struct bvi_transfer_args {
    const char *verb;
    const char *job_dir;
    const char *engine_socket;
    const char *data_dir;
    const char *meta_dir;
    const char *data_lock; /* NULL: not looked at */
    const char *options;   /* JSON, the names of a job's configuration (babel.md 6.2) */
} bvi_transfer_args;

typedef struct bvi_transfer_options {
    bvi_json *root;
    const char *store_key; /* NULL: the node's own archive */
    uint64_t max_connections;
    uint64_t max_runners;
    uint64_t number_of_chunks;
    uint64_t url_expires_secs;
    uint64_t data_version;
    bool compress;
    int64_t zstd_level;
    const char **exclude;    /* up to a NULL; borrowed strings */
    const bvi_json *clients; /* [{name, data_dir, store_key}] */
} bvi_transfer_options;

/* What one transfer works on. */
typedef struct bvi_transfer_target {
    const char *data_dir;
    const char *meta_dir;
    const char *store_key; /* NULL: the node's own archive */
} bvi_transfer_target;

/* What the host said about it. */
typedef struct bvi_transfer_facts {
    bvi_store_format format;
    uint64_t data_version; /* 0: the latest, or the next */
    char *store_key;       /* as it is in the store; NULL: the host does not know snapshots */
    bvi_strv protect;      /* patterns */
} bvi_transfer_facts;

typedef struct bvi_transfer_run {
    bvi_guest_run guest;
    const bv_guest_opts *guest_opts;
    bvi_transfer_args args;
    bvi_transfer_options options;
    bvi_transfer_target target;
    bvi_space space;
    bv_transfer_status last;
    bvi_timer *share_timer; /* asks for our share of the host's limits again */
    bool share_asked;
    bool ended;
    bvi_transfer_facts facts;
    char label[64]; /* the unit of progress: "chunks", "chunks (client 2 of 3)" */
    bvi_store *store;
    bvi_chunk_source *source;
    bv_op *op;
    char *progress_path;
    char *message_path;
    int64_t written_us; /* when progress was written last; 0: never */
    bv_error *err;      /* how the transfer ended */
    bool stopped;
} bvi_transfer_run;

/* Below a target's meta_dir; "job cleanup" removes them. */
#define BVI_SNAPSHOT_DOWNLOAD_STATE "download.snapshot"
#define BVI_SNAPSHOT_UPLOAD_STATE   "upload.snapshot"

/* Runs the context until the host has told the facts of the target. */
int bvi_transfer_ask_facts(bvi_transfer_run *run, bool upload, bv_error **err);
/* From now on the host is asked now and then what this job may use. */
int bvi_transfer_share_start(bvi_transfer_run *run, bv_error **err);
void bvi_transfer_share_stop(bvi_transfer_run *run); /* runs the context if a question is open */
void bvi_transfer_facts_done(bvi_transfer_facts *facts);
/* An interrupted download of a snapshot goes on, whatever has become the latest version. */
bool bvi_transfer_has_snapshot_begun(const bvi_transfer_target *target);

int bvi_transfer_start_snapshot_download(bvi_transfer_run *run, bv_error **err);
int bvi_transfer_start_snapshot_upload(bvi_transfer_run *run, bv_error **err);
/* Callbacks of all transfers. */
void bvi_transfer_run_status(bv_op *op, const bv_transfer_status *status, void *data);
void bvi_transfer_run_ended(bv_op *op, const bv_error *err, const bv_transfer_status *status,
                            void *data);
/* `exclude` of the options and what is protected, up to a NULL, to be freed; strings borrowed. */
const char **bvi_transfer_patterns(const bvi_transfer_run *run);

#endif
