/*
 * store_s3.c - a store in an S3 bucket: signed requests, their repetition, and single objects.
 *
 * Chunks are fetched and put by pre-signed URLs, so whoever moves them, also inside a node, needs
 * no keys. Everything else is signed in a header, here.
 */
#include <string.h>

#include "base/digest.h"
#include "base/hex.h"
#include "transfer/manifest.h"
#include "transfer/store_s3_impl.h"
#include "transfer/url.h"

static const bvi_retry_policy request_retry = {
    .first_ms = 200,
    .factor_percent = 200,
    .ceiling_ms = 20000,
    .jitter_percent = 50,
    .give_up = 6,
};

/* ---- answers ---- */

/* What the server's words mean where the status alone does not tell. */
static const struct {
    const char *said;
    int code;
    const char *remedy;
} meanings[] = {
    { "RequestTimeTooSkewed", BV_E_DENIED, "the clocks differ too much: set this host's clock" },
    { "ExpiredToken", BV_E_DENIED, "the session token has expired: get new keys" },
    { "TokenRefreshRequired", BV_E_DENIED, "the session token has expired: get new keys" },
    { "InvalidToken", BV_E_DENIED, "the session token is not one of the server's: get new keys" },
    { "InvalidAccessKeyId", BV_E_DENIED, "the server does not know the access key" },
    { "SignatureDoesNotMatch", BV_E_DENIED, "the secret key does not belong to the access key" },
    { "AccessDenied", BV_E_DENIED, "the access key is not allowed to do this" },
    { "AuthorizationHeaderMalformed", BV_E_INVALID, "set 'region=' to the bucket's region" },
    { "PermanentRedirect", BV_E_INVALID, "set 'region=' and 'endpoint=' to the bucket's" },
    { "TemporaryRedirect", BV_E_AGAIN, "the bucket is moving: try again later" },
    { "NoSuchBucket", BV_E_INVALID, "there is no such bucket: create it" },
    { "EntityTooLarge", BV_E_INVALID, "the server does not take objects of this size" },
    { "NotImplemented", BV_E_UNSUPPORTED, "the server does not offer this" },
    { "RequestTimeout", BV_E_AGAIN, "the connection was too slow" },
    { "SlowDown", BV_E_AGAIN, "the server wants fewer requests" },
    { "OperationAborted", BV_E_AGAIN, "something else changes the object" },
};

static int explain_error(const bvi_http_response *response, int code, bv_error **err)
{
    bvi_s3_error error;

    if (!bvi_s3_error_parse(response->body, response->body_len, &error))
        return code;
    for (size_t i = 0; i < BVI_COUNT(meanings); i++) {
        if (strcmp(meanings[i].said, error.code) == 0)
            return bvi_wrap(err, meanings[i].code, "%s (%s)", meanings[i].remedy, error.code);
    }
    return bvi_wrap(err, code, "%s: %s", error.code, error.message);
}

int bvi_s3_check(const bvi_store_s3 *store, const bvi_http_response *response, bv_error **err)
{
    bvi_http_response bare = *response;
    const char *region;
    int r;

    bare.body_len = 0; /* error documents may hold tokens */
    r = bvi_http_check(&bare, err);
    if (r == 0)
        return 0;
    if (response->status == 501)
        r = bvi_wrap(err, BV_E_UNSUPPORTED, "the server does not offer this");
    region = bvi_http_header(response, "x-amz-bucket-region");
    if (response->status / 100 == 3 && region && strlen(region) < 64)
        return bvi_wrap(err, BV_E_INVALID, "the bucket of '%s' is elsewhere: set 'region=%s'",
                        store->config.name, region);
    if (response->status / 100 == 3)
        r = bvi_wrap(err, BV_E_INVALID, "the server redirects: set 'endpoint=' and 'region='");
    return explain_error(response, r, err);
}

/* ---- the end of a call ---- */

