/*
 * child.c - a program run to its end: output collected up to a maximum, input fed, group killed on
 * timeout.
 *
 * The child's end is its pidfd becoming readable. Output is then read until the pipes are empty,
 * not until they are closed: a container runtime leaves them open in what it started. Input goes
 * through a socket, so that a child that does not read it raises no signal here.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "io/child.h"

#define PIECE 16384u
/* After the end of the child; a pipe holds no more, unless somebody else goes on writing. */
#define LAST_READS_MAX 80u
/* Of the last line of stderr in a description. */
#define DESCRIBE_LINE_MAX 400u

typedef struct output {
    int fd;
    bvi_watch *watch;
    bvi_buf buf;
    bool truncated;
} output;

struct bvi_child {
    bv_ctx *ctx;
    bvi_child_fn done;
    void *data;
    pid_t pid;
    int pidfd;
    bvi_watch *watch;
    bvi_timer *timer;
    output out;
    output err;
    int input_fd;
    bvi_watch *input_watch;
    bvi_buf input;
    size_t input_sent;
    bool timed_out;
    bool cancelled;
};

static void close_output(output *o)
{
    bvi_watch_free(o->watch);
    o->watch = NULL;
    bvi_closep(&o->fd);
}

static void close_input(bvi_child *child)
{
    bvi_watch_free(child->input_watch);
    child->input_watch = NULL;
    bvi_closep(&child->input_fd);
}

static void child_free(bvi_child *child)
{
    if (!child)
        return;
    close_output(&child->out);
    close_output(&child->err);
    close_input(child);
    bvi_watch_free(child->watch);
    bvi_timer_free(child->timer);
    bvi_closep(&child->pidfd);
    bvi_buf_done(&child->out.buf);
    bvi_buf_done(&child->err.buf);
    bvi_buf_done(&child->input);
    bvi_free(child);
}
BVI_DEFINE_FREEP(bvi_child, child_free)

/* ---- while it runs ---- */

static void keep(output *o, const char *bytes, size_t len)
{
    size_t room = o->buf.max - o->buf.len;

    if (len > room) {
        o->truncated = true;
        len = room;
    }
    if (len && bvi_buf_append(&o->buf, bytes, len) < 0)
        o->truncated = true; /* no memory: what is there must do */
}

/* One read; false at the end or when there is nothing now. */
static bool read_some(output *o)
{
    char piece[PIECE];
    ssize_t n = o->fd >= 0 ? read(o->fd, piece, sizeof(piece)) : -1;

    if (n > 0) {
        keep(o, piece, (size_t)n);
        return true;
    }
    if (o->fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR)))
        close_output(o);
    return false;
}

static void on_output(bvi_watch *watch, int fd, unsigned events, void *data)
{
    (void)watch;
    (void)fd;
    (void)events;
    (void)read_some(data); /* the end shows in the output itself */
}

