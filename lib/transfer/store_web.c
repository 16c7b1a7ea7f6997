/*
 * store_web.c - see store_web.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/limits.h"
#include "transfer/store_web.h"

#define STATUS_NO_SUCH_RANGE 416

/* ---- the end of a call ---- */

static void call_free(bvi_web_call *c)
{
    bvi_timer_free(c->timer);
    bvi_store_request_done(&c->req);
    bvi_free(c->ask_key);
    bv_error_free(c->refused);
    c->web->ops->free(c);
}

void bvi_web_finish(bvi_web_call *c, const bvi_store_reply *reply, bv_error *err)
{
    bvi_web_call **link = &c->web->calls;

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    c->done(err, err ? NULL : reply, c->data);
    bv_error_free(err);
    call_free(c);
}

void bvi_web_last_step(bvi_web_call *c, const bvi_http_response *response, bv_error *err)
{
    bvi_store_reply reply = { 0 };

    if (response && !c->ask.into) {
        reply.bytes = response->body;
        reply.len = response->body_len;
        reply.size = response->content_length > 0 ? (uint64_t)response->content_length : 0;
    }
    bvi_web_finish(c, &reply, err);
}

void bvi_web_drop_error(bv_error **err)
{
    bv_error_free(*err);
    *err = NULL;
}

/* ---- reading a range: answers are judged before their bytes count ---- */

/* "bytes 0-9/100": 100; UINT64_MAX when it is not told. */
static uint64_t object_size(const bvi_http_response *response)
{
    const char *range = bvi_http_header(response, "Content-Range");
    const char *slash = range ? strchr(range, '/') : NULL;

    return slash && slash[1] >= '0' && slash[1] <= '9' ? strtoull(slash + 1, NULL, 10) : UINT64_MAX;
}

static int refuse_short(bvi_web_call *c, uint64_t size)
{
    return bvi_fail(&c->refused, BV_E_CHECKSUM,
                    "'%s' is too short: it has %llu bytes, and %llu are needed", c->ask_key,
                    (unsigned long long)size,
                    (unsigned long long)(c->ask.offset + c->ask.into_len));
}

static int on_head(bvi_http_call *http, const bvi_http_response *response, void *data)
{
    bvi_web_call *c = data;
    uint64_t left = c->ask.into_len - c->got;

    (void)http;
    if (response->status != 206)
        return 0; /* that is judged elsewhere */
    if (object_size(response) < c->ask.offset + c->ask.into_len)
        return refuse_short(c, object_size(response));
    if (response->content_length >= 0 && (uint64_t)response->content_length > left)
        return bvi_fail(&c->refused, BV_E_REMOTE,
                        "the server sends %lld bytes instead of %llu of '%s'",
                        (long long)response->content_length, (unsigned long long)left, c->ask_key);
    return 0;
}

/* ---- a limit of bytes per second, for all that is read together ---- */

static void reckon(bvi_store_web *web)
{
    int64_t now_us = bvi_ctx_now_us(web->store.ctx);
    int64_t passed_us = now_us - web->credit_us;
    int64_t most = (int64_t)(web->bytes_per_s * BVI_WEB_CREDIT_US / 1000000u) + 1;

    if (passed_us > 1000000) /* more is not kept anyway */
        passed_us = 1000000;
    web->credit += (int64_t)(web->bytes_per_s * (uint64_t)passed_us / 1000000u);
    if (web->credit > most)
        web->credit = most;
    web->credit_us = now_us;
}

/* False: the call is paused until there is credit again. */
static bool has_credit(bvi_web_call *c, size_t len)
{
    bvi_store_web *web = c->web;

    if (!web->bytes_per_s)
        return true;
    reckon(web);
    if (web->credit > 0 && !bvi_timer_is_set(web->gate)) {
        web->credit -= (int64_t)len;
        return true;
    }
    c->paused =
        bvi_timer_is_set(web->gate) ||
        bvi_timer_set(web->gate, (1 - web->credit) * 1000000 / (int64_t)web->bytes_per_s + 1000,
                      NULL) == 0;
    return !c->paused; /* without a timer rather too fast than never */
}

