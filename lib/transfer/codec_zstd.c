/*
 * codec_zstd.c - zstd streams and whole frames; the only user of libzstd.
 *
 * A chunk of an archive is written as one frame of the stream encoder: no content size, no
 * checksum, no dictionary, as existing archives have it. The end of the input must therefore never
 * be announced together with its first bytes, or libzstd would write the size into the frame.
 * Reading also accepts several frames one after the other. Whole frames (codec_whole.h) are the
 * snapshot format's: with a content size, and with nothing beside. libzstd takes its memory from
 * malloc (its custom allocator is not part of the stable interface); the figures of *_memory() are
 * what admission reckons with.
 */
#include <zstd.h>
#include <zstd_errors.h>

#include "transfer/codec.h"
#include "transfer/codec_whole.h"

/* Windows up to this size are always accepted; existing archives of levels up to 19 stay below it.
 */
#define WINDOW_LOG_MIN 23
/* Levels from 20 on use larger windows, up to this one. */
#define WINDOW_LOG_MAX  27
#define ULTRA_LEVEL_MIN 20
/* Besides its window a decoder needs about this much. */
#define DECODER_FIXED_BYTES (512u * 1024u)

/* What each of several threads compresses at a time: large enough that the ratio hardly suffers. */
#define JOB_BYTES (4u * 1024u * 1024u)

typedef struct encoder {
    bvi_codec codec;
    ZSTD_CStream *stream;
} encoder;

typedef struct decoder {
    bvi_codec codec;
    ZSTD_DStream *stream;
    bool in_frame; /* a frame has begun and not ended */
} decoder;

static int zstd_failure(size_t code, const char *what, bv_error **err)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return bvi_fail_nomem(err);
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
        return bvi_fail(err, BV_E_LIMIT, "%s: the zstd window is larger than its level allows",
                        what);
    return bvi_fail(err, BV_E_FORMAT, "%s: zstd: %s", what, ZSTD_getErrorName(code));
}

/* ---- encoder ---- */

static int encode(bvi_codec *codec, bvi_codec_io *io, ZSTD_EndDirective mode, size_t *ret_left,
                  bv_error **err)
{
    encoder *e = (encoder *)codec;
    ZSTD_inBuffer in = { io->in, io->in_len, io->in_used };
    ZSTD_outBuffer out = { io->out, io->out_cap, io->out_made };
    size_t left = ZSTD_compressStream2(e->stream, &out, &in, mode);

    if (ZSTD_isError(left))
        return zstd_failure(left, "cannot compress", err);
    io->in_used = in.pos;
    io->out_made = out.pos;
    *ret_left = left;
    return 0;
}

static int encoder_step(bvi_codec *codec, bvi_codec_io *io, bv_error **err)
{
    size_t left = 0;

    return encode(codec, io, ZSTD_e_continue, &left, err);
}

static int encoder_finish(bvi_codec *codec, bvi_codec_io *io, bool *ret_done, bv_error **err)
{
    size_t left = 0;
    int r = encode(codec, io, ZSTD_e_end, &left, err);

    *ret_done = left == 0;
    return r;
}

static void encoder_free(bvi_codec *codec)
{
    encoder *e = (encoder *)codec;

    (void)ZSTD_freeCStream(e->stream); /* cannot fail */
    bvi_free(e);
}

static const bvi_codec_vtable encoder_vtable = {
    .name = "zstd encoder",
    .step = encoder_step,
    .finish = encoder_finish,
    .free = encoder_free,
};

int bvi_zstd_level_check(int32_t level, bv_error **err)
{
    if (level < ZSTD_minCLevel() || level > ZSTD_maxCLevel())
        return bvi_fail(err, BV_E_INVALID, "zstd level %d is not in %d..%d", level,
                        ZSTD_minCLevel(), ZSTD_maxCLevel());
    return 0;
}

/* A library built without threads refuses them; one thread does as well. */
static void use_threads(ZSTD_CStream *stream, uint32_t threads)
{
    if (threads > 1 &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(stream, ZSTD_c_nbWorkers, (int)threads)))
        (void)ZSTD_CCtx_setParameter(stream, ZSTD_c_jobSize, (int)JOB_BYTES);
}

