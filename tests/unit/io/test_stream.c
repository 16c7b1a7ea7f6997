/* Local connections: order, backpressure, half-close, the other end going away, and listeners with
 * their files. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drive.h"
#include "io/stream.h"

#define KEEP_MAX (1u << 20)

typedef struct side {
    bvi_stream *stream;
    char *got; /* of KEEP_MAX bytes */
    size_t got_len;
    unsigned reads, drains, ends, closes;
    int close_code;
    bool closed;
    bool ended;
    bool free_on_read, free_on_close;
    bool end_on_end;
    bool echo;
} side;

static void on_read(bvi_stream *stream, const void *bytes, size_t len, void *data)
{
    side *s = data;

    ck_assert_ptr_eq(stream, s->stream);
    ck_assert_uint_le(s->got_len + len, KEEP_MAX);
    memcpy(s->got + s->got_len, bytes, len);
    s->got_len += len;
    s->reads++;
    if (s->echo)
        ck_assert_int_eq(bvi_stream_write(stream, bytes, len, NULL), 0);
    if (s->free_on_read) {
        bvi_stream_free(stream);
        s->stream = NULL;
    }
}

static void on_drain(bvi_stream *stream, void *data)
{
    ((side *)data)->drains++;
}

static void on_end(bvi_stream *stream, void *data)
{
    side *s = data;

    s->ends++;
    s->ended = true;
    if (s->end_on_end)
        bvi_stream_end(stream);
}

static void on_close(bvi_stream *stream, const bv_error *err, void *data)
{
    side *s = data;

    ck_assert(!bvi_stream_is_open(stream));
    s->closes++;
    s->close_code = bv_error_code(err);
    s->closed = true;
    if (s->free_on_close) {
        bvi_stream_free(stream);
        s->stream = NULL;
    }
}

static bvi_stream_opts side_init(side *s, size_t write_max, bool with_end)
{
    bvi_stream_opts opts = { .write_max = write_max,
                             .on_read = on_read,
                             .on_drain = on_drain,
                             .on_close = on_close,
                             .data = s };

    memset(s, 0, sizeof(*s));
    s->got = malloc(KEEP_MAX);
    if (with_end)
        opts.on_end = on_end;
    return opts;
}

static void side_done(side *s)
{
    bvi_stream_free(s->stream);
    free(s->got);
}

static void open_pair(drive *d, side *a, side *b, size_t write_max, bool with_end)
{
    bvi_stream_opts opts_a = side_init(a, write_max, with_end),
                    opts_b = side_init(b, write_max, with_end);
    bv_error *err = NULL;
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    bvt_assert_ok(bvi_stream_new(d->ctx, fds[0], &opts_a, &a->stream, &err), err);
    bvt_assert_ok(bvi_stream_new(d->ctx, fds[1], &opts_b, &b->stream, &err), err);
}

START_TEST(there_and_back)
{
    side a, b;
    drive d;

    drive_open(&d, _i, 0, true);
    open_pair(&d, &a, &b, 0, false);
    b.echo = true;
    ck_assert_int_eq(bvi_stream_write(a.stream, "hello ", 6, NULL), 0);
    ck_assert_int_eq(bvi_stream_write(a.stream, "", 0, NULL), 0);
    ck_assert_int_eq(bvi_stream_write(a.stream, "world", 5, NULL), 0);
    ck_assert_uint_eq(b.reads, 0);
    drive_settle(&d);
    ck_assert_uint_eq(a.got_len, 11);
    ck_assert_int_eq(memcmp(a.got, "hello world", 11), 0);
    ck_assert_uint_ge(a.drains, 1);
    side_done(&a);
    drive_settle(&d);
    ck_assert_uint_eq(b.closes, 1);
    ck_assert_int_eq(b.close_code, BV_OK);
    ck_assert_int_eq(bvi_stream_write(b.stream, "x", 1, NULL), BV_E_STATE);
    ck_assert_uint_eq(bvi_stream_room(b.stream), 0);
    side_done(&b);
    drive_close(&d);
}
END_TEST

START_TEST(backpressure)
{
    static char piece[5000];
    unsigned written = 0;
    bv_error *err = NULL;
    side a, b;
    drive d;

    drive_open(&d, _i, 0, true);
    open_pair(&d, &a, &b, 100000, false);
    bvi_stream_pause(b.stream, true);
    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = (char)(i * 7);
    while (bvi_stream_write(a.stream, piece, sizeof(piece), NULL) == 0) {
        written++;
        ck_assert_uint_lt(written, 1000);
        drive_turn(&d);
    }
    ck_assert_uint_gt(bvi_stream_unsent(a.stream), 90000);
    ck_assert_uint_lt(bvi_stream_room(a.stream), sizeof(piece));
    ck_assert_int_eq(bvi_stream_write(a.stream, piece, sizeof(piece), &err), BV_E_LIMIT);
    bvt_assert_error_says(err, BV_E_LIMIT, "100000 unsent bytes");
    bv_error_free(err);
    ck_assert_uint_eq(b.reads, 0);

    a.drains = 0;
    bvi_stream_pause(b.stream, false);
    drive_settle(&d);
    ck_assert_uint_eq(bvi_stream_unsent(a.stream), 0);
    ck_assert_uint_eq(a.drains, 1);
    ck_assert_uint_eq(b.got_len, written * sizeof(piece));
    for (unsigned i = 0; i < written; i++)
        ck_assert_int_eq(memcmp(b.got + i * sizeof(piece), piece, sizeof(piece)), 0);
    side_done(&a);
    side_done(&b);
    drive_close(&d);
}
END_TEST

