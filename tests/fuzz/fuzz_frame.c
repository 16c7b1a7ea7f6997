/*
 * fuzz_frame.c - stored chunks from anybody: a byte of codec and three of plain length (little
 * end first), then the frame. Whatever it is, nothing is written beyond the plain length; what has
 * the right hash may still be anything, so the hash is made to fit half of the time.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/frame.h"
#include "transfer/codec_whole.h"

#define HEAD 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What the codec alone makes of it: its hash. */
static void fit_hash(bvi_snap_frame *frame, const uint8_t *stored)
{
    BVI_AUTO(bvi_zstd_unpacker_freep) bvi_zstd_unpacker *zstd = NULL;
    BVI_AUTO(bvi_lz4_unpacker_freep) bvi_lz4_unpacker *lz4 = NULL;
    uint8_t *plain = malloc(frame->plain);
    int r;

    require(plain && bvi_zstd_unpacker_new(&zstd, NULL) == 0);
    require(bvi_lz4_unpacker_new(&lz4, NULL) == 0);
    r = frame->codec == BVI_SNAP_ZSTD
            ? bvi_zstd_unpack(zstd, stored, frame->stored, plain, frame->plain, NULL)
            : bvi_lz4_unpack(lz4, stored, frame->stored, plain, frame->plain, NULL);
    if (r == 0)
        bvi_blake3_hash(plain, frame->plain, frame->hash.bytes);
    free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BVI_AUTO(bvi_frame_unpacker_freep) bvi_frame_unpacker *unpacker = NULL;
    bvi_snap_frame frame = { .plain = 0 };
    uint8_t *out;
    int r;

    if (size < HEAD)
        return 0;
    frame.codec = (bvi_snap_codec)(data[0] % 3);
    frame.plain = (uint32_t)data[1] | (uint32_t)data[2] << 8 | (uint32_t)data[3] << 16;
    frame.stored = (uint32_t)(size - HEAD);
    if (frame.plain == 0 || frame.plain > BVI_SNAP_CHUNK_MAX)
        return 0;
    if (frame.codec != BVI_SNAP_STORED && data[0] < 128)
        fit_hash(&frame, data + HEAD);
    out = malloc(frame.plain); /* exactly: the sanitizer looks behind it */
    require(out && bvi_frame_unpacker_new(&unpacker, NULL) == 0);
    r = bvi_frame_unpack(unpacker, &frame, data + HEAD, out, NULL);
    require(r == 0 || r == BV_E_CHECKSUM || r == BV_E_FORMAT);
    free(out);
    return 0;
}
