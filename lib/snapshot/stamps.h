/*
 * stamps.h - what an upload saw of each entry, kept so that the next one need not read what did not
 * change.
 *
 * One file, in the order of the walk, written and read as a stream. It is written under another
 * name and means something only once its head is written, which comes last. Blocking; for a worker;
 * one thread at a time.
 */
#ifndef BVI_SNAPSHOT_STAMPS_H
#define BVI_SNAPSHOT_STAMPS_H

#include "snapshot/format.h"
#include "transfer/scan.h"
#include "transfer/store.h"

typedef struct bvi_stamps_head {
    char key[BVI_STORE_KEY_MAX + 1];
    uint64_t version;
    bvi_hash256 root;  /* of the root object's bytes */
    int64_t before_ns; /* since 1970: what changed later may change again without a trace */
} bvi_stamps_head;

/* ---- writing ---- */

typedef struct bvi_stamps_writer bvi_stamps_writer;

int bvi_stamps_writer_new(const char *path, bvi_stamps_writer **ret_writer, bv_error **err);
void bvi_stamps_writer_free(bvi_stamps_writer *writer);
BVI_DEFINE_FREEP(bvi_stamps_writer, bvi_stamps_writer_free)
int bvi_stamps_add(bvi_stamps_writer *writer, bvi_snap_kind kind, const char *path,
                   const bvi_file_stamp *stamp, bv_error **err);
/* All that was added can be read now, by a reader of a file without a head. */
int bvi_stamps_flush(bvi_stamps_writer *writer, bv_error **err);
/* Writes the head; the file is durable afterwards. */
int bvi_stamps_finish(bvi_stamps_writer *writer, const bvi_stamps_head *head, bv_error **err);

/* ---- reading ---- */

typedef struct bvi_stamps_reader bvi_stamps_reader;

/* Valid until the next step. */
typedef struct bvi_stamps_item {
    bvi_snap_kind kind;
    const char *path;
    bvi_file_stamp stamp;
} bvi_stamps_item;

/* BV_E_NOT_FOUND, or BV_E_FORMAT for one that was not finished. ret_head NULL: the head does not
 * matter, and there may be none. */
int bvi_stamps_reader_new(const char *path, bvi_stamps_head *ret_head,
                          bvi_stamps_reader **ret_reader, bv_error **err);
void bvi_stamps_reader_free(bvi_stamps_reader *reader);
BVI_DEFINE_FREEP(bvi_stamps_reader, bvi_stamps_reader_free)
/* 1: *ret_item is the next; 0: no more; BV_E_FORMAT: what follows is damaged. */
int bvi_stamps_next(bvi_stamps_reader *reader, bvi_stamps_item *ret_item, bv_error **err);

#endif
