/*
 * download_impl.h - the inside of a snapshot download, shared by its files: download.c has the
 * phases, download_steps.c what they do on the worker, download_run.c the chunks under way.
 */
#ifndef BVI_SNAPSHOT_DOWNLOAD_IMPL_H
#define BVI_SNAPSHOT_DOWNLOAD_IMPL_H

#include <stdatomic.h>

#include "io/budget.h"
#include "io/op.h"
#include "io/work.h"
#include "snapshot/carry.h"
#include "snapshot/download.h"
#include "snapshot/manifest.h"
#include "snapshot/settle.h"
#include "transfer/limits.h"
#include "transfer/report.h"
#include "transfer/space.h"

/* Neighbouring chunks that are decided about together: enough to find what lies together in packs.
 */
#define BVI_WINDOW_CHUNKS 2048u
#define BVI_WINDOW_BYTES  (64ull * 1024 * 1024)
#define BVI_WINDOWS       3u
/* One read of a store, unless a single frame is larger. */
#define BVI_RUN_BYTES (2u * 1024u * 1024u)
/* Bytes between two frames that are rather read than asked for apart. */
#define BVI_RUN_GAP 16384u
/* Plain bytes one step looks at. */
#define BVI_LOOK_BYTES (8u * 1024u * 1024u)
/* What was written is made durable so often: a worker waits for the disk meanwhile. A process that
 * ends earlier loses nothing by that, as what is in place is found; only a host does. */
#define BVI_SNAP_SYNC_US 5000000
/* For all runners together what they read, and one chunk of each unpacked: unless said otherwise so
 * much for each. One always gets what it needs. */
#define BVI_RUNNER_MEMORY (2u * 1024u * 1024u)

/* Wrong bytes are read again so often, from other places than before. */
#define BVI_SNAP_REREADS_MAX 4u

typedef struct bvi_snap_download bvi_snap_download;

typedef struct bvi_layout_use {
    bvi_layout *plan;
    uint32_t cursor; /* chunks before it are in windows */
    uint32_t windows;
} bvi_layout_use;

/* Frames that are read at once: of `fetch` of a window. */
typedef struct bvi_run {
    uint32_t first;
    uint32_t n;
} bvi_run;

typedef struct bvi_window {
    bvi_layout_use *use;
    BVI_VEC(uint32_t) look; /* chunks */
    BVI_VEC(uint32_t) fetch;
    BVI_VEC(bvi_run) runs;
    size_t next_look;
    size_t next_run;
    bool has_runs; /* they were made */
    uint32_t busy; /* runners at work on it */
} bvi_window;

typedef enum bvi_snap_runner_state {
    BVI_SNAP_IDLE,
    BVI_SNAP_CLAIMING, /* memory */
    BVI_SNAP_READING,  /* from the store */
    BVI_SNAP_WORKING,  /* on the worker */
    BVI_SNAP_FULL,     /* waits for room on the disk */
} bvi_snap_runner_state;

typedef struct bvi_snap_runner {
    bvi_snap_download *d;
    bvi_snap_runner_state state;
    bvi_claim claim;
    bvi_window *window;
    bool looks;
    uint8_t again; /* how often what was fetched was wrong */
    uint32_t chunks[BVI_CARRY_CHUNKS_MAX];
    uint8_t results[BVI_CARRY_CHUNKS_MAX];
    bvi_carry carry;
    bvi_work work;
    uint8_t *buffer; /* room before `stored`, what was read, room for one chunk */
    size_t buffer_len;
    uint8_t *stored;
    size_t stored_len;
    uint64_t offset; /* of it in the pack */
    bvi_frame_unpacker *unpacker;
    bv_error *bad;
    bv_error *err;
} bvi_snap_runner;

