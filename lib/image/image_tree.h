/*
 * image_tree.h - the digest of a directory tree: what an image's id is made from. Blocking; any
 * thread.
 *
 * Covers each entry's path, type, mode, owner, size, content, link target, device number and file
 * capabilities, in the order of the names. Times are left out, so that the same content unpacked
 * twice is the same image.
 */
#ifndef BVI_IMAGE_TREE_H
#define BVI_IMAGE_TREE_H

#include <stdatomic.h>

#include "base/blake3.h"
#include "base/error.h"

/* Shared with whoever watches: the worker writes the counts, the watcher may set cancel. */
typedef struct bvi_tree_progress {
    _Atomic uint64_t files;
    _Atomic uint64_t bytes; /* of file content, hashed so far */
    _Atomic uint64_t total; /* 0 until it is known */
    atomic_bool cancel;
} bvi_tree_progress;

typedef struct bvi_tree_result {
    uint8_t digest[BVI_BLAKE3_SIZE];
    uint64_t files; /* entries of any kind */
    uint64_t bytes;
} bvi_tree_result;

/* BV_E_CANCELLED when asked; BV_E_LIMIT for a tree beyond reason. Symbolic links are not followed.
 */
int bvi_tree_digest(const char *path, bvi_tree_progress *progress, bvi_tree_result *ret_result,
                    bv_error **err);

#endif
