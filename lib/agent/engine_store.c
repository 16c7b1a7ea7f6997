/*
 * engine_store.c - a store over the engine service.
 *
 * A request is a chain of steps, each an RPC, a piece of work or an HTTP call; what is worth trying
 * again begins its chain anew after a pause. What a READ already has, it keeps.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent.pb-c.h"
#include "agent/engine_source.h"
#include "agent/engine_store.h"
#include "agent/limits.h"
#include "agent/protocol.h"
#include "agent/store_wire.h"
#include "base/id.h"
#include "io/work.h"
#include "net/rpc.h"
#include "snapshot/format.h"
#include "sys/fs.h"
#include "transfer/limits.h"
#include "transfer/url.h"

#define CALL_MS 90000
/* Publishing a version waits for its gate, a function of the plugin. */
#define PUT_MS     (20 * 60 * 1000)
#define PART_BYTES BVI_AGENT_PIECE_MAX
#define URLS_MAX   64u /* remembered */

static const bvi_retry_policy call_retry = {
    .first_ms = 600,
    .factor_percent = 200,
    .ceiling_ms = 10000,
    .jitter_percent = 20,
    .give_up = 5,
};

typedef struct known_url {
    char *key; /* NULL: free */
    char *url;
    int64_t until_us;
} known_url;

typedef struct request request;

typedef struct engine_store {
    bvi_store base;
    bvi_rpc_client *rpc;
    bvi_http *http; /* NULL: not needed yet */
    char *store_key;
    known_url urls[URLS_MAX];
    unsigned next_url; /* to be replaced */
    request *requests;
} engine_store;

struct request {
    request *next;
    engine_store *store;
    bvi_store_fn done; /* NULL: a question for information */
    bvi_store_info_fn info_done;
    void *data;
    bvi_store_request what; /* its texts are the four below */
    char *key;
    char *lease;
    char *after;
    char *url;
    bool upload;
    bool share_only;
    size_t moved; /* READ, PUT: bytes so far */
    uint64_t transfer;
    unsigned renewals;
    bvi_retry retry;
    bvi_timer *timer;
    bvi_rpc_request *rpc;
    bvi_http_call *http;
    bvi_work work;
    bv_error *work_err;
    bvi_buf body;  /* of the message under way */
    bvi_buf bytes; /* GET: the answer */
    bool cancelled;
};

static engine_store *of(bvi_store *store)
{
    return (engine_store *)store;
}

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)(text ? text : protobuf_c_empty_string);
}

/* ---- the end of a request ---- */

static void request_free(request *q)
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

static void unlink_request(request *q)
{
    request **at = &q->store->requests;

    while (*at && *at != q)
        at = &(*at)->next;
    if (*at)
        *at = q->next;
}

static void succeed(request *q, const bvi_store_reply *reply)
{
    unlink_request(q);
    q->done(NULL, reply, q->data);
    request_free(q);
}

static void succeed_plain(request *q)
{
    const bvi_store_reply reply = { .len = q->moved };

    succeed(q, &reply);
}

/* Owns err. */
static void fail(request *q, bv_error *err)
{
    unlink_request(q);
    if (q->done)
        q->done(err, NULL, q->data);
    else
        q->info_done(err, NULL, q->data);
    bv_error_free(err);
    request_free(q);
}

static void begin(request *q);

static void on_retry(bvi_timer *timer, void *data)
{
    request *q = data;
    bv_error *err = NULL;

    if (!q->cancelled) {
        begin(q);
        return;
    }
    (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled"); /* the error is the result */
    fail(q, err);
}

/* Tries again after a pause when that may help. Owns err. */
static void try_again(request *q, bool worth, int64_t at_least_ms, bv_error *err)
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
    fail(q, err);
}

/* ---- RPC ---- */

static int send_message(request *q, const char *method, const ProtobufCMessage *message,
                        int64_t deadline_ms, bvi_rpc_reply_fn on_reply, bv_error **err)
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
static bool is_answer(request *q, const bvi_rpc_reply *reply)
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
    try_again(q,
              reply->from_peer ? bv_error_code(err) == BV_E_AGAIN
                               : bvi_retry_is_worth(bv_error_code(err)),
              0, err);
    return false;
}

/* ---- GET: an object in pieces ---- */

static int take_piece(request *q, const bvi_rpc_reply *reply, bv_error **err)
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
    request *q = data;
    bvi_store_reply got = { 0 };
    bv_error *err = NULL;

    if (!is_answer(q, reply))
        return;
    if (take_piece(q, reply, &err) < 0) {
        bvi_rpc_request_drop(bvi_take(q->rpc));
        fail(q, err);
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

static int give_facts(request *q, const Bvi__Agent__StoreReply *from, bv_error **err)
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
    request *q = data;
    bvi_auto_message ProtobufCMessage *message = NULL;
    bv_error *err = NULL;

    if (!is_answer(q, reply))
        return;
    if (bvi_message_decode(&bvi__agent__store_reply__descriptor, reply->body, reply->len,
                           BVI_RPC_BODY_MAX, &message, &err) < 0 ||
        give_facts(q, (const Bvi__Agent__StoreReply *)message, &err) < 0)
        fail(q, err);
}