static void on_gate(bvi_timer *gate, void *data)
{
    bvi_store_web *web = data;

    (void)gate;
    for (bvi_web_call *c = web->calls; c; c = c->next) {
        if (!c->paused)
            continue;
        c->paused = false;
        if (c->http)
            bvi_http_resume(c->http);
    }
}

/* Much slower than others were: perhaps another connection is better. */
static bool is_slower(const bvi_web_call *c)
{
    const bvi_store_web *web = c->web;
    int64_t us = bvi_ctx_now_us(web->store.ctx) - c->begun_us;
    uint64_t rate = us > 0 ? (uint64_t)(c->got - c->got_before) * 1000000u / (uint64_t)us : 0;

    return us >= BVI_WEB_EVICT_US && !web->bytes_per_s && c->evictions < BVI_WEB_EVICTIONS_MAX &&
           rate < web->pace / BVI_WEB_SLOWER;
}

static int on_data(bvi_http_call *http, const void *bytes, size_t len, void *data)
{
    bvi_web_call *c = data;

    (void)http;
    if (len > c->ask.into_len - c->got)
        return bvi_fail(&c->refused, BV_E_REMOTE,
                        "the server sends more of '%s' than was asked for", c->ask_key);
    if (!has_credit(c, len))
        return BVI_HTTP_PAUSE;
    memcpy((char *)c->ask.into + c->got, bytes, len);
    c->got += len;
    if (c->got < c->ask.into_len && is_slower(c)) {
        c->evictions++;
        return bvi_fail(&c->refused, BV_E_TIMEOUT, "the connection is much slower than others");
    }
    return 0;
}

static void learn_pace(bvi_web_call *c)
{
    int64_t us = bvi_ctx_now_us(c->web->store.ctx) - c->begun_us;
    uint64_t moved = c->got - c->got_before;

    if (us > 0 && moved >= BVI_PROGRESS_BYTES) {
        uint64_t rate = moved * 1000000u / (uint64_t)us;

        c->web->pace = c->web->pace ? (c->web->pace * 7 + rate) / 8 : rate;
    }
    if (moved >= BVI_PROGRESS_BYTES) /* it got on */
        bvi_retry_reset(&c->retry);
}

/* What an answer without an error still lacks. */
static int check_read(bvi_web_call *c, const bvi_http_response *response, bv_error **err)
{
    if (*err && response->status == STATUS_NO_SUCH_RANGE)
        return bvi_wrap(err, BV_E_CHECKSUM, "'%s' is too short for %llu bytes at %llu", c->ask_key,
                        (unsigned long long)c->ask.into_len, (unsigned long long)c->ask.offset);
    if (!*err && c->got < c->ask.into_len)
        return bvi_fail(err, BV_E_REMOTE, "the server sent fewer bytes of '%s' than were asked for",
                        c->ask_key);
    return 0;
}

/* ---- one request ---- */

static void on_answer(bvi_http_call *http, const bvi_http_response *response, const bv_error *err,
                      void *data);

/* Of the limit, for one of those under way; 0: there is no limit. */
static uint64_t share_of(const bvi_store_web *web)
{
    uint64_t n = 1;

    for (const bvi_web_call *c = web->calls; c && n < web->connections; c = c->next)
        n += c->http != NULL;
    return web->bytes_per_s ? web->bytes_per_s / n + 1 : 0;
}

static void set_read(bvi_web_call *c, bvi_http_request *req)
{
    req->has_range = true;
    req->range_first = c->ask.offset + c->got;
    req->range_last = c->ask.offset + c->ask.into_len - 1;
    req->on_head = on_head;
    req->on_data = on_data;
    req->idle_timeout_ms = c->req.hasty ? BVI_WEB_HASTY_IDLE_MS : BVI_WEB_READ_IDLE_MS;
    req->slow_bytes_per_s = bvi_slow_bytes_per_s(share_of(c->web));
    req->bulk = true;
}

