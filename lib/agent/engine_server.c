/*
 * engine_server.c - carries the calls of archive jobs to chunk sources of the host.
 *
 * A source takes one call at a time, so each call borrows one: an idle one for its store key, or a
 * new one. A manifest comes in parts, is put together and checked here, on a worker, before any
 * source sees it.
 */
#include <string.h>

#include "agent.pb-c.h"
#include "agent/archive_message.h"
#include "agent/engine_server.h"
#include "agent/protocol.h"
#include "agent/service_rpc.h"
#include "io/work.h"

#define SMALL_MAX (16u * 1024u)
/* Manifests on their way for one node at once, and how long one may pause between two parts. */
#define MANIFESTS_MAX    2u
#define MANIFEST_IDLE_US (60 * INT64_C(1000000))
/* Lines for a person that one node may cause in a minute. */
#define REPORTS_PER_MIN 30u
#define REPORT_TEXT_MAX 4096u
#define MINUTE_US       (60 * INT64_C(1000000))
#define STORE_KEY_MAX   BVI_AGENT_NAME_MAX

/* A source and who uses it. */
typedef struct lent {
    struct lent *next;
    bvi_engine_server *server; /* NULL: gone; freed when the call ends */
    char *store_key;           /* "" for the node's own archive */
    bvi_chunk_source *source;
    bool busy;
} lent;

typedef struct incoming incoming;

struct bvi_engine_server {
    bv_ctx *ctx;
    bvi_engine_host host;
    bvi_service_rpc *service;
    lent *sources;
    incoming *manifests;
    unsigned manifest_count;
    int64_t report_window_us; /* when the minute began */
    unsigned reports;         /* in it */
    bvi_store_server *store;  /* NULL: the host has no stores for nodes */
};

/* A call of the node that waits for a source. */
typedef struct asked {
    bvi_service_call *call;
    lent *lent;
    /* An answer in parts. */
    bvi_chunk_list chunks;
    bvi_chunk_cursor cursor;
} asked;

/* ---- sources ---- */

static void lent_free(lent *l)
{
    bvi_chunk_source_free(l->source);
    bvi_free(l->store_key);
    bvi_free(l);
}

static void forget(bvi_engine_server *server, lent *l)
{
    lent **at = &server->sources;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    lent_free(l);
}

static void give_back(lent *l)
{
    unsigned idle = 0;

    l->busy = false;
    if (!l->server) {
        lent_free(l);
        return;
    }
    for (const lent *i = l->server->sources; i; i = i->next)
        idle += !i->busy;
    if (idle > BVI_ENGINE_SOURCES_MAX)
        forget(l->server, l);
}

static int open_new(bvi_engine_server *server, const char *store_key, lent **ret_lent,
                    bv_error **err)
{
    lent *l = bvi_new0(lent);
    int r;

    if (!l)
        return bvi_fail_nomem(err);
    l->store_key = bvi_strdup(store_key);
    r = l->store_key ? server->host.open_source(server->host.data, *store_key ? store_key : NULL,
                                                &l->source, err)
                     : bvi_fail_nomem(err);
    if (r < 0) {
        lent_free(l);
        return r;
    }
    l->server = server;
    l->next = server->sources;
    server->sources = l;
    *ret_lent = l;
    return 0;
}

static int borrow(bvi_engine_server *server, const char *store_key, lent **ret_lent, bv_error **err)
{
    lent *found = NULL;
    unsigned busy = 0;
    int r = 0;

    if (strlen(store_key) > STORE_KEY_MAX)
        return bvi_fail(err, BV_E_INVALID, "a store key of more than %u bytes", STORE_KEY_MAX);
    for (lent *l = server->sources; l && !found; l = l->next) {
        if (!l->busy && strcmp(l->store_key, store_key) == 0)
            found = l;
        busy += l->busy;
    }
    /* Each connection has its own limit of calls; this one is the node's. */
    if (!found && busy >= BVI_ENGINE_CALLS_MAX)
        return bvi_fail(err, BV_E_BUSY, "%u calls of this node are under way already", busy);
    if (!found)
        r = open_new(server, store_key, &found, err);
    if (r < 0)
        return r;
    found->busy = true;
    *ret_lent = found;
    return 0;
}

