/*
 * engine_store.c - a store over the engine service.
 *
 * A request is a chain of steps, each an RPC, a piece of work or an HTTP call; what is worth trying
 * again begins its chain anew after a pause. What a READ already has, it keeps.
 */
#include <string.h>

#include "agent/engine_source.h"
#include "agent/engine_store_impl.h"
#include "agent/store_wire.h"

static const bvi_retry_policy call_retry = {
    .first_ms = 600,
    .factor_percent = 200,
    .ceiling_ms = 10000,
    .jitter_percent = 20,
    .give_up = 5,
};

static bvi_engine_store *of(bvi_store *store)
{
    return (bvi_engine_store *)store;
}

/* ---- the end of a request ---- */

static void request_free(bvi_engine_request *q)
{
    bvi_timer_free(q->timer);
    bv_error_free(q->work_err);
    bvi_buf_done(&q->body);
    bvi_buf_done(&q->bytes);
    bvi_free(q->key);
    bvi_free(q->lease);
    bvi_free(q->after);
    bvi_free(q->url);
    bvi_free(q);
}

static void unlink_request(bvi_engine_request *q)
{
    bvi_engine_request **at = &q->store->requests;

    while (*at && *at != q)
        at = &(*at)->next;
    if (*at)
        *at = q->next;
}

static void succeed(bvi_engine_request *q, const bvi_store_reply *reply)
{
    unlink_request(q);
    q->done(NULL, reply, q->data);
    request_free(q);
}

void bvi_engine_request_done(bvi_engine_request *q)
{
    const bvi_store_reply reply = { .len = q->moved };

    succeed(q, &reply);
}

/* Owns err. */
void bvi_engine_request_fail(bvi_engine_request *q, bv_error *err)
{
    unlink_request(q);
    if (q->done)
        q->done(err, NULL, q->data);
    else
        q->info_done(err, NULL, q->data);
    bv_error_free(err);
    request_free(q);
}

static void begin(bvi_engine_request *q);

