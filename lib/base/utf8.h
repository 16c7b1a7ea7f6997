/*
 * utf8.h - UTF-8 by hand: validation, decoding, encoding.
 */
#ifndef BVI_BASE_UTF8_H
#define BVI_BASE_UTF8_H

#include "base/mem.h"

bool bvi_utf8_valid(const char *text, size_t len);
/* Decodes one scalar at text (len > 0) and stores how many bytes it took; -1 for a malformed
 * sequence (1 byte). */
int32_t bvi_utf8_decode(const char *text, size_t len, size_t *ret_used);
/* Encodes a scalar into out[4]; returns the number of bytes, 0 for a surrogate or a value out of
 * range. */
size_t bvi_utf8_encode(uint32_t scalar, char out[4]);
/* White space as Unicode has it (White_Space). */
bool bvi_utf8_is_space(int32_t scalar);

#endif
