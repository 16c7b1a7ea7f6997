/*
 * oci_runtime.h - the OCI runtime as a program: finding one, and running its commands. Blocking;
 * any thread.
 */
#ifndef BVI_RUNTIME_OCI_RUNTIME_H
#define BVI_RUNTIME_OCI_RUNTIME_H

#include "runtime/driver.h"

/* A runtime and how it is called here. */
typedef struct bvi_oci_runtime {
    char *path;         /* the program */
    char *root;         /* where it keeps its records: <state_dir>/<base name> */
    bool cover_unified; /* hide the unified hierarchy from it (crun on hybrid hosts) */
} bvi_oci_runtime;

int bvi_oci_runtime_init(bvi_oci_runtime *rt, const char *path, const char *state_dir, bool hybrid,
                         bv_error **err);
int bvi_oci_runtime_copy(bvi_oci_runtime *to, const bvi_oci_runtime *from, bv_error **err);
void bvi_oci_runtime_done(bvi_oci_runtime *rt);
const char *bvi_oci_runtime_name(const bvi_oci_runtime *rt); /* "crun" */

/* The programs to try, best first: the wanted one only (a name or a path), or with NULL or "" crun
 * and runc, those that exist. BV_E_NOT_FOUND says what to install. */
int bvi_oci_runtime_find(const char *wanted, bvi_strv *paths, bv_error **err);

typedef struct bvi_oci_run {
    const char *id;
    const char *bundle;
    const char *pid_file;
    const char *log_file; /* where the runtime says what went wrong */
    int console_fd;       /* stdout and stderr of the first process */
    int lock_fd; /* stays open in the runtime, so that the lock lasts as long as it works; -1 */
    bool detach; /* false: the runtime's exit status is the first process's */
} bvi_oci_run;

/* Creates and starts a container in one go. */
int bvi_oci_runtime_run(const bvi_oci_runtime *rt, const bvi_oci_run *run, bv_error **err);
/* Kills and forgets a container; one it does not know is fine. lock_fd as above. */
int bvi_oci_runtime_delete(const bvi_oci_runtime *rt, const char *id, const char *log_file,
                           int lock_fd, bv_error **err);
/* Argv that runs a command in a container, the container's id last. */
int bvi_oci_runtime_exec_argv(const bvi_oci_runtime *rt, const char *id, bvi_strv *argv,
                              bv_error **err);

#endif
