/*
 * oci_box.h - one container from root to first process, step by step; blocking, run in a worker by
 * oci.c.
 *
 * Every function may be interrupted by a crash at any point, and the next one puts things right:
 * what was intended is in container.json before it happens, a lock lives as long as any runtime
 * works on the node, and a process is only believed to be the node's when the kernel says that it
 * is in the node's control group.
 */
#ifndef BVI_RUNTIME_OCI_BOX_H
#define BVI_RUNTIME_OCI_BOX_H

#include "runtime/oci_cgroup.h"
#include "runtime/oci_record.h"
#include "runtime/oci_runtime.h"

/* What is the same for all containers of a driver. Never changed while a worker may look at it. */
typedef struct bvi_oci_env {
    char *state_dir;
    char *init_path;
    char *cgroup_parent;
    bvi_cgroups cgroups;
} bvi_oci_env;

/* Finds the first process of a container, whoever started it, and whatever is or is not recorded:
 * ret_proc->pid is 0 when none lives. Waits a moment when a runtime is at work; BV_E_BUSY when it
 * does not come to an end. *ret_known tells whether there is anything of this container. */
int bvi_oci_box_find(const bvi_oci_env *env, const bvi_container_spec *spec, bvi_proc_id *ret_proc,
                     bool *ret_known, bv_error **err);
int bvi_oci_box_prepare(const bvi_oci_env *env, const bvi_container_spec *spec, bv_error **err);
/* Nothing may run. ret_pidfd is the caller's. */
int bvi_oci_box_start(const bvi_oci_env *env, const bvi_oci_runtime *rt,
                      const bvi_container_spec *spec, bvi_proc_id *ret_proc, int *ret_pidfd,
                      bv_error **err);
/* Runs a container to its end; its first process must end with status 0. */
int bvi_oci_box_run(const bvi_oci_env *env, const bvi_oci_runtime *rt,
                    const bvi_container_spec *spec, bv_error **err);
/* After the first process ended, or to end it: nothing of the container but its root remains. */
int bvi_oci_box_clear(const bvi_oci_env *env, const bvi_container_spec *spec, bv_error **err);
int bvi_oci_box_unmount(const bvi_oci_env *env, const bvi_container_spec *spec, bv_error **err);
int bvi_oci_box_remove(const bvi_oci_env *env, const bvi_container_spec *spec, bv_error **err);
/* Cuts the log of a running container that has become too large; the last part is put aside. What
 * goes wrong is tried again at the next call. Quick: callable from the loop. */
void bvi_oci_box_trim_console(const char *node_dir);
/* "<cgroup_parent>/<id>"; NULL: no memory. */
char *bvi_oci_box_group(const bvi_oci_env *env, const char *id);

/* Runs `init_path --self-test` as a container with the very options nodes get; remembered in
 * state_dir for this boot and these two programs. */
int bvi_oci_box_self_test(const bvi_oci_env *env, const bvi_oci_runtime *rt, bv_error **err);

#endif
