/*
 * store_server.c - carries requests of snapshot jobs to stores of the host.
 *
 * A store takes any number of requests at once, so there is one for each store key, kept for as
 * long as the node is served: a directory store's reservations live as long as the store is open.
 * Objects that come in parts are put together here before the store sees them.
 */
#include <string.h>

#include "agent.pb-c.h"
#include "agent/limits.h"
#include "agent/store_server.h"
#include "agent/store_wire.h"

#define STORES_MAX  16u /* store keys of one node */
#define PUTS_MAX    4u  /* objects on their way for one node */
#define PUT_IDLE_US (60 * INT64_C(1000000))

typedef struct shared_store {
    struct shared_store *next;
    bvi_store_server *server; /* NULL: gone; freed with its last request */
    char *store_key;          /* as the node says it; "" for its own */
    bvi_store *store;
    unsigned users;
} shared_store;

typedef struct incoming incoming;

struct bvi_store_server {
    bv_ctx *ctx;
    bvi_store_host host;
    shared_store *stores;
    incoming *puts;
    unsigned put_count;
};

/* A request of the node that a store works on. */
typedef struct asked {
    bvi_service_call *call; /* NULL: the caller is gone and was told so */
    shared_store *shared;
    const bvi_store_server *server; /* of a question for information; there while the call is */
    char *key;
    bvi_store_verb verb;
    bool put;      /* wants a URL for putting */
    bvi_buf bytes; /* PUT: its own */
} asked;

/* ---- stores ---- */

static void shared_free(shared_store *s)
{
    bvi_store_free(s->store);
    bvi_free(s->store_key);
    bvi_free(s);
}

static void shared_release(shared_store *s)
{
    s->users--;
    if (!s->server && !s->users)
        shared_free(s);
}

static int shared_new(bvi_store_server *server, const char *store_key, shared_store **ret_shared,
                      bv_error **err)
{
    shared_store *s = bvi_new0(shared_store);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->store_key = bvi_strdup(store_key);
    r = s->store_key
            ? server->host.open(server->host.data, *store_key ? store_key : NULL, &s->store, err)
            : bvi_fail_nomem(err);
    if (r < 0) {
        shared_free(s);
        return r;
    }
    s->server = server;
    s->next = server->stores;
    server->stores = s;
    *ret_shared = s;
    return 0;
}

