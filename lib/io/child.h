/*
 * child.h - running a program from the loop: spawn, collect bounded output, reap through its pidfd,
 * time out, cancel.
 */
#ifndef BVI_IO_CHILD_H
#define BVI_IO_CHILD_H

#include "io/loop.h"
#include "sys/proc.h"

typedef struct bvi_child bvi_child;

typedef struct bvi_child_result {
    bool timed_out;
    bool cancelled;
    int wait_status; /* as from waitpid() */
    const char *out; /* zero-terminated, at most max_output bytes; the rest was read and dropped */
    size_t out_len;
    const char *err;
    size_t err_len;
    bool truncated;
} bvi_child_result;

/* Called once from dispatch. The result is valid during the call; the child object is gone
 * afterwards. */
typedef void (*bvi_child_fn)(const bvi_child_result *result, void *data);

typedef struct bvi_child_opts {
    const char *const *argv;
    const char *const *env; /* NULL: inherit */
    const char *input;      /* sent to stdin, then closed; NULL: /dev/null */
    size_t input_len;
    size_t max_output;  /* for each of stdout and stderr */
    int64_t timeout_us; /* 0: none. On timeout the whole process group is killed */
    bool use_path;
    bool cover_unified_cgroup;
    const char *net_ns;
} bvi_child_opts;

int bvi_child_run(bv_ctx *ctx, const bvi_child_opts *opts, bvi_child_fn done, void *data,
                  bvi_child **ret_child, bv_error **err);
void bvi_child_cancel(bvi_child *child); /* kills the group; done still comes */

/* "exited with status 3" / "was killed by SIGKILL" / "timed out", plus the last line of stderr, for
 * messages. */
char *bvi_child_describe(const bvi_child_result *result);

#endif
