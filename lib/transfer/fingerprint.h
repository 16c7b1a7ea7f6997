/*
 * fingerprint.h - one name for everything a transfer's journal depends on; another name, another
 * transfer.
 */
#ifndef BVI_TRANSFER_FINGERPRINT_H
#define BVI_TRANSFER_FINGERPRINT_H

#include "base/blake3.h"

#define BVI_FINGERPRINT_SIZE (2 * BVI_BLAKE3_SIZE + 1) /* hex digits and the zero */

typedef struct bvi_fingerprint {
    bvi_blake3 hash;
} bvi_fingerprint;

void bvi_fingerprint_init(bvi_fingerprint *f, const char *kind);
void bvi_fingerprint_text(bvi_fingerprint *f, const char *text); /* NULL is "" */
void bvi_fingerprint_number(bvi_fingerprint *f, uint64_t value);
void bvi_fingerprint_bytes(bvi_fingerprint *f, const void *bytes, size_t len);
void bvi_fingerprint_final(const bvi_fingerprint *f, char ret_text[BVI_FINGERPRINT_SIZE]);

#endif
