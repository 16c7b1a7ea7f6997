/*
 * engine_source.c - asking the host for descriptions of chunks.
 *
 * One call at a time, each one request, except a manifest, which goes in parts. Failures that may
 * pass are tried again here, a few times; what is reported is final for the call and judged by the
 * transfer engine.
 */
#include <string.h>

#include "agent/archive_message.h"
#include "agent/engine_source.h"
#include "agent/limits.h"
#include "agent/message.h"
#include "agent/protocol.h"
#include "base/id.h"
#include "net/backoff.h"
#include "net/rpc.h"

#define LOOKUP_MS    90000 /* metadata and chunks: longer than all of the host's attempts */
#define SLOTS_MS     60000
#define SLOTS_PER_S  200
#define MANIFEST_MS  40000
#define CHUNKS_PER_S 100
#define PART_MS      60000 /* a part of a manifest that is not the last */

static const bvi_retry_policy call_retry = {
    .first_ms = 600,
    .factor_percent = 200,
    .ceiling_ms = 10000,
    .jitter_percent = 20,
    .give_up = 4,
};

typedef struct engine_source engine_source;

/* What is done with an answer. The last part's function ends the call. */
typedef struct call_kind {
    const char *method;
    int (*part)(engine_source *s, const void *bytes, size_t len,
                bv_error **err); /* NULL: answers have one part */
    void (*last)(engine_source *s, const void *bytes, size_t len);
    void (*failed)(engine_source *s, const bv_error *err);
} call_kind;

struct engine_source {
    bvi_chunk_source base;
    bv_ctx *ctx;
    bvi_rpc_client *rpc;
    char *store_key; /* "" for the node's own */
    bvi_timer *timer;
    /* The call under way. */
    const call_kind *kind; /* NULL: none */
    bvi_rpc_request *request;
    bvi_retry retry;
    bool cancelled;
    bvi_buf body;
    int64_t deadline_ms;
    void (*done)(void); /* one of the source's callback types */
    void *data;
    bvi_chunk_list chunks;
    bvi_chunk_bounds bounds;
    size_t expected;
    /* A manifest on its way. */
    const bvi_manifest *manifest;
    uint64_t data_version;
    uint64_t transfer;
    uint64_t part;
    bvi_chunk_cursor cursor;
    bool last_sent;
};

static engine_source *of(bvi_chunk_source *source)
{
    return (engine_source *)source;
}

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* ---- one call ---- */

static void end_call(engine_source *s)
{
    s->kind = NULL;
    s->request = NULL;
    s->cancelled = false;
    bvi_timer_clear(s->timer);
    bvi_buf_clear(&s->body);
    bvi_chunk_list_done(&s->chunks);
    s->manifest = NULL;
}

static void fail_call(engine_source *s, bv_error *err)
{
    const call_kind *kind = s->kind;

    (void)bvi_wrap(&err, bv_error_code(err), "'%s' of the host",
                   kind->method); /* err is the result */
    kind->failed(s, err);
    bv_error_free(err);
}

static void on_reply(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data);

static int send_body(engine_source *s, bv_error **err)
{
    bvi_rpc_request_opts opts = {
        .method = s->kind->method,
        .body = bvi_buf_str(&s->body),
        .len = s->body.len,
        .deadline_ms = s->deadline_ms,
        .on_reply = on_reply,
        .data = s,
    };

    return bvi_rpc_request_start(s->rpc, &opts, &s->request, err);
}

static int manifest_begin(engine_source *s, bv_error **err);
static int manifest_part(engine_source *s, bv_error **err);

static void again(bvi_timer *timer, void *data)
{
    engine_source *s = data;
    bv_error *err = NULL;
    int r = 0;

    if (s->cancelled)
        r = bvi_fail(&err, BV_E_CANCELLED, "cancelled");
    else if (s->manifest)
        r = manifest_begin(s, &err);
    if (r >= 0)
        r = send_body(s, &err);
    if (r < 0)
        fail_call(s, err);
}

