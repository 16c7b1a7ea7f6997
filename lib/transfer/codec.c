/*
 * codec.c - chooses a codec, and the codec that changes nothing.
 */
#include <string.h>

#include "transfer/codec.h"

static int stored_step(bvi_codec *codec, bvi_codec_io *io, bv_error **err)
{
    size_t in = io->in_len - io->in_used;
    size_t room = io->out_cap - io->out_made;
    size_t n = in < room ? in : room;

    (void)codec;
    (void)err;
    if (n > 0)
        memcpy(io->out + io->out_made, io->in + io->in_used, n);
    io->in_used += n;
    io->out_made += n;
    return 0;
}

static int stored_finish(bvi_codec *codec, bvi_codec_io *io, bool *ret_done, bv_error **err)
{
    (void)codec;
    (void)io;
    (void)err;
    *ret_done = true;
    return 0;
}

static void stored_free(bvi_codec *codec)
{
    bvi_free(codec);
}

static const bvi_codec_vtable stored_vtable = {
    .name = "stored",
    .step = stored_step,
    .finish = stored_finish,
    .free = stored_free,
};

static int stored_new(bvi_codec **ret_codec, bv_error **err)
{
    bvi_codec *codec = bvi_new0(bvi_codec);

    if (!codec)
        return bvi_fail_nomem(err);
    codec->vtable = &stored_vtable;
    *ret_codec = codec;
    return 0;
}

int bvi_encoder_new(const bvi_compression *compression, uint32_t threads, bvi_codec **ret_codec,
                    bv_error **err)
{
    if (compression->kind == BVI_CODEC_ZSTD)
        return bvi_zstd_encoder_new(compression->level, threads, ret_codec, err);
    return stored_new(ret_codec, err);
}

int bvi_decoder_new(const bvi_compression *compression, bvi_codec **ret_codec, bv_error **err)
{
    if (compression->kind == BVI_CODEC_ZSTD)
        return bvi_zstd_decoder_new(compression->level, ret_codec, err);
    return stored_new(ret_codec, err);
}

uint64_t bvi_encoder_memory(const bvi_compression *compression, uint32_t threads)
{
    return compression->kind == BVI_CODEC_ZSTD
               ? bvi_zstd_encoder_memory(compression->level, threads)
               : sizeof(bvi_codec);
}

uint64_t bvi_decoder_memory(const bvi_compression *compression)
{
    return compression->kind == BVI_CODEC_ZSTD ? bvi_zstd_decoder_memory(compression->level)
                                               : sizeof(bvi_codec);
}

int bvi_compression_check(const bvi_compression *compression, bv_error **err)
{
    return compression->kind == BVI_CODEC_ZSTD ? bvi_zstd_level_check(compression->level, err) : 0;
}