/* ---- calls ---- */

static void asked_free(asked *a)
{
    if (a->lent)
        give_back(a->lent);
    bvi_chunk_list_done(&a->chunks);
    bvi_free(a);
}

/* Ends a call that got an error or needs no more than an empty answer. Owns err. */
static void asked_end(asked *a, bv_error *err)
{
    bvi_service_end(a->call, err);
    asked_free(a);
}

static void asked_cancel(void *data)
{
    asked *a = data;

    if (a->lent)
        a->lent->source->vtable->cancel(a->lent->source);
}

static int asked_new(bvi_engine_server *server, bvi_service_call *call, const char *store_key,
                     asked **ret_asked, bv_error **err)
{
    asked *a = bvi_new0(asked);
    int r;

    if (!a)
        return bvi_fail_nomem(err);
    a->call = call;
    a->chunks = (bvi_chunk_list)BVI_VEC_INIT(BVI_SOURCE_BATCH_MAX);
    r = borrow(server, store_key, &a->lent, err);
    if (r < 0) {
        bvi_free(a);
        return r;
    }
    *ret_asked = a;
    return 0;
}

/* The tail of the handlers: the source has begun, or refused. */
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

/* ---- metadata ---- */

static void on_metadata(const bv_error *err, const bvi_archive_metadata *metadata, void *data)
{
    asked *a = data;
    Bvi__Agent__DownloadMetadataReply reply = BVI__AGENT__DOWNLOAD_METADATA_REPLY__INIT;
    Bvi__Agent__Compression compression;

    if (err) {
        asked_end(a, bvi_error_copy(err));
        return;
    }
    compression = bvi_compression_message(&metadata->compression);
    reply.data_version = metadata->data_version;
    reply.total_size = metadata->total_size;
    reply.chunks = metadata->chunks;
    reply.compression = &compression;
    bvi_service_reply(a->call, &reply.base);
    asked_free(a);
}

static void handle_metadata(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    const Bvi__Agent__DownloadMetadataRequest *request =
        (const Bvi__Agent__DownloadMetadataRequest *)message;
    asked *a = NULL;
    bv_error *err = NULL;
    int r = asked_new(service, call, request->store_key, &a, &err);

    if (r >= 0)
        r = a->lent->source->vtable->metadata(a->lent->source, request->data_version, on_metadata,
                                              a, &err);
    asked_began(call, a, r, err);
}

/* ---- chunks ---- */

static void send_chunks(void *data)
{
    asked *a = data;
    Bvi__Agent__DownloadChunksReply reply = BVI__AGENT__DOWNLOAD_CHUNKS_REPLY__INIT;
    bvi_chunk_piece piece = { 0 };
    bv_error *err = NULL;
    bool ended = false;
    int r = 0;

    if (bvi_service_is_cancelled(a->call))
        r = bvi_fail(&err, BV_E_CANCELLED, "the caller is gone");
    if (r >= 0)
        r = bvi_chunk_piece_take(&a->cursor, &piece, &err);
    reply.n_chunks = piece.count;
    reply.chunks = piece.pointers;
    if (r >= 0 && bvi_chunk_cursor_at_end(&a->cursor)) {
        bvi_service_reply(a->call, &reply.base);
        ended = true;
    } else if (r >= 0) {
        r = bvi_service_send(a->call, &reply.base, send_chunks, a, &err);
    }
    bvi_chunk_piece_done(&piece);
    if (r < 0)
        asked_end(a, err);
    else if (ended)
        asked_free(a);
}

static int keep_chunks(asked *a, bvi_chunk *chunks, size_t count, bv_error **err)
{
    for (size_t i = 0; i < count; i++) {
        bvi_chunk *mine = bvi_vec_push(&a->chunks);

        if (!mine)
            return bvi_fail(err, BV_E_LIMIT, "no room for %zu chunks", count);
        *mine = chunks[i];
        bvi_chunk_init(&chunks[i]);
    }
    return 0;
}

