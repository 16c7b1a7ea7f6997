/*
 * run_snapshot.h - one snapshot download or verification from a directory that is a store, from its
 * start to its end.
 */
#ifndef RUN_SNAPSHOT_H
#define RUN_SNAPSHOT_H

#include "bvt.h"
#include "snapshot/download.h"

typedef struct snap_run {
    bvi_snap_download_opts opts; /* store, key, directories are filled in when missing */
    void (*hook)(const bv_transfer_status *status); /* optional; at each report */
    uint64_t cancel_at; /* cancels when bytes_done reaches it; 0: never */
    /* how it ended */
    bool done;
    int code;
    int errnum;
    char text[4096];
    bv_transfer_status status;
    unsigned differs;
    char differs_path[256]; /* the last one */
} snap_run;

/* The state directory is "<dir>.state". Returns the code. */
int run_snapshot(unsigned workers, const char *store, const char *dir, snap_run *run);

#endif
