/*
 * pack_writer.h - a pack in memory: frames one after the other until it has its size.
 *
 * Adding compresses, so it is for a worker; one thread at a time. The frame that would make a pack
 * too large is kept behind it and begins the next one.
 */
#ifndef BVI_SNAPSHOT_PACK_WRITER_H
#define BVI_SNAPSHOT_PACK_WRITER_H

#include "base/blake3.h"
#include "snapshot/frame.h"
#include "snapshot/pack_journal.h"

/* Random bytes at the beginning of each pack. */
#define BVI_PACK_SALT_BYTES 16u

/* Most memory one takes besides its codec's (bvi_frame_packer_memory()): a pack, and the frame
 * behind it. */
#define BVI_PACK_WRITER_MEMORY (BVI_SNAP_PACK_BYTES + BVI_SNAP_FRAME_MAX + 1024u * 1024)

typedef struct bvi_pack_writer {
    uint8_t *bytes; /* made with the first frame */
    size_t len;
    bvi_blake3 hash; /* of them */
    bvi_hash256 id;  /* once it is sealed */
    bvi_snap_frames frames;
    bool carries; /* a frame lies behind the pack */
    bvi_snap_frame carried;
    bvi_snap_codec codec;
    int32_t level;
    bvi_frame_packer *packer;
} bvi_pack_writer;

void bvi_pack_writer_init(bvi_pack_writer *pack, bvi_snap_codec codec, int32_t level);
void bvi_pack_writer_done(bvi_pack_writer *pack);
/* *ret_full: the pack is to be stored before the next add; the frame counts as added. */
int bvi_pack_writer_add(bvi_pack_writer *pack, const bvi_hash256 *hash, const void *plain,
                        size_t len, bool *ret_full, bv_error **err);
/* No more frames: its id, which its frames get too. */
void bvi_pack_writer_seal(bvi_pack_writer *pack);
/* It was stored: the next one begins, with the frame that was carried over. */
int bvi_pack_writer_next(bvi_pack_writer *pack, bv_error **err);
static inline bool bvi_pack_writer_empty(const bvi_pack_writer *pack)
{
    return pack->frames.len == 0 && !pack->carries;
}

#endif
