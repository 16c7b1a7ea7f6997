/*
 * server.c - the daemon's door: evhttp on a Unix socket, peers told apart by their credentials.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "server/exchange.h"
#include "sys/fs.h"

#define BACKLOG         128
#define MODE_DEFAULT    0660u
#define PEER_GROUPS_MAX 256
/* An idle connection is closed after so long; a call may take as long as it likes. */
#define IDLE_TIMEOUT_S (24 * 3600)

/* ---- who may ---- */

static bool in_group(int fd, gid_t wanted)
{
    gid_t groups[PEER_GROUPS_MAX];
    socklen_t len = sizeof(groups);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return false;
    for (size_t i = 0; i < len / sizeof(groups[0]); i++) {
        if (groups[i] == wanted)
            return true;
    }
    return false;
}

/* Root, our own user, and the socket's group. */
static bool is_allowed(const bv_server *server, struct evhttp_request *req)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));
    int fd = bufferevent_getfd(bev);
    struct ucred peer = { 0 };
    socklen_t len = sizeof(peer);

    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    return peer.uid == 0 || peer.uid == geteuid() || peer.gid == server->gid ||
           in_group(fd, server->gid);
}

/* ---- requests ---- */

static const struct {
    enum evhttp_cmd_type type;
    const char *name;
} http_methods[] = {
    { EVHTTP_REQ_GET, "GET" },       { EVHTTP_REQ_POST, "POST" },   { EVHTTP_REQ_PUT, "PUT" },
    { EVHTTP_REQ_DELETE, "DELETE" }, { EVHTTP_REQ_PATCH, "PATCH" },
};

static const char *method_of(struct evhttp_request *req)
{
    for (size_t i = 0; i < BVI_COUNT(http_methods); i++) {
        if (http_methods[i].type == evhttp_request_get_command(req))
            return http_methods[i].name;
    }
    return "?";
}

/* Such a path takes other methods. */
static void refuse_method(struct evhttp_request *req, const bv_error *err)
{
    bvi_auto_json bvi_json *json = bvi_error_json(err);

    bvi_answer_json(req, 405, json);
}

static void answer_call(bv_server *server, struct evhttp_request *req, const char *path,
                        const char *query)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(req);
    size_t len = evbuffer_get_length(input);
    const char *body = len ? (const char *)evbuffer_pullup(input, -1) : "";
    bvi_auto_json bvi_json *args = NULL;
    bvi_auto_error bv_error *err = NULL;
    const bvi_call *call = NULL;

    if (!body)
        (void)bvi_fail_nomem(&err); /* told below */
    else
        (void)bvi_route(method_of(req), path, query, body, len, &call, &args,
                        &err); /* told below */
    if (bv_error_code(err) == BV_E_UNSUPPORTED)
        refuse_method(req, err);
    else if (err)
        bvi_answer_error(req, err);
    else if (call->id == BVI_CALL_HOST_EVENTS && bvi_accepts(req, BVI_TYPE_EVENTS))
        bvi_serve_events(server, req, args);
    else
        bvi_serve_call(server, req, call, args);
}

static void on_request(struct evhttp_request *req, void *data)
{
    bv_server *server = data;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    bool is_get = evhttp_request_get_command(req) == EVHTTP_REQ_GET;
    bvi_auto_error bv_error *err = NULL;

    if (!is_allowed(server, req)) {
        (void)bvi_fail(&err, BV_E_DENIED,
                       "your user may not use this socket; be root or join its group");
        bvi_answer_error(req, err);
    } else if (!path) {
        evhttp_send_error(req, 400, NULL);
    } else if (is_get && strcmp(path, "/v1/openapi.json") == 0) {
        bvi_answer(req, 200, BVI_TYPE_JSON, bvi_openapi_json, bvi_openapi_json_len);
    } else if (is_get && strcmp(path, "/metrics") == 0) {
        bvi_serve_metrics(server, req);
    } else {
        answer_call(server, req, path, evhttp_uri_get_query(uri));
    }
}

/* ---- socket ---- */

static int fill_address(const char *path, struct sockaddr_un *address, bv_error **err)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(address->sun_path))
        return bvi_fail(err, BV_E_INVALID, "socket path '%s' is longer than %zu characters", path,
                        sizeof(address->sun_path) - 1);
    memcpy(address->sun_path, path, strlen(path));
    return 0;
}

