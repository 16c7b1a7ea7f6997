/*
 * socket.c - local sockets by path, whatever its length, and who is at the other end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/socket.h"

static void set_path(bvi_socket_addr *addr, const char *path, size_t len)
{
    memset(&addr->un, 0, sizeof(addr->un));
    addr->un.sun_family = AF_UNIX;
    memcpy(addr->un.sun_path, path, len); /* the caller checked that it fits with its zero */
    addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

/* The folder is opened and stands in the address by its number. */
static int set_long_path(bvi_socket_addr *addr, const char *path, bv_error **err)
{
    const char *name = strrchr(path, '/');
    bvi_auto_free char *folder = NULL;
    char text[sizeof(addr->un.sun_path)];
    int len;

    if (!name || strlen(name + 1) > BVI_SOCKET_NAME_MAX)
        return bvi_fail(
            err, BV_E_INVALID,
            "the last part of socket path '%s' is longer than %u bytes; choose a shorter one", path,
            BVI_SOCKET_NAME_MAX);
    folder =
        bvi_strndup(path, (size_t)(name - path) + 1); /* with its slash, so "/x" has a folder too */
    if (!folder)
        return bvi_fail_nomem(err);
    addr->dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (addr->dir_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open folder '%s' of a socket", folder);
    len = snprintf(text, sizeof(text), "/proc/self/fd/%d/%s", addr->dir_fd, name + 1);
    if (len < 0 || (size_t)len >= sizeof(text))
        return bvi_fail(err, BV_E_INTERNAL, "socket path '%s' does not fit", path);
    set_path(addr, text, (size_t)len);
    return 0;
}

int bvi_socket_addr_set(bvi_socket_addr *addr, const char *path, bv_error **err)
{
    size_t len = strlen(path);

    if (len == 0)
        return bvi_fail(err, BV_E_INVALID, "a socket path is empty");
    if (len >= sizeof(addr->un.sun_path))
        return set_long_path(addr, path, err);
    set_path(addr, path, len);
    return 0;
}

void bvi_socket_addr_done(bvi_socket_addr *addr)
{
    bvi_closep(&addr->dir_fd);
}

int bvi_socket_peer(int fd, bvi_peer *ret_peer, bv_error **err)
{
    struct ucred cred = { 0 };
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return bvi_fail_sys(err, errno, "cannot tell who is at the other end of a socket");
    *ret_peer = (bvi_peer){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
    return 0;
}

/* A node owns the folder of its sockets and could leave a link to another node's there, or to the
 * daemon's own: the last part of a path is never followed. What was looked at is what is connected
 * to. */
static int open_file(const char *path, int *ret_fd, bv_error **err)
{
    bvi_auto_close int fd = -1;
    struct stat st;

    if (!*path)
        return bvi_fail(err, BV_E_INVALID, "a socket path is empty");
    fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot connect to socket '%s'", path);
    if (S_ISLNK(st.st_mode))
        return bvi_fail(err, BV_E_DENIED, "'%s' is a symbolic link; name the socket itself", path);
    *ret_fd = bvi_take_fd(&fd);
    return 0;
}

int bvi_socket_connect(const char *path, int *ret_fd, bv_error **err)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    bvi_auto_close int file = -1;
    bvi_auto_close int fd = -1;
    int r = open_file(path, &file, err);

    if (r < 0)
        return r;
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d", file); /* fits */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot make a socket");
    if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) < 0) {
        if (errno == ECONNREFUSED)
            return bvi_fail(err, BV_E_REMOTE, "nobody listens on socket '%s'", path);
        return bvi_fail_sys(err, errno, "cannot connect to socket '%s'", path);
    }
    *ret_fd = bvi_take_fd(&fd);
    return 0;
}
