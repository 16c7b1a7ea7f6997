/*
 * page_impl.h - what writing and reading pages share.
 */
#ifndef BVI_SNAPSHOT_PAGE_IMPL_H
#define BVI_SNAPSHOT_PAGE_IMPL_H

#include "snapshot/format.h"

#define BVI_PAGE_MAGIC      "BVSP\1"
#define BVI_PAGE_MAGIC_LEN  5u
#define BVI_PAGE_VARINT_MAX 10u

/* The rules for one entry and for one frame by themselves (rules.c). Bytes of the path before
 * `checked` are known to be right. */
int bvi_snap_entry_check(const bvi_snap_entry *entry, size_t path_len, size_t checked,
                         bv_error **err);
int bvi_snap_frame_check(const bvi_snap_frame *frame, bv_error **err);
/* bvi_snap_path_follows() where the first `same` bytes of both are known to be equal; those of prev
 * are not looked at. */
bool bvi_snap_path_follows_from(const char *prev, size_t prev_len, bvi_snap_kind kind,
                                const char *path, size_t len, size_t same);

#endif
