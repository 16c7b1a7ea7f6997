/*
 * listener.c - waiting for connections on a socket file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/socket.h"

/* Connections waiting to be accepted; more are told to try again. */
#define LISTEN_QUEUE 128
/* Out of descriptors: rest this long, since the waiting connection would keep the loop busy. */
#define ACCEPT_REST_US 100000
#define MODE_DEFAULT   0600

struct bvi_listener {
    bv_ctx *ctx;
    char *path;
    int fd;
    dev_t dev; /* of the socket file we made */
    ino_t ino;
    bvi_listener_opts opts;
    bvi_watch *watch;
    bvi_timer *rest;
};

static void on_rest_over(bvi_timer *timer, void *data)
{
    bvi_listener *l = data;

    (void)timer;
    if (bvi_watch_set(l->watch, BV_IO_IN, NULL) < 0)
        (void)bvi_timer_set(l->rest, ACCEPT_REST_US,
                            NULL); /* nothing better than trying once more */
}

static void take_rest(bvi_listener *l, int errnum)
{
    bvi_log_warn(l->ctx, "io",
                 "cannot accept a connection on '%s': errno %d; trying again in %d ms", l->path,
                 errnum, ACCEPT_REST_US / 1000);
    if (bvi_timer_set(l->rest, ACCEPT_REST_US, NULL) == 0)
        (void)bvi_watch_set(l->watch, 0, NULL); /* at worst the loop stays busy */
}

static void hand_over(bvi_listener *l, int fd)
{
    bvi_peer peer = { 0 };

    if (bvi_socket_peer(fd, &peer, NULL) < 0) {
        (void)close(fd); /* nobody we could answer to */
        return;
    }
    l->opts.on_accept(l, fd, &peer, l->opts.data);
}

static void on_ready(bvi_watch *watch, int fd, unsigned events, void *data)
{
    bvi_listener *l = data;
    int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)watch;
    (void)events;
    /* One for each time we are called: others are still waiting then, and l may be gone after this.
     */
    if (conn >= 0)
        hand_over(l, conn);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        take_rest(l, errno);
}

/* Somebody may be listening, or the file was left behind by a crash. */
static int remove_stale(const char *path, bv_error **err)
{
    bvi_auto_close int fd = -1;
    struct stat st;
    int r;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISSOCK(st.st_mode))
        return bvi_fail(err, BV_E_EXISTS,
                        "'%s' exists and is not a socket; remove it or choose another path", path);
    r = bvi_socket_connect(path, &fd, NULL);
    if (r != BV_E_REMOTE && r != BV_E_NOT_FOUND)
        return bvi_fail(err, BV_E_BUSY, "another process listens on '%s'; stop it first", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot remove the stale socket '%s'", path);
    return 0;
}

/* The folder may be a node's, which can put a link in the place of the file we just made: nothing
 * but a socket gets the mode. */
static int set_mode(bvi_listener *l, mode_t mode, bv_error **err)
{
    bvi_auto_close int fd = open(l->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char name[64];
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at socket '%s'", l->path);
    if (!S_ISSOCK(st.st_mode))
        return bvi_fail(err, BV_E_EXISTS, "'%s' was replaced by something else", l->path);
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd); /* fits */
    if (chmod(name, mode) < 0)
        return bvi_fail_sys(err, errno, "cannot set the mode of socket '%s'", l->path);
    return 0;
}

static int bind_path(bvi_listener *l, mode_t mode, bv_error **err)
{
    BVI_AUTO(bvi_socket_addr_done) bvi_socket_addr addr = BVI_SOCKET_ADDR_INIT;
    int r = bvi_socket_addr_set(&addr, l->path, err);

    if (r < 0)
        return r;
    /* The file is made with the mode of the socket, less the umask: never wider than asked. */
    if (fchmod(l->fd, mode) < 0 || bind(l->fd, (const struct sockaddr *)&addr.un, addr.len) < 0)
        return bvi_fail_sys(err, errno, "cannot make socket '%s'", l->path);
    r = set_mode(l, mode, err);
    if (r == 0 && listen(l->fd, LISTEN_QUEUE) < 0)
        r = bvi_fail_sys(err, errno, "cannot listen on '%s'", l->path);
    return r;
}

static int open_socket(bvi_listener *l, bv_error **err)
{
    int r = remove_stale(l->path, err);

    if (r < 0)
        return r;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return bvi_fail_sys(err, errno, "cannot make a socket");
    r = bind_path(l, l->opts.mode ? l->opts.mode : MODE_DEFAULT, err);
    if (r < 0)
        return r;
    r = bvi_timer_new(l->ctx, on_rest_over, l, &l->rest, err);
    if (r < 0)
        return r;
    return bvi_watch_new(l->ctx, l->fd, BV_IO_IN, on_ready, l, &l->watch, err);
}

int bvi_listener_new(bv_ctx *ctx, const bvi_listener_opts *opts, bvi_listener **ret_listener,
                     bv_error **err)
{
    bvi_listener *l = bvi_new0(bvi_listener);
    int r;

    if (!l)
        return bvi_fail_nomem(err);
    l->ctx = ctx;
    l->fd = -1;
    l->opts = *opts;
    l->path = bvi_strdup(opts->path);
    r = l->path ? open_socket(l, err) : bvi_fail_nomem(err);
    if (r < 0) {
        bvi_listener_free(l);
        return r;
    }
    *ret_listener = l;
    return 0;
}

void bvi_listener_free(bvi_listener *l)
{
    struct stat st;

    if (!l)
        return;
    bvi_watch_free(l->watch);
    bvi_timer_free(l->rest);
    bvi_closep(&l->fd);
    if (l->ino && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        (void)unlink(l->path); /* a left-over file is replaced by the next listener */
    bvi_free(l->path);
    bvi_free(l);
}

const char *bvi_listener_path(const bvi_listener *l)
{
    return l->path;
}
