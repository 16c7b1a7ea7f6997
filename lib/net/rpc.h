/*
 * rpc.h - calls over local sockets between host and agent: requests, streamed replies, cancels,
 * versions.
 *
 * Bodies are opaque bytes here (proto/agent.proto says what is in them). The wire is
 * proto/rpc.proto: each frame is a length in 4 bytes, big end first, and a Frame message of that
 * length. Both ends begin with Hello. Everything is callable on the context's thread only, and all
 * callbacks come from dispatch unless a line says otherwise.
 *
 * Client:
 *     bvi_rpc_client_new(ctx, &opts, &client, err);
 *     bvi_rpc_request_start(client, &call, &self->request, err);     // connects when needed
 *     static void on_reply(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data) { ...
 * }
 *
 * Server:
 *     static const bvi_rpc_method methods[] = { { "version", on_version }, { 0 } };
 *     static void on_version(bvi_rpc_call *call, void *data) { bvi_rpc_call_reply(call, body, len);
 * }
 */
#ifndef BVI_NET_RPC_H
#define BVI_NET_RPC_H

#include "io/stream.h"

/* The protocol versions this library speaks. */
#define BVI_RPC_VERSION_MIN 1u
#define BVI_RPC_VERSION_MAX 1u
/* Largest frame; larger ones end the connection. A body is a little smaller. */
#define BVI_RPC_FRAME_MAX        (4u * 1024u * 1024u)
#define BVI_RPC_BODY_MAX         (BVI_RPC_FRAME_MAX - 4096u)
#define BVI_RPC_NAME_MAX         64u /* of methods, programs, versions and capabilities */
#define BVI_RPC_CAPABILITIES_MAX 64u
/* Defaults: calls under way on one connection, connections of a server, unsent bytes. */
#define BVI_RPC_CALLS_MAX       256u
#define BVI_RPC_CONNECTIONS_MAX 64u
#define BVI_RPC_UNSENT_MAX      (64u * 1024u * 1024u)
/* Parts of a reply wait for room beyond so many unsent bytes. */
#define BVI_RPC_UNSENT_SOFT (1024u * 1024u)
/* The other end must say Hello within this time. */
#define BVI_RPC_HELLO_MS 5000
/* How long a call waits for a peer that cannot be reached, unless the options say otherwise. */
#define BVI_RPC_REACH_MS 3000

/* Who we are and what we can; strings and list are copied. */
typedef struct bvi_rpc_self {
    const char *program;
    const char *version;
    const char *const *capabilities; /* up to a NULL; may be NULL */
} bvi_rpc_self;

/* ---- client ---- */

typedef struct bvi_rpc_client bvi_rpc_client;
typedef struct bvi_rpc_request bvi_rpc_request;

typedef enum bvi_rpc_state {
    BVI_RPC_CLOSED = 0,     /* nothing is wanted, or not yet */
    BVI_RPC_CONNECTING = 1, /* trying, or waiting for the peer's Hello */
    BVI_RPC_OPEN = 2,
} bvi_rpc_state;

typedef struct bvi_rpc_client_opts {
    const char *path;
    bvi_rpc_self self;
    uint32_t calls_max; /* 0: BVI_RPC_CALLS_MAX */
    int64_t reach_ms;   /* how long a call waits for the connection; 0: BVI_RPC_REACH_MS; < 0: one
                           attempt */
    /* Optional. err: why a connection that was tried or open is not; NULL otherwise. */
    void (*on_state)(bvi_rpc_client *client, bvi_rpc_state state, const bv_error *err, void *data);
    void *data;
} bvi_rpc_client_opts;

int bvi_rpc_client_new(bv_ctx *ctx, const bvi_rpc_client_opts *opts, bvi_rpc_client **ret_client,
                       bv_error **err);
/* Requests under way complete with BV_E_CANCELLED, from here. Also fine inside a callback. */
void bvi_rpc_client_free(bvi_rpc_client *client);
BVI_DEFINE_FREEP(bvi_rpc_client, bvi_rpc_client_free)
/* Connect now, without a call, and again after losses, until bvi_rpc_client_close(); on_state tells
 * how it goes. */
void bvi_rpc_client_connect(bvi_rpc_client *client);
/* Disconnects; requests under way complete with BV_E_CANCELLED from dispatch. A later one connects
 * again. */
void bvi_rpc_client_close(bvi_rpc_client *client);
bvi_rpc_state bvi_rpc_client_state(const bvi_rpc_client *client);
/* What the peer said in its Hello; NULL or false while there is no connection. */
const char *bvi_rpc_client_peer_program(const bvi_rpc_client *client);
const char *bvi_rpc_client_peer_version(const bvi_rpc_client *client);
bool bvi_rpc_client_peer_can(const bvi_rpc_client *client, const char *capability);

/*
 * One part of an answer, valid during the call. After one with more = false the request is gone.
 *
 * err, always with more = false: what the peer failed with, as it was there; or BV_E_AGAIN: the
 * request never left, so it is safe to repeat; BV_E_REMOTE and sent = true: the connection broke
 * before the answer, so its outcome is unknown; BV_E_UNSUPPORTED: the versions do not fit, or the
 * peer does not know the method; BV_E_TIMEOUT; BV_E_CANCELLED.
 */