struct bvi_snap_download {
    bv_ctx *ctx;
    bv_op *op;
    bvi_snap_download_opts opts;
    bvi_strv include;
    bvi_strv protect;
    bvi_strv seed_dirs;
    char *store_key; /* normalised */
    bv_transfer_done_fn done;
    void *data;
    bvi_report report;
    bvi_snap_manifest *manifest;
    /* files */
    bvi_dest dest;
    bvi_dest *seeds;
    int lock_fd;
    bool made_dest; /* it was not there before */
    bool made_state;
    bool undone;
    bvi_bits bits;
    bvi_installed_reader installed;
    char settings[BVI_FINGERPRINT_SIZE];
    /* pages */
    bvi_walk_check walk;
    bvi_prepare prepare;
    bvi_settle *settle;
    bvi_installed_writer installing;
    uint32_t next_page;
    bvi_page page;    /* on its way to be planned or settled */
    bvi_layout *plan; /* made of it */
    bool page_busy;
    bvi_layout_use *current;
    bvi_layout_use *ahead; /* behind it */
    bvi_window *windows[BVI_WINDOWS];
    bvi_snap_runner *runners;
    uint32_t n_runners;
    uint64_t memory; /* most of it for all runners */
    uint64_t memory_out;
    /* one step of a phase, on the worker */
    bvi_work step;
    int (*step_run)(bvi_snap_download *d, bv_error **err);
    void (*step_next)(bvi_snap_download *d);
    bv_error *step_err;
    bool step_pending;
    bool step_full; /* it waits for room to run again */
    /* chunks that wait to become durable */
    BVI_VEC(uint64_t) written;
    BVI_VEC(uint64_t) syncing;
    uint64_t written_bytes;
    int64_t written_us;
    bvi_work sync;
    bvi_timer *sync_timer;
    bool sync_pending;
    bv_error *sync_err;
    /* a full disk */
    bvi_space space;
    bv_error *full; /* a runner found it */
    /* what was found */
    uint64_t bad_chunks;
    bv_error *first_bad;
    /* the end */
    enum { BVI_SNAP_OPENING, BVI_SNAP_TRANSFER, BVI_SNAP_SETTLE, BVI_SNAP_FINISH } phase;
    atomic_bool stopping; /* workers read it */
    bv_error *err;
    bool completed;
};

/* Steps; on the worker. */
int bvi_snap_step_open(bvi_snap_download *d, bv_error **err); /* directories, lock, state */
int bvi_snap_step_undo(bvi_snap_download *d, bv_error **err); /* there is no such snapshot */
int bvi_snap_step_space(bvi_snap_download *d,
                        bv_error **err); /* the root is known: is there room */
int bvi_snap_step_begin(bvi_snap_download *d, bv_error **err);  /* what is durable already */
int bvi_snap_step_plan(bvi_snap_download *d, bv_error **err);   /* d->page into d->plan */
int bvi_snap_step_turn(bvi_snap_download *d, bv_error **err);   /* all data is there */
int bvi_snap_step_settle(bvi_snap_download *d, bv_error **err); /* d->page, in the second pass */
int bvi_snap_step_finish(bvi_snap_download *d, bv_error **err);
int bvi_snap_sync_written(bvi_snap_download *d, bv_error **err); /* d->syncing */

/* Chunks; on the loop. */
int bvi_snap_run_start(bvi_snap_download *d, bv_error **err);
void bvi_snap_run_free(bvi_snap_download *d);
void bvi_snap_pump(bvi_snap_download *d); /* starts whatever can be started */
bool bvi_snap_run_idle(const bvi_snap_download *d);
bool bvi_snap_run_done(const bvi_snap_download *d); /* every chunk of every page was dealt with */
void bvi_snap_run_stop(bvi_snap_download *d);
void bvi_snap_run_resume(bvi_snap_download *d); /* there is room again */

/* Phases. */
void bvi_snap_ask_page(bvi_snap_download *d);            /* the next one, for this phase */
void bvi_snap_fail(bvi_snap_download *d, bv_error *err); /* takes err; the first one wins */
void bvi_snap_settle_down(bvi_snap_download *d);         /* something ended: go on, or complete */
void bvi_snap_found_bad(bvi_snap_download *d, const bvi_layout *plan, uint32_t chunk,
                        bv_error *err);

#endif
