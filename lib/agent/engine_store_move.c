/*
 * engine_store_move.c - objects of a node's store: by URL, which is of a file the node sees or one
 * the host signed, or in parts through the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine_store_impl.h"
#include "base/id.h"
#include "sys/fs.h"
#include "transfer/limits.h"
#include "transfer/url.h"

/* Publishing a version waits for its gate, a function of the plugin. */
#define PUT_MS     (20 * 60 * 1000)
#define PART_BYTES BVI_AGENT_PIECE_MAX

/* ---- an object's URL ---- */

static bvi_known_url *find_url(bvi_engine_store *s, const char *key)
{
    for (size_t i = 0; i < BVI_ENGINE_URLS_MAX; i++) {
        if (s->urls[i].key && strcmp(s->urls[i].key, key) == 0)
            return &s->urls[i];
    }
    return NULL;
}

static void forget_url(bvi_known_url *known)
{
    bvi_free(bvi_take(known->key));
    bvi_free(bvi_take(known->url));
}

/* Best effort: without memory it is asked for again. */
static void keep_url(bvi_engine_store *s, const char *key, const char *url)
{
    bvi_known_url *known = find_url(s, key);

    if (!known) {
        known = &s->urls[s->next_url];
        s->next_url = (s->next_url + 1) % BVI_ENGINE_URLS_MAX;
    }
    forget_url(known);
    known->key = bvi_strdup(key);
    known->url = bvi_strdup(url);
    known->until_us = bvi_ctx_now_us(s->base.ctx) + BVI_URL_FRESH_US;
    if (!known->key || !known->url)
        forget_url(known);
}

static void move(bvi_engine_request *q);

static void on_url(bvi_rpc_request *rpc, const bvi_rpc_reply *reply, void *data)
{
    bvi_engine_request *q = data;
    bvi_auto_message ProtobufCMessage *message = NULL;
    const Bvi__Agent__StoreUrlReply *from;
    bool put = q->what.verb == BVI_STORE_PUT;
    bv_error *err = NULL;

    if (!bvi_engine_request_answered(q, reply))
        return;
    if (bvi_message_decode(&bvi__agent__store_url_reply__descriptor, reply->body, reply->len,
                           BVI_STORE_INFO_BYTES, &message, &err) < 0) {
        bvi_engine_request_fail(q, err);
        return;
    }
    from = (const Bvi__Agent__StoreUrlReply *)message;
    if (put && from->exists) {
        q->moved = q->what.len;
        bvi_engine_request_done(q);
        return;
    }
    bvi_free(q->url);
    q->url = bvi_strdup(from->url);
    if (!q->url) {
        (void)bvi_fail_nomem(&err);
        bvi_engine_request_fail(q, err);
        return;
    }
    if (!put)
        keep_url(q->store, q->key, q->url);
    move(q);
}

static int ask_url(bvi_engine_request *q, bv_error **err)
{
    Bvi__Agent__StoreUrlRequest message = BVI__AGENT__STORE_URL_REQUEST__INIT;

    message.store_key = q->store->store_key;
    message.key = q->key;
    message.put = q->what.verb == BVI_STORE_PUT;
    return bvi_engine_request_send(q, BVI_CALL_STORE_URL, &message.base, BVI_ENGINE_CALL_MS, on_url,
                                   err);
}

/* ---- files: on a worker ---- */

static int read_file(bvi_engine_request *q, int fd, bv_error **err)
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

static int write_file(bvi_engine_request *q, const char *path, bv_error **err)
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

static int use_file(bvi_engine_request *q, bv_error **err)
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

void bvi_engine_work_run(void *data)
{
    bvi_engine_request *q = data;

    (void)use_file(q, &q->work_err); /* the error is kept */
}

static int put_staged(bvi_engine_request *q, bv_error **err);