static void on_retry(bvi_timer *timer, void *data)
{
    bvi_engine_request *q = data;
    bv_error *err = NULL;

    if (!q->cancelled) {
        begin(q);
        return;
    }
    (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled"); /* the error is the result */
    bvi_engine_request_fail(q, err);
}

/* Tries again after a pause when that may help. Owns err. */
void bvi_engine_request_again(bvi_engine_request *q, bool worth, int64_t at_least_ms, bv_error *err)
{
    int64_t delay_ms = 0;

    if (!q->cancelled && worth &&
        bvi_retry_next(&q->retry, q->store->base.ctx, at_least_ms, &delay_ms) &&
        bvi_timer_set(q->timer, delay_ms * 1000, NULL) >= 0) {
        bvi_auto_free char *text = bvi_error_text(err);

        bvi_log_info(q->store->base.ctx, "agent", "%s; trying again in %lld ms",
                     text ? text : "out of memory", (long long)delay_ms);
        bv_error_free(err);
        return;
    }
    bvi_engine_request_fail(q, err);
}

/* ---- RPC ---- */

int bvi_engine_request_send(bvi_engine_request *q, const char *method,
                            const ProtobufCMessage *message, int64_t deadline_ms,
                            bvi_rpc_reply_fn on_reply, bv_error **err)
{
    bvi_rpc_request_opts opts = {
        .method = method,
        .deadline_ms = deadline_ms,
        .on_reply = on_reply,
        .data = q,
    };
    int r;

    bvi_buf_clear(&q->body);
    r = bvi_message_encode(message, &q->body, err);
    if (r < 0)
        return r;
    opts.body = bvi_buf_str(&q->body);
    opts.len = q->body.len;
    return bvi_rpc_request_start(q->store->rpc, &opts, &q->rpc, err);
}

/* Whether there is an answer; if not, the request goes on or ends by itself. */
bool bvi_engine_request_answered(bvi_engine_request *q, const bvi_rpc_reply *reply)
{
    bv_error *err;

    if (!reply->more)
        q->rpc = NULL;
    if (!reply->err)
        return true;
    bvi_buf_clear(&q->bytes);
    err = bvi_error_copy(reply->err);
    /* What the host itself reports is final: it has tried, and knows better. But it takes only so
     * many calls at once. */
    bvi_engine_request_again(q,
                             reply->from_peer ? bv_error_code(err) == BV_E_AGAIN
                                              : bvi_retry_is_worth(bv_error_code(err)),
                             0, err);
    return false;
}

/* ---- GET: an object in pieces ---- */

static int take_piece(bvi_engine_request *q, const bvi_rpc_reply *reply, bv_error **err)
{
    bvi_auto_message ProtobufCMessage *message = NULL;
    const Bvi__Agent__BulkReply *piece;
    int r = bvi_message_decode(&bvi__agent__bulk_reply__descriptor, reply->body, reply->len,
                               2 * BVI_AGENT_PIECE_MAX, &message, err);

    if (r < 0)
        return r;
    piece = (const Bvi__Agent__BulkReply *)message;
    r = bvi_buf_append(&q->bytes, piece->out.data, piece->out.len);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "'%s' is larger than %zu bytes", q->key, q->bytes.max);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

static void on_piece(bvi_rpc_request *rpc, const bvi_rpc_reply *reply, void *data)
{
    bvi_engine_request *q = data;
    bvi_store_reply got = { 0 };
    bv_error *err = NULL;

    if (!bvi_engine_request_answered(q, reply))
        return;
    if (take_piece(q, reply, &err) < 0) {
        bvi_rpc_request_drop(bvi_take(q->rpc));
        bvi_engine_request_fail(q, err);
        return;
    }
    if (reply->more)
        return;
    got.bytes = bvi_buf_str(&q->bytes);
    got.len = q->bytes.len;
    succeed(q, &got);
}

/* ---- facts: an answer of one message ---- */

static int read_objects(const Bvi__Agent__StoreReply *from, bvi_store_object *objects,
                        bv_error **err)
{
    if (from->n_objects > BVI_STORE_WIRE_OBJECTS_MAX)
        return bvi_fail(err, BV_E_FORMAT, "%zu objects in one answer", from->n_objects);
    for (size_t i = 0; i < from->n_objects; i++)
        objects[i] = (bvi_store_object){ from->objects[i]->key, from->objects[i]->size,
                                         from->objects[i]->modified_us };
    return 0;
}

static void read_leases(const Bvi__Agent__StoreReply *from, bvi_store_lease *leases)
{
    for (size_t i = 0; i < from->n_leases; i++)
        leases[i] = (bvi_store_lease){ from->leases[i]->version, from->leases[i]->base_version,
                                       from->leases[i]->started_us };
}

static int give_facts(bvi_engine_request *q, const Bvi__Agent__StoreReply *from, bv_error **err)
{
    bvi_auto_free bvi_store_object *objects = bvi_new_array(bvi_store_object, from->n_objects + 1);
    bvi_auto_free bvi_store_lease *leases = bvi_new_array(bvi_store_lease, from->n_leases + 1);
    const bvi_store_reply reply = {
        .size = from->size,
        .version = from->version,
        .versions = from->versions,
        .n_versions = from->n_versions,
        .objects = objects,
        .n_objects = from->n_objects,
        .more = from->more,
        .leases = leases,
        .n_leases = from->n_leases,
    };
    int r;

    if (!objects || !leases)
        return bvi_fail_nomem(err);
    r = read_objects(from, objects, err);
    if (r < 0)
        return r;
    read_leases(from, leases);
    succeed(q, &reply);
    return 0;
}

static void on_facts(bvi_rpc_request *rpc, const bvi_rpc_reply *reply, void *data)
{
    bvi_engine_request *q = data;
    bvi_auto_message ProtobufCMessage *message = NULL;
    bv_error *err = NULL;

    if (!bvi_engine_request_answered(q, reply))
        return;
    if (bvi_message_decode(&bvi__agent__store_reply__descriptor, reply->body, reply->len,
                           BVI_RPC_BODY_MAX, &message, &err) < 0 ||
        give_facts(q, (const Bvi__Agent__StoreReply *)message, &err) < 0)
        bvi_engine_request_fail(q, err);
}

static int ask(bvi_engine_request *q, bv_error **err)
{
    Bvi__Agent__StoreRequest message = BVI__AGENT__STORE_REQUEST__INIT;

    message.store_key = q->store->store_key;
    message.verb = bvi_store_wire_number(q->what.verb);
    message.key = bvi_engine_text(q->key);
    message.version = q->what.version;
    message.format = q->what.format;
    message.lease = bvi_engine_text(q->lease);
    message.max = q->what.max;
    message.base_version = q->what.base;
    message.since_us = q->what.since_us;
    message.after = bvi_engine_text(q->after);
    return bvi_engine_request_send(q, BVI_CALL_STORE, &message.base, BVI_ENGINE_CALL_MS,
                                   q->what.verb == BVI_STORE_GET ? on_piece : on_facts, err);
}

/* ---- information ---- */

static void on_info(bvi_rpc_request *rpc, const bvi_rpc_reply *reply, void *data)
{
    bvi_engine_request *q = data;
    bvi_auto_message ProtobufCMessage *message = NULL;
    const Bvi__Agent__StoreInfoReply *from;
    bvi_store_info info;
    bv_error *err = NULL;

    if (!bvi_engine_request_answered(q, reply))
        return;
    if (bvi_message_decode(&bvi__agent__store_info_reply__descriptor, reply->body, reply->len,
                           BVI_STORE_INFO_BYTES, &message, &err) < 0) {
        bvi_engine_request_fail(q, err);
        return;
    }
    from = (const Bvi__Agent__StoreInfoReply *)message;
    info = (bvi_store_info){
        .store_key = from->store_key,
        .format = from->format == BVI_STORE_SNAPSHOT ? BVI_STORE_SNAPSHOT : BVI_STORE_ARCHIVE,
        .data_version = from->data_version,
        .protected_paths = (const char *const *)from->protected_paths,
        .n_protected_paths = from->n_protected_paths,
        .share = { .size = sizeof(bv_transfer_limits),
                   .memory_mib = from->memory_mib,
                   .connections = from->connections,
                   .open_files = from->open_files,
                   .download_bytes_per_s = from->download_bytes_per_s,
                   .upload_bytes_per_s = from->upload_bytes_per_s },
    };
    unlink_request(q);
    q->info_done(NULL, &info, q->data);
    request_free(q);
}

static int ask_info(bvi_engine_request *q, bv_error **err)
{
    Bvi__Agent__StoreInfoRequest message = BVI__AGENT__STORE_INFO_REQUEST__INIT;

    message.store_key = q->store->store_key;
    message.data_version = q->what.version;
    message.upload = q->upload;
    message.share_only = q->share_only;
    return bvi_engine_request_send(q, BVI_CALL_STORE_INFO, &message.base, BVI_ENGINE_CALL_MS,
                                   on_info, err);
}

/* ---- requests ---- */

static int (*const begins[BVI_STORE_VERBS])(bvi_engine_request *q, bv_error **err) = {
    [BVI_STORE_GET] = ask,
    [BVI_STORE_PUT] = bvi_engine_put,
    [BVI_STORE_STAT] = ask,
    [BVI_STORE_VERSIONS] = ask,
    [BVI_STORE_RESERVE] = ask,
    [BVI_STORE_RELEASE] = ask,
    [BVI_STORE_READ] = bvi_engine_read,
    [BVI_STORE_OBJECTS] = ask,
    [BVI_STORE_REMOVE] = ask,
    [BVI_STORE_LEASES] = ask,
};

static void begin(bvi_engine_request *q)
{
    bv_error *err = NULL;
    int r = q->done ? begins[q->what.verb](q, &err) : ask_info(q, &err);

    if (r < 0)
        bvi_engine_request_fail(q, err);
}

static int copy_texts(bvi_engine_request *q, const bvi_store_request *from, bv_error **err)
{
    q->key = bvi_strdup(from->key);
    q->lease = bvi_strdup(from->lease);
    q->after = bvi_strdup(from->after);
    if ((from->key && !q->key) || (from->lease && !q->lease) || (from->after && !q->after))
        return bvi_fail_nomem(err);
    q->what.key = q->key;
    q->what.lease = q->lease;
    q->what.after = q->after;
    q->what.store_key = NULL; /* the host fills it in */
    return 0;
}

static int request_new(bvi_engine_store *s, const bvi_store_request *from, void *data,
                       bvi_engine_request **ret_request, bv_error **err)
{
    bvi_engine_request *q = bvi_new0(bvi_engine_request);
    int r;

    if (!q)
        return bvi_fail_nomem(err);
    q->store = s;
    q->what = *from;
    q->data = data;
    bvi_buf_init(&q->body, BVI_RPC_BODY_MAX);
    bvi_buf_init(&q->bytes,
                 from->max < BVI_STORE_OBJECT_BYTES ? from->max : BVI_STORE_OBJECT_BYTES);
    bvi_retry_init(&q->retry, &call_retry);
    bvi_work_init(&q->work, s->base.ctx, bvi_engine_work_run, bvi_engine_work_done, q);
    r = copy_texts(q, from, err);
    if (r >= 0)
        r = bvi_timer_new(s->base.ctx, on_retry, q, &q->timer, err);
    if (r < 0) {
        request_free(q);
        return r;
    }
    *ret_request = q;
    return 0;
}

/* The first step comes from dispatch, so that nothing is called back from inside the call. */
static int enter(bvi_engine_request *q, bv_error **err)
{
    int r = bvi_timer_set(q->timer, 0, err);

    if (r < 0) {
        request_free(q);
        return r;
    }
    q->next = q->store->requests;
    q->store->requests = q;
    return 0;
}

static int check_request(const bvi_store_request *from, bv_error **err)
{
    if (from->verb >= BVI_STORE_VERBS || !begins[from->verb])
        return bvi_fail(err, BV_E_UNSUPPORTED, "a node cannot ask this of its store");
    if (from->verb == BVI_STORE_READ && from->into_len == 0)
        return bvi_fail(err, BV_E_INVALID, "nothing to read");
    return 0;
}

static int store_call(bvi_store *store, const bvi_store_request *from, bvi_store_fn done,
                      void *data, bv_error **err)
{
    bvi_engine_request *q = NULL;
    int r = check_request(from, err);

    if (r >= 0)
        r = request_new(of(store), from, data, &q, err);
    if (r < 0)
        return r;
    q->done = done;
    return enter(q, err);
}

int bvi_engine_store_info(bvi_store *store, uint64_t data_version, bool upload,
                          bvi_store_info_fn done, void *data, bv_error **err)
{
    const bvi_store_request none = { .version = data_version };
    bvi_engine_request *q = NULL;
    int r = request_new(of(store), &none, data, &q, err);

    if (r < 0)
        return r;
    q->info_done = done;
    q->upload = upload;
    return enter(q, err);
}

int bvi_engine_store_share(bvi_store *store, bvi_store_info_fn done, void *data, bv_error **err)
{
    const bvi_store_request none = { .version = 0 };
    bvi_engine_request *q = NULL;
    int r = request_new(of(store), &none, data, &q, err);

    if (r < 0)
        return r;
    q->info_done = done;
    q->share_only = true;
    return enter(q, err);
}

/* ---- the store ---- */

static char *store_url(const bvi_store *store, const char *key, bool put)
{
    return NULL; /* only the host knows them; archives have a source of their own */
}

static void cancel_request(bvi_engine_request *q)
{
    q->cancelled = true;
    if (q->rpc)
        bvi_rpc_request_cancel(q->rpc);
    else if (q->http)
        bvi_http_cancel(q->http);
    else if (bvi_work_is_pending(&q->work))
        bvi_work_cancel(&q->work);
    else
        (void)bvi_timer_set(q->timer, 0,
                            NULL); /* it is set; at worst it fires when it was going to */
}

static void store_cancel(bvi_store *store)
{
    bvi_engine_request *next;

    for (bvi_engine_request *q = of(store)->requests; q; q = next) {
        next = q->next;
        cancel_request(q);
    }
}

static void store_free(bvi_store *store)
{
    bvi_engine_store *s = of(store);

    bvi_rpc_client_free(s->rpc);
    bvi_http_free(s->http);
    bvi_engine_forget_urls(s);
    bvi_free(s->store_key);
    bvi_free(s);
}

static const bvi_store_vtable vtable = {
    .name = "engine",
    .call = store_call,
    .url = store_url,
    .cancel = store_cancel,
    .free = store_free,
};

int bvi_engine_store_new(bv_ctx *ctx, const bvi_engine_store_opts *opts, bvi_store **ret_store,
                         bv_error **err)
{
    bvi_rpc_client_opts rpc = {
        .path = opts->socket_path,
        .self = { .program = "babel_transfer", .version = BVI_AGENT_VERSION },
        .reach_ms = opts->reach_ms ? opts->reach_ms : BVI_ENGINE_REACH_MS,
    };
    bvi_engine_store *s = bvi_new0(bvi_engine_store);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->base.vtable = &vtable;
    s->base.ctx = ctx;
    s->store_key = bvi_strdup(opts->store_key ? opts->store_key : "");
    r = s->store_key ? bvi_rpc_client_new(ctx, &rpc, &s->rpc, err) : bvi_fail_nomem(err);
    if (r < 0) {
        store_free(&s->base);
        return r;
    }
    *ret_store = &s->base;
    return 0;
}