static void on_failure(engine_source *s, const bv_error *why)
{
    int64_t delay_ms = 0;

    s->request = NULL;
    bvi_chunk_list_done(&s->chunks);
    s->bounds.target_count = 0;
    if (!s->cancelled && bvi_retry_is_worth(bv_error_code(why)) &&
        bvi_retry_next(&s->retry, s->ctx, 0, &delay_ms) &&
        bvi_timer_set(s->timer, delay_ms * 1000, NULL) >= 0) {
        bvi_auto_free char *text = bvi_error_text(why);

        bvi_log_info(s->ctx, "agent", "'%s' of the host failed: %s; trying again in %lld ms",
                     s->kind->method, text ? text : "out of memory", (long long)delay_ms);
        return;
    }
    fail_call(s, bvi_error_copy(why));
}

static void on_reply(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data)
{
    engine_source *s = data;
    bv_error *err = NULL;
    int r = 0;

    if (reply->err) {
        on_failure(s, reply->err);
        return;
    }
    if (reply->more && !s->kind->part)
        r = bvi_fail(&err, BV_E_FORMAT, "the answer comes in parts");
    else if (s->kind->part)
        r = s->kind->part(s, reply->body, reply->len, &err);
    if (r < 0) {
        if (reply->more)
            bvi_rpc_request_drop(s->request);
        fail_call(s, err);
    } else if (!reply->more) {
        s->request = NULL;
        s->kind->last(s, reply->body, reply->len);
    }
}

/* `message` is the request; a manifest's first part was encoded by manifest_begin(). */
static int begin_call(engine_source *s, const call_kind *kind, const ProtobufCMessage *message,
                      int64_t deadline_ms, bv_error **err)
{
    int r = 0;

    bvi_retry_init(&s->retry, &call_retry);
    s->deadline_ms = deadline_ms;
    if (message)
        r = bvi_message_encode(message, &s->body, err);
    s->kind = kind;
    if (r >= 0)
        r = send_body(s, err);
    if (r < 0)
        end_call(s);
    return r;
}

static int check_idle(const engine_source *s, bv_error **err)
{
    return s->kind ? bvi_fail(err, BV_E_BUSY, "this source has a call under way") : 0;
}

/* ---- metadata ---- */

static void metadata_end(engine_source *s, const bv_error *err,
                         const bvi_archive_metadata *metadata)
{
    bvi_source_metadata_fn done = (bvi_source_metadata_fn)s->done;
    void *data = s->data;

    end_call(s);
    done(err, metadata, data);
}

static void metadata_failed(engine_source *s, const bv_error *err)
{
    metadata_end(s, err, NULL);
}

static int read_metadata(const void *bytes, size_t len, bvi_archive_metadata *ret, bv_error **err)
{
    bvi_auto_message ProtobufCMessage *message = NULL;
    const Bvi__Agent__DownloadMetadataReply *reply;
    int r = bvi_message_decode(&bvi__agent__download_metadata_reply__descriptor, bytes, len,
                               BVI_ARCHIVE_MESSAGE_MAX, &message, err);

    if (r < 0)
        return r;
    reply = (const Bvi__Agent__DownloadMetadataReply *)message;
    ret->data_version = reply->data_version;
    ret->total_size = reply->total_size;
    ret->chunks = reply->chunks;
    return bvi_compression_from_message(reply->compression, &ret->compression, err);
}

static void metadata_last(engine_source *s, const void *bytes, size_t len)
{
    bvi_archive_metadata metadata = { 0 };
    bv_error *err = NULL;

    if (read_metadata(bytes, len, &metadata, &err) < 0)
        fail_call(s, err);
    else
        metadata_end(s, NULL, &metadata);
}

static const call_kind metadata_kind = {
    .method = BVI_CALL_METADATA,
    .last = metadata_last,
    .failed = metadata_failed,
};

static int ask_metadata(bvi_chunk_source *source, uint64_t data_version,
                        bvi_source_metadata_fn done, void *data, bv_error **err)
{
    engine_source *s = of(source);
    Bvi__Agent__DownloadMetadataRequest request = BVI__AGENT__DOWNLOAD_METADATA_REQUEST__INIT;
    int r = check_idle(s, err);

    if (r < 0)
        return r;
    request.store_key = s->store_key;
    request.data_version = data_version;
    s->done = (void (*)(void))done;
    s->data = data;
    return begin_call(s, &metadata_kind, &request.base, LOOKUP_MS, err);
}

/* ---- chunks ---- */

