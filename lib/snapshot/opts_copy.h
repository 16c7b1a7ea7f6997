/*
 * opts_copy.h - copies of the texts and lists in a public options struct, for an operation that
 * outlives the call it was started by. Used by transfer_api.c and store_api.c.
 */
#ifndef BVI_SNAPSHOT_OPTS_COPY_H
#define BVI_SNAPSHOT_OPTS_COPY_H

#include "base/error.h"
#include "base/vec.h"

#define BVI_OPTS_TEXTS_MAX 65536u /* texts of one options struct, items of lists included */

/* What the copies live in. Zeroed is empty. */
typedef struct bvi_opts_copy {
    bvi_strv texts;
    BVI_VEC(const char **) lists;
} bvi_opts_copy;

void bvi_opts_copy_init(bvi_opts_copy *copy);
void bvi_opts_copy_done(bvi_opts_copy *copy);
/* A public struct into ours, which is as new as it gets: what an older program did not know is 0.
 * `least` is the size of the oldest. */
int bvi_opts_take(void *to, size_t size, const void *from, size_t least, bv_error **err);
/* Replace what they point to by a copy; NULL stays. */
int bvi_opts_copy_text(bvi_opts_copy *copy, const char **text, bv_error **err);
int bvi_opts_copy_list(bvi_opts_copy *copy, const char *const **list, bv_error **err);

#endif
