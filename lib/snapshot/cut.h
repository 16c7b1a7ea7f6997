/*
 * cut.h - where the data of a file is cut into chunks. No I/O.
 */
#ifndef BVI_SNAPSHOT_CUT_H
#define BVI_SNAPSHOT_CUT_H

#include "snapshot/format.h"

#define BVI_CUT_SMALL       (256u * 1024u)        /* smaller files are put together */
#define BVI_CUT_BUNDLE      (1024u * 1024u)       /* up to this */
#define BVI_CUT_SEGMENT     (64ull * 1024 * 1024) /* content cuts begin anew at multiples of it */
#define BVI_CUT_CONTENT_MIN (256u * 1024u)
#define BVI_CUT_CONTENT_AVG (1024u * 1024u)
#define BVI_CUT_CONTENT_MAX BVI_SNAP_CHUNK_MAX
#define BVI_CUT_PROBE       8192u /* bytes of a file's beginning that tell its kind */

typedef enum bvi_cut_kind {
    BVI_CUT_CONTENT,
    BVI_CUT_GRID,
} bvi_cut_kind;

typedef struct bvi_cut_rule {
    bvi_cut_kind kind;
    uint32_t grid; /* bytes; GRID */
} bvi_cut_rule;

/* From the first bytes (fewer at the end of a short file) and the size. */
bvi_cut_rule bvi_cut_rule_of(const void *probe, size_t len, uint64_t file_size);
/*
 * How many of the `len` bytes at `bytes` are the next chunk; `pos` is where they lie in the file.
 * 0: more bytes are needed to tell, which cannot be when len is at least BVI_SNAP_CHUNK_MAX or
 * `last` (nothing comes behind them).
 */
size_t bvi_cut_next(const bvi_cut_rule *rule, uint64_t pos, const void *bytes, size_t len,
                    bool last);

#endif
