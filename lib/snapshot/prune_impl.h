/*
 * prune_impl.h - the inside of a prune, shared by prune.c (what stays, what goes), prune_mark.c
 * (its mark in the store) and prune_sweep.c (removing).
 */
#ifndef BVI_SNAPSHOT_PRUNE_IMPL_H
#define BVI_SNAPSHOT_PRUNE_IMPL_H

#include "base/id.h"
#include "snapshot/hash_set.h"
#include "snapshot/manifest.h"
#include "snapshot/prune.h"

typedef struct bvi_snap_prune bvi_snap_prune;
typedef void (*bvi_prune_step_fn)(bvi_snap_prune *p);
/* Of an answer without an error. */
typedef void (*bvi_prune_answer_fn)(bvi_snap_prune *p, const bvi_store_reply *reply);

typedef struct bvi_prune_version {
    uint64_t number;
    bool is_snapshot;
    bool stays;
} bvi_prune_version;

struct bvi_snap_prune {
    bv_ctx *ctx;
    bv_op *op;
    bvi_store *store;
    char *store_key;
    uint32_t keep_last;
    BVI_VEC(uint64_t) keep;
    int64_t grace_secs;
    bool dry_run;
    bvi_snap_prune_fn done;
    void *data;
    bvi_snap_prune_report report;
    BVI_VEC(uint64_t) removed;
    bv_error *err; /* why it ends */
    /* the question under way */
    bvi_prune_answer_fn answer;
    bvi_prune_step_fn missing; /* NULL: that there is no such object is an error */
    /* the mark */
    char id[BVI_ID_TEXT_SIZE];
    bvi_buf mark;
    bool marked;
    int64_t marked_us;  /* when, by the clock of the store */
    int64_t started_us; /* by ours */
    int64_t renewed_us; /* monotonic */
    bvi_prune_step_fn marked_next;
    /* what there is */
    int64_t oldest_us; /* start of the first upload under way; INT64_MAX: there is none */
    BVI_VEC(uint64_t) bases;
    BVI_VEC(bvi_prune_version) versions;
    /* what is reached */
    size_t at; /* of versions */
    bvi_snap_manifest *manifest;
    uint32_t page;
    bvi_hash_set pages;
    bvi_hash_set packs;
    /* removing */
    char *prefix;
    char *after;
    bool more;
    bvi_strv doomed;
    size_t doomed_at;
    unsigned removing; /* under way */
    bvi_prune_step_fn swept;
};

/* Ends the prune, after taking back the mark. Owns err. */
void bvi_prune_end(bvi_snap_prune *p, bv_error *err);
/* Asks the store; what went wrong ends the prune. */
void bvi_prune_ask(bvi_snap_prune *p, const bvi_store_request *request, bvi_prune_answer_fn answer,
                   bvi_prune_step_fn missing);

/* prune_mark.c */
void bvi_prune_mark_put(bvi_snap_prune *p, bvi_prune_step_fn next);
/* Goes on with `next` while the mark stands; renews it from time to time. */
void bvi_prune_mark_hold(bvi_snap_prune *p, bvi_prune_step_fn next);
/* Removes it if it is still ours, whatever goes wrong. */
void bvi_prune_mark_remove(bvi_snap_prune *p, bvi_prune_step_fn next);

/* prune_sweep.c */
/* Versions, then packs, then abandoned uploads; ends the prune. */
void bvi_prune_sweep(bvi_snap_prune *p);

#endif
