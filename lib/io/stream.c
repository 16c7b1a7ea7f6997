/*
 * stream.c - buffered, non-blocking connections.
 *
 * A write goes to the system at once when nothing is waiting, the rest is kept. Reading takes one
 * piece for each time the descriptor is ready, so a fast peer shares the loop. What breaks during a
 * call of ours is told from a task.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "io/socket.h"

struct bvi_stream {
    bv_ctx *ctx;
    int fd;
    bvi_stream_opts opts;
    bvi_watch *watch;
    bvi_buf out;
    size_t sent; /* bytes of out that are gone already; dropped when half of it is */
    bool paused;
    bool read_ended;
    bool ending;      /* no more writes */
    bool write_ended; /* the peer was told */
    bool closed;      /* on_close was called */
    bvi_task later;   /* calls on_drain or on_close for what a call of ours found */
    bool drained;
    int broken; /* errno of a failed write, 0: none */
};

static unsigned wanted_events(const bvi_stream *s)
{
    unsigned events = 0;

    if (s->closed || s->broken)
        return 0;
    if (!s->paused && !s->read_ended)
        events |= BV_IO_IN;
    if (bvi_stream_unsent(s) > 0)
        events |= BV_IO_OUT;
    return events;
}

static void close_now(bvi_stream *s, bv_error *err)
{
    s->closed = true;
    bvi_watch_free(s->watch);
    s->watch = NULL;
    bvi_task_done(&s->later);
    s->opts.on_close(s, err, s->opts.data); /* may free s */
    bv_error_free(err);
}

static void close_broken(bvi_stream *s, int errnum, const char *what)
{
    bv_error *err = NULL;

    if (errnum == EPIPE || errnum == ECONNRESET)
        (void)bvi_fail(&err, BV_E_REMOTE,
                       "the other end closed the connection"); /* the error is the result */
    else
        (void)bvi_fail_sys(&err, errnum, "cannot %s a local socket", what); /* likewise */
    close_now(s, err);
}

static void update_events(bvi_stream *s)
{
    /* The hook refuses only what it once took: then the connection is of no use. */
    if (s->watch && bvi_watch_set(s->watch, wanted_events(s), NULL) < 0 && !s->broken) {
        s->broken = EIO;
        bvi_task_post(&s->later);
    }
}

/* Sends what it can. Returns false when the connection broke; s->broken says why. */
static bool flush(bvi_stream *s)
{
    while (s->sent < s->out.len) {
        ssize_t n =
            send(s->fd, s->out.data + s->sent, s->out.len - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0) {
            s->broken = errno;
            return false;
        }
        s->sent += (size_t)n;
    }
    if (s->sent >= s->out.len / 2) {
        bvi_buf_consume(&s->out, s->sent);
        s->sent = 0;
    }
    if (s->ending && !s->write_ended && s->out.len == 0) {
        s->write_ended = true;
        (void)shutdown(s->fd, SHUT_WR); /* a peer that is gone needs no end */
    }
    return true;
}

static void run_later(void *data)
{
    bvi_stream *s = data;

    if (s->broken) {
        close_broken(s, s->broken, "write to");
        return;
    }
    if (s->write_ended && s->read_ended) {
        close_now(s, NULL);
        return;
    }
    if (s->drained) {
        s->drained = false;
        if (s->opts.on_drain)
            s->opts.on_drain(s, s->opts.data); /* may free s */
    }
}

/* After anything that may have sent the last byte or ended a direction. */
static void note_progress(bvi_stream *s, bool had_unsent)
{
    if (had_unsent && bvi_stream_unsent(s) == 0)
        s->drained = true;
    if (s->broken || s->drained || (s->write_ended && s->read_ended))
        bvi_task_post(&s->later);
}

static void end_of_input(bvi_stream *s)
{
    s->read_ended = true;
    if (s->broken)
        return; /* not an orderly end: run_later() tells */
    if (!s->opts.on_end) {
        close_now(s, NULL);
        return;
    }
    update_events(s);
    note_progress(s, false);
    s->opts.on_end(s, s->opts.data); /* may free s */
}

