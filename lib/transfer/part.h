/*
 * part.h - the stored bytes of a chunk under way, kept in the state directory of a download.
 *
 * A chunk that was interrupted goes on at its next byte: what is kept is unpacked again from here
 * instead of from the network. Its checksum is in the name and also tells
 * in the end whether the bytes are right, so nothing else needs to be recorded. Called by fetch.c
 * and download_steps.c on the worker.
 */
#ifndef BVI_TRANSFER_PART_H
#define BVI_TRANSFER_PART_H

#include "transfer/chunk.h"

/* Smaller chunks are simply fetched again. */
#define BVI_PART_CHUNK_MIN (8ull * 1024u * 1024u)

typedef struct bvi_part {
    char *path;    /* NULL: nothing is kept */
    int fd;        /* -1: not open */
    uint64_t size; /* of what is kept */
} bvi_part;

char *bvi_part_path(const char *dir, const bvi_chunk *chunk); /* NULL: no memory */
/* Keeps exactly `at` bytes, or all when at is 0; if there are fewer, none. Failures just keep
 * nothing. */
void bvi_part_open(bvi_part *part, uint64_t at, uint64_t chunk_size);
void bvi_part_append(bvi_part *part, const void *bytes, size_t len);
void bvi_part_remove(bvi_part *part);
void bvi_part_done(bvi_part *part);        /* what is kept stays */
void bvi_part_remove_all(const char *dir); /* of all chunks */

#endif
