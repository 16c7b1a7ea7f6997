/*
 * fetch.c - see fetch.h. Used by the runners of download.c.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/work.h"
#include "transfer/fetch.h"
#include "transfer/part.h"
#include "transfer/url.h"

#define STATUS_NO_SUCH_RANGE 416

static_assert(BVI_FILE_BUFFER_BYTES <= BVI_NET_BUFFER_BYTES, "a file is read into either");

struct bvi_fetch {
    bvi_fetch_opts opts;
    bvi_work work;
    atomic_bool cancelled;
    bv_error *err;       /* what went wrong on the worker */
    bv_error *net_err;   /* what went wrong on the network */
    bvi_attempt attempt; /* what to do about the latter */
    /* file */
    int fd;
    bvi_part part; /* the worker's while work is under way */
    bool finished; /* the chunk is complete and verified */
    /* HTTP */
    bvi_http_call *call; /* NULL: over */
    bool paused;
    uint8_t *buffers[2]; /* of a file only the first */
    uint64_t got;     /* stored bytes of the chunk that came, the prefix we began with included */
    size_t filled;    /* of the one the network fills */
    unsigned filling; /* which one that is; the worker has the other */
    size_t draining;  /* bytes the worker is at; 0: it is idle */
};

static void fetch_free(bvi_fetch *f)
{
    bvi_closep(&f->fd);
    bvi_part_done(&f->part);
    bvi_free(f->buffers[0]);
    bvi_free(f->buffers[1]);
    bvi_free((char *)f->opts.url);
    bv_error_free(f->err);
    bv_error_free(f->net_err);
    bvi_free(f);
}

static bool starts_over(const bvi_fetch *f)
{
    return f->net_err &&
           (f->attempt.verdict == BVI_VERDICT_RESTART || f->attempt.verdict == BVI_VERDICT_REFETCH);
}

static void end(bvi_fetch *f)
{
    const bvi_attempt fail = { .verdict = BVI_VERDICT_FAIL, .retry_after_ms = -1 };
    bool from_net = f->fd < 0 && f->buffers[1];

    if (!f->finished && !f->err && atomic_load(&f->cancelled))
        (void)bvi_fail(&f->err, BV_E_CANCELLED, "download interrupted");
    if (bv_error_code(f->err) == BV_E_CHECKSUM || starts_over(f))
        bvi_part_remove(&f->part);
    if (f->finished)
        f->opts.done(NULL, fail, f->opts.data);
    else if (f->err) /* what a file holds is as wrong the second time */
        f->opts.done(f->err, from_net ? bvi_attempt_of(NULL, bv_error_code(f->err)) : fail,
                     f->opts.data);
    else
        f->opts.done(f->net_err, f->attempt, f->opts.data);
    fetch_free(f);
}

/* On the worker: the rest is here. */
static void finish_if_whole(bvi_fetch *f)
{
    if (!f->err && bvi_unpack_stored(f->opts.unpack) == f->opts.size)
        f->finished = bvi_unpack_finish(f->opts.unpack, &f->err) == 0;
}

/* ---- from a file ---- */

