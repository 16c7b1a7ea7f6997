/*
 * path.h - relative paths of archive files: which are allowed, and their order.
 */
#ifndef BVI_TRANSFER_PATH_H
#define BVI_TRANSFER_PATH_H

#include "transfer/chunk.h"

/* Component by component, bytes within a component: "d" < "d/x" < "d.a". A directory's content
 * follows it directly. */
int bvi_target_path_compare(const char *a, const char *b);
/* Is `path` a file below the directory `dir`? */
bool bvi_target_path_is_below(const char *path, const char *dir);

#endif
