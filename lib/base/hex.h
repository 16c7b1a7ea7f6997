/*
 * hex.h - bytes as hexadecimal text.
 */
#ifndef BVI_BASE_HEX_H
#define BVI_BASE_HEX_H

#include "base/mem.h"

#define BVI_HEX_SIZE(len) ((len)*2u + 1u) /* characters and the zero */

void bvi_hex_encode(const void *bytes, size_t len,
                    char *ret_text); /* lower case; BVI_HEX_SIZE(len) bytes */
/* text must be exactly the 2 * len digits, of either case. */
bool bvi_hex_decode(const char *text, void *ret_bytes, size_t len);

#endif
