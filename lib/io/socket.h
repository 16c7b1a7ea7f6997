/*
 * socket.h - addresses of local sockets, for the files of lib/io.
 */
#ifndef BVI_IO_SOCKET_H
#define BVI_IO_SOCKET_H

#include <sys/socket.h>
#include <sys/un.h>

#include "io/stream.h"

/* A path as an address. A long one goes through /proc/self/fd/<folder>, which must stay open while
 * it is used. */
typedef struct bvi_socket_addr {
    struct sockaddr_un un;
    socklen_t len;
    int dir_fd; /* -1: the path fits as it is */
} bvi_socket_addr;

#define BVI_SOCKET_ADDR_INIT                                                                       \
    {                                                                                              \
        .dir_fd = -1                                                                               \
    }

int bvi_socket_addr_set(bvi_socket_addr *addr, const char *path, bv_error **err);
void bvi_socket_addr_done(bvi_socket_addr *addr);
int bvi_socket_peer(int fd, bvi_peer *ret_peer, bv_error **err);

#endif