static int find_shared(bvi_store_server *server, const char *store_key, shared_store **ret_shared,
                       bv_error **err)
{
    size_t count = 0;

    if (strlen(store_key) > BVI_STORE_KEY_MAX)
        return bvi_fail(err, BV_E_INVALID, "a store key of more than %u bytes", BVI_STORE_KEY_MAX);
    for (shared_store *s = server->stores; s; s = s->next, count++) {
        if (strcmp(s->store_key, store_key) == 0) {
            *ret_shared = s;
            return 0;
        }
    }
    if (count >= STORES_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u store keys of one node", STORES_MAX);
    return shared_new(server, store_key, ret_shared, err);
}

/* ---- requests under way ---- */

static void asked_free(asked *a)
{
    if (a->shared)
        shared_release(a->shared);
    bvi_buf_done(&a->bytes);
    bvi_free(a->key);
    bvi_free(a);
}

/* The store answers a caller that is gone all the same, later. */
static void asked_cancel(void *data)
{
    asked *a = data;
    bv_error *err = NULL;

    (void)bvi_fail(&err, BV_E_CANCELLED, "the caller is gone"); /* the error is the result */
    bvi_service_fail(bvi_take(a->call), err);
}

static asked *asked_new(bvi_service_call *call, const char *key, bv_error **err)
{
    asked *a = bvi_new0(asked);

    if (a) {
        a->call = call;
        a->key = bvi_strdup(key);
    }
    if (a && a->key)
        return a;
    bvi_free(a);
    (void)bvi_fail_nomem(err);
    return NULL;
}

static int asked_of(bvi_store_server *server, const char *store_key, const char *key,
                    bvi_service_call *call, asked **ret_asked, bv_error **err)
{
    shared_store *shared = NULL;
    asked *a;
    int r = find_shared(server, store_key, &shared, err);

    if (r < 0)
        return r;
    a = asked_new(call, key, err);
    if (!a)
        return BV_E_NOMEM;
    a->shared = shared;
    shared->users++;
    *ret_asked = a;
    return 0;
}

/* The tail of the handlers: the question was put, or refused. Owns err. */
static void asked_began(bvi_service_call *call, asked *a, int r, bv_error *err)
{
    if (r >= 0) {
        bvi_service_on_cancel(call, asked_cancel, a);
        return;
    }
    bvi_service_fail(call, err);
    if (a)
        asked_free(a);
}

/* ---- answers ---- */

static void reply_bytes(asked *a, const bvi_store_reply *reply)
{
    bvi_buf bytes = BVI_BUF_INIT(BVI_STORE_OBJECT_BYTES);
    bv_error *err = NULL;

    if (bvi_buf_append(&bytes, reply->bytes, reply->len) < 0) {
        (void)bvi_fail_nomem(&err);
        bvi_service_fail(a->call, err);
    } else {
        bvi_service_reply_bulk(a->call, &bytes, NULL, 0, false);
    }
    bvi_buf_done(&bytes);
}

/* Messages that a reply points to, all made at once. */
typedef struct reply_parts {
    Bvi__Agent__StoreObject *objects;
    Bvi__Agent__StoreObject **object_pointers;
    Bvi__Agent__StoreLease *leases;
    Bvi__Agent__StoreLease **lease_pointers;
} reply_parts;

static void reply_parts_done(reply_parts *parts)
{
    bvi_free(parts->objects);
    bvi_free(parts->object_pointers);
    bvi_free(parts->leases);
    bvi_free(parts->lease_pointers);
}

static int make_objects(reply_parts *parts, const bvi_store_reply *from, bv_error **err)
{
    parts->objects = bvi_new_array(Bvi__Agent__StoreObject, from->n_objects + 1);
    parts->object_pointers = bvi_new_array(Bvi__Agent__StoreObject *, from->n_objects + 1);
    if (!parts->objects || !parts->object_pointers)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < from->n_objects; i++) {
        bvi__agent__store_object__init(&parts->objects[i]);
        parts->objects[i].key = (char *)(uintptr_t)from->objects[i].key;
        parts->objects[i].size = from->objects[i].size;
        parts->objects[i].modified_us = from->objects[i].modified_us;
        parts->object_pointers[i] = &parts->objects[i];
    }
    return 0;
}

static int make_leases(reply_parts *parts, const bvi_store_reply *from, bv_error **err)
{
    parts->leases = bvi_new_array(Bvi__Agent__StoreLease, from->n_leases + 1);
    parts->lease_pointers = bvi_new_array(Bvi__Agent__StoreLease *, from->n_leases + 1);
    if (!parts->leases || !parts->lease_pointers)
        return bvi_fail_nomem(err);
    for (size_t i = 0; i < from->n_leases; i++) {
        bvi__agent__store_lease__init(&parts->leases[i]);
        parts->leases[i].version = from->leases[i].version;
        parts->leases[i].base_version = from->leases[i].base;
        parts->leases[i].started_us = from->leases[i].started_us;
        parts->lease_pointers[i] = &parts->leases[i];
    }
    return 0;
}

static void reply_facts(asked *a, const bvi_store_reply *from)
{
    Bvi__Agent__StoreReply reply = BVI__AGENT__STORE_REPLY__INIT;
    BVI_AUTO(reply_parts_done) reply_parts parts = { 0 };
    bv_error *err = NULL;
    int r = make_objects(&parts, from, &err);

    if (r >= 0)
        r = make_leases(&parts, from, &err);
    if (r < 0) {
        bvi_service_fail(a->call, err);
        return;
    }
    reply.size = from->size;
    reply.version = from->version;
    reply.n_versions = from->n_versions;
    reply.versions = (uint64_t *)(uintptr_t)from->versions;
    reply.n_objects = from->n_objects;
    reply.objects = parts.object_pointers;
    reply.more = from->more;
    reply.n_leases = from->n_leases;
    reply.leases = parts.lease_pointers;
    bvi_service_reply(a->call, &reply.base);
}

