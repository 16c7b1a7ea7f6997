/*
 * download_impl.h - the inside of a download, shared by its three files:
 * download.c has the phases, download_steps.c what they do on the worker, download_run.c the chunks
 * under way.
 */
#ifndef BVI_TRANSFER_DOWNLOAD_IMPL_H
#define BVI_TRANSFER_DOWNLOAD_IMPL_H

#include <stdatomic.h>

#include "io/budget.h"
#include "io/op.h"
#include "io/work.h"
#include "transfer/download.h"
#include "transfer/fetch.h"
#include "transfer/fingerprint.h"
#include "transfer/journal.h"
#include "transfer/report.h"
#include "transfer/space.h"

typedef enum bvi_chunk_state {
    BVI_CHUNK_TODO,
    BVI_CHUNK_BUSY,    /* a runner has it */
    BVI_CHUNK_WRITTEN, /* verified, not durable yet */
    BVI_CHUNK_DONE,    /* durable and in the journal */
} bvi_chunk_state;

typedef enum bvi_runner_state {
    BVI_RUNNER_IDLE,
    BVI_RUNNER_CLAIMING,  /* waits for its share of the budget */
    BVI_RUNNER_WANTS_URL, /* ready but for a fresh URL or a free connection */
    BVI_RUNNER_FETCHING,
    BVI_RUNNER_WAITING, /* for its timer, before another attempt */
} bvi_runner_state;

typedef struct bvi_download bvi_download;

typedef struct bvi_runner {
    bvi_download *d;
    bvi_runner_state state;
    bvi_claim claim; /* granted while it has a chunk */
    uint32_t index;
    bvi_unpack *unpack;
    bvi_fetch *fetch;
    bvi_retry retry;
    bvi_timer *timer;
    uint32_t renewals;      /* URLs that were refused in a row */
    bool refetched;         /* its bytes were wrong once */
    uint64_t furthest;      /* stored bytes any attempt got to, if it was a step worth counting */
    uint64_t counted_plain; /* of this chunk, already in the report */
    uint64_t counted_stored;
} bvi_runner;

typedef BVI_VEC(uint32_t) bvi_index_list;

struct bvi_download {
    bv_ctx *ctx;
    bv_op *op;
    bvi_download_opts opts;
    bvi_unpack_mode mode;
    bvi_chunk_source *own_source; /* freed with the download; NULL: it is the caller's */
    bv_transfer_done_fn done;
    void *data;
    bvi_report report;
    /* what was learned */
    bvi_archive_metadata metadata;
    bvi_manifest manifest;
    uint8_t *states; /* a bvi_chunk_state for each chunk */
    int64_t *url_us; /* when its URL came, for each chunk; 0: never */
    /* files */
    int dest_fd;
    int lock_fd;
    bvi_journal journal;
    int64_t times_ns;
    /* what the journal said */
    uint64_t journal_version;
    char journal_id[BVI_FINGERPRINT_SIZE];
    bool journal_ours; /* its header is of this archive */
    bvi_index_list journal_done;
    /* one step of a phase, on the worker */
    bvi_work step;
    int (*step_run)(bvi_download *d, bv_error **err);
    void (*step_next)(bvi_download *d);
    bv_error *step_err;
    bool step_pending;
    /* the source's call under way */
    bool source_busy;
    uint32_t described; /* chunks whose description came */
    uint32_t asked[BVI_SOURCE_BATCH_MAX];
    size_t n_asked;
    /* chunks under way */
    bvi_http *http;
    bvi_runner *runners;
    uint32_t n_runners;
    bvi_amounts runner_needs;
    uint32_t connections; /* runners that fetch */
    uint32_t cursor;      /* no chunk before it is to do */
    uint32_t open_chunks; /* not DONE */
    bool keeps_parts;     /* there is room for them */
    bv_error *full;       /* a disk is; what is under way ends, and then it waits */
    const char *full_path;
    uint64_t full_bytes; /* that it lacks; 0: not known */
    bvi_space space;
    bool running;   /* in the transfer phase */
    bool finishing; /* behind it */
    /* chunks that wait to become durable */
    bvi_index_list written;
    bvi_index_list syncing;
    uint64_t written_bytes;
    int64_t written_us; /* when the first of them was written */
    bvi_work sync;
    bool sync_pending;
    bv_error *sync_err;
    bool sync_waits;   /* for room */
    bool sync_durable; /* the data is, if not the record of it */
    bvi_timer *sync_timer;
    /* the end */
    atomic_bool stopping; /* workers read it */
    bv_error *err;
    bool completed;
};

/* Steps; on the worker. */
int bvi_download_step_open(bvi_download *d, bv_error **err);
int bvi_download_step_check(bvi_download *d, bv_error **err);
int bvi_download_step_space(bvi_download *d, bv_error **err); /* is there room for the rest? */
int bvi_download_step_finish(bvi_download *d, bv_error **err);
int bvi_download_sync_written(bvi_download *d, bv_error **err); /* d->syncing */

/* Chunks; on the loop. */
int bvi_download_run_start(bvi_download *d, bv_error **err); /* makes runners */
void bvi_download_run_free(bvi_download *d);
void bvi_download_pump(bvi_download *d);           /* starts whatever can be started */
bool bvi_download_run_idle(const bvi_download *d); /* nothing is under way */
void bvi_download_run_stop(bvi_download *d);

/* Phases. */
void bvi_download_fail(bvi_download *d,
                       bv_error *err);     /* takes err; the first one wins; winds down */
void bvi_download_settle(bvi_download *d); /* something ended: go on, or complete */

#endif
