/*
 * store_http.c - a store on a web server: plain GET, HEAD and PUT below a base URL.
 *
 * Such a server cannot list, so versions are found by asking for their headers, upwards from 1
 * until enough in a row are missing (the rule of the control plane). It also has no locks: a
 * reservation is a .lock object with the lease in it, put on condition that there is none; a server
 * that ignores the condition leaves a short race. Reservations of others are passed over.
 *
 * Every HTTP call is repeated when what went wrong may pass by itself.
 */
#include <string.h>

#include "net/http.h"
#include "transfer/limits.h"
#include "transfer/manifest.h"
#include "transfer/store.h"
#include "transfer/url.h"

/* So many missing versions in a row are the end of them. */
#define GAP_MAX       10u
#define RESERVE_TRIES 1000u

static const bvi_retry_policy object_retry = {
    .first_ms = 500,
    .factor_percent = 200,
    .ceiling_ms = 8000,
    .jitter_percent = 25,
    .give_up = 6,
};

typedef struct store_http {
    bvi_store store;
    char *base;
    bvi_http *http;
    struct call *calls; /* under way */
} store_http;

typedef void (*answer_fn)(bvi_http_call *http, const bvi_http_response *response,
                          const bv_error *err, void *data);

/* One request, which may take several HTTP calls one after the other. */
typedef struct call {
    store_http *store;
    struct call *next;
    bvi_store_fn done;
    void *data;
    bvi_store_verb verb;
    char *key;
    char *store_key;
    char *lease;
    size_t max;
    const char *bytes;
    size_t len;
    bvi_http_call *http; /* NULL: none at the moment */
    uint64_t version;    /* asked for, and then found */
    uint64_t probe;      /* version being looked at */
    unsigned gap;
    unsigned tries;
    BVI_VEC(uint64_t) versions;
    /* the HTTP call under way, as it is repeated */
    const char *method;
    char *url;
    const char *const *headers;
    answer_fn answer;
    bvi_retry retry;
    bvi_timer *timer; /* set: before another attempt */
    bool cancelled;
} call;

static void call_free(call *c)
{
    bvi_free(c->key);
    bvi_free(c->store_key);
    bvi_free(c->lease);
    bvi_vec_done(&c->versions);
    bvi_timer_free(c->timer);
    bvi_free(c->url);
    bvi_free(c);
}

static void finish(call *c, bv_error *err, const bvi_http_response *response)
{
    bvi_store_reply reply = {
        .version = c->version,
        .versions = c->versions.items,
        .n_versions = c->versions.len,
    };
    call **link = &c->store->calls;

    if (response) {
        reply.bytes = response->body;
        reply.len = response->body_len;
        reply.size = response->content_length > 0 ? (uint64_t)response->content_length : 0;
    }
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    c->done(err, err ? NULL : &reply, c->data);
    bv_error_free(err);
    call_free(c);
}

static void on_answer(bvi_http_call *http, const bvi_http_response *response, const bv_error *err,
                      void *data);

static int start_attempt(call *c, bv_error **err)
{
    bvi_http_request req = BVI_HTTP_REQUEST_INIT;

    req.method = c->method;
    req.url = c->url;
    req.headers = c->headers;
    req.on_done = on_answer;
    req.data = c;
    req.redirects_max = 5;
    req.response_max = c->max;
    if (strcmp(c->method, "PUT") == 0) {
        req.redirects_max = 0; /* one may turn it into a GET, which succeeds and stores nothing */
        req.body = c->bytes;
        req.body_len = c->len;
        req.body_borrowed = true;
    }
    return bvi_http_start(c->store->http, &req, &c->http, err);
}

static void on_answer(bvi_http_call *http, const bvi_http_response *response, const bv_error *err,
                      void *data)
{
    call *c = data;
    bvi_attempt attempt = bvi_attempt_of(response, bv_error_code(err));
    int64_t delay_ms = 0;

    c->http = NULL;
    if (attempt.verdict == BVI_VERDICT_AGAIN && !c->cancelled &&
        bvi_retry_next(&c->retry, c->store->store.ctx, attempt.retry_after_ms, &delay_ms) &&
        bvi_timer_set(c->timer, delay_ms * 1000, NULL) == 0)
        return;
    c->answer(http, response, err, c);
}

static void on_retry(bvi_timer *timer, void *data)
{
    const bvi_http_response none = { .body = "", .content_length = -1, .retry_after_ms = -1 };
    call *c = data;
    bv_error *err = NULL;

    (void)timer;
    if (c->cancelled)
        (void)bvi_fail(&err, BV_E_CANCELLED, "cancelled");
    else
        (void)start_attempt(c, &err); /* err tells */
    if (err)
        c->answer(NULL, &none, err, c);
    bv_error_free(err);
}

static int ask(call *c, const char *method, const char *key, answer_fn fn,
               const char *const *headers, bv_error **err)
{
    bvi_free(c->url);
    c->url = bvi_url_join(c->store->base, key);
    if (!c->url)
        return bvi_fail_nomem(err);
    c->method = method;
    c->headers = headers;
    c->answer = fn;
    bvi_retry_init(&c->retry, &object_retry);
    return start_attempt(c, err);
}

