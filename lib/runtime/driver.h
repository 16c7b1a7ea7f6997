/*
 * driver.h - the one interface to whatever runs a node: an OCI runtime, a fake, later others.
 *
 * A driver knows containers by node id and keeps what it needs to find them again in the spec's
 * node_dir. All calls are asynchronous: they return 0 when started, and `done` is called once from
 * dispatch, with NULL or an error that is valid during the call. At most one call runs per node;
 * the node module sees to that. Nothing here depends on the process that started a container
 * staying alive.
 */
#ifndef BVI_RUNTIME_DRIVER_H
#define BVI_RUNTIME_DRIVER_H

#include <sys/types.h>

#include "base/vec.h"
#include "io/loop.h"

typedef enum bvi_network {
    BVI_NETWORK_HOST, /* the host's network */
    BVI_NETWORK_NONE, /* own namespace with loopback only */
} bvi_network;

typedef enum bvi_container_state {
    BVI_CONTAINER_ABSENT,  /* never created, or deleted */
    BVI_CONTAINER_STOPPED, /* root prepared, no process */
    BVI_CONTAINER_RUNNING, /* its first process lives */
} bvi_container_state;

typedef struct bvi_bind {
    const char *source;      /* host path */
    const char *destination; /* path in the node */
    bool read_only;
} bvi_bind;

/* A file system in memory, mounted after the binds; it counts against the memory limit. */
typedef struct bvi_tmpfs {
    const char *destination; /* path in the node */
    uint64_t size_mb;        /* MiB, as the kernel counts */
} bvi_tmpfs;

/* What to run. Borrowed for the duration of the call that takes it. */
typedef struct bvi_container_spec {
    const char *id; /* node uuid */
    const char *hostname;
    const char *image_root; /* read-only lower directory */
    const char *node_dir;   /* <root>/var/lib/blockvisor/nodes/<uuid> */
    const char *root_dir;   /* <node_dir>/rootfs, where the merged root appears on the host */
    const bvi_bind *binds;
    size_t bind_count;
    const bvi_tmpfs *tmpfs;
    size_t tmpfs_count;
    const char *const *argv; /* first process */
    const char *const *env;  /* "KEY=value" */
    bvi_network network;
    uint64_t memory_bytes; /* 0: no limit */
    double cpus;           /* 0: no limit */
    uint32_t pids;         /* 0: no limit */
} bvi_container_spec;

typedef struct bvi_container_stats {
    uint64_t memory_bytes;
    uint64_t cpu_us;
    uint32_t pids;
} bvi_container_stats;

typedef struct bvi_driver bvi_driver;
typedef void (*bvi_driver_done_fn)(const bv_error *err, void *data);

/* The container's first process ended, or a container thought to run is gone. Not called after
 * stop/kill/remove. */
typedef void (*bvi_driver_exit_fn)(bvi_driver *driver, const char *id, void *data);

typedef struct bvi_driver_vtable {
    const char *name; /* "oci", "fake" */
    void (*free)(bvi_driver *driver);
    /* Chooses and checks what the driver needs (for oci: which runtime passes the self-test). */
    int (*probe)(bvi_driver *driver, bvi_driver_done_fn done, void *data, bv_error **err);
    /* Makes the root ready at root_dir (overlay mount, or a copy) without starting anything.
     * Idempotent. */
    int (*prepare)(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                   void *data, bv_error **err);
    /* Prepares if necessary and starts the first process. A leftover of an earlier start that is
     * dead is cleared. */
    int (*start)(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                 void *data, bv_error **err);
    /* Finds out about a container this process did not start and watches it from now on.
     * Synchronous, quick. */
    int (*attach)(bvi_driver *driver, const bvi_container_spec *spec,
                  bvi_container_state *ret_state, bv_error **err);
    /* Signals the first process (SIGTERM), waits up to timeout_ms, then kills everything in the
     * container. */
    int (*stop)(bvi_driver *driver, const bvi_container_spec *spec, int64_t timeout_ms,
                bvi_driver_done_fn done, void *data, bv_error **err);
    /* Stops at once if running, unmounts, and removes everything the driver made. Missing is fine.
     */
    int (*remove)(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                  void *data, bv_error **err);
    bvi_container_state (*state)(bvi_driver *driver, const char *id);
    pid_t (*pid)(bvi_driver *driver,
                 const char *id); /* first process, host view; 0 when not running */
    int (*stats)(bvi_driver *driver, const char *id, bvi_container_stats *ret_stats,
                 bv_error **err);
    /* Argv prefix that runs a command inside the running container, for `bv node shell`; owned by
     * the caller. */
    int (*exec_argv)(bvi_driver *driver, const char *id, bvi_strv *argv, bv_error **err);
    /* Takes root_dir away (unmounts it) and keeps what the node wrote, so that the caller can move
     * node_dir/upper aside for an upgrade or back for a rollback; prepare or start bring it back.
     * BV_E_STATE while running. */
    int (*unmount)(bvi_driver *driver, const bvi_container_spec *spec, bvi_driver_done_fn done,
                   void *data, bv_error **err);
} bvi_driver_vtable;

/* Every driver starts with this. */
struct bvi_driver {
    const bvi_driver_vtable *vtable;
    bv_ctx *ctx;
    bvi_driver_exit_fn on_exit; /* set by the owner after creation */
    void *on_exit_data;
};

/* runtime: "" or NULL chooses, "crun" / "runc" or a path insists. state_dir: for the runtime's own
 * records, <root>/run/blockvisor/oci. init_path: the static babel_init used for the self-test. All
 * copied. */
typedef struct bvi_oci_opts {
    const char *runtime;
    const char *state_dir;
    const char *init_path;
    const char *cgroup_parent; /* NULL: "blockvisor" */
} bvi_oci_opts;

int bvi_oci_driver_new(bv_ctx *ctx, const bvi_oci_opts *opts, bvi_driver **ret_driver,
                       bv_error **err);
/* In memory. Faults can be scripted: the n-th call of a named operation fails with a code. */
int bvi_fake_driver_new(bv_ctx *ctx, bvi_driver **ret_driver, bv_error **err);
void bvi_fake_driver_fail(bvi_driver *driver, const char *operation, unsigned nth, int code);
void bvi_fake_driver_kill(bvi_driver *driver, const char *id); /* as if the first process died */
/* Never stops a container. A call that still runs is abandoned: its effect may happen, its `done`
 * does not come. */
void bvi_driver_free(bvi_driver *driver);
BVI_DEFINE_FREEP(bvi_driver, bvi_driver_free)

/* For drivers: checks a spec (BV_E_INVALID names the field), and a deep copy that lives as long as
 * a call. */
int bvi_container_spec_check(const bvi_container_spec *spec, bool to_run, bv_error **err);
int bvi_container_spec_copy(const bvi_container_spec *spec, bvi_container_spec **ret_copy,
                            bv_error **err);
void bvi_container_spec_free(
    bvi_container_spec *copy); /* only what bvi_container_spec_copy() made */
BVI_DEFINE_FREEP(bvi_container_spec, bvi_container_spec_free)

#endif