static void on_input(bvi_watch *watch, int fd, unsigned events, void *data)
{
    bvi_child *child = data;
    ssize_t n = send(fd, child->input.data + child->input_sent,
                     child->input.len - child->input_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

    (void)watch;
    (void)events;
    if (n > 0)
        child->input_sent += (size_t)n;
    /* A child that closed its input does not want the rest. */
    if (child->input_sent == child->input.len || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_input(child);
}

static void kill_group(bvi_child *child)
{
    /* Not reaped yet, so the number is still ours; the group may have lost its leader's siblings
     * already. */
    (void)kill(-child->pid, SIGKILL);
    (void)bvi_pidfd_signal(child->pidfd, SIGKILL); /* in case it has left its group */
}

static void on_timeout(bvi_timer *timer, void *data)
{
    bvi_child *child = data;

    (void)timer;
    child->timed_out = true;
    kill_group(child);
}

static void on_exit(bvi_watch *watch, int fd, unsigned events, void *data)
{
    bvi_child *child = data;
    output *outputs[] = { &child->out, &child->err };
    bvi_child_result result = { 0 };
    pid_t pid = waitpid(child->pid, &result.wait_status, WNOHANG);

    (void)watch;
    (void)fd;
    (void)events;
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return; /* comes again */
    if (pid < 0)
        result.wait_status = W_EXITCODE(255, 0); /* the host reaps children it does not know */
    for (size_t i = 0; i < BVI_COUNT(outputs); i++) {
        for (unsigned n = 0; n < LAST_READS_MAX && read_some(outputs[i]); n++)
            ;
    }
    result.timed_out = child->timed_out;
    result.cancelled = child->cancelled;
    result.out = bvi_buf_str(&child->out.buf);
    result.out_len = child->out.buf.len;
    result.err = bvi_buf_str(&child->err.buf);
    result.err_len = child->err.buf.len;
    result.truncated = child->out.truncated || child->err.truncated;
    bvi_watch_free(child->watch);
    child->watch = NULL;
    child->done(&result, child->data);
    child_free(child);
}

/* ---- start ---- */

/* Our end does not block, the child's does. */
static int make_pipe(output *o, int *ret_write_end, bv_error **err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return bvi_fail_sys(err, errno, "cannot make a pipe");
    o->fd = ends[0];
    *ret_write_end = ends[1];
    if (fcntl(o->fd, F_SETFL, O_NONBLOCK) < 0)
        return bvi_fail_sys(err, errno, "cannot set up a pipe");
    return 0;
}

static int make_input(bvi_child *child, const bvi_child_opts *opts, int *ret_read_end,
                      bv_error **err)
{
    int ends[2];

    if (!opts->input)
        return 0;
    bvi_buf_init(&child->input, opts->input_len);
    if (bvi_buf_append(&child->input, opts->input, opts->input_len) < 0)
        return bvi_fail_nomem(err);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return bvi_fail_sys(err, errno, "cannot make a socket pair");
    child->input_fd = ends[0];
    *ret_read_end = ends[1];
    return 0;
}

static int watch_all(bvi_child *child, const bvi_child_opts *opts, bv_error **err)
{
    int r = bvi_watch_new(child->ctx, child->pidfd, BV_IO_IN, on_exit, child, &child->watch, err);

    if (r == 0)
        r = bvi_watch_new(child->ctx, child->out.fd, BV_IO_IN, on_output, &child->out,
                          &child->out.watch, err);
    if (r == 0)
        r = bvi_watch_new(child->ctx, child->err.fd, BV_IO_IN, on_output, &child->err,
                          &child->err.watch, err);
    if (r == 0 && child->input_fd >= 0 && child->input.len == 0)
        close_input(child);
    else if (r == 0 && child->input_fd >= 0)
        r = bvi_watch_new(child->ctx, child->input_fd, BV_IO_OUT, on_input, child,
                          &child->input_watch, err);
    if (r == 0 && opts->timeout_us > 0) {
        r = bvi_timer_new(child->ctx, on_timeout, child, &child->timer, err);
        if (r == 0)
            r = bvi_timer_set(child->timer, opts->timeout_us, err);
    }
    return r;
}

static int spawn(bvi_child *child, const bvi_child_opts *opts, bv_error **err)
{
    bvi_auto_close int in_end = -1;
    bvi_auto_close int out_end = -1;
    bvi_auto_close int err_end = -1;
    bvi_spawn how = BVI_SPAWN_INIT;
    int r = make_pipe(&child->out, &out_end, err);

    if (r == 0)
        r = make_pipe(&child->err, &err_end, err);
    if (r == 0)
        r = make_input(child, opts, &in_end, err);
    if (r < 0)
        return r;
    how.argv = opts->argv;
    how.env = opts->env;
    how.stdin_fd = in_end;
    how.stdout_fd = out_end;
    how.stderr_fd = err_end;
    how.use_path = opts->use_path;
    how.new_group = true;
    how.cover_unified_cgroup = opts->cover_unified_cgroup;
    how.net_ns = opts->net_ns;
    return bvi_proc_spawn(&how, &child->pid, &child->pidfd, err);
}

static void abandon(bvi_child *child)
{
    kill_group(child);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int bvi_child_run(bv_ctx *ctx, const bvi_child_opts *opts, bvi_child_fn done, void *data,
                  bvi_child **ret_child, bv_error **err)
{
    BVI_AUTO(child_freep) bvi_child *child = bvi_new0(bvi_child);
    int r;

    if (!child)
        return bvi_fail_nomem(err);
    child->ctx = ctx;
    child->done = done;
    child->data = data;
    child->pidfd = child->out.fd = child->err.fd = child->input_fd = -1;
    child->out.buf.max = child->err.buf.max = opts->max_output;
    r = spawn(child, opts, err);
    if (r < 0)
        return r;
    r = watch_all(child, opts, err);
    if (r < 0) {
        abandon(child);
        return bvi_wrap(err, r, "cannot run '%s'", opts->argv[0]);
    }
    if (ret_child)
        *ret_child = child;
    child = NULL; /* lives until its end */
    return 0;
}

void bvi_child_cancel(bvi_child *child)
{
    if (!child)
        return;
    child->cancelled = true;
    kill_group(child);
}

/* ---- description ---- */

static char *describe_end(const bvi_child_result *result)
{
    if (result->timed_out)
        return bvi_strdup("timed out");
    if (result->cancelled)
        return bvi_strdup("was cancelled");
    if (WIFSIGNALED(result->wait_status))
        return bvi_asprintf("was killed by %s", bvi_signal_name(WTERMSIG(result->wait_status)));
    return bvi_asprintf("exited with status %d", WEXITSTATUS(result->wait_status));
}

char *bvi_child_describe(const bvi_child_result *result)
{
    bvi_auto_free char *end = describe_end(result);
    size_t to = result->err_len;
    size_t from;

    while (to && strchr("\r\n ", result->err[to - 1]))
        to--;
    for (from = to; from && result->err[from - 1] != '\n' && to - from < DESCRIBE_LINE_MAX; from--)
        ;
    if (!end || from == to)
        return bvi_take(end);
    return bvi_asprintf("%s: %.*s", end, (int)(to - from), result->err + from);
}