static void on_chunks(const bv_error *err, bvi_chunk *chunks, size_t count, void *data)
{
    asked *a = data;
    bv_error *failure = err ? bvi_error_copy(err) : NULL;

    if (!failure)
        (void)keep_chunks(a, chunks, count, &failure); /* failure tells */
    if (failure) {
        asked_end(a, failure);
        return;
    }
    give_back(bvi_take(a->lent)); /* sending may take a while */
    a->cursor = (bvi_chunk_cursor){ .chunks = a->chunks.items, .count = a->chunks.len };
    send_chunks(a);
}

static void handle_chunks(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    const Bvi__Agent__DownloadChunksRequest *request =
        (const Bvi__Agent__DownloadChunksRequest *)message;
    asked *a = NULL;
    bv_error *err = NULL;
    int r = 0;

    if (request->n_indexes > BVI_SOURCE_BATCH_MAX)
        r = bvi_fail(&err, BV_E_INVALID, "%zu chunks in one request; at most %u",
                     request->n_indexes, BVI_SOURCE_BATCH_MAX);
    if (r >= 0)
        r = asked_new(service, call, request->store_key, &a, &err);
    if (r >= 0)
        r = a->lent->source->vtable->chunks(a->lent->source, request->data_version,
                                            request->indexes, request->n_indexes, on_chunks, a,
                                            &err);
    asked_began(call, a, r, err);
}

/* ---- slots ---- */

static void on_slots(const bv_error *err, uint64_t data_version, const bvi_upload_slot *slots,
                     size_t count, void *data)
{
    asked *a = data;
    Bvi__Agent__UploadSlotsReply reply = BVI__AGENT__UPLOAD_SLOTS_REPLY__INIT;
    Bvi__Agent__UploadSlot messages[BVI_SOURCE_BATCH_MAX];
    Bvi__Agent__UploadSlot *pointers[BVI_SOURCE_BATCH_MAX];
    bv_error *failure = err ? bvi_error_copy(err) : NULL;

    if (!failure && count > BVI_SOURCE_BATCH_MAX)
        (void)bvi_fail(&failure, BV_E_FORMAT, "the source gave %zu slots", count);
    if (failure) {
        asked_end(a, failure);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        bvi__agent__upload_slot__init(&messages[i]);
        messages[i].index = slots[i].index;
        messages[i].key = (char *)(uintptr_t)slots[i].key;
        messages[i].url = (char *)(uintptr_t)slots[i].url;
        pointers[i] = &messages[i];
    }
    reply.data_version = data_version;
    reply.n_slots = count;
    reply.slots = pointers;
    bvi_service_reply(a->call, &reply.base);
    asked_free(a);
}

static void handle_slots(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    const Bvi__Agent__UploadSlotsRequest *request = (const Bvi__Agent__UploadSlotsRequest *)message;
    bvi_slots_request wanted = {
        .data_version = request->data_version,
        .url_expires_secs = request->url_expires_secs,
        .lease = *request->lease ? request->lease : NULL,
        .indexes = request->slots,
        .count = request->n_slots,
    };
    asked *a = NULL;
    bv_error *err = NULL;
    int r = 0;

    if (wanted.count > BVI_SOURCE_BATCH_MAX)
        r = bvi_fail(&err, BV_E_INVALID, "%zu slots in one request; at most %u", wanted.count,
                     BVI_SOURCE_BATCH_MAX);
    if (r >= 0)
        r = asked_new(service, call, request->store_key, &a, &err);
    if (r >= 0)
        r = a->lent->source->vtable->slots(a->lent->source, &wanted, on_slots, a, &err);
    asked_began(call, a, r, err);
}

/* ---- manifests ---- */

struct incoming {
    incoming *next;
    bvi_engine_server *server; /* NULL: given up; freed by whoever holds it now */
    uint64_t transfer;
    uint64_t parts;
    uint64_t bytes;
    uint64_t data_version;
    char *store_key;
    bvi_manifest manifest;
    bvi_chunk_bounds bounds;
    bvi_timer *idle;
    bvi_work work; /* the check of the whole */
    bv_error *err;
    asked *asked; /* the last part's call; NULL before */
};

