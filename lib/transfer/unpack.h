/*
 * unpack.h - turns the stored bytes of one chunk into its files, or checks that they would.
 *
 * Bytes go through checksum, decoder and positional writes in small steps; the memory used does not
 * depend on the chunk's size. All functions block and are meant for a worker; an unpack belongs to
 * one thread at a time.
 */
#ifndef BVI_TRANSFER_UNPACK_H
#define BVI_TRANSFER_UNPACK_H

#include "transfer/manifest.h"

typedef struct bvi_unpack bvi_unpack;

typedef enum bvi_unpack_mode {
    BVI_UNPACK_WRITE,   /* into the files below dir_fd */
    BVI_UNPACK_CHECK,   /* only count and hash */
    BVI_UNPACK_COMPARE, /* with the files below dir_fd */
} bvi_unpack_mode;

typedef struct bvi_unpack_opts {
    const bvi_manifest *manifest; /* checked; borrowed */
    const bvi_chunk *chunk;       /* of it; borrowed */
    bvi_unpack_mode mode;
    int dir_fd;       /* borrowed; -1 when only checking */
    int64_t times_ns; /* files get this access and modification time; 0: leave alone */
} bvi_unpack_opts;

/* What one unpack holds in memory, its codec included. */
uint64_t bvi_unpack_memory(const bvi_compression *compression);

int bvi_unpack_new(const bvi_unpack_opts *opts, bvi_unpack **ret_unpack, bv_error **err);
void bvi_unpack_free(bvi_unpack *unpack);
BVI_DEFINE_FREEP(bvi_unpack, bvi_unpack_free)

int bvi_unpack_feed(bvi_unpack *unpack, const void *bytes, size_t len, bv_error **err);
/* After the last byte: exact stored size, exact fill, checksum (BV_E_CHECKSUM). Closes the last
 * file. */
int bvi_unpack_finish(bvi_unpack *unpack, bv_error **err);
uint64_t bvi_unpack_stored(const bvi_unpack *unpack); /* bytes fed so far */
uint64_t bvi_unpack_plain(const bvi_unpack *unpack);  /* bytes that came out so far */

/* Makes what a set of chunks wrote durable: the data of their files and the names of these. */
int bvi_unpack_sync(int dir_fd, const bvi_manifest *manifest, const bvi_chunk *const *chunks,
                    size_t count, bv_error **err);

#endif
