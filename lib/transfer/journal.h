/*
 * journal.h - what a transfer has finished, as an append-only file.
 *
 * One record a line: sixteen hex digits of the BLAKE3 of the rest, a space, a JSON object. A line
 * that is cut short or damaged ends the journal: it and all behind it are dropped when the file is
 * loaded. Records are buffered until bvi_journal_sync(), which the caller orders after syncing the
 * data they speak of. Blocking; one thread at a time.
 */
#ifndef BVI_TRANSFER_JOURNAL_H
#define BVI_TRANSFER_JOURNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

#define BVI_JOURNAL_MAX        (512u * 1024u * 1024u)
#define BVI_JOURNAL_RECORD_MAX (64u * 1024u)

typedef struct bvi_journal {
    int fd;
    char *path;
    bvi_buf pending;
} bvi_journal;

/* Called for each record in order. A negative return ends loading and is passed on. */
typedef int (*bvi_journal_fn)(const bvi_json *record, void *data, bv_error **err);

void bvi_journal_init(bvi_journal *journal);
void bvi_journal_done(bvi_journal *journal);
/* Opens, making it if missing, and reads what is there. */
int bvi_journal_open(bvi_journal *journal, const char *path, bvi_journal_fn fn, void *data,
                     bv_error **err);
int bvi_journal_append(bvi_journal *journal, const bvi_json *record, bv_error **err);
int bvi_journal_sync(bvi_journal *journal, bv_error **err);
/* Writes without waiting for the disk: for records whose loss costs time only. They survive the end
 * of the process. */
int bvi_journal_flush(bvi_journal *journal, bv_error **err);
int bvi_journal_clear(bvi_journal *journal, bv_error **err);  /* empty and durable: starts over */
int bvi_journal_remove(bvi_journal *journal, bv_error **err); /* closes and deletes the file */

#endif
