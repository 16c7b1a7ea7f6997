/*
 * conn.h - what is behind the one door: a table of functions per URI scheme. Nothing above knows
 * which one it got.
 */
#ifndef BVI_HOST_CONN_H
#define BVI_HOST_CONN_H

#include <blockvisor/host.h>

#include "host/calls.h"
#include "io/reply.h"

typedef struct bvi_conn bvi_conn;

typedef struct bvi_conn_vtable {
    const char *scheme; /* "local", the part before the colon */
    /* rest: the part after the colon. Quick; what takes time goes on in the background. */
    int (*open)(bv_ctx *ctx, const char *rest, const bv_host_opts *opts, bvi_conn **ret_conn,
                bv_error **err);
    /* Ends every call that is still open with BV_E_CANCELLED, then frees. */
    void (*close)(bvi_conn *conn);
    /* args were checked and are borrowed for the call. Owns the reply and ends it exactly once,
     * also on failure. */
    void (*call)(bvi_conn *conn, const bvi_call *call, const bvi_json *args, bvi_reply *reply);
} bvi_conn_vtable;

/* Every connection starts with this. */
struct bvi_conn {
    const bvi_conn_vtable *vtable;
    bv_ctx *ctx;
};

extern const bvi_conn_vtable bvi_conn_local;
extern const bvi_conn_vtable bvi_conn_unix;
extern const bvi_conn_vtable bvi_conn_fake;

#endif