static void read_some(bvi_stream *s)
{
    char bytes[BVI_STREAM_READ_MAX];
    ssize_t n = recv(s->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n > 0)
        s->opts.on_read(s, bytes, (size_t)n, s->opts.data); /* may free s */
    else if (n == 0)
        end_of_input(s);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        close_broken(s, errno, "read from");
}

static void on_ready(bvi_watch *watch, int fd, unsigned events, void *data)
{
    bvi_stream *s = data;

    (void)watch;
    (void)fd;
    if (bvi_stream_unsent(s) > 0 && (events & (BV_IO_OUT | BV_IO_ERR))) {
        (void)flush(s); /* noted next */
        note_progress(s, true);
        update_events(s);
    }
    if ((events & (BV_IO_IN | BV_IO_ERR)) && !s->paused && !s->read_ended)
        read_some(s); /* also after a failed write: the peer's last words */
}

int bvi_stream_new(bv_ctx *ctx, int fd, const bvi_stream_opts *opts, bvi_stream **ret_stream,
                   bv_error **err)
{
    bvi_auto_close int owned = fd;
    bvi_stream *s = bvi_new0(bvi_stream);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->ctx = ctx;
    s->fd = fd;
    s->opts = *opts;
    bvi_buf_init(&s->out, opts->write_max ? opts->write_max : BVI_STREAM_WRITE_MAX);
    bvi_task_init(&s->later, ctx, run_later, s);
    r = bvi_watch_new(ctx, fd, BV_IO_IN, on_ready, s, &s->watch, err);
    if (r < 0) {
        bvi_free(s);
        return bvi_wrap(err, r, "cannot use a connection");
    }
    (void)bvi_take_fd(&owned); /* s has it */
    *ret_stream = s;
    return 0;
}

int bvi_stream_connect(bv_ctx *ctx, const char *path, const bvi_stream_opts *opts,
                       bvi_stream **ret_stream, bv_error **err)
{
    int fd = -1;
    int r = bvi_socket_connect(path, &fd, err);

    if (r < 0)
        return r;
    return bvi_stream_new(ctx, fd, opts, ret_stream, err);
}

void bvi_stream_free(bvi_stream *s)
{
    if (!s)
        return;
    bvi_watch_free(s->watch);
    bvi_task_done(&s->later);
    bvi_closep(&s->fd);
    bvi_buf_done(&s->out);
    bvi_free(s);
}

size_t bvi_stream_unsent(const bvi_stream *s)
{
    return s->out.len - s->sent;
}

size_t bvi_stream_room(const bvi_stream *s)
{
    return s->closed || s->broken || s->ending ? 0 : s->out.max - bvi_stream_unsent(s);
}

int bvi_stream_write(bvi_stream *s, const void *bytes, size_t len, bv_error **err)
{
    bool had_unsent = bvi_stream_unsent(s) > 0;
    int r;

    if (s->closed || s->ending)
        return bvi_fail(err, BV_E_STATE, "the connection is closed");
    if (s->broken || len == 0)
        return 0; /* on_close is on its way */
    if (len > s->out.max - bvi_stream_unsent(s))
        return bvi_fail(err, BV_E_LIMIT, "more than %zu unsent bytes on a connection", s->out.max);
    if (s->sent) {
        bvi_buf_consume(&s->out, s->sent);
        s->sent = 0;
    }
    r = bvi_buf_append(&s->out, bytes, len);
    if (r < 0)
        return bvi_fail_nomem(err);
    if (!had_unsent) {
        (void)flush(s); /* noted next */
        note_progress(s, true);
        update_events(s);
    }
    return 0;
}

void bvi_stream_pause(bvi_stream *s, bool paused)
{
    s->paused = paused;
    update_events(s);
}

void bvi_stream_end(bvi_stream *s)
{
    if (s->ending || s->closed)
        return;
    s->ending = true;
    if (!s->broken)
        (void)flush(s); /* noted next */
    note_progress(s, false);
}

bool bvi_stream_is_open(const bvi_stream *s)
{
    return !s->closed;
}