typedef struct bvi_rpc_reply {
    const void *body;
    size_t len;
    bool more;      /* further parts follow */
    bool sent;      /* with err: the peer may have seen the request */
    bool from_peer; /* err is the peer's own */
    const bv_error *err;
} bvi_rpc_reply;

typedef void (*bvi_rpc_reply_fn)(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data);

typedef struct bvi_rpc_request_opts {
    const char *method;
    const void *body; /* copied */
    size_t len;
    int64_t deadline_ms; /* from now, also sent to the peer; 0: none */
    bvi_rpc_reply_fn on_reply;
    void *data;
} bvi_rpc_request_opts;

/* BV_E_LIMIT: the body is too large or too many requests are under way. ret_request may be NULL. */
int bvi_rpc_request_start(bvi_rpc_client *client, const bvi_rpc_request_opts *opts,
                          bvi_rpc_request **ret_request, bv_error **err);
void bvi_rpc_request_cancel(
    bvi_rpc_request *request); /* on_reply still comes, with BV_E_CANCELLED; tells the peer */
void bvi_rpc_request_drop(
    bvi_rpc_request *request); /* no further callback; tells the peer. NULL is fine */

/* ---- server ---- */

typedef struct bvi_rpc_server bvi_rpc_server;
typedef struct bvi_rpc_call bvi_rpc_call;

typedef struct bvi_rpc_method {
    const char *name;
    /* Owns the call until it ends it with bvi_rpc_call_reply() or bvi_rpc_call_fail(), now or
     * later. */
    void (*handle)(bvi_rpc_call *call, void *data);
} bvi_rpc_method;

typedef struct bvi_rpc_server_opts {
    const char *path;
    mode_t mode; /* 0: 0600 */
    bvi_rpc_self self;
    const bvi_rpc_method *methods; /* up to one without a name; borrowed */
    /* Optional: may this peer connect? Without it: root and our own user. */
    bool (*allow)(const bvi_peer *peer, void *data);
    void *data; /* of handle and allow */
    uint32_t
        calls_max; /* on one connection; 0: BVI_RPC_CALLS_MAX; more are answered with BV_E_BUSY */
    uint32_t connections_max; /* 0: BVI_RPC_CONNECTIONS_MAX; more are closed at once */
    size_t unsent_max;        /* of one connection; 0: BVI_RPC_UNSENT_MAX; answers beyond it become
                                 failures */
} bvi_rpc_server_opts;

int bvi_rpc_server_new(bv_ctx *ctx, const bvi_rpc_server_opts *opts, bvi_rpc_server **ret_server,
                       bv_error **err);
/* Closes all connections. Calls under way hear of it through their on_cancel, from here, and must
 * still be ended. */
void bvi_rpc_server_free(bvi_rpc_server *server);
BVI_DEFINE_FREEP(bvi_rpc_server, bvi_rpc_server_free)
uint32_t bvi_rpc_server_calls(const bvi_rpc_server *server); /* under way, on all connections */

/* Borrowed until the call is ended. */
const char *bvi_rpc_call_method(const bvi_rpc_call *call);
const void *bvi_rpc_call_body(const bvi_rpc_call *call, size_t *ret_len); /* never NULL */
const bvi_peer *bvi_rpc_call_peer(const bvi_rpc_call *call);
const char *bvi_rpc_call_peer_version(const bvi_rpc_call *call); /* from its Hello */
int64_t bvi_rpc_call_left_ms(
    const bvi_rpc_call *call); /* until the caller's deadline, at least 0; -1: it has none */
bool bvi_rpc_call_is_gone(
    const bvi_rpc_call *call); /* nobody waits any longer: cancelled, late or disconnected */
/* on_cancel comes once, when nobody waits any longer; the call must still be ended. At once if that
 * is so already. */
void bvi_rpc_call_on_cancel(bvi_rpc_call *call, void (*on_cancel)(bvi_rpc_call *call, void *data),
                            void *data);
/*
 * One part of a longer answer. BV_E_AGAIN: too much is unsent; on_room comes once when there is
 * room, unless the call is gone, which on_cancel tells. BV_E_CANCELLED: it is gone. BV_E_LIMIT,
 * BV_E_NOMEM.
 */
int bvi_rpc_call_send(bvi_rpc_call *call, const void *body, size_t len, bv_error **err);
void bvi_rpc_call_on_room(bvi_rpc_call *call, void (*on_room)(bvi_rpc_call *call, void *data),
                          void *data);
/* End the call, which is gone afterwards. What cannot be sent is reported to the caller as a
 * failure. */
void bvi_rpc_call_reply(bvi_rpc_call *call, const void *body, size_t len);
void bvi_rpc_call_fail(bvi_rpc_call *call, bv_error *err); /* owns err, which is not NULL */
void bvi_rpc_call_failf(bvi_rpc_call *call, int code, const char *fmt, ...) BV_PRINTF(3, 4);

#endif
