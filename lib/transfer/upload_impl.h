/*
 * upload_impl.h - the inside of an upload, shared by its three files:
 * upload.c has the phases, upload_steps.c what they do on the worker, upload_run.c the chunks under
 * way.
 */
#ifndef BVI_TRANSFER_UPLOAD_IMPL_H
#define BVI_TRANSFER_UPLOAD_IMPL_H

#include <stdatomic.h>

#include "base/id.h"
#include "io/budget.h"
#include "io/op.h"
#include "io/work.h"
#include "transfer/fingerprint.h"
#include "transfer/journal.h"
#include "transfer/limits.h"
#include "transfer/pack.h"
#include "transfer/report.h"
#include "transfer/send.h"
#include "transfer/space.h"
#include "transfer/spool.h"
#include "transfer/upload.h"

typedef enum bvi_part_state {
    BVI_PART_TODO,
    BVI_PART_BUSY,   /* a packer has it */
    BVI_PART_STORED, /* in the store, not in the journal yet */
    BVI_PART_DONE,
} bvi_part_state;

typedef enum bvi_packer_state {
    BVI_PACKER_IDLE,
    BVI_PACKER_CLAIMING,  /* waits for its share of the budget */
    BVI_PACKER_WANTS_URL, /* ready to pack, or to send, but for a fresh URL or a free connection */
    BVI_PACKER_PACKING,   /* on the worker */
    BVI_PACKER_SENDING,
    BVI_PACKER_WAITING, /* for its timer, before another attempt */
} bvi_packer_state;

typedef struct bvi_upload bvi_upload;

typedef struct bvi_packer {
    bvi_upload *u;
    bvi_packer_state state;
    bvi_claim claim; /* granted while it has a chunk */
    uint32_t index;
    /* packing; on the worker while work is pending */
    bvi_work work;
    bvi_pack *pack;
    bvi_spool spool;
    uint8_t *buffer;
    bv_error *err;
    bool packed;    /* the spool is whole; size and sum are known */
    bool committed; /* and in place: it was a file URL */
    uint64_t size;
    bvi_checksum sum;
    /* sending */
    bvi_send *send;
    bvi_retry retry;
    bvi_timer *timer;
    uint32_t renewals;
    uint64_t counted_plain; /* of this chunk, already in the report */
} bvi_packer;

typedef BVI_VEC(uint32_t) bvi_part_list;

struct bvi_upload {
    bv_ctx *ctx;
    bv_op *op;
    bvi_upload_opts opts;
    bvi_strv exclude; /* opts.exclude points to it */
    bvi_chunk_source *own_source;
    bv_transfer_done_fn done;
    void *data;
    bvi_report report;
    /* what is uploaded */
    bvi_scan scan;
    bvi_manifest manifest;
    char id[BVI_FINGERPRINT_SIZE];
    uint8_t *states; /* a bvi_part_state for each chunk */
    int64_t *url_us;
    uint64_t version; /* 0: not known yet */
    int source_fd;
    int lock_fd;
    bvi_journal journal;
    /* what the journal said */
    char journal_id[BVI_FINGERPRINT_SIZE];
    char lease[BVI_ID_TEXT_SIZE];
    bool journal_ours;       /* its header is of this archive */
    bool journal_publishing; /* the manifest was about to be published */
    BVI_VEC(bvi_chunk) journal_chunks;
    /* one step of a phase, on the worker */
    bvi_work step;
    int (*step_run)(bvi_upload *u, bv_error **err);
    void (*step_next)(bvi_upload *u);
    bv_error *step_err;
    bool step_pending;
    /* the source's call under way */
    bool source_busy;
    uint32_t asked[BVI_SOURCE_BATCH_MAX];
    size_t n_asked;
    /* chunks under way */
    bvi_http *http;
    bvi_packer *packers;
    uint32_t n_packers;
    bvi_amounts packer_needs;
    uint32_t packer_threads; /* of each codec; 1: the worker's own */
    uint32_t connections;
    uint32_t cursor;
    uint32_t open_chunks; /* not DONE */
    bool running;
    bv_error *full; /* a disk is; what is under way ends, and then it waits */
    char *full_path;
    char *store_dir;       /* where manifests of a directory store go; NULL: it is none */
    uint64_t full_bytes;   /* that are needed there; 0: not known */
    uint32_t packers_most; /* fewer than there are when they filled a disk together */
    bool record_waits;     /* for room */
    bvi_space space;
    void (*again)(bvi_upload *u); /* what failed for want of room */
    /* chunks that wait for their record */
    bvi_part_list stored;
    bvi_part_list recording;
    bvi_work record;
    bool record_pending;
    bv_error *record_err;
    /* the end */
    atomic_bool stopping; /* workers read it */
    bool forget;          /* the journal is of no use any longer */
    bv_error *err;
    bool completed;
};

/* Steps; on the worker. */
int bvi_upload_step_plan(bvi_upload *u, bv_error **err);    /* everything up to the blueprint */
int bvi_upload_step_version(bvi_upload *u, bv_error **err); /* records u->version */
int bvi_upload_step_recheck(bvi_upload *u,
                            bv_error **err); /* nothing changed; records that publishing begins */
int bvi_upload_step_finish(bvi_upload *u, bv_error **err);
int bvi_upload_step_forget(bvi_upload *u, bv_error **err);
int bvi_upload_record_stored(bvi_upload *u, bv_error **err); /* u->recording */

/* Chunks; on the loop. */
int bvi_upload_run_start(bvi_upload *u, bv_error **err);
void bvi_upload_run_free(bvi_upload *u);
void bvi_upload_pump(bvi_upload *u);
bool bvi_upload_run_idle(const bvi_upload *u);
void bvi_upload_run_stop(bvi_upload *u);
/* Slots of an answer. */
int bvi_upload_take_slots(bvi_upload *u, const bvi_upload_slot *slots, size_t count,
                          bv_error **err);
/* The slots that are wanted next, into u->asked. */
void bvi_upload_choose_slots(bvi_upload *u);

/* Phases. */
void bvi_upload_fail(bvi_upload *u, bv_error *err);
void bvi_upload_settle(bvi_upload *u);
/* Takes err: the upload fails, or waits for room to do something again. */
void bvi_upload_pause_or_fail(bvi_upload *u, bv_error *err, const char *path, uint64_t needed,
                              void (*again)(bvi_upload *u));
int bvi_upload_ask_slots(bvi_upload *u, bvi_source_slots_fn done, bv_error **err);

#endif
