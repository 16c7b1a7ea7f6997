/*
 * space.h - what a transfer does when a disk is full: waits, looks again every few seconds, and
 * goes on when there is room. Used by the archive and the snapshot engines.
 *
 *     r = bvi_space_init(&self->space, ctx, wait_secs, on_room, self, err);
 *     ...
 *     if (bvi_space_pause(&self->space, failure, path, needed_bytes))
 *         bvi_report_pause(&self->report, &self->space);   // and stop handing out work
 *     else
 *         fail with `failure`
 *
 * While it waits the owner keeps what it has and starts nothing that writes; on_room comes exactly
 * once for each pause that returned true, from dispatch. All functions are for the loop.
 */
#ifndef BVI_TRANSFER_SPACE_H
#define BVI_TRANSFER_SPACE_H

#include <blockvisor/transfer.h>

#include "io/loop.h"
#include "io/work.h"

/* How often one looks. */
#define BVI_SPACE_LOOK_US 3000000

/*
 * err NULL: there is room, try again what failed. Otherwise the error to fail with: there was none
 * for too long, or bvi_space_stop() was called (BV_E_CANCELLED). Borrowed.
 */
typedef void (*bvi_space_fn)(const bv_error *err, void *data);

typedef struct bvi_space {
    bv_ctx *ctx;
    bvi_space_fn room;
    void *data;
    void (*still)(void *data); /* optional: looked, and there is too little; for progress */
    void *still_data;
    int64_t wait_us;  /* most that a pause takes; INT64_MAX: for ever; < 0: none at all */
    int64_t since_us; /* when the first of the pauses in a row began */
    int64_t ended_us; /* when the last one did; 0: there was none */
    bool waiting;
    bool stopped;
    char *path;
    uint64_t needed;
    uint64_t missing; /* of it, when looked at last */
    bool quota;       /* what the file system says then is not the whole truth */
    bv_error *why;
    bvi_timer *timer;
    bvi_work look; /* on the worker: asking a file system may take long */
    uint64_t available;
    bvi_task tell;
} bvi_space;

/* No room is a matter of waiting: ENOSPC, or a quota. */
bool bvi_space_is_full(const bv_error *err);

/* wait_secs as in bv_download_opts.space_wait_secs. */
int bvi_space_init(bvi_space *space, bv_ctx *ctx, int32_t wait_secs, bvi_space_fn room, void *data,
                   bv_error **err);
void bvi_space_done(bvi_space *space); /* not while it waits; all zero is fine */

/*
 * Begins to wait until `needed` bytes (0: any) are available where `path` is. Returns false when
 * `why` is not a full disk, or no waiting is wanted, or there was enough of it. When it waits
 * already, nothing changes and it is true.
 */
bool bvi_space_pause(bvi_space *space, const bv_error *why, const char *path, uint64_t needed);
/* Ends the waiting soon; on_room still comes. */
void bvi_space_stop(bvi_space *space);
bool bvi_space_is_waiting(const bvi_space *space);

/* On a worker: is there room for so many bytes and new files? BV_E_IO with ENOSPC names both. */
int bvi_space_check(const char *path, uint64_t bytes, uint64_t files, bv_error **err);

#endif
