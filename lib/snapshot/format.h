/*
 * format.h - what a snapshot is made of (doc/snapshot-format.md): numbers and values shared by
 * everything in this module.
 *
 * Plain values without a thread.
 */
#ifndef BVI_SNAPSHOT_FORMAT_H
#define BVI_SNAPSHOT_FORMAT_H

#include <string.h>

#include "base/blake3.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/vec.h"

#define BVI_SNAP_CHUNK_MAX (4u * 1024u * 1024u) /* plain bytes of a chunk */
#define BVI_SNAP_FRAME_MAX (BVI_SNAP_CHUNK_MAX + 64u * 1024u)
#define BVI_SNAP_PAGE_MAX  (1024u * 1024u)
#define BVI_SNAP_PACK_BYTES                                                                        \
    (8u * 1024u * 1024u) /* a writer closes a pack before it would grow beyond */
#define BVI_SNAP_PACK_MAX    (64u * 1024u * 1024u) /* a reader refuses larger ones */
#define BVI_SNAP_ROOT_MAX    (16u * 1024u * 1024u) /* 50 000 pages: a thousand million chunks */
#define BVI_SNAP_PAGES_MAX   (1u << 16)
#define BVI_SNAP_PATH_MAX    4095u
#define BVI_SNAP_NAME_MAX    255u
#define BVI_SNAP_XATTRS_MAX  256u
#define BVI_SNAP_XATTR_BYTES (64u * 1024u)
#define BVI_SNAP_FILE_MAX    (1ull << 60)

#define BVI_SNAP_ROOT_NAME   "snapshot.json"
#define BVI_SNAP_SIG_NAME    "snapshot.json.sig"
#define BVI_SNAP_LATEST_NAME "latest.json"
#define BVI_SNAP_PRUNE_NAME  "prune.json"

typedef struct bvi_hash256 {
    uint8_t bytes[BVI_BLAKE3_SIZE];
} bvi_hash256;

static inline bool bvi_hash256_equal(const bvi_hash256 *a, const bvi_hash256 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

typedef enum bvi_snap_codec {
    BVI_SNAP_STORED = 0,
    BVI_SNAP_ZSTD = 1,
    BVI_SNAP_LZ4 = 2,
} bvi_snap_codec;

/* Where a frame lies, and what it becomes. */
typedef struct bvi_snap_frame {
    bvi_hash256 hash; /* of the plain bytes */
    bvi_hash256 pack;
    uint64_t offset; /* in the pack */
    uint32_t stored;
    uint32_t plain;
    bvi_snap_codec codec;
} bvi_snap_frame;

typedef enum bvi_snap_kind {
    BVI_SNAP_DIR = 1,
    BVI_SNAP_FILE = 2,
    BVI_SNAP_CONTINUED = 3, /* the file that the previous page ended with */
    BVI_SNAP_SYMLINK = 4,
    BVI_SNAP_HARDLINK = 5,
} bvi_snap_kind;

typedef struct bvi_snap_extent {
    uint64_t pos; /* absolute, in the file */
    uint64_t len;
} bvi_snap_extent;

typedef struct bvi_snap_xattr {
    const char *name; /* NUL-terminated */
    const uint8_t *value;
    size_t value_len;
} bvi_snap_xattr;

/* Pointers are borrowed: from whoever made it when writing, from the page's reader when reading. */
typedef struct bvi_snap_entry {
    bvi_snap_kind kind;
    const char *path; /* NUL-terminated; "" is the snapshot's own directory */
    uint32_t mode;    /* 07777 */
    uint32_t uid;
    uint32_t gid;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t size;      /* FILE, CONTINUED: of the whole file, holes included */
    const char *target; /* SYMLINK: its text; HARDLINK: path of the file */
    const bvi_snap_xattr *xattrs;
    size_t n_xattrs;
    const bvi_snap_extent *extents; /* those of this page */
    size_t n_extents;
} bvi_snap_entry;

#endif
