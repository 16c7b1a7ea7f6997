/*
 * engine_server.h - the host's service for one node: what archive jobs inside the node ask of the
 * control plane or store.
 *
 * Each running node has one, on <node_dir>/run/engine.socket. It knows nothing of archives:
 * lib/node gives it sources (transfer/chunk_source.h; over the control plane's archive service or
 * over a store), and it carries their calls and answers over the socket with codes and causes
 * intact. The node never names its own archive: an empty store key means it, and the host fills it
 * in. agent/engine_source.h is the other end.
 */
#ifndef BVI_AGENT_ENGINE_SERVER_H
#define BVI_AGENT_ENGINE_SERVER_H

#include "agent/limits.h"
#include "agent/service.h"
#include "agent/store_server.h"
#include "transfer/chunk_source.h"

typedef struct bvi_engine_server bvi_engine_server;

typedef struct bvi_engine_host {
    void *data; /* first argument of all */
    /* A source for the node's own archive (store_key NULL) or for a store key; BV_E_NOT_FOUND when
     * there is none. Its URLs are as the node sees them. The server frees it; it keeps up to
     * BVI_ENGINE_SOURCES_MAX idle ones and never has two calls under way on one. */
    int (*open_source)(void *data, const char *store_key, bvi_chunk_source **ret_source,
                       bv_error **err);
    /* Optional: what snapshot jobs ask (store_server.h); without, they hear BV_E_UNSUPPORTED. */
    bvi_store_host store;
    /* Optional: asked before a manifest of an archive is published; snapshots go through the
     * store. store_key NULL: the node's own. */
    int (*gate)(void *data, const char *store_key, uint64_t data_version, bvi_gate_done_fn done,
                void *done_data, bv_error **err);
    /* Something in the node wants a person's attention. One line, control characters replaced. */
    void (*bv_error)(void *data, const char *text);
} bvi_engine_host;

/* Binds the socket (mode 0600; a file left over is replaced) and serves. Peers that are not root
 * are refused. */
int bvi_engine_server_new(bv_ctx *ctx, const char *socket_path, const bvi_engine_host *host,
                          bvi_engine_server **ret_server, bv_error **err);
/* Closes all connections, cancels calls under way and removes the socket. Sources still busy are
 * freed when their call ended; `host` is not used any more. */
void bvi_engine_server_free(bvi_engine_server *server);
BVI_DEFINE_FREEP(bvi_engine_server, bvi_engine_server_free)

/* The table of requests, for tests that call handlers without a connection; their service is the
 * server. */
const bvi_service_method *bvi_engine_methods(size_t *ret_count);

#endif