int bvi_zstd_encoder_new(int32_t level, uint32_t threads, bvi_codec **ret_codec, bv_error **err)
{
    encoder *e = bvi_new0(encoder);
    size_t code;

    if (!e)
        return bvi_fail_nomem(err);
    e->codec.vtable = &encoder_vtable;
    e->stream = ZSTD_createCStream();
    if (!e->stream) {
        bvi_codec_free(&e->codec);
        return bvi_fail_nomem(err);
    }
    code = ZSTD_CCtx_setParameter(e->stream, ZSTD_c_compressionLevel, level);
    if (ZSTD_isError(code)) {
        bvi_codec_free(&e->codec);
        return zstd_failure(code, "cannot set the level", err);
    }
    use_threads(e->stream, threads);
    *ret_codec = &e->codec;
    return 0;
}

/* Window, tables and buffers of each level, rounded up from ZSTD_estimateCStreamSize() of 1.5. */
static const struct {
    int32_t level;
    unsigned mib;
} encoder_mib[] = {
    { 1, 2 },   { 3, 4 },   { 6, 6 },   { 8, 9 },    { 9, 17 },   { 11, 29 },
    { 14, 53 }, { 18, 69 }, { 19, 90 }, { 20, 194 }, { 21, 386 },
};

static uint64_t one_encoder(int32_t level)
{
    for (size_t i = 0; i < BVI_COUNT(encoder_mib); i++) {
        if (level <= encoder_mib[i].level)
            return (uint64_t)encoder_mib[i].mib << 20;
    }
    return 778ull << 20;
}

uint64_t bvi_zstd_encoder_memory(int32_t level, uint32_t threads)
{
    /* Each thread has its tables, a job it is at and one that was made; two jobs are gathered. */
    return threads > 1 ? threads * (one_encoder(level) + 2ull * JOB_BYTES) + 3ull * JOB_BYTES
                       : one_encoder(level);
}

/* ---- decoder ---- */

static int decoder_step(bvi_codec *codec, bvi_codec_io *io, bv_error **err)
{
    decoder *d = (decoder *)codec;
    ZSTD_inBuffer in = { io->in, io->in_len, io->in_used };
    ZSTD_outBuffer out = { io->out, io->out_cap, io->out_made };

    /* Behind a frame, no input must not be taken for the start of another. */
    while (out.pos < out.size && (d->in_frame || in.pos < in.size)) {
        size_t before = in.pos;
        size_t made = out.pos;
        size_t hint = ZSTD_decompressStream(d->stream, &out, &in);

        if (ZSTD_isError(hint))
            return zstd_failure(hint, "cannot decompress", err);
        d->in_frame = hint != 0;
        if (in.pos == before && out.pos == made)
            break;
    }
    io->in_used = in.pos;
    io->out_made = out.pos;
    return 0;
}

static int decoder_finish(bvi_codec *codec, bvi_codec_io *io, bool *ret_done, bv_error **err)
{
    decoder *d = (decoder *)codec;
    size_t made = io->out_made;
    int r;

    *ret_done = !d->in_frame;
    if (!d->in_frame)
        return 0;
    r = decoder_step(codec, io, err);
    if (r < 0)
        return r;
    *ret_done = !d->in_frame;
    if (d->in_frame && io->out_made == made)
        return bvi_fail(err, BV_E_FORMAT, "cannot decompress: the zstd frame is cut short");
    return 0;
}

static void decoder_free(bvi_codec *codec)
{
    decoder *d = (decoder *)codec;

    (void)ZSTD_freeDStream(d->stream); /* cannot fail */
    bvi_free(d);
}

static const bvi_codec_vtable decoder_vtable = {
    .name = "zstd decoder",
    .step = decoder_step,
    .finish = decoder_finish,
    .free = decoder_free,
};

static int window_log(int32_t level)
{
    return level >= ULTRA_LEVEL_MIN ? WINDOW_LOG_MAX : WINDOW_LOG_MIN;
}

int bvi_zstd_decoder_new(int32_t level, bvi_codec **ret_codec, bv_error **err)
{
    decoder *d = bvi_new0(decoder);
    size_t code;

    if (!d)
        return bvi_fail_nomem(err);
    d->codec.vtable = &decoder_vtable;
    d->stream = ZSTD_createDStream();
    if (!d->stream) {
        bvi_codec_free(&d->codec);
        return bvi_fail_nomem(err);
    }
    code = ZSTD_DCtx_setParameter(d->stream, ZSTD_d_windowLogMax, window_log(level));
    if (ZSTD_isError(code)) {
        bvi_codec_free(&d->codec);
        return zstd_failure(code, "cannot set the window", err);
    }
    *ret_codec = &d->codec;
    return 0;
}