static void chunks_failed(engine_source *s, const bv_error *err)
{
    bvi_source_chunks_fn done = (bvi_source_chunks_fn)s->done;
    void *data = s->data;

    end_call(s);
    done(err, NULL, 0, data);
}

static int chunks_part(engine_source *s, const void *bytes, size_t len, bv_error **err)
{
    bvi_auto_message ProtobufCMessage *message = NULL;
    const Bvi__Agent__DownloadChunksReply *reply;
    int r = bvi_message_decode(&bvi__agent__download_chunks_reply__descriptor, bytes, len,
                               BVI_ARCHIVE_MESSAGE_MAX, &message, err);

    if (r < 0)
        return r;
    reply = (const Bvi__Agent__DownloadChunksReply *)message;
    return bvi_chunks_add(&s->chunks, &s->bounds, reply->chunks, reply->n_chunks, err);
}

static void chunks_last(engine_source *s, const void *bytes, size_t len)
{
    bvi_source_chunks_fn done = (bvi_source_chunks_fn)s->done;
    bvi_chunk_list chunks = s->chunks; /* the part function has taken in the last one as well */
    void *data = s->data;

    s->chunks = (bvi_chunk_list)BVI_VEC_INIT(BVI_SOURCE_BATCH_MAX);
    end_call(s);
    done(NULL, chunks.items, chunks.len, data);
    bvi_chunk_list_done(&chunks);
}

static const call_kind chunks_kind = {
    .method = BVI_CALL_CHUNKS,
    .part = chunks_part,
    .last = chunks_last,
    .failed = chunks_failed,
};

static int check_batch(size_t count, bv_error **err)
{
    return count > BVI_SOURCE_BATCH_MAX
               ? bvi_fail(err, BV_E_INVALID, "%zu indexes in one request; at most %u", count,
                          BVI_SOURCE_BATCH_MAX)
               : 0;
}

static int ask_chunks(bvi_chunk_source *source, uint64_t data_version, const uint32_t *indexes,
                      size_t count, bvi_source_chunks_fn done, void *data, bv_error **err)
{
    engine_source *s = of(source);
    Bvi__Agent__DownloadChunksRequest request = BVI__AGENT__DOWNLOAD_CHUNKS_REQUEST__INIT;
    int r = check_idle(s, err);

    if (r >= 0)
        r = check_batch(count, err);
    if (r < 0)
        return r;
    request.store_key = s->store_key;
    request.data_version = data_version;
    request.n_indexes = count;
    request.indexes = (uint32_t *)(uintptr_t)indexes;
    s->bounds = (bvi_chunk_bounds){ .chunks = count, .targets = BVI_TARGETS_MAX };
    s->done = (void (*)(void))done;
    s->data = data;
    return begin_call(s, &chunks_kind, &request.base, LOOKUP_MS, err);
}

/* ---- slots ---- */

static void slots_failed(engine_source *s, const bv_error *err)
{
    bvi_source_slots_fn done = (bvi_source_slots_fn)s->done;
    void *data = s->data;

    end_call(s);
    done(err, 0, NULL, 0, data);
}

static int read_slots(const engine_source *s, const void *bytes, size_t len,
                      ProtobufCMessage **ret_message, bvi_upload_slot slots[BVI_SOURCE_BATCH_MAX],
                      bv_error **err)
{
    const Bvi__Agent__UploadSlotsReply *reply;
    int r = bvi_message_decode(&bvi__agent__upload_slots_reply__descriptor, bytes, len,
                               2 * BVI_ARCHIVE_MESSAGE_MAX, ret_message, err);

    if (r < 0)
        return r;
    reply = (const Bvi__Agent__UploadSlotsReply *)*ret_message;
    if (reply->n_slots > s->expected)
        return bvi_fail(err, BV_E_FORMAT, "%zu slots for %zu indexes", reply->n_slots, s->expected);
    for (size_t i = 0; i < reply->n_slots; i++) {
        const Bvi__Agent__UploadSlot *slot = reply->slots[i];

        if (strlen(slot->key) > BVI_CHUNK_KEY_MAX || strlen(slot->url) > BVI_CHUNK_URL_MAX)
            return bvi_fail(err, BV_E_LIMIT, "key or URL of slot %u is too long", slot->index);
        slots[i] = (bvi_upload_slot){ .index = slot->index, .key = slot->key, .url = slot->url };
    }
    return 0;
}

