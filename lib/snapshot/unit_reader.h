/*
 * unit_reader.h - the data of a unit's files: read, cut into chunks and hashed, a few MiB at a
 * time. Files are opened below the source directory without following links. Blocking; for a
 * worker; one thread at a time.
 */
#ifndef BVI_SNAPSHOT_UNIT_READER_H
#define BVI_SNAPSHOT_UNIT_READER_H

#include "snapshot/cut.h"
#include "snapshot/unit.h"

/* A chunk in the reader's buffer. */
typedef struct bvi_read_chunk {
    uint8_t *bytes;
    uint32_t len;
    bvi_hash256 hash;
} bvi_read_chunk;

typedef struct bvi_unit_reader {
    int dir_fd; /* borrowed */
    uint8_t *buffer;
    size_t len;                      /* bytes in it */
    size_t cut;                      /* of them, in chunks already */
    BVI_VEC(bvi_snap_extent) pieces; /* where the bytes behind `cut` lie in the file */
    BVI_VEC(bvi_read_chunk) chunks;  /* of the last step; valid until the next */
    /* the large file at hand */
    int fd;
    bvi_cut_rule rule;
    uint64_t pos;      /* the next byte to read */
    uint64_t data_end; /* of the data that pos lies in */
    bool dense;        /* it has no holes */
    bool changed;      /* a file was not what the walk saw: the unit is whole, but must not stay */
} bvi_unit_reader;

#define BVI_UNIT_READER_MEMORY BVI_SNAP_CHUNK_MAX

void bvi_unit_reader_init(bvi_unit_reader *reader, int dir_fd);
void bvi_unit_reader_done(bvi_unit_reader *reader);
/* Begins with a unit, a BUNDLE or FILE that is not done. Does nothing yet. */
void bvi_unit_reader_begin(bvi_unit_reader *reader);
/* The next chunks, in the unit and in reader->chunks. 1: there is more; 0: the unit is complete. */
int bvi_unit_reader_step(bvi_unit_reader *reader, bvi_unit *unit, bv_error **err);

#endif
