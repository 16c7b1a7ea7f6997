/*
 * line_diff.h - how two texts differ, line by line. Pure; any thread.
 */
#ifndef BVI_PLUGIN_LINE_DIFF_H
#define BVI_PLUGIN_LINE_DIFF_H

#include "base/buf.h"

/* Between what both begin and end with; longer parts are told whole, the old one first. */
#define BVI_LINE_DIFF_LINES_MAX 1000u
/* Equal lines shown around differing ones. */
#define BVI_LINE_DIFF_CONTEXT 3u

/* Appends "- " before lines only the old text has, "+ " before lines only the new one has, and "  "
 * before some that both have; nothing when they are equal. BV_E_NOMEM, or BV_E_LIMIT of the buffer.
 */
int bvi_line_diff(const char *old_text, const char *new_text, bvi_buf *out);

#endif
