/*
 * oci_record.h - node_dir/container.json: what is known about a node's container across restarts of
 * the host program.
 *
 * Written before a container is started (the intent) and again when its first process is known.
 * Fields this version does not know survive. A file that cannot be understood is set aside, not
 * trusted and not lost.
 */
#ifndef BVI_RUNTIME_OCI_RECORD_H
#define BVI_RUNTIME_OCI_RECORD_H

#include "base/json.h"
#include "runtime/oci_root.h"
#include "sys/proc.h"

typedef enum bvi_oci_status {
    BVI_OCI_PREPARED, /* the root is ready, nothing runs as far as we did it */
    BVI_OCI_STARTING, /* a runtime was about to be called, or was */
    BVI_OCI_RUNNING,  /* the first process is the one recorded */
} bvi_oci_status;

typedef struct bvi_oci_record {
    bvi_json *fields; /* as read */
    bool exists;      /* there was a file, and it was understood */
    bool was_damaged;
    bool same_boot; /* written since the machine started: pids and mounts mean something */
    bvi_oci_status status;
    char *runtime;     /* program that made the container; "" */
    bvi_root_key root; /* as mounted last; zeroes */
    bvi_proc_id proc;  /* of the first process, when running */
} bvi_oci_record;

/* Missing or damaged gives an empty record: exists is false. */
int bvi_oci_record_load(const char *node_dir, bvi_oci_record *ret_record, bv_error **err);
/* Durable when it returns. */
int bvi_oci_record_save(const char *node_dir, const char *id, bvi_oci_record *record,
                        bv_error **err);
int bvi_oci_record_set_runtime(bvi_oci_record *record, const char *path, bv_error **err);
void bvi_oci_record_done(bvi_oci_record *record);

#endif
