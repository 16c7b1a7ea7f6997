/*
 * node_paths.h - where things are on the host: upstream's layout (spec host.md 2) below one root
 * directory.
 */
#ifndef BVI_NODE_PATHS_H
#define BVI_NODE_PATHS_H

#include "base/error.h"

typedef struct bvi_host_paths {
    char *root;          /* "" for the machine itself, so that paths join without "//" */
    char *var_dir;       /* <root>/var/lib/blockvisor */
    char *nodes_dir;     /* .../nodes */
    char *images_dir;    /* .../images */
    char *snapshots_dir; /* .../snapshots, the embedded store */
    char *run_dir;       /* <root>/run/blockvisor */
    char *secrets;       /* <root>/etc/blockvisor/secrets.json: for all nodes */
    char *limits;        /* .../transfer-limits.json */
    char *events_seq;    /* .../events.seq: numbers of events that may have been given out */
    char *lock;          /* .../host.lock, held by the process that runs this root */
} bvi_host_paths;

/* root: an absolute path; "/" is the machine itself. */
int bvi_host_paths_init(bvi_host_paths *paths, const char *root, bv_error **err);
void bvi_host_paths_done(bvi_host_paths *paths);

typedef struct bvi_node_paths {
    char *dir;           /* <nodes>/<uuid> */
    char *state;         /* state.json */
    char *plugin_data;   /* plugin.data */
    char *plugin_config; /* plugin_config.json */
    char *secrets;       /* secrets.json: what its plugin keeps secret */
    char *rootfs;        /* rootfs, the merged root */
    char *data;          /* data, bound to /blockjoy */
    char *run;           /* run, bound to /run/blockvisor */
    char *agent_socket;  /* run/babel.socket */
    char *engine_socket; /* run/engine.socket */
    char *env_file;      /* rootfs/var/lib/babel/node_env */
    char *jobs_dir;      /* rootfs/var/lib/babel/jobs */
    char *data_lock;     /* data/.protocol_data.lock */
} bvi_node_paths;

int bvi_node_paths_init(bvi_node_paths *paths, const char *nodes_dir, const char *id,
                        bv_error **err);
void bvi_node_paths_done(bvi_node_paths *paths);

#endif
