/*
 * guest_run.c - context, stop descriptor and arguments of the programs inside a node.
 */
#include <string.h>

#include "agent/guest_run.h"

static void on_stop_fd(bvi_watch *watch, int fd, unsigned events, void *data)
{
    bvi_guest_run *run = data;

    (void)bvi_watch_set(watch, 0, NULL); /* once is enough, and pausing a watch cannot fail */
    if (run->on_stop)
        run->on_stop(run->data);
    else
        bv_ctx_stop(run->ctx);
}

int bvi_guest_run_init(bvi_guest_run *run, const bv_guest_opts *opts, uint32_t workers,
                       bv_error **err)
{
    bv_ctx_opts ctx_opts = BV_CTX_OPTS_INIT;
    int r;

    ctx_opts.log = opts->log;
    ctx_opts.log_data = opts->log_data;
    ctx_opts.log_level = opts->log_level;
    ctx_opts.workers = workers;
    r = bv_ctx_new(&ctx_opts, &run->ctx, err);
    if (r < 0 || opts->stop_fd < 0)
        return r;
    r = bvi_watch_new(run->ctx, opts->stop_fd, BV_IO_IN, on_stop_fd, run, &run->stop_watch, err);
    if (r < 0)
        bvi_guest_run_done(run);
    return r;
}

void bvi_guest_run_done(bvi_guest_run *run)
{
    bvi_watch_free(bvi_take(run->stop_watch));
    if (run->ctx)
        bv_ctx_free(bvi_take(run->ctx));
}

int bvi_guest_parse(int argc, char **argv, int first, const bvi_guest_arg *args, size_t count,
                    bv_error **err)
{
    for (int i = first; i < argc; i += 2) {
        const bvi_guest_arg *found = NULL;

        for (size_t k = 0; k < count && !found; k++)
            found = strcmp(argv[i], args[k].name) == 0 ? &args[k] : NULL;
        if (!found)
            return bvi_fail(err, BV_E_INVALID, "unknown argument '%s'", argv[i]);
        if (i + 1 == argc)
            return bvi_fail(err, BV_E_INVALID, "'%s' needs a value", argv[i]);
        *found->value = argv[i + 1];
    }
    return 0;
}

void bvi_guest_log_error(const bv_guest_opts *opts, const char *what, const bv_error *err)
{
    bvi_auto_free char *text = bvi_error_text(err);
    bv_log_record record = {
        .size = sizeof(record),
        .level = BV_LOG_ERROR,
        .module = what,
        .message = text ? text : "out of memory",
    };

    if (opts->log)
        opts->log(opts->log_data, &record);
}