static void on_answer(const bv_error *err, const bvi_store_reply *reply, void *data)
{
    asked *a = data;

    if (a->call && err)
        bvi_service_fail(a->call, bvi_error_copy(err));
    else if (a->call && a->verb == BVI_STORE_GET)
        reply_bytes(a, reply);
    else if (a->call)
        reply_facts(a, reply);
    asked_free(a);
}

void bvi_store_server_call(bvi_store_server *server, bvi_service_call *call,
                           const ProtobufCMessage *message)
{
    const Bvi__Agent__StoreRequest *from = (const Bvi__Agent__StoreRequest *)message;
    const bvi_store_request request = {
        .verb = bvi_store_wire_verb(from->verb),
        .format =
            from->format <= BVI_STORE_SNAPSHOT ? (bvi_store_format)from->format : BVI_STORE_ANY,
        .key = *from->key ? from->key : NULL,
        .version = from->version,
        .lease = *from->lease ? from->lease : NULL,
        .max = from->max < BVI_STORE_OBJECT_BYTES ? (size_t)from->max : BVI_STORE_OBJECT_BYTES,
        .base = from->base_version,
        .since_us = from->since_us,
        .after = *from->after ? from->after : NULL,
    };
    asked *a = NULL;
    bv_error *err = NULL;
    int r = 0;

    if (request.verb == BVI_STORE_VERBS)
        r = bvi_fail(&err, BV_E_UNSUPPORTED, "this version does not know request %u of stores",
                     from->verb);
    else if (request.verb == BVI_STORE_OBJECTS && request.max > BVI_STORE_WIRE_OBJECTS_MAX)
        r = bvi_fail(&err, BV_E_INVALID, "%zu objects in one answer; at most %u", request.max,
                     BVI_STORE_WIRE_OBJECTS_MAX);
    if (r >= 0)
        r = asked_of(server, from->store_key, from->key, call, &a, &err);
    if (r >= 0) {
        a->verb = request.verb;
        r = bvi_store_call(a->shared->store, &request, on_answer, a, &err);
    }
    asked_began(call, a, r, err);
}

/* ---- what a job has to know ---- */

static void put_share(const bvi_store_server *server, Bvi__Agent__StoreInfoReply *reply)
{
    bv_transfer_limits share = BV_TRANSFER_LIMITS_INIT;

    if (!server->host.share)
        return;
    server->host.share(server->host.data, &share);
    reply->memory_mib = share.memory_mib;
    reply->connections = share.connections;
    reply->open_files = share.open_files;
    reply->download_bytes_per_s = share.download_bytes_per_s;
    reply->upload_bytes_per_s = share.upload_bytes_per_s;
}

static void reply_share(const bvi_store_server *server, bvi_service_call *call)
{
    Bvi__Agent__StoreInfoReply reply = BVI__AGENT__STORE_INFO_REPLY__INIT;

    put_share(server, &reply);
    bvi_service_reply(call, &reply.base);
}

static void on_info(const bv_error *err, const bvi_store_info *info, void *data)
{
    asked *a = data;
    Bvi__Agent__StoreInfoReply reply = BVI__AGENT__STORE_INFO_REPLY__INIT;

    if (a->call && err) {
        bvi_service_fail(a->call, bvi_error_copy(err));
    } else if (a->call) {
        reply.store_key = (char *)(uintptr_t)info->store_key;
        reply.format = info->format;
        reply.data_version = info->data_version;
        reply.n_protected_paths = info->n_protected_paths;
        reply.protected_paths = (char **)(uintptr_t)info->protected_paths;
        put_share(a->server, &reply);
        bvi_service_reply(a->call, &reply.base);
    }
    asked_free(a);
}

