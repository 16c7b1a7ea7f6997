/*
 * store_dir_impl.h - the inside of the directory store, shared by its files: store_dir.c has
 * requests, store_dir_objects.c single objects and their listing, store_dir_versions.c versions,
 * listing and pruning, store_dir_reserve.c reservations.
 */
#ifndef BVI_TRANSFER_STORE_DIR_IMPL_H
#define BVI_TRANSFER_STORE_DIR_IMPL_H

#include "io/work.h"
#include "transfer/store.h"

/* Names in one directory of a store. */
#define BVI_DIR_NAMES_MAX (1u << 20)

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
    bvi_store_request req; /* owns its texts */
    int held_fd;     /* RESERVE: the lock this process holds on the version asked for, or -1 */
    int64_t wall_us; /* when the request began */
    /* results */
    bv_error *err;
    char *bytes;
    size_t len;
    uint64_t size;
    uint64_t version;
    bool more;
    int lock_fd; /* RESERVE: a lock just taken, -1 for none */
    bvi_version_list versions;
    BVI_VEC(bvi_snapshot_info) infos;
    BVI_VEC(bvi_store_object) objects; /* keys are owned */
    BVI_VEC(bvi_store_lease) leases;
} bvi_dir_call;

/* What requests do on the worker. */
int bvi_dir_run_get(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_put(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_stat(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_read(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_objects(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_remove(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_versions(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_list(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_prune(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_reserve(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_release(bvi_dir_call *c, bv_error **err);
int bvi_dir_run_leases(bvi_dir_call *c, bv_error **err);

/* ---- shared steps ---- */

int bvi_dir_open(int at_fd, const char *path, int *ret_fd, bv_error **err);
int bvi_dir_open_version(int key_fd, uint64_t version, int *ret_fd, bv_error **err);
/* BVI_STORE_ANY: it is not complete. */
int bvi_dir_format(int version_fd, bvi_store_format *ret_format, bv_error **err);
int bvi_dir_format_of(int key_fd, uint64_t version, bvi_store_format *ret_format, bv_error **err);
/* Calls fn with each name in a directory. */
int bvi_dir_each_name(int dir_fd, const char *what,
                      int (*fn)(const char *name, void *data, bv_error **err), void *data,
                      bv_error **err);
/* All versions of a key, complete or not, ascending. */
int bvi_dir_all_versions(int key_fd, const char *store_key, bvi_version_list *list, bv_error **err);
/* Those of a format that are complete. */
int bvi_dir_complete_versions(int key_fd, const char *store_key, bvi_store_format format,
                              bvi_version_list *list, bv_error **err);
/* Takes the lock of a reservation, unless somebody living has it or it was removed meanwhile. */
bool bvi_dir_lock(int fd);
bool bvi_dir_lease_is_old(int fd, uint64_t max_age_secs);
/* Removes everything of a version but its lock. */
int bvi_dir_wipe_version(int version_fd, const char *store_key, bv_error **err);
/* What an unfinished PUT leaves behind: ".<name>.tmp-<random>". */
bool bvi_dir_is_temporary(const char *name);

#endif
