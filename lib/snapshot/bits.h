/*
 * bits.h - which chunks of a download are durable: one bit each, in a mapped file of the state
 * directory.
 *
 * The header binds the file to one snapshot and to the settings it is restored with; with others it
 * starts empty. A bit is set only after the data it speaks of was synced, so it may be believed
 * after any crash; it is cleared, and that is made durable, before the data's place is made anew.
 * Each call may come from any thread.
 */
#ifndef BVI_SNAPSHOT_BITS_H
#define BVI_SNAPSHOT_BITS_H

#include "snapshot/format.h"
#include "transfer/fingerprint.h"

typedef struct bvi_bits {
    int fd;
    uint8_t *map; /* of the whole file */
    size_t map_len;
    uint64_t count;
} bvi_bits;

/* What a file says before it is opened for good. */
typedef struct bvi_bits_header {
    uint64_t version;
    uint64_t count;
    bvi_hash256 root;
    char settings[BVI_FINGERPRINT_SIZE];
} bvi_bits_header;

void bvi_bits_init(bvi_bits *bits);
void bvi_bits_done(bvi_bits *bits);
/* False: there is none, or none that can be read. */
bool bvi_bits_peek(const char *path, bvi_bits_header *ret_header);
/* Goes on with what is there if it is for the same; else, or when `anew`, all bits are 0. */
int bvi_bits_open(bvi_bits *bits, const char *path, const bvi_bits_header *header, bool anew,
                  bv_error **err);
bool bvi_bits_get(const bvi_bits *bits, uint64_t index);
void bvi_bits_set(bvi_bits *bits, uint64_t index);
/* True: it was set. */
bool bvi_bits_clear(bvi_bits *bits, uint64_t index);
int bvi_bits_sync(bvi_bits *bits, bv_error **err);

#endif
