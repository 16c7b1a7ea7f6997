/*
 * stream.h - local stream sockets on the loop: buffered connections, listeners on a path,
 * connecting to a path.
 *
 * Callbacks come from dispatch only. A stream or listener may be freed at any time, also inside its
 * own callbacks; nothing is called afterwards. Paths longer than a socket address holds work as
 * long as their last part fits.
 */
#ifndef BVI_IO_STREAM_H
#define BVI_IO_STREAM_H

#include <sys/types.h>

#include "io/loop.h"

/* Most unsent bytes of a stream whose user names no maximum. */
#define BVI_STREAM_WRITE_MAX (8u * 1024u * 1024u)
/* Most bytes one on_read brings. */
#define BVI_STREAM_READ_MAX (32u * 1024u)
/* Longest last part of a socket's path; the folder in front of it is opened and adds a known
 * length. */
#define BVI_SOCKET_NAME_MAX 80u

typedef struct bvi_stream bvi_stream;

typedef struct bvi_stream_opts {
    size_t write_max; /* most unsent bytes; 0: BVI_STREAM_WRITE_MAX */
    void (*on_read)(bvi_stream *stream, const void *bytes, size_t len,
                    void *data); /* takes all of them */
    void (*on_drain)(bvi_stream *stream,
                     void *data); /* optional: all that was written is with the system */
    /* Optional: the peer sends no more but still reads. Without it that is the end of the stream.
     */
    void (*on_end)(bvi_stream *stream, void *data);
    /* Once: NULL after an orderly end, else what broke. The stream is still there, for its owner to
     * free. */
    void (*on_close)(bvi_stream *stream, const bv_error *err, void *data);
    void *data;
} bvi_stream_opts;

/* Who is at the other end, as the kernel knows it from the moment of connecting. */
typedef struct bvi_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
} bvi_peer;

/* Takes the connected fd over, also on failure. opts are copied. */
int bvi_stream_new(bv_ctx *ctx, int fd, const bvi_stream_opts *opts, bvi_stream **ret_stream,
                   bv_error **err);
/* Local connecting does not wait: BV_E_NOT_FOUND, BV_E_REMOTE (nobody listens), BV_E_AGAIN (the
 * queue is full). */
int bvi_stream_connect(bv_ctx *ctx, const char *path, const bvi_stream_opts *opts,
                       bvi_stream **ret_stream, bv_error **err);
/* Closes at once; what was not sent is lost. */
void bvi_stream_free(bvi_stream *stream);
BVI_DEFINE_FREEP(bvi_stream, bvi_stream_free)

/*
 * Sends or keeps for sending, all or nothing: BV_E_LIMIT when the unsent bytes would pass the
 * maximum, BV_E_STATE after the end, BV_E_NOMEM. A broken connection is not reported here but
 * through on_close.
 */
int bvi_stream_write(bvi_stream *stream, const void *bytes, size_t len, bv_error **err);
size_t bvi_stream_unsent(const bvi_stream *stream);
size_t bvi_stream_room(const bvi_stream *stream); /* how much bvi_stream_write() takes now */
void bvi_stream_pause(bvi_stream *stream,
                      bool paused); /* stops reading, so that the peer's writes fill up */
void bvi_stream_end(
    bvi_stream *stream); /* no more writes; when all is sent, the peer sees the end */
bool bvi_stream_is_open(const bvi_stream *stream); /* on_close has not been called */

/* ---- listeners ---- */

typedef struct bvi_listener bvi_listener;

typedef struct bvi_listener_opts {
    const char
        *path;   /* a stale socket file is replaced; one that somebody listens on is BV_E_BUSY */
    mode_t mode; /* of the socket file, 0: 0600; never wider, not even for a moment */
    /* Owns fd, which is non-blocking. */
    void (*on_accept)(bvi_listener *listener, int fd, const bvi_peer *peer, void *data);
    void *data;
} bvi_listener_opts;

int bvi_listener_new(bv_ctx *ctx, const bvi_listener_opts *opts, bvi_listener **ret_listener,
                     bv_error **err);
void bvi_listener_free(
    bvi_listener *listener); /* removes the socket file if it is still this listener's */
BVI_DEFINE_FREEP(bvi_listener, bvi_listener_free)
const char *bvi_listener_path(const bvi_listener *listener);

/* Connects a socket to a path without a loop: a non-blocking fd, or an error as
 * bvi_stream_connect(). */
int bvi_socket_connect(const char *path, int *ret_fd, bv_error **err);

#endif