static void incoming_free(incoming *in)
{
    bvi_timer_free(in->idle);
    bvi_manifest_done(&in->manifest);
    bv_error_free(in->err);
    bvi_free(in->store_key);
    bvi_free(in);
}

static void incoming_unlink(incoming *in)
{
    incoming **at = in->server ? &in->server->manifests : NULL;

    while (at && *at && *at != in)
        at = &(*at)->next;
    if (at && *at) {
        *at = in->next;
        in->server->manifest_count--;
    }
    in->server = NULL;
}

static void incoming_drop(incoming *in)
{
    incoming_unlink(in);
    if (!in->asked)
        incoming_free(in);
}

static void on_idle(bvi_timer *timer, void *data)
{
    incoming_drop(data);
}

static void incoming_end(incoming *in, bv_error *err)
{
    asked *a = bvi_take(in->asked);

    incoming_unlink(in);
    asked_end(a, err); /* gives the source back before its manifest goes */
    incoming_free(in);
}

static void on_put(const bv_error *err, void *data)
{
    incoming_end(data, err ? bvi_error_copy(err) : NULL);
}

static void put_manifest(incoming *in, bv_error *err)
{
    bvi_chunk_source *source = in->asked->lent->source;

    if (!err && (!in->server || bvi_service_is_cancelled(in->asked->call)))
        (void)bvi_fail(&err, BV_E_CANCELLED, "the caller is gone");
    if (err ||
        source->vtable->put_manifest(source, in->data_version, &in->manifest, on_put, in, &err) < 0)
        incoming_end(in, err);
}

static void on_gate(const bv_error *err, void *data)
{
    put_manifest(data, err ? bvi_error_copy(err) : NULL);
}

/* On a worker. */
static void check_run(void *data)
{
    incoming *in = data;

    (void)bvi_manifest_check(&in->manifest, &in->err); /* err tells */
}

static void check_done(void *data, bool cancelled)
{
    incoming *in = data;
    bvi_engine_server *server = in->server;
    bv_error *err = bvi_take(in->err);

    if (!err && (cancelled || !server))
        (void)bvi_fail(&err, BV_E_CANCELLED, "the caller is gone");
    if (!err && server->host.gate &&
        server->host.gate(server->host.data, *in->store_key ? in->store_key : NULL,
                          in->data_version, on_gate, in, &err) == 0)
        return;
    put_manifest(in, err);
}

static int incoming_new(bvi_engine_server *server, const Bvi__Agent__PutManifestRequest *request,
                        incoming **ret_incoming, bv_error **err)
{
    incoming *in;
    int r;

    if (request->part != 0)
        return bvi_fail(err, BV_E_STATE,
                        "part %llu of a manifest whose beginning is not known; send it again",
                        (unsigned long long)request->part);
    if (server->manifest_count >= MANIFESTS_MAX)
        return bvi_fail(err, BV_E_BUSY, "%u manifests of this node are on their way already",
                        MANIFESTS_MAX);
    in = bvi_new0(incoming);
    if (!in)
        return bvi_fail_nomem(err);
    bvi_manifest_init(&in->manifest);
    in->bounds = (bvi_chunk_bounds){ .chunks = BVI_CHUNKS_MAX, .targets = BVI_TARGETS_MAX };
    in->transfer = request->transfer;
    in->data_version = request->data_version;
    in->manifest.total_size = request->total_size;
    in->store_key = bvi_strdup(request->store_key);
    r = in->store_key ? bvi_timer_new(server->ctx, on_idle, in, &in->idle, err)
                      : bvi_fail_nomem(err);
    if (r >= 0)
        r = bvi_compression_from_message(request->compression, &in->manifest.compression, err);
    if (r < 0) {
        incoming_free(in);
        return r;
    }
    bvi_work_init(&in->work, server->ctx, check_run, check_done, in);
    in->server = server;
    in->next = server->manifests;
    server->manifests = in;
    server->manifest_count++;
    *ret_incoming = in;
    return 0;
}