static void slots_last(engine_source *s, const void *bytes, size_t len)
{
    bvi_source_slots_fn done = (bvi_source_slots_fn)s->done;
    bvi_auto_message ProtobufCMessage *message = NULL;
    bvi_upload_slot slots[BVI_SOURCE_BATCH_MAX];
    const Bvi__Agent__UploadSlotsReply *reply;
    void *data = s->data;
    bv_error *err = NULL;

    if (read_slots(s, bytes, len, &message, slots, &err) < 0) {
        fail_call(s, err);
        return;
    }
    reply = (const Bvi__Agent__UploadSlotsReply *)message;
    end_call(s);
    done(NULL, reply->data_version, slots, reply->n_slots, data);
}

static const call_kind slots_kind = { .method = BVI_CALL_SLOTS,
                                      .last = slots_last,
                                      .failed = slots_failed };

static int ask_slots(bvi_chunk_source *source, const bvi_slots_request *wanted,
                     bvi_source_slots_fn done, void *data, bv_error **err)
{
    engine_source *s = of(source);
    Bvi__Agent__UploadSlotsRequest request = BVI__AGENT__UPLOAD_SLOTS_REQUEST__INIT;
    int r = check_idle(s, err);

    if (r >= 0)
        r = check_batch(wanted->count, err);
    if (r < 0)
        return r;
    request.store_key = s->store_key;
    request.data_version = wanted->data_version;
    request.n_slots = wanted->count;
    request.slots = (uint32_t *)(uintptr_t)wanted->indexes;
    request.url_expires_secs = wanted->url_expires_secs;
    request.lease = text_of(wanted->lease ? wanted->lease : protobuf_c_empty_string);
    s->expected = wanted->count;
    s->done = (void (*)(void))done;
    s->data = data;
    return begin_call(s, &slots_kind, &request.base,
                      SLOTS_MS + (int64_t)wanted->count * 1000 / SLOTS_PER_S, err);
}

/* ---- manifest ---- */

static void put_end(engine_source *s, const bv_error *err)
{
    bvi_source_put_fn done = (bvi_source_put_fn)s->done;
    void *data = s->data;

    end_call(s);
    done(err, data);
}

/* Encodes the next part into the body. */
static int manifest_part(engine_source *s, bv_error **err)
{
    Bvi__Agent__PutManifestRequest request = BVI__AGENT__PUT_MANIFEST_REQUEST__INIT;
    Bvi__Agent__Compression compression = bvi_compression_message(&s->manifest->compression);
    bvi_chunk_piece piece = { 0 };
    int r = bvi_chunk_piece_take(&s->cursor, &piece, err);

    if (r < 0)
        return r;
    s->last_sent = bvi_chunk_cursor_at_end(&s->cursor);
    s->deadline_ms = s->last_sent
                         ? MANIFEST_MS + (int64_t)s->manifest->chunks.len * 1000 / CHUNKS_PER_S
                         : PART_MS;
    request.store_key = s->store_key;
    request.data_version = s->data_version;
    request.total_size = s->manifest->total_size;
    request.compression = &compression;
    request.n_chunks = piece.count;
    request.chunks = piece.pointers;
    request.transfer = s->transfer;
    request.part = s->part++;
    request.last = s->last_sent;
    bvi_buf_clear(&s->body);
    r = bvi_message_encode(&request.base, &s->body, err);
    bvi_chunk_piece_done(&piece);
    return r;
}

/* From the first part, under a new number. */
static int manifest_begin(engine_source *s, bv_error **err)
{
    int r = bvi_random_bytes(&s->transfer, sizeof(s->transfer), err);

    if (r < 0)
        return r;
    s->part = 0;
    s->cursor =
        (bvi_chunk_cursor){ .chunks = s->manifest->chunks.items, .count = s->manifest->chunks.len };
    return manifest_part(s, err);
}

static void put_last(engine_source *s, const void *bytes, size_t len)
{
    bv_error *err = NULL;
    int r;

    if (s->last_sent) {
        put_end(s, NULL);
        return;
    }
    r = manifest_part(s, &err);
    if (r >= 0)
        r = send_body(s, &err);
    if (r < 0)
        fail_call(s, err);
}

