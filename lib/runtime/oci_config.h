/*
 * oci_config.h - the config.json of a container: a node's spec in the words of the OCI runtime
 * specification. Pure.
 */
#ifndef BVI_RUNTIME_OCI_CONFIG_H
#define BVI_RUNTIME_OCI_CONFIG_H

#include "base/json.h"
#include "runtime/driver.h"

/* Open files a node may have where the host's hard limit allows so many. */
#define BVI_OCI_NOFILE_WANTED 1048576u

/* What the spec does not say: facts about this host. */
typedef struct bvi_oci_config_facts {
    const char *root;      /* root_dir without symbolic links, as runc insists */
    const char *group;     /* control group, "blockvisor/<id>" */
    uint64_t nofile_hard;  /* current hard limit; never raised */
    bool cgroup_ns;        /* the kernel has control group namespaces */
    bool seccomp;          /* the kernel has filters of system calls */
    const bvi_bind *binds; /* further ones, after the spec's */
    size_t bind_count;
} bvi_oci_config_facts;

int bvi_oci_config_make(const bvi_container_spec *spec, const bvi_oci_config_facts *facts,
                        bvi_json **ret_config, bv_error **err);

#endif
