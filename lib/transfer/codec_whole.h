/*
 * codec_whole.h - whole frames in memory, compressed and decompressed by one call each; codec.h is
 * for streams. One file per library behind it (codec_zstd.c, codec_lz4.c).
 *
 * Packers and unpackers only save setting up the library's state for each frame. They belong to
 * whoever made them; one thread at a time.
 */
#ifndef BVI_TRANSFER_CODEC_WHOLE_H
#define BVI_TRANSFER_CODEC_WHOLE_H

#include "base/error.h"

typedef struct bvi_zstd_packer bvi_zstd_packer;
typedef struct bvi_zstd_unpacker bvi_zstd_unpacker;

int bvi_zstd_packer_new(int32_t level, bvi_zstd_packer **ret_packer, bv_error **err);
void bvi_zstd_packer_free(bvi_zstd_packer *packer);
BVI_DEFINE_FREEP(bvi_zstd_packer, bvi_zstd_packer_free)
uint64_t bvi_zstd_packer_memory(int32_t level); /* most it takes for 4 MiB at once */
/* One frame with its content size and without a checksum. *ret_made 0: it would be longer than
 * `cap`. */
int bvi_zstd_pack(bvi_zstd_packer *packer, const void *plain, size_t len, void *out, size_t cap,
                  size_t *ret_made, bv_error **err);

int bvi_zstd_unpacker_new(bvi_zstd_unpacker **ret_unpacker, bv_error **err);
void bvi_zstd_unpacker_free(bvi_zstd_unpacker *unpacker);
BVI_DEFINE_FREEP(bvi_zstd_unpacker, bvi_zstd_unpacker_free)
/* `stored` must be one frame that says it holds `plain` bytes, and does: BV_E_FORMAT otherwise. */
int bvi_zstd_unpack(bvi_zstd_unpacker *unpacker, const void *stored, size_t len, void *out,
                    size_t plain, bv_error **err);

typedef struct bvi_lz4_unpacker bvi_lz4_unpacker;

#define BVI_LZ4_LEVEL_MAX 12

int bvi_lz4_level_check(int32_t level, bv_error **err);
/* Packing needs no state. Level 0 is the fast one, from 3 on it is the slow search. */
size_t bvi_lz4_bound(size_t len);
int bvi_lz4_pack(int32_t level, const void *plain, size_t len, void *out, size_t cap,
                 size_t *ret_made, bv_error **err);
int bvi_lz4_unpacker_new(bvi_lz4_unpacker **ret_unpacker, bv_error **err);
void bvi_lz4_unpacker_free(bvi_lz4_unpacker *unpacker);
BVI_DEFINE_FREEP(bvi_lz4_unpacker, bvi_lz4_unpacker_free)
int bvi_lz4_unpack(bvi_lz4_unpacker *unpacker, const void *stored, size_t len, void *out,
                   size_t plain, bv_error **err);

#endif
