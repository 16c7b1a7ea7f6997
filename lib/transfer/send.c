/*
 * send.c - see send.h. Used by the runners of upload_run.c.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "io/work.h"
#include "transfer/send.h"

typedef struct buffer {
    uint8_t *bytes;
    size_t len; /* 0: empty */
    size_t used;
} buffer;

struct bvi_send {
    bvi_send_opts opts;
    bvi_http_call *call; /* NULL: over */
    bv_error *err;       /* how it ended */
    bvi_attempt attempt;
    bool waiting; /* the body ran dry until a read is done */
    buffer buffers[2];
    unsigned sending; /* which one goes out; the other is read into */
    bvi_work work;
    bool reading;
    bool stale;       /* what is being read is not wanted any longer */
    uint64_t sent;    /* handed out so far */
    uint64_t read_to; /* the file was read up to here */
    uint64_t read_at; /* where the read under way begins */
    size_t got;       /* by the last read; the worker's while `reading` */
    int read_errno;   /* likewise */
    int failed;       /* errno of a read that the body needs; 0: none */
};

static void send_free(bvi_send *s)
{
    bvi_free(s->buffers[0].bytes);
    bvi_free(s->buffers[1].bytes);
    bv_error_free(s->err);
    bvi_free(s);
}

static void end_if_over(bvi_send *s)
{
    if (s->call || s->reading)
        return;
    s->opts.done(s->err, s->attempt, s->opts.data);
    send_free(s);
}

static void read_run(void *data)
{
    bvi_send *s = data;
    buffer *b = &s->buffers[s->sending ^ 1u];
    uint64_t left = s->opts.size - s->read_at;
    size_t want = left < BVI_NET_BUFFER_BYTES ? (size_t)left : BVI_NET_BUFFER_BYTES;
    ssize_t n;

    do {
        n = pread(s->opts.fd, b->bytes, want, (off_t)s->read_at);
    } while (n < 0 && errno == EINTR);
    s->read_errno = n < 0 ? errno : n == 0 ? EIO : 0;
    s->got = n > 0 ? (size_t)n : 0;
}

static void read_ahead(bvi_send *s)
{
    if (s->reading || s->buffers[s->sending ^ 1u].len > 0 || s->read_to == s->opts.size ||
        s->failed)
        return;
    s->reading = true;
    s->read_at = s->read_to;
    bvi_work_submit(&s->work);
}

static void read_done(void *data, bool cancelled)
{
    bvi_send *s = data;
    buffer *b = &s->buffers[s->sending ^ 1u];

    s->reading = false;
    if (s->stale) { /* the body begins anew */
        s->stale = false;
        if (s->call)
            read_ahead(s);
    } else if (cancelled || s->read_errno) {
        s->failed = cancelled ? ECANCELED : s->read_errno;
    } else {
        b->len = s->got;
        b->used = 0;
        s->read_to += s->got;
    }
    if (s->call && s->waiting && !s->reading) {
        s->waiting = false;
        bvi_http_resume(s->call);
    }
    end_if_over(s);
}

static ptrdiff_t on_body(bvi_http_call *call, void *dst, size_t room, void *data)
{
    bvi_send *s = data;
    buffer *b = &s->buffers[s->sending];
    size_t n;

    (void)call;
    if (b->len == 0 && !s->reading && s->buffers[s->sending ^ 1u].len > 0) {
        s->sending ^= 1u;
        b = &s->buffers[s->sending];
    }
    read_ahead(s);
    if (b->len == 0) {
        if (s->failed)
            return s->failed == ECANCELED ? BV_E_CANCELLED : BV_E_IO;
        s->waiting = true;
        return 0;
    }
    n = b->len - b->used < room ? b->len - b->used : room;
    memcpy(dst, b->bytes + b->used, n);
    b->used += n;
    s->sent += n;
    if (b->used == b->len)
        b->len = 0;
    return (ptrdiff_t)n;
}

static int on_rewind(bvi_http_call *call, void *data)
{
    bvi_send *s = data;

    (void)call;
    s->buffers[0].len = s->buffers[1].len = 0;
    s->read_to = s->sent = 0;
    s->stale = s->reading;
    return 0;
}

static void on_done(bvi_http_call *call, const bvi_http_response *response, const bv_error *err,
                    void *data)
{
    bvi_send *s = data;

    (void)call;
    s->call = NULL;
    s->err = bvi_error_copy(err);
    if (!s->err)
        (void)bvi_http_check(response, &s->err); /* an error of ours for each status but 2xx */
    if (!s->err && s->sent < s->opts.size)
        (void)bvi_fail(&s->err, BV_E_REMOTE, "'%s' answered before it had the whole body",
                       response->url);
    if (s->err)
        s->attempt = bvi_attempt_of(response, bv_error_code(s->err));
    end_if_over(s);
}

static int start_put(bvi_send *s, bv_error **err)
{
    bvi_http_request req = BVI_HTTP_REQUEST_INIT;

    req.method = "PUT";
    req.url = s->opts.url;
    req.body_total = s->opts.size;
    req.on_body = on_body;
    req.on_rewind = on_rewind;
    req.on_done = on_done;
    req.data = s;
    req.send_bytes_per_s = s->opts.bytes_per_s;
    req.slow_bytes_per_s = bvi_slow_bytes_per_s(s->opts.bytes_per_s);
    req.bulk = true;
    return bvi_http_start(s->opts.http, &req, &s->call, err);
}

int bvi_send_start(const bvi_send_opts *opts, bvi_send **ret_send, bv_error **err)
{
    bvi_send *s = bvi_new0(bvi_send);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->opts = *opts;
    s->attempt.retry_after_ms = -1;
    bvi_work_init(&s->work, opts->ctx, read_run, read_done, s);
    s->buffers[0].bytes = bvi_malloc(BVI_NET_BUFFER_BYTES);
    s->buffers[1].bytes = bvi_malloc(BVI_NET_BUFFER_BYTES);
    r = s->buffers[0].bytes && s->buffers[1].bytes ? start_put(s, err) : bvi_fail_nomem(err);
    if (r < 0) {
        send_free(s);
        return r;
    }
    *ret_send = s;
    return 0;
}

void bvi_send_cancel(bvi_send *send)
{
    if (send->call)
        bvi_http_cancel(send->call);
}