static void s3_call_free(bvi_web_call *w)
{
    bvi_s3_call *c = (bvi_s3_call *)w;

    bvi_free(c->upload_id);
    bvi_strv_done(&c->etags);
    bvi_s3_uploads_done(&c->uploads);
    bvi_buf_done(&c->text);
    bv_error_free(c->failed);
    bvi_free(c->prefix);
    bvi_free(c->full_prefix);
    bvi_s3_page_done(&c->page);
    bvi_vec_done(&c->seen);
    bvi_free(c->after);
    bvi_free(c->claim);
    bvi_vec_done(&c->versions);
    bvi_vec_done(&c->infos);
    bvi_vec_done(&c->objects);
    bvi_vec_done(&c->leases);
    bvi_free(c);
}

void bvi_s3_finish(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    bvi_store_reply reply = {
        .version = c->version,
        .size = c->size,
        .versions = c->versions.items,
        .n_versions = c->versions.len,
        .infos = c->infos.items,
        .n_infos = c->infos.len,
        .objects = c->objects.items,
        .n_objects = c->objects.len,
        .more = c->web.req.verb == BVI_STORE_OBJECTS && c->page.next,
        .leases = c->leases.items,
        .n_leases = c->leases.len,
    };

    if (response) {
        reply.bytes = response->body;
        reply.len = response->body_len;
        reply.size = response->content_length > 0 ? (uint64_t)response->content_length : 0;
    }
    bvi_web_finish(&c->web, &reply, err);
}

void bvi_s3_last_step(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    bvi_s3_finish(c, response, err);
}

/* ---- one request ---- */

/* "/bucket/prefix/key", percent-encoded. key NULL: the bucket. */
static char *path_of(const bvi_store_s3 *s, const char *key)
{
    bvi_auto_free char *inside = NULL;

    if (!key)
        return bvi_strdup(*s->config.base ? s->config.base : "/");
    inside = bvi_asprintf("%s%s", s->config.prefix, key);
    return inside ? bvi_url_join(s->config.base, inside) : NULL;
}

static int append_header(bvi_strv *lines, const char *name, const char *value)
{
    return bvi_strv_take(lines, bvi_asprintf("%s: %s", name, value));
}

static int append_authorization(const bvi_s3_request *request, const bvi_s3_credentials *keys,
                                bvi_strv *lines, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf value = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    int r = bvi_s3_authorization(request, keys, &value, err);

    if (r < 0)
        return r;
    return append_header(lines, "Authorization", value.data) < 0 ? bvi_fail_nomem(err) : 0;
}

static int sign_request(const bvi_s3_call *c, const char *path, bvi_strv *lines, bv_error **err)
{
    const bvi_s3_config *config = &c->store->config;
    char stamp[BVI_S3_STAMP_SIZE];
    uint8_t digest[BVI_DIGEST_SIZE_MAX];
    char hex[BVI_HEX_SIZE(BVI_DIGEST_SIZE_MAX)];
    const bvi_s3_pair headers[] = {
        { BVI_S3_HEADER_PAYLOAD, hex },
        { BVI_S3_HEADER_DATE, stamp },
        { BVI_S3_HEADER_TOKEN, config->keys.session_token },
    };
    bvi_s3_request request = {
        .method = c->ask.method,
        .host = config->host,
        .path = path,
        .params = c->ask.params,
        .n_params = c->ask.n_params,
        .headers = headers,
        .n_headers = BVI_COUNT(headers) - (config->keys.session_token ? 0 : 1),
        .payload = hex,
        .region = config->region,
        .service = "s3",
        .wall_us = bvi_ctx_wall_us(c->store->web.store.ctx),
    };
    int r = bvi_digest_of(BVI_DIGEST_SHA256, c->ask.body ? c->ask.body : "", c->ask.body_len,
                          digest, err);

    if (r < 0)
        return r;
    bvi_hex_encode(digest, sizeof(digest), hex);
    bvi_s3_stamp(request.wall_us, stamp);
    for (size_t i = 0; i < request.n_headers; i++) {
        if (append_header(lines, headers[i].name, headers[i].value) < 0)
            return bvi_fail_nomem(err);
    }
    if (c->ask.only_new && append_header(lines, "If-None-Match", "*") < 0)
        return bvi_fail_nomem(err);
    return append_authorization(&request, &config->keys, lines, err);
}