static int ask_object(call *c, const char *method, uint64_t version, const char *name, answer_fn fn,
                      const char *const *headers, bv_error **err)
{
    bvi_auto_free char *key = bvi_store_object_key(c->store_key, version, name);

    return key ? ask(c, method, key, fn, headers, err) : bvi_fail_nomem(err);
}

/* ---- one call is enough: GET, PUT, STAT, RELEASE ---- */

static void on_single(bvi_http_call *http, const bvi_http_response *response, const bv_error *err,
                      void *data)
{
    call *c = data;
    bv_error *why = bvi_error_copy(err);

    (void)http;
    c->http = NULL;
    if (!why)
        (void)bvi_http_check(response, &why); /* an error for each status but 2xx */
    if (c->verb ==
        BVI_STORE_RELEASE) { /* not every server deletes; the version is complete all the same */
        bv_error_free(why);
        why = NULL;
    }
    finish(c, why, response);
}

static int run_get(call *c, bv_error **err)
{
    return ask(c, "GET", c->key, on_single, NULL, err);
}

static int run_put(call *c, bv_error **err)
{
    return ask(c, "PUT", c->key, on_single, NULL, err);
}

static int run_stat(call *c, bv_error **err)
{
    return ask(c, "HEAD", c->key, on_single, NULL, err);
}

static int run_release(call *c, bv_error **err)
{
    return ask_object(c, "DELETE", c->version, BVI_STORE_LOCK, on_single, NULL, err);
}

/* ---- VERSIONS: probe upwards ---- */

static void probes_done(call *c);
static void try_reserve(call *c);

static int ask_probe(call *c, answer_fn fn, bv_error **err)
{
    return ask_object(c, "HEAD", c->probe, BVI_STORE_HEADER, fn, NULL, err);
}

static int take_probe(call *c, const bvi_http_response *response, bv_error **err)
{
    uint64_t *slot;

    if (response->status == 404 || response->status == 410) {
        c->gap++;
        return 0;
    }
    if (bvi_http_check(response, err) < 0)
        return BV_E_REMOTE;
    c->gap = 0;
    slot = bvi_vec_push(&c->versions);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = c->probe;
    return 0;
}

static void on_probe(bvi_http_call *http, const bvi_http_response *response, const bv_error *err,
                     void *data)
{
    call *c = data;
    bv_error *why = bvi_error_copy(err);

    (void)http;
    c->http = NULL;
    if (!why)
        (void)take_probe(c, response, &why); /* why tells */
    if (!why && c->gap == GAP_MAX) {
        probes_done(c);
        return;
    }
    c->probe++;
    if (!why)
        (void)ask_probe(c, on_probe, &why); /* why tells */
    if (why)
        finish(c, why, NULL);
}

static int run_versions(call *c, bv_error **err)
{
    c->probe = 1;
    return ask_probe(c, on_probe, err);
}

static void probes_done(call *c)
{
    if (c->verb == BVI_STORE_VERSIONS) {
        finish(c, NULL, NULL);
        return;
    }
    c->probe = c->versions.len > 0 ? c->versions.items[c->versions.len - 1] + 1 : 1;
    try_reserve(c);
}

/* ---- RESERVE ---- */

static void on_locked(bvi_http_call *http, const bvi_http_response *response, const bv_error *err,
                      void *data)
{
    call *c = data;
    bv_error *why = bvi_error_copy(err);

    (void)http;
    c->http = NULL;
    if (!why && (response->status == 412 || response->status == 409)) {
        try_reserve(c); /* somebody was faster, or it was us and the answer got lost: look again */
        return;
    }
    if (!why)
        (void)bvi_http_check(response, &why); /* an error for each status but 2xx */
    c->version = c->probe;
    finish(c, why, NULL);
}

static void on_lock_read(bvi_http_call *http, const bvi_http_response *response,
                         const bv_error *err, void *data)
{
    static const char *const only_new[] = { "If-None-Match: *", NULL };
    call *c = data;
    bv_error *why = bvi_error_copy(err);

    (void)http;
    c->http = NULL;
    if (!why && response->status / 100 == 2) {
        if (c->lease && strlen(c->lease) == response->body_len &&
            memcmp(c->lease, response->body, response->body_len) == 0) {
            c->version = c->probe; /* ours, from before */
            finish(c, NULL, NULL);
            return;
        }
        c->probe++;
        try_reserve(c);
        return;
    }
    if (!why && response->status != 404 && response->status != 410)
        (void)bvi_http_check(response, &why); /* why tells */
    c->bytes = c->lease;
    c->len = c->lease ? strlen(c->lease) : 0;
    if (!why)
        (void)ask_object(c, "PUT", c->probe, BVI_STORE_LOCK, on_locked, only_new,
                         &why); /* why tells */
    if (why)
        finish(c, why, NULL);
}

