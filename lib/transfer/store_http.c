/*
 * store_http.c - a store on a web server: plain GET, HEAD, PUT and DELETE below a base URL.
 *
 * Few such servers can list, so versions are found in three ways: by the server's index of the
 * store key's directory, if it offers one; around the number that latest.json tells; or upwards
 * from 1 until enough in a row are missing (the rule of the control plane). The server has no locks
 * either: a reservation is a .lock object, put on condition that there is none; a server that
 * ignores the condition leaves a short race. Reservations of others are passed over.
 */
#include <stdlib.h>
#include <string.h>

#include "transfer/http_index.h"
#include "transfer/manifest.h"
#include "transfer/root_peek.h"
#include "transfer/store_web.h"
#include "transfer/url.h"

/* So many missing versions in a row are the end of them. */
#define GAP_MAX 10u
/* The same above the number that latest.json tells: only the last upload's may be missing in it. */
#define GAP_HINTED    2u
#define RESERVE_TRIES 1000u
#define LATEST_MAX    4096u

static const bvi_retry_policy request_retry = {
    .first_ms = 500,
    .factor_percent = 200,
    .ceiling_ms = 8000,
    .jitter_percent = 25,
    .give_up = 6,
};

typedef struct store_http {
    bvi_store_web web;
    char *base;
} store_http;

typedef struct version {
    uint64_t number;
    bvi_store_format format;
    uint64_t size; /* of its header or root */
} version;

typedef struct call {
    bvi_web_call web;
    uint64_t version; /* found, or reserved */
    uint64_t probe;   /* version being looked at */
    uint64_t start;   /* where looking began */
    bool hinted;      /* latest.json told where */
    bool down;        /* looking at those below it */
    bool named;       /* RESERVE: the version was asked for */
    unsigned gap;
    unsigned tries;
    bvi_store_format probing;
    bvi_version_numbers index; /* what the server's index has */
    bool has_index;
    size_t at; /* of index, or of found */
    BVI_VEC(version) found;
    BVI_VEC(uint64_t) versions;
    BVI_VEC(bvi_snapshot_info) infos;
    char lock[BVI_STORE_LOCK_MAX];
    char root[BVI_ROOT_PEEK_BYTES];
} call;

static int ask(call *c, const char *method, const char *key, bvi_web_step_fn step, bv_error **err)
{
    return bvi_web_send(&c->web, &(bvi_web_ask){ .method = method, .key = key, .step = step }, err);
}

static int ask_object(call *c, const char *method, uint64_t number, const char *name,
                      bvi_web_step_fn step, bv_error **err)
{
    bvi_auto_free char *key = bvi_store_object_key(c->web.req.store_key, number, name);

    return key ? ask(c, method, key, step, err) : bvi_fail_nomem(err);
}

static bool is_missing(bv_error **err)
{
    if (bv_error_code(*err) != BV_E_NOT_FOUND)
        return false;
    bvi_web_drop_error(err);
    return true;
}

static void end_if(call *c, bv_error *err)
{
    if (err)
        bvi_web_finish(&c->web, NULL, err);
}

/* ---- single objects ---- */

static int run_get(bvi_web_call *w, bv_error **err)
{
    return bvi_web_send(w,
                        &(bvi_web_ask){ .method = "GET",
                                        .key = w->req.key,
                                        .response_max = w->req.max,
                                        .step = bvi_web_last_step },
                        err);
}

static int run_stat(bvi_web_call *w, bv_error **err)
{
    return ask((call *)w, "HEAD", w->req.key, bvi_web_last_step, err);
}

static int put_now(bvi_web_call *w, bvi_web_step_fn step, bv_error **err)
{
    return bvi_web_send(w,
                        &(bvi_web_ask){ .method = "PUT",
                                        .key = w->req.key,
                                        .body = w->req.bytes,
                                        .body_len = w->req.len,
                                        .only_new = w->req.create_only,
                                        .step = step },
                        err);
}

/* Not every server knows the condition, so it is looked at first. */
static void on_is_new(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    if (!err)
        (void)bvi_fail(&err, BV_E_EXISTS, "'%s' exists already", w->req.key);
    else if (is_missing(&err))
        (void)put_now(w, bvi_web_put_step, &err); /* err tells */
    end_if((call *)w, err);
}

static int run_put(bvi_web_call *w, bv_error **err)
{
    return w->req.create_only ? ask((call *)w, "HEAD", w->req.key, on_is_new, err)
                              : put_now(w, bvi_web_last_step, err);
}

