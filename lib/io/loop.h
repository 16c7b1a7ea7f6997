/*
 * loop.h - what modules use of a context: descriptors, timers, deferred calls, clocks, log. See
 * doc/dev/loop.md.
 *
 * All functions are for the context's own thread. Callbacks come from dispatch only. A watch, timer
 * or idle call may be freed inside its own callback and so may its neighbours: freeing is immediate
 * for the caller, and no callback comes after it.
 */
#ifndef BVI_IO_LOOP_H
#define BVI_IO_LOOP_H

#include <blockvisor/ctx.h>

#include "base/error.h"

/* ---- descriptors: level triggered; several watches of one fd are refused with BV_E_EXISTS ---- */

typedef struct bvi_watch bvi_watch;
typedef void (*bvi_watch_fn)(bvi_watch *watch, int fd, unsigned events, void *data);

int bvi_watch_new(bv_ctx *ctx, int fd, unsigned events, bvi_watch_fn fn, void *data,
                  bvi_watch **ret_watch, bv_error **err);
int bvi_watch_set(bvi_watch *watch, unsigned events,
                  bv_error **err);     /* 0 events: paused, not forgotten */
void bvi_watch_free(bvi_watch *watch); /* before closing the fd; does not close it */
BVI_DEFINE_FREEP(bvi_watch, bvi_watch_free)

/* ---- timers: one shot; set again inside the callback for a period ---- */

typedef struct bvi_timer bvi_timer;
typedef void (*bvi_timer_fn)(bvi_timer *timer, void *data);

int bvi_timer_new(bv_ctx *ctx, bvi_timer_fn fn, void *data, bvi_timer **ret_timer,
                  bv_error **err); /* not armed */
int bvi_timer_set(bvi_timer *timer, int64_t delay_us,
                  bv_error **err); /* from now; replaces an earlier setting */
void bvi_timer_clear(bvi_timer *timer);
bool bvi_timer_is_set(const bvi_timer *timer);
void bvi_timer_free(bvi_timer *timer);
BVI_DEFINE_FREEP(bvi_timer, bvi_timer_free)

/* ---- deferred calls: run once from the next dispatch, in order ---- */

typedef struct bvi_task bvi_task;
typedef void (*bvi_task_fn)(void *data);

/* An embedded, allocation-free task: init it once, post it as often as needed; posting a posted
 * task does nothing. */
struct bvi_task {
    bv_ctx *ctx;
    bvi_task_fn fn;
    void *data;
    bvi_task *next;
    bool posted;
};

void bvi_task_init(bvi_task *task, bv_ctx *ctx, bvi_task_fn fn, void *data);
void bvi_task_post(bvi_task *task);
void bvi_task_done(bvi_task *task); /* takes it back if it is posted */

/* ---- clocks ---- */

int64_t bvi_ctx_now_us(const bv_ctx *ctx);  /* monotonic */
int64_t bvi_ctx_wall_us(const bv_ctx *ctx); /* since 1970 */
uint32_t bvi_ctx_workers(const bv_ctx *ctx);
/* Milliseconds + uniformly random 0..percent of them more, for back-off jitter. */
int64_t bvi_ctx_jitter_ms(bv_ctx *ctx, int64_t ms, unsigned percent);

/* ---- log: messages are built only when the level is on ---- */

bool bvi_log_on(const bv_ctx *ctx, int level);
void bvi_log_write(bv_ctx *ctx, int level, const char *module, const char *node, const char *job,
                   const char *fmt, ...) BV_PRINTF(6, 7);

#define bvi_log_full(ctx, level, module, node, job, ...)                                           \
    do {                                                                                           \
        if (bvi_log_on(ctx, level))                                                                \
            bvi_log_write(ctx, level, module, node, job, __VA_ARGS__);                             \
    } while (0)
#define bvi_log_error(ctx, module, ...)                                                            \
    bvi_log_full(ctx, BV_LOG_ERROR, module, NULL, NULL, __VA_ARGS__)
#define bvi_log_warn(ctx, module, ...)                                                             \
    bvi_log_full(ctx, BV_LOG_WARN, module, NULL, NULL, __VA_ARGS__)
#define bvi_log_info(ctx, module, ...)                                                             \
    bvi_log_full(ctx, BV_LOG_INFO, module, NULL, NULL, __VA_ARGS__)
#define bvi_log_debug(ctx, module, ...)                                                            \
    bvi_log_full(ctx, BV_LOG_DEBUG, module, NULL, NULL, __VA_ARGS__)

#endif