static int incoming_add(incoming *in, const Bvi__Agent__PutManifestRequest *request, bv_error **err)
{
    if (in->asked)
        return bvi_fail(err, BV_E_STATE, "a part after the last one of this manifest");
    if (request->part != in->parts)
        return bvi_fail(err, BV_E_STATE, "part %llu of a manifest, expected %llu",
                        (unsigned long long)request->part, (unsigned long long)in->parts);
    in->parts++;
    in->bytes += protobuf_c_message_get_packed_size(&request->base);
    if (in->bytes > BVI_ENGINE_MANIFEST_MAX)
        return bvi_fail(err, BV_E_LIMIT, "the manifest is larger than %u bytes",
                        BVI_ENGINE_MANIFEST_MAX);
    /* A manifest's vector of chunks is a bvi_chunk_list in all but name. */
    return bvi_chunks_add((bvi_chunk_list *)(void *)&in->manifest.chunks, &in->bounds,
                          request->chunks, request->n_chunks, err);
}

static incoming *incoming_find(const bvi_engine_server *server, uint64_t transfer)
{
    for (incoming *in = server->manifests; in; in = in->next) {
        if (in->transfer == transfer)
            return in;
    }
    return NULL;
}

/* The manifest is whole: check it, then hand it on. */
static int incoming_close(bvi_engine_server *server, incoming *in, bvi_service_call *call,
                          bv_error **err)
{
    int r = asked_new(server, call, in->store_key, &in->asked, err);

    if (r < 0)
        return r;
    bvi_timer_clear(in->idle);
    bvi_service_on_cancel(call, asked_cancel, in->asked);
    bvi_work_submit(&in->work);
    return 0;
}

static void handle_put_manifest(bvi_service_call *call, const ProtobufCMessage *message,
                                void *service)
{
    const Bvi__Agent__PutManifestRequest *request = (const Bvi__Agent__PutManifestRequest *)message;
    bvi_engine_server *server = service;
    incoming *in = incoming_find(server, request->transfer);
    bv_error *err = NULL;
    int r = in ? 0 : incoming_new(server, request, &in, &err);

    if (r >= 0)
        r = incoming_add(in, request, &err);
    if (r >= 0 && request->last)
        r = incoming_close(server, in, call, &err);
    else if (r >= 0)
        r = bvi_timer_set(in->idle, MANIFEST_IDLE_US, &err);
    if (r < 0 && in && !in->asked)
        incoming_drop(in);
    if (r < 0)
        bvi_service_fail(call, err);
    else if (!request->last)
        bvi_service_reply_empty(call);
}

/* ---- reports ---- */

static bool may_report(bvi_engine_server *server)
{
    int64_t now = bvi_ctx_now_us(server->ctx);

    if (now - server->report_window_us >= MINUTE_US) {
        server->report_window_us = now;
        server->reports = 0;
    }
    return server->reports++ < REPORTS_PER_MIN;
}

static void handle_bv_error(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    const Bvi__Agent__BvErrorRequest *request = (const Bvi__Agent__BvErrorRequest *)message;
    bvi_engine_server *server = service;
    bvi_auto_free char *text = bvi_asprintf("%.*s", (int)REPORT_TEXT_MAX, request->text);
    bv_error *err = NULL;

    if (!text)
        (void)bvi_fail_nomem(&err);
    else if (!may_report(server))
        (void)bvi_fail(&err, BV_E_BUSY, "more than %u reports in a minute", REPORTS_PER_MIN);
    for (char *c = text; !err && *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = ' ';
    }
    if (!err)
        server->host.bv_error(server->host.data, text);
    bvi_service_end(call, err);
}

/* ---- stores, see store_server.h ---- */

typedef void (*store_handler)(bvi_store_server *server, bvi_service_call *call,
                              const ProtobufCMessage *message);

