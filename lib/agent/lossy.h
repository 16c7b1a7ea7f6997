/*
 * lossy.h - bytes of commands and servers made fit for scripts, which know only UTF-8.
 */
#ifndef BVI_AGENT_LOSSY_H
#define BVI_AGENT_LOSSY_H

#include "base/buf.h"

/* Appends bytes as UTF-8: each longest piece that is not becomes U+FFFD. 0, BV_E_NOMEM or
 * BV_E_LIMIT. */
int bvi_append_lossy_utf8(bvi_buf *to, const char *bytes, size_t len);

#endif
