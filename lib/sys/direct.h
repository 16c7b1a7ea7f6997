/*
 * direct.h - writing much at positions of a file, around the page cache where the file system can.
 *
 * Bulk data that is written once and read much later gains nothing from the cache, and going
 * through it costs a copy and, at the end, a wait for all that was not written back yet: on fast
 * disks half of the time. What is not in whole blocks, or lies in memory unlike it will lie in the
 * file, goes through the cache as ever. Blocking; one thread at a time for each file description.
 */
#ifndef BVI_SYS_DIRECT_H
#define BVI_SYS_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Positions and memory are alike when they leave the same rest by this. */
#define BVI_DIRECT_ALIGN 4096u
/* Less than this is left to the cache. */
#define BVI_DIRECT_MIN (64u * 1024u)

typedef struct bvi_direct {
    bool refused; /* the file system cannot do it */
    bool on;      /* the file description is set to it */
} bvi_direct;

/* Writes everything, and leaves the description able to take any write. 0 or -errno. */
int bvi_direct_write(bvi_direct *state, int fd, const void *bytes, size_t len, uint64_t pos);

/* The first place in `memory` that lies as `pos` does; room of BVI_DIRECT_ALIGN is enough for it.
 */
uint8_t *bvi_direct_place(void *memory, uint64_t pos);

#endif