static const call_kind put_kind = { .method = BVI_CALL_PUT_MANIFEST,
                                    .last = put_last,
                                    .failed = put_end };

static int put_manifest(bvi_chunk_source *source, uint64_t data_version,
                        const bvi_manifest *manifest, bvi_source_put_fn done, void *data,
                        bv_error **err)
{
    engine_source *s = of(source);
    int r = check_idle(s, err);

    if (r < 0)
        return r;
    s->manifest = manifest;
    s->data_version = data_version;
    s->done = (void (*)(void))done;
    s->data = data;
    r = manifest_begin(s, err);
    if (r < 0) {
        end_call(s);
        return r;
    }
    return begin_call(s, &put_kind, NULL, s->deadline_ms, err);
}

/* ---- the source ---- */

static void cancel(bvi_chunk_source *source)
{
    engine_source *s = of(source);

    if (!s->kind)
        return;
    s->cancelled = true;
    if (s->request)
        bvi_rpc_request_cancel(s->request);
    else
        (void)bvi_timer_set(s->timer, 0,
                            NULL); /* it is set already; at worst it fires when it was going to */
}

static void source_free(bvi_chunk_source *source)
{
    engine_source *s = of(source);

    if (s->request)
        bvi_rpc_request_drop(s->request);
    bvi_rpc_client_free(s->rpc);
    bvi_timer_free(s->timer);
    bvi_buf_done(&s->body);
    bvi_chunk_list_done(&s->chunks);
    bvi_free(s->store_key);
    bvi_free(s);
}

static const bvi_chunk_source_vtable vtable = {
    .name = "engine",
    .metadata = ask_metadata,
    .chunks = ask_chunks,
    .slots = ask_slots,
    .put_manifest = put_manifest,
    .cancel = cancel,
    .free = source_free,
};

int bvi_engine_source_new(bv_ctx *ctx, const bvi_engine_source_opts *opts,
                          bvi_chunk_source **ret_source, bv_error **err)
{
    bvi_rpc_client_opts rpc = {
        .path = opts->socket_path,
        .self = { .program = "babel_transfer", .version = BVI_AGENT_VERSION },
        .reach_ms = opts->reach_ms ? opts->reach_ms : BVI_ENGINE_REACH_MS,
    };
    engine_source *s = bvi_new0(engine_source);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->base.vtable = &vtable;
    s->ctx = ctx;
    bvi_buf_init(&s->body, BVI_RPC_BODY_MAX);
    s->chunks = (bvi_chunk_list)BVI_VEC_INIT(BVI_SOURCE_BATCH_MAX);
    s->store_key = bvi_strdup(opts->store_key ? opts->store_key : "");
    r = s->store_key ? bvi_timer_new(ctx, again, s, &s->timer, err) : bvi_fail_nomem(err);
    if (r >= 0)
        r = bvi_rpc_client_new(ctx, &rpc, &s->rpc, err);
    if (r < 0) {
        source_free(&s->base);
        return r;
    }
    *ret_source = &s->base;
    return 0;
}

static void ignore_reply(bvi_rpc_request *request, const bvi_rpc_reply *reply, void *data)
{
    /* Best effort: the line is in the program's log as well. */
}

int bvi_engine_source_report(bvi_chunk_source *source, const char *text, bv_error **err)
{
    engine_source *s = of(source);
    Bvi__Agent__BvErrorRequest message = BVI__AGENT__BV_ERROR_REQUEST__INIT;
    BVI_AUTO(bvi_buf_done) bvi_buf body = BVI_BUF_INIT(BVI_ARCHIVE_MESSAGE_MAX);
    bvi_rpc_request_opts opts = { .method = BVI_CALL_BV_ERROR,
                                  .deadline_ms = PART_MS,
                                  .on_reply = ignore_reply };
    int r;

    message.text = text_of(text);
    r = bvi_message_encode(&message.base, &body, err);
    if (r < 0)
        return r;
    opts.body = bvi_buf_str(&body);
    opts.len = body.len;
    return bvi_rpc_request_start(s->rpc, &opts, NULL, err);
}
