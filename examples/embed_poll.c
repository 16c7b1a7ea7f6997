/*
 * embed_poll.c - the smallest way to give the library a place in a program that has a poll(2) loop
 * of its own.
 *
 * The context offers one descriptor. Whenever it is readable there is something to do, timers
 * included, so the program polls it next to its own descriptors, without a timeout, and calls
 * bv_ctx_dispatch(ctx, 0).
 *
 * This program's own business is its standard input: it ends at the end of it.
 */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <blockvisor/ctx.h>

static void print_log(void *data, const bv_log_record *rec)
{
    (void)data;
    fprintf(stderr, "%s: %s\n", rec->module, rec->message);
}

/* Returns 0 at the end of the input. */
static int read_own_input(void)
{
    char line[256];

    return read(STDIN_FILENO, line, sizeof(line)) > 0;
}

static int serve(bv_ctx *ctx)
{
    struct pollfd fds[2] = {
        { .fd = STDIN_FILENO, .events = POLLIN },
        { .fd = bv_ctx_fd(ctx), .events = POLLIN },
    };
    int r = 0;

    while (r >= 0) {
        if (poll(fds, 2, -1) < 0)
            return -1;
        if (fds[0].revents && !read_own_input())
            return 0;
        if (fds[1].revents)
            r = bv_ctx_dispatch(ctx, 0); /* callbacks of the library come from here */
    }
    return r;
}

int main(void)
{
    bv_ctx_opts opts = BV_CTX_OPTS_INIT;
    bv_error *err = NULL;
    bv_ctx *ctx = NULL;
    int r;

    opts.log = print_log;
    opts.workers = 2;
    if (bv_ctx_new(&opts, &ctx, &err) < 0) {
        fprintf(stderr, "embed_poll: %s\n", bv_error_message(err));
        bv_error_free(err);
        return 1;
    }
    r = serve(ctx);
    bv_ctx_free(ctx);
    return r < 0;
}