static void on_removed(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    (void)is_missing(&err); /* it is gone all the same */
    bvi_web_last_step(w, response, err);
}

static int run_remove(bvi_web_call *w, bv_error **err)
{
    return ask((call *)w, "DELETE", w->req.key, on_removed, err);
}

/* Not every server deletes; the version is complete, or given up, all the same. */
static void on_released(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    if (bv_error_code(err) != BV_E_CANCELLED && bv_error_code(err) != BV_E_NOMEM)
        bvi_web_drop_error(&err);
    bvi_web_last_step(w, response, err);
}

static int run_release(bvi_web_call *w, bv_error **err)
{
    return ask_object((call *)w, "DELETE", w->req.version, BVI_STORE_LOCK, on_released, err);
}

/* ---- VERSIONS, LIST and RESERVE begin with what there is ---- */

static void looked(call *c);
static int probe(call *c, bv_error **err);

static int add_found(call *c, const bvi_http_response *response, bv_error **err)
{
    version *slot;

    if (c->found.len == c->found.max)
        return bvi_fail(err, BV_E_LIMIT, "more than %u versions", BVI_STORE_VERSIONS_MAX);
    slot = bvi_vec_push(&c->found);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = (version){ c->probe, c->probing,
                       response->content_length > 0 ? (uint64_t)response->content_length : 0 };
    return 0;
}