static int ask(request *q, bv_error **err)
{
    Bvi__Agent__StoreRequest message = BVI__AGENT__STORE_REQUEST__INIT;

    message.store_key = q->store->store_key;
    message.verb = bvi_store_wire_number(q->what.verb);
    message.key = text_of(q->key);
    message.version = q->what.version;
    message.format = q->what.format;
    message.lease = text_of(q->lease);
    message.max = q->what.max;
    message.base_version = q->what.base;
    message.after = text_of(q->after);
    return send_message(q, BVI_CALL_STORE, &message.base, CALL_MS,
                        q->what.verb == BVI_STORE_GET ? on_piece : on_facts, err);
}

/* ---- information ---- */

static void on_info(bvi_rpc_request *rpc, const bvi_rpc_reply *reply, void *data)
{
    request *q = data;
    bvi_auto_message ProtobufCMessage *message = NULL;
    const Bvi__Agent__StoreInfoReply *from;
    bvi_store_info info;
    bv_error *err = NULL;

    if (!is_answer(q, reply))
        return;
    if (bvi_message_decode(&bvi__agent__store_info_reply__descriptor, reply->body, reply->len,
                           BVI_STORE_INFO_BYTES, &message, &err) < 0) {
        fail(q, err);
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

static int ask_info(request *q, bv_error **err)
{
    Bvi__Agent__StoreInfoRequest message = BVI__AGENT__STORE_INFO_REQUEST__INIT;

    message.store_key = q->store->store_key;
    message.data_version = q->what.version;
    message.upload = q->upload;
    message.share_only = q->share_only;
    return send_message(q, BVI_CALL_STORE_INFO, &message.base, CALL_MS, on_info, err);
}

/* ---- an object's URL ---- */

static known_url *find_url(engine_store *s, const char *key)
{
    for (size_t i = 0; i < URLS_MAX; i++) {
        if (s->urls[i].key && strcmp(s->urls[i].key, key) == 0)
            return &s->urls[i];
    }
    return NULL;
}

static void forget_url(known_url *known)
{
    bvi_free(bvi_take(known->key));
    bvi_free(bvi_take(known->url));
}

/* Best effort: without memory it is asked for again. */
static void keep_url(engine_store *s, const char *key, const char *url)
{
    known_url *known = find_url(s, key);

    if (!known) {
        known = &s->urls[s->next_url];
        s->next_url = (s->next_url + 1) % URLS_MAX;
    }
    forget_url(known);
    known->key = bvi_strdup(key);
    known->url = bvi_strdup(url);
    known->until_us = bvi_ctx_now_us(s->base.ctx) + BVI_URL_FRESH_US;
    if (!known->key || !known->url)
        forget_url(known);
}

static void move(request *q);

static void on_url(bvi_rpc_request *rpc, const bvi_rpc_reply *reply, void *data)
{
    request *q = data;
    bvi_auto_message ProtobufCMessage *message = NULL;
    const Bvi__Agent__StoreUrlReply *from;
    bool put = q->what.verb == BVI_STORE_PUT;
    bv_error *err = NULL;

    if (!is_answer(q, reply))
        return;
    if (bvi_message_decode(&bvi__agent__store_url_reply__descriptor, reply->body, reply->len,
                           BVI_STORE_INFO_BYTES, &message, &err) < 0) {
        fail(q, err);
        return;
    }
    from = (const Bvi__Agent__StoreUrlReply *)message;
    if (put && from->exists) {
        q->moved = q->what.len;
        succeed_plain(q);
        return;
    }
    bvi_free(q->url);
    q->url = bvi_strdup(from->url);
    if (!q->url) {
        (void)bvi_fail_nomem(&err);
        fail(q, err);
        return;
    }
    if (!put)
        keep_url(q->store, q->key, q->url);
    move(q);
}

static int ask_url(request *q, bv_error **err)
{
    Bvi__Agent__StoreUrlRequest message = BVI__AGENT__STORE_URL_REQUEST__INIT;

    message.store_key = q->store->store_key;
    message.key = q->key;
    message.put = q->what.verb == BVI_STORE_PUT;
    return send_message(q, BVI_CALL_STORE_URL, &message.base, CALL_MS, on_url, err);
}

/* ---- files: on a worker ---- */

static int read_file(request *q, int fd, bv_error **err)
{
    while (q->moved < q->what.into_len) {
        ssize_t n = pread(fd, (char *)q->what.into + q->moved, q->what.into_len - q->moved,
                          (off_t)(q->what.offset + q->moved));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s'", q->key);
        if (n == 0)
            return bvi_fail(err, BV_E_FORMAT, "'%s' ends before byte %llu", q->key,
                            (unsigned long long)(q->what.offset + q->what.into_len));
        q->moved += (size_t)n;
    }
    return 0;
}

static int write_file(request *q, const char *path, bv_error **err)
{
    const char *slash = strrchr(path, '/');
    bvi_auto_free char *dir = bvi_strndup(path, slash ? (size_t)(slash - path) : 0);
    bvi_auto_close int fd = -1;
    int r;

    if (!dir)
        return bvi_fail_nomem(err);
    r = bvi_fs_mkdir(dir, 0755, err);
    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot make '%s'", path);
    r = bvi_fs_write_all(fd, q->what.bytes, q->what.len);
    return r < 0 ? bvi_fail_sys(err, errno, "cannot write '%s'", path) : 0;
}

static int use_file(request *q, bv_error **err)
{
    bvi_auto_free char *path = NULL;
    bvi_auto_close int fd = -1;
    int r = bvi_url_to_path(q->url, &path, err);

    if (r < 0)
        return r;
    if (q->what.verb == BVI_STORE_PUT)
        return write_file(q, path, err);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? bvi_fail_sys(err, errno, "cannot open '%s'", q->key) : read_file(q, fd, err);
}

static void work_run(void *data)
{
    request *q = data;

    (void)use_file(q, &q->work_err); /* the error is kept */
}

static int put_staged(request *q, bv_error **err);

static void work_done(void *data, bool cancelled)
{
    request *q = data;
    bv_error *err = bvi_take(q->work_err);

    if (!err && (cancelled || q->cancelled))
        (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled");
    if (!err && q->what.verb == BVI_STORE_READ) {
        succeed_plain(q);
        return;
    }
    if (err || put_staged(q, &err) < 0)
        fail(q, err);
}

/* ---- HTTP ---- */

static int on_body(bvi_http_call *call, const void *bytes, size_t len, void *data)
{
    request *q = data;

    if (len > q->what.into_len - q->moved)
        return BV_E_REMOTE; /* more than the range */
    memcpy((char *)q->what.into + q->moved, bytes, len);
    q->moved += len;
    bvi_retry_reset(&q->retry);
    return 0;
}

static void refused(request *q, const bvi_http_response *response, bv_error *err)
{
    bvi_attempt attempt = bvi_attempt_of(response, bv_error_code(err));
    known_url *known = find_url(q->store, q->key);

    if (attempt.verdict == BVI_VERDICT_NEW_URL) {
        if (known)
            forget_url(known);
        try_again(q, q->renewals++ < BVI_URL_RENEWALS_MAX, attempt.retry_after_ms, err);
        return;
    }
    if (bv_error_code(err) == BV_E_EXISTS && q->what.verb == BVI_STORE_PUT) {
        bv_error_free(err); /* put on condition, and there meanwhile: the name is its digest */
        q->moved = q->what.len;
        succeed_plain(q);
        return;
    }
    try_again(q, attempt.verdict == BVI_VERDICT_AGAIN, attempt.retry_after_ms, err);
}

static void on_http(bvi_http_call *call, const bvi_http_response *response, const bv_error *why,
                    void *data)
{
    request *q = data;
    bv_error *err = why ? bvi_error_copy(why) : NULL;

    q->http = NULL;
    if (!err)
        (void)bvi_http_check(response, &err); /* err tells */
    if (!err && q->what.verb == BVI_STORE_READ && q->moved < q->what.into_len)
        (void)bvi_fail(&err, BV_E_REMOTE, "'%s' came short: %zu of %zu bytes", q->key, q->moved,
                       q->what.into_len);
    if (err)
        refused(q, response, err);
    else
        succeed_plain(q);
}

static int use_http(request *q, bv_error **err)
{
    bvi_http_request http = BVI_HTTP_REQUEST_INIT;
    int r = q->store->http ? 0
                           : bvi_http_new(q->store->base.ctx, &(bvi_http_opts){ .budgeted = true },
                                          &q->store->http, err);

    if (r < 0)
        return r;
    http.url = q->url;
    http.ca_file = q->store->base.ca_file;
    http.on_done = on_http;
    http.data = q;
    http.bulk = true;
    http.slow_bytes_per_s = BVI_SLOW_BYTES_PER_S;
    if (q->what.verb == BVI_STORE_PUT) {
        http.method = "PUT";
        http.body = q->what.bytes;
        http.body_len = q->what.len;
        http.body_borrowed = true;
    } else {
        http.has_range = true;
        http.range_first = q->what.offset + q->moved;
        http.range_last = q->what.offset + q->what.into_len - 1;
        http.on_data = on_body;
        http.redirects_max = 5;
    }
    return bvi_http_start(q->store->http, &http, &q->http, err);
}

static void move(request *q)
{
    bv_error *err = NULL;

    if (bvi_url_is_file(q->url))
        bvi_work_submit(&q->work);
    else if (use_http(q, &err) < 0)
        fail(q, err);
}

/* ---- putting through the host ---- */

static int put_part(request *q, bv_error **err);

static void on_taken(bvi_rpc_request *rpc, const bvi_rpc_reply *reply, void *data)
{
    request *q = data;
    bv_error *err = NULL;

    if (!is_answer(q, reply))
        return;
    if (q->moved >= q->what.len)
        succeed_plain(q);
    else if (put_part(q, &err) < 0)
        fail(q, err);
}

static int put_part(request *q, bv_error **err)
{
    Bvi__Agent__StorePutRequest message = BVI__AGENT__STORE_PUT_REQUEST__INIT;
    size_t left = q->what.len - q->moved;
    size_t n = left < PART_BYTES ? left : PART_BYTES;

    message.store_key = q->store->store_key;
    message.key = q->key;
    message.create_only = q->what.create_only;
    message.transfer = q->transfer;
    message.offset = q->moved;
    message.bytes = bvi_message_bytes(n ? q->what.bytes + q->moved : NULL, n);
    q->moved += n;
    message.last = q->moved == q->what.len;
    return send_message(q, BVI_CALL_STORE_PUT, &message.base, message.last ? PUT_MS : CALL_MS,
                        on_taken, err);
}

/* From the first byte, under a new number. */
static int put_small(request *q, bv_error **err)
{
    int r = bvi_random_bytes(&q->transfer, sizeof(q->transfer), err);

    q->moved = 0;
    return r < 0 ? r : put_part(q, err);
}

static int put_staged(request *q, bv_error **err)
{
    Bvi__Agent__StorePutRequest message = BVI__AGENT__STORE_PUT_REQUEST__INIT;

    message.store_key = q->store->store_key;
    message.key = q->key;
    message.create_only = q->what.create_only;
    message.staged = true;
    message.last = true;
    q->moved = q->what.len;
    return send_message(q, BVI_CALL_STORE_PUT, &message.base, PUT_MS, on_taken, err);
}

/* ---- requests ---- */

static bool is_pack(const char *key)
{
    const char *slash = strchr(key, '/');

    return slash && strncmp(slash, "/packs/", strlen("/packs/")) == 0;
}

static int read_object(request *q, bv_error **err)
{
    const known_url *known = find_url(q->store, q->key);

    if (!known || known->until_us < bvi_ctx_now_us(q->store->base.ctx))
        return ask_url(q, err);
    bvi_free(q->url);
    q->url = bvi_strdup(known->url);
    if (!q->url)
        return bvi_fail_nomem(err);
    move(q);
    return 0;
}

static int put_object(request *q, bv_error **err)
{
    return is_pack(q->key) ? ask_url(q, err) : put_small(q, err);
}

static int (*const begins[BVI_STORE_VERBS])(request *q, bv_error **err) = {
    [BVI_STORE_GET] = ask,          [BVI_STORE_PUT] = put_object, [BVI_STORE_STAT] = ask,
    [BVI_STORE_VERSIONS] = ask,     [BVI_STORE_RESERVE] = ask,    [BVI_STORE_RELEASE] = ask,
    [BVI_STORE_READ] = read_object, [BVI_STORE_OBJECTS] = ask,    [BVI_STORE_REMOVE] = ask,
    [BVI_STORE_LEASES] = ask,
};

static void begin(request *q)
{
    bv_error *err = NULL;
    int r = q->done ? begins[q->what.verb](q, &err) : ask_info(q, &err);

    if (r < 0)
        fail(q, err);
}

static int copy_texts(request *q, const bvi_store_request *from, bv_error **err)
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

static int request_new(engine_store *s, const bvi_store_request *from, void *data,
                       request **ret_request, bv_error **err)
{
    request *q = bvi_new0(request);
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
    bvi_work_init(&q->work, s->base.ctx, work_run, work_done, q);
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
static int enter(request *q, bv_error **err)
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
    request *q = NULL;
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
    request *q = NULL;
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
    request *q = NULL;
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

static void cancel_request(request *q)
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
    request *next;

    for (request *q = of(store)->requests; q; q = next) {
        next = q->next;
        cancel_request(q);
    }
}

static void store_free(bvi_store *store)
{
    engine_store *s = of(store);

    bvi_rpc_client_free(s->rpc);
    bvi_http_free(s->http);
    for (size_t i = 0; i < URLS_MAX; i++)
        forget_url(&s->urls[i]);
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
    engine_store *s = bvi_new0(engine_store);
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
