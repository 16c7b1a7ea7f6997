/*
 * frame.c - chunks and pages as frames of a pack. Workers of uploads and downloads call it.
 *
 * A frame is only compressed where that gains something worth the time of decompressing it; whether
 * it does is told from a few samples first, so that data without redundancy (keys, media, what is
 * compressed already) costs next to nothing. A level is what a frame may cost at most: much of what
 * chains keep is hashes and numbers, of which the search of a higher level finds nothing more, and
 * now and then both levels are tried to see.
 */
#include <string.h>

#include "base/hex.h"
#include "snapshot/frame.h"
#include "snapshot/page_impl.h"
#include "transfer/codec_whole.h"

/* A frame must save 1/32 of its bytes. */
#define WORTH(len) ((len) - (len) / 32)
/* Samples are taken of chunks of at least so many bytes: so many, of so many bytes. */
#define SAMPLED_MIN  (128u * 1024u)
#define SAMPLES      4u
#define SAMPLE_BYTES (16u * 1024u)
#define SAMPLE_LEVEL 1
/* One of so many chunks is compressed at both levels. The cheap one does while it costs no more
 * than 1/512 of the size. */
#define TRIAL_EVERY     16u
#define NO_LARGER(size) ((size) + (size) / 512)

struct bvi_frame_packer {
    bvi_snap_codec codec;
    int32_t level;
    bvi_zstd_packer *zstd;  /* ZSTD only */
    bvi_zstd_packer *cheap; /* of SAMPLE_LEVEL; not when STORED */
    bool cheap_does;
    unsigned to_trial; /* chunks until the next one */
    uint8_t sample[SAMPLE_BYTES];
};

struct bvi_frame_unpacker {
    bvi_zstd_unpacker *zstd;
    bvi_lz4_unpacker *lz4; /* made when the first such frame comes */
};

/* ---- packing ---- */

int bvi_frame_packer_new(bvi_snap_codec codec, int32_t level, bvi_frame_packer **ret_packer,
                         bv_error **err)
{
    BVI_AUTO(bvi_frame_packer_freep) bvi_frame_packer *packer = bvi_new0(bvi_frame_packer);
    int r = 0;

    if (!packer)
        return bvi_fail_nomem(err);
    packer->codec = codec;
    packer->level = level;
    if (codec == BVI_SNAP_ZSTD)
        r = bvi_zstd_packer_new(level, &packer->zstd, err);
    else if (codec == BVI_SNAP_LZ4)
        r = bvi_lz4_level_check(level, err);
    if (r == 0 && codec != BVI_SNAP_STORED)
        r = bvi_zstd_packer_new(SAMPLE_LEVEL, &packer->cheap, err);
    if (r < 0)
        return r;
    *ret_packer = bvi_take(packer);
    return 0;
}

void bvi_frame_packer_free(bvi_frame_packer *packer)
{
    if (!packer)
        return;
    bvi_zstd_packer_free(packer->zstd);
    bvi_zstd_packer_free(packer->cheap);
    bvi_free(packer);
}

uint64_t bvi_frame_packer_memory(bvi_snap_codec codec, int32_t level)
{
    uint64_t cheap = bvi_zstd_packer_memory(SAMPLE_LEVEL);

    if (codec == BVI_SNAP_STORED)
        return sizeof(bvi_frame_packer);
    return cheap + (codec == BVI_SNAP_ZSTD ? bvi_zstd_packer_memory(level) : cheap);
}

size_t bvi_frame_bound(size_t plain)
{
    return bvi_lz4_bound(plain); /* zstd is not asked for more than the plain bytes */
}

/* Does any of the samples shrink? They lie evenly from the first byte to the last. */
static int shrinks(bvi_frame_packer *packer, const uint8_t *plain, size_t len, bool *ret_shrinks,
                   bv_error **err)
{
    size_t step = (len - SAMPLE_BYTES) / (SAMPLES - 1);

    *ret_shrinks = false;
    for (size_t i = 0; i < SAMPLES && !*ret_shrinks; i++) {
        size_t made = 0;
        int r = bvi_zstd_pack(packer->cheap, plain + i * step, SAMPLE_BYTES, packer->sample,
                              WORTH(SAMPLE_BYTES), &made, err);

        if (r < 0)
            return r;
        *ret_shrinks = made > 0;
    }
    return 0;
}

/* *ret_made 0: not worth it. */
static int compress_zstd(bvi_frame_packer *packer, const void *plain, size_t len, uint8_t *out,
                         size_t *ret_made, bv_error **err)
{
    bool trial = packer->level > SAMPLE_LEVEL && packer->to_trial == 0;
    size_t cheap = 0;
    int r;

    packer->to_trial = trial ? TRIAL_EVERY - 1 : packer->to_trial - (packer->to_trial > 0);
    if (!trial && packer->cheap_does)
        return bvi_zstd_pack(packer->cheap, plain, len, out, WORTH(len), ret_made, err);
    r = trial ? bvi_zstd_pack(packer->cheap, plain, len, out, WORTH(len), &cheap, err) : 0;
    if (r == 0)
        r = bvi_zstd_pack(packer->zstd, plain, len, out, WORTH(len), ret_made, err);
    if (r == 0 && trial)
        packer->cheap_does = cheap > 0 && cheap <= NO_LARGER(*ret_made);
    return r;
}