START_TEST(half_close)
{
    static char big[300000];
    side a, b;
    drive d;

    drive_open(&d, _i, 0, true);
    open_pair(&d, &a, &b, 0, true);
    memset(big, 'z', sizeof(big));
    ck_assert_int_eq(bvi_stream_write(a.stream, big, sizeof(big), NULL), 0);
    bvi_stream_end(a.stream);
    bvi_stream_end(a.stream);
    ck_assert_int_eq(bvi_stream_write(a.stream, "x", 1, NULL), BV_E_STATE);
    drive_settle(&d);
    ck_assert_uint_eq(b.got_len, sizeof(big)); /* all of it, then the end */
    ck_assert_uint_eq(b.ends, 1);
    ck_assert_uint_eq(a.ends, 0);
    ck_assert_int_eq(bvi_stream_write(b.stream, "answer", 6, NULL),
                     0); /* the other direction is open */
    drive_settle(&d);
    ck_assert_uint_eq(a.got_len, 6);
    ck_assert_uint_eq(a.closes + b.closes, 0);
    bvi_stream_end(b.stream);
    drive_settle(&d);
    ck_assert_uint_eq(a.ends, 1);
    ck_assert_uint_eq(a.closes, 1);
    ck_assert_uint_eq(b.closes, 1);
    ck_assert_int_eq(a.close_code, BV_OK);
    side_done(&a);
    side_done(&b);
    drive_close(&d);
}
END_TEST

START_TEST(the_other_end_goes_away)
{
    static char big[2000000];
    side a, b;
    drive d;

    drive_open(&d, _i, 0, true);
    open_pair(&d, &a, &b, 0, false);
    ck_assert_int_eq(bvi_stream_write(a.stream, big, sizeof(big), NULL), 0);
    bvi_stream_free(b.stream); /* with unread bytes: a reset */
    b.stream = NULL;
    ck_assert_uint_eq(a.closes, 0);
    ck_assert_int_eq(bvi_stream_write(a.stream, "more", 4, NULL), 0); /* not reported here */
    drive_settle(&d);
    ck_assert_uint_eq(a.closes, 1);
    ck_assert_int_eq(a.close_code, BV_E_REMOTE);
    side_done(&a);
    side_done(&b);
    drive_close(&d);
}
END_TEST

START_TEST(freed_inside_callbacks)
{
    side a, b;
    drive d;

    drive_open(&d, _i, 0, true);
    open_pair(&d, &a, &b, 0, false);
    b.free_on_read = true;
    a.free_on_close = true;
    ck_assert_int_eq(bvi_stream_write(a.stream, "x", 1, NULL), 0);
    drive_settle(&d);
    ck_assert_uint_eq(b.reads, 1);
    ck_assert_ptr_null(b.stream);
    ck_assert_uint_eq(a.closes, 1);
    ck_assert_ptr_null(a.stream);
    side_done(&a);
    side_done(&b);
    drive_close(&d);
}
END_TEST

/* ---- listeners ---- */

typedef struct door {
    bvi_listener *listener;
    bv_ctx *ctx;
    side *side; /* the next one to come */
    bvi_peer peer;
    unsigned accepts;
    bool free_on_accept;
    bool refuse;
} door;

static void on_accept(bvi_listener *listener, int fd, const bvi_peer *peer, void *data)
{
    door *o = data;
    bvi_stream_opts opts;

    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    o->accepts++;
    o->peer = *peer;
    if (o->refuse || !o->side) {
        close(fd);
    } else {
        opts = side_init(o->side, 0, false);
        ck_assert_int_eq(bvi_stream_new(o->ctx, fd, &opts, &o->side->stream, NULL), 0);
        o->side->echo = true;
        o->side = NULL;
    }
    if (o->free_on_accept) {
        bvi_listener_free(o->listener);
        o->listener = NULL;
    }
}

static int door_open(door *o, bv_ctx *ctx, const char *path, mode_t mode, bv_error **err)
{
    bvi_listener_opts opts = { .path = path, .mode = mode, .on_accept = on_accept, .data = o };

    *o = (door){ .ctx = ctx };
    return bvi_listener_new(ctx, &opts, &o->listener, err);
}