static void hand_on(bvi_engine_server *server, bvi_service_call *call,
                    const ProtobufCMessage *message, store_handler handle)
{
    bv_error *err = NULL;

    if (server->store) {
        handle(server->store, call, message);
        return;
    }
    (void)bvi_fail(&err, BV_E_UNSUPPORTED, "this host has no snapshots for its nodes");
    bvi_service_fail(call, err);
}

static void handle_store_info(bvi_service_call *call, const ProtobufCMessage *message,
                              void *service)
{
    hand_on(service, call, message, bvi_store_server_info);
}

static void handle_store(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    hand_on(service, call, message, bvi_store_server_call);
}

static void handle_store_url(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    hand_on(service, call, message, bvi_store_server_url);
}

static void handle_store_put(bvi_service_call *call, const ProtobufCMessage *message, void *service)
{
    hand_on(service, call, message, bvi_store_server_put);
}

/* ---- the server ---- */

static const bvi_service_method methods[] = {
    { BVI_CALL_METADATA, &bvi__agent__download_metadata_request__descriptor, SMALL_MAX,
      handle_metadata },
    { BVI_CALL_CHUNKS, &bvi__agent__download_chunks_request__descriptor, SMALL_MAX, handle_chunks },
    { BVI_CALL_SLOTS, &bvi__agent__upload_slots_request__descriptor, SMALL_MAX, handle_slots },
    { BVI_CALL_PUT_MANIFEST, &bvi__agent__put_manifest_request__descriptor, BVI_ARCHIVE_MESSAGE_MAX,
      handle_put_manifest },
    { BVI_CALL_BV_ERROR, &bvi__agent__bv_error_request__descriptor, SMALL_MAX, handle_bv_error },
    { BVI_CALL_STORE_INFO, &bvi__agent__store_info_request__descriptor, SMALL_MAX,
      handle_store_info },
    { BVI_CALL_STORE, &bvi__agent__store_request__descriptor, SMALL_MAX, handle_store },
    { BVI_CALL_STORE_URL, &bvi__agent__store_url_request__descriptor, SMALL_MAX, handle_store_url },
    { BVI_CALL_STORE_PUT, &bvi__agent__store_put_request__descriptor, BVI_ARCHIVE_MESSAGE_MAX,
      handle_store_put },
};

const bvi_service_method *bvi_engine_methods(size_t *ret_count)
{
    *ret_count = BVI_COUNT(methods);
    return methods;
}

int bvi_engine_server_new(bv_ctx *ctx, const char *socket_path, const bvi_engine_host *host,
                          bvi_engine_server **ret_server, bv_error **err)
{
    bvi_engine_server *server = bvi_new0(bvi_engine_server);
    bvi_service_rpc_opts opts = {
        .socket_path = socket_path,
        .methods = methods,
        .method_count = BVI_COUNT(methods),
        .service = server,
        .self = { .program = "blockvisor", .version = BVI_AGENT_VERSION },
        .calls_max = BVI_ENGINE_CALLS_MAX,
        .connections_max = BVI_ENGINE_CONNECTIONS_MAX,
        .unsent_max = BVI_ENGINE_UNSENT_MAX,
    };
    int r = 0;

    if (!server)
        return bvi_fail_nomem(err);
    server->ctx = ctx;
    server->host = *host;
    server->report_window_us = bvi_ctx_now_us(ctx);
    if (host->store.open)
        r = bvi_store_server_new(ctx, &host->store, &server->store, err);
    if (r >= 0)
        r = bvi_service_rpc_new(ctx, &opts, &server->service, err);
    if (r < 0) {
        bvi_store_server_free(server->store);
        bvi_free(server);
        return bvi_wrap(err, r, "cannot serve the node's archive jobs");
    }
    *ret_server = server;
    return 0;
}

void bvi_engine_server_free(bvi_engine_server *server)
{
    lent *next;

    if (!server)
        return;
    bvi_service_rpc_free(server->service);
    while (server->manifests)
        incoming_drop(server->manifests);
    for (lent *l = server->sources; l; l = next) {
        next = l->next;
        l->server = NULL;
        if (!l->busy)
            lent_free(l);
    }
    bvi_store_server_free(server->store);
    bvi_free(server);
}