static int start(bvi_web_call *c, const char *url, const bvi_strv *lines, bv_error **err)
{
    const char *headers[BVI_WEB_HEADERS_MAX + 1] = { NULL };
    bvi_http_request req = BVI_HTTP_REQUEST_INIT;

    for (size_t i = 0; i < lines->len; i++)
        headers[i] = lines->items[i];
    req.method = c->ask.method;
    req.url = url;
    req.headers = headers;
    req.ca_file = c->web->ca_file;
    req.response_max = c->ask.response_max;
    if (strcmp(req.method, "PUT") == 0 || strcmp(req.method, "POST") == 0) {
        req.body = c->ask.body_len > 0 ? c->ask.body : NULL;
        req.body_len = c->ask.body_len;
        req.body_borrowed = true;
        req.bulk = req.body_len >= BVI_HTTP_BULK_BYTES;
        req.send_bytes_per_s = share_of(c->web);
    } else if (c->web->ops->redirects) { /* an upload would become a GET that stores nothing */
        req.redirects_max = 5;
    }
    req.on_done = on_answer;
    req.data = c;
    if (c->ask.into)
        set_read(c, &req);
    c->got_before = c->got;
    c->begun_us = bvi_ctx_now_us(c->web->store.ctx);
    c->attempts++;
    return bvi_http_start(c->web->http, &req, &c->http, err);
}

static int send_now(bvi_web_call *c, bv_error **err)
{
    BVI_AUTO(bvi_strv_done) bvi_strv headers = BVI_VEC_INIT(BVI_WEB_HEADERS_MAX);
    BVI_AUTO(bvi_buf_done) bvi_buf url = BVI_BUF_INIT(BVI_HTTP_URL_MAX);
    int r = c->web->ops->prepare(c, &url, &headers, err);

    return r < 0 ? r : start(c, url.data, &headers, err);
}

/* Failures that may pass by themselves. An ignored range is worth a second try only. */
static bool is_worth(const bvi_web_call *c, const bvi_http_response *response, int code)
{
    if (code == BV_E_UNSUPPORTED && c->ask.into)
        return c->attempts < 2;
    return response->status / 100 != 3 && response->status != 501 && response->status != 505 &&
           bvi_retry_is_worth(code);
}

static bool comes_again(bvi_web_call *c, const bvi_http_response *response, const bv_error *err)
{
    int64_t delay_ms = 0;

    if (c->cancelled || (c->req.hasty && !c->ask.clean_up))
        return false;
    if (c->web->ops->renew && !c->renewed && c->web->ops->renew(c, err))
        c->renewed = true;
    else if (!is_worth(c, response, bv_error_code(err)) ||
             !bvi_retry_next(&c->retry, c->web->store.ctx, response->retry_after_ms, &delay_ms))
        return false;
    bvi_log_debug(c->web->store.ctx, "transfer", "%s: %s; again in %lld ms", c->web->name,
                  bv_error_message(err), (long long)delay_ms);
    return bvi_timer_set(c->timer, delay_ms * 1000, NULL) == 0;
}

static void on_answer(bvi_http_call *http, const bvi_http_response *response, const bv_error *err,
                      void *data)
{
    bvi_web_call *c = data;
    bv_error *why = bvi_take(c->refused);

    (void)http;
    c->http = NULL;
    c->paused = false;
    if (c->ask.into)
        learn_pace(c);
    if (!why)
        why = bvi_error_copy(err);
    if (!why)
        (void)c->web->ops->check(c->web, response, &why); /* why tells */
    if (c->ask.into)
        (void)check_read(c, response, &why); /* why tells */
    if (why && comes_again(c, response, why)) {
        bv_error_free(why);
        return;
    }
    c->ask.step(c, response, why);
}

static void on_timer(bvi_timer *timer, void *data)
{
    bvi_web_call *c = data;
    bv_error *err = NULL;

    (void)timer;
    if (c->cancelled && !c->ask.clean_up)
        (void)bvi_fail(&err, BV_E_CANCELLED, "the store request was cancelled");
    else if (c->ask.into && c->got == c->ask.into_len)
        c->ask.step(c, NULL, NULL); /* nothing was asked for */
    else
        (void)send_now(c, &err); /* err tells */
    if (err)
        c->ask.step(c, NULL, err);
}

