/**
 * @file blockvisor/guest.h
 * The programs that run inside a node, as functions: the agent and the transfer of archive jobs.
 *
 * Each runs until its work is done or until its stop descriptor becomes readable, and uses a
 * context of its own. Signals are the program's business: it blocks SIGTERM and the like, and
 * passes a signalfd. Nothing is printed: whoever wants to see log records gives a sink. The
 * programs themselves are guest/babel.c and guest/babel_transfer.c.
 */
#ifndef BLOCKVISOR_GUEST_H
#define BLOCKVISOR_GUEST_H

#include <blockvisor/ctx.h>

BV_BEGIN_DECLS

/** Exit statuses of both. */
enum {
    BV_GUEST_EXIT_OK = 0,      /**< Done, or told to stop (the agent). */
    BV_GUEST_EXIT_FAILED = 1,  /**< The last log record, at level error, says why. */
    BV_GUEST_EXIT_USAGE = 2,   /**< The arguments are wrong. */
    BV_GUEST_EXIT_STOPPED = 3, /**< Told to stop before the transfer was done; it can be resumed. */
    BV_GUEST_EXIT_REFUSED = 4  /**< Failed, and would fail again: the data is not fit to publish. */
};

typedef struct bv_guest_opts {
    size_t size;       /**< sizeof(bv_guest_opts); lets the struct grow. */
    int32_t stop_fd;   /**< Readable: stop. Not read from, not closed. -1: none. */
    int32_t log_level; /**< Least important level passed on, a bv_log_level. */
    bv_log_fn log;     /**< NULL: no output. */
    void *log_data;    /**< First argument of @p log. */
    const char *user;  /**< Agent: commands run through `su - <user>` (BV_USER). NULL: as the agent
                          itself. */
} bv_guest_opts;

#define BV_GUEST_OPTS_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(bv_guest_opts), .stop_fd = -1, .log_level = BV_LOG_INFO                     \
    }

/**
 * The agent: `babel [--prefix DIRECTORY] [--bundle DIRECTORY]`.
 *
 * It serves /run/blockvisor/babel.socket and supervises the node's jobs, which go on when it ends.
 *
 * @param argc  As of main().
 * @param argv  With a prefix every path is below it, so that an agent runs beside others in tests.
 * @return an exit status.
 * @since 0.1
 */
BV_API int bv_guest_agent_main(int argc, char **argv, const bv_guest_opts *opts);

/**
 * The work of an archive job: `babel_transfer download|upload|cleanup --job-dir D --engine-socket S
 * --data-dir P
 * --meta-dir M [--data-lock L] [--options JSON]`.
 *
 * Progress goes to `D/progress.json`, the reason of a failure to `D/message`.
 *
 * @return an exit status; after BV_GUEST_EXIT_FAILED and BV_GUEST_EXIT_STOPPED the same call goes
 * on where it was.
 * @since 0.1
 */
BV_API int bv_guest_transfer_main(int argc, char **argv, const bv_guest_opts *opts);

BV_END_DECLS

#endif