void bvi_store_server_info(bvi_store_server *server, bvi_service_call *call,
                           const ProtobufCMessage *message)
{
    const Bvi__Agent__StoreInfoRequest *request = (const Bvi__Agent__StoreInfoRequest *)message;
    const char *store_key = *request->store_key ? request->store_key : NULL;
    bv_error *err = NULL;
    asked *a;
    int r = BV_E_NOMEM;

    if (request->share_only) {
        reply_share(server, call);
        return;
    }
    a = asked_new(call, "", &err);
    if (a) {
        a->server = server;
        r = server->host.info(server->host.data, store_key, request->data_version, request->upload,
                              on_info, a, &err);
    }
    asked_began(call, a, r, err);
}

/* ---- URLs ---- */

static void reply_url(asked *a, bv_error *err)
{
    Bvi__Agent__StoreUrlReply reply = BVI__AGENT__STORE_URL_REPLY__INIT;
    bvi_store_server *server = a->shared->server;
    bvi_auto_free char *url = NULL;

    if (!err && !server)
        (void)bvi_fail(&err, BV_E_CANCELLED, "the node is no longer served");
    if (!err)
        (void)server->host.url(server->host.data, a->shared->store, a->key, a->put, &url,
                               &err); /* err tells */
    if (err) {
        bvi_service_fail(a->call, err);
        return;
    }
    reply.url = url;
    bvi_service_reply(a->call, &reply.base);
}

/* What is there is not put again: an object with a digest for a name never changes. */
static void on_looked(const bv_error *err, const bvi_store_reply *found, void *data)
{
    asked *a = data;
    Bvi__Agent__StoreUrlReply reply = BVI__AGENT__STORE_URL_REPLY__INIT;

    reply.exists = true;
    if (a->call && !err)
        bvi_service_reply(a->call, &reply.base);
    else if (a->call)
        reply_url(a, bv_error_code(err) == BV_E_NOT_FOUND ? NULL : bvi_error_copy(err));
    asked_free(a);
}

void bvi_store_server_url(bvi_store_server *server, bvi_service_call *call,
                          const ProtobufCMessage *message)
{
    const Bvi__Agent__StoreUrlRequest *from = (const Bvi__Agent__StoreUrlRequest *)message;
    const bvi_store_request request = { .verb = BVI_STORE_STAT, .key = from->key };
    asked *a = NULL;
    bv_error *err = NULL;
    int r = asked_of(server, from->store_key, from->key, call, &a, &err);

    if (r >= 0 && !from->put) {
        reply_url(a, NULL);
        asked_free(a);
        return;
    }
    if (r >= 0) {
        a->put = true;
        r = bvi_store_call(a->shared->store, &request, on_looked, a, &err);
    }
    asked_began(call, a, r, err);
}

/* ---- objects from the node ---- */

struct incoming {
    incoming *next;
    bvi_store_server *server;
    uint64_t transfer;
    bvi_buf bytes;
    bvi_timer *idle;
};

static void incoming_free(incoming *in)
{
    incoming **at = &in->server->puts;

    while (*at && *at != in)
        at = &(*at)->next;
    if (*at) {
        *at = in->next;
        in->server->put_count--;
    }
    bvi_timer_free(in->idle);
    bvi_buf_done(&in->bytes);
    bvi_free(in);
}

static void on_idle(bvi_timer *timer, void *data)
{
    incoming_free(data);
}