static void try_reserve(call *c)
{
    bv_error *err = NULL;

    if (c->tries++ == RESERVE_TRIES)
        (void)bvi_fail(&err, BV_E_BUSY, "%u versions of '%s' are reserved by unfinished uploads",
                       RESERVE_TRIES, c->store_key);
    else
        (void)ask_object(c, "GET", c->probe, BVI_STORE_LOCK, on_lock_read, NULL,
                         &err); /* err tells */
    if (err)
        finish(c, err, NULL);
}

/* The version was named: it must not be complete. */
static void on_named(bvi_http_call *http, const bvi_http_response *response, const bv_error *err,
                     void *data)
{
    call *c = data;
    bv_error *why = bvi_error_copy(err);

    (void)http;
    c->http = NULL;
    if (!why && response->status / 100 == 2)
        (void)bvi_fail(&why, BV_E_EXISTS,
                       "version %llu of '%s' exists already and is never changed",
                       (unsigned long long)c->version, c->store_key);
    else if (!why && response->status != 404 && response->status != 410)
        (void)bvi_http_check(response, &why); /* why tells */
    finish(c, why, NULL);
}

static int run_reserve(call *c, bv_error **err)
{
    if (!c->version)
        return run_versions(c, err);
    c->probe = c->version;
    return ask_probe(c, on_named, err);
}

static int run_unsupported(call *c, bv_error **err)
{
    return bvi_fail(err, BV_E_UNSUPPORTED, "the store '%s' cannot list what it holds",
                    c->store->base);
}

/* ---- requests ---- */

static int (*const runs[BVI_STORE_VERBS])(call *c, bv_error **err) = {
    [BVI_STORE_GET] = run_get,          [BVI_STORE_PUT] = run_put,
    [BVI_STORE_STAT] = run_stat,        [BVI_STORE_VERSIONS] = run_versions,
    [BVI_STORE_RESERVE] = run_reserve,  [BVI_STORE_RELEASE] = run_release,
    [BVI_STORE_LIST] = run_unsupported, [BVI_STORE_PRUNE] = run_unsupported,
};

static int fill_call(call *c, const bvi_store_request *request, bv_error **err)
{
    int r = 0;

    if (request->key)
        r = bvi_target_path_check(request->key, err);
    if (r == 0 && request->store_key)
        r = bvi_store_key_normalise(request->store_key, &c->store_key, err);
    if (r < 0)
        return r;
    c->key = bvi_strdup(request->key);
    c->lease = bvi_strdup(request->lease);
    if ((request->key && !c->key) || (request->lease && !c->lease))
        return bvi_fail_nomem(err);
    c->verb = request->verb;
    c->version = request->version;
    c->max = request->max;
    c->bytes = request->bytes;
    c->len = request->len;
    c->versions.max = BVI_STORE_VERSIONS_MAX;
    return 0;
}

static int http_call(bvi_store *store, const bvi_store_request *request, bvi_store_fn done,
                     void *data, bv_error **err)
{
    store_http *s = (store_http *)store;
    call *c = bvi_new0(call);
    int r;

    if (!runs[request->verb]) {
        bvi_free(c);
        return bvi_fail(err, BV_E_UNSUPPORTED, "the store cannot do this");
    }
    if (!c)
        return bvi_fail_nomem(err);
    c->store = s;
    c->done = done;
    c->data = data;
    r = fill_call(c, request, err);
    if (r == 0)
        r = bvi_timer_new(store->ctx, on_retry, c, &c->timer, err);
    if (r == 0)
        r = runs[c->verb](c, err);
    if (r < 0) {
        call_free(c);
        return r;
    }
    c->next = s->calls;
    s->calls = c;
    return 0;
}

static char *http_url(const bvi_store *store, const char *key, bool put)
{
    (void)put;
    return bvi_url_join(((const store_http *)store)->base, key);
}

static void http_cancel(bvi_store *store)
{
    for (call *c = ((store_http *)store)->calls; c; c = c->next) {
        c->cancelled = true;
        if (c->http)
            bvi_http_cancel(c->http);
        else if (bvi_timer_is_set(c->timer))
            (void)bvi_timer_set(c->timer, 0, NULL); /* at worst it goes off when it would have */
    }
}

static void http_free(bvi_store *store)
{
    store_http *s = (store_http *)store;

    bvi_http_free(s->http);
    bvi_free(s->base);
    bvi_free(s);
}

static const bvi_store_vtable http_vtable = {
    .name = "http",
    .call = http_call,
    .url = http_url,
    .cancel = http_cancel,
    .free = http_free,
};

int bvi_store_http_open(bv_ctx *ctx, const char *base, bvi_store **ret_store, bv_error **err)
{
    store_http *s = bvi_new0(store_http);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->store = (bvi_store){ .vtable = &http_vtable, .ctx = ctx };
    s->base = bvi_strdup(base);
    r = s->base ? bvi_http_new(ctx, &(bvi_http_opts){ .budgeted = true }, &s->http, err)
                : bvi_fail_nomem(err);
    if (r < 0) {
        http_free(&s->store);
        return r;
    }
    *ret_store = &s->store;
    return 0;
}
