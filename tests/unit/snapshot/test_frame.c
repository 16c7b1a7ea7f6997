/* Frames: every codec there and back, what is not compressed, and what is refused. */
#include <stdlib.h>

#include "bvt.h"
#include "snapshot/frame.h"
#include "transfer/codec_whole.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

/* So many of 16 bytes are random, the others from few words. */
static uint8_t *make_data(size_t len, unsigned random)
{
    uint8_t *data = malloc(len + 1);
    uint64_t state = len;

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i % 16 < random ? next_random(&state) : i % 7 + i / 1000 % 5);
    return data;
}

static bvi_snap_frame describe(const uint8_t *plain, size_t len, size_t stored,
                               bvi_snap_codec codec)
{
    bvi_snap_frame frame = { .stored = (uint32_t)stored, .plain = (uint32_t)len, .codec = codec };

    bvi_blake3_hash(plain, len, frame.hash.bytes);
    return frame;
}

static const struct {
    bvi_snap_codec codec;
    int32_t level;
} codecs[] = {
    { BVI_SNAP_STORED, 0 }, { BVI_SNAP_ZSTD, -5 }, { BVI_SNAP_ZSTD, 3 },
    { BVI_SNAP_ZSTD, 19 },  { BVI_SNAP_LZ4, 0 },   { BVI_SNAP_LZ4, 9 },
};

static const size_t sizes[] = { 1, 2, 100, 4096, 65536, 131072, 1000000, BVI_SNAP_CHUNK_MAX };

START_TEST(there_and_back)
{
    BVI_AUTO(bvi_frame_packer_freep) bvi_frame_packer *packer = NULL;
    BVI_AUTO(bvi_frame_unpacker_freep) bvi_frame_unpacker *unpacker = NULL;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_frame_packer_new(codecs[_i].codec, codecs[_i].level, &packer, &err), err);
    bvt_assert_ok(bvi_frame_unpacker_new(&unpacker, &err), err);
    for (size_t i = 0; i < BVI_COUNT(sizes) * 3; i++) {
        unsigned random = (unsigned)(i % 3 * 8);
        size_t len = sizes[i / 3];
        size_t cap = bvi_frame_bound(len);
        uint8_t *plain = make_data(len, random);
        uint8_t *out = malloc(cap);
        uint8_t *back = malloc(len);
        size_t stored = 0;
        bvi_snap_codec codec = BVI_SNAP_STORED;
        bvi_snap_frame frame;

        ck_assert_uint_le(cap, BVI_SNAP_FRAME_MAX);
        bvt_assert_ok(bvi_frame_pack(packer, plain, len, out, cap, &stored, &codec, &err), err);
        if (random == 16)
            ck_assert_int_eq(codec, BVI_SNAP_STORED);
        else if (len >= 4096)
            ck_assert_int_eq(codec, codecs[_i].codec);
        ck_assert(codec == BVI_SNAP_STORED ? stored == len : stored <= len - len / 32);
        frame = describe(plain, len, stored, codec);
        bvt_assert_ok(bvi_frame_unpack(unpacker, &frame, out, back, &err), err);
        ck_assert(memcmp(plain, back, len) == 0);
        free(plain);
        free(out);
        free(back);
    }
}
END_TEST

START_TEST(stored_bytes_are_checked_in_place)
{
    BVI_AUTO(bvi_frame_unpacker_freep) bvi_frame_unpacker *unpacker = NULL;
    uint8_t bytes[] = "as they are";
    bvi_snap_frame frame = describe(bytes, sizeof(bytes), sizeof(bytes), BVI_SNAP_STORED);
    bv_error *err = NULL;

    bvt_assert_ok(bvi_frame_unpacker_new(&unpacker, &err), err);
    bvt_assert_ok(bvi_frame_unpack(unpacker, &frame, bytes, bytes, &err), err);
    bytes[3]++;
    ck_assert_int_eq(bvi_frame_unpack(unpacker, &frame, bytes, bytes, &err), BV_E_CHECKSUM);
    bvt_assert_error_says(err, BV_E_CHECKSUM, "another hash");
    bvt_assert_error_says(err, BV_E_CHECKSUM, "at byte 0 of pack 0000");
    bv_error_free(err);
}
END_TEST