/* Signs anew each time: a signature is good for minutes only. */
static int s3_prepare(bvi_web_call *w, bvi_buf *url, bvi_strv *headers, bv_error **err)
{
    const bvi_s3_call *c = (const bvi_s3_call *)w;
    bvi_auto_free char *path = path_of(c->store, w->ask_key);
    int r = path ? bvi_buf_printf(url, "%s%s?", c->store->config.origin, path) : BV_E_NOMEM;

    if (r == 0)
        r = bvi_s3_query(c->ask.params, c->ask.n_params, url);
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "a request is too long");
    if (r < 0)
        return bvi_fail_nomem(err);
    if (c->ask.n_params == 0) /* no '?' without a query */
        url->data[url->len - 1] = '\0';
    return sign_request(c, path, headers, err);
}

static void on_step(bvi_web_call *w, const bvi_http_response *response, bv_error *err)
{
    bvi_s3_call *c = (bvi_s3_call *)w;

    c->ask.step(c, response, err);
}

int bvi_s3_send(bvi_s3_call *c, const bvi_s3_ask *ask, bv_error **err)
{
    c->ask = *ask;
    return bvi_web_send(&c->web,
                        &(bvi_web_ask){ .method = ask->method,
                                        .key = ask->key,
                                        .body = ask->body,
                                        .body_len = ask->body_len,
                                        .response_max = ask->response_max,
                                        .into = ask->into,
                                        .into_len = ask->into_len,
                                        .only_new = ask->only_new,
                                        .clean_up = ask->clean_up,
                                        .step = on_step },
                        err);
}

int bvi_s3_send_object(bvi_s3_call *c, uint64_t version, const char *name, const bvi_s3_ask *ask,
                       bv_error **err)
{
    bvi_auto_free char *key = bvi_store_object_key(c->web.req.store_key, version, name);
    bvi_s3_ask with_key = *ask;

    with_key.key = key;
    return key ? bvi_s3_send(c, &with_key, err) : bvi_fail_nomem(err);
}

/* ---- GET and STAT ---- */

static void on_got(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    if (!err && response->body_len > c->web.req.max)
        (void)bvi_fail(&err, BV_E_LIMIT, "'%s' is larger than %zu bytes", c->web.req.key,
                       c->web.req.max);
    bvi_s3_finish(c, err ? NULL : response, err);
}

static int run_get(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_send(c,
                       &(bvi_s3_ask){
                           .method = "GET",
                           .key = c->web.req.key,
                           /* what the server says to a failure must fit as well */
                           .response_max = c->web.req.max > BVI_HTTP_FAILURE_MAX
                                               ? c->web.req.max
                                               : BVI_HTTP_FAILURE_MAX,
                           .step = on_got,
                       },
                       err);
}

static int run_stat(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_send(
        c, &(bvi_s3_ask){ .method = "HEAD", .key = c->web.req.key, .step = bvi_s3_last_step }, err);
}

static int run_read(bvi_s3_call *c, bv_error **err)
{
    c->ask = (bvi_s3_ask){ .method = "GET" }; /* what is signed */
    return bvi_web_run_read(&c->web, err);
}

static void on_removed(bvi_s3_call *c, const bvi_http_response *response, bv_error *err)
{
    (void)response;
    if (bv_error_code(err) == BV_E_NOT_FOUND)
        bvi_web_drop_error(&err);
    bvi_s3_finish(c, NULL, err);
}

static int run_remove(bvi_s3_call *c, bv_error **err)
{
    return bvi_s3_send(
        c, &(bvi_s3_ask){ .method = "DELETE", .key = c->web.req.key, .step = on_removed }, err);
}

/* ---- requests ---- */

static int (*const runs[BVI_STORE_VERBS])(bvi_s3_call *c, bv_error **err) = {
    [BVI_STORE_GET] = run_get,
    [BVI_STORE_PUT] = bvi_s3_run_put,
    [BVI_STORE_STAT] = run_stat,
    [BVI_STORE_READ] = run_read,
    [BVI_STORE_REMOVE] = run_remove,
    [BVI_STORE_OBJECTS] = bvi_s3_run_objects,
    [BVI_STORE_VERSIONS] = bvi_s3_run_versions,
    [BVI_STORE_LIST] = bvi_s3_run_list,
    [BVI_STORE_PRUNE] = bvi_s3_run_prune,
    [BVI_STORE_RESERVE] = bvi_s3_run_reserve,
    [BVI_STORE_RELEASE] = bvi_s3_run_release,
    [BVI_STORE_LEASES] = bvi_s3_run_leases,
};

