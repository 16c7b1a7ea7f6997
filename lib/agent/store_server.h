/*
 * store_server.h - the host's end of a node's store: snapshot jobs inside the node ask, a
 * bvi_store that lib/node made for this node answers. Part of the engine service
 * (engine_server.h), whose table of requests names these handlers.
 *
 * It carries requests and knows no rules: what the node may do, the store it was given decides.
 * Bulk data does not pass here. Of that the node gets URLs: of files it sees, or pre-signed ones.
 */
#ifndef BVI_AGENT_STORE_SERVER_H
#define BVI_AGENT_STORE_SERVER_H

#include <blockvisor/transfer.h>

#include "agent/service.h"
#include "transfer/store.h"

typedef struct bvi_store_server bvi_store_server;

/* Whether what was uploaded may be published: the error is why not. Once, from dispatch. */
typedef void (*bvi_gate_done_fn)(const bv_error *err, void *data);
#define BVI_GATE_NONE 1 /* what asking a gate returns when there is none; done is not called */

/* What a job has to know before it begins. */
typedef struct bvi_store_info {
    const char *store_key; /* as it is in the store */
    bvi_store_format format;
    uint64_t data_version; /* the one asked for, or that the node is to have; 0: the latest */
    const char *const *protected_paths;
    size_t n_protected_paths;
    bv_transfer_limits share; /* of the host's limits, for now; memory_mib 0: it does not say */
} bvi_store_info;

/* Once, from dispatch; info is valid during the call only. */
typedef void (*bvi_store_info_fn)(const bv_error *err, const bvi_store_info *info, void *data);

typedef struct bvi_store_host {
    void *data; /* first argument of all */
    /* A store that answers what this node may ask about a store key (NULL: its own), and refuses
     * the rest with BV_E_DENIED. PUT without bytes means the file at the URL given for putting. The
     * server frees it. */
    int (*open)(void *data, const char *store_key, bvi_store **ret_store, bv_error **err);
    /* Where the node gets or puts an object by itself. */
    int (*url)(void *data, bvi_store *store, const char *key, bool put, char **ret_url,
               bv_error **err);
    /* The format and number of a version (0: the latest), or with `upload` the format of new ones.
     */
    int (*info)(void *data, const char *store_key, uint64_t data_version, bool upload,
                bvi_store_info_fn done, void *done_data, bv_error **err);
    /* Optional: what a job of this node may use for now. */
    void (*share)(void *data, bv_transfer_limits *ret_share);
} bvi_store_host;

int bvi_store_server_new(bv_ctx *ctx, const bvi_store_host *host, bvi_store_server **ret_server,
                         bv_error **err);
/* Stores that are busy are freed when their last request has ended; `host` is not used any more. */
void bvi_store_server_free(bvi_store_server *server);
BVI_DEFINE_FREEP(bvi_store_server, bvi_store_server_free)

/* Handlers; each owns its call. */
void bvi_store_server_info(bvi_store_server *server, bvi_service_call *call,
                           const ProtobufCMessage *message);
void bvi_store_server_call(bvi_store_server *server, bvi_service_call *call,
                           const ProtobufCMessage *message);
void bvi_store_server_url(bvi_store_server *server, bvi_service_call *call,
                          const ProtobufCMessage *message);
void bvi_store_server_put(bvi_store_server *server, bvi_service_call *call,
                          const ProtobufCMessage *message);

#endif
