/*
 * pack_journal.h - what an interrupted upload has in the store already: its reservation, and each
 * pack with the frames in it.
 *
 * Append-only; a record that is cut short or damaged ends it. Frames say all about themselves, so a
 * journal stays good when settings change. Read as a stream, since a large upload has millions of
 * frames. Blocking; for a worker; one thread at a time.
 */
#ifndef BVI_SNAPSHOT_PACK_JOURNAL_H
#define BVI_SNAPSHOT_PACK_JOURNAL_H

#include "base/id.h"
#include "snapshot/format.h"
#include "transfer/store.h"

/* Frames of one pack, so that its record has a bound. */
#define BVI_PACK_FRAMES_MAX 16384u

typedef BVI_VEC(bvi_snap_frame) bvi_snap_frames;

typedef struct bvi_pack_journal_head {
    char key[BVI_STORE_KEY_MAX + 1]; /* "": a new journal */
    bvi_hash256 place;               /* which store */
    char lease[BVI_ID_TEXT_SIZE];
    int64_t began_us; /* wall clock; none of the packs is older */
    uint64_t version; /* 0: none reserved yet */
    bool publishing;  /* the root was about to be put */
    bvi_hash256 root; /* of its bytes; publishing only */
} bvi_pack_journal_head;

typedef struct bvi_pack_journal bvi_pack_journal;

/* Opens, making it if missing, and cuts off a damaged end. */
int bvi_pack_journal_open(const char *path, bvi_pack_journal_head *ret_head,
                          bvi_pack_journal **ret_journal, bv_error **err);
void bvi_pack_journal_free(bvi_pack_journal *journal);
BVI_DEFINE_FREEP(bvi_pack_journal, bvi_pack_journal_free)

uint64_t
bvi_pack_journal_packs(const bvi_pack_journal *journal); /* recorded before it was opened */
/* The next pack recorded before, its frames in place of what is in `frames`. 1, or 0: no more. */
int bvi_pack_journal_next(bvi_pack_journal *journal, bvi_snap_frames *frames, bv_error **err);

/* Starts over, durably, with this head. */
int bvi_pack_journal_restart(bvi_pack_journal *journal, const bvi_pack_journal_head *head,
                             bv_error **err);
/* The head's version and publishing, durably. */
int bvi_pack_journal_update(bvi_pack_journal *journal, const bvi_pack_journal_head *head,
                            bv_error **err);
/* Written, not synced: losing a record costs sending its pack again. */
int bvi_pack_journal_add(bvi_pack_journal *journal, const bvi_snap_frame *frames, size_t n,
                         bv_error **err);
int bvi_pack_journal_remove(bvi_pack_journal *journal, bv_error **err);

#endif
