/*
 * text.h - two conversions scripts know by name (spec plugin.md 4.4, 4.10). Pure; any thread.
 */
#ifndef BVI_PLUGIN_TEXT_H
#define BVI_PLUGIN_TEXT_H

#include "base/error.h"

/* A text as one word for a shell, in double quotes; whatever could mean something there is refused.
 * A line end becomes the two characters "\n". */
int bvi_sanitize_sh_param(const char *text, size_t len, char **ret_quoted, bv_error **err);

/* An optional "0x", an optional sign, hexadecimal digits. */
int bvi_parse_hex(const char *text, size_t len, int64_t *ret_value, bv_error **err);

#endif
