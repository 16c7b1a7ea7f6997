/*
 * codec_lz4.c - whole LZ4 frames; the only user of liblz4. The snapshot format uses them where
 * speed counts more than size. liblz4 takes its memory from malloc.
 */
#include <lz4frame.h>
#include <string.h>

#include "transfer/codec_whole.h"

struct bvi_lz4_unpacker {
    LZ4F_dctx *dctx;
};

static int failure(size_t code, const char *what, bv_error **err)
{
    const char *name =
        LZ4F_getErrorName(code); /* the codes have no names in the stable interface */

    if (strcmp(name, "ERROR_allocation_failed") == 0)
        return bvi_fail_nomem(err);
    return bvi_fail(err, BV_E_FORMAT, "%s: lz4: %s", what, name);
}

static LZ4F_preferences_t preferences(int32_t level, size_t len)
{
    return (LZ4F_preferences_t){
        .frameInfo = { .blockSizeID = LZ4F_max4MB,
                       .blockMode = LZ4F_blockIndependent,
                       .contentSize = len },
        .compressionLevel = level,
        .autoFlush = 1,
    };
}

int bvi_lz4_level_check(int32_t level, bv_error **err)
{
    if (level < 0 || level > BVI_LZ4_LEVEL_MAX)
        return bvi_fail(err, BV_E_INVALID, "lz4 level %d is not in 0..%d", level,
                        BVI_LZ4_LEVEL_MAX);
    return 0;
}

size_t bvi_lz4_bound(size_t len)
{
    const LZ4F_preferences_t prefs = preferences(0, len);

    return LZ4F_compressFrameBound(len, &prefs);
}

int bvi_lz4_pack(int32_t level, const void *plain, size_t len, void *out, size_t cap,
                 size_t *ret_made, bv_error **err)
{
    const LZ4F_preferences_t prefs = preferences(level, len);
    size_t made = LZ4F_compressFrame(out, cap, plain, len, &prefs);

    if (LZ4F_isError(made))
        return failure(made, "cannot compress", err);
    *ret_made = made;
    return 0;
}

int bvi_lz4_unpacker_new(bvi_lz4_unpacker **ret_unpacker, bv_error **err)
{
    bvi_lz4_unpacker *unpacker = bvi_new0(bvi_lz4_unpacker);

    if (unpacker && LZ4F_isError(LZ4F_createDecompressionContext(&unpacker->dctx, LZ4F_VERSION))) {
        bvi_free(unpacker);
        unpacker = NULL;
    }
    if (!unpacker)
        return bvi_fail_nomem(err);
    *ret_unpacker = unpacker;
    return 0;
}

void bvi_lz4_unpacker_free(bvi_lz4_unpacker *unpacker)
{
    if (!unpacker)
        return;
    (void)LZ4F_freeDecompressionContext(unpacker->dctx); /* tells the state it was in */
    bvi_free(unpacker);
}

int bvi_lz4_unpack(bvi_lz4_unpacker *unpacker, const void *stored, size_t len, void *out,
                   size_t plain, bv_error **err)
{
    const LZ4F_decompressOptions_t options = { .stableDst = 1 };
    LZ4F_frameInfo_t info;
    size_t used = len;
    size_t made = plain;
    size_t left;

    LZ4F_resetDecompressionContext(unpacker->dctx);
    left = LZ4F_getFrameInfo(unpacker->dctx, &info, stored, &used);
    if (LZ4F_isError(left))
        return failure(left, "cannot decompress", err);
    if (info.contentSize != plain)
        return bvi_fail(err, BV_E_FORMAT, "the lz4 frame does not say that it holds %zu bytes",
                        plain);
    for (size_t at = used, done = 0;; at += used, done += made) {
        used = len - at;
        made = plain - done;
        left = LZ4F_decompress(unpacker->dctx, (char *)out + done, &made, (const char *)stored + at,
                               &used, &options);
        if (LZ4F_isError(left))
            return failure(left, "cannot decompress", err);
        if (left == 0 && at + used == len && done + made == plain)
            return 0;
        if (left == 0 || (used == 0 && made == 0))
            return bvi_fail(err, BV_E_FORMAT, "the lz4 frame is cut short, or bytes follow it");
    }
}