static int compress(bvi_frame_packer *packer, const void *plain, size_t len, uint8_t *out,
                    size_t cap, size_t *ret_made, bv_error **err)
{
    bool worth = packer->codec != BVI_SNAP_STORED;
    size_t made = 0;
    int r = 0;

    if (worth && len >= SAMPLED_MIN)
        r = shrinks(packer, plain, len, &worth, err);
    if (r == 0 && worth && packer->codec == BVI_SNAP_ZSTD)
        r = compress_zstd(packer, plain, len, out, &made, err);
    else if (r == 0 && worth)
        r = bvi_lz4_pack(packer->level, plain, len, out, cap, &made, err);
    *ret_made = made <= WORTH(len) ? made : 0;
    return r;
}

int bvi_frame_pack(bvi_frame_packer *packer, const void *plain, size_t len, uint8_t *out,
                   size_t cap, size_t *ret_stored, bvi_snap_codec *ret_codec, bv_error **err)
{
    size_t made = 0;
    int r;

    if (len == 0 || len > BVI_SNAP_CHUNK_MAX || cap < bvi_frame_bound(len))
        return bvi_fail(err, BV_E_INTERNAL, "a frame of %zu bytes does not go into %zu", len, cap);
    r = compress(packer, plain, len, out, cap, &made, err);
    if (r < 0)
        return r;
    *ret_codec = made > 0 ? packer->codec : BVI_SNAP_STORED;
    *ret_stored = made > 0 ? made : len;
    if (made == 0)
        memcpy(out, plain, len);
    return 0;
}

/* ---- unpacking ---- */

int bvi_frame_unpacker_new(bvi_frame_unpacker **ret_unpacker, bv_error **err)
{
    BVI_AUTO(bvi_frame_unpacker_freep)
    bvi_frame_unpacker *unpacker = bvi_new0(bvi_frame_unpacker);
    int r;

    if (!unpacker)
        return bvi_fail_nomem(err);
    r = bvi_zstd_unpacker_new(&unpacker->zstd, err);
    if (r < 0)
        return r;
    *ret_unpacker = bvi_take(unpacker);
    return 0;
}

void bvi_frame_unpacker_free(bvi_frame_unpacker *unpacker)
{
    if (!unpacker)
        return;
    bvi_zstd_unpacker_free(unpacker->zstd);
    bvi_lz4_unpacker_free(unpacker->lz4);
    bvi_free(unpacker);
}

static int unpack_lz4(bvi_frame_unpacker *unpacker, const bvi_snap_frame *frame, const void *stored,
                      uint8_t *out, bv_error **err)
{
    int r = unpacker->lz4 ? 0 : bvi_lz4_unpacker_new(&unpacker->lz4, err);

    return r < 0 ? r : bvi_lz4_unpack(unpacker->lz4, stored, frame->stored, out, frame->plain, err);
}

static int decompress(bvi_frame_unpacker *unpacker, const bvi_snap_frame *frame, const void *stored,
                      uint8_t *out, bv_error **err)
{
    switch (frame->codec) {
    case BVI_SNAP_STORED:
        if (stored != out)
            memcpy(out, stored, frame->plain);
        return 0;
    case BVI_SNAP_ZSTD:
        return bvi_zstd_unpack(unpacker->zstd, stored, frame->stored, out, frame->plain, err);
    case BVI_SNAP_LZ4:
        return unpack_lz4(unpacker, frame, stored, out, err);
    }
    return bvi_fail(err, BV_E_INTERNAL, "unknown codec %d", (int)frame->codec);
}

/* Bytes that cannot be decompressed are wrong bytes like others: fetching them again may help. */
static int wrong(const bvi_snap_frame *frame, bv_error **err)
{
    char chunk[BVI_HEX_SIZE(BVI_BLAKE3_SIZE)];
    char pack[BVI_HEX_SIZE(BVI_BLAKE3_SIZE)];

    bvi_hex_encode(frame->hash.bytes, sizeof(frame->hash.bytes), chunk);
    bvi_hex_encode(frame->pack.bytes, sizeof(frame->pack.bytes), pack);
    return bvi_wrap(err, BV_E_CHECKSUM, "chunk %s at byte %llu of pack %s is damaged", chunk,
                    (unsigned long long)frame->offset, pack);
}

int bvi_frame_unpack(bvi_frame_unpacker *unpacker, const bvi_snap_frame *frame, const void *stored,
                     uint8_t *out, bv_error **err)
{
    bvi_hash256 hash;
    int r = bvi_snap_frame_check(frame, err);

    if (r < 0)
        return r;
    r = decompress(unpacker, frame, stored, out, err);
    if (r < 0)
        return r == BV_E_NOMEM ? r : wrong(frame, err);
    bvi_blake3_hash(out, frame->plain, hash.bytes);
    if (bvi_hash256_equal(&hash, &frame->hash))
        return 0;
    (void)bvi_fail(err, BV_E_CHECKSUM, "its bytes have another hash"); /* wrapped below */
    return wrong(frame, err);
}