static int read_step(bvi_fetch *f, int fd, uint64_t size, bv_error **err)
{
    uint64_t at = bvi_unpack_stored(f->opts.unpack);
    uint64_t left = size - at;
    ssize_t n;

    do {
        n = pread(fd, f->buffers[0],
                  left < BVI_FILE_BUFFER_BYTES ? (size_t)left : BVI_FILE_BUFFER_BYTES, (off_t)at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return bvi_fail_sys(err, errno, "cannot read it from the store");
    if (n == 0)
        return bvi_fail(err, BV_E_CHECKSUM,
                        "server error: received less bytes than requested (%llu of %llu)",
                        (unsigned long long)at, (unsigned long long)f->opts.size);
    return bvi_unpack_feed(f->opts.unpack, f->buffers[0], (size_t)n, err);
}

static int open_file(bvi_fetch *f, bv_error **err)
{
    bvi_auto_free char *path = NULL;
    struct stat st;
    int r;

    r = bvi_url_to_path(f->opts.url, &path, err);
    if (r < 0)
        return r;
    /* A chunk is a file of the store, like its manifest: not a link to some other file. */
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_STATE, "'%s' is not a regular file", path);
    if ((uint64_t)st.st_size != f->opts.size)
        return bvi_fail(err, BV_E_CHECKSUM, "'%s' has %llu bytes instead of %llu", path,
                        (unsigned long long)st.st_size, (unsigned long long)f->opts.size);
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint only */
    return 0;
}

static void file_run(void *data)
{
    bvi_fetch *f = data;
    uint64_t stop = bvi_unpack_stored(f->opts.unpack) + BVI_SLICE_BYTES;
    int r = 0;

    if (f->fd < 0 && f->opts.size > 0)
        r = open_file(f, &f->err);
    while (r == 0 && bvi_unpack_stored(f->opts.unpack) < f->opts.size &&
           bvi_unpack_stored(f->opts.unpack) < stop && !atomic_load(&f->cancelled))
        r = read_step(f, f->fd, f->opts.size, &f->err);
    finish_if_whole(f);
}

static void file_done(void *data, bool cancelled)
{
    bvi_fetch *f = data;

    if (cancelled)
        atomic_store(&f->cancelled, true);
    if (f->opts.moved)
        f->opts.moved(f->opts.data);
    if (f->err || f->finished || atomic_load(&f->cancelled)) {
        end(f);
        return;
    }
    bvi_work_submit(&f->work);
}

/* ---- from HTTP ---- */

static void http_run(void *data)
{
    bvi_fetch *f = data;
    const uint8_t *bytes = f->buffers[f->filling ^ 1u];

    for (size_t at = 0; at < f->draining && !f->err && !atomic_load(&f->cancelled);) {
        size_t n =
            f->draining - at < BVI_FILE_BUFFER_BYTES ? f->draining - at : BVI_FILE_BUFFER_BYTES;

        if (bvi_unpack_feed(f->opts.unpack, bytes + at, n, &f->err) == 0)
            bvi_part_append(&f->part, bytes + at, n);
        at += n;
    }
    finish_if_whole(f);
}

/* Hands the filled buffer to the worker, if it is free. */
static void drain(bvi_fetch *f)
{
    if (f->draining > 0 || f->filled == 0)
        return;
    f->draining = f->filled;
    f->filled = 0;
    f->filling ^= 1u;
    bvi_work_submit(&f->work);
    if (f->paused && f->call) {
        f->paused = false;
        bvi_http_resume(f->call);
    }
}

/* The connection is over and the worker has had everything. */
static void settle(bvi_fetch *f)
{
    if (f->call || f->draining > 0)
        return;
    if (f->filled > 0 && !f->err && !f->finished && !atomic_load(&f->cancelled)) {
        drain(f); /* what came before the connection broke is as good as the rest */
        return;
    }
    if (!f->err && !f->finished && !f->net_err && !atomic_load(&f->cancelled)) {
        (void)bvi_fail(&f->net_err, BV_E_REMOTE,
                       "server error: received less bytes than requested (%llu of %llu)",
                       (unsigned long long)bvi_unpack_stored(f->opts.unpack),
                       (unsigned long long)f->opts.size);
        f->attempt.verdict = BVI_VERDICT_AGAIN;
    }
    end(f);
}

static void hang_up(bvi_fetch *f)
{
    bvi_http_drop(bvi_take(f->call));
    f->filled = 0;
}

/* Much came, or all of it: the connection's end need not be waited for then. */
static bool is_worth_draining(const bvi_fetch *f)
{
    return f->filled >= BVI_NET_BUFFER_BYTES / 2 || f->got >= f->opts.size;
}

static void http_work_done(void *data, bool cancelled)
{
    bvi_fetch *f = data;

    f->draining = 0;
    if (cancelled)
        atomic_store(&f->cancelled, true);
    if (f->opts.moved)
        f->opts.moved(f->opts.data);
    if (f->err || f->finished || atomic_load(&f->cancelled))
        hang_up(f);
    if (f->call && is_worth_draining(f))
        drain(f);
    if (f->call && f->paused) {
        f->paused = false;
        bvi_http_resume(f->call);
    }
    settle(f);
}

static int on_head(bvi_http_call *call, const bvi_http_response *response, void *data)
{
    bvi_fetch *f = data;
    uint64_t left = f->opts.size - bvi_unpack_stored(f->opts.unpack);

    (void)call;
    if (response->status >= 300 || response->content_length < 0 ||
        (uint64_t)response->content_length <= left)
        return 0;
    (void)bvi_fail(&f->net_err, BV_E_CHECKSUM,
                   "server error: received more bytes than requested (%lld instead of %llu)",
                   (long long)response->content_length, (unsigned long long)left);
    return BV_E_CHECKSUM;
}

static int on_data(bvi_http_call *call, const void *bytes, size_t len, void *data)
{
    bvi_fetch *f = data;

    (void)call;
    if (f->filled + len > BVI_NET_BUFFER_BYTES)
        drain(f);
    if (f->filled + len > BVI_NET_BUFFER_BYTES) {
        f->paused = true;
        return BVI_HTTP_PAUSE;
    }
    memcpy(f->buffers[f->filling] + f->filled, bytes, len);
    f->filled += len;
    f->got += len;
    if (is_worth_draining(f))
        drain(f);
    return 0;
}

static void on_done(bvi_http_call *call, const bvi_http_response *response, const bv_error *err,
                    void *data)
{
    bvi_fetch *f = data;

    (void)call;
    f->call = NULL;
    if (!f->net_err)
        f->net_err = bvi_error_copy(err);
    if (!f->net_err)
        (void)bvi_http_check(response, &f->net_err); /* an error of ours for each status but 2xx */
    if (f->net_err && response->status == STATUS_NO_SUCH_RANGE)
        (void)bvi_wrap(&f->net_err, BV_E_CHECKSUM, "the object in the store is too short");
    if (f->net_err)
        f->attempt = bvi_attempt_of(response, bv_error_code(f->net_err));
    settle(f);
}

static int start_http(bvi_fetch *f, bv_error **err)
{
    uint64_t at = bvi_unpack_stored(f->opts.unpack);
    bvi_http_request req = BVI_HTTP_REQUEST_INIT;

    f->got = at;
    req.url = f->opts.url;
    req.has_range = at > 0;
    req.range_first = at;
    req.range_last = f->opts.size - 1;
    req.on_head = on_head;
    req.on_data = on_data;
    req.on_done = on_done;
    req.data = f;
    req.recv_bytes_per_s = f->opts.bytes_per_s;
    req.slow_bytes_per_s = bvi_slow_bytes_per_s(f->opts.bytes_per_s);
    req.redirects_max = 5;
    req.bulk = true;
    return bvi_http_start(f->opts.http, &req, &f->call, err);
}

/* ---- what was kept of an earlier attempt comes first ---- */

static void replay_run(void *data)
{
    bvi_fetch *f = data;
    uint64_t stop = bvi_unpack_stored(f->opts.unpack) + BVI_SLICE_BYTES;
    int r = 0;

    if (f->part.fd < 0)
        bvi_part_open(&f->part, bvi_unpack_stored(f->opts.unpack), f->opts.size);
    while (r == 0 && bvi_unpack_stored(f->opts.unpack) < f->part.size &&
           bvi_unpack_stored(f->opts.unpack) < stop && !atomic_load(&f->cancelled))
        r = read_step(f, f->part.fd, f->part.size, &f->err);
    finish_if_whole(f);
}

static void replay_done(void *data, bool cancelled)
{
    bvi_fetch *f = data;

    if (cancelled)
        atomic_store(&f->cancelled, true);
    if (f->opts.moved)
        f->opts.moved(f->opts.data);
    if (f->err || f->finished || atomic_load(&f->cancelled)) {
        end(f);
    } else if (bvi_unpack_stored(f->opts.unpack) < f->part.size) {
        bvi_work_submit(&f->work);
    } else {
        bvi_work_init(&f->work, f->opts.ctx, http_run, http_work_done, f);
        if (start_http(f, &f->err) < 0)
            end(f);
    }
}

/* ---- life ---- */

static int prepare(bvi_fetch *f, bool is_file, bv_error **err)
{
    f->opts.url = bvi_strdup(f->opts.url);
    f->part.path = is_file ? NULL : bvi_strdup(f->opts.part_path); /* NULL: nothing is kept */
    f->buffers[0] = bvi_malloc(is_file ? BVI_FILE_BUFFER_BYTES : BVI_NET_BUFFER_BYTES);
    if (!is_file)
        f->buffers[1] = bvi_malloc(BVI_NET_BUFFER_BYTES);
    if (!f->opts.url || !f->buffers[0] || (!is_file && !f->buffers[1]))
        return bvi_fail_nomem(err);
    if (is_file) {
        bvi_work_init(&f->work, f->opts.ctx, file_run, file_done, f);
        bvi_work_submit(&f->work);
        return 0;
    }
    if (!f->opts.http)
        return bvi_fail(err, BV_E_INVALID, "URLs of this kind are not supported here");
    if (f->part.path) {
        bvi_work_init(&f->work, f->opts.ctx, replay_run, replay_done, f);
        bvi_work_submit(&f->work);
        return 0;
    }
    bvi_work_init(&f->work, f->opts.ctx, http_run, http_work_done, f);
    return start_http(f, err);
}

int bvi_fetch_start(const bvi_fetch_opts *opts, bvi_fetch **ret_fetch, bv_error **err)
{
    bvi_fetch *f = bvi_new0(bvi_fetch);
    int r;

    if (!f)
        return bvi_fail_nomem(err);
    f->opts = *opts;
    f->fd = f->part.fd = -1;
    f->attempt.retry_after_ms = -1;
    atomic_init(&f->cancelled, false);
    /* A chunk without stored bytes needs no request: the worker just finishes it. */
    r = prepare(f, opts->size == 0 || bvi_url_is_file(opts->url), err);
    if (r < 0) {
        fetch_free(f);
        return r;
    }
    *ret_fetch = f;
    return 0;
}

void bvi_fetch_cancel(bvi_fetch *fetch)
{
    atomic_store(&fetch->cancelled, true);
    if (fetch->call)
        bvi_http_cancel(fetch->call);
}
