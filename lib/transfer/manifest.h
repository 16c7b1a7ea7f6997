/*
 * manifest.h - all chunks of one archive version, and the proof that together they make whole
 * files.
 *
 * A manifest from outside is untrusted. bvi_manifest_check() is the only place that decides whether
 * it may be acted on; after it passed, `files` holds every file once with its final size, and every
 * later step may rely on it.
 */
#ifndef BVI_TRANSFER_MANIFEST_H
#define BVI_TRANSFER_MANIFEST_H

#include "transfer/chunk.h"

/* manifest-header.json and manifest-body.json in a store. */
#define BVI_MANIFEST_HEADER_MAX (64u * 1024u)
#define BVI_MANIFEST_BODY_MAX   (1024u * 1024u * 1024u)
/* No chunk's description in a body is longer; the body is decoded one chunk at a time. */
#define BVI_MANIFEST_CHUNK_TEXT_MAX (256u * 1024u * 1024u)

/* A file as the ranges of all chunks describe it. */
typedef struct bvi_manifest_file {
    const char *path; /* borrowed from a target of the manifest */
    uint64_t size;
    bool is_protected; /* a download leaves it alone */
} bvi_manifest_file;

typedef struct bvi_manifest {
    uint64_t total_size; /* plain bytes */
    bvi_compression compression;
    BVI_VEC(bvi_chunk) chunks;
    BVI_VEC(bvi_manifest_file) files; /* sorted by path; filled by bvi_manifest_check() */
} bvi_manifest;

typedef struct bvi_manifest_header {
    uint64_t total_size;
    bvi_compression compression;
    uint32_t chunks;
} bvi_manifest_header;

void bvi_manifest_init(bvi_manifest *manifest);
void bvi_manifest_done(bvi_manifest *manifest);
bvi_chunk *
bvi_manifest_add_chunk(bvi_manifest *manifest); /* initialised; NULL: no memory or too many */
/* NULL when the manifest has no such file. After a check only. */
const bvi_manifest_file *bvi_manifest_find(const bvi_manifest *manifest, const char *path);

/*
 * Refuses, naming chunk and path: absolute paths, empty, "." and ".." components, NUL, too long
 * ones, two spellings of one file, a file that is also a directory, ranges that overflow, overlap
 * or leave a gap before the file's end, chunks without destinations or without checksum, indexes
 * that are not 0..n-1 in order, a wrong sum, and any maximum passed.
 */
int bvi_manifest_check(bvi_manifest *manifest, bv_error **err);
/* The rule for one destination path, for whoever reads paths elsewhere. */
int bvi_target_path_check(const char *path, bv_error **err);

int bvi_manifest_header_parse(const char *text, size_t len, bvi_manifest_header *ret_header,
                              bv_error **err);
int bvi_manifest_header_print(const bvi_manifest *manifest, char **ret_text, size_t *ret_len,
                              bv_error **err);
/* Adds the chunks of a body to the manifest, indexes by position. Does not check. */
int bvi_manifest_body_parse(const char *text, size_t len, bvi_manifest *manifest, bv_error **err);
int bvi_manifest_body_print(const bvi_manifest *manifest, bvi_buf *text, bv_error **err);

#endif