static int compare_found(const void *a, const void *b)
{
    const version *x = a;
    const version *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

/* The next number to look at; 0: that was the last. */
static uint64_t next_probe(call *c)
{
    if (c->has_index)
        return c->at < c->index.len ? c->index.items[c->at++] : 0;
    if (c->gap < (c->hinted && !c->down ? GAP_HINTED : GAP_MAX) && !(c->down && c->probe == 1))
        return c->down ? c->probe - 1 : c->probe + 1;
    if (c->down || c->start == 1)
        return 0;
    c->down = true;
    c->gap = 0;
    return c->start - 1;
}

/* The likelier one: only uploads of snapshots leave the hint. */
static bvi_store_format first_format(const call *c)
{
    return c->hinted ? BVI_STORE_SNAPSHOT : BVI_STORE_ARCHIVE;
}

static int go_on(call *c, bv_error **err)
{
    c->probe = next_probe(c);
    c->probing = first_format(c);
    if (c->probe)
        return probe(c, err);
    if (c->found.len > 0)
        qsort(c->found.items, c->found.len, sizeof(*c->found.items), compare_found);
    looked(c);
    return 0;
}

static void on_probe(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    call *c = (call *)w;

    if (!err) {
        c->gap = 0;
        if (add_found(c, response, &err) == 0)
            (void)go_on(c, &err); /* err tells */
    } else if (is_missing(&err) && c->probing == first_format(c)) {
        c->probing = c->hinted ? BVI_STORE_ARCHIVE : BVI_STORE_SNAPSHOT;
        (void)probe(c, &err); /* err tells */
    } else if (!err) {
        c->gap++;
        (void)go_on(c, &err); /* err tells */
    }
    end_if(c, err);
}

static int probe(call *c, bv_error **err)
{
    return ask_object(c, "HEAD", c->probe,
                      c->probing == BVI_STORE_ARCHIVE ? BVI_STORE_HEADER : BVI_STORE_ROOT, on_probe,
                      err);
}

static void on_latest(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    call *c = (call *)w;
    bvi_auto_json bvi_json *root = NULL;
    uint64_t number = 0;
    int code = bv_error_code(err);

    if (!err && bvi_json_parse(response->body, response->body_len, &root, NULL) == 0)
        (void)bvi_json_opt_uint64(root, "version", &number, NULL); /* only a hint */
    if (code != BV_E_CANCELLED && code != BV_E_NOMEM)
        bvi_web_drop_error(&err);
    if (!err) {
        c->hinted = number > 0 && number < UINT64_MAX / 2;
        c->start = c->probe = c->hinted ? number : 1;
        c->probing = first_format(c);
        (void)probe(c, &err); /* err tells */
    }
    end_if(c, err);
}

static int ask_latest(call *c, bv_error **err)
{
    bvi_auto_free char *key = bvi_asprintf("%s/latest.json", c->web.req.store_key);

    if (!key)
        return bvi_fail_nomem(err);
    return bvi_web_send(
        &c->web,
        &(bvi_web_ask){
            .method = "GET", .key = key, .response_max = LATEST_MAX, .step = on_latest },
        err);
}

static void on_index(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    call *c = (call *)w;
    int code = bv_error_code(err);

    if (!err)
        c->has_index = bvi_http_index_parse(response->body, response->body_len, &c->index);
    if (code != BV_E_CANCELLED && code != BV_E_NOMEM)
        bvi_web_drop_error(&err);
    if (!err)
        (void)(c->has_index ? go_on(c, &err) : ask_latest(c, &err)); /* err tells */
    end_if(c, err);
}

static int look(call *c, bv_error **err)
{
    bvi_auto_free char *key = bvi_asprintf("%s/", c->web.req.store_key);

    if (!key)
        return bvi_fail_nomem(err);
    return bvi_web_send(
        &c->web,
        &(bvi_web_ask){
            .method = "GET", .key = key, .response_max = BVI_HTTP_INDEX_MAX, .step = on_index },
        err);
}

/* ---- VERSIONS and LIST ---- */

static void finish_versions(call *c)
{
    bvi_store_reply reply = { 0 };
    bv_error *err = NULL;

    for (size_t i = 0; !err && i < c->found.len; i++) {
        uint64_t *slot;

        if (!bvi_store_format_wanted(c->web.req.format, c->found.items[i].format))
            continue;
        slot = bvi_vec_push(&c->versions);
        if (slot)
            *slot = c->found.items[i].number;
        else
            (void)bvi_fail_nomem(&err);
    }
    reply.versions = c->versions.items;
    reply.n_versions = c->versions.len;
    bvi_web_finish(&c->web, &reply, err);
}

static int ask_info(call *c, bv_error **err);

static size_t peek_bytes(const version *v)
{
    return v->size < BVI_ROOT_PEEK_BYTES ? (size_t)v->size : BVI_ROOT_PEEK_BYTES;
}

static int add_info(call *c, const version *v, const bvi_http_response *response, bv_error **err)
{
    bvi_snapshot_info info = { .version = v->number, .format = v->format };
    bvi_manifest_header header;
    bvi_snapshot_info *slot;
    int r;

    if (v->format == BVI_STORE_SNAPSHOT) {
        r = bvi_root_peek(c->root, peek_bytes(v), &info, err);
    } else {
        r = bvi_manifest_header_parse(response->body, response->body_len, &header, err);
        if (r == 0) {
            info.total_bytes = header.total_size;
            info.chunks = header.chunks;
            info.compression = header.compression;
        }
    }
    if (r < 0)
        return r;
    memcpy(info.key, c->web.req.store_key, strlen(c->web.req.store_key)); /* length was checked */
    slot = bvi_vec_push(&c->infos);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = info;
    return 0;
}

static void on_info(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    call *c = (call *)w;
    const version *v = &c->found.items[c->at++];
    int code;

    if (!err)
        (void)add_info(c, v, response, &err); /* err tells */
    code = bv_error_code(err);
    if (code == BV_E_FORMAT || code == BV_E_NOT_FOUND || code == BV_E_LIMIT) {
        bvi_log_warn(w->web->store.ctx, "transfer", "version %llu of '%s' is not listed: %s",
                     (unsigned long long)v->number, w->req.store_key, bv_error_message(err));
        bvi_web_drop_error(&err);
    }
    if (!err)
        (void)ask_info(c, &err); /* err tells */
    end_if(c, err);
}

static int ask_info(call *c, bv_error **err)
{
    const bvi_store_reply reply = { .infos = c->infos.items, .n_infos = c->infos.len };
    bvi_web_ask get = { .method = "GET", .step = on_info };
    bvi_auto_free char *key = NULL;
    const version *v;
    bool is_root;

    while (c->at < c->found.len &&
           !bvi_store_format_wanted(c->web.req.format, c->found.items[c->at].format))
        c->at++;
    if (c->at == c->found.len) {
        bvi_web_finish(&c->web, &reply, NULL);
        return 0;
    }
    v = &c->found.items[c->at];
    is_root = v->format == BVI_STORE_SNAPSHOT;
    key = bvi_store_object_key(c->web.req.store_key, v->number,
                               is_root ? BVI_STORE_ROOT : BVI_STORE_HEADER);
    if (!key)
        return bvi_fail_nomem(err);
    get.key = key;
    get.response_max = BVI_MANIFEST_HEADER_MAX;
    get.into = is_root ? c->root : NULL;
    get.into_len = peek_bytes(v);
    return bvi_web_send(&c->web, &get, err);
}

static int run_look(bvi_web_call *w, bv_error **err)
{
    if (!w->req.store_key)
        return bvi_fail(err, BV_E_UNSUPPORTED,
                        "the store '%s' cannot list what it holds; name a store key", w->web->name);
    return look((call *)w, err);
}

/* ---- RESERVE ---- */

static void try_reserve(call *c);

static void reserved(call *c)
{
    bvi_web_finish(&c->web, &(bvi_store_reply){ .version = c->probe }, NULL);
}

static void on_locked(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    call *c = (call *)w;

    (void)response;
    if (bv_error_code(err) == BV_E_EXISTS) {
        bvi_web_drop_error(&err);
        try_reserve(c); /* somebody was faster, or it was us and the answer got lost: look again */
    } else if (!err) {
        reserved(c);
    } else {
        bvi_web_finish(w, NULL, err);
    }
}

static int put_lock(call *c, const bvi_store_lock *old, bv_error **err)
{
    bvi_store_lock lock = { .base = c->web.req.base ? c->web.req.base : old->base,
                            .started_us = bvi_store_lock_start(
                                old, c->web.req.since_us, bvi_ctx_wall_us(c->web.web->store.ctx)) };
    bvi_auto_free char *key = bvi_store_object_key(c->web.req.store_key, c->probe, BVI_STORE_LOCK);

    if (!key)
        return bvi_fail_nomem(err);
    if (c->web.req.lease)
        memcpy(lock.lease, c->web.req.lease, strlen(c->web.req.lease)); /* length was checked */
    return bvi_web_send(&c->web,
                        &(bvi_web_ask){ .method = "PUT",
                                        .key = key,
                                        .body = c->lock,
                                        .body_len = bvi_store_lock_print(&lock, c->lock),
                                        .only_new = !old->lease[0],
                                        .step = on_locked },
                        err);
}

static void on_lock_read(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    call *c = (call *)w;
    bvi_store_lock lock = { 0 };

    if (!err) {
        bvi_store_lock_parse(response->body, response->body_len, &lock);
        if (w->req.lease && bvi_store_lock_is_of(&lock, w->req.lease)) {
            (void)put_lock(c, &lock, &err); /* ours, from before: renewed */
            end_if(c, err);
            return;
        }
        if (c->named && !w->req.lease) { /* whoever holds a version that was named may go on */
            reserved(c);
            return;
        }
        if (c->named)
            (void)bvi_fail(&err, BV_E_BUSY, "version %llu of '%s' is reserved by another upload",
                           (unsigned long long)c->probe, w->req.store_key);
        if (!err) {
            c->probe++;
            try_reserve(c);
            return;
        }
    } else if (is_missing(&err)) {
        (void)put_lock(c, &lock, &err); /* err tells */
    }
    end_if(c, err);
}

static void try_reserve(call *c)
{
    bv_error *err = NULL;

    if (c->tries++ == RESERVE_TRIES)
        (void)bvi_fail(&err, BV_E_BUSY, "%u versions of '%s' are reserved by unfinished uploads",
                       RESERVE_TRIES, c->web.req.store_key);
    else
        (void)ask_object(c, "GET", c->probe, BVI_STORE_LOCK, on_lock_read, &err); /* err tells */
    end_if(c, err);
}

/* The version was named: it must not be complete. */
static void on_named(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    call *c = (call *)w;

    (void)response;
    if (!err)
        (void)bvi_fail(&err, BV_E_EXISTS,
                       "version %llu of '%s' exists already and is never changed",
                       (unsigned long long)c->probe, w->req.store_key);
    else if (is_missing(&err) && c->probing == BVI_STORE_ARCHIVE) {
        c->probing = BVI_STORE_SNAPSHOT;
        (void)ask_object(c, "HEAD", c->probe, BVI_STORE_ROOT, on_named, &err); /* err tells */
    } else if (!err) {
        try_reserve(c);
        return;
    }
    end_if(c, err);
}

static int run_reserve(bvi_web_call *w, bv_error **err)
{
    call *c = (call *)w;

    c->named = w->req.version > 0;
    if (!c->named)
        return look(c, err);
    c->probe = w->req.version;
    c->probing = BVI_STORE_ARCHIVE;
    return ask_object(c, "HEAD", c->probe, BVI_STORE_HEADER, on_named, err);
}

static void looked(call *c)
{
    bv_error *err = NULL;

    if (c->web.req.verb == BVI_STORE_RESERVE) {
        c->probe = c->found.len > 0 ? c->found.items[c->found.len - 1].number + 1 : 1;
        try_reserve(c);
    } else if (c->web.req.verb == BVI_STORE_LIST) {
        c->at = 0;
        (void)ask_info(c, &err); /* err tells */
        end_if(c, err);
    } else {
        finish_versions(c);
    }
}

/* ---- requests ---- */

static int (*const runs[BVI_STORE_VERBS])(bvi_web_call *c, bv_error **err) = {
    [BVI_STORE_GET] = run_get,         [BVI_STORE_PUT] = run_put,
    [BVI_STORE_STAT] = run_stat,       [BVI_STORE_READ] = bvi_web_run_read,
    [BVI_STORE_REMOVE] = run_remove,   [BVI_STORE_VERSIONS] = run_look,
    [BVI_STORE_LIST] = run_look,       [BVI_STORE_RESERVE] = run_reserve,
    [BVI_STORE_RELEASE] = run_release,
};

static int http_call(bvi_store *store, const bvi_store_request *request, bvi_store_fn done,
                     void *data, bv_error **err)
{
    store_http *s = (store_http *)store;
    call *c;

    if (!runs[request->verb])
        return bvi_fail(err, BV_E_UNSUPPORTED, "the store '%s' cannot list what it holds", s->base);
    c = bvi_new0(call);
    if (!c)
        return bvi_fail_nomem(err);
    c->found.max = c->index.max = c->versions.max = c->infos.max = BVI_STORE_VERSIONS_MAX;
    return bvi_web_begin(&s->web, &c->web, request, done, data, runs[request->verb], err);
}

static int http_prepare(bvi_web_call *w, bvi_buf *url, bvi_strv *headers, bv_error **err)
{
    bvi_auto_free char *joined = bvi_url_join(((const store_http *)w->web)->base, w->ask_key);
    int r = joined ? bvi_buf_append_str(url, joined) : BV_E_NOMEM;

    if (r == 0 && w->ask.only_new)
        r = bvi_strv_add(headers, "If-None-Match: *");
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

static int http_check(const bvi_store_web *web, const bvi_http_response *response, bv_error **err)
{
    int r = bvi_http_check(response, err);

    if (r < 0 && (response->status == 405 || response->status == 501))
        return bvi_wrap(err, BV_E_UNSUPPORTED, "the server of '%s' does not offer this", web->name);
    return r;
}

static void http_call_free(bvi_web_call *w)
{
    call *c = (call *)w;

    bvi_vec_done(&c->index);
    bvi_vec_done(&c->found);
    bvi_vec_done(&c->versions);
    bvi_vec_done(&c->infos);
    bvi_free(c);
}

static const bvi_web_ops http_ops = {
    .retry = &request_retry,
    .prepare = http_prepare,
    .check = http_check,
    .redirects = true,
    .free = http_call_free,
};

static char *http_url(const bvi_store *store, const char *key, bool put)
{
    (void)put;
    return bvi_url_join(((const store_http *)store)->base, key);
}

static void http_free(bvi_store *store)
{
    store_http *s = (store_http *)store;

    bvi_web_done(&s->web);
    bvi_free((char *)s->web.name);
    bvi_free((char *)s->web.ca_file);
    bvi_free(s->base);
    bvi_free(s);
}

static const bvi_store_vtable http_vtable = {
    .name = "http",
    .call = http_call,
    .url = http_url,
    .cancel = bvi_web_cancel,
    .set_limits = bvi_web_set_limits,
    .free = http_free,
};

int bvi_store_http_open(bv_ctx *ctx, const char *base, const char *ca_file, bvi_store **ret_store,
                        bv_error **err)
{
    store_http *s = bvi_new0(store_http);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    s->base = bvi_strdup(base);
    s->web.name = bvi_url_redact(base);
    s->web.ca_file = bvi_strdup(ca_file);
    r = s->base && s->web.name && (s->web.ca_file || !ca_file)
            ? bvi_web_init(&s->web, ctx, &http_vtable, &http_ops, err)
            : bvi_fail_nomem(err);
    if (r < 0) {
        http_free(&s->web.store);
        return r;
    }
    s->web.store.ca_file = s->web.ca_file;
    *ret_store = &s->web.store;
    return 0;
}
