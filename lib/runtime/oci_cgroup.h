/*
 * oci_cgroup.h - the control groups of a container, on version 2 and on hybrid or version 1 hosts.
 *
 * A group is named by its path below the hierarchies' mount points, without a leading slash:
 * "blockvisor/<id>". The OCI runtime makes it and sets its limits; this side reads its use, finds
 * its processes, kills and removes it. Blocking, but only kernel memory is behind it; any thread.
 */
#ifndef BVI_RUNTIME_OCI_CGROUP_H
#define BVI_RUNTIME_OCI_CGROUP_H

#include "runtime/driver.h"

/* Hierarchies on one host: one for each version 1 controller, and the unified one. */
#define BVI_CGROUP_MOUNTS_MAX 64u

typedef struct bvi_cgroups {
    char *unified; /* where version 2 is mounted; NULL */
    char *memory;  /* where these version 1 controllers are mounted; NULL */
    char *cpuacct;
    char *pids;
    bvi_strv all; /* every hierarchy's mount point, the unified one first */
} bvi_cgroups;

/* From the text of /proc/mounts. */
int bvi_cgroups_parse(const char *mounts, bvi_cgroups *ret_cgroups, bv_error **err);
int bvi_cgroups_detect(bvi_cgroups *ret_cgroups, bv_error **err);
void bvi_cgroups_done(bvi_cgroups *cgroups);

/* Version 2 exists beside version 1 controllers. */
bool bvi_cgroups_is_hybrid(const bvi_cgroups *cgroups);

int bvi_cgroup_stats(const bvi_cgroups *cgroups, const char *group, bvi_container_stats *ret_stats,
                     bv_error **err);
/* How often the kernel killed a process of the group for its memory limit; 0 when it cannot be
 * told. */
uint64_t bvi_cgroup_oom_kills(const bvi_cgroups *cgroups, const char *group);
/* Whether a process belongs to the group or to one below it. */
bool bvi_cgroup_has(const char *group, pid_t pid);
/* The process that is number 1 in its own process namespace; 0 when there is none. */
pid_t bvi_cgroup_find_init(const bvi_cgroups *cgroups, const char *group);
bool bvi_cgroup_exists(const bvi_cgroups *cgroups, const char *group);
/* Kills whatever is left and waits, a few seconds at most, until the group is empty. Missing is
 * fine. */
int bvi_cgroup_kill(const bvi_cgroups *cgroups, const char *group, bv_error **err);
/* Removes the group and those below it everywhere. Missing is fine. */
int bvi_cgroup_remove(const bvi_cgroups *cgroups, const char *group, bv_error **err);

#endif
