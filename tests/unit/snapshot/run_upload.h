/*
 * run_upload.h - one snapshot upload of a directory into a directory that is a store, from its
 * start to its end, and whether what is there then is that directory.
 */
#ifndef RUN_UPLOAD_H
#define RUN_UPLOAD_H

#include "bvt.h"
#include "snapshot/upload.h"

typedef struct upload_run upload_run;

struct upload_run {
    bvi_snap_upload_opts opts; /* store, key, directories, codec are filled in when missing */
    uint64_t cancel_at;        /* cancels when bytes_done reaches it; 0: never */
    uint64_t cancel_sent;      /* or stored_done; 0: never */
    bool later;                /* an hour from now, so that all stamps are old enough */
    int64_t clock_ahead;       /* with `later`: seconds more */
    bvt_log *log;              /* optional */
    void (*meddle)(upload_run *run, const bv_transfer_status *status); /* with each report */
    unsigned meddled;                                                  /* its own */
    /* how it ended */
    bool done;
    int code;
    int errnum;
    char text[4096];
    bv_transfer_status status;
};

/* The state directory is "<dir>.up". Returns the code. */
int run_upload_snapshot(unsigned workers, const char *store, const char *dir, upload_run *run);
/* The same, which must work; the version that came of it. */
uint64_t upload_ok(const char *store, const char *dir, upload_run *run);
/* The store's version (0: the latest) of "key" is that directory, all of it. */
void assert_is_snapshot_of(const char *store, uint64_t version, const char *dir);
/* Files below a directory whose names end so. */
size_t count_files(const char *dir, const char *end);

#endif
