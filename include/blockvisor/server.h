/**
 * @file blockvisor/server.h
 * Serving a host to others: HTTP/1.1 and JSON over a Unix socket, as the OpenAPI file describes.
 *
 * The server uses the event base that drives its context (see adapters/libevent.h). Peers are told
 * apart by their socket credentials: root and the daemon's own user may do everything, members of
 * the socket's group too. The program ignores SIGPIPE: libevent writes to a peer that is gone in
 * the way that raises it.
 */
#ifndef BLOCKVISOR_SERVER_H
#define BLOCKVISOR_SERVER_H

#include <blockvisor/host.h>

BV_BEGIN_DECLS

struct event_base;
typedef struct bv_server bv_server;

typedef struct bv_server_opts {
    size_t size;             /**< sizeof(bv_server_opts); lets the struct grow. */
    const char *socket_path; /**< NULL: BV_HOST_SOCKET_DEFAULT. A stale socket is replaced. */
    uint32_t socket_mode;    /**< 0: 0660. */
    int64_t socket_gid;      /**< Group that may connect; -1: the process's. */
    struct event_base *base; /**< The loop that drives the context. */
} bv_server_opts;

#define BV_SERVER_OPTS_INIT                                                                        \
    {                                                                                              \
        .size = sizeof(bv_server_opts), .socket_gid = -1                                           \
    }

/**
 * Starts serving.
 *
 * @param host        Must outlive the server.
 * @param ret_server  Freed with bv_server_free().
 * @return 0, BV_E_INVALID, BV_E_BUSY (a daemon answers on the socket), BV_E_IO, BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_server_new(bv_ctx *ctx, bv_host *host, const bv_server_opts *opts,
                         bv_server **ret_server, bv_error **err);

/** Stops serving: calls of connected peers are cancelled, the socket is removed. NULL is fine.
 * @since 0.1 */
BV_API void bv_server_free(bv_server *server);

BV_END_DECLS

#endif
