/*
 * fingerprint.c - a BLAKE3 over length-prefixed fields. Used by download.c and upload.c.
 */
#include <string.h>

#include "transfer/fingerprint.h"

void bvi_fingerprint_init(bvi_fingerprint *f, const char *kind)
{
    bvi_blake3_init(&f->hash);
    bvi_fingerprint_text(f, kind);
}

void bvi_fingerprint_bytes(bvi_fingerprint *f, const void *bytes, size_t len)
{
    bvi_fingerprint_number(f, len);
    bvi_blake3_update(&f->hash, bytes, len);
}

void bvi_fingerprint_text(bvi_fingerprint *f, const char *text)
{
    bvi_fingerprint_bytes(f, text ? text : "", text ? strlen(text) : 0);
}

void bvi_fingerprint_number(bvi_fingerprint *f, uint64_t value)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    bvi_blake3_update(&f->hash, bytes, sizeof(bytes));
}

void bvi_fingerprint_final(const bvi_fingerprint *f, char ret_text[BVI_FINGERPRINT_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[BVI_BLAKE3_SIZE];

    bvi_blake3_final(&f->hash, digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        ret_text[2 * i] = hex[digest[i] >> 4];
        ret_text[2 * i + 1] = hex[digest[i] & 15];
    }
    ret_text[2 * sizeof(digest)] = '\0';
}