int bvi_web_send(bvi_web_call *c, const bvi_web_ask *ask, bv_error **err)
{
    char *key = bvi_strdup(ask->key);

    if (ask->key && !key)
        return bvi_fail_nomem(err);
    bvi_free(c->ask_key);
    c->ask_key = key;
    c->ask = *ask;
    c->got = 0;
    c->attempts = 0;
    c->renewed = false;
    if (c->cancelled && !ask->clean_up)
        return bvi_fail(err, BV_E_CANCELLED, "the store request was cancelled");
    bvi_retry_init(&c->retry, c->web->ops->retry);
    if (ask->into && ask->into_len == 0)
        return bvi_timer_set(c->timer, 0, err);
    return send_now(c, err);
}

int bvi_web_run_read(bvi_web_call *c, bv_error **err)
{
    return bvi_web_send(c,
                        &(bvi_web_ask){ .method = "GET",
                                        .key = c->req.key,
                                        .into = c->req.into,
                                        .into_len = c->req.into_len,
                                        .offset = c->req.offset,
                                        .step = bvi_web_last_step },
                        err);
}

/* ---- putting what must be new ---- */

static void on_compare(bvi_web_call *c, const bvi_http_response *response, bv_error *err)
{
    if (!err &&
        (response->body_len != c->req.len || memcmp(response->body, c->req.bytes, c->req.len) != 0))
        (void)bvi_fail(&err, BV_E_EXISTS, "'%s' exists already", c->req.key);
    bvi_web_finish(c, &(bvi_store_reply){ 0 }, err);
}

void bvi_web_put_step(bvi_web_call *c, const bvi_http_response *response, bv_error *err)
{
    const bvi_web_ask ask = {
        .method = "GET", .key = c->req.key, .response_max = c->req.len + 1, .step = on_compare
    };

    (void)response;
    if (bv_error_code(err) == BV_E_EXISTS) { /* curl may have sent it twice, too */
        bvi_web_drop_error(&err);
        if (bvi_web_send(c, &ask, &err) == 0)
            return;
    }
    bvi_web_finish(c, &(bvi_store_reply){ 0 }, err);
}

/* ---- calls ---- */

int bvi_web_begin(bvi_store_web *web, bvi_web_call *c, const bvi_store_request *request,
                  bvi_store_fn done, void *data, int (*run)(bvi_web_call *call, bv_error **err),
                  bv_error **err)
{
    int r;

    c->web = web;
    c->done = done;
    c->data = data;
    r = bvi_store_request_copy(request, &c->req, err);
    if (r == 0)
        r = bvi_timer_new(web->store.ctx, on_timer, c, &c->timer, err);
    if (r == 0)
        r = run(c, err);
    if (r < 0) {
        call_free(c);
        return r;
    }
    c->next = web->calls;
    web->calls = c;
    return 0;
}

void bvi_web_cancel(bvi_store *store)
{
    for (bvi_web_call *c = ((bvi_store_web *)store)->calls; c; c = c->next) {
        c->cancelled = true;
        if (c->http && !c->ask.clean_up)
            bvi_http_cancel(c->http);
        else if (!c->http)
            (void)bvi_timer_set(c->timer, 0, NULL); /* it comes anyway, later */
    }
}

void bvi_web_set_limits(bvi_store *store, uint32_t connections, uint64_t bytes_per_s)
{
    bvi_store_web *web = (bvi_store_web *)store;

    web->connections = connections ? connections : BVI_HTTP_CONNECTIONS;
    web->bytes_per_s = bytes_per_s;
    bvi_http_set_connections(web->http, web->connections);
}

int bvi_web_init(bvi_store_web *web, bv_ctx *ctx, const bvi_store_vtable *vtable,
                 const bvi_web_ops *ops, bv_error **err)
{
    const bvi_http_opts opts = { .budgeted = true };
    int r;

    web->store = (bvi_store){ .vtable = vtable, .ctx = ctx };
    web->ops = ops;
    web->connections = BVI_HTTP_CONNECTIONS;
    r = bvi_timer_new(ctx, on_gate, web, &web->gate, err);
    return r < 0 ? r : bvi_http_new(ctx, &opts, &web->http, err);
}

void bvi_web_done(bvi_store_web *web)
{
    bvi_http_free(web->http);
    bvi_timer_free(web->gate);
}
