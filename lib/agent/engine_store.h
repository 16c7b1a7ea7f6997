/*
 * engine_store.h - the node's end of a store of snapshots (transfer/store.h): what snapshot jobs
 * use, over the socket that the host listens on. store_server.h is the other end.
 *
 * Packs move by URL, from and to files the node sees or with pre-signed URLs, everything else
 * through the host. A request outlives a restart of the host daemon: it is asked again.
 */
#ifndef BVI_AGENT_ENGINE_STORE_H
#define BVI_AGENT_ENGINE_STORE_H

#include "agent/store_server.h"

typedef struct bvi_engine_store_opts {
    const char *socket_path;
    const char *store_key; /* NULL: the node's own */
    int64_t reach_ms;      /* how long a call waits for a host daemon that is away; 0: as an
                              engine source does */
} bvi_engine_store_opts;

int bvi_engine_store_new(bv_ctx *ctx, const bvi_engine_store_opts *opts, bvi_store **ret_store,
                         bv_error **err);

/*
 * What a job has to know first: the format of a version (0: the latest), or with `upload` the
 * format that the host wants for new ones. A host that is older than snapshots, or has none, says
 * BV_E_UNSUPPORTED. Like a request of the store; so is cancelling it.
 */
int bvi_engine_store_info(bvi_store *store, uint64_t data_version, bool upload,
                          bvi_store_info_fn done, void *data, bv_error **err);
/* Only what the job may use for now; the rest of the information is not filled. */
int bvi_engine_store_share(bvi_store *store, bvi_store_info_fn done, void *data, bv_error **err);

#endif
