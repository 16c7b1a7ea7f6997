/*
 * pack_writer.c - see pack_writer.h.
 */
#include <string.h>

#include "base/id.h"
#include "snapshot/pack_writer.h"

void bvi_pack_writer_init(bvi_pack_writer *pack, bvi_snap_codec codec, int32_t level)
{
    *pack = (bvi_pack_writer){ .codec = codec, .level = level };
    pack->frames.max = BVI_PACK_FRAMES_MAX;
}

void bvi_pack_writer_done(bvi_pack_writer *pack)
{
    bvi_frame_packer_free(bvi_take(pack->packer));
    bvi_free(bvi_take(pack->bytes));
    bvi_vec_done(&pack->frames);
}

/* A pack begins with bytes that make it another one than any before (doc/snapshot-format.md). */
static int begin(bvi_pack_writer *pack, bv_error **err)
{
    int r = bvi_random_bytes(pack->bytes, BVI_PACK_SALT_BYTES, err);

    if (r < 0)
        return r;
    bvi_blake3_init(&pack->hash);
    bvi_blake3_update(&pack->hash, pack->bytes, BVI_PACK_SALT_BYTES);
    pack->len = BVI_PACK_SALT_BYTES;
    return 0;
}

/* The codec and the memory come with the first frame: many writers never see one. */
static int prepare(bvi_pack_writer *pack, bv_error **err)
{
    if (!pack->packer) {
        int r = bvi_frame_packer_new(pack->codec, pack->level, &pack->packer, err);

        if (r < 0)
            return r;
    }
    if (!pack->bytes)
        pack->bytes = bvi_malloc(BVI_SNAP_PACK_BYTES + bvi_frame_bound(BVI_SNAP_CHUNK_MAX));
    if (!pack->bytes)
        return bvi_fail_nomem(err);
    return pack->len > 0 ? 0 : begin(pack, err);
}

static int keep(bvi_pack_writer *pack, const bvi_snap_frame *frame, bv_error **err)
{
    bvi_snap_frame *kept = bvi_vec_push(&pack->frames);

    if (!kept)
        return bvi_fail_nomem(err);
    *kept = *frame;
    bvi_blake3_update(&pack->hash, pack->bytes + pack->len, frame->stored);
    pack->len += frame->stored;
    return 0;
}

int bvi_pack_writer_add(bvi_pack_writer *pack, const bvi_hash256 *hash, const void *plain,
                        size_t len, bool *ret_full, bv_error **err)
{
    bvi_snap_frame frame = { .hash = *hash, .plain = (uint32_t)len };
    size_t stored = 0;
    int r = prepare(pack, err);

    if (r == 0)
        r = bvi_frame_pack(pack->packer, plain, len, pack->bytes + pack->len,
                           bvi_frame_bound(BVI_SNAP_CHUNK_MAX), &stored, &frame.codec, err);
    if (r < 0)
        return r;
    frame.offset = pack->len;
    frame.stored = (uint32_t)stored;
    if (pack->len + stored > BVI_SNAP_PACK_BYTES && pack->frames.len > 0) {
        pack->carries = true;
        pack->carried = frame;
        *ret_full = true;
        return 0;
    }
    r = keep(pack, &frame, err);
    *ret_full = pack->len >= BVI_SNAP_PACK_BYTES || pack->frames.len >= BVI_PACK_FRAMES_MAX;
    return r;
}

void bvi_pack_writer_seal(bvi_pack_writer *pack)
{
    bvi_blake3_final(&pack->hash, pack->id.bytes);
    for (size_t i = 0; i < pack->frames.len; i++)
        pack->frames.items[i].pack = pack->id;
}

int bvi_pack_writer_next(bvi_pack_writer *pack, bv_error **err)
{
    bvi_snap_frame frame = pack->carried;
    const uint8_t *carried = pack->bytes + pack->len;
    int r;

    pack->frames.len = 0;
    pack->len = 0;
    if (!pack->carries)
        return 0;
    pack->carries = false;
    memmove(pack->bytes + BVI_PACK_SALT_BYTES, carried, frame.stored);
    r = begin(pack, err);
    if (r < 0)
        return r;
    frame.offset = pack->len;
    return keep(pack, &frame, err);
}
