/*
 * service_rpc.h - a service (service.h) on a local socket (net/rpc.h).
 */
#ifndef BVI_AGENT_SERVICE_RPC_H
#define BVI_AGENT_SERVICE_RPC_H

#include "agent/service.h"
#include "net/rpc.h"

typedef struct bvi_service_rpc bvi_service_rpc;

typedef struct bvi_service_rpc_opts {
    const char *socket_path;           /* mode 0600; only root and our own user may connect */
    const bvi_service_method *methods; /* borrowed */
    size_t method_count;
    void *service; /* of the handlers */
    bvi_rpc_self self;
    uint32_t calls_max;       /* on one connection */
    uint32_t connections_max; /* 0: as many as usual; so for what follows */
    size_t unsent_max;        /* on one connection */
} bvi_service_rpc_opts;

int bvi_service_rpc_new(bv_ctx *ctx, const bvi_service_rpc_opts *opts,
                        bvi_service_rpc **ret_service, bv_error **err);
/* Closes the socket and cancels the calls under way; their handlers still end them, some later.
 * Handlers that need the service object must have been told by their cancel function. */
void bvi_service_rpc_free(bvi_service_rpc *service);
BVI_DEFINE_FREEP(bvi_service_rpc, bvi_service_rpc_free)

#endif
