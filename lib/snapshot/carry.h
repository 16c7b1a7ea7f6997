/*
 * carry.h - bytes of chunks between memory and files: writing what was fetched, reading what may be
 * there already. One step of a worker each; nothing is written before its hash was found right.
 */
#ifndef BVI_SNAPSHOT_CARRY_H
#define BVI_SNAPSHOT_CARRY_H

#include <stdatomic.h>

#include "snapshot/dest.h"
#include "snapshot/frame.h"
#include "snapshot/layout.h"
#include "sys/direct.h"

#define BVI_CARRY_CHUNKS_MAX 512u /* in one step */

typedef enum bvi_carry_result {
    BVI_CARRY_NOTHING, /* not dealt with */
    BVI_CARRY_WRITTEN,
    BVI_CARRY_PRESENT, /* was there */
    BVI_CARRY_SEEDED,  /* taken from another directory */
    BVI_CARRY_ABSENT,  /* is not here, or is something else: to be fetched */
    BVI_CARRY_BAD,     /* what was fetched is wrong */
} bvi_carry_result;

typedef struct bvi_carry {
    /* given */
    const bvi_layout *plan;
    const bvi_dest *dest; /* NULL: nothing is written */
    const bvi_dest *seeds;
    size_t n_seeds;
    const atomic_bool *stopping;
    /* chunks of the plan, at most BVI_CARRY_CHUNKS_MAX; one result for each */
    const uint32_t *chunks;
    uint8_t *results;
    uint32_t n;
    /* For one plain chunk: the largest of them, and BVI_DIRECT_ALIGN more. */
    uint8_t *room;
} bvi_carry;

/* Must a chunk's bytes have room besides those that were read? */
static inline bool bvi_carry_needs_room(const bvi_snap_frame *frame)
{
    return frame->codec != BVI_SNAP_STORED;
}

/*
 * The frames of the chunks lie in `stored`, whose first byte is at `offset` of their pack, and
 * which has room for BVI_DIRECT_ALIGN bytes before it; what lies there is moved about. A chunk that
 * is wrong is marked BAD, its error is kept in *ret_bad (the first one) and the others go on.
 */
int bvi_carry_write(bvi_carry *carry, bvi_frame_unpacker *unpacker, uint8_t *stored,
                    uint64_t offset, bv_error **ret_bad, bv_error **err);
/* Looks for the chunks in their files, then in the seeds, from where they are copied. */
int bvi_carry_look(bvi_carry *carry, bv_error **err);

#endif
