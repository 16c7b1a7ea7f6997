/*
 * root_peek.h - the few numbers of a snapshot's root (doc/snapshot-format.md) that a listing shows,
 * without reading its list of pages, which may have millions.
 *
 * The first bytes of the object are enough when it was written as our writers do, with the pages
 * last; what stands behind them is taken as zero. Used by the stores; pure.
 */
#ifndef BVI_TRANSFER_ROOT_PEEK_H
#define BVI_TRANSFER_ROOT_PEEK_H

#include "transfer/store.h"

#define BVI_ROOT_PEEK_BYTES 4096u

/* Fills what the text tells; key and version are the caller's. BV_E_FORMAT: it is no root. */
int bvi_root_peek(const char *text, size_t len, bvi_snapshot_info *info, bv_error **err);

#endif
