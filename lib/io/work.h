/*
 * work.h - blocking work (disk, compression, digests) in the context's bounded pool. See
 * doc/dev/work.md.
 *
 * `run` is called once on a worker thread and touches only what hangs on `data`; `done` is called
 * once afterwards from dispatch, also when the work was cancelled before it began (then run was not
 * called and cancelled is true). With 0 workers `run` is called inline from dispatch, never from
 * inside bvi_work_submit(). The queue is first in, first out. A struct bvi_work is embedded by its
 * user, who keeps it alive until `done` was called.
 */
#ifndef BVI_IO_WORK_H
#define BVI_IO_WORK_H

#include "io/loop.h"

typedef struct bvi_work bvi_work;

struct bvi_work {
    void (*run)(void *data);
    void (*done)(void *data, bool cancelled);
    void *data;
    /* Owned by io from submit until done. */
    bv_ctx *ctx;
    bvi_work *next;
    int state;
};

void bvi_work_init(bvi_work *work, bv_ctx *ctx, void (*run)(void *data),
                   void (*done)(void *data, bool cancelled), void *data);
void bvi_work_submit(bvi_work *work);
bool bvi_work_is_pending(const bvi_work *work); /* submitted and done not yet called */
void bvi_work_cancel(bvi_work *work); /* best effort: removes it from the queue when not begun */

#endif
