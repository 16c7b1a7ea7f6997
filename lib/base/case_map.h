/*
 * case_map.h - upper and lower case of Unicode characters.
 */
#ifndef BVI_BASE_CASE_MAP_H
#define BVI_BASE_CASE_MAP_H

#include "base/buf.h"

/* One for one; a character whose other case has several characters stays as it is. */
uint32_t bvi_case_char(uint32_t c, bool upper);
/* Appends the other case, of however many characters. */
int bvi_case_text(bvi_buf *out, uint32_t c, bool upper);

#endif
