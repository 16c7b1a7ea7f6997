/*
 * chunk.h - what one chunk of an archive is: a stored object and the byte ranges of files it
 * unpacks to.
 *
 * Used by everything that moves archives, and by whoever implements a chunk_source. Plain values
 * without a thread.
 */
#ifndef BVI_TRANSFER_CHUNK_H
#define BVI_TRANSFER_CHUNK_H

#include "base/error.h"
#include "base/json.h"
#include "base/vec.h"

#define BVI_CHUNK_KEY_MAX   1024u      /* bytes of an object key */
#define BVI_CHUNK_URL_MAX   16384u     /* bytes of a (pre-signed) URL */
#define BVI_CHUNKS_MAX      (1u << 20) /* chunks of one archive */
#define BVI_TARGETS_MAX     (1u << 24) /* destinations of one archive */
#define BVI_TARGET_PATH_MAX 4095u      /* bytes of a destination path */
#define BVI_TARGET_NAME_MAX 255u       /* bytes of one component of it */
#define BVI_FILE_BYTES_MAX                                                                         \
    (1ull << 60) /* of one file, of one stored chunk, and of a whole archive */

#define BVI_CHECKSUM_BYTES_MAX 32u

/* Values are those of the wire's oneof. */
typedef enum bvi_checksum_kind {
    BVI_CHECKSUM_NONE = 0,
    BVI_CHECKSUM_SHA1 = 1,
    BVI_CHECKSUM_SHA256 = 2,
    BVI_CHECKSUM_BLAKE3 = 3,
} bvi_checksum_kind;

typedef struct bvi_checksum {
    bvi_checksum_kind kind;
    uint8_t bytes[BVI_CHECKSUM_BYTES_MAX]; /* the first bvi_checksum_len(kind) count */
} bvi_checksum;

size_t bvi_checksum_len(bvi_checksum_kind kind);       /* 20, 32, 32; 0 for none */
const char *bvi_checksum_name(bvi_checksum_kind kind); /* "sha1" ...; "none" */
bool bvi_checksum_equal(const bvi_checksum *a, const bvi_checksum *b);
/* Refuses a wrong length: "expected 32 bytes checksum, but 31 bytes found". */
int bvi_checksum_set(bvi_checksum *sum, bvi_checksum_kind kind, const void *bytes, size_t len,
                     bv_error **err);

typedef enum bvi_codec_kind {
    BVI_CODEC_STORED = 0, /* no compression */
    BVI_CODEC_ZSTD = 1,
} bvi_codec_kind;

typedef struct bvi_compression {
    bvi_codec_kind kind;
    int32_t level; /* 0 for stored */
} bvi_compression;

/* One destination: `size` bytes of file `path` from `pos`. */
typedef struct bvi_target {
    char *path; /* relative, owned */
    uint64_t pos;
    uint64_t size;
} bvi_target;

typedef struct bvi_chunk {
    uint32_t index;
    char *key;                   /* owned; NULL reads as "" */
    char *url;                   /* owned; NULL when not known. Never logged, never stored */
    bvi_checksum checksum;       /* of the bytes as stored */
    uint64_t size;               /* stored bytes */
    BVI_VEC(bvi_target) targets; /* in the order in which the plain bytes fill them */
} bvi_chunk;

void bvi_chunk_init(bvi_chunk *chunk);
void bvi_chunk_done(bvi_chunk *chunk); /* leaves an initialised, empty chunk */
int bvi_chunk_set_key(bvi_chunk *chunk, const char *key, bv_error **err);
int bvi_chunk_set_url(bvi_chunk *chunk, const char *url, bv_error **err); /* NULL clears it */
int bvi_chunk_add_target(bvi_chunk *chunk, const char *path, uint64_t pos, uint64_t size,
                         bv_error **err);
int bvi_chunk_copy(bvi_chunk *to, const bvi_chunk *from,
                   bv_error **err);                     /* `to` is initialised and empty */
uint64_t bvi_chunk_plain_bytes(const bvi_chunk *chunk); /* sum of the targets; saturates */

/* JSON of transfer.md 1.2 and 1.3. Reading accepts "pos" and "position", a missing index (then
 * `position` is taken), url null, "" or missing. Writing uses the name given. Reading checks types
 * and maxima, not paths: see manifest.h. */
int bvi_chunk_from_json(const bvi_json *node, uint32_t position, bvi_chunk *ret_chunk,
                        bv_error **err);
int bvi_chunk_to_json(const bvi_chunk *chunk, const char *pos_name, bvi_json **ret_node,
                      bv_error **err);
int bvi_checksum_from_json(const bvi_json *node, bvi_checksum *ret_sum, bv_error **err);
bvi_json *bvi_checksum_to_json(const bvi_checksum *sum); /* NULL: no memory */
int bvi_compression_from_json(const bvi_json *node, bvi_compression *ret_compression,
                              bv_error **err);
bvi_json *bvi_compression_to_json(const bvi_compression *compression);

#endif
