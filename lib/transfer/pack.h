/*
 * pack.h - turns the files of one chunk into its stored bytes.
 *
 * Reads the destinations one after the other through the encoder and the checksum, in small steps;
 * refuses a file that is not what the scan saw, before and after it was read. Blocking; for a
 * worker; one thread at a time.
 */
#ifndef BVI_TRANSFER_PACK_H
#define BVI_TRANSFER_PACK_H

#include "transfer/manifest.h"
#include "transfer/scan.h"

typedef struct bvi_pack bvi_pack;

typedef struct bvi_pack_opts {
    int dir_fd;             /* of the source directory; borrowed */
    const bvi_scan *scan;   /* borrowed */
    const bvi_chunk *chunk; /* its targets; borrowed */
    bvi_compression compression;
    uint32_t threads; /* of the codec; 0 or 1: the calling one alone */
} bvi_pack_opts;

uint64_t bvi_pack_memory(const bvi_compression *compression, uint32_t threads);

int bvi_pack_new(const bvi_pack_opts *opts, bvi_pack **ret_pack, bv_error **err);
void bvi_pack_free(bvi_pack *pack);
BVI_DEFINE_FREEP(bvi_pack, bvi_pack_free)

/* Makes up to `cap` stored bytes, possibly none after reading a good deal of well compressible
 * input. *ret_end: that was the last of them. */
int bvi_pack_read(bvi_pack *pack, uint8_t *out, size_t cap, size_t *ret_made, bool *ret_end,
                  bv_error **err);
uint64_t bvi_pack_plain(const bvi_pack *pack); /* bytes read so far */
/* After the end. */
int bvi_pack_result(bvi_pack *pack, uint64_t *ret_size, bvi_checksum *ret_sum, bv_error **err);

#endif
