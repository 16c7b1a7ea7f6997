/*
 * spool.h - where a packed chunk lies before it is somewhere safe.
 *
 * For an HTTP upload that is a file without a name in the state directory; for a file URL it is the
 * target itself under a temporary name, renamed when it is complete and durable. Blocking; for a
 * worker.
 */
#ifndef BVI_TRANSFER_SPOOL_H
#define BVI_TRANSFER_SPOOL_H

#include "base/error.h"

typedef struct bvi_spool {
    int fd;     /* -1: closed */
    char *path; /* of the target; NULL: without a name */
    char *temp; /* its temporary name */
    uint64_t size;
    uint64_t started; /* writeback was begun up to here */
} bvi_spool;

void bvi_spool_init(bvi_spool *spool);
void bvi_spool_done(bvi_spool *spool); /* removes what was not committed */
int bvi_spool_open_unnamed(bvi_spool *spool, const char *dir, bv_error **err);
int bvi_spool_open_target(bvi_spool *spool, const char *path, bv_error **err);
int bvi_spool_write(bvi_spool *spool, const void *bytes, size_t len, bv_error **err);
int bvi_spool_commit(bvi_spool *spool, bv_error **err); /* of a target: durable, then in place */

#endif
