/*
 * codec.h - streaming compression, one small step at a time.
 *
 * A codec turns one run of bytes into another through buffers of the caller; its own memory is
 * bounded and known beforehand, so that a transfer can decide how many may work at once. One file
 * per library behind it (codec_zstd.c); `stored` is in codec.c. A codec belongs to whoever made it;
 * one thread at a time.
 */
#ifndef BVI_TRANSFER_CODEC_H
#define BVI_TRANSFER_CODEC_H

#include "transfer/chunk.h"

typedef struct bvi_codec bvi_codec;

/* One step's buffers; the codec moves in_used and out_made forward. */
typedef struct bvi_codec_io {
    const uint8_t *in;
    size_t in_len;
    size_t in_used;
    uint8_t *out;
    size_t out_cap;
    size_t out_made;
} bvi_codec_io;

typedef struct bvi_codec_vtable {
    const char *name;
    /* Uses input and makes output as far as both buffers go. */
    int (*step)(bvi_codec *codec, bvi_codec_io *io, bv_error **err);
    /* After the last input: makes what is left; *ret_done tells whether that was all. A decoder
     * fails here when its input was cut short. */
    int (*finish)(bvi_codec *codec, bvi_codec_io *io, bool *ret_done, bv_error **err);
    void (*free)(bvi_codec *codec);
} bvi_codec_vtable;

struct bvi_codec {
    const bvi_codec_vtable *vtable;
};

/* threads > 1: helps one large chunk, of which there are too few to keep all workers busy; libzstd
 * then has so many of its own. */
int bvi_encoder_new(const bvi_compression *compression, uint32_t threads, bvi_codec **ret_codec,
                    bv_error **err);
int bvi_decoder_new(const bvi_compression *compression, bvi_codec **ret_codec, bv_error **err);
/* Most bytes the codec itself will use. */
uint64_t bvi_encoder_memory(const bvi_compression *compression, uint32_t threads);
uint64_t bvi_decoder_memory(const bvi_compression *compression);
int bvi_compression_check(const bvi_compression *compression,
                          bv_error **err); /* a level we can write */

static inline void bvi_codec_free(bvi_codec *codec)
{
    if (codec)
        codec->vtable->free(codec);
}
BVI_DEFINE_FREEP(bvi_codec, bvi_codec_free)

/* codec_zstd.c */
int bvi_zstd_encoder_new(int32_t level, uint32_t threads, bvi_codec **ret_codec, bv_error **err);
int bvi_zstd_decoder_new(int32_t level, bvi_codec **ret_codec, bv_error **err);
uint64_t bvi_zstd_encoder_memory(int32_t level, uint32_t threads);
uint64_t bvi_zstd_decoder_memory(int32_t level);
int bvi_zstd_level_check(int32_t level, bv_error **err);

#endif