static int incoming_new(bvi_store_server *server, uint64_t transfer, uint64_t offset,
                        incoming **ret_incoming, bv_error **err)
{
    incoming *in;
    int r;

    if (offset != 0)
        return bvi_fail(err, BV_E_STATE,
                        "a part of an object whose beginning is not known; send it again");
    if (server->put_count >= PUTS_MAX)
        return bvi_fail(err, BV_E_BUSY, "%u objects of this node are on their way already",
                        PUTS_MAX);
    in = bvi_new0(incoming);
    if (!in)
        return bvi_fail_nomem(err);
    in->server = server;
    in->transfer = transfer;
    bvi_buf_init(&in->bytes, BVI_STORE_OBJECT_BYTES);
    r = bvi_timer_new(server->ctx, on_idle, in, &in->idle, err);
    if (r < 0) {
        bvi_free(in);
        return r;
    }
    in->next = server->puts;
    server->puts = in;
    server->put_count++;
    *ret_incoming = in;
    return 0;
}

static int incoming_add(incoming *in, const Bvi__Agent__StorePutRequest *from, bv_error **err)
{
    int r;

    if (from->offset != in->bytes.len)
        return bvi_fail(err, BV_E_STATE, "a part at byte %llu of an object, expected at %zu",
                        (unsigned long long)from->offset, in->bytes.len);
    r = bvi_buf_append(&in->bytes, from->bytes.data, from->bytes.len);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "the object is larger than %u bytes", BVI_STORE_OBJECT_BYTES);
    if (r < 0)
        return bvi_fail_nomem(err);
    return from->last ? 0 : bvi_timer_set(in->idle, PUT_IDLE_US, err);
}

/* The object is whole, or is a file of the node: on to the store. */
static void put_object(bvi_store_server *server, bvi_service_call *call,
                       const Bvi__Agent__StorePutRequest *from, bvi_buf *bytes)
{
    bvi_store_request request = { .verb = BVI_STORE_PUT,
                                  .key = from->key,
                                  .create_only = from->create_only };
    asked *a = NULL;
    bv_error *err = NULL;
    int r = asked_of(server, from->store_key, from->key, call, &a, &err);

    if (r >= 0) {
        a->verb = BVI_STORE_PUT;
        if (bytes) {
            a->bytes = *bytes;
            *bytes = (bvi_buf)BVI_BUF_INIT(bytes->max);
            request.bytes = bvi_buf_str(&a->bytes);
            request.len = a->bytes.len;
        }
        r = bvi_store_call(a->shared->store, &request, on_answer, a, &err);
    }
    asked_began(call, a, r, err);
}

void bvi_store_server_put(bvi_store_server *server, bvi_service_call *call,
                          const ProtobufCMessage *message)
{
    const Bvi__Agent__StorePutRequest *from = (const Bvi__Agent__StorePutRequest *)message;
    incoming *in = server->puts;
    bv_error *err = NULL;
    int r = 0;

    if (from->staged) {
        put_object(server, call, from, NULL);
        return;
    }
    while (in && in->transfer != from->transfer)
        in = in->next;
    if (!in)
        r = incoming_new(server, from->transfer, from->offset, &in, &err);
    if (r >= 0)
        r = incoming_add(in, from, &err);
    if (r < 0)
        bvi_service_fail(call, err);
    else if (from->last)
        put_object(server, call, from, &in->bytes);
    else
        bvi_service_reply_empty(call);
    if (in && (r < 0 || from->last))
        incoming_free(in);
}

/* ---- the server ---- */

int bvi_store_server_new(bv_ctx *ctx, const bvi_store_host *host, bvi_store_server **ret_server,
                         bv_error **err)
{
    bvi_store_server *server = bvi_new0(bvi_store_server);

    if (!server)
        return bvi_fail_nomem(err);
    server->ctx = ctx;
    server->host = *host;
    *ret_server = server;
    return 0;
}

void bvi_store_server_free(bvi_store_server *server)
{
    shared_store *next;

    if (!server)
        return;
    while (server->puts)
        incoming_free(server->puts);
    for (shared_store *s = server->stores; s; s = next) {
        next = s->next;
        s->server = NULL;
        if (s->users)
            s->store->vtable->cancel(s->store);
        else
            shared_free(s);
    }
    bvi_free(server);
}
