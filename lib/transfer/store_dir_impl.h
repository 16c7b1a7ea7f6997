/*
 * store_dir_impl.h - the inside of the directory store, shared by its two files: store_dir.c has
 * requests and objects, store_dir_versions.c versions, reservations, listing and pruning.
 */
#ifndef BVI_TRANSFER_STORE_DIR_IMPL_H
#define BVI_TRANSFER_STORE_DIR_IMPL_H

#include "io/work.h"
#include "transfer/store.h"

/* A reservation this process holds. */
typedef struct bvi_held_lock {
    char *dir; /* "<store_key>/<version>" */
    int fd;
} bvi_held_lock;

typedef struct bvi_store_dir {
    bvi_store store;
    char *root;
    int root_fd;
    BVI_VEC(bvi_held_lock) locks; /* only touched on the context's thread */
} bvi_store_dir;

typedef BVI_VEC(uint64_t) bvi_version_list;

/* One request on its way through a worker. */
typedef struct bvi_dir_call {
    bvi_work work;
    bvi_store_dir *store;
    bvi_store_fn done;
    void *data;
    bvi_store_verb verb;
    char *key;
    char *store_key;
    char *lease;
    uint64_t version;
    uint64_t max_age_secs;
    size_t max;
    const char *bytes_in;
    size_t len_in;
    int held_fd; /* RESERVE: the lock this process holds on the version asked for, or -1 */
    /* results */
    bv_error *err;
    char *bytes;
    size_t len;
    uint64_t size;
    int lock_fd; /* RESERVE: a lock just taken, -1 for none */
    bvi_version_list versions;
    BVI_VEC(bvi_snapshot_info) infos;
} bvi_dir_call;

/* What requests do on the worker. */
int bvi_dir_run_versions(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_reserve(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_release(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_list(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_prune(bvi_dir_call *c, bv_error **err);

#endif