void bvi_engine_work_done(void *data, bool cancelled)
{
    bvi_engine_request *q = data;
    bv_error *err = bvi_take(q->work_err);

    if (!err && (cancelled || q->cancelled))
        (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled");
    if (!err && q->what.verb == BVI_STORE_READ) {
        bvi_engine_request_done(q);
        return;
    }
    if (err || put_staged(q, &err) < 0)
        bvi_engine_request_fail(q, err);
}

/* ---- HTTP ---- */

static int on_body(bvi_http_call *call, const void *bytes, size_t len, void *data)
{
    bvi_engine_request *q = data;

    if (len > q->what.into_len - q->moved)
        return BV_E_REMOTE; /* more than the range */
    memcpy((char *)q->what.into + q->moved, bytes, len);
    q->moved += len;
    bvi_retry_reset(&q->retry);
    return 0;
}

static void refused(bvi_engine_request *q, const bvi_http_response *response, bv_error *err)
{
    bvi_attempt attempt = bvi_attempt_of(response, bv_error_code(err));
    bvi_known_url *known = find_url(q->store, q->key);

    if (attempt.verdict == BVI_VERDICT_NEW_URL) {
        if (known)
            forget_url(known);
        bvi_engine_request_again(q, q->renewals++ < BVI_URL_RENEWALS_MAX, attempt.retry_after_ms,
                                 err);
        return;
    }
    if (bv_error_code(err) == BV_E_EXISTS && q->what.verb == BVI_STORE_PUT) {
        bv_error_free(err); /* put on condition, and there meanwhile: the name is its digest */
        q->moved = q->what.len;
        bvi_engine_request_done(q);
        return;
    }
    bvi_engine_request_again(q, attempt.verdict == BVI_VERDICT_AGAIN, attempt.retry_after_ms, err);
}

static void on_http(bvi_http_call *call, const bvi_http_response *response, const bv_error *why,
                    void *data)
{
    bvi_engine_request *q = data;
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
        bvi_engine_request_done(q);
}

static int use_http(bvi_engine_request *q, bv_error **err)
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

static void move(bvi_engine_request *q)
{
    bv_error *err = NULL;

    if (bvi_url_is_file(q->url))
        bvi_work_submit(&q->work);
    else if (use_http(q, &err) < 0)
        bvi_engine_request_fail(q, err);
}

/* ---- putting through the host ---- */

static int put_part(bvi_engine_request *q, bv_error **err);

static void on_taken(bvi_rpc_request *rpc, const bvi_rpc_reply *reply, void *data)
{
    bvi_engine_request *q = data;
    bv_error *err = NULL;

    if (!bvi_engine_request_answered(q, reply))
        return;
    if (q->moved >= q->what.len)
        bvi_engine_request_done(q);
    else if (put_part(q, &err) < 0)
        bvi_engine_request_fail(q, err);
}

static int put_part(bvi_engine_request *q, bv_error **err)
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
    return bvi_engine_request_send(q, BVI_CALL_STORE_PUT, &message.base,
                                   message.last ? PUT_MS : BVI_ENGINE_CALL_MS, on_taken, err);
}

/* From the first byte, under a new number. */
static int put_small(bvi_engine_request *q, bv_error **err)
{
    int r = bvi_random_bytes(&q->transfer, sizeof(q->transfer), err);

    q->moved = 0;
    return r < 0 ? r : put_part(q, err);
}

static int put_staged(bvi_engine_request *q, bv_error **err)
{
    Bvi__Agent__StorePutRequest message = BVI__AGENT__STORE_PUT_REQUEST__INIT;

    message.store_key = q->store->store_key;
    message.key = q->key;
    message.create_only = q->what.create_only;
    message.staged = true;
    message.last = true;
    q->moved = q->what.len;
    return bvi_engine_request_send(q, BVI_CALL_STORE_PUT, &message.base, PUT_MS, on_taken, err);
}

/* ---- the first steps ---- */

static bool is_pack(const char *key)
{
    const char *slash = strchr(key, '/');

    return slash && strncmp(slash, "/packs/", strlen("/packs/")) == 0;
}

int bvi_engine_read(bvi_engine_request *q, bv_error **err)
{
    const bvi_known_url *known = find_url(q->store, q->key);

    if (!known || known->until_us < bvi_ctx_now_us(q->store->base.ctx))
        return ask_url(q, err);
    bvi_free(q->url);
    q->url = bvi_strdup(known->url);
    if (!q->url)
        return bvi_fail_nomem(err);
    move(q);
    return 0;
}

int bvi_engine_put(bvi_engine_request *q, bv_error **err)
{
    return is_pack(q->key) ? ask_url(q, err) : put_small(q, err);
}

void bvi_engine_forget_urls(bvi_engine_store *store)
{
    for (size_t i = 0; i < BVI_ENGINE_URLS_MAX; i++)
        forget_url(&store->urls[i]);
}
