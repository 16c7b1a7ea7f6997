/*
 * frame.h - compressing one chunk or page into a frame, and back. Blocking CPU work for a worker;
 * whole buffers, as a chunk has at most 4 MiB. One thread at a time for each packer or unpacker.
 */
#ifndef BVI_SNAPSHOT_FRAME_H
#define BVI_SNAPSHOT_FRAME_H

#include "snapshot/format.h"

/* Holds the codec's state, so that it is set up once for many frames. */
typedef struct bvi_frame_packer bvi_frame_packer;
typedef struct bvi_frame_unpacker bvi_frame_unpacker;

int bvi_frame_packer_new(bvi_snap_codec codec, int32_t level, bvi_frame_packer **ret_packer,
                         bv_error **err);
void bvi_frame_packer_free(bvi_frame_packer *packer);
BVI_DEFINE_FREEP(bvi_frame_packer, bvi_frame_packer_free)
/* Most memory one takes. */
uint64_t bvi_frame_packer_memory(bvi_snap_codec codec, int32_t level);
/* Most bytes a frame of so many plain bytes can have. */
size_t bvi_frame_bound(size_t plain);
/* Writes a frame of at most bvi_frame_bound(len) bytes to `out`. Data that a sample shows not to
 * shrink is stored at once. */
int bvi_frame_pack(bvi_frame_packer *packer, const void *plain, size_t len, uint8_t *out,
                   size_t cap, size_t *ret_stored, bvi_snap_codec *ret_codec, bv_error **err);

int bvi_frame_unpacker_new(bvi_frame_unpacker **ret_unpacker, bv_error **err);
void bvi_frame_unpacker_free(bvi_frame_unpacker *unpacker);
BVI_DEFINE_FREEP(bvi_frame_unpacker, bvi_frame_unpacker_free)
/* Exactly frame->plain bytes to `out`, and their hash is right: BV_E_CHECKSUM otherwise. Bytes that
 * were stored as they are may be unpacked in place. */
int bvi_frame_unpack(bvi_frame_unpacker *unpacker, const bvi_snap_frame *frame, const void *stored,
                     uint8_t *out, bv_error **err);

#endif
