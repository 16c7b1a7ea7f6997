/*
 * host.c - the one door: finds the connection for a URI and hands checked calls to it.
 */
#include <string.h>

#include "host/conn.h"

struct bv_host {
    bv_ctx *ctx;
    bvi_conn *conn;
};

static const bvi_conn_vtable *const schemes[] = { &bvi_conn_local, &bvi_conn_unix, &bvi_conn_fake };

static const bvi_conn_vtable *find_scheme(const char *uri, const char **ret_rest)
{
    for (size_t i = 0; i < BVI_COUNT(schemes); i++) {
        size_t len = strlen(schemes[i]->scheme);

        if (strncmp(uri, schemes[i]->scheme, len) == 0 && uri[len] == ':') {
            *ret_rest = uri + len + 1;
            return schemes[i];
        }
    }
    return NULL;
}

int bv_host_open(bv_ctx *ctx, const char *uri, const bv_host_opts *opts, bv_host **ret_host,
                 bv_error **err)
{
    const bv_host_opts defaults = BV_HOST_OPTS_INIT;
    const bvi_conn_vtable *scheme;
    const char *rest = NULL;
    bv_host *host;
    int r;

    if (opts && opts->size != sizeof(*opts))
        return bvi_fail(err, BV_E_INVALID, "host options have an unknown size %zu", opts->size);
    scheme = find_scheme(uri, &rest);
    if (!scheme)
        return bvi_fail(err, BV_E_INVALID,
                        "host '%s': the URI must begin with local:, unix: or fake:", uri);
    host = bvi_new0(bv_host);
    if (!host)
        return bvi_fail_nomem(err);
    host->ctx = ctx;
    r = scheme->open(ctx, rest, opts ? opts : &defaults, &host->conn, err);
    if (r < 0) {
        bvi_free(host);
        return bvi_wrap(err, r, "cannot open host '%s'", uri);
    }
    *ret_host = host;
    return 0;
}

void bv_host_close(bv_host *host)
{
    if (!host)
        return;
    host->conn->vtable->close(host->conn);
    bvi_free(host);
}

/* bv_doc and bvi_json are one thing under two names, and so are the two kinds of callback. */
typedef struct call_data {
    bv_reply_fn done;
    void *data;
} call_data;

static void on_reply(bv_op *op, const bvi_json *result, const bv_error *err, void *data)
{
    call_data *call = data;

    if (call->done)
        call->done(op, (const bv_doc *)result, err, call->data);
    bvi_free(call);
}

int bv_host_call(bv_host *host, const char *method, const bv_doc *args, bv_reply_fn done,
                 void *data, bv_op **ret_op, bv_error **err)
{
    const bvi_call *call = bvi_call_by_name(method);
    bvi_reply *reply = NULL;
    call_data *user;
    int r;

    if (!call)
        return bvi_fail(err, BV_E_NOT_FOUND, "there is no call '%s'", method);
    r = bvi_call_check(call, (const bvi_json *)args, err);
    if (r < 0)
        return r;
    user = bvi_new0(call_data);
    if (!user)
        return bvi_fail_nomem(err);
    *user = (call_data){ done, data };
    r = bvi_reply_new(host->ctx, on_reply, user, &reply, ret_op, err);
    if (r < 0) {
        bvi_free(user);
        return r;
    }
    host->conn->vtable->call(host->conn, call, (const bvi_json *)args, reply);
    return 0;
}
