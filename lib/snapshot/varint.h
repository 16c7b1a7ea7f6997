/*
 * varint.h - little-endian base-128 numbers of state files. (Those of pages are checked more
 * strictly, in page.c.)
 */
#ifndef BVI_SNAPSHOT_VARINT_H
#define BVI_SNAPSHOT_VARINT_H

#include "base/buf.h"

#define BVI_VARINT_MAX 10u /* bytes */

static inline int bvi_varint_put(bvi_buf *buf, uint64_t value)
{
    uint8_t bytes[BVI_VARINT_MAX];
    size_t len = 0;

    do {
        bytes[len++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    return bvi_buf_append(buf, bytes, len);
}

/* Moves *at on; false when the bytes end or the number does not. */
static inline bool bvi_varint_get(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

#endif