/* Every damage of a frame is told as such, and none writes beyond the plain length. */
START_TEST(damaged_frames_are_refused)
{
    BVI_AUTO(bvi_frame_packer_freep) bvi_frame_packer *packer = NULL;
    BVI_AUTO(bvi_frame_unpacker_freep) bvi_frame_unpacker *unpacker = NULL;
    size_t len = 3000;
    uint8_t *plain = make_data(len, 4);
    uint8_t *out = malloc(bvi_frame_bound(len));
    uint8_t *back = malloc(len); /* exactly: the sanitizer looks behind it */
    bvi_snap_codec codec = BVI_SNAP_STORED;
    bvi_snap_frame frame;
    bv_error *err = NULL;
    size_t stored = 0;

    bvt_assert_ok(bvi_frame_packer_new(codecs[_i].codec, codecs[_i].level, &packer, &err), err);
    bvt_assert_ok(bvi_frame_unpacker_new(&unpacker, &err), err);
    bvt_assert_ok(
        bvi_frame_pack(packer, plain, len, out, bvi_frame_bound(len), &stored, &codec, &err), err);
    frame = describe(plain, len, stored, codec);
    for (size_t i = 0; i < stored * 8; i++) {
        int r;

        out[i / 8] ^= (uint8_t)(1u << (i % 8));
        r = bvi_frame_unpack(unpacker, &frame, out, back, NULL);
        /* Some bits of a header mean nothing; the bytes are right all the same. */
        ck_assert(r == BV_E_CHECKSUM || (r == 0 && memcmp(plain, back, len) == 0));
        out[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    for (uint32_t cut = 1; codec != BVI_SNAP_STORED && cut < stored; cut += 7) {
        frame.stored = (uint32_t)stored - cut;
        ck_assert_int_eq(bvi_frame_unpack(unpacker, &frame, out, back, NULL), BV_E_CHECKSUM);
    }
    free(plain);
    free(out);
    free(back);
}
END_TEST

START_TEST(lengths_are_held)
{
    BVI_AUTO(bvi_frame_unpacker_freep) bvi_frame_unpacker *unpacker = NULL;
    BVI_AUTO(bvi_frame_packer_freep) bvi_frame_packer *packer = NULL;
    size_t len = 200000;
    size_t cap = 2 * bvi_frame_bound(len);
    uint8_t *plain = make_data(len, 1);
    uint8_t *out = malloc(cap);
    bvi_snap_codec codec = BVI_SNAP_STORED;
    bvi_snap_frame frame;
    bv_error *err = NULL;
    size_t stored = 0;

    ck_assert_int_eq(bvi_frame_packer_new(BVI_SNAP_ZSTD, 99, &packer, NULL), BV_E_INVALID);
    ck_assert_int_eq(bvi_frame_packer_new(BVI_SNAP_LZ4, 13, &packer, NULL), BV_E_INVALID);
    bvt_assert_ok(bvi_frame_packer_new(codecs[_i].codec, codecs[_i].level, &packer, &err), err);
    bvt_assert_ok(bvi_frame_unpacker_new(&unpacker, &err), err);
    ck_assert_int_eq(bvi_frame_pack(packer, plain, len, out, len - 1, &stored, &codec, NULL),
                     BV_E_INTERNAL);
    bvt_assert_ok(bvi_frame_pack(packer, plain, len, out, cap, &stored, &codec, &err), err);
    if (codec != BVI_SNAP_STORED) {
        uint8_t *back = malloc(len - 1);

        frame = describe(plain, len - 1, stored, codec);
        ck_assert_int_eq(bvi_frame_unpack(unpacker, &frame, out, back, &err), BV_E_CHECKSUM);
        bvt_assert_error_says(err, BV_E_CHECKSUM, "does not say that it holds 199999 bytes");
        bv_error_free(err);
        err = NULL;

        /* Two frames where there must be one. */
        memcpy(out + stored, out, stored);
        frame = describe(plain, len, 2 * stored, codec);
        free(back);
        back = malloc(len);
        ck_assert_int_eq(bvi_frame_unpack(unpacker, &frame, out, back, &err), BV_E_CHECKSUM);
        bvt_assert_error_says(err, BV_E_CHECKSUM, "bytes follow it");
        bv_error_free(err);
        free(back);
    }
    frame = describe(plain, len, len, BVI_SNAP_STORED);
    frame.plain = BVI_SNAP_CHUNK_MAX + 1;
    ck_assert_int_eq(bvi_frame_unpack(unpacker, &frame, plain, out, NULL), BV_E_FORMAT);
    free(plain);
    free(out);
}
END_TEST

static size_t pack_all(int32_t level, const uint8_t *plain, size_t len, uint8_t *out)
{
    BVI_AUTO(bvi_frame_packer_freep) bvi_frame_packer *packer = NULL;
    size_t chunk = 65536;
    size_t sum = 0;
    bv_error *err = NULL;

    bvt_assert_ok(bvi_frame_packer_new(BVI_SNAP_ZSTD, level, &packer, &err), err);
    for (size_t at = 0; at + chunk <= len; at += chunk) {
        bvi_snap_codec codec = BVI_SNAP_STORED;
        size_t stored = 0;

        bvt_assert_ok(bvi_frame_pack(packer, plain + at, chunk, out, bvi_frame_bound(chunk),
                                     &stored, &codec, &err),
                      err);
        sum += stored;
    }
    return sum;
}

/* Words in any order, of which more search finds more; then half noise, where it finds nothing. */
START_TEST(a_level_is_worked_for_where_it_gains)
{
    static const char *const words[] = { "block ", "height ", "transaction ", "the ", "output ",
                                         "spent ", "by ",     "witness ",     "of ",  "script " };
    size_t len = 40u * 65536u;
    uint8_t *noise = make_data(len, 8);
    uint8_t *text = malloc(len);
    uint8_t *out = malloc(bvi_frame_bound(65536));
    uint64_t state = 5;
    size_t at = 0;

    while (at < len) {
        const char *word = words[next_random(&state) % BVI_COUNT(words)];
        size_t n = strlen(word) < len - at ? strlen(word) : len - at;

        memcpy(text + at, word, n);
        at += n;
    }
    ck_assert_uint_lt(pack_all(15, text, len, out), pack_all(1, text, len, out) / 100 * 95);
    ck_assert_uint_gt(bvi_frame_packer_memory(BVI_SNAP_ZSTD, 22),
                      bvi_frame_packer_memory(BVI_SNAP_ZSTD, 3) * 20);
    ck_assert_uint_le(pack_all(3, noise, len, out), pack_all(1, noise, len, out) / 100 * 101);
    free(noise);
    free(text);
    free(out);
}
END_TEST

BVT_MAIN("snapshot/frame", bvt_test(a_level_is_worked_for_where_it_gains),
         bvt_loop(there_and_back, codecs), bvt_test(stored_bytes_are_checked_in_place),
         bvt_loop(damaged_frames_are_refused, codecs), bvt_loop(lengths_are_held, codecs))