/* A socket somebody still listens on is not taken away from them, and what is no socket is not
 * ours. */
static int clear_stale(const char *path, const struct sockaddr_un *address, bv_error **err)
{
    bvi_auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISSOCK(st.st_mode))
        return bvi_fail(err, BV_E_EXISTS, "'%s' exists and is not a socket", path);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot make a socket");
    /* EAGAIN: somebody listens and has a full queue. */
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        return bvi_fail(err, BV_E_BUSY, "a daemon answers on '%s' already", path);
    if (errno != ECONNREFUSED && errno != ENOENT)
        return bvi_fail_sys(err, errno, "cannot tell whether a daemon answers on '%s'", path);
    return bvi_fs_remove(path, err);
}

static int make_dir(const char *path, bv_error **err)
{
    const char *slash = strrchr(path, '/');
    bvi_auto_free char *dir =
        slash && slash != path ? bvi_strndup(path, (size_t)(slash - path)) : bvi_strdup("/");

    return dir ? bvi_fs_mkdir(dir, 0755, err) : bvi_fail_nomem(err);
}

static int listen_on(bv_server *server, const bv_server_opts *opts, bv_error **err)
{
    mode_t mode = opts->socket_mode ? opts->socket_mode : MODE_DEFAULT;
    struct evconnlistener *listener;
    struct sockaddr_un address;
    int r;

    if ((r = fill_address(server->socket_path, &address, err)) < 0 ||
        (r = make_dir(server->socket_path, err)) < 0 ||
        (r = clear_stale(server->socket_path, &address, err)) < 0)
        return r;
    listener = evconnlistener_new_bind(opts->base, NULL, NULL,
                                       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG,
                                       (struct sockaddr *)&address, sizeof(address));
    if (!listener)
        return bvi_fail_sys(err, errno, "cannot listen on '%s'", server->socket_path);
    server->listening = true;
    if (!evhttp_bind_listener(server->http, listener)) {
        evconnlistener_free(listener);
        return bvi_fail_nomem(err);
    }
    if (chown(server->socket_path, (uid_t)-1, server->gid) < 0 ||
        chmod(server->socket_path, mode) < 0)
        return bvi_fail_sys(err, errno, "cannot set the mode of '%s'", server->socket_path);
    return 0;
}

static int set_up(bv_server *server, const bv_server_opts *opts, bv_error **err)
{
    server->socket_path =
        bvi_strdup(opts->socket_path ? opts->socket_path : BV_HOST_SOCKET_DEFAULT);
    server->http = evhttp_new(opts->base);
    if (!server->socket_path || !server->http)
        return bvi_fail_nomem(err);
    evhttp_set_max_body_size(server->http, (ev_ssize_t)BVI_SERVER_BODY_MAX);
    evhttp_set_max_headers_size(server->http, (ev_ssize_t)BVI_SERVER_HEADER_MAX);
    evhttp_set_timeout(server->http, IDLE_TIMEOUT_S);
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                                 EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(server->http, on_request, server);
    return listen_on(server, opts, err);
}

int bv_server_new(bv_ctx *ctx, bv_host *host, const bv_server_opts *opts, bv_server **ret_server,
                  bv_error **err)
{
    bv_server *server;
    int r;

    if (!opts || opts->size != sizeof(*opts) || !opts->base)
        return bvi_fail(err, BV_E_INVALID,
                        "a server needs options with the event base that drives the context");
    server = bvi_new0(bv_server);
    if (!server)
        return bvi_fail_nomem(err);
    server->ctx = ctx;
    server->host = host;
    server->base = opts->base;
    server->gid = opts->socket_gid < 0 ? getegid() : (gid_t)opts->socket_gid;
    server->exchanges.max = BVI_SERVER_CALLS_MAX;
    r = set_up(server, opts, err);
    if (r < 0) {
        bv_server_free(server);
        return bvi_wrap(err, r, "cannot serve");
    }
    *ret_server = server;
    return 0;
}

void bv_server_free(bv_server *server)
{
    if (!server)
        return;
    for (size_t i = 0; i < server->exchanges.len; i++)
        bvi_exchange_abort(server->exchanges.items[i]);
    bvi_vec_done(&server->exchanges);
    if (server->http)
        evhttp_free(server->http);
    if (server->listening)
        (void)unlink(server->socket_path); /* a stale one is replaced at the next start */
    bvi_free(server->socket_path);
    bvi_free(server);
}
