/*
 * ctx_impl.h - what is inside a context; for the files of lib/io only.
 *
 * One path through the loop: the own epoll descriptor (epoll.c) is a set of hooks like any host's,
 * and everything else speaks to hooks. A round does a bounded amount of work: descriptors that are
 * ready, timers that were due and tasks that were posted when it began; what remains arms the timer
 * with a delay of 0.
 */
#ifndef BVI_IO_CTX_IMPL_H
#define BVI_IO_CTX_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/vec.h"
#include "io/budget.h"
#include "io/loop.h"
#include "io/op.h"
#include "io/work.h"

/* Most of each kind that one round handles, so that no source starves the others. */
#define BVI_ROUND_FDS      64u
#define BVI_ROUND_TIMERS   256u
#define BVI_ROUND_TASKS    256u
#define BVI_ROUND_FINISHED 64u
#define BVI_ROUND_INLINE   4u
/* Largest descriptor number and number of timers a context keeps track of. */
#define BVI_WATCH_FD_MAX (1u << 20)
#define BVI_TIMERS_MAX   (1u << 18)
/* Rounds that bv_ctx_free() gives to operations winding down before it completes them itself. */
#define BVI_CLOSING_ROUNDS_MAX 1000u

/* Values of armed_us besides a deadline. */
#define BVI_ARMED_NONE INT64_MAX
#define BVI_ARMED_NOW  INT64_MIN

struct bvi_watch {
    bv_ctx *ctx; /* NULL: the context went first */
    int fd;
    unsigned events;
    uint32_t generation; /* tells this watch from an earlier one of the same descriptor number */
    void *slot;          /* the host's */
    bvi_watch_fn fn;
    void *data;
};

struct bvi_timer {
    bv_ctx *ctx; /* NULL: the context went first */
    int64_t deadline_us;
    uint64_t order; /* of setting; breaks ties and ends a round */
    size_t index;   /* in the heap, TIMER_IDLE when not set */
    bvi_timer *prev;
    bvi_timer *next;
    bvi_timer_fn fn;
    void *data;
};

/* What other threads may touch. Shared by the context and its operations, so that it outlives both.
 */
typedef struct bvi_mailbox {
    atomic_uint refs;
    atomic_bool rung; /* the eventfd was written and not yet drained */
    atomic_bool stop; /* bv_ctx_run() shall return */
    int wake_fd;
    pthread_mutex_t lock;
    bv_op *cancels; /* operations to cancel, one reference each */
    bool closed;
} bvi_mailbox;

typedef struct bvi_pool bvi_pool;

/* A token bucket: one direction's bandwidth, and who waits for a turn of it. */
typedef struct bvi_bucket {
    bv_ctx *ctx;
    uint64_t rate;  /* bytes a second; 0: no limit */
    int64_t tokens; /* below 0: so much was given ahead of time */
    int64_t at_us;  /* when they were counted */
    uint64_t rest;  /* millionths of a token */
    uint64_t moved; /* bytes, limited or not */
    uint64_t waiting;
    bvi_turn *head;
    bvi_turn *tail;
    bvi_timer *timer; /* NULL: there never was a limit */
} bvi_bucket;

typedef struct bvi_budget {
    bvi_limits limits;
    uint64_t out[BVI_RESOURCES];
    uint64_t waiting;
    bvi_claim *claims; /* that wait, the oldest first */
    bvi_claim *claims_tail;
    bvi_bucket buckets[BVI_DIRECTIONS];
} bvi_budget;

struct bv_ctx {
    bv_loop_hooks hooks;
    bv_clock clock;
    bv_log_fn log;
    void *log_data;
    int log_level;
    uint32_t workers;

    int epoll_fd; /* -1 with the host's hooks */
    int timer_fd;

    BVI_VEC(bvi_watch *) watches; /* by descriptor number */
    uint32_t generation;

    BVI_VEC(bvi_timer *) heap; /* set timers, the earliest first; room for all timers is reserved */
    bvi_timer *timers;         /* all of them */
    size_t timer_count;
    uint64_t timer_order;
    int64_t armed_us; /* what the host's timer is set to */

    bvi_task *task_head;
    bvi_task *task_tail;
    size_t task_count;

    bvi_mailbox *mail;
    bvi_watch *wake_watch;
    bvi_pool *pool;
    bv_op *ops; /* not yet finished */

    bvi_budget budget;

    unsigned depth; /* > 0: inside dispatch */
    bool closing;
    uint64_t random;
};

/* ctx.c */
int bvi_ctx_rearm(
    bv_ctx *ctx,
    bv_error **err); /* tells the host when the next thing is due; late inside dispatch */
void bvi_ctx_rearm_or_wake(bv_ctx *ctx); /* for callers that cannot fail */

/* epoll.c */
int bvi_epoll_open(bv_ctx *ctx, bv_error **err);
void bvi_epoll_close(bv_ctx *ctx);
int bvi_epoll_wait(
    bv_ctx *ctx, int timeout_ms); /* reports readiness through bvi_watch_ready(); events or -code */

/* watch.c */
bool bvi_watch_ready(bv_ctx *ctx, int fd, unsigned events); /* true: a callback was made */
void bvi_watch_orphan_all(bv_ctx *ctx);

/* budget.c */
void bvi_budget_open(bv_ctx *ctx);
void bvi_budget_close(bv_ctx *ctx);

/* timer.c */
int bvi_timers_run(bv_ctx *ctx);               /* the number of callbacks */
int64_t bvi_timers_next_us(const bv_ctx *ctx); /* BVI_ARMED_NONE: none is set */
void bvi_timer_orphan_all(bv_ctx *ctx);

/* task.c */
int bvi_tasks_run(bv_ctx *ctx);
void bvi_tasks_drop_all(bv_ctx *ctx);

/* mailbox.c */
int bvi_mailbox_new(bvi_mailbox **ret_mail, bv_error **err);
bvi_mailbox *bvi_mailbox_ref(bvi_mailbox *mail);
void bvi_mailbox_unref(bvi_mailbox *mail);
void bvi_mailbox_ring(bvi_mailbox *mail);  /* any thread, signal handlers */
void bvi_mailbox_drain(bvi_mailbox *mail); /* before looking at what was posted */

/* work.c */
int bvi_pool_new(bv_ctx *ctx, uint32_t workers, bvi_pool **ret_pool, bv_error **err);
void bvi_pool_free(bvi_pool *pool);             /* nothing may be queued or running */
bool bvi_pool_has_inline(const bvi_pool *pool); /* work waits for bvi_pool_run_inline() */
int bvi_pool_run_inline(bvi_pool *pool);        /* the number of items run */
int bvi_pool_run_finished(bvi_pool *pool);      /* calls done; the number of calls */
void bvi_pool_cancel_all(bvi_pool *pool); /* empties the queue and waits for what is running */

/* op.c */
void bvi_op_take_cancels(bv_ctx *ctx);
void bvi_op_cancel_all(bv_ctx *ctx);       /* the context goes: ask every operation to stop */
void bvi_op_finish_all(bv_ctx *ctx);       /* ... and finish those that did not */
void bvi_mailbox_close(bvi_mailbox *mail); /* no further cancels */

#endif
