/*
 * staged.h - files that a node put into its staging directory, on their way into a directory store.
 *
 * The staging directory is the node's to fill, hence never trusted: below it everything is reached
 * through descriptors and links are not followed. The node may hold a staged file open for writing,
 * so the store gets a file that was never the node's. Blocking; for workers.
 */
#ifndef BVI_NODE_STAGED_H
#define BVI_NODE_STAGED_H

#include "base/error.h"

/* A directory below `top`, made with `make` when it is missing. */
int bvi_staged_open_dir(const char *top, const char *relative, bool make, int *ret_fd,
                        bv_error **err);
/* Opens a staged file for reading, without following links or waiting for a pipe; it is a plain
 * file of its own and has `size` bytes. */
int bvi_staged_open(int dir, const char *name, uint64_t size, int *ret_fd, bv_error **err);
/* A whole, durable file of our own under that name, or nothing. With a BLAKE3 the copy has it. */
int bvi_staged_copy(int store, int from, const char *name, uint64_t size, const uint8_t *digest,
                    bv_error **err);

#endif
