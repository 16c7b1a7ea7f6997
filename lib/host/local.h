/*
 * local.h - the parts of a local host, shared by conn_local.c and local_snapshots.c.
 */
#ifndef BVI_HOST_LOCAL_H
#define BVI_HOST_LOCAL_H

#include "agent/paths.h"
#include "host/conn.h"
#include "node/manager.h"

/* Downloads and verifications under way at once. */
#define BVI_LOCAL_TRANSFERS_MAX 64u

typedef struct bvi_local_transfer bvi_local_transfer;

typedef struct bvi_local {
    bvi_conn base;
    bvi_host_paths paths;
    int lock_fd;
    char *agent_dir;
    char *store_uri;
    const char *store_dir; /* inside store_uri; NULL unless it is a directory */
    char *host_name;
    bvi_driver *driver; /* the manager's, once there is one */
    bvi_image_store *images;
    bvi_snapshots *snapshots;
    bvi_events *events;
    bvi_manager_opts manager_opts;
    bvi_manager *manager;
    BVI_VEC(bvi_local_transfer *) transfers;
    uint64_t transfer_retries; /* of all that have ended */
} bvi_local;

void bvi_local_snapshot_list(bvi_local *local, const bvi_json *args, bvi_reply *reply);
void bvi_local_snapshot_download(bvi_local *local, const bvi_json *args, bvi_reply *reply);
void bvi_local_snapshot_verify(bvi_local *local, const bvi_json *args, bvi_reply *reply);
void bvi_local_snapshot_diff(bvi_local *local, const bvi_json *args, bvi_reply *reply);
void bvi_local_snapshot_prune(bvi_local *local, const bvi_json *args, bvi_reply *reply);
void bvi_local_end_transfers(bvi_local *local);

#endif