static const char *long_path(void)
{
    char folder[400];
    size_t len = 0;

    for (int i = 0; i < 5; i++) {
        len += (size_t)snprintf(folder + len, sizeof(folder) - len,
                                "%s%d-a-folder-with-a-rather-long-name", i ? "/" : "", i);
        ck_assert_int_eq(mkdir(bvt_path("%s", folder), 0755), 0);
    }
    return bvt_path("%s/agent.socket", folder);
}

START_TEST(listens_and_connects)
{
    const char *path = _i ? long_path() : bvt_path("a.socket");
    bv_error *err = NULL;
    bvi_stream_opts opts;
    struct stat st;
    side a, b;
    door o;
    drive d;

    drive_open(&d, DRIVE_OWN, 0, true);
    bvt_assert_ok(door_open(&o, d.ctx, path, 0660, &err), err);
    ck_assert_str_eq(bvi_listener_path(o.listener), path);
    ck_assert_int_eq(lstat(path, &st), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_uint_eq(st.st_mode & 0777, 0660);

    opts = side_init(&a, 0, false);
    o.side = &b;
    bvt_assert_ok(bvi_stream_connect(d.ctx, path, &opts, &a.stream, &err), err);
    ck_assert_int_eq(bvi_stream_write(a.stream, "ping", 4, NULL), 0);
    drive_settle(&d);
    ck_assert_uint_eq(o.accepts, 1);
    ck_assert_int_eq((int)o.peer.pid, (int)getpid());
    ck_assert_uint_eq(o.peer.uid, getuid());
    ck_assert_uint_eq(a.got_len, 4);
    bvi_listener_free(o.listener);
    ck_assert(!bvt_exists(path));
    side_done(&a);
    side_done(&b);
    drive_close(&d);
}
END_TEST

START_TEST(default_mode_whatever_the_umask)
{
    static const mode_t masks[] = { 0, 022, 0777 };
    struct stat st;
    door o;
    drive d;

    drive_open(&d, DRIVE_OWN, 0, true);
    for (size_t i = 0; i < 3; i++) {
        mode_t before = umask(masks[i]);

        ck_assert_int_eq(door_open(&o, d.ctx, bvt_path("m.socket"), 0, NULL), 0);
        umask(before);
        ck_assert_int_eq(lstat(bvt_path("m.socket"), &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0600);
        bvi_listener_free(o.listener);
    }
    drive_close(&d);
}
END_TEST

START_TEST(stale_busy_and_foreign_files)
{
    const char *path = bvt_path("s.socket");
    const char *file = bvt_write_file("file", "precious");
    bv_error *err = NULL;
    struct stat first, second;
    door o, other;
    drive d;
    int fd;

    drive_open(&d, DRIVE_OWN, 0, true);
    ck_assert_int_eq(door_open(&o, d.ctx, path, 0, NULL), 0);
    ck_assert_int_eq(door_open(&other, d.ctx, path, 0, &err), BV_E_BUSY); /* alive: kept */
    bvt_assert_error_says(err, BV_E_BUSY, "another process listens");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(lstat(path, &first), 0);

    /* what a crash leaves: the file without a listener */
    ck_assert_int_eq(rename(path, bvt_path("moved.socket")), 0);
    bvi_listener_free(o.listener);
    ck_assert(bvt_exists(bvt_path("moved.socket"))); /* not at its path any longer: not touched */
    ck_assert_int_eq(bvi_socket_connect(bvt_path("moved.socket"), &fd, &err), BV_E_REMOTE);
    bvt_assert_error_says(err, BV_E_REMOTE, "nobody listens");
    bv_error_free(err);
    err = NULL;
    ck_assert_int_eq(door_open(&o, d.ctx, bvt_path("moved.socket"), 0, NULL), 0);
    ck_assert_int_eq(lstat(bvt_path("moved.socket"), &second), 0);

    /* somebody replaced the file: it is theirs */
    ck_assert_int_eq(unlink(bvt_path("moved.socket")), 0);
    (void)bvt_write_file("moved.socket", "theirs");
    bvi_listener_free(o.listener);
    ck_assert(bvt_exists(bvt_path("moved.socket")));

    ck_assert_int_eq(door_open(&o, d.ctx, file, 0, &err), BV_E_EXISTS);
    bvt_assert_error_says(err, BV_E_EXISTS, "is not a socket");
    bv_error_free(err);
    drive_close(&d);
}
END_TEST

/* A node can leave a link to somebody else's socket where its own is expected. */
START_TEST(links_are_not_followed)
{
    const char *path = _i ? long_path() : bvt_path("theirs.socket");
    const char *link = bvt_path("link.socket");
    bv_error *err = NULL;
    door o, other;
    drive d;
    int fd;

    drive_open(&d, DRIVE_OWN, 0, true);
    ck_assert_int_eq(door_open(&o, d.ctx, path, 0, NULL), 0);
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert_int_eq(bvi_socket_connect(link, &fd, &err), BV_E_DENIED);
    bvt_assert_error_says(err, BV_E_DENIED, "is a symbolic link");
    bv_error_free(err);
    ck_assert_int_eq(door_open(&other, d.ctx, link, 0, NULL), BV_E_EXISTS);
    ck_assert_int_eq(bvi_socket_connect(path, &fd, NULL), 0);
    ck_assert_int_eq(close(fd), 0);
    bvi_listener_free(o.listener);
    drive_close(&d);
}
END_TEST

START_TEST(paths_that_do_not_work)
{
    char name[300];
    bv_error *err = NULL;
    door o;
    drive d;
    int fd;

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    drive_open(&d, DRIVE_OWN, 0, true);
    ck_assert_int_eq(door_open(&o, d.ctx, "", 0, NULL), BV_E_INVALID);
    ck_assert_int_eq(door_open(&o, d.ctx, bvt_path("%.150s", name), 0, &err), BV_E_INVALID);
    bvt_assert_error_says(err, BV_E_INVALID, "last part");
    bv_error_free(err);
    ck_assert_int_eq(door_open(&o, d.ctx, bvt_path("no/such/folder/x"), 0, NULL), BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_socket_connect(bvt_path("no.socket"), &fd, NULL), BV_E_NOT_FOUND);
    ck_assert_int_eq(bvi_socket_connect(bvt_path("%.120s/x", name), &fd, NULL), BV_E_NOT_FOUND);
    drive_close(&d);
}
END_TEST

START_TEST(listener_freed_inside_accept)
{
    int fds[3];
    door o;
    drive d;

    drive_open(&d, DRIVE_OWN, 0, true);
    ck_assert_int_eq(door_open(&o, d.ctx, bvt_path("a.socket"), 0, NULL), 0);
    o.free_on_accept = true;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(bvi_socket_connect(bvt_path("a.socket"), &fds[i], NULL), 0);
    drive_settle(&d);
    ck_assert_uint_eq(o.accepts, 1);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    drive_close(&d);
}
END_TEST

START_TEST(out_of_descriptors)
{
    struct rlimit before, tight;
    int fd, probe;
    door o;
    drive d;

    drive_open(&d, DRIVE_OWN, 0, true);
    ck_assert_int_eq(door_open(&o, d.ctx, bvt_path("a.socket"), 0, NULL), 0);
    o.refuse = true;
    ck_assert_int_eq(bvi_socket_connect(bvt_path("a.socket"), &fd, NULL), 0);
    probe = dup(fd);
    close(probe);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)probe; /* not one more */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < 5; i++)
        drive_turn(&d);
    ck_assert_uint_eq(o.accepts, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 5; i++)
        drive_turn(&d);
    ck_assert_uint_eq(o.accepts, 0); /* resting, not spinning */
    drive_advance(&d, 100000);
    ck_assert_uint_eq(o.accepts, 1);
    close(fd);
    bvi_listener_free(o.listener);
    drive_close(&d);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    const char *path = bvt_path("f.socket");

    bvt_for_each_failed_allocation(n) {
        bvi_stream_opts opts = { .on_read = on_read, .on_close = on_close };
        bvi_stream *stream = NULL;
        bv_ctx *ctx = NULL;
        door o = { 0 };
        int r = bv_ctx_new(NULL, &ctx, NULL);

        if (r == 0)
            r = door_open(&o, ctx, path, 0, NULL);
        o.refuse = true;
        if (r == 0)
            r = bvi_stream_connect(ctx, path, &opts, &stream, NULL);
        if (r == 0)
            r = bvi_stream_write(stream, "hello", 5, NULL);
        ck_assert_msg(r == 0 || r == BV_E_NOMEM, "%d", r);
        bvi_stream_free(stream);
        bvi_listener_free(o.listener);
        bv_ctx_free(ctx);
    }
}
END_TEST

BVT_MAIN("io/stream", bvt_times(there_and_back, DRIVE_COUNT), bvt_times(backpressure, DRIVE_COUNT),
         bvt_times(half_close, DRIVE_COUNT), bvt_times(the_other_end_goes_away, DRIVE_COUNT),
         bvt_times(freed_inside_callbacks, DRIVE_COUNT), bvt_times(listens_and_connects, 2),
         bvt_test(default_mode_whatever_the_umask), bvt_test(stale_busy_and_foreign_files),
         bvt_times(links_are_not_followed, 2), bvt_test(paths_that_do_not_work),
         bvt_test(listener_freed_inside_accept), bvt_test(out_of_descriptors),
         bvt_test(survives_every_failed_allocation))