uint64_t bvi_zstd_decoder_memory(int32_t level)
{
    return (1ull << window_log(level)) + DECODER_FIXED_BYTES;
}

/* ---- whole frames ---- */

struct bvi_zstd_packer {
    ZSTD_CCtx *cctx;
};

struct bvi_zstd_unpacker {
    ZSTD_DCtx *dctx;
};

int bvi_zstd_packer_new(int32_t level, bvi_zstd_packer **ret_packer, bv_error **err)
{
    BVI_AUTO(bvi_zstd_packer_freep) bvi_zstd_packer *packer = NULL;
    size_t code;
    int r = bvi_zstd_level_check(level, err);

    if (r < 0)
        return r;
    packer = bvi_new0(bvi_zstd_packer);
    if (packer)
        packer->cctx = ZSTD_createCCtx();
    if (!packer || !packer->cctx)
        return bvi_fail_nomem(err);
    code = ZSTD_CCtx_setParameter(packer->cctx, ZSTD_c_compressionLevel, level);
    if (ZSTD_isError(code))
        return zstd_failure(code, "cannot set the level", err);
    *ret_packer = bvi_take(packer);
    return 0;
}

void bvi_zstd_packer_free(bvi_zstd_packer *packer)
{
    if (!packer)
        return;
    (void)ZSTD_freeCCtx(packer->cctx); /* cannot fail */
    bvi_free(packer);
}

/* What ZSTD_sizeof_CCtx() says after 4 MiB, rounded up. */
static const struct {
    int32_t level;
    unsigned mib;
} packer_mib[] = {
    { 2, 1 }, { 3, 2 }, { 6, 4 }, { 8, 7 }, { 9, 13 }, { 11, 25 }, { 12, 49 }, { 19, 65 },
};

uint64_t bvi_zstd_packer_memory(int32_t level)
{
    for (size_t i = 0; i < BVI_COUNT(packer_mib); i++) {
        if (level <= packer_mib[i].level)
            return (uint64_t)packer_mib[i].mib << 20;
    }
    return 66ull << 20;
}

int bvi_zstd_pack(bvi_zstd_packer *packer, const void *plain, size_t len, void *out, size_t cap,
                  size_t *ret_made, bv_error **err)
{
    size_t made = ZSTD_compress2(packer->cctx, out, cap, plain, len);

    if (ZSTD_getErrorCode(made) == ZSTD_error_dstSize_tooSmall)
        made = 0;
    if (ZSTD_isError(made))
        return zstd_failure(made, "cannot compress", err);
    *ret_made = made;
    return 0;
}

int bvi_zstd_unpacker_new(bvi_zstd_unpacker **ret_unpacker, bv_error **err)
{
    bvi_zstd_unpacker *unpacker = bvi_new0(bvi_zstd_unpacker);

    if (unpacker)
        unpacker->dctx = ZSTD_createDCtx();
    if (!unpacker || !unpacker->dctx) {
        bvi_free(unpacker);
        return bvi_fail_nomem(err);
    }
    *ret_unpacker = unpacker;
    return 0;
}

void bvi_zstd_unpacker_free(bvi_zstd_unpacker *unpacker)
{
    if (!unpacker)
        return;
    (void)ZSTD_freeDCtx(unpacker->dctx); /* cannot fail */
    bvi_free(unpacker);
}

/* Decompresses straight into `out`, so that the window the frame asks for costs nothing. */
int bvi_zstd_unpack(bvi_zstd_unpacker *unpacker, const void *stored, size_t len, void *out,
                    size_t plain, bv_error **err)
{
    size_t made;

    if (ZSTD_getFrameContentSize(stored, len) != plain)
        return bvi_fail(err, BV_E_FORMAT, "the zstd frame does not say that it holds %zu bytes",
                        plain);
    if (ZSTD_findFrameCompressedSize(stored, len) != len)
        return bvi_fail(err, BV_E_FORMAT, "the zstd frame is cut short, or bytes follow it");
    made = ZSTD_decompressDCtx(unpacker->dctx, out, plain, stored, len);
    if (ZSTD_isError(made))
        return zstd_failure(made, "cannot decompress", err);
    if (made != plain)
        return bvi_fail(err, BV_E_FORMAT, "the zstd frame holds %zu bytes instead of %zu", made,
                        plain);
    return 0;
}