static int run(bvi_web_call *w, bv_error **err)
{
    bvi_s3_call *c = (bvi_s3_call *)w;

    c->version = w->req.version;
    return runs[w->req.verb](c, err);
}

static int s3_call(bvi_store *store, const bvi_store_request *request, bvi_store_fn done,
                   void *data, bv_error **err)
{
    bvi_store_s3 *s = (bvi_store_s3 *)store;
    bvi_s3_call *c = bvi_new0(bvi_s3_call);

    if (!c)
        return bvi_fail_nomem(err);
    c->store = s;
    c->versions.max = c->infos.max = c->seen.max = c->leases.max = BVI_STORE_VERSIONS_MAX;
    c->objects.max = BVI_S3_PAGE_MAX;
    c->etags.max = BVI_S3_PARTS_MAX;
    bvi_s3_page_init(&c->page);
    return bvi_web_begin(&s->web, &c->web, request, done, data, run, err);
}

/* ---- URLs of chunks ---- */

static char *s3_url(const bvi_store *store, const char *key, bool put)
{
    const bvi_store_s3 *s = (const bvi_store_s3 *)store;
    BVI_AUTO(bvi_buf_done) bvi_buf query = BVI_BUF_INIT(BVI_S3_SIGNED_MAX);
    bvi_auto_free char *path = path_of(s, key);
    const bvi_s3_request request = {
        .method = put ? "PUT" : "GET",
        .host = s->config.host,
        .path = path,
        .payload = BVI_S3_UNSIGNED,
        .region = s->config.region,
        .service = "s3",
        .wall_us = bvi_ctx_wall_us(store->ctx),
    };

    if (!path || bvi_s3_presign(&request, &s->config.keys, BVI_S3_URL_SECS, &query, NULL) < 0)
        return NULL;
    return bvi_asprintf("%s%s?%s", s->config.origin, path, query.data);
}

/* ---- life ---- */

static int s3_check(const bvi_store_web *web, const bvi_http_response *response, bv_error **err)
{
    return bvi_s3_check((const bvi_store_s3 *)web, response, err);
}

/* Keys that a file or the environment gave may have been replaced since. */
static bool s3_renew(bvi_web_call *w, const bv_error *err)
{
    bvi_store_s3 *s = (bvi_store_s3 *)w->web;

    return bv_error_code(err) == BV_E_DENIED && s->uri && bvi_s3_config_renew(&s->config, s->uri);
}

static const bvi_web_ops s3_ops = {
    .retry = &request_retry,
    .prepare = s3_prepare,
    .check = s3_check,
    .renew = s3_renew,
    .free = s3_call_free,
};

static void s3_free(bvi_store *store)
{
    bvi_store_s3 *s = (bvi_store_s3 *)store;

    bvi_web_done(&s->web);
    bvi_free(s->uri);
    bvi_s3_config_done(&s->config);
    bvi_free(s);
}

static const bvi_store_vtable s3_vtable = {
    .name = "s3",
    .call = s3_call,
    .url = s3_url,
    .cancel = bvi_web_cancel,
    .set_limits = bvi_web_set_limits,
    .free = s3_free,
};

int bvi_store_s3_open(bv_ctx *ctx, const char *uri, const bvi_s3_credentials *keys,
                      bvi_store **ret_store, bv_error **err)
{
    bvi_store_s3 *s = bvi_new0(bvi_store_s3);
    int r;

    if (!s)
        return bvi_fail_nomem(err);
    r = bvi_s3_config_init(&s->config, uri, keys, err);
    s->uri = keys ? NULL : bvi_strdup(uri);
    if (r == 0 && !keys && !s->uri)
        r = bvi_fail_nomem(err);
    s->web.name = s->config.name;
    s->web.ca_file = s->config.ca_file;
    if (r == 0)
        r = bvi_web_init(&s->web, ctx, &s3_vtable, &s3_ops, err);
    if (r < 0) {
        s3_free(&s->web.store);
        return r;
    }
    s->web.store.ca_file = s->config.ca_file;
    *ret_store = &s->web.store;
    return 0;
}
