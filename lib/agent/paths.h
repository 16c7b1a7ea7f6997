/*
 * paths.h - where things are in a node, as the agent and its helper programs see them.
 *
 * One struct, built once from a prefix: "" inside a node, a temporary directory when the agent runs
 * as an ordinary process in tests. lib/node uses the constants for the mounts it makes.
 */
#ifndef BVI_AGENT_PATHS_H
#define BVI_AGENT_PATHS_H

#include "base/error.h"

/* Mounts the host makes. */
#define BVI_NODE_BUNDLE_DIR                                                                        \
    "/opt/blockvisor/agent" /* read-only: the bundle's root with `current` */
#define BVI_NODE_STORE_DIR                                                                         \
    "/opt/blockvisor/store" /* read-only: one store key's tree, for directory stores */
#define BVI_NODE_UPLOAD_DIR                                                                        \
    "/opt/blockvisor/upload" /* read-write: staging of uploads to a directory store */
#define BVI_NODE_RUN_DIR  "/run/blockvisor" /* <node_dir>/run */
#define BVI_NODE_DATA_DIR "/blockjoy"       /* <node_dir>/data */

/* Programs, relative to the bundle's `current`. */
#define BVI_BUNDLE_AGENT     "bin/babel"
#define BVI_BUNDLE_TRANSFER  "bin/babel_transfer"
#define BVI_BUNDLE_RUNNER    "bin/babel_job_runner" /* static */
#define BVI_BUNDLE_INIT      "bin/babel_init"       /* static; the first process of the container */
#define BVI_BUNDLE_LOADER    "lib/ld.so"
#define BVI_BUNDLE_LIBRARIES "lib"
#define BVI_BUNDLE_CA_FILE   "etc/ca-certificates.crt" /* for nodes that have none of their own */

/* Names inside BVI_NODE_RUN_DIR, thus also inside <node_dir>/run. */
#define BVI_AGENT_SOCKET_NAME  "babel.socket"
#define BVI_ENGINE_SOCKET_NAME "engine.socket"

typedef struct bvi_agent_paths {
    char *root;   /* the prefix, or "/" */
    char *bundle; /* /opt/blockvisor/agent/current */
    char *loader; /* in the bundle; missing when the programs are started directly (tests) */
    char *libraries;
    char *runner;
    char *transfer;
    char *ca_file;
    char *run_dir;
    char *agent_socket;
    char *engine_socket;
    char *conf;        /* /etc/babel.conf */
    char *post_setup;  /* /var/lib/babel/post_setup.sh */
    char *jobs_dir;    /* /var/lib/babel/jobs */
    char *data_dir;    /* /blockjoy */
    char *data_lock;   /* /blockjoy/.protocol_data.lock */
    char *archive_dir; /* /blockjoy/.babel_jobs */
} bvi_agent_paths;

/* prefix: "" or an absolute path without a trailing slash. bundle: NULL for the default place. */
int bvi_agent_paths_init(bvi_agent_paths *paths, const char *prefix, const char *bundle,
                         bv_error **err);
void bvi_agent_paths_done(bvi_agent_paths *paths);

#endif
