/*
 * oci_root.h - the root file system of a container: an overlay over its image, or a private copy
 * where the kernel refuses one. Blocking; any thread, one call per node at a time.
 *
 * What the node writes is in node_dir/upper in both cases (a copied root *is* its upper, bound to
 * root_dir), so an upgrade or a rollback moves one directory and does not care which it is.
 */
#ifndef BVI_RUNTIME_OCI_ROOT_H
#define BVI_RUNTIME_OCI_ROOT_H

#include "runtime/driver.h"

/* What a mounted root was made from; equal keys mean that it need not be mounted again. */
typedef struct bvi_root_key {
    uint64_t image_dev, image_ino;
    uint64_t upper_dev, upper_ino;
} bvi_root_key;

/* Brings the root up at root_dir. `mounted` is what the caller remembers of the last time, NULL
 * when it does not. lock_fd stays open in a program that copies, so that the lock lasts as long as
 * it works; -1: none. */
int bvi_oci_root_prepare(const bvi_container_spec *spec, const bvi_root_key *mounted, int lock_fd,
                         bvi_root_key *ret_key, bv_error **err);
/* Makes the place where a bind goes, as a directory or an empty file, never outside of the root. */
int bvi_oci_root_make_point(const char *root_dir, const bvi_bind *bind, bv_error **err);
int bvi_oci_root_unmount(const bvi_container_spec *spec, bv_error **err); /* not mounted is fine */
/* Unmounts, then deletes root_dir and what the node wrote. Missing is fine. */
int bvi_oci_root_remove(const bvi_container_spec *spec, bv_error **err);

#endif
