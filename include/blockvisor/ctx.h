/**
 * @file blockvisor/ctx.h
 * A context: the library's place in your event loop, with its clock, its log sink and its workers.
 *
 * Everything else hangs on a context. A context and its objects belong to one thread at a time;
 * different contexts are independent. Callbacks come only from bv_ctx_dispatch(), bv_ctx_io_ready()
 * or bv_ctx_timer_due(), never from inside the call that started something. Free the objects first,
 * the context last.
 *
 * There are three ways to drive it, and one code path behind them: poll bv_ctx_fd() and call
 * bv_ctx_dispatch(); give hooks in the options and report readiness; or let bv_ctx_run() be the
 * loop.
 */
#ifndef BLOCKVISOR_CTX_H
#define BLOCKVISOR_CTX_H

#include <stdint.h>

#include <blockvisor/error.h>

BV_BEGIN_DECLS

/** Most worker threads a context will use. */
#define BV_WORKERS_MAX 64u

typedef struct bv_ctx bv_ctx;

enum { BV_IO_IN = 1u << 0, BV_IO_OUT = 1u << 1, BV_IO_ERR = 1u << 2 };

/** How the context uses a loop that belongs to the host. */
typedef struct bv_loop_hooks {
    size_t size; /**< sizeof(bv_loop_hooks). */
    void *host;  /**< First argument of both. */
    /**
     * Watch @p fd for @p events (level triggered); 0 events: forget the fd, which is about to be
     * closed. `*slot` is the host's own pointer for this fd, NULL at first. Returns 0 or a negative
     * bv_code.
     */
    int (*watch)(void *host, int fd, unsigned events, void **slot);
    /** Call bv_ctx_timer_due() after @p delay_us microseconds; there is one timer; a negative delay
     * disarms it. */
    int (*arm)(void *host, int64_t delay_us);
} bv_loop_hooks;

/** What the context takes for the time. Both in microseconds. */
typedef struct bv_clock {
    size_t size;                         /**< sizeof(bv_clock). */
    void *data;                          /**< First argument of both. */
    int64_t (*monotonic_us)(void *data); /**< For durations. */
    int64_t (*wall_us)(void *data);      /**< For records, since 1970-01-01 UTC. */
} bv_clock;

typedef enum bv_log_level {
    BV_LOG_ERROR = 0, /**< A bug, or a person is needed. */
    BV_LOG_WARN = 1,  /**< Odd but handled. */
    BV_LOG_INFO = 2,  /**< Main actions, rare. */
    BV_LOG_DEBUG = 3, /**< The detail of recurring work. */
    BV_LOG_TRACE = 4  /**< For the library's own developers. */
} bv_log_level;

/** One log message. Valid during the call only. */
typedef struct bv_log_record {
    size_t size;
    int64_t wall_us;     /**< When. */
    int32_t level;       /**< A bv_log_level. */
    const char *module;  /**< "transfer", "node" ... */
    const char *node;    /**< Node id or NULL. */
    const char *job;     /**< Job name or NULL. */
    const char *message; /**< One line without a line end. */
} bv_log_record;

/** Receives log records, possibly from a worker thread. Must not call back into the library. */
typedef void (*bv_log_fn)(void *data, const bv_log_record *rec);

typedef struct bv_ctx_opts {
    size_t size;                /**< sizeof(bv_ctx_opts); lets the struct grow. */
    const bv_loop_hooks *hooks; /**< Copied. NULL: the context makes its own epoll descriptor. */
    const bv_clock *clock;      /**< Copied. NULL: the system's clocks. */
    bv_log_fn log;              /**< NULL: no output. */
    void *log_data;             /**< First argument of @p log. */
    int32_t log_level;          /**< Least important level passed on, a bv_log_level. */
    uint32_t
        workers; /**< Threads for blocking work, at most BV_WORKERS_MAX. 0: work runs inline. */
} bv_ctx_opts;

#define BV_CTX_OPTS_INIT                                                                           \
    {                                                                                              \
        .size = sizeof(bv_ctx_opts), .log_level = BV_LOG_INFO                                      \
    }

/**
 * Makes a context.
 *
 * @param opts     Copied; NULL for the defaults (own epoll, no log, no workers).
 * @param ret_ctx  The context; free it with bv_ctx_free().
 * @return 0, BV_E_INVALID, BV_E_NOMEM, BV_E_IO.
 * @since 0.1
 */
BV_API int bv_ctx_new(const bv_ctx_opts *opts, bv_ctx **ret_ctx, bv_error **err);

/**
 * Frees a context: waits for running work, completes what is left of operations with
 * BV_E_CANCELLED. Not from inside a callback. NULL is fine.
 * @since 0.1
 */
BV_API void bv_ctx_free(bv_ctx *ctx);

/**
 * Host to library: a watched descriptor is ready.
 * @since 0.1
 */
BV_API void bv_ctx_io_ready(bv_ctx *ctx, int fd, unsigned events);

/**
 * Host to library: the timer went off.
 * @since 0.1
 */
BV_API void bv_ctx_timer_due(bv_ctx *ctx);

/**
 * A descriptor that is readable whenever bv_ctx_dispatch() has something to do, timers included.
 *
 * @return the descriptor, owned by the context; -1 when hooks were given.
 * @since 0.1
 */
BV_API int bv_ctx_fd(const bv_ctx *ctx);

/**
 * Does a bounded amount of what is due.
 *
 * @param timeout_ms  How long to wait for something to do; 0: not at all; -1: until there is
 * something.
 * @return the number of events handled, or a negative bv_code. BV_E_STATE inside a callback or with
 * hooks.
 * @since 0.1
 */
BV_API int bv_ctx_dispatch(bv_ctx *ctx, int timeout_ms);

/**
 * Dispatches until bv_ctx_stop(). Only without hooks.
 * @since 0.1
 */
BV_API int bv_ctx_run(bv_ctx *ctx);

/**
 * Makes bv_ctx_run() return after the current round. Any thread.
 * @since 0.1
 */
BV_API void bv_ctx_stop(bv_ctx *ctx);

/**
 * Makes the loop look at the context once. Any thread, and from signal handlers.
 * @since 0.1
 */
BV_API void bv_ctx_wake(bv_ctx *ctx);

BV_END_DECLS

#endif
