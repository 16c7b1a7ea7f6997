/**
 * @file blockvisor/host.h
 * The one door: a host whose nodes, images, jobs and snapshots can be managed.
 *
 * The URI says where the host is; what can be done with it is the same everywhere:
 *
 * - `local:<root>` runs the engine in this process on the state below the root ("local:/" is the
 *   machine itself);
 * - `unix:<socket>` talks to a daemon over its Unix socket ("unix:" alone: BV_HOST_SOCKET_DEFAULT);
 * - `fake:` is in memory, for tests, examples and bindings: "fake:?nodes=100" starts with that many
 *   nodes, and with "fake:?delay_ms=50" what takes time on a real host takes that long.
 *
 * Every call is asynchronous. It returns 0 when it was started and then its bv_reply_fn is called
 * exactly once, from dispatch, with a reply or an error. The operation it hands out reports
 * progress and can be cancelled; pass NULL when neither is needed. A host belongs to its context's
 * thread. Closing it never stops a node.
 */
#ifndef BLOCKVISOR_HOST_H
#define BLOCKVISOR_HOST_H

#include <blockvisor/ctx.h>
#include <blockvisor/doc.h>
#include <blockvisor/op.h>

BV_BEGIN_DECLS

/** Where a daemon listens unless told otherwise. */
#define BV_HOST_SOCKET_DEFAULT "/run/blockvisor/blockvisord.sock"

typedef struct bv_host bv_host;

/**
 * The end of a call.
 *
 * @param reply  The answer, valid during the call; NULL when @p err is set.
 * @param err    NULL, or why it failed; valid during the call.
 */
typedef void (*bv_reply_fn)(bv_op *op, const bv_doc *reply, const bv_error *err, void *data);

typedef struct bv_host_opts {
    size_t size; /**< sizeof(bv_host_opts); lets the struct grow. */
    const char
        *runtime; /**< local: OCI runtime, "crun", "runc" or a path. NULL: the first that works. */
    const char *agent_dir; /**< local: the agent bundle directory. NULL: beside the library, else
                              the install's. */
    const char *driver;    /**< local: "oci" (NULL too) or "fake". */
    const char *store;     /**< local: snapshot store, "dir:/path", "s3://bucket/prefix" or
                              "http://...", as     in blockvisor/transfer.h. NULL: below the root. */
    const char *upload_format; /**< local: format of what nodes upload unless the call or their
                                  plugin names one, "archive" (NULL too) or "snapshot". */
} bv_host_opts;

#define BV_HOST_OPTS_INIT                                                                          \
    {                                                                                              \
        .size = sizeof(bv_host_opts)                                                               \
    }

/**
 * Opens a host. What the host needs to load or connect to happens in the background; calls made
 * meanwhile wait for it.
 *
 * @param opts      Copied; NULL for the defaults.
 * @param ret_host  Closed with bv_host_close().
 * @return 0, BV_E_INVALID (URI), BV_E_BUSY (another process runs this root), BV_E_NOMEM, BV_E_IO.
 * @since 0.1
 */
BV_API int bv_host_open(bv_ctx *ctx, const char *uri, const bv_host_opts *opts, bv_host **ret_host,
                        bv_error **err);

/**
 * Closes a host: running calls complete with BV_E_CANCELLED, nodes and their jobs go on running.
 * Not from inside one of its callbacks. NULL is fine.
 * @since 0.1
 */
BV_API void bv_host_close(bv_host *host);

/**
 * Any call by its name, for bindings and tools; the typed calls are one line each over it.
 *
 * @param method  "node.start" and so on, as in the OpenAPI file's operation ids.
 * @param args    An object with the call's arguments; copied. NULL: none.
 * @return 0 when started, BV_E_NOT_FOUND (no such method), BV_E_INVALID (an argument is missing),
 * BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_host_call(bv_host *host, const char *method, const bv_doc *args, bv_reply_fn done,
                        void *data, bv_op **ret_op, bv_error **err);

/**
 * Facts about the host and the engine: `{version, uri, root, runtime, hostname, os, cpus,
 * memory_bytes, ...}`.
 * @since 0.1
 */
BV_API int bv_host_info(bv_host *host, bv_reply_fn done, void *data, bv_op **ret_op,
                        bv_error **err);

/**
 * What happened: `{events: [{seq, time_ms, type, node, job, message}], next}`.
 *
 * @param after    Only events with a greater sequence number; a reply's `next` continues it. -1:
 * only new ones.
 * @param wait_ms  How long to wait when there is none yet; 0: answer at once.
 * @since 0.1
 */
BV_API int bv_host_events(bv_host *host, int64_t after, uint32_t wait_ms, bv_reply_fn done,
                          void *data, bv_op **ret_op, bv_error **err);

BV_END_DECLS

#endif
